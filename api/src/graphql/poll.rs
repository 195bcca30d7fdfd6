//! Polls: which kinds of which connections are listed again and again, how that goes, and what webhooks missed.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, LookupTableId, PollId};
use domain::poll::EVERY_S;
use domain::record::RecordKind;
use domain::scope::Permission;
use infra::postgres::entity::{connection, lookup_table, poll};
use infra::postgres::filter::polls_of;
use infra::postgres::poll::PollSubject;
use uuid::Uuid;

use super::connection::ConnectionNode;
use super::error::{UserError, UserErrorCode, within};
use super::page::{cost, id, page, uuid};

/// A kind of record of a connection that is listed again and again: the only way to hear of changes where the vendor has no webhooks, and the sweep
/// that finds what webhooks missed where it has.
#[derive(SimpleObject)]
#[graphql(name = "Poll", complex)]
pub struct PollNode {
    id: ID,
    connection_id: ID,
    /// A kind of record; or `rates`, which feed a lookup table.
    record_kind: String,
    lookup_table_id: Option<ID>,
    every_s: i32,
    /// active or paused.
    state: String,
    /// When the next read begins.
    due_at: DateTime<Utc>,
    /// The last read, or the one under way.
    begun_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    /// The last one that came to its end: what changed before it is here.
    read_at: Option<DateTime<Utc>>,
    /// Records that the last read listed, or the one under way until now,
    listed: i64,
    /// of them those that were new or had changed,
    brought: i64,
    /// and of them those that a webhook should have brought and did not.
    missed_by_webhooks: i64,
    /// Reads that failed since the last one that came to its end. Three in a row are an incident.
    failures: i32,
    /// Why the last one failed.
    failure: Option<String>,
    /// Nobody has asked for it: it was made for the flows that read the connection, and rests when none does. Whoever sets, pauses or resumes it takes it
    /// over.
    is_automatic: bool,
    #[graphql(skip)]
    row: poll::Model,
}

impl From<poll::Model> for PollNode {
    fn from(row: poll::Model) -> Self {
        Self {
            id: id::<PollId>(row.id),
            connection_id: id::<ConnectionId>(row.connection_id),
            record_kind: row.kind.clone(),
            lookup_table_id: row.lookup_table_id.map(id::<LookupTableId>),
            every_s: row.every_s,
            state: row.state.clone(),
            due_at: row.due_at,
            begun_at: row.begun_at,
            ended_at: row.ended_at,
            read_at: row.read_at,
            listed: row.listed,
            brought: row.brought,
            missed_by_webhooks: row.gaps,
            failures: row.failures,
            failure: row.failure.clone(),
            is_automatic: row.is_own,
            row,
        }
    }
}

#[ComplexObject]
impl PollNode {
    async fn connection(&self, ctx: &Context<'_>) -> Result<Option<ConnectionNode>> {
        let connection = self.row.connection_id;
        let row = within(ctx, Permission::ReadOperations, async |store| store.find::<connection::Entity>(connection).await);
        Ok(row.await?.map(ConnectionNode::from))
    }

    /// Of when the newest change is that was seen; null where the vendor tells no times, and everything is listed each time.
    async fn seen_until(&self) -> Option<DateTime<Utc>> {
        // Numbers that a vendor counts by are no times: those of our years have fifteen digits and more.
        let at = self.row.position.get("at")?.as_i64().filter(|at| *at > 100_000_000_000_000)?;
        DateTime::from_timestamp_micros(at)
    }
}

#[derive(InputObject)]
struct PollSetInput {
    connection_id: ID,
    record_kind: String,
    /// From 30 to 604,800 seconds.
    every_s: i32,
    /// Brings what changed since then; of a new poll, what changes from now on where it is left out. A poll that there is goes on where it stands.
    /// Where the vendor tells no times, and where files bring the records, everything is brought.
    since: Option<DateTime<Utc>>,
}

#[derive(InputObject)]
struct RateFeedSetInput {
    /// A table of rates.
    lookup_table_id: ID,
    /// A connection whose connector publishes rates.
    connection_id: ID,
    /// From 30 to 604,800 seconds; every six hours where it is left out.
    every_s: Option<i32>,
}

/// Rates are published once a day; six hours is soon enough, and late for nobody.
const RATES_EVERY_S: i32 = 6 * 60 * 60;

#[derive(SimpleObject)]
struct PollPayload {
    poll: Option<PollNode>,
    user_errors: Vec<UserError>,
}

impl PollPayload {
    fn refused(field: &str, code: UserErrorCode, sentence: String) -> Self {
        Self { poll: None, user_errors: vec![UserError::new(field, code, sentence)] }
    }

    fn of(row: Option<poll::Model>) -> Self {
        match row {
            Some(row) => Self { poll: Some(row.into()), user_errors: vec![] },
            None => Self::refused("id", UserErrorCode::NotFound, "there is no such poll".into()),
        }
    }
}

#[derive(Default)]
pub struct PollQuery;

#[Object]
impl PollQuery {
    /// Newest first, at most 100 a page; of one connection, or of all.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn polls(
        &self,
        ctx: &Context<'_>,
        connection_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, PollNode, EmptyFields, EmptyFields>> {
        // What is no id of a connection has no polls.
        let connection = connection_id.map(|id| uuid::<ConnectionId>(&id).unwrap_or_default());
        page::<poll::Entity, _>(ctx, Permission::ReadOperations, first, after, polls_of(connection), |row| (row.id, row.into()))
            .await
    }
}

#[derive(Default)]
pub struct PollMutation;

