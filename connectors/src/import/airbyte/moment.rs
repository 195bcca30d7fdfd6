//! Times as a low-code manifest writes them: Python's `strptime` and `strftime` directives with four of Airbyte's own, ISO 8601 times and
//! ISO 8601 durations. Nothing here knows what time it is.

use chrono::{DateTime, Datelike, Days, FixedOffset, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike};

/// With the offset that it was written with, because it is written back with it.
pub(crate) type Moment = DateTime<FixedOffset>;

const UTC: FixedOffset = match FixedOffset::east_opt(0) {
    Some(utc) => utc,
    None => unreachable!(),
};
/// A format is a line of text, not a page.
const FORMAT_CHARS_MAX: usize = 128;
const MONTHS: [&str; 12] =
    ["january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"];
const DAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

pub(crate) fn from_micros(micros: i64) -> Option<Moment> {
    DateTime::from_timestamp_micros(micros).map(|utc| utc.with_timezone(&UTC))
}

/// Reads a time in one format; `None` where the text does not fit it whole.
pub(crate) fn parse(text: &str, format: &str) -> Option<Moment> {
    let whole = |text: &str| text.trim().parse::<i64>().ok();
    match format {
        "%s" => from_micros(whole(text)?.checked_mul(1_000_000)?),
        "%ms" => from_micros(whole(text)?.checked_mul(1_000)?),
        "%epoch_microseconds" => from_micros(whole(text)?),
        "%s_as_float" => {
            let seconds = text.trim().parse::<f64>().ok().filter(|s| s.is_finite() && s.abs() < 1e12)?;
            #[expect(clippy::cast_possible_truncation, reason = "bounded in the line above")]
            from_micros((seconds * 1e6).round() as i64)
        }
        _ => Reading::of(text, &format.replace("%_ms", "%f")),
    }
}

/// Writes a time in one format.
pub(crate) fn write(at: &Moment, format: &str) -> Option<String> {
    match format {
        "%s" => return Some(at.timestamp().to_string()),
        "%ms" => return Some(at.timestamp_millis().to_string()),
        "%epoch_microseconds" => return Some(at.timestamp_micros().to_string()),
        "%s_as_float" => {
            #[expect(clippy::cast_precision_loss, reason = "the format is a float")]
            let seconds = at.timestamp_micros() as f64 / 1e6;
            return Some(super::literal::float(seconds));
        }
        _ => {}
    }
    if format.chars().count() > FORMAT_CHARS_MAX {
        return None;
    }
    let name = |list: &[&str], index: u32, chars: usize| -> String {
        let name = list[index as usize];
        let end = chars.min(name.len());
        name[..1].to_uppercase() + &name[1..end]
    };
    let mut out = String::with_capacity(32);
    let mut rest = format;
    while let Some(at_percent) = rest.find('%') {
        out.push_str(&rest[..at_percent]);
        rest = &rest[at_percent + 1..];
        if let Some(after) = rest.strip_prefix("_ms") {
            out.push_str(&format!("{:03}", at.nanosecond() / 1_000_000));
            rest = after;
            continue;
        }
        let Some(directive) = rest.chars().next() else {
            out.push('%');
            break;
        };
        rest = &rest[directive.len_utf8()..];
        let weekday = at.weekday().num_days_from_monday();
        match directive {
            'Y' => out.push_str(&at.year().to_string()),
            'y' => out.push_str(&format!("{:02}", at.year().rem_euclid(100))),
            'm' => out.push_str(&format!("{:02}", at.month())),
            'd' => out.push_str(&format!("{:02}", at.day())),
            'H' => out.push_str(&format!("{:02}", at.hour())),
            'I' => out.push_str(&format!("{:02}", at.hour12().1)),
            'M' => out.push_str(&format!("{:02}", at.minute())),
            'S' => out.push_str(&format!("{:02}", at.second())),
            'f' => out.push_str(&format!("{:06}", at.nanosecond() / 1_000)),
            'j' => out.push_str(&format!("{:03}", at.ordinal())),
            'p' => out.push_str(if at.hour() < 12 { "AM" } else { "PM" }),
            'b' => out.push_str(&name(&MONTHS, at.month0(), 3)),
            'B' => out.push_str(&name(&MONTHS, at.month0(), 9)),
            'a' => out.push_str(&name(&DAYS, weekday, 3)),
            'A' => out.push_str(&name(&DAYS, weekday, 9)),
            'F' => out.push_str(&at.format("%Y-%m-%d").to_string()),
            'T' => out.push_str(&at.format("%H:%M:%S").to_string()),
            's' => out.push_str(&at.timestamp().to_string()),
            'z' => out.push_str(&at.format("%z").to_string()),
            'Z' if at.offset().local_minus_utc() == 0 => out.push_str("UTC"),
            'Z' => out.push_str(&format!("UTC{}", at.format("%:z"))),
            '%' => out.push('%'),
            _ => return None,
        }
    }
    out.push_str(rest);
    Some(out)
}

