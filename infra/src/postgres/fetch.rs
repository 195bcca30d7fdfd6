//! Reading thin messages back: each call is an attempt, committed as started before it and closed after it, and metered like any other.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::exception::Reason;
use domain::id::{AttemptId, ConnectionId, MessageId};
use domain::merkle::hash;
use domain::scope::Scope;
use domain::usage::Meter;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::audit::told_with_body;
use super::exception::{self, Subject};
use super::ledger::{Ended, close_attempts, count};
use super::receive::audit_each;
use super::{StoreError, TenantStore};

/// A call that is about to be made.
#[derive(Debug)]
pub struct FetchStart {
    pub message: MessageId,
    pub attempt: AttemptId,
    pub method: &'static str,
    pub url: String,
}

/// What came of it.
#[derive(Debug)]
pub struct FetchEnd {
    pub message: MessageId,
    pub connection: ConnectionId,
    /// None where nothing was called, because the request could not be made.
    pub attempt: Option<Ended>,
    pub next: FetchNext,
}

/// What becomes of the message.
#[derive(Debug)]
pub enum FetchNext {
    /// The thing itself, as the vendor gave it.
    Kept(Vec<u8>),
    /// Read it back at that time; a limit does not count as a failure.
    Later {
        at: DateTime<Utc>,
        counts: bool,
    },
    Exception(Reason),
}

