//! What a manifest's report says, and that no manifest, however it is written, makes us panic or run without end.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use domain::fault::FaultClass;
use domain::http::HttpAnswer;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{ImportError, Manifest, Reader};

const NOW: &str = "2026-11-24T09:30:00Z";

fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

/// A stream `orders` with these further fields of its retriever and of itself, in flow style.
fn manifest(retriever: &str, stream: &str) -> String {
    let mut text = "type: DeclarativeSource\nversion: 6.0.0\nstreams:\n- type: DeclarativeStream\n  name: orders\n".to_owned();
    let _ = write!(text, "  retriever: {{ requester: {{ url_base: 'https://shop.example', path: orders }}");
    let _ = write!(text, ", record_selector: {{ extractor: {{ field_path: [orders] }} }}{retriever} }}\n{stream}");
    text
}

fn reader(retriever: &str, stream: &str) -> Reader {
    Manifest::parse(&manifest(retriever, stream)).unwrap().read("orders", &json!({}), &Value::Null, now()).unwrap()
}

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, headers: Vec::new(), body: body.as_bytes().to_vec().into() }
}

fn missing(retriever: &str, stream: &str) -> Vec<String> {
    Manifest::parse(&manifest(retriever, stream)).unwrap().report().streams.remove(0).missing
}

#[test]
fn what_is_not_run_is_named_with_its_place() {
    for (retriever, stream, expected) in [
        ("", "", ""),
        (
            ", paginator: { type: DefaultPaginator, pagination_strategy: { class_name: a.B } }",
            "",
            "streams[0].retriever.paginator.pagination_strategy: CustomPaginationStrategy (a.B) is not run",
        ),
        (", page_size_reduction: { factor: 2 }", "", "streams[0].retriever: page_size_reduction of SimpleRetriever is not run"),
        ("", "  state_migrations: [{ type: X }]\n", "streams[0]: state_migrations of DeclarativeStream is not run"),
        ("", "  state_migrations: []\n", ""),
        (
            "",
            "  transformations: [{ type: AddFields, fields: [{ path: [a], value: '{{ record.a | upperr }}' }] }]\n",
            "streams[0].transformations[0].fields[0].value: the expression is not run: the filter upperr is not run",
        ),
        ("", "  transformations: [{ type: KeysToSnakeCase }]\n", "streams[0].transformations[0]: KeysToSnakeCase is not run"),
        (", decoder: { type: XmlDecoder }", "", "streams[0].retriever.decoder: XmlDecoder is not run"),
        ("", "  incremental_sync: { type: DatetimeBasedCursor }\n", "streams[0]: missing field `cursor_field`"),
    ] {
        assert_eq!(missing(retriever, stream).join(" | "), expected, "{retriever}{stream}");
    }
}

#[test]
fn a_report_reads_as_text() {
    let text = manifest(", decoder: { type: XmlDecoder }", "") + "dynamic_streams: [{ type: DynamicDeclarativeStream }]\n";
    let expected = "manifest: 0 of 1 streams can be read.\n  no  orders\n        streams[0].retriever.decoder: XmlDecoder is not run\n  \
                    dynamic_streams[0]: DynamicDeclarativeStream is not run\n";
    assert_eq!(Manifest::parse(&text).unwrap().report().to_string(), expected);
    let refused = Manifest::parse(&text).unwrap().read("orders", &json!({}), &Value::Null, now()).unwrap_err();
    assert!(matches!(refused, ImportError::NotRun { .. }), "{refused}");
    assert_eq!(Manifest::parse("type: Other").unwrap_err(), ImportError::NotASource);
}

#[test]
fn the_settings_form_says_what_is_secret() {
    let text = manifest("", "")
        + "spec: { type: Spec, connection_specification: { type: object, required: [shop], properties: { shop: { type: string, title: Shop }, \
           login: { type: object, oneOf: [{ type: object, properties: { key: { type: string, airbyte_secret: true } } }] } } } }\n";
    let fields = Manifest::parse(&text).unwrap().settings();
    let found: Vec<_> =
        fields.iter().map(|field| (field.path.join("."), field.title.as_str(), field.required, field.secret)).collect();
    assert_eq!(found, [("shop".to_owned(), "Shop", true, false), ("login.key".to_owned(), "key", false, true)]);
}

