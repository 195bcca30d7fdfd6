//! Reads an answer: a receipt, or a fault with its class, reason, owner and fix from the error catalog.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use bytes::Bytes;
use domain::delivery::Receipt;
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::HttpAnswer;
use domain::mapping::Filter;
use domain::record::RecordKind;
use domain::value::{Limits, Value};
use rust_decimal::Decimal;

use crate::connector::Connector;
use crate::decode::xml_document;
use crate::manifest::{Absent, ErrorFormat, ErrorRule, ReceiptRule, WaitUnit};
use crate::path;
use crate::receipt::{ours, receipt};
use crate::template::fill;

pub(crate) const TEXT_CHARS_MAX: usize = 500;
/// Nobody waits longer on a vendor's word.
const RETRY_AFTER_MAX_MS: u64 = 24 * 60 * 60 * 1_000;

/// What a look-up by business key found.
#[derive(Debug, Clone, PartialEq)]
pub enum Proof {
    /// `current`: it carries the revision that was written.
    Found {
        receipt: Receipt,
        current: bool,
    },
    Absent,
    Failed(Fault),
}

/// The parts of an error rule that are compiled once.
#[derive(Debug)]
pub(crate) struct ErrorMatcher {
    statuses: RangeInclusive<u16>,
    header: Option<regex::Regex>,
    when: Option<Filter>,
}

impl ErrorMatcher {
    pub fn new(rule: &ErrorRule) -> Self {
        let header = rule.header.as_ref().and_then(|header| regex::Regex::new(header.pattern.as_deref().unwrap_or("")).ok());
        Self {
            // What cannot be read is refused when the connector is loaded, so that no rule is silently one for nothing.
            statuses: rule.statuses().unwrap_or(0..=0),
            header,
            when: rule.when.as_deref().and_then(|when| Filter::compile(when).ok()),
        }
    }

    fn fits(&self, rule: &ErrorRule, answer: &HttpAnswer, code: Option<&str>, body: Option<&Value>) -> bool {
        self.statuses.contains(&answer.status)
            && (rule.code.is_empty() || code.is_some_and(|code| rule.code.iter().any(|known| known == code)))
            && rule.header.as_ref().is_none_or(|header| {
                let pattern = self.header.as_ref();
                answer.header(&header.name).is_some_and(|value| pattern.is_some_and(|pattern| pattern.is_match(value)))
            })
            && self.when.as_ref().is_none_or(|when| body.is_some_and(|body| when.passes(body).unwrap_or(false)))
    }
}

impl Connector {
    /// The receipt of an answer to a change. `is_repeatable`: the vendor makes a second one harmless, so that nobody must ask first.
    pub(crate) fn read_receipt(
        &self,
        rule: Option<&ReceiptRule>,
        key: &str,
        is_repeatable: bool,
        answer: &HttpAnswer,
    ) -> Result<Receipt, Fault> {
        let body = self.parse(answer);
        self.read_done(is_repeatable, answer, body.as_ref())?;
        rule.and_then(|rule| receipt(rule, key, answer, body.as_ref())).ok_or_else(|| self.unreadable(answer))
    }

    /// That an answer to a change is a success.
    pub(crate) fn read_done(&self, is_repeatable: bool, answer: &HttpAnswer, body: Option<&Value>) -> Result<(), Fault> {
        if self.is_failure(answer, body) {
            let (mut fault, not_applied) = self.fault(answer, body);
            // A server that failed after it began may have stored the record: it is asked before anything is sent again, and where it
            // cannot be asked a person is.
            let may_have_applied = matches!(answer.status, 408 | 500..=599)
                && matches!(fault.class, FaultClass::Outage | FaultClass::Retry)
                && !not_applied;
            if may_have_applied && !is_repeatable {
                fault.class = FaultClass::Unknown;
            }
            return Err(fault);
        }
        Ok(())
    }

