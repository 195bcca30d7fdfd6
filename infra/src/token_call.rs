//! A call that asks a vendor for tokens, as the audit log has it.

use bytes::Bytes;
use domain::call_payload::{Part, ToldCall};
use domain::http::{HttpAnswer, HttpRequest};
use domain::secret::Redactor;
use serde_json::{Map, Value};

/// What was asked, and what came, for the audit.
#[derive(Default)]
pub struct TokenCall {
    asked: Option<(&'static str, String, Bytes)>,
    answered: Option<(u16, Bytes)>,
}

impl TokenCall {
    /// Notes what is about to be sent.
    pub fn ask(&mut self, request: &HttpRequest) {
        self.asked = Some((request.method.as_str(), request.url.clone(), request.body.clone()));
    }

    /// Notes what came.
    pub fn answer(&mut self, answer: &HttpAnswer) {
        self.answered = Some((answer.status, answer.body.clone()));
    }

    /// With what is told beside, and without any secret: none of what is in an address behind its path, and of the bodies what is known to be none.
    #[must_use]
    pub fn told(self, mut what: Map<String, Value>, redactors: &[&Redactor]) -> ToldCall {
        let redact = |text: &str| redactors.iter().fold(text.to_owned(), |text, redactor| redactor.redact(&text).into_owned());
        let asked = self.asked.map(|(method, url, body)| {
            what.insert("method".into(), method.into());
            what.insert("url".into(), redact(url.split(['?', '#']).next().unwrap_or_default()).into());
            Part::of_token_request(&body, redact)
        });
        let answered = self.answered.map(|(status, body)| {
            what.insert("status".into(), status.into());
            Part::of_token_answer(&body, redact)
        });
        ToldCall::new(what, asked, answered)
    }
}
