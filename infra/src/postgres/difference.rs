//! Differences: kept once for each mismatch until both sides agree again or a person decides. What was confirmed and is gone or changed at the
//! destination opens an exception too, so that it stands in the queue that people work.

use domain::audit::Action;
use domain::drift::Worth;
use domain::exception::Reason;
use domain::id::{ConnectionId, DeliveryId, DifferenceId, FlowId, ReconciliationId, RecordId};
use domain::lane::Lane;
use domain::reconciliation::{Difference, DifferenceKind};
use domain::scope::Scope;
use domain::task::{Nudge, Stage};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::exception::retry::Nudges;
use super::exception::{self, Subject};
use super::receive::{audit, audit_each};
use super::{StoreError, TenantStore};

/// Differences of one act of a person.
pub const DIFFERENCES_ACT_MAX: usize = 1_000;

/// How the codes of exceptions begin that a reconciliation opened.
pub(super) const CODES: &str = "difference.";

/// A mismatch that was found, with what it is about.
#[derive(Debug, Clone)]
pub struct FoundDifference {
    pub difference: Difference,
    pub record: Option<RecordId>,
    pub delivery: Option<DeliveryId>,
    /// For a person, where one must decide, and what the record comes to.
    pub reason: Option<Reason>,
    pub worth: Option<Worth>,
}

impl FoundDifference {
    /// What two findings of the same mismatch have in common.
    fn thing(&self) -> &str {
        let Difference { kind, source_id, destination_id, .. } = &self.difference;
        let by_destination = matches!(kind, DifferenceKind::Extra);
        let ids = if by_destination { [destination_id, source_id] } else { [source_id, destination_id] };
        ids.into_iter().flatten().next().map_or("", String::as_str)
    }
}

impl TenantStore<'_> {
    /// Keeps what a page brought to light: one that is open already is found again, one that a person accepted as it is stays accepted.
    /// Exceptions are opened for those that need a person. Says how many a person has accepted.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn differences_keep(
        &self,
        reconciliation: ReconciliationId,
        flow: FlowId,
        destination: ConnectionId,
        found: &[FoundDifference],
    ) -> Result<Vec<bool>, StoreError> {
        let mut tx = self.begin().await?;
        let accepted = accepted(&mut tx, found).await?;
        let kept: Vec<&FoundDifference> =
            found.iter().zip(&accepted).filter(|(_, accepted)| !**accepted).map(|(one, _)| one).collect();
        if !kept.is_empty() {
            let texts = |f: fn(&FoundDifference) -> Option<&str>| kept.iter().map(|one| f(one)).collect::<Vec<_>>();
            let rows = sqlx::query(
                "INSERT INTO differences AS d (id, tenant_id, reconciliation_id, flow_id, kind, thing, source_id, destination_id, record_id,
                                               delivery_id, fields, state, closed_at)
                 SELECT id, $1, $2, $3, kind, thing, source_id, destination_id, record_id, delivery_id, fields,
                        CASE WHEN mended THEN 'mended' ELSE 'open' END, CASE WHEN mended THEN now() END
                 FROM unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::uuid[], $10::uuid[], $11::jsonb[], $12::bool[])
                      AS i (id, kind, thing, source_id, destination_id, record_id, delivery_id, fields, mended)
                 ON CONFLICT (flow_id, kind, thing) WHERE state = 'open'
                 DO UPDATE SET reconciliation_id = $2, fields = EXCLUDED.fields, delivery_id = EXCLUDED.delivery_id,
                               destination_id = EXCLUDED.destination_id
                 RETURNING id, state, d.xmax = 0 AS is_new",
            )
            .bind(self.scope().tenant.0)
            .bind(reconciliation.0)
            .bind(flow.0)
            .bind(kept.iter().map(|_| DifferenceId::generate().0).collect::<Vec<_>>())
            .bind(texts(|one| Some(one.difference.kind.as_str())))
            .bind(texts(|one| Some(one.thing())))
            .bind(texts(|one| one.difference.source_id.as_deref()))
            .bind(texts(|one| one.difference.destination_id.as_deref()))
            .bind(kept.iter().map(|one| one.record.map(|id| id.0)).collect::<Vec<_>>())
            .bind(kept.iter().map(|one| one.delivery.map(|id| id.0)).collect::<Vec<_>>())
            .bind(kept.iter().map(|one| fields(one)).collect::<Vec<_>>())
            .bind(kept.iter().map(|one| one.difference.kind.is_mended()).collect::<Vec<_>>())
            .fetch_all(&mut *tx)
            .await?;
            let (mut new, mut mended) = (Vec::new(), Vec::new());
            for row in rows {
                let id: Uuid = row.try_get("id")?;
                if row.try_get::<&str, _>("state")? == "mended" {
                    mended.push(id);
                } else if row.try_get("is_new")? {
                    new.push(id);
                }
            }
            audit(&mut tx, self.scope(), Action::DifferenceFound, "difference", &new).await?;
            audit(&mut tx, self.scope(), Action::DifferenceMended, "difference", &mended).await?;
            let opened = kept.iter().filter_map(|one| {
                let (delivery, record, reason) = (one.delivery?, one.record?, one.reason.as_ref()?);
                Some((Subject::Delivery { delivery, record, flow, destination, worth: one.worth.as_ref() }, reason))
            });
            exception::open(&mut tx, self.scope(), &opened.collect::<Vec<_>>()).await?;
        }
        tx.commit().await?;
        Ok(accepted)
    }

    /// Closes the open differences of deliveries that both sides agree about now, and their exceptions.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn differences_close(&self, deliveries: &[Uuid]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let closed: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE differences SET state = 'closed', closed_at = now(), note = 'both sides agree again'
             WHERE delivery_id = ANY($1) AND state = 'open' RETURNING id",
        )
        .bind(deliveries)
        .fetch_all(&mut *tx)
        .await?;
        if !closed.is_empty() {
            let resolved = close_exceptions(&mut tx, deliveries, "resolved", "Source and destination agree again").await?;
            audit(&mut tx, self.scope(), Action::DifferenceClosed, "difference", &closed).await?;
            audit(&mut tx, self.scope(), Action::ExceptionResolved, "exception", &resolved).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Sends ours again: what is gone is created anew, what differs is written over. Only what stands as it was found moves; an extra one is
    /// not ours to send.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn differences_resend(&self, ids: &[Uuid]) -> Result<(Vec<Uuid>, Nudges), StoreError> {
        let mut tx = self.begin().await?;
        let done = resend(&mut tx, self.scope(), ids, &[]).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Takes them as they are, with a reason: the same mismatch is not raised again.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn differences_accept(&self, ids: &[Uuid], reason: &str) -> Result<Vec<Uuid>, StoreError> {
        let mut tx = self.begin().await?;
        let accepted = accept(&mut tx, self.scope(), ids, &[], reason).await?;
        tx.commit().await?;
        Ok(accepted)
    }
}

