//! A vendor's simulator, made of its own connector: every connector of the catalog, and small ones for each thing that a manifest can say.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Duration, Utc};
use connectors::manifest::{Page, Place, Read};
use connectors::simulator::{Delivery, Fault, FaultMatcher, SimAnswer, Simulator, Writes};
use connectors::{CallVars, Catalog, Connector, Proof, RequestContext};
use domain::fault::FaultClass;
use domain::http::{HttpAnswer, HttpRequest, Method};
use domain::mapping::Vars;
use domain::record::RecordKind;
use domain::secret::{SecretFields, SecretString};
use domain::value::{Limits, Value};
use serde_json::{Value as Json, json};

const ORIGIN: &str = "http://127.0.0.1:9000";
const ORDER: RecordKind = RecordKind::Order;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap()
}

/// One connector, its simulator, and a connection to it.
struct Vendor {
    connector: &'static Connector,
    simulator: Simulator<'static>,
    settings: Json,
    credential: SecretFields,
    now: DateTime<Utc>,
    calls: u32,
}

/// What a call is about, beside [`CallVars`].
#[derive(Clone, Copy)]
struct Keys<'k> {
    external: &'k str,
    idempotency: &'k str,
    revision: i64,
}

fn keys(external: &str) -> Keys<'_> {
    Keys { external, idempotency: external, revision: 1 }
}

impl Vendor {
    fn of(connector: &'static Connector, settings: Json, credential: &[(&str, &str)]) -> Self {
        let credential: SecretFields =
            credential.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
        let simulator = Simulator::new(connector, 7, settings.clone(), credential.clone()).unwrap();
        Self { connector, simulator, settings, credential, now: now(), calls: 0 }
    }

    fn named(name: &str) -> Self {
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
    fn small(yaml: &str, samples: &[&str]) -> Self {
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

    fn context<T>(&mut self, keys: Keys<'_>, make: impl FnOnce(&Connector, &RequestContext<'_>) -> T) -> T {
        self.calls += 1;
        let context = RequestContext {
            settings: &self.settings,
            credential: &self.credential,
            external_key: keys.external,
            revision: keys.revision,
            idempotency_key: keys.idempotency,
            now: self.now,
            nonce: &self.calls.to_string(),
        };
        make(self.connector, &context)
    }

    fn send(&mut self, mut request: HttpRequest) -> SimAnswer {
        // Where a vendor has an address of its own, whoever runs the simulator leads its calls here.
        if let Some((_, rest)) = request.url.split_once("://") {
            request.url = format!("{ORIGIN}{}", &rest[rest.find('/').unwrap_or(rest.len())..]);
        }
        self.simulator.answer(&request, 1, self.now)
    }

    fn write(&mut self, key: &str, payload: Json) -> SimAnswer {
        let payload = Value::from(&payload);
        let request = self.context(keys(key), |connector, context| connector.write_request(ORDER, &payload, context).unwrap());
        self.send(request)
    }

    fn proof(&mut self, key: &str, revision: i64) -> Proof {
        let keys = Keys { revision, ..keys(key) };
        let request = self.context(keys, |connector, context| connector.proof_request(ORDER, context).unwrap().unwrap());
        let answer = http(self.send(request));
        self.context(keys, |connector, context| connector.read_proof_answer(ORDER, &answer, context))
    }

    fn call(&mut self, rule: &connectors::manifest::Request, vars: &CallVars<'_>) -> SimAnswer {
        let request = self.context(keys("k"), |connector, context| connector.call(rule, vars, context).unwrap());
        self.send(request)
    }

    fn rule(&self) -> &'static connectors::manifest::Resource {
        &self.connector.manifest.resources[&ORDER]
    }

    /// Reads a list as the manifest says, page by page; the ids at `id`, and how many pages there were.
    fn read(&mut self, read: &Read, vars: &CallVars<'_>, id: &str) -> (Vec<String>, usize) {
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

fn http(answer: SimAnswer) -> HttpAnswer {
    HttpAnswer { status: answer.status, headers: answer.headers, body: answer.body }
}

fn text(answer: &SimAnswer) -> String {
    format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))
}

fn body(answer: &SimAnswer) -> Json {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{}", text(answer)))
}

/// As a reader finds them: `edges.node` steps into each edge.
fn records(document: &Value, at: Option<&str>) -> Vec<Value> {
    match at.map(|at| at.split_once(".edges.node").map_or((at, false), |(before, _)| (before, true))) {
        None => document.as_list().unwrap().to_vec(),
        Some((before, true)) => {
            let edges = document.at(&format!("{before}.edges")).unwrap().as_list().unwrap();
            edges.iter().map(|edge| edge.get("node").unwrap().clone()).collect()
        }
        Some((at, false)) => document.at(at).unwrap().as_list().unwrap().to_vec(),
    }
}

fn get(path: &str) -> HttpRequest {
    HttpRequest { method: Method::Get, url: format!("{ORIGIN}{path}"), headers: vec![], body: "".into() }
}

fn post(path: &str, kind: &str, body: &str) -> HttpRequest {
    let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
    HttpRequest { method: Method::Post, url: format!("{ORIGIN}{path}"), headers, body: body.to_owned().into() }
}

// The connectors of the catalog.

