//! Swaps: a flow's destination is replaced by another connection, first as a shadow, then for a growing part of the new records.

mod change;
mod gaps;

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, Enum, ID, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, FlowId, SwapId};
use domain::mapping::Rules;
use domain::scope::Permission;
use domain::swap::SwapState;
use infra::postgres::entity::{connection, swap};
use infra::postgres::filter;
use uuid::Uuid;

use super::connection::ConnectionNode;
use super::error::{Code, fail, internal, scope, state, within};
use super::page::{LARGE_COST, cost, id, page, uuid};
use super::personal::seen_report;

pub use change::SwapMutation;

/// What a list of gaps costs: most connections have some tens.
const GAP_ROWS: i32 = 50;

/// The replacement of a flow's destination by another connection, the candidate.
#[derive(SimpleObject)]
#[graphql(name = "Swap", complex)]
pub struct SwapNode {
    id: ID,
    flow_id: ID,
    /// draft, shadow, cutting, done or back.
    state: String,
    /// Of the new records, so many go to the candidate: 0 to 100.
    percent: i32,
    /// The tenant's rules over those by which the candidate's connector writes.
    mapping: Json<serde_json::Value>,
    /// Who said so last.
    mapped_by: Json<serde_json::Value>,
    /// What the old destination knows goes to the new one from its next revision on. Decided when it is done.
    moves_known: bool,
    /// Why the shadow cannot go on.
    failure: Option<String>,
    created_at: DateTime<Utc>,
    /// The shadow sees the deliveries planned from then on.
    shadow_since: Option<DateTime<Utc>>,
    /// When it was done, or taken back.
    closed_at: Option<DateTime<Utc>>,
    #[graphql(skip)]
    row: swap::Model,
}

impl From<swap::Model> for SwapNode {
    fn from(row: swap::Model) -> Self {
        Self {
            id: id::<SwapId>(row.id),
            flow_id: id::<FlowId>(row.flow_id),
            state: row.state.clone(),
            percent: row.percent,
            mapping: Json(row.mapping.clone()),
            mapped_by: Json(row.mapped_by.clone()),
            moves_known: row.moves_known,
            failure: row.failure.clone(),
            created_at: row.created_at,
            shadow_since: row.shadow_since,
            closed_at: row.closed_at,
            row,
        }
    }
}

#[ComplexObject]
impl SwapNode {
    /// The connection that takes the other's place.
    async fn candidate(&self, ctx: &Context<'_>) -> Result<Option<ConnectionNode>> {
        connection_of(ctx, self.row.connection_id).await
    }

    /// The flow's destination when the swap began.
    async fn before(&self, ctx: &Context<'_>) -> Result<Option<ConnectionNode>> {
        connection_of(ctx, self.row.before_connection_id).await
    }

    /// What the destination of now does and the candidate does not, as both are now, the worst first; at most 200. Empty once the swap ended.
    #[graphql(complexity = "cost(Some(GAP_ROWS), child_complexity)")]
    async fn gaps(&self, ctx: &Context<'_>) -> Result<Vec<SwapGap>> {
        if matches!(SwapState::parse(&self.row.state), None | Some(SwapState::Done | SwapState::Back)) {
            return Ok(vec![]);
        }
        let Some((swap, version)) = change::load(ctx, SwapId(self.row.id)).await? else { return Ok(vec![]) };
        let scope = scope(ctx, Permission::ReadOperations)?;
        let store = state(ctx).store.within(&scope);
        gaps::of(ctx, &store, &version, SwapSide::Destination, swap.connection, &swap.mapping).await.map(told)
    }

    /// What the shadow found. Counts of `deliveries` with a request on both sides (`made`), only on one (`refused` by the candidate, `mended`),
    /// on none (`both_refused`) and `left` by the filter; of those for the candidate, how many must be `looked_up` there first. `causes` of what
    /// it refuses, at most 50; the fields that would be `lost`, at most 200, with sums of money; and what the records come to (`worth`).
    #[graphql(complexity = "LARGE_COST")]
    async fn report(&self, ctx: &Context<'_>) -> Option<Json<serde_json::Value>> {
        self.row.shadow_since.map(|_| Json(seen_report(ctx, self.row.report.clone())))
    }
}

