//! Times within expressions. The engine knows arithmetic of numbers only, and manifests write `now_utc() - duration('P1D')`; so a time is a
//! very large number: a flag for its kind, a flag for each duration, its months and its microseconds, each far enough above the next that
//! sums and differences keep them apart. No number of a vendor comes near: those beyond [`PLAIN_MAX`] go into expressions as texts.

use minijinja::Value;

use super::super::moment::{self, Moment, Span};

const TIME: i128 = 1_000_000_000_000_000_000_000_000_000_000_000_000;
const DURATION: i128 = TIME / 1_000;
const MONTH: i128 = DURATION / 1_000_000_000;
/// Numbers up to this are what they are.
pub(super) const PLAIN_MAX: i128 = DURATION / 10;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Time {
    Moment(Moment),
    Date(Moment),
    Span(Span),
}

fn nearest(value: i128, unit: i128) -> i128 {
    (value + unit / 2).div_euclid(unit)
}

impl Time {
    pub(super) fn of(value: &Value) -> Option<Time> {
        if !value.is_integer() {
            return None;
        }
        let value = i128::try_from(value.clone()).ok().filter(|value| value.abs() > PLAIN_MAX)?;
        let kind = nearest(value, TIME);
        let rest = value - kind * TIME;
        let rest = rest - nearest(rest, DURATION) * DURATION;
        let months = nearest(rest, MONTH);
        let micros = i64::try_from(rest - months * MONTH).ok()?;
        let months = i32::try_from(months).ok()?;
        let shifted = |micros: i64| Span { months, micros: 0 }.after(&moment::from_micros(micros)?);
        match kind {
            0 => Some(Time::Span(Span { months, micros })),
            1 => Some(Time::Moment(shifted(micros)?)),
            2 => Some(Time::Date(moment::from_micros(shifted(micros)?.timestamp().div_euclid(86_400) * 86_400_000_000)?)),
            _ => None,
        }
    }

    pub(super) fn to_value(self) -> Value {
        let micros = |at: &Moment| i128::from(at.timestamp_micros());
        Value::from(match self {
            Time::Moment(at) => TIME + micros(&at),
            Time::Date(at) => 2 * TIME + micros(&at),
            Time::Span(span) => DURATION + i128::from(span.months) * MONTH + i128::from(span.micros),
        })
    }

    pub(super) fn write(&self, format: &str) -> Option<String> {
        match self {
            Time::Moment(at) | Time::Date(at) => moment::write(at, format),
            Time::Span(_) => None,
        }
    }

    pub(super) fn iso(&self, separator: char) -> String {
        match self {
            Time::Date(at) => at.format("%Y-%m-%d").to_string(),
            Time::Moment(at) => {
                let fraction = if at.timestamp_subsec_micros() == 0 { "" } else { "%.6f" };
                at.format(&format!("%Y-%m-%d{separator}%H:%M:%S{fraction}%:z")).to_string()
            }
            Time::Span(span) => {
                let (days, rest) = (span.micros.div_euclid(86_400_000_000), span.micros.rem_euclid(86_400_000_000));
                let seconds = rest / 1_000_000;
                let clock = format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
                match days {
                    0 => clock,
                    1 | -1 => format!("{days} day, {clock}"),
                    days => format!("{days} days, {clock}"),
                }
            }
        }
    }
}
