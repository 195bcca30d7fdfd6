//! `crossdock connector`: what somebody who writes a connector needs: check it, simulate its vendor, prove it, begin a new one.

mod scaffold;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use connectors::Catalog;

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
    /// Prints the JSON Schema of connector.yaml.
    Schema,
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
        ConnectorCommand::ImportOpenapi { file, name, catalog } => import_openapi(&file, &name, &catalog),
        ConnectorCommand::Schema => {
            std::io::stdout().write_all(connectors::schema().as_bytes())?;
            Ok(())
        }
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
