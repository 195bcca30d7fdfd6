//! Airbyte's low-code format: a tenant's own manifest (`type: DeclarativeSource`), read and run. None is ours.
//!
//! What we run means what it means to the reference implementation, which a differential test asks. What we do not run is named, and a
//! stream that needs it is not run at all. In three places we differ on purpose: an answer that cannot be read is a fault and not an empty
//! page; a path, and so the address of a next page, may not lead to another host than the base's; a redirect is not followed.

mod auth;
mod cursor;
mod decode;
mod dpath;
mod error;
mod jinja;
mod literal;
mod model;
mod moment;
mod page;
mod partition;
mod read;
mod refs;
mod report;
mod request;
mod router;
mod select;
mod slice;
mod survey;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::parse::ParseError;
pub use read::Reader;
pub use report::{ImportReport, StreamReport};

/// Streams of one manifest.
const STREAMS_MAX: usize = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    #[error("the manifest is no YAML of ours: {0}; correct it there")]
    Yaml(ParseError),
    #[error(
        "the file is no low-code manifest: it does not say `type: DeclarativeSource` at its top; export it from the connector builder"
    )]
    NotASource,
    #[error("the reference {reference} leads through itself; let it refer to something else")]
    Circular { reference: String },
    #[error("the reference {reference} leads to nothing; correct it or add what it names")]
    Dangling { reference: String },
    #[error("the manifest is nested deeper than {depth_max} levels; write it flatter")]
    TooDeep { depth_max: usize },
    #[error("the manifest has more than {nodes_max} values once its references are resolved; split it")]
    TooLarge { nodes_max: usize },
    #[error("there is no stream {name}; there are {known}")]
    NoStream { name: String, known: String },
    #[error("the stream {name} is not run: {}", missing.join("; "))]
    NotRun { name: String, missing: Vec<String> },
    #[error("the expression {expression} cannot be computed: {why}")]
    Expression { expression: String, why: String },
    #[error("the setting {name} cannot be used: {why}; correct the connection's settings")]
    Setting { name: String, why: String },
    #[error("the state cannot be used: {why}; reset the stream")]
    State { why: String },
    #[error("the manifest cannot be run: {0}")]
    Shape(String),
    #[error("the request says {name} twice; take it out of one of requester, paginator, partition router and authenticator")]
    Collision { name: String },
    #[error("the request's address is not called: {what}; compare url_base and path with the connection's settings")]
    Address { what: &'static str },
    #[error("one read has more than {max} {what}; let the manifest ask for less")]
    TooMany { what: &'static str, max: usize },
    #[error("the read is over: {why}")]
    Ended { why: String },
}

/// A manifest whose references are resolved.
#[derive(Debug, Clone)]
pub struct Manifest {
    root: Value,
}

/// A field of the manifest's own settings form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingField {
    /// The keys that lead to it: `credentials`, `client_secret`.
    pub path: Vec<String>,
    pub title: String,
    pub required: bool,
    /// It belongs into the credential.
    pub secret: bool,
}

impl Manifest {
    /// # Errors
    /// Where the text is no manifest, or its references cannot be resolved.
    pub fn parse(text: &str) -> Result<Manifest, ImportError> {
        let raw: Value = crate::parse::yaml(text).map_err(ImportError::Yaml)?;
        if raw.get("type").and_then(Value::as_str) != Some("DeclarativeSource") {
            return Err(ImportError::NotASource);
        }
        let root = refs::resolve(&raw)?;
        if root.get("streams").and_then(Value::as_array).is_some_and(|streams| streams.len() > STREAMS_MAX) {
            return Err(ImportError::TooMany { what: "streams", max: STREAMS_MAX });
        }
        Ok(Manifest { root })
    }

    fn streams(&self) -> impl Iterator<Item = (usize, String, &Value)> {
        let streams = self.root.get("streams").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        streams.iter().enumerate().map(|(at, stream)| {
            let name = stream.get("name").and_then(Value::as_str).filter(|name| !name.is_empty());
            (at, name.map_or_else(|| format!("streams[{at}]"), str::to_owned), stream)
        })
    }

