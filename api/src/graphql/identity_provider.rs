//! The tenant's identity provider: who its people are is said there, and signed.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::identity_provider::{GROUPS_MAX, RoleTable};
use domain::permission::Permission;
use domain::secret::SecretString;
use infra::postgres::identity_provider::{Provider, ProviderChange, ProviderEdit};

use super::error::{Code, UserError, UserErrorCode, fail, state, viewer, within};
use super::member::MemberRole;
use super::page::cost;
use super::session::{SIGN_IN_COST, caller};
use crate::sso::{self, CheckResult, Finding, Step};

const SESSION_HOURS: i32 = 12;
const SESSION_HOURS_MAX: i32 = 720;
const GROUPS_CLAIM: &str = "groups";
const TEXT_CHARS_MAX: usize = 500;
const NAME_CHARS_MAX: usize = 200;
const SCOPES_MAX: usize = 20;
const OWNERS_ONLY: &str = "only an owner sets or removes a provider that makes owners";

/// Where the tenant's people sign in. Our secret there is kept sealed and never shown.
#[derive(SimpleObject)]
#[graphql(name = "IdentityProvider")]
struct IdentityProviderNode {
    issuer: String,
    client_id: String,
    /// Asked for beside `openid`.
    scopes: Vec<String>,
    /// The claim that names a person's groups.
    groups_claim: String,
    /// Which group gives which role; at most 200. Of several the most powerful counts.
    roles: Vec<GroupRole>,
    /// Of who is in none of the groups; null: they are not let in.
    default_role: Option<MemberRole>,
    /// How long a sign-in by it lasts at most.
    session_hours: i32,
    /// What the provider must know as this client's redirect address.
    redirect_uri: String,
    /// Where people begin to sign in by it.
    start_url: String,
    /// The person who set it last.
    set_by: ID,
    set_at: DateTime<Utc>,
}

/// A group of the provider, and the role that it gives.
#[derive(SimpleObject)]
struct GroupRole {
    group: String,
    role: MemberRole,
}

#[derive(InputObject)]
struct GroupRoleInput {
    /// As the provider says it; 1 to 200 characters.
    group: String,
    /// OWNER only where an owner says so.
    role: MemberRole,
}

#[derive(InputObject)]
struct IdentityProviderSetInput {
    /// As the provider writes it, to the last slash: `https://login.example.com/realms/acme`. 500 characters at most.
    issuer: String,
    /// 500 characters at most.
    client_id: String,
    /// Kept sealed and never shown. Left out it stays, as long as the issuer and the client do; 1 to 500 characters.
    client_secret: Option<String>,
    /// Beside `openid`; `email` and `profile` where nothing is said. At most 20.
    scopes: Option<Vec<String>>,
    /// A claim's name, or a JSON pointer like `/realm_access/roles`; `groups` where nothing is said.
    groups_claim: Option<String>,
    /// At most 200.
    roles: Vec<GroupRoleInput>,
    /// Of who is in none of the groups; without one they are not let in.
    default_role: Option<MemberRole>,
    /// 12 where nothing is said; 1 to 720.
    session_hours: Option<i32>,
}

#[derive(SimpleObject)]
struct IdentityProviderPayload {
    identity_provider: Option<IdentityProviderNode>,
    user_errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct IdentityProviderRemovePayload {
    done: bool,
    user_errors: Vec<UserError>,
}

/// What a check looked at.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Step")]
enum IdentityProviderStep {
    /// It is found and says what is needed.
    Discovery,
    /// It signs with keys that we take.
    Keys,
    /// It knows the client and its secret.
    Client,
    /// It sends the groups claim.
    Groups,
    /// It says whether addresses are verified.
    Email,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "CheckResult")]
enum IdentityProviderResult {
    Good,
    Wrong,
    /// Only a sign-in can tell.
    Unknown,
}

/// What was found at one step.
#[derive(SimpleObject)]
struct IdentityProviderFinding {
    step: IdentityProviderStep,
    result: IdentityProviderResult,
    /// For people.
    sentence: String,
}

impl From<Finding> for IdentityProviderFinding {
    fn from(found: Finding) -> Self {
        Self { step: found.step.into(), result: found.result.into(), sentence: found.sentence }
    }
}

#[derive(SimpleObject)]
struct IdentityProviderTestPayload {
    /// In order; a step that cannot be taken is left out.
    findings: Vec<IdentityProviderFinding>,
    user_errors: Vec<UserError>,
}

