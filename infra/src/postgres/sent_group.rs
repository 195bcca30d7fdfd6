//! Groups of ours: which number each has, which 997s are still to be written, and which groups a partner has not acknowledged in time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use connectors::x12::{GroupNumber, SentGroup, Settled};
use domain::audit::Action;
use domain::fault::Owner;
use domain::id::{ConnectionId, DeliveryId, IncidentId, SentGroupId};
use domain::interchange::{SentGroupState, late_sentence, unread_sentence};
use domain::scope::Scope;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::file::leads;
use super::interchange::{control_number, sequence_of};
use super::poll::Poll;
use super::receive::{audit, audit_each};
use super::{StoreError, TenantStore};

/// 997s that are written in one look; the next one writes the others.
const ANSWERS_MAX: i64 = 1_000;
const LATE_STEP: &str = "Ask the partner whether it arrived. It closes itself when the 997 comes.";
const UNREAD_STEP: &str =
    "Set a poll for the connection, or resume the one that it has; every minute, say. It closes itself when the folder was read.";

type Tx = Transaction<'static, Postgres>;

/// A delivery whose group needs its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedGroup {
    pub delivery: DeliveryId,
    pub resends: i16,
    /// `PO`
    pub functional_id: String,
    /// `850`
    pub set: String,
}

/// Whose numbers they are, and how long a 997 may take.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Partner {
    pub connection: ConnectionId,
    /// Qualifier and id.
    pub us: String,
    pub partner: String,
    pub within_s: i32,
}

/// A group with its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberedGroup {
    pub id: SentGroupId,
    pub number: GroupNumber,
}

/// A 997 that is still to be written.
#[derive(Debug, Clone)]
pub struct OpenAnswer {
    pub id: SentGroupId,
    pub control_number: i32,
    pub body: String,
    /// It is written, without its name.
    pub is_placed: bool,
}

