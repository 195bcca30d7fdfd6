use proptest::prelude::*;

use super::*;

const NOW: f64 = 1_795_512_600_000.0;

fn allowance(per_s: f64, burst: f64, concurrency: f64) -> Allowance {
    Allowance { per_s, burst, concurrency, keep: 1.0 }
}

fn one(allowed: Allowance) -> Want {
    Want { allowed, tokens: 1.0 }
}

fn heard(verdict: Verdict, sent_at: f64) -> Heard {
    Heard { sent_at, tokens: 1.0, in_flight: 1.0, verdict, retry_after: -1.0, spent: -1.0, left: -1.0, scale: -1.0 }
}

/// The calls that go out at once.
fn at_once(budget: &mut Budget, want: &Want, now: f64) -> usize {
    let mut count = 0;
    while count < 1_000 && budget.wait_ms(want, now) <= 0.0 {
        budget.take(want, now);
        count += 1;
    }
    count
}

#[test]
fn a_burst_goes_at_once_and_then_as_many_as_come_back() {
    let (want, mut budget) = (one(allowance(2.0, 40.0, 0.0)), Budget::default());
    assert_eq!(at_once(&mut budget, &want, NOW), 40);
    assert!((budget.wait_ms(&want, NOW) - 500.0).abs() < 1.0);
    assert_eq!(at_once(&mut budget, &want, NOW + 5_000.0), 10);
    assert_eq!(budget.there(&want.allowed, NOW + 10_000.0).map(f64::round), Some(10.0));
    assert_eq!(at_once(&mut Budget::default(), &one(allowance(0.0, 1.0, 4.0)), NOW), 1_000, "no rate is declared");
}

#[test]
fn the_reserve_is_of_the_rate_and_of_the_burst() {
    let allowed = Allowance { keep: 0.75, ..allowance(4.0, 40.0, 0.0) };
    let mut budget = Budget::default();
    assert_eq!(at_once(&mut budget, &one(allowed), NOW), 30);
    assert_eq!(at_once(&mut budget, &one(allowed), NOW + 4_000.0), 12);
}

#[test]
fn nothing_goes_before_the_vendor_said() {
    for allowed in [allowance(100.0, 10.0, 0.0), allowance(0.0, 1.0, 4.0)] {
        let (want, mut budget) = (one(allowed), Budget::default());
        budget.take(&want, NOW);
        budget.hear(&allowed, &Heard { retry_after: 7_000.0, ..heard(Verdict::Refused, NOW) }, NOW + 50.0);
        assert!((budget.wait_ms(&want, NOW + 60.0) - 6_990.0).abs() < 1e-3);
        // Another one that was under way says the same, and what was served before changes nothing.
        budget.hear(&allowed, &Heard { retry_after: 1_000.0, ..heard(Verdict::Refused, NOW + 10.0) }, NOW + 70.0);
        budget.hear(&allowed, &heard(Verdict::Served, NOW + 5.0), NOW + 80.0);
        assert!(budget.wait_ms(&want, NOW + 7_000.0) > 0.0);
        assert!(budget.wait_ms(&want, NOW + 7_051.0) <= 0.0);
        // A vendor that says for ever is asked again after a day.
        budget.hear(&allowed, &Heard { retry_after: 1e15, ..heard(Verdict::Refused, NOW + 8_000.0) }, NOW + 8_000.0);
        assert!((budget.wait_ms(&want, NOW + 8_000.0) - 86_400_000.0).abs() < 1e-3);
    }
}

#[test]
fn a_vendor_that_does_not_say_when_is_left_alone_ever_longer() {
    let (want, mut budget, mut now) = (one(allowance(0.0, 1.0, 0.0)), Budget::default(), NOW);
    let mut waits = Vec::new();
    for _ in 0..4 {
        budget.hear(&want.allowed, &heard(Verdict::Refused, now), now);
        waits.push(budget.wait_ms(&want, now).round());
        now += waits[waits.len() - 1] + 1_000.0;
    }
    assert_eq!(waits, [250.0, 1_000.0, 2_250.0, 4_000.0]);
    budget.hear(&want.allowed, &heard(Verdict::Served, now), now);
    budget.hear(&want.allowed, &heard(Verdict::Refused, now), now);
    assert!((budget.wait_ms(&want, now) - 250.0).abs() < 1.0, "it was served meanwhile");
}

