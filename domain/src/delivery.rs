//! A delivery is our duty to apply one revision of a record to one destination by one flow version.
//! It ends confirmed, superseded or cancelled, or waits as an exception that a person can act on. [`after`] decides; workers obey.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, FaultClass};
use crate::flow::{Ordering, Schedule, ScheduleError};
use crate::mapping::OnMissing;
use crate::protocol::Event;

/// Where a delivery stands. Each delivery stands in exactly one state, and the sums over the states equal what was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// To be sent.
    Planned,
    /// An attempt is committed as started.
    Sending,
    /// The destination said it stored it.
    Confirmed,
    /// Source and destination were compared and agree.
    Reconciled,
    /// A retry or a limit, with a time.
    Waiting,
    /// Sent, no answer: the destination is asked before anything is sent again.
    Unknown,
    /// Stopped by a breaker, a quota or a paused flow; resumes without a person.
    Held,
    /// Needs a person.
    Exception,
    /// A later revision took its place.
    Superseded,
    /// A person decided that it will not be sent, and may take that back.
    Cancelled,
}

impl DeliveryState {
    pub const ALL: [DeliveryState; 10] = [
        Self::Planned,
        Self::Sending,
        Self::Confirmed,
        Self::Reconciled,
        Self::Waiting,
        Self::Unknown,
        Self::Held,
        Self::Exception,
        Self::Superseded,
        Self::Cancelled,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sending => "sending",
            Self::Confirmed => "confirmed",
            Self::Reconciled => "reconciled",
            Self::Waiting => "waiting",
            Self::Unknown => "unknown",
            Self::Held => "held",
            Self::Exception => "exception",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The moves of the ledger, which are those of the protocol's table. Every move is one conditional UPDATE.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        crate::protocol::TABLE.iter().any(|row| row.from == self && row.to == next)
    }

    /// True where nothing more will happen to it by itself, or by a person who does not take back what was decided.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Confirmed | Self::Reconciled | Self::Superseded | Self::Cancelled)
    }
}

/// What the destination says it stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The destination's own id.
    pub id: String,
    /// The destination's version of it, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How hard a flow tries before it asks a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Failed attempts before an exception, 1 to 50; limits of the vendor never become one, and its outages only
    /// once they have lasted [`OUTAGE_PATIENCE`].
    pub attempts_max: u32,
    /// The first wait, 100 ms to an hour; doubles each time, with full jitter.
    pub backoff_ms: u64,
    /// The longest wait, at most a day.
    pub backoff_max_ms: u64,
    /// What happens to a value that a lookup table does not have, where the rule does not say: `exception` or `keep`.
    pub missing: OnMissing,
    /// What happens to a record whose parts do not add up to its total.
    pub balance: Balance,
    pub ordering: Ordering,
    /// Until when on a day something must be there to be worked on the same day: what a record is due by that says no time of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<Schedule>,
}

/// What a flow does with a record whose parts do not add up to its total.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// A person looks at it before anything is sent.
    #[default]
    Refuse,
    /// It is sent as it is: for a source whose totals are known not to add up.
    Pass,
}

const ATTEMPTS_MAX: u32 = 50;
const BACKOFF_MS_MIN: u64 = 100;
const BACKOFF_MS_MAX: u64 = 60 * 60 * 1_000;
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// A policy that would try for ever, or never.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("attempts_max is {0}, but it must be from 1 to {ATTEMPTS_MAX}")]
    Attempts(u32),
    #[error("backoff_ms is {0}, but it must be from {BACKOFF_MS_MIN} to {BACKOFF_MS_MAX} (an hour)")]
    Backoff(u64),
    #[error("backoff_max_ms is {0}, but it must be from backoff_ms, which is {1}, to {DAY_MS} (a day)")]
    BackoffMax(u64, u64),
    #[error("missing is exception or keep; what a default would be only a rule can say")]
    Missing,
    #[error("cut_off: {0}")]
    CutOff(#[from] ScheduleError),
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts_max: 8,
            backoff_ms: 1_000,
            backoff_max_ms: 15 * 60 * 1_000,
            missing: OnMissing::Exception,
            balance: Balance::Refuse,
            ordering: Ordering::Latest,
            cut_off: None,
        }
    }
}

