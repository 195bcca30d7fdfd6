//! The audit log as files: `GET /audit/export` is what `crossdock audit verify` checks without us, `GET /audit/events.csv` is for people and their
//! spreadsheets. The rows are read as they are sent: a log of any length takes the memory of a few seals.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, Weak};

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::id::TenantId;
use domain::scope::{Permission, Request, Scope, TraceId};
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::audit::AuditFilter;
use serde::Deserialize;
use tokio::sync::mpsc;
use tracing::warn;
use uuid::Uuid;

use crate::auth::{Admitted, Caller, Identity, admit, come_in};
use crate::graphql::{Code, SIGN_IN_FIRST, refuse};
use crate::{AppState, quota};

/// Exports of one process at a time: each takes a connection of the pool again and again.
const EXPORTS_MAX: usize = 4;
static EXPORTS: Exports = Exports(Mutex::new(BTreeSet::new()));
/// Pieces that are ready before the reader takes them.
const PIECES_MAX: usize = 4;

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::resource("/audit/export").route(web::get().to(export)));
    config.service(web::resource("/audit/events.csv").route(web::get().to(sheet)));
}

#[derive(Deserialize)]
struct ExportQuery {
    /// Seals after this one; all of them where it is 0.
    #[serde(default)]
    after: u64,
}

type Piece = Result<Bytes, StoreError>;

/// Whose exports are under way: one of a tenant at a time, so that none takes the places of all.
struct Exports(Mutex<BTreeSet<TenantId>>);

/// A place for one export; dropping it gives it back.
struct Place {
    exports: &'static Exports,
    tenant: TenantId,
}

impl Exports {
    /// `None` where all are taken, or the tenant has its own.
    fn enter(&'static self, tenant: TenantId) -> Option<Place> {
        let mut under_way = self.0.lock().expect("no code panics while it holds the exports");
        let is_room = under_way.len() < EXPORTS_MAX && under_way.insert(tenant);
        is_room.then(|| Place { exports: self, tenant })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Ok(mut under_way) = self.exports.0.lock() else { return };
        under_way.remove(&self.tenant);
    }
}

/// Pieces that are ready. Who reads them has them; whoever writes them can throw away what nobody reads.
type Ready = Arc<tokio::sync::Mutex<mpsc::Receiver<Piece>>>;

fn ready() -> (mpsc::Sender<Piece>, Ready) {
    let (pieces, ready) = mpsc::channel(PIECES_MAX);
    (pieces, Arc::new(tokio::sync::Mutex::new(ready)))
}

/// Ends what broke off: its place is another's at once, and the connection breaks off, too, because half a log must not look like a whole one.
async fn break_off(
    place: Place,
    pieces: mpsc::Sender<Piece>,
    ready: &Weak<tokio::sync::Mutex<mpsc::Receiver<Piece>>>,
    error: StoreError,
) {
    drop(place);
    // A reader who has the lock waits for a piece: then there is none to throw away.
    if let Some(ready) = ready.upgrade()
        && let Ok(mut ready) = ready.try_lock()
    {
        while ready.try_recv().is_ok() {}
    }
    let _ = pieces.send(Err(error)).await;
}

async fn export(state: web::Data<AppState>, request: HttpRequest, query: web::Query<ExportQuery>) -> HttpResponse {
    let (scope, _) = match allowed(&state, &request).await {
        Ok(allowed) => allowed,
        Err(refusal) => return refusal,
    };
    let Some(place) = EXPORTS.enter(scope.tenant) else { return busy() };
    let head = match state.store.within(&scope).audit_export_begin(&state.vault, query.after).await {
        Ok(head) => head,
        Err(error) => {
            warn!(request.id = %scope.request, error = chain(&error), "An export of the audit log could not begin");
            let reason = "something on our side failed; try again, and tell support the request id if it stays";
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, reason);
        }
    };
    let name = format!("attachment; filename=\"audit-{}-{}.jsonl\"", scope.tenant, head.statement.seal);
    begin(place, scope.request, "An export", ("application/jsonl; charset=utf-8", name), |pieces| async move {
        state.store.within(&scope).audit_export(head, &pieces).await
    })
}

