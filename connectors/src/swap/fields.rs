//! The fields of the canonical record that one mapping knows and the other does not: what would be left behind.

use domain::canonical;
use domain::canonical::shape::Is;
use domain::mapping::{Plan, is_touched};
use domain::record::RecordKind;

use super::{FIELDS_MAX, Gap, Severity};

/// Levels of a document.
const DEPTH_MAX: usize = 8;

/// The fields of a record that the old write mapping reads and the new one does not, each with whether it is an amount.
#[must_use]
pub fn lost(kind: RecordKind, old: &Plan, new: &Plan) -> Vec<(String, bool)> {
    missing(kind, old.reads(), new.reads())
}

/// The fields that the old read mapping writes, somebody needs, and the new one does not write.
#[must_use]
pub fn lost_by_source(kind: RecordKind, old: &Plan, new: &Plan, needed: &[String]) -> Vec<(String, bool)> {
    let used: Vec<String> =
        old.writes().iter().filter(|field| needed.iter().any(|need| is_touched(need, field))).cloned().collect();
    missing(kind, &used, new.writes())
}

/// Those of `had` that nobody of `has` knows. A group or list that is taken whole is looked at field by field.
fn missing(kind: RecordKind, had: &[String], has: &[String]) -> Vec<(String, bool)> {
    let shape = canonical::shape(kind);
    let mut leaves: Vec<(String, bool)> = Vec::new();
    for field in had {
        // Of a list it is only how many rows there are; and `$settings.x` is no field of a record.
        if !field.is_empty() && !field.starts_with('$') && !field.ends_with("[]") {
            expand(field, shape.at(field).map(|field| field.is), DEPTH_MAX, &mut leaves);
        }
    }
    leaves.retain(|(leaf, _)| !has.iter().any(|one| is_touched(one, leaf)));
    leaves.sort();
    leaves.dedup();
    leaves
}

fn expand(path: &str, is: Option<Is>, depth: usize, leaves: &mut Vec<(String, bool)>) {
    match is {
        Some(Is::Group(shape)) if depth > 0 => {
            shape.fields.iter().for_each(|field| expand(&format!("{path}.{}", field.name), Some(field.is), depth - 1, leaves));
        }
        Some(Is::List(shape)) if depth > 0 => {
            shape.fields.iter().for_each(|field| expand(&format!("{path}[].{}", field.name), Some(field.is), depth - 1, leaves));
        }
        _ => leaves.push((path.to_owned(), matches!(is, Some(Is::Amount)))),
    }
}

pub(super) fn gaps(kind: RecordKind, old: &Plan, new: &Plan, titles: (&str, &str)) -> Vec<Gap> {
    let (from, to) = titles;
    told(lost(kind, old, new), |field, is_money| {
        let what = if is_money { "The amount" } else { "The field" };
        let sentence = format!("{what} \"{field}\" is sent to {from}, and no rule sends it to {to}.");
        (sentence, "Add a rule for it to the candidate's mapping, or decide that it is not needed there.")
    })
}

pub(super) fn source_gaps(kind: RecordKind, old: &Plan, new: &Plan, needed: &[String], titles: (&str, &str)) -> Vec<Gap> {
    let (from, to) = titles;
    told(lost_by_source(kind, old, new, needed), |field, is_money| {
        let what = if is_money { "The amount" } else { "The field" };
        let sentence = format!("{what} \"{field}\" is read of {from} and used by the flow, and no rule reads it of {to}.");
        (sentence, "Add a rule for it to the flow's source mapping, or see what the destination gets without it.")
    })
}

fn told(fields: Vec<(String, bool)>, tell: impl Fn(&str, bool) -> (String, &'static str)) -> Vec<Gap> {
    let beyond = fields.len().saturating_sub(FIELDS_MAX);
    let mut gaps: Vec<Gap> = fields
        .into_iter()
        .take(FIELDS_MAX)
        .map(|(field, is_money)| {
            let (sentence, next) = tell(&field, is_money);
            Gap::new(Severity::Loses, "field", sentence, next).about(field)
        })
        .collect();
    if beyond > 0 {
        let sentence = format!("{beyond} more fields are left behind.");
        gaps.push(Gap::new(Severity::Loses, "field", sentence, "Mend the mapping for those above, then look again."));
    }
    gaps
}
