//! A record while it is made: what the features change, by the shape of its kind.

use rust_decimal::Decimal;

use super::dice::Dice;
use super::settle::settle;
use crate::canonical;
use crate::canonical::shape::{Field, Is, Shape};
use crate::record::RecordKind;
use crate::value::{Map, Value, decimal};

pub(super) struct Draft {
    pub kind: RecordKind,
    pub map: Map,
    pub dice: Dice,
    /// Which of its records a feature is to make, from 0.
    pub variant: usize,
}

impl Draft {
    pub fn new(kind: RecordKind, plain: &Value, dice: Dice) -> Self {
        Self { kind, map: plain.as_map().cloned().unwrap_or_default(), dice, variant: 0 }
    }

    /// The record, its sums made right again.
    pub fn finish(mut self) -> Value {
        settle(self.kind, &mut self.map);
        Value::Map(self.map)
    }

    pub fn shape(&self) -> &'static Shape {
        canonical::shape(self.kind)
    }

    pub fn has(&self, name: &str) -> bool {
        self.shape().field(name).is_some()
    }

    /// Sets a field that the kind has.
    pub fn set(&mut self, name: &str, value: impl Into<Value>) {
        if self.has(name) {
            self.map.insert(name.to_owned(), value.into());
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.map.shift_remove(name);
    }

    /// The rows of a list that is there.
    pub fn rows(&mut self, name: &str) -> &mut [Value] {
        match self.map.get_mut(name) {
            Some(Value::List(rows)) => rows,
            _ => &mut [],
        }
    }

    /// A list that the kind has; an empty one is made where it is not there.
    pub fn list(&mut self, name: &str) -> Option<&mut Vec<Value>> {
        if !matches!(self.shape().field(name)?.is, Is::List(_) | Is::Texts) {
            return None;
        }
        let list = self.map.entry(name.to_owned()).or_insert_with(|| Value::List(vec![]));
        if list.is_null() {
            *list = Value::List(vec![]);
        }
        if let Value::List(rows) = list { Some(rows) } else { None }
    }

    /// Every group of fields: the record, the groups within it, and each row of its lists.
    pub fn groups(&mut self, each: &mut dyn FnMut(&'static Shape, &mut Map)) {
        groups(self.shape(), &mut self.map, each);
    }

    /// Every value that holds no others.
    pub fn leaves(&mut self, each: &mut dyn FnMut(&'static Field, &mut Value)) {
        self.groups(&mut |shape, map| {
            for (name, value) in map {
                match shape.field(name) {
                    Some(field) if !matches!(field.is, Is::Group(_) | Is::List(_)) => each(field, value),
                    _ => {}
                }
            }
        });
    }

    /// Every number of some kinds: it is given its decimal and says the new text.
    pub fn numbers(&mut self, which: fn(Is) -> bool, each: &mut dyn FnMut(Decimal) -> String) {
        self.leaves(&mut |field, value| {
            if let Some(number) = value.as_str().and_then(decimal).filter(|_| which(field.is)) {
                *value = each(number).into();
            }
        });
    }

    pub fn amounts(&mut self, each: &mut dyn FnMut(Decimal) -> String) {
        self.numbers(|is| matches!(is, Is::Amount), each);
    }
}

fn groups(shape: &'static Shape, map: &mut Map, each: &mut dyn FnMut(&'static Shape, &mut Map)) {
    each(shape, map);
    for (name, value) in map {
        match (shape.field(name).map(|field| field.is), value) {
            (Some(Is::Group(shape)), Value::Map(map)) => groups(shape, map, each),
            (Some(Is::List(shape)), Value::List(rows)) => {
                for row in rows {
                    if let Value::Map(map) = row {
                        groups(shape, map, each);
                    }
                }
            }
            _ => {}
        }
    }
}
