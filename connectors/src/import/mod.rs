//! Readers of foreign descriptions, so that whoever has one need not write it anew. They never widen our own vocabulary.

pub mod airbyte;
pub mod openapi;
