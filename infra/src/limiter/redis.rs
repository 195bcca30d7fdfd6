//! Budgets in Redis, which all workers share: one atomic script for each call that is taken, and one for each that is given back.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use domain::governor::{Allowance, Budget, Heard, Verdict};
use domain::quota::{Quota, Spent};
use redis::aio::ConnectionManager;
use redis::{Client, RedisResult, Script, ScriptInvocation};
use tokio::sync::OnceCell;
use tracing::warn;

use super::{AHEAD, Asked, AskedBucket, Buckets, BudgetView, Permit, milliseconds};
use crate::home::Home;

/// After Redis failed, how long the local limit serves before Redis is asked again.
const REST: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_millis(500);

const TAKE: &str = concat!(include_str!("governor.lua"), include_str!("take.lua"));
const GIVE: &str = concat!(include_str!("governor.lua"), include_str!("give.lua"));
const LOOK: &str = concat!(include_str!("governor.lua"), include_str!("look.lua"));
const QUOTA: &str = include_str!("quota.lua");
/// Numbers of a budget that a look tells.
const NUMBERS: usize = Budget::NUMBERS;

pub(super) struct Redis {
    client: Client,
    home: Home,
    prefix: String,
    lease_ms: f64,
    manager: OnceCell<ConnectionManager>,
    take: Script,
    give: Script,
    look: Script,
    quota: Script,
    resting_until: Mutex<Option<Instant>>,
    /// The time that the scripts are told; 0 for Redis's own.
    pub(super) clock: f64,
}

impl Redis {
    pub fn open(url: &str, prefix: &str, lease: Duration) -> RedisResult<Self> {
        Ok(Self {
            client: Client::open(url)?,
            home: Home::here(),
            prefix: prefix.to_owned(),
            lease_ms: lease.as_secs_f64() * 1000.0,
            manager: OnceCell::new(),
            take: Script::new(TAKE),
            give: Script::new(GIVE),
            look: Script::new(LOOK),
            quota: Script::new(QUOTA),
            resting_until: Mutex::new(None),
            clock: 0.0,
        })
    }

    /// `None` where Redis does not answer.
    pub async fn take(&self, buckets: &Buckets, lease: &str) -> Option<Asked> {
        let mut call = self.take.prepare_invoke();
        call.arg(self.clock).arg(AHEAD.as_secs_f64() * 1000.0).arg(lease).arg(self.lease_ms);
        for bucket in &buckets.of {
            self.keys(&mut call, &buckets.name(bucket));
            allowance(&mut call, &bucket.allowed);
            call.arg(bucket.want().tokens);
        }
        let numbers = self.numbers(&call).await?;
        let [granted, now, wait, rest @ ..] = numbers.as_slice() else { return None };
        let bucket = |part: &[f64]| AskedBucket { in_flight: part[0], tokens: part[1], per_s: part[2], wait_ms: part[3] };
        let buckets = rest.chunks_exact(4).map(bucket).collect();
        Some(Asked { granted: *granted > 0.0, now: *now, wait: milliseconds(*wait), buckets })
    }

    pub async fn give(&self, permit: &Permit, heard: &[Heard]) {
        let mut call = self.give.prepare_invoke();
        call.arg(self.clock).arg(&permit.lease);
        for (part, heard) in permit.parts.iter().zip(heard) {
            self.keys(&mut call, &part.key);
            allowance(&mut call, &part.allowed);
            let verdict = match heard.verdict {
                Verdict::Silent => 0,
                Verdict::Served => 1,
                Verdict::Refused => 2,
            };
            call.arg(heard.sent_at).arg(heard.tokens).arg(heard.in_flight).arg(verdict);
            call.arg(heard.retry_after).arg(heard.spent).arg(heard.left).arg(heard.scale);
        }
        let invoke = async {
            let mut connection = self.connection().await?;
            call.invoke_async::<i64>(&mut connection).await
        };
        self.answer(invoke).await;
    }

    /// `None` where Redis does not answer.
    pub async fn look(&self, buckets: &Buckets) -> Option<Vec<BudgetView>> {
        let mut call = self.look.prepare_invoke();
        call.arg(self.clock);
        for name in buckets.names() {
            self.keys(&mut call, &name);
        }
        let numbers = self.numbers(&call).await?;
        let (now, rest) = numbers.split_first()?;
        let view = |(bucket, part): (&domain::governor::Bucket, &[f64])| BudgetView {
            bucket: bucket.clone(),
            budget: Budget::from_numbers(&part[1..]),
            now: *now,
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of calls at once")]
            in_flight: part[0] as u32,
            shared: true,
        };
        Some(buckets.of.iter().zip(rest.chunks_exact(NUMBERS + 1)).map(view).collect())
    }

    /// Takes so many calls of all these parts of an owner's, or of none; what the tightest says. They lie together in a Redis cluster, as the parts of a
    /// call do. `None` where Redis does not answer.
    pub async fn spend(&self, owner: &str, parts: &[(&str, Quota)], calls: f64) -> Option<Spent> {
        let mut call = self.quota.prepare_invoke();
        call.arg(self.clock).arg(calls);
        for (part, quota) in parts {
            call.key(format!("{}quota:{{{owner}}}{part}", self.prefix));
            call.arg(quota.per_minute.max(1)).arg(quota.burst);
        }
        let numbers = self.numbers(&call).await?;
        let told = numbers.chunks_exact(4).zip(parts).map(|(told, (_, quota))| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of calls, not above the burst")]
            let left = told[1] as u32;
            Spent { is_granted: told[0] > 0.0, quota: *quota, left, wait_ms: told[2], full_ms: told[3] }
        });
        told.reduce(Spent::tighter)
    }

    fn keys(&self, call: &mut ScriptInvocation<'_>, name: &str) {
        call.key(format!("{}budget:{name}", self.prefix));
        call.key(format!("{}leases:{name}", self.prefix));
    }

    async fn numbers(&self, call: &ScriptInvocation<'_>) -> Option<Vec<f64>> {
        if self.is_resting() {
            return None;
        }
        let invoke = async {
            let mut connection = self.connection().await?;
            call.invoke_async::<String>(&mut connection).await
        };
        let text = self.answer(invoke).await?;
        text.split(' ').map(|number| number.parse().ok()).collect()
    }

    async fn connection(&self) -> RedisResult<ConnectionManager> {
        self.manager.get_or_try_init(|| ConnectionManager::new(self.client.clone())).await.cloned()
    }

    async fn answer<T>(&self, call: impl Future<Output = RedisResult<T>>) -> Option<T> {
        let error = match self.home.run(tokio::time::timeout(TIMEOUT, call)).await {
            Ok(Ok(value)) => return Some(value),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no answer within {} ms", TIMEOUT.as_millis()),
        };
        let mut resting_until = self.resting_until.lock().expect("no code panics while it holds the time");
        *resting_until = Some(Instant::now() + REST);
        warn!(error, "Redis does not answer; a smaller limit within this process serves");
        None
    }

    fn is_resting(&self) -> bool {
        self.resting_until.lock().expect("no code panics while it holds the time").is_some_and(|until| Instant::now() < until)
    }
}

fn allowance(call: &mut ScriptInvocation<'_>, allowed: &Allowance) {
    call.arg(allowed.per_s).arg(allowed.burst).arg(allowed.concurrency).arg(allowed.keep);
}
