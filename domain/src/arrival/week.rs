//! What a week looks like: for each hour of it, on the tenant's own clock, how many things come and in how many of its buckets any does.

use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::Tz;

use super::HOUR;

/// Hours of a week.
pub(super) const HOURS: usize = 168;
/// A newer week counts at least so much against all before it.
const NEWEST_SHARE: f32 = 0.25;
/// Weeks that an average holds the weight of.
const WEEKS_HELD: u8 = 4;
/// Of no bucket it is more certain than that that something comes.
const CERTAIN: f32 = 0.985;

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Hour {
    /// Things that come.
    pub count: f32,
    /// Buckets of the twelve in which any comes. Silence is judged by these: a hundred in one bucket say no more than one.
    pub active: f32,
    /// Weeks that were learned from.
    pub weeks: u8,
}

/// What is usual in an hour of the week.
#[derive(Debug, Clone, Copy)]
pub(super) struct Usual {
    /// Things that come.
    count: f32,
    /// The most that comes: two hours before it, one before it, in it, and one after it.
    pub most: [f32; 4],
    /// Buckets in which any does.
    pub active: f32,
    /// How surprising an empty bucket is, if the week comes an hour late, on time, an hour early.
    pub surprises: [f32; 3],
}

impl Usual {
    /// Things that come in a bucket.
    pub fn bucket(&self) -> f32 {
        self.count / f32::from(HOUR)
    }

    /// The most that comes in twelve buckets, if the week is an hour late, on time, or early; so many of them are of this hour.
    pub fn most(&self, buckets: u8) -> f32 {
        let now = f32::from(buckets.min(HOUR)) / f32::from(HOUR);
        self.most.windows(2).map(|two| (1.0 - now) * two[0] + now * two[1]).fold(0.0, f32::max)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Week {
    pub hours: [Hour; HOURS],
    /// How much of the averages to believe: they are of few things, or of many.
    trust: f32,
    /// Buckets of a week in which something comes.
    often: f32,
    /// Buckets with arrivals that the averages are of.
    evidence: f32,
    is_whole: bool,
}

impl Default for Week {
    fn default() -> Self {
        Self::of([Hour::default(); HOURS])
    }
}

impl Week {
    pub fn of(hours: [Hour; HOURS]) -> Self {
        let mut week = Self { hours, trust: 0.0, often: 0.0, evidence: 0.0, is_whole: false };
        week.weigh();
        week
    }

    /// Takes in an hour that is over.
    pub fn learn(&mut self, hour: usize, count: f32, active: f32) {
        let learned = &mut self.hours[hour];
        let share = (1.0 / (f32::from(learned.weeks) + 1.0)).max(NEWEST_SHARE);
        learned.count += (count - learned.count) * share;
        learned.active += (active - learned.active) * share;
        learned.weeks = learned.weeks.saturating_add(1);
        self.weigh();
    }

    fn weigh(&mut self) {
        self.often = self.hours.iter().map(|hour| hour.active).sum();
        self.evidence = self.hours.iter().map(|hour| hour.active * f32::from(hour.weeks.min(WEEKS_HELD))).sum();
        self.is_whole = self.hours.iter().all(|hour| hour.weeks > 0);
        let seen = self.evidence;
        // One and a half standard deviations below what was seen.
        self.trust = if seen > 0.0 { (1.0 - 1.5 / seen.sqrt()).max(0.25) } else { 0.0 };
    }

    /// Buckets with arrivals that the averages are of.
    pub fn evidence(&self) -> f32 {
        self.evidence
    }

    pub fn often(&self) -> f32 {
        self.often
    }

    /// True where every hour was seen.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The most that is usual in this hour: of this day of the week, or of all days. Three Saturdays may all have been poor ones.
    pub fn most(&self, hour: usize) -> f32 {
        let days = self.hours.iter().skip(hour % 24).step_by(24);
        let mean = days.map(|hour| hour.count).sum::<f32>() / 7.0;
        self.hours[hour % HOURS].count.max(mean)
    }

    /// What is usual in this hour.
    pub fn usual(&self, hour: usize) -> Usual {
        Usual {
            count: self.hours[hour].count,
            most: [HOURS - 2, HOURS - 1, 0, 1].map(|shift| self.most(hour + shift)),
            active: self.active(hour),
            surprises: [HOURS - 1, 0, 1].map(|shift| self.surprise(hour + shift)),
        }
    }

    /// Buckets of this hour in which usually something comes, with the hours beside it.
    fn active(&self, hour: usize) -> f32 {
        let at = |hour: usize| self.hours[hour % HOURS];
        let (sum, weight) = [(at(hour), 2.0), (at(hour + HOURS - 1), 1.0), (at(hour + 1), 1.0)]
            .into_iter()
            .filter(|(hour, _)| hour.weeks > 0)
            .fold((0.0, 0.0), |(sum, weight), (hour, w)| (sum + hour.active * w, weight + w));
        if weight > 0.0 { sum / weight } else { 0.0 }
    }

    /// How surprising a bucket of this hour is in which nothing comes: the negative logarithm of its chance. Those of a gap add up.
    fn surprise(&self, hour: usize) -> f32 {
        let chance = (self.active(hour) / f32::from(HOUR)).clamp(0.0, CERTAIN);
        -(1.0 - chance).ln() * self.trust
    }

    /// The tenant's clock is another now: so many hours later than before.
    pub fn turn(&mut self, hours: i64) {
        let by = usize::try_from(hours.rem_euclid(168)).unwrap_or(0);
        self.hours.rotate_right(by);
    }
}

/// Hours since Monday began, on that clock.
pub(super) fn hour_of_week(at: DateTime<Utc>, zone: Tz) -> usize {
    let local = at.with_timezone(&zone);
    let day = usize::try_from(local.weekday().num_days_from_monday()).unwrap_or(0);
    day * 24 + usize::try_from(local.hour()).unwrap_or(0)
}
