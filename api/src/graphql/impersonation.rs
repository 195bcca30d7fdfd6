//! Impersonations: support in the place of a tenant that let it, for a reason and an hour at most. The staff begin and leave them; the tenant reads what was
//! done, and ends them.

use std::collections::BTreeSet;

use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject, Value};
use chrono::{DateTime, Utc};
use domain::id::{ImpersonationId, SessionId};
use domain::impersonation::{self, MINUTES_MAX};
use domain::permission::Permission;
use infra::postgres::StoreError;
use infra::postgres::impersonation::{Ended, Impersonation, LiveImpersonation};
use infra::postgres::support::{Errand, Told};

use super::error::{UserError, UserErrorCode, internal, state, viewer, within};
use super::page::{cost, uuid};
use super::support::{refusal, writer, wrong};
use crate::AppState;
use crate::auth::{Identity, Viewer};

/// Root fields and ids that are noted of one request of support.
const NOTED_MAX: usize = 20;
/// Longer than the name of any operation.
const NAME_CHARS_MAX: usize = 60;
/// What only asks who one is: the web app asks it again and again.
const NOT_NOTED: [&str; 5] = ["viewer", "tenant", "__typename", "__schema", "__type"];
/// Fragments within fragments at the root.
const FRAGMENTS_MAX: usize = 10;

/// Somebody of the staff.
#[derive(SimpleObject)]
pub struct StaffPerson {
    pub name: String,
    pub email: String,
}

/// Support in the place of a tenant, at this moment.
#[derive(SimpleObject)]
pub struct RunningImpersonation {
    id: ID,
    /// What the staff said of why.
    reason: String,
    /// As their help desk knows it.
    ticket: String,
    staff: StaffPerson,
    /// The tenant's name.
    tenant: String,
    tenant_slug: String,
    /// An hour after it began at the latest; nobody moves it.
    ends_at: DateTime<Utc>,
    /// The tenant allowed what an operator writes; else nothing is changed.
    may_write: bool,
}

