//! Subscriptions: what is wanted of a vendor, by the flows that are published, and the check that compares it with what the vendor has. One worker
//! leads a check; what it found is written by whoever leads it, or not at all.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::call_payload::ToldCall;
use domain::id::{ConnectionId, IncidentId, PollId, SubscriptionCheckId, SubscriptionId, TenantId};
use domain::poll::FAILURES_TOLD;
use domain::record::RecordKind;
use domain::subscription::SubscriptionState;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::poll::PollFailure;
use super::receive::{audit, audit_each};
use super::{Store, StoreError, TenantStore, call_payload};

/// What an incident calls it.
const OPERATION: &str = "webhook.subscribe";

/// A check as whoever leads it needs it.
#[derive(Debug, Clone)]
pub struct SubscriptionCheck {
    pub id: SubscriptionCheckId,
    pub lease: Uuid,
    pub connection: ConnectionId,
    pub hook_token: String,
    pub is_connection_active: bool,
    /// How often it had been asked for when it began.
    pub asked: i64,
    pub failures: i32,
    pub created_at: DateTime<Utc>,
    /// What published flows read of the connection, and since when.
    pub kinds: Vec<(RecordKind, DateTime<Utc>)>,
}

/// A subscription as it stands.
#[derive(Debug, Clone)]
pub struct SubscriptionRow {
    pub id: SubscriptionId,
    pub topic: String,
    pub state: SubscriptionState,
    pub vendor_id: Option<String>,
    /// What the vendor signs with is known, where it said that with the registration.
    pub has_secret: bool,
    pub is_rotating: bool,
    pub renew_at: Option<DateTime<Utc>>,
    pub seen_at: Option<DateTime<Utc>>,
}

/// A kind that is to be listed by itself.
#[derive(Debug, Clone)]
pub struct OwnPoll {
    pub kind: RecordKind,
    pub every_s: i32,
    /// Where a new one begins, of the connector.
    pub position: serde_json::Value,
}

impl Store {
    /// Checks of any tenant that are due, leased to the caller for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscription_checks_take(
        &self,
        count_max: i32,
        lease_s: f64,
    ) -> Result<Vec<(TenantId, (SubscriptionCheckId, Uuid))>, StoreError> {
        self.take_leased(
            "SELECT tenant_id, id, lease_id FROM subscription_checks_take($1, make_interval(secs => $2))",
            count_max,
            lease_s,
        )
        .await
    }
}

