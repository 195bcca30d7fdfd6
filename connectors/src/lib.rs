//! A connector is data: a folder under `catalog/` with `connector.yaml`, mappings and samples. This crate is the small engine that reads
//! it. It does no I/O and knows no vendor: it turns values into requests and answers into receipts and faults.

mod auth;
mod catalog;
mod check;
mod connector;
mod hook;
pub mod import;
pub mod manifest;
mod parse;
mod path;
mod request;
mod response;
mod schema;
mod settings;
mod template;

pub use catalog::{Catalog, CatalogError, CatalogErrors};
pub use connector::{Connector, Limit};
pub use hook::{HookInfo, HookRefusal};
pub use manifest::{Field, Manifest};
pub use parse::ParseError;
pub use request::{CallVars, Draft, DraftBody, RequestContext, RequestError};
pub use response::Proof;
pub use schema::schema;
pub use settings::FieldError;
