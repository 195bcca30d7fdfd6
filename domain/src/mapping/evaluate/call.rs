//! What each function does with its arguments; the longer answers are in `number` and `text`.

use std::collections::HashSet;

use bumpalo::collections::Vec as ArenaVec;

use super::{Cell, Evaluated, Here, Inputs, evaluate, number, text};
use crate::mapping::expression::{Expr, Function};
use crate::mapping::issue::Fault;
use crate::mapping::time;
use crate::value::Tree;

pub(super) fn call<'a>(function: Function, nodes: &'a [Expr], here: &Here<'_, 'a>) -> Evaluated<'a> {
    let inputs = here.inputs;
    let cell = |at: usize| evaluate(&nodes[at], here);
    let text = |at: usize| Ok::<&'a str, Box<Fault>>(cell(at)?.text(inputs.arena).unwrap_or_default());
    let all = || nodes.iter().map(|node| evaluate(node, here));
    match function {
        Function::Coalesce => {
            for cell in all() {
                let cell = cell?;
                if !cell.is_nothing() {
                    return Ok(cell);
                }
            }
            Ok(Cell::NULL)
        }
        Function::Concat => {
            let mut parts = ArenaVec::with_capacity_in(nodes.len(), inputs.arena);
            for cell in all() {
                parts.push(cell?);
            }
            text::glue(parts.iter().copied(), "", inputs)
        }
        Function::Join => {
            let (list, separator) = (cell(0)?.items(inputs)?, text(1)?);
            text::glue(list.iter(), separator, inputs)
        }
        Function::Sum => number::sum(cell(0)?.items(inputs)?.iter()),
        Function::Count => Ok(Cell::Decimal(cell(0)?.items(inputs)?.iter().count().into())),
        Function::First => Ok(cell(0)?.items(inputs)?.iter().next().unwrap_or(Cell::NULL)),
        Function::Last => Ok(cell(0)?.items(inputs)?.iter().next_back().unwrap_or(Cell::NULL)),
        Function::Distinct => distinct(cell(0)?, inputs),
        Function::Min | Function::Max => {
            let mut best = None;
            for cell in all() {
                for item in cell?.items(inputs)?.iter() {
                    if let Some(n) = item.decimal()? {
                        best =
                            Some(best.map_or(
                                n,
                                |b: rust_decimal::Decimal| if function == Function::Min { b.min(n) } else { b.max(n) },
                            ));
                    }
                }
            }
            Ok(Cell::number(best))
        }
        Function::Round => {
            let amount = cell(0)?.decimal()?;
            let places = number::whole(cell(1)?)?;
            let mode = if nodes.len() > 2 { text(2)? } else { "half_even" };
            number::round(amount, places, mode)
        }
        Function::RoundMoney => {
            let (amount, currency) = (cell(0)?.decimal()?, text(1)?);
            number::round_money(amount, currency)
        }
        Function::Floor => Ok(Cell::number(cell(0)?.decimal()?.map(|n| n.floor()))),
        Function::Ceil => Ok(Cell::number(cell(0)?.decimal()?.map(|n| n.ceil()))),
        Function::Abs => Ok(Cell::number(cell(0)?.decimal()?.map(|n| n.abs()))),
        Function::ToMinor | Function::FromMinor => {
            let (amount, currency) = (cell(0)?.decimal()?, text(1)?);
            number::minor(amount, currency, function == Function::ToMinor)
        }
        Function::ConvertUnit => {
            let (amount, from, to) = (cell(0)?.decimal()?, text(1)?, text(2)?);
            let table = if nodes.len() > 3 { Some(text(3)?) } else { None };
            let item = if nodes.len() > 4 { Some(text(4)?) } else { None };
            number::convert_unit(amount, [from, to], table, item, inputs)
        }
        Function::Fx => {
            let (amount, from, to, table) = (cell(0)?.decimal()?, text(1)?, text(2)?, text(3)?);
            let date = if nodes.len() > 4 { Some(text(4)?) } else { None };
            number::fx(amount, [from, to], table, date, inputs)
        }
        Function::Lookup => {
            let (table, key) = (text(0)?, cell(1)?);
            if nodes.len() > 2 { lookup(table, key, Some(cell(2)?), inputs) } else { lookup(table, key, None, inputs) }
        }
        Function::Number => Ok(Cell::number(cell(0)?.decimal()?)),
        Function::Text => Ok(cell(0)?.text(inputs.arena).map_or(Cell::NULL, Cell::text_of)),
        Function::Length => Ok(Cell::Decimal(text(0)?.chars().count().into())),
        Function::Lower => text::changed(text(0)?, inputs, char::is_uppercase, str::to_lowercase),
        Function::Upper => text::changed(text(0)?, inputs, char::is_lowercase, str::to_uppercase),
        Function::Trim => text::part(text(0)?.trim(), inputs),
        Function::PadLeft => {
            let (subject, length, fill) = (text(0)?, number::whole(cell(1)?)?, text(2)?);
            text::pad_left(subject, length, fill, inputs)
        }
        Function::Replace => {
            let (subject, from, to) = (text(0)?, text(1)?, text(2)?);
            text::replace(subject, from, to, inputs)
        }
        Function::Substring => {
            let (subject, start) = (text(0)?, number::whole(cell(1)?)?);
            let length = if nodes.len() > 2 { Some(number::whole(cell(2)?)?) } else { None };
            text::part(text::substring(subject, start, length), inputs)
        }
        Function::Contains => {
            let (subject, sought) = (cell(0)?, text(1)?);
            Ok(Cell::bool(match subject {
                list @ Cell::Tree(Tree::List(_)) => {
                    list.items(inputs)?.iter().any(|item| item.text(inputs.arena).unwrap_or_default() == sought)
                }
                one => one.text(inputs.arena).unwrap_or_default().contains(sought),
            }))
        }
        Function::StartsWith => {
            let (subject, start) = (text(0)?, text(1)?);
            Ok(Cell::bool(subject.starts_with(start)))
        }
        Function::Split => text::split(text(0)?, text(1)?, inputs),
        Function::SplitPart => {
            let (subject, separator, part) = (text(0)?, text(1)?, number::whole(cell(2)?)?);
            let found = if separator.is_empty() { None } else { subject.split(separator).nth(part) };
            Ok(found.map_or(Cell::NULL, Cell::text_of))
        }
        Function::AfterLast => {
            let (subject, separator) = (text(0)?, text(1)?);
            text::part(subject.rsplit(separator).next().unwrap_or_default(), inputs)
        }
        Function::IsEmpty => {
            let cell = cell(0)?;
            Ok(Cell::bool(cell.is_nothing() || matches!(cell, Cell::Tree(Tree::List([])))))
        }
        Function::Date => {
            let (when, zone) = (cell(0)?, if nodes.len() > 1 { Some(time::zone(text(1)?)?) } else { None });
            let Some(when) = when.text(inputs.arena) else { return Ok(Cell::NULL) };
            time::date(when, zone, inputs.arena).map(Cell::text_of)
        }
        Function::Timestamp => {
            let (when, zone) = (cell(0)?, if nodes.len() > 1 { Some(time::zone(text(1)?)?) } else { None });
            let Some(when) = when.text(inputs.arena).filter(|when| !when.trim().is_empty()) else { return Ok(Cell::NULL) };
            time::timestamp(when, zone, inputs.arena).map(Cell::text_of)
        }
        Function::FromEpoch => match cell(0)?.decimal()? {
            Some(seconds) => time::from_epoch(seconds, inputs.arena).map(Cell::text_of),
            None => Ok(Cell::NULL),
        },
    }
}

