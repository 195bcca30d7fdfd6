//! What an answer says of the vendor's limits: how many calls, or points, are left, and when there are more.

use domain::http::HttpAnswer;
use domain::value::Value;
use rust_decimal::Decimal;

use crate::connector::Connector;
use crate::path;
use crate::response::{from_now_ms, parse};

/// How a bucket stands, as the vendor says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitState {
    pub bucket: String,
    pub limit: Option<u64>,
    pub remaining: Option<u64>,
    /// Until the bucket is full again, ms.
    pub reset_ms: Option<u64>,
}

impl Connector {
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
}
