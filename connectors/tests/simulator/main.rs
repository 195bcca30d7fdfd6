//! A vendor's simulator, made of its own connector: every connector of the catalog, and small ones for each thing that a manifest can say.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod auth;
mod catalog;
mod fault;
mod hook;
mod list;
mod made_up;
mod vendor;
mod write;
