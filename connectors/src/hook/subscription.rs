//! Webhook registrations at a vendor: made, found, renewed and taken away. A vendor drops one when we were down for a while, or lets it
//! run out, so they are compared with what is wanted again and again.

use chrono::{DateTime, TimeDelta, Utc};
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest};
use domain::mapping::Filter;
use domain::record::RecordKind;
use domain::secret::SecretString;
use domain::value::{Limits, Value};

use crate::check::names_of;
use crate::connector::Connector;
use crate::manifest::{Place, SubscriptionList, Subscriptions};
use crate::path;
use crate::read::list::{List, ListVars};
use crate::request::{CallVars, RequestContext, RequestError};

/// Subscriptions of one account, which has a few dozen.
const LISTED_MAX: usize = 10_000;

/// A webhook that the vendor has just registered.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub id: String,
    /// What its deliveries will be signed with, where the vendor says it only now: it belongs into the first field of `signature.secrets`.
    pub secret: Option<SecretString>,
    /// It must be renewed before.
    pub expires: Option<DateTime<Utc>>,
}

/// A webhook as the vendor lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedSubscription {
    pub id: String,
    /// One, or all that one registration is for.
    pub topics: Vec<String>,
    pub url: String,
    /// False where the vendor has switched it off.
    pub active: bool,
}

/// What is to be done so that the vendor has what is wanted, and nothing of ours besides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Topics to subscribe to.
    pub missing: Vec<String>,
    /// Ours to delete: switched off, doubled, or of a topic that nobody wants any more.
    pub stale: Vec<ListedSubscription>,
    /// They send elsewhere and are somebody else's: not to be touched.
    pub foreign: Vec<ListedSubscription>,
}

/// Compares the wanted topics with the whole list of an account, as [`SubscriptionReader`] reads it. A list that is cut off would make doubles.
#[must_use]
pub fn compare(wanted: &[&str], hook_url: &str, listed: &[ListedSubscription]) -> Comparison {
    let mut comparison = Comparison::default();
    let mut served = vec![false; wanted.len()];
    for one in listed {
        if !is_same_address(&one.url, hook_url) {
            comparison.foreign.push(one.clone());
            continue;
        }
        let is_for = |topic: &str| one.topics.iter().any(|own| is_same_topic(topic, own));
        let serves: Vec<usize> = (0..wanted.len()).filter(|at| one.active && !served[*at] && is_for(wanted[*at])).collect();
        if serves.is_empty() {
            comparison.stale.push(one.clone());
        }
        serves.into_iter().for_each(|at| served[at] = true);
    }
    let missing = wanted.iter().zip(served).filter(|(_, served)| !served);
    comparison.missing = missing.map(|(topic, _)| (*topic).to_owned()).collect();
    comparison
}

/// True where both are the same address, however they are written.
#[must_use]
pub fn is_same_address(one: &str, other: &str) -> bool {
    address(one) == address(other)
}

/// As an address is written once: host in small letters, no port that is the usual one, no slash at the end.
fn address(url: &str) -> String {
    let parsed = url::Url::parse(url).map(String::from).unwrap_or_else(|_| url.to_owned());
    parsed.trim_end_matches('/').to_owned()
}

/// Vendors write a topic in more than one way: `orders/create` in deliveries and `ORDERS_CREATE` in lists.
#[must_use]
pub fn is_same_topic(one: &str, other: &str) -> bool {
    let plain = |c: char| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    one.chars().map(plain).eq(other.chars().map(plain))
}

/// Reads the webhooks of an account, page by page to the end of the list. It does no I/O, as [`crate::Reader`].
#[derive(Debug)]
pub struct SubscriptionReader<'c> {
    connector: &'c Connector,
    rule: &'c SubscriptionList,
    list: List<'c>,
    /// An expression that cannot be read is refused when the connector is loaded.
    active: Option<Filter>,
    found: Vec<ListedSubscription>,
}

