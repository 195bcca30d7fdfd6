//! NetSuite's SuiteTalk REST, simulated: token based authentication, concurrency governance, external-id upsert, error bodies,
//! field validation. It keeps every write, so that a test can say "exactly once".

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use domain::value::{Limits, Value};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::oauth::{self, Keys, Nonces};

/// How the account behaves.
#[derive(Debug, Clone)]
pub struct Account {
    pub keys: Keys,
    /// Requests it serves at once; further ones get 429.
    pub concurrency: usize,
    /// How long a request takes.
    pub latency: Duration,
    /// Item ids that exist; empty: any number does.
    pub items: HashSet<String>,
}

impl Account {
    #[must_use]
    pub fn demo() -> Self {
        let keys = Keys {
            account: "1234567_SB1".into(),
            consumer_key: "demo-consumer-key".into(),
            consumer_secret: "demo-consumer-secret".into(),
            token_id: "demo-token-id".into(),
            token_secret: "demo-token-secret".into(),
        };
        Self { keys, concurrency: 15, latency: Duration::from_millis(5), items: HashSet::new() }
    }
}

/// What goes wrong on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Fault {
    /// The write is committed and the answer never comes.
    LoseAnswer,
    /// Nothing is committed and the answer never comes.
    LoseRequest,
    /// This status, with NetSuite's error body; nothing is committed.
    Status { status: u16 },
}

/// A stored order and how it came to be.
#[derive(Debug, Clone, Serialize)]
pub struct Order {
    pub id: u64,
    pub creates: u32,
    pub updates: u32,
    pub revision: i64,
    /// What NetSuite computed from the lines.
    pub total: Decimal,
    /// What the sender says the total is.
    pub declared_total: Decimal,
    pub body: String,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Stats {
    pub orders: usize,
    pub creates: u64,
    pub updates: u64,
    pub reads: u64,
    pub refused: BTreeMap<String, u64>,
    pub in_flight_max: usize,
}

#[derive(Default)]
struct State {
    orders: BTreeMap<String, Order>,
    next_id: u64,
    nonces: Nonces,
    stats: Stats,
    /// Faults, taken one for each request.
    faults: Vec<Fault>,
}

struct Shared {
    account: Account,
    state: Mutex<State>,
    in_flight: AtomicUsize,
}

/// A running simulator. Stops when dropped.
pub struct Erp {
    shared: Arc<Shared>,
    pub address: SocketAddr,
    handle: actix_web::dev::ServerHandle,
}

impl Erp {
    /// Starts on a free loopback port, in a thread of its own.
    #[must_use]
    pub fn start(account: Account) -> Self {
        Self::start_at(account, "127.0.0.1:0").expect("a loopback port is free")
    }

    /// # Errors
    /// Where the address cannot be bound.
    pub fn start_at(account: Account, listen: &str) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            account,
            state: Mutex::new(State { next_id: 5_000, ..State::default() }),
            in_flight: AtomicUsize::new(0),
        });
        let data = web::Data::from(shared.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(104 * 1024 * 1024))
                .service(
                    web::resource("/services/rest/record/v1/salesOrder/{key}")
                        .route(web::put().to(put))
                        .route(web::get().to(get)),
                )
                .service(web::resource("/_control/stats").route(web::get().to(stats)))
                .default_service(web::to(|| async { error(404, "NOT_FOUND", "the record type does not exist", None) }))
        })
        .workers(1)
        .keep_alive(Duration::from_secs(60))
        .disable_signals()
        .bind(listen)?;
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        std::thread::Builder::new().name("erp".into()).spawn(move || actix_web::rt::System::new().block_on(server))?;
        Ok(Self { shared, address, handle })
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        let state = self.shared.state.lock().expect("no handler panics");
        Stats { orders: state.orders.len(), ..state.stats.clone() }
    }

    /// Every order, by external id.
    #[must_use]
    pub fn orders(&self) -> BTreeMap<String, Order> {
        self.shared.state.lock().expect("no handler panics").orders.clone()
    }

    /// These faults meet the next writes, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        self.shared.state.lock().expect("no handler panics").faults.extend(faults);
    }

    pub fn reset(&self) {
        let mut state = self.shared.state.lock().expect("no handler panics");
        state.orders.clear();
        state.stats = Stats::default();
    }
}

