//! Exceptions: what needs a person, with the reason, the owner and the next step.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::exception::Missing;
use domain::fix::FixKind;
use domain::id::{DeliveryId, ExceptionId, MessageId, RecordId, UserId};
use domain::scope::Permission;
use infra::postgres::entity::exception;
use infra::postgres::filter::ExceptionFilter;
use uuid::Uuid;

use super::page::{LARGE_COST, cost, id, one_of, page};
use super::personal::Personal;

mod act;
mod cause_key;
mod edit;
mod fix;
mod group;
mod history;
mod what_if;

pub use act::{ExceptionMutation, nudge};
use cause_key::{CauseKey, cause_named};
pub use edit::ExceptionEditMutation;
pub use fix::ExceptionFixMutation;
pub use group::ExceptionGroupQuery;
use group::{FixNode, fixes, group_row};
use history::{ExceptionCommentNode, ExceptionEventNode};
pub use what_if::ExceptionWhatIfQuery;

#[derive(SimpleObject)]
#[graphql(name = "Exception", complex)]
pub struct ExceptionNode {
    id: ID,
    /// open, resolved or ignored.
    state: String,
    /// Stable and short: no_entry, validation.INVALID_CONTENT.
    code: String,
    /// What happened, to which thing.
    sentence: Personal,
    /// operations, developer, vendor or crossdock.
    owner: String,
    next_step: String,
    path: Option<String>,
    /// Hidden from who lacks READ_PERSONAL_DATA, where the path tells of a person; so is it in the sentence.
    value: Option<Personal>,
    /// The lookup table that lacks the value.
    lookup_table: Option<String>,
    /// All values that had no entry, at most 50; the first is `value`.
    missing: Vec<MissingValue>,
    /// Exceptions with the same key have the same cause. It repeats the value, so where that is hidden the key is sealed; it is taken as it is given.
    cause_key: CauseKey,
    delivery_id: Option<ID>,
    message_id: Option<ID>,
    record_id: Option<ID>,
    /// What its record came to when it was opened, as decimal digits; null where it has no total.
    amount: Option<String>,
    currency: Option<String>,
    /// Whose it is, where that is not the group's.
    assignee_id: Option<ID>,
    /// Its own; the group may have others.
    tags: Vec<String>,
    /// It alone is put away until then; the group may be too.
    snoozed_until: Option<DateTime<Utc>>,
    /// What can be done with one act, the most fitting first.
    fixes: Vec<FixNode>,
    /// How it ended.
    resolution: Option<String>,
    opened_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
    #[graphql(skip)]
    row: Uuid,
}

/// A value that had no entry in a lookup table.
#[derive(SimpleObject)]
struct MissingValue {
    lookup_table: String,
    value: Personal,
}

impl From<exception::Model> for ExceptionNode {
    fn from(row: exception::Model) -> Self {
        let missing: Vec<Missing> = row.missing.and_then(|json| serde_json::from_value(json).ok()).unwrap_or_default();
        let named = row.fix_kind.as_deref().and_then(FixKind::parse);
        Self {
            id: id::<ExceptionId>(row.id),
            row: row.id,
            fixes: fixes(&row.code, named, row.delivery_id.is_some()),
            amount: row.amount.map(|amount| amount.normalize().to_string()),
            currency: row.currency,
            assignee_id: row.assignee_id.map(id::<UserId>),
            tags: row.tags,
            snoozed_until: row.snoozed_until,
            state: row.state,
            code: row.code,
            cause_key: CauseKey::new(row.cause_key, row.path.as_deref(), row.value.as_deref()),
            sentence: Personal::sentence_about(row.sentence, row.path.as_deref(), row.value.as_deref()),
            owner: row.owner,
            next_step: row.next_step,
            value: row.value.map(|value| Personal::at(row.path.as_deref(), value)),
            missing: missing
                .into_iter()
                .map(|one| MissingValue { lookup_table: one.table, value: Personal::at(row.path.as_deref(), one.value) })
                .collect(),
            path: row.path,
            lookup_table: row.lookup_table,
            delivery_id: row.delivery_id.map(id::<DeliveryId>),
            message_id: row.message_id.map(id::<MessageId>),
            record_id: row.record_id.map(id::<RecordId>),
            resolution: row.resolution,
            opened_at: row.opened_at,
            closed_at: row.closed_at,
        }
    }
}

#[ComplexObject]
impl ExceptionNode {
    /// What was said about it and about its group, newest first; at most 100.
    #[graphql(complexity = "LARGE_COST + child_complexity")]
    async fn comments(&self, ctx: &Context<'_>) -> Result<Vec<ExceptionCommentNode>> {
        history::comments(ctx, &[self.row, group_row(ctx, self.cause_key.as_str())?]).await
    }

    /// What was done about it and about its group, newest first; at most 100.
    #[graphql(complexity = "LARGE_COST + child_complexity")]
    async fn history(&self, ctx: &Context<'_>) -> Result<Vec<ExceptionEventNode>> {
        history::history(ctx, &[self.row, group_row(ctx, self.cause_key.as_str())?]).await
    }
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
        one_of("state", state.as_deref(), &["open", "resolved", "ignored"])?;
        let cause_key = cause_key.map(|key| cause_named(ctx, &key));
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
}
