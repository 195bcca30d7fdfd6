//! The audit log as files: `GET /audit/export` is what `crossdock audit verify` checks without us, `GET /audit/events.csv` is for people and their
//! spreadsheets. The rows are read as they are sent: a log of any length takes the memory of a few seals.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::scope::{Permission, Scope};
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::audit::AuditFilter;
use serde::Deserialize;
use tokio::sync::{Semaphore, mpsc};
use tracing::warn;
use uuid::Uuid;

use crate::auth::{Admitted, Caller, Identity, admit, come_in};
use crate::graphql::{Code, SIGN_IN_FIRST, refuse};
use crate::{AppState, quota};

/// Exports of one process at a time: each takes a connection of the pool again and again.
static EXPORTS: Semaphore = Semaphore::const_new(2);
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

async fn export(state: web::Data<AppState>, request: HttpRequest, query: web::Query<ExportQuery>) -> HttpResponse {
    let (scope, _) = match allowed(&state, &request).await {
        Ok(allowed) => allowed,
        Err(refusal) => return refusal,
    };
    let Ok(permit) = EXPORTS.try_acquire() else { return busy() };
    let head = match state.store.within(&scope).audit_export_begin(&state.vault, query.after).await {
        Ok(head) => head,
        Err(error) => {
            warn!(request.id = %scope.request, error = chain(&error), "An export of the audit log could not begin");
            let reason = "something on our side failed; try again, and tell support the request id if it stays";
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, reason);
        }
    };
    let name = format!("attachment; filename=\"audit-{}-{}.jsonl\"", scope.tenant, head.statement.seal);
    let (pieces, taken) = mpsc::channel::<Piece>(PIECES_MAX);
    tokio::spawn(async move {
        if let Err(error) = state.store.within(&scope).audit_export(head, &pieces).await {
            warn!(request.id = %scope.request, error = chain(&error), "An export of the audit log broke off");
            // The connection breaks off: half a log must not look like a whole one.
            let _ = pieces.send(Err(error)).await;
        }
        drop(permit);
    });
    streamed(taken, "application/jsonl; charset=utf-8", name)
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
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl From<SheetQuery> for AuditFilter {
    fn from(query: SheetQuery) -> Self {
        // What is no id narrows to nothing, not to everything.
        let id = |text: String| text.rsplit('_').next().and_then(|hex| Uuid::try_parse(hex).ok()).unwrap_or_default();
        Self {
            subject: query.subject_id.map(id),
            subject_kind: query.subject_kind,
            actor: query.actor_id,
            action: query.action,
            request: query.request_id.map(id),
            from: query.from,
            until: query.until,
        }
    }
}

async fn sheet(state: web::Data<AppState>, request: HttpRequest, query: web::Query<SheetQuery>) -> HttpResponse {
    let (scope, sees_personal) = match allowed(&state, &request).await {
        Ok(allowed) => allowed,
        Err(refusal) => return refusal,
    };
    let Ok(permit) = EXPORTS.try_acquire() else { return busy() };
    let filter = AuditFilter::from(query.into_inner());
    let name = format!("attachment; filename=\"audit-{}.csv\"", scope.tenant);
    let (pieces, taken) = mpsc::channel::<Piece>(PIECES_MAX);
    tokio::spawn(async move {
        if let Err(error) = state.store.within(&scope).audit_sheet(filter, sees_personal, &state.vault, &pieces).await {
            warn!(request.id = %scope.request, error = chain(&error), "A sheet of the audit log broke off");
            let _ = pieces.send(Err(error)).await;
        }
        drop(permit);
    });
    streamed(taken, "text/csv; charset=utf-8", name)
}

fn busy() -> HttpResponse {
    let reason = "as many exports as are made at a time are under way; try again in a while";
    refuse(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, reason)
}

fn streamed(taken: mpsc::Receiver<Piece>, kind: &'static str, name: String) -> HttpResponse {
    let body = futures::stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)));
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
