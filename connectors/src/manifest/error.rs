//! `error` and `errors`: what an answer that is no success means, to a machine and to a person.

use std::ops::RangeInclusive;

use domain::fault::{FaultClass, Owner};
use domain::fix::FixKind;
use schemars::JsonSchema;
use serde::Deserialize;

/// Where the vendor's error bodies carry what.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorFields {
    /// How the bodies of errors are written. XML is known by its own first words too.
    #[serde(default)]
    pub format: ErrorFormat,
    #[serde(default)]
    pub code: Vec<String>,
    #[serde(default)]
    pub message: Vec<String>,
    #[serde(default)]
    pub path: Vec<String>,
    /// Where a success carries an error all the same: `errors`, `data.*.userErrors`. What stands there, and is neither null, false nor
    /// empty, makes the answer a failure.
    #[serde(default)]
    pub inside: Vec<String>,
    /// Where an answer says how long to wait, beside `Retry-After`.
    #[serde(default)]
    pub wait: Vec<Wait>,
}

/// How error bodies are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorFormat {
    #[default]
    Json,
    /// Paths begin with the outer element: `Error.Code`.
    Xml,
}

/// A header that says how long to wait, or until when.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    pub header: String,
    pub unit: WaitUnit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitUnit {
    Seconds,
    Milliseconds,
    /// A moment, s since 1970.
    UnixS,
    /// A moment, ms since 1970.
    UnixMs,
}

/// What an answer means. The first rule that fits decides.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorRule {
    /// `401`, or a range `500-599`; absent: any that is a failure.
    #[serde(default)]
    pub status: Option<String>,
    /// Any of these codes of the vendor.
    #[serde(default)]
    pub code: Vec<String>,
    /// This header is there, and `pattern` is found in it.
    #[serde(default)]
    pub header: Option<HeaderRule>,
    /// An expression over the body: `contains(message, 'session')`.
    #[serde(default)]
    pub when: Option<String>,
    #[schemars(schema_with = "super::class_schema")]
    pub class: FaultClass,
    /// A sentence; `{{ message }}`, `{{ code }}`, `{{ path }}` and `{{ status }}` come from the answer.
    pub reason: String,
    #[schemars(schema_with = "super::owner_schema")]
    pub owner: Owner,
    pub fix: String,
    /// The act that mends it, for a button next to the text.
    #[serde(default)]
    #[schemars(schema_with = "super::fix_kind_schema")]
    pub fix_kind: Option<FixKind>,
    /// How long to wait where the answer does not say, s.
    #[serde(default)]
    pub wait_s: Option<u32>,
    /// The vendor guarantees that nothing was done, so that a write may be sent again without asking.
    #[serde(default)]
    pub not_applied: bool,
    /// The version that the change named is not the last: the record is read again (`get`) and the change made once more, with the new one.
    #[serde(default)]
    pub stale: bool,
}

impl ErrorRule {
    /// The statuses that it is for, the first and the last; all of them where it names none, and `None` where what it names is neither a
    /// status nor a range.
    #[must_use]
    pub fn statuses(&self) -> Option<RangeInclusive<u16>> {
        let Some(range) = self.status.as_deref() else { return Some(0..=u16::MAX) };
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        Some(from.trim().parse().ok()?..=to.trim().parse().ok()?)
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    pub name: String,
    /// A regular expression; absent: any value.
    #[serde(default)]
    pub pattern: Option<String>,
}
