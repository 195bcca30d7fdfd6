//! What a tenant says of its stock and of who sells it.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::id::ConnectionId;

/// Connections whose levels say what is there.
pub const STOCK_MAX: usize = 50;
/// Connections that sell it.
pub const SELLERS_MAX: usize = 50;
/// Locations that one of them names.
const LOCATIONS_MAX: usize = 200;
/// A write to a seller takes a moment: an offer may be too high for so long at least, and for a day at most.
const GRACE_S: std::ops::RangeInclusive<u32> = 0..=86_400;

/// A connection whose levels say what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockSource {
    pub connection: ConnectionId,
    /// Only these locations, by code or id; all where none is named.
    #[serde(default)]
    pub locations: Vec<String>,
}

/// A connection that sells from the stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seller {
    pub connection: ConnectionId,
    /// Held back from this seller,
    #[serde(default)]
    pub buffer: Decimal,
    /// or so many percent of what is free, rounded up to whole pieces; the larger of both counts.
    #[serde(default)]
    pub buffer_percent: Decimal,
    /// It sells from these locations only, by code or id; from all where none is named.
    #[serde(default)]
    pub locations: Vec<String>,
    /// The connection whose records say what this seller may offer: a flow from there keeps the seller right.
    #[serde(default)]
    pub through: Option<ConnectionId>,
}

/// What is the stock, who sells it, and what is kept back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InventoryPolicy {
    pub stock: Vec<StockSource>,
    #[serde(default)]
    pub sellers: Vec<Seller>,
    /// Kept back from everybody, of each item.
    #[serde(default)]
    pub safety_stock: Decimal,
    /// How long a seller may offer too much before it is an exception: the time that a write to it takes.
    pub grace_s: u32,
}

impl InventoryPolicy {
    /// What is wrong with it, for the person who sets it: the field and a sentence.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, String)> {
        if self.stock.is_empty() {
            return Some(("stock", "name at least one connection whose levels say what is there".into()));
        }
        if self.stock.len() > STOCK_MAX {
            return Some(("stock", format!("at most {STOCK_MAX} connections are the stock")));
        }
        if self.sellers.len() > SELLERS_MAX {
            return Some(("sellers", format!("at most {SELLERS_MAX} connections sell it")));
        }
        if twice(self.stock.iter().map(|stock| stock.connection)) {
            return Some(("stock", "a connection is named twice".into()));
        }
        if twice(self.sellers.iter().map(|seller| seller.connection)) {
            return Some(("sellers", "a connection is named twice".into()));
        }
        let locations =
            self.stock.iter().map(|stock| &stock.locations).chain(self.sellers.iter().map(|seller| &seller.locations));
        if locations.into_iter().any(|locations| locations.len() > LOCATIONS_MAX) {
            return Some(("stock", format!("at most {LOCATIONS_MAX} locations are named for a connection")));
        }
        if self.safety_stock < Decimal::ZERO {
            return Some(("safetyStock", "what is kept back is not negative".into()));
        }
        for seller in &self.sellers {
            if seller.buffer < Decimal::ZERO {
                return Some(("sellers", "a buffer is not negative".into()));
            }
            if !(Decimal::ZERO..=Decimal::ONE_HUNDRED).contains(&seller.buffer_percent) {
                return Some(("sellers", "a percentage is from 0 to 100".into()));
            }
        }
        (!GRACE_S.contains(&self.grace_s)).then(|| ("graceS", format!("a grace is from 0 to {} seconds", GRACE_S.end())))
    }

    #[must_use]
    pub fn stock_of(&self, connection: ConnectionId) -> Option<&StockSource> {
        self.stock.iter().find(|stock| stock.connection == connection)
    }
}

fn twice(connections: impl Iterator<Item = ConnectionId>) -> bool {
    let mut seen = std::collections::HashSet::new();
    connections.into_iter().any(|connection| !seen.insert(connection))
}

/// What is kept back of one item, in place of what the policy says: from one seller, or from everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// `None`: from everybody, as safety stock.
    pub seller: Option<ConnectionId>,
    pub quantity: Decimal,
}