impl Drop for Erp {
    fn drop(&mut self) {
        // The future only waits for the end; the order to stop is given here.
        drop(self.handle.stop(false));
    }
}

/// Counts what is served at once, and gives the place back however the request ends.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn refuse(&self, status: u16, code: &str, detail: &str, path: Option<&str>) -> HttpResponse {
        *self.state.lock().expect("no handler panics").stats.refused.entry(code.to_owned()).or_default() += 1;
        error(status, code, detail, path)
    }

    /// What the vendor checks before anything else: who, and how many at once.
    fn admit(&self, request: &HttpRequest) -> Result<Place<'_>, HttpResponse> {
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        let place = Place(&self.in_flight);
        let authorization = request.headers().get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let url = format!("http://{}{}", request.connection_info().host(), request.path_raw());
        let checked = {
            let mut state = self.state.lock().expect("no handler panics");
            state.stats.in_flight_max = state.stats.in_flight_max.max(in_flight.min(self.account.concurrency));
            let now = chrono::Utc::now().timestamp();
            oauth::check(
                &self.account.keys,
                &mut state.nonces,
                authorization,
                request.method().as_str(),
                &url,
                request.query_string(),
                now,
            )
        };
        if let Err(why) = checked {
            tracing::debug!(why, "refused");
            return Err(self.refuse(
                401,
                "INVALID_LOGIN_ATTEMPT",
                "Invalid login attempt. For more details, see the Login Audit Trail.",
                None,
            ));
        }
        if in_flight > self.account.concurrency {
            return Err(self.refuse(
                429,
                "CONCURRENCY_LIMIT_EXCEEDED",
                "Concurrent request limit exceeded. Request blocked.",
                None,
            ));
        }
        Ok(place)
    }
}

trait RawPath {
    fn path_raw(&self) -> &str;
}

impl RawPath for HttpRequest {
    /// The path as it was sent: the signature covers the encoded one.
    fn path_raw(&self) -> &str {
        self.uri().path()
    }
}

async fn put(request: HttpRequest, key: web::Path<String>, body: web::Bytes, shared: web::Data<Shared>) -> HttpResponse {
    let _place = match shared.admit(&request) {
        Ok(place) => place,
        Err(refusal) => return refusal,
    };
    let fault = {
        let mut state = shared.state.lock().expect("no handler panics");
        if state.faults.is_empty() { None } else { Some(state.faults.remove(0)) }
    };
    tokio::time::sleep(shared.account.latency).await;
    match fault {
        Some(Fault::LoseRequest) => return silence().await,
        Some(Fault::Status { status }) => {
            return shared.refuse(status, "UNEXPECTED_ERROR", "An unexpected error occurred.", None);
        }
        Some(Fault::LoseAnswer) | None => {}
    }
    let Some(external_id) = key.strip_prefix("eid:") else {
        return shared.refuse(400, "INVALID_KEY_OR_REF", "Updates by internal id are PATCH.", None);
    };
    let parsed = match Value::parse(&body, &Limits { bytes_max: 104 * 1024 * 1024, ..Limits::DEFAULT }) {
        Ok(parsed) => parsed,
        Err(error) => {
            return shared.refuse(400, "INVALID_CONTENT", &format!("Error while parsing the request body: {error}"), None);
        }
    };
    let checked = match check(&shared.account, external_id, &parsed) {
        Ok(checked) => checked,
        Err((code, path, detail)) => return shared.refuse(400, code, &detail, Some(&path)),
    };
    let id = {
        let mut state = shared.state.lock().expect("no handler panics");
        let known = state.orders.contains_key(external_id);
        if known {
            state.stats.updates += 1;
        } else {
            state.stats.creates += 1;
            state.next_id += 1;
        }
        let next_id = state.next_id;
        let order = state.orders.entry(external_id.to_owned()).or_insert_with(|| Order {
            id: next_id,
            creates: 0,
            updates: 0,
            revision: 0,
            total: Decimal::ZERO,
            declared_total: Decimal::ZERO,
            body: String::new(),
        });
        if known {
            order.updates += 1;
        } else {
            order.creates += 1;
        }
        order.revision = checked.revision;
        order.total = checked.total;
        order.declared_total = checked.declared_total;
        order.body = String::from_utf8_lossy(&body).into_owned();
        order.id
    };
    if fault == Some(Fault::LoseAnswer) {
        return silence().await;
    }
    let location = format!("http://{}/services/rest/record/v1/salesOrder/{id}", request.connection_info().host());
    HttpResponse::NoContent().insert_header(("Location", location)).finish()
}

