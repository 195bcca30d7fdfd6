//! Connectors of the catalog against software that we did not write, run on loopback: what holds is a line of the connector's `verified.yaml`.
//!
//! `cargo xtask test --real` runs them, one after the other, and installs what is missing: npm and PyPI packages, pinned, in the user's cache
//! folder. `UPDATE_VERIFIED=1` writes the lines anew. Each ends what it started, however it ends.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test ends where something it needs is not there, and says so")]

mod account;
mod hooks;
mod medusa;
mod program;
mod proving;
mod python;
mod s3;
mod sqs;
mod sso;
mod stripe;

use std::path::PathBuf;

use connectors::Catalog;

/// Connectors that a test here holds to their `verified.yaml`.
const HELD: [&str; 4] = [medusa::NAME, s3::NAME, sqs::NAME, stripe::NAME];

/// Of this run, not of the build: a build may be shared by several clones.
fn catalog() -> PathBuf {
    let tests = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where the crate is"));
    tests.parent().unwrap().join("connectors/catalog")
}

#[test]
fn nobody_claims_what_no_test_holds() {
    let catalog = Catalog::open(&catalog()).unwrap();
    for connector in catalog.iter().filter(|connector| !HELD.contains(&connector.name())) {
        assert!(connector.verified().is_empty(), "{} has a verified.yaml, and no test here proves its lines", connector.name());
    }
}
