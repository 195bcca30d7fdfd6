//! What is looked up before a change: ids that the vendor knows and the payload does not. Each look-up is a read, so it may be made as often
//! as one likes; which comes next follows from what was found until now, and nothing else.
//!
//! ```text
//! let mut found = Found::default();
//! while let Some(request) = connector.before_request(kind, change, payload, &mut found, &context)? {
//!     connector.read_before_answer(kind, change, payload, &mut found, &answer_to(request), &context)?;
//! }
//! let request = connector.change_request(kind, change, payload, &found, &context)?;
//! ```

use std::collections::BTreeMap;

use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest};
use domain::record::RecordKind;
use domain::value::Value;

use crate::change::Change;
use crate::check::names_of;
use crate::connector::Connector;
use crate::manifest::{LookUp, OnMissing};
use crate::path;
use crate::request::{CallVars, Draft, RequestContext, RequestError};
use crate::response::says_absent;
use crate::template::fill;

/// What was looked up, by name; nothing under a name for what is not there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found(BTreeMap<String, Option<Value>>);

impl Found {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)?.as_ref()
    }

    /// As a document, to be kept with the request that was made of it.
    #[must_use]
    pub fn to_value(&self) -> Value {
        Value::Map(self.0.iter().map(|(name, value)| (name.clone(), value.clone().unwrap_or(Value::Null))).collect())
    }

    /// The way back from [`Self::to_value`].
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let entries = value.as_map().into_iter().flatten();
        Self(entries.map(|(name, value)| (name.clone(), Some(value.clone()).filter(|value| !value.is_null()))).collect())
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True where it was looked for.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }
}

/// Why nothing can be looked up.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LookUpError {
    #[error(transparent)]
    Request(#[from] RequestError),
    /// What the look-up must know is not in the record, and without it the change is not to be made.
    #[error("{} {}", .0.reason, .0.fix)]
    Missing(Fault),
}

impl Connector {
    /// The next look-up that belongs before a change; `None` where all are made.
    ///
    /// # Errors
    /// Where the connection lacks something, or the record lacks what must be looked up.
    pub fn before_request(
        &self,
        kind: RecordKind,
        change: Change<'_>,
        payload: Option<&Value>,
        found: &mut Found,
        context: &RequestContext<'_>,
    ) -> Result<Option<HttpRequest>, LookUpError> {
        let draft = self.before_draft(kind, change, payload, found, context)?;
        Ok(draft.map(|draft| self.sign(draft, context)).transpose()?)
    }

    /// The same without anything that says who we are.
    ///
    /// # Errors
    /// As [`Self::before_request`].
    pub fn before_draft(
        &self,
        kind: RecordKind,
        change: Change<'_>,
        payload: Option<&Value>,
        found: &mut Found,
        context: &RequestContext<'_>,
    ) -> Result<Option<Draft>, LookUpError> {
        let (_, before) = self.rule_of_change(kind, change)?;
        for look_up in before {
            if found.has(&look_up.name) {
                continue;
            }
            let vars = change.vars(payload, found);
            // Without its condition a search finds everything, and the first of everything is somebody else's.
            if names_of(&look_up.request).iter().all(|name| self.knows(name, &vars, context)) {
                return Ok(Some(self.draft(&look_up.request, &vars, context)?));
            }
            self.missing(look_up, &vars, context).map_err(LookUpError::Missing)?;
            found.0.insert(look_up.name.clone(), None);
        }
        Ok(None)
    }

