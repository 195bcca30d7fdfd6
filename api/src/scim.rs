//! SCIM 2.0 (RFC 7644): a tenant's directory tells who its people are and which groups they are in. It comes with a token of its own, which is of one tenant and
//! good for nothing else; an id of another tenant is as absent as one that was never made.

mod groups;
mod resources;
mod users;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, CACHE_CONTROL, LOCATION, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, web};
use domain::id::ScimTokenId;
use domain::quota::Spent;
use domain::scim::filter::BYTES_MAX;
use domain::scim::{Filter, Kind, Refused};
use domain::scope::{Actor, Scope};
use infra::postgres::scim_user::{NotKept, SCIM_USERS_MAX, Slice};
use infra::postgres::{StoreError, TenantStore};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;
use tracing::{error, warn};
use url::form_urlencoded;

use crate::auth::{Caller, hashed};
use crate::{AppState, api_key, body, quota};

/// Begins each token, so that people and scanners of source code know one when they see it.
pub const BEGIN: &str = "cds_";
/// Where it all is, beneath the public address.
pub const PATH: &str = "/scim/v2";
const CONTENT_TYPE: &str = "application/scim+json";
/// A group of five thousand members, as a directory writes it.
const BODY_BYTES_MAX: usize = 1024 * 1024;
const QUERY_BYTES_MAX: usize = 2 * BYTES_MAX;
const COUNT: i64 = 100;
const COUNT_MAX: i64 = 200;

pub fn routes(config: &mut web::ServiceConfig) {
    let scope = web::scope(PATH)
        .service(web::resource("/Users").route(web::get().to(users::list)).route(web::post().to(users::create)))
        .service(
            web::resource("/Users/{id}")
                .route(web::get().to(users::find))
                .route(web::put().to(users::replace))
                .route(web::patch().to(users::patch))
                .route(web::delete().to(users::remove)),
        )
        .service(web::resource("/Groups").route(web::get().to(groups::list)).route(web::post().to(groups::create)))
        .service(
            web::resource("/Groups/{id}")
                .route(web::get().to(groups::find))
                .route(web::put().to(groups::replace))
                .route(web::patch().to(groups::patch))
                .route(web::delete().to(groups::remove)),
        )
        .service(web::resource("/ServiceProviderConfig").route(web::get().to(resources::provider)))
        .service(web::resource("/ResourceTypes").route(web::get().to(resources::types)))
        .service(web::resource("/ResourceTypes/{id}").route(web::get().to(resources::one_type)))
        .service(web::resource("/Schemas").route(web::get().to(resources::schemas)))
        .service(web::resource("/Schemas/{id}").route(web::get().to(resources::schema)))
        .default_service(web::route().to(nothing));
    config.service(scope);
}

