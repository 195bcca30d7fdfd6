//! When a flow delivers: as things arrive, or at times of its own. A schedule says in the tenant's own clock when what has gathered is sent;
//! it decides nothing about what is received, so nothing is lost between two of its times.

use chrono::{DateTime, Datelike, Days, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// What starts a flow's deliveries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Each as it arrives.
    #[default]
    Live,
    /// Those that have gathered, at these times.
    Schedule(Schedule),
}

impl Trigger {
    /// When what is planned now is due.
    #[must_use]
    pub fn due(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::Live => now,
            Self::Schedule(schedule) => schedule.next(now),
        }
    }

    /// # Errors
    /// What no clock can do.
    pub fn check(&self) -> Result<(), ScheduleError> {
        match self {
            Self::Live => Ok(()),
            Self::Schedule(schedule) => schedule.check(),
        }
    }
}

/// Either `every_minutes`, or `at` in a `zone`, on all `days` or some.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Schedule {
    /// 1 to 1,440, counted from midnight in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_minutes: Option<u32>,
    /// Times of day, at most 48: `02:00`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<String>,
    /// The IANA name of the clock that `at` is read on: `Europe/Berlin`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zone: Option<Tz>,
    /// `Mon` to `Sun`; none: every day.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
}

const MINUTES_MAX: u32 = 24 * 60;
const TIMES_MAX: usize = 48;

/// Why a schedule is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    #[error("a schedule says either every_minutes, or at and zone")]
    Either,
    #[error("every_minutes is {0}, but it must be from 1 to {MINUTES_MAX} (a day)")]
    Minutes(u32),
    #[error("\"{0}\" is no time of day such as 02:00")]
    Time(String),
    #[error("a schedule has at most {TIMES_MAX} times a day")]
    TooMany,
    #[error("say in which zone the times are read, such as Europe/Berlin")]
    Zone,
}

impl Schedule {
    /// # Errors
    /// The first thing that no clock can do.
    pub fn check(&self) -> Result<(), ScheduleError> {
        match (self.every_minutes, self.at.is_empty()) {
            (Some(_), false) | (None, true) => return Err(ScheduleError::Either),
            (Some(minutes), true) if !(1..=MINUTES_MAX).contains(&minutes) => return Err(ScheduleError::Minutes(minutes)),
            (Some(_), true) => {}
            (None, false) if self.zone.is_none() => return Err(ScheduleError::Zone),
            (None, false) => {}
        }
        if self.at.len() > TIMES_MAX {
            return Err(ScheduleError::TooMany);
        }
        self.at.iter().try_for_each(|at| time_of_day(at).map(|_| ()).ok_or_else(|| ScheduleError::Time(at.clone())))
    }

    /// The first moment after `now`; `now` itself where the schedule has none, because what waits for ever is lost.
    #[must_use]
    pub fn next(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        if let Some(minutes) = self.every_minutes.filter(|minutes| *minutes > 0) {
            let step = i64::from(minutes) * 60;
            let next = (now.timestamp().div_euclid(step) + 1).saturating_mul(step);
            return DateTime::from_timestamp(next, 0).unwrap_or(now);
        }
        let zone = self.zone.unwrap_or(Tz::UTC);
        let today = now.with_timezone(&zone).date_naive();
        // A week finds every day of the week, and one day more what of today is over.
        let days = (0..=7).filter_map(|ahead| today.checked_add_days(Days::new(ahead)));
        let mut days = days.filter(|day| self.days.is_empty() || self.days.contains(&day.weekday()));
        let times: Vec<NaiveTime> = self.at.iter().filter_map(|at| time_of_day(at)).collect();
        days.find_map(|day| times.iter().filter_map(|time| on_clock(zone, day.and_time(*time))).filter(|at| *at > now).min())
            .unwrap_or(now)
    }
}

fn time_of_day(text: &str) -> Option<NaiveTime> {
    NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| text.len() == 5)
}

/// A time that the clock shows twice is the first of the two; one that it skips comes an hour later, which is when it would have been.
fn on_clock(zone: Tz, time: chrono::NaiveDateTime) -> Option<DateTime<Utc>> {
    let local = zone.from_local_datetime(&time);
    let local = local.earliest().or_else(|| zone.from_local_datetime(&(time + TimeDelta::hours(1))).earliest());
    local.map(|at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(json: serde_json::Value) -> Schedule {
        let schedule: Schedule = serde_json::from_value(json).unwrap();
        schedule.check().unwrap();
        schedule
    }

    #[test]
    fn the_next_time_is_the_first_after_now_on_the_tenants_own_clock() {
        let berlin = schedule(serde_json::json!({"at": ["02:30", "14:00"], "zone": "Europe/Berlin"}));
        let fridays = schedule(serde_json::json!({"at": ["18:00"], "zone": "America/New_York", "days": ["Fri"]}));
        let quarters = schedule(serde_json::json!({"every_minutes": 15}));
        for (schedule, now, next) in [
            (&berlin, "2026-11-25T00:00:00Z", "2026-11-25T01:30:00Z"),
            (&berlin, "2026-11-25T01:30:00Z", "2026-11-25T13:00:00Z"),
            (&berlin, "2026-11-25T13:00:00.001Z", "2026-11-26T01:30:00Z"),
            // The clock skips 02:30 on this day.
            (&berlin, "2026-03-29T00:00:00Z", "2026-03-29T01:30:00Z"),
            // And shows it twice on this one.
            (&berlin, "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),
            (&berlin, "2026-10-25T00:30:00Z", "2026-10-25T13:00:00Z"),
            (&fridays, "2026-11-25T00:00:00Z", "2026-11-27T23:00:00Z"),
            (&fridays, "2026-11-27T23:00:00Z", "2026-12-04T23:00:00Z"),
            (&quarters, "2026-11-25T00:00:00Z", "2026-11-25T00:15:00Z"),
            (&quarters, "2026-11-25T23:59:59Z", "2026-11-26T00:00:00Z"),
        ] {
            let now: DateTime<Utc> = now.parse().unwrap();
            assert_eq!(schedule.next(now), next.parse::<DateTime<Utc>>().unwrap(), "{schedule:?} after {now}");
        }
    }

    #[test]
    fn what_no_clock_can_do_is_refused_in_words() {
        let refusal = |json| serde_json::from_value::<Schedule>(json).unwrap().check().unwrap_err().to_string();
        for (json, sentence) in [
            (serde_json::json!({}), "a schedule says either every_minutes, or at and zone"),
            (serde_json::json!({"every_minutes": 5, "at": ["02:00"]}), "a schedule says either every_minutes, or at and zone"),
            (serde_json::json!({"every_minutes": 0}), "every_minutes is 0, but it must be from 1 to 1440 (a day)"),
            (serde_json::json!({"at": ["25:00"], "zone": "UTC"}), "\"25:00\" is no time of day such as 02:00"),
            (serde_json::json!({"at": ["02:00"]}), "say in which zone the times are read, such as Europe/Berlin"),
        ] {
            assert_eq!(refusal(json), sentence);
        }
    }

    #[test]
    fn a_schedule_that_has_no_time_holds_nothing_back() {
        let now = Utc::now();
        assert_eq!(Schedule::default().next(now), now);
        assert_eq!(Trigger::default().due(now), now);
    }
}
