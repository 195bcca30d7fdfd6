//! A record is the canonical document of one thing of a tenant, with a revision for each change.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of the canonical model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    Order,
    Customer,
    Item,
    InventoryLevel,
    Shipment,
    Invoice,
    Return,
    Payment,
    Refund,
    PurchaseOrder,
}

impl RecordKind {
    pub const ALL: [RecordKind; 10] = [
        Self::Order,
        Self::Customer,
        Self::Item,
        Self::InventoryLevel,
        Self::Shipment,
        Self::Invoice,
        Self::Return,
        Self::Payment,
        Self::Refund,
        Self::PurchaseOrder,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Customer => "customer",
            Self::Item => "item",
            Self::InventoryLevel => "inventory_level",
            Self::Shipment => "shipment",
            Self::Invoice => "invoice",
            Self::Return => "return",
            Self::Payment => "payment",
            Self::Refund => "refund",
            Self::PurchaseOrder => "purchase_order",
        }
    }

    /// Several records of ours may be one at a destination: a customer of two shops, an item of two catalogs. Documents never are.
    #[must_use]
    pub fn may_be_shared(self) -> bool {
        matches!(self, Self::Customer | Self::Item | Self::InventoryLevel)
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
