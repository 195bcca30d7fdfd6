//! Rotations in Postgres. Every step is one transaction: how far it is, what becomes of the two credentials, who is told. A step that somebody else was
//! faster with changes nothing. No call is made while one is open.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use domain::audit::Action;
use domain::call_payload::ToldCall;
use domain::id::{ConnectionId, CredentialId, RotationId, TenantId};
use domain::rotation::{self, Exchange, RotationEvent, RotationState, RotationWay};
use domain::scope::Scope;
use domain::upkeep::Upkeep;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::call_payload::audit_calls;
use super::configure::{NewCredential, Place, credential_insert, last_version, lock};
use super::receive::{audit, audit_each};
use super::upkeep::ProbeFailure;
use super::{Store, StoreError, TenantStore, breaker, upkeep};
use crate::vault::Vault;

/// How often it is looked while both stand whether the new one is refused. No call is made for that.
const WATCH_S: i64 = 30;
/// After a failure, an automatic rotation begins anew.
const AGAIN_H: i64 = 24;
const COLUMNS: &str = "r.id, r.connection_id, r.way, r.state, r.old_credential_id, r.new_credential_id, r.label, r.tries, r.overlap_until, r.code, r.sentence,
    r.owner, r.next_step, r.begun_at, r.moved_at";

/// How often the secret of a connection is exchanged.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Absent: only when somebody says so.
    pub every_days: Option<i32>,
    pub follows_advice: bool,
    pub due_at: Option<DateTime<Utc>>,
}

/// An exchange, and how far it is.
#[derive(Debug, Clone)]
pub struct Rotation {
    pub id: RotationId,
    pub connection: ConnectionId,
    pub way: RotationWay,
    pub state: RotationState,
    pub old: CredentialId,
    pub new: Option<CredentialId>,
    /// What the new key is called at the vendor.
    pub label: String,
    /// Of the step that it stands at.
    pub tries: i32,
    pub overlap_until: Option<DateTime<Utc>>,
    /// What stopped it last.
    pub sentence: Option<String>,
    pub owner: Option<String>,
    pub next_step: Option<String>,
    pub begun_at: DateTime<Utc>,
    pub moved_at: DateTime<Utc>,
}

/// A step, and what it brings.
#[derive(Debug)]
pub struct Step<'a> {
    pub event: RotationEvent,
    /// With [`RotationEvent::SecretKept`]: what is kept, and what the vendor calls it.
    pub secret: Option<(NewCredential<'a>, Option<&'a str>)>,
    /// With [`RotationEvent::Accepted`]: how long both stand.
    pub overlap: Option<Duration>,
    /// Why it stopped, or what it waits for.
    pub reason: Option<&'a ProbeFailure>,
}

impl From<RotationEvent> for Step<'_> {
    fn from(event: RotationEvent) -> Self {
        Self { event, secret: None, overlap: None, reason: None }
    }
}

/// What came of a wish to begin one.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one is made of a person's wish, and taken apart at once")]
pub enum Begun {
    Done(Rotation),
    /// One is under way.
    UnderWay,
    /// There is no secret that could be exchanged.
    NoSecret,
}

impl Store {
    /// Connections of any tenant whose rotations have something to do, leased to the caller for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn rotations_take(
        &self,
        count_max: i32,
        lease_s: f64,
    ) -> Result<Vec<(TenantId, (ConnectionId, Uuid))>, StoreError> {
        self.take_leased("SELECT tenant_id, id, lease_id FROM rotations_take($1, make_interval(secs => $2))", count_max, lease_s)
            .await
    }

    /// The connectors whose secrets are exchanged on schedule, of any tenant.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn rotation_connectors(&self) -> Result<Vec<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT * FROM rotation_connectors()").fetch_all(self.pool()).await?)
    }

    /// Makes what connectors advise now so for whoever follows it: by connector, after how many days and whether by itself. How many that changed.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn rotation_advice_follow(&self, advice: &[(&str, i32, RotationWay)]) -> Result<i64, StoreError> {
        let changed = sqlx::query_scalar("SELECT rotation_advice_follow($1, $2, $3)")
            .bind(advice.iter().map(|(connector, ..)| *connector).collect::<Vec<_>>())
            .bind(advice.iter().map(|(_, days, _)| *days).collect::<Vec<_>>())
            .bind(advice.iter().map(|(.., way)| *way == RotationWay::Automatic).collect::<Vec<_>>());
        Ok(changed.fetch_one(self.pool()).await?)
    }
}

