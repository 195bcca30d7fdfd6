//! What people and partners hand in: files, sheets, flows, plans, descriptions of APIs, keys and certificates, exports of the audit log, ids, what they type
//! into fields; and of answers what stands beside their records: tokens, and headers of limits and versions.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::sync::LazyLock;

use connectors::file::{FileRecords, Names};
use connectors::import::openapi;
use connectors::{Connector, Draft, DraftBody, RequestContext, TokenSet, callback_state};
use domain::audit_stream::SyslogAddress;
use domain::certificate::Certificate;
use domain::edit::Edits;
use domain::flow::FlowFile;
use domain::http::Method;
use domain::id::{AuditEventId, DeliveryId, IdError, PREFIXES, RecordId, TenantId};
use domain::invoice::{self, Agreement, DayUsage, Month};
use domain::lookup_table::sheet::{self, ROWS_MAX};
use domain::lookup_table::{Entry, TableKind};
use domain::plan::Plan;
use domain::record::RecordKind;
use domain::seal::{LINE_BYTES_MAX, Tampered, Verified, Verifier};
use domain::search_key::Asked;
use domain::secret::SecretFields;
use domain::task::Task;
use domain::usage::Meter;
use domain::value::{Limits, Value};
use serde_json::json;

use super::{cut, http, now, refused, vendor};

/// Records of one file.
const RECORDS_MAX: usize = 50_000;

/// A file of a drop folder. The first byte chooses what it is.
pub fn file(data: &[u8]) -> bool {
    static VENDORS: LazyLock<[(Connector, &str); 8]> = LazyLock::new(|| {
        [
            ("format: csv", "orders.csv"),
            ("format: csv, delimiter: ';', encoding: windows-1252", "orders.csv"),
            ("format: csv, group: id", "orders.csv"),
            ("format: csv, group: id, paths: true", "orders.csv"),
            ("format: json_lines", "orders.jsonl"),
            ("format: xml, records: order, lists: [line]", "orders.xml"),
            ("format: xml, records: a.order", "orders.xml"),
            ("format: csv, columns: 'id,total'", "orders.csv.gz"),
        ]
        .map(|(files, name)| (vendor(&format!("resources: {{order: {{id: id, files: {{folder: in, {files}}}}}}}")), name))
    });
    let Some((choice, file)) = data.split_first() else { return false };
    let (connector, name) = &VENDORS[usize::from(*choice) % VENDORS.len()];
    let (settings, secrets) = (json!({}), SecretFields::default());
    let context = RequestContext::new(&settings, &secrets, now(), "n0nce");
    let inbox = connector.inbox(RecordKind::Order, &context);
    let inbox = inbox.and_then(Result::ok).unwrap_or_else(|| panic!("an inbox"));
    let records = match FileRecords::open(Cursor::new(file), name, &inbox) {
        Ok(records) => records,
        Err(flaw) => return refused(&flaw),
    };
    let (mut is_read, mut line, mut count) = (false, 0, 0);
    for record in records {
        let record = match record {
            Ok(record) => record,
            Err(flaw) => return refused(&flaw),
        };
        count += 1;
        assert!(count <= RECORDS_MAX, "no more records than bytes");
        assert!(record.line >= line && record.line > 0, "records follow each other: {} after {line}", record.line);
        line = record.line;
        match record.document {
            Ok((document, _)) => {
                let read = Value::parse(&document, &Limits::DEFAULT);
                assert!(read.is_ok(), "a record can be read again: {read:?}");
                is_read = true;
            }
            Err(what) => assert!(!what.is_empty()),
        }
    }
    is_read
}

/// A lookup table as a sheet. The first byte chooses of which kind.
pub fn lookup_sheet(data: &[u8]) -> bool {
    let Some((choice, text)) = data.split_first() else { return false };
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let kind = [TableKind::Codes, TableKind::Rates, TableKind::Units][usize::from(*choice) % 3];
    let read = sheet::read(kind, text);
    assert!(read.rows.len() + read.bad.count <= ROWS_MAX + 1);
    assert!(read.bad.rows.iter().all(|bad| !bad.what.is_empty() && bad.line > 0));
    let entries: Vec<&Entry> = read.rows.iter().map(|(_, entry)| entry).collect();
    let again = sheet::read(kind, &sheet::write(kind, entries.iter().copied()));
    assert_eq!(again.bad.count, 0, "what is written is read: {:?}", again.bad);
    assert_eq!(again.rows.iter().map(|(_, entry)| entry).collect::<Vec<_>>(), entries, "and says the same");
    !entries.is_empty() && read.bad.count == 0
}

