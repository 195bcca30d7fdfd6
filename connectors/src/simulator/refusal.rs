//! The error catalog read backwards: an answer that means a class of failure, in the vendor's own shape.

use chrono::{DateTime, Utc};
use domain::fault::FaultClass;
use domain::http::HttpAnswer;
use domain::value::Value;
use indexmap::IndexMap;

use super::SimAnswer;
use super::derive;
use super::seed::empty;
use crate::connector::Connector;
use crate::manifest::{ErrorFormat, ErrorRule, WaitUnit};
use crate::path;

/// How long a refusal for a limit asks to wait where nothing says it better, ms.
const WAIT_MS: i64 = 1_000;

/// Why the vendor refuses, before it is put into its shape.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub class: FaultClass,
    /// The vendor's code; absent: the catalog's first of that class.
    pub code: Option<String>,
    pub path: Option<String>,
    pub message: String,
    /// This status, whatever the catalog says.
    pub status: Option<u16>,
    /// In how many ms the same call would be taken.
    pub wait_ms: Option<i64>,
}

impl Refusal {
    pub fn new(class: FaultClass, message: &str) -> Self {
        Self { class, code: None, path: None, message: message.to_owned(), status: None, wait_ms: None }
    }
}

/// The vendor's usual code of each class, where nothing else says one.
pub(super) type Codes = IndexMap<FaultClass, String>;

/// The first status that a rule is for.
fn first_status(rule: &ErrorRule) -> Option<u16> {
    rule.status.as_ref()?;
    rule.statuses().map(|statuses| *statuses.start())
}

/// What servers answer where nothing else is said (RFC 9110 section 15).
fn usual_status(class: FaultClass) -> u16 {
    match class {
        FaultClass::Retry => 503,
        FaultClass::Limit => 429,
        FaultClass::Authentication => 401,
        FaultClass::Permission => 403,
        FaultClass::Validation => 400,
        FaultClass::Conflict => 409,
        FaultClass::NotFound => 404,
        FaultClass::Gone => 410,
        FaultClass::Outage | FaultClass::Unknown => 500,
    }
}

impl Connector {
    /// The answer by which this vendor says a class of failure.
    pub(super) fn refuse(&self, refusal: &Refusal, codes: &Codes, now: DateTime<Utc>) -> SimAnswer {
        let of_class = |rule: &&ErrorRule| rule.class == refusal.class;
        let has_code = |rule: &ErrorRule| refusal.code.as_ref().is_some_and(|code| rule.code.contains(code));
        // A rule that names the code itself says it best; one without codes takes any.
        let named = self.manifest.errors.iter().filter(|rule| of_class(rule) && has_code(rule));
        let others = self.manifest.errors.iter().filter(|rule| of_class(rule) && !has_code(rule));
        let wanted = refusal.status;
        for rule in named
            .chain(others)
            .filter(|rule| wanted.is_none_or(|status| rule.statuses().is_some_and(|statuses| statuses.contains(&status))))
        {
            let answer = self.by_rule(Some(rule), refusal, codes, now);
            if wanted.is_some() || self.classify(&as_http(&answer)).class == refusal.class {
                return answer;
            }
            // Where an earlier rule takes the usual status for itself, this vendor says it with the plainest one.
            if rule.status.is_none() {
                let answer = self.by_rule(Some(rule), &Refusal { status: Some(400), ..refusal.clone() }, codes, now);
                if self.classify(&as_http(&answer)).class == refusal.class {
                    return answer;
                }
            }
        }
        self.by_rule(None, refusal, codes, now)
    }

    /// How this vendor says that a change did not know the last version.
    pub(super) fn stale(&self) -> Refusal {
        let rule = self.manifest.errors.iter().find(|rule| rule.stale);
        let code = rule.and_then(|rule| rule.code.first()).cloned();
        let refusal = Refusal::new(FaultClass::Conflict, "Somebody else has changed the record since. Read it again.");
        Refusal { code, status: rule.and_then(first_status), ..refusal }
    }

