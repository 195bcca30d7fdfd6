//! What a tenant pays: a base fee a month, and of each meter so much included and a price for what is beyond. A plan is data (`infra/plans/`); what was
//! agreed with a tenant is kept with the tenant, so that a file which changes changes nobody's bill.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize};

use crate::currency;
use crate::usage::Meter;

const NAME_CHARS_MAX: usize = 100;
const ID_BYTES_MAX: usize = 63;
/// Of one meter.
const STEPS_MAX: usize = 20;
/// So that no sum of a month comes near what a decimal holds.
const COUNT_MAX: i64 = 1_000_000_000_000;
const FEE_MAX: i64 = 1_000_000_000;
const PRICE_MAX: i64 = 1_000_000;
const PRICE_PLACES_MAX: u32 = 10;

/// A plan, as its file says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Lower-case letters, digits and dashes.
    pub id: String,
    pub name: String,
    /// ISO 4217.
    pub currency: String,
    /// The first day from which a tenant may be on it.
    pub valid_from: NaiveDate,
    /// Of a whole month; of a part of one by days.
    #[serde(deserialize_with = "decimal")]
    pub base_fee: Decimal,
    /// All three meters: what is not named would be free, and nobody would have said so.
    pub meters: BTreeMap<Meter, Terms>,
}

/// What one meter costs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// So many of a whole month are paid for by the base fee.
    pub included: i64,
    /// What each one beyond costs: the first step up to its end, then the next one. The last has no end.
    pub beyond: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// How many beyond what is included this step and those before it are for, in a whole month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<i64>,
    /// Of one.
    #[serde(deserialize_with = "decimal")]
    pub price: Decimal,
}

/// Money is read as its digits, never by way of a float.
fn decimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    let text = String::deserialize(deserializer)?;
    Decimal::from_str_exact(&text)
        .map_err(|_| serde::de::Error::custom(format!("\"{text}\" is no amount; write its digits, such as \"12.50\"")))
}

impl Plan {
    /// All that is wrong with it, each with where it stands and what to do.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let mut problems = vec![];
        let mut say = |where_: &str, what: String| problems.push(format!("{where_}: {what}"));
        let is_id = self.id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !is_id || self.id.is_empty() || self.id.len() > ID_BYTES_MAX {
            say("id", format!("write 1 to {ID_BYTES_MAX} lower-case letters, digits and dashes, not \"{}\"", self.id));
        }
        if !(1..=NAME_CHARS_MAX).contains(&self.name.trim().chars().count()) || self.name.chars().any(char::is_control) {
            say("name", format!("write what people call it, in 1 to {NAME_CHARS_MAX} characters"));
        }
        match currency::places(&self.currency) {
            None => say("currency", format!("\"{}\" is no currency of ISO 4217; write one such as EUR", self.currency)),
            Some(places) if self.base_fee.normalize().scale() > places => {
                say("base_fee", format!("{} has {places} places after the point, and {} has more", self.currency, self.base_fee));
            }
            Some(_) => {}
        }
        if !(Decimal::ZERO..=Decimal::from(FEE_MAX)).contains(&self.base_fee) {
            say("base_fee", format!("a fee is from 0 to {FEE_MAX}, not {}", self.base_fee));
        }
        for meter in Meter::ALL {
            let at = format!("meters.{}", meter.as_str());
            match self.meters.get(&meter) {
                Some(terms) => terms.problems(&at, &mut say),
                None => say(&at, "it is missing; say what it costs, and price: \"0\" where it costs nothing".to_owned()),
            }
        }
        problems
    }
}

