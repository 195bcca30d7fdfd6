//! What a tenant is billed for a month: computed from what was metered in it and from the plans that it was on, and from nothing else. Whatever a line
//! says can be worked out again from the line itself. Months and days are those of UTC.
//!
//! (The invoice of a buyer, which a shop or an ERP has, is a [`crate::record::RecordKind`].)

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, NaiveTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::currency::{minor_units, round_money};
use crate::plan::{Plan, Terms};
use crate::usage::Meter;

mod estimate;
mod late;
#[cfg(test)]
mod tests;

pub use estimate::estimate;
pub use late::{LATE_MONTHS, late};

pub const REASON_CHARS_MAX: usize = 500;

/// A month of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month(NaiveDate);

impl Month {
    #[must_use]
    pub fn of(day: NaiveDate) -> Self {
        Self(day.with_day(1).expect("each month has a first day"))
    }

    /// `2026-11`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 7 {
            return None;
        }
        let month = NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").ok().map(Self);
        // Chrono takes signs, and spaces for digits: a month has one spelling.
        month.filter(|month| month.to_string() == text)
    }

    #[must_use]
    pub fn first_day(self) -> NaiveDate {
        self.0
    }

    #[must_use]
    pub fn last_day(self) -> NaiveDate {
        self.plus(1).0.pred_opt().expect("the day before a day")
    }

    #[must_use]
    pub fn days(self) -> u32 {
        self.last_day().day()
    }

    #[must_use]
    pub fn plus(self, months: u32) -> Self {
        Self(self.0.checked_add_months(Months::new(months)).expect("no month is that far"))
    }

    #[must_use]
    pub fn minus(self, months: u32) -> Self {
        Self(self.0.checked_sub_months(Months::new(months)).expect("no month is that far"))
    }

    #[must_use]
    pub fn starts_at(self) -> DateTime<Utc> {
        self.0.and_time(NaiveTime::MIN).and_utc()
    }

    /// The first moment that is not of it.
    #[must_use]
    pub fn ends_at(self) -> DateTime<Utc> {
        self.plus(1).starts_at()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.format("%Y-%m"))
    }
}

/// A plan, and the day from which a tenant is on it; until the next one begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    pub from: NaiveDate,
    pub plan: Plan,
}

/// What is wrong with a day from which a plan is to be agreed: what lies further back would be billed all at once, further ahead is a slip of the pen.
///
/// # Errors
/// A sentence.
pub fn check_day(plan: &Plan, from: NaiveDate, today: NaiveDate) -> Result<(), String> {
    let (first, last) = (today - Months::new(12), today + Months::new(12));
    if from < plan.valid_from {
        return Err(format!("the plan {} is valid from {} on; begin then, or choose another one", plan.id, plan.valid_from));
    }
    if !(first..=last).contains(&from) {
        return Err(format!("a plan begins between {first} and {last}, not on {from}"));
    }
    Ok(())
}

/// What was counted of one meter on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayUsage {
    pub day: NaiveDate,
    pub meter: Meter,
    pub quantity: i64,
}

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// The base fee of a plan.
    BaseFee,
    /// What was counted of a meter.
    Usage,
    /// What was counted of a meter after the invoice of its month was closed.
    LateUsage,
    /// What was counted while the tenant was on no plan: it costs nothing.
    NoPlan,
    /// What a credit note gives back.
    Credit,
}

/// So many at one price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    pub quantity: i64,
    pub price: Decimal,
    /// Rounded to the currency's places, halves away from zero.
    pub amount: Decimal,
}

/// One line. Its amount is the sum of its charges, or the part of the fee that falls on its days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub kind: LineKind,
    /// The plan's name at that time; absent where there was none.
    pub plan: Option<String>,
    /// The days that it is for, both included.
    pub from: NaiveDate,
    pub to: NaiveDate,
    pub meter: Option<Meter>,
    pub used: i64,
    /// Of what was used, so much is paid for by the base fee.
    pub included: i64,
    /// What was used beyond that.
    pub beyond: i64,
    /// What each beyond costs.
    pub charges: Vec<Charge>,
    /// The base fee of the whole month; of other lines absent.
    pub fee: Option<Decimal>,
    /// Why; of a credit only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    pub amount: Decimal,
}

