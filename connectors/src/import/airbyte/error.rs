//! What an answer means: the manifest's error handlers first, then what its status means everywhere.

use std::cell::OnceCell;

use domain::fault::{Fault, FaultClass, Owner};
use domain::http::HttpAnswer;
use domain::value::{Map, Value};

use super::ImportError;
use super::decode;
use super::jinja::{Headers, Scope};
use super::literal;
use super::model::{Action, Backoff, ErrorHandler, ResponseFilter, Text};

/// Tries after the first, where the manifest does not say.
pub(crate) const RETRIES: u32 = 5;
/// No manifest makes us try longer than this, s.
const WAIT_S_MAX: f64 = 86_400.0;
const RETRIES_MAX: u32 = 50;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Resolution {
    pub(crate) action: Action,
    /// `config_error`, `system_error` or `transient_error`, where the manifest says.
    failure: Option<String>,
    message: String,
}

impl Resolution {
    fn of(action: Action) -> Resolution {
        Resolution { action, failure: None, message: String::new() }
    }
}

pub(crate) struct Answer<'a> {
    answer: &'a HttpAnswer,
    base: &'a Scope,
    url: &'a str,
    /// Read and made where a filter asks only: most answers are pages, which nothing here looks into.
    document: OnceCell<Value>,
    scope: OnceCell<Scope>,
}

