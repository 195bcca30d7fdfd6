//! Hooks: a vendor's delivery is verified over its raw bytes and committed before it gets its 2xx.
//! Deliveries that arrive together are committed together, so that a thousand a second cost a hundred commits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER};
use actix_web::{HttpRequest, HttpResponse, web};
use connectors::{Connector, HookCall, HookInfo, HookRefusal, HookTrust};
use domain::hook_refusal::Cause;
use domain::id::{MessageId, TenantId};
use domain::lane::Lane;
use domain::merkle::hash;
use domain::message::Origin;
use domain::quota::Spent;
use domain::scope::Request;
use domain::secret::SecretFields;
use domain::task::{Nudge, Stage};
use infra::chain;
use infra::postgres::intake::{Arrival, Committed, Hook};
use infra::postgres::{Store, StoreError};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tracing::{info, warn};
use uuid::Uuid;

use crate::AppState;
use crate::auth::asked;
use crate::body::{self, BodyError};
use crate::client_address::peer;
use crate::quota;

/// A larger body is refused with 413. Shopify's orders of 250 lines are about 300 KB.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Arrivals of one transaction, and their bytes.
const BATCH_MAX: usize = 128;
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deliveries that are read or wait for a transaction, and the bytes of their bodies; beyond it the sender is asked to come again.
const WAITING_MAX: usize = 2_000;
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;
/// One tenant has at most a quarter of both, so that none can shut the door to the others.
const SHARE: usize = 4;
/// How long a batch waits for company where the one before had some.
const LINGER: Duration = Duration::from_millis(4);
/// Two, so that one batch gathers while another commits.
const COMMITTERS: usize = 2;
/// A sender gives up after about five seconds; an answer after that is wasted.
const COMMIT_TIMEOUT: Duration = Duration::from_millis(4_500);
/// How long a connection's secret is used without asking again: a rotated one works after that at the latest.
const HOOK_CACHE: Duration = Duration::from_secs(5);
/// A secret may have been replaced a moment ago: a delivery that fits none is held against what is stored now, so often at most for each hook.
const HOOK_REFRESH: Duration = Duration::from_millis(250);
/// How late a delivery may be that the vendor signed once and not anew with each try: longer than any vendor tries. A second arrival is a duplicate
/// at any age, so that nobody gains by keeping one.
const LATE_S: u32 = 7 * 24 * 60 * 60;
const HOOKS_CACHED_MAX: usize = 10_000;
/// Tokens that belong to nothing, kept apart so that guesses cannot push out what is known.
const UNKNOWN_CACHED_MAX: usize = 10_000;
/// Look-ups of tokens not seen before that run at once, and how long one waits for its turn.
const COLD_AT_ONCE: usize = 4;
const COLD_WAIT: Duration = Duration::from_secs(2);
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 20..=64;
/// What the database refuses, and will again.
const UNSTORABLE: &str = "it holds something that cannot be stored, such as a NUL character";
const RETRY_AFTER_S: HeaderValue = HeaderValue::from_static("5");

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/hooks/{token}").route(web::post().to(receive)));
}

/// What became of a delivery that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Committed(Committed),
    /// The database refuses this one, and will again.
    Refused,
    /// Perhaps it is committed and perhaps not: the sender comes again, and then it is a duplicate or new.
    Later,
}

/// A verified delivery on its way to a transaction. It keeps its room until that ended, even where its sender gave up before.
struct Waiting {
    /// One, or one for each event of a body that lists several.
    arrivals: Vec<Arrival>,
    answer: oneshot::Sender<Vec<Outcome>>,
    room: Room,
}

impl Waiting {
    fn body_bytes(&self) -> usize {
        self.arrivals.iter().map(|arrival| arrival.body.len()).sum()
    }
}

/// The way from the handlers to the committers.
pub struct Intake {
    arrivals: mpsc::Sender<Waiting>,
    rooms: Arc<Rooms>,
    hooks: Hooks,
}

impl Intake {
    pub fn start(state: AppState) -> Arc<Self> {
        let (arrivals, waiting) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        for _ in 0..COMMITTERS {
            tokio::spawn(commit(state.clone(), waiting.clone()));
        }
        Arc::new(Self { arrivals, rooms: Arc::default(), hooks: Hooks::default() })
    }
}

/// Which hook a token belongs to, as the database said a moment ago.
struct Hooks {
    known: Mutex<HashMap<String, (Instant, Arc<Hook>)>>,
    unknown: Mutex<HashMap<String, Instant>>,
    cold: Semaphore,
}