impl TenantStore<'_> {
    /// Says how often the secret of a connection is exchanged: every so many days, or as the connector advises (`follows_advice`, then `every_days` is what
    /// it says now); without a number only when somebody says so. False where there is no such connection.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn rotation_schedule_set(
        &self,
        connection: ConnectionId,
        every_days: Option<i32>,
        follows_advice: bool,
        way: RotationWay,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if lock(&mut tx, connection).await?.is_none() {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO rotation_schedules (connection_id, tenant_id, every_days, follows_advice, is_automatic) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (connection_id) DO UPDATE SET every_days = excluded.every_days, follows_advice = excluded.follows_advice, is_automatic = excluded.is_automatic",
        )
        .bind(connection.0)
        .bind(self.scope().tenant.0)
        .bind(every_days)
        .bind(follows_advice)
        .bind(way == RotationWay::Automatic)
        .execute(&mut *tx)
        .await?;
        let action = if every_days.is_some() { Action::RotationScheduled } else { Action::RotationUnscheduled };
        let detail = serde_json::json!({"every_days": every_days, "follows_advice": follows_advice}).to_string();
        audit_each(&mut tx, self.scope(), action, "connection", &[connection.0], &[Some(&detail)]).await?;
        follow(&mut tx, connection, None).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Begins a rotation because a person says so; a connection without a schedule gets one that makes nothing by itself.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn rotation_begin(&self, connection: ConnectionId, way: RotationWay) -> Result<Begun, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, connection).await?;
        sqlx::query(
            "INSERT INTO rotation_schedules (connection_id, tenant_id, is_automatic) SELECT id, tenant_id, $3 FROM connections WHERE id = $1 AND tenant_id = $2
             ON CONFLICT DO NOTHING",
        )
        .bind(connection.0)
        .bind(self.scope().tenant.0)
        .bind(way == RotationWay::Automatic)
        .execute(&mut *tx)
        .await?;
        if find_open(&mut tx, connection).await?.is_some() {
            return Ok(Begun::UnderWay);
        }
        let Some(begun) = self.begin_one(&mut tx, connection, way).await? else { return Ok(Begun::NoSecret) };
        if way == RotationWay::Automatic {
            wake(&mut tx, connection, Some(Utc::now())).await?;
        }
        tx.commit().await?;
        Ok(Begun::Done(begun))
    }

    /// What a worker has to do for a connection that it leased: the rotation that is open, or one that is due now. `None` where there is nothing, or
    /// somebody else leads it by now.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn rotation_work(
        &self,
        connection: ConnectionId,
        lease: Uuid,
        way: RotationWay,
    ) -> Result<Option<Rotation>, StoreError> {
        let mut tx = self.begin().await?;
        if lock(&mut tx, connection).await?.is_none() || !is_led(&mut tx, connection, Some(lease)).await? {
            return Ok(None);
        }
        let mut open = find_open(&mut tx, connection).await?;
        if open.is_none() {
            // What it was woken for may be over: a new secret was stored by hand, or another number of days is said.
            follow(&mut tx, connection, None).await?;
            let due = "SELECT coalesce(is_automatic AND due_at <= now(), false) FROM rotation_schedules WHERE connection_id = $1";
            let is_due: bool = sqlx::query_scalar(due).bind(connection.0).fetch_one(&mut *tx).await?;
            if is_due && way == RotationWay::Automatic {
                open = self.begin_one(&mut tx, connection, way).await?;
            }
        }
        if open.is_none() {
            let release = "UPDATE rotation_schedules SET lease_id = NULL, lease_until = NULL, wake_at = CASE WHEN wake_at > now() THEN wake_at END WHERE connection_id = $1";
            sqlx::query(release).bind(connection.0).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(open)
    }

    async fn begin_one(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        connection: ConnectionId,
        way: RotationWay,
    ) -> Result<Option<Rotation>, StoreError> {
        let id = RotationId::generate();
        let sql = format!(
            "WITH begun AS (
                 INSERT INTO rotations (id, tenant_id, connection_id, way, old_credential_id, label)
                 SELECT $1, tenant_id, connection_id, $3, id, $4 FROM credentials WHERE connection_id = $2 AND state = 'active' RETURNING *
             ) SELECT {COLUMNS} FROM begun r"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.0).bind(connection.0).bind(way.as_str());
        let row = row.bind(rotation::label(connection, id)).fetch_optional(&mut **tx).await?;
        let Some(begun) = row.as_ref().map(read).transpose()? else { return Ok(None) };
        let detail = serde_json::json!({"rotation": id, "way": way.as_str(), "old": begun.old}).to_string();
        audit_each(tx, self.scope(), Action::RotationBegun, "connection", &[connection.0], &[Some(&detail)]).await?;
        upkeep::close(tx, self.scope(), connection, Upkeep::RotationHalted).await?;
        Ok(Some(begun))
    }

    /// Takes a step; how the rotation stands then, or `None` where it cannot be taken any more, because somebody was faster. A worker says its lease,
    /// and keeps it as long as there is more to do at once.
    ///
    /// # Errors
    /// Where the database does not answer or the system has no randomness: then nothing is changed.
    pub async fn rotation_step(
        &self,
        vault: &Vault,
        of: &Rotation,
        lease: Option<Uuid>,
        step: Step<'_>,
    ) -> Result<Option<Rotation>, StoreError> {
        let (scope, mut tx) = (self.scope(), self.begin().await?);
        if lock(&mut tx, of.connection).await?.is_none() || !is_led(&mut tx, of.connection, lease).await? {
            return Ok(None);
        }
        let Some(mut now) = find_open(&mut tx, of.connection).await?.filter(|open| open.id == of.id) else { return Ok(None) };
        let Ok((state, exchange)) = now.state.after(step.event, now.way) else { return Ok(None) };
        if let Some((secret, key_id)) = &step.secret {
            let version = last_version(&mut tx, of.connection).await? + 1;
            let place = Place { connection: of.connection, version, state: "draft", key_id: *key_id };
            now.new = Some(credential_insert(&mut tx, scope, vault, place, secret).await?);
        }
        exchange_credentials(&mut tx, scope, &now, exchange).await?;
        let is_again = now.state == state;
        now.overlap_until = step.overlap.map(|overlap| Utc::now() + overlap).or(now.overlap_until);
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE rotations r SET state = $2, new_credential_id = $3, overlap_until = $4, tries = CASE WHEN $5 THEN tries + 1 ELSE 0 END,
                 code = $6, sentence = $7, owner = $8, next_step = $9, moved_at = now() WHERE id = $1 RETURNING {COLUMNS}"
        )));
        let reason = step.reason;
        let row = row
            .bind(of.id.0)
            .bind(state.as_str())
            .bind(now.new.map(|new| new.0))
            .bind(now.overlap_until)
            .bind(is_again)
            .bind(reason.map(|reason| &reason.code))
            .bind(reason.map(|reason| &reason.sentence))
            .bind(reason.map(|reason| reason.owner.as_str()))
            .bind(reason.map(|reason| &reason.next_step))
            .fetch_one(&mut *tx)
            .await?;
        let now = read(&row)?;
        self.rotation_told(&mut tx, &now, step.event, reason).await?;
        if matches!(exchange, Exchange::Use | Exchange::UseAlone | Exchange::UseOld) {
            breaker::try_now(&mut tx, of.connection).await?;
            // What was told of the one before may not be so any more.
            upkeep::probe_now(&mut tx, scope, of.connection).await?;
        }
        plan(&mut tx, &now, lease).await?;
        tx.commit().await?;
        Ok(Some(now))
    }

    /// Writes a step down, and tells people where it needs one or does not any more.
    async fn rotation_told(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        now: &Rotation,
        event: RotationEvent,
        reason: Option<&ProbeFailure>,
    ) -> Result<(), StoreError> {
        let action = match event {
            // The intent stands in the row; the call is told when it was made.
            RotationEvent::Begun => None,
            RotationEvent::SecretKept => Some(Action::RotationSecretKept),
            RotationEvent::Accepted { .. } => Some(Action::RotationAccepted),
            RotationEvent::SecretRefused => Some(Action::RotationRefused),
            RotationEvent::OverlapOver => Some(Action::RotationOverlapOver),
            RotationEvent::OldRemoved => Some(Action::RotationRetired),
            RotationEvent::FellBack => Some(Action::RotationFellBack),
            RotationEvent::GivenUp | RotationEvent::Replaced => Some(Action::RotationFailed),
        };
        if let Some(action) = action {
            let detail = serde_json::json!({
                "rotation": now.id, "state": now.state.as_str(), "old": now.old, "new": now.new, "reason": reason.map(|reason| &reason.code),
            });
            audit_each(tx, self.scope(), action, "connection", &[now.connection.0], &[Some(&detail.to_string())]).await?;
        }
        let is_halted = matches!(now.state, RotationState::Failed | RotationState::Removing) && event != RotationEvent::Replaced;
        match reason {
            Some(reason) if is_halted => self.upkeep_open(tx, now.connection, Upkeep::RotationHalted, reason, None).await,
            _ if now.state.is_over() => upkeep::close(tx, self.scope(), now.connection, Upkeep::RotationHalted).await,
            _ => Ok(()),
        }
    }

    /// Lets a step rest that did not succeed, with why; `None` for nothing to tell of. `is_told`: a person must do something for it to go on.
    ///
    /// # Errors
    /// Where the database does not answer: then the lease ends it.
    pub async fn rotation_rest(
        &self,
        of: &Rotation,
        lease: Uuid,
        until: DateTime<Utc>,
        reason: Option<&ProbeFailure>,
        is_told: bool,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        if lock(&mut tx, of.connection).await?.is_none() || !is_led(&mut tx, of.connection, Some(lease)).await? {
            return Ok(());
        }
        if let Some(reason) = reason {
            sqlx::query(
                "UPDATE rotations SET tries = tries + 1, code = $3, sentence = $4, owner = $5, next_step = $6 WHERE id = $1 AND state = $2",
            )
            .bind(of.id.0)
            .bind(of.state.as_str())
            .bind(&reason.code)
            .bind(&reason.sentence)
            .bind(reason.owner.as_str())
            .bind(&reason.next_step)
            .execute(&mut *tx)
            .await?;
            if is_told {
                self.upkeep_open(&mut tx, of.connection, Upkeep::RotationHalted, reason, None).await?;
            }
        }
        wake(&mut tx, of.connection, Some(until)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Writes calls down that were made for a rotation.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn rotation_called(&self, of: &Rotation, calls: &[ToldCall]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        audit_calls(&mut tx, self.scope(), Action::RotationCalled, "connection", of.connection.0, calls).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The rotation of a connection that is open.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn rotation_open(&self, connection: ConnectionId) -> Result<Option<Rotation>, StoreError> {
        let mut tx = self.begin().await?;
        let open = find_open(&mut tx, connection).await?;
        tx.commit().await?;
        Ok(open)
    }

    /// What the vendor calls the keys of these credentials, where it made them for us.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn key_ids(&self, credentials: &[CredentialId]) -> Result<HashMap<CredentialId, String>, StoreError> {
        let mut tx = self.begin().await?;
        let ids: Vec<Uuid> = credentials.iter().map(|id| id.0).collect();
        let query =
            sqlx::query_as("SELECT id, key_id FROM credentials WHERE tenant_id = $1 AND id = ANY($2) AND key_id IS NOT NULL");
        let rows: Vec<(Uuid, String)> = query.bind(self.scope().tenant.0).bind(ids).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(rows.into_iter().map(|(id, key)| (CredentialId(id), key)).collect())
    }

    /// True where something tells that the connection does not work: then it is asked whether it is its new secret.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connection_is_in_trouble(&self, connection: ConnectionId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        // Leans on incidents_connection. What only ends is no trouble yet.
        let query = "SELECT EXISTS (SELECT FROM incidents WHERE connection_id = $1 AND closed_at IS NULL AND (upkeep IS NULL OR upkeep = 'probe') AND series_id IS NULL)";
        let is_there = sqlx::query_scalar(query).bind(connection.0).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(is_there)
    }
}