    /// What a look-up by business key found. `written` is the revision that was sent; where the answer lists all that belong together, ours is
    /// the one with our `key`.
    #[must_use]
    pub fn read_proof_answer(&self, kind: RecordKind, key: &str, answer: &HttpAnswer, written: i64) -> Proof {
        let body = self.parse(answer);
        let Some(rule) = self.proof(kind) else { return Proof::Failed(self.unreadable(answer)) };
        let code = self.text_at(&self.manifest.error.code, body.as_ref());
        if rule.absent.iter().any(|absent| says_absent(absent, answer.status, code.as_deref())) {
            return Proof::Absent;
        }
        if self.is_failure(answer, body.as_ref()) {
            let (fault, _) = self.fault(answer, body.as_ref());
            return Proof::Failed(if answer.status == 404 { self.unproven(fault) } else { fault });
        }
        if let (Some(found), Some(body)) = (rule.found.as_deref(), body.as_ref()) {
            match path::first(body, found) {
                Some(Value::List(list)) if list.is_empty() => return Proof::Absent,
                // What is around the list is there all the same: any other answer says nothing of it.
                None if rule.absent_is_empty && around(found).is_none_or(|at| path::first(body, at).is_some()) => {
                    return Proof::Absent;
                }
                // Without the list, the answer is none to that question.
                None | Some(Value::Null) => return Proof::Failed(self.unreadable(answer)),
                Some(_) => {}
            }
        }
        if let (Some(list), Some(at), Some(body)) = (&rule.receipt.among, &rule.receipt.key, &body)
            && !key.is_empty()
            && let Some(all) = path::listed(body, list)
            && !all.iter().any(|one| path::is_text(one, at, key))
        {
            return Proof::Absent;
        }
        let Some(receipt) = receipt(&rule.receipt, key, answer, body.as_ref()) else {
            return Proof::Failed(self.unreadable(answer));
        };
        let Some(revision) = &rule.revision else { return Proof::Found { receipt, current: true } };
        let stored =
            ours(&rule.receipt, key, body.as_ref()).and_then(|ours| path::first(ours, revision)).and_then(Value::to_text);
        // A later revision at the destination makes ours obsolete, which is as good as stored.
        let current = stored.and_then(|text| text.parse::<i64>().ok()).is_some_and(|stored| stored >= written);
        Proof::Found { receipt, current }
    }

    /// The record that stands at a path of an answer; the whole answer where there is none.
    pub(crate) fn read_record(&self, at: Option<&str>, answer: &HttpAnswer) -> Result<Bytes, Fault> {
        let body = self.parse(answer);
        if self.is_failure(answer, body.as_ref()) {
            return Err(self.fault(answer, body.as_ref()).0);
        }
        match at {
            // Messages are JSON, whatever a vendor speaks.
            None if self.is_xml(answer) => body.map(|body| body.to_json().into()).ok_or_else(|| self.unreadable(answer)),
            None => Ok(answer.body.clone()),
            Some(path) => {
                let found = body.as_ref().and_then(|body| path::first(body, path)).map(Value::to_json);
                found.map(Bytes::from).ok_or_else(|| self.unreadable(answer))
            }
        }
    }

    /// True where a change was refused because it did not know the last version of the record.
    #[must_use]
    pub fn is_stale(&self, answer: &HttpAnswer) -> bool {
        let body = self.parse(answer);
        let code = self.text_at(&self.manifest.error.code, body.as_ref());
        self.is_failure(answer, body.as_ref())
            && self.rule_of(answer, code.as_deref(), body.as_ref()).is_some_and(|rule| rule.stale)
    }

    fn rule_of(&self, answer: &HttpAnswer, code: Option<&str>, body: Option<&Value>) -> Option<&ErrorRule> {
        let mut rules = self.manifest.errors.iter().zip(&self.errors);
        rules.find(|(rule, matcher)| matcher.fits(rule, answer, code, body)).map(|(rule, _)| rule)
    }

