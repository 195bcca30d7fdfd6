//! Plans, as a table of cases: nothing is called.

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
