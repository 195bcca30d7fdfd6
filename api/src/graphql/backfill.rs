//! Backfills: a period or some ids of a source that are brought once more: prepared with an estimate, run, paused, gone on with.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{Context, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{BackfillId, ConnectionId};
use domain::record::RecordKind;
use domain::scope::Permission;
use infra::postgres::backfill::{BackfillMove, What};
use infra::postgres::entity::backfill;
use infra::postgres::filter::backfills_of;

use super::error::{UserError, UserErrorCode, within};
use super::page::{cost, id, page, uuid};

/// Ids of one backfill, and the length of one.
const IDS_MAX: usize = 1_000;
const ID_BYTES_MAX: usize = 255;

/// What a source has of a period, or of some ids, brought once more. What is here already as it is there is not brought again.
#[derive(SimpleObject)]
#[graphql(name = "Backfill")]
pub struct BackfillNode {
    id: ID,
    connection_id: ID,
    record_kind: String,
    /// Of the changes from this moment on,
    since: Option<DateTime<Utc>>,
    /// and before this one; both null where it is of ids.
    until: Option<DateTime<Utc>>,
    /// preparing, ready, running, paused, done, failed or cancelled.
    state: String,
    /// How many records there are, or about how many; null where the source tells too little.
    estimate: Option<i64>,
    /// The estimate is a count.
    is_exact: bool,
    /// Records that were listed until now,
    listed: i64,
    /// and of them those that were missing here, or were older here.
    brought: i64,
    /// Ids that the source does not have.
    missing: i64,
    /// In a row; it fails for good after six, and goes on where it stood when it is run again.
    failures: i32,
    failure: Option<String>,
    started_by: Json<serde_json::Value>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

impl From<backfill::Model> for BackfillNode {
    fn from(row: backfill::Model) -> Self {
        Self {
            id: id::<BackfillId>(row.id),
            connection_id: id::<ConnectionId>(row.connection_id),
            record_kind: row.kind,
            since: row.since_at,
            until: row.until_at,
            state: row.state,
            estimate: row.estimate,
            is_exact: row.is_exact,
            listed: row.listed,
            brought: row.brought,
            missing: row.missing,
            failures: row.failures,
            failure: row.failure,
            started_by: Json(row.started_by),
            created_at: row.created_at,
            ended_at: row.ended_at,
        }
    }
}

#[derive(InputObject)]
struct BackfillPrepareInput {
    connection_id: ID,
    record_kind: String,
    /// What changed from this moment on; or `ids`.
    since: Option<DateTime<Utc>>,
    /// Before this one; now where it is left out.
    until: Option<DateTime<Utc>>,
    /// At most 1,000 of the source's own ids.
    ids: Option<Vec<String>>,
}

impl BackfillPrepareInput {
    fn what(&self) -> std::result::Result<What, UserError> {
        let invalid = |field: &str, sentence: &str| UserError::new(&format!("input.{field}"), UserErrorCode::Invalid, sentence);
        match (self.since, &self.ids) {
            (Some(since), None) => {
                let until = self.until.unwrap_or_else(Utc::now);
                if since < until {
                    Ok(What::Period(since, until))
                } else {
                    Err(invalid("since", "a period begins before it ends"))
                }
            }
            (None, Some(ids)) => {
                if ids.is_empty() || ids.len() > IDS_MAX {
                    return Err(invalid("ids", "from 1 to 1,000 ids are brought at once"));
                }
                if ids.iter().any(|id| id.trim().is_empty() || id.len() > ID_BYTES_MAX || id.contains('\0')) {
                    return Err(invalid("ids", "an id has from 1 to 255 characters"));
                }
                let mut ids: Vec<String> = ids.iter().map(|id| id.trim().to_owned()).collect();
                let mut seen = std::collections::HashSet::new();
                ids.retain(|id| seen.insert(id.clone()));
                Ok(What::Ids(ids))
            }
            _ => Err(invalid("since", "say a period (since) or ids, and not both")),
        }
    }
}

#[derive(SimpleObject)]
struct BackfillPayload {
    backfill: Option<BackfillNode>,
    user_errors: Vec<UserError>,
}

impl BackfillPayload {
    fn refused(error: UserError) -> Self {
        Self { backfill: None, user_errors: vec![error] }
    }
}

#[derive(Default)]
pub struct BackfillQuery;

#[Object]
impl BackfillQuery {
    /// Newest first, at most 100 a page; of one connection, or of all.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn backfills(
        &self,
        ctx: &Context<'_>,
        connection_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, BackfillNode, EmptyFields, EmptyFields>> {
        // What is no id of a connection has no backfills.
        let connection = connection_id.map(|id| uuid::<ConnectionId>(&id).unwrap_or_default());
        let filter = backfills_of(connection);
        page::<backfill::Entity, _>(ctx, Permission::ReadOperations, first, after, filter, |row| (row.id, row.into())).await
    }

