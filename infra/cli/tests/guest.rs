//! `crossdock connector import airbyte … read`, as a tenant uses it: the real program reads a manifest of theirs from a vendor on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::http::{Delivery, HttpAnswer, HttpRequest};
use infra::loopback::{self, Answer, Running};
use serde_json::{Value, json};

const MANIFEST: &str = r##"
version: 6.0.0
type: DeclarativeSource
check: { type: CheckStream, stream_names: [orders] }
definitions:
  base:
    type: DeclarativeStream
    retriever:
      type: SimpleRetriever
      requester:
        type: HttpRequester
        url_base: "{{ config['base'] }}"
        path: "{{ parameters['path'] }}"
        authenticator: { type: BearerAuthenticator, api_token: "{{ config['key'] }}" }
        error_handler:
          type: DefaultErrorHandler
          backoff_strategies: [{ type: ConstantBackoffStrategy, backoff_time_in_seconds: 0.01 }]
      record_selector: { type: RecordSelector, extractor: { type: DpathExtractor, field_path: [items] } }
      paginator:
        type: DefaultPaginator
        pagination_strategy: { type: PageIncrement, page_size: 2, start_from_page: 1 }
        page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: page }
streams:
  - $ref: "#/definitions/base"
    name: orders
    $parameters: { path: orders }
    incremental_sync:
      type: DatetimeBasedCursor
      cursor_field: updated_at
      datetime_format: "%Y-%m-%d"
      start_datetime: "2026-01-01"
      end_datetime: "{{ config['end'] }}"
      start_time_option: { type: RequestOption, inject_into: request_parameter, field_name: since }
  - $ref: "#/definitions/base"
    name: items
    $parameters: { path: items }
  - $ref: "#/definitions/base"
    name: refused
    $parameters: { path: refused }
  - $ref: "#/definitions/base"
    name: own
    $parameters: { path: own }
    retriever:
      $ref: "#/definitions/base/retriever"
      requester:
        $ref: "#/definitions/base/retriever/requester"
        authenticator:
          type: OAuthAuthenticator
          token_refresh_endpoint: "{{ config['base'] }}/token"
          client_id: me
          client_secret: "{{ config['key'] }}"
          grant_type: client_credentials
  - $ref: "#/definitions/base"
    name: custom
    retriever: { type: CustomRetriever, class_name: source_hats.HatsRetriever }
spec:
  type: Spec
  connection_specification:
    type: object
    required: [base, key]
    properties:
      base: { type: string, title: Address }
      key: { type: string, title: Key, airbyte_secret: true }
      end: { type: string, title: End }
"##;
const KEY: &str = "s3cret-key/of the tenant";
const TOKEN: &str = "t0ken-of-an-hour";

