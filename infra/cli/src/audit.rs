//! `crossdock audit`: what can be checked without a platform.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use domain::certificate::{CERTIFICATE_BYTES_MAX, Certificate, CertificateError, Of};

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Checks a no-loss certificate offline: its messages, its sums and its signature. Ends with 1 where it proves nothing.
    Verify {
        /// A file as `certificateMake` gives it.
        file: PathBuf,
        /// The key that must have signed it, base64, as `certificateKey` shows it.
        #[arg(long)]
        key: Option<String>,
    },
}

impl AuditCommand {
    pub fn run(self) -> ExitCode {
        let Self::Verify { file, key } = self;
        let outcome = read(&file).and_then(|certificate| {
            infra::certificate::verify(&certificate, key.as_deref())?;
            Ok(certificate)
        });
        match outcome {
            Ok(certificate) => {
                let _ = write!(std::io::stdout(), "{}", told(&certificate, key.is_some()));
                ExitCode::SUCCESS
            }
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "{} proves nothing: {error}.", file.display());
                ExitCode::FAILURE
            }
        }
    }
}

fn read(file: &PathBuf) -> Result<Certificate, CertificateError> {
    let unreadable = |error: std::io::Error| CertificateError::Unreadable(error.to_string());
    let length = std::fs::metadata(file).map_err(unreadable)?.len();
    if length > CERTIFICATE_BYTES_MAX as u64 {
        return Err(CertificateError::Unreadable(format!("it is longer than {CERTIFICATE_BYTES_MAX} bytes")));
    }
    Certificate::parse(&std::fs::read(file).map_err(unreadable)?)
}

fn told(certificate: &Certificate, key_was_given: bool) -> String {
    let said = &certificate.statement;
    let of = match said.of {
        Of::Period { from, until } => format!("all that arrived from {from} until before {until}"),
        Of::Record(record) => format!("the record {record}"),
    };
    let states = |states: &std::collections::BTreeMap<String, u64>| {
        let each: Vec<String> = states.iter().map(|(state, count)| format!("{count} {state}")).collect();
        if each.is_empty() { "none".to_owned() } else { each.join(", ") }
    };
    let lost = if said.nothing_lost {
        "Nothing is lost: everything has settled, or waits for a person by an open exception."
    } else {
        "NOT everything has settled: something is under way, or stopped without an exception."
    };
    let key = if key_was_given {
        "The signature is that of the key that you gave."
    } else {
        "The signature is that of the key below; compare it with what `certificateKey` shows, or give it with --key."
    };
    format!(
        "Good: a certificate of {of}, tenant {}, made at {}.\n{lost}\nMessages: {} ({}).\nDeliveries: {}.\nOpen exceptions: {}.\nRoot: {}\n{key}\nKey: {}\n",
        said.tenant,
        said.made_at,
        said.messages,
        states(&said.message_states),
        states(&said.delivery_states),
        said.open_exceptions.len(),
        said.root,
        certificate.public_key,
    )
}
