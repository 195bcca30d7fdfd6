//! Members: the people of a tenant, as the others of it see them.

use std::collections::HashMap;

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use domain::id::UserId;
use domain::permission::Role;
use domain::scope::{Actor, Permission};
use infra::postgres::member::{Member, MemberChange};
use infra::postgres::{StoreError, TenantStore};

use super::error::{Code, UserError, UserErrorCode, fail, viewer, within};
use super::page::{cost, uuid};

#[derive(SimpleObject, Clone)]
#[graphql(name = "Member")]
pub struct MemberNode {
    /// The person's.
    user_id: ID,
    name: String,
    email: String,
    /// owner, admin, operator, developer, auditor or billing.
    role: String,
}

impl From<Member> for MemberNode {
    fn from(member: Member) -> Self {
        Self {
            user_id: ID(member.user.to_string()),
            name: member.name,
            email: member.email,
            role: member.role.as_str().to_owned(),
        }
    }
}

/// A member's place in the tenant.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "domain::permission::Role")]
pub enum MemberRole {
    /// All, other owners included.
    Owner,
    /// All but making and unmaking owners.
    Admin,
    /// Works exceptions.
    Operator,
    /// Works exceptions; changes connections, flows and lookup tables.
    Developer,
    /// Reads everything, the audit log too, and changes nothing.
    Auditor,
    /// Sees what is billed.
    Billing,
}

#[derive(SimpleObject)]
struct MemberPayload {
    /// As they are now; null where they are no member any more.
    member: Option<MemberNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct MemberMutation;

#[Object]
impl MemberMutation {
    /// Gives a member another role, from their next request on. Only an owner makes or unmakes an owner; the last one stays.
    async fn member_role_set(&self, ctx: &Context<'_>, user_id: ID, role: MemberRole) -> Result<MemberPayload> {
        let role = Role::from(role);
        change(ctx, &user_id, async |store, user, may_owners| store.member_role_set(user, role, may_owners).await).await
    }

    /// Takes a member out of the tenant, from their next request on. Only an owner removes an owner; the last one stays. What they made stays, and
    /// so do the API keys that they made; what they offered to others and nobody took is withdrawn.
    async fn member_remove(&self, ctx: &Context<'_>, user_id: ID) -> Result<MemberPayload> {
        change(ctx, &user_id, async |store, user, may_owners| store.member_remove(user, may_owners).await).await
    }
}

async fn change(
    ctx: &Context<'_>,
    user_id: &ID,
    act: impl AsyncFnOnce(TenantStore<'_>, UserId, bool) -> Result<MemberChange, StoreError>,
) -> Result<MemberPayload> {
    let may_owners = viewer(ctx)?.may(Permission::ManageOwners);
    let refuse =
        |code, message: &str| Ok(MemberPayload { member: None, user_errors: vec![UserError::new("userId", code, message)] });
    let not_found = "no such person is a member of this tenant; `members` lists them";
    let Some(user) = uuid::<UserId>(user_id).map(UserId) else { return refuse(UserErrorCode::NotFound, not_found) };
    match within(ctx, Permission::ManageMembers, async |store| act(store, user, may_owners).await).await? {
        MemberChange::Done => {}
        MemberChange::NotFound => return refuse(UserErrorCode::NotFound, not_found),
        MemberChange::LastOwner => {
            return refuse(UserErrorCode::Blocked, "this is the last owner; make somebody else an owner first");
        }
        MemberChange::OwnersOnly => return Err(fail(Code::Forbidden, "only an owner makes, changes or removes an owner")),
    }
    let members = within(ctx, Permission::ManageMembers, async |store| store.members().await).await?;
    let member = members.into_iter().find(|member| member.user == user).map(Into::into);
    Ok(MemberPayload { member, user_errors: vec![] })
}

#[derive(Default)]
pub struct MemberQuery;

#[Object]
impl MemberQuery {
    /// The people of the tenant, by name; at most 500.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn members(&self, ctx: &Context<'_>) -> Result<Vec<MemberNode>> {
        let members = within(ctx, Permission::ReadOperations, async |store| store.members().await).await?;
        Ok(members.into_iter().map(Into::into).collect())
    }
}

/// The people of a tenant by their ids.
pub struct Fellows(HashMap<UserId, MemberNode>);

impl Fellows {
    pub async fn load(ctx: &Context<'_>) -> Result<Self> {
        let members = within(ctx, Permission::ReadOperations, async |store| store.members().await).await?;
        Ok(Self(members.into_iter().map(|member| (member.user, member.into())).collect()))
    }

    /// Nobody, so that a list without people costs no query.
    pub fn none() -> Self {
        Self(HashMap::new())
    }

    pub fn get(&self, user: UserId) -> Option<MemberNode> {
        self.0.get(&user).cloned()
    }

    /// Who did something, as people say it.
    pub fn name(&self, actor: &serde_json::Value) -> String {
        match serde_json::from_value::<Actor>(actor.clone()) {
            Ok(Actor::Member { user, .. }) => self
                .get(user)
                .map_or_else(|| user.to_string(), |member| if member.name.is_empty() { member.email } else { member.name }),
            Ok(Actor::System { .. }) => "Crossdock".to_owned(),
            Ok(Actor::Vendor { .. }) => "the vendor".to_owned(),
            Ok(Actor::ScimToken { prefix, .. }) => format!("the directory, by the SCIM token {prefix}"),
            Ok(Actor::ApiKey { account: Some(account), .. }) => format!("the service account {}", account.service_account_name),
            Ok(Actor::ApiKey { name, .. }) => format!("the API key {name}"),
            Ok(Actor::Staff { name, .. }) => format!("{name} of support"),
            Ok(Actor::Operator) | Err(_) => "an operator".to_owned(),
        }
    }
}
