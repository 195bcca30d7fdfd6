//! The adapters: Postgres, the broker, the limiter, the vault and the one door out to the world.
//! The only crate that names sea-orm, sqlx, lapin, redis and reqwest.

pub mod broker;
pub mod limiter;
pub mod outbound;
pub mod postgres;
pub mod telemetry;
pub mod vault;
