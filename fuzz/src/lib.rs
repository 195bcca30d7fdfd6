//! What comes from outside, met by the code that reads it: manifests, answers, pages, hooks, mappings and expressions. Each function takes
//! any bytes and must come back: no panic, no abort, no wait without end. Where more must hold of what was read, it is asserted.
//!
//! cargo-fuzz calls them (`fuzz_targets/`), and so does a test of every build (`connectors/tests/fuzz_smoke.rs`), which has this file too.

mod handed_in;
mod told;

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use connectors::import::airbyte::Manifest;
use connectors::x12::{Guide, Separators, acknowledge, interchanges, receive};
use connectors::{Connector, HookCall, HookRefusal, Position, ReadRecord, Reader, RequestContext};
use domain::fault::Fault;
use domain::http::HttpAnswer;
use domain::mapping::{Filter, LookupSet, Plan, Rules, Vars};
use domain::record::RecordKind;
use domain::scim::{Group, GroupQuery, Path, User, UserQuery, group};
use domain::secret::SecretFields;
use domain::value::{Limits, Value};
use serde_json::json;

pub use handed_in::{audit_export, certificate, file, flow_file, headers, id, lookup_sheet, openapi, plan, token, typed};
pub use told::{account, kept, value, written};

/// True where the input was understood; false where it was refused, as nearly all of chance's are.
pub type Target = fn(&[u8]) -> bool;

/// By the name of the folder of its seeds.
pub const TARGETS: [(&str, Target); 25] = [
    ("manifest", manifest),
    ("answer", answer),
    ("pages", pages),
    ("hook", hook),
    ("mapping", mapping),
    ("expression", expression),
    ("airbyte", airbyte),
    ("jinja", jinja),
    ("x12", x12),
    ("scim", scim),
    ("file", file),
    ("lookup_sheet", lookup_sheet),
    ("flow_file", flow_file),
    ("openapi", openapi),
    ("token", token),
    ("headers", headers),
    ("audit_export", audit_export),
    ("certificate", certificate),
    ("id", id),
    ("plan", plan),
    ("typed", typed),
    ("written", written),
    ("account", account),
    ("value", value),
    ("kept", kept),
];

/// Between the parts of an input that has several.
const CUT: &[u8] = b"\n===\n";
/// Pages of one input.
const PAGES_MAX: usize = 6;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap_or_default()
}

fn cut(data: &[u8]) -> (&[u8], &[u8]) {
    match data.windows(CUT.len()).position(|window| window == CUT) {
        Some(at) => (&data[..at], &data[at + CUT.len()..]),
        None => (data, b""),
    }
}

/// Whatever is refused is refused for a reason.
fn refused(error: &dyn std::error::Error) -> bool {
    assert!(!error.to_string().is_empty(), "{error:?}");
    false
}

fn secrets() -> SecretFields {
    [("key", "s3cret-key"), ("old", "an-older-one")].into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect()
}

/// A connector of the author's own, and the mapping of one kind: it loads, or says what is wrong.
pub fn manifest(data: &[u8]) -> bool {
    let (manifest, mapping) = cut(data);
    let (Ok(manifest), Ok(mapping)) = (std::str::from_utf8(manifest), std::str::from_utf8(mapping)) else { return false };
    let mut files = HashMap::from([("connector.yaml".to_owned(), manifest.to_owned())]);
    if !mapping.is_empty() {
        files.insert("order.yaml".to_owned(), mapping.to_owned());
    }
    let connector = match Connector::from_files("acme", files) {
        Ok(connector) => connector,
        Err(errors) => return refused(&errors),
    };
    let (settings, secrets) = (json!({"shop": "hats", "base_url": "https://api.example.com"}), secrets());
    let context = RequestContext::new(&settings, &secrets, now(), "n0nce");
    for kind in RecordKind::ALL {
        let Some(mut reader) = connector.reader(kind, &Position::default()) else { continue };
        let answer = HttpAnswer { status: 200, headers: Vec::new(), body: Bytes::from_static(b"{\"items\":[{\"id\":1}]}") };
        if let Ok(Some(_)) = reader.next(&context) {
            let _ = reader.take(&answer, now());
        }
        let _ = connector.classify(&answer);
    }
    true
}