/// A flow as code.
pub fn flow_file(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let flow: FlowFile = match connectors::yaml(text) {
        Ok(flow) => flow,
        Err(error) => return refused(&error),
    };
    let again = connectors::yaml::<FlowFile>(&connectors::to_yaml(&flow));
    assert_eq!(again.as_ref(), Ok(&flow), "what is exported is what was read");
    let none = BTreeMap::new();
    let escaped = flow.escaped().filled(&none).map(|(flow, _)| flow);
    assert_eq!(escaped.as_ref(), Ok(&flow), "what looks like a variable is none");
    let variables = [("url".to_owned(), "${url}".to_owned())].into();
    match flow.check().and_then(|()| flow.filled(&variables)) {
        Ok((_, used)) => {
            assert!(used.iter().all(|name| name == "url"));
            true
        }
        Err(error) => refused(&error),
    }
}

/// A vendor's description of its API.
pub fn openapi(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let draft = match openapi::draft("acme", text) {
        Ok(draft) => draft,
        Err(error) => return refused(&error),
    };
    let yaml = connectors::yaml::<serde_json::Value>(&draft.yaml);
    assert!(yaml.is_ok(), "whatever a description says is quoted: {yaml:?}\n{}", draft.yaml);
    // What it says may be nothing that a connector can do; then a person sees why.
    match Connector::from_files("acme", HashMap::from([("connector.yaml".to_owned(), draft.yaml)])) {
        Ok(_) => true,
        Err(errors) => refused(&errors),
    }
}

/// What a token server answers, and what a browser brings back from a consent: the first byte chooses how the vendor does it; a query, `===`, an answer.
pub fn token(data: &[u8]) -> bool {
    static VENDORS: LazyLock<[Connector; 4]> = LazyLock::new(|| {
        [
            "oauth2: {grant: client_credentials, token: {url: /t, client: none}}",
            "oauth2: {grant: authorization_code, authorize: {url: /a}, token: {url: /t, client: none, client_id: key, keep: {data.host: company}}, refresh: {rotates: true, lifetime_s: 8640000}}",
            "oauth2: {grant: client_credentials, token: {url: /t, client: none, paths: {access_token: 'data.tokens[0].value', expires_at: data.until}}}",
            "session: {login: {method: POST, path: /l, body: {json: {a: b}}}, token: {header: [X-Token], path: token}, cookies: [S], send: {header: X-S}, lifetime_s: 60}",
        ]
        .map(|auth| vendor(&format!("settings: {{company: {{title: C}}}}, auth: {{{auth}}}")))
    });
    let Some((choice, rest)) = data.split_first() else { return false };
    let (query, answer) = cut(rest);
    let (connector, answer) = (&VENDORS[usize::from(*choice) % VENDORS.len()], http(answer));
    let query = String::from_utf8_lossy(query);
    let (settings, secrets) = (json!({}), SecretFields::default());
    let _ = (callback_state(&query), connector.read_callback(&query));
    let _ = connector.check_issuer(&query, &RequestContext::new(&settings, &secrets, now(), "n0nce"));
    let mut previous: Option<TokenSet> = None;
    for _ in 0..2 {
        match connector.read_token_answer(&answer, previous.as_ref(), now()) {
            Ok(token) => {
                let again = TokenSet::from_secret_fields(&token.to_secret_fields());
                let Some(again) = again else { panic!("a token that is kept can be read again: {token:?}") };
                assert_eq!(again.cookies.len(), token.cookies.len());
                let _ = connector.needs_token(Some(&again), now());
                let draft = Draft {
                    method: Method::Get,
                    url: "https://api.example.com/".into(),
                    query: vec![],
                    headers: vec![],
                    body: DraftBody::None,
                };
                let context = RequestContext { token: Some(&again), ..RequestContext::new(&settings, &secrets, now(), "n0nce") };
                if let Ok(signed) = connector.sign(draft, &context) {
                    let is_line = |(_, value): &(String, String)| !value.contains(['\r', '\n']);
                    assert!(signed.headers.iter().all(is_line), "a header is one line");
                }
                previous = Some(again);
            }
            Err(fault) => {
                assert!(!fault.reason.is_empty() && !fault.fix.is_empty(), "a fault has a reason and a fix");
                return false;
            }
        }
    }
    true
}

