//! Seals: what was done and is in none yet is closed in a batch, in one transaction. The rows of `audit_unsealed` say what that is, so neither the
//! time within an id nor a late commit matters: an event is unsealed or in one seal, whenever a process dies.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::audit::{Action, AuditEvent};
use domain::id::{AuditEventId, TenantId};
use domain::seal::{EVENTS_MAX, Entry, ExportLine, Head, HeadStatement, Seal, Statement, Tip};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;
use uuid::Uuid;

use super::certificate::key;
use super::receive::audit_each;
use super::{Store, StoreError, TenantStore};
use crate::vault::Vault;

/// What came of a try to seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sealing {
    /// So many events; where it is [`EVENTS_MAX`], there may be more.
    Done(usize),
    /// Another process is at it.
    Busy,
}

impl Store {
    /// Tenants after `after` with events that are not sealed, by id.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_unsealed_tenants(&self, after: TenantId, count_max: i32) -> Result<Vec<TenantId>, StoreError> {
        let query = sqlx::query_scalar::<_, Uuid>("SELECT audit_unsealed_tenants($1, $2)");
        let tenants = query.bind(after.0).bind(count_max).fetch_all(self.pool()).await?;
        Ok(tenants.into_iter().map(TenantId).collect())
    }
}

/// How long a piece of an export waits for its reader: until then it keeps a place that somebody else could have. A piece is a few megabytes at most,
/// so that a slow line is fast enough.
const READER_PATIENCE: Duration = Duration::from_secs(60);

/// Gives whoever reads an export its next piece; false where they went away.
pub(super) async fn give(pieces: &mpsc::Sender<Result<Bytes, StoreError>>, piece: Bytes) -> Result<bool, StoreError> {
    give_within(READER_PATIENCE, pieces, piece).await
}

async fn give_within(
    patience: Duration,
    pieces: &mpsc::Sender<Result<Bytes, StoreError>>,
    piece: Bytes,
) -> Result<bool, StoreError> {
    match pieces.send_timeout(Ok(piece), patience).await {
        Ok(()) => Ok(true),
        Err(SendTimeoutError::Closed(_)) => Ok(false),
        Err(SendTimeoutError::Timeout(_)) => Err(StoreError::Unread(patience)),
    }
}

