//! Exceptions are opened and closed in the transaction that causes it, many at a time. People read them as groups ([`group`]) and act on one,
//! some or all of a group ([`act`], [`retry`], [`reopen`]).

pub mod act;
pub mod create_first;
pub mod done;
pub mod edit;
pub mod group;
pub mod history;
pub mod reopen;
pub mod retry;
pub mod suppose;

use domain::audit::Action;
use domain::drift::Worth;
use domain::exception::Reason;
use domain::fix::FixKind;
use domain::id::{ConnectionId, DeliveryId, ExceptionId, FlowId, MessageId, RecordId};
use domain::scope::Scope;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::audit;
use super::{StoreError, TenantStore};

/// What needs a person.
#[derive(Debug, Clone, Copy)]
pub(super) enum Subject<'a> {
    Message {
        message: MessageId,
        connection: ConnectionId,
    },
    Delivery {
        delivery: DeliveryId,
        record: RecordId,
        flow: FlowId,
        destination: ConnectionId,
        /// What the record comes to.
        worth: Option<&'a Worth>,
    },
    /// A record by itself: what a check found between documents.
    Record {
        record: RecordId,
        connection: ConnectionId,
        check: &'static str,
    },
}

impl<'a> Subject<'a> {
    /// Exceptions of the same cause are one group for a flow, or for a source where there is no flow yet.
    fn cause_key(self, reason: &Reason) -> String {
        match self {
            Self::Message { connection, .. } | Self::Record { connection, .. } => reason.cause_key(&connection.to_string()),
            Self::Delivery { flow, .. } => reason.cause_key(&flow.to_string()),
        }
    }

    fn connection(self) -> Uuid {
        match self {
            Self::Message { connection, .. } | Self::Record { connection, .. } => connection.0,
            Self::Delivery { destination, .. } => destination.0,
        }
    }

    fn message(self) -> Option<Uuid> {
        if let Self::Message { message, .. } = self { Some(message.0) } else { None }
    }

    fn delivery(self) -> Option<(DeliveryId, FlowId)> {
        if let Self::Delivery { delivery, flow, .. } = self { Some((delivery, flow)) } else { None }
    }

    fn record(self) -> Option<Uuid> {
        match self {
            Self::Message { .. } => None,
            Self::Delivery { record, .. } | Self::Record { record, .. } => Some(record.0),
        }
    }

    fn check(self) -> Option<&'static str> {
        if let Self::Record { check, .. } = self { Some(check) } else { None }
    }

    fn worth(self) -> Option<&'a Worth> {
        if let Self::Delivery { worth, .. } = self { worth } else { None }
    }
}

/// Opens an exception for each; a thing that has an open one keeps it.
pub(super) async fn open(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    opened: &[(Subject<'_>, &Reason)],
) -> Result<(), StoreError> {
    if opened.is_empty() {
        return Ok(());
    }
    let texts = |f: fn(&Reason) -> Option<&str>| opened.iter().map(|(_, reason)| f(reason)).collect::<Vec<_>>();
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO exceptions (id, tenant_id, cause_key, code, sentence, cause, owner, next_step, path, value, lookup_table, delivery_id,
                                 message_id, record_id, flow_id, connection_id, missing, fix_kind, amount, currency, check_kind)
         SELECT id, $1, cause_key, code, sentence, cause, owner, next_step, path, value, lookup_table, delivery_id, message_id, record_id,
                flow_id, connection_id, missing, fix_kind, amount::numeric, currency, check_kind
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
                     $12::uuid[], $13::uuid[], $14::uuid[], $15::uuid[], $16::uuid[], $17::jsonb[], $18::text[], $19::text[],
                     $20::text[], $21::text[])
              AS i (id, cause_key, code, sentence, cause, owner, next_step, path, value, lookup_table, delivery_id, message_id, record_id,
                    flow_id, connection_id, missing, fix_kind, amount, currency, check_kind)
         ON CONFLICT DO NOTHING RETURNING id",
    )
    .bind(scope.tenant.0)
    .bind(opened.iter().map(|_| ExceptionId::generate().0).collect::<Vec<_>>())
    .bind(opened.iter().map(|(subject, reason)| subject.cause_key(reason)).collect::<Vec<_>>())
    .bind(texts(|r| Some(&r.code)))
    .bind(texts(|r| Some(&r.sentence)))
    .bind(texts(|r| Some(&r.cause)))
    .bind(texts(|r| Some(r.owner.as_str())))
    .bind(texts(|r| Some(&r.next_step)))
    .bind(texts(|r| r.path.as_deref()))
    .bind(texts(|r| r.value.as_deref()))
    .bind(texts(|r| r.table.as_deref()))
    .bind(opened.iter().map(|(s, _)| s.delivery().map(|d| d.0.0)).collect::<Vec<_>>())
    .bind(opened.iter().map(|(s, _)| s.message()).collect::<Vec<_>>())
    .bind(opened.iter().map(|(s, _)| s.record()).collect::<Vec<_>>())
    .bind(opened.iter().map(|(s, _)| s.delivery().map(|d| d.1.0)).collect::<Vec<_>>())
    .bind(opened.iter().map(|(s, _)| s.connection()).collect::<Vec<_>>())
    .bind(opened.iter().map(|(_, reason)| missing(reason)).collect::<Vec<_>>())
    .bind(texts(|r| r.fix_kind.map(FixKind::as_str)))
    .bind(opened.iter().map(|(s, _)| s.worth().map(|worth| worth.amount.to_string())).collect::<Vec<_>>())
    .bind(opened.iter().map(|(s, _)| s.worth().map(|worth| worth.currency.as_str())).collect::<Vec<_>>())
    .bind(opened.iter().map(|(s, _)| s.check()).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    audit(tx, scope, Action::ExceptionOpened, "exception", &ids).await
}

fn missing(reason: &Reason) -> Option<serde_json::Value> {
    let missing = serde_json::to_value(&reason.missing).expect("texts are plain data");
    Some(missing).filter(|_| !reason.missing.is_empty())
}

/// Closes these exceptions, as far as they are open: what a check had found is not so any more.
pub(super) async fn resolve(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    exceptions: &[Uuid],
    resolution: &str,
) -> Result<(), StoreError> {
    let closed: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE exceptions SET state = 'resolved', resolution = $2, closed_at = now() WHERE id = ANY($1) AND state = 'open' RETURNING id",
    )
    .bind(exceptions)
    .bind(resolution)
    .fetch_all(&mut **tx)
    .await?;
    audit(tx, scope, Action::ExceptionResolved, "exception", &closed).await
}

