//! Functions that give numbers.

use chrono::NaiveDate;
use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Cell, Evaluated, Inputs, too_many_digits};
use crate::currency;
use crate::lookup_table::unit_key;
use crate::mapping::issue::Fault;
use crate::mapping::lookup::{Rate, rate_key};
use crate::mapping::round::strategy;
use crate::mapping::rule::RoundMode;
use crate::mapping::{nearest, time, unit};
use crate::value::{Tree, decimal};

pub(super) fn sum<'a>(cells: impl Iterator<Item = Cell<'a>>) -> Evaluated<'a> {
    let mut total = Decimal::ZERO;
    for cell in cells {
        if let Some(number) = cell.decimal()? {
            total = total.checked_add(number).ok_or_else(too_many_digits)?;
        }
    }
    Ok(Cell::Decimal(total))
}

pub(super) fn whole(cell: Cell<'_>) -> Result<usize, Box<Fault>> {
    cell.decimal()?.and_then(|n| n.to_usize()).ok_or_else(|| Fault::expression("a whole number of 0 or more was expected"))
}

pub(super) fn round<'a>(amount: Option<Decimal>, places: usize, mode: &str) -> Evaluated<'a> {
    let mode = match mode {
        "half_even" => RoundMode::HalfEven,
        "half_up" => RoundMode::HalfUp,
        "down" => RoundMode::Down,
        "up" => RoundMode::Up,
        other => {
            return Err(Fault::expression(format!(
                "there is no rounding \"{other}\"; there are half_even, half_up, down and up"
            )));
        }
    };
    let places = u32::try_from(places).ok().filter(|p| *p <= 28).ok_or_else(|| Fault::expression("at most 28 places"))?;
    Ok(Cell::number(amount.map(|n| n.round_dp_with_strategy(places, strategy(mode)))))
}

/// The code of a currency in any case, and its places.
pub(in crate::mapping) fn currency_places(code: &str) -> Result<u32, Box<Fault>> {
    let fail = |suggestion: &str| {
        Fault::expression("a currency code such as USD (ISO 4217) was expected").value(code).suggest(suggestion)
    };
    if code.trim().is_empty() {
        return Err(fail("Fill in the currency at the source, or write one into the mapping."));
    }
    currency::places(&code.trim().to_ascii_uppercase()).ok_or_else(|| fail("Translate the source's word with a lookup table."))
}

pub(super) fn round_money<'a>(amount: Option<Decimal>, code: &str) -> Evaluated<'a> {
    let places = currency_places(code)?;
    Ok(Cell::number(amount.map(|n| n.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero))))
}

/// 12.30 USD are 1230 cents, 1250 JPY are 1250.
pub(super) fn minor<'a>(amount: Option<Decimal>, code: &str, to_minor: bool) -> Evaluated<'a> {
    let places = currency_places(code)?;
    let Some(amount) = amount else { return Ok(Cell::NULL) };
    let factor = Decimal::from(10_u32.pow(places));
    if to_minor {
        let cents = amount.checked_mul(factor).ok_or_else(too_many_digits)?;
        if !cents.fract().is_zero() {
            let what = format!("{amount} is no whole number of the smallest unit of {}", code.trim().to_ascii_uppercase());
            return Err(Fault::expression(what)
                .value(&amount.to_string())
                .suggest("Round it first: round_money(amount, currency)."));
        }
        return Ok(Cell::Decimal(cents.trunc()));
    }
    let mut units = amount.checked_div(factor).ok_or_else(too_many_digits)?;
    if units.scale() < places {
        units.rescale(places);
    }
    Ok(Cell::Decimal(units))
}