impl Policy {
    /// # Errors
    /// The first number that is out of its bounds.
    pub fn check(&self) -> Result<(), PolicyError> {
        if !(1..=ATTEMPTS_MAX).contains(&self.attempts_max) {
            return Err(PolicyError::Attempts(self.attempts_max));
        }
        if !(BACKOFF_MS_MIN..=BACKOFF_MS_MAX).contains(&self.backoff_ms) {
            return Err(PolicyError::Backoff(self.backoff_ms));
        }
        if !(self.backoff_ms..=DAY_MS).contains(&self.backoff_max_ms) {
            return Err(PolicyError::BackoffMax(self.backoff_max_ms, self.backoff_ms));
        }
        if self.missing == OnMissing::Default {
            return Err(PolicyError::Missing);
        }
        self.cut_off.as_ref().map_or(Ok(()), Schedule::check)?;
        Ok(())
    }

    /// Exponential with full jitter: uniform between 0 and `base * 2^(n-1)`, capped
    /// ([AWS Architecture Blog, "Exponential Backoff And Jitter", 2015](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)).
    /// `jitter` is in 0..1.
    #[must_use]
    pub fn backoff(&self, failures: u32, jitter: f64) -> Duration {
        let ceiling = self.backoff_ms.saturating_mul(1u64 << failures.saturating_sub(1).min(30)).min(self.backoff_max_ms);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "milliseconds of minutes fit a double")]
        let wait = (ceiling as f64 * jitter.clamp(0.0, 1.0)) as u64;
        milliseconds(wait)
    }

    /// How long to wait after a passing fault: the vendor's own wish where it has one (bounded to a day), else ours.
    #[must_use]
    pub fn wait(&self, fault: &Fault, failures: u32, jitter: f64) -> Duration {
        wait(fault, || self.backoff(failures, jitter))
    }
}

/// What became of one attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    Stored(Receipt),
    Failed(Fault),
}

/// What happens to the delivery next.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    Confirmed(Receipt),
    /// Try again at this time.
    Wait {
        until: DateTime<Utc>,
        fault: Fault,
    },
    /// Ask the destination at this time whether it has it.
    Prove {
        at: DateTime<Utc>,
        fault: Fault,
    },
    /// The credential is refused: it waits with all the others of the connection until that is mended.
    Hold(Fault),
    /// A person must act.
    Stop(Fault),
}

impl Next {
    /// What it is to the protocol.
    #[must_use]
    pub fn event(&self) -> Event {
        match self {
            Self::Confirmed(_) => Event::Stored,
            Self::Wait { .. } => Event::Passing,
            Self::Prove { .. } => Event::Lost,
            Self::Hold(_) => Event::Unauthorised,
            Self::Stop(_) => Event::Refused,
        }
    }
}

/// An outage is waited out this long before a person is asked: by then it may be an address that will never answer.
pub const OUTAGE_PATIENCE: Duration = Duration::hours(4);

/// Decides what follows an attempt. `failures` counts the failed attempts including this one; `settle` is how long the destination
/// takes to show a write; `age` is the time since the message that caused it was accepted; `jitter` is uniform in 0..1.
#[must_use]
pub fn after(
    outcome: Outcome,
    failures: u32,
    policy: &Policy,
    settle: Duration,
    age: Duration,
    now: DateTime<Utc>,
    jitter: f64,
) -> Next {
    let fault = match outcome {
        Outcome::Stored(receipt) => return Next::Confirmed(receipt),
        Outcome::Failed(fault) => fault,
    };
    match fault.class {
        FaultClass::Unknown => {
            // A server that answered that it failed is in trouble: asking at once, and sending again, would make it worse.
            let failed = fault.status.is_some_and(|status| status >= 400);
            let rest = if failed { wait(&fault, || policy.backoff(failures, jitter)) } else { Duration::zero() };
            Next::Prove { at: later(now, settle.max(rest)), fault }
        }
        FaultClass::Limit => Next::Wait { until: later(now, wait(&fault, || policy.backoff(failures.min(4), jitter))), fault },
        // An outage is no fault of the order's: it queues. Only one that lasts, over all the tries there are, is a person's to look at.
        FaultClass::Outage if age <= OUTAGE_PATIENCE || failures.saturating_add(1) < policy.attempts_max => {
            Next::Wait { until: later(now, wait(&fault, || policy.backoff(failures, jitter))), fault }
        }
        FaultClass::Retry if failures < policy.attempts_max => {
            Next::Wait { until: later(now, wait(&fault, || policy.backoff(failures, jitter))), fault }
        }
        FaultClass::Authentication => Next::Hold(fault),
        _ => Next::Stop(fault),
    }
}

