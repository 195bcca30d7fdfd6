//! What a what-if and an edit need of exceptions: the deliveries they are about, as a trial runs them.

use domain::id::{ConnectionId, DeliveryId, FlowId, FlowVersionId};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::retry::Selection;
use crate::postgres::revision::RevisionRow;
use crate::postgres::{StoreError, TenantStore};

/// A delivery that an open exception is about.
#[derive(Debug, Clone)]
pub struct Stopped {
    pub exception: Uuid,
    pub delivery: DeliveryId,
    pub flow: FlowId,
    /// The version it was planned with.
    pub version: FlowVersionId,
    pub destination: ConnectionId,
    pub revision: RevisionRow,
    /// What a person has changed of its payload, as JSON.
    pub edits: Option<String>,
    /// It undoes another delivery: it is made by its own version, whatever is published.
    pub is_undoing: bool,
}

impl TenantStore<'_> {
    /// The deliveries of the selected open exceptions, oldest exception first, after one of them. Messages that became no record have none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exceptions_stopped(
        &self,
        selection: &Selection,
        after: Option<Uuid>,
        first: i64,
    ) -> Result<Vec<Stopped>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT e.id, e.delivery_id, d.flow_id, d.flow_version_id, d.connection_id, d.record_id, d.revision, d.origin_at, d.payload_edits,
                    d.undoes IS NOT NULL AS is_undoing, r.source_id, r.number, v.document, v.unbalanced
             FROM (SELECT x.id, x.delivery_id FROM exceptions x
                   WHERE x.tenant_id = $1 AND x.state = 'open' AND x.delivery_id IS NOT NULL AND (x.id = ANY($2) OR x.cause_key = $3)
                     AND ($4::uuid IS NULL OR x.id > $4)
                   ORDER BY x.id LIMIT $5) e
             JOIN deliveries d ON d.id = e.delivery_id
             JOIN records r ON r.id = d.record_id
             JOIN record_revisions v ON v.id = d.revision_id
             ORDER BY e.id",
        )
        .bind(self.scope().tenant.0)
        .bind(&selection.ids)
        .bind(&selection.cause_key)
        .bind(after)
        .bind(first)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let stopped = |row: &PgRow| -> Result<Stopped, sqlx::Error> {
            Ok(Stopped {
                exception: row.try_get("id")?,
                delivery: DeliveryId(row.try_get("delivery_id")?),
                flow: FlowId(row.try_get("flow_id")?),
                version: FlowVersionId(row.try_get("flow_version_id")?),
                destination: ConnectionId(row.try_get("connection_id")?),
                revision: RevisionRow::read(row)?,
                edits: row.try_get("payload_edits")?,
                is_undoing: row.try_get("is_undoing")?,
            })
        };
        Ok(rows.iter().map(stopped).collect::<Result<_, _>>()?)
    }
}
