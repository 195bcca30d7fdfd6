//! What must change so that a tenant is as files say: decided in full before anything is done, and from values alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use domain::flow::{Difference, FlowFile, FlowState, Gates, differences};
use domain::lookup_table::Entry;
use serde_json::{Value, json};

use super::folder::{FlowOnDisk, Folder, TableOnDisk};
use super::there::{Connection, FlowThere, TableThere, VersionThere};

/// What a tenant has.
#[derive(Debug, Default)]
pub struct There {
    pub flows: Vec<FlowThere>,
    pub connections: Vec<Connection>,
    pub tables: Vec<(TableThere, Vec<Entry>)>,
}

/// What is wanted beside what the files say.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    pub publish: bool,
    /// Flows that no file says are retired.
    pub prune: bool,
}

/// Everything that will be done, in this order, and nothing else.
#[derive(Debug, Default)]
pub struct Plan {
    pub tables: Vec<TableStep>,
    pub flows: Vec<FlowStep>,
    pub retire: Vec<Retire>,
}

/// What is done to one table.
#[derive(Debug)]
pub struct TableStep {
    pub on_disk: TableOnDisk,
    /// The version that the change is based on; `None`: it is made.
    pub there: Option<TableThere>,
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
}

/// What is done to one flow.
#[derive(Debug)]
pub struct FlowStep {
    pub path: PathBuf,
    pub flow: FlowFile,
    pub source: Connection,
    pub destination: Connection,
    /// `None`: it is made.
    pub there: Option<FlowThere>,
    /// Gates that are set, where they are others now.
    pub gates: Option<Gates>,
    pub draft: Draft,
    pub publish: bool,
    /// What a person should know of it.
    pub remarks: Vec<String>,
}

/// What becomes of the text of a flow.
#[derive(Debug, Clone, PartialEq)]
pub enum Draft {
    /// It says so already.
    Stays,
    /// The first version of a new flow.
    First,
    /// A new draft, based on the version that was seen.
    Over { seen: String, version: i32, differences: Vec<Difference> },
}

/// A flow that no file says.
#[derive(Debug)]
pub struct Retire {
    pub id: String,
    pub name: String,
    pub version: i32,
    /// The published version that was seen.
    pub seen: String,
}

impl FlowStep {
    pub fn is_nothing(&self) -> bool {
        self.gates.is_none() && self.draft == Draft::Stays && !self.publish
    }

    /// The version that is published where nothing new is drafted.
    pub fn seen(&self) -> Option<&str> {
        self.there.as_ref().and_then(|there| there.newest.as_ref()).map(|newest| newest.id.as_str())
    }

    /// What `flowCreate` and `flowCheck` take.
    pub fn create_input(&self) -> Value {
        let gates = self.flow.gates.unwrap_or_default();
        let mut input = self.draft_input();
        input["name"] = self.flow.name.clone().into();
        input["recordKind"] = self.flow.kind.as_str().into();
        input["sourceId"] = self.source.id.clone().into();
        input["destinationId"] = self.destination.id.clone().into();
        input["needsApproval"] = gates.needs_approval.into();
        input["needsReplay"] = gates.needs_replay.into();
        input
    }

    /// What `flowDraft` takes: every field, so that nothing of the version before it stays unseen.
    pub fn draft_input(&self) -> Value {
        let FlowFile { filter, source_mapping, mapping, policy, trigger, note, .. } = &self.flow;
        json!({"filter": filter, "sourceMapping": source_mapping, "mapping": mapping, "policy": policy, "trigger": trigger, "note": note})
    }
}

impl TableStep {
    pub fn is_nothing(&self) -> bool {
        self.there.is_some() && self.added + self.changed + self.removed == 0
    }
}

