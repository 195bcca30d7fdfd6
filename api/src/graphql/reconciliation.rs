//! Reconciliations: both sides of a flow held against the ledger, the differences that were found, and what a person decides about them.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Duration, Utc};
use domain::id::{DeliveryId, DifferenceId, FlowId, ReconciliationId, RecordId};
use domain::reconciliation::{DifferenceKind, FieldDifference, Period};
use domain::scope::Permission;
use infra::postgres::difference::DIFFERENCES_ACT_MAX;
use infra::postgres::entity::{difference, flow, reconciliation};
use infra::postgres::filter::{self, DifferenceFilter};
use infra::postgres::reconciliation::{Health, ReconciliationSchedule};
use uuid::Uuid;

use super::error::{UserError, UserErrorCode, WHY_CHARS_MAX, said, scope, state, within};
use super::page::{LARGE_COST, cost, id, one_of, page, uuid};
use super::personal::Personal;

/// A comparison of a flow's sides for a time.
#[derive(SimpleObject)]
#[graphql(name = "Reconciliation", complex)]
pub struct ReconciliationNode {
    id: ID,
    flow_id: ID,
    /// queued, running, done or failed.
    state: String,
    from: DateTime<Utc>,
    /// Before this moment.
    until: DateTime<Utc>,
    /// Both sides were read to their ends and agree, and nothing of the time is owed: it is proven.
    is_proof: bool,
    failure: Option<String>,
    started_by: Json<serde_json::Value>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    #[graphql(skip)]
    report: serde_json::Value,
}

#[ComplexObject]
impl ReconciliationNode {
    /// The sums: what each side listed, what agreed, what differs by kind, which fields were compared and which an answer never said. Grows
    /// while it runs.
    #[graphql(complexity = "LARGE_COST")]
    async fn report(&self) -> Json<serde_json::Value> {
        Json(self.report.clone())
    }
}

impl From<reconciliation::Model> for ReconciliationNode {
    fn from(row: reconciliation::Model) -> Self {
        Self {
            id: id::<ReconciliationId>(row.id),
            flow_id: id::<FlowId>(row.flow_id),
            state: row.state,
            from: row.from_at,
            until: row.until_at,
            is_proof: row.is_proof,
            failure: row.failure,
            started_by: Json(row.started_by),
            created_at: row.created_at,
            ended_at: row.ended_at,
            report: row.report,
        }
    }
}

/// One mismatch that a reconciliation found.
#[derive(SimpleObject)]
#[graphql(name = "Difference")]
pub struct DifferenceNode {
    id: ID,
    /// The reconciliation that found it last.
    reconciliation_id: ID,
    flow_id: ID,
    /// never_came, outdated, not_planned, gone, different or extra.
    kind: String,
    /// open, mended (brought and planned at once), closed (both sides agree again), resent or accepted.
    state: String,
    /// The record's id at the source.
    source_id: Option<String>,
    /// And at the destination.
    destination_id: Option<String>,
    record_id: Option<ID>,
    delivery_id: Option<ID>,
    /// The fields that the sides do not agree about, at most 50.
    fields: Vec<DifferenceField>,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    closed_by: Option<Json<serde_json::Value>>,
    note: Option<String>,
}

/// A field that the sides do not agree about.
#[derive(SimpleObject)]
struct DifferenceField {
    /// With its rows: lines[2].quantity.
    path: String,
    /// What was sent, at most 200 characters; null for nothing.
    ours: Option<Personal>,
    /// What is there.
    theirs: Option<Personal>,
}

impl From<FieldDifference> for DifferenceField {
    fn from(field: FieldDifference) -> Self {
        let told = |value: Option<String>| value.map(|value| Personal::at(Some(&field.path), value));
        let (ours, theirs) = (told(field.ours), told(field.theirs));
        Self { path: field.path, ours, theirs }
    }
}

impl From<difference::Model> for DifferenceNode {
    fn from(row: difference::Model) -> Self {
        let fields: Vec<FieldDifference> = serde_json::from_value(row.fields).unwrap_or_default();
        Self {
            id: id::<DifferenceId>(row.id),
            reconciliation_id: id::<ReconciliationId>(row.reconciliation_id),
            flow_id: id::<FlowId>(row.flow_id),
            kind: row.kind,
            state: row.state,
            source_id: row.source_id,
            destination_id: row.destination_id,
            record_id: row.record_id.map(id::<RecordId>),
            delivery_id: row.delivery_id.map(id::<DeliveryId>),
            fields: fields.into_iter().map(Into::into).collect(),
            opened_at: row.opened_at,
            closed_at: row.closed_at,
            closed_by: row.closed_by.map(Json),
            note: row.note,
        }
    }
}

