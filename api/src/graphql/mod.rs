//! The GraphQL API. One file for each noun: type, query, mutation. Limits are set here, because by default there are none.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, guard, web};
use async_graphql::http::GraphiQLSource;
use async_graphql::{MergedObject, MergedSubscription, Schema, SchemaBuilder, Value as ConstValue};
use tracing::warn;

use crate::auth::{Admitted, Caller, Viewer, admit, come_in};
use crate::{AppState, body, event_stream, quota};

mod account;
mod alert;
mod api_key;
mod arrival;
mod audit;
mod audit_stream;
mod backfill;
mod budget;
mod catch_up;
mod certificate;
mod change;
mod connection;
mod connection_health;
mod consent;
mod content;
mod delivery;
mod drift;
mod email_domain;
mod error;
mod exception;
mod file;
mod flow;
mod identity_provider;
mod impersonation;
mod incident;
mod interchange;
mod inventory;
mod invitation;
mod invoice;
mod ledger;
mod lookup_entry;
mod lookup_inbox;
mod lookup_table;
mod member;
mod message;
mod node;
mod page;
mod passkey;
mod permission;
mod persisted_operation;
mod personal;
mod personal_data;
mod poll;
mod reconciliation;
mod record;
mod rotation;
mod scim_token;
mod search;
mod second_factor;
mod sent_group;
mod service_account;
mod session;
mod sign_in_policy;
mod size;
mod subscription;
mod sunset;
mod support;
mod swap;
mod tenant;
mod tenant_deletion;
mod three_way_match;
mod throughput;
mod timeline;
mod undo;

pub use error::{Code, SIGN_IN_FIRST, UserError, UserErrorCode};
use permission::Guarded;
use persisted_operation::Unresolved;

/// Nesting of a query; the deepest that the web app needs is eight.
const DEPTH_MAX: usize = 12;
/// Fields, counted with the sizes of the lists they are in.
const COMPLEXITY_MAX: usize = 5_000;
/// Errors of one answer.
const ERRORS_MAX: usize = 50;
const DIRECTIVES_MAX: usize = 20;
const RECURSION_MAX: usize = 24;
const QUERY_BYTES_MAX: usize = 1024 * 1024;

// Merged in groups: what is merged is a chain, each link a layer of one future within the next, and a chain of all of them is more than a thread's stack.
#[derive(MergedObject, Default)]
pub struct Query(RecordsQuery, FlowsQuery, SourcesQuery, PeopleQuery, WatchQuery);

/// What comes and goes: messages, records, deliveries, and what needs a person.
#[derive(MergedObject, Default)]
pub struct RecordsQuery(
    delivery::DeliveryQuery,
    exception::ExceptionGroupQuery,
    exception::ExceptionQuery,
    exception::ExceptionWhatIfQuery,
    ledger::LedgerQuery,
    message::MessageQuery,
    node::NodeQuery,
    record::RecordQuery,
    search::SearchQuery,
    throughput::ThroughputQuery,
    timeline::TimelineQuery,
    undo::UndoQuery,
);

/// What becomes of what, and how one moves on.
#[derive(MergedObject, Default)]
pub struct FlowsQuery(
    backfill::BackfillQuery,
    catch_up::CatchUpQuery,
    certificate::CertificateQuery,
    flow::DryRunQuery,
    flow::FlowCheckQuery,
    flow::FlowQuery,
    flow::FlowTemplateQuery,
    flow::RunQuery,
    flow::TimeMachineQuery,
    reconciliation::ReconciliationQuery,
    swap::SwapQuery,
    three_way_match::MatchPolicyQuery,
);

/// Systems that are connected, and what is known of them.
#[derive(MergedObject, Default)]
pub struct SourcesQuery(
    arrival::ArrivalQuery,
    connection::ConnectionQuery,
    connection_health::ConnectionHealthQuery,
    drift::DriftQuery,
    file::FileQuery,
    incident::IncidentQuery,
    interchange::InterchangeQuery,
    inventory::InventoryQuery,
    lookup_inbox::LookupInboxQuery,
    lookup_table::LookupTableQuery,
    poll::PollQuery,
    sent_group::SentGroupQuery,
    sunset::SunsetQuery,
);

