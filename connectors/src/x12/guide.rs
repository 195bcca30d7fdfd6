//! A guide says what a transaction set may hold: its segments and loops in order, how often, and what a tree calls them. It is data
//! (`connectors/x12/<set>.yaml`), read when it is first asked for and then kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use schemars::JsonSchema;
use serde::Deserialize;

use super::computed::Sum;
use super::dictionary::{Dictionary, Element, SegmentSpec};
use crate::parse::yaml;

const DICTIONARY: &str = include_str!("../../x12/dictionary.yaml");
const GUIDES: [(&str, &str); 8] = [
    ("810", include_str!("../../x12/810.yaml")),
    ("846", include_str!("../../x12/846.yaml")),
    ("850", include_str!("../../x12/850.yaml")),
    ("855", include_str!("../../x12/855.yaml")),
    ("856", include_str!("../../x12/856.yaml")),
    ("940", include_str!("../../x12/940.yaml")),
    ("945", include_str!("../../x12/945.yaml")),
    ("997", include_str!("../../x12/997.yaml")),
];
/// Where a guide says no other number for what may repeat without end.
pub(crate) const MAX: usize = 100_000;
/// Loops within loops.
const DEPTH_MAX: usize = 8;

/// Why a guide cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GuideError(String);

/// One transaction set, described.
#[derive(Debug)]
pub struct Guide {
    /// `850`
    pub set: String,
    pub title: String,
    /// The functional id of its groups (GS01): `PO`.
    pub group: String,
    pub(crate) nodes: Vec<Node>,
    pub(crate) split: Option<Split>,
    /// Sums that a received tree gets beside what the set says, by their names.
    pub(crate) computes: BTreeMap<String, Sum>,
    /// Every segment that it names anywhere.
    pub(crate) segments: BTreeSet<String>,
}

/// A list of the tree of which each entry becomes a document of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Split {
    /// A path in the tree: `shipment.orders`.
    pub list: String,
    /// What one entry is called in its document: `order`.
    pub r#as: String,
    /// Lists that stand somewhere below an entry and that its document has as one, under `computed`: `[items, packs]`.
    #[serde(default)]
    pub gather: Vec<String>,
}

/// One place of a set: a segment, a loop that begins with one, or the whole tree of HL segments.
#[derive(Debug)]
pub(crate) struct Node {
    pub name: String,
    pub spec: Arc<SegmentSpec>,
    pub kind: NodeKind,
    pub required: bool,
    pub max: usize,
    /// The element (by its index in the spec) whose code is the name by which a tree finds one of several.
    pub key: Option<usize>,
    /// Elements that count the entries of a list of the tree; `HL` counts those segments.
    pub counts: BTreeMap<String, String>,
    /// It is written even where a tree has nothing of it.
    pub is_made: bool,
}

#[derive(Debug)]
pub(crate) enum NodeKind {
    Segment,
    Loop(Vec<Node>),
    Hierarchy(Vec<Level>),
}

/// What an HL segment of one level code begins.
#[derive(Debug)]
pub(crate) struct Level {
    /// `S`, `O`, `T`, `P`, `I`
    pub code: String,
    pub name: String,
    /// The codes of what it may stand under; none: it stands alone.
    pub under: Vec<String>,
    pub max: usize,
    pub nodes: Vec<Node>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GuideFile {
    /// The version of this format: 1.
    format: u32,
    /// `850`
    set: String,
    /// What people read.
    title: String,
    /// The functional id of its groups (GS01): `PO`.
    group: String,
    /// Each entry of a list becomes a document of its own.
    #[serde(default)]
    split: Option<Split>,
    /// Sums that a received tree gets under `computed`, by their names.
    #[serde(default)]
    computes: BTreeMap<String, Sum>,
    /// In their order.
    segments: Vec<NodeFile>,
    /// What could not be checked against a document, in sentences.
    #[serde(default)]
    #[expect(dead_code, reason = "for whoever reads the file")]
    unchecked: Vec<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NodeFile {
    /// The id of a segment. One of `segment`, `loop` and `hierarchy`.
    #[serde(default)]
    segment: Option<String>,
    /// The id of the segment that a loop begins with; its elements are fields of the loop.
    #[serde(default)]
    r#loop: Option<String>,
    /// The levels of the tree that HL segments make.
    #[serde(default)]
    hierarchy: Option<Vec<LevelFile>>,
    /// What trees call it.
    #[serde(default)]
    r#as: String,
    #[serde(default)]
    required: bool,
    /// How often it may stand there; more than once makes a list.
    #[serde(default = "once")]
    max: usize,
    /// The element whose code names one of several: no list then, but fields such as `ship_to`.
    #[serde(default)]
    key: Option<String>,
    /// An element that counts the entries of a list of the tree; `HL` counts those segments.
    #[serde(default)]
    counts: BTreeMap<String, String>,
    /// Written even where a tree has nothing of it: what counts can be counted.
    #[serde(default)]
    made: bool,
    /// What stands within a loop, after the segment that it begins with.
    #[serde(default)]
    of: Vec<NodeFile>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct LevelFile {
    /// The code in HL03: `S`, `O`, `T`, `P`, `I`.
    level: String,
    /// What trees call it.
    r#as: String,
    /// The codes of what it may stand under; none: it stands alone.
    #[serde(default)]
    under: Vec<String>,
    /// How many may stand under one.
    #[serde(default = "many")]
    max: usize,
    /// What stands at this level.
    of: Vec<NodeFile>,
}

fn once() -> usize {
    1
}

fn many() -> usize {
    MAX
}

fn dictionary() -> Result<&'static Dictionary, GuideError> {
    static READ: OnceLock<Result<Dictionary, GuideError>> = OnceLock::new();
    READ.get_or_init(|| Dictionary::parse(DICTIONARY).map_err(|what| GuideError(format!("x12/dictionary.yaml: {what}"))))
        .as_ref()
        .map_err(Clone::clone)
}

impl Guide {
    /// The sets that have a guide.
    pub fn sets() -> impl Iterator<Item = &'static str> {
        GUIDES.iter().map(|(set, _)| *set)
    }

    /// The guide of a set, or what is wrong with its file; `None` where there is none. Read once for the process.
    #[must_use]
    pub fn find(set: &str) -> Option<Result<&'static Guide, GuideError>> {
        static READ: [OnceLock<Result<Guide, GuideError>>; GUIDES.len()] = [const { OnceLock::new() }; GUIDES.len()];
        let index = GUIDES.iter().position(|(known, _)| *known == set)?;
        let read = READ[index].get_or_init(|| Self::parse(GUIDES[index].1));
        Some(read.as_ref().map_err(Clone::clone))
    }

