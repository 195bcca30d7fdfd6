use super::*;
use crate::value::Limits;
use proptest::prelude::*;

fn value(json: &str) -> Value {
    Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
}

fn told(ours: &str, theirs: &str) -> (Vec<String>, Vec<String>) {
    let found = compare(&value(ours), &value(theirs), &|_| false);
    let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
    let differences = found.differences.iter().map(|d| format!("{}: {} / {}", d.path, text(&d.ours), text(&d.theirs)));
    (differences.collect(), found.uncompared.into_iter().collect())
}

fn none() -> Vec<String> {
    vec![]
}

#[test]
fn what_the_destination_adds_and_how_it_writes_a_value_is_no_difference() {
    let (differences, uncompared) = told(
        r#"{"total": "10.00", "placed_at": "2026-11-28T10:00:00+01:00", "note": "", "paid": true, "day": "2026-11-28", "n": 3}"#,
        r#"{"id": 7, "total": 10.0, "placed_at": "2026-11-28T09:00:00Z", "note": null, "paid": "True", "day": "2026-11-28T00:00:00Z", "n": "3", "x": 1}"#,
    );
    assert_eq!((differences, uncompared), (none(), none()));
}

#[test]
fn a_cent_is_a_difference_and_so_is_a_code_that_lost_its_zeros() {
    let (differences, _) = told(r#"{"total": "10.00", "zip": "01234"}"#, r#"{"total": "10.01", "zip": 1234}"#);
    assert_eq!(differences, ["total: 10.00 / 10.01", "zip: 01234 / 1234"]);
}

#[test]
fn what_an_answer_never_says_is_told_as_not_compared() {
    let (differences, uncompared) = told(
        r#"{"total": "1", "lines": [{"sku": "A", "secret": "x"}], "item": {"id": 3}}"#,
        r#"{"lines": [{"sku": "A"}], "item": 3}"#,
    );
    assert_eq!(differences, none());
    assert_eq!(uncompared, ["item", "lines[].secret", "total"]);
}

#[test]
fn rows_that_stand_in_another_order_agree_and_a_row_too_many_does_not() {
    let (ours, theirs) = (
        r#"{"lines": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2}]}"#,
        r#"{"lines": [{"sku": "B", "n": 2}, {"sku": "A", "n": 1}]}"#,
    );
    assert_eq!(told(ours, theirs).0, none());
    let doubled = r#"{"lines": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2}, {"sku": "B", "n": 2}]}"#;
    assert_eq!(told(ours, doubled).0, [r#"lines[2]: nothing / {"sku":"B","n":2}"#]);
    let one_less = r#"{"lines": [{"sku": "B", "n": 3}]}"#;
    assert_eq!(told(ours, one_less).0, ["lines[0].sku: A / B", "lines[0].n: 1 / 3", r#"lines[1]: {"sku":"B","n":2} / nothing"#]);
}

#[test]
fn a_field_that_a_person_left_out_is_not_looked_at() {
    let found = compare(
        &value(r#"{"a": 1, "lines": [{"b": 1, "c": 1}]}"#),
        &value(r#"{"a": 2, "lines": [{"b": 2, "c": 2}]}"#),
        &|field| field == "a" || field == "lines[].b",
    );
    assert_eq!(found.differences.iter().map(|d| d.path.as_str()).collect::<Vec<_>>(), ["lines[0].c"]);
}

#[test]
fn a_period_is_refused_with_what_to_do() {
    let now = DateTime::parse_from_rfc3339("2026-11-28T12:00:00Z").unwrap().to_utc();
    let check = |from: i64, until: i64| {
        let period = Period { from: now - Duration::minutes(from), until: now - Duration::minutes(until) };
        period.check(now).map_err(|error| error.to_string())
    };
    assert_eq!(check(60, 5), Ok(()));
    assert!(check(60, 4).unwrap_err().ends_with("end it before 2026-11-28 11:55:00 UTC"));
    assert!(check(60, 60).unwrap_err().contains("before it begins"));
    assert!(check(60 * 24 * 100, 10).unwrap_err().contains("at most 93 days"));
}

#[test]
fn only_a_whole_reading_without_a_difference_is_a_proof() {
    let whole = Report { source_complete: true, destination_complete: true, agreed: 3, confirmed: 3, ..Report::default() };
    assert!(whole.is_proof());
    for not in [
        Report { unchecked: 1, ..whole.clone() },
        Report { source_complete: false, ..whole.clone() },
        Report { exceptions: 1, ..whole.clone() },
        Report { under_way: 1, ..whole.clone() },
    ] {
        assert!(!not.is_proof());
    }
    for kind in DifferenceKind::ALL {
        let mut with = whole.clone();
        with.count(kind);
        assert!(!with.is_proof() && with.differences() == 1, "{kind:?}");
        assert_eq!(DifferenceKind::parse(kind.as_str()), Some(kind));
    }
}

fn any_value() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof![Just("null".to_owned()), any::<i32>().prop_map(|n| n.to_string()), "\"[a-z0-9.]{0,6}\"".prop_map(|s| s)];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|rows| format!("[{}]", rows.join(","))),
            prop::collection::btree_map("[a-c]", inner, 0..3).prop_map(|map| {
                format!("{{{}}}", map.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_was_stored_as_it_was_sent_agrees(json in any_value()) {
        let it = value(&json);
        let found = compare(&it, &it, &|_| false);
        prop_assert!(found.differences.is_empty() && found.uncompared.is_empty(), "{json}: {found:?}");
    }

    #[test]
    fn the_order_of_rows_never_makes_a_difference(rows in prop::collection::vec(0..5_i32, 0..12), turn in 0..12_usize) {
        let list = |rows: &[i32]| value(&format!("[{}]", rows.iter().map(|n| format!("{{\"n\":{n}}}")).collect::<Vec<_>>().join(",")));
        let mut turned = rows.clone();
        if !turned.is_empty() {
            let by = turn % turned.len();
            turned.rotate_left(by);
        }
        prop_assert_eq!(compare(&list(&rows), &list(&turned), &|_| false).differences, vec![]);
    }
}
