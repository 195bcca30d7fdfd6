//! Builds requests from the manifest's templates and signs them.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::http::{HttpRequest, Method as HttpMethod};
use domain::record::RecordKind;
use domain::secret::{ExposeSecret, SecretFields};
use domain::value::{Map, Value};

use crate::auth::{TokenSet, sign};
use crate::connector::Connector;
use crate::look_up::Found;
use crate::manifest::{Body, Method, Request, Slot};
use crate::path;
use crate::template::{ENCODED, TemplateError, fill, placeholder};
use crate::x12::{ControlNumber, GroupNumber, X12Error};

/// Everything a request may say that is not in the manifest and is the same for all calls of one connection and one delivery.
#[derive(Debug, Clone, Copy)]
pub struct RequestContext<'a> {
    pub settings: &'a serde_json::Value,
    pub credential: &'a SecretFields,
    /// Our key of the record at the destination: fixed before the first try.
    pub external_key: &'a str,
    pub revision: i64,
    pub idempotency_key: &'a str,
    pub now: DateTime<Utc>,
    pub nonce: &'a str,
    /// What the vendor gave for the credential, for the kinds of `auth` that have such.
    pub token: Option<&'a TokenSet>,
    /// The control number that the partner is told, where X12 is written. Whoever only looks at a request has none, and sees the first one.
    pub group: Option<GroupNumber>,
}

/// What one call is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct CallVars<'a> {
    /// From when on, written as the vendor wants it.
    pub since: Option<&'a str>,
    /// The id of the thing at the vendor that is read.
    pub source_id: Option<&'a str>,
    /// The id at the vendor of the record that is changed.
    pub external_id: Option<&'a str>,
    /// The version that the vendor gave it when it was last written or read.
    pub receipt_version: Option<&'a str>,
    /// What was looked up before.
    pub found: Option<&'a Found>,
    pub parent_id: Option<&'a str>,
    /// Where a webhook is to be sent.
    pub hook_url: Option<&'a str>,
    /// The topic of a subscription.
    pub topic: Option<&'a str>,
    pub subscription_id: Option<&'a str>,
    /// The number, offset or cursor of a page, for a vendor that wants it within a text.
    pub page: Option<&'a str>,
    /// What a key is called that is made at the vendor.
    pub key_label: Option<&'a str>,
    /// The vendor's id of a key that is removed there.
    pub key_id: Option<&'a str>,
    pub payload: Option<&'a Value>,
    pub payloads: Option<&'a Value>,
}

/// The names of [`CallVars`] and of [`RequestContext`] that templates may use, beside `settings.*`.
pub(crate) const NAMES: [&str; 16] = [
    "control_number",
    "external_key",
    "revision",
    "idempotency_key",
    "version",
    "nonce",
    "now",
    "since",
    "source_id",
    "external_id",
    "receipt_version",
    "parent.id",
    "hook_url",
    "topic",
    "subscription_id",
    "page",
];

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the connector does not write the kind {0}")]
    Kind(RecordKind),
    #[error("the connector has no action \"{0}\" on this kind")]
    Action(String),
    #[error("the version that the destination has of the record is not known; read the record there before it is changed")]
    Version,
    #[error("\"{0}\" was not looked up yet; make the reads that belong before this write")]
    LookUp(String),
    #[error("the connection lacks the secret \"{0}\"; store the credential again")]
    Secret(String),
    #[error("{0}; complete the connection's settings")]
    Template(String),
    #[error("an id that is only dots cannot be put into the path \"{0}\"; correct it at the source")]
    Dots(String),
    #[error("the address is no URL: {0}; check the connection's settings")]
    Url(String),
    #[error(
        "what goes into the header {0} has a character that no header may have, such as a line break; store the credential again"
    )]
    Header(String),
    #[error("the secret \"{field}\" cannot be used as a key: {why}; store the credential again")]
    Key { field: String, why: String },
    #[error("there is no access token yet; ask for one before the call")]
    NoToken,
    #[error("it cannot be written as X12: {0}")]
    X12(#[from] X12Error),
    #[error("{0} has not given its consent, or it has ended; connect {0} again")]
    Consent(String),
}

