//! Files: what a connection's folder brought, what it waits for, and what could not be read.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, FileId, PollId};
use domain::scope::Permission;
use infra::postgres::entity::{connection, file};
use infra::postgres::filter::files_of;
use uuid::Uuid;

use super::connection::ConnectionNode;
use super::error::within;
use super::page::{cost, id, page, uuid};

/// One version of a file in a folder that a connection reads. It is taken once, whatever happens meanwhile.
#[derive(SimpleObject)]
#[graphql(name = "File", complex)]
pub struct FileNode {
    id: ID,
    connection_id: ID,
    /// What looks at its folder.
    poll_id: ID,
    name: String,
    /// Bytes.
    size: i64,
    /// By the clock of the machine that it lies on.
    modified_at: DateTime<Utc>,
    /// `noticed` (it may still grow), `reading`, `read` (all of it is here), `done` (and it was put away), `unreadable`, or `lost` (it went away, or
    /// became another, while it was read).
    state: String,
    /// Since when it is as it is, by our clock.
    noticed_at: DateTime<Utc>,
    /// The file of the same name and bytes that was taken before: of this one nothing was done.
    repeats_id: Option<ID>,
    /// Records that were taken; of X12 interchanges,
    taken: i64,
    /// of them those that could be read,
    brought: i64,
    /// and those that could not: each is an exception with its line.
    refused: i64,
    /// Why it could not be read.
    failure: Option<String>,
    begun_at: Option<DateTime<Utc>>,
    read_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    #[graphql(skip)]
    connection: Uuid,
}

impl From<file::Model> for FileNode {
    fn from(row: file::Model) -> Self {
        Self {
            id: id::<FileId>(row.id),
            connection_id: id::<ConnectionId>(row.connection_id),
            poll_id: id::<PollId>(row.poll_id),
            name: row.name,
            size: row.size,
            modified_at: row.modified_at,
            state: row.state,
            noticed_at: row.noticed_at,
            repeats_id: row.repeats.map(id::<FileId>),
            taken: row.position,
            brought: row.brought,
            refused: row.refused,
            failure: row.failure,
            begun_at: row.begun_at,
            read_at: row.read_at,
            ended_at: row.ended_at,
            connection: row.connection_id,
        }
    }
}

#[ComplexObject]
impl FileNode {
    async fn connection(&self, ctx: &Context<'_>) -> Result<Option<ConnectionNode>> {
        let connection = self.connection;
        let row = within(ctx, Permission::ReadOperations, async |store| store.find::<connection::Entity>(connection).await);
        Ok(row.await?.map(ConnectionNode::from))
    }
}

#[derive(Default)]
pub struct FileQuery;

#[Object]
impl FileQuery {
    /// Newest first, at most 100 a page; of one connection, or of all.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn files(
        &self,
        ctx: &Context<'_>,
        connection_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, FileNode, EmptyFields, EmptyFields>> {
        // What is no id of a connection has no files.
        let connection = connection_id.map(|id| uuid::<ConnectionId>(&id).unwrap_or_default());
        page::<file::Entity, _>(ctx, Permission::ReadOperations, first, after, files_of(connection), |row| (row.id, row.into()))
            .await
    }
}
