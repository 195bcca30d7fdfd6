//! How many places a currency has, and rounding to them.

use rust_decimal::{Decimal, RoundingStrategy};

/// Places after the point (ISO 4217, list one: those that differ from two).
#[must_use]
pub fn minor_units(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI" | "VND" | "VUV" | "XAF"
        | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

/// The smallest amount of a currency: `0.01` of USD.
#[must_use]
pub fn minor_unit(currency: &str) -> Decimal {
    Decimal::new(1, minor_units(currency))
}

/// Rounds to the currency's places, halves away from zero: what a refund gives back is what the sale took.
#[must_use]
pub fn round_money(amount: Decimal, currency: &str) -> Decimal {
    amount.round_dp_with_strategy(minor_units(currency), RoundingStrategy::MidpointAwayFromZero)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_away_from_zero_in_the_places_of_the_currency() {
        for (amount, currency, rounded) in [
            ("1.005", "USD", "1.01"),
            ("-1.005", "EUR", "-1.01"),
            ("1.0049", "USD", "1.00"),
            ("1250.5", "JPY", "1251"),
            ("-1250.5", "JPY", "-1251"),
            ("0.0625", "KWD", "0.063"),
            ("0.00005", "CLF", "0.0001"),
        ] {
            let amount: Decimal = amount.parse().unwrap();
            assert_eq!(round_money(amount, currency).to_string(), rounded, "{amount} {currency}");
        }
        assert_eq!(minor_unit("KWD").to_string(), "0.001");
    }
}
