//! Times as a vendor writes them, read and written: the inverse of each other for every format.

use std::fmt::Write as _;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone, Utc};
use domain::value::Value;

use crate::manifest::TimeFormat;

/// Milliseconds since 1970, or the number itself for a format that is no time; `None` where the text is not of the format.
pub(super) fn read(format: &TimeFormat, text: &str) -> Option<i64> {
    let text = text.trim();
    match format {
        TimeFormat::Rfc3339 => {
            let naive = || text.parse::<NaiveDateTime>().map(|time| time.and_utc().timestamp_millis());
            DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_millis()).or_else(|_| naive()).ok()
        }
        TimeFormat::Rfc2822 => DateTime::parse_from_rfc2822(text).ok().map(|time| time.timestamp_millis()),
        TimeFormat::UnixS => text.parse::<i64>().ok()?.checked_mul(1_000),
        TimeFormat::UnixMs | TimeFormat::Integer => text.parse().ok(),
        TimeFormat::Pattern(pattern) => {
            let with_offset = DateTime::parse_from_str(text, pattern).map(|time| time.timestamp_millis());
            let time =
                with_offset.or_else(|_| NaiveDateTime::parse_from_str(text, pattern).map(|t| t.and_utc().timestamp_millis()));
            let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0).map(|t| t.and_utc().timestamp_millis());
            time.ok().or_else(|| NaiveDate::parse_from_str(text, pattern).ok().and_then(midnight))
        }
    }
}

/// Written as the vendor does; a time that stands there already says with what offset and how many decimals.
pub(super) fn write(format: &TimeFormat, at: i64, like: Option<&Value>) -> Value {
    let time = || Utc.timestamp_millis_opt(at).single().unwrap_or_default();
    let number = |number: i64| match like {
        Some(Value::Text(_)) => Value::Text(number.to_string()),
        _ => Value::from(number),
    };
    match format {
        TimeFormat::UnixS => number(at.div_euclid(1_000)),
        TimeFormat::UnixMs | TimeFormat::Integer => number(at),
        TimeFormat::Rfc2822 => Value::Text(time().format("%a, %d %b %Y %H:%M:%S %z").to_string()),
        TimeFormat::Rfc3339 => Value::Text(rfc3339(time(), like.and_then(Value::as_str))),
        TimeFormat::Pattern(pattern) => {
            let mut out = String::new();
            // A pattern that cannot be read would make the formatting fail; the check of the manifest has said so before.
            if StrftimeItems::new(pattern).all(|item| !matches!(item, Item::Error)) {
                let _ = write!(out, "{}", time().format(pattern));
            }
            Value::Text(out)
        }
    }
}

fn rfc3339(time: DateTime<Utc>, like: Option<&str>) -> String {
    let Some((like, known)) = like.and_then(|like| Some((like, DateTime::parse_from_rfc3339(like).ok()?))) else {
        // Some vendors leave the zone out, and mean UTC.
        let has_no_zone = like.is_some_and(|like| like.parse::<NaiveDateTime>().is_ok());
        return time.format(if has_no_zone { "%Y-%m-%dT%H:%M:%S" } else { "%Y-%m-%dT%H:%M:%SZ" }).to_string();
    };
    let decimals = like.split_once('.').map_or(0, |(_, rest)| rest.chars().take_while(char::is_ascii_digit).count());
    let local = time.with_timezone(known.offset());
    let mut out = local.format("%Y-%m-%dT%H:%M:%S").to_string();
    if decimals > 0 {
        let nanos = format!("{:09}", local.timestamp_subsec_nanos());
        let _ = write!(out, ".{}", &nanos[..decimals.min(9)]);
    }
    if like.ends_with(['Z', 'z']) { out + "Z" } else { format!("{out}{}", local.format("%:z")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_in_every_format() {
        let at = 1_790_000_123_000;
        let formats = [
            (TimeFormat::Rfc3339, None),
            (TimeFormat::Rfc3339, Some("2026-01-01T00:00:00.000Z")),
            (TimeFormat::Rfc3339, Some("2026-01-01T00:00:00-05:00")),
            (TimeFormat::UnixS, None),
            (TimeFormat::UnixMs, Some("1")),
            (TimeFormat::Rfc2822, None),
            (TimeFormat::Integer, None),
            (TimeFormat::Pattern("%Y-%m-%d %H:%M:%S".into()), None),
        ];
        for (format, like) in formats {
            let written = write(&format, at, like.map(Value::from).as_ref());
            assert_eq!(read(&format, &written.to_text().unwrap()), Some(at), "{written:?}");
        }
        let offset = write(&TimeFormat::Rfc3339, at, Some(&"2026-01-01T00:00:00.12-05:00".into()));
        assert_eq!(offset.as_str(), Some("2026-09-21T09:15:23.00-05:00"));
        assert_eq!(read(&TimeFormat::Pattern("%Y-%m-%d".into()), "1970-01-02"), Some(86_400_000));
        assert_eq!(read(&TimeFormat::Rfc3339, "yesterday"), None);
    }
}
