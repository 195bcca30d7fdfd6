//! `crossdock flow`: what somebody who writes a flow needs before it is published, and flows as files.

pub mod api;
mod apply;
mod check;
mod export;
mod folder;
mod plan;
mod report;
mod show;
mod template;
mod there;

use clap::Subcommand;

use crate::Failure;

pub use apply::{Apply, Server};

#[derive(Subcommand)]
pub enum FlowCommand {
    /// Runs a mapping over awkward records (quantity zero, gift card, negative discount, several currencies, emoji, the hour that comes
    /// twice, 500 lines …) and shows, for each cause of failure, the smallest record that fails.
    Check(check::Check),
    /// Writes a tenant's flows as files: names in the place of ids, and no secrets. Signs in as `crossdock apply` does.
    Export(export::Export),
    /// Lists flows to begin with.
    Templates(template::Templates),
    /// Prints a flow to begin with, as a file for `crossdock apply`.
    Init(template::Init),
}

pub async fn run(command: FlowCommand) -> Result<(), Failure> {
    match command {
        FlowCommand::Check(check) => check.run(),
        FlowCommand::Export(export) => export.run().await,
        FlowCommand::Templates(templates) => templates.run(),
        FlowCommand::Init(init) => init.run(),
    }
}