impl From<TemplateError> for RequestError {
    fn from(error: TemplateError) -> Self {
        Self::Template(error.to_string())
    }
}

impl<'a> RequestContext<'a> {
    /// For a call that is about no delivery, and before there is a token.
    #[must_use]
    pub fn new(settings: &'a serde_json::Value, credential: &'a SecretFields, now: DateTime<Utc>, nonce: &'a str) -> Self {
        Self { settings, credential, external_key: "", revision: 0, idempotency_key: "", now, nonce, token: None, group: None }
    }

    pub(crate) fn fill(&self, template: &str, encode: bool) -> Result<String, RequestError> {
        Ok(fill(template, encode, |name| self.find(name))?)
    }

    /// As [`Self::fill`] for a text; what nobody has said is empty.
    pub(crate) fn fill_known(&self, template: &str) -> Result<String, RequestError> {
        Ok(fill(template, false, |name| Some(self.find(name).unwrap_or_default()))?)
    }

    pub(crate) fn group_number(&self) -> GroupNumber {
        self.group.unwrap_or(GroupNumber { number: ControlNumber::FIRST, made_at: self.now })
    }

    pub(crate) fn secret(&self, field: &str) -> Result<&str, RequestError> {
        let secret = self.credential.get(field).map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty());
        secret.ok_or_else(|| RequestError::Secret(field.to_owned()))
    }

    /// As [`Self::find`], and `credential.<field>` too: for what says who we are, and nothing else.
    pub(crate) fn find_with_credential(&self, name: &str) -> Option<Cow<'_, str>> {
        match name.strip_prefix("credential.") {
            Some(field) => self.secret(field).ok().map(Into::into),
            None => self.find(name),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<Cow<'_, str>> {
        match name {
            "external_key" => Some(self.external_key.into()),
            "revision" => Some(self.revision.to_string().into()),
            "idempotency_key" => Some(self.idempotency_key.into()),
            "nonce" => Some(self.nonce.into()),
            "control_number" => Some(self.group_number().number.padded().into()),
            "now" => Some(self.now.format("%Y-%m-%dT%H:%M:%SZ").to_string().into()),
            _ => {
                let name = name.strip_prefix("settings.")?;
                let given = self.settings.get(name).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
                given.or_else(|| self.token?.settings.get(name).map(String::as_str)).map(Into::into)
            }
        }
    }
}

/// A request that is not signed yet: pages and cursors put their values into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    pub method: HttpMethod,
    /// Without the query.
    pub url: String,
    pub query: Vec<(String, String)>,
    pub headers: Vec<(String, String)>,
    pub body: DraftBody,
}

#[derive(Debug, Clone, PartialEq)]
pub enum DraftBody {
    None,
    Json(Value),
    Form(Value),
    Text(String),
}

impl Draft {
    /// Puts a value where the manifest says, in place of one that stands there.
    pub fn set(&mut self, slot: &Slot, value: &str) {
        fn replace(pairs: &mut Vec<(String, String)>, name: &str, value: &str) {
            pairs.retain(|(known, _)| known != name);
            pairs.push((name.to_owned(), value.to_owned()));
        }
        match slot {
            Slot::Query(name) => replace(&mut self.query, name, value),
            Slot::Header(name) => replace(&mut self.headers, name, value),
            // It was filled in as `{{ page }}`.
            Slot::Template => {}
            Slot::Body(at) => {
                // What was a number in the template stays one: `first: 250` is no text.
                let text = || Value::Text(value.to_owned());
                if let DraftBody::None = self.body {
                    self.body = DraftBody::Json(Value::Map(Map::new()));
                }
                match &mut self.body {
                    DraftBody::Json(tree) | DraftBody::Form(tree) => {
                        let number = value.parse::<i64>().ok().map(|n| Value::Number(rust_decimal::Decimal::from(n).into()));
                        let is_number = matches!(path::first(tree, at), Some(Value::Number(_)));
                        path::put(tree, at, number.filter(|_| is_number).unwrap_or_else(text));
                    }
                    DraftBody::Text(_) | DraftBody::None => {}
                }
            }
        }
    }

