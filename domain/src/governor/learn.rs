//! What is learned from a call. A refusal says where the limit is: not below what was served between two of them, with the time that nothing
//! might be sent in, and not above the rate that was refused. Between the two the rate goes a part of the way at a time, up to a little below
//! where it was refused, and from there on it probes by steps so small that a settled connection meets its limit once in hundreds of calls.
//!
//! A vendor that counts by the minute shows two windows in two minutes, too few to feel one's way. But each of them is measured whole once it
//! serves again: what it served from one end of its refusals to the next, in a time that is known to within the last wait ([`Budget::resumed`]).
//! What was refused while there was little to send measures nothing: somebody else filled that window.
//!
//! A vendor may also refuse for what has nothing to do with us: it is busy, or somebody else uses it. Each such refusal looks like a limit just
//! below our rate, and believing them all ends at a crawl. But what is counted over time holds what was served before: where half of that is
//! refused as often, the rate is taken back and so many refusals are pardoned ([`Budget::is_vain`]).

use super::{Allowance, Budget, Heard, PROBE_REFUSALS, Verdict};

/// Nothing asks us to wait longer than this, ms.
const BLOCK_MAX: f64 = 86_400_000.0;
/// A vendor that does not say how long to wait is left alone so long, times the square of its refusals in a row, ms.
const PAUSE: f64 = 250.0;
const PAUSE_MAX: f64 = 60_000.0;
/// Refusals further apart than this do not measure the limit: it may have been quiet between them, ms.
const EPOCH_MAX: f64 = 130_000.0;
/// Where nothing was refused yet, what was served lately is measured over this time, ms.
const RECENT: f64 = 10_000.0;
/// A refusal of the first call measures nothing: then it begins at this rate, and goes up to so many times as much.
const RATE_FIRST: f64 = 1.0;
const FIRST_WAY: f64 = 32.0;
/// No rate falls below this share of the declared one, or this many a second where none is declared.
const RATE_MIN_SHARE: f64 = 0.02;
const RATE_MIN: f64 = 0.1;
/// What a refusal takes of the rate that measures nothing.
const LESS: f64 = 0.95;
/// A time measures the limit where this share at least of what might be sent in it was: else it measures how little there was to send.
const FULL: f64 = 0.5;
/// Between what was served and where it was refused the rate goes by this share of the way at a time, up to a little below.
const WAY: f64 = 0.25;
const BELOW: f64 = 0.97;
const WAY_CALLS: f64 = 10.0;
const WAY_MS: f64 = 3_000.0;
/// A window that was full for the most of so long: no more than so many times what was served is to be expected.
const WINDOW_MS: f64 = 30_000.0;
const WINDOW_WAY: f64 = 1.5;
/// A window is measured where its length is known to within so many times, and was between these, ms. Retry-After is in whole seconds.
const MEASURED_WAY: f64 = 2.0;
const MEASURED_MIN: f64 = 10_000.0;
const SECOND: f64 = 1_000.0;
/// Of what it may have served the rate takes so much of the way from the least to the most: it is met again each window that it is too high.
const MEASURED_RATE: f64 = 0.1;
/// The rate falls by it only where so much of the window was a wait: else it may have been a short window that was full by chance.
const MEASURED_WAIT: f64 = 0.05;
/// Where nothing was refused, a window is counted anew after so long, ms.
const WINDOW_RECENT: f64 = 60_000.0;
/// From there on it probes: by a step that grows while nothing is refused.
const STEP_FIRST: f64 = 0.005;
const STEP_UP: f64 = 1.3;
const STEP_MAX: f64 = 0.25;
const STEP_CALLS: f64 = 200.0;
const STEP_MS: f64 = 20_000.0;
/// A refusal within so many calls of the last one, where this share of what the rate gives was served between the two, is of no limit that is
/// counted over time: that holds what was served. So many of them, down to this share of the rate at the first of them, are for nothing.
const TRIAL_CALLS: f64 = 1_000.0;
const TRIAL_SERVED: f64 = 0.6;
const TRIAL_REFUSED: f64 = 5.0;
const TRIAL_WAY: f64 = 0.5;
/// One that is refused again as soon as it is asked again speaks against it, as much as so many for it: a window that is full stays full. A window serves
/// up to three times what it gives, if it was only begun: of a rate below this share of the first one that is no reason any more.
const TRIAL_AGAIN: f64 = 2.0;
const TRIAL_DEEP: f64 = 0.35;
/// Then up to so many times that share of calls is refused without that anything is learned from it, so many in a row. It is believed the less
/// the more calls were served since. The rate goes up soon: to what is declared, else to so many times what it was; and this is the next step.
const WHIM_MAX: f64 = 0.05;
const WHIM_ROOM: f64 = 2.0;
const WHIM_ROW: f64 = 3.0;
const WHIM_LESS: f64 = 0.9998;
const WHIM_WAY: f64 = 4.0;
const WHIM_STEP: f64 = 0.1;
/// So many calls served with so many under way say that their number is not what the next one is refused for.
const AT_ONCE_PROOF: f64 = 10.0;
/// Calls at once grow by one after so many times their number, and a time that doubles with each refusal, ms.
const AT_ONCE_CALLS: f64 = 20.0;
const AT_ONCE_WAIT: f64 = 2_000.0;
const AT_ONCE_WAIT_MAX: f64 = 300_000.0;

