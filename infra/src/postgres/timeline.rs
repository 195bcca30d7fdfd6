//! The timeline of a record: what the audit log tells of it, of its messages, deliveries and exceptions, and every call with its answer, as one
//! list in the order of their ids, which is the order of time. A handful of statements for a page, each by ids, whatever else the tenant has.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use domain::id::UserId;
use domain::recipe::Recipe;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::page::PAGE_MAX;
use super::{StoreError, TenantStore};

/// Messages, deliveries, exceptions and revisions of a record that its timeline is made of, of each the newest. Few records have as many;
/// of one that has more, such as a stock level, the timeline begins later.
pub const OF_RECORD_MAX: i64 = 500;

/// A message that spoke of the record.
#[derive(Debug, Clone)]
pub struct TimelineMessage {
    pub id: Uuid,
    pub origin: String,
    pub topic: String,
    pub source: String,
    /// What it became: the revision, and what that was made with.
    pub revision: Option<(i32, Option<Recipe>)>,
}

#[derive(Debug, Clone)]
pub struct TimelineDelivery {
    pub id: Uuid,
    pub revision: i32,
    pub flow: Uuid,
    pub flow_name: String,
    pub flow_version: i32,
    pub connection: Uuid,
    pub destination: String,
}

#[derive(Debug, Clone)]
pub struct TimelineException {
    pub id: Uuid,
    pub sentence: String,
    /// The field that it is about, and its value, which the sentence may repeat.
    pub path: Option<String>,
    pub value: Option<String>,
    pub resolution: Option<String>,
    pub delivery: Option<Uuid>,
    pub message: Option<Uuid>,
}

/// One call.
#[derive(Debug, Clone)]
pub struct TimelineAttempt {
    pub number: i32,
    pub kind: String,
    pub method: String,
    pub url: String,
    pub ended_at: Option<DateTime<Utc>>,
    pub outcome: Option<String>,
    pub status: Option<i32>,
    pub reason: Option<String>,
    pub recipe: Option<Recipe>,
}

/// An act of the audit log.
#[derive(Debug, Clone)]
pub struct TimelineAct {
    pub action: String,
    pub actor: serde_json::Value,
    /// The person's name or address, where a person did it.
    pub who: Option<String>,
    pub request: Uuid,
    pub detail: Option<String>,
}

#[derive(Debug, Clone)]
pub enum TimelineWhat {
    Act(TimelineAct),
    Attempt(TimelineAttempt),
}

#[derive(Debug, Clone)]
pub struct TimelineRow {
    /// Of the audit event or of the attempt.
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub what: TimelineWhat,
    pub message: Option<TimelineMessage>,
    pub delivery: Option<TimelineDelivery>,
    pub exception: Option<TimelineException>,
}

#[derive(Debug, Default)]
pub struct Timeline {
    pub rows: Vec<TimelineRow>,
    pub has_next: bool,
}

/// What belongs to a record.
#[derive(Default)]
struct Parts {
    messages: HashMap<Uuid, TimelineMessage>,
    deliveries: HashMap<Uuid, TimelineDelivery>,
    exceptions: HashMap<Uuid, TimelineException>,
}

impl Parts {
    fn subjects(&self, record: Uuid) -> Vec<Uuid> {
        let parts = self.messages.keys().chain(self.deliveries.keys()).chain(self.exceptions.keys());
        std::iter::once(record).chain(parts.copied()).collect()
    }
}

