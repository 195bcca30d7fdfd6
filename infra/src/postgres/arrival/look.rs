//! The look at a tenant's arrivals: what came since the last one is counted, each series learns from it, and alarms are raised as incidents and
//! closed, in one transaction, by one worker at a time.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use domain::arrival::{Alarm, AlarmPolicy, BUCKET_S, Series, Told, flow_silence, silence, surge, topic_silence};
use domain::audit::Action;
use domain::fault::Owner;
use domain::id::{ArrivalSeriesId, ConnectionId, FlowId, IncidentId, TenantId};
use domain::record::RecordKind;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::count::{Counts, Key, Part, count};
use super::{alarm_word, of_row, policy, watch_lock};
use crate::postgres::breaker::ACCOUNT;
use crate::postgres::poll::sweep_now;
use crate::postgres::receive::audit;
use crate::postgres::{Store, StoreError, TenantStore};

/// A message is counted so long after its id was made: what is committed later than that is not counted.
const LAG: Duration = Duration::seconds(30);
/// What one look counts at most; where more is left the next one comes at once.
const CHUNK: Duration = Duration::days(1);
/// Looks that were not made for so long, while nothing came for the tenant, say that nobody could receive.
const AWAY: Duration = Duration::minutes(30);
/// Series of a tenant; what comes beyond them is not watched.
const SERIES_MAX: usize = 1_000;
/// A series in which nothing happens is written so often.
const WRITE_EVERY: Duration = Duration::hours(1);
/// Looks of many tenants do not come at the same second.
const SPREAD_S: f64 = 20.0;

/// What a look came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looked {
    pub opened: usize,
    pub closed: usize,
    /// There is more to count: the next look is due at once.
    pub is_behind: bool,
}

/// A series as it is known.
struct Known {
    id: ArrivalSeriesId,
    key: Key,
    series: Series,
    muted_until: Option<DateTime<Utc>>,
    /// As the row has it.
    written_until: Option<DateTime<Utc>>,
    is_changed: bool,
}

/// What alarms depend on beside what comes.
struct Around {
    /// Names of the connections that are active.
    active: HashMap<ConnectionId, String>,
    /// What published flows read.
    read: HashSet<(ConnectionId, RecordKind)>,
    readers: HashMap<FlowId, Reader>,
    /// What other incidents tell already: a source that cannot be listed, by its kind; or all of a connection.
    told: HashSet<(ConnectionId, Option<RecordKind>)>,
    /// Kinds with a poll that is on: it is the sweep that finds what webhooks missed.
    swept: HashSet<(ConnectionId, RecordKind)>,
}

/// A flow that is published.
pub(super) struct Reader {
    pub name: String,
    pub source: ConnectionId,
    pub kind: RecordKind,
    /// Since when it chooses what it does now: what was planned before says nothing of what is to be.
    pub chooses_since: DateTime<Utc>,
}

impl Around {
    /// True of a series of which something is to come.
    fn is_on(&self, key: &Key) -> bool {
        self.active.contains_key(&key.connection)
            && match &key.part {
                Part::Whole | Part::Topic(_) => true,
                Part::Flow(flow) => self.readers.get(flow).is_some_and(|reader| reader.source == key.connection),
            }
    }
}

impl Store {
    /// Tenants whose arrivals are to be counted, leased for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn arrival_watches_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, TenantId)>, StoreError> {
        self.take("SELECT tenant_id, id FROM arrival_watches_take($1, make_interval(secs => $2))", count_max, lease_s).await
    }
}

