//! Upkeep in Postgres: probes of connections, what of them ends, and the incidents that tell of either.

use chrono::{DateTime, Duration, Utc};
use domain::audit::Action;
use domain::call_payload::ToldCall;
use domain::fault::Owner;
use domain::id::{ConnectionId, IncidentId, TenantId};
use domain::scope::Scope;
use domain::upkeep::{Ends, Upkeep};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::call_payload::audit_calls;
use super::entity::connection;
use super::receive::audit;
use super::rotation::{self, Rotation, Schedule};
use super::{Store, StoreError, TenantStore};

/// Failures in a row until a probe that may pass is an incident; one that does not pass is at once.
const FAILURES_TOLD: i32 = 3;

/// How a connection answered to its credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeOutcome {
    Works,
    Fails,
    /// There is nothing that can be asked of the vendor without changing anything.
    Untold,
}

impl ProbeOutcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Fails => "fails",
            Self::Untold => "untold",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Works, Self::Fails, Self::Untold].into_iter().find(|outcome| outcome.as_str() == text)
    }
}

/// What a probe came to.
#[derive(Debug, Clone)]
pub struct Probed {
    pub outcome: ProbeOutcome,
    pub took_ms: i32,
    /// Of one that fails.
    pub failure: Option<ProbeFailure>,
    /// What of that which the connector needs was not granted; nothing where all was, or the vendor does not say.
    pub missing: Option<ProbeFailure>,
}

#[derive(Debug, Clone)]
pub struct ProbeFailure {
    pub code: String,
    pub sentence: String,
    pub owner: Owner,
    pub next_step: String,
    /// It may be over by itself.
    pub is_passing: bool,
}

/// The newest probe of a connection.
#[derive(Debug, Clone)]
pub struct Probe {
    pub asked_at: Option<DateTime<Utc>>,
    pub probed_at: Option<DateTime<Utc>>,
    pub due_at: DateTime<Utc>,
    pub outcome: Option<ProbeOutcome>,
    pub sentence: Option<String>,
    pub owner: Option<String>,
    pub next_step: Option<String>,
    pub took_ms: Option<i32>,
}

/// What of a connection ends soon and is not told, or is told and does not end so any more.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    pub connection: ConnectionId,
    pub what: Upkeep,
    pub ends_at: Option<DateTime<Utc>>,
    pub told: Option<IncidentId>,
}

/// How a connection is kept.
#[derive(Debug, Clone)]
pub struct ConnectionHealth {
    pub connection: connection::Model,
    pub probe: Option<Probe>,
    /// What ends one day, whenever that is.
    pub ends: Vec<Ends>,
    /// There is a token of the credential in use.
    pub has_token: bool,
    pub scope: Option<String>,
    /// The access token's end; it is renewed by itself.
    pub token_expires_at: Option<DateTime<Utc>>,
    /// When the secret that is used was stored.
    pub stored_at: Option<DateTime<Utc>>,
    pub schedule: Option<Schedule>,
    /// The newest one.
    pub rotation: Option<Rotation>,
}

impl Store {
    /// Probes of any tenant that are due, leased to the caller for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connection_probes_take(
        &self,
        count_max: i32,
        lease_s: f64,
    ) -> Result<Vec<(TenantId, (ConnectionId, Uuid))>, StoreError> {
        self.take_leased(
            "SELECT tenant_id, id, lease_id FROM connection_probes_take($1, make_interval(secs => $2))",
            count_max,
            lease_s,
        )
        .await
    }

    /// What of any tenant must be told, or is told no more; `rows_max` at most, what ends first before the rest.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn upkeep_moved(&self, within: Duration, rows_max: i32) -> Result<Vec<(TenantId, Moved)>, StoreError> {
        let rows = sqlx::query("SELECT * FROM upkeep_moved(make_interval(secs => $1), $2)");
        let seconds = f64::from(i32::try_from(within.num_seconds()).unwrap_or(i32::MAX));
        let rows = rows.bind(seconds).bind(rows_max).fetch_all(self.pool()).await?;
        let moved = rows.into_iter().map(|row| {
            // The schema allows no other word.
            let what = Upkeep::parse(row.try_get("kind")?).unwrap_or(Upkeep::Secret);
            let told = row.try_get::<Option<Uuid>, _>("incident_id")?.map(IncidentId);
            let connection = ConnectionId(row.try_get("connection_id")?);
            Ok((TenantId(row.try_get("tenant_id")?), Moved { connection, what, ends_at: row.try_get("ends_at")?, told }))
        });
        moved.collect()
    }
}

