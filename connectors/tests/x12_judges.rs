//! What is written as X12, judged by an implementation that we did not write: envelopes and counts of every set, whole 997s, and the types and
//! lengths of the elements that guides are made of.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod judges;
#[path = "judges/python.rs"]
mod python;

use std::collections::HashMap;
use std::path::PathBuf;

use connectors::x12::{GroupDraft, Guide, InterchangeDraft, Separators, SetDraft, acknowledge, interchanges, receive};
use python::{ask, judge};
use serde_json::json;

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("x12")
}

/// The samples of partners and those that our mappings make.
fn files() -> Vec<String> {
    let roles =
        ["customer", "supplier", "warehouse", "depositor"].map(|role| folder().join("mappings").join(role).join("samples"));
    let folders = roles.into_iter().chain([folder().join("samples")]);
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut paths: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "edi"));
    paths.sort();
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// The 997 that answers the first group of a file.
fn answer(text: &str) -> Option<String> {
    let interchange = interchanges(text.as_bytes()).remove(0).unwrap();
    let mut group = receive(&interchange).remove(0);
    let separators = Separators::default();
    let tree = acknowledge(&group, &separators)?;
    let segments =
        Guide::find("997").unwrap().unwrap().make(&tree, &separators, "004010").unwrap_or_else(|error| panic!("{error}"));
    let set = SetDraft { id: "997".into(), control_number: "0001".into(), implementation: None, segments };
    (group.header.functional_id, group.header.version) = ("FA".into(), "004010".into());
    // The damaged ones may have none.
    group.header.date = group.header.date.or(chrono::NaiveDate::from_ymd_opt(2026, 11, 28));
    let mut header = interchange.header.clone();
    header.version = "00401".into();
    // Health care, which is all that its guide of the 997 knows, has no phone numbers for ids.
    (header.sender.qualifier, header.receiver.qualifier) = ("ZZ".into(), "ZZ".into());
    let draft = InterchangeDraft { header, separators, groups: vec![GroupDraft { header: group.header, sets: vec![set] }] };
    Some(String::from_utf8(draft.write().unwrap()).unwrap())
}

/// One change, of which both must say that it is wrong.
const WRONG: [(&str, &str); 6] = [
    ("GE*1*", "GE*2*"),
    ("IEA*1*", "IEA*2*"),
    ("IEA*1*0", "IEA*1*1"),
    ("*0001~\nGE", "*0002~\nGE"),
    ("\nSE*", "\nSE*9"),
    ("GE*1*", "GE*1*9"),
];

#[test]
fn envelopes_and_acknowledgements_are_what_pyx12_says_they_are() {
    let mut cases = Vec::new();
    for text in files() {
        cases.push(json!({"kind": "envelope", "text": text, "good": true}));
        for (from, to) in WRONG.into_iter().filter(|(from, _)| text.contains(from)) {
            let wrong = text.replacen(from, to, 1);
            let read = interchanges(wrong.as_bytes()).remove(0);
            let is_good =
                read.is_ok_and(|read| receive(&read).iter().all(|group| group.sets.iter().all(|set| set.tree.is_some())));
            assert!(!is_good, "{from} is not {to}");
            cases.push(json!({"kind": "envelope", "text": wrong, "good": false}));
        }
        // Good groups, and ones in which nearly everything is wrong.
        let lines = |text: &str, keep: &dyn Fn(usize, &str) -> bool| -> String {
            let parts = text.split_inclusive('~').enumerate().filter(|(index, part)| keep(*index, part.trim_start()));
            parts.map(|(_, part)| part).collect()
        };
        let is_envelope = |part: &str| ["ISA", "GS", "ST", "SE", "GE", "IEA"].iter().any(|id| part.starts_with(id));
        let damaged = [
            text.clone(),
            lines(&text, &|index, part| is_envelope(part) || index % 3 != 0),
            text.replace("*EA", "*E").replace("*20261", "*20269"),
        ];
        cases.extend(
            damaged.iter().filter_map(|text| answer(text)).map(|text| json!({"kind": "997", "text": text, "good": true})),
        );
    }
    judge("x12.py", &cases);
}

#[derive(serde::Deserialize)]
struct Dictionary {
    elements: HashMap<String, String>,
}

/// pyx12 has the lengths of 005010, and only the elements that its sets need.
#[test]
fn elements_have_the_types_and_lengths_that_pyx12_knows() {
    let text = std::fs::read_to_string(folder().join("dictionary.yaml")).unwrap();
    let elements = text.split("composites:").next().unwrap();
    let dictionary: Dictionary = connectors::yaml(elements).unwrap();
    let mut cases = Vec::new();
    for (number, spec) in &dictionary.elements {
        let (first, later) = spec.split_once(", 005010 ").map_or((spec.as_str(), None), |(first, later)| (first, Some(later)));
        let (kind, lengths) = first.split_once(' ').unwrap();
        let (min, max) = later.unwrap_or(lengths).split_once('/').unwrap();
        let [min, max] = [min, max].map(|length| length.parse::<usize>().unwrap());
        cases.push(json!({"kind": "element", "number": number, "type": kind, "min": min, "max": max, "good": true}));
    }
    judge("x12.py", &cases);
    // That the judge sees a difference at all.
    let wrong = json!([{"kind": "element", "number": "324", "type": "AN", "min": 1, "max": 23, "good": true}]);
    if let Some(verdict) = ask("x12.py", &wrong) {
        assert_eq!(verdict["failures"].as_array().map(Vec::len), Some(1), "{verdict}");
    }
}