    fn by_rule(&self, rule: Option<&ErrorRule>, refusal: &Refusal, codes: &Codes, now: DateTime<Utc>) -> SimAnswer {
        let fields = &self.manifest.error;
        let fits =
            |code: &&String| refusal.status.is_some() || rule.is_none_or(|rule| rule.code.is_empty() || rule.code.contains(code));
        let own = refusal.code.as_ref().filter(fits);
        let code = own.or_else(|| rule.and_then(|rule| rule.code.first())).or(refusal.code.as_ref()).cloned();
        // A vendor whose rule has no code still says something there.
        let code = code.or_else(|| codes.get(&refusal.class).cloned()).unwrap_or_else(|| refusal.class.as_str().to_uppercase());
        let mut body = empty();
        let said = [
            (&fields.code, Some(code.as_str())),
            (&fields.message, Some(refusal.message.as_str())),
            (&fields.path, refusal.path.as_deref()),
        ];
        for (paths, text) in said {
            if let (Some(at), Some(text)) = (paths.first(), text) {
                path::put(&mut body, &concrete(at), text.into());
            }
        }
        if let Some(when) = rule.and_then(|rule| rule.when.as_deref()) {
            derive::make(&mut body, when, true);
        }
        // An API that answers 200 to everything says its errors inside.
        let is_inside = !fields.inside.is_empty()
            && fields
                .inside
                .iter()
                .any(|inside| fields.code.iter().chain(&fields.message).any(|at| at.starts_with(inside.as_str())));
        let by_rule = rule.and_then(first_status);
        let status = match (refusal.status.or(by_rule), rule) {
            (Some(status), _) => status,
            (None, Some(_)) if is_inside => 200,
            (None, _) => usual_status(refusal.class),
        };
        if (200..300).contains(&status) && !self.is_failure(&HttpAnswer { status, headers: vec![], body: "".into() }, Some(&body))
        {
            // Nothing yet says that it failed.
            if let Some(inside) = fields.inside.first() {
                path::put(&mut body, &concrete(inside), Value::List(vec![Value::Text(refusal.message.clone())]));
            }
        }
        let mut answer = match fields.format {
            ErrorFormat::Json => SimAnswer::json(status, &body),
            ErrorFormat::Xml => SimAnswer::xml(status, &body),
        };
        if refusal.class == FaultClass::Limit {
            let wait_ms = refusal.wait_ms.unwrap_or(WAIT_MS);
            answer.headers.extend(self.wait_headers(rule, wait_ms, now));
        }
        // The header that the rule is known by, where it is not the wait itself.
        if let Some(header) = rule.and_then(|rule| rule.header.as_ref())
            && !answer.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(&header.name))
        {
            answer.headers.push((header.name.clone(), literal(header.pattern.as_deref().unwrap_or("1"))));
        }
        answer.code = Some(code);
        answer
    }

    /// How this vendor says how long to wait: in headers of its own, else in the usual one. A rule that knows the wait itself is there
    /// because the vendor does not say it.
    fn wait_headers(&self, rule: Option<&ErrorRule>, wait_ms: i64, now: DateTime<Utc>) -> Vec<(String, String)> {
        let own = &self.manifest.error.wait;
        if own.is_empty() && rule.is_none_or(|rule| rule.wait_s.is_none()) {
            return vec![("Retry-After".into(), in_unit(WaitUnit::Seconds, wait_ms, now))];
        }
        own.iter().map(|wait| (wait.header.clone(), in_unit(wait.unit, wait_ms, now))).collect()
    }

    /// A success that carries an error at this path, as a vendor answers that says 200 to everything.
    pub(super) fn error_inside(&self, at: &str, message: &str) -> SimAnswer {
        let mut body = empty();
        let said = Value::from(&serde_json::json!({"message": message}));
        path::put(&mut body, &concrete(at), Value::List(vec![said]));
        SimAnswer::json(200, &body)
    }
}

/// A wait of so many milliseconds, as the vendor writes it.
pub(super) fn in_unit(unit: WaitUnit, wait_ms: i64, now: DateTime<Utc>) -> String {
    let up = |ms: i64| ms.div_euclid(1_000) + i64::from(ms.rem_euclid(1_000) > 0);
    match unit {
        WaitUnit::Seconds => up(wait_ms).to_string(),
        WaitUnit::Milliseconds => wait_ms.to_string(),
        WaitUnit::UnixS => up(now.timestamp_millis() + wait_ms).to_string(),
        WaitUnit::UnixMs => (now.timestamp_millis() + wait_ms).to_string(),
    }
}

/// A path to put something at: `data.*.userErrors` has some name in the middle.
pub(super) fn concrete(at: &str) -> String {
    at.split('.').map(|step| if step == "*" { "result" } else { step }).collect::<Vec<_>>().join(".")
}

/// A text that a simple pattern is found in.
fn literal(pattern: &str) -> String {
    let plain = pattern.trim_start_matches("(?i)").trim_start_matches('^').trim_end_matches('$');
    let plain = plain.split('|').next().unwrap_or_default();
    plain.replace("\\d+", "1").replace("[0-9]+", "1").replace(".*", "").replace('\\', "")
}

pub(super) fn as_http(answer: &SimAnswer) -> HttpAnswer {
    HttpAnswer { status: answer.status, headers: answer.headers.clone(), body: answer.body.clone() }
}
