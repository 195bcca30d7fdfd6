//! The vendor's limits: the buckets that a call counts in, as declared, and what an answer says of them: how many calls, or points, are left,
//! and when there are more.

use domain::fault::FaultClass;
use domain::governor::{Allowance, Bucket, RESERVE_PCT, RESERVE_PCT_MAX, Told, ToldBucket, Verdict, keep};
use domain::http::HttpAnswer;
use domain::value::Value;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::connector::Connector;
use crate::manifest::{LimitRule, Rate};
use crate::path;
use crate::response::{from_now_ms, is_success, parse};

/// Calls at once that a connection's settings may ask for.
const CONCURRENCY_MAX: u32 = 1_000;
/// A rate without a burst is a window that somebody counts: so much of it goes at once.
const BURST_SHARE: f64 = 0.1;
/// A plan is not so many times the one that the connector describes.
const SCALE_MAX: f64 = 50.0;

/// How a bucket stands, as the vendor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitState {
    pub bucket: String,
    pub limit: Option<u64>,
    pub remaining: Option<u64>,
    /// Until the bucket is full again, ms.
    pub reset_ms: Option<u64>,
}

impl LimitRule {
    pub(crate) fn counts(&self, path: &str) -> bool {
        self.paths.is_empty() || self.paths.iter().any(|prefix| path.starts_with(prefix.as_str()))
    }

    /// The bucket of its points, where it counts calls too.
    fn points_name(&self) -> String {
        if self.rate.is_some() { format!("{} points", self.bucket) } else { self.bucket.clone() }
    }

    /// Calls at once. What a person has set is what is ours; of what the vendor allows all, the reserve is not.
    fn concurrency(&self, settings: &serde_json::Value, reserve_pct: u32) -> u32 {
        let given = self.setting.as_deref().and_then(|name| settings.get(name)).and_then(serde_json::Value::as_str);
        match (given.and_then(|text| text.parse::<u32>().ok()), self.concurrency) {
            (Some(given), _) => given.clamp(1, CONCURRENCY_MAX),
            (None, Some(all)) => (all - all.saturating_mul(reserve_pct) / 100).clamp(1, CONCURRENCY_MAX),
            (None, None) => 0,
        }
    }

    fn buckets(&self, settings: &serde_json::Value, reserve_pct: Option<u32>) -> Vec<Bucket> {
        let reserve_pct = reserve_pct.or(self.reserve).unwrap_or(RESERVE_PCT).min(RESERVE_PCT_MAX);
        let (keep, concurrency) = (keep(reserve_pct), f64::from(self.concurrency(settings, reserve_pct)));
        let rate = self.rate.as_ref().map(|rate| {
            let calls = f64::from(rate.calls);
            let burst = rate.burst.map_or(calls * BURST_SHARE, f64::from).max(1.0);
            let allowed = Allowance { per_s: calls / f64::from(rate.per_s.max(1)), burst, concurrency, keep };
            Bucket { name: self.bucket.clone(), allowed, is_points: false }
        });
        let cost = self.cost.as_ref().map(|cost| {
            let concurrency = if rate.is_some() { 0.0 } else { concurrency };
            let (per_s, burst) = (f64::from(cost.restore_per_s), f64::from(cost.points.max(1)));
            Bucket { name: self.points_name(), allowed: Allowance { per_s, burst, concurrency, keep }, is_points: true }
        });
        let none = || Bucket {
            name: self.bucket.clone(),
            allowed: Allowance { per_s: 0.0, burst: 1.0, concurrency, keep },
            is_points: false,
        };
        let plain = (rate.is_none() && cost.is_none()).then(none);
        rate.into_iter().chain(cost).chain(plain).collect()
    }
}

