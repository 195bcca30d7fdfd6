//! The way in: the segments of a set become a tree, held against its guide. Everything that is wrong is said, up to a bound; a tree is given
//! only where nothing is, or where what is wrong is merely noted.

use std::collections::HashMap;

use domain::value::{Map, Value};

use super::dictionary::{Element, SegmentSpec};
use super::guide::{Guide, Node, NodeKind};
use super::hierarchy::Hierarchy;
use super::issue::{Issue, IssueCode, IssueElement};
use super::segment::{Place, Segment};
use super::separators::Separators;

/// The name of one of several that has no code to be named by.
pub(crate) const UNNAMED: &str = "unnamed";
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

pub(super) struct Taking<'g> {
    guide: &'g Guide,
    pub(super) separators: Separators,
    pub(super) release: &'g str,
    frames: Vec<Frame<'g>>,
    hierarchy: Hierarchy<'g>,
    /// Elements that count something, until all is there: what, what they say, and where.
    counts: Vec<(&'g str, String, Issue)>,
    pub(super) issues: Vec<Issue>,
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
            let code = code.as_ref().and_then(Value::as_str).unwrap_or(UNNAMED);
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
    fn move_to(&mut self, index: usize, position: usize, place: Place) {
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
    fn close(&mut self, position: usize, place: Place) {
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

    fn end(mut self, position: usize, place: Place) -> Taken {
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
}

pub(super) fn issue(segment: &Segment<'_>, position: usize, code: IssueCode) -> Issue {
    Issue { segment: segment.id.to_owned(), position, place: segment.place, element: None, code, value: None }
}

fn missing(node: &Node, position: usize, place: Place) -> Issue {
    Issue { segment: node.spec.id.clone(), position, place, element: None, code: IssueCode::SegmentMissing, value: None }
}
