//! The way in: the segments of a set become a tree, held against its guide. Everything that is wrong is said, up to a bound; a tree is given
//! only where nothing is, or where what is wrong is merely noted.

use std::collections::HashMap;

use domain::value::{Map, Value};

use super::dictionary::{Element, ElementSpec, Part, RelationKind, SegmentSpec};
use super::element;
use super::guide::{Guide, Node, NodeKind};
use super::hierarchy::Hierarchy;
use super::issue::{Issue, IssueCode, IssueElement};
use super::segment::Segment;
use super::separators::Separators;

/// Issues that are kept of one set: who sent it has to look at all of it after so many.
pub(crate) const ISSUES_MAX: usize = 100;

/// What a set says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// `None` where an issue forbids to take it.
    pub tree: Option<Value>,
    pub issues: Vec<Issue>,
}

/// Segments that are being read at one depth: those of the set, of one loop or of one HL.
struct Frame<'g> {
    nodes: &'g [Node],
    /// The place of the last segment, and how many stood there.
    at: usize,
    uses: usize,
    map: Map,
    /// How often a name was given already.
    names: HashMap<(usize, String), usize>,
    ends: Ends<'g>,
}

/// What becomes of a frame's map.
enum Ends<'g> {
    Set,
    Loop { node: &'g Node, key: Option<String> },
    Level(usize),
}

struct Taking<'g> {
    guide: &'g Guide,
    separators: Separators,
    release: &'g str,
    frames: Vec<Frame<'g>>,
    hierarchy: Hierarchy<'g>,
    /// Elements that count something, until all is there: what, what they say, and where.
    counts: Vec<(&'g str, String, Issue)>,
    issues: Vec<Issue>,
}

impl Guide {
    /// Reads the segments between ST and SE; `release` is the version of their group: `004010`.
    #[must_use]
    pub fn take(&self, segments: &[Segment<'_>], separators: &Separators, release: &str) -> Taken {
        let mut root = frame(&self.nodes, Ends::Set, Map::new());
        root.map.insert("set".into(), Value::Text(self.set.clone()));
        let mut taking = Taking {
            guide: self,
            separators: *separators,
            release,
            frames: vec![root],
            hierarchy: Hierarchy::default(),
            counts: Vec::new(),
            issues: Vec::new(),
        };
        for (index, segment) in segments.iter().enumerate() {
            taking.segment(segment, index + 2);
            if taking.issues.len() >= ISSUES_MAX {
                return Taken { tree: None, issues: taking.issues };
            }
        }
        let last = segments.last().map(|segment| segment.place).unwrap_or_default();
        taking.end(segments.len() + 2, last)
    }
}

fn frame<'g>(nodes: &'g [Node], ends: Ends<'g>, map: Map) -> Frame<'g> {
    Frame { nodes, at: 0, uses: 0, map, names: HashMap::new(), ends }
}

impl<'g> Taking<'g> {
    /// Finds the place of a segment, the innermost loop first, and reads it.
    fn segment(&mut self, segment: &Segment<'_>, position: usize) {
        let found = self.frames.iter().enumerate().rev().find_map(|(depth, frame)| {
            let has_room = |index: usize| {
                let node = &frame.nodes[index];
                node.spec.id == segment.id
                    && (index > frame.at || frame.uses < node.max || matches!(node.kind, NodeKind::Hierarchy(_)))
            };
            (frame.at..frame.nodes.len()).find(|index| has_room(*index)).map(|index| (depth, index))
        });
        let Some((depth, index)) = found else {
            let code = self.why_nowhere(segment.id);
            self.issues.push(issue(segment, position, code));
            return;
        };
        while self.frames.len() > depth + 1 {
            self.close(position, segment.place);
        }
        self.move_to(index, position, segment.place);
        let nodes = self.frames[depth].nodes;
        let node = &nodes[index];
        let mut map = self.fields(&node.spec, segment, position);
        for (name, counted) in &node.counts {
            if let Some(said) = map.get(name).and_then(Value::as_str) {
                let number = self.number_of(&node.spec, name);
                let element = IssueElement { number, component: None, reference: String::new(), name: name.clone() };
                let issue = Issue { element: Some(element), ..issue(segment, position, IssueCode::Count { found: 0 }) };
                self.counts.push((counted, said.to_owned(), issue));
            }
        }
        let key = node.key.and_then(|key| node.spec.elements.get(key)).map(|element| {
            let code = map.shift_remove(element.name());
            let code = code.as_ref().and_then(Value::as_str).unwrap_or("unnamed");
            let name = if let Element::Simple(part) = element { part.spec.name_of(code) } else { code };
            self.unique(depth, index, name)
        });
        match &node.kind {
            NodeKind::Segment => self.insert(node, key, map),
            NodeKind::Loop(of) => self.frames.push(frame(of, Ends::Loop { node, key }, map)),
            NodeKind::Hierarchy(levels) => match self.hierarchy.open(levels, segment, position) {
                Ok(entry) => {
                    let nodes = self.hierarchy.nodes(entry);
                    self.frames.push(frame(nodes, Ends::Level(entry), Map::new()));
                }
                Err(issue) => self.issues.push(issue),
            },
        }
    }

