//! What one version of a flow says: data with a schema, the same in a file, in the API and in the database.

use serde::{Deserialize, Serialize};

use super::Trigger;
use crate::delivery::Policy;
use crate::mapping::{OnMissing, Rules};

/// One version of a flow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowSpec {
    /// An expression over the record; only those it is true for are delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// The tenant's rules over those by which the source's connector reads: how its messages become records.
    #[serde(skip_serializing_if = "Rules::is_empty")]
    pub source_mapping: Rules,
    /// The tenant's rules over those by which the destination's connector writes.
    #[serde(skip_serializing_if = "Rules::is_empty")]
    pub mapping: Rules,
    pub policy: Policy,
    pub trigger: Trigger,
}

impl FlowSpec {
    /// Rules as they run: a look-up that does not say what happens to a value that has no entry does what the policy says.
    #[must_use]
    pub fn under_policy(&self, rules: Rules) -> Rules {
        if self.policy.missing == OnMissing::Exception { rules } else { rules.with_missing(self.policy.missing) }
    }
}

/// Which revisions of a record a flow delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordering {
    /// The latest one that is there when its turn comes; what it takes the place of is superseded.
    #[default]
    Latest,
    /// Each, one after the other: for a destination that must see every step.
    Each,
}
