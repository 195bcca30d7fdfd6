//! Undos: what a bad version of a flow did at its destination is looked at, approved, and written back by deliveries like any other.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::flow::FlowState;
use domain::id::{DeliveryId, FlowId, FlowVersionId, RecordId, UndoId};
use domain::scope::Permission;
use domain::undo::{Change, Goal, ItemKind, UndoState};
use infra::postgres::entity::undo;
use infra::postgres::filter;
use infra::postgres::flow::FlowVersion;
use infra::postgres::undo::{NewUndo, UndoStep};
use infra::postgres::undo_item::UndoItem;
use infra::postgres::{StoreError, TenantStore};
use uuid::Uuid;

use super::error::{UserError, UserErrorCode, WHY_LONG_CHARS_MAX, said, scope, within};
use super::page::{AGGREGATE_COST, LARGE_COST, cost, id, one_of, page, start, uuid};
use super::personal::{Personal, seen_report};

/// What is to stand at the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum FlowUndoTo {
    /// What stood there before, as the ledger says it was sent. What the source has changed since is not in it: such records are told.
    Previous,
    /// What the version that is published now makes of the same revisions.
    Published,
}

impl From<FlowUndoTo> for Goal {
    fn from(to: FlowUndoTo) -> Self {
        match to {
            FlowUndoTo::Previous => Self::Previous,
            FlowUndoTo::Published => Self::Published,
        }
    }
}

/// Takes back what a version of a flow did at its destination.
#[derive(SimpleObject)]
#[graphql(name = "FlowUndo", complex)]
pub struct UndoNode {
    id: ID,
    flow_id: ID,
    /// The version that is undone, by its number.
    version: i32,
    flow_version_id: ID,
    /// previous or published: what is to stand at the destination.
    to: String,
    /// What the version created is told, and not corrected.
    leaves_created: bool,
    /// Only what was confirmed from then on.
    since: Option<DateTime<Utc>>,
    /// queued, preparing, prepared (a person decides), approved, delivering, done, failed or cancelled.
    state: String,
    /// Why it failed.
    failure: Option<String>,
    started_by: Json<serde_json::Value>,
    /// Who approved it, when and why.
    approved_by: Option<Json<serde_json::Value>>,
    approved_at: Option<DateTime<Utc>>,
    why: Option<String>,
    created_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    #[graphql(skip)]
    row: Uuid,
    #[graphql(skip)]
    report: serde_json::Value,
}

impl From<undo::Model> for UndoNode {
    fn from(row: undo::Model) -> Self {
        Self {
            id: id::<UndoId>(row.id),
            flow_id: id::<FlowId>(row.flow_id),
            version: row.version,
            flow_version_id: id::<FlowVersionId>(row.flow_version_id),
            to: row.goal,
            leaves_created: row.leaves_created,
            since: row.since,
            state: row.state,
            failure: row.failure,
            started_by: Json(row.started_by),
            approved_by: row.approved_by.map(Json),
            approved_at: row.approved_at,
            why: row.why,
            created_at: row.created_at,
            ended_at: row.ended_at,
            row: row.id,
            report: row.report,
        }
    }
}

/// A count by its name.
#[derive(SimpleObject)]
struct FlowUndoCount {
    name: String,
    count: i64,
}

/// How far an undo came.
#[derive(SimpleObject)]
struct FlowUndoProgress {
    /// The deliveries that undo, by state.
    deliveries: Vec<FlowUndoCount>,
    /// The items, by kind; `left` are those that something came for since the preview.
    items: Vec<FlowUndoCount>,
}

/// A field of an item; a side that has nothing there is null. Texts have at most 200 characters.
#[derive(SimpleObject)]
struct FlowUndoChange {
    /// With its rows: lines[2].amount.
    path: String,
    /// What the version that is undone sent.
    sent: Option<Personal>,
    /// What stood there before.
    previous: Option<Personal>,
    /// What will be sent.
    will: Option<Personal>,
}

impl From<Change> for FlowUndoChange {
    fn from(Change { path, sent, previous, will }: Change) -> Self {
        let told = |value: Option<String>| value.map(|value| Personal::at(Some(&path), value));
        let (sent, previous, will) = (told(sent), told(previous), told(will));
        Self { path, sent, previous, will }
    }
}

/// One delivery of the version that is undone, and what becomes of it.
#[derive(SimpleObject)]
struct FlowUndoItem {
    id: ID,
    delivery_id: ID,
    record_id: ID,
    /// What people call the record.
    number: Option<String>,
    revision: i32,
    /// restore, correct, created, same, covered, open, cannot or left.
    kind: String,
    /// Stable and short: why.
    code: String,
    sentence: String,
    /// operations, developer, vendor or crossdock.
    owner: String,
    /// Null where there is nothing to do.
    next_step: Option<String>,
    /// The delivery that stood there before, and its revision.
    previous_id: Option<ID>,
    previous_revision: Option<i32>,
    /// What is made again of that one is what was sent then, to the letter; null where nothing can be compared.
    is_exact: Option<bool>,
    /// What is restored is of an earlier revision: the source has changed since.
    is_behind: bool,
    /// At most 50; `changesUntold` says how many more there are.
    changes: Vec<FlowUndoChange>,
    changes_untold: i32,
    /// The delivery that undoes it, and where that stands; null where none is planned.
    undoing_id: Option<ID>,
    undoing_state: Option<String>,
}

