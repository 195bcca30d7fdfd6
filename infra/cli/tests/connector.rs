//! `crossdock connector`, as whoever writes a connector uses it: the real program, on folders of their own.

mod program;

use program::{Folder, crossdock};

#[test]
fn every_connector_of_the_catalog_holds_against_its_own_simulator() {
    let (is_content, text) = crossdock(&["connector", "test", "--all"]);
    assert!(is_content, "{text}");
    assert!(text.lines().filter(|line| line.contains("declared")).count() >= 13, "{text}");
}

#[test]
fn a_made_up_vendor_is_added_by_writing_one_folder() {
    let catalog = Folder::new("new");
    let (is_content, text) = crossdock(&["connector", "new", "blue-hats", "--catalog", catalog.path()]);
    assert!(is_content, "{text}");
    let (is_content, text) = crossdock(&["connector", "test", "blue-hats", "--verbose", "--catalog", catalog.path()]);
    assert!(is_content, "{text}");
    for check in ["a full read brings every record once", "a lost answer is found out", "order.created is signed, believed"] {
        assert!(text.contains(check), "{text}");
    }
}

#[test]
fn a_broken_connector_is_named_with_its_place_and_stops_no_other() {
    let catalog = Folder::new("broken");
    crossdock(&["connector", "new", "good", "--catalog", catalog.path()]);
    crossdock(&["connector", "new", "bad", "--catalog", catalog.path()]);
    let file = format!("{}/bad/connector.yaml", catalog.path());
    let yaml = std::fs::read_to_string(&file).expect("it was written").replace("limits:", "limts:");
    let line = yaml.lines().position(|line| line == "limts:").expect("it is misspelt now") + 1;
    std::fs::write(&file, yaml).expect("it can be written again");
    let (is_content, text) = crossdock(&["connector", "lint", catalog.path()]);
    assert!(!is_content && text.contains("good: Good v1 is sound"), "{text}");
    assert!(
        text.contains("there is no `limts` here; did you mean `limits`?")
            && text.contains(&format!("bad/connector.yaml:{line}:1")),
        "{text}"
    );
}