/// A vendor of which an answer is read; `resources` is YAML in one line.
fn vendor(resources: &str) -> Connector {
    let yaml = format!(
        "{{format: 1, name: acme, title: Acme, category: erp, base_url: 'https://api.example.com', credential: {{key: {{title: K}}, old: {{title: O}}}},
          error: {{code: [code, errors.code], message: [message], path: [field], inside: [errors], wait: [{{header: X-Wait, unit: milliseconds}}]}},
          errors: [{{status: '400-499', header: {{name: X-Limit, pattern: '^0'}}, class: limit, reason: '{{{{ message }}}}', owner: vendor, fix: wait}},
                   {{status: '400', when: 'items[0].id > 3', class: validation, reason: '{{{{ code }}}}', owner: developer, fix: look}}], {resources}}}"
    );
    Connector::from_files("acme", HashMap::from([("connector.yaml".to_owned(), yaml)]))
        .unwrap_or_else(|errors| panic!("{errors}"))
}

fn reading(read: &str) -> Connector {
    vendor(&format!(
        "resources: {{order: {{id: id, updated_at: at, read: {{request: {{method: GET, path: /orders}}, {read}}}}}}}"
    ))
}

/// Status, headers and body: `200`, then lines `Name: value`, an empty line, the body.
fn http(data: &[u8]) -> HttpAnswer {
    let (head, body) = match data.windows(2).position(|window| window == b"\n\n") {
        Some(at) => (&data[..at], &data[at + 2..]),
        None => (&b"200"[..], data),
    };
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.trim().parse().ok()).unwrap_or(200);
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    HttpAnswer { status, headers: lines.filter_map(header).collect(), body: Bytes::copy_from_slice(body) }
}

/// Reads pages until the end, a fault or a bound, each answered by the next of these, the last one again and again.
fn read(connector: &Connector, answers: &[HttpAnswer]) -> bool {
    let (settings, secrets) = (json!({}), secrets());
    let context = RequestContext::new(&settings, &secrets, now(), "n0nce");
    let Some(mut reader) = connector.reader(RecordKind::Order, &Position::default()) else { return false };
    for page in 0..PAGES_MAX {
        let Ok(Some(request)) = reader.next(&context) else { break };
        assert!(request.url.starts_with("https://api.example.com/"), "the credential stays at its host: {}", request.url);
        let Some(answer) = answers.get(page).or(answers.last()) else { return false };
        let records = match reader.take(answer, now()) {
            Ok(records) => records,
            Err(fault) => {
                assert!(!fault.reason.is_empty() && !fault.fix.is_empty(), "a fault has a reason and a fix");
                return false;
            }
        };
        for record in records {
            let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(&record.bytes);
            assert!(parsed.is_ok(), "a record is JSON, whatever it came as: {parsed:?}");
        }
        let _ = reader.position();
    }
    true
}

/// A page in each of the formats. The first byte chooses.
pub fn answer(data: &[u8]) -> bool {
    static VENDORS: LazyLock<[Connector; 8]> = LazyLock::new(|| {
        [
            "records: items",
            "records: '', format: json_lines",
            "format: {csv: {}}",
            "format: {csv: {delimiter: ';'}}",
            "records: items.item, format: {xml: {lists: [item]}}",
            "records: items, gzip: true",
            "format: {csv: {}}, gzip: true",
            "records: data.*.node, filter: 'id > 3', absent_is_empty: true",
        ]
        .map(reading)
    });
    let Some((choice, rest)) = data.split_first() else { return false };
    let (vendor, answer) = (&VENDORS[usize::from(*choice) % VENDORS.len()], http(rest));
    in_chunks(vendor, &answer);
    read(vendor, &[answer])
}

