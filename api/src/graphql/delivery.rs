//! Deliveries: the duties, and how each stands.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::delivery::DeliveryState;
use domain::id::{AttemptId, ConnectionId, DeliveryId, FlowId, RecordId, UndoId};
use domain::scope::Permission;
use domain::waiting::{WaitReason, Waiting};
use infra::postgres::entity::{attempt, delivery, exception, record};
use infra::postgres::filter::{DeliveryFilter, ExceptionFilter, attempts_of};
use uuid::Uuid;

use super::error::within;
use super::exception::ExceptionNode;
use super::page::{AGGREGATE_COST, LARGE_COST, cost, id, one_of, page, uuid};
use super::personal::Personal;
use super::record::RecordNode;

#[derive(SimpleObject)]
#[graphql(name = "Delivery", complex)]
pub struct DeliveryNode {
    id: ID,
    /// planned, sending, confirmed, reconciled, waiting, unknown, held, exception, superseded or cancelled.
    state: String,
    flow_id: ID,
    /// The destination.
    connection_id: ID,
    revision: i32,
    /// All attempts that were started.
    attempt_count: i32,
    /// When the next step may be taken.
    due_at: DateTime<Utc>,
    /// What the destination calls it.
    receipt_id: Option<String>,
    planned_at: DateTime<Utc>,
    settled_at: Option<DateTime<Utc>>,
    /// The delivery that it undoes, and the undo that planned it; null of most.
    undoes_id: Option<ID>,
    undo_id: Option<ID>,
    #[graphql(skip)]
    row: Uuid,
    #[graphql(skip)]
    record: Uuid,
    /// Known where a whole page was asked for at once.
    #[graphql(skip)]
    waiting: Option<Option<Waiting>>,
}

/// What a delivery waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "WaitReason")]
enum DeliveryWaitReason {
    /// A person: its destination is paused.
    Pause,
    /// An earlier delivery of the same record to the same destination.
    EarlierRevision,
    /// The end of an incident of its destination.
    Incident,
    /// Room under a limit: ours, or one that the destination has told.
    Limit,
    /// The next try, after a passing failure.
    Retry,
    /// The moment to ask the destination whether it has it.
    Proof,
    /// Its turn.
    Turn,
}

/// Why a delivery waits.
#[derive(SimpleObject)]
struct DeliveryWaiting {
    reason: DeliveryWaitReason,
    /// For people. What a vendor's text tells of a person is hidden from who lacks READ_PERSONAL_DATA.
    sentence: Personal,
    since: DateTime<Utc>,
    /// When it goes on, or is looked at again; null where nobody knows.
    until: Option<DateTime<Utc>>,
}

impl From<Waiting> for DeliveryWaiting {
    fn from(waiting: Waiting) -> Self {
        Self {
            reason: waiting.reason.into(),
            sentence: Personal::sentence(waiting.sentence),
            since: waiting.since,
            until: waiting.until,
        }
    }
}

/// Asks for all rows of a page at once why they wait, where the query wants to know.
pub async fn with_waiting(
    ctx: &Context<'_>,
    mut page: Connection<String, DeliveryNode, EmptyFields, EmptyFields>,
) -> Result<Connection<String, DeliveryNode, EmptyFields, EmptyFields>> {
    let ahead = ctx.look_ahead();
    let wants = ahead.field("nodes").field("waiting").exists() || ahead.field("edges").field("node").field("waiting").exists();
    if wants {
        let rows: Vec<Uuid> = page.edges.iter().map(|edge| edge.node.row).collect();
        let mut known = within(ctx, Permission::ReadOperations, async |store| store.waiting(&rows).await).await?;
        for edge in &mut page.edges {
            edge.node.waiting = Some(known.remove(&edge.node.row));
        }
    }
    Ok(page)
}

impl From<delivery::Model> for DeliveryNode {
    fn from(row: delivery::Model) -> Self {
        Self {
            id: id::<DeliveryId>(row.id),
            state: row.state,
            flow_id: id::<FlowId>(row.flow_id),
            connection_id: id::<ConnectionId>(row.connection_id),
            revision: row.revision,
            attempt_count: row.attempts,
            due_at: row.due_at,
            receipt_id: row.receipt_id,
            planned_at: row.planned_at,
            settled_at: row.settled_at,
            undoes_id: row.undoes.map(id::<DeliveryId>),
            undo_id: row.undo_id.map(id::<UndoId>),
            row: row.id,
            record: row.record_id,
            waiting: None,
        }
    }
}

/// One try of a delivery: committed as started before the call, closed after it.
#[derive(SimpleObject)]
#[graphql(name = "Attempt", complex)]
struct AttemptNode {
    id: ID,
    number: i32,
    /// write or proof.
    kind: String,
    method: String,
    url: Personal,
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    /// stored, failed, unknown, absent or not_sent; null while it runs.
    outcome: Option<String>,
    status: Option<i32>,
    /// At most 16 KiB. What tells of a person is hidden from who lacks READ_PERSONAL_DATA.
    answer: Option<Personal>,
    #[graphql(skip)]
    row: Uuid,
}

