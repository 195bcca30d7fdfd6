//! The same mapping as a developer would write it for this one vendor, and as fast as that gets without tricks.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::order::Tables;

#[derive(Deserialize)]
struct Order<'a> {
    id: u64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    financial_status: Cow<'a, str>,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    #[serde(borrow)]
    created_at: Cow<'a, str>,
    #[serde(borrow)]
    updated_at: Cow<'a, str>,
    #[serde(borrow)]
    cancelled_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    closed_at: Option<Cow<'a, str>>,
    #[serde(borrow)]
    email: Option<Cow<'a, str>>,
    #[serde(borrow)]
    note: Option<Cow<'a, str>>,
    test: bool,
    taxes_included: bool,
    #[serde(borrow)]
    customer: Customer<'a>,
    #[serde(borrow)]
    billing_address: Address<'a>,
    #[serde(borrow)]
    shipping_address: Address<'a>,
    #[serde(borrow)]
    shipping_lines: Vec<ShippingLine<'a>>,
    subtotal_price: Decimal,
    total_discounts: Decimal,
    total_tax: Decimal,
    total_price: Decimal,
    #[serde(borrow)]
    line_items: Vec<Line<'a>>,
}

#[derive(Deserialize)]
struct Customer<'a> {
    id: u64,
    #[serde(borrow)]
    first_name: Cow<'a, str>,
    #[serde(borrow)]
    last_name: Cow<'a, str>,
    #[serde(borrow)]
    email: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Address<'a> {
    #[serde(borrow)]
    first_name: Cow<'a, str>,
    #[serde(borrow)]
    last_name: Cow<'a, str>,
    #[serde(borrow)]
    address1: Cow<'a, str>,
    #[serde(borrow)]
    city: Cow<'a, str>,
    #[serde(borrow)]
    province_code: Cow<'a, str>,
    #[serde(borrow)]
    zip: Cow<'a, str>,
    #[serde(borrow)]
    country_code: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ShippingLine<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    price: Decimal,
}

#[derive(Deserialize)]
struct Line<'a> {
    id: u64,
    #[serde(borrow)]
    sku: Cow<'a, str>,
    #[serde(borrow)]
    title: Cow<'a, str>,
    quantity: u64,
    price: Decimal,
    grams: u64,
    discount_allocations: Vec<Discount>,
    #[serde(borrow)]
    tax_lines: Vec<Tax<'a>>,
}

#[derive(Deserialize)]
struct Discount {
    amount: Decimal,
}

#[derive(Deserialize)]
struct Tax<'a> {
    #[serde(borrow)]
    title: Cow<'a, str>,
    price: Decimal,
    /// A number of JSON: read as its digits, because a float would not keep them.
    #[serde(borrow)]
    rate: &'a RawValue,
}

#[derive(Serialize)]
struct OrderOut<'a> {
    source_id: String,
    number: &'a str,
    status: &'static str,
    payment_status: &'a str,
    currency: &'a str,
    placed_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
    test: bool,
    customer: CustomerOut,
    billing_address: AddressOut<'a>,
    shipping_address: AddressOut<'a>,
    lines: Vec<LineOut<'a>>,
    shipping_lines: Vec<ShippingLineOut<'a>>,
    taxes_included: bool,
    totals: TotalsOut,
}

#[derive(Serialize)]
struct CustomerOut {
    source_id: String,
    name: String,
    email: String,
}

#[derive(Serialize)]
struct AddressOut<'a> {
    name: String,
    line1: &'a str,
    city: &'a str,
    region_code: &'a str,
    postal_code: &'a str,
    country: &'a str,
}

#[derive(Serialize)]
struct LineOut<'a> {
    line_no: usize,
    source_id: String,
    sku: &'a str,
    title: &'a str,
    quantity: u64,
    unit_price: Decimal,
    discount_total: Decimal,
    weight_kg: Decimal,
    taxes: Vec<TaxOut<'a>>,
}

#[derive(Serialize)]
struct TaxOut<'a> {
    code: &'a str,
    rate: Decimal,
    amount: Decimal,
}

#[derive(Serialize)]
struct ShippingLineOut<'a> {
    code: &'a str,
    amount: Decimal,
}

#[derive(Serialize)]
struct TotalsOut {
    subtotal: Decimal,
    discount: Decimal,
    shipping: Decimal,
    tax: Decimal,
    grand: Decimal,
}

#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Decimal(#[from] rust_decimal::Error),
    #[error(transparent)]
    Time(#[from] chrono::ParseError),
    #[error("{0} has no entry")]
    NoEntry(String),
    #[error("an amount has too many digits")]
    Overflow,
    #[error("{0} is no code")]
    NoCode(String),
}

