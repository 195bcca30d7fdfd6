//! Breakers and incidents in Postgres: one row for an operation of a connection, shared by all workers, and one open incident for each that
//! is open. A breaker is locked before any delivery that it holds is moved, so that none is held by one that closes at that moment.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::breaker::{Breaker, BreakerState, Gate, Tally, Turn};
use domain::fault::{Fault, Owner};
use domain::id::{ConnectionId, IncidentId, TenantId};
use domain::lane::Lane;
use domain::scope::Scope;
use domain::task::Nudge;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::audit;
use super::{Store, StoreError, TenantStore};

/// What is counted beyond the largest batch only says that there is more.
const WAITS_MAX: i64 = 1_001;
/// Deliveries that an incident counts; beyond that it says so many.
const WAITING_SHOWN_MAX: i64 = 100_000;
/// The operation of a connection's own breaker: its credential is refused, so nothing of it works.
pub const ACCOUNT: &str = "";

/// A breaker that is not closed, as whoever begins calls needs it.
#[derive(Debug, Clone)]
pub struct OpenBreaker {
    pub id: Uuid,
    pub operation: String,
    pub breaker: Breaker,
}

/// What came of calls to one operation, for its breaker.
#[derive(Debug, Clone)]
pub struct BreakerNote {
    pub connection: ConnectionId,
    pub operation: String,
    pub tally: Tally,
    /// The last failure: why it opens, if it does.
    pub fault: Option<Fault>,
}

/// Breakers that a transaction has locked.
#[derive(Debug, Default)]
pub(super) struct Locked(HashMap<Uuid, (ConnectionId, String, Breaker)>);

impl Locked {
    /// The breaker of all of a connection.
    pub(super) fn account(&self, connection: ConnectionId) -> Option<Uuid> {
        let mut all = self.0.iter().filter(|(_, (of, operation, _))| *of == connection && operation == ACCOUNT);
        all.find(|(_, (.., breaker))| breaker.state != BreakerState::Closed).map(|(id, _)| *id)
    }

    /// True where it holds what has not been let go.
    pub(super) fn holds(&self, id: Uuid) -> bool {
        self.0.get(&id).is_some_and(|(.., breaker)| breaker.gate(false) != Gate::Passes)
    }
}

