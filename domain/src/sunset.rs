//! A sunset is the announced end of an API version. Crossdock hears of it from a vendor's answers and webhooks and from the dates that a
//! connector carries, and raises a notice for each connection that calls that version: with the days left and what to do next.
//!
//! The worst end is one without an error: a vendor that does not serve a version any more and answers with another in its place.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};

use crate::fault::Owner;

/// How we know. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SunsetReason {
    /// An answer named the day: the `Sunset` header ([RFC 8594](https://www.rfc-editor.org/rfc/rfc8594)).
    AnnouncedByHeader,
    /// An answer was of another version than the one that was asked for: a silent fall-forward.
    EchoedOtherVersion,
    /// A webhook came in another version than the connector reads.
    SentOtherVersion,
    /// The vendor's documentation names the day, and so does the connector.
    ConnectorsDate,
    /// An answer called the version deprecated and named no day: the `Deprecation` header
    /// ([RFC 9745](https://www.rfc-editor.org/rfc/rfc9745)).
    Deprecated,
}

impl SunsetReason {
    pub const ALL: [SunsetReason; 5] =
        [Self::AnnouncedByHeader, Self::EchoedOtherVersion, Self::SentOtherVersion, Self::ConnectorsDate, Self::Deprecated];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AnnouncedByHeader => "announced_by_header",
            Self::EchoedOtherVersion => "echoed_other_version",
            Self::SentOtherVersion => "sent_other_version",
            Self::ConnectorsDate => "connectors_date",
            Self::Deprecated => "deprecated",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// What says that a version ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    pub reason: SunsetReason,
    /// The version that the connector calls; empty where the connector names none.
    pub version: String,
    /// The one that came in its place.
    pub served_version: Option<String>,
    /// From this moment on, the vendor may answer otherwise or not at all.
    pub ends_at: Option<DateTime<Utc>>,
    pub deprecated_at: Option<DateTime<Utc>>,
    /// Where the vendor says more.
    pub link: Option<String>,
}

/// How soon somebody must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// More than 180 days.
    Far,
    /// 180 days at most.
    Notice,
    /// 90 days at most.
    Warning,
    /// 30 days at most.
    Urgent,
    /// 7 days at most, or over already.
    Critical,
}

impl Severity {
    pub const ALL: [Severity; 5] = [Self::Far, Self::Notice, Self::Warning, Self::Urgent, Self::Critical];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Far => "far",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Urgent => "urgent",
            Self::Critical => "critical",
        }
    }
}

impl Sign {
    /// Whole days until the end: 0 in the last 24 hours, negative afterwards. `None` where no day is named.
    #[must_use]
    pub fn days_left(&self, now: DateTime<Utc>) -> Option<i64> {
        const DAY_S: i64 = 24 * 60 * 60;
        Some((self.ends_at?.timestamp() - now.timestamp()).div_euclid(DAY_S))
    }

    #[must_use]
    pub fn severity(&self, now: DateTime<Utc>) -> Severity {
        match (self.days_left(now), self.reason) {
            (Some(..=7), _) => Severity::Critical,
            (Some(..=30), _) => Severity::Urgent,
            (Some(..=90), _) => Severity::Warning,
            (Some(..=180), _) => Severity::Notice,
            (Some(_), _) => Severity::Far,
            // The end has come, and without an error.
            (None, SunsetReason::EchoedOtherVersion) => Severity::Critical,
            (None, SunsetReason::SentOtherVersion) => Severity::Warning,
            (None, _) => Severity::Notice,
        }
    }

    /// What happens, in one sentence. `title` is the connector's: "Acme ERP".
    #[must_use]
    pub fn sentence(&self, title: &str, now: DateTime<Utc>) -> String {
        let version = self.named_version();
        let served = self.served_version.as_deref().unwrap_or("another version");
        let mut sentence = match self.reason {
            SunsetReason::AnnouncedByHeader => format!("{title} announces in its answers that {version} ends"),
            SunsetReason::ConnectorsDate => format!("By {title}'s documentation, {version} ends"),
            SunsetReason::EchoedOtherVersion => format!(
                "{title} answers with version {served} where {version} was asked for: fields may have changed without an error"
            ),
            SunsetReason::SentOtherVersion => {
                format!("{title} sends webhooks in version {served}, and its connector reads {version}")
            }
            SunsetReason::Deprecated => {
                let since = self.deprecated_at.map(|at| format!(" from {} on", at.date_naive())).unwrap_or_default();
                format!("{title} says in its answers that {version} is deprecated{since}, and names no day of its end yet")
            }
        };
        if let (Some(at), Some(days)) = (self.ends_at, self.days_left(now)) {
            // Writing to a text cannot fail.
            let _ = write!(sentence, " on {}, {}", at.date_naive(), in_days(days));
        }
        sentence.push('.');
        sentence
    }

