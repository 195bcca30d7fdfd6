//! Functions that give texts. Each is bounded before or while it is made.

use bumpalo::collections::Vec as ArenaVec;

use super::{Cell, Evaluated, Inputs};
use crate::mapping::issue::Fault;
use crate::value::Tree;

/// Text that an expression may make.
const TEXT_BYTES_MAX: usize = 64 * 1024;

fn too_long() -> Box<Fault> {
    Fault::expression(format!("the text is longer than {TEXT_BYTES_MAX} bytes"))
}

/// A part of the document, for what reading it costs.
pub(super) fn part<'a>(text: &'a str, inputs: &Inputs<'a>) -> Evaluated<'a> {
    if !inputs.cost.read(text) {
        inputs.cost.check()?;
    }
    Ok(Cell::text_of(text))
}

/// Asked before a text of so many bytes is made: all that a run makes stays in its arena to the end.
fn may_make(bytes: usize, inputs: &Inputs<'_>) -> Result<(), Box<Fault>> {
    if bytes > TEXT_BYTES_MAX {
        return Err(too_long());
    }
    if !inputs.cost.write(0, bytes) {
        inputs.cost.check()?;
    }
    Ok(())
}

/// The texts one after another; those that are empty leave no separator behind.
pub(super) fn glue<'a>(cells: impl Iterator<Item = Cell<'a>>, separator: &str, inputs: &Inputs<'a>) -> Evaluated<'a> {
    let texts = cells.filter_map(|cell| cell.text(inputs.arena)).filter(|text| !text.is_empty());
    let parts = ArenaVec::from_iter_in(texts, inputs.arena);
    let bytes = parts.iter().fold(0_usize, |sum, text| sum.saturating_add(text.len()).saturating_add(separator.len()));
    may_make(bytes.saturating_sub(separator.len()), inputs)?;
    let mut whole = bumpalo::collections::String::with_capacity_in(bytes, inputs.arena);
    for (index, text) in parts.iter().enumerate() {
        if index > 0 {
            whole.push_str(separator);
        }
        whole.push_str(text);
    }
    part(whole.into_bump_str(), inputs)
}

/// In another case, where it has a letter to change.
pub(super) fn changed<'a>(
    text: &'a str,
    inputs: &Inputs<'a>,
    changes: impl Fn(char) -> bool,
    change: impl Fn(&str) -> String,
) -> Evaluated<'a> {
    may_make(text.len(), inputs)?;
    part(if text.contains(changes) { inputs.arena.alloc_str(&change(text)) } else { text }, inputs)
}

pub(super) fn pad_left<'a>(text: &'a str, length: usize, fill: &str, inputs: &Inputs<'a>) -> Evaluated<'a> {
    let mut chars = fill.chars();
    let (Some(fill), None) = (chars.next(), chars.next()) else {
        return Err(Fault::expression("one character to fill up with was expected"));
    };
    let missing = length.saturating_sub(text.chars().count());
    may_make(missing.saturating_mul(fill.len_utf8()).saturating_add(text.len()), inputs)?;
    let padded: String = std::iter::repeat_n(fill, missing).chain(text.chars()).collect();
    part(inputs.arena.alloc_str(&padded), inputs)
}

/// The parts without outer spaces; empty ones are left out. Null of a text that has none, as of nothing.
pub(super) fn split<'a>(subject: &'a str, separator: &str, inputs: &Inputs<'a>) -> Evaluated<'a> {
    part(subject, inputs)?;
    let separator = if separator.is_empty() { None } else { Some(separator) };
    let whole = separator.is_none().then_some(subject);
    let parts = separator.into_iter().flat_map(|separator| subject.split(separator)).chain(whole);
    let mut kept = ArenaVec::new_in(inputs.arena);
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        if !inputs.cost.step(1) {
            inputs.cost.check()?;
        }
        kept.push(Tree::Text(part));
    }
    Ok(if kept.is_empty() { Cell::NULL } else { Cell::Tree(Tree::List(kept.into_bump_slice())) })
}

pub(super) fn replace<'a>(subject: &'a str, from: &str, to: &str, inputs: &Inputs<'a>) -> Evaluated<'a> {
    if from.is_empty() || !subject.contains(from) {
        return part(subject, inputs);
    }
    let longer = subject.matches(from).count().saturating_mul(to.len().saturating_sub(from.len()));
    may_make(subject.len().saturating_add(longer), inputs)?;
    part(inputs.arena.alloc_str(&subject.replace(from, to)), inputs)
}

/// By characters; what lies beyond the end is not there.
pub(super) fn substring(text: &str, start: usize, length: Option<usize>) -> &str {
    let byte = |text: &str, at: usize| text.char_indices().nth(at).map_or(text.len(), |(byte, _)| byte);
    let rest = &text[byte(text, start)..];
    match length {
        Some(length) => &rest[..byte(rest, length)],
        None => rest,
    }
}
