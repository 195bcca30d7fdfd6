//! Flows: one kind of record from one connection to another.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, ID, InputObject, Json, MaybeUndefined, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use connectors::Connector;
use domain::delivery::Policy;
use domain::id::{ConnectionId, FlowId};
use domain::mapping::{Filter, Plan, Rules};
use domain::record::RecordKind;
use domain::scope::Permission;
use infra::postgres::configure::{Draft, NewFlow};
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
    /// `attempts_max` 1 to 50, `backoff_ms` 100 to 3,600,000, `backoff_max_ms` from `backoff_ms` to 86,400,000.
    policy: Option<Json<serde_json::Value>>,
}

#[derive(InputObject)]
struct FlowDraftInput {
    /// Rules that lie over the destination connector's own, at most 1,000; without it they stay as in the newest version.
    mapping: Option<Json<serde_json::Value>>,
    /// An expression over the record, at most 2,000 bytes. Without it the filter stays as in the newest version; null takes it away.
    filter: MaybeUndefined<String>,
    /// `attempts_max` 1 to 50, `backoff_ms` 100 to 3,600,000, `backoff_max_ms` from `backoff_ms` to 86,400,000; without it the policy
    /// stays as in the newest version.
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
        user_errors.extend(able(ctx, "sourceId", checked.source, checked.kind, true).await?.err());
        match (able(ctx, "destinationId", checked.destination, checked.kind, false).await?, &input.mapping) {
            (Ok(connector), Some(Json(mapping))) => user_errors.extend(mapping_errors(connector, checked.kind, mapping)),
            (Ok(_), None) => {}
            (Err(error), _) => user_errors.push(error),
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

    /// A new draft of a flow, in the place of the draft it may have. Nothing runs differently before it is published.
    async fn flow_draft(&self, ctx: &Context<'_>, id: ID, input: FlowDraftInput) -> Result<FlowPayload> {
        scope(ctx, Permission::Configure)?;
        let refuse = |user_errors| Ok(FlowPayload { flow: None, user_errors });
        let not_found = || vec![UserError::new("id", UserErrorCode::NotFound, "there is no such flow")];
        let Some(flow) = uuid::<FlowId>(&id) else { return refuse(not_found()) };
        let row = within(ctx, Permission::Configure, async |store| store.find::<flow::Entity>(flow).await).await?;
        let Some(row) = row else { return refuse(not_found()) };
        let Some(kind) = RecordKind::parse(&row.record_kind) else { return refuse(not_found()) };
        let (mapping, policy) = (input.mapping.map(|Json(mapping)| mapping), input.policy.map(|Json(policy)| policy));
        let mut user_errors = Vec::new();
        match able(ctx, "id", row.destination_connection_id, kind, false).await? {
            Ok(connector) => user_errors.extend(mapping.iter().flat_map(|mapping| mapping_errors(connector, kind, mapping))),
            Err(error) => user_errors.push(error),
        }
        user_errors.extend(input.filter.value().and_then(|filter| filter_error(filter)));
        user_errors.extend(policy.iter().flat_map(policy_errors));
        if !user_errors.is_empty() {
            return refuse(user_errors);
        }
        let draft = Draft { policy: policy.as_ref(), filter: input.filter.as_opt_deref(), mapping: mapping.as_ref() };
        let drafted = within(ctx, Permission::Configure, async |store| store.flow_draft(FlowId(flow), &draft).await).await?;
        if drafted { Ok(FlowPayload { flow: Some(row.into()), user_errors: vec![] }) } else { refuse(not_found()) }
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
    let (source, destination) = (uuid::<ConnectionId>(&input.source_id), uuid::<ConnectionId>(&input.destination_id));
    for (field, found) in [("sourceId", source), ("destinationId", destination)] {
        if found.is_none() {
            fail(field, UserErrorCode::NotFound, "there is no such connection".into());
        }
    }
    errors.extend(input.filter.as_deref().and_then(filter_error));
    errors.extend(input.policy.iter().flat_map(|Json(policy)| policy_errors(policy)));
    match (kind, source, destination) {
        (Some(kind), Some(source), Some(destination)) if errors.is_empty() => Ok(Checked { kind, source, destination }),
        _ => Err(errors),
    }
}

fn filter_error(filter: &str) -> Option<UserError> {
    Filter::compile(filter).err().map(|error| UserError::new("filter", UserErrorCode::Invalid, error.to_string()))
}

/// A tenant's rules are good where they are good together with the connector's: that is what workers run.
fn mapping_errors(connector: &Connector, kind: RecordKind, mapping: &serde_json::Value) -> Vec<UserError> {
    let invalid = |message: String| UserError::new("mapping", UserErrorCode::Invalid, message);
    match serde_json::from_value::<Rules>(mapping.clone()) {
        Err(error) => vec![invalid(error.to_string())],
        Ok(rules) if rules.is_empty() => vec![],
        Ok(rules) => {
            let base = connector.write_rules(kind).cloned().unwrap_or_default();
            let errors = Plan::compile(&base.overlaid(rules)).err().into_iter().flat_map(|errors| errors.0);
            errors.map(|error| invalid(error.to_string())).collect()
        }
    }
}

fn policy_errors(policy: &serde_json::Value) -> Vec<UserError> {
    let policy: Result<Policy, String> = serde_json::from_value(policy.clone()).map_err(|error| error.to_string());
    let checked = policy.and_then(|policy| policy.check().map_err(|error| error.to_string()));
    checked.err().map(|message| UserError::new("policy", UserErrorCode::Invalid, message)).into_iter().collect()
}

/// The connection must be there, and its connector must read or write this kind of record.
async fn able(
    ctx: &Context<'_>,
    field: &str,
    connection: Uuid,
    kind: RecordKind,
    reads: bool,
) -> Result<Result<&'static Connector, UserError>> {
    let row = within(ctx, Permission::Configure, async |store| store.find::<connection::Entity>(connection).await).await?;
    let refuse = |code, message: &str| Ok(Err(UserError::new(field, code, message)));
    let Some(row) = row else { return refuse(UserErrorCode::NotFound, "there is no such connection") };
    let Some(connector) = state(ctx).catalog.get(&row.connector) else {
        return refuse(UserErrorCode::NotFound, "its connector is not part of this installation");
    };
    let (able, verb) =
        if reads { (connector.read_plan(kind).is_some(), "read") } else { (connector.write_plan(kind).is_some(), "write") };
    if able {
        Ok(Ok(connector))
    } else {
        refuse(UserErrorCode::Invalid, &format!("{} does not {verb} the kind {kind}", connector.title()))
    }
}

#[cfg(test)]
mod tests {
    use connectors::Catalog;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_policy_is_bounded_in_plain_words() {
        let errors = |policy| policy_errors(&policy).into_iter().map(|error| error.message).collect::<Vec<_>>();
        assert!(errors(json!({})).is_empty());
        assert!(errors(json!({"attempts_max": 50, "backoff_ms": 100, "backoff_max_ms": 100})).is_empty());
        for (policy, sentence) in [
            (json!({"attempts_max": 0}), "attempts_max is 0, but it must be from 1 to 50"),
            (json!({"backoff_ms": 5_000_000}), "backoff_ms is 5000000, but it must be from 100 to 3600000 (an hour)"),
            (
                json!({"backoff_ms": 5_000, "backoff_max_ms": 90_000_000}),
                "backoff_max_ms is 90000000, but it must be from backoff_ms, which is 5000, to 86400000 (a day)",
            ),
        ] {
            assert_eq!(errors(policy), [sentence]);
        }
        assert_eq!(errors(json!({"backoff_ms": 2_000, "backoff_max_ms": 1_000})).len(), 1);
        assert_eq!(errors(json!({"attempts_max": -1})).len(), 1);
    }

    #[test]
    fn a_mapping_is_checked_together_with_the_connectors() {
        let netsuite = Catalog::embedded().get("netsuite").unwrap();
        let errors = |mapping| mapping_errors(netsuite, RecordKind::Order, &mapping).len();
        assert_eq!(errors(json!([])), 0);
        let base = &netsuite.write_rules(RecordKind::Order).unwrap().0;
        let scalar = base.iter().find(|rule| rule.each.is_none() && !rule.to.contains('.')).unwrap();
        assert_eq!(errors(json!([{"to": scalar.to, "from": "number"}])), 0, "a rule of the same field takes the other's place");
        // Alone these are sound; together with the connector's they are more than a mapping may have, and workers would stop at them.
        let many: Vec<_> = (0..990).map(|n| json!({"to": format!("custbody_{n}"), "from": "number"})).collect();
        assert!(Plan::compile(&serde_json::from_value(json!(many)).unwrap()).is_ok());
        assert!(errors(json!(many)) > 0);
        assert!(errors(json!([{"to": "memo", "form": "number"}])) > 0, "a misspelt key is an error");
    }
}
