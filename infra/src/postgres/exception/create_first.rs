//! Create first: what a record refers to is delivered to the same destination, and once it is there the record is tried again. Which exception
//! waits for which delivery stands in rows; a worker lets go what is ready.

use domain::audit::Action;
use domain::id::TenantId;
use domain::record::RecordKind;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::retry::{Nudges, Selection, Versions, close};
use crate::postgres::receive::audit;
use crate::postgres::{Store, StoreError, TenantStore};

/// Exceptions of one act, and of one letting go.
pub const FIRST_MAX: i64 = 1_000;

/// What an exception's record refers to: a kind, and the id at the record's source.
pub type Referred = (Uuid, RecordKind, String);

/// What became of the act.
#[derive(Debug, Default)]
pub struct Begun {
    /// Exceptions that wait now.
    pub waiting: i64,
    /// Deliveries that are to come first, for the nudge.
    pub nudges: Nudges,
}

impl Store {
    /// Tenants with exceptions that need not wait any more.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exception_waits_over(&self, count_max: i32) -> Result<Vec<(TenantId, TenantId)>, StoreError> {
        let query = sqlx::query_as("SELECT tenant_id, tenant_id FROM exception_waits_over($1)");
        let rows: Vec<(Uuid, Uuid)> = query.bind(count_max).fetch_all(self.pool()).await?;
        Ok(rows.into_iter().map(|(tenant, id)| (TenantId(tenant), TenantId(id))).collect())
    }
}

