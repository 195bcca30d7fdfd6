//! Checks a document against the shape of its kind, field by field, and against what its kind adds to that: the parts of an order equal its
//! total, a stock level knows at least one number.

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;

use super::Summary;
use super::shape::{Field, ID_BYTES_MAX, Is, LIST_MAX, LONG_CHARS_MAX, NAME_CHARS_MAX, Shape, TEXT_CHARS_MAX};
use crate::currency::minor_unit;
use crate::mapping::{Issue, IssueCode};
use crate::record::RecordKind;
use crate::value::{Map, Value};

/// Issues of one document that are told; more would not be read.
const ISSUES_MAX: usize = 50;

/// Where a field stands, without a text being made of it until somebody asks.
#[derive(Clone, Copy)]
struct At<'a> {
    above: Option<&'a At<'a>>,
    name: &'a str,
    index: Option<usize>,
}

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(above) = self.above.filter(|above| !above.name.is_empty()) {
            write!(f, "{above}.")?;
        }
        f.write_str(self.name)?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

const ROOT: At<'static> = At { above: None, name: "", index: None };

#[derive(Default)]
pub(super) struct Check {
    pub issues: Vec<Issue>,
    pub unbalanced: Option<Issue>,
}

impl Check {
    fn fail(&mut self, at: At<'_>, code: IssueCode, sentence: impl FnOnce(&str) -> String) {
        self.fail_value(at, code, None, sentence);
    }

    fn fail_value(&mut self, at: At<'_>, code: IssueCode, value: Option<&str>, sentence: impl FnOnce(&str) -> String) {
        if self.issues.len() < ISSUES_MAX {
            let to = at.to_string();
            let sentence = sentence(&to);
            let value = value.map(|value| value.chars().take(200).collect());
            self.issues.push(Issue { to, code, value, sentence, ..Issue::default() });
        }
    }

    pub fn document(&mut self, kind: RecordKind, shape: &'static Shape, document: &Value) -> Summary {
        let Some(map) = document.as_map() else {
            self.fail(ROOT, IssueCode::BadType, |_| "the document is no group of fields".into());
            return Summary::default();
        };
        self.group(ROOT, shape, map);
        let amount = |key: &str| decimal(map.get(key));
        let mut summary = Summary {
            number: text(map, "number"),
            updated_at: time(map, "updated_at"),
            due_by: time(map, "ship_by").or_else(|| time(map, "deliver_by")),
            customer_email: map.get("customer").and_then(|c| c.get("email")).and_then(Value::as_str).map(str::to_owned),
            currency: text(map, "currency"),
            grand_total: None,
            unbalanced: None,
        };
        match kind {
            RecordKind::Order => summary.grand_total = self.balance(map, "order", true),
            RecordKind::Invoice => summary.grand_total = self.balance(map, "invoice", false),
            RecordKind::PurchaseOrder => summary.grand_total = map.get("totals").and_then(|totals| decimal(totals.get("grand"))),
            RecordKind::Payment | RecordKind::Refund => summary.grand_total = amount("amount"),
            RecordKind::Customer => summary.customer_email = text(map, "email"),
            RecordKind::InventoryLevel => {
                // Of two levels the one that is of a later moment holds, whichever came last.
                summary.updated_at = time(map, "as_of").or(summary.updated_at);
                self.knows_one(map);
            }
            RecordKind::Item | RecordKind::Shipment | RecordKind::Return => {}
        }
        summary
    }

    fn group(&mut self, at: At<'_>, shape: &'static Shape, map: &Map) {
        for field in shape.fields.iter().filter(|field| field.required) {
            let is_there = match map.get(field.name) {
                None | Some(Value::Null) => false,
                Some(Value::Text(text)) => !text.is_empty(),
                Some(_) => true,
            };
            if !is_there {
                let at = At { above: Some(&at), name: field.name, index: None };
                self.fail(at, IssueCode::Required, |to| format!("the field {to} is required and has no value"));
            }
        }
        for (name, value) in map {
            let at = At { above: Some(&at), name, index: None };
            match shape.field(name) {
                Some(_) if value.is_null() => {}
                Some(field) => self.field(at, field, value),
                None => self.fail(at, IssueCode::OutOfRange, |to| match nearest(shape, name) {
                    Some(known) => format!(
                        "the model has no field {to}; did you mean {known}? What it has no word for belongs in attributes"
                    ),
                    None => format!("the model has no field {to}; put it into attributes"),
                }),
            }
        }
    }