fn lookup<'a>(table: &str, key: Cell<'a>, fallback: Option<Cell<'a>>, inputs: &Inputs<'a>) -> Evaluated<'a> {
    if key.is_nothing() {
        return Ok(fallback.unwrap_or(Cell::NULL));
    }
    let Some(key) = key.text(inputs.arena) else { return Err(not_looked_up(table)) };
    match (inputs.lookups.find(table, key), fallback) {
        (Some(found), _) => Ok(Cell::text_of(found)),
        (None, Some(fallback)) => Ok(fallback),
        (None, None) => Err(no_entry(table, key, inputs)),
    }
}

pub(in crate::mapping) fn not_looked_up(table: &str) -> Box<Fault> {
    let fault = Fault::kind("a list or a group of fields cannot be looked up", None, "Look up one field of it.");
    Box::new(Fault { table: Some(table.to_owned()), ..*fault })
}

pub(in crate::mapping) fn no_entry(table: &str, key: &str, inputs: &Inputs<'_>) -> Box<Fault> {
    let (what, suggestion) = if inputs.lookups.has_table(table) {
        let suggestion = format!("Add it to the table \"{table}\", or let the rule keep it or write its default (on_missing)");
        (format!("the value \"{key}\" has no entry in the table \"{table}\""), suggestion)
    } else {
        let suggestion = format!("Make the table \"{table}\", or correct its name in the rule");
        (format!("there is no table \"{table}\" to look up \"{key}\" in"), suggestion)
    };
    Fault::no_entry(what, table, key, suggestion + ".")
}

/// Each value once, as it first came; values are the same where their text is.
fn distinct<'a>(list: Cell<'a>, inputs: &Inputs<'a>) -> Evaluated<'a> {
    let mut seen = HashSet::new();
    let mut kept = ArenaVec::new_in(inputs.arena);
    for item in list.items(inputs)?.iter() {
        if item.text(inputs.arena).is_none_or(|text| seen.insert(text)) {
            kept.push(item.into_tree(inputs.arena));
        }
    }
    Ok(Cell::Tree(Tree::List(kept.into_bump_slice())))
}