#[test]
fn after_two_refusals_one_call_asks_for_all() {
    let (want, mut budget, mut now) = (one(allowance(100.0, 10.0, 0.0)), Budget::default(), NOW);
    for _ in 0..2 {
        budget.hear(&want.allowed, &heard(Verdict::Refused, now), now);
        now += 1_000.0;
    }
    assert_eq!(at_once(&mut budget, &want, now), 1, "the others wait for its answer");
    assert!((budget.wait_ms(&want, now) - 1_000.0).abs() < 1.0);
    // It had none: another one asks.
    assert_eq!(at_once(&mut budget, &want, now + 1_000.0), 1);
    // It was refused: they wait on, and the wait begins with the answer.
    budget.hear(&want.allowed, &heard(Verdict::Refused, now + 1_000.0), now + 1_100.0);
    assert!((budget.wait_ms(&want, now + 1_100.0) - 2_250.0).abs() < 1.0);
    assert_eq!(at_once(&mut budget, &want, now + 3_350.0), 1);
    budget.hear(&want.allowed, &heard(Verdict::Served, now + 3_350.0), now + 3_400.0);
    assert_eq!(at_once(&mut budget, &want, now + 3_400.0), 1, "it serves again");
    let wait = budget.wait_ms(&want, now + 3_400.0);
    assert!((5.0..20.0).contains(&wait), "evenly, and nobody waits for the rest of the second: {wait}");
}

#[test]
fn a_window_of_a_minute_is_known_once_it_serves_again() {
    let allowed = allowance(0.0, 1.0, 0.0);
    let mut budget = Budget::default();
    // Sixty calls are served in six seconds; the next is refused until a minute has passed.
    for call in 0..60 {
        let at = NOW + f64::from(call) * 100.0;
        budget.hear(&allowed, &heard(Verdict::Served, at), at);
    }
    let at = NOW + 6_000.0;
    budget.hear(&allowed, &Heard { retry_after: 54_000.0, ..heard(Verdict::Refused, at) }, at);
    assert!(budget.rate > 9.0, "until then all that is known is how fast they came: {budget:?}");
    budget.hear(&allowed, &heard(Verdict::Served, NOW + 60_000.0), NOW + 60_050.0);
    assert!((0.96..=1.0).contains(&budget.rate), "sixty a minute: {budget:?}");
}

#[test]
fn a_window_that_little_was_sent_in_measures_nothing() {
    let refused = |retry_after, at| Heard { retry_after, ..heard(Verdict::Refused, at) };
    // What is declared, and what is left of it by a refusal that measures nothing. 0 would be any number.
    for (per_s, rate) in [(40.0, 38.0), (0.0, 1.0)] {
        let allowed = Allowance { keep: 0.9, ..allowance(per_s, 4.0, 0.0) };
        // The first call of all is refused, and nothing was served before.
        let mut budget = Budget::default();
        budget.hear(&allowed, &refused(30_000.0, NOW), NOW + 50.0);
        budget.hear(&allowed, &heard(Verdict::Served, NOW + 30_050.0), NOW + 30_100.0);
        assert!((budget.rate - rate).abs() < 1e-9, "{budget:?}");
        // One call was served; somebody else filled the minute.
        let mut budget = Budget::default();
        budget.hear(&allowed, &heard(Verdict::Served, NOW + 1_000.0), NOW + 1_050.0);
        budget.hear(&allowed, &refused(20_000.0, NOW + 40_000.0), NOW + 40_050.0);
        budget.hear(&allowed, &heard(Verdict::Served, NOW + 60_050.0), NOW + 60_100.0);
        assert!((budget.rate - rate).abs() < 1e-9, "{budget:?}");
    }
}