/// True where it is leased to the caller, or he is a person, who needs no lease.
async fn is_led(
    tx: &mut Transaction<'static, Postgres>,
    connection: ConnectionId,
    lease: Option<Uuid>,
) -> Result<bool, StoreError> {
    let query = "SELECT ($2::uuid IS NULL OR lease_id IS NOT DISTINCT FROM $2) FROM rotation_schedules WHERE connection_id = $1 FOR UPDATE";
    let led: Option<bool> = sqlx::query_scalar(query).bind(connection.0).bind(lease).fetch_optional(&mut **tx).await?;
    Ok(led == Some(true))
}

async fn find_open(tx: &mut Transaction<'static, Postgres>, connection: ConnectionId) -> Result<Option<Rotation>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM rotations r WHERE r.connection_id = $1 AND r.state NOT IN ('retired', 'failed')");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(connection.0).fetch_optional(&mut **tx).await?;
    row.as_ref().map(read).transpose()
}

async fn exchange_credentials(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    of: &Rotation,
    exchange: Exchange,
) -> Result<(), StoreError> {
    let (old, new) = (Some(of.old), of.new);
    // In this order: one is active at a time.
    let moves: &[(Option<CredentialId>, &str)] = match exchange {
        Exchange::Nothing | Exchange::Keep => &[],
        Exchange::Use => &[(old, "retiring"), (new, "active")],
        Exchange::UseAlone => &[(old, "retired"), (new, "active")],
        Exchange::Drop => &[(new, "retired")],
        Exchange::UseOld => &[(new, "retired"), (old, "active")],
        Exchange::RetireOld => &[(old, "retired")],
    };
    for (credential, state) in moves {
        let Some(credential) = credential else { continue };
        let moved = sqlx::query("UPDATE credentials SET state = $2 WHERE id = $1").bind(credential.0).bind(*state);
        moved.execute(&mut **tx).await?;
        if *state == "retired" {
            audit(tx, scope, Action::CredentialRetired, "credential", &[credential.0]).await?;
        }
    }
    // What is known of its own hook secret goes with the credential that is used.
    let used = match exchange {
        Exchange::Use | Exchange::UseAlone => old.zip(new),
        Exchange::UseOld => new.zip(old),
        _ => None,
    };
    if let Some((before, after)) = used {
        let follow = "UPDATE hook_secrets SET credential_id = $2 WHERE tenant_id = $3 AND credential_id = $1";
        sqlx::query(follow).bind(before.0).bind(after.0).bind(scope.tenant.0).execute(&mut **tx).await?;
    }
    Ok(())
}

