//! A value as the type that a rule writes. What is that type already, digit for digit, is passed on as it lies in the document.

use chrono_tz::Tz;
use rust_decimal::Decimal;

use super::evaluate::Cell;
use super::issue::Fault;
use super::nearest::nearest;
use super::rule::Kind;
use super::{time, unit};
use crate::value::{Arena, PRINT_BYTES, Tree, decimal, is_plain, print};
use crate::{country, currency};

const ID_CHARS_MAX: usize = 200;

pub(super) fn convert<'a>(
    cell: Cell<'a>,
    kind: Option<Kind>,
    zone: Option<Tz>,
    arena: &'a Arena,
) -> Result<Tree<'a>, Box<Fault>> {
    let Some(kind) = kind.filter(|kind| *kind != Kind::Json) else { return Ok(cell.into_tree(arena)) };
    if let Cell::Decimal(number) = cell {
        // A number that was worked out needs no text in between.
        match kind {
            Kind::Money | Kind::Decimal => return Ok(Tree::Text(digits(number, arena))),
            Kind::Number => return Ok(Tree::Number(digits(number, arena))),
            _ => {}
        }
    }
    let Some(text) = cell.text(arena) else {
        let what = "a plain value was expected, not a list or a group of fields";
        return Err(Fault::kind(what, None, "Name one field of it, or write it as json."));
    };
    let not =
        |what: &str, suggestion: &str| Fault::kind(format!("{} is no {what}", Tree::Text(text).shown()), Some(text), suggestion);
    let number = |what: &str| {
        let suggestion = "Let the source send digits with a point, such as 12.30; separators can be taken out with replace.";
        decimal(text.trim()).ok_or_else(|| not(what, suggestion))
    };
    match kind {
        Kind::Text => Ok(Tree::Text(text)),
        Kind::Id => {
            let id = text.trim();
            if id.contains(char::is_control) {
                return Err(not("id: it has a control character", "Take it out with replace, or correct it at the source."));
            }
            if id.is_empty() || id.chars().count() > ID_CHARS_MAX {
                return Err(not(&format!("id of 1 to {ID_CHARS_MAX} characters"), "Name the field that identifies it."));
            }
            Ok(Tree::Text(id))
        }
        Kind::Bool => {
            let is = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
            if is(&["true", "t", "yes", "1"]) {
                Ok(Tree::Bool(true))
            } else if is(&["false", "f", "no", "0"]) {
                Ok(Tree::Bool(false))
            } else {
                Err(not("yes or no", "Compare it in an expression: status == 'active'."))
            }
        }
        Kind::Int => {
            if is_plain(text) && !text.contains('.') {
                return Ok(Tree::Number(text));
            }
            let whole = number("whole number")?;
            if whole.fract().is_zero() {
                Ok(Tree::Number(digits(whole.trunc(), arena)))
            } else {
                Err(not("whole number", "Write it as decimal, or round it first."))
            }
        }
        Kind::Number | Kind::Decimal | Kind::Money => {
            let digits = if is_plain(text) { text } else { digits(number("number of at most 28 digits")?, arena) };
            Ok(if kind == Kind::Number { Tree::Number(digits) } else { Tree::Text(digits) })
        }
        Kind::Tax => tax(text, arena).ok_or_else(|| {
            not("tax rate from 0 to 1, or from 0% to 100%", "Divide percents by 100, and write amounts as money.")
        }),
        Kind::Timestamp => time::timestamp(text, zone, arena).map(Tree::Text),
        Kind::Date => time::date(text, zone, arena)
            .map(Tree::Text)
            .map_err(|fault| Fault { what: fault.what.replace("is no date", "is no date such as 2026-11-24"), ..*fault }.into()),
        Kind::Country => country::country(text.trim()).map(Tree::Text).ok_or_else(|| {
            not("country code such as US (ISO 3166-1 alpha-2)", "Translate the source's word with a lookup table.")
        }),
        Kind::Currency => {
            let code = upper(text.trim(), arena);
            if currency::places(code).is_some() {
                Ok(Tree::Text(code))
            } else {
                Err(not("currency code such as USD (ISO 4217)", "Translate the source's word with a lookup table."))
            }
        }
        Kind::Unit => unit::find(text).map(|unit| Tree::Text(unit.name)).ok_or_else(|| {
            let fix = match nearest(text, unit::names()) {
                Some(near) => format!("It may mean {near}: translate the source's word with a lookup table."),
                None => "Translate the source's word with a lookup table.".into(),
            };
            not("unit of measure such as kg", &fix)
        }),
        Kind::Json => unreachable!("answered above"),
    }
}

fn digits(number: Decimal, arena: &Arena) -> &str {
    arena.alloc_str(print(number, &mut [0; PRINT_BYTES]))
}

fn upper<'a>(code: &'a str, arena: &'a Arena) -> &'a str {
    if code.bytes().all(|byte| byte.is_ascii_uppercase()) { code } else { arena.alloc_str(&code.to_ascii_uppercase()) }
}

fn tax<'a>(text: &'a str, arena: &'a Arena) -> Option<Tree<'a>> {
    let rate = match text.trim().strip_suffix('%') {
        Some(percents) => decimal(percents.trim())?.checked_div(Decimal::ONE_HUNDRED)?,
        None if is_plain(text) && text.starts_with("0") => return Some(Tree::Text(text)),
        None => decimal(text.trim())?,
    };
    (Decimal::ZERO..=Decimal::ONE).contains(&rate).then(|| Tree::Text(digits(rate, arena)))
}