    /// Takes the answer to the last look-up.
    ///
    /// # Errors
    /// The classified fault; that of `on_missing`, where what is looked for is not there; and one where it is not clear which is meant.
    pub fn read_before_answer(
        &self,
        kind: RecordKind,
        change: Change<'_>,
        payload: Option<&Value>,
        found: &mut Found,
        answer: &HttpAnswer,
        context: &RequestContext<'_>,
    ) -> Result<(), Fault> {
        let before = self.rule_of_change(kind, change).map(|(_, before)| before).unwrap_or_default();
        let Some(look_up) = before.iter().find(|look_up| !found.has(&look_up.name)) else { return Ok(()) };
        let vars = change.vars(payload, found);
        let value = self.find_in(look_up, &vars, answer, context)?;
        if value.is_none() {
            self.missing(look_up, &vars, context)?;
        }
        found.0.insert(look_up.name.clone(), value);
        Ok(())
    }

    fn knows(&self, name: &str, vars: &CallVars<'_>, context: &RequestContext<'_>) -> bool {
        match name.strip_prefix("payload.") {
            // Lists and groups are no text, but they are there. An empty text would be a condition that says nothing.
            Some(at) => {
                let value = vars.payload.and_then(|payload| path::first(payload, at));
                value.is_some_and(|value| !matches!(value, Value::Null) && value.as_str() != Some(""))
            }
            None => matches!(name, "payload" | "payloads") || self.find_var(name, vars, context).is_some(),
        }
    }

    fn find_in(
        &self,
        look_up: &LookUp,
        vars: &CallVars<'_>,
        answer: &HttpAnswer,
        context: &RequestContext<'_>,
    ) -> Result<Option<Value>, Fault> {
        let body = self.parse(answer);
        let code = self.text_at(&self.manifest.error.code, body.as_ref());
        if look_up.absent.iter().any(|absent| says_absent(absent, answer.status, code.as_deref())) {
            return Ok(None);
        }
        if self.is_failure(answer, body.as_ref()) {
            return Err(self.classify(answer));
        }
        // What is no answer to the question must not pass for "not there": a write would go without, or make a double.
        let unreadable = || {
            let reason = format!("{} answered {} without what was looked up ({})", self.title(), answer.status, look_up.name);
            let fix = "Nothing to do, it is asked again. If it stays so, compare the answer with the connector's look-up.";
            Fault::new(FaultClass::Outage, "unreadable_answer", reason, Owner::Vendor, fix).answered(answer.status)
        };
        let body = body.ok_or_else(unreadable)?;
        let here = match (&look_up.among, &look_up.key, &look_up.equals) {
            (Some(list), Some(key), Some(equals)) => {
                let wanted = fill(equals, false, |name| self.find_var(name, vars, context)).map_err(|_| unreadable())?;
                let is_it = |one: &&Value| {
                    let own = path::first(one, key).and_then(Value::to_text);
                    own.is_some_and(|own| own == wanted || look_up.ignore_case && own.to_lowercase() == wanted.to_lowercase())
                };
                path::listed(&body, list).ok_or_else(unreadable)?.into_iter().filter(is_it).collect()
            }
            _ => vec![&body],
        };
        let is_something = |value: &&Value| !value.is_null() && !value.to_text().is_some_and(|text| text.is_empty());
        let mut values: Vec<&Value> =
            here.into_iter().flat_map(|here| path::all(here, &look_up.value)).filter(is_something).collect();
        values.dedup();
        match values.as_slice() {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            several => {
                let reason = format!(
                    "{} has {} of what the look-up \"{}\" asks for, and it is not clear which one is meant",
                    self.title(),
                    several.len(),
                    look_up.name
                );
                let fix = format!("Take away or rename all but one of them in {}, then press Retry.", self.title());
                Err(Fault::new(FaultClass::Conflict, "look_up_ambiguous", reason, Owner::Operations, &fix))
            }
        }
    }

    /// What `on_missing` says of a look-up that found nothing.
    fn missing(&self, look_up: &LookUp, vars: &CallVars<'_>, context: &RequestContext<'_>) -> Result<(), Fault> {
        let OnMissing::Exception(missing) = &look_up.on_missing else { return Ok(()) };
        let text = |template: &str| {
            let find = |name: &str| Some(self.find_var(name, vars, context).unwrap_or_else(|| "(nothing)".into()));
            fill(template, false, find).unwrap_or_else(|_| template.to_owned())
        };
        let code = format!("missing_{}", look_up.name);
        Err(Fault::new(FaultClass::NotFound, &code, text(&missing.reason), missing.owner, &text(&missing.fix)))
    }
}

