//! `rates`: where exchange rates are read, for tables that a tenant lets be fed.

use schemars::JsonSchema;
use serde::Deserialize;

use super::read::{Read, TimeFormat};

/// One answer has all rates of a day.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// `records` are the rates: a list of them, or (without `to` and `rate`) maps from a currency to its rate.
    pub read: Read,
    /// The currency of which one unit costs so many of the others, always the same one,
    #[serde(default)]
    pub base: Option<String>,
    /// or where the answer says it.
    #[serde(default)]
    pub base_path: Option<String>,
    /// The other currency, in a record.
    #[serde(default)]
    pub to: Option<String>,
    /// How many of it one unit of the base costs, in a record.
    #[serde(default)]
    pub rate: Option<String>,
    /// Where the answer says of which day its rates are.
    pub date: String,
    /// `%Y-%m-%d` where absent.
    #[serde(default)]
    pub date_format: Option<TimeFormat>,
}
