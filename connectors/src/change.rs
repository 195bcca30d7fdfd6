//! A change of a record at the destination, whichever it is: a write, an update of what exists there, an action on it. What is looked up
//! before stands in `look_up.rs`.

use domain::delivery::Receipt;
use domain::fault::Fault;
use domain::http::{HttpAnswer, HttpRequest};
use domain::record::RecordKind;
use domain::value::Value;

use crate::check::names_of;
use crate::connector::Connector;
use crate::look_up::Found;
use crate::manifest::{LookUp, Request, Write};
use crate::path;
use crate::request::{CallVars, Draft, RequestContext, RequestError};

/// What is done to a record at the destination.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Creates it, or creates or replaces it where the vendor has an upsert.
    Write,
    /// Changes what exists there: its id, and its version where the vendor wants to be told the last.
    Update(&'a Receipt),
    /// Does an action of this name to what exists there.
    Action(&'a str, &'a Receipt),
}

impl<'a> Change<'a> {
    /// What the destination has of the record until now.
    pub(crate) fn receipt(self) -> Option<&'a Receipt> {
        match self {
            Self::Write => None,
            Self::Update(receipt) | Self::Action(_, receipt) => Some(receipt),
        }
    }

    /// The names that the requests of a change know.
    pub(crate) fn vars<'v>(self, payload: Option<&'v Value>, found: &'v Found) -> CallVars<'v>
    where
        'a: 'v,
    {
        let receipt = self.receipt();
        CallVars {
            payload,
            found: Some(found),
            external_id: receipt.map(|receipt| receipt.id.as_str()),
            receipt_version: receipt.and_then(|receipt| receipt.version.as_deref()),
            ..CallVars::default()
        }
    }
}

impl Connector {
    fn write_rule(&self, kind: RecordKind, change: Change<'_>) -> Option<&Write> {
        let resource = self.resource(kind)?;
        match change {
            Change::Write => resource.write.as_ref(),
            Change::Update(_) => resource.update.as_ref(),
            Change::Action(..) => None,
        }
    }

    /// The request of a change, and what is looked up before it.
    pub(crate) fn rule_of_change(&self, kind: RecordKind, change: Change<'_>) -> Result<(&Request, &[LookUp]), RequestError> {
        if let Change::Action(name, _) = change {
            let action = self.action(kind, name).ok_or_else(|| RequestError::Action(name.to_owned()))?;
            return Ok((&action.request, &action.before));
        }
        let write = self.write_rule(kind, change).ok_or(RequestError::Kind(kind))?;
        Ok((&write.request, &write.before))
    }

    /// The request of a change, once all that belongs before it was looked up ([`Self::before_request`]).
    ///
    /// # Errors
    /// Where the connector does not know this change, the connection lacks something, something was not looked up yet, or the version of
    /// the record is not known ([`Self::current_request`]).
    pub fn change_request(
        &self,
        kind: RecordKind,
        change: Change<'_>,
        payload: Option<&Value>,
        found: &Found,
        context: &RequestContext<'_>,
    ) -> Result<HttpRequest, RequestError> {
        self.sign(self.change_draft(kind, change, payload, found, context)?, context)
    }

    /// The same without anything that says who we are: for those who want to see it and not to send it. It needs no credential.
    ///
    /// # Errors
    /// As [`Self::change_request`].
    pub fn change_draft(
        &self,
        kind: RecordKind,
        change: Change<'_>,
        payload: Option<&Value>,
        found: &Found,
        context: &RequestContext<'_>,
    ) -> Result<Draft, RequestError> {
        let (request, before) = self.rule_of_change(kind, change)?;
        // What is not there is left out of a body, so that a write without its look-ups would be another write.
        if let Some(look_up) = before.iter().find(|look_up| !found.has(&look_up.name)) {
            return Err(RequestError::LookUp(look_up.name.clone()));
        }
        let vars = change.vars(payload, found);
        if vars.receipt_version.is_none() && self.needs_version(kind, change) {
            return Err(RequestError::Version);
        }
        self.draft(request, &vars, context)
    }

    /// True where the vendor makes a second identical one harmless, so that one whose answer was lost is simply sent again.
    #[must_use]
    pub fn is_repeatable(&self, kind: RecordKind, change: Change<'_>) -> bool {
        self.write_rule(kind, change).is_some_and(|write| write.repeatable)
    }

    /// True where a record is asked for before it is created, because it may be there already.
    #[must_use]
    pub fn searches_first(&self, kind: RecordKind) -> bool {
        self.write_rule(kind, Change::Write).is_some_and(|write| write.search_first)
    }

