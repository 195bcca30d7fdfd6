//! Exceptions: what needs a person, with the reason, the owner and the next step.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::exception::Missing;
use domain::id::{DeliveryId, ExceptionId, MessageId, RecordId};
use domain::scope::Permission;
use domain::task::Stage;
use infra::postgres::entity::exception;
use infra::postgres::filter::ExceptionFilter;
use infra::postgres::work::{EXCEPTIONS_MAX, ExceptionGroup, Selection};

use super::error::{UserError, UserErrorCode, state, within};
use super::page::{AGGREGATE_COST, cost, id, page, uuid};

#[derive(SimpleObject)]
#[graphql(name = "Exception")]
pub struct ExceptionNode {
    id: ID,
    /// open, resolved or ignored.
    state: String,
    /// Stable and short: no_entry, validation.INVALID_CONTENT.
    code: String,
    /// What happened, to which thing.
    sentence: String,
    /// operations, developer, vendor or crossdock.
    owner: String,
    next_step: String,
    path: Option<String>,
    value: Option<String>,
    /// The lookup table that lacks the value.
    lookup_table: Option<String>,
    /// All values that had no entry, at most 50; the first is `value`.
    missing: Vec<MissingValue>,
    /// Exceptions with the same key have the same cause.
    cause_key: String,
    delivery_id: Option<ID>,
    message_id: Option<ID>,
    record_id: Option<ID>,
    resolution: Option<String>,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

/// A value that had no entry in a lookup table.
#[derive(SimpleObject)]
struct MissingValue {
    lookup_table: String,
    value: String,
}

impl From<Missing> for MissingValue {
    fn from(missing: Missing) -> Self {
        Self { lookup_table: missing.table, value: missing.value }
    }
}

impl From<exception::Model> for ExceptionNode {
    fn from(row: exception::Model) -> Self {
        let missing: Vec<Missing> = row.missing.and_then(|json| serde_json::from_value(json).ok()).unwrap_or_default();
        Self {
            id: id::<ExceptionId>(row.id),
            state: row.state,
            code: row.code,
            sentence: row.sentence,
            owner: row.owner,
            next_step: row.next_step,
            path: row.path,
            value: row.value,
            lookup_table: row.lookup_table,
            missing: missing.into_iter().map(Into::into).collect(),
            cause_key: row.cause_key,
            delivery_id: row.delivery_id.map(id::<DeliveryId>),
            message_id: row.message_id.map(id::<MessageId>),
            record_id: row.record_id.map(id::<RecordId>),
            resolution: row.resolution,
            opened_at: row.opened_at,
            closed_at: row.closed_at,
        }
    }
}

/// Open exceptions of one cause: worked as one.
#[derive(SimpleObject)]
#[graphql(name = "ExceptionGroup")]
struct ExceptionGroupNode {
    cause_key: String,
    code: String,
    /// What happened, in plain words.
    cause: String,
    owner: String,
    next_step: String,
    value: Option<String>,
    lookup_table: Option<String>,
    count: i64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
}

impl From<ExceptionGroup> for ExceptionGroupNode {
    fn from(group: ExceptionGroup) -> Self {
        Self {
            cause_key: group.cause_key,
            code: group.code,
            cause: group.cause,
            owner: group.owner,
            next_step: group.next_step,
            value: group.value,
            lookup_table: group.lookup_table,
            count: group.count,
            first_at: group.first_at,
            last_at: group.last_at,
        }
    }
}

#[derive(InputObject)]
struct ExceptionSelectionInput {
    /// At most 1,000.
    #[graphql(default)]
    ids: Vec<ID>,
    /// All open exceptions of this cause, at most 1,000 at once.
    cause_key: Option<String>,
}

#[derive(SimpleObject)]
struct ExceptionPayload {
    /// How many were open and are not any more. At 1,000, ask again: there may be more.
    count: i32,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ExceptionQuery;

#[Object]
impl ExceptionQuery {
    /// Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn exceptions(
        &self,
        ctx: &Context<'_>,
        state: Option<String>,
        cause_key: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, ExceptionNode, EmptyFields, EmptyFields>> {
        let filter = ExceptionFilter { state, cause_key, record: None };
        page::<exception::Entity, _>(
            ctx,
            Permission::ReadOperations,
            first,
            after,
            |s| filter.apply(s),
            |row| (row.id, row.into()),
        )
        .await
    }

    /// Open exceptions by cause, the largest group first; at most 200 groups.
    #[graphql(complexity = "AGGREGATE_COST + cost(Some(20), child_complexity)")]
    async fn exception_groups(&self, ctx: &Context<'_>) -> Result<Vec<ExceptionGroupNode>> {
        let groups = within(ctx, Permission::ReadOperations, async |store| store.exception_groups().await).await?;
        Ok(groups.into_iter().map(ExceptionGroupNode::from).collect())
    }
}

#[derive(Default)]
pub struct ExceptionMutation;

#[Object]
impl ExceptionMutation {
    /// Tries again, at most 1,000 at once: the exceptions close, and their deliveries are sent by the version of the flow that is
    /// published now, with what its mapping and the lookup tables say now.
    async fn exception_retry(&self, ctx: &Context<'_>, input: ExceptionSelectionInput) -> Result<ExceptionPayload> {
        let selection = match select(&input) {
            Ok(selection) => selection,
            Err(error) => return Ok(ExceptionPayload { count: 0, user_errors: vec![error] }),
        };
        let (ids, nudges) =
            within(ctx, Permission::WorkExceptions, async |store| store.exceptions_retry(&selection).await).await?;
        for stage in Stage::ALL {
            let rows = nudges.iter().filter(|(to, ..)| *to == stage).map(|(_, place, id)| (*place, *id));
            state(ctx).broker.nudge(stage, rows.collect::<Vec<_>>()).await;
        }
        Ok(ExceptionPayload { count: i32::try_from(ids.len()).unwrap_or(i32::MAX), user_errors: vec![] })
    }

    /// Decides that these will not be sent, with a reason of at most 500 characters that the audit log keeps.
    async fn exception_ignore(
        &self,
        ctx: &Context<'_>,
        input: ExceptionSelectionInput,
        reason: String,
    ) -> Result<ExceptionPayload> {
        if !(1..=500).contains(&reason.chars().count()) {
            let error = UserError::new("reason", UserErrorCode::Required, "a reason has 1 to 500 characters");
            return Ok(ExceptionPayload { count: 0, user_errors: vec![error] });
        }
        let selection = match select(&input) {
            Ok(selection) => selection,
            Err(error) => return Ok(ExceptionPayload { count: 0, user_errors: vec![error] }),
        };
        let ids =
            within(ctx, Permission::WorkExceptions, async |store| store.exceptions_ignore(&selection, &reason).await).await?;
        Ok(ExceptionPayload { count: i32::try_from(ids.len()).unwrap_or(i32::MAX), user_errors: vec![] })
    }
}

fn select(input: &ExceptionSelectionInput) -> Result<Selection, UserError> {
    if input.ids.len() > usize::try_from(EXCEPTIONS_MAX).unwrap_or(usize::MAX) {
        return Err(UserError::new("ids", UserErrorCode::TooMany, format!("at most {EXCEPTIONS_MAX} at once")));
    }
    if input.ids.is_empty() && input.cause_key.is_none() {
        return Err(UserError::new("ids", UserErrorCode::Required, "say which exceptions: ids or a causeKey"));
    }
    // An id of nothing selects nothing.
    Ok(Selection { ids: input.ids.iter().filter_map(uuid::<ExceptionId>).collect(), cause_key: input.cause_key.clone() })
}