    fn why_nowhere(&self, id: &str) -> IssueCode {
        if !self.guide.segments.contains(id) {
            return if Guide::knows(id) { IssueCode::NotInSet } else { IssueCode::UnknownSegment };
        }
        let here = |frame: &Frame<'g>| frame.nodes.get(frame.at).filter(|node| node.spec.id == id);
        match self.frames.iter().rev().find_map(here) {
            Some(Node { kind: NodeKind::Loop(_), max, .. }) => IssueCode::LoopTooOften { max: *max },
            Some(node) => IssueCode::SegmentTooOften { max: node.max },
            None => IssueCode::OutOfOrder,
        }
    }

    /// Goes on to a place of the innermost frame; what had to stand before it is missing.
    fn move_to(&mut self, index: usize, position: usize, place: super::segment::Place) {
        let Some(frame) = self.frames.last_mut() else { return };
        if index > frame.at {
            let (at, uses) = (frame.at, frame.uses);
            (frame.at, frame.uses) = (index, 0);
            let skipped = &frame.nodes[at..index];
            for (offset, node) in skipped.iter().enumerate() {
                if node.required && (offset > 0 || uses == 0) {
                    self.issues.push(missing(node, position, place));
                }
            }
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.uses += 1;
        }
    }

    /// Ends the innermost loop or level.
    fn close(&mut self, position: usize, place: super::segment::Place) {
        let Some(frame) = self.frames.pop() else { return };
        for (index, node) in frame.nodes.iter().enumerate().skip(frame.at) {
            if node.required && (index > frame.at || frame.uses == 0) {
                self.issues.push(missing(node, position, place));
            }
        }
        match frame.ends {
            Ends::Set => self.frames.push(Frame { at: frame.nodes.len(), ..frame }),
            Ends::Loop { node, key } => self.insert(node, key, frame.map),
            Ends::Level(entry) => self.hierarchy.fill(entry, frame.map),
        }
    }

    /// Puts what was read into the innermost frame.
    fn insert(&mut self, node: &Node, key: Option<String>, map: Map) {
        let Some(frame) = self.frames.last_mut() else { return };
        match key {
            Some(key) => {
                let named = frame.map.entry(node.name.clone()).or_insert_with(|| Value::Map(Map::new()));
                if let Value::Map(named) = named {
                    named.insert(key, Value::Map(map));
                }
            }
            None if node.max > 1 => {
                let list = frame.map.entry(node.name.clone()).or_insert_with(|| Value::List(Vec::new()));
                if let Value::List(list) = list {
                    list.push(Value::Map(map));
                }
            }
            None => {
                frame.map.insert(node.name.clone(), Value::Map(map));
            }
        }
    }

    /// `ship_to`, and `ship_to_2` for a second one.
    fn unique(&mut self, depth: usize, index: usize, name: &str) -> String {
        let count = self.frames[depth].names.entry((index, name.to_owned())).or_default();
        *count += 1;
        if *count == 1 { name.to_owned() } else { format!("{name}_{count}") }
    }

    fn number_of(&self, spec: &SegmentSpec, name: &str) -> usize {
        let before = spec.elements.iter().take_while(|element| element.name() != name).map(Element::width);
        before.sum::<usize>() + 1
    }

