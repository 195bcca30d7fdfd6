//! `crossdock connector test`: proves a connector against the simulator that is made of its own file, over real HTTP and through the door
//! that production uses. What it declares and what held is its score.

use std::collections::BTreeSet;
use std::time::Duration;

use connectors::simulator::{Fault as Trouble, FaultMatcher, Simulator};
use connectors::{Change, Connector, HookCall, Position, Proof};
use domain::canonical;
use domain::fault::FaultClass;
use domain::mapping::{Lookups, Vars};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use domain::value::{Limits, Value};
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
    let mut proving = Proving { connector, seed, checks: Vec::new(), not_simulated };
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
    }
    proving.hostile().await?;
    proving.webhooks()?;
    Ok(Report { connector: connector.name().to_owned(), checks: proving.checks, verified: connector.verified().len() })
}

struct Proving {
    connector: &'static Connector,
    seed: u64,
    checks: Vec<Check>,
    not_simulated: IndexMap<String, String>,
}

/// A tenant's tables, which a test has not: every code has a translation.
struct AnyLookup<'t>(&'t dyn Lookups);

impl Lookups for AnyLookup<'_> {
    fn find(&self, table: &str, key: &str) -> Option<&str> {
        if self.0.has_table(table) { self.0.find(table, key) } else { Some("1001") }
    }

    fn has_table(&self, _: &str) -> bool {
        true
    }
}

/// A simulator, and the account that calls it.
struct Stage {
    served: Served,
    settings: serde_json::Value,
    credential: SecretFields,
    outbound: Outbound,
}

impl Stage {
    fn vendor<'s>(&'s self, connector: &'static Connector) -> Vendor<'s> {
        Vendor::new(connector, &self.settings, &self.credential, &self.outbound).at(&self.served.url())
    }
}

impl Proving {
    async fn stage(&self) -> Result<Stage, Failure> {
        let (mut settings, credential) = account(self.connector);
        let has_address = self.connector.settings().contains_key("base_url");
        if has_address {
            settings["base_url"] = "http://127.0.0.1".into();
        }
        let simulator = Simulator::new(self.connector, self.seed, settings.clone(), credential.clone())?.with_records(RECORDS);
        let served = Served::start(simulator, ([127, 0, 0, 1], 0).into()).await?;
        if has_address {
            settings["base_url"] = served.url().into();
        }
        let outbound = Outbound::new(AllowList::parse("127.0.0.1:*"), CALL_TIMEOUT)?;
        Ok(Stage { served, settings, credential, outbound })
    }