impl TenantStore<'_> {
    /// Counts, learns, and raises and closes alarms.
    ///
    /// # Errors
    /// Where the transaction did not commit: then nothing was counted, and the next look does it.
    pub async fn arrival_look(&self, now: DateTime<Utc>) -> Result<Looked, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        let Some(counted_until) = watch_lock(&mut tx, tenant).await? else { return Ok(Looked::default()) };
        let from = floor(counted_until);
        let newest = floor(now - LAG);
        let until = newest.min(from + CHUNK);
        let mut looked = Looked::default();
        if until > from {
            let policy = policy(&mut tx, tenant).await?;
            let around = around(&mut tx, tenant).await?;
            let counts = count(&mut tx, tenant, from, until, &around.readers).await?;
            let mut all = load(&mut tx, tenant).await?;
            let is_away = until - from > AWAY && counts.is_empty();
            take_in(&mut all, counts, &around, &policy, until, is_away);
            write(&mut tx, tenant, &mut all).await?;
            if until == newest {
                looked = self.alarms_tell(&mut tx, &all, &around, &policy, now).await?;
            }
        } else {
            // Somebody muted or forgot something.
            let (policy, around) = (policy(&mut tx, tenant).await?, around(&mut tx, tenant).await?);
            let all = load(&mut tx, tenant).await?;
            looked = self.alarms_tell(&mut tx, &all, &around, &policy, now).await?;
        }
        let until = until.max(from);
        let next = if until < newest { now } else { until + Duration::seconds(BUCKET_S) + LAG };
        sqlx::query(
            "UPDATE arrival_watches SET counted_until = $2, look_at = $3 + make_interval(secs => random() * $4), lease_until = now()
             WHERE tenant_id = $1",
        )
        .bind(tenant)
        .bind(until)
        .bind(next)
        .bind(if until < newest { 0.0 } else { SPREAD_S })
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        looked.is_behind = until < newest;
        Ok(looked)
    }

    /// Opens an incident for each alarm that is to be told, and closes those of alarms that are over.
    async fn alarms_tell(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        all: &[Known],
        around: &Around,
        policy: &AlarmPolicy,
        now: DateTime<Utc>,
    ) -> Result<Looked, StoreError> {
        let tenant = self.scope().tenant;
        let open: HashMap<Uuid, String> = sqlx::query_as::<_, (Uuid, String)>(
            "SELECT series_id, code FROM incidents WHERE tenant_id = $1 AND series_id IS NOT NULL AND closed_at IS NULL",
        )
        .bind(tenant.0)
        .fetch_all(&mut **tx)
        .await?
        .into_iter()
        .collect();
        let to_tell = to_tell(all, around, policy, now);
        // Closed as well where the same series surges that was silent.
        let over: Vec<Uuid> = open
            .iter()
            .filter(|(id, code)| !to_tell.iter().any(|(known, alarm, _)| known.id.0 == **id && self::code(*alarm) == **code))
            .map(|(id, _)| *id)
            .collect();
        let mut looked = Looked::default();
        if !over.is_empty() {
            let close = "UPDATE incidents SET closed_at = now() WHERE series_id = ANY($1) AND closed_at IS NULL RETURNING id";
            let closed: Vec<Uuid> = sqlx::query_scalar(close).bind(&over).fetch_all(&mut **tx).await?;
            looked.closed = closed.len();
            audit(tx, self.scope(), Action::IncidentClosed, "incident", &closed).await?;
        }
        if to_tell.is_empty() {
            return Ok(looked);
        }
        let ids: Vec<Uuid> = to_tell.iter().map(|_| IncidentId::generate().0).collect();
        let text = |of: fn(&(&Known, Alarm, Told)) -> String| to_tell.iter().map(of).collect::<Vec<_>>();
        // One that is open says how long by now.
        let written: HashSet<Uuid> = sqlx::query_scalar(
            "INSERT INTO incidents (id, tenant_id, connection_id, series_id, operation, code, sentence, owner, next_step)
             SELECT id, $1, connection_id, series_id, operation, code, sentence, $2, next_step
             FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[])
                  AS i (id, connection_id, series_id, operation, code, sentence, next_step)
             ON CONFLICT (series_id) WHERE closed_at IS NULL DO UPDATE SET sentence = excluded.sentence, next_step = excluded.next_step
             RETURNING id",
        )
        .bind(tenant.0)
        .bind(Owner::Operations.as_str())
        .bind(&ids)
        .bind(to_tell.iter().map(|(known, ..)| known.key.connection.0).collect::<Vec<_>>())
        .bind(to_tell.iter().map(|(known, ..)| known.id.0).collect::<Vec<_>>())
        .bind(text(|(known, alarm, _)| {
            let (kind, alarm) = (known.key.kind.as_str(), alarm_word(*alarm));
            match &known.key.part {
                Part::Whole => format!("{kind}.{alarm}"),
                Part::Topic(topic) => format!("{topic}.{alarm}"),
                Part::Flow(_) => format!("{kind}.flow.{alarm}"),
            }
        }))
        .bind(text(|(_, alarm, _)| code(*alarm).to_owned()))
        .bind(text(|(.., told)| told.sentence.clone()))
        .bind(text(|(.., told)| told.next_step.clone()))
        .fetch_all(&mut **tx)
        .await?
        .into_iter()
        .collect();
        let news: Vec<usize> = (0..ids.len()).filter(|at| written.contains(&ids[*at])).collect();
        let opened: Vec<Uuid> = news.iter().map(|at| ids[*at]).collect();
        if opened.is_empty() {
            return Ok(looked);
        }
        looked.opened = opened.len();
        audit(tx, self.scope(), Action::IncidentOpened, "incident", &opened).await?;
        let silent: Vec<&Key> =
            news.iter().filter(|at| to_tell[**at].1 == Alarm::Silence).map(|at| &to_tell[*at].0.key).collect();
        // They bring what webhooks missed, or say why they cannot.
        let kinds: Vec<_> = silent.iter().map(|key| (key.connection.0, key.kind.as_str())).collect();
        sweep_now(tx, &kinds).await?;
        sqlx::query("UPDATE alert_watches SET look_at = now() WHERE tenant_id = $1").bind(tenant.0).execute(&mut **tx).await?;
        Ok(looked)
    }
}

