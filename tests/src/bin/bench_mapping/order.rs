//! The order that is mapped, as a shop sends it, and the rules for it.

use std::collections::HashMap;

use domain::mapping::Rules;

/// The whole order of a shop as a canonical one: plain fields, conditions, texts put together, lookups, sums, units, lists within lists.
pub const RULES: &str = r#"[
  {"to": "source_id", "from": "id", "as": "text", "required": true},
  {"to": "number", "from": "name", "as": "text"},
  {"to": "status", "expr": "!is_empty(cancelled_at) ? 'cancelled' : !is_empty(closed_at) ? 'completed' : 'open'"},
  {"to": "payment_status", "from": "financial_status", "lookup": "payment_status", "on_missing": "default", "default": "unknown"},
  {"to": "currency", "from": "currency", "as": "currency", "required": true},
  {"to": "placed_at", "from": "created_at", "as": "timestamp"},
  {"to": "updated_at", "from": "updated_at", "as": "timestamp"},
  {"to": "note", "from": "note", "as": "text"},
  {"to": "test", "from": "test", "as": "bool"},
  {"to": "customer.source_id", "from": "customer.id", "as": "text"},
  {"to": "customer.name", "expr": "trim(concat(customer.first_name, ' ', customer.last_name))"},
  {"to": "customer.email", "expr": "lower(customer.email || email)"},
  {"to": "billing_address.name", "expr": "trim(concat(billing_address.first_name, ' ', billing_address.last_name))"},
  {"to": "billing_address.line1", "from": "billing_address.address1"},
  {"to": "billing_address.city", "from": "billing_address.city"},
  {"to": "billing_address.region_code", "from": "billing_address.province_code"},
  {"to": "billing_address.postal_code", "from": "billing_address.zip", "as": "text"},
  {"to": "billing_address.country", "from": "billing_address.country_code", "as": "country"},
  {"to": "shipping_address.name", "expr": "trim(concat(shipping_address.first_name, ' ', shipping_address.last_name))"},
  {"to": "shipping_address.line1", "from": "shipping_address.address1"},
  {"to": "shipping_address.city", "from": "shipping_address.city"},
  {"to": "shipping_address.region_code", "from": "shipping_address.province_code"},
  {"to": "shipping_address.postal_code", "from": "shipping_address.zip", "as": "text"},
  {"to": "shipping_address.country", "from": "shipping_address.country_code", "as": "country"},
  {"to": "lines", "each": "line_items", "required": true, "rules": [
    {"to": "line_no", "expr": "$index + 1", "as": "int"},
    {"to": "source_id", "from": "id", "as": "text"},
    {"to": "sku", "from": "sku", "lookup": "SKUs", "required": true},
    {"to": "title", "from": "title", "as": "text"},
    {"to": "quantity", "from": "quantity", "as": "int", "required": true},
    {"to": "unit_price", "from": "price", "as": "money", "required": true},
    {"to": "discount_total", "expr": "sum(discount_allocations.amount)", "as": "money"},
    {"to": "weight_kg", "expr": "convert_unit(grams, 'g', 'kg')", "as": "decimal"},
    {"to": "taxes", "each": "tax_lines", "rules": [
      {"to": "code", "from": "title", "lookup": "tax"},
      {"to": "rate", "from": "rate", "as": "decimal"},
      {"to": "amount", "from": "price", "as": "money"}]}]},
  {"to": "shipping_lines", "each": "shipping_lines", "rules": [
    {"to": "code", "from": "code", "lookup": "ship", "on_missing": "keep"},
    {"to": "amount", "from": "price", "as": "money"}]},
  {"to": "taxes_included", "from": "taxes_included", "as": "bool"},
  {"to": "totals.subtotal", "from": "subtotal_price", "as": "money"},
  {"to": "totals.discount", "from": "total_discounts", "as": "money"},
  {"to": "totals.shipping", "expr": "sum(shipping_lines.price)", "as": "money"},
  {"to": "totals.tax", "from": "total_tax", "as": "money"},
  {"to": "totals.grand", "from": "total_price", "as": "money", "required": true}
]"#;

pub type Tables = HashMap<String, HashMap<String, String>>;

pub fn tables() -> Tables {
    let table = |entries: &[(&str, &str)]| entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    [
        ("SKUs".to_owned(), (0..200).map(|n| (format!("HAT-{n:03}"), format!("{}", 88_000 + n))).collect()),
        ("tax".to_owned(), table(&[("State tax", "ST"), ("County tax", "CT")])),
        ("ship".to_owned(), table(&[("Standard", "std")])),
        ("payment_status".to_owned(), table(&[("paid", "paid"), ("pending", "pending")])),
    ]
    .into()
}

/// An order of so many lines; more are added until it has so many bytes.
pub fn document(lines: usize, bytes: Option<usize>) -> Vec<u8> {
    let address = r#"{"first_name":"Ada","last_name":"Lovelace","company":null,"address1":"12 St James Square","city":"Portland","province":"Oregon","province_code":"OR","zip":"97205","country_code":"US","phone":null}"#;
    let head = format!(
        r##"{{"id":5123456789012345678,"name":"#1042","order_number":1042,"financial_status":"paid","fulfillment_status":null,"currency":"USD","created_at":"2026-11-24T09:25:18-08:00","updated_at":"2026-11-24T09:25:20-08:00","cancelled_at":null,"closed_at":null,"email":"Ada@example.com","note":"Leave it \"at the door\"","tags":"vip","test":false,"taxes_included":false,"customer":{{"id":7123456789012345678,"first_name":"Ada","last_name":"Lovelace","email":"Ada@example.com","orders_count":3}},"billing_address":{address},"shipping_address":{address},"shipping_lines":[{{"title":"Standard","code":"Standard","price":"5.00"}}],"subtotal_price":"239.88","total_discounts":"1.00","total_tax":"19.79","total_price":"263.67","line_items":["##
    );
    let mut text = head;
    for n in 0_usize.. {
        if n >= lines && bytes.is_none_or(|bytes| text.len() >= bytes) {
            break;
        }
        if n > 0 {
            text.push(',');
        }
        // Every third line has a discount, every second two taxes.
        let discounts = if n % 3 == 0 { r#"{"amount":"0.25"}"# } else { "" };
        let second = if n % 2 == 0 { r#",{"title":"County tax","price":"0.65","rate":0.0325}"# } else { "" };
        text.push_str(&format!(
            r#"{{"id":{},"sku":"HAT-{:03}","title":"Felt hat no. {n}","quantity":{},"price":"19.99","grams":{},"vendor":"Acme Hats Ltd","fulfillable":true,"discount_allocations":[{discounts}],"tax_lines":[{{"title":"State tax","price":"1.00","rate":0.05}}{second}]}}"#,
            9_000_000_000_000_000 + n,
            n % 200,
            1 + n % 4,
            120 + n % 50,
        ));
    }
    text.push_str("]}");
    text.into_bytes()
}

/// Rules within rules counted too.
pub fn count(rules: &Rules) -> usize {
    rules.0.iter().map(|rule| 1 + rule.rules.clone().map_or(0, |inner| count(&Rules(inner)))).sum()
}
