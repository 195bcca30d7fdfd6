//! Hooks: a vendor's delivery is verified over its raw bytes and committed before it gets its 2xx.
//! Deliveries that arrive together are committed together, so that a thousand a second cost a hundred commits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use connectors::HookRefusal;
use domain::id::MessageId;
use domain::message::Origin;
use domain::task::{Place, Stage};
use infra::postgres::intake::{Arrival, Committed, Hook};
use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};
use uuid::Uuid;

use crate::AppState;

/// A larger body is refused with 413. Shopify's orders of 250 lines are about 300 KB.
const BODY_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Arrivals of one transaction, and their bytes.
const BATCH_MAX: usize = 128;
const BATCH_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Arrivals that wait for a transaction; beyond it the sender is asked to come again.
const WAITING_MAX: usize = 2_000;
/// Two, so that one batch gathers while another commits.
const COMMITTERS: usize = 2;
/// A sender gives up after about five seconds; an answer after that is wasted.
const COMMIT_TIMEOUT: Duration = Duration::from_millis(4_500);
/// How long a connection's secret is used without asking again: a rotated one works after that at the latest.
const HOOK_CACHE: Duration = Duration::from_secs(5);
const HOOKS_CACHED_MAX: usize = 10_000;
const TOKEN_BYTES: std::ops::RangeInclusive<usize> = 20..=64;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::resource("/hooks/{token}").app_data(web::PayloadConfig::new(BODY_BYTES_MAX)).route(web::post().to(receive)),
    );
}

type Waiting = (Arrival, oneshot::Sender<Option<Committed>>);

/// When a token was looked up, and what it belongs to.
type Asked = (Instant, Option<Arc<Hook>>);

/// The way from the handlers to the committers.
pub struct Intake {
    arrivals: mpsc::Sender<Waiting>,
    /// By token, with the moment of asking; unknown tokens too, so that guessing costs no query each.
    hooks: Mutex<HashMap<String, Asked>>,
}

impl Intake {
    pub fn start(state: AppState) -> Arc<Self> {
        let (arrivals, waiting) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        for _ in 0..COMMITTERS {
            tokio::spawn(commit(state.clone(), waiting.clone()));
        }
        Arc::new(Self { arrivals, hooks: Mutex::default() })
    }

    async fn hook(&self, state: &AppState, token: &str) -> Result<Option<Arc<Hook>>, infra::postgres::StoreError> {
        let kept = self.hooks.lock().expect("no code panics while it holds the hooks").get(token).cloned();
        if let Some((at, hook)) = kept.filter(|(at, _)| at.elapsed() < HOOK_CACHE) {
            let _ = at;
            return Ok(hook);
        }
        let hook = state.store.hook_find(&state.vault, token).await?.map(Arc::new);
        let mut hooks = self.hooks.lock().expect("no code panics while it holds the hooks");
        if hooks.len() >= HOOKS_CACHED_MAX {
            hooks.clear();
        }
        hooks.insert(token.to_owned(), (Instant::now(), hook.clone()));
        Ok(hook)
    }
}

