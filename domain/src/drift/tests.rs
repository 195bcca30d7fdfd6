//! Profiles merge in any order, whatever comes; and what is raised is what a person would call different.

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::id::FlowId;
use crate::mapping::{Filter, Plan, Rules};
use crate::value::{Arena, Limits, Tree};

fn profile(documents: &[String]) -> Profile {
    gathered(documents).profile()
}

fn gathered(documents: &[String]) -> Gatherer {
    let mut gatherer = Gatherer::default();
    for (n, document) in documents.iter().enumerate() {
        let arena = Arena::new();
        let tree = Tree::parse(document.as_bytes(), &Limits::DEFAULT, None, &arena).unwrap();
        gatherer.add(tree, Uuid::from_u128(n as u128 + 1));
    }
    gatherer
}

fn merged(one: &Profile, other: &Profile) -> Profile {
    let mut both = one.clone();
    both.merge(other);
    both
}

fn order(n: usize, status: &str, more: &str) -> String {
    format!(
        r#"{{"id": {n}, "status": "{status}", "total": "{n}.50", "email": "a{n}@example.com", "gift": null,
             "customer": {{"id": {n}}}, "lines": [{{"sku": "S{n}", "quantity": 1, "tax": {{"code": "standard"}}}}, {{"sku": "T{n}", "quantity": 2, "tax": {{"code": "standard"}}}}]{more}}}"#
    )
}

fn before() -> Profile {
    profile(&(0..60).map(|n| order(n, if n % 3 == 0 { "paid" } else { "pending" }, "")).collect::<Vec<_>>())
}

fn raised(documents: &[String]) -> Vec<(String, What, Option<String>)> {
    let drifts = compare(&before(), &profile(documents));
    drifts.into_iter().map(|drift| (drift.path.to_string(), drift.what, drift.value)).collect()
}

#[test]
fn more_of_the_same_is_no_drift() {
    assert_eq!(raised(&(60..90).map(|n| order(n, "paid", "")).collect::<Vec<_>>()), vec![]);
    assert_eq!(raised(&[order(60, "pending", "")]), vec![]);
}

#[test]
fn one_document_shows_a_new_field_type_word_or_tax() {
    let one = |path: &str, what, value: Option<&str>| vec![(path.to_owned(), what, value.map(str::to_owned))];
    assert_eq!(raised(&[order(61, "split", "")]), one("status", What::NewValue, Some("split")));
    let group = r#", "pickup": {"at": {"shop": "x"}}"#;
    assert_eq!(raised(&[order(61, "paid", group)]), one("pickup", What::NewField, None), "only the highest");
    let text_id = order(61, "paid", "").replace("\"id\": 61,", "\"id\": \"61\",");
    let raised_id: Vec<_> = raised(&[text_id]);
    assert!(raised_id.contains(&("id".into(), What::Retyped, Some("text".into()))), "{raised_id:?}");
    let tax = order(61, "paid", "").replacen("standard", "reduced", 1);
    assert_eq!(raised(&[tax]), one("lines[].tax.code", What::NewTaxCode, Some("reduced")));
    let gift = order(61, "paid", "").replace("\"gift\": null", "\"gift\": {\"note\": \"x\"}");
    assert_eq!(raised(&[gift]), one("gift", What::NewField, None), "it had never a value");
    let long = order(61, &"x".repeat(65), "");
    assert_eq!(raised(&[long])[0], ("status".into(), What::NewValue, None), "a text that is no word is news too");
}

#[test]
fn an_example_shows_what_was_found() {
    let documents: Vec<String> = (0..5).map(|n| order(n, if n == 3 { "split" } else { "paid" }, "")).collect();
    let gatherer = gathered(&documents);
    let drift = &compare(&before(), &gatherer.profile())[0];
    assert_eq!(gatherer.example(drift), Some(Uuid::from_u128(4)));
}