fn code(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::Silence => "arrival.silence",
        Alarm::Surge => "arrival.surge",
    }
}

/// The alarms that people are told of: of what a published flow reads, from a connection that is on, and of which nothing else tells.
fn to_tell<'k>(all: &'k [Known], around: &Around, policy: &AlarmPolicy, now: DateTime<Utc>) -> Vec<(&'k Known, Alarm, Told)> {
    let silent: HashSet<(ConnectionId, RecordKind)> = all
        .iter()
        .filter(|known| known.key.part == Part::Whole && known.series.alarm == Some(Alarm::Silence))
        .map(|known| (known.key.connection, known.key.kind))
        .collect();
    let mut told = Vec::new();
    for known in all {
        let Some(alarm) = known.series.alarm else { continue };
        let key = &known.key;
        let of = (key.connection, key.kind);
        let Some(name) = around.active.get(&key.connection) else { continue };
        let is_muted = known.muted_until.is_some_and(|until| until > now);
        let is_told = around.told.contains(&(key.connection, None)) || around.told.contains(&(key.connection, Some(key.kind)));
        // Of a topic or a flow only that it alone is silent.
        let is_of_kind = key.part != Part::Whole && (alarm == Alarm::Surge || silent.contains(&of));
        if is_muted || is_of_kind || !around.read.contains(&of) || alarm == Alarm::Silence && is_told || !around.is_on(key) {
            continue;
        }
        let (series, is_swept) = (&known.series, around.swept.contains(&of));
        let hourly = series.band(now, policy.zone).map_or(0.0, |band| band.expected);
        let empty = now - series.last_at.unwrap_or(series.begun_at);
        let said = match (alarm, &key.part) {
            (Alarm::Surge, _) => surge(key.kind, name, series.seen(), hourly),
            (Alarm::Silence, Part::Whole) => silence(key.kind, name, empty, series.missing(), hourly, is_swept),
            (Alarm::Silence, Part::Topic(topic)) => topic_silence(topic, name, empty, series.missing(), is_swept),
            (Alarm::Silence, Part::Flow(flow)) => {
                let flow = around.readers.get(flow).map_or("", |reader| &reader.name);
                flow_silence(flow, key.kind, name, empty, series.missing())
            }
        };
        told.push((known, alarm, said));
    }
    told
}

