//! The timeline of a record: everything that happened to it, in words, with the ids of all that took part.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Context, ID, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{AttemptId, AuditEventId, ConnectionId, DeliveryId, ExceptionId, FlowId, MessageId, RecordId};
use domain::scope::Permission;
use domain::timeline::{Called, Told, call_sentence, sentence};
use infra::postgres::timeline::{TimelineAct, TimelineAttempt, TimelineRow, TimelineWhat};
use uuid::Uuid;

use super::error::{state, within};
use super::flow::MadeWith;
use super::page::{LARGE_COST, cost, id, start, uuid};
use super::personal::Personal;

/// One thing that happened.
#[derive(SimpleObject)]
pub(super) struct TimelineEntry {
    id: ID,
    at: DateTime<Utc>,
    /// The word of the audit log (message.received, delivery.planned, exception.opened, …); of a call, `call.` and its kind: call.write.
    what: String,
    /// What happened, in plain words; at most a few hundred characters.
    sentence: Personal,
    /// Who did it: a member, a stage of Crossdock, a vendor or an operator; none of a call.
    actor: Option<Json<serde_json::Value>>,
    /// The name of the person who did it.
    who: Option<String>,
    /// One request or task; all it caused has the same. None of a call.
    request_id: Option<String>,
    message_id: Option<ID>,
    /// The revision that a message became, or that is delivered.
    revision: Option<i32>,
    delivery_id: Option<ID>,
    flow_id: Option<ID>,
    flow_version: Option<i32>,
    /// The destination.
    connection_id: Option<ID>,
    exception_id: Option<ID>,
    call: Option<TimelineCall>,
    /// What a revision or a request was made with.
    made_with: Option<MadeWith>,
    /// JSON, at most a few hundred bytes. What tells of a person is hidden from who lacks READ_PERSONAL_DATA.
    detail: Option<Personal>,
}

/// A call and its answer.
#[derive(SimpleObject)]
struct TimelineCall {
    attempt_id: ID,
    number: i32,
    /// write, update, action, proof, read or fetch.
    kind: String,
    method: String,
    url: Personal,
    ended_at: Option<DateTime<Utc>>,
    /// stored, failed, unknown, absent or not_sent; null while it runs.
    outcome: Option<String>,
    status: Option<i32>,
    /// Why it failed.
    reason: Option<Personal>,
}

/// The part of an entry that an act or a call fills in.
struct Part {
    id: ID,
    what: String,
    sentence: String,
    actor: Option<Json<serde_json::Value>>,
    who: Option<String>,
    request_id: Option<String>,
    call: Option<TimelineCall>,
    made_with: Option<MadeWith>,
    detail: Option<String>,
}

fn act(row: &TimelineRow, act: &TimelineAct) -> Part {
    let (message, delivery, exception) = (row.message.as_ref(), row.delivery.as_ref(), row.exception.as_ref());
    let is_of = |action: domain::audit::Action| act.action == action.as_str();
    let tells = is_of(domain::audit::Action::DeliveryUndone) || is_of(domain::audit::Action::ExceptionIgnored);
    let detail =
        act.detail.as_deref().filter(|_| tells).and_then(|detail| serde_json::from_str::<serde_json::Value>(detail).ok());
    // The exception itself may have been opened again, and ended otherwise.
    let ignored_because = detail.as_ref().and_then(|detail| detail["reason"].as_str());
    let told = Told {
        who: act.who.as_deref(),
        source: message.map(|m| m.source.as_str()),
        topic: message.map(|m| m.topic.as_str()),
        origin: message.map(|m| m.origin.as_str()),
        revision: delivery.map(|d| d.revision).or_else(|| Some(message?.revision.as_ref()?.0)),
        flow: delivery.map(|d| d.flow_name.as_str()),
        flow_version: delivery.map(|d| d.flow_version),
        destination: delivery.map(|d| d.destination.as_str()),
        exception: exception.map(|e| e.sentence.as_str()),
        resolution: ignored_because.or_else(|| exception.and_then(|e| e.resolution.as_deref())),
        undone: detail.as_ref().and_then(|detail| i32::try_from(detail["version"].as_i64()?).ok()),
        why: detail.as_ref().and_then(|detail| detail["why"].as_str()),
    };
    let is_mapped = act.action == domain::audit::Action::MessageMapped.as_str();
    let recipe = message.filter(|_| is_mapped).and_then(|m| m.revision.as_ref()?.1.as_ref());
    Part {
        id: id::<AuditEventId>(row.id),
        sentence: sentence(&act.action, &told),
        what: act.action.clone(),
        actor: Some(Json(act.actor.clone())),
        who: act.who.clone(),
        request_id: Some(act.request.to_string()),
        call: None,
        made_with: recipe.map(MadeWith::from),
        detail: act.detail.clone(),
    }
}

