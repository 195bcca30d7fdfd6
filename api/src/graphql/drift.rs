//! Drift: what is different now in what a connection sends or takes, who reads it, what it is worth, and what is done about it.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::drift::{DriftState, Field, Path, Policy, Reading, Side, Type, is_pattern, judge};
use domain::id::{ConnectionId, DeliveryId, DriftId, MessageId};
use domain::record::RecordKind;
use domain::scope::Permission;
use infra::postgres::drift::{Accepted, DriftDetail, DriftPlace, POLICIES_MAX, PolicyRow, ProfileRow};
use infra::postgres::entity::drift;
use infra::postgres::filter;

use super::connection::ConnectionNode;
use super::error::{UserError, UserErrorCode, scope, within};
use super::flow::FlowNode;
use super::page::{AGGREGATE_COST, LARGE_COST, cost, id, one_of, start, uuid};

/// A difference between what documents looked like and what they look like now.
#[derive(SimpleObject)]
#[graphql(name = "Drift")]
pub struct DriftNode {
    id: ID,
    connection: ConnectionNode,
    /// order, customer, item, inventory_level, shipment, invoice, return, payment, refund or purchase_order.
    record_kind: String,
    /// source (what the connection sends) or destination (what it took).
    side: String,
    /// The field, without positions in lists: line_items[].tax_lines[].title; at most 200 bytes.
    field: String,
    /// new_field, vanished, retyped, new_value, new_tax_code, more_nulls or longer.
    what: String,
    /// The new type or the new word; null where there is none, or it is not kept. At most 64 characters.
    value: Option<String>,
    /// How it was, for people; at most 2,000 characters.
    before: String,
    /// How it is, for people; at most 2,000 characters.
    after: String,
    /// low, medium or high.
    risk: String,
    /// What is different, in plain words.
    sentence: String,
    /// operations, developer, vendor or crossdock.
    owner: String,
    next_step: String,
    /// open, accepted or resolved.
    state: String,
    /// The published flows that read the field when it was raised, by name; at most 500.
    flows: Vec<DriftFlow>,
    /// New records of this connection and kind in a day, as the mean of the last seven.
    records_per_day: f64,
    /// What these come to in a day, by currency; empty where the kind has no total.
    money_per_day: Vec<MoneyPerDay>,
    /// A message that shows it; of a source only.
    example_message_id: Option<ID>,
    /// A delivery that shows it; of a destination only.
    example_delivery_id: Option<ID>,
    raised_at: DateTime<Utc>,
    /// When it was seen last; moves on once an hour at most.
    last_seen_at: DateTime<Utc>,
    closed_at: Option<DateTime<Utc>>,
}

/// A flow that reads a field.
#[derive(SimpleObject)]
struct DriftFlow {
    flow: FlowNode,
    /// What it makes of the field: fields of the destination, and "(filter)" where its filter reads it. At most 20.
    fields: Vec<String>,
}

/// An amount, as a decimal in text.
#[derive(SimpleObject)]
struct MoneyPerDay {
    /// ISO 4217.
    currency: String,
    amount: String,
}

impl From<DriftDetail> for DriftNode {
    fn from(detail: DriftDetail) -> Self {
        let DriftDetail { row, connection, drift, side, flows, per_day } = detail;
        // How bad it is was said when it was raised, by the flows of then.
        let judged = judge(&drift, side, Reading::Unread, &connection.name);
        let example = |of: Side| row.example_id.filter(|_| side == of);
        Self {
            id: id::<DriftId>(row.id),
            record_kind: row.record_kind,
            side: row.side,
            what: row.what,
            value: drift.value,
            field: row.path,
            before: row.before,
            after: row.after,
            risk: row.risk,
            sentence: judged.sentence,
            owner: judged.owner.as_str().to_owned(),
            next_step: judged.next_step.to_owned(),
            state: row.state,
            flows: flows.into_iter().map(|(flow, fields)| DriftFlow { flow: flow.into(), fields }).collect(),
            records_per_day: per_day.records,
            money_per_day: per_day.money.into_iter().map(|(currency, amount)| MoneyPerDay { currency, amount }).collect(),
            example_message_id: example(Side::Source).map(id::<MessageId>),
            example_delivery_id: example(Side::Destination).map(id::<DeliveryId>),
            raised_at: row.raised_at,
            last_seen_at: row.last_seen_at,
            closed_at: row.closed_at,
            connection: connection.into(),
        }
    }
}

/// What is done about the drift of a field.
#[derive(SimpleObject)]
#[graphql(name = "DriftPolicy")]
struct DriftPolicyNode {
    connection_id: ID,
    record_kind: String,
    /// The field, with all that lies in it; * is every field.
    field: String,
    /// warn, hold or pass.
    policy: String,
    changed_at: DateTime<Utc>,
}