/// Each series takes in what came; those that are not known yet begin with their first arrival.
fn take_in(all: &mut Vec<Known>, mut counts: Counts, around: &Around, policy: &AlarmPolicy, until: DateTime<Utc>, is_away: bool) {
    for known in all.iter_mut() {
        let before = known.series.alarm;
        let buckets = counts.remove(&known.key).unwrap_or_default();
        let is_on = around.is_on(&known.key);
        let reader = if let Part::Flow(flow) = &known.key.part { around.readers.get(flow) } else { None };
        if let Some(reader) = reader.filter(|reader| reader.chooses_since > known.series.begun_at && is_on) {
            known.series = Series::new(reader.chooses_since);
        }
        if !is_on {
            known.series.skip(until);
        } else if is_away {
            known.series.pass(until);
        } else {
            known.series.advance(&buckets, until, policy.zone, policy.sensitivity);
        }
        let is_old = known.written_until.is_none_or(|written| until - written >= WRITE_EVERY);
        known.is_changed = !buckets.is_empty() || before != known.series.alarm || is_old || is_away || !is_on;
    }
    let mut new: Vec<_> = counts.into_iter().filter(|(key, _)| around.is_on(key)).collect();
    new.sort_by(|(a, _), (b, _)| a.cmp(b));
    new.truncate(SERIES_MAX.saturating_sub(all.len()));
    for (key, buckets) in new {
        let Some(first) = buckets.first() else { continue };
        let mut series = Series::new(first.at);
        series.advance(&buckets, until, policy.zone, policy.sensitivity);
        let id = ArrivalSeriesId::generate();
        all.push(Known { id, key, series, muted_until: None, written_until: None, is_changed: true });
    }
}

async fn around(tx: &mut Transaction<'static, Postgres>, tenant: Uuid) -> Result<Around, StoreError> {
    type Pair = (Uuid, String);
    let active: Vec<Pair> = sqlx::query_as("SELECT id, name FROM connections WHERE tenant_id = $1 AND state = 'active'")
        .bind(tenant)
        .fetch_all(&mut **tx)
        .await?;
    let readers = readers(tx, tenant).await?;
    let told: Vec<(Uuid, Option<String>)> = sqlx::query_as(
        "SELECT n.connection_id, p.kind FROM incidents n LEFT JOIN polls p ON p.id = n.poll_id
         WHERE n.tenant_id = $1 AND n.closed_at IS NULL AND n.series_id IS NULL AND (n.poll_id IS NOT NULL OR n.operation = $2)",
    )
    .bind(tenant)
    .bind(ACCOUNT)
    .fetch_all(&mut **tx)
    .await?;
    let swept: Vec<Pair> = sqlx::query_as("SELECT connection_id, kind FROM polls WHERE tenant_id = $1 AND state = 'active'")
        .bind(tenant)
        .fetch_all(&mut **tx)
        .await?;
    let kinds = |pairs: Vec<Pair>| {
        pairs.into_iter().filter_map(|(id, kind)| Some((ConnectionId(id), RecordKind::parse(&kind)?))).collect::<HashSet<_>>()
    };
    Ok(Around {
        active: active.into_iter().map(|(id, name)| (ConnectionId(id), name)).collect(),
        read: readers.values().map(|reader| (reader.source, reader.kind)).collect(),
        readers,
        told: told
            .into_iter()
            .filter_map(|(id, kind)| match kind {
                // A source of rates is none of records.
                Some(kind) => Some((ConnectionId(id), Some(RecordKind::parse(&kind)?))),
                None => Some((ConnectionId(id), None)),
            })
            .collect(),
        swept: kinds(swept),
    })
}

