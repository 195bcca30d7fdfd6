use proptest::prelude::*;

use super::*;
use crate::fault::Owner;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::seconds(seconds)
}

fn tally(signals: &str) -> Tally {
    let mut tally = Tally::default();
    let fault = |class| Fault::new(class, "x", String::new(), Owner::Vendor, "");
    for signal in signals.chars() {
        tally.add(&match signal {
            '.' => Signal::Answered,
            'x' => Signal::Failed(fault(FaultClass::Outage)),
            _ => Signal::Refused(fault(FaultClass::Authentication)),
        });
    }
    tally
}

fn opened() -> Breaker {
    let mut breaker = Breaker::new(at(0));
    assert_eq!(breaker.note(tally("xxxxx"), false, at(0), 1.0), Turn::Opened);
    breaker
}

#[test]
fn a_run_of_failures_opens_it_and_an_answer_between_them_does_not() {
    let mut breaker = Breaker::new(at(0));
    for signals in ["xx", "x", ".", "xxxx", ".x", "xxx"] {
        assert_eq!(breaker.note(tally(signals), false, at(1), 1.0), Turn::Stays, "{signals}");
    }
    assert_eq!(breaker.note(tally("x"), false, at(2), 1.0), Turn::Opened);
    assert_eq!((breaker.gate(false), breaker.gate(true)), (Gate::Held, Gate::Held));
}

#[test]
fn a_limit_is_an_answer_of_the_vendor_and_our_own_is_none() {
    let limit = |code| Fault::new(FaultClass::Limit, code, String::new(), Owner::Vendor, "");
    assert_eq!(Signal::of(&limit("http_429")), Some(Signal::Answered));
    assert_eq!(Signal::of(&limit(NO_SLOT)), None);
}

#[test]
fn half_of_a_windows_calls_failing_opens_it_and_old_ones_do_not_count() {
    let mut breaker = Breaker::new(at(0));
    assert_eq!(breaker.note(tally(".x.x.x.x.x.x.x.x.x."), false, at(1), 1.0), Turn::Stays);
    assert_eq!(breaker.note(tally("x"), false, at(2), 1.0), Turn::Opened);
    let mut breaker = Breaker::new(at(0));
    assert_eq!(breaker.note(tally(".x.x.x.x.x.x.x.x.x."), false, at(1), 1.0), Turn::Stays);
    assert_eq!(breaker.note(tally("x"), false, at(60), 1.0), Turn::Stays);
}

#[test]
fn one_probe_then_ever_more_at_once_and_then_it_is_over() {
    let mut breaker = opened();
    assert_eq!(breaker.next_at, Some(at(2)));
    let (mut waits, mut now, mut batches) = (1_000, at(2), vec![]);
    loop {
        let release = breaker.due(waits, false, now);
        batches.push(release.count);
        waits -= release.count;
        if release.is_over {
            break;
        }
        assert_eq!((breaker.gate(true), breaker.gate(false)), (Gate::Passes, Gate::Held));
        let mut answers = Tally::default();
        (0..release.count).for_each(|_| answers.add(&Signal::Answered));
        assert_eq!(breaker.note(answers, false, now, 1.0), Turn::Stays);
        now = breaker.next_at.unwrap();
    }
    assert_eq!(batches, [1, 2, 4, 8, 16, 32, 64, 128, 256, 489]);
    assert_eq!((breaker.state, waits, breaker.gate(false)), (BreakerState::Closed, 0, Gate::Passes));
    assert!(now < at(12), "a recovery takes seconds");
}

#[test]
fn a_destination_of_which_most_calls_arrive_is_not_waited_for_ever_longer() {
    let mut breaker = opened();
    let mut longest = 0;
    // Each recovery lets a few batches through and then meets five failures in a row.
    for _ in 0..50 {
        let mut now = breaker.next_at.unwrap();
        for _ in 0..4 {
            assert!(breaker.due(10_000, false, now).count > 0);
            breaker.note(tally("..x."), false, now, 1.0);
            now = breaker.next_at.unwrap();
        }
        assert_eq!(breaker.note(tally("xxxxx"), false, now, 1.0), Turn::Reopened);
        longest = longest.max((breaker.next_at.unwrap() - now).num_seconds());
    }
    assert!(longest <= 4, "{longest} s");
}

