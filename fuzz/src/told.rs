//! What vendors answer to calls that bring no list of records: to writes and the looks before and after them, about webhooks, keys and rates; JSON itself; and
//! what is kept of it all for people to read.

use std::sync::LazyLock;

use connectors::{Change, Connector, Draft, DraftBody, Found, Proof, RequestContext, is_same_address};
use domain::call_payload::{KEPT_BYTES_MAX, Part};
use domain::delivery::Receipt;
use domain::fault::Fault;
use domain::http::{HttpAnswer, HttpRequest, Method};
use domain::record::RecordKind;
use domain::secret::{ExposeSecret, Redactor, SecretFields};
use domain::value::{Limits, Value};
use serde_json::json;

use super::{PAGES_MAX, cut, http, now, refused, secrets, vendor};

/// As long as a row of an index holds.
const ID_BYTES_MAX: usize = 1_000;
const HOOK_URL: &str = "https://us.example/hooks/t";

/// A failure is told to people: with what happened, and what to do.
fn failed(fault: &Fault) -> bool {
    assert!(!fault.reason.is_empty() && !fault.fix.is_empty(), "a fault has a reason and a fix: {fault:?}");
    false
}

fn is_at_home(request: &HttpRequest) {
    assert!(request.url.starts_with("https://api.example.com/"), "the credential stays at its host: {}", request.url);
}

fn stored(receipt: &Receipt) -> bool {
    assert!((1..=ID_BYTES_MAX).contains(&receipt.id.len()) && !receipt.id.contains('\0'), "an id can be kept: {receipt:?}");
    true
}

fn received(read: Result<Receipt, Fault>) -> bool {
    read.map_or_else(|fault| failed(&fault), |receipt| stored(&receipt))
}

/// An answer to a write, or to a look before or after one. The first byte chooses to which; answers to several looks follow each other after `===`.
pub fn written(data: &[u8]) -> bool {
    static VENDOR: LazyLock<Connector> = LazyLock::new(|| {
        vendor(
            "resources: {
              order: {id: id,
                write: {before: [
                    {name: customer, request: {method: GET, path: /customers, query: {q: '{{ payload.email }}'}}, among: customers, key: email,
                     equals: '{{ payload.email }}', ignore_case: true, value: id, kind: customer,
                     on_missing: {exception: {reason: 'There is no customer {{ payload.email }}', owner: operations, fix: 'Make the customer first.'}}},
                    {name: price_list, request: {method: GET, path: '/customers/{{ found.customer }}/price-list'}, value: list.id,
                     absent: [{status: 404, code: [NONE]}], on_missing: skip}],
                  request: {method: POST, path: /orders}, receipt: {header: Location, path: data.add.id, version: rev}},
                get: {request: {method: GET, path: '/orders/{{ source_id }}'}, record: order,
                  include: [{into: lines, read: {request: {method: GET, path: '/orders/{{ source_id }}/lines'}, records: items}}]}},
              invoice: {id: Id, version: SyncToken,
                get: {request: {method: GET, path: '/invoices/{{ source_id }}'}, record: Invoice},
                write: {request: {method: PUT, path: '/invoices/{{ external_key }}'}, receipt: {path: Invoice.Id, version: Invoice.SyncToken}},
                update: {request: {method: POST, path: '/invoices/{{ external_id }}', query: {version: '{{ receipt_version }}'}},
                  receipt: {path: Invoice.Id, version: Invoice.SyncToken}},
                actions: {send: {request: {method: POST, path: '/invoices/{{ external_id }}/send'}}}},
              item: {write: {request: {method: POST, path: /items}, receipt: {path: id}},
                batch: {request: {method: POST, path: /batch, body: {json: {create: '{{ payloads }}'}}}, items_max: 100, results: create,
                  item_key: ref, result_key: ref, receipt: {path: id}, refused: '!is_empty(error)'}},
              shipment: {write: {request: {method: POST, path: /parcels}, receipt: {among: order.parcels, key: meta.key, path: id, version: rev}},
                proof: {request: {method: GET, path: /parcels}, receipt: {among: order.parcels, key: meta.key, path: id, version: rev},
                  settle_ms: 0, revision: meta.revision},
                actions: {ship: {request: {method: POST, path: '/parcels/{{ external_id }}/ship'},
                  proof: {request: {method: GET, path: /parcels}, among: order.parcels, key: id, done: '!is_empty(shipped_at)'}}}}}",
        )
    });
    let Some((choice, rest)) = data.split_first() else { return false };
    let (vendor, answer, on) = (&*VENDOR, http(rest), Receipt { id: "7".to_owned(), version: Some("3".to_owned()) });
    match choice % 9 {
        0 => received(vendor.read_change_answer(RecordKind::Order, Change::Write, &answer, "")),
        1 => {
            let _ = vendor.is_stale(&answer);
            received(vendor.read_change_answer(RecordKind::Invoice, Change::Update(&on), &answer, ""))
        }
        2 => received(vendor.read_change_answer(RecordKind::Invoice, Change::Action("send", &on), &answer, "")),
        3 => received(vendor.read_change_answer(RecordKind::Shipment, Change::Write, &answer, "k1")),
        4 => vendor.read_action_proof(RecordKind::Shipment, "ship", "7", &answer).map_or_else(|fault| failed(&fault), |_| true),
        5 => match vendor.read_proof_answer(RecordKind::Shipment, "k1", &answer, 2) {
            Proof::Found { receipt, .. } => stored(&receipt),
            Proof::Absent => true,
            Proof::Failed(fault) => failed(&fault),
        },
        6 => received(vendor.read_current_answer(RecordKind::Invoice, "7", &answer)),
        7 => batch(vendor, &answer),
        _ => looked_up(vendor, rest),
    }
}

