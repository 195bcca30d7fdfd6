//! What the tenant's directory tells us with (SCIM 2.0).

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Duration, Utc};
use domain::id::ScimTokenId;
use domain::permission::Permission;
use domain::secret::ExposeSecret;
use infra::postgres::TenantStore;
use infra::postgres::api_key::KeyText;
use infra::postgres::scim_token::{NotMade, SCIM_TOKENS_MAX, ScimToken};

use super::error::{UserError, UserErrorCode, state, viewer, within};
use super::page::{cost, uuid};
use crate::api_key::NewKey;
use crate::scim;

/// A directory that is not told another token by then takes nobody away any more: so it is long, and `scimTokens` shows it.
const DAYS: i64 = 366;
const OVERLAP_HOURS: i32 = 24;
const OVERLAP_HOURS_MAX: i32 = 720;

/// A token of the tenant's directory. What it is was shown once, when it was made.
#[derive(SimpleObject)]
#[graphql(name = "ScimToken")]
struct ScimTokenNode {
    id: ID,
    /// The part that is no secret, to tell tokens apart: `cds_<prefix>_…`.
    prefix: String,
    /// The person who made it.
    created_by: ID,
    created_at: DateTime<Utc>,
    /// From then on it is a stranger's, and the directory takes nobody away any more: make another before.
    expires_at: DateTime<Utc>,
    /// To five minutes; null where it never was.
    last_used_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

impl From<ScimToken> for ScimTokenNode {
    fn from(token: ScimToken) -> Self {
        Self {
            id: ID(token.id.to_string()),
            prefix: token.prefix,
            created_by: ID(token.created_by.to_string()),
            created_at: token.created_at,
            expires_at: token.expires_at,
            last_used_at: token.last_used_at,
            revoked_at: token.revoked_at,
        }
    }
}

#[derive(SimpleObject)]
struct ScimTokenPayload {
    scim_token: Option<ScimTokenNode>,
    /// The token itself. It is shown this once and kept nowhere.
    token: Option<String>,
    /// Where the directory finds us: what it calls the tenant URL or the base URL.
    url: Option<String>,
    user_errors: Vec<UserError>,
}

fn refuse(field: &str, code: UserErrorCode, message: impl Into<String>) -> ScimTokenPayload {
    ScimTokenPayload { scim_token: None, token: None, url: None, user_errors: vec![UserError::new(field, code, message)] }
}

#[derive(Default)]
pub struct ScimTokenQuery;

#[Object]
impl ScimTokenQuery {
    /// The tokens of the tenant's directory, the newest first, those that are over too; at most 100.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn scim_tokens(&self, ctx: &Context<'_>) -> Result<Vec<ScimTokenNode>> {
        let tokens = within(ctx, Permission::ManageMembers, async |store| store.scim_tokens().await).await?;
        Ok(tokens.into_iter().map(Into::into).collect())
    }
}

#[derive(Default)]
pub struct ScimTokenMutation;

#[Object]
impl ScimTokenMutation {
    /// Makes a token for the tenant's directory, good for 366 days. Those before are good for so many hours more, so that the directory can be told the
    /// new one while it works: 0 to 720.
    async fn scim_token_create(
        &self,
        ctx: &Context<'_>,
        #[graphql(default_with = "OVERLAP_HOURS")] overlap_hours: i32,
    ) -> Result<ScimTokenPayload> {
        let (user, _) = viewer(ctx)?.person()?;
        if !(0..=OVERLAP_HOURS_MAX).contains(&overlap_hours) {
            return Ok(refuse("overlapHours", UserErrorCode::Invalid, "the tokens before are good for 0 to 720 hours more"));
        }
        let new = NewKey::beginning(scim::BEGIN);
        let text = KeyText { prefix: &new.prefix, hash: &new.hash };
        let expires_at = Utc::now() + Duration::days(DAYS);
        let create = async |store: TenantStore<'_>| store.scim_token_create(user, expires_at, overlap_hours, &text).await;
        match within(ctx, Permission::ManageMembers, create).await? {
            Ok(made) => Ok(ScimTokenPayload {
                scim_token: Some(made.into()),
                token: Some(new.text.expose_secret().to_owned()),
                url: Some(format!("{}{}", state(ctx).public_url, scim::PATH)),
                user_errors: vec![],
            }),
            Err(NotMade::NoProvider) => {
                let message =
                    "set the identity provider first (identityProviderSet): its table says which group gives which role";
                Ok(refuse("overlapHours", UserErrorCode::Blocked, message))
            }
            Err(NotMade::TooMany) => {
                let message = format!("{SCIM_TOKENS_MAX} tokens are good at this moment; revoke one first (scimTokenRevoke)");
                Ok(refuse("overlapHours", UserErrorCode::TooMany, message))
            }
        }
    }

    /// Ends a token at once: the directory is a stranger from its next request on. Whom it has brought stays.
    async fn scim_token_revoke(&self, ctx: &Context<'_>, id: ID) -> Result<ScimTokenPayload> {
        let missing = || refuse("id", UserErrorCode::NotFound, "there is no such token, or it is over; `scimTokens` lists them");
        let Some(id) = uuid::<ScimTokenId>(&id).map(ScimTokenId) else { return Ok(missing()) };
        if !within(ctx, Permission::ManageMembers, async |store| store.scim_token_revoke(id).await).await? {
            return Ok(missing());
        }
        let tokens = within(ctx, Permission::ManageMembers, async |store| store.scim_tokens().await).await?;
        let found = tokens.into_iter().find(|token| token.id == id).map(Into::into);
        Ok(ScimTokenPayload { scim_token: found, token: None, url: None, user_errors: vec![] })
    }
}
