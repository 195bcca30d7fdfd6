//! Impersonations: support in the place of a tenant that let it, for a reason and an hour at most. The staff begin and leave them; the tenant reads what was
//! done, and ends them.

use std::collections::{BTreeSet, HashSet};
use std::convert::Infallible;

use actix_web::http::StatusCode;
use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Context, Enum, ID, InputObject, Name, Object, Result, SimpleObject, Value, Variables};
use chrono::{DateTime, Utc};
use domain::id::{ImpersonationId, SessionId};
use domain::impersonation::{self, MINUTES_MAX};
use domain::permission::Permission;
use domain::scope::Scope;
use infra::postgres::StoreError;
use infra::postgres::impersonation::{Ended, Impersonation, LiveImpersonation};
use infra::postgres::support::{Errand, Told};

use super::error::{Code, UserError, UserErrorCode, internal, state, viewer, within};
use super::page::{cost, uuid};
use super::persisted_operation::Unresolved;
use super::size::TooLarge;
use super::support::{refusal, writer, wrong};
use super::{RECURSION_MAX, refuse};
use crate::AppState;
use crate::auth::{Identity, Viewer};

/// Root fields of one request of support: more than the schema has, so whoever names more names what there is not.
const FIELDS_MAX: usize = 500;
/// Ids of one request of support: the 1,000 that one act takes, and some beside. Each is noted, so that none hides behind others.
const IDS_MAX: usize = 1_100;
/// Longer than the name of any operation.
const NAME_CHARS_MAX: usize = 60;

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

/// Why a request of support does not run: what it asks cannot be noted whole, and what is not noted is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotNoted {
    #[error(transparent)]
    Large(#[from] TooLarge),
    #[error("the query names more than {FIELDS_MAX} operations, and there are not so many")]
    Fields,
    #[error("all that support asks about is noted for the tenant, {IDS_MAX} ids of a request at most; ask about fewer at once")]
    Ids,
}

/// Notes in the tenant's audit log what support is about to ask in its place: which operations, about which things. What they say beside is not kept: it may
/// be anything. There is one note for each request, whatever it asks.
///
/// # Errors
/// What the caller is told where it cannot be noted; or the database does not answer.
pub async fn note(state: &AppState, viewer: &Viewer, request: &mut async_graphql::Request) -> Result<(), Unresolved> {
    let Identity::Impersonation(live) = &viewer.identity else { return Ok(()) };
    let (operation, variables) = (request.operation_name.clone(), request.variables.clone());
    // What cannot be read is not run, either.
    let Ok(document) = request.parsed_query() else { return Ok(()) };
    let asked = asked(document, operation.as_deref(), &variables).map_err(NotNoted::from);
    let detail = asked
        .and_then(|asked| asked.detail())
        .map_err(|error| Unresolved::Refused(refuse(StatusCode::BAD_REQUEST, Code::BadRequest, &error.to_string())))?;
    // Of the tenant that let them in, whichever one the request names.
    let scope = Scope { tenant: live.tenant, actor: live.actor(), request: viewer.request };
    state.store.within(&scope).impersonation_used(live.id, &detail).await?;
    Ok(())
}

/// What an operation asks: its root fields, each once, and the ids that it names, wherever it does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) fields: BTreeSet<String>,
    ids: BTreeSet<String>,
}

impl Asked {
    /// As it is told: all of it, or nothing is done.
    fn detail(&self) -> Result<String, NotNoted> {
        if self.fields.len() > FIELDS_MAX {
            return Err(NotNoted::Fields);
        }
        if self.ids.len() > IDS_MAX {
            return Err(NotNoted::Ids);
        }
        Ok(serde_json::json!({"asked": self.fields, "ids": self.ids}).to_string())
    }
}

