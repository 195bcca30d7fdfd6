//! A search key is one id by which people know a record: its number, an SKU in it, a tracking number, the customer's address. A record is
//! found by what any of its revisions said. Which fields are keys stands in one table; what is stored and what is asked go through the same
//! [`normalised`], so that `#1042`, `1042` and ` 1042 ` are one.

use std::collections::HashSet;

use uuid::Uuid;

use crate::id::PREFIXES;
use crate::record::RecordKind;
use crate::value::Value;

/// Which id it is. The words are stored, so none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyKind {
    /// What people call the record: `#1042`.
    Number,
    /// The buyer's number of it.
    PoNumber,
    TrackingNumber,
    /// An address; only its keyed hash is stored.
    Email,
    Sku,
    /// A code of an item beside its SKU: GTIN, UPC, ASIN, …
    ItemCode,
    /// What people call the order that a shipment, an invoice, a return or a payment belongs to.
    OrderNumber,
    /// The id of that order where the record comes from.
    OrderId,
    /// What the bank or the gateway calls a payment.
    Transaction,
}

impl KeyKind {
    /// Those that an answer names first stand first.
    pub const ALL: [KeyKind; 9] = [
        Self::Number,
        Self::PoNumber,
        Self::TrackingNumber,
        Self::Email,
        Self::OrderNumber,
        Self::OrderId,
        Self::Transaction,
        Self::ItemCode,
        Self::Sku,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::PoNumber => "po",
            Self::TrackingNumber => "tracking",
            Self::Email => "email",
            Self::Sku => "sku",
            Self::ItemCode => "item_code",
            Self::OrderNumber => "order_number",
            Self::OrderId => "order_id",
            Self::Transaction => "transaction",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Numbers are found by their beginning, too: people type them.
    #[must_use]
    pub fn has_prefixes(self) -> bool {
        matches!(self, Self::Number | Self::PoNumber | Self::TrackingNumber | Self::OrderNumber)
    }
}

type Fields = &'static [(KeyKind, &'static str)];

const ORDER: Fields = &[
    (KeyKind::Number, "number"),
    (KeyKind::PoNumber, "po_number"),
    (KeyKind::Email, "customer.email"),
    (KeyKind::Sku, "lines.sku"),
];
const CUSTOMER: Fields = &[(KeyKind::Number, "number"), (KeyKind::Email, "email"), (KeyKind::Email, "addresses.email")];
const ITEM: Fields = &[(KeyKind::Number, "number"), (KeyKind::Sku, "sku"), (KeyKind::ItemCode, "external_ids.value")];
const INVENTORY_LEVEL: Fields = &[(KeyKind::Number, "number"), (KeyKind::Sku, "item.sku")];
const SHIPMENT: Fields = &[
    (KeyKind::Number, "number"),
    (KeyKind::TrackingNumber, "packages.tracking_number"),
    (KeyKind::TrackingNumber, "packages.sscc"),
    (KeyKind::Sku, "lines.sku"),
    (KeyKind::OrderNumber, "order.number"),
    (KeyKind::OrderNumber, "order.external_ref"),
    (KeyKind::OrderId, "order.source_id"),
];
const INVOICE: Fields = &[
    (KeyKind::Number, "number"),
    (KeyKind::PoNumber, "po_number"),
    (KeyKind::Email, "customer.email"),
    (KeyKind::Sku, "lines.sku"),
    (KeyKind::OrderNumber, "order.number"),
    (KeyKind::OrderNumber, "order.external_ref"),
    (KeyKind::OrderId, "order.source_id"),
];
const RETURN: Fields = &[
    (KeyKind::Number, "number"),
    (KeyKind::TrackingNumber, "tracking_number"),
    (KeyKind::Email, "customer.email"),
    (KeyKind::Sku, "lines.sku"),
    (KeyKind::OrderNumber, "order.number"),
    (KeyKind::OrderNumber, "order.external_ref"),
    (KeyKind::OrderId, "order.source_id"),
];
const PAYMENT: Fields = &[
    (KeyKind::Number, "number"),
    (KeyKind::Transaction, "transaction_ref"),
    (KeyKind::Email, "payer.email"),
    (KeyKind::OrderNumber, "order.number"),
    (KeyKind::OrderNumber, "order.external_ref"),
    (KeyKind::OrderId, "order.source_id"),
];
const REFUND: Fields = &[
    (KeyKind::Number, "number"),
    (KeyKind::OrderNumber, "order.number"),
    (KeyKind::OrderNumber, "order.external_ref"),
    (KeyKind::OrderId, "order.source_id"),
];
const PURCHASE_ORDER: Fields = &[
    (KeyKind::Number, "number"),
    (KeyKind::Email, "vendor.email"),
    (KeyKind::Sku, "lines.sku"),
    (KeyKind::Sku, "lines.vendor_sku"),
];

