//! Groups of exceptions: the open ones of one cause, worked as one.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::exception_group::tag;
use domain::fault::Owner;
use domain::fix::{self, FixKind};
use domain::id::{ConnectionId, ExceptionGroupId, FlowId, UserId};
use domain::scope::Permission;
use infra::postgres::exception::group::{ExceptionGroup, GroupFilter, Money};
use uuid::Uuid;

use super::cause_key::{CauseKey, cause_named};
use super::history::{ExceptionCommentNode, ExceptionEventNode, comments, history};
use crate::graphql::error::{Code, fail, within};
use crate::graphql::member::{Fellows, MemberNode};
use crate::graphql::page::{AGGREGATE_COST, LARGE_COST, cost, one_of, opened, rows, sealed, uuid};
use crate::graphql::personal::Personal;

/// Open exceptions of one cause: worked as one.
#[derive(SimpleObject)]
#[graphql(name = "ExceptionGroup", complex)]
pub struct ExceptionGroupNode {
    id: ID,
    /// It repeats the value, so where that is hidden the key is sealed; it is taken as it is given.
    cause_key: CauseKey,
    code: String,
    /// What happened, in plain words.
    cause: Personal,
    /// operations, developer, vendor or crossdock.
    owner: String,
    next_step: String,
    /// The field at fault, without positions in lists.
    path: Option<String>,
    value: Option<Personal>,
    lookup_table: Option<String>,
    /// Null where messages became no record.
    flow_id: Option<ID>,
    /// The destination; the source, of messages that became no record.
    connection_id: ID,
    count: i64,
    first_at: DateTime<Utc>,
    last_at: DateTime<Utc>,
    /// Age of the oldest, s.
    oldest_age_s: i64,
    /// What their records come to, a sum for each currency; those without a total are not in it.
    money: Vec<MoneyNode>,
    /// Whose the group is; one of its exceptions may be somebody else's.
    assignee: Option<MemberNode>,
    tags: Vec<String>,
    snoozed_until: Option<DateTime<Utc>>,
    /// It is shown again with more open exceptions than these.
    snoozed_above: Option<i32>,
    /// Put away, and neither due nor grown past its number.
    is_snoozed: bool,
    /// What can be done with one act, the most fitting first.
    fixes: Vec<FixNode>,
    #[graphql(skip)]
    row: Uuid,
}

/// A sum in one currency.
#[derive(SimpleObject)]
#[graphql(name = "ExceptionMoney")]
struct MoneyNode {
    currency: String,
    /// Decimal digits.
    amount: String,
    /// Exceptions that it is the sum of.
    count: i64,
}

impl From<Money> for MoneyNode {
    fn from(money: Money) -> Self {
        Self { currency: money.currency, amount: money.amount, count: money.count }
    }
}

/// What can be done with one act.
#[derive(SimpleObject)]
#[graphql(name = "ExceptionFix")]
pub struct FixNode {
    kind: ExceptionFixKind,
    /// What it is called on a button.
    label: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "FixKind")]
pub enum ExceptionFixKind {
    /// A lookup table lacks a value: `exceptionFixLookupValue`.
    AddLookupValue,
    /// The account is refused: `credentialReplace`, then `exceptionRetry`.
    Reconnect,
    /// A limit of the account stands in the way: `connectionUpdate`, then `exceptionRetry`.
    RaiseLimit,
    /// A field of the record, or of what is sent, is corrected here: `exceptionEditRecord`, `exceptionEditPayload`.
    EditField,
    /// What the record refers to must be at the destination first: `exceptionCreateFirst`.
    CreateFirst,
    /// A person has done it there by hand: `exceptionMarkDone`.
    DoneElsewhere,
}

/// The fixes of a code, as nodes.
pub fn fixes(code: &str, named: Option<FixKind>, has_deliveries: bool) -> Vec<FixNode> {
    let fixes = fix::fixes(code, named, has_deliveries);
    fixes.into_iter().map(|kind| FixNode { label: kind.label().to_owned(), kind: kind.into() }).collect()
}

impl ExceptionGroupNode {
    fn new(group: ExceptionGroup, fellows: &Fellows, now: DateTime<Utc>) -> Self {
        Self {
            id: ID(group.id.to_string()),
            fixes: fixes(&group.code, group.fix_kind, group.has_deliveries),
            cause_key: CauseKey::new(group.cause_key, group.path.as_deref(), group.value.as_deref()),
            code: group.code,
            cause: Personal::sentence_about(group.cause, group.path.as_deref(), group.value.as_deref()),
            owner: group.owner,
            next_step: group.next_step,
            value: group.value.map(|value| Personal::at(group.path.as_deref(), value)),
            path: group.path,
            lookup_table: group.lookup_table,
            flow_id: group.flow.map(|id| ID(id.to_string())),
            connection_id: ID(group.connection.to_string()),
            count: group.count,
            first_at: group.first_at,
            last_at: group.last_at,
            oldest_age_s: (now - group.first_at).num_seconds().max(0),
            money: group.money.into_iter().map(Into::into).collect(),
            assignee: group.assignee.and_then(|user| fellows.get(user)),
            tags: group.tags,
            snoozed_until: group.snoozed_until,
            snoozed_above: group.snoozed_above,
            is_snoozed: group.is_snoozed,
            row: group.id.0,
        }
    }
}

