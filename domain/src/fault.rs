//! A fault is a classified technical failure, before policy: what the connector's error catalog made of an answer or of its absence.

use serde::{Deserialize, Serialize};

use crate::fix::FixKind;
use crate::secret::Redactor;

/// The code of a call that never left us, because the vendor's limit was used up.
pub const NO_SLOT: &str = "no_slot";

/// What kind of failure it is, which decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// Passing: try again later.
    Retry,
    /// A limit of the vendor: wait, then try again; does not count as a failed attempt.
    Limit,
    /// The credential is refused.
    Authentication,
    /// The credential is good but may not do this.
    Permission,
    /// The vendor refuses the content: a person must change something.
    Validation,
    /// Somebody else changed it, or it exists already.
    Conflict,
    /// Something it refers to is not there.
    NotFound,
    /// It is gone for good, or the API version is.
    Gone,
    /// The vendor is down.
    Outage,
    /// Sent, but no answer: may or may not have had its effect.
    Unknown,
}

impl FaultClass {
    pub const ALL: [FaultClass; 10] = [
        Self::Retry,
        Self::Limit,
        Self::Authentication,
        Self::Permission,
        Self::Validation,
        Self::Conflict,
        Self::NotFound,
        Self::Gone,
        Self::Outage,
        Self::Unknown,
    ];

    /// True where trying again without a person can help.
    #[must_use]
    pub fn is_passing(self) -> bool {
        matches!(self, Self::Retry | Self::Limit | Self::Outage)
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Limit => "limit",
            Self::Authentication => "authentication",
            Self::Permission => "permission",
            Self::Validation => "validation",
            Self::Conflict => "conflict",
            Self::NotFound => "not_found",
            Self::Gone => "gone",
            Self::Outage => "outage",
            Self::Unknown => "unknown",
        }
    }
}

/// Who must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// Whoever runs the orders: lookup tables, data.
    Operations,
    /// Whoever manages connections and mappings.
    Developer,
    /// The vendor.
    Vendor,
    /// Crossdock's own people.
    Crossdock,
}

impl Owner {
    pub const ALL: [Owner; 4] = [Self::Operations, Self::Developer, Self::Vendor, Self::Crossdock];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operations => "operations",
            Self::Developer => "developer",
            Self::Vendor => "vendor",
            Self::Crossdock => "crossdock",
        }
    }
}

/// One failure, as the connector's error catalog describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub class: FaultClass,
    /// Stable and short: groups faults of the same cause. `INVALID_CONTENT`, `http_503`.
    pub code: String,
    /// What happened, in plain words, with the vendor's own text where that helps.
    pub reason: String,
    pub owner: Owner,
    /// What to do next, in plain words.
    pub fix: String,
    /// The act that does it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix_kind: Option<FixKind>,
    /// The field at the vendor that is at fault, where it says: `item.items[0].item`.
    pub path: Option<String>,
    /// How long the vendor asks us to wait.
    pub retry_after_ms: Option<u64>,
    /// The HTTP status, where there was an answer.
    pub status: Option<u16>,
}

impl Fault {
    /// One that no answer tells of: without status, path or a wish to wait.
    #[must_use]
    pub fn new(class: FaultClass, code: &str, reason: String, owner: Owner, fix: &str) -> Self {
        Self {
            class,
            code: code.into(),
            reason,
            owner,
            fix: fix.into(),
            fix_kind: None,
            path: None,
            retry_after_ms: None,
            status: None,
        }
    }

    /// One that an answer of this status tells of.
    #[must_use]
    pub fn answered(self, status: u16) -> Self {
        Self { status: Some(status), ..self }
    }

    /// Without what a vendor may have echoed of the credential: a fault is stored, logged and shown.
    #[must_use]
    pub fn redacted(self, redactor: &Redactor) -> Self {
        let text = |text: String| redactor.redact(&text).into_owned();
        Self { code: text(self.code), reason: text(self.reason), fix: text(self.fix), path: self.path.map(text), ..self }
    }
}
