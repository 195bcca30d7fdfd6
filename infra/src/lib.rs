//! The adapters: Postgres, the broker, the limiter, the vault and the one door out to the world.
//! The only crate that names sea-orm, sqlx, lapin, redis, reqwest and russh.

pub mod broker;
pub mod certificate;
pub mod drift;
pub mod files;
mod home;
pub mod limiter;
pub mod lookup;
pub mod loopback;
pub mod mail;
pub mod outbound;
pub mod postgres;
pub mod process;
pub mod simulator;
pub mod sunset;
pub mod telemetry;
pub mod token_call;
pub mod trial;
pub mod vault;
pub mod webhook;

/// An error with all its causes in one line: what a log says of it. A cause that the text before it ends with is not said twice.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}
