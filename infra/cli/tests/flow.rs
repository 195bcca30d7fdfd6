//! `crossdock flow check`, as whoever writes a mapping uses it: the real program, on files of their own.

mod program;

use program::{Folder, crossdock};

/// Writes a file of the folder.
fn file(folder: &Folder, name: &str, text: &str) -> String {
    let file = format!("{}/{name}", folder.path());
    std::fs::write(&file, text).expect("a file can be written");
    file
}

const DIVIDES: &str = "- to: per_piece\n  each: lines\n  rules:\n    - { to: price, expr: unit_price / quantity, as: money }\n";

#[test]
fn a_rule_that_divides_by_the_quantity_is_shown_one_line_of_quantity_zero() {
    let folder = Folder::new("divides");
    let mapping = file(&folder, "mapping.yaml", DIVIDES);
    let arguments = ["flow", "check", "s3", "order", "--mapping", &mapping];
    let (is_content, text) = crossdock(&arguments);
    assert!(!is_content, "{text}");
    for said in [
        "awkward records with",
        "1. Division by zero at column 12.",
        "per_piece[0].price",
        "(bad_expression)",
        "a line of quantity zero",
        "\"quantity\": \"0\"",
        "Ask first whether there is anything to divide by",
        "mend the mapping, or --accept what is right",
    ] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let (is_content, text) = crossdock(&[&arguments[..], &["--accept", "per_piece[].price"]].concat());
    assert!(is_content && text.contains("(accepted)"), "{text}");
    let (is_content, text) = crossdock(&[&arguments[..], &["--format", "json"]].concat());
    let json = text.lines().next().unwrap_or_default();
    let report: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    assert!(!is_content && report["findings"][0]["document"]["lines"][0]["quantity"] == "0", "{text}");
}

#[test]
fn a_mapping_that_answers_every_record_is_content_and_says_what_it_was_shown() {
    let (is_content, text) = crossdock(&["flow", "check", "s3", "order"]);
    assert!(is_content && text.contains("0 failed, for 0 causes."), "{text}");
}

#[test]
fn a_flow_in_a_file_is_checked_for_the_records_that_its_filter_takes() {
    let folder = Folder::new("flow");
    let flow = |filter: &str| format!("kind: order\ndestination_connector: s3\nfilter: \"{filter}\"\nmapping:\n{DIVIDES}");
    let all = file(&folder, "all.yaml", &flow("status != 'cancelled'"));
    let some = file(&folder, "some.yaml", &flow("min(lines.quantity) > 0"));
    assert!(!crossdock(&["flow", "check", "--flow", &all]).0);
    let (is_content, text) = crossdock(&["flow", "check", "--flow", &some]);
    assert!(is_content, "{text}");
}

#[test]
fn tables_that_are_given_are_taken_as_they_are() {
    let folder = Folder::new("tables");
    let mapping = file(&folder, "mapping.yaml", "- { to: item, from: number, lookup: Numbers }\n");
    let tables = file(&folder, "tables.yaml", "Numbers: { \"#1042\": \"88\" }\n");
    let (is_content, text) = crossdock(&["flow", "check", "s3", "order", "--mapping", &mapping]);
    assert!(is_content && text.contains("of tables that --tables does not give: Numbers."), "{text}");
    let (is_content, text) = crossdock(&["flow", "check", "s3", "order", "--mapping", &mapping, "--tables", &tables]);
    assert!(!is_content && text.contains("has no entry in the table \"Numbers\""), "{text}");
}

#[test]
fn what_cannot_be_checked_is_said_with_what_there_is() {
    let folder = Folder::new("wrong");
    let mapping = file(&folder, "mapping.yaml", "- { to: a, form: b }\n");
    for (arguments, said) in [
        (&["flow", "check", "nobody", "order"][..], "there is no connector \"nobody\""),
        (&["flow", "check", "s3", "ordr"], "there is no such kind of record; there are order, customer"),
        (&["flow", "check", "s3", "refund"], "give one of your own with --mapping"),
        (
            &["flow", "check", "s3", "order", "--mapping", &mapping],
            "mapping.yaml:1:12: there is no `form` here; did you mean `from`?",
        ),
        (&["flow", "check", "s3", "order", "--settings", &mapping], "a group of fields was expected"),
        (&["flow", "check", "s3", "order", "--tables", "/nowhere.yaml"], "/nowhere.yaml cannot be read"),
    ] {
        let (is_content, text) = crossdock(arguments);
        assert!(!is_content && text.contains(said), "{said}: {text}");
    }
}

#[test]
fn a_flow_begins_with_a_template_and_is_checked_as_it_stands() {
    let folder = Folder::new("init");
    let (is_content, listed) = crossdock(&["flow", "templates", "--source", "woocommerce"]);
    assert!(is_content && listed.contains("woocommerce--shipstation--order"), "{listed}");
    let (_, derived) = crossdock(&["flow", "templates", "--source", "http", "--destination", "s3"]);
    assert!(derived.contains("http--s3--order"), "{derived}");
    let arguments =
        ["flow", "init", "http--s3--order", "--source", "Our shop", "--destination", "Our bucket", "--name", "archive"];
    let (is_content, text) = crossdock(&arguments);
    assert!(is_content, "{text}");
    for said in
        ["format: 1\nname: archive\nkind: order\nsource: Our shop\ndestination: Our bucket\n", "destination_connector: s3"]
    {
        assert!(text.contains(said), "{said}: {text}");
    }
    let file = file(&folder, "archive.yaml", &text);
    let (is_content, text) = crossdock(&["flow", "check", "--flow", &file]);
    assert!(is_content && text.contains("0 failed, for 0 causes."), "{text}");
    for (arguments, said) in [
        (&["flow", "init", "http--s3--invoice", "--source", "a", "--destination", "b"][..], "have no invoice in common"),
        (&["flow", "init", "nonsense", "--source", "a", "--destination", "b"], "`crossdock flow templates` lists them"),
        (&["flow", "templates", "--source", "nobody"], "there is no connector \"nobody\""),
        (&["apply", &file, "--url", "ftp://x", "--tenant", "acme"], "is no address of Crossdock"),
        (
            &["apply", &file, "--prune", "--url", "http://127.0.0.1:9", "--tenant", "acme"],
            "--prune retires what a folder does not say",
        ),
        (&["apply", "/nowhere", "--url", "http://127.0.0.1:9", "--tenant", "acme"], "/nowhere cannot be read"),
    ] {
        let (is_content, text) = crossdock(arguments);
        assert!(!is_content && text.contains(said), "{said}: {text}");
    }
}