impl Default for Hooks {
    fn default() -> Self {
        Self { known: Mutex::default(), unknown: Mutex::default(), cold: Semaphore::new(COLD_AT_ONCE) }
    }
}

/// Why a hook was not looked up.
#[derive(Debug, thiserror::Error)]
enum HookError {
    #[error("too many tokens that belong to nothing")]
    TooMany,
    #[error("the store gave no answer")]
    Store(#[from] StoreError),
}

impl Hooks {
    /// `age_max` is how long ago the database may have said so.
    async fn find(&self, state: &AppState, token: &str, peer: IpAddr, age_max: Duration) -> Result<Option<Arc<Hook>>, HookError> {
        let kept = self.known.lock().expect("no code panics while it holds the hooks").get(token).cloned();
        let _turn = match kept {
            Some((at, hook)) if at.elapsed() < age_max => return Ok(Some(hook)),
            // It was good a while ago, so it is no guess.
            Some(_) => None,
            None => {
                if self.is_unknown(token) {
                    return Ok(None);
                }
                if quota::of_miss(state, peer, 0.0).await.left < 1 {
                    return Err(HookError::TooMany);
                }
                let turn = tokio::time::timeout(COLD_WAIT, self.cold.acquire()).await;
                Some(turn.ok().and_then(Result::ok).ok_or(HookError::TooMany)?)
            }
        };
        // Whoever had the turn before may have looked the same one up.
        let kept = self.known.lock().expect("no code panics while it holds the hooks").get(token).cloned();
        if let Some((at, hook)) = kept
            && at.elapsed() < age_max
        {
            return Ok(Some(hook));
        }
        let hook = state.store.hook_find(&state.vault, token).await?.map(Arc::new);
        match &hook {
            Some(hook) => self.keep(token, hook.clone()),
            None => {
                quota::of_miss(state, peer, 1.0).await;
                self.miss(token);
            }
        }
        Ok(hook)
    }

    fn is_unknown(&self, token: &str) -> bool {
        let unknown = self.unknown.lock().expect("no code panics while it holds the hooks");
        unknown.get(token).is_some_and(|at| at.elapsed() < HOOK_CACHE)
    }

    fn keep(&self, token: &str, hook: Arc<Hook>) {
        let mut known = self.known.lock().expect("no code panics while it holds the hooks");
        if known.len() >= HOOKS_CACHED_MAX {
            known.retain(|_, (at, _)| at.elapsed() < HOOK_CACHE);
        }
        // Where all are in use, this one is looked up each time; none in use is pushed out.
        if known.len() < HOOKS_CACHED_MAX || known.contains_key(token) {
            known.insert(token.to_owned(), (Instant::now(), hook));
        }
    }

