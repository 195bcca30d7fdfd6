//! Items that changed are added up: sellers are told what they may offer, and what is wrong becomes an exception, all in the transaction that
//! marks the items as done.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::exception::Reason;
use domain::id::{ConnectionId, MessageId, RecordId};
use domain::inventory::{CHECK, Risk, Seller, risks};
use domain::lane::Lane;
use domain::merkle::hash;
use domain::message::Origin;
use domain::record::RecordKind;
use domain::task::Nudge;
use sqlx::Row;
use uuid::Uuid;

use super::Stock;
use super::load::{ItemState, items, named};
use crate::postgres::StoreError;
use crate::postgres::audit::told_with_body;
use crate::postgres::exception::{self, Subject};
use crate::postgres::receive::audit_told;
use crate::postgres::sweep::NUDGE_GRACE_S;

/// Items of one look.
const ITEMS_MAX: i64 = 200;
/// An item at risk is looked at as often as its policy's grace says, but within these: a delivery to its seller may have come through.
const RISK_EVERY_S_MIN: f64 = 5.0;
const RISK_EVERY_S_MAX: f64 = 30.0;
/// One of which orders have reserved something, so often: a destination may know of them now.
const RESERVED_EVERY_S: f64 = 600.0;
/// Facts of orders that ended, and of shipments of such orders, are kept so long.
const FACT_DAYS: i32 = 14;

/// What a seller is to be told.
struct Telling<'i> {
    item: &'i ItemState,
    seller: ConnectionId,
    through: ConnectionId,
    quantity: rust_decimal::Decimal,
    message: MessageId,
}

