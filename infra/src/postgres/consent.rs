//! Consents: asked for by a person, taken once when they come back, and ended in one transaction with what they brought.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::call_payload::ToldCall;
use domain::consent::ConsentEnd;
use domain::id::{ConnectionId, ConsentId, CredentialId, SessionId, TenantId, UserId};
use domain::secret::SecretFields;
use domain::upkeep::{Ends, Upkeep};
use sqlx::{Postgres, Row, Transaction};

use super::call_payload::audit_calls;
use super::configure::{NewCredential, credential_store, data_key, lock};
use super::receive::{audit, audit_each};
use super::token::{bounded, plain, time};
use super::{Store, StoreError, TenantStore, breaker, opened, upkeep};
use crate::vault::{Sealed, Vault};

/// How long a consent is kept once there is a newer one, s: what it came to stands in the audit log.
const KEPT_S: f64 = 3_600.0;
/// Consents of one connection that are asked for in that time.
const BEGUN_MAX: i64 = 100;

/// A consent that is asked for. Of what the browser keeps there is a hash only.
#[derive(Debug)]
pub struct Begun<'a> {
    pub connection: ConnectionId,
    pub credential: CredentialId,
    /// As they are now: they say whom the code is shown to.
    pub settings: &'a serde_json::Value,
    pub user: UserId,
    pub session: SessionId,
    pub state_hash: &'a [u8],
    pub browser_hash: &'a [u8],
    pub expires_at: DateTime<Utc>,
}

/// What became of one that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    Done,
    NotFound,
    TooMany,
}

/// A consent whose person came back.
#[derive(Debug)]
pub struct Taken {
    pub id: ConsentId,
    pub tenant: TenantId,
    pub connection: ConnectionId,
    pub credential: CredentialId,
    pub settings: serde_json::Value,
    pub user: UserId,
    pub session: SessionId,
}

/// What a consent brought.
#[derive(Debug)]
pub struct Brought<'a> {
    /// The credential, as it was: it is stored anew, so that whoever keeps tokens of the old one lets go of them.
    pub credential: &'a SecretFields,
    pub token: &'a SecretFields,
    /// The connection's, with what the vendor sent back.
    pub settings: &'a serde_json::Value,
    pub end: ConsentEnd,
}

/// How the consent of a connection stands.
#[derive(Debug, Clone, Default)]
pub struct Consent {
    /// There is a token of the credential in use.
    pub is_given: bool,
    pub given_at: Option<DateTime<Utc>>,
    /// What was granted, where the vendor said so.
    pub scope: Option<String>,
    /// When the access token ends; it is renewed by itself.
    pub expires_at: Option<DateTime<Utc>>,
    /// When a person must consent again.
    pub ends_at: Option<DateTime<Utc>>,
    /// How the one that was asked for last ended, or that it has not.
    pub last: Option<LastConsent>,
}

#[derive(Debug, Clone)]
pub struct LastConsent {
    pub begun_at: DateTime<Utc>,
    pub begun_by: UserId,
    pub ended_at: Option<DateTime<Utc>>,
    pub end: Option<ConsentEnd>,
    pub said: String,
}

impl Store {
    /// Takes a consent that this browser asked for, once.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn consent_take(&self, state_hash: &[u8], browser_hash: &[u8]) -> Result<Option<Taken>, StoreError> {
        let take = sqlx::query("SELECT * FROM consent_take($1, $2)").bind(state_hash).bind(browser_hash);
        let row = take.fetch_optional(self.pool()).await?;
        row.map(|row| {
            Ok(Taken {
                id: ConsentId(row.try_get("id")?),
                tenant: TenantId(row.try_get("tenant_id")?),
                connection: ConnectionId(row.try_get("connection_id")?),
                credential: CredentialId(row.try_get("credential_id")?),
                settings: row.try_get("settings")?,
                user: UserId(row.try_get("user_id")?),
                session: SessionId(row.try_get("session_id")?),
            })
        })
        .transpose()
    }
}