    /// Who must act.
    #[must_use]
    pub fn owner(&self) -> Owner {
        match self.reason {
            // The vendor's own settings say in which version it sends.
            SunsetReason::SentOtherVersion => Owner::Developer,
            _ => Owner::Crossdock,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn next_step(&self, title: &str) -> String {
        let version = self.named_version();
        // A connector of the installation's own folder is updated there.
        let update = "update the connector, with Crossdock or in your own folder,";
        match self.reason {
            SunsetReason::SentOtherVersion => {
                format!("At {title}, set the webhooks of this connection to {version}, or {update} to one that reads theirs.")
            }
            SunsetReason::EchoedOtherVersion => format!(
                "Compare the newest records of these flows with {title}, and {update} to one that calls a version which {title} serves."
            ),
            SunsetReason::AnnouncedByHeader | SunsetReason::ConnectorsDate | SunsetReason::Deprecated => {
                format!("Before it ends, {update} to one that calls a later version than {version}, and try these flows with it.")
            }
        }
    }

    fn named_version(&self) -> String {
        if self.version.is_empty() { "the API version that is called".to_owned() } else { format!("version {}", self.version) }
    }
}

fn in_days(days: i64) -> String {
    match days {
        0 => "within a day".to_owned(),
        1 => "in 1 day".to_owned(),
        2.. => format!("in {days} days"),
        -1 => "less than a day ago".to_owned(),
        -2 => "1 day ago".to_owned(),
        // Counted in days that are over.
        ..-2 => format!("{} days ago", -(days + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-27T12:00:00Z".parse().unwrap()
    }

    fn sign(reason: SunsetReason, ends_at: Option<&str>) -> Sign {
        Sign {
            reason,
            version: "2026-10".into(),
            served_version: Some("2027-01".into()),
            ends_at: ends_at.map(|at| at.parse().unwrap()),
            deprecated_at: None,
            link: None,
        }
    }

    #[test]
    fn days_are_counted_down_to_the_hour_and_on_beyond_the_end() {
        for (ends_at, days, severity) in [
            ("2027-11-27T12:00:00Z", 365, Severity::Far),
            ("2027-05-27T12:00:00Z", 181, Severity::Far),
            ("2027-05-27T11:59:59Z", 180, Severity::Notice),
            ("2027-02-25T12:00:00Z", 90, Severity::Warning),
            ("2026-12-27T12:00:00Z", 30, Severity::Urgent),
            ("2026-12-04T12:00:00Z", 7, Severity::Critical),
            ("2026-11-28T00:00:00Z", 0, Severity::Critical),
            ("2026-11-27T11:59:59Z", -1, Severity::Critical),
            ("2026-08-01T00:00:00Z", -119, Severity::Critical),
        ] {
            let sign = sign(SunsetReason::ConnectorsDate, Some(ends_at));
            assert_eq!((sign.days_left(now()), sign.severity(now())), (Some(days), severity), "{ends_at}");
        }
    }

    #[test]
    fn a_silent_fall_forward_has_no_day_and_is_as_bad_as_an_end() {
        assert_eq!(sign(SunsetReason::EchoedOtherVersion, None).severity(now()), Severity::Critical);
        assert_eq!(sign(SunsetReason::SentOtherVersion, None).severity(now()), Severity::Warning);
        assert_eq!(sign(SunsetReason::Deprecated, None).severity(now()), Severity::Notice);
    }

    #[test]
    fn a_notice_says_what_happens_when_and_what_to_do() {
        let said = |reason, ends_at| sign(reason, ends_at).sentence("Acme", now());
        assert_eq!(
            said(SunsetReason::AnnouncedByHeader, Some("2027-03-27T00:00:00Z")),
            "Acme announces in its answers that version 2026-10 ends on 2027-03-27, in 119 days."
        );
        assert_eq!(
            said(SunsetReason::ConnectorsDate, Some("2026-11-26T00:00:00Z")),
            "By Acme's documentation, version 2026-10 ends on 2026-11-26, 1 day ago."
        );
        assert_eq!(
            said(SunsetReason::EchoedOtherVersion, None),
            "Acme answers with version 2027-01 where version 2026-10 was asked for: fields may have changed without an error."
        );
        assert_eq!(
            said(SunsetReason::SentOtherVersion, None),
            "Acme sends webhooks in version 2027-01, and its connector reads version 2026-10."
        );
        let deprecated = Sign { version: String::new(), ..sign(SunsetReason::Deprecated, None) };
        assert_eq!(
            deprecated.sentence("Acme", now()),
            "Acme says in its answers that the API version that is called is deprecated, and names no day of its end yet."
        );
        for reason in SunsetReason::ALL {
            assert!(sign(reason, None).next_step("Acme").ends_with('.'));
            assert_eq!(SunsetReason::parse(reason.as_str()), Some(reason));
        }
    }
}
