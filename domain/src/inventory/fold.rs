//! What one record says that concerns the stock: a level, an order that reserves, a shipment that takes from an order.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::sku_key;
use crate::record::RecordKind;
use crate::value::Value;

/// A number, where the place that says it knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Level {
    /// The place's code, or its id where it has none; empty where the source does not tell places apart.
    pub location: String,
    /// The numbers are what changed, not what is.
    pub is_delta: bool,
    pub on_hand: Option<Decimal>,
    pub available: Option<Decimal>,
    pub committed: Option<Decimal>,
    pub damaged: Option<Decimal>,
    pub safety_stock: Option<Decimal>,
    pub allows_backorder: bool,
}

/// What an order reserves of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    pub location: String,
    pub quantity: Decimal,
    /// When its order was placed, where the source says so.
    pub placed_at: Option<DateTime<Utc>>,
    /// Since when the order wants no more of it: it was completed. A level from before that still has it.
    pub ended_at: Option<DateTime<Utc>>,
}

/// What a shipment took from its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    pub quantity: Decimal,
    pub at: Option<DateTime<Utc>>,
}

/// What a record says of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Level(Level),
    Hold(Hold),
    Shipped(Shipped),
}

/// Statuses of orders that nobody is to ship any more, or not yet.
const NOT_RESERVING: &[&str] = &["draft", "cancelled", "failed"];
/// Statuses of shipments whose goods have left.
const LEFT: &[&str] = &["shipped", "in_transit", "out_for_delivery", "delivered", "exception", "returned_to_sender"];

/// What a record's document says of items, each with its SKU as it is written there. Lines of one SKU and place are one.
#[must_use]
pub fn facts(kind: RecordKind, document: &Value) -> Vec<(String, Fact)> {
    match kind {
        RecordKind::InventoryLevel => level(document).into_iter().collect(),
        RecordKind::Order => holds(document),
        RecordKind::Shipment => shipped(document),
        _ => vec![],
    }
}

fn level(document: &Value) -> Option<(String, Fact)> {
    let sku = text(document.at("item.sku"))?;
    let number = |field: &str| document.get("quantities").and_then(|q| q.get(field)).and_then(Value::to_decimal);
    let level = Level {
        location: location(document.get("location")),
        is_delta: text(document.get("basis")).as_deref() == Some("delta"),
        on_hand: number("on_hand"),
        available: number("available"),
        committed: number("committed"),
        damaged: number("damaged"),
        safety_stock: number("safety_stock"),
        allows_backorder: document.get("allow_backorder") == Some(&Value::Bool(true)),
    };
    Some((sku, Fact::Level(level)))
}

fn holds(document: &Value) -> Vec<(String, Fact)> {
    let word = |field: &str| document.get(field).and_then(Value::as_str).unwrap_or_default();
    if NOT_RESERVING.contains(&word("status")) || document.get("test") == Some(&Value::Bool(true)) {
        return vec![];
    }
    let is_over = word("status") == "completed" || matches!(word("fulfillment_status"), "fulfilled" | "returned");
    // An order that does not say when it was completed was so when it was placed, at the earliest: its goods may be gone since.
    let ended_at = is_over.then(|| time(document, "updated_at").or_else(|| time(document, "placed_at"))).flatten();
    if is_over && ended_at.is_none() {
        return vec![];
    }
    let placed_at = time(document, "placed_at");
    let lines = document.get("lines").and_then(Value::as_list).unwrap_or_default();
    let reserving = lines.iter().filter(|line| line.get("requires_shipping") != Some(&Value::Bool(false)));
    summed(reserving, |line| location(line.get("location")))
        .into_iter()
        .map(|(sku, location, quantity)| (sku, Fact::Hold(Hold { location, quantity, placed_at, ended_at })))
        .collect()
}

fn shipped(document: &Value) -> Vec<(String, Fact)> {
    let word = |field: &str| document.get(field).and_then(Value::as_str);
    if word("direction").is_some_and(|direction| direction != "outbound") || !word("status").is_some_and(|s| LEFT.contains(&s)) {
        return vec![];
    }
    let at = time(document, "shipped_at").or_else(|| time(document, "updated_at"));
    let lines = document.get("lines").and_then(Value::as_list).unwrap_or_default();
    summed(lines.iter(), |_| String::new())
        .into_iter()
        .map(|(sku, _, quantity)| (sku, Fact::Shipped(Shipped { quantity, at })))
        .collect()
}

/// Quantities by SKU and place; the SKU as it is first written.
fn summed<'v>(lines: impl Iterator<Item = &'v Value>, place: impl Fn(&Value) -> String) -> Vec<(String, String, Decimal)> {
    let mut sums: Vec<(String, String, String, Decimal)> = Vec::new();
    for line in lines {
        let sku = text(line.get("sku")).or_else(|| text(line.at("item.sku")));
        let Some((sku, key)) = sku.and_then(|sku| Some((sku.clone(), sku_key(&sku)?))) else { continue };
        let quantity = line.get("quantity").and_then(Value::to_decimal).unwrap_or_default();
        if quantity <= Decimal::ZERO {
            continue;
        }
        let location = place(line);
        match sums.iter_mut().find(|(known, _, at, _)| *known == key && *at == location) {
            Some((.., sum)) => *sum = sum.saturating_add(quantity),
            None => sums.push((key, sku, location, quantity)),
        }
    }
    sums.into_iter().map(|(_, sku, location, quantity)| (sku, location, quantity)).collect()
}

fn location(value: Option<&Value>) -> String {
    value.and_then(|place| text(place.get("code")).or_else(|| text(place.get("source_id")))).unwrap_or_default()
}

fn text(value: Option<&Value>) -> Option<String> {
    value.and_then(Value::to_text).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn time(document: &Value, field: &str) -> Option<DateTime<Utc>> {
    let text = document.get(field).and_then(Value::as_str)?;
    DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc())
}