#[test]
fn every_connector_of_the_catalog_has_a_simulator_that_shows_its_samples() {
    let mut simulated = 0;
    for connector in Catalog::embedded().iter() {
        let vendor = Vendor::named(connector.name());
        for kind in RecordKind::ALL.into_iter().filter(|kind| connector.samples(*kind).next().is_some()) {
            let stored = vendor.simulator.stored(kind);
            assert!(!stored.is_empty(), "{} {kind}", connector.name());
            let ids: BTreeSet<&str> = stored.iter().map(|record| record.id.as_str()).collect();
            assert_eq!(ids.len(), stored.len(), "{} {kind}", connector.name());
            let has_parts = connector.manifest.resources.get(&kind).and_then(|resource| resource.read.as_ref());
            let Some(plan) = connector.read_plan(kind).filter(|_| has_parts.is_none_or(|read| read.include.is_empty())) else {
                continue;
            };
            for record in &stored {
                plan.apply(&record.value, connector.tables(), &Vars::default())
                    .unwrap_or_else(|issues| panic!("{} {kind}: {issues:?}", connector.name()));
                simulated += 1;
            }
        }
    }
    assert!(simulated >= 50, "only {simulated} records");
}

#[test]
fn every_class_of_the_error_catalog_is_said_so_that_it_is_understood() {
    let mut said = 0;
    for connector in Catalog::embedded().iter() {
        let vendor = Vendor::named(connector.name());
        for class in FaultClass::ALL.into_iter().filter(|class| connector.manifest.errors.iter().any(|rule| rule.class == *class))
        {
            let answer = vendor.simulator.error_answer(class, None, now());
            let fault = connector.classify(&http(answer.clone()));
            assert_eq!(fault.class, class, "{} {}", connector.name(), text(&answer));
            said += 1;
        }
    }
    assert!(said >= 10, "only {said} classes");
}

fn sales_order(key: &str) -> Json {
    json!({
        "externalId": key, "entity": {"id": "42"}, "subsidiary": {"id": "1"}, "currency": {"id": "1"}, "shippingCost": 5,
        "item": {"items": [{"item": {"id": "7"}, "quantity": 2, "rate": 10.5, "amount": 21}]},
        "custbody_crossdock_total": 26, "custbody_crossdock_revision": 1
    })
}

fn netsuite() -> Vendor {
    let connector = Catalog::embedded().get("netsuite").unwrap();
    let settings = json!({"account": "1234567_SB1", "subsidiary_id": "1", "customer_id": "42", "base_url": ORIGIN});
    let credential = ["consumer_key", "consumer_secret", "token_id", "token_secret"].map(|name| (name, "s3cret"));
    Vendor::of(connector, settings, &credential)
}

#[test]
fn a_doubled_upsert_is_one_record_and_the_proof_finds_it() {
    let mut erp = netsuite();
    assert_eq!(erp.proof("order 1/a", 1), Proof::Absent);
    let first = erp.write("order 1/a", sales_order("order 1/a"));
    assert_eq!(first.status, 204, "{}", text(&first));
    let receipt = erp.connector.read_write_answer(ORDER, &http(first)).unwrap();
    assert_eq!(erp.proof("order 1/a", 1), Proof::Absent, "the vendor has not settled yet");
    erp.now += Duration::seconds(2);
    let again = erp.write("order 1/a", sales_order("order 1/a"));
    assert_eq!(erp.connector.read_write_answer(ORDER, &http(again)).unwrap().id, receipt.id);
    let Proof::Found { receipt: found, current } = erp.proof("order 1/a", 1) else { panic!("it was written") };
    assert_eq!((found.id.as_str(), current), (receipt.id.as_str(), true));
    assert!(matches!(erp.proof("order 1/a", 2), Proof::Found { current: false, .. }));
    assert_eq!(erp.simulator.writes(ORDER, "order 1/a"), Writes { records: 1, creates: 1, updates: 1 });
    assert_eq!(erp.simulator.stored(ORDER)[0].value.at("total").unwrap().to_json(), "26");
}

#[test]
fn what_the_vendor_checks_is_refused_in_its_own_words() {
    let mut erp = netsuite();
    let change = |change: fn(&mut Json)| {
        let mut order = sales_order("k");
        change(&mut order);
        order
    };
    let cases: [(Json, &str, Option<&str>); 11] = [
        (change(|order| order["colour"] = json!("red")), "INVALID_CONTENT", Some("colour")),
        (change(|order| order["externalId"] = json!("other")), "INVALID_CONTENT", Some("externalId")),
        (change(|order| order["entity"] = json!({})), "USER_ERROR", Some("entity.id")),
        (change(|order| order["currency"]["id"] = json!("USD")), "USER_ERROR", Some("currency.id")),
        (change(|order| order["orderStatus"] = json!({"id": "AB"})), "INVALID_CONTENT", Some("orderStatus")),
        (change(|order| order["memo"] = json!("m".repeat(1_000))), "INVALID_CONTENT", Some("memo")),
        (change(|order| order["shippingAddress"] = json!({"street": "x"})), "INVALID_CONTENT", Some("street")),
        (change(|order| order["item"]["items"] = json!([])), "USER_ERROR", Some("item")),
        (change(|order| order["item"]["items"][0]["sku"] = json!("x")), "INVALID_CONTENT", Some("item.items[0].sku")),
        (change(|order| order["item"]["items"][0]["item"]["id"] = json!("HAT")), "NONEXISTENT_ID", None),
        (change(|order| order["item"]["items"][0]["quantity"] = json!("2")), "INVALID_CONTENT", Some("item.items[0].quantity")),
    ];
    for (order, code, path) in cases {
        let answer = erp.write("k", order);
        let fault = erp.connector.read_write_answer(ORDER, &http(answer.clone())).unwrap_err();
        assert_eq!(fault.code, code, "{}", text(&answer));
        assert!(path.is_none_or(|path| fault.path.as_deref().unwrap().ends_with(path)), "{fault:?}");
    }
    assert_eq!(erp.write("k", change(|order| order["memo"] = json!("m".repeat(999)))).status, 204);
    let stats = erp.simulator.stats();
    assert_eq!((stats.creates, stats.refused["USER_ERROR"], stats.requests["order.write"]), (1, 3, 12));
}