impl TenantStore<'_> {
    /// # Errors
    /// Where the database does not answer.
    pub async fn consent_begin(&self, begun: &Begun<'_>) -> Result<Begin, StoreError> {
        let (id, mut tx) = (ConsentId::generate(), self.begin().await?);
        if lock(&mut tx, begun.connection).await?.is_none() {
            return Ok(Begin::NotFound);
        }
        // Leans on connection_consents_of.
        let tidy = "DELETE FROM connection_consents WHERE tenant_id = $1 AND connection_id = $2 AND begun_at < now() - make_interval(secs => $3)";
        sqlx::query(tidy).bind(self.scope().tenant.0).bind(begun.connection.0).bind(KEPT_S).execute(&mut *tx).await?;
        let begin = sqlx::query(
            "INSERT INTO connection_consents (id, tenant_id, connection_id, credential_id, settings, user_id, session_id, state_hash, browser_hash, expires_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10
             WHERE (SELECT count(*) FROM connection_consents WHERE tenant_id = $2 AND connection_id = $3) < $11",
        )
        .bind(id.0)
        .bind(self.scope().tenant.0)
        .bind(begun.connection.0)
        .bind(begun.credential.0)
        .bind(begun.settings)
        .bind(begun.user.0)
        .bind(begun.session.0)
        .bind(begun.state_hash)
        .bind(begun.browser_hash)
        .bind(begun.expires_at)
        .bind(BEGUN_MAX)
        .execute(&mut *tx)
        .await?;
        if begin.rows_affected() == 0 {
            return Ok(Begin::TooMany);
        }
        audit(&mut tx, self.scope(), Action::ConsentBegun, "connection", &[begun.connection.0]).await?;
        tx.commit().await?;
        Ok(Begin::Done)
    }

    /// Writes down the call that traded a consent's code, whatever came of it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn consent_exchanged(&self, connection: ConnectionId, call: ToldCall) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        audit_calls(&mut tx, self.scope(), Action::ConsentExchanged, "connection", connection.0, &[call]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Keeps what a consent brought: the token with a new version of the credential, the settings, and that it ended so. False where the credential or
    /// the settings were changed since it was asked for: then nothing is kept.
    ///
    /// # Errors
    /// Where the database does not answer or the system has no randomness: then nothing is kept.
    pub async fn consent_given(&self, vault: &Vault, taken: &Taken, brought: &Brought<'_>) -> Result<bool, StoreError> {
        let (scope, mut tx) = (self.scope(), self.begin().await?);
        if lock(&mut tx, taken.connection).await?.is_none_or(|settings| settings != taken.settings) {
            return Ok(false);
        }
        let retire = sqlx::query(
            "UPDATE credentials SET state = 'retired' WHERE tenant_id = $1 AND connection_id = $2 AND id = $3 AND state = 'active'
             RETURNING version, ends_kind, ends_at",
        );
        let retired =
            retire.bind(scope.tenant.0).bind(taken.connection.0).bind(taken.credential.0).fetch_optional(&mut *tx).await?;
        let Some(retired) = retired else { return Ok(false) };
        let kind = retired.try_get::<Option<&str>, _>("ends_kind")?.and_then(Upkeep::parse);
        let ends = kind.zip(retired.try_get("ends_at")?).map(|(what, at)| Ends { what, at });
        let (version, anew): (i32, _) = (retired.try_get("version")?, NewCredential { fields: brought.credential, ends });
        let credential = credential_store(&mut tx, scope, vault, taken.connection, version + 1, &anew).await?;
        // Its own hook secret is what it was: what is known of that stays known.
        let follow = "UPDATE hook_secrets SET credential_id = $2 WHERE tenant_id = $3 AND credential_id = $1";
        sqlx::query(follow).bind(taken.credential.0).bind(credential.0).bind(scope.tenant.0).execute(&mut *tx).await?;
        grant_store(&mut tx, self, vault, credential, brought.token).await?;
        sqlx::query("UPDATE connections SET settings = $2 WHERE id = $1 AND settings <> $2")
            .bind(taken.connection.0)
            .bind(brought.settings)
            .execute(&mut *tx)
            .await?;
        end(&mut tx, taken.id, brought.end, "").await?;
        let detail = serde_json::json!({
            "outcome": brought.end.as_str(), "credential": credential, "scope": plain(brought.token, "scope").map(bounded),
        });
        audit_each(&mut tx, scope, Action::ConsentGiven, "connection", &[taken.connection.0], &[Some(&detail.to_string())])
            .await?;
        breaker::try_now(&mut tx, taken.connection).await?;
        // Whether it answers, and what was not allowed, is told at once.
        upkeep::probe_now(&mut tx, scope, taken.connection).await?;
        if brought.end == ConsentEnd::Given {
            // Nothing is missing any more, and the next probe need not say so first.
            upkeep::close(&mut tx, scope, taken.connection, Upkeep::Scopes).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// Writes down that a consent came to nothing, and why. What was connected before stays connected.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn consent_refused(&self, taken: &Taken, how: ConsentEnd, said: &str) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        end(&mut tx, taken.id, how, said).await?;
        let detail = serde_json::json!({"reason": how.as_str(), "said": said}).to_string();
        audit_each(&mut tx, self.scope(), Action::ConsentRefused, "connection", &[taken.connection.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// How the consent of a connection stands.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn consent(&self, connection: ConnectionId) -> Result<Consent, StoreError> {
        let (tenant, mut tx) = (self.scope().tenant.0, self.begin().await?);
        let token = sqlx::query(
            "SELECT t.sealed IS NOT NULL AS is_given, t.granted_at, t.scope, t.expires_at, t.ends_at
             FROM credentials c JOIN tokens t ON t.tenant_id = c.tenant_id AND t.credential_id = c.id
             WHERE c.tenant_id = $1 AND c.connection_id = $2 AND c.state = 'active'",
        );
        let token = token.bind(tenant).bind(connection.0).fetch_optional(&mut *tx).await?;
        // Leans on connection_consents_of.
        let last = sqlx::query(
            "SELECT begun_at, user_id, ended_at, outcome, said FROM connection_consents
             WHERE tenant_id = $1 AND connection_id = $2 ORDER BY begun_at DESC LIMIT 1",
        );
        let last = last.bind(tenant).bind(connection.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        let mut consent = Consent::default();
        if let Some(row) = token {
            consent.is_given = row.try_get("is_given")?;
            consent.given_at = row.try_get("granted_at")?;
            consent.scope = row.try_get("scope")?;
            consent.expires_at = row.try_get("expires_at")?;
            consent.ends_at = row.try_get("ends_at")?;
        }
        if let Some(row) = last {
            consent.last = Some(LastConsent {
                begun_at: row.try_get("begun_at")?,
                begun_by: UserId(row.try_get("user_id")?),
                ended_at: row.try_get("ended_at")?,
                end: row.try_get::<Option<&str>, _>("outcome")?.and_then(ConsentEnd::parse),
                said: row.try_get::<Option<String>, _>("said")?.unwrap_or_default(),
            });
        }
        Ok(consent)
    }
}

async fn end(tx: &mut Transaction<'static, Postgres>, id: ConsentId, how: ConsentEnd, said: &str) -> Result<(), StoreError> {
    let end = "UPDATE connection_consents SET ended_at = now(), outcome = $2, said = $3 WHERE id = $1 AND ended_at IS NULL";
    sqlx::query(end).bind(id.0).bind(how.as_str()).bind(said).execute(&mut **tx).await?;
    Ok(())
}

/// The first token of a credential, as a person gave it.
async fn grant_store(
    tx: &mut Transaction<'static, Postgres>,
    store: &TenantStore<'_>,
    vault: &Vault,
    credential: CredentialId,
    fields: &SecretFields,
) -> Result<(), StoreError> {
    let tenant = store.scope().tenant;
    let (data_key, data_key_version) = data_key(tx, vault, tenant).await?;
    let sealed = data_key.seal(tenant, Sealed::Token(credential), fields)?;
    sqlx::query(
        "INSERT INTO tokens (credential_id, tenant_id, version, data_key_version, sealed, renewed_at, granted_at, expires_at, ends_at, scope)
         VALUES ($1, $2, 1, $3, $4, now(), now(), $5, CASE WHEN $6 THEN $7 ELSE $5 END, $8)",
    )
    .bind(credential.0)
    .bind(tenant.0)
    .bind(data_key_version)
    .bind(sealed)
    .bind(plain(fields, "expires_at").and_then(time))
    .bind(fields.get("refresh_token").is_some())
    .bind(plain(fields, "refresh_expires_at").and_then(time))
    .bind(plain(fields, "scope").map(bounded))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What was granted to a client goes on with its new secret. False where the vendor is asked for a new token at this moment: what it gives may be the
/// only one that is any good, and would be kept with the old credential.
pub(super) async fn grant_follow(
    tx: &mut Transaction<'static, Postgres>,
    store: &TenantStore<'_>,
    vault: &Vault,
    before: CredentialId,
    after: CredentialId,
) -> Result<bool, StoreError> {
    let tenant = store.scope().tenant;
    let row = sqlx::query(
        "SELECT t.sealed, t.data_key_version, k.master_key_id, k.wrapped, coalesce(t.renewing_until > now(), false) AS is_renewed
         FROM tokens t JOIN data_keys k ON k.tenant_id = t.tenant_id AND k.version = t.data_key_version
         WHERE t.tenant_id = $1 AND t.credential_id = $2 FOR UPDATE OF t",
    );
    let Some(row) = row.bind(tenant.0).bind(before.0).fetch_optional(&mut **tx).await? else { return Ok(true) };
    if row.try_get("is_renewed")? {
        return Ok(false);
    }
    let fields = opened(&row, vault, tenant, Sealed::Token(before))?;
    let (data_key, data_key_version) = data_key(tx, vault, tenant).await?;
    let sealed = data_key.seal(tenant, Sealed::Token(after), &fields)?;
    sqlx::query(
        "INSERT INTO tokens (credential_id, tenant_id, version, data_key_version, sealed, renewed_at, granted_at, expires_at, ends_at, scope)
         SELECT $3, tenant_id, 1, $4, $5, renewed_at, granted_at, expires_at, ends_at, scope FROM tokens WHERE tenant_id = $1 AND credential_id = $2",
    )
    .bind(tenant.0)
    .bind(before.0)
    .bind(after.0)
    .bind(data_key_version)
    .bind(sealed)
    .execute(&mut **tx)
    .await?;
    // Whoever still works with the old credential renews nothing any more: of two who refresh one grant, the second ends it at some vendors.
    let stop = "UPDATE tokens SET renewing_until = 'infinity' WHERE tenant_id = $1 AND credential_id = $2";
    sqlx::query(stop).bind(tenant.0).bind(before.0).execute(&mut **tx).await?;
    Ok(true)
}