    async fn backfill(&self, ctx: &Context<'_>, id: ID) -> Result<Option<BackfillNode>> {
        let id = uuid::<BackfillId>(&id).unwrap_or_default();
        let row = within(ctx, Permission::ReadOperations, async |store| store.find::<backfill::Entity>(id).await).await?;
        Ok(row.map(BackfillNode::from))
    }
}

#[derive(Default)]
pub struct BackfillMutation;

#[Object]
impl BackfillMutation {
    /// Prepares a backfill: some pages are read and it is estimated how many records there are. Nothing is brought until it is run. A tenant has at
    /// most 20 open.
    async fn backfill_prepare(&self, ctx: &Context<'_>, input: BackfillPrepareInput) -> Result<BackfillPayload> {
        let refuse = |field: &str, code, sentence: String| {
            Ok(BackfillPayload::refused(UserError::new(&format!("input.{field}"), code, sentence)))
        };
        let what = match input.what() {
            Ok(what) => what,
            Err(error) => return Ok(BackfillPayload::refused(error)),
        };
        let Some(kind) = RecordKind::parse(&input.record_kind) else {
            return refuse("recordKind", UserErrorCode::Invalid, format!("there is no kind of record \"{}\"", input.record_kind));
        };
        let (connection, connector) = match super::connection::find(ctx, "input.connectionId", &input.connection_id).await? {
            Ok((row, connector)) => (row.id, connector),
            Err(error) => return Ok(BackfillPayload::refused(error)),
        };
        let (can, position) = match &what {
            What::Period(since, _) => {
                (connector.reader(kind, &connectors::Position::default()).is_some(), connector.position_from(kind, *since))
            }
            What::Ids(_) => (connector.getter(kind, "").is_some(), connectors::Position::default()),
        };
        if !can {
            let sentence = format!("{} cannot be asked for records of the kind {kind} in this way", connector.title());
            return refuse("recordKind", UserErrorCode::Invalid, sentence);
        }
        let position = serde_json::to_value(position).expect("a position is plain data");
        let prepared = within(ctx, Permission::Configure, async |store| {
            match store.backfill_prepare(ConnectionId(connection), kind, &what, &position).await? {
                Some(id) => store.find::<backfill::Entity>(id.0).await,
                None => Ok(None),
            }
        });
        match prepared.await? {
            Some(row) => Ok(BackfillPayload { backfill: Some(row.into()), user_errors: vec![] }),
            None => refuse("connectionId", UserErrorCode::TooMany, "20 backfills are open; wait for one, or cancel one".into()),
        }
    }

    /// Runs a backfill that is ready, or goes on with one that was paused or failed. A page is brought when what the last one brought has come to
    /// rest, so that live work never stands behind more than one page of it.
    async fn backfill_run(&self, ctx: &Context<'_>, id: ID) -> Result<BackfillPayload> {
        set(ctx, &id, BackfillMove::Run).await
    }

    /// Stops it after its page, until it is run again.
    async fn backfill_pause(&self, ctx: &Context<'_>, id: ID) -> Result<BackfillPayload> {
        set(ctx, &id, BackfillMove::Pause).await
    }

    /// Ends it; what was brought stays.
    async fn backfill_cancel(&self, ctx: &Context<'_>, id: ID) -> Result<BackfillPayload> {
        set(ctx, &id, BackfillMove::Cancel).await
    }
}

async fn set(ctx: &Context<'_>, id: &ID, to: BackfillMove) -> Result<BackfillPayload> {
    let id = uuid::<BackfillId>(id).unwrap_or_default();
    let set = within(ctx, Permission::Configure, async |store| {
        let is_moved = store.backfill_move(id, to).await?;
        Ok((is_moved, store.find::<backfill::Entity>(id).await?))
    });
    Ok(match set.await? {
        (true, Some(row)) => BackfillPayload { backfill: Some(row.into()), user_errors: vec![] },
        (_, Some(row)) => {
            let verb = match to {
                BackfillMove::Run => "run",
                BackfillMove::Pause => "paused",
                BackfillMove::Cancel => "cancelled",
            };
            let sentence = format!("it is {}, and so it cannot be {verb}", row.state);
            BackfillPayload::refused(UserError::new("id", UserErrorCode::Blocked, sentence))
        }
        (_, None) => BackfillPayload::refused(UserError::new("id", UserErrorCode::NotFound, "there is no such backfill")),
    })
}
