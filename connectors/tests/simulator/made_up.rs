//! Vendors that nobody sells, in `tests/made_up`: together they do what self-hosted systems of a shop do, and the format carries it both ways.

use std::path::PathBuf;
use std::sync::LazyLock;

use chrono::Duration;
use connectors::simulator::{Fault, FaultMatcher};
use connectors::{Catalog, Change, Found, Getter, HookCall, LookUpError, Position, Proof};
use domain::canonical;
use domain::delivery::Receipt;
use domain::fault::{Fault as Failure, FaultClass, Owner};
use domain::http::HttpAnswer;
use domain::mapping::Vars;
use domain::record::RecordKind;
use domain::value::{Limits, Value};
use serde_json::{Value as Json, json};

use crate::vendor::*;

static MADE_UP: LazyLock<Catalog> = LazyLock::new(|| {
    let tests = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    Catalog::open(&tests.join("tests/made_up")).unwrap_or_else(|errors| panic!("{errors}"))
});
const ITEM: RecordKind = RecordKind::Item;
const SHIPMENT: RecordKind = RecordKind::Shipment;

fn made_up(name: &str) -> Vendor {
    if let Some((_, errors)) = MADE_UP.unavailable().next() {
        panic!("{errors}");
    }
    let settings = json!({"company": "3", "user": "crossdock", "warehouse": "MAIN"});
    Vendor::of(
        MADE_UP.get(name).unwrap(),
        settings,
        &[("token", "t0ken-t0ken"), ("key", "k3y-k3y"), ("hook_secret", "whisper it")],
    )
}

fn value(json: &Json) -> Value {
    Value::parse(json.to_string().as_bytes(), &Limits::DEFAULT).unwrap()
}

impl Vendor {
    /// All that an incremental read brings; the position moves on.
    fn poll(&mut self, kind: RecordKind, position: &mut Position) -> Vec<Value> {
        let mut reader = self.connector.reader(kind, position).unwrap();
        let mut records = Vec::new();
        while let Some(request) = self.context(keys("k"), |_, context| reader.next(context)).unwrap() {
            let answer = http(self.send(request));
            let page = reader.take(&answer, self.now).unwrap();
            records.extend(page.iter().map(|record| Value::parse(&record.bytes, &Limits::DEFAULT).unwrap()));
        }
        *position = reader.position().unwrap_or_default();
        records
    }

    fn get(&mut self, mut getter: Getter<'static>) -> Value {
        loop {
            let request = self.context(keys("k"), |_, context| getter.next(context)).unwrap().unwrap();
            let answer = http(self.send(request));
            if let Some(bytes) = getter.take(&answer).unwrap() {
                return Value::parse(&bytes, &Limits::DEFAULT).unwrap();
            }
        }
    }

    fn read_to_canonical(&self, kind: RecordKind, source: &Value) -> Json {
        let plan = self.connector.read_plan(kind).unwrap();
        let document = plan.apply(source, self.connector.tables(), &Vars::default()).unwrap();
        canonical::check(kind, &document).unwrap_or_else(|issues| panic!("{issues:?}"));
        serde_json::from_str(&document.to_json()).unwrap()
    }

    fn payload(&self, kind: RecordKind, document: &Json, key: &str) -> Value {
        let mut vars = Vars::default();
        vars.set("settings", Value::from(&self.settings));
        vars.set("record", Value::from(&json!({"revision": 1, "external_key": key, "kind": kind.as_str()})));
        self.connector.write_plan(kind).unwrap().apply(&value(document), self.connector.tables(), &vars).unwrap()
    }

    /// Does a change with all that belongs before it.
    fn change(&mut self, kind: RecordKind, key: &str, change: Change<'_>, payload: &Value) -> Result<Receipt, Failure> {
        let answer = self.try_change(kind, key, change, payload)?;
        self.connector.read_change_answer(kind, change, &answer, key)
    }

    fn try_change(&mut self, kind: RecordKind, key: &str, change: Change<'_>, payload: &Value) -> Result<HttpAnswer, Failure> {
        let mut found = Found::default();
        loop {
            let next = self.context(keys(key), |c, context| c.before_request(kind, change, Some(payload), &mut found, context));
            let request = match next {
                Ok(Some(request)) => request,
                Ok(None) => break,
                Err(LookUpError::Missing(fault)) => return Err(fault),
                Err(error) => panic!("{error}"),
            };
            let answer = http(self.send(request));
            self.context(keys(key), |c, context| {
                c.read_before_answer(kind, change, Some(payload), &mut found, &answer, context)
            })?;
        }
        let request =
            self.context(keys(key), |c, context| c.change_request(kind, change, Some(payload), &found, context).unwrap());
        Ok(http(self.send(request)))
    }

