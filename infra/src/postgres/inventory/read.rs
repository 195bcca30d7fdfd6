//! What changed records say of items is written down as facts, all of a batch at once.

use std::collections::{BTreeMap, HashMap};

use domain::id::ConnectionId;
use domain::inventory::{Fact, facts, sku_key};
use domain::record::RecordKind;
use domain::search_key::{self, KeyKind};
use domain::value::{Limits, Value};
use rust_decimal::Decimal;
use sqlx::Row;
use uuid::Uuid;

use super::{STOCK_CONNECTOR, Stock};
use crate::postgres::StoreError;

/// Records of one look.
const RECORDS_MAX: i64 = 500;
/// A shipment waits so long for its order, which may come later, and is asked for ever more seldom.
const ORDER_WAIT_S_MIN: f64 = 15.0;
const ORDER_WAIT_S_MAX: f64 = 3.0 * 24.0 * 60.0 * 60.0;

/// A record that changed.
struct Changed {
    record: Uuid,
    asked: i64,
    kind: RecordKind,
    connection: ConnectionId,
    document: Value,
    /// It is this record that the connection knows by the id, or it came back from where another was sent to.
    is_own: bool,
}

/// A row of `inventory_facts`.
struct FactRow<'a> {
    changed: &'a Changed,
    sku: String,
    shown: String,
    fact: Fact,
}

