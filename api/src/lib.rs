//! Answers people, partners and vendors: GraphQL, the hooks, health. Slow work is the workers'.

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
