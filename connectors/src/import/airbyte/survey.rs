//! What of a manifest we do not run, by name and place. A field that we do not know is named too: what is passed over in silence would make
//! a stream that is green but wrong.

use serde_json::{Map, Value};

use super::jinja;
use super::refs::PARAMETERS;

/// Things that one stream lacks; a report of more is of no use.
const MISSING_MAX: usize = 100;

/// The fields of a component: those that we run, those that are plain values (not searched for components), those that change nothing.
struct Known {
    run: &'static [&'static str],
    plain: &'static [&'static str],
    harmless: &'static [&'static str],
}

const fn known(run: &'static [&'static str], plain: &'static [&'static str], harmless: &'static [&'static str]) -> Option<Known> {
    Some(Known { run, plain, harmless })
}

fn fields(kind: &str) -> Option<Known> {
    match kind {
        "DeclarativeStream" => known(
            &["name", "retriever", "incremental_sync", "transformations"],
            &[],
            // A schema says what records look like; nothing is read by it.
            &["primary_key", "schema_loader"],
        ),
        "SimpleRetriever" => known(
            &[
                "requester",
                "decoder",
                "record_selector",
                "paginator",
                "partition_router",
                "ignore_stream_slicer_parameters_on_paginated_requests",
            ],
            &[],
            &["name", "primary_key"],
        ),
        "HttpRequester" => known(
            &["url", "url_base", "path", "http_method", "authenticator", "error_handler"],
            &["request_parameters", "request_headers", "request_body", "request_body_data", "request_body_json"],
            // How a connection is kept is our own client's affair.
            &["name", "use_cache", "connect_timeout_in_seconds", "read_timeout_in_seconds", "use_tcp_keepalive"],
        ),
        "RecordSelector" => known(&["extractor", "record_filter", "transform_before_filtering"], &[], &["name"]),
        "DpathExtractor" => known(&["field_path"], &[], &["decoder"]),
        "RecordFilter" => known(&["condition"], &[], &[]),
        "NoPagination" => known(&[], &[], &[]),
        "DefaultPaginator" => {
            known(&["pagination_strategy", "page_size_option", "page_token_option"], &[], &["url_base", "decoder"])
        }
        "PageIncrement" => known(&["page_size", "start_from_page", "inject_on_first_request"], &[], &[]),
        "OffsetIncrement" => known(&["page_size", "inject_on_first_request"], &[], &[]),
        "CursorPagination" => known(&["cursor_value", "page_size", "stop_condition"], &[], &["decoder"]),
        "RequestOption" => known(&["inject_into", "field_name", "field_path"], &[], &[]),
        "RequestPath" | "NoAuth" | "JsonDecoder" | "JsonlDecoder" | "KeysToLower" | "Bearer" => known(&[], &[], &[]),
        "CsvDecoder" => known(&["encoding", "delimiter", "set_values_to_none"], &[], &[]),
        "DatetimeBasedCursor" => known(
            &[
                "cursor_field",
                "datetime_format",
                "cursor_datetime_formats",
                "start_datetime",
                "end_datetime",
                "step",
                "cursor_granularity",
                "lookback_window",
                "start_time_option",
                "end_time_option",
                "partition_field_start",
                "partition_field_end",
                "is_compare_strictly",
                "is_data_feed",
                "is_client_side_incremental",
                "global_substream_cursor",
            ],
            &[],
            &["allow_catalog_defined_cursor_field"],
        ),
        "IncrementingCountCursor" => {
            known(&["cursor_field", "start_value", "start_value_option"], &[], &["allow_catalog_defined_cursor_field"])
        }
        "MinMaxDatetime" => known(&["datetime", "datetime_format", "min_datetime", "max_datetime"], &[], &[]),
        "ListPartitionRouter" => known(&["values", "cursor_field", "request_option"], &[], &[]),
        "SubstreamPartitionRouter" => known(&["parent_stream_configs"], &[], &[]),
        "ParentStreamConfig" => known(
            &["stream", "parent_key", "partition_field", "request_option", "incremental_dependency", "extra_fields"],
            &[],
            &[],
        ),
        "CartesianProductStreamSlicer" => known(&["stream_slicers"], &[], &[]),
        "AddFields" => known(&["fields", "condition"], &[], &[]),
        "AddedFieldDefinition" => known(&["path", "value", "value_type"], &[], &[]),
        "RemoveFields" => known(&["field_pointers", "condition"], &[], &[]),
        "FlattenFields" => known(&["flatten_lists"], &[], &[]),
        "DefaultErrorHandler" => known(&["response_filters", "max_retries", "backoff_strategies"], &[], &[]),
        "CompositeErrorHandler" => known(&["error_handlers"], &[], &[]),
        "HttpResponseFilter" => {
            known(&["action", "http_codes", "predicate", "error_message_contains", "error_message", "failure_type"], &[], &[])
        }
        "ConstantBackoffStrategy" => known(&["backoff_time_in_seconds"], &[], &["jitter_range_in_seconds"]),
        "ExponentialBackoffStrategy" => known(&["factor"], &[], &["jitter_range_in_seconds"]),
        // A read never waits itself, so how long it may wait limits nothing.
        "WaitTimeFromHeader" => known(&["header", "regex"], &[], &["max_waiting_time_in_seconds"]),
        "WaitUntilTimeFromHeader" => known(&["header", "regex", "min_wait"], &[], &["max_waiting_time_in_seconds"]),
        "ApiKeyAuthenticator" => known(&["api_token", "header", "inject_into"], &[], &[]),
        "BearerAuthenticator" => known(&["api_token"], &[], &[]),
        "BasicHttpAuthenticator" => known(&["username", "password"], &[], &[]),
        "OAuthAuthenticator" => known(
            &[
                "token_refresh_endpoint",
                "client_id_name",
                "client_id",
                "client_secret_name",
                "client_secret",
                "refresh_token_name",
                "refresh_token",
                "access_token_name",
                "access_token_value",
                "expires_in_name",
                "grant_type_name",
                "grant_type",
                "send_refresh_request_as_query_params",
                "scopes",
            ],
            &["refresh_request_body", "refresh_request_headers"],
            // Which refusals of the token's address are final: ours are the standard's.
            &["refresh_token_error_status_codes", "refresh_token_error_key", "refresh_token_error_values", "token_expiry_date"],
        ),
        "SessionTokenAuthenticator" => known(
            &["login_requester", "session_token_path", "expiration_duration", "request_authentication", "decoder"],
            &[],
            &[],
        ),
        "ApiKey" => known(&["inject_into", "api_token"], &[], &[]),
        "LegacySessionTokenAuthenticator" => known(
            &[
                "header",
                "login_url",
                "validate_session_url",
                "session_token_response_key",
                "session_token",
                "username",
                "password",
            ],
            &[],
            &[],
        ),
        "SelectiveAuthenticator" => known(&["authenticator_selection_path", "authenticators"], &[], &[]),
        _ => None,
    }
}