/// What a format found in a text so far.
struct Reading<'t> {
    rest: &'t str,
    year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
    afternoon: Option<bool>,
    ordinal: Option<u32>,
    offset: FixedOffset,
}

impl<'t> Reading<'t> {
    fn of(text: &'t str, format: &str) -> Option<Moment> {
        if format.len() > FORMAT_CHARS_MAX {
            return None;
        }
        let mut reading = Reading {
            rest: text,
            year: 1900,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
            micros: 0,
            afternoon: None,
            ordinal: None,
            offset: UTC,
        };
        let mut format = format.chars();
        while let Some(char) = format.next() {
            match char {
                '%' => reading.directive(format.next()?)?,
                space if space.is_whitespace() => reading.rest = reading.rest.trim_start(),
                plain => reading.rest = reading.rest.strip_prefix(plain)?,
            }
        }
        reading.rest.is_empty().then_some(())?;
        let date = match reading.ordinal {
            Some(day) => NaiveDate::from_yo_opt(reading.year, day)?,
            None => NaiveDate::from_ymd_opt(reading.year, reading.month, reading.day)?,
        };
        let hour = match reading.afternoon {
            Some(afternoon) => reading.hour % 12 + if afternoon { 12 } else { 0 },
            None => reading.hour,
        };
        // A 61st second is no time of ours; Python takes it and chrono would not.
        let time = NaiveTime::from_hms_micro_opt(hour, reading.minute, reading.second.min(59), reading.micros)?;
        reading.offset.from_local_datetime(&NaiveDateTime::new(date, time)).single()
    }

    fn directive(&mut self, directive: char) -> Option<()> {
        match directive {
            'Y' => {
                (self.digit_count() >= 4).then_some(())?;
                self.year = i32::try_from(self.number(4)?).ok()?;
            }
            'y' => {
                let year = i32::try_from(self.number(2)?).ok()?;
                self.year = if year < 69 { 2000 + year } else { 1900 + year };
            }
            'm' => self.month = self.number(2)?,
            'd' => self.day = self.number(2)?,
            'H' | 'I' => self.hour = self.number(2)?,
            'M' => self.minute = self.number(2)?,
            'S' => self.second = self.number(2)?,
            'j' => self.ordinal = Some(self.number(3)?),
            'f' => {
                let digits = self.digit_count().min(6);
                let value = self.number(6)?;
                self.micros = value * 10_u32.pow(6 - u32::try_from(digits).ok()?);
            }
            'p' => self.afternoon = Some(self.word(&["am", "pm"], 2)? == 1),
            'b' => self.month = self.word(&MONTHS, 3)? + 1,
            'B' => self.month = self.word(&MONTHS, 9)? + 1,
            'a' => self.word(&DAYS, 3).map(|_| ())?,
            'A' => self.word(&DAYS, 9).map(|_| ())?,
            'z' => self.offset = self.offset()?,
            'Z' => self.word(&["utc", "gmt"], 3).map(|_| ())?,
            'T' => ['H', ':', 'M', ':', 'S'].into_iter().try_for_each(|part| self.part(part))?,
            'F' => ['Y', '-', 'm', '-', 'd'].into_iter().try_for_each(|part| self.part(part))?,
            '%' => self.rest = self.rest.strip_prefix('%')?,
            _ => return None,
        }
        Some(())
    }

    fn part(&mut self, part: char) -> Option<()> {
        if part.is_alphabetic() {
            return self.directive(part);
        }
        self.rest = self.rest.strip_prefix(part)?;
        Some(())
    }

