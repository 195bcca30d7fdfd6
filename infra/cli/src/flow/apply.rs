//! `crossdock apply`: makes a tenant as files say. It plans first, says the plan, and does what it planned and nothing else: each change names
//! the version that the plan saw, so that what somebody else changed in between is refused and never lost.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use domain::flow::FlowFile;
use domain::lookup_table::sheet;

use super::api::{Api, ApiError};
use super::folder::Folder;
use super::plan::{Draft, FlowStep, Plan, Retire, TableStep, There, Wanted};
use super::there::FlowThere;
use crate::{Failure, say};

/// What `--plan` ends with where there is something to change.
const SOMETHING_TO_CHANGE: u8 = 2;
/// A request has 1 MiB; the rest is for what stands around the file.
const CSV_BYTES_MAX: usize = 900 * 1024;

#[derive(Args)]
pub struct Apply {
    /// A folder of flows with `lookup_tables` beside them, or one flow.
    path: PathBuf,
    #[command(flatten)]
    server: Server,
    /// Says what would change, and changes nothing. Ends with 2 where there is something, with 0 where there is nothing.
    #[arg(long)]
    plan: bool,
    /// Publishes what is drafted, where nothing stands before that; without it everything is left as a draft.
    #[arg(long)]
    publish: bool,
    /// Retires the flows that run and that no file of the folder says.
    #[arg(long)]
    prune: bool,
    /// What stands in the files as ${name}.
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = variable)]
    variables: Vec<(String, String)>,
}

/// Which tenant of which installation. Who signs in stands in the environment and never on the command line: CROSSDOCK_TOKEN, or
/// CROSSDOCK_EMAIL and CROSSDOCK_PASSWORD.
#[derive(Args)]
pub struct Server {
    /// The address of Crossdock.
    #[arg(long, env = "CROSSDOCK_URL")]
    pub url: String,
    /// The tenant's slug or id.
    #[arg(long, env = "CROSSDOCK_TENANT")]
    pub tenant: String,
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a variable is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Apply {
    /// # Errors
    /// Where the files are not right, something is missing, or a change was refused.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let variables: BTreeMap<String, String> = self.variables.iter().cloned().collect();
        let folder = Folder::read(&self.path, &variables)?;
        if self.prune && !self.path.is_dir() {
            return Err("--prune retires what a folder does not say: name the folder, not one of its files".into());
        }
        let api = Api::sign_in(&self.server.url, &self.server.tenant).await?;
        let done = self.with(&api, folder).await;
        api.sign_out().await;
        done
    }

    async fn with(&self, api: &Api, folder: Folder) -> Result<ExitCode, Failure> {
        let there = there(api, &folder).await?;
        let wanted = Wanted { publish: self.publish, prune: self.prune };
        let mut plan = Plan::of(folder, &there, wanted).map_err(|errors| nothing_done(&errors))?;
        check(api, &mut plan).await?;
        say(&plan.text())?;
        if plan.is_nothing() {
            return Ok(ExitCode::SUCCESS);
        }
        if self.plan {
            return Ok(ExitCode::from(SOMETHING_TO_CHANGE));
        }
        say("")?;
        apply(api, &plan).await
    }
}

fn nothing_done(errors: &[String]) -> String {
    format!("{}\nNothing was changed.", errors.join("\n"))
}

/// What the tenant has of what the files speak of.
async fn there(api: &Api, folder: &Folder) -> Result<There, Failure> {
    let mut there = There { flows: api.flows().await?, connections: api.connections().await?, tables: vec![] };
    if !folder.tables.is_empty() {
        for table in api.tables().await? {
            if folder.tables.iter().any(|one| one.name == table.name) {
                let sheet = sheet::read(table.kind, &api.table_csv(&table).await?);
                if sheet.bad.count > 0 {
                    let (name, max) = (&table.name, sheet::ROWS_MAX);
                    let what = format!("the lookup table \"{name}\" holds more than the {max} entries of one file");
                    return Err(nothing_done(&[format!("{what}: import it by hand, and take its file out of the folder")]).into());
                }
                there.tables.push((table, sheet.rows.into_iter().map(|(_, entry)| entry).collect()));
            }
        }
    }
    Ok(there)
}

