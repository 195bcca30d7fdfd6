//! What is there and what is not: the commonest way in which a record differs from the one that a mapping was written for.

use super::draft::Draft;
use crate::canonical::shape::{Field, Is, Shape};
use crate::value::{Map, Value};

/// Parts within parts that are filled; the model nests no deeper.
const DEPTH_MAX: usize = 6;

pub(super) fn no_optional_field(draft: &mut Draft) {
    draft.groups(&mut |shape, map| map.retain(|name, _| is_needed(shape, name)));
}

pub(super) fn null(draft: &mut Draft) {
    draft.groups(&mut |shape, map| {
        for field in shape.fields.iter().filter(|field| !is_needed(shape, field.name)) {
            map.insert(field.name.to_owned(), Value::Null);
        }
    });
}

fn is_needed(shape: &Shape, name: &str) -> bool {
    // A stock level must know one of its numbers, whichever.
    shape.field(name).is_none_or(|field| field.required) || (shape.name == "Quantities" && name == "available")
}

pub(super) fn every_field(draft: &mut Draft) {
    fill(draft.shape(), &mut draft.map, 0);
}

fn fill(shape: &'static Shape, map: &mut Map, depth: usize) {
    for field in shape.fields {
        let value = map.entry(field.name.to_owned()).or_insert(Value::Null);
        if value.is_null() {
            *value = plain(field);
        }
        match (field.is, value) {
            (Is::Group(shape), Value::Map(map)) if depth < DEPTH_MAX => fill(shape, map, depth + 1),
            (Is::List(shape), Value::List(rows)) if depth < DEPTH_MAX => {
                for row in rows {
                    if let Value::Map(map) = row {
                        fill(shape, map, depth + 1);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What stands in a field where nothing about it is awkward.
pub(super) fn plain(field: &Field) -> Value {
    match field.is {
        Is::Text | Is::Long | Is::Name => match field.name {
            "email" => "renee@northwind.example".into(),
            "phone" => "+14045550134".into(),
            "language" => "en".into(),
            name => format!("Some {}", name.replace('_', " ")).into(),
        },
        Is::Id | Is::Amount | Is::Quantity | Is::Level => "1".into(),
        Is::Rate => "0.05".into(),
        Is::Flag => true.into(),
        Is::Count => 1.into(),
        Is::Time => "2026-11-20T09:30:00.000Z".into(),
        Is::Date => "2026-11-20".into(),
        Is::Country => "US".into(),
        Is::Currency => "USD".into(),
        Is::Unit => "EA".into(),
        Is::Word(words) => words[0].into(),
        Is::Texts => Value::List(vec!["one".into(), "two".into()]),
        Is::Group(_) => Value::Map(Map::new()),
        Is::List(_) => Value::List(vec![Value::Map(Map::new())]),
        Is::Any => Value::Map([("colour".to_owned(), "red".into())].into_iter().collect()),
    }
}

pub(super) fn empty_lists(draft: &mut Draft) {
    draft.groups(&mut |shape, map| {
        for field in shape.fields.iter().filter(|field| matches!(field.is, Is::List(_) | Is::Texts)) {
            map.insert(field.name.to_owned(), Value::List(vec![]));
        }
    });
}

pub(super) fn no_lists(draft: &mut Draft) {
    let shape = draft.shape();
    draft.map.retain(|name, _| !matches!(shape.field(name).map(|field| field.is), Some(Is::List(_) | Is::Texts)));
}

pub(super) fn empty_groups(draft: &mut Draft) {
    draft.groups(&mut |shape, map| {
        for (name, value) in map {
            if shape.field(name).is_some_and(|field| !field.required && matches!(field.is, Is::Group(_))) {
                *value = Value::Map(Map::new());
            }
        }
    });
}

/// The fields that are there, one after the other: the nth is taken away, from each row of a list at once.
pub(super) fn one_missing(draft: &mut Draft) {
    let mut places: Vec<(&'static str, String)> = Vec::new();
    draft.groups(&mut |shape, map| {
        for name in map.keys() {
            let is_new = !places.iter().any(|(part, known)| *part == shape.name && known == name);
            if is_new && shape.field(name).is_some_and(|field| !field.required) {
                places.push((shape.name, name.clone()));
            }
        }
    });
    let Some((part, name)) = places.into_iter().nth(draft.variant) else { return };
    draft.groups(&mut |shape, map| {
        if shape.name == part {
            map.shift_remove(&name);
        }
    });
}