    fn digit_count(&self) -> usize {
        self.rest.bytes().take_while(u8::is_ascii_digit).count()
    }

    fn number(&mut self, digits_max: usize) -> Option<u32> {
        let (digits, rest) = self.rest.split_at(self.digit_count().min(digits_max));
        self.rest = rest;
        digits.parse().ok()
    }

    fn word(&mut self, words: &[&str], chars: usize) -> Option<u32> {
        let found = words.iter().position(|word| {
            let word = &word[..chars.min(word.len())];
            self.rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
        })?;
        self.rest = &self.rest[chars.min(words[found].len())..];
        u32::try_from(found).ok()
    }

    /// `Z`, `+0200`, `+02:00`, `+02:00:30`.
    fn offset(&mut self) -> Option<FixedOffset> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Some(UTC);
        }
        let negative = self.rest.starts_with('-');
        self.rest = self.rest.strip_prefix(['+', '-'])?;
        let hours = self.number(2)?;
        self.rest = self.rest.strip_prefix(':').unwrap_or(self.rest);
        let minutes = if self.digit_count() >= 2 { self.number(2)? } else { 0 };
        let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
        FixedOffset::east_opt(if negative { -seconds } else { seconds })
    }
}

/// An ISO 8601 time, as one of UTC, which it also is where it does not say: `2026-11-24`, `2026-11-24T09:30`, `20261124T093000.5+02:00`.
pub(crate) fn iso(text: &str) -> Option<Moment> {
    let text = text.trim();
    let (date, time) = match text.find(['T', ' ']) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let date_format = match (date.len(), date.contains('-')) {
        (4, false) => "%Y",
        (7, true) => "%Y-%m",
        (8, false) => "%Y%m%d",
        (10, true) => "%Y-%m-%d",
        _ => return None,
    };
    let utc = |at: Moment| at.with_timezone(&UTC);
    let Some(time) = time else { return parse(date, date_format).map(utc) };
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let zone = if zone_at < time.len() { "%z" } else { "" };
    let clock = match (&time[..zone_at], time[..zone_at].contains(':')) {
        (clock, true) => match (clock.matches(':').count(), clock.contains('.')) {
            (1, false) => "%H:%M",
            (2, false) => "%H:%M:%S",
            (2, true) => "%H:%M:%S.%f",
            _ => return None,
        },
        (clock, false) => match (clock.len(), clock.contains('.')) {
            (2, false) => "%H",
            (4, false) => "%H%M",
            (6, false) => "%H%M%S",
            (_, true) => "%H%M%S.%f",
            _ => return None,
        },
    };
    let separator = if text.contains('T') { "T" } else { " " };
    parse(text, &format!("{date_format}{separator}{clock}{zone}")).map(utc)
}

/// An ISO 8601 duration. Months are kept apart, because they differ in length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    pub(crate) months: i32,
    pub(crate) micros: i64,
}

/// Ten thousand years, in months: no span of a manifest is longer.
const MONTHS_MAX: i32 = 120_000;

impl Span {
    pub(crate) const MILLISECOND: Span = Span { months: 0, micros: 1_000 };