    /// An account that a person has connected, where the vendor wants a person's consent.
    async fn vendor<'s>(&self, stage: &'s Stage) -> Result<Vendor<'s>, VendorError> {
        let vendor = stage.vendor(self.connector);
        if self.connector.needs_consent() {
            vendor
                .connect("a-code", "a-verifier-of-forty-three-characters-at-least", "https://crossdock.example/callback")
                .await?;
        }
        Ok(vendor)
    }

    fn check(&mut self, name: impl Into<String>, outcome: Result<(), String>) {
        let name = name.into();
        let not_simulated =
            self.not_simulated.iter().find(|(start, _)| name.starts_with(start.as_str())).map(|(_, why)| why.clone());
        self.checks.push(Check { name, outcome, not_simulated });
    }

    /// Every sample reads to a canonical record.
    fn samples(&mut self) {
        for kind in RecordKind::ALL {
            let Some(plan) = self.connector.read_plan(kind) else { continue };
            let samples: Vec<(String, String)> =
                self.connector.samples(kind).map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
            for (name, text) in samples {
                let outcome = Value::parse(text.as_bytes(), &Limits::DEFAULT)
                    .map_err(|error| error.to_string())
                    .and_then(|source| {
                        plan.apply(&source, self.connector.tables(), &Vars::default()).map_err(|issues| first(&issues))
                    })
                    .and_then(|document| canonical::check(kind, &document).map(|_| ()).map_err(|issues| first(&issues)));
                self.check(format!("{kind}: the sample {name} reads to a record"), outcome);
            }
        }
    }

    /// Every class of the error catalog is understood when the vendor says it.
    fn errors(&mut self) -> Result<(), Failure> {
        let (settings, credential) = account(self.connector);
        let simulator = Simulator::new(self.connector, self.seed, settings, credential)?;
        for class in FaultClass::ALL {
            if !self.connector.manifest.errors.iter().any(|rule| rule.class == class) {
                continue;
            }
            let said = simulator.error_answer(class, None, chrono::Utc::now());
            let answer = domain::http::HttpAnswer { status: said.status, headers: said.headers, body: said.body };
            let fault = self.connector.classify(&answer);
            let outcome = if fault.class != class {
                Err(format!("it was taken for {}", fault.class.as_str()))
            } else if fault.reason.contains("{{") || fault.fix.contains("{{") {
                Err(format!("a placeholder is left in \"{}\"", fault.reason))
            } else {
                Ok(())
            };
            self.check(format!("errors: {} is understood, with a reason and a fix", class.as_str()), outcome);
        }
        Ok(())
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

    async fn authentication(&mut self) -> Result<(), Failure> {
        let Some(kind) = self.readable().filter(|_| !matches!(self.connector.manifest.auth, connectors::manifest::Auth::None))
        else {
            return Ok(());
        };
        let stage = self.stage().await?;
        let right = match self.vendor(&stage).await {
            Ok(vendor) => read(&vendor, kind, &Position::default()).await,
            Err(error) => Err(error),
        };
        self.check("authentication: the right credential is let in", right.map(|_| ()).map_err(|error| error.to_string()));
        let wrong: SecretFields =
            self.connector.credential().keys().map(|name| (name.clone(), "wrong".to_owned().into())).collect();
        let vendor = Vendor::new(self.connector, &stage.settings, &wrong, &stage.outbound).at(&stage.served.url());
        let refused = match read(&vendor, kind, &Position::default()).await {
            // Without a person's consent there is no call at all.
            Err(VendorError::Request(connectors::RequestError::Consent(_))) => Ok(()),
            Err(VendorError::Fault(fault)) if fault.class == FaultClass::Authentication => Ok(()),
            Err(error) => Err(format!("it ended otherwise: {error}")),
            Ok(_) => Err("it was let in".into()),
        };
        self.check("authentication: a wrong credential is refused, and understood", refused);
        if self.connector.needs_token(None, chrono::Utc::now()) {
            let vendor = self.vendor(&stage).await?;
            let first = read(&vendor, kind, &Position::default()).await.map_err(|error| error.to_string());
            stage.served.simulator().fail(FaultMatcher::default(), Trouble::ExpireTokens);
            let second = read(&vendor, kind, &Position::default()).await.map_err(|error| error.to_string());
            let outcome = first.and_then(|first| {
                let second = second?;
                if first.len() == second.len() { Ok(()) } else { Err(format!("{} records, then {}", first.len(), second.len())) }
            });
            self.check("authentication: a token that ended early is replaced, and the call made again", outcome);
        }
        Ok(())
    }

    /// A full read brings every record once; an incremental one what changed since, and nothing else.
    async fn read(&mut self, kind: RecordKind) -> Result<(), Failure> {
        let stage = self.stage().await?;
        let vendor = self.vendor(&stage).await?;
        let has_ids = self.connector.manifest.resources.get(&kind).is_some_and(|resource| resource.id.is_some());
        let stored: BTreeSet<String> = stage.served.simulator().stored(kind).into_iter().map(|record| record.id).collect();
        let mut position = Position::default();
        let outcome = match read_from(&vendor, kind, &mut position).await {
            Ok(ids) => {
                let seen: BTreeSet<String> = ids.iter().cloned().collect();
                // Records without an id of their own, such as stock levels, are counted.
                if !has_ids && ids.len() == stored.len() {
                    Ok(())
                } else if ids.len() != seen.len() {
                    Err(format!("{} records came, {} of them different", ids.len(), seen.len()))
                } else if seen != stored {
                    Err(format!("{} records came, the vendor has {}", seen.len(), stored.len()))
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(error.to_string()),
        };
        let is_whole = outcome.is_ok();
        self.check(format!("{kind}: a full read brings every record once, to the last page"), outcome);
        let is_incremental = self
            .connector
            .manifest
            .resources
            .get(&kind)
            .and_then(|resource| resource.read.as_ref())
            .is_some_and(|read| read.since.is_some());
        if is_incremental && is_whole {
            let again = read_from(&vendor, kind, &mut position).await;
            let outcome = match again {
                Ok(ids) if ids.is_empty() => Ok(()),
                Ok(ids) => Err(format!("{} records came again, though nothing changed", ids.len())),
                Err(error) => Err(error.to_string()),
            };
            self.check(format!("{kind}: an incremental read repeats nothing at its boundary"), outcome);
        }
        Ok(())
    }

    /// A payload as the mapping makes it of a canonical sample, or else one that a sample is.
    fn payload(&self, kind: RecordKind, key: &str, settings: &serde_json::Value) -> Result<Option<Value>, String> {
        let Some(plan) = self.connector.write_plan(kind) else { return Ok(None) };
        let Some(record) = connectors::Catalog::embedded().iter().find_map(|connector| {
            let read = connector.read_plan(kind)?;
            let (_, text) = connector.samples(kind).next()?;
            let source = Value::parse(text.as_bytes(), &Limits::DEFAULT).ok()?;
            read.apply(&source, connector.tables(), &Vars::default()).ok()
        }) else {
            return Ok(None);
        };
        let mut vars = Vars::default();
        vars.set("settings", Value::from(settings));
        vars.set("record", Value::from(&serde_json::json!({"revision": 1, "external_key": key, "kind": kind.as_str()})));
        vars.set("source", Value::from(&serde_json::json!({"connection": "Test"})));
        plan.apply(&record, &AnyLookup(self.connector.tables()), &vars).map(Some).map_err(|issues| first(&issues))
    }

    /// A write is stored once, whatever becomes of its answer.
    async fn write(&mut self, kind: RecordKind) -> Result<(), Failure> {
        let stage = self.stage().await?;
        let key = "crossdock-test-1";
        let payload = match self.payload(kind, key, &stage.settings) {
            Ok(Some(payload)) => payload,
            Ok(None) => return Ok(()),
            // What a canonical sample lacks for this vendor, a tenant's tables and mapping add; it is no fault of the connector.
            Err(_) => return Ok(()),
        };
        let vendor = self.vendor(&stage).await?;
        let connector = self.connector;
        let keys = WriteKeys { external_key: key, revision: 1, idempotency_key: key };
        let write = async || {
            let found = vendor.look_up(kind, Change::Write, Some(&payload), keys).await.map_err(|error| error.to_string())?;
            let request = |context: &connectors::RequestContext<'_>| {
                connector.change_request(kind, Change::Write, Some(&payload), &found, context)
            };
            let answer = vendor.call(keys, request).await.map_err(|error| error.to_string())?;
            let receipt = connector.read_change_answer(kind, Change::Write, &answer, key);
            receipt.map_err(|fault| format!("{} {}", fault.reason, fault.fix))
        };
        let written = write().await;
        if written.is_ok() && connector.is_repeatable(kind, Change::Write) {
            let outcome = write().await.and_then(|_| match stage.served.simulator().stats().creates {
                1 => Ok(()),
                creates => Err(format!("{creates} records were made")),
            });
            self.check(format!("{kind}: the same write once more makes no second record"), outcome);
        }
        let has_proof = connector.manifest.resources.get(&kind).is_some_and(|resource| resource.proof.is_some());
        self.check(format!("{kind}: a write is stored, and its receipt understood"), written.clone().map(|_| ()));
        if written.is_ok() && has_proof {
            let outcome = self.lost_answer(kind).await?;
            self.check(format!("{kind}: a lost answer is found out, and nothing is done twice"), outcome);
        }
        Ok(())
    }

    async fn lost_answer(&self, kind: RecordKind) -> Result<Result<(), String>, Failure> {
        let connector = self.connector;
        for (trouble, was_stored) in [(Trouble::DropAfterCommit, true), (Trouble::DropBeforeCommit, false)] {
            let stage = self.stage().await?;
            let vendor = self.vendor(&stage).await?;
            let key = if was_stored { "crossdock-lost-1" } else { "crossdock-lost-2" };
            let Ok(Some(payload)) = self.payload(kind, key, &stage.settings) else { return Ok(Ok(())) };
            let keys = WriteKeys { external_key: key, revision: 1, idempotency_key: key };
            let found = match vendor.look_up(kind, Change::Write, Some(&payload), keys).await {
                Ok(found) => found,
                Err(error) => return Ok(Err(format!("what belongs before it was not found: {error}"))),
            };
            stage.served.simulator().fail(FaultMatcher::next(&format!("{kind}.write")), trouble);
            let request = |context: &connectors::RequestContext<'_>| {
                connector.change_request(kind, Change::Write, Some(&payload), &found, context)
            };
            if let Ok(answer) = vendor.call(keys, request).await {
                return Ok(Err(format!("the answer was not lost: {}", answer.status)));
            }
            stage.served.pass(Duration::from_millis(connector.proof_settle_ms(kind) + 1));
            let prove = |context: &connectors::RequestContext<'_>| {
                connector
                    .proof_request(kind, Some(&payload), context)
                    .and_then(|request| request.ok_or(connectors::RequestError::Kind(kind)))
            };
            let answer = match vendor.call(keys, prove).await {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(format!("the proof was not answered: {error}"))),
            };
            match (connector.read_proof_answer_for(kind, key, &answer, 1), was_stored) {
                (Proof::Found { current: true, .. }, true) | (Proof::Absent, false) => {}
                (proof, _) => {
                    return Ok(Err(format!(
                        "it was {}stored, but the proof says {proof:?}",
                        if was_stored { "" } else { "not " }
                    )));
                }
            }
        }
        Ok(Ok(()))
    }

    /// A server that lies, loops or floods ends as a fault with a reason.
    async fn hostile(&mut self) -> Result<(), Failure> {
        let Some(kind) = self.readable() else { return Ok(()) };
        for trouble in [
            Trouble::Status(500),
            Trouble::TruncateBody,
            Trouble::WrongContentType,
            Trouble::DropBeforeCommit,
            Trouble::HugeBody,
            Trouble::GzipBomb,
            Trouble::DeepJson(10_000),
            Trouble::InvalidUtf8,
            Trouble::LyingLength,
            Trouble::Redirect("http://169.254.169.254/".into()),
        ] {
            let stage = self.stage().await?;
            let name = format!("hostile: {trouble:?} ends as a fault with a reason");
            let vendor = self.vendor(&stage).await?;
            stage.served.simulator().fail(FaultMatcher { kind: Some(kind), ..FaultMatcher::default() }, trouble);
            let outcome = match read(&vendor, kind, &Position::default()).await {
                Err(error) if !error.to_string().is_empty() => Ok(()),
                Err(_) => Err("it has no reason".into()),
                Ok(_) => Err("it was taken for an answer".into()),
            };
            self.check(name, outcome);
        }
        Ok(())
    }

    /// A webhook of the vendor is believed; a changed one is not.
    fn webhooks(&mut self) -> Result<(), Failure> {
        let Some(hook) = &self.connector.manifest.webhooks else { return Ok(()) };
        let (settings, credential) = account(self.connector);
        let mut simulator = Simulator::new(self.connector, self.seed, settings.clone(), credential.clone())?;
        let found = hook.topics.iter().find_map(|(topic, rule)| {
            let id = simulator.stored(rule.kind).first()?.id.clone();
            Some((topic.clone(), id))
        });
        let Some((topic, id)) = found else { return Ok(()) };
        let now = chrono::Utc::now();
        let Some(sent) = simulator.emit(&topic, &id, "https://crossdock.example/hooks/1", now) else {
            self.check(format!("webhooks: {topic} is sent and believed"), Err("the simulator could not sign it".into()));
            return Ok(());
        };
        let verify = |body: &[u8], credential: &SecretFields| {
            let call = HookCall { method: "POST", url: &sent.url, headers: &sent.headers, body, now };
            self.connector.verify_hook(&call, credential, &settings)
        };
        let believed = verify(&sent.body, &credential).map_err(|refusal| refusal.to_string()).and_then(|infos| {
            let info = infos.first().ok_or("it says nothing")?;
            let is_it = info.topic == topic && info.source_id.as_deref() == Some(id.as_str());
            if is_it { Ok(()) } else { Err(format!("it was taken for {} of {:?}", info.topic, info.source_id)) }
        });
        let mut changed = sent.body.to_vec();
        if let Some(byte) = changed.last_mut() {
            *byte ^= 1;
        }
        let is_signed = !matches!(hook.signature.algorithm, connectors::manifest::SignatureAlgorithm::Shared);
        let forged = match verify(&changed, &credential) {
            Err(refusal) if refusal.is_forged() || !is_signed => Ok(()),
            Err(refusal) => Err(format!("it was refused for another reason: {refusal}")),
            Ok(_) => Err("it was believed".into()),
        };
        let wrong: SecretFields = credential.0.keys().map(|name| (name.clone(), "d3Jvbmc=".to_owned().into())).collect();
        let stranger = if verify(&sent.body, &wrong).is_err() { Ok(()) } else { Err("it was believed".to_owned()) };
        self.check(format!("webhooks: {topic} is signed, believed, and says what it is about"), believed);
        self.check("webhooks: a changed body is refused", forged);
        self.check("webhooks: another secret's signature is refused", stranger);
        Ok(())
    }
}

fn first(issues: &[domain::mapping::Issue]) -> String {
    issues.first().map_or_else(|| "refused without a word".to_owned(), |issue| issue.sentence.clone())
}

async fn read(vendor: &Vendor<'_>, kind: RecordKind, from: &Position) -> Result<Vec<String>, VendorError> {
    read_from(vendor, kind, &mut from.clone()).await
}

/// The ids of what came; the position moves on.
async fn read_from(vendor: &Vendor<'_>, kind: RecordKind, position: &mut Position) -> Result<Vec<String>, VendorError> {
    let mut ids = Vec::new();
    let end = vendor
        .read(kind, position, async |records, _| ids.extend(records.into_iter().map(|record| record.id.unwrap_or_default())))
        .await?;
    *position = end.position;
    Ok(ids)
}