#[Object]
impl PollMutation {
    /// Lists a kind of record of a connection again and again from now on, or changes how often. The first read begins at once.
    async fn poll_set(&self, ctx: &Context<'_>, input: PollSetInput) -> Result<PollPayload> {
        let refuse = |field: &str, code, sentence: String| Ok(PollPayload::refused(&format!("input.{field}"), code, sentence));
        let Some(kind) = RecordKind::parse(&input.record_kind) else {
            return refuse("recordKind", UserErrorCode::Invalid, format!("there is no kind of record \"{}\"", input.record_kind));
        };
        if !EVERY_S.contains(&input.every_s) {
            return refuse("everyS", UserErrorCode::Invalid, every_sentence());
        }
        let (connection, connector) = match super::connection::find(ctx, "input.connectionId", &input.connection_id).await? {
            Ok((row, connector)) => (row.id, connector),
            Err(error) => return Ok(PollPayload { poll: None, user_errors: vec![error] }),
        };
        let has_files = connector.has_files(kind);
        if !has_files && connector.reader(kind, &connectors::Position::default()).is_none() {
            return refuse(
                "recordKind",
                UserErrorCode::Invalid,
                format!("{} does not list records of the kind {kind}", connector.title()),
            );
        }
        // Every file of the folder would be read as this kind too.
        if has_files && let Some(other) = other_kind(ctx, connection, kind).await? {
            let message =
                format!("the files of this connection are read as the kind {other} already; make a connection for each folder");
            return refuse("recordKind", UserErrorCode::Blocked, message);
        }
        let position = |at| serde_json::to_value(connector.position_from(kind, at)).expect("a position is plain data");
        let set = within(ctx, Permission::Configure, async |store| {
            let is_new = store
                .page::<poll::Entity>(polls_of(Some(connection)), None, 100)
                .await?
                .rows
                .iter()
                .all(|poll| poll.kind != kind.as_str());
            let position = input.since.or_else(|| is_new.then(Utc::now)).map(position);
            let id =
                store.poll_set(ConnectionId(connection), PollSubject::Records(kind), input.every_s, position.as_ref()).await?;
            store.find::<poll::Entity>(id.0).await
        });
        Ok(PollPayload::of(set.await?))
    }

    /// Feeds a table of rates from a connection again and again: each read that brings something is one version of the table.
    async fn rate_feed_set(&self, ctx: &Context<'_>, input: RateFeedSetInput) -> Result<PollPayload> {
        let refuse = |field: &str, code, sentence: String| Ok(PollPayload::refused(&format!("input.{field}"), code, sentence));
        let every_s = input.every_s.unwrap_or(RATES_EVERY_S);
        if !EVERY_S.contains(&every_s) {
            return refuse("everyS", UserErrorCode::Invalid, every_sentence());
        }
        let (row, connector) = match super::connection::find(ctx, "input.connectionId", &input.connection_id).await? {
            Ok(found) => found,
            Err(error) => return Ok(PollPayload { poll: None, user_errors: vec![error] }),
        };
        if !connector.has_rates() {
            return refuse("connectionId", UserErrorCode::Invalid, format!("{} publishes no exchange rates", row.name));
        }
        let (connection, table) = (row.id, uuid::<LookupTableId>(&input.lookup_table_id).unwrap_or_default());
        let table_row = within(ctx, Permission::Configure, async |store| store.find::<lookup_table::Entity>(table).await).await?;
        match table_row {
            Some(table) if table.kind == "rates" && table.deleted_at.is_none() => {}
            Some(table) => {
                return refuse("lookupTableId", UserErrorCode::Invalid, format!("\"{}\" is no table of rates", table.name));
            }
            None => return refuse("lookupTableId", UserErrorCode::NotFound, "there is no such table".into()),
        }
        let set = within(ctx, Permission::Configure, async |store| {
            let id = store.poll_set(ConnectionId(connection), PollSubject::Rates(LookupTableId(table)), every_s, None).await?;
            store.find::<poll::Entity>(id.0).await
        });
        Ok(PollPayload::of(set.await?))
    }

    /// Lists it no more until it is resumed; then it goes on where it stood.
    async fn poll_pause(&self, ctx: &Context<'_>, id: ID) -> Result<PollPayload> {
        set(ctx, &id, false).await
    }

    /// Goes on listing, or begins the next read now.
    async fn poll_resume(&self, ctx: &Context<'_>, id: ID) -> Result<PollPayload> {
        set(ctx, &id, true).await
    }
}

/// Another kind that is listed of a connection.
async fn other_kind(ctx: &Context<'_>, connection: Uuid, kind: RecordKind) -> Result<Option<String>> {
    let polls = within(ctx, Permission::Configure, async |store| {
        Ok(store.page::<poll::Entity>(polls_of(Some(connection)), None, 100).await?.rows)
    });
    Ok(polls.await?.into_iter().map(|poll| poll.kind).find(|known| known != kind.as_str()))
}

fn every_sentence() -> String {
    format!("a source is listed every {} to {} seconds", EVERY_S.start(), EVERY_S.end())
}

async fn set(ctx: &Context<'_>, id: &ID, is_active: bool) -> Result<PollPayload> {
    let id: Uuid = uuid::<PollId>(id).unwrap_or_default();
    let set = within(ctx, Permission::Configure, async |store| {
        if !store.poll_state_set(id, is_active).await? {
            return Ok(None);
        }
        store.find::<poll::Entity>(id).await
    });
    Ok(PollPayload::of(set.await?))
}
