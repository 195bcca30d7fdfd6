use super::*;

fn at(day: u64) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-01T00:00:00Z").unwrap().to_utc() + Days::new(day)
}

fn value(json: serde_json::Value) -> Value {
    Value::from(&json)
}

fn line(sku: &str, quantity: &str, price: &str) -> serde_json::Value {
    serde_json::json!({"sku": sku, "quantity": quantity, "unit_price": price})
}

fn order() -> Value {
    value(serde_json::json!({"number": "#1042", "status": "open", "currency": "USD", "totals": {"grand": "150.00"},
        "lines": [line("HAT", "10", "10.00"), line("Mug", "5", "10.00"),
                  {"source_id": "77", "title": "Engraving", "quantity": "1", "unit_price": "0", "requires_shipping": false}]}))
}

fn shipment(number: &str, status: &str, lines: &[(&str, &str)]) -> Value {
    let lines: Vec<_> = lines.iter().map(|(sku, quantity)| serde_json::json!({"sku": sku, "quantity": quantity})).collect();
    value(serde_json::json!({"number": number, "status": status, "lines": lines}))
}

fn invoice(number: &str, kind: &str, grand: &str, lines: &[serde_json::Value]) -> Value {
    value(
        serde_json::json!({"number": number, "kind": kind, "status": "open", "currency": "USD", "totals": {"grand": grand}, "lines": lines}),
    )
}

fn say(shipments: &[Value], invoices: &[Value], policy: &MatchPolicy) -> Vec<String> {
    compare(&order(), shipments, invoices, policy, at(0)).mismatches.into_iter().map(|found| found.sentence).collect()
}

#[test]
fn what_agrees_is_told_nothing_of() {
    let policy = MatchPolicy::default();
    assert!(say(&[], &[], &policy).is_empty());
    let shipped = [shipment("S1", "shipped", &[("hat", "10")]), shipment("S2", "delivered", &[("MUG", "5")])];
    assert!(say(&shipped, &[], &policy).is_empty());
    let engraving = serde_json::json!({"order_line_id": "77", "quantity": "1", "unit_price": "0"});
    let billed = invoice("INV-7", "invoice", "150.01", &[line("HAT", "10", "10"), line("MUG", "5", "10.01"), engraving]);
    assert!(say(&shipped, &[billed], &policy).is_empty(), "a cent is let pass");
}

#[test]
fn what_is_billed_and_not_shipped_is_told_until_it_is() {
    let billed = [invoice("INV-7", "invoice", "100", &[line("HAT", "10", "10.00")])];
    let policy = MatchPolicy::default();
    assert_eq!(say(&[], &billed, &policy), ["Invoice INV-7 bills 10 of HAT, but none was shipped."]);
    let some = [shipment("S1", "shipped", &[("HAT", "8")]), shipment("S2", "label_created", &[("HAT", "2")])];
    assert_eq!(say(&some, &billed, &policy), ["Invoice INV-7 bills 10 of HAT, but only 8 were shipped."]);
    let all = [some[0].clone(), shipment("S2", "in_transit", &[("HAT", "2.00")])];
    assert!(say(&all, &billed, &policy).is_empty());
    assert!(say(&[], &billed, &MatchPolicy { bills_after_shipping: false, ..policy }).is_empty());
}

#[test]
fn more_than_was_ordered_is_told_once_with_all_that_add_up_to_it() {
    let policy = MatchPolicy { quantity_percent: Decimal::from(10), ..MatchPolicy::default() };
    let shipped = |more: &str| [shipment("S1", "shipped", &[("HAT", "8")]), shipment("S2", "shipped", &[("HAT", more)])];
    assert!(say(&shipped("3"), &[], &policy).is_empty(), "ten percent is let pass");
    let said = "Shipments S1 and S2 together sent 12 of HAT, but only 10 were ordered in #1042.";
    assert_eq!(say(&shipped("4"), &[], &policy), [said]);
    let foreign = [shipment("S1", "shipped", &[("CAP", "1")])];
    assert_eq!(say(&foreign, &[], &policy), ["Shipment S1 sent 1 of CAP, but it is not in order #1042."]);
}

