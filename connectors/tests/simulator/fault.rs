//! What goes wrong on purpose, and limits.

use std::collections::BTreeSet;

use chrono::Duration;
use connectors::Change;
use connectors::simulator::{Fault, FaultMatcher, SimAnswer};
use domain::fault::FaultClass;
use domain::http::Delivery;

use crate::vendor::*;

#[test]
fn what_goes_wrong_goes_wrong_on_purpose_and_in_order() {
    let mut erp = netsuite();
    let order = |erp: &mut Vendor, fault: Fault| erp.simulator.fail(FaultMatcher::next("order.write"), fault);
    order(&mut erp, Fault::DropBeforeCommit);
    order(&mut erp, Fault::DropAfterCommit);
    order(&mut erp, Fault::HangBeforeCommit);
    order(&mut erp, Fault::HangAfterCommit);
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
    for updates in [0, 1] {
        let (answer, _) = write(&mut erp);
        assert_eq!(answer.delivery, Delivery::Drop);
        assert!(answer.delay_ms >= 60_000, "no caller waits so long");
        assert_eq!(erp.simulator.writes(ORDER, "k").updates, updates, "only the second one has committed");
    }
    let (answer, _) = write(&mut erp);
    assert_eq!(erp.connector.read_change_answer(ORDER, Change::Write, &http(answer), "").unwrap_err().class, FaultClass::Unknown);
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
fn a_request_takes_as_long_as_was_asked_for() {
    let mut erp = netsuite();
    erp.simulator = erp.simulator.with_latency_ms(5);
    erp.simulator.fail(FaultMatcher::next("order.write"), Fault::DelayMs(700));
    let times = [erp.write("k", sales_order("k")), erp.write("k", sales_order("k"))].map(|answer| answer.delay_ms);
    assert_eq!(times, [705, 5]);
    assert_eq!(erp.send(get("/_control/stats")).delay_ms, 0, "control is no part of the vendor");
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
    assert_eq!(vendor.connector.classify(&http(refused)).retry_after_ms, Some(500), "when one comes back");
    vendor.now += Duration::seconds(1);
    assert_eq!(vendor.simulator.answer(&get("/api/orders"), 3, vendor.now).status, 429, "three at once");
    assert_eq!(vendor.simulator.answer(&get("/api/orders"), 2, vendor.now).status, 200);
    assert_eq!(vendor.simulator.stats().in_flight_max, 3);
}

#[test]
fn an_object_store_says_in_xml_what_is_wrong_and_is_understood() {
    let store = Vendor::named("s3");
    for (class, code) in [(FaultClass::Limit, "SlowDown"), (FaultClass::Authentication, "InvalidAccessKeyId")] {
        let answer = store.simulator.error_answer(class, None, store.now);
        assert!(answer.body.starts_with(b"<?xml"), "{}", text(&answer));
        let fault = store.connector.classify(&http(answer));
        assert_eq!((fault.class, fault.code.as_str()), (class, code));
    }
}
