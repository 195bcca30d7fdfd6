//! `crossdock audit`: takes the audit log from a running Crossdock, and checks it, or a no-loss certificate, without one.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use domain::certificate::{CERTIFICATE_BYTES_MAX, Certificate, CertificateError, Of};
use domain::seal::{ExportLine, Head, LINE_BYTES_MAX, Tampered, Verified, Verifier};

use crate::flow::Server;
use crate::flow::api::{Api, ApiError};
use crate::{Failure, say};

#[derive(Subcommand)]
pub enum AuditCommand {
    /// Checks an export of the audit log, or a no-loss certificate, offline. Ends with 1 where it proves nothing, and names what is wrong first:
    /// the event that was altered, is missing, was added or moved, or the seal that was forged.
    Verify(Verify),
    /// Prints how far the audit log is sealed, as one signed line: keep it elsewhere, and no later export can be cut off or written anew
    /// before it unseen. Signs in as `crossdock apply` does.
    Head(Server),
    /// Writes the audit log to standard output. Signs in as `crossdock apply` does.
    Export {
        #[command(flatten)]
        server: Server,
        /// Only what was sealed after this seal: the last one of the export before.
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
}

#[derive(Args)]
pub struct Verify {
    /// A file as `crossdock audit export` writes it or `certificateMake` gives it.
    file: PathBuf,
    /// The key that must have signed it, base64, as `certificateKey` shows it.
    #[arg(long)]
    key: Option<String>,
    /// A file with a head that was kept, as `crossdock audit head` printed it. For an export only.
    #[arg(long)]
    head: Option<PathBuf>,
}

impl AuditCommand {
    /// # Errors
    /// Where the API refuses, or nothing can be written.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Verify(verify) => return Ok(verify.run()),
            Self::Head(server) => {
                let api = Api::sign_in(&server.url, &server.tenant).await?;
                let head = api.audit_head().await;
                api.sign_out().await;
                say(&head?)?;
            }
            Self::Export { server, after } => {
                let api = Api::sign_in(&server.url, &server.tenant).await?;
                let exported: Result<(), ApiError> = api.audit_export(after, &mut std::io::stdout().lock()).await;
                api.sign_out().await;
                exported?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Why a file proves nothing.
#[derive(Debug, thiserror::Error)]
enum VerifyError {
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error(transparent)]
    Tampered(#[from] Tampered),
    #[error("{0} cannot be read: {1}")]
    File(PathBuf, std::io::Error),
    #[error("{0} holds no head")]
    NoHead(PathBuf),
    #[error("line {0} is longer than {LINE_BYTES_MAX} bytes")]
    Line(u64),
}

impl Verify {
    fn run(self) -> ExitCode {
        match self.told() {
            Ok(told) => {
                let _ = write!(std::io::stdout(), "{told}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "{} proves nothing: {error}.", self.file.display());
                ExitCode::FAILURE
            }
        }
    }

    fn told(&self) -> Result<String, VerifyError> {
        let mut lines = Lines::open(&self.file)?;
        let first = lines.next()?.unwrap_or_default();
        // An export's first line is JSON of its own; a certificate is all of its file.
        if first.starts_with(b"{\"statement\"") || serde_json::from_slice::<serde::de::IgnoredAny>(&first).is_err() {
            let certificate = certificate(&self.file)?;
            infra::certificate::verify(&certificate, self.key.as_deref())?;
            return Ok(told_certificate(&certificate, self.key.is_some()));
        }
        let held = self.head.as_deref().map(head).transpose()?;
        let mut verifier = Verifier::begin(&first, self.key.as_deref(), held, infra::certificate::is_signed)?;
        while let Some(line) = lines.next()? {
            verifier.take(&line)?;
        }
        Ok(told_export(&verifier.finish()?, self.key.is_some() || self.head.is_some(), self.head.is_some()))
    }
}

/// The lines of a file, each of a bounded length.
struct Lines<'a> {
    path: &'a Path,
    file: BufReader<File>,
    read: u64,
}

impl<'a> Lines<'a> {
    fn open(path: &'a Path) -> Result<Self, VerifyError> {
        let file = File::open(path).map_err(|error| VerifyError::File(path.to_owned(), error))?;
        Ok(Self { path, file: BufReader::new(file), read: 0 })
    }

    /// Without its end of line; `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Vec<u8>>, VerifyError> {
        self.read += 1;
        let mut line = Vec::new();
        let mut bounded = (&mut self.file).take(LINE_BYTES_MAX as u64 + 1);
        bounded.read_until(b'\n', &mut line).map_err(|error| VerifyError::File(self.path.to_owned(), error))?;
        if line.len() > LINE_BYTES_MAX && self.read > 1 {
            return Err(VerifyError::Line(self.read));
        }
        Ok(if line.is_empty() { None } else { Some(line) })
    }
}

fn head(path: &Path) -> Result<Head, VerifyError> {
    let line = Lines::open(path)?.next()?.unwrap_or_default();
    match serde_json::from_slice(&line) {
        Ok(ExportLine::Head(head)) => Ok(head),
        _ => Err(VerifyError::NoHead(path.to_owned())),
    }
}

fn certificate(file: &Path) -> Result<Certificate, CertificateError> {
    let unreadable = |error: std::io::Error| CertificateError::Unreadable(error.to_string());
    let length = std::fs::metadata(file).map_err(unreadable)?.len();
    if length > CERTIFICATE_BYTES_MAX as u64 {
        return Err(CertificateError::Unreadable(format!("it is longer than {CERTIFICATE_BYTES_MAX} bytes")));
    }
    Certificate::parse(&std::fs::read(file).map_err(unreadable)?)
}

fn told_key(key_was_given: bool) -> &'static str {
    if key_was_given {
        "The signature is that of the key that you gave."
    } else {
        "The signature is that of the key below; compare it with what `certificateKey` shows, or give it with --key."
    }
}

fn told_export(it: &Verified, key_was_given: bool, head_was_given: bool) -> String {
    let said = &it.head;
    let mut text = match said.after {
        after if after == said.seal => {
            format!("Good: a head. The audit log of tenant {} is sealed up to seal {}.\n", said.tenant, said.seal)
        }
        0 => format!("Good: the audit log of tenant {}, from its beginning up to seal {}.\n", said.tenant, said.seal),
        after => format!(
            "Good: a part of the audit log of tenant {}, after seal {after} up to seal {}. What comes before is not in it.\n",
            said.tenant, said.seal
        ),
    };
    let until = it.sealed_until.map(|at| format!(", sealed until {at}")).unwrap_or_default();
    let _ = writeln!(text, "Seals: {}. Events: {}{until}. Made at {}.", it.seals, it.events, said.made_at);
    if it.removed > 0 {
        let _ = writeln!(
            text,
            "{} events, up to seal {}, were removed by the tenant's rule of how long they are kept; their seals are here.",
            it.removed, said.removed
        );
    }
    if let Some(first) = it.first_late {
        let _ = writeln!(
            text,
            "NOTE: {} events were sealed more than an hour after the time that they tell, first {first}: the sealer stood, or they were written with a time of somebody's choice.",
            it.late
        );
    }
    text.push_str(if head_was_given {
        "It continues the head that you kept.\n"
    } else {
        "Whether its end was cut off is told by a head that you kept before: give it with --head.\n"
    });
    let _ = writeln!(text, "{}\nHash: {}\nKey: {}", told_key(key_was_given), said.hash, it.public_key);
    text
}

fn told_certificate(certificate: &Certificate, key_was_given: bool) -> String {
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
    format!(
        "Good: a certificate of {of}, tenant {}, made at {}.\n{lost}\nMessages: {} ({}).\nDeliveries: {}.\nOpen exceptions: {}.\nRoot: {}\n{}\nKey: {}\n",
        said.tenant,
        said.made_at,
        said.messages,
        states(&said.message_states),
        states(&said.delivery_states),
        said.open_exceptions.len(),
        said.root,
        told_key(key_was_given),
        certificate.public_key,
    )
}