impl Stock<'_> {
    /// Reads what changed, and marks the items that it names to be added up. False where there was nothing.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn read(&mut self) -> Result<bool, StoreError> {
        let changed = self.changed().await?;
        if changed.is_empty() {
            return Ok(false);
        }
        let rows: Vec<FactRow<'_>> = changed.iter().filter(|changed| changed.is_own).flat_map(rows).collect();
        let orders = self.orders_of(&changed).await?;
        self.replace(&changed, &rows, &orders).await?;
        let waiting: Vec<Uuid> = rows
            .iter()
            .filter(|row| matches!(row.fact, Fact::Shipped(_)) && !orders.contains_key(&row.changed.record))
            .map(|row| row.changed.record)
            .collect();
        self.settle(&changed, &waiting).await?;
        Ok(true)
    }

    async fn changed(&mut self) -> Result<Vec<Changed>, StoreError> {
        // Leans on inventory_dues_due and the primary keys of the others.
        let rows = sqlx::query(
            "SELECT d.record_id, d.asked, r.kind, r.connection_id, v.document, c.connector, r.deleted_at IS NOT NULL AS is_deleted,
                    EXISTS (SELECT FROM external_ids e WHERE e.connection_id = r.connection_id AND e.kind = r.kind AND e.value = r.source_id
                                                         AND e.record_id = r.id) AS is_own
             FROM (SELECT record_id, asked FROM inventory_dues WHERE tenant_id = $1 AND due_at <= now() ORDER BY due_at LIMIT $2) d
             JOIN records r ON r.id = d.record_id JOIN connections c ON c.id = r.connection_id
             JOIN record_revisions v ON v.tenant_id = r.tenant_id AND v.id = r.revision_id",
        );
        let rows = rows.bind(self.store.scope().tenant.0).bind(RECORDS_MAX).fetch_all(&mut *self.tx).await?;
        let mut changed = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(kind) = RecordKind::parse(row.try_get("kind")?) else { continue };
            let document: &str = row.try_get("document")?;
            // What is deleted at its source is no stock and holds none. What we say ourselves is no stock; an order or shipment that came back is the same one once more.
            let is_ours = row.try_get::<&str, _>("connector")? == STOCK_CONNECTOR;
            let is_own = !is_ours
                && !row.try_get::<bool, _>("is_deleted")?
                && (kind == RecordKind::InventoryLevel || row.try_get("is_own")?);
            changed.push(Changed {
                record: row.try_get("record_id")?,
                asked: row.try_get("asked")?,
                kind,
                connection: ConnectionId(row.try_get("connection_id")?),
                document: Value::parse(document.as_bytes(), &Limits::DEFAULT).unwrap_or(Value::Null),
                is_own,
            });
        }
        Ok(changed)
    }

    /// The order of each shipment, where that is one for certain: by its id where the shipment comes from, else by its number where only one
    /// order has it.
    async fn orders_of(&mut self, changed: &[Changed]) -> Result<HashMap<Uuid, Uuid>, StoreError> {
        let (mut ids, mut numbers) = (Vec::new(), Vec::new());
        for shipment in changed.iter().filter(|changed| changed.kind == RecordKind::Shipment) {
            for key in search_key::of(shipment.kind, &shipment.document) {
                match key.kind {
                    KeyKind::OrderId => ids.push((shipment.record, shipment.connection.0, key.text)),
                    KeyKind::OrderNumber => numbers.push((shipment.record, key.text)),
                    _ => {}
                }
            }
        }
        let mut orders = HashMap::new();
        if !numbers.is_empty() {
            let rows = sqlx::query(
                "SELECT i.record_id, min(r.id::text)::uuid AS order_id
                 FROM unnest($2::uuid[], $3::text[]) AS i (record_id, number)
                 JOIN search_keys k ON k.tenant_id = $1 AND k.kind = $4 AND k.value = i.number COLLATE \"C\"
                 JOIN records r ON r.id = k.record_id AND r.kind = 'order'
                 JOIN external_ids e ON e.connection_id = r.connection_id AND e.kind = 'order' AND e.value = r.source_id AND e.record_id = r.id
                 GROUP BY i.record_id HAVING count(DISTINCT r.id) = 1",
            )
            .bind(self.store.scope().tenant.0)
            .bind(numbers.iter().map(|(record, _)| *record).collect::<Vec<_>>())
            .bind(numbers.iter().map(|(_, number)| number.as_str()).collect::<Vec<_>>())
            .bind(KeyKind::Number.as_str())
            .fetch_all(&mut *self.tx)
            .await?;
            for row in rows {
                orders.insert(row.try_get("record_id")?, row.try_get("order_id")?);
            }
        }
        if !ids.is_empty() {
            let rows = sqlx::query(
                "SELECT i.record_id, e.record_id AS order_id FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS i (record_id, connection_id, value)
                 JOIN external_ids e ON e.connection_id = i.connection_id AND e.kind = 'order' AND e.value = i.value",
            )
            .bind(ids.iter().map(|(record, ..)| *record).collect::<Vec<_>>())
            .bind(ids.iter().map(|(_, connection, _)| *connection).collect::<Vec<_>>())
            .bind(ids.iter().map(|(.., value)| value.as_str()).collect::<Vec<_>>())
            .fetch_all(&mut *self.tx)
            .await?;
            for row in rows {
                orders.insert(row.try_get("record_id")?, row.try_get("order_id")?);
            }
        }
        Ok(orders)
    }

    /// Puts what the records say now in the place of what they said.
    async fn replace(
        &mut self,
        changed: &[Changed],
        rows: &[FactRow<'_>],
        orders: &HashMap<Uuid, Uuid>,
    ) -> Result<(), StoreError> {
        let tenant = self.store.scope().tenant.0;
        let gone: Vec<String> =
            sqlx::query_scalar("DELETE FROM inventory_facts WHERE tenant_id = $1 AND record_id = ANY($2) RETURNING sku")
                .bind(tenant)
                .bind(changed.iter().map(|changed| changed.record).collect::<Vec<_>>())
                .fetch_all(&mut *self.tx)
                .await?;
        let number =
            |f: fn(&Fact) -> Option<Decimal>| rows.iter().map(|row| f(&row.fact).map(|n| n.to_string())).collect::<Vec<_>>();
        sqlx::query(
            "INSERT INTO inventory_facts (tenant_id, record_id, sku, location, kind, connection_id, order_id, on_hand, available, committed,
                                          damaged, safety_stock, quantity, backorders, placed_at, ended_at)
             SELECT $1, record_id, sku, location, kind, connection_id, order_id, on_hand::numeric, available::numeric, committed::numeric,
                    damaged::numeric, safety_stock::numeric, quantity::numeric, backorders, placed_at, ended_at
             FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], $8::text[], $9::text[], $10::text[], $11::text[],
                         $12::text[], $13::text[], $14::bool[], $15::timestamptz[], $16::timestamptz[])
                  AS i (record_id, sku, location, kind, connection_id, order_id, on_hand, available, committed, damaged, safety_stock, quantity,
                        backorders, placed_at, ended_at)",
        )
        .bind(tenant)
        .bind(rows.iter().map(|row| row.changed.record).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.sku.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| location(&row.fact)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| word(&row.fact)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| row.changed.connection.0).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| orders.get(&row.changed.record).copied()).collect::<Vec<_>>())
        .bind(number(|fact| if let Fact::Level(level) = fact { level.on_hand } else { None }))
        .bind(number(|fact| if let Fact::Level(level) = fact { level.available } else { None }))
        .bind(number(|fact| if let Fact::Level(level) = fact { level.committed } else { None }))
        .bind(number(|fact| if let Fact::Level(level) = fact { level.damaged } else { None }))
        .bind(number(|fact| if let Fact::Level(level) = fact { level.safety_stock } else { None }))
        .bind(number(|fact| match fact {
            Fact::Level(_) => None,
            Fact::Hold(hold) => Some(hold.quantity),
            Fact::Shipped(shipped) => Some(shipped.quantity),
        }))
        .bind(rows.iter().map(|row| matches!(&row.fact, Fact::Level(level) if level.allows_backorder)).collect::<Vec<_>>())
        .bind(rows.iter().map(|row| if let Fact::Hold(hold) = &row.fact { hold.placed_at } else { None }).collect::<Vec<_>>())
        .bind(
            rows.iter()
                .map(|row| match &row.fact {
                    Fact::Level(_) => None,
                    Fact::Hold(hold) => hold.ended_at,
                    Fact::Shipped(shipped) => shipped.at,
                })
                .collect::<Vec<_>>(),
        )
        .execute(&mut *self.tx)
        .await?;
        let mut touched: BTreeMap<String, String> = gone.into_iter().map(|sku| (sku.clone(), sku)).collect();
        touched.extend(rows.iter().map(|row| (row.sku.clone(), row.shown.clone())));
        sqlx::query(
            "INSERT INTO inventory_items (tenant_id, sku, shown, check_at)
             SELECT $1, sku, shown, now() FROM unnest($2::text[], $3::text[]) AS i (sku, shown)
             ON CONFLICT (tenant_id, sku) DO UPDATE SET check_at = now()",
        )
        .bind(tenant)
        .bind(touched.keys().cloned().collect::<Vec<_>>())
        .bind(touched.values().cloned().collect::<Vec<_>>())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// What was read is done with; a shipment whose order is not known yet is read again later.
    async fn settle(&mut self, changed: &[Changed], waiting: &[Uuid]) -> Result<(), StoreError> {
        let kept: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE inventory_dues d SET due_at = now() + greatest(now() - r.updated_at, make_interval(secs => $2))
             FROM records r WHERE d.record_id = ANY($1) AND r.id = d.record_id AND r.updated_at > now() - make_interval(secs => $3)
             RETURNING d.record_id",
        )
        .bind(waiting)
        .bind(ORDER_WAIT_S_MIN)
        .bind(ORDER_WAIT_S_MAX)
        .fetch_all(&mut *self.tx)
        .await?;
        let done: Vec<&Changed> = changed.iter().filter(|changed| !kept.contains(&changed.record)).collect();
        sqlx::query(
            "DELETE FROM inventory_dues d USING unnest($1::uuid[], $2::bigint[]) AS i (record_id, asked)
             WHERE d.record_id = i.record_id AND d.asked = i.asked",
        )
        .bind(done.iter().map(|changed| changed.record).collect::<Vec<_>>())
        .bind(done.iter().map(|changed| changed.asked).collect::<Vec<_>>())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

fn rows(changed: &Changed) -> Vec<FactRow<'_>> {
    let facts = facts(changed.kind, &changed.document).into_iter();
    facts.filter_map(|(shown, fact)| Some(FactRow { changed, sku: sku_key(&shown)?, shown, fact })).collect()
}

fn location(fact: &Fact) -> &str {
    match fact {
        Fact::Level(level) => &level.location,
        Fact::Hold(hold) => &hold.location,
        Fact::Shipped(_) => "",
    }
}

fn word(fact: &Fact) -> &'static str {
    match fact {
        Fact::Level(level) if level.is_delta => "delta",
        Fact::Level(_) => "level",
        Fact::Hold(_) => "hold",
        Fact::Shipped(_) => "shipped",
    }
}