#[test]
fn a_signature_is_made_again_and_a_nonce_is_used_once() {
    let mut erp = netsuite();
    let make = |erp: &mut Vendor| erp.context(keys("k"), |c, context| c.proof_request(ORDER, context).unwrap().unwrap());
    let good = make(&mut erp);
    assert_eq!(erp.send(good.clone()).status, 404);
    assert_eq!(erp.send(good.clone()).status, 401, "the same nonce again");
    let mut other = make(&mut erp);
    other.url = other.url.replace("eid:k", "eid:j");
    assert_eq!(erp.send(other).status, 401, "signed for another address");
    let old = make(&mut erp);
    erp.now += Duration::seconds(301);
    let answer = erp.send(old);
    let fault = erp.connector.classify(&http(answer));
    assert_eq!((fault.class, fault.status), (FaultClass::Authentication, Some(401)));
}

#[test]
fn a_webhook_is_signed_so_that_it_is_believed() {
    for (name, topic) in [("shopify", "orders/create"), ("medusa", "order.placed")] {
        let mut shop = Vendor::named(name);
        let id = shop.simulator.stored(ORDER)[3].id.clone();
        let hook = shop.simulator.emit(topic, &id, "http://127.0.0.1:1/hooks", now()).unwrap();
        let info = shop.connector.verify_hook(&hook.headers, &hook.body, &shop.credential, &shop.settings).unwrap();
        assert_eq!((info.topic.as_str(), info.source_id.as_deref(), info.kind), (topic, Some(id.as_str()), Some(ORDER)));
        let second = shop.simulator.emit(topic, &id, "http://127.0.0.1:1/hooks", now()).unwrap();
        let again = shop.connector.verify_hook(&second.headers, &second.body, &shop.credential, &shop.settings).unwrap();
        assert_ne!(info.dedupe_key, again.dedupe_key);
        assert_eq!(shop.simulator.emit(topic, "none", "http://127.0.0.1:1/hooks", now()), None);
        if info.fetch {
            let request = shop.context(keys("k"), |c, context| c.fetch_request(topic, &id, context).unwrap().unwrap());
            let answer = http(shop.send(request));
            let bytes = shop.connector.read_fetch(topic, &answer).unwrap();
            let record = Value::parse(&bytes, &Limits::DEFAULT).unwrap();
            assert_eq!(record.at("id").unwrap().to_text().unwrap(), id);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    let run = |seed: u64| {
        let mut bytes = Vec::new();
        for connector in Catalog::embedded().iter() {
            let Vendor { settings, credential, .. } = Vendor::named(connector.name());
            let mut simulator = Simulator::new(connector, seed, settings, credential).unwrap();
            let answer = simulator.answer(&get("/_control/records?kind=order"), 1, now());
            bytes.extend_from_slice(&answer.body);
        }
        bytes
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

// Each thing that a manifest can say.

const SAMPLE: &str =
    r#"{"id": 450789469, "updated_at": "2026-01-01T00:00:00-05:00", "name": "A & B", "lines": [{"sku": "HAT"}, {"sku": "CAP"}]}"#;

fn list(read: &str) -> String {
    format!("resources: {{order: {{id: id, updated_at: updated_at, read: {{{read}}}}}}}")
}

#[test]
fn every_kind_of_page_gives_every_record_once() {
    let since = "since: {ascending: true, overlap_s: 60}";
    let get = |query: &str, page: &str| {
        list(&format!("request: {{method: GET, path: /orders, query: {{{query}}}}}, records: orders, {since}, page: {{{page}}}"))
    };
    let plain = "since: '{{ since }}'";
    let graphql = "request: {method: POST, path: /graphql, body: {graphql: {query: 'query($after: String) { orders { x } }', variables: {after: null, q: \"updated_at:>='{{ since }}'\"}}}}";
    let cases = [
        ("number", get(plain, "number: {slot: {query: page}, size: {slot: {query: limit}, value: 10}}")),
        ("pages", get(plain, "number: {slot: {query: page}, size: {value: 10}, pages: {header: [X-Pages]}}")),
        ("offset", get(plain, "offset: {slot: {query: skip}, size: {value: 10}, total: {path: meta.total}}")),
        ("cursor", get(plain, "cursor: {slot: {query: cursor}, next: {path: meta.next}, size: {slot: {query: limit}, value: 10}}")),
        ("alone", get(plain, "cursor: {slot: {query: cursor}, next: {header: [X-Next]}, size: {value: 10}, alone_with: []}")),
        ("last", get(plain, "cursor: {slot: {query: after}, last_record: id, more: {path: more}, size: {value: 10}}")),
        ("link", get(plain, "link: {size: {slot: {query: limit}, value: 10}}")),
        ("next_url", get(plain, "next_url: {next: {path: links.next}, size: {value: 10}}")),
        (
            "graphql",
            list(&format!(
                "{graphql}, records: data.orders.edges.node, {since}, page: {{cursor: {{slot: {{body: variables.after}},
                 next: {{path: data.orders.pageInfo.endCursor}}, more: {{path: data.orders.pageInfo.hasNextPage}}, size: {{value: 10}}}}}}"
            )),
        ),
    ];
    for (name, yaml) in cases {
        let mut vendor = Vendor::small(&yaml, &[SAMPLE]);
        let stored = vendor.simulator.stored(ORDER);
        let read = vendor.rule().read.as_ref().unwrap();
        let (ids, pages) = vendor.read(read, &CallVars::default(), "id");
        let expected: Vec<&str> = stored.iter().map(|record| record.id.as_str()).collect();
        assert_eq!((ids, pages), (expected.iter().map(|id| (*id).to_owned()).collect(), 3), "{name}");
        // From the time of the 21st on, itself included: it may have changed again in the same second.
        let at = stored[20].value.at("updated_at").unwrap().as_str().unwrap();
        let (ids, _) = vendor.read(read, &CallVars { since: Some(at), ..CallVars::default() }, "id");
        assert_eq!(ids, expected[20..], "{name}");
    }
}