    fn end(mut self, position: usize, place: super::segment::Place) -> Taken {
        while self.frames.len() > 1 {
            self.close(position, place);
        }
        self.close(position, place);
        let count = self.hierarchy.count();
        let (tops, issues) = self.hierarchy.assemble();
        self.issues.extend(issues);
        let mut root = self.frames.pop().map(|frame| frame.map).unwrap_or_default();
        root.extend(tops);
        let tree = Value::Map(root);
        for (counted, said, issue) in self.counts {
            let list = || tree.at(counted).and_then(Value::as_list).map_or(0, <[Value]>::len);
            let found = if counted == "HL" { count } else { list() };
            if said.parse() != Ok(found) {
                self.issues.push(Issue { code: IssueCode::Count { found }, value: Some(said), ..issue });
            }
        }
        self.issues.truncate(ISSUES_MAX);
        let is_taken = self.issues.iter().all(|issue| issue.code.is_noted());
        Taken { tree: is_taken.then_some(tree), issues: self.issues }
    }

    fn fields(&mut self, spec: &SegmentSpec, segment: &Segment<'_>, position: usize) -> Map {
        let (mut map, mut number) = (Map::new(), 0);
        for element in &spec.elements {
            let found = match element {
                Element::Simple(part) => self.simple(segment, position, number + 1, part).map(Value::Text),
                Element::Composite { required, parts, number: reference, name } => {
                    let whose = (reference.as_str(), name.as_str());
                    self.composite(segment, position, number + 1, (*required, parts, whose))
                }
                Element::Pairs { name, key, value, count } => self.pairs(segment, position, number, (name, key, value, *count)),
            };
            if let Some(found) = found {
                map.insert(element.name().to_owned(), found);
            }
            number += element.width();
        }
        if segment.is_too_long || segment.elements.iter().skip(number).any(|element| !element.is_empty()) {
            self.element_issue(segment, position, (number + 1, None, "", ""), IssueCode::TooManyElements);
        }
        self.relations(spec, segment, position);
        map
    }

    fn relations(&mut self, spec: &SegmentSpec, segment: &Segment<'_>, position: usize) {
        let is_there = |number: &&usize| !segment.element(**number).is_empty() || segment.not_text == Some(**number);
        for rule in &spec.rules {
            let there = rule.numbers.iter().filter(is_there).count();
            let is_first = is_there(&&rule.numbers[0]);
            let first_missing = rule.numbers.iter().find(|number| !is_there(number)).copied().unwrap_or_default();
            let broken = match rule.kind {
                RelationKind::Paired if there > 0 && there < rule.numbers.len() => Some(first_missing),
                RelationKind::Required if there == 0 => Some(first_missing),
                RelationKind::Conditional if is_first && there < rule.numbers.len() => Some(first_missing),
                RelationKind::List if is_first && there == 1 => Some(first_missing),
                RelationKind::Exclusive if there > 1 => {
                    let second = rule.numbers.iter().filter(is_there).nth(1).copied().unwrap_or_default();
                    self.element_issue(segment, position, (second, None, "", ""), IssueCode::Excluded { rule: rule.to_string() });
                    None
                }
                _ => None,
            };
            if let Some(number) = broken {
                self.element_issue(
                    segment,
                    position,
                    (number, None, "", ""),
                    IssueCode::MissingBeside { rule: rule.to_string() },
                );
            }
        }
    }

    fn simple(&mut self, segment: &Segment<'_>, position: usize, number: usize, part: &Part) -> Option<String> {
        let raw = segment.element(number);
        let whose = (number, None, part.spec.number.as_str(), part.name.as_str());
        if segment.not_text == Some(number) {
            self.element_issue(segment, position, whose, IssueCode::BadCharacter);
            return None;
        }
        if raw.contains(char::from(self.separators.component)) {
            self.element_issue(segment, position, whose, IssueCode::TooManyComponents);
            return None;
        }
        self.value(segment, position, whose, (&part.spec, part.required, raw))
    }

