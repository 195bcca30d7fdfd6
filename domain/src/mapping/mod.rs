//! Mappings are data: rules that turn a message into a record, or a record into a destination's payload.
//! Compiled once to a [`Plan`], they run on a borrowed [`Value`] tree; every number stays a decimal.
//!
//! ```
//! use domain::{mapping::{LookupSet, Plan, Rules, Vars}, value::{Limits, Value}};
//! let rules: Rules = serde_json::from_str(r#"[
//!     {"to": "number", "from": "name", "required": true},
//!     {"to": "lines", "each": "line_items", "rules": [
//!         {"to": "sku", "from": "sku", "lookup": "SKUs"},
//!         {"to": "amount", "expr": "price * quantity", "as": "money"}]}]"#).unwrap();
//! let plan = Plan::compile(&rules).unwrap();
//! let order = Value::parse(br##"{"name": "#1", "line_items": [{"sku": "HAT", "price": "0.10", "quantity": 3}]}"##, &Limits::DEFAULT).unwrap();
//! let tables: LookupSet = [("SKUs".to_owned(), [("HAT".to_owned(), "88".to_owned())].into())].into_iter().collect();
//! let record = plan.apply(&order, &tables, &Vars::default()).unwrap();
//! assert_eq!(record.to_json(), r##"{"number":"#1","lines":[{"sku":"88","amount":"0.30"}]}"##);
//! assert_eq!(plan.reads(), ["line_items[]", "line_items[].price", "line_items[].quantity", "line_items[].sku", "name"]);
//! ```

mod compile;
mod convert;
mod cost;
mod evaluate;
mod expression;
mod issue;
mod lookup;
mod nearest;
mod plan;
mod reads;
mod round;
mod rule;
mod run;
#[cfg(test)]
mod tests;
mod time;
mod unit;
mod uses;
mod vars;

pub use compile::{MappingError, MappingErrors};
pub use expression::ExpressionError;
pub use issue::{Issue, IssueCode};
pub use lookup::{LookupSet, Lookups, Rate};
pub use plan::{Filter, Plan, Untranslated};
pub use rule::{Kind, OnMissing, Round, RoundMode, RoundScope, Rule, Rules};
pub use unit::known_as as unit_name;
pub use uses::{How, Use, is_touched};
pub use vars::Vars;
