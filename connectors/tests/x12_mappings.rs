//! The mappings between X12 trees and records, through the engine that runs every mapping: what partners send becomes records that the
//! canonical model takes, and records become interchanges that the guides take.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use connectors::x12::{
    ControlNumber, GroupDraft, GroupHeader, Guide, InterchangeDraft, InterchangeHeader, PartyId, Separators, SetDraft, Usage,
    interchanges, receive,
};
use connectors::{Catalog, Connector};
use domain::canonical;
use domain::mapping::Vars;
use domain::record::RecordKind;
use domain::value::{Limits, Value};

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("x12")
}

/// The connector of one role of a partner.
fn role(name: &str) -> &'static Connector {
    Catalog::embedded().get(&format!("x12-{name}")).unwrap()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(&serde_json::from_str::<serde_json::Value>(&value.to_json()).unwrap()).unwrap() + "\n"
}

/// `UPDATE_SAMPLES=1` writes it anew, for a person to look at.
fn is_as_kept(path: &Path, found: &str) {
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::write(path, found).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(kept, found, "{}: run with UPDATE_SAMPLES=1 and look at the difference", path.display());
}

/// Each set of a sample becomes records of one kind.
fn records(role_name: &str, kind: RecordKind, sample: &str) -> Vec<Value> {
    let connector = role(role_name);
    let bytes = std::fs::read(folder().join("samples").join(sample)).unwrap();
    let interchange = interchanges(&bytes).remove(0).unwrap_or_else(|error| panic!("{error}"));
    let mut records = Vec::new();
    for set in receive(&interchange).into_iter().flat_map(|group| group.sets) {
        let guide = Guide::find(&set.id).unwrap().unwrap();
        for document in guide.split(set.tree.clone().unwrap_or_else(|| panic!("{:?}", set.sentences()))) {
            let record = connector.read_plan(kind).unwrap().apply(&document, connector.tables(), &Vars::default());
            let record = record.unwrap_or_else(|issues| panic!("{sample}: {issues:?}"));
            canonical::check(kind, &record).unwrap_or_else(|issues| panic!("{sample}: {issues:?}\n{}", pretty(&record)));
            records.push(record);
        }
    }
    records
}

#[test]
fn what_partners_send_becomes_canonical_records() {
    for (role, kind, sample, count) in [
        ("customer", RecordKind::Order, "850_orders.edi", 2),
        ("supplier", RecordKind::PurchaseOrder, "855_answer.edi", 1),
        ("supplier", RecordKind::Shipment, "856_shipment.edi", 2),
        ("supplier", RecordKind::Invoice, "810_invoice.edi", 1),
        ("supplier", RecordKind::InventoryLevel, "846_inventory.edi", 2),
        ("warehouse", RecordKind::InventoryLevel, "846_inventory.edi", 2),
        ("warehouse", RecordKind::Shipment, "945_advice.edi", 1),
        ("depositor", RecordKind::Order, "940_request.edi", 1),
    ] {
        let records = records(role, kind, sample);
        assert_eq!(records.len(), count, "{sample}");
        let name = format!("{kind}_{}.out.json", sample.trim_end_matches(".edi"));
        is_as_kept(&folder().join("mappings").join(role).join("samples").join(name), &pretty(&Value::List(records)));
    }
}

fn separators() -> Separators {
    Separators { line_break: "\n", ..Separators::default() }
}

/// A record, through its write mapping and the guide, in an interchange.
fn written(role_name: &str, kind: RecordKind, record: &Value) -> String {
    let connector = role(role_name);
    let document = connector.write_plan(kind).unwrap().apply(record, connector.tables(), &Vars::default());
    let document = document.unwrap_or_else(|issues| panic!("{role_name} {kind}: {issues:?}"));
    let set = document.get("set").and_then(Value::as_str).unwrap().to_owned();
    let guide = Guide::find(&set).unwrap().unwrap();
    let tree = guide.join(vec![document]).unwrap();
    let segments = guide.make(&tree, &separators(), "004010").unwrap_or_else(|error| panic!("{role_name} {kind}: {error}"));
    let date = NaiveDate::from_ymd_opt(2026, 11, 28).unwrap();
    let control_number = ControlNumber::new(1).unwrap();
    let party = |id: &str| PartyId { qualifier: "ZZ".into(), id: id.into() };
    let draft = InterchangeDraft {
        header: InterchangeHeader {
            sender: party("CROSSDOCK"),
            receiver: party("PARTNER"),
            at: date.and_hms_opt(7, 11, 0).unwrap(),
            version: "00401".into(),
            control_number,
            wants_receipt: false,
            usage: Usage::Test,
        },
        separators: separators(),
        groups: vec![GroupDraft {
            header: GroupHeader {
                functional_id: guide.group.clone(),
                sender: "CROSSDOCK".into(),
                receiver: "PARTNER".into(),
                date: Some(date),
                time: "0711".into(),
                control_number: Some(control_number),
                agency: "X".into(),
                version: "004010".into(),
            },
            sets: vec![SetDraft { id: set, control_number: "0001".into(), implementation: None, segments }],
        }],
    };
    String::from_utf8(draft.write().unwrap()).unwrap()
}

/// Records are those of the tests above and of `samples/<kind>_write.in.json`.
#[test]
fn records_become_interchanges_that_a_partner_can_read() {
    for (role, kind) in [
        ("customer", RecordKind::Order),
        ("customer", RecordKind::Shipment),
        ("customer", RecordKind::Invoice),
        ("customer", RecordKind::InventoryLevel),
        ("supplier", RecordKind::Order),
        ("supplier", RecordKind::PurchaseOrder),
        ("warehouse", RecordKind::Order),
        ("depositor", RecordKind::Shipment),
        ("depositor", RecordKind::InventoryLevel),
    ] {
        let record = std::fs::read(folder().join("mappings/records").join(format!("{kind}.json"))).unwrap();
        let record = Value::parse(&record, &Limits::DEFAULT).unwrap();
        canonical::check(kind, &record).unwrap_or_else(|issues| panic!("{kind}: {issues:?}"));
        let text = written(role, kind, &record);
        is_as_kept(&folder().join("mappings").join(role).join("samples").join(format!("{kind}.out.edi")), &text);
        let interchange = interchanges(text.as_bytes()).remove(0).unwrap();
        let set = receive(&interchange).remove(0).sets.remove(0);
        assert!(set.tree.is_some() && set.issues.is_empty(), "{role} {kind}: {:?}", set.sentences());
    }
}

#[test]
fn the_mappings_use_only_what_the_canonical_model_has_a_word_for() {
    let mut unknown = Vec::new();
    for name in ["customer", "supplier", "warehouse", "depositor"] {
        let connector = role(name);
        for kind in RecordKind::ALL {
            let made = connector.read_plan(kind).map(|plan| plan.writes()).unwrap_or_default();
            let used = connector.write_plan(kind).map(|plan| plan.reads()).unwrap_or_default();
            let used = used
                .iter()
                .map(|field| field.trim_start_matches("[]."))
                .filter(|field| !field.starts_with('$') && *field != "[]");
            let fields = made.iter().map(String::as_str).chain(used);
            unknown.extend(
                fields.filter(|field| canonical::shape(kind).at(field).is_none()).map(|field| format!("{name}/{kind}: {field}")),
            );
        }
    }
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn the_schema_of_guides_is_fresh() {
    is_as_kept(&folder().join("schema.json"), &Guide::schema());
}