    /// The body of an answer: JSON, or XML where its first words or the connector say so.
    pub(crate) fn parse(&self, answer: &HttpAnswer) -> Option<Value> {
        if !self.is_xml(answer) {
            return parse(answer);
        }
        let body = answer.body.trim_ascii_start();
        (body.len() <= LIMITS.bytes_max).then(|| xml_document(body).ok()).flatten()
    }

    fn is_xml(&self, answer: &HttpAnswer) -> bool {
        let body = answer.body.trim_ascii_start();
        body.starts_with(b"<?xml") || (body.starts_with(b"<") && self.manifest.error.format == ErrorFormat::Xml)
    }

    pub(crate) fn unreadable(&self, answer: &HttpAnswer) -> Fault {
        let reason = format!("{} answered {} without saying what it stored", self.title(), answer.status);
        let fix = "Compare the answer in the attempt with the connector's receipt rule.";
        // It may have been stored: whoever asks by business key finds out.
        Fault::new(FaultClass::Unknown, "unreadable_answer", reason, Owner::Crossdock, fix).answered(answer.status)
    }

    /// A 404 in other words than the vendor's for "not there" may come from a proxy, and is no proof: sending again on it could do a thing twice.
    fn unproven(&self, fault: Fault) -> Fault {
        Fault {
            class: FaultClass::Outage,
            reason: format!("{} answered 404, but not as it does where a record is not there", self.title()),
            owner: Owner::Developer,
            fix: "Nothing to do, it is asked again. If it stays so, check the connection's address and what stands between."
                .into(),
            ..fault
        }
    }

    /// True where the status says so, or a success carries an error inside.
    pub(crate) fn is_failure(&self, answer: &HttpAnswer, body: Option<&Value>) -> bool {
        if !is_success(answer) {
            return true;
        }
        let Some(body) = body else { return false };
        self.manifest.error.inside.iter().any(|path| path::all(body, path).into_iter().any(says_something))
    }

    /// What a failure means.
    #[must_use]
    pub fn classify(&self, answer: &HttpAnswer) -> Fault {
        self.fault(answer, self.parse(answer).as_ref()).0
    }

    pub(crate) fn text_at(&self, paths: &[String], body: Option<&Value>) -> Option<String> {
        // An empty text says nothing: a person would be shown a fault without a reason.
        let said = |path: &String| {
            let text = path::first(body?, path)?.to_text()?;
            let text: String = text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect();
            (!text.is_empty()).then_some(text)
        };
        paths.iter().find_map(said)
    }

