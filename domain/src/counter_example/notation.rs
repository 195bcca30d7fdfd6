//! The same record, written otherwise: a time with an offset, a number with more zeros, null where nothing was. What a mapping makes of it must
//! say the same; where it does not, one of the two is wrong though nothing fails.

use chrono::{DateTime, FixedOffset, SecondsFormat};
use rust_decimal::Decimal;

use super::dice::Dice;
use super::draft::Draft;
use crate::canonical::shape::Is;
use crate::record::RecordKind;
use crate::value::{Map, Value};

pub(super) struct Notation {
    pub name: &'static str,
    rewrite: fn(&mut Draft),
}

pub(super) const NOTATIONS: &[Notation] = &[
    Notation { name: "times with an offset", rewrite: offset },
    Notation { name: "times without places of a second", rewrite: whole_seconds },
    Notation { name: "amounts with more zeros", rewrite: amounts },
    Notation { name: "quantities with more zeros", rewrite: quantities },
    Notation { name: "zeros where no amount of a part was", rewrite: zeros },
    Notation { name: "null where nothing was", rewrite: null },
    Notation { name: "empty lists and groups where nothing was", rewrite: empty },
];

impl Notation {
    /// The same record in this notation.
    pub fn of(&self, kind: RecordKind, document: &Value) -> Value {
        let mut draft = Draft::new(kind, document, Dice::new(0, 0));
        (self.rewrite)(&mut draft);
        Value::Map(draft.map)
    }
}

fn times(draft: &mut Draft, each: &dyn Fn(DateTime<FixedOffset>) -> Option<String>) {
    draft.leaves(&mut |field, value| {
        let time =
            value.as_str().filter(|_| matches!(field.is, Is::Time)).and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        if let Some(text) = time.and_then(each) {
            *value = text.into();
        }
    });
}

/// Tokyo's, where it is another day for nine hours.
fn offset(draft: &mut Draft) {
    times(draft, &|time| {
        Some(time.with_timezone(&FixedOffset::east_opt(9 * 3600)?).to_rfc3339_opts(SecondsFormat::AutoSi, false))
    });
}

fn whole_seconds(draft: &mut Draft) {
    times(draft, &|time| (time.timestamp_subsec_nanos() == 0).then(|| time.to_rfc3339_opts(SecondsFormat::Secs, true)));
}

fn longer(number: Decimal) -> String {
    let mut number = number.normalize();
    number.rescale(6);
    number.to_string()
}

fn amounts(draft: &mut Draft) {
    draft.amounts(&mut longer);
}

fn quantities(draft: &mut Draft) {
    draft.numbers(|is| matches!(is, Is::Quantity | Is::Level | Is::Rate), &mut longer);
}

/// A part without an amount adds nothing to the total.
fn zeros(draft: &mut Draft) {
    if !matches!(draft.kind, RecordKind::Order | RecordKind::Invoice) {
        return;
    }
    draft.groups(&mut |shape, map| {
        let parts: &[&str] = match shape.name {
            "Line" => &["discount_total"],
            "ShippingLine" => &["amount", "discount_total"],
            "Totals" => &["tip", "duty", "fee", "rounding"],
            _ => &[],
        };
        for part in parts {
            map.entry((*part).to_owned()).or_insert_with(|| "0".into());
        }
    });
}

fn null(draft: &mut Draft) {
    draft.groups(&mut |shape, map| {
        for field in shape.fields.iter().filter(|field| !field.required) {
            map.entry(field.name.to_owned()).or_insert(Value::Null);
        }
    });
}

fn empty(draft: &mut Draft) {
    draft.groups(&mut |shape, map| {
        for field in shape.fields.iter().filter(|field| !field.required) {
            let nothing = match field.is {
                // A group that must say something cannot be empty.
                Is::Group(of) if !of.fields.iter().any(|field| field.required) => Value::Map(Map::new()),
                Is::List(_) | Is::Texts => Value::List(vec![]),
                _ => continue,
            };
            map.entry(field.name.to_owned()).or_insert(nothing);
        }
    });
}