impl TenantStore<'_> {
    /// Commits the calls as started, before any of them. Returns those whose message is still to be read back and is now ours for
    /// `lease_s`; after that the sweeper takes it that we died.
    ///
    /// # Errors
    /// Where the transaction did not commit: then nothing may be called.
    pub async fn begin_fetches(&self, starts: &[FetchStart], lease_s: f64) -> Result<HashSet<AttemptId>, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        let begun: Vec<Uuid> = sqlx::query_scalar(
            "WITH i AS (
                 SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::uuid[]) AS i (message_id, attempt_id, method, url, audit_id)
             ), begun AS (
                 UPDATE messages m SET state = 'fetching', sweep_at = now() + make_interval(secs => $7)
                 FROM i
                 WHERE m.id = ANY($2) AND m.id = i.message_id AND m.state = 'received' AND m.thin AND m.fetched IS NULL
                 RETURNING m.id, m.failures, i.attempt_id, i.method, i.url, i.audit_id
             ), started AS (
                 INSERT INTO attempts (id, tenant_id, message_id, number, kind, method, url, request)
                 SELECT attempt_id, $1, id, failures + 1, 'fetch', method, url, '' FROM begun
             ), audited AS (
                 INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
                 SELECT audit_id, $1, $8, $9, 'message', id, $10, '{\"call\":\"fetch\"}' FROM begun
             )
             SELECT attempt_id FROM begun",
        )
        .bind(scope.tenant.0)
        .bind(starts.iter().map(|s| s.message.0).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.attempt.0).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.method).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.url.as_str()).collect::<Vec<_>>())
        .bind(starts.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(lease_s)
        .bind(scope.audit_actor_json())
        .bind(Action::AttemptStarted.as_str())
        .bind(scope.request.id)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(begun.into_iter().map(AttemptId).collect())
    }

    /// Writes what came of the calls. A message that was read back stands where it began, with its body.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the sweeper brings the messages again.
    pub async fn end_fetches(&self, ends: &[FetchEnd]) -> Result<(), StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        let attempts: Vec<&Ended> = ends.iter().filter_map(|end| end.attempt.as_ref()).collect();
        let closed = close_attempts(&mut tx, &attempts).await?;
        let called = ends.iter().filter(|end| {
            end.attempt.as_ref().is_some_and(|attempt| closed.contains(&attempt.id) && attempt.outcome != "not_sent")
        });
        count(&mut tx, scope, called.map(|end| (Meter::VendorCall, end.connection))).await?;
        let of = |f: fn(&FetchNext) -> bool| -> Vec<&FetchEnd> { ends.iter().filter(|end| f(&end.next)).collect() };
        let ids = |ends: &[&FetchEnd]| -> Vec<Uuid> { ends.iter().map(|end| end.message.0).collect() };

        let kept = of(|next| matches!(next, FetchNext::Kept(_)));
        let held: HashSet<Uuid> = sqlx::query_scalar(
            "UPDATE messages m SET fetched = i.body, state = 'received', sweep_at = now() + interval '10 seconds'
             FROM unnest($1::uuid[], $2::bytea[]) AS i (id, body)
             WHERE m.id = ANY($1) AND m.id = i.id AND m.state = 'fetching'
             RETURNING m.id",
        )
        .bind(ids(&kept))
        .bind(
            kept.iter()
                .filter_map(|e| if let FetchNext::Kept(body) = &e.next { Some(body.as_slice()) } else { None })
                .collect::<Vec<_>>(),
        )
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .collect();
        // What somebody else has read back before is what stands there, so only that is sealed.
        let body = |end: &&FetchEnd| match &end.next {
            FetchNext::Kept(body) if held.contains(&end.message.0) => Some(told_with_body(serde_json::json!({}), &hash(&[body]))),
            _ => None,
        };
        tell(&mut tx, scope, Action::MessageFetched, &kept, kept.iter().map(body).collect()).await?;

        let later = of(|next| matches!(next, FetchNext::Later { .. }));
        let when = |end: &&FetchEnd| {
            if let FetchNext::Later { at, counts } = &end.next { Some((*at, i32::from(*counts))) } else { None }
        };
        sqlx::query(
            "UPDATE messages m SET failures = m.failures + i.counts, sweep_at = i.at
             FROM unnest($1::uuid[], $2::timestamptz[], $3::int[], $4::bool[]) AS i (id, at, counts, called)
             WHERE m.id = ANY($1) AND m.id = i.id
               -- One that could not be called stands where it stood.
               AND (m.state = 'fetching' OR (NOT i.called AND m.state = 'received' AND m.fetched IS NULL))",
        )
        .bind(ids(&later))
        .bind(later.iter().filter_map(when).map(|(at, _)| at).collect::<Vec<_>>())
        .bind(later.iter().filter_map(when).map(|(_, counts)| counts).collect::<Vec<_>>())
        .bind(later.iter().map(|end| end.attempt.is_some()).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
        tell(&mut tx, scope, Action::AttemptFailed, &later, later.iter().map(|end| refusal(end, &closed)).collect()).await?;

        let stopped = of(|next| matches!(next, FetchNext::Exception(_)));
        let moved: HashSet<Uuid> = sqlx::query_scalar(
            "UPDATE messages SET state = 'exception' WHERE id = ANY($1) AND state IN ('received', 'fetching') RETURNING id",
        )
        .bind(ids(&stopped))
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .collect();
        let opened = stopped.iter().filter(|end| moved.contains(&end.message.0)).filter_map(|end| match &end.next {
            FetchNext::Exception(reason) => Some((Subject::Message { message: end.message, connection: end.connection }, reason)),
            _ => None,
        });
        exception::open(&mut tx, scope, &opened.collect::<Vec<_>>()).await?;
        let stopped: Vec<&FetchEnd> = stopped.into_iter().filter(|end| moved.contains(&end.message.0)).collect();
        let refusals = stopped.iter().map(|end| refusal(end, &closed)).collect();
        tell(&mut tx, scope, Action::MessageException, &stopped, refusals).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// What an event tells of a call that was to read a message back: how it ended, with the digest of what was answered. None where nothing was called, or
/// where its attempt was ended by somebody else, who keeps another answer.
fn refusal(end: &FetchEnd, closed: &HashSet<AttemptId>) -> Option<String> {
    let ended = end.attempt.as_ref().filter(|ended| closed.contains(&ended.id))?;
    let told = serde_json::Map::from_iter([("call".to_owned(), "fetch".into())]);
    Some(serde_json::Value::Object(ended.told(told)).to_string())
}

/// An event for each message, with its detail.
async fn tell(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    action: Action,
    ends: &[&FetchEnd],
    details: Vec<Option<String>>,
) -> Result<(), StoreError> {
    let messages: Vec<Uuid> = ends.iter().map(|end| end.message.0).collect();
    let details: Vec<Option<&str>> = details.iter().map(Option::as_deref).collect();
    audit_each(tx, scope, action, "message", &messages, &details).await
}