impl TenantStore<'_> {
    /// A check that the caller leads; `None` where another leads it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscription_check_load(
        &self,
        id: SubscriptionCheckId,
        lease: Uuid,
    ) -> Result<Option<SubscriptionCheck>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT s.connection_id, s.asked, s.failures, s.created_at, c.hook_token, c.state = 'active' AS is_connection_active
             FROM subscription_checks s JOIN connections c ON c.id = s.connection_id WHERE s.id = $1 AND s.lease_id = $2",
        );
        let Some(row) = row.bind(id.0).bind(lease).fetch_optional(&mut *tx).await? else { return Ok(None) };
        let connection = ConnectionId(row.try_get("connection_id")?);
        let kinds: Vec<(String, DateTime<Utc>)> = sqlx::query_as(
            "SELECT f.record_kind, min(v.published_at) FROM flows f JOIN flow_versions v ON v.flow_id = f.id AND v.state = 'published'
             WHERE f.source_connection_id = $1 AND v.published_at IS NOT NULL GROUP BY f.record_kind ORDER BY f.record_kind",
        )
        .bind(connection.0)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Some(SubscriptionCheck {
            id,
            lease,
            connection,
            hook_token: row.try_get("hook_token")?,
            is_connection_active: row.try_get("is_connection_active")?,
            asked: row.try_get("asked")?,
            failures: row.try_get("failures")?,
            created_at: row.try_get("created_at")?,
            kinds: kinds.into_iter().filter_map(|(kind, at)| Some((RecordKind::parse(&kind)?, at))).collect(),
        }))
    }

    /// Makes the polls that flows need and nobody has made, lets those go on that were paused because no flow was left, and pauses those that no flow
    /// needs any more. What a person has set, paused or resumed stays as it is.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn polls_follow(
        &self,
        connection: ConnectionId,
        kinds: &[RecordKind],
        listed: &[OwnPoll],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let words: Vec<&str> = listed.iter().map(|poll| poll.kind.as_str()).collect();
        let every_s: Vec<i32> = listed.iter().map(|poll| poll.every_s).collect();
        let positions: Vec<&serde_json::Value> = listed.iter().map(|poll| &poll.position).collect();
        let set: Vec<Uuid> = sqlx::query_scalar(
            "WITH w AS (
                 SELECT * FROM unnest($3::uuid[], $4::text[], $5::int[], $6::jsonb[]) AS w (id, kind, every_s, position)
             ), made AS (
                 INSERT INTO polls (id, tenant_id, connection_id, kind, every_s, position, is_own)
                 SELECT id, $1, $2, kind, every_s, position, true FROM w
                 ON CONFLICT (connection_id, kind, lookup_table_id) DO NOTHING RETURNING id
             ), resumed AS (
                 UPDATE polls p SET state = 'active', every_s = w.every_s, position = w.position, due_at = now() FROM w
                 WHERE p.connection_id = $2 AND p.kind = w.kind AND p.is_own AND p.state = 'paused' RETURNING p.id
             ), forgotten AS (
                 DELETE FROM poll_seen s USING resumed r WHERE s.poll_id = r.id
             ), paced AS (
                 UPDATE polls p SET every_s = w.every_s FROM w
                 WHERE p.connection_id = $2 AND p.kind = w.kind AND p.is_own AND p.state = 'active' AND p.every_s <> w.every_s
             )
             SELECT id FROM made UNION ALL SELECT id FROM resumed",
        )
        .bind(self.scope().tenant.0)
        .bind(connection.0)
        .bind(listed.iter().map(|_| PollId::generate().0).collect::<Vec<_>>())
        .bind(&words)
        .bind(every_s)
        .bind(positions)
        .fetch_all(&mut *tx)
        .await?;
        audit(&mut tx, self.scope(), Action::PollSet, "poll", &set).await?;
        let paused: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE polls SET state = 'paused', lease_id = NULL, lease_until = NULL
             WHERE connection_id = $1 AND is_own AND state = 'active' AND kind <> ALL($2) RETURNING id",
        )
        .bind(connection.0)
        .bind(kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>())
        .fetch_all(&mut *tx)
        .await?;
        audit(&mut tx, self.scope(), Action::PollPaused, "poll", &paused).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Makes what is kept follow what is wanted, and says how it stands then. `blocked` is why nothing can be registered.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscriptions_follow(
        &self,
        connection: ConnectionId,
        wanted: &[(&str, RecordKind)],
        blocked: Option<&str>,
    ) -> Result<Vec<SubscriptionRow>, StoreError> {
        let topics: Vec<&str> = wanted.iter().map(|(topic, _)| *topic).collect();
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO subscriptions AS s (id, tenant_id, connection_id, topic, kind)
             SELECT id, $1, $2, topic, kind FROM unnest($3::uuid[], $4::text[], $5::text[]) AS w (id, topic, kind)
             ON CONFLICT (connection_id, topic) DO UPDATE SET state = 'wanted', failure = NULL WHERE s.state IN ('ending', 'ended')",
        )
        .bind(self.scope().tenant.0)
        .bind(connection.0)
        .bind(wanted.iter().map(|_| SubscriptionId::generate().0).collect::<Vec<_>>())
        .bind(&topics)
        .bind(wanted.iter().map(|(_, kind)| kind.as_str()).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
        // One that the vendor may have is taken away there first.
        sqlx::query(
            "UPDATE subscriptions SET state = CASE WHEN vendor_id IS NULL AND state <> 'subscribing' THEN 'ended' ELSE 'ending' END,
                    is_rotating = false, failure = NULL
             WHERE connection_id = $1 AND topic <> ALL($2) AND state NOT IN ('ending', 'ended')",
        )
        .bind(connection.0)
        .bind(&topics)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "UPDATE subscriptions SET state = CASE WHEN $2::text IS NULL THEN 'wanted' ELSE 'blocked' END, failure = $2
             WHERE connection_id = $1 AND CASE WHEN $2::text IS NULL THEN state = 'blocked' ELSE state IN ('wanted', 'failed', 'blocked') END",
        )
        .bind(connection.0)
        .bind(blocked)
        .execute(&mut *tx)
        .await?;
        // While a secret is being replaced, what still signs with the one before is believed.
        sqlx::query(
            "UPDATE hook_secrets SET accepted_until = greatest(accepted_until, now() + interval '1 day')
             WHERE connection_id = $1 AND accepted_until > now()
               AND EXISTS (SELECT FROM subscriptions WHERE connection_id = $1 AND is_rotating)",
        )
        .bind(connection.0)
        .execute(&mut *tx)
        .await?;
        let rows = sqlx::query(
            "SELECT id, topic, state, vendor_id, secret_id IS NOT NULL AS has_secret, is_rotating, renew_at, seen_at
             FROM subscriptions WHERE connection_id = $1 ORDER BY topic",
        );
        let rows = rows.bind(connection.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let read = |row: sqlx::postgres::PgRow| {
            let (id, state): (Uuid, String) = (row.try_get("id")?, row.try_get("state")?);
            let id = SubscriptionId(id);
            let why = || format!("there is no state \"{state}\"");
            let corrupt = || StoreError::Corrupt { what: "the state", id: id.to_string(), why: why() };
            Ok(SubscriptionRow {
                id,
                topic: row.try_get("topic")?,
                state: SubscriptionState::parse(&state).ok_or_else(corrupt)?,
                vendor_id: row.try_get("vendor_id")?,
                has_secret: row.try_get("has_secret")?,
                is_rotating: row.try_get("is_rotating")?,
                renew_at: row.try_get("renew_at")?,
                seen_at: row.try_get("seen_at")?,
            })
        };
        rows.into_iter().map(read).collect()
    }

    /// The calls that were made, as the audit keeps them.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscription_calls(&self, check: &SubscriptionCheck, calls: &[ToldCall]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        audit_calls(&mut tx, self, check, calls).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A check came to its end; its incident ends, too. Where another one was asked for meanwhile, that is due at once.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscription_check_end(&self, check: &SubscriptionCheck, due_at: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let ended = sqlx::query(
            "UPDATE subscription_checks SET due_at = CASE WHEN asked = $3 THEN $4 ELSE now() END, lease_id = NULL, lease_until = NULL,
                    checked_at = now(), failures = 0, failure = NULL
             WHERE id = $1 AND lease_id = $2",
        );
        let ended = ended.bind(check.id.0).bind(check.lease).bind(check.asked).bind(due_at).execute(&mut *tx).await?;
        if ended.rows_affected() == 1 && check.failures > 0 {
            let close =
                "UPDATE incidents SET closed_at = now() WHERE subscription_check_id = $1 AND closed_at IS NULL RETURNING id";
            let closed: Vec<Uuid> = sqlx::query_scalar(close).bind(check.id.0).fetch_all(&mut *tx).await?;
            audit(&mut tx, self.scope(), Action::IncidentClosed, "incident", &closed).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Gives a check back as it is: nothing was compared, and nothing failed.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscription_check_give_back(&self, check: &SubscriptionCheck, due_at: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let given = sqlx::query(
            "UPDATE subscription_checks SET due_at = CASE WHEN asked = $3 THEN $4 ELSE now() END, lease_id = NULL, lease_until = NULL
             WHERE id = $1 AND lease_id = $2",
        );
        given.bind(check.id.0).bind(check.lease).bind(check.asked).bind(due_at).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A check came to no end. Where that happened some times in a row, an incident tells of it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscription_check_failed(
        &self,
        check: &SubscriptionCheck,
        failure: &PollFailure,
        calls: &[ToldCall],
        due_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        audit_calls(&mut tx, self, check, calls).await?;
        let failures: Option<i32> = sqlx::query_scalar(
            "UPDATE subscription_checks SET due_at = CASE WHEN asked = $3 THEN $4 ELSE now() END, lease_id = NULL, lease_until = NULL,
                    failures = failures + 1, failure = $5
             WHERE id = $1 AND lease_id = $2 RETURNING failures",
        )
        .bind(check.id.0)
        .bind(check.lease)
        .bind(check.asked)
        .bind(due_at)
        .bind(&failure.sentence)
        .fetch_optional(&mut *tx)
        .await?;
        if failures.is_some() {
            let details = [Some(failure.sentence.as_str())];
            audit_each(&mut tx, scope, Action::SubscriptionFailed, "connection", &[check.connection.0], &details).await?;
        }
        match failures {
            Some(failures) if failures == FAILURES_TOLD => {
                let opened: Vec<Uuid> = sqlx::query_scalar(
                    "INSERT INTO incidents (id, tenant_id, connection_id, subscription_check_id, operation, code, sentence, owner, next_step)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                     ON CONFLICT (subscription_check_id) WHERE closed_at IS NULL DO NOTHING RETURNING id",
                )
                .bind(IncidentId::generate().0)
                .bind(scope.tenant.0)
                .bind(check.connection.0)
                .bind(check.id.0)
                .bind(OPERATION)
                .bind(&failure.code)
                .bind(&failure.sentence)
                .bind(failure.owner.as_str())
                .bind(&failure.next_step)
                .fetch_all(&mut *tx)
                .await?;
                audit(&mut tx, scope, Action::IncidentOpened, "incident", &opened).await?;
            }
            Some(failures) if failures > FAILURES_TOLD => {
                let probe = "UPDATE incidents SET probes = probes + 1 WHERE subscription_check_id = $1 AND closed_at IS NULL";
                sqlx::query(probe).bind(check.id.0).execute(&mut *tx).await?;
            }
            _ => {}
        }
        tx.commit().await?;
        Ok(())
    }

    /// Checks a connection now.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscription_check_ask(&self, connection: ConnectionId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "INSERT INTO subscription_checks AS c (tenant_id, connection_id) VALUES ($1, $2)
             ON CONFLICT (connection_id) DO UPDATE SET due_at = now(), asked = c.asked + 1",
        )
        .bind(self.scope().tenant.0)
        .bind(connection.0)
        .execute(&mut *tx)
        .await?;
        audit(&mut tx, self.scope(), Action::SubscriptionCheckAsked, "connection", &[connection.0]).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Makes a connection's check due at once, where it has one.
pub(super) async fn ask(tx: &mut Transaction<'static, Postgres>, connection: ConnectionId) -> Result<(), StoreError> {
    let ask = "UPDATE subscription_checks SET due_at = now(), asked = asked + 1 WHERE connection_id = $1";
    sqlx::query(ask).bind(connection.0).execute(&mut **tx).await?;
    Ok(())
}

pub(super) async fn audit_calls(
    tx: &mut Transaction<'static, Postgres>,
    store: &TenantStore<'_>,
    check: &SubscriptionCheck,
    calls: &[ToldCall],
) -> Result<(), StoreError> {
    call_payload::audit_calls(tx, store.scope(), Action::SubscriptionCalled, "connection", check.connection.0, calls).await
}