    fn miss(&self, token: &str) {
        self.known.lock().expect("no code panics while it holds the hooks").remove(token);
        let mut unknown = self.unknown.lock().expect("no code panics while it holds the hooks");
        if unknown.len() >= UNKNOWN_CACHED_MAX {
            unknown.clear();
        }
        unknown.insert(token.to_owned(), Instant::now());
    }
}

/// How many deliveries are under way, and how many bytes they hold: in all and by tenant.
#[derive(Default)]
struct Rooms(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    all: Load,
    by_tenant: HashMap<TenantId, Load>,
}

#[derive(Default, Clone, Copy)]
struct Load {
    count: usize,
    bytes: usize,
}

/// A place for one delivery, with room for the bytes it asked for. Dropping it gives both back.
struct Room {
    rooms: Arc<Rooms>,
    tenant: TenantId,
    bytes: usize,
}

impl Rooms {
    /// A place for one delivery more; `None` where all or the tenant's are taken.
    fn enter(self: &Arc<Self>, tenant: TenantId) -> Option<Room> {
        let mut taken = self.0.lock().expect("no code panics while it holds the rooms");
        let Taken { all, by_tenant } = &mut *taken;
        let own = by_tenant.get(&tenant).map_or(0, |own| own.count);
        if all.count >= WAITING_MAX || own >= WAITING_MAX / SHARE {
            return None;
        }
        all.count += 1;
        by_tenant.entry(tenant).or_default().count += 1;
        Some(Room { rooms: self.clone(), tenant, bytes: 0 })
    }
}

impl Room {
    /// Room for so many bytes more; false where there is none.
    fn grow(&mut self, bytes: usize) -> bool {
        let mut taken = self.rooms.0.lock().expect("no code panics while it holds the rooms");
        let Taken { all, by_tenant } = &mut *taken;
        let own = by_tenant.entry(self.tenant).or_default();
        if all.bytes + bytes > WAITING_BYTES_MAX || own.bytes + bytes > WAITING_BYTES_MAX / SHARE {
            return false;
        }
        all.bytes += bytes;
        own.bytes += bytes;
        self.bytes += bytes;
        true
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let Ok(mut taken) = self.rooms.0.lock() else { return };
        taken.all.count -= 1;
        taken.all.bytes -= self.bytes;
        if let Some(own) = taken.by_tenant.get_mut(&self.tenant) {
            own.count -= 1;
            own.bytes -= self.bytes;
            if own.count == 0 {
                taken.by_tenant.remove(&self.tenant);
            }
        }
    }
}

async fn receive(
    request: HttpRequest,
    token: web::Path<String>,
    payload: web::Payload,
    intake: web::Data<Intake>,
    state: web::Data<AppState>,
) -> HttpResponse {
    // Nothing is read for a token that belongs to nothing.
    if !is_token(&token) {
        return unknown();
    }
    let address = state.proxies.client(&request);
    let (from, asked) = (peer(address), asked(&request, address));
    let hook = match intake.hooks.find(&state, &token, from, HOOK_CACHE).await {
        Ok(Some(hook)) => hook,
        Ok(None) => return unknown(),
        // No line for each of a flood.
        Err(HookError::TooMany) => return later(),
        Err(HookError::Store(error)) => {
            warn!(error = chain(&error), "A hook could not be looked up; its sender is asked to come again");
            return later();
        }
    };
    let connector = match state.catalog.find(&hook.connector) {
        Some(Ok(connector)) => connector,
        // Its files are broken. Vendors take a 404 for an address that is gone, and send nothing more.
        Some(Err(_)) => return later(),
        None => return unknown(),
    };
    let spent = quota::of_hook(&state, hook.tenant, hook.connection).await;
    if !spent.is_granted {
        return too_many(&spent);
    }
    let Some(mut room) = intake.rooms.enter(hook.tenant) else { return later() };
    // Told to the tenant beside the answers.
    let note = |cause: Cause, said: &str| state.hook_refusals.note(hook.tenant, hook.connection, cause, asked, said);
    let read = body::read(request.headers(), payload, BODY_BYTES_MAX, body::READ_TIMEOUT, |bytes| room.grow(bytes));
    let body = match read.await {
        Ok(body) => body,
        Err(BodyError::NoRoom) => return later(),
        Err(error) => {
            let said = error.to_string();
            info!(request.id = %asked, connection.id = %hook.connection, reason = said, "Refused a delivery");
            note(cause(error), &said);
            return refuse(error.status(), &said);
        }
    };
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let url = hook_url(&state.public_url, &token, request.query_string());
    let method = request.method().as_str();
    let call = HookCall { method, url: &url, headers: &headers, body: &body, now: chrono::Utc::now() };
    let mut verified = verify(connector, &call, &hook);
    if matches!(verified, Err(HookRefusal::BadSignature | HookRefusal::NoSecret)) {
        let stored = intake.hooks.find(&state, &token, from, HOOK_REFRESH).await.ok().flatten();
        if let Some(stored) = stored.filter(|stored| !Arc::ptr_eq(stored, &hook)) {
            verified = verify(connector, &call, &stored);
        }
    }
    let infos = match verified {
        Ok(infos) => infos,
        Err(refusal) => {
            note(refusal.cause(), &refusal.to_string());
            return refused(&hook, asked, &refusal);
        }
    };
    if !hook.is_active {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the connection is paused; send it again later");
    }
    let signs = infos.iter().find_map(|info| connector.sunset_of_hook(info.api_version.as_deref()?));
    state.sunsets.note(hook.tenant, hook.connection, signs);
    // The events of a list are held beside the body that they came in.
    let events_bytes = infos.iter().filter_map(|info| info.event.as_ref()).map(bytes::Bytes::len).sum();
    if events_bytes > 0 && !room.grow(events_bytes) {
        return later();
    }
    let is_list = infos.iter().all(|info| info.event.is_some());
    let arrivals: Vec<Arrival> = infos.into_iter().map(|info| arrival(&hook, info, &body, asked)).collect();
    if arrivals.is_empty() {
        // A list without events, by which a vendor sees whether we verify.
        return stored(is_list, &[]);
    }
    let (answer, outcomes) = oneshot::channel();
    if intake.arrivals.try_send(Waiting { arrivals, answer, room }).is_err() {
        return later();
    }
    let Ok(Ok(outcomes)) = tokio::time::timeout(COMMIT_TIMEOUT, outcomes).await else { return later() };
    if outcomes.contains(&Outcome::Refused) {
        note(Cause::Unstorable, UNSTORABLE);
    }
    stored(is_list, &outcomes)
}

/// As the tenant is told of a body that was not read to its end.
fn cause(error: BodyError) -> Cause {
    match error {
        BodyError::TooLarge { .. } => Cause::TooLarge,
        BodyError::Compressed => Cause::Compressed,
        BodyError::TooSlow | BodyError::Broken | BodyError::NoRoom => Cause::Unfinished,
    }
}

/// Held against the credential, as long as its own secrets are in use, and against what the vendor gave or a rotation made.
fn verify(connector: &Connector, call: &HookCall<'_>, hook: &Hook) -> Result<Vec<HookInfo>, HookRefusal> {
    let none = SecretFields::default();
    let credential = if hook.secrets.is_credential_over { &none } else { &hook.credential };
    let trust = HookTrust { credential, more: &hook.secrets.believed, late_s: LATE_S };
    connector.verify_hook_of(call, &trust, &hook.settings)
}

/// Where the vendor sent it to, as far as we can know behind a proxy; some vendors sign that.
fn hook_url(public_url: &str, token: &str, query: &str) -> String {
    let separator = if query.is_empty() { "" } else { "?" };
    format!("{public_url}/hooks/{token}{separator}{query}")
}

fn arrival(hook: &Hook, info: HookInfo, body: &bytes::Bytes, asked: Request) -> Arrival {
    let body = info.event.unwrap_or_else(|| body.clone());
    Arrival {
        id: MessageId::generate(),
        tenant: hook.tenant,
        connection: hook.connection,
        origin: Origin::Webhook,
        topic: info.topic,
        dedupe_key: info.dedupe_key,
        kind: info.kind,
        source_id: info.source_id,
        thin: info.fetch,
        body_sha256: hash(&[&body]),
        body,
        request: Request { id: Uuid::now_v7(), ..asked },
    }
}

/// One message, or the list of them where the body was a list of events. A delivery is stored when all its events are; where one is not,
/// the sender comes again, and those that are stored are duplicates then.
fn stored(is_list: bool, outcomes: &[Outcome]) -> HttpResponse {
    if outcomes.contains(&Outcome::Later) {
        return later();
    }
    let mut messages = Vec::with_capacity(outcomes.len());
    for outcome in outcomes {
        messages.push(match outcome {
            Outcome::Committed(Committed::New(id)) => serde_json::json!({"message": id, "duplicate": false}),
            Outcome::Committed(Committed::Duplicate(id)) => serde_json::json!({"message": id, "duplicate": true}),
            Outcome::Later | Outcome::Refused => {
                return refuse(StatusCode::BAD_REQUEST, UNSTORABLE);
            }
        });
    }
    match messages.pop() {
        Some(one) if !is_list => HttpResponse::Ok().json(one),
        last => {
            messages.extend(last);
            HttpResponse::Ok().json(serde_json::json!({"messages": messages}))
        }
    }
}

/// What [`crate::auth::new_token`] makes: base64 for URLs.
fn is_token(text: &str) -> bool {
    TOKEN_BYTES.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// An unknown hook and a forged one look alike to whoever guesses.
fn unknown() -> HttpResponse {
    refuse(StatusCode::UNAUTHORIZED, "no hook accepts this delivery")
}

fn refused(hook: &Hook, asked: Request, refusal: &HookRefusal) -> HttpResponse {
    info!(request.id = %asked, connection.id = %hook.connection, reason = %refusal, "Refused a delivery");
    if refusal.is_forged() { unknown() } else { refuse(StatusCode::BAD_REQUEST, &refusal.to_string()) }
}

fn later() -> HttpResponse {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, "it cannot be stored at this moment; send it again");
    response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_S);
    response
}

