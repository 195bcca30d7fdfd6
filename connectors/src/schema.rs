//! The JSON Schema of `connector.yaml`, made from the types that read it: editors complete and check with it.

use crate::manifest::Manifest;

/// `connectors/schema.json`.
///
/// # Panics
/// Never: a schema is JSON.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Manifest>();
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}
