//! The governor keeps the calls of a connection within what its vendor allows, bucket by bucket: so many at once, so many tokens a second.
//! A token is a call, or a point where the vendor counts points.
//!
//! Here is what it decides, with time as a value: [`Budget::wait_ms`] and [`Budget::take`] before a call (GCRA, the generic cell rate
//! algorithm), [`Budget::hear`] after it, which learns. `infra` runs the same steps in Redis, as one script that all workers share, and these
//! where there is no Redis; a test holds the two against each other, to the last bit. So everything is a double and every line is one that Lua
//! has too: whoever changes one changes the other.

mod learn;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

/// The share of a limit that is left for other applications of the same account where nobody says otherwise, percent.
pub const RESERVE_PCT: u32 = 10;
/// The most that may be kept for others, percent.
pub const RESERVE_PCT_MAX: u32 = 90;
/// What a call is taken to cost in points before an answer has said it.
const COST_FIRST: f64 = 10.0;
/// Where a vendor refused twice in a row, one call asks whether it serves again. The others wait for its answer, at most so long, ms.
const PROBE: f64 = 1_000.0;
/// So many refusals in a row are meant.
const PROBE_REFUSALS: f64 = 2.0;

/// What a bucket allows as its connector declares it. Times are in ms, as a double.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// Tokens that come back in a second; 0 where no rate is declared.
    pub per_s: f64,
    /// Tokens that may be taken at once after a quiet time, at least 1.
    pub burst: f64,
    /// Calls at once; 0 for any number.
    pub concurrency: f64,
    /// What is ours of the tokens: 1 less the reserve.
    pub keep: f64,
}

impl Allowance {
    /// What this process may use when it cannot ask what the others use: half, and one call at least.
    #[must_use]
    pub fn halved(self) -> Self {
        let concurrency = if self.concurrency > 0.0 { (self.concurrency / 2.0).floor().max(1.0) } else { 0.0 };
        Self { per_s: self.per_s / 2.0, burst: (self.burst / 2.0).max(1.0), concurrency, keep: self.keep }
    }
}

/// One of the vendor's buckets, as a call counts in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// As the connector names it; empty where it declares none.
    pub name: String,
    pub allowed: Allowance,
    /// It counts points, of which a call takes what calls have cost on average; else each call counts one.
    pub is_points: bool,
}

impl Bucket {
    /// Of a vendor that declares no limit, or none for a call.
    #[must_use]
    pub fn undeclared(reserve_pct: u32) -> Self {
        let allowed = Allowance { per_s: 0.0, burst: 1.0, concurrency: 0.0, keep: keep(reserve_pct) };
        Self { name: String::new(), allowed, is_points: false }
    }

    /// A call's part in it.
    #[must_use]
    pub fn want(&self) -> Want {
        Want { allowed: self.allowed, tokens: if self.is_points { -1.0 } else { 1.0 } }
    }
}

/// What is ours where so many percent are kept for others.
#[must_use]
pub fn keep(reserve_pct: u32) -> f64 {
    1.0 - f64::from(reserve_pct.min(RESERVE_PCT_MAX)) / 100.0
}

/// What an answer says of an account's limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub verdict: Verdict,
    /// How long the vendor asks to wait.
    pub retry_after_ms: Option<u64>,
    pub buckets: Vec<ToldBucket>,
}

/// What an answer says of one bucket.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldBucket {
    pub name: String,
    /// What the call cost, in points.
    pub spent: Option<f64>,
    pub left: Option<f64>,
    /// The limit as a multiple of the declared one.
    pub scale: Option<f64>,
}

impl Told {
    /// A call that had no answer.
    #[must_use]
    pub fn nothing() -> Self {
        Self { verdict: Verdict::Silent, retry_after_ms: None, buckets: Vec::new() }
    }
}