#[test]
fn a_cursor_that_was_changed_is_refused_and_a_page_is_never_too_long() {
    let yaml = list(
        "request: {method: GET, path: /orders, query: {limit: '50'}}, records: orders, page: {cursor: {slot: {query: cursor}, next: {path: next}, size: {slot: {query: limit}, value: 10}}}",
    );
    let errors = "error: {code: [code], message: [message]}, errors: [{status: '422', class: validation, reason: r, owner: developer, fix: f}]";
    let mut vendor = Vendor::small(&format!("{yaml}, {errors}"), &[SAMPLE]);
    let first = body(&vendor.send(get("/api/orders?limit=1000")));
    assert_eq!(first["orders"].as_array().unwrap().len(), 10);
    assert_eq!(body(&vendor.send(get("/api/orders?limit=3")))["orders"].as_array().unwrap().len(), 3);
    let cursor = first["next"].as_str().unwrap();
    assert_eq!(vendor.send(get(&format!("/api/orders?cursor={cursor}"))).status, 200);
    let forged = format!("{}x", cursor);
    for path in [format!("/api/orders?cursor={forged}"), "/api/orders?limit=0".into(), "/api/orders?limit=many".into()] {
        let answer = vendor.send(get(&path));
        assert_eq!((answer.status, body(&answer)["code"].as_str()), (422, Some("VALIDATION")), "{path}");
    }
    assert_eq!(vendor.send(get("/api/nothing")).status, 404);
}

#[test]
fn a_list_is_written_in_every_format() {
    let read = |format: &str| list(&format!("request: {{method: GET, path: /orders}}, {format}"));
    let sample = &[r#"{"id": "A-1001", "updated_at": "2026-01-01T00:00:00Z", "name": "A & \"B\", C"}"#];
    let text = |yaml: String| {
        let mut vendor = Vendor::small(&yaml, sample);
        vendor.simulator = vendor.simulator.with_records(2);
        vendor.send(get("/api/orders"))
    };
    let lines = text(read("format: json_lines"));
    let lines: Vec<&str> = std::str::from_utf8(&lines.body).unwrap().lines().collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with(r#"{"id":"A-"#)), "{lines:?}");
    let csv = text(read("format: {csv: {delimiter: ';'}}"));
    let csv = String::from_utf8(csv.body.to_vec()).unwrap();
    assert!(csv.starts_with("id;updated_at;name\r\nA-") && csv.contains("\"A & \"\"B\"\", C\"\r\n"), "{csv}");
    let xml = text(read("format: {xml: {}}, records: Orders.Order"));
    let xml = String::from_utf8(xml.body.to_vec()).unwrap();
    assert!(xml.contains("<Orders><Order><id>A-") && xml.contains("A &amp; &quot;B&quot;, C</name></Order></Orders>"), "{xml}");
    let packed = text(read("gzip: true, format: {csv: {}}"));
    let mut plain = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.body.as_ref()), &mut plain).unwrap();
    assert!(plain.starts_with("id,updated_at,name\r\n"), "{plain}");
}

#[test]
fn what_belongs_to_a_record_or_a_parent_is_a_list_of_its_own() {
    let yaml = list(
        "request: {method: GET, path: '/shops/{{ parent.id }}/orders'}, records: orders,
         parent: {read: {request: {method: GET, path: /shops}, records: shops}, id: shop_id, into: shop},
         include: [{into: lines, read: {request: {method: GET, path: '/orders/{{ source_id }}/lines'}, records: lines}}]",
    );
    let mut vendor = Vendor::small(&yaml, &[&SAMPLE.replace("\"name\"", "\"shop\": \"S-70001\", \"name\"")]);
    let shops = body(&vendor.send(get("/api/shops")));
    let shops: Vec<&str> = shops["shops"].as_array().unwrap().iter().map(|shop| shop["shop_id"].as_str().unwrap()).collect();
    let mut ids = BTreeSet::new();
    for shop in &shops {
        let orders = body(&vendor.send(get(&format!("/api/shops/{shop}/orders"))));
        for order in orders["orders"].as_array().unwrap() {
            assert!(order.get("lines").is_none() && order.get("shop").is_none(), "{order}");
            ids.insert(order["id"].as_i64().unwrap());
        }
    }
    assert_eq!(ids.len(), 25);
    let lines = body(&vendor.send(get(&format!("/api/orders/{}/lines", ids.first().unwrap()))));
    assert_eq!(lines, json!({"lines": [{"sku": "HAT"}, {"sku": "CAP"}]}));
    assert_eq!(vendor.send(get("/api/orders/1/lines")).status, 404);
}

