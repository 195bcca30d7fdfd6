use super::*;
use crate::exception::Reason;
use crate::value::Limits;

fn value(json: &str) -> Value {
    Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
}

const SEEN: Seen = Seen {
    state: DeliveryState::Confirmed,
    later: None,
    is_different: false,
    was_sent: true,
    has_id: true,
    updates: true,
    has_previous: true,
    has_good: true,
    is_misread: false,
};

#[test]
fn what_stood_there_is_restored_and_what_was_created_is_corrected_by_good_rules() {
    assert_eq!(plan(&SEEN, Goal::Previous, false), Plan::Previous);
    assert_eq!(plan(&SEEN, Goal::Published, false), Plan::Good);
    let created = Seen { has_previous: false, ..SEEN };
    assert_eq!(plan(&created, Goal::Previous, false), Plan::Good);
    assert_eq!(plan(&created, Goal::Previous, true), Plan::Tell(Code::Created));
    assert_eq!(plan(&Seen { has_good: false, ..created }, Goal::Previous, false), Plan::Tell(Code::Created));
    // Good rules make nothing right of a revision that was read wrongly; what stood there before was not.
    assert_eq!(plan(&Seen { is_misread: true, ..created }, Goal::Previous, false), Plan::Tell(Code::Misread));
    assert_eq!(plan(&Seen { is_misread: true, ..SEEN }, Goal::Published, false), Plan::Tell(Code::Misread));
    assert_eq!(plan(&Seen { is_misread: true, ..SEEN }, Goal::Previous, false), Plan::Previous);
}

#[test]
fn nothing_is_sent_over_what_came_later_or_is_not_known() {
    let cases = [
        (Seen { later: Some(Later::of(DeliveryState::Reconciled)), ..SEEN }, Code::Later),
        (Seen { later: Some(Later::of(DeliveryState::Held)), ..SEEN }, Code::LaterOpen(DeliveryState::Held)),
        (Seen { is_different: true, ..SEEN }, Code::Different),
        (Seen { was_sent: false, ..SEEN }, Code::NothingSent),
        (Seen { has_id: false, ..SEEN }, Code::NoId),
        (Seen { updates: false, ..SEEN }, Code::NoUpdate),
    ];
    for (seen, code) in cases {
        assert_eq!(plan(&seen, Goal::Previous, false), Plan::Tell(code));
    }
    for state in DeliveryState::ALL {
        let is_settled = matches!(state, DeliveryState::Confirmed | DeliveryState::Reconciled);
        let decided = plan(&Seen { state, ..SEEN }, Goal::Previous, false);
        assert_eq!(decided == Plan::Previous, is_settled, "{}", state.as_str());
    }
}

#[test]
fn whatever_is_not_sent_has_a_reason_and_what_a_person_must_do_a_next_step() {
    let about = About { thing: "Order #1042", destination: "Acme ERP", version: 7 };
    let codes = [
        Code::Later,
        Code::LaterOpen(DeliveryState::Exception),
        Code::NotSettled(DeliveryState::Unknown),
        Code::NotSettled(DeliveryState::Exception),
        Code::Different,
        Code::NothingSent,
        Code::Same,
        Code::NoId,
        Code::NoUpdate,
        Code::Created,
        Code::NotTaken,
        Code::Misread,
    ];
    for code in codes {
        let told = Told::why(code, about);
        assert!(told.sentence.ends_with('.') && told.sentence.contains("Order #1042"), "{told:?}");
        assert_eq!(told.next_step.is_none(), matches!(told.kind, ItemKind::Covered | ItemKind::Same), "{told:?}");
    }
    let refused = Told::refused(&Reason::internal("Order #1042", "no entry"), about);
    assert_eq!(refused.kind, ItemKind::Cannot);
    assert!(refused.next_step.unwrap().ends_with("Then prepare another undo."));
}

#[test]
fn each_field_says_what_was_sent_what_stood_there_and_what_will_be_sent() {
    let sent = value(r#"{"memo": "b", "lines": [{"amount": "1000"}]}"#);
    let previous = value(r#"{"memo": "a", "lines": [{"amount": "10"}]}"#);
    let change = |path: &str, [sent, previous, will]: [Option<&str>; 3]| Change {
        path: path.into(),
        sent: sent.map(Into::into),
        previous: previous.map(Into::into),
        will: will.map(Into::into),
    };
    let restored = changes(&sent, Some(&previous), &previous);
    let memo = change("memo", [Some("b"), Some("a"), Some("a")]);
    assert_eq!(restored, (vec![memo, change("lines[0].amount", [Some("1000"), Some("10"), Some("10")])], 0));
    // The previous value of a field that is corrected further is told beside.
    let will = value(r#"{"memo": "b", "lines": [{"amount": "12"}]}"#);
    let corrected = changes(&sent, Some(&previous), &will);
    assert_eq!(corrected.0, [change("lines[0].amount", [Some("1000"), Some("10"), Some("12")])]);
    assert_eq!(changes(&sent, None, &will).0[0].previous, None);
    let long = value(&format!("[{}]", vec!["1"; 60].join(",")));
    assert_eq!((changes(&Value::Null, None, &long).0.len(), changes(&Value::Null, None, &long).1), (50, 10));
}

#[test]
fn an_undo_is_over_once_each_is_confirmed_or_told() {
    for state in DeliveryState::ALL {
        let is_under_way = !state.is_final() && state != DeliveryState::Exception;
        assert_eq!(is_over(&[(DeliveryState::Confirmed, 3), (state, 1)]), !is_under_way, "{}", state.as_str());
    }
    assert!(is_over(&[]) && is_over(&[(DeliveryState::Held, 0)]));
}
