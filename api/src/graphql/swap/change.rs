//! The steps of a swap, each with what stands in its way said in words.

use async_graphql::{Context, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Duration, Utc};
use connectors::flow::check;
use connectors::swap::Severity;
use domain::id::{ConnectionId, FlowId, SwapId};
use domain::mapping::Rules;
use domain::scope::Permission;
use domain::swap::{PERCENT_MAX, SwapState};
use infra::postgres::entity::connection;
use infra::postgres::flow::FlowVersion;
use infra::postgres::swap::{Swap, SwapStep};
use infra::postgres::{StoreError, TenantStore};
use infra::trial::Sides;

use super::{SwapNode, SwapSide, find, gaps};
use crate::graphql::error::{UserError, UserErrorCode, WHY_LONG_CHARS_MAX, internal, said, scope, state, within};
use crate::graphql::flow::told;
use crate::graphql::page::uuid;

/// How far back a shadow may look.
const SINCE_DAYS_MAX: i64 = 90;

#[derive(InputObject)]
struct SwapBeginInput {
    flow_id: ID,
    /// The candidate: another connection, of the same connector or of another.
    connection_id: ID,
    /// Rules that lie over those by which the candidate's connector writes; at most 1,000 together with them.
    mapping: Option<Json<serde_json::Value>>,
}

#[derive(SimpleObject)]
struct SwapPayload {
    swap: Option<SwapNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SwapMutation;

#[Object]
impl SwapMutation {
    /// Begins the replacement of a flow's destination. Nothing runs by it yet; a flow has one swap at a time.
    async fn swap_begin(&self, ctx: &Context<'_>, input: SwapBeginInput) -> Result<SwapPayload> {
        scope(ctx, Permission::Configure)?;
        let Some(flow) = uuid::<FlowId>(&input.flow_id).map(FlowId) else { return no_flow() };
        let found = within(ctx, Permission::Configure, async |store| {
            let version = store.flow_current(flow).await?;
            let connection = match uuid::<ConnectionId>(&input.connection_id) {
                Some(id) => store.find::<connection::Entity>(id).await?,
                None => None,
            };
            Ok((version, connection))
        });
        let (Some(version), connection) = found.await? else { return no_flow() };
        let Some(connection) = connection else {
            return refuse("connectionId", UserErrorCode::NotFound, "there is no such connection");
        };
        let mapping = match rules(input.mapping.as_ref()) {
            Ok(mapping) => mapping,
            Err(error) => return Ok(SwapPayload { swap: None, user_errors: vec![error] }),
        };
        let candidate = ConnectionId(connection.id);
        let errors = unfit(ctx, &version, candidate, &mapping).await?;
        if !errors.is_empty() {
            return Ok(SwapPayload { swap: None, user_errors: errors });
        }
        step(ctx, async |store| store.swap_begin(flow, candidate, &mapping).await).await
    }

    /// Other rules for the candidate. A shadow begins anew; where the candidate gets records already, those from now on are written by these.
    async fn swap_change(&self, ctx: &Context<'_>, id: ID, mapping: Json<serde_json::Value>) -> Result<SwapPayload> {
        scope(ctx, Permission::Configure)?;
        let Some(id) = uuid::<SwapId>(&id).map(SwapId) else { return no_swap() };
        let Some((swap, version)) = load(ctx, id).await? else { return no_swap() };
        let mapping = match rules(Some(&mapping)) {
            Ok(mapping) => mapping,
            Err(error) => return Ok(SwapPayload { swap: None, user_errors: vec![error] }),
        };
        let errors = unfit(ctx, &version, swap.connection, &mapping).await?;
        if !errors.is_empty() {
            return Ok(SwapPayload { swap: None, user_errors: errors });
        }
        step(ctx, async |store| store.swap_change(swap.id, &mapping).await).await
    }

