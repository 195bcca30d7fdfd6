//! Service accounts: a program of a partner or of the tenant's own, that stays who it is when its keys are exchanged.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::ServiceAccountId;
use domain::permission::Permission;
use infra::postgres::TenantStore;
use infra::postgres::alert::Set;
use infra::postgres::service_account::{NewServiceAccount, SERVICE_ACCOUNTS_MAX, ServiceAccount, ServiceAccountChange};

use super::api_key::{CALLS_PER_MINUTE, PermissionName, calls_wrong, granted, name_wrong};
use super::error::{UserError, UserErrorCode, WHY_CHARS_MAX, said, viewer, within};
use super::page::{cost, uuid};

const NAME_CHARS_MAX: usize = 100;
const PURPOSE_CHARS_MAX: usize = 500;

/// A program of a partner or of the tenant's own, that stays who it is when its keys are exchanged. What its keys do is in the audit log under its id and name.
#[derive(SimpleObject)]
#[graphql(name = "ServiceAccount")]
pub struct ServiceAccountNode {
    id: ID,
    name: String,
    /// What it is for, and whose it is.
    purpose: String,
    /// What its keys may at most: a key may what it was given, as far as that is here.
    permissions: Vec<PermissionName>,
    /// Of all its keys together, and a sixth of them at once. Each key has its own limit besides.
    calls_per_minute: i32,
    /// The person who made it.
    created_by: ID,
    created_at: DateTime<Utc>,
    /// Since then none of its keys is worth anything, and none is made.
    ended_at: Option<DateTime<Utc>>,
}

impl From<ServiceAccount> for ServiceAccountNode {
    fn from(account: ServiceAccount) -> Self {
        Self {
            id: ID(account.id.to_string()),
            name: account.name,
            purpose: account.purpose,
            permissions: account.permissions.into_iter().map(Into::into).collect(),
            calls_per_minute: account.calls_per_minute,
            created_by: ID(account.created_by.to_string()),
            created_at: account.created_at,
            ended_at: account.ended_at,
        }
    }
}

#[derive(InputObject)]
struct ServiceAccountCreateInput {
    /// What the audit log calls it, in letters of any case as no other one that has not ended; 1 to 100 characters.
    name: String,
    /// What it is for, and whose it is; 1 to 500 characters.
    purpose: String,
    /// What its keys may at most: nothing that is not for API keys, and no more than you may yourself.
    permissions: Vec<PermissionName>,
    /// Of all its keys together: 600 where nothing is said; 1 to 60,000.
    calls_per_minute: Option<i32>,
}

/// What is to be other; what is left out stays as it is.
#[derive(InputObject)]
struct ServiceAccountChangeInput {
    /// 1 to 100 characters.
    name: Option<String>,
    /// 1 to 500 characters.
    purpose: Option<String>,
    /// Its keys are narrowed or widened with it from their next request on; none has more than it was made with.
    permissions: Option<Vec<PermissionName>>,
    /// 1 to 60,000.
    calls_per_minute: Option<i32>,
}

#[derive(SimpleObject)]
struct ServiceAccountPayload {
    service_account: Option<ServiceAccountNode>,
    user_errors: Vec<UserError>,
}

impl ServiceAccountPayload {
    fn refused(wrong: UserError) -> Self {
        Self { service_account: None, user_errors: vec![wrong] }
    }
}

impl From<Set<ServiceAccount>> for ServiceAccountPayload {
    fn from(set: Set<ServiceAccount>) -> Self {
        match set {
            Set::Done(account) => Self { service_account: Some(account.into()), user_errors: vec![] },
            Set::NotFound => missing(),
            Set::Taken => {
                Self::refused(UserError::new("name", UserErrorCode::Taken, "another service account has this name already"))
            }
            Set::TooMany => {
                let message = format!("there are {SERVICE_ACCOUNTS_MAX} service accounts already; end one that nobody needs");
                Self::refused(UserError::new("name", UserErrorCode::TooMany, message))
            }
        }
    }
}

#[derive(Default)]
pub struct ServiceAccountQuery;

#[Object]
impl ServiceAccountQuery {
    /// The tenant's service accounts: those that have not ended, then those that have, the newest first; at most 200.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn service_accounts(&self, ctx: &Context<'_>) -> Result<Vec<ServiceAccountNode>> {
        let accounts = within(ctx, Permission::ManageApiKeys, async |store| store.service_accounts().await).await?;
        Ok(accounts.into_iter().map(Into::into).collect())
    }
}

#[derive(Default)]
pub struct ServiceAccountMutation;

