//! Details of the audit log that tell a record's own values, stored encrypted by a key of that record. The log, its seals and its exports hold the encrypted
//! text; whoever may read the log is shown what it says, as long as the key is there. Erasing destroys the key and touches nothing that is sealed.

use std::collections::HashMap;

use domain::audit::{Action, SealedDetail};
use domain::id::{RecordId, TenantId};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::configure::data_key;
use super::receive::audit_each;
use super::{StoreError, TenantStore, opened};
use crate::vault::{DetailKey, Sealed, Vault};

/// What is shown in the place of what was erased.
const ERASED: &str = r#"{"erased":true}"#;

const KEYS: &str = "SELECT d.record_id, d.sealed, d.data_key_version, k.master_key_id, k.wrapped
     FROM audit_detail_keys d JOIN data_keys k ON k.tenant_id = d.tenant_id AND k.version = d.data_key_version
     WHERE d.tenant_id = $1 AND d.record_id = ANY($2)";

impl TenantStore<'_> {
    /// Details as people read them: what is stored encrypted is opened, and what was erased says so. In the same order.
    ///
    /// # Errors
    /// Where the database does not answer, or a key does not open.
    pub async fn audit_details(&self, vault: &Vault, details: Vec<Option<String>>) -> Result<Vec<Option<String>>, StoreError> {
        let sealed: Vec<Option<SealedDetail>> = details.iter().map(|detail| SealedDetail::read(detail.as_deref()?)).collect();
        let records: Vec<Uuid> = sealed.iter().flatten().map(|detail| detail.of.0).collect();
        if records.is_empty() {
            return Ok(details);
        }
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let rows = sqlx::query(KEYS).bind(tenant.0).bind(records).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let mut keys = HashMap::new();
        for row in &rows {
            let record = RecordId(row.try_get("record_id")?);
            keys.insert(record, key(row, vault, tenant, record)?);
        }
        let read = |(detail, sealed): (Option<String>, Option<SealedDetail>)| match sealed {
            None => detail,
            Some(sealed) => {
                let opened = keys.get(&sealed.of).and_then(|key| key.open(tenant, sealed.of, &sealed.sealed));
                Some(opened.unwrap_or_else(|| ERASED.to_owned()))
            }
        };
        Ok(details.into_iter().zip(sealed).map(read).collect())
    }

    /// Destroys the key of what the audit log tells of a record's values; false where it tells none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn record_details_erase(&self, record: RecordId, reason: &str) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let erase = sqlx::query("DELETE FROM audit_detail_keys WHERE tenant_id = $1 AND record_id = $2");
        if erase.bind(self.scope().tenant.0).bind(record.0).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = serde_json::json!({"reason": reason}).to_string();
        audit_each(&mut tx, self.scope(), Action::RecordDetailsErased, "record", &[record.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// The detail of an act on a record as it is stored: encrypted by the record's key, which is made where there is none.
pub(super) async fn detail_sealed(
    tx: &mut Transaction<'static, Postgres>,
    vault: &Vault,
    tenant: TenantId,
    record: RecordId,
    detail: &str,
) -> Result<String, StoreError> {
    let (fresh, fields) = DetailKey::generate()?;
    let (data_key, version) = data_key(tx, vault, tenant).await?;
    // Two edits at once: the first key stands, and the second reads it.
    let insert = sqlx::query(
        "INSERT INTO audit_detail_keys (tenant_id, record_id, data_key_version, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    );
    let insert =
        insert.bind(tenant.0).bind(record.0).bind(version).bind(data_key.seal(tenant, Sealed::DetailKey(record), &fields)?);
    let key = if insert.execute(&mut **tx).await?.rows_affected() == 1 {
        fresh
    } else {
        let row = sqlx::query(KEYS).bind(tenant.0).bind(vec![record.0]).fetch_one(&mut **tx).await?;
        key(&row, vault, tenant, record)?
    };
    Ok(SealedDetail { of: record, sealed: key.seal(tenant, record, detail)? }.to_json())
}

fn key(row: &PgRow, vault: &Vault, tenant: TenantId, record: RecordId) -> Result<DetailKey, StoreError> {
    Ok(DetailKey::of(&opened(row, vault, tenant, Sealed::DetailKey(record))?, record)?)
}
