//! Answers people, partners and vendors: GraphQL, the hooks, health. Slow work is the workers'.

// The root types of GraphQL are merged of one object for each noun, each a layer of one future within the next.
#![recursion_limit = "512"]

mod api_key;
pub mod app;
mod audit;
pub mod auth;
mod body;
mod changes;
mod client_address;
pub mod config;
mod consent;
mod event_stream;
pub mod graphql;
mod health;
mod hook_refusal;
mod intake;
mod mailing;
pub mod master_key;
mod passkey;
pub mod password;
mod quota;
mod round_trip;
mod scim;
mod second_factor;
mod sso;
mod unread;
#[doc(hidden)]
pub mod untrusted;
mod web_app;
mod web_session;

pub use app::{AppState, serve};