#[test]
fn what_is_written_can_be_read_whichever_way_it_was_written() {
    let rest = "get: {request: {method: GET, path: '/orders/{{ source_id }}'}, record: order}, read: {request: {method: GET, path: /orders}, records: orders}";
    let cases = [
        ("whole", "write: {request: {method: POST, path: /orders}, receipt: {path: id}}"),
        (
            "json",
            "write: {request: {method: POST, path: /orders, body: {json: {order: '{{ payload }}', key: '{{ external_key }}'}}}, receipt: {path: data.order.id, version: data.version}}",
        ),
        (
            "form",
            "write: {request: {method: POST, path: /orders, body: {form: {order: '{{ payload }}'}}}, receipt: {path: order.id}}",
        ),
        ("header", "write: {request: {method: POST, path: /orders}, receipt: {header: Location}}"),
        (
            "text",
            "write: {request: {method: POST, path: /soap, headers: {Content-Type: text/xml}, body: {text: '<o><name>{{ payload.name }}</name></o>'}}, receipt: {path: id}}",
        ),
        (
            "graphql",
            "write: {request: {method: POST, path: /graphql, body: {graphql: {query: 'mutation($input: I!) { orderCreate(input: $input) { order { id } } }', variables: {input: '{{ payload }}'}}}}, receipt: {path: data.orderCreate.order.id}}",
        ),
    ];
    for (name, write) in cases {
        let yaml = format!("resources: {{order: {{id: id, updated_at: updated_at, {rest}, {write}}}}}");
        let mut vendor = Vendor::small(&yaml, &[]);
        let answer = vendor.write("k1", json!({"name": "#1042", "lines": [{"sku": "HAT"}]}));
        let receipt = vendor
            .connector
            .read_write_answer(ORDER, &http(answer.clone()))
            .unwrap_or_else(|_| panic!("{name}: {}", text(&answer)));
        let found = body(&vendor.send(get(&format!("/api/orders/{}", receipt.id))));
        assert_eq!(found["order"]["name"], "#1042", "{name}");
        assert_eq!(found["order"]["updated_at"], "2026-11-18T11:06:40Z", "{name}");
        assert_eq!(body(&vendor.send(get("/api/orders")))["orders"].as_array().unwrap().len(), 1, "{name}");
        assert_eq!(vendor.simulator.stats().creates, 1);
    }
}

#[test]
fn a_create_is_proven_by_the_key_that_it_carries() {
    let proof = "write: {request: {method: POST, path: /orders, headers: {Idempotency-Key: '{{ idempotency_key }}'}}, receipt: {path: id}},
         proof: {request: {method: GET, path: /orders, query: {reference: '{{ external_key }}'}}, receipt: {path: 'orders[0].id'}, found: orders, revision: 'orders[0].revision', settle_ms: 0},
         update: {request: {method: PATCH, path: '/orders/{{ external_id }}'}, receipt: {path: id}},
         read: {request: {method: GET, path: /orders}, records: orders}";
    let mut vendor = Vendor::small(&format!("resources: {{order: {{id: id, {proof}}}}}"), &[]);
    assert_eq!(vendor.proof("k1", 1), Proof::Absent);
    let first = vendor.write("k1", json!({"reference": "k1", "revision": 1, "kept": true}));
    let again = vendor.write("k1", json!({"reference": "k1", "revision": 1, "kept": true}));
    assert_eq!(first.body, again.body, "the same idempotency key gets the first answer");
    let Proof::Found { receipt, current: true } = vendor.proof("k1", 1) else { panic!("it was written") };
    let payload = Value::from(&json!({"revision": 2}));
    let update = &vendor.rule().update.as_ref().unwrap().request;
    let vars = CallVars { external_id: Some(&receipt.id), payload: Some(&payload), ..CallVars::default() };
    assert_eq!(vendor.call(update, &vars).status, 200);
    assert!(matches!(vendor.proof("k1", 2), Proof::Found { current: true, .. }));
    assert_eq!(vendor.simulator.stored(ORDER)[0].value.at("kept"), Some(&Value::Bool(true)));
    assert_eq!(vendor.simulator.writes(ORDER, "k1"), Writes { records: 1, creates: 1, updates: 1 });
    let nowhere = CallVars { external_id: Some("99"), ..vars };
    assert_eq!(vendor.call(update, &nowhere).status, 404);
    // Without the header, a doubled create is a double: that is what the proof is for.
    let mut bare = Vendor::small(
        &format!("resources: {{order: {{id: id, {}}}}}", proof.replace("Idempotency-Key: '{{ idempotency_key }}'", "")),
        &[],
    );
    bare.write("k1", json!({"reference": "k1"}));
    bare.write("k1", json!({"reference": "k1"}));
    assert_eq!(bare.simulator.writes(ORDER, "k1").records, 2);
}

#[test]
fn each_item_of_a_batch_has_its_own_result() {
    let yaml = "resources: {order: {id: id, batch: {request: {method: POST, path: /batch, body: {json: {items: '{{ payloads }}'}}}, items_max: 3,
        results: results, item_key: sku, result_key: sku, receipt: {path: id}, refused: \"status != 'SUCCESS'\"}}},
        error: {code: [code], message: [message]}";
    let rules = "{kinds: {order: {checks: [{when: quantity < 0, code: NEGATIVE, message: It is negative.}]}}}";
    let mut vendor = Vendor::small(yaml, &[]);
    vendor.simulator = vendor.simulator.with_rules(rules).unwrap();
    let batch = &vendor.rule().batch.as_ref().unwrap().request;
    let mut send = |payloads: Json| {
        let payloads = Value::from(&payloads);
        vendor.call(batch, &CallVars { payloads: Some(&payloads), ..CallVars::default() })
    };
    let first = body(&send(json!([{"sku": "a", "quantity": 1}, {"sku": "b", "quantity": -1}])));
    let results = first["results"].as_array().unwrap();
    assert_eq!((&results[0]["sku"], &results[0]["status"]), (&json!("a"), &json!("SUCCESS")));
    assert!(results[0]["id"].is_string() && results[1].get("id").is_none(), "{first}");
    assert_eq!((&results[1]["sku"], &results[1]["code"], &results[1]["status"]), (&json!("b"), &json!("NEGATIVE"), &Json::Null));
    let again = body(&send(json!([{"sku": "a", "quantity": 2}])));
    assert_eq!(again["results"][0]["id"], results[0]["id"]);
    assert_eq!(send(json!([{}, {}, {}, {}])).status, 400);
    assert_eq!(vendor.simulator.writes(ORDER, "a"), Writes { records: 1, creates: 1, updates: 1 });
}

