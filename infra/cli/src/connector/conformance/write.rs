//! A write is stored once, whatever becomes of its answer; a second revision changes it; actions are done and seen to be done.

use std::time::Duration;

use connectors::simulator::{Fault, FaultMatcher};
use connectors::{Change, Proof, RequestContext, RequestError};
use domain::delivery::Receipt;
use domain::record::RecordKind;
use domain::value::Value;
use workers::vendor::{Vendor, WriteKeys};

use super::{Outcome, Proving, Stage, keys, must, said};
use crate::Failure;

const KEY: &str = "crossdock-test-1";

impl Proving {
    pub(super) async fn write(&mut self, kind: RecordKind) -> Result<(), Failure> {
        let stage = self.stage().await?;
        let payload = self
            .payload(kind, KEY, 1, &stage.settings)
            .and_then(|payload| payload.ok_or_else(|| format!("a write is declared, and {kind}.yaml has no write mapping")));
        self.check(format!("{kind}: a canonical record becomes a payload"), payload.clone().map(|_| ()));
        let Ok(payload) = payload else { return Ok(()) };
        let vendor = stage.vendor().await?;
        let written = self.write_one(&vendor, kind, &payload, (KEY, 1, KEY)).await;
        let outcome = written.clone().and_then(|_| {
            let creates = stage.served.simulator().stats().creates;
            must(creates == 1, || format!("the vendor has stored {creates} records"))
        });
        self.check(format!("{kind}: a write is stored, and its receipt understood"), outcome);
        let Ok(receipt) = written else { return Ok(()) };
        if self.connector.is_repeatable(kind, Change::Write) {
            let again = self.write_one(&vendor, kind, &payload, (KEY, 1, KEY)).await;
            let creates = stage.served.simulator().stats().creates;
            let outcome = again.and_then(|_| must(creates == 1, || format!("{creates} records were made")));
            self.check(format!("{kind}: the same write once more makes no second record"), outcome);
        }
        self.second_revision(&stage, &vendor, kind, &receipt).await;
        let resource = self.connector.manifest.resources.get(&kind);
        if resource.is_some_and(|resource| resource.proof.is_some()) {
            let outcome = self.lost_answer(kind).await?;
            self.check(format!("{kind}: a lost answer is found out, and nothing is done twice"), outcome);
        }
        Ok(())
    }

    /// Writes a payload under a key, in a revision, with an idempotency key.
    pub(super) async fn write_one(
        &self,
        vendor: &Vendor<'_>,
        kind: RecordKind,
        payload: &Value,
        (key, revision, idempotency_key): (&str, i64, &str),
    ) -> Result<Receipt, String> {
        let keys = WriteKeys { external_key: key, revision, idempotency_key };
        self.change(vendor, (kind, Change::Write), Some(payload), keys).await
    }