/// Why a delivery that a later revision took the place of is not sent.
pub(super) const OVERTAKEN: &str = "A later revision took its place";

/// Closes the open exceptions of deliveries that are not sent any more.
pub(super) async fn close_superseded(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    deliveries: &[Uuid],
    resolution: &str,
) -> Result<(), StoreError> {
    if deliveries.is_empty() {
        return Ok(());
    }
    let closed: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE exceptions SET state = 'resolved', resolution = $2, closed_at = now()
         WHERE delivery_id = ANY($1) AND state = 'open' RETURNING id",
    )
    .bind(deliveries)
    .bind(resolution)
    .fetch_all(&mut **tx)
    .await?;
    audit(tx, scope, Action::DeliverySuperseded, "delivery", deliveries).await?;
    audit(tx, scope, Action::ExceptionResolved, "exception", &closed).await
}

/// A message that became a revision, or told that a thing is deleted.
pub(super) struct Taken<'a> {
    pub message: Uuid,
    pub connection: Uuid,
    pub kind: &'a str,
    pub source_id: &'a str,
    /// None of what was deleted before it was a record.
    pub record: Option<Uuid>,
}

/// Closes the open exceptions of earlier messages of the same things: a later one was taken, so that they are stale.
pub(super) async fn close_overtaken(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    taken: &[Taken<'_>],
) -> Result<(), StoreError> {
    let stale: Vec<Uuid> = sqlx::query_scalar("SELECT messages_overtake($1, $2, $3, $4, $5)")
        .bind(taken.iter().map(|one| one.message).collect::<Vec<_>>())
        .bind(taken.iter().map(|one| one.connection).collect::<Vec<_>>())
        .bind(taken.iter().map(|one| one.kind).collect::<Vec<_>>())
        .bind(taken.iter().map(|one| one.source_id).collect::<Vec<_>>())
        .bind(taken.iter().map(|one| one.record).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await?;
    if stale.is_empty() {
        return Ok(());
    }
    let closed: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE exceptions SET state = 'resolved', resolution = 'A later message of the same thing was taken', closed_at = now()
         WHERE message_id = ANY($1) AND state = 'open' RETURNING id",
    )
    .bind(&stale)
    .fetch_all(&mut **tx)
    .await?;
    audit(tx, scope, Action::MessageStale, "message", &stale).await?;
    audit(tx, scope, Action::ExceptionResolved, "exception", &closed).await
}

impl TenantStore<'_> {
    /// Stops a message that cannot be worked on at all, so that it neither strands the others of its batch nor is tried for ever.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn message_stopped(&self, message: Uuid, reason: &Reason) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let stopped = sqlx::query(
            "UPDATE messages SET state = 'exception' WHERE tenant_id = $1 AND id = $2 AND state IN ('received', 'fetching')
             RETURNING connection_id",
        );
        let stopped = stopped.bind(self.scope().tenant.0).bind(message).fetch_optional(&mut *tx).await?;
        if let Some(row) = stopped {
            let subject =
                Subject::Message { message: MessageId(message), connection: ConnectionId(row.try_get("connection_id")?) };
            audit(&mut tx, self.scope(), Action::MessageException, "message", &[message]).await?;
            open(&mut tx, self.scope(), &[(subject, reason)]).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Stops a delivery that cannot be worked on at all, as [`Self::message_stopped`].
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn delivery_stopped(&self, delivery: Uuid, reason: &Reason) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let stopped = sqlx::query(
            "UPDATE deliveries SET state = 'exception' WHERE tenant_id = $1 AND id = $2 AND state IN ('planned', 'unknown')
             RETURNING record_id, flow_id, connection_id",
        );
        let stopped = stopped.bind(self.scope().tenant.0).bind(delivery).fetch_optional(&mut *tx).await?;
        if let Some(row) = stopped {
            let subject = Subject::Delivery {
                delivery: DeliveryId(delivery),
                record: RecordId(row.try_get("record_id")?),
                flow: FlowId(row.try_get("flow_id")?),
                destination: ConnectionId(row.try_get("connection_id")?),
                worth: None,
            };
            audit(&mut tx, self.scope(), Action::DeliveryException, "delivery", &[delivery]).await?;
            open(&mut tx, self.scope(), &[(subject, reason)]).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}