    fn field(&mut self, at: At<'_>, field: &'static Field, value: &Value) {
        match (field.is, value) {
            (Is::Any, _) | (Is::Flag, Value::Bool(_)) => {}
            (Is::Group(shape), Value::Map(map)) => self.group(at, shape, map),
            (Is::List(shape), Value::List(entries)) => {
                self.entries(at, entries, |check, at, entry| match entry.as_map() {
                    Some(map) => check.group(at, shape, map),
                    None => check.fail(at, IssueCode::BadType, |to| format!("the entry {to} is no group of fields")),
                });
            }
            (Is::Texts, Value::List(entries)) => {
                self.entries(at, entries, |check, at, entry| match entry.as_str() {
                    Some(text) => check.text(at, Is::Text, text),
                    None => check.fail(at, IssueCode::BadType, |to| format!("the entry {to} is no text")),
                });
            }
            (Is::Count, Value::Number(number)) => {
                if number.as_str().parse::<i32>().map_or(true, |count| count < 0) {
                    let number = number.as_str();
                    self.fail_value(at, IssueCode::OutOfRange, Some(number), |to| {
                        format!("the field {to} says {number}, which is no whole number from 0 on")
                    });
                }
            }
            (is, Value::Text(text)) => self.text(at, is, text),
            (is, _) => self.fail(at, IssueCode::BadType, |to| format!("the field {to} is no {}", is.noun())),
        }
    }

    fn entries(&mut self, at: At<'_>, entries: &[Value], each: impl Fn(&mut Self, At<'_>, &Value)) {
        if entries.len() > LIST_MAX {
            let count = entries.len();
            return self.fail(at, IssueCode::TooMany, |to| format!("{to} has {count} entries, more than the {LIST_MAX} allowed"));
        }
        for (index, entry) in entries.iter().enumerate() {
            each(self, At { index: Some(index), ..at }, entry);
        }
    }

    fn text(&mut self, at: At<'_>, is: Is, text: &str) {
        let mut refuse = |code, what: &str| {
            self.fail_value(at, code, Some(text), |to| {
                let shown: String = text.chars().take(80).collect();
                format!("the field {to} says \"{shown}\", which is {what}")
            });
        };
        let letters = |count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_uppercase());
        match is {
            Is::Text if text.len() > TEXT_CHARS_MAX && text.chars().count() > TEXT_CHARS_MAX => {
                refuse(IssueCode::OutOfRange, &format!("longer than {TEXT_CHARS_MAX} characters"));
            }
            Is::Name if text.chars().count() > NAME_CHARS_MAX => {
                refuse(IssueCode::OutOfRange, &format!("longer than {NAME_CHARS_MAX} characters"));
            }
            Is::Long if text.len() > LONG_CHARS_MAX && text.chars().count() > LONG_CHARS_MAX => {
                refuse(IssueCode::OutOfRange, &format!("longer than {LONG_CHARS_MAX} characters"));
            }
            Is::Id if text.len() > ID_BYTES_MAX => refuse(IssueCode::OutOfRange, &format!("longer than {ID_BYTES_MAX} bytes")),
            Is::Id if text.contains(char::is_control) => refuse(IssueCode::OutOfRange, "no id: it has a control character"),
            Is::Text | Is::Name | Is::Long | Is::Id => {}
            Is::Amount | Is::Level | Is::Rate => {
                if amount(text).is_none() {
                    refuse(IssueCode::BadType, "no decimal of 14 digits and 6 places");
                }
            }
            Is::Quantity => match amount(text) {
                None => refuse(IssueCode::BadType, "no decimal of 14 digits and 6 places"),
                Some(number) if number.is_sign_negative() && !number.is_zero() => refuse(IssueCode::OutOfRange, "negative"),
                Some(_) => {}
            },
            Is::Time if DateTime::parse_from_rfc3339(text).is_err() => refuse(IssueCode::BadType, "no RFC 3339 time"),
            Is::Date if NaiveDate::parse_from_str(text, "%Y-%m-%d").is_err() => {
                refuse(IssueCode::BadType, "no date such as 2026-11-27")
            }
            Is::Country if !letters(2) => refuse(IssueCode::OutOfRange, "no ISO 3166-1 code of two letters"),
            Is::Currency if !letters(3) => refuse(IssueCode::OutOfRange, "no ISO 4217 code of three letters"),
            Is::Unit if !matches!(text.len(), 2..=3) || !text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) => {
                refuse(IssueCode::OutOfRange, "no UN/ECE Recommendation 20 code such as EA or KGM");
            }
            Is::Word(words) if !words.contains(&text) => refuse(IssueCode::OutOfRange, &format!("none of {}", words.join(", "))),
            Is::Time | Is::Date | Is::Country | Is::Currency | Is::Unit | Is::Word(_) | Is::Any => {}
            Is::Flag | Is::Count | Is::Texts | Is::Group(_) | Is::List(_) => {
                self.fail(at, IssueCode::BadType, |to| format!("the field {to} is no {}", is.noun()));
            }
        }
    }

    /// The parts equal the whole within one minor unit for each part; what has neither lines nor other parts is only its total.
    fn balance(&mut self, map: &Map, noun: &str, must_have_parts: bool) -> Option<Decimal> {
        let totals = map.get("totals").and_then(Value::as_map)?;
        let grand = decimal(totals.get("grand"))?;
        let part = |key: &str| decimal(totals.get(key)).unwrap_or_default();
        let list = |key: &str| map.get(key).and_then(Value::as_list).unwrap_or_default();
        let (lines, shipping, adjustments) = (list("lines"), list("shipping_lines"), list("adjustments"));
        let parts = lines.len() + shipping.len() + adjustments.len();
        // Wrong types were told already, and what they add up to says nothing.
        if !self.issues.is_empty() || (parts == 0 && !must_have_parts) {
            return Some(grand);
        }
        let is_included = matches!(map.get("taxes_included"), Some(Value::Bool(true)));
        let sum = || -> Option<Decimal> {
            let mut total = if is_included { Decimal::ZERO } else { part("tax") };
            for line in lines {
                let amount = |key: &str| decimal(line.get(key)).unwrap_or_default();
                total = total
                    .checked_add(amount("quantity").checked_mul(amount("unit_price"))?)?
                    .checked_sub(amount("discount_total"))?;
            }
            for line in shipping {
                let amount = |key: &str| decimal(line.get(key)).unwrap_or_default();
                total = total.checked_add(amount("amount"))?.checked_sub(amount("discount_total"))?;
            }
            for adjustment in adjustments {
                total = total.checked_add(decimal(adjustment.get("amount")).unwrap_or_default())?;
            }
            for key in ["tip", "duty", "fee", "rounding"] {
                total = total.checked_add(part(key))?;
            }
            Some(total)
        };
        let totals_at = At { above: Some(&ROOT), name: "totals", index: None };
        let at = At { above: Some(&totals_at), name: "grand", index: None };
        let currency = map.get("currency").and_then(Value::as_str).unwrap_or_default();
        match sum() {
            None => {
                self.fail(at, IssueCode::OutOfRange, |_| format!("the parts of the {noun} add up to more than can be counted"))
            }
            Some(total) if (total - grand).abs() > minor_unit(currency) * Decimal::from(parts + 1) => {
                let total = total.normalize();
                let sentence =
                    format!("the parts of the {noun} add up to {total} {currency}, but its total says {grand} {currency}");
                self.unbalanced = Some(Issue { to: at.to_string(), code: IssueCode::Unbalanced, sentence, ..Issue::default() });
            }
            Some(_) => {}
        }
        Some(grand)
    }

    /// A level that knows nothing would be taken for a level of nothing.
    fn knows_one(&mut self, map: &Map) {
        let quantities = map.get("quantities").and_then(Value::as_map);
        if quantities.is_some_and(|quantities| quantities.values().all(Value::is_null)) {
            let at = At { above: Some(&ROOT), name: "quantities", index: None };
            self.fail(at, IssueCode::Required, |_| "the stock level says no quantity at all".into());
        }
    }
}