impl From<UndoItem> for FlowUndoItem {
    fn from(item: UndoItem) -> Self {
        Self {
            id: ID(item.id.to_string()),
            delivery_id: id::<DeliveryId>(item.delivery),
            record_id: id::<RecordId>(item.record),
            number: item.number,
            revision: item.revision,
            kind: item.kind,
            code: item.code,
            sentence: item.sentence,
            owner: item.owner,
            next_step: item.next_step,
            previous_id: item.previous.map(id::<DeliveryId>),
            previous_revision: item.previous_revision,
            is_exact: item.is_exact,
            is_behind: item.is_behind,
            changes: item.changes.into_iter().map(Into::into).collect(),
            changes_untold: item.changes_untold,
            undoing_id: item.undoing.map(id::<DeliveryId>),
            undoing_state: item.undoing_state,
        }
    }
}

#[ComplexObject]
impl UndoNode {
    /// What the preview comes to: items by kind, how many to restore are behind their source or not exact, and what differs by field and sum.
    /// Grows while it is prepared.
    #[graphql(complexity = "LARGE_COST")]
    async fn report(&self, ctx: &Context<'_>) -> Json<serde_json::Value> {
        Json(seen_report(ctx, self.report.clone()))
    }

    /// How far it came.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn progress(&self, ctx: &Context<'_>) -> Result<FlowUndoProgress> {
        let id = UndoId(self.row);
        let progress = within(ctx, Permission::ReadOperations, async |store| store.undo_progress(id).await).await?;
        let count = |(name, count): (String, u64)| FlowUndoCount { name, count: i64::try_from(count).unwrap_or(i64::MAX) };
        let deliveries = progress.deliveries.into_iter().map(|(state, n)| count((state.as_str().to_owned(), n))).collect();
        Ok(FlowUndoProgress { deliveries, items: progress.items.into_iter().map(count).collect() })
    }

    /// Its items in the order they were found, those of a kind or all, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn items(
        &self,
        ctx: &Context<'_>,
        kind: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, FlowUndoItem, EmptyFields, EmptyFields>> {
        one_of("kind", kind.as_deref(), &ItemKind::ALL.map(ItemKind::as_str))?;
        let (first, after) = start(first, after)?;
        let (id, limit) = (UndoId(self.row), i64::try_from(first).unwrap_or(1) + 1);
        let mut items =
            within(ctx, Permission::ReadOperations, async |store| store.undo_items(id, kind.as_deref(), after, limit).await)
                .await?;
        let has_next = items.len() as u64 > first;
        items.truncate(usize::try_from(first).unwrap_or(usize::MAX));
        let mut connection = Connection::new(after.is_some(), has_next);
        connection.edges.extend(items.into_iter().map(|item| Edge::new(item.id.0.simple().to_string(), item.into())));
        Ok(connection)
    }
}

#[derive(Default)]
pub struct UndoQuery;

#[Object]
impl UndoQuery {
    async fn flow_undo(&self, ctx: &Context<'_>, id: ID) -> Result<Option<UndoNode>> {
        let Some(id) = uuid::<UndoId>(&id) else { return Ok(None) };
        find(ctx, id).await
    }

    /// Of a flow, or of all. Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn flow_undos(
        &self,
        ctx: &Context<'_>,
        flow_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, UndoNode, EmptyFields, EmptyFields>> {
        // An id of nothing finds nothing.
        let flow = flow_id.map(|id| uuid::<FlowId>(&id).unwrap_or_default());
        page::<undo::Entity, _>(ctx, Permission::ReadOperations, first, after, filter::undos_of(flow), |row| (row.id, row.into()))
            .await
    }
}

async fn find(ctx: &Context<'_>, id: Uuid) -> Result<Option<UndoNode>> {
    let row = within(ctx, Permission::ReadOperations, async |store| store.find::<undo::Entity>(id).await).await?;
    Ok(row.map(UndoNode::from))
}

#[derive(InputObject, Default)]
struct FlowUndoInput {
    /// PREVIOUS where it is not said.
    to: Option<FlowUndoTo>,
    /// What the version created is only told. Otherwise it is corrected by the last good version before it (of PUBLISHED by that).
    #[graphql(default)]
    leaves_created: bool,
    /// Only what was confirmed from then on.
    since: Option<DateTime<Utc>>,
}