/// Why a request is not done.
#[derive(Debug)]
enum Failure {
    Stranger,
    TooMany(Spent),
    /// Not found, whether it is another tenant's or was never made.
    Missing,
    Refused(Refused),
    Taken(&'static str),
    /// What the directory may not do here, and what to do instead.
    Forbidden(String),
    Body(body::BodyError),
    Busy,
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<NotKept> for Failure {
    fn from(error: NotKept) -> Self {
        let value = |detail: String| Self::Refused(Refused::new(Kind::InvalidValue, detail));
        match error {
            NotKept::Missing => Self::Missing,
            NotKept::Taken => Self::Taken("there is one of this name already, or of this address"),
            NotKept::DomainNotProven(address) => {
                let domain = address.rsplit('@').next().unwrap_or_default();
                value(format!(
                    "the tenant has not proven that the domain {domain} is its own, so its directory does not say who has an address there; prove it first (emailDomainProve)"
                ))
            }
            NotKept::NoAddress => value("a user has a mail address: in emails, or as the userName".to_owned()),
            NotKept::Owner => Self::Forbidden(
                "this person is an owner, and the identity provider's table makes none: an owner changes or removes them (memberRoleSet, memberRemove)"
                    .to_owned(),
            ),
            NotKept::LastOwner => {
                Self::Forbidden("this person is the last owner of the tenant; somebody else becomes one first".to_owned())
            }
            NotKept::TooMany => Self::Forbidden(format!(
                "a directory has at most {SCIM_USERS_MAX} users, 1000 groups and 5000 members of a group here"
            )),
            NotKept::Refused(refused) => Self::Refused(refused),
        }
    }
}

impl Failure {
    fn answer(self, caller: &Caller) -> HttpResponse {
        let (status, kind, detail) = match self {
            Self::Stranger => {
                (StatusCode::UNAUTHORIZED, None, "the token is unknown, was revoked or has expired (scimTokenCreate)".to_owned())
            }
            Self::TooMany(spent) => {
                let mut answer = refusal(StatusCode::TOO_MANY_REQUESTS, None, "too many requests by this token; wait");
                quota::tell(answer.headers_mut(), &spent);
                return answer;
            }
            Self::Missing => (StatusCode::NOT_FOUND, None, "there is no such resource".to_owned()),
            Self::Refused(refused) => (StatusCode::BAD_REQUEST, Some(refused.kind), refused.detail),
            Self::Taken(detail) => (StatusCode::CONFLICT, Some(Kind::Uniqueness), detail.to_owned()),
            Self::Forbidden(detail) => (StatusCode::FORBIDDEN, None, detail),
            Self::Body(error) => (error.status(), None, error.to_string()),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, None, "too much is under way at this moment; try again".to_owned()),
            Self::Store(cause) => {
                error!(request.id = %caller.request, error = infra::chain(&cause), "A request of a directory failed");
                (StatusCode::SERVICE_UNAVAILABLE, None, format!("something on our side failed; try again ({})", caller.request))
            }
        };
        let mut answer = refusal(status, kind, &detail);
        if status == StatusCode::UNAUTHORIZED {
            answer.headers_mut().insert(WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        answer
    }
}

/// An error as SCIM writes them (RFC 7644, 3.12).
fn refusal(status: StatusCode, kind: Option<Kind>, detail: &str) -> HttpResponse {
    let mut error =
        json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": status.as_str(), "detail": detail});
    if let Some(kind) = kind {
        error["scimType"] = json!(kind.as_str());
    }
    answer(status, &error)
}

fn answer(status: StatusCode, value: &Value) -> HttpResponse {
    HttpResponse::build(status).insert_header((CACHE_CONTROL, "no-store")).content_type(CONTENT_TYPE).body(value.to_string())
}

/// One request of a directory that has shown its token.
struct Asked<'a> {
    state: &'a AppState,
    scope: Scope,
    query: Query,
}

/// What stands behind the question mark.
#[derive(Debug, Default)]
struct Query {
    filter: Option<Filter>,
    slice: Slice,
    /// `excludedAttributes` has members among it.
    is_without_members: bool,
}

impl Asked<'_> {
    fn store(&self) -> TenantStore<'_> {
        self.state.store.within(&self.scope)
    }

    fn location(&self, kind: &str, id: &str) -> String {
        format!("{}{PATH}/{kind}/{id}", self.state.public_url)
    }

    /// A resource with its id and what is known of it.
    fn shown(&self, mut map: Map<String, Value>, kind: &str, id: &str, (created, changed): (String, String)) -> Value {
        map.insert("id".into(), json!(id));
        let location = self.location(&format!("{kind}s"), id);
        map.insert(
            "meta".into(),
            json!({"resourceType": kind, "created": created, "lastModified": changed, "location": location}),
        );
        Value::Object(map)
    }

    fn list(&self, total: i64, some: Vec<Value>) -> HttpResponse {
        let list = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
            "totalResults": total, "startIndex": self.query.slice.offset + 1, "itemsPerPage": some.len(), "Resources": some,
        });
        answer(StatusCode::OK, &list)
    }
}

