//! Reads an answer: a receipt, or a fault with its class, reason, owner and fix from the error catalog.

use std::borrow::Cow;

use bytes::Bytes;
use domain::delivery::Receipt;
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::HttpAnswer;
use domain::record::RecordKind;
use domain::value::{Limits, Value};

use crate::connector::Connector;
use crate::manifest::{ErrorRule, ReceiptRule};
use crate::request::RequestContext;
use crate::template::fill;

const TEXT_CHARS_MAX: usize = 500;

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

impl Connector {
    /// # Errors
    /// The classified fault, where the destination did not store it.
    pub fn read_write_answer(&self, kind: RecordKind, answer: &HttpAnswer) -> Result<Receipt, Fault> {
        let body = parse(answer);
        if !is_success(answer) {
            return Err(self.fault(answer, body.as_ref()));
        }
        let rule = self.manifest.resources.get(&kind).map(|resource| &resource.write.receipt);
        rule.and_then(|rule| receipt(rule, answer, body.as_ref())).ok_or_else(|| self.unreadable(answer))
    }

    /// What a look-up by business key found.
    #[must_use]
    pub fn read_proof_answer(&self, kind: RecordKind, answer: &HttpAnswer, context: &RequestContext<'_>) -> Proof {
        let body = parse(answer);
        let Some(rule) = self.manifest.resources.get(&kind).and_then(|resource| resource.proof.as_ref()) else {
            return Proof::Failed(self.unreadable(answer));
        };
        if rule.absent.contains(&answer.status) {
            return Proof::Absent;
        }
        if !is_success(answer) {
            return Proof::Failed(self.fault(answer, body.as_ref()));
        }
        let Some(receipt) = receipt(&rule.receipt, answer, body.as_ref()) else { return Proof::Failed(self.unreadable(answer)) };
        let stored = body.as_ref().and_then(|body| body.at(&rule.revision)).and_then(Value::to_text);
        // A later revision at the destination makes ours obsolete, which is as good as stored.
        let current = stored.and_then(|text| text.parse::<i64>().ok()).is_some_and(|stored| stored >= context.revision);
        Proof::Found { receipt, current }
    }

    /// The record's bytes out of the answer to a read-back.
    ///
    /// # Errors
    /// The classified fault.
    pub fn read_fetch(&self, topic: &str, answer: &HttpAnswer) -> Result<Bytes, Fault> {
        if !is_success(answer) {
            return Err(self.fault(answer, parse(answer).as_ref()));
        }
        let fetch = self.manifest.hook.as_ref().and_then(|hook| hook.topics.get(topic)).and_then(|topic| topic.fetch.as_ref());
        match fetch.and_then(|fetch| fetch.record.as_deref()) {
            None => Ok(answer.body.clone()),
            Some(path) => {
                let found = parse(answer).and_then(|body| body.at(path).map(Value::to_json));
                found.map(Bytes::from).ok_or_else(|| self.unreadable(answer))
            }
        }
    }

    fn unreadable(&self, answer: &HttpAnswer) -> Fault {
        Fault {
            // It may have been stored: whoever asks by business key finds out.
            class: FaultClass::Unknown,
            code: "unreadable_answer".into(),
            reason: format!("{} answered {} without saying what it stored", self.title(), answer.status),
            owner: Owner::Crossdock,
            fix: "Compare the answer in the attempt with the connector's receipt rule.".into(),
            path: None,
            retry_after_ms: None,
            status: Some(answer.status),
        }
    }

    fn fault(&self, answer: &HttpAnswer, body: Option<&Value>) -> Fault {
        let find = |paths: &[String]| {
            let text = paths.iter().find_map(|path| body?.at(path)?.to_text()).map(|text| text.into_owned());
            text.map(|text| text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect::<String>())
        };
        let fields = &self.manifest.error;
        let (code, message, path) = (find(&fields.code), find(&fields.message), find(&fields.path));
        let rule = self.manifest.errors.iter().find(|rule| fits(rule, answer.status, code.as_deref()));
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
        Fault {
            class,
            code: code.clone().unwrap_or_else(|| format!("http_{status}")),
            reason,
            owner,
            fix,
            path,
            retry_after_ms: retry_after_ms(answer),
            status: Some(answer.status),
        }
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

fn is_success(answer: &HttpAnswer) -> bool {
    (200..300).contains(&answer.status)
}

fn parse(answer: &HttpAnswer) -> Option<Value> {
    const LIMITS: Limits = Limits { bytes_max: 8 * 1024 * 1024, ..Limits::DEFAULT };
    if answer.body.is_empty() { None } else { Value::parse(&answer.body, &LIMITS).ok() }
}

fn receipt(rule: &ReceiptRule, answer: &HttpAnswer, body: Option<&Value>) -> Option<Receipt> {
    let from_header = rule
        .header
        .as_deref()
        .and_then(|name| answer.header(name))
        .and_then(|value| value.trim_end_matches('/').rsplit('/').next());
    let at = |path: &Option<String>| body?.at(path.as_deref()?)?.to_text().map(|text| text.into_owned());
    let id = from_header.map(str::to_owned).or_else(|| at(&rule.path)).filter(|id| !id.is_empty())?;
    Some(Receipt { id, version: at(&rule.version) })
}

fn fits(rule: &ErrorRule, status: u16, code: Option<&str>) -> bool {
    let in_status = rule.status.as_deref().is_none_or(|range| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        from.parse().is_ok_and(|from: u16| from <= status) && to.parse().is_ok_and(|to: u16| status <= to)
    });
    in_status && (rule.code.is_empty() || code.is_some_and(|code| rule.code.iter().any(|known| known == code)))
}

/// Seconds, decimals allowed, or an HTTP date against the answer's own `Date` (RFC 9110 section 10.2.3).
fn retry_after_ms(answer: &HttpAnswer) -> Option<u64> {
    let text = answer.header("retry-after")?.trim();
    if let Some(seconds) = domain::value::decimal(text) {
        return u64::try_from((seconds * rust_decimal::Decimal::ONE_THOUSAND).trunc()).ok();
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    let now = chrono::DateTime::parse_from_rfc2822(answer.header("date")?).ok()?;
    u64::try_from((at - now).num_milliseconds()).ok()
}