#[test]
fn numbers_keep_their_digits() {
    let mut reader = reader("", "");
    reader.next().unwrap().unwrap();
    let record = r#"{"id":123456789012345678901234567890,"total":1.10}"#;
    let taken = reader.take(&answer(200, &format!(r#"{{"orders":[{record}]}}"#))).unwrap();
    assert_eq!(taken, [record.as_bytes()]);
    assert!(reader.next().unwrap().is_none());
}

#[test]
fn without_an_answer_it_is_the_same_request_again() {
    let mut reader = reader("", "");
    let mut urls = || reader.next().unwrap().unwrap().url;
    assert_eq!((urls(), urls()), ("https://shop.example/orders".to_owned(), "https://shop.example/orders".to_owned()));
}

#[test]
fn a_passing_fault_is_asked_again_and_a_final_one_ends_the_read() {
    let mut reader = reader("", "");
    reader.next().unwrap();
    assert_eq!(reader.take(&answer(503, "")).unwrap_err().class, FaultClass::Retry);
    assert!(reader.next().unwrap().is_some());
    assert_eq!(reader.take(&answer(401, "")).unwrap_err().class, FaultClass::Authentication);
    assert!(matches!(reader.next(), Err(ImportError::Ended { .. })));
}

#[test]
fn what_cannot_be_read_is_not_a_page_without_records() {
    for body in ["<html>down for maintenance</html>", r#"{"orders":["no record"]}"#] {
        let mut reader = reader("", "");
        reader.next().unwrap();
        assert_eq!(reader.take(&answer(200, body)).unwrap_err().code, "answer_unreadable", "{body}");
    }
}

#[test]
fn the_address_of_a_next_page_keeps_to_the_host() {
    let paginator = ", paginator: { type: DefaultPaginator, page_token_option: { type: RequestPath }, \
                     pagination_strategy: { type: CursorPagination, cursor_value: '{{ response.next }}' } }";
    for (next, well) in [
        ("https://shop.example/orders?page=2", true),
        ("/orders?page=2", true),
        ("https://evil.example/orders", false),
        ("//evil.example/orders", false),
        ("http://shop.example/orders", false),
        ("file:///etc/passwd", false),
    ] {
        let mut reader = reader(paginator, "");
        reader.next().unwrap();
        reader.take(&answer(200, &json!({"orders": [], "next": next}).to_string())).unwrap();
        assert_eq!(reader.next().is_ok(), well, "{next}");
    }
}

#[test]
fn a_token_that_is_short_lived_serves_one_request() {
    let authenticator = "authenticator: { type: OAuthAuthenticator, token_refresh_endpoint: 'https://shop.example/token', client_id: a, \
                         client_secret: b, grant_type: client_credentials }, path: orders";
    let text = manifest("", "").replace("path: orders", authenticator);
    let mut reader = Manifest::parse(&text).unwrap().read("orders", &json!({}), &Value::Null, now()).unwrap();
    for at in 0..2 {
        reader.set_now(now() + chrono::TimeDelta::minutes(at));
        assert_eq!(reader.next().unwrap().unwrap().url, "https://shop.example/token");
        reader.take(&answer(200, r#"{"access_token":"t","expires_in":1}"#)).unwrap();
        reader.set_now(now() + chrono::TimeDelta::minutes(at) + chrono::TimeDelta::seconds(30));
        assert_eq!(reader.next().unwrap().unwrap().url, "https://shop.example/orders");
        reader.take(&answer(503, "")).unwrap_err();
    }
}

#[test]
fn a_session_that_is_refused_makes_a_new_one() {
    let authenticator = "authenticator: { type: LegacySessionTokenAuthenticator, header: X-S, login_url: /in, validate_session_url: /me, \
                         session_token: old, session_token_response_key: id, username: a, password: b }, path: orders";
    let text = manifest("", "").replace("path: orders", authenticator);
    for (status, then) in [(200, "/orders"), (401, "/in")] {
        let mut reader = Manifest::parse(&text).unwrap().read("orders", &json!({}), &Value::Null, now()).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().url, "https://shop.example/me");
        reader.take(&answer(status, "")).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().url, format!("https://shop.example{then}"));
    }
}

#[test]
fn a_token_that_is_never_given_ends_the_read() {
    let authenticator = "authenticator: { type: OAuthAuthenticator, token_refresh_endpoint: 'https://shop.example/token', client_id: a, \
                         client_secret: b, grant_type: client_credentials }, path: orders";
    let text = manifest("", "").replace("path: orders", authenticator);
    let mut reader = Manifest::parse(&text).unwrap().read("orders", &json!({}), &Value::Null, now()).unwrap();
    let asked = (0..100).take_while(|_| reader.next().is_ok() && reader.take(&answer(503, "")).is_err()).count();
    assert!(asked < 10, "{asked}");
}

#[test]
fn a_text_too_long_for_an_expression_is_an_error_where_it_is_used_and_nowhere_else() {
    let paginator = |expression: &str| {
        format!(
            ", paginator: {{ type: DefaultPaginator, page_token_option: {{ type: RequestOption, inject_into: header, field_name: h }}, \
             pagination_strategy: {{ type: CursorPagination, cursor_value: '{{{{ {expression} }}}}' }} }}"
        )
    };
    for (expression, well) in [("response.next", true), ("response.long", false), ("response", false)] {
        let mut reader = reader(&paginator(expression), "");
        reader.next().unwrap();
        let body = json!({"orders": [], "next": "n", "long": "x".repeat(super::jinja::TEXT_BYTES_MAX + 1)}).to_string();
        assert_eq!(reader.take(&answer(200, &body)).is_ok(), well, "{expression}");
    }
}

#[test]
fn a_state_covers_only_what_is_read_whole() {
    let cursor = "  incremental_sync: { type: DatetimeBasedCursor, cursor_field: at, datetime_format: '%Y-%m-%d', start_datetime: '2024-01-01', \
                  end_datetime: '2024-01-31', step: P10D, cursor_granularity: P1D }\n";
    let pages = ", paginator: { type: DefaultPaginator, page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: p }, \
                 pagination_strategy: { type: PageIncrement, page_size: 1 } }";
    let mut reader = reader(pages, cursor);
    reader.next().unwrap();
    reader.take(&answer(200, r#"{"orders":[{"at":"2024-01-09"}]}"#)).unwrap();
    assert_eq!(reader.state(), json!({"at": "2024-01-01"}), "half a slice is none");
    reader.next().unwrap();
    reader.take(&answer(200, r#"{"orders":[]}"#)).unwrap();
    assert_eq!(reader.state(), json!({"at": "2024-01-09"}));
}

#[test]
fn two_that_say_the_same_are_an_error() {
    let pages = ", paginator: { type: DefaultPaginator, page_size_option: { type: RequestOption, inject_into: request_parameter, field_name: p }, \
                 page_token_option: { type: RequestOption, inject_into: request_parameter, field_name: p }, \
                 pagination_strategy: { type: PageIncrement, page_size: 1, inject_on_first_request: true } }";
    assert_eq!(reader(pages, "").next().unwrap_err(), ImportError::Collision { name: "p".to_owned() });
}

/// Any field, any component, any value: mostly nonsense, some of it nearly sense.
fn anything() -> impl Strategy<Value = Value> {
    const KEYS: [&str; 24] = [
        "type",
        "$ref",
        "$parameters",
        "name",
        "retriever",
        "requester",
        "record_selector",
        "extractor",
        "field_path",
        "paginator",
        "pagination_strategy",
        "partition_router",
        "values",
        "cursor_field",
        "incremental_sync",
        "transformations",
        "fields",
        "value",
        "path",
        "url_base",
        "error_handler",
        "authenticator",
        "step",
        "start_datetime",
    ];
    const TEXTS: [&str; 22] = [
        "DeclarativeStream",
        "SimpleRetriever",
        "HttpRequester",
        "DefaultPaginator",
        "PageIncrement",
        "ListPartitionRouter",
        "SubstreamPartitionRouter",
        "AddFields",
        "DatetimeBasedCursor",
        "OAuthAuthenticator",
        "#/streams",
        "#/definitions/a",
        "#/",
        "{{ config['a'] }}",
        "{{ record }",
        "{% for a in config %}",
        "P1D",
        "%Y",
        "2024-01-01",
        "*",
        "https://a.example",
        "object",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        proptest::sample::select(TEXTS.to_vec()).prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        let key = prop_oneof![9 => proptest::sample::select(KEYS.to_vec()).prop_map(str::to_owned), 1 => ".{0,5}"];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..6).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// All that can be done with a manifest, a few answers far.
fn exercise(text: &str, body: &str) {
    let Ok(manifest) = Manifest::parse(text) else { return };
    let _ = (manifest.report().to_string(), manifest.settings(), manifest.check_streams());
    for stream in manifest.report().streams.iter().take(3) {
        let Ok(mut reader) = manifest.read(&stream.name, &json!({"a": "b"}), &json!({"at": "2024-01-05"}), now()) else {
            continue;
        };
        for status in [200, 200, 429, 404, 200] {
            let Ok(Some(_)) = reader.next() else { break };
            let _ = reader.take(&answer(status, body));
        }
        let _ = reader.state();
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_manifest_panic(text in "(type: DeclarativeSource\n)?[ -~\n]{0,120}") {
        exercise(&text, "{}");
    }

    #[test]
    fn no_manifest_makes_it_panic_or_run_without_end(streams in anything(), definitions in anything(), body in anything()) {
        let text = json!({"type": "DeclarativeSource", "streams": streams, "definitions": {"a": definitions}}).to_string();
        exercise(&text, &body.to_string());
    }

    #[test]
    fn no_part_of_a_running_stream_makes_it_panic(part in anything(), at in 0..4_usize, body in anything()) {
        let part = part.to_string();
        let (retriever, stream) = match at {
            0 => (format!(", paginator: {part}"), String::new()),
            1 => (format!(", partition_router: {part}"), String::new()),
            2 => (String::new(), format!("  transformations: {part}\n")),
            _ => (String::new(), format!("  incremental_sync: {part}\n")),
        };
        exercise(&manifest(&retriever, &stream), &json!({"orders": [body, {"at": "2024-01-05"}]}).to_string());
    }
}