/// The answer that never comes: longer than any caller waits, shorter than a test.
async fn silence() -> HttpResponse {
    tokio::time::sleep(Duration::from_secs(45)).await;
    HttpResponse::GatewayTimeout().finish()
}

async fn get(request: HttpRequest, key: web::Path<String>, shared: web::Data<Shared>) -> HttpResponse {
    let _place = match shared.admit(&request) {
        Ok(place) => place,
        Err(refusal) => return refusal,
    };
    tokio::time::sleep(shared.account.latency).await;
    let found = {
        let mut state = shared.state.lock().expect("no handler panics");
        state.stats.reads += 1;
        let by_id = |order: &&Order| order.id.to_string() == *key;
        match key.strip_prefix("eid:") {
            Some(external_id) => state.orders.get(external_id).cloned(),
            None => state.orders.values().find(by_id).cloned(),
        }
    };
    match found {
        Some(order) => HttpResponse::Ok().json(json!({
            "id": order.id.to_string(), "custbody_crossdock_revision": order.revision, "total": order.total.to_string(),
            "lastModifiedDate": "2026-11-24T00:00:00Z"
        })),
        None => {
            shared.refuse(404, "NONEXISTENT_ID", "The record instance does not exist. Provide a valid record instance ID.", None)
        }
    }
}

async fn stats(shared: web::Data<Shared>) -> HttpResponse {
    let state = shared.state.lock().expect("no handler panics");
    HttpResponse::Ok().json(Stats { orders: state.orders.len(), ..state.stats.clone() })
}

struct Checked {
    revision: i64,
    total: Decimal,
    declared_total: Decimal,
}