/// Locks the breakers of connections, takes what came of calls, and opens and tells what must be opened and told.
pub(super) async fn note(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    notes: &[BreakerNote],
    holding: &[ConnectionId],
) -> Result<Locked, StoreError> {
    if notes.is_empty() && holding.is_empty() {
        return Ok(Locked::default());
    }
    // In one order in every transaction: two that insert the same rows wait for each other and never for ever.
    let mut missing: Vec<&BreakerNote> = notes.iter().filter(|note| note.fault.is_some()).collect();
    missing.sort_by(|a, b| (a.connection, &a.operation).cmp(&(b.connection, &b.operation)));
    if !missing.is_empty() {
        sqlx::query(
            "INSERT INTO breakers (id, tenant_id, connection_id, operation)
             SELECT id, $1, connection_id, operation FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS i (id, connection_id, operation)
             ON CONFLICT DO NOTHING",
        )
        .bind(scope.tenant.0)
        .bind(missing.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(missing.iter().map(|note| note.connection.0).collect::<Vec<_>>())
        .bind(missing.iter().map(|note| note.operation.as_str()).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
    }
    let connections: Vec<Uuid> = notes.iter().map(|note| note.connection).chain(holding.iter().copied()).map(|id| id.0).collect();
    let query = format!("SELECT {COLUMNS} FROM breakers WHERE connection_id = ANY($1) ORDER BY id FOR UPDATE");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(&connections).fetch_all(&mut **tx).await?;
    let mut locked = Locked::default();
    for row in &rows {
        let (id, connection, operation) =
            (row.try_get("id")?, ConnectionId(row.try_get("connection_id")?), row.try_get("operation")?);
        locked.0.insert(id, (connection, operation, read(row)?));
    }
    let (now, mut changed, mut opened, mut reopened) = (Utc::now(), Vec::new(), Vec::new(), Vec::new());
    for note in notes {
        let found = locked.0.iter_mut().find(|(_, (of, operation, _))| *of == note.connection && *operation == note.operation);
        let Some((id, (.., breaker))) = found else { continue };
        match (breaker.note(note.tally, note.operation == ACCOUNT, now, rand::random()), &note.fault) {
            (Turn::Opened, Some(fault)) => opened.push((*id, note, fault)),
            (Turn::Reopened, _) => reopened.push(*id),
            _ => {}
        }
        changed.push((*id, *breaker));
    }
    write(tx, &changed).await?;
    open_incidents(tx, scope, &opened).await?;
    if !reopened.is_empty() {
        let query = "UPDATE incidents SET probes = probes + 1 WHERE breaker_id = ANY($1) AND closed_at IS NULL";
        sqlx::query(query).bind(&reopened).execute(&mut **tx).await?;
    }
    Ok(locked)
}

/// One incident for each breaker that opened; one that is open already stays the only one.
async fn open_incidents(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    opened: &[(Uuid, &BreakerNote, &Fault)],
) -> Result<(), StoreError> {
    if opened.is_empty() {
        return Ok(());
    }
    let next_step = |note: &BreakerNote, fault: &Fault| match note.operation == ACCOUNT {
        true => format!("{} What waits is sent by itself then.", fault.fix.replace(", then press Retry.", ".")),
        false => "Nothing to do: what waits is sent by itself once the destination answers again.".to_owned(),
    };
    let owner = |note: &BreakerNote, fault: &Fault| if note.operation == ACCOUNT { fault.owner } else { Owner::Vendor };
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO incidents (id, tenant_id, connection_id, breaker_id, operation, code, sentence, owner, next_step)
         SELECT id, $1, connection_id, breaker_id, operation, code, sentence, owner, next_step
         FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
              AS i (id, connection_id, breaker_id, operation, code, sentence, owner, next_step)
         ON CONFLICT (breaker_id) WHERE closed_at IS NULL DO NOTHING RETURNING id",
    )
    .bind(scope.tenant.0)
    .bind(opened.iter().map(|_| IncidentId::generate().0).collect::<Vec<_>>())
    .bind(opened.iter().map(|(_, note, _)| note.connection.0).collect::<Vec<_>>())
    .bind(opened.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
    .bind(opened.iter().map(|(_, note, _)| note.operation.as_str()).collect::<Vec<_>>())
    .bind(opened.iter().map(|(.., fault)| format!("{}.{}", fault.class.as_str(), fault.code)).collect::<Vec<_>>())
    .bind(opened.iter().map(|(.., fault)| fault.reason.as_str()).collect::<Vec<_>>())
    .bind(opened.iter().map(|(_, note, fault)| owner(note, fault).as_str()).collect::<Vec<_>>())
    .bind(opened.iter().map(|(_, note, fault)| next_step(note, fault)).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    audit(tx, scope, Action::IncidentOpened, "incident", &ids).await
}

const COLUMNS: &str = "id, connection_id, operation, state, calls, faults, run, window_at, opens, batch, next_at";

fn read(row: &PgRow) -> Result<Breaker, StoreError> {
    let id: Uuid = row.try_get("id")?;
    let corrupt = || StoreError::Corrupt { what: "the state of the breaker", id: id.to_string(), why: "unknown word".into() };
    let number = |name: &str| Ok::<u32, sqlx::Error>(u32::try_from(row.try_get::<i32, _>(name)?).unwrap_or(0));
    Ok(Breaker {
        state: BreakerState::parse(row.try_get("state")?).ok_or_else(corrupt)?,
        tally: Tally { calls: number("calls")?, faults: number("faults")?, run: number("run")?, is_refused: false },
        window_at: row.try_get("window_at")?,
        opens: number("opens")?,
        batch: number("batch")?,
        next_at: row.try_get("next_at")?,
    })
}

async fn write(tx: &mut Transaction<'static, Postgres>, changed: &[(Uuid, Breaker)]) -> Result<(), StoreError> {
    if changed.is_empty() {
        return Ok(());
    }
    let numbers =
        |of: fn(&Breaker) -> u32| changed.iter().map(|(_, b)| i32::try_from(of(b)).unwrap_or(i32::MAX)).collect::<Vec<_>>();
    sqlx::query(
        "UPDATE breakers b SET state = i.state, calls = i.calls, faults = i.faults, run = i.run, window_at = i.window_at, opens = i.opens,
                batch = i.batch, next_at = i.next_at
         FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::int[], $6::timestamptz[], $7::int[], $8::int[], $9::timestamptz[])
              AS i (id, state, calls, faults, run, window_at, opens, batch, next_at)
         WHERE b.id = ANY($1) AND b.id = i.id",
    )
    .bind(changed.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, b)| b.state.as_str()).collect::<Vec<_>>())
    .bind(numbers(|b| b.tally.calls))
    .bind(numbers(|b| b.tally.faults))
    .bind(numbers(|b| b.tally.run))
    .bind(changed.iter().map(|(_, b)| b.window_at).collect::<Vec<_>>())
    .bind(numbers(|b| b.opens))
    .bind(numbers(|b| b.batch))
    .bind(changed.iter().map(|(_, b)| b.next_at).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Somebody mended the connection: what its breakers hold is tried now, and what is unknown is asked about now.
pub(super) async fn try_now(tx: &mut Transaction<'static, Postgres>, connection: ConnectionId) -> Result<(), StoreError> {
    let query = format!("SELECT {COLUMNS} FROM breakers WHERE connection_id = $1 AND state <> 'closed' ORDER BY id FOR UPDATE");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(connection.0).fetch_all(&mut **tx).await?;
    let mut changed = Vec::new();
    for row in &rows {
        let mut breaker = read(row)?;
        breaker.try_now(Utc::now());
        changed.push((row.try_get("id")?, breaker));
    }
    write(tx, &changed).await?;
    if !changed.is_empty() {
        // Leans on deliveries_sweep.
        let ask = "UPDATE deliveries SET due_at = now(), sweep_at = now() WHERE connection_id = $1 AND state = 'unknown' AND due_at > now()
                   AND NOT EXISTS (SELECT FROM attempts a WHERE a.id = deliveries.attempt_id AND a.ended_at IS NULL)";
        sqlx::query(ask).bind(connection.0).execute(&mut **tx).await?;
    }
    Ok(())
}

/// So many of those that a breaker holds, what goes first before the rest. A probe is none that an earlier delivery of its record stands before:
/// it would not be sent, and its answer waited for in vain.
async fn held(
    tx: &mut Transaction<'static, Postgres>,
    breaker: Uuid,
    count: u32,
    is_probe: bool,
) -> Result<Vec<Uuid>, StoreError> {
    // Leans on deliveries_held, and on deliveries_record.
    let held = "SELECT d.id FROM deliveries d WHERE d.held_by = $1 AND d.state = 'held'
                  AND (NOT $3 OR NOT EXISTS (
                      SELECT FROM deliveries e WHERE e.record_id = d.record_id AND e.connection_id = d.connection_id
                        AND (e.revision < d.revision OR (e.revision = d.revision AND e.id < d.id))
                        AND e.state NOT IN ('confirmed', 'reconciled', 'superseded', 'cancelled')))
                ORDER BY d.rank, d.lane, d.due_by, d.id LIMIT $2 FOR UPDATE SKIP LOCKED";
    Ok(sqlx::query_scalar(held).bind(breaker).bind(i64::from(count)).bind(is_probe).fetch_all(&mut **tx).await?)
}

/// True where what the breaker let go as a probe at `since` has not come to its end.
async fn is_probing(
    tx: &mut Transaction<'static, Postgres>,
    breaker: Uuid,
    connection: ConnectionId,
    since: DateTime<Utc>,
) -> Result<bool, StoreError> {
    // While the rest is held, few are in these states. What an earlier recovery let go keeps its mark, too: where its call was made before the probe
    // and is unknown, nobody hears from the destination by it.
    let probing = "SELECT EXISTS (
        SELECT FROM deliveries d WHERE connection_id = $1 AND state IN ('planned', 'sending', 'waiting', 'unknown') AND held_by = $2
          AND NOT (state = 'unknown' AND EXISTS (SELECT FROM attempts a WHERE a.id = d.attempt_id AND a.tenant_id = d.tenant_id AND a.started_at < $3)))";
    Ok(sqlx::query_scalar(probing).bind(connection.0).bind(breaker).bind(since).fetch_one(&mut **tx).await?)
}

/// Another is the probe now: what was it before and still waits passes no more, or all of them would go at once when their wait is over.
async fn forget_probes(
    tx: &mut Transaction<'static, Postgres>,
    breaker: Uuid,
    connection: ConnectionId,
) -> Result<(), StoreError> {
    // As is_probing finds them. One that somebody moves at this moment passes once more, and is not waited for.
    let forget = "UPDATE deliveries SET held_by = NULL WHERE id = ANY(ARRAY(
        SELECT id FROM deliveries WHERE connection_id = $1 AND state IN ('waiting', 'unknown') AND held_by = $2 FOR UPDATE SKIP LOCKED))";
    sqlx::query(forget).bind(connection.0).bind(breaker).execute(&mut **tx).await?;
    Ok(())
}

