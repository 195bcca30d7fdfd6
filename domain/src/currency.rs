//! Currencies: ISO 4217, how many places each has, and rounding to them.

use rust_decimal::{Decimal, RoundingStrategy};

/// The active codes of ISO 4217, list one (2026-11), by their places after the point. Metals and test codes have none and are no currencies.
const TWO_PLACES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CNY COP \
COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK \
LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD \
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG ANG BGN";
const NO_PLACES: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
const THREE_PLACES: &str = "BHD IQD JOD KWD LYD OMR TND";
const FOUR_PLACES: &str = "CLF UYW";

/// Places after the point; `None` for what is no currency of ISO 4217.
#[must_use]
pub fn places(currency: &str) -> Option<u32> {
    // A code, and not a piece of the list.
    if currency.len() != 3 || currency.contains(' ') {
        return None;
    }
    [(TWO_PLACES, 2), (NO_PLACES, 0), (THREE_PLACES, 3), (FOUR_PLACES, 4)]
        .into_iter()
        .find_map(|(codes, places)| codes.split(' ').any(|code| code == currency).then_some(places))
}

/// Places after the point; two for what is no currency of ISO 4217.
#[must_use]
pub fn minor_units(currency: &str) -> u32 {
    places(currency).unwrap_or(2)
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
    fn a_currency_is_a_code_of_iso_4217_and_has_its_places() {
        for (code, wanted) in [("USD", Some(2)), ("JPY", Some(0)), ("KWD", Some(3)), ("CLF", Some(4))] {
            assert_eq!(places(code), wanted);
        }
        for code in ["", "usd", "XYZ", "US ", "D A", "XAU", "EURO"] {
            assert_eq!(places(code), None, "{code}");
        }
        let all = [TWO_PLACES, NO_PLACES, THREE_PLACES, FOUR_PLACES].join(" ");
        let codes: std::collections::BTreeSet<&str> = all.split(' ').collect();
        assert_eq!(codes.len(), all.split(' ').count(), "a code stands twice");
        assert!(codes.iter().all(|code| code.len() == 3));
    }

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
