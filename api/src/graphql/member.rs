//! Members: the people of a tenant, as the others of it see them.

use std::collections::HashMap;

use async_graphql::{Context, ID, Object, Result, SimpleObject};
use domain::id::UserId;
use domain::scope::{Actor, Permission};
use infra::postgres::people::Member;

use super::error::within;
use super::page::cost;

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
            Ok(Actor::Operator) | Err(_) => "an operator".to_owned(),
        }
    }
}