fn node(ctx: &Context<'_>, provider: Provider) -> IdentityProviderNode {
    let public_url = &state(ctx).public_url;
    let slug = viewer(ctx).ok().and_then(|viewer| Some(viewer.membership()?.slug.clone()));
    IdentityProviderNode {
        issuer: provider.issuer,
        client_id: provider.client_id,
        scopes: provider.scopes,
        groups_claim: provider.groups_claim,
        roles: provider.roles.by_group.into_iter().map(|(group, role)| GroupRole { group, role: role.into() }).collect(),
        default_role: provider.roles.otherwise.map(Into::into),
        session_hours: provider.session_hours,
        redirect_uri: sso::redirect_uri(public_url),
        start_url: format!("{public_url}/sso/{}/start", slug.unwrap_or_default()),
        set_by: ID(provider.set_by.to_string()),
        set_at: provider.set_at,
    }
}

fn refuse(field: &str, code: UserErrorCode, message: impl Into<String>) -> IdentityProviderPayload {
    IdentityProviderPayload { identity_provider: None, user_errors: vec![UserError::new(field, code, message)] }
}

#[derive(Default)]
pub struct IdentityProviderQuery;

#[Object]
impl IdentityProviderQuery {
    /// Where the tenant's people sign in; null where they do by password.
    #[graphql(complexity = "cost(Some(10), child_complexity)")]
    async fn identity_provider(&self, ctx: &Context<'_>) -> Result<Option<IdentityProviderNode>> {
        let found = within(ctx, Permission::ManageMembers, async |store| store.identity_provider().await).await?;
        Ok(found.map(|provider| node(ctx, provider)))
    }
}

#[derive(Default)]
pub struct IdentityProviderMutation;

#[Object]
impl IdentityProviderMutation {
    /// Sets where the tenant's people sign in. What was set before is replaced; sessions that are open stay until their end.
    async fn identity_provider_set(&self, ctx: &Context<'_>, input: IdentityProviderSetInput) -> Result<IdentityProviderPayload> {
        let viewer = viewer(ctx)?;
        let (user, _) = viewer.person()?;
        let secret = input.client_secret.map(SecretString::from);
        let scopes = input.scopes.unwrap_or_else(|| vec!["email".to_owned(), "profile".to_owned()]);
        let scopes: Vec<String> = scopes.into_iter().filter(|scope| scope != "openid").collect();
        let by_group = input.roles.into_iter().map(|row| (row.group.trim().to_owned(), row.role.into())).collect();
        let roles = RoleTable { by_group, otherwise: input.default_role.map(Into::into) };
        let groups_claim = input.groups_claim.as_deref().map_or(GROUPS_CLAIM, str::trim);
        let edit = ProviderEdit {
            issuer: input.issuer.trim(),
            client_id: input.client_id.trim(),
            client_secret: secret.as_ref(),
            scopes: &scopes,
            groups_claim,
            roles: &roles,
            session_hours: input.session_hours.unwrap_or(SESSION_HOURS),
            set_by: user,
        };
        if let Some(wrong) = wrong(ctx, &edit) {
            return Ok(IdentityProviderPayload { identity_provider: None, user_errors: vec![wrong] });
        }
        let (vault, may_owners) = (&state(ctx).vault, viewer.may(Permission::ManageOwners));
        let set = async |store: infra::postgres::TenantStore<'_>| store.identity_provider_set(vault, &edit, may_owners).await;
        match within(ctx, Permission::ManageMembers, set).await? {
            ProviderChange::OwnersOnly => return Err(fail(Code::Forbidden, OWNERS_ONLY)),
            ProviderChange::SecretMissing => {
                let message =
                    "give the client's secret, too: the one that is kept is told to no other issuer and for no other client";
                return Ok(refuse("clientSecret", UserErrorCode::Required, message));
            }
            ProviderChange::Done | ProviderChange::NotFound | ProviderChange::Enforced | ProviderChange::Scim => {}
        }
        let found = within(ctx, Permission::ManageMembers, async |store| store.identity_provider().await).await?;
        Ok(IdentityProviderPayload { identity_provider: found.map(|provider| node(ctx, provider)), user_errors: vec![] })
    }