    /// The receipt of a change. `external_key` finds ours where the answer lists all that belong together.
    ///
    /// # Errors
    /// The classified fault, where the destination did not do it; [`domain::fault::FaultClass::Unknown`] where it may have.
    pub fn read_change_answer(
        &self,
        kind: RecordKind,
        change: Change<'_>,
        answer: &HttpAnswer,
        external_key: &str,
    ) -> Result<Receipt, Fault> {
        let Change::Action(name, before) = change else {
            let rule = self.write_rule(kind, change);
            let is_repeatable = self.is_repeatable(kind, change);
            return self.read_receipt(rule.map(|rule| &rule.receipt), external_key, is_repeatable, answer);
        };
        let action = self.action(kind, name);
        if let Some(rule) = action.and_then(|action| action.receipt.as_ref()) {
            return self.read_receipt(Some(rule), external_key, false, answer);
        }
        self.read_done(false, answer, self.parse(answer).as_ref())?;
        // A vendor that counts versions counts this one too, and did not say it.
        let keeps_versions = self.resource(kind).is_some_and(|resource| resource.version.is_some());
        Ok(Receipt { version: before.version.clone().filter(|_| !keeps_versions), id: before.id.clone() })
    }

    /// True where a change must name the last version of the record.
    #[must_use]
    pub fn needs_version(&self, kind: RecordKind, change: Change<'_>) -> bool {
        self.resource(kind).is_some_and(|resource| resource.version.is_some())
            && self.rule_of_change(kind, change).is_ok_and(|(request, _)| names_of(request).contains("receipt_version"))
    }

    /// The request that reads what the destination has of a record, for its version: where that is not known, or was found to be stale
    /// ([`Self::is_stale`]). `None` where the connector cannot read one record of this kind.
    ///
    /// # Errors
    /// Where the connection lacks something.
    pub fn current_request(
        &self,
        kind: RecordKind,
        external_id: &str,
        context: &RequestContext<'_>,
    ) -> Result<Option<HttpRequest>, RequestError> {
        let get = self.resource(kind).and_then(|resource| resource.get.as_ref());
        let vars = CallVars { source_id: Some(external_id), external_id: Some(external_id), ..CallVars::default() };
        get.map(|get| self.call(&get.request, &vars, context)).transpose()
    }

