//! Records that belong together: the order or purchase order that a shipment, an invoice, a return or a payment refers to, and what refers to it. A
//! reference by id counts where the same connection knows the order by that id; one by number only where the tenant has a single order of that
//! number, because two shops may both have a #1042. A number is an order's before it is a purchase order's.

use std::collections::HashSet;

use domain::id::ConnectionId;
use domain::record::RecordKind;
use domain::search_key::{self, KeyKind, SearchKey, normalised};
use domain::value::{Limits, Value};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::entity::record;
use super::search::record_model;
use super::{StoreError, TenantStore};

/// Records that are told as belonging to one.
pub const RELATED_MAX: i64 = 200;

/// A record that belongs to another one.
#[derive(Debug, Clone)]
pub struct Related {
    /// True of the order that the record in question refers to; false of what refers to that order.
    pub is_referred_to: bool,
    pub record: record::Model,
}

impl TenantStore<'_> {
    /// What this record refers to, and what refers to it; the newest [`RELATED_MAX`]. Empty where there is no such record.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn related(&self, record: Uuid) -> Result<Vec<Related>, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT r.kind, r.connection_id, r.number, CASE WHEN r.kind NOT IN ('order', 'purchase_order') THEN (SELECT v.document FROM record_revisions v
                        WHERE v.tenant_id = r.tenant_id AND v.id = r.revision_id) END AS document
             FROM records r WHERE r.id = $1",
        );
        let Some(row) = row.bind(record).fetch_optional(&mut *tx).await? else { return Ok(vec![]) };
        let kind = RecordKind::parse(row.try_get("kind")?);
        let connection = ConnectionId(row.try_get("connection_id")?);
        let number: Option<String> = row.try_get("number")?;
        let document: Option<String> = row.try_get("document")?;
        let mut ids: Vec<(Uuid, bool)> = match (kind, document) {
            (Some(RecordKind::Order | RecordKind::PurchaseOrder), _) => {
                referring(&mut tx, tenant, record, number.as_deref()).await?
            }
            (Some(kind), Some(document)) => {
                let document = Value::parse(document.as_bytes(), &Limits::DEFAULT).unwrap_or(Value::Null);
                let order = order_of(&mut tx, tenant, connection, &search_key::of(kind, &document)).await?;
                order.into_iter().map(|order| (order, true)).collect()
            }
            _ => vec![],
        };
        ids.retain(|(id, _)| *id != record);
        let found: Vec<Uuid> = ids.iter().map(|(id, _)| *id).collect();
        let rows = sqlx::query("SELECT * FROM records WHERE id = ANY($1) ORDER BY id DESC");
        let rows = rows.bind(found).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| {
                let record = record_model(row)?;
                let is_referred_to = ids.iter().any(|(id, is_referred_to)| *id == record.id && *is_referred_to);
                Ok(Related { is_referred_to, record })
            })
            .collect()
    }
}

/// The order that a record with these keys refers to, where that is one for certain.
pub(super) async fn order_of(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
    connection: ConnectionId,
    keys: &[SearchKey],
) -> Result<Option<Uuid>, StoreError> {
    let of = |kind| keys.iter().filter(|key| key.kind == kind).map(|key| key.text.clone()).collect::<Vec<_>>();
    let (ids, numbers) = (of(KeyKind::OrderId), of(KeyKind::OrderNumber));
    if ids.is_empty() && numbers.is_empty() {
        return Ok(None);
    }
    // Leans on the primary keys of both.
    let order = sqlx::query_scalar(
        "SELECT record_id FROM external_ids WHERE connection_id = $1 AND kind IN ('order', 'purchase_order') AND value = ANY($2)
         ORDER BY kind LIMIT 1",
    );
    if let Some(order) = order.bind(connection.0).bind(&ids).fetch_optional(&mut **tx).await? {
        return Ok(Some(order));
    }
    let mut orders: Vec<Uuid> = Vec::new();
    for number in numbers {
        orders.extend(orders_numbered(tx, tenant, &number).await?);
    }
    orders.sort_unstable();
    orders.dedup();
    Ok(if let [order] = orders[..] { Some(order) } else { None })
}