/// By a table of the tenant's own units, if the mapping names one: how many of the second unit one of the first is, for the item alone or else
/// for all. What it does not say is converted by definition.
pub(super) fn convert_unit<'a>(
    amount: Option<Decimal>,
    [from, to]: [&str; 2],
    table: Option<&'a str>,
    item: Option<&str>,
    inputs: &Inputs<'a>,
) -> Evaluated<'a> {
    if let Some(table) = table {
        if unit::known_as(from) == unit::known_as(to) && !from.trim().is_empty() {
            return Ok(Cell::number(amount));
        }
        if let Some(factor) = factor(from, to, table, item.filter(|item| !item.is_empty()), inputs)? {
            let Some(amount) = amount else { return Ok(Cell::NULL) };
            let converted = match factor {
                Factor::Times(factor) => amount.checked_mul(factor),
                Factor::Over(factor) => amount.checked_div(factor),
            };
            return converted.map(|n| Cell::Decimal(n.normalize())).ok_or_else(too_many_digits);
        }
        let is_defined = match (unit::find(from), unit::find(to)) {
            (Some(from), Some(to)) => unit::convert(Decimal::ONE, from, to).is_ok(),
            _ => false,
        };
        if !is_defined {
            return Err(super::call::no_entry(table, &unit_key(item.filter(|item| !item.is_empty()), from, to), inputs));
        }
    }
    let known = |name: &str| {
        unit::find(name).ok_or_else(|| {
            let fault = Fault::expression(format!("there is no unit \"{}\"", name.trim())).value(name);
            match nearest::nearest(name, unit::names()) {
                Some(near) => fault.suggest(&format!("It may mean {near}: translate the source's word with a lookup table.")),
                None => fault.suggest("Translate the source's word with a lookup table."),
            }
        })
    };
    let (from, to) = (known(from)?, known(to)?);
    let Some(amount) = amount else { return Ok(Cell::NULL) };
    let converted = unit::convert(amount, from, to).map_err(|why| Fault::expression(why).value(&amount.to_string()))?;
    Ok(Cell::Decimal(converted.ok_or_else(too_many_digits)?))
}

enum Factor {
    Times(Decimal),
    Over(Decimal),
}

/// Of the item before that of all items; a factor says both ways exactly, so either is good.
fn factor(from: &str, to: &str, table: &str, item: Option<&str>, inputs: &Inputs<'_>) -> Result<Option<Factor>, Box<Fault>> {
    for item in item.map(Some).into_iter().chain([None]) {
        for (key, is_inverse) in [(unit_key(item, from, to), false), (unit_key(item, to, from), true)] {
            if let Some(text) = inputs.lookups.find(table, &key) {
                let number = above_zero("factor", text, &key, table)?;
                return Ok(Some(if is_inverse { Factor::Over(number) } else { Factor::Times(number) }));
            }
        }
    }
    Ok(None)
}

/// At the rate that the table gives for the pair. Nothing is inverted unless the table says so, and nothing is guessed.
pub(super) fn fx<'a>(
    amount: Option<Decimal>,
    pair: [&str; 2],
    table: &'a str,
    date: Option<&str>,
    inputs: &Inputs<'a>,
) -> Evaluated<'a> {
    let [from, to] = pair.map(|code| code.trim().to_ascii_uppercase());
    currency_places(&from)?;
    currency_places(&to)?;
    let Some(amount) = amount else { return Ok(Cell::NULL) };
    if from == to {
        return Ok(Cell::Decimal(amount));
    }
    let day = date.map(time::day).transpose()?;
    let Some(rate) = inputs.lookups.rate(table, &from, &to, day) else { return Err(no_rate(table, &from, &to, day, inputs)) };
    let (Rate::Direct(text) | Rate::Inverse(text)) = rate;
    let number = above_zero("rate", text, &rate_key(&from, &to, day), table)?;
    let converted = match rate {
        Rate::Direct(_) => amount.checked_mul(number),
        Rate::Inverse(_) => amount.checked_div(number),
    };
    converted.map(Cell::Decimal).ok_or_else(too_many_digits)
}

fn no_rate(table: &str, from: &str, to: &str, day: Option<NaiveDate>, inputs: &Inputs<'_>) -> Box<Fault> {
    if !inputs.lookups.has_rates(table) {
        return super::call::no_entry(table, &rate_key(from, to, day), inputs);
    }
    let pair = rate_key(from, to, None);
    let when = day.map_or_else(|| "when it was accepted".to_owned(), |day| format!("on {day}"));
    let what = format!("no rate {pair} is in force {when} in the table \"{table}\"");
    let suggestion = format!("Add one for that day or an earlier one to the table \"{table}\".");
    Fault::no_entry(what, table, &pair, suggestion)
}

fn above_zero(what: &str, text: &str, key: &str, table: &str) -> Result<Decimal, Box<Fault>> {
    decimal(text.trim()).filter(|number| number.is_sign_positive() && !number.is_zero()).ok_or_else(|| {
        let what = format!("the {what} {} of {key} in the table \"{table}\" is no number above 0", Tree::Text(text).shown());
        Fault::expression(what).value(text).suggest(&format!("Correct it in the table \"{table}\"."))
    })
}
