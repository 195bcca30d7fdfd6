//! Where a tenant's audit log is sent as it grows. What is sent is what is sealed; `cursor` is the last seal that arrived whole, so that a process may die at
//! any line: what was under way is sent again.

use chrono::{DateTime, Utc};
use domain::alert::{Content, Line};
use domain::audit::{Action, AuditEvent};
use domain::audit_stream::{LAG, STREAMS_MAX, StreamKind};
use domain::fault::Owner;
use domain::id::{AlertReceiverId, AuditStreamId, TenantId};
use domain::secret::SecretFields;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::alert::Set;
use super::configure::{data_key, is_taken};
use super::receive::{audit, audit_each};
use super::{Store, StoreError, TenantStore, opened};
use crate::vault::{Sealed, Vault};

const FAILURE_CHARS_MAX: usize = 500;

/// A stream, as the tenant sees it.
#[derive(Debug, Clone)]
pub struct AuditStream {
    pub id: AuditStreamId,
    pub name: String,
    pub kind: StreamKind,
    pub address: String,
    pub is_paused: bool,
    /// The last seal that arrived whole; 0 before the first.
    pub seal: i64,
    /// Seals that are made and have not arrived.
    pub behind: i64,
    /// When the oldest of them was made.
    pub behind_since: Option<DateTime<Utc>>,
    pub sent_at: Option<DateTime<Utc>>,
    pub failed_at: Option<DateTime<Utc>>,
    pub failure: Option<String>,
}

/// What a new stream is to be.
#[derive(Debug)]
pub struct NewAuditStream<'a> {
    pub name: &'a str,
    pub kind: StreamKind,
    pub address: &'a str,
    pub ca_pem: Option<&'a str>,
    pub secret: Option<&'a SecretFields>,
    /// All that the log holds, and not only what comes from now on.
    pub is_from_start: bool,
}

/// A stream, about to be sent to.
#[derive(Debug)]
pub struct Streaming {
    pub id: AuditStreamId,
    pub kind: StreamKind,
    pub address: String,
    pub ca_pem: Option<String>,
    pub secret: SecretFields,
    pub seal: u64,
    /// Since something arrived; this one is not counted.
    pub tries: i32,
}

impl Store {
    /// Streams of any tenant that are due, leased for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_streams_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, AuditStreamId)>, StoreError> {
        self.take("SELECT tenant_id, id FROM audit_streams_take($1, make_interval(secs => $2))", count_max, lease_s).await
    }
}

const SHOWN: &str = "SELECT s.id, s.name, s.kind, s.address, s.is_paused, s.cursor, s.sent_at, s.failed_at, s.failure, b.count, b.since
     FROM audit_streams s
     CROSS JOIN LATERAL (SELECT count(*) AS count, min(a.sealed_at) AS since FROM audit_seals a WHERE a.tenant_id = s.tenant_id AND a.number > s.cursor) b
     WHERE s.tenant_id = $1";

fn corrupt(id: Uuid, why: &str) -> StoreError {
    StoreError::Corrupt { what: "the audit stream", id: AuditStreamId(id).to_string(), why: why.to_owned() }
}

fn shown(row: &PgRow) -> Result<AuditStream, StoreError> {
    let id: Uuid = row.try_get("id")?;
    Ok(AuditStream {
        id: AuditStreamId(id),
        name: row.try_get("name")?,
        kind: StreamKind::parse(row.try_get("kind")?).ok_or_else(|| corrupt(id, "its kind is unknown"))?,
        address: row.try_get("address")?,
        is_paused: row.try_get("is_paused")?,
        seal: row.try_get("cursor")?,
        behind: row.try_get("count")?,
        behind_since: row.try_get("since")?,
        sent_at: row.try_get("sent_at")?,
        failed_at: row.try_get("failed_at")?,
        failure: row.try_get("failure")?,
    })
}

