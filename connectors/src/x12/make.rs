//! The way out: a tree becomes the segments of a set, by the same guide. What does not fit is refused with the field that it stands in; nothing
//! is cut off, rounded or replaced, because the partner would take it for what was meant.

use std::fmt;

use domain::value::{Map, Value};

use super::dictionary::{Element, ElementSpec, Part, RelationKind, SegmentSpec};
use super::element;
use super::guide::{Guide, Level, Node, NodeKind};
use super::hierarchy::DEPTH_MAX;
use super::separators::Separators;
use super::take::{ISSUES_MAX, UNNAMED};
use crate::parse::nearest;

/// A longer name is no misspelt one.
const NAME_BYTES_MAX: usize = 60;

/// A segment whose elements are written: `["PO1", "1", "12", …]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MadeSegment(pub Vec<String>);

/// One field of a tree that cannot be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MakeIssue {
    /// `lines[2].unit_price`
    pub path: String,
    pub what: String,
}

/// All that is wrong with a tree, at most 100 issues.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct MakeError(pub Vec<MakeIssue>);

impl fmt::Display for MakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(|issue| format!("{} {}", issue.path, issue.what)).collect();
        f.write_str(&all.join("; "))
    }
}

struct Making<'g> {
    separators: &'g Separators,
    release: &'g str,
    tree: &'g Value,
    segments: Vec<MadeSegment>,
    hl: usize,
    issues: Vec<MakeIssue>,
}

impl Guide {
    /// The segments between ST and SE. A field that is null, empty text or an empty list is not there. Numbers of HL segments and, where
    /// a segment is there and does not give them, totals that count are made here. `release` is the version of their group: `004010`.
    ///
    /// # Errors
    /// Everything in the tree that cannot be written.
    pub fn make(&self, tree: &Value, separators: &Separators, release: &str) -> Result<Vec<MadeSegment>, MakeError> {
        let mut making = Making { separators, release, tree, segments: Vec::new(), hl: 0, issues: Vec::new() };
        match tree.as_map() {
            Some(map) => {
                let said = map.get("set").and_then(Value::as_str);
                if said.is_some_and(|said| said != self.set) {
                    making.refuse("set", format!("is {:?}, but this is the guide of {}", said.unwrap_or_default(), self.set));
                }
                making.nodes(&self.nodes, map, &[], &["set", "envelope", "computed"], "");
            }
            None => making.refuse("", "is no document".into()),
        }
        if making.issues.is_empty() { Ok(making.segments) } else { Err(MakeError(making.issues)) }
    }
}

