//! The canonical order. All amounts are decimals as text in `currency`; the source's own words are kept in `raw_*` and `attributes`.
//!
//! | field | meaning |
//! |---|---|
//! | `source_id` (required) | its id at the source, as text |
//! | `number` | what people call it: `#1042` |
//! | `status` (required) | draft, pending, open, on_hold, completed, cancelled, failed, unknown |
//! | `payment_status` | pending, authorized, partially_paid, paid, partially_refunded, refunded, voided, failed, unknown |
//! | `fulfillment_status` | unfulfilled, in_progress, scheduled, on_hold, partially_fulfilled, fulfilled, returned, unknown |
//! | `currency` (required) | ISO 4217 |
//! | `placed_at`, `updated_at`, `cancelled_at` | RFC 3339, UTC |
//! | `po_number`, `note`, `tags`, `test`, `source_channel`, `cancel_reason` | |
//! | `customer` | `source_id, name, email, phone, company` |
//! | `billing_address`, `shipping_address` | `name, company, line1, line2, city, region, region_code, postal_code, country, phone` |
//! | `lines[]` | `source_id, sku, title, variant, kind, quantity, unit_price, discount_total, tax_total, taxes[]{title, rate, amount}, requires_shipping` |
//! | `shipping_lines[]` | `title, code, amount, discount_total, taxes[]` |
//! | `adjustments[]` | `kind` (discount, fee, other), `title, amount` – of the whole document; a discount is negative |
//! | `taxes[]` | the document's own tax lines, for information |
//! | `payments[]` | `kind` (card, gift_card, other), `amount` – information, not part of the total |
//! | `refunds[]` | `source_id, at, amount, note` – information, not part of the total |
//! | `taxes_included` (required) | true where unit prices and shipping contain the tax |
//! | `totals` | `subtotal, discount, shipping, tax, tip, duty, fee, rounding, grand` (required), `refunded` |
//! | `attributes` | anything else |
//!
//! Balance: Σ (quantity × unit_price − discount_total) + shipping + adjustments + tip + duty + fee + rounding + (tax, where not included) = grand, within one minor unit
//! for each line.

use rust_decimal::Decimal;

use super::{Check, Summary, join, text};
use crate::currency::minor_unit;
use crate::mapping::IssueCode;
use crate::value::{Map, Value};

const FIELDS: &[&str] = &[
    "source_id",
    "number",
    "status",
    "payment_status",
    "fulfillment_status",
    "currency",
    "placed_at",
    "updated_at",
    "cancelled_at",
    "po_number",
    "note",
    "tags",
    "test",
    "source_channel",
    "cancel_reason",
    "customer",
    "billing_address",
    "shipping_address",
    "lines",
    "shipping_lines",
    "adjustments",
    "taxes",
    "payments",
    "refunds",
    "taxes_included",
    "totals",
    "attributes",
    "raw_payment_status",
    "raw_fulfillment_status",
];
const LINES_MAX: usize = 5_000;

impl Check {
    pub(super) fn order(&mut self, order: &Map) -> Summary {
        self.only(order, "", FIELDS);
        self.texts(order, "", &["status", "currency"], true);
        self.texts(order, "", &["number", "note", "po_number", "payment_status", "fulfillment_status"], false);
        self.one_of(order, "", "status", &["draft", "pending", "open", "on_hold", "completed", "cancelled", "failed", "unknown"]);
        self.one_of(
            order,
            "",
            "payment_status",
            &["pending", "authorized", "partially_paid", "paid", "partially_refunded", "refunded", "voided", "failed", "unknown"],
        );
        self.one_of(
            order,
            "",
            "fulfillment_status",
            &["unfulfilled", "in_progress", "scheduled", "on_hold", "partially_fulfilled", "fulfilled", "returned", "unknown"],
        );
        for key in ["placed_at", "cancelled_at"] {
            self.time(order, key);
        }
        let currency = text(order, "currency");
        let grand = self.balance(order, currency.as_deref().unwrap_or_default());
        Summary {
            number: text(order, "number"),
            updated_at: self.time(order, "updated_at"),
            customer_email: order.get("customer").and_then(|c| c.get("email")).and_then(Value::as_str).map(str::to_owned),
            currency,
            grand_total: grand,
        }
    }

    fn balance(&mut self, order: &Map, currency: &str) -> Option<Decimal> {
        let Some(Value::Bool(taxes_included)) = order.get("taxes_included") else {
            self.fail("taxes_included", IssueCode::Required, "the field taxes_included is required".into());
            return None;
        };
        let Some(totals) = order.get("totals").and_then(Value::as_map) else {
            self.fail("totals", IssueCode::Required, "the totals are required".into());
            return None;
        };
        self.only(
            totals,
            "totals",
            &["subtotal", "discount", "shipping", "tax", "tip", "duty", "fee", "rounding", "grand", "refunded"],
        );
        let grand = self.amount(totals, "totals", "grand", true);
        let tax = self.amount(totals, "totals", "tax", false).unwrap_or_default();
        let lines = self.lines(order)?;
        let (shipping, shipping_count) = self.sum(order, "shipping_lines", &[("amount", 1), ("discount_total", -1)])?;
        let (adjustments, adjustment_count) = self.sum(order, "adjustments", &[("amount", 1)])?;
        let mut total = lines.total.checked_add(shipping)?.checked_add(adjustments)?;
        for part in ["tip", "duty", "fee", "rounding"] {
            total = total.checked_add(self.amount(totals, "totals", part, false).unwrap_or_default())?;
        }
        if !taxes_included {
            total = total.checked_add(tax)?;
        }
        let grand = grand?;
        let parts = Decimal::from(lines.count + shipping_count + adjustment_count + 1);
        if (total - grand).abs() > minor_unit(currency) * parts {
            let sentence = format!(
                "the parts of the order add up to {} {currency}, but its total says {grand} {currency}",
                total.normalize()
            );
            self.fail("totals.grand", IssueCode::Unbalanced, sentence);
        }
        Some(grand)
    }