/// Each payload has an end of its own, from the result that names it.
fn batch(vendor: &Connector, answer: &HttpAnswer) -> bool {
    let payload = |key: &str| Value::Map([("ref".to_owned(), Value::from(key))].into_iter().collect());
    let payloads = ["a", "b", "c"].map(payload);
    let ends = match vendor.read_batch_answer(RecordKind::Item, &payloads, answer) {
        Ok(ends) => ends,
        Err(fault) => return failed(&fault),
    };
    assert_eq!(ends.len(), payloads.len(), "each has an end");
    for (key, end) in ["a", "b", "c"].into_iter().zip(&ends) {
        if received(end.result.clone()) {
            let own = Value::parse(&end.answer.body, &Limits::DEFAULT).ok();
            let said = own.as_ref().and_then(|own| own.get("ref")).and_then(Value::to_text);
            assert!(said.is_none_or(|said| said == key), "a result is of the payload that it names");
        }
    }
    ends.iter().any(|end| end.result.is_ok())
}

/// What is looked up before an order is written, and the order itself as it is read by its id.
fn looked_up(vendor: &Connector, mut answers: &[u8]) -> bool {
    let (settings, secrets) = (json!({}), secrets());
    let context = RequestContext { external_key: "k1", ..RequestContext::new(&settings, &secrets, now(), "n0nce") };
    let payload = Value::Map([("email".to_owned(), Value::from("kim@example.com"))].into_iter().collect());
    let mut next = || {
        let (one, others) = cut(answers);
        answers = others;
        http(one)
    };
    let mut found = Found::default();
    loop {
        match vendor.before_request(RecordKind::Order, Change::Write, Some(&payload), &mut found, &context) {
            Ok(Some(request)) => is_at_home(&request),
            Ok(None) => break,
            Err(error) => return refused(&error),
        }
        let read = vendor.read_before_answer(RecordKind::Order, Change::Write, Some(&payload), &mut found, &next(), &context);
        if let Err(fault) = read {
            return failed(&fault);
        }
    }
    assert_eq!(Found::from_value(&found.to_value()), found, "what was found is kept and read again");
    let Some(mut getter) = vendor.getter(RecordKind::Order, "7") else { return false };
    for _ in 0..PAGES_MAX {
        let Ok(Some(request)) = getter.next(&context) else { return false };
        is_at_home(&request);
        match getter.take(&next()) {
            Ok(Some(record)) => {
                assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&record).is_ok(), "a record is JSON");
                return true;
            }
            Ok(None) => {}
            Err(fault) => return failed(&fault),
        }
    }
    false
}

