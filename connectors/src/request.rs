//! Builds requests from the manifest's templates and signs them.

use std::borrow::Cow;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::http::{HttpRequest, Method as HttpMethod};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use domain::value::Value;

use crate::auth::sign;
use crate::connector::Connector;
use crate::manifest::{Method, Request};
use crate::template::{TemplateError, fill};

/// Everything a request may say that is not in the manifest.
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
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("the connector does not write the kind {0}")]
    Kind(RecordKind),
    #[error("the connection lacks the secret \"{0}\"; store the credential again")]
    Secret(String),
    #[error("{0}; complete the connection's settings")]
    Template(String),
    #[error("the address is no URL: {0}; check the connection's settings")]
    Url(String),
}

impl From<TemplateError> for RequestError {
    fn from(error: TemplateError) -> Self {
        Self::Template(error.to_string())
    }
}

impl RequestContext<'_> {
    pub(crate) fn fill(&self, template: &str, encode: bool) -> Result<String, RequestError> {
        let find = |name: &str| -> Option<Cow<'_, str>> {
            match name {
                "external_key" => Some(self.external_key.into()),
                "revision" => Some(self.revision.to_string().into()),
                "idempotency_key" => Some(self.idempotency_key.into()),
                _ => self.settings.get(name.strip_prefix("settings.")?)?.as_str().map(Into::into),
            }
        };
        Ok(fill(template, encode, find)?)
    }
}

impl Connector {
    /// The request that writes a record's payload.
    ///
    /// # Errors
    /// Where the connector does not write this kind, or the connection lacks something.
    pub fn write_request(
        &self,
        kind: RecordKind,
        payload: &Value,
        context: &RequestContext<'_>,
    ) -> Result<HttpRequest, RequestError> {
        let resource = self.manifest.resources.get(&kind).ok_or(RequestError::Kind(kind))?;
        self.request(&resource.write.request, Some(payload), None, context)
    }

    /// The request that finds by business key what a lost answer did; none where the vendor offers no way.
    ///
    /// # Errors
    /// As [`Self::write_request`].
    pub fn proof_request(&self, kind: RecordKind, context: &RequestContext<'_>) -> Result<Option<HttpRequest>, RequestError> {
        let proof = self.manifest.resources.get(&kind).and_then(|resource| resource.proof.as_ref());
        proof.map(|proof| self.request(&proof.request, None, None, context)).transpose()
    }

    /// How long the vendor takes to show a write, ms.
    #[must_use]
    pub fn proof_settle_ms(&self, kind: RecordKind) -> u64 {
        self.manifest.resources.get(&kind).and_then(|resource| resource.proof.as_ref()).map_or(0, |proof| proof.settle_ms)
    }

    /// How long after its last byte was sent a write may still take effect at the vendor, ms.
    #[must_use]
    pub fn lands_within_ms(&self, kind: RecordKind) -> u64 {
        self.manifest.resources.get(&kind).and_then(|resource| resource.proof.as_ref()).map_or(0, |proof| proof.lands_within_ms)
    }

    /// The request that reads the thing itself, where a topic brings an id only.
    ///
    /// # Errors
    /// As [`Self::write_request`].
    pub fn fetch_request(
        &self,
        topic: &str,
        source_id: &str,
        context: &RequestContext<'_>,
    ) -> Result<Option<HttpRequest>, RequestError> {
        let fetch = self.manifest.hook.as_ref().and_then(|hook| hook.topics.get(topic)).and_then(|topic| topic.fetch.as_ref());
        fetch.map(|fetch| self.request(&fetch.request, None, Some(source_id), context)).transpose()
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

    fn request(
        &self,
        rule: &Request,
        payload: Option<&Value>,
        source_id: Option<&str>,
        context: &RequestContext<'_>,
    ) -> Result<HttpRequest, RequestError> {
        let path = match source_id {
            Some(id) => {
                let id = percent_encoding::utf8_percent_encode(id, crate::template::ENCODED).to_string();
                rule.path.replace("{{ source_id }}", &id)
            }
            None => rule.path.clone(),
        };
        let url = format!("{}{}", self.base_url(context)?, context.fill(&path, true)?);
        let mut headers = vec![("Accept".to_owned(), "application/json".to_owned())];
        for (name, value) in self.manifest.headers.iter().chain(&rule.headers) {
            headers.push((name.clone(), context.fill(value, false)?));
        }
        let body = payload.map(Value::to_json);
        if body.is_some() {
            headers.push(("Content-Type".to_owned(), "application/json".to_owned()));
        }
        let method = match rule.method {
            Method::Get => HttpMethod::Get,
            Method::Post => HttpMethod::Post,
            Method::Put => HttpMethod::Put,
            Method::Patch => HttpMethod::Patch,
            Method::Delete => HttpMethod::Delete,
        };
        let mut request = HttpRequest { method, url, headers, body: Bytes::from(body.unwrap_or_default()) };
        sign(&self.manifest.auth, &mut request, context)?;
        Ok(request)
    }
}
