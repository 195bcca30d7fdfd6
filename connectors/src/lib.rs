//! A connector is data: a folder under `catalog/` with `connector.yaml`, mappings and samples. This crate is the small engine that reads
//! it. It does no I/O and knows no vendor: it turns values into requests and answers into receipts and faults.

mod auth;
mod catalog;
mod connector;
mod hook;
mod manifest;
mod request;
mod response;
mod settings;
mod template;

pub use catalog::{Catalog, CatalogError, CatalogErrors};
pub use connector::{Connector, Limit};
pub use hook::{HookInfo, HookRefusal};
pub use manifest::{Field, Manifest};
pub use request::{RequestContext, RequestError};
pub use response::Proof;
pub use settings::FieldError;
