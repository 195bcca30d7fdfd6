//! Alerts: where they go, by which rules, and what became of them.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::alert::{Content, Escalate, Match, MoneyMin, ReceiverKind, Rule, Then};
use domain::exception_group::tag;
use domain::fault::Owner;
use domain::id::{AlertId, AlertReceiverId, AlertRuleId, ConnectionId, FlowId, UserId};
use domain::scope::Permission;
use domain::secret::{SecretFields, SecretString};
use infra::postgres::alert::{ReceiverEdit, Set};
use infra::postgres::entity::{alert, alert_receiver, alert_rule, connection, flow};
use infra::postgres::filter;
use infra::postgres::page::PAGE_MAX;
use infra::{mail, webhook};

use super::error::{UserError, UserErrorCode, state, within};
use super::page::{cost, id, one_of, page, uuid};

/// How alerts reach a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "ReceiverKind")]
enum AlertReceiverKind {
    Mail,
    /// Signed, as Standard Webhooks says.
    Webhook,
    /// A webhook of a chat that takes `{"text": …}`.
    Slack,
}

/// Where alerts go.
#[derive(SimpleObject)]
#[graphql(name = "AlertReceiver")]
struct AlertReceiverNode {
    id: ID,
    name: String,
    kind: AlertReceiverKind,
    /// Mail addresses, or a URL; of a chat its host alone, because its URL is the secret.
    address: String,
    /// It hears of the same group no more often than that.
    every_minutes: i32,
    is_paused: bool,
    /// When an alert last arrived there.
    sent_at: Option<DateTime<Utc>>,
    /// Why the last try failed; null where it did not.
    failure: Option<String>,
    failed_at: Option<DateTime<Utc>>,
}

impl From<alert_receiver::Model> for AlertReceiverNode {
    fn from(row: alert_receiver::Model) -> Self {
        Self {
            id: id::<AlertReceiverId>(row.id),
            name: row.name,
            kind: ReceiverKind::parse(&row.kind).unwrap_or(ReceiverKind::Mail).into(),
            address: row.address,
            every_minutes: row.every_minutes,
            is_paused: row.is_paused,
            sent_at: row.sent_at,
            failure: row.failure,
            failed_at: row.failed_at,
        }
    }
}

/// Who is told of which groups, and whose they become.
#[derive(SimpleObject)]
#[graphql(name = "AlertRule")]
struct AlertRuleNode {
    id: ID,
    name: String,
    is_paused: bool,
    owner: Option<String>,
    code_prefix: Option<String>,
    connection_id: Option<ID>,
    flow_id: Option<ID>,
    tag: Option<String>,
    count_min: Option<i32>,
    money_min: Option<AlertMoneyMin>,
    age_min_minutes: Option<i32>,
    assign_to_id: Option<ID>,
    receiver_ids: Vec<ID>,
    escalate: Option<AlertEscalation>,
}

#[derive(SimpleObject)]
struct AlertMoneyMin {
    currency: String,
    /// Decimal digits.
    amount: String,
}

#[derive(SimpleObject)]
struct AlertEscalation {
    after_minutes: i32,
    assign_to_id: Option<ID>,
    receiver_ids: Vec<ID>,
}

fn ids<T: std::fmt::Display>(ids: &[T]) -> Vec<ID> {
    ids.iter().map(|id| ID(id.to_string())).collect()
}

