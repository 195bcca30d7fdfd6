//! API keys: how a partner's program or a service of the tenant's own asks, without a person.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Duration, Utc};
use domain::id::{ApiKeyId, ServiceAccountId};
use domain::impersonation::is_id;
use domain::permission::Permission;
use domain::secret::ExposeSecret;
use infra::postgres::api_key::{API_KEY_DAYS_MAX, API_KEYS_MAX, ApiKey, KeyRefusal, KeyText, NewApiKey};

use super::error::{UserError, UserErrorCode, viewer, within};
use super::page::{cost, uuid};
use super::service_account::{ServiceAccountNode, no_account};
use crate::api_key::NewKey;
use crate::auth::Viewer;

/// What a key is good for where nobody says.
const DAYS: i64 = 90;
pub(super) const CALLS_PER_MINUTE: i32 = 600;
const CALLS_PER_MINUTE_MAX: i32 = 60_000;
const OVERLAP_HOURS: i32 = 24;
const OVERLAP_HOURS_MAX: i32 = 720;

/// What somebody may do in a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "Permission", remote = "domain::permission::Permission")]
pub enum PermissionName {
    /// See flows, records, deliveries, exceptions, connections (never secrets).
    ReadOperations,
    /// See the audit log.
    ReadAudit,
    /// See what is billed.
    ReadUsage,
    /// Retry and ignore exceptions, edit lookup tables.
    WorkExceptions,
    /// Create and change connections, flows and lookup tables; publish.
    Configure,
    /// Remove members, give them roles. Not for API keys.
    ManageMembers,
    /// Make another an owner, or take that away. Not for API keys.
    ManageOwners,
    /// Make, rotate and revoke API keys. Not for API keys.
    ManageApiKeys,
    /// Let support in, and end what it does. Not for API keys.
    ManageSupport,
    /// Read the schema of this API (introspection).
    ReadSchema,
    /// See what tells of a person in records and payloads: names, addresses, telephones. Without it that is hidden.
    ReadPersonalData,
    /// See what the tenant pays: its plan and its invoices.
    ReadInvoices,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum ApiKeyState {
    Active,
    Expired,
    Revoked,
}

/// A key of a program. What it is was shown once, when it was made.
#[derive(SimpleObject)]
#[graphql(name = "ApiKey")]
struct ApiKeyNode {
    id: ID,
    name: String,
    /// The part of the key that is no secret, to tell keys apart: `cdk_<prefix>_…`.
    prefix: String,
    /// What it may now: what it was given, as far as its service account has that.
    permissions: Vec<PermissionName>,
    /// A sixth of them at once.
    calls_per_minute: i32,
    /// It may ask what `persistedOperations` lists, and nothing else.
    persisted_only: bool,
    state: ApiKeyState,
    /// The person who made it and answers for it.
    created_by: ID,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    /// To five minutes; null where it never was.
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    /// The key that it took the place of.
    replaces_id: Option<ID>,
    /// Whom it acts as; null of a key by itself.
    service_account: Option<ServiceAccountNode>,
}

impl From<ApiKey> for ApiKeyNode {
    fn from(key: ApiKey) -> Self {
        let state = match key.revoked_at {
            Some(_) => ApiKeyState::Revoked,
            None if key.expires_at <= Utc::now() => ApiKeyState::Expired,
            None => ApiKeyState::Active,
        };
        Self {
            id: ID(key.id.to_string()),
            name: key.name,
            prefix: key.prefix,
            permissions: key.permissions.into_iter().map(Into::into).collect(),
            calls_per_minute: key.calls_per_minute,
            persisted_only: key.is_persisted_only,
            state,
            created_by: ID(key.created_by.to_string()),
            created_at: key.created_at,
            expires_at: key.expires_at,
            last_used_at: key.last_used_at,
            revoked_at: key.revoked_at,
            replaces_id: key.replaces.map(|id| ID(id.to_string())),
            service_account: key.account.map(Into::into),
        }
    }
}

#[derive(InputObject)]
struct ApiKeyCreateInput {
    /// What it is for; 1 to 200 characters.
    name: String,
    /// What it may do: no more than its program needs, nothing that is not for API keys, and nothing that its service account may not.
    permissions: Vec<PermissionName>,
    /// In 90 days where nothing is said; in 366 days at most.
    expires_at: Option<DateTime<Utc>>,
    /// 600 where nothing is said; 1 to 60,000.
    calls_per_minute: Option<i32>,
    /// True keeps it to the operations that `persistedOperations` lists: a key that falls into other hands asks nothing else.
    #[graphql(default)]
    persisted_only: bool,
    /// Whom it acts as, and so does every key that takes its place; a key by itself where nothing is said.
    service_account_id: Option<ID>,
}

#[derive(SimpleObject)]
struct ApiKeyPayload {
    api_key: Option<ApiKeyNode>,
    /// The key itself. It is shown this once and kept nowhere: lost is lost, and another one is made.
    key: Option<String>,
    user_errors: Vec<UserError>,
}

impl ApiKeyPayload {
    fn refuse(field: &str, code: UserErrorCode, message: impl Into<String>) -> Self {
        Self::refused(UserError::new(field, code, message))
    }