    /// The fault, and whether the vendor guarantees that nothing was done.
    pub(crate) fn fault(&self, answer: &HttpAnswer, body: Option<&Value>) -> (Fault, bool) {
        let fields = &self.manifest.error;
        let (code, message, path) =
            (self.text_at(&fields.code, body), self.text_at(&fields.message, body), self.text_at(&fields.path, body));
        let rule = self.rule_of(answer, code.as_deref(), body);
        let status = answer.status.to_string();
        let text = |template: &str| {
            let find = |name: &str| -> Option<Cow<'_, str>> {
                match name {
                    "code" => Some(code.as_deref().unwrap_or("no code").into()),
                    "message" => Some(message.as_deref().unwrap_or("no message").into()),
                    "path" => Some(path.as_deref().unwrap_or("a field it does not name").into()),
                    "status" => Some(status.as_str().into()),
                    _ => None,
                }
            };
            fill(template, false, find).unwrap_or_else(|_| template.to_owned())
        };
        let (class, reason, owner, fix) = match rule {
            Some(rule) => (rule.class, text(&rule.reason), rule.owner, text(&rule.fix)),
            None => self.unlisted(answer.status, message.as_deref()),
        };
        let fault = Fault {
            class,
            code: code.clone().unwrap_or_else(|| format!("http_{status}")),
            reason,
            owner,
            fix,
            fix_kind: rule.and_then(|rule| rule.fix_kind),
            path,
            retry_after_ms: self.wait_ms(answer).or_else(|| Some(u64::from(rule?.wait_s?) * 1_000)),
            status: Some(answer.status),
        };
        (fault, rule.is_some_and(|rule| rule.not_applied || rule.stale))
    }

    /// How long the answer asks to wait: `Retry-After`, or what the vendor says instead.
    pub(crate) fn wait_ms(&self, answer: &HttpAnswer) -> Option<u64> {
        retry_after_ms(answer).or_else(|| {
            self.manifest.error.wait.iter().find_map(|wait| {
                let value = domain::value::decimal(answer.header(&wait.header)?.trim())?;
                u64::try_from(from_now_ms(wait.unit, value, answer)?.trunc()).ok().map(|ms| ms.min(RETRY_AFTER_MAX_MS))
            })
        })
    }

    /// What an answer means that the catalog does not know (RFC 9110 section 15).
    fn unlisted(&self, status: u16, message: Option<&str>) -> (FaultClass, String, Owner, String) {
        let title = self.title();
        let said = message.map(|message| format!(": {message}")).unwrap_or_default();
        let reason = format!("{title} answered {status}{said}");
        match status {
            401 => (FaultClass::Authentication, reason, Owner::Developer, format!("Connect {title} again.")),
            403 => {
                (FaultClass::Permission, reason, Owner::Developer, format!("Give the account at {title} the right to do this."))
            }
            404 => (FaultClass::NotFound, reason, Owner::Operations, "Create what it refers to first, then press Retry.".into()),
            409 => (FaultClass::Conflict, reason, Owner::Operations, format!("Compare the record at {title}, then press Retry.")),
            410 => (FaultClass::Gone, reason, Owner::Developer, "Update the connector to a supported API version.".into()),
            408 | 425 => (FaultClass::Retry, reason, Owner::Vendor, "Nothing to do: it is tried again.".into()),
            429 => (FaultClass::Limit, reason, Owner::Vendor, "Nothing to do: it is tried again within the limit.".into()),
            500..=599 => (FaultClass::Outage, reason, Owner::Vendor, "Nothing to do: it is tried again.".into()),
            300..=399 => (
                FaultClass::Validation,
                reason,
                Owner::Developer,
                "Correct the base address of the connection; redirects are not followed.".into(),
            ),
            _ => (FaultClass::Validation, reason, Owner::Operations, "Correct the data, then press Retry.".into()),
        }
    }
}

pub(crate) fn is_success(answer: &HttpAnswer) -> bool {
    (200..300).contains(&answer.status)
}

const LIMITS: Limits = Limits { bytes_max: 8 * 1024 * 1024, ..Limits::DEFAULT };

/// The body of an answer that can only be JSON.
pub(crate) fn parse(answer: &HttpAnswer) -> Option<Value> {
    if answer.body.is_empty() { None } else { Value::parse(&answer.body, &LIMITS).ok() }
}

/// The place that a list stands in.
fn around(list: &str) -> Option<&str> {
    list.rsplit_once('.').map(|(at, _)| at)
}

/// What stands there is neither null, false nor empty.
pub(crate) fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Text(text) => !text.is_empty(),
        Value::List(list) => !list.is_empty(),
        Value::Map(map) => !map.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

pub(crate) fn says_absent(absent: &Absent, status: u16, code: Option<&str>) -> bool {
    absent.status == status && (absent.code.is_empty() || code.is_some_and(|code| absent.code.iter().any(|known| known == code)))
}

/// Milliseconds from the answer's own `Date` on; negative where that moment has passed.
pub(crate) fn from_now_ms(unit: WaitUnit, value: Decimal, answer: &HttpAnswer) -> Option<Decimal> {
    let ms = || value.checked_mul(Decimal::ONE_THOUSAND);
    let now = || Some(chrono::DateTime::parse_from_rfc2822(answer.header("date")?).ok()?.timestamp_millis().into());
    match unit {
        WaitUnit::Seconds => ms(),
        WaitUnit::Milliseconds => Some(value),
        WaitUnit::UnixS => ms()?.checked_sub(now()?),
        WaitUnit::UnixMs => value.checked_sub(now()?),
    }
}

