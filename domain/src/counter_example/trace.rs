//! What a record says and what is written of it: two records that differ in one amount should not be written alike. A mapping that passes
//! over a tip writes an order of another sum, and nothing fails.

use super::compare::{Difference, differences};
use super::dice::Dice;
use super::draft::Draft;
use super::presence;
use crate::canonical::shape::Is;
use crate::record::RecordKind;
use crate::value::{Map, Value, decimal};

/// Two records that differ in one thing.
pub(super) struct Trace {
    pub name: &'static str,
    one: fn(&mut Draft),
    other: fn(&mut Draft),
}

const fn trace(name: &'static str, one: fn(&mut Draft), other: fn(&mut Draft)) -> Trace {
    Trace { name, one, other }
}

pub(super) const TRACES: &[Trace] = &[
    trace("the quantity of a line", |d| row(d, "lines", quantity(d), "1"), |d| row(d, "lines", quantity(d), "2")),
    trace("the price of a line", |d| row(d, "lines", "unit_price", "10"), |d| row(d, "lines", "unit_price", "11")),
    trace("the cost of a line", |d| row(d, "lines", "unit_cost", "10"), |d| row(d, "lines", "unit_cost", "11")),
    trace("the discount of a line", |d| row(d, "lines", "discount_total", "1"), |d| row(d, "lines", "discount_total", "2")),
    trace("the tax of a line", |d| row(d, "lines", "tax_total", "1"), |d| row(d, "lines", "tax_total", "2")),
    trace("the price of shipping", |d| row(d, "shipping_lines", "amount", "5"), |d| row(d, "shipping_lines", "amount", "6")),
    trace("the discount of shipping", |d| shipping(d, "1"), |d| shipping(d, "2")),
    trace("a discount of the whole", |d| adjustment(d, "discount", "-1"), |d| adjustment(d, "discount", "-2")),
    trace("a charge of the whole", |d| adjustment(d, "fee", "1"), |d| adjustment(d, "fee", "2")),
    trace("the tip", |d| total(d, "tip", "1"), |d| total(d, "tip", "2")),
    trace("the duty", |d| total(d, "duty", "1"), |d| total(d, "duty", "2")),
    trace("the fee", |d| total(d, "fee", "1"), |d| total(d, "fee", "2")),
    trace("what rounding added", |d| total(d, "rounding", "0.01"), |d| total(d, "rounding", "0.02")),
    trace("the amount", |d| d.set("amount", "1"), |d| d.set("amount", "2")),
    trace("the currency", |d| currency(d, "USD"), |d| currency(d, "EUR")),
    trace("whether stock is known", |d| level(d, Some("0")), |d| level(d, None)),
    trace("how much stock may be sold", |d| level(d, Some("1")), |d| level(d, Some("2"))),
];

impl Trace {
    /// Both records; `None` where the kind has no such thing.
    pub fn pair(&self, kind: RecordKind, plain: &Value) -> Option<(Value, Value)> {
        let make = |change: fn(&mut Draft)| {
            let mut draft = Draft::new(kind, plain, Dice::new(0, 0));
            change(&mut draft);
            draft.finish()
        };
        let (one, other) = (make(self.one), make(self.other));
        (one != other).then_some((one, other))
    }
}

/// False where all that differs is the total, which is written to be compared.
pub(super) fn is_written(pair: (&Value, &Value), payloads: (&Value, &Value)) -> bool {
    let sums = |document: &Value| {
        let sum = |name: &str| document.get("totals")?.get(name)?.as_str().and_then(decimal);
        ["grand", "due"].map(sum)
    };
    let (one, other) = (sums(pair.0), sums(pair.1));
    let is_total = |difference: &Difference| {
        let (here, there) = (difference.one.to_decimal(), difference.other.to_decimal());
        here.is_some() && one.iter().zip(&other).any(|(one, other)| here == *one && there == *other)
    };
    differences(payloads.0, payloads.1).iter().any(|difference| !is_total(difference))
}

fn quantity(draft: &Draft) -> &'static str {
    if draft.kind == RecordKind::Return { "quantity_requested" } else { "quantity" }
}

fn row(draft: &mut Draft, list: &str, name: &str, value: &str) {
    let Some(Is::List(shape)) = draft.shape().field(list).map(|field| field.is) else { return };
    if shape.field(name).is_none() {
        return;
    }
    let rows = draft.list(list).into_iter();
    rows.for_each(|rows| {
        if rows.is_empty() {
            rows.push(Value::Map(Map::new()));
        }
        if let Some(Value::Map(first)) = rows.first_mut() {
            first.insert(name.to_owned(), value.into());
            // Taxes one by one would no longer be the tax in all.
            if name == "tax_total" {
                first.shift_remove("taxes");
            }
            for field in shape.fields.iter().filter(|field| field.required) {
                first.entry(field.name.to_owned()).or_insert_with(|| presence::plain(field));
            }
        }
    });
}

fn shipping(draft: &mut Draft, discount: &str) {
    row(draft, "shipping_lines", "amount", "5");
    row(draft, "shipping_lines", "discount_total", discount);
}

fn adjustment(draft: &mut Draft, kind: &str, amount: &str) {
    row(draft, "adjustments", "kind", kind);
    row(draft, "adjustments", "amount", amount);
}

fn total(draft: &mut Draft, name: &str, amount: &str) {
    // Those of a purchase order are what its vendor says, and no parts of it.
    if !matches!(draft.kind, RecordKind::Order | RecordKind::Invoice) {
        return;
    }
    if let Some(Value::Map(totals)) = draft.map.get_mut("totals") {
        totals.insert(name.to_owned(), amount.into());
    }
}

/// Where amounts must be there; elsewhere it says little.
fn currency(draft: &mut Draft, code: &str) {
    if draft.shape().field("currency").is_some_and(|field| field.required) {
        draft.set("currency", code);
    }
}

fn level(draft: &mut Draft, available: Option<&str>) {
    if draft.has("quantities") {
        let known = available.map_or_else(|| ("damaged".to_owned(), "0".into()), |level| ("available".to_owned(), level.into()));
        draft.set("quantities", Value::Map([known].into_iter().collect()));
    }
}
