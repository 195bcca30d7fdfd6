//! Webhooks out of the simulator: who subscribed to what, and deliveries signed as the vendor signs them. Sending is somebody else's.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::fault::FaultClass;
use domain::secret::SecretFields;
use domain::value::Value;
use serde::Serialize;

use super::incoming::Incoming;
use super::list::{Item, Listing};
use super::pattern::Found;
use super::refusal::{Refusal, concrete};
use super::seed::{empty, hash};
use super::write::Served;
use super::{SimAnswer, Simulator, derive};
use crate::connector::Connector;
use crate::hook::{HookCall, is_same_topic};
use crate::manifest::{Hook, Place, Subscriptions};
use crate::path;
use crate::template::fill;

/// The vendor keeps no more.
const SUBSCRIPTIONS_MAX: usize = 10_000;

/// A webhook registration at the vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HookSubscription {
    pub id: String,
    /// Empty where one subscription is for all topics.
    pub topic: String,
    pub url: String,
    /// When it ends unless it is renewed, ms since 1970.
    pub ends_at_ms: Option<i64>,
    /// False where the vendor has switched it off; renewing it switches it on.
    pub active: bool,
    /// What its deliveries are signed with, where the vendor says that with the subscription, or is told it.
    #[serde(skip)]
    secret: Option<String>,
}

/// A delivery that is ready to be POSTed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingHook {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// What a delivery brings.
#[derive(Debug, Clone)]
pub struct HookEvent<'e> {
    pub topic: &'e str,
    /// What the vendor calls this delivery, the same on each retry.
    pub delivery: &'e str,
    /// Where it goes.
    pub url: &'e str,
    pub body: Bytes,
}

impl Connector {
    /// A delivery of these bytes as the vendor makes it: topic, number, version and account in the headers that the manifest reads them
    /// from, and signed. What the manifest reads out of the body must stand there already. `None` where the connector has no webhooks, or
    /// the credential has no secret for them.
    #[must_use]
    pub fn hook_delivery(
        &self,
        event: HookEvent<'_>,
        settings: &serde_json::Value,
        credential: &SecretFields,
        now: DateTime<Utc>,
    ) -> Option<OutgoingHook> {
        let hook = self.manifest.webhooks.as_ref()?;
        let HookEvent { topic, delivery, url, body } = event;
        let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
        for (place, text) in said(hook, topic, delivery, self.version()) {
            headers.extend(place.header.first().map(|name| (name.clone(), text.to_owned())));
        }
        if let Some(source) = &hook.source {
            let account = fill(&source.equals, false, |name| self.setting(settings, name)).ok()?;
            headers.extend(source.header.first().map(|name| (name.clone(), account)));
        }
        let call = HookCall { method: "POST", url, headers: &headers, body: &body, now };
        let signature = self.sign_hook(&call, credential).ok()?;
        headers.extend(signature);
        Some(OutgoingHook { url: url.to_owned(), headers, body })
    }
}

/// What a delivery says of itself, and where.
fn said<'h>(hook: &'h Hook, topic: &'h str, delivery: &'h str, version: &'h str) -> impl Iterator<Item = (&'h Place, &'h str)> {
    let places = [(Some(&hook.topic), topic), (hook.dedupe.as_ref(), delivery), (hook.version.as_ref(), version)];
    places.into_iter().filter_map(|(place, text)| Some((place?, text))).filter(|(_, text)| !text.is_empty())
}

/// All subscriptions, and how many things were numbered.
#[derive(Debug, Default)]
pub(super) struct Hooks {
    pub subscriptions: Vec<HookSubscription>,
    given: u64,
}

impl Hooks {
    fn live(&mut self, now: DateTime<Utc>) -> &mut Vec<HookSubscription> {
        let now_ms = now.timestamp_millis();
        self.subscriptions.retain(|subscription| subscription.ends_at_ms.is_none_or(|ends| ends > now_ms));
        &mut self.subscriptions
    }
}

fn gone() -> Refusal {
    Refusal::new(FaultClass::NotFound, "There is no such subscription.")
}