/// A resource that was made, with where it is.
fn created(value: &Value) -> HttpResponse {
    let mut answer = answer(StatusCode::CREATED, value);
    if let Some(location) = value["meta"]["location"].as_str().and_then(|location| location.parse().ok()) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

/// Does what a directory asks for, if it may.
async fn serve(
    state: &AppState,
    request: &HttpRequest,
    act: impl AsyncFnOnce(&Asked<'_>) -> Result<HttpResponse, Failure>,
) -> HttpResponse {
    let caller = Caller::of(state, request);
    let done = async {
        let ((id, tenant), prefix) = match token(state, request).await {
            Err(Failure::Stranger) => {
                let spent = quota::of_address(state, &caller).await;
                return Err(if spent.is_granted { Failure::Stranger } else { Failure::TooMany(spent) });
            }
            known => known?,
        };
        let spent = quota::of_scim_token(state, tenant, id).await;
        if !spent.is_granted {
            return Err(Failure::TooMany(spent));
        }
        let scope = Scope { tenant, actor: Actor::ScimToken { token: id, prefix }, request: caller.request };
        act(&Asked { state, scope, query: Query::read(request.query_string())? }).await
    };
    done.await.unwrap_or_else(|failure: Failure| failure.answer(&caller))
}

/// The token that came, and its prefix; a wrong one is as unknown as none.
async fn token(state: &AppState, request: &HttpRequest) -> Result<((ScimTokenId, domain::id::TenantId), String), Failure> {
    let text = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let text = text.and_then(|text| text.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let text = text.map(|(_, text)| text.trim()).ok_or(Failure::Stranger)?;
    let prefix = api_key::prefix_of(BEGIN, text).ok_or(Failure::Stranger)?;
    let live = state.store.scim_token_find(prefix).await?.ok_or(Failure::Stranger)?;
    if !bool::from(live.hash.ct_eq(&hashed(text))) {
        return Err(Failure::Stranger);
    }
    if live.is_use_old {
        let store = state.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.scim_token_used(live.id).await {
                warn!(scim_token.id = %live.id, error = infra::chain(&error), "That {} is used was not noted", live.id);
            }
        });
    }
    Ok(((live.id, live.tenant), prefix.to_owned()))
}

impl Query {
    fn read(text: &str) -> Result<Self, Refused> {
        let wrong = |detail: &str| Refused::new(Kind::InvalidValue, detail);
        if text.len() > QUERY_BYTES_MAX {
            return Err(wrong("the query is too long"));
        }
        let mut query = Self { slice: Slice { offset: 0, count: COUNT }, ..Self::default() };
        for (name, value) in form_urlencoded::parse(text.as_bytes()) {
            let number = || value.trim().parse::<i64>().map_err(|_| wrong("startIndex and count are whole numbers"));
            match name.to_ascii_lowercase().as_str() {
                "filter" if !value.trim().is_empty() => query.filter = Some(Filter::parse(&value)?),
                // Less than one is one, and less than nothing is nothing (RFC 7644, 3.4.2.4).
                "startindex" => query.slice.offset = number()?.clamp(1, SCIM_USERS_MAX + 1) - 1,
                "count" => query.slice.count = number()?.clamp(0, COUNT_MAX),
                "excludedattributes" => {
                    query.is_without_members = value.split(',').any(|one| one.trim().eq_ignore_ascii_case("members"));
                }
                _ => {}
            }
        }
        Ok(query)
    }
}

/// The rows of a list that a query asks for: from where on, and how many.
pub(crate) fn rows(query: &str) -> Option<std::ops::Range<i64>> {
    let slice = Query::read(query).ok()?.slice;
    Some(slice.offset..slice.offset + slice.count)
}

/// What was sent: JSON, whatever kind a directory says it is.
async fn read(request: &HttpRequest, payload: web::Payload) -> Result<Value, Failure> {
    let bytes =
        body::read(request.headers(), payload, BODY_BYTES_MAX, body::READ_TIMEOUT, |_| true).await.map_err(Failure::Body)?;
    let value = serde_json::from_slice(&bytes);
    value.map_err(|error| Refused::new(Kind::InvalidSyntax, format!("the body is no JSON: {error}")).into())
}

async fn nothing(state: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    serve(&state, &request, async |_| Err(Failure::Missing)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_bounded_whatever_is_asked_for() {
        let page = |text: &str| Query::read(text).map(|query| (query.slice.offset, query.slice.count));
        for (text, expected) in [
            ("", (0, 100)),
            ("startIndex=1&count=50", (0, 50)),
            ("startIndex=101", (100, 100)),
            ("startIndex=0&count=-5", (0, 0)),
            ("startIndex=-9223372036854775808&count=9223372036854775807", (0, 200)),
            ("startIndex=9223372036854775807", (20_000, 100)),
        ] {
            assert_eq!(page(text), Ok(expected), "{text}");
        }
        for text in ["startIndex=x", "count=1.5", "filter=userName", &format!("filter={}", "x".repeat(5_000))] {
            assert!(page(text).is_err(), "{text}");
        }
        assert!(Query::read("excludedAttributes=meta,%20members").unwrap().is_without_members);
    }
}
