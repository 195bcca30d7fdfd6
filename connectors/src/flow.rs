//! A flow over its two connectors: the tenant's rules laid over theirs, compiled. It is pure, so that a delivery, a dry run, a replay and the
//! time machine make the same of the same.

use domain::canonical::{self, Summary};
use domain::delivery::{Balance, Policy};
use domain::exception::Reason;
use domain::fault::{Fault, FaultClass, Owner};
use domain::flow::FlowSpec;
use domain::id::ConnectionId;
use domain::mapping::{Filter, Issue, IssueCode, Lookups, MappingErrors, Plan, Rules, Untranslated, Vars};
use domain::record::RecordKind;
use domain::value::{Limits, Value};

use crate::connector::Connector;

/// What is wrong with a flow, and in which of its fields.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub struct FlowError {
    /// A field of [`FlowSpec`].
    pub field: &'static str,
    pub what: String,
}

/// All that is wrong with a flow between these connectors: what has no error can be published.
#[must_use]
pub fn check(spec: &FlowSpec, kind: RecordKind, source: &Connector, destination: &Connector) -> Vec<FlowError> {
    let mut errors = Vec::new();
    let mut fail = |field, what: String| errors.push(FlowError { field, what });
    // A policy that is none is told once, and not by every rule that it would reach.
    let mut compiled_as = spec.clone();
    if let Err(error) = spec.policy.check() {
        fail("policy", error.to_string());
        compiled_as.policy = Policy::default();
    }
    if let Err(error) = spec.trigger.check() {
        fail("trigger", error.to_string());
    }
    if let Some(Err(error)) = spec.filter.as_deref().map(Filter::compile) {
        fail("filter", error.to_string());
    }
    if source.read_plan(kind).is_none() && spec.source_mapping.is_empty() {
        fail("source_mapping", format!("{} does not read the kind {kind}", source.title()));
    }
    let mappings = [
        ("source_mapping", reading(source, kind, std::slice::from_ref(&spec.source_mapping))),
        ("mapping", FlowPlan::of(&compiled_as, kind, destination).map(|plan| plan.write)),
    ];
    for (field, compiled) in mappings {
        for error in compiled.err().into_iter().flat_map(|errors| errors.0) {
            fail(field, error.to_string());
        }
    }
    if destination.write_plan(kind).is_none() && spec.mapping.is_empty() {
        fail("mapping", format!("{} does not write the kind {kind}", destination.title()));
    }
    errors
}

/// The tenant's lookup tables that a flow looks into, in the order of their names: those that neither connector has itself. A connector that has
/// one empty says that the tenant may have it.
#[must_use]
pub fn tables(spec: &FlowSpec, kind: RecordKind, source: &Connector, destination: &Connector) -> Vec<String> {
    let own_reading = reading(source, kind, std::slice::from_ref(&spec.source_mapping)).ok().flatten();
    let read = own_reading.as_ref().or_else(|| source.read_plan(kind));
    let plan = FlowPlan::of(spec, kind, destination).ok();
    let write = plan.as_ref().and_then(|plan| plan.write_plan(destination, kind));
    let of = |plan: Option<&Plan>, connector: &Connector| -> Vec<String> {
        let tables = plan.map(Plan::tables).unwrap_or_default().iter();
        tables.filter(|table| !connector.tables().has_table(table)).cloned().collect()
    };
    let mut tables = of(read, source);
    tables.extend(of(write, destination));
    tables.sort_unstable();
    tables.dedup();
    tables
}

/// How a source's messages become records: its connector's rules with those of the flows that start there on top. `None` where none of them
/// has any, and the connector's own plan serves. Flows whose rules contradict each other are not published together
/// ([`Rules::conflict`]), so their order does not matter: a record is read once, whichever flows take it.
///
/// # Errors
/// All that is wrong with the rules together.
pub fn reading(source: &Connector, kind: RecordKind, overlays: &[Rules]) -> Result<Option<Plan>, MappingErrors> {
    if overlays.iter().all(Rules::is_empty) {
        return Ok(None);
    }
    let base = source.read_rules(kind).cloned().unwrap_or_default();
    let rules = overlays.iter().fold(base, |rules, overlay| rules.overlaid(overlay.clone()));
    Plan::compile(&rules).map(Some)
}

/// A version of a flow, ready to deliver.
#[derive(Debug, Clone)]
pub struct FlowPlan {
    pub policy: Policy,
    /// `None` where the tenant has no rules, and the connector's own plan serves.
    write: Option<Plan>,
}