/// How often a flow is reconciled by itself.
#[derive(SimpleObject)]
#[graphql(name = "ReconciliationSchedule")]
pub struct ReconciliationScheduleNode {
    every_hours: i32,
    /// So much of the past each time.
    back_hours: i32,
    /// Fields of the payload that the destination changes on purpose.
    ignored_fields: Vec<String>,
    next_at: DateTime<Utc>,
}

impl From<ReconciliationSchedule> for ReconciliationScheduleNode {
    fn from(schedule: ReconciliationSchedule) -> Self {
        let ReconciliationSchedule { every_hours, back_hours, ignored_fields, next_at } = schedule;
        Self { every_hours, back_hours, ignored_fields, next_at }
    }
}

/// Whether a flow does what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum FlowHealthState {
    /// Nothing waits for a person, and the last reconciliation proved that both sides agree.
    Healthy,
    /// Nothing waits for a person, and no reconciliation has proven it yet, or not for long.
    Unproven,
    /// Something waits for a person, or the sides do not agree.
    Unhealthy,
}

/// Whether a flow does what it says, and since when that is known.
#[derive(SimpleObject)]
#[graphql(name = "FlowHealth")]
pub struct FlowHealthNode {
    state: FlowHealthState,
    /// Deliveries that wait for a person.
    open_exceptions: i64,
    open_differences: i64,
    /// Everything until then is proven; null where nothing ever was.
    proven_until: Option<DateTime<Utc>>,
    /// When that proof was made.
    proven_at: Option<DateTime<Utc>>,
    /// When it was reconciled last, with whatever outcome.
    reconciled_at: Option<DateTime<Utc>>,
}

/// A proof of long ago proves little of today.
const PROOF_AGE_MAX: Duration = Duration::hours(72);

impl FlowHealthNode {
    fn new(health: &Health, now: DateTime<Utc>) -> Self {
        let is_fresh = health.proven_at.is_some_and(|at| now - at <= PROOF_AGE_MAX) && health.last_is_proof;
        let state = match (health.exceptions + health.differences, is_fresh) {
            (0, true) => FlowHealthState::Healthy,
            (0, false) => FlowHealthState::Unproven,
            _ => FlowHealthState::Unhealthy,
        };
        Self {
            state,
            open_exceptions: health.exceptions,
            open_differences: health.differences,
            proven_until: health.proven_until,
            proven_at: health.proven_at,
            reconciled_at: health.reconciled_at,
        }
    }

    pub async fn find(ctx: &Context<'_>, flow: Uuid) -> Result<Self> {
        let health = within(ctx, Permission::ReadOperations, async |store| store.flow_health(FlowId(flow)).await).await?;
        Ok(Self::new(&health, Utc::now()))
    }
}

impl ReconciliationScheduleNode {
    pub async fn find(ctx: &Context<'_>, flow: Uuid) -> Result<Option<Self>> {
        let found = within(ctx, Permission::ReadOperations, async |store| store.reconciliation_schedule(FlowId(flow)).await);
        Ok(found.await?.map(Into::into))
    }
}

#[derive(Default)]
pub struct ReconciliationQuery;

#[Object]
impl ReconciliationQuery {
    /// Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn reconciliations(
        &self,
        ctx: &Context<'_>,
        flow_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, ReconciliationNode, EmptyFields, EmptyFields>> {
        // An id of nothing finds nothing.
        let flow = flow_id.map(|id| uuid::<FlowId>(&id).unwrap_or_default());
        page::<reconciliation::Entity, _>(
            ctx,
            Permission::ReadOperations,
            first,
            after,
            filter::reconciliations_of(flow),
            |row| (row.id, row.into()),
        )
        .await
    }

    async fn reconciliation(&self, ctx: &Context<'_>, id: ID) -> Result<Option<ReconciliationNode>> {
        let Some(id) = uuid::<ReconciliationId>(&id) else { return Ok(None) };
        find(ctx, id).await
    }