impl<'a> Answer<'a> {
    pub(crate) fn new(answer: &'a HttpAnswer, base: &'a Scope, url: &'a str) -> Answer<'a> {
        Answer { answer, base, url, document: OnceCell::new(), scope: OnceCell::new() }
    }

    fn document(&self) -> &Value {
        self.document.get_or_init(|| decode::json(&self.answer.body).unwrap_or_else(|_| Value::Map(Map::new())))
    }

    fn scope(&self) -> &Scope {
        self.scope.get_or_init(|| {
            let address = url::Url::parse(self.url).map(|mut url| {
                url.set_query(None);
                url.set_fragment(None);
                url.to_string()
            });
            let scope = self.base.and("response", self.document()).with("headers", Headers::value(&self.answer.headers));
            scope.with("request_url", address.unwrap_or_default().into())
        })
    }

    pub(crate) fn interpret(&self, handler: Option<&ErrorHandler>) -> Result<Resolution, ImportError> {
        match handler {
            None => Ok(self.by_status()),
            Some(ErrorHandler::DefaultErrorHandler { response_filters, .. }) => {
                for filter in response_filters.iter().flatten() {
                    if let Some(resolution) = self.filter(filter)? {
                        return Ok(resolution);
                    }
                }
                Ok(self.by_status())
            }
            Some(ErrorHandler::CompositeErrorHandler { error_handlers }) => {
                let mut last = self.by_status();
                for handler in error_handlers {
                    last = self.interpret(Some(handler))?;
                    if matches!(last.action, Action::Success | Action::Retry | Action::Ignore) {
                        break;
                    }
                }
                Ok(last)
            }
        }
    }

    fn filter(&self, filter: &ResponseFilter) -> Result<Option<Resolution>, ImportError> {
        let Some(action) = filter.action else { return Ok(None) };
        let scope = || self.scope().and("parameters", &filter.parameters.0);
        let by_code = filter.http_codes.as_ref().is_some_and(|codes| codes.contains(&self.answer.status));
        let by_predicate = || match filter.predicate.as_ref().filter(|predicate| !predicate.0.is_empty()) {
            Some(predicate) => scope().is_true(&predicate.0),
            None => Ok(false),
        };
        let wanted = filter.error_message_contains.as_deref().filter(|part| !part.is_empty());
        let by_message = || wanted.is_some_and(|part| self.message().is_some_and(|message| message.contains(part)));
        if !(by_code || by_predicate()? || by_message()) {
            return Ok(None);
        }
        let message = match filter.error_message.as_ref().filter(|message| !message.0.is_empty()) {
            Some(message) => scope().text(&message.0)?,
            None => String::new(),
        };
        Ok(Some(Resolution { action, failure: filter.failure_type.clone(), message }))
    }

    fn by_status(&self) -> Resolution {
        Resolution::of(match self.answer.status {
            0..=299 | 304 => Action::Success,
            // Our client follows no redirect, so that a credential stays with its host.
            300..=399 | 400 | 401 | 403 | 404 | 405 => Action::Fail,
            429 => Action::RateLimited,
            _ => Action::Retry,
        })
    }

    /// What the vendor itself says is wrong.
    fn message(&self) -> Option<String> {
        if decode::json(&self.answer.body).is_err() {
            return String::from_utf8(self.answer.body.to_vec()).ok();
        }
        said(self.document(), 0)
    }

    /// How long to wait before the next try, s.
    pub(crate) fn backoff_s(&self, handler: Option<&ErrorHandler>, attempt: u32, now_s: f64) -> Result<Option<f64>, ImportError> {
        let mut all = Vec::new();
        strategies(handler, &mut all);
        for strategy in all {
            let wait = self.wait_s(strategy, attempt, now_s)?.filter(|wait| wait.is_finite() && *wait > 0.0);
            if let Some(wait) = wait {
                return Ok(Some(wait.min(WAIT_S_MAX)));
            }
        }
        Ok(None)
    }

    fn wait_s(&self, strategy: &Backoff, attempt: u32, now_s: f64) -> Result<Option<f64>, ImportError> {
        let number = |template: &Text, parameters: &Value| -> Result<Option<f64>, ImportError> {
            Ok(self.base.and("parameters", parameters).text(&template.0)?.trim().parse::<f64>().ok())
        };
        let header = |template: &Text, regex: &Option<String>, parameters: &Value| -> Result<Option<f64>, ImportError> {
            let name = self.base.and("parameters", parameters).text(&template.0)?;
            let Some(value) = self.answer.header(&name) else { return Ok(None) };
            let pattern = regex.as_deref().map(|pattern| {
                let anchored = regex::RegexBuilder::new(&format!("^(?:{pattern})")).size_limit(256 * 1024).build();
                anchored.map_err(|_| ImportError::Shape(format!("the pattern {pattern} is not run")))
            });
            let found = match pattern.transpose()? {
                Some(pattern) => pattern.find(value).map_or(value, |found| found.as_str()),
                None => value,
            };
            Ok(found.trim().parse::<f64>().ok())
        };
        match strategy {
            Backoff::Constant { backoff_time_in_seconds, parameters } => number(backoff_time_in_seconds, &parameters.0),
            Backoff::Exponential { factor, parameters } => {
                let factor = factor.as_ref().map(|factor| number(factor, &parameters.0)).transpose()?.flatten().unwrap_or(5.0);
                Ok(Some(factor * 2_f64.powi(attempt.min(RETRIES_MAX).cast_signed())))
            }
            Backoff::WaitTimeFromHeader { header: name, regex, parameters, .. } => header(name, regex, &parameters.0),
            Backoff::WaitUntilTimeFromHeader { header: name, regex, min_wait, parameters, .. } => {
                let until = header(name, regex, &parameters.0)?;
                let least = min_wait.as_ref().map(|least| number(least, &parameters.0)).transpose()?.flatten();
                Ok(match (until, least) {
                    (Some(until), Some(least)) => Some((until - now_s).max(least)),
                    (Some(until), None) => Some(until - now_s),
                    (None, least) => least,
                })
            }
        }
    }

    /// The fault of an answer that brought no records.
    pub(crate) fn fault(&self, resolution: &Resolution, wait_s: Option<f64>) -> Fault {
        let status = self.answer.status;
        let said = self
            .message()
            .filter(|message| !message.trim().is_empty())
            .map(|message| format!(" It says: {}", shortened(&message)));
        let own = Some(resolution.message.trim()).filter(|message| !message.is_empty());
        let reason = match own {
            Some(own) => own.to_owned(),
            None => format!("The vendor answered {status}.{}", said.unwrap_or_default()),
        };
        let passing = matches!(resolution.action, Action::Retry | Action::RateLimited | Action::RefreshTokenThenRetry);
        let (class, owner, fix) = match (resolution.action, status) {
            (Action::RateLimited, _) | (Action::Retry, 429) => {
                (FaultClass::Limit, Owner::Vendor, "Nothing: it is asked again later.")
            }
            _ if passing => (FaultClass::Retry, Owner::Vendor, "Nothing: it is asked again."),
            (_, 401) => (FaultClass::Authentication, Owner::Developer, "Enter the connection's credential again."),
            (_, 403) => (FaultClass::Permission, Owner::Developer, "Give the credential the right to read this at the vendor."),
            (_, 404) => (FaultClass::NotFound, Owner::Developer, "Compare the stream's path with the vendor's documentation."),
            (_, 410) => (FaultClass::Gone, Owner::Developer, "Compare the stream's path with the vendor's documentation."),
            (_, 300..=399) => (FaultClass::Validation, Owner::Developer, "Write the address it redirects to into the manifest."),
            _ if resolution.failure.as_deref() == Some("config_error") => {
                (FaultClass::Validation, Owner::Developer, "Correct the connection's settings.")
            }
            _ => (FaultClass::Validation, Owner::Developer, "Compare the stream's request with the vendor's documentation."),
        };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded above and below")]
        let retry_after_ms = wait_s.map(|s| (s.clamp(0.0, WAIT_S_MAX) * 1_000.0) as u64);
        Fault { status: Some(status), retry_after_ms, ..Fault::new(class, &format!("http_{status}"), reason, owner, fix) }
    }
}

/// Tries after the first.
pub(crate) fn retries(handler: Option<&ErrorHandler>, scope: &Scope) -> Result<u32, ImportError> {
    match handler {
        None => Ok(RETRIES),
        Some(ErrorHandler::CompositeErrorHandler { error_handlers }) => retries(error_handlers.first(), scope),
        Some(ErrorHandler::DefaultErrorHandler { max_retries, parameters, .. }) => {
            let Some(most) = max_retries else { return Ok(RETRIES) };
            let text = scope.and("parameters", &parameters.0).text(&most.0)?;
            let most = text
                .trim()
                .parse::<i64>()
                .map_err(|_| ImportError::Shape(format!("max_retries is {text}, which is no number")))?;
            Ok(u32::try_from(most.max(0)).unwrap_or(RETRIES_MAX).min(RETRIES_MAX))
        }
    }
}

fn strategies<'h>(handler: Option<&'h ErrorHandler>, all: &mut Vec<&'h Backoff>) {
    match handler {
        None => {}
        Some(ErrorHandler::DefaultErrorHandler { backoff_strategies, .. }) => all.extend(backoff_strategies.iter().flatten()),
        Some(ErrorHandler::CompositeErrorHandler { error_handlers }) => {
            error_handlers.iter().for_each(|handler| strategies(Some(handler), all));
        }
    }
}

fn said(value: &Value, depth: usize) -> Option<String> {
    const KEYS: [&str; 12] = [
        "message",
        "messages",
        "error",
        "errors",
        "failures",
        "failure",
        "detail",
        "err",
        "error_message",
        "msg",
        "reason",
        "status_message",
    ];
    if depth > 8 {
        return None;
    }
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::List(list) => Some(list.iter().filter_map(|item| said(item, depth + 1)).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => KEYS
            .iter()
            .find_map(|key| map.get(*key).filter(|value| literal::is_true(value)))
            .and_then(|value| said(value, depth + 1)),
        _ => None,
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}