/// What is asked by the operation of a document that runs; by all of them where none of them does. A variable counts where it is used.
///
/// # Errors
/// Where it is nested deeper than what runs.
pub(super) fn asked(document: &ExecutableDocument, operation: Option<&str>, variables: &Variables) -> Result<Asked, TooLarge> {
    let is_meant = |name: Option<&Name>| operation.is_some() && name.map(Name::as_str) == operation;
    let mut operations: Vec<&OperationDefinition> =
        document.operations.iter().filter(|(name, _)| is_meant(*name)).map(|(_, operation)| &operation.node).collect();
    if operations.is_empty() {
        operations = document.operations.iter().map(|(_, operation)| &operation.node).collect();
    }
    let mut walk = Walk { document, fragments: HashSet::new(), variables: BTreeSet::new(), asked: Asked::default() };
    for operation in &operations {
        walk.set(&operation.selection_set.node, true, 0)?;
    }
    let Walk { variables: used, mut asked, .. } = walk;
    for name in &used {
        // What is given is taken, and else what stands in the query.
        if let Some(value) = variables.get(name) {
            ids_in(value, &mut asked.ids);
            continue;
        }
        let definitions = operations.iter().flat_map(|operation| &operation.variable_definitions);
        for definition in definitions.filter(|definition| definition.node.name.node == *name) {
            if let Some(value) = &definition.node.default_value {
                ids_in(&value.node, &mut asked.ids);
            }
        }
    }
    Ok(asked)
}

struct Walk<'d> {
    document: &'d ExecutableDocument,
    /// Those that were walked, at the root and below it: once each, however often they are spread.
    fragments: HashSet<(&'d Name, bool)>,
    /// Those that arguments refer to.
    variables: BTreeSet<Name>,
    asked: Asked,
}