    /// Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn differences(
        &self,
        ctx: &Context<'_>,
        filter: Option<DifferenceFilterInput>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, DifferenceNode, EmptyFields, EmptyFields>> {
        let DifferenceFilterInput { flow_id, reconciliation_id, state, kind } = filter.unwrap_or_default();
        one_of("state", state.as_deref(), &["open", "mended", "closed", "resent", "accepted"])?;
        one_of("kind", kind.as_deref(), &DifferenceKind::ALL.map(DifferenceKind::as_str))?;
        let filter = DifferenceFilter {
            state,
            kind,
            flow: flow_id.map(|id| uuid::<FlowId>(&id).unwrap_or_default()),
            reconciliation: reconciliation_id.map(|id| uuid::<ReconciliationId>(&id).unwrap_or_default()),
        };
        page::<difference::Entity, _>(
            ctx,
            Permission::ReadOperations,
            first,
            after,
            |s| filter.apply(s),
            |row| (row.id, row.into()),
        )
        .await
    }
}

async fn find(ctx: &Context<'_>, id: Uuid) -> Result<Option<ReconciliationNode>> {
    let row = within(ctx, Permission::ReadOperations, async |store| store.find::<reconciliation::Entity>(id).await).await?;
    Ok(row.map(Into::into))
}

#[derive(SimpleObject)]
struct ReconciliationPayload {
    reconciliation: Option<ReconciliationNode>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject)]
struct ReconciliationScheduleInput {
    /// 1 to 744.
    every_hours: i32,
    /// How much of the past each time, 1 to 2,232 and at least `everyHours`; twice of that where it is not said.
    back_hours: Option<i32>,
    /// Fields of the payload that the destination changes on purpose, without rows: lines[].description. At most 100.
    #[graphql(default)]
    ignored_fields: Vec<String>,
}

#[derive(SimpleObject)]
struct ReconciliationSchedulePayload {
    schedule: Option<ReconciliationScheduleNode>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject, Default)]
struct DifferenceFilterInput {
    flow_id: Option<ID>,
    reconciliation_id: Option<ID>,
    /// open, mended, closed, resent or accepted.
    state: Option<String>,
    /// never_came, outdated, not_planned, gone, different or extra.
    kind: Option<String>,
}

#[derive(SimpleObject)]
struct DifferencePayload {
    /// How many were open and are not any more.
    count: i32,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ReconciliationMutation;

#[Object]
impl ReconciliationMutation {
    /// Compares both sides of a flow for a time, in the background: `from` up to before `until`, which is six minutes ago where it is not said.
    /// What never came is brought and planned; what was confirmed and is gone or changed at the destination becomes an exception.
    async fn reconciliation_start(
        &self,
        ctx: &Context<'_>,
        flow_id: ID,
        from: DateTime<Utc>,
        until: Option<DateTime<Utc>>,
    ) -> Result<ReconciliationPayload> {
        scope(ctx, Permission::WorkExceptions)?;
        let now = Utc::now();
        let period = Period { from, until: until.unwrap_or(now - Duration::minutes(6)) };
        let refuse = |field, code, what: &str| {
            Ok(ReconciliationPayload { reconciliation: None, user_errors: vec![UserError::new(field, code, what)] })
        };
        if let Err(error) = period.check(now) {
            return refuse("from", UserErrorCode::Invalid, &error.to_string());
        }
        let flow = uuid::<FlowId>(&flow_id).unwrap_or_default();
        let found = within(ctx, Permission::ReadOperations, async |store| store.find::<flow::Entity>(flow).await);
        if found.await?.is_none() {
            return refuse("flowId", UserErrorCode::NotFound, "there is no such flow");
        }
        let start = within(ctx, Permission::WorkExceptions, async |store| store.reconciliation_start(FlowId(flow), period).await);
        match start.await? {
            Some(id) => Ok(ReconciliationPayload { reconciliation: find(ctx, id.0).await?, user_errors: vec![] }),
            None => refuse("flowId", UserErrorCode::TooMany, "twenty are queued or under way; wait for one of them to end"),
        }
    }

