//! Items as they are now: the facts of a batch of items, added up.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, RecordId};
use domain::inventory::{Hold, InventoryPolicy, Kept, Known, Level, Offer, Order, Place, Position, Shipped, position};
use rust_decimal::Decimal;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::policy;
use crate::postgres::page::PAGE_MAX;
use crate::postgres::{StoreError, TenantStore};

/// An item over all connections.
#[derive(Debug, Clone)]
pub struct ItemState {
    /// In small letters: what it is told apart by.
    pub sku: String,
    pub shown: String,
    /// Since when a seller offers too much of it, or too much was sold.
    pub risk_since: Option<DateTime<Utc>>,
    pub position: Position,
    /// What the sellers offer now, of those that are known to offer something.
    pub offers: Vec<Offer>,
    /// What the sellers were last told that they may offer.
    pub told: Vec<Told>,
    /// The levels of all connections, those of sellers too.
    pub(super) levels: Vec<Place>,
}

/// What a seller was told.
#[derive(Debug, Clone)]
pub struct Told {
    pub connection: ConnectionId,
    pub quantity: Decimal,
    pub at: DateTime<Utc>,
}

impl TenantStore<'_> {
    /// Items in the order of their SKUs, each added up as of now, and whether there are more. `prefix` narrows them to those whose SKU begins so,
    /// `at_risk` to those of which a seller offers too much or too much was sold. Empty where the tenant has no policy.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn inventory_items(
        &self,
        prefix: Option<&str>,
        at_risk: bool,
        after: Option<&str>,
        first: u64,
    ) -> Result<(Vec<ItemState>, bool), StoreError> {
        let tenant = self.scope().tenant;
        let first = i64::try_from(first.min(PAGE_MAX)).unwrap_or(i64::MAX);
        let mut tx = self.begin().await?;
        let Some(policy) = policy(&mut tx, tenant).await? else { return Ok((vec![], false)) };
        // One shape for each, so that an index serves it: the primary key, or inventory_items_risk.
        let narrowed = if at_risk { "risk_since IS NOT NULL AND" } else { "" };
        let sql = format!(
            "SELECT sku, shown, risk_since FROM inventory_items
             WHERE {narrowed} tenant_id = $1 AND sku >= $2 COLLATE \"C\" AND sku > $3 COLLATE \"C\" AND starts_with(sku, $2) ORDER BY sku LIMIT $4"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql));
        let rows =
            rows.bind(tenant.0).bind(prefix.unwrap_or("")).bind(after.unwrap_or("")).bind(first + 1).fetch_all(&mut *tx).await?;
        let has_more = rows.len() > usize::try_from(first).unwrap_or(usize::MAX);
        let mut named = named(&rows)?;
        named.truncate(usize::try_from(first).unwrap_or(usize::MAX));
        let items = items(&mut tx, tenant.0, &policy, named).await?;
        tx.commit().await?;
        Ok((items, has_more))
    }
}

/// An item that is to be added up.
pub(super) struct Named {
    pub sku: String,
    pub shown: String,
    pub risk_since: Option<DateTime<Utc>>,
}

pub(super) fn named(rows: &[PgRow]) -> Result<Vec<Named>, StoreError> {
    let one = |row: &PgRow| {
        Ok(Named { sku: row.try_get("sku")?, shown: row.try_get("shown")?, risk_since: row.try_get("risk_since")? })
    };
    rows.iter().map(one).collect()
}

/// What the facts say of one item.
#[derive(Default)]
struct Facts {
    levels: Vec<Place>,
    orders: HashMap<Uuid, Order>,
    /// By the order they belong to.
    shipped: HashMap<Uuid, Vec<Shipped>>,
    kept: Vec<Kept>,
    offers: Vec<Offer>,
    told: Vec<Told>,
}

/// Adds these items up: a handful of statements for all of them.
pub(super) async fn items(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
    policy: &InventoryPolicy,
    named: Vec<Named>,
) -> Result<Vec<ItemState>, StoreError> {
    let skus: Vec<String> = named.iter().map(|item| item.sku.clone()).collect();
    let mut facts: HashMap<String, Facts> = skus.iter().map(|sku| (sku.clone(), Facts::default())).collect();
    load_facts(tx, tenant, &skus, &mut facts).await?;
    load_known(tx, policy, &mut facts).await?;
    load_kept(tx, tenant, &skus, &mut facts).await?;
    load_told(tx, tenant, &skus, &mut facts).await?;
    load_offers(tx, policy, &skus, &mut facts).await?;
    let now = Utc::now();
    let state = |item: Named| {
        let mut facts = facts.remove(&item.sku).unwrap_or_default();
        for (order, shipped) in facts.shipped {
            if let Some(order) = facts.orders.get_mut(&order) {
                order.shipped = shipped;
            }
        }
        let orders: Vec<Order> = facts.orders.into_values().filter(|order| !order.holds.is_empty()).collect();
        ItemState {
            position: position(policy, &facts.kept, &facts.levels, &orders, now),
            sku: item.sku,
            shown: item.shown,
            risk_since: item.risk_since,
            offers: facts.offers,
            told: facts.told,
            levels: facts.levels,
        }
    };
    Ok(named.into_iter().map(state).collect())
}