/// Who may do what.
#[derive(MergedObject, Default)]
pub struct PeopleQuery(
    account::AccountQuery,
    api_key::ApiKeyQuery,
    email_domain::EmailDomainQuery,
    identity_provider::IdentityProviderQuery,
    impersonation::ImpersonationQuery,
    invitation::InvitationQuery,
    member::MemberQuery,
    persisted_operation::PersistedOperationQuery,
    scim_token::ScimTokenQuery,
    service_account::ServiceAccountQuery,
    session::SessionQuery,
    sign_in_policy::SignInPolicyQuery,
    support::SupportQuery,
    tenant::TenantQuery,
);

/// Who is told, and what is kept.
#[derive(MergedObject, Default)]
pub struct WatchQuery(alert::AlertQuery, audit::AuditQuery, audit_stream::AuditStreamQuery, invoice::InvoiceQuery);

#[derive(MergedObject, Default)]
pub struct Mutation(RecordsMutation, FlowsMutation, SourcesMutation, PeopleMutation, WatchMutation);

/// What comes and goes: messages, records, deliveries, and what needs a person.
#[derive(MergedObject, Default)]
pub struct RecordsMutation(
    exception::ExceptionEditMutation,
    exception::ExceptionFixMutation,
    exception::ExceptionMutation,
    record::RecordMutation,
    personal_data::PersonalDataMutation,
    undo::UndoMutation,
);

/// What becomes of what, and how one moves on.
#[derive(MergedObject, Default)]
pub struct FlowsMutation(
    certificate::CertificateMutation,
    backfill::BackfillMutation,
    catch_up::CatchUpMutation,
    flow::FlowMutation,
    flow::RunMutation,
    reconciliation::ReconciliationMutation,
    swap::SwapMutation,
    three_way_match::MatchPolicyMutation,
);

/// Systems that are connected, and what is known of them.
#[derive(MergedObject, Default)]
pub struct SourcesMutation(
    arrival::ArrivalMutation,
    connection::ConnectionMutation,
    connection_health::ConnectionHealthMutation,
    consent::ConsentMutation,
    drift::DriftMutation,
    inventory::InventoryMutation,
    lookup_entry::LookupEntryMutation,
    lookup_inbox::LookupInboxMutation,
    lookup_table::LookupTableMutation,
    poll::PollMutation,
    rotation::RotationMutation,
    subscription::SubscriptionMutation,
);

/// Who may do what.
#[derive(MergedObject, Default)]
pub struct PeopleMutation(
    account::AccountMutation,
    api_key::ApiKeyMutation,
    email_domain::EmailDomainMutation,
    identity_provider::IdentityProviderMutation,
    impersonation::ImpersonationMutation,
    invitation::InvitationMutation,
    member::MemberMutation,
    passkey::PasskeyMutation,
    persisted_operation::PersistedOperationMutation,
    scim_token::ScimTokenMutation,
    second_factor::SecondFactorMutation,
    service_account::ServiceAccountMutation,
    session::SessionMutation,
    sign_in_policy::SignInPolicyMutation,
    support::SupportMutation,
    tenant::TenantMutation,
    tenant_deletion::TenantDeletionMutation,
);

/// Who is told, and what is kept.
#[derive(MergedObject, Default)]
pub struct WatchMutation(alert::AlertMutation, audit::AuditMutation, audit_stream::AuditStreamMutation);

#[derive(MergedSubscription, Default)]
pub struct Subscription(change::ChangeSubscription);

pub type CrossdockSchema = Schema<Guarded<Query>, Guarded<Mutation>, Guarded<Subscription>>;

fn builder() -> SchemaBuilder<Guarded<Query>, Guarded<Mutation>, Guarded<Subscription>> {
    Schema::build(Guarded::default(), Guarded::default(), Guarded::default())
        .limit_depth(DEPTH_MAX)
        .limit_complexity(COMPLEXITY_MAX)
        .limit_directives(DIRECTIVES_MAX)
        .limit_recursive_depth(RECURSION_MAX)
}

#[must_use]
pub fn schema(state: &AppState) -> CrossdockSchema {
    let builder = builder().data(state.clone());
    // Who may read the schema is asked with each request; a suggestion would tell everybody a part of it.
    if state.is_development { builder.finish() } else { builder.disable_suggestions().finish() }
}

/// The contract, as `api/schema.graphql` has it.
#[must_use]
pub fn sdl() -> String {
    let options = async_graphql::SDLExportOptions::new().sorted_fields().sorted_arguments().sorted_enum_items();
    builder().finish().sdl_with_options(options)
}

