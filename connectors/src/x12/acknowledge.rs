//! The 997 that answers a received group: what was accepted, and of the rest which segment and which element is wrong and why.

use domain::value::{Map, Value};

use super::flaw::{GroupFlaw, SetFlaw};
use super::issue::Issue;
use super::receive::{ReceivedGroup, ReceivedSet};
use super::separators::Separators;

/// AK502 to AK506, and AK905 to AK909.
const CODES_MAX: usize = 5;
/// AK4 segments of one AK3.
const ELEMENTS_MAX: usize = 99;
const COPY_CHARS_MAX: usize = 99;
/// AK302 has six digits.
const POSITION_MAX: usize = 999_999;

/// The tree of the 997, for [`super::Guide::make`]; `None` for a group of 997s, which nobody acknowledges. `separators` are those that it
/// will be written with: a copy of a bad value that has one of them in it is left out.
#[must_use]
pub fn acknowledge(group: &ReceivedGroup, separators: &Separators) -> Option<Value> {
    if group.header.functional_id == "FA" {
        return None;
    }
    let accepted = group.sets.iter().filter(|set| set.tree.is_some()).count();
    let number = group.header.control_number.map_or(0, super::ControlNumber::get);
    let head =
        map([("functional_id", text(&named(&group.header.functional_id, 2, 2))), ("control_number", text(&number.to_string()))]);
    let mut tail = map([
        ("outcome", text(group.outcome.code())),
        ("included", text(&group.included.min(POSITION_MAX).to_string())),
        ("received", text(&group.sets.len().to_string())),
        ("accepted", text(&accepted.to_string())),
    ]);
    codes(&mut tail, group.flaws.iter().map(GroupFlaw::code));
    let sets = group.sets.iter().map(|set| acknowledge_set(set, separators)).collect();
    Some(Value::Map(map([
        ("set", text("997")),
        ("group", Value::Map(head)),
        ("sets", Value::List(sets)),
        ("result", Value::Map(tail)),
    ])))
}

fn acknowledge_set(set: &ReceivedSet, separators: &Separators) -> Value {
    let mut tail = map([("outcome", text(set.outcome.code()))]);
    let of_segments = (!set.issues.is_empty()).then_some("5");
    codes(&mut tail, set.flaws.iter().map(SetFlaw::code).chain(of_segments));
    let mut segments: Vec<Value> = Vec::new();
    let mut rest = set.issues.as_slice();
    while let Some(first) = rest.first() {
        // One AK3 for all elements of one segment that are wrong, and one for each segment that is.
        let is_same = |issue: &&Issue| {
            let is_of_one = issue.position == first.position && issue.segment == first.segment;
            is_of_one && issue.element.is_some() && first.element.is_some()
        };
        let count = rest.iter().take_while(is_same).count().max(1);
        let (these, others) = rest.split_at(count);
        rest = others;
        segments.push(acknowledge_segment(first, these, separators));
    }
    let mut tree = map([("set", text(&named(&set.id, 3, 3))), ("control_number", text(&named(&set.control_number, 4, 9)))]);
    if !segments.is_empty() {
        tree.insert("segments".into(), Value::List(segments));
    }
    tree.insert("result".into(), Value::Map(tail));
    Value::Map(tree)
}

fn acknowledge_segment(first: &Issue, these: &[Issue], separators: &Separators) -> Value {
    let elements = these.iter().filter_map(|issue| {
        let element = issue.element.as_ref()?;
        let mut at = map([("element", text(&element.number.to_string()))]);
        at.extend(element.component.map(|component| ("component".to_owned(), text(&component.to_string()))));
        let mut note = map([("at", Value::Map(at))]);
        if element.reference.bytes().all(|byte| byte.is_ascii_digit()) && !element.reference.is_empty() {
            note.insert("reference".into(), text(&element.reference));
        }
        let code = issue.code.element_code();
        note.insert("code".into(), text(code));
        // A copy of what has a character that it cannot have would make the 997 as bad.
        let is_safe = |value: &String| value.chars().all(|c| !c.is_control() && separators.role(c).is_none());
        if let Some(value) = issue.value.as_ref().filter(|value| code != "6" && is_safe(value)) {
            note.insert("copy".into(), text(&value.chars().take(COPY_CHARS_MAX).collect::<String>()));
        }
        Some(Value::Map(note))
    });
    let elements: Vec<Value> = elements.take(ELEMENTS_MAX).collect();
    let position = first.position.min(POSITION_MAX).to_string();
    let mut note = map([
        ("segment", text(&named(&first.segment, 2, 3))),
        ("position", text(&position)),
        ("code", text(first.code.segment_code())),
    ]);
    if !elements.is_empty() {
        note.insert("elements".into(), Value::List(elements));
    }
    Value::Map(note)
}

fn codes(map: &mut Map, codes: impl Iterator<Item = &'static str>) {
    let mut seen: Vec<&str> = Vec::new();
    for code in codes {
        if !seen.contains(&code) && seen.len() < CODES_MAX {
            seen.push(code);
            map.insert(format!("code_{}", seen.len()), text(code));
        }
    }
}

/// What a sender wrote may be too short, too long or no plain text, and still has to be named. What is left out becomes a question mark.
fn named(given: &str, min: usize, max: usize) -> String {
    let plain: String = given.chars().filter(char::is_ascii_alphanumeric).take(max).collect();
    format!("{plain:?<min$}")
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Map {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
