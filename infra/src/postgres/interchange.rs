//! Interchanges that came: each is taken once, by its number and its bytes. What of it is committed, and how far that is, are one transaction that only
//! the poll's leader can commit; so are its end, the 997 that answers it, and what its own 997s say of groups of ours.

use std::collections::HashSet;

use chrono::{Duration, Utc};
use connectors::x12::{Acknowledgement, Arrival, ControlNumber, GroupNumber, SentGroup, X12Error, arrival, settle};
use domain::audit::Action;
use domain::exception::Reason;
use domain::id::{ConnectionId, InterchangeId, SentGroupId};
use domain::interchange::SentGroupState;
use domain::lane::Lane;
use domain::record::RecordKind;
use domain::scope::Scope;
use domain::task::Nudge;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::file::{FileMessage, OpenFile, count, leads};
use super::poll::Poll;
use super::receive::audit_each;
use super::sent_group::close_late;
use super::{StoreError, TenantStore};

/// The number of a partner counts as used for so long: sequences come round.
const NUMBER_COUNTS: &str = "400 days";
/// Longer than any group waits.
const NEVER: Duration = Duration::days(36_500);

type Tx = Transaction<'static, Postgres>;

/// An interchange whose envelope is whole, and whose it is.
#[derive(Debug, Clone)]
pub struct ArrivedInterchange {
    /// Qualifier and id.
    pub us: String,
    pub partner: String,
    pub number: ControlNumber,
    pub hash: [u8; 32],
}

/// An interchange that is being taken.
#[derive(Debug, Clone, Copy)]
pub struct OpenInterchange {
    pub id: InterchangeId,
    pub sequence: Uuid,
    /// Documents of it that are taken.
    pub position: i64,
    /// All of it was taken before, with these bytes: it is only answered again.
    pub is_repeated: bool,
}

/// What was begun.
#[derive(Debug, Clone, Copy)]
pub enum BegunInterchange {
    Open(OpenInterchange),
    /// Its number was used for other bytes: a person was told, and nothing of it is taken.
    Refused,
}

/// Makes the 997 under a number; `None` where nothing is to be answered.
pub type Answer<'a> = dyn Fn(GroupNumber) -> Result<Option<String>, X12Error> + Send + Sync + 'a;