impl Simulator<'_> {
    /// The subscriptions that live at this moment.
    pub fn subscriptions(&mut self, now: DateTime<Utc>) -> Vec<HookSubscription> {
        self.hooks.live(now).clone()
    }

    pub fn delete_subscriptions(&mut self) {
        self.hooks.subscriptions.clear();
    }

    /// The vendor has switched all of them off, as it does after too many failures.
    pub fn switch_off_subscriptions(&mut self) {
        self.hooks.subscriptions.iter_mut().for_each(|subscription| subscription.active = false);
    }

    /// Somebody else's webhook.
    pub fn add_subscription(&mut self, topic: &str, url: &str) {
        self.hooks.given += 1;
        let (id, topic, url) = ((900_000 + self.hooks.given).to_string(), topic.to_owned(), url.to_owned());
        self.hooks.subscriptions.push(HookSubscription { id, topic, url, ends_at_ms: None, active: true, secret: None });
    }

    fn subscription_rules(&self) -> Result<&Subscriptions, Refusal> {
        self.connector.manifest.webhooks.as_ref().and_then(|hook| hook.subscriptions.as_ref()).ok_or_else(gone)
    }

    pub(super) fn subscribe(&mut self, found: &Found, now: DateTime<Utc>) -> Served {
        let rules = self.subscription_rules()?.clone();
        let url = found.get("hook_url").unwrap_or_default();
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Refusal::new(FaultClass::Validation, "The address of the webhook is not an address."));
        }
        if self.hooks.live(now).len() >= SUBSCRIPTIONS_MAX {
            return Err(Refusal::new(FaultClass::Validation, "There are too many subscriptions."));
        }
        self.hooks.given += 1;
        let id = (900_000 + self.hooks.given).to_string();
        let made = rules.subscribe.secret.as_ref().map(|_| format!("sim-hook-{:016x}", hash(self.seed, &["hook", &id])));
        let told = self.connector.hook_secret_field().and_then(|field| found.get(&format!("credential.{field}")));
        let secret = made.clone().or_else(|| told.map(str::to_owned));
        let mut answer = SimAnswer::json(201, &empty());
        let mut body = empty();
        let mut put = |place: &Place, text: &str| {
            answer.headers.extend(place.header.first().map(|name| (name.clone(), text.to_owned())));
            if let Some(at) = &place.path {
                path::put(&mut body, &concrete(at), text.into());
            }
        };
        put(&rules.subscribe.id, &id);
        if let (Some(place), Some(secret)) = (&rules.subscribe.secret, &made) {
            put(place, secret);
        }
        answer.body = body.to_json().into();
        let ends_at_ms = ends(&rules, now);
        let topic = found.get("topic").unwrap_or_default().to_owned();
        self.hooks.subscriptions.push(HookSubscription { id, topic, url: url.to_owned(), ends_at_ms, active: true, secret });
        Ok(answer)
    }

    pub(super) fn list_subscriptions(&mut self, incoming: &Incoming<'_>, found: &Found, now: DateTime<Utc>) -> Served {
        let list = self.subscription_rules()?.list.clone().ok_or_else(gone)?;
        let topics = self.connector.manifest.webhooks.as_ref().map(|hook| hook.topics.keys());
        let all = Value::List(topics.into_iter().flatten().map(|topic| topic.as_str().into()).collect());
        let record = |subscription: &HookSubscription| {
            let mut record = empty();
            for (at, text) in [(&list.id, &subscription.id), (&list.url, &subscription.url)] {
                path::put(&mut record, at, text.as_str().into());
            }
            let is_for_all = subscription.topic.is_empty();
            let topic = if is_for_all { all.clone() } else { subscription.topic.as_str().into() };
            path::put(&mut record, &list.topic, topic);
            if let Some(active) = &list.active {
                derive::make(&mut record, active, subscription.active);
            }
            record
        };
        let records: Vec<Value> = self.hooks.live(now).iter().map(record).collect();
        let items = records.iter().enumerate().map(|(at, value)| Item { value, changed: 0, seq: at as u64 });
        let listing = Listing { read: &list.read, incoming, found, secret: self.seed, name: "subscriptions", trouble: None };
        listing.answer(items.collect())
    }

    pub(super) fn renew(&mut self, found: &Found, now: DateTime<Utc>) -> Served {
        let ends_at_ms = ends(self.subscription_rules()?, now);
        let id = found.get("subscription_id").unwrap_or_default();
        let known = self.hooks.live(now).iter_mut().find(|subscription| subscription.id == id).ok_or_else(gone)?;
        known.ends_at_ms = ends_at_ms;
        known.active = true;
        Ok(SimAnswer::json(200, &empty()))
    }

    pub(super) fn unsubscribe(&mut self, found: &Found, now: DateTime<Utc>) -> Served {
        let id = found.get("subscription_id").unwrap_or_default();
        let live = self.hooks.live(now);
        let before = live.len();
        live.retain(|subscription| subscription.id != id);
        if live.len() == before { Err(gone()) } else { Ok(SimAnswer::empty(204)) }
    }

    /// What the vendor sends to those who subscribed to the topic, about a record.
    pub fn deliveries(&mut self, topic: &str, record_id: &str, now: DateTime<Utc>) -> Vec<OutgoingHook> {
        let mut to = self.hooks.live(now).clone();
        to.retain(|subscription| {
            subscription.active && (subscription.topic.is_empty() || is_same_topic(&subscription.topic, topic))
        });
        to.iter().filter_map(|to| self.hook(&[(topic, record_id)], &to.url, to.secret.as_deref(), now)).collect()
    }

    /// What the vendor would send to an address, without a subscription; `None` where there is no such topic or record.
    pub fn emit(&mut self, topic: &str, record_id: &str, url: &str, now: DateTime<Utc>) -> Option<OutgoingHook> {
        self.hook(&[(topic, record_id)], url, None, now)
    }

    /// Several events in one delivery, by topic and record, where the vendor's bodies list events.
    pub fn emit_together(&mut self, events: &[(&str, &str)], url: &str, now: DateTime<Utc>) -> Option<OutgoingHook> {
        self.connector.manifest.webhooks.as_ref()?.events.as_ref()?;
        self.hook(events, url, None, now)
    }

    fn hook(&mut self, about: &[(&str, &str)], url: &str, secret: Option<&str>, now: DateTime<Utc>) -> Option<OutgoingHook> {
        let hook = self.connector.manifest.webhooks.as_ref()?;
        let (mut events, mut first) = (Vec::new(), None);
        for (topic, record_id) in about {
            let (event, delivery) = self.event(topic, record_id)?;
            events.push(event);
            // One delivery has one id and one topic in its headers, however many things it tells.
            first.get_or_insert((*topic, delivery));
        }
        let body = match &hook.events {
            Some(at) => {
                let mut outer = empty();
                super::render::place(&mut outer, Some(at), events);
                outer
            }
            None => events.pop()?,
        };
        let (topic, delivery) = first?;
        // Of a subscription with a secret of its own, that one signs.
        let mut credential = self.credential.clone();
        if let (Some(secret), Some(field)) = (secret, hook.signature.secrets.first()) {
            credential.0.insert(field.clone(), secret.to_owned().into());
        }
        let event = HookEvent { topic, delivery: &delivery, url, body: body.to_json().into() };
        self.connector.hook_delivery(event, &self.settings, &credential, now)
    }

    /// What a delivery says of one thing, and the id that it has.
    fn event(&mut self, topic: &str, record_id: &str) -> Option<(Value, String)> {
        let hook = self.connector.manifest.webhooks.as_ref()?;
        let rule = hook.topics.get(topic)?;
        let table = self.table(rule.kind);
        let row = &table.rows[table.by_id(record_id)?];
        let mut event = if rule.fetch.is_some() { empty() } else { row.value.clone() };
        path::put(&mut event, &concrete(&rule.id), row.id.clone());
        self.hooks.given += 1;
        let delivery = format!("{:016x}", hash(self.seed, &["delivery", &self.hooks.given.to_string()]));
        for (place, text) in said(hook, topic, &delivery, self.connector.version()) {
            if let (None, Some(at)) = (place.header.first(), &place.path) {
                path::put(&mut event, &concrete(at), text.into());
            }
        }
        Some((event, delivery))
    }
}

fn ends(rules: &Subscriptions, now: DateTime<Utc>) -> Option<i64> {
    rules
        .lifetime_s
        .map(|s| now.timestamp_millis().saturating_add(i64::try_from(s).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000)))
}
