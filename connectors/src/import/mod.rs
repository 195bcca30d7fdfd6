//! Readers of other systems' connector descriptions, so that a tenant who has one need not write it anew.

pub mod airbyte;
