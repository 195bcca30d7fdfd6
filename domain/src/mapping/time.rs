//! Times as vendors write them. An instant leaves as RFC 3339 in UTC with milliseconds; a local time needs the zone it is local to.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::issue::Fault;
use super::nearest::nearest;
use crate::value::{Arena, Tree};

/// A zone by its IANA name.
pub(super) fn zone(name: &str) -> Result<Tz, Box<Fault>> {
    name.trim().parse().map_err(|_| {
        let fault = Fault::expression(format!("there is no time zone {}", Tree::Text(name).shown())).value(name);
        fault.suggest("Zones have names such as America/Los_Angeles (IANA).")
    })
}

/// The zone that was probably meant. Looks at all six hundred: not for each row.
pub(super) fn zone_meant(name: &str) -> Option<&'static str> {
    nearest(name, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()))
}

/// An instant. Without an offset of its own the text is local to the zone.
pub(super) fn timestamp<'a>(text: &'a str, zone: Option<Tz>, arena: &'a Arena) -> Result<&'a str, Box<Fault>> {
    instant(text, zone).map(|at| written(at, arena))
}

fn instant(text: &str, zone: Option<Tz>) -> Result<DateTime<Utc>, Box<Fault>> {
    let text = text.trim();
    if let Some(at) = usual(text) {
        return Ok(at);
    }
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Ok(at.with_timezone(&Utc));
    }
    let shown = Tree::Text(text).shown();
    let local = zone.and_then(|zone| local(text).map(|local| (local, zone)));
    let Some((local, zone)) = local else {
        let what = format!("{shown} is no RFC 3339 time such as 2026-11-24T00:25:18Z");
        let suggestion = if zone.is_none() && self::local(text).is_some() {
            "It says no offset: give the rule the zone that it is local to, such as Europe/Berlin."
        } else {
            "Let the source send RFC 3339, or build the text with substring and &."
        };
        return Err(Fault::kind(what, Some(text), suggestion));
    };
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) => Ok(at.with_timezone(&Utc)),
        // The hour that comes twice in autumn: the first, as a clock on the wall showed it first.
        LocalResult::Ambiguous(first, _) => Ok(first.with_timezone(&Utc)),
        LocalResult::None => {
            let what = format!("{shown} does not exist in {zone}: clocks were put forward over it");
            Err(Fault::kind(what, Some(text), "Let the source send times with an offset."))
        }
    }
}

fn local(text: &str) -> Option<NaiveDateTime> {
    let day = text.get(..10)?;
    let day = NaiveDate::parse_from_str(day, "%Y-%m-%d").ok()?;
    match text.get(10..)?.strip_prefix(['T', ' ']) {
        Some(time) => ["%H:%M:%S%.f", "%H:%M"]
            .iter()
            .find_map(|format| chrono::NaiveTime::parse_from_str(time, format).ok())
            .map(|time| day.and_time(time)),
        None if text.len() == 10 => day.and_hms_opt(0, 0, 0),
        None => None,
    }
}

