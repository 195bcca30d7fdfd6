//! Runs: a replay of a draft, and what it would change.

use async_graphql::{Context, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{FlowId, FlowVersionId, RunId};
use domain::replay::Over;
use domain::scope::Permission;
use infra::postgres::entity::run;
use infra::postgres::flow::Stepped;
use uuid::Uuid;

use super::change::version;
use crate::graphql::error::{UserError, UserErrorCode, WHY_LONG_CHARS_MAX, said, scope, within};
use crate::graphql::page::{LARGE_COST, id, uuid};
use crate::graphql::personal::seen_report;

/// One bounded execution of a flow.
#[derive(SimpleObject)]
#[graphql(name = "Run", complex)]
pub struct RunNode {
    id: ID,
    flow_id: ID,
    flow_version_id: ID,
    /// replay.
    kind: String,
    /// queued, running, done or failed.
    state: String,
    /// What it runs over: `{"last": 1000}` or `{"period": {"from": …, "to": …}}`.
    over: Json<serde_json::Value>,
    /// It changed nothing, and nothing begins to fail.
    is_clean: Option<bool>,
    /// Why it failed.
    failure: Option<String>,
    started_by: Json<serde_json::Value>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    /// Who decided that what it changes is wanted, and why.
    accepted_by: Option<Json<serde_json::Value>>,
    accepted_at: Option<DateTime<Utc>>,
    accepted_why: Option<String>,
    #[graphql(skip)]
    report: Option<serde_json::Value>,
}

#[async_graphql::ComplexObject]
impl RunNode {
    /// Counts of records, and what differs: by field with examples and sums of money, and by cause of failure. Grows while it runs.
    #[graphql(complexity = "LARGE_COST")]
    async fn report(&self, ctx: &Context<'_>) -> Option<Json<serde_json::Value>> {
        self.report.clone().map(|report| Json(seen_report(ctx, report)))
    }
}

impl From<run::Model> for RunNode {
    fn from(row: run::Model) -> Self {
        Self {
            id: id::<RunId>(row.id),
            flow_id: id::<FlowId>(row.flow_id),
            flow_version_id: id::<FlowVersionId>(row.flow_version_id),
            kind: row.kind,
            state: row.state,
            over: Json(row.over),
            is_clean: row.is_clean,
            failure: row.failure,
            started_by: Json(row.started_by),
            created_at: row.created_at,
            ended_at: row.ended_at,
            accepted_by: row.accepted_by.map(Json),
            accepted_at: row.accepted_at,
            accepted_why: row.accepted_why,
            report: row.report,
        }
    }
}

#[derive(Default)]
pub struct RunQuery;

#[Object]
impl RunQuery {
    async fn run(&self, ctx: &Context<'_>, id: ID) -> Result<Option<RunNode>> {
        let Some(id) = uuid::<RunId>(&id) else { return Ok(None) };
        find(ctx, id).await
    }
}

async fn find(ctx: &Context<'_>, id: Uuid) -> Result<Option<RunNode>> {
    let row = within(ctx, Permission::ReadOperations, async |store| store.find::<run::Entity>(id).await).await?;
    Ok(row.map(RunNode::from))
}

/// Either `last`, or `from` and `to`.
#[derive(InputObject)]
struct FlowReplayInput {
    /// The version; the newest where it is not said.
    version: Option<i32>,
    /// The newest records, 1 to 50,000 of them.
    last: Option<i32>,
    /// The records that came in a time, at most 50,000 of them, the newest first.
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

#[derive(SimpleObject)]
struct RunPayload {
    run: Option<RunNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct RunMutation;

#[Object]
impl RunMutation {
    /// Runs a version over records that came before, sends nothing, and says what would be different from what was sent. It runs in the
    /// background; look at the run until it is done.
    async fn flow_replay(&self, ctx: &Context<'_>, id: ID, input: FlowReplayInput) -> Result<RunPayload> {
        scope(ctx, Permission::Configure)?;
        let over = match (input.last, input.from, input.to) {
            (Some(last), None, None) => Over::Last(u32::try_from(last).unwrap_or(0)),
            (None, Some(from), Some(to)) => Over::Period { from, to },
            _ => return refuse("last", UserErrorCode::Required, "say either `last`, or `from` and `to`"),
        };
        if let Err(error) = over.check() {
            return refuse("last", UserErrorCode::Invalid, &error.to_string());
        }
        let found = version(ctx, &id, async |store, flow| match input.version {
            Some(version) => store.flow_version(flow, version).await,
            None => store.flow_newest(flow).await,
        });
        let Some(version) = found.await? else {
            return refuse("id", UserErrorCode::NotFound, "there is no such version of a flow");
        };
        match within(ctx, Permission::Configure, async |store| store.replay_start(&version, &over).await).await? {
            Some(run) => Ok(RunPayload { run: find(ctx, run.0).await?, user_errors: vec![] }),
            None => refuse("id", UserErrorCode::TooMany, "ten runs are queued or under way; wait for one of them to end"),
        }
    }

    /// Decides that what a run would change is wanted, so that its draft can be published. `why` has 1 to 2,000 characters.
    async fn run_accept(&self, ctx: &Context<'_>, id: ID, why: String) -> Result<RunPayload> {
        scope(ctx, Permission::Configure)?;
        let why = match said("why", &why, WHY_LONG_CHARS_MAX) {
            Ok(why) => why,
            Err(error) => return Ok(RunPayload { run: None, user_errors: vec![error] }),
        };
        let Some(run) = uuid::<RunId>(&id) else { return refuse("id", UserErrorCode::NotFound, "there is no such run") };
        match within(ctx, Permission::Configure, async |store| store.run_accept(RunId(run), why).await).await? {
            Stepped::Done => Ok(RunPayload { run: find(ctx, run).await?, user_errors: vec![] }),
            _ => refuse("id", UserErrorCode::NotFound, "there is no such run that is done"),
        }
    }
}

fn refuse(field: &str, code: UserErrorCode, message: &str) -> Result<RunPayload> {
    Ok(RunPayload { run: None, user_errors: vec![UserError::new(field, code, message)] })
}
