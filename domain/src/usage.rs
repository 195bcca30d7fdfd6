//! What is metered. Billing counts these rows, so each is written in the transaction of the thing it counts.

use serde::{Deserialize, Serialize};

/// A thing that is counted. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// A message accepted (duplicates are not counted).
    MessageAccepted,
    /// A delivery confirmed by its destination.
    DeliveryConfirmed,
    /// One call to a vendor.
    VendorCall,
}

impl Meter {
    pub const ALL: [Self; 3] = [Self::MessageAccepted, Self::DeliveryConfirmed, Self::VendorCall];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MessageAccepted => "message_accepted",
            Self::DeliveryConfirmed => "delivery_confirmed",
            Self::VendorCall => "vendor_call",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|meter| meter.as_str() == text)
    }
}