/// What an order is known as where references to it come from.
pub(super) struct KnownAs {
    number: Option<String>,
    ids: HashSet<(Uuid, String)>,
}

impl KnownAs {
    pub(super) async fn load(
        tx: &mut Transaction<'static, Postgres>,
        order: Uuid,
        number: Option<&str>,
    ) -> Result<Self, StoreError> {
        // Leans on external_ids_record.
        let ids = sqlx::query_as(
            "SELECT connection_id, value FROM external_ids WHERE record_id = $1 AND kind IN ('order', 'purchase_order') LIMIT 100",
        );
        let ids: Vec<(Uuid, String)> = ids.bind(order).fetch_all(&mut **tx).await?;
        let number = number.and_then(|number| normalised(KeyKind::OrderNumber, number));
        Ok(Self { number, ids: ids.into_iter().collect() })
    }

    /// True where a document with these keys refers to the order now: its keys of before are kept, and may have named another one.
    pub(super) fn is_meant_by(&self, connection: ConnectionId, keys: &[SearchKey]) -> bool {
        keys.iter().any(|key| match key.kind {
            KeyKind::OrderId => self.ids.contains(&(connection.0, key.text.clone())),
            KeyKind::OrderNumber => self.number.as_ref() == Some(&key.text),
            _ => false,
        })
    }
}

/// Orders of this number, or purchase orders where no order has it; at most two: more than one is no answer.
async fn orders_numbered(tx: &mut Transaction<'static, Postgres>, tenant: Uuid, number: &str) -> Result<Vec<Uuid>, StoreError> {
    let orders = sqlx::query_scalar(
        "WITH o AS (
             SELECT r.id, r.kind FROM (
                 SELECT record_id FROM search_keys WHERE tenant_id = $1 AND kind = $2 AND value = $3 COLLATE \"C\" ORDER BY record_id DESC LIMIT 50
             ) k JOIN records r ON r.id = k.record_id WHERE r.kind IN ('order', 'purchase_order')
         )
         SELECT id FROM o WHERE kind = (SELECT min(kind) FROM o) LIMIT 2",
    );
    Ok(orders.bind(tenant).bind(KeyKind::Number.as_str()).bind(number).fetch_all(&mut **tx).await?)
}

/// What refers to an order, newest first.
pub(super) async fn referring(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
    order: Uuid,
    number: Option<&str>,
) -> Result<Vec<(Uuid, bool)>, StoreError> {
    let number = number.and_then(|number| normalised(KeyKind::OrderNumber, number));
    let number = match number {
        // One that another order has is not this one's alone; one that an order has is not a purchase order's.
        Some(number) if orders_numbered(tx, tenant, &number).await? == [order] => Some(number),
        _ => None,
    };
    // Leans on external_ids_record and the primary key of search_keys.
    let rows: Vec<Uuid> = sqlx::query_scalar(
        "SELECT k.record_id FROM (SELECT connection_id, value FROM external_ids
               WHERE record_id = $2 AND kind IN ('order', 'purchase_order') LIMIT 100) e
         CROSS JOIN LATERAL (
             SELECT s.record_id FROM search_keys s WHERE s.tenant_id = $1 AND s.kind = $3 AND s.value = e.value COLLATE \"C\"
             ORDER BY s.record_id DESC LIMIT $6) k
         JOIN records r ON r.id = k.record_id AND r.connection_id = e.connection_id
         UNION
         (SELECT s.record_id FROM search_keys s WHERE s.tenant_id = $1 AND s.kind = $4 AND s.value = $5 COLLATE \"C\"
          ORDER BY s.record_id DESC LIMIT $6)
         ORDER BY 1 DESC LIMIT $6",
    )
    .bind(tenant)
    .bind(order)
    .bind(KeyKind::OrderId.as_str())
    .bind(KeyKind::OrderNumber.as_str())
    .bind(number)
    .bind(RELATED_MAX)
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|id| (id, false)).collect())
}
