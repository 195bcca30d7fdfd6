//! A connector is data: a folder under `catalog/` with `connector.yaml`, mappings and samples. This crate is the small engine that reads
//! it. It does no I/O and knows no vendor: it turns values into requests and answers into receipts and faults.

mod agreement;
mod auth;
mod batch;
mod catalog;
mod change;
mod check;
mod connector;
mod decode;
mod der;
pub mod file;
pub mod flow;
mod flow_template;
mod hex;
mod hook;
pub mod import;
mod inputs;
mod limit;
mod look_up;
pub mod manifest;
mod parse;
mod path;
mod print;
mod probe;
mod rates;
mod read;
mod receipt;
mod request;
mod response;
mod rotation;
mod schema;
mod settings;
pub mod simulator;
pub mod swap;
mod template;
pub mod trial;
mod verified;
mod version;
mod write;
pub mod x12;

pub use auth::{Callback, CallbackError, OauthScope, Pkce, TokenSet, callback_state, is_same_state};
pub use batch::ItemEnd;
pub use catalog::{Catalog, CatalogError, CatalogErrors};
pub use change::Change;
pub use connector::{Connector, ConnectorHash, Limit};
pub use decode::{DecodeError, Decoded, Decoder, Extracted};
pub use flow_template::{FlowTemplate, SettingNeed, Side, TableNeed};
pub use hook::{
    Comparison, HookCall, HookInfo, HookRefusal, HookTrust, ListedSubscription, SecretSource, Subscription, SubscriptionReader,
    compare, is_same_address, is_same_topic,
};
pub use inputs::Inputs;
pub use limit::LimitState;
pub use look_up::{Found, LookUpError};
pub use manifest::{Field, Manifest};
pub use parse::{ParseError, yaml};
pub use print::to_yaml;
pub use rates::PublishedRate;
pub use read::{Getter, Position, ReadRecord, Reader};
pub use request::{CallVars, Draft, DraftBody, RequestContext, RequestError};
pub use response::Proof;
pub use rotation::{ListedKey, MadeKey};
pub use schema::schema;
pub use settings::FieldError;
pub use simulator::Simulator;
pub use verified::{VERIFIED_FILE, Verified};
