//! Webhooks, and control by another process.

use chrono::Duration;
use connectors::simulator::{Fault, FaultMatcher, HookEvent, OutgoingHook};
use connectors::{CallVars, HookCall, HookInfo};
use domain::http::{HttpRequest, Method};
use domain::secret::SecretFields;
use domain::value::{Limits, Value};
use serde_json::json;

use crate::vendor::*;

/// What a delivery says, once its signature was verified.
fn believed(vendor: &Vendor, hook: &OutgoingHook) -> HookInfo {
    let call = HookCall { method: "POST", url: &hook.url, headers: &hook.headers, body: &hook.body, now: vendor.now };
    vendor.connector.verify_hook(&call, &vendor.credential, &vendor.settings).unwrap().remove(0)
}

#[test]
fn a_webhook_is_signed_so_that_it_is_believed() {
    for (name, topic) in [("shopify", "orders/create"), ("medusa", "order.placed")] {
        let mut shop = Vendor::named(name);
        let id = shop.simulator.stored(ORDER)[3].id.clone();
        let hook = shop.simulator.emit(topic, &id, "http://127.0.0.1:1/hooks", now()).unwrap();
        let info = believed(&shop, &hook);
        assert_eq!((info.topic.as_str(), info.source_id.as_deref(), info.kind), (topic, Some(id.as_str()), Some(ORDER)));
        let second = shop.simulator.emit(topic, &id, "http://127.0.0.1:1/hooks", now()).unwrap();
        let again = believed(&shop, &second);
        assert_ne!(info.dedupe_key, again.dedupe_key);
        assert_eq!(shop.simulator.emit(topic, "none", "http://127.0.0.1:1/hooks", now()), None);
        if info.fetch {
            let mut getter = shop.connector.fetcher(topic, &id).unwrap();
            let request = shop.context(keys("k"), |_, context| getter.next(context).unwrap().unwrap());
            let answer = http(shop.send(request));
            let bytes = getter.take(&answer).unwrap().unwrap();
            let record = Value::parse(&bytes, &Limits::DEFAULT).unwrap();
            assert_eq!(record.at("id").unwrap().to_text().unwrap(), id);
        }
    }
}

#[test]
fn a_document_of_ones_own_goes_out_as_it_is_and_is_believed() {
    let shop = Vendor::named("shopify");
    let bytes = "{ \"id\":   12345678901234567890,\n\"total\": 1.10 }";
    let event = |topic| HookEvent { topic, delivery: "d-1", url: "http://127.0.0.1:1/hooks", body: bytes.into() };
    let send = |topic| shop.connector.hook_delivery(event(topic), &shop.settings, &shop.credential, now()).unwrap();
    let (hook, again) = (send("orders/create"), send("orders/create"));
    assert_eq!((hook.body.as_ref(), hook.url.as_str()), (bytes.as_bytes(), "http://127.0.0.1:1/hooks"));
    let info = believed(&shop, &hook);
    assert_eq!((info.topic.as_str(), info.source_id.as_deref()), ("orders/create", Some("12345678901234567890")));
    assert_eq!(info.dedupe_key, believed(&shop, &again).dedupe_key, "a retry is the same delivery");
    assert_eq!(believed(&shop, &send("app/uninstalled")).kind, None, "a topic that we have no use for is sent as well");
    let unsigned = shop.connector.hook_delivery(event("orders/create"), &shop.settings, &SecretFields::default(), now());
    assert_eq!(unsigned, None, "nothing is sent that nobody could believe");
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
    let info = believed(&vendor, &hooks[0]);
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
