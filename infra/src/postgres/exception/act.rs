//! What people decide about exceptions that stay open: whose they are, their tags, their rest, and what is said about them. An act that names
//! a cause is about the group, and holds for what joins it later; one that names ids is about these.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{ExceptionGroupId, UserId};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::retry::{SELECTED_MAX, Selection};
use crate::postgres::receive::audit_each;
use crate::postgres::{StoreError, TenantStore};

/// What is decided.
#[derive(Debug, Clone)]
pub enum Act {
    /// `None`: nobody's.
    Assign(Option<UserId>),
    Tag {
        add: Vec<String>,
        remove: Vec<String>,
    },
    /// `above` counts for a group: it is shown again with more open exceptions than these.
    Snooze {
        until: DateTime<Utc>,
        above: Option<i32>,
    },
    Wake,
    Comment(String),
}

impl Act {
    fn action(&self) -> Action {
        match self {
            Self::Assign(_) => Action::ExceptionAssigned,
            Self::Tag { .. } => Action::ExceptionTagged,
            Self::Snooze { .. } => Action::ExceptionSnoozed,
            Self::Wake => Action::ExceptionWoken,
            Self::Comment(_) => Action::ExceptionCommented,
        }
    }

    /// What the audit log says beside. A comment is kept once, as a comment.
    fn detail(&self) -> Option<String> {
        let detail = match self {
            Self::Assign(to) => serde_json::json!({"to": to}),
            Self::Tag { add, remove } => serde_json::json!({"add": add, "remove": remove}),
            Self::Snooze { until, above } => serde_json::json!({"until": until, "above": above}),
            Self::Wake | Self::Comment(_) => return None,
        };
        Some(detail.to_string())
    }
}

/// What became of an act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acted {
    /// So many open exceptions it is about.
    Done(i64),
    /// Nobody of that id is a member of the tenant.
    NoMember,
    /// One of them would have more tags than it may.
    TooManyTags,
}

