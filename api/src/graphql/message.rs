//! Messages: what arrived, as it arrived.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, MessageId, RecordId};
use domain::message::MessageState;
use domain::scope::Permission;
use infra::postgres::entity::message;
use infra::postgres::filter;
use uuid::Uuid;

use super::error::within;
use super::page::{LARGE_COST, cost, id, one_of, page};
use super::personal::Personal;

#[derive(SimpleObject)]
#[graphql(name = "Message", complex)]
pub struct MessageNode {
    id: ID,
    connection_id: ID,
    /// webhook, poll, backfill, file or manual.
    origin: String,
    topic: String,
    /// received, fetching, mapped, unchanged, stale, ignored or exception.
    state: String,
    record_kind: Option<String>,
    source_id: Option<String>,
    record_id: Option<ID>,
    received_at: DateTime<Utc>,
    #[graphql(skip)]
    row: Uuid,
}

impl From<message::Model> for MessageNode {
    fn from(row: message::Model) -> Self {
        Self {
            id: id::<MessageId>(row.id),
            connection_id: id::<ConnectionId>(row.connection_id),
            origin: row.origin,
            topic: row.topic,
            state: row.state,
            record_kind: row.record_kind,
            source_id: row.source_id,
            record_id: row.record_id.map(id::<RecordId>),
            received_at: row.received_at,
            row: row.id,
        }
    }
}

#[ComplexObject]
impl MessageNode {
    /// The body as text, as it came; at most 2 MiB. What tells of a person is hidden from who lacks READ_PERSONAL_DATA.
    #[graphql(complexity = "LARGE_COST")]
    async fn body(&self, ctx: &Context<'_>) -> Result<Personal> {
        let body = within(ctx, Permission::ReadOperations, async |store| store.message_body(self.row).await).await?;
        Ok(Personal::payload(String::from_utf8_lossy(&body.unwrap_or_default()).into_owned()))
    }
}

#[derive(Default)]
pub struct MessageQuery;

#[Object]
impl MessageQuery {
    /// Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn messages(
        &self,
        ctx: &Context<'_>,
        state: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, MessageNode, EmptyFields, EmptyFields>> {
        one_of("state", state.as_deref(), &MessageState::ALL.map(MessageState::as_str))?;
        let filter = filter::message_state(state);
        page::<message::Entity, _>(ctx, Permission::ReadOperations, first, after, filter, |row| (row.id, row.into())).await
    }
}
