//! The limiter keeps each connection within what its vendor allows, over all workers together: it asks the governor (`domain::governor`) before
//! each call and tells it what came of the call. A call takes its part of every bucket that it counts in, or of none.
//!
//! Redis when it can be had (one atomic script); else, and while Redis is away, a smaller limit within this process.

mod local;
mod redis;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::redis::RedisError;
use domain::governor::{Allowance, Bucket, Budget, Heard, Told, Verdict};
use domain::id::{ApiKeyId, ConnectionId, ScimTokenId};

use self::local::Local;
use self::redis::Redis;

/// A lease outlives the longest call by this, so that a slot is never given twice while its first call is under way.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// A call whose tokens come back within this time takes them now and waits: so none of them is lost between two who ask.
const AHEAD: Duration = Duration::from_millis(100);
/// Whoever waits longer asks again after so long at most: the vendor may say meanwhile that there is more.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// What is remembered of a bucket in this process, so that nobody asks in vain.
const KNOWN_MAX: usize = 10_000;
const KNOWN_FOR: Duration = Duration::from_secs(30);

/// Keeps limits. Cheap to clone.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    redis: Option<Redis>,
    local: Local,
    /// Other processes work too, and cannot be asked.
    shares_blindly: bool,
    known: Mutex<HashMap<String, Known>>,
}

/// What a bucket said last.
#[derive(Debug, Clone, Copy)]
struct Known {
    per_s: f64,
    /// A call had to wait for its tokens.
    is_dry: bool,
    /// There is nothing before this moment.
    ready_at: Instant,
    at: Instant,
}

/// The buckets of a connection, or of an API key, as a call counts in them.
#[derive(Debug, Clone, PartialEq)]
pub struct Buckets {
    /// An id: whose they are.
    owner: String,
    of: Vec<Bucket>,
}

impl Buckets {
    #[must_use]
    pub fn new(connection: ConnectionId, of: Vec<Bucket>) -> Self {
        Self { owner: connection.to_string(), of }
    }

    /// What a partner may ask of us: so many calls a minute, a sixth of them at once.
    #[must_use]
    pub fn of_api_key(key: ApiKeyId, calls_per_minute: u32) -> Self {
        Self::of_caller(key.to_string(), calls_per_minute)
    }

    /// What a tenant's directory may ask of us by one token.
    #[must_use]
    pub fn of_scim_token(token: ScimTokenId, calls_per_minute: u32) -> Self {
        Self::of_caller(token.to_string(), calls_per_minute)
    }

    fn of_caller(owner: String, calls_per_minute: u32) -> Self {
        let calls = f64::from(calls_per_minute.max(1));
        let allowed = Allowance { per_s: calls / 60.0, burst: (calls / 6.0).max(1.0), concurrency: 0.0, keep: 1.0 };
        Self { owner, of: vec![Bucket { name: "calls".to_owned(), allowed, is_points: false }] }
    }

    /// What these have in common with other calls that count in the same ones.
    #[must_use]
    pub fn key(&self) -> String {
        let names: Vec<&str> = self.of.iter().map(|bucket| bucket.name.as_str()).collect();
        format!("{}:{}", self.owner, names.join("+"))
    }

    /// Calls at once, as declared; none where any number may be.
    #[must_use]
    pub fn concurrency_max(&self) -> Option<u32> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of calls at once, 1000 at most")]
        let declared = self.of.iter().map(|bucket| bucket.allowed.concurrency as u32);
        declared.filter(|most| *most > 0).min()
    }

    fn names(&self) -> impl Iterator<Item = String> {
        self.of.iter().map(|bucket| self.name(bucket))
    }

    /// All buckets of one owner lie together in a Redis cluster: the braces are its hash tag.
    fn name(&self, bucket: &Bucket) -> String {
        format!("{{{}}}:{}", self.owner, bucket.name)
    }
}

/// A call's part of its buckets. Give it back with [`Limiter::give`]; if its worker dies, what it held of calls at once comes back by itself.
#[derive(Debug)]
pub struct Permit {
    lease: String,
    shared: bool,
    /// By the governor's clock.
    sent_at: f64,
    parts: Vec<Part>,
}

/// One bucket's part.
#[derive(Debug)]
struct Part {
    key: String,
    bucket: String,
    allowed: Allowance,
    tokens: f64,
    in_flight: f64,
}

/// What taking came to.
struct Asked {
    granted: bool,
    now: f64,
    wait: Duration,
    buckets: Vec<AskedBucket>,
}