/// What is wrong with a line or a sum. It is a defect of ours, and what has one is not billed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} does not add up: {what}")]
pub struct DoesNotAddUp {
    /// From 1.
    pub line: usize,
    pub what: String,
}

/// The sum of the lines.
#[must_use]
pub fn total(lines: &[Line]) -> Decimal {
    lines.iter().map(|line| line.amount).sum()
}

/// Works each line out again.
///
/// # Errors
/// The first line that says something else than its own numbers.
pub fn check(lines: &[Line], currency: &str) -> Result<(), DoesNotAddUp> {
    for (index, line) in lines.iter().enumerate() {
        line.check(currency).map_err(|what| DoesNotAddUp { line: index + 1, what })?;
    }
    Ok(())
}

impl Line {
    fn check(&self, currency: &str) -> Result<(), String> {
        if self.to < self.from || Month::of(self.from) != Month::of(self.to) {
            return Err(format!("its days are {} to {}", self.from, self.to));
        }
        for charge in &self.charges {
            if charge.amount != round_money(Decimal::from(charge.quantity) * charge.price, currency) {
                return Err(format!("{} at {} are not {}", charge.quantity, charge.price, charge.amount));
            }
        }
        let charged: Decimal = self.charges.iter().map(|charge| charge.amount).sum();
        let counted: i64 = self.charges.iter().map(|charge| charge.quantity).sum();
        let wanted = match self.kind {
            LineKind::BaseFee => self.fee.map(|fee| part_of(fee, self.from, self.to, currency)),
            LineKind::Usage | LineKind::LateUsage
                if counted == self.beyond && self.beyond == (self.used - self.included).max(0) =>
            {
                Some(charged)
            }
            LineKind::NoPlan => Some(Decimal::ZERO),
            LineKind::Credit => Some(self.amount),
            LineKind::Usage | LineKind::LateUsage => None,
        };
        match wanted {
            Some(wanted) if wanted == self.amount => Ok(()),
            Some(wanted) => Err(format!("it says {} and comes to {wanted}", self.amount)),
            None => Err(format!(
                "of {} used and {} included, {} are beyond and {counted} charged",
                self.used, self.included, self.beyond
            )),
        }
    }
}

/// Rounded to the currency's places, and written with all of them.
fn money(amount: Decimal, currency: &str) -> Decimal {
    let mut rounded = round_money(amount, currency);
    rounded.rescale(minor_units(currency));
    rounded
}

/// What falls on some days of a month of what is for the whole of it, rounded to the currency's places.
fn part_of(fee: Decimal, from: NaiveDate, to: NaiveDate, currency: &str) -> Decimal {
    money(fee * Decimal::from(days(from, to)) / Decimal::from(Month::of(from).days()), currency)
}

/// The same of a number of things, rounded up: half a thing is given, not kept.
fn count_of(whole: i64, from: NaiveDate, to: NaiveDate) -> i64 {
    let (days, of) = (i128::from(days(from, to)), i128::from(Month::of(from).days()));
    i64::try_from((i128::from(whole) * days + of - 1) / of).expect("no more than the whole")
}

fn days(from: NaiveDate, to: NaiveDate) -> i64 {
    (to - from).num_days() + 1
}

/// Days of a month, one after the other, on which the tenant was on one plan, or on none.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    from: NaiveDate,
    to: NaiveDate,
    plan: Option<&'a Plan>,
}

/// A month, split where a plan begins. `agreements` may stand in any order.
fn parts(month: Month, agreements: &[Agreement]) -> Vec<Part<'_>> {
    let (first, last) = (month.first_day(), month.last_day());
    let mut sorted: Vec<&Agreement> = agreements.iter().collect();
    sorted.sort_by_key(|agreement| agreement.from);
    let current = sorted.iter().rev().find(|agreement| agreement.from <= first).map(|agreement| &agreement.plan);
    let mut parts = vec![Part { from: first, to: last, plan: current }];
    for agreement in sorted.into_iter().filter(|agreement| agreement.from > first && agreement.from <= last) {
        if let Some(before) = parts.last_mut() {
            before.to = agreement.from.pred_opt().expect("the day before a day of a month");
        }
        parts.push(Part { from: agreement.from, to: last, plan: Some(&agreement.plan) });
    }
    parts
}