async fn readers(tx: &mut Transaction<'static, Postgres>, tenant: Uuid) -> Result<HashMap<FlowId, Reader>, StoreError> {
    let rows = sqlx::query(
        "SELECT f.id, f.name, f.source_connection_id, f.record_kind, o.since
         FROM flows f JOIN flow_versions p ON p.flow_id = f.id AND p.state = 'published'
         CROSS JOIN LATERAL (
             SELECT max(v.published_at) AS since FROM (
                 SELECT v.published_at, row_number() OVER w = 1 OR v.filter IS DISTINCT FROM lag(v.filter) OVER w
                                        OR v.trigger IS DISTINCT FROM lag(v.trigger) OVER w AS is_other
                 FROM flow_versions v WHERE v.flow_id = f.id AND v.published_at IS NOT NULL WINDOW w AS (ORDER BY v.version)
             ) v WHERE v.is_other
         ) o
         WHERE f.tenant_id = $1",
    );
    let mut readers = HashMap::new();
    for row in rows.bind(tenant).fetch_all(&mut **tx).await? {
        let Some(kind) = RecordKind::parse(row.try_get("record_kind")?) else { continue };
        let source = ConnectionId(row.try_get("source_connection_id")?);
        let reader = Reader { name: row.try_get("name")?, source, kind, chooses_since: floor(row.try_get("since")?) };
        readers.insert(FlowId(row.try_get("id")?), reader);
    }
    Ok(readers)
}

async fn load(tx: &mut Transaction<'static, Postgres>, tenant: Uuid) -> Result<Vec<Known>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, connection_id, kind, topic, flow_id, begun_at, until_at, last_at, alarm, memory, muted_until
         FROM arrival_series WHERE tenant_id = $1 ORDER BY id LIMIT $2",
    );
    let rows = rows.bind(tenant).bind(i64::try_from(SERIES_MAX).unwrap_or(i64::MAX)).fetch_all(&mut **tx).await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(kind) = RecordKind::parse(row.try_get("kind")?) else { continue };
        all.push(Known {
            id: ArrivalSeriesId(row.try_get("id")?),
            key: Key {
                connection: ConnectionId(row.try_get("connection_id")?),
                kind,
                part: Part::of(row.try_get("topic")?, row.try_get("flow_id")?),
            },
            series: of_row(&row)?,
            muted_until: row.try_get("muted_until")?,
            written_until: row.try_get("until_at")?,
            is_changed: false,
        });
    }
    Ok(all)
}

async fn write(tx: &mut Transaction<'static, Postgres>, tenant: Uuid, all: &mut [Known]) -> Result<(), StoreError> {
    let changed: Vec<&Known> = all.iter().filter(|known| known.is_changed).collect();
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO arrival_series AS s (id, tenant_id, connection_id, kind, topic, flow_id, begun_at, until_at, last_at, memory, alarm)
         SELECT id, $1, connection_id, kind, topic, flow_id, begun_at, until_at, last_at, memory, alarm
         FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[], $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::bytea[], $11::text[])
              AS i (id, connection_id, kind, topic, flow_id, begun_at, until_at, last_at, memory, alarm)
         ON CONFLICT (connection_id, kind, topic) DO UPDATE SET flow_id = excluded.flow_id, begun_at = excluded.begun_at, until_at = excluded.until_at,
             last_at = excluded.last_at, memory = excluded.memory, alarm = excluded.alarm",
    )
    .bind(tenant)
    .bind(changed.iter().map(|known| known.id.0).collect::<Vec<_>>())
    .bind(changed.iter().map(|known| known.key.connection.0).collect::<Vec<_>>())
    .bind(changed.iter().map(|known| known.key.kind.as_str()).collect::<Vec<_>>())
    .bind(changed.iter().map(|known| known.key.part.topic()).collect::<Vec<_>>())
    .bind(changed.iter().map(|known| known.key.part.flow()).collect::<Vec<_>>())
    .bind(changed.iter().map(|known| known.series.begun_at).collect::<Vec<_>>())
    .bind(changed.iter().map(|known| known.series.until).collect::<Vec<_>>())
    .bind(changed.iter().map(|known| known.series.last_at).collect::<Vec<_>>())
    .bind(changed.iter().map(|known| known.series.to_bytes()).collect::<Vec<_>>())
    .bind(changed.iter().map(|known| known.series.alarm.map(alarm_word)).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn floor(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp(at.timestamp().div_euclid(BUCKET_S) * BUCKET_S, 0).unwrap_or(at)
}
