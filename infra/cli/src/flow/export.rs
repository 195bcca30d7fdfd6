//! `crossdock flow export`: a tenant's flows as files, for a folder that is kept under version control and applied elsewhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use connectors::to_yaml;
use domain::flow::FlowFile;

use super::api::Api;
use super::apply::Server;
use super::folder::{TABLES, flow_file, listed, table_file, unfilled};
use super::there::FlowThere;
use crate::{Failure, say};

#[derive(Args)]
pub struct Export {
    #[command(flatten)]
    server: Server,
    /// Where the files go. One that says a flow already is written again, whatever its name.
    #[arg(long, default_value = "flows")]
    out: PathBuf,
    /// The newest version of each, and not the one that runs.
    #[arg(long)]
    draft: bool,
    /// The lookup tables too.
    #[arg(long)]
    tables: bool,
}

impl Export {
    /// # Errors
    /// Where the API refuses or a file cannot be written.
    pub async fn run(self) -> Result<(), Failure> {
        let api = Api::sign_in(&self.server.url, &self.server.tenant).await?;
        let done = self.with(&api).await;
        api.sign_out().await;
        done
    }

    async fn with(&self, api: &Api) -> Result<(), Failure> {
        let flows = api.flows().await?;
        let unwritable = |path: &Path, error: std::io::Error| format!("{} cannot be written: {error}", path.display());
        std::fs::create_dir_all(&self.out).map_err(|error| unwritable(&self.out, error))?;
        let mut known = known(&self.out)?;
        let (mut written, mut left) = (0, Vec::new());
        for flow in &flows {
            let Some(file) = file(flow, self.draft) else {
                left.push(format!("The flow \"{}\" has no published version: --draft exports the newest.", flow.name));
                continue;
            };
            let path = known.remove(&flow.name).map_or_else(
                || free(&self.out, &flow.name),
                |(path, uses_variables)| {
                    if uses_variables {
                        left.push(format!("{} uses variables and is left as it is.", path.display()));
                        return None;
                    }
                    Some(path)
                },
            );
            let Some(path) = path else { continue };
            std::fs::write(&path, to_yaml(&file.escaped())).map_err(|error| unwritable(&path, error))?;
            written += 1;
        }
        let mut tables = 0;
        if self.tables {
            let folder = self.out.join(TABLES);
            std::fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, error))?;
            for table in api.tables().await? {
                let path = folder.join(table_file(&table.name, table.inverts));
                std::fs::write(&path, api.table_csv(&table).await?).map_err(|error| unwritable(&path, error))?;
                tables += 1;
            }
        }
        for line in left {
            say(&line)?;
        }
        say(&format!("{written} flows and {tables} lookup tables are in {}.", self.out.display()))
    }
}

/// The flows that files of the folder say already, and whether they have variables, whose names an export does not know.
fn known(folder: &Path) -> Result<BTreeMap<String, (PathBuf, bool)>, Failure> {
    let mut known = BTreeMap::new();
    for path in listed(folder, &["yaml", "yml"])? {
        // What is no flow is not touched.
        let Ok(flow) = unfilled(&path) else { continue };
        let uses_variables = !matches!(flow.filled(&BTreeMap::new()), Ok((_, used)) if used.is_empty());
        known.insert(flow.name, (path, uses_variables));
    }
    Ok(known)
}

/// A file that is not there yet.
fn free(folder: &Path, name: &str) -> Option<PathBuf> {
    let stem = flow_file(name);
    let mut paths = (1..).map(|n: u32| if n == 1 { format!("{stem}.yaml") } else { format!("{stem}-{n}.yaml") });
    paths.find_map(|file| Some(folder.join(file)).filter(|path| !path.exists()))
}

/// A flow as a file says it; `None` where it has no such version.
fn file(flow: &FlowThere, newest: bool) -> Option<FlowFile> {
    let version = if newest { flow.newest.as_ref() } else { flow.published.as_ref() }?;
    let mut file = FlowFile::new(&flow.name, flow.kind, &flow.source.name, &flow.destination.name, version.spec.clone());
    file.source_connector = Some(flow.source.connector.clone());
    file.destination_connector = Some(flow.destination.connector.clone());
    file.gates = Some(flow.gates);
    file.note = version.note.clone();
    Some(file)
}
