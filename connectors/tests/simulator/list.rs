//! Lists: pages, times, formats, and what is kept apart.

use std::collections::BTreeSet;

use connectors::CallVars;
use serde_json::json;

use crate::vendor::*;

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
fn what_two_kinds_ask_for_in_the_same_words_is_of_the_one_that_has_it() {
    let kind = |name: &str| {
        format!("{name}: {{id: id, read: {{request: {{method: GET, path: /{name}s}}, records: list,
            include: [{{into: lines, read: {{request: {{method: GET, path: '/lines', query: {{of: '{{{{ source_id }}}}'}}}}, records: lines}}}}]}}}}")
    };
    let mut vendor = Vendor::small(&format!("resources: {{{}, {}}}", kind("invoice"), kind("order")), &[SAMPLE]);
    let id = vendor.simulator.stored(ORDER)[0].id.clone();
    assert_eq!(body(&vendor.send(get(&format!("/api/lines?of={id}"))))["lines"].as_array().unwrap().len(), 2);
    assert_eq!(vendor.simulator.stats().requests["order.include.lines"], 1);
    assert_eq!(vendor.send(get("/api/lines?of=0")).status, 404);
}

#[test]
fn parents_pass_the_filter_that_they_are_read_by() {
    let yaml = list(
        "request: {method: GET, path: '/shops/{{ parent.id }}/orders'}, records: orders,
         parent: {read: {request: {method: GET, path: /shops}, records: shops, filter: \"open && state != 'closed'\"}, id: id}",
    );
    let mut vendor = Vendor::small(&yaml, &[SAMPLE]);
    let shops = body(&vendor.send(get("/api/shops")));
    let shops = shops["shops"].as_array().unwrap();
    assert!(!shops.is_empty() && shops.iter().all(|shop| shop["open"] == true && shop["state"] != "closed"), "{shops:?}");
}
