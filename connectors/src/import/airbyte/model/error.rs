//! Components that say what an answer means.

use serde::Deserialize;

use super::{Json, Text};

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum ErrorHandler {
    DefaultErrorHandler {
        #[serde(default)]
        response_filters: Option<Vec<ResponseFilter>>,
        #[serde(default)]
        max_retries: Option<Text>,
        #[serde(default)]
        backoff_strategies: Option<Vec<Backoff>>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    CompositeErrorHandler {
        error_handlers: Vec<ErrorHandler>,
    },
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ResponseFilter {
    #[serde(default)]
    pub(crate) action: Option<Action>,
    #[serde(default)]
    pub(crate) http_codes: Option<Vec<u16>>,
    #[serde(default)]
    pub(crate) predicate: Option<Text>,
    #[serde(default)]
    pub(crate) error_message_contains: Option<String>,
    #[serde(default)]
    pub(crate) error_message: Option<Text>,
    #[serde(default)]
    pub(crate) failure_type: Option<String>,
    #[serde(default, rename = "$parameters")]
    pub(crate) parameters: Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Action {
    Success,
    Fail,
    Retry,
    Ignore,
    RateLimited,
    RefreshTokenThenRetry,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type")]
pub(crate) enum Backoff {
    #[serde(rename = "ConstantBackoffStrategy")]
    Constant {
        backoff_time_in_seconds: Text,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    #[serde(rename = "ExponentialBackoffStrategy")]
    Exponential {
        #[serde(default)]
        factor: Option<Text>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    WaitTimeFromHeader {
        header: Text,
        #[serde(default)]
        regex: Option<String>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
    WaitUntilTimeFromHeader {
        header: Text,
        #[serde(default)]
        regex: Option<String>,
        #[serde(default)]
        min_wait: Option<Text>,
        #[serde(default, rename = "$parameters")]
        parameters: Json,
    },
}
