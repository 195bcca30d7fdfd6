//! The canonical model as whoever depends on it sees it: what a document may say, and that the model only ever grows.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use domain::canonical::shape::{Is, Shape};
use domain::canonical::{VERSION, check, content_hash, shape};
use domain::mapping::{Issue, IssueCode};
use domain::record::RecordKind;
use domain::value::{Limits, Value};
use serde_json::Value as Json;

fn parse(json: &str) -> Value {
    Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
}

fn order(grand: &str, extra: &str) -> Value {
    parse(&format!(
        r#"{{"source_id":"1","status":"open","currency":"USD","taxes_included":false{extra},
            "lines":[{{"quantity":"2","unit_price":"10.00","discount_total":"1.00"}}],
            "shipping_lines":[{{"amount":"5.00"}}],"adjustments":[{{"kind":"other","amount":"0.50"}}],
            "totals":{{"tax":"1.90","grand":"{grand}"}}}}"#
    ))
}

fn issues(kind: RecordKind, json: &str) -> Vec<Issue> {
    check(kind, &parse(json)).unwrap_err()
}

#[test]
fn an_order_that_adds_up_passes() {
    let summary = check(RecordKind::Order, &order("26.40", "")).unwrap();
    assert_eq!(summary.grand_total.unwrap().to_string(), "26.40");
}

#[test]
fn one_that_does_not_is_unbalanced_with_both_amounts() {
    let issues = check(RecordKind::Order, &order("26.90", "")).unwrap_err();
    assert_eq!(issues[0].code, IssueCode::Unbalanced);
    assert_eq!(issues[0].sentence, "the parts of the order add up to 26.4 USD, but its total says 26.90 USD");
}

