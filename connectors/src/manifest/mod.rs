//! The vocabulary of `connector.yaml`, format version 1: closed and small, a file for each section. A misspelt key is an error with its
//! line and column and the nearest right name; `connectors/schema.json` is made from these types, for editors.

mod auth;
mod error;
mod file;
mod limit;
mod rates;
mod read;
mod request;
mod rotation;
mod webhook;
mod write;
mod x12;

use std::collections::BTreeMap;

use domain::fault::{FaultClass, Owner};
use domain::fix::FixKind;
use domain::mapping::Rules;
use domain::record::RecordKind;
use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

pub use auth::*;
pub use error::*;
pub use file::*;
pub use limit::*;
pub use rates::*;
pub use read::*;
pub use request::*;
pub use rotation::*;
pub use webhook::*;
pub use write::*;
pub use x12::*;

/// The version of the format that this build reads.
pub const FORMAT: u32 = 1;

/// Everything we know about one vendor's API.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format: 1.
    pub format: u32,
    /// The folder's name: lower-case letters, digits and dashes.
    pub name: String,
    /// What people read.
    pub title: String,
    /// Who makes it, where that is another name.
    #[serde(default)]
    pub vendor: Option<String>,
    pub category: Category,
    /// The vendor's documentation.
    #[serde(default)]
    pub docs: Option<String>,
    /// API versions; exactly one is current: the one that this connector calls.
    #[serde(default)]
    pub versions: Vec<Version>,
    /// Where answers and webhooks say which version served them.
    #[serde(default)]
    pub version_echo: Option<Place>,
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
    /// A cheap read that tells whether the account answers to its credential. Where there is none, the newest records of the first kind are listed.
    #[serde(default)]
    pub probe: Option<Request>,
    /// How the secret is exchanged for a new one, now and then.
    #[serde(default)]
    pub rotation: Option<Rotation>,
    #[serde(default)]
    pub webhooks: Option<Hook>,
    /// What is read and written, by kind of record.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Resource>")]
    pub resources: BTreeMap<RecordKind, Resource>,
    /// Where exchange rates are read.
    #[serde(default)]
    pub rates: Option<Box<Rates>>,
    /// What is agreed on with the partner, where files are X12.
    #[serde(default)]
    pub x12: Option<Box<X12>>,
    #[serde(default)]
    pub error: ErrorFields,
    /// The error catalog; the first rule that fits decides.
    #[serde(default)]
    pub errors: Vec<ErrorRule>,
    /// What could not be checked against the vendor, in sentences.
    #[serde(default)]
    pub unchecked: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    Storefront,
    Marketplace,
    Erp,
    Warehouse,
    Shipping,
    Accounting,
    Payment,
    Crm,
    Generic,
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
            Self::Payment => "payment",
            Self::Crm => "crm",
            Self::Generic => "generic",
        }
    }
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Version {
    pub id: String,
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub released: Option<chrono::NaiveDate>,
    /// From this day on the vendor may answer calls of this version otherwise, or not at all.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub sunset: Option<chrono::NaiveDate>,
    #[serde(default)]
    pub current: bool,
}

/// One field of the connect form.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    pub title: String,
    #[serde(default)]
    pub kind: FieldKind,
    #[serde(default)]
    pub help: Option<String>,
    #[serde(default)]
    pub example: Option<String>,
    /// What the whole value must match.
    #[serde(default)]
    pub pattern: Option<String>,
    /// The values there are, where there are few.
    #[serde(default)]
    pub options: Vec<String>,
    #[serde(default)]
    pub required: bool,
    #[serde(default)]
    pub default: Option<String>,
    /// Of a secret: how many days the vendor lets it live after it was made.
    #[serde(default)]
    pub lifetime_days: Option<u32>,
}

/// What a value of the connect form is; every one is kept as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldKind {
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An http or https address.
    Url,
    /// Several lines, such as a private key in PEM.
    Lines,
}

/// One kind of record at the vendor.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// The path of a record's id.
    #[serde(default)]
    pub id: Option<String>,
    /// The path of the time that a record last changed.
    #[serde(default)]
    pub updated_at: Option<String>,
    /// An expression over a record as the vendor tells it; true where it is deleted there: `status == "trash"`.
    #[serde(default)]
    pub deleted: Option<String>,
    /// `read` always lists all that there are: what it does not list any more is deleted there.
    #[serde(default)]
    pub absent_is_deleted: bool,
    /// The path of the version that a change must name as `{{ receipt_version }}`, where a vendor refuses one that was made without
    /// knowing the last: `SyncToken`.
    #[serde(default)]
    pub version: Option<String>,
    #[serde(default)]
    pub read: Option<Read>,
    /// How files bring them, where the address is a file server or a folder.
    #[serde(default)]
    pub files: Option<Files>,
    /// One record by its id.
    #[serde(default)]
    pub get: Option<Get>,
    #[serde(default)]
    pub write: Option<Write>,
    /// How a record that exists there is changed, by `{{ external_id }}`, where `write` only creates.
    #[serde(default)]
    pub update: Option<Write>,
    #[serde(default)]
    pub batch: Option<Batch>,
    #[serde(default)]
    pub actions: Actions,
    #[serde(default)]
    pub proof: Option<ProofRule>,
}

fn kind_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": RecordKind::ALL.map(RecordKind::as_str) })
}

fn class_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": FaultClass::ALL.map(FaultClass::as_str) })
}

fn owner_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": Owner::ALL.map(Owner::as_str) })
}

fn fix_kind_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "enum": FixKind::ALL.map(FixKind::as_str) })
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
