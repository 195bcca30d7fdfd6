//! The canonical model: what a record of each kind must say, whatever system it comes from. It is written once, in [`model`]; [`check`]
//! refuses a document that breaks it, so that no wrong record is ever planned for a destination.

mod check;
pub mod model;
pub mod shape;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::mapping::Issue;
use crate::record::RecordKind;
use crate::value::{Map, Value};
use shape::Shape;

/// The version of the model. Fields that need not be there are added without a new one.
pub const VERSION: u32 = 1;

/// What lists and searches show of a record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    pub number: Option<String>,
    pub updated_at: Option<DateTime<Utc>>,
    /// When it is to be where it goes, for the business: an order's `ship_by`, else its `deliver_by`.
    pub due_by: Option<DateTime<Utc>>,
    pub customer_email: Option<String>,
    pub currency: Option<String>,
    /// What it comes to: an order's or an invoice's total, a payment's amount.
    pub grand_total: Option<Decimal>,
    /// Its parts do not add up to its total.
    pub unbalanced: Option<Issue>,
}

/// What a document of this kind looks like.
#[must_use]
pub fn shape(kind: RecordKind) -> &'static Shape {
    match kind {
        RecordKind::Order => &model::Order,
        RecordKind::Customer => &model::Customer,
        RecordKind::Item => &model::Item,
        RecordKind::InventoryLevel => &model::InventoryLevel,
        RecordKind::Shipment => &model::Shipment,
        RecordKind::Invoice => &model::Invoice,
        RecordKind::Return => &model::Return,
        RecordKind::Payment => &model::Payment,
        RecordKind::Refund => &model::Refund,
        RecordKind::PurchaseOrder => &model::PurchaseOrder,
    }
}

/// Checks a document against the model.
///
/// # Errors
/// What is wrong with it, at most 50 issues.
pub fn check(kind: RecordKind, document: &Value) -> Result<Summary, Vec<Issue>> {
    let summary = examine(kind, document)?;
    match summary.unbalanced {
        Some(issue) => Err(vec![issue]),
        None => Ok(summary),
    }
}

/// As [`check`], but a document whose parts do not add up to its total is one that says so: what to do about it is the flow's to decide.
///
/// # Errors
/// As [`check`].
pub fn examine(kind: RecordKind, document: &Value) -> Result<Summary, Vec<Issue>> {
    let mut check = check::Check::default();
    let mut summary = check.document(kind, shape(kind), document);
    summary.unbalanced = check.unbalanced;
    if check.issues.is_empty() { Ok(summary) } else { Err(check.issues) }
}

/// The id of the thing at its source.
#[must_use]
pub fn source_id(document: &Value) -> Option<String> {
    document.get("source_id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// True where a text can be the id of a thing: ids are part of index rows, which Postgres bounds, and it takes no NUL.
#[must_use]
pub fn is_id(text: &str) -> bool {
    text.len() <= shape::ID_BYTES_MAX && !text.contains(char::is_control)
}

/// What the document refers to that has records of its own: the customer, and the items of its lines, each once, by their ids at the source.
#[must_use]
pub fn references(document: &Value) -> Vec<(RecordKind, String)> {
    let id = |value: Option<&Value>| value?.get("source_id").and_then(source_text).filter(|id| !id.is_empty());
    let customer = id(document.get("customer")).map(|id| (RecordKind::Customer, id));
    let lines = document.get("lines").and_then(Value::as_list).unwrap_or_default();
    let items = lines.iter().filter_map(|line| Some((RecordKind::Item, id(line.get("item"))?)));
    let mut references: Vec<(RecordKind, String)> = Vec::new();
    for reference in customer.into_iter().chain(items) {
        if !references.contains(&reference) {
            references.push(reference);
        }
    }
    references
}

fn source_text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// SHA-256 over what the document says, apart from when it was last touched: a webhook that only moves `updated_at` changes nothing, nor does
/// a level that was counted anew (`as_of`) and is the same.
#[must_use]
pub fn content_hash(document: &Value) -> [u8; 32] {
    match document {
        Value::Map(map) if map.contains_key("updated_at") || map.contains_key("as_of") => {
            let mut map: Map = map.clone();
            map.shift_remove("updated_at");
            map.shift_remove("as_of");
            Value::Map(map).canonical_hash()
        }
        other => other.canonical_hash(),
    }
}
