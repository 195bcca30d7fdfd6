//! Who acts, and for which tenant. A [`Scope`] is built once at the edge and is the first argument everywhere:
//! without one there is no way to a tenant's rows.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{TenantId, UserId};

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
}

impl Actor {
    #[must_use]
    pub fn system(stage: &str) -> Self {
        Self::System { stage: stage.to_owned() }
    }
}

/// A member's place in a tenant, from most to least powerful where they compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Owner,
    Admin,
    Operator,
    Developer,
    Auditor,
    Billing,
}

/// What a member may do. One table, used at one place per operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// See flows, records, deliveries, exceptions, connections (never secrets).
    ReadOperations,
    /// See the audit log.
    ReadAudit,
    /// Retry and ignore exceptions, edit lookup tables.
    WorkExceptions,
    /// Create and change connections, flows and lookup tables; publish.
    Configure,
    /// Members and roles.
    ManageMembers,
}

impl Role {
    pub const ALL: [Role; 6] = [Role::Owner, Role::Admin, Role::Operator, Role::Developer, Role::Auditor, Role::Billing];

    #[must_use]
    pub fn may(self, permission: Permission) -> bool {
        use Permission::*;
        match self {
            Role::Owner | Role::Admin => true,
            Role::Operator => matches!(permission, ReadOperations | WorkExceptions),
            Role::Developer => matches!(permission, ReadOperations | WorkExceptions | Configure),
            Role::Auditor => matches!(permission, ReadOperations | ReadAudit),
            Role::Billing => false,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Developer => "developer",
            Role::Auditor => "auditor",
            Role::Billing => "billing",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
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
