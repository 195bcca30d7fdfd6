//! Simulated vendors, each made of its connector's own file, with what a test asks of them. They refuse what the vendor refuses.

pub mod authenticator;
pub mod erp;
pub mod issuer;
pub mod own;
pub mod shop;

pub use connectors::simulator::Fault;