impl From<&LiveImpersonation> for RunningImpersonation {
    fn from(live: &LiveImpersonation) -> Self {
        Self {
            id: ID(live.id.to_string()),
            reason: live.reason.clone(),
            ticket: live.ticket.clone(),
            staff: StaffPerson { name: live.staff_name.clone(), email: live.staff_email.clone() },
            tenant: live.tenant_name.clone(),
            tenant_slug: live.tenant_slug.clone(),
            ends_at: live.ends_at,
            may_write: live.may_write,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum ImpersonationState {
    Running,
    Ended,
}

/// What ended one.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Ended")]
enum ImpersonationEnd {
    /// Whoever began it left.
    Left,
    /// Somebody of the tenant.
    Tenant,
    /// The consent that it rested on was withdrawn.
    Consent,
    /// Whoever began it is no staff any more.
    Staff,
    /// Its time.
    Time,
    /// Whoever began it signed out, or gave their second factor up.
    Session,
}

/// Support in the place of the tenant, now or before.
#[derive(SimpleObject)]
#[graphql(name = "Impersonation")]
struct ImpersonationNode {
    id: ID,
    staff: StaffPerson,
    reason: String,
    ticket: String,
    /// The consent that it rests on: `supportConsents` lists them.
    consent_id: ID,
    may_write: bool,
    state: ImpersonationState,
    began_at: DateTime<Utc>,
    /// When it ends at the latest.
    ends_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    /// Null while it runs, and for some seconds after its time.
    ended_why: Option<ImpersonationEnd>,
    /// The person who ended it, where one did.
    ended_by: Option<ID>,
    /// What the audit log has of it, its beginning and each look too: `auditEvents(filter: { actorId: <its id> })` shows them.
    event_count: i64,
    /// Those of them that changed something.
    change_count: i64,
}

impl From<Impersonation> for ImpersonationNode {
    fn from(of: Impersonation) -> Self {
        Self {
            id: ID(of.id.to_string()),
            staff: StaffPerson { name: of.staff_name, email: of.staff_email },
            reason: of.reason,
            ticket: of.ticket,
            consent_id: ID(of.consent.to_string()),
            may_write: of.may_write,
            state: if of.is_live { ImpersonationState::Running } else { ImpersonationState::Ended },
            began_at: of.began_at,
            ends_at: of.ends_at,
            ended_at: of.ended_at.or_else(|| (!of.is_live).then(|| of.ends_at.min(Utc::now()))),
            ended_why: of.ended_why.map(Into::into),
            ended_by: of.ended_by.map(|user| ID(user.to_string())),
            event_count: of.events,
            change_count: of.changes,
        }
    }
}

#[derive(InputObject)]
struct ImpersonationBeginInput {
    /// Its id or slug.
    tenant: String,
    /// Why; the tenant reads it. At most 500 characters.
    reason: String,
    /// As your help desk knows it, at most 100 characters.
    ticket: String,
    /// 1 to 60.
    #[graphql(default_with = "MINUTES_MAX")]
    minutes: i32,
    /// To change what an operator may change, where the tenant allows it.
    #[graphql(default = false)]
    may_write: bool,
}

#[derive(SimpleObject)]
struct ImpersonationBeginPayload {
    impersonation: Option<RunningImpersonation>,
    /// Goes into the header `Authorization: Bearer …`, in the place of your own. It is of this tenant only, ends with the impersonation, and is not
    /// refreshed.
    access_token: Option<String>,
    user_errors: Vec<UserError>,
}

impl ImpersonationBeginPayload {
    fn refuse(error: UserError) -> Self {
        Self { impersonation: None, access_token: None, user_errors: vec![error] }
    }
}

#[derive(SimpleObject)]
struct ImpersonationLeavePayload {
    done: bool,
    user_errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct ImpersonationPayload {
    impersonation: Option<ImpersonationNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ImpersonationQuery;

#[Object]
impl ImpersonationQuery {
    /// Support in the place of the tenant, the newest first, what is over too; at most 500.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn impersonations(&self, ctx: &Context<'_>) -> Result<Vec<ImpersonationNode>> {
        let impersonations = within(ctx, Permission::ReadAudit, async |store| store.impersonations(None).await).await?;
        Ok(impersonations.into_iter().map(Into::into).collect())
    }
}

#[derive(Default)]
pub struct ImpersonationMutation;

#[Object]
impl ImpersonationMutation {
    /// Begins to look at a tenant in its place, with its consent: for an hour at most, one at a time, and only with a second factor. All that is asked is
    /// in the tenant's audit log, and its owners and admins are told by mail.
    #[graphql(complexity = "100 + child_complexity")]
    async fn impersonation_begin(&self, ctx: &Context<'_>, input: ImpersonationBeginInput) -> Result<ImpersonationBeginPayload> {
        let viewer = viewer(ctx)?;
        let (user, session) = viewer.person()?;
        let (tenant, reason, ticket) = (input.tenant.trim(), input.reason.trim(), input.ticket.trim());
        if let Some(error) = wrong(reason, ticket) {
            return Ok(ImpersonationBeginPayload::refuse(error));
        }
        if !(1..=MINUTES_MAX).contains(&input.minutes) {
            let message = format!("1 to {MINUTES_MAX} minutes; begin another one then");
            return Ok(ImpersonationBeginPayload::refuse(UserError::new("input.minutes", UserErrorCode::Invalid, message)));
        }
        let errand = Errand { user, tenant, reason, ticket, may_write: input.may_write };
        let write = |told: &Told| writer(ctx, &errand, told);
        let begun = state(ctx).store.impersonation_begin(&errand, session, input.minutes, viewer.request, &write).await;
        let id = match begun.map_err(|error| internal(ctx, &error))? {
            Ok(begun) => begun,
            Err(why) => return Ok(ImpersonationBeginPayload::refuse(refusal(why))),
        };
        let live = state(ctx).store.impersonation_live(id, user, session).await.map_err(|error| internal(ctx, &error))?;
        Ok(shown(ctx, live, session))
    }

    /// Another token of your impersonation that runs, after you signed in elsewhere or lost the one that you had: that is worth nothing any more. Its end
    /// stays where it was.
    async fn impersonation_resume(&self, ctx: &Context<'_>) -> Result<ImpersonationBeginPayload> {
        let (user, session) = viewer(ctx)?.person()?;
        let store = &state(ctx).store;
        let live = async {
            let Some(live) = store.impersonation_running(user).await? else { return Ok(None) };
            let moved = store.impersonation_move(live.id, user, session).await?;
            Ok::<_, StoreError>(moved.then_some(live))
        };
        Ok(shown(ctx, live.await.map_err(|error| internal(ctx, &error))?, session))
    }

    /// Ends your impersonation at once: with its own token, or with yours.
    async fn impersonation_leave(&self, ctx: &Context<'_>) -> Result<ImpersonationLeavePayload> {
        let viewer = viewer(ctx)?;
        let user = match &viewer.identity {
            Identity::Impersonation(live) => live.user,
            Identity::Person { .. } | Identity::ApiKey(_) => viewer.person()?.0,
        };
        let left = state(ctx).store.impersonation_leave(user, viewer.request).await;
        let done = left.map_err(|error| internal(ctx, &error))?;
        let user_errors = if done { vec![] } else { vec![UserError::new("impersonation", UserErrorCode::NotFound, NONE_RUNS)] };
        Ok(ImpersonationLeavePayload { done, user_errors })
    }

    /// Ends support in the place of the tenant at once, whatever its token says.
    async fn impersonation_end(&self, ctx: &Context<'_>, id: ID) -> Result<ImpersonationPayload> {
        let (user, _) = viewer(ctx)?.person()?;
        let missing = || {
            let error = UserError::new("id", UserErrorCode::NotFound, "there is no such impersonation, or it is over");
            Ok(ImpersonationPayload { impersonation: None, user_errors: vec![error] })
        };
        let Some(id) = uuid::<ImpersonationId>(&id).map(ImpersonationId) else { return missing() };
        if !within(ctx, Permission::ManageSupport, async |store| store.impersonation_end(id, user).await).await? {
            return missing();
        }
        let ended = within(ctx, Permission::ManageSupport, async |store| store.impersonations(Some(id)).await).await?;
        Ok(ImpersonationPayload { impersonation: ended.into_iter().next().map(Into::into), user_errors: vec![] })
    }
}

const NONE_RUNS: &str = "you have no impersonation that runs; begin one (impersonationBegin)";

/// A token of one that runs.
fn shown(ctx: &Context<'_>, live: Option<LiveImpersonation>, session: SessionId) -> ImpersonationBeginPayload {
    let signed = |live: LiveImpersonation| Some((state(ctx).tokens.sign_impersonation(&live, session)?, live));
    let Some((token, live)) = live.and_then(signed) else {
        return ImpersonationBeginPayload::refuse(UserError::new("impersonation", UserErrorCode::NotFound, NONE_RUNS));
    };
    ImpersonationBeginPayload { impersonation: Some((&live).into()), access_token: Some(token), user_errors: vec![] }
}

/// Notes in the tenant's audit log what support is about to ask in its place: which operations, about which things. What they say beside is not kept: it may
/// be anything.
pub async fn note(state: &AppState, viewer: &Viewer, request: &mut async_graphql::Request) -> Result<(), StoreError> {
    let Identity::Impersonation(live) = &viewer.identity else { return Ok(()) };
    let Some(scope) = viewer.scope() else { return Ok(()) };
    let mut ids = BTreeSet::new();
    request.variables.values().for_each(|value| ids_in(value, &mut ids));
    // What cannot be read is not run, either.
    let Ok(document) = request.parsed_query() else { return Ok(()) };
    let asked = asked(document, &mut ids);
    if asked.iter().all(|field| NOT_NOTED.contains(&field.as_str())) {
        return Ok(());
    }
    let count = asked.len();
    let (asked, ids): (Vec<_>, Vec<_>) = (asked.into_iter().take(NOTED_MAX).collect(), ids.into_iter().take(NOTED_MAX).collect());
    let detail = serde_json::json!({"asked": asked, "count": count, "ids": ids}).to_string();
    state.store.within(&scope).impersonation_used(live.id, &detail).await
}

/// The root fields of a document, each once, and the ids that they name.
pub(super) fn asked(document: &ExecutableDocument, ids: &mut BTreeSet<String>) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    for (_, operation) in document.operations.iter() {
        fields(document, &operation.node.selection_set.node, FRAGMENTS_MAX, &mut asked, ids);
    }
    asked
}

fn fields(
    document: &ExecutableDocument,
    set: &SelectionSet,
    depth: usize,
    asked: &mut BTreeSet<String>,
    ids: &mut BTreeSet<String>,
) {
    for selection in &set.items {
        let within = match &selection.node {
            Selection::Field(field) => {
                // It is not looked at yet whether there is such a field.
                asked.insert(field.node.name.node.chars().take(NAME_CHARS_MAX).collect());
                for (_, value) in &field.node.arguments {
                    if let Some(value) = value.node.clone().into_const() {
                        ids_in(&value, ids);
                    }
                }
                continue;
            }
            Selection::FragmentSpread(spread) => {
                document.fragments.get(&spread.node.fragment_name.node).map(|fragment| &fragment.node.selection_set.node)
            }
            Selection::InlineFragment(fragment) => Some(&fragment.node.selection_set.node),
        };
        if let (Some(set), Some(depth)) = (within, depth.checked_sub(1)) {
            fields(document, set, depth, asked, ids);
        }
    }
}

fn ids_in(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if impersonation::is_id(text) => {
            ids.insert(text.clone());
        }
        Value::List(values) => values.iter().for_each(|value| ids_in(value, ids)),
        Value::Object(values) => values.values().for_each(|value| ids_in(value, ids)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    #[test]
    fn what_is_asked_is_found_wherever_it_stands_and_nothing_else_is_kept() {
        let query = "query A($id: ID!) { one: delivery(id: $id) { id } two: delivery(id: \"dlv_01900000000070008000000000000001\") { id } ...F }
            fragment F on Query { ... on Query { records(filter: {text: \"Ann Lee\"}) { nodes { id } } } ...F }
            mutation B { exceptionRetry(input: {ids: [\"exc_01900000000070008000000000000001\", \"x\"]}) { count } }";
        let mut ids = BTreeSet::new();
        let found = asked(&parse_query(query).unwrap(), &mut ids);
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["delivery", "exceptionRetry", "records"]);
        let expected = ["dlv_01900000000070008000000000000001", "exc_01900000000070008000000000000001"];
        assert_eq!(ids.into_iter().collect::<Vec<_>>(), expected);
    }
}
