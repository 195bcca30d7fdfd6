//! The HL segments of a set: each names the one that it stands under, so that a flat list is a tree. It is put together without recursion,
//! from the last entry to the first: a parent always stands before its children.

use std::collections::HashMap;

use domain::value::{Map, Value};

use super::guide::{Level, Node};
use super::issue::{Issue, IssueCode, IssueElement};
use super::segment::Segment;
use super::take::issue;

/// Shipment, order, tare, pack and item are five; packs within packs are seldom more than two.
pub(crate) const DEPTH_MAX: usize = 8;

#[derive(Default)]
pub(super) struct Hierarchy<'g> {
    entries: Vec<Entry<'g>>,
    by_id: HashMap<String, usize>,
    tops: Vec<usize>,
}

struct Entry<'g> {
    level: &'g Level,
    depth: usize,
    children: Vec<usize>,
    /// How many stand under it, by level.
    counts: HashMap<&'g str, usize>,
    /// Whether HL04 says that something stands under it, and where it says so.
    says_child: Option<(bool, Issue)>,
    map: Map,
}

impl<'g> Hierarchy<'g> {
    /// An HL segment begins an entry.
    pub fn open(&mut self, levels: &'g [Level], segment: &Segment<'_>, position: usize) -> Result<usize, Issue> {
        let fail = |number: usize, name: &str, code| {
            let value = Some(segment.element(number)).filter(|value| !value.is_empty()).map(str::to_owned);
            let reference = ["628", "734", "735", "736"][number - 1].to_owned();
            let element = IssueElement { number, component: None, reference, name: name.to_owned() };
            Issue { element: Some(element), value, ..issue(segment, position, code) }
        };
        let [id, parent, code, child] = [1, 2, 3, 4].map(|number| segment.element(number));
        let Some(level) = levels.iter().find(|level| level.code == code) else {
            return Err(fail(3, "level", IssueCode::BadCode));
        };
        let index = self.entries.len();
        if self.by_id.contains_key(id) {
            return Err(fail(1, "id", IssueCode::BadCode));
        }
        let no_parent = || fail(2, "parent", IssueCode::NoParent);
        let depth = if parent.is_empty() {
            if !level.under.is_empty() {
                return Err(no_parent());
            }
            1
        } else {
            let parent = *self.by_id.get(parent).ok_or_else(no_parent)?;
            let above = self.entries.get_mut(parent).ok_or_else(no_parent)?;
            if !level.under.contains(&above.level.code) || above.depth == DEPTH_MAX {
                return Err(no_parent());
            }
            let count = above.counts.entry(level.code.as_str()).or_default();
            *count += 1;
            if *count > level.max {
                return Err(issue(segment, position, IssueCode::LoopTooOften { max: level.max }));
            }
            above.children.push(index);
            above.depth + 1
        };
        if depth == 1 {
            let before = self.tops.iter().filter(|top| self.entries[**top].level.code == level.code).count();
            if before == level.max {
                return Err(issue(segment, position, IssueCode::LoopTooOften { max: level.max }));
            }
            self.tops.push(index);
        }
        self.by_id.insert(id.to_owned(), index);
        let says_child = Some(child).filter(|child| !child.is_empty());
        let says_child = says_child.map(|child| (child == "1", fail(4, "has_children", IssueCode::ChildFlag)));
        self.entries.push(Entry { level, depth, children: Vec::new(), counts: HashMap::new(), says_child, map: Map::new() });
        Ok(index)
    }

    pub fn nodes(&self, entry: usize) -> &'g [Node] {
        &self.entries[entry].level.nodes
    }

    pub fn fill(&mut self, entry: usize, map: Map) {
        self.entries[entry].map = map;
    }

    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// The entries that stand alone, each with all below it, and what HL04 says wrongly.
    pub fn assemble(&mut self) -> (Map, Vec<Issue>) {
        let (mut tops, mut issues) = (Map::new(), Vec::new());
        for index in (0..self.entries.len()).rev() {
            let children = std::mem::take(&mut self.entries[index].children);
            let mut map = std::mem::take(&mut self.entries[index].map);
            if let Some((says, issue)) = self.entries[index].says_child.take()
                && says == children.is_empty()
            {
                issues.push(issue);
            }
            for child in children {
                let child = &mut self.entries[child];
                put(&mut map, child.level, std::mem::take(&mut child.map));
            }
            self.entries[index].map = map;
        }
        for top in std::mem::take(&mut self.tops) {
            let entry = &mut self.entries[top];
            put(&mut tops, entry.level, std::mem::take(&mut entry.map));
        }
        issues.reverse();
        (tops, issues)
    }
}

fn put(into: &mut Map, level: &Level, map: Map) {
    if level.max == 1 {
        into.insert(level.name.clone(), Value::Map(map));
    } else if let Value::List(list) = into.entry(level.name.clone()).or_insert_with(|| Value::List(Vec::new())) {
        list.push(Value::Map(map));
    }
}