impl Rate {
    /// A limit that the vendor tells, as a multiple of the declared one: some tell the calls, some what may come at once.
    fn scale(&self, told: u64) -> Option<f64> {
        let told = told.to_f64().filter(|told| *told > 0.0)?;
        let of = |declared: u32| told / f64::from(declared.max(1));
        let (calls, burst) = (of(self.calls), of(self.burst.unwrap_or(self.calls)));
        let nearest = if calls.ln().abs() <= burst.ln().abs() { calls } else { burst };
        Some(nearest.clamp(1.0 / SCALE_MAX, SCALE_MAX))
    }
}

impl Connector {
    /// The buckets that a call to this address counts in; `reserve_pct` is what the connection keeps for others, where it says so itself.
    #[must_use]
    pub fn buckets(&self, settings: &serde_json::Value, reserve_pct: Option<u32>, url: &str) -> Vec<Bucket> {
        let path = url.split_once("://").map_or(url, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let rules = self.manifest.limits.iter().filter(|rule| rule.counts(path));
        let buckets: Vec<Bucket> = rules.flat_map(|rule| rule.buckets(settings, reserve_pct)).collect();
        if buckets.is_empty() { vec![Bucket::undeclared(reserve_pct.unwrap_or(RESERVE_PCT))] } else { buckets }
    }

    /// All buckets of an account.
    #[must_use]
    pub fn all_buckets(&self, settings: &serde_json::Value, reserve_pct: Option<u32>) -> Vec<Bucket> {
        let buckets: Vec<Bucket> = self.manifest.limits.iter().flat_map(|rule| rule.buckets(settings, reserve_pct)).collect();
        if buckets.is_empty() { vec![Bucket::undeclared(reserve_pct.unwrap_or(RESERVE_PCT))] } else { buckets }
    }

    /// What an answer says of the limits, to whoever keeps within them.
    #[must_use]
    pub fn told(&self, answer: &HttpAnswer) -> Told {
        let is_plain = is_success(answer) && self.manifest.error.inside.is_empty();
        let is_refused = !is_plain && {
            let body = self.parse(answer);
            self.is_failure(answer, body.as_ref()) && self.fault(answer, body.as_ref()).0.class == FaultClass::Limit
        };
        let verdict = match answer.status {
            _ if is_refused => Verdict::Refused,
            // A vendor in trouble says nothing of its limits.
            500.. => Verdict::Silent,
            _ => Verdict::Served,
        };
        let retry_after_ms = if is_refused { self.wait_ms(answer) } else { None };
        Told { verdict, retry_after_ms, buckets: self.told_buckets(answer) }
    }

    fn told_buckets(&self, answer: &HttpAnswer) -> Vec<ToldBucket> {
        let mut told = Vec::new();
        if self.manifest.limits.iter().all(|rule| rule.headers.is_empty() && rule.cost.is_none()) {
            return told;
        }
        for state in self.limit_states(answer) {
            let Some(rule) = self.manifest.limits.iter().find(|rule| rule.bucket == state.bucket) else { continue };
            let left = state.remaining.and_then(|left| left.to_f64());
            if let Some(rate) = &rule.rate {
                let scale = state.limit.and_then(|limit| rate.scale(limit));
                told.push(ToldBucket { name: rule.bucket.clone(), spent: None, left, scale });
            }
            if rule.cost.is_some() && rule.rate.is_none() {
                told.push(ToldBucket { name: rule.points_name(), spent: None, left, scale: None });
            }
        }
        let spends = self.manifest.limits.iter().filter_map(|rule| Some((rule, rule.cost.as_ref()?.spent.as_deref()?)));
        let mut spends = spends.peekable();
        if spends.peek().is_some() {
            let body = parse(answer);
            for (rule, at) in spends {
                let spent =
                    body.as_ref().and_then(|body| path::first(body, at)?.to_decimal()?.to_f64()).filter(|spent| *spent >= 0.0);
                match told.iter_mut().find(|told| told.name == rule.points_name()) {
                    Some(told) => told.spent = spent,
                    None => told.push(ToldBucket { name: rule.points_name(), spent, left: None, scale: None }),
                }
            }
        }
        told
    }

    /// How the buckets stand after this answer; only those of which it says something.
    #[must_use]
    pub fn limit_states(&self, answer: &HttpAnswer) -> Vec<LimitState> {
        let has_points = self.manifest.limits.iter().any(|limit| limit.cost.as_ref().is_some_and(|cost| cost.left.is_some()));
        let body = if has_points { parse(answer) } else { None };
        let state = |rule: &crate::manifest::LimitRule| {
            let header = |name: &Option<String>| answer.header(name.as_deref()?).map(str::trim);
            // `32/40` says how many are used, of how many.
            let used = header(&rule.headers.limit).and_then(|text| text.split_once('/'));
            let (limit, remaining) = match used {
                Some((used, all)) => {
                    let all = whole(all);
                    (all, all.zip(whole(used)).map(|(all, used)| all.saturating_sub(used)))
                }
                None => (header(&rule.headers.limit).and_then(whole), header(&rule.headers.remaining).and_then(whole)),
            };
            let left = rule
                .cost
                .as_ref()
                .and_then(|cost| path::first(body.as_ref()?, cost.left.as_deref()?)?.to_text().and_then(|t| whole(&t)));
            let reset = rule.headers.reset.as_ref().and_then(|reset| {
                let value = whole(answer.header(&reset.header)?)?;
                let ms = from_now_ms(reset.unit, value.into(), answer)?.max(Decimal::ZERO);
                Some(u64::try_from(ms).unwrap_or(u64::MAX))
            });
            let state = LimitState { bucket: rule.bucket.clone(), limit, remaining: remaining.or(left), reset_ms: reset };
            (state.limit.is_some() || state.remaining.is_some() || state.reset_ms.is_some()).then_some(state)
        };
        self.manifest.limits.iter().filter_map(state).collect()
    }
}

/// A whole number, or the whole part of one.
fn whole(text: &str) -> Option<u64> {
    let value = Value::Text(text.trim().to_owned()).to_decimal()?;
    u64::try_from(value.trunc()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_headers_and_from_bodies() {
        let yaml = "{format: 1, name: x, title: X, category: erp, limits: [
            {bucket: a, rate: {calls: 40, per_s: 20}, headers: {limit: X-Calls}},
            {bucket: b, rate: {calls: 150, per_s: 30}, headers: {limit: X-Quota, remaining: X-Left, reset: {header: X-Reset-Ms, unit: milliseconds}}},
            {bucket: c, rate: {calls: 10, per_s: 1}, headers: {reset: {header: X-Until, unit: unix_ms}}},
            {bucket: d, cost: {points: 2000, restore_per_s: 100, left: extensions.cost.left}},
            {bucket: silent, concurrency: 5}]}";
        let connector = Connector::from_files("x", [("connector.yaml".to_owned(), yaml.to_owned())].into()).unwrap();
        let headers = [
            ("X-Calls", "32/40"),
            ("X-Quota", "150"),
            ("X-Left", "149"),
            ("X-Reset-Ms", "2500"),
            ("Date", "Tue, 24 Nov 2026 09:30:00 GMT"),
            ("X-Until", "1795512601500"),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let answer = HttpAnswer { status: 200, headers, body: r#"{"extensions":{"cost":{"left":1990.0}}}"#.into() };
        let states: Vec<_> =
            connector.limit_states(&answer).into_iter().map(|s| (s.bucket, s.limit, s.remaining, s.reset_ms)).collect();
        assert_eq!(
            states,
            [
                ("a".into(), Some(40), Some(8), None),
                ("b".into(), Some(150), Some(149), Some(2_500)),
                ("c".into(), None, None, Some(1_500)),
                ("d".into(), None, Some(1_990), None),
            ]
        );
    }

    fn connector(limits: &str) -> Connector {
        let yaml = format!(
            "{{format: 1, name: x, title: X, category: erp, error: {{inside: [errors], code: ['errors[0].code']}},
            errors: [{{code: [THROTTLED], class: limit, reason: busy, owner: vendor, fix: none}}], limits: {limits}}}"
        );
        Connector::from_files("x", [("connector.yaml".to_owned(), yaml)].into()).unwrap()
    }

