//! The time machine: what was sent or stored is made again, with the versions it was made with or with others. The same versions give the same
//! bytes, for everything that was ever sent.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use connectors::Connector;
use connectors::Inputs;
use connectors::trial::{Side, Trial, Tried, sent};
use domain::comparison::compare;
use domain::flow::FlowSpec;
use domain::id::{AttemptId, FlowVersionId, RecordId};
use domain::mapping::{How, Rules};
use domain::recipe::Recipe;
use domain::scope::Permission;
use domain::value::{Limits, Value};
use infra::lookup::{self, Tables, TenantLookups};
use infra::postgres::recipe::Sent;
use infra::postgres::{StoreError, TenantStore};
use infra::trial::TrialError;

use super::trial::{TriedRequest, told};
use crate::graphql::error::{Code, fail, internal, scope, state};
use crate::graphql::page::{LARGE_COST, uuid};
use crate::graphql::personal::Personal;

const CHANGES_MAX: usize = 200;

/// Which version of something is used.
#[derive(Clone, Copy, PartialEq, Eq, Enum, Default)]
enum AsOf {
    /// The one it was made with.
    #[default]
    Then,
    /// The one that stands now.
    Now,
}

/// With which versions; those of then where nothing is said.
#[derive(InputObject, Default)]
struct RemakeInput {
    connector: Option<AsOf>,
    lookup_tables: Option<AsOf>,
    /// A version of the flow by its number.
    flow_version: Option<i32>,
}

/// What was made again.
#[derive(SimpleObject)]
struct Remade {
    /// It is what it was then, to the byte.
    is_same: bool,
    request: Option<TriedRequest>,
    /// The canonical document.
    document: Option<Personal>,
    /// Why nothing is made.
    failure: Option<Personal>,
    /// What differs from then; at most 200 fields.
    changes: Vec<FieldChangeNode>,
    made_with: MadeWith,
}

#[derive(SimpleObject)]
#[graphql(name = "FieldChange")]
struct FieldChangeNode {
    /// `lines[2].amount`
    path: String,
    before: Option<Personal>,
    after: Option<Personal>,
}

/// The versions of then.
#[derive(SimpleObject)]
pub struct MadeWith {
    connector: String,
    /// SHA-256 over the connector's files.
    connector_hash: String,
    flow_version_ids: Vec<ID>,
    lookup_tables: Vec<MadeWithTable>,
}

#[derive(SimpleObject)]
struct MadeWithTable {
    name: String,
    version: i64,
}

impl From<&Recipe> for MadeWith {
    fn from(recipe: &Recipe) -> Self {
        Self {
            connector: recipe.connector.clone(),
            connector_hash: recipe.connector_hash.clone(),
            flow_version_ids: recipe.flows.iter().map(|id| ID(id.to_string())).collect(),
            lookup_tables: recipe
                .tables
                .iter()
                .map(|table| MadeWithTable { name: table.name.clone(), version: table.version })
                .collect(),
        }
    }
}

#[derive(Default)]
pub struct TimeMachineQuery;

#[Object]
impl TimeMachineQuery {
    /// Makes the request of a write again, from the record as it was then. `null` for what is no write, or was made before versions were kept.
    #[graphql(complexity = "LARGE_COST * 4 + child_complexity")]
    async fn attempt_remade(&self, ctx: &Context<'_>, id: ID, with: Option<RemakeInput>) -> Result<Option<Remade>> {
        let scope = scope(ctx, Permission::ReadOperations)?;
        let store = state(ctx).store.within(&scope);
        let Some(id) = uuid::<AttemptId>(&id) else { return Ok(None) };
        let was = store.sent(AttemptId(id)).await.map_err(|error| internal(ctx, &error))?;
        let Some((was, recipe)) = was.and_then(|was| was.recipe.clone().map(|recipe| (was, recipe))) else { return Ok(None) };
        let with = with.unwrap_or_default();
        let spec = match with.flow_version {
            Some(version) => store.flow_version(was.flow, version).await,
            None => match recipe.flows.first() {
                Some(version) => store.flow_version_by_id(*version).await,
                None => Ok(None),
            },
        };
        let spec = spec.map_err(|error| internal(ctx, &error))?;
        let spec = spec.ok_or_else(|| fail(Code::BadRequest, "there is no such version of its flow"))?.spec;
        remake(ctx, &store, &was, &recipe, &spec, &with).await.map(Some)
    }