#[Object]
impl ServiceAccountMutation {
    /// A new account, without a key: `apiKeyCreate(input: { serviceAccountId })` makes it one. At most 50 that have not ended.
    async fn service_account_create(&self, ctx: &Context<'_>, input: ServiceAccountCreateInput) -> Result<ServiceAccountPayload> {
        let asks = viewer(ctx)?;
        let (user, _) = asks.person()?;
        let permissions = match granted(asks, input.permissions) {
            Ok(permissions) => permissions,
            Err(wrong) => return Ok(ServiceAccountPayload::refused(wrong)),
        };
        let new = NewServiceAccount {
            name: input.name.trim(),
            purpose: input.purpose.trim(),
            permissions: &permissions,
            calls_per_minute: input.calls_per_minute.unwrap_or(CALLS_PER_MINUTE),
            created_by: user,
        };
        if let Some(wrong) = wrong(Some(new.name), Some(new.purpose), Some(new.calls_per_minute)) {
            return Ok(ServiceAccountPayload::refused(wrong));
        }
        let create = async |store: TenantStore<'_>| store.service_account_create(&new).await;
        Ok(within(ctx, Permission::ManageApiKeys, create).await?.into())
    }

    /// Changes an account that has not ended. What its keys may, and how often, follows from their next request on.
    async fn service_account_change(
        &self,
        ctx: &Context<'_>,
        id: ID,
        input: ServiceAccountChangeInput,
    ) -> Result<ServiceAccountPayload> {
        let Some(id) = uuid::<ServiceAccountId>(&id).map(ServiceAccountId) else { return Ok(missing()) };
        let asks = viewer(ctx)?;
        let permissions = match input.permissions.map(|named| granted(asks, named)).transpose() {
            Ok(permissions) => permissions,
            Err(wrong) => return Ok(ServiceAccountPayload::refused(wrong)),
        };
        let change = ServiceAccountChange {
            name: input.name.as_deref().map(str::trim),
            purpose: input.purpose.as_deref().map(str::trim),
            permissions: permissions.as_deref(),
            calls_per_minute: input.calls_per_minute,
        };
        if let Some(wrong) = wrong(change.name, change.purpose, change.calls_per_minute) {
            return Ok(ServiceAccountPayload::refused(wrong));
        }
        let set = async |store: TenantStore<'_>| store.service_account_change(id, &change).await;
        Ok(within(ctx, Permission::ManageApiKeys, set).await?.into())
    }

    /// Ends an account and revokes all its keys, at once. It does not come back; what it did stays under its id. `why` stands in the audit log: 1 to 500
    /// characters.
    async fn service_account_end(&self, ctx: &Context<'_>, id: ID, why: String) -> Result<ServiceAccountPayload> {
        let why = match said("why", &why, WHY_CHARS_MAX) {
            Ok(why) => why,
            Err(wrong) => return Ok(ServiceAccountPayload::refused(wrong)),
        };
        let Some(id) = uuid::<ServiceAccountId>(&id).map(ServiceAccountId) else { return Ok(missing()) };
        let end = async |store: TenantStore<'_>| store.service_account_end(id, why).await;
        let ended = within(ctx, Permission::ManageApiKeys, end).await?;
        Ok(ended.map_or_else(missing, |ended| Set::Done(ended).into()))
    }
}

/// Of an id that is of none, said in this field.
pub(super) fn no_account(field: &str) -> UserError {
    let message = "there is no such service account, or it has ended; `serviceAccounts` lists them";
    UserError::new(field, UserErrorCode::NotFound, message)
}

fn missing() -> ServiceAccountPayload {
    ServiceAccountPayload::refused(no_account("id"))
}

/// What a person has to mend of what was said.
fn wrong(name: Option<&str>, purpose: Option<&str>, calls_per_minute: Option<i32>) -> Option<UserError> {
    let invalid = |field: &str, message: String| Some(UserError::new(field, UserErrorCode::Invalid, message));
    if name.is_some_and(|name| !(1..=NAME_CHARS_MAX).contains(&name.chars().count())) {
        return invalid("name", format!("say whose program it is, in 1 to {NAME_CHARS_MAX} characters"));
    }
    if let Some(wrong) = name.and_then(name_wrong) {
        return Some(wrong);
    }
    if purpose.is_some_and(|purpose| !(1..=PURPOSE_CHARS_MAX).contains(&purpose.chars().count())) {
        return invalid("purpose", format!("say what it is for, in 1 to {PURPOSE_CHARS_MAX} characters"));
    }
    calls_wrong(calls_per_minute?)
}
