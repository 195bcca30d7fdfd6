//! What is the same in all guides: data elements with their types and lengths, code lists, and which elements a segment has in which order.
//! It is data (`connectors/x12/dictionary.yaml`), read when the first guide is asked for.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::Deserialize;

use super::element::{ElementKind, Lengths};
use crate::parse::yaml;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DictionaryFile {
    format: u32,
    /// `"127": AN 1/30, 005010 1/50`
    elements: IndexMap<String, String>,
    /// `C040: { qualifier: 128 M, number: 127 M }`
    composites: IndexMap<String, IndexMap<String, String>>,
    /// Closed lists: another code is an error.
    codes: IndexMap<String, Vec<String>>,
    /// Names by which a tree knows codes. The lists are open: what has no name keeps its code.
    names: IndexMap<String, IndexMap<String, String>>,
    segments: IndexMap<String, SegmentFile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SegmentFile {
    /// `number: 324 M`; `ids: pairs 235 234 10`: that many pairs of a qualifier and a value.
    elements: IndexMap<String, String>,
    /// `P0304`: as the standard writes which elements need each other.
    #[serde(default)]
    rules: Vec<String>,
}

/// One data element.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ElementSpec {
    /// The number that the standard gives it: `324`.
    pub number: String,
    pub kind: ElementKind,
    pub lengths: Lengths,
    /// The codes there are, where the list is closed.
    pub codes: Option<BTreeSet<String>>,
    /// Code to name.
    pub names: IndexMap<String, String>,
}

impl ElementSpec {
    /// The name of a code in a tree, or the code.
    pub fn name_of<'s>(&'s self, code: &'s str) -> &'s str {
        self.names.get(code).map_or(code, String::as_str)
    }

    pub fn code_of<'s>(&'s self, name: &'s str) -> &'s str {
        self.names.iter().find(|(_, known)| *known == name).map_or(name, |(code, _)| code.as_str())
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub name: String,
    pub spec: Arc<ElementSpec>,
    pub required: bool,
}

/// What stands at one place of a segment, or at several.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Simple(Part),
    Composite {
        name: String,
        number: String,
        required: bool,
        parts: Vec<Part>,
    },
    /// Qualifier and value, again and again: `{ upc: "0123", vendor_item: "HAT" }`.
    Pairs {
        name: String,
        key: Arc<ElementSpec>,
        value: Arc<ElementSpec>,
        count: usize,
    },
}

impl Element {
    pub fn name(&self) -> &str {
        match self {
            Self::Simple(part) => &part.name,
            Self::Composite { name, .. } | Self::Pairs { name, .. } => name,
        }
    }

    /// How many places it takes.
    pub fn width(&self) -> usize {
        if let Self::Pairs { count, .. } = self { count * 2 } else { 1 }
    }
}

/// Elements that need each other, by their numbers from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub kind: RelationKind,
    pub numbers: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RelationKind {
    /// P: all or none.
    Paired,
    /// R: at least one.
    Required,
    /// E: at most one.
    Exclusive,
    /// C: where the first is there, all others are.
    Conditional,
    /// L: where the first is there, at least one other is.
    List,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            RelationKind::Paired => "P",
            RelationKind::Required => "R",
            RelationKind::Exclusive => "E",
            RelationKind::Conditional => "C",
            RelationKind::List => "L",
        })?;
        self.numbers.iter().try_for_each(|number| write!(f, "{number:02}"))
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SegmentSpec {
    pub id: String,
    pub elements: Vec<Element>,
    pub rules: Vec<Relation>,
}

impl SegmentSpec {
    /// What stands at a place, from 1: the standard's number of the element, and what trees call it.
    pub fn at(&self, number: usize) -> Option<(&str, &str)> {
        let mut before = 0;
        let element = self.elements.iter().find(|element| {
            before += element.width();
            before >= number
        })?;
        Some(match element {
            Element::Simple(part) => (&part.spec.number, &part.name),
            Element::Composite { number, name, .. } => (number, name),
            // Qualifiers and values take turns, and the last one is a value.
            Element::Pairs { name, key, value, .. } => {
                (if (before - number).is_multiple_of(2) { &value.number } else { &key.number }, name)
            }
        })
    }
}

/// All elements and segments that guides name.
#[derive(Debug)]
pub(crate) struct Dictionary {
    segments: HashMap<String, Arc<SegmentSpec>>,
}

