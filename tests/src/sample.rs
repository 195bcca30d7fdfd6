//! Orders to send: the real-shaped ones of `samples/`, and as many different ones as a load needs.

use std::collections::BTreeMap;

use include_dir::{Dir, include_dir};

static SHOPIFY: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/samples/shopify");
static SKUS: &str = include_str!("../samples/skus.csv");

/// The code that the demo's lookup table lacks at first.
pub const UNMAPPED_SKU: &str = "HAT-XL";

/// The real-shaped orders by name.
#[must_use]
pub fn orders() -> BTreeMap<String, Vec<u8>> {
    let name = |file: &include_dir::File<'_>| file.path().file_stem().map(|stem| stem.to_string_lossy().into_owned());
    SHOPIFY.files().filter_map(|file| Some((name(file)?, file.contents().to_vec()))).collect()
}

/// What the demo's lookup table knows: SKU and item id.
#[must_use]
pub fn skus() -> Vec<(String, String)> {
    SKUS.lines().skip(1).filter_map(|line| line.split_once(',')).map(|(sku, item)| (sku.to_owned(), item.to_owned())).collect()
}

/// Order number `n` of a load: all different, all valid, about 5 KB each.
#[must_use]
pub fn order(n: u64) -> Vec<u8> {
    revised(n, 0)
}

/// The same order, changed later: a higher revision has a later `updated_at` and another note.
#[must_use]
pub fn revised(n: u64, revision: u32) -> Vec<u8> {
    static TEMPLATE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| {
        let plain = SHOPIFY.get_file("02_two_lines.json").and_then(|file| file.contents_utf8()).expect("the sample is there");
        let value: serde_json::Value = serde_json::from_str(plain).expect("the sample is JSON");
        value.to_string()
    });
    let id = 7_000_000_000_000_u64 + n;
    let template = &*TEMPLATE;
    let updated = format!("\"updated_at\":\"2026-11-24T10:{:02}:{:02}-05:00\"", revision / 60 % 60, revision % 60);
    template
        .replace("5123456789012345614", &id.to_string())
        .replace("\"name\":\"#1002\"", &format!("\"name\":\"#L{n}\""))
        .replace("\"updated_at\":\"2026-11-03T09:02:15-05:00\"", &updated)
        .replace("\"note\":null", &format!("\"note\":\"revision {revision}\""))
        .into_bytes()
}

#[cfg(test)]
mod tests {
    use connectors::Catalog;
    use domain::canonical;
    use domain::mapping::Vars;
    use domain::record::RecordKind;
    use domain::value::{Limits, Value};

    fn canonical_of(body: &[u8]) -> Value {
        let connector = Catalog::embedded().get("shopify").unwrap();
        let source = Value::parse(body, &Limits::DEFAULT).unwrap();
        connector.read_plan(RecordKind::Order).unwrap().apply(&source, connector.tables(), &Vars::default()).unwrap()
    }

    #[test]
    fn every_sample_becomes_a_canonical_order_that_adds_up() {
        let orders = super::orders();
        assert!(orders.len() >= 40, "only {} samples", orders.len());
        for (name, body) in orders {
            let document = canonical_of(&body);
            canonical::check(RecordKind::Order, &document).unwrap_or_else(|issues| panic!("{name}: {issues:?}"));
        }
    }

    #[test]
    fn an_edited_order_is_what_it_became_and_a_returned_one_what_was_ordered() {
        let orders = super::orders();
        for (name, grand, quantities) in [
            ("30_edited", "27.30", vec!["0", "1"]),
            ("16_partial_refund", "44.51", vec!["3"]),
            ("17_full_refund", "18.77", vec!["1"]),
        ] {
            let document = canonical_of(&orders[name]);
            assert_eq!(document.at("totals.grand").and_then(Value::as_str), Some(grand), "{name}");
            let lines = document.at("lines").and_then(Value::as_list).unwrap();
            let written: Vec<&str> = lines.iter().filter_map(|line| line.at("quantity")?.as_str()).collect();
            assert_eq!(written, quantities, "{name}");
        }
    }

    #[test]
    fn orders_of_a_load_differ_and_add_up() {
        let (one, two) = (canonical_of(&super::order(1)), canonical_of(&super::order(2)));
        assert_ne!(one.at("source_id"), two.at("source_id"));
        assert_ne!(one.at("number"), two.at("number"));
        canonical::check(RecordKind::Order, &one).unwrap();
        let later = canonical_of(&super::revised(1, 3));
        assert_eq!(one.at("source_id"), later.at("source_id"));
        assert!(later.at("updated_at").unwrap().as_str() > one.at("updated_at").unwrap().as_str());
    }
}
