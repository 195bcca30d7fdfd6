//! The components of a low-code manifest that we run, as they stand in a resolved one. What we do not run never gets here:
//! `survey` has named it.

mod auth;
mod error;

pub(crate) use auth::{Authenticator, LegacySession, OAuth, SessionToken, SessionUse};
pub(crate) use error::{Action, Backoff, ErrorHandler, ResponseFilter};

use domain::value::{Map, Value};
use serde::{Deserialize, Deserializer};

/// A text, or a number that stands for one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => Ok(Text(text)),
            serde_json::Value::Number(number) => Ok(Text(number.to_string())),
            serde_json::Value::Bool(bool) => Ok(Text(if bool { "True" } else { "False" }.to_owned())),
            _ => Err(serde::de::Error::custom("a text was expected")),
        }
    }
}

/// Any value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Json(pub(crate) Value);

impl Default for Json {
    fn default() -> Self {
        Json(Value::Map(Map::new()))
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Json(Value::from(&serde_json::Value::deserialize(deserializer)?)))
    }
}

/// One, or a list of them.
fn many<'de, T: serde::de::DeserializeOwned, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let read = |value: serde_json::Value| serde_json::from_value(value).map_err(serde::de::Error::custom);
    match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::Null => Ok(Vec::new()),
        serde_json::Value::Array(list) => list.into_iter().map(read).collect(),
        one => Ok(vec![read(one)?]),
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Stream {
    #[serde(default)]
    pub(crate) name: String,
    pub(crate) retriever: Retriever,
    #[serde(default)]
    pub(crate) incremental_sync: Option<Incremental>,
    #[serde(default, deserialize_with = "many")]
    pub(crate) transformations: Vec<Transformation>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Retriever {
    pub(crate) requester: Requester,
    #[serde(default)]
    pub(crate) decoder: Option<Decoder>,
    pub(crate) record_selector: Selector,
    #[serde(default)]
    pub(crate) paginator: Option<Paginator>,
    #[serde(default, rename = "ignore_stream_slicer_parameters_on_paginated_requests")]
    pub(crate) pages_without_slice: Option<bool>,
    #[serde(default, deserialize_with = "many")]
    pub(crate) partition_router: Vec<Router>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Requester {
    #[serde(default)]
    pub(crate) url: Option<String>,
    #[serde(default)]
    pub(crate) url_base: Option<String>,
    #[serde(default)]
    pub(crate) path: Option<Text>,
    #[serde(default)]
    pub(crate) http_method: Option<HttpMethod>,
    #[serde(default)]
    pub(crate) authenticator: Option<Box<Authenticator>>,
    #[serde(default)]
    pub(crate) request_parameters: Option<Json>,
    #[serde(default)]
    pub(crate) request_headers: Option<Json>,
    #[serde(default)]
    pub(crate) request_body: Option<Body>,
    #[serde(default)]
    pub(crate) request_body_data: Option<Json>,
    #[serde(default)]
    pub(crate) request_body_json: Option<Json>,
    #[serde(default)]
    pub(crate) error_handler: Option<ErrorHandler>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) enum HttpMethod {
    #[default]
    #[serde(rename = "GET")]
    Get,
    #[serde(rename = "POST")]
    Post,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", content = "value")]
pub(crate) enum BodyValue {
    #[serde(rename = "RequestBodyPlainText", alias = "RequestBodyUrlEncodedForm")]
    Data(Json),
    #[serde(rename = "RequestBodyJsonObject", alias = "RequestBodyGraphQL")]
    Json(Json),
}
pub(crate) type Body = BodyValue;

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Decoder {
    #[serde(rename = "JsonDecoder")]
    Json,
    #[serde(rename = "JsonlDecoder")]
    Jsonl,
    #[serde(rename = "CsvDecoder")]
    Csv(Csv),
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Csv {
    #[serde(default)]
    pub(crate) delimiter: Option<String>,
    #[serde(default)]
    pub(crate) set_values_to_none: Option<Vec<String>>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Selector {
    pub(crate) extractor: Extractor,
    #[serde(default)]
    pub(crate) record_filter: Option<Filter>,
    #[serde(default)]
    pub(crate) transform_before_filtering: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Extractor {
    pub(crate) field_path: Vec<Text>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Filter {
    #[serde(default)]
    pub(crate) condition: Option<Text>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
#[expect(clippy::large_enum_variant, reason = "a stream has one")]
pub(crate) enum Paginator {
    NoPagination {},
    DefaultPaginator {
        pagination_strategy: Strategy,
        #[serde(default)]
        page_size_option: Option<RequestOption>,
        #[serde(default)]
        page_token_option: Option<TokenOption>,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Strategy {
    PageIncrement {
        #[serde(default)]
        page_size: Option<Text>,
        #[serde(default)]
        start_from_page: Option<i64>,
        #[serde(default)]
        inject_on_first_request: Option<bool>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    OffsetIncrement {
        #[serde(default)]
        page_size: Option<Text>,
        #[serde(default)]
        inject_on_first_request: Option<bool>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    CursorPagination {
        cursor_value: Text,
        #[serde(default)]
        page_size: Option<Text>,
        #[serde(default)]
        stop_condition: Option<Text>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum TokenOption {
    RequestPath {},
    RequestOption(RequestOption),
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RequestOption {
    pub(crate) inject_into: Place,
    #[serde(default)]
    pub(crate) field_name: Option<Text>,
    #[serde(default)]
    pub(crate) field_path: Option<Vec<Text>>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Place {
    RequestParameter,
    Header,
    BodyData,
    BodyJson,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Incremental {
    DatetimeBasedCursor(Box<DatetimeCursor>),
    IncrementingCountCursor(Box<CountCursor>),
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DatetimeCursor {
    pub(crate) cursor_field: Text,
    pub(crate) datetime_format: String,
    #[serde(default)]
    pub(crate) cursor_datetime_formats: Option<Vec<String>>,
    pub(crate) start_datetime: Bound,
    #[serde(default)]
    pub(crate) end_datetime: Option<Bound>,
    #[serde(default)]
    pub(crate) step: Option<Text>,
    #[serde(default)]
    pub(crate) cursor_granularity: Option<String>,
    #[serde(default)]
    pub(crate) lookback_window: Option<Text>,
    #[serde(default)]
    pub(crate) start_time_option: Option<RequestOption>,
    #[serde(default)]
    pub(crate) end_time_option: Option<RequestOption>,
    #[serde(default)]
    pub(crate) partition_field_start: Option<Text>,
    #[serde(default)]
    pub(crate) partition_field_end: Option<Text>,
    #[serde(default)]
    pub(crate) is_compare_strictly: Option<bool>,
    #[serde(default)]
    pub(crate) is_data_feed: Option<bool>,
    #[serde(default)]
    pub(crate) is_client_side_incremental: Option<bool>,
    #[serde(default)]
    pub(crate) global_substream_cursor: Option<bool>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Bound {
    Text(Text),
    MinMax(MinMax),
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct MinMax {
    pub(crate) datetime: Text,
    #[serde(default)]
    pub(crate) datetime_format: Option<String>,
    #[serde(default)]
    pub(crate) min_datetime: Option<Text>,
    #[serde(default)]
    pub(crate) max_datetime: Option<Text>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct CountCursor {
    pub(crate) cursor_field: Text,
    #[serde(default)]
    pub(crate) start_value: Option<Text>,
    #[serde(default)]
    pub(crate) start_value_option: Option<RequestOption>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
#[expect(clippy::large_enum_variant, clippy::enum_variant_names, reason = "few of them, and the names are the format's")]
pub(crate) enum Router {
    ListPartitionRouter {
        values: Json,
        cursor_field: Text,
        #[serde(default)]
        request_option: Option<RequestOption>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    SubstreamPartitionRouter {
        parent_stream_configs: Vec<Parent>,
    },
    CartesianProductStreamSlicer {
        stream_slicers: Vec<Router>,
    },
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Parent {
    pub(crate) stream: Box<Stream>,
    pub(crate) parent_key: Text,
    pub(crate) partition_field: Text,
    #[serde(default)]
    pub(crate) request_option: Option<RequestOption>,
    #[serde(default)]
    pub(crate) incremental_dependency: Option<bool>,
    #[serde(default)]
    pub(crate) extra_fields: Option<Vec<Vec<Text>>>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Transformation {
    AddFields {
        fields: Vec<AddedField>,
        #[serde(default)]
        condition: Option<Text>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    RemoveFields {
        field_pointers: Vec<Vec<Text>>,
        #[serde(default)]
        condition: Option<Text>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    KeysToLower {},
    FlattenFields {
        #[serde(default)]
        flatten_lists: Option<bool>,
    },
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AddedField {
    pub(crate) path: Vec<Text>,
    pub(crate) value: Text,
    #[serde(default)]
    pub(crate) value_type: Option<ValueType>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ValueType {
    String,
    Number,
    Integer,
    Boolean,
}