/// What a mapping knows beside the record.
#[derive(Debug, Clone, Copy)]
pub struct Carried<'a> {
    pub kind: RecordKind,
    pub revision: i32,
    /// Our key of the record at the destination.
    pub external_key: &'a str,
    /// The destination's.
    pub settings: &'a serde_json::Value,
    /// The name of the connection that the record comes from.
    pub source: &'a str,
}

impl FlowPlan {
    /// # Errors
    /// All that is wrong with its rules over the destination's.
    pub fn of(spec: &FlowSpec, kind: RecordKind, destination: &Connector) -> Result<Self, MappingErrors> {
        let base = destination.write_rules(kind).cloned().unwrap_or_default();
        let rules = spec.under_policy(base.overlaid(spec.mapping.clone()));
        let is_own = destination.write_rules(kind) != Some(&rules) && !rules.is_empty();
        Ok(Self { policy: spec.policy.clone(), write: is_own.then(|| Plan::compile(&rules)).transpose()? })
    }

    /// How it writes; `None` where neither the connector nor the tenant has rules for the kind.
    #[must_use]
    pub fn write_plan<'p>(&'p self, destination: &'p Connector, kind: RecordKind) -> Option<&'p Plan> {
        self.write.as_ref().or_else(|| destination.write_plan(kind))
    }
}

/// A canonical document that is to be delivered.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// "Order #1042"
    pub thing: &'a str,
    pub json: &'a [u8],
    /// Why its parts do not add up to its total.
    pub unbalanced: Option<&'a str>,
}

impl FlowPlan {
    /// The payload for a destination.
    ///
    /// # Errors
    /// Why a person must look at it: it does not add up, or the rules have no answer.
    pub fn payload(
        &self,
        destination: &Connector,
        carried: &Carried<'_>,
        document: &Document<'_>,
        lookups: &dyn Lookups,
    ) -> Result<Value, Reason> {
        let refuse = |issues: &[Issue]| {
            let first = issues.first()?;
            Some(Reason::from_issues(document.thing, destination.title(), first, issues))
        };
        let fault = |code, what, fix| Reason::from_fault(document.thing, destination.title(), &developer_fault(code, what, fix));
        if let Some(sentence) = document.unbalanced.filter(|_| self.policy.balance == Balance::Refuse) {
            let (to, code, sentence) = ("totals.grand".to_owned(), IssueCode::Unbalanced, sentence.to_owned());
            let issue = Issue { to, code, sentence, ..Issue::default() };
            return Err(Reason::from_issue(document.thing, destination.title(), &issue));
        }
        let plan = self.write_plan(destination, carried.kind).ok_or_else(|| {
            let what = format!("{} has no mapping that writes the kind {}", destination.title(), carried.kind);
            fault("mapping", what, "Add the mapping to the flow, then press Retry.")
        })?;
        plan.read(document.json, &Limits::DEFAULT, lookups, &carried.vars()).map_err(|why| match why {
            Untranslated::Unmapped(issues) => refuse(&issues)
                .unwrap_or_else(|| fault("mapping", "the mapping refused it without saying why".into(), "Look at the mapping.")),
            Untranslated::Unreadable(error) => {
                fault("document", error.to_string(), "Tell Crossdock: a stored record cannot be read.")
            }
        })
    }
}

impl Carried<'_> {
    pub(crate) fn vars(&self) -> Vars {
        let mut vars = Vars::default();
        vars.set("settings", Value::from(self.settings));
        let record =
            serde_json::json!({"revision": self.revision, "external_key": self.external_key, "kind": self.kind.as_str()});
        vars.set("record", Value::from(&record));
        vars.set("source", Value::from(&serde_json::json!({"connection": self.source})));
        vars
    }
}

/// What people call a record: "Order #1042".
#[must_use]
pub fn thing(kind: RecordKind, name: &str) -> String {
    let kind = kind.as_str().replace('_', " ");
    let mut chars = kind.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{} {name}", chars.as_str())
}

/// Our key of a record at the destination. It is made of what never changes, so that the first try and the last have the same: the source's
/// connector, the connection (two shops may count alike) and the id there.
#[must_use]
pub fn external_key(source_connector: &str, source: ConnectionId, source_id: &str) -> String {
    let connection = source.0.simple().to_string();
    format!("{source_connector}-{}-{source_id}", &connection[24..])
}

/// What the connection, the connector or the flow must be changed for.
#[must_use]
pub fn developer_fault(code: &str, reason: String, fix: &str) -> Fault {
    Fault::new(FaultClass::Validation, code, reason, Owner::Developer, fix)
}