/// Null, an empty text, an empty list and an empty object say nothing.
fn says_something(value: &&Value) -> bool {
    match value {
        Value::Null => false,
        Value::Text(text) => !text.is_empty(),
        Value::List(list) => list.iter().any(|value| says_something(&value)),
        Value::Map(map) => map.values().any(|value| says_something(&value)),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

fn below(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

impl<'g> Making<'g> {
    fn refuse(&mut self, path: &str, what: String) {
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(MakeIssue { path: path.to_owned(), what });
        }
    }

    /// What a map has and nobody asks for would be lost.
    fn check_names<'n>(&mut self, map: &Map, known: impl Iterator<Item = &'n str> + Clone, path: &str) {
        for (name, value) in map {
            if self.issues.len() < ISSUES_MAX && says_something(&value) && !known.clone().any(|known| known == name) {
                let near = Some(name).filter(|name| name.len() <= NAME_BYTES_MAX).and_then(|name| nearest(name, known.clone()));
                let hint = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                self.refuse(&below(path, name), format!("is no field that the guide has{hint}"));
            }
        }
    }

    /// The places of a set, of a loop (whose first segment has fields of its own beside them) or of a level.
    fn nodes(&mut self, nodes: &'g [Node], map: &Map, head: &[Element], others: &[&str], path: &str) {
        let levels =
            nodes.iter().filter_map(|node| if let NodeKind::Hierarchy(levels) = &node.kind { Some(levels) } else { None });
        let names = nodes.iter().map(|node| node.name.as_str()).filter(|name| !name.is_empty());
        let names = names.chain(levels.flatten().filter(|level| level.under.is_empty()).map(|level| level.name.as_str()));
        let known: Vec<&str> = names.chain(head.iter().map(Element::name)).chain(others.iter().copied()).collect();
        self.check_names(map, known.iter().copied(), path);
        for node in nodes {
            if let NodeKind::Hierarchy(levels) = &node.kind {
                let before = self.hl;
                self.levels(levels, None, map, path, 1);
                if node.required && self.hl == before {
                    self.refuse(path, "needs an HL segment: a shipment".into());
                }
                continue;
            }
            let at = below(path, &node.name);
            let given = map.get(&node.name).filter(says_something);
            let mut count = 0;
            match (given, node.key) {
                (None, _) if !node.is_made => {}
                (None, _) => {
                    self.one(node, &Map::new(), None, &at);
                    count = 1;
                }
                (Some(Value::Map(named)), Some(key)) => {
                    for (name, value) in named.iter().filter(|(_, value)| says_something(value) || value.as_map().is_some()) {
                        let at = below(&at, name);
                        match value.as_map() {
                            Some(value) => self.one(node, value, Some((key, name)), &at),
                            None => self.refuse(&at, "must have fields of its own".into()),
                        }
                        count += 1;
                    }
                }
                (Some(Value::List(list)), None) if node.max > 1 => {
                    for (index, value) in list.iter().enumerate() {
                        let at = format!("{at}[{index}]");
                        match value.as_map() {
                            Some(value) => self.one(node, value, None, &at),
                            None => self.refuse(&at, "must have fields of its own".into()),
                        }
                        count += 1;
                    }
                }
                (Some(Value::Map(value)), None) if node.max == 1 => {
                    self.one(node, value, None, &at);
                    count = 1;
                }
                (Some(_), _) => {
                    let shape = if node.max > 1 && node.key.is_none() { "must be a list" } else { "must have fields of its own" };
                    self.refuse(&at, shape.into());
                    count = 1;
                }
            }
            if node.required && count == 0 {
                self.refuse(&at, format!("is missing: the segment {} must be there", node.spec.id));
            }
            if count > node.max {
                self.refuse(&at, format!("is there {count} times, but may be {}", node.max));
            }
        }
    }

    fn one(&mut self, node: &'g Node, map: &Map, key: Option<(usize, &str)>, path: &str) {
        let loop_of: &[Node] = if let NodeKind::Loop(of) = &node.kind { of } else { &[] };
        let mut map = std::borrow::Cow::Borrowed(map);
        for (name, counted) in &node.counts {
            if map.get(name).filter(says_something).is_none() {
                let list = || self.tree.at(counted).and_then(Value::as_list).map_or(0, <[Value]>::len);
                let count = if counted == "HL" { self.hl } else { list() };
                map.to_mut().insert(name.clone(), Value::Text(count.to_string()));
            }
        }
        if let Some((key, name)) = key.filter(|(_, name)| first_of(name) != UNNAMED)
            && let Some(Element::Simple(part)) = node.spec.elements.get(key)
        {
            map.to_mut().insert(part.name.clone(), Value::Text(part.spec.code_of(first_of(name)).to_owned()));
        }
        self.segment(&node.spec, &map, path);
        if matches!(node.kind, NodeKind::Loop(_)) {
            self.nodes(loop_of, &map, &node.spec.elements, &[], path);
        } else {
            self.check_names(&map, node.spec.elements.iter().map(Element::name), path);
        }
    }

    /// What stands under one level, in the order of the guide; numbered as it is written.
    fn levels(&mut self, levels: &'g [Level], above: Option<(&str, usize)>, map: &Map, path: &str, depth: usize) {
        let fits =
            |level: &&Level| above.map_or(level.under.is_empty(), |(code, _)| level.under.iter().any(|under| under == code));
        for level in levels.iter().filter(fits) {
            let Some(given) = map.get(&level.name).filter(says_something) else { continue };
            let at = below(path, &level.name);
            let (entries, is_list) = match given {
                Value::List(list) => (list.as_slice(), true),
                one => (std::slice::from_ref(one), false),
            };
            if is_list != (level.max > 1) || entries.len() > level.max || depth > DEPTH_MAX {
                self.refuse(&at, if level.max > 1 { "must be a list" } else { "may be there once" }.into());
                continue;
            }
            for (index, entry) in entries.iter().enumerate() {
                let at = if is_list { format!("{at}[{index}]") } else { at.clone() };
                let Some(entry) = entry.as_map() else {
                    self.refuse(&at, "must have fields of its own".into());
                    continue;
                };
                self.hl += 1;
                let number = self.hl;
                let children = levels.iter().filter(|child| child.under.contains(&level.code)).map(|child| child.name.as_str());
                let has_child = children.clone().any(|name| entry.get(name).filter(says_something).is_some());
                let parent = above.map(|(_, number)| number.to_string()).unwrap_or_default();
                let child = if has_child { "1" } else { "0" };
                let hl = ["HL", &number.to_string(), &parent, &level.code, child].map(str::to_owned);
                self.segments.push(MadeSegment(hl.to_vec()));
                let children: Vec<&str> = children.collect();
                self.nodes(&level.nodes, entry, &[], &children, &at);
                self.levels(levels, Some((&level.code, number)), entry, &at, depth + 1);
            }
        }
    }

    fn segment(&mut self, spec: &SegmentSpec, map: &Map, path: &str) {
        let mut written = vec![spec.id.clone()];
        for element in &spec.elements {
            let at = below(path, element.name());
            let given = map.get(element.name()).filter(says_something);
            match element {
                Element::Simple(part) => written.push(self.simple(part, given, &at)),
                Element::Composite { parts, required, .. } => written.push(self.composite(parts, *required, given, &at)),
                Element::Pairs { key, value, count, .. } => self.pairs((key, value, *count), given, &at, &mut written),
            }
        }
        self.relations(spec, &written, path);
        while written.len() > 1 && written.last().is_some_and(String::is_empty) {
            written.pop();
        }
        self.segments.push(MadeSegment(written));
    }

    fn relations(&mut self, spec: &SegmentSpec, written: &[String], path: &str) {
        for rule in &spec.rules {
            let is_there = |number: &&usize| written.get(**number).is_some_and(|text| !text.is_empty());
            let there = rule.numbers.iter().filter(is_there).count();
            let (all, is_first) = (rule.numbers.len(), is_there(&&rule.numbers[0]));
            let need = match rule.kind {
                RelationKind::Paired if there > 0 && there < all => "need each other",
                RelationKind::Required if there == 0 => "are missing: one of them must be there",
                RelationKind::Conditional if is_first && there < all => "must be there beside the first of them",
                RelationKind::List if is_first && there == 1 => "are missing: one must be there beside the first of them",
                RelationKind::Exclusive if there > 1 => "exclude each other",
                _ => continue,
            };
            let places = rule.numbers.iter().map(|number| spec.at(*number).map_or("", |(_, name)| name)).collect::<Vec<_>>();
            self.refuse(path, format!("({}): {} {need}", spec.id, places.join(", ")));
        }
    }

    fn simple(&mut self, part: &Part, given: Option<&Value>, path: &str) -> String {
        match given {
            Some(value) => self.value(&part.spec, value, path),
            None => {
                if part.required {
                    self.refuse(path, format!("is missing (element {})", part.spec.number));
                }
                String::new()
            }
        }
    }

    fn value(&mut self, spec: &ElementSpec, value: &Value, path: &str) -> String {
        let text = match value {
            Value::Text(text) => text.as_str(),
            Value::Number(number) => number.as_str(),
            _ => {
                self.refuse(path, "must be text or a number".into());
                return String::new();
            }
        };
        if let Some((character, role)) = text.chars().find_map(|c| Some((c, self.separators.role(c)?))) {
            let what = format!(
                "{text:?} has {character:?} in it, which is the {role} and cannot be escaped: replace it in the mapping, or agree on other \
                 separators with the partner"
            );
            self.refuse(path, what);
            return String::new();
        }
        element::write(spec, text, self.release).unwrap_or_else(|code| {
            self.refuse(path, format!("{text:?} {code} (element {})", spec.number));
            String::new()
        })
    }

    fn composite(&mut self, parts: &[Part], required: bool, given: Option<&Value>, path: &str) -> String {
        let Some(given) = given else {
            if required {
                self.refuse(path, "is missing".into());
            }
            return String::new();
        };
        let Some(map) = given.as_map() else {
            self.refuse(path, "must have fields of its own".into());
            return String::new();
        };
        self.check_names(map, parts.iter().map(|part| part.name.as_str()), path);
        let written = parts.iter().map(|part| {
            let at = below(path, &part.name);
            self.simple(part, map.get(&part.name).filter(says_something), &at)
        });
        let written: Vec<String> = written.collect();
        let separator = char::from(self.separators.component);
        let written = written.join(&separator.to_string());
        written.trim_end_matches(separator).to_owned()
    }

    fn pairs(
        &mut self,
        (key, value, count): (&ElementSpec, &ElementSpec, usize),
        given: Option<&Value>,
        path: &str,
        written: &mut Vec<String>,
    ) {
        let end = written.len() + count * 2;
        match given {
            Some(Value::Map(map)) => {
                let pairs: Vec<(&String, &Value)> = map.iter().filter(|(_, value)| says_something(value)).collect();
                if pairs.len() > count {
                    self.refuse(path, format!("has {} entries, but may have {count}", pairs.len()));
                }
                for (name, given) in pairs.into_iter().take(count) {
                    let (at, code) = (below(path, name), key.code_of(first_of(name)).to_owned());
                    written.push(self.value(key, &Value::Text(code), &at));
                    written.push(self.value(value, given, &at));
                }
            }
            Some(_) => self.refuse(path, "must have fields of its own".into()),
            None => {}
        }
        written.resize(end, String::new());
    }
}

/// `ship_to_2` is a second `ship_to`.
fn first_of(name: &str) -> &str {
    match name.rsplit_once('_') {
        Some((first, count)) if !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit()) => first,
        _ => name,
    }
}