/// An exception that is to be opened.
type Opening = (Subject<'static>, Reason);

/// An exception that is open, or that a person decided to leave.
struct Opened {
    id: Uuid,
    connection: Uuid,
    code: String,
    sentence: String,
    is_open: bool,
}

impl Stock<'_> {
    /// Adds up the items that are due, and commits. Returns the messages that tell sellers, for the nudge.
    ///
    /// # Errors
    /// Where the transaction did not commit: then everything is still due.
    pub async fn finish(mut self) -> Result<Vec<Nudge>, StoreError> {
        let tenant = self.store.scope().tenant;
        let rows = sqlx::query(
            "SELECT sku, shown, risk_since FROM inventory_items WHERE tenant_id = $1 AND check_at <= now() ORDER BY check_at LIMIT $2",
        );
        let rows = rows.bind(tenant.0).bind(ITEMS_MAX).fetch_all(&mut *self.tx).await?;
        let due = named(&rows)?;
        if due.is_empty() {
            self.tx.commit().await?;
            return Ok(vec![]);
        }
        self.forget(&due.iter().map(|item| item.sku.clone()).collect::<Vec<_>>()).await?;
        let items = items(&mut self.tx, tenant.0, &self.policy, due).await?;
        // After the lock, so that of two sums the later one is later, too.
        let now: DateTime<Utc> = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut *self.tx).await?;
        let told = self.tell(&items, now).await?;
        let found: Vec<(&ItemState, Vec<Risk>)> =
            items.iter().map(|item| (item, risks(&item.shown, &item.position, &item.offers))).collect();
        self.raise(&found, now).await?;
        self.mark(&found, now).await?;
        self.tx.commit().await?;
        Ok(told.into_iter().map(|(connection, message)| Nudge::new(tenant, connection, Lane::Live, message.0)).collect())
    }

    /// Facts that no sum needs any more.
    async fn forget(&mut self, skus: &[String]) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM inventory_facts f WHERE f.tenant_id = $1 AND f.sku = ANY($2) AND f.ended_at < now() - make_interval(days => $3)
               AND (f.kind = 'hold' OR f.kind = 'shipped' AND NOT EXISTS (
                   SELECT FROM inventory_facts h WHERE h.tenant_id = $1 AND h.sku = f.sku AND h.record_id = f.order_id AND h.kind = 'hold'))",
        )
        .bind(self.store.scope().tenant.0)
        .bind(skus)
        .bind(FACT_DAYS)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    /// A message for each seller that may offer another quantity than it was last told.
    async fn tell(&mut self, items: &[ItemState], now: DateTime<Utc>) -> Result<Vec<(ConnectionId, MessageId)>, StoreError> {
        let tenant = self.store.scope().tenant.0;
        let telling: Vec<Telling<'_>> =
            items.iter().filter(|item| item.position.is_known()).flat_map(|item| telling(item, &self.policy.sellers)).collect();
        if telling.is_empty() {
            return Ok(vec![]);
        }
        let ids = |f: fn(&Telling<'_>) -> Uuid| telling.iter().map(f).collect::<Vec<_>>();
        let messages = ids(|telling| telling.message.0);
        let bodies: Vec<String> = telling.iter().map(|telling| body(telling, now)).collect();
        sqlx::query(
            "INSERT INTO messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, source_id, body, sweep_at)
             SELECT id, $1, connection_id, $2, 'stock', id::text, $3, sku, convert_to(body, 'UTF8'), now() + make_interval(secs => $4)
             FROM unnest($5::uuid[], $6::uuid[], $7::text[], $8::text[]) AS i (id, connection_id, sku, body)",
        )
        .bind(tenant)
        .bind(Origin::Derived.as_str())
        .bind(RecordKind::InventoryLevel.as_str())
        .bind(NUDGE_GRACE_S)
        .bind(&messages)
        .bind(ids(|telling| telling.through.0))
        .bind(telling.iter().map(|telling| telling.item.sku.as_str()).collect::<Vec<_>>())
        .bind(&bodies)
        .execute(&mut *self.tx)
        .await?;
        sqlx::query(
            "INSERT INTO inventory_offers (tenant_id, connection_id, sku, quantity, message_id, at)
             SELECT $1, connection_id, sku, quantity::numeric, message_id, $2
             FROM unnest($3::uuid[], $4::text[], $5::text[], $6::uuid[]) AS i (connection_id, sku, quantity, message_id)
             ON CONFLICT (tenant_id, sku, connection_id) DO UPDATE
             SET quantity = excluded.quantity, message_id = excluded.message_id, at = excluded.at",
        )
        .bind(tenant)
        .bind(now)
        .bind(ids(|telling| telling.seller.0))
        .bind(telling.iter().map(|telling| telling.item.sku.as_str()).collect::<Vec<_>>())
        .bind(telling.iter().map(|telling| telling.quantity.to_string()).collect::<Vec<_>>())
        .bind(&messages)
        .execute(&mut *self.tx)
        .await?;
        let told = |body: &String| told_with_body(serde_json::json!({}), &hash(&[body.as_bytes()]));
        let details: Vec<String> = bodies.iter().map(told).collect();
        audit_told(&mut self.tx, self.store.scope(), Action::MessageReceived, "message", &messages, &details).await?;
        Ok(telling.into_iter().map(|telling| (telling.through, telling.message)).collect())
    }

    /// Opens an exception for what is wrong for longer than a write to a seller takes, says an open one anew whose numbers changed, and closes those
    /// that the stock covers again. What a person decided to leave stays so, as long as it says the same.
    async fn raise(&mut self, found: &[(&ItemState, Vec<Risk>)], now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut opened = self.opened(found).await?;
        let (mut reasons, mut resaid): (Vec<Opening>, Vec<(Uuid, String)>) = (vec![], vec![]);
        let mut over: Vec<Uuid> = Vec::new();
        for (item, risks) in found {
            let known = opened.remove(item.sku.as_str()).unwrap_or_default();
            let mut stays: HashSet<Uuid> = HashSet::new();
            for risk in risks {
                let Some((record, connection)) = subject(item, risk) else { continue };
                let reason = risk.reason();
                let same: Vec<&Opened> =
                    known.iter().filter(|one| one.connection == connection.0 && one.code == reason.code).collect();
                // One stays, and of several that one that says it already: another one cannot be worded so beside it.
                let open = same.iter().filter(|one| one.is_open).max_by_key(|one| one.sentence == reason.sentence);
                stays.extend(open.map(|one| one.id));
                if let Some(open) = open {
                    if open.sentence != reason.sentence {
                        resaid.push((open.id, reason.sentence));
                    }
                } else if same.iter().all(|one| one.sentence != reason.sentence) && self.is_late(item, now) {
                    reasons.push((Subject::Record { record, connection, check: CHECK }, reason));
                }
            }
            over.extend(known.iter().filter(|one| one.is_open && !stays.contains(&one.id)).map(|one| one.id));
        }
        let scope = self.store.scope();
        exception::resolve(&mut self.tx, scope, &over, "The stock covers it again").await?;
        exception::open(&mut self.tx, scope, &reasons.iter().map(|(subject, reason)| (*subject, reason)).collect::<Vec<_>>())
            .await?;
        sqlx::query("UPDATE exceptions e SET sentence = i.sentence FROM unnest($1::uuid[], $2::text[]) AS i (id, sentence) WHERE e.id = i.id")
            .bind(resaid.iter().map(|(id, _)| *id).collect::<Vec<_>>())
            .bind(resaid.iter().map(|(_, sentence)| sentence.as_str()).collect::<Vec<_>>())
            .execute(&mut *self.tx)
            .await?;
        Ok(())
    }

    /// The exceptions of these items, by SKU.
    async fn opened(&mut self, found: &[(&ItemState, Vec<Risk>)]) -> Result<HashMap<String, Vec<Opened>>, StoreError> {
        let levels = || found.iter().flat_map(|(item, _)| item.levels.iter().map(|place| (place.record.0, item.sku.as_str())));
        let rows = sqlx::query(
            "SELECT i.sku, e.id, e.connection_id, e.code, e.sentence, e.state = 'open' AS is_open
             FROM unnest($1::uuid[], $2::text[]) AS i (record_id, sku) JOIN exceptions e ON e.record_id = i.record_id
             WHERE e.check_kind = $3 AND e.state IN ('open', 'ignored')",
        );
        let rows = rows
            .bind(levels().map(|(record, _)| record).collect::<Vec<_>>())
            .bind(levels().map(|(_, sku)| sku).collect::<Vec<_>>())
            .bind(CHECK)
            .fetch_all(&mut *self.tx)
            .await?;
        let mut opened: HashMap<String, Vec<Opened>> = HashMap::new();
        for row in rows {
            opened.entry(row.try_get("sku")?).or_default().push(Opened {
                id: row.try_get("id")?,
                connection: row.try_get("connection_id")?,
                code: row.try_get("code")?,
                sentence: row.try_get("sentence")?,
                is_open: row.try_get("is_open")?,
            });
        }
        Ok(opened)
    }

    fn is_late(&self, item: &ItemState, now: DateTime<Utc>) -> bool {
        (now - item.risk_since.unwrap_or(now)).num_seconds() >= i64::from(self.policy.grace_s)
    }

    /// When each item is looked at next.
    async fn mark(&mut self, found: &[(&ItemState, Vec<Risk>)], now: DateTime<Utc>) -> Result<(), StoreError> {
        let next = |item: &ItemState, risks: &[Risk]| {
            if risks.is_empty() {
                return (!item.position.reserved.is_zero()).then_some(RESERVED_EVERY_S);
            }
            Some(f64::from(self.policy.grace_s).clamp(RISK_EVERY_S_MIN, RISK_EVERY_S_MAX))
        };
        sqlx::query(
            "UPDATE inventory_items t SET check_at = now() + make_interval(secs => i.after_s),
                    risk_since = CASE WHEN i.is_at_risk THEN coalesce(t.risk_since, $2) END
             FROM unnest($3::text[], $4::float8[], $5::bool[]) AS i (sku, after_s, is_at_risk)
             WHERE t.tenant_id = $1 AND t.sku = i.sku COLLATE \"C\"",
        )
        .bind(self.store.scope().tenant.0)
        .bind(now)
        .bind(found.iter().map(|(item, _)| item.sku.as_str()).collect::<Vec<_>>())
        .bind(found.iter().map(|(item, risks)| next(item, risks)).collect::<Vec<_>>())
        .bind(found.iter().map(|(_, risks)| !risks.is_empty()).collect::<Vec<_>>())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

/// What an exception of an item is about: the seller's own level of it, or the stock's.
fn subject(item: &ItemState, risk: &Risk) -> Option<(RecordId, ConnectionId)> {
    let stock = item.position.places.first()?;
    let own = item.levels.iter().find(|place| Some(place.connection) == risk.seller);
    Some((own.unwrap_or(stock).record, risk.seller.unwrap_or(stock.connection)))
}

fn telling<'i>(item: &'i ItemState, sellers: &[Seller]) -> Vec<Telling<'i>> {
    let through = |connection| sellers.iter().find(|seller| seller.connection == connection).and_then(|seller| seller.through);
    let last = |connection| item.told.iter().find(|told| told.connection == connection).map(|told| told.quantity);
    let changed = item.position.sellers.iter().filter(|seller| last(seller.connection) != Some(seller.may_offer));
    changed
        .filter_map(|seller| {
            let (connection, quantity) = (seller.connection, seller.may_offer);
            Some(Telling { item, seller: connection, through: through(connection)?, quantity, message: MessageId::generate() })
        })
        .collect()
}

fn body(telling: &Telling<'_>, now: DateTime<Utc>) -> String {
    serde_json::json!({
        "sku": telling.item.sku,
        "shown": telling.item.shown,
        "may_offer": telling.quantity.to_string(),
        "there": telling.item.position.there.max(rust_decimal::Decimal::ZERO).to_string(),
        "as_of": now.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
    })
    .to_string()
}
