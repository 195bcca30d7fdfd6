//! What a no-loss certificate is made of: each message of a time or of a record, with what became of it, from one snapshot.

use std::collections::HashMap;

use chrono::Utc;
use domain::audit::Action;
use domain::certificate::{Certificate, LEAVES_MAX, Leaf, LeafDelivery, Of, Statement};
use domain::delivery::DeliveryState;
use domain::id::{ConnectionId, DeliveryId, ExceptionId, MessageId, RecordId};
use domain::message::MessageState;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::configure::data_key;
use super::receive::audit_each;
use super::{StoreError, TenantStore, opened};
use crate::certificate::CertificateKey;
use crate::vault::{Sealed, Vault};

impl TenantStore<'_> {
    /// A signed certificate; `None` where it would be about more messages than one is.
    ///
    /// # Errors
    /// Where the database does not answer, or the key does not open.
    pub async fn certificate_make(&self, vault: &Vault, of: Of) -> Result<Option<Certificate>, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let key = key(&mut tx, vault, self).await?;
        // Two statements about the same moment.
        let Some(mut leaves) = leaves(&mut tx, self, of).await? else { return Ok(None) };
        let statement = Statement::of(tenant, of, &mut leaves, Utc::now());
        let detail = serde_json::json!({"of": of, "messages": statement.messages, "root": statement.root}).to_string();
        audit_each(&mut tx, self.scope(), Action::CertificateMade, "tenant", &[tenant.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Some(key.sign(statement, leaves)))
    }

    /// The public half of the key that signs this tenant's certificates; made where there is none yet.
    ///
    /// # Errors
    /// As those of [`Self::certificate_make`].
    pub async fn certificate_key(&self, vault: &Vault) -> Result<Vec<u8>, StoreError> {
        let mut tx = self.begin().await?;
        let key = key(&mut tx, vault, self).await?;
        tx.commit().await?;
        Ok(key.public().to_vec())
    }
}

/// The key that signs what this tenant is given to keep; made where there is none yet.
pub(super) async fn key(
    tx: &mut Transaction<'static, Postgres>,
    vault: &Vault,
    store: &TenantStore<'_>,
) -> Result<CertificateKey, StoreError> {
    let tenant = store.scope().tenant;
    for _ in 0..2 {
        let row = sqlx::query(
            "SELECT c.sealed, c.data_key_version, k.master_key_id, k.wrapped FROM certificate_keys c
             JOIN data_keys k ON k.tenant_id = c.tenant_id AND k.version = c.data_key_version WHERE c.tenant_id = $1",
        );
        if let Some(row) = row.bind(tenant.0).fetch_optional(&mut **tx).await? {
            let fields = opened(&row, vault, tenant, Sealed::CertificateKey)?;
            return CertificateKey::open(&fields).ok_or_else(|| StoreError::Corrupt {
                what: "the certificate key",
                id: tenant.to_string(),
                why: "it is no Ed25519 key".to_owned(),
            });
        }
        let (data_key, version) = data_key(tx, vault, tenant).await?;
        let (key, fields) = CertificateKey::generate()?;
        let sealed = data_key.seal(tenant, Sealed::CertificateKey, &fields)?;
        // Two at once: the first stands, and the second reads it.
        sqlx::query(
            "INSERT INTO certificate_keys (tenant_id, public_key, data_key_version, sealed) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(tenant.0)
        .bind(key.public())
        .bind(version)
        .bind(sealed)
        .execute(&mut **tx)
        .await?;
    }
    Err(StoreError::Corrupt {
        what: "the certificate key",
        id: tenant.to_string(),
        why: "it was made and is not there".to_owned(),
    })
}

/// The messages of a tenant for which a condition is true, with what became of each.
macro_rules! became {
    ($which:literal) => {
        concat!(
            "WITH m AS MATERIALIZED (
                 SELECT m.id, m.received_at, m.state, m.record_id, m.source_id FROM messages m WHERE m.tenant_id = $1 AND ",
            $which,
            " ORDER BY m.id LIMIT $2
             )
             SELECT m.*, d.id AS delivery_id, d.connection_id, d.state AS delivery_state, d.receipt_id,
                    ARRAY(SELECT e.id FROM exceptions e WHERE e.message_id = m.id AND e.state = 'open') AS message_exceptions,
                    ARRAY(SELECT e.id FROM exceptions e WHERE e.delivery_id = d.id AND e.state = 'open') AS delivery_exceptions
             FROM m
             LEFT JOIN record_revisions v ON v.record_id = m.record_id AND v.message_id = m.id
             LEFT JOIN deliveries d ON d.record_id = v.record_id AND d.revision_id = v.id
             ORDER BY m.id, d.id"
        )
    };
}