impl TenantStore<'_> {
    /// When the oldest event was written that is not sealed; `None` where all are.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_unsealed_since(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        let mut tx = self.begin().await?;
        // Leans on the primary keys of both, and on the time within the id for the partition.
        let query = sqlx::query_scalar(
            "SELECT e.at FROM audit_events e WHERE e.tenant_id = $1
               AND e.id = (SELECT u.id FROM audit_unsealed u WHERE u.tenant_id = $1 ORDER BY u.id LIMIT 1)",
        );
        let since = query.bind(self.scope().tenant.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(since)
    }

    /// Seals the oldest events that are not sealed yet, at most [`EVENTS_MAX`].
    ///
    /// # Errors
    /// Where the database does not answer, or the key does not open.
    pub async fn audit_seal(&self, vault: &Vault) -> Result<Sealing, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        if !sqlx::query_scalar(LOCK).bind(tenant.to_string()).fetch_one(&mut *tx).await? {
            return Ok(Sealing::Busy);
        }
        let entries = unsealed(&mut tx, tenant).await?;
        if entries.is_empty() {
            return Ok(Sealing::Done(0));
        }
        let tip = tip(&mut tx, tenant).await?;
        self.seal_put(&mut tx, vault, &tip, &entries).await?;
        tx.commit().await?;
        Ok(Sealing::Done(entries.len()))
    }

    /// Takes away what is older than the tenant keeps its events, some seals at a time, the oldest first. In the same transaction a seal says so, and
    /// an event: who checks the chain later knows that it was the rule, and nobody else. Returns how many events went; 0 where there are no more.
    ///
    /// # Errors
    /// Where the database does not answer, or the key does not open.
    pub async fn audit_retain(&self, vault: &Vault) -> Result<i64, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        if !sqlx::query_scalar(LOCK).bind(tenant.to_string()).fetch_one(&mut *tx).await? {
            return Ok(0);
        }
        let before = tip(&mut tx, tenant).await?;
        let since = i64::try_from(before.removed).unwrap_or(i64::MAX);
        let query = sqlx::query_scalar(REMOVABLE).bind(tenant.0).bind(since).bind(REMOVED_AT_ONCE);
        let Some(until) = query.fetch_one(&mut *tx).await? else { return Ok(0) };
        let until: i64 = until;
        let detail = serde_json::json!({"after": since, "seal": until}).to_string();
        audit_each(&mut tx, self.scope(), Action::AuditRemoved, "tenant", &[tenant.0], &[Some(&detail)]).await?;
        let entries = unsealed(&mut tx, tenant).await?;
        let tip = Tip { removed: u64::try_from(until).unwrap_or(before.removed), ..before };
        self.seal_put(&mut tx, vault, &tip, &entries).await?;
        let removed = sqlx::query_scalar("SELECT audit_remove($1, $2)").bind(since).bind(until).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(removed)
    }

    async fn seal_put(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        vault: &Vault,
        tip: &Tip,
        entries: &[Entry],
    ) -> Result<(), StoreError> {
        let key = key(tx, vault, self).await?;
        let statement = Statement::next(self.scope().tenant, tip, entries, Utc::now());
        sqlx::query("SELECT audit_seal_put($1, $2, $3, $4, $5)")
            .bind(i64::try_from(statement.number).unwrap_or(i64::MAX))
            .bind(entries.iter().map(|entry| entry.id.0).collect::<Vec<_>>())
            .bind(entries.iter().flat_map(|entry| entry.digest).collect::<Vec<u8>>())
            .bind(statement.to_json())
            .bind(key.sign_seal(&statement))
            .execute(&mut **tx)
            .await?;
        Ok(())
    }

    /// How far the tenant's chain goes, signed now: what is kept elsewhere.
    ///
    /// # Errors
    /// Where the database does not answer, or the key does not open.
    pub async fn audit_head(&self, vault: &Vault) -> Result<Head, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let key = key(&mut tx, vault, self).await?;
        let tip = tip(&mut tx, tenant).await?;
        tx.commit().await?;
        let after = tip.number;
        Ok(key.sign_head(HeadStatement::new(tenant, tip, after, Utc::now())))
    }

    /// Begins an export of the seals after `after`: seals what is not sealed yet, so that whatever stands in no seal was written by somebody else.
    /// That it is made stands in the audit log.
    ///
    /// # Errors
    /// As those of [`Self::audit_head`].
    pub async fn audit_export_begin(&self, vault: &Vault, after: u64) -> Result<Head, StoreError> {
        // Where another process is at it, what it seals now is for the next export.
        while self.audit_seal(vault).await? == Sealing::Done(EVENTS_MAX) {}
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let key = key(&mut tx, vault, self).await?;
        let statement = HeadStatement::new(tenant, tip(&mut tx, tenant).await?, after, Utc::now());
        let detail = serde_json::json!({"after": statement.after, "seal": statement.seal, "hash": statement.hash}).to_string();
        audit_each(&mut tx, self.scope(), Action::AuditExported, "tenant", &[tenant.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(key.sign_head(statement))
    }

    /// Gives the lines of an export, a seal at a time, until its end or until nobody takes them any more.
    ///
    /// # Errors
    /// Where the database does not answer, a row cannot be read, or nobody reads what is given for a minute.
    pub async fn audit_export(&self, head: Head, pieces: &mpsc::Sender<Result<Bytes, StoreError>>) -> Result<(), StoreError> {
        let (from, until) = (head.statement.after + 1, head.statement.seal);
        let piece = |lines: Vec<ExportLine>| Bytes::from(lines.iter().flat_map(ExportLine::to_line).collect::<Vec<u8>>());
        if !give(pieces, piece(vec![ExportLine::Head(head)])).await? {
            return Ok(());
        }
        for number in from..=until {
            // One that is gone leaves a gap, which tells.
            let Some((seal, events)) = self.audit_sealed(number).await? else { continue };
            let seal = std::iter::once(ExportLine::Seal(Box::new(seal)));
            if !give(pieces, piece(seal.chain(events.into_iter().map(ExportLine::Event)).collect())).await? {
                return Ok(());
            }
        }
        let mut after = Uuid::nil();
        loop {
            let (strays, last) = self.audit_strays(after).await?;
            if !strays.is_empty() && !give(pieces, piece(strays.into_iter().map(ExportLine::Event).collect())).await? {
                return Ok(());
            }
            let Some(last) = last else { return Ok(()) };
            after = last;
        }
    }

    /// A seal, and its events as they stand in the log now.
    pub(super) async fn audit_sealed(&self, number: u64) -> Result<Option<(Seal, Vec<AuditEvent>)>, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let query =
            sqlx::query("SELECT event_ids, digests, statement, signature FROM audit_seals WHERE tenant_id = $1 AND number = $2");
        let Some(row) = query.bind(tenant.0).bind(number).fetch_optional(&mut *tx).await? else { return Ok(None) };
        let seal = seal(&row, number)?;
        let ids: Vec<Uuid> = seal.entries.iter().map(|entry| entry.id.0).collect();
        let rows = sqlx::query(EVENTS).bind(tenant.0).bind(ids).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let events = rows.iter().map(|row| event(row, tenant)).collect::<Result<Vec<_>, _>>()?;
        Ok(Some((seal, events)))
    }

    /// Events after `after` that no seal holds and that do not wait for one: Crossdock wrote none of them. A look goes through so many rows that
    /// it ends soon, and says after which to go on; `None` at the end.
    async fn audit_strays(&self, after: Uuid) -> Result<(Vec<AuditEvent>, Option<Uuid>), StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let row = sqlx::query(STRAYS).bind(tenant.0).bind(after).bind(STRAYS_LOOK).fetch_one(&mut *tx).await?;
        let (ids, last): (Vec<Uuid>, Option<Uuid>) = (row.try_get("ids")?, row.try_get("last")?);
        let rows = sqlx::query(EVENTS).bind(tenant.0).bind(ids).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok((rows.iter().map(|row| event(row, tenant)).collect::<Result<Vec<_>, _>>()?, last))
    }
}

