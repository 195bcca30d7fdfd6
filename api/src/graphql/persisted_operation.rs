//! Operations that a tenant registers for its partners' programs. A program names one by its hash, as clients of "automatic persisted queries" do, and a key
//! can be kept to them, so that what it may ask is known and was read by somebody. Nothing is registered by asking: an owner or admin does it.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Context, InputObject, IntrospectionMode, Object, Request, Result, SimpleObject, Value};
use chrono::{DateTime, Utc};
use domain::merkle::{Hash, from_hex, hash, hex};
use domain::permission::Permission;
use infra::postgres::StoreError;
use infra::postgres::persisted_operation::{
    DOCUMENT_BYTES_MAX, NewPersistedOperation, PERSISTED_OPERATIONS_MAX, PersistedOperation,
};

use super::error::{Code, SIGN_IN_FIRST, UserError, UserErrorCode, viewer, within};
use super::page::{LARGE_COST, cost};
use super::{refuse, refused_with, size};
use crate::AppState;
use crate::auth::{Identity, Viewer};

const NAME_CHARS_MAX: usize = 200;
/// The extension of a request that names an operation, as clients write it.
const EXTENSION: &str = "persistedQuery";
/// What clients of persisted queries look for, to the letter.
const NOT_FOUND: &str = "PersistedQueryNotFound";
const ONLY_REGISTERED: &str = "this API key runs registered operations only: name one by its hash (extensions.persistedQuery.sha256Hash), or have this one registered (persistedOperationRegister)";

/// An operation that is registered.
#[derive(SimpleObject)]
#[graphql(name = "PersistedOperation")]
struct PersistedOperationNode {
    /// SHA-256 of the document, byte for byte, as 64 hexadecimal digits.
    sha256: String,
    name: String,
    /// At most 32 KiB.
    document: String,
    created_by: async_graphql::ID,
    created_at: DateTime<Utc>,
}

impl From<PersistedOperation> for PersistedOperationNode {
    fn from(operation: PersistedOperation) -> Self {
        Self {
            sha256: hex(&operation.hash),
            name: operation.name,
            document: operation.document,
            created_by: async_graphql::ID(operation.created_by.to_string()),
            created_at: operation.created_at,
        }
    }
}

#[derive(InputObject)]
struct PersistedOperationRegisterInput {
    /// What it is for; 1 to 200 characters.
    name: String,
    /// The operation, byte for byte as its hash is made of it; at most 32 KiB.
    document: String,
}

#[derive(SimpleObject)]
struct PersistedOperationPayload {
    persisted_operation: Option<PersistedOperationNode>,
    user_errors: Vec<UserError>,
}

impl PersistedOperationPayload {
    fn refuse(field: &str, code: UserErrorCode, message: impl Into<String>) -> Self {
        Self { persisted_operation: None, user_errors: vec![UserError::new(field, code, message)] }
    }
}

#[derive(SimpleObject)]
struct PersistedOperationRemovePayload {
    done: bool,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct PersistedOperationQuery;

#[Object]
impl PersistedOperationQuery {
    /// The operations that this tenant has registered, the newest first; at most 200.
    #[graphql(complexity = "LARGE_COST + cost(Some(100), child_complexity)")]
    async fn persisted_operations(&self, ctx: &Context<'_>) -> Result<Vec<PersistedOperationNode>> {
        let all = within(ctx, Permission::ManageApiKeys, async |store| store.persisted_operations().await).await?;
        Ok(all.into_iter().map(Into::into).collect())
    }
}

#[derive(Default)]
pub struct PersistedOperationMutation;

#[Object]
impl PersistedOperationMutation {
    /// Registers an operation, or gives it another name; at most 200 of a tenant. A program names it by `extensions.persistedQuery.sha256Hash`.
    async fn persisted_operation_register(
        &self,
        ctx: &Context<'_>,
        input: PersistedOperationRegisterInput,
    ) -> Result<PersistedOperationPayload> {
        let (user, _) = viewer(ctx)?.person()?;
        let name = input.name.trim();
        if !(1..=NAME_CHARS_MAX).contains(&name.chars().count()) {
            let message = format!("say what the operation is for, in 1 to {NAME_CHARS_MAX} characters");
            return Ok(PersistedOperationPayload::refuse("name", UserErrorCode::Invalid, message));
        }
        if input.document.len() > DOCUMENT_BYTES_MAX {
            let message = format!("an operation has {DOCUMENT_BYTES_MAX} bytes at most");
            return Ok(PersistedOperationPayload::refuse("document", UserErrorCode::Invalid, message));
        }
        if let Err(error) = async_graphql::parser::parse_query(&input.document) {
            let message = format!("this is no operation of GraphQL: {error}");
            return Ok(PersistedOperationPayload::refuse("document", UserErrorCode::Invalid, message));
        }
        if input.document.contains("\\u0000") {
            let message = "a text of it holds the character U+0000, which cannot be stored";
            return Ok(PersistedOperationPayload::refuse("document", UserErrorCode::Invalid, message));
        }
        let hash = hash(&[input.document.as_bytes()]);
        let new = NewPersistedOperation { hash, name, document: &input.document, created_by: user };
        let register = async |store: infra::postgres::TenantStore<'_>| store.persisted_operation_register(&new).await;
        Ok(match within(ctx, Permission::ManageApiKeys, register).await? {
            Some(made) => PersistedOperationPayload { persisted_operation: Some(made.into()), user_errors: vec![] },
            None => {
                let message =
                    format!("{PERSISTED_OPERATIONS_MAX} operations are registered already; remove one that nobody asks");
                PersistedOperationPayload::refuse("document", UserErrorCode::TooMany, message)
            }
        })
    }