    fn refused(wrong: UserError) -> Self {
        Self { api_key: None, key: None, user_errors: vec![wrong] }
    }

    fn shown(made: ApiKey, new: &NewKey) -> Self {
        Self { api_key: Some(made.into()), key: Some(new.text.expose_secret().to_owned()), user_errors: vec![] }
    }
}

#[derive(Default)]
pub struct ApiKeyQuery;

#[Object]
impl ApiKeyQuery {
    /// The tenant's API keys, the newest first, those that are over too; at most 500.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn api_keys(&self, ctx: &Context<'_>) -> Result<Vec<ApiKeyNode>> {
        let keys = within(ctx, Permission::ManageApiKeys, async |store| store.api_keys().await).await?;
        Ok(keys.into_iter().map(Into::into).collect())
    }
}

#[derive(Default)]
pub struct ApiKeyMutation;

#[Object]
impl ApiKeyMutation {
    /// A new key; at most 200 of a tenant can be used at once. It goes into the header `Authorization: Bearer …` of each request to this address.
    async fn api_key_create(&self, ctx: &Context<'_>, input: ApiKeyCreateInput) -> Result<ApiKeyPayload> {
        let asks = viewer(ctx)?;
        let (user, _) = asks.person()?;
        let now = Utc::now();
        let permissions = match granted(asks, input.permissions) {
            Ok(permissions) => permissions,
            Err(wrong) => return Ok(ApiKeyPayload::refused(wrong)),
        };
        let no_account = || ApiKeyPayload::refused(no_account("serviceAccountId"));
        let account = match input.service_account_id.as_ref().map(uuid::<ServiceAccountId>) {
            Some(None) => return Ok(no_account()),
            said => said.flatten().map(ServiceAccountId),
        };
        let new = NewApiKey {
            name: input.name.trim(),
            permissions: &permissions,
            calls_per_minute: input.calls_per_minute.unwrap_or(CALLS_PER_MINUTE),
            is_persisted_only: input.persisted_only,
            created_by: user,
            expires_at: input.expires_at.unwrap_or(now + Duration::days(DAYS)),
            account,
        };
        if let Some(wrong) = wrong(&new, now) {
            return Ok(ApiKeyPayload::refused(wrong));
        }
        let key = NewKey::generate();
        let text = KeyText { prefix: &key.prefix, hash: &key.hash };
        let made = within(ctx, Permission::ManageApiKeys, async |store| store.api_key_create(&new, &text).await).await?;
        Ok(match made {
            Ok(made) => ApiKeyPayload::shown(made, &key),
            Err(KeyRefusal::TooMany) => {
                let message = format!("{API_KEYS_MAX} keys can be used already; revoke one that nobody needs");
                ApiKeyPayload::refuse("name", UserErrorCode::TooMany, message)
            }
            Err(KeyRefusal::NoAccount) => no_account(),
            Err(KeyRefusal::Beyond(account, beyond)) => {
                let beyond: Vec<String> = beyond.into_iter().map(word).collect();
                let message = format!(
                    "the service account {account} may not {}; leave it out, or let the account have it first (serviceAccountChange)",
                    beyond.join(", ")
                );
                ApiKeyPayload::refuse("permissions", UserErrorCode::Invalid, message)
            }
        })
    }

