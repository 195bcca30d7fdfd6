//! How much comes and goes, and how long it takes, in pieces of time side by side.

use async_graphql::{Context, Object, Result, SimpleObject};
use chrono::{DateTime, Duration, Utc};
use domain::permission::Permission;
use infra::postgres::throughput::{SAMPLE_MAX, Throughput};

use super::error::{Code, fail, within};
use super::page::AGGREGATE_COST;

const PIECE_MINUTES_MAX: i32 = 60;
const PIECES_MAX: i32 = 48;
/// How far back the first piece may begin.
const DAYS_MAX: i64 = 3;

/// What came and went in one piece of time.
#[derive(SimpleObject)]
#[graphql(name = "Throughput")]
struct ThroughputNode {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// Messages that were accepted.
    accepted: i64,
    /// Deliveries that were confirmed, of all lanes.
    confirmed: i64,
    /// Live deliveries that were confirmed; the newest 2,000 at most.
    live: i64,
    /// Those of them that are of orders.
    live_orders: i64,
    /// More live deliveries were confirmed than are looked at: `live`, `liveOrders` and the times are of the newest 2,000.
    is_sampled: bool,
    /// Half of the live ones were confirmed within so many milliseconds of their message's acceptance; null where there are none.
    p50_ms: Option<f64>,
    /// And 95 of 100 within these.
    p95_ms: Option<f64>,
}

impl From<Throughput> for ThroughputNode {
    fn from(piece: Throughput) -> Self {
        Self {
            from: piece.from,
            to: piece.to,
            accepted: piece.accepted,
            confirmed: piece.confirmed,
            live: piece.live,
            live_orders: piece.live_orders,
            is_sampled: piece.live >= SAMPLE_MAX,
            p50_ms: piece.p50_ms,
            p95_ms: piece.p95_ms,
        }
    }
}

#[derive(Default)]
pub struct ThroughputQuery;

#[Object]
impl ThroughputQuery {
    /// How much came and went, and how long it took, in 1 to 48 pieces of 1 to 60 minutes that lie side by side, the oldest first. The first begins at `from`,
    /// three days back at most.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn throughput(
        &self,
        ctx: &Context<'_>,
        from: DateTime<Utc>,
        #[graphql(default = 5)] piece_minutes: i32,
        #[graphql(default = 12)] pieces: i32,
    ) -> Result<Vec<ThroughputNode>> {
        let bounded = |name: &str, value: i32, max: i32| {
            u32::try_from(value)
                .ok()
                .filter(|_| (1..=max).contains(&value))
                .ok_or_else(|| fail(Code::BadRequest, &format!("`{name}` is from 1 to {max}")))
        };
        let (minutes, count) =
            (bounded("pieceMinutes", piece_minutes, PIECE_MINUTES_MAX)?, bounded("pieces", pieces, PIECES_MAX)?);
        let now = Utc::now();
        if from < now - Duration::days(DAYS_MAX) || from > now {
            return Err(fail(Code::BadRequest, &format!("`from` is a moment of the last {DAYS_MAX} days")));
        }
        let all =
            within(ctx, Permission::ReadOperations, async |store| store.throughput(from, minutes * 60, count).await).await?;
        Ok(all.into_iter().map(Into::into).collect())
    }
}
