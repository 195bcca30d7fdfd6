//! Hooks that were refused, in the audit log of the tenant that they were sent to.

use domain::audit::Action;
use domain::hook_refusal::Refused;
use domain::scope::Scope;
use uuid::Uuid;

use super::tenant_deletion::stands;
use super::{StoreError, TenantStore};

impl TenantStore<'_> {
    /// Adds an event for each of them. What the database has taken and not answered for is told twice.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn hooks_refused(&self, refused: &[Refused]) -> Result<(), StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        // Of a tenant that was deleted a moment ago nobody is there who could be told.
        if !stands(&mut tx, scope.tenant).await? {
            return Ok(());
        }
        // Nobody knows who sent them: Crossdock did the refusing, and whence the first came stands beside.
        let actor = |one: &Refused| Scope { request: one.asked, ..scope.clone() }.audit_actor_json();
        let subject = |one: &Refused| one.connection.map_or(("tenant", scope.tenant.0), |id| ("connection", id.0));
        sqlx::query(
            "INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
             SELECT id, $1, actor, $2, subject_kind, subject_id, request_id, detail
             FROM unnest($3::uuid[], $4::jsonb[], $5::text[], $6::uuid[], $7::uuid[], $8::text[])
                  AS i (id, actor, subject_kind, subject_id, request_id, detail)",
        )
        .bind(scope.tenant.0)
        .bind(Action::HookRefused.as_str())
        .bind(refused.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(refused.iter().map(actor).collect::<Vec<_>>())
        .bind(refused.iter().map(|one| subject(one).0).collect::<Vec<_>>())
        .bind(refused.iter().map(|one| subject(one).1).collect::<Vec<_>>())
        .bind(refused.iter().map(|one| one.asked.id).collect::<Vec<_>>())
        .bind(refused.iter().map(Refused::detail).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }
}