/// The lines of a month: for each plan its base fee and its meters, each unit counted in the part that its day is of and in no other.
#[must_use]
pub fn lines(month: Month, agreements: &[Agreement], usage: &[DayUsage]) -> Vec<Line> {
    let mut lines = vec![];
    for part in parts(month, agreements) {
        let mut used: BTreeMap<Meter, i64> = BTreeMap::new();
        for day in usage.iter().filter(|one| (part.from..=part.to).contains(&one.day)) {
            *used.entry(day.meter).or_default() += day.quantity;
        }
        if let Some(plan) = part.plan {
            lines.push(part.base_fee(plan));
        }
        for meter in Meter::ALL {
            let used = used.get(&meter).copied().unwrap_or_default();
            match part.plan {
                Some(plan) => lines.push(part.usage(LineKind::Usage, plan, meter, 0, used)),
                None if used > 0 => lines.push(part.no_plan(meter, used)),
                None => {}
            }
        }
    }
    lines
}

impl Part<'_> {
    fn line(&self, kind: LineKind) -> Line {
        Line {
            kind,
            plan: self.plan.map(|plan| plan.name.clone()),
            from: self.from,
            to: self.to,
            meter: None,
            used: 0,
            included: 0,
            beyond: 0,
            charges: vec![],
            fee: None,
            reason: None,
            amount: Decimal::ZERO,
        }
    }

    fn base_fee(&self, plan: &Plan) -> Line {
        let amount = part_of(plan.base_fee, self.from, self.to, &plan.currency);
        Line { fee: Some(plan.base_fee), amount, ..self.line(LineKind::BaseFee) }
    }

    fn no_plan(&self, meter: Meter, used: i64) -> Line {
        Line { meter: Some(meter), used, ..self.line(LineKind::NoPlan) }
    }

    /// What was used of a meter after so much of it was billed already.
    fn usage(&self, kind: LineKind, plan: &Plan, meter: Meter, billed: i64, used: i64) -> Line {
        let free = Terms { included: 0, beyond: vec![] };
        let terms = plan.meters.get(&meter).unwrap_or(&free);
        let whole = count_of(terms.included, self.from, self.to);
        let (included, before) = ((whole - billed).max(0), (billed - whole).max(0));
        let beyond = (used - included).max(0);
        let charges = self.charges(terms, before, before + beyond, &plan.currency);
        let amount = money(charges.iter().map(|charge| charge.amount).sum(), &plan.currency);
        Line { meter: Some(meter), used, included, beyond, charges, amount, ..self.line(kind) }
    }

    /// What those from `start` to `end` beyond what is included cost, by step.
    fn charges(&self, terms: &Terms, start: i64, end: i64, currency: &str) -> Vec<Charge> {
        let mut charges = vec![];
        let mut at = start;
        for step in &terms.beyond {
            let step_end = step.up_to.map_or(end, |up_to| count_of(up_to, self.from, self.to).min(end));
            if step_end > at {
                let quantity = step_end - at;
                let amount = money(Decimal::from(quantity) * step.price, currency);
                charges.push(Charge { quantity, price: step.price, amount });
                at = step_end;
            }
        }
        charges
    }
}

/// The line of a credit note: it takes back an amount of an invoice.
#[must_use]
pub fn credit(month: Month, reason: &str, amount: Decimal) -> Line {
    let part = Part { from: month.first_day(), to: month.last_day(), plan: None };
    Line { reason: Some(reason.to_owned()), amount: -amount, ..part.line(LineKind::Credit) }
}

/// Days of a month from one on.
fn days_from(from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    std::iter::successors(Some(from), |day| day.checked_add_days(Days::new(1))).take_while(move |day| *day <= to)
}