/// The vendor sends more than the operator lets one connection send; it tries again, as it does where we are away.
fn too_many(spent: &Spent) -> HttpResponse {
    let reason = "more deliveries to this hook than are taken in a minute; send it again later";
    let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, reason);
    quota::tell(response.headers_mut(), spent);
    response
}

fn refuse(status: StatusCode, reason: &str) -> HttpResponse {
    HttpResponse::build(status).json(serde_json::json!({"error": reason}))
}

/// Gathers what waits, commits it in one transaction, answers, and nudges the workers.
async fn commit(state: AppState, waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting>>>) {
    let mut was_alone = true;
    loop {
        let mut batch: Vec<Waiting> = Vec::with_capacity(BATCH_MAX);
        {
            let mut waiting = waiting.lock().await;
            let Some(first) = waiting.recv().await else { return };
            let (mut count, mut bytes) = (first.arrivals.len(), first.body_bytes());
            batch.push(first);
            // Under load a batch waits a moment for company: a transaction costs about the same for one and for ten. A lone arrival does not.
            let linger = if was_alone { Duration::ZERO } else { LINGER };
            let until = tokio::time::Instant::now() + linger;
            while count < BATCH_MAX && bytes < BATCH_BYTES_MAX {
                let next = match waiting.try_recv() {
                    Ok(next) => Some(next),
                    Err(_) if linger.is_zero() => None,
                    Err(_) => tokio::time::timeout_at(until, waiting.recv()).await.ok().flatten(),
                };
                let Some(next) = next else { break };
                count += next.arrivals.len();
                bytes += next.body_bytes();
                batch.push(next);
            }
        }
        was_alone = batch.len() == 1;
        let mut arrivals = Vec::with_capacity(batch.len());
        let mut senders = Vec::with_capacity(batch.len());
        for Waiting { arrivals: own, answer, room } in batch {
            senders.push((answer, room, own.len()));
            arrivals.extend(own);
        }
        let outcomes = settle(&state.store, &arrivals).await;
        let new = arrivals.iter().zip(&outcomes).filter(|(_, outcome)| matches!(outcome, Outcome::Committed(Committed::New(_))));
        let rows: Vec<Nudge> = new.map(|(a, _)| Nudge::new(a.tenant, a.connection, Lane::Live, a.id.0)).collect();
        let mut outcomes = outcomes.into_iter();
        for (sender, _room, count) in senders {
            // A sender that gave up comes again and is told that it is a duplicate.
            let _ = sender.send(outcomes.by_ref().take(count).collect());
        }
        // The nudge must not hold up the next batch.
        let state = state.clone();
        tokio::spawn(async move { state.broker.nudge(Stage::Receive, rows).await });
    }
}