async fn leaves(
    tx: &mut Transaction<'static, Postgres>,
    store: &TenantStore<'_>,
    of: Of,
) -> Result<Option<Vec<Leaf>>, StoreError> {
    let query = match of {
        // Leans on messages_list.
        Of::Period { .. } => sqlx::query(became!("m.id >= uuid7_floor($3) AND m.id < uuid7_floor($4)")),
        // Those that changed it. Leans on record_revisions_record.
        Of::Record(_) => sqlx::query(became!("m.id IN (SELECT v.message_id FROM record_revisions v WHERE v.record_id = $3)")),
    };
    let query = query.bind(store.scope().tenant.0).bind(i64::try_from(LEAVES_MAX).unwrap_or(i64::MAX) + 1);
    let query = match of {
        Of::Period { from, until } => query.bind(from).bind(until),
        Of::Record(record) => query.bind(record.0),
    };
    let rows = query.fetch_all(&mut **tx).await?;
    let (mut leaves, mut at): (Vec<Leaf>, HashMap<Uuid, usize>) = (Vec::new(), HashMap::new());
    for row in rows {
        let id: Uuid = row.try_get("id")?;
        let place = match at.get(&id) {
            Some(place) => *place,
            None => {
                if leaves.len() == LEAVES_MAX {
                    return Ok(None);
                }
                leaves.push(leaf(&row)?);
                at.insert(id, leaves.len() - 1);
                leaves.len() - 1
            }
        };
        if let Some(delivery) = delivery(&row)? {
            leaves[place].deliveries.push(delivery);
        }
    }
    Ok(Some(leaves))
}

fn leaf(row: &PgRow) -> Result<Leaf, StoreError> {
    let id = MessageId(row.try_get("id")?);
    let state: &str = row.try_get("state")?;
    let state = MessageState::ALL.into_iter().find(|known| known.as_str() == state);
    let corrupt = || StoreError::Corrupt { what: "the state", id: id.to_string(), why: "unknown word".to_owned() };
    Ok(Leaf {
        message: id,
        received_at: row.try_get("received_at")?,
        state: state.ok_or_else(corrupt)?,
        record: row.try_get::<Option<Uuid>, _>("record_id")?.map(RecordId),
        source_id: row.try_get("source_id")?,
        exceptions: row.try_get::<Vec<Uuid>, _>("message_exceptions")?.into_iter().map(ExceptionId).collect(),
        deliveries: vec![],
    })
}

fn delivery(row: &PgRow) -> Result<Option<LeafDelivery>, StoreError> {
    let Some(id) = row.try_get::<Option<Uuid>, _>("delivery_id")?.map(DeliveryId) else { return Ok(None) };
    let corrupt = || StoreError::Corrupt { what: "the state", id: id.to_string(), why: "unknown word".to_owned() };
    Ok(Some(LeafDelivery {
        delivery: id,
        destination: ConnectionId(row.try_get("connection_id")?),
        state: DeliveryState::parse(row.try_get("delivery_state")?).ok_or_else(corrupt)?,
        destination_id: row.try_get("receipt_id")?,
        exceptions: row.try_get::<Vec<Uuid>, _>("delivery_exceptions")?.into_iter().map(ExceptionId).collect(),
    }))
}
