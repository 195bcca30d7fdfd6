//! Gathers the profile of documents as they pass. A tree of the keys that were seen: a document costs one step for each of its values, and
//! allocates only where a key or a word is new. It also remembers for each finding a document that shows it.

use uuid::Uuid;

use super::compare::{Drift, What};
use super::personal;
use super::profile::{DEPTH_MAX, Field, PATH_BYTES_MAX, PATHS_MAX, Path, Profile, Type, VALUES_MAX};
use crate::value::Tree;

/// Keys that are kept while documents pass; of them the profile keeps the first [`PATHS_MAX`].
const NODES_MAX: usize = PATHS_MAX * 4;
/// Values of one document that are looked at.
const DOCUMENT_VALUES_MAX: usize = 50_000;
/// Documents of one kind as they pass.
#[derive(Debug)]
pub struct Gatherer {
    nodes: Vec<Node>,
    documents: u64,
    last: Uuid,
}

#[derive(Debug, Default)]
struct Node {
    key: Box<str>,
    path: String,
    depth: usize,
    /// Keys that were seen below, in the order they came; most documents have the same.
    children: Vec<usize>,
    item: Option<usize>,
    keeps_values: bool,
    is_tax: bool,
    /// The documents in which it was seen last, and not null.
    seen_in: u64,
    filled_in: u64,
    documents: u64,
    filled: u64,
    types: [u64; 7],
    examples: [Uuid; 7],
    chars_max: usize,
    longest: Uuid,
    values: Option<Vec<Word>>,
}

#[derive(Debug)]
struct Word {
    text: Box<str>,
    count: u64,
    example: Uuid,
}

impl Default for Gatherer {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], documents: 0, last: Uuid::nil() }
    }
}

impl Gatherer {
    /// Adds a document; `id` is what it is shown by as an example.
    pub fn add(&mut self, document: Tree<'_>, id: Uuid) {
        self.documents += 1;
        self.last = id;
        let mut left = DOCUMENT_VALUES_MAX;
        match document {
            Tree::List(_) | Tree::Map(_) => self.below(0, document, &mut left),
            _ => {}
        }
    }

    #[must_use]
    pub fn documents(&self) -> u64 {
        self.documents
    }

    fn below(&mut self, at: usize, value: Tree<'_>, left: &mut usize) {
        match value {
            Tree::List(items) if !items.is_empty() => {
                let Some(item) = self.item(at) else { return };
                for item_value in items {
                    self.see(item, *item_value, left);
                }
            }
            Tree::Map(fields) => {
                let mut hint = 0;
                for field in fields {
                    if let Some(child) = self.child(at, field.key, &mut hint) {
                        self.see(child, field.value, left);
                    }
                }
            }
            _ => {}
        }
    }

    fn see(&mut self, at: usize, value: Tree<'_>, left: &mut usize) {
        let Some(rest) = left.checked_sub(1) else { return };
        *left = rest;
        let (document, id) = (self.documents, self.last);
        let node = &mut self.nodes[at];
        let of = type_of(value);
        node.types[of as usize] += 1;
        node.examples[of as usize] = id;
        if node.seen_in != document {
            node.seen_in = document;
            node.documents += 1;
        }
        if of != Type::Null && node.filled_in != document {
            node.filled_in = document;
            node.filled += 1;
        }
        match value {
            Tree::Text(text) => {
                // Bytes bound characters, and most texts are short.
                if text.len() > node.chars_max {
                    let chars = text.chars().count();
                    if chars > node.chars_max {
                        node.chars_max = chars;
                        node.longest = id;
                    }
                }
                node.word(text, id, personal::is_word);
            }
            // A number is a word of a list where it is a tax's rate or code.
            Tree::Number(digits) if node.is_tax => node.word(digits, id, |_| true),
            Tree::List(_) | Tree::Map(_) => self.below(at, value, left),
            Tree::Null | Tree::Bool(_) | Tree::Number(_) => {}
        }
    }

    fn item(&mut self, at: usize) -> Option<usize> {
        if let Some(item) = self.nodes[at].item {
            return Some(item);
        }
        let item = self.grow(at, "[]", format!("{}[]", self.nodes[at].path))?;
        self.nodes[at].item = Some(item);
        Some(item)
    }