/// Closes the incident that tells of this, where one is open.
pub(super) async fn close(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    connection: ConnectionId,
    what: Upkeep,
) -> Result<(), StoreError> {
    let close = sqlx::query_scalar(
        "UPDATE incidents SET closed_at = now() WHERE connection_id = $1 AND upkeep = $2 AND closed_at IS NULL RETURNING id",
    );
    let closed: Vec<Uuid> = close.bind(connection.0).bind(what.as_str()).fetch_all(&mut **tx).await?;
    audit(tx, scope, Action::IncidentClosed, "incident", &closed).await
}

/// Has a connection probed at once; false where there is no such connection. What a probe under way finds is not kept: it may have begun with what the
/// connection is called by no more.
pub(super) async fn probe_now(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    connection: ConnectionId,
) -> Result<bool, StoreError> {
    let ask = "UPDATE connection_probes SET due_at = now(), lease_id = NULL, lease_until = NULL WHERE tenant_id = $1 AND connection_id = $2";
    let asked = sqlx::query(ask).bind(scope.tenant.0).bind(connection.0).execute(&mut **tx).await?;
    Ok(asked.rows_affected() == 1)
}

impl TenantStore<'_> {
    /// Makes what is told of an end what it is now: closes the incident of before, and opens one where something of a connection that is there ends.
    /// `named` is what the connection and its connector are called.
    ///
    /// # Errors
    /// Where the database does not answer: then the next look does it.
    pub async fn upkeep_tell(&self, moved: &Moved, named: Option<(&str, &str)>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if let Some(told) = moved.told {
            let close =
                sqlx::query_scalar("UPDATE incidents SET closed_at = now() WHERE id = $1 AND closed_at IS NULL RETURNING id");
            let closed: Vec<Uuid> = close.bind(told.0).fetch_all(&mut *tx).await?;
            audit(&mut tx, self.scope(), Action::IncidentClosed, "incident", &closed).await?;
        }
        if let (Some(ends_at), Some((name, title))) = (moved.ends_at, named) {
            let failure = ProbeFailure {
                code: moved.what.code(),
                sentence: moved.what.sentence(name, ends_at),
                owner: Owner::Developer,
                next_step: moved.what.next_step(title),
                is_passing: false,
            };
            self.upkeep_open(&mut tx, moved.connection, moved.what, &failure, Some(ends_at)).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    pub(super) async fn upkeep_open(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        connection: ConnectionId,
        what: Upkeep,
        failure: &ProbeFailure,
        ends_at: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        let opened: Vec<Uuid> = sqlx::query_scalar(
            "INSERT INTO incidents (id, tenant_id, connection_id, upkeep, ends_at, operation, code, sentence, owner, next_step)
             VALUES ($1, $2, $3, $4, $5, 'upkeep.' || $4, $6, $7, $8, $9)
             ON CONFLICT (connection_id, upkeep) WHERE closed_at IS NULL AND upkeep IS NOT NULL DO NOTHING RETURNING id",
        )
        .bind(IncidentId::generate().0)
        .bind(self.scope().tenant.0)
        .bind(connection.0)
        .bind(what.as_str())
        .bind(ends_at)
        .bind(&failure.code)
        .bind(&failure.sentence)
        .bind(failure.owner.as_str())
        .bind(&failure.next_step)
        .fetch_all(&mut **tx)
        .await?;
        audit(tx, self.scope(), Action::IncidentOpened, "incident", &opened).await
    }

    /// Has a connection probed at once; false where there is no such connection.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connection_probe_ask(&self, connection: ConnectionId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let is_there = probe_now(&mut tx, self.scope(), connection).await?;
        let by_person = "UPDATE connection_probes SET asked_at = now() WHERE tenant_id = $1 AND connection_id = $2";
        sqlx::query(by_person).bind(self.scope().tenant.0).bind(connection.0).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(is_there)
    }

    /// Keeps what a probe came to, and when the next one is due; nothing where somebody else leads it by now. `calls` are those that were made.
    ///
    /// # Errors
    /// Where the database does not answer: then it is made again.
    pub async fn connection_probed(
        &self,
        connection: ConnectionId,
        lease: Uuid,
        probed: &Probed,
        calls: &[ToldCall],
        due_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        audit_calls(&mut tx, scope, Action::ConnectionProbed, "connection", connection.0, calls).await?;
        let failure = probed.failure.as_ref();
        let failures: Option<i32> = sqlx::query_scalar(
            "UPDATE connection_probes SET due_at = $3, lease_id = NULL, lease_until = NULL, asked_at = NULL, probed_at = now(), outcome = $4, took_ms = $5,
                 code = $6, sentence = $7, owner = $8, next_step = $9, failures = CASE WHEN $4 = 'fails' THEN failures + 1 ELSE 0 END
             WHERE connection_id = $1 AND lease_id = $2 RETURNING failures",
        )
        .bind(connection.0)
        .bind(lease)
        .bind(due_at)
        .bind(probed.outcome.as_str())
        .bind(probed.took_ms)
        .bind(failure.map(|failure| &failure.code))
        .bind(failure.map(|failure| &failure.sentence))
        .bind(failure.map(|failure| failure.owner.as_str()))
        .bind(failure.map(|failure| &failure.next_step))
        .fetch_optional(&mut *tx)
        .await?;
        match (failures, failure) {
            (Some(failures), Some(failure)) if !failure.is_passing || failures >= FAILURES_TOLD => {
                // What stops its deliveries is told already, and once is enough.
                let told = "SELECT EXISTS (SELECT FROM incidents WHERE connection_id = $1 AND closed_at IS NULL AND breaker_id IS NOT NULL)";
                if !sqlx::query_scalar::<_, bool>(told).bind(connection.0).fetch_one(&mut *tx).await? {
                    self.upkeep_open(&mut tx, connection, Upkeep::Probe, failure, None).await?;
                }
            }
            (Some(_), None) => close(&mut tx, self.scope(), connection, Upkeep::Probe).await?,
            _ => {}
        }
        if failures.is_some() {
            // What is missing may be another thing than before: it is told anew.
            let told = "SELECT EXISTS (SELECT FROM incidents WHERE connection_id = $1 AND closed_at IS NULL AND upkeep = 'scopes' AND sentence = $2)";
            let sentence = probed.missing.as_ref().map(|missing| missing.sentence.as_str());
            if !sqlx::query_scalar::<_, bool>(told).bind(connection.0).bind(sentence).fetch_one(&mut *tx).await? {
                close(&mut tx, self.scope(), connection, Upkeep::Scopes).await?;
                if let Some(missing) = &probed.missing {
                    self.upkeep_open(&mut tx, connection, Upkeep::Scopes, missing, None).await?;
                }
            }
        }
        tx.commit().await?;
        Ok(())
    }

    /// What a connection's token may do, as its vendor said; `None` where it has none, or the vendor does not say.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn granted_scope(&self, connection: ConnectionId) -> Result<Option<String>, StoreError> {
        let mut tx = self.begin().await?;
        let query = "SELECT t.scope FROM credentials k JOIN tokens t ON t.tenant_id = k.tenant_id AND t.credential_id = k.id
                     WHERE k.tenant_id = $1 AND k.connection_id = $2 AND k.state = 'active' AND t.sealed IS NOT NULL";
        let scope: Option<Option<String>> =
            sqlx::query_scalar(query).bind(self.scope().tenant.0).bind(connection.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(scope.flatten())
    }

    /// The newest probe of a connection; another tenant's is not found.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connection_probe(&self, connection: ConnectionId) -> Result<Option<Probe>, StoreError> {
        let mut tx = self.begin().await?;
        let query = "SELECT due_at, asked_at, probed_at, outcome, sentence, owner, next_step, took_ms FROM connection_probes WHERE tenant_id = $1 AND connection_id = $2";
        let row = sqlx::query(query).bind(self.scope().tenant.0).bind(connection.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        row.as_ref().map(probe).transpose()
    }

    /// How connections are kept, newest first, after this one; of one of them where it is said which.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connection_health(
        &self,
        only: Option<ConnectionId>,
        after: Option<ConnectionId>,
        rows_max: i64,
    ) -> Result<Vec<ConnectionHealth>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT c.id, c.tenant_id, c.connector, c.name, c.settings, c.hook_token, c.state, c.reserve_pct, c.created_at,
                    k.ends_kind, k.ends_at AS secret_ends_at, t.sealed IS NOT NULL AS has_token, t.scope, t.expires_at, t.ends_at AS consent_ends_at,
                    p.due_at, p.asked_at, p.probed_at, p.outcome, p.sentence, p.owner, p.next_step, p.took_ms, k.created_at AS stored_at
             FROM connections c
             LEFT JOIN credentials k ON k.tenant_id = c.tenant_id AND k.connection_id = c.id AND k.state = 'active'
             LEFT JOIN tokens t ON t.tenant_id = c.tenant_id AND t.credential_id = k.id
             LEFT JOIN connection_probes p ON p.tenant_id = c.tenant_id AND p.connection_id = c.id
             WHERE c.tenant_id = $1 AND ($2::uuid IS NULL OR c.id = $2) AND ($3::uuid IS NULL OR c.id < $3) ORDER BY c.id DESC LIMIT $4",
        )
        .bind(self.scope().tenant.0)
        .bind(only.map(|only| only.0))
        .bind(after.map(|after| after.0))
        .bind(rows_max)
        .fetch_all(&mut *tx)
        .await?;
        let mut found = rows.iter().map(health).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<Uuid> = found.iter().map(|health| health.connection.id).collect();
        let mut kept = rotation::shown(&mut tx, self.scope().tenant, &ids).await?;
        tx.commit().await?;
        for health in &mut found {
            (health.schedule, health.rotation) = kept.remove(&health.connection.id).unwrap_or_default();
        }
        Ok(found)
    }
}