    /// What of it can be read, and what the rest lacks.
    #[must_use]
    pub fn report(&self) -> ImportReport {
        let title = self.root.get("metadata").and_then(|metadata| metadata.get("title")).or_else(|| self.root.get("name"));
        let streams = self.streams().map(|(at, name, stream)| {
            let missing = missing(stream, at);
            StreamReport { name, runnable: missing.is_empty(), missing }
        });
        let dynamic = self.root.get("dynamic_streams").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let dynamic = dynamic.iter().enumerate().map(|(at, stream)| {
            let kind = stream.get("type").and_then(Value::as_str).unwrap_or("DynamicDeclarativeStream");
            format!("dynamic_streams[{at}]: {kind} is not run")
        });
        ImportReport {
            name: title.and_then(Value::as_str).unwrap_or("manifest").to_owned(),
            streams: streams.collect(),
            missing: dynamic.collect(),
        }
    }

    /// The streams that prove a connection, as the manifest's `check` says.
    #[must_use]
    pub fn check_streams(&self) -> Vec<String> {
        let names = self.root.get("check").and_then(|check| check.get("stream_names")).and_then(Value::as_array);
        names.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The fields of its settings form, those within groups too.
    #[must_use]
    pub fn settings(&self) -> Vec<SettingField> {
        let mut fields = Vec::new();
        let form = self.root.get("spec").and_then(|spec| spec.get("connection_specification"));
        if let Some(form) = form {
            form_fields(form, &[], &mut fields, 0);
        }
        fields
    }

    /// Begins a read of a stream. `state` is what [`Reader::state`] gave after the last one, or null.
    ///
    /// # Errors
    /// Where there is no such stream, it needs what we do not run, or the settings or the state do not fit it.
    pub fn read(&self, stream: &str, config: &Value, state: &Value, now: DateTime<Utc>) -> Result<Reader, ImportError> {
        let found = self.streams().find(|(_, name, _)| name == stream);
        let (at, name, value) = found.ok_or_else(|| {
            let known = self.streams().map(|(_, name, _)| name).collect::<Vec<_>>().join(", ");
            ImportError::NoStream { name: stream.to_owned(), known }
        })?;
        let missing = missing(value, at);
        if !missing.is_empty() {
            return Err(ImportError::NotRun { name, missing });
        }
        let model: model::Stream =
            serde_json::from_value(value.clone()).map_err(|error| ImportError::Shape(error.to_string()))?;
        let state = domain::value::Value::from(state);
        let settings = read::Settings::new(domain::value::Value::from(config), now);
        Reader::of(model, settings, state.as_map().cloned().unwrap_or_default())
    }
}

fn missing(stream: &Value, at: usize) -> Vec<String> {
    let path = format!("streams[{at}]");
    let missing = survey::stream(stream, &path);
    if !missing.is_empty() {
        return missing;
    }
    // All components are known, so what is left is a field that is not there or not what it should be.
    let shape = serde_json::from_value::<model::Stream>(stream.clone()).err();
    shape.map(|error| format!("{path}: {error}")).into_iter().collect()
}

fn form_fields(form: &Value, path: &[String], fields: &mut Vec<SettingField>, depth: usize) {
    const DEPTH_MAX: usize = 8;
    const FIELDS_MAX: usize = 500;
    let required = form.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known.as_str() == Some(name)));
    for (name, field) in form.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if depth > DEPTH_MAX || fields.len() >= FIELDS_MAX {
            return;
        }
        let mut path = path.to_vec();
        path.push(name.clone());
        let choices = field.get("oneOf").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if field.get("properties").is_none() && choices.is_empty() {
            let title = field.get("title").and_then(Value::as_str).unwrap_or(name).to_owned();
            let secret = field.get("airbyte_secret").and_then(Value::as_bool).unwrap_or(false);
            let field = SettingField { path, title, required: is_required(name), secret };
            if !fields.contains(&field) {
                fields.push(field);
            }
            continue;
        }
        std::iter::once(field).chain(choices).for_each(|form| form_fields(form, &path, fields, depth + 1));
    }
}

#[cfg(test)]
mod tests;