    pub(crate) fn parse(text: &str) -> Option<Span> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let mut rest = text.strip_prefix('P')?;
        (!rest.is_empty()).then_some(())?;
        let mut span = Span::default();
        let mut clock = false;
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('T') {
                (!clock && !after.is_empty()).then_some(())?;
                clock = true;
                rest = after;
                continue;
            }
            let end = rest.find(|char: char| char.is_ascii_alphabetic())?;
            let number = rest[..end].replace(',', ".").parse::<f64>().ok().filter(|n| n.is_finite() && (0.0..1e9).contains(n))?;
            let unit = rest[end..].chars().next()?;
            rest = &rest[end + 1..];
            let seconds = match (unit, clock) {
                ('Y', false) | ('M', false) => {
                    #[expect(clippy::cast_possible_truncation, reason = "bounded above and below")]
                    let count = if number.fract() == 0.0 { number as i32 } else { return None };
                    span.months = span.months.checked_add(count.checked_mul(if unit == 'Y' { 12 } else { 1 })?)?;
                    continue;
                }
                ('W', false) => 604_800.0,
                ('D', false) => 86_400.0,
                ('H', true) => 3_600.0,
                ('M', true) => 60.0,
                ('S', true) => 1.0,
                _ => return None,
            };
            #[expect(clippy::cast_possible_truncation, reason = "a saturating cast; the sum is checked")]
            let micros = (number * seconds * 1e6).round() as i64;
            span.micros = span.micros.checked_add(micros)?;
        }
        (span.months <= MONTHS_MAX).then_some(())?;
        Some(if negative { Span { months: -span.months, micros: -span.micros } } else { span })
    }

    pub(crate) fn after(self, at: &Moment) -> Option<Moment> {
        let months = Months::new(self.months.unsigned_abs());
        let at = if self.months < 0 { at.checked_sub_months(months)? } else { at.checked_add_months(months)? };
        at.checked_add_signed(TimeDelta::microseconds(self.micros))
    }

    pub(crate) fn before(self, at: &Moment) -> Option<Moment> {
        Span { months: -self.months, micros: -self.micros }.after(at)
    }

    pub(crate) fn is_positive(self) -> bool {
        self.months >= 0 && self.micros >= 0 && self != Span::default()
    }
}

/// The day that is so many days from this one.
pub(crate) fn days_from(at: &Moment, days: i64) -> Option<Moment> {
    let count = Days::new(days.unsigned_abs());
    if days < 0 { at.checked_sub_days(count) } else { at.checked_add_days(count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_and_written_as_python_does() {
        for (text, format, written) in [
            ("2026-11-24T09:30:00+0200", "%Y-%m-%dT%H:%M:%S%z", "2026-11-24T09:30:00+0200"),
            ("2026-11-24T09:30:00Z", "%Y-%m-%dT%H:%M:%S%z", "2026-11-24T09:30:00+0000"),
            ("2026-11-24T09:30:00.5Z", "%Y-%m-%dT%H:%M:%S.%fZ", "2026-11-24T09:30:00.500000Z"),
            ("2026-11-24T09:30:00.123Z", "%Y-%m-%dT%H:%M:%S.%_msZ", "2026-11-24T09:30:00.123Z"),
            ("1795512600", "%s", "1795512600"),
            ("1795512600123", "%ms", "1795512600123"),
            ("Tue, 24 Nov 2026 09:30 PM", "%a, %d %b %Y %I:%M %p", "Tue, 24 Nov 2026 09:30 PM"),
        ] {
            let at = parse(text, format).unwrap_or_else(|| panic!("{text} {format}"));
            assert_eq!(write(&at, format).as_deref(), Some(written), "{text}");
        }
        for (text, format) in [("2026-11-24T", "%Y-%m-%d"), ("26-11-24", "%Y-%m-%d"), ("2026-13-01", "%Y-%m-%d"), ("x", "%s")] {
            assert_eq!(parse(text, format), None, "{text}");
        }
    }

    #[test]
    fn an_iso_time_is_read_whatever_its_parts() {
        for (text, micros) in [
            ("2026-11-24", 1_795_478_400_000_000),
            ("2026-11-24T09:30", 1_795_512_600_000_000),
            ("2026-11-24 09:30:00.25Z", 1_795_512_600_250_000),
            ("20261124T093000+0200", 1_795_505_400_000_000),
        ] {
            assert_eq!(iso(text).map(|at| at.timestamp_micros()), Some(micros), "{text}");
        }
        assert_eq!(iso("yesterday"), None);
    }

    #[test]
    fn months_keep_to_the_calendar() {
        let at = iso("2024-01-31").unwrap();
        let after = |span: &str| write(&Span::parse(span).unwrap().after(&at).unwrap(), "%Y-%m-%dT%H:%M:%S").unwrap();
        assert_eq!(after("P1M"), "2024-02-29T00:00:00");
        assert_eq!(after("P1Y2DT3H"), "2025-02-02T03:00:00");
        assert_eq!(after("-P1W"), "2024-01-24T00:00:00");
        for wrong in ["", "P", "1D", "P1", "PT", "P1H", "P1.5M", "P99999999999Y"] {
            assert_eq!(Span::parse(wrong), None, "{wrong}");
        }
    }
}