/// An answer that may be taken as it comes has the same records in chunks of any length as it has whole, or is refused both times.
fn in_chunks(connector: &Connector, answer: &HttpAnswer) {
    let (settings, secrets) = (json!({}), secrets());
    let context = RequestContext::new(&settings, &secrets, now(), "n0nce");
    let begun = || -> Option<Reader<'_>> {
        let mut reader = connector.reader(RecordKind::Order, &Position::default())?;
        reader.next(&context).ok()??;
        reader.takes_chunks().then_some(reader)
    };
    let (Some(mut whole), Some(mut chunked), true) = (begun(), begun(), answer.status == 200) else { return };
    let head = HttpAnswer { body: Bytes::new(), ..answer.clone() };
    let length = 1 + usize::from(answer.body.last().copied().unwrap_or_default());
    let mut in_chunks = || -> Result<Vec<ReadRecord>, Fault> {
        let mut records = Vec::new();
        for chunk in answer.body.chunks(length) {
            records.extend(chunked.take_chunk(&head, chunk, now())?);
        }
        records.extend(chunked.take_end(&head, now())?);
        Ok(records)
    };
    assert_eq!(in_chunks().ok(), whole.take(answer, now()).ok(), "chunks of {length}");
}

/// What says where the next page is. The first byte chooses how the vendor pages; answers follow each other after `===`.
pub fn pages(data: &[u8]) -> bool {
    static VENDORS: LazyLock<[Connector; 7]> = LazyLock::new(|| {
        [
            "records: items, page: {link: {}}",
            "records: items, page: {next_url: {next: {path: next}}}",
            "records: items, page: {next_url: {next: {header: [X-Next]}}}",
            "records: items, page: {cursor: {slot: {query: after}, next: {path: next}, more: {path: more}}}",
            "records: items, page: {cursor: {slot: {query: after}, last_record: id, size: {slot: {query: n}, value: 1}}}",
            "records: items, page: {number: {slot: {query: page}, first: 1, pages: {path: pages}}}",
            "records: items, page: {offset: {slot: {query: skip}, first: 1, total: {path: total}, size: {slot: {query: n}, value: 1}}}",
        ]
        .map(reading)
    });
    let Some((choice, mut rest)) = data.split_first() else { return false };
    let mut answers = Vec::new();
    while !rest.is_empty() && answers.len() < PAGES_MAX {
        let (one, others) = cut(rest);
        answers.push(http(one));
        rest = others;
    }
    read(&VENDORS[usize::from(*choice) % VENDORS.len()], &answers)
}

/// A delivery at our door. The first byte chooses how the vendor signs.
pub fn hook(data: &[u8]) -> bool {
    static VENDORS: LazyLock<[Connector; 7]> = LazyLock::new(|| {
        [
            "signature: {header: [X-Sig], secrets: [key, old]}, topic: {header: [X-Topic]}",
            "signature: {header: [X-Sig], secrets: [key], encoding: hex, prefix: 'sha256='}, topic: {path: topic}, dedupe: {path: id}",
            "signature: {header: [X-Sig], encoding: hex, secrets: [key, old], signed: '{{ timestamp }}.{{ body }}', \
              items: {separator: ',', assign: '=', name: v1}, timestamp: {item: t, unit: unix_s, tolerance_s: 300}}, topic: {header: [X-Topic]}",
            "signature: {header: [X-Sig], secrets: [key], signed: '{{ method }}{{ url }}{{ header.x-id }}{{ body }}{{ timestamp }}', \
              timestamp: {header: X-At, unit: rfc3339, tolerance_s: 300}}, topic: {header: [X-Topic]}",
            "signature: {header: [X-Sig], secrets: [key], algorithm: shared}, topic: {path: topic}, events: events",
            "signature: {header: [X-Sig], secrets: [key], algorithm: hmac_sha512, signed: '{{ timestamp }}{{ body }}', \
              timestamp: {header: X-At, unit: unix_ms, tolerance_s: 300}}, topic: {header: [X-Topic]}, events: ''",
            "signature: {header: [X-Sig], secrets: [key], algorithm: rsa_sha256}, topic: {header: [X-Topic]}",
        ]
        .map(|hook| vendor(&format!("webhooks: {{{hook}, topics: {{made: {{kind: order, id: id}}}}}}")))
    });
    let Some((choice, rest)) = data.split_first() else { return false };
    let (connector, delivery, secrets) = (&VENDORS[usize::from(*choice) % VENDORS.len()], http(rest), secrets());
    let url = "https://us.example/hooks/t?a=1";
    let call = |headers| HookCall { method: "POST", url, headers, body: &delivery.body, now: now() };
    let verified = connector.verify_hook(&call(&delivery.headers), &secrets, &json!({}));
    if delivery.headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("x-sig") && !name.eq_ignore_ascii_case("x-at")) {
        assert!(verified.is_err(), "what nobody signed is not believed");
        // The vendor's own signature is believed, whatever it stands over.
        let Ok(signed) = connector.sign_hook(&call(&delivery.headers), &secrets) else { return false };
        let headers = [delivery.headers.as_slice(), &signed].concat();
        let verified = connector.verify_hook(&call(&headers), &secrets, &json!({}));
        assert!(!matches!(verified, Err(HookRefusal::BadSignature | HookRefusal::Stale { .. })), "{verified:?}");
        return verified.is_ok();
    }
    verified.is_ok()
}