/// One process at a time seals for a tenant; the others need not wait for what it does.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended('crossdock.audit_seal.' || $1, 0))";
/// Seals whose events go in one transaction.
const REMOVED_AT_ONCE: i64 = 20;
/// The last of the next seals that are older than the tenant keeps its events.
const REMOVABLE: &str = "SELECT max(d.number) FROM (
         SELECT s.number FROM audit_seals s JOIN audit_policies p ON p.tenant_id = s.tenant_id
         WHERE s.tenant_id = $1 AND s.number > $2 AND s.number <= $2 + $3 AND p.hold IS NULL AND s.sealed_at < now() - make_interval(days => p.keep_days)
     ) d";
/// Events of one look for strays.
const STRAYS_LOOK: i64 = 20_000;

/// In the order of their ids. Leans on the primary key, and on the time within the ids for the partitions.
const EVENTS: &str = "SELECT q.id, e.tenant_id, e.at, e.actor, e.action, e.subject_kind, e.subject_id, e.request_id, e.detail
     FROM unnest($2::uuid[]) q (id) JOIN audit_events e ON e.tenant_id = $1 AND e.id = q.id ORDER BY q.id";

const STRAYS: &str = "WITH page AS MATERIALIZED (
         SELECT id FROM audit_events WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3
     ), span AS (
         SELECT (SELECT id FROM page ORDER BY id LIMIT 1) AS first, (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last
     ), known AS (
         SELECT unnest(s.event_ids) AS id FROM audit_seals s, span WHERE s.tenant_id = $1 AND s.first_id <= span.last AND s.last_id >= span.first
         UNION ALL
         SELECT u.id FROM audit_unsealed u WHERE u.tenant_id = $1
     )
     SELECT ARRAY(SELECT id FROM page EXCEPT SELECT id FROM known) AS ids, (SELECT last FROM span) AS last";

/// What is to be sealed next, in the order of their ids. A row that is gone before it was sealed keeps its place in the seal under a digest that
/// nothing has: that it was there is told.
async fn unsealed(tx: &mut Transaction<'static, Postgres>, tenant: TenantId) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query(
        "SELECT q.id, e.tenant_id, e.at, e.actor, e.action, e.subject_kind, e.subject_id, e.request_id, e.detail
         FROM (SELECT u.id FROM audit_unsealed u WHERE u.tenant_id = $1 ORDER BY u.id LIMIT $2) q
         LEFT JOIN audit_events e ON e.tenant_id = $1 AND e.id = q.id ORDER BY q.id",
    )
    .bind(tenant.0)
    .bind(i64::try_from(EVENTS_MAX).unwrap_or(i64::MAX))
    .fetch_all(&mut **tx)
    .await?;
    let entry = |row: &PgRow| -> Result<Entry, StoreError> {
        let id = AuditEventId(row.try_get("id")?);
        let is_there = row.try_get::<Option<Uuid>, _>("tenant_id")?.is_some();
        let digest = if is_there { event(row, tenant)?.digest() } else { [0; 32] };
        Ok(Entry { id, digest })
    };
    rows.iter().map(entry).collect()
}