/// An answer about webhooks, keys, rates or the account. The first byte chooses about which.
pub fn account(data: &[u8]) -> bool {
    static VENDORS: LazyLock<[Connector; 4]> = LazyLock::new(|| {
        [
            "webhooks: {signature: {header: [X-Sig], secrets: [old]}, topic: {header: [X-Topic]}, topics: {made: {kind: order, id: id}},
              subscriptions: {
                subscribe: {request: {method: POST, path: /webhooks, body: {json: {topic: '{{ topic }}', address: '{{ hook_url }}'}}},
                  id: {path: webhook.id}, secret: {header: [X-Hook-Secret], path: webhook.secret}},
                list: {read: {request: {method: GET, path: /webhooks}, records: data.webhooks}, id: id, topic: topic, url: address,
                  active: 'state == \"on\"'},
                delete: {method: DELETE, path: '/webhooks/{{ subscription_id }}'}}}",
            "auth: {bearer: {secret: key}}, probe: {method: GET, path: /me}, rotation: {max_age_days: 90, automatic: {overlap_hours: 24,
                create: {request: {method: POST, path: /keys, body: {json: {name: '{{ key_label }}'}}}, keep: {key: token}, id: id},
                list: {request: {method: GET, path: /keys}, keys: keys, id: id, label: name, ends_with: hint, over: '!is_empty(revoked_at)'},
                retire: {method: DELETE, path: '/keys/{{ key_id }}'}}}",
            "rates: {read: {request: {method: GET, path: /latest}, records: rates}, base_path: base, date: timestamp, date_format: unix_s}",
            "rates: {read: {request: {method: GET, path: /latest}, records: rates}, base: EUR, to: currency, rate: rate, date: day}",
        ]
        .map(vendor)
    });
    let Some((choice, rest)) = data.split_first() else { return false };
    let ([hooks, keys, map, list], answer) = (&*VENDORS, http(rest));
    match choice % 8 {
        0 => match hooks.read_subscribe_answer(&answer, now()) {
            Ok(made) => {
                let secret = made.secret.is_some_and(|secret| !secret.expose_secret().is_empty());
                assert!(!made.id.is_empty() && secret, "without its secret no delivery could be verified");
                true
            }
            Err(fault) => failed(&fault),
        },
        1 => subscriptions(hooks, &answer),
        2 => new_key(keys, &answer),
        3 => listed_keys(keys, &answer),
        4 => keys.read_retired_key(&answer).map_or_else(|fault| failed(&fault), |()| true),
        5 => keys.read_probe_answer(&answer).map_or_else(|fault| failed(&fault), |()| true),
        6 => rates(map, &answer),
        _ => rates(list, &answer),
    }
}

fn subscriptions(vendor: &Connector, answer: &HttpAnswer) -> bool {
    let (settings, secrets) = (json!({}), secrets());
    let context = RequestContext::new(&settings, &secrets, now(), "n0nce");
    let Some(mut reader) = vendor.subscription_reader() else { return false };
    while let Ok(Some(request)) = reader.next(&context) {
        is_at_home(&request);
        if let Err(fault) = reader.take(answer) {
            return failed(&fault);
        }
    }
    let listed = reader.into_found();
    let compared = vendor.compare_subscriptions(&["made"], HOOK_URL, &listed);
    assert!(compared.stale.iter().all(|one| is_same_address(&one.url, HOOK_URL)), "what is somebody else's is not touched");
    assert!(compared.stale.len() + compared.foreign.len() <= listed.len() && compared.missing.len() <= 1);
    for one in &compared.stale {
        if let Ok(Some(request)) = vendor.delete_request(one, &context) {
            is_at_home(&request);
        }
    }
    true
}