    /// What the destination has of a record: the id that was asked for, and the version.
    ///
    /// # Errors
    /// The classified fault.
    pub fn read_current_answer(&self, kind: RecordKind, external_id: &str, answer: &HttpAnswer) -> Result<Receipt, Fault> {
        let body = self.parse(answer);
        if self.is_failure(answer, body.as_ref()) {
            return Err(self.classify(answer));
        }
        let resource = self.resource(kind);
        let at = resource.and_then(|resource| resource.get.as_ref()).and_then(|get| get.record.as_deref()).unwrap_or_default();
        let record = body.as_ref().and_then(|body| path::first(body, at)).ok_or_else(|| self.unreadable(answer))?;
        let version = resource.and_then(|resource| resource.version.as_deref()).and_then(|at| path::first(record, at));
        Ok(Receipt { id: external_id.to_owned(), version: version.and_then(Value::to_text).map(|text| text.into_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use domain::fault::FaultClass;
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
errors:
  - { code: ['5010'], class: conflict, reason: Somebody else changed it, owner: operations, fix: Look at it., stale: true }
resources:
  invoice:
    id: Id
    version: SyncToken
    get: { request: { method: GET, path: '/invoices/{{ source_id }}' }, record: Invoice }
    write: { request: { method: PUT, path: '/invoices/by-key/{{ external_key }}' }, receipt: { path: Invoice.Id, version: Invoice.SyncToken }, repeatable: true }
    update:
      request: { method: POST, path: /invoices, body: { json: { Id: '{{ external_id }}', SyncToken: '{{ receipt_version }}', Note: '{{ payload.Note }}' } } }
      receipt: { path: Invoice.Id, version: Invoice.SyncToken }
    actions:
      send:
        request: { method: POST, path: '/invoices/{{ external_id }}/send' }
        proof: { request: { method: GET, path: '/invoices/{{ external_id }}' }, done: sent }
      void: { request: { method: POST, path: '/invoices/{{ external_id }}/void' }, receipt: { path: Invoice.Id, version: Invoice.SyncToken } }
    proof: { request: { method: GET, path: /find }, receipt: { path: Id }, settle_ms: 0, absent: [{ status: 404 }] }
  shipment:
    write:
      request: { method: POST, path: '/orders/{{ payload.order }}/parcels' }
      receipt: { among: order.parcels, key: meta.key, path: id, version: rev }
    proof:
      request: { method: GET, path: '/orders/{{ payload.order }}' }
      receipt: { among: order.parcels, key: meta.key, path: id, version: rev }
      settle_ms: 0
      revision: meta.revision
    actions:
      ship:
        request: { method: POST, path: '/orders/{{ payload.order }}/parcels/{{ external_id }}/ship' }
        proof:
          request: { method: GET, path: '/orders/{{ payload.order }}' }
          among: order.parcels
          key: id
          done: '!is_empty(shipped_at)'
";
    const INVOICE: RecordKind = RecordKind::Invoice;
    const SHIPMENT: RecordKind = RecordKind::Shipment;

    fn connector() -> Connector {
        Connector::from_files("x", [("connector.yaml".to_owned(), YAML.to_owned())].into())
            .unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn value(json: &str) -> Value {
        Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
    }

    fn answer(status: u16, body: &str) -> HttpAnswer {
        HttpAnswer { status, headers: vec![], body: body.to_owned().into() }
    }

    fn with_context<T>(run: impl FnOnce(&RequestContext<'_>) -> T) -> T {
        let (settings, credential) = (serde_json::json!({}), SecretFields::default());
        run(&RequestContext::new(&settings, &credential, chrono::DateTime::UNIX_EPOCH, "n"))
    }

    #[test]
    fn a_change_names_the_version_that_the_vendor_gave_last() {
        let (connector, payload) = (connector(), value(r#"{"Note":"n"}"#));
        let known = Receipt { id: "7".into(), version: Some("3".into()) };
        let request = |receipt: &Receipt| {
            let change = Change::Update(receipt);
            with_context(|context| connector.change_request(INVOICE, change, Some(&payload), &Found::default(), context))
        };
        assert_eq!(request(&known).unwrap().body, r#"{"Id":"7","SyncToken":"3","Note":"n"}"#);
        assert_eq!(request(&Receipt { version: None, ..known.clone() }).unwrap_err(), RequestError::Version);
        let unknown = Receipt { version: None, ..known.clone() };
        let old = request(&unknown);
        assert_eq!(old.unwrap_err(), RequestError::Version, "never without, as if there were no versions");
        let ask = with_context(|context| connector.current_request(INVOICE, "7", context)).unwrap().unwrap();
        assert_eq!(ask.url, "https://x.example/invoices/7");
        let read = connector.read_current_answer(INVOICE, "7", &answer(200, r#"{"Invoice":{"Id":"7","SyncToken":4}}"#)).unwrap();
        assert_eq!(read, Receipt { id: "7".into(), version: Some("4".into()) });
        let done = connector.read_change_answer(
            INVOICE,
            Change::Update(&read),
            &answer(200, r#"{"Invoice":{"Id":"7","SyncToken":"5"}}"#),
            "",
        );
        assert_eq!(done.unwrap().version.as_deref(), Some("5"));
    }

    #[test]
    fn a_stale_version_is_told_from_other_conflicts_and_was_not_applied() {
        let connector = connector();
        let stale = answer(500, r#"{"code":"5010","message":"stale"}"#);
        let receipt = Receipt { id: "7".into(), version: Some("3".into()) };
        let fault = connector.read_change_answer(INVOICE, Change::Update(&receipt), &stale, "").unwrap_err();
        assert_eq!((fault.class, connector.is_stale(&stale)), (FaultClass::Conflict, true));
        for other in [answer(409, r#"{"code":"6140"}"#), answer(200, r#"{"code":"5010"}"#)] {
            assert!(!connector.is_stale(&other));
        }
    }

    #[test]
    fn a_repeatable_write_is_sent_again_and_not_asked_about() {
        let connector = connector();
        let receipt = Receipt { id: "7".into(), version: Some("1".into()) };
        let class = |change| connector.read_change_answer(INVOICE, change, &answer(503, "{}"), "").unwrap_err().class;
        assert!(connector.is_repeatable(INVOICE, Change::Write) && !connector.is_repeatable(INVOICE, Change::Update(&receipt)));
        assert_eq!(class(Change::Write), FaultClass::Outage);
        assert_eq!(class(Change::Update(&receipt)), FaultClass::Unknown, "an update that can be proven is");
        assert_eq!(class(Change::Action("send", &receipt)), FaultClass::Unknown, "so is an action");
        assert_eq!(
            class(Change::Action("void", &receipt)),
            FaultClass::Unknown,
            "and one that nobody can ask about is a person's"
        );
    }

    #[test]
    fn an_action_leaves_the_id_and_says_the_version_or_that_it_is_not_known() {
        let (connector, before) = (connector(), Receipt { id: "7".into(), version: Some("1".into()) });
        let read =
            |name, body| connector.read_change_answer(INVOICE, Change::Action(name, &before), &answer(200, body), "").unwrap();
        assert_eq!(
            read("void", r#"{"Invoice":{"Id":"7","SyncToken":"2"}}"#),
            Receipt { id: "7".into(), version: Some("2".into()) }
        );
        assert_eq!(read("send", "{}"), Receipt { id: "7".into(), version: None });
        let kept = connector.read_change_answer(SHIPMENT, Change::Action("ship", &before), &answer(204, ""), "").unwrap();
        assert_eq!(kept, before, "this vendor counts no versions");
    }

    #[test]
    fn of_a_list_the_one_with_our_key_is_ours() {
        let connector = connector();
        let said = answer(
            200,
            r#"{"order":{"parcels":[{"id":"a","meta":{"key":"k1","revision":1},"shipped_at":"x"},{"id":"b","rev":3,"meta":{"key":"k2","revision":2},"shipped_at":null},{"id":"c"}]}}"#,
        );
        let write = |key| connector.read_change_answer(SHIPMENT, Change::Write, &said, key);
        assert_eq!(write("k2").unwrap(), Receipt { id: "b".into(), version: Some("3".into()) });
        assert_eq!(write("k3").unwrap_err().class, FaultClass::Unknown);
        assert_eq!(
            connector.read_change_answer(SHIPMENT, Change::Write, &said, "").unwrap_err().class,
            FaultClass::Unknown,
            "without a key none is ours"
        );
        let alone = answer(200, r#"{"order":{"parcels":[{"id":"a"}]}}"#);
        assert_eq!(connector.read_change_answer(SHIPMENT, Change::Write, &alone, "").unwrap().id, "a");
        let prove = |key, written| connector.read_proof_answer(SHIPMENT, key, &said, written);
        assert!(matches!(prove("k2", 2), crate::Proof::Found { receipt, current: true } if receipt.id == "b"));
        assert!(matches!(prove("k1", 2), crate::Proof::Found { current: false, .. }));
        assert_eq!(prove("k3", 1), crate::Proof::Absent);
        let empty = answer(200, r#"{"order":{"parcels":[]}}"#);
        assert_eq!(connector.read_proof_answer(SHIPMENT, "k1", &empty, 1), crate::Proof::Absent);
        let none = answer(200, "{}");
        assert!(
            matches!(connector.read_proof_answer(SHIPMENT, "k1", &none, 1), crate::Proof::Failed(_)),
            "no list proves nothing"
        );
        let shipped = |id| connector.read_action_proof(SHIPMENT, "ship", id, &said);
        assert_eq!((shipped("a"), shipped("b")), (Ok(true), Ok(false)));
        assert!(shipped("z").is_err());
    }

    #[test]
    fn errors_in_xml_are_read_as_those_in_json() {
        let yaml = "{format: 1, name: x, title: X, category: generic, base_url: 'https://x.example', error: {format: xml, code: [Error.Code], message: [Error.Message], path: [Error.Key], inside: [Error]},
            errors: [{code: [SlowDown], class: limit, reason: 'slower: {{ message }}', owner: vendor, fix: wait}],
            resources: {order: {write: {request: {method: PUT, path: '/o'}, receipt: {path: Order.Id}}}}}";
        let connector = Connector::from_files("x", [("connector.yaml".to_owned(), yaml.to_owned())].into()).unwrap();
        let read = |status, body| connector.read_change_answer(RecordKind::Order, Change::Write, &answer(status, body), "");
        let slow = "<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>Please &amp; thank you</Message><Key>a/b</Key></Error>";
        for (status, body) in [(503, slow), (200, slow), (503, slow.split_once('\n').unwrap().1)] {
            let fault = read(status, body).unwrap_err();
            let said = (fault.class, fault.code.as_str(), fault.reason.as_str(), fault.path.as_deref());
            assert_eq!(said, (FaultClass::Limit, "SlowDown", "slower: Please & thank you", Some("a/b")), "{status}");
        }
        assert_eq!(read(200, "<Order><Id>7</Id></Order>").unwrap().id, "7");
        // It may have been stored: a write is not taken for one that was not.
        assert_eq!(read(502, "<html><body>Bad gateway</html>").unwrap_err().class, FaultClass::Unknown);
    }
}
