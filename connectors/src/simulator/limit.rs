//! What the vendor allows one account, counted as the manifest's `limits` say: at once, per second, and by points.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::value::Value;

use super::SimAnswer;
use super::operation::Operation;
use super::refusal::in_unit;
use crate::connector::Connector;
use crate::manifest::{Cost, LimitRule, Page, Rate, Read, Size};
use crate::path;

/// What a call that writes costs, in points.
const WRITE_COST: u32 = 10;
/// Tokens and points are counted in millionths: one call in three minutes comes back in time too.
const SCALE: i64 = 1_000_000;

/// How full a bucket is, in millionths, at a moment.
#[derive(Debug, Clone, Copy)]
struct Level {
    left: i64,
    at_ms: i64,
}

/// The buckets of an account.
#[derive(Debug, Default)]
pub(super) struct Buckets(HashMap<String, Level>);

/// What a call takes and what a bucket holds.
struct Bucket {
    name: String,
    room: i64,
    /// Millionths that come back in a second.
    restore_per_s: i64,
    takes: i64,
}

impl Bucket {
    fn rate(rule: &LimitRule, rate: &Rate) -> Self {
        let per_s = i64::from(rate.calls) * SCALE / i64::from(rate.per_s.max(1));
        let room = i64::from(rate.burst.unwrap_or(rate.calls).max(1)) * SCALE;
        Self { name: format!("{} rate", rule.bucket), room, restore_per_s: per_s, takes: SCALE }
    }

    fn cost(rule: &LimitRule, cost: &Cost, points: u32) -> Self {
        Self {
            name: format!("{} cost", rule.bucket),
            room: i64::from(cost.points) * SCALE,
            restore_per_s: i64::from(cost.restore_per_s) * SCALE,
            takes: i64::from(points) * SCALE,
        }
    }
}

impl Buckets {
    fn left(&self, bucket: &Bucket, now_ms: i64) -> i64 {
        self.0.get(&bucket.name).map_or(bucket.room, |level| {
            let passed = (now_ms - level.at_ms).clamp(0, 86_400_000);
            (level.left + passed.saturating_mul(bucket.restore_per_s) / 1_000).min(bucket.room)
        })
    }

    /// Takes what the call needs; where there is too little, nothing, and says in how many ms there is enough.
    fn take(&mut self, bucket: &Bucket, now_ms: i64) -> Result<(), i64> {
        let left = self.left(bucket, now_ms);
        let missing = bucket.takes - left;
        let left = if missing > 0 { left } else { left - bucket.takes };
        self.0.insert(bucket.name.clone(), Level { left, at_ms: now_ms });
        let per_s = bucket.restore_per_s.max(1);
        // Rounded up: a ms earlier it is not enough yet.
        if missing > 0 { Err((missing.saturating_mul(1_000) + per_s - 1) / per_s) } else { Ok(()) }
    }
}

/// What a call costs where the vendor counts points: a write ten, a list one and one for each record that it may bring.
pub(super) fn points(operation: &Operation, read: Option<&Read>) -> u32 {
    if operation.writes() {
        return WRITE_COST;
    }
    let size = |size: &Option<Size>| size.as_ref().map_or(1, |size| size.value);
    1 + match read.and_then(|read| read.page.as_ref()) {
        Some(Page::Number(page)) => size(&page.size),
        Some(Page::Offset(page)) => page.size.value,
        Some(Page::Cursor(page)) => size(&page.size),
        Some(Page::Link(page)) => size(&page.size),
        Some(Page::NextUrl(page)) => size(&page.size),
        None => 0,
    }
}

/// Why a call is too much, and in how many ms it would not be, where time alone helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full {
    pub message: &'static str,
    pub wait_ms: Option<i64>,
}

/// Whether a call is within the limits. `in_flight` counts it too.
pub(super) fn admit(
    buckets: &mut Buckets,
    connector: &Connector,
    settings: &serde_json::Value,
    (path, in_flight, points): (&str, usize, u32),
    now: DateTime<Utc>,
) -> Result<(), Full> {
    let now_ms = now.timestamp_millis();
    let at_once = connector.limits(settings);
    for rule in connector.manifest.limits.iter().filter(|rule| rule.counts(path)) {
        let most = at_once.iter().find(|limit| limit.bucket == rule.bucket).map(|limit| limit.concurrency_max);
        if most.is_some_and(|most| in_flight > most as usize) {
            return Err(Full { message: "Concurrent request limit exceeded. Request blocked.", wait_ms: None });
        }
        let full = |message| move |wait_ms| Full { message, wait_ms: Some(wait_ms) };
        if let Some(rate) = &rule.rate {
            buckets.take(&Bucket::rate(rule, rate), now_ms).map_err(full("Too many requests."))?;
        }
        if let Some(cost) = &rule.cost {
            buckets.take(&Bucket::cost(rule, cost, points.min(cost.points)), now_ms).map_err(full("Throttled."))?;
        }
    }
    Ok(())
}

/// Says on an answer how the buckets stand.
pub(super) fn report(
    buckets: &Buckets,
    connector: &Connector,
    (path, points): (&str, u32),
    answer: &mut SimAnswer,
    now: DateTime<Utc>,
) {
    let now_ms = now.timestamp_millis();
    for rule in connector.manifest.limits.iter().filter(|rule| rule.counts(path)) {
        if let Some(rate) = &rule.rate {
            let bucket = Bucket::rate(rule, rate);
            let (all, left) = (bucket.room / SCALE, buckets.left(&bucket, now_ms) / SCALE);
            let headers = &rule.headers;
            // Without a header for the rest, the one says both.
            let used = if headers.remaining.is_some() { all.to_string() } else { format!("{}/{all}", all - left) };
            answer.headers.extend(headers.limit.clone().map(|name| (name, used)));
            answer.headers.extend(headers.remaining.clone().map(|name| (name, left.to_string())));
            // A refusal may have said already how long to wait.
            let says = |name: &str| answer.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
            if let Some(reset) = headers.reset.as_ref().filter(|reset| !says(&reset.header)) {
                let missing = bucket.room - buckets.left(&bucket, now_ms);
                let wait_ms = missing.saturating_mul(1_000) / bucket.restore_per_s.max(1);
                answer.headers.push((reset.header.clone(), in_unit(reset.unit, wait_ms, now)));
            }
        }
        if let Some(cost) = &rule.cost
            && cost.spent.is_some() | cost.left.is_some()
            && let Ok(mut body) = Value::parse(&answer.body, &domain::value::Limits::DEFAULT)
            && matches!(body, Value::Map(_))
        {
            let left = buckets.left(&Bucket::cost(rule, cost, points), now_ms) / SCALE;
            for (at, value) in [(&cost.spent, i64::from(points)), (&cost.left, left)] {
                if let Some(at) = at {
                    path::put(&mut body, at, value.into());
                }
            }
            answer.body = body.to_json().into();
        }
    }
}
