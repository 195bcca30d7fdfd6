//! The calls of an automatic rotation: a key is made, those that there are are listed, one is removed. Pure: requests out, answers in.

use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest};
use domain::mapping::Filter;
use domain::secret::{ExposeSecret, SecretFields, SecretString};

use crate::connector::Connector;
use crate::manifest::{AutomaticRotation, Rotation};
use crate::path;
use crate::request::{CallVars, RequestContext, RequestError};

/// Keys of one account that are looked at.
const KEYS_MAX: usize = 1_000;
/// An id of a vendor's is no longer, nor what it calls a key.
const TEXT_CHARS_MAX: usize = 200;
/// Fewer last characters say nothing of which key it is.
const END_CHARS_MIN: usize = 3;

/// A key that the vendor has made: shown this once.
#[derive(Debug)]
pub struct MadeKey {
    pub id: String,
    /// The whole credential, with the new secrets in it.
    pub fields: SecretFields,
}

/// A key as the vendor lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedKey {
    pub id: String,
    pub label: String,
    /// The last characters of its secret, where the vendor shows them.
    pub ends_with: Option<String>,
}

impl ListedKey {
    /// True where the end that the vendor shows is that of a secret that it makes for us.
    fn is_of(&self, secrets: &[&str]) -> bool {
        let end = self.ends_with.as_deref().filter(|end| end.chars().count() >= END_CHARS_MIN);
        end.is_some_and(|end| secrets.iter().any(|secret| secret.ends_with(end)))
    }
}

impl Connector {
    /// How the secret is exchanged; `None` where the connector does not say.
    #[must_use]
    pub fn rotation(&self) -> Option<&Rotation> {
        self.manifest.rotation.as_ref()
    }

    fn automatic(&self) -> Result<&AutomaticRotation, RequestError> {
        let automatic = self.rotation().and_then(|rotation| rotation.automatic.as_deref());
        automatic.ok_or_else(|| RequestError::Template("the connector does not say how a new secret is made".into()))
    }

    /// The request that makes a key of this label.
    ///
    /// # Errors
    /// Where the connection lacks something that it needs.
    pub fn key_create_request(&self, label: &str, context: &RequestContext<'_>) -> Result<HttpRequest, RequestError> {
        self.call(&self.automatic()?.create.request, &CallVars { key_label: Some(label), ..CallVars::default() }, context)
    }

    /// The key that was made; `before` is the credential that it takes the place of.
    ///
    /// # Errors
    /// The classified fault. One that is unknown may have made a key: it is looked for by its label before another is asked for.
    pub fn read_created_key(&self, answer: &HttpAnswer, before: &SecretFields) -> Result<MadeKey, Fault> {
        let body = self.parse(answer);
        self.read_done(false, answer, body.as_ref())?;
        let text = |at: &str| {
            let text = path::first(body.as_ref()?, at)?.to_text()?;
            (!text.is_empty()).then(|| text.into_owned())
        };
        let made = self.automatic().ok().and_then(|automatic| {
            let id = text(&automatic.create.id).filter(|id| is_short(id))?;
            let mut fields = before.clone();
            for (field, at) in &automatic.create.keep {
                fields.0.insert(field.clone(), SecretString::from(text(at)?));
            }
            Some(MadeKey { id, fields })
        });
        made.ok_or_else(|| self.lacks("the new secret", answer.status))
    }

    /// # Errors
    /// As [`Self::key_create_request`].
    pub fn keys_request(&self, context: &RequestContext<'_>) -> Result<HttpRequest, RequestError> {
        self.call(&self.automatic()?.list.request, &CallVars::default(), context)
    }

    /// The keys that the account has.
    ///
    /// # Errors
    /// The classified fault.
    pub fn read_keys(&self, answer: &HttpAnswer) -> Result<Vec<ListedKey>, Fault> {
        let body = self.parse(answer);
        if self.is_failure(answer, body.as_ref()) {
            return Err(self.classify(answer));
        }
        let list = self.automatic().ok().map(|automatic| &automatic.list);
        let listed = list.and_then(|list| {
            // What cannot be read has not passed the check.
            let over = list.over.as_deref().and_then(|over| Filter::compile(over).ok());
            let keys = path::listed(body.as_ref()?, &list.keys)?.into_iter();
            let there = keys.filter(|key| !over.as_ref().is_some_and(|over| over.passes(key).unwrap_or(false)));
            let listed = |key| {
                let text = |at: &str| Some(path::first(key, at)?.to_text()?.into_owned());
                // `sk_44d***3be`, `...3be`: what stands after the last mark.
                let end = list.ends_with.as_deref().and_then(text);
                let ends_with = end.and_then(|end| end.rsplit(['.', '…', '*', '•']).next().map(str::to_owned));
                let id = text(&list.id).filter(|id| is_short(id))?;
                Some(ListedKey { id, label: text(&list.label).unwrap_or_default(), ends_with })
            };
            there.map(listed).collect::<Option<Vec<_>>>()
        });
        listed.filter(|keys| keys.len() <= KEYS_MAX).ok_or_else(|| self.lacks("the account's keys", answer.status))
    }

    /// The key that a credential is of, as far as the vendor's list tells: by the end of its secret, where one key alone has it.
    #[must_use]
    pub fn key_of<'k>(&self, keys: &'k [ListedKey], credential: &SecretFields) -> Option<&'k ListedKey> {
        let rotated = self.automatic().ok().into_iter().flat_map(|automatic| automatic.create.keep.keys());
        let secrets: Vec<&str> = rotated.filter_map(|field| Some(credential.get(field)?.expose_secret())).collect();
        let mut of = keys.iter().filter(|key| key.is_of(&secrets));
        of.next().filter(|_| of.next().is_none())
    }

    /// # Errors
    /// As [`Self::key_create_request`].
    pub fn key_retire_request(&self, id: &str, context: &RequestContext<'_>) -> Result<HttpRequest, RequestError> {
        self.call(&self.automatic()?.retire, &CallVars { key_id: Some(id), ..CallVars::default() }, context)
    }

    /// That the key is not there any more.
    ///
    /// # Errors
    /// The classified fault.
    pub fn read_retired_key(&self, answer: &HttpAnswer) -> Result<(), Fault> {
        let body = self.parse(answer);
        if !self.is_failure(answer, body.as_ref()) {
            return Ok(());
        }
        let fault = self.classify(answer);
        if matches!(fault.class, FaultClass::NotFound | FaultClass::Gone) { Ok(()) } else { Err(fault) }
    }

    /// Says nothing of the answer's own words: they may hold a secret that nobody knows yet.
    fn lacks(&self, what: &str, status: u16) -> Fault {
        let reason = format!("{} answered {status} without {what}", self.title());
        let fix = "Compare the vendor's answer with the connector's rotation.";
        Fault::new(FaultClass::Unknown, "unreadable_answer", reason, Owner::Crossdock, fix).answered(status)
    }
}

fn is_short(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= TEXT_CHARS_MAX
}