type Refusal = (&'static str, String, String);

const FIELDS: &[&str] = &[
    "externalId",
    "otherRefNum",
    "tranDate",
    "memo",
    "email",
    "entity",
    "subsidiary",
    "currency",
    "orderStatus",
    "shippingAddress",
    "billingAddress",
    "item",
    "shippingCost",
    "handlingCost",
    "discountTotal",
    "taxTotal",
    "location",
    "department",
];
const LINE_FIELDS: &[&str] = &["line", "item", "description", "quantity", "rate", "amount", "taxCode", "units", "location"];
const ADDRESS_FIELDS: &[&str] =
    &["addressee", "attention", "addr1", "addr2", "addr3", "city", "state", "zip", "country", "addrPhone"];

fn check(account: &Account, external_id: &str, body: &Value) -> Result<Checked, Refusal> {
    let invalid = |path: &str, what: &str| {
        ("INVALID_CONTENT", path.to_owned(), format!("Invalid value for the resource or sub-resource field '{path}'. {what}"))
    };
    let map = body.as_map().ok_or_else(|| invalid("", "An object was expected."))?;
    if let Some(unknown) = map.keys().find(|name| !FIELDS.contains(&name.as_str()) && !name.starts_with("custbody_")) {
        return Err(("INVALID_CONTENT", unknown.clone(), format!("Unknown reference or field '{unknown}'.")));
    }
    if body.at("externalId").and_then(Value::as_str) != Some(external_id) {
        return Err(invalid("externalId", "It differs from the one in the address."));
    }
    for path in ["entity.id", "subsidiary.id", "currency.id"] {
        let reference = body.at(path).and_then(Value::as_str).filter(|id| id.parse::<u64>().is_ok());
        reference.ok_or_else(|| ("USER_ERROR", path.to_owned(), format!("Please enter value(s) for: {path}.")))?;
    }
    let status = body.at("orderStatus.id").and_then(Value::as_str).unwrap_or("B");
    if !["A", "B", "C", "D", "E", "F", "G", "H"].contains(&status) {
        return Err(invalid("orderStatus", "No such status."));
    }
    for (name, max) in [("memo", 999), ("otherRefNum", 45), ("email", 254)] {
        match map.get(name) {
            Some(Value::Text(text)) if text.chars().count() > max => {
                return Err(invalid(name, &format!("The field has more than {max} characters.")));
            }
            Some(Value::Text(_) | Value::Null) | None => {}
            Some(_) => return Err(invalid(name, "A string was expected.")),
        }
    }
    if let Some(address) = map.get("shippingAddress").and_then(Value::as_map)
        && let Some(unknown) = address.keys().find(|name| !ADDRESS_FIELDS.contains(&name.as_str()))
    {
        return Err((
            "INVALID_CONTENT",
            format!("shippingAddress.{unknown}"),
            format!("Unknown reference or field '{unknown}'."),
        ));
    }
    let mut total = Decimal::ZERO;
    let lines = body.at("item.items").and_then(Value::as_list).filter(|lines| !lines.is_empty());
    let lines = lines.ok_or_else(|| {
        ("USER_ERROR", "item".to_owned(), "You must enter at least one line item for this transaction.".to_owned())
    })?;
    for (index, line) in lines.iter().enumerate() {
        let at = |name: &str| format!("item.items[{index}].{name}");
        let fields = line.as_map().ok_or_else(|| invalid(&at(""), "An object was expected."))?;
        if let Some(unknown) = fields.keys().find(|name| !LINE_FIELDS.contains(&name.as_str()) && !name.starts_with("custcol_")) {
            return Err(("INVALID_CONTENT", at(unknown), format!("Unknown reference or field '{unknown}'.")));
        }
        let item = line.at("item.id").and_then(Value::as_str).unwrap_or_default();
        let exists = if account.items.is_empty() { item.parse::<u64>().is_ok() } else { account.items.contains(item) };
        if !exists {
            return Err(("NONEXISTENT_ID", at("item"), format!("Invalid Field Value {item} for the following field: item.")));
        }
        let quantity = number(line, "quantity", &at("quantity"))?.ok_or_else(|| invalid(&at("quantity"), "It is required."))?;
        let rate = number(line, "rate", &at("rate"))?.unwrap_or_default();
        total += number(line, "amount", &at("amount"))?.unwrap_or(quantity * rate);
    }
    for (name, sign) in [("shippingCost", 1), ("handlingCost", 1), ("taxTotal", 1), ("discountTotal", -1)] {
        total += number(body, name, name)?.unwrap_or_default() * Decimal::from(sign);
    }
    let declared_total = number(body, "custbody_crossdock_total", "custbody_crossdock_total")?.unwrap_or_default();
    let revision =
        body.at("custbody_crossdock_revision").and_then(Value::to_text).and_then(|text| text.parse().ok()).unwrap_or_default();
    Ok(Checked { revision, total, declared_total })
}

/// NetSuite wants JSON numbers: a number in quotes is refused.
fn number(map: &Value, name: &str, path: &str) -> Result<Option<Decimal>, Refusal> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => Ok(number.to_decimal()),
        Some(_) => {
            Err(("INVALID_CONTENT", path.to_owned(), format!("Invalid value for the field '{path}'. A number was expected.")))
        }
    }
}

fn error(status: u16, code: &str, detail: &str, path: Option<&str>) -> HttpResponse {
    let title = match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        _ => "Internal Server Error",
    };
    let mut details = json!({"detail": detail, "o:errorCode": code});
    if let Some(path) = path {
        details["o:errorPath"] = json!(path);
    }
    let status_code = actix_web::http::StatusCode::from_u16(status).unwrap_or(actix_web::http::StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status_code).content_type("application/vnd.oracle.resource+json; type=error").json(json!({
        "type": "https://www.rfc-editor.org/rfc/rfc9110.html", "title": title, "status": status, "o:errorDetails": [details]
    }))
}