/// Seconds, decimals allowed, or an HTTP date against the answer's own `Date` (RFC 9110 section 10.2.3).
fn retry_after_ms(answer: &HttpAnswer) -> Option<u64> {
    let text = answer.header("retry-after")?.trim();
    if let Some(seconds) = domain::value::decimal(text) {
        let most = Decimal::from(RETRY_AFTER_MAX_MS);
        // What does not even fit a decimal is longer than a day.
        let ms = seconds.checked_mul(Decimal::ONE_THOUSAND).unwrap_or(most).min(most);
        return if seconds.is_sign_negative() { None } else { u64::try_from(ms.trunc()).ok() };
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let now = chrono::DateTime::parse_from_rfc2822(answer.header("date")?).ok()?;
    u64::try_from(at.signed_duration_since(now).num_milliseconds()).ok().map(|ms| ms.min(RETRY_AFTER_MAX_MS))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::Catalog;
    use crate::change::Change;

    /// A destination whose write may fail in every way. `proof` and `errors` are YAML in one line.
    fn connector(proof: &str, errors: &str) -> Connector {
        let yaml = format!(
            "{{format: 1, name: x, title: X, category: erp, base_url: 'https://x.example', error: {{code: [code], message: [message]}},
              errors: [{errors}],
              resources: {{order: {{write: {{request: {{method: POST, path: /orders}}, receipt: {{path: id}}}}{proof}}}}}}}"
        );
        Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml)])).unwrap()
    }

    const PROOF: &str = ", proof: {request: {method: GET, path: /orders}, receipt: {path: id}, settle_ms: 0, absent: [{status: 404}], revision: revision}";

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HttpAnswer { status, headers, body: Bytes::from(body.to_owned()) }
    }

    fn class(connector: &Connector, status: u16, body: &str) -> FaultClass {
        connector.read_change_answer(RecordKind::Order, Change::Write, &answer(status, &[], body), "").unwrap_err().class
    }

    #[test]
    fn a_write_that_a_failing_server_answered_may_have_had_its_effect() {
        let listed = "{status: 500-599, class: outage, reason: 'down: {{ message }}', owner: vendor, fix: wait}";
        for connector in [connector(PROOF, ""), connector(PROOF, listed)] {
            for status in [408, 500, 502, 503, 504] {
                assert_eq!(class(&connector, status, "{}"), FaultClass::Unknown, "{status}");
            }
            assert_eq!(class(&connector, 429, "{}"), FaultClass::Limit);
            assert_eq!(class(&connector, 422, "{}"), FaultClass::Validation);
        }
        let busy = answer(503, &[("Retry-After", "2")], r#"{"code":"BUSY","message":"later"}"#);
        let fault = connector(PROOF, listed).read_change_answer(RecordKind::Order, Change::Write, &busy, "").unwrap_err();
        let said =
            (fault.code.as_str(), fault.reason.as_str(), fault.owner, fault.fix.as_str(), fault.status, fault.retry_after_ms);
        assert_eq!(said, ("BUSY", "down: later", Owner::Vendor, "wait", Some(503), Some(2_000)));
    }

    #[test]
    fn an_empty_text_of_a_vendor_is_no_reason_and_no_code() {
        let listed = "{status: 500-599, class: outage, reason: '{{ message }}', owner: vendor, fix: wait}";
        let fault = connector("", listed).classify(&answer(503, &[], r#"{"code":"","message":"\u0001"}"#));
        assert_eq!((fault.code.as_str(), fault.reason.as_str()), ("http_503", "no message"));
    }

    #[test]
    fn a_write_that_had_no_effect_for_certain_is_simply_tried_again() {
        let guaranteed = "{status: '503', code: [BUSY], class: retry, reason: busy, owner: vendor, fix: wait, not_applied: true}";
        let connector = connector(PROOF, guaranteed);
        assert_eq!(class(&connector, 503, r#"{"code":"BUSY"}"#), FaultClass::Retry);
        assert_eq!(class(&connector, 503, r#"{"code":"OTHER"}"#), FaultClass::Unknown);
    }

    #[test]
    fn a_write_that_may_have_been_stored_is_unknown_also_where_nobody_can_be_asked() {
        let connector = connector("", "");
        assert_eq!(class(&connector, 503, "{}"), FaultClass::Unknown);
        assert_eq!(class(&connector, 408, "{}"), FaultClass::Unknown);
    }

    #[test]
    fn what_only_reads_is_down_and_not_unknown() {
        let connector = connector(PROOF, "");
        let fault = connector.read_record(None, &answer(503, &[], "")).unwrap_err();
        assert_eq!(fault.class, FaultClass::Outage);
        assert!(matches!(proof(&connector, 503, ""), Proof::Failed(fault) if fault.class == FaultClass::Outage));
    }

    fn proof(connector: &Connector, status: u16, body: &str) -> Proof {
        connector.read_proof_answer(RecordKind::Order, "", &answer(status, &[], body), 3)
    }

    #[test]
    fn only_the_vendors_own_404_proves_that_a_record_is_not_there() {
        let netsuite = Catalog::embedded().get("netsuite").unwrap();
        let own = r#"{"title":"Not Found","status":404,"o:errorDetails":[{"detail":"The record instance does not exist.","o:errorCode":"NONEXISTENT_ID"}]}"#;
        assert_eq!(proof(netsuite, 404, own), Proof::Absent);
        for foreign in ["<html>404 Not Found</html>", "", "{}", &own.replace("NONEXISTENT_ID", "INVALID_URL")] {
            let Proof::Failed(fault) = proof(netsuite, 404, foreign) else { panic!("{foreign} proves nothing") };
            assert!(fault.class.is_passing(), "{fault:?}");
            assert_eq!((fault.class, fault.status), (FaultClass::Outage, Some(404)));
        }
        assert!(matches!(proof(netsuite, 401, own), Proof::Failed(fault) if fault.class == FaultClass::Authentication));
        assert_eq!(proof(&connector(PROOF, ""), 404, ""), Proof::Absent);
        let found = proof(netsuite, 200, r#"{"id":"7","custbody_crossdock_revision":3}"#);
        assert!(matches!(found, Proof::Found { current: true, .. }), "{found:?}");
    }

    #[test]
    fn a_write_lands_when_it_is_sent_where_nothing_else_is_said() {
        let netsuite = Catalog::embedded().get("netsuite").unwrap();
        assert_eq!((netsuite.proof_settle_ms(RecordKind::Order), netsuite.lands_within_ms(RecordKind::Order)), (1_500, 0));
        let late = PROOF.replace("settle_ms: 0", "settle_ms: 0, lands_within_ms: 60000");
        assert_eq!(connector(&late, "").lands_within_ms(RecordKind::Order), 60_000);
    }

    #[test]
    fn a_vendors_wish_to_wait_is_bounded_to_a_day() {
        let now = ("Date", "Tue, 24 Nov 2026 00:00:00 GMT");
        for (text, ms) in [
            ("2.0", Some(2_000)),
            ("0.0015", Some(1)),
            ("0", Some(0)),
            ("-1", None),
            ("86401", Some(RETRY_AFTER_MAX_MS)),
            ("79228162514264337593543950335", Some(RETRY_AFTER_MAX_MS)),
            ("-79228162514264337593543950335", None),
            ("Tue, 24 Nov 2026 00:01:00 GMT", Some(60_000)),
            ("Wed, 24 Nov 9999 00:01:00 GMT", Some(RETRY_AFTER_MAX_MS)),
            ("Mon, 23 Nov 2026 00:00:00 GMT", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after_ms(&answer(429, &[("Retry-After", text), now], "")), ms, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "[-+0-9eE.]{0,40}|.{0,40}") {
            let ms = retry_after_ms(&answer(429, &[("Retry-After", &text), ("Date", "Tue, 24 Nov 2026 00:00:00 GMT")], ""));
            prop_assert!(ms.is_none_or(|ms| ms <= RETRY_AFTER_MAX_MS));
        }
    }
}