    /// Looks from where the last key of this document was found.
    fn child(&mut self, at: usize, key: &str, hint: &mut usize) -> Option<usize> {
        let children = &self.nodes[at].children;
        let (before, after) = children.split_at((*hint).min(children.len()));
        let is_it = |child: &&usize| *self.nodes[**child].key == *key;
        if let Some(found) = after.iter().position(|child| is_it(&child)) {
            *hint += found + 1;
            return Some(after[found]);
        }
        if let Some(found) = before.iter().position(|child| is_it(&child)) {
            *hint = found + 1;
            return Some(before[found]);
        }
        // A key that is an address, a number or a long text is data, and may say who somebody is.
        if key.is_empty() || !personal::is_word(key) {
            return None;
        }
        let path = if at == 0 { key.to_owned() } else { format!("{}.{key}", self.nodes[at].path) };
        let child = self.grow(at, key, path)?;
        self.nodes[at].children.push(child);
        *hint = self.nodes[at].children.len();
        Some(child)
    }

    fn grow(&mut self, at: usize, key: &str, path: String) -> Option<usize> {
        let depth = self.nodes[at].depth + 1;
        if self.nodes.len() > NODES_MAX || depth > DEPTH_MAX || path.len() > PATH_BYTES_MAX {
            return None;
        }
        let keeps_values = personal::keeps_values(&path);
        self.nodes.push(Node {
            key: key.into(),
            depth,
            is_tax: personal::is_tax_code(&path),
            keeps_values,
            values: keeps_values.then(Vec::new),
            path,
            ..Node::default()
        });
        Some(self.nodes.len() - 1)
    }

    /// The profile of all that passed.
    #[must_use]
    pub fn profile(&self) -> Profile {
        let fields = self.nodes.iter().skip(1).map(|node| {
            let words = node.values.as_ref().filter(|_| node.keeps_values);
            let field = Field {
                documents: node.documents,
                filled: node.filled,
                types: node.types,
                values: words.map(|words| words.iter().map(|word| (word.text.to_string(), word.count)).collect()),
                chars_max: node.chars_max as u64,
            };
            (Path::from(node.path.as_str()), field)
        });
        let mut profile = Profile::default();
        for (path, field) in fields {
            // Keys with a dot in them may come to one path.
            profile.fields.entry(path).and_modify(|known| known.merge(&field)).or_insert(field);
        }
        profile.documents = self.documents;
        profile.bound();
        profile
    }

    /// A document that shows it; the last one where many documents together do.
    #[must_use]
    pub fn example(&self, drift: &Drift) -> Option<Uuid> {
        if self.documents == 0 {
            return None;
        }
        let node = self.nodes.iter().find(|node| node.path == drift.path.as_str());
        let found = node.and_then(|node| match drift.what {
            What::NewField => {
                let some = Type::ALL.into_iter().rev().find(|of| node.types[*of as usize] > 0)?;
                Some(node.examples[some as usize])
            }
            What::Retyped => {
                let of = Type::ALL.into_iter().find(|of| Some(of.as_str()) == drift.value.as_deref())?;
                Some(node.examples[of as usize])
            }
            What::NewValue | What::NewTaxCode => {
                let words = node.values.as_ref()?;
                words.iter().find(|word| Some(&*word.text) == drift.value.as_deref()).map(|word| word.example)
            }
            What::Longer => Some(node.longest),
            What::Vanished | What::MoreNulls => None,
        });
        Some(found.filter(|id| !id.is_nil()).unwrap_or(self.last))
    }
}

impl Node {
    fn word(&mut self, text: &str, id: Uuid, is_word: impl Fn(&str) -> bool) {
        let Some(words) = &mut self.values else { return };
        if let Some(word) = words.iter_mut().find(|word| *word.text == *text) {
            word.count += 1;
            return;
        }
        if words.len() >= VALUES_MAX || !is_word(text) {
            self.values = None;
            return;
        }
        words.push(Word { text: text.into(), count: 1, example: id });
    }
}

pub(super) fn type_of(value: Tree<'_>) -> Type {
    match value {
        Tree::Null => Type::Null,
        Tree::Bool(_) => Type::Bool,
        Tree::Number(digits) if digits.contains(['.', 'e', 'E']) => Type::Decimal,
        Tree::Number(_) => Type::Int,
        Tree::Text(_) => Type::Text,
        Tree::List(_) => Type::List,
        Tree::Map(_) => Type::Map,
    }
}
