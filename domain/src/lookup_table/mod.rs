//! A lookup table is a tenant's code translations, its rates of exchange or its units: what a value at the source becomes.
//!
//! An entry stands from a moment until the next entry of the same value begins, or until an end of its own. So no two entries of one
//! value ever stand for one moment. [`change`] decides what becomes of a table, [`sheet`] reads and writes it as CSV, and [`suggest`] finds
//! what a value without an entry may have meant.

pub mod change;
pub mod sheet;
pub mod suggest;

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, Timelike, Utc};

use crate::currency;
use crate::mapping::unit_name;
use crate::value::decimal;

/// Bytes of a value at the source.
pub const FROM_BYTES_MAX: usize = 400;
/// Bytes of what it becomes.
pub const TO_BYTES_MAX: usize = 2_000;
/// Entries of one table that stand at once.
pub const ENTRIES_MAX: usize = 200_000;
/// Bytes of their texts together: a table is kept in memory as a whole.
pub const TEXT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What a table is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TableKind {
    /// Any value becomes another: SKU, tax, location, shipping method.
    #[default]
    Codes,
    /// `EUR/USD` becomes a rate, from a day on until the next.
    Rates,
    /// `case|each`, or `HAT-XL|case|each` for one item alone, becomes how many of the second unit one of the first is.
    Units,
}

impl TableKind {
    pub const ALL: [Self; 3] = [Self::Codes, Self::Rates, Self::Units];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Codes => "codes",
            Self::Rates => "rates",
            Self::Units => "units",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for TableKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one value becomes, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub from: String,
    pub to: String,
    /// `None`: since ever.
    pub effective_from: Option<DateTime<Utc>>,
    /// From this moment on it does not stand any more. `None`: until the next entry of the same value begins.
    pub effective_until: Option<DateTime<Utc>>,
}

impl Entry {
    /// An entry that always stands.
    #[must_use]
    pub fn always(from: impl Into<String>, to: impl Into<String>) -> Self {
        Self { from: from.into(), to: to.into(), effective_from: None, effective_until: None }
    }

    /// The rate of a pair of currencies from a day on.
    #[must_use]
    pub fn rate(from: &str, to: &str, day: Option<NaiveDate>, rate: impl Into<String>) -> Self {
        Self { effective_from: day.map(midnight), ..Self::always(rate_key(from, to), rate) }
    }

    /// The same as the table keeps it: moments in microseconds, codes of currencies and units in the one way that they are looked up by.
    ///
    /// # Errors
    /// What is wrong with it, in plain words.
    pub fn checked(mut self, kind: TableKind) -> Result<Self, String> {
        let moments = [&mut self.effective_from, &mut self.effective_until];
        for moment in moments.into_iter().flatten() {
            *moment = moment.trunc_subsecs(6);
            if !(1900..=9999).contains(&moment.year()) {
                return Err("a moment is in the years 1900 to 9999".to_owned());
            }
        }
        if let (Some(from), Some(until)) = (self.effective_from, self.effective_until)
            && until <= from
        {
            return Err("it ends before it begins".to_owned());
        }
        match kind {
            TableKind::Codes => {}
            TableKind::Rates => self.check_rate()?,
            TableKind::Units => self.check_unit()?,
        }
        if self.from.is_empty() {
            return Err("the value that it is looked up by is empty".to_owned());
        }
        for (what, text, bytes_max) in [("the value", &self.from, FROM_BYTES_MAX), ("what it becomes", &self.to, TO_BYTES_MAX)] {
            if text.len() > bytes_max {
                return Err(format!("{what} has {} bytes, and at most {bytes_max} are kept", text.len()));
            }
            if text.contains('\0') {
                return Err(format!("{what} holds the character U+0000, which cannot be stored"));
            }
        }
        Ok(self)
    }

    fn check_rate(&mut self) -> Result<(), String> {
        let codes = self.from.split_once('/').map(|(from, to)| [from, to].map(|code| code.trim().to_ascii_uppercase()));
        let [from, to] = codes.ok_or_else(|| format!("\"{}\" is no pair of currencies such as EUR/USD", self.from))?;
        for code in [&from, &to] {
            if currency::places(code).is_none() {
                return Err(format!("\"{code}\" is no currency code such as USD (ISO 4217)"));
            }
        }
        if from == to {
            return Err("a rate is between two different currencies".to_owned());
        }
        if self.effective_from.is_some_and(|at| at.num_seconds_from_midnight() != 0 || at.nanosecond() != 0) {
            return Err("a rate is in force from a day on, not from a time of the day".to_owned());
        }
        if self.effective_until.is_some() {
            return Err("a rate is in force until the next one of its pair, and has no end of its own".to_owned());
        }
        self.from = rate_key(&from, &to);
        self.check_number("rate", "1.0842")
    }

    fn check_unit(&mut self) -> Result<(), String> {
        let (item, from, to) =
            unit_parts(&self.from).ok_or_else(|| format!("\"{}\" is no pair of units such as case|each", self.from))?;
        if from.trim().is_empty() || to.trim().is_empty() {
            return Err("a unit has a name".to_owned());
        }
        let key = unit_key(item, from, to);
        if unit_name(from) == unit_name(to) {
            return Err("a factor is between two different units".to_owned());
        }
        self.from = key;
        self.check_number("factor", "12")
    }

