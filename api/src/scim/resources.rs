//! What a directory is told of us: what can be done here, and what is kept of a person and of a group (RFC 7643, 5 to 7).

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use domain::scim::{group, user};
use serde_json::{Value, json};

use super::{Asked, BODY_BYTES_MAX, COUNT_MAX, Failure, PATH, answer, serve};
use crate::AppState;

pub async fn provider(state: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    serve(&state, &request, async |asked| {
        let none = json!({"supported": false});
        let config = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
            "patch": {"supported": true},
            "bulk": {"supported": false, "maxOperations": 0, "maxPayloadSize": BODY_BYTES_MAX},
            "filter": {"supported": true, "maxResults": COUNT_MAX},
            "changePassword": none, "sort": none, "etag": none,
            "authenticationSchemes": [{"type": "oauthbearertoken", "name": "Bearer token", "primary": true,
                "description": "A token of the tenant, made with scimTokenCreate"}],
            "meta": {"resourceType": "ServiceProviderConfig", "location": format!("{}{PATH}/ServiceProviderConfig", asked.state.public_url)},
        });
        Ok(answer(StatusCode::OK, &config))
    })
    .await
}

/// The one of these that the path names, or all of them.
async fn serve_of(
    state: &AppState,
    request: &HttpRequest,
    id: Option<&str>,
    all: impl Fn(&Asked<'_>) -> Vec<Value>,
) -> HttpResponse {
    serve(state, request, async |asked| {
        let all = all(asked);
        let Some(id) = id else { return Ok(asked.list(i64::try_from(all.len()).unwrap_or(i64::MAX), all)) };
        let one = all.into_iter().find(|one| one["id"].as_str().is_some_and(|known| known.eq_ignore_ascii_case(id)));
        Ok(answer(StatusCode::OK, &one.ok_or(Failure::Missing)?))
    })
    .await
}

fn all_types(asked: &Asked<'_>) -> Vec<Value> {
    let kind = |name: &str, schema: &str| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name, "name": name, "endpoint": format!("/{name}s"), "schema": schema,
            "meta": {"resourceType": "ResourceType", "location": asked.location("ResourceTypes", name)},
        })
    };
    vec![kind("User", user::SCHEMA), kind("Group", group::SCHEMA)]
}

pub async fn types(state: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    serve_of(&state, &request, None, all_types).await
}

pub async fn one_type(state: web::Data<AppState>, request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    serve_of(&state, &request, Some(&path), all_types).await
}

/// An attribute as schemas write it; of its characteristics those that are not as usual.
fn attribute(name: &str, kind: &str, others: Value) -> Value {
    let mut attribute = json!({
        "name": name, "type": kind, "multiValued": false, "required": false, "caseExact": false, "mutability": "readWrite",
        "returned": "default", "uniqueness": "none",
    });
    if let (Some(attribute), Value::Object(others)) = (attribute.as_object_mut(), others) {
        attribute.extend(others);
    }
    attribute
}

fn all_schemas(asked: &Asked<'_>) -> Vec<Value> {
    let text = |name: &str| attribute(name, "string", json!({}));
    let schema = |id: &str, name: &str, attributes: Value| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"], "id": id, "name": name, "description": name, "attributes": attributes,
            "meta": {"resourceType": "Schema", "location": asked.location("Schemas", id)},
        })
    };
    let exact = attribute("externalId", "string", json!({"caseExact": true}));
    let user_attributes = json!([
        attribute("userName", "string", json!({"required": true, "uniqueness": "server"})),
        exact,
        text("displayName"),
        attribute("active", "boolean", json!({})),
        attribute("name", "complex", json!({"subAttributes": [text("givenName"), text("familyName")]})),
        attribute(
            "emails",
            "complex",
            json!({"multiValued": true, "subAttributes": [text("value"), text("type"), attribute("primary", "boolean", json!({}))]})
        ),
    ]);
    let group_attributes = json!([
        attribute("displayName", "string", json!({"required": true, "uniqueness": "server"})),
        exact,
        attribute(
            "members",
            "complex",
            json!({"multiValued": true, "subAttributes": [
                attribute("value", "string", json!({"caseExact": true, "mutability": "immutable"})),
                attribute("display", "string", json!({"mutability": "readOnly"})),
            ]})
        ),
    ]);
    vec![schema(user::SCHEMA, "User", user_attributes), schema(group::SCHEMA, "Group", group_attributes)]
}

pub async fn schemas(state: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    serve_of(&state, &request, None, all_schemas).await
}

pub async fn schema(state: web::Data<AppState>, request: HttpRequest, path: web::Path<String>) -> HttpResponse {
    serve_of(&state, &request, Some(&path), all_schemas).await
}
