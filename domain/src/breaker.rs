//! A breaker stands before one operation of one connection. Where the destination fails again and again it opens: deliveries are held without
//! an attempt, one incident tells of all of them, and one delivery at a time is let through as a probe. Where that one arrives, the others
//! follow, ever more at once. A credential that is refused opens the breaker of the whole connection at once.
//!
//! Its state is one row that all workers share. Everything here is pure: what came of calls and the time come in as values.

use chrono::{DateTime, Duration, Utc};

use crate::fault::{Fault, FaultClass, NO_SLOT};

/// So many failures with no answer between them open it.
const RUN_MAX: u32 = 5;
/// Where so many calls of a window were made, half of them failing opens it.
const CALLS_MIN: u32 = 20;
const WINDOW: Duration = Duration::seconds(30);
/// The wait before the first probe, and the longest; it doubles with each probe that fails.
const WAIT_MS: i64 = 2_000;
const WAIT_MAX_MS: i64 = 5 * 60 * 1_000;
/// A credential does not mend itself, and vendors lock accounts that try again and again.
const REFUSED_WAIT_MS: i64 = 15_000;
const REFUSED_WAIT_MAX_MS: i64 = 60 * 60 * 1_000;
/// How long the answer to a probe is waited for before another is sent; and how often it is looked whether the probe is still under way: a later
/// revision may have taken its place, or a person has cancelled it.
const PROBE_PATIENCE: Duration = Duration::minutes(2);
const PROBE_LOOK: Duration = Duration::seconds(2);
/// Between two batches of a recovery, and where none of the last one has answered yet.
const STEP: Duration = Duration::seconds(1);
const STEP_UNANSWERED: Duration = Duration::seconds(10);
/// Deliveries that are let go at once at most.
const BATCH_MAX: u32 = 1_000;

/// How a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// All is well: everything passes.
    Closed,
    /// Nothing passes.
    Open,
    /// One delivery passes, to see.
    HalfOpen,
    /// The probe arrived: those that waited are let go, ever more at once.
    Recovering,
}

impl BreakerState {
    pub const ALL: [BreakerState; 4] = [Self::Closed, Self::Open, Self::HalfOpen, Self::Recovering];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::Recovering => "recovering",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What one call says of its operation's health.
#[derive(Debug, Clone, PartialEq)]
pub enum Signal {
    /// The vendor answered, whatever it said.
    Answered,
    /// It is down, or did not answer.
    Failed(Fault),
    /// It refuses our credential.
    Refused(Fault),
}

impl Signal {
    /// What a fault says; `None` where no call was made.
    #[must_use]
    pub fn of(fault: &Fault) -> Option<Self> {
        match fault.class {
            FaultClass::Outage | FaultClass::Unknown => Some(Self::Failed(fault.clone())),
            FaultClass::Authentication => Some(Self::Refused(fault.clone())),
            FaultClass::Limit if fault.code == NO_SLOT => None,
            // It told us that it would not, or not yet, and so it works.
            _ => Some(Self::Answered),
        }
    }
}

/// What came of some calls, in their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub calls: u32,
    pub faults: u32,
    /// Faults since the last answer.
    pub run: u32,
    pub is_refused: bool,
}

impl Tally {
    pub fn add(&mut self, signal: &Signal) {
        self.calls = self.calls.saturating_add(1);
        match signal {
            Signal::Answered => self.run = 0,
            Signal::Failed(_) => {
                self.faults = self.faults.saturating_add(1);
                self.run = self.run.saturating_add(1);
            }
            Signal::Refused(_) => self.is_refused = true,
        }
    }

    fn answers(self) -> u32 {
        if self.is_refused { 0 } else { self.calls.saturating_sub(self.faults) }
    }

    fn is_bad(self) -> bool {
        self.is_refused || self.run >= RUN_MAX || (self.calls >= CALLS_MIN && self.faults >= self.calls.div_ceil(2))
    }
}

/// A breaker as its row has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    pub state: BreakerState,
    /// Calls and failures of the window that began at `window_at`, or since the breaker is no longer open. Half open, `window_at` is when the probe
    /// was let go.
    pub tally: Tally,
    pub window_at: DateTime<Utc>,
    /// How often it was opened since it was closed last, less one for each batch of a recovery that arrived: what the wait doubles with.
    pub opens: u32,
    /// How many were let go last; 0 where there was nothing to be let go, and whoever comes first is the probe.
    pub batch: u32,
    /// When it is looked at again.
    pub next_at: Option<DateTime<Utc>>,
}

/// What a tally made of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Stays,
    /// It was closed and is open now: an incident begins.
    Opened,
    /// A probe failed, or the recovery did.
    Reopened,
}

/// Whether a delivery may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    Passes,
    /// The first that asks passes, those beside it are held.
    One,
    Held,
}

/// What happens when a breaker's time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// So many of those that wait are let go, the oldest first.
    pub count: u32,
    /// The destination works again: the incident ends.
    pub is_over: bool,
}

