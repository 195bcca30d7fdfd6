//! The audit log: what was done, by whom.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{Context, ID, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::AuditEventId;
use domain::scope::Permission;
use infra::postgres::entity::audit_event;
use infra::postgres::filter::audit_of;
use uuid::Uuid;

use super::page::{cost, id, page};

#[derive(SimpleObject)]
#[graphql(name = "AuditEvent")]
struct AuditEventNode {
    id: ID,
    at: DateTime<Utc>,
    /// Who did it: a member, a stage of Crossdock, a vendor or an operator.
    actor: Json<serde_json::Value>,
    action: String,
    subject_kind: String,
    subject_id: String,
    /// One request or task; all it caused has the same.
    request_id: String,
    /// JSON, at most a few hundred bytes.
    detail: Option<String>,
}

impl From<audit_event::Model> for AuditEventNode {
    fn from(row: audit_event::Model) -> Self {
        let prefix =
            domain::id::PREFIXES.iter().find(|(_, noun)| noun.replace(' ', "_") == row.subject_kind).map(|(prefix, _)| *prefix);
        Self {
            id: id::<AuditEventId>(row.id),
            at: row.at,
            actor: Json(row.actor),
            action: row.action,
            subject_id: prefix
                .map_or_else(|| row.subject_id.to_string(), |prefix| format!("{prefix}_{}", row.subject_id.simple())),
            subject_kind: row.subject_kind,
            request_id: row.request_id.to_string(),
            detail: row.detail,
        }
    }
}

#[derive(Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// Newest first, at most 100 a page. `subjectId` takes the id of any thing.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        subject_id: Option<ID>,
        action: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, AuditEventNode, EmptyFields, EmptyFields>> {
        // What is no id narrows to nothing, not to everything.
        let subject = subject_id.map(|id| id.rsplit('_').next().and_then(|hex| Uuid::try_parse(hex).ok()).unwrap_or_default());
        let filter = audit_of(subject, action);
        page::<audit_event::Entity, _>(ctx, Permission::ReadAudit, first, after, filter, |row| (row.id, row.into())).await
    }
}
