//! Polls: the cursor of each listed kind of a connection. A page is one transaction: what it brings, what was seen and where the next page begins
//! are committed together, by whoever leads the poll, or not at all.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::call_payload::ToldCall;
use domain::canonical;
use domain::fault::Owner;
use domain::id::{ConnectionId, IncidentId, LookupTableId, MessageId, PollId, TenantId};
use domain::lane::Lane;
use domain::merkle::{Hash, hash, hex};
use domain::message::Origin;
use domain::poll::FAILURES_TOLD;
use domain::record::RecordKind;
use domain::task::Nudge;
use domain::usage::Meter;
use sqlx::Row;
use uuid::Uuid;

use super::audit::told_with_body;
use super::call_payload::audit_calls;
use super::receive::{audit, audit_each, audit_told};
use super::sweep::NUDGE_GRACE_S;
use super::{Store, StoreError, TenantStore, subscription};

/// A poll as whoever leads it needs it.
#[derive(Debug, Clone)]
pub struct Poll {
    pub id: PollId,
    pub lease: Uuid,
    pub connection: ConnectionId,
    pub subject: PollSubject,
    pub every_s: i32,
    /// As the connector stores it.
    pub position: serde_json::Value,
    pub failures: i32,
    pub is_connection_active: bool,
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PollSubject {
    Records(RecordKind),
    /// Exchange rates, for a table.
    Rates(LookupTableId),
}

impl PollSubject {
    const RATES: &str = "rates";

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Records(kind) => kind.as_str(),
            Self::Rates(_) => Self::RATES,
        }
    }

    fn table(self) -> Option<Uuid> {
        if let Self::Rates(table) = self { Some(table.0) } else { None }
    }

    fn parse(word: &str, table: Option<Uuid>) -> Option<Self> {
        match table {
            Some(table) => Some(Self::Rates(LookupTableId(table))).filter(|_| word == Self::RATES),
            None => RecordKind::parse(word).map(Self::Records),
        }
    }
}

/// One record of a page.
#[derive(Debug, Clone)]
pub struct Listed {
    /// `None` where what the vendor calls it cannot be kept as an id: its message becomes an exception, which says so.
    pub source_id: Option<String>,
    /// What it is known by from read to read: its id, or a digest of what is none.
    pub known_by: String,
    pub changed_at: Option<DateTime<Utc>>,
    pub body: Vec<u8>,
}

/// What a thing is known by begins so where that is a digest.
pub(super) const BY_DIGEST: &str = "sha256:";

impl Listed {
    /// One that the vendor calls so.
    #[must_use]
    pub fn new(called: String, changed_at: Option<DateTime<Utc>>, body: Vec<u8>) -> Self {
        let is_id = canonical::is_id(&called);
        let known_by = if is_id { called.clone() } else { format!("{BY_DIGEST}{}", hex(&hash(&[called.as_bytes()]))) };
        Self { source_id: is_id.then_some(called), known_by, changed_at, body }
    }
}

/// A page that was read.
#[derive(Debug, Default)]
pub struct PolledPage<'a> {
    /// Each thing once, as the page said it last.
    pub records: Vec<Listed>,
    /// Where the next read begins, where that may be said already.
    pub position: Option<serde_json::Value>,
    /// What changed before this moment and is not here was missed: a webhook should have brought it. `None` where no webhook does.
    pub missed_before: Option<DateTime<Utc>>,
    /// Everything is listed each time, so that what is on the page is written down, for [`TenantStore::poll_absent`].
    pub is_of_all: bool,
    /// The calls that read it, as the audit keeps them.
    pub calls: &'a [ToldCall],
}

impl PolledPage<'_> {
    /// So old that a webhook should have brought it.
    fn is_late(&self, changed_at: Option<DateTime<Utc>>) -> bool {
        changed_at.zip(self.missed_before).is_some_and(|(changed, before)| changed < before)
    }
}

/// A message that a page brought.
struct Brought {
    message: Uuid,
    /// A webhook should have brought it.
    is_gap: bool,
    sha256: Hash,
}