impl Plan {
    /// # Errors
    /// All that stands against it, in sentences.
    pub fn of(folder: Folder, there: &There, wanted: Wanted) -> Result<Self, Vec<String>> {
        let (mut plan, mut errors) = (Self::default(), Vec::new());
        let names: BTreeSet<String> = folder.flows.iter().map(|one| one.flow.name.clone()).collect();
        for on_disk in folder.tables {
            match table_step(on_disk, there) {
                Ok(step) => plan.tables.push(step),
                Err(error) => errors.push(error),
            }
        }
        for on_disk in folder.flows {
            match flow_step(on_disk, there, wanted) {
                Ok(step) => plan.flows.push(step),
                Err(found) => errors.extend(found),
            }
        }
        if wanted.prune {
            let others = there.flows.iter().filter(|flow| !names.contains(&flow.name));
            plan.retire.extend(others.filter_map(|flow| {
                let published = flow.published.as_ref()?;
                let (id, name, seen) = (flow.id.clone(), flow.name.clone(), published.id.clone());
                Some(Retire { id, name, version: published.version, seen })
            }));
        }
        if errors.is_empty() { Ok(plan) } else { Err(errors) }
    }

    pub fn is_nothing(&self) -> bool {
        self.retire.is_empty() && self.tables.iter().all(TableStep::is_nothing) && self.flows.iter().all(FlowStep::is_nothing)
    }
}

fn flow_step(on_disk: FlowOnDisk, there: &There, wanted: Wanted) -> Result<FlowStep, Vec<String>> {
    let FlowOnDisk { path, flow } = on_disk;
    let place = path.display();
    let mut errors = Vec::new();
    let mut side = |field: &str, name: &str, connector: Option<&str>| {
        let Some(connection) = there.connections.iter().find(|one| one.name == name) else {
            let mut names: Vec<String> = there.connections.iter().map(|one| format!("\"{}\"", one.name)).collect();
            names.sort_unstable();
            names.truncate(20);
            let known = if names.is_empty() { "there are none".to_owned() } else { format!("there are {}", names.join(", ")) };
            errors.push(format!("{place}: the {field} \"{name}\" is no connection of this tenant ({known}): connect it first"));
            return None;
        };
        if let Some(wrong) = connector.filter(|wanted| *wanted != connection.connector) {
            let what =
                format!("the {field} \"{name}\" is a connection of {}, and the flow is made for {wrong}", connection.connector);
            errors.push(format!("{place}: {what}"));
            return None;
        }
        Some(connection.clone())
    };
    let source = side("source", &flow.source, flow.source_connector.as_deref());
    let destination = side("destination", &flow.destination, flow.destination_connector.as_deref());
    let (Some(source), Some(destination)) = (source, destination) else { return Err(errors) };
    let Some(known) = there.flows.iter().find(|one| one.name == flow.name) else {
        let (draft, publish) = (Draft::First, wanted.publish);
        let remarks = gate_remarks(flow.gates.unwrap_or_default(), publish, true, false);
        return Ok(FlowStep { path, flow, source, destination, there: None, gates: None, draft, publish, remarks });
    };
    if (known.kind, &known.source.id, &known.destination.id) != (flow.kind, &source.id, &destination.id) {
        let (name, kind, from, to) = (&known.name, known.kind, &known.source.name, &known.destination.name);
        let what = format!("the flow \"{name}\" takes the kind {kind} from \"{from}\" to \"{to}\", which never changes");
        return Err(vec![format!("{place}: {what}: give this one another name")]);
    }
    let gates = flow.gates.filter(|gates| *gates != known.gates);
    let (draft, mut publish, mut remarks) = text_of(&flow, known);
    publish = publish && wanted.publish;
    if !wanted.publish && draft == Draft::Stays && known.newest.as_ref().is_some_and(is_draft) && !is_published(&flow, known) {
        remarks.push("a draft says the same; --publish publishes it".to_owned());
    }
    let is_approved = known.newest.as_ref().is_some_and(|newest| newest.is_approved);
    remarks.extend(gate_remarks(flow.gates.unwrap_or(known.gates), publish, draft != Draft::Stays, is_approved));
    Ok(FlowStep { path, flow, source, destination, there: Some(known.clone()), gates, draft, publish, remarks })
}

