//! The life of a flow: drafted, looked at, published, rolled back, retired.

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use domain::flow::{FlowSpec, FlowState};
use domain::id::{ConnectionId, FlowId, FlowVersionId};
use domain::scope::Permission;
use infra::postgres::entity::flow;
use infra::postgres::flow::{FlowVersion, NewFlow, Stepped};
use infra::postgres::{StoreError, TenantStore};

use super::FlowNode;
use super::input::{FlowCreateInput, FlowDraftInput, Sides, note_error};
use crate::graphql::error::{UserError, UserErrorCode, scope, within};
use crate::graphql::page::uuid;

#[derive(SimpleObject)]
struct FlowPayload {
    flow: Option<FlowNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct FlowMutation;

#[Object]
impl FlowMutation {
    /// A new flow with its first draft. Nothing runs before it is published.
    async fn flow_create(&self, ctx: &Context<'_>, input: FlowCreateInput) -> Result<FlowPayload> {
        scope(ctx, Permission::Configure)?;
        let sides = match Sides::of(ctx, &input).await? {
            Ok(sides) => sides,
            Err(errors) => return refuse(errors),
        };
        let spec = match input.draft.over(FlowSpec::default()) {
            Ok(spec) => spec,
            Err(errors) => return refuse(errors),
        };
        let errors = sides.errors(&spec);
        if !errors.is_empty() {
            return refuse(errors);
        }
        let new = NewFlow {
            name: &input.name,
            kind: sides.kind,
            source: ConnectionId(sides.source),
            destination: ConnectionId(sides.destination),
            needs_approval: input.needs_approval.unwrap_or_default(),
            needs_replay: input.needs_replay.unwrap_or_default(),
            spec: &spec,
            note: input.draft.note.as_deref().unwrap_or_default(),
        };
        let made = within(ctx, Permission::Configure, async |store| match store.flow_create(&new).await? {
            Some(id) => store.find::<flow::Entity>(id.0).await,
            None => Ok(None),
        });
        match made.await? {
            Some(row) => Ok(FlowPayload { flow: Some(row.into()), user_errors: vec![] }),
            None => refuse(vec![UserError::new("name", UserErrorCode::Taken, "the name is taken")]),
        }
    }

    /// A new draft of a flow, in the place of the draft it may have. Nothing runs differently before it is published. `basedOn` is the number
    /// of the version that you saw, `basedOnId` its id, which a draft in the place of a draft has not in common with it: where another is the
    /// newest by now, somebody else has drafted meanwhile, and this is refused.
    async fn flow_draft(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: FlowDraftInput,
        based_on: Option<i32>,
        based_on_id: Option<ID>,
    ) -> Result<FlowPayload> {
        scope(ctx, Permission::Configure)?;
        let newest = version(ctx, &id, async |store, flow| store.flow_newest(flow).await).await?;
        let Some(newest) = newest else { return not_found() };
        if based_on.is_some_and(|version| version != newest.version) || is_other(based_on_id.as_ref(), &newest) {
            return refuse(vec![changed()]);
        }
        let sides = match Sides::find(ctx, newest.kind, newest.source.0, newest.destination.0).await? {
            Ok(sides) => sides,
            Err(errors) => return refuse(errors),
        };
        let spec = match input.over(newest.spec.clone()) {
            Ok(spec) => spec,
            Err(errors) => return refuse(errors),
        };
        let errors = sides.errors(&spec);
        if !errors.is_empty() {
            return refuse(errors);
        }
        let note = input.note.as_deref().unwrap_or_default();
        step(ctx, &id, "", async |store, flow| store.flow_draft(flow, newest.id, &spec, note).await).await
    }

    /// What a draft must pass before it is published.
    async fn flow_gates_set(
        &self,
        ctx: &Context<'_>,
        id: ID,
        needs_approval: Option<bool>,
        needs_replay: Option<bool>,
    ) -> Result<FlowPayload> {
        step(ctx, &id, "", async |store, flow| store.flow_gates(flow, needs_approval, needs_replay).await).await
    }

    /// Hands the draft over to be looked at.
    async fn flow_submit(&self, ctx: &Context<'_>, id: ID) -> Result<FlowPayload> {
        step(ctx, &id, "it has no draft to submit", async |store, flow| store.flow_review(flow, true).await).await
    }

    /// Takes the draft back from review; its approval is over.
    async fn flow_withdraw(&self, ctx: &Context<'_>, id: ID) -> Result<FlowPayload> {
        step(ctx, &id, "nothing of it is in review", async |store, flow| store.flow_review(flow, false).await).await
    }

    /// Approves what is in review. Whoever drafted it cannot.
    async fn flow_approve(&self, ctx: &Context<'_>, id: ID) -> Result<FlowPayload> {
        step(ctx, &id, "nothing of it is in review", async |store, flow| store.flow_approve(flow).await).await
    }

    /// Publishes the draft. Work under way finishes on the version it began with. `versionId` is the draft that you saw: where it is another
    /// by now, this is refused. `note` says why it is published, in the place of the draft's own: what was approved and replayed stays as it was.
    async fn flow_publish(&self, ctx: &Context<'_>, id: ID, version_id: Option<ID>, note: Option<String>) -> Result<FlowPayload> {
        scope(ctx, Permission::Configure)?;
        if let Some(error) = note_error(note.as_deref()) {
            return refuse(vec![error]);
        }
        let newest = version(ctx, &id, async |store, flow| store.flow_newest(flow).await).await?;
        let Some(newest) = newest else { return not_found() };
        if !newest.state.may_become(FlowState::Published) {
            return refuse(vec![UserError::new("id", UserErrorCode::Invalid, "it has no draft to publish")]);
        }
        if is_other(version_id.as_ref(), &newest) {
            return refuse(vec![changed()]);
        }
        if let Err(errors) = sound(ctx, &newest).await? {
            return refuse(errors);
        }
        step(ctx, &id, "it has no draft to publish", async |store, _| store.flow_publish(&newest, note.as_deref()).await).await
    }