/// Fields that any component may have and that say nothing about what it does.
const ANYWHERE: [&str; 4] = ["type", PARAMETERS, "description", "$options"];

/// What a stream, at this path, has that we do not run.
pub(crate) fn stream(value: &Value, path: &str) -> Vec<String> {
    let mut survey = Survey { missing: Vec::new() };
    match value {
        Value::Object(component) => survey.component(component, path),
        _ => survey.name(path, "is no component"),
    }
    survey.missing
}

struct Survey {
    missing: Vec<String>,
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty() && text != "None",
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        _ => true,
    }
}

impl Survey {
    fn name(&mut self, path: &str, what: &str) {
        let sentence = format!("{path}: {what}");
        if self.missing.len() < MISSING_MAX && !self.missing.contains(&sentence) {
            self.missing.push(sentence);
        }
    }

    fn component(&mut self, component: &Map<String, Value>, path: &str) {
        let Some(kind) = component.get("type").and_then(Value::as_str) else {
            for (key, value) in component {
                self.value(value, &format!("{path}.{key}"));
            }
            return;
        };
        let Some(known) = fields(kind) else {
            let class =
                component.get("class_name").and_then(Value::as_str).map(|class| format!(" ({class})")).unwrap_or_default();
            return self.name(path, &format!("{kind}{class} is not run"));
        };
        let is_parameter = |name: &str| component.get(PARAMETERS).and_then(|parameters| parameters.get(name)).is_some();
        for (name, value) in component {
            let place = format!("{path}.{name}");
            let has = |list: &[&str]| list.contains(&name.as_str());
            if has(known.run) {
                self.value(value, &place);
            } else if has(known.plain) {
                self.plain(value, &place);
            } else if !has(known.harmless) && !has(&ANYWHERE) && !is_parameter(name) && is_set(value) {
                self.name(path, &format!("{name} of {kind} is not run"));
            }
        }
        self.special(kind, component, path);
    }