/// Where a message came from, for the sentence that says why it became no record.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    pub topic: &'a str,
    /// The connection's name.
    pub source: &'a str,
}

/// A message, read: a canonical document that its kind's model allows.
///
/// # Errors
/// Why it becomes none.
pub fn read(
    kind: RecordKind,
    plan: &Plan,
    origin: Origin<'_>,
    body: &[u8],
    settings: &serde_json::Value,
    lookups: &dyn Lookups,
) -> Result<(Value, Summary), Reason> {
    let unreadable = |why: &str| Reason::unreadable(origin.topic, origin.source, why);
    let refused = |issues: Vec<Issue>| match issues.first() {
        Some(first) => Reason::unmapped(origin.topic, origin.source, first, &issues),
        None => unreadable("the mapping refused it without saying why"),
    };
    let document = document(plan, body, settings, lookups).map_err(|why| match why {
        Untranslated::Unreadable(error) => unreadable(&format!("its body is not the JSON it should be: {error}")),
        Untranslated::Unmapped(issues) => refused(issues),
    })?;
    let summary = canonical::examine(kind, &document).map_err(refused)?;
    Ok((document, summary))
}

/// A connector that does not read the kind, and no flow's rules that would.
#[must_use]
pub fn unread(kind: RecordKind, connector: &Connector, origin: Origin<'_>) -> Reason {
    let why = format!("{} has no mapping that reads the kind {kind}", connector.title());
    Reason::unreadable(origin.topic, origin.source, &why)
}

/// A message's body as a canonical document, whether or not the model allows it.
///
/// # Errors
/// Where it cannot be read, or the rules have no answer.
pub fn document(plan: &Plan, body: &[u8], settings: &serde_json::Value, lookups: &dyn Lookups) -> Result<Value, Untranslated> {
    let mut vars = Vars::default();
    vars.set("settings", Value::from(settings));
    plan.read(body, &Limits::DEFAULT, lookups, &vars)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;
    use domain::mapping::LookupSet;

    fn connector(name: &str) -> &'static Connector {
        Catalog::embedded().get(name).unwrap()
    }

    fn spec(json: serde_json::Value) -> FlowSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_is_wrong_with_a_flow_is_said_at_once_and_by_field() {
        let spec = spec(serde_json::json!({
            "filter": "totals.grand >", "policy": {"attempts_max": 0}, "trigger": {"schedule": {"every_minutes": 0}},
            "mapping": [{"to": "x", "expr": "nope("}], "source_mapping": [{"to": "y"}],
        }));
        let errors = check(&spec, RecordKind::Order, connector("shopify"), connector("netsuite"));
        let fields: Vec<&str> = errors.iter().map(|error| error.field).collect();
        assert_eq!(fields, ["policy", "trigger", "filter", "source_mapping", "mapping"], "{errors:#?}");
        let errors = check(&FlowSpec::default(), RecordKind::PurchaseOrder, connector("shopify"), connector("netsuite"));
        assert_eq!(
            errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "source_mapping: Shopify does not read the kind purchase_order",
                "mapping: NetSuite does not write the kind purchase_order"
            ]
        );
    }

    #[test]
    fn a_flow_without_rules_of_its_own_runs_the_connectors_plan_and_a_policy_reaches_every_look_up() {
        let netsuite = connector("netsuite");
        let plain = FlowPlan::of(&FlowSpec::default(), RecordKind::Order, netsuite).unwrap();
        assert!(plain.write.is_none() && plain.write_plan(netsuite, RecordKind::Order).is_some());
        let keep = FlowPlan::of(&spec(serde_json::json!({"policy": {"missing": "keep"}})), RecordKind::Order, netsuite).unwrap();
        assert!(keep.write.is_some());
    }

    #[test]
    fn a_tenants_rule_reads_what_the_connector_has_no_word_for() {
        let shopify = connector("shopify");
        let overlays = [serde_json::from_value(serde_json::json!([{"to": "po_number", "from": "note"}])).unwrap()];
        let plan = reading(shopify, RecordKind::Order, &overlays).unwrap().unwrap();
        let (_, sample) = shopify.samples(RecordKind::Order).next().unwrap();
        let mut body: serde_json::Value = serde_json::from_str(sample).unwrap();
        body["note"] = "PO-77".into();
        let read = document(&plan, body.to_string().as_bytes(), &serde_json::json!({}), &LookupSet::default()).unwrap();
        assert_eq!(read.at("po_number").and_then(Value::as_str), Some("PO-77"));
        assert!(reading(shopify, RecordKind::Order, &[]).unwrap().is_none());
    }
}