    /// The address with its query.
    #[must_use]
    pub fn address(&self) -> String {
        let mut url = self.url.clone();
        let mut separator = if url.contains('?') { '&' } else { '?' };
        for (name, value) in &self.query {
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, ENCODED).to_string();
            url.push_str(&format!("{separator}{}={}", encode(name), encode(value)));
            separator = '&';
        }
        url
    }

    /// As it goes out, but for what says who sends it.
    #[must_use]
    pub fn unsigned(self) -> HttpRequest {
        let url = self.address();
        let mut headers = self.headers;
        let has_type = headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let (body, content_type) = match self.body {
            DraftBody::None => (String::new(), None),
            DraftBody::Json(tree) => (tree.to_json(), Some("application/json")),
            DraftBody::Form(tree) => (form(&tree), Some("application/x-www-form-urlencoded")),
            DraftBody::Text(text) => (text, None),
        };
        headers.extend(content_type.filter(|_| !has_type).map(|kind| ("Content-Type".to_owned(), kind.to_owned())));
        HttpRequest { method: self.method, url, headers, body: Bytes::from(body), identity: None }
    }
}

/// Groups and lists in brackets, as Stripe and PHP read them: `a[b][0]=1`. What is null is left out.
fn form(tree: &Value) -> String {
    fn write(out: &mut url::form_urlencoded::Serializer<'_, String>, name: &str, value: &Value) {
        match value {
            Value::Null => {}
            Value::List(list) => {
                for (index, value) in list.iter().enumerate() {
                    write(out, &format!("{name}[{index}]"), value);
                }
            }
            Value::Map(map) => map.iter().for_each(|(key, value)| write(out, &format!("{name}[{key}]"), value)),
            plain => {
                out.append_pair(name, &plain.to_text().unwrap_or_default());
            }
        }
    }
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    if let Value::Map(map) = tree {
        map.iter().for_each(|(name, value)| write(&mut out, name, value));
    }
    out.finish()
}

impl Connector {
    /// The request that finds by business key what a lost answer did; none where the vendor offers no way. `payload` is what was written,
    /// where [`Self::proof_needs_payload`].
    ///
    /// # Errors
    /// As [`Self::change_request`].
    pub fn proof_request(
        &self,
        kind: RecordKind,
        payload: Option<&Value>,
        context: &RequestContext<'_>,
    ) -> Result<Option<HttpRequest>, RequestError> {
        self.proof(kind).map(|proof| self.call(&proof.request, &CallVars { payload, ..CallVars::default() }, context)).transpose()
    }

    /// True where the proof of a kind looks for something that stands in the payload.
    #[must_use]
    pub fn proof_needs_payload(&self, kind: RecordKind) -> bool {
        self.proof(kind).is_some_and(|proof| {
            crate::check::templates(&proof.request)
                .iter()
                .any(|text| crate::template::names(text).any(|name| name.starts_with("payload")))
        })
    }

    /// How long the vendor takes to show a write, ms.
    #[must_use]
    pub fn proof_settle_ms(&self, kind: RecordKind) -> u64 {
        self.proof(kind).map_or(0, |proof| proof.settle_ms)
    }

    /// How long after its last byte was sent a write may still take effect at the vendor, ms.
    #[must_use]
    pub fn lands_within_ms(&self, kind: RecordKind) -> u64 {
        self.proof(kind).map_or(0, |proof| proof.lands_within_ms)
    }

