//! Edits by a person. Of a record: a revision of its own, beside those that came from its source, with the message that says who changed what.
//! Of a payload: kept with the one delivery, so that every try and every remake has it.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{ConnectionId, DeliveryId, MessageId, RecordId};
use domain::lane::Lane;
use domain::message::Origin;
use domain::record::RecordKind;
use sqlx::Row;
use uuid::Uuid;

use super::retry::{Ended, Selection, Versions, close};
use crate::postgres::audit_detail::detail_sealed;
use crate::postgres::receive::{Inbound, Receiving, audit, audit_each};
use crate::postgres::{StoreError, TenantStore};
use crate::vault::Vault;

/// A record in hand, to be edited: nobody else changes it until the transaction ends.
pub struct Editing<'a> {
    pub receiving: Receiving<'a>,
    /// Says who changed what; it is given back with what became of it.
    pub message: Inbound,
    pub kind: RecordKind,
    pub source_id: String,
    pub document: String,
    /// A moment after the source's last word, so that the same word once more does not take the edit back, and the next one does.
    pub source_updated_at: Option<DateTime<Utc>>,
}

/// What became of an edit of a payload.
#[derive(Debug)]
pub enum Edited {
    Done(Ended),
    /// It is not an open exception of a delivery any more.
    NotFound,
}

impl TenantStore<'_> {
    /// Keeps what is changed of the payload of a delivery, in the place of an earlier edit, and tries it again with it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exception_edit_payload(
        &self,
        exception: Uuid,
        edits: Option<&str>,
        detail: &str,
        versions: Versions,
        vault: &Vault,
    ) -> Result<Edited, StoreError> {
        let mut tx = self.begin().await?;
        let selection = Selection { ids: vec![exception], cause_key: None };
        let closed = close(&mut tx, &selection, "resolved", "The payload was edited and sent").await?;
        let Some(delivery) = closed.deliveries.first().copied() else { return Ok(Edited::NotFound) };
        let kept = sqlx::query_scalar(
            "UPDATE deliveries SET payload_edits = $2 WHERE id = $1 AND state = 'exception' RETURNING record_id",
        );
        let Some(record) = kept.bind(delivery).bind(edits).fetch_optional(&mut *tx).await? else { return Ok(Edited::NotFound) };
        let detail = detail_sealed(&mut tx, vault, self.scope().tenant, RecordId(record), detail).await?;
        let nudges = self.set_free(&mut tx, &closed, versions).await?;
        audit_each(&mut tx, self.scope(), Action::DeliveryEdited, "delivery", &[delivery], &[Some(&detail)]).await?;
        audit(&mut tx, self.scope(), Action::ExceptionResolved, "exception", &closed.ids).await?;
        audit(&mut tx, self.scope(), Action::DeliveryRetried, "delivery", &closed.deliveries).await?;
        tx.commit().await?;
        Ok(Edited::Done(Ended { ids: closed.ids, at: closed.at, nudges, has_more: false }))
    }
}

impl<'a> TenantStore<'a> {
    /// Takes a record in hand; `None` where there is none. `body` is what the person said.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn record_edit(&self, record: Uuid, body: Vec<u8>) -> Result<Option<Editing<'a>>, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT r.kind, r.connection_id, r.source_id, r.source_updated_at, v.document, c.connector, c.name, c.settings, c.drift_version
             FROM records r JOIN record_revisions v ON v.id = r.revision_id JOIN connections c ON c.id = r.connection_id
             WHERE r.tenant_id = $1 AND r.id = $2 FOR UPDATE OF r",
        )
        .bind(tenant.0)
        .bind(record)
        .fetch_optional(&mut *tx)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let word: &str = row.try_get("kind")?;
        let corrupt =
            || StoreError::Corrupt { what: "the kind", id: record.to_string(), why: format!("there is no kind \"{word}\"") };
        let kind = RecordKind::parse(word).ok_or_else(corrupt)?;
        let (connection, source_id): (Uuid, String) = (row.try_get("connection_id")?, row.try_get("source_id")?);
        let id = MessageId::generate();
        sqlx::query(
            "INSERT INTO messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, source_id, body, sweep_at)
             VALUES ($1, $2, $3, $4, 'record/edited', $5, $6, $7, $8, now() + interval '1 hour')",
        )
        .bind(id.0)
        .bind(tenant.0)
        .bind(connection)
        .bind(Origin::Manual.as_str())
        .bind(format!("edit:{id}"))
        .bind(kind.as_str())
        .bind(&source_id)
        .bind(&body)
        .execute(&mut *tx)
        .await?;
        let message = Inbound {
            id,
            connection: ConnectionId(connection),
            connector: row.try_get("connector")?,
            connection_name: row.try_get("name")?,
            settings: row.try_get("settings")?,
            topic: "record/edited".to_owned(),
            kind: Some(kind),
            source_id: Some(source_id.clone()),
            body,
            must_fetch: false,
            failures: 0,
            received_at: Utc::now(),
            lane: Lane::Live,
            is_listed: false,
            drift_version: row.try_get("drift_version")?,
        };
        let said_at: Option<DateTime<Utc>> = row.try_get("source_updated_at")?;
        Ok(Some(Editing {
            document: row.try_get("document")?,
            source_updated_at: said_at.map(|at| at + chrono::Duration::milliseconds(1)),
            receiving: Receiving::of(tx, self.scope(), &[connection]).await?,
            message,
            kind,
            source_id,
        }))
    }
}

impl Editing<'_> {
    /// Takes the delivery of an exception out of the way of the edited revision; false where it may have had its effect, and must be asked
    /// for first.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn take_over(&mut self, delivery: DeliveryId) -> Result<bool, StoreError> {
        let scope = self.receiving.scope();
        let tx = self.receiving.tx();
        let superseded = sqlx::query(
            "UPDATE deliveries SET state = 'superseded', settled_at = now()
             WHERE id = $1 AND state = 'exception' AND NOT unproven AND calls_done = 0",
        );
        if superseded.bind(delivery.0).execute(&mut **tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let ids: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE exceptions SET state = 'resolved', resolution = 'The record was edited, and is delivered so', closed_at = now()
             WHERE delivery_id = $1 AND state = 'open' RETURNING id",
        )
        .bind(delivery.0)
        .fetch_all(&mut **tx)
        .await?;
        audit(tx, scope, Action::DeliverySuperseded, "delivery", &[delivery.0]).await?;
        audit(tx, scope, Action::ExceptionResolved, "exception", &ids).await.map(|()| true)
    }

    /// What was changed, for the audit log.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn tell(&mut self, vault: &Vault, record: Uuid, detail: &str) -> Result<(), StoreError> {
        let scope = self.receiving.scope();
        let detail = detail_sealed(self.receiving.tx(), vault, scope.tenant, RecordId(record), detail).await?;
        audit_each(self.receiving.tx(), scope, Action::RecordEdited, "record", &[record], &[Some(&detail)]).await
    }
}
