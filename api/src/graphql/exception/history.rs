//! What was said and done about exceptions, with the names of those who did.

use async_graphql::{Context, ID, Json, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::scope::Permission;
use uuid::Uuid;

use crate::graphql::error::{state, within};
use crate::graphql::member::Fellows;
use crate::graphql::personal::seen_detail;

/// What somebody said.
#[derive(SimpleObject)]
#[graphql(name = "ExceptionComment")]
pub struct ExceptionCommentNode {
    id: ID,
    /// A person's name, or their address where they have none.
    by: String,
    /// At most 4,000 characters.
    text: String,
    at: DateTime<Utc>,
}

/// What somebody did.
#[derive(SimpleObject)]
#[graphql(name = "ExceptionEvent")]
pub struct ExceptionEventNode {
    at: DateTime<Utc>,
    by: String,
    /// `exception.assigned`, `exception.resolved`: as the audit log says it.
    action: String,
    detail: Option<Json<serde_json::Value>>,
}

pub async fn comments(ctx: &Context<'_>, subjects: &[Uuid]) -> Result<Vec<ExceptionCommentNode>> {
    let comments = within(ctx, Permission::ReadOperations, async |store| store.exception_comments(subjects).await).await?;
    let fellows = if comments.is_empty() { Fellows::none() } else { Fellows::load(ctx).await? };
    let node = |comment: infra::postgres::exception::history::Comment| ExceptionCommentNode {
        id: ID(comment.id.simple().to_string()),
        by: fellows.name(&comment.author),
        text: comment.text,
        at: comment.at,
    };
    Ok(comments.into_iter().map(node).collect())
}

pub async fn history(ctx: &Context<'_>, subjects: &[Uuid]) -> Result<Vec<ExceptionEventNode>> {
    let done = within(ctx, Permission::ReadOperations, async |store| store.exception_history(subjects).await).await?;
    let fellows = if done.is_empty() { Fellows::none() } else { Fellows::load(ctx).await? };
    let vault = &state(ctx).vault;
    let details = done.iter().map(|done| done.detail.clone()).collect();
    let details = within(ctx, Permission::ReadOperations, async |store| store.audit_details(vault, details).await).await?;
    let node = |(done, detail): (infra::postgres::exception::history::Done, Option<String>)| ExceptionEventNode {
        at: done.at,
        by: fellows.name(&done.actor),
        action: done.action,
        detail: detail.and_then(|detail| serde_json::from_str(&detail).ok()).map(|detail| Json(seen_detail(ctx, detail))),
    };
    Ok(done.into_iter().zip(details).map(node).collect())
}