fn probe(row: &PgRow) -> Result<Probe, StoreError> {
    Ok(Probe {
        asked_at: row.try_get("asked_at")?,
        probed_at: row.try_get("probed_at")?,
        due_at: row.try_get("due_at")?,
        outcome: row.try_get::<Option<&str>, _>("outcome")?.and_then(ProbeOutcome::parse),
        sentence: row.try_get("sentence")?,
        owner: row.try_get("owner")?,
        next_step: row.try_get("next_step")?,
        took_ms: row.try_get("took_ms")?,
    })
}

fn health(row: &PgRow) -> Result<ConnectionHealth, StoreError> {
    let mut ends = vec![];
    if let Some(at) = row.try_get("consent_ends_at")? {
        ends.push(Ends { what: Upkeep::Consent, at });
    }
    let kind = row.try_get::<Option<&str>, _>("ends_kind")?.and_then(Upkeep::parse);
    if let (Some(what), Some(at)) = (kind, row.try_get("secret_ends_at")?) {
        ends.push(Ends { what, at });
    }
    ends.sort_by_key(|ends| ends.at);
    let is_there = row.try_get::<Option<DateTime<Utc>>, _>("due_at")?.is_some();
    Ok(ConnectionHealth {
        connection: connection::Model {
            id: row.try_get("id")?,
            tenant_id: row.try_get("tenant_id")?,
            connector: row.try_get("connector")?,
            name: row.try_get("name")?,
            settings: row.try_get("settings")?,
            hook_token: row.try_get("hook_token")?,
            state: row.try_get("state")?,
            reserve_pct: row.try_get("reserve_pct")?,
            created_at: row.try_get("created_at")?,
        },
        probe: if is_there { Some(probe(row)?) } else { None },
        ends,
        has_token: row.try_get::<Option<bool>, _>("has_token")?.unwrap_or(false),
        scope: row.try_get("scope")?,
        token_expires_at: row.try_get("expires_at")?,
        stored_at: row.try_get("stored_at")?,
        schedule: None,
        rotation: None,
    })
}
