//! `crossdock flow`: what somebody who writes a flow needs before it is published.

mod check;
mod report;

use clap::Subcommand;

use crate::Failure;

#[derive(Subcommand)]
pub enum FlowCommand {
    /// Runs a mapping over awkward records (quantity zero, gift card, negative discount, several currencies, emoji, the hour that comes
    /// twice, 500 lines …) and shows, for each cause of failure, the smallest record that fails.
    Check(check::Check),
}

pub fn run(command: FlowCommand) -> Result<(), Failure> {
    match command {
        FlowCommand::Check(check) => check.run(),
    }
}
