//! What belongs to a write beside creating: changing what exists, and actions on it. Many payloads in one request stand in `batch.rs`.

use domain::fault::Fault;
use domain::http::{HttpAnswer, HttpRequest};
use domain::mapping::Filter;
use domain::record::RecordKind;
use domain::value::Value;

use crate::connector::Connector;
use crate::manifest::{Action, Method};
use crate::path;
use crate::request::{CallVars, RequestContext, RequestError};

impl Connector {
    pub(crate) fn action(&self, kind: RecordKind, name: &str) -> Option<&Action> {
        self.resource(kind)?.actions.get(name)
    }

    /// The actions that belong to every write of a kind, in their order.
    #[must_use]
    pub fn actions_after_write(&self, kind: RecordKind) -> &[String] {
        self.resource(kind).and_then(|resource| resource.write.as_ref()).map_or(&[], |write| &write.then)
    }

    /// True where a record which exists there is changed by a request of its own.
    #[must_use]
    pub fn updates(&self, kind: RecordKind) -> bool {
        self.resource(kind).is_some_and(|resource| resource.update.is_some())
    }

    /// True where a write replaces what has our key.
    #[must_use]
    pub fn replaces(&self, kind: RecordKind) -> bool {
        let write = self.resource(kind).and_then(|resource| resource.write.as_ref());
        write.is_some_and(|write| write.repeatable || write.request.method == Method::Put)
    }

    /// True where a record which exists there can be changed: by a request of its own, or by a write that replaces it.
    #[must_use]
    pub fn changes(&self, kind: RecordKind) -> bool {
        self.updates(kind) || self.replaces(kind)
    }

    /// True where what a proof finds says which revision it is: only then does it tell anything of a change.
    #[must_use]
    pub fn proof_tells_revision(&self, kind: RecordKind) -> bool {
        self.proof(kind).is_some_and(|proof| proof.revision.is_some())
    }

    /// # Errors
    /// The classified fault.
    pub fn read_action_answer(&self, answer: &HttpAnswer) -> Result<(), Fault> {
        let body = self.parse(answer);
        if self.is_failure(answer, body.as_ref()) { Err(self.classify(answer)) } else { Ok(()) }
    }

    /// The request that reads back whether an action was done; `None` where the vendor offers no way.
    ///
    /// # Errors
    /// As [`Self::action_request`].
    pub fn action_proof_request(
        &self,
        kind: RecordKind,
        name: &str,
        external_id: &str,
        payload: Option<&Value>,
        context: &RequestContext<'_>,
    ) -> Result<Option<HttpRequest>, RequestError> {
        let proof = self.action(kind, name).and_then(|action| action.proof.as_ref());
        let vars = CallVars { payload, external_id: Some(external_id), ..CallVars::default() };
        proof.map(|proof| self.call(&proof.request, &vars, context)).transpose()
    }

    /// Whether the action was done. Where the answer lists all that belong together, ours is the one of this id.
    ///
    /// # Errors
    /// The classified fault, where the vendor did not say.
    pub fn read_action_proof(&self, kind: RecordKind, name: &str, external_id: &str, answer: &HttpAnswer) -> Result<bool, Fault> {
        self.read_action_answer(answer)?;
        let body = self.parse(answer).ok_or_else(|| self.unreadable(answer))?;
        let proof = self.action(kind, name).and_then(|action| action.proof.as_ref()).ok_or_else(|| self.unreadable(answer))?;
        let asked = match (&proof.among, &proof.key) {
            (Some(list), Some(at)) => {
                let all = path::listed(&body, list).ok_or_else(|| self.unreadable(answer))?;
                all.into_iter().find(|one| path::is_text(one, at, external_id)).ok_or_else(|| self.unreadable(answer))?
            }
            _ => &body,
        };
        // An expression that cannot be read is refused when the connector is loaded.
        let filter = Filter::compile(&proof.done).map_err(|_| self.unreadable(answer))?;
        filter.passes(asked).map_err(|_| self.unreadable(answer))
    }
}

#[cfg(test)]
mod tests {
    use domain::delivery::Receipt;
    use domain::fault::FaultClass;
    use domain::secret::SecretFields;
    use domain::value::Limits;

    use super::*;
    use crate::change::Change;
    use crate::look_up::Found;