impl Terms {
    fn problems(&self, at: &str, say: &mut impl FnMut(&str, String)) {
        if !(0..=COUNT_MAX).contains(&self.included) {
            say(&format!("{at}.included"), format!("it is from 0 to {COUNT_MAX}, not {}", self.included));
        }
        let beyond = format!("{at}.beyond");
        let Some((last, before)) = self.beyond.split_last() else {
            return say(&beyond, "say what those beyond cost: at least one step with a price".to_owned());
        };
        if self.beyond.len() > STEPS_MAX {
            say(&beyond, format!("there are {} steps; {STEPS_MAX} are the most", self.beyond.len()));
        }
        if last.up_to.is_some() {
            say(&beyond, "the last step has no up_to: it is for all the rest".to_owned());
        }
        let mut end = 0;
        for (index, step) in before.iter().enumerate() {
            match step.up_to {
                Some(up_to) if up_to > end && up_to <= COUNT_MAX => end = up_to,
                Some(up_to) => say(&beyond, format!("step {} ends at {up_to}; steps grow, from 1 to {COUNT_MAX}", index + 1)),
                None => say(&beyond, format!("step {} has no up_to; only the last one is for all the rest", index + 1)),
            }
        }
        for (index, step) in self.beyond.iter().enumerate() {
            let is_price = (Decimal::ZERO..=Decimal::from(PRICE_MAX)).contains(&step.price);
            if !is_price || step.price.normalize().scale() > PRICE_PLACES_MAX {
                let what = format!("a price is from 0 to {PRICE_MAX} with {PRICE_PLACES_MAX} places at most, not {}", step.price);
                say(&format!("{beyond}, step {}", index + 1), what);
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub fn plan(base_fee: &str, included: i64, beyond: &[(Option<i64>, &str)]) -> Plan {
        let step = |(up_to, price): &(Option<i64>, &str)| Step { up_to: *up_to, price: price.parse().unwrap() };
        let terms = Terms { included, beyond: beyond.iter().map(step).collect() };
        Plan {
            id: "growth".into(),
            name: "Growth".into(),
            currency: "EUR".into(),
            valid_from: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap(),
            base_fee: base_fee.parse().unwrap(),
            meters: Meter::ALL.into_iter().map(|meter| (meter, terms.clone())).collect(),
        }
    }

    #[test]
    fn a_plan_is_what_it_was_after_it_was_kept() {
        let plan = plan("490.00", 1_000, &[(Some(200), "0.0040"), (None, "0.002")]);
        assert_eq!(plan.problems(), Vec::<String>::new());
        let kept = serde_json::to_value(&plan).unwrap();
        assert_eq!(kept["base_fee"], "490.00", "digits, and no float");
        assert_eq!(serde_json::from_value::<Plan>(kept).unwrap(), plan);
    }

    #[test]
    fn money_is_read_from_digits_only() {
        for wrong in [serde_json::json!(0.1), serde_json::json!("1e3"), serde_json::json!("twelve"), serde_json::json!(null)] {
            let mut kept = serde_json::to_value(plan("1", 0, &[(None, "0")])).unwrap();
            kept["base_fee"] = wrong.clone();
            assert!(serde_json::from_value::<Plan>(kept).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_plan_is_said_with_its_place_and_what_to_do() {
        let good = plan("490.00", 0, &[(None, "0.01")]);
        let wrong = |change: fn(&mut Plan)| {
            let mut plan = good.clone();
            change(&mut plan);
            plan.problems().join("; ")
        };
        let steps = |ends: &[Option<i64>]| ends.iter().map(|end| Step { up_to: *end, price: Decimal::ONE }).collect::<Vec<_>>();
        let with_steps = |ends: &[Option<i64>]| {
            let mut plan = good.clone();
            plan.meters.get_mut(&Meter::VendorCall).unwrap().beyond = steps(ends);
            plan.problems().join("; ")
        };
        for (problems, wanted) in [
            (wrong(|plan| plan.id = "Big Plan".into()), "id: write 1 to 63"),
            (wrong(|plan| plan.name = " ".into()), "name: write what people call it"),
            (wrong(|plan| plan.currency = "EURO".into()), "currency: \"EURO\" is no currency"),
            (wrong(|plan| plan.base_fee = Decimal::new(1, 3)), "base_fee: EUR has 2 places"),
            (wrong(|plan| plan.base_fee = Decimal::NEGATIVE_ONE), "base_fee: a fee is from 0"),
            (wrong(|plan| drop(plan.meters.remove(&Meter::VendorCall))), "meters.vendor_call: it is missing"),
            (with_steps(&[]), "meters.vendor_call.beyond: say what those beyond cost"),
            (with_steps(&[Some(5)]), "the last step has no up_to"),
            (with_steps(&[None, None]), "step 1 has no up_to"),
            (with_steps(&[Some(5), Some(5), None]), "step 2 ends at 5; steps grow"),
        ] {
            assert!(problems.contains(wanted), "{wanted}: {problems}");
        }
    }
}