/// `2026-11-24T00:25:18` with `Z` or an offset, the way nearly every vendor writes it; anything else is for the slower reader.
fn usual(text: &str) -> Option<DateTime<Utc>> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| {
        bytes.get(from..to)?.iter().try_fold(0_u32, |n, byte| byte.is_ascii_digit().then(|| n * 10 + u32::from(byte - b'0')))
    };
    let is = |at: usize, byte: u8| bytes.get(at) == Some(&byte);
    if !(is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':')) {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(number(0, 4)? as i32, number(5, 7)?, number(8, 10)?)?;
    let at = day.and_hms_opt(number(11, 13)?, number(14, 16)?, number(17, 19)?)?;
    let offset_s = match (bytes.len(), bytes.get(19)?) {
        (20, b'Z') => 0,
        (25, sign @ (b'+' | b'-')) if is(22, b':') => {
            let (hours, minutes) = (number(20, 22)?, number(23, 25)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::from(hours * 3_600 + minutes * 60);
            if *sign == b'-' { -seconds } else { seconds }
        }
        _ => return None,
    };
    at.checked_sub_signed(chrono::TimeDelta::seconds(offset_s)).map(|at| at.and_utc())
}

fn written(at: DateTime<Utc>, arena: &Arena) -> &str {
    let mut out = bumpalo::collections::String::with_capacity_in(24, arena);
    let millis = at.nanosecond() / 1_000_000;
    if !(0..10_000).contains(&at.year()) {
        let _ = write!(out, "{}", at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
        return out.into_bump_str();
    }
    let mut digits = |number: u32, length: u32, before: &str| {
        out.push_str(before);
        for place in (0..length).rev() {
            out.push(char::from(b'0' + (number / 10_u32.pow(place) % 10) as u8));
        }
    };
    digits(at.year() as u32, 4, "");
    digits(at.month(), 2, "-");
    digits(at.day(), 2, "-");
    digits(at.hour(), 2, "T");
    digits(at.minute(), 2, ":");
    // A leap second is the second before it, a thousand milliseconds on.
    digits(at.second() + u32::from(millis >= 1_000), 2, ":");
    digits(millis % 1_000, 3, ".");
    out.push('Z');
    out.into_bump_str()
}

/// The day that a date or a timestamp says, as it is written there.
pub(super) fn day(text: &str) -> Result<NaiveDate, Box<Fault>> {
    let text = text.trim();
    let day = text.get(..10).and_then(|day| NaiveDate::parse_from_str(day, "%Y-%m-%d").ok());
    day.ok_or_else(|| {
        let suggestion = "Let the source send YYYY-MM-DD, or build the text with substring and &.";
        Fault::kind(format!("{} is no date", Tree::Text(text).shown()), Some(text), suggestion)
    })
}

/// The date of a date or a timestamp: as it is written there, or, with a zone, the day that it was there.
pub(super) fn date<'a>(text: &'a str, zone: Option<Tz>, arena: &'a Arena) -> Result<&'a str, Box<Fault>> {
    let text = text.trim();
    let parsed = day(text)?;
    if let Some(zone) = zone.filter(|_| text.len() > 10) {
        let there = instant(text, Some(zone))?.with_timezone(&zone).date_naive();
        return Ok(arena.alloc_str(&there.to_string()));
    }
    Ok(arena.alloc_str(&parsed.to_string()))
}

/// Seconds since 1970, with or without a fraction. Milliseconds are divided by 1000 first.
pub(super) fn from_epoch(seconds: Decimal, arena: &Arena) -> Result<&str, Box<Fault>> {
    let not = || {
        let fault = Fault::expression(format!("{seconds} is no count of seconds since 1970")).value(&seconds.to_string());
        fault.suggest("Divide milliseconds by 1000 first.")
    };
    let millis = seconds.checked_mul(Decimal::from(1_000)).and_then(|n| n.floor().to_i64()).ok_or_else(not)?;
    let at = DateTime::from_timestamp_millis(millis).filter(|at| (0..10_000).contains(&at.year())).ok_or_else(not)?;
    Ok(written(at, arena))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str, zone_name: Option<&str>) -> String {
        let arena = Arena::new();
        match timestamp(text, zone_name.map(|name| zone(name).unwrap()), &arena) {
            Ok(at) => at.to_owned(),
            Err(fault) => fault.what,
        }
    }

    #[test]
    fn a_local_time_is_an_instant_where_its_zone_is_known() {
        for (text, zone, instant) in [
            ("2026-11-24T00:25:18+01:00", None, "2026-11-23T23:25:18.000Z"),
            ("2026-11-24T00:25:18.25Z", None, "2026-11-24T00:25:18.250Z"),
            ("2026-07-01 09:30:00", Some("America/Los_Angeles"), "2026-07-01T16:30:00.000Z"),
            ("2026-12-01T09:30", Some("America/Los_Angeles"), "2026-12-01T17:30:00.000Z"),
            ("2026-12-01", Some("Asia/Kolkata"), "2026-11-30T18:30:00.000Z"),
            ("2026-10-25 02:30:00", Some("Europe/Berlin"), "2026-10-25T00:30:00.000Z"),
            (
                "2026-03-29 02:30:00",
                Some("Europe/Berlin"),
                "\"2026-03-29 02:30:00\" does not exist in Europe/Berlin: clocks were put forward over it",
            ),
            ("2026-07-01 09:30:00", None, "\"2026-07-01 09:30:00\" is no RFC 3339 time such as 2026-11-24T00:25:18Z"),
            ("2026-02-30T00:00:00Z", None, "\"2026-02-30T00:00:00Z\" is no RFC 3339 time such as 2026-11-24T00:25:18Z"),
        ] {
            assert_eq!(at(text, zone), instant, "{text}");
        }
        assert_eq!(zone_meant("Europe/Berln"), Some("Europe/Berlin"));
        assert_eq!(zone("Mars").unwrap_err().what, "there is no time zone \"Mars\"");
    }

    #[test]
    fn a_day_is_the_day_there() {
        let arena = Arena::new();
        let tokyo = Some(zone("Asia/Tokyo").unwrap());
        assert_eq!(date("2026-11-24T20:00:00Z", None, &arena).unwrap(), "2026-11-24");
        assert_eq!(date("2026-11-24T20:00:00Z", tokyo, &arena).unwrap(), "2026-11-25");
        assert_eq!(date("2026-11-24", tokyo, &arena).unwrap(), "2026-11-24");
        assert_eq!(from_epoch(Decimal::new(17_639_427_185, 1), &arena).unwrap(), "2025-11-24T00:05:18.500Z");
        assert!(from_epoch(Decimal::MAX, &arena).is_err());
    }

    proptest! {
        #[test]
        fn the_usual_way_reads_and_writes_what_chrono_does(text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,4})?(Z|[-+][0-2][0-9]:[0-6][0-9])") {
            let theirs = DateTime::parse_from_rfc3339(&text).ok().map(|at| at.with_timezone(&Utc));
            if let Some(ours) = usual(&text) { prop_assert_eq!(Some(ours), theirs); }
            if let Some(theirs) = theirs {
                prop_assert_eq!(at(&text, None), theirs.to_rfc3339_opts(chrono::SecondsFormat::Millis, true));
            }
        }
    }
}