    /// One value, of an element or of a component.
    fn value(
        &mut self,
        segment: &Segment<'_>,
        position: usize,
        whose: Whose<'_>,
        (spec, required, raw): (&ElementSpec, bool, &str),
    ) -> Option<String> {
        if raw.is_empty() {
            if required {
                self.element_issue(segment, position, whose, IssueCode::Missing);
            }
            return None;
        }
        if self.separators.repetition.is_some_and(|byte| raw.contains(char::from(byte))) {
            self.element_issue(segment, position, whose, IssueCode::Repeated);
            return None;
        }
        match element::read(spec, raw, self.release) {
            Ok(text) => Some(text),
            Err(code) => {
                self.element_issue(segment, position, whose, code);
                None
            }
        }
    }

    fn composite(
        &mut self,
        segment: &Segment<'_>,
        position: usize,
        number: usize,
        (required, parts, (reference, name)): (bool, &[Part], (&str, &str)),
    ) -> Option<Value> {
        let raw = segment.element(number);
        let whole = (number, None, reference, name);
        if segment.not_text == Some(number) {
            self.element_issue(segment, position, whole, IssueCode::BadCharacter);
            return None;
        }
        if raw.is_empty() {
            if required {
                self.element_issue(segment, position, whole, IssueCode::Missing);
            }
            return None;
        }
        let mut components = raw.split(char::from(self.separators.component));
        let mut map = Map::new();
        for (index, part) in parts.iter().enumerate() {
            let raw = components.next().unwrap_or_default();
            let whose = (number, Some(index + 1), part.spec.number.as_str(), part.name.as_str());
            if let Some(text) = self.value(segment, position, whose, (&part.spec, part.required, raw)) {
                map.insert(part.name.clone(), Value::Text(text));
            }
        }
        if components.any(|rest| !rest.is_empty()) {
            self.element_issue(segment, position, whole, IssueCode::TooManyComponents);
        }
        Some(Value::Map(map))
    }

    fn pairs(
        &mut self,
        segment: &Segment<'_>,
        position: usize,
        before: usize,
        (name, key, value, count): (&str, &std::sync::Arc<ElementSpec>, &std::sync::Arc<ElementSpec>, usize),
    ) -> Option<Value> {
        let mut map = Map::new();
        for index in 0..count {
            let number = before + 1 + index * 2;
            let part = |spec: &std::sync::Arc<ElementSpec>| Part {
                name: name.to_owned(),
                spec: std::sync::Arc::clone(spec),
                required: false,
            };
            let found =
                (self.simple(segment, position, number, &part(key)), self.simple(segment, position, number + 1, &part(value)));
            let is_there = (!segment.element(number).is_empty(), !segment.element(number + 1).is_empty());
            if is_there.0 != is_there.1 && segment.not_text.is_none() {
                let missing = if is_there.0 { number + 1 } else { number };
                let rule = format!("P{number:02}{:02}", number + 1);
                self.element_issue(segment, position, (missing, None, "", name), IssueCode::MissingBeside { rule });
            }
            if let (Some(code), Some(text)) = found {
                let name = key.name_of(&code);
                let taken = (2..).map(|count| format!("{name}_{count}"));
                let name = std::iter::once(name.to_owned()).chain(taken).find(|name| !map.contains_key(name));
                map.extend(name.map(|name| (name, Value::Text(text))));
            }
        }
        (!map.is_empty()).then_some(Value::Map(map))
    }

    fn element_issue(
        &mut self,
        segment: &Segment<'_>,
        position: usize,
        (number, component, reference, name): Whose<'_>,
        code: IssueCode,
    ) {
        let shown = Some(segment.element(number)).filter(|value| !value.is_empty()).map(str::to_owned);
        let element = IssueElement { number, component, reference: reference.to_owned(), name: name.to_owned() };
        self.issues.push(Issue { element: Some(element), value: shown, ..issue(segment, position, code) });
    }
}

/// Number, component, the standard's number of the element, and what trees call it.
type Whose<'a> = (usize, Option<usize>, &'a str, &'a str);

pub(super) fn issue(segment: &Segment<'_>, position: usize, code: IssueCode) -> Issue {
    Issue { segment: segment.id.to_owned(), position, place: segment.place, element: None, code, value: None }
}

fn missing(node: &Node, position: usize, place: super::segment::Place) -> Issue {
    Issue { segment: node.spec.id.clone(), position, place, element: None, code: IssueCode::SegmentMissing, value: None }
}