    /// Reconciles a flow by itself, again and again; without a schedule it is not any more.
    async fn reconciliation_schedule_set(
        &self,
        ctx: &Context<'_>,
        flow_id: ID,
        schedule: Option<ReconciliationScheduleInput>,
    ) -> Result<ReconciliationSchedulePayload> {
        scope(ctx, Permission::Configure)?;
        let refuse = |field, code, what: &str| {
            Ok(ReconciliationSchedulePayload { schedule: None, user_errors: vec![UserError::new(field, code, what)] })
        };
        let schedule = schedule.map(|input| ReconciliationSchedule {
            every_hours: input.every_hours,
            back_hours: input.back_hours.unwrap_or_else(|| input.every_hours.saturating_mul(2)),
            ignored_fields: input.ignored_fields,
            next_at: Utc::now(),
        });
        if let Some(ReconciliationSchedule { every_hours, back_hours, ignored_fields, .. }) = &schedule {
            if !(1..=744).contains(every_hours) {
                return refuse("everyHours", UserErrorCode::Invalid, "it is 1 to 744 hours (a month)");
            }
            if !(*every_hours..=2_232).contains(back_hours) {
                return refuse(
                    "backHours",
                    UserErrorCode::Invalid,
                    "it is at least everyHours, so that no time is left out, and at most 2,232",
                );
            }
            if ignored_fields.len() > 100 || ignored_fields.iter().any(|field| !(1..=200).contains(&field.len())) {
                return refuse("ignoredFields", UserErrorCode::Invalid, "at most 100 fields, each of 1 to 200 bytes");
            }
        }
        let flow = FlowId(uuid::<FlowId>(&flow_id).unwrap_or_default());
        let set =
            within(ctx, Permission::Configure, async |store| store.reconciliation_schedule_set(flow, schedule.as_ref()).await);
        if !set.await? && schedule.is_some() {
            return refuse("flowId", UserErrorCode::NotFound, "there is no such flow");
        }
        Ok(ReconciliationSchedulePayload { schedule: schedule.map(Into::into), user_errors: vec![] })
    }

    /// Sends ours again, at most 1,000 at once: what is gone at the destination is created anew, what differs is written over.
    async fn difference_resend(&self, ctx: &Context<'_>, ids: Vec<ID>) -> Result<DifferencePayload> {
        scope(ctx, Permission::WorkExceptions)?;
        let ids = match select(&ids) {
            Ok(ids) => ids,
            Err(error) => return Ok(DifferencePayload { count: 0, user_errors: vec![error] }),
        };
        let (resent, nudges) =
            within(ctx, Permission::WorkExceptions, async |store| store.differences_resend(&ids).await).await?;
        state(ctx).broker.nudge_stages(&nudges).await;
        Ok(DifferencePayload { count: i32::try_from(resent.len()).unwrap_or(i32::MAX), user_errors: vec![] })
    }

    /// Takes differences as they are, at most 1,000 at once, with a reason of 1 to 500 characters: the same ones are not raised again.
    async fn difference_accept(&self, ctx: &Context<'_>, ids: Vec<ID>, reason: String) -> Result<DifferencePayload> {
        scope(ctx, Permission::WorkExceptions)?;
        let reason = match said("reason", &reason, WHY_CHARS_MAX) {
            Ok(reason) => reason,
            Err(error) => return Ok(DifferencePayload { count: 0, user_errors: vec![error] }),
        };
        let ids = match select(&ids) {
            Ok(ids) => ids,
            Err(error) => return Ok(DifferencePayload { count: 0, user_errors: vec![error] }),
        };
        let accept = within(ctx, Permission::WorkExceptions, async |store| store.differences_accept(&ids, reason).await).await?;
        Ok(DifferencePayload { count: i32::try_from(accept.len()).unwrap_or(i32::MAX), user_errors: vec![] })
    }
}

fn select(ids: &[ID]) -> Result<Vec<Uuid>, UserError> {
    if ids.is_empty() {
        return Err(UserError::new("ids", UserErrorCode::Required, "say which differences"));
    }
    if ids.len() > DIFFERENCES_ACT_MAX {
        return Err(UserError::new("ids", UserErrorCode::TooMany, format!("at most {DIFFERENCES_ACT_MAX} at once")));
    }
    // An id of nothing selects nothing.
    Ok(ids.iter().filter_map(uuid::<DifferenceId>).collect())
}
