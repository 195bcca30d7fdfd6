//! Every connector of the catalog, as its simulator serves it.

use std::collections::BTreeSet;

use chrono::Duration;
use connectors::simulator::{Fault, FaultMatcher, Simulator, Writes};
use connectors::{CallVars, Catalog, Change, Position, Proof};
use domain::fault::FaultClass;
use domain::mapping::Vars;
use domain::record::RecordKind;
use domain::value::Value;
use serde_json::{Value as Json, json};

use crate::vendor::*;

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
            let Some(plan) = connector
                .read_plan(kind)
                .filter(|_| has_parts.is_none_or(|read| read.include.is_empty() && read.parent.is_none()))
            else {
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

#[test]
fn a_doubled_upsert_is_one_record_and_the_proof_finds_it() {
    let mut erp = netsuite();
    assert_eq!(erp.proof("order 1/a", 1), Proof::Absent);
    let first = erp.write("order 1/a", sales_order("order 1/a"));
    assert_eq!(first.status, 204, "{}", text(&first));
    let receipt = erp.connector.read_change_answer(ORDER, Change::Write, &http(first), "").unwrap();
    assert_eq!(erp.proof("order 1/a", 1), Proof::Absent, "the vendor has not settled yet");
    erp.now += Duration::seconds(2);
    let again = erp.write("order 1/a", sales_order("order 1/a"));
    assert_eq!(erp.connector.read_change_answer(ORDER, Change::Write, &http(again), "").unwrap().id, receipt.id);
    let Proof::Found { receipt: found, current } = erp.proof("order 1/a", 1) else { panic!("it was written") };
    assert_eq!((found.id.as_str(), current), (receipt.id.as_str(), true));
    assert!(matches!(erp.proof("order 1/a", 2), Proof::Found { current: false, .. }));
    assert_eq!(erp.simulator.writes(ORDER, "order 1/a"), Writes { records: 1, creates: 1, updates: 1 });
    let stored = erp.simulator.stored(ORDER);
    let written = stored.iter().find(|record| record.external_key.as_deref() == Some("order 1/a")).unwrap();
    assert_eq!(written.value.at("total").unwrap().to_json(), "26");
}

#[test]
fn what_the_vendor_checks_is_refused_in_its_own_words() {
    let mut erp = netsuite();
    let change = |change: fn(&mut Json)| {
        let mut order = sales_order("k");
        change(&mut order);
        order
    };
    let cases: [(Json, &str, Option<&str>); 12] = [
        (change(|order| order["colour"] = json!("red")), "INVALID_CONTENT", Some("colour")),
        (change(|order| order["externalId"] = json!("other")), "INVALID_CONTENT", Some("externalId")),
        (change(|order| order["entity"] = json!({})), "USER_ERROR", Some("entity.id")),
        (change(|order| order["currency"]["id"] = json!("USD")), "USER_ERROR", Some("currency.id")),
        (change(|order| order["orderStatus"] = json!({"id": "AB"})), "INVALID_CONTENT", Some("orderStatus")),
        (change(|order| order["memo"] = json!("m".repeat(1_000))), "INVALID_CONTENT", Some("memo")),
        (change(|order| order["memo"] = json!(7)), "INVALID_CONTENT", Some("memo")),
        (change(|order| order["shippingAddress"] = json!({"street": "x"})), "INVALID_CONTENT", Some("street")),
        (change(|order| order["item"]["items"] = json!([])), "USER_ERROR", Some("item")),
        (change(|order| order["item"]["items"][0]["sku"] = json!("x")), "INVALID_CONTENT", Some("item.items[0].sku")),
        (change(|order| order["item"]["items"][0]["item"]["id"] = json!("HAT")), "NONEXISTENT_ID", None),
        (change(|order| order["item"]["items"][0]["quantity"] = json!("2")), "INVALID_CONTENT", Some("item.items[0].quantity")),
    ];
    for (order, code, path) in cases {
        let answer = erp.write("k", order);
        let fault = erp.connector.read_change_answer(ORDER, Change::Write, &http(answer.clone()), "").unwrap_err();
        assert_eq!(fault.code, code, "{}", text(&answer));
        assert!(path.is_none_or(|path| fault.path.as_deref().unwrap().ends_with(path)), "{fault:?}");
    }
    assert_eq!(erp.write("k", change(|order| order["memo"] = json!("m".repeat(999)))).status, 204);
    let stats = erp.simulator.stats();
    assert_eq!((stats.creates, stats.refused["USER_ERROR"], stats.requests["order.write"]), (1, 3, 13));
}

#[test]
fn what_the_vendor_works_out_itself_is_kept_and_what_was_sent_stays() {
    let mut erp = netsuite();
    let mut order = sales_order("k");
    let line = |line: Json| json!({"item": {"id": "7"}, "quantity": 3, "rate": 1.25, "amount": line});
    // The amount of the first is worked out, that of the second is what was said.
    order["item"]["items"] = json!([line(Json::Null), line(json!(2.5))]);
    assert_eq!(erp.write("k", order).status, 204);
    let stored = erp.simulator.stored(ORDER).pop().unwrap().value;
    let amount = |at: &str| stored.at(at).unwrap().to_json();
    let lines: Vec<String> =
        stored.at("item.items").unwrap().as_list().unwrap().iter().map(|l| l.at("amount").unwrap().to_json()).collect();
    assert_eq!((lines, amount("total")), (vec!["3.75".to_owned(), "2.5".to_owned()], "11.25".to_owned()));
}

#[test]
fn a_refusal_without_a_code_of_its_own_has_the_vendors_usual_one() {
    let mut erp = netsuite();
    for (fault, code, class) in [
        (Fault::Status(400), "INVALID_CONTENT", FaultClass::Validation),
        (Fault::Status(429), "CONCURRENCY_LIMIT_EXCEEDED", FaultClass::Limit),
        (Fault::Class(FaultClass::Authentication), "INVALID_LOGIN_ATTEMPT", FaultClass::Authentication),
        (Fault::Class(FaultClass::Limit), "CONCURRENCY_LIMIT_EXCEEDED", FaultClass::Limit),
    ] {
        erp.simulator.fail(FaultMatcher::next("order.write"), fault);
        let answer = erp.write("k", sales_order("k"));
        let fault = erp.connector.classify(&http(answer));
        assert_eq!((fault.code.as_str(), fault.class), (code, class));
    }
}

#[test]
fn every_declared_request_is_known_for_what_it_is() {
    let mut known = 0;
    for connector in Catalog::embedded().iter() {
        let mut vendor = Vendor::named(connector.name());
        let payload = Value::from(&json!({"order_id": "7", "id": "7", "name": "n", "record": {"name": "n"}}));
        let payloads = Value::List(vec![payload.clone()]);
        let vars = CallVars {
            since: Some("2026-01-01T00:00:00Z"),
            source_id: Some("7"),
            external_id: Some("7"),
            receipt_version: Some("0"),
            found: None,
            parent_id: Some("7"),
            hook_url: Some("https://hooks.example/h"),
            topic: Some("orders"),
            subscription_id: Some("7"),
            page: Some("1"),
            key_id: Some("7"),
            key_label: Some("crossdock-7"),
            payload: Some(&payload),
            payloads: Some(&payloads),
        };
        let mut rules: Vec<(String, &connectors::manifest::Request)> = Vec::new();
        for (kind, resource) in &connector.manifest.resources {
            rules.extend(resource.read.as_ref().map(|read| (format!("{kind}.list"), &read.request)));
            rules.extend(resource.write.as_ref().map(|write| (format!("{kind}.write"), &write.request)));
            rules.extend(resource.update.as_ref().map(|update| (format!("{kind}.update"), &update.request)));
            rules.extend(resource.batch.as_ref().map(|batch| (format!("{kind}.batch"), &batch.request)));
            rules.extend(resource.actions.iter().map(|(name, action)| (format!("{kind}.action.{name}"), &action.request)));
        }
        for (name, rule) in rules {
            let Ok(draft) = vendor.context(keys("k"), |c, context| c.draft(rule, &vars, context)) else { continue };
            vendor.simulator.reset();
            vendor.send(draft.unsigned());
            let requests = &vendor.simulator.stats().requests;
            assert!(!requests.contains_key("unknown"), "{} {name}: {rule:?}", connector.name());
            // An action on one kind may be a write of another: a shipment is made of its order.
            let is_it = requests.contains_key(&name);
            assert!(
                is_it || requests.keys().any(|other| other.contains("action") || other.contains("write")),
                "{} {name}: {requests:?}",
                connector.name()
            );
            known += usize::from(is_it);
        }
    }
    assert!(known >= 100, "only {known} requests");
}

#[test]
fn what_is_kept_apart_is_read_to_its_end_however_long_it_is() {
    // More than the most that one answer of any of them has.
    const LINES: usize = 2_500;
    let mut read = BTreeSet::new();
    for connector in Catalog::embedded().iter() {
        for (kind, resource) in &connector.manifest.resources {
            let includes = resource.read.iter().flat_map(|read| &read.include);
            // Where no list is named it is one thing, such as a file.
            for include in includes.filter(|include| include.read.records.is_some()) {
                let mut vendor = Vendor::named(connector.name());
                vendor.simulator = vendor.simulator.with_records(0);
                let (_, sample) = connector.samples(*kind).next().unwrap();
                let mut record: Json = serde_json::from_str(sample).unwrap();
                let line = record[&include.into][0].as_object().cloned().unwrap_or_default();
                let line = |n: usize| Json::Object(line.clone().into_iter().chain([("id".to_owned(), json!(n))]).collect());
                record[&include.into] = (1..=LINES).map(line).collect();
                vendor.simulator.put_record(*kind, Value::from(&record), now());

                let mut reader = connector.reader(*kind, &Position::default()).unwrap();
                let mut records = Vec::new();
                while let Some(request) = vendor.context(keys("k"), |_, context| reader.next(context).unwrap()) {
                    let answer = http(vendor.send(request));
                    records.extend(reader.take(&answer, now()).unwrap());
                }
                let name = format!("{} {kind} {}", connector.name(), include.into);
                assert_eq!(records.len(), 1, "{name}");
                // A simulator gives all in one answer where no pages are declared, which no vendor does.
                let calls = vendor.simulator.stats().requests[&format!("{kind}.include.{}", include.into)];
                assert!(calls > 1, "{name}: declare its pages");
                let record: Json = serde_json::from_slice(&records[0].bytes).unwrap();
                let ids: BTreeSet<u64> =
                    record[&include.into].as_array().unwrap().iter().map(|line| line["id"].as_u64().unwrap()).collect();
                assert_eq!((ids.len(), record[&include.into].as_array().unwrap().len()), (LINES, LINES), "{name}");
                read.insert(name);
            }
        }
    }
    let expected = [
        "netsuite invoice lines",
        "netsuite order lines",
        "netsuite shipment lines",
        "netsuite shipment packages",
        "odoo order order_line",
        "stripe invoice all_lines",
    ];
    assert_eq!(read, expected.map(str::to_owned).into());
}
