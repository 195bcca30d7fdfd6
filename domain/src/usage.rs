//! What is metered. Billing counts these rows, so each is written in the transaction of the thing it counts.

/// A thing that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Meter {
    /// A message accepted (duplicates are not counted).
    MessageAccepted,
    /// A delivery confirmed by its destination.
    DeliveryConfirmed,
    /// One call to a vendor.
    VendorCall,
}

impl Meter {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MessageAccepted => "message_accepted",
            Self::DeliveryConfirmed => "delivery_confirmed",
            Self::VendorCall => "vendor_call",
        }
    }
}