impl From<PolicyRow> for DriftPolicyNode {
    fn from(row: PolicyRow) -> Self {
        Self {
            connection_id: id::<ConnectionId>(row.connection),
            record_kind: row.kind,
            field: row.pattern,
            policy: row.policy,
            changed_at: row.changed_at,
        }
    }
}

/// What documents of one connection and kind look like.
#[derive(SimpleObject)]
#[graphql(name = "Profile")]
struct ProfileNode {
    /// Documents that it is made of; old ones weigh less.
    documents: i64,
    started_at: DateTime<Utc>,
    /// Since when differences are raised; null while it is still learned what is normal.
    established_at: Option<DateTime<Utc>>,
    /// Those that stand highest first; at most 1,000.
    fields: Vec<ProfileField>,
}

/// What is known of one field.
#[derive(SimpleObject)]
struct ProfileField {
    /// Without positions in lists: line_items[].sku.
    path: String,
    /// Documents that have it.
    documents: i64,
    /// Documents in which it is not null at least once.
    filled: i64,
    types: Vec<TypeCount>,
    /// Its words, where it has at most 20 and they may be kept.
    values: Option<Vec<ValueCount>>,
    /// Characters of the longest text.
    chars_max: i64,
}

#[derive(SimpleObject)]
struct TypeCount {
    /// null, bool, int, decimal, text, list or map.
    name: String,
    count: i64,
}

#[derive(SimpleObject)]
struct ValueCount {
    /// At most 64 characters.
    value: String,
    count: i64,
}

fn count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl From<(&Path, &Field)> for ProfileField {
    fn from((path, field): (&Path, &Field)) -> Self {
        let types = Type::ALL.into_iter().filter(|of| field.count(*of) > 0);
        let values = field.values.as_ref().filter(|values| !values.is_empty());
        Self {
            path: path.to_string(),
            documents: count(field.documents),
            filled: count(field.filled),
            types: types.map(|of| TypeCount { name: of.as_str().to_owned(), count: count(field.count(of)) }).collect(),
            values: values
                .map(|values| values.iter().map(|(value, n)| ValueCount { value: value.clone(), count: count(*n) }).collect()),
            chars_max: count(field.chars_max),
        }
    }
}

impl From<ProfileRow> for ProfileNode {
    fn from(row: ProfileRow) -> Self {
        Self {
            documents: count(row.all.documents),
            started_at: row.baseline.started_at,
            established_at: row.baseline.established_at,
            fields: row.all.fields.iter().map(ProfileField::from).collect(),
        }
    }
}

#[derive(Default)]
pub struct DriftQuery;

