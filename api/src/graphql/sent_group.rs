//! Sent groups: what of X12 was written to a partner, under which control number, and what the partner says of it.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, DeliveryId, InterchangeId, SentGroupId};
use domain::scope::Permission;
use infra::postgres::entity::sent_group;
use infra::postgres::filter::sent_groups_of;

use super::page::{cost, id, page, uuid};

/// A group of X12 that we write. It stands alone in an interchange of the same control number, and waits for its 997; a 997 itself waits for nothing.
#[derive(SimpleObject)]
#[graphql(name = "SentGroup")]
pub struct SentGroupNode {
    id: ID,
    connection_id: ID,
    control_number: i32,
    /// PO
    functional_id: String,
    /// 850
    set: String,
    /// What is written; null of a 997.
    delivery_id: Option<ID>,
    /// The interchange that a 997 answers.
    answers_id: Option<ID>,
    /// `planned` (it has its number), `placed` (written, without its name), `sent`, `acknowledged` or `rejected`.
    state: String,
    made_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    /// When it is late without a 997.
    late_at: Option<DateTime<Utc>>,
    /// When its 997 was taken.
    acknowledged_at: Option<DateTime<Utc>>,
    /// What the partner says of one that it rejected.
    failure: Option<String>,
}

impl From<sent_group::Model> for SentGroupNode {
    fn from(row: sent_group::Model) -> Self {
        Self {
            id: id::<SentGroupId>(row.id),
            connection_id: id::<ConnectionId>(row.connection_id),
            control_number: row.control_number,
            functional_id: row.functional_id,
            set: row.set_id,
            delivery_id: row.delivery_id.map(id::<DeliveryId>),
            answers_id: row.answers.map(id::<InterchangeId>),
            state: row.state,
            made_at: row.made_at,
            sent_at: row.sent_at,
            late_at: row.late_at,
            acknowledged_at: row.answered_at,
            failure: row.failure,
        }
    }
}

#[derive(Default)]
pub struct SentGroupQuery;

#[Object]
impl SentGroupQuery {
    /// Newest first, at most 100 a page; to one connection, or to all, in one state, or in all.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn sent_groups(
        &self,
        ctx: &Context<'_>,
        connection_id: Option<ID>,
        state: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, SentGroupNode, EmptyFields, EmptyFields>> {
        // What is no id of a connection has no groups.
        let connection = connection_id.map(|id| uuid::<ConnectionId>(&id).unwrap_or_default());
        let filter = sent_groups_of(connection, state);
        page::<sent_group::Entity, _>(ctx, Permission::ReadOperations, first, after, filter, |row| (row.id, row.into())).await
    }
}