    const YAML: &str = "
format: 1
name: x
title: X
category: erp
base_url: https://x.example
error: { code: [error.code, code], message: [error.message], inside: [data.*.userErrors, data.*.errorCode] }
errors:
  - { code: [DUPLICATE], class: conflict, reason: 'It is there already: {{ message }}', owner: operations, fix: Compare. }
  - { status: '200', when: \"data.add.errorCode == 'NO_STOCK'\", class: validation, reason: Not in stock, owner: operations, fix: Wait. }
resources:
  order:
    id: id
    write:
      request: { method: POST, path: /orders, body: { graphql: { query: 'mutation', variables: { input: '{{ payload }}', note: 'from {{ payload.number }}', since: '{{ since }}', n: '{{ revision | number }}', k: '{{ external_key | number }}' } } } }
      receipt: { path: data.add.id }
      then: [confirm]
    update: { request: { method: PATCH, path: '/orders/{{ external_id }}' }, receipt: { path: id } }
    actions:
      confirm:
        request: { method: POST, path: '/orders/{{ external_id }}/confirm', body: { form: { a: { b: [1, x], c: null }, id: '{{ external_id }}' } } }
        proof: { request: { method: GET, path: '/orders/{{ external_id }}' }, done: \"state == 'sale'\" }
";

    fn connector() -> Connector {
        Connector::from_files("x", [("connector.yaml".to_owned(), YAML.to_owned())].into())
            .unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn value(json: &str) -> Value {
        Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
    }

    fn answer(body: &str) -> HttpAnswer {
        HttpAnswer { status: 200, headers: vec![], body: body.to_owned().into() }
    }

    fn with_context<T>(run: impl FnOnce(&RequestContext<'_>) -> T) -> T {
        let (settings, credential) = (serde_json::json!({}), SecretFields::default());
        let context = RequestContext::new(&settings, &credential, chrono::DateTime::UNIX_EPOCH, "n");
        run(&RequestContext { external_key: "k", revision: 1, idempotency_key: "i", ..context })
    }

    fn on(id: &str) -> Receipt {
        Receipt { id: id.to_owned(), version: None }
    }

    fn body(request: &HttpRequest) -> &str {
        std::str::from_utf8(&request.body).unwrap()
    }

    #[test]
    fn a_payload_goes_into_a_mutation_as_it_is() {
        let payload = value(r#"{"number":"A1","big":9007199254740993,"price":1.10,"gone":null}"#);
        let request = with_context(|context| {
            connector().change_request(RecordKind::Order, Change::Write, Some(&payload), &Found::default(), context)
        })
        .unwrap();
        assert_eq!(
            body(&request),
            r#"{"query":"mutation","variables":{"input":{"number":"A1","big":9007199254740993,"price":1.10,"gone":null},"note":"from A1","n":1,"k":"k"}}"#
        );
    }

    #[test]
    fn an_id_of_dots_does_not_ask_for_something_else() {
        let ask = |id: &str| {
            let connector = connector();
            with_context(|context| {
                connector.change_request(RecordKind::Order, Change::Action("confirm", &on(id)), None, &Found::default(), context)
            })
        };
        for id in ["..", "."] {
            assert_eq!(ask(id).unwrap_err(), RequestError::Dots("/orders/{{ external_id }}/confirm".into()));
        }
        assert_eq!(ask("..a").unwrap().url, "https://x.example/orders/..a/confirm");
    }

    #[test]
    fn a_refusal_inside_a_success_is_a_failure() {
        let read = |body: &str| connector().read_change_answer(RecordKind::Order, Change::Write, &answer(body), "");
        assert_eq!(read(r#"{"data":{"add":{"id":7,"userErrors":[]}}}"#).unwrap().id, "7");
        let fault = read(r#"{"data":{"add":{"__typename":"NoStock","errorCode":"NO_STOCK"}}}"#).unwrap_err();
        assert_eq!((fault.class, fault.reason.as_str()), (FaultClass::Validation, "Not in stock"));
        let fault =
            read(r#"{"data":{"add":{"id":null,"userErrors":[{"message":"bad"}]}},"error":{"message":"bad"}}"#).unwrap_err();
        assert_eq!((fault.class, fault.reason.as_str()), (FaultClass::Validation, "X answered 200: bad"));
    }

    #[test]
    fn an_id_that_no_row_of_an_index_holds_is_none() {
        let read = |id: &str| {
            let body = format!(r#"{{"data":{{"add":{{"id":"{id}"}}}}}}"#);
            connector().read_change_answer(RecordKind::Order, Change::Write, &answer(&body), "")
        };
        assert_eq!(read(&"x".repeat(1_000)).unwrap().id.len(), 1_000);
        let fault = read(&"x".repeat(1_001)).unwrap_err();
        assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Unknown, "unreadable_answer"));
    }

    #[test]
    fn an_action_is_a_form_and_is_proven_by_reading_back() {
        let connector = connector();
        assert_eq!(connector.actions_after_write(RecordKind::Order), ["confirm"]);
        let request = with_context(|context| {
            connector.change_request(RecordKind::Order, Change::Action("confirm", &on("7/8")), None, &Found::default(), context)
        })
        .unwrap();
        assert_eq!(
            (request.url.as_str(), body(&request)),
            ("https://x.example/orders/7%2F8/confirm", "a%5Bb%5D%5B0%5D=1&a%5Bb%5D%5B1%5D=x&id=7%2F8")
        );
        let done = |body: &str| connector.read_action_proof(RecordKind::Order, "confirm", "7", &answer(body));
        assert_eq!((done(r#"{"state":"sale"}"#), done(r#"{"state":"draft"}"#)), (Ok(true), Ok(false)));
        assert_eq!(done("").unwrap_err().class, FaultClass::Unknown);
    }
}
