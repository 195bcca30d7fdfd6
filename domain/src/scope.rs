//! Who acts, and for which tenant. A [`Scope`] is built once at the edge and is the first argument everywhere:
//! without one there is no way to a tenant's rows.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{ImpersonationId, TenantId, UserId};
pub use crate::permission::{Permission, Role};

/// Who does something. Stored with every audit event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Actor {
    /// A person who is a member of the tenant.
    Member { user: UserId, role: Role },
    /// Crossdock itself, at one of its stages.
    System { stage: String },
    /// The connector's vendor, by a verified hook.
    Vendor { connection: crate::id::ConnectionId },
    /// Whoever runs the command line beside the database.
    Operator,
    /// A partner's or a service's key. `user` made it and answers for it: where two people must agree, it counts as that person.
    ApiKey { key: crate::id::ApiKeyId, name: String, user: UserId },
    /// The tenant's directory (SCIM), by its token; the prefix is what tells tokens apart.
    ScimToken { token: crate::id::ScimTokenId, prefix: String },
    /// One of the installation's staff, in the place of a tenant that let them. The name stands with it, because they are no member whom others see.
    Staff {
        user: UserId,
        name: String,
        on_behalf_of: TenantId,
        ticket: String,
        /// Absent of what comes before one: that it was asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        impersonation: Option<ImpersonationId>,
    },
}

impl Actor {
    #[must_use]
    pub fn system(stage: &str) -> Self {
        Self::System { stage: stage.to_owned() }
    }

    /// Somebody of the staff. A name that looks like an id would pass for somebody else where acts are looked for by who did them.
    #[must_use]
    pub fn staff(user: UserId, name: &str, on_behalf_of: TenantId, ticket: &str, impersonation: Option<ImpersonationId>) -> Self {
        let name = if crate::impersonation::is_id(name) { "staff" } else { name }.to_owned();
        Self::Staff { user, name, on_behalf_of, ticket: ticket.to_owned(), impersonation }
    }
}

/// The tenant, the actor and the request that asks: everything the store needs to open a tenant's rows and to audit what is done there.
#[derive(Debug, Clone)]
pub struct Scope {
    pub tenant: TenantId,
    pub actor: Actor,
    /// The request or task that caused this, so that one log search shows all of it.
    pub request: Uuid,
}

impl Scope {
    #[must_use]
    pub fn system(tenant: TenantId, stage: &str) -> Self {
        Self { tenant, actor: Actor::system(stage), request: Uuid::now_v7() }
    }

    /// The actor, as it is stored beside what was done.
    #[must_use]
    pub fn actor_json(&self) -> serde_json::Value {
        serde_json::to_value(&self.actor).expect("an actor is plain data")
    }
}
