//! `crossdock invoice`: what was billed and is wrong is given back. An invoice itself never changes.

use clap::Subcommand;
use domain::invoice::REASON_CHARS_MAX;
use rust_decimal::Decimal;

use super::{Failure, database, say};

#[derive(Subcommand)]
pub enum InvoiceCommand {
    /// Gives back an amount of an invoice by a credit note of its own number.
    Credit {
        /// The invoice's.
        #[arg(long)]
        number: i64,
        /// All that was not given back yet, where none is said.
        #[arg(long)]
        amount: Option<Decimal>,
        /// The tenant reads it.
        #[arg(long)]
        reason: String,
    },
}

pub async fn run(command: InvoiceCommand) -> Result<(), Failure> {
    let InvoiceCommand::Credit { number, amount, reason } = command;
    let reason = reason.trim();
    if !(1..=REASON_CHARS_MAX).contains(&reason.chars().count()) {
        return Err(format!("say why, in 1 to {REASON_CHARS_MAX} characters: the tenant reads it").into());
    }
    let note = database().await?.invoice_credit(number, amount, reason).await??;
    say(&format!("credit note {note} gives back of invoice {number}"))
}