impl Breaker {
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { state: BreakerState::Closed, tally: Tally::default(), window_at: now, opens: 0, batch: 0, next_at: None }
    }

    /// Takes what came of calls. `is_credential`: it stands before the whole connection. `jitter` is uniform in 0..1.
    pub fn note(&mut self, tally: Tally, is_credential: bool, now: DateTime<Utc>, jitter: f64) -> Turn {
        match self.state {
            // What was under way when it opened says nothing new.
            BreakerState::Open => return Turn::Stays,
            BreakerState::Closed if now - self.window_at > WINDOW => {
                (self.tally, self.window_at) = (Tally { run: self.tally.run, ..Tally::default() }, now);
            }
            _ => {}
        }
        let answered = tally.answers() > 0;
        self.tally = Tally {
            calls: self.tally.calls.saturating_add(tally.calls),
            faults: self.tally.faults.saturating_add(tally.faults),
            run: if answered { tally.run } else { self.tally.run.saturating_add(tally.run) },
            is_refused: tally.is_refused,
        };
        let is_probe_lost = self.state == BreakerState::HalfOpen && !answered && tally.faults > 0;
        if self.tally.is_bad() || is_probe_lost {
            let turn = if self.state == BreakerState::Closed { Turn::Opened } else { Turn::Reopened };
            self.open(is_credential, now, jitter);
            return turn;
        }
        if answered && matches!(self.state, BreakerState::HalfOpen | BreakerState::Recovering) {
            let soon = if self.state == BreakerState::HalfOpen { now } else { now + STEP };
            self.next_at = Some(self.next_at.map_or(soon, |at| at.min(soon)));
            self.batch = self.batch.max(1);
            self.state = BreakerState::Recovering;
        }
        Turn::Stays
    }

    fn open(&mut self, is_credential: bool, now: DateTime<Utc>, jitter: f64) {
        let (first, longest) = if is_credential { (REFUSED_WAIT_MS, REFUSED_WAIT_MAX_MS) } else { (WAIT_MS, WAIT_MAX_MS) };
        let ceiling = first.saturating_mul(1 << self.opens.min(20)).min(longest);
        // Half of it at least, so that breakers which opened together do not probe together, and none probes at once.
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "milliseconds of an hour fit a double")]
        let wait = (ceiling as f64 * (0.5 + jitter.clamp(0.0, 1.0) / 2.0)) as i64;
        *self = Self {
            state: BreakerState::Open,
            tally: Tally::default(),
            window_at: now,
            opens: self.opens.saturating_add(1),
            batch: 0,
            next_at: now.checked_add_signed(Duration::milliseconds(wait)),
        };
    }

    /// Its time has come, and so many wait for it. `is_probing`: the delivery that was let go as a probe has not come to its end.
    pub fn due(&mut self, waits: u32, is_probing: bool, now: DateTime<Utc>) -> Release {
        let nothing = Release { count: 0, is_over: false };
        let has_patience = now < self.window_at + PROBE_PATIENCE;
        match self.state {
            // None can be left behind.
            BreakerState::Closed => {
                self.next_at = None;
                Release { count: waits, is_over: false }
            }
            BreakerState::HalfOpen if is_probing && has_patience => {
                self.next_at = Some(now + PROBE_LOOK);
                nothing
            }
            // The probe is gone, and the destination has said nothing: whoever comes first is the next one.
            BreakerState::HalfOpen if waits == 0 && has_patience => {
                self.has_none_to_let_go();
                nothing
            }
            // Nothing came in all that time: whether it works nobody needs to know. A probe that waits for its turn still does.
            BreakerState::HalfOpen if waits == 0 && !is_probing => self.close(waits, now),
            BreakerState::Open | BreakerState::HalfOpen => {
                self.state = BreakerState::HalfOpen;
                self.batch = waits.min(1);
                self.window_at = now;
                self.next_at = Some(now + if waits > 0 { PROBE_LOOK } else { PROBE_PATIENCE });
                Release { count: self.batch, ..nothing }
            }
            BreakerState::Recovering => {
                let has_answered = self.tally.calls > 0;
                if has_answered {
                    self.batch = self.batch.saturating_mul(2).min(BATCH_MAX);
                    // A destination of which most calls arrive must not wait ever longer for the few that do not.
                    self.opens = self.opens.saturating_sub(1);
                }
                if waits <= self.batch {
                    return self.close(waits, now);
                }
                self.tally = Tally::default();
                self.next_at = Some(now + if has_answered { STEP } else { STEP_UNANSWERED });
                Release { count: self.batch, ..nothing }
            }
        }
    }

    /// Of those that wait none can be sent now, or none was found: whoever comes first is the probe.
    pub fn has_none_to_let_go(&mut self) {
        if self.state == BreakerState::HalfOpen {
            self.batch = 0;
            self.next_at = Some(self.window_at + PROBE_PATIENCE);
        }
    }

    fn close(&mut self, waits: u32, now: DateTime<Utc>) -> Release {
        *self = Self::new(now);
        Release { count: waits, is_over: true }
    }

    /// Somebody mended it: it is tried now.
    pub fn try_now(&mut self, now: DateTime<Utc>) {
        if self.state != BreakerState::Closed {
            (self.state, self.opens, self.next_at) = (BreakerState::Open, 0, Some(now));
        }
    }

    /// Whether a delivery may be sent; `is_released`: this breaker let it go.
    #[must_use]
    pub fn gate(&self, is_released: bool) -> Gate {
        match self.state {
            BreakerState::Closed => Gate::Passes,
            BreakerState::Open => Gate::Held,
            BreakerState::HalfOpen | BreakerState::Recovering if is_released => Gate::Passes,
            BreakerState::HalfOpen if self.batch == 0 => Gate::One,
            BreakerState::HalfOpen | BreakerState::Recovering => Gate::Held,
        }
    }
}

#[cfg(test)]
#[path = "breaker/tests.rs"]
mod tests;