/// Everything that the API would refuse is told before anything is changed; a table that is missing is remarked, because a flow may be drafted
/// before it.
async fn check(api: &Api, plan: &mut Plan) -> Result<(), Failure> {
    let mut errors = Vec::new();
    for table in plan.tables.iter().filter(|table| !table.is_nothing() && table.on_disk.csv.len() > CSV_BYTES_MAX) {
        let place = table.on_disk.path.display();
        errors.push(format!(
            "{place} is longer than the {CSV_BYTES_MAX} bytes that one request takes: import it by hand, in parts"
        ));
    }
    let made: Vec<String> = plan.tables.iter().map(|table| table.on_disk.name.clone()).collect();
    for flow in plan.flows.iter_mut().filter(|flow| !flow.is_nothing()) {
        let (wrong, missing) = api.flow_check(&flow.create_input()).await?;
        errors.extend(wrong.into_iter().map(|what| format!("{}: {what}", flow.path.display())));
        for table in missing.into_iter().filter(|table| !made.contains(table)) {
            flow.remarks.push(format!("it needs the lookup table \"{table}\", which is not there"));
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(nothing_done(&errors).into()) }
}

/// Does what was planned, and stops at the first thing that is refused: what was done stays, and running it again does the rest.
async fn apply(api: &Api, plan: &Plan) -> Result<ExitCode, Failure> {
    let (mut done, mut begun) = (0, 0);
    let all = plan.tables.iter().filter(|step| !step.is_nothing()).count()
        + plan.flows.iter().filter(|step| !step.is_nothing()).count()
        + plan.retire.len();
    let result = async {
        for table in plan.tables.iter().filter(|step| !step.is_nothing()) {
            begun += 1;
            table_apply(api, table).await?;
            done += 1;
        }
        for flow in plan.flows.iter().filter(|step| !step.is_nothing()) {
            begun += 1;
            flow_apply(api, flow).await?;
            done += 1;
        }
        for gone in &plan.retire {
            begun += 1;
            retire(api, gone).await?;
            done += 1;
        }
        Ok::<(), Failure>(())
    };
    match result.await {
        Ok(()) => {
            say(&format!("Done: {all} of {all}."))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(format!(
            "{}\nDone: {done} of {all}. {} were not begun. Running it again plans anew and does what is left.",
            infra::chain(error.as_ref()),
            all - begun
        )
        .into()),
    }
}

async fn table_apply(api: &Api, step: &TableStep) -> Result<(), Failure> {
    let (name, on_disk) = (&step.on_disk.name, &step.on_disk);
    let refused = |error: ApiError| format!("The lookup table \"{name}\" was not changed: {error}");
    let table = match &step.there {
        Some(there) => there.clone(),
        None => api.table_create(name, on_disk.kind, on_disk.inverts).await.map_err(refused)?,
    };
    if step.added + step.changed + step.removed > 0 {
        api.table_replace(&table, &on_disk.csv).await.map_err(|error| match &step.there {
            Some(_) => refused(error),
            None => format!("The lookup table \"{name}\" was made and is empty: {error}"),
        })?;
    }
    say(&format!("The lookup table \"{name}\" is as its file says."))
}

async fn flow_apply(api: &Api, step: &FlowStep) -> Result<(), Failure> {
    let name = &step.flow.name;
    let mut told = Vec::new();
    let outcome = flow_steps(api, step, &mut told).await;
    if !told.is_empty() {
        say(&format!("The flow \"{name}\": {}.", told.join(", ")))?;
    }
    outcome.map_err(|error| format!("The flow \"{name}\" is not as its file says: {error}").into())
}

/// The gates first, so that nothing is published past one that a file adds.
async fn flow_steps(api: &Api, step: &FlowStep, told: &mut Vec<String>) -> Result<(), ApiError> {
    let mut seen = step.seen().map(str::to_owned);
    let id = step.there.as_ref().map(|there| there.id.clone());
    if let (Some(gates), Some(id)) = (step.gates, &id) {
        api.flow_gates_set(id, gates).await?;
        told.push("its gates are set".to_owned());
    }
    let id = match (&step.draft, id) {
        (Draft::Stays, Some(id)) => id,
        (Draft::Over { seen: based_on, .. }, Some(id)) => {
            let flow = api.flow_draft(&id, based_on, &step.draft_input()).await?;
            seen = Some(drafted(&flow, &step.flow, told)?);
            id
        }
        (_, _) => {
            let flow = api.flow_create(&step.create_input()).await?;
            seen = Some(drafted(&flow, &step.flow, told)?);
            flow.id
        }
    };
    if !step.publish {
        return Ok(());
    }
    match api.flow_publish(&id, seen.as_deref().unwrap_or_default()).await {
        Ok(flow) => {
            let version = flow.published.map_or(0, |published| published.version);
            told.push(format!("version {version} is published"));
            Ok(())
        }
        Err(error) if error.is_blocked() => {
            told.push(format!("not published, because {error}"));
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The id of the draft that was made, if it is still ours: nothing of somebody else's is published by it.
fn drafted(flow: &FlowThere, file: &FlowFile, told: &mut Vec<String>) -> Result<String, ApiError> {
    match &flow.newest {
        Some(newest) if newest.spec == file.spec() => {
            told.push(format!("version {} is drafted", newest.version));
            Ok(newest.id.clone())
        }
        _ => {
            let sentence =
                "somebody else has drafted it in the same moment; look at the newest version, then try again".to_owned();
            Err(ApiError::Person { code: "CHANGED".to_owned(), sentence })
        }
    }
}

async fn retire(api: &Api, gone: &Retire) -> Result<(), Failure> {
    let name = &gone.name;
    api.flow_retire(&gone.id, &gone.seen).await.map_err(|error| format!("The flow \"{name}\" was not retired: {error}"))?;
    say(&format!("The flow \"{name}\" is retired."))
}
