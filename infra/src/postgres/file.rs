//! Files of a poll's folder: what was noticed, and how far each was taken. Some records and how far that is are one transaction, which only the poll's
//! leader can commit, so that a crash anywhere neither skips a record nor takes one twice.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::call_payload::ToldCall;
use domain::exception::Reason;
use domain::file::FileState;
use domain::id::{ConnectionId, FileId, MessageId};
use domain::lane::Lane;
use domain::merkle::hash;
use domain::message::Origin;
use domain::record::RecordKind;
use domain::task::Nudge;
use domain::usage::Meter;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::audit::told_with_body;
use super::call_payload::audit_calls;
use super::exception::{self, Subject};
use super::poll::{Poll, PollSubject};
use super::receive::{audit, audit_each, audit_told};
use super::sweep::NUDGE_GRACE_S;
use super::{StoreError, TenantStore};

/// Files that one look hands out; the next one brings the others.
const READY_MAX: i64 = 200;
/// What a person is shown of a file that cannot be read.
const SHOWN_BYTES: usize = 2_000;

/// A file as it lies in the folder.
#[derive(Debug, Clone)]
pub struct Looked {
    pub name: String,
    pub size: u64,
    pub modified_at: DateTime<Utc>,
    /// How long it must have stayed so.
    pub rest_s: u32,
}

/// How its folder is read now.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    pub hash: [u8; 32],
    /// What is read does not stay there: one that lies there again was put there again.
    pub puts_away: bool,
    /// What was taken before is known by something within: the same file is looked through again.
    pub takes_again: bool,
}

/// A file that something is to be done with.
#[derive(Debug, Clone)]
pub struct OpenFile {
    pub id: FileId,
    pub name: String,
    pub size: u64,
    pub modified_at: DateTime<Utc>,
    pub state: FileState,
    pub hash: Option<Vec<u8>>,
    /// It lies there now.
    pub is_there: bool,
}

/// What a look at a folder came to.
#[derive(Debug, Default)]
pub struct Look {
    /// In the order in which they came there.
    pub ready: Vec<OpenFile>,
    /// Files that are not at rest yet.
    pub waiting: i64,
}

/// How a file is begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// Behind so many records, which are taken already.
    Behind(i64),
    /// The same bytes were taken under this name before.
    Repeated,
}

/// A record of a file, or what is wrong with it.
#[derive(Debug)]
pub struct FileMessage {
    pub line: u64,
    pub kind: Option<RecordKind>,
    /// `file/order`
    pub topic: String,
    pub body: Vec<u8>,
    pub source_id: Option<String>,
    pub bad: Option<Reason>,
}

type Tx = Transaction<'static, Postgres>;