#[test]
fn a_window_is_not_believed_below_what_there_is_a_way_back_from() {
    for (per_s, least) in [(40.0, 0.8), (0.0, 0.1)] {
        let allowed = Allowance { keep: 0.9, ..allowance(per_s, 4.0, 0.0) };
        let mut budget = Budget::default();
        // A minute of which somebody left five calls, which went at once.
        for call in 0..5 {
            let at = NOW + f64::from(call) * 25.0;
            budget.hear(&allowed, &heard(Verdict::Served, at), at);
        }
        let at = NOW + 150.0;
        budget.hear(&allowed, &Heard { retry_after: 60_000.0, ..heard(Verdict::Refused, at) }, at);
        assert!(budget.rate > 20.0, "until then all that is known is how fast they came: {budget:?}");
        budget.hear(&allowed, &heard(Verdict::Served, NOW + 60_150.0), NOW + 60_200.0);
        assert!((budget.rate - least).abs() < 1e-9 && budget.ceiling >= budget.rate, "{budget:?}");
    }
}

#[test]
fn others_of_the_account_are_seen_by_what_is_left() {
    let allowed = Allowance { keep: 0.9, ..allowance(2.0, 40.0, 0.0) };
    let mut budget = Budget::default();
    let left = |left| Heard { left, ..heard(Verdict::Served, NOW) };
    budget.hear(&allowed, &left(38.0), NOW);
    assert_eq!(budget.there(&allowed, NOW).map(f64::round), Some(34.0), "four of forty are not ours");
    budget.hear(&allowed, &left(3.0), NOW);
    assert_eq!(budget.there(&allowed, NOW), Some(0.0), "what is left is the reserve");
    budget.hear(&allowed, &left(40.0), NOW);
    assert_eq!(budget.there(&allowed, NOW), Some(0.0), "it did not know of our calls under way");
    // A larger plan: twice the calls, and twice as fast.
    budget.hear(&allowed, &Heard { scale: 2.0, ..heard(Verdict::Served, NOW) }, NOW);
    let pace = budget.pace(&allowed);
    assert_eq!((pace.per_s, pace.burst), (3.6, 72.0));
}

#[test]
fn points_are_taken_by_what_calls_have_cost() {
    let allowed = allowance(100.0, 2_000.0, 0.0);
    let want = Want { allowed, tokens: -1.0 };
    let mut budget = Budget::default();
    assert_eq!(budget.tokens(&want), 10.0);
    budget.take(&want, NOW);
    budget.hear(&allowed, &Heard { tokens: 10.0, spent: 500.0, ..heard(Verdict::Served, NOW) }, NOW);
    assert_eq!((budget.there(&allowed, NOW).map(f64::round), budget.tokens(&want)), (Some(1_500.0), 500.0));
    assert_eq!(at_once(&mut budget, &want, NOW), 3);
    // What is dearer than all there is waits until all is there, and no longer.
    budget.cost = 5_000.0;
    assert!((budget.wait_ms(&want, NOW) - 20_000.0).abs() < 1.0);
}

#[test]
fn calls_at_once_are_learned_and_come_back() {
    let allowed = allowance(0.0, 1.0, 15.0);
    let (mut budget, mut now) = (Budget::default(), NOW);
    let refused = |in_flight, at| Heard { in_flight, ..heard(Verdict::Refused, at) };
    budget.hear(&allowed, &refused(15.0, now), now);
    assert_eq!(budget.pace(&allowed).concurrency, 12.0);
    // Those that were under way say the same.
    for in_flight in [14.0, 13.0, 12.0] {
        budget.hear(&allowed, &refused(in_flight, now - 5.0), now + 1.0);
    }
    assert_eq!((budget.pace(&allowed).concurrency, budget.wait_ms(&one(allowed), now)), (12.0, -now));
    let mut calls = 0;
    while budget.pace(&allowed).concurrency < 15.0 {
        now += 10.0;
        calls += 1;
        budget.hear(&allowed, &Heard { in_flight: 15.0, ..heard(Verdict::Served, now) }, now);
        assert!(calls < 5_000, "it never came back: {budget:?}");
    }
    // Alone it cannot have been too many at once: it is the rate.
    budget.hear(&allowed, &refused(1.0, now), now);
    assert!(budget.rate > 0.0 && budget.blocked_until > now);
}

#[test]
fn a_bucket_that_is_refused_once_is_not_lost() {
    // A declared rate that little use is made of: what was served is no measure of what is allowed.
    let allowed = allowance(10.0, 1.0, 0.0);
    let (mut budget, mut now) = (Budget::default(), NOW);
    for _ in 0..2 {
        for _ in 0..30 {
            now += 2_000.0;
            budget.hear(&allowed, &heard(Verdict::Served, now), now);
        }
        budget.hear(&allowed, &Heard { retry_after: 1_000.0, ..heard(Verdict::Refused, now) }, now);
        assert!(budget.rate >= 9.0, "{budget:?}");
        now += 1_000.0;
    }
}

