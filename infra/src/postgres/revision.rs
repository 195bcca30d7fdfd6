//! One revision of a record, with all that a trial of it takes: whoever runs a flow without sending reads the same columns.

use chrono::{DateTime, Utc};
use connectors::trial::Revision;
use domain::id::{DeliveryId, RecordId};
use sqlx::Row;
use sqlx::postgres::PgRow;

#[derive(Debug, Clone)]
pub struct RevisionRow {
    pub record: RecordId,
    pub source_id: String,
    pub number: Option<String>,
    pub revision: i32,
    pub document: String,
    /// Why its parts do not add up to its total.
    pub unbalanced: Option<String>,
    /// When the message that caused it was accepted.
    pub origin_at: DateTime<Utc>,
}

impl RevisionRow {
    /// Of `record_id`, `source_id`, `number`, `revision`, `document`, `unbalanced` and `origin_at`.
    pub(super) fn read(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            record: RecordId(row.try_get("record_id")?),
            source_id: row.try_get("source_id")?,
            number: row.try_get("number")?,
            revision: row.try_get("revision")?,
            document: row.try_get("document")?,
            unbalanced: row.try_get("unbalanced")?,
            origin_at: row.try_get("origin_at")?,
        })
    }

    /// As a delivery carries it.
    #[must_use]
    pub fn of(&self, delivery: DeliveryId) -> Revision<'_> {
        Revision {
            source_id: &self.source_id,
            number: self.number.as_deref(),
            revision: self.revision,
            document: self.document.as_bytes(),
            unbalanced: self.unbalanced.as_deref(),
            delivery,
        }
    }
}