/// How a bucket stands. Everything is 0 at first.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Budget {
    /// The theoretical arrival time: when all that was taken has come back.
    pub tat: f64,
    /// Nothing is sent before this moment.
    pub blocked_until: f64,
    /// The learned rate of the whole account, tokens a second; 0 where the declared one serves.
    pub rate: f64,
    /// Where we were refused: up to a little below it the rate grows fast, from there on slowly.
    pub ceiling: f64,
    /// By how much it grows next time, once it is there.
    pub step: f64,
    /// When the rate changed last, and the tokens served since.
    pub changed_at: f64,
    pub served: f64,
    /// When it might be sent again after the last refusal: calls sent before say the same once more.
    pub cut_at: f64,
    /// What is measured: since when, the tokens served, and for how long nothing might be sent.
    pub epoch_at: f64,
    pub epoch_served: f64,
    pub epoch_blocked: f64,
    /// Refusals since the last call that was served.
    pub refusals: f64,
    /// What the vendor says the limit is, as a multiple of the declared one; 0 where it says nothing.
    pub scale: f64,
    /// What a call costs on average; 0 where no answer has said it.
    pub cost: f64,
    /// The learned number of calls at once; 0 where the declared one serves.
    pub concurrency: f64,
    /// When it changed last, how long it stays so, and the calls served since with so many under way.
    pub concurrency_at: f64,
    pub concurrency_wait: f64,
    pub concurrency_served: f64,
    /// What the vendor said is left, and when; it said nothing where the time is 0.
    pub left: f64,
    pub left_at: f64,
    /// The rate that was refused first although it was served before, as every lower one since; the tokens served and the refusals since then.
    pub trial: f64,
    pub trial_served: f64,
    pub trial_refused: f64,
    /// The share of calls that is refused whatever the rate, as the last trial found it, and the refusals that nothing is learned from for it.
    pub whim: f64,
    pub pardon: f64,
    /// The window that is being counted: when the vendor still refused before it, when it served again, and the tokens served since.
    pub window_from: f64,
    pub window_at: f64,
    pub window_served: f64,
    /// The last moment at which it is known to have refused.
    pub closed_at: f64,
}

/// What a bucket gives now: declared, told and learned together, without the reserve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// Tokens a second; 0 for any number.
    pub per_s: f64,
    pub burst: f64,
    /// Calls at once; 0 for any number.
    pub concurrency: f64,
}

/// A call's part in one bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Want {
    pub allowed: Allowance,
    /// Tokens that it takes; below 0: what calls have cost on average.
    pub tokens: f64,
}

/// What is known of a bucket after a call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Heard {
    /// When it was sent.
    pub sent_at: f64,
    /// The tokens that were taken for it.
    pub tokens: f64,
    /// The calls under way when it was taken, with itself.
    pub in_flight: f64,
    pub verdict: Verdict,
    /// How long the vendor asks to wait, ms; below 0 where it does not say.
    pub retry_after: f64,
    /// What it cost, below 0 where the answer does not say.
    pub spent: f64,
    /// What is left, below 0 where the answer does not say.
    pub left: f64,
    /// What the limit is, as a multiple of the declared one; below 0 where the answer does not say.
    pub scale: f64,
}

/// What a call says of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it was not sent, had no answer, or another bucket was the one that it was refused for.
    Silent,
    Served,
    /// Too many calls.
    Refused,
}

impl Budget {
    /// How many numbers it is.
    pub const NUMBERS: usize = 29;

    /// As it is stored: every number exactly, in the order of the fields.
    #[must_use]
    pub fn to_numbers(&self) -> [f64; Self::NUMBERS] {
        let b = self;
        [
            b.tat,
            b.blocked_until,
            b.rate,
            b.ceiling,
            b.step,
            b.changed_at,
            b.served,
            b.cut_at,
            b.epoch_at,
            b.epoch_served,
            b.epoch_blocked,
            b.refusals,
            b.scale,
            b.cost,
            b.concurrency,
            b.concurrency_at,
            b.concurrency_wait,
            b.concurrency_served,
            b.left,
            b.left_at,
            b.trial,
            b.trial_served,
            b.trial_refused,
            b.whim,
            b.pardon,
            b.window_from,
            b.window_at,
            b.window_served,
            b.closed_at,
        ]
    }