/// Rules of a tenant over a document of a vendor: JSON, `===`, JSON.
pub fn mapping(data: &[u8]) -> bool {
    let (rules, document) = cut(data);
    let Ok(rules) = serde_json::from_slice::<Rules>(rules) else { return false };
    let plan = match Plan::compile(&rules) {
        Ok(plan) => plan,
        Err(errors) => return refused(&errors),
    };
    let Ok(document) = Value::parse(document, &Limits::DEFAULT) else { return false };
    let tables: LookupSet = [("SKUs".to_owned(), [("HAT".to_owned(), "88".to_owned())].into())].into_iter().collect();
    let apply = || plan.apply(&document, &tables, &Vars::default());
    let first = apply();
    assert_eq!(format!("{first:?}"), format!("{:?}", apply()), "the same document maps to the same record");
    if let Ok(record) = first {
        let text = record.to_json();
        assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok(), "a record is JSON: {text}");
        return true;
    }
    false
}

/// One expression over one document: text, `===`, JSON.
pub fn expression(data: &[u8]) -> bool {
    let (text, document) = cut(data);
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let filter = match Filter::compile(text) {
        Ok(filter) => filter,
        Err(error) => return refused(&error),
    };
    let Ok(document) = Value::parse(document, &Limits::DEFAULT) else { return false };
    let passes = filter.passes(&document);
    assert_eq!(passes, filter.passes(&document), "the same document gives the same answer");
    passes.is_ok()
}

/// A guest's manifest, and the answer that its vendor gives to everything: YAML, `===`, an answer.
pub fn airbyte(data: &[u8]) -> bool {
    let (text, answer) = cut(data);
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let manifest = match Manifest::parse(text) {
        Ok(manifest) => manifest,
        Err(error) => return refused(&error),
    };
    let (report, _, _) = (manifest.report(), manifest.settings(), manifest.check_streams());
    let config =
        json!({"base": "https://api.example.com", "key": "s3cret-key", "start": "2026-01-01", "colours": ["red", "blue"]});
    let answer = http(answer);
    let mut is_read = false;
    for stream in report.streams.iter().take(4) {
        let reader = manifest.read(&stream.name, &config, &json!(null), now());
        let Ok(mut reader) = reader else { continue };
        for _ in 0..PAGES_MAX {
            let Ok(Some(_)) = reader.next() else { break };
            for record in reader.take(&answer).unwrap_or_default() {
                is_read = true;
                assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&record).is_ok(), "a record is JSON");
            }
            let _ = (reader.state(), reader.tokens());
        }
    }
    is_read
}