/// Why a read came to no end.
#[derive(Debug, Clone)]
pub struct PollFailure {
    pub code: String,
    pub sentence: String,
    pub owner: Owner,
    pub next_step: String,
}

/// What messages that are not read yet, or wait for a person, say of a record that is listed though a webhook should have brought it.
struct Pending {
    /// One came after the record changed: nobody has missed the webhook.
    is_told: bool,
    /// One says the same word for word; or only that there is something, which is asked for when its turn comes; or was listed well after the change. Any
    /// other may be of a change before this one, however late it came: what is listed is brought then.
    is_here: bool,
}

/// Of each record of the page that is late.
async fn pending(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    poll: &Poll,
    page: &PolledPage<'_>,
    digests: &[Hash],
) -> Result<HashMap<String, Pending>, StoreError> {
    let is_late = |(record, _): &(&Listed, &Hash)| record.source_id.is_some() && page.is_late(record.changed_at);
    let late: Vec<(&Listed, &Hash)> = page.records.iter().zip(digests).filter(is_late).collect();
    if late.is_empty() {
        return Ok(HashMap::new());
    }
    // Leans on messages_stopped, and on messages_sweep: that is as long as the backlog, and read only where something is late.
    let rows = sqlx::query(
        "WITH pending AS (
             SELECT m.source_id, m.record_kind, m.received_at, m.origin, false AS is_asked_for, m.fetched, m.body FROM messages m
             WHERE m.connection_id = $1 AND m.state = 'exception' AND m.source_id IS NOT NULL AND m.source_id = ANY($3)
             UNION ALL
             SELECT m.source_id, m.record_kind, m.received_at, m.origin, m.thin AND m.fetched IS NULL, m.fetched, m.body FROM messages m
             WHERE m.connection_id = $1 AND m.state IN ('received', 'fetching') AND m.source_id = ANY($3)
         )
         SELECT l.source_id, bool_or(p.received_at >= l.changed_at) AS is_told,
                bool_or(CASE WHEN p.is_asked_for THEN p.received_at >= l.changed_at
                             ELSE sha256(coalesce(p.fetched, p.body)) = l.sha256
                                  -- An answer that is never the same twice is not brought by each poll. So long may a page take until it is written.
                                  OR p.origin = $6 AND p.received_at >= l.changed_at + interval '5 minutes' END) AS is_here
         FROM unnest($3::text[], $4::timestamptz[], $5::bytea[]) AS l (source_id, changed_at, sha256)
         JOIN pending p ON p.source_id = l.source_id AND p.record_kind = $2
         GROUP BY l.source_id",
    )
    .bind(poll.connection.0)
    .bind(poll.subject.as_str())
    .bind(late.iter().map(|(record, _)| record.source_id.as_deref()).collect::<Vec<_>>())
    .bind(late.iter().map(|(record, _)| record.changed_at).collect::<Vec<_>>())
    .bind(late.iter().map(|(_, digest)| digest.to_vec()).collect::<Vec<_>>())
    .bind(Origin::Poll.as_str())
    .fetch_all(&mut **tx)
    .await?;
    let read = |row: sqlx::postgres::PgRow| {
        Ok((row.try_get("source_id")?, Pending { is_told: row.try_get("is_told")?, is_here: row.try_get("is_here")? }))
    };
    rows.into_iter().map(read).collect()
}

/// The polls of these kinds of connections read at once; one that reads already reads once more. They are taken in the order of their ids, so that two who
/// want some of the same ones come one after the other.
pub(super) async fn sweep_now(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    kinds: &[(Uuid, &str)],
) -> Result<(), StoreError> {
    let (connections, kinds): (Vec<Uuid>, Vec<&str>) = kinds.iter().copied().unzip();
    let sweep = sqlx::query(
        "UPDATE polls SET due_at = now() WHERE id IN (
             SELECT p.id FROM polls p JOIN unnest($1::uuid[], $2::text[]) AS i (connection_id, kind)
                 ON p.connection_id = i.connection_id AND p.kind = i.kind
             WHERE p.state = 'active' ORDER BY p.id FOR NO KEY UPDATE OF p)",
    );
    sweep.bind(connections).bind(kinds).execute(&mut **tx).await?;
    Ok(())
}

