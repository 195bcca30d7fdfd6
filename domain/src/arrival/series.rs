//! A series: what comes of one kind of record from one connection. It takes the counts of closed buckets one after the other, learns from them,
//! and says after each whether it is silent, surges, or is as usual.

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;

use super::policy::Sensitivity;
use super::week::{HOURS, Hour, Usual, Week, hour_of_week};
use super::{BUCKET_S, HOUR};

/// It raises nothing before it has learned for so long,
pub const READY_DAYS: i64 = 14;
/// and from so many buckets with arrivals.
const EVIDENCE_MIN: f32 = 20.0;
/// A gap is at least so many empty buckets, however busy the series.
const GAP_MIN: f32 = 3.0;
/// One so much more surprising than every gap before it is silence, however long the others were.
const GAP_MARGIN: f32 = 2.5;
/// Where the tail of gaps begins, and how many gaps must be in it to be believed.
const TAIL_FROM: f32 = 2.0;
const TAIL_PRIOR: f32 = 10.0;
/// Gaps of so many hours, of twice as many in the mean, are regular where so many differ by so little, as a share of it.
const LONG_FROM: f32 = 6.0;
const REGULAR_MIN: f32 = 9.0;
const REGULAR_SPREAD: f32 = 0.1;
/// So many times what is usual are a surge, more than so many things at least,
const SURGE_MIN: f32 = 3.6;
const SURGE_COUNT_MIN: f32 = 60.0;
/// and so much more than every hour before it.
const SURGE_MARGIN: f32 = 1.25;
/// for so many buckets on end.
const SURGE_BUCKETS: u8 = 9;
/// A surge ends well below where it begins.
const SURGE_END: f32 = 0.6;
/// Added to both sides of a comparison, so that three instead of one are no surge.
const SURGE_FLOOR: f32 = 5.0;
/// Silence ends when this share of what is usual is back.
const BACK_SHARE: f32 = 0.25;
/// Added to both sides of a comparison of days.
const PACE_FLOOR: f32 = 10.0;
/// No day is slower than that: slower is silence.
const PACE_MIN: f32 = 0.6;
/// What was missed and comes late is no surge; half of it is forgotten in some six hours.
const OWED_KEPT: f32 = 0.99;
/// Of a day: what is left of a sum of the last day after a bucket.
const DAY_KEPT: f32 = 1.0 - 1.0 / 288.0;
/// Of the greatest gap and of the greatest hour: half is forgotten in ten weeks.
const GREATEST_KEPT: f32 = 1.0 - 0.000_034;
/// A day like no other is learned as so many times a usual one at most.
const LEARN_MAX: f32 = 2.0;

/// What is out of the ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// Nothing comes any more.
    Silence,
    /// Far more comes than ever.
    Surge,
}

/// What came in one bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Its begin, a multiple of [`BUCKET_S`].
    pub at: DateTime<Utc>,
    pub count: u32,
    /// The last arrival.
    pub last_at: DateTime<Utc>,
}

/// What an hour usually brings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    pub low: f32,
    pub expected: f32,
    pub high: f32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Since when it counts.
    pub begun_at: DateTime<Utc>,
    /// Buckets before this are in.
    pub until: DateTime<Utc>,
    pub last_at: Option<DateTime<Utc>>,
    pub alarm: Option<Alarm>,
    week: Week,
    memory: Memory,
}

/// What it remembers beside the week.
#[derive(Debug, Clone, PartialEq)]
struct Memory {
    /// The hour under way: things, buckets with any, buckets.
    count: f32,
    active: f32,
    buckets: u8,
    /// The last twelve buckets, the newest last: what came, and of it what was not owed.
    seen: [u32; HOUR as usize],
    beyond: [f32; HOUR as usize],
    /// How surprising the gap under way is if the week comes an hour late, on time, an hour early: clocks change, and so do shifts.
    gap: [f32; 3],
    /// Empty buckets of it.
    empty: f32,
    /// Things that would have come in it.
    missing: f32,
    owed: f32,
    /// Of the last day: what came, and what usually does.
    day_seen: f32,
    day_usual: f32,
    /// How much came in the day before the gap, as a share of what usually does, one at most.
    pace: f32,
    /// How far gaps went beyond what is common, and how many did: where things come by themselves, each goes one further in the mean.
    tail_sum: f32,
    tail_count: f32,
    /// Of gaps of hours: how many there were, their hours and the squares of these, and the longest.
    long_count: f32,
    long_sum: f32,
    long_squares: f32,
    greatest_long: f32,
    /// The most surprising gap that ended without an alarm; the greatest hour that did; and of the hours since the last that was usual.
    greatest_gap: f32,
    greatest_hour: f32,
    peak: f32,
    /// The most that was usual in the last two hours, before these were learned from; negative where that is not known.
    before: [f32; 2],
    /// Buckets since silence began, an hour's at most; and buckets on end in which far more came than ever.
    silent: u8,
    above: u8,
}