    /// Begins the shadow run: of each delivery of the flow the candidate's request is made too, and not sent. Of those that were planned `since`
    /// then, at most 90 days ago; from now on where it is not said.
    async fn swap_shadow(&self, ctx: &Context<'_>, id: ID, since: Option<DateTime<Utc>>) -> Result<SwapPayload> {
        let Some(swap) = uuid::<SwapId>(&id).map(SwapId) else { return no_swap() };
        let now = Utc::now();
        let since = since.unwrap_or(now);
        if since > now || since < now - Duration::days(SINCE_DAYS_MAX) {
            let message = format!("a shadow sees what was planned since a moment of the last {SINCE_DAYS_MAX} days");
            return refuse("since", UserErrorCode::Invalid, &message);
        }
        step(ctx, async |store| store.swap_shadow(swap, since).await).await
    }

    /// So many percent of the new records, 0 to 100, go to the candidate from now on. A record that was delivered stays where it is. Where the
    /// shadow found what the candidate refuses or loses, or has seen nothing yet, `why` says why that is wanted: 1 to 2,000 characters.
    async fn swap_cut(&self, ctx: &Context<'_>, id: ID, percent: i32, why: Option<String>) -> Result<SwapPayload> {
        scope(ctx, Permission::Configure)?;
        let Some(percent) = u8::try_from(percent).ok().filter(|percent| *percent <= PERCENT_MAX) else {
            return refuse("percent", UserErrorCode::Invalid, "the percent is a whole number from 0 to 100");
        };
        let why = match why.as_deref().map(|why| said("why", why, WHY_LONG_CHARS_MAX)).transpose() {
            Ok(why) => why,
            Err(error) => return Ok(SwapPayload { swap: None, user_errors: vec![error] }),
        };
        let Some(id) = uuid::<SwapId>(&id).map(SwapId) else { return no_swap() };
        let Some((swap, version)) = load(ctx, id).await? else { return no_swap() };
        if percent > swap.percent {
            let scope = scope(ctx, Permission::Configure)?;
            let store = state(ctx).store.within(&scope);
            let gaps = gaps::of(ctx, &store, &version, SwapSide::Destination, swap.connection, &swap.mapping).await?;
            if let Some(gap) = gaps.into_iter().find(|gap| gap.severity == Severity::Blocks) {
                return refuse("id", UserErrorCode::Blocked, &format!("{} {}", gap.sentence, gap.next_step));
            }
        }
        step(ctx, async |store| store.swap_cut(swap.id, percent, why).await).await
    }

    /// Gives the swap up: new records go to the old destination again. What the candidate has stays there, with its later revisions. `why` has
    /// 1 to 2,000 characters.
    async fn swap_back(&self, ctx: &Context<'_>, id: ID, why: String) -> Result<SwapPayload> {
        let Some(swap) = uuid::<SwapId>(&id).map(SwapId) else { return no_swap() };
        match said("why", &why, WHY_LONG_CHARS_MAX) {
            Ok(why) => step(ctx, async |store| store.swap_back(swap, why).await).await,
            Err(error) => Ok(SwapPayload { swap: None, user_errors: vec![error] }),
        }
    }

