//! `limits`: what the vendor allows one account.

use schemars::JsonSchema;
use serde::Deserialize;

/// One bucket of calls. What several processes share is counted together.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitRule {
    /// Its name; with several buckets a call takes from each that it belongs to.
    pub bucket: String,
    /// Calls at once.
    #[serde(default)]
    pub concurrency: Option<u32>,
    /// The setting that says how many at once, instead.
    #[serde(default)]
    pub setting: Option<String>,
    #[serde(default)]
    pub rate: Option<Rate>,
    #[serde(default)]
    pub cost: Option<Cost>,
    /// Headers that say how the bucket stands.
    #[serde(default)]
    pub headers: LimitHeaders,
    /// Path prefixes that it counts; absent: every call.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Percent that are kept for other applications of the same account, 0 to 90; absent: 10. A connection may say otherwise.
    #[serde(default)]
    #[schemars(range(max = 90))]
    pub reserve: Option<u32>,
}

/// So many calls in so many seconds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    pub calls: u32,
    pub per_s: u32,
    /// Calls that may come at once; absent: `calls` at the vendor, of which we use a tenth at once, so that no stretch of `per_s` has more.
    #[serde(default)]
    pub burst: Option<u32>,
}

/// Points that calls cost by what they ask for, and that come back.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    pub points: u32,
    pub restore_per_s: u32,
    /// Where an answer says what the call cost.
    #[serde(default)]
    pub spent: Option<String>,
    /// Where an answer says how many points are left.
    #[serde(default)]
    pub left: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitHeaders {
    /// Calls in all: `40`, or used and all in one: `32/40`.
    #[serde(default)]
    pub limit: Option<String>,
    #[serde(default)]
    pub remaining: Option<String>,
    #[serde(default)]
    pub reset: Option<super::error::Wait>,
}

impl LimitHeaders {
    pub(crate) fn is_empty(&self) -> bool {
        self.limit.is_none() && self.remaining.is_none() && self.reset.is_none()
    }
}
