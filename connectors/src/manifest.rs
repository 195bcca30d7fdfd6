//! The vocabulary of `connector.yaml`, closed and small. A misspelt key is an error with its line and column.

use std::collections::BTreeMap;

use domain::fault::{FaultClass, Owner};
use domain::mapping::Rules;
use domain::record::RecordKind;
use indexmap::IndexMap;
use serde::Deserialize;

/// Everything we know about one vendor's API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The folder's name: lower-case letters, digits and dashes.
    pub name: String,
    /// What people read.
    pub title: String,
    pub category: Category,
    /// The vendor's documentation.
    #[serde(default)]
    pub docs: Option<String>,
    /// API versions; exactly one is current.
    #[serde(default)]
    pub versions: Vec<Version>,
    /// Where requests go; the setting `base_url`, where declared and given, replaces it.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The connect form: what a tenant says of its account.
    #[serde(default)]
    pub settings: IndexMap<String, Field>,
    /// The secrets of the connect form. Never shown again.
    #[serde(default)]
    pub credential: IndexMap<String, Field>,
    #[serde(default)]
    pub auth: Auth,
    /// Headers of every request.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    #[serde(default)]
    pub limits: Vec<LimitRule>,
    #[serde(default)]
    pub hook: Option<Hook>,
    /// How kinds of records are written.
    #[serde(default)]
    pub resources: BTreeMap<RecordKind, Resource>,
    /// Where the vendor's error bodies carry what.
    #[serde(default)]
    pub error: ErrorFields,
    /// The error catalog; the first rule that fits decides.
    #[serde(default)]
    pub errors: Vec<ErrorRule>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    Storefront,
    Marketplace,
    Erp,
    Warehouse,
    Shipping,
    Accounting,
    Crm,
}

impl Category {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Storefront => "storefront",
            Self::Marketplace => "marketplace",
            Self::Erp => "erp",
            Self::Warehouse => "warehouse",
            Self::Shipping => "shipping",
            Self::Accounting => "accounting",
            Self::Crm => "crm",
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    pub id: String,
    #[serde(default)]
    pub released: Option<chrono::NaiveDate>,
    #[serde(default)]
    pub sunset: Option<chrono::NaiveDate>,
    #[serde(default)]
    pub current: bool,
}

/// One field of the connect form.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub title: String,
    #[serde(default)]
    pub help: Option<String>,
    #[serde(default)]
    pub example: Option<String>,
    /// What the whole value must match.
    #[serde(default)]
    pub pattern: Option<String>,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub default: Option<String>,
}

/// How a request says who sends it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    #[default]
    None,
    /// A secret in a header.
    ApiKey {
        header: String,
        secret: String,
    },
    Bearer {
        secret: String,
    },
    /// RFC 7617; either part may be absent.
    Basic {
        #[serde(default)]
        user: Option<String>,
        #[serde(default)]
        password: Option<String>,
    },
    /// OAuth 1.0a with HMAC-SHA256 (RFC 5849, token based authentication).
    Oauth1 {
        realm: String,
        consumer_key: String,
        consumer_secret: String,
        token: String,
        token_secret: String,
    },
}

/// How many calls an account may make at once.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitRule {
    pub bucket: String,
    /// The setting that says how many; `default` where it is not given.
    #[serde(default)]
    pub setting: Option<String>,
    pub default: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    pub signature: Signature,
    #[serde(default)]
    pub source: Option<SourceCheck>,
    /// Where the topic stands: a header or a path in the body.
    pub topic: Place,
    /// What is the same on every retry of one delivery; absent: the hash of topic and body.
    #[serde(default)]
    pub dedupe: Option<Place>,
    #[serde(default)]
    pub version: Option<Place>,
    pub topics: IndexMap<String, Topic>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Any of these headers, in this order.
    #[serde(default)]
    pub header: Vec<String>,
    #[serde(default)]
    pub path: Option<String>,
}

/// HMAC-SHA256 over the raw body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    pub header: Vec<String>,
    /// What stands before the digest in the header: `sha256=`.
    #[serde(default)]
    pub prefix: String,
    pub encoding: Encoding,
    /// Any of these secrets: the new one and, while it is rotated, the old one.
    pub secrets: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    Base64,
    Hex,
}

/// The account that a delivery says it comes from must be the connection's own.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceCheck {
    pub header: Vec<String>,
    pub equals: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    pub kind: RecordKind,
    /// Where the body carries the id of the thing.
    pub id: String,
    /// The body is an id only; this reads the thing itself.
    #[serde(default)]
    pub fetch: Option<Fetch>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    pub request: Request,
    /// Where the answer carries the thing; absent: it is the whole answer.
    #[serde(default)]
    pub record: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub method: Method,
    pub path: String,
    #[serde(default)]
    pub headers: IndexMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    pub write: Write,
    #[serde(default)]
    pub proof: Option<ProofRule>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    pub request: Request,
    pub receipt: ReceiptRule,
}

/// Where the destination's id stands.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptRule {
    /// A header whose last path segment is the id.
    #[serde(default)]
    pub header: Option<String>,
    /// A path in the body.
    #[serde(default)]
    pub path: Option<String>,
    #[serde(default)]
    pub version: Option<String>,
}

/// How to find by business key what a lost answer did.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofRule {
    pub request: Request,
    pub receipt: ReceiptRule,
    /// How long the vendor takes to show a write, ms.
    pub settle_ms: u64,
    /// How long after its last byte was sent a write may still take effect at the vendor, ms. An absence that is seen earlier proves nothing.
    #[serde(default)]
    pub lands_within_ms: u64,
    /// Answers that say it is not there.
    pub absent: Vec<Absent>,
    /// Where the found thing carries the revision that we wrote.
    pub revision: String,
}

/// An answer that says that a record is not there.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Absent {
    /// This status, whoever gave it. A proxy gives a 404 too, so use it only where the vendor's has no code.
    Status(u16),
    Code(AbsentCode),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbsentCode {
    pub status: u16,
    /// Any of these codes of the vendor.
    pub code: Vec<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorFields {
    #[serde(default)]
    pub code: Vec<String>,
    #[serde(default)]
    pub message: Vec<String>,
    #[serde(default)]
    pub path: Vec<String>,
}

/// What an answer means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorRule {
    /// `401`, or a range `500-599`; absent: any that is no success.
    #[serde(default)]
    pub status: Option<String>,
    /// Any of these codes of the vendor.
    #[serde(default)]
    pub code: Vec<String>,
    pub class: FaultClass,
    /// A sentence; `{{ message }}`, `{{ code }}`, `{{ path }}` and `{{ status }}` come from the answer.
    pub reason: String,
    pub owner: Owner,
    pub fix: String,
    /// The vendor guarantees that nothing was done, so that a write may be sent again without asking.
    #[serde(default)]
    pub not_applied: bool,
}

/// `<kind>.yaml`: how a kind of record is read from and written to the vendor.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindFile {
    #[serde(default)]
    pub read: Rules,
    #[serde(default)]
    pub write: Rules,
    /// The vendor's own code translations.
    #[serde(default)]
    pub tables: BTreeMap<String, std::collections::HashMap<String, String>>,
}