impl From<alert_rule::Model> for AlertRuleNode {
    fn from(row: alert_rule::Model) -> Self {
        let when: Match = serde_json::from_value(row.matches).unwrap_or_default();
        let then: Then = serde_json::from_value(row.then_does).unwrap_or_default();
        let int = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        Self {
            id: id::<AlertRuleId>(row.id),
            name: row.name,
            is_paused: row.is_paused,
            owner: when.owner.map(|owner| owner.as_str().to_owned()),
            code_prefix: when.code_prefix,
            connection_id: when.connection.map(|id| ID(id.to_string())),
            flow_id: when.flow.map(|id| ID(id.to_string())),
            tag: when.tag,
            count_min: when.count_min.map(int),
            money_min: when.money_min.map(|min| AlertMoneyMin { currency: min.currency, amount: min.amount.to_string() }),
            age_min_minutes: when.age_min_minutes.map(int),
            assign_to_id: then.assign_to.map(|id| ID(id.to_string())),
            receiver_ids: ids(&then.receivers),
            escalate: then.escalate.map(|escalate| AlertEscalation {
                after_minutes: int(escalate.after_minutes),
                assign_to_id: escalate.assign_to.map(|id| ID(id.to_string())),
                receiver_ids: ids(&escalate.receivers),
            }),
        }
    }
}

/// One alert to one receiver; kept for 30 days.
#[derive(SimpleObject)]
#[graphql(name = "Alert")]
struct AlertNode {
    id: ID,
    receiver_id: ID,
    /// pending, sent or failed.
    state: String,
    subject: String,
    /// As a mail says it.
    text: String,
    is_escalated: bool,
    /// Tries that were begun.
    tries: i32,
    /// When it is tried next, while it is pending.
    due_at: DateTime<Utc>,
    /// Why the last try failed.
    failure: Option<String>,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
}

impl From<alert::Model> for AlertNode {
    fn from(row: alert::Model) -> Self {
        let content: Content = serde_json::from_value(row.content).unwrap_or_default();
        Self {
            id: id::<AlertId>(row.id),
            receiver_id: id::<AlertReceiverId>(row.receiver_id),
            state: row.state,
            subject: content.subject(),
            text: content.text(),
            is_escalated: content.is_escalated,
            tries: row.tries,
            due_at: row.due_at,
            failure: row.failure,
            created_at: row.created_at,
            sent_at: row.sent_at,
        }
    }
}

#[derive(Default)]
pub struct AlertQuery;

#[Object]
impl AlertQuery {
    /// Where alerts go, and whether they arrive; at most 50.
    #[graphql(complexity = "cost(Some(20), child_complexity)")]
    async fn alert_receivers(&self, ctx: &Context<'_>) -> Result<Vec<AlertReceiverNode>> {
        let page = within(ctx, Permission::ReadOperations, async |store| {
            store.page::<alert_receiver::Entity>(|select| select, None, PAGE_MAX).await
        })
        .await?;
        Ok(page.rows.into_iter().map(Into::into).collect())
    }

    /// At most 50.
    #[graphql(complexity = "cost(Some(20), child_complexity)")]
    async fn alert_rules(&self, ctx: &Context<'_>) -> Result<Vec<AlertRuleNode>> {
        let page = within(ctx, Permission::ReadOperations, async |store| {
            store.page::<alert_rule::Entity>(|select| select, None, PAGE_MAX).await
        })
        .await?;
        Ok(page.rows.into_iter().map(Into::into).collect())
    }

    /// Newest first, at most 100 a page; of 30 days.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn alerts(
        &self,
        ctx: &Context<'_>,
        state: Option<String>,
        receiver_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, AlertNode, EmptyFields, EmptyFields>> {
        one_of("state", state.as_deref(), &["pending", "sent", "failed"])?;
        let filter = filter::alerts(state, receiver_id.map(|id| uuid::<AlertReceiverId>(&id).unwrap_or_default()));
        page::<alert::Entity, _>(ctx, Permission::ReadOperations, first, after, filter, |row| (row.id, row.into())).await
    }
}

#[derive(InputObject)]
struct AlertReceiverCreateInput {
    /// 1 to 200 characters.
    name: String,
    kind: AlertReceiverKind,
    /// Mail: 1 to 10 addresses with commas between. Otherwise a URL, at most 2,000 characters.
    address: String,
    /// Webhook: what it is signed with, `whsec_` and 24 to 64 bytes in base64. Sealed, and never returned.
    secret: Option<String>,
    /// It hears of the same group no more often than that: 1 minute to a week. An hour where it is not said.
    every_minutes: Option<i32>,
}