impl TenantStore<'_> {
    /// Keeps the poll for its leader for so long; false where somebody else leads it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn poll_extend(&self, poll: &Poll, lease_s: f64) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let leads = leads(&mut tx, poll, lease_s).await?;
        tx.commit().await?;
        Ok(leads)
    }

    /// Writes down the calls that were made.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn poll_calls(&self, poll: &Poll, calls: &[ToldCall]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        audit_calls(&mut tx, self.scope(), Action::PollRead, "poll", poll.id.0, calls).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Writes down what lies in the folder, and says what is to be done; `None` where somebody else leads the poll.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn files_look(
        &self,
        poll: &Poll,
        source: &str,
        there: &[Looked],
        manner: Manner,
        lease_s: f64,
    ) -> Result<Option<Look>, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? {
            return Ok(None);
        }
        let names: Vec<&str> = there.iter().map(|file| file.name.as_str()).collect();
        let sizes: Vec<i64> = there.iter().map(|file| i64::try_from(file.size).unwrap_or(i64::MAX)).collect();
        let times: Vec<DateTime<Utc>> = there.iter().map(|file| file.modified_at).collect();
        let rests: Vec<i32> = there.iter().map(|file| i32::try_from(file.rest_s).unwrap_or(i32::MAX)).collect();
        // What changed before it was at rest was never a file.
        sqlx::query(
            "DELETE FROM files f WHERE f.poll_id = $1 AND (f.state = 'noticed' OR f.state = 'reading' AND f.position + f.brought + f.refused = 0)
               AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::int8[], $4::timestamptz[]) AS i (name, size, modified_at)
                               WHERE i.name = f.name AND i.size = f.size AND i.modified_at = f.modified_at)",
        )
        .bind(poll.id.0)
        .bind(&names)
        .bind(&sizes)
        .bind(&times)
        .execute(&mut *tx)
        .await?;
        sqlx::query(
            "INSERT INTO files (id, tenant_id, connection_id, poll_id, name, size, modified_at)
             SELECT i.id, $1, $2, $3, i.name, i.size, i.modified_at
             FROM unnest($4::uuid[], $5::text[], $6::int8[], $7::timestamptz[]) AS i (id, name, size, modified_at)
             ON CONFLICT (poll_id, name, size, modified_at) DO NOTHING",
        )
        .bind(self.scope().tenant.0)
        .bind(poll.connection.0)
        .bind(poll.id.0)
        .bind(names.iter().map(|_| FileId::generate().0).collect::<Vec<_>>())
        .bind(&names)
        .bind(&sizes)
        .bind(&times)
        .execute(&mut *tx)
        .await?;
        let rows = sqlx::query(
            "WITH i AS (
                 SELECT * FROM unnest($2::text[], $3::int8[], $4::timestamptz[], $5::int4[]) AS i (name, size, modified_at, rest_s)
             ), due AS (
                 SELECT f.id FROM files f WHERE f.poll_id = $1 AND f.state IN ('noticed', 'reading', 'read')
                 UNION
                 SELECT f.id FROM i JOIN files f
                     ON f.poll_id = $1 AND f.name = i.name COLLATE \"C\" AND f.size = i.size AND f.modified_at = i.modified_at
                 WHERE f.state = 'done' AND $6 OR f.state = 'unreadable' AND f.manner IS DISTINCT FROM $7
             )
             SELECT f.id, f.name, f.size, f.modified_at, f.state, f.hash, f.position, i.name IS NOT NULL AS is_there,
                    f.state <> 'noticed' OR f.noticed_at <= now() - make_interval(secs => i.rest_s) AS is_ready
             FROM due JOIN files f ON f.id = due.id
             LEFT JOIN i ON i.name = f.name COLLATE \"C\" AND i.size = f.size AND i.modified_at = f.modified_at
             ORDER BY f.modified_at, f.name",
        )
        .bind(poll.id.0)
        .bind(&names)
        .bind(&sizes)
        .bind(&times)
        .bind(&rests)
        .bind(manner.puts_away)
        .bind(manner.hash.to_vec())
        .fetch_all(&mut *tx)
        .await?;
        let (mut look, mut lost) = (Look::default(), Vec::new());
        for row in rows {
            let file = open_file(&row)?;
            if !row.try_get::<Option<bool>, _>("is_ready")?.unwrap_or(false) {
                look.waiting += 1;
            } else if file.state == FileState::Reading && !file.is_there {
                lost.push((file, row.try_get::<i64, _>("position")?));
            } else if look.ready.len() < usize::try_from(READY_MAX).unwrap_or(usize::MAX) {
                look.ready.push(file);
            } else {
                look.waiting += 1;
            }
        }
        for (file, position) in lost {
            let reason = Reason::lost_file(&file.name, source, position);
            self.stop_file(&mut tx, poll, &file, FileState::Lost, &reason, b"").await?;
        }
        tx.commit().await?;
        Ok(Some(look))
    }

    /// Begins with a file whose bytes are known now, or goes on with it; `None` where somebody else leads the poll.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn file_begin(
        &self,
        poll: &Poll,
        file: &OpenFile,
        hash: &[u8; 32],
        manner: Manner,
        lease_s: f64,
    ) -> Result<Option<Begun>, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? {
            return Ok(None);
        }
        // Itself, where it was put there again to the second.
        let before: Option<Uuid> = sqlx::query_scalar(
            "SELECT id FROM files WHERE poll_id = $1 AND name = $2 AND hash = $3 AND NOT $5
               AND (id <> $4 AND state IN ('reading', 'read', 'done') OR id = $4 AND state = 'done') LIMIT 1",
        )
        .bind(poll.id.0)
        .bind(&file.name)
        .bind(hash.to_vec())
        .bind(file.id.0)
        .bind(manner.takes_again)
        .fetch_optional(&mut *tx)
        .await?;
        let begun = if let Some(before) = before {
            sqlx::query(
                "UPDATE files SET state = 'read', repeats = $2, hash = $3, manner = $4, begun_at = now(), read_at = now(), ended_at = NULL WHERE id = $1",
            )
            .bind(file.id.0)
            .bind(before)
            .bind(hash.to_vec())
            .bind(manner.hash.to_vec())
            .execute(&mut *tx)
            .await?;
            let detail = serde_json::json!({"name": file.name, "before": FileId(before)}).to_string();
            audit_each(&mut tx, self.scope(), Action::FileRepeated, "file", &[file.id.0], &[Some(&detail)]).await?;
            Begun::Repeated
        } else {
            let position: i64 = sqlx::query_scalar(
                "WITH old AS (SELECT state = 'reading' AND hash = $2 AND manner = $3 AS goes_on FROM files WHERE id = $1)
                 UPDATE files f SET state = 'reading', hash = $2, manner = $3, failure = NULL, repeats = NULL, ended_at = NULL,
                        position = CASE WHEN old.goes_on THEN f.position ELSE 0 END, brought = CASE WHEN old.goes_on THEN f.brought ELSE 0 END,
                        refused = CASE WHEN old.goes_on THEN f.refused ELSE 0 END,
                        begun_at = CASE WHEN old.goes_on THEN f.begun_at ELSE now() END
                 FROM old WHERE f.id = $1 RETURNING f.position",
            )
            .bind(file.id.0)
            .bind(hash.to_vec())
            .bind(manner.hash.to_vec())
            .fetch_one(&mut *tx)
            .await?;
            Begun::Behind(position)
        };
        tx.commit().await?;
        Ok(Some(begun))
    }

    /// Takes the next records of a file: messages, or exceptions with their lines. Returns the messages for the nudge; `None` where somebody else leads
    /// the poll, or has taken these.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the records come again.
    pub async fn file_page(
        &self,
        poll: &Poll,
        file: &OpenFile,
        behind: i64,
        records: Vec<FileMessage>,
        lease_s: f64,
    ) -> Result<Option<Vec<Nudge>>, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? {
            return Ok(None);
        }
        let bad = records.iter().filter(|record| record.bad.is_some()).count();
        let (all, bad) = (count(records.len()), count(bad));
        let moved = sqlx::query(
            "UPDATE files SET position = position + $3, brought = brought + $3 - $4, refused = refused + $4
             WHERE id = $1 AND position = $2 AND state = 'reading'",
        );
        let moved = moved.bind(file.id.0).bind(behind).bind(all).bind(bad).execute(&mut *tx).await?;
        if moved.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query("UPDATE polls SET listed = listed + $2, brought = brought + $3 WHERE id = $1")
            .bind(poll.id.0)
            .bind(all)
            .bind(all - bad)
            .execute(&mut *tx)
            .await?;
        let ids = self.messages(&mut tx, poll, file, &records).await?;
        tx.commit().await?;
        let good = ids.into_iter().zip(&records).filter(|(_, record)| record.bad.is_none());
        let nudge = |(id, _)| Nudge::new(self.scope().tenant, poll.connection, Lane::Live, id);
        Ok(Some(good.map(nudge).collect()))
    }

    pub(super) async fn messages(
        &self,
        tx: &mut Tx,
        poll: &Poll,
        file: &OpenFile,
        records: &[FileMessage],
    ) -> Result<Vec<Uuid>, StoreError> {
        let scope = self.scope();
        let ids: Vec<Uuid> = records.iter().map(|_| MessageId::generate().0).collect();
        sqlx::query(
            "WITH i AS (
                 SELECT * FROM unnest($3::uuid[], $4::text[], $5::bytea[], $6::text[], $7::text[], $8::text[])
                     AS i (id, source_id, body, state, kind, topic)
             ), made AS (
                 INSERT INTO messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, source_id, body, state, sweep_at)
                 SELECT id, $1, $2, $9, topic, 'file:' || id::text, kind, source_id, body, state, now() + make_interval(secs => $10) FROM i
             )
             INSERT INTO usage_events (id, tenant_id, meter, connection_id, quantity)
             SELECT $11, $1, $12, $2, count(*) FROM i HAVING count(*) > 0",
        )
        .bind(scope.tenant.0)
        .bind(poll.connection.0)
        .bind(&ids)
        .bind(records.iter().map(|record| record.source_id.as_deref()).collect::<Vec<_>>())
        .bind(records.iter().map(|record| record.body.as_slice()).collect::<Vec<_>>())
        .bind(records.iter().map(|record| if record.bad.is_some() { "exception" } else { "received" }).collect::<Vec<_>>())
        .bind(records.iter().map(|record| record.kind.map(RecordKind::as_str)).collect::<Vec<_>>())
        .bind(records.iter().map(|record| record.topic.as_str()).collect::<Vec<_>>())
        .bind(Origin::File.as_str())
        .bind(NUDGE_GRACE_S)
        .bind(Uuid::now_v7())
        .bind(Meter::MessageAccepted.as_str())
        .execute(&mut **tx)
        .await?;
        let told = |record: &FileMessage| {
            let told = serde_json::json!({"file": file.id, "name": file.name, "line": record.line});
            told_with_body(told, &hash(&[&record.body]))
        };
        let details: Vec<String> = records.iter().map(told).collect();
        audit_told(tx, scope, Action::MessageReceived, "message", &ids, &details).await?;
        let stopped: Vec<(Subject<'_>, &Reason)> = ids
            .iter()
            .zip(records)
            .filter_map(|(id, record)| {
                let subject = Subject::Message { message: MessageId(*id), connection: ConnectionId(poll.connection.0) };
                Some((subject, record.bad.as_ref()?))
            })
            .collect();
        let stopped_ids: Vec<Uuid> =
            ids.iter().zip(records).filter(|(_, record)| record.bad.is_some()).map(|(id, _)| *id).collect();
        audit(tx, scope, Action::MessageException, "message", &stopped_ids).await?;
        exception::open(tx, scope, &stopped).await?;
        Ok(ids)
    }

    /// All of a file is here.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn file_read(&self, poll: &Poll, file: &OpenFile, lease_s: f64) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? {
            return Ok(false);
        }
        let read =
            "UPDATE files SET state = 'read', read_at = now() WHERE id = $1 AND state = 'reading' RETURNING brought, refused";
        if let Some(row) = sqlx::query(read).bind(file.id.0).fetch_optional(&mut *tx).await? {
            let (brought, refused): (i64, i64) = (row.try_get("brought")?, row.try_get("refused")?);
            let detail =
                serde_json::json!({"name": file.name, "size": file.size, "brought": brought, "refused": refused}).to_string();
            audit_each(&mut tx, self.scope(), Action::FileRead, "file", &[file.id.0], &[Some(&detail)]).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// A file that was read was put away; `how` says where it is now.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn file_done(&self, poll: &Poll, file: &OpenFile, how: &str, lease_s: f64) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? {
            return Ok(false);
        }
        let done = "UPDATE files SET state = 'done', ended_at = now() WHERE id = $1 AND state = 'read'";
        if sqlx::query(done).bind(file.id.0).execute(&mut *tx).await?.rows_affected() == 1 {
            let detail = serde_json::json!({"name": file.name, "how": how}).to_string();
            audit_each(&mut tx, self.scope(), Action::FilePutAway, "file", &[file.id.0], &[Some(&detail)]).await?;
        }
        tx.commit().await?;
        Ok(true)
    }

    /// A file that cannot be read, or not to its end: one exception, and it stays where it is. `start` is what it begins with.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn file_unreadable(
        &self,
        poll: &Poll,
        file: &OpenFile,
        reason: impl FnOnce(i64) -> Reason + Send,
        start: &[u8],
        manner: Manner,
        lease_s: f64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? {
            return Ok(false);
        }
        let taken: i64 = sqlx::query_scalar("UPDATE files SET manner = $2 WHERE id = $1 RETURNING position")
            .bind(file.id.0)
            .bind(manner.hash.to_vec())
            .fetch_one(&mut *tx)
            .await?;
        self.stop_file(&mut tx, poll, file, FileState::Unreadable, &reason(taken), start).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// One exception for the file, of a message that shows how it begins.
    async fn stop_file(
        &self,
        tx: &mut Tx,
        poll: &Poll,
        file: &OpenFile,
        state: FileState,
        reason: &Reason,
        start: &[u8],
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE files SET state = $2, failure = $3, ended_at = now() WHERE id = $1")
            .bind(file.id.0)
            .bind(state.as_str())
            .bind(&reason.sentence)
            .execute(&mut **tx)
            .await?;
        let body = start[..start.len().min(SHOWN_BYTES)].to_vec();
        let kind = if let PollSubject::Records(kind) = poll.subject { Some(kind) } else { None };
        let topic = format!("file/{}", poll.subject.as_str());
        let shown = FileMessage { line: 1, kind, topic, body, source_id: None, bad: Some(reason.clone()) };
        self.messages(tx, poll, file, &[shown]).await?;
        let detail = serde_json::json!({"name": file.name, "why": reason.sentence}).to_string();
        audit_each(tx, self.scope(), Action::FileUnreadable, "file", &[file.id.0], &[Some(&detail)]).await
    }
}

