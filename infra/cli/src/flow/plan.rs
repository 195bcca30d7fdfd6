//! What must change so that a tenant is as files say: decided in full before anything is done, and from values alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use domain::flow::{Difference, FlowFile, FlowState, Gates, differences};
use domain::lookup_table::Entry;
use serde_json::{Value, json};

use super::api::{Connection, FlowThere, TableThere, VersionThere};
use super::folder::{FlowOnDisk, Folder, TableOnDisk};

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
        FlowState::Published | FlowState::Retired => {}
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
mod tests {
    use super::*;
    use domain::flow::FlowSpec;
    use domain::lookup_table::TableKind;
    use domain::record::RecordKind;

    fn connection(name: &str, connector: &str) -> Connection {
        Connection { id: format!("con_{name}"), name: name.to_owned(), connector: connector.to_owned() }
    }

    fn spec(memo: &str) -> FlowSpec {
        serde_json::from_value(json!({"mapping": [{"to": "memo", "default": memo}]})).unwrap()
    }

    fn version(version: i32, state: FlowState, memo: &str) -> VersionThere {
        let id = format!("flv_{version}_{memo}");
        VersionThere { id, version, state, note: String::new(), is_approved: false, spec: spec(memo) }
    }

    fn known(newest: VersionThere, published: Option<VersionThere>) -> FlowThere {
        FlowThere {
            id: "flw_1".into(),
            name: "orders".into(),
            kind: RecordKind::Order,
            gates: Gates::default(),
            source: connection("shop", "a"),
            destination: connection("erp", "b"),
            newest: Some(newest),
            published,
        }
    }

    fn there(flows: Vec<FlowThere>) -> There {
        There { flows, connections: vec![connection("shop", "a"), connection("erp", "b")], tables: vec![] }
    }

    fn folder(flow: FlowFile) -> Folder {
        Folder { flows: vec![FlowOnDisk { path: "orders.yaml".into(), flow }], tables: vec![] }
    }

    fn file(memo: &str) -> FlowFile {
        FlowFile::new("orders", RecordKind::Order, "shop", "erp", spec(memo))
    }

    const PUBLISH: Wanted = Wanted { publish: true, prune: false };

    /// What happens to the draft, whether it is published, and what is remarked.
    fn step(known: FlowThere, memo: &str, wanted: Wanted) -> (Draft, bool, String) {
        let plan = Plan::of(folder(file(memo)), &there(vec![known]), wanted).unwrap();
        let step = &plan.flows[0];
        (step.draft.clone(), step.publish, step.remarks.join("; "))
    }

    #[test]
    fn what_is_there_already_is_left_alone() {
        use FlowState::{Draft as InDraft, Published};
        let published = version(1, Published, "a");
        let same = known(published.clone(), Some(published.clone()));
        assert_eq!(step(same.clone(), "a", PUBLISH), (Draft::Stays, false, String::new()));
        let plan = Plan::of(folder(file("a")), &there(vec![same]), PUBLISH).unwrap();
        assert!(plan.is_nothing());
        let drafted = known(version(2, InDraft, "b"), Some(published));
        let (draft, publish, remark) = step(drafted.clone(), "a", PUBLISH);
        assert_eq!((draft, publish, remark.as_str()), (Draft::Stays, false, "its draft 2 says otherwise and is left alone"));
        assert_eq!(step(drafted.clone(), "b", PUBLISH), (Draft::Stays, true, String::new()));
        let (draft, publish, remark) = step(drafted, "b", Wanted::default());
        assert_eq!((draft, publish, remark.as_str()), (Draft::Stays, false, "a draft says the same; --publish publishes it"));
    }

    #[test]
    fn a_change_is_based_on_the_version_that_was_seen_and_says_whose_place_it_takes() {
        use FlowState::{Draft as InDraft, Published, Retired, Review};
        let over = |known: FlowThere| match step(known, "c", PUBLISH) {
            (Draft::Over { seen, differences, .. }, true, remark) => (seen, differences.len(), remark),
            other => panic!("{other:?}"),
        };
        let published = version(1, Published, "a");
        assert_eq!(over(known(published.clone(), Some(published.clone()))), ("flv_1_a".into(), 1, String::new()));
        let draft = known(version(2, InDraft, "b"), Some(published.clone()));
        assert_eq!(over(draft), ("flv_2_b".into(), 1, "it takes the place of draft 2".into()));
        let review = known(version(2, Review, "b"), Some(published));
        assert_eq!(over(review), ("flv_2_b".into(), 1, "it takes the place of version 2, which is in review".into()));
        let retired = known(version(3, Retired, "c"), None);
        assert_eq!(over(retired), ("flv_3_c".into(), 0, "the flow was retired, and a new draft brings it back".into()));
    }

