//! Done elsewhere: a person has done by hand at the destination what a delivery was to do. What it is called there is written down, so that later
//! revisions change it, and nothing is sent.

use domain::audit::Action;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use crate::postgres::receive::{audit, audit_told};
use crate::postgres::{StoreError, TenantStore};

/// Ids of one act.
pub const DONE_MAX: usize = 100;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// The exceptions that closed.
    Done(Vec<Uuid>),
    /// At the destination this id is another record of ours already.
    Taken { id: String, number: String },
}

/// An exception with the delivery it is about.
struct About {
    exception: Uuid,
    delivery: Uuid,
    record: Uuid,
    connection: Uuid,
    kind: String,
    receipt: String,
}

impl TenantStore<'_> {
    /// `done` are exceptions, each with the id that the destination gave what was done. Those about no delivery are left out.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exceptions_done(&self, done: &[(Uuid, String)], note: Option<&str>) -> Result<Noted, StoreError> {
        let mut tx = self.begin().await?;
        let about = about(&mut tx, done).await?;
        let texts = |f: fn(&About) -> &str| about.iter().map(f).collect::<Vec<_>>();
        let ids = |f: fn(&About) -> Uuid| about.iter().map(f).collect::<Vec<_>>();
        let (records, connections) = (ids(|one| one.record), ids(|one| one.connection));
        let taken = sqlx::query(
            "SELECT x.value, CASE WHEN r.number IS NULL THEN r.source_id ELSE r.number END AS number
             FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[]) AS i (connection_id, kind, value, record_id)
             JOIN external_ids x ON x.connection_id = i.connection_id AND x.kind = i.kind AND x.value = i.value AND x.record_id <> i.record_id
             JOIN records r ON r.id = x.record_id LIMIT 1",
        )
        .bind(&connections)
        .bind(texts(|one| &one.kind))
        .bind(texts(|one| &one.receipt))
        .bind(&records)
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = taken {
            return Ok(Noted::Taken { id: row.try_get("value")?, number: row.try_get("number")? });
        }
        let exceptions = ids(|one| one.exception);
        sqlx::query(
            "WITH i AS (
                 SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::uuid[], $7::text[])
                     AS i (exception_id, delivery_id, receipt_id, record_id, connection_id, kind)
             ), confirmed AS (
                 UPDATE deliveries d SET state = 'confirmed', receipt_id = i.receipt_id, settled_at = now(), unproven = false,
                     calls_done = greatest(d.calls_done, 1::smallint)
                 FROM i WHERE d.id = ANY($3) AND d.id = i.delivery_id AND d.state = 'exception'
             ), learned AS (
                 INSERT INTO external_ids (tenant_id, connection_id, kind, value, record_id, claim)
                 SELECT $1, connection_id, kind, receipt_id, record_id, 'key' FROM i ON CONFLICT DO NOTHING
             )
             UPDATE exceptions e SET state = 'resolved', closed_at = now(), resolution = 'Done by hand: its id there is ' || i.receipt_id
             FROM i WHERE e.id = ANY($2) AND e.id = i.exception_id AND e.state = 'open'",
        )
        .bind(self.scope().tenant.0)
        .bind(&exceptions)
        .bind(ids(|one| one.delivery))
        .bind(texts(|one| &one.receipt))
        .bind(&records)
        .bind(&connections)
        .bind(texts(|one| &one.kind))
        .execute(&mut *tx)
        .await?;
        let details: Vec<String> =
            about.iter().map(|one| serde_json::json!({"id": one.receipt, "note": note}).to_string()).collect();
        audit_told(&mut tx, self.scope(), Action::DeliveryDoneElsewhere, "delivery", &ids(|one| one.delivery), &details).await?;
        audit(&mut tx, self.scope(), Action::ExceptionResolved, "exception", &exceptions).await?;
        tx.commit().await?;
        Ok(Noted::Done(exceptions))
    }
}

/// Locked, so that no retry comes in between.
async fn about(tx: &mut Transaction<'static, Postgres>, done: &[(Uuid, String)]) -> Result<Vec<About>, StoreError> {
    let rows = sqlx::query(
        "SELECT e.id, e.delivery_id, d.record_id, d.connection_id, r.kind, i.receipt_id
         FROM unnest($1::uuid[], $2::text[]) AS i (id, receipt_id)
         JOIN exceptions e ON e.id = i.id AND e.state = 'open'
         JOIN deliveries d ON d.id = e.delivery_id AND d.state = 'exception'
         JOIN records r ON r.id = d.record_id
         WHERE e.id = ANY($1) ORDER BY e.id FOR UPDATE OF e, d",
    )
    .bind(done.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(done.iter().map(|(_, receipt)| receipt.as_str()).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    let about = |row: sqlx::postgres::PgRow| -> Result<About, sqlx::Error> {
        Ok(About {
            exception: row.try_get("id")?,
            delivery: row.try_get("delivery_id")?,
            record: row.try_get("record_id")?,
            connection: row.try_get("connection_id")?,
            kind: row.try_get("kind")?,
            receipt: row.try_get("receipt_id")?,
        })
    };
    Ok(rows.into_iter().map(about).collect::<Result<_, _>>()?)
}