    /// Takes the provider away and ends the sessions that it vouched for, yours too if it is one: people sign in by password, who have one.
    async fn identity_provider_remove(&self, ctx: &Context<'_>) -> Result<IdentityProviderRemovePayload> {
        let may_owners = viewer(ctx)?.may(Permission::ManageOwners);
        let remove = async |store: infra::postgres::TenantStore<'_>| store.identity_provider_remove(may_owners).await;
        let refuse = |code, message: &str| {
            Ok(IdentityProviderRemovePayload { done: false, user_errors: vec![UserError::new("input", code, message)] })
        };
        match within(ctx, Permission::ManageMembers, remove).await? {
            ProviderChange::OwnersOnly => Err(fail(Code::Forbidden, OWNERS_ONLY)),
            ProviderChange::NotFound => refuse(UserErrorCode::NotFound, "there is no provider"),
            ProviderChange::Enforced => {
                let message = "it is enforced for domains, whose people could not sign in any more; let those go first (emailDomainRelease)";
                refuse(UserErrorCode::Blocked, message)
            }
            ProviderChange::Scim => {
                let message = "its table says what the groups of your directory give; revoke the directory's tokens first (scimTokenRevoke)";
                refuse(UserErrorCode::Blocked, message)
            }
            ProviderChange::Done | ProviderChange::SecretMissing => {
                Ok(IdentityProviderRemovePayload { done: true, user_errors: vec![] })
            }
        }
    }

    /// Looks whether the provider can be used, and says in plain words what is wrong. Nobody is signed in by it.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn identity_provider_test(&self, ctx: &Context<'_>) -> Result<IdentityProviderTestPayload> {
        let state = state(ctx);
        if !state.sign_ins.may_begin(caller(ctx)) {
            return Err(fail(Code::RateLimited, "too many steps of sign-ins from here; wait a minute and try again"));
        }
        let vault = &state.vault;
        let open = async |store: infra::postgres::TenantStore<'_>| store.identity_provider_opened(vault).await;
        let Some((provider, secret)) = within(ctx, Permission::ManageMembers, open).await? else {
            let error =
                UserError::new("input", UserErrorCode::NotFound, "there is no provider; set one with identityProviderSet");
            return Ok(IdentityProviderTestPayload { findings: vec![], user_errors: vec![error] });
        };
        let findings = sso::check(&state.sso, &state.public_url, &provider, &secret).await;
        Ok(IdentityProviderTestPayload { findings: findings.into_iter().map(Into::into).collect(), user_errors: vec![] })
    }
}

/// What a person has to mend before a provider can be set.
fn wrong(ctx: &Context<'_>, edit: &ProviderEdit<'_>) -> Option<UserError> {
    let invalid = |field: &str, message: &str| Some(UserError::new(field, UserErrorCode::Invalid, message));
    let has = |text: &str, max: usize| (1..=max).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if !has(edit.issuer, TEXT_CHARS_MAX) || !state(ctx).sso.is_fit(edit.issuer) {
        let message = "the issuer is an https address without a query, as the provider writes it; an operator can open one inside the installation's own network with CROSSDOCK_OUTBOUND_ALLOW";
        return invalid("issuer", message);
    }
    if !has(edit.client_id, TEXT_CHARS_MAX) {
        return invalid("clientId", "a client id has 1 to 500 characters");
    }
    use domain::secret::ExposeSecret as _;
    if edit.client_secret.is_some_and(|secret| !has(secret.expose_secret(), TEXT_CHARS_MAX)) {
        return invalid("clientSecret", "a client secret has 1 to 500 characters");
    }
    // RFC 6749, 3.3: a space would be two of them.
    let is_scope = |scope: &String| {
        has(scope, NAME_CHARS_MAX) && scope.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    if edit.scopes.len() > SCOPES_MAX || !edit.scopes.iter().all(is_scope) {
        return invalid("scopes", "at most 20 scopes, each a word without spaces");
    }
    if !has(edit.groups_claim, NAME_CHARS_MAX) {
        return invalid("groupsClaim", "the claim has 1 to 200 characters: its name, or a JSON pointer");
    }
    let groups: std::collections::HashSet<&str> = edit.roles.by_group.iter().map(|(group, _)| group.as_str()).collect();
    if groups.len() != edit.roles.by_group.len() {
        return invalid("roles", "a group gives one role; one of them is there twice");
    }
    if groups.len() > GROUPS_MAX || !groups.iter().all(|group| has(group, NAME_CHARS_MAX)) {
        return invalid("roles", "at most 200 groups, each of 1 to 200 characters");
    }
    if edit.roles.by_group.is_empty() && edit.roles.otherwise.is_none() {
        let message = "nobody would be let in: say which group gives which role, or give a default role";
        return Some(UserError::new("roles", UserErrorCode::Required, message));
    }
    if !(1..=SESSION_HOURS_MAX).contains(&edit.session_hours) {
        return invalid("sessionHours", "a sign-in lasts 1 to 720 hours");
    }
    None
}