/// Headers of limits, of how long to wait, of versions and their end.
pub fn headers(data: &[u8]) -> bool {
    static VENDOR: LazyLock<Connector> = LazyLock::new(|| {
        vendor(
            "versions: [{id: '2026-01', current: true}], version_echo: {header: [X-Version], path: version}, limits: [
              {bucket: a, rate: {calls: 40, per_s: 20}, headers: {limit: X-Calls, remaining: X-Left, reset: {header: X-Reset, unit: unix_s}}},
              {bucket: b, rate: {calls: 150, per_s: 30}, headers: {limit: X-Quota, reset: {header: X-Reset-Ms, unit: milliseconds}}},
              {bucket: c, cost: {points: 2000, restore_per_s: 100, left: cost.left, spent: cost.spent}}]",
        )
    });
    let (connector, answer) = (&*VENDOR, http(data));
    let (states, told, signs) = (connector.limit_states(&answer), connector.told(&answer), connector.sunset_signs(&answer));
    let mut numbers = told.buckets.iter().flat_map(|bucket| [bucket.left, bucket.scale, bucket.spent]).flatten();
    assert!(numbers.all(|number| number.is_finite() && number >= 0.0), "{told:?}");
    let fault = connector.classify(&answer);
    assert!(!fault.reason.is_empty() && !fault.fix.is_empty(), "a fault has a reason and a fix");
    // Shown in JSON and kept in a database.
    let shown = |at: chrono::DateTime<chrono::Utc>| chrono::DateTime::parse_from_rfc3339(&at.to_rfc3339()).is_ok();
    for sign in &signs {
        assert!([sign.ends_at, sign.deprecated_at].into_iter().flatten().all(shown), "{sign:?}");
    }
    !states.is_empty() || !signs.is_empty() || told.retry_after_ms.is_some()
}

/// Signed by whoever writes this word: real signatures would leave chance at the first line.
fn is_signed(_: &[u8], _: &[u8], signature: &[u8]) -> bool {
    signature == b"signed"
}

/// What `crossdock audit verify` is given: an export, or a no-loss certificate.
pub fn audit_export(data: &[u8]) -> bool {
    if data.starts_with(b"{\"statement\"") {
        let Ok(certificate) = Certificate::parse(data) else { return false };
        return match certificate.check() {
            Ok(()) => true,
            Err(error) => refused(&error),
        };
    }
    match verified(data) {
        Ok(verified) => {
            let all = verified.events.saturating_add(verified.removed);
            assert!(verified.head.after > 0 || all == verified.head.events, "all that the head says is there: {verified:?}");
            true
        }
        Err(tampered) => refused(&tampered),
    }
}

fn verified(data: &[u8]) -> Result<Verified, Tampered> {
    let mut lines = data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line.len() <= LINE_BYTES_MAX);
    let mut verifier = Verifier::begin(lines.next().unwrap_or_default(), None, None, is_signed)?;
    lines.try_for_each(|line| verifier.take(line))?;
    verifier.finish()
}

/// What somebody stores as a certificate or a key. The first byte chooses as what.
pub fn certificate(data: &[u8]) -> bool {
    static VENDORS: LazyLock<[Connector; 4]> = LazyLock::new(|| {
        [
            "mutual_tls: {certificate: key, key: old}",
            "jwt: {algorithm: RS256, key: key, lifetime_s: 60}",
            "jwt: {algorithm: ES256, key: key, lifetime_s: 60}",
            "oauth2: {grant: jwt_bearer, token: {url: /t, client: none}, assertion: {algorithm: PS256, key: key, lifetime_s: 60}}",
        ]
        .map(|auth| vendor(&format!("auth: {{{auth}}}")))
    });
    let Some((choice, text)) = data.split_first() else { return false };
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let connector = &VENDORS[usize::from(*choice) % VENDORS.len()];
    let secrets: SecretFields = [("key".to_owned(), text.into())].into_iter().collect();
    let settings = json!({});
    let context = RequestContext::new(&settings, &secrets, now(), "n0nce");
    let ends = connector.credential_ends(&secrets, None, now());
    let draft = Draft {
        method: Method::Get,
        url: "https://api.example.com/".into(),
        query: vec![],
        headers: vec![],
        body: DraftBody::None,
    };
    let made = [connector.sign(draft, &context).map(|_| ()), connector.token_request(&context).map(|_| ())];
    for error in made.iter().filter_map(|made| made.as_ref().err()) {
        let said = error.to_string();
        assert!(text.len() < 8 || !said.contains(text), "a key is not repeated");
    }
    // Without a token, what is signed by one alone is not signed; then its request says whether the key is good.
    let is_key = connector.needs_token(None, now()) || made[0].is_ok();
    ends.is_some() || (usize::from(*choice) % VENDORS.len() > 0 && is_key && made[1].is_ok())
}

/// An id in a text; or a task of the broker's.
pub fn id(data: &[u8]) -> bool {
    if let Ok(task) = serde_json::from_slice::<Task>(data) {
        let again: Result<Task, _> = serde_json::to_vec(&task).and_then(|bytes| serde_json::from_slice(&bytes));
        assert!(again.is_ok_and(|again| again == task), "a task travels");
        return true;
    }
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let parsed = [
        text.parse::<TenantId>().map(|id| id.to_string()),
        text.parse::<RecordId>().map(|id| id.to_string()),
        text.parse::<DeliveryId>().map(|id| id.to_string()),
        text.parse::<AuditEventId>().map(|id| id.to_string()),
    ];
    let good: Vec<&String> = parsed.iter().filter_map(|parsed: &Result<String, IdError>| parsed.as_ref().ok()).collect();
    assert!(good.len() <= 1, "an id is of one kind");
    for id in &good {
        assert!(id.eq_ignore_ascii_case(text), "an id has one spelling: {id} {text}");
        assert!(PREFIXES.iter().filter(|(prefix, _)| text.starts_with(&format!("{prefix}_"))).count() == 1);
    }
    !good.is_empty()
}