impl Default for Memory {
    fn default() -> Self {
        let none = [0.0; HOUR as usize];
        Self {
            count: 0.0,
            active: 0.0,
            buckets: 0,
            seen: [0; HOUR as usize],
            beyond: none,
            gap: [0.0; 3],
            empty: 0.0,
            missing: 0.0,
            owed: 0.0,
            day_seen: 0.0,
            day_usual: 0.0,
            pace: 1.0,
            tail_sum: 0.0,
            tail_count: 0.0,
            long_count: 0.0,
            long_sum: 0.0,
            long_squares: 0.0,
            greatest_long: 0.0,
            greatest_gap: 0.0,
            greatest_hour: 1.0,
            peak: 1.0,
            before: [-1.0; 2],
            silent: 0,
            above: 0,
        }
    }
}

impl Memory {
    /// How much longer the gaps are than those of things that come one by one: 1 for these, more where they come in heaps.
    fn heaps(&self) -> f32 {
        ((self.tail_sum + TAIL_PRIOR) / (self.tail_count + TAIL_PRIOR)).max(1.0)
    }

    /// True where gaps of hours are much alike, as those between the imports of a schedule are, and the one under way is clearly longer.
    fn is_overdue(&self) -> bool {
        let mean = self.long_sum / self.long_count;
        let spread = (self.long_squares / self.long_count - mean * mean).max(0.0).sqrt();
        self.long_count >= REGULAR_MIN
            && mean >= 2.0 * LONG_FROM
            && spread <= REGULAR_SPREAD * mean
            && self.empty / f32::from(HOUR) > (1.0 + REGULAR_SPREAD) * self.greatest_long + 1.0
    }
}

impl Series {
    /// A series that begins with this bucket.
    #[must_use]
    pub fn new(begun_at: DateTime<Utc>) -> Self {
        let begun_at = floor(begun_at);
        Self { begun_at, until: begun_at, last_at: None, alarm: None, week: Week::default(), memory: Memory::default() }
    }

    /// Takes in everything before `until`; what is not among `buckets`, which are in order, was empty.
    pub fn advance(&mut self, buckets: &[Bucket], until: DateTime<Utc>, zone: Tz, sensitivity: Sensitivity) {
        let begin = self.until;
        let mut buckets = buckets.iter().skip_while(|bucket| bucket.at < begin).peekable();
        let (until, step) = (floor(until), Duration::seconds(BUCKET_S));
        let mut hour = hour_of_week(self.until, zone);
        let mut usual = self.usual(hour);
        while self.until < until {
            let at = self.until;
            let bucket = buckets.next_if(|bucket| bucket.at == at);
            self.close(&usual, bucket.map_or(0, |bucket| bucket.count));
            self.last_at = bucket.map(|bucket| bucket.last_at).or(self.last_at);
            self.until += step;
            self.judge(&usual, sensitivity);
            // Every clock of this world changes its hour at a full quarter.
            if self.until.timestamp() % 900 == 0 {
                let next = hour_of_week(self.until, zone);
                if next != hour {
                    self.end_hour(hour);
                    (hour, usual) = (next, self.usual(next));
                }
            }
        }
    }

    /// What was usual before this day: what the last two hours brought is learned already, and would be compared with itself.
    fn usual(&self, hour: usize) -> Usual {
        let mut usual = self.week.usual(hour);
        for (count, before) in usual.most.iter_mut().zip(self.memory.before) {
            *count = if before < 0.0 { *count } else { before };
        }
        usual
    }