fn some_heard() -> impl Strategy<Value = (f64, f64, u8, Option<u16>, Option<u8>, Option<u8>)> {
    // Now and then so long that a window is measured.
    let passed = prop_oneof![4 => 0.0..500.0_f64, 1 => 5_000.0..40_000.0_f64];
    (passed, 1.0..20.0, 0..10_u8, prop::option::of(0..50_000_u16), prop::option::of(0..60_u8), prop::option::of(0..60_u8))
}

proptest! {
    /// Whatever is asked for and heard, in no stretch of time goes more than the burst and what comes back in it.
    #[test]
    fn no_more_goes_than_the_burst_and_what_comes_back(
        per_s in 0.1..200.0, burst in 1.0..50.0, asks in prop::collection::vec(0.0..300.0, 1..400),
    ) {
        let want = one(allowance(per_s, burst, 0.0));
        let (mut budget, mut now, mut gone) = (Budget::default(), NOW, Vec::new());
        for passed in asks {
            now += passed;
            while budget.wait_ms(&want, now) <= 0.0 {
                budget.take(&want, now);
                gone.push(now);
            }
        }
        for (first, from) in gone.iter().enumerate() {
            for (last, until) in gone.iter().enumerate().skip(first) {
                #[expect(clippy::cast_precision_loss, reason = "a few hundred calls")]
                let count = (last - first + 1) as f64;
                // A double has a part of a microsecond at this time of the world, and each call rounds it.
                prop_assert!(count <= burst + (until - from) * per_s / 1000.0 + 0.5, "{count} in {} ms", until - from);
            }
        }
    }

    /// Whatever is heard: it never comes to a stand for longer than it was told to, nor to more than is declared, nor to what is no number; and what was learned
    /// of a vendor that declares nothing does not become any number.
    #[test]
    fn whatever_is_heard_it_goes_on_within_what_is_declared(
        declared in (prop_oneof![Just(0.0_f64), 0.1..50.0_f64], 1.0..50.0, 0..16_u8), told in prop::collection::vec(some_heard(), 1..200),
    ) {
        let allowed = Allowance { keep: 0.9, ..allowance(declared.0, declared.1, declared.2.into()) };
        let (mut budget, mut now) = (Budget::default(), NOW);
        for (passed, in_flight, verdict, retry_after, left, spent) in told {
            now += passed;
            let verdict = match verdict { 0 => Verdict::Silent, 1..=3 => Verdict::Refused, _ => Verdict::Served };
            let number = |value: Option<f64>| value.unwrap_or(-1.0);
            let was_learned = budget.rate > 0.0;
            budget.hear(&allowed, &Heard {
                sent_at: now - 40.0, tokens: 1.0, in_flight: f64::floor(in_flight), verdict, retry_after: number(retry_after.map(f64::from)),
                spent: number(spent.map(f64::from)), left: number(left.map(f64::from)), scale: -1.0,
            }, now);
            prop_assert!(budget.to_numbers().iter().all(|number| number.is_finite()), "{budget:?}");
            let pace = budget.pace(&allowed);
            if allowed.per_s > 0.0 {
                prop_assert!(pace.per_s > 0.0 && pace.per_s <= allowed.per_s, "{budget:?}");
            }
            let least = if allowed.per_s > 0.0 { allowed.per_s * 0.02 } else { 0.1 };
            prop_assert!(budget.rate == 0.0 || budget.rate >= least, "{budget:?}");
            prop_assert!(allowed.per_s > 0.0 || budget.rate > 0.0 || !was_learned, "{budget:?}");
            if allowed.concurrency > 0.0 {
                prop_assert!(pace.concurrency >= 1.0 && pace.concurrency <= allowed.concurrency, "{budget:?}");
            }
            prop_assert!(budget.blocked_until <= now + 60_000.0);
            prop_assert_eq!(Budget::from_numbers(&budget.to_numbers()), budget);
        }
    }
}