/// Of differences by their ids, or of these deliveries.
pub(super) async fn resend(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    ids: &[Uuid],
    deliveries: &[Uuid],
) -> Result<(Vec<Uuid>, Nudges), StoreError> {
    if ids.is_empty() && deliveries.is_empty() {
        return Ok((vec![], Nudges::new()));
    }
    let rows = sqlx::query(
        "UPDATE differences SET state = 'resent', closed_at = now(), closed_by = $3
         WHERE (id = ANY($1) OR delivery_id = ANY($2)) AND state = 'open' AND kind IN ('gone', 'different') AND delivery_id IS NOT NULL
           -- What was undone is not sent again: what undid it stands in its place.
           AND NOT EXISTS (SELECT FROM deliveries e WHERE e.undoes = differences.delivery_id AND e.state NOT IN ('superseded', 'cancelled'))
         RETURNING id, delivery_id, kind",
    )
    .bind(ids)
    .bind(deliveries)
    .bind(scope.actor_json())
    .fetch_all(&mut **tx)
    .await?;
    let (mut resent, mut all, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        let delivery: Uuid = row.try_get("delivery_id")?;
        resent.push(row.try_get::<Uuid, _>("id")?);
        all.push(delivery);
        if row.try_get::<&str, _>("kind")? == DifferenceKind::Gone.as_str() {
            gone.push(delivery);
        }
    }
    if resent.is_empty() {
        return Ok((vec![], Nudges::new()));
    }
    // What the destination called it names nothing there any more.
    sqlx::query(
        "UPDATE deliveries e SET receipt_id = NULL, receipt_version = NULL FROM deliveries d
         WHERE d.id = ANY($1) AND e.record_id = d.record_id AND e.connection_id = d.connection_id AND e.receipt_id IS NOT NULL",
    )
    .bind(&gone)
    .execute(&mut **tx)
    .await?;
    let rows = sqlx::query(
        "UPDATE deliveries SET state = 'planned', failures = 0, calls_done = 0, resends = resends + 1, settled_at = NULL, due_at = now(),
                sweep_at = now() + interval '10 seconds', lane = $2
         WHERE id = ANY($1) AND state IN ('confirmed', 'reconciled') RETURNING id, connection_id",
    )
    .bind(&all)
    .bind(Lane::Retry.rank())
    .fetch_all(&mut **tx)
    .await?;
    let mut nudges = Nudges::new();
    for row in rows {
        let connection = ConnectionId(row.try_get("connection_id")?);
        nudges.push((Stage::Deliver, Nudge::new(scope.tenant, connection, Lane::Retry, row.try_get("id")?)));
    }
    let resolved = close_exceptions(tx, &all, "resolved", "Sent again").await?;
    audit(tx, scope, Action::DifferenceResent, "difference", &resent).await?;
    audit(tx, scope, Action::DeliveryRetried, "delivery", &all).await?;
    audit(tx, scope, Action::ExceptionResolved, "exception", &resolved).await?;
    Ok((resent, nudges))
}