    #[test]
    fn a_call_counts_in_the_buckets_of_its_path() {
        let connector = connector(
            "[{bucket: all, rate: {calls: 100, per_s: 60}, concurrency: 12}, {bucket: find, rate: {calls: 2, per_s: 1, burst: 40}, paths: [/find], reserve: 50},
              {bucket: graph, cost: {points: 2000, restore_per_s: 100}, paths: [/graph]}, {bucket: given, setting: most, concurrency: 5, paths: [/given]}]",
        );
        let settings = serde_json::json!({"most": "7"});
        let names = |url: &str| connector.buckets(&settings, None, url).into_iter().map(|bucket| bucket.name).collect::<Vec<_>>();
        assert_eq!(names("https://x.example/find?all=/graph"), ["all", "find"]);
        assert_eq!(names("https://x.example"), ["all"]);
        assert_eq!(names("https://x.example/graph#a"), ["all", "graph"]);
        let of = |url: &str, at: usize| connector.buckets(&settings, None, url).remove(at);
        let all = of("https://x.example/", 0).allowed;
        // A tenth goes at once, and of calls at once one is kept for others.
        assert_eq!((all.per_s, all.burst, all.concurrency, all.keep), (100.0 / 60.0, 10.0, 11.0, 0.9));
        let find = of("https://x.example/find", 1).allowed;
        assert_eq!((find.per_s, find.burst, find.concurrency, find.keep), (2.0, 40.0, 0.0, 0.5));
        assert!(of("https://x.example/graph", 1).is_points);
        assert_eq!(of("https://x.example/given", 1).allowed.concurrency, 7.0, "a person has said how many are ours");
        assert_eq!(
            connector.buckets(&settings, Some(20), "https://x.example/find")[1].allowed.keep,
            0.8,
            "the connection says it"
        );
        assert_eq!(connector.all_buckets(&settings, None).len(), 4);
        let undeclared = Connector::from_files(
            "x",
            [("connector.yaml".to_owned(), "{format: 1, name: x, title: X, category: erp}".to_owned())].into(),
        );
        assert_eq!(undeclared.unwrap().buckets(&settings, None, "https://x.example/a"), [Bucket::undeclared(10)]);
    }

    #[test]
    fn an_answer_says_whether_it_was_too_much_and_what_is_left() {
        let connector = connector(
            "[{bucket: calls, rate: {calls: 2, per_s: 1, burst: 40}, headers: {limit: X-Calls}},
              {bucket: points, cost: {points: 2000, restore_per_s: 100, spent: cost.spent, left: cost.left}}]",
        );
        let told = |status: u16, headers: &[(&str, &str)], body: &str| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            connector.told(&HttpAnswer { status, headers, body: body.to_owned().into() })
        };
        let plus = told(200, &[("X-Calls", "20/80")], r#"{"cost": {"spent": 12.5, "left": 1900}}"#);
        let of = |name: &str, spent, left, scale| ToldBucket { name: name.into(), spent, left, scale };
        let buckets = vec![of("calls", None, Some(60.0), Some(2.0)), of("points", Some(12.5), Some(1_900.0), None)];
        assert_eq!(plus, Told { verdict: Verdict::Served, retry_after_ms: None, buckets });
        let refused = told(429, &[("Retry-After", "3")], "");
        assert_eq!((refused.verdict, refused.retry_after_ms), (Verdict::Refused, Some(3_000)));
        let inside = told(200, &[], r#"{"errors": [{"code": "THROTTLED"}]}"#);
        assert_eq!((inside.verdict, inside.retry_after_ms), (Verdict::Refused, None));
        assert_eq!(told(200, &[], r#"{"errors": [{"code": "OTHER"}]}"#).verdict, Verdict::Served);
        assert_eq!((told(422, &[], "").verdict, told(503, &[], "").verdict), (Verdict::Served, Verdict::Silent));
    }
}
