//! What is made is allowed, is the same for the same seed, and fails small.

use std::collections::BTreeSet;

use super::*;
use crate::mapping::{Filter, IssueCode, LookupSet, Lookups, Plan, Rules, Vars};
use crate::value::decimal;

fn plain_of(kind: RecordKind) -> Value {
    Value::parse(plain(kind).as_bytes(), &Limits::DEFAULT).unwrap()
}

fn check_with(kind: RecordKind, rules: &str, lookups: &dyn Lookups) -> Report {
    let rules: Rules = serde_json::from_str(rules).unwrap();
    let plan = Plan::compile(&rules).unwrap();
    Checker { kind, plan: &plan, filter: None, lookups, vars: &Vars::default() }.run(&plain_of(kind), 1)
}

fn check(kind: RecordKind, rules: &str) -> Report {
    check_with(kind, rules, &LookupSet::default())
}

fn only(report: Report) -> Finding {
    let causes: Vec<String> = report.findings.iter().map(|finding| finding.issue.to_string()).collect();
    assert_eq!(causes.len(), 1, "{causes:#?}");
    report.findings.into_iter().next().unwrap()
}

#[test]
fn every_record_that_is_made_passes_the_canonical_check_and_is_made_once() {
    for kind in RecordKind::ALL {
        let candidates = candidates(kind, &plain_of(kind), 1);
        assert!(candidates.len() > 100, "{kind}: {}", candidates.len());
        assert_eq!(candidates[0].features, [""; 0]);
        let mut seen = BTreeSet::new();
        for candidate in candidates {
            canonical::check(kind, &candidate.document)
                .unwrap_or_else(|issues| panic!("{kind}, {:?}: {issues:?}", candidate.features));
            assert!(seen.insert(candidate.document.to_json()), "{kind}, {:?}", candidate.features);
        }
    }
}

#[test]
fn every_feature_makes_a_record_of_some_kind_that_no_other_feature_makes() {
    let mut made: BTreeSet<&str> = BTreeSet::new();
    for kind in RecordKind::ALL {
        made.extend(candidates(kind, &plain_of(kind), 1).iter().filter(|one| one.features.len() == 1).map(|one| one.features[0]));
    }
    let idle: Vec<&str> = features().filter(|name| !made.contains(name)).collect();
    assert_eq!(idle, [""; 0]);
    assert_eq!(features().collect::<BTreeSet<_>>().len(), features().count(), "a name stands twice");
}

/// What an order can have, it has: a feature that the canonical check always refuses would be none.
#[test]
fn an_order_meets_nearly_every_feature() {
    let made: BTreeSet<&str> =
        candidates(RecordKind::Order, &plain_of(RecordKind::Order), 1).iter().flat_map(|one| one.features.clone()).collect();
    let missed: Vec<&str> = features().filter(|name| !made.contains(name)).collect();
    assert_eq!(
        missed,
        [
            "no currency where none need be",
            "a unit that is seldom used",
            "a measure without its unit, or its number",
            "a weight of zero",
            "stock below zero, or in parts",
            "one number of a stock level is known",
            "a change of stock, and not its level",
            "no parcel, empty parcels, the same tracking number twice",
            "no carrier, and not sent yet",
            "counts of zero and as large as may be",
        ]
    );
}

#[test]
fn the_same_seed_makes_the_same_records_and_another_makes_others() {
    let of = |seed| candidates(RecordKind::Invoice, &plain_of(RecordKind::Invoice), seed);
    assert_eq!(of(7), of(7));
    assert_ne!(of(7), of(8));
}

#[test]
fn a_mapping_that_divides_by_the_quantity_fails_on_one_line_of_quantity_zero() {
    let report = check(
        RecordKind::Order,
        r#"[{"to": "lines", "each": "lines", "rules": [{"to": "each", "expr": "unit_price / quantity", "as": "money"}]}]"#,
    );
    let finding = only(report);
    assert_eq!(finding.issue.code, IssueCode::BadExpression);
    assert_eq!(finding.issue.rule, "rules[0].rules[0]");
    assert!(finding.features.contains(&"a line of quantity zero"), "{:?}", finding.features);
    assert_eq!(
        finding.document.to_json(),
        concat!(
            r#"{"source_id":"1","status":"draft","currency":"USD","#,
            r#""lines":[{"quantity":"0","unit_price":"1"}],"taxes_included":false,"totals":{"grand":"0"}}"#
        )
    );
}

