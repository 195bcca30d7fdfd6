//! How the next page is asked for, and whether there is one.

use domain::http::HttpAnswer;
use domain::value::Value;

use super::ImportError;
use super::jinja::{Headers, Scope};
use super::literal;
use super::model::{Paginator, Strategy, Text, TokenOption};
use super::request::Parts;
use super::slice::Slice;

/// What the last page was.
pub(crate) struct Last<'a> {
    pub(crate) answer: &'a HttpAnswer,
    /// The first document of the answer.
    pub(crate) response: &'a Value,
    /// Records before the filter.
    pub(crate) extracted: usize,
    /// Records after it.
    pub(crate) kept: usize,
    pub(crate) record: Option<&'a Value>,
    /// What asked for it.
    pub(crate) token: Option<&'a Value>,
}

fn strategy(paginator: Option<&Paginator>) -> Option<&Strategy> {
    match paginator {
        Some(Paginator::DefaultPaginator { pagination_strategy, .. }) => Some(pagination_strategy),
        Some(Paginator::NoPagination {}) | None => None,
    }
}

/// What asks for the first page, where it is asked for in words.
pub(crate) fn first(paginator: Option<&Paginator>) -> Option<Value> {
    match strategy(paginator)? {
        Strategy::PageIncrement { start_from_page, inject_on_first_request: Some(true), .. } => {
            Some(Value::from(start_from_page.unwrap_or(0)))
        }
        Strategy::OffsetIncrement { inject_on_first_request: Some(true), .. } => Some(Value::from(0_i64)),
        _ => None,
    }
}

fn size(strategy: &Strategy, scope: &Scope) -> Result<Option<i64>, ImportError> {
    let (size, parameters) = match strategy {
        Strategy::PageIncrement { page_size, parameters, .. }
        | Strategy::OffsetIncrement { page_size, parameters, .. }
        | Strategy::CursorPagination { page_size, parameters, .. } => (page_size, parameters),
    };
    let Some(size) = size.as_ref().filter(|size| !size.0.is_empty()) else { return Ok(None) };
    let text = scope.and("parameters", &parameters.0).text(&size.0)?;
    let wrong = || ImportError::Setting { name: "page_size".to_owned(), why: format!("{text} is no whole number") };
    text.trim().parse::<i64>().map(Some).map_err(|_| wrong())
}

/// What the page adds to a request.
pub(crate) fn parts(paginator: Option<&Paginator>, token: Option<&Value>, scope: &Scope) -> Result<Parts, ImportError> {
    let mut parts = Parts::default();
    if let Some(Paginator::DefaultPaginator { pagination_strategy, page_size_option, page_token_option }) = paginator {
        if let (Some(token), Some(TokenOption::RequestOption(option))) = (token, page_token_option) {
            parts.inject(option, token.clone(), scope)?;
        }
        if let (Some(option), Some(size)) = (page_size_option, size(pagination_strategy, scope)?.filter(|size| *size != 0)) {
            let mut own = Parts::default();
            own.inject(option, Value::from(size), scope)?;
            parts = parts.and(own)?;
        }
    }
    Ok(parts)
}

/// The address of the page, where the vendor gave one.
pub(crate) fn path(paginator: Option<&Paginator>, token: Option<&Value>) -> Option<String> {
    match paginator {
        Some(Paginator::DefaultPaginator { page_token_option: Some(TokenOption::RequestPath {}), .. }) => {
            token.filter(|token| literal::is_true(token)).map(literal::text)
        }
        _ => None,
    }
}

/// What asks for the next page; nothing after the last one.
pub(crate) fn next(
    paginator: Option<&Paginator>,
    scope: &Scope,
    slice: &Slice,
    last: &Last<'_>,
) -> Result<Option<Value>, ImportError> {
    let Some(strategy) = strategy(paginator) else { return Ok(None) };
    let counted = |step: i64, first: i64| -> Result<Option<Value>, ImportError> {
        let size = size(strategy, scope)?.filter(|size| *size != 0);
        let extracted = i64::try_from(last.extracted).unwrap_or(i64::MAX);
        if extracted == 0 || size.is_some_and(|size| extracted < size) {
            return Ok(None);
        }
        let at = match last.token {
            None => first,
            Some(token) => {
                literal::text(token).parse().map_err(|_| ImportError::Shape("a page's number is no number".to_owned()))?
            }
        };
        Ok(at.checked_add(step).map(Value::from))
    };
    match strategy {
        Strategy::PageIncrement { start_from_page, .. } => counted(1, start_from_page.unwrap_or(0)),
        Strategy::OffsetIncrement { .. } => counted(i64::try_from(last.extracted).unwrap_or(i64::MAX), 0),
        Strategy::CursorPagination { cursor_value, stop_condition, parameters, .. } => {
            let kept = Value::from(i64::try_from(last.kept).unwrap_or(i64::MAX));
            let scope = slice
                .scope(scope, last.token)
                .and("parameters", &parameters.0)
                .and("response", last.response)
                .with("headers", Headers::with_links(&last.answer.headers))
                .and("last_record", last.record.unwrap_or(&Value::Null))
                .and("last_page_size", &kept)
                .and("page_size", &size(strategy, scope)?.map_or(Value::Null, Value::from));
            let stops = |condition: &Text| scope.is_true(&condition.0);
            if stop_condition.as_ref().filter(|condition| !condition.0.is_empty()).map(stops).transpose()? == Some(true) {
                return Ok(None);
            }
            Ok(Some(scope.value(&cursor_value.0)?.into_value()).filter(literal::is_true))
        }
    }
}