/// Where arrivals are committed.
trait Ledger {
    fn commit(&self, arrivals: &[Arrival]) -> impl Future<Output = Result<Vec<Committed>, StoreError>> + Send;
}

impl Ledger for Store {
    async fn commit(&self, arrivals: &[Arrival]) -> Result<Vec<Committed>, StoreError> {
        self.commit_arrivals(arrivals).await
    }
}

/// All in one transaction; where the database refuses that for good, one by one, so that one bad arrival stops no other.
async fn settle(ledger: &impl Ledger, arrivals: &[Arrival]) -> Vec<Outcome> {
    match ledger.commit(arrivals).await {
        Ok(committed) => committed.into_iter().map(Outcome::Committed).collect(),
        Err(error) if error.is_passing() => {
            let count = arrivals.len();
            warn!(error = chain(&error), count, "{count} arrivals were not committed; their senders are asked to come again");
            vec![Outcome::Later; count]
        }
        Err(error) if arrivals.len() <= 1 => arrivals.iter().map(|arrival| failed(arrival, &error)).collect(),
        Err(_) => {
            let mut outcomes = Vec::with_capacity(arrivals.len());
            for arrival in arrivals {
                outcomes.push(match ledger.commit(std::slice::from_ref(arrival)).await {
                    Ok(committed) => committed.first().copied().map_or(Outcome::Later, Outcome::Committed),
                    Err(error) => failed(arrival, &error),
                });
            }
            outcomes
        }
    }
}

fn failed(arrival: &Arrival, error: &StoreError) -> Outcome {
    let connection = arrival.connection;
    warn!(connection.id = %connection, topic = arrival.topic, error = chain(error), "A delivery of {connection} was not committed");
    if error.is_refusal() { Outcome::Refused } else { Outcome::Later }
}

#[cfg(test)]
mod tests {
    use domain::id::ConnectionId;

    use super::*;