struct AskedBucket {
    in_flight: f64,
    tokens: f64,
    per_s: f64,
    wait_ms: f64,
}

/// There is no room in time: the soonest that there may be some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp {
    /// None where only the end of a call under way makes room.
    pub wait: Option<Duration>,
}

/// How a bucket stands, for a person.
#[derive(Debug, Clone)]
pub struct BudgetView {
    pub bucket: Bucket,
    pub budget: Budget,
    /// By the governor's clock, ms since 1970.
    pub now: f64,
    pub in_flight: u32,
    /// All workers count together; else it is what this process knows.
    pub shared: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("REDIS_URL cannot be read")]
pub struct LimiterError(#[from] RedisError);

impl Limiter {
    /// `call_timeout` is the longest that a call takes.
    ///
    /// # Errors
    /// Where the URL cannot be read. A Redis that does not answer is no error: the local limit serves.
    pub fn redis(url: &str, prefix: &str, call_timeout: Duration) -> Result<Self, LimiterError> {
        let redis = Redis::open(url, prefix, call_timeout + LEASE_MARGIN)?;
        Ok(Self::of(Some(redis), call_timeout, true))
    }

    /// For one process that works alone.
    #[must_use]
    pub fn in_process(call_timeout: Duration) -> Self {
        Self::of(None, call_timeout, false)
    }

    /// For processes that share their work and have no Redis: each keeps within half of what is declared.
    #[must_use]
    pub fn without_redis(call_timeout: Duration) -> Self {
        Self::of(None, call_timeout, true)
    }

    fn of(redis: Option<Redis>, call_timeout: Duration, shares_blindly: bool) -> Self {
        let local = Local::new(call_timeout + LEASE_MARGIN);
        Self(Arc::new(Inner { redis, local, shares_blindly, known: Mutex::default() }))
    }

    /// A permit for a call that is to be sent before the deadline. Returns when it may be sent.
    ///
    /// # Errors
    /// Where there is no room in time.
    pub async fn take_until(&self, buckets: &Buckets, deadline: Instant) -> Result<Permit, UsedUp> {
        loop {
            let (asked, shared, lease) = self.ask(buckets).await;
            self.remember(buckets, &asked);
            let left = deadline.saturating_duration_since(Instant::now());
            if asked.granted {
                let permit = permit(buckets, &asked, shared, lease, self.halves(shared));
                if !asked.wait.is_zero() {
                    tokio::time::sleep(asked.wait).await;
                }
                return Ok(permit);
            }
            if left.is_zero() || asked.wait > left {
                return Err(UsedUp { wait: Some(asked.wait).filter(|wait| !wait.is_zero()) });
            }
            // Not all at once, and not in step.
            let apart = Duration::from_millis(3 + rand::random::<u64>() % 10);
            tokio::time::sleep(asked.wait.saturating_sub(AHEAD / 2).min(ASK_AGAIN).max(apart).min(left)).await;
        }
    }

    async fn ask(&self, buckets: &Buckets) -> (Asked, bool, String) {
        let lease = uuid::Uuid::now_v7().simple().to_string();
        if let Some(redis) = &self.0.redis
            && let Some(asked) = redis.take(buckets, &lease).await
        {
            return (asked, true, lease);
        }
        (self.0.local.take(buckets, &lease, self.halves(false)), false, lease)
    }

    /// True where this process cannot know of the others, so that it takes half at most. The vendor's own 429 is the second wall.
    fn halves(&self, shared: bool) -> bool {
        self.0.shares_blindly && !shared
    }

    /// Gives a permit back and tells what came of its call.
    pub async fn give(&self, permit: Permit, told: &Told) {
        let heard = heard(&permit, told);
        {
            let mut known = self.0.known.lock().expect("no code panics while it holds what is known");
            let now = Instant::now();
            for (part, heard) in permit.parts.iter().zip(&heard) {
                if let (Verdict::Refused, Some(ms), Some(known)) = (heard.verdict, told.retry_after_ms, known.get_mut(&part.key))
                {
                    known.ready_at = known.ready_at.max(now + Duration::from_millis(ms).min(KNOWN_FOR));
                    known.at = now;
                }
            }
        }
        match &self.0.redis {
            // If this fails the lease expires by itself, and the vendor says it again.
            Some(redis) if permit.shared => redis.give(&permit, &heard).await,
            _ => self.0.local.give(&permit, &heard),
        }
    }

    /// How long a call need not even ask, as far as this process knows.
    #[must_use]
    pub fn wait(&self, buckets: &Buckets) -> Option<Duration> {
        let known = self.0.known.lock().expect("no code panics while it holds what is known");
        let now = Instant::now();
        let fresh = buckets.names().filter_map(|name| known.get(&name).copied()).filter(|known| now - known.at < KNOWN_FOR);
        fresh.map(|known| known.ready_at.saturating_duration_since(now)).max().filter(|wait| !wait.is_zero())
    }

    /// How many calls find their turn within `wait`; none where any number does. More are not worth beginning.
    #[must_use]
    pub fn turns(&self, buckets: &Buckets, wait: Duration) -> Option<usize> {
        let known = self.0.known.lock().expect("no code panics while it holds what is known");
        let turns = buckets.of.iter().filter(|bucket| !bucket.is_points).filter_map(|bucket| {
            let (allowed, known) = (&bucket.allowed, known.get(&buckets.name(bucket)));
            let per_s = known.map_or(allowed.per_s * allowed.keep, |known| known.per_s);
            let there = if known.is_some_and(|known| known.is_dry) { 0.0 } else { allowed.burst * allowed.keep };
            (per_s > 0.0).then(|| (per_s * wait.as_secs_f64() + there).max(1.0))
        });
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a double stops at the ends")]
        let turns = turns.map(|turns| turns as usize).min();
        turns
    }

    /// How buckets stand.
    pub async fn look(&self, buckets: &Buckets) -> Vec<BudgetView> {
        if let Some(redis) = &self.0.redis
            && let Some(views) = redis.look(buckets).await
        {
            return views;
        }
        self.0.local.look(buckets)
    }

    fn remember(&self, buckets: &Buckets, asked: &Asked) {
        let mut known = self.0.known.lock().expect("no code panics while it holds what is known");
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let now = Instant::now();
        for (name, bucket) in buckets.names().zip(&asked.buckets) {
            let wait = if asked.granted { Duration::ZERO } else { milliseconds(bucket.wait_ms) };
            let is_dry = bucket.wait_ms > 0.0;
            known.insert(name, Known { per_s: bucket.per_s, is_dry, ready_at: now + wait, at: now });
        }
    }
}

fn permit(buckets: &Buckets, asked: &Asked, shared: bool, lease: String, halved: bool) -> Permit {
    let parts = buckets.of.iter().zip(&asked.buckets).map(|(bucket, asked)| Part {
        key: buckets.name(bucket),
        bucket: bucket.name.clone(),
        allowed: if halved { bucket.allowed.halved() } else { bucket.allowed },
        tokens: asked.tokens,
        in_flight: asked.in_flight,
    });
    Permit { lease, shared, sent_at: asked.now + asked.wait.as_secs_f64() * 1000.0, parts: parts.collect() }
}

/// What each bucket hears. A refusal is for the bucket that the vendor says is empty, else for the last: the one that counts the fewest calls.
fn heard(permit: &Permit, told: &Told) -> Vec<Heard> {
    let said = |part: &Part| told.buckets.iter().find(|told| told.name == part.bucket);
    let is_empty = |part: &Part| said(part).and_then(|told| told.left).is_some_and(|left| left < 1.0);
    let is_any_empty = permit.parts.iter().any(is_empty);
    let last = permit.parts.len().saturating_sub(1);
    let parts = permit.parts.iter().enumerate().map(|(index, part)| {
        let is_to_blame = if is_any_empty { is_empty(part) } else { index == last };
        let verdict = match told.verdict {
            Verdict::Refused if !is_to_blame => Verdict::Silent,
            verdict => verdict,
        };
        let number = |value: Option<f64>| value.unwrap_or(-1.0);
        #[expect(clippy::cast_precision_loss, reason = "a time that a vendor asks to wait")]
        let retry_after = told.retry_after_ms.map_or(-1.0, |ms| ms as f64);
        let said = said(part);
        Heard {
            sent_at: permit.sent_at,
            tokens: part.tokens,
            in_flight: part.in_flight,
            verdict,
            retry_after,
            spent: number(said.and_then(|told| told.spent)),
            left: number(said.and_then(|told| told.left)),
            scale: number(said.and_then(|told| told.scale)),
        }
    });
    parts.collect()
}

/// Up to a day.
fn milliseconds(ms: f64) -> Duration {
    Duration::from_secs_f64(ms.clamp(0.0, 86_400_000.0) / 1000.0)
}
