//! What a shadow run found: of each delivery both requests are made, and one is sent. Destinations speak different languages, so requests are
//! not compared letter by letter: counted is who has an answer for what, which fields of the records the candidate leaves behind, and what
//! the records come to.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::drift::Worth;
use crate::exception::Reason;
use crate::replay::{CauseReport, EXAMPLES_MAX, Example, FIELDS_MAX, Money, Of, add_cause, add_money, example};
use crate::value::Value;

/// What a mapping makes of a revision.
#[derive(Debug)]
pub enum Outcome {
    Made {
        /// Reads come before it that were not made: what they find, or do not, is not known.
        looks_up: bool,
    },
    Refused(Box<Reason>),
    /// The filter leaves it out.
    Left,
}

/// One delivery, seen from both sides.
#[derive(Debug)]
pub struct Seen<'a> {
    pub of: Of<'a>,
    pub old: Outcome,
    pub candidate: Outcome,
    /// The canonical record.
    pub document: &'a Value,
    pub worth: Option<&'a Worth>,
}

/// The report of a shadow run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parity {
    pub deliveries: u64,
    /// Both have a request for it.
    pub made: u64,
    /// Only the destination of now has.
    pub refused: u64,
    /// Only the candidate has.
    pub mended: u64,
    /// Neither has.
    pub both_refused: u64,
    pub left: u64,
    /// Of those that the candidate has a request for: reads at the candidate come first, and what they find is not known.
    pub looked_up: u64,
    pub causes: Vec<CauseReport>,
    /// Fields that the destination of now is sent and the candidate is not, where records have them.
    pub lost: Vec<LostField>,
    /// What the records come to, by currency.
    pub worth: Vec<Worths>,
    /// Causes beyond those that are told.
    pub untold: u64,
}

/// A field that would be left behind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LostField {
    /// `lines[].discounts[].amount`
    pub field: String,
    pub records: u64,
    /// Where it is an amount: what it comes to, by currency.
    pub money: Vec<Money>,
    pub examples: Vec<Example>,
}

/// What records come to for which there is a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worths {
    pub currency: String,
    pub old: Decimal,
    pub candidate: Decimal,
}

impl Parity {
    /// True where the candidate has a request for all that is sent now, and leaves nothing behind.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.refused == 0 && self.lost.is_empty()
    }

    /// Adds a delivery. `lost` are the fields that only the destination of now reads, each with whether it is an amount.
    pub fn add(&mut self, seen: Seen<'_>, lost: &[(String, bool)]) {
        self.deliveries += 1;
        let (takes_old, takes_candidate) =
            (matches!(seen.old, Outcome::Made { .. }), matches!(seen.candidate, Outcome::Made { .. }));
        self.looked_up += u64::from(matches!(seen.candidate, Outcome::Made { looks_up: true }));
        match (seen.old, seen.candidate) {
            (Outcome::Left, _) | (_, Outcome::Left) => self.left += 1,
            (Outcome::Made { .. }, Outcome::Made { .. }) => self.made += 1,
            (Outcome::Refused(_), Outcome::Made { .. }) => self.mended += 1,
            (Outcome::Made { .. }, Outcome::Refused(reason)) => {
                self.refused += 1;
                add_cause(&mut self.causes, &mut self.untold, seen.of, *reason, true);
            }
            (Outcome::Refused(_), Outcome::Refused(reason)) => {
                self.both_refused += 1;
                add_cause(&mut self.causes, &mut self.untold, seen.of, *reason, false);
            }
        }
        if let Some(worth) = seen.worth {
            self.sum(worth, takes_old, takes_candidate);
        }
        if takes_old && takes_candidate {
            for (field, is_money) in lost {
                self.lose(seen.of, field, *is_money, seen.document);
            }
        }
    }

    fn sum(&mut self, worth: &Worth, old: bool, candidate: bool) {
        let at = self.worth.iter().position(|sum| sum.currency == worth.currency).unwrap_or_else(|| {
            self.worth.push(Worths { currency: worth.currency.clone(), ..Worths::default() });
            self.worth.len() - 1
        });
        let sums = &mut self.worth[at];
        for (sum, counts) in [(&mut sums.old, old), (&mut sums.candidate, candidate)] {
            if counts {
                *sum = sum.checked_add(worth.amount).unwrap_or(*sum);
            }
        }
    }

    fn lose(&mut self, of: Of<'_>, field: &str, is_money: bool, document: &Value) {
        let mut values = Vec::new();
        let keys: Vec<&str> = field.split('.').map(|key| key.trim_end_matches("[]")).collect();
        gather(document, &keys, &mut values);
        let Some(first) = values.first() else { return };
        let at = match self.lost.iter().position(|lost| lost.field == field) {
            Some(at) => at,
            None if self.lost.len() < FIELDS_MAX => {
                self.lost.push(LostField { field: field.to_owned(), ..LostField::default() });
                self.lost.len() - 1
            }
            None => return,
        };
        let lost = &mut self.lost[at];
        lost.records += 1;
        if is_money {
            let amounts = values.iter().filter_map(|value| value.to_decimal());
            let sum = amounts.fold(Decimal::ZERO, |sum, amount| sum.checked_add(amount).unwrap_or(sum));
            add_money(&mut lost.money, of.currency, sum);
        }
        if lost.examples.len() < EXAMPLES_MAX {
            lost.examples.push(example(of, field, Some(first), None));
        }
    }

    /// The most frequent first, as people read it.
    pub fn sort(&mut self) {
        self.causes.sort_by_key(|cause| std::cmp::Reverse((cause.newly, cause.records)));
        self.lost.sort_by(|a, b| b.records.cmp(&a.records).then_with(|| a.field.cmp(&b.field)));
    }
}

