//! Answers people, partners and vendors: GraphQL, the hooks, health. Slow work is the workers'.

// The root types of GraphQL are merged of one object for each noun, each a layer of one future within the next.
#![recursion_limit = "512"]

pub mod app;
pub mod auth;
mod body;
pub mod config;
pub mod graphql;
mod health;
mod intake;
pub mod password;
mod throttle;

pub use app::{AppState, serve};