/// When the next step is due, and that the lease is over where that is not now.
async fn plan(tx: &mut Transaction<'static, Postgres>, now: &Rotation, lease: Option<Uuid>) -> Result<(), StoreError> {
    let (at, connection) = (Utc::now(), now.connection);
    let watch_at = at + Duration::seconds(WATCH_S);
    let is_ours = now.way == RotationWay::Automatic;
    if now.state.is_over() {
        wake(tx, connection, None).await?;
        let not_before = (now.state == RotationState::Failed).then(|| at + Duration::hours(AGAIN_H));
        return follow(tx, connection, not_before).await;
    }
    // The secret that is used may be another one by now.
    follow(tx, connection, None).await?;
    match now.state {
        RotationState::Due if !is_ours => wake(tx, connection, None).await,
        RotationState::Overlapping => {
            wake(tx, connection, Some(now.overlap_until.map_or(watch_at, |until| until.min(watch_at)))).await
        }
        RotationState::Removing if !is_ours => wake(tx, connection, Some(watch_at)).await,
        // Whoever leads it goes on at once; where a person took the step, a worker is called.
        _ if lease.is_some() => Ok(()),
        _ => wake(tx, connection, Some(at)).await,
    }
}

/// Says when a worker has something to do, and ends a lease.
async fn wake(
    tx: &mut Transaction<'static, Postgres>,
    connection: ConnectionId,
    at: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let query = "UPDATE rotation_schedules SET wake_at = $2, lease_id = NULL, lease_until = NULL WHERE connection_id = $1";
    sqlx::query(query).bind(connection.0).bind(at).execute(&mut **tx).await?;
    Ok(())
}