/// What stands before publishing, as far as a plan can tell: a new draft was neither looked at nor replayed.
fn gate_remarks(gates: Gates, publish: bool, is_new: bool, is_approved: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    if publish && gates.needs_approval && (is_new || !is_approved) {
        remarks.push("another person must approve it before it is published".to_owned());
    }
    if publish && gates.needs_replay && is_new {
        remarks.push("a replay of it must come before it is published".to_owned());
    }
    remarks
}

fn is_draft(version: &VersionThere) -> bool {
    matches!(version.state, FlowState::Draft | FlowState::Review)
}

fn is_published(flow: &FlowFile, known: &FlowThere) -> bool {
    known.published.as_ref().is_some_and(|published| published.spec == flow.spec())
}

/// What becomes of the text of a flow that is there, and whether something is left to publish.
fn text_of(flow: &FlowFile, known: &FlowThere) -> (Draft, bool, Vec<String>) {
    let spec = flow.spec();
    let Some(newest) = &known.newest else { return (Draft::First, true, vec![]) };
    if is_published(flow, known) {
        let other = Some(newest).filter(|newest| is_draft(newest) && newest.spec != spec);
        let remark =
            |newest: &VersionThere| format!("its {} {} says otherwise and is left alone", newest.state.as_str(), newest.version);
        return (Draft::Stays, false, other.map(remark).into_iter().collect());
    }
    if is_draft(newest) && newest.spec == spec {
        return (Draft::Stays, true, vec![]);
    }
    let mut remarks = Vec::new();
    match newest.state {
        FlowState::Draft => remarks.push(format!("it takes the place of draft {}", newest.version)),
        FlowState::Review => remarks.push(format!("it takes the place of version {}, which is in review", newest.version)),
        FlowState::Retired if known.published.is_none() => {
            remarks.push("the flow was retired, and a new draft brings it back".to_owned())
        }
        FlowState::Published | FlowState::Retired | FlowState::Candidate => {}
    }
    let draft = Draft::Over { seen: newest.id.clone(), version: newest.version, differences: differences(&newest.spec, &spec) };
    (draft, true, remarks)
}

fn table_step(on_disk: TableOnDisk, there: &There) -> Result<TableStep, String> {
    let Some((table, entries)) = there.tables.iter().find(|(table, _)| table.name == on_disk.name) else {
        let added = on_disk.entries.len();
        return Ok(TableStep { on_disk, there: None, added, changed: 0, removed: 0 });
    };
    if (table.kind, table.inverts) != (on_disk.kind, on_disk.inverts) {
        let inverse = |inverts: bool| if inverts { " that say the other way round too" } else { "" };
        return Err(format!(
            "{}: the lookup table \"{}\" is of {}{} there, and of {}{} here, which never changes: give it another name",
            on_disk.path.display(),
            on_disk.name,
            table.kind,
            inverse(table.inverts),
            on_disk.kind,
            inverse(on_disk.inverts),
        ));
    }
    // Of two rows of one value and one beginning the last stands.
    let by_key = |entries: &[Entry]| -> BTreeMap<_, _> {
        entries.iter().map(|one| ((one.from.clone(), one.effective_from), (one.to.clone(), one.effective_until))).collect()
    };
    let (before, after) = (by_key(entries), by_key(&on_disk.entries));
    let added = after.keys().filter(|key| !before.contains_key(*key)).count();
    let changed = after.iter().filter(|(key, value)| before.get(*key).is_some_and(|old| old != *value)).count();
    let removed = before.keys().filter(|key| !after.contains_key(*key)).count();
    Ok(TableStep { on_disk, there: Some(table.clone()), added, changed, removed })
}

#[cfg(test)]
mod tests;