    /// Where requests go.
    ///
    /// # Errors
    /// Where a setting is missing.
    pub fn base_url(&self, context: &RequestContext<'_>) -> Result<String, RequestError> {
        let own = context.settings.get("base_url").and_then(serde_json::Value::as_str).filter(|url| !url.is_empty());
        if let (Some(own), true) = (own, self.manifest.settings.contains_key("base_url")) {
            return Ok(own.trim_end_matches('/').to_owned());
        }
        let template =
            self.manifest.base_url.as_deref().ok_or_else(|| RequestError::Template("the setting base_url is missing".into()))?;
        // The host is not percent-encoded: settings are checked against their patterns when they are saved.
        context.fill(&template.replace("{{ version }}", self.version()), false)
    }

    /// One call, filled and signed.
    ///
    /// # Errors
    /// Where the connection lacks something that it needs.
    pub fn call(&self, rule: &Request, vars: &CallVars<'_>, context: &RequestContext<'_>) -> Result<HttpRequest, RequestError> {
        self.sign(self.draft(rule, vars, context)?, context)
    }

    /// Signs what [`Self::draft`] made.
    ///
    /// # Errors
    /// Where the connection lacks a secret.
    pub fn sign(&self, draft: Draft, context: &RequestContext<'_>) -> Result<HttpRequest, RequestError> {
        let mut request = draft.unsigned();
        sign(&self.manifest.auth, &mut request, context)?;
        Ok(request)
    }

    /// A request as the manifest says, filled and not signed.
    ///
    /// # Errors
    /// Where the path names something that this call does not have.
    pub fn draft(&self, rule: &Request, vars: &CallVars<'_>, context: &RequestContext<'_>) -> Result<Draft, RequestError> {
        self.draft_with(rule, vars, context, &|name| self.find_var(name, vars, context))
    }

    /// As [`Self::draft`], with other names in the templates.
    pub(crate) fn draft_with<'v>(
        &self,
        rule: &Request,
        vars: &CallVars<'_>,
        context: &RequestContext<'_>,
        find: &impl Fn(&str) -> Option<Cow<'v, str>>,
    ) -> Result<Draft, RequestError> {
        let path = fill(&rule.path, true, find)?;
        // A URL's parser resolves these away, percent-encoded or not: an id of ".." would ask for something else.
        let dots = |path: &str| path.split(['/', '?']).filter(|segment| matches!(*segment, "." | "..")).count();
        if dots(&path) > dots(&rule.path) {
            return Err(RequestError::Dots(rule.path.clone()));
        }
        let url = if path.starts_with("https://") || path.starts_with("http://") {
            path
        } else {
            format!("{}{path}", self.base_url(context)?)
        };
        let has = |template: &str| crate::template::names(template).all(|name| find(name).is_some());
        let mut query = Vec::new();
        for (name, template) in rule.query.iter().filter(|(_, template)| has(template)) {
            query.push((name.clone(), fill(template, false, find)?));
        }
        let mut headers = vec![("Accept".to_owned(), "application/json".to_owned())];
        for (name, template) in self.manifest.headers.iter().chain(&rule.headers).filter(|(_, template)| has(template)) {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.clone(), fill(template, false, find)?));
        }
        let tree = |tree: &serde_json::Value| fill_tree(tree, vars, find).transpose().unwrap_or(Ok(Value::Null));
        let body = match &rule.body {
            Some(Body::Json(json)) => DraftBody::Json(tree(json)?),
            Some(Body::Form(json)) => DraftBody::Form(tree(json)?),
            Some(Body::Text(template)) => DraftBody::Text(fill(template, false, find)?),
            Some(Body::X12) => match (self.agreement(context).transpose()?, vars.payload) {
                (Some(agreement), Some(payload)) => DraftBody::Text(agreement.write(payload, context.group_number())?),
                _ => DraftBody::None,
            },
            Some(Body::Graphql(graphql)) => {
                let mut variables = Map::new();
                for (name, json) in &graphql.variables {
                    if let Some(value) = fill_tree(json, vars, find)? {
                        variables.insert(name.clone(), value);
                    }
                }
                let mut body = Map::new();
                body.insert("query".into(), Value::Text(graphql.query.clone()));
                body.insert("variables".into(), Value::Map(variables));
                DraftBody::Json(Value::Map(body))
            }
            None if rule.method == Method::Get => DraftBody::None,
            None => vars.payload.map_or(DraftBody::None, |payload| DraftBody::Json(payload.clone())),
        };
        let method = match rule.method {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
            Method::Put => HttpMethod::Put,
            Method::Patch => HttpMethod::Patch,
            Method::Delete => HttpMethod::Delete,
        };
        Ok(Draft { method, url, query, headers, body })
    }

    pub(crate) fn find_var<'v>(
        &'v self,
        name: &str,
        vars: &CallVars<'v>,
        context: &'v RequestContext<'_>,
    ) -> Option<Cow<'v, str>> {
        match name {
            "version" => Some(self.version().into()),
            "since" => vars.since.map(Into::into),
            "source_id" => vars.source_id.map(Into::into),
            "external_id" => vars.external_id.map(Into::into),
            "receipt_version" => vars.receipt_version.map(Into::into),
            "parent.id" => vars.parent_id.map(Into::into),
            "hook_url" => vars.hook_url.map(Into::into),
            "topic" => vars.topic.map(Into::into),
            "subscription_id" => vars.subscription_id.map(Into::into),
            "page" => vars.page.map(Into::into),
            "key_label" => vars.key_label.map(Into::into),
            "key_id" => vars.key_id.map(Into::into),
            _ => context
                .find(name)
                .or_else(|| path::first(vars.payload?, name.strip_prefix("payload.")?)?.to_text())
                .or_else(|| vars.found?.get(name.strip_prefix("found.")?)?.to_text()),
        }
    }
}

