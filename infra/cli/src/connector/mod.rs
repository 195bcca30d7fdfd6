//! `crossdock connector`: what somebody who writes a connector needs: check it, simulate its vendor, prove it, begin a new one.

mod conformance;
mod guest;
mod scaffold;
mod simulate;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use connectors::{Catalog, Connector};

use crate::{Failure, say};

#[derive(Subcommand)]
pub enum ConnectorCommand {
    /// Checks a catalog folder: every connector's manifest, templates, expressions and mappings. Says file, line and column.
    Lint { folder: PathBuf },
    /// Begins a new connector: a folder that loads, can be simulated and passes its tests, to fill in.
    New {
        name: String,
        /// The catalog that it becomes a part of.
        #[arg(long, default_value = "connectors/catalog")]
        catalog: PathBuf,
    },
    /// Drafts a connector from a vendor's OpenAPI 3 document, and says what a person must add.
    ImportOpenapi {
        file: PathBuf,
        #[arg(long)]
        name: String,
        #[arg(long, default_value = "connectors/catalog")]
        catalog: PathBuf,
    },
    /// Reads a foreign description of a tenant's own, says what of it runs, and runs it.
    Import {
        #[command(subcommand)]
        from: Foreign,
    },
    /// Proves connectors against the simulators that are made of their own files, and prints a score for each.
    Test {
        /// Names; with --all, every connector of the catalog.
        names: Vec<String>,
        #[arg(long)]
        all: bool,
        /// A catalog folder; absent: the connectors that came with this build.
        #[arg(long)]
        catalog: Option<PathBuf>,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Every check, and not only those that do not hold.
        #[arg(long)]
        verbose: bool,
    },
    /// Serves a vendor's API as its connector declares it, on a loopback address, until Ctrl-C.
    Simulate {
        name: String,
        #[arg(long, default_value = "127.0.0.1:9400")]
        listen: std::net::SocketAddr,
        /// The same seed gives the same records, ids and tokens.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Keeps the vendor's limits, and tells them.
        #[arg(long)]
        limits: bool,
        #[arg(long)]
        catalog: Option<PathBuf>,
    },
    /// Prints the JSON Schema of connector.yaml.
    Schema,
}

#[derive(Subcommand)]
pub enum Foreign {
    /// A low-code manifest of Airbyte. What cannot be run is named with its place; what can be, `read` reads.
    Airbyte(guest::Guest),
}

pub async fn run(command: ConnectorCommand) -> Result<(), Failure> {
    match command {
        ConnectorCommand::Lint { folder } => lint(&folder),
        ConnectorCommand::New { name, catalog } => {
            let folder = scaffold::create(&name, &catalog)?;
            say(&format!(
                "{} is a connector. Next: crossdock connector test --catalog {} {name}",
                folder.display(),
                catalog.display()
            ))
        }
        ConnectorCommand::Import { from: Foreign::Airbyte(guest) } => guest::run(guest).await,
        ConnectorCommand::ImportOpenapi { file, name, catalog } => import_openapi(&file, &name, &catalog),
        ConnectorCommand::Test { names, all, catalog, seed, verbose } => test(open(catalog)?, names, all, seed, verbose).await,
        ConnectorCommand::Simulate { name, listen, seed, limits, catalog } => {
            simulate::run(open(catalog)?, &name, listen, seed, limits).await
        }
        ConnectorCommand::Schema => {
            std::io::stdout().write_all(connectors::schema().as_bytes())?;
            Ok(())
        }
    }
}

/// The process ends with what it opened.
pub(crate) fn open(folder: Option<PathBuf>) -> Result<&'static Catalog, Failure> {
    Ok(match folder {
        Some(folder) => Box::leak(Box::new(Catalog::open(&folder)?)),
        None => Catalog::embedded(),
    })
}

pub(crate) fn find(catalog: &'static Catalog, name: &str) -> Result<&'static Connector, Failure> {
    match catalog.find(name) {
        Some(Ok(connector)) => Ok(connector),
        Some(Err(errors)) => Err(errors.clone().into()),
        None => {
            Err(format!("there is no connector \"{name}\"; there are {}", catalog.names().collect::<Vec<_>>().join(", ")).into())
        }
    }
}

/// Side by side, because each has a simulator of its own.
async fn test(catalog: &'static Catalog, names: Vec<String>, all: bool, seed: u64, verbose: bool) -> Result<(), Failure> {
    let names = if all { catalog.names().map(str::to_owned).collect() } else { names };
    if names.is_empty() {
        return Err("name a connector, or say --all".into());
    }
    let mut running = tokio::task::JoinSet::new();
    let mut broken = Vec::new();
    for name in names {
        match find(catalog, &name) {
            Ok(connector) => {
                let runtime = tokio::runtime::Handle::current();
                running.spawn_blocking(move || runtime.block_on(conformance::test(connector, seed)));
            }
            Err(error) => broken.push(format!("{name}: {error}")),
        }
    }
    let mut reports = Vec::new();
    while let Some(report) = running.join_next().await {
        reports.push(report??);
    }
    reports.sort_by(|one, other| one.connector.cmp(&other.connector));
    let mut failed = 0;
    for report in &reports {
        say(&format!(
            "{:<18} declared {:>3}  simulated {:>3}  verified {:>3}",
            report.connector,
            report.checks.len(),
            report.held(),
            report.verified
        ))?;
        for check in &report.checks {
            match (check.failure(), &check.not_simulated) {
                (Some(why), _) => say(&format!("    FAIL {}: {why}", check.name))?,
                (None, Some(why)) => say(&format!("    not simulated: {} ({why})", check.name))?,
                (None, None) if verbose => say(&format!("    ok   {}", check.name))?,
                (None, None) => {}
            }
        }
        failed += report.checks.iter().filter(|check| check.failure().is_some()).count();
    }
    for error in &broken {
        say(&format!("unavailable: {error}"))?;
    }
    if failed == 0 && broken.is_empty() {
        Ok(())
    } else {
        Err(format!("{failed} checks do not hold, {} connectors cannot be used", broken.len()).into())
    }
}

/// One broken connector does not keep the others from being checked.
fn lint(folder: &Path) -> Result<(), Failure> {
    let catalog = Catalog::open(folder)?;
    for connector in catalog.iter() {
        say(&format!("{}: {} {} is sound", folder.join(connector.name()).display(), connector.title(), connector.version()))?;
    }
    let broken: Vec<String> = catalog.unavailable().map(|(_, errors)| errors.to_string()).collect();
    if broken.is_empty() { Ok(()) } else { Err(format!("what is wrong:\n{}", broken.join("\n")).into()) }
}

fn import_openapi(file: &Path, name: &str, catalog: &Path) -> Result<(), Failure> {
    let document = std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let draft = connectors::import::openapi::draft(name, &document)?;
    let folder = catalog.join(name);
    if folder.exists() {
        return Err(format!("{} is there already; choose another name", folder.display()).into());
    }
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join("connector.yaml"), &draft.yaml)?;
    say(&format!("{} is a draft. What a person must say:", folder.join("connector.yaml").display()))?;
    draft.notes.iter().try_for_each(|note| say(&format!("- {note}")))
}