#[ComplexObject]
impl ExceptionGroupNode {
    /// What was said about the group, newest first; at most 100.
    #[graphql(complexity = "LARGE_COST + child_complexity")]
    async fn comments(&self, ctx: &Context<'_>) -> Result<Vec<ExceptionCommentNode>> {
        comments(ctx, &[self.row]).await
    }

    /// What was done about the group as a whole, newest first; at most 100.
    #[graphql(complexity = "LARGE_COST + child_complexity")]
    async fn history(&self, ctx: &Context<'_>) -> Result<Vec<ExceptionEventNode>> {
        history(ctx, &[self.row]).await
    }
}

#[derive(InputObject, Default)]
struct ExceptionGroupFilterInput {
    /// operations, developer, vendor or crossdock.
    owner: Option<String>,
    /// Whose they are, as a whole or one of them.
    assignee_id: Option<ID>,
    /// Only those that nobody has.
    #[graphql(default)]
    is_unassigned: bool,
    tag: Option<String>,
    connection_id: Option<ID>,
    flow_id: Option<ID>,
    /// Those that are put away, or those that are not; both where it is not said.
    is_snoozed: Option<bool>,
    /// Found in what happened: `HAT-XL`, `#1042`; at most 200 characters.
    text: Option<String>,
}

impl ExceptionGroupFilterInput {
    fn read(self) -> Result<GroupFilter> {
        one_of("owner", self.owner.as_deref(), &Owner::ALL.map(Owner::as_str))?;
        // An id of nothing narrows to nothing.
        let tag = self.tag.as_deref().map(tag).transpose().map_err(|what| fail(Code::BadRequest, &what))?;
        Ok(GroupFilter {
            owner: self.owner,
            assignee: self.assignee_id.map(|id| UserId(uuid::<UserId>(&id).unwrap_or_default())),
            is_unassigned: self.is_unassigned,
            tag,
            connection: self.connection_id.map(|id| ConnectionId(uuid::<ConnectionId>(&id).unwrap_or_default())),
            flow: self.flow_id.map(|id| FlowId(uuid::<FlowId>(&id).unwrap_or_default())),
            is_snoozed: self.is_snoozed,
            text: self.text.filter(|text| !text.trim().is_empty()),
            ..GroupFilter::default()
        })
    }
}

#[derive(Default)]
pub struct ExceptionGroupQuery;

#[Object]
impl ExceptionGroupQuery {
    /// Open exceptions by cause, the largest group first; at most 100 a page.
    #[graphql(complexity = "AGGREGATE_COST + cost(first, child_complexity)")]
    async fn exception_groups(
        &self,
        ctx: &Context<'_>,
        filter: Option<ExceptionGroupFilterInput>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, ExceptionGroupNode, EmptyFields, EmptyFields>> {
        let (first, after) = (rows(first)?, after.map(|cursor| opened::<(i64, String)>(ctx, &cursor)).transpose()?);
        let has_previous = after.is_some();
        let filter = GroupFilter { after, ..filter.unwrap_or_default().read()? };
        let (groups, has_next) =
            within(ctx, Permission::ReadOperations, async |store| store.exception_groups(&filter, first).await).await?;
        let fellows = fellows(ctx, &groups).await?;
        let (mut connection, now) = (Connection::new(has_previous, has_next), Utc::now());
        for group in groups {
            let cursor = sealed(ctx, &(group.count, &group.cause_key))?;
            connection.edges.push(Edge::new(cursor, ExceptionGroupNode::new(group, &fellows, now)));
        }
        Ok(connection)
    }

    /// One group by its cause; null where none of its exceptions is open.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn exception_group(&self, ctx: &Context<'_>, cause_key: String) -> Result<Option<ExceptionGroupNode>> {
        group(ctx, &cause_named(ctx, &cause_key)).await
    }
}

/// One group as it stands.
pub async fn group(ctx: &Context<'_>, cause_key: &str) -> Result<Option<ExceptionGroupNode>> {
    let group = within(ctx, Permission::ReadOperations, async |store| store.exception_group(cause_key).await).await?;
    let Some(group) = group else { return Ok(None) };
    let fellows = fellows(ctx, std::slice::from_ref(&group)).await?;
    Ok(Some(ExceptionGroupNode::new(group, &fellows, Utc::now())))
}

async fn fellows(ctx: &Context<'_>, groups: &[ExceptionGroup]) -> Result<Fellows> {
    if groups.iter().any(|group| group.assignee.is_some()) { Fellows::load(ctx).await } else { Ok(Fellows::none()) }
}

/// The id that comments and the audit log know a group by.
pub fn group_row(ctx: &Context<'_>, cause_key: &str) -> Result<Uuid> {
    let scope = crate::graphql::error::scope(ctx, Permission::ReadOperations)?;
    Ok(ExceptionGroupId::of(scope.tenant, cause_key).0)
}