    /// Publishes a new version that says the same as this one, which was published before.
    async fn flow_roll_back(&self, ctx: &Context<'_>, id: ID, version: i32) -> Result<FlowPayload> {
        scope(ctx, Permission::Configure)?;
        let refusal = "only a version that was published, and is not now, can be rolled back to";
        let to = self::version(ctx, &id, async |store, flow| store.flow_version(flow, version).await).await?;
        let Some(to) = to.filter(|to| to.state == FlowState::Retired) else {
            return refuse(vec![UserError::new("version", UserErrorCode::Invalid, refusal)]);
        };
        if let Err(errors) = sound(ctx, &to).await? {
            return refuse(errors);
        }
        step(ctx, &id, refusal, async |store, _| store.flow_roll_back(&to).await).await
    }

    /// Retires the published version. What is planned is still delivered; nothing new is planned. `versionId` is the version that you saw:
    /// where another is published by now, this is refused.
    async fn flow_retire(&self, ctx: &Context<'_>, id: ID, version_id: Option<ID>) -> Result<FlowPayload> {
        // What is no id of a version is none that is published.
        let seen = version_id.map(|id| FlowVersionId(uuid::<FlowVersionId>(&id).unwrap_or_default()));
        step(ctx, &id, "it has no published version", async |store, flow| store.flow_retire(flow, seen).await).await
    }
}

/// True where the newest version is not the one that was seen.
fn is_other(seen: Option<&ID>, newest: &FlowVersion) -> bool {
    seen.is_some_and(|id| uuid::<FlowVersionId>(id) != Some(newest.id.0))
}

/// A version fits its connectors as they are now: they may have changed since it was drafted.
async fn sound(ctx: &Context<'_>, version: &FlowVersion) -> Result<Result<(), Vec<UserError>>> {
    let errors = match Sides::find(ctx, version.kind, version.source.0, version.destination.0).await? {
        Ok(sides) => sides.errors(&version.spec),
        Err(errors) => errors,
    };
    Ok(if errors.is_empty() { Ok(()) } else { Err(errors) })
}

pub(super) async fn version(
    ctx: &Context<'_>,
    id: &ID,
    find: impl AsyncFnOnce(TenantStore<'_>, FlowId) -> Result<Option<FlowVersion>, StoreError>,
) -> Result<Option<FlowVersion>> {
    let Some(flow) = uuid::<FlowId>(id) else { return Ok(None) };
    within(ctx, Permission::ReadOperations, async |store| find(store, FlowId(flow)).await).await
}

/// Takes a step, and says why it was not taken. `refusal` is for a flow that has no version of the kind.
async fn step(
    ctx: &Context<'_>,
    id: &ID,
    refusal: &str,
    act: impl AsyncFnOnce(TenantStore<'_>, FlowId) -> Result<Stepped, StoreError>,
) -> Result<FlowPayload> {
    let Some(flow) = uuid::<FlowId>(id) else { return not_found() };
    let stepped = within(ctx, Permission::Configure, async |store| {
        let stepped = act(store, FlowId(flow)).await?;
        Ok((stepped, store.find::<flow::Entity>(flow).await?))
    });
    let (stepped, row) = stepped.await?;
    let Some(row) = row else { return not_found() };
    let invalid = |message: String| refuse(vec![UserError::new("id", UserErrorCode::Invalid, message)]);
    let blocked = |message: &str| refuse(vec![UserError::new("id", UserErrorCode::Blocked, message)]);
    match stepped {
        Stepped::Done => Ok(FlowPayload { flow: Some(row.into()), user_errors: vec![] }),
        Stepped::NotFound => invalid(refusal.to_owned()),
        Stepped::Changed => refuse(vec![changed()]),
        Stepped::Own => blocked("whoever drafted it cannot approve it; ask another admin, owner or developer"),
        Stepped::NeedsApproval => blocked("another person approves it first: flowSubmit, then flowApprove by somebody else"),
        Stepped::NeedsReplay => blocked(
            "a replay of this draft must come first, and change nothing, or what it changes be accepted: flowReplay, then runAccept",
        ),
        Stepped::Elsewhere => {
            blocked("that version writes to a destination that the flow has left; to go there again, begin a swap")
        }
        Stepped::Conflict { flow, field } => invalid(format!(
            "the flow \"{flow}\" reads the same records and writes {field} by another rule; a record is read once, so make the two rules the same"
        )),
    }
}

fn changed() -> UserError {
    UserError::new(
        "id",
        UserErrorCode::Changed,
        "somebody else has changed it meanwhile; look at the newest version, then try again",
    )
}

fn not_found() -> Result<FlowPayload> {
    refuse(vec![UserError::new("id", UserErrorCode::NotFound, "there is no such flow")])
}

fn refuse(user_errors: Vec<UserError>) -> Result<FlowPayload> {
    Ok(FlowPayload { flow: None, user_errors })
}
