//! Tasks come from a broker whose password others may have: one that names what is not its tenant's does nothing, and the tenant that it speaks of
//! is told.

use std::collections::HashSet;

use domain::audit::Action;
use domain::scope::Scope;
use domain::task::Stage;
use sqlx::{AssertSqlSafe, Postgres, Transaction};
use tracing::warn;
use uuid::Uuid;

use super::StoreError;
use super::receive::audit_each;
use super::tenant_deletion::stands;

/// Ids that an event names; it counts all of them.
const NAMED_MAX: usize = 10;

/// Looks for rows that a task named and that were not taken. Most often they are there, and another worker has them or is done with them. Those that
/// are not this tenant's are refused: an event of its audit log says so. Row-level security has shown the task nothing of them.
pub(super) async fn refuse(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    stage: Stage,
    named: &[Uuid],
    taken: impl IntoIterator<Item = Uuid>,
) -> Result<(), StoreError> {
    let taken: HashSet<Uuid> = taken.into_iter().collect();
    let left: Vec<Uuid> = named.iter().filter(|id| !taken.contains(id)).copied().collect();
    if left.is_empty() {
        return Ok(());
    }
    let table = match stage {
        Stage::Receive => "messages",
        Stage::Deliver => "deliveries",
    };
    // Leans on the primary key, as whoever takes them does.
    let sql = format!("SELECT id FROM {table} WHERE id = ANY($1)");
    let ours: Vec<Uuid> = sqlx::query_scalar(AssertSqlSafe(sql)).bind(&left).fetch_all(&mut **tx).await?;
    let ours: HashSet<Uuid> = ours.into_iter().collect();
    let strays: Vec<Uuid> = left.into_iter().filter(|id| !ours.contains(id)).collect();
    if strays.is_empty() {
        return Ok(());
    }
    let (tenant, count) = (scope.tenant, strays.len());
    warn!(tenant.id = %tenant, stage = stage.as_str(), count, "Refused a task: it names {count} {table} that the tenant {tenant} does not have");
    // Of one that was deleted, tasks may be under way for a while: nobody is there who could be told.
    if stands(tx, tenant).await? {
        let named = &strays[..count.min(NAMED_MAX)];
        let detail = serde_json::json!({"stage": stage.as_str(), "count": count, "ids": named}).to_string();
        audit_each(tx, scope, Action::TaskRefused, "tenant", &[tenant.0], &[Some(&detail)]).await?;
    }
    Ok(())
}