/// The values at a path, over all rows of the lists on the way; what is null or empty says nothing.
fn gather<'v>(value: &'v Value, keys: &[&str], values: &mut Vec<&'v Value>) {
    if let Value::List(rows) = value {
        rows.iter().for_each(|row| gather(row, keys, values));
        return;
    }
    match keys.split_first() {
        Some((key, rest)) => {
            if let Some(value) = value.get(key) {
                gather(value, rest, values);
            }
        }
        None => {
            let is_empty = match value {
                Value::Null => true,
                Value::Text(text) => text.is_empty(),
                Value::Map(map) => map.is_empty(),
                _ => false,
            };
            if !is_empty {
                values.push(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::RecordId;
    use crate::value::Limits;

    fn seen<'a>(document: &'a Value, worth: &'a Worth, old: Outcome, candidate: Outcome) -> Seen<'a> {
        let of = Of { record: RecordId(uuid::Uuid::nil()), number: Some("#1"), currency: Some("USD") };
        Seen { of, old, candidate, document, worth: Some(worth) }
    }

    #[test]
    fn a_shadow_run_says_who_has_an_answer_what_is_left_behind_and_what_it_comes_to() {
        let document =
            r#"{"note": "", "po": "7", "lines": [{"discounts": [{"amount": "1.10"}, {"amount": "0.20"}]}, {"discounts": []}]}"#;
        let document = Value::parse(document.as_bytes(), &Limits::DEFAULT).unwrap();
        let worth = Worth { currency: "USD".into(), amount: "10.50".parse().unwrap() };
        let lost = [("note".to_owned(), false), ("po".to_owned(), false), ("lines[].discounts[].amount".to_owned(), true)];
        let (made, refused) =
            (|| Outcome::Made { looks_up: false }, || Outcome::Refused(Box::new(Reason::internal("Order #1", "no entry"))));
        let mut parity = Parity::default();
        assert!(parity.is_clean());
        parity.add(seen(&document, &worth, made(), Outcome::Made { looks_up: true }), &lost);
        parity.add(seen(&document, &worth, made(), refused()), &lost);
        parity.add(seen(&document, &worth, refused(), made()), &lost);
        parity.add(seen(&document, &worth, refused(), refused()), &lost);
        parity.add(seen(&document, &worth, Outcome::Left, Outcome::Left), &lost);
        parity.sort();
        assert_eq!(
            [parity.deliveries, parity.made, parity.refused, parity.mended, parity.both_refused, parity.left, parity.looked_up],
            [5, 1, 1, 1, 1, 1, 1]
        );
        assert!(!parity.is_clean());
        let fields: Vec<(&str, u64)> = parity.lost.iter().map(|lost| (lost.field.as_str(), lost.records)).collect();
        assert_eq!(fields, [("lines[].discounts[].amount", 1), ("po", 1)], "an empty note loses nothing");
        assert_eq!(parity.lost[0].money, [Money { currency: "USD".into(), amount: "1.30".parse().unwrap() }]);
        assert_eq!((parity.causes.len(), parity.causes[0].newly, parity.causes[0].records), (1, 1, 2));
        assert_eq!((parity.worth[0].old.to_string(), parity.worth[0].candidate.to_string()), ("21.00".into(), "21.00".into()));
        assert_eq!(serde_json::from_value::<Parity>(serde_json::to_value(&parity).unwrap()).unwrap(), parity);
    }
}
