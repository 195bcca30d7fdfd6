//! How a tenant wants its alarms: on which clock, how sure, and when nobody is to be told.

use chrono::{DateTime, Datelike, NaiveTime, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// How surprising a silence must be. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sensitivity {
    /// Later, and hardly ever false.
    Low,
    #[default]
    Normal,
    /// Sooner, and now and then false.
    High,
}

impl Sensitivity {
    pub const ALL: [Self; 3] = [Self::Low, Self::Normal, Self::High];

    /// How surprising a gap must be, as the negative logarithm of its chance, in a series that has so many in a week: were it all chance, one
    /// would be false in 20,000 years of a series, in 1,000, in five.
    pub(super) fn surprise(self, often: f32) -> f32 {
        const WEEKS: f32 = 52.0;
        let years: f32 = match self {
            Self::Low => 20_000.0,
            Self::Normal => 1_000.0,
            Self::High => 5.0,
        };
        (often.max(1.0) * WEEKS * years).ln()
    }
}

/// A time of day in which nobody is told; what is still so at its end is told then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// `22:00`
    pub from: NaiveTime,
    /// `07:00`; where it is not after `from`, it is of the next day.
    pub until: NaiveTime,
    /// Days on which it begins; none: every day.
    #[serde(default)]
    pub days: Vec<Weekday>,
}

impl QuietHours {
    #[must_use]
    pub fn holds(&self, at: DateTime<Utc>, zone: Tz) -> bool {
        let local = at.with_timezone(&zone);
        let (time, today) = (local.time(), local.weekday());
        let is_of = |day: Weekday| self.days.is_empty() || self.days.contains(&day);
        if self.from < self.until {
            return is_of(today) && (self.from..self.until).contains(&time);
        }
        time >= self.from && is_of(today) || time < self.until && is_of(today.pred())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlarmPolicy {
    /// The clock that the hours of the week and quiet hours are read on.
    pub zone: Tz,
    pub sensitivity: Sensitivity,
    pub quiet: Vec<QuietHours>,
}

impl Default for AlarmPolicy {
    fn default() -> Self {
        Self { zone: Tz::UTC, sensitivity: Sensitivity::Normal, quiet: vec![] }
    }
}

/// Why a policy is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("\"{0}\" is no time of day such as 22:00")]
    Time(String),
    #[error("\"{0}\" is no zone of the IANA's list, such as Europe/Berlin")]
    Zone(String),
    #[error("\"{0}\" is no day; write Mon, Tue, Wed, Thu, Fri, Sat or Sun")]
    Day(String),
    #[error("there are at most {} quiet hours", AlarmPolicy::QUIET_MAX)]
    TooMany,
}

impl AlarmPolicy {
    pub const QUIET_MAX: usize = 14;

    #[must_use]
    pub fn is_quiet(&self, at: DateTime<Utc>) -> bool {
        self.quiet.iter().any(|quiet| quiet.holds(at, self.zone))
    }

    /// # Errors
    /// Where the text is no zone.
    pub fn zone_of(text: &str) -> Result<Tz, PolicyError> {
        text.parse().map_err(|_| PolicyError::Zone(text.chars().take(60).collect()))
    }

    /// # Errors
    /// Where a text is no time or no day.
    pub fn quiet_of(from: &str, until: &str, days: &[String]) -> Result<QuietHours, PolicyError> {
        let shown = |text: &str| text.chars().take(60).collect::<String>();
        let time = |text: &str| {
            let time = NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|time| text.len() == 5 && time.second() == 0);
            time.ok_or_else(|| PolicyError::Time(shown(text)))
        };
        let day = |text: &String| text.parse().map_err(|_| PolicyError::Day(shown(text)));
        Ok(QuietHours { from: time(from)?, until: time(until)?, days: days.iter().map(day).collect::<Result<_, _>>()? })
    }
}