#[Object]
impl DriftQuery {
    /// Notices of drift, newest first, at most 100 a page. `state` is open, accepted or resolved; without it all are listed.
    #[graphql(complexity = "AGGREGATE_COST + cost(first, child_complexity)")]
    async fn drifts(
        &self,
        ctx: &Context<'_>,
        state: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, DriftNode, EmptyFields, EmptyFields>> {
        one_of("state", state.as_deref(), &DriftState::ALL.map(DriftState::as_str))?;
        let (first, after) = start(first, after)?;
        let has_previous = after.is_some();
        let (details, has_next) = within(ctx, Permission::ReadOperations, async |store| {
            let page = store.page::<drift::Entity>(filter::drift_state(state), after, first).await?;
            Ok((store.drift_details(page.rows).await?, page.has_next))
        })
        .await?;
        let mut connection = Connection::new(has_previous, has_next);
        let edge = |detail: DriftDetail| Edge::new(detail.row.id.simple().to_string(), detail.into());
        connection.edges.extend(details.into_iter().map(edge));
        Ok(connection)
    }

    /// What is done about the drift of a connection's fields, at most 200 for each kind; what is not listed is warned of.
    #[graphql(complexity = "cost(Some(20), child_complexity)")]
    async fn drift_policies(&self, ctx: &Context<'_>, connection_id: ID) -> Result<Vec<DriftPolicyNode>> {
        let Some(connection) = uuid::<ConnectionId>(&connection_id) else {
            scope(ctx, Permission::ReadOperations)?;
            return Ok(vec![]);
        };
        let rows =
            within(ctx, Permission::ReadOperations, async |store| store.drift_policies(ConnectionId(connection)).await).await?;
        Ok(rows.into_iter().map(DriftPolicyNode::from).collect())
    }

    /// What documents of a connection and a kind look like. `side` is source (what it sends) or destination (what it took); null where
    /// none came yet.
    #[graphql(complexity = "LARGE_COST + cost(Some(100), child_complexity)")]
    async fn profile(&self, ctx: &Context<'_>, connection_id: ID, kind: String, side: String) -> Result<Option<ProfileNode>> {
        one_of("kind", Some(&kind), &RecordKind::ALL.map(RecordKind::as_str))?;
        one_of("side", Some(&side), &Side::ALL.map(Side::as_str))?;
        scope(ctx, Permission::ReadOperations)?;
        let place = || {
            let connection = ConnectionId(uuid::<ConnectionId>(&connection_id)?);
            Some(DriftPlace { connection, kind: RecordKind::parse(&kind)?, side: Side::parse(&side)? })
        };
        let Some(place) = place() else { return Ok(None) };
        let row = within(ctx, Permission::ReadOperations, async |store| store.drift_profile(place).await).await?;
        Ok(row.map(ProfileNode::from))
    }
}

#[derive(InputObject)]
struct DriftPolicySetInput {
    connection_id: ID,
    /// order, customer, item, inventory_level, shipment, invoice, return, payment, refund or purchase_order.
    record_kind: String,
    /// A field as drifts name it, with all that lies in it: tax_lines[]; * is every field. At most 200 bytes.
    field: String,
    /// warn (a notice), hold (a notice, and a message with a new field, type or word becomes an exception) or pass (nothing).
    policy: String,
}

#[derive(SimpleObject)]
struct DriftPayload {
    drift: Option<DriftNode>,
    user_errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct DriftPolicyPayload {
    policies: Vec<DriftPolicyNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct DriftMutation;

#[Object]
impl DriftMutation {
    /// Says that a drift is right: from now on it is normal. What was held for it passes with the next Retry.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn drift_accept(&self, ctx: &Context<'_>, id: ID) -> Result<DriftPayload> {
        scope(ctx, Permission::WorkExceptions)?;
        let refuse =
            |code, message: &str| Ok(DriftPayload { drift: None, user_errors: vec![UserError::new("id", code, message)] });
        let not_found = || refuse(UserErrorCode::NotFound, "there is no such drift");
        let Some(drift) = uuid::<DriftId>(&id) else { return not_found() };
        let (accepted, detail) = within(ctx, Permission::WorkExceptions, async |store| {
            let accepted = store.drift_accept(drift).await?;
            let row = store.find::<drift::Entity>(drift).await?;
            Ok((accepted, store.drift_details(row.into_iter().collect()).await?.pop()))
        })
        .await?;
        match accepted {
            Accepted::NotFound => not_found(),
            Accepted::Closed => refuse(UserErrorCode::Invalid, "it is accepted or resolved already; reload the list"),
            Accepted::Done => Ok(DriftPayload { drift: detail.map(DriftNode::from), user_errors: vec![] }),
        }
    }

    /// Sets what is done about the drift of a field of a connection, at most 200 fields for each kind. The nearest field that is set counts.
    async fn drift_policy_set(&self, ctx: &Context<'_>, input: DriftPolicySetInput) -> Result<DriftPolicyPayload> {
        scope(ctx, Permission::Configure)?;
        let refuse = |field, code, message: String| {
            Ok(DriftPolicyPayload { policies: vec![], user_errors: vec![UserError::new(field, code, message)] })
        };
        let Some(kind) = RecordKind::parse(&input.record_kind) else {
            let kinds = RecordKind::ALL.map(RecordKind::as_str).join(", ");
            return refuse("recordKind", UserErrorCode::Invalid, format!("a kind is one of {kinds}"));
        };
        let Some(policy) = Policy::parse(&input.policy) else {
            return refuse("policy", UserErrorCode::Invalid, "a policy is warn, hold or pass".into());
        };
        if !is_pattern(&input.field) {
            let message =
                "a field is written as drifts name it, without positions in lists: line_items[].tax_lines[].title; or * for all";
            return refuse("field", UserErrorCode::Invalid, message.into());
        }
        let not_found = || refuse("connectionId", UserErrorCode::NotFound, "there is no such connection".into());
        let Some(connection) = uuid::<ConnectionId>(&input.connection_id).map(ConnectionId) else { return not_found() };
        let (set, policies) = within(ctx, Permission::Configure, async |store| {
            let set = store.drift_policy_set(connection, kind, &input.field, policy).await?;
            Ok((set, store.drift_policies(connection).await?))
        })
        .await?;
        match set {
            None => not_found(),
            Some(false) => refuse(
                "field",
                UserErrorCode::TooMany,
                format!("at most {POLICIES_MAX} fields of a kind; set one that is nearer to the top"),
            ),
            Some(true) => Ok(DriftPolicyPayload {
                policies: policies.into_iter().map(DriftPolicyNode::from).collect(),
                user_errors: vec![],
            }),
        }
    }
}