/// The vendor's own wish where it has one (bounded to a day), else ours.
fn wait(fault: &Fault, ours: impl FnOnce() -> Duration) -> Duration {
    fault.retry_after_ms.map_or_else(ours, milliseconds)
}

/// Nothing waits longer than a day, whatever a policy or a vendor says.
fn milliseconds(ms: u64) -> Duration {
    Duration::milliseconds(i64::try_from(ms.min(DAY_MS)).unwrap_or(0))
}

fn later(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Owner;

    fn fault(class: FaultClass) -> Fault {
        Fault {
            class,
            code: "x".into(),
            reason: "x".into(),
            owner: Owner::Vendor,
            fix: "x".into(),
            fix_kind: None,
            path: None,
            retry_after_ms: None,
            status: None,
        }
    }

    #[test]
    fn a_passing_fault_waits_until_the_attempts_are_used_up_and_then_asks_a_person() {
        let (policy, now) = (Policy { attempts_max: 3, ..Policy::default() }, Utc::now());
        let next = |failures| {
            after(Outcome::Failed(fault(FaultClass::Retry)), failures, &policy, Duration::zero(), Duration::zero(), now, 1.0)
        };
        assert!(matches!(next(1), Next::Wait { until, .. } if until == now + Duration::seconds(1)));
        assert!(matches!(next(2), Next::Wait { until, .. } if until == now + Duration::seconds(2)));
        assert!(matches!(next(3), Next::Stop(_)));
    }

    #[test]
    fn a_limit_never_becomes_an_exception_and_honours_the_vendors_wish() {
        let (policy, now) = (Policy::default(), Utc::now());
        let limited = Fault { retry_after_ms: Some(2_000), ..fault(FaultClass::Limit) };
        let next = after(Outcome::Failed(limited), 1_000, &policy, Duration::zero(), Duration::zero(), now, 0.5);
        assert!(matches!(next, Next::Wait { until, .. } if until == now + Duration::seconds(2)));
    }

    #[test]
    fn an_outage_that_lasts_for_hours_over_all_tries_is_a_persons_to_look_at() {
        let (policy, now) = (Policy { attempts_max: 3, ..Policy::default() }, Utc::now());
        let next =
            |failures, age| after(Outcome::Failed(fault(FaultClass::Outage)), failures, &policy, Duration::zero(), age, now, 1.0);
        assert!(matches!(next(2, OUTAGE_PATIENCE), Next::Wait { .. }));
        assert!(matches!(next(1, OUTAGE_PATIENCE * 2), Next::Wait { .. }), "an old order meets a short outage");
        assert!(matches!(next(2, OUTAGE_PATIENCE * 2), Next::Stop(_)));
    }

    #[test]
    fn an_outage_queues_for_as_long_as_it_takes() {
        let (policy, now) = (Policy { attempts_max: 3, ..Policy::default() }, Utc::now());
        for (failures, seconds) in [(1, 1), (3, 4), (4, 8), (1_000, 15 * 60), (u32::MAX, 15 * 60)] {
            let next = after(
                Outcome::Failed(fault(FaultClass::Outage)),
                failures,
                &policy,
                Duration::zero(),
                Duration::zero(),
                now,
                1.0,
            );
            assert!(matches!(next, Next::Wait { until, .. } if until == now + Duration::seconds(seconds)), "{failures}");
        }
    }

    #[test]
    fn a_server_that_failed_is_asked_after_a_rest() {
        let (policy, now) = (Policy::default(), Utc::now());
        let at = |status, retry_after_ms| {
            let fault = Fault { status, retry_after_ms, ..fault(FaultClass::Unknown) };
            match after(Outcome::Failed(fault), 4, &policy, Duration::seconds(3), Duration::zero(), now, 1.0) {
                Next::Prove { at, .. } => at - now,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(at(None, None), Duration::seconds(3));
        assert_eq!(at(Some(204), None), Duration::seconds(3));
        assert_eq!(at(Some(503), None), Duration::seconds(8));
        assert_eq!(at(Some(503), Some(1_000)), Duration::seconds(3));
        assert_eq!(at(Some(503), Some(60_000)), Duration::seconds(60));
    }

    #[test]
    fn a_policy_out_of_bounds_is_refused_in_words_and_never_overflows() {
        let policy =
            |attempts_max, backoff_ms, backoff_max_ms| Policy { attempts_max, backoff_ms, backoff_max_ms, ..Policy::default() };
        for good in [Policy::default(), policy(1, 100, 100), policy(50, 3_600_000, 86_400_000)] {
            assert_eq!(good.check(), Ok(()));
        }
        for (bad, sentence) in [
            (policy(0, 1_000, 1_000), "attempts_max is 0, but it must be from 1 to 50"),
            (policy(51, 1_000, 1_000), "attempts_max is 51, but it must be from 1 to 50"),
            (policy(8, 99, 1_000), "backoff_ms is 99, but it must be from 100 to 3600000 (an hour)"),
            (policy(8, u64::MAX, u64::MAX), "backoff_ms is 18446744073709551615, but it must be from 100 to 3600000 (an hour)"),
            (policy(8, 1_000, 999), "backoff_max_ms is 999, but it must be from backoff_ms, which is 1000, to 86400000 (a day)"),
            (
                policy(8, 100, 86_400_001),
                "backoff_max_ms is 86400001, but it must be from backoff_ms, which is 100, to 86400000 (a day)",
            ),
        ] {
            assert_eq!(bad.check().unwrap_err().to_string(), sentence);
        }
        let unbounded = policy(u32::MAX, u64::MAX, u64::MAX);
        for class in [FaultClass::Retry, FaultClass::Outage, FaultClass::Limit, FaultClass::Unknown] {
            for (now, jitter) in [(Utc::now(), 1.0), (DateTime::<Utc>::MAX_UTC, 1.0), (Utc::now(), f64::NAN)] {
                let failed = Fault { retry_after_ms: Some(u64::MAX), status: Some(503), ..fault(class) };
                let _ = after(Outcome::Failed(failed), u32::MAX, &unbounded, Duration::MAX, Duration::zero(), now, jitter);
                let _ = after(Outcome::Failed(fault(class)), u32::MAX, &unbounded, Duration::MAX, Duration::zero(), now, jitter);
            }
        }
    }

    #[test]
    fn the_moves_are_those_of_the_ledger() {
        use DeliveryState::*;
        for (state, moves) in [
            (Planned, vec![Sending, Waiting, Held, Exception, Confirmed, Planned, Superseded, Cancelled]),
            (Sending, vec![Confirmed, Planned, Waiting, Held, Unknown, Exception]),
            (Confirmed, vec![Reconciled, Planned, Unknown]),
            (Reconciled, vec![Planned, Unknown]),
            (Waiting, vec![Planned, Held, Superseded, Cancelled]),
            // Waiting and held where an answer comes late, before anybody asked.
            (Unknown, vec![Planned, Confirmed, Unknown, Exception, Waiting, Held]),
            (Held, vec![Planned, Superseded, Cancelled]),
            (Exception, vec![Planned, Unknown, Confirmed, Superseded, Cancelled]),
            (Superseded, vec![]),
            (Cancelled, vec![Exception]),
        ] {
            for next in DeliveryState::ALL {
                assert_eq!(state.may_become(next), moves.contains(&next), "{} to {}", state.as_str(), next.as_str());
            }
        }
    }

    #[test]
    fn a_lost_answer_is_proven_and_never_simply_sent_again() {
        let now = Utc::now();
        let next = after(
            Outcome::Failed(fault(FaultClass::Unknown)),
            1,
            &Policy::default(),
            Duration::seconds(3),
            Duration::zero(),
            now,
            0.5,
        );
        assert!(matches!(next, Next::Prove { at, .. } if at == now + Duration::seconds(3)));
        assert!(!DeliveryState::Unknown.may_become(DeliveryState::Sending));
    }

    #[test]
    fn a_final_state_moves_on_only_where_both_sides_were_compared_its_id_is_disputed_or_a_person_reopens_it() {
        use DeliveryState::*;
        for state in DeliveryState::ALL.into_iter().filter(|state| state.is_final()) {
            for next in DeliveryState::ALL {
                let is_seen = matches!(
                    (state, next),
                    (Confirmed, Reconciled | Planned | Unknown) | (Reconciled, Planned | Unknown) | (Cancelled, Exception)
                );
                assert_eq!(state.may_become(next), is_seen, "{} to {}", state.as_str(), next.as_str());
            }
        }
    }
}