impl Is {
    fn noun(self) -> &'static str {
        match self {
            Self::Text | Self::Name | Self::Long | Self::Id | Self::Word(_) => "text",
            Self::Amount | Self::Quantity | Self::Level | Self::Rate => "decimal as text, such as \"12.50\"",
            Self::Flag => "true or false",
            Self::Count => "whole number",
            Self::Time => "RFC 3339 time",
            Self::Date => "date such as 2026-11-27",
            Self::Country | Self::Currency | Self::Unit => "code",
            Self::Texts | Self::List(_) => "list",
            Self::Group(_) | Self::Any => "group of fields",
        }
    }
}

fn nearest(shape: &'static Shape, name: &str) -> Option<&'static str> {
    let words = |field: &str, name: &str| field.contains(name) || name.contains(field);
    shape.fields.iter().map(|field| field.name).find(|field| field.len() > 3 && name.len() > 3 && words(field, name))
}

fn text(map: &Map, key: &str) -> Option<String> {
    map.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn time(map: &Map, key: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(map.get(key)?.as_str()?).ok().map(|at| at.to_utc())
}

fn decimal(value: Option<&Value>) -> Option<Decimal> {
    amount(value?.as_str()?)
}

/// A decimal of at most 14 digits before the point and 6 after it.
fn amount(text: &str) -> Option<Decimal> {
    let number = crate::value::decimal(text)?;
    (number.abs() < Decimal::from(100_000_000_000_000_i64) && number.normalize().scale() <= 6).then_some(number)
}