impl Dictionary {
    /// # Errors
    /// The first thing that is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: DictionaryFile = yaml(text).map_err(|error| error.to_string())?;
        if file.format != 1 {
            return Err(format!("format is {}, but this build reads 1", file.format));
        }
        let mut elements = HashMap::new();
        for (number, text) in &file.elements {
            let (kind, lengths) =
                ElementKind::parse(text).ok_or_else(|| format!("element {number}: \"{text}\" says no type and lengths"))?;
            let codes = file.codes.get(number).map(|codes| codes.iter().cloned().collect());
            let names = file.names.get(number).cloned().unwrap_or_default();
            // A name that is a code of its own could not be told apart from it; neither could `x_2` from the second `x`.
            let is_plain = |name: &String| {
                name.starts_with(|first: char| first.is_ascii_lowercase())
                    && !name.rsplit_once('_').is_some_and(|(_, last)| last.bytes().all(|byte| byte.is_ascii_digit()))
            };
            let distinct: BTreeSet<&String> = names.values().collect();
            if let Some(name) = names.values().find(|name| !is_plain(name)).or((distinct.len() < names.len()).then_some(number)) {
                return Err(format!("names of element {number}: \"{name}\" stands twice, or could be a code"));
            }
            let spec = ElementSpec { number: number.clone(), kind, lengths, codes, names };
            elements.insert(number.as_str(), Arc::new(spec));
        }
        if let Some(number) = file.codes.keys().chain(file.names.keys()).find(|number| !elements.contains_key(number.as_str())) {
            return Err(format!("codes or names of element {number}, which is not described"));
        }
        let part = |name: &str, text: &str| -> Result<Part, String> {
            let (number, required) = usage(text).ok_or_else(|| format!("{name}: \"{text}\" is no element and M or O"))?;
            let spec = elements.get(number).ok_or_else(|| format!("{name}: element {number} is not described"))?;
            Ok(Part { name: name.to_owned(), spec: Arc::clone(spec), required })
        };
        let element = |name: &str, text: &str| -> Result<Element, String> {
            if let Some(pairs) = text.strip_prefix("pairs ") {
                let words: Vec<&str> = pairs.split(' ').collect();
                let [key, value, count] = words[..] else { return Err(format!("{name}: \"{text}\" are no pairs")) };
                let count = count.parse().map_err(|_| format!("{name}: {count:?} is no count"))?;
                let spec = |number: &str| part(name, &format!("{number} O")).map(|part| part.spec);
                return Ok(Element::Pairs { name: name.to_owned(), key: spec(key)?, value: spec(value)?, count });
            }
            let Some((number, required)) = usage(text).filter(|(number, _)| number.starts_with('C')) else {
                return part(name, text).map(Element::Simple);
            };
            let parts = file.composites.get(number).ok_or_else(|| format!("{name}: {number} is not described"))?;
            let parts = parts.iter().map(|(name, text)| part(name, text)).collect::<Result<_, _>>()?;
            Ok(Element::Composite { name: name.to_owned(), number: number.to_owned(), required, parts })
        };
        let mut segments = HashMap::new();
        for (id, segment) in &file.segments {
            let at = |error: String| format!("segment {id}: {error}");
            let elements = segment.elements.iter().map(|(name, text)| element(name, text));
            let elements = elements.collect::<Result<Vec<_>, _>>().map_err(at)?;
            let width = elements.iter().map(Element::width).sum();
            let rules = segment
                .rules
                .iter()
                .map(|rule| relation(rule, width).ok_or_else(|| at(format!("the rule {rule:?} cannot be read"))));
            let spec = SegmentSpec { id: id.clone(), elements, rules: rules.collect::<Result<_, _>>()? };
            segments.insert(id.clone(), Arc::new(spec));
        }
        Ok(Self { segments })
    }

    pub fn segment(&self, id: &str) -> Option<&Arc<SegmentSpec>> {
        self.segments.get(id)
    }
}

/// `324 M`
fn usage(text: &str) -> Option<(&str, bool)> {
    match text.split_once(' ')? {
        (number, "M") => Some((number, true)),
        (number, "O") => Some((number, false)),
        _ => None,
    }
}

/// `P0304`
fn relation(text: &str, width: usize) -> Option<Relation> {
    let kind = match text.chars().next()? {
        'P' => RelationKind::Paired,
        'R' => RelationKind::Required,
        'E' => RelationKind::Exclusive,
        'C' => RelationKind::Conditional,
        'L' => RelationKind::List,
        _ => return None,
    };
    let digits = &text[1..];
    let number = |at: usize| digits.get(at..at + 2)?.parse().ok().filter(|number| (1..=width).contains(number));
    let numbers = (0..digits.len()).step_by(2).map(number).collect::<Option<Vec<usize>>>()?;
    (numbers.len() >= 2).then_some(Relation { kind, numbers })
}
