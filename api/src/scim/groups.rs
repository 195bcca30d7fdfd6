//! `/Groups`: the groups of a directory, and who is in them.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::SecondsFormat;
use domain::id::ScimGroupId;
use domain::scim::group::{SCHEMA, steps};
use domain::scim::{Group, GroupQuery, Refused, Step};
use infra::postgres::scim_group::KeptGroup;
use serde_json::{Map, Value, json};

use super::{Asked, Failure, answer, created, read, serve};
use crate::AppState;

fn shown(asked: &Asked<'_>, kept: &KeptGroup) -> Value {
    let mut map = Map::from_iter([("schemas".to_owned(), json!([SCHEMA])), ("displayName".to_owned(), json!(kept.display_name))]);
    if let Some(external) = &kept.external_id {
        map.insert("externalId".into(), json!(external));
    }
    if let Some(members) = &kept.members {
        let member = |(id, name): &(domain::id::ScimUserId, String)| {
            let id = id.to_string();
            json!({"value": id, "display": name, "type": "User", "$ref": asked.location("Users", &id)})
        };
        map.insert("members".into(), members.iter().map(member).collect());
    }
    let at = [kept.created_at, kept.changed_at].map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true));
    asked.shown(map, "Group", &kept.id.to_string(), at.into())
}

fn id(text: &str) -> Result<ScimGroupId, Failure> {
    text.parse().map_err(|_| Failure::Missing)
}

/// A group as it is now, with its members unless they are not wanted.
async fn now(asked: &Asked<'_>, id: ScimGroupId) -> Result<Value, Failure> {
    let kept = asked.store().scim_group(id, !asked.query.is_without_members).await?.ok_or(Failure::Missing)?;
    Ok(shown(asked, &kept))
}

/// Without members: a group may have thousands, so a directory asks for one group at a time.
pub async fn list(state: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    serve(&state, &request, async |asked| {
        let query = asked.query.filter.as_ref().map_or(Ok(GroupQuery::default()), GroupQuery::of)?;
        let found = asked.store().scim_groups(&query, asked.query.slice).await?;
        Ok(asked.list(found.total, found.some.iter().map(|kept| shown(asked, kept)).collect()))
    })
    .await
}

pub async fn find(state: web::Data<AppState>, request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    serve(&state, &request, async |asked| Ok(answer(StatusCode::OK, &now(asked, id(&path)?).await?))).await
}

pub async fn create(state: web::Data<AppState>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    serve(&state, &request, async |asked| {
        let group = Group::read(&read(&request, payload).await?)?;
        let kept = asked.store().scim_group_create(group).await??;
        Ok(created(&now(asked, kept.id).await?))
    })
    .await
}

pub async fn replace(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> HttpResponse {
    change(&state, &request, &path, payload, |body| Group::read(body).map(Group::steps)).await
}

pub async fn patch(
    state: web::Data<AppState>,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> HttpResponse {
    change(&state, &request, &path, payload, steps).await
}

async fn change(
    state: &AppState,
    request: &HttpRequest,
    path: &str,
    payload: web::Payload,
    to: impl Fn(&Value) -> Result<Vec<Step>, Refused>,
) -> HttpResponse {
    serve(state, request, async |asked| {
        let id = id(path)?;
        let steps = to(&read(request, payload).await?)?;
        asked.store().scim_group_change(id, steps).await??;
        Ok(answer(StatusCode::OK, &now(asked, id).await?))
    })
    .await
}

pub async fn remove(state: web::Data<AppState>, request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    serve(&state, &request, async |asked| {
        asked.store().scim_group_remove(id(&path)?).await??;
        Ok(HttpResponse::NoContent().finish())
    })
    .await
}