/// What a sheet is narrowed to; all that is said must be so.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SheetQuery {
    subject_id: Option<String>,
    subject_kind: Option<String>,
    actor_id: Option<String>,
    action: Option<String>,
    request_id: Option<String>,
    address: Option<String>,
    trace: Option<String>,
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl SheetQuery {
    fn filter(self) -> Result<AuditFilter, &'static str> {
        // What is no id narrows to nothing, not to everything.
        let id = |text: String| text.rsplit('_').next().and_then(|hex| Uuid::try_parse(hex).ok()).unwrap_or_default();
        Ok(AuditFilter {
            subject: self.subject_id.map(id),
            subject_kind: self.subject_kind,
            actor: self.actor_id,
            action: self.action,
            request: self.request_id.map(id),
            address: self.address.as_deref().map(address_of).transpose()?,
            trace: self.trace.as_deref().map(trace_of).transpose()?,
            from: self.from,
            until: self.until,
            after: None,
        })
    }
}

/// The longest text of an address: of IPv6, with one of IPv4 at its end.
const ADDRESS_BYTES_MAX: usize = 45;

/// The address that events are looked for by, in the one form in which the log has it.
///
/// # Errors
/// What whoever asked is told where it is none.
pub(crate) fn address_of(text: &str) -> Result<IpAddr, &'static str> {
    let address = if text.len() <= ADDRESS_BYTES_MAX { text.parse::<IpAddr>().ok() } else { None };
    let why = "`address` is one IP address, without port and network, such as 203.0.113.7 or 2001:db8::7: give it as an event has it in `actor.address`";
    address.map(|address| address.to_canonical()).ok_or(why)
}

/// The trace that events are looked for by.
///
/// # Errors
/// What whoever asked is told where it is none.
pub(crate) fn trace_of(text: &str) -> Result<TraceId, &'static str> {
    let why = "`trace` is the id of a trace, 32 hexadecimal digits that are not all zeros: give the second part of a `traceparent`, as an event has it in `actor.trace`";
    TraceId::parse(text).ok_or(why)
}

/// What a sheet of this query would be narrowed to; `None` where the query is none.
pub(crate) fn narrowed(query: &str) -> Option<AuditFilter> {
    web::Query::<SheetQuery>::from_query(query).ok().and_then(|query| query.into_inner().filter().ok())
}

async fn sheet(state: web::Data<AppState>, request: HttpRequest, query: web::Query<SheetQuery>) -> HttpResponse {
    let (scope, sees_personal) = match allowed(&state, &request).await {
        Ok(allowed) => allowed,
        Err(refusal) => return refusal,
    };
    let filter = match query.into_inner().filter() {
        Ok(filter) => filter,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, Code::BadRequest, why),
    };
    let Some(place) = EXPORTS.enter(scope.tenant) else { return busy() };
    let name = format!("attachment; filename=\"audit-{}.csv\"", scope.tenant);
    begin(place, scope.request, "A sheet", ("text/csv; charset=utf-8", name), |pieces| async move {
        state.store.within(&scope).audit_sheet(filter, sees_personal, &state.vault, &pieces).await
    })
}

/// Answers with what is written while it is sent.
fn begin<W: Future<Output = Result<(), StoreError>> + Send + 'static>(
    place: Place,
    request: Request,
    what: &'static str,
    (kind, name): (&'static str, String),
    write: impl FnOnce(mpsc::Sender<Piece>) -> W,
) -> HttpResponse {
    let (pieces, taken) = ready();
    let unread = Arc::downgrade(&taken);
    let written = write(pieces.clone());
    tokio::spawn(async move {
        match written.await {
            // Before its reader sees the end, and may ask for the next.
            Ok(()) => drop(place),
            Err(error) => {
                warn!(request.id = %request, error = chain(&error), "{what} of the audit log broke off");
                break_off(place, pieces, &unread, error).await;
            }
        }
    });
    streamed(taken, kind, name)
}

