//! Flows: one kind of record from one connection to another, and the versions of what they do.

mod change;
mod check;
mod input;
mod run;
mod template;
mod time_machine;
mod trial;

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, ID, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{FlowId, FlowVersionId};
use domain::scope::Permission;
use infra::postgres::entity::{self, connection, flow, flow_version};
use infra::postgres::filter;
use infra::postgres::flow::FlowVersion;
use infra::postgres::{StoreError, TenantStore};
use uuid::Uuid;

use super::connection::ConnectionNode;
use super::error::within;
use super::page::{AGGREGATE_COST, cost, id, page, uuid};
use super::reconciliation::{FlowHealthNode, ReconciliationScheduleNode};

pub use change::FlowMutation;
pub use check::FlowCheckQuery;
pub use run::{RunMutation, RunNode, RunQuery};
pub use template::FlowTemplateQuery;
pub use time_machine::{MadeWith, ProvenanceNode, TimeMachineQuery, provenance};
pub use trial::DryRunQuery;
pub(super) use trial::told;

#[derive(SimpleObject)]
#[graphql(name = "Flow", complex)]
pub struct FlowNode {
    id: ID,
    name: String,
    /// order, customer, item, inventory_level, shipment, invoice, return, payment, refund or purchase_order.
    record_kind: String,
    /// A second person approves a draft before it is published.
    needs_approval: bool,
    /// A draft is published once its replay changed nothing, or a person accepted what it changes.
    needs_replay: bool,
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
    id: ID,
    version: i32,
    /// draft, review, published, retired, or candidate: published beside the other, for the records that a swap has chosen.
    state: String,
    /// What its author says of it.
    note: String,
    filter: Option<String>,
    /// The tenant's rules over those by which the source's connector reads.
    source_mapping: Json<serde_json::Value>,
    /// The tenant's rules over those by which the destination's connector writes.
    mapping: Json<serde_json::Value>,
    policy: Json<serde_json::Value>,
    /// `"live"`, or a schedule.
    trigger: Json<serde_json::Value>,
    /// Who drafted it.
    drafted_by: Option<Json<serde_json::Value>>,
    submitted_at: Option<DateTime<Utc>>,
    approved_by: Option<Json<serde_json::Value>>,
    approved_at: Option<DateTime<Utc>>,
    published_at: Option<DateTime<Utc>>,
    /// Of a version that was rolled back to: the one it says the same as.
    as_version: Option<i32>,
}

impl From<flow_version::Model> for FlowVersionNode {
    fn from(row: flow_version::Model) -> Self {
        Self {
            id: id::<FlowVersionId>(row.id),
            version: row.version,
            state: row.state,
            note: row.note,
            filter: row.filter,
            source_mapping: Json(row.source_mapping),
            mapping: Json(row.mapping),
            policy: Json(row.policy),
            trigger: Json(row.trigger),
            drafted_by: row.drafted_by.map(Json),
            submitted_at: row.submitted_at,
            approved_by: row.approved_by.map(Json),
            approved_at: row.approved_at,
            published_at: row.published_at,
            as_version: row.as_version,
        }
    }
}

impl From<flow::Model> for FlowNode {
    fn from(row: flow::Model) -> Self {
        Self {
            id: id::<FlowId>(row.id),
            name: row.name,
            record_kind: row.record_kind,
            needs_approval: row.needs_approval,
            needs_replay: row.needs_replay,
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

    /// The version that runs; null where none does.
    async fn published(&self, ctx: &Context<'_>) -> Result<Option<FlowVersionNode>> {
        version_of(ctx, async |store| store.flow_published(FlowId(self.row)).await).await
    }

    /// The version that a change begins with: the draft where there is one, or the last that was published.
    async fn newest(&self, ctx: &Context<'_>) -> Result<Option<FlowVersionNode>> {
        version_of(ctx, async |store| store.flow_newest(FlowId(self.row)).await).await
    }

    /// Newest first, at most 100.
    #[graphql(complexity = "cost(Some(10), child_complexity)")]
    async fn versions(&self, ctx: &Context<'_>) -> Result<Vec<FlowVersionNode>> {
        let versions = filter::versions_of(self.row);
        let page =
            within(ctx, Permission::ReadOperations, async |store| store.page::<flow_version::Entity>(versions, None, 100).await)
                .await?;
        let mut versions: Vec<FlowVersionNode> = page.rows.into_iter().map(FlowVersionNode::from).collect();
        // A draft may be older than the version that was rolled back to before it.
        versions.sort_by_key(|version| std::cmp::Reverse(version.version));
        Ok(versions)
    }

    /// Whether it does what it says, and since when that is known.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn health(&self, ctx: &Context<'_>) -> Result<FlowHealthNode> {
        FlowHealthNode::find(ctx, self.row).await
    }

    /// How often it is reconciled by itself; null where it is not.
    async fn reconciliation_schedule(&self, ctx: &Context<'_>) -> Result<Option<ReconciliationScheduleNode>> {
        ReconciliationScheduleNode::find(ctx, self.row).await
    }

    /// Its replays. Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn runs(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, RunNode, EmptyFields, EmptyFields>> {
        let runs = filter::runs_of(self.row);
        page::<entity::run::Entity, _>(ctx, Permission::ReadOperations, first, after, runs, |row| (row.id, row.into())).await
    }
}

async fn version_of(
    ctx: &Context<'_>,
    which: impl AsyncFnOnce(&TenantStore<'_>) -> Result<Option<FlowVersion>, StoreError>,
) -> Result<Option<FlowVersionNode>> {
    let row = within(ctx, Permission::ReadOperations, async |store| match which(&store).await? {
        Some(version) => store.find::<flow_version::Entity>(version.id.0).await,
        None => Ok(None),
    });
    Ok(row.await?.map(FlowVersionNode::from))
}

async fn connection_of(ctx: &Context<'_>, id: Uuid) -> Result<Option<ConnectionNode>> {
    let row = within(ctx, Permission::ReadOperations, async |store| store.find::<connection::Entity>(id).await).await?;
    Ok(row.map(ConnectionNode::from))
}

#[derive(Default)]
pub struct FlowQuery;

#[Object]
impl FlowQuery {
    async fn flow(&self, ctx: &Context<'_>, id: ID) -> Result<Option<FlowNode>> {
        let Some(id) = uuid::<FlowId>(&id) else { return Ok(None) };
        let row = within(ctx, Permission::ReadOperations, async |store| store.find::<flow::Entity>(id).await).await?;
        Ok(row.map(FlowNode::from))
    }

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
