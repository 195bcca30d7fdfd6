//! `crossdock connector test`: proves a connector against the simulator that is made of its own file, over real HTTP and through the door
//! that production uses. What it declares and what held is its score. A file for each subject; here is what they share.

mod authentication;
mod batch;
mod error;
mod hook;
mod hostile;
mod incremental;
mod limit;
mod mapping;
mod rates;
mod read;
mod sample;
mod subscription;
mod write;

use std::sync::Arc;
use std::time::Duration;

use connectors::simulator::Simulator;
use connectors::{Connector, Position, ReadRecord};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use indexmap::IndexMap;
use infra::outbound::{AllowList, Outbound};
use infra::simulator::Served;
use workers::vendor::{Vendor, VendorError, WriteKeys};

use super::simulate::account;
use crate::Failure;

/// The longest that a call to a simulator may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Records of each kind: several pages of a small vendor, one of a large one.
const RECORDS: usize = 120;
/// Where a vendor is asked to send webhooks.
const HOOK_URL: &str = "https://crossdock.example/hooks/1";

/// What came of one check.
#[derive(Debug)]
pub struct Check {
    pub name: String,
    /// The reason where it did not hold.
    pub outcome: Result<(), String>,
    /// Why the simulator cannot show it, as `simulator.yaml` says: then it is declared and not simulated, and no failure.
    pub not_simulated: Option<String>,
}

impl Check {
    /// A failure, or a simulator that can do more than `simulator.yaml` says.
    pub fn failure(&self) -> Option<&str> {
        match (&self.outcome, &self.not_simulated) {
            (Ok(()), None) | (Err(_), Some(_)) => None,
            (Err(why), None) => Some(why),
            (Ok(()), Some(_)) => Some("it holds, but simulator.yaml says that it is not simulated: take that out"),
        }
    }
}

/// A connector's score.
#[derive(Debug)]
pub struct Report {
    pub connector: String,
    pub checks: Vec<Check>,
    /// What was proven against the vendor's own software or an independent one, as `verified.yaml` says.
    pub verified: usize,
}

impl Report {
    pub fn held(&self) -> usize {
        self.checks.iter().filter(|check| check.outcome.is_ok()).count()
    }
}

/// # Errors
/// Where the simulator cannot be started; a check that does not hold is no error.
pub async fn test(connector: &'static Connector, seed: u64) -> Result<Report, Failure> {
    let (settings, credential) = account(connector);
    let not_simulated = Simulator::new(connector, seed, settings, credential)?.not_simulated().clone();
    let outbound = Arc::new(Outbound::new(AllowList::parse("127.0.0.1:*"), CALL_TIMEOUT)?);
    let mut proving = Proving { connector, seed, outbound, checks: Vec::new(), not_simulated };
    proving.samples();
    proving.errors()?;
    proving.authentication().await?;
    for (kind, resource) in &connector.manifest.resources {
        if resource.read.is_some() && connector.samples(*kind).next().is_some() {
            proving.read(*kind).await?;
        }
        if resource.write.is_some() {
            proving.write(*kind).await?;
        }
        if resource.batch.is_some() {
            proving.batch(*kind).await?;
        }
        if !resource.actions.is_empty() {
            proving.actions(*kind).await?;
        }
        if resource.write.is_some() && resource.read.is_some() {
            proving.both_ways(*kind).await?;
        }
    }
    proving.rates().await?;
    proving.limits().await?;
    proving.hostile().await?;
    proving.webhooks().await?;
    proving.subscriptions().await?;
    for unused in proving.unused() {
        proving.checks.push(unused);
    }
    Ok(Report { connector: connector.name().to_owned(), checks: proving.checks, verified: connector.verified().len() })
}

/// What a check comes to: nothing more to say, or why it does not hold.
type Outcome = Result<(), String>;

struct Proving {
    connector: &'static Connector,
    seed: u64,
    /// One for all stages, because it reads the certificates of the world when it is made.
    outbound: Arc<Outbound>,
    checks: Vec<Check>,
    not_simulated: IndexMap<String, String>,
}

