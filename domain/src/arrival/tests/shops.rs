//! Made-up shops. Each sends what its clock, its day and chance say; the same seed sends the same.

use chrono::{DateTime, Datelike, Duration, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::Tz;

use crate::arrival::{BUCKET_S, Bucket};

/// Numbers that look random and are the same for the same seed (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In 0..1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.share()).ln()).sqrt() * (std::f64::consts::TAU * self.share()).cos()
    }

    pub fn poisson(&mut self, rate: f64) -> u32 {
        if rate > 30.0 {
            return (rate + rate.sqrt() * self.normal()).round().max(0.0) as u32;
        }
        let (limit, mut product, mut count) = ((-rate).exp(), self.share(), 0);
        while product > limit {
            product *= self.share();
            count += 1;
        }
        count
    }

    /// About 1, from half to twice: what makes one day better than another.
    pub fn mood(&mut self, spread: f64) -> f64 {
        (spread * self.normal()).exp().clamp(0.5, 2.0)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shop {
    /// Some 900 orders a day.
    Busy,
    /// Some 50 a day.
    Middling,
    /// Three a day.
    Tiny,
    /// On weekdays from eight to six, singly, and a list of 20 to 80 at once now and then.
    Weekdays,
    /// Some 2,000 at two in the morning, give or take half an hour, of the shop's clock.
    Nightly,
    /// The same by UTC: where clocks change it comes an hour late or early.
    NightlyUtc,
    /// 200 a day, a tenth more each week.
    Growing,
    /// 600 a day; five times that on one Friday.
    Sale,
    /// A marketplace that tells each change of an order two to six times within minutes.
    Chatty,
}

pub const SHOPS: [Shop; 9] = [
    Shop::Busy,
    Shop::Middling,
    Shop::Tiny,
    Shop::Weekdays,
    Shop::Nightly,
    Shop::NightlyUtc,
    Shop::Growing,
    Shop::Sale,
    Shop::Chatty,
];

pub const ZONE: Tz = Tz::Europe__Berlin;
/// How people buy over a day, by the hour; the sum is 24.
const DAY: [f64; 24] = [
    0.25, 0.12, 0.08, 0.06, 0.08, 0.15, 0.35, 0.7, 1.1, 1.35, 1.5, 1.5, 1.4, 1.4, 1.4, 1.4, 1.45, 1.5, 1.6, 1.75, 1.8, 1.6, 1.0,
    0.46,
];

/// A Monday; the clock goes back on Sunday, 25 October, the last day of the fourth week.
pub fn monday() -> DateTime<Utc> {
    ZONE.with_ymd_and_hms(2026, 9, 28, 0, 0, 0).unwrap().to_utc()
}

/// The day of the sale: Friday of the fourth week.
pub fn is_sale_day(at: DateTime<Utc>) -> bool {
    let local = at.with_timezone(&ZONE).date_naive();
    local == monday().with_timezone(&ZONE).date_naive() + Duration::days(25)
}

impl Shop {
    /// What it sends in so many weeks; nothing between `dead`.
    pub fn sends(self, seed: u64, weeks: i64, dead: Option<(DateTime<Utc>, DateTime<Utc>)>) -> Vec<Bucket> {
        let mut dice = Dice::new(seed * 31 + self as u64);
        let (mut buckets, mut follow_ups) = (Vec::new(), std::collections::BTreeMap::<i64, u32>::new());
        let (begin, step) = (monday(), Duration::seconds(BUCKET_S));
        let (mut day, mut day_mood, mut hour_mood, mut night) = (0, 1.0, 1.0, 0.0);
        let mut hour = begin.with_timezone(&ZONE);
        for n in 0..weeks * 2_016 {
            let at = begin + step * i32::try_from(n).unwrap();
            if n % 12 == 0 {
                hour = at.with_timezone(&ZONE);
            }
            let (local, minute) = (hour, (n % 12 * 5) as u32);
            if local.day() != day {
                (day, day_mood) = (local.day(), dice.mood(0.25));
                // When the import of this night begins: minutes after one.
                night = 30.0 + 60.0 * dice.share();
            }
            if minute == 0 {
                hour_mood = dice.mood(0.2);
            }
            let curve = DAY[local.hour() as usize] / 24.0 / 12.0 * day_mood * hour_mood;
            let weekend = matches!(local.weekday(), Weekday::Sat | Weekday::Sun);
            let count = match self {
                Self::Busy => dice.poisson(900.0 * curve * if weekend { 1.2 } else { 1.0 }),
                Self::Middling => dice.poisson(50.0 * curve * if weekend { 1.3 } else { 1.0 }),
                Self::Tiny => dice.poisson(3.0 * curve),
                Self::Weekdays if weekend || !(8..18).contains(&local.hour()) => 0,
                Self::Weekdays => {
                    let list = if dice.share() < 0.02 { 20 + dice.poisson(30.0) } else { 0 };
                    dice.poisson(0.6 * day_mood * hour_mood) + list
                }
                Self::Nightly | Self::NightlyUtc => {
                    let hour = if self == Self::Nightly { local.hour() } else { (at.hour() + 2) % 24 };
                    let minute = f64::from(hour * 60 + minute) - 60.0;
                    if (night..night + 25.0).contains(&minute) { dice.poisson(400.0 * day_mood) } else { 0 }
                }
                Self::Growing => dice.poisson(200.0 * curve * 1.1f64.powf(n as f64 / 2_016.0)),
                Self::Sale => dice.poisson(600.0 * curve * if is_sale_day(at) { 5.0 } else { 1.0 }),
                Self::Chatty => {
                    let orders = dice.poisson(40.0 * curve);
                    for _ in 0..orders * (1 + dice.poisson(2.0).min(5)) {
                        *follow_ups.entry(n + i64::from(dice.poisson(1.0))).or_default() += 1;
                    }
                    orders + follow_ups.remove(&n).unwrap_or(0)
                }
            };
            if count > 0 && !dead.is_some_and(|(from, until)| (from..until).contains(&at)) {
                buckets.push(Bucket { at, count, last_at: at + Duration::minutes(2) });
            }
        }
        buckets
    }
}