/// Works out anew when the secret that is used is to be exchanged, and when we begin that by ourselves: not before `not_before`. An open rotation keeps its
/// own time.
pub(super) async fn follow(
    tx: &mut Transaction<'static, Postgres>,
    connection: ConnectionId,
    not_before: Option<DateTime<Utc>>,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT s.every_days, s.is_automatic, k.created_at, k.ends_at FROM rotation_schedules s
         LEFT JOIN credentials k ON k.tenant_id = s.tenant_id AND k.connection_id = s.connection_id AND k.state = 'active'
         WHERE s.connection_id = $1",
    );
    let Some(row) = row.bind(connection.0).fetch_optional(&mut **tx).await? else { return Ok(()) };
    let stored: Option<DateTime<Utc>> = row.try_get("created_at")?;
    let ends_at = row.try_get("ends_at")?;
    let due = stored.zip(row.try_get::<Option<i32>, _>("every_days")?).map(|(at, days)| rotation::due_at(at, days, ends_at));
    let wake = due.filter(|_| row.try_get("is_automatic").unwrap_or(false)).map(|due| not_before.map_or(due, |at| at.max(due)));
    let update = "UPDATE rotation_schedules s SET due_at = $2, wake_at = CASE WHEN EXISTS (
                      SELECT FROM rotations r WHERE r.connection_id = s.connection_id AND r.state NOT IN ('retired', 'failed')) THEN s.wake_at ELSE $3 END
                  WHERE s.connection_id = $1";
    sqlx::query(update).bind(connection.0).bind(due).bind(wake).execute(&mut **tx).await?;
    Ok(())
}

