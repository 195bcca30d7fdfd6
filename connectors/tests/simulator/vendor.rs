//! One connector, its simulator and a connection to it, for the tests to tell stories with.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use connectors::manifest::{Page, Place, Read};
use connectors::simulator::{SimAnswer, Simulator};
use connectors::{CallVars, Catalog, Change, Connector, Found, Proof, RequestContext};
use domain::http::{HttpAnswer, HttpRequest, Method};
use domain::record::RecordKind;
use domain::secret::{SecretFields, SecretString};
use domain::value::{Limits, Value};
use serde_json::{Value as Json, json};

pub const ORIGIN: &str = "http://127.0.0.1:9000";
pub const ORDER: RecordKind = RecordKind::Order;

pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

/// One connector, its simulator, and a connection to it.
pub struct Vendor {
    pub connector: &'static Connector,
    pub simulator: Simulator<'static>,
    pub settings: Json,
    pub credential: SecretFields,
    pub now: DateTime<Utc>,
    calls: u32,
}

/// What a call is about, beside [`CallVars`].
#[derive(Clone, Copy)]
pub struct Keys<'k> {
    pub external: &'k str,
    pub idempotency: &'k str,
    pub revision: i64,
}

pub fn keys(external: &str) -> Keys<'_> {
    Keys { external, idempotency: external, revision: 1 }
}

impl Vendor {
    pub fn of(connector: &'static Connector, settings: Json, credential: &[(&str, &str)]) -> Self {
        let credential: SecretFields =
            credential.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
        let simulator = Simulator::new(connector, 7, settings.clone(), credential.clone()).unwrap();
        Self { connector, simulator, settings, credential, now: now(), calls: 0 }
    }

    pub fn named(name: &str) -> Self {
        let connector = Catalog::embedded().get(name).unwrap();
        let mut settings = json!({"base_url": ORIGIN});
        for (name, field) in connector.settings() {
            if let (Some(example), Some(false)) = (&field.example, Some(name == "base_url")) {
                settings[name] = json!(example);
            }
        }
        let secrets: Vec<(&str, &str)> = connector.credential().keys().map(|name| (name.as_str(), "sk_secret1")).collect();
        Self::of(connector, settings, &secrets)
    }

    /// A small connector in one line of YAML, with samples of orders.
    pub fn small(yaml: &str, samples: &[&str]) -> Self {
        let yaml = format!("{{format: 1, name: x, title: X, category: erp, base_url: '{ORIGIN}/api', {yaml}}}");
        let mut files = HashMap::from([("connector.yaml".to_owned(), yaml)]);
        for (at, sample) in samples.iter().enumerate() {
            files.insert(format!("samples/order_{at}.in.json"), (*sample).to_owned());
        }
        let connector = Connector::from_files("x", files).unwrap_or_else(|errors| panic!("{errors}"));
        Self::of(
            Box::leak(Box::new(connector)),
            json!({}),
            &[("key", "k3y"), ("id", "cid"), ("secret", "hush"), ("brought", "r0")],
        )
    }

