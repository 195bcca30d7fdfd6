//! What the rules of a row have written so far.

use std::sync::Arc;

use bumpalo::collections::Vec as ArenaVec;

use crate::mapping::plan::Compiled;
use crate::value::{Arena, Field, Tree};

pub(super) struct Draft<'a> {
    fields: ArenaVec<'a, Field<'a>>,
    /// Made by rules such as `customer.name`, which may come one by one. Each is the value of the field at that place, in the end.
    groups: ArenaVec<'a, (usize, Draft<'a>)>,
}

impl<'a> Draft<'a> {
    pub fn new(capacity: usize, arena: &'a Arena) -> Self {
        Self { fields: ArenaVec::with_capacity_in(capacity, arena), groups: ArenaVec::new_in(arena) }
    }

    pub fn write(&mut self, rule: &'a Compiled, value: Tree<'a>) {
        if rule.is_alone {
            self.fields.push(Field { key: &rule.to[0], value });
        } else {
            self.write_at(&rule.to, value);
        }
    }

    /// Writes rows behind those that an earlier rule of the same field wrote; how many were there.
    pub fn add(&mut self, rule: &'a Compiled, rows: &'a [Tree<'a>]) -> usize {
        let before = self.list_at(&rule.to);
        if before.is_empty() {
            self.write(rule, Tree::List(rows));
        } else if !rows.is_empty() {
            let mut all = ArenaVec::with_capacity_in(before.len() + rows.len(), self.fields.bump());
            all.extend_from_slice(before);
            all.extend_from_slice(rows);
            self.write(rule, Tree::List(all.into_bump_slice()));
        }
        before.len()
    }

    /// The list that is written there so far; empty where there is none.
    fn list_at(&self, to: &[Arc<str>]) -> &'a [Tree<'a>] {
        let [first, rest @ ..] = to else { return &[] };
        let Some(at) = self.fields.iter().rposition(|field| std::ptr::eq(field.key, &**first)) else { return &[] };
        if rest.is_empty() {
            return if let Tree::List(list) = self.fields[at].value { list } else { &[] };
        }
        let Some((_, group)) = self.groups.iter().rfind(|(of, _)| *of == at) else { return &[] };
        group.list_at(rest)
    }

    /// A later rule of the same field takes the earlier one's place.
    fn write_at(&mut self, to: &'a [Arc<str>], value: Tree<'a>) {
        let [first, rest @ ..] = to else { return };
        // From the end, because rules of one group mostly follow each other.
        let at = self.fields.iter().rposition(|field| std::ptr::eq(field.key, &**first)).unwrap_or_else(|| {
            self.fields.push(Field { key: first, value: Tree::Null });
            self.fields.len() - 1
        });
        if rest.is_empty() {
            self.groups.retain(|(of, _)| *of != at);
            self.fields[at].value = value;
            return;
        }
        const FIELDS_EXPECTED: usize = 8;
        let group = self.groups.iter().rposition(|(of, _)| *of == at).unwrap_or_else(|| {
            self.groups.push((at, Draft::new(FIELDS_EXPECTED, self.fields.bump())));
            self.groups.len() - 1
        });
        self.groups[group].1.write_at(rest, value);
    }

    pub fn finish(mut self) -> Tree<'a> {
        for (at, group) in self.groups {
            self.fields[at].value = group.finish();
        }
        Tree::Map(self.fields.into_bump_slice())
    }
}