fn new_key(vendor: &Connector, answer: &HttpAnswer) -> bool {
    let before = secrets();
    let made = match vendor.read_created_key(answer, &before) {
        Ok(made) => made,
        Err(fault) => return failed(&fault),
    };
    let kept = |fields: &SecretFields| fields.get("old").map(|secret| secret.expose_secret().to_owned());
    assert_eq!(kept(&made.fields), kept(&before), "the other secrets stay");
    let settings = json!({});
    let context = RequestContext::new(&settings, &made.fields, now(), "n0nce");
    let draft = Draft {
        method: Method::Get,
        url: "https://api.example.com/".into(),
        query: vec![],
        headers: vec![],
        body: DraftBody::None,
    };
    if let Ok(signed) = vendor.sign(draft, &context) {
        assert!(signed.headers.iter().all(|(_, value)| !value.contains(['\r', '\n'])), "a header is one line");
    }
    !made.id.is_empty()
}

fn listed_keys(vendor: &Connector, answer: &HttpAnswer) -> bool {
    let (settings, secrets) = (json!({}), secrets());
    let context = RequestContext::new(&settings, &secrets, now(), "n0nce");
    let listed = match vendor.read_keys(answer) {
        Ok(listed) => listed,
        Err(fault) => return failed(&fault),
    };
    for key in &listed {
        assert!(!key.id.is_empty(), "a key has an id");
        if let Ok(request) = vendor.key_retire_request(&key.id, &context) {
            is_at_home(&request);
        }
    }
    let ours = vendor.key_of(&listed, &secrets);
    assert!(ours.is_none_or(|key| key.ends_with.as_deref().is_some_and(|end| "s3cret-key".ends_with(end))), "{ours:?}");
    true
}

fn rates(vendor: &Connector, answer: &HttpAnswer) -> bool {
    match vendor.read_rates_answer(answer) {
        Ok(rates) => {
            assert!(!rates.is_empty(), "a day without rates is a failure");
            true
        }
        Err(fault) => failed(&fault),
    }
}

/// A document as it comes, before anybody asks what it is of.
pub fn value(data: &[u8]) -> bool {
    let value = match Value::parse(data, &Limits::DEFAULT) {
        Ok(value) => value,
        Err(error) => return refused(&error),
    };
    assert!(serde_json::from_slice::<serde::de::IgnoredAny>(data).is_ok(), "what we take is JSON to others, too");
    let text = value.to_json();
    if text.len() <= Limits::DEFAULT.bytes_max {
        let again = Value::parse(text.as_bytes(), &Limits::DEFAULT);
        assert_eq!(again.as_ref(), Ok(&value), "what is written is what was read");
        assert_eq!(again.map(|again| again.canonical_hash()), Ok(value.canonical_hash()), "and hashes the same");
    }
    true
}

/// What is kept of a call: no secret of the connection's, and no more than is said. The first byte chooses of which side.
pub fn kept(data: &[u8]) -> bool {
    static REDACTOR: LazyLock<Redactor> = LazyLock::new(|| Redactor::new(&secrets()));
    let Some((choice, body)) = data.split_first() else { return false };
    let redact = |text: &str| REDACTOR.redact(text).into_owned();
    let part = match choice % 4 {
        0 => Part::of_request(body, redact),
        1 => Part::of_answer(body, redact),
        2 => Part::of_token_request(body, redact),
        _ => Part::of_token_answer(body, redact),
    };
    assert!(part.text.len() <= KEPT_BYTES_MAX && !part.text.contains('\0'), "{part:?}");
    // Of a request that a secret stands in, the whole is that with the secret hidden.
    let text = String::from_utf8_lossy(body).replace('\0', "");
    let is_told_as_it_is = choice % 4 != 0 || REDACTOR.redact(&text) == text;
    assert!(part.whole.as_ref().is_none_or(|whole| !is_told_as_it_is || whole.length == body.len()), "{part:?}");
    for secret in ["s3cret-key", "an-older-one"] {
        assert!(!part.text.contains(secret), "a secret is kept: {}", part.text);
    }
    !part.text.is_empty()
}
