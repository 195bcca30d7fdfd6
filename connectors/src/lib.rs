//! A connector is data: a folder under `catalog/` with `connector.yaml`, mappings and samples. This crate is the small engine that reads
//! it. It does no I/O and knows no vendor: it turns values into requests and answers into receipts and faults.

mod auth;
mod catalog;
mod change;
mod check;
mod connector;
mod decode;
mod hex;
mod hook;
pub mod import;
mod limit;
mod look_up;
pub mod manifest;
mod parse;
mod path;
mod read;
mod receipt;
mod request;
mod response;
mod schema;
mod settings;
pub mod simulator;
mod template;
mod verified;
mod version;
mod write;

pub use auth::{Callback, CallbackError, Pkce, TokenSet, callback_state, is_same_state};
pub use catalog::{Catalog, CatalogError, CatalogErrors};
pub use change::Change;
pub use connector::{Connector, Limit};
pub use decode::{DecodeError, Decoded, Decoder, Extracted};
pub use hook::{Comparison, HookCall, HookInfo, HookRefusal, ListedSubscription, Subscription, SubscriptionReader, compare};
pub use limit::LimitState;
pub use look_up::{Found, LookUpError};
pub use manifest::{Field, Manifest};
pub use parse::{ParseError, yaml};
pub use read::{Getter, Position, ReadRecord, Reader};
pub use request::{CallVars, Draft, DraftBody, RequestContext, RequestError};
pub use response::Proof;
pub use schema::schema;
pub use settings::FieldError;
pub use simulator::Simulator;
pub use verified::{VERIFIED_FILE, Verified};