impl TenantStore<'_> {
    /// What happened to a record after that entry, oldest first. Empty where there is no such record.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn timeline(&self, record: Uuid, after: Option<Uuid>, first: u64) -> Result<Timeline, StoreError> {
        let first = first.clamp(1, PAGE_MAX);
        let mut tx = self.begin().await?;
        let parts = parts(&mut tx, record).await?;
        let subjects = parts.subjects(record);
        // Nothing is told of a thing before it is there: so only the partitions since then are looked into.
        let born = subjects.iter().min().copied().unwrap_or(record);
        let after = after.unwrap_or(born).max(born);
        // Leans on audit_events_subject, attempts_delivery and attempts_message. What the log says of calls is in the attempts, with more.
        let rows = sqlx::query(
            "SELECT t.*, p.content AS recipe FROM (
                 SELECT e.* FROM (
                     -- Whence it was done is for who may read the audit log.
                     SELECT a.id, a.at, a.action, a.actor - '{address,trace}'::text[] AS actor, a.request_id, a.detail, a.subject_id,
                            NULL::int AS number, NULL::text AS kind, NULL::text AS method, NULL::text AS url, NULL::timestamptz AS ended_at,
                            NULL::text AS outcome, NULL::int AS status, NULL::jsonb AS fault, NULL::uuid AS recipe_id
                     FROM audit_events a WHERE a.subject_id = ANY($1) AND a.id > $4 AND a.action NOT LIKE 'attempt.%'
                     UNION ALL
                     SELECT c.id, c.started_at, NULL, NULL, NULL, NULL, c.delivery_id, c.number, c.kind, c.method, c.url, c.ended_at, c.outcome,
                            c.status, c.fault, c.recipe_id
                     FROM attempts c WHERE c.delivery_id = ANY($2) AND c.id > $4
                     UNION ALL
                     SELECT c.id, c.started_at, NULL, NULL, NULL, NULL, c.message_id, c.number, c.kind, c.method, c.url, c.ended_at, c.outcome,
                            c.status, c.fault, c.recipe_id
                     FROM attempts c WHERE c.message_id = ANY($3) AND c.id > $4
                 ) e ORDER BY e.id LIMIT $5
             ) t LEFT JOIN recipes p ON p.tenant_id = $6 AND p.id = t.recipe_id ORDER BY t.id",
        )
        .bind(&subjects)
        .bind(parts.deliveries.keys().copied().collect::<Vec<_>>())
        .bind(parts.messages.keys().copied().collect::<Vec<_>>())
        .bind(after)
        .bind(i64::try_from(first).unwrap_or(i64::MAX).saturating_add(1))
        .bind(self.scope().tenant.0)
        .fetch_all(&mut *tx)
        .await?;
        let has_next = rows.len() as u64 > first;
        let shown = &rows[..rows.len().min(usize::try_from(first).unwrap_or(usize::MAX))];
        let mut entries = shown.iter().map(|row| entry(row, &parts)).collect::<Result<Vec<_>, _>>()?;
        name_people(&mut tx, &mut entries).await?;
        tx.commit().await?;
        Ok(Timeline { rows: entries, has_next })
    }
}

async fn parts(tx: &mut Transaction<'static, Postgres>, record: Uuid) -> Result<Parts, StoreError> {
    let mut parts = Parts::default();
    // Leans on messages_record and record_revisions_record.
    let rows = sqlx::query(
        "SELECT m.id, m.origin, m.topic, c.name, v.revision, p.content FROM (
             SELECT id, tenant_id, connection_id, origin, topic FROM messages WHERE record_id = $1 ORDER BY id DESC LIMIT $2
         ) m JOIN connections c ON c.id = m.connection_id
         LEFT JOIN (
             SELECT message_id, revision, recipe_id FROM record_revisions WHERE record_id = $1 ORDER BY revision DESC LIMIT $2
         ) v ON v.message_id = m.id
         LEFT JOIN recipes p ON p.tenant_id = m.tenant_id AND p.id = v.recipe_id",
    );
    for row in rows.bind(record).bind(OF_RECORD_MAX).fetch_all(&mut **tx).await? {
        let id = row.try_get("id")?;
        let revision: Option<i32> = row.try_get("revision")?;
        let recipe = recipe(&row, "content")?;
        let message = TimelineMessage {
            id,
            origin: row.try_get("origin")?,
            topic: row.try_get("topic")?,
            source: row.try_get("name")?,
            revision: revision.map(|revision| (revision, recipe)),
        };
        parts.messages.insert(id, message);
    }
    // Leans on deliveries_record.
    let rows = sqlx::query(
        "SELECT d.id, d.revision, d.flow_id, f.name AS flow_name, v.version, d.connection_id, c.name AS destination FROM (
             SELECT id, revision, flow_id, flow_version_id, connection_id FROM deliveries WHERE record_id = $1 ORDER BY revision DESC, id DESC LIMIT $2
         ) d JOIN flows f ON f.id = d.flow_id JOIN flow_versions v ON v.id = d.flow_version_id JOIN connections c ON c.id = d.connection_id",
    );
    for row in rows.bind(record).bind(OF_RECORD_MAX).fetch_all(&mut **tx).await? {
        let id = row.try_get("id")?;
        let delivery = TimelineDelivery {
            id,
            revision: row.try_get("revision")?,
            flow: row.try_get("flow_id")?,
            flow_name: row.try_get("flow_name")?,
            flow_version: row.try_get("version")?,
            connection: row.try_get("connection_id")?,
            destination: row.try_get("destination")?,
        };
        parts.deliveries.insert(id, delivery);
    }
    // Leans on exceptions_record and exceptions_of_message: those of messages know no record.
    let rows = sqlx::query(
        "SELECT e.id, e.sentence, e.path, e.value, e.resolution, e.delivery_id, e.message_id FROM (
             SELECT id FROM exceptions WHERE record_id = $1 UNION SELECT id FROM exceptions WHERE message_id = ANY($2)
         ) i JOIN exceptions e ON e.id = i.id ORDER BY e.id DESC LIMIT $3",
    );
    let messages: Vec<Uuid> = parts.messages.keys().copied().collect();
    for row in rows.bind(record).bind(messages).bind(OF_RECORD_MAX).fetch_all(&mut **tx).await? {
        let id = row.try_get("id")?;
        let exception = TimelineException {
            id,
            sentence: row.try_get("sentence")?,
            path: row.try_get("path")?,
            value: row.try_get("value")?,
            resolution: row.try_get("resolution")?,
            delivery: row.try_get("delivery_id")?,
            message: row.try_get("message_id")?,
        };
        parts.exceptions.insert(id, exception);
    }
    Ok(parts)
}