    /// Nobody could receive anything before `until`: that nothing came says nothing.
    pub fn pass(&mut self, until: DateTime<Utc>) {
        self.until = floor(until).max(self.until);
        (self.memory.count, self.memory.active, self.memory.buckets) = (0.0, 0.0, 0);
    }

    /// Nothing is to come before `until`, because its connection is paused: it begins anew after it, with all that it knows.
    pub fn skip(&mut self, until: DateTime<Utc>) {
        let until = floor(until).max(self.until);
        self.until = until;
        self.alarm = None;
        let kept = &self.memory;
        self.memory = Memory {
            tail_sum: kept.tail_sum,
            tail_count: kept.tail_count,
            long_count: kept.long_count,
            long_sum: kept.long_sum,
            long_squares: kept.long_squares,
            greatest_long: kept.greatest_long,
            greatest_gap: kept.greatest_gap,
            greatest_hour: kept.greatest_hour,
            ..Memory::default()
        };
    }

    /// Counts a bucket that is over.
    fn close(&mut self, usual: &Usual, count: u32) {
        let is_whole = self.week.is_whole();
        let memory = &mut self.memory;
        #[expect(
            clippy::cast_precision_loss,
            reason = "a count of five minutes; beyond 16 million the last digits are no matter"
        )]
        let seen = count as f32;
        memory.count += seen;
        memory.active += f32::from(u8::from(count > 0));
        memory.buckets = memory.buckets.saturating_add(1);
        for kept in [&mut memory.greatest_gap, &mut memory.tail_sum, &mut memory.tail_count] {
            *kept *= GREATEST_KEPT;
        }
        for kept in [&mut memory.greatest_long, &mut memory.long_count, &mut memory.long_sum, &mut memory.long_squares] {
            *kept *= GREATEST_KEPT;
        }
        memory.greatest_hour = (memory.greatest_hour * GREATEST_KEPT).max(1.0);
        if count > 0 {
            if is_whole && self.alarm != Some(Alarm::Silence) {
                let gap = least(&memory.gap);
                memory.greatest_gap = memory.greatest_gap.max(gap);
                if gap > TAIL_FROM {
                    memory.tail_sum += gap - TAIL_FROM;
                    memory.tail_count += 1.0;
                }
            }
            let hours = memory.empty / f32::from(HOUR);
            if hours >= LONG_FROM && self.alarm != Some(Alarm::Silence) {
                memory.long_count += 1.0;
                memory.long_sum += hours;
                memory.long_squares += hours * hours;
                memory.greatest_long = memory.greatest_long.max(hours);
            }
            (memory.gap, memory.empty, memory.missing) = ([0.0; 3], 0.0, 0.0);
            // A slow day is no silence. Of few things the last day says little.
            memory.pace = ((memory.day_seen + PACE_FLOOR) / (memory.day_usual + PACE_FLOOR)).clamp(PACE_MIN, 1.0);
        } else {
            for (gap, surprise) in memory.gap.iter_mut().zip(usual.surprises) {
                *gap += surprise * memory.pace;
            }
            memory.empty += 1.0;
            memory.missing += usual.bucket();
        }
        let usual = usual.bucket();
        let paid = (seen - usual).clamp(0.0, memory.owed);
        memory.owed = (memory.owed * OWED_KEPT + usual - seen).max(0.0);
        memory.seen.rotate_left(1);
        memory.beyond.rotate_left(1);
        memory.seen[usize::from(HOUR) - 1] = count;
        memory.beyond[usize::from(HOUR) - 1] = seen - paid;
        memory.day_seen = memory.day_seen * DAY_KEPT + seen;
        // A day of which nothing is known yet is as usual.
        memory.day_usual = memory.day_usual * DAY_KEPT + if is_whole { usual } else { seen };
    }

    /// Learns from an hour that is over; not while nothing comes that should.
    fn end_hour(&mut self, hour: usize) {
        let memory = &mut self.memory;
        let (count, active, buckets) = (memory.count, memory.active, f32::from(memory.buckets));
        (memory.count, memory.active, memory.buckets) = (0.0, 0.0, 0);
        memory.before = [memory.before[1], self.week.most(hour)];
        // Of less than most of an hour nothing is learned; an hour that the clock shows twice is learned as one.
        if buckets < f32::from(HOUR - 2) || self.alarm == Some(Alarm::Silence) {
            return;
        }
        let most = LEARN_MAX * memory.day_usual + 6.0;
        let share = if self.week.is_whole() && memory.day_seen > most { most / memory.day_seen } else { 1.0 };
        let scale = share * f32::from(HOUR) / buckets;
        self.week.learn(hour, count * scale, active * scale);
    }

    fn judge(&mut self, usual: &Usual, sensitivity: Sensitivity) {
        let excess = self.excess(usual);
        // Things that come in heaps bring hours of many by themselves.
        let threshold = (SURGE_MIN * self.memory.heaps()).max(SURGE_MARGIN * self.memory.greatest_hour);
        let is_above = excess >= threshold && self.level() >= SURGE_COUNT_MIN;
        self.memory.above = if is_above { self.memory.above.saturating_add(1) } else { 0 };
        self.alarm = match self.alarm {
            Some(Alarm::Silence) if self.is_back(usual) => None,
            Some(Alarm::Surge) if excess < SURGE_END * threshold => None,
            None if !self.is_ready() => None,
            None if self.is_silent(sensitivity) => Some(Alarm::Silence),
            None if self.memory.above >= SURGE_BUCKETS => Some(Alarm::Surge),
            alarm => alarm,
        };
        let memory = &mut self.memory;
        memory.silent = if self.alarm == Some(Alarm::Silence) { memory.silent.saturating_add(1).min(HOUR) } else { 0 };
        // What grows is not usual before it is over.
        let is_told = self.alarm == Some(Alarm::Surge) || !self.week.is_whole();
        if !is_told && (excess <= SURGE_END * memory.peak || excess <= 1.0) {
            (memory.greatest_hour, memory.peak) = (memory.greatest_hour.max(memory.peak), excess);
        }
        memory.peak = if is_told { 1.0 } else { memory.peak.max(excess) };
    }

    /// True where it knows enough to raise an alarm.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.until - self.begun_at >= Duration::days(READY_DAYS) && self.week.is_whole() && self.week.evidence() >= EVIDENCE_MIN
    }

    fn is_silent(&self, sensitivity: Sensitivity) -> bool {
        let memory = &self.memory;
        let surprise = least(&memory.gap);
        // Things that come in heaps leave longer gaps than their number lets expect: by so much each is less surprising.
        let heaps = memory.heaps();
        let least = sensitivity.surprise(self.week.often());
        let most = GAP_MARGIN * memory.greatest_gap;
        memory.empty >= GAP_MIN && (surprise >= (least * heaps).min(most).max(least) || memory.is_overdue())
    }

    fn is_back(&self, usual: &Usual) -> bool {
        let since = self.memory.seen.iter().rev().take(usize::from(self.memory.silent));
        let active = since.filter(|count| **count > 0).count();
        let active = f32::from(u8::try_from(active).unwrap_or(HOUR));
        active >= (BACK_SHARE * usual.active).max(1.0)
    }

    /// How many times as much came in the last hour as usually does, where the week may be an hour early or late.
    fn excess(&self, usual: &Usual) -> f32 {
        let usual = usual.most(self.memory.buckets);
        (self.level() + SURGE_FLOOR) / (usual + SURGE_FLOOR)
    }

    /// What an hour would bring in which every bucket were like the sixth greatest of the last twelve: a list that comes at once is no surge,
    /// however long it is.
    fn level(&self) -> f32 {
        let mut buckets = self.memory.beyond;
        buckets.sort_unstable_by(f32::total_cmp);
        buckets[usize::from(HOUR / 2)] * f32::from(HOUR)
    }

    /// What an hour usually brings at that moment; `None` where that is not known yet.
    #[must_use]
    pub fn band(&self, at: DateTime<Utc>, zone: Tz) -> Option<Band> {
        let hour = self.week.hours[hour_of_week(at, zone)];
        let expected = hour.count;
        // Of things that come one by one; what comes in heaps has a wider one.
        let heaps = if hour.active > 0.0 { (hour.count / hour.active).max(1.0) } else { 1.0 };
        let spread = 2.0 * (expected * heaps).sqrt();
        (hour.weeks > 0).then(|| Band { low: (expected - spread).max(0.0), expected, high: expected + spread })
    }

    /// What came in the last hour.
    #[must_use]
    pub fn seen(&self) -> u32 {
        self.memory.seen.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// What would have come since the last arrival.
    #[must_use]
    pub fn missing(&self) -> f32 {
        self.memory.missing
    }

    /// The clock by which it learned was another.
    pub fn turn(&mut self, before: Tz, now: Tz) {
        let [before, now] = [before, now].map(|zone| hour_of_week(self.until, zone));
        let hours = |hour: usize| i64::try_from(hour).unwrap_or(0);
        self.week.turn(hours(now) - hours(before));
    }
}

