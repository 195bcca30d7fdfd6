//! What people are told of an alarm, and how often.

use chrono::{DateTime, Duration, Utc};

use crate::record::RecordKind;

/// The first reminder comes after so long; each wait is twice the last, a week at most.
const REMIND_FIRST: Duration = Duration::hours(4);
const REMIND_LONGEST: Duration = Duration::days(7);

/// A sentence and a next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub sentence: String,
    pub next_step: String,
}

/// How often people are to be told of what is so since then, and when the last of these times was.
#[must_use]
pub fn reminders(since: DateTime<Utc>, now: DateTime<Utc>) -> (i64, DateTime<Utc>) {
    let (mut count, mut at, mut wait) = (1, since, REMIND_FIRST);
    while at + wait <= now {
        at += wait;
        count += 1;
        wait = (wait * 2).min(REMIND_LONGEST);
    }
    (count, at)
}

/// Nothing of a kind comes. `missing` is how much usually comes in such a time, `hourly` in an hour of now; `is_read` where a read was begun.
#[must_use]
pub fn silence(kind: RecordKind, connection: &str, silent: Duration, missing: f32, hourly: f32, is_read: bool) -> Told {
    let kinds = plural(kind);
    let usual = match hourly >= 1.0 && silent <= Duration::minutes(90) {
        true => format!("at this hour about {} arrive", rounded(hourly)),
        false => format!("in such a time about {} usually do", rounded(missing)),
    };
    let next = match is_read {
        true => format!("A read of its {kinds} was begun at once: what it finds comes by itself."),
        false => format!("Then bring what was missed with a backfill of its {kinds}, or let a poll read them."),
    };
    Told {
        sentence: format!("No {kinds} have arrived from {connection} for {}; {usual}.", span(silent)),
        next_step: format!(
            "Look at {connection} whether there are new ones, and whether its webhooks are still there and on. {next}"
        ),
    }
}

/// Nothing of a topic comes, while the kind does.
#[must_use]
pub fn topic_silence(topic: &str, connection: &str, silent: Duration, missing: f32, is_read: bool) -> Told {
    let next = match is_read {
        true => "A read was begun at once: what it finds comes by itself.",
        false => "Then bring what was missed with a backfill, or let a poll read it.",
    };
    Told {
        sentence: format!(
            "No webhook \"{topic}\" has arrived from {connection} for {}; in such a time about {} usually do, and others still come.",
            span(silent),
            rounded(missing)
        ),
        next_step: format!("Look at {connection} whether its webhook for \"{topic}\" is still there and on. {next}"),
    }
}

/// Nothing is planned for a flow, while the kind still comes from its source.
#[must_use]
pub fn flow_silence(flow: &str, kind: RecordKind, connection: &str, silent: Duration, missing: f32) -> Told {
    let kinds = plural(kind);
    Told {
        sentence: format!(
            "The flow \"{flow}\" has had nothing to deliver for {}; in such a time about {} {kinds} usually pass it, and others still arrive from {connection}.",
            span(silent),
            rounded(missing)
        ),
        next_step: format!(
            "Look at the flow's filter and at the exceptions of its {kinds}. Where these are as they should be, look at {connection} whether such {kinds} are made as before."
        ),
    }
}

/// Far more of a kind comes than ever.
#[must_use]
pub fn surge(kind: RecordKind, connection: &str, seen: u32, hourly: f32) -> Told {
    let kinds = plural(kind);
    Told {
        sentence: format!(
            "{seen} {kinds} have arrived from {connection} in the last hour; at this hour about {} usually do.",
            rounded(hourly)
        ),
        next_step: format!(
            "Nothing to do where this is a sale or an import. Otherwise look at {connection} for what makes so many {kinds}; pausing the connection stops them."
        ),
    }
}

fn plural(kind: RecordKind) -> String {
    format!("{}s", kind.as_str().replace('_', " "))
}

fn rounded(number: f32) -> String {
    if number < 1.0 { "1".to_owned() } else { format!("{number:.0}") }
}

fn span(time: Duration) -> String {
    match time.num_minutes() {
        minutes @ ..120 => format!("{minutes} minutes"),
        minutes @ ..2_880 => format!("{} hours", minutes / 60),
        minutes => format!("{} days", minutes / 1_440),
    }
}
