//! A plain record of each kind: as rich as most vendors can hold, and nothing about it awkward.

use crate::record::RecordKind;

/// The plain record of a kind, as JSON.
#[must_use]
pub fn plain(kind: RecordKind) -> &'static str {
    match kind {
        RecordKind::Order => include_str!("plain/order.json"),
        RecordKind::Customer => include_str!("plain/customer.json"),
        RecordKind::Item => include_str!("plain/item.json"),
        RecordKind::InventoryLevel => include_str!("plain/inventory_level.json"),
        RecordKind::Shipment => include_str!("plain/shipment.json"),
        RecordKind::Invoice => include_str!("plain/invoice.json"),
        RecordKind::Return => include_str!("plain/return.json"),
        RecordKind::Payment => include_str!("plain/payment.json"),
        RecordKind::Refund => include_str!("plain/refund.json"),
        RecordKind::PurchaseOrder => include_str!("plain/purchase_order.json"),
    }
}