/// Somebody stores a secret by hand: what was being exchanged is over, and whatever was kept for it. The caller has locked the connection.
pub(super) async fn replaced(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    connection: ConnectionId,
) -> Result<(), StoreError> {
    let Some(open) = find_open(tx, connection).await? else { return Ok(()) };
    let Ok((state, exchange)) = open.state.after(RotationEvent::Replaced, open.way) else { return Ok(()) };
    exchange_credentials(tx, scope, &open, exchange).await?;
    sqlx::query(
        "UPDATE rotations SET state = $2, moved_at = now(), code = 'replaced', owner = NULL, next_step = NULL,
             sentence = 'Another secret was stored by hand meanwhile, and is used.' WHERE id = $1",
    )
    .bind(open.id.0)
    .bind(state.as_str())
    .execute(&mut **tx)
    .await?;
    let detail = serde_json::json!({"rotation": open.id, "state": state.as_str(), "reason": "replaced"}).to_string();
    audit_each(tx, scope, Action::RotationFailed, "connection", &[connection.0], &[Some(&detail)]).await?;
    upkeep::close(tx, scope, connection, Upkeep::RotationHalted).await?;
    wake(tx, connection, None).await
}

/// The schedule and the newest rotation of each of these connections.
pub(super) async fn shown(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    connections: &[Uuid],
) -> Result<HashMap<Uuid, (Option<Schedule>, Option<Rotation>)>, StoreError> {
    let sql = format!(
        "SELECT s.connection_id AS of, s.every_days, s.follows_advice, s.due_at, {COLUMNS} FROM rotation_schedules s
         LEFT JOIN LATERAL (SELECT * FROM rotations n WHERE n.connection_id = s.connection_id ORDER BY n.id DESC LIMIT 1) r ON true
         WHERE s.tenant_id = $1 AND s.connection_id = ANY($2)"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant.0).bind(connections).fetch_all(&mut **tx).await?;
    let row = |row: &PgRow| {
        let schedule = Schedule {
            every_days: row.try_get("every_days")?,
            follows_advice: row.try_get("follows_advice")?,
            due_at: row.try_get("due_at")?,
        };
        let rotation = if row.try_get::<Option<Uuid>, _>("id")?.is_some() { Some(read(row)?) } else { None };
        Ok((row.try_get("of")?, (Some(schedule), rotation)))
    };
    rows.iter().map(row).collect()
}

fn read(row: &PgRow) -> Result<Rotation, StoreError> {
    let id = RotationId(row.try_get("id")?);
    let corrupt = |what| StoreError::Corrupt { what, id: id.to_string(), why: "this version does not know the word".into() };
    Ok(Rotation {
        id,
        connection: ConnectionId(row.try_get("connection_id")?),
        way: RotationWay::parse(row.try_get("way")?).ok_or_else(|| corrupt("the way"))?,
        state: RotationState::parse(row.try_get("state")?).ok_or_else(|| corrupt("the state"))?,
        old: CredentialId(row.try_get("old_credential_id")?),
        new: row.try_get::<Option<Uuid>, _>("new_credential_id")?.map(CredentialId),
        label: row.try_get("label")?,
        tries: row.try_get("tries")?,
        overlap_until: row.try_get("overlap_until")?,
        sentence: row.try_get("sentence")?,
        owner: row.try_get("owner")?,
        next_step: row.try_get("next_step")?,
        begun_at: row.try_get("begun_at")?,
        moved_at: row.try_get("moved_at")?,
    })
}
