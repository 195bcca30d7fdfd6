//! The stock of a tenant: what it is made of, what is kept back, and its items. Whoever reads, adds up or changes it locks the tenant's stock, so
//! that of two sums the later one is of the later moment.

mod load;
mod read;
mod sum;

pub use load::{ItemState, Told};

use domain::audit::Action;
use domain::id::{ConnectionId, TenantId};
use domain::inventory::{CHECK, InventoryPolicy};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::{audit, audit_each};
use super::{Store, StoreError, TenantStore};

/// Records that are read anew when a policy is set: all levels, and orders and shipments of the last days.
const AGAIN_DAYS: i32 = 90;
const AGAIN_MAX: i64 = 500_000;
/// The connector of the connections that say what a seller may offer.
pub const STOCK_CONNECTOR: &str = "stock";

/// What became of a policy that was to be set.
#[derive(Debug)]
pub enum PolicySet {
    Done(InventoryPolicy),
    /// There are no such connections.
    Unknown(Vec<ConnectionId>),
}

/// What is kept back of an item; `quantity` `None` goes back to what the policy says.
#[derive(Debug, Clone)]
pub struct Keep {
    pub sku: String,
    pub seller: Option<ConnectionId>,
    pub quantity: Option<rust_decimal::Decimal>,
}

/// A tenant's stock, with nobody else at work on it until this ends.
pub struct Stock<'a> {
    tx: Transaction<'static, Postgres>,
    store: TenantStore<'a>,
    policy: InventoryPolicy,
}

impl Store {
    /// Tenants whose stock has something to be read or added up.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn stock_tenants(&self) -> Result<Vec<TenantId>, StoreError> {
        let tenants = sqlx::query_scalar("SELECT tenant_id FROM inventory_tenants()").fetch_all(self.pool()).await?;
        Ok(tenants.into_iter().map(TenantId).collect())
    }
}

