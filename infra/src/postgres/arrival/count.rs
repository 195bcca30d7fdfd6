//! What came between two moments, by series and bucket. One statement reads the messages of that time by the index on their ids, and each
//! message is read once: the hot way of intake writes nothing for it.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, Utc};
use domain::arrival::{BUCKET_S, Bucket};
use domain::id::{ConnectionId, FlowId};
use domain::lane::Lane;
use domain::message::Origin;
use domain::record::RecordKind;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::StoreError;
use super::look::Reader;

/// What a series is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Key {
    pub connection: ConnectionId,
    pub kind: RecordKind,
    pub part: Part,
}

/// Which part of what comes of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Part {
    Whole,
    Topic(String),
    /// What is planned for a flow of it.
    Flow(FlowId),
}

impl Part {
    /// As the row has it.
    pub fn of(topic: String, flow: Option<Uuid>) -> Self {
        match flow {
            Some(flow) => Self::Flow(FlowId(flow)),
            None if topic.is_empty() => Self::Whole,
            None => Self::Topic(topic),
        }
    }

    /// As the row has it: what it is of beside its kind.
    pub fn topic(&self) -> String {
        match self {
            Self::Whole => String::new(),
            Self::Topic(topic) => topic.clone(),
            Self::Flow(flow) => flow.0.to_string(),
        }
    }

    pub fn flow(&self) -> Option<Uuid> {
        if let Self::Flow(flow) = self { Some(flow.0) } else { None }
    }
}

/// What came, by series, in order.
pub(super) type Counts = HashMap<Key, Vec<Bucket>>;

/// Leans on messages_list, whose ids carry the time; a message is of the bucket in which it was committed, whatever its id says.
pub const COUNT_SQL: &str = "
    SELECT m.connection_id, m.record_kind, CASE WHEN m.origin = $5 THEN left(m.topic, 200) ELSE '' END AS topic,
           greatest(floor(extract(epoch FROM least(m.received_at, $3 - interval '1 microsecond') - $2) / $4), 0)::bigint AS bucket,
           count(*) AS count, max(m.received_at) AS last_at
    FROM messages m
    WHERE m.tenant_id = $1 AND m.id >= uuid7_floor($2) AND m.id < uuid7_floor($3)
      AND m.record_kind IS NOT NULL AND m.origin = ANY($6)
    GROUP BY 1, 2, 3, 4";

/// Leans on deliveries_list, whose ids carry the time. What is brought or sent anew in bulk, and what takes something back, says nothing of a flow.
pub const PLANNED_SQL: &str = "
    SELECT d.flow_id, greatest(floor(extract(epoch FROM least(d.planned_at, $3 - interval '1 microsecond') - $2) / $4), 0)::bigint AS bucket,
           count(*) AS count, max(d.planned_at) AS last_at
    FROM deliveries d
    WHERE d.tenant_id = $1 AND d.id >= uuid7_floor($2) AND d.id < uuid7_floor($3) AND d.lane < $5 AND d.undoes IS NULL
    GROUP BY 1, 2";

/// Counts what came from `from` on and before `until`, and what was planned for these flows. What people, backfills and Crossdock itself bring says nothing of a
/// source.
pub(super) async fn count(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    readers: &HashMap<FlowId, Reader>,
) -> Result<Counts, StoreError> {
    let rows = sqlx::query(COUNT_SQL)
        .bind(tenant)
        .bind(from)
        .bind(until)
        .bind(BUCKET_S)
        .bind(Origin::Webhook.as_str())
        .bind([Origin::Webhook, Origin::Poll, Origin::File].map(Origin::as_str).as_slice())
        .fetch_all(&mut **tx)
        .await?;
    let mut counts: HashMap<Key, BTreeMap<i64, Bucket>> = HashMap::new();
    for row in rows {
        let Some(kind) = RecordKind::parse(row.try_get("record_kind")?) else { continue };
        let (connection, topic) = (ConnectionId(row.try_get("connection_id")?), row.try_get::<String, _>("topic")?);
        let whole = Key { connection, kind, part: Part::Whole };
        if !topic.is_empty() {
            add(&mut counts, Key { part: Part::Topic(topic), ..whole.clone() }, &row, from)?;
        }
        add(&mut counts, whole, &row, from)?;
    }
    let rows = sqlx::query(PLANNED_SQL).bind(tenant).bind(from).bind(until).bind(BUCKET_S).bind(Lane::Backfill.rank());
    for row in rows.fetch_all(&mut **tx).await? {
        let flow = FlowId(row.try_get("flow_id")?);
        let Some(reader) = readers.get(&flow) else { continue };
        add(&mut counts, Key { connection: reader.source, kind: reader.kind, part: Part::Flow(flow) }, &row, from)?;
    }
    Ok(counts.into_iter().map(|(key, buckets)| (key, buckets.into_values().collect())).collect())
}

fn add(counts: &mut HashMap<Key, BTreeMap<i64, Bucket>>, key: Key, row: &PgRow, from: DateTime<Utc>) -> Result<(), StoreError> {
    let (bucket, last_at): (i64, DateTime<Utc>) = (row.try_get("bucket")?, row.try_get("last_at")?);
    let count = u32::try_from(row.try_get::<i64, _>("count")?).unwrap_or(u32::MAX);
    let at = from + Duration::seconds(bucket.saturating_mul(BUCKET_S));
    let sum = counts.entry(key).or_default().entry(bucket).or_insert(Bucket { at, count: 0, last_at });
    (sum.count, sum.last_at) = (sum.count.saturating_add(count), sum.last_at.max(last_at));
    Ok(())
}
