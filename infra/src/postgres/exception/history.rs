//! What was said and done about exceptions: the comments, and the acts as the audit log has them.

use chrono::{DateTime, Utc};
use sqlx::Row;
use uuid::Uuid;

use crate::postgres::{StoreError, TenantStore};

/// Comments and acts of one thing that are shown.
pub const SHOWN_MAX: i64 = 100;

/// What somebody said.
#[derive(Debug, Clone)]
pub struct Comment {
    pub id: Uuid,
    pub author: serde_json::Value,
    pub text: String,
    pub at: DateTime<Utc>,
}

/// What somebody did.
#[derive(Debug, Clone)]
pub struct Done {
    pub at: DateTime<Utc>,
    pub actor: serde_json::Value,
    pub action: String,
    pub detail: Option<String>,
}

impl TenantStore<'_> {
    /// The comments on these, newest first, at most 100.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exception_comments(&self, subjects: &[Uuid]) -> Result<Vec<Comment>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT id, author, body, created_at FROM exception_comments WHERE subject_id = ANY($1) ORDER BY id DESC LIMIT $2",
        )
        .bind(subjects)
        .bind(SHOWN_MAX)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let comment = |row: sqlx::postgres::PgRow| -> Result<Comment, sqlx::Error> {
            Ok(Comment {
                id: row.try_get("id")?,
                author: row.try_get("author")?,
                text: row.try_get("body")?,
                at: row.try_get("created_at")?,
            })
        };
        Ok(rows.into_iter().map(comment).collect::<Result<_, _>>()?)
    }

    /// What was done about these, newest first, at most 100. Leans on audit_events_subject.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exception_history(&self, subjects: &[Uuid]) -> Result<Vec<Done>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT at, actor, action, detail FROM audit_events WHERE subject_id = ANY($1) AND action LIKE 'exception.%' ORDER BY id DESC LIMIT $2",
        )
        .bind(subjects)
        .bind(SHOWN_MAX)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let done = |row: sqlx::postgres::PgRow| -> Result<Done, sqlx::Error> {
            Ok(Done {
                at: row.try_get("at")?,
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                detail: row.try_get("detail")?,
            })
        };
        Ok(rows.into_iter().map(done).collect::<Result<_, _>>()?)
    }
}