#[test]
fn a_mapping_that_takes_no_id_but_a_number_of_64_bits_fails_on_one_id() {
    let finding = only(check(RecordKind::Payment, r#"[{"to": "id", "from": "source_id", "as": "int"}]"#));
    assert_eq!(finding.issue.code, IssueCode::BadType);
    assert_eq!(finding.document.at("source_id").and_then(Value::as_str).map(|id| id.chars().count()), Some(1));
    assert_eq!(finding.document.as_map().unwrap().len(), 5, "{}", finding.document.to_json());
}

#[test]
fn a_text_that_is_too_long_is_cut_to_where_it_just_fails() {
    let finding = only(check(RecordKind::Item, r#"[{"to": "name", "expr": "length(name) > 255 ? number('too long') : name"}]"#));
    assert_eq!(finding.document.at("name").and_then(Value::as_str), Some("a".repeat(256).as_str()));
}

#[test]
fn so_many_lines_are_left_as_it_takes_to_fail() {
    let finding = only(check(
        RecordKind::Order,
        r#"[{"to": "at_most_60_lines", "expr": "count(lines) > 60 ? null : true", "required": true}]"#,
    ));
    assert_eq!(finding.document.at("lines").and_then(Value::as_list).unwrap().len(), 61);
    assert_eq!(finding.document.at("lines[60]").unwrap().to_json(), r#"{"quantity":"1","unit_price":"1"}"#);
    canonical::check(RecordKind::Order, &finding.document).unwrap();
}

#[test]
fn failures_of_one_cause_are_one_finding_and_those_of_two_are_two() {
    let rules =
        r#"[{"to": "mail", "from": "customer.email", "required": true}, {"to": "at", "from": "placed_at", "required": true}]"#;
    let report = check(RecordKind::Order, rules);
    let rules: BTreeSet<&str> = report.findings.iter().map(|finding| finding.issue.rule.as_str()).collect();
    assert_eq!(rules, BTreeSet::from(["rules[0]", "rules[1]"]));
    assert_eq!(report.findings.len(), 2);
    assert!(report.failed >= report.findings[0].failed && report.findings[0].failed >= report.findings[1].failed);
    assert!(report.findings.iter().any(|finding| finding.features.contains(&"a guest")));
}

#[test]
fn a_mapping_that_fails_on_a_plain_record_says_so() {
    let finding = only(check(RecordKind::Customer, r#"[{"to": "n", "expr": "number('x')"}]"#));
    assert_eq!(finding.features, [""; 0]);
    assert_eq!(finding.document.to_json(), r#"{"source_id":"1","customer_type":"person"}"#);
}

#[test]
fn two_features_that_fail_only_together_are_both_named() {
    let rules = r#"[{"to": "n", "expr": "contains(customer.name, '🎩') && currency == 'JPY' ? number('x') : 1"}]"#;
    let finding = only(check(RecordKind::Order, rules));
    assert!(finding.features.len() >= 2, "{:?}", finding.features);
    assert_eq!(finding.document.at("customer").unwrap().to_json(), r#"{"name":"🎩"}"#);
    assert_eq!(finding.document.at("currency").and_then(Value::as_str), Some("JPY"));
}

#[test]
fn a_table_that_nobody_gave_has_an_entry_for_every_key_and_one_that_is_given_only_its_own() {
    let rules = r#"[{"to": "lines", "each": "lines", "rules": [{"to": "item", "from": "sku", "lookup": "SKUs", "as": "int"}]}]"#;
    let parsed: Rules = serde_json::from_str(rules).unwrap();
    let none = LookupSet::default();
    let filled = FilledTables::new(&none, &none, &parsed);
    assert_eq!(check_with(RecordKind::Order, rules, &filled).findings, []);
    assert!(filled.made_up() > 2);
    assert_eq!(filled.made_up_tables(), ["SKUs"]);

    let entries = [("HAT-XL".to_owned(), "1".to_owned()), ("MUG-12".to_owned(), "2".to_owned())];
    let given: LookupSet = [("SKUs".to_owned(), entries.into())].into_iter().collect();
    let finding = only(check_with(RecordKind::Order, rules, &FilledTables::new(&given, &none, &parsed)));
    assert_eq!((finding.issue.code, finding.issue.table.as_deref()), (IssueCode::NoEntry, Some("SKUs")));
    assert_eq!(finding.document.at("lines[0].sku").and_then(Value::as_str), Some("a"));
}

#[test]
fn a_record_that_the_flow_does_not_take_is_no_counter_example() {
    let rules = serde_json::from_str(r#"[{"to": "mail", "from": "customer.email", "required": true}]"#).unwrap();
    let plan = Plan::compile(&rules).unwrap();
    let filter = Filter::compile("!is_empty(customer.email)").unwrap();
    let (kind, vars, lookups) = (RecordKind::Order, Vars::default(), LookupSet::default());
    let report = Checker { kind, plan: &plan, filter: Some(&filter), lookups: &lookups, vars: &vars }.run(&plain_of(kind), 1);
    assert_eq!(report.findings, []);
    assert!(report.documents > 100);
}

#[test]
fn the_sums_of_an_order_are_right_after_any_feature() {
    for candidate in candidates(RecordKind::Order, &plain_of(RecordKind::Order), 3) {
        let grand = candidate.document.at("totals.grand").and_then(Value::as_str).and_then(decimal);
        assert!(grand.is_some(), "{:?}", candidate.features);
    }
}
