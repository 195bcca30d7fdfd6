use domain::flow::FlowSpec;
use domain::id::ConnectionId;

use super::*;
use crate::Catalog;
use crate::flow::FlowPlan;

const ORDER: RecordKind = RecordKind::Order;

fn told(from: &str, to: &str, mapping: serde_json::Value, settings: &serde_json::Value, tables: &[String]) -> Vec<Gap> {
    let catalog = Catalog::embedded();
    let (old, new) = (catalog.get(from).unwrap(), catalog.get(to).unwrap());
    let plan = |connector, mapping| {
        let spec: FlowSpec = serde_json::from_value(serde_json::json!({"mapping": mapping})).unwrap();
        FlowPlan::of(&spec, ORDER, connector).unwrap()
    };
    let (old_plan, new_plan) = (plan(old, serde_json::json!([])), plan(new, mapping));
    let example = old.example_settings();
    let side = |name, connector, settings| Side { connection: ConnectionId::generate(), name, connector, settings };
    let candidate = Candidate {
        side: side("New", new, settings),
        plan: new_plan.write_plan(new, ORDER),
        has_credential: true,
        is_active: true,
    };
    gaps(ORDER, side("Old", old, &example), old_plan.write_plan(old, ORDER), &candidate, tables)
}

fn of<'g>(gaps: &'g [Gap], topic: &str, subject: &str) -> Option<&'g Gap> {
    gaps.iter().find(|gap| gap.topic == topic && gap.subject.as_deref() == Some(subject))
}

#[test]
fn another_account_of_the_same_connector_lacks_nothing_but_codes_of_its_own() {
    let settings = Catalog::embedded().get("netsuite").unwrap().example_settings();
    let gaps = told("netsuite", "netsuite", serde_json::json!([]), &settings, &["SKUs".to_owned()]);
    let topics: Vec<(&str, Severity)> = gaps.iter().map(|gap| (gap.topic, gap.severity)).collect();
    assert_eq!(topics, [("table", Severity::Loses)], "{gaps:#?}");
}

#[test]
fn what_blocks_comes_first_and_says_what_to_do() {
    let gaps = told("netsuite", "odoo", serde_json::json!([]), &serde_json::json!({}), &[]);
    assert_eq!(gaps[0].severity, Severity::Blocks, "{gaps:#?}");
    assert!(of(&gaps, "setting", "base_url").is_some_and(|gap| gap.severity == Severity::Blocks));
    assert!(of(&gaps, "table", "SKUs").is_some_and(|gap| gap.next_step.contains("Odoo")));
    assert!(gaps.windows(2).all(|pair| pair[0].severity <= pair[1].severity));
    assert!(gaps.iter().all(|gap| gap.sentence.ends_with('.') && !gap.next_step.is_empty()), "{gaps:#?}");
}

#[test]
fn a_field_is_lost_until_a_rule_of_the_candidate_carries_it() {
    let settings = Catalog::embedded().get("http").unwrap().example_settings();
    let lost = |gaps: &[Gap]| -> Vec<String> {
        gaps.iter().filter(|gap| gap.topic == "field").filter_map(|gap| gap.subject.clone()).collect()
    };
    let all = told("http", "netsuite", serde_json::json!([]), &settings, &[]);
    let lost_without = lost(&all);
    assert!(lost_without.iter().any(|field| field == "lines[].variant"), "{lost_without:?}");
    let rule = serde_json::json!([{"to": "custbody_variants", "expr": "join(lines.variant, ', ')"}]);
    let mended = lost(&told("http", "netsuite", rule, &settings, &[]));
    assert!(!mended.iter().any(|field| field == "lines[].variant"), "{mended:?}");
    let amount = of(&all, "field", "refunds[].amount").unwrap();
    assert_eq!(
        amount.sentence,
        "The amount \"refunds[].amount\" is sent to HTTP (your own system), and no rule sends it to NetSuite."
    );
}

#[test]
fn a_kind_that_the_candidate_does_not_write_is_told_alone() {
    let settings = Catalog::embedded().get("stripe").unwrap().example_settings();
    let gaps = told("netsuite", "stripe", serde_json::json!([]), &settings, &[]);
    assert!(gaps.iter().any(|gap| gap.topic == "write" && gap.severity == Severity::Blocks), "{gaps:#?}");
    assert!(!gaps.iter().any(|gap| gap.topic == "proof" || gap.topic == "field"), "{gaps:#?}");
}

#[test]
fn a_source_that_tells_of_less_says_which_fields_the_flow_would_miss() {
    let catalog = Catalog::embedded();
    let (old, new) = (catalog.get("shopify").unwrap(), catalog.get("odoo").unwrap());
    let settings = new.example_settings();
    let side = |connector| Side { connection: ConnectionId::generate(), name: "Shop", connector, settings: &settings };
    let candidate = Candidate { side: side(new), plan: new.read_plan(ORDER), has_credential: false, is_active: false };
    let needed = ["lines[].discounts[].amount".to_owned(), "note".to_owned(), "risk".to_owned()];
    let gaps = source_gaps(ORDER, side(old), old.read_plan(ORDER), &candidate, &needed, &[]);
    let blocks: Vec<&str> = gaps.iter().filter(|gap| gap.severity == Severity::Blocks).map(|gap| gap.topic).collect();
    assert!(blocks.contains(&"connection") && blocks.contains(&"credential"), "{gaps:#?}");
    assert!(gaps.iter().any(|gap| gap.topic == "webhook" && gap.severity == Severity::Loses), "{gaps:#?}");
    let fields: Vec<&str> = gaps.iter().filter(|gap| gap.topic == "field").filter_map(|gap| gap.subject.as_deref()).collect();
    assert!(!fields.contains(&"risk") && !fields.contains(&"tags"), "only what is read and needed: {fields:?}");
}