#[ComplexObject]
impl AttemptNode {
    /// The payload as sent, without headers; text of at most a few MiB. What tells of a person is hidden from who lacks READ_PERSONAL_DATA.
    #[graphql(complexity = "LARGE_COST")]
    async fn request(&self, ctx: &Context<'_>) -> Result<Personal> {
        let request = within(ctx, Permission::ReadOperations, async |store| store.attempt_request(self.row).await).await?;
        Ok(Personal::payload(String::from_utf8_lossy(&request.unwrap_or_default()).into_owned()))
    }
}

#[ComplexObject]
impl DeliveryNode {
    async fn record(&self, ctx: &Context<'_>) -> Result<Option<RecordNode>> {
        let row = within(ctx, Permission::ReadOperations, async |store| store.find::<record::Entity>(self.record).await).await?;
        Ok(row.map(RecordNode::from))
    }

    /// Why it waits; null of what is settled, under way, or waits for a person by its exception.
    async fn waiting(&self, ctx: &Context<'_>) -> Result<Option<DeliveryWaiting>> {
        if let Some(known) = &self.waiting {
            return Ok(known.clone().map(Into::into));
        }
        let rows = [self.row];
        let mut known = within(ctx, Permission::ReadOperations, async |store| store.waiting(&rows).await).await?;
        Ok(known.remove(&self.row).map(Into::into))
    }

    /// Newest first, at most 100.
    #[graphql(complexity = "cost(Some(10), child_complexity)")]
    async fn attempts(&self, ctx: &Context<'_>) -> Result<Vec<AttemptNode>> {
        let attempts = attempts_of(self.row);
        let page =
            within(ctx, Permission::ReadOperations, async |store| store.page::<attempt::Entity>(attempts, None, 100).await)
                .await?;
        Ok(page
            .rows
            .into_iter()
            .map(|row| AttemptNode {
                id: id::<AttemptId>(row.id),
                number: row.number,
                kind: row.kind,
                method: row.method,
                url: Personal::sentence(row.url),
                started_at: row.started_at,
                ended_at: row.ended_at,
                outcome: row.outcome,
                status: row.status,
                answer: row.answer.map(Personal::payload),
                row: row.id,
            })
            .collect())
    }

    /// Exceptions about this record, open and closed; newest first, at most 100.
    #[graphql(complexity = "cost(Some(10), child_complexity)")]
    async fn exceptions(&self, ctx: &Context<'_>) -> Result<Vec<ExceptionNode>> {
        let filter = ExceptionFilter { record: Some(self.record), ..ExceptionFilter::default() };
        let page = within(ctx, Permission::ReadOperations, async |store| {
            store.page::<exception::Entity>(|s| filter.apply(s), None, 100).await
        })
        .await?;
        Ok(page.rows.into_iter().filter(|row| row.delivery_id == Some(self.row)).map(ExceptionNode::from).collect())
    }
}

/// From a message's acceptance to its delivery's confirmation.
#[derive(SimpleObject)]
struct LatencyNode {
    count: i64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

#[derive(InputObject, Default)]
struct DeliveryFilterInput {
    state: Option<String>,
    flow_id: Option<ID>,
    record_id: Option<ID>,
    /// The destination.
    connection_id: Option<ID>,
}

#[derive(Default)]
pub struct DeliveryQuery;

#[Object]
impl DeliveryQuery {
    async fn delivery(&self, ctx: &Context<'_>, id: ID) -> Result<Option<DeliveryNode>> {
        let Some(id) = uuid::<DeliveryId>(&id) else { return Ok(None) };
        let row = within(ctx, Permission::ReadOperations, async |store| store.find::<delivery::Entity>(id).await).await?;
        Ok(row.map(DeliveryNode::from))
    }

    /// Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn deliveries(
        &self,
        ctx: &Context<'_>,
        filter: Option<DeliveryFilterInput>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, DeliveryNode, EmptyFields, EmptyFields>> {
        let filter = filter.unwrap_or_default();
        one_of("state", filter.state.as_deref(), &DeliveryState::ALL.map(DeliveryState::as_str))?;
        let flow = filter.flow_id.map(|id| uuid::<FlowId>(&id).unwrap_or_default());
        let record = filter.record_id.map(|id| uuid::<RecordId>(&id).unwrap_or_default());
        let connection = filter.connection_id.map(|id| uuid::<ConnectionId>(&id).unwrap_or_default());
        let filter = DeliveryFilter { state: filter.state, flow, record, connection };
        let page = page::<delivery::Entity, _>(
            ctx,
            Permission::ReadOperations,
            first,
            after,
            |s| filter.apply(s),
            |row| (row.id, row.into()),
        )
        .await?;
        with_waiting(ctx, page).await
    }

    /// Of deliveries confirmed since then; at most a day back.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn latency(&self, ctx: &Context<'_>, since: DateTime<Utc>) -> Result<LatencyNode> {
        let since = since.max(Utc::now() - chrono::Duration::days(1));
        let latency = within(ctx, Permission::ReadOperations, async |store| store.latency(since).await).await?;
        Ok(LatencyNode { count: latency.count, p50_ms: latency.p50_ms, p95_ms: latency.p95_ms, p99_ms: latency.p99_ms })
    }
}