/// Keeps others out until the end of the transaction, as far as the caller leads the poll.
pub(super) async fn leads(tx: &mut Tx, poll: &Poll, lease_s: f64) -> Result<bool, StoreError> {
    let leads = sqlx::query(
        "UPDATE polls SET lease_until = now() + make_interval(secs => $3) WHERE id = $1 AND lease_id = $2 AND state = 'active'",
    );
    Ok(leads.bind(poll.id.0).bind(poll.lease).bind(lease_s).execute(&mut **tx).await?.rows_affected() == 1)
}

fn open_file(row: &sqlx::postgres::PgRow) -> Result<OpenFile, StoreError> {
    let (id, state): (Uuid, &str) = (row.try_get("id")?, row.try_get("state")?);
    let corrupt =
        || StoreError::Corrupt { what: "the state", id: FileId(id).to_string(), why: format!("there is no state \"{state}\"") };
    Ok(OpenFile {
        id: FileId(id),
        name: row.try_get("name")?,
        size: u64::try_from(row.try_get::<i64, _>("size")?).unwrap_or(0),
        modified_at: row.try_get("modified_at")?,
        state: FileState::parse(state).ok_or_else(corrupt)?,
        hash: row.try_get("hash")?,
        is_there: row.try_get("is_there")?,
    })
}

pub(super) fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