/// A tree with its placeholders filled; `None` for a value that names something this call does not have.
fn fill_tree<'v>(
    tree: &serde_json::Value,
    vars: &CallVars<'_>,
    find: &impl Fn(&str) -> Option<Cow<'v, str>>,
) -> Result<Option<Value>, RequestError> {
    use serde_json::Value as Json;
    Ok(Some(match tree {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Bool(*bool),
        Json::Number(number) => match domain::value::decimal(&number.to_string()) {
            Some(decimal) => Value::Number(decimal.into()),
            None => Value::Text(number.to_string()),
        },
        Json::String(text) => {
            if let Some(name) = crate::template::number_placeholder(text) {
                let digits = find(name);
                return Ok(digits.map(|text| {
                    domain::value::decimal(&text).map_or_else(|| Value::Text(text.into()), |number| Value::Number(number.into()))
                }));
            }
            let whole = placeholder(text).and_then(|name| match name.split_once('.').unwrap_or((name, "")) {
                ("payload", at) => vars.payload.map(|payload| path::first(payload, at).cloned()),
                ("payloads", "") => vars.payloads.map(|payloads| Some(payloads.clone())),
                ("found", name) => vars.found.map(|found| found.get(name).cloned()),
                _ => None,
            });
            match whole {
                Some(value) => return Ok(value),
                None if crate::template::names(text).all(|name| find(name).is_some()) => Value::Text(fill(text, false, find)?),
                None => return Ok(None),
            }
        }
        Json::Array(list) => {
            let mut out = Vec::with_capacity(list.len());
            for value in list {
                out.extend(fill_tree(value, vars, find)?);
            }
            Value::List(out)
        }
        Json::Object(map) => {
            let mut out = Map::new();
            for (name, value) in map {
                if let Some(value) = fill_tree(value, vars, find)? {
                    out.insert(name.clone(), value);
                }
            }
            Value::Map(out)
        }
    }))
}