/// What is not said stays as it is.
#[derive(InputObject)]
struct AlertReceiverUpdateInput {
    name: Option<String>,
    address: Option<String>,
    secret: Option<String>,
    every_minutes: Option<i32>,
    is_paused: Option<bool>,
}

#[derive(SimpleObject)]
struct AlertReceiverPayload {
    alert_receiver: Option<AlertReceiverNode>,
    user_errors: Vec<UserError>,
}

impl AlertReceiverPayload {
    fn refused(error: UserError) -> Self {
        Self { alert_receiver: None, user_errors: vec![error] }
    }
}

#[derive(SimpleObject)]
struct AlertPayload {
    alert: Option<AlertNode>,
    user_errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct AlertRemovePayload {
    removed: bool,
    user_errors: Vec<UserError>,
}

#[derive(InputObject)]
struct AlertMoneyMinInput {
    /// ISO 4217.
    currency: String,
    /// Decimal digits.
    amount: String,
}

#[derive(InputObject)]
struct AlertEscalationInput {
    /// Counted from the group's oldest exception; 1 minute to 90 days.
    after_minutes: i32,
    /// Whose it becomes, whoever has it.
    assign_to_id: Option<ID>,
    #[graphql(default)]
    receiver_ids: Vec<ID>,
}

/// All that is said of a group must fit; what is not said fits every one.
#[derive(InputObject)]
struct AlertRuleInput {
    /// 1 to 200 characters.
    name: String,
    #[graphql(default)]
    is_paused: bool,
    /// operations, developer, vendor or crossdock.
    owner: Option<String>,
    /// The beginning of the code: `authentication.`
    code_prefix: Option<String>,
    connection_id: Option<ID>,
    flow_id: Option<ID>,
    tag: Option<String>,
    count_min: Option<i32>,
    /// In one currency, what the records come to.
    money_min: Option<AlertMoneyMinInput>,
    /// Of the oldest exception; 1 minute to 90 days.
    age_min_minutes: Option<i32>,
    /// Whose the group becomes, where it is nobody's.
    assign_to_id: Option<ID>,
    /// Who is told, at most 10.
    #[graphql(default)]
    receiver_ids: Vec<ID>,
    escalate: Option<AlertEscalationInput>,
}

#[derive(SimpleObject)]
struct AlertRulePayload {
    alert_rule: Option<AlertRuleNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct AlertMutation;

#[Object]
impl AlertMutation {
    async fn alert_receiver_create(&self, ctx: &Context<'_>, input: AlertReceiverCreateInput) -> Result<AlertReceiverPayload> {
        let kind: ReceiverKind = input.kind.into();
        let sealed = match secret(kind, Some(&input.address), input.secret.as_deref(), true) {
            Ok(sealed) => sealed,
            Err(error) => return Ok(AlertReceiverPayload::refused(error)),
        };
        let (address, every_minutes) = (shown(kind, &input.address), input.every_minutes);
        let edit = ReceiverEdit { address: Some(&address), secret: sealed.as_ref(), every_minutes, ..ReceiverEdit::default() };
        if let Err(error) = check(Some(&input.name), every_minutes) {
            return Ok(AlertReceiverPayload::refused(error));
        }
        let vault = &state(ctx).vault;
        let set = within(ctx, Permission::Configure, async |store| {
            store.alert_receiver_create(vault, kind, input.name.trim(), &edit).await
        })
        .await?;
        receiver_set(ctx, set).await
    }