/// A plan, as an operator's file says it, and what a month of the most use on it comes to.
pub fn plan(data: &[u8]) -> bool {
    /// Of one meter in a month, as many as a plan can speak of.
    const USED_MAX: i64 = 1_000_000_000_000;
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let plan: Plan = match connectors::yaml(text) {
        Ok(plan) => plan,
        Err(error) => return refused(&error),
    };
    let kept = serde_json::to_string(&plan).ok().and_then(|json| serde_json::from_str::<Plan>(&json).ok());
    assert_eq!(kept.as_ref(), Some(&plan), "what is kept of it is what was read");
    let problems = plan.problems();
    assert!(problems.iter().all(|problem| !problem.is_empty()));
    let Some(month) = Month::parse("2026-11").filter(|_| problems.is_empty()) else { return false };
    let usage = Meter::ALL.map(|meter| DayUsage { day: month.last_day(), meter, quantity: USED_MAX });
    let currency = plan.currency.clone();
    let lines = invoice::lines(month, &[Agreement { from: month.first_day(), plan }], &usage);
    assert_eq!(invoice::check(&lines, &currency), Ok(()), "a bill adds up");
    assert!(invoice::total(&lines) >= lines.iter().map(|line| line.amount).max().unwrap_or_default(), "nothing is paid back");
    true
}

/// What people type into a field, each a text. The first byte of an input is a place in the list, so that a new one stands last.
pub fn typed(data: &[u8]) -> bool {
    const FIELDS: [fn(&str) -> bool; 5] = [searched, edited, named, syslog, month];
    let Some((choice, rest)) = data.split_first() else { return false };
    std::str::from_utf8(rest).is_ok_and(FIELDS[usize::from(*choice) % FIELDS.len()])
}

fn searched(text: &str) -> bool {
    match Asked::read(text) {
        Some(Asked::Own { prefix, .. }) => {
            assert!(PREFIXES.iter().any(|(known, _)| *known == prefix) && text.trim().starts_with(prefix));
            true
        }
        Some(Asked::Keys { keys, text }) => {
            assert!(keys.iter().all(|key| !key.text.is_empty() && !key.text.contains('\0')), "a key can be stored: {keys:?}");
            !text.is_empty()
        }
        None => false,
    }
}

/// A field of a record, a line break, and what it becomes.
fn edited(text: &str) -> bool {
    let (path, json) = text.split_once('\n').unwrap_or((text, "null"));
    let edits = match Edits::read([(path, json)]) {
        Ok(edits) => edits,
        Err(error) => return refused(&error),
    };
    assert_eq!(Edits::from_json(&edits.to_value().to_json()), edits, "what is kept is what was typed");
    let document = br#"{"lines": [{"sku": "A", "price": 10.50}, {"sku": "B"}], "customer": {"email": "ada@example.com"}}"#;
    let Ok(mut document) = Value::parse(document, &Limits::DEFAULT) else { return false };
    if let Err(error) = edits.apply(&mut document) {
        return refused(&error);
    }
    let is_there = |value: &&Value| !value.is_null();
    let typed = edits.0.first().map(|edit| &edit.value).filter(is_there);
    assert_eq!(document.at(path).filter(is_there), typed, "what was typed stands where it was typed for");
    true
}

/// Patterns of a folder's files, a line break, and a name there.
fn named(text: &str) -> bool {
    let (patterns, name) = text.split_once('\n').unwrap_or(("*", text));
    let is_taken = Names::read(patterns).take(name);
    assert!(!is_taken || Names::read("*").take(name), "what no folder has by this name, no pattern finds there");
    assert!(!is_taken || !(name.contains('/') || name.starts_with('.')), "a name leads nowhere else: {name}");
    is_taken
}

fn syslog(text: &str) -> bool {
    let Some(address) = SyslogAddress::parse(text) else { return false };
    let scheme = if address.is_tls { "tls" } else { "tcp" };
    let again = SyslogAddress::parse(&format!("{scheme}://[{}]:{}", address.host, address.port));
    assert_eq!(again.as_ref(), Some(&address), "an address is read as it is written");
    true
}

fn month(text: &str) -> bool {
    Month::parse(text).is_some_and(|month| {
        assert_eq!(month.to_string(), text, "a month has one spelling");
        assert!((28..=31).contains(&month.days()) && month.minus(1) < month);
        true
    })
}
