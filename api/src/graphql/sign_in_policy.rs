//! What the tenant demands of its people when they sign in by password: a second factor, or nothing beside it.

use async_graphql::{Context, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::permission::Permission;
use infra::postgres::TenantStore;
use infra::postgres::sign_in_policy::{PolicyChange, SignInPolicy};

use super::error::{UserError, UserErrorCode, viewer, within};
use super::member::MemberNode;
use super::page::cost;
use super::session::vouched_for;

/// What is demanded of who signs in by password.
#[derive(SimpleObject)]
#[graphql(name = "SignInPolicy")]
struct SignInPolicyNode {
    /// Since when a second factor is; null where a password is enough. Who has none reaches nothing of the tenant until they have set one up. Who is signed
    /// in by the tenant's identity provider is by its policy.
    second_factor_demanded_at: Option<DateTime<Utc>>,
    /// Members who have none, and whom the provider has never signed in; at most 500.
    without: Vec<MemberNode>,
}

#[derive(SimpleObject)]
struct SignInPolicyPayload {
    sign_in_policy: Option<SignInPolicyNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SignInPolicyQuery;

#[Object]
impl SignInPolicyQuery {
    /// What the tenant demands of its people when they sign in.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn sign_in_policy(&self, ctx: &Context<'_>) -> Result<SignInPolicyNode> {
        node(ctx).await
    }
}

#[derive(Default)]
pub struct SignInPolicyMutation;

#[Object]
impl SignInPolicyMutation {
    /// Demands a second factor of everybody who signs in by password, or lets it go. It counts from their next request on, in sessions too that are open; API
    /// keys are no people. Whoever demands it has one.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn sign_in_policy_set(&self, ctx: &Context<'_>, second_factor: bool) -> Result<SignInPolicyPayload> {
        let (user, session) = viewer(ctx)?.person()?;
        let is_by_provider = vouched_for(ctx, session).await?.is_some();
        let set = async |store: TenantStore<'_>| store.sign_in_policy_set(second_factor, user, is_by_provider).await;
        match within(ctx, Permission::ManageMembers, set).await? {
            PolicyChange::Done => Ok(SignInPolicyPayload { sign_in_policy: Some(node(ctx).await?), user_errors: vec![] }),
            PolicyChange::OwnFactorMissing => {
                let message = "set up your own second factor first (secondFactorBegin): you would keep yourself out";
                let error = UserError::new("secondFactor", UserErrorCode::Blocked, message);
                Ok(SignInPolicyPayload { sign_in_policy: None, user_errors: vec![error] })
            }
        }
    }
}

async fn node(ctx: &Context<'_>) -> Result<SignInPolicyNode> {
    let policy = within(ctx, Permission::ManageMembers, async |store| store.sign_in_policy().await).await?;
    let SignInPolicy { second_factor_demanded_at, without } = policy;
    let members = within(ctx, Permission::ManageMembers, async |store| store.members().await).await?;
    let without = members.into_iter().filter(|member| without.contains(&member.user)).map(Into::into).collect();
    Ok(SignInPolicyNode { second_factor_demanded_at, without })
}