impl TenantStore<'_> {
    /// # Errors
    /// Where the database does not answer.
    pub async fn exceptions_act(&self, selection: &Selection, act: &Act) -> Result<Acted, StoreError> {
        let mut tx = self.begin().await?;
        if let Act::Assign(Some(user)) = act {
            let is_member = sqlx::query_scalar("SELECT EXISTS (SELECT FROM members WHERE tenant_id = $1 AND user_id = $2)");
            if !is_member.bind(self.scope().tenant.0).bind(user.0).fetch_one(&mut *tx).await? {
                return Ok(Acted::NoMember);
            }
        }
        let mut count = 0;
        if let Some(cause_key) = &selection.cause_key {
            let open = "SELECT count(*) FROM exceptions WHERE tenant_id = $1 AND state = 'open' AND cause_key = $2";
            count = sqlx::query_scalar(open).bind(self.scope().tenant.0).bind(cause_key).fetch_one(&mut *tx).await?;
            if count > 0 && !self.act_on_group(&mut tx, cause_key, act).await? {
                return Ok(Acted::TooManyTags);
            }
        }
        if !selection.ids.is_empty() {
            let Some(acted) = self.act_on_each(&mut tx, &selection.ids, act).await? else { return Ok(Acted::TooManyTags) };
            count += acted;
        }
        tx.commit().await?;
        Ok(Acted::Done(count))
    }

    /// False where the group would have too many tags.
    pub(crate) async fn act_on_group(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        cause_key: &str,
        act: &Act,
    ) -> Result<bool, StoreError> {
        let (tenant, id) = (self.scope().tenant, ExceptionGroupId::of(self.scope().tenant, cause_key));
        if let Act::Comment(text) = act {
            self.comment(tx, &[id.0], text).await?;
        } else {
            sqlx::query("INSERT INTO exception_groups (id, tenant_id, cause_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING")
                .bind(id.0)
                .bind(tenant.0)
                .bind(cause_key)
                .execute(&mut **tx)
                .await?;
            let changed = match act {
                Act::Assign(user) => sqlx::query("UPDATE exception_groups SET assignee_id = $2 WHERE id = $1")
                    .bind(id.0)
                    .bind(user.map(|user| user.0)),
                Act::Tag { add, remove } => {
                    sqlx::query("UPDATE exception_groups SET tags = ARRAY(SELECT DISTINCT t FROM unnest(tags || $2) t WHERE t <> ALL($3) ORDER BY t) WHERE id = $1")
                        .bind(id.0)
                        .bind(add)
                        .bind(remove)
                }
                Act::Snooze { until, above } => {
                    sqlx::query("UPDATE exception_groups SET snoozed_until = $2, snoozed_above = $3 WHERE id = $1")
                        .bind(id.0)
                        .bind(until)
                        .bind(above)
                }
                Act::Wake | Act::Comment(_) => {
                    sqlx::query("UPDATE exception_groups SET snoozed_until = NULL, snoozed_above = NULL WHERE id = $1").bind(id.0)
                }
            };
            if is_overfull(changed.execute(&mut **tx).await)? {
                return Ok(false);
            }
            if matches!(act, Act::Wake) {
                // Those that rest for themselves are woken with it.
                sqlx::query("UPDATE exceptions SET snoozed_until = NULL WHERE tenant_id = $1 AND state = 'open' AND cause_key = $2 AND snoozed_until IS NOT NULL")
                    .bind(tenant.0)
                    .bind(cause_key)
                    .execute(&mut **tx)
                    .await?;
            }
        }
        audit_each(tx, self.scope(), act.action(), "exception_group", &[id.0], &[act.detail().as_deref()]).await?;
        Ok(true)
    }

    /// `None` where one of them would have too many tags.
    async fn act_on_each(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        ids: &[Uuid],
        act: &Act,
    ) -> Result<Option<i64>, StoreError> {
        let open = sqlx::query_scalar(
            "SELECT id FROM exceptions WHERE id = ANY($1) AND tenant_id = $2 AND state = 'open' ORDER BY id LIMIT $3 FOR UPDATE",
        );
        let ids: Vec<Uuid> = open.bind(ids).bind(self.scope().tenant.0).bind(SELECTED_MAX).fetch_all(&mut **tx).await?;
        let changed = match act {
            Act::Comment(text) => {
                self.comment(tx, &ids, text).await?;
                None
            }
            Act::Assign(user) => Some(
                sqlx::query("UPDATE exceptions SET assignee_id = $2 WHERE id = ANY($1)")
                    .bind(&ids)
                    .bind(user.map(|user| user.0)),
            ),
            Act::Tag { add, remove } => Some(
                sqlx::query("UPDATE exceptions SET tags = ARRAY(SELECT DISTINCT t FROM unnest(tags || $2) t WHERE t <> ALL($3) ORDER BY t) WHERE id = ANY($1)")
                    .bind(&ids)
                    .bind(add)
                    .bind(remove),
            ),
            Act::Snooze { until, .. } => {
                Some(sqlx::query("UPDATE exceptions SET snoozed_until = $2 WHERE id = ANY($1)").bind(&ids).bind(until))
            }
            Act::Wake => Some(sqlx::query("UPDATE exceptions SET snoozed_until = NULL WHERE id = ANY($1)").bind(&ids)),
        };
        if let Some(changed) = changed
            && is_overfull(changed.execute(&mut **tx).await)?
        {
            return Ok(None);
        }
        let detail = act.detail();
        audit_each(tx, self.scope(), act.action(), "exception", &ids, &vec![detail.as_deref(); ids.len()]).await?;
        Ok(Some(i64::try_from(ids.len()).unwrap_or(i64::MAX)))
    }

    pub(super) async fn comment(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        subjects: &[Uuid],
        text: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO exception_comments (id, tenant_id, subject_id, author, body)
             SELECT id, $1, subject_id, $2, $3 FROM unnest($4::uuid[], $5::uuid[]) AS i (id, subject_id)",
        )
        .bind(self.scope().tenant.0)
        .bind(self.scope().actor_json())
        .bind(text)
        .bind(subjects.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(subjects)
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// The tables bound how many tags a thing has; nothing else of an act can be against a check.
fn is_overfull<T>(outcome: Result<T, sqlx::Error>) -> Result<bool, StoreError> {
    match outcome {
        Err(sqlx::Error::Database(error)) if error.is_check_violation() => Ok(true),
        outcome => Ok(outcome.map(|_| false)?),
    }
}