async fn tip(tx: &mut Transaction<'static, Postgres>, tenant: TenantId) -> Result<Tip, StoreError> {
    let query = sqlx::query_scalar("SELECT statement FROM audit_seals WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1");
    let last: Option<String> = query.bind(tenant.0).fetch_optional(&mut **tx).await?;
    let Some(last) = last else { return Ok(Tip::start()) };
    let statement: Statement = serde_json::from_str(&last).map_err(|error| StoreError::Corrupt {
        what: "the last seal",
        id: tenant.to_string(),
        why: error.to_string(),
    })?;
    Ok(statement.tip())
}

fn seal(row: &PgRow, number: i64) -> Result<Seal, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: "a seal", id: number.to_string(), why };
    let (ids, digests): (Vec<Uuid>, &[u8]) = (row.try_get("event_ids")?, row.try_get("digests")?);
    let (digests, _) = digests.as_chunks::<32>();
    Ok(Seal {
        statement: serde_json::from_str(row.try_get("statement")?).map_err(|error| corrupt(error.to_string()))?,
        entries: ids.into_iter().zip(digests).map(|(id, digest)| Entry { id: AuditEventId(id), digest: *digest }).collect(),
        signature: STANDARD.encode(row.try_get::<&[u8], _>("signature")?),
    })
}

fn event(row: &PgRow, tenant: TenantId) -> Result<AuditEvent, StoreError> {
    Ok(AuditEvent {
        id: AuditEventId(row.try_get("id")?),
        tenant,
        at: row.try_get::<DateTime<Utc>, _>("at")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        subject_kind: row.try_get("subject_kind")?,
        subject_id: row.try_get("subject_id")?,
        request_id: row.try_get("request_id")?,
        detail: row.try_get("detail")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_piece_waits_for_its_reader_and_not_for_ever() {
        let (pieces, mut taken) = mpsc::channel(1);
        let give = async || give_within(Duration::from_millis(20), &pieces, Bytes::from_static(b"a seal")).await;
        assert!(give().await.unwrap());
        assert!(matches!(give().await, Err(StoreError::Unread(_))), "nobody has read the first");
        assert!(taken.recv().await.is_some());
        assert!(give().await.unwrap(), "whoever reads goes on");
        drop(taken);
        assert!(!give().await.unwrap(), "whoever went away is no failure");
    }
}