    fn check_number(&mut self, what: &str, such_as: &str) -> Result<(), String> {
        let is_comma = self.to.contains(',');
        self.to = self.to.trim().to_owned();
        match decimal(&self.to).filter(|number| number.is_sign_positive() && !number.is_zero()) {
            Some(_) => Ok(()),
            None if is_comma => Err(format!("the {what} \"{}\" is no number: write it with a point, such as {such_as}", self.to)),
            None => Err(format!("the {what} \"{}\" is no number above 0 such as {such_as}", self.to)),
        }
    }
}

/// The moment at which a day begins, in UTC.
#[must_use]
pub fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(chrono::NaiveTime::MIN).and_utc()
}

/// What a rate is kept by: `EUR/USD`.
#[must_use]
pub fn rate_key(from: &str, to: &str) -> String {
    format!("{from}/{to}")
}

/// What a factor is kept by: `case|each`, or with an item `HAT-XL|case|each`.
#[must_use]
pub fn unit_key(item: Option<&str>, from: &str, to: &str) -> String {
    let (from, to) = (unit_name(from), unit_name(to));
    match item {
        Some(item) => format!("{item}|{from}|{to}"),
        None => format!("{from}|{to}"),
    }
}

/// The item, if it is for one alone, and the two units. An item may have the stroke in it, a unit not.
fn unit_parts(key: &str) -> Option<(Option<&str>, &str, &str)> {
    let (rest, to) = key.rsplit_once('|')?;
    Some(match rest.rsplit_once('|') {
        Some((item, from)) => (Some(item), from, to),
        None => (None, rest, to),
    })
}

/// A moment as a person reads it: the day alone where it begins.
fn shown(at: DateTime<Utc>) -> Cow<'static, str> {
    if at == midnight(at.date_naive()) {
        return at.date_naive().to_string().into();
    }
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_kept_in_the_one_way_that_it_is_looked_up_by() {
        let kept = |kind, from: &str, to: &str| Entry::always(from, to).checked(kind).map(|entry| (entry.from, entry.to));
        let ok = |from: &str, to: &str| Ok((from.to_owned(), to.to_owned()));
        assert_eq!(kept(TableKind::Codes, " HAT ", ""), ok(" HAT ", ""));
        assert_eq!(kept(TableKind::Rates, "eur/Usd", " 1.0842 "), ok("EUR/USD", "1.0842"));
        assert_eq!(kept(TableKind::Units, "HAT|XL|Case|Pieces", "12"), ok("HAT|XL|case|each", "12"));
        assert_eq!(kept(TableKind::Units, "case|EA", "12"), ok("case|each", "12"));
        for (kind, from, to, what) in [
            (TableKind::Codes, "", "1", "the value that it is looked up by is empty"),
            (TableKind::Codes, "a\0", "1", "the value holds the character U+0000, which cannot be stored"),
            (TableKind::Rates, "EURUSD", "1", "\"EURUSD\" is no pair of currencies such as EUR/USD"),
            (TableKind::Rates, "EUR/XXQ", "1", "\"XXQ\" is no currency code such as USD (ISO 4217)"),
            (TableKind::Rates, "EUR/EUR", "1", "a rate is between two different currencies"),
            (TableKind::Rates, "EUR/USD", "1,08", "the rate \"1,08\" is no number: write it with a point, such as 1.0842"),
            (TableKind::Rates, "EUR/USD", "0", "the rate \"0\" is no number above 0 such as 1.0842"),
            (TableKind::Rates, "EUR/USD", "-1", "the rate \"-1\" is no number above 0 such as 1.0842"),
            (TableKind::Units, "case", "12", "\"case\" is no pair of units such as case|each"),
            (TableKind::Units, "ea|each", "1", "a factor is between two different units"),
        ] {
            assert_eq!(kept(kind, from, to), Err(what.to_owned()), "{from}");
        }
        let long = "x".repeat(FROM_BYTES_MAX + 1);
        assert!(kept(TableKind::Codes, &long, "").unwrap_err().contains("401 bytes"));
    }

    #[test]
    fn a_time_ends_after_it_begins_and_a_rate_begins_with_a_day() {
        let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
        let entry = |from, until| Entry { effective_from: from, effective_until: until, ..Entry::always("EUR/USD", "1.1") };
        let (noon, next) = (at("2026-11-24T12:00:00Z"), at("2026-11-25T00:00:00Z"));
        assert!(entry(noon, next).checked(TableKind::Codes).is_ok());
        assert_eq!(entry(next, noon).checked(TableKind::Codes).unwrap_err(), "it ends before it begins");
        assert_eq!(entry(noon, noon).checked(TableKind::Codes).unwrap_err(), "it ends before it begins");
        assert!(entry(noon, None).checked(TableKind::Rates).unwrap_err().contains("from a day on"));
        assert!(entry(None, next).checked(TableKind::Rates).unwrap_err().contains("no end of its own"));
        assert!(entry(at("+12000-01-01T00:00:00Z"), None).checked(TableKind::Codes).unwrap_err().contains("1900 to 9999"));
    }
}
