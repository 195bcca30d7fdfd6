//! Makes the sums of an order or an invoice right again after its parts were changed.

use rust_decimal::Decimal;

use crate::currency::minor_units;
use crate::record::RecordKind;
use crate::value::{Map, Value, decimal};

/// Sums that are there are replaced where they are wrong; a record whose parts cannot be counted is left as it is.
pub(super) fn settle(kind: RecordKind, map: &mut Map) {
    if matches!(kind, RecordKind::Order | RecordKind::Invoice) {
        // What cannot be counted is refused by the canonical check.
        let _ = settled(map);
    }
}

fn settled(map: &mut Map) -> Option<()> {
    let rows = |name: &str| map.get(name).and_then(Value::as_list).unwrap_or_default();
    let (lines, shipping, adjustments) = (rows("lines"), rows("shipping_lines"), rows("adjustments"));
    let places = minor_units(map.get("currency").and_then(Value::as_str).unwrap_or_default());
    let is_included = matches!(map.get("taxes_included"), Some(Value::Bool(true)));
    let totals = map.get("totals").and_then(Value::as_map)?;

    let subtotal = sum(lines.iter().map(|line| amount(line, "quantity").checked_mul(amount(line, "unit_price"))))?;
    let of_lines = sum(lines.iter().map(|line| Some(amount(line, "discount_total"))))?;
    let of_shipping = sum(shipping.iter().map(|line| Some(amount(line, "discount_total"))))?;
    let carried = sum(shipping.iter().map(|line| Some(amount(line, "amount"))))?.checked_sub(of_shipping)?;
    let adjusted = sum(adjustments.iter().map(|adjustment| Some(amount(adjustment, "amount"))))?;

    let taxes_of_shipping = shipping.iter().flat_map(|line| line.get("taxes").and_then(Value::as_list).unwrap_or_default());
    let tax_of_parts = sum(lines
        .iter()
        .map(|line| Some(amount(line, "tax_total")))
        .chain(taxes_of_shipping.map(|tax| Some(amount(tax, "amount")))))?;
    let tax_said = totals.get("tax").and_then(Value::as_str).and_then(decimal).unwrap_or_default();
    let is_in_lines = lines.iter().any(|line| line.get("tax_total").is_some());
    let tax = if is_in_lines { tax_of_parts.round_dp(places) } else { tax_said };

    let others = sum(["tip", "duty", "fee", "rounding"].map(|name| Some(amount_of(totals, name))).into_iter())?;
    let parts = [subtotal, -of_lines, carried, adjusted, others, if is_included { Decimal::ZERO } else { tax }];
    let grand = sum(parts.map(Some).into_iter())?.round_dp(places);
    let paid = amount_of(totals, "paid");
    let due = grand.checked_sub(paid)?;

    let says_tax = is_in_lines || totals.contains_key("tax");
    let Some(Value::Map(totals)) = map.get_mut("totals") else { return None };
    put(totals, "grand", grand);
    if says_tax {
        totals.entry("tax".to_owned()).or_insert_with(|| "0".into());
        put(totals, "tax", tax);
    }
    for (name, is) in
        [("subtotal", subtotal), ("discount", of_lines.checked_add(of_shipping)?), ("shipping", carried), ("due", due)]
    {
        if totals.get(name).is_some_and(|said| !said.is_null()) {
            put(totals, name, is.round_dp(places));
        }
    }
    Some(())
}

fn sum(mut parts: impl Iterator<Item = Option<Decimal>>) -> Option<Decimal> {
    parts.try_fold(Decimal::ZERO, |sum, part| sum.checked_add(part?))
}

fn amount(row: &Value, name: &str) -> Decimal {
    row.get(name).and_then(Value::as_str).and_then(decimal).unwrap_or_default()
}

fn amount_of(map: &Map, name: &str) -> Decimal {
    map.get(name).and_then(Value::as_str).and_then(decimal).unwrap_or_default()
}

/// A sum that is right keeps the digits it is written with.
fn put(totals: &mut Map, name: &str, is: Decimal) {
    if totals.get(name).and_then(Value::as_str).and_then(decimal) != Some(is) {
        totals.insert(name.to_owned(), is.to_string().into());
    }
}