    fn arrival(topic: &str) -> Arrival {
        Arrival {
            id: MessageId::generate(),
            tenant: TenantId::generate(),
            connection: ConnectionId::generate(),
            origin: Origin::Webhook,
            topic: topic.to_owned(),
            dedupe_key: topic.to_owned(),
            kind: None,
            source_id: None,
            thin: false,
            body: bytes::Bytes::new(),
            body_sha256: hash(&[]),
            request: Request::own(),
        }
    }

    /// Commits all or nothing, and chokes on one topic.
    struct Choking(&'static str);

    impl Ledger for Choking {
        async fn commit(&self, arrivals: &[Arrival]) -> Result<Vec<Committed>, StoreError> {
            match arrivals.iter().find(|arrival| arrival.topic == self.0) {
                Some(bad) => Err(StoreError::Corrupt { what: "the topic", id: bad.id.to_string(), why: "it chokes us".into() }),
                None => Ok(arrivals.iter().map(|arrival| Committed::New(arrival.id)).collect()),
            }
        }
    }

    #[tokio::test]
    async fn one_bad_arrival_stops_no_other() {
        let arrivals = ["a", "bad", "c"].map(arrival);
        let outcomes = settle(&Choking("bad"), &arrivals).await;
        let new = |at: usize| Outcome::Committed(Committed::New(arrivals[at].id));
        assert_eq!(outcomes, [new(0), Outcome::Later, new(2)]);
    }

    #[tokio::test]
    async fn a_list_of_events_is_stored_when_all_of_them_are() {
        let (a, b) = (MessageId::generate(), MessageId::generate());
        let (new, known) = (Outcome::Committed(Committed::New(a)), Outcome::Committed(Committed::Duplicate(b)));
        let (first, second) =
            (serde_json::json!({"message": a, "duplicate": false}), serde_json::json!({"message": b, "duplicate": true}));
        for (is_list, outcomes, status, body) in [
            (false, vec![new], 200, Some(first.clone())),
            (false, vec![known], 200, Some(second.clone())),
            (true, vec![new], 200, Some(serde_json::json!({"messages": [first]}))),
            (true, vec![new, known], 200, Some(serde_json::json!({"messages": [first, second]}))),
            (true, vec![], 200, Some(serde_json::json!({"messages": []}))),
            (true, vec![new, Outcome::Refused], 400, None),
            (true, vec![Outcome::Refused, Outcome::Later, known], 503, None),
            (false, vec![Outcome::Later], 503, None),
        ] {
            let response = stored(is_list, &outcomes);
            assert_eq!(response.status().as_u16(), status, "{outcomes:?}");
            if let Some(body) = body {
                let bytes = actix_web::body::to_bytes(response.into_body()).await.unwrap();
                assert_eq!(serde_json::from_slice::<serde_json::Value>(&bytes).unwrap(), body);
            }
        }
    }

    #[test]
    fn a_hook_is_signed_for_the_address_that_the_vendor_calls() {
        assert_eq!(hook_url("https://us.example", "t0k", ""), "https://us.example/hooks/t0k");
        assert_eq!(hook_url("https://us.example/base", "t0k", "a=1&b=%20"), "https://us.example/base/hooks/t0k?a=1&b=%20");
    }

    #[test]
    fn one_tenant_fills_its_share_and_no_more() {
        let (rooms, greedy, other) = (Arc::new(Rooms::default()), TenantId::generate(), TenantId::generate());
        let mut held: Vec<Room> = std::iter::from_fn(|| rooms.enter(greedy)).take(WAITING_MAX).collect();
        assert_eq!(held.len(), WAITING_MAX / SHARE);
        let mut theirs = rooms.enter(other).unwrap();
        let grown = held.iter_mut().filter_map(|room| room.grow(BODY_BYTES_MAX).then_some(())).count();
        assert_eq!(grown, WAITING_BYTES_MAX / SHARE / BODY_BYTES_MAX);
        assert!(theirs.grow(BODY_BYTES_MAX));
        drop(held);
        assert!(rooms.enter(greedy).unwrap().grow(BODY_BYTES_MAX));
        drop(theirs);
        let taken = rooms.0.lock().unwrap();
        assert_eq!((taken.all.count, taken.all.bytes, taken.by_tenant.len()), (0, 0, 0));
    }

    #[test]
    fn tokens_are_of_one_form() {
        assert!(is_token(&crate::auth::new_token().0));
        for text in ["short", "a-token-with-a-nul-\0-inside", "one/with/slashes/and/more", &"x".repeat(65)] {
            assert!(!is_token(text), "{text}");
        }
    }
}
