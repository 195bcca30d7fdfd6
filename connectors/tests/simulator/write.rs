//! Writes of every kind, and what finds them again.

use connectors::simulator::{Fault, FaultMatcher, Writes};
use connectors::{CallVars, Change, Proof};
use domain::value::Value;
use serde_json::{Value as Json, json};

use crate::vendor::*;

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
            .read_change_answer(ORDER, Change::Write, &http(answer.clone()), "")
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
fn half_a_batch_is_done_left_out_or_refused_as_a_whole() {
    let yaml = "resources: {order: {id: id, batch: {request: {method: POST, path: /batch, body: {json: {items: '{{ payloads }}'}}}, items_max: 3,
        results: results, item_key: sku, result_key: sku, receipt: {path: id}, refused: \"status != 'SUCCESS'\"}}},
        error: {code: [code], message: [message]}";
    let rules = "{kinds: {order: {checks: [{when: quantity < 0, code: NEGATIVE, message: It is negative.}]}}}";
    let mut vendor = Vendor::small(yaml, &[]);
    vendor.simulator = vendor.simulator.with_rules(rules).unwrap().with_records(0);
    let mut send = |fault: Fault, items: [(&str, i64); 2]| {
        vendor.simulator.fail(FaultMatcher::next("order.batch"), fault);
        let payloads = Value::from(&json!(items.map(|(sku, quantity)| json!({"sku": sku, "quantity": quantity}))));
        let rule = vendor.rule().batch.as_ref().unwrap().request.clone();
        let answer = vendor.call(&rule, &CallVars { payloads: Some(&payloads), ..CallVars::default() });
        let creates = items.map(|(sku, _)| vendor.simulator.writes(ORDER, sku).creates);
        (answer, creates, vendor.simulator.calls().last().unwrap().items.clone())
    };
    let (answer, creates, keys) = send(Fault::DropAfterItems(1), [("a", 1), ("b", 1)]);
    assert_eq!((answer.delivery, creates), (domain::http::Delivery::Drop, [1, 0]));
    assert_eq!(keys, ["a", "b"], "what was asked for is told, whatever came of it");
    let (answer, creates, _) = send(Fault::OmitItem(0), [("c", 1), ("d", 1)]);
    let results = body(&answer)["results"].clone();
    assert_eq!((results.as_array().unwrap().len(), &results[0]["sku"], creates), (1, &json!("d"), [1, 1]));
    let (answer, creates, _) = send(Fault::AllOrNothing, [("e", 1), ("f", -1)]);
    assert_eq!((answer.status, body(&answer)["code"].clone(), creates), (400, json!("NEGATIVE"), [0, 0]));
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
fn a_proof_may_look_for_what_was_written_and_show_it_in_a_header() {
    let yaml = "resources: {order: {id: id, write: {request: {method: PUT, path: '/objects/{{ external_key }}'}, receipt: {header: ETag}},
        proof: {request: {method: GET, path: /query, query: {q: \"number = '{{ payload.number | backslash }}' and day = '{{ payload.day }}'\"}},
          receipt: {header: ETag}, found: rows, absent_is_empty: true, settle_ms: 0}}}";
    let mut vendor = Vendor::small(yaml, &[]);
    let payload = |day: &str| json!({"number": "O'Neil 1", "day": day, "total": 1.5});
    let prove = |vendor: &mut Vendor, day: &str| {
        let payload = Value::from(&payload(day));
        let request = vendor.context(keys("k"), |c, context| c.proof_request(ORDER, Some(&payload), context).unwrap().unwrap());
        http(vendor.send(request))
    };
    assert_eq!(prove(&mut vendor, "2026-11-24").body, "{}", "an empty list is left out");
    let written = http(vendor.write("k", payload("2026-11-24")));
    let found = prove(&mut vendor, "2026-11-24");
    assert_eq!(found.header("etag"), written.header("etag"));
    assert!(found.header("etag").is_some());
    assert_eq!(prove(&mut vendor, "2026-11-25").body, "{}", "another day's");
}