impl<'a> TenantStore<'a> {
    /// Takes the tenant's stock in hand; `None` where another worker has it, or where the tenant has none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn stock(&self) -> Result<Option<Stock<'a>>, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let is_free: bool =
            sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(hashtextextended('crossdock.stock.' || $1::text, 0))")
                .bind(tenant.0)
                .fetch_one(&mut *tx)
                .await?;
        if !is_free {
            return Ok(None);
        }
        Ok(policy(&mut tx, tenant).await?.map(|policy| Stock { tx, store: *self, policy }))
    }

    /// The tenant's policy; `None` where nothing is added up.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn inventory_policy(&self) -> Result<Option<InventoryPolicy>, StoreError> {
        let mut tx = self.begin().await?;
        let policy = policy(&mut tx, self.scope().tenant).await?;
        tx.commit().await?;
        Ok(policy)
    }

    /// Sets what is the stock and who sells it, and adds everything up anew. A seller that is new gets a connection whose records say what it may
    /// offer; `hook_token` makes the token that every connection has.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn inventory_policy_set(
        &self,
        mut policy: InventoryPolicy,
        hook_token: impl Fn() -> String,
    ) -> Result<PolicySet, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        lock(&mut tx, scope.tenant).await?;
        let named: Vec<Uuid> =
            policy.stock.iter().map(|stock| stock.connection.0).chain(policy.sellers.iter().map(|s| s.connection.0)).collect();
        let rows = sqlx::query("SELECT id, name FROM connections WHERE id = ANY($1) AND connector <> $2");
        let rows = rows.bind(&named).bind(STOCK_CONNECTOR).fetch_all(&mut *tx).await?;
        let names: Vec<(Uuid, String)> =
            rows.iter().map(|row| Ok((row.try_get("id")?, row.try_get("name")?))).collect::<Result<_, sqlx::Error>>()?;
        let unknown: Vec<ConnectionId> =
            named.iter().filter(|id| !names.iter().any(|(known, _)| known == *id)).map(|id| ConnectionId(*id)).collect();
        if !unknown.is_empty() {
            return Ok(PolicySet::Unknown(unknown));
        }
        let before = self::policy(&mut tx, scope.tenant).await?;
        for seller in &mut policy.sellers {
            let known = before.iter().flat_map(|policy| &policy.sellers).find(|known| known.connection == seller.connection);
            seller.through = known.and_then(|known| known.through);
            if seller.through.is_none() {
                let name = names.iter().find(|(id, _)| *id == seller.connection.0).map_or("", |(_, name)| name);
                seller.through = Some(self.stock_connection(&mut tx, name, seller.connection, &hook_token()).await?);
            }
        }
        sqlx::query(
            "INSERT INTO inventory_policies (tenant_id, policy) VALUES ($1, $2)
             ON CONFLICT (tenant_id) DO UPDATE SET policy = excluded.policy, changed_at = now()",
        )
        .bind(scope.tenant.0)
        .bind(serde_json::to_value(&policy).expect("a policy is plain data"))
        .execute(&mut *tx)
        .await?;
        // Leans on records_list, by the time within the ids.
        sqlx::query(
            "INSERT INTO inventory_dues AS d (tenant_id, record_id)
             SELECT $1, r.id FROM records r
             WHERE r.tenant_id = $1 AND (r.kind = 'inventory_level'
                   OR r.kind IN ('order', 'shipment') AND r.id >= uuid7_floor(now() - make_interval(days => $2)))
             ORDER BY r.id DESC LIMIT $3
             ON CONFLICT (record_id) DO UPDATE SET asked = d.asked + 1, due_at = now()",
        )
        .bind(scope.tenant.0)
        .bind(AGAIN_DAYS)
        .bind(AGAIN_MAX)
        .execute(&mut *tx)
        .await?;
        sqlx::query("UPDATE inventory_items SET check_at = now() WHERE tenant_id = $1")
            .bind(scope.tenant.0)
            .execute(&mut *tx)
            .await?;
        audit(&mut tx, scope, Action::InventoryPolicySet, "tenant", &[scope.tenant.0]).await?;
        tx.commit().await?;
        Ok(PolicySet::Done(policy))
    }

    /// The connection whose records say what a seller may offer.
    async fn stock_connection(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        seller: &str,
        connection: ConnectionId,
        hook_token: &str,
    ) -> Result<ConnectionId, StoreError> {
        let scope = self.scope();
        let id = ConnectionId::generate();
        // Another connection may have the name already: then this one's has the seller's id in it.
        let name: String = sqlx::query_scalar(
            "INSERT INTO connections (id, tenant_id, connector, name, settings, hook_token)
             SELECT $1, $2, $3, CASE WHEN EXISTS (SELECT FROM connections c WHERE c.tenant_id = $2 AND c.name = $4) THEN $5 ELSE $4 END, '{}', $6
             RETURNING name",
        )
        .bind(id.0)
        .bind(scope.tenant.0)
        .bind(STOCK_CONNECTOR)
        .bind(format!("Stock for {}", seller.chars().take(80).collect::<String>()))
        .bind(format!("Stock for {connection}"))
        .bind(hook_token)
        .fetch_one(&mut **tx)
        .await?;
        audit_each(tx, scope, Action::ConnectionCreated, "connection", &[id.0], &[Some(&name)]).await?;
        Ok(id)
    }

    /// Sets what is kept back of items; each is added up anew. Those of connections that are none of the policy's sellers say nothing. Where a connection is
    /// not there, it is given back, and nothing is set.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn inventory_kept_set(&self, kept: &[Keep]) -> Result<Option<ConnectionId>, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        lock(&mut tx, tenant).await?;
        let absent = "SELECT i.id FROM unnest($1::uuid[]) AS i (id) WHERE NOT EXISTS (SELECT FROM connections c WHERE c.id = i.id) LIMIT 1";
        let named: Vec<Uuid> = kept.iter().filter_map(|keep| Some(keep.seller?.0)).collect();
        if let Some(absent) = sqlx::query_scalar(absent).bind(named).fetch_optional(&mut *tx).await? {
            return Ok(Some(ConnectionId(absent)));
        }
        let (set, unset): (Vec<&Keep>, Vec<&Keep>) = kept.iter().partition(|keep| keep.quantity.is_some());
        let skus = |kept: &[&Keep]| kept.iter().map(|keep| keep.sku.clone()).collect::<Vec<_>>();
        let sellers = |kept: &[&Keep]| kept.iter().map(|keep| keep.seller.map(|seller| seller.0)).collect::<Vec<_>>();
        sqlx::query(
            "INSERT INTO inventory_kept (tenant_id, sku, connection_id, quantity)
             SELECT $1, sku, connection_id, quantity::numeric FROM unnest($2::text[], $3::uuid[], $4::text[]) AS k (sku, connection_id, quantity)
             ON CONFLICT (tenant_id, sku, connection_id) DO UPDATE SET quantity = excluded.quantity",
        )
        .bind(tenant.0)
        .bind(skus(&set))
        .bind(sellers(&set))
        .bind(set.iter().filter_map(|keep| Some(keep.quantity?.to_string())).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "DELETE FROM inventory_kept k USING unnest($2::text[], $3::uuid[]) AS i (sku, connection_id)
             WHERE k.tenant_id = $1 AND k.sku = i.sku COLLATE \"C\" AND k.connection_id IS NOT DISTINCT FROM i.connection_id",
        )
        .bind(tenant.0)
        .bind(skus(&unset))
        .bind(sellers(&unset))
        .execute(&mut *tx)
        .await?;
        sqlx::query("UPDATE inventory_items SET check_at = now() WHERE tenant_id = $1 AND sku = ANY($2)")
            .bind(tenant.0)
            .bind(kept.iter().map(|keep| keep.sku.clone()).collect::<Vec<_>>())
            .execute(&mut *tx)
            .await?;
        audit(&mut tx, self.scope(), Action::InventoryKeptSet, "tenant", &[tenant.0]).await?;
        tx.commit().await?;
        Ok(None)
    }
}

/// Waits until nobody else is at work on the tenant's stock.
async fn lock(tx: &mut Transaction<'static, Postgres>, tenant: TenantId) -> Result<(), StoreError> {
    let lock = sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('crossdock.stock.' || $1::text, 0))");
    lock.bind(tenant.0).execute(&mut **tx).await?;
    Ok(())
}

async fn policy(tx: &mut Transaction<'static, Postgres>, tenant: TenantId) -> Result<Option<InventoryPolicy>, StoreError> {
    let policy: Option<serde_json::Value> = sqlx::query_scalar("SELECT policy FROM inventory_policies WHERE tenant_id = $1")
        .bind(tenant.0)
        .fetch_optional(&mut **tx)
        .await?;
    let corrupt = |error: serde_json::Error| StoreError::Corrupt {
        what: "the inventory policy",
        id: tenant.to_string(),
        why: error.to_string(),
    };
    policy.map(|json| serde_json::from_value(json).map_err(corrupt)).transpose()
}

/// Adds the items up again that these exceptions are about.
pub(super) async fn again(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    exceptions: &[Uuid],
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE inventory_items i SET check_at = now()
         FROM exceptions e JOIN inventory_facts f ON f.record_id = e.record_id
         WHERE e.id = ANY($2) AND e.check_kind = $3 AND i.tenant_id = $1 AND i.sku = f.sku",
    )
    .bind(tenant.0)
    .bind(exceptions)
    .bind(CHECK)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
