//! The vendor's limits: what goes over them is refused as the vendor refuses, understood with how long to wait, and goes on after that.

use std::time::Duration;

use connectors::manifest::{LimitRule, Request};
use connectors::{CallVars, RequestContext};
use domain::fault::{Fault, FaultClass};
use domain::http::HttpAnswer;
use domain::value::Value;
use workers::vendor::{Vendor, VendorError};

use super::{Outcome, Proving, Stage, keys, must, said};
use crate::Failure;

/// No bucket holds so many calls that it could not be emptied here.
const CALLS_MAX: u32 = 2_000;

/// A call that the connector makes, with all that it may name.
struct Call<'c> {
    request: &'c Request,
    payload: Option<Value>,
    path: String,
}

impl Call<'_> {
    fn vars(&self) -> CallVars<'_> {
        CallVars {
            source_id: Some("1"),
            external_id: Some("1"),
            parent_id: Some("1"),
            page: Some("1"),
            hook_url: Some(super::HOOK_URL),
            topic: Some("a topic"),
            subscription_id: Some("1"),
            payload: self.payload.as_ref(),
            ..CallVars::default()
        }
    }

    async fn make(&self, vendor: &Vendor<'_>, stage: &Stage) -> Result<HttpAnswer, VendorError> {
        vendor.call(keys("crossdock-limit", 1), |context| stage.connector.call(self.request, &self.vars(), context)).await
    }
}

fn counts(rule: &LimitRule, path: &str) -> bool {
    rule.paths.is_empty() || rule.paths.iter().any(|prefix| path.starts_with(prefix.as_str()))
}

impl Proving {
    pub(super) async fn limits(&mut self) -> Result<(), Failure> {
        let calls = self.calls();
        for rule in &self.connector.manifest.limits {
            let bucket = &rule.bucket;
            // The one that the fewest other buckets count, so that this one is what is full.
            let of_rule = calls.iter().filter(|call| counts(rule, &call.path));
            let others = |call: &&Call<'_>| self.connector.manifest.limits.iter().filter(|rule| counts(rule, &call.path)).count();
            let Some(call) = of_rule.min_by_key(others) else {
                let why = format!("no call that this connector makes begins with {}", rule.paths.join(" or "));
                self.check(format!("limits: {bucket} counts calls"), Err(why));
                continue;
            };
            let is_alone = others(&call) == 1;
            if rule.rate.is_some() || rule.cost.is_some() {
                let stage = self.stage_with(|simulator| simulator.with_records(1).with_limits(true)).await?;
                stage.served.stop_clock();
                let outcome = self.overrun(&stage, rule, call, is_alone).await;
                self.check(
                    format!("limits: over {bucket} is refused, understood with its wait, and goes on after that"),
                    outcome,
                );
            }
            let says = &rule.headers;
            let in_body = rule.cost.as_ref().is_some_and(|cost| cost.left.is_some());
            if says.limit.is_some() || says.remaining.is_some() || says.reset.is_some() || in_body {
                let stage = self.stage_with(|simulator| simulator.with_records(1).with_limits(true)).await?;
                stage.served.stop_clock();
                let outcome = self.told(&stage, rule, call).await;
                self.check(format!("limits: how {bucket} stands is read from answers"), outcome);
            }
            if rule.concurrency.is_some() {
                let stage = self.stage_with(|simulator| simulator.with_records(1).with_limits(true)).await?;
                let outcome = self.at_once(&stage, rule, call).await;
                self.check(format!("limits: one more at once than {bucket} allows is refused, and understood"), outcome);
            }
        }
        Ok(())
    }

    /// Every request that the manifest declares, as far as it can be made without a record at the vendor.
    fn calls(&self) -> Vec<Call<'static>> {
        let (mut settings, credential) = super::account(self.connector);
        if self.connector.settings().contains_key("base_url") {
            settings["base_url"] = "http://127.0.0.1".into();
        }
        let manifest = &self.connector.manifest;
        let mut requests: Vec<(&'static Request, Option<Value>)> = Vec::new();
        for (kind, resource) in &manifest.resources {
            let payload = self.payload(*kind, "crossdock-limit", 1, &settings).ok().flatten();
            requests.extend(resource.read.as_ref().map(|read| (&read.request, None)));
            requests.extend(resource.get.as_ref().map(|get| (&get.request, None)));
            requests.extend(resource.write.as_ref().map(|write| (&write.request, payload.clone())));
            requests.extend(resource.update.as_ref().map(|update| (&update.request, payload.clone())));
            requests.extend(resource.proof.as_ref().map(|proof| (&proof.request, payload.clone())));
            requests.extend(resource.actions.values().map(|action| (&action.request, None)));
        }
        let list = manifest.webhooks.as_ref().and_then(|hook| hook.subscriptions.as_ref()?.list.as_ref());
        requests.extend(list.map(|list| (&list.read.request, None)));
        let context = RequestContext::new(&settings, &credential, chrono::Utc::now(), "n");
        let call = |(request, payload): (&'static Request, Option<Value>)| {
            let call = Call { request, payload, path: String::new() };
            let url = self.connector.draft(request, &call.vars(), &context).ok()?.url;
            let path = url
                .split_once("://")
                .and_then(|(_, rest)| rest.split_once('/'))
                .map_or("/".to_owned(), |(_, path)| format!("/{path}"));
            Some(Call { path, ..call })
        };
        requests.into_iter().filter_map(call).collect()
    }

