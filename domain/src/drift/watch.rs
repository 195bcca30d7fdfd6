//! Looks at one document on its way, for what must wait for a person. Nearly every document is as usual, which one walk through it shows without
//! an allocation; only where something may be new is it profiled and compared.

use std::collections::HashSet;

use uuid::Uuid;

use super::compare::{Drift, news, words};
use super::gather::{Gatherer, type_of};
use super::personal;
use super::policy::{Policies, Policy};
use super::profile::{Path, Profile, Type};
use crate::value::Tree;

/// What is known of documents, and which of their fields are held.
#[derive(Debug)]
pub struct Watch {
    known: Profile,
    policies: Policies,
    nodes: Vec<Node>,
}

#[derive(Debug, Default)]
struct Node {
    key: Box<str>,
    children: Vec<usize>,
    item: Option<usize>,
    /// The field itself is held.
    is_held: bool,
    /// Something that lies in it may be.
    holds_within: bool,
    types: [bool; 7],
    words: Option<HashSet<Box<str>>>,
}

impl Watch {
    #[must_use]
    pub fn new(known: Profile, policies: Policies) -> Self {
        let root =
            Node { is_held: policies.of_document() == Policy::Hold, holds_within: policies.holds_any(), ..Node::default() };
        let mut watch = Self { known: Profile::default(), policies, nodes: vec![root] };
        // What lies in something comes after it, because it stands lower.
        let mut places: std::collections::HashMap<Path, usize> = std::collections::HashMap::new();
        for (path, field) in &known.fields {
            let parent = path.parent();
            let Some(at) = parent.as_ref().map_or(Some(0), |parent| places.get(parent).copied()) else { continue };
            let mut types = Type::ALL.map(|of| of == Type::Null || field.count(of) > 0);
            types[Type::Int as usize] |= types[Type::Decimal as usize];
            let words = words(field).map(|words| words.keys().map(|word| word.as_str().into()).collect());
            let text = path.as_str();
            let key = match &parent {
                Some(parent) => text[parent.as_str().len()..].trim_start_matches('.'),
                None => text,
            };
            watch.nodes.push(Node {
                key: key.into(),
                is_held: watch.policies.of_path(path) == Policy::Hold,
                holds_within: watch.policies.holds_within(path),
                types,
                words,
                ..Node::default()
            });
            let node = watch.nodes.len() - 1;
            if key == "[]" {
                watch.nodes[at].item = Some(node);
            } else {
                watch.nodes[at].children.push(node);
            }
            places.insert(path.clone(), node);
        }
        watch.known = known;
        watch
    }

    /// The news of a document that must wait for a person; `id` is what it is shown by.
    #[must_use]
    pub fn held(&self, document: Tree<'_>, id: Uuid) -> Vec<Drift> {
        if self.is_usual(0, document) {
            return vec![];
        }
        let mut gatherer = Gatherer::default();
        gatherer.add(document, id);
        let mut held = news(&self.known, &gatherer.profile());
        held.retain(|drift| self.policies.of(drift) == Policy::Hold);
        held
    }

    /// False where something that lies here may be held. What is not known of may be, wherever something is held near it.
    fn is_usual(&self, at: usize, value: Tree<'_>) -> bool {
        let node = &self.nodes[at];
        match value {
            _ if !node.is_held && !node.holds_within => true,
            Tree::List([]) => true,
            Tree::List(items) => node.item.is_some_and(|item| items.iter().all(|value| self.is_usual_value(item, *value))),
            Tree::Map(fields) => {
                let mut hint = 0;
                fields.iter().all(|field| match self.child(node, field.key, &mut hint) {
                    Some(child) => self.is_usual_value(child, field.value),
                    None => field.key.is_empty() || !personal::is_word(field.key),
                })
            }
            _ => true,
        }
    }

    fn is_usual_value(&self, at: usize, value: Tree<'_>) -> bool {
        let node = &self.nodes[at];
        if node.is_held {
            if !node.types[type_of(value) as usize] {
                return false;
            }
            let text = if let Tree::Text(text) | Tree::Number(text) = value { Some(text) } else { None };
            if let (Some(words), Some(text)) = (&node.words, text)
                && !words.contains(text)
            {
                return false;
            }
        }
        self.is_usual(at, value)
    }

    /// Looks from where the last key of this document was found.
    fn child(&self, node: &Node, key: &str, hint: &mut usize) -> Option<usize> {
        let (before, after) = node.children.split_at((*hint).min(node.children.len()));
        let found = after.iter().chain(before).position(|child| *self.nodes[*child].key == *key)?;
        let at = if found < after.len() { before.len() + found } else { found - after.len() };
        *hint = at + 1;
        Some(node.children[at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Arena, Limits};

    #[test]
    fn a_document_as_usual_needs_one_walk_and_no_profile() {
        let order = |n: usize, status: &str| {
            format!(
                r#"{{"id": {n}, "status": "{status}", "none": [], "lines": [{{"sku": "S{n}", "tax": {{"rate": 0.2}}}}], "by": null}}"#
            )
        };
        let mut gatherer = Gatherer::default();
        for n in 0..60 {
            let (arena, text) = (Arena::new(), order(n, "paid"));
            gatherer.add(Tree::parse(text.as_bytes(), &Limits::DEFAULT, None, &arena).unwrap(), Uuid::nil());
        }
        let is_usual = |text: &str, pattern: &str| {
            let arena = Arena::new();
            let watch = Watch::new(gatherer.profile(), Policies::new([(pattern.to_owned(), Policy::Hold)]));
            watch.is_usual(0, Tree::parse(text.as_bytes(), &Limits::DEFAULT, None, &arena).unwrap())
        };
        assert!(is_usual(&order(100, "paid"), "*"));
        assert!(!is_usual(&order(100, "split"), "*") && !is_usual(&order(100, "split"), "status"));
        assert!(is_usual(&order(100, "split"), "lines"), "what is not held is not looked at");
        assert!(!is_usual(&order(100, "paid").replace("0.2", "0.1"), "lines[].tax"));
    }
}
