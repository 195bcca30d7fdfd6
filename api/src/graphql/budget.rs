//! Budgets: how many calls a connection may make, and how that refills.

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use connectors::Connector;
use domain::id::ConnectionId;
use infra::limiter::{Buckets, BudgetView, Limiter};

/// One bucket of a vendor's limits, as it stands for a connection. What is counted are calls, or points where the vendor counts points.
#[derive(SimpleObject)]
#[graphql(name = "Budget")]
pub struct BudgetNode {
    /// The vendor's bucket, as the connector names it; empty where it declares none.
    bucket: String,
    /// calls or points.
    counts: &'static str,
    /// What comes back in a second, declared by the connector or told by the vendor; null where neither says.
    per_s: Option<f64>,
    /// What comes back in a second as it was learned from refusals, where that is less.
    learned_per_s: Option<f64>,
    /// What may go at once after a quiet time, without the reserve; null where no rate is known.
    burst: Option<f64>,
    /// What is there now for us.
    remaining: Option<f64>,
    /// What the vendor said last is left in all.
    told_remaining: Option<f64>,
    /// Calls at once, declared; null for any number.
    concurrency: Option<i32>,
    /// Calls at once as it was learned from refusals, where that is fewer.
    learned_concurrency: Option<i32>,
    /// Calls under way; of a bucket that has no limit of calls at once, 0.
    in_flight: i32,
    /// Nothing is sent before this moment: the vendor asked for it.
    blocked_until: Option<DateTime<Utc>>,
    /// Percent of it that are kept for other applications of the same account.
    reserve_pct: i32,
    /// shared, where all workers count together; or process, where there is no Redis, or it is away: then it is what this process knows.
    source: &'static str,
}

/// All buckets of a connection.
pub async fn of(
    limiter: &Limiter,
    connection: ConnectionId,
    connector: &Connector,
    settings: &serde_json::Value,
    reserve_pct: Option<u32>,
) -> Vec<BudgetNode> {
    let buckets = Buckets::new(connection, connector.all_buckets(settings, reserve_pct));
    limiter.look(&buckets).await.into_iter().map(BudgetNode::from).collect()
}

impl From<BudgetView> for BudgetNode {
    fn from(view: BudgetView) -> Self {
        let (allowed, budget) = (view.bucket.allowed, view.budget);
        let (pace, scale) = (budget.pace(&allowed), if budget.scale > 0.0 { budget.scale } else { 1.0 });
        // To a thousandth: doubles that were divided show it.
        let rounded = |number: f64| (number * 1000.0).round() / 1000.0;
        let some = |number: f64| (number > 0.0).then(|| rounded(number));
        #[expect(clippy::cast_possible_truncation, reason = "calls at once, and milliseconds of this age of the world")]
        let (count, time) = (|number: f64| number as i32, |ms: f64| DateTime::<Utc>::from_timestamp_millis(ms as i64));
        Self {
            bucket: view.bucket.name,
            counts: if view.bucket.is_points { "points" } else { "calls" },
            per_s: some(allowed.per_s * scale),
            learned_per_s: some(budget.rate),
            burst: some(pace.per_s).map(|_| rounded(pace.burst)),
            remaining: budget.there(&allowed, view.now).map(rounded),
            told_remaining: some(budget.left_at).map(|_| budget.left),
            concurrency: some(allowed.concurrency).map(count),
            learned_concurrency: some(budget.concurrency).map(count),
            in_flight: i32::try_from(view.in_flight).unwrap_or(i32::MAX),
            blocked_until: time(budget.blocked_until).filter(|_| budget.blocked_until > view.now),
            reserve_pct: count(((1.0 - allowed.keep) * 100.0).round()),
            source: if view.shared { "shared" } else { "process" },
        }
    }
}
