//! Which fields of the document and of the named values a mapping reads: the same list that people see, and that decides what of a document is
//! kept at all. So it cannot be wrong and unnoticed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::expression::{Base, Path, Reading, Step, Words};
use crate::value::Wanted;

/// Where rules stand: the rows around them, from the document inwards.
#[derive(Debug, Clone, Default)]
pub(super) struct Within(Vec<Scope>);

#[derive(Debug, Clone, Default)]
struct Scope {
    /// `line_items[]`, seen from the document; `$settings.list[]` from a named value; empty for the document.
    name: String,
    is_group: bool,
    /// A row of a list within a row: both are one step of the rules.
    is_flat: bool,
}

impl Within {
    pub fn document() -> Self {
        Self(vec![Scope::default()])
    }

    pub fn push(&mut self, name: String, is_group: bool, is_flat: bool) {
        self.0.push(Scope { name, is_group, is_flat });
    }

    pub fn pop(&mut self, scopes: usize) {
        self.0.truncate(self.0.len() - scopes);
    }

    /// Where the list stands that the innermost rows are of.
    pub fn around(&self) -> Self {
        let mut around = self.clone();
        if let Some(innermost) = around.0.pop()
            && innermost.is_flat
        {
            around.0.pop();
        }
        around
    }

    pub fn depth(&self) -> usize {
        self.0.len() - 1
    }

    /// `line_items[].price`, seen from the document.
    pub fn name(&self, path: &Path) -> Result<String, &'static str> {
        let group = || {
            let found = self.0.iter().rev().find(|scope| scope.is_group).map(|scope| scope.name.clone());
            found.ok_or("there is no $group here; it is for the rules of a list with group_by")
        };
        let mut name = match &path.base {
            Base::Here => self.0.last().map(|scope| scope.name.clone()).unwrap_or_default(),
            Base::Root => String::new(),
            Base::Parent(levels) => {
                let at =
                    (self.0.len() - 1).checked_sub(*levels).ok_or("there is no $parent here; it is for the rules of a list")?;
                self.0[at].name.clone()
            }
            // What the key was made of is read where it is made.
            Base::GroupKey => return group().map(|_| "$group.key".to_owned()),
            Base::GroupRows => group()?,
            Base::Var(name) => format!("${name}"),
        };
        for step in &path.steps {
            match step {
                Step::Key(key) => {
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(key);
                }
                Step::At(_) => name.push_str("[]"),
            }
        }
        Ok(name)
    }
}

/// The row of a list of that name.
pub(super) fn row(list: &str) -> String {
    if list.ends_with("[]") { list.to_owned() } else { format!("{list}[]") }
}

#[derive(Debug, Default)]
pub(super) struct Reads(BTreeSet<String>);

impl Reads {
    /// `lines` is read with all that is below it; of `lines[]` only how many there are.
    pub fn add(&mut self, name: &str, reading: Reading) {
        self.0.insert(match reading {
            Reading::Count => row(name),
            Reading::Whole => match name.trim_end_matches("[]") {
                "" => "$root".to_owned(),
                whole => whole.to_owned(),
            },
        });
    }

    /// Of the document; sorted.
    pub fn document(&self) -> Vec<String> {
        self.0.iter().filter(|name| !name.starts_with('$') || *name == "$root").cloned().collect()
    }

    /// Of the document and of each named value.
    pub fn wanted(&self, words: &mut Words) -> (Wanted, Vec<(Arc<str>, Wanted)>) {
        let (mut document, mut vars) = (Wanted::default(), BTreeMap::<Arc<str>, Wanted>::new());
        for name in &self.0 {
            let reading_whole = !name.ends_with("[]");
            let mut keys: Vec<Arc<str>> = name
                .split('.')
                .map(|key| key.trim_end_matches("[]"))
                .filter(|key| !key.is_empty())
                .map(|key| words.of(key))
                .collect();
            match name.strip_prefix('$').map(|_| keys.remove(0)) {
                None => document.add(&keys, reading_whole),
                Some(root) if &*root == "$root" => document.add(&keys, reading_whole),
                Some(var) => vars.entry(words.of(&var[1..])).or_default().add(&keys, reading_whole),
            }
        }
        (document, vars.into_iter().collect())
    }
}
