//! Sums that a set leaves to its reader: an order may give quantities and prices and no total. Expressions of mappings add up a list, but not
//! its products; so a guide may name them, and a received tree has them beside its envelope, under `computed`. They are exact.

use domain::value::{Map, Value};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::Deserialize;

/// One sum: over the rows of a list the product of some fields, added or taken off by a code that the row has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sum {
    /// A path; a list within a list is all of their rows: `lines.allowances`.
    pub list: String,
    /// What is multiplied: `[quantity, unit_price]`.
    pub of: Vec<String>,
    /// The field whose code says whether a row counts; absent: all are added.
    #[serde(default)]
    pub by: Option<String>,
    #[serde(default)]
    pub plus: Vec<String>,
    #[serde(default)]
    pub minus: Vec<String>,
}

impl Sum {
    /// `None` where there are no rows, or where one that counts lacks a factor: half a sum would be a wrong one.
    pub fn of(&self, tree: &Value) -> Option<Decimal> {
        let mut rows = vec![tree];
        for step in self.list.split('.') {
            rows = rows.into_iter().filter_map(|row| row.get(step)).flat_map(entries).collect();
        }
        let mut sum = None;
        for row in rows {
            let code = self.by.as_ref().map(|by| row.get(by).and_then(Value::as_str).unwrap_or_default());
            let is_minus = match code {
                None => false,
                Some(code) if self.plus.iter().any(|known| known == code) => false,
                Some(code) if self.minus.iter().any(|known| known == code) => true,
                Some(_) => continue,
            };
            let mut product = Decimal::ONE;
            for factor in &self.of {
                product = product.checked_mul(row.get(factor).and_then(Value::to_decimal)?)?;
            }
            let signed = if is_minus { -product } else { product };
            sum = Some(sum.unwrap_or(Decimal::ZERO).checked_add(signed)?);
        }
        sum
    }
}

fn entries(value: &Value) -> Vec<&Value> {
    match value {
        Value::List(list) => list.iter().collect(),
        one => vec![one],
    }
}

/// All sums that there are, by their names.
pub(crate) fn computed<'s>(sums: impl Iterator<Item = (&'s String, &'s Sum)>, tree: &Value) -> Option<Map> {
    let sums = sums.filter_map(|(name, sum)| Some((name.clone(), Value::Text(sum.of(tree)?.normalize().to_string()))));
    Some(sums.collect::<Map>()).filter(|sums| !sums.is_empty())
}
