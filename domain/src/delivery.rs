//! A delivery is our duty to apply one revision of a record to one destination by one flow version.
//! It ends confirmed, superseded or cancelled, or waits as an exception that a person can act on. [`after`] decides; workers obey.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::fault::{Fault, FaultClass};

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
    /// A person decided that it will not be sent.
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

    /// The moves of the ledger. Every move is one conditional UPDATE, so a move that is not here cannot be committed.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use DeliveryState::*;
        matches!(
            (self, next),
            (Planned | Waiting, Sending | Held | Exception | Superseded | Cancelled)
                | (Sending, Confirmed | Waiting | Unknown | Exception)
                | (Unknown, Confirmed | Planned | Unknown | Exception)
                | (Held, Planned | Superseded | Cancelled)
                | (Exception, Planned | Confirmed | Superseded | Cancelled)
                | (Confirmed, Reconciled)
        )
    }

    /// True where nothing more will happen to it by itself or by a person.
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
    /// Failed attempts before an exception; limits of the vendor do not count.
    pub attempts_max: u32,
    /// The first wait; doubles each time, with full jitter.
    pub backoff_ms: u64,
    pub backoff_max_ms: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { attempts_max: 8, backoff_ms: 1_000, backoff_max_ms: 15 * 60 * 1_000 }
    }
}

impl Policy {
    /// Exponential with full jitter: uniform between 0 and `base * 2^(n-1)`, capped
    /// ([AWS Architecture Blog, "Exponential Backoff And Jitter", 2015](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)).
    /// `jitter` is in 0..1.
    #[must_use]
    pub fn backoff(&self, failures: u32, jitter: f64) -> Duration {
        let ceiling = self.backoff_ms.saturating_mul(1u64 << failures.saturating_sub(1).min(30)).min(self.backoff_max_ms);
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "milliseconds of minutes fit a double")]
        let wait = (ceiling as f64 * jitter.clamp(0.0, 1.0)) as i64;
        Duration::milliseconds(wait)
    }
}

impl Policy {
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
    /// A person must act.
    Stop(Fault),
}

/// Decides what follows an attempt. `failures` counts the failed attempts including this one; `settle` is how long the destination
/// takes to show a write; `jitter` is uniform in 0..1.
#[must_use]
pub fn after(outcome: Outcome, failures: u32, policy: &Policy, settle: Duration, now: DateTime<Utc>, jitter: f64) -> Next {
    match outcome {
        Outcome::Stored(receipt) => Next::Confirmed(receipt),
        Outcome::Failed(fault) => match fault.class {
            FaultClass::Unknown => Next::Prove { at: now + settle, fault },
            FaultClass::Limit => Next::Wait { until: now + wait(&fault, || policy.backoff(failures.min(4), jitter)), fault },
            class if class.is_passing() && failures < policy.attempts_max => {
                Next::Wait { until: now + wait(&fault, || policy.backoff(failures, jitter)), fault }
            }
            _ => Next::Stop(fault),
        },
    }
}

/// The vendor's own wish where it has one (bounded to a day), else ours.
fn wait(fault: &Fault, ours: impl FnOnce() -> Duration) -> Duration {
    const RETRY_AFTER_MAX_MS: u64 = 24 * 60 * 60 * 1_000;
    fault
        .retry_after_ms
        .map_or_else(ours, |ms| Duration::milliseconds(i64::try_from(ms.min(RETRY_AFTER_MAX_MS)).unwrap_or(i64::MAX)))
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
            path: None,
            retry_after_ms: None,
            status: None,
        }
    }

    #[test]
    fn a_passing_fault_waits_until_the_attempts_are_used_up_and_then_asks_a_person() {
        let (policy, now) = (Policy { attempts_max: 3, ..Policy::default() }, Utc::now());
        let next = |failures| after(Outcome::Failed(fault(FaultClass::Retry)), failures, &policy, Duration::zero(), now, 1.0);
        assert!(matches!(next(1), Next::Wait { until, .. } if until == now + Duration::seconds(1)));
        assert!(matches!(next(2), Next::Wait { until, .. } if until == now + Duration::seconds(2)));
        assert!(matches!(next(3), Next::Stop(_)));
    }

    #[test]
    fn a_limit_never_becomes_an_exception_and_honours_the_vendors_wish() {
        let (policy, now) = (Policy::default(), Utc::now());
        let limited = Fault { retry_after_ms: Some(2_000), ..fault(FaultClass::Limit) };
        let next = after(Outcome::Failed(limited), 1_000, &policy, Duration::zero(), now, 0.5);
        assert!(matches!(next, Next::Wait { until, .. } if until == now + Duration::seconds(2)));
    }

    #[test]
    fn a_lost_answer_is_proven_and_never_simply_sent_again() {
        let now = Utc::now();
        let next = after(Outcome::Failed(fault(FaultClass::Unknown)), 1, &Policy::default(), Duration::seconds(3), now, 0.5);
        assert!(matches!(next, Next::Prove { at, .. } if at == now + Duration::seconds(3)));
        assert!(!DeliveryState::Unknown.may_become(DeliveryState::Sending));
    }

    #[test]
    fn a_final_state_moves_only_to_reconciled() {
        for state in DeliveryState::ALL.into_iter().filter(|state| state.is_final()) {
            for next in DeliveryState::ALL {
                assert_eq!(state.may_become(next), state == DeliveryState::Confirmed && next == DeliveryState::Reconciled);
            }
        }
    }
}
