//! A request as it came: its address in parts and its body as a tree, without knowing what it asks for.

use std::borrow::Cow;

use domain::http::HttpRequest;
use domain::value::{Limits, Map, Value};

use crate::manifest::Slot;

/// A request body is no longer, bytes; the loopback server has a bound of its own before that.
const BODY_LIMITS: Limits = Limits { bytes_max: 32 * 1024 * 1024, depth_max: 64, nodes_max: 2_000_000 };

/// A request, read as far as it can be without knowing what it asks for.
#[derive(Debug)]
pub(super) struct Incoming<'r> {
    pub request: &'r HttpRequest,
    /// `http://127.0.0.1:9000`, as the caller named it.
    pub origin: String,
    /// As it was sent.
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Option<Value>,
}

impl<'r> Incoming<'r> {
    pub fn new(request: &'r HttpRequest) -> Self {
        let mut incoming = Self::without_body(request);
        incoming.body = match incoming.header("content-type") {
            Some(kind) if kind.starts_with("application/x-www-form-urlencoded") => Some(form(&request.body)),
            _ => Value::parse(&request.body, &BODY_LIMITS).ok(),
        };
        incoming
    }

    /// For those that look at the address and the headers only.
    pub fn without_body(request: &'r HttpRequest) -> Self {
        let (scheme, rest) = request.url.split_once("://").unwrap_or(("http", &request.url));
        let (host, after) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = after.split_once('?').unwrap_or((after, ""));
        let query = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        Self { request, origin: format!("{scheme}://{host}"), path: path.to_owned(), query, body: None }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What stands where a page puts its number, size or cursor.
    pub fn slot(&self, slot: &Slot) -> Option<Cow<'_, str>> {
        match slot {
            Slot::Query(name) => self.parameter(name).map(Cow::Borrowed),
            Slot::Header(name) => self.header(name).map(Cow::Borrowed),
            Slot::Body(at) => crate::path::first(self.body.as_ref()?, at)?.to_text(),
            Slot::Template => None,
        }
    }
}

/// `a[b][0]=1` as the tree that it was made of.
fn form(body: &[u8]) -> Value {
    let mut tree = Value::Map(Map::new());
    for (name, value) in url::form_urlencoded::parse(body) {
        let mut here = &mut tree;
        for step in name.split('[').map(|step| step.trim_end_matches(']')) {
            here = enter(here, step);
        }
        *here = Value::Text(value.into_owned());
    }
    tree
}

/// One step of a parameter's name: the tree itself is a group, and digits in a fresh place make it a list.
fn enter<'t>(here: &'t mut Value, step: &str) -> &'t mut Value {
    let index = step.parse::<usize>().ok();
    if here.is_null() && index.is_some() {
        *here = Value::List(vec![]);
    }
    if !matches!((&*here, index), (Value::List(_), Some(_)) | (Value::Map(_), _)) {
        *here = Value::Map(Map::new());
    }
    match here {
        Value::List(list) => {
            // Elements come in order; a gap is a forged index.
            let index = index.unwrap_or_default().min(list.len());
            if index == list.len() {
                list.push(Value::Null);
            }
            &mut list[index]
        }
        Value::Map(map) => map.entry(step.to_owned()).or_insert(Value::Null),
        plain => plain,
    }
}
