//! What is not at its source any more: its record says since when, and nothing that waits is sent of it. What was sent stays where it is.

use std::collections::HashMap;

use domain::audit::Action;
use domain::id::{ConnectionId, MessageId};
use domain::lane::Lane;
use domain::merkle::hash;
use domain::message::Origin;
use domain::poll::{ABSENT_MAX, absent_topic};
use domain::record::RecordKind;
use domain::task::Nudge;
use sqlx::Row;
use uuid::Uuid;

use super::audit::told_with_body;
use super::exception;
use super::poll::{BY_DIGEST, Poll, PollSubject};
use super::receive::{Receiving, audit, audit_told};
use super::sweep::NUDGE_GRACE_S;
use super::{StoreError, TenantStore};

/// What a whole read did not list any more.
#[derive(Debug)]
pub enum Absent {
    /// Messages that tell it, of things which were not in the read before either.
    Told(Vec<Nudge>),
    /// More than anybody is believed at once: so many of so many.
    TooMany { absent: i64, known: i64 },
}

impl Receiving<'_> {
    /// Writes down that these things were deleted. A thing that is not known, or was told before, changes nothing.
    pub(super) async fn delete(
        &mut self,
        deleted: &HashMap<(ConnectionId, RecordKind, String), MessageId>,
    ) -> Result<(), StoreError> {
        let messages: Vec<Uuid> = deleted.values().map(|message| message.0).collect();
        // Leans on the unique key (connection_id, kind, source_id).
        let rows = sqlx::query(
            "WITH i AS (
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS i (message_id, connection_id, kind, source_id)
             ), gone AS (
                 UPDATE records r SET deleted_at = now(), updated_at = now() FROM i
                 WHERE r.connection_id = i.connection_id AND r.kind = i.kind AND r.source_id = i.source_id AND r.deleted_at IS NULL
                 RETURNING r.id, r.kind, i.message_id
             ), stock AS (
                 INSERT INTO inventory_dues AS d (tenant_id, record_id)
                 SELECT $5, id FROM gone
                 WHERE kind IN ('inventory_level', 'order', 'shipment') AND EXISTS (SELECT FROM inventory_policies p WHERE p.tenant_id = $5)
                 ON CONFLICT (record_id) DO UPDATE SET asked = d.asked + 1, due_at = now()
             )
             SELECT id, message_id FROM gone",
        )
        .bind(&messages)
        .bind(deleted.keys().map(|(connection, _, _)| connection.0).collect::<Vec<_>>())
        .bind(deleted.keys().map(|(_, kind, _)| kind.as_str()).collect::<Vec<_>>())
        .bind(deleted.keys().map(|(_, _, source_id)| source_id.as_str()).collect::<Vec<_>>())
        .bind(self.scope().tenant.0)
        .fetch_all(&mut **self.tx())
        .await?;
        let mut gone: HashMap<Uuid, Uuid> = HashMap::with_capacity(rows.len());
        for row in rows {
            gone.insert(row.try_get("message_id")?, row.try_get("id")?);
        }
        let (told, nothing): (Vec<Uuid>, Vec<Uuid>) = messages.into_iter().partition(|message| gone.contains_key(message));
        let records: Vec<Uuid> = told.iter().map(|message| gone[message]).collect();
        self.settle(&nothing, "ignored", &vec![None; nothing.len()]).await?;
        self.settle(&told, "mapped", &records.iter().copied().map(Some).collect::<Vec<_>>()).await?;
        let scope = self.scope();
        audit(self.tx(), scope, Action::MessageIgnored, "message", &nothing).await?;
        audit(self.tx(), scope, Action::RecordDeleted, "record", &records).await?;
        // A write that may have had its effect is proven first, and what was sent wrongly is still undone.
        let superseded: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE deliveries SET state = 'superseded', settled_at = now()
             WHERE record_id = ANY($1) AND state IN ('planned', 'waiting', 'held', 'exception') AND NOT unproven AND calls_done = 0 AND undoes IS NULL
             RETURNING id",
        )
        .bind(&records)
        .fetch_all(&mut **self.tx())
        .await?;
        exception::close_superseded(self.tx(), scope, &superseded, "It was deleted at its source").await?;
        let taken: Vec<exception::Taken<'_>> = deleted
            .iter()
            .map(|((connection, kind, source_id), message)| {
                let record = gone.get(&message.0).copied();
                exception::Taken { message: message.0, connection: connection.0, kind: kind.as_str(), source_id, record }
            })
            .collect();
        exception::close_overtaken(self.tx(), scope, &taken).await
    }
}