#[test]
fn an_action_is_done_when_its_proof_says_so() {
    let yaml = "resources: {order: {id: id, write: {request: {method: POST, path: /orders}, receipt: {path: id}},
        get: {request: {method: GET, path: '/orders/{{ source_id }}'}, record: order},
        actions: {confirm: {request: {method: POST, path: '/orders/{{ external_id }}/confirm'},
                  proof: {request: {method: GET, path: '/orders/{{ external_id }}/state'}, done: \"order.status != 'draft'\"}}}}}";
    let mut vendor = Vendor::small(yaml, &[]);
    let id = body(&vendor.write("k", json!({"name": "x"})))["id"].as_str().unwrap().to_owned();
    let action = &vendor.rule().actions["confirm"];
    let vars = CallVars { external_id: Some(&id), ..CallVars::default() };
    let state =
        |vendor: &mut Vendor| body(&vendor.call(&action.proof.as_ref().unwrap().request, &vars))["order"]["status"].clone();
    assert_eq!(state(&mut vendor), "draft");
    assert_eq!(vendor.call(&action.request, &vars).status, 200);
    assert_ne!(state(&mut vendor), "draft");
    assert_ne!(body(&vendor.send(get(&format!("/api/orders/{id}"))))["order"]["status"], "draft");
    assert_eq!(vendor.call(&action.request, &CallVars { external_id: Some("0"), ..vars }).status, 404);
}

#[test]
fn what_goes_wrong_goes_wrong_on_purpose_and_in_order() {
    let mut erp = netsuite();
    let order = |erp: &mut Vendor, fault: Fault| erp.simulator.fail(FaultMatcher::next("order.write"), fault);
    order(&mut erp, Fault::DropBeforeCommit);
    order(&mut erp, Fault::DropAfterCommit);
    order(&mut erp, Fault::Status(503));
    order(&mut erp, Fault::Class(FaultClass::Limit));
    order(&mut erp, Fault::TruncateBody);
    order(&mut erp, Fault::DelayMs(700));
    order(&mut erp, Fault::WrongContentType);
    order(&mut erp, Fault::Redirect("http://127.0.0.1:1/".into()));
    let write = |erp: &mut Vendor| {
        let answer = erp.write("k", sales_order("k"));
        (answer, erp.simulator.writes(ORDER, "k").records)
    };
    let (answer, records) = write(&mut erp);
    assert_eq!((answer.delivery, records), (Delivery::Drop, 0));
    let (answer, records) = write(&mut erp);
    assert_eq!((answer.delivery, records), (Delivery::Drop, 1), "a drop after the commit has committed");
    let (answer, _) = write(&mut erp);
    assert_eq!(erp.connector.read_write_answer(ORDER, &http(answer)).unwrap_err().class, FaultClass::Unknown);
    let (answer, _) = write(&mut erp);
    let fault = erp.connector.classify(&http(answer));
    assert_eq!((fault.class, fault.retry_after_ms), (FaultClass::Limit, Some(1_000)));
    let (answer, _) = write(&mut erp);
    assert!(matches!(answer.delivery, Delivery::Truncated(bytes) if bytes < answer.body.len()));
    assert_eq!(write(&mut erp).0.delay_ms, 700);
    let (answer, _) = write(&mut erp);
    assert!(answer.headers.contains(&("Content-Type".into(), "text/html; charset=utf-8".into())));
    assert_eq!(write(&mut erp).0.status, 302);
    assert_eq!(write(&mut erp).0.status, 204, "all faults are spent");
    assert_eq!(erp.simulator.writes(ORDER, "k").creates, 1);
}

#[test]
fn lists_loop_and_never_end_on_purpose() {
    let yaml = list(
        "request: {method: GET, path: /orders}, records: orders, page: {cursor: {slot: {query: cursor}, next: {path: next}, size: {value: 10}}}",
    );
    let mut vendor = Vendor::small(&yaml, &[SAMPLE]);
    vendor.simulator.fail(FaultMatcher::next("order.list"), Fault::SelfLink);
    let looped = body(&vendor.send(get("/api/orders")));
    let again = body(&vendor.send(get(&format!("/api/orders?cursor={}", looped["next"].as_str().unwrap()))));
    assert_eq!(looped["orders"], again["orders"]);
    vendor.simulator.fail(FaultMatcher::next("order.list").times(20), Fault::EndlessPages);
    let (mut cursor, mut cursors) = (String::new(), BTreeSet::new());
    for _ in 0..20 {
        let page = body(&vendor.send(get(&format!("/api/orders?cursor={cursor}"))));
        assert!(!page["orders"].as_array().unwrap().is_empty());
        cursor = page["next"].as_str().unwrap().to_owned();
        assert!(cursors.insert(cursor.clone()), "each page has a cursor of its own");
    }
    for (fault, check) in [
        (Fault::HugeBody, (|answer| answer.body.len() > 8 * 1024 * 1024) as fn(&SimAnswer) -> bool),
        (Fault::GzipBomb, |answer| {
            answer.body.len() < 100 * 1024 && http(answer.clone()).header("content-encoding") == Some("gzip")
        }),
        (Fault::DeepJson(500), |answer| answer.body.starts_with(&b"[".repeat(500))),
        (Fault::InvalidUtf8, |answer| std::str::from_utf8(&answer.body).is_err()),
        (Fault::LyingLength, |answer| matches!(answer.delivery, Delivery::Short(bytes) if bytes < answer.body.len())),
    ] {
        vendor.simulator.fail(FaultMatcher::default(), fault.clone());
        let answer = vendor.send(get("/api/orders"));
        assert!(check(&answer), "{fault:?}");
    }
}

#[test]
fn keys_and_passwords_are_looked_at() {
    let orders = list("request: {method: GET, path: /orders}, records: orders");
    let with = |headers: &[(&str, &str)], query: &str| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HttpRequest { headers, ..get(&format!("/api/orders{query}")) }
    };
    let secrets = "credential: {key: {title: k}, secret: {title: s}}";
    let cases = [
        (
            "{api_key: {header: X-Key, prefix: 'Token ', secret: key}}",
            with(&[("x-key", "Token k3y")], ""),
            with(&[("x-key", "k3y")], ""),
        ),
        ("{api_key: {query: key, secret: key}}", with(&[], "?key=k3y"), with(&[], "?key=k")),
        ("{bearer: {secret: key}}", with(&[("authorization", "Bearer k3y")], ""), with(&[], "")),
        (
            "{basic: {user: key, password: secret}}",
            with(&[("authorization", "Basic azN5Omh1c2g=")], ""),
            with(&[("authorization", "Basic azN5Og==")], ""),
        ),
    ];
    for (auth, good, bad) in cases {
        let mut vendor = Vendor::small(&format!("auth: {auth}, {secrets}, {orders}"), &[SAMPLE]);
        assert_eq!(vendor.send(good).status, 200, "{auth}");
        assert_eq!(vendor.send(bad).status, 401, "{auth}");
    }
}

#[test]
fn access_tokens_end_and_a_refresh_token_that_was_used_ends_its_grant() {
    let auth = "auth: {oauth2: {grant: refresh_token, token: {url: 'https://login.x.example/token', client_id: id, client_secret: secret, refresh_token: brought}, refresh: {rotates: true}, lifetime_s: 600}},
        credential: {id: {title: i}, secret: {title: s}, brought: {title: r}}";
    let yaml = format!("{auth}, {}", list("request: {method: GET, path: /orders}, records: orders"));
    let mut vendor = Vendor::small(&yaml, &[SAMPLE]);
    let refresh = |vendor: &mut Vendor, token: &str, secret: &str| {
        let form = format!("grant_type=refresh_token&client_id=cid&client_secret={secret}&refresh_token={token}");
        let answer = vendor.send(post("/token", "application/x-www-form-urlencoded", &form));
        (answer.status, body(&answer))
    };
    let orders = |vendor: &mut Vendor, token: &str| {
        let headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
        vendor.send(HttpRequest { headers, ..get("/api/orders") }).status
    };
    assert_eq!(refresh(&mut vendor, "r0", "wrong").1["error"], "invalid_client");
    let (_, first) = refresh(&mut vendor, "r0", "hush");
    let (access, next) = (first["access_token"].as_str().unwrap(), first["refresh_token"].as_str().unwrap());
    assert_eq!(
        (first["expires_in"].as_i64(), orders(&mut vendor, access), orders(&mut vendor, "made-up")),
        (Some(600), 200, 401)
    );
    vendor.now += Duration::seconds(600);
    assert_eq!(orders(&mut vendor, access), 401);
    let (_, second) = refresh(&mut vendor, next, "hush");
    let access = second["access_token"].as_str().unwrap();
    vendor.simulator.fail(FaultMatcher::next("order.list"), Fault::ExpireTokens);
    assert_eq!(orders(&mut vendor, access), 401);
    assert_eq!(
        refresh(&mut vendor, next, "hush"),
        (400, json!({"error": "invalid_grant", "error_description": "The refresh token was used before; connect again."}))
    );
    assert_eq!(refresh(&mut vendor, second["refresh_token"].as_str().unwrap(), "hush").1["error"], "invalid_grant");
}

#[test]
fn a_session_is_opened_by_the_right_words_only() {
    let auth = "auth: {session: {login: {method: POST, path: /login, body: {json: {user: '{{ credential.id }}', password: '{{ credential.secret }}'}}},
        cookies: [SID], lifetime_s: 60}}, credential: {id: {title: i}, secret: {title: s}}";
    let yaml = format!("{}, {}", auth, list("request: {method: GET, path: /orders}, records: orders"));
    let mut vendor = Vendor::small(&yaml, &[SAMPLE]);
    let log_in = |vendor: &mut Vendor, password: &str| {
        vendor.send(post("/api/login", "application/json", &format!(r#"{{"user": "cid", "password": "{password}"}}"#)))
    };
    assert_eq!(log_in(&mut vendor, "guess").status, 401);
    let cookie = http(log_in(&mut vendor, "hush")).header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let orders = |vendor: &mut Vendor, cookie: &str| {
        vendor.send(HttpRequest { headers: vec![("Cookie".into(), cookie.into())], ..get("/api/orders") }).status
    };
    assert_eq!((orders(&mut vendor, &cookie), orders(&mut vendor, "SID=x")), (200, 401));
    vendor.now += Duration::seconds(60);
    assert_eq!(orders(&mut vendor, &cookie), 401);
}

#[test]
fn limits_are_kept_where_asked_and_told_on_every_answer() {
    let limits =
        "limits: [{bucket: account, concurrency: 2, rate: {calls: 2, per_s: 1}, headers: {limit: X-Limit, remaining: X-Left}}],
        errors: [{status: '429', class: limit, reason: r, owner: vendor, fix: f}],
        error: {wait: [{header: X-Reset-Ms, unit: milliseconds}]}";
    let yaml = format!("{limits}, {}", list("request: {method: GET, path: /orders}, records: orders"));
    let mut vendor = Vendor::small(&yaml, &[SAMPLE]);
    assert!((0..10).all(|_| vendor.send(get("/api/orders")).status == 200), "off unless asked");
    vendor.simulator = vendor.simulator.with_limits(true);
    let mut left = Vec::new();
    for _ in 0..3 {
        let answer = http(vendor.send(get("/api/orders")));
        left.push((answer.status, answer.header("x-left").unwrap().to_owned()));
    }
    assert_eq!(left, [(200, "1".into()), (200, "0".into()), (429, "0".into())]);
    let refused = vendor.send(get("/api/orders"));
    assert_eq!(vendor.connector.classify(&http(refused)).retry_after_ms, Some(1_000));
    vendor.now += Duration::seconds(1);
    assert_eq!(vendor.simulator.answer(&get("/api/orders"), 3, vendor.now).status, 429, "three at once");
    assert_eq!(vendor.simulator.answer(&get("/api/orders"), 2, vendor.now).status, 200);
    assert_eq!(vendor.simulator.stats().in_flight_max, 3);
}

#[test]
fn webhooks_are_subscribed_listed_renewed_and_lost() {
    let yaml = "credential: {key: {title: k}}, webhooks: {signature: {header: [X-Sign], prefix: 'sha256=', encoding: hex, secrets: [key]}, topic: {path: type}, dedupe: {path: event_id},
        topics: {order.new: {kind: order, id: data.id, fetch: {request: {method: GET, path: '/orders/{{ source_id }}'}}}},
        subscriptions: {subscribe: {request: {method: POST, path: /hooks, body: {json: {url: '{{ hook_url }}', event: '{{ topic }}'}}}, id: {path: hook.id}},
          list: {read: {request: {method: GET, path: /hooks}, records: hooks}, id: id, topic: event, url: url, active: \"status == 'on'\"},
          renew: {method: PUT, path: '/hooks/{{ subscription_id }}'}, delete: {method: DELETE, path: '/hooks/{{ subscription_id }}'}, lifetime_s: 3600}}";
    let mut vendor = Vendor::small(yaml, &[SAMPLE]);
    let rules = vendor.connector.manifest.webhooks.as_ref().unwrap().subscriptions.as_ref().unwrap();
    let vars = CallVars { hook_url: Some("http://127.0.0.1:1/h"), topic: Some("order.new"), ..CallVars::default() };
    let id = body(&vendor.call(&rules.subscribe.request, &vars))["hook"]["id"].as_str().unwrap().to_owned();
    let listed = body(&vendor.send(get("/api/hooks")));
    assert_eq!(listed, json!({"hooks": [{"id": id, "event": "order.new", "url": "http://127.0.0.1:1/h", "status": "on"}]}));
    let record = vendor.simulator.stored(ORDER)[0].id.clone();
    let hooks = vendor.simulator.deliveries("order.new", &record, vendor.now);
    let info = vendor.connector.verify_hook(&hooks[0].headers, &hooks[0].body, &vendor.credential, &vendor.settings).unwrap();
    assert_eq!(
        (hooks.len(), hooks[0].url.as_str(), info.source_id.as_deref(), info.fetch),
        (1, "http://127.0.0.1:1/h", Some(record.as_str()), true)
    );
    let one = CallVars { subscription_id: Some(&id), ..CallVars::default() };
    vendor.now += Duration::seconds(3_000);
    assert_eq!(vendor.call(rules.renew.as_ref().unwrap(), &one).status, 200);
    vendor.now += Duration::seconds(3_000);
    assert_eq!(vendor.simulator.subscriptions(vendor.now).len(), 1, "renewed");
    vendor.now += Duration::seconds(3_600);
    assert_eq!(vendor.simulator.deliveries("order.new", &record, vendor.now), []);
    assert_eq!(vendor.call(rules.delete.as_ref().unwrap(), &one).status, 404, "it ended by itself");
    vendor.call(&rules.subscribe.request, &vars);
    vendor.simulator.fail(FaultMatcher::default(), Fault::DeleteSubscriptions);
    assert_eq!(body(&vendor.send(get("/api/hooks"))), json!({"hooks": []}));
}

#[test]
fn another_process_drives_it_by_control_requests() {
    let mut shop = Vendor::named("shopify");
    let control = |shop: &mut Vendor, method: Method, path: &str, order: &str| {
        let request = HttpRequest { method, ..post(&format!("/_control/{path}"), "application/json", order) };
        let answer = shop.send(request);
        (answer.status, body(&answer))
    };
    let (_, put) = control(&mut shop, Method::Post, "records", r#"{"kind": "order", "value": {"id": 77, "name": "own"}}"#);
    assert_eq!(put["id"], "77");
    assert_eq!(control(&mut shop, Method::Post, "records", r#"{"kind": "order", "count": 4}"#).1["added"], 4);
    assert_eq!(control(&mut shop, Method::Get, "records?kind=order", "").1.as_array().unwrap().len(), 30);
    assert_eq!(control(&mut shop, Method::Post, "fail", r#"{"method": "GET", "count": 2, "fault": {"status": 503}}"#).0, 200);
    assert_eq!(
        (shop.send(get("/orders.json")).status, shop.send(get("/orders.json")).status, shop.send(get("/orders.json")).status),
        (503, 503, 401)
    );
    assert_eq!(control(&mut shop, Method::Get, "stats", "").1["requests"]["unknown"], 3);
    let emit = r#"{"topic": "orders/paid", "id": "77", "url": "http://127.0.0.1:1/h"}"#;
    let (_, hooks) = control(&mut shop, Method::Post, "emit", emit);
    assert_eq!((hooks[0]["url"].as_str(), shop.simulator.take_outgoing().len()), (Some("http://127.0.0.1:1/h"), 1));
    assert_eq!(control(&mut shop, Method::Post, "fail", r#"{"fault": "explode"}"#).0, 400);
    assert_eq!(control(&mut shop, Method::Post, "reset", "").0, 200);
    assert_eq!(shop.simulator.stored(ORDER).len(), 25);
    assert_eq!(control(&mut shop, Method::Get, "nothing", "").0, 404);
}