/// Of differences by their ids, or of these deliveries.
pub(super) async fn accept(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    ids: &[Uuid],
    deliveries: &[Uuid],
    reason: &str,
) -> Result<Vec<Uuid>, StoreError> {
    if ids.is_empty() && deliveries.is_empty() {
        return Ok(vec![]);
    }
    let rows = sqlx::query(
        "UPDATE differences SET state = 'accepted', closed_at = now(), closed_by = $3, note = $4
         WHERE (id = ANY($1) OR delivery_id = ANY($2)) AND state = 'open' RETURNING id, delivery_id",
    )
    .bind(ids)
    .bind(deliveries)
    .bind(scope.actor_json())
    .bind(reason)
    .fetch_all(&mut **tx)
    .await?;
    let mut accepted = Vec::with_capacity(rows.len());
    let mut of = Vec::new();
    for row in rows {
        accepted.push(row.try_get::<Uuid, _>("id")?);
        of.extend(row.try_get::<Option<Uuid>, _>("delivery_id")?);
    }
    let ignored = close_exceptions(tx, &of, "ignored", reason).await?;
    let detail = serde_json::json!({ "reason": reason }).to_string();
    let details = vec![Some(detail.as_str()); accepted.len()];
    audit_each(tx, scope, Action::DifferenceAccepted, "difference", &accepted, &details).await?;
    audit_each(tx, scope, Action::ExceptionIgnored, "exception", &ignored, &vec![Some(detail.as_str()); ignored.len()]).await?;
    Ok(accepted)
}

/// Takes back that the differences of these ignored exceptions were accepted: those that were accepted in the moment in which the exception was
/// closed. Whoever calls has looked that the same difference is not open again.
pub(super) async fn reopen(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    exceptions: &[Uuid],
) -> Result<(), StoreError> {
    if exceptions.is_empty() {
        return Ok(());
    }
    let reopened: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE differences x SET state = 'open', closed_at = NULL, closed_by = NULL, note = NULL
         FROM exceptions e
         WHERE e.id = ANY($1) AND e.state = 'ignored' AND x.delivery_id = e.delivery_id AND x.state = 'accepted' AND x.closed_at = e.closed_at
         RETURNING x.id",
    )
    .bind(exceptions)
    .fetch_all(&mut **tx)
    .await?;
    audit(tx, scope, Action::DifferenceReopened, "difference", &reopened).await
}

/// Which of them a person accepted as they are: of the same delivery, in the same fields, with the same values.
async fn accepted(tx: &mut Transaction<'static, Postgres>, found: &[FoundDifference]) -> Result<Vec<bool>, StoreError> {
    let rows: Vec<i64> = sqlx::query_scalar(
        "SELECT i.at FROM unnest($1::uuid[], $2::text[], $3::jsonb[]) WITH ORDINALITY AS i (delivery_id, kind, fields, at)
         JOIN differences d ON d.delivery_id = i.delivery_id AND d.state = 'accepted' AND d.kind = i.kind AND d.fields = i.fields",
    )
    .bind(found.iter().map(|one| one.delivery.map(|id| id.0)).collect::<Vec<_>>())
    .bind(found.iter().map(|one| one.difference.kind.as_str()).collect::<Vec<_>>())
    .bind(found.iter().map(fields).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    let mut accepted = vec![false; found.len()];
    for at in rows {
        if let Some(place) = usize::try_from(at - 1).ok().and_then(|at| accepted.get_mut(at)) {
            *place = true;
        }
    }
    Ok(accepted)
}

fn fields(found: &FoundDifference) -> serde_json::Value {
    serde_json::to_value(&found.difference.fields).expect("texts are plain data")
}

/// Closes the exceptions that a reconciliation opened for these deliveries: those of a delivery that was confirmed.
async fn close_exceptions(
    tx: &mut Transaction<'static, Postgres>,
    deliveries: &[Uuid],
    state: &str,
    resolution: &str,
) -> Result<Vec<Uuid>, StoreError> {
    let closed = sqlx::query_scalar(
        "UPDATE exceptions SET state = $2, resolution = $3, closed_at = now()
         WHERE delivery_id = ANY($1) AND state = 'open' AND code LIKE 'difference.%' RETURNING id",
    );
    Ok(closed.bind(deliveries).bind(state).bind(resolution).fetch_all(&mut **tx).await?)
}