fn busy() -> HttpResponse {
    let reason = "as many exports as are made at a time are under way, one of a tenant and a few of all; try again in a while";
    refuse(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, reason)
}

fn streamed(taken: Ready, kind: &'static str, name: String) -> HttpResponse {
    let body = futures::stream::unfold(taken, async |taken| {
        let piece = taken.lock().await.recv().await?;
        Some((piece, taken))
    });
    HttpResponse::Ok()
        .content_type(kind)
        .insert_header((header::CONTENT_DISPOSITION, name))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(Box::pin(body))
}

/// Whoever may read the audit log of the tenant that the request names, and whether they see what tells of a person.
async fn allowed(state: &AppState, request: &HttpRequest) -> Result<(Scope, bool), HttpResponse> {
    let caller = Caller::of(state, request);
    let came = come_in(state, request, &caller).await.map_err(|spent| quota::too_many(&spent, quota::reason(None)))?;
    let admitted = admit(state, request, &caller, came).await.map_err(|error| {
        warn!(request.id = %caller.request, error = chain(&error), "A request could not be authenticated");
        refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Internal, "the database does not answer; try again")
    })?;
    let viewer = match admitted {
        Admitted::Viewer(viewer, _) => viewer,
        Admitted::Stranger(_) => return Err(refuse(StatusCode::UNAUTHORIZED, Code::Unauthenticated, SIGN_IN_FIRST)),
        Admitted::TooMany(viewer, spent) => return Err(quota::too_many(&spent, quota::reason(viewer.as_deref()))),
    };
    if matches!(&viewer.identity, Identity::ApiKey(key) if key.is_persisted_only) {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            "this API key runs registered operations only, and this is none",
        ));
    }
    let sees_personal = viewer.may(Permission::ReadPersonalData);
    viewer.permitted(Permission::ReadAudit).map(|scope| (scope, sees_personal)).map_err(|(code, why)| {
        let status = if code == Code::NoTenant { StatusCode::BAD_REQUEST } else { StatusCode::FORBIDDEN };
        refuse(status, code, &why)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_tenant_has_one_export_at_a_time_and_all_have_a_few() {
        static EXPORTS: Exports = Exports(Mutex::new(BTreeSet::new()));
        let tenants: Vec<TenantId> = (0..=EXPORTS_MAX).map(|_| TenantId::generate()).collect();
        let first = EXPORTS.enter(tenants[0]).unwrap();
        assert!(EXPORTS.enter(tenants[0]).is_none(), "it has its own");
        let others: Vec<Place> = tenants[1..EXPORTS_MAX].iter().map(|tenant| EXPORTS.enter(*tenant).unwrap()).collect();
        assert!(EXPORTS.enter(tenants[EXPORTS_MAX]).is_none(), "all are taken");
        drop(first);
        assert!(EXPORTS.enter(tenants[EXPORTS_MAX]).is_some());
        drop(others);
        assert!(EXPORTS.enter(tenants[0]).is_some());
    }

    #[tokio::test]
    async fn what_nobody_reads_gives_its_place_back_and_looks_like_no_whole_log() {
        static EXPORTS: Exports = Exports(Mutex::new(BTreeSet::new()));
        let ((pieces, taken), tenant) = (ready(), TenantId::generate());
        for _ in 0..PIECES_MAX {
            pieces.send(Ok(Bytes::from_static(b"half a log\n"))).await.unwrap();
        }
        let place = EXPORTS.enter(tenant).unwrap();
        let unread = StoreError::Unread(Duration::from_secs(60));
        tokio::time::timeout(Duration::from_secs(10), break_off(place, pieces, &Arc::downgrade(&taken), unread)).await.unwrap();
        assert!(EXPORTS.enter(tenant).is_some());
        let answer = streamed(taken, "text/csv", "attachment".into());
        assert!(actix_web::body::to_bytes(answer.into_body()).await.is_err());
    }
}