    fn is_done(&mut self, kind: RecordKind, action: &str, id: &str, payload: &Value) -> bool {
        let request = self
            .context(keys("k"), |c, context| c.action_proof_request(kind, action, id, Some(payload), context).unwrap().unwrap());
        let answer = http(self.send(request));
        self.connector.read_action_proof(kind, action, id, &answer).unwrap()
    }

    fn fail_next(&mut self, operation: &str, fault: Fault) {
        self.simulator.fail(FaultMatcher::next(operation), fault);
    }
}

fn order(number: &str) -> Json {
    json!({
        "source_id": "1", "number": number, "status": "open", "currency": "EUR", "customer": {"email": "Kim@shop.example"}, "taxes_included": false,
        "lines": [{"sku": "HAT", "quantity": "3", "unit_price": "19.95"}, {"sku": "CAP", "quantity": "0.5", "unit_price": "8.10"}],
        "totals": {"tax": "12.14", "grand": "76.04"}
    })
}

/// One party that the orders of [`order`] belong to, and others that are only like it.
fn oxbow() -> Vendor {
    let mut erp = made_up("oxbow-ledger");
    for (at, party) in erp.simulator.stored(RecordKind::Customer).into_iter().enumerate() {
        let email = if at == 4 { "kim@shop.example".to_owned() } else { format!("kim{at}@shop.example") };
        erp.simulator.put_record(RecordKind::Customer, value(&json!({"id": party.id, "email": email})), erp.now);
    }
    erp
}

#[test]
fn a_system_without_webhooks_is_polled_by_its_write_date() {
    let mut erp = made_up("oxbow-ledger");
    let mut position = Position::default();
    let stored = erp.simulator.stored(ORDER).len();
    assert_eq!((erp.poll(ORDER, &mut position).len(), stored), (25, 25));
    assert_eq!(erp.poll(ORDER, &mut position).len(), 0, "nothing changed, so nothing comes again");
    let changed = erp.simulator.stored(ORDER)[7].clone();
    erp.now += Duration::seconds(5);
    erp.simulator.put_record(ORDER, changed.value.clone(), erp.now);
    let ids: Vec<String> =
        erp.poll(ORDER, &mut position).iter().map(|record| record.at("id").unwrap().to_text().unwrap().into_owned()).collect();
    assert_eq!(ids, [changed.id]);
    assert_eq!(erp.poll(ORDER, &mut position).len(), 0);
}

