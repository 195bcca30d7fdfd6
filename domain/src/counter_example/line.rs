//! Lines: what is sold, sent, billed, brought back.

use rust_decimal::Decimal;

use super::draft::Draft;
use crate::canonical::shape::{Is, Shape};
use crate::value::{Map, Value, decimal};

/// As many as the largest orders of most shops have.
const MANY: usize = 500;

fn row(json: &[(&str, &str)]) -> Map {
    json.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect()
}

/// The lines, each with the shape of its kind: the first of them, or all, as the variant says.
fn lines(draft: &mut Draft, change: &mut dyn FnMut(&'static Shape, &mut Map)) {
    let Some(Is::List(shape)) = draft.shape().field("lines").map(|field| field.is) else { return };
    let count = if draft.variant == 0 { 1 } else { usize::MAX };
    for line in draft.rows("lines").iter_mut().take(count) {
        if let Value::Map(line) = line {
            change(shape, line);
        }
    }
}

fn put(shape: &'static Shape, line: &mut Map, name: &str, value: impl Into<Value>) {
    if shape.field(name).is_some() {
        line.insert(name.to_owned(), value.into());
    }
}

fn quantities(draft: &mut Draft, quantity: &str) {
    lines(draft, &mut |shape, line| {
        for field in shape.fields.iter().filter(|field| matches!(field.is, Is::Quantity)) {
            if field.required || line.contains_key(field.name) {
                line.insert(field.name.to_owned(), quantity.into());
            }
        }
    });
}

fn worth(line: &Map) -> Decimal {
    let number = |name: &str| line.get(name).and_then(Value::as_str).and_then(decimal).unwrap_or_default();
    number("quantity").checked_mul(number("unit_price")).unwrap_or_default()
}

pub(super) fn of_none(draft: &mut Draft) {
    quantities(draft, "0");
}

pub(super) fn of_a_third(draft: &mut Draft) {
    quantities(draft, "0.333333");
}

pub(super) fn of_a_millionth(draft: &mut Draft) {
    quantities(draft, "0.000001");
}

pub(super) fn of_two_and_a_half(draft: &mut Draft) {
    quantities(draft, "2.5");
}

pub(super) fn of_whole_with_places(draft: &mut Draft) {
    quantities(draft, "2.000000");
}

pub(super) fn of_millions(draft: &mut Draft) {
    quantities(draft, "3000000");
}

pub(super) fn of_thousands_of_millions(draft: &mut Draft) {
    quantities(draft, "4294967296");
}

pub(super) fn free(draft: &mut Draft) {
    lines(draft, &mut |shape, line| {
        for name in ["unit_price", "unit_cost", "amount", "refund_amount"] {
            put(shape, line, name, "0.00");
        }
    });
}

pub(super) fn negative_price(draft: &mut Draft) {
    lines(draft, &mut |shape, line| {
        for name in ["unit_price", "unit_cost"] {
            put(shape, line, name, "-12.50");
        }
    });
}

/// No tax, no parcel and no place in a warehouse.
pub(super) fn gift_card(draft: &mut Draft) {
    let card = row(&[
        ("source_id", "gift-1"),
        ("title", "Gift card"),
        ("kind", "gift_card"),
        ("quantity", "1"),
        ("unit_price", "25.00"),
    ]);
    if draft.has("taxes") && draft.has("lines") {
        let mut card = card;
        card.insert("requires_shipping".to_owned(), false.into());
        if draft.variant == 1 {
            draft.rows("lines").iter_mut().for_each(|line| *line = Value::Map(card.clone()));
        } else if let Some(lines) = draft.list("lines") {
            lines.push(Value::Map(card));
        }
    }
    draft.set("method", "gift_card");
    if draft.kind == crate::record::RecordKind::Item {
        draft.set("item_type", "gift_card");
        draft.remove("weight");
    }
}

pub(super) fn paid_by_gift_card(draft: &mut Draft) {
    let payments = [row(&[("kind", "gift_card"), ("amount", "20.00")]), row(&[("kind", "card"), ("amount", "0.01")])];
    if let Some(list) = draft.list("payments") {
        *list = payments.into_iter().map(Value::Map).collect();
    }
}

pub(super) fn negative_discount(draft: &mut Draft) {
    lines(draft, &mut |shape, line| put(shape, line, "discount_total", "-1.00"));
}

pub(super) fn discount_above_worth(draft: &mut Draft) {
    lines(draft, &mut |shape, line| {
        let more = worth(line).checked_add(Decimal::from(5)).unwrap_or_default();
        put(shape, line, "discount_total", more.to_string());
    });
}

pub(super) fn adjustments(draft: &mut Draft) {
    let all = [
        row(&[("kind", "discount"), ("title", "WELCOME10"), ("amount", "-5.00")]),
        row(&[("kind", "fee"), ("title", "Handling"), ("amount", "2.50")]),
        row(&[("kind", "other"), ("amount", "0.00")]),
        row(&[("kind", "discount"), ("title", "A discount that adds"), ("amount", "1.00")]),
    ];
    let chosen = match draft.variant {
        0 => &all[..],
        1 => &all[..1],
        2 => &all[1..2],
        _ => &all[3..],
    };
    if let Some(list) = draft.list("adjustments") {
        *list = chosen.iter().cloned().map(Value::Map).collect();
    }
}

/// A discount over all that is to be paid.
pub(super) fn free_order(draft: &mut Draft) {
    let total = draft.map.get("totals").and_then(|totals| totals.get("grand")).and_then(Value::as_str).and_then(decimal);
    if let (Some(total), Some(list)) = (total, draft.list("adjustments")) {
        let mut all = row(&[("kind", "discount"), ("title", "On the house")]);
        all.insert("amount".to_owned(), (-total).to_string().into());
        list.push(Value::Map(all));
    }
}

/// One line in three, each from a place of its own.
pub(super) fn split(draft: &mut Draft) {
    let Some(Is::List(shape)) = draft.shape().field("lines").map(|field| field.is) else { return };
    let Some(first) = draft.rows("lines").first().cloned() else { return };
    let parts: Vec<Value> = ["EAST", "WEST", "STORE 3"]
        .into_iter()
        .enumerate()
        .map(|(at, code)| {
            let mut line = first.as_map().cloned().unwrap_or_default();
            put(shape, &mut line, "location", Value::Map(row(&[("source_id", code), ("code", code), ("kind", "warehouse")])));
            put(shape, &mut line, "source_id", format!("split-{at}"));
            Value::Map(line)
        })
        .collect();
    if let Some(lines) = draft.list("lines") {
        lines.splice(0..1, parts);
    }
}

pub(super) fn without(draft: &mut Draft) {
    const NAMES: [&str; 6] = ["sku", "source_id", "title", "item", "order_line_id", "unit"];
    let name = NAMES[draft.variant / 2 % NAMES.len()];
    draft.variant %= 2;
    lines(draft, &mut |_, line| {
        line.shift_remove(name);
    });
}

pub(super) fn twice(draft: &mut Draft) {
    if let Some(first) = draft.rows("lines").first().cloned() {
        draft.list("lines").into_iter().for_each(|lines| lines.push(first.clone()));
    }
}

pub(super) fn many(draft: &mut Draft) {
    let Some(first) = draft.rows("lines").first().cloned() else { return };
    let line = |at: usize| {
        let mut line = first.as_map().cloned().unwrap_or_default();
        for (name, value) in &mut line {
            if matches!(name.as_str(), "source_id" | "order_line_id") {
                *value = format!("{}", 1_000 + at).into();
            }
        }
        Value::Map(line)
    };
    draft.list("lines").into_iter().for_each(|lines| *lines = (0..MANY).map(line).collect());
}

pub(super) fn many_of_everything(draft: &mut Draft) {
    let shape = draft.shape();
    for (name, value) in &mut draft.map {
        if let (Some(Is::List(_) | Is::Texts), Value::List(rows)) = (shape.field(name).map(|field| field.is), value) {
            *rows = rows.first().map(|first| vec![first.clone(); MANY / 2]).unwrap_or_default();
        }
    }
}

pub(super) fn one_of_everything(draft: &mut Draft) {
    let shape = draft.shape();
    for (name, value) in &mut draft.map {
        if let (Some(Is::List(_) | Is::Texts), Value::List(rows)) = (shape.field(name).map(|field| field.is), value) {
            rows.truncate(1);
        }
    }
}

pub(super) fn several_taxes(draft: &mut Draft) {
    lines(draft, &mut |shape, line| {
        let taxes = [
            row(&[("title", "State"), ("rate", "0.04"), ("amount", "1.00")]),
            row(&[("title", "City"), ("rate", "0.00875"), ("amount", "0.225")]),
            row(&[("amount", "0.00")]),
        ];
        put(shape, line, "taxes", Value::List(taxes.into_iter().map(Value::Map).collect()));
        put(shape, line, "tax_total", "1.23");
    });
}

pub(super) fn shipping_only(draft: &mut Draft) {
    if draft.has("shipping_lines") {
        draft.list("lines").into_iter().for_each(Vec::clear);
        let shipping = row(&[("title", "Ground"), ("amount", "6.00"), ("discount_total", "7.00")]);
        draft.list("shipping_lines").into_iter().for_each(|list| *list = vec![Value::Map(shipping.clone())]);
    }
}

pub(super) fn several_shippings(draft: &mut Draft) {
    let lines = [
        row(&[("title", "Ground"), ("amount", "6.00")]),
        row(&[("code", "X"), ("amount", "0.00")]),
        row(&[("amount", "4.00"), ("discount_total", "4.00")]),
        Map::new(),
    ];
    draft.list("shipping_lines").into_iter().for_each(|list| *list = lines.iter().cloned().map(Value::Map).collect());
}

pub(super) fn nothing_to_send(draft: &mut Draft) {
    draft.variant = 1;
    lines(draft, &mut |shape, line| put(shape, line, "requires_shipping", false));
    draft.set("requires_shipping", false);
    for name in ["shipping_address", "shipping_lines", "ship_to", "weight"] {
        draft.remove(name);
    }
}

pub(super) fn by_weight(draft: &mut Draft) {
    lines(draft, &mut |shape, line| {
        put(shape, line, "unit", "KGM");
        put(shape, line, "quantity", "0.250");
    });
}