impl<'d> Walk<'d> {
    /// `level` is how many sets it stands within. What runs nests as deep and no deeper.
    fn set(&mut self, set: &'d SelectionSet, is_root: bool, level: usize) -> Result<(), TooLarge> {
        if level > RECURSION_MAX {
            return Err(TooLarge::Depth);
        }
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => self.field(&field.node, is_root, level)?,
                Selection::InlineFragment(fragment) => self.set(&fragment.node.selection_set.node, is_root, level + 1)?,
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    // One that is not there is told by whoever runs it.
                    let Some(fragment) = self.document.fragments.get(name) else { continue };
                    if self.fragments.insert((name, is_root)) {
                        self.set(&fragment.node.selection_set.node, is_root, level + 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &'d Field, is_root: bool, level: usize) -> Result<(), TooLarge> {
        if is_root {
            // It is not looked at yet whether there is such a field.
            self.asked.fields.insert(field.name.node.chars().take(NAME_CHARS_MAX).collect());
        }
        for (_, value) in &field.arguments {
            let variables = &mut self.variables;
            let Ok(literal) = value.node.clone().into_const_with(|name| {
                variables.insert(name);
                Ok::<_, Infallible>(Value::Null)
            });
            ids_in(&literal, &mut self.asked.ids);
        }
        if field.selection_set.node.items.is_empty() { Ok(()) } else { self.set(&field.selection_set.node, false, level + 1) }
    }
}

fn ids_in(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::String(text) if impersonation::is_id(text) => {
            ids.insert(text.clone());
        }
        // Without quotes, where anything may stand.
        Value::Enum(word) if impersonation::is_id(word) => {
            ids.insert(word.to_string());
        }
        Value::List(values) => values.iter().for_each(|value| ids_in(value, ids)),
        Value::Object(values) => values.values().for_each(|value| ids_in(value, ids)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;
    use serde_json::json;

    use super::*;

    /// An id of a delivery, that may never have been.
    fn id(n: u64) -> String {
        format!("dlv_{n:032x}")
    }

    fn found(query: &str, operation: Option<&str>, variables: serde_json::Value) -> Result<Asked, TooLarge> {
        asked(&parse_query(query).unwrap(), operation, &Variables::from_json(variables))
    }

    fn fields(query: &str) -> Vec<String> {
        found(query, None, json!({})).unwrap().fields.into_iter().collect()
    }

    #[test]
    fn what_is_asked_is_found_wherever_it_stands_and_nothing_else_is_kept() {
        let query = "query A($id: ID!) { one: delivery(id: $id) { id } two: delivery(id: \"dlv_01900000000070008000000000000001\") { id } ...F }
            fragment F on Query { ... on Query { records(filter: {text: \"Ann Lee\"}) { nodes { id } } } ...F }
            mutation B { exceptionRetry(input: {ids: [\"exc_01900000000070008000000000000001\", \"x\"]}) { count } }";
        let all = found(query, None, json!({})).unwrap();
        assert_eq!(all.fields.into_iter().collect::<Vec<_>>(), ["delivery", "exceptionRetry", "records"]);
        let expected = ["dlv_01900000000070008000000000000001", "exc_01900000000070008000000000000001"];
        assert_eq!(all.ids.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_asked_is_found_as_deep_as_anything_runs_and_deeper_is_refused() {
        let inline = |levels: usize| {
            let (begin, end) = ("... { ".repeat(levels), "} ".repeat(levels));
            format!("{{ {begin} records(first: 100) {{ nodes {{ id document }} }} {end} }}")
        };
        let named = |levels: usize| {
            let fragments = (0..levels).map(|n| format!("fragment F{n} on Query {{ ...F{} }} ", n + 1)).collect::<String>();
            format!("{{ ...F0 }} {fragments} fragment F{levels} on Query {{ records(first: 100) {{ nodes {{ id document }} }} }}")
        };
        for levels in [0, 9, 10, 11, RECURSION_MAX - 3] {
            for query in [inline(levels), named(levels)] {
                assert_eq!(fields(&query), ["records"], "{query}");
            }
        }
        for query in [inline(RECURSION_MAX - 1), named(RECURSION_MAX - 2)] {
            assert_eq!(found(&query, None, json!({})), Err(TooLarge::Depth), "{query}");
        }
        // What is walked is what is run: both end at the same level.
        for levels in 0..=RECURSION_MAX {
            for query in [inline(levels), named(levels)] {
                let is_run = super::super::size::check(&mut async_graphql::Request::new(&query)).is_ok();
                assert_eq!(found(&query, None, json!({})).is_ok(), is_run, "{query}");
            }
        }
    }

    #[test]
    fn many_that_are_cheap_hide_no_other_and_fragments_are_walked_once() {
        let cheap = (0..60).map(|n| format!("a{n:02} ")).collect::<String>();
        let asked = fields(&format!(
            "{{ {cheap} zone ...F ...F x {{ ...F }} }} fragment F on Query {{ ...G ...G }} fragment G on Query {{ last ...F }}"
        ));
        assert_eq!(asked.len(), 63);
        assert!(["zone", "last", "x"].iter().all(|name| asked.iter().any(|asked| asked == name)), "{asked:?}");
        let detail = found(&format!("{{ {cheap} zone }}"), None, json!({})).unwrap().detail().unwrap();
        assert!(detail.contains("\"a00\"") && detail.contains("\"a59\"") && detail.contains("\"zone\""), "{detail}");
        let invented = (0..=FIELDS_MAX).map(|n| format!("a{n} ")).collect::<String>();
        assert_eq!(found(&format!("{{ {invented} }}"), None, json!({})).unwrap().detail(), Err(NotNoted::Fields));
    }

    #[test]
    fn ids_are_kept_where_they_are_used_and_no_invented_one_hides_them() {
        let query = format!(
            "query A($ids: [ID!]!, $one: ID, $other: ID = \"{}\", $unused: ID = \"{}\") {{
                things(ids: [$one, \"{}\"]) {{ parts(of: {{within: [{{id: $other}}]}}) {{ id }} ...F }}
            }}
            query B {{ delivery(id: \"{}\") {{ id }} }}
            fragment F on Thing {{ more(ids: $ids) {{ id }} }}",
            id(1),
            id(2),
            id(3),
            id(4)
        );
        let invented: Vec<String> = (100..200).map(id).collect();
        let variables = json!({"ids": [id(5), {"deep": [id(6)]}], "one": id(7), "nobodys": invented, "unused": id(8)});
        let of = |operation, variables| found(&query, operation, variables).unwrap().ids.into_iter().collect::<Vec<_>>();
        assert_eq!(of(Some("A"), variables.clone()), [1, 3, 5, 6, 7].map(id));
        assert_eq!(of(Some("B"), variables.clone()), [id(4)]);
        let given = json!({"other": id(9)});
        assert_eq!(of(Some("A"), given), [3, 9].map(id), "what is given stands in the place of the default");
        // Nothing runs: then it does not matter, and all is told.
        for nothing in [None, Some("C")] {
            assert_eq!(of(nothing, variables.clone()), [1, 3, 4, 5, 6, 7].map(id));
        }

        // So many as one act takes are all told, and more are refused.
        let act = "mutation($i: I!) { exceptionRetry(input: $i) { count } }";
        let ids = |count: u64| json!({"i": {"ids": (0..count).map(id).collect::<Vec<_>>()}});
        let detail = found(act, None, ids(1_000)).unwrap().detail().unwrap();
        assert!((0..1_000).all(|n| detail.contains(&id(n))), "{detail}");
        assert_eq!(found(act, None, ids(IDS_MAX as u64 + 1)).unwrap().detail(), Err(NotNoted::Ids));
    }
}