impl TenantStore<'_> {
    /// Compares what a whole read listed with what was listed before, and tells what two reads in a row did not list. Nothing where somebody else
    /// leads the poll now. Asked again after a crash it says the same.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the next read finds it.
    pub async fn poll_absent(&self, poll: &Poll, kind: RecordKind) -> Result<Absent, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        let begun = "SELECT begun_at FROM polls WHERE id = $1 AND lease_id = $2 AND state = 'active' FOR UPDATE";
        let begun: Option<Option<chrono::DateTime<chrono::Utc>>> =
            sqlx::query_scalar(begun).bind(poll.id.0).bind(poll.lease).fetch_optional(&mut *tx).await?;
        let Some(Some(begun_at)) = begun else { return Ok(Absent::Told(vec![])) };
        let counts = "SELECT count(*) FILTER (WHERE seen_at < $2), count(*) FROM poll_seen WHERE poll_id = $1";
        let (absent, known): (i64, i64) = sqlx::query_as(counts).bind(poll.id.0).bind(begun_at).fetch_one(&mut *tx).await?;
        if absent > ABSENT_MAX && absent * 2 > known {
            return Ok(Absent::TooMany { absent, known });
        }
        let gone: Vec<(String, chrono::DateTime<chrono::Utc>)> = sqlx::query_as(
            "WITH gone AS (
                 DELETE FROM poll_seen WHERE poll_id = $1 AND seen_at < $2 AND missing_since IS NOT NULL RETURNING source_id, missing_since
             ), missing AS (
                 UPDATE poll_seen SET missing_since = $2 WHERE poll_id = $1 AND seen_at < $2 AND missing_since IS NULL
             )
             -- What was known by a digest has no id that anything could be deleted by.
             SELECT source_id, missing_since FROM gone WHERE NOT starts_with(source_id, $3)",
        )
        .bind(poll.id.0)
        .bind(begun_at)
        .bind(BY_DIGEST)
        .fetch_all(&mut *tx)
        .await?;
        let messages: Vec<Uuid> = gone.iter().map(|_| MessageId::generate().0).collect();
        let body = |(id, since): &(String, chrono::DateTime<chrono::Utc>)| {
            serde_json::json!({"source_id": id, "not_listed_since": since}).to_string().into_bytes()
        };
        let bodies: Vec<Vec<u8>> = gone.iter().map(body).collect();
        sqlx::query(
            "INSERT INTO messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, source_id, body, sweep_at)
             SELECT id, $1, $2, $3, $4, 'poll:' || id::text, $5, source_id, body, now() + make_interval(secs => $6)
             FROM unnest($7::uuid[], $8::text[], $9::bytea[]) AS i (id, source_id, body)",
        )
        .bind(scope.tenant.0)
        .bind(poll.connection.0)
        .bind(Origin::Poll.as_str())
        .bind(absent_topic(kind))
        .bind(PollSubject::Records(kind).as_str())
        .bind(NUDGE_GRACE_S)
        .bind(&messages)
        .bind(gone.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>())
        .bind(&bodies)
        .execute(&mut *tx)
        .await?;
        let told = |body: &Vec<u8>| told_with_body(serde_json::json!({"poll": poll.id, "absent": true}), &hash(&[body]));
        let details: Vec<String> = bodies.iter().map(told).collect();
        audit_told(&mut tx, scope, Action::MessageReceived, "message", &messages, &details).await?;
        tx.commit().await?;
        Ok(Absent::Told(messages.into_iter().map(|id| Nudge::new(scope.tenant, poll.connection, Lane::Live, id)).collect()))
    }
}