/// The fields of a kind of record that are keys, each as a path; lists on the way are stepped through.
#[must_use]
pub fn fields(kind: RecordKind) -> Fields {
    match kind {
        RecordKind::Order => ORDER,
        RecordKind::Customer => CUSTOMER,
        RecordKind::Item => ITEM,
        RecordKind::InventoryLevel => INVENTORY_LEVEL,
        RecordKind::Shipment => SHIPMENT,
        RecordKind::Invoice => INVOICE,
        RecordKind::Return => RETURN,
        RecordKind::Payment => PAYMENT,
        RecordKind::Refund => REFUND,
        RecordKind::PurchaseOrder => PURCHASE_ORDER,
    }
}

/// Bytes of a key; what is longer is no id that a person types.
pub const KEY_BYTES_MAX: usize = 128;
/// Keys of one revision; a record is found by the first so many.
pub const KEYS_MAX: usize = 1_000;
/// Characters of a beginning that is searched by: fewer would find everything.
const PREFIX_CHARS_MIN: usize = 2;

/// A key in plain text, normalised. An address in it must be hashed before it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SearchKey {
    pub kind: KeyKind,
    pub text: String,
}

/// The keys of a document, each once, at most [`KEYS_MAX`].
#[must_use]
pub fn of(kind: RecordKind, document: &Value) -> Vec<SearchKey> {
    let (mut keys, mut seen) = (Vec::new(), HashSet::new());
    for (kind, path) in fields(kind) {
        walk(document, path, &mut |value| {
            let Some(text) = value.to_text().and_then(|text| normalised(*kind, &text)) else { return };
            let key = SearchKey { kind: *kind, text };
            if keys.len() < KEYS_MAX && seen.insert(key.clone()) {
                keys.push(key);
            }
        });
    }
    keys
}

fn walk(value: &Value, path: &str, found: &mut impl FnMut(&Value)) {
    if let Some(list) = value.as_list() {
        return list.iter().for_each(|value| walk(value, path, found));
    }
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    match (value.get(key), rest) {
        (Some(value), Some(rest)) => walk(value, rest, found),
        (Some(value), None) => found(value),
        (None, _) => {}
    }
}

/// The form in which a key is stored and asked for; `None` where nothing of it is left, or too much.
#[must_use]
pub fn normalised(kind: KeyKind, text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    let text = match kind {
        KeyKind::Number | KeyKind::OrderNumber | KeyKind::PoNumber => lower.trim_start_matches('#').trim_start().to_owned(),
        // Carriers print them in groups.
        KeyKind::TrackingNumber => lower.chars().filter(|c| !c.is_whitespace() && *c != '-').collect(),
        // An id of a system is its own: its case may matter.
        KeyKind::OrderId | KeyKind::Transaction => text.trim().to_owned(),
        KeyKind::Email if !lower.contains('@') => return None,
        KeyKind::Email | KeyKind::Sku | KeyKind::ItemCode => lower,
    };
    (!text.is_empty() && text.len() <= KEY_BYTES_MAX && !text.contains('\0')).then_some(text)
}

/// What a person typed, as all that it may mean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// One of our own ids: its prefix and its row.
    Own { prefix: &'static str, row: Uuid },
    Keys {
        keys: Vec<SearchKey>,
        /// As it was typed, for the ids that other systems have of a record.
        text: String,
    },
}