async fn receive(
    request: HttpRequest,
    token: web::Path<String>,
    body: Result<web::Bytes, actix_web::Error>,
    intake: web::Data<Intake>,
    state: web::Data<AppState>,
) -> HttpResponse {
    let body = match body {
        Ok(body) => body,
        Err(error) if error.as_response_error().status_code() == StatusCode::PAYLOAD_TOO_LARGE => {
            return refuse(StatusCode::PAYLOAD_TOO_LARGE, &format!("the body is larger than {BODY_BYTES_MAX} bytes"));
        }
        Err(_) => return refuse(StatusCode::BAD_REQUEST, "the body broke off"),
    };
    if !TOKEN_BYTES.contains(&token.len()) {
        return unknown();
    }
    let hook = match intake.hook(&state, &token).await {
        Ok(Some(hook)) => hook,
        Ok(None) => return unknown(),
        Err(error) => {
            warn!(%error, "A hook could not be looked up");
            return later();
        }
    };
    let Some(connector) = state.catalog.get(&hook.connector) else { return unknown() };
    let headers: Vec<(String, String)> = request
        .headers()
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let info = match connector.verify_hook(&headers, &body, &hook.credential, &hook.settings) {
        Ok(info) => info,
        Err(refusal) => return refused(&hook, &refusal),
    };
    if !hook.is_active {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the connection is paused; send it again later");
    }
    let arrival = Arrival {
        id: MessageId::generate(),
        tenant: hook.tenant,
        connection: hook.connection,
        origin: Origin::Webhook,
        topic: info.topic,
        dedupe_key: info.dedupe_key,
        kind: info.kind,
        source_id: info.source_id,
        thin: info.fetch,
        body,
        request: Uuid::now_v7(),
    };
    let (done, committed) = oneshot::channel();
    if intake.arrivals.try_send((arrival, done)).is_err() {
        return later();
    }
    match tokio::time::timeout(COMMIT_TIMEOUT, committed).await {
        Ok(Ok(Some(Committed::New(id)))) => HttpResponse::Ok().json(serde_json::json!({"message": id, "duplicate": false})),
        Ok(Ok(Some(Committed::Duplicate(id)))) => HttpResponse::Ok().json(serde_json::json!({"message": id, "duplicate": true})),
        // Perhaps it is committed and perhaps not: the sender comes again, and then it is a duplicate or new.
        _ => later(),
    }
}

/// An unknown hook and a forged one look alike to whoever guesses.
fn unknown() -> HttpResponse {
    refuse(StatusCode::UNAUTHORIZED, "no hook accepts this delivery")
}

fn refused(hook: &Hook, refusal: &HookRefusal) -> HttpResponse {
    info!(connection.id = %hook.connection, reason = %refusal, "Refused a delivery");
    if refusal.is_forged() { unknown() } else { refuse(StatusCode::BAD_REQUEST, &refusal.to_string()) }
}

fn later() -> HttpResponse {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, "it cannot be stored at this moment; send it again");
    response.headers_mut().insert(actix_web::http::header::RETRY_AFTER, actix_web::http::header::HeaderValue::from_static("5"));
    response
}

fn refuse(status: StatusCode, reason: &str) -> HttpResponse {
    HttpResponse::build(status).json(serde_json::json!({"error": reason}))
}

/// Gathers what waits, commits it in one transaction, answers, and nudges the workers.
async fn commit(state: AppState, waiting: Arc<tokio::sync::Mutex<mpsc::Receiver<Waiting>>>) {
    loop {
        let mut batch: Vec<Waiting> = Vec::with_capacity(BATCH_MAX);
        {
            let mut waiting = waiting.lock().await;
            let Some(first) = waiting.recv().await else { return };
            let mut bytes = first.0.body.len();
            batch.push(first);
            while batch.len() < BATCH_MAX && bytes < BATCH_BYTES_MAX {
                let Ok(next) = waiting.try_recv() else { break };
                bytes += next.0.body.len();
                batch.push(next);
            }
        }
        let (arrivals, senders): (Vec<Arrival>, Vec<_>) = batch.into_iter().unzip();
        match state.store.commit_arrivals(&arrivals).await {
            Ok(committed) => {
                let new = arrivals.iter().zip(&committed).filter(|(_, committed)| matches!(committed, Committed::New(_)));
                let rows: Vec<(Place, Uuid)> =
                    new.map(|(a, _)| (Place { tenant: a.tenant, connection: Some(a.connection) }, a.id.0)).collect();
                for (sender, committed) in senders.into_iter().zip(committed) {
                    // A sender that gave up comes again and is told that it is a duplicate.
                    let _ = sender.send(Some(committed));
                }
                // The nudge must not hold up the next batch.
                let state = state.clone();
                tokio::spawn(async move { state.nudge(Stage::Receive, rows).await });
            }
            Err(error) => {
                warn!(%error, count = arrivals.len(), "Arrivals were not committed; their senders are asked to come again");
                for sender in senders {
                    let _ = sender.send(None);
                }
            }
        }
    }
}