pub fn map(json: &[u8], tables: &Tables, out: &mut String) -> Result<(), Wrong> {
    let order: Order<'_> = serde_json::from_slice(json)?;
    let find = |table: &str, key: &str| tables.get(table).and_then(|entries| entries.get(key)).map(String::as_str);
    let must = |table: &str, key: &str| find(table, key).ok_or_else(|| Wrong::NoEntry(key.to_owned()));
    let time = |text: &str| -> Result<String, Wrong> {
        Ok(DateTime::parse_from_rfc3339(text)?.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Millis, true))
    };
    if !(order.currency.len() == 3 && order.currency.bytes().all(|byte| byte.is_ascii_uppercase())) {
        return Err(Wrong::NoCode(order.currency.into_owned()));
    }
    let status = match (&order.cancelled_at, &order.closed_at) {
        (Some(at), _) if !at.is_empty() => "cancelled",
        (_, Some(at)) if !at.is_empty() => "completed",
        _ => "open",
    };
    let mut lines = Vec::with_capacity(order.line_items.len());
    for (index, line) in order.line_items.iter().enumerate() {
        let mut taxes = Vec::with_capacity(line.tax_lines.len());
        for tax in &line.tax_lines {
            let rate = Decimal::from_str_exact(tax.rate.get())?;
            taxes.push(TaxOut { code: must("tax", &tax.title)?, rate, amount: tax.price });
        }
        lines.push(LineOut {
            line_no: index + 1,
            source_id: line.id.to_string(),
            sku: must("SKUs", &line.sku)?,
            title: &line.title,
            quantity: line.quantity,
            unit_price: line.price,
            discount_total: sum(line.discount_allocations.iter().map(|discount| discount.amount))?,
            weight_kg: Decimal::from(line.grams).checked_div(Decimal::ONE_THOUSAND).ok_or(Wrong::Overflow)?.normalize(),
            taxes,
        });
    }
    let mapped = OrderOut {
        source_id: order.id.to_string(),
        number: &order.name,
        status,
        payment_status: find("payment_status", &order.financial_status).unwrap_or("unknown"),
        currency: &order.currency,
        placed_at: time(&order.created_at)?,
        updated_at: time(&order.updated_at)?,
        note: order.note.as_deref(),
        test: order.test,
        customer: CustomerOut {
            source_id: order.customer.id.to_string(),
            name: name(&order.customer.first_name, &order.customer.last_name),
            email: order.customer.email.as_ref().or(order.email.as_ref()).map(|email| email.to_lowercase()).unwrap_or_default(),
        },
        billing_address: address(&order.billing_address)?,
        shipping_address: address(&order.shipping_address)?,
        lines,
        shipping_lines: order
            .shipping_lines
            .iter()
            .map(|line| ShippingLineOut { code: find("ship", &line.code).unwrap_or(&line.code), amount: line.price })
            .collect(),
        taxes_included: order.taxes_included,
        totals: TotalsOut {
            subtotal: order.subtotal_price,
            discount: order.total_discounts,
            shipping: sum(order.shipping_lines.iter().map(|line| line.price))?,
            tax: order.total_tax,
            grand: order.total_price,
        },
    };
    // The same buffer each time, as on the other side.
    let mut bytes = std::mem::take(out).into_bytes();
    serde_json::to_writer(&mut bytes, &mapped)?;
    *out = String::from_utf8(bytes).unwrap_or_default();
    Ok(())
}

fn sum(mut amounts: impl Iterator<Item = Decimal>) -> Result<Decimal, Wrong> {
    amounts.try_fold(Decimal::ZERO, |sum, amount| sum.checked_add(amount)).ok_or(Wrong::Overflow)
}

fn name(first: &str, last: &str) -> String {
    let mut name = String::with_capacity(first.len() + last.len() + 1);
    name.push_str(first);
    name.push(' ');
    name.push_str(last);
    match name.trim().len() {
        length if length == name.len() => name,
        _ => name.trim().to_owned(),
    }
}

fn address<'a>(address: &'a Address<'_>) -> Result<AddressOut<'a>, Wrong> {
    let country = &address.country_code;
    if !(country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase())) {
        return Err(Wrong::NoCode(country.clone().into_owned()));
    }
    Ok(AddressOut {
        name: name(&address.first_name, &address.last_name),
        line1: &address.address1,
        city: &address.city,
        region_code: &address.province_code,
        postal_code: &address.zip,
        country,
    })
}
