use super::*;

fn group(cause: &str, count: i64, age_minutes: i64, now: DateTime<Utc>) -> Group {
    Group {
        cause_key: cause.into(),
        owner: "operations".into(),
        code: "no_entry".into(),
        connection: ConnectionId::generate(),
        flow: None,
        tags: vec!["eu".into()],
        count,
        money: BTreeMap::from([("EUR".to_owned(), Decimal::new(1_000, 0))]),
        first_at: now - Duration::minutes(age_minutes),
        last_at: now - Duration::minutes(age_minutes),
        assignee: None,
        is_snoozed: false,
    }
}

fn rule(when: Match, then: Then) -> Rule {
    Rule { id: AlertRuleId::generate(), when, then }
}

fn every(receivers: &[AlertReceiverId]) -> HashMap<AlertReceiverId, Duration> {
    receivers.iter().map(|id| (*id, Duration::minutes(60))).collect()
}

fn tells(receiver: AlertReceiverId) -> Then {
    Then { receivers: vec![receiver], ..Then::default() }
}

#[test]
fn a_group_is_told_at_once_and_then_only_when_it_has_grown_and_time_has_passed() {
    let (now, to) = (Utc::now(), AlertReceiverId::generate());
    let rules = [rule(Match::default(), tells(to))];
    let mut one = group("a", 3, 1, now);
    let alerts =
        |group: &Group, before: &Before, at| decide(&rules, &every(&[to]), std::slice::from_ref(group), before, at).alerts;
    assert_eq!(alerts(&one, &Before::default(), now), [Alert { receiver: to, groups: vec![0], is_escalated: false }]);
    let mark = Mark { at: now, count: 3, last_at: one.last_at };
    let before = Before { marks: HashMap::from([((to, "a".to_owned()), mark)]), ..Before::default() };
    let later = now + Duration::minutes(61);
    assert_eq!(alerts(&one, &before, later), [], "it is as it was");
    (one.count, one.last_at) = (9, now + Duration::minutes(2));
    assert_eq!(alerts(&one, &before, now + Duration::minutes(59)), [], "it was told of a while ago");
    assert_eq!(alerts(&one, &before, later).len(), 1);
    one.is_snoozed = true;
    assert_eq!(alerts(&one, &before, later), []);
    assert_eq!(
        decide(&rules, &HashMap::new(), &[group("a", 1, 1, now)], &Before::default(), now),
        Deeds::default(),
        "it is paused"
    );
}

#[test]
fn many_groups_at_once_are_one_alert() {
    let (now, to) = (Utc::now(), AlertReceiverId::generate());
    let rules = [rule(Match::default(), tells(to)), rule(Match::default(), tells(to))];
    let count = |groups: usize| {
        let groups: Vec<Group> = (0..groups).map(|n| group(&n.to_string(), 1, 1, now)).collect();
        decide(&rules, &every(&[to]), &groups, &Before::default(), now)
            .alerts
            .iter()
            .map(|alert| alert.groups.len())
            .collect::<Vec<_>>()
    };
    assert_eq!((count(5), count(6), count(1_000)), (vec![1; 5], vec![6], vec![1_000]));
}

#[test]
fn all_that_a_rule_says_must_fit() {
    let (now, to) = (Utc::now(), AlertReceiverId::generate());
    let one = group("a", 3, 30, now);
    let fits = |when: Match| rule(when, tells(to)).fits(&one, now);
    let money = |currency: &str, amount| Some(MoneyMin { currency: currency.into(), amount: Decimal::new(amount, 0) });
    assert!(fits(Match {
        owner: Some(Owner::Operations),
        code_prefix: Some("no_".into()),
        tag: Some("eu".into()),
        count_min: Some(3),
        money_min: money("EUR", 1_000),
        age_min_minutes: Some(30),
        connection: Some(one.connection),
        flow: None
    }));
    for other in [
        Match { owner: Some(Owner::Vendor), ..Match::default() },
        Match { code_prefix: Some("required".into()), ..Match::default() },
        Match { connection: Some(ConnectionId::generate()), ..Match::default() },
        Match { flow: Some(FlowId::generate()), ..Match::default() },
        Match { tag: Some("us".into()), ..Match::default() },
        Match { count_min: Some(4), ..Match::default() },
        Match { money_min: money("EUR", 1_001), ..Match::default() },
        Match { money_min: money("USD", 1), ..Match::default() },
        Match { age_min_minutes: Some(31), ..Match::default() },
    ] {
        assert!(!fits(other.clone()), "{other:?}");
    }
}

#[test]
fn a_group_that_stays_is_escalated_once_and_again_when_it_came_back() {
    let (now, first, boss) = (Utc::now(), UserId::generate(), UserId::generate());
    let (to, chief) = (AlertReceiverId::generate(), AlertReceiverId::generate());
    let escalate = Some(Escalate { after_minutes: 120, assign_to: Some(boss), receivers: vec![chief] });
    let rules = [rule(Match::default(), Then { assign_to: Some(first), receivers: vec![to], escalate })];
    let decide = |groups: &[Group], before: &Before| decide(&rules, &every(&[to, chief]), groups, before, now);
    let young = decide(&[group("a", 1, 119, now)], &Before::default());
    assert_eq!((young.assigned, young.escalated.len(), young.alerts.len()), (vec![(0, first)], 0, 1));
    let old = decide(&[Group { assignee: Some(first), ..group("a", 1, 121, now) }], &Before::default());
    assert_eq!((old.assigned, &old.escalated), (vec![(0, boss)], &vec![(rules[0].id, 0)]));
    assert_eq!(
        old.alerts.iter().map(|alert| (alert.receiver, alert.is_escalated)).collect::<Vec<_>>(),
        [(to, false), (chief, true)]
    );
    let escalated = |minutes| Before {
        escalated: HashMap::from([((rules[0].id, "a".to_owned()), now - Duration::minutes(minutes))]),
        ..Before::default()
    };
    assert!(decide(&[group("a", 1, 121, now)], &escalated(1)).escalated.is_empty());
    assert_eq!(decide(&[group("a", 1, 121, now)], &escalated(122)).escalated.len(), 1);
}

#[test]
fn a_rule_that_does_nothing_or_has_no_bounds_is_refused() {
    let then = tells(AlertReceiverId::generate());
    assert_eq!(Rule::check(&Match::default(), &then), Ok(()));
    let field = |when: Match, then: &Then| Rule::check(&when, then).unwrap_err().0;
    assert_eq!(field(Match::default(), &Then::default()), "receiverIds");
    assert_eq!(field(Match { age_min_minutes: Some(0), ..Match::default() }, &then), "ageMinMinutes");
    let worthless = Some(MoneyMin { currency: "EUR".into(), amount: Decimal::ZERO });
    assert_eq!(field(Match { money_min: worthless, ..Match::default() }, &then), "moneyMin");
    let nobody = Some(Escalate { after_minutes: 5, assign_to: None, receivers: vec![] });
    assert_eq!(field(Match::default(), &Then { escalate: nobody, ..then.clone() }), "escalate");
    assert_eq!(field(Match::default(), &Then { receivers: vec![AlertReceiverId::generate(); 11], ..then }), "receiverIds");
}

#[test]
fn an_alert_is_tried_for_hours_and_not_for_ever() {
    let now = Utc::now();
    let waits: Vec<i64> = (1..12).filter_map(|tries| try_again(tries, now, 1.0)).map(|at| (at - now).num_seconds()).collect();
    assert_eq!(waits, [15, 30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
    assert!(try_again(1, now, f64::NAN).is_some_and(|at| at > now));
    assert_eq!(try_again(12, now, 0.5), None);
}
