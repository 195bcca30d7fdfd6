//! A document as it lies in the bytes it came in: texts are borrowed, lists and groups are slices of an arena. It costs no allocation for
//! each value, is copied like a number, and is what mappings run on.

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::wanted::Keep;
use super::{Arena, Limits, Map, Number, Value, ValueError, Wanted, decimal, parse, write};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree<'a> {
    Null,
    Bool(bool),
    /// The digits, exactly as they arrived.
    Number(&'a str),
    Text(&'a str),
    List(&'a [Tree<'a>]),
    Map(&'a [Field<'a>]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field<'a> {
    pub key: &'a str,
    pub value: Tree<'a>,
}

impl<'a> Tree<'a> {
    /// Keeps what is wanted, or everything. The rest is held to the same grammar and limits, but for keys that are there twice.
    ///
    /// # Errors
    /// Where the bytes are no JSON, or more of it than the limits allow.
    pub fn parse(json: &'a [u8], limits: &Limits, wanted: Option<&'a Wanted>, arena: &'a Arena) -> Result<Self, ValueError> {
        parse::document(json, limits, Keep::of(wanted), arena)
    }

    /// Of a document in memory, whose texts it borrows.
    #[must_use]
    pub fn of(value: &'a Value, wanted: Option<&'a Wanted>, arena: &'a Arena) -> Self {
        Self::keeping(value, Keep::of(wanted), arena)
    }

    fn keeping(value: &'a Value, keep: Keep<'a>, arena: &'a Arena) -> Self {
        match value {
            Value::Null => Tree::Null,
            Value::Bool(bool) => Tree::Bool(*bool),
            Value::Number(number) => Tree::Number(number.as_str()),
            Value::Text(text) => Tree::Text(text),
            Value::List(list) => {
                Tree::List(arena.alloc_slice_fill_iter(list.iter().map(|value| Self::keeping(value, keep, arena))))
            }
            Value::Map(map) => {
                let mut fields = bumpalo::collections::Vec::with_capacity_in(map.len(), arena);
                for (key, value) in map {
                    if let Some((key, keep)) = keep.field(key) {
                        fields.push(Field { key, value: Self::keeping(value, keep, arena) });
                    }
                }
                Tree::Map(fields.into_bump_slice())
            }
        }
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<Tree<'a>> {
        match self {
            Tree::Map(fields) => fields.iter().find(|field| field.key == key).map(|field| field.value),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_str(&self) -> Option<&'a str> {
        if let Tree::Text(text) = self { Some(text) } else { None }
    }

    /// A number or a text that is one, exactly.
    #[must_use]
    pub fn to_decimal(&self) -> Option<Decimal> {
        match self {
            Tree::Number(digits) => decimal(digits),
            Tree::Text(text) => decimal(text.trim()),
            _ => None,
        }
    }

    /// The text of a plain value: a number's digits, a boolean's word.
    #[must_use]
    pub fn to_text(&self) -> Option<&'a str> {
        match self {
            Tree::Text(text) | Tree::Number(text) => Some(text),
            Tree::Bool(bool) => Some(if *bool { "true" } else { "false" }),
            Tree::Null | Tree::List(_) | Tree::Map(_) => None,
        }
    }

    /// The same, owned.
    #[must_use]
    pub fn to_value(&self) -> Value {
        match self {
            Tree::Null => Value::Null,
            Tree::Bool(bool) => Value::Bool(*bool),
            Tree::Number(digits) => Value::Number(Number::from_digits(digits)),
            Tree::Text(text) => Value::Text((*text).to_owned()),
            Tree::List(list) => Value::List(list.iter().map(Tree::to_value).collect()),
            Tree::Map(fields) => {
                let mut map = Map::with_capacity(fields.len());
                for field in *fields {
                    map.insert(field.key.to_owned(), field.value.to_value());
                }
                Value::Map(map)
            }
        }
    }

    pub fn write_json(&self, out: &mut String) {
        match self {
            Tree::Null => out.push_str("null"),
            Tree::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
            Tree::Number(digits) => out.push_str(digits),
            Tree::Text(text) => write::text(text, out),
            Tree::List(list) => {
                out.push('[');
                for (index, value) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write_json(out);
                }
                out.push(']');
            }
            Tree::Map(fields) => {
                out.push('{');
                for (index, field) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write::text(field.key, out);
                    out.push(':');
                    field.value.write_json(out);
                }
                out.push('}');
            }
        }
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(1024);
        self.write_json(&mut out);
        out
    }

    /// What it is, for a sentence: `a list`, `"12"`.
    #[must_use]
    pub fn shown(&self) -> Cow<'a, str> {
        match self {
            Tree::Null => "nothing".into(),
            Tree::List(_) => "a list".into(),
            Tree::Map(_) => "a group of fields".into(),
            plain => format!("\"{}\"", plain.to_text().unwrap_or_default().chars().take(60).collect::<String>()).into(),
        }
    }
}