fn floor(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(at.timestamp().div_euclid(BUCKET_S) * BUCKET_S, 0).unwrap_or(at)
}

fn least(gap: &[f32; 3]) -> f32 {
    gap.iter().copied().fold(f32::INFINITY, f32::min)
}

/// What is stored of it: everything but times and the alarm, which stand beside it.
impl Series {
    const VERSION: u8 = 1;
    const BYTES: usize = 1 + HOURS * 9 + 2 * 4 + 1 + HOUR as usize * 8 + 20 * 4 + 2;

    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.push(Self::VERSION);
        for hour in &self.week.hours {
            bytes.extend(hour.count.to_le_bytes());
            bytes.extend(hour.active.to_le_bytes());
            bytes.push(hour.weeks);
        }
        let memory = &self.memory;
        [memory.count, memory.active].iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.push(memory.buckets);
        memory.seen.iter().for_each(|count| bytes.extend(count.to_le_bytes()));
        memory.beyond.iter().for_each(|number| bytes.extend(number.to_le_bytes()));
        let [late, on_time, early] = memory.gap;
        let last = [late, on_time, early, memory.empty, memory.missing, memory.owed, memory.day_seen, memory.day_usual];
        let long = [memory.long_count, memory.long_sum, memory.long_squares, memory.greatest_long];
        let greatest = [memory.pace, memory.tail_sum, memory.tail_count, memory.greatest_gap, memory.greatest_hour, memory.peak];
        last.iter().chain(&long).chain(&greatest).chain(&memory.before).for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend([memory.silent, memory.above]);
        bytes
    }

    /// Reads what was stored into a series that has its times; false where it cannot be read, and the series begins anew.
    pub fn read(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() != Self::BYTES || bytes.first() != Some(&Self::VERSION) {
            return false;
        }
        let mut rest = bytes[1..].iter().copied();
        let rest = &mut rest;
        let mut hours = [Hour::default(); HOURS];
        for hour in &mut hours {
            *hour = Hour { count: number(rest), active: number(rest), weeks: rest.next().unwrap_or(0) };
        }
        let memory = &mut self.memory;
        (memory.count, memory.active, memory.buckets) = (number(rest), number(rest), rest.next().unwrap_or(0));
        memory.seen.iter_mut().for_each(|count| *count = u32::from_le_bytes(four(rest)));
        memory.beyond.iter_mut().for_each(|beyond| *beyond = number(rest));
        memory.gap = [number(rest), number(rest), number(rest)];
        (memory.empty, memory.missing, memory.owed) = (number(rest), number(rest), number(rest));
        (memory.day_seen, memory.day_usual) = (number(rest), number(rest));
        (memory.long_count, memory.long_sum) = (number(rest), number(rest));
        (memory.long_squares, memory.greatest_long) = (number(rest), number(rest));
        (memory.pace, memory.tail_sum) = (number(rest), number(rest));
        (memory.tail_count, memory.greatest_gap) = (number(rest), number(rest));
        (memory.greatest_hour, memory.peak) = (number(rest), number(rest));
        memory.before = [number(rest), number(rest)];
        (memory.silent, memory.above) = (rest.next().unwrap_or(0), rest.next().unwrap_or(0));
        self.week = Week::of(hours);
        true
    }
}

fn four(bytes: &mut impl Iterator<Item = u8>) -> [u8; 4] {
    std::array::from_fn(|_| bytes.next().unwrap_or(0))
}

fn number(bytes: &mut impl Iterator<Item = u8>) -> f32 {
    f32::from_le_bytes(four(bytes))
}