    /// Reads a revision of a record again from its message. `null` where there is none, or it was made before versions were kept.
    #[graphql(complexity = "LARGE_COST * 4 + child_complexity")]
    async fn revision_remade(
        &self,
        ctx: &Context<'_>,
        record_id: ID,
        revision: i32,
        with: Option<RemakeInput>,
    ) -> Result<Option<Remade>> {
        let scope = scope(ctx, Permission::ReadOperations)?;
        let store = state(ctx).store.within(&scope);
        let Some(record) = uuid::<RecordId>(&record_id) else { return Ok(None) };
        let was = store.read_from(RecordId(record), revision).await.map_err(|error| internal(ctx, &error))?;
        let Some((was, recipe)) = was.and_then(|was| was.recipe.clone().map(|recipe| (was, recipe))) else { return Ok(None) };
        let with = with.unwrap_or_default();
        let of_then = connector(ctx, &recipe, &with).await?;
        let connector: &Connector = &of_then;
        let tables = tables(ctx, &store, &recipe, &with).await?;
        let overlays = overlays(ctx, &store, &recipe.flows).await?;
        let plan = connectors::flow::reading(connector, was.kind, &overlays);
        let plan = plan.map_err(|errors| fail(Code::BadRequest, &format!("its rules do not fit the connector: {errors}")))?;
        let plan = plan.as_ref().or_else(|| connector.read_plan(was.kind));
        let plan = plan.ok_or_else(|| fail(Code::BadRequest, "the connector does not read this kind"))?;
        let lookups = TenantLookups::new(&tables, connector.tables(), was.received_at);
        let made = connectors::flow::document(plan, &was.body, &recipe.settings, &lookups);
        let mut remade =
            Remade { is_same: false, request: None, document: None, failure: None, changes: vec![], made_with: (&recipe).into() };
        match made {
            Ok(document) => {
                let text = document.to_json();
                remade.is_same = text == was.document;
                remade.changes = changes(&parsed(was.document.as_bytes()), &document);
                remade.document = Some(Personal::record(was.kind.as_str(), text));
            }
            Err(why) => remade.failure = Some(Personal::payload(format!("it becomes no record: {why:?}"))),
        }
        Ok(Some(remade))
    }
}

/// A connector of then, or one that is loaded.
enum OfThen {
    Then(Box<Connector>),
    Loaded(&'static Connector),
}

impl std::ops::Deref for OfThen {
    type Target = Connector;

