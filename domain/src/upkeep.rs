//! What must be kept up for a connection to work: what it was given ends one day, and somebody must be told before. Told once at each of four
//! distances, and once when it is over.

use chrono::{DateTime, Duration, Utc};

/// How long before its end something is told of, days; the last time is the end itself.
pub const TOLD_DAYS: [i64; 5] = [30, 14, 7, 1, 0];

/// What ends, or does not answer. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Upkeep {
    /// What a person allowed at the vendor.
    Consent,
    /// A secret that was typed in.
    Secret,
    /// A client certificate.
    Certificate,
    /// The connection does not answer to its credential.
    Probe,
    /// Something that the connector needs was not allowed.
    Scopes,
    /// A secret that a person is to exchange by then.
    Rotation,
    /// The exchange of a secret that does not go on without a person.
    RotationHalted,
}

impl Upkeep {
    pub const ALL: [Self; 7] =
        [Self::Consent, Self::Secret, Self::Certificate, Self::Probe, Self::Scopes, Self::Rotation, Self::RotationHalted];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Secret => "secret",
            Self::Certificate => "certificate",
            Self::Probe => "probe",
            Self::Scopes => "scopes",
            Self::Rotation => "rotation",
            Self::RotationHalted => "rotation_halted",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|upkeep| upkeep.as_str() == text)
    }

    /// What an incident is called by: alert rules match its beginning.
    #[must_use]
    pub fn code(self) -> String {
        format!("upkeep.{}", self.as_str())
    }

    /// What ends when, without how long that is from now: it is kept as it is told first.
    #[must_use]
    pub fn sentence(self, connection: &str, ends_at: DateTime<Utc>) -> String {
        let day = ends_at.format("%Y-%m-%d");
        match self {
            Self::Consent => {
                format!("What {connection} was connected with ends on {day}: nothing can be called there from then on.")
            }
            Self::Secret => format!("The secret of {connection} ends on {day}: nothing can be called there from then on."),
            Self::Certificate => {
                format!("The client certificate of {connection} ends on {day}: nothing can be called there from then on.")
            }
            Self::Probe => format!("{connection} does not answer to its credential."),
            Self::Scopes => format!("{connection} may do less than it needs."),
            Self::Rotation => format!("The secret of {connection} is to be exchanged by {day}; it works on after that."),
            Self::RotationHalted => format!("The exchange of the secret of {connection} does not go on by itself."),
        }
    }

    /// What to do next. `title` is the connector's.
    #[must_use]
    pub fn next_step(self, title: &str) -> String {
        match self {
            Self::Consent => format!("Open the connection and connect {title} again before; its flows stay as they are."),
            Self::Secret => format!(
                "Make a new secret at {title} before, and store it with the connection; where {title} lets both work for a while, end the old one afterwards."
            ),
            Self::Certificate => {
                format!("Have a new certificate made and known at {title} before, and store it with the connection.")
            }
            Self::Probe => {
                format!("Look at {title} whether the account and its rights are still there, then test the connection again.")
            }
            Self::Scopes => format!("Open the connection, connect {title} again and allow it; its flows stay as they are."),
            Self::Rotation => {
                format!(
                    "Open the connection and go through the steps of the exchange; the first is to make a new secret at {title}."
                )
            }
            Self::RotationHalted => "Open the connection: it says what the exchange waits for.".to_owned(),
        }
    }
}

/// Something that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub what: Upkeep,
    pub at: DateTime<Utc>,
}

impl Ends {
    /// Whole days until the end: 0 in the last 24 hours, negative afterwards.
    #[must_use]
    pub fn days_left(&self, now: DateTime<Utc>) -> i64 {
        (self.at - now).num_seconds().div_euclid(86_400)
    }

    /// How often it is to have been told by now, and since when the last of these times is; `None` before the first.
    #[must_use]
    pub fn told(&self, now: DateTime<Utc>) -> Option<(i64, DateTime<Utc>)> {
        let times = TOLD_DAYS.iter().map(|days| self.at - Duration::days(*days));
        let passed: Vec<DateTime<Utc>> = times.filter(|time| *time <= now).collect();
        Some((i64::try_from(passed.len()).ok()?, *passed.last()?))
    }

    /// "in 7 days"
    #[must_use]
    pub fn in_words(&self, now: DateTime<Utc>) -> String {
        match self.days_left(now) {
            ..0 => "it is over".to_owned(),
            0 => "within a day".to_owned(),
            1 => "in 1 day".to_owned(),
            days => format!("in {days} days"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_at_thirty_fourteen_seven_and_one_days_and_when_it_is_there() {
        let at: DateTime<Utc> = "2026-12-31T12:00:00Z".parse().unwrap();
        let ends = Ends { what: Upkeep::Secret, at };
        let told = |before: Duration| ends.told(at - before).map(|(times, _)| times);
        for (before, times) in [
            (Duration::days(31), None),
            (Duration::days(30), Some(1)),
            (Duration::days(15), Some(1)),
            (Duration::days(14), Some(2)),
            (Duration::days(7), Some(3)),
            (Duration::days(1) + Duration::seconds(1), Some(3)),
            (Duration::days(1), Some(4)),
            (Duration::seconds(1), Some(4)),
            (Duration::zero(), Some(5)),
            (Duration::days(-100), Some(5)),
        ] {
            assert_eq!(told(before), times, "{before}");
        }
        assert_eq!(ends.told(at - Duration::days(3)).unwrap().1, at - Duration::days(7), "since the day that it was due");
        assert_eq!(
            [30, 1, 0, -1].map(|days| ends.in_words(at - Duration::days(days))),
            ["in 30 days", "in 1 day", "within a day", "it is over"]
        );
    }

    #[test]
    fn each_has_a_word_a_code_and_a_next_step() {
        for upkeep in Upkeep::ALL {
            assert_eq!(Upkeep::parse(upkeep.as_str()), Some(upkeep));
            assert!(upkeep.code().starts_with("upkeep.") && upkeep.next_step("Acme").ends_with('.'));
        }
    }
}