    async fn alert_receiver_update(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: AlertReceiverUpdateInput,
    ) -> Result<AlertReceiverPayload> {
        let row = match uuid::<AlertReceiverId>(&id) {
            Some(id) => within(ctx, Permission::Configure, async |store| store.find::<alert_receiver::Entity>(id).await).await?,
            None => None,
        };
        let Some((row, kind)) = row.and_then(|row| ReceiverKind::parse(&row.kind).map(|kind| (row, kind))) else {
            return Ok(AlertReceiverPayload::refused(not_found("id", "receiver")));
        };
        let sealed = match secret(kind, input.address.as_deref(), input.secret.as_deref(), false) {
            Ok(sealed) => sealed,
            Err(error) => return Ok(AlertReceiverPayload::refused(error)),
        };
        if let Err(error) = check(input.name.as_deref(), input.every_minutes) {
            return Ok(AlertReceiverPayload::refused(error));
        }
        let address = input.address.as_deref().map(|address| shown(kind, address));
        let edit = ReceiverEdit {
            name: input.name.as_deref().map(str::trim),
            address: address.as_deref(),
            secret: sealed.as_ref(),
            every_minutes: input.every_minutes,
            is_paused: input.is_paused,
        };
        let vault = &state(ctx).vault;
        let set = within(ctx, Permission::Configure, async |store| {
            store.alert_receiver_update(vault, AlertReceiverId(row.id), &edit).await
        })
        .await?;
        receiver_set(ctx, set).await
    }

    /// Takes it away, with its alerts that wait. Rules that name it tell the others.
    async fn alert_receiver_remove(&self, ctx: &Context<'_>, id: ID) -> Result<AlertRemovePayload> {
        let removed = match uuid::<AlertReceiverId>(&id) {
            Some(id) => {
                within(ctx, Permission::Configure, async |store| store.alert_receiver_remove(AlertReceiverId(id)).await).await?
            }
            None => false,
        };
        Ok(removed_or(removed, "receiver"))
    }

    /// Sends an alert that says only that alerts arrive; `alerts` says what became of it.
    async fn alert_receiver_test(&self, ctx: &Context<'_>, id: ID) -> Result<AlertPayload> {
        let made = match uuid::<AlertReceiverId>(&id) {
            Some(id) => within(ctx, Permission::Configure, async |store| store.alert_test(AlertReceiverId(id)).await).await?,
            None => None,
        };
        let Some(made) = made else {
            return Ok(AlertPayload { alert: None, user_errors: vec![not_found("id", "receiver")] });
        };
        let row = within(ctx, Permission::Configure, async |store| store.find::<alert::Entity>(made.0).await).await?;
        Ok(AlertPayload { alert: row.map(Into::into), user_errors: vec![] })
    }

    /// A new rule, or another content of the one with this id. At most 50.
    async fn alert_rule_set(&self, ctx: &Context<'_>, id: Option<ID>, input: AlertRuleInput) -> Result<AlertRulePayload> {
        let refuse = |error| Ok(AlertRulePayload { alert_rule: None, user_errors: vec![error] });
        let rule = match id.map(|id| uuid::<AlertRuleId>(&id).map(AlertRuleId)) {
            Some(None) => return refuse(not_found("id", "rule")),
            rule => rule.flatten(),
        };
        let (when, then) = match read(&input) {
            Ok(read) => read,
            Err(error) => return refuse(error),
        };
        if let Err(error) = check(Some(&input.name), None) {
            return refuse(error);
        }
        if let Err((field, what)) = Rule::check(&when, &then) {
            return refuse(UserError::new(&format!("input.{field}"), UserErrorCode::Invalid, what));
        }
        let escalated = then.escalate.iter().flat_map(|escalate| escalate.receivers.iter());
        let named: Vec<AlertReceiverId> = then.receivers.iter().chain(escalated).copied().collect();
        let known = within(ctx, Permission::Configure, async |store| store.alert_receivers_known(&named).await).await?;
        if named.iter().any(|id| !known.contains(id)) {
            return refuse(not_found("input.receiverIds", "receiver"));
        }
        if let Some(connection) = when.connection {
            let row = within(ctx, Permission::Configure, async |store| store.find::<connection::Entity>(connection.0).await);
            if row.await?.is_none() {
                return refuse(not_found("input.connectionId", "connection"));
            }
        }
        if let Some(flow) = when.flow {
            let row = within(ctx, Permission::Configure, async |store| store.find::<flow::Entity>(flow.0).await);
            if row.await?.is_none() {
                return refuse(not_found("input.flowId", "flow"));
            }
        }
        let people = [then.assign_to, then.escalate.as_ref().and_then(|escalate| escalate.assign_to)];
        if people.iter().any(Option::is_some) {
            let members = within(ctx, Permission::Configure, async |store| store.members().await).await?;
            if people.into_iter().flatten().any(|user| members.iter().all(|member| member.user != user)) {
                let what = "nobody of that id is a member of this tenant; `members` lists them";
                return refuse(UserError::new("input.assignToId", UserErrorCode::NotFound, what));
            }
        }
        let name = input.name.trim();
        let set = within(ctx, Permission::Configure, async |store| {
            store.alert_rule_set(rule, name, &when, &then, input.is_paused).await
        })
        .await?;
        match set {
            Set::Done(id) => {
                let row = within(ctx, Permission::Configure, async |store| store.find::<alert_rule::Entity>(id.0).await).await?;
                Ok(AlertRulePayload { alert_rule: row.map(Into::into), user_errors: vec![] })
            }
            other => refuse(unset(&other, "rule")),
        }
    }

