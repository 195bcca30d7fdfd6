//! The platform started for real, with simulated vendors that enforce what the vendors enforce, and faults on purpose.
//! The demo, the bench and the tests all use it.

pub mod bench;
pub mod client;
pub mod mail;
pub mod medusa;
pub mod platform;
pub mod proxy;
pub mod sample;
pub mod simulator;
pub mod sshd;
pub mod vendor;