    /// The fault that an answer is; an answer of another sense is none of the limit's.
    fn limited(&self, answer: &HttpAnswer) -> Option<Fault> {
        self.connector.read_action_answer(answer).err().filter(|fault| fault.class == FaultClass::Limit)
    }

    async fn overrun(&self, stage: &Stage, rule: &LimitRule, call: &Call<'_>, is_alone: bool) -> Outcome {
        let vendor = stage.vendor().await.map_err(said)?;
        let mut let_in = 0;
        let fault = loop {
            let answer = call.make(&vendor, stage).await.map_err(said)?;
            if let Some(fault) = self.limited(&answer) {
                break fault;
            }
            let_in += 1;
            if let_in > CALLS_MAX {
                return Err(format!("{let_in} calls were let in, or their refusal was not understood: {}", answer.status));
            }
        };
        let room = rule.rate.as_ref().map(|rate| rate.burst.unwrap_or(rate.calls));
        if let (Some(room), true) = (room, is_alone) {
            must(let_in == room, || format!("{let_in} calls were let in at once, and {room} are declared"))?;
        }
        let wait_ms = fault.retry_after_ms.ok_or("the refusal does not say how long to wait, and no wait_s of its rule does")?;
        must(wait_ms > 0, || "the refusal says not to wait".into())?;
        let at_once = call.make(&vendor, stage).await.map_err(said)?;
        must(self.limited(&at_once).is_some(), || "without waiting, the next call was let in".into())?;
        stage.served.pass(Duration::from_millis(wait_ms));
        let after = call.make(&vendor, stage).await.map_err(said)?;
        must(self.limited(&after).is_none(), || format!("it was refused again after the {wait_ms} ms that were to be waited"))
    }

    async fn told(&self, stage: &Stage, rule: &LimitRule, call: &Call<'_>) -> Outcome {
        let vendor = stage.vendor().await.map_err(said)?;
        let state = |answer: &HttpAnswer| {
            let found = self.connector.limit_states(answer).into_iter().find(|state| state.bucket == rule.bucket);
            found.ok_or_else(|| format!("an answer {} says nothing of it", answer.status))
        };
        let first = state(&call.make(&vendor, stage).await.map_err(said)?)?;
        let second = state(&call.make(&vendor, stage).await.map_err(said)?)?;
        let all = match (&rule.rate, &rule.cost) {
            (Some(rate), _) => u64::from(rate.burst.unwrap_or(rate.calls)),
            (None, Some(cost)) => u64::from(cost.points),
            (None, None) => 0,
        };
        if rule.headers.limit.is_some() {
            must(first.limit == Some(all), || format!("it holds {all}, and was read as {:?}", first.limit))?;
        }
        let is_counted = rule.headers.remaining.is_some() || rule.headers.limit.is_some() || rule.cost.is_some();
        if is_counted {
            let (one, two) = first.remaining.zip(second.remaining).ok_or("what is left was not read")?;
            must(one < all && two < one, || format!("of {all}, {one} and then {two} are left after two calls"))?;
        }
        if rule.headers.reset.is_some() {
            let reset = second.reset_ms.ok_or("when it is full again was not read")?;
            must(reset > 0, || "it is full again at once, though calls were made".into())?;
        }
        Ok(())
    }

    /// By value and not over connections: how many are under way at a moment would be luck.
    async fn at_once(&self, stage: &Stage, rule: &LimitRule, call: &Call<'_>) -> Outcome {
        let vendor = stage.vendor().await.map_err(said)?;
        let most = self.connector.limits(&stage.settings).into_iter().find(|limit| limit.bucket == rule.bucket);
        let most = most.map(|limit| limit.concurrency_max as usize).ok_or("its number is not known")?;
        let among = async |in_flight: usize| -> Result<HttpAnswer, VendorError> {
            let prepared =
                vendor.prepare(keys("crossdock-limit", 1), |context| stage.connector.call(call.request, &call.vars(), context));
            Ok(stage.served.answer_among(&prepared.await?, in_flight))
        };
        let within = among(most).await.map_err(said)?;
        must(self.limited(&within).is_none(), || format!("{most} at once are refused, and declared"))?;
        let over = among(most + 1).await.map_err(said)?;
        let fault = self.limited(&over).ok_or_else(|| format!("{} at once were answered {}", most + 1, over.status))?;
        must(fault.retry_after_ms.is_some(), || {
            "the refusal does not say how long to wait, and no wait_s of its rule does".into()
        })?;
        let after = among(1).await.map_err(said)?;
        must(self.limited(&after).is_none(), || "it was refused again when it was alone".into())
    }
}