/// A simulator, and the account that calls it.
struct Stage {
    connector: &'static Connector,
    served: Served,
    settings: serde_json::Value,
    credential: SecretFields,
    outbound: Arc<Outbound>,
}

impl Stage {
    /// The account before a person has consented, where the vendor wants that.
    fn stranger(&self) -> Vendor<'_> {
        self.vendor_with(&self.credential)
    }

    fn vendor_with<'s>(&'s self, credential: &'s SecretFields) -> Vendor<'s> {
        Vendor::new(self.connector, &self.settings, credential, &self.outbound).at(&self.served.url())
    }

    /// An account that a person has connected, where the vendor wants a person's consent.
    async fn vendor(&self) -> Result<Vendor<'_>, VendorError> {
        let vendor = self.stranger();
        if self.connector.needs_consent() {
            vendor.consent("https://crossdock.example/oauth/callback").await?;
        }
        Ok(vendor)
    }
}

impl Proving {
    async fn stage(&self) -> Result<Stage, Failure> {
        self.stage_with(|simulator| simulator.with_records(RECORDS)).await
    }

    async fn stage_with(&self, set: impl FnOnce(Simulator<'static>) -> Simulator<'static>) -> Result<Stage, Failure> {
        let (mut settings, credential) = account(self.connector);
        let has_address = self.connector.settings().contains_key("base_url");
        if has_address {
            settings["base_url"] = "http://127.0.0.1".into();
        }
        let simulator = set(Simulator::new(self.connector, self.seed, settings.clone(), credential.clone())?);
        let served = Served::start(simulator, ([127, 0, 0, 1], 0).into()).await?;
        if has_address {
            settings["base_url"] = served.url().into();
        }
        Ok(Stage { connector: self.connector, served, settings, credential, outbound: self.outbound.clone() })
    }

    fn check(&mut self, name: impl Into<String>, outcome: Outcome) {
        let name = name.into();
        let not_simulated =
            self.not_simulated.iter().find(|(start, _)| name.starts_with(start.as_str())).map(|(_, why)| why.clone());
        self.checks.push(Check { name, outcome, not_simulated });
    }

    /// What `simulator.yaml` excuses and no check is called: a word that was misspelt, or a check that has another name now.
    fn unused(&self) -> Vec<Check> {
        let is_used = |start: &str| self.checks.iter().any(|check| check.name.starts_with(start));
        let unused = self.not_simulated.keys().filter(|start| !is_used(start));
        unused
            .map(|start| Check {
                name: format!("simulator.yaml: not_simulated names a check \"{start}\""),
                outcome: Err("there is none whose name begins so; take it out, or write it as the check is called".into()),
                not_simulated: None,
            })
            .collect()
    }

    /// The first kind that can be read.
    fn readable(&self) -> Option<RecordKind> {
        let has = |kind: &RecordKind| self.connector.samples(*kind).next().is_some();
        self.connector
            .manifest
            .resources
            .iter()
            .find(|(kind, resource)| resource.read.is_some() && has(kind))
            .map(|(kind, _)| *kind)
    }
}

/// A write under this key, of this revision.
fn keys(key: &str, revision: i64) -> WriteKeys<'_> {
    WriteKeys { external_key: key, revision, idempotency_key: key }
}

fn first(issues: &[domain::mapping::Issue]) -> String {
    issues.first().map_or_else(|| "refused without a word".to_owned(), |issue| issue.sentence.clone())
}

/// Says what it is where something went wrong that is no answer to the question.
fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// True is well; else the sentence is why not.
fn must(holds: bool, otherwise: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Reads from the position to the end, and moves it there.
async fn read_from(vendor: &Vendor<'_>, kind: RecordKind, position: &mut Position) -> Result<Vec<ReadRecord>, VendorError> {
    let mut all = Vec::new();
    let end = vendor.read(kind, position, async |records, _| all.extend(records)).await?;
    *position = end.position;
    Ok(all)
}

/// Reads all.
async fn read(vendor: &Vendor<'_>, kind: RecordKind) -> Result<Vec<ReadRecord>, VendorError> {
    read_from(vendor, kind, &mut Position::default()).await
}