    /// A guide of one's own, of the segments that are known here.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Guide, GuideError> {
        let file: GuideFile = yaml(text).map_err(|error| GuideError(error.to_string()))?;
        if file.format != 1 {
            return Err(GuideError(format!("format is {}, but this build reads 1", file.format)));
        }
        let mut segments = BTreeSet::new();
        let nodes = nodes(file.segments, dictionary()?, &mut segments, 1);
        let nodes = nodes.map_err(|what| GuideError(format!("{}: {what}", file.set)))?;
        Ok(Guide {
            set: file.set,
            title: file.title,
            group: file.group,
            nodes,
            split: file.split,
            computes: file.computes,
            segments,
        })
    }

    /// `connectors/x12/schema.json`: the JSON Schema of guides, made from the types that read them. Editors complete and check with it.
    ///
    /// # Panics
    /// Never: a schema is JSON.
    #[must_use]
    pub fn schema() -> String {
        let schema = schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<GuideFile>();
        serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
    }

    /// Any segment that any guide may name.
    pub(crate) fn knows(segment: &str) -> bool {
        dictionary().is_ok_and(|dictionary| dictionary.segment(segment).is_some())
    }
}

fn nodes(files: Vec<NodeFile>, dictionary: &Dictionary, seen: &mut BTreeSet<String>, depth: usize) -> Result<Vec<Node>, String> {
    if depth > DEPTH_MAX {
        return Err(format!("loops are nested deeper than {DEPTH_MAX}"));
    }
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for file in files {
        let is_hierarchy = file.hierarchy.is_some();
        let id = match (&file.segment, &file.r#loop, &file.hierarchy) {
            (Some(id), None, None) | (None, Some(id), None) => id.clone(),
            (None, None, Some(_)) => "HL".to_owned(),
            _ => return Err("a place is a segment, a loop or a hierarchy".into()),
        };
        let spec = dictionary.segment(&id).ok_or_else(|| format!("the segment {id} is not in the dictionary"))?;
        seen.insert(id.clone());
        if !is_hierarchy && (file.r#as.is_empty() || !names.insert(file.r#as.clone())) {
            return Err(format!("{id}: as {:?} is empty or stands twice", file.r#as));
        }
        let key = match &file.key {
            None => None,
            Some(key) => {
                let found =
                    spec.elements.iter().position(|element| matches!(element, Element::Simple(part) if part.name == *key));
                Some(found.ok_or_else(|| format!("{id}: there is no element {key:?}"))?)
            }
        };
        let is_loop = file.r#loop.is_some();
        if !is_loop && !file.of.is_empty() {
            return Err(format!("{id}: a segment has nothing within it; a loop has"));
        }
        if let Some(name) = file.counts.keys().find(|name| spec.elements.iter().all(|element| element.name() != *name)) {
            return Err(format!("{id}: there is no element {name:?} that counts"));
        }
        let kind = match file.hierarchy {
            Some(levels) => NodeKind::Hierarchy(self::levels(levels, dictionary, seen, depth)?),
            None if is_loop => {
                // The elements of the segment that a loop begins with are fields beside what stands within it.
                let of = nodes(file.of, dictionary, seen, depth + 1)?;
                if let Some(name) = of.iter().map(|node| &node.name).find(|name| spec.elements.iter().any(|e| e.name() == *name))
                {
                    return Err(format!("{id}: {name:?} is an element of {id} and stands within its loop too"));
                }
                NodeKind::Loop(of)
            }
            None => NodeKind::Segment,
        };
        let spec = Arc::clone(spec);
        all.push(Node {
            name: file.r#as,
            spec,
            kind,
            required: file.required,
            max: file.max,
            key,
            counts: file.counts,
            is_made: file.made,
        });
    }
    Ok(all)
}

fn levels(
    files: Vec<LevelFile>,
    dictionary: &Dictionary,
    seen: &mut BTreeSet<String>,
    depth: usize,
) -> Result<Vec<Level>, String> {
    let mut all = Vec::new();
    for file in files {
        let nodes = nodes(file.of, dictionary, seen, depth + 1)?;
        if nodes.iter().any(|node| matches!(node.kind, NodeKind::Hierarchy(_))) {
            return Err(format!("level {}: a hierarchy stands once in a set", file.level));
        }
        all.push(Level { code: file.level, name: file.r#as, under: file.under, max: file.max, nodes });
    }
    let codes: BTreeSet<&String> = all.iter().map(|level| &level.code).collect();
    match all.iter().flat_map(|level| &level.under).find(|code| !codes.contains(code)) {
        Some(code) => Err(format!("there is no level {code} to stand under")),
        None => Ok(all),
    }
}