    #[test]
    fn what_is_missing_or_never_changes_is_told_all_at_once() {
        let mut wrong = file("a");
        (wrong.source, wrong.destination_connector) = ("shp".into(), Some("c".into()));
        let errors = Plan::of(folder(wrong), &there(vec![]), PUBLISH).unwrap_err();
        assert_eq!(
            errors,
            [
                "orders.yaml: the source \"shp\" is no connection of this tenant (there are \"erp\", \"shop\"): connect it first",
                "orders.yaml: the destination \"erp\" is a connection of b, and the flow is made for c",
            ]
        );
        let published = version(1, FlowState::Published, "a");
        let mut turned = file("a");
        (turned.source, turned.destination) = ("erp".into(), "shop".into());
        let errors = Plan::of(folder(turned), &there(vec![known(published.clone(), Some(published))]), PUBLISH).unwrap_err();
        let said = "orders.yaml: the flow \"orders\" takes the kind order from \"shop\" to \"erp\", which never changes: give this one another name";
        assert_eq!(errors, [said]);
    }

    #[test]
    fn only_what_runs_and_no_file_says_is_retired_and_only_where_that_is_asked_for() {
        let published = version(4, FlowState::Published, "a");
        let mut other = known(published.clone(), Some(published));
        other.name = "old".into();
        let mut drafted = known(version(1, FlowState::Draft, "a"), None);
        drafted.name = "never ran".into();
        let all = there(vec![other, drafted]);
        assert!(Plan::of(folder(file("a")), &all, PUBLISH).unwrap().retire.is_empty());
        let plan = Plan::of(folder(file("a")), &all, Wanted { publish: false, prune: true }).unwrap();
        assert_eq!(plan.retire.len(), 1);
        assert_eq!((plan.retire[0].name.as_str(), plan.retire[0].seen.as_str()), ("old", "flv_4_a"));
    }

    #[test]
    fn gates_are_set_only_where_a_file_says_others() {
        let published = version(1, FlowState::Published, "a");
        let all = there(vec![known(published.clone(), Some(published))]);
        let gates = |gates: Option<Gates>| {
            let flow = FlowFile { gates, ..file("a") };
            Plan::of(folder(flow), &all, Wanted::default()).unwrap().flows[0].gates
        };
        let approval = Gates { needs_approval: true, needs_replay: false };
        assert_eq!([gates(None), gates(Some(Gates::default())), gates(Some(approval))], [None, None, Some(approval)]);
    }

    #[test]
    fn a_table_says_how_many_entries_change() {
        let table = TableThere { id: "t".into(), name: "SKUs".into(), kind: TableKind::Codes, inverts: false, version: 3 };
        let there = There {
            tables: vec![(table, vec![Entry::always("a", "1"), Entry::always("b", "2"), Entry::always("c", "3")])],
            ..there(vec![])
        };
        let on_disk = |name: &str, kind| TableOnDisk {
            path: "SKUs.csv".into(),
            name: name.into(),
            kind,
            inverts: false,
            csv: String::new(),
            entries: vec![Entry::always("a", "1"), Entry::always("b", "9"), Entry::always("d", "4"), Entry::always("e", "5")],
        };
        let step = table_step(on_disk("SKUs", TableKind::Codes), &there).unwrap();
        assert_eq!((step.added, step.changed, step.removed), (2, 1, 1));
        let step = table_step(on_disk("Other", TableKind::Codes), &there).unwrap();
        assert_eq!((step.there.is_none(), step.added), (true, 4));
        let error = table_step(on_disk("SKUs", TableKind::Units), &there).unwrap_err();
        assert!(error.contains("is of codes there, and of units here"), "{error}");
    }
}