impl Asked {
    /// `None` where it can mean nothing.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > KEY_BYTES_MAX {
            return None;
        }
        if let Some((prefix, row)) = own(text) {
            return Some(Self::Own { prefix, row });
        }
        let keys = KeyKind::ALL.into_iter().filter_map(|kind| Some(SearchKey { kind, text: normalised(kind, text)? }));
        Some(Self::Keys { keys: keys.collect(), text: text.to_owned() })
    }
}

fn own(text: &str) -> Option<(&'static str, Uuid)> {
    let (prefix, hex) = text.split_once('_')?;
    let (prefix, _) = PREFIXES.iter().find(|(known, _)| *known == prefix)?;
    Some((*prefix, Uuid::try_parse(hex).ok().filter(|_| hex.len() == 32)?))
}

/// The texts that begin with this one are those from it on and before the returned one, in the order of their bytes. `None` where it is too
/// short to search by.
#[must_use]
pub fn prefix_end(text: &str) -> Option<String> {
    if text.chars().count() < PREFIX_CHARS_MIN {
        return None;
    }
    // The highest character stands after all that may follow.
    Some(format!("{text}{}", char::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Limits;

    fn keys(kind: RecordKind, json: &str) -> Vec<String> {
        let document = Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap();
        of(kind, &document).into_iter().map(|key| format!("{} {}", key.kind.as_str(), key.text)).collect()
    }

    #[test]
    fn the_keys_of_an_order_are_what_people_know_it_by() {
        let order = r##"{"number": " #1042", "po_number": "PO-7", "customer": {"email": "Ann@Example.com "},
                        "lines": [{"sku": "HAT-XL"}, {"sku": "hat-xl"}, {"sku": ""}, {"title": "no sku"}, {"sku": null}]}"##;
        assert_eq!(keys(RecordKind::Order, order), ["number 1042", "po po-7", "email ann@example.com", "sku hat-xl"]);
        let shipment = r##"{"packages": [{"tracking_number": "1Z 999-AA1"}, {"tracking_number": "2"}],
                           "order": {"number": "#1042", "source_id": "Gid/7"}}"##;
        let expected = ["tracking 1z999aa1", "tracking 2", "order_number 1042", "order_id Gid/7"];
        assert_eq!(keys(RecordKind::Shipment, shipment), expected);
        assert_eq!(keys(RecordKind::Order, "[]"), Vec::<String>::new());
    }

    #[test]
    fn a_thousand_keys_are_enough_and_a_long_one_is_none() {
        let lines: Vec<String> = (0..1_200).map(|n| format!(r#"{{"sku": "S{n}"}}"#)).collect();
        assert_eq!(keys(RecordKind::Order, &format!(r#"{{"lines": [{}]}}"#, lines.join(","))).len(), KEYS_MAX);
        assert_eq!(normalised(KeyKind::Sku, &"x".repeat(KEY_BYTES_MAX + 1)), None);
    }

    #[test]
    fn what_is_typed_is_read_as_what_is_stored() {
        let asked = |text: &str| match Asked::read(text) {
            Some(Asked::Keys { keys, .. }) => keys.into_iter().map(|key| (key.kind, key.text)).collect(),
            _ => vec![],
        };
        assert!(asked(" #1042 ").contains(&(KeyKind::Number, "1042".into())));
        assert!(asked("1Z 999 AA1").contains(&(KeyKind::TrackingNumber, "1z999aa1".into())));
        assert!(asked("ANN@example.com").contains(&(KeyKind::Email, "ann@example.com".into())));
        assert!(!asked("1042").iter().any(|(kind, _)| *kind == KeyKind::Email), "an address has an @");
        let id = crate::id::DeliveryId::generate();
        assert_eq!(Asked::read(&id.to_string()), Some(Asked::Own { prefix: "dlv", row: id.0 }));
        assert_eq!(Asked::read("  "), None);
        assert!(matches!(Asked::read("dlv_12"), Some(Asked::Keys { .. })), "a number may look like an id of ours");
    }

    #[test]
    fn a_beginning_takes_two_characters_and_ends_before_the_next_one() {
        assert_eq!(prefix_end("1"), None);
        let end = prefix_end("10").unwrap();
        assert!("10" < end.as_str() && "10😀zz" < end.as_str() && "11" > end.as_str());
    }
}