#[derive(SimpleObject)]
struct FlowUndoPayload {
    undo: Option<UndoNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct UndoMutation;

#[Object]
impl UndoMutation {
    /// Prepares to take back what a version of a flow did at its destination, at most 50,000 deliveries of it. Nothing is sent before it is
    /// approved: look at the undo until it is prepared. The version must not be the one that is published: roll back first.
    async fn flow_undo_prepare(
        &self,
        ctx: &Context<'_>,
        id: ID,
        version: i32,
        input: Option<FlowUndoInput>,
    ) -> Result<FlowUndoPayload> {
        scope(ctx, Permission::Configure)?;
        let FlowUndoInput { to, leaves_created, since } = input.unwrap_or_default();
        let Some(flow) = uuid::<FlowId>(&id).map(FlowId) else {
            return refuse("id", UserErrorCode::NotFound, "there is no such version of a flow");
        };
        let goal = to.unwrap_or(FlowUndoTo::Previous).into();
        let found = within(ctx, Permission::Configure, async |store| {
            let Some(undone) = store.flow_version(flow, version).await? else { return Ok(None) };
            let good = good(&store, &undone, goal).await?;
            Ok(Some((undone, good)))
        });
        let Some((undone, good)) = found.await? else {
            return refuse("version", UserErrorCode::NotFound, "there is no such version of a flow");
        };
        if matches!(undone.state, FlowState::Draft | FlowState::Review) {
            return refuse("version", UserErrorCode::Invalid, "it was never published, so it did nothing");
        }
        if goal == Goal::Published && good.as_ref().is_none_or(|good| good.destination != undone.destination) {
            let what = "no version that writes to the same destination is published; publish one first, or undo to PREVIOUS";
            return refuse("input.to", UserErrorCode::Blocked, what);
        }
        let new = NewUndo { version: &undone, goal, good: good.map(|good| good.id), leaves_created, since };
        payload(ctx, "version", within(ctx, Permission::Configure, async |store| store.undo_start(&new).await).await?).await
    }

    /// Approves a prepared undo, with a reason of 1 to 2,000 characters: what it restores and corrects is delivered, in the background and like
    /// any other. What something came for meanwhile is left, and told. To approve it again changes nothing. Where the flow wants a second
    /// person, whoever prepared it cannot.
    async fn flow_undo_approve(&self, ctx: &Context<'_>, id: ID, why: String) -> Result<FlowUndoPayload> {
        scope(ctx, Permission::Configure)?;
        let why = match said("why", &why, WHY_LONG_CHARS_MAX) {
            Ok(why) => why,
            Err(error) => return Ok(FlowUndoPayload { undo: None, user_errors: vec![error] }),
        };
        let undo = UndoId(uuid::<UndoId>(&id).unwrap_or_default());
        let step = within(ctx, Permission::Configure, async |store| store.undo_approve(undo, why).await).await?;
        payload(ctx, "id", step).await
    }

    /// Decides against an undo before it is approved. Nothing was sent.
    async fn flow_undo_cancel(&self, ctx: &Context<'_>, id: ID) -> Result<FlowUndoPayload> {
        let undo = UndoId(uuid::<UndoId>(&id).unwrap_or_default());
        let step = within(ctx, Permission::Configure, async |store| store.undo_cancel(undo).await).await?;
        payload(ctx, "id", step).await
    }
}

/// By whose rules a record is sent that has no value of before, or all of them.
async fn good(store: &TenantStore<'_>, undone: &FlowVersion, goal: Goal) -> Result<Option<FlowVersion>, StoreError> {
    match goal {
        Goal::Previous => store.undo_good(undone).await,
        Goal::Published => store.flow_published(undone.flow).await,
    }
}

async fn payload(ctx: &Context<'_>, field: &str, step: UndoStep) -> Result<FlowUndoPayload> {
    let blocked = |what: &str| refuse(field, UserErrorCode::Blocked, what);
    match step {
        UndoStep::Done(id) => Ok(FlowUndoPayload { undo: find(ctx, id.0).await?, user_errors: vec![] }),
        UndoStep::NotFound => refuse(field, UserErrorCode::NotFound, "there is no such undo"),
        UndoStep::Open => blocked("an undo of this flow has not ended; wait for it, or cancel it"),
        UndoStep::Published(version) => blocked(&format!(
            "version {version} is published and says the same, so what comes next would be wrong again; roll back, publish another version or retire it first"
        )),
        UndoStep::NotNow(UndoState::Queued | UndoState::Preparing) => blocked("its preview is still made; look at it first"),
        UndoStep::NotNow(state) => blocked(&format!("it is {}; prepare another", state.as_str())),
        UndoStep::Own => blocked("whoever prepared it cannot approve it; ask another admin, owner or developer"),
        UndoStep::Stale(what) => {
            let message = format!("what you saw may not be what would be sent: {what}; cancel it and prepare another");
            refuse(field, UserErrorCode::Changed, &message)
        }
    }
}

fn refuse(field: &str, code: UserErrorCode, message: &str) -> Result<FlowUndoPayload> {
    Ok(FlowUndoPayload { undo: None, user_errors: vec![UserError::new(field, code, message)] })
}
