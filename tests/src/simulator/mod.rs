//! Simulated vendors. A simulator that is more lenient than its vendor proves nothing, so these refuse what the vendor refuses.

pub mod erp;
mod oauth;
pub mod shop;