impl TenantStore<'_> {
    /// Begins with the interchange at this place of its file, or goes on with it; `None` where somebody else leads the poll.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn interchange_begin(
        &self,
        poll: &Poll,
        file: &OpenFile,
        index: i64,
        arrived: &ArrivedInterchange,
        source: &str,
        lease_s: f64,
    ) -> Result<Option<BegunInterchange>, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? || !self.stands_at(&mut tx, file, index, false).await? {
            return Ok(None);
        }
        let (sequence, last) = self.sequence(&mut tx, poll, &arrived.us, &arrived.partner).await?;
        let seen = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT id, hash, state, position FROM interchanges
             WHERE sequence_id = $1 AND control_number = $2 AND state IN ('taking', 'taken') AND received_at > now() - interval '{NUMBER_COUNTS}'
             ORDER BY received_at DESC LIMIT 1"
        )));
        let seen = seen.bind(sequence).bind(number(arrived.number)).fetch_optional(&mut *tx).await?;
        let (mut before, mut hash) = (None, None);
        if let Some(row) = &seen {
            let (id, state): (Uuid, &str) = (row.try_get("id")?, row.try_get("state")?);
            let open = OpenInterchange {
                id: InterchangeId(id),
                sequence,
                position: row.try_get("position")?,
                is_repeated: state == "taken",
            };
            hash = <[u8; 32]>::try_from(row.try_get::<&[u8], _>("hash")?).ok();
            before = Some(open);
        }
        let decided = arrival(last, hash.as_ref(), arrived.number, &arrived.hash);
        let begun = match (&decided, before) {
            (Arrival::Repeated, Some(open)) => BegunInterchange::Open(open),
            (Arrival::Conflict | Arrival::Repeated, _) => {
                let sentence = decided.sentence(arrived.number).unwrap_or_default();
                self.stands_at(&mut tx, file, index, true).await?;
                self.refused(&mut tx, poll, file, Some((sequence, arrived)), &sentence).await?;
                self.interchange_told(
                    &mut tx,
                    poll,
                    file,
                    &Reason::control_number("conflict", source, &sentence),
                    sentence.as_bytes(),
                )
                .await?;
                BegunInterchange::Refused
            }
            (Arrival::New { .. } | Arrival::Late, _) => {
                let missing = if let Arrival::New { missing } = decided { missing } else { 0 };
                let id = InterchangeId::generate();
                sqlx::query(
                    "WITH moved AS (UPDATE interchange_sequences SET received_number = $5 WHERE id = $4 AND $8)
                     INSERT INTO interchanges (id, tenant_id, connection_id, sequence_id, control_number, hash, missing, file_id, state)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $9, 'taking')",
                )
                .bind(id.0)
                .bind(self.scope().tenant.0)
                .bind(poll.connection.0)
                .bind(sequence)
                .bind(number(arrived.number))
                .bind(arrived.hash.to_vec())
                .bind(i64::from(missing))
                .bind(matches!(decided, Arrival::New { .. }))
                .bind(file.id.0)
                .execute(&mut *tx)
                .await?;
                if let Some(sentence) = decided.sentence(arrived.number) {
                    self.interchange_told(
                        &mut tx,
                        poll,
                        file,
                        &Reason::control_number("gap", source, &sentence),
                        sentence.as_bytes(),
                    )
                    .await?;
                }
                BegunInterchange::Open(OpenInterchange { id, sequence, position: 0, is_repeated: false })
            }
        };
        tx.commit().await?;
        Ok(Some(begun))
    }

    /// Nothing of the interchange at this place is taken; one exception shows how it begins. False where somebody else leads the poll.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn interchange_refused(
        &self,
        poll: &Poll,
        file: &OpenFile,
        index: i64,
        reason: &Reason,
        start: &[u8],
        lease_s: f64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? || !self.stands_at(&mut tx, file, index, true).await? {
            return Ok(false);
        }
        self.refused(&mut tx, poll, file, None, &reason.sentence).await?;
        self.interchange_told(&mut tx, poll, file, reason, start).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes the next documents of an interchange, and tells of its sets that are none. Returns the messages for the nudge; `None` where somebody else
    /// leads the poll, or has taken these.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the documents come again.
    pub async fn interchange_page(
        &self,
        poll: &Poll,
        file: &OpenFile,
        interchange: OpenInterchange,
        documents: &[FileMessage],
        lease_s: f64,
    ) -> Result<Option<Vec<Nudge>>, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? {
            return Ok(None);
        }
        let bad = count(documents.iter().filter(|document| document.bad.is_some()).count());
        let all = count(documents.len());
        let moved = sqlx::query(
            "WITH told AS (UPDATE files SET brought = brought + $3 - $4, refused = refused + $4 WHERE id = $5),
                  listed AS (UPDATE polls SET listed = listed + $3, brought = brought + $3 - $4 WHERE id = $6)
             UPDATE interchanges SET position = position + $3, refused = refused + $4 WHERE id = $1 AND position = $2 AND state = 'taking'",
        )
        .bind(interchange.id.0)
        .bind(interchange.position)
        .bind(all)
        .bind(bad)
        .bind(file.id.0)
        .bind(poll.id.0)
        .execute(&mut *tx)
        .await?;
        if moved.rows_affected() == 0 {
            return Ok(None);
        }
        let ids = self.messages(&mut tx, poll, file, documents).await?;
        tx.commit().await?;
        let good = ids.into_iter().zip(documents).filter(|(_, document)| document.bad.is_none());
        Ok(Some(good.map(|(id, _)| Nudge::new(self.scope().tenant, poll.connection, Lane::Live, id)).collect()))
    }

    /// All of an interchange is here: what its 997s answer is settled, and the 997 that answers it has its number and waits to be written. False where
    /// somebody else leads the poll, or has ended it.
    ///
    /// # Errors
    /// Where the transaction did not commit: then it is ended again.
    pub async fn interchange_end(
        &self,
        poll: &Poll,
        (file, index): (&OpenFile, i64),
        interchange: OpenInterchange,
        source: &str,
        acknowledgements: &[Acknowledgement],
        (answer, lease_s): (&Answer<'_>, f64),
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, poll, lease_s).await? || !self.stands_at(&mut tx, file, index, true).await? {
            return Ok(false);
        }
        let note = match interchange.is_repeated {
            true => None,
            false => self.settle(&mut tx, poll, file, interchange.sequence, source, acknowledgements).await?,
        };
        sqlx::query(
            "UPDATE interchanges SET state = 'taken', ended_at = coalesce(ended_at, now()), repeats = repeats + $2, note = coalesce($3, note), file_id = $4
             WHERE id = $1",
        )
        .bind(interchange.id.0)
        .bind(i32::from(interchange.is_repeated))
        .bind(note)
        .bind(file.id.0)
        .execute(&mut *tx)
        .await?;
        self.plan_answer(&mut tx, poll, interchange, answer).await?;
        let action = if interchange.is_repeated { Action::InterchangeRepeated } else { Action::InterchangeTaken };
        let detail = serde_json::json!({"file": file.id, "name": file.name}).to_string();
        audit_each(&mut tx, self.scope(), action, "interchange", &[interchange.id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn plan_answer(
        &self,
        tx: &mut Tx,
        poll: &Poll,
        interchange: OpenInterchange,
        answer: &Answer<'_>,
    ) -> Result<(), StoreError> {
        let corrupt = |why: String| StoreError::Corrupt { what: "the 997", id: interchange.id.to_string(), why };
        let made_at = Utc::now();
        let write = |number| answer(GroupNumber { number, made_at }).map_err(|error| corrupt(error.to_string()));
        if write(ControlNumber::FIRST)?.is_none() {
            return Ok(());
        }
        let next: i32 = sqlx::query_scalar(
            "UPDATE interchange_sequences SET sent_number = sent_number % 999999999 + 1 WHERE id = $1 RETURNING sent_number",
        )
        .bind(interchange.sequence)
        .fetch_one(&mut **tx)
        .await?;
        let number = control_number(next).ok_or_else(|| corrupt(format!("{next} is no control number")))?;
        sqlx::query(
            "INSERT INTO sent_groups (id, tenant_id, connection_id, sequence_id, control_number, functional_id, set_id, answers, body, made_at)
             VALUES ($1, $2, $3, $4, $5, 'FA', '997', $6, $7, $8)",
        )
        .bind(SentGroupId::generate().0)
        .bind(self.scope().tenant.0)
        .bind(poll.connection.0)
        .bind(interchange.sequence)
        .bind(next)
        .bind(interchange.id.0)
        .bind(write(number)?)
        .bind(made_at)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// Closes what 997s answer. Returns what they say that belongs to nothing we wait for.
    async fn settle(
        &self,
        tx: &mut Tx,
        poll: &Poll,
        file: &OpenFile,
        sequence: Uuid,
        source: &str,
        received: &[Acknowledgement],
    ) -> Result<Option<String>, StoreError> {
        if received.is_empty() {
            return Ok(None);
        }
        let keys: HashSet<(&str, i32)> =
            received.iter().map(|one| (one.functional_id.as_str(), number(one.control_number))).collect();
        let (functional_ids, numbers): (Vec<&str>, Vec<i32>) = keys.into_iter().unzip();
        let rows = sqlx::query(
            "SELECT g.id, g.functional_id, g.control_number, g.set_id, g.state, g.made_at, r.kind, coalesce(r.number, r.source_id) AS number
             FROM unnest($2::text[], $3::int[]) AS i (functional_id, control_number)
             JOIN sent_groups g ON g.sequence_id = $1 AND g.control_number = i.control_number AND g.functional_id = i.functional_id
             JOIN deliveries d ON d.id = g.delivery_id JOIN records r ON r.id = d.record_id
             ORDER BY g.id FOR UPDATE OF g",
        );
        let rows = rows.bind(sequence).bind(functional_ids).bind(numbers).fetch_all(&mut **tx).await?;
        let (mut open, mut sent, mut closed) = (Vec::new(), Vec::new(), HashSet::new());
        for row in &rows {
            let (functional_id, next): (String, i32) = (row.try_get("functional_id")?, row.try_get("control_number")?);
            let Some(control_number) = control_number(next) else { continue };
            let state = SentGroupState::parse(row.try_get("state")?);
            if matches!(state, Some(SentGroupState::Acknowledged | SentGroupState::Rejected)) {
                closed.insert((functional_id, control_number));
                continue;
            }
            let sets = vec![(row.try_get("set_id")?, "0001".to_owned())];
            sent.push(SentGroup { functional_id, control_number, sent_at: row.try_get("made_at")?, sets });
            open.push(row);
        }
        let settled = settle(&sent, received, NEVER, Utc::now());
        let id = |index: usize| open[index].try_get::<Uuid, _>("id");
        let accepted = settled.accepted.iter().map(|index| id(*index)).collect::<Result<Vec<_>, _>>()?;
        let rejected = settled.rejected.iter().map(|(index, _)| id(*index)).collect::<Result<Vec<_>, _>>()?;
        let failures: Vec<String> = settled.rejected.iter().map(|(_, what)| what.join(" ")).collect();
        sqlx::query(
            "UPDATE sent_groups g SET state = i.state, failure = i.failure, answered_at = now(), sent_at = coalesce(g.sent_at, now())
             FROM unnest($1::uuid[], $2::text[], $3::text[]) AS i (id, state, failure) WHERE g.id = i.id",
        )
        .bind([accepted.as_slice(), &rejected].concat())
        .bind([vec!["acknowledged"; accepted.len()], vec!["rejected"; rejected.len()]].concat())
        .bind([vec![None; accepted.len()], failures.iter().map(|what| Some(what.as_str())).collect()].concat())
        .execute(&mut **tx)
        .await?;
        let details: Vec<Option<&str>> = failures.iter().map(|what| Some(what.as_str())).collect();
        audit_each(tx, self.scope(), Action::SentGroupAcknowledged, "sent_group", &accepted, &vec![None; accepted.len()]).await?;
        audit_each(tx, self.scope(), Action::SentGroupRejected, "sent_group", &rejected, &details).await?;
        for (index, what) in &settled.rejected {
            let row = open[*index];
            let kind = RecordKind::parse(row.try_get("kind")?).unwrap_or(RecordKind::Order);
            let thing = connectors::flow::thing(kind, row.try_get("number")?);
            let reason = Reason::rejected_group(&thing, row.try_get("set_id")?, source, what);
            self.interchange_told(tx, poll, file, &reason, what.join("\n").as_bytes()).await?;
        }
        close_late(tx, self.scope(), sequence).await?;
        let unmatched = settled.unmatched.iter().chain(&settled.repeated).map(|index| {
            let one = &received[*index];
            let group = format!("group {} ({})", one.control_number, one.functional_id);
            let was_answered =
                settled.repeated.contains(index) || closed.contains(&(one.functional_id.clone(), one.control_number));
            match was_answered {
                true => format!("A 997 answers {group} again; the first answer stands."),
                false => format!("A 997 answers {group}, which was not sent to this partner."),
            }
        });
        let note = unmatched.collect::<Vec<_>>().join(" ");
        Ok(Some(note).filter(|note| !note.is_empty()))
    }

    /// Its row, with the number that was taken last; locked until the end of the transaction.
    async fn sequence(
        &self,
        tx: &mut Tx,
        poll: &Poll,
        us: &str,
        partner: &str,
    ) -> Result<(Uuid, Option<ControlNumber>), StoreError> {
        let row = sequence_of(tx, self.scope(), poll.connection, us, partner).await?;
        Ok((row.try_get("id")?, row.try_get::<Option<i32>, _>("received_number")?.and_then(control_number)))
    }

    /// True where so many interchanges of the file are done; `goes_on`: and now one more.
    async fn stands_at(&self, tx: &mut Tx, file: &OpenFile, index: i64, goes_on: bool) -> Result<bool, StoreError> {
        let stands = "UPDATE files SET position = position + $3 WHERE id = $1 AND position = $2 AND state = 'reading'";
        let stands = sqlx::query(stands).bind(file.id.0).bind(index).bind(i64::from(goes_on)).execute(&mut **tx).await?;
        Ok(stands.rows_affected() == 1)
    }

    async fn refused(
        &self,
        tx: &mut Tx,
        poll: &Poll,
        file: &OpenFile,
        whose: Option<(Uuid, &ArrivedInterchange)>,
        failure: &str,
    ) -> Result<(), StoreError> {
        let id = InterchangeId::generate();
        sqlx::query(
            "WITH told AS (UPDATE files SET refused = refused + 1 WHERE id = $7)
             INSERT INTO interchanges (id, tenant_id, connection_id, sequence_id, control_number, hash, file_id, state, failure, ended_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'refused', $8, now())",
        )
        .bind(id.0)
        .bind(self.scope().tenant.0)
        .bind(poll.connection.0)
        .bind(whose.map(|(sequence, _)| sequence))
        .bind(whose.map(|(_, arrived)| number(arrived.number)))
        .bind(whose.map(|(_, arrived)| arrived.hash.to_vec()))
        .bind(file.id.0)
        .bind(failure)
        .execute(&mut **tx)
        .await?;
        audit_each(tx, self.scope(), Action::InterchangeRefused, "interchange", &[id.0], &[Some(failure)]).await
    }

    /// An exception of a message that shows what it is about.
    async fn interchange_told(
        &self,
        tx: &mut Tx,
        poll: &Poll,
        file: &OpenFile,
        reason: &Reason,
        body: &[u8],
    ) -> Result<(), StoreError> {
        let topic = "x12/interchange".to_owned();
        let shown = FileMessage { line: 1, kind: None, topic, body: body.to_vec(), source_id: None, bad: Some(reason.clone()) };
        self.messages(tx, poll, file, &[shown]).await.map(|_| ())
    }
}

pub(super) fn number(number: ControlNumber) -> i32 {
    i32::try_from(number.get()).unwrap_or(i32::MAX)
}

pub(super) fn control_number(number: i32) -> Option<ControlNumber> {
    u32::try_from(number).ok().and_then(ControlNumber::new)
}

/// The numbers of a partner: `id`, `sent_number` and `received_number`; locked until the end of the transaction.
pub(super) async fn sequence_of(
    tx: &mut Tx,
    scope: &Scope,
    connection: ConnectionId,
    us: &str,
    partner: &str,
) -> Result<PgRow, StoreError> {
    let row = sqlx::query(
        "INSERT INTO interchange_sequences (id, tenant_id, connection_id, us, partner) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, us, partner) DO UPDATE SET us = excluded.us RETURNING id, sent_number, received_number",
    );
    let row = row.bind(Uuid::now_v7()).bind(scope.tenant.0).bind(connection.0).bind(us).bind(partner);
    Ok(row.fetch_one(&mut **tx).await?)
}
