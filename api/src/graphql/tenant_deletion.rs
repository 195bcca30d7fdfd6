//! The deletion of a tenant: an owner asks for it and has a week to take it back; everybody of the tenant sees when it is.

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::permission::Permission;
use infra::postgres::TenantStore;
use infra::postgres::tenant_deletion::{DeletionRefusal, DeletionTold, TenantDeletion};

use super::error::{UserError, UserErrorCode, WHY_CHARS_MAX, said, state, viewer, within};
use super::page::LARGE_COST;

/// That a tenant is to be deleted. Until then everything goes on.
#[derive(SimpleObject)]
#[graphql(name = "TenantDeletion")]
pub struct TenantDeletionNode {
    /// From then on; while a legal hold stands, not before that is taken back.
    deletes_at: DateTime<Utc>,
    asked_at: DateTime<Utc>,
    /// The user id of the owner who asked for it.
    asked_by: ID,
    /// At most 500 characters.
    why: String,
}

impl From<TenantDeletion> for TenantDeletionNode {
    fn from(deletion: TenantDeletion) -> Self {
        Self {
            deletes_at: deletion.deletes_at,
            asked_at: deletion.asked_at,
            asked_by: ID(deletion.asked_by.to_string()),
            why: deletion.why,
        }
    }
}

#[derive(SimpleObject)]
struct TenantDeletePayload {
    /// When the tenant is deleted.
    deletes_at: Option<DateTime<Utc>>,
    user_errors: Vec<UserError>,
}

impl TenantDeletePayload {
    fn refused(field: &str, code: UserErrorCode, message: impl Into<String>) -> Self {
        Self { deletes_at: None, user_errors: vec![UserError::new(field, code, message)] }
    }
}

#[derive(SimpleObject)]
struct TenantDeleteCancelPayload {
    done: bool,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct TenantDeletionMutation;

#[Object]
impl TenantDeletionMutation {
    /// Has the tenant deleted seven days from now: its keys, connections, records, members, audit log, everything but its invoices and the seals of its audit log. Its
    /// owners are told by mail. Until then everything goes on and `tenantDeleteCancel` takes it back; afterwards nobody can. BLOCKED while the audit log is under a
    /// legal hold. What vendors have of the tenant is theirs: take the app, keys and webhooks away there, too.
    #[graphql(complexity = "LARGE_COST")]
    async fn tenant_delete(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The tenant's slug once more, so that nobody deletes another one than they mean.")] slug: String,
        #[graphql(desc = "Stands in the audit log, and stays when the tenant is gone; 1 to 500 characters.")] why: String,
    ) -> Result<TenantDeletePayload> {
        let (user, _) = viewer(ctx)?.person()?;
        let refuse = |field, code, message: String| Ok(TenantDeletePayload::refused(field, code, message));
        let why = match said("why", &why, WHY_CHARS_MAX) {
            Ok(why) => why,
            Err(error) => return Ok(TenantDeletePayload { deletes_at: None, user_errors: vec![error] }),
        };
        let mailing = &state(ctx).mailing;
        let write = |told: &DeletionTold| mailing.tenant_deletion(told);
        let delete = async |store: TenantStore<'_>| store.tenant_delete(user, &slug, why, &write).await;
        match within(ctx, Permission::ManageOwners, delete).await? {
            Ok(deletes_at) => Ok(TenantDeletePayload { deletes_at: Some(deletes_at), user_errors: vec![] }),
            Err(DeletionRefusal::Slug) => {
                refuse("slug", UserErrorCode::Invalid, "this is not the slug of the tenant that you are in".to_owned())
            }
            Err(DeletionRefusal::Owner) => refuse("slug", UserErrorCode::Blocked, "you are no owner of it any more".to_owned()),
            Err(DeletionRefusal::Held(hold)) => {
                let message = format!(
                    "nothing is deleted while a legal hold stands: {hold}. An owner or admin ends it with auditPolicySet."
                );
                refuse("slug", UserErrorCode::Blocked, message)
            }
            Err(DeletionRefusal::Stands(at)) => {
                let message = format!("it is to be deleted already, on {}", at.format("%Y-%m-%d %H:%M UTC"));
                refuse("slug", UserErrorCode::Taken, message)
            }
        }
    }

    /// Keeps a tenant that was to be deleted, as if nobody had asked. Its owners are told by mail.
    async fn tenant_delete_cancel(&self, ctx: &Context<'_>) -> Result<TenantDeleteCancelPayload> {
        let (user, _) = viewer(ctx)?.person()?;
        let mailing = &state(ctx).mailing;
        let write = |told: &DeletionTold| mailing.tenant_deletion(told);
        let cancel = async |store: TenantStore<'_>| store.tenant_delete_cancel(user, &write).await;
        let done = within(ctx, Permission::ManageOwners, cancel).await?;
        let missing = || UserError::new("", UserErrorCode::NotFound, "nobody has asked to delete this tenant");
        Ok(TenantDeleteCancelPayload { done, user_errors: if done { vec![] } else { vec![missing()] } })
    }
}
