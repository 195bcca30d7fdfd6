//! How much comes: what a drift is weighed by.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::canonical::Summary;

/// What a record comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worth {
    pub currency: String,
    pub amount: Decimal,
}

impl Worth {
    /// `None` where the kind has no total, or the record does not say it.
    #[must_use]
    pub fn of(summary: &Summary) -> Option<Self> {
        let currency = summary.currency.clone().filter(|code| code.len() == 3)?;
        Some(Self { currency, amount: summary.grand_total? })
    }
}

/// New records and what they come to, by currency; those without money have none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Volume(BTreeMap<String, (u64, Decimal)>);

impl Volume {
    pub fn add(&mut self, worth: Option<&Worth>) {
        let currency = worth.map_or("", |worth| worth.currency.as_str());
        let (records, sum) = self.0.entry(currency.to_owned()).or_default();
        *records += 1;
        // A sum beyond 28 digits is no money of this world.
        *sum = worth.and_then(|worth| sum.checked_add(worth.amount)).unwrap_or(*sum);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, u64, Decimal)> {
        self.0.iter().map(|(currency, (records, sum))| (currency.as_str(), *records, *sum))
    }
}