    /// Reads [`Self::to_numbers`]; what is missing is 0.
    #[must_use]
    pub fn from_numbers(numbers: &[f64]) -> Self {
        let at = |index: usize| numbers.get(index).copied().unwrap_or_default();
        Self {
            tat: at(0),
            blocked_until: at(1),
            rate: at(2),
            ceiling: at(3),
            step: at(4),
            changed_at: at(5),
            served: at(6),
            cut_at: at(7),
            epoch_at: at(8),
            epoch_served: at(9),
            epoch_blocked: at(10),
            refusals: at(11),
            scale: at(12),
            cost: at(13),
            concurrency: at(14),
            concurrency_at: at(15),
            concurrency_wait: at(16),
            concurrency_served: at(17),
            left: at(18),
            left_at: at(19),
            trial: at(20),
            trial_served: at(21),
            trial_refused: at(22),
            whim: at(23),
            pardon: at(24),
            window_from: at(25),
            window_at: at(26),
            window_served: at(27),
            closed_at: at(28),
        }
    }

    /// The declared rate, as the vendor says it stands for this account.
    fn cap(&self, allowed: &Allowance) -> f64 {
        if self.scale > 0.0 { allowed.per_s * self.scale } else { allowed.per_s }
    }

    /// What it gives now.
    #[must_use]
    pub fn pace(&self, allowed: &Allowance) -> Pace {
        let (cap, scale) = (self.cap(allowed), if self.scale > 0.0 { self.scale } else { 1.0 });
        let rate = if self.rate > 0.0 { self.rate } else { cap };
        // Who gives less than is declared gives less of it at once, too.
        let share = if cap > 0.0 { (rate / cap).min(1.0) } else { 1.0 };
        // What nobody declared is sent evenly: who knows what the vendor counts it by.
        let burst = if cap > 0.0 { (allowed.burst * scale * share * allowed.keep).max(1.0) } else { 1.0 };
        let learned = self.concurrency > 0.0 && (allowed.concurrency == 0.0 || self.concurrency < allowed.concurrency);
        let concurrency = if learned { self.concurrency } else { allowed.concurrency };
        Pace { per_s: rate * allowed.keep, burst, concurrency }
    }

    /// The tokens that a call takes.
    #[must_use]
    pub fn tokens(&self, want: &Want) -> f64 {
        let tokens = match want.tokens {
            given if given >= 0.0 => given,
            _ if self.cost > 0.0 => self.cost,
            _ => COST_FIRST,
        };
        // What is dearer than all there ever is waits until all is there.
        tokens.min(self.pace(&want.allowed).burst)
    }

    /// How long a call waits for its tokens, ms: 0 or less where it need not.
    #[must_use]
    pub fn wait_ms(&self, want: &Want, now: f64) -> f64 {
        let pace = self.pace(&want.allowed);
        let mut wait = self.blocked_until - now;
        if pace.per_s > 0.0 {
            let each = 1000.0 / pace.per_s;
            let back = self.tat.max(now) + self.tokens(want) * each - pace.burst * each - now;
            wait = wait.max(back);
        }
        wait
    }

    /// Takes a call's tokens, whether they are there or come back while it waits.
    pub fn take(&mut self, want: &Want, now: f64) {
        let pace = self.pace(&want.allowed);
        if pace.per_s > 0.0 {
            self.tat = self.tat.max(now) + self.tokens(want) * (1000.0 / pace.per_s);
        }
        if self.refusals >= PROBE_REFUSALS {
            self.blocked_until = self.blocked_until.max(now) + PROBE;
        }
    }

    /// The tokens that are there now, of our share; `None` where any number is.
    #[must_use]
    pub fn there(&self, allowed: &Allowance, now: f64) -> Option<f64> {
        let pace = self.pace(allowed);
        (pace.per_s > 0.0).then(|| (pace.burst - (self.tat - now).max(0.0) * pace.per_s / 1000.0).max(0.0))
    }
}