#[test]
fn a_field_has_vanished_only_where_chance_does_not_explain_it() {
    let without = |count: usize| -> Vec<String> {
        (0..count).map(|n| order(n, "paid", "").replace(&format!("\"total\": \"{n}.50\", "), "")).collect()
    };
    assert_eq!(raised(&without(3)), vec![]);
    assert_eq!(raised(&without(10)), vec![("total".into(), What::Vanished, None)]);
    let no_customer: Vec<String> =
        (0..10).map(|n| order(n, "paid", "").replace(&format!("\"customer\": {{\"id\": {n}}}, "), "")).collect();
    assert_eq!(raised(&no_customer), vec![("customer".into(), What::Vanished, None)], "not each field in it");
    let no_lines: Vec<String> = (0..30).map(|n| format!("{}[]}}", order(n, "paid", "").split_once('[').unwrap().0)).collect();
    assert_eq!(raised(&no_lines), vec![], "a list may be empty");
}

#[test]
fn nulls_and_lengths_are_told_where_they_leave_what_was_usual() {
    let nulls: Vec<String> = (0..40)
        .map(|n| {
            if n % 2 == 0 {
                order(n, "paid", "").replace("\"status\": \"paid\"", "\"status\": null")
            } else {
                order(n, "paid", "")
            }
        })
        .collect();
    assert_eq!(raised(&nulls), vec![("status".into(), What::MoreNulls, None)]);
    let long: Vec<String> = vec![order(1, "paid", "").replace("a1@example.com", &format!("{}@example.com", "a".repeat(40)))];
    assert_eq!(raised(&long), vec![("email".into(), What::Longer, None)]);
}

