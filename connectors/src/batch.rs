//! Many payloads in one request, with an end for each: what its own result says of it, or that nobody knows what became of it.

use std::collections::HashMap;

use domain::delivery::Receipt;
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest};
use domain::mapping::Filter;
use domain::record::RecordKind;
use domain::value::Value;

use crate::change::Change;
use crate::connector::Connector;
use crate::manifest::Batch;
use crate::path;
use crate::receipt::receipt;
use crate::request::{CallVars, Draft, DraftBody, RequestContext, RequestError};

/// What became of one payload of a batch.
#[derive(Debug, Clone)]
pub struct ItemEnd {
    pub result: Result<Receipt, Fault>,
    /// What was said of it, as if it were the answer to a request of its own; with an empty body where nothing was.
    pub answer: HttpAnswer,
}

impl Connector {
    fn batch(&self, kind: RecordKind) -> Option<&Batch> {
        self.resource(kind)?.batch.as_ref()
    }

    /// The most payloads of one request; `None` where the connector has no batch of this kind.
    #[must_use]
    pub fn batch_items_max(&self, kind: RecordKind) -> Option<u32> {
        Some(self.batch(kind)?.items_max)
    }

    /// True where first writes of a kind may go in a batch: nothing is looked up before one, and no action follows it.
    #[must_use]
    pub fn writes_in_batches(&self, kind: RecordKind) -> bool {
        let write = self.resource(kind).and_then(|resource| resource.write.as_ref());
        self.batch_items_max(kind).is_some_and(|items_max| items_max > 1)
            && write.is_some_and(|write| write.before.is_empty() && write.then.is_empty() && !write.search_first)
    }

    /// True where the results of a batch are found by a key of their items, and do not stand in the order of the payloads.
    #[must_use]
    pub fn batch_is_keyed(&self, kind: RecordKind) -> bool {
        self.batch(kind).is_some_and(|batch| batch.item_key.is_some())
    }

    /// What the result of a payload is found by.
    #[must_use]
    pub fn batch_item_key(&self, kind: RecordKind, payload: &Value) -> Option<String> {
        text(payload, self.batch(kind)?.item_key.as_deref()?)
    }

    fn batch_draft(&self, kind: RecordKind, payloads: Vec<Value>, context: &RequestContext<'_>) -> Result<Draft, RequestError> {
        let batch = self.batch(kind).ok_or(RequestError::Kind(kind))?;
        let list = Value::List(payloads);
        self.draft(&batch.request, &CallVars { payloads: Some(&list), ..CallVars::default() }, context)
    }

    /// Many payloads in one request.
    ///
    /// # Errors
    /// Where the connector has no batch of this kind, or the connection lacks something.
    pub fn batch_request(
        &self,
        kind: RecordKind,
        payloads: &[Value],
        context: &RequestContext<'_>,
    ) -> Result<HttpRequest, RequestError> {
        self.sign(self.batch_draft(kind, payloads.to_vec(), context)?, context)
    }

    /// One payload's part of such a request: where it goes, and the payload alone as the body. It is what an attempt keeps, and is not sent.
    ///
    /// # Errors
    /// As [`Self::batch_request`].
    pub fn batch_item_draft(
        &self,
        kind: RecordKind,
        payload: &Value,
        context: &RequestContext<'_>,
    ) -> Result<Draft, RequestError> {
        let draft = self.batch_draft(kind, vec![payload.clone()], context)?;
        Ok(Draft { body: DraftBody::Json(payload.clone()), ..draft })
    }

    /// The end of each payload, in their order. One of which the answer does not say certainly what became of it is unknown: it may have been
    /// stored.
    ///
    /// # Errors
    /// The classified fault of the whole request; [`FaultClass::Unknown`] where some of it may have been stored.
    pub fn read_batch_answer(&self, kind: RecordKind, payloads: &[Value], answer: &HttpAnswer) -> Result<Vec<ItemEnd>, Fault> {
        let body = self.parse(answer);
        self.read_done(self.is_repeatable(kind, Change::Write), answer, body.as_ref())?;
        let batch = self.batch(kind).ok_or_else(|| self.unreadable(answer))?;
        let found = body.as_ref().and_then(|body| path::first(body, &batch.results)).and_then(Value::as_list);
        let results = found.ok_or_else(|| self.unreadable(answer))?;
        let refused = Filter::compile(&batch.refused).map_err(|_| self.unreadable(answer))?;
        let by_key = by_key(results, batch.result_key.as_deref());
        let of = |index: usize, payload: &Value| match &batch.item_key {
            Some(at) => by_key.get(&text(payload, at)?).copied().flatten(),
            // Where one is missing, nobody knows which: all that stand behind it would be taken for their neighbours.
            None => results.get(index).filter(|_| results.len() == payloads.len()),
        };
        let read = |(index, payload)| {
            let key = self.batch_item_key(kind, payload).unwrap_or_default();
            self.read_item(batch, &key, of(index, payload), &refused, answer)
        };
        Ok(payloads.iter().enumerate().map(read).collect())
    }