impl TenantStore<'_> {
    /// Plans the delivery of what these refer to, where we hold it, a published flow takes it to the same destination, and it is not there yet;
    /// and lets the exceptions wait for that.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exceptions_create_first(&self, referred: &[Referred]) -> Result<Begun, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let (mut begun, ids): (Begun, Vec<Uuid>) = (Begun::default(), referred.iter().map(|(id, ..)| *id).collect());
        // Leans on the unique key of records. The newest revision is what comes first; one that was planned already is waited for as it is.
        let wanted = sqlx::query(
            "SELECT DISTINCT e.id AS exception_id, f.id AS flow_id, v.id AS version_id, r.id AS record_id, r.revision, r.revision_id, d.connection_id
             FROM unnest($1::uuid[], $2::text[], $3::text[]) AS i (exception_id, kind, source_id)
             JOIN exceptions e ON e.id = i.exception_id AND e.state = 'open'
             JOIN deliveries d ON d.id = e.delivery_id
             JOIN records o ON o.id = d.record_id
             JOIN records r ON r.connection_id = o.connection_id AND r.kind = i.kind AND r.source_id = i.source_id
             JOIN flows f ON f.tenant_id = $4 AND f.record_kind = i.kind AND f.source_connection_id = o.connection_id
             JOIN flow_versions v ON v.flow_id = f.id AND v.state = 'published'
              AND CASE WHEN v.destination_connection_id IS NULL THEN f.destination_connection_id ELSE v.destination_connection_id END = d.connection_id
             WHERE e.id = ANY($1)
               AND NOT EXISTS (SELECT FROM deliveries p WHERE p.record_id = r.id AND p.connection_id = d.connection_id AND p.receipt_id IS NOT NULL)",
        )
        .bind(&ids)
        .bind(referred.iter().map(|(_, kind, _)| kind.as_str()).collect::<Vec<_>>())
        .bind(referred.iter().map(|(.., source_id)| source_id.as_str()).collect::<Vec<_>>())
        .bind(tenant.0)
        .fetch_all(&mut *tx)
        .await?;
        if wanted.is_empty() {
            return Ok(begun);
        }
        let column = |name: &str| wanted.iter().map(|row| row.try_get::<Uuid, _>(name)).collect::<Result<Vec<_>, _>>();
        let (exceptions, flows, records) = (column("exception_id")?, column("flow_id")?, column("record_id")?);
        let revisions = wanted.iter().map(|row| row.try_get::<i32, _>("revision")).collect::<Result<Vec<_>, _>>()?;
        let planned: Vec<Uuid> = sqlx::query_scalar(
            "INSERT INTO deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, origin_at, due_at, sweep_at)
             SELECT id, $1, flow_id, version_id, record_id, revision, revision_id, connection_id, now(), now(), now()
             FROM (SELECT DISTINCT ON (flow_id, record_id, revision) *
                   FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::int[], $7::uuid[], $8::uuid[])
                        AS i (id, flow_id, version_id, record_id, revision, revision_id, connection_id)) i
             ON CONFLICT (flow_id, record_id, revision) WHERE undoes IS NULL DO NOTHING RETURNING id",
        )
        .bind(tenant.0)
        .bind(wanted.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(&flows)
        .bind(column("version_id")?)
        .bind(&records)
        .bind(&revisions)
        .bind(column("revision_id")?)
        .bind(column("connection_id")?)
        .fetch_all(&mut *tx)
        .await?;
        let waits: Vec<Uuid> = sqlx::query_scalar(
            "INSERT INTO exception_waits (exception_id, delivery_id, tenant_id)
             SELECT i.exception_id, d.id, $1 FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::int[]) AS i (exception_id, flow_id, record_id, revision)
             JOIN deliveries d ON d.flow_id = i.flow_id AND d.record_id = i.record_id AND d.revision = i.revision AND d.undoes IS NULL
             ON CONFLICT DO NOTHING RETURNING exception_id",
        )
        .bind(tenant.0)
        .bind(&exceptions)
        .bind(&flows)
        .bind(&records)
        .bind(&revisions)
        .fetch_all(&mut *tx)
        .await?;
        let mut waiting = waits;
        waiting.sort_unstable();
        waiting.dedup();
        // Those that stopped before are tried once more.
        let stopped: Vec<Uuid> = sqlx::query_scalar(
            "SELECT e.id FROM exceptions e JOIN exception_waits w ON w.delivery_id = e.delivery_id WHERE w.exception_id = ANY($1) AND e.state = 'open'",
        )
        .bind(&waiting)
        .fetch_all(&mut *tx)
        .await?;
        if !stopped.is_empty() {
            let selection = Selection { ids: stopped, cause_key: None };
            let closed = close(&mut tx, &selection, "resolved", "Tried again, because others wait for it").await?;
            begun.nudges = self.set_free(&mut tx, &closed, Versions::Current).await?;
            audit(&mut tx, self.scope(), Action::ExceptionResolved, "exception", &closed.ids).await?;
        }
        audit(&mut tx, self.scope(), Action::DeliveryPlanned, "delivery", &planned).await?;
        audit(&mut tx, self.scope(), Action::ExceptionWaits, "exception", &waiting).await?;
        begun.waiting = i64::try_from(waiting.len()).unwrap_or(i64::MAX);
        tx.commit().await?;
        Ok(begun)
    }

    /// Tries those again whose wait is over because all they waited for is there; those whose wait was in vain stay open, and are told so.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exception_waits_let_go(&self) -> Result<Nudges, StoreError> {
        let mut tx = self.begin().await?;
        let vain = taken(&mut tx, "bool_or(d.state IN ('exception', 'cancelled'))").await?;
        let ready = taken(&mut tx, "bool_and(d.state IN ('confirmed', 'reconciled', 'superseded'))").await?;
        let mut nudges = Nudges::new();
        if !ready.is_empty() {
            let selection = Selection { ids: ready, cause_key: None };
            let closed = close(&mut tx, &selection, "resolved", "What it refers to is there now: tried again").await?;
            nudges = self.set_free(&mut tx, &closed, Versions::Current).await?;
            audit(&mut tx, self.scope(), Action::ExceptionResolved, "exception", &closed.ids).await?;
            audit(&mut tx, self.scope(), Action::DeliveryRetried, "delivery", &closed.deliveries).await?;
        }
        if !vain.is_empty() {
            self.comment(&mut tx, &vain, "What it refers to could not be delivered either: look at the exception of that.")
                .await?;
        }
        tx.commit().await?;
        Ok(nudges)
    }
}

/// Takes the waits of exceptions away of which this is so. Two workers that do so at once take different ones.
async fn taken(tx: &mut Transaction<'static, Postgres>, so: &'static str) -> Result<Vec<Uuid>, StoreError> {
    let sql = format!(
        "WITH ended AS (
             SELECT w.exception_id FROM exception_waits w JOIN deliveries d ON d.id = w.delivery_id
             GROUP BY w.exception_id HAVING {so} LIMIT {FIRST_MAX}
         ), locked AS (
             SELECT w.exception_id, w.delivery_id FROM exception_waits w JOIN ended USING (exception_id) FOR UPDATE OF w SKIP LOCKED
         )
         DELETE FROM exception_waits w USING locked l WHERE w.exception_id = l.exception_id AND w.delivery_id = l.delivery_id
         RETURNING w.exception_id"
    );
    let mut ids: Vec<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&mut **tx).await?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