async fn load_facts(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
    skus: &[String],
    facts: &mut HashMap<String, Facts>,
) -> Result<(), StoreError> {
    // Leans on inventory_facts_sku and the primary key of records.
    let rows = sqlx::query(
        "SELECT f.sku, f.record_id, f.location, f.kind, f.connection_id, f.order_id, f.on_hand::text, f.available::text, f.committed::text,
                f.damaged::text, f.safety_stock::text, f.quantity::text, f.backorders, f.placed_at, f.ended_at, r.number,
                coalesce(r.source_updated_at, r.updated_at) AS as_of, r.created_at
         FROM inventory_facts f JOIN records r ON r.id = f.record_id
         WHERE f.tenant_id = $1 AND f.sku = ANY($2) ORDER BY f.record_id",
    );
    for row in rows.bind(tenant).bind(skus).fetch_all(&mut **tx).await? {
        let Some(item) = facts.get_mut(row.try_get::<&str, _>("sku")?) else { continue };
        let record: Uuid = row.try_get("record_id")?;
        let location: String = row.try_get("location")?;
        let quantity = number(&row, "quantity")?.unwrap_or_default();
        let kind: &str = row.try_get("kind")?;
        match kind {
            "hold" => {
                let order = Order {
                    record: RecordId(record),
                    number: row.try_get("number")?,
                    connection: ConnectionId(row.try_get("connection_id")?),
                    heard_at: row.try_get("created_at")?,
                    holds: vec![],
                    shipped: vec![],
                    known: vec![],
                };
                let hold = Hold { location, quantity, placed_at: row.try_get("placed_at")?, ended_at: row.try_get("ended_at")? };
                item.orders.entry(record).or_insert(order).holds.push(hold);
            }
            "shipped" => {
                let Some(order) = row.try_get("order_id")? else { continue };
                item.shipped.entry(order).or_default().push(Shipped { quantity, at: row.try_get("ended_at")? });
            }
            _ => item.levels.push(Place {
                record: RecordId(record),
                connection: ConnectionId(row.try_get("connection_id")?),
                as_of: row.try_get("as_of")?,
                level: Level {
                    location,
                    is_delta: kind == "delta",
                    on_hand: number(&row, "on_hand")?,
                    available: number(&row, "available")?,
                    committed: number(&row, "committed")?,
                    damaged: number(&row, "damaged")?,
                    safety_stock: number(&row, "safety_stock")?,
                    allows_backorder: row.try_get("backorders")?,
                },
            }),
        }
    }
    Ok(())
}

/// Which orders the stock's connections have confirmed, and when.
async fn load_known(
    tx: &mut Transaction<'static, Postgres>,
    policy: &InventoryPolicy,
    facts: &mut HashMap<String, Facts>,
) -> Result<(), StoreError> {
    let orders: Vec<Uuid> = facts.values().flat_map(|item| item.orders.keys().copied()).collect();
    // Leans on deliveries_record.
    let rows = sqlx::query(
        "SELECT d.record_id, d.connection_id, min(d.settled_at) AS at FROM deliveries d
         WHERE d.record_id = ANY($1) AND d.connection_id = ANY($2) AND d.state IN ('confirmed', 'reconciled') AND d.settled_at IS NOT NULL
         GROUP BY 1, 2",
    );
    let stock: Vec<Uuid> = policy.stock.iter().map(|stock| stock.connection.0).collect();
    let mut known: HashMap<Uuid, Vec<Known>> = HashMap::new();
    for row in rows.bind(orders).bind(stock).fetch_all(&mut **tx).await? {
        let one = Known { connection: ConnectionId(row.try_get("connection_id")?), at: row.try_get("at")? };
        known.entry(row.try_get("record_id")?).or_default().push(one);
    }
    for (record, order) in facts.values_mut().flat_map(|item| &mut item.orders) {
        order.known = known.get(record).cloned().unwrap_or_default();
    }
    Ok(())
}

