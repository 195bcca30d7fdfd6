//! Flows: one kind of record from one connection to another.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, FlowId};
use domain::mapping::{Filter, Plan, Rules};
use domain::record::RecordKind;
use domain::scope::Permission;
use infra::postgres::configure::NewFlow;
use infra::postgres::entity::{connection, flow, flow_version};
use infra::postgres::filter;
use uuid::Uuid;

use super::connection::ConnectionNode;
use super::error::{UserError, UserErrorCode, scope, state, within};
use super::page::{cost, id, page, uuid};

#[derive(SimpleObject)]
#[graphql(name = "Flow", complex)]
pub struct FlowNode {
    id: ID,
    name: String,
    /// order, customer, item, inventory_level, shipment, invoice or return.
    record_kind: String,
    created_at: DateTime<Utc>,
    #[graphql(skip)]
    row: Uuid,
    #[graphql(skip)]
    source: Uuid,
    #[graphql(skip)]
    destination: Uuid,
}

/// One version of a flow. A published one never changes.
#[derive(SimpleObject)]
#[graphql(name = "FlowVersion")]
struct FlowVersionNode {
    version: i32,
    /// draft, published or retired.
    state: String,
    filter: Option<String>,
    mapping: Json<serde_json::Value>,
    policy: Json<serde_json::Value>,
    published_at: Option<DateTime<Utc>>,
}

impl From<flow::Model> for FlowNode {
    fn from(row: flow::Model) -> Self {
        Self {
            id: id::<FlowId>(row.id),
            name: row.name,
            record_kind: row.record_kind,
            created_at: row.created_at,
            row: row.id,
            source: row.source_connection_id,
            destination: row.destination_connection_id,
        }
    }
}

#[ComplexObject]
impl FlowNode {
    async fn source(&self, ctx: &Context<'_>) -> Result<Option<ConnectionNode>> {
        connection_of(ctx, self.source).await
    }

    async fn destination(&self, ctx: &Context<'_>) -> Result<Option<ConnectionNode>> {
        connection_of(ctx, self.destination).await
    }

    /// Newest first, at most 100.
    #[graphql(complexity = "cost(Some(10), child_complexity)")]
    async fn versions(&self, ctx: &Context<'_>) -> Result<Vec<FlowVersionNode>> {
        let versions = filter::versions_of(self.row);
        let page =
            within(ctx, Permission::ReadOperations, async |store| store.page::<flow_version::Entity>(versions, None, 100).await)
                .await?;
        Ok(page
            .rows
            .into_iter()
            .map(|row| FlowVersionNode {
                version: row.version,
                state: row.state,
                filter: row.filter,
                mapping: Json(row.mapping),
                policy: Json(row.policy),
                published_at: row.published_at,
            })
            .collect())
    }
}

async fn connection_of(ctx: &Context<'_>, id: Uuid) -> Result<Option<ConnectionNode>> {
    let row = within(ctx, Permission::ReadOperations, async |store| store.find::<connection::Entity>(id).await).await?;
    Ok(row.map(ConnectionNode::from))
}

#[derive(InputObject)]
struct FlowCreateInput {
    /// At most 200 characters, unique in the tenant.
    name: String,
    /// order, customer, item, inventory_level, shipment, invoice or return.
    record_kind: String,
    source_id: ID,
    destination_id: ID,
    /// Rules that lie over the destination connector's own, at most 1,000.
    mapping: Option<Json<serde_json::Value>>,
    /// An expression over the record; only those it is true for are delivered. At most 2,000 bytes.
    filter: Option<String>,
    /// `attempts_max`, `backoff_ms`, `backoff_max_ms`.
    policy: Option<Json<serde_json::Value>>,
}

#[derive(SimpleObject)]
struct FlowPayload {
    flow: Option<FlowNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct FlowQuery;

#[Object]
impl FlowQuery {
    /// Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn flows(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, FlowNode, EmptyFields, EmptyFields>> {
        page::<flow::Entity, _>(ctx, Permission::ReadOperations, first, after, |s| s, |row| (row.id, row.into())).await
    }
}

#[derive(Default)]
pub struct FlowMutation;

#[Object]
impl FlowMutation {
    /// A new flow with its first draft. Nothing runs before it is published.
    async fn flow_create(&self, ctx: &Context<'_>, input: FlowCreateInput) -> Result<FlowPayload> {
        scope(ctx, Permission::Configure)?;
        let checked = match check(&input) {
            Ok(checked) => checked,
            Err(user_errors) => return Ok(FlowPayload { flow: None, user_errors }),
        };
        let mut user_errors = Vec::new();
        for (field, connection, reads) in [("sourceId", checked.source, true), ("destinationId", checked.destination, false)] {
            user_errors.extend(able(ctx, field, connection, checked.kind, reads).await?);
        }
        if !user_errors.is_empty() {
            return Ok(FlowPayload { flow: None, user_errors });
        }
        let new = NewFlow {
            name: &input.name,
            kind: checked.kind,
            source: ConnectionId(checked.source),
            destination: ConnectionId(checked.destination),
            policy: input.policy.map_or_else(|| serde_json::json!({}), |Json(policy)| policy),
            filter: input.filter.as_deref(),
            mapping: input.mapping.map_or_else(|| serde_json::json!([]), |Json(mapping)| mapping),
        };
        let made = within(ctx, Permission::Configure, async |store| match store.flow_create(&new).await? {
            Some(id) => store.find::<flow::Entity>(id.0).await,
            None => Ok(None),
        });
        let taken =
            || FlowPayload { flow: None, user_errors: vec![UserError::new("name", UserErrorCode::Taken, "the name is taken")] };
        Ok(made.await?.map_or_else(taken, |row| FlowPayload { flow: Some(row.into()), user_errors: vec![] }))
    }