#[test]
fn keys_that_are_data_are_no_fields_and_many_fields_are_no_data() {
    let by_key = |n: usize| format!(r#"{{"id": {n}, "stock": {{"item{n}": 1}}}}"#);
    let known = profile(&(0..100).map(by_key).collect::<Vec<_>>());
    assert_eq!(compare(&known, &profile(&(100..120).map(by_key).collect::<Vec<_>>())), vec![]);
    let wide = |more: &str| format!("{{{}{more}}}", (0..80).map(|n| format!("\"k{n}\": 1")).collect::<Vec<_>>().join(","));
    let known = profile(&vec![wide(""); 60]);
    let found = compare(&known, &profile(&[wide(", \"new\": 1")]));
    assert_eq!(found.iter().map(|drift| drift.path.as_str()).collect::<Vec<_>>(), ["new"]);
}

#[test]
fn personal_values_are_in_no_profile() {
    let json = serde_json::to_string(&before()).unwrap();
    assert!(!json.contains("example.com") && !json.contains("S1") && json.contains("pending"), "{json}");
}

#[test]
fn what_is_accepted_is_no_drift_and_what_is_withheld_is_one_again() {
    let documents = [
        order(61, "split", r#", "pickup": {"at": "x"}"#),
        order(62, "paid", "").replace("\"id\": 62,", "\"id\": \"62\",").replace("standard", "reduced"),
        order(63, "paid", "").replace("\"gift\": null", "\"gift\": \"x\""),
    ];
    let (mut known, now) = (before(), profile(&documents));
    let found = compare(&known, &now);
    assert_eq!(found.len(), 5, "{found:?}");
    for drift in &found {
        accept(&mut known, &drift.path, drift.what, &drift.news);
    }
    assert_eq!(compare(&known, &now), vec![]);
    for drift in &found {
        withhold(&mut known, &drift.path, drift.what, &drift.news);
    }
    let again = compare(&known, &now);
    let keys = |drifts: &[Drift]| drifts.iter().map(|d| (d.path.clone(), d.what, d.value.clone())).collect::<Vec<_>>();
    assert_eq!(keys(&again), keys(&found));
}

#[test]
fn the_nearest_policy_says_whether_a_document_is_held() {
    let policies = |patterns: &[(&str, Policy)]| Policies::new(patterns.iter().map(|(p, policy)| ((*p).to_owned(), *policy)));
    let look = |text: &str, of: Policies| -> Vec<String> {
        let arena = Arena::new();
        let tree = Tree::parse(text.as_bytes(), &Limits::DEFAULT, None, &arena).unwrap();
        Watch::new(before(), of).held(tree, Uuid::nil()).into_iter().map(|d| d.path.to_string()).collect()
    };
    let document = order(61, "split", "").replace("standard", "reduced");
    let paths = |of: Policies| look(&document, of);
    let all = || policies(&[("*", Policy::Hold)]);
    assert!(look(&order(62, "paid", ""), all()).is_empty());
    assert_eq!(look(&order(62, "paid", r#", "extra": 1"#), all()), ["extra"]);
    assert_eq!(look(&order(62, "paid", r#", "extra": {"a": {"b": 1}}"#), policies(&[("extra.a.b", Policy::Hold)])), ["extra"]);
    assert_eq!(
        look(&order(62, "paid", r#", "extra": {"a": {"b": 1}}"#), policies(&[("extra.a.c", Policy::Hold)])),
        Vec::<String>::new()
    );
    assert_eq!(
        look(
            &order(62, "paid", "").replace("\"quantity\": 2", "\"quantity\": \"2\""),
            policies(&[("lines[].quantity", Policy::Hold)])
        ),
        ["lines[].quantity"]
    );
    assert!(paths(policies(&[])).is_empty());
    assert_eq!(paths(policies(&[("lines", Policy::Hold)])), ["lines[].tax.code"]);
    assert_eq!(paths(policies(&[("*", Policy::Hold), ("lines[].tax", Policy::Pass)])), ["status"]);
    assert_eq!(paths(policies(&[("stat", Policy::Hold)])), Vec::<String>::new());
    for (pattern, is) in
        [("*", true), ("lines[].sku", true), ("[].id", true), ("", false), ("a..b", false), ("a.*", false), ("a[0]", false)]
    {
        assert_eq!(is_pattern(pattern), is, "{pattern}");
    }
}

#[test]
fn risk_depends_on_who_reads_the_field_and_for_what() {
    let plan = |rules: &str| Plan::compile(&serde_json::from_str::<Rules>(rules).unwrap()).unwrap();
    let read = plan(
        r#"[{"to": "payment_status", "from": "status", "lookup": "statuses"}, {"to": "totals.grand", "from": "total"}, {"to": "note", "from": "gift"},
            {"to": "lines", "each": "lines", "rules": [{"to": "sku", "from": "sku"}]}]"#,
    );
    let write = plan(
        r#"[{"to": "state", "from": "payment_status"}, {"to": "amount", "from": "totals.grand"},
            {"to": "rows", "each": "lines", "rules": [{"to": "item", "from": "sku"}]}]"#,
    );
    let filter = Filter::compile("totals.grand > 10").unwrap();
    let flow = FlowId(Uuid::from_u128(7));
    let reach =
        |path: &str, filter| Reach::of(&path.into(), Side::Source, Some(&read), &[Mapped { flow, write: &write, filter }]);
    let touched = |fields: &[&str]| vec![Touched { flow, fields: fields.iter().map(|f| (*f).to_owned()).collect() }];
    assert_eq!(reach("status", None), Reach { reading: Reading::Decides, flows: touched(&["state"]) });
    assert_eq!(reach("total", None), Reach { reading: Reading::Carried, flows: touched(&["amount"]) });
    assert_eq!(reach("total", Some(&filter)), Reach { reading: Reading::Decides, flows: touched(&["(filter)", "amount"]) });
    assert_eq!(reach("lines[].sku", None), Reach { reading: Reading::Carried, flows: touched(&["rows[].item"]) });
    assert_eq!(
        reach("gift", None),
        Reach { reading: Reading::Unread, flows: vec![] },
        "the record has it, and no destination wants it"
    );
    let there = Reach::of(&"rows[].item".into(), Side::Destination, None, &[Mapped { flow, write: &write, filter: None }]);
    assert_eq!(there, Reach { reading: Reading::Carried, flows: touched(&["rows[].item"]) });

    let drift = &compare(&before(), &profile(&[order(61, "split", "")]))[0];
    let said = judge(drift, Side::Source, Reading::Decides, "Acme shop");
    assert_eq!(said.risk, Risk::High);
    assert_eq!(
        said.sentence,
        "What Acme shop sends has \"split\" in the field status, where it had \"paid\", \"pending\" until now."
    );
    assert_eq!(judge(drift, Side::Source, Reading::Unread, "x").risk, Risk::Low);
}

#[test]
fn hostile_documents_leave_a_bounded_profile() {
    let wide = format!("{{{}}}", (0..20_000).map(|n| format!("\"k{n}\":\"v{n}\"")).collect::<Vec<_>>().join(","));
    let deep = format!("{}1{}", "{\"a\":".repeat(60), "}".repeat(60));
    let many = format!("{{\"a\":[{}]}}", (0..60_000).map(|n| format!("\"v{n}\"")).collect::<Vec<_>>().join(","));
    let long = format!("{{\"{}\":1,\"b\":\"{}\"}}", "k".repeat(5_000), "é".repeat(100_000));
    let mut all = Profile::default();
    for documents in [vec![wide.clone()], vec![deep], vec![many], vec![long], vec![wide]] {
        let one = profile(&documents);
        assert!(one.fields.len() <= PATHS_MAX);
        all.merge(&one);
    }
    assert!(all.fields.len() <= PATHS_MAX);
    for (path, field) in &all.fields {
        assert!(path.as_str().len() <= PATH_BYTES_MAX && field.values.as_ref().is_none_or(|values| values.len() <= VALUES_MAX));
    }
    assert!(serde_json::to_string(&all).unwrap().len() < 2_000_000);
    assert!(compare(&before(), &all).len() <= 50);
}

fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        (0..30_u8).prop_map(|n| n.to_string()),
        (0..30_u8).prop_map(|n| format!("{n}.5")),
        "[a-d]{1,2}".prop_map(|text| format!("\"{text}\"")),
        "[a-z0-9@]{0,70}".prop_map(|text| format!("\"{text}\"")),
    ];
    let value = leaf.prop_recursive(4, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::btree_map("[a-f]{1,2}|email|tax_code", inner, 0..6).prop_map(map),
        ]
    });
    prop::collection::btree_map("[a-f]{1,2}|status", value, 0..6).prop_map(map)
}

fn map(fields: std::collections::BTreeMap<String, String>) -> String {
    let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", fields.join(","))
}

/// A profile that is full: its fields are the first of more than there is room for.
fn crowded() -> impl Strategy<Value = Profile> {
    (0..3_000_usize, 0..2_000_usize, 1..50_u64).prop_map(|(start, count, documents)| {
        let field =
            |n: usize| (Path::from(format!("k{n:05}.a").as_str()), Field { documents, filled: documents, ..Field::default() });
        let mut all = Profile { documents, ..Profile::default() };
        all.merge(&Profile { documents: 0, fields: (start..start + count).map(field).collect() });
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn profiles_merge_in_any_order(
        (a, b, c) in (prop::collection::vec(document(), 0..12), prop::collection::vec(document(), 0..12), prop::collection::vec(document(), 0..12)),
    ) {
        let all: Vec<String> = [a.clone(), b.clone(), c.clone()].concat();
        let (a, b, c) = (profile(&a), profile(&b), profile(&c));
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
        prop_assert_eq!(merged(&merged(&a, &b), &c), profile(&all), "and come to the same as all documents at once");
    }

    #[test]
    fn full_profiles_merge_in_any_order_too((a, b, c) in (crowded(), crowded(), crowded())) {
        prop_assert_eq!(merged(&a, &b), merged(&b, &a));
        prop_assert_eq!(merged(&merged(&a, &b), &c), merged(&a, &merged(&b, &c)));
    }

    #[test]
    fn one_look_finds_what_a_comparison_does(documents in prop::collection::vec(document(), 20..60), next in document()) {
        let known = profile(&documents);
        let found: Vec<Drift> = compare::news(&known, &profile(std::slice::from_ref(&next)));
        let arena = Arena::new();
        let tree = Tree::parse(next.as_bytes(), &Limits::DEFAULT, None, &arena).unwrap();
        let watch = Watch::new(known, Policies::new([("*".to_owned(), Policy::Hold)]));
        prop_assert_eq!(watch.held(tree, Uuid::nil()), found);
    }

    #[test]
    fn a_profile_never_drifts_from_itself(documents in prop::collection::vec(document(), 1..30)) {
        let profile = profile(&documents);
        prop_assert_eq!(compare(&profile, &profile), vec![]);
    }
}