#[test]
fn every_call_says_in_whose_context_it_is_made() {
    let mut erp = oxbow();
    let header = |request: &domain::http::HttpRequest, name: &str| {
        request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    let mut reader = erp.connector.reader(ORDER, &Position::default()).unwrap();
    let read = erp.context(keys("k"), |_, context| reader.next(context)).unwrap().unwrap();
    let contexts = ["X-Context-Company", "X-Context-User", "X-Context-Warehouse"];
    assert_eq!(contexts.map(|name| header(&read, name)), [Some("3".into()), Some("crossdock".into()), None]);
    let payload = erp.payload(ORDER, &order("SO-1"), "k");
    let (request, receipt) = (&erp.rule().write.as_ref().unwrap().request, Receipt { id: "1".into(), version: None });
    let vars = connectors::CallVars { payload: Some(&payload), ..connectors::CallVars::default() };
    let write = erp.context(keys("k"), |c, context| c.call(request, &vars, context).unwrap());
    assert_eq!(contexts.map(|name| header(&write, name)), [Some("3".into()), Some("crossdock".into()), Some("MAIN".into())]);
    let confirm = Change::Action("confirm", &receipt);
    let act = erp.context(keys("k"), |c, context| c.change_request(ORDER, confirm, None, &Found::default(), context)).unwrap();
    assert_eq!(contexts.map(|name| header(&act, name)), [Some("3".into()), None, None]);
}

#[test]
fn a_mutation_that_is_refused_with_200_and_a_union_member_is_a_fault_with_a_reason() {
    let mut erp = oxbow();
    for (number, class, reason) in [
        ("OLD-1", FaultClass::Validation, "The books are closed: The order is of a year that is closed."),
        ("TWICE", FaultClass::Conflict, "number is used already: There is such an order."),
    ] {
        let payload = erp.payload(ORDER, &order(number), number);
        let answer = erp.try_change(ORDER, number, Change::Write, &payload).unwrap();
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let fault = erp.connector.read_change_answer(ORDER, Change::Write, &answer, number).unwrap_err();
        assert_eq!((fault.class, fault.reason.as_str(), fault.owner), (class, reason, Owner::Operations));
        assert_eq!(erp.proof(number, 1), Proof::Absent);
    }
    // The same words as the vendor would send them.
    let said =
        r#"{"data":{"orderCreate":{"__typename":"Refusal","code":"PERIOD_CLOSED","message":"2025 is closed","path":"date"}}}"#;
    let answer = HttpAnswer { status: 200, headers: vec![], body: said.into() };
    let fault = erp.connector.read_change_answer(ORDER, Change::Write, &answer, "k").unwrap_err();
    assert_eq!((fault.code.as_str(), fault.path.as_deref()), ("PERIOD_CLOSED", Some("date")));
}

#[test]
fn an_order_is_made_confirmed_processed_and_shipped_and_each_step_is_read_back() {
    let mut erp = oxbow();
    let payload = erp.payload(ORDER, &order("SO-9"), "k9");
    erp.fail_next("order.write", Fault::DropAfterCommit);
    erp.try_change(ORDER, "k9", Change::Write, &payload).unwrap();
    let Proof::Found { receipt, current: true } = erp.proof("k9", 1) else { panic!("it was stored before its answer was lost") };
    for action in erp.connector.actions_after_write(ORDER) {
        let change = Change::Action(action, &receipt);
        assert!(!erp.is_done(ORDER, action, &receipt.id, &payload), "{action} was not asked for yet");
        // Lost before it had an effect: the read-back says so, and it is asked for again.
        erp.fail_next(&format!("order.action.{action}"), Fault::DropBeforeCommit);
        erp.try_change(ORDER, "k9", change, &payload).unwrap();
        assert!(!erp.is_done(ORDER, action, &receipt.id, &payload), "{action}");
        // Lost after it: the read-back says that too, and nothing is asked for again.
        erp.fail_next(&format!("order.action.{action}"), Fault::DropAfterCommit);
        erp.try_change(ORDER, "k9", change, &payload).unwrap();
        assert!(erp.is_done(ORDER, action, &receipt.id, &payload), "{action}");
    }
    let stored = erp.get(erp.connector.getter(ORDER, &receipt.id).unwrap());
    assert_eq!(erp.read_to_canonical(ORDER, &stored)["status"], "completed");
    assert_eq!(erp.simulator.writes(ORDER, "k9").records, 1);
}

#[test]
fn what_a_write_needs_is_looked_up_first_and_a_person_is_asked_where_it_is_not_there() {
    let mut erp = oxbow();
    let payload = erp.payload(ORDER, &order("SO-2"), "k2");
    erp.change(ORDER, "k2", Change::Write, &payload).unwrap();
    let asked = erp.simulator.stats().requests.get("order.look_up.party").copied();
    assert_eq!(asked, Some(1));
    let mut stranger = order("SO-3");
    stranger["customer"]["email"] = json!("nobody@shop.example");
    let payload = erp.payload(ORDER, &stranger, "k3");
    let fault = erp.change(ORDER, "k3", Change::Write, &payload).unwrap_err();
    assert_eq!(
        (fault.class, fault.reason.as_str(), fault.fix.as_str()),
        (
            FaultClass::NotFound,
            "Oxbow Ledger has no party with the e-mail address nobody@shop.example",
            "Make the party in Oxbow Ledger, then press Retry."
        )
    );
    assert_eq!(erp.simulator.writes(ORDER, "k3").records, 0, "and nothing was written");
}

#[test]
fn money_is_the_same_as_tagged_objects_smallest_units_and_numbers_both_ways() {
    // Tagged decimals.
    let mut erp = oxbow();
    let payload = erp.payload(ORDER, &order("SO-4"), "k4");
    let line = payload.at("lines[0]").map(Value::to_json);
    assert_eq!(
        line.as_deref(),
        Some(
            r#"{"product":"HAT","quantity":{"__class__":"Decimal","decimal":"3"},"unit_price":{"__class__":"Decimal","decimal":"19.95"}}"#
        )
    );
    let receipt = erp.change(ORDER, "k4", Change::Write, &payload).unwrap();
    let stored = erp.get(erp.connector.getter(ORDER, &receipt.id).unwrap());
    let read = erp.read_to_canonical(ORDER, &stored);
    assert_eq!((&read["lines"], &read["totals"], &read["currency"]), (&order("")["lines"], &order("")["totals"], &json!("EUR")));

    // Smallest units, which a currency may not have.
    let mut shop = made_up("pennywick");
    for (currency, price, grand, minor) in [("EUR", "19.95", "39.9", [1995, 3990]), ("JPY", "2500", "5000", [2500, 5000])] {
        let document = json!({
            "source_id": "1", "status": "open", "currency": currency, "taxes_included": true,
            "lines": [{"sku": "HAT", "quantity": "2", "unit_price": price}], "totals": {"grand": grand}
        });
        let payload = shop.payload(ORDER, &document, currency);
        let sent: Json = serde_json::from_str(&payload.to_json()).unwrap();
        assert_eq!((&sent["lines"][0]["unit_minor"], &sent["total_minor"]), (&json!(minor[0]), &json!(minor[1])));
        let receipt = shop.change(ORDER, currency, Change::Write, &payload).unwrap();
        let stored = shop.get(shop.connector.getter(ORDER, &receipt.id).unwrap());
        let read = shop.read_to_canonical(ORDER, &stored);
        let amount = |value: &Json| value.as_str().unwrap().parse::<f64>().unwrap();
        assert_eq!(amount(&read["lines"][0]["unit_price"]), price.parse::<f64>().unwrap());
        assert_eq!(amount(&read["totals"]["grand"]), grand.parse::<f64>().unwrap());
    }

    // Numbers.
    let document = json!({"source_id": "1", "sku": "HAT", "prices": [{"kind": "list", "amount": "19.95"}]});
    let payload = shop.payload(ITEM, &document, "k5");
    assert_eq!(payload.to_json(), r#"{"sku":"HAT","price":19.95}"#);
    let receipt = shop.change(ITEM, "k5", Change::Write, &payload).unwrap();
    let items = shop.poll(ITEM, &mut Position::default());
    let stored = items.iter().find(|item| item.at("id").unwrap().to_text().as_deref() == Some(receipt.id.as_str())).unwrap();
    assert_eq!(
        shop.connector
            .read_plan(ITEM)
            .unwrap()
            .apply(stored, shop.connector.tables(), &Vars::default())
            .unwrap()
            .at("prices[0].amount")
            .and_then(Value::as_str),
        Some("19.95")
    );
}

#[test]
fn a_thin_webhook_is_read_back_as_whole_as_a_list_brings_it() {
    let mut shop = made_up("pennywick");
    let url = "https://us.example/hooks/1?a=b";
    let subscribe = shop.context(keys("k"), |c, context| c.subscribe_request("order/created", url, context).unwrap().unwrap());
    let told = r#"{"event":"ORDER_CREATED","target":"https://us.example/hooks/1?a=b","secret":"whisper it"}"#;
    assert_eq!(subscribe.body, told);
    let answer = http(shop.send(subscribe));
    shop.connector.read_subscribe_answer(&answer, shop.now).unwrap();

    let listed = shop.poll(ORDER, &mut Position::default());
    let id = shop.simulator.stored(ORDER)[2].id.clone();
    let hooks = shop.simulator.deliveries("order/created", &id, shop.now);
    assert_eq!(hooks.len(), 1, "the vendor's word for a topic is the same topic");
    let call = HookCall { method: "POST", url: &hooks[0].url, headers: &hooks[0].headers, body: &hooks[0].body, now: shop.now };
    let info = shop.connector.verify_hook(&call, &shop.credential, &shop.settings).unwrap().remove(0);
    assert_eq!((info.fetch, info.source_id.as_deref()), (true, Some(id.as_str())));
    assert!(!String::from_utf8_lossy(&hooks[0].body).contains("total_minor"), "it brings the id and nothing else");

    let fetched = shop.get(shop.connector.fetcher(&info.topic, &id).unwrap());
    let same = listed.iter().find(|record| record.at("id") == fetched.at("id")).unwrap();
    assert_eq!(fetched.to_json(), same.to_json());
    assert_eq!(fetched.at("lines").and_then(Value::as_list).map(<[Value]>::len), Some(3), "over two pages of lines");
    assert_eq!(shop.read_to_canonical(ORDER, &fetched)["lines"].as_array().unwrap().len(), 3);
}

#[test]
fn a_change_that_names_an_old_version_is_refused_and_made_once_with_the_last() {
    let mut shop = made_up("pennywick");
    let payload = value(&json!({"note": "ring twice"}));
    let (id, old) = (shop.simulator.stored(ORDER)[0].id.clone(), Receipt { id: String::new(), version: Some("3".into()) });
    let old = Receipt { id: id.clone(), ..old };
    let answer = shop.try_change(ORDER, "k", Change::Update(&old), &payload).unwrap();
    assert!(shop.connector.is_stale(&answer), "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
    assert!(answer.body.starts_with(b"<?xml"), "errors are XML here");
    let fault = shop.connector.read_change_answer(ORDER, Change::Update(&old), &answer, "k").unwrap_err();
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Conflict, "VersionOld"));
    let request = shop.context(keys("k"), |c, context| c.current_request(ORDER, &id, context).unwrap().unwrap());
    let answer = http(shop.send(request));
    let current = shop.connector.read_current_answer(ORDER, &id, &answer).unwrap();
    assert_eq!(current.version.as_deref(), Some("4"));
    let changed = shop.change(ORDER, "k", Change::Update(&current), &payload).unwrap();
    assert_eq!(changed, Receipt { id: id.clone(), version: Some("5".into()) });
    let released = shop.change(ORDER, "k", Change::Action("release", &changed), &payload).unwrap();
    assert_eq!(released.version.as_deref(), Some("6"), "an action is a change too");
    assert_eq!(shop.change(ORDER, "k", Change::Action("release", &changed), &payload).unwrap_err().class, FaultClass::Conflict);
    assert_eq!(shop.simulator.stored(ORDER)[0].value.at("note").and_then(Value::as_str), Some("ring twice"));
}

#[test]
fn a_repeatable_write_whose_answer_was_lost_is_simply_sent_again() {
    let mut shop = made_up("pennywick");
    assert!(shop.connector.is_repeatable(ORDER, Change::Write));
    let payload = value(&json!({"currency": "EUR", "lines": [], "total_minor": 0}));
    shop.fail_next("order.write", Fault::DropAfterCommit);
    shop.try_change(ORDER, "k7", Change::Write, &payload).unwrap();
    let receipt = shop.change(ORDER, "k7", Change::Write, &payload).unwrap();
    assert_eq!(shop.simulator.writes(ORDER, "k7").records, 1);
    assert!(shop.simulator.stored(ORDER).iter().any(|record| record.id == receipt.id));
}

#[test]
fn of_an_orders_parcels_each_receipt_proof_and_read_back_is_about_its_own() {
    let mut shop = made_up("pennywick");
    let parcel = |reference: &str| value(&json!({"order": "p-1", "reference": reference, "revision": 1}));
    let first = shop.change(SHIPMENT, "r1", Change::Write, &parcel("r1")).unwrap();
    shop.change(SHIPMENT, "r1", Change::Action("ship", &first), &parcel("r1")).unwrap();
    let second = shop.change(SHIPMENT, "r2", Change::Write, &parcel("r2")).unwrap();
    assert_ne!(first.id, second.id, "the answer lists both, the oldest first");
    let mut prove = |key: &str| {
        let request =
            shop.context(keys(key), |c, context| c.proof_request(SHIPMENT, Some(&parcel(key)), context).unwrap().unwrap());
        let answer = http(shop.send(request));
        shop.connector.read_proof_answer(SHIPMENT, key, &answer, 1)
    };
    assert!(matches!(prove("r2"), Proof::Found { receipt, current: true } if receipt.id == second.id));
    assert!(matches!(prove("r1"), Proof::Found { receipt, .. } if receipt.id == first.id));
    assert_eq!(prove("r3"), Proof::Absent);
    assert!(shop.is_done(SHIPMENT, "ship", &first.id, &parcel("r1")));
    assert!(!shop.is_done(SHIPMENT, "ship", &second.id, &parcel("r2")), "the first one's parcel is no proof for the second");
    shop.change(SHIPMENT, "r2", Change::Action("ship", &second), &parcel("r2")).unwrap();
    assert!(shop.is_done(SHIPMENT, "ship", &second.id, &parcel("r2")));
}