#[test]
fn a_credit_note_takes_back_what_was_billed_too_much() {
    let policy = MatchPolicy { bills_after_shipping: false, ..MatchPolicy::default() };
    let mut billed = vec![invoice("INV-7", "invoice", "180.00", &[line("HAT", "13", "10.00"), line("MUG", "5", "10.00")])];
    let expected = [
        "Invoice INV-7 bills 13 of HAT, but only 10 were ordered in #1042.",
        "Invoice INV-7 bills 180.00 USD, and order #1042 comes to 150.00 USD.",
    ];
    assert_eq!(say(&[], &billed, &policy), expected);
    billed.push(invoice("CN-1", "credit_note", "-30.00", &[line("HAT", "3", "10.00")]));
    assert!(say(&[], &billed, &policy).is_empty());
    billed[0] = invoice("INV-7", "proforma", "999", &[line("HAT", "99", "99")]);
    assert!(say(&[], &billed[..1], &policy).is_empty(), "it asks for no money");
}

#[test]
fn prices_totals_and_currencies_are_compared_within_the_larger_tolerance() {
    let policy = MatchPolicy { bills_after_shipping: false, amount_percent: Decimal::from(5), ..MatchPolicy::default() };
    let billed = |price: &str| [invoice("INV-7", "invoice", "100", &[line("HAT", "10", price)])];
    assert!(say(&[], &billed("10.50"), &policy).is_empty());
    assert_eq!(say(&[], &billed("10.51"), &policy), ["Invoice INV-7 bills HAT at 10.51, and it was ordered at 10.00."]);
    let euro = value(serde_json::json!({"number": "INV-8", "kind": "invoice", "status": "open", "currency": "EUR",
        "totals": {"grand": "1"}, "lines": []}));
    assert_eq!(say(&[], &[euro], &policy), ["Invoice INV-8 is in EUR, and order #1042 is in USD."]);
}

#[test]
fn a_mismatch_is_an_exception_of_operations_and_groups_by_its_cause() {
    let billed = [invoice("INV-7", "invoice", "10", &[line("HAT", "1", "10.00")])];
    let found = compare(&order(), &[], &billed, &MatchPolicy::default(), at(0)).mismatches;
    let reason = found[0].reason();
    assert_eq!((reason.code.as_str(), reason.value.as_deref()), ("match.billed_not_shipped", Some("HAT")));
    assert!(reason.next_step.ends_with("It closes itself once they agree."));
    let bad = MatchPolicy { amount_percent: Decimal::from(101), ..MatchPolicy::default() };
    assert_eq!(bad.fault().map(|(field, _)| field), Some("amountPercent"));
}

#[test]
fn what_left_and_was_never_billed_is_told_when_its_time_is_over() {
    let policy = MatchPolicy { bill_within_days: Some(14), ..MatchPolicy::default() };
    let left = |number: &str, day: u64, quantity: &str| {
        value(serde_json::json!({"number": number, "status": "shipped", "shipped_at": at(day).to_rfc3339(),
            "lines": [{"sku": "HAT", "quantity": quantity}]}))
    };
    let shipped = [left("S2", 5, "6"), left("S1", 0, "4")];
    let sentences = |billed: &[Value], day: u64| {
        let compared = compare(&order(), &shipped, billed, &policy, at(day));
        (compared.mismatches.into_iter().map(|found| found.sentence).collect::<Vec<_>>(), compared.again_at)
    };
    assert_eq!(sentences(&[], 13), (vec![], Some(at(14))));
    let none = "Shipments S2 and S1 together sent 10 of HAT, but none was billed within 14 days.";
    assert_eq!(sentences(&[], 14), (vec![none.to_owned()], None));
    // What left first is billed first: the rest has until its own time.
    let some = [invoice("INV-7", "invoice", "40", &[line("HAT", "4", "10.00")])];
    assert_eq!(sentences(&some, 14), (vec![], Some(at(19))));
    let rest = "Shipments S2 and S1 together sent 10 of HAT, but only 4 were billed within 14 days.";
    assert_eq!(sentences(&some, 19), (vec![rest.to_owned()], None));
    let all = [some[0].clone(), invoice("INV-8", "invoice", "60", &[line("HAT", "6", "10.00")])];
    assert_eq!(sentences(&all, 99), (vec![], None));
    let bad = MatchPolicy { bill_within_days: Some(0), ..MatchPolicy::default() };
    assert_eq!(bad.fault().map(|(field, _)| field), Some("billWithinDays"));
}