impl TenantStore<'_> {
    /// A breaker's time has come: lets go of as many as it decides, and closes its incident where it is over. Returns whom to nudge.
    ///
    /// # Errors
    /// Where the database does not answer; then it comes again after its lease.
    pub async fn breaker_due(&self, id: Uuid) -> Result<Vec<Nudge>, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        let query = format!("SELECT {COLUMNS} FROM breakers WHERE id = $1 FOR UPDATE");
        let Some(row) = sqlx::query(sqlx::AssertSqlSafe(query)).bind(id).fetch_optional(&mut *tx).await? else {
            return Ok(vec![]);
        };
        let (mut breaker, connection) = (read(&row)?, ConnectionId(row.try_get("connection_id")?));
        // Leans on deliveries_held, as what follows does.
        let waits = "SELECT count(*) FROM (SELECT FROM deliveries WHERE held_by = $1 AND state = 'held' LIMIT $2) w";
        let waits: i64 = sqlx::query_scalar(waits).bind(id).bind(WAITS_MAX).fetch_one(&mut *tx).await?;
        let is_probing =
            breaker.state == BreakerState::HalfOpen && is_probing(&mut tx, id, connection, breaker.window_at).await?;
        let release = breaker.due(u32::try_from(waits).unwrap_or(0), is_probing, Utc::now());
        let held = held(&mut tx, id, release.count, breaker.state == BreakerState::HalfOpen).await?;
        if release.count > 0 && held.is_empty() {
            breaker.has_none_to_let_go();
        }
        if breaker.state == BreakerState::HalfOpen && !held.is_empty() {
            forget_probes(&mut tx, id, connection).await?;
        }
        write(&mut tx, &[(id, breaker)]).await?;
        if release.is_over {
            let close = "UPDATE incidents SET closed_at = now() WHERE breaker_id = $1 AND closed_at IS NULL RETURNING id";
            let closed: Vec<Uuid> = sqlx::query_scalar(close).bind(id).fetch_all(&mut *tx).await?;
            audit(&mut tx, scope, Action::IncidentClosed, "incident", &closed).await?;
        }
        // By their ids, so that no plan reads the others. Whom it let go keeps its mark: that is how it passes where others are still held.
        let released: Vec<(Uuid, i16)> = sqlx::query_as(
            "UPDATE deliveries SET state = 'planned', due_at = now(), sweep_at = now() + interval '10 seconds',
                    -- What has just happened goes before a backlog, and before both what a person put first.
                    lane = CASE WHEN rank < 0 THEN 0 ELSE greatest(lane, $2) END
             WHERE id = ANY($1) AND state = 'held' RETURNING id, lane",
        )
        .bind(&held)
        .bind(Lane::Retry.rank())
        .fetch_all(&mut *tx)
        .await?;
        let ids: Vec<Uuid> = released.iter().map(|(id, _)| *id).collect();
        audit(&mut tx, scope, Action::DeliveryReleased, "delivery", &ids).await?;
        tx.commit().await?;
        let lanes: HashMap<Uuid, Lane> =
            released.into_iter().map(|(id, lane)| (id, Lane::of_rank(lane).unwrap_or_default())).collect();
        // In the order in which they were found.
        let nudge = |id: &Uuid| Some(Nudge::new(scope.tenant, connection, *lanes.get(id)?, *id));
        Ok(held.iter().filter_map(nudge).collect())
    }

    /// Somebody says that the connection works again: what waits for it is tried now. False where there is no such connection.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connection_reconnected(&self, connection: ConnectionId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query("SELECT FROM connections WHERE id = $1").bind(connection.0);
        if query.fetch_optional(&mut *tx).await?.is_none() {
            return Ok(false);
        }
        try_now(&mut tx, connection).await?;
        audit(&mut tx, self.scope(), Action::ConnectionReconnected, "connection", &[connection.0]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// How the breakers of incidents stand: state, next try, and how many deliveries wait (100,000 at most), by breaker.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn breakers_shown(&self, ids: &[Uuid]) -> Result<HashMap<Uuid, BreakerShown>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT b.id, b.state, b.next_at,
                    (SELECT count(*) FROM (SELECT FROM deliveries d WHERE d.held_by = b.id AND d.state = 'held' LIMIT $2) w) AS waits
             FROM breakers b WHERE b.id = ANY($1)",
        )
        .bind(ids)
        .bind(WAITING_SHOWN_MAX)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        rows.into_iter()
            .map(|row| {
                let shown =
                    BreakerShown { state: row.try_get("state")?, next_at: row.try_get("next_at")?, waits: row.try_get("waits")? };
                Ok((row.try_get("id")?, shown))
            })
            .collect()
    }
}

