//! What a running month would come to, if it went on as it did so far.

use chrono::{DateTime, Utc};

use super::{Agreement, DayUsage, Line, Month, days_from, lines};
use crate::usage::Meter;

/// Before that there is too little to go by.
const LEAST_S: i64 = 24 * 60 * 60;

/// The lines at the pace of the month so far; none where too little of it has passed, and what there is where it is over.
#[must_use]
pub fn estimate(month: Month, agreements: &[Agreement], usage: &[DayUsage], now: DateTime<Utc>) -> Option<Vec<Line>> {
    let (passed_s, rest_s) = ((now - month.starts_at()).num_seconds(), (month.ends_at() - now).num_seconds());
    if passed_s < LEAST_S {
        return None;
    }
    let mut all = usage.to_vec();
    if rest_s > 0 {
        for meter in Meter::ALL {
            let so_far: i64 = usage.iter().filter(|one| one.meter == meter).map(|one| one.quantity).sum();
            all.extend(rest(month, meter, so_far, passed_s, now));
        }
    }
    Some(lines(month, agreements, &all))
}

/// What would still come of a meter, day by day: each gets what is due by its end less what the days before it got, so that rounding loses nothing.
fn rest(month: Month, meter: Meter, so_far: i64, passed_s: i64, now: DateTime<Utc>) -> impl Iterator<Item = DayUsage> {
    let by = move |moment: DateTime<Utc>| {
        let since_s = i128::from((moment - now).num_seconds().max(0));
        i64::try_from(i128::from(so_far) * since_s / i128::from(passed_s)).unwrap_or(i64::MAX)
    };
    days_from(now.date_naive(), month.last_day()).map(move |day| {
        let starts_at = day.and_time(chrono::NaiveTime::MIN).and_utc();
        let quantity = by(starts_at + chrono::Duration::days(1)) - by(starts_at);
        DayUsage { day, meter, quantity }
    })
}