    /// Makes the candidate the flow's destination, once all new records go there, and publishes its rules as a version. What the old destination
    /// has is still updated there, unless `movesKnown`: then each is made anew at the new one with its next revision.
    async fn swap_done(&self, ctx: &Context<'_>, id: ID, moves_known: Option<bool>) -> Result<SwapPayload> {
        let Some(swap) = uuid::<SwapId>(&id).map(SwapId) else { return no_swap() };
        step(ctx, async |store| store.swap_done(swap, moves_known.unwrap_or_default()).await).await
    }
}

/// A swap, and the version of its flow that it is compared with.
pub(super) async fn load(ctx: &Context<'_>, id: SwapId) -> Result<Option<(Swap, FlowVersion)>> {
    let scope = scope(ctx, Permission::ReadOperations)?;
    let store = state(ctx).store.within(&scope);
    let Some(swap) = store.swap_load(id).await.map_err(|error| internal(ctx, &error))? else { return Ok(None) };
    let version = store.flow_current(swap.flow).await.map_err(|error| internal(ctx, &error))?;
    Ok(version.map(|version| (swap, version)))
}

/// What is wrong with the rules over the candidate's.
async fn unfit(ctx: &Context<'_>, version: &FlowVersion, candidate: ConnectionId, mapping: &Rules) -> Result<Vec<UserError>> {
    let other = version.towards(candidate, mapping);
    let scope = scope(ctx, Permission::Configure)?;
    let sides = Sides::load(&state(ctx).store.within(&scope), state(ctx).catalog, &other).await;
    let sides = sides.map_err(|error| told(ctx, error))?;
    let errors = check(&other.spec, other.kind, sides.source().connector, sides.destination().connector);
    let of_mapping = errors.into_iter().filter(|error| error.field == "mapping");
    Ok(of_mapping.map(|error| UserError::new("mapping", UserErrorCode::Invalid, error.what)).collect())
}

fn rules(mapping: Option<&Json<serde_json::Value>>) -> Result<Rules, UserError> {
    let Some(Json(json)) = mapping else { return Ok(Rules::default()) };
    serde_json::from_value(json.clone()).map_err(|error| UserError::new("mapping", UserErrorCode::Invalid, error.to_string()))
}

/// Takes a step, and says why it was not taken.
async fn step(ctx: &Context<'_>, act: impl AsyncFnOnce(TenantStore<'_>) -> Result<SwapStep, StoreError>) -> Result<SwapPayload> {
    let blocked = |message: &str| refuse("id", UserErrorCode::Blocked, message);
    match within(ctx, Permission::Configure, act).await? {
        SwapStep::Done(id) => Ok(SwapPayload { swap: find(ctx, id.0).await?, user_errors: vec![] }),
        SwapStep::NotFound => no_swap(),
        SwapStep::Open => {
            refuse("flowId", UserErrorCode::Taken, "the flow has a swap that has not ended; finish it, or take it back first")
        }
        SwapStep::Same => refuse("connectionId", UserErrorCode::Invalid, "the flow goes from or to this connection already"),
        SwapStep::NotNow(state) => blocked(not_now(state)),
        SwapStep::NotSeen => blocked("the shadow has seen no delivery yet; let it see some, or say why you go on without"),
        SwapStep::NotClean => blocked(
            "the shadow found deliveries that the candidate refuses, or fields that it loses; mend its mapping with swapChange, or say why that is wanted",
        ),
        SwapStep::Own => blocked("the flow wants a second person: ask another admin, owner or developer to cut over"),
        SwapStep::NotPublished => blocked("no version of the flow is published; publish one first"),
        SwapStep::HasDraft => blocked(
            "the flow has a draft that was made for the destination that it leaves; publish it, or draft what is published again and publish that, first",
        ),
        SwapStep::NotAll => blocked("not all new records go to the candidate yet; cut over 100 percent first"),
    }
}

fn not_now(state: SwapState) -> &'static str {
    match state {
        SwapState::Draft => "the swap is a draft; run it as a shadow first",
        SwapState::Shadow => "the swap runs as a shadow; cut over next",
        SwapState::Cutting => "the candidate gets records already; set another percent, finish it or take it back",
        SwapState::Done => "the swap is done; to go back, begin another one",
        SwapState::Back => "the swap was taken back; begin another one",
    }
}

fn no_swap() -> Result<SwapPayload> {
    refuse("id", UserErrorCode::NotFound, "there is no such swap")
}

fn no_flow() -> Result<SwapPayload> {
    refuse("flowId", UserErrorCode::NotFound, "there is no such flow")
}

fn refuse(field: &str, code: UserErrorCode, message: &str) -> Result<SwapPayload> {
    Ok(SwapPayload { swap: None, user_errors: vec![UserError::new(field, code, message)] })
}