impl SubscriptionReader<'_> {
    /// The next request; none where the list was read to its end.
    ///
    /// # Errors
    /// Where the connection lacks something.
    pub fn next(&mut self, context: &RequestContext<'_>) -> Result<Option<HttpRequest>, RequestError> {
        self.list.request(self.connector, context)
    }

    /// Takes the answer to the last request.
    ///
    /// # Errors
    /// The classified fault. What is no list at all is one: taken for an empty one, everything would be registered once more.
    pub fn take(&mut self, answer: &HttpAnswer) -> Result<(), Fault> {
        for record in self.list.take(self.connector, answer)? {
            let value = Value::parse(&record.bytes, &Limits::DEFAULT).ok();
            let one = value.as_ref().and_then(|value| self.read(value));
            self.found.push(one.ok_or_else(|| self.connector.unlisted_answer(answer, "an id"))?);
        }
        if self.found.len() > LISTED_MAX {
            return Err(self.connector.unlisted_answer(answer, "a list of a bearable length"));
        }
        Ok(())
    }

    /// All that was read.
    #[must_use]
    pub fn into_found(self) -> Vec<ListedSubscription> {
        self.found
    }

    /// One record of the list; none where it has no id.
    fn read(&self, record: &Value) -> Option<ListedSubscription> {
        let text = |value: &Value| value.to_text().map(|text| text.into_owned()).filter(|text| !text.is_empty());
        let mut topics = Vec::new();
        for value in path::all(record, &self.rule.topic) {
            match value {
                Value::List(list) => topics.extend(list.iter().filter_map(text)),
                one => topics.extend(text(one)),
            }
        }
        Some(ListedSubscription {
            id: path::first(record, &self.rule.id).and_then(text)?,
            topics,
            url: path::first(record, &self.rule.url).and_then(text).unwrap_or_default(),
            // One that cannot be answered says nothing against it.
            active: self.active.as_ref().is_none_or(|active| active.passes(record).unwrap_or(true)),
        })
    }
}

impl Connector {
    /// The request that registers a webhook for a topic; none where a person does that, as the setup guide says.
    ///
    /// # Errors
    /// Where the connection lacks something.
    pub fn subscribe_request(
        &self,
        topic: &str,
        hook_url: &str,
        context: &RequestContext<'_>,
    ) -> Result<Option<HttpRequest>, RequestError> {
        let vars = CallVars { topic: Some(topic), hook_url: Some(hook_url), ..CallVars::default() };
        // Some vendors are told here what they are to sign with.
        let find = |name: &str| match name.strip_prefix("credential.") {
            Some(_) => context.find_with_credential(name),
            None => self.find_var(name, &vars, context),
        };
        let Some(rule) = self.subscriptions() else { return Ok(None) };
        // Without it, deliveries would come that nobody could verify.
        for name in names_of(&rule.subscribe.request) {
            if let Some(field) = name.strip_prefix("credential.") {
                context.secret(field)?;
            }
        }
        let draft = self.draft_with(&rule.subscribe.request, &vars, context, &find)?;
        self.sign(draft, context).map(Some)
    }

    /// # Errors
    /// The classified fault. [`FaultClass::Unknown`] where it may be registered: the list says.
    pub fn read_subscribe_answer(&self, answer: &HttpAnswer, now: DateTime<Utc>) -> Result<Subscription, Fault> {
        let body = self.body(answer)?;
        let rule = self.subscriptions().ok_or_else(|| self.unlisted_answer(answer, "its id"))?;
        let text = |place: &Place| place.find(answer, body.as_ref()).filter(|text| !text.is_empty());
        let id = text(&rule.subscribe.id).ok_or_else(|| self.unlisted_answer(answer, "its id"))?;
        let secret = match &rule.subscribe.secret {
            None => None,
            // Without it no delivery could be verified.
            Some(place) => Some(SecretString::from(text(place).ok_or_else(|| self.unlisted_answer(answer, "its secret"))?)),
        };
        Ok(Subscription {
            id,
            secret,
            expires: self.subscription_lifetime().and_then(|lifetime| now.checked_add_signed(lifetime)),
        })
    }

