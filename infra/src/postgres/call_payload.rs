//! Payloads of calls that are told after they were made, kept beside their audit events: the event holds the digests, which are sealed with it.

use domain::audit::Action;
use domain::call_payload::{Part, ToldCall};
use domain::scope::Scope;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::StoreError;

/// Writes an audit event for each call and what is kept of it, in one statement.
pub(super) async fn audit_calls(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    action: Action,
    subject_kind: &str,
    subject: Uuid,
    calls: &[ToldCall],
) -> Result<(), StoreError> {
    if calls.is_empty() {
        return Ok(());
    }
    let texts = |of: fn(&ToldCall) -> &Option<Part>| -> Vec<Option<&str>> {
        calls.iter().map(|call| of(call).as_ref().map(|part| part.text.as_str())).collect()
    };
    sqlx::query(
        "WITH i AS (
             SELECT * FROM unnest($7::uuid[], $8::text[], $9::text[], $10::text[]) AS i (id, detail, request, answer)
         ), kept AS (
             INSERT INTO call_payloads (event_id, tenant_id, request, answer)
             SELECT id, $1, request, answer FROM i WHERE request IS NOT NULL OR answer IS NOT NULL
         )
         INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
         SELECT id, $1, $2, $3, $4, $5, $6, detail FROM i",
    )
    .bind(scope.tenant.0)
    .bind(scope.audit_actor_json())
    .bind(action.as_str())
    .bind(subject_kind)
    .bind(subject)
    .bind(scope.request.id)
    .bind(calls.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(calls.iter().map(|call| call.detail.as_str()).collect::<Vec<_>>())
    .bind(texts(|call| &call.request))
    .bind(texts(|call| &call.answer))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
