//! An interchange whose envelope is whole is held against the guides, set by set: a bad set does not stop its neighbours.

use domain::value::{Map, Value};

use super::computed::computed;
use super::envelope::{GroupHeader, InterchangeHeader};
use super::flaw::{GroupFlaw, SetFlaw};
use super::guide::Guide;
use super::interchange::{Group, Interchange, TransactionSet};
use super::issue::Issue;
use super::segment::Place;
use super::take::Taken;

/// What becomes of a set or a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    /// It is taken, and the sender is told what was seen.
    Noted,
    /// Some sets of the group are taken.
    Partly,
    Rejected,
}

impl Outcome {
    /// AK501 and AK901.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Accepted => "A",
            Self::Noted => "E",
            Self::Partly => "P",
            Self::Rejected => "R",
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedGroup {
    pub header: GroupHeader,
    pub flaws: Vec<GroupFlaw>,
    /// How many sets the sender says there are.
    pub included: usize,
    pub sets: Vec<ReceivedSet>,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedSet {
    /// `850`
    pub id: String,
    pub control_number: String,
    pub implementation: Option<String>,
    pub place: Place,
    pub flaws: Vec<SetFlaw>,
    pub issues: Vec<Issue>,
    /// What the set says, for mappings; `None` where it is not taken. It has its envelope beside it, under `envelope`, and the sums
    /// that its guide names, under `computed`.
    pub tree: Option<Value>,
    pub outcome: Outcome,
}

impl ReceivedSet {
    /// Why it is not taken, or what was noted, in plain words.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        self.flaws.iter().map(ToString::to_string).chain(self.issues.iter().map(ToString::to_string)).collect()
    }
}

/// Reads every set of an interchange. A group with a flaw is rejected as a whole: what it should have held is not known.
#[must_use]
pub fn receive(interchange: &Interchange<'_>) -> Vec<ReceivedGroup> {
    receive_only(interchange, &|_| true)
}

/// As [`receive`], of a receiver that takes these sets and no others, whatever guides there are.
#[must_use]
pub fn receive_only(interchange: &Interchange<'_>, takes: &dyn Fn(&str) -> bool) -> Vec<ReceivedGroup> {
    interchange.groups.iter().map(|group| receive_group(interchange, group, takes)).collect()
}

fn receive_group(interchange: &Interchange<'_>, group: &Group<'_>, takes: &dyn Fn(&str) -> bool) -> ReceivedGroup {
    let is_whole = group.flaws.is_empty();
    let receive = |set: &TransactionSet<'_>| {
        let guide = Guide::find(set.id).and_then(Result::ok).filter(|_| takes(set.id));
        receive_set(guide, interchange, group, set)
    };
    let mut sets: Vec<ReceivedSet> = group.sets.iter().map(receive).collect();
    if !is_whole {
        for set in &mut sets {
            (set.tree, set.outcome) = (None, Outcome::Rejected);
        }
    }
    let count = |outcome| sets.iter().filter(|set| set.outcome == outcome).count();
    let (rejected, noted) = (count(Outcome::Rejected), count(Outcome::Noted));
    let outcome = match () {
        () if !is_whole || (rejected == sets.len() && !sets.is_empty()) => Outcome::Rejected,
        () if rejected > 0 => Outcome::Partly,
        () if noted > 0 => Outcome::Noted,
        () => Outcome::Accepted,
    };
    ReceivedGroup { header: group.header.clone(), flaws: group.flaws.clone(), included: group.included, sets, outcome }
}

fn receive_set(guide: Option<&Guide>, interchange: &Interchange<'_>, group: &Group<'_>, set: &TransactionSet<'_>) -> ReceivedSet {
    let (separators, header) = (&interchange.separators, &interchange.header);
    let mut flaws = set.flaws.clone();
    let taken = match guide {
        Some(guide) => {
            if guide.group != group.header.functional_id {
                flaws.push(SetFlaw::Group { set: set.id.to_owned(), group: group.header.functional_id.clone() });
            }
            let mut taken = guide.take(&set.segments, separators, group.header.release());
            let sums = taken.tree.as_ref().and_then(|tree| computed(guide.computes.iter(), tree));
            if let (Some(Value::Map(map)), Some(sums)) = (&mut taken.tree, sums) {
                map.insert("computed".into(), Value::Map(sums));
            }
            taken
        }
        None => {
            flaws.push(SetFlaw::NotSupported(set.id.to_owned()));
            Taken { tree: None, issues: Vec::new() }
        }
    };
    let tree = taken.tree.filter(|_| flaws.is_empty()).map(|tree| with_envelope(tree, header, group, set));
    let outcome = match &tree {
        None => Outcome::Rejected,
        Some(_) if taken.issues.is_empty() => Outcome::Accepted,
        Some(_) => Outcome::Noted,
    };
    ReceivedSet {
        id: set.id.to_owned(),
        control_number: set.control_number.to_owned(),
        implementation: set.implementation.map(str::to_owned),
        place: set.place,
        flaws,
        issues: taken.issues,
        tree,
        outcome,
    }
}

/// Mappings may want to know who sent it, and a person which interchange it came in.
fn with_envelope(tree: Value, header: &InterchangeHeader, group: &Group<'_>, set: &TransactionSet<'_>) -> Value {
    let Value::Map(mut map) = tree else { return tree };
    let text = |text: &str| Value::Text(text.to_owned());
    let number = group.header.control_number.map(|number| number.to_string()).unwrap_or_default();
    let envelope = [
        ("sender_qualifier", text(&header.sender.qualifier)),
        ("sender", text(&header.sender.id)),
        ("receiver_qualifier", text(&header.receiver.qualifier)),
        ("receiver", text(&header.receiver.id)),
        ("interchange", text(&header.control_number.to_string())),
        ("usage", text(header.usage.code())),
        ("group_sender", text(&group.header.sender)),
        ("group_receiver", text(&group.header.receiver)),
        ("group", text(&number)),
        ("version", text(&group.header.version)),
        ("set_control_number", text(set.control_number)),
    ];
    map.insert(
        "envelope".into(),
        Value::Map(envelope.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map>()),
    );
    Value::Map(map)
}
