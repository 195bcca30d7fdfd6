//! What a record says, typed: the canonical model as GraphQL types. They are made of the same words as the checks and the JSON Schemas
//! (`domain/src/canonical/model.rs`), so that none of them can say something else.

use async_graphql::{SimpleObject, Union};
use chrono::{DateTime, Utc};
use domain::record::RecordKind;
use domain::value::{Limits, Map, Value};

/// Reads a field of a document. What a stored record lacks, or has in another shape, is absent: it was checked when it came.
trait Read: Sized {
    fn read(value: &Value) -> Option<Self>;
}

impl Read for String {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Read for bool {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Bool(flag) = value { Some(*flag) } else { None }
    }
}

impl Read for i32 {
    fn read(value: &Value) -> Option<Self> {
        if let Value::Number(number) = value { number.as_str().parse().ok() } else { None }
    }
}

impl Read for DateTime<Utc> {
    fn read(value: &Value) -> Option<Self> {
        DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|at| at.to_utc())
    }
}

impl<T: Read> Read for Vec<T> {
    fn read(value: &Value) -> Option<Self> {
        Some(value.as_list()?.iter().filter_map(T::read).collect())
    }
}

/// JSON as text, so that numbers keep their digits.
struct AsJson(String);

impl Read for AsJson {
    fn read(value: &Value) -> Option<Self> {
        (!value.is_null()).then(|| Self(value.to_json()))
    }
}

fn field<T: Read>(map: &Map, name: &str) -> Option<T> {
    map.get(name).and_then(T::read)
}

macro_rules! canonical_objects {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident {
            $( $(#[doc = $field_doc:literal])+ $field:ident: $is:ident $(($($of:tt)*))? $([$($flag:ident),*])?; )*
        }
    )*) => { $(
        $(#[doc = $doc])+
        #[derive(SimpleObject)]
        pub struct $name {
            $( $(#[doc = $field_doc])+ $field: Option<canonical_objects!(@type $is $(($($of)*))?)>, )*
        }

        impl Read for $name {
            fn read(value: &Value) -> Option<Self> {
                let map = value.as_map()?;
                Some(Self { $( $field: canonical_objects!(@read $is $(($($of)*))? map, $field) ),* })
            }
        }
    )* };
    (@type flag) => { bool };
    (@type count) => { i32 };
    (@type time) => { DateTime<Utc> };
    (@type texts) => { Vec<String> };
    (@type group($shape:ident)) => { $shape };
    (@type list($shape:ident)) => { Vec<$shape> };
    (@type $is:ident $(($($of:tt)*))?) => { String };
    (@read any $map:ident, $field:ident) => { field::<AsJson>($map, stringify!($field)).map(|json| json.0) };
    (@read $is:ident $(($($of:tt)*))? $map:ident, $field:ident) => { field($map, stringify!($field)) };
}

domain::canonical_model!(canonical_objects);

/// What a record says: a type for each kind.
#[derive(Union)]
pub enum RecordContent {
    Order(Order),
    Customer(Customer),
    Item(Item),
    InventoryLevel(InventoryLevel),
    Shipment(Shipment),
    Invoice(Invoice),
    Return(Return),
    Payment(Payment),
    Refund(Refund),
    PurchaseOrder(PurchaseOrder),
}

impl RecordContent {
    /// `None` where the document cannot be read.
    pub fn read(kind: RecordKind, document: &str) -> Option<Self> {
        let value = Value::parse(document.as_bytes(), &Limits::DEFAULT).ok()?;
        Some(match kind {
            RecordKind::Order => Self::Order(Order::read(&value)?),
            RecordKind::Customer => Self::Customer(Customer::read(&value)?),
            RecordKind::Item => Self::Item(Item::read(&value)?),
            RecordKind::InventoryLevel => Self::InventoryLevel(InventoryLevel::read(&value)?),
            RecordKind::Shipment => Self::Shipment(Shipment::read(&value)?),
            RecordKind::Invoice => Self::Invoice(Invoice::read(&value)?),
            RecordKind::Return => Self::Return(Return::read(&value)?),
            RecordKind::Payment => Self::Payment(Payment::read(&value)?),
            RecordKind::Refund => Self::Refund(Refund::read(&value)?),
            RecordKind::PurchaseOrder => Self::PurchaseOrder(PurchaseOrder::read(&value)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_and_what_is_absent_stays_absent() {
        let json = r#"{"source_id":"9007199254740993","lines":[{"quantity":"2","unit_price":"0.10","taxes":[{"rate":"0.0825"}]}],
            "totals":{"grand":"0.20"},"test":false,"placed_at":"2026-11-27T10:00:00Z","attributes":{"big":12345678901234567890.10}}"#;
        let Some(RecordContent::Order(order)) = RecordContent::read(RecordKind::Order, json) else { panic!("it is an order") };
        let line = &order.lines.as_ref().unwrap()[0];
        assert_eq!((line.unit_price.as_deref(), line.sku.as_deref()), (Some("0.10"), None));
        assert_eq!(line.taxes.as_ref().unwrap()[0].rate.as_deref(), Some("0.0825"));
        assert_eq!(order.attributes.as_deref(), Some(r#"{"big":12345678901234567890.10}"#));
        assert_eq!((order.test, order.adjustments.is_none()), (Some(false), true));
    }
}