impl Budget {
    /// Takes what a call says of the bucket.
    pub fn hear(&mut self, allowed: &Allowance, heard: &Heard, now: f64) {
        self.note(allowed, heard, now);
        let is_first = self.window_at == 0.0 && heard.verdict != Verdict::Silent;
        let is_anew = self.rate == 0.0 && heard.verdict == Verdict::Served && now - self.window_at > WINDOW_RECENT;
        if is_first {
            self.begin_window(heard.sent_at, heard.sent_at);
        } else if is_anew {
            // It may be in the midst of a window, of which what was served before is not counted: it measures nothing.
            self.begin_window(0.0, heard.sent_at);
        }
        match heard.verdict {
            Verdict::Silent => {}
            Verdict::Served => self.served(allowed, heard, now),
            Verdict::Refused => self.refused(allowed, heard, now),
        }
    }

    /// What the vendor says of the limit, of what is left of it, and of what the call cost.
    fn note(&mut self, allowed: &Allowance, heard: &Heard, now: f64) {
        if heard.scale > 0.0 && self.cap(allowed) > 0.0 {
            self.scale = heard.scale;
        }
        let pace = self.pace(allowed);
        if heard.spent >= 0.0 {
            self.cost = if self.cost > 0.0 { self.cost * 0.8 + heard.spent * 0.2 } else { heard.spent };
            if pace.per_s > 0.0 {
                self.tat = self.tat.max(now) + (heard.spent - heard.tokens) * (1000.0 / pace.per_s);
            }
        }
        if heard.left >= 0.0 && allowed.per_s > 0.0 {
            self.left = heard.left;
            self.left_at = now;
            // Of what is left, the reserve is not ours. More than we believe is there says nothing: it does not know of our calls under way.
            let room = pace.burst / allowed.keep;
            let ours = (heard.left - room * (1.0 - allowed.keep)).max(0.0).min(pace.burst);
            self.tat = self.tat.max(now + (pace.burst - ours) * (1000.0 / pace.per_s));
        }
    }

    fn served(&mut self, allowed: &Allowance, heard: &Heard, now: f64) {
        if heard.sent_at >= self.cut_at {
            self.answered(now);
            if self.refusals > 0.0 {
                self.resumed(allowed, heard);
                if self.rate > 0.0 {
                    self.go_evenly(allowed, now);
                }
            }
            self.refusals = 0.0;
        }
        self.window_served += heard.tokens;
        self.epoch_served += heard.tokens;
        self.pardon = (self.pardon + self.whim * WHIM_ROOM).min(WHIM_ROW);
        self.whim *= WHIM_LESS;
        self.grow_at_once(allowed, heard, now);
        if self.rate == 0.0 {
            if now - self.epoch_at > RECENT {
                self.epoch_at = now;
                self.epoch_served = 0.0;
            }
            return;
        }
        self.served += heard.tokens;
        let elapsed = now - self.changed_at;
        // A rate that nobody made use of was not tried.
        let is_used = self.served * 1000.0 >= 0.7 * self.rate * allowed.keep * elapsed;
        let near = self.ceiling * BELOW;
        if self.rate < near * 0.99 {
            if elapsed >= WAY_MS && self.served >= WAY_CALLS * heard.tokens {
                if is_used {
                    self.rate += (near - self.rate) * WAY;
                }
                self.changed_at = now;
                self.served = 0.0;
            }
        } else if elapsed >= STEP_MS && self.served >= STEP_CALLS * heard.tokens {
            if is_used {
                self.rate *= 1.0 + self.step;
                self.ceiling = self.ceiling.max(self.rate);
                self.step = (self.step * STEP_UP).min(STEP_MAX);
            }
            self.changed_at = now;
            self.served = 0.0;
        }
        let cap = self.cap(allowed);
        if cap > 0.0 && self.rate >= cap {
            self.rate = 0.0;
            self.epoch_at = now;
            self.epoch_served = 0.0;
        }
    }

