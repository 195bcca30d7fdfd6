//! Makes a failing record as small as it can be and still fail: rows and fields are taken away, halves first; texts are cut; what is left is
//! made plain. Every step is a record that the canonical check lets through, and there are only so many of them.

mod leaf;

use super::settle::settle;
use super::stored;
use crate::canonical;
use crate::canonical::shape::{Is, Shape};
use crate::record::RecordKind;
use crate::value::Value;

/// Records that are tried for one finding.
const STEPS_MAX: usize = 6_000;
/// A later round finds what an earlier one made possible.
const ROUNDS_MAX: usize = 4;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Key(String),
    Row(usize),
}

/// What is known of the values below a place.
#[derive(Clone, Copy)]
enum Of {
    Shape(&'static Shape),
    Texts,
    /// What the model has no word for.
    Any,
}

struct Shrinker<'s> {
    kind: RecordKind,
    fails: &'s dyn Fn(&Value) -> bool,
    smallest: Value,
    /// Of its JSON.
    bytes: usize,
    steps_left: usize,
}

/// The smallest record that `fails`, where `document` does.
pub(super) fn shrink(kind: RecordKind, document: &Value, fails: &dyn Fn(&Value) -> bool) -> Value {
    let bytes = document.to_json().len();
    let mut shrinker = Shrinker { kind, fails, smallest: document.clone(), bytes, steps_left: STEPS_MAX };
    for _ in 0..ROUNDS_MAX {
        let before = shrinker.smallest.clone();
        shrinker.below(&mut vec![], Of::Shape(canonical::shape(kind)));
        if shrinker.smallest == before {
            break;
        }
    }
    shrinker.smallest
}

impl Shrinker<'_> {
    /// Takes a record as the smallest where it fails; one whose parts no longer add up is given other sums.
    fn attempt(&mut self, mut document: Value, must_be_shorter: bool) -> bool {
        if self.steps_left == 0 {
            return false;
        }
        self.steps_left -= 1;
        let mut json = stored(self.kind, &document);
        if let (None, Value::Map(map)) = (&json, &mut document) {
            settle(self.kind, map);
            json = stored(self.kind, &document);
        }
        let Some(bytes) = json.map(|json| json.len()) else { return false };
        let is_smaller = if must_be_shorter { bytes < self.bytes } else { document != self.smallest };
        let is_taken = is_smaller && (self.fails)(&document);
        if is_taken {
            self.smallest = document;
            self.bytes = bytes;
        }
        is_taken
    }

    fn below(&mut self, path: &mut Vec<Step>, of: Of) {
        self.thin(path, of);
        self.thin_columns(path, of);
        for child in self.children(path) {
            let below = match (&child, of) {
                (Step::Key(name), Of::Shape(shape)) => match shape.field(name).map(|field| field.is) {
                    Some(Is::Group(shape) | Is::List(shape)) => Of::Shape(shape),
                    Some(Is::Texts) => Of::Texts,
                    Some(Is::Any) => Of::Any,
                    Some(is) => {
                        path.push(child);
                        self.plain(path, is);
                        path.pop();
                        continue;
                    }
                    None => continue,
                },
                (Step::Row(_), Of::Texts) => {
                    path.push(child);
                    self.plain(path, Is::Text);
                    path.pop();
                    continue;
                }
                (_, of) => of,
            };
            path.push(child);
            self.below(path, below);
            path.pop();
        }
    }

    /// Takes away as many of the rows or fields at a place as can go: all, halves, quarters, one by one.
    fn thin(&mut self, path: &[Step], of: Of) {
        let mut chunk = self.removable(path, of).len();
        while chunk > 0 {
            let mut start = 0;
            loop {
                let children = self.removable(path, of);
                if start >= children.len() || self.steps_left == 0 {
                    break;
                }
                let end = children.len().min(start + chunk);
                if !self.attempt(without(&self.smallest, path, &children[start..end]), true) {
                    start += chunk;
                }
            }
            chunk /= 2;
        }
    }

    /// A field is taken from all rows of a list at once: of five hundred rows, one by one would be five hundred steps.
    fn thin_columns(&mut self, path: &[Step], of: Of) {
        let Of::Shape(shape) = of else { return };
        let Some(Value::List(rows)) = at(&self.smallest, path) else { return };
        if rows.len() < 2 {
            return;
        }
        for field in shape.fields.iter().filter(|field| !field.required) {
            let mut document = self.smallest.clone();
            if let Some(Value::List(rows)) = at_mut(&mut document, path) {
                for row in rows {
                    if let Value::Map(map) = row {
                        map.shift_remove(field.name);
                    }
                }
            }
            if document != self.smallest {
                self.attempt(document, true);
            }
        }
    }

    fn children(&self, path: &[Step]) -> Vec<Step> {
        match at(&self.smallest, path) {
            Some(Value::Map(map)) => map.keys().cloned().map(Step::Key).collect(),
            Some(Value::List(rows)) => (0..rows.len()).map(Step::Row).collect(),
            _ => vec![],
        }
    }

    fn removable(&self, path: &[Step], of: Of) -> Vec<Step> {
        let is_needed = |child: &Step| match (child, of) {
            (Step::Key(name), Of::Shape(shape)) => shape.field(name).is_some_and(|field| field.required),
            _ => false,
        };
        self.children(path).into_iter().filter(|child| !is_needed(child)).collect()
    }
}

fn at<'v>(document: &'v Value, path: &[Step]) -> Option<&'v Value> {
    path.iter().try_fold(document, |here, step| match (step, here) {
        (Step::Key(name), Value::Map(map)) => map.get(name),
        (Step::Row(index), Value::List(rows)) => rows.get(*index),
        _ => None,
    })
}

fn at_mut<'v>(document: &'v mut Value, path: &[Step]) -> Option<&'v mut Value> {
    path.iter().try_fold(document, |here, step| match (step, here) {
        (Step::Key(name), Value::Map(map)) => map.get_mut(name),
        (Step::Row(index), Value::List(rows)) => rows.get_mut(*index),
        _ => None,
    })
}

fn without(document: &Value, path: &[Step], gone: &[Step]) -> Value {
    let mut document = document.clone();
    match at_mut(&mut document, path) {
        Some(Value::Map(map)) => map.retain(|name, _| !gone.iter().any(|step| matches!(step, Step::Key(key) if key == name))),
        Some(Value::List(rows)) => {
            let mut index = 0;
            rows.retain(|_| {
                index += 1;
                !gone.contains(&Step::Row(index - 1))
            });
        }
        _ => {}
    }
    document
}