async fn connection_of(ctx: &Context<'_>, id: Uuid) -> Result<Option<ConnectionNode>> {
    let row = within(ctx, Permission::ReadOperations, async |store| store.find::<connection::Entity>(id).await).await?;
    Ok(row.map(ConnectionNode::from))
}

/// One thing that the old connection does and the candidate does not, or not so.
#[derive(SimpleObject)]
pub(super) struct SwapGap {
    /// blocks, loses or differs.
    severity: String,
    /// write, update, action, proof, idempotency, batch, limit, webhook, read, field, table, setting, credential, connection or mapping.
    topic: String,
    /// The field, table, setting or action, where it is about one.
    subject: Option<String>,
    sentence: String,
    next_step: String,
}

fn told(gaps: Vec<connectors::swap::Gap>) -> Vec<SwapGap> {
    let told = |gap: connectors::swap::Gap| SwapGap {
        severity: gap.severity.as_str().to_owned(),
        topic: gap.topic.to_owned(),
        subject: gap.subject,
        sentence: gap.sentence,
        next_step: gap.next_step,
    };
    gaps.into_iter().map(told).collect()
}

/// Which side of a flow is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Enum)]
pub(super) enum SwapSide {
    Source,
    #[default]
    Destination,
}

#[derive(Default)]
pub struct SwapQuery;

#[Object]
impl SwapQuery {
    async fn swap(&self, ctx: &Context<'_>, id: ID) -> Result<Option<SwapNode>> {
        let Some(id) = uuid::<SwapId>(&id) else { return Ok(None) };
        find(ctx, id).await
    }

    /// Newest first, at most 100 a page. Of a flow only, where it is said.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn swaps(
        &self,
        ctx: &Context<'_>,
        flow_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, SwapNode, EmptyFields, EmptyFields>> {
        // What is no id of a flow has no swaps.
        let flow = flow_id.map(|id| uuid::<FlowId>(&id).unwrap_or_default());
        let swaps = filter::swaps_of(flow);
        page::<swap::Entity, _>(ctx, Permission::ReadOperations, first, after, swaps, |row| (row.id, row.into())).await
    }

    /// What would be given up where a flow's connection is replaced by this one, the worst first; at most 200. It is read off the connectors and
    /// the mappings: nothing is run. `mapping` are the tenant's rules over those of the candidate's connector, at most 1,000 together with them;
    /// of a source, those by which it reads.
    #[graphql(complexity = "cost(Some(GAP_ROWS), child_complexity) + LARGE_COST")]
    async fn swap_gaps(
        &self,
        ctx: &Context<'_>,
        flow_id: ID,
        connection_id: ID,
        #[graphql(default)] side: SwapSide,
        mapping: Option<Json<serde_json::Value>>,
    ) -> Result<Vec<SwapGap>> {
        let scope = scope(ctx, Permission::ReadOperations)?;
        let store = state(ctx).store.within(&scope);
        let rules: Rules = match mapping {
            None => Rules::default(),
            Some(Json(json)) => serde_json::from_value(json).map_err(|error| fail(Code::BadRequest, &error.to_string()))?,
        };
        let missing = |what: &str| fail(Code::BadRequest, &format!("there is no such {what}"));
        let flow = uuid::<FlowId>(&flow_id).ok_or_else(|| missing("flow"))?;
        let candidate = uuid::<ConnectionId>(&connection_id).map(ConnectionId).ok_or_else(|| missing("connection"))?;
        let version = store.flow_current(FlowId(flow)).await.map_err(|error| internal(ctx, &error))?;
        let version = version.ok_or_else(|| missing("flow"))?;
        gaps::of(ctx, &store, &version, side, candidate, &rules).await.map(told)
    }
}

async fn find(ctx: &Context<'_>, id: Uuid) -> Result<Option<SwapNode>> {
    let row = within(ctx, Permission::ReadOperations, async |store| store.find::<swap::Entity>(id).await).await?;
    Ok(row.map(SwapNode::from))
}