    pub fn context<T>(&mut self, keys: Keys<'_>, make: impl FnOnce(&Connector, &RequestContext<'_>) -> T) -> T {
        self.calls += 1;
        let context = RequestContext {
            settings: &self.settings,
            credential: &self.credential,
            external_key: keys.external,
            revision: keys.revision,
            idempotency_key: keys.idempotency,
            now: self.now,
            nonce: &self.calls.to_string(),
            token: None,
            group: None,
        };
        make(self.connector, &context)
    }

    pub fn send(&mut self, mut request: HttpRequest) -> SimAnswer {
        // Where a vendor has an address of its own, whoever runs the simulator leads its calls here.
        if let Some((_, rest)) = request.url.split_once("://") {
            request.url = format!("{ORIGIN}{}", &rest[rest.find('/').unwrap_or(rest.len())..]);
        }
        self.simulator.answer(&request, 1, self.now)
    }

    pub fn write(&mut self, key: &str, payload: Json) -> SimAnswer {
        let payload = Value::from(&payload);
        let request = self.context(keys(key), |connector, context| {
            connector.change_request(ORDER, Change::Write, Some(&payload), &Found::default(), context).unwrap()
        });
        self.send(request)
    }

    pub fn proof(&mut self, key: &str, revision: i64) -> Proof {
        let keys = Keys { revision, ..keys(key) };
        let request = self.context(keys, |connector, context| connector.proof_request(ORDER, None, context).unwrap().unwrap());
        let answer = http(self.send(request));
        self.context(keys, |connector, context| {
            connector.read_proof_answer(ORDER, context.external_key, &answer, context.revision)
        })
    }

    pub fn call(&mut self, rule: &connectors::manifest::Request, vars: &CallVars<'_>) -> SimAnswer {
        let request = self.context(keys("k"), |connector, context| connector.call(rule, vars, context).unwrap());
        self.send(request)
    }

    pub fn rule(&self) -> &'static connectors::manifest::Resource {
        &self.connector.manifest.resources[&ORDER]
    }

    /// Reads a list as the manifest says, page by page; the ids at `id`, and how many pages there were.
    pub fn read(&mut self, read: &Read, vars: &CallVars<'_>, id: &str) -> (Vec<String>, usize) {
        let (mut ids, mut pages) = (Vec::new(), 0);
        let mut draft = self.context(keys("k"), |connector, context| connector.draft(&read.request, vars, context).unwrap());
        let (mut number, mut offset) = (1_usize, 0_usize);
        loop {
            let request = self.context(keys("k"), |connector, context| connector.sign(draft.clone(), context).unwrap());
            let answer = self.send(request);
            assert_eq!(answer.status, 200, "{}", text(&answer));
            let document = Value::parse(&answer.body, &Limits::DEFAULT).unwrap();
            let list = records(&document, read.records.as_deref());
            pages += 1;
            assert!(pages < 50, "the list has no end");
            ids.extend(list.iter().map(|record| record.at(id).unwrap().to_text().unwrap().into_owned()));
            let place = |place: &Place| -> Option<String> {
                let header = place.header.first().and_then(|name| http(answer.clone()).header(name).map(str::to_owned));
                header.or_else(|| Some(document.at(place.path.as_deref()?)?.to_text()?.into_owned()))
            };
            match read.page.as_ref().unwrap() {
                Page::Number(rule) => {
                    number += 1;
                    let last = rule.pages.as_ref().and_then(place).is_some_and(|all| number > all.parse::<usize>().unwrap());
                    if last || list.len() < rule.size.as_ref().unwrap().value as usize {
                        return (ids, pages);
                    }
                    draft.set(&rule.slot, &number.to_string());
                }
                Page::Offset(rule) => {
                    offset += list.len();
                    let total: usize = rule.total.as_ref().and_then(place).unwrap().parse().unwrap();
                    if offset >= total {
                        return (ids, pages);
                    }
                    draft.set(&rule.slot, &offset.to_string());
                }
                Page::Cursor(rule) => {
                    let more = rule.more.as_ref().and_then(place).is_none_or(|more| more == "true");
                    let next = match &rule.last_record {
                        Some(at) => list.last().and_then(|record| record.at(at)?.to_text()).map(|text| text.into_owned()),
                        None => rule.next.as_ref().and_then(place),
                    };
                    let Some(next) = next.filter(|_| more) else { return (ids, pages) };
                    if rule.alone_with.is_some() {
                        draft.query.clear();
                    }
                    draft.set(&rule.slot, &next);
                }
                Page::Link(_) => {
                    let header = http(answer.clone()).header("link").unwrap_or_default().to_owned();
                    let next = header.split(", ").find(|link| link.ends_with("rel=\"next\""));
                    let Some(next) = next else { return (ids, pages) };
                    draft.url = next.trim_start_matches('<').split('>').next().unwrap().to_owned();
                    draft.query.clear();
                }
                Page::NextUrl(rule) => {
                    let Some(next) = place(&rule.next) else { return (ids, pages) };
                    draft.url = next;
                    draft.query.clear();
                }
            }
        }
    }
}

pub fn http(answer: SimAnswer) -> HttpAnswer {
    HttpAnswer { status: answer.status, headers: answer.headers, body: answer.body }
}

pub fn text(answer: &SimAnswer) -> String {
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))
}

pub fn body(answer: &SimAnswer) -> Json {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", text(answer)))
}

/// As a reader finds them: `edges.node` steps into each edge.
pub fn records(document: &Value, at: Option<&str>) -> Vec<Value> {
    match at.map(|at| at.split_once(".edges.node").map_or((at, false), |(before, _)| (before, true))) {
        None => document.as_list().unwrap().to_vec(),
        Some((before, true)) => {
            let edges = document.at(&format!("{before}.edges")).unwrap().as_list().unwrap();
            edges.iter().map(|edge| edge.get("node").unwrap().clone()).collect()
        }
        Some((at, false)) => document.at(at).unwrap().as_list().unwrap().to_vec(),
    }
}

pub fn get(path: &str) -> HttpRequest {
    HttpRequest { method: Method::Get, url: format!("{ORIGIN}{path}"), headers: vec![], body: "".into(), identity: None }
}

pub fn post(path: &str, kind: &str, body: &str) -> HttpRequest {
    let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
    HttpRequest { method: Method::Post, url: format!("{ORIGIN}{path}"), headers, body: body.to_owned().into(), identity: None }
}

pub fn sales_order(key: &str) -> Json {
    json!({
        "externalId": key, "entity": {"id": "42"}, "subsidiary": {"id": "1"}, "currency": {"id": "1"}, "shippingCost": 5,
        "item": {"items": [{"item": {"id": "7"}, "quantity": 2, "rate": 10.5, "amount": 21}]},
        "custbody_crossdock_total": 26, "custbody_crossdock_revision": 1
    })
}

pub fn netsuite() -> Vendor {
    let connector = Catalog::embedded().get("netsuite").unwrap();
    let settings = json!({"account": "1234567_SB1", "subsidiary_id": "1", "customer_id": "42", "base_url": ORIGIN});
    let credential = ["consumer_key", "consumer_secret", "token_id", "token_secret"].map(|name| (name, "s3cret"));
    Vendor::of(connector, settings, &credential)
}

pub const SAMPLE: &str =
    r#"{"id": 450789469, "updated_at": "2026-01-01T00:00:00-05:00", "name": "A & B", "lines": [{"sku": "HAT"}, {"sku": "CAP"}]}"#;

pub fn list(read: &str) -> String {
    format!("resources: {{order: {{id: id, updated_at: updated_at, read: {{{read}}}}}}}")
}
