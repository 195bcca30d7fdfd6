//! Tokens: what vendors give for credentials. One worker asks for a new one at a time, whichever process it is in; nobody holds a
//! transaction open while the vendor is asked, and an old token never takes a newer one's place.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::call_payload::ToldCall;
use domain::id::CredentialId;
use domain::secret::{ExposeSecret, SecretFields};
use sqlx::Row;

use super::call_payload::audit_calls;
use super::configure::data_key;
use super::{StoreError, TenantStore, opened};
use crate::vault::{Sealed, Vault};

/// A credential's token as it is stored.
#[derive(Debug, Clone, Default)]
pub struct TokenRow {
    /// Grows with every token; 0 where none ever came.
    pub version: i32,
    pub fields: Option<SecretFields>,
    /// Somebody began to ask for the next one, and let his lease run out: he died, or the database was away for as long.
    pub has_run_out: bool,
}

impl TenantStore<'_> {
    /// The stored token of a credential.
    ///
    /// # Errors
    /// Where the database does not answer, or the token does not open.
    pub async fn token_find(&self, vault: &Vault, credential: CredentialId) -> Result<TokenRow, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT t.version, t.sealed, t.data_key_version, k.master_key_id, k.wrapped, coalesce(t.renewing_until < now(), false) AS has_run_out
             FROM tokens t LEFT JOIN data_keys k ON k.tenant_id = t.tenant_id AND k.version = t.data_key_version
             WHERE t.tenant_id = $1 AND t.credential_id = $2",
        )
        .bind(tenant.0)
        .bind(credential.0)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(TokenRow::default()) };
        let version = row.try_get("version")?;
        let is_there = row.try_get::<Option<&[u8]>, _>("sealed")?.is_some();
        let fields = if is_there { Some(opened(&row, vault, tenant, Sealed::Token(credential))?) } else { None };
        Ok(TokenRow { version, fields, has_run_out: row.try_get("has_run_out")? })
    }

    /// True where the caller is now the one who asks for the token after `seen`, for `lease_s`; false where somebody else does, or has.
    /// `takes_over`: also from one whose lease has run out, because he is taken to have died.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn token_begin_renewal(
        &self,
        credential: CredentialId,
        seen: i32,
        lease_s: f64,
        takes_over: bool,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query("INSERT INTO tokens (credential_id, tenant_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(credential.0)
            .bind(self.scope().tenant.0)
            .execute(&mut *tx)
            .await?;
        let ours = sqlx::query(
            "UPDATE tokens SET renewing_until = now() + make_interval(secs => $3)
             WHERE credential_id = $1 AND version = $2 AND (renewing_until IS NULL OR ($4 AND renewing_until < now()))",
        )
        .bind(credential.0)
        .bind(seen)
        .bind(lease_s)
        .bind(takes_over)
        .execute(&mut *tx)
        .await?
        .rows_affected();
        tx.commit().await?;
        Ok(ours == 1)
    }

    /// Holds a renewal that the vendor has answered until its token is kept: `lease_s` begins anew. Nothing happens where a newer token is there.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn token_hold_renewal(&self, credential: CredentialId, seen: i32, lease_s: f64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE tokens SET renewing_until = now() + make_interval(secs => $3) WHERE credential_id = $1 AND version = $2",
        )
        .bind(credential.0)
        .bind(seen)
        .bind(lease_s)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Keeps the token that took the place of `seen`; returns its version, or `None` where a newer one is there already. `call` tells of the call that
    /// brought it, for the audit.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn token_keep(
        &self,
        vault: &Vault,
        credential: CredentialId,
        seen: i32,
        fields: &SecretFields,
        call: &ToldCall,
    ) -> Result<Option<i32>, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        let (data_key, data_key_version) = data_key(&mut tx, vault, scope.tenant).await?;
        let sealed = data_key.seal(scope.tenant, Sealed::Token(credential), fields)?;
        let version: Option<i32> = sqlx::query_scalar(
            "UPDATE tokens SET version = version + 1, data_key_version = $3, sealed = $4, renewing_until = NULL, renewed_at = now(),
                 expires_at = $5, scope = $6, ends_at = CASE WHEN $7 THEN $8 WHEN granted_at IS NOT NULL THEN $5 END
             WHERE credential_id = $1 AND version = $2 RETURNING version",
        )
        .bind(credential.0)
        .bind(seen)
        .bind(data_key_version)
        .bind(sealed)
        .bind(plain(fields, "expires_at").and_then(time))
        .bind(plain(fields, "scope").map(bounded))
        .bind(fields.get("refresh_token").is_some())
        .bind(plain(fields, "refresh_expires_at").and_then(time))
        .fetch_optional(&mut *tx)
        .await?;
        if version.is_some() {
            audit_calls(&mut tx, scope, Action::TokenRenewed, "credential", credential.0, std::slice::from_ref(call)).await?;
        }
        tx.commit().await?;
        Ok(version)
    }

    /// Lets go of a renewal that brought nothing. What was stored stays: a grant is never deleted because of a failure that may pass.
    ///
    /// # Errors
    /// Where the database does not answer; then the lease ends it.
    pub async fn token_renewal_failed(&self, credential: CredentialId, seen: i32, call: ToldCall) -> Result<(), StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE tokens SET renewing_until = NULL WHERE credential_id = $1 AND version = $2")
            .bind(credential.0)
            .bind(seen)
            .execute(&mut *tx)
            .await?;
        audit_calls(&mut tx, scope, Action::TokenRefused, "credential", credential.0, &[call]).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// A field of a token that is no secret, and is shown without opening the others.
pub(super) fn plain<'f>(fields: &'f SecretFields, name: &str) -> Option<&'f str> {
    fields.get(name).map(ExposeSecret::expose_secret)
}

/// As tokens say when they end.
pub(super) fn time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.to_utc())
}

/// What was granted, as far as it is kept: no vendor grants more than a few hundred scopes.
pub(super) fn bounded(scope: &str) -> String {
    const SCOPE_CHARS_MAX: usize = 16_000;
    scope.chars().take(SCOPE_CHARS_MAX).collect()
}