async fn load_kept(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
    skus: &[String],
    facts: &mut HashMap<String, Facts>,
) -> Result<(), StoreError> {
    let rows =
        sqlx::query("SELECT sku, connection_id, quantity::text FROM inventory_kept WHERE tenant_id = $1 AND sku = ANY($2)");
    for row in rows.bind(tenant).bind(skus).fetch_all(&mut **tx).await? {
        let Some(item) = facts.get_mut(row.try_get::<&str, _>("sku")?) else { continue };
        let seller = row.try_get::<Option<Uuid>, _>("connection_id")?.map(ConnectionId);
        item.kept.push(Kept { seller, quantity: number(&row, "quantity")?.unwrap_or_default() });
    }
    Ok(())
}

async fn load_told(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
    skus: &[String],
    facts: &mut HashMap<String, Facts>,
) -> Result<(), StoreError> {
    let rows =
        sqlx::query("SELECT sku, connection_id, quantity::text, at FROM inventory_offers WHERE tenant_id = $1 AND sku = ANY($2)");
    for row in rows.bind(tenant).bind(skus).fetch_all(&mut **tx).await? {
        let Some(item) = facts.get_mut(row.try_get::<&str, _>("sku")?) else { continue };
        let connection = ConnectionId(row.try_get("connection_id")?);
        item.told.push(Told { connection, quantity: number(&row, "quantity")?.unwrap_or_default(), at: row.try_get("at")? });
    }
    Ok(())
}

/// What each seller offers: what its own levels say, or what it has confirmed after them.
async fn load_offers(
    tx: &mut Transaction<'static, Postgres>,
    policy: &InventoryPolicy,
    skus: &[String],
    facts: &mut HashMap<String, Facts>,
) -> Result<(), StoreError> {
    let sellers: Vec<Uuid> = policy.sellers.iter().map(|seller| seller.connection.0).collect();
    let through: Vec<Option<Uuid>> = policy.sellers.iter().map(|seller| seller.through.map(|through| through.0)).collect();
    let names: HashMap<Uuid, String> = sqlx::query_as("SELECT id, name FROM connections WHERE id = ANY($1)")
        .bind(&sellers)
        .fetch_all(&mut **tx)
        .await?
        .into_iter()
        .collect();
    let name = |connection: ConnectionId| names.get(&connection.0).cloned().unwrap_or_else(|| connection.to_string());
    for item in facts.values_mut() {
        for seller in &policy.sellers {
            let own = item.levels.iter().filter(|level| level.connection == seller.connection && !level.level.is_delta);
            let said: Vec<_> =
                own.filter_map(|place| Some((place.level.available.or(place.level.on_hand)?, place.as_of))).collect();
            let Some(at) = said.iter().map(|(_, at)| *at).max() else { continue };
            let quantity = said.iter().fold(Decimal::ZERO, |sum, (quantity, _)| sum.saturating_add(*quantity));
            item.offers.push(Offer { connection: seller.connection, name: name(seller.connection), quantity, at });
        }
    }
    // Leans on the unique key of records and on deliveries_record.
    let rows = sqlx::query(
        "SELECT r.source_id AS sku, s.seller, d.settled_at, v.document::jsonb #>> '{quantities,available}' AS quantity
         FROM unnest($1::uuid[], $2::uuid[]) AS s (seller, through)
         JOIN records r ON r.connection_id = s.through AND r.kind = 'inventory_level' AND r.source_id = ANY($3)
         CROSS JOIN LATERAL (
             SELECT d.revision_id, d.settled_at FROM deliveries d
             WHERE d.record_id = r.id AND d.connection_id = s.seller AND d.state IN ('confirmed', 'reconciled')
             ORDER BY d.revision DESC LIMIT 1) d
         JOIN record_revisions v ON v.tenant_id = r.tenant_id AND v.id = d.revision_id",
    );
    for row in rows.bind(&sellers).bind(&through).bind(skus).fetch_all(&mut **tx).await? {
        let Some(item) = facts.get_mut(row.try_get::<&str, _>("sku")?) else { continue };
        let connection = ConnectionId(row.try_get("seller")?);
        let (Some(at), Some(quantity)) = (row.try_get::<Option<DateTime<Utc>>, _>("settled_at")?, number(&row, "quantity")?)
        else {
            continue;
        };
        match item.offers.iter_mut().find(|offer| offer.connection == connection) {
            Some(offer) if offer.at >= at => {}
            Some(offer) => (offer.quantity, offer.at) = (quantity, at),
            None => item.offers.push(Offer { connection, name: name(connection), quantity, at }),
        }
    }
    Ok(())
}

fn number(row: &PgRow, column: &str) -> Result<Option<Decimal>, StoreError> {
    let text: Option<&str> = row.try_get(column)?;
    Ok(text.and_then(|text| text.parse().ok()))
}
