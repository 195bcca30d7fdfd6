//! The limiter keeps each connection within what its vendor allows, over all workers together.
//! This first cut knows concurrency: a slot is leased for a call and given back, or expires if its worker dies.
//!
//! Redis when it can be had (one atomic script); else, and while Redis is away, a smaller limit within this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use redis::aio::ConnectionManager;
use tokio::sync::OnceCell;
use tracing::warn;
use uuid::Uuid;

/// A lease outlives the longest call by this, so that a slot is never given twice while its first call is under way.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// After Redis failed, how long the local limit serves before Redis is asked again.
const REDIS_REST: Duration = Duration::from_secs(2);
const REDIS_TIMEOUT: Duration = Duration::from_millis(500);

/// Takes a slot if fewer than the limit are leased. Expired leases are dropped first. Time is Redis's own, so workers' clocks do not matter.
/// KEYS[1] the set of leases, scored by their end in ms; ARGV: limit, lease id, lease in ms.
const TAKE: &str = r"
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2])
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[3]) * 2)
return 1
";

/// Keeps limits. Cheap to clone.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    redis: Option<Redis>,
    local: Mutex<HashMap<String, u32>>,
}

struct Redis {
    client: redis::Client,
    prefix: String,
    lease: Duration,
    manager: OnceCell<ConnectionManager>,
    take: redis::Script,
    resting_until: Mutex<Option<Instant>>,
}

/// A leased slot. Give it back with [`Limiter::give`].
#[derive(Debug)]
pub struct Slot {
    bucket: String,
    lease: String,
    shared: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("REDIS_URL cannot be read")]
pub struct LimiterError(#[from] redis::RedisError);

impl Limiter {
    /// `call_timeout` is the longest that a slot is used.
    ///
    /// # Errors
    /// Where the URL cannot be read. A Redis that does not answer is no error: the local limit serves.
    pub fn redis(url: &str, prefix: &str, call_timeout: Duration) -> Result<Self, LimiterError> {
        let redis = Redis {
            client: redis::Client::open(url)?,
            prefix: prefix.to_owned(),
            lease: call_timeout + LEASE_MARGIN,
            manager: OnceCell::new(),
            take: redis::Script::new(TAKE),
            resting_until: Mutex::new(None),
        };
        Ok(Self(Arc::new(Inner { redis: Some(redis), local: Mutex::default() })))
    }

    #[must_use]
    pub fn in_process() -> Self {
        Self(Arc::new(Inner { redis: None, local: Mutex::default() }))
    }

    /// A slot of the bucket, if one is free.
    pub async fn take(&self, bucket: &str, concurrency_max: u32) -> Option<Slot> {
        let Some(redis) = &self.0.redis else { return self.take_local(bucket, concurrency_max) };
        match redis.take(bucket, concurrency_max).await {
            Some(taken) => taken,
            // Without Redis this process cannot know of the others, so it takes half at most. The vendor's own 429 is the second wall.
            None => self.take_local(bucket, (concurrency_max / 2).max(1)),
        }
    }

    /// A slot of the bucket as soon as one is free; none where that is not so before the deadline.
    pub async fn take_until(&self, bucket: &str, concurrency_max: u32, deadline: Instant) -> Option<Slot> {
        loop {
            if let Some(slot) = self.take(bucket, concurrency_max).await {
                return Some(slot);
            }
            if Instant::now() >= deadline {
                return None;
            }
            // Not all at once, and not in step.
            tokio::time::sleep(Duration::from_millis(3 + rand::random::<u64>() % 10)).await;
        }
    }

    fn take_local(&self, bucket: &str, concurrency_max: u32) -> Option<Slot> {
        let mut local = self.0.local.lock().expect("no code panics while it holds the counts");
        let taken = local.entry(bucket.to_owned()).or_default();
        if *taken >= concurrency_max {
            return None;
        }
        *taken += 1;
        Some(Slot { bucket: bucket.to_owned(), lease: String::new(), shared: false })
    }

    pub async fn give(&self, slot: Slot) {
        if slot.shared {
            if let Some(redis) = &self.0.redis {
                redis.give(&slot).await;
            }
            return;
        }
        let mut local = self.0.local.lock().expect("no code panics while it holds the counts");
        if let Some(taken) = local.get_mut(&slot.bucket) {
            *taken = taken.saturating_sub(1);
            if *taken == 0 {
                local.remove(&slot.bucket);
            }
        }
    }
}

impl Redis {
    /// `None` where Redis does not answer.
    async fn take(&self, bucket: &str, concurrency_max: u32) -> Option<Option<Slot>> {
        if self.is_resting() {
            return None;
        }
        let lease = Uuid::now_v7().simple().to_string();
        let call = async {
            let mut connection = self.connection().await?;
            let lease_ms = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
            self.take
                .key(self.key(bucket))
                .arg(concurrency_max)
                .arg(&lease)
                .arg(lease_ms)
                .invoke_async::<bool>(&mut connection)
                .await
        };
        let taken = self.answer(call).await?;
        Some(taken.then(|| Slot { bucket: bucket.to_owned(), lease, shared: true }))
    }

    async fn give(&self, slot: &Slot) {
        let call = async {
            let mut connection = self.connection().await?;
            redis::cmd("ZREM").arg(self.key(&slot.bucket)).arg(&slot.lease).query_async::<i64>(&mut connection).await
        };
        // If this fails the lease expires by itself.
        self.answer(call).await;
    }

    fn key(&self, bucket: &str) -> String {
        format!("{}slots:{bucket}", self.prefix)
    }

    async fn connection(&self) -> redis::RedisResult<ConnectionManager> {
        self.manager.get_or_try_init(|| ConnectionManager::new(self.client.clone())).await.cloned()
    }

    async fn answer<T>(&self, call: impl Future<Output = redis::RedisResult<T>>) -> Option<T> {
        let error = match tokio::time::timeout(REDIS_TIMEOUT, call).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", REDIS_TIMEOUT.as_millis()),
        };
        let mut resting_until = self.resting_until.lock().expect("no code panics while it holds the time");
        *resting_until = Some(Instant::now() + REDIS_REST);
        warn!(error, "Redis does not answer; a smaller limit within this process serves");
        None
    }

    fn is_resting(&self) -> bool {
        self.resting_until.lock().expect("no code panics while it holds the time").is_some_and(|until| Instant::now() < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_more_slots_than_the_limit_are_out_at_once() {
        let limiter = Limiter::in_process();
        let first = limiter.take("a", 2).await.unwrap();
        let _second = limiter.take("a", 2).await.unwrap();
        assert!(limiter.take("a", 2).await.is_none());
        assert!(limiter.take("b", 2).await.is_some(), "another bucket is another limit");
        limiter.give(first).await;
        assert!(limiter.take("a", 2).await.is_some());
    }
}