    /// Publishes the newest draft. Work under way finishes on the version it began with.
    async fn flow_publish(&self, ctx: &Context<'_>, id: ID) -> Result<FlowPayload> {
        change(ctx, &id, "it has no draft to publish", async |store, flow| store.flow_publish(flow).await).await
    }

    /// Retires the published version. What is planned is still delivered; nothing new is planned.
    async fn flow_retire(&self, ctx: &Context<'_>, id: ID) -> Result<FlowPayload> {
        change(ctx, &id, "it has no published version", async |store, flow| store.flow_retire(flow).await).await
    }
}

async fn change(
    ctx: &Context<'_>,
    id: &ID,
    refusal: &str,
    act: impl AsyncFnOnce(infra::postgres::TenantStore<'_>, FlowId) -> Result<bool, infra::postgres::StoreError>,
) -> Result<FlowPayload> {
    let refuse = |code, message: &str| Ok(FlowPayload { flow: None, user_errors: vec![UserError::new("id", code, message)] });
    let Some(flow) = uuid::<FlowId>(id) else { return refuse(UserErrorCode::NotFound, "there is no such flow") };
    let changed = within(ctx, Permission::Configure, async |store| {
        let changed = act(store, FlowId(flow)).await?;
        Ok((changed, store.find::<flow::Entity>(flow).await?))
    });
    match changed.await? {
        (_, None) => refuse(UserErrorCode::NotFound, "there is no such flow"),
        (false, Some(_)) => refuse(UserErrorCode::Invalid, refusal),
        (true, Some(row)) => Ok(FlowPayload { flow: Some(row.into()), user_errors: vec![] }),
    }
}

struct Checked {
    kind: RecordKind,
    source: Uuid,
    destination: Uuid,
}

fn check(input: &FlowCreateInput) -> Result<Checked, Vec<UserError>> {
    let mut errors = Vec::new();
    let mut fail = |field: &str, code, message: String| errors.push(UserError::new(field, code, message));
    if !(1..=200).contains(&input.name.chars().count()) {
        fail("name", UserErrorCode::Invalid, "a name has 1 to 200 characters".into());
    }
    let kind = RecordKind::parse(&input.record_kind);
    if kind.is_none() {
        let kinds = RecordKind::ALL.map(RecordKind::as_str).join(", ");
        fail("recordKind", UserErrorCode::Invalid, format!("\"{}\" is none of {kinds}", input.record_kind));
    }
    if let Some(Err(error)) = input.filter.as_deref().map(Filter::compile) {
        fail("filter", UserErrorCode::Invalid, error.to_string());
    }
    if let Some(Json(mapping)) = &input.mapping {
        match serde_json::from_value::<Rules>(mapping.clone()) {
            Err(error) => fail("mapping", UserErrorCode::Invalid, error.to_string()),
            Ok(rules) => {
                for error in Plan::compile(&rules).err().into_iter().flat_map(|errors| errors.0) {
                    fail("mapping", UserErrorCode::Invalid, error.to_string());
                }
            }
        }
    }
    if let Some(Err(error)) =
        input.policy.as_ref().map(|Json(policy)| serde_json::from_value::<domain::delivery::Policy>(policy.clone()))
    {
        fail("policy", UserErrorCode::Invalid, error.to_string());
    }
    let (source, destination) = (uuid::<ConnectionId>(&input.source_id), uuid::<ConnectionId>(&input.destination_id));
    for (field, found) in [("sourceId", source), ("destinationId", destination)] {
        if found.is_none() {
            fail(field, UserErrorCode::NotFound, "there is no such connection".into());
        }
    }
    match (kind, source, destination) {
        (Some(kind), Some(source), Some(destination)) if errors.is_empty() => Ok(Checked { kind, source, destination }),
        _ => Err(errors),
    }
}

/// The connection must be there, and its connector must read or write this kind of record.
async fn able(ctx: &Context<'_>, field: &str, connection: Uuid, kind: RecordKind, reads: bool) -> Result<Option<UserError>> {
    let row = within(ctx, Permission::Configure, async |store| store.find::<connection::Entity>(connection).await).await?;
    let Some(row) = row else { return Ok(Some(UserError::new(field, UserErrorCode::NotFound, "there is no such connection"))) };
    let Some(connector) = state(ctx).catalog.get(&row.connector) else {
        return Ok(Some(UserError::new(field, UserErrorCode::NotFound, "its connector is not part of this installation")));
    };
    let (able, verb) =
        if reads { (connector.read_plan(kind).is_some(), "read") } else { (connector.write_plan(kind).is_some(), "write") };
    let refusal =
        || UserError::new(field, UserErrorCode::Invalid, format!("{} does not {verb} the kind {kind}", connector.title()));
    Ok((!able).then(refusal))
}