    /// What a component's fields may say that we do not run, where the field itself we do.
    fn special(&mut self, kind: &str, component: &Map<String, Value>, path: &str) {
        let text = |name: &str| component.get(name).and_then(Value::as_str).unwrap_or_default();
        match kind {
            "HttpResponseFilter"
                if matches!(text("action"), "RESET_PAGINATION" | "REDUCE_PAGE_SIZE" | "SPLIT_REQUEST_WINDOW") =>
            {
                self.name(path, &format!("the action {} is not run", text("action")));
            }
            "CsvDecoder" if !matches!(text("encoding").to_ascii_lowercase().as_str(), "" | "utf-8" | "utf8" | "utf-8-sig") => {
                self.name(path, &format!("the encoding {} is not run", text("encoding")));
            }
            "SessionTokenAuthenticator" => {
                let login = component.get("login_requester").and_then(|login| login.get("authenticator"));
                let kind = login.and_then(|login| login.get("type")).and_then(Value::as_str).unwrap_or("NoAuth");
                if !matches!(kind, "NoAuth" | "ApiKeyAuthenticator" | "BearerAuthenticator" | "BasicHttpAuthenticator") {
                    self.name(&format!("{path}.login_requester.authenticator"), &format!("{kind} is not run within a log-in"));
                }
            }
            "DpathExtractor" | "RemoveFields" => {
                let lists = |name: &str| component.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
                let pointers = lists("field_pointers").into_iter().filter_map(|pointer| pointer.as_array().cloned()).flatten();
                let odd = lists("field_path").into_iter().chain(pointers).find(|segment| {
                    let text = segment.as_str().unwrap_or_default();
                    !matches!(text, "*" | "**") && !text.contains("{{") && text.contains(['*', '?', '['])
                });
                if let Some(segment) = odd {
                    self.name(path, &format!("the pattern {segment} in a path is not run"));
                }
            }
            _ => {}
        }
    }

    fn value(&mut self, value: &Value, path: &str) {
        match value {
            Value::Object(component) => self.component(component, path),
            Value::Array(list) => list.iter().enumerate().for_each(|(at, item)| self.value(item, &format!("{path}[{at}]"))),
            Value::String(template) => self.template(template, path),
            _ => {}
        }
    }

    /// A plain value has templates and no components, but for query properties.
    fn plain(&mut self, value: &Value, path: &str) {
        match value {
            Value::Object(map) if map.get("type").and_then(Value::as_str) == Some("QueryProperties") => {
                self.name(path, "QueryProperties is not run");
            }
            Value::Object(map) => map.iter().for_each(|(key, value)| self.plain(value, &format!("{path}.{key}"))),
            Value::Array(list) => list.iter().enumerate().for_each(|(at, item)| self.plain(item, &format!("{path}[{at}]"))),
            Value::String(template) => self.template(template, path),
            _ => {}
        }
    }

    fn template(&mut self, template: &str, path: &str) {
        if let Err(why) = jinja::check(template) {
            self.name(path, &format!("the expression is not run: {why}"));
        }
    }
}