    fn deref(&self) -> &Connector {
        match self {
            Self::Then(connector) => connector,
            Self::Loaded(connector) => connector,
        }
    }
}

async fn connector(ctx: &Context<'_>, recipe: &Recipe, with: &RemakeInput) -> Result<OfThen> {
    let loaded = state(ctx).catalog.get(&recipe.connector);
    // Most often nothing has changed since, and what is loaded serves.
    let serves =
        |connector: &&Connector| with.connector == Some(AsOf::Now) || connector.hash().to_string() == recipe.connector_hash;
    if let Some(connector) = loaded.filter(serves) {
        return Ok(OfThen::Loaded(connector));
    }
    let kept = match with.connector.unwrap_or_default() {
        AsOf::Now => None,
        AsOf::Then => {
            let kept = state(ctx).store.connector_as_it_was(&recipe.connector, &recipe.connector_hash).await;
            kept.map_err(|error| internal(ctx, &error))?
        }
    };
    let gone = || fail(Code::BadRequest, &format!("the connector \"{}\" of then was not kept", recipe.connector));
    kept.map(|connector| OfThen::Then(Box::new(connector))).ok_or_else(gone)
}

async fn tables(ctx: &Context<'_>, store: &TenantStore<'_>, recipe: &Recipe, with: &RemakeInput) -> Result<Tables> {
    let load = async || -> Result<Tables, StoreError> {
        if with.lookup_tables.unwrap_or_default() == AsOf::Then {
            let versions: Vec<_> = recipe.tables.iter().map(|table| (table.id, table.version)).collect();
            return lookup::load(store, &versions).await;
        }
        let now = store.lookup_table_versions().await?;
        let versions: Vec<_> = now.iter().map(|(id, _, version)| (*id, *version)).collect();
        let mut tables = lookup::load(store, &versions).await?;
        // A table that was renamed since is looked into by the name that the rules of then know.
        for table in &recipe.tables {
            let renamed = now.iter().find(|(id, name, _)| *id == table.id && *name != table.name);
            if let Some(entries) = renamed.and_then(|(_, name, _)| tables.get(name)).cloned() {
                tables.entry(table.name.clone()).or_insert(entries);
            }
        }
        Ok(tables)
    };
    load().await.map_err(|error| internal(ctx, &error))
}

/// The rules that lay on top of the source's then.
async fn overlays(ctx: &Context<'_>, store: &TenantStore<'_>, flows: &[FlowVersionId]) -> Result<Vec<Rules>> {
    let ids: Vec<_> = flows.iter().map(|id| id.0).collect();
    let rows = store.flow_version_rows(&ids).await.map_err(|error| internal(ctx, &error))?;
    Ok(rows.into_iter().map(|row| row.spec.source_mapping).collect())
}

async fn remake(
    ctx: &Context<'_>,
    store: &TenantStore<'_>,
    was: &Sent,
    recipe: &Recipe,
    spec: &FlowSpec,
    with: &RemakeInput,
) -> Result<Remade> {
    let of_then = connector(ctx, recipe, with).await?;
    let destination: &Connector = &of_then;
    let source = state(ctx).catalog.get(&was.source_connector);
    let source =
        source.ok_or_else(|| fail(Code::BadRequest, "the source's connector is not part of this installation any more"))?;
    let tables = tables(ctx, store, recipe, with).await?;
    let nothing = serde_json::json!({});
    let source = Side {
        connection: was.source,
        name: recipe.source.as_deref().unwrap_or_default(),
        settings: &nothing,
        connector: source,
    };
    let destination = Side { connection: was.destination, name: "", settings: &recipe.settings, connector: destination };
    // It was taken then: what is asked is what it becomes. How it was read is another question.
    let spec = FlowSpec { filter: None, source_mapping: Rules::default(), ..spec.clone() };
    let trial = Trial::new(&spec, &[], was.kind, source, destination).map_err(|errors| told(ctx, TrialError::Version(errors)))?;
    let revision = was.revision.of(was.delivery);
    let inputs = Inputs::parse(was.inputs.as_deref()).map_err(|error| fail(Code::BadRequest, &error.to_string()))?;
    let lookups = TenantLookups::new(&tables, destination.connector.tables(), was.revision.origin_at);
    let mut remade =
        Remade { is_same: false, request: None, document: None, failure: None, changes: vec![], made_with: recipe.into() };
    match trial.run(&revision, &inputs, &lookups, was.sent_at) {
        Tried::Left => remade.failure = Some(Personal::sentence("the filter leaves it out".into())),
        Tried::Refused(reason) => {
            remade.failure = Some(Personal::sentence_about(reason.sentence, reason.path.as_deref(), reason.value.as_deref()));
        }
        Tried::Made(made) => {
            remade.is_same = made.request.clone().unsigned().body.as_ref() == was.request.as_slice();
            remade.changes = changes(&sent(&was.request, &made.request.body), &made.body());
            remade.request = Some((*made).into());
        }
    }
    remade.document = Some(Personal::record(was.kind.as_str(), was.revision.document.clone()));
    Ok(remade)
}

/// Where a field of a record comes from.
#[derive(SimpleObject)]
#[graphql(name = "Provenance")]
pub struct ProvenanceNode {
    /// `lines[].sku`
    field: String,
    /// The fields of the source's message that it is made of; none where it is always the same.
    from: Vec<String>,
    /// It goes on as it is or calculated with, is a key of a lookup table, or decides what is written: the most of these.
    how: String,
}

/// Where the fields of a revision come from: the rules that read it say so.
pub async fn provenance(ctx: &Context<'_>, record: uuid::Uuid, revision: i32) -> Result<Vec<ProvenanceNode>> {
    let scope = scope(ctx, Permission::ReadOperations)?;
    let store = state(ctx).store.within(&scope);
    let was = store.read_from(RecordId(record), revision).await.map_err(|error| internal(ctx, &error))?;
    let Some((was, recipe)) = was.and_then(|was| was.recipe.clone().map(|recipe| (was, recipe))) else { return Ok(vec![]) };
    let of_then = connector(ctx, &recipe, &RemakeInput::default()).await?;
    let connector: &Connector = &of_then;
    let overlays = overlays(ctx, &store, &recipe.flows).await?;
    let overlaid = connectors::flow::reading(connector, was.kind, &overlays).ok().flatten();
    let Some(plan) = overlaid.as_ref().or_else(|| connector.read_plan(was.kind)) else { return Ok(vec![]) };
    let mut fields: std::collections::BTreeMap<&str, (Vec<String>, How)> =
        plan.writes().iter().map(|field| (field.as_str(), (vec![], How::Carries))).collect();
    for made_of in plan.uses() {
        let (from, how) = fields.entry(&made_of.to).or_default();
        from.push(made_of.from.clone());
        *how = (*how).max(made_of.how);
    }
    let word = |how: How| match how {
        How::Carries => "carries",
        How::LooksUp => "looks_up",
        How::Decides => "decides",
    };
    let node = |(field, (from, how)): (&str, (Vec<String>, How))| ProvenanceNode {
        field: field.to_owned(),
        from,
        how: word(how).to_owned(),
    };
    Ok(fields.into_iter().map(node).collect())
}

fn parsed(json: &[u8]) -> Value {
    Value::parse(json, &Limits::DEFAULT).unwrap_or(Value::Null)
}

fn changes(before: &Value, after: &Value) -> Vec<FieldChangeNode> {
    let text = |value: &Value| value.to_text().map_or_else(|| value.to_json(), Into::into);
    let changes = compare(before, after, CHANGES_MAX);
    changes
        .into_iter()
        .map(|change| {
            let told = |value| Personal::at(Some(&change.path), text(value));
            let (before, after) = (change.before.map(told), change.after.map(told));
            FieldChangeNode { before, after, path: change.path }
        })
        .collect()
}
