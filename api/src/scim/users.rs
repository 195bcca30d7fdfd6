//! `/Users`: the people of a directory.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::SecondsFormat;
use domain::id::ScimUserId;
use domain::scim::{Refused, User, UserQuery};
use infra::postgres::scim_user::KeptUser;
use serde_json::Value;

use super::{Asked, Failure, answer, created, read, serve};
use crate::{AppState, password};

fn shown(asked: &Asked<'_>, kept: &KeptUser) -> Value {
    let at = [kept.created_at, kept.changed_at].map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
    asked.shown(kept.user.write(), "User", &kept.id.to_string(), at.into())
}

/// An id of another kind is nobody's.
fn id(text: &str) -> Result<ScimUserId, Failure> {
    text.parse().map_err(|_| Failure::Missing)
}

pub async fn list(state: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    serve(&state, &request, async |asked| {
        let query = asked.query.filter.as_ref().map_or(Ok(UserQuery::default()), UserQuery::of)?;
        let found = asked.store().scim_users(&query, asked.query.slice).await?;
        Ok(asked.list(found.total, found.some.iter().map(|kept| shown(asked, kept)).collect()))
    })
    .await
}

pub async fn find(state: web::Data<AppState>, request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    serve(&state, &request, async |asked| {
        let kept = asked.store().scim_user(id(&path)?).await?.ok_or(Failure::Missing)?;
        Ok(answer(StatusCode::OK, &shown(asked, &kept)))
    })
    .await
}

pub async fn create(state: web::Data<AppState>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    serve(&state, &request, async |asked| {
        let user = User::read(&read(&request, payload).await?, None)?;
        let nobodys = password::nobodys().await.map_err(|_| Failure::Busy)?;
        let kept = asked.store().scim_user_create(&user, nobodys).await??;
        Ok(created(&shown(asked, &kept)))
    })
    .await
}

pub async fn replace(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> HttpResponse {
    change(&state, &request, &path, payload, |before, body| User::read(body, Some(before))).await
}

pub async fn patch(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> HttpResponse {
    change(&state, &request, &path, payload, User::patched).await
}

async fn change(
    state: &AppState,
    request: &HttpRequest,
    path: &str,
    payload: web::Payload,
    to: impl Fn(&User, &Value) -> Result<User, Refused>,
) -> HttpResponse {
    serve(state, request, async |asked| {
        let id = id(path)?;
        let body = read(request, payload).await?;
        let kept = asked.store().scim_user_change(id, |before| to(before, &body)).await??;
        Ok(answer(StatusCode::OK, &shown(asked, &kept)))
    })
    .await
}

pub async fn remove(state: web::Data<AppState>, request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    serve(&state, &request, async |asked| {
        asked.store().scim_user_remove(id(&path)?).await??;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}
