//! Inventory over connections: what there is of an item, what open orders have reserved of it, what is kept back, and what each seller may
//! offer. [`position`] adds it up from the levels and the orders as they are now; [`risks`] says where a seller offers what is not there.
//!
//! Some connections are the *stock*: what they say is there, is there. Others are *sellers*: they offer it. A connection may be both, such as
//! a shop whose own stock a marketplace sells from.

mod fold;
mod policy;
mod position;
mod risk;

pub use fold::{Fact, Hold, Level, Shipped, facts};
pub use policy::{InventoryPolicy, Kept, SELLERS_MAX, STOCK_MAX, Seller, StockSource};
pub use position::{Known, Order, Place, Position, Reserving, SellerPosition, position};
pub use risk::{CHECK, Offer, Risk, RiskKind, risks};

/// Items are one across connections by their SKU, whatever its case.
#[must_use]
pub fn sku_key(sku: &str) -> Option<String> {
    crate::search_key::normalised(crate::search_key::KeyKind::Sku, sku)
}