    async fn alert_rule_remove(&self, ctx: &Context<'_>, id: ID) -> Result<AlertRemovePayload> {
        let removed = match uuid::<AlertRuleId>(&id) {
            Some(id) => within(ctx, Permission::Configure, async |store| store.alert_rule_remove(AlertRuleId(id)).await).await?,
            None => false,
        };
        Ok(removed_or(removed, "rule"))
    }
}

fn removed_or(removed: bool, noun: &str) -> AlertRemovePayload {
    AlertRemovePayload { removed, user_errors: if removed { vec![] } else { vec![not_found("id", noun)] } }
}

fn not_found(field: &str, noun: &str) -> UserError {
    UserError::new(field, UserErrorCode::NotFound, format!("there is no such {noun} in this tenant"))
}

fn unset<I>(set: &Set<I>, noun: &str) -> UserError {
    match set {
        Set::NotFound | Set::Done(_) => not_found("id", noun),
        Set::Taken => UserError::new("input.name", UserErrorCode::Taken, format!("another {noun} has this name")),
        Set::TooMany => {
            UserError::new("input", UserErrorCode::TooMany, format!("there are 50 of them; take a {noun} away first"))
        }
    }
}

async fn receiver_set(ctx: &Context<'_>, set: Set<AlertReceiverId>) -> Result<AlertReceiverPayload> {
    match set {
        Set::Done(id) => {
            let row = within(ctx, Permission::Configure, async |store| store.find::<alert_receiver::Entity>(id.0).await).await?;
            Ok(AlertReceiverPayload { alert_receiver: row.map(Into::into), user_errors: vec![] })
        }
        other => Ok(AlertReceiverPayload::refused(unset(&other, "receiver"))),
    }
}

fn check(name: Option<&str>, every_minutes: Option<i32>) -> Result<(), UserError> {
    const WEEK_MINUTES: i32 = 7 * 24 * 60;
    if name.is_some_and(|name| !(1..=200).contains(&name.trim().chars().count())) {
        return Err(UserError::new("input.name", UserErrorCode::Invalid, "a name has 1 to 200 characters"));
    }
    if every_minutes.is_some_and(|minutes| !(1..=WEEK_MINUTES).contains(&minutes)) {
        let what = format!("a receiver hears of the same group every 1 to {WEEK_MINUTES} minutes, which are a week");
        return Err(UserError::new("input.everyMinutes", UserErrorCode::Invalid, what));
    }
    Ok(())
}

/// What is sealed of a receiver, checked; none where nothing of it is to change.
fn secret(
    kind: ReceiverKind,
    address: Option<&str>,
    secret: Option<&str>,
    is_new: bool,
) -> Result<Option<SecretFields>, UserError> {
    const ADDRESS_CHARS_MAX: usize = 2_000;
    let invalid = |field: &str, what: String| UserError::new(&format!("input.{field}"), UserErrorCode::Invalid, what);
    if address.is_some_and(|address| address.chars().count() > ADDRESS_CHARS_MAX) {
        return Err(invalid("address", format!("an address has at most {ADDRESS_CHARS_MAX} characters")));
    }
    let fields = |name: &str, value: &str| [(name.to_owned(), SecretString::from(value))].into_iter().collect::<SecretFields>();
    match kind {
        ReceiverKind::Mail => {
            address.map_or(Ok(()), mail::check_addresses).map_err(|what| invalid("address", what))?;
            Ok(None)
        }
        _ if address.is_some_and(|address| webhook::host(address).is_none()) => {
            Err(invalid("address", "the address is a URL that begins with https://".into()))
        }
        ReceiverKind::Webhook => match secret {
            Some(secret) => {
                webhook::check_secret(&SecretString::from(secret)).map_err(|what| invalid("secret", what))?;
                Ok(Some(fields("secret", secret)))
            }
            None if is_new => {
                let what = "a webhook is signed: give a secret, such as whsec_ and 32 random bytes in base64";
                Err(UserError::new("input.secret", UserErrorCode::Required, what))
            }
            None => Ok(None),
        },
        ReceiverKind::Slack => Ok(address.map(|address| fields("url", address))),
    }
}

/// What is shown of an address.
fn shown(kind: ReceiverKind, address: &str) -> String {
    match kind {
        ReceiverKind::Slack => webhook::host(address).unwrap_or_default(),
        ReceiverKind::Mail | ReceiverKind::Webhook => address.trim().to_owned(),
    }
}

fn read(input: &AlertRuleInput) -> Result<(Match, Then), UserError> {
    let invalid = |field: &str, what: &str| UserError::new(&format!("input.{field}"), UserErrorCode::Invalid, what);
    let count = |field: &'static str, number: Option<i32>| {
        number.map(|number| u32::try_from(number).map_err(|_| invalid(field, "a number that is not negative"))).transpose()
    };
    let owner = input.owner.as_deref().map(|word| {
        let owner = Owner::ALL.into_iter().find(|owner| owner.as_str() == word);
        owner.ok_or_else(|| invalid("owner", "an owner is operations, developer, vendor or crossdock"))
    });
    let money = input.money_min.as_ref().map(|min| {
        let amount = domain::value::decimal(&min.amount)
            .ok_or_else(|| invalid("moneyMin", "an amount is decimal digits, such as 1000.50"));
        Ok::<_, UserError>(MoneyMin { currency: min.currency.clone(), amount: amount? })
    });
    let user = |id: &Option<ID>| id.as_ref().map(|id| UserId(uuid::<UserId>(id).unwrap_or_default()));
    let receivers = |ids: &[ID]| -> Vec<AlertReceiverId> {
        ids.iter().map(|id| AlertReceiverId(uuid::<AlertReceiverId>(id).unwrap_or_default())).collect()
    };
    let when = Match {
        owner: owner.transpose()?,
        code_prefix: input.code_prefix.clone(),
        connection: input.connection_id.as_ref().map(|id| ConnectionId(uuid::<ConnectionId>(id).unwrap_or_default())),
        flow: input.flow_id.as_ref().map(|id| FlowId(uuid::<FlowId>(id).unwrap_or_default())),
        tag: input.tag.as_deref().map(tag).transpose().map_err(|what| invalid("tag", &what))?,
        count_min: count("countMin", input.count_min)?,
        money_min: money.transpose()?,
        age_min_minutes: count("ageMinMinutes", input.age_min_minutes)?,
    };
    let escalate = input.escalate.as_ref().map(|escalate| {
        Ok::<_, UserError>(Escalate {
            after_minutes: count("escalate", Some(escalate.after_minutes))?.unwrap_or_default(),
            assign_to: user(&escalate.assign_to_id),
            receivers: receivers(&escalate.receiver_ids),
        })
    });
    let then =
        Then { assign_to: user(&input.assign_to_id), receivers: receivers(&input.receiver_ids), escalate: escalate.transpose()? };
    Ok((when, then))
}