impl TenantStore<'_> {
    /// Gives each delivery the number of its group, and the same one whenever it is asked again.
    ///
    /// # Errors
    /// Where the database does not answer: then no number was given.
    pub async fn sent_groups_plan(
        &self,
        partner: &Partner,
        groups: &[PlannedGroup],
    ) -> Result<HashMap<DeliveryId, NumberedGroup>, StoreError> {
        let mut tx = self.begin().await?;
        let sequence = sequence_of(&mut tx, self.scope(), partner.connection, &partner.us, &partner.partner).await?;
        let (sequence, last): (Uuid, i32) = (sequence.try_get("id")?, sequence.try_get("sent_number")?);
        let rows = sqlx::query(
            "WITH i AS (
                 SELECT * FROM unnest($4::uuid[], $5::uuid[], $6::int2[], $7::text[], $8::text[]) WITH ORDINALITY
                     AS i (id, delivery_id, resends, functional_id, set_id, n)
             ), fresh AS (
                 SELECT i.*, row_number() OVER (ORDER BY n) AS turn FROM i
                 WHERE NOT EXISTS (SELECT FROM sent_groups g WHERE g.delivery_id = i.delivery_id AND g.resends = i.resends)
             ), made AS (
                 INSERT INTO sent_groups (id, tenant_id, connection_id, sequence_id, control_number, functional_id, set_id, delivery_id, resends, within_s)
                 SELECT id, $1, $2, $3, ($9 + turn - 1) % 999999999 + 1, functional_id, set_id, delivery_id, resends, $10 FROM fresh
                 RETURNING id, delivery_id, control_number, made_at
             ), moved AS (
                 UPDATE interchange_sequences s SET sent_number = ($9 + f.count - 1) % 999999999 + 1
                 FROM (SELECT count(*) AS count FROM fresh) f WHERE s.id = $3 AND f.count > 0
             )
             SELECT id, delivery_id, control_number, made_at FROM made
             UNION ALL
             SELECT g.id, g.delivery_id, g.control_number, g.made_at FROM sent_groups g
             JOIN i ON i.delivery_id = g.delivery_id AND i.resends = g.resends",
        )
        .bind(self.scope().tenant.0)
        .bind(partner.connection.0)
        .bind(sequence)
        .bind(groups.iter().map(|_| SentGroupId::generate().0).collect::<Vec<_>>())
        .bind(groups.iter().map(|group| group.delivery.0).collect::<Vec<_>>())
        .bind(groups.iter().map(|group| group.resends).collect::<Vec<_>>())
        .bind(groups.iter().map(|group| group.functional_id.as_str()).collect::<Vec<_>>())
        .bind(groups.iter().map(|group| group.set.as_str()).collect::<Vec<_>>())
        .bind(i64::from(last))
        .bind(partner.within_s)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let mut numbered = HashMap::with_capacity(rows.len());
        for row in &rows {
            let Some(number) = control_number(row.try_get("control_number")?) else { continue };
            let number = GroupNumber { number, made_at: row.try_get("made_at")? };
            let id = SentGroupId(row.try_get("id")?);
            numbered.insert(DeliveryId(row.try_get("delivery_id")?), NumberedGroup { id, number });
        }
        Ok(numbered)
    }

    /// 997s of the poll's connection that are still to be written, in the order of their numbers.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn answers_open(&self, poll: &Poll) -> Result<Vec<OpenAnswer>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT id, control_number, coalesce(body, '') AS body, state = 'placed' AS is_placed FROM sent_groups
             WHERE connection_id = $1 AND answers IS NOT NULL AND state IN ('planned', 'placed') ORDER BY control_number LIMIT $2",
        );
        let rows = rows.bind(poll.connection.0).bind(ANSWERS_MAX).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let answer = |row: sqlx::postgres::PgRow| {
            Ok(OpenAnswer {
                id: SentGroupId(row.try_get("id")?),
                control_number: row.try_get("control_number")?,
                body: row.try_get("body")?,
                is_placed: row.try_get("is_placed")?,
            })
        };
        rows.into_iter().map(answer).collect()
    }

    /// A 997 is written without its name (`Placed`), or with it (`Sent`); false where somebody else leads the poll, or was faster.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn answer_moved(
        &self,
        poll: &Poll,
        answer: &OpenAnswer,
        to: SentGroupState,
        lease_s: f64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? {
            return Ok(false);
        }
        let is_sent = to == SentGroupState::Sent;
        let from = if is_sent { SentGroupState::Placed } else { SentGroupState::Planned };
        let moved = sqlx::query(
            "UPDATE sent_groups SET state = $3, sent_at = CASE WHEN $4 THEN now() END, body = CASE WHEN $4 THEN NULL ELSE body END
             WHERE id = $1 AND state = $2",
        );
        let moved = moved.bind(answer.id.0).bind(from.as_str()).bind(to.as_str()).bind(is_sent).execute(&mut *tx).await?;
        if is_sent && moved.rows_affected() == 1 {
            let detail = serde_json::json!({"set": "997", "control_number": answer.control_number}).to_string();
            audit_each(&mut tx, self.scope(), Action::SentGroupWritten, "sent_group", &[answer.id.0], &[Some(&detail)]).await?;
        }
        tx.commit().await?;
        Ok(moved.rows_affected() == 1)
    }

    /// Tells which groups of the poll's connection are late: one incident for each partner, which closes itself. To be asked right after its folder was
    /// read, so that no 997 lies there unread.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sent_groups_late(&self, poll: &Poll, source: &str, (us, partner): (&str, &str)) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT s.id, l.count, l.number, l.functional_id, l.set_id, l.sent_at, n.id AS incident
             FROM interchange_sequences s
             CROSS JOIN LATERAL (
                 SELECT count(*) AS count, (array_agg(g.control_number ORDER BY g.sent_at))[1] AS number,
                        (array_agg(g.functional_id ORDER BY g.sent_at))[1] AS functional_id, (array_agg(g.set_id ORDER BY g.sent_at))[1] AS set_id,
                        min(g.sent_at) AS sent_at
                 FROM sent_groups g WHERE g.sequence_id = s.id AND g.delivery_id IS NOT NULL AND g.state = 'sent' AND g.late_at <= now()
             ) l LEFT JOIN incidents n ON n.sequence_id = s.id AND n.closed_at IS NULL
             WHERE (s.connection_id = $1 OR s.us = $2 AND s.partner = $3) AND (l.count > 0 OR n.id IS NOT NULL)",
        );
        for row in rows.bind(poll.connection.0).bind(us).bind(partner).fetch_all(&mut *tx).await? {
            let (sequence, late): (Uuid, i64) = (row.try_get("id")?, row.try_get("count")?);
            let number = row.try_get::<Option<i32>, _>("number")?.and_then(control_number);
            let (Some(control_number), true) = (number, late > 0) else {
                close_late(&mut tx, self.scope(), sequence).await?;
                continue;
            };
            let oldest = SentGroup {
                functional_id: row.try_get("functional_id")?,
                control_number,
                sent_at: row.try_get::<DateTime<Utc>, _>("sent_at")?,
                sets: vec![(row.try_get("set_id")?, String::new())],
            };
            let sentence = late_sentence(source, late, &Settled::late_sentence(&oldest, Utc::now()));
            if let Some(incident) = row.try_get::<Option<Uuid>, _>("incident")? {
                let told =
                    "UPDATE incidents SET code = 'x12.late', sentence = $2, next_step = $3, probes = probes + 1 WHERE id = $1";
                sqlx::query(told).bind(incident).bind(&sentence).bind(LATE_STEP).execute(&mut *tx).await?;
                continue;
            }
            open(&mut tx, self.scope(), (poll.connection, sequence), "x12.late", (&sentence, LATE_STEP)).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Groups whose files have their names now: their 997s are awaited, and where no poll would read them, a person is told.
pub(super) async fn sent(tx: &mut Tx, scope: &Scope, groups: &[Uuid]) -> Result<(), StoreError> {
    if groups.is_empty() {
        return Ok(());
    }
    let sent = "UPDATE sent_groups SET state = 'sent', sent_at = now(), late_at = now() + make_interval(secs => within_s)
                WHERE id = ANY($1) AND state = 'planned'";
    sqlx::query(sent).bind(groups).execute(&mut **tx).await?;
    // The partner's files may come by another connection: the one that met it first, or one that they came by before.
    let unread = sqlx::query(
        "SELECT DISTINCT ON (s.id) s.id, g.connection_id, c.name
         FROM sent_groups g JOIN interchange_sequences s ON s.id = g.sequence_id JOIN connections c ON c.id = g.connection_id
         WHERE g.id = ANY($1) AND NOT EXISTS (SELECT FROM incidents n WHERE n.sequence_id = s.id AND n.closed_at IS NULL)
           -- One after the other: interchanges have no index for it, and most partners are polled where we send to them.
           AND CASE WHEN EXISTS (SELECT FROM polls p WHERE p.state = 'active' AND p.connection_id IN (g.connection_id, s.connection_id)) THEN false
                    ELSE NOT EXISTS (SELECT FROM interchanges i JOIN polls p ON p.connection_id = i.connection_id AND p.state = 'active'
                                     WHERE i.sequence_id = s.id) END",
    );
    for row in unread.bind(groups).fetch_all(&mut **tx).await? {
        let connection = ConnectionId(row.try_get("connection_id")?);
        let sentence = unread_sentence(row.try_get("name")?);
        open(tx, scope, (connection, row.try_get("id")?), "x12.unread", (&sentence, UNREAD_STEP)).await?;
    }
    Ok(())
}

/// Opens the incident of a partner's sequence, where none is open.
async fn open(
    tx: &mut Tx,
    scope: &Scope,
    (connection, sequence): (ConnectionId, Uuid),
    code: &str,
    (sentence, next_step): (&str, &str),
) -> Result<(), StoreError> {
    let opened: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO incidents (id, tenant_id, connection_id, sequence_id, operation, code, sentence, owner, next_step)
         VALUES ($1, $2, $3, $4, 'x12.acknowledgement', $5, $6, $7, $8)
         ON CONFLICT (sequence_id) WHERE closed_at IS NULL DO NOTHING RETURNING id",
    )
    .bind(IncidentId::generate().0)
    .bind(scope.tenant.0)
    .bind(connection.0)
    .bind(sequence)
    .bind(code)
    .bind(sentence)
    .bind(Owner::Operations.as_str())
    .bind(next_step)
    .fetch_all(&mut **tx)
    .await?;
    audit(tx, scope, Action::IncidentOpened, "incident", &opened).await
}

/// Closes the incident of a partner that owes no 997 any more.
pub(super) async fn close_late(tx: &mut Tx, scope: &Scope, sequence: Uuid) -> Result<(), StoreError> {
    let closed: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE incidents SET closed_at = now() WHERE sequence_id = $1 AND closed_at IS NULL
           AND NOT EXISTS (SELECT FROM sent_groups g WHERE g.sequence_id = $1 AND g.delivery_id IS NOT NULL AND g.state = 'sent' AND g.late_at <= now())
         RETURNING id",
    )
    .bind(sequence)
    .fetch_all(&mut **tx)
    .await?;
    audit(tx, scope, Action::IncidentClosed, "incident", &closed).await
}