    /// Takes an operation away: from the next request on nobody runs it by its hash.
    async fn persisted_operation_remove(&self, ctx: &Context<'_>, sha256: String) -> Result<PersistedOperationRemovePayload> {
        let missing = || {
            let message = "no such operation is registered; `persistedOperations` lists them";
            let user_errors = vec![UserError::new("sha256", UserErrorCode::NotFound, message)];
            PersistedOperationRemovePayload { done: false, user_errors }
        };
        let Some(hash) = parse_hash(&sha256) else { return Ok(missing()) };
        let remove = async |store: infra::postgres::TenantStore<'_>| store.persisted_operation_remove(&hash).await;
        let done = within(ctx, Permission::ManageApiKeys, remove).await?;
        Ok(if done { PersistedOperationRemovePayload { done, user_errors: vec![] } } else { missing() })
    }
}

/// Some clients write it in upper case.
fn parse_hash(text: &str) -> Option<Hash> {
    from_hex(&text.to_ascii_lowercase())
}

/// Why a request does not run.
#[derive(Debug)]
pub enum Unresolved {
    Refused(HttpResponse),
    Store(StoreError),
}

impl From<StoreError> for Unresolved {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Finds the operation that a request names by its hash, and keeps to registered ones a key that is kept to them.
///
/// # Errors
/// What the caller is told where it does not run; or the database does not answer.
pub async fn resolve(state: &AppState, viewer: Option<&Viewer>, request: &mut Request) -> Result<(), Unresolved> {
    let told = named(request).map_err(|reason| Unresolved::Refused(refuse(StatusCode::BAD_REQUEST, Code::BadRequest, reason)))?;
    let is_kept = matches!(viewer.map(|viewer| &viewer.identity), Some(Identity::ApiKey(key)) if key.is_persisted_only);
    let has_text = !request.query.is_empty();
    let wanted = match told {
        Some(told) if has_text && hash(&[request.query.as_bytes()]) != told => {
            let reason = "sha256Hash is not the hash of the query that came with it";
            return Err(Unresolved::Refused(refuse(StatusCode::BAD_REQUEST, Code::BadRequest, reason)));
        }
        // Whoever may ask anything may send the text, too: nothing is looked up.
        _ if has_text && !is_kept => return Ok(()),
        Some(told) => told,
        None if has_text => hash(&[request.query.as_bytes()]),
        None => return Ok(()),
    };
    let Some(viewer) = viewer else {
        return Err(Unresolved::Refused(refuse(StatusCode::UNAUTHORIZED, Code::Unauthenticated, SIGN_IN_FIRST)));
    };
    let Some(scope) = viewer.scope() else {
        let reason = "say which tenant you mean with the header X-Crossdock-Tenant: operations are registered in one";
        return Err(Unresolved::Refused(refuse(StatusCode::BAD_REQUEST, Code::NoTenant, reason)));
    };
    match state.store.within(&scope).persisted_document(&wanted).await? {
        Some(document) => {
            request.query = document;
            // It came by no body, and was not looked at with one.
            size::check(request)
                .map_err(|error| Unresolved::Refused(refuse(StatusCode::BAD_REQUEST, Code::BadRequest, &error.to_string())))
        }
        // As clients expect it: they read the errors, not the status.
        None if !has_text => {
            let extensions = serde_json::json!({"code": Code::PersistedQueryNotFound.as_str()});
            Err(Unresolved::Refused(refused_with(StatusCode::OK, NOT_FOUND, &extensions)))
        }
        None => Err(Unresolved::Refused(refuse(StatusCode::FORBIDDEN, Code::Forbidden, ONLY_REGISTERED))),
    }
}

/// The hash that a request names.
fn named(request: &Request) -> std::result::Result<Option<Hash>, &'static str> {
    const WRONG: &str = "extensions.persistedQuery is {version: 1, sha256Hash: 64 hexadecimal digits}";
    let Some(told) = request.extensions.0.get(EXTENSION) else { return Ok(None) };
    let Value::Object(told) = told else { return Err(WRONG) };
    let is_known = told.get("version").is_none_or(|version| *version == Value::from(1));
    match told.get("sha256Hash") {
        Some(Value::String(text)) if is_known => parse_hash(text).map(Some).ok_or(WRONG),
        _ => Err(WRONG),
    }
}

/// The hash that this extension of a request names, in hexadecimal digits.
pub(super) fn named_by(extension: &str) -> Option<String> {
    let mut request = Request::new("");
    request.extensions.0.insert(EXTENSION.to_owned(), serde_json::from_str(extension).ok()?);
    named(&request).ok().flatten().map(|hash| hex(&hash))
}

/// The schema is for those who build on it: `__schema` and `__type` are refused to everybody else. `__typename` is always allowed.
///
/// # Errors
/// What the caller is told where they asked for it.
pub fn introspect(state: &AppState, viewer: Option<&Viewer>, request: &mut Request) -> Result<(), HttpResponse> {
    if state.is_development || viewer.is_some_and(|viewer| viewer.may(Permission::ReadSchema)) {
        return Ok(());
    }
    request.introspection_mode = IntrospectionMode::Disabled;
    // What cannot be read is not run, either.
    let Ok(document) = request.parsed_query() else { return Ok(()) };
    if !asks_for_schema(document) {
        return Ok(());
    }
    Err(if viewer.is_none() {
        refuse(StatusCode::UNAUTHORIZED, Code::Unauthenticated, SIGN_IN_FIRST)
    } else {
        let reason =
            "the schema is for owners, admins, developers and API keys with READ_SCHEMA in the tenant that the request names";
        refuse(StatusCode::FORBIDDEN, Code::Forbidden, reason)
    })
}

fn asks_for_schema(document: &ExecutableDocument) -> bool {
    fn within(set: &SelectionSet) -> bool {
        set.items.iter().any(|selection| match &selection.node {
            Selection::Field(field) => {
                matches!(field.node.name.node.as_str(), "__schema" | "__type") || within(&field.node.selection_set.node)
            }
            Selection::InlineFragment(fragment) => within(&fragment.node.selection_set.node),
            // Each fragment is looked at by itself.
            Selection::FragmentSpread(_) => false,
        })
    }
    document.operations.iter().any(|(_, operation)| within(&operation.node.selection_set.node))
        || document.fragments.values().any(|fragment| within(&fragment.node.selection_set.node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_named_as_clients_of_persisted_queries_name_it() {
        let named = |json: &str| named(&serde_json::from_str::<Request>(json).unwrap());
        let digits = "ECf4a4f1f6c3e3e1c8d1b8f3c9f1d3b7a5e0f3c2b1a09f8e7d6c5b4a39281706";
        let extensions = |extension: &str| format!(r#"{{"extensions": {{"persistedQuery": {extension}}}}}"#);
        let of_digits = extensions(&format!(r#"{{"version": 1, "sha256Hash": "{digits}"}}"#));
        assert_eq!(hex(&named(&of_digits).unwrap().unwrap()), digits.to_lowercase());
        assert_eq!(named(r#"{"query": "{ viewer { id } }"}"#), Ok(None));
        for wrong in [
            "1".to_owned(),
            "{}".to_owned(),
            format!(r#"{{"version": 2, "sha256Hash": "{digits}"}}"#),
            r#"{"version": 1, "sha256Hash": "é6c3"}"#.to_owned(),
            format!(r#"{{"version": 1, "sha256Hash": "{}+0"}}"#, &digits[2..]),
        ] {
            assert!(named(&extensions(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_schema_is_asked_for_however_it_is_written() {
        let asks = |query: &str| asks_for_schema(&async_graphql::parser::parse_query(query).unwrap());
        for query in [
            "{ __schema { types { name } } }",
            "{ a: __type(name: \"Query\") { name } }",
            "query A { viewer { id } } query B { ... { __schema { types { name } } } }",
            "{ ...F } fragment F on Query { ... on Query { s: __schema { queryType { name } } } }",
        ] {
            assert!(asks(query), "{query}");
        }
        assert!(!asks("{ __typename viewer { __typename id } }"));
    }
}