/// A breaker as people see it.
#[derive(Debug, Clone)]
pub struct BreakerShown {
    pub state: String,
    pub next_at: Option<DateTime<Utc>>,
    pub waits: i64,
}

impl Store {
    /// Breakers of any tenant whose time has come; each is leased to the caller for `lease_s`.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn breakers_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, Uuid)>, StoreError> {
        let query = "SELECT tenant_id, id FROM breakers_take($1, make_interval(secs => $2))";
        let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(query).bind(count_max).bind(lease_s).fetch_all(self.pool()).await?;
        Ok(rows.into_iter().map(|(tenant, id)| (TenantId(tenant), id)).collect())
    }
}

/// Breakers that are not closed, from the JSON that stands beside a connection.
pub(super) fn open_breakers(json: Option<serde_json::Value>) -> Vec<OpenBreaker> {
    let read = |row: &serde_json::Value| {
        let text = |name: &str| row[name].as_str();
        let mut breaker = Breaker::new(Utc::now());
        breaker.state = BreakerState::parse(text("state")?)?;
        breaker.batch = u32::try_from(row["batch"].as_u64()?).ok()?;
        breaker.next_at = text("next_at").and_then(|at| Some(DateTime::parse_from_rfc3339(at).ok()?.with_timezone(&Utc)));
        Some(OpenBreaker { id: text("id")?.parse().ok()?, operation: text("operation")?.to_owned(), breaker })
    };
    json.as_ref().and_then(|json| json.as_array()).into_iter().flatten().filter_map(read).collect()
}