#[test]
fn a_probe_that_fails_waits_twice_as_long_up_to_five_minutes() {
    let mut breaker = opened();
    let mut waits = vec![];
    for _ in 0..10 {
        let now = breaker.next_at.unwrap();
        assert_eq!(breaker.due(100, false, now).count, 1);
        assert_eq!(breaker.note(tally("x"), false, now, 1.0), Turn::Reopened);
        waits.push((breaker.next_at.unwrap() - now).num_seconds());
    }
    assert_eq!(waits, [4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
}

#[test]
fn a_refused_credential_opens_the_connections_at_once_and_a_new_one_is_tried_at_once() {
    let mut breaker = Breaker::new(at(0));
    assert_eq!(breaker.note(tally("a"), true, at(0), 1.0), Turn::Opened);
    assert_eq!(breaker.next_at, Some(at(15)));
    breaker.try_now(at(3));
    assert_eq!(breaker.next_at, Some(at(3)));
    assert_eq!(breaker.due(7, false, at(3)), Release { count: 1, is_over: false });
    breaker.note(tally("."), true, at(4), 1.0);
    assert_eq!(breaker.due(6, false, at(4)), Release { count: 2, is_over: false });
}

#[test]
fn a_probe_that_never_answers_is_followed_by_another() {
    let mut breaker = opened();
    assert_eq!(breaker.due(5, false, at(2)).count, 1);
    for second in (4..122).step_by(2) {
        assert_eq!((breaker.next_at, breaker.due(5, true, at(second)).count), (Some(at(second)), 0), "it is under way");
    }
    assert_eq!(breaker.due(5, true, at(122)).count, 1);
}

#[test]
fn a_probe_that_a_later_revision_took_the_place_of_is_followed_by_another_at_once() {
    let mut breaker = opened();
    assert_eq!(breaker.due(5, false, at(2)).count, 1);
    assert_eq!(breaker.next_at, Some(at(4)));
    assert_eq!(breaker.due(5, false, at(4)).count, 1);
    // None of those that wait can go now: whoever comes first is the probe, and has time to come.
    breaker.has_none_to_let_go();
    assert_eq!((breaker.gate(false), breaker.next_at), (Gate::One, Some(at(124))));
}

#[test]
fn a_probe_that_went_away_unheard_where_nothing_else_waits_ends_no_incident_at_once() {
    let mut breaker = opened();
    assert_eq!(breaker.due(1, false, at(2)).count, 1);
    assert_eq!(breaker.due(0, false, at(4)), Release { count: 0, is_over: false });
    assert_eq!((breaker.gate(false), breaker.opens, breaker.next_at), (Gate::One, 1, Some(at(122))));
    assert_eq!(breaker.due(0, false, at(122)), Release { count: 0, is_over: true });
}

#[test]
fn while_a_probe_waits_for_its_turn_nothing_is_over_however_long_that_takes() {
    let mut breaker = opened();
    assert_eq!(breaker.due(1, false, at(2)).count, 1);
    for second in [4, 122, 124, 242, 244, 362] {
        assert_eq!(breaker.due(0, true, at(second)), Release { count: 0, is_over: false });
        assert_eq!((breaker.state, breaker.opens), (BreakerState::HalfOpen, 1), "after {second} s");
    }
    breaker.note(tally("."), false, at(363), 1.0);
    assert_eq!(breaker.due(0, false, at(363)), Release { count: 0, is_over: true });
}

#[test]
fn where_nothing_waits_whoever_comes_first_is_the_probe_and_where_nobody_comes_it_closes() {
    let mut breaker = opened();
    assert_eq!(breaker.due(0, false, at(2)), Release { count: 0, is_over: false });
    assert_eq!(breaker.gate(false), Gate::One);
    assert_eq!(breaker.due(0, false, breaker.next_at.unwrap()), Release { count: 0, is_over: true });
    assert_eq!(breaker.gate(false), Gate::Passes);
}

#[test]
fn a_few_failures_among_many_answers_do_not_end_a_recovery_and_many_do() {
    let mut breaker = opened();
    breaker.due(500, false, at(2));
    breaker.note(tally("."), false, at(3), 1.0);
    breaker.due(499, false, at(3));
    assert_eq!(breaker.note(tally("x.......x."), false, at(4), 1.0), Turn::Stays);
    assert_eq!(breaker.note(tally("xxxxx"), false, at(4), 1.0), Turn::Reopened);
}

/// One second of a virtual world: orders come, the vendor is up or down, a few calls are made.
#[derive(Debug, Clone)]
struct Second {
    arrivals: u32,
    is_up: bool,
}

fn seconds() -> impl Strategy<Value = Vec<Second>> {
    let second = (0..40u32, prop::bool::weighted(0.6)).prop_map(|(arrivals, is_up)| Second { arrivals, is_up });
    let block = (second, 1..60usize).prop_map(|(second, length)| vec![second; length]);
    prop::collection::vec(block, 1..8).prop_map(|blocks| blocks.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Through any weather: nothing is lost, an open breaker costs the vendor next to nothing, there is one incident at a time, and once the
    /// vendor is up for good everything is let go.
    #[test]
    fn whatever_the_weather_nothing_is_lost_and_all_is_let_go_in_the_end(weather in seconds(), jitter in 0.0..1.0f64) {
        let mut breaker = Breaker::new(at(0));
        let (mut held, mut retries, mut arrived, mut done, mut incidents) = (0u32, 0u32, 0u32, 0u32, 0i32);
        let fair = std::iter::repeat_n(Second { arrivals: 0, is_up: true }, 800);
        for (second, Second { arrivals, is_up }) in weather.into_iter().chain(fair).enumerate() {
            let now = at(i64::try_from(second).unwrap());
            arrived += arrivals;
            let mut released = 0;
            if breaker.next_at.is_some_and(|at| at <= now) {
                let release = breaker.due(held, false, now);
                prop_assert!(release.count <= held);
                (held, released) = (held - release.count, release.count);
                incidents -= i32::from(release.is_over);
            }
            // What came new, and what failed and is due again.
            let mut waiting = arrivals + std::mem::take(&mut retries);
            let mut calls = 0;
            match breaker.gate(false) {
                Gate::Passes => calls += std::mem::take(&mut waiting),
                Gate::One if waiting > 0 => {
                    calls += 1;
                    waiting -= 1;
                }
                Gate::One | Gate::Held => {}
            }
            held += waiting;
            if breaker.gate(true) == Gate::Passes { calls += released; } else { held += released; }
            if breaker.state == BreakerState::HalfOpen {
                prop_assert!(calls <= 1, "a probe is one delivery");
            }
            if breaker.state == BreakerState::Open {
                prop_assert_eq!(calls, 0);
            }
            let mut tally = Tally::default();
            for _ in 0..calls {
                if is_up { done += 1; } else { retries += 1; }
                let down = Fault::new(FaultClass::Outage, "x", String::new(), Owner::Vendor, "");
                tally.add(&if is_up { Signal::Answered } else { Signal::Failed(down) });
            }
            if calls > 0 && breaker.note(tally, false, now, jitter) == Turn::Opened {
                incidents += 1;
            }
            prop_assert!((0..=1).contains(&incidents));
            prop_assert_eq!(incidents == 1, breaker.state != BreakerState::Closed);
            prop_assert_eq!(arrived, held + retries + done);
        }
        prop_assert_eq!((held, retries, done, breaker.state), (0, 0, arrived, BreakerState::Closed));
    }
}