pub fn routes(config: &mut web::ServiceConfig) {
    // A form on another page can make a browser post text, but not JSON: that needs this page's consent (CORS, which we never give).
    let json = guard::fn_guard(|request| is_json(request.head().headers()));
    config.service(web::resource("/graphql").route(web::post().guard(json).to(execute)).route(web::get().to(graphiql)));
}

pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).and_then(|kind| kind.split(';').next());
    kind.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

async fn execute(
    schema: web::Data<CrossdockSchema>,
    state: web::Data<AppState>,
    request: HttpRequest,
    payload: web::Payload,
) -> HttpResponse {
    let caller = Caller::of(&state, &request);
    let came = match come_in(&state, &request, &caller).await {
        Ok(came) => came,
        Err(spent) => return quota::too_many(&spent, quota::reason(None)),
    };
    let mut query = match read(&request, payload).await {
        Ok(query) => query.data(caller.clone()),
        Err(refusal) => return refusal,
    };
    let (viewer, spent) = match admit(&state, &request, &caller, came).await {
        Ok(Admitted::Viewer(viewer, spent)) => (Some(viewer), spent),
        Ok(Admitted::Stranger(spent)) => (None, spent),
        Ok(Admitted::TooMany(viewer, spent)) => return quota::too_many(&spent, quota::reason(viewer.as_deref())),
        Err(error) => return unanswered(&caller, &error, "A request could not be authenticated"),
    };
    let prepared = prepare(&state, viewer.as_deref(), &mut query).await;
    let mut answer = match prepared {
        Err(Unresolved::Store(error)) => unanswered(&caller, &error, "A request could not be looked at"),
        Err(Unresolved::Refused(refusal)) => refusal,
        Ok(()) => {
            if let Some(viewer) = viewer {
                query = query.data::<Arc<Viewer>>(viewer);
            }
            answer(&schema, &request, query).await
        }
    };
    quota::tell(answer.headers_mut(), &spent);
    answer
}

/// What is done with a request before anything of it runs: the operation that it names is found, who may not read the schema does not, and what support asks
/// is noted. What could not be noted is not done.
async fn prepare(state: &AppState, viewer: Option<&Viewer>, query: &mut async_graphql::Request) -> Result<(), Unresolved> {
    persisted_operation::resolve(state, viewer, query).await?;
    persisted_operation::introspect(state, viewer, query).map_err(Unresolved::Refused)?;
    if let Some(viewer) = viewer {
        impersonation::note(state, viewer, query).await?;
    }
    Ok(())
}

fn unanswered(caller: &Caller, error: &infra::postgres::StoreError, what: &str) -> HttpResponse {
    warn!(request.id = %caller.request, error = infra::chain(error), "{what}");
    refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Internal, "the database does not answer; try again")
}

async fn answer(schema: &CrossdockSchema, request: &HttpRequest, query: async_graphql::Request) -> HttpResponse {
    if event_stream::is_asked_for(request.headers()) {
        return event_stream::answer(schema.execute_stream(query));
    }
    let mut answer = schema.execute(query).await;
    // A query of ten thousand wrong words needs no answer of ten thousand sentences.
    answer.errors.truncate(ERRORS_MAX);
    match serde_json::to_vec(&answer) {
        Ok(body) => {
            let mut response = HttpResponse::Ok();
            // What a mutation gives the browser to keep; nothing else is taken over.
            for cookie in answer.http_headers.get_all("Set-Cookie") {
                response
                    .append_header((header::SET_COOKIE, cookie.as_bytes()))
                    .insert_header((header::CACHE_CONTROL, "no-store"));
            }
            response.content_type("application/graphql-response+json").body(body)
        }
        Err(error) => {
            warn!(%error, "An answer could not be written");
            refuse(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "the answer could not be written")
        }
    }
}

/// One request, read within its limits. Anyone may send one, so this comes before everything that costs more.
async fn read(request: &HttpRequest, payload: web::Payload) -> Result<async_graphql::Request, HttpResponse> {
    let body = body::read(request.headers(), payload, QUERY_BYTES_MAX, body::READ_TIMEOUT, |_| true)
        .await
        .map_err(|error| refuse(error.status(), Code::BadRequest, &error.to_string()))?;
    let bad = |reason: &str| refuse(StatusCode::BAD_REQUEST, Code::BadRequest, reason);
    // Limits count for one request: in a batch, each of a thousand would have them anew.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(bad("one request at a time: a batch is not taken"));
    }
    let mut query: async_graphql::Request =
        serde_json::from_slice(&body).map_err(|error| bad(&format!("the body is no GraphQL request in JSON: {error}")))?;
    if has_nul(&query) {
        return Err(bad("a text holds the character U+0000, which cannot be stored"));
    }
    size::check(&mut query).map_err(|error| bad(&error.to_string()))?;
    Ok(query)
}