    fn read_item(&self, batch: &Batch, key: &str, result: Option<&Value>, refused: &Filter, answer: &HttpAnswer) -> ItemEnd {
        // The error catalog reads a result as if it were the answer to a request of its own.
        let body = result.map(Value::to_json).unwrap_or_default();
        let alone = HttpAnswer { status: answer.status, headers: answer.headers.clone(), body: body.into() };
        let result = match result.map(|result| (result, refused.passes(result))) {
            None => Err(self.unsaid()),
            Some((_, Ok(true))) => Err(self.classify(&alone)),
            Some((result, Ok(false))) => {
                receipt(&batch.receipt, key, &alone, Some(result)).ok_or_else(|| self.unreadable(answer))
            }
            Some((_, Err(_))) => Err(self.unreadable(answer)),
        };
        ItemEnd { result, answer: alone }
    }

    fn unsaid(&self) -> Fault {
        let reason = format!("{} answered the batch without a word about this record", self.title());
        Fault::new(FaultClass::Unknown, "no_result", reason, Owner::Vendor, "Nothing to do: it is looked up first.")
    }
}

/// Results by what they are found by. One that stands there twice says nothing certain of either.
fn by_key<'v>(results: &'v [Value], at: Option<&str>) -> HashMap<String, Option<&'v Value>> {
    let mut found: HashMap<String, Option<&Value>> = HashMap::new();
    for result in results {
        if let Some(key) = at.and_then(|at| text(result, at)) {
            found.entry(key).and_modify(|known| *known = None).or_insert(Some(result));
        }
    }
    found
}

