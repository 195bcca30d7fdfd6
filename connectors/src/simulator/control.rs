//! `/_control/`: what another process may ask of and order from a running simulator, as JSON. No part of the vendor's API; no secret is told.

use chrono::{DateTime, Utc};
use domain::fault::FaultClass;
use domain::http::Method;
use domain::record::RecordKind;
use domain::value::Value;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::fault::{Fault, FaultMatcher};
use super::hook::OutgoingHook;
use super::incoming::Incoming;
use super::refusal::Refusal;
use super::{SimAnswer, Simulator};

pub(super) const PREFIX: &str = "/_control/";
/// Records that one control request may add.
const RECORDS_MAX: usize = 100_000;

/// `{"operation": "order.write", "count": 3, "fault": {"status": 503}}`
#[derive(Deserialize)]
struct Order {
    #[serde(flatten)]
    matcher: Matcher,
    fault: Fault,
}

/// [`FaultMatcher`] without its strictness, which `flatten` does not go with.
#[derive(Deserialize)]
struct Matcher {
    operation: Option<String>,
    kind: Option<RecordKind>,
    method: Option<String>,
    count: Option<u32>,
}

/// `url` absent: to those who subscribed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Emit {
    topic: String,
    id: String,
    url: Option<String>,
}

/// Of the samples so many, or one of one's own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Put {
    kind: RecordKind,
    count: Option<usize>,
    value: Option<serde_json::Value>,
}

/// A key that a person has made at the vendor.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyOrder {
    label: String,
    secrets: std::collections::BTreeMap<String, String>,
}

fn refused(status: u16, what: &str) -> SimAnswer {
    SimAnswer::json(status, &Value::from(&json!({"error": what})))
}

fn said(value: &serde_json::Value) -> SimAnswer {
    SimAnswer::json(200, &Value::from(value))
}

fn order<T: DeserializeOwned>(incoming: &Incoming<'_>) -> Result<T, SimAnswer> {
    serde_json::from_slice(&incoming.request.body).map_err(|error| refused(400, &format!("the order cannot be read: {error}")))
}

impl Simulator<'_> {
    pub(super) fn control(&mut self, what: &str, incoming: &Incoming<'_>, now: DateTime<Utc>) -> SimAnswer {
        self.obey(what, incoming, now).unwrap_or_else(|refused| refused)
    }

    fn obey(&mut self, what: &str, incoming: &Incoming<'_>, now: DateTime<Utc>) -> Result<SimAnswer, SimAnswer> {
        let kind = || {
            let named = incoming.parameter("kind").and_then(RecordKind::parse);
            named.ok_or_else(|| refused(400, "say which kind: ?kind=order"))
        };
        Ok(match (incoming.request.method, what) {
            (Method::Get, "stats") => said(&json!(self.stats())),
            (Method::Get, "records") => {
                let record = |record: super::SimRecord| {
                    let mut value = Value::from(&json!({
                        "id": record.id, "external_key": record.external_key, "revision": record.revision,
                        "creates": record.creates, "updates": record.updates
                    }));
                    crate::path::put(&mut value, "value", record.value);
                    value
                };
                SimAnswer::json(200, &Value::List(self.stored(kind()?).into_iter().map(record).collect()))
            }
            (Method::Get, "writes") => {
                let key = incoming.parameter("key").ok_or_else(|| refused(400, "say which key: ?kind=order&key=…"))?;
                said(&json!(self.writes(kind()?, key)))
            }
            (Method::Post, "records") => {
                let put: Put = order(incoming)?;
                match put.value {
                    Some(value) => said(&json!({"id": self.put_record(put.kind, Value::from(&value), now)})),
                    None => said(&json!({"added": self.seed_records(put.kind, put.count.unwrap_or(1).min(RECORDS_MAX))})),
                }
            }
            (Method::Post, "fail") => {
                let Order { matcher, fault } = order(incoming)?;
                let Matcher { operation, kind, method, count } = matcher;
                self.fail(FaultMatcher { operation, kind, method, count }, fault);
                said(&json!({}))
            }
            (Method::Post, "emit") => {
                let emit: Emit = order(incoming)?;
                let hooks = match &emit.url {
                    Some(url) => self.emit(&emit.topic, &emit.id, url, now).into_iter().collect(),
                    None => self.deliveries(&emit.topic, &emit.id, now),
                };
                let answer = said(&json!(hooks.iter().map(shown).collect::<Vec<_>>()));
                self.outgoing.extend(hooks);
                answer
            }
            (Method::Post, "reset") => {
                self.reset();
                said(&json!({}))
            }
            (Method::Get, "subscriptions") => said(&json!(self.subscriptions(now))),
            (Method::Delete, "subscriptions") => {
                self.delete_subscriptions();
                said(&json!({}))
            }
            (Method::Post, "consent") => {
                let consenting = order(incoming)?;
                self.set_consenting(consenting);
                said(&json!({}))
            }
            (Method::Get, "keys") => said(&json!(self.key_labels())),
            (Method::Post, "keys") => {
                let KeyOrder { label, secrets } = order(incoming)?;
                self.key_add(&label, secrets.into_iter().map(|(field, secret)| (field, secret.into())).collect());
                said(&json!({}))
            }
            (Method::Delete, "keys") => {
                let label = incoming.parameter("label").ok_or_else(|| refused(400, "say which keys: ?label=…"))?.to_owned();
                said(&json!({"removed": self.key_remove(&label)}))
            }
            (Method::Post, "tokens/expire") => {
                self.expire_tokens();
                said(&json!({}))
            }
            _ => refused(
                404,
                "there are GET stats, records, writes, subscriptions, keys; POST records, fail, emit, reset, consent, keys, tokens/expire; DELETE subscriptions, keys",
            ),
        })
    }

    /// The answer by which this vendor says a class of failure: the error catalog read backwards.
    #[must_use]
    pub fn error_answer(&self, class: FaultClass, code: Option<&str>, now: DateTime<Utc>) -> SimAnswer {
        let refusal = Refusal { code: code.map(str::to_owned), ..Refusal::new(class, "It was refused.") };
        self.connector.refuse(&refusal, &self.codes, now)
    }

    /// A success that carries an error at this path of `error.inside`.
    #[must_use]
    pub fn error_inside(&self, at: &str) -> SimAnswer {
        self.connector.error_inside(at, "It was refused.")
    }
}

fn shown(hook: &OutgoingHook) -> serde_json::Value {
    json!({"url": hook.url, "headers": hook.headers, "body": String::from_utf8_lossy(&hook.body)})
}
