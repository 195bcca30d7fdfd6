//! A profile says what documents of one kind look like: which fields are there and how often, of what type, how long, and, where it is one of
//! few words, which. Profiles of two sets of documents merge to that of both, in whatever order: each worker gathers its own.
//!
//! It is bounded whatever a sender does: fields, depth, length of a path, values of a field and their length. What is beyond is left out in a
//! way that does not depend on the order either: of fields those remain that stand highest and come first in the alphabet, and of values
//! either all are known or none is.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Fields of one profile.
pub const PATHS_MAX: usize = 1_000;
pub const PATH_BYTES_MAX: usize = 200;
pub const DEPTH_MAX: usize = 12;
/// Different values of one field; with more than that it is no list of words.
pub const VALUES_MAX: usize = 20;

/// Where a field stands, without positions in lists: `line_items[].tax_lines[].rate`. What stands higher comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Path {
    depth: usize,
    text: Box<str>,
}

impl Path {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it lies in: of `lines[].sku` that is `lines[]`, of `lines[]` it is `lines`; `None` for a field of the document itself.
    #[must_use]
    pub fn parent(&self) -> Option<Path> {
        let text: &str = &self.text;
        if let Some(list) = text.strip_suffix("[]") {
            return (!list.is_empty()).then(|| list.into());
        }
        Some(text.rsplit_once('.').map(|(parent, _)| parent).filter(|parent| !parent.is_empty())?.into())
    }

    /// True for what it is itself, and all that lies in it.
    #[must_use]
    pub fn is_within(&self, outer: &str) -> bool {
        let rest = self.text.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.') || rest.starts_with("[]"))
    }
}

impl From<&str> for Path {
    fn from(text: &str) -> Self {
        Self { depth: text.matches('.').count() + text.matches("[]").count(), text: text.into() }
    }
}
impl From<String> for Path {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}
impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.text.into()
    }
}
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    Null,
    Bool,
    Int,
    Decimal,
    Text,
    List,
    Map,
}

impl Type {
    pub const ALL: [Type; 7] = [Self::Null, Self::Bool, Self::Int, Self::Decimal, Self::Text, Self::List, Self::Map];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Decimal => "decimal",
            Self::Text => "text",
            Self::List => "list",
            Self::Map => "map",
        }
    }
}

/// What is known of one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Documents that have it.
    #[serde(rename = "d")]
    pub documents: u64,
    /// Documents in which it is not null at least once.
    #[serde(rename = "f")]
    pub filled: u64,
    /// How often it is of each type, in the order of [`Type::ALL`]; more often than there are documents where it lies in a list.
    #[serde(rename = "t")]
    pub types: [u64; 7],
    /// Each value and how often it came; `None` where they are too many, too long, or not to be kept.
    #[serde(rename = "v", default, skip_serializing_if = "Option::is_none")]
    pub values: Option<BTreeMap<String, u64>>,
    /// Characters of the longest text.
    #[serde(rename = "c")]
    pub chars_max: u64,
}

impl Default for Field {
    fn default() -> Self {
        Self { documents: 0, filled: 0, types: [0; 7], values: Some(BTreeMap::new()), chars_max: 0 }
    }
}

impl Field {
    #[must_use]
    pub fn count(&self, of: Type) -> u64 {
        self.types[of as usize]
    }

    /// The types it was seen with, but for null.
    pub fn types(&self) -> impl Iterator<Item = Type> {
        Type::ALL.into_iter().skip(1).filter(|of| self.count(*of) > 0)
    }

    pub(super) fn merge(&mut self, other: &Field) {
        self.documents = self.documents.saturating_add(other.documents);
        self.filled = self.filled.saturating_add(other.filled);
        for (count, more) in self.types.iter_mut().zip(other.types) {
            *count = count.saturating_add(more);
        }
        self.chars_max = self.chars_max.max(other.chars_max);
        let values = self.values.take().zip(other.values.as_ref()).map(|(mut values, more)| {
            for (value, count) in more {
                let known = values.entry(value.clone()).or_default();
                *known = known.saturating_add(*count);
            }
            values
        });
        self.values = values.filter(|values| values.len() <= VALUES_MAX);
    }
}

/// What documents of one kind look like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub documents: u64,
    pub fields: BTreeMap<Path, Field>,
}

impl Profile {
    /// The profile of both sets of documents.
    pub fn merge(&mut self, other: &Profile) {
        self.documents = self.documents.saturating_add(other.documents);
        for (path, field) in &other.fields {
            match self.fields.get_mut(path) {
                Some(known) => known.merge(field),
                None => {
                    self.fields.insert(path.clone(), field.clone());
                }
            }
        }
        self.bound();
    }

    /// Keeps the first fields. What is left out here would be left out of every profile that this one becomes a part of.
    pub(super) fn bound(&mut self) {
        while self.fields.len() > PATHS_MAX {
            self.fields.pop_last();
        }
    }

    /// False for a field that may have been left out.
    #[must_use]
    pub fn is_certain(&self, path: &Path) -> bool {
        self.fields.len() < PATHS_MAX || self.fields.last_key_value().is_some_and(|(last, _)| path <= last)
    }

    #[must_use]
    pub fn get(&self, path: &Path) -> Option<&Field> {
        self.fields.get(path)
    }

    /// The field and all that lies in it.
    #[must_use]
    pub fn part(&self, outer: &Path) -> Profile {
        let within = self.fields.iter().filter(|(path, _)| path.is_within(outer.as_str()));
        Profile { documents: 0, fields: within.map(|(path, field)| (path.clone(), field.clone())).collect() }
    }

    /// Takes the field away, and all that lies in it.
    pub fn forget(&mut self, outer: &Path) {
        self.fields.retain(|path, _| !path.is_within(outer.as_str()));
    }

    /// Lets what is old weigh half, so that what is normal now comes to count.
    pub fn age(&mut self) {
        self.documents /= 2;
        for field in self.fields.values_mut() {
            // What was there once is still known.
            let half = |count: &mut u64| *count = count.div_ceil(2);
            half(&mut field.documents);
            half(&mut field.filled);
            field.types.iter_mut().for_each(half);
            field.values.iter_mut().flat_map(|values| values.values_mut()).for_each(half);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_knows_what_it_lies_in() {
        let parent = |text: &str| Path::from(text).parent().map(String::from);
        assert_eq!(parent("lines[].sku").as_deref(), Some("lines[]"));
        assert_eq!(parent("lines[]").as_deref(), Some("lines"));
        assert_eq!(parent("lines"), None);
        assert_eq!(parent("[].id").as_deref(), Some("[]"));
        assert!(Path::from("zz") < Path::from("a.b"), "what stands higher comes first");
        assert!(Path::from("a[].b").is_within("a") && !Path::from("ab").is_within("a"));
    }

    #[test]
    fn a_profile_survives_its_json() {
        let mut profile = Profile { documents: 3, ..Profile::default() };
        let values = Some([("paid".to_owned(), 2)].into());
        profile.fields.insert("a[].b".into(), Field { documents: 2, values, ..Field::default() });
        profile.fields.insert("c".into(), Field { values: None, ..Field::default() });
        let json = serde_json::to_value(&profile).unwrap();
        assert_eq!(json["fields"]["a[].b"]["v"]["paid"], 2);
        assert_eq!(serde_json::from_value::<Profile>(json).unwrap(), profile);
    }
}