impl TenantStore<'_> {
    /// All of them, by name.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_streams(&self) -> Result<Vec<AuditStream>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!("{SHOWN} ORDER BY s.name");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter().map(shown).collect()
    }

    /// # Errors
    /// Where the database does not answer or the system has no randomness.
    pub async fn audit_stream_create(&self, vault: &Vault, new: &NewAuditStream<'_>) -> Result<Set<AuditStreamId>, StoreError> {
        let (id, tenant, mut tx) = (AuditStreamId::generate(), self.scope().tenant, self.begin().await?);
        let (mut sealed, mut version) = (None, None);
        if let Some(secret) = new.secret {
            let (key, key_version) = data_key(&mut tx, vault, tenant).await?;
            sealed = Some(key.seal(tenant, Sealed::AuditStream(id), secret)?);
            version = Some(key_version);
        }
        let made = sqlx::query(
            "INSERT INTO audit_streams (tenant_id, id, name, kind, address, ca_pem, data_key_version, sealed, cursor)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8,
                    CASE WHEN $9 THEN 0 ELSE (SELECT coalesce(max(a.number), 0) FROM audit_seals a WHERE a.tenant_id = $1) END
             WHERE (SELECT count(*) FROM audit_streams WHERE tenant_id = $1) < $10",
        );
        let made = made.bind(tenant.0).bind(id.0).bind(new.name).bind(new.kind.as_str()).bind(new.address).bind(new.ca_pem);
        let made = made.bind(version).bind(sealed).bind(new.is_from_start);
        match made.bind(i64::try_from(STREAMS_MAX).unwrap_or(i64::MAX)).execute(&mut *tx).await {
            Err(error) if is_taken(&error) => return Ok(Set::Taken),
            Ok(made) if made.rows_affected() == 0 => return Ok(Set::TooMany),
            made => made?,
        };
        let detail = serde_json::json!({"name": new.name, "kind": new.kind, "address": new.address}).to_string();
        audit_each(&mut tx, self.scope(), Action::AuditStreamSet, "audit_stream", &[id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Set::Done(id))
    }

    /// Stops a stream for a while, or lets it go on from where it was; false where there is none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_stream_pause(&self, id: AuditStreamId, is_paused: bool) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let set = "UPDATE audit_streams SET is_paused = $3, due_at = now(), tries = 0 WHERE tenant_id = $1 AND id = $2";
        let set = sqlx::query(set).bind(self.scope().tenant.0).bind(id.0).bind(is_paused).execute(&mut *tx).await?;
        if set.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = serde_json::json!({"is_paused": is_paused}).to_string();
        audit_each(&mut tx, self.scope(), Action::AuditStreamSet, "audit_stream", &[id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// False where there is none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_stream_remove(&self, id: AuditStreamId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let remove = sqlx::query("DELETE FROM audit_streams WHERE tenant_id = $1 AND id = $2");
        if remove.bind(self.scope().tenant.0).bind(id.0).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        audit(&mut tx, self.scope(), Action::AuditStreamRemoved, "audit_stream", &[id.0]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// A stream that is to be sent to; `None` where it is paused or gone.
    ///
    /// # Errors
    /// Where the database does not answer, or the secret does not open.
    pub async fn audit_stream_load(&self, vault: &Vault, id: AuditStreamId) -> Result<Option<Streaming>, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT s.kind, s.address, s.ca_pem, s.cursor, s.tries, s.sealed, s.data_key_version, k.master_key_id, k.wrapped
             FROM audit_streams s LEFT JOIN data_keys k ON k.tenant_id = s.tenant_id AND k.version = s.data_key_version
             WHERE s.tenant_id = $1 AND s.id = $2 AND NOT s.is_paused",
        );
        let row = row.bind(tenant.0).bind(id.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let has_secret = row.try_get::<Option<&[u8]>, _>("sealed")?.is_some();
        let secret = if has_secret { opened(&row, vault, tenant, Sealed::AuditStream(id))? } else { SecretFields::default() };
        Ok(Some(Streaming {
            id,
            kind: StreamKind::parse(row.try_get("kind")?).ok_or_else(|| corrupt(id.0, "its kind is unknown"))?,
            address: row.try_get("address")?,
            ca_pem: row.try_get("ca_pem")?,
            secret,
            seal: u64::try_from(row.try_get::<i64, _>("cursor")?).unwrap_or_default(),
            tries: row.try_get("tries")?,
        }))
    }

    /// The events of a seal; `None` where there is no such seal yet. Those that the tenant keeps no longer are gone.
    ///
    /// # Errors
    /// Where the database does not answer, or a row cannot be read.
    pub async fn audit_seal_events(&self, seal: u64) -> Result<Option<Vec<AuditEvent>>, StoreError> {
        Ok(self.audit_sealed(seal).await?.map(|(_, events)| events))
    }

    /// A seal has arrived whole.
    ///
    /// # Errors
    /// Where the database does not answer: then it is sent once more.
    pub async fn audit_stream_sent(&self, id: AuditStreamId, seal: u64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // Another worker may have come further meanwhile.
        let sent = "UPDATE audit_streams SET cursor = greatest(cursor, $3), sent_at = now(), failure = NULL, tries = 0 WHERE tenant_id = $1 AND id = $2";
        let sent = sqlx::query(sent).bind(self.scope().tenant.0).bind(id.0).bind(i64::try_from(seal).unwrap_or(i64::MAX));
        sent.execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// There is nothing more to send, or enough for a turn: the next look is after so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_stream_rest(&self, id: AuditStreamId, wait_s: f64, has_all: bool) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let rest = "UPDATE audit_streams SET due_at = now() + make_interval(secs => $3), lag_told_at = CASE WHEN $4 THEN NULL ELSE lag_told_at END
             WHERE tenant_id = $1 AND id = $2";
        sqlx::query(rest).bind(self.scope().tenant.0).bind(id.0).bind(wait_s).bind(has_all).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A try that failed: it is tried again then. Where what waits is too old, the tenant's receivers of alerts are told, once until it has caught up. True
    /// where they were.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_stream_failed(&self, id: AuditStreamId, why: &str, again: DateTime<Utc>) -> Result<bool, StoreError> {
        let tenant = self.scope().tenant;
        let why: String = why.chars().filter(|c| !c.is_control()).take(FAILURE_CHARS_MAX).collect();
        let mut tx = self.begin().await?;
        let failed = "UPDATE audit_streams SET failed_at = now(), failure = $3, due_at = $4, tries = tries + 1 WHERE tenant_id = $1 AND id = $2";
        sqlx::query(failed).bind(tenant.0).bind(id.0).bind(&why).bind(again).execute(&mut *tx).await?;
        let lags = sqlx::query(
            "UPDATE audit_streams s SET lag_told_at = now() FROM tenants t
             WHERE s.tenant_id = $1 AND s.id = $2 AND s.lag_told_at IS NULL AND t.id = s.tenant_id
               AND (SELECT min(a.sealed_at) FROM audit_seals a WHERE a.tenant_id = $1 AND a.number > s.cursor) < now() - make_interval(secs => $3)
             RETURNING s.name, t.slug, (SELECT min(a.sealed_at) FROM audit_seals a WHERE a.tenant_id = $1 AND a.number > s.cursor) AS since",
        );
        #[expect(clippy::cast_precision_loss, reason = "some minutes")]
        let lags = lags.bind(tenant.0).bind(id.0).bind(LAG.num_seconds() as f64).fetch_optional(&mut *tx).await?;
        let Some(row) = lags else {
            tx.commit().await?;
            return Ok(false);
        };
        let (name, slug, since): (String, String, DateTime<Utc>) =
            (row.try_get("name")?, row.try_get("slug")?, row.try_get("since")?);
        let detail = serde_json::json!({"name": name, "since": since, "why": why}).to_string();
        audit_each(&mut tx, self.scope(), Action::AuditStreamLags, "audit_stream", &[id.0], &[Some(&detail)]).await?;
        self.audit_stream_tell(&mut tx, id, &Lag { name, slug, since, why }).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn audit_stream_tell(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        id: AuditStreamId,
        lag: &Lag,
    ) -> Result<(), StoreError> {
        let receivers = "SELECT id FROM alert_receivers WHERE tenant_id = $1 AND NOT is_paused ORDER BY id";
        let receivers: Vec<Uuid> = sqlx::query_scalar(receivers).bind(self.scope().tenant.0).fetch_all(&mut **tx).await?;
        let line = Line {
            id: id.to_string(),
            cause_key: format!("audit_stream|{id}"),
            code: "audit_stream.lags".to_owned(),
            cause: format!("The audit log does not arrive at \"{}\": {}", lag.name, lag.why),
            owner: Owner::Developer.as_str().to_owned(),
            next_step: "Nothing is lost: what waits is sent once the server takes it. Look at the server, or remove the stream."
                .to_owned(),
            count: 1,
            first_at: lag.since,
            last_at: Utc::now(),
            money: vec![],
            is_incident: true,
        };
        let content = Content { tenant: lag.slug.clone(), groups: vec![line], ..Content::default() };
        let contents: Vec<_> = receivers.into_iter().map(|receiver| (AlertReceiverId(receiver), content.clone())).collect();
        if !contents.is_empty() {
            self.alerts_insert(tx, &contents).await?;
        }
        Ok(())
    }
}

/// What is told of a stream that lags.
struct Lag {
    name: String,
    /// The tenant's.
    slug: String,
    since: DateTime<Utc>,
    why: String,
}