fn call(row: &TimelineRow, attempt: &TimelineAttempt) -> Part {
    let system = match (&row.delivery, &row.message) {
        (Some(delivery), _) => delivery.destination.as_str(),
        (None, Some(message)) => message.source.as_str(),
        (None, None) => "The other system",
    };
    let called = Called {
        kind: &attempt.kind,
        system,
        outcome: attempt.outcome.as_deref(),
        status: attempt.status,
        took_ms: attempt.ended_at.map(|ended| (ended - row.at).num_milliseconds().max(0)),
        reason: attempt.reason.as_deref(),
    };
    Part {
        id: id::<AttemptId>(row.id),
        what: format!("call.{}", attempt.kind),
        sentence: call_sentence(&called),
        actor: None,
        who: None,
        request_id: None,
        made_with: attempt.recipe.as_ref().map(MadeWith::from),
        detail: None,
        call: Some(TimelineCall {
            attempt_id: id::<AttemptId>(row.id),
            number: attempt.number,
            kind: attempt.kind.clone(),
            method: attempt.method.clone(),
            url: Personal::sentence(attempt.url.clone()),
            ended_at: attempt.ended_at,
            outcome: attempt.outcome.clone(),
            status: attempt.status,
            reason: attempt.reason.clone().map(Personal::sentence),
        }),
    }
}

impl From<TimelineRow> for TimelineEntry {
    fn from(row: TimelineRow) -> Self {
        let part = match &row.what {
            TimelineWhat::Act(told) => act(&row, told),
            TimelineWhat::Attempt(attempt) => call(&row, attempt),
        };
        let (message, delivery) = (row.message.as_ref(), row.delivery.as_ref());
        Self {
            id: part.id,
            at: row.at,
            what: part.what,
            sentence: Personal::sentence_about(
                part.sentence,
                row.exception.as_ref().and_then(|exception| exception.path.as_deref()),
                row.exception.as_ref().and_then(|exception| exception.value.as_deref()),
            ),
            actor: part.actor,
            who: part.who,
            request_id: part.request_id,
            message_id: message.map(|m| id::<MessageId>(m.id)),
            revision: delivery.map(|d| d.revision).or_else(|| Some(message?.revision.as_ref()?.0)),
            delivery_id: delivery.map(|d| id::<DeliveryId>(d.id)),
            flow_id: delivery.map(|d| id::<FlowId>(d.flow)),
            flow_version: delivery.map(|d| d.flow_version),
            connection_id: delivery.map(|d| id::<ConnectionId>(d.connection)),
            exception_id: row.exception.as_ref().map(|e| id::<ExceptionId>(e.id)),
            call: part.call,
            made_with: part.made_with,
            detail: part.detail.map(Personal::payload),
        }
    }
}

pub(super) type TimelineConnection = Connection<String, TimelineEntry, EmptyFields, EmptyFields>;

/// A page of a record's timeline.
pub(super) async fn timeline(
    ctx: &Context<'_>,
    record: Uuid,
    first: Option<i32>,
    after: Option<String>,
) -> Result<TimelineConnection> {
    let (first, after) = start(first, after)?;
    let has_previous = after.is_some();
    let vault = &state(ctx).vault;
    let page = within(ctx, Permission::ReadOperations, async |store| {
        let mut page = store.timeline(record, after, first).await?;
        let acts = page.rows.iter_mut().filter_map(|row| match &mut row.what {
            TimelineWhat::Act(act) => Some(act),
            TimelineWhat::Attempt(_) => None,
        });
        let mut acts: Vec<&mut TimelineAct> = acts.collect();
        let details = acts.iter_mut().map(|act| act.detail.take()).collect();
        for (act, detail) in acts.into_iter().zip(store.audit_details(vault, details).await?) {
            act.detail = detail;
        }
        Ok(page)
    })
    .await?;
    let mut connection = Connection::new(has_previous, page.has_next);
    let edges = page.rows.into_iter().map(|row| Edge::new(row.id.simple().to_string(), row.into()));
    connection.edges.extend(edges);
    Ok(connection)
}

#[derive(Default)]
pub struct TimelineQuery;

#[Object]
impl TimelineQuery {
    /// Everything that happened to a record, over all flows and systems. Oldest first, at most 100 a page.
    #[graphql(complexity = "LARGE_COST + cost(first, child_complexity)")]
    async fn timeline(
        &self,
        ctx: &Context<'_>,
        record_id: ID,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<TimelineConnection> {
        // What is no id of a record has no timeline.
        timeline(ctx, uuid::<RecordId>(&record_id).unwrap_or_default(), first, after).await
    }
}