#[cfg(test)]
mod tests {
    use domain::delivery::Receipt;
    use domain::secret::SecretFields;
    use domain::value::Limits;

    use super::*;

    const YAML: &str = "
format: 1
name: x
title: X
category: erp
base_url: https://x.example
error: { code: [code], message: [message] }
resources:
  order:
    write:
      before:
        - name: customer
          request: { method: GET, path: /customers, query: { q: '{{ payload.email }}' } }
          among: customers
          key: email
          equals: '{{ payload.email }}'
          ignore_case: true
          value: id
          kind: customer
          on_missing: { exception: { reason: 'There is no customer {{ payload.email }}', owner: operations, fix: Make the customer first. } }
        - name: price_list
          request: { method: GET, path: '/customers/{{ found.customer }}/price-list' }
          value: list.id
          absent: [{ status: 404, code: [NONE] }]
          on_missing: skip
      request: { method: POST, path: /orders, body: { json: { order: '{{ payload }}', customer: '{{ found.customer }}', list: '{{ found.price_list }}', note: 'for {{ found.customer }}' } } }
      receipt: { path: id }
    actions:
      ship:
        before: [{ name: carrier, request: { method: GET, path: '/orders/{{ external_id }}/carriers' }, value: 'carriers[0].code', on_missing: skip }]
        request: { method: POST, path: '/orders/{{ external_id }}/ship', body: { json: { carrier: '{{ found.carrier }}' } } }
";
    const ORDER: RecordKind = RecordKind::Order;