/// True of a body that would be run.
pub(crate) fn is_read(body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(is_run)
}

/// The hash of the registered operation that an extension of a request names.
pub(crate) fn named(extension: &str) -> Option<String> {
    persisted_operation::named_by(extension)
}

/// True of a request that would be run.
pub(crate) fn is_run(mut query: async_graphql::Request) -> bool {
    if has_nul(&query) || size::check(&mut query).is_err() {
        return false;
    }
    let (operation, variables) = (query.operation_name.clone(), query.variables.clone());
    query.parsed_query().is_ok_and(|document| {
        impersonation::asked(document, operation.as_deref(), &variables).is_ok_and(|asked| !asked.fields.is_empty())
    })
}

/// True of what one of our lists gives as a cursor, and of what it would give if it sealed nothing: chance finds no seal.
pub(crate) fn is_cursor(text: &str) -> bool {
    page::start(None, Some(text.to_owned())).is_ok()
        || page::bytes(text).is_some_and(|json| page::place::<(String, uuid::Uuid)>(&json).is_some())
}

/// Postgres has no NUL in a text: without this look, one would fail as an error of ours wherever it is bound to a statement.
fn has_nul(query: &async_graphql::Request) -> bool {
    fn within(value: &ConstValue) -> bool {
        match value {
            ConstValue::String(text) => text.contains('\0'),
            ConstValue::List(values) => values.iter().any(within),
            ConstValue::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || within(value)),
            ConstValue::Null | ConstValue::Number(_) | ConstValue::Boolean(_) | ConstValue::Binary(_) | ConstValue::Enum(_) => {
                false
            }
        }
    }
    // In a literal of the query it can only be written as an escape.
    query.query.contains(['\0']) || query.query.contains("\\u0000") || query.variables.values().any(within)
}

/// An answer to what never became a query, in the shape that clients of GraphQL read.
pub(crate) fn refuse(status: StatusCode, code: Code, reason: &str) -> HttpResponse {
    refused_with(status, reason, &serde_json::json!({"code": code.as_str()}))
}

/// As [`refuse`], with more than a code.
pub(crate) fn refused_with(status: StatusCode, reason: &str, extensions: &serde_json::Value) -> HttpResponse {
    let error = serde_json::json!({"message": reason, "extensions": extensions});
    HttpResponse::build(status).json(serde_json::json!({"errors": [error]}))
}

async fn graphiql(state: web::Data<AppState>) -> HttpResponse {
    if !state.is_development {
        return HttpResponse::NotFound().finish();
    }
    HttpResponse::Ok().content_type("text/html; charset=utf-8").body(GraphiQLSource::build().endpoint("/graphql").finish())
}

#[cfg(test)]
mod tests {
    use actix_web::test::{TestRequest, call_service, init_service, read_body_json};
    use actix_web::{App, HttpRequest, HttpResponse, web};

    async fn taken(request: HttpRequest, payload: web::Payload) -> HttpResponse {
        super::read(&request, payload).await.map_or_else(|refusal| refusal, |_| HttpResponse::Ok().finish())
    }