    /// Another key in the place of one: it may the same, as the same service account, for as long again. The old one is good for `overlapHours` more (24; 0
    /// to 720), so that its program can be told the new one while it runs.
    async fn api_key_rotate(
        &self,
        ctx: &Context<'_>,
        id: ID,
        #[graphql(default_with = "OVERLAP_HOURS")] overlap_hours: i32,
    ) -> Result<ApiKeyPayload> {
        let (user, _) = viewer(ctx)?.person()?;
        if !(0..=OVERLAP_HOURS_MAX).contains(&overlap_hours) {
            let message = format!("the old key can be good for 0 to {OVERLAP_HOURS_MAX} hours more");
            return Ok(ApiKeyPayload::refuse("overlapHours", UserErrorCode::Invalid, message));
        }
        let Some(id) = uuid::<ApiKeyId>(&id).map(ApiKeyId) else { return Ok(missing()) };
        let key = NewKey::generate();
        let text = KeyText { prefix: &key.prefix, hash: &key.hash };
        let rotate = async |store: infra::postgres::TenantStore<'_>| store.api_key_rotate(id, user, overlap_hours, &text).await;
        Ok(within(ctx, Permission::ManageApiKeys, rotate).await?.map_or_else(missing, |made| ApiKeyPayload::shown(made, &key)))
    }

    /// Ends a key at once.
    async fn api_key_revoke(&self, ctx: &Context<'_>, id: ID) -> Result<ApiKeyPayload> {
        let Some(id) = uuid::<ApiKeyId>(&id).map(ApiKeyId) else { return Ok(missing()) };
        if !within(ctx, Permission::ManageApiKeys, async |store| store.api_key_revoke(id).await).await? {
            return Ok(missing());
        }
        let keys = within(ctx, Permission::ManageApiKeys, async |store| store.api_keys().await).await?;
        let revoked = keys.into_iter().find(|key| key.id == id).map(Into::into);
        Ok(ApiKeyPayload { api_key: revoked, key: None, user_errors: vec![] })
    }
}

fn missing() -> ApiKeyPayload {
    ApiKeyPayload::refuse("id", UserErrorCode::NotFound, "there is no such API key, or it is over; `apiKeys` lists them")
}

/// As the API calls it.
pub(super) fn word(permission: Permission) -> String {
    permission.as_str().to_uppercase()
}

/// What somebody gives a key, or an account of keys: something, nothing that is for people only, and no more than they may themselves.
pub(super) fn granted(viewer: &Viewer, named: Vec<PermissionName>) -> std::result::Result<Vec<Permission>, UserError> {
    let named: Vec<Permission> = named.into_iter().map(Permission::from).collect();
    let permissions: Vec<Permission> = Permission::ALL.into_iter().filter(|permission| named.contains(permission)).collect();
    let (code, message) = if permissions.is_empty() {
        (UserErrorCode::Required, "say what it may do: one permission at least".to_owned())
    } else if let Some(permission) = permissions.iter().find(|permission| !permission.is_for_api_keys()) {
        (UserErrorCode::Invalid, format!("{} is for people only", word(*permission)))
    } else if let Some(permission) = permissions.iter().find(|permission| !viewer.may(**permission)) {
        (UserErrorCode::Invalid, format!("{} is more than you may yourself", word(*permission)))
    } else {
        return Ok(permissions);
    };
    Err(UserError::new("permissions", code, message))
}

/// Of a name that looks like an id: it would pass for somebody else where acts are looked for by who did them.
pub(super) fn name_wrong(name: &str) -> Option<UserError> {
    let message = "this is an id of Crossdock; name it as people do";
    is_id(name).then(|| UserError::new("name", UserErrorCode::Invalid, message))
}

pub(super) fn calls_wrong(calls_per_minute: i32) -> Option<UserError> {
    let message = || format!("1 to {CALLS_PER_MINUTE_MAX} calls a minute");
    (!(1..=CALLS_PER_MINUTE_MAX).contains(&calls_per_minute))
        .then(|| UserError::new("callsPerMinute", UserErrorCode::Invalid, message()))
}

/// What a person has to mend before a key can be made.
fn wrong(new: &NewApiKey<'_>, now: DateTime<Utc>) -> Option<UserError> {
    let invalid = |field: &str, message: String| Some(UserError::new(field, UserErrorCode::Invalid, message));
    if !(1..=200).contains(&new.name.chars().count()) {
        return invalid("name", "say what the key is for, in 1 to 200 characters".to_owned());
    }
    if let Some(wrong) = name_wrong(new.name) {
        return Some(wrong);
    }
    if new.expires_at <= now || new.expires_at > now + Duration::days(API_KEY_DAYS_MAX) {
        return invalid("expiresAt", format!("a key ends in the future, in {API_KEY_DAYS_MAX} days at most"));
    }
    calls_wrong(new.calls_per_minute)
}