    /// A probe was answered: nobody waits for it any more, and all the while nothing was sent.
    fn answered(&mut self, now: f64) {
        if self.refusals >= PROBE_REFUSALS {
            self.blocked_until = self.blocked_until.min(now);
            self.epoch_blocked += (now - self.cut_at).max(0.0);
        }
    }

    /// The vendor serves again. What it served since it did so before filled one window, or several: from some moment after it last refused before
    /// that, up to some moment since it last refused now.
    fn resumed(&mut self, allowed: &Allowance, heard: &Heard) {
        let (shortest, longest) = (self.closed_at - self.window_at, heard.sent_at - self.window_from);
        let is_known = shortest >= MEASURED_MIN && longest <= EPOCH_MAX && longest <= MEASURED_WAY * shortest;
        // The rate was cut since: the refusal was not pardoned, nor for nothing.
        let is_cut = self.rate > 0.0 && self.epoch_at >= self.window_at && self.whim == 0.0;
        // Of what might be sent until then, by the rate as it was cut: where little was sent the cut took little. Where nothing was served there is no
        // measure, and a rate of 0 would be any number.
        let open = self.epoch_at - self.window_at;
        let is_full = self.window_served > 0.0 && self.window_served * 1000.0 >= FULL * self.rate * allowed.keep * open;
        if is_known && is_cut && is_full {
            let (low, high) = (self.window_served * 1000.0 / longest, self.window_served * 1000.0 / shortest);
            let rate = (low + (high - low) * MEASURED_RATE).min(high * BELOW);
            if rate > self.rate || self.closed_at - self.epoch_at >= MEASURED_WAIT * longest {
                self.rate = rate.max(self.least(allowed));
                self.ceiling = high.max(self.rate);
            }
        }
        self.begin_window(self.closed_at, heard.sent_at);
    }

    /// From here on it is counted what is served: the vendor may have begun to serve at any moment between these.
    fn begin_window(&mut self, from: f64, at: f64) {
        self.window_from = from;
        self.window_at = at;
        self.window_served = 0.0;
    }

    fn grow_at_once(&mut self, allowed: &Allowance, heard: &Heard, now: f64) {
        if self.concurrency == 0.0 {
            return;
        }
        if heard.in_flight < self.concurrency {
            return;
        }
        self.concurrency_served += 1.0;
        let is_long = now - self.concurrency_at >= self.concurrency_wait;
        if is_long && self.concurrency_served >= AT_ONCE_CALLS * self.concurrency {
            self.concurrency += 1.0;
            self.concurrency_at = now;
            self.concurrency_served = 0.0;
            self.concurrency_wait = (self.concurrency_wait / 1.5).max(AT_ONCE_WAIT);
            if self.concurrency >= allowed.concurrency {
                self.concurrency = 0.0;
            }
        }
    }

    fn refused(&mut self, allowed: &Allowance, heard: &Heard, now: f64) {
        let is_new = heard.sent_at >= self.cut_at;
        if is_new {
            self.answered(now);
            self.refusals += 1.0;
            // What is refused for nothing is served when it is asked again.
            if self.refusals == PROBE_REFUSALS && self.rate > self.trial * TRIAL_DEEP {
                self.trial_refused -= TRIAL_AGAIN;
            }
        }
        let is_pardoned = self.pardon >= 1.0;
        if is_new && is_pardoned {
            self.pardon -= 1.0;
        }
        if !is_pardoned && self.is_at_once(allowed, heard, now) {
            if is_new {
                self.cut_at_once(heard, now);
            }
            return;
        }
        let mut pause = (PAUSE * self.refusals * self.refusals).min(PAUSE_MAX);
        if heard.retry_after >= 0.0 {
            pause = heard.retry_after.min(BLOCK_MAX);
        }
        let until = self.blocked_until.max(now + pause);
        let blocked = until - self.blocked_until.max(now);
        self.epoch_blocked += blocked;
        if is_pardoned {
            // The wait for it says nothing of whether the rate is made use of.
            self.changed_at += blocked;
        }
        self.blocked_until = until;
        if is_new {
            self.closed_at = if heard.retry_after >= 0.0 { now.max(until - SECOND) } else { now };
            // Nothing was served since the last one: it says the same, and that it was too early.
            if self.refusals == 1.0 && !is_pardoned {
                self.cut(allowed, heard, now);
            }
            self.cut_at = self.blocked_until;
        }
    }

