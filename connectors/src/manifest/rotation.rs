//! `rotation`: how the secret of a connection is exchanged for a new one, by us or by a person.

use domain::rotation::RotationWay;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::request::Request;

/// How the secret of a connection is exchanged for a new one: `automatic` or `guided`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// After so many days a secret should be exchanged, as the vendor advises, or as we do where it says nothing.
    pub max_age_days: u32,
    /// The vendor's page that says so.
    #[serde(default)]
    pub source: Option<String>,
    #[serde(default)]
    pub automatic: Option<Box<AutomaticRotation>>,
    #[serde(default)]
    pub guided: Option<GuidedRotation>,
}

impl Rotation {
    #[must_use]
    pub fn every_days(&self) -> i32 {
        i32::try_from(self.max_age_days).unwrap_or(i32::MAX)
    }

    #[must_use]
    pub fn way(&self) -> RotationWay {
        if self.automatic.is_some() { RotationWay::Automatic } else { RotationWay::Guided }
    }

    /// Hours that both secrets stand; absent: with the new one the old one ends.
    #[must_use]
    pub fn overlap_hours(&self) -> Option<u32> {
        match (&self.automatic, &self.guided) {
            (Some(automatic), _) => Some(automatic.overlap_hours),
            (None, guided) => guided.as_ref().and_then(|guided| guided.overlap_hours),
        }
    }
}

/// A vendor whose API makes keys: a second one is made with the first, checked by the probe, and the first one removed after both stood for a while.
/// The credential must be one whose keys can be told apart by what they are called.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AutomaticRotation {
    /// Hours that both stand.
    pub overlap_hours: u32,
    /// How many the vendor lets an account have at once, where it says so.
    #[serde(default)]
    pub held_at_most: Option<u32>,
    pub create: KeyCreate,
    pub list: KeyList,
    /// Removes the key `{{ key_id }}`. One that is not there any more is removed.
    pub retire: Request,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyCreate {
    /// Makes a key that is called `{{ key_label }}`.
    pub request: Request,
    /// What of the answer is secret: the field of `credential`, then the path. The other fields stay as they were.
    pub keep: IndexMap<String, String>,
    /// The path of the new key's id.
    pub id: String,
}

/// All keys of the account, in one answer: what a try has left there that broke off is found by its label, and removed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyList {
    pub request: Request,
    /// The path of the list.
    pub keys: String,
    /// Within a key, the path of its id.
    pub id: String,
    /// Within a key, the path of what it is called.
    pub label: String,
    /// Within a key, the path of the last characters of its secret, where the vendor shows them: by these a key that a person made is told from the others.
    #[serde(default)]
    pub ends_with: Option<String>,
    /// An expression over a key; true where it is over, though it is still listed: `!is_empty(revoked_at)`.
    #[serde(default)]
    pub over: Option<String>,
}

/// A vendor at which a person makes the new secret.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuidedRotation {
    /// The fields of `credential` that are new afterwards; the others stay as they are.
    pub secrets: Vec<String>,
    /// What to do at the vendor before the new secret is entered: sentences, in their order.
    pub steps: Vec<String>,
    /// Where that is done, or described.
    pub page: String,
    /// Hours that both secrets may stand; absent: with the new one the old one ends.
    #[serde(default)]
    pub overlap_hours: Option<u32>,
    /// The last step, where both stand: how the old secret is removed at the vendor.
    #[serde(default)]
    pub remove: Option<String>,
}