    /// Begins to read the list of webhooks; none where the vendor has no list.
    #[must_use]
    pub fn subscription_reader(&self) -> Option<SubscriptionReader<'_>> {
        let rule = self.subscriptions()?.list.as_ref()?;
        let list = List::new(self, &rule.read, Some(&rule.id), None, ListVars::default());
        let active = rule.active.as_deref().and_then(|active| Filter::compile(active).ok());
        Some(SubscriptionReader { connector: self, rule, list, active, found: Vec::new() })
    }

    /// True where a vendor can be asked to register webhooks; false where a person does that.
    #[must_use]
    pub fn takes_subscriptions(&self) -> bool {
        self.subscriptions().is_some()
    }

    /// The topics that bring records of these kinds, each with its own.
    #[must_use]
    pub fn topics_of(&self, kinds: &[RecordKind]) -> Vec<(&str, RecordKind)> {
        let topics = self.manifest.webhooks.iter().flat_map(|hook| &hook.topics);
        topics.filter(|(_, about)| kinds.contains(&about.kind)).map(|(topic, about)| (topic.as_str(), about.kind)).collect()
    }

    /// How long one lives unless it is renewed; `None` where it lives for ever.
    #[must_use]
    pub fn subscription_lifetime(&self) -> Option<TimeDelta> {
        self.subscriptions()?.lifetime_s.and_then(|s| TimeDelta::try_seconds(i64::try_from(s).ok()?))
    }

    /// True where one can be made to live longer; false where it must be made anew.
    #[must_use]
    pub fn renews_subscriptions(&self) -> bool {
        self.subscriptions().is_some_and(|rule| rule.renew.is_some())
    }

    /// True where one can be taken away by a call; false where a person does that.
    #[must_use]
    pub fn deletes_subscriptions(&self) -> bool {
        self.subscriptions().is_some_and(|rule| rule.delete.is_some())
    }

    /// True where one registration is for all topics, because its request names none.
    #[must_use]
    pub fn subscribes_at_once(&self) -> bool {
        let names_topic = |rule: &Subscriptions| {
            let templates = crate::check::templates(&rule.subscribe.request);
            templates.iter().any(|text| crate::template::names(text).any(|name| name == "topic"))
        };
        self.subscriptions().is_some_and(|rule| !names_topic(rule))
    }

    /// As [`compare`]; where one registration is for all topics, one that lacks a topic is replaced by a new one, which brings them all.
    #[must_use]
    pub fn compare_subscriptions(&self, wanted: &[&str], hook_url: &str, listed: &[ListedSubscription]) -> Comparison {
        let mut comparison = compare(wanted, hook_url, listed);
        if self.subscribes_at_once() && !comparison.missing.is_empty() {
            comparison.missing.truncate(1);
            comparison.stale = listed.iter().filter(|one| !comparison.foreign.contains(one)).cloned().collect();
        }
        comparison
    }

    /// The request that makes a webhook live longer; none where none runs out, or it is registered anew.
    ///
    /// # Errors
    /// As [`Self::subscribe_request`].
    pub fn renew_request(
        &self,
        subscription: &ListedSubscription,
        context: &RequestContext<'_>,
    ) -> Result<Option<HttpRequest>, RequestError> {
        self.of_subscription(self.subscriptions().and_then(|rule| rule.renew.as_ref()), subscription, context)
    }

    /// The request that takes a webhook away; none where a person does that.
    ///
    /// # Errors
    /// As [`Self::subscribe_request`].
    pub fn delete_request(
        &self,
        subscription: &ListedSubscription,
        context: &RequestContext<'_>,
    ) -> Result<Option<HttpRequest>, RequestError> {
        self.of_subscription(self.subscriptions().and_then(|rule| rule.delete.as_ref()), subscription, context)
    }

    fn of_subscription(
        &self,
        request: Option<&crate::manifest::Request>,
        subscription: &ListedSubscription,
        context: &RequestContext<'_>,
    ) -> Result<Option<HttpRequest>, RequestError> {
        let vars = CallVars {
            subscription_id: Some(&subscription.id),
            topic: subscription.topics.first().map(String::as_str),
            hook_url: Some(&subscription.url),
            ..CallVars::default()
        };
        request.map(|request| self.call(request, &vars, context)).transpose()
    }

    pub(super) fn subscriptions(&self) -> Option<&Subscriptions> {
        self.manifest.webhooks.as_ref()?.subscriptions.as_ref()
    }

    /// The body of an answer that is no failure.
    fn body(&self, answer: &HttpAnswer) -> Result<Option<Value>, Fault> {
        let body = self.parse(answer);
        if self.is_failure(answer, body.as_ref()) { Err(self.classify(answer)) } else { Ok(body) }
    }

    fn unlisted_answer(&self, answer: &HttpAnswer, what: &str) -> Fault {
        let reason = format!("{} answered {} about a webhook without {what}", self.title(), answer.status);
        let fix = "Compare the answer with the connector's webhooks.subscriptions.";
        Fault::new(FaultClass::Unknown, "unreadable_answer", reason, Owner::Crossdock, fix).answered(answer.status)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bytes::Bytes;
    use domain::secret::{ExposeSecret, SecretFields};

    use super::*;

    const PLAIN: &str = r#"
        subscribe:
          request: { method: POST, path: /webhooks, body: { json: { topic: "{{ topic }}", address: "{{ hook_url }}" } } }
          id: { path: webhook.id }
          secret: { header: [X-Hook-Secret], path: webhook.secret }
        list:
          read: { request: { method: GET, path: /webhooks }, records: data.webhooks }
          id: id
          topic: topic
          url: address
          active: state == "on"
        renew: { method: PUT, path: "/webhooks/{{ subscription_id }}", body: { json: { address: "{{ hook_url }}" } } }
        delete: { method: DELETE, path: "/webhooks/{{ subscription_id }}" }
        lifetime_s: 259200"#;

    fn connector(subscriptions: &str) -> Connector {
        let subscriptions = if subscriptions.is_empty() { String::new() } else { format!("  subscriptions:{subscriptions}\n") };
        let yaml = format!(
            "format: 1\nname: x\ntitle: X\ncategory: erp\nbase_url: https://x.example\ncredential: {{ s: {{ title: S }} }}\n\
             error: {{ code: [code], message: [message], inside: [userErrors] }}\nwebhooks:\n  \
             signature: {{ header: [X-Sig], secrets: [s] }}\n  topic: {{ header: [X-Topic] }}\n  topics: {{ made: {{ kind: order, id: id }} }}\n\
             {subscriptions}"
        );
        Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml)])).unwrap_or_else(|error| panic!("{error}"))
    }

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HttpAnswer { status, headers, body: Bytes::from(body.to_owned()) }
    }

    fn listed(id: &str, topic: &str, url: &str, active: bool) -> ListedSubscription {
        let topics = if topic.is_empty() { vec![] } else { vec![topic.to_owned()] };
        ListedSubscription { id: id.into(), topics, url: url.into(), active }
    }

    /// Reads pages to the end of the list; the addresses that were asked, and what was found.
    fn read(connector: &Connector, pages: &[HttpAnswer]) -> Result<(Vec<String>, Vec<ListedSubscription>), Fault> {
        let (settings, credential) = (serde_json::json!({}), SecretFields::default());
        let context = RequestContext::new(&settings, &credential, DateTime::UNIX_EPOCH, "n");
        let (mut reader, mut pages, mut asked) = (connector.subscription_reader().unwrap(), pages.iter(), Vec::new());
        while let Some(request) = reader.next(&context).unwrap() {
            asked.push(request.url);
            reader.take(pages.next().expect("the list has ended"))?;
        }
        Ok((asked, reader.into_found()))
    }

    #[test]
    fn the_four_calls_say_what_they_are_about_and_are_none_where_a_person_registers() {
        let (settings, credential) = (serde_json::json!({}), SecretFields::default());
        let context = RequestContext::new(&settings, &credential, DateTime::UNIX_EPOCH, "n");
        let one = listed("7/8", "made", "https://us.example/h", true);
        let calls = |connector: &Connector| {
            [
                connector.subscribe_request("made", "https://us.example/h", &context).unwrap(),
                connector.subscription_reader().and_then(|mut reader| reader.next(&context).unwrap()),
                connector.renew_request(&one, &context).unwrap(),
                connector.delete_request(&one, &context).unwrap(),
            ]
            .map(|call| call.map(|call| format!("{} {} {}", call.method.as_str(), call.url, String::from_utf8_lossy(&call.body))))
        };
        let said = calls(&connector(PLAIN)).map(Option::unwrap);
        assert_eq!(
            said,
            [
                r#"POST https://x.example/webhooks {"topic":"made","address":"https://us.example/h"}"#,
                "GET https://x.example/webhooks ",
                r#"PUT https://x.example/webhooks/7%2F8 {"address":"https://us.example/h"}"#,
                "DELETE https://x.example/webhooks/7%2F8 ",
            ]
        );
        assert_eq!(calls(&connector("")), [None, None, None, None]);
    }

    #[test]
    fn a_vendor_is_told_the_secret_that_it_is_to_sign_with_and_nobody_else_is() {
        let told =
            PLAIN.replacen(r#"address: "{{ hook_url }}""#, r#"address: "{{ hook_url }}", secret: "{{ credential.s }}""#, 1);
        assert_ne!(told, PLAIN);
        let connector = connector(&told);
        let settings = serde_json::json!({});
        let ask = |credential: &SecretFields| {
            let context = RequestContext::new(&settings, credential, DateTime::UNIX_EPOCH, "n");
            connector.subscribe_request("made", "https://us.example/h", &context)
        };
        let credential: SecretFields = [("s".to_owned(), "a \"quoted\" secret".into())].into_iter().collect();
        let body = String::from_utf8(ask(&credential).unwrap().unwrap().body.to_vec()).unwrap();
        assert_eq!(body, r#"{"topic":"made","address":"https://us.example/h","secret":"a \"quoted\" secret"}"#);
        let kept = domain::secret::Redactor::new(&credential).redact(&body).into_owned();
        assert_eq!(kept, r#"{"topic":"made","address":"https://us.example/h","secret":"•••"}"#, "what is kept of the call");
        assert_eq!(ask(&SecretFields::default()).unwrap_err(), RequestError::Secret("s".into()), "never without");
    }

    #[test]
    fn a_registration_brings_its_id_its_secret_and_its_end() {
        let connector = connector(PLAIN);
        let made = answer(201, &[], r#"{"webhook":{"id":12345678901234567890,"secret":"whsec_x"}}"#);
        let subscription = connector.read_subscribe_answer(&made, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(
            (subscription.id.as_str(), subscription.expires),
            ("12345678901234567890", DateTime::from_timestamp(259_200, 0))
        );
        assert_eq!(subscription.secret.unwrap().expose_secret(), "whsec_x");
        let in_header = answer(201, &[("x-hook-secret", "from the header")], r#"{"webhook":{"id":1}}"#);
        let subscription = connector.read_subscribe_answer(&in_header, DateTime::UNIX_EPOCH).unwrap();
        assert_eq!(subscription.secret.unwrap().expose_secret(), "from the header");
    }

    #[test]
    fn a_registration_that_was_refused_or_says_too_little_is_a_fault() {
        let connector = connector(PLAIN);
        for (answer, class, reason) in [
            (answer(422, &[], r#"{"message":"taken"}"#), FaultClass::Validation, "X answered 422: taken"),
            (answer(200, &[], r#"{"userErrors":["taken"],"message":"taken"}"#), FaultClass::Validation, "taken"),
            (answer(201, &[], r#"{"webhook":{"secret":"s"}}"#), FaultClass::Unknown, "without its id"),
            (answer(201, &[], r#"{"webhook":{"id":1}}"#), FaultClass::Unknown, "without its secret"),
            (answer(200, &[], "<html>"), FaultClass::Unknown, "without its id"),
        ] {
            let fault = connector.read_subscribe_answer(&answer, DateTime::UNIX_EPOCH).unwrap_err();
            assert_eq!(fault.class, class, "{fault:?}");
            assert!(fault.reason.contains(reason), "{fault:?}");
        }
    }

    #[test]
    fn a_list_is_read_and_what_is_no_list_is_not_taken_for_an_empty_one() {
        let connector = connector(PLAIN);
        let body =
            r#"{"data":{"webhooks":[{"id":1,"topic":"a","address":"https://a.example","state":"on"},{"id":"2","state":"off"}]}}"#;
        let (_, found) = read(&connector, &[answer(200, &[], body)]).unwrap();
        assert_eq!(found, [listed("1", "a", "https://a.example", true), listed("2", "", "", false)]);
        for empty in [answer(200, &[], r#"{"data":{"webhooks":[]}}"#), answer(204, &[], "")] {
            assert_eq!(read(&connector, &[empty]).unwrap().1, []);
        }
        for no_list in ["<html>", "{}", "", r#"{"data":null}"#, r#"{"data":{"webhooks":[{"topic":"a"}]}}"#] {
            let fault = read(&connector, &[answer(200, &[], no_list)]).unwrap_err();
            assert!(matches!(fault.class, FaultClass::Unknown | FaultClass::Retry), "{no_list}: {fault:?}");
        }
        assert_eq!(read(&connector, &[answer(401, &[], "{}")]).unwrap_err().class, FaultClass::Authentication);
        let nested = self::connector(&PLAIN.replace("data.webhooks", "data.edges.node"));
        assert_eq!(read(&nested, &[answer(200, &[], r#"{"data":{"edges":[]}}"#)]).unwrap().1, []);
        assert!(read(&nested, &[answer(200, &[], r#"{"data":{}}"#)]).is_err());
    }

    #[test]
    fn a_list_is_read_to_its_last_page_because_what_is_not_seen_would_be_made_twice() {
        let paged = PLAIN.replace(
            "records: data.webhooks }",
            "records: data, page: { number: { slot: { query: page }, size: { slot: { query: limit }, value: 2 } } } }",
        );
        let page = |ids: &[u32]| {
            let one = |id: &u32| format!(r#"{{"id":{id},"topic":["a","b"],"address":"https://us.example","state":"on"}}"#);
            answer(200, &[], &format!(r#"{{"data":[{}]}}"#, ids.iter().map(one).collect::<Vec<_>>().join(",")))
        };
        let (asked, found) = read(&connector(&paged), &[page(&[1, 2]), page(&[3, 4]), page(&[5])]).unwrap();
        let address = |page: u32| format!("https://x.example/webhooks?limit=2&page={page}");
        assert_eq!(asked, [address(1), address(2), address(3)]);
        assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
        assert_eq!(found[4].topics, ["a", "b"]);
    }

    #[test]
    fn one_registration_for_all_topics_is_replaced_where_it_lacks_one() {
        let connector = connector(&PLAIN.replace(r#"topic: "{{ topic }}""#, "topics: [a, b]"));
        assert!(connector.subscribes_at_once());
        let (ours, topics) = ("https://us.example/h", |topics: &[&str]| topics.iter().map(|t| (*t).to_owned()).collect());
        let whole = ListedSubscription { topics: topics(&["a", "b"]), ..listed("1", "", ours, true) };
        let part = ListedSubscription { topics: topics(&["a"]), ..listed("2", "", ours, true) };
        let compare = |listed: &[ListedSubscription]| connector.compare_subscriptions(&["a", "b"], ours, listed);
        assert_eq!(compare(std::slice::from_ref(&whole)), Comparison::default());
        let expected = Comparison { missing: vec!["b".into()], stale: vec![part.clone()], foreign: vec![] };
        assert_eq!(compare(&[part]), expected);
        assert_eq!(compare(&[]).missing, ["a"]);
        assert_eq!(compare(&[whole.clone(), whole]).stale.len(), 1);
    }

    #[test]
    fn what_is_missing_is_made_what_is_stale_goes_and_what_is_foreign_stays() {
        let ours = "https://us.example/hooks/t";
        let theirs = listed("9", "orders/create", "https://them.example/hooks/t", true);
        let good = listed("1", "ORDERS_CREATE", "https://US.example:443/hooks/t/", true);
        let off = listed("2", "orders/paid", ours, false);
        let twice = listed("3", "orders/create", ours, true);
        let unwanted = listed("4", "orders/edited", ours, true);
        let all = [theirs.clone(), good.clone(), off.clone(), twice.clone(), unwanted.clone()];
        let comparison = compare(&["orders/create", "orders/paid", "orders/updated"], ours, &all);
        assert_eq!(
            comparison,
            Comparison {
                missing: vec!["orders/paid".into(), "orders/updated".into()],
                stale: vec![off, twice, unwanted],
                foreign: vec![theirs],
            }
        );
        assert_eq!(compare(&["orders/create"], ours, &[good]), Comparison::default());
        // Paths and tokens are not words: their case counts.
        assert_eq!(compare(&[], ours, &[listed("5", "a", "https://us.example/hooks/T", true)]).foreign.len(), 1);
    }
}