    #[actix_web::test]
    async fn a_stranger_sends_one_request_of_a_bounded_size() {
        let app = init_service(App::new().route("/graphql", web::post().to(taken))).await;
        let answer = async |body: Vec<u8>| {
            let answer = call_service(&app, TestRequest::post().uri("/graphql").set_payload(body).to_request()).await;
            let status = answer.status().as_u16();
            let error: serde_json::Value = if status == 200 { serde_json::json!({}) } else { read_body_json(answer).await };
            (status, error["errors"][0]["message"].as_str().unwrap_or_default().to_owned())
        };
        let large = format!("{{\"query\": \"{{ viewer {{ id }} }} # {}\"}}", "x".repeat(2 * 1024 * 1024));
        assert_eq!(answer(large.into()).await, (413, "the body is larger than 1048576 bytes".into()));
        let batch = br#" [{"query": "{ viewer { id } }"}, {"query": "{ viewer { id } }"}]"#;
        assert_eq!(answer(batch.to_vec()).await, (400, "one request at a time: a batch is not taken".into()));
        assert_eq!(answer(b"query".to_vec()).await.0, 400);
        let nul = (400, "a text holds the character U+0000, which cannot be stored".to_owned());
        for body in [
            r#"{"query": "query($n: String!) { a }", "variables": {"n": "a\u0000b"}}"#,
            r#"{"query": "query($i: JSON!) { a }", "variables": {"i": {"settings": [{"na\u0000me": 1}]}}}"#,
            r#"{"query": "{ exceptions(causeKey: \"a\\u0000b\") { nodes { id } } }"}"#,
            r#"{"query": "{ exceptions(causeKey: \"a\u0000b\") { nodes { id } } }"}"#,
        ] {
            assert_eq!(answer(body.into()).await, nul, "{body}");
        }
        assert_eq!(answer(br#"{"query": "{ viewer { id } }", "variables": {}}"#.to_vec()).await.0, 200);
    }

    #[test]
    fn the_committed_sdl_is_fresh() {
        let committed = include_str!("../../schema.graphql");
        assert!(
            committed == super::sdl(),
            "api/schema.graphql is out of date: run `cargo run -p crossdock -- schema > api/schema.graphql`"
        );
    }

    #[tokio::test]
    async fn a_query_too_deep_or_too_wide_is_refused_before_it_runs() {
        let schema = super::builder().finish();
        let deep =
            format!("{{ deliveries {{ nodes {{ {} id {} }} }} }}", "record { deliveries { nodes { ".repeat(6), "} } }".repeat(6));
        let wide = format!(
            "{{ {} }}",
            (0..200).map(|n| format!("a{n}: deliveries(first: 100) {{ nodes {{ id state }} }} ")).collect::<String>()
        );
        for query in [deep, wide] {
            let errors = schema.execute(query).await.errors;
            assert!(errors.iter().any(|e| e.message.contains("too") || e.message.contains("nested")), "{errors:?}");
        }
    }

    #[tokio::test]
    async fn a_negative_first_is_refused_and_no_credit() {
        let schema = super::builder().finish();
        let negative = "{ deliveries(first: -1000000) { nodes { id state attempts { id } } } }";
        // A stranger is told to sign in, and nothing of what else is wrong.
        let errors = schema.execute(negative).await.errors;
        assert!(errors.len() == 1 && errors[0].message.starts_with("sign in first"), "{errors:?}");
        let refused = super::page::start(Some(-1_000_000), None).map(|_| ()).unwrap_err();
        assert_eq!(refused.message, "`first` is how many rows you want, from 1 to 100");
        let wide = (0..60).map(|n| format!("a{n}: deliveries(first: 100) {{ nodes {{ id }} }} ")).collect::<String>();
        let credit = format!("{{ credit: deliveries(first: -1000000) {{ nodes {{ id state }} }} {wide} }}");
        let errors = schema.execute(credit).await.errors;
        assert!(errors.iter().any(|e| e.message.contains("too complex")), "{errors:?}");
    }

    #[tokio::test]
    async fn one_request_is_no_list_of_guesses_and_no_list_of_sums() {
        let schema = super::builder().finish();
        let open = "sessionOpen(input: {email: \"a@example.com\", password: \"a guess of mine\"}) { session { accessToken } }";
        let refresh = "sessionRefresh(refreshToken: \"a guess\") { session { accessToken } }";
        for (operation, field) in [("mutation", open), ("mutation", refresh), ("query", "ledger { duplicates }")] {
            let fields = (0..30).map(|n| format!("a{n}: {field} ")).collect::<String>();
            let errors = schema.execute(format!("{operation} {{ {fields} }}")).await.errors;
            assert!(errors.iter().any(|e| e.message.contains("too complex")), "{field}: {errors:?}");
        }
        let ten = (0..10).map(|n| format!("a{n}: {open} ")).collect::<String>();
        let errors = schema.execute(format!("mutation {{ {ten} }}")).await.errors;
        assert!(errors.iter().any(|e| e.message.contains("too complex")), "{errors:?}");
    }

    #[test]
    fn costs_saturate() {
        use super::page::cost;
        assert_eq!([cost(None, 2), cost(Some(5), 2), cost(Some(-7), 2), cost(Some(i32::MAX), 2)], [41, 11, 1, 201]);
        let nested = (0..12).fold(1, |child, _| cost(Some(100), child));
        assert_eq!(nested, 1_000_000);
    }
}
