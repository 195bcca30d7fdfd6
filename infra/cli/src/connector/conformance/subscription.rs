//! Webhook registrations: made, found on whatever page they stand, renewed, taken away, and restored where the vendor dropped them.

use std::time::Duration;

use connectors::manifest::{Page, Subscriptions};
use connectors::simulator::{Fault, FaultMatcher};
use connectors::{Comparison, RequestContext, RequestError, Subscription};
use workers::vendor::Vendor;

use super::read::page_size;
use super::{HOOK_URL, Outcome, Proving, Stage, keys, must, said};
use crate::Failure;

/// Where an answer has all of them, so many of others.
const FOREIGN: usize = 20;
/// A registration is renewed so long before its end.
const BEFORE_END: Duration = Duration::from_secs(60);

impl Proving {
    pub(super) async fn subscriptions(&mut self) -> Result<(), Failure> {
        let Some(rules) = self.connector.manifest.webhooks.as_ref().and_then(|hook| hook.subscriptions.as_ref()) else {
            return Ok(());
        };
        if rules.list.is_some() {
            let outcome = self.found_and_restored(&self.stage().await?, rules).await;
            self.check(
                "subscriptions: all are found behind those of others, and made again where the vendor deleted them",
                outcome,
            );
            let outcome = self.doubled_or_off(&self.stage().await?, rules).await;
            self.check("subscriptions: what is doubled or switched off is replaced", outcome);
        }
        let stage = self.stage().await?;
        let outcome = self.delivered(&stage).await;
        self.check("subscriptions: what is delivered through one is believed", outcome);
        if rules.lifetime_s.is_some() && rules.list.is_some() {
            let outcome = self.renewed(&self.stage().await?, rules).await;
            self.check("subscriptions: one that is renewed lives on, and one that is not is found missing", outcome);
        }
        if rules.delete.is_some() {
            let outcome = self.deleted(&self.stage().await?).await;
            self.check("subscriptions: one that is taken away is gone, and taken away again it is not there", outcome);
        }
        Ok(())
    }

