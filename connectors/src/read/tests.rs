use std::collections::{BTreeMap, HashMap};

use chrono::{FixedOffset, TimeDelta};
use domain::secret::{SecretFields, SecretString};

use super::*;
use crate::{Catalog, TokenSet};

/// A vendor with one list of orders. `read` is YAML in one line.
fn connector(read: &str) -> Connector {
    let yaml = format!(
        "{{format: 1, name: x, title: X, category: erp, base_url: 'https://x.example', error: {{code: [code], message: [message], inside: [errors]}},
          resources: {{order: {{id: id, updated_at: at, read: {read}}}}}}}"
    );
    Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml)])).unwrap_or_else(|errors| panic!("{errors}"))
}

fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-24T09:30:00Z").unwrap().to_utc()
}

/// Reads to the end. `serve` answers an address and a body with a status, headers and a body.
struct Outcome {
    ids: Vec<String>,
    asked: Vec<String>,
    fault: Option<Fault>,
    position: Option<Position>,
    bytes: Vec<String>,
}

type Served = (u16, Vec<(&'static str, String)>, String);

fn read_from(connector: &Connector, position: &Position, serve: impl Fn(&str, &str) -> Served) -> Outcome {
    read_at(connector, position, |_| now(), serve)
}

/// `clock` says when an answer comes, by how many came before it.
fn read_at(
    connector: &Connector,
    position: &Position,
    clock: impl Fn(i64) -> DateTime<Utc>,
    serve: impl Fn(&str, &str) -> Served,
) -> Outcome {
    let (settings, credential) = (serde_json::json!({}), SecretFields::default());
    let context = RequestContext::new(&settings, &credential, now(), "");
    read_with(connector.reader(RecordKind::Order, position).unwrap(), &context, clock, serve)
}

fn read_with(
    mut reader: Reader<'_>,
    context: &RequestContext<'_>,
    clock: impl Fn(i64) -> DateTime<Utc>,
    serve: impl Fn(&str, &str) -> Served,
) -> Outcome {
    let mut outcome = Outcome { ids: vec![], asked: vec![], fault: None, position: None, bytes: vec![] };
    while let Some(request) = reader.next(context).unwrap() {
        assert!(outcome.asked.len() < 5_000, "it never ends");
        let at = clock(outcome.asked.len() as i64);
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let (status, headers, text) = serve(&request.url, &body);
        outcome.asked.push(format!("{}{body}", request.url.trim_start_matches("https://x.example")));
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        match reader.take(&HttpAnswer { status, headers, body: text.into() }, at) {
            Ok(records) => {
                for record in records {
                    outcome.ids.push(record.id.unwrap_or_default());
                    outcome.bytes.push(String::from_utf8(record.bytes.to_vec()).unwrap());
                }
            }
            Err(fault) => {
                outcome.fault = Some(fault);
                break;
            }
        }
    }
    outcome.position = reader.position();
    outcome
}

fn read_all(connector: &Connector, serve: impl Fn(&str, &str) -> Served) -> Outcome {
    read_from(connector, &Position::default(), serve)
}

fn parameter(url: &str, name: &str) -> Option<String> {
    url::Url::parse(url).unwrap().query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Records `from..to` of 1..=7.
fn items(from: usize, count: usize) -> String {
    (from..(from + count).min(8)).map(|id| format!(r#"{{"id":{id}}}"#)).collect::<Vec<_>>().join(",")
}

fn ok(body: String) -> Served {
    (200, vec![], body)
}

const SEVEN: [&str; 7] = ["1", "2", "3", "4", "5", "6", "7"];

#[test]
fn every_kind_of_page_is_read_to_its_end_and_no_further() {
    let number = |url: &str, name: &str, or: usize| parameter(url, name).map_or(or, |text| text.parse().unwrap());
    let page_number = |url: &str| {
        let (page, size) = (number(url, "page", 1), number(url, "limit", 3));
        items((page - 1) * size + 1, size)
    };
    let of = |read: &str, serve: &dyn Fn(&str, &str) -> Served| read_all(&connector(read), serve);

    let read = "{request: {method: GET, path: /o}, records: items, page: {number: {slot: {query: page}, size: {slot: {query: limit}, value: 3}}}}";
    let outcome = of(read, &|url, _| ok(format!(r#"{{"items":[{}]}}"#, page_number(url))));
    assert_eq!((outcome.ids.as_slice(), outcome.asked.len()), (SEVEN.map(str::to_owned).as_slice(), 3));
    assert_eq!(outcome.asked[2], "/o?limit=3&page=3");

    let read = "{request: {method: GET, path: /o}, page: {number: {slot: {query: page}, pages: {header: [X-Pages]}}}}";
    let outcome = of(read, &|url, _| (200, vec![("x-pages", "3".into())], format!("[{}]", page_number(url))));
    assert_eq!((outcome.ids.len(), outcome.asked.len()), (7, 3));

    // The last page is full: one more is asked for, and its 204 is an empty page.
    let read =
        "{request: {method: GET, path: /o}, page: {number: {slot: {query: page}, size: {slot: {query: limit}, value: 7}}}}";
    let outcome = of(read, &|url, _| {
        if number(url, "page", 1) > 1 { (204, vec![], String::new()) } else { ok(format!("[{}]", items(1, 7))) }
    });
    assert_eq!((outcome.ids.len(), outcome.asked.len()), (7, 2));

    let read = "{request: {method: GET, path: /o}, records: items, page: {offset: {slot: {query: skip}, total: {path: total}, size: {value: 4}}}}";
    let outcome = of(read, &|url, _| ok(format!(r#"{{"items":[{}],"total":7}}"#, items(number(url, "skip", 0) + 1, 4))));
    assert_eq!((outcome.ids.len(), outcome.asked.as_slice()), (7, ["/o?skip=0".to_owned(), "/o?skip=4".to_owned()].as_slice()));

    let read = "{request: {method: GET, path: /o}, records: d, page: {cursor: {slot: {query: starting_after}, last_record: id, more: {path: has_more}}}}";
    let outcome = of(read, &|url, _| {
        let after = number(url, "starting_after", 0);
        ok(format!(r#"{{"d":[{}],"has_more":{}}}"#, items(after + 1, 3), after + 3 < 7))
    });
    assert_eq!((outcome.ids.len(), outcome.asked.last().unwrap().as_str()), (7, "/o?starting_after=6"));

    let read = "{request: {method: GET, path: /o, query: {status: any}}, page: {link: {size: {slot: {query: limit}, value: 3}}}}";
    let outcome = of(read, &|url, _| {
        let page = number(url, "p", 1);
        let next = format!("<https://x.example/o?p={}&limit=3>; rel=\"next\"", page + 1);
        (200, if page < 3 { vec![("link", next)] } else { vec![] }, format!("[{}]", items((page - 1) * 3 + 1, 3)))
    });
    assert_eq!(
        (outcome.ids.len(), outcome.asked.as_slice()),
        (7, ["/o?status=any&limit=3", "/o?p=2&limit=3", "/o?p=3&limit=3"].map(str::to_owned).as_slice())
    );

    // An address that is only a query, as one vendor gives it.
    let read = "{request: {method: GET, path: /o, query: {a: b}}, records: items, page: {next_url: {next: {path: meta.next}}}}";
    let outcome = of(read, &|url, _| {
        let cursor = number(url, "c", 1);
        let next = if cursor < 7 { format!(r#""?c={}""#, cursor + 3) } else { "null".into() };
        ok(format!(r#"{{"meta":{{"next":{next}}},"items":[{}]}}"#, items(cursor, 3)))
    });
    assert_eq!((outcome.ids.len(), outcome.asked.last().unwrap().as_str()), (7, "/o?c=7"));

    let read = "{request: {method: POST, path: /g, body: {graphql: {query: 'query($n: Int, $after: String) {o}', variables: {n: 3}}}}, records: data.o.edges.node,
        page: {cursor: {slot: {body: variables.after}, next: {path: data.o.pageInfo.endCursor}, more: {path: data.o.pageInfo.hasNextPage}, size: {slot: {body: variables.n}, value: 4}}}}";
    let outcome = of(read, &|_, body| {
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        let (after, n) = (
            body["variables"]["after"].as_str().map_or(0, |c| c.parse().unwrap()),
            body["variables"]["n"].as_u64().unwrap() as usize,
        );
        let edges = (after + 1..(after + n + 1).min(8))
            .map(|id| format!(r#"{{"node":{{"id":"g/{id}"}}}}"#))
            .collect::<Vec<_>>()
            .join(",");
        ok(format!(
            r#"{{"data":{{"o":{{"edges":[{edges}],"pageInfo":{{"endCursor":"{}","hasNextPage":{}}}}}}}}}"#,
            after + n,
            after + n < 7
        ))
    });
    assert_eq!((outcome.ids.len(), outcome.ids[6].as_str(), outcome.asked.len()), (7, "g/7", 2));
}

#[test]
fn a_page_may_stand_within_a_text() {
    let read = "{request: {method: GET, path: /q, query: {query: \"select * from Order startposition {{ page }} maxresults 3\"}}, records: Order,
        absent_is_empty: true, page: {offset: {slot: template, first: 1, size: {value: 3}}}}";
    let outcome = read_all(&connector(read), |url, _| {
        let query = parameter(url, "query").unwrap();
        let from: usize = query.split(' ').nth(5).unwrap().parse().unwrap();
        ok(if from > 7 { "{}".into() } else { format!(r#"{{"Order":[{}]}}"#, items(from, 3)) })
    });
    assert_eq!((outcome.ids.len(), outcome.asked.len()), (7, 3));
}

#[test]
fn a_backfill_goes_on_after_the_thousand_records_that_one_answer_of_quickbooks_has() {
    let connector = Catalog::embedded().get("quickbooks-online").unwrap();
    let (settings, credential) = (serde_json::json!({"realm_id": "9341453921234567"}), SecretFields::default());
    let token = TokenSet {
        access_token: SecretString::from("a"),
        refresh_token: None,
        expires_at: None,
        refresh_expires_at: None,
        cookies: vec![],
        scope: None,
        settings: BTreeMap::new(),
    };
    let context = RequestContext { token: Some(&token), ..RequestContext::new(&settings, &credential, now(), "") };
    // An import: 1,500 in one second, which no later moment leads past. Then one each second.
    let changed = |n: i64| now() - TimeDelta::hours(1) + TimeDelta::seconds((n - 1_500).max(0));
    let zone = FixedOffset::west_opt(8 * 3_600).unwrap();
    for (kind, entity) in [
        (RecordKind::Order, "SalesReceipt"),
        (RecordKind::Invoice, "Invoice"),
        (RecordKind::Customer, "Customer"),
        (RecordKind::Item, "Item"),
        (RecordKind::InventoryLevel, "Item"),
    ] {
        let reader = connector.reader(kind, &Position::default()).unwrap();
        let outcome = read_with(
            reader,
            &context,
            |_| now(),
            |url, _| {
                let query = parameter(url, "query").unwrap();
                let since = DateTime::parse_from_rfc3339(query.rsplit('\'').nth(1).unwrap()).unwrap();
                let (_, page) = query.split_once(" orderby MetaData.LastUpdatedTime startposition ").unwrap();
                let (from, most) = page.split_once(" maxresults ").unwrap();
                let (from, most): (usize, usize) = (from.parse().unwrap(), most.parse().unwrap());
                assert!(from >= 1 && most <= 1_000, "{query}");
                let record = |n: i64| {
                    let at = changed(n).with_timezone(&zone).to_rfc3339();
                    format!(r#"{{"Id":"{n}","MetaData":{{"LastUpdatedTime":"{at}"}}}}"#)
                };
                let records = (1..=2_500_i64).filter(|n| changed(*n) >= since).skip(from - 1).take(most).map(record);
                ok(format!(r#"{{"QueryResponse":{{"{entity}":[{}]}}}}"#, records.collect::<Vec<_>>().join(",")))
            },
        );
        assert_eq!(outcome.fault, None, "{kind}");
        assert_eq!(outcome.ids, (1..=2_500).map(|n: i64| n.to_string()).collect::<Vec<_>>(), "{kind}");
        assert_eq!(outcome.asked.len(), 4, "{kind}");
    }
}

#[test]
fn records_behind_an_empty_page_are_read() {
    type Serve<'a> = &'a dyn Fn(&str) -> Served;
    let number = |url: &str, name: &str, or: usize| parameter(url, name).map_or(or, |text| text.parse().unwrap());
    // What is on the second of four pages is left out, as by a vendor that filters after it pages.
    let page = |n: usize| if n == 2 { String::new() } else { items(n * 2 - 1, 2) };
    let next = |n: usize, text: String| if n < 4 { text } else { "null".into() };
    let cases: [(&str, Serve<'_>); 5] = [
        ("offset: {slot: {query: skip}, size: {value: 2}, total: {path: total}}", &|url| {
            ok(format!(r#"{{"items":[{}],"total":7}}"#, page(number(url, "skip", 0) / 2 + 1)))
        }),
        ("number: {slot: {query: n}, size: {value: 2}, pages: {path: pages}}", &|url| {
            ok(format!(r#"{{"items":[{}],"pages":4}}"#, page(number(url, "n", 1))))
        }),
        ("cursor: {slot: {query: c}, next: {path: next}, size: {value: 2}}", &|url| {
            let n = number(url, "c", 1);
            ok(format!(r#"{{"items":[{}],"next":{}}}"#, page(n), next(n, (n + 1).to_string())))
        }),
        ("link: {size: {value: 2}}", &|url| {
            let n = number(url, "p", 1);
            let link = ("link", format!("<https://x.example/o?p={}>; rel=\"next\"", n + 1));
            (200, if n < 4 { vec![link] } else { vec![] }, format!(r#"{{"items":[{}]}}"#, page(n)))
        }),
        ("next_url: {next: {path: next}, size: {value: 2}}", &|url| {
            let n = number(url, "p", 1);
            ok(format!(r#"{{"items":[{}],"next":{}}}"#, page(n), next(n, format!(r#""/o?p={}""#, n + 1))))
        }),
    ];
    for (rule, serve) in cases {
        let read = format!("{{request: {{method: GET, path: /o}}, records: items, page: {{{rule}}}}}");
        let outcome = read_all(&connector(&read), |url, _| serve(url));
        assert_eq!(outcome.fault, None, "{rule}");
        assert_eq!((outcome.ids.join(" ").as_str(), outcome.asked.len()), ("1 2 5 6 7", 4), "{rule}");
    }
}

#[test]
fn hostile_pages_meet_bounds_and_become_a_fault_with_a_reason() {
    let cursor = "{request: {method: GET, path: /o}, records: items, page: {cursor: {slot: {query: c}, next: {path: next}}}}";
    let number = "{request: {method: GET, path: /o}, records: items, page: {number: {slot: {query: page}, size: {value: 1}}}}";
    let url = "{request: {method: GET, path: /o}, records: items, page: {next_url: {next: {path: next}}}}";
    let cases: [(&str, &str, &str); 10] = [
        (cursor, r#"{"items":[{"id":1}],"next":"a"}"#, "X points from one page back to a page that was read already"),
        (url, r#"{"items":[{"id":1}],"next":"/o"}"#, "X points from one page back to a page that was read already"),
        (number, r#"{"items":[{"id":1}]}"#, "X answers the same page again and again"),
        (
            url,
            r#"{"items":[],"next":"https://evil.example/o"}"#,
            "X points to another host or user for its next page: evil.example",
        ),
        (
            url,
            r#"{"items":[],"next":"http://169.254.169.254/"}"#,
            "X points to another host or user for its next page: 169.254.169.254",
        ),
        (
            url,
            r#"{"items":[],"next":"https://u:p@x.example/o?p=2"}"#,
            "X points to another host or user for its next page: x.example",
        ),
        (
            cursor,
            r#"{"items":[{"id":1}"#,
            "X answered 200 (no content type), which cannot be read: it is not JSON: a comma or ] was expected at line 1, column 19",
        ),
        (
            cursor,
            "<html>",
            "X answered 200 (no content type), which cannot be read: it is not JSON: a value was expected at line 1, column 1",
        ),
        (
            cursor,
            r#"{"message":"hello"}"#,
            "X answered 200 (no content type), which cannot be read: nothing stands at \"items\", where the records should be",
        ),
        (cursor, r#"{"errors":[{"m":1}],"items":[],"code":"E","message":"no"}"#, "X answered 200: no"),
    ];
    for (read, body, reason) in cases {
        let outcome = read_all(&connector(read), |_, _| ok(body.to_owned()));
        assert_eq!(outcome.fault.map(|fault| fault.reason).as_deref(), Some(reason), "{body}");
    }
    // Cursors that never end and never repeat, with nothing on their pages.
    let pages = std::cell::Cell::new(0);
    let outcome = read_all(&connector(cursor), |_, _| {
        pages.set(pages.get() + 1);
        ok(format!(r#"{{"items":[],"next":"{}"}}"#, pages.get()))
    });
    assert_eq!(outcome.fault.unwrap().reason, "X answered 1000 empty pages in a row");
    // Counted ones, where the vendor says that there is more.
    for page in [
        "offset: {slot: {query: skip}, size: {value: 100}, total: {path: all}}",
        "number: {slot: {query: n}, pages: {path: all}}",
    ] {
        let read = format!("{{request: {{method: GET, path: /o}}, records: items, page: {{{page}}}}}");
        let outcome = read_all(&connector(&read), |_, _| ok(r#"{"items":[],"all":1000000}"#.into()));
        assert_eq!(outcome.fault.unwrap().reason, "X answered 1000 empty pages in a row", "{page}");
    }
}

#[test]
fn a_fault_stops_the_read_and_the_same_page_can_be_asked_for_again() {
    let read = "{request: {method: GET, path: /o}, records: items, page: {cursor: {slot: {query: c}, next: {path: next}}}}";
    let connector = connector(read);
    let (settings, credential) = (serde_json::json!({}), SecretFields::default());
    let context = RequestContext::new(&settings, &credential, now(), "");
    let mut reader = connector.reader(RecordKind::Order, &Position::default()).unwrap();
    let answer = |status, body: &str| HttpAnswer { status, headers: vec![], body: Bytes::from(body.to_owned()) };
    let first = reader.next(&context).unwrap().unwrap();
    assert_eq!(reader.take(&answer(503, "{}"), now()).unwrap_err().class, FaultClass::Outage);
    assert_eq!(reader.next(&context).unwrap().unwrap().url, first.url);
    assert_eq!(reader.take(&answer(200, r#"{"items":[{"id":1}],"next":"a"}"#), now()).unwrap().len(), 1);
    assert_eq!(reader.next(&context).unwrap().unwrap().url, "https://x.example/o?c=a");
    assert_eq!(reader.take(&answer(200, r#"{"items":[],"next":null}"#), now()).unwrap().len(), 0);
    assert!(reader.next(&context).unwrap().is_none());
}

#[test]
fn a_record_that_nobody_can_read_or_call_by_its_id_comes_as_it_is_and_the_others_of_its_page_come_too() {
    let long = "9".repeat(201);
    let records = [r#"{"id":1,"s":"paid"}"#.to_owned(), format!(r#"{{"id":"{long}","s":"paid"}}"#)];
    let bad = r#"{"id":"a\u0000b","s":"draft"}"#;
    let page = format!(r#"{{"items":[{},{},{bad}],"next":null}}"#, records[0], records[1]);
    let lines = ", include: [{into: lines, read: {request: {method: GET, path: '/o/{{ source_id }}/lines'}}}]";
    let whose = ", parent: {id: key, into: of, read: {request: {method: GET, path: /c}, records: items}}";
    for more in ["", ", filter: \"s == 'paid'\"", lines, whose] {
        let read = format!("{{request: {{method: GET, path: /o}}, records: items{more}}}");
        let mut outcome = read_all(&connector(&read), |url, _| {
            ok(match url.trim_start_matches("https://x.example") {
                "/o" => page.clone(),
                "/c" => r#"{"items":[{"key":"k"}]}"#.into(),
                _ => "[]".into(),
            })
        });
        assert_eq!(outcome.fault, None, "{more}");
        outcome.ids.sort();
        assert_eq!(outcome.ids, ["1", long.as_str(), "a\u{0}b"], "{more}");
        assert!(outcome.bytes.iter().any(|bytes| bytes == bad), "{more}: {:?}", outcome.bytes);
    }
}

#[test]
fn what_cannot_be_read_of_a_page_that_was_turned_ends_the_read_and_is_not_passed_over() {
    let twice = r#"{"items":[{"id":1,"s":"paid"},{"id":7,"s":"paid","s":"draft"}],"next":"2"}"#;
    let good = r#"{"items":[{"id":1,"s":"paid"}],"next":"2"}"#;
    let page = "page: {cursor: {slot: {query: c}, next: {path: next}}}";
    let lines = "include: [{into: lines, read: {request: {method: GET, path: '/o/{{ source_id }}/lines'}}}]";
    let list = |more: &str| format!("{{request: {{method: GET, path: /o}}, records: items, {page}, {more}}}");
    let of_parent = |more: &str| {
        format!(
            "{{request: {{method: GET, path: '/c/{{{{ parent.id }}}}/o'}}, records: items, {page},
                parent: {{id: key, {more} read: {{request: {{method: GET, path: /c}}, records: items, {page}}}}}}}"
        )
    };
    let (one, two) = (r#"{"items":[{"key":"a"}]}"#, r#"{"items":[{"key":"a"},{"key":"b","key":"c"}],"next":"2"}"#);
    let of_list = "X answered 200, and its record 7 cannot be read: a key is there twice at line 1, column ";
    let of_part = "X answered 200, and a part of its record 1 cannot be read: a key is there twice at line 1, column ";
    let of_parents = "X answered 200, and its record without an id cannot be read: a key is there twice at line 1, column ";
    let cases = [
        (list("filter: \"s == 'paid'\""), "", twice, "", of_list),
        (list(lines), "", twice, "[]", of_list),
        (list(lines), "", good, r#"[{"l":1,"l":2}]"#, of_part),
        (of_parent("into: of,"), one, twice, "", of_list),
        (of_parent(""), two, good, "", of_parents),
    ];
    for (read, parents, records, parts, reason) in cases {
        let outcome = read_all(&connector(&read), |url, _| {
            let path = url.trim_start_matches("https://x.example");
            ok(if path.ends_with("/lines") {
                parts.into()
            } else if path.starts_with("/c?") || path == "/c" {
                parents.into()
            } else {
                records.into()
            })
        });
        let fault = outcome.fault.unwrap();
        assert!(fault.reason.starts_with(reason), "{}", fault.reason);
        assert!(!fault.class.is_passing(), "{fault:?}");
        assert_eq!(
            (fault.owner, fault.fix.as_str()),
            (Owner::Developer, "Correct it at X, or change the connector so that it is not asked for.")
        );
    }
}

#[test]
fn a_record_with_a_part_that_cannot_be_read_is_not_one_that_is_not_there() {
    let connector = connector(
        "{request: {method: GET, path: /o}}, get: {request: {method: GET, path: '/o/{{ source_id }}'},
            include: [{into: lines, read: {request: {method: GET, path: '/o/{{ source_id }}/lines'}}}]}",
    );
    let (settings, credential) = (serde_json::json!({}), SecretFields::default());
    let context = RequestContext::new(&settings, &credential, now(), "");
    let answer = |body: &str| HttpAnswer { status: 200, headers: vec![], body: Bytes::from(body.to_owned()) };
    let mut getter = connector.getter(RecordKind::Order, "7").unwrap();
    getter.next(&context).unwrap().unwrap();
    assert_eq!(getter.take(&answer(r#"{"id":7}"#)).unwrap(), None);
    getter.next(&context).unwrap().unwrap();
    let fault = getter.take(&answer(r#"[{"l":1},{"l":"\u0000"}]"#)).unwrap_err();
    assert_eq!(fault.class, FaultClass::Validation, "neither asked again, which would end it, nor unknown");
    assert!(fault.reason.starts_with("X answered 200, and a part of its record 7 cannot be read: "), "{}", fault.reason);
}

#[test]
fn an_incremental_read_begins_where_the_last_one_ended_and_repeats_nothing() {
    let read = "{request: {method: GET, path: /o, query: {since: '{{ since }}'}}, records: items, since: {overlap_s: 60}}";
    let connector = connector(read);
    let serve = |extra: &'static str| {
        move |_: &str, _: &str| {
            ok(format!(r#"{{"items":[{{"id":1,"at":"2026-11-24T09:00:00Z"}},{{"id":2,"at":"2026-11-24T09:00:00Z"}}{extra}]}}"#))
        }
    };
    let first = read_all(&connector, serve(""));
    assert_eq!((first.ids.len(), first.asked[0].as_str()), (2, "/o"), "a full read leaves the parameter out");
    let position: Position = serde_json::from_str(&serde_json::to_string(&first.position.unwrap()).unwrap()).unwrap();
    let second =
        read_from(&connector, &position, serve(r#",{"id":3,"at":"2026-11-24T09:00:00Z"},{"id":1,"at":"2026-11-24T09:00:01Z"}"#));
    assert_eq!(second.asked[0], "/o?since=2026-11-24T08%3A59%3A00Z");
    assert_eq!(second.ids, ["3", "1"], "what is new in the same second, and what changed");
    let third = read_from(
        &connector,
        &second.position.unwrap(),
        serve(r#",{"id":3,"at":"2026-11-24T09:00:00Z"},{"id":1,"at":"2026-11-24T09:00:01Z"}"#),
    );
    assert!(third.ids.is_empty());
    // A read that broke off keeps no position, unless the vendor lists the oldest first.
    let broken = read_all(&connector, |_, _| (503, vec![], String::new()));
    assert_eq!(broken.position, None);
}

#[test]
fn a_record_whose_parts_changed_within_its_second_comes_again() {
    let read = "{request: {method: GET, path: /o, query: {since: '{{ since }}'}}, records: items, since: {overlap_s: 60},
        include: [{into: lines, read: {request: {method: GET, path: '/o/{{ source_id }}/lines'}}}]}";
    let connector = connector(read);
    let serve = |lines: &'static str| {
        move |url: &str, _: &str| {
            ok(if url.ends_with("/lines") { lines.into() } else { r#"{"items":[{"id":1,"at":"2026-11-24T09:00:00Z"}]}"#.into() })
        }
    };
    let first = read_all(&connector, serve(r#"[{"l":1}]"#));
    assert_eq!(first.bytes, [r#"{"id":1,"at":"2026-11-24T09:00:00Z","lines":[{"l":1}]}"#]);
    let second = read_from(&connector, &first.position.unwrap(), serve(r#"[{"l":1},{"l":2}]"#));
    assert_eq!(second.bytes, [r#"{"id":1,"at":"2026-11-24T09:00:00Z","lines":[{"l":1},{"l":2}]}"#]);
    let third = read_from(&connector, &second.position.unwrap(), serve(r#"[{"l":1},{"l":2}]"#));
    assert!(third.ids.is_empty());
}

const OLDEST_FIRST: &str = "{request: {method: GET, path: /o, query: {since: '{{ since }}'}}, records: items,
    page: {offset: {slot: {query: skip}, size: {value: 3}}}, since: {ascending: true}}";

/// The vendor of such a list: ids, and how many seconds after now each changed.
fn oldest_first(mut records: Vec<(i64, i64)>) -> impl Fn(&str, &str) -> Served {
    records.sort_by_key(|(_, after_s)| *after_s);
    let text = |after_s: i64| position::write((now() + TimeDelta::seconds(after_s)).timestamp_micros(), &TimeFormat::Rfc3339);
    let records: Vec<(i64, String)> = records.into_iter().map(|(id, after_s)| (id, text(after_s))).collect();
    move |url, _| {
        let since = parameter(url, "since").unwrap_or_default();
        let skip = parameter(url, "skip").map_or(0, |text| text.parse().unwrap());
        let page = records.iter().filter(|(_, at)| *at >= since).skip(skip).take(3);
        let page: Vec<String> = page.map(|(id, at)| format!(r#"{{"id":{id},"at":"{at}"}}"#)).collect();
        ok(format!(r#"{{"items":[{}]}}"#, page.join(",")))
    }
}

#[test]
fn a_vendor_whose_clock_is_ahead_is_read_page_by_page_to_its_end() {
    let connector = connector(OLDEST_FIRST);
    // One after the other until five minutes from now, and all in one second.
    for apart_s in [10, 0] {
        let mut records: Vec<(i64, i64)> = (1..=7).map(|id| (id, 300 - (7 - id) * apart_s)).collect();
        // Ours goes on while it is read.
        let clock = |n: i64| now() + TimeDelta::seconds(n * 2);
        let outcome = read_at(&connector, &Position::default(), clock, oldest_first(records.clone()));
        assert_eq!((outcome.ids.as_slice(), outcome.asked.len()), (SEVEN.map(str::to_owned).as_slice(), 4), "{apart_s}");
        let position = outcome.position.unwrap();
        assert_eq!(position.at, Some(clock(3).timestamp_micros()), "{apart_s}");
        records.push((8, 310));
        let next = read_at(&connector, &position, |n| clock(n + 5), oldest_first(records));
        assert_eq!(next.ids, ["8"], "{apart_s}");
    }
}

#[test]
fn a_date_that_was_mistyped_leads_neither_the_pages_nor_the_position_past_what_is_to_come() {
    let connector = connector(OLDEST_FIRST);
    let far_s = 2_300_000_000; // 2099
    let mut records = vec![(1, -40), (2, -30), (3, -20), (4, -10), (5, far_s), (6, far_s + 10), (7, far_s + 20)];
    let outcome = read_from(&connector, &Position::default(), oldest_first(records.clone()));
    assert_eq!(outcome.ids, SEVEN);
    let asked = [
        "/o?skip=0",
        "/o?since=2026-11-24T09%3A29%3A39Z&skip=0",
        "/o?since=2026-11-24T09%3A29%3A49Z&skip=0",
        "/o?since=2026-11-24T09%3A29%3A49Z&skip=3",
    ];
    assert_eq!(outcome.asked, asked);
    let position = outcome.position.unwrap();
    assert_eq!(position.at, Some(now().timestamp_micros()));
    records.push((8, 5));
    let next = read_at(&connector, &position, |n| now() + TimeDelta::seconds(10 + n), oldest_first(records));
    assert_eq!(next.ids, ["8"]);
}

#[test]
fn a_record_is_completed_by_what_the_vendor_keeps_apart() {
    let read = "{request: {method: GET, path: /o}, records: items, include: [
        {into: lines, read: {request: {method: GET, path: '/o/{{ source_id }}/lines'}, page: {number: {slot: {query: page}, size: {value: 1}}}}},
        {into: ship.to, read: {request: {method: GET, path: '/o/{{ source_id }}/ship'}}}]}";
    let outcome = read_all(&connector(read), |url, _| {
        let path = url::Url::parse(url).unwrap().path().to_owned();
        ok(match (path.as_str(), parameter(url, "page").as_deref()) {
            ("/o", _) => r#"{"items":[{"id":1.0,"n":9007199254740993},{"id":2}]}"#.into(),
            ("/o/1.0/lines", Some(page @ ("1" | "2"))) => format!(r#"[{{"l":{page}}}]"#),
            (path, _) if path.ends_with("/ship") => r#"[{"city":"Ulm"}]"#.into(),
            _ => "[]".into(),
        })
    });
    assert_eq!(
        outcome.bytes,
        [
            r#"{"id":1.0,"n":9007199254740993,"lines":[{"l":1},{"l":2}],"ship":{"to":[{"city":"Ulm"}]}}"#,
            r#"{"id":2,"lines":[],"ship":{"to":[{"city":"Ulm"}]}}"#,
        ]
    );
}

#[test]
fn one_list_is_read_for_each_parent_and_a_filter_leaves_records_out() {
    let read = "{request: {method: GET, path: '/c/{{ parent.id }}/o'}, filter: \"status != 'draft'\",
        parent: {id: key, into: customer_id, read: {request: {method: GET, path: /c}, records: items, page: {cursor: {slot: {query: c}, next: {path: next}}}}}}";
    let outcome = read_all(&connector(read), |url, _| {
        ok(match url.trim_start_matches("https://x.example") {
            "/c" => r#"{"items":[{"key":"a/b"},{"key":"c"}],"next":"2"}"#.into(),
            "/c?c=2" => r#"{"items":[{"key":"d"}]}"#.into(),
            "/c/a%2Fb/o" => r#"[{"id":1,"status":"paid"},{"id":2,"status":"draft"}]"#.into(),
            "/c/d/o" => r#"[{"id":3,"status":"paid"}]"#.into(),
            _ => "[]".into(),
        })
    });
    assert_eq!(
        outcome.bytes,
        [r#"{"id":1,"status":"paid","customer_id":"a/b"}"#, r#"{"id":3,"status":"paid","customer_id":"d"}"#]
    );
    assert_eq!(outcome.asked, ["/c", "/c/a%2Fb/o", "/c/c/o", "/c?c=2", "/c/d/o"]);
}