/// One expression of a guest's, in a request, and in a filter and a field that is added: text, `===`, an answer.
pub fn jinja(data: &[u8]) -> bool {
    let (template, answer) = cut(data);
    let Ok(template) = std::str::from_utf8(template) else { return false };
    let run = |of_request: &str, of_record: &str| {
        let manifest = json!({
            "type": "DeclarativeSource",
            "streams": [{
                "type": "DeclarativeStream",
                "name": "one",
                "retriever": {
                    "type": "SimpleRetriever",
                    "requester": {
                        "type": "HttpRequester",
                        "url_base": "{{ config['base'] }}",
                        "path": "orders",
                        "request_parameters": {"q": of_request},
                        "request_headers": {"X-Q": of_request},
                    },
                    "record_selector": {
                        "type": "RecordSelector",
                        "extractor": {"type": "DpathExtractor", "field_path": ["items"]},
                        "record_filter": {"type": "RecordFilter", "condition": of_record},
                    },
                },
                "transformations": [{"type": "AddFields", "fields": [{"path": ["added"], "value": of_record}]}],
            }],
        });
        airbyte(&[manifest.to_string().as_bytes(), CUT, answer].concat())
    };
    let (in_request, in_record) = (run(template, "{{ true }}"), run("plain", template));
    in_request || in_record
}

/// A file of interchanges: each set is taken or refused for a reason, every group can be acknowledged, and what was taken can be sent again.
pub fn x12(data: &[u8]) -> bool {
    let mut is_taken = false;
    let guide = |set: &str| Guide::find(set).and_then(Result::ok);
    for interchange in interchanges(data) {
        let interchange = match interchange {
            Ok(interchange) => interchange,
            Err(error) => {
                refused(&error);
                continue;
            }
        };
        for group in receive(&interchange) {
            let separators = Separators::default();
            if let (Some(tree), Some(guide)) = (acknowledge(&group, &separators), guide("997")) {
                let made = guide.make(&tree, &separators, "004010");
                assert!(made.is_ok(), "every group is acknowledged: {made:?}");
            }
            for set in &group.sets {
                let (Some(tree), Some(guide)) = (&set.tree, guide(&set.id)) else {
                    assert!(!set.sentences().is_empty() || !group.flaws.is_empty(), "{set:?}");
                    continue;
                };
                is_taken = true;
                let release = group.header.release();
                let again = |tree: &Value| {
                    let made = guide.make(tree, &interchange.separators, release).ok()?;
                    let separator = char::from(interchange.separators.element).to_string();
                    let texts: Vec<String> = made.iter().map(|segment| segment.0.join(&separator)).collect();
                    let segments: Vec<_> = texts.iter().map(|text| segment(text, &separator)).collect();
                    guide.take(&segments, &interchange.separators, release).tree
                };
                if let Some(once) = again(tree) {
                    assert_eq!(again(&once).as_ref(), Some(&once), "what is sent is what was read");
                }
            }
        }
    }
    is_taken
}

/// A filter or a path of a directory, and what it sends: text, `===`, JSON.
pub fn scim(data: &[u8]) -> bool {
    let (text, body) = cut(data);
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let filter = domain::scim::Filter::parse(text);
    if let Ok(filter) = &filter {
        assert!(!filter.0.is_empty(), "a filter asks for something");
        let _ = (UserQuery::of(filter), GroupQuery::of(filter));
    }
    let is_text = filter.is_ok() || Path::parse(text).is_ok();
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else { return is_text && body.is_empty() };
    let before = User::read(&json!({"userName": "ann@example.com", "active": false}), None);
    let before = before.unwrap_or_else(|refused| panic!("{refused}"));
    let (whole, patched) = (User::read(&body, Some(&before)), before.patched(&body));
    for user in [&whole, &patched].into_iter().flatten() {
        assert!(!user.user_name.is_empty(), "a user has a name");
        let again = User::read(&user.write().into(), None);
        assert_eq!(again.as_ref(), Ok(user), "what is shown is what was read");
    }
    is_text && (whole.is_ok() || patched.is_ok() || Group::read(&body).is_ok() || group::steps(&body).is_ok())
}

fn segment<'t>(text: &'t str, separator: &str) -> connectors::x12::Segment<'t> {
    let mut parts = text.split(separator);
    let id = parts.next().unwrap_or_default();
    let place = connectors::x12::Place::default();
    connectors::x12::Segment { id, elements: parts.collect(), place, not_text: None, is_too_long: false }
}