    fn topics(&self) -> Vec<&'static str> {
        self.connector.manifest.webhooks.iter().flat_map(|hook| hook.topics.keys()).map(String::as_str).collect()
    }

    async fn subscribe(&self, vendor: &Vendor<'_>, topic: &str) -> Result<Subscription, String> {
        let build = |context: &RequestContext<'_>| {
            let request = self.connector.subscribe_request(topic, HOOK_URL, context)?;
            request.ok_or_else(|| RequestError::Action("subscribe".into()))
        };
        let answer = vendor.call(keys("", 0), build).await.map_err(said)?;
        let read = self.connector.read_subscribe_answer(&answer, chrono::Utc::now());
        read.map_err(|fault| format!("{topic}: {} {}", fault.reason, fault.fix))
    }

    /// Reads the list and says what is to be done.
    async fn compared(&self, vendor: &Vendor<'_>) -> Result<Comparison, String> {
        let listed = vendor.subscriptions().await.map_err(said)?.ok_or("there is no list")?;
        Ok(self.connector.compare_subscriptions(&self.topics(), HOOK_URL, &listed))
    }

    /// Does what is to be done: what is missing is made first, so that nothing is missed in between.
    async fn restore(&self, vendor: &Vendor<'_>, comparison: &Comparison) -> Outcome {
        for topic in &comparison.missing {
            self.subscribe(vendor, topic).await?;
        }
        for stale in &comparison.stale {
            self.delete(vendor, stale).await?;
        }
        Ok(())
    }

    async fn delete(&self, vendor: &Vendor<'_>, one: &connectors::ListedSubscription) -> Outcome {
        let build = |context: &RequestContext<'_>| {
            let request = self.connector.delete_request(one, context)?;
            request.ok_or_else(|| RequestError::Action("delete".into()))
        };
        let answer = vendor.call(keys("", 0), build).await.map_err(said)?;
        self.connector.read_action_answer(&answer).map_err(|fault| format!("{} {}", fault.reason, fault.fix))
    }

    fn is_clean(&self, comparison: &Comparison) -> Outcome {
        let Comparison { missing, stale, .. } = comparison;
        must(missing.is_empty() && stale.is_empty(), || {
            format!("{} topics are missing ({}), {} registrations are too many", missing.len(), missing.join(", "), stale.len())
        })
    }

    async fn found_and_restored(&self, stage: &Stage, rules: &Subscriptions) -> Outcome {
        let vendor = stage.vendor().await.map_err(said)?;
        let before = self.compared(&vendor).await?;
        let wanted = if self.connector.subscribes_at_once() { 1 } else { self.topics().len() };
        must(before.missing.len() == wanted, || format!("of an empty list {} are missing", before.missing.len()))?;
        self.restore(&vendor, &before).await?;
        // Lists begin with the newest: others' fill the first page.
        let page = rules.list.as_ref().and_then(|list| list.read.page.as_ref());
        let others = self.add_others(stage, page);
        let comparison = self.compared(&vendor).await?;
        self.is_clean(&comparison)?;
        must(comparison.foreign.len() == others, || {
            format!("{} of others are there, and {} were found", others, comparison.foreign.len())
        })?;
        stage.served.simulator().fail(FaultMatcher::next("webhooks.subscriptions"), Fault::DeleteSubscriptions);
        let gone = self.compared(&vendor).await?;
        must(gone.missing.len() == wanted, || format!("{wanted} were deleted, and {} are found missing", gone.missing.len()))?;
        self.restore(&vendor, &gone).await?;
        self.add_others(stage, page);
        self.is_clean(&self.compared(&vendor).await?)?;
        let now = stage.served.now();
        let ours = stage.served.simulator().subscriptions(now).iter().filter(|one| one.url == HOOK_URL).count();
        must(ours == wanted, || format!("{ours} registrations are ours now, and {wanted} are wanted"))
    }

    fn add_others(&self, stage: &Stage, page: Option<&Page>) -> usize {
        let many = page_size(page).max(FOREIGN) + 1;
        let topic = self.topics().first().copied().unwrap_or_default();
        (0..many).for_each(|_| stage.served.simulator().add_subscription(topic, "https://elsewhere.example/hook"));
        many
    }

    async fn doubled_or_off(&self, stage: &Stage, rules: &Subscriptions) -> Outcome {
        let vendor = stage.vendor().await.map_err(said)?;
        self.restore(&vendor, &self.compared(&vendor).await?).await?;
        self.subscribe(&vendor, self.topics().first().copied().unwrap_or_default()).await?;
        let doubled = self.compared(&vendor).await?;
        must(doubled.stale.len() == 1 && doubled.missing.is_empty(), || {
            format!("one is doubled; {} were found to be too many, {} missing", doubled.stale.len(), doubled.missing.len())
        })?;
        if rules.delete.is_some() {
            self.restore(&vendor, &doubled).await?;
            self.is_clean(&self.compared(&vendor).await?)?;
        }
        if rules.list.as_ref().is_some_and(|list| list.active.is_some()) {
            stage.served.simulator().switch_off_subscriptions();
            let off = self.compared(&vendor).await?;
            must(!off.missing.is_empty(), || "those that are switched off were taken for good".into())?;
            self.restore(&vendor, &off).await?;
            self.is_clean(&self.compared(&vendor).await?)?;
        }
        Ok(())
    }

    async fn delivered(&self, stage: &Stage) -> Outcome {
        let vendor = stage.vendor().await.map_err(said)?;
        let hook = self.connector.manifest.webhooks.as_ref().ok_or("there are no webhooks")?;
        let (topic, rule) = hook.topics.first().ok_or("there is no topic")?;
        let subscription = self.subscribe(&vendor, topic).await?;
        let mut credential = stage.credential.clone();
        if let (Some(secret), Some(field)) = (subscription.secret, hook.signature.secrets.first()) {
            credential.0.insert(field.clone(), secret);
        }
        let now = stage.served.now();
        let mut simulator = stage.served.simulator();
        let id = simulator.ids(rule.kind).into_iter().next().ok_or("there is no record to tell of")?;
        let sent = simulator.deliveries(topic, &id, now);
        let [sent] = sent.as_slice() else { return Err(format!("{} were sent", sent.len())) };
        let call = connectors::HookCall { method: "POST", url: &sent.url, headers: &sent.headers, body: &sent.body, now };
        self.connector.verify_hook(&call, &credential, &stage.settings).map(|_| ()).map_err(said)
    }

    async fn renewed(&self, stage: &Stage, rules: &Subscriptions) -> Outcome {
        let vendor = stage.vendor().await.map_err(said)?;
        self.restore(&vendor, &self.compared(&vendor).await?).await?;
        let lifetime = Duration::from_secs(rules.lifetime_s.unwrap_or_default());
        if rules.renew.is_some() {
            let expires = self.subscribe(&vendor, self.topics().first().copied().unwrap_or_default()).await?.expires;
            must(expires.is_some(), || "when it ends was not read".into())?;
            self.restore(&vendor, &self.compared(&vendor).await?).await?;
            stage.served.pass(lifetime.saturating_sub(BEFORE_END));
            for one in vendor.subscriptions().await.map_err(said)?.unwrap_or_default() {
                let build = |context: &RequestContext<'_>| {
                    let request = self.connector.renew_request(&one, context)?;
                    request.ok_or_else(|| RequestError::Action("renew".into()))
                };
                let answer = vendor.call(keys("", 0), build).await.map_err(said)?;
                self.connector.read_action_answer(&answer).map_err(|fault| format!("{} {}", fault.reason, fault.fix))?;
            }
            stage.served.pass(BEFORE_END * 2);
            self.is_clean(&self.compared(&vendor).await?)?;
        }
        stage.served.pass(lifetime + BEFORE_END);
        let ended = self.compared(&vendor).await?;
        must(!ended.missing.is_empty(), || "those that have ended were not found missing".into())
    }

    async fn deleted(&self, stage: &Stage) -> Outcome {
        let vendor = stage.vendor().await.map_err(said)?;
        let topic = self.topics().first().copied().unwrap_or_default();
        let made = self.subscribe(&vendor, topic).await?;
        let one = connectors::ListedSubscription { id: made.id, topics: vec![topic.into()], url: HOOK_URL.into(), active: true };
        self.delete(&vendor, &one).await?;
        let now = stage.served.now();
        must(stage.served.simulator().subscriptions(now).is_empty(), || "it is still there".into())?;
        must(self.delete(&vendor, &one).await.is_err(), || "it could be taken away twice".into())
    }
}