    /// True where it is the number of calls at once that was too much: one is declared, others were under way, as many were not served again and
    /// again since, and time would not have helped.
    fn is_at_once(&self, allowed: &Allowance, heard: &Heard, now: f64) -> bool {
        if allowed.concurrency == 0.0 || heard.in_flight < 2.0 || heard.retry_after >= 0.0 {
            return false;
        }
        if self.concurrency > 0.0 && heard.in_flight <= self.concurrency && self.concurrency_served >= AT_ONCE_PROOF {
            return false;
        }
        let pace = self.pace(allowed);
        pace.per_s == 0.0 || (self.tat - now).max(0.0) * pace.per_s < 0.5 * pace.burst * 1000.0
    }

    fn cut_at_once(&mut self, heard: &Heard, now: f64) {
        let fewer = (heard.in_flight * 0.75).ceil().min(heard.in_flight - 1.0).max(1.0);
        self.concurrency = if self.concurrency > 0.0 { self.concurrency.min(fewer) } else { fewer };
        self.concurrency_wait = (self.concurrency_wait * 2.0).clamp(AT_ONCE_WAIT, AT_ONCE_WAIT_MAX);
        self.concurrency_at = now;
        self.concurrency_served = 0.0;
        self.cut_at = now;
    }

    /// Learns the rate from a refusal.
    fn cut(&mut self, allowed: &Allowance, heard: &Heard, now: f64) {
        let cap = self.cap(allowed);
        let old = if self.rate > 0.0 { self.rate } else { cap };
        let elapsed = (now - self.epoch_at).max(1.0);
        let measured = self.epoch_served * 1000.0 / elapsed;
        let is_close = self.cut_at > 0.0 && self.rate > 0.0 && elapsed <= EPOCH_MAX;
        let is_full = self.epoch_served * 1000.0 >= FULL * old * allowed.keep * (elapsed - self.epoch_blocked).max(0.0);
        // Where a learned rate was refused at our share of it, that is all there is, and the reserve is kept of that.
        let mut ceiling = if is_full && self.rate > 0.0 { old * allowed.keep } else { old };
        let mut rate = ceiling * LESS;
        if old == 0.0 {
            rate = measured.max(RATE_FIRST);
            ceiling = if measured < RATE_FIRST { RATE_FIRST * FIRST_WAY } else { measured };
        } else if is_close && self.epoch_served > 0.0 && is_full {
            // Where the most of a long time was a wait, it is a window that was full, and what was served is what it holds.
            if elapsed >= WINDOW_MS && self.epoch_blocked >= 0.5 * elapsed {
                ceiling = ceiling.min(measured * WINDOW_WAY);
            }
            rate = (measured + (ceiling - measured) * WAY).min(ceiling * BELOW);
        }
        let mut step = STEP_FIRST;
        self.whim = 0.0;
        if is_close && is_full && self.is_vain(old, measured >= TRIAL_SERVED * old * allowed.keep, heard) {
            rate = self.trial;
            ceiling = if cap > 0.0 { cap } else { rate * WHIM_WAY };
            step = WHIM_STEP;
            self.trial = 0.0;
        }
        self.rate = rate.max(self.least(allowed));
        self.ceiling = ceiling.max(self.rate);
        self.step = step;
        self.changed_at = self.blocked_until.max(now);
        self.served = 0.0;
        self.epoch_at = now;
        self.epoch_served = 0.0;
        self.epoch_blocked = self.blocked_until - now;
        self.go_evenly(allowed, self.changed_at);
    }

    /// No rate falls below this.
    fn least(&self, allowed: &Allowance) -> f64 {
        let cap = self.cap(allowed);
        if cap > 0.0 { cap * RATE_MIN_SHARE } else { RATE_MIN }
    }

    /// What came back while the vendor refused is not sent at once when it serves again: what it counts by may still be nearly full. Of a learned rate.
    fn go_evenly(&mut self, allowed: &Allowance, from: f64) {
        let pace = self.pace(allowed);
        self.tat = self.tat.max(from + (pace.burst - 1.0) * (1000.0 / pace.per_s));
    }

    /// Takes a refusal at `old` tokens a second into the trial. True where that ends and says that the rate has nothing to do with it.
    fn is_vain(&mut self, old: f64, was_served: bool, heard: &Heard) -> bool {
        if self.epoch_served >= TRIAL_CALLS * heard.tokens || old > self.trial {
            self.trial = if was_served { old } else { 0.0 };
            self.trial_served = 0.0;
            self.trial_refused = 0.0;
            return false;
        }
        self.trial_served += self.epoch_served;
        if was_served {
            self.trial_refused += 1.0;
        }
        if self.trial_refused < TRIAL_REFUSED || old > self.trial * TRIAL_WAY {
            return false;
        }
        self.whim = (self.trial_refused * heard.tokens / self.trial_served.max(1.0)).min(WHIM_MAX);
        self.pardon = WHIM_ROW;
        true
    }
}