    fn lines(&mut self, order: &Map) -> Option<Lines> {
        let lines = order.get("lines").and_then(Value::as_list).unwrap_or_default();
        if lines.len() > LINES_MAX {
            self.fail("lines", IssueCode::TooMany, format!("an order has at most {LINES_MAX} lines"));
            return None;
        }
        let mut total = Decimal::ZERO;
        for (index, line) in lines.iter().enumerate() {
            let at = format!("lines[{index}]");
            let Some(line) = line.as_map() else { continue };
            let quantity = self.amount(line, &at, "quantity", true)?;
            if quantity.is_sign_negative() && !quantity.is_zero() {
                self.fail(&join(&at, "quantity"), IssueCode::OutOfRange, "a quantity is never negative".into());
            }
            let unit_price = self.amount(line, &at, "unit_price", true)?;
            let discount = self.amount(line, &at, "discount_total", false).unwrap_or_default();
            total = total.checked_add(quantity.checked_mul(unit_price)?)?.checked_sub(discount)?;
        }
        Some(Lines { total, count: lines.len() })
    }

    fn sum(&mut self, order: &Map, list: &str, keys: &[(&str, i8)]) -> Option<(Decimal, usize)> {
        let entries = order.get(list).and_then(Value::as_list).unwrap_or_default();
        let mut total = Decimal::ZERO;
        for (index, entry) in entries.iter().enumerate() {
            let Some(entry) = entry.as_map() else { continue };
            for (key, sign) in keys {
                let amount = self.amount(entry, &format!("{list}[{index}]"), key, false).unwrap_or_default();
                total = total.checked_add(amount * Decimal::from(*sign))?;
            }
        }
        Some((total, entries.len()))
    }
}

struct Lines {
    total: Decimal,
    count: usize,
}

#[cfg(test)]
mod tests {
    use crate::canonical::{check, content_hash};
    use crate::mapping::IssueCode;
    use crate::record::RecordKind;
    use crate::value::{Limits, Value};

    fn order(grand: &str, extra: &str) -> Value {
        let json = format!(
            r#"{{"source_id":"1","status":"open","currency":"USD","taxes_included":false{extra},
                "lines":[{{"quantity":"2","unit_price":"10.00","discount_total":"1.00"}}],
                "shipping_lines":[{{"amount":"5.00"}}],"adjustments":[{{"kind":"tip","amount":"0.50"}}],
                "totals":{{"tax":"1.90","grand":"{grand}"}}}}"#
        );
        Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
    }

    #[test]
    fn an_order_that_adds_up_passes() {
        let summary = check(RecordKind::Order, &order("26.40", "")).unwrap();
        assert_eq!(summary.grand_total.unwrap().to_string(), "26.40");
    }

    #[test]
    fn one_that_does_not_is_unbalanced_with_both_amounts() {
        let issues = check(RecordKind::Order, &order("26.90", "")).unwrap_err();
        assert_eq!(issues[0].code, IssueCode::Unbalanced);
        assert_eq!(issues[0].sentence, "the parts of the order add up to 26.4 USD, but its total says 26.90 USD");
    }

    #[test]
    fn a_field_that_the_model_lacks_is_refused() {
        assert!(check(RecordKind::Order, &order("26.40", r#","colour":"red""#)).is_err());
    }

    #[test]
    fn ids_and_numbers_that_no_index_row_holds_are_refused() {
        for (kind, json, sentence) in [
            (RecordKind::Item, format!(r#"{{"source_id":"{}"}}"#, "é".repeat(101)), "source_id has 202 bytes, more than the 200"),
            (RecordKind::Item, r#"{"source_id":"a\tb"}"#.to_owned(), "source_id has a control character"),
            (RecordKind::Item, format!(r#"{{"source_id":"1","number":"{}"}}"#, "é".repeat(201)), "number has 201 characters"),
        ] {
            let issues = check(kind, &Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()).unwrap_err();
            assert_eq!(issues[0].code, IssueCode::OutOfRange);
            assert!(issues[0].sentence.contains(sentence), "{}", issues[0].sentence);
        }
        let longest = format!(r#"{{"source_id":"{}","number":"{}"}}"#, "é".repeat(100), "é".repeat(200));
        assert!(check(RecordKind::Item, &Value::parse(longest.as_bytes(), &Limits::DEFAULT).unwrap()).is_ok());
    }

    #[test]
    fn touching_an_order_does_not_change_what_it_says() {
        let touched = content_hash(&order("26.40", r#","updated_at":"2026-11-24T00:00:00.000Z""#));
        assert_eq!(content_hash(&order("26.40", "")), touched);
        assert_ne!(content_hash(&order("26.41", "")), touched);
    }
}