    fn connector() -> Connector {
        Connector::from_files("x", [("connector.yaml".to_owned(), YAML.to_owned())].into())
            .unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn with_context<T>(run: impl FnOnce(&RequestContext<'_>) -> T) -> T {
        let (settings, credential) = (serde_json::json!({}), SecretFields::default());
        run(&RequestContext::new(&settings, &credential, chrono::DateTime::UNIX_EPOCH, "n"))
    }

    /// The requests that were made, and how it ended, where the vendor gives these answers.
    fn look_up(change: Change<'_>, payload: &str, answers: &[(u16, &str)]) -> (Vec<String>, Result<HttpRequest, String>) {
        let connector = connector();
        let payload = Value::parse(payload.as_bytes(), &Limits::DEFAULT).unwrap();
        let (mut found, mut asked, mut answers) = (Found::default(), Vec::new(), answers.iter());
        let end = with_context(|context| {
            loop {
                let request = match connector.before_request(ORDER, change, Some(&payload), &mut found, context) {
                    Ok(Some(request)) => request,
                    Ok(None) => break,
                    Err(error) => return Err(error.to_string()),
                };
                asked.push(request.url.replace("https://x.example", ""));
                let (status, body) = answers.next().expect("an answer for each request");
                let answer = HttpAnswer { status: *status, headers: vec![], body: (*body).to_owned().into() };
                connector
                    .read_before_answer(ORDER, change, Some(&payload), &mut found, &answer, context)
                    .map_err(|fault| format!("{} {}: {} {}", fault.class.as_str(), fault.code, fault.reason, fault.fix))?;
            }
            Ok(connector.change_request(ORDER, change, Some(&payload), &found, context).unwrap())
        });
        (asked, end)
    }

    const KIM: &str = r#"{"email":"Kim@x.example"}"#;
    const CUSTOMERS: &str = r#"{"customers":[{"id":6,"email":"akim@x.example"},{"id":7,"email":"kim@X.example"}]}"#;

    #[test]
    fn what_was_looked_up_goes_into_the_write_and_into_the_next_look_up() {
        let (asked, request) = look_up(Change::Write, KIM, &[(200, CUSTOMERS), (200, r#"{"list":{"id":"B2B"}}"#)]);
        assert_eq!(asked, ["/customers?q=Kim%40x.example", "/customers/7/price-list"]);
        let body = r#"{"order":{"email":"Kim@x.example"},"customer":7,"list":"B2B","note":"for 7"}"#;
        assert_eq!(request.unwrap().body, body, "a number stays one");
    }

    #[test]
    fn what_is_not_there_is_left_out_or_asks_a_person() {
        let none = (404, r#"{"code":"NONE"}"#);
        let (_, request) = look_up(Change::Write, KIM, &[(200, CUSTOMERS), none]);
        assert_eq!(request.unwrap().body, r#"{"order":{"email":"Kim@x.example"},"customer":7,"note":"for 7"}"#);
        let (_, end) = look_up(Change::Write, KIM, &[(200, r#"{"customers":[]}"#)]);
        let said = "not_found missing_customer: There is no customer Kim@x.example Make the customer first.";
        assert_eq!(end.unwrap_err(), said);
        let only_like_it = (200, r#"{"customers":[{"id":6,"email":"akim@x.example"}]}"#);
        assert_eq!(look_up(Change::Write, KIM, &[only_like_it]).1.unwrap_err(), said);
    }

    #[test]
    fn nothing_is_asked_without_the_condition_that_it_is_asked_by() {
        for payload in ["{}", r#"{"email":null}"#, r#"{"email":""}"#] {
            let (asked, end) = look_up(Change::Write, payload, &[]);
            assert_eq!(asked, [""; 0], "it would have found all customers");
            assert!(end.unwrap_err().starts_with("There is no customer"), "{payload}");
        }
    }

    #[test]
    fn several_are_not_one_and_no_answer_is_not_none() {
        let twice = (200, r#"{"customers":[{"id":6,"email":"kim@x.example"},{"id":7,"email":"kim@x.example"}]}"#);
        let same = (200, r#"{"customers":[{"id":7,"email":"kim@x.example"},{"id":7,"email":"kim@x.example"}]}"#);
        let end = |answer| look_up(Change::Write, KIM, &[answer, (200, "{}")]).1;
        assert!(end(twice).unwrap_err().starts_with("conflict look_up_ambiguous: X has 2 of"));
        assert!(end(same).is_ok());
        for (answer, class) in [
            ((200, "<html>"), "outage unreadable_answer"),
            ((200, "{}"), "outage unreadable_answer"),
            ((200, r#"{"customers":null}"#), "outage unreadable_answer"),
            ((401, "{}"), "authentication http_401"),
            ((503, ""), "outage http_503"),
            ((404, "{}"), "not_found http_404"),
        ] {
            let said = end(answer).unwrap_err();
            assert!(said.starts_with(class), "{answer:?}: {said}");
        }
    }

    #[test]
    fn an_action_has_look_ups_of_its_own_and_no_change_goes_without_them() {
        let receipt = Receipt { id: "7".into(), version: None };
        let ship = Change::Action("ship", &receipt);
        let (asked, request) = look_up(ship, "{}", &[(200, r#"{"carriers":[{"code":"ups"},{"code":"dhl"}]}"#)]);
        assert_eq!(
            (asked, request.unwrap().body.as_ref()),
            (vec!["/orders/7/carriers".to_owned()], &br#"{"carrier":"ups"}"#[..])
        );
        let connector = connector();
        let early = with_context(|context| connector.change_request(ORDER, ship, None, &Found::default(), context));
        assert_eq!(early.unwrap_err(), RequestError::LookUp("carrier".into()));
        let old = with_context(|context| {
            connector.change_request(ORDER, Change::Write, Some(&Value::Null), &Found::default(), context)
        });
        assert_eq!(old.unwrap_err(), RequestError::LookUp("customer".into()));
    }
}