/// A vendor of five orders and three items, two a page. It writes down what it is asked.
struct Vendor {
    running: Running,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Vendor {
    /// `trouble` is asked first: the number of the request from 0, and its path with the query.
    async fn start(trouble: impl Fn(usize, &str) -> Option<Answer> + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (log, count) = (asked.clone(), AtomicUsize::new(0));
        let handler = move |request: HttpRequest, _: usize| {
            let path = request.url.splitn(4, '/').last().unwrap().to_owned();
            log.lock().unwrap().push(path.clone());
            trouble(count.fetch_add(1, Ordering::SeqCst), &path).unwrap_or_else(|| serve(&request, &path))
        };
        Self { running: loopback::serve("127.0.0.1:0".parse().unwrap(), Arc::new(handler)).await.unwrap(), asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn answer(status: u16, body: &Value) -> Answer {
    Answer {
        answer: HttpAnswer { status, headers: Vec::new(), body: body.to_string().into() },
        delay: Duration::ZERO,
        delivery: Delivery::Whole,
    }
}

fn serve(request: &HttpRequest, path: &str) -> Answer {
    let query = |name: &str| {
        let pairs = path.split_once('?').map_or("", |(_, query)| query).split('&');
        pairs.filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
    };
    let authorization = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    let shown = authorization.map_or("", |(_, value)| value.as_str());
    let records: Vec<Value> = match path.split('?').next().unwrap() {
        "token" => return answer(200, &json!({"access_token": TOKEN, "expires_in": 3600})),
        // Vendors do echo what they were sent.
        "refused" | "own" => return answer(403, &json!({"message": format!("you may not, with {shown}")})),
        "orders" => {
            let since = query("since").unwrap();
            let orders = (1..=5).map(|n| json!({"id": n, "updated_at": format!("2026-01-0{n}"), "total": "10.00"}));
            orders.filter(|order| order["updated_at"].as_str().unwrap() >= since.as_str()).collect()
        }
        _ => (1..=3).map(|n| json!({"sku": format!("HAT-{n}"), "id": 9_007_199_254_740_993_u64})).collect(),
    };
    assert_eq!(shown, format!("Bearer {KEY}"));
    let page: usize = query("page").map_or(1, |page| page.parse().unwrap());
    answer(200, &json!({"items": records.into_iter().skip((page - 1) * 2).take(2).collect::<Vec<_>>()}))
}

/// A folder with a manifest and settings, gone at the end.
struct Tenant(PathBuf);

struct Output {
    is_content: bool,
    lines: Vec<Value>,
    said: String,
}

impl Output {
    fn of(&self, stream: &str) -> Vec<&Value> {
        self.lines.iter().filter(|line| line["stream"] == stream).map(|line| &line["record"]).collect()
    }
}

impl Tenant {
    fn new(name: &str, base: &str, end: &str) -> Self {
        let tenant = Self(std::env::temp_dir().join(format!("crossdock-guest-{}-{name}", std::process::id())));
        let _ = std::fs::remove_dir_all(&tenant.0);
        std::fs::create_dir_all(&tenant.0).unwrap();
        std::fs::write(tenant.0.join("manifest.yaml"), MANIFEST).unwrap();
        tenant.configure(base, end);
        tenant
    }

    fn configure(&self, base: &str, end: &str) {
        let config = json!({"base": base, "key": KEY, "end": end});
        std::fs::write(self.0.join("config.json"), config.to_string()).unwrap();
    }

    fn state(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.0.join("state.json")).unwrap()).unwrap()
    }

    /// The program, with hosts of ours that an operator has opened.
    async fn reads(&self, allow: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_crossdock"));
        command
            .args(["connector", "import", "airbyte", "manifest.yaml", "read", "--config", "config.json"])
            .args(arguments)
            .current_dir(&self.0)
            .env("CROSSDOCK_OUTBOUND_ALLOW", allow)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        for secret in [KEY, TOKEN, "s3cret-key"] {
            assert!(!said.contains(secret), "{said}");
        }
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Output { is_content: output.status.success(), lines, said }
    }
}

impl Drop for Tenant {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const OPEN: &str = "127.0.0.1:*";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_read_brings_what_is_new() {
    let vendor = Vendor::start(|_, _| None).await;
    let tenant = Tenant::new("state", &vendor.running.url(), "2026-01-04");
    let arguments = ["--stream", "orders", "--state", "state.json"];
    let output = tenant.reads(OPEN, &arguments).await;
    assert!(output.is_content, "{}", output.said);
    assert_eq!(output.of("orders").len(), 5);
    assert_eq!(output.of("orders")[0].to_string(), r#"{"id":1,"updated_at":"2026-01-01","total":"10.00"}"#);
    assert_eq!(vendor.asked(), ["orders?since=2026-01-01", "orders?page=2&since=2026-01-01", "orders?page=3&since=2026-01-01"]);
    let state = tenant.state();
    assert_eq!(state[0]["stream"]["stream_descriptor"]["name"], "orders", "{state}");

    tenant.configure(&vendor.running.url(), "2026-01-09");
    let output = tenant.reads(OPEN, &arguments).await;
    assert!(output.is_content, "{}", output.said);
    assert_eq!(output.lines, [json!({"stream": "orders", "record": {"id": 5, "updated_at": "2026-01-05", "total": "10.00"}})]);
    assert_eq!(vendor.asked(), ["orders?since=2026-01-05"], "the last day is asked for again, and no other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_named_and_stops_no_other_stream() {
    let vendor = Vendor::start(|_, _| None).await;
    let tenant = Tenant::new("named", &vendor.running.url(), "2026-01-04");
    let output = tenant.reads(OPEN, &["--state", "state.json"]).await;
    assert!(!output.is_content, "a read that is not whole is no success");
    assert_eq!((output.of("orders").len(), output.of("items").len(), output.lines.len()), (5, 3, 8));
    assert_eq!(output.of("items")[0].to_string(), r#"{"sku":"HAT-1","id":9007199254740993}"#);
    for said in [
        "refused: The vendor answered 403. It says: you may not, with Bearer •••",
        "own: The vendor answered 403. It says: you may not, with Bearer •••",
        "custom: the stream custom is not run: streams[4].retriever: CustomRetriever (source_hats.HatsRetriever) is not run",
        "Give the credential the right to read this at the vendor.",
    ] {
        assert!(output.said.contains(said), "{said}: {}", output.said);
    }
    let kept = tenant.state();
    let kept: Vec<_> = kept.as_array().unwrap().iter().map(|state| &state["stream"]["stream_descriptor"]["name"]).collect();
    assert!(kept.contains(&&json!("orders")) && kept.contains(&&json!("items")), "{kept:?}");

    let output = tenant.reads(OPEN, &["--stream", "items", "--stream", "nothing"]).await;
    assert!(!output.is_content && output.said.contains("there is no stream nothing; there are orders, items"), "{}", output.said);
    assert_eq!(output.lines.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_inside_our_walls_are_not_called_unless_an_operator_opens_them() {
    let vendor = Vendor::start(|_, _| None).await;
    let tenant = Tenant::new("walls", &vendor.running.url(), "2026-01-04");
    let output = tenant.reads("", &["--stream", "items"]).await;
    assert!(!output.is_content && output.said.contains("CROSSDOCK_OUTBOUND_ALLOW"), "{}", output.said);
    assert_eq!(vendor.asked(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_outages_and_lost_answers_are_waited_out() {
    let vendor = Vendor::start(|at, _| match at {
        0 => Some(answer(429, &json!({"message": "slowly"}))),
        1 => Some(answer(503, &json!({}))),
        2 => Some(Answer { delivery: Delivery::Drop, ..answer(200, &json!({})) }),
        _ => None,
    })
    .await;
    let tenant = Tenant::new("waits", &vendor.running.url(), "2026-01-04");
    let output = tenant.reads(OPEN, &["--stream", "items"]).await;
    assert!(output.is_content, "{}", output.said);
    assert_eq!((output.lines.len(), vendor.asked().len()), (3, 5));
    assert!(output.said.contains("The vendor answered 429. It says: slowly It is asked again in 0.0 s."), "{}", output.said);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_stops_a_read_and_what_was_cut_comes_again() {
    let vendor = Vendor::start(|_, _| None).await;
    let tenant = Tenant::new("bounds", &vendor.running.url(), "2026-01-04");
    let output = tenant.reads(OPEN, &["--stream", "items", "--pages", "1"]).await;
    assert!(output.is_content && output.said.contains("stopped at the bound"), "{}", output.said);
    assert_eq!((output.lines.len(), vendor.asked().len()), (2, 1));

    for (records, pages) in [("1", 1), ("2", 1), ("3", 2), ("5", 3)] {
        let output = tenant.reads(OPEN, &["--stream", "orders", "--records", records, "--state", "state.json"]).await;
        assert!(output.is_content, "{}", output.said);
        assert_eq!((output.lines.len().to_string().as_str(), vendor.asked().len()), (records, pages));
        assert_eq!(output.of("orders")[0]["id"], 1, "what was not read whole begins anew");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_none_is_a_fault_and_keeps_nothing() {
    let html = || HttpAnswer { status: 200, headers: Vec::new(), body: "<html>Please sign in</html>".into() };
    let vendor = Vendor::start(move |at, _| (at == 1).then(|| Answer { answer: html(), ..answer(200, &json!({})) })).await;
    let tenant = Tenant::new("unreadable", &vendor.running.url(), "2026-01-04");
    let output = tenant.reads(OPEN, &["--stream", "orders", "--state", "state.json"]).await;
    assert!(!output.is_content, "{}", output.said);
    assert_eq!((output.lines.len(), vendor.asked().len()), (2, 2));
    let output = tenant.reads(OPEN, &["--stream", "orders", "--state", "state.json"]).await;
    assert!(output.is_content && output.lines.len() == 5, "{}", output.said);
    assert!(vendor.asked()[0].ends_with("since=2026-01-01"), "the first page comes again, and nothing is skipped");
}

#[test]
fn without_read_a_manifest_is_only_surveyed() {
    let tenant = Tenant::new("survey", "http://127.0.0.1:1", "2026-01-04");
    let command = ["connector", "import", "airbyte", "manifest.yaml"];
    let output = Command::new(env!("CARGO_BIN_EXE_crossdock")).args(command).current_dir(&tenant.0).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("4 of 5 streams can be read") && text.contains("no  custom"), "{text}");
}
