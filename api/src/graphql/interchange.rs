//! Interchanges: what of X12 came from a partner, under which control number, and what became of it.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, FileId, InterchangeId};
use domain::scope::Permission;
use infra::postgres::entity::interchange;
use infra::postgres::filter::interchanges_of;

use super::page::{cost, id, page, uuid};

/// An interchange of X12 that came. It is taken once, by its control number and its bytes.
#[derive(SimpleObject)]
#[graphql(name = "Interchange")]
pub struct InterchangeNode {
    id: ID,
    connection_id: ID,
    /// The file that brought it, or repeated it last.
    file_id: Option<ID>,
    /// Null where it could not be read.
    control_number: Option<i32>,
    /// `taking`, `taken`, or `refused`: nothing of it was taken.
    state: String,
    /// Documents that were taken, and sets that were rejected,
    taken: i64,
    /// of them those that were rejected: each is an exception with its place.
    refused: i64,
    /// Control numbers that were left out before it.
    missing: i64,
    /// How often it came again with the same bytes: it was acknowledged again, and nothing was done twice.
    repeats: i32,
    /// What its 997s say of groups that nobody waits for.
    note: Option<String>,
    /// Why nothing of it was taken.
    failure: Option<String>,
    received_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

impl From<interchange::Model> for InterchangeNode {
    fn from(row: interchange::Model) -> Self {
        Self {
            id: id::<InterchangeId>(row.id),
            connection_id: id::<ConnectionId>(row.connection_id),
            file_id: row.file_id.map(id::<FileId>),
            control_number: row.control_number,
            state: row.state,
            taken: row.position,
            refused: row.refused,
            missing: row.missing,
            repeats: row.repeats,
            note: row.note,
            failure: row.failure,
            received_at: row.received_at,
            ended_at: row.ended_at,
        }
    }
}

#[derive(Default)]
pub struct InterchangeQuery;

#[Object]
impl InterchangeQuery {
    /// Newest first, at most 100 a page; of one connection, or of all.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn interchanges(
        &self,
        ctx: &Context<'_>,
        connection_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, InterchangeNode, EmptyFields, EmptyFields>> {
        // What is no id of a connection has no interchanges.
        let connection = connection_id.map(|id| uuid::<ConnectionId>(&id).unwrap_or_default());
        let filter = interchanges_of(connection);
        page::<interchange::Entity, _>(ctx, Permission::ReadOperations, first, after, filter, |row| (row.id, row.into())).await
    }
}