/// What a recipe says. One that this version cannot read is left out: the timeline is of more than that.
fn recipe(row: &PgRow, column: &str) -> Result<Option<Recipe>, sqlx::Error> {
    Ok(row.try_get::<Option<serde_json::Value>, _>(column)?.and_then(|json| serde_json::from_value(json).ok()))
}

fn entry(row: &PgRow, parts: &Parts) -> Result<TimelineRow, StoreError> {
    let subject: Uuid = row.try_get("subject_id")?;
    let exception = parts.exceptions.get(&subject).cloned();
    let of = |id: Option<Uuid>| id.unwrap_or(subject);
    let what = match row.try_get::<Option<String>, _>("action")? {
        Some(action) => TimelineWhat::Act(TimelineAct {
            action,
            actor: row.try_get("actor")?,
            who: None,
            request: row.try_get("request_id")?,
            detail: row.try_get("detail")?,
        }),
        None => TimelineWhat::Attempt(TimelineAttempt {
            number: row.try_get("number")?,
            kind: row.try_get("kind")?,
            method: row.try_get("method")?,
            url: row.try_get("url")?,
            ended_at: row.try_get("ended_at")?,
            outcome: row.try_get("outcome")?,
            status: row.try_get("status")?,
            reason: row
                .try_get::<Option<serde_json::Value>, _>("fault")?
                .and_then(|fault| Some(fault.get("reason")?.as_str()?.to_owned())),
            recipe: recipe(row, "recipe")?,
        }),
    };
    Ok(TimelineRow {
        id: row.try_get("id")?,
        at: row.try_get("at")?,
        what,
        message: parts.messages.get(&of(exception.as_ref().and_then(|e| e.message))).cloned(),
        delivery: parts.deliveries.get(&of(exception.as_ref().and_then(|e| e.delivery))).cloned(),
        exception,
    })
}

/// Gives those who did something their names. Most pages tell of no person, and cost nothing.
async fn name_people(tx: &mut Transaction<'static, Postgres>, rows: &mut [TimelineRow]) -> Result<(), StoreError> {
    let user = |act: &TimelineAct| act.actor.get("user")?.as_str()?.parse::<UserId>().ok();
    let acts = |row: &TimelineRow| if let TimelineWhat::Act(act) = &row.what { user(act) } else { None };
    let users: HashSet<Uuid> = rows.iter().filter_map(acts).map(|user| user.0).collect();
    if users.is_empty() {
        return Ok(());
    }
    let named: Vec<(Uuid, String)> =
        sqlx::query_as("SELECT id, CASE WHEN name = '' THEN email ELSE name END FROM users WHERE id = ANY($1)")
            .bind(users.into_iter().collect::<Vec<_>>())
            .fetch_all(&mut **tx)
            .await?;
    let named: HashMap<Uuid, String> = named.into_iter().collect();
    for row in rows {
        if let TimelineWhat::Act(act) = &mut row.what {
            // The staff are no member: their name stands with the act.
            let staff = (act.actor["kind"] == "staff").then(|| act.actor["name"].as_str()).flatten();
            let staff = staff.map(|name| format!("{name} of support"));
            let member = || user(act).map(|user| named.get(&user.0).cloned().unwrap_or_else(|| "A former member".to_owned()));
            let account = act.actor["service_account_name"].as_str().map(|name| format!("The service account {name}"));
            act.who = staff.or(account).or_else(member);
        }
    }
    Ok(())
}
