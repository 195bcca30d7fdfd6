//! Functions that give numbers.

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};

use super::{Cell, Evaluated, Inputs, too_many_digits};
use crate::currency;
use crate::mapping::issue::Fault;
use crate::mapping::round::strategy;
use crate::mapping::rule::RoundMode;
use crate::mapping::{nearest, unit};
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

pub(super) fn convert_unit<'a>(amount: Option<Decimal>, from: &str, to: &str) -> Evaluated<'a> {
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

/// At the rate that the table gives for `EUR/USD/2026-11-24`, or without a date for `EUR/USD`. Nothing is inverted and nothing guessed.
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
    let key = match date {
        Some(date) => format!("{from}/{to}/{}", date.trim().get(..10).unwrap_or(date)),
        None => format!("{from}/{to}"),
    };
    let Some(rate) = inputs.lookups.find(table, &key) else { return Err(super::call::no_entry(table, &key, inputs)) };
    let rate = decimal(rate.trim()).filter(|rate| rate.is_sign_positive() && !rate.is_zero()).ok_or_else(|| {
        let what = format!("the rate {} of {key} in the table \"{table}\" is no number above 0", Tree::Text(rate).shown());
        Fault::expression(what).value(rate).suggest(&format!("Correct it in the table \"{table}\"."))
    })?;
    amount.checked_mul(rate).map(Cell::Decimal).ok_or_else(too_many_digits)
}
