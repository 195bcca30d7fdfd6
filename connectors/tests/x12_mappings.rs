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

fn sample(name: &str) -> String {
    std::fs::read_to_string(folder().join("samples").join(name)).unwrap()
}

/// Each set of an interchange becomes records of one kind, of which the parts add up to the total.
fn records(role_name: &str, kind: RecordKind, text: &str) -> Vec<Value> {
    let connector = role(role_name);
    let interchange = interchanges(text.as_bytes()).remove(0).unwrap_or_else(|error| panic!("{error}"));
    let mut records = Vec::new();
    for set in receive(&interchange).into_iter().flat_map(|group| group.sets) {
        let guide = Guide::find(&set.id).unwrap().unwrap();
        for document in guide.split(set.tree.clone().unwrap_or_else(|| panic!("{:?}", set.sentences()))) {
            let record = connector.read_plan(kind).unwrap().apply(&document, connector.tables(), &Vars::default());
            let record = record.unwrap_or_else(|issues| panic!("{role_name} {kind}: {issues:?}"));
            canonical::check(kind, &record)
                .unwrap_or_else(|issues| panic!("{role_name} {kind}: {issues:?}\n{}", pretty(&record)));
            records.push(record);
        }
    }
    records
}

#[test]
fn what_partners_send_becomes_canonical_records() {
    for (role, kind, name, count) in [
        ("customer", RecordKind::Order, "850_orders.edi", 2),
        ("supplier", RecordKind::PurchaseOrder, "855_answer.edi", 1),
        ("supplier", RecordKind::Shipment, "856_shipment.edi", 2),
        ("supplier", RecordKind::Invoice, "810_invoice.edi", 1),
        ("supplier", RecordKind::InventoryLevel, "846_inventory.edi", 2),
        ("warehouse", RecordKind::InventoryLevel, "846_inventory.edi", 2),
        ("warehouse", RecordKind::Shipment, "945_advice.edi", 1),
        ("depositor", RecordKind::Order, "940_request.edi", 1),
    ] {
        let records = records(role, kind, &sample(name));
        assert_eq!(records.len(), count, "{name}");
        let name = format!("{kind}_{}.out.json", name.trim_end_matches(".edi"));
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

/// What it is tried with, of `mappings/records`.
fn record(kind: RecordKind) -> Value {
    let record = std::fs::read(folder().join("mappings/records").join(format!("{kind}.json"))).unwrap();
    let record = Value::parse(&record, &Limits::DEFAULT).unwrap();
    canonical::check(kind, &record).unwrap_or_else(|issues| panic!("{kind}: {issues:?}"));
    record
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
        let text = written(role, kind, &record(kind));
        is_as_kept(&folder().join("mappings").join(role).join("samples").join(format!("{kind}.out.edi")), &text);
        let interchange = interchanges(text.as_bytes()).remove(0).unwrap();
        let set = receive(&interchange).remove(0).sets.remove(0);
        assert!(set.tree.is_some() && set.issues.is_empty(), "{role} {kind}: {:?}", set.sentences());
    }
}

/// A list of a record as JSON.
fn list(record: &Value, name: &str) -> String {
    record.get(name).map(Value::to_json).unwrap_or_default()
}

#[test]
fn freight_that_we_write_is_shipping_to_who_reads_it_and_all_adds_up() {
    let invoice =
        records("supplier", RecordKind::Invoice, &written("customer", RecordKind::Invoice, &record(RecordKind::Invoice)));
    assert_eq!(list(&invoice[0], "shipping_lines"), r#"[{"title":"UPS Ground","code":"D240","amount":"10.00"}]"#);
    assert_eq!(list(&invoice[0], "adjustments"), r#"[{"kind":"fee","title":"Handling","amount":"4.00"}]"#);
    let ordered = written("supplier", RecordKind::PurchaseOrder, &record(RecordKind::PurchaseOrder));
    let order = records("customer", RecordKind::Order, &ordered);
    assert_eq!(list(&order[0], "shipping_lines"), r#"[{"title":"Freight","code":"D240","amount":"10.00"}]"#);
    assert_eq!(list(&order[0], "adjustments"), "[]");
}

#[test]
fn shipping_that_costs_less_than_its_discount_is_an_allowance() {
    let text = std::fs::read_to_string(folder().join("mappings/records/invoice.json")).unwrap();
    let text = text.replace(r#""discount_total": "2.50""#, r#""discount_total": "13.00""#).replace("143.30", "132.80");
    let written = written("customer", RecordKind::Invoice, &Value::parse(text.as_bytes(), &Limits::DEFAULT).unwrap());
    assert!(written.contains("SAC*A*D240***50**********UPS Ground~"), "{written}");
    let invoice = records("supplier", RecordKind::Invoice, &written);
    assert_eq!(list(&invoice[0], "shipping_lines"), "[]");
    let adjustments =
        r#"[{"kind":"fee","title":"Handling","amount":"4.00"},{"kind":"discount","title":"UPS Ground","amount":"-0.50"}]"#;
    assert_eq!(list(&invoice[0], "adjustments"), adjustments);
}

#[test]
fn charges_for_bringing_the_goods_are_shipping_and_all_others_are_not() {
    let charges = "SAC*C*D240***1000**********UPS Ground~\nSAC*C*G830***500~\nSAC*C*D500***250**********Handling~\nSAC*C**VI*X1*100~\n\
                   SAC*A*D240***300**********Freight allowance~\n";
    let text = sample("850_orders.edi").replace("FOB*CC~\n", &format!("FOB*CC~\n{charges}"));
    let text = text.replace("SE*26*0001~", "SE*31*0001~").replace("AMT*TT*120.90~", "AMT*TT*136.40~");
    let order = records("customer", RecordKind::Order, &text).remove(0);
    assert_eq!(
        list(&order, "shipping_lines"),
        r#"[{"title":"UPS Ground","code":"D240","amount":"10.00"},{"title":"Shipping and handling","code":"G830","amount":"5.00"}]"#
    );
    assert_eq!(
        list(&order, "adjustments"),
        r#"[{"kind":"fee","title":"Handling","amount":"2.50"},{"kind":"fee","amount":"1.00"},{"kind":"discount","title":"Freight allowance","amount":"-3.00"}]"#
    );
}

/// A record of `mappings/records` in which something says something else.
fn record_with(kind: RecordKind, from: &str, to: &str) -> Value {
    let text = std::fs::read_to_string(folder().join("mappings/records").join(format!("{kind}.json"))).unwrap();
    assert!(text.contains(from), "{from}");
    let record = Value::parse(text.replace(from, to).as_bytes(), &Limits::DEFAULT).unwrap();
    canonical::check(kind, &record).unwrap_or_else(|issues| panic!("{kind}: {issues:?}"));
    record
}

/// The text of a field; empty where it is not there.
fn text_at<'v>(record: &'v Value, field: &str) -> &'v str {
    record.at(field).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn an_answer_says_for_the_whole_order_and_for_each_line_how_it_stands() {
    for (whole, line, status, acknowledgement) in [
        ("AD", "IA", "acknowledged", "accepted"),
        ("AD", "AR", "acknowledged", "accepted"),
        ("AD", "BP", "acknowledged", "backordered"),
        ("AD", "IQ", "acknowledged", "accepted_with_changes"),
        ("AC", "IA", "acknowledged", "accepted_with_changes"),
        ("AH", "IA", "submitted", ""),
        ("RJ", "IR", "cancelled", "rejected"),
        ("RO", "IB", "cancelled", "rejected"),
    ] {
        let text = sample("855_answer.edi").replace("BAK*00*AC*", &format!("BAK*00*{whole}*"));
        let text = text.replace("ACK*IB*", &format!("ACK*{line}*"));
        let answer = records("supplier", RecordKind::PurchaseOrder, &text).remove(0);
        assert_eq!(
            (text_at(&answer, "status"), text_at(&answer, "acknowledgement")),
            (status, acknowledgement),
            "{whole} {line}"
        );
        assert_eq!(text_at(&answer, "attributes.answers[1].line"), "2");
        assert_eq!(text_at(&answer, "attributes.answers[1].answers[0].status"), line);
    }
}

#[test]
fn a_price_for_a_hundred_is_read_as_the_price_of_one() {
    let text = sample("855_answer.edi").replace("*2.5*PE*", "*2.5*HP*").replace("*3.1*PE*", "*3.1*TP*");
    let answer = records("supplier", RecordKind::PurchaseOrder, &text).remove(0);
    assert_eq!((text_at(&answer, "lines[0].unit_cost"), text_at(&answer, "lines[1].unit_cost")), ("0.025", "0.0031"));
}

#[test]
fn a_release_is_an_order_of_its_own_and_its_answer_names_it() {
    let text = sample("850_orders.edi").replace("BEG*00*SA*HS-4711**", "BEG*17*RL*HS-4711*7*");
    let order = records("customer", RecordKind::Order, &text).remove(0);
    assert_eq!((text_at(&order, "source_id"), text_at(&order, "number")), ("HS-4711/7", "HS-4711"));
    assert_eq!((text_at(&order, "status"), text_at(&order, "attributes.type")), ("cancelled", "RL"));
    let answer = written("customer", RecordKind::Order, &order);
    assert!(answer.contains("BAK*00*RD*HS-4711*20261120*7***HS-4711/7*20261120~"), "{answer}");
}

#[test]
fn an_order_without_a_day_to_ship_is_shipped_before_it_is_cancelled_and_says_for_whom_it_is_marked() {
    let text = sample("850_orders.edi").replace("DTM*010*20261130~\n", "");
    let text = text.replace("N1*ST*Hat Shops Store 17*", "N1*Z7*Store 9*92*0009~\nN1*ST*Hat Shops Store 17*");
    let order = records("customer", RecordKind::Order, &text).remove(0);
    assert_eq!((text_at(&order, "ship_by"), text_at(&order, "attributes.mark_for.id")), ("2026-12-11T23:59:59.000Z", "0009"));
    let text = sample("940_request.edi").replace("W05|N|", "W05|F|").replace("G62|10|", "G62|38|");
    let order = records("depositor", RecordKind::Order, &text).remove(0);
    assert_eq!((text_at(&order, "status"), text_at(&order, "ship_by")), ("cancelled", "2026-11-30T23:59:59.000Z"));
}

#[test]
fn an_sscc_has_18_digits_in_a_record_and_20_after_gm() {
    let shipment = record(RecordKind::Shipment);
    let read = records("supplier", RecordKind::Shipment, &written("customer", RecordKind::Shipment, &shipment)).remove(0);
    assert_eq!(text_at(&read, "packages[0].sscc"), text_at(&shipment, "packages[0].sscc"));
    assert_eq!(text_at(&read, "carrier.code"), "ups");
    let packs = r#""packages": [{"sscc": "012345678900000049"},"#;
    let notice = written("customer", RecordKind::Shipment, &record_with(RecordKind::Shipment, r#""packages": ["#, packs));
    let marks = "PRF*HS-4711~\nMAN*GM*00012345678900000049~\nMAN*GM*00012345678900000032~\n";
    assert!(notice.contains(marks), "{notice}");
}

#[test]
fn a_carrier_without_a_scac_is_told_by_its_name() {
    let shipment = record_with(RecordKind::Shipment, r#""code": "ups""#, r#""code": "dhl_express""#);
    let notice = written("customer", RecordKind::Shipment, &shipment);
    assert!(notice.contains("TD5*B***M*UPS Ground~"), "{notice}");
    let advice = written("depositor", RecordKind::Shipment, &shipment);
    assert!(advice.contains("W27*M**UPS Ground*PP~"), "{advice}");
}

#[test]
fn what_was_sent_is_told_in_its_unit() {
    let shipment = record_with(RecordKind::Shipment, r#""quantity": "30","#, r#""quantity": "30", "unit": "DZN","#);
    let notice = written("customer", RecordKind::Shipment, &shipment);
    assert!(notice.contains("SN1*2*30*DZ**36*DZ~"), "{notice}");
    let advice = written("depositor", RecordKind::Shipment, &shipment);
    assert!(advice.contains("W12*CP*36*30*6*DZ**SK*PIN-STEEL~"), "{advice}");
}

#[test]
fn stock_that_is_promised_or_damaged_has_the_qualifiers_of_the_standard() {
    let level =
        record_with(RecordKind::InventoryLevel, r#""on_hand": "152""#, r#""on_hand": "152", "committed": "12", "damaged": "3""#);
    let advice = written("depositor", RecordKind::InventoryLevel, &level);
    assert!(advice.contains("QTY*27*12*EA~\nQTY*74*3*EA~"), "{advice}");
    let read = records("warehouse", RecordKind::InventoryLevel, &advice).remove(0);
    assert_eq!((text_at(&read, "quantities.committed"), text_at(&read, "quantities.damaged")), ("12", "3"));
}

#[test]
fn a_long_note_is_told_whole_and_lines_that_are_not_sent_are_in_no_total() {
    let note = "n".repeat(100);
    let order = record_with(RecordKind::Order, "Handle with care", &note);
    let request = written("warehouse", RecordKind::Order, &order);
    assert!(request.contains(&format!("NTE*WHI*{}~\nNTE*WHI*{}~", &note[..80], &note[80..])), "{request}");
    assert!(request.contains("W76*15~"), "{request}");
    let order = record_with(RecordKind::Order, r#""unit": "DZN","#, r#""unit": "DZN", "requires_shipping": false,"#);
    assert!(!written("warehouse", RecordKind::Order, &order).contains("W76"));
}

#[test]
fn drafts_pro_formas_and_what_has_not_left_are_refused() {
    let refused = |role_name: &str, kind: RecordKind, from: &str, to: &str| {
        let connector = role(role_name);
        let plan = connector.write_plan(kind).unwrap();
        let issues = plan.apply(&record_with(kind, from, to), connector.tables(), &Vars::default()).unwrap_err();
        issues.into_iter().map(|issue| issue.sentence).collect::<Vec<_>>()
    };
    for (from, to) in [
        (r#""status": "open""#, r#""status": "draft""#),
        (r#""status": "open""#, r#""status": "void""#),
        (r#""kind": "invoice""#, r#""kind": "proforma""#),
    ] {
        let issues = refused("customer", RecordKind::Invoice, from, to);
        assert_eq!(issues, ["the field beginning.type is required and has no value"], "{to}");
    }
    for to in [r#""status": "packed""#, r#""status": "shipped", "direction": "return""#] {
        let issues = refused("depositor", RecordKind::Shipment, r#""status": "shipped""#, to);
        assert_eq!(issues, ["the field beginning.report is required and has no value"], "{to}");
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
