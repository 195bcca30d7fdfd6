//! People, places, parcels, stock; and the words and numbers that every kind has.

use super::draft::Draft;
use crate::canonical::shape::{Is, Shape};
use crate::record::RecordKind;
use crate::value::{Map, Value};

fn parts(draft: &mut Draft, named: &str, change: &mut dyn FnMut(&mut Map)) {
    draft.groups(&mut |shape: &'static Shape, map| {
        if shape.name == named {
            change(map);
        }
    });
}

pub(super) fn guest(draft: &mut Draft) {
    draft.remove("customer");
    draft.remove("payer");
    if draft.kind == RecordKind::Customer {
        draft.set("customer_type", "guest");
        for name in ["name", "given_name", "family_name", "company_name", "email", "phone", "number"] {
            draft.remove(name);
        }
    }
}

/// Each way of saying who it is, alone.
pub(super) fn known_by_one(draft: &mut Draft) {
    const NAMES: [&str; 7] = ["source_id", "name", "company", "email", "phone", "company_name", "family_name"];
    let kept = NAMES[draft.variant % NAMES.len()];
    let is_dropped = |name: &str| NAMES.contains(&name) && name != kept;
    parts(draft, "Party", &mut |map| map.retain(|name, _| !is_dropped(name)));
    if draft.kind == RecordKind::Customer {
        draft.map.retain(|name, _| name == "source_id" || !(is_dropped(name) || name == "given_name"));
    }
}

pub(super) fn long_name(draft: &mut Draft) {
    let name = "María del Rosario Cayetana Alfonsa Victoria Eugenia Francisca Fitz-James Stuart y de Silva";
    let name = if draft.variant == 0 { name } else { "Cher" };
    for part in ["Party", "Address", "Customer"] {
        parts(draft, part, &mut |map| {
            if map.contains_key("name") || part == "Customer" {
                map.insert("name".to_owned(), name.into());
                map.shift_remove("given_name");
                map.shift_remove("family_name");
            }
        });
    }
}

pub(super) fn no_address(draft: &mut Draft) {
    let shape = draft.shape();
    draft.map.retain(
        |name, _| !matches!(shape.field(name).map(|field| field.is), Some(Is::Group(of) | Is::List(of)) if of.name == "Address"),
    );
}

pub(super) fn bare_address(draft: &mut Draft) {
    const KEPT: [&[&str]; 5] = [&[], &["country"], &["country_name"], &["line1", "city"], &["company", "country"]];
    let kept = KEPT[draft.variant % KEPT.len()];
    parts(draft, "Address", &mut |map| {
        map.retain(|name, _| kept.contains(&name.as_str()));
        if kept.contains(&"country_name") {
            map.insert("country_name".to_owned(), "Great Britain".into());
        }
    });
}

pub(super) fn odd_country(draft: &mut Draft) {
    let country = ["XK", "ZZ", "UK", "AQ"][draft.variant % 4];
    draft.leaves(&mut |field, value| {
        if matches!(field.is, Is::Country) {
            *value = country.into();
        }
    });
    parts(draft, "Address", &mut |map| {
        map.shift_remove("postal_code");
        map.shift_remove("region");
        map.shift_remove("region_code");
    });
}

pub(super) fn odd_unit(draft: &mut Draft) {
    let unit = ["E48", "2N", "XBX", "LBR", "HUR"][draft.variant % 5];
    draft.leaves(&mut |field, value| {
        if matches!(field.is, Is::Unit) {
            *value = unit.into();
        }
    });
}

pub(super) fn unmeasured(draft: &mut Draft) {
    let kept = ["value", "unit"][draft.variant % 2];
    parts(draft, "Measure", &mut |map| map.retain(|name, _| name == kept));
}

pub(super) fn weightless(draft: &mut Draft) {
    parts(draft, "Measure", &mut |map| {
        map.insert("value".to_owned(), "0".into());
    });
}

pub(super) fn levels(draft: &mut Draft) {
    let level = ["-3", "0", "2.5", "-0.000001", "99999999999999"][draft.variant % 5];
    draft.leaves(&mut |field, value| {
        if matches!(field.is, Is::Level) {
            *value = level.into();
        }
    });
}

pub(super) fn one_level(draft: &mut Draft) {
    let Some(Is::Group(shape)) = draft.shape().field("quantities").map(|field| field.is) else { return };
    let field = &shape.fields[draft.variant % shape.fields.len()];
    draft.set("quantities", Value::Map([(field.name.to_owned(), "7".into())].into_iter().collect()));
}

pub(super) fn delta(draft: &mut Draft) {
    draft.set("basis", "delta");
    draft.set("allow_backorder", true);
}

pub(super) fn parcels(draft: &mut Draft) {
    let parcel = |fields: &[(&str, &str)]| {
        Value::Map(fields.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect())
    };
    let packages = match draft.variant {
        0 => vec![],
        1 => vec![parcel(&[])],
        2 => vec![parcel(&[("package_id", "1")]), parcel(&[("tracking_number", "1Z")]), parcel(&[("tracking_number", "1Z")])],
        _ => vec![parcel(&[("tracking_number", "1Z 999/AA&1")]), parcel(&[("kind", "PX"), ("cost", "-1")])],
    };
    draft.list("packages").into_iter().for_each(|list| *list = packages.clone());
}

pub(super) fn uncarried(draft: &mut Draft) {
    draft.remove("carrier");
    draft.remove("ship_from");
    draft.remove("shipped_at");
}

/// One of the words of each field that has some, all the same number in its list.
pub(super) fn words(draft: &mut Draft) {
    let variant = draft.variant;
    draft.groups(&mut |shape, map| {
        for field in shape.fields {
            if let (Is::Word(words), true) = (field.is, map.contains_key(field.name)) {
                map.insert(field.name.to_owned(), words[variant % words.len()].into());
            }
        }
    });
}

pub(super) fn mixed_words(draft: &mut Draft) {
    let mut dice = draft.dice.clone();
    for _ in 0..draft.variant {
        dice.below(2);
    }
    draft.leaves(&mut |field, value| {
        if let Is::Word(words) = field.is {
            *value = words[dice.below(words.len())].into();
        }
    });
}

pub(super) fn flags(draft: &mut Draft) {
    let flag = draft.variant == 1;
    draft.leaves(&mut |field, value| {
        if matches!(field.is, Is::Flag) {
            *value = flag.into();
        }
    });
}

pub(super) fn counts(draft: &mut Draft) {
    let count = [0, i64::from(i32::MAX)][draft.variant % 2];
    draft.leaves(&mut |field, value| {
        if matches!(field.is, Is::Count) {
            *value = count.into();
        }
    });
}

pub(super) fn tags(draft: &mut Draft) {
    let tags = ["vip, wholesale", "VIP", "vip", "", "🎩", "a;b|c"];
    draft.list("tags").into_iter().for_each(|list| *list = tags.map(Value::from).to_vec());
}

pub(super) fn attributes(draft: &mut Draft) {
    let deep = (0..20).fold(Value::from("end"), |value, _| Value::Map([("a.b [0] $c".to_owned(), value)].into_iter().collect()));
    let list = Value::List(vec![Value::Null, true.into(), i64::MAX.into(), Value::List(vec![]), deep]);
    let kinds = [Value::Map(Map::new()), list, "plain".into(), Value::Null];
    let value = kinds[draft.variant % kinds.len()].clone();
    draft.groups(&mut |shape, map| {
        if shape.field("attributes").is_some() {
            map.insert("attributes".to_owned(), value.clone());
        }
    });
}