    /// A change as a worker makes it: the version and what belongs before it are read, then it is sent.
    async fn change(
        &self,
        vendor: &Vendor<'_>,
        (kind, change): (RecordKind, Change<'_>),
        payload: Option<&Value>,
        keys: WriteKeys<'_>,
    ) -> Result<Receipt, String> {
        let request = vendor.change(kind, change, payload, keys).await.map_err(said)?;
        let answer = vendor.send(request).await.map_err(said)?;
        let read = self.connector.read_change_answer(kind, change, &answer, keys.external_key);
        read.map_err(|fault| format!("{} {}", fault.reason, fault.fix))
    }

    /// Where the connector changes what exists, or its write does so by our key.
    async fn second_revision(&mut self, stage: &Stage, vendor: &Vendor<'_>, kind: RecordKind, receipt: &Receipt) {
        let connector = self.connector;
        let Some(resource) = connector.manifest.resources.get(&kind) else { return };
        let is_upsert = resource.write.as_ref().is_some_and(|write| write.request.path.contains("external_key"));
        if resource.update.is_none() && !is_upsert {
            return;
        }
        let outcome = async {
            let payload = self.payload(kind, KEY, 2, &stage.settings)?.ok_or("there is no write mapping")?;
            let receipt = if resource.update.is_some() {
                let keys = WriteKeys { external_key: KEY, revision: 2, idempotency_key: "crossdock-test-1-2" };
                self.change(vendor, (kind, Change::Update(receipt)), Some(&payload), keys).await?
            } else {
                self.write_one(vendor, kind, &payload, (KEY, 2, "crossdock-test-1-2")).await?
            };
            let stats = stage.served.simulator().stats().clone();
            must((stats.creates, stats.updates) == (1, 1), || {
                format!("the vendor has stored {} records and changed {}", stats.creates, stats.updates)
            })?;
            must(!receipt.id.is_empty(), || "the receipt has no id".into())
        }
        .await;
        self.check(format!("{kind}: a second revision changes the record, and makes no other"), outcome);
    }

    async fn lost_answer(&self, kind: RecordKind) -> Result<Outcome, Failure> {
        let connector = self.connector;
        for (trouble, was_stored) in [(Fault::DropAfterCommit, true), (Fault::DropBeforeCommit, false)] {
            let stage = self.stage().await?;
            let vendor = stage.vendor().await?;
            let key = if was_stored { "crossdock-lost-1" } else { "crossdock-lost-2" };
            let Ok(Some(payload)) = self.payload(kind, key, 1, &stage.settings) else { return Ok(Ok(())) };
            let request = match vendor.change(kind, Change::Write, Some(&payload), keys(key, 1)).await {
                Ok(request) => request,
                Err(error) => return Ok(Err(format!("what belongs before it: {error}"))),
            };
            stage.served.simulator().fail(FaultMatcher::next(&format!("{kind}.write")), trouble);
            if let Ok(answer) = vendor.send(request).await {
                return Ok(Err(format!("the answer was not lost: {}", answer.status)));
            }
            stage.served.pass(Duration::from_millis(connector.proof_settle_ms(kind) + 1));
            let prove = |context: &RequestContext<'_>| {
                connector.proof_request(kind, Some(&payload), context).and_then(|request| request.ok_or(RequestError::Kind(kind)))
            };
            let answer = match vendor.call(keys(key, 1), prove).await {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(format!("the proof was not answered: {error}"))),
            };
            match (connector.read_proof_answer(kind, key, &answer, 1), was_stored) {
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

    pub(super) async fn actions(&mut self, kind: RecordKind) -> Result<(), Failure> {
        let Some(resource) = self.connector.manifest.resources.get(&kind) else { return Ok(()) };
        let then: Vec<&str> = self.connector.actions_after_write(kind).iter().map(String::as_str).collect();
        if !then.is_empty() {
            let outcome = match self.acted_on(kind).await? {
                Ok((stage, id, payload)) => {
                    let vendor = stage.vendor().await?;
                    let mut outcome = Ok(());
                    for name in &then {
                        let proven = resource.actions.get(*name).is_some_and(|action| action.proof.is_some());
                        outcome = outcome.and(self.act(&vendor, kind, name, (&id, payload.as_ref()), proven).await);
                    }
                    outcome
                }
                Err(why) => Err(why),
            };
            self.check(format!("{kind}: after a write, {} are done, each seen before the next", then.join(" and ")), outcome);
        }
        for (name, action) in &resource.actions {
            let mut outcome = Ok(());
            if !then.contains(&name.as_str()) {
                outcome = match self.acted_on(kind).await? {
                    Ok((stage, id, payload)) => {
                        let vendor = stage.vendor().await?;
                        self.act(&vendor, kind, name, (&id, payload.as_ref()), action.proof.is_some()).await
                    }
                    Err(why) => Err(why),
                };
                self.check(format!("{kind}: the action {name} is done, and seen to be done"), outcome.clone());
            }
            if action.proof.is_some() && outcome.is_ok() {
                let outcome = self.lost_action(kind, name).await?;
                self.check(format!("{kind}: whether the action {name} was done is found out where its answer was lost"), outcome);
            }
        }
        Ok(())
    }

    /// A record for an action: one that was written, or one that is there. With its id, and what was written.
    async fn acted_on(&self, kind: RecordKind) -> Result<Result<(Stage, String, Option<Value>), String>, Failure> {
        let stage = self.stage().await?;
        let payload = match self.payload(kind, KEY, 1, &stage.settings) {
            Ok(payload) => payload,
            Err(why) => return Ok(Err(why)),
        };
        let can_write = self.connector.manifest.resources.get(&kind).is_some_and(|resource| resource.write.is_some());
        let id = match payload.as_ref().filter(|_| can_write) {
            Some(payload) => {
                let vendor = stage.vendor().await?;
                let written = self.write_one(&vendor, kind, payload, (KEY, 1, KEY)).await.map(|receipt| receipt.id);
                // The vendor takes its time to show it.
                stage.served.pass(Duration::from_millis(self.connector.proof_settle_ms(kind) + 1));
                written
            }
            None => {
                let now = stage.served.now();
                stage.served.simulator().put_new(kind, now).ok_or_else(|| "there is no sample to make a record of".to_owned())
            }
        };
        Ok(id.map(|id| (stage, id, payload)))
    }

    async fn is_done(
        &self,
        vendor: &Vendor<'_>,
        kind: RecordKind,
        name: &str,
        (id, payload): (&str, Option<&Value>),
    ) -> Result<bool, String> {
        let build = |context: &RequestContext<'_>| {
            let request = self.connector.action_proof_request(kind, name, id, payload, context)?;
            request.ok_or_else(|| RequestError::Action(name.to_owned()))
        };
        let answer = vendor.call(keys(KEY, 1), build).await.map_err(said)?;
        let read = self.connector.read_action_proof(kind, name, id, &answer);
        read.map_err(|fault| format!("the proof of {name} was not understood: {} {}", fault.reason, fault.fix))
    }

    async fn act(
        &self,
        vendor: &Vendor<'_>,
        kind: RecordKind,
        name: &str,
        (id, payload): (&str, Option<&Value>),
        is_proven: bool,
    ) -> Outcome {
        if is_proven && self.is_done(vendor, kind, name, (id, payload)).await? {
            return Err(format!("{name} seems to be done before it was asked for"));
        }
        let on = Receipt { id: id.to_owned(), version: None };
        let done = self.change(vendor, (kind, Change::Action(name, &on)), payload, keys(KEY, 1)).await;
        done.map_err(|why| format!("{name}: {why}"))?;
        let is_seen = !is_proven || self.is_done(vendor, kind, name, (id, payload)).await?;
        must(is_seen, || format!("{name} was done, and its proof does not see it"))
    }

    async fn lost_action(&self, kind: RecordKind, name: &str) -> Result<Outcome, Failure> {
        for (trouble, was_done) in [(Fault::DropAfterCommit, true), (Fault::DropBeforeCommit, false)] {
            let (stage, id, payload) = match self.acted_on(kind).await? {
                Ok(scene) => scene,
                Err(why) => return Ok(Err(why)),
            };
            let vendor = stage.vendor().await?;
            let on = Receipt { id: id.clone(), version: None };
            let request = match vendor.change(kind, Change::Action(name, &on), payload.as_ref(), keys(KEY, 1)).await {
                Ok(request) => request,
                Err(error) => return Ok(Err(format!("what belongs before it: {error}"))),
            };
            stage.served.simulator().fail(FaultMatcher::next(&format!("{kind}.action.{name}")), trouble);
            if let Ok(answer) = vendor.send(request).await {
                return Ok(Err(format!("the answer was not lost: {}", answer.status)));
            }
            match self.is_done(&vendor, kind, name, (&id, payload.as_ref())).await {
                Ok(is_done) if is_done == was_done => {}
                Ok(is_done) => return Ok(Err(format!("it was done: {was_done}, and the proof says {is_done}"))),
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(Ok(()))
    }
}