#[test]
fn every_refusal_names_the_field_with_its_row_and_says_what_would_do() {
    let order = |extra: &str| check(RecordKind::Order, &order("26.40", extra)).unwrap_err()[0].sentence.clone();
    assert_eq!(order(r#","colour":"red""#), "the model has no field colour; put it into attributes");
    assert_eq!(
        order(r#","shipping":{}"#),
        "the model has no field shipping; did you mean shipping_address? What it has no word for belongs in attributes"
    );
    assert_eq!(
        order(r#","payments":[{"amount":"1"},{"kind":"barter"}]"#),
        "the field payments[1].kind says \"barter\", which is none of card, gift_card, other"
    );
    assert_eq!(order(r#","placed_at":"yesterday""#), "the field placed_at says \"yesterday\", which is no RFC 3339 time");
    assert_eq!(order(r#","test":"yes""#), "the field test is no true or false");
    let lines = r#"{"source_id":"1","status":"open","currency":"usd","taxes_included":true,"totals":{"grand":"1"},
        "lines":[{"quantity":"-1","unit_price":1.5}]}"#;
    let sentences: Vec<String> = issues(RecordKind::Order, lines).into_iter().map(|issue| issue.sentence).collect();
    assert_eq!(
        sentences,
        [
            "the field currency says \"usd\", which is no ISO 4217 code of three letters",
            "the field lines[0].quantity says \"-1\", which is negative",
            "the field lines[0].unit_price is no decimal as text, such as \"12.50\"",
        ]
    );
}

#[test]
fn a_stock_level_that_knows_nothing_is_not_taken_for_an_empty_shelf() {
    let level = |quantities: &str| {
        check(
            RecordKind::InventoryLevel,
            &parse(&format!(r#"{{"source_id":"1","item":{{"sku":"A"}},"quantities":{quantities}}}"#)),
        )
    };
    assert!(level(r#"{"available":"-2"}"#).is_ok());
    assert_eq!(level("{}").unwrap_err()[0].sentence, "the stock level says no quantity at all");
    assert_eq!(level(r#"{"available":null}"#).unwrap_err()[0].sentence, "the stock level says no quantity at all");
}

#[test]
fn an_invoice_without_lines_is_only_its_total_and_one_with_lines_adds_up() {
    let invoice = |rest: &str| {
        parse(&format!(r#"{{"source_id":"1","kind":"invoice","status":"open","currency":"JPY","taxes_included":true{rest}}}"#))
    };
    assert_eq!(
        check(RecordKind::Invoice, &invoice(r#","totals":{"grand":"900"}"#)).unwrap().grand_total.unwrap().to_string(),
        "900"
    );
    let lines = r#","totals":{"grand":"900"},"lines":[{"quantity":"3","unit_price":"200"}]"#;
    assert_eq!(
        check(RecordKind::Invoice, &invoice(lines)).unwrap_err()[0].sentence,
        "the parts of the invoice add up to 600 JPY, but its total says 900 JPY"
    );
}

#[test]
fn ids_and_numbers_that_no_index_row_holds_are_refused() {
    let item = |fields: &str| parse(&format!(r#"{{"item_type":"simple","name":"A",{fields}}}"#));
    for (fields, sentence) in [
        (format!(r#""source_id":"{}""#, "é".repeat(101)), "longer than 200 bytes"),
        (r#""source_id":"a\tb""#.to_owned(), "no id: it has a control character"),
        (format!(r#""source_id":"1","number":"{}""#, "é".repeat(201)), "longer than 200 characters"),
    ] {
        let issues = check(RecordKind::Item, &item(&fields)).unwrap_err();
        assert_eq!(issues[0].code, IssueCode::OutOfRange);
        assert!(issues[0].sentence.ends_with(sentence), "{}", issues[0].sentence);
    }
    let longest = format!(r#""source_id":"{}","number":"{}""#, "é".repeat(100), "é".repeat(200));
    assert!(check(RecordKind::Item, &item(&longest)).is_ok());
}

#[test]
fn amounts_that_cannot_be_counted_are_refused_and_nothing_overflows() {
    let huge = "99999999999999.999999";
    let lines = format!(
        r#"{{"source_id":"1","status":"open","currency":"USD","taxes_included":true,"totals":{{"grand":"1"}},
            "lines":[{{"quantity":"{huge}","unit_price":"{huge}"}},{{"quantity":"{huge}","unit_price":"{huge}"}}]}}"#
    );
    assert_eq!(issues(RecordKind::Order, &lines)[0].to, "totals.grand");
    let long = r#"{"source_id":"1","status":"open","currency":"USD","taxes_included":true,"totals":{"grand":"1.0000001"}}"#;
    assert_eq!(issues(RecordKind::Order, long)[0].to, "totals.grand");
}

#[test]
fn touching_an_order_does_not_change_what_it_says() {
    let touched = content_hash(&order("26.40", r#","updated_at":"2026-11-24T00:00:00.000Z""#));
    assert_eq!(content_hash(&order("26.40", "")), touched);
    assert_ne!(content_hash(&order("26.41", "")), touched);
}

#[test]
fn every_kind_has_an_id_when_it_changed_and_room_for_what_the_model_has_no_word_for() {
    for kind in RecordKind::ALL {
        let shape = shape(kind);
        assert!(shape.field("source_id").is_some_and(|field| field.required), "{kind}");
        assert!(shape.field("updated_at").is_some() && shape.field("attributes").is_some(), "{kind}");
    }
}

#[test]
fn no_part_of_the_model_has_a_field_twice_or_one_that_says_nothing() {
    fn walk(shape: &'static Shape, seen: &mut BTreeSet<&'static str>) {
        if !seen.insert(shape.name) {
            return;
        }
        let names: BTreeSet<&str> = shape.fields.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), shape.fields.len(), "{}", shape.name);
        for field in shape.fields {
            assert!(field.doc.ends_with(['.', ':', ',']), "{}.{}: {}", shape.name, field.name, field.doc);
            if let Is::Group(part) | Is::List(part) = field.is {
                walk(part, seen);
            }
        }
    }
    let mut seen = BTreeSet::new();
    RecordKind::ALL.into_iter().for_each(|kind| walk(shape(kind), &mut seen));
    assert!(seen.len() > 30, "{seen:?}");
}

#[test]
fn a_path_of_a_mapping_is_known_or_not() {
    let order = shape(RecordKind::Order);
    assert_eq!(order.at("lines[].taxes[].rate").map(|field| field.name), Some("rate"));
    assert_eq!(order.at("lines[2].sku").map(|field| field.name), Some("sku"));
    assert_eq!(order.at("attributes.anything.below").map(|field| field.name), Some("attributes"));
    assert!(order.at("lines.colour").is_none() && order.at("number.x").is_none() && order.at("lins").is_none());
}

/// What was published stays: a field, its type, a word of a list. New fields must not be required.
fn breaks(old: &Json, new: &Json, at: &str, broken: &mut Vec<String>) {
    let (Some(old_map), Some(new_map)) = (old.as_object(), new.as_object()) else {
        if old != new {
            broken.push(format!("{at}: {old} became {new}"));
        }
        return;
    };
    for (key, was) in old_map {
        let at = format!("{at}/{key}");
        match (key.as_str(), new_map.get(key)) {
            ("description" | "title", _) => {}
            (_, None) => broken.push(format!("{at} is gone")),
            ("enum", Some(is)) => {
                let gone = was.as_array().unwrap().iter().filter(|word| !is.as_array().unwrap().contains(word));
                broken.extend(gone.map(|word| format!("{at}: the word {word} is gone")));
            }
            ("required", Some(is)) => {
                let new_ones = is.as_array().unwrap().iter().filter(|field| !was.as_array().unwrap().contains(field));
                broken.extend(new_ones.map(|field| format!("{at}: {field} is required now, and stored records lack it")));
            }
            (_, Some(is)) => breaks(was, is, &at, broken),
        }
    }
}

#[test]
fn the_model_only_grows_and_its_published_schemas_are_fresh() {
    let folder = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("schema");
    for kind in RecordKind::ALL {
        let file = folder.join(format!("{kind}.v{VERSION}.json"));
        let fresh = shape(kind).json_schema();
        let published = std::fs::read_to_string(&file).ok();
        if let Some(text) = &published {
            let mut broken = Vec::new();
            breaks(&serde_json::from_str(text).unwrap(), &fresh, &format!("{kind}"), &mut broken);
            assert!(broken.is_empty(), "this breaks stored records, so it needs another VERSION:\n{}", broken.join("\n"));
        }
        let fresh = format!("{}\n", serde_json::to_string_pretty(&fresh).unwrap());
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &fresh).unwrap();
        } else {
            assert!(published.as_ref() == Some(&fresh), "{} is not fresh: UPDATE_SCHEMA=1 cargo test -p domain", file.display());
        }
    }
}

#[test]
fn what_would_break_a_stored_record_is_found() {
    let old = serde_json::json!({"required": ["a"], "properties": {"a": {"type": "string"}, "b": {"enum": ["x", "y"]}}});
    for (change, is_broken) in [
        (
            serde_json::json!({"required": ["a"], "properties": {"a": {"type": "string"}, "b": {"enum": ["x", "y", "z"]}, "c": {}}}),
            false,
        ),
        (
            serde_json::json!({"required": ["a", "c"], "properties": {"a": {"type": "string"}, "b": {"enum": ["x", "y"]}, "c": {}}}),
            true,
        ),
        (serde_json::json!({"required": ["a"], "properties": {"a": {"type": "number"}, "b": {"enum": ["x", "y"]}}}), true),
        (serde_json::json!({"required": ["a"], "properties": {"a": {"type": "string"}, "b": {"enum": ["x"]}}}), true),
        (serde_json::json!({"required": [], "properties": {"a": {"type": "string"}}}), true),
    ] {
        let mut broken = Vec::new();
        breaks(&old, &change, "", &mut broken);
        assert_eq!(!broken.is_empty(), is_broken, "{broken:?}");
    }
}