fn text(value: &Value, at: &str) -> Option<String> {
    path::first(value, at)?.to_text().map(|text| text.into_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use domain::secret::SecretFields;
    use domain::value::Limits;

    use super::*;

    const YAML: &str = "
format: 1
name: x
title: X
category: erp
base_url: https://x.example
error: { code: [error.code, code], message: [error.message] }
errors:
  - { code: [DUPLICATE], class: conflict, reason: 'It is there already: {{ message }}', owner: operations, fix: Compare. }
resources:
  order:
    id: id
    write: { request: { method: POST, path: /orders }, receipt: { path: id } }
    batch:
      request: { method: POST, path: /batch, body: { json: { create: '{{ payloads }}', key: '{{ idempotency_key }}' } } }
      items_max: 100
      results: create
      item_key: ref
      result_key: ref
      receipt: { path: id }
      refused: \"!is_empty(error)\"
";

    fn of(yaml: &str) -> Connector {
        Connector::from_files("x", [("connector.yaml".to_owned(), yaml.to_owned())].into())
            .unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn value(json: &str) -> Value {
        Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
    }

    fn payloads(refs: &[&str]) -> Vec<Value> {
        refs.iter().map(|name| value(&format!(r#"{{"ref":"{name}"}}"#))).collect()
    }

    fn answer(status: u16, body: &str) -> HttpAnswer {
        HttpAnswer { status, headers: vec![], body: body.to_owned().into() }
    }

    fn with_context<T>(run: impl FnOnce(&RequestContext<'_>) -> T) -> T {
        let (settings, credential) = (serde_json::json!({}), SecretFields::default());
        let context = RequestContext::new(&settings, &credential, chrono::DateTime::UNIX_EPOCH, "n");
        run(&RequestContext { external_key: "k", revision: 1, idempotency_key: "i", ..context })
    }

    /// The id, or the class of the fault, of each item.
    fn ends(connector: &Connector, refs: &[&str], body: &str) -> Vec<String> {
        let ends = connector.read_batch_answer(RecordKind::Order, &payloads(refs), &answer(200, body)).unwrap();
        let said = |end: ItemEnd| end.result.map_or_else(|fault| fault.class.as_str().to_owned(), |receipt| receipt.id);
        ends.into_iter().map(said).collect()
    }

    #[test]
    fn every_item_of_a_batch_has_an_end_of_its_own() {
        let request = with_context(|context| of(YAML).batch_request(RecordKind::Order, &payloads(&["a", "b", "c"]), context));
        assert_eq!(&request.unwrap().body[..], br#"{"create":[{"ref":"a"},{"ref":"b"},{"ref":"c"}],"key":"i"}"#);
        let said = r#"{"create":[{"ref":"b","error":{"code":"DUPLICATE","message":"b is there"}},{"ref":"a","id":1}]}"#;
        let ends = of(YAML).read_batch_answer(RecordKind::Order, &payloads(&["a", "b", "c"]), &answer(200, said)).unwrap();
        assert_eq!(ends[0].result.as_ref().unwrap().id, "1");
        assert_eq!(&ends[0].answer.body[..], br#"{"ref":"a","id":1}"#, "an attempt keeps what was said of it alone");
        let fault = ends[1].result.as_ref().unwrap_err();
        assert_eq!((fault.class, fault.reason.as_str()), (FaultClass::Conflict, "It is there already: b is there"));
        let fault = ends[2].result.as_ref().unwrap_err();
        assert_eq!((fault.class, fault.code.as_str(), ends[2].answer.body.len()), (FaultClass::Unknown, "no_result", 0));
    }

    #[test]
    fn what_an_attempt_keeps_of_a_batch_is_its_own_payload_and_where_it_went() {
        let payload = value(r#"{"ref":"a","price":1.10}"#);
        let kept = with_context(|context| of(YAML).batch_item_draft(RecordKind::Order, &payload, context)).unwrap().unsigned();
        assert_eq!((kept.url.as_str(), &kept.body[..]), ("https://x.example/batch", &br#"{"ref":"a","price":1.10}"#[..]));
    }

    #[test]
    fn an_answer_that_does_not_say_which_item_it_means_says_nothing_of_any() {
        let keyed = of(YAML);
        let twice = r#"{"create":[{"ref":"a","id":1},{"ref":"a","id":2},{"ref":"b","id":3}]}"#;
        assert_eq!(ends(&keyed, &["a", "b"], twice), ["unknown", "3"]);
        assert_eq!(ends(&keyed, &["a"], r#"{"create":[{"ref":"z","id":1}]}"#), ["unknown"], "another's");
        assert_eq!(ends(&keyed, &["a"], r#"{"create":[{"ref":"a"}]}"#), ["unknown"], "neither stored nor refused");
        let in_order = of(&YAML.replace("      item_key: ref\n      result_key: ref\n", ""));
        assert_eq!(ends(&in_order, &["a", "b"], r#"{"create":[{"id":1},{"error":{"code":"DUPLICATE"}}]}"#), ["1", "conflict"]);
        assert_eq!(ends(&in_order, &["a", "b"], r#"{"create":[{"id":2}]}"#), ["unknown", "unknown"], "one is missing");
        assert_eq!(ends(&in_order, &["a"], r#"{"create":[{"id":1},{"id":2}]}"#), ["unknown"], "one is too many");
    }

    #[test]
    fn a_batch_that_failed_as_a_whole_may_have_been_stored_where_one_alone_may() {
        let class = |status: u16, body: &str| {
            of(YAML).read_batch_answer(RecordKind::Order, &payloads(&["a"]), &answer(status, body)).unwrap_err().class
        };
        assert_eq!(class(503, ""), FaultClass::Unknown);
        assert_eq!(class(200, "<html>"), FaultClass::Unknown);
        assert_eq!(class(200, r#"{"created":[]}"#), FaultClass::Unknown);
        assert_eq!((class(429, ""), class(422, "")), (FaultClass::Limit, FaultClass::Validation));
    }

    #[test]
    fn a_receipt_within_a_result_is_the_one_with_the_items_own_key() {
        let of_list = YAML.replace(
            "receipt: { path: id }\n      refused",
            "receipt: { among: made, key: ref, path: id, version: v }\n      refused",
        );
        assert_ne!(of_list, YAML);
        let said = r#"{"create":[{"ref":"b","made":[{"ref":"x","id":8},{"ref":"b","id":9,"v":2}]},{"ref":"a","made":[{"ref":"x","id":7}]}]}"#;
        assert_eq!(ends(&of(&of_list), &["a", "b"], said), ["unknown", "9"], "somebody else's is no receipt");
    }

    #[test]
    fn what_needs_more_than_the_one_call_goes_alone() {
        assert!(of(YAML).writes_in_batches(RecordKind::Order) && !of(YAML).writes_in_batches(RecordKind::Item));
        for (alone, by) in
            [("receipt: { path: id } }", "receipt: { path: id }, search_first: true }"), ("items_max: 100", "items_max: 1")]
        {
            let yaml = YAML.replacen(alone, by, 1);
            let yaml = yaml.replace(
                "    batch:",
                "    proof: { request: { method: GET, path: '/orders/{{ external_key }}' }, receipt: { path: id }, settle_ms: 0, found: orders }\n    batch:",
            );
            assert!(!of(&yaml).writes_in_batches(RecordKind::Order), "{by}");
        }
    }
}