impl Store {
    /// Polls of any tenant that are due, leased to the caller for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn polls_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, (PollId, Uuid))>, StoreError> {
        self.take_leased("SELECT tenant_id, id, lease_id FROM polls_take($1, make_interval(secs => $2))", count_max, lease_s)
            .await
    }
}

impl TenantStore<'_> {
    /// A poll that the caller leads; `None` where it is led by another, or is not there any more.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn poll_load(&self, id: PollId, lease: Uuid) -> Result<Option<Poll>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT p.connection_id, p.kind, p.lookup_table_id, p.every_s, p.position, p.failures, c.state = 'active' AS is_connection_active
             FROM polls p JOIN connections c ON c.id = p.connection_id WHERE p.id = $1 AND p.lease_id = $2",
        );
        let Some(row) = row.bind(id.0).bind(lease).fetch_optional(&mut *tx).await? else { return Ok(None) };
        tx.commit().await?;
        let word: &str = row.try_get("kind")?;
        let corrupt =
            || StoreError::Corrupt { what: "the kind", id: id.to_string(), why: format!("there is no kind \"{word}\"") };
        Ok(Some(Poll {
            id,
            lease,
            connection: ConnectionId(row.try_get("connection_id")?),
            subject: PollSubject::parse(word, row.try_get("lookup_table_id")?).ok_or_else(corrupt)?,
            every_s: row.try_get("every_s")?,
            position: row.try_get("position")?,
            failures: row.try_get("failures")?,
            is_connection_active: row.try_get("is_connection_active")?,
        }))
    }

    /// Polls a kind of a connection from now on; what it was polled by before changes. `position` is where a new one begins.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn poll_set(
        &self,
        connection: ConnectionId,
        subject: PollSubject,
        every_s: i32,
        position: Option<&serde_json::Value>,
    ) -> Result<PollId, StoreError> {
        let mut tx = self.begin().await?;
        let id: Uuid = sqlx::query_scalar(
            "INSERT INTO polls AS p (id, tenant_id, connection_id, kind, every_s, position, lookup_table_id)
             VALUES ($1, $2, $3, $4, $5, coalesce($6, '{}'), $7)
             ON CONFLICT (connection_id, kind, lookup_table_id) DO UPDATE
             SET every_s = excluded.every_s, state = 'active', is_own = false, position = coalesce($6, p.position), due_at = now(), lease_id = NULL,
                 lease_until = NULL
             RETURNING id",
        )
        .bind(PollId::generate().0)
        .bind(self.scope().tenant.0)
        .bind(connection.0)
        .bind(subject.as_str())
        .bind(every_s)
        .bind(position)
        .bind(subject.table())
        .fetch_one(&mut *tx)
        .await?;
        // From another moment on, everything is looked at anew.
        if position.is_some() {
            sqlx::query("DELETE FROM poll_seen WHERE poll_id = $1").bind(id).execute(&mut *tx).await?;
        }
        audit(&mut tx, self.scope(), Action::PollSet, "poll", &[id]).await?;
        tx.commit().await?;
        Ok(PollId(id))
    }

    /// Pauses or resumes a poll, or reads it now; a read under way ends with its page. False where there is no such poll.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn poll_state_set(&self, id: Uuid, is_active: bool) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let set = sqlx::query(
            "UPDATE polls SET state = $2, due_at = now(), is_own = is_own AND state = 'active' AND $2 = 'active',
                    lease_id = CASE WHEN $2 = 'paused' THEN NULL ELSE lease_id END,
                    lease_until = CASE WHEN $2 = 'paused' THEN NULL ELSE lease_until END
             WHERE id = $1",
        );
        let set = set.bind(id).bind(if is_active { "active" } else { "paused" }).execute(&mut *tx).await?;
        if set.rows_affected() == 1 {
            let action = if is_active { Action::PollResumed } else { Action::PollPaused };
            audit(&mut tx, self.scope(), action, "poll", &[id]).await?;
        }
        tx.commit().await?;
        Ok(set.rows_affected() == 1)
    }

    /// Writes a page: what is new or says something else than before becomes a message. Returns the messages for the nudge; `None` where
    /// somebody else leads the poll now, and nothing was written.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the page comes again.
    pub async fn poll_page(&self, poll: &Poll, page: &PolledPage<'_>, lease_s: f64) -> Result<Option<Vec<Nudge>>, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        // Whoever leads it keeps others out until the end of the page.
        let leads = sqlx::query(
            "UPDATE polls SET position = coalesce($3, position), lease_until = now() + make_interval(secs => $4)
             WHERE id = $1 AND lease_id = $2 AND state = 'active'",
        );
        let leads = leads.bind(poll.id.0).bind(poll.lease).bind(&page.position).bind(lease_s).execute(&mut *tx).await?;
        if leads.rows_affected() == 0 {
            return Ok(None);
        }
        let digests: Vec<Hash> = page.records.iter().map(|record| hash(&[&record.body])).collect();
        let pending = pending(&mut tx, poll, page, &digests).await?;
        let of = |record: &Listed| pending.get(record.source_id.as_ref()?);
        let is_brought = |(record, _): &(&Listed, Hash)| of(record).is_none_or(|pending| !pending.is_here);
        let (records, digests): (Vec<&Listed>, Vec<Hash>) = page.records.iter().zip(digests).filter(is_brought).unzip();
        let messages: Vec<Uuid> = records.iter().map(|_| MessageId::generate().0).collect();
        let rows = sqlx::query(
            "WITH i AS (
                 SELECT * FROM unnest($5::uuid[], $6::text[], $7::bytea[], $8::timestamptz[], $9::bytea[], $14::text[])
                     AS i (id, source_id, hash, changed_at, body, known_by)
             ), told AS (
                 SELECT i.*, r.source_updated_at FROM i
                 LEFT JOIN poll_seen s ON s.poll_id = $2 AND s.source_id = i.known_by COLLATE \"C\"
                 LEFT JOIN records r ON r.connection_id = $3 AND r.kind = $4 AND r.source_id = i.source_id AND r.deleted_at IS NULL
                 WHERE s.hash IS DISTINCT FROM i.hash
             ), fresh AS (
                 -- What a webhook has brought already, or something later of the same thing, is not brought again. Where the vendor's clock
                 -- has whole seconds, what is of the same one may still say something else: it is looked at, and costs nobody anything.
                 SELECT *, source_updated_at IS NULL OR changed_at IS NULL OR source_updated_at < changed_at AS is_news FROM told
                 WHERE source_updated_at IS NULL OR changed_at IS NULL OR source_updated_at < changed_at
                    OR source_updated_at = changed_at AND date_trunc('second', changed_at) = changed_at
             ), seen AS (
                 INSERT INTO poll_seen (tenant_id, poll_id, source_id, hash) SELECT $1, $2, known_by, hash FROM told
                 ON CONFLICT (poll_id, source_id) DO UPDATE SET hash = excluded.hash, seen_at = now()
             ), made AS (
                 INSERT INTO messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, source_id, body, sweep_at)
                 SELECT id, $1, $3, $10, 'poll/' || $4, 'poll:' || id::text, $4, source_id, body, now() + make_interval(secs => $11) FROM fresh
             ), counted AS (
                 INSERT INTO usage_events (id, tenant_id, meter, connection_id, quantity)
                 SELECT $12, $1, $13, $3, count(*) FROM fresh WHERE is_news HAVING count(*) > 0
             )
             SELECT id, CASE WHEN is_news THEN changed_at END AS news_of FROM fresh",
        )
        .bind(scope.tenant.0)
        .bind(poll.id.0)
        .bind(poll.connection.0)
        .bind(poll.subject.as_str())
        .bind(&messages)
        .bind(records.iter().map(|record| record.source_id.as_deref()).collect::<Vec<_>>())
        .bind(digests.iter().map(|digest| digest.to_vec()).collect::<Vec<_>>())
        .bind(records.iter().map(|record| record.changed_at).collect::<Vec<_>>())
        .bind(records.iter().map(|record| record.body.as_slice()).collect::<Vec<_>>())
        .bind(Origin::Poll.as_str())
        .bind(NUDGE_GRACE_S)
        .bind(Uuid::now_v7())
        .bind(Meter::MessageAccepted.as_str())
        .bind(records.iter().map(|record| record.known_by.as_str()).collect::<Vec<_>>())
        .fetch_all(&mut *tx)
        .await?;
        let brought: HashMap<Uuid, Option<DateTime<Utc>>> =
            rows.into_iter().map(|row| Ok((row.try_get("id")?, row.try_get("news_of")?))).collect::<Result<_, sqlx::Error>>()?;
        // In the order of the page.
        let brought: Vec<Brought> = messages
            .iter()
            .zip(digests)
            .zip(&records)
            .filter_map(|((id, sha256), record)| {
                let is_gap = page.is_late(*brought.get(id)?) && of(record).is_none_or(|pending| !pending.is_told);
                Some(Brought { message: *id, is_gap, sha256 })
            })
            .collect();
        if page.is_of_all {
            let listed = "UPDATE poll_seen SET seen_at = now(), missing_since = NULL WHERE poll_id = $1 AND source_id = ANY($2)";
            let ids: Vec<&str> = page.records.iter().map(|record| record.known_by.as_str()).collect();
            sqlx::query(listed).bind(poll.id.0).bind(ids).execute(&mut *tx).await?;
        }
        self.note_page(&mut tx, poll, page, &brought).await?;
        tx.commit().await?;
        let nudge = |brought: Brought| Nudge::new(scope.tenant, poll.connection, Lane::Live, brought.message);
        Ok(Some(brought.into_iter().map(nudge).collect()))
    }

    /// The sums of a page and its audit rows: its calls, what it brought, and what a webhook should have brought.
    async fn note_page(
        &self,
        tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
        poll: &Poll,
        page: &PolledPage<'_>,
        brought: &[Brought],
    ) -> Result<(), StoreError> {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        sqlx::query("UPDATE polls SET listed = listed + $2, brought = brought + $3, gaps = gaps + $4 WHERE id = $1")
            .bind(poll.id.0)
            .bind(count(page.records.len()))
            .bind(count(brought.len()))
            .bind(count(brought.iter().filter(|one| one.is_gap).count()))
            .execute(&mut **tx)
            .await?;
        if brought.iter().any(|one| one.is_gap) {
            // Perhaps the vendor has dropped a subscription: that is looked at now and not when its turn comes.
            subscription::ask(tx, poll.connection).await?;
        }
        audit_calls(tx, self.scope(), Action::PollRead, "poll", poll.id.0, page.calls).await?;
        let told =
            |one: &Brought| told_with_body(serde_json::json!({"poll": poll.id, "missed_by_webhook": one.is_gap}), &one.sha256);
        let details: Vec<String> = brought.iter().map(told).collect();
        let ids: Vec<Uuid> = brought.iter().map(|one| one.message).collect();
        audit_told(tx, self.scope(), Action::MessageReceived, "message", &ids, &details).await
    }

    /// A read came to its end; its incident ends, too.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn poll_end(
        &self,
        poll: &Poll,
        position: Option<&serde_json::Value>,
        due_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let ended = sqlx::query(
            "UPDATE polls SET position = coalesce($3, position), lease_id = NULL, lease_until = NULL, ended_at = now(), read_at = now(),
                    -- Somebody may have asked for another one since this one began.
                    due_at = CASE WHEN due_at > begun_at THEN due_at ELSE $4 END, failures = 0, failure = NULL
             WHERE id = $1 AND lease_id = $2",
        );
        let ended = ended.bind(poll.id.0).bind(poll.lease).bind(position).bind(due_at).execute(&mut *tx).await?;
        if ended.rows_affected() == 1 && poll.failures > 0 {
            let close = "UPDATE incidents SET closed_at = now() WHERE poll_id = $1 AND closed_at IS NULL RETURNING id";
            let closed: Vec<Uuid> = sqlx::query_scalar(close).bind(poll.id.0).fetch_all(&mut *tx).await?;
            audit(&mut tx, self.scope(), Action::IncidentClosed, "incident", &closed).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Writes down what a read of rates came to: how many there were, and how many of them changed the table.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn poll_rates(&self, poll: &Poll, listed: usize, changed: usize, calls: &[ToldCall]) -> Result<(), StoreError> {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE polls SET listed = $3, brought = $4 WHERE id = $1 AND lease_id = $2")
            .bind(poll.id.0)
            .bind(poll.lease)
            .bind(count(listed))
            .bind(count(changed))
            .execute(&mut *tx)
            .await?;
        audit_calls(&mut tx, self.scope(), Action::PollRead, "poll", poll.id.0, calls).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives a poll back as it is: nothing was read, and nothing failed.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn poll_give_back(&self, poll: &Poll, due_at: DateTime<Utc>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let given = sqlx::query(
            "UPDATE polls SET due_at = CASE WHEN due_at > begun_at THEN due_at ELSE $3 END, lease_id = NULL, lease_until = NULL
             WHERE id = $1 AND lease_id = $2",
        );
        given.bind(poll.id.0).bind(poll.lease).bind(due_at).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// A read came to no end. Where that happened some times in a row, an incident tells of it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn poll_failed(
        &self,
        poll: &Poll,
        failure: &PollFailure,
        calls: &[ToldCall],
        due_at: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        let failures: Option<i32> = sqlx::query_scalar(
            "UPDATE polls SET lease_id = NULL, lease_until = NULL, ended_at = now(), failures = failures + 1, failure = $4,
                    -- Whoever has asked for another one since this one began does not wait for the next try.
                    due_at = CASE WHEN due_at > begun_at THEN due_at ELSE $3 END
             WHERE id = $1 AND lease_id = $2 RETURNING failures",
        )
        .bind(poll.id.0)
        .bind(poll.lease)
        .bind(due_at)
        .bind(&failure.sentence)
        .fetch_optional(&mut *tx)
        .await?;
        audit_calls(&mut tx, scope, Action::PollRead, "poll", poll.id.0, calls).await?;
        if let Some(failures) = failures {
            audit_each(&mut tx, scope, Action::PollFailed, "poll", &[poll.id.0], &[Some(&failure.sentence)]).await?;
            if failures == FAILURES_TOLD {
                let opened: Vec<Uuid> = sqlx::query_scalar(
                    "INSERT INTO incidents (id, tenant_id, connection_id, poll_id, operation, code, sentence, owner, next_step)
                     VALUES ($1, $2, $3, $4, $5 || '.list', $6, $7, $8, $9)
                     ON CONFLICT (poll_id) WHERE closed_at IS NULL DO NOTHING RETURNING id",
                )
                .bind(IncidentId::generate().0)
                .bind(scope.tenant.0)
                .bind(poll.connection.0)
                .bind(poll.id.0)
                .bind(poll.subject.as_str())
                .bind(&failure.code)
                .bind(&failure.sentence)
                .bind(failure.owner.as_str())
                .bind(&failure.next_step)
                .fetch_all(&mut *tx)
                .await?;
                audit(&mut tx, scope, Action::IncidentOpened, "incident", &opened).await?;
            } else if failures > FAILURES_TOLD {
                let probe = "UPDATE incidents SET probes = probes + 1 WHERE poll_id = $1 AND closed_at IS NULL";
                sqlx::query(probe).bind(poll.id.0).execute(&mut *tx).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}
