//! Who acts, and for which tenant. A [`Scope`] is built once at the edge and is the first argument everywhere:
//! without one there is no way to a tenant's rows.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{ApiKeyId, ImpersonationId, ServiceAccountId, TenantId, UserId};
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
    ApiKey {
        key: ApiKeyId,
        name: String,
        user: UserId,
        /// Absent of a key that is of no account, and of all from before there were any.
        #[serde(flatten)]
        account: Option<ActingAccount>,
    },
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

/// Whose key it was. It stands beside the key and not within something of its own, because acts are looked for by each id that an actor has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActingAccount {
    pub service_account: ServiceAccountId,
    /// As it was called then.
    pub service_account_name: String,
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

/// The request or task that causes something, and whence it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// One log search for it shows all that it did.
    pub id: Uuid,
    /// Where whoever asks sends from; absent of what Crossdock does by itself.
    pub address: Option<IpAddr>,
    /// What the caller says that it is a part of.
    pub trace: Option<TraceId>,
}

impl Request {
    /// One of Crossdock's own, that nobody sent.
    #[must_use]
    pub fn own() -> Self {
        Self { id: Uuid::now_v7(), address: None, trace: None }
    }
}

/// Its id: what people are told and what log lines have.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// A trace of the caller's own systems (W3C Trace Context): by it they find there what an event here belongs to. It is their word, and proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId(u128);

impl TraceId {
    /// Of a header `traceparent`: `00-<32 hexadecimal digits>-<16>-<2>`, of which later versions may have more. `None` of anything else.
    #[must_use]
    pub fn of_traceparent(header: &str) -> Option<Self> {
        const BYTES_MAX: usize = 200;
        if header.len() > BYTES_MAX {
            return None;
        }
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
        };
        let mut fields = header.split('-');
        let (version, trace, parent, flags) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let is_one = is_hex(version, 2) && is_hex(trace, 32) && is_hex(parent, 16) && is_hex(flags, 2);
        let is_whole = version != "ff" && (version != "00" || fields.next().is_none());
        // Nothing but zeros says that there is none.
        let is_named = parent.bytes().any(|byte| byte != b'0');
        if is_one && is_whole && is_named { Self::parse(trace) } else { None }
    }

    /// As people copy it out of their systems: 32 hexadecimal digits that are not all zeros. `None` of anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_one { u128::from_str_radix(text, 16).ok().filter(|id| *id != 0).map(Self) } else { None }
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The tenant, the actor and the request that asks: everything the store needs to open a tenant's rows and to audit what is done there.
#[derive(Debug, Clone)]
pub struct Scope {
    pub tenant: TenantId,
    pub actor: Actor,
    pub request: Request,
}

impl Scope {
    #[must_use]
    pub fn system(tenant: TenantId, stage: &str) -> Self {
        Self { tenant, actor: Actor::system(stage), request: Request::own() }
    }

    /// The actor, as it is stored beside what they made: whence they asked for it is the audit log's to tell, and not every reader's to see.
    #[must_use]
    pub fn actor_json(&self) -> serde_json::Value {
        serde_json::to_value(&self.actor).expect("an actor is plain data")
    }

    /// The actor, as an audit event has it: with whence they asked. A seal over the event holds that, too.
    #[must_use]
    pub fn audit_actor_json(&self) -> serde_json::Value {
        let mut actor = self.actor_json();
        if let Some(address) = self.request.address {
            actor["address"] = address.to_string().into();
        }
        if let Some(trace) = self.request.trace {
            actor["trace"] = trace.to_string().into();
        }
        actor
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[test]
    fn a_trace_is_of_one_form_and_anything_else_is_none() {
        let of = |header: &str| TraceId::of_traceparent(header).map(|trace| trace.to_string());
        for header in ["00-{}-00f067aa0ba902b7-01", "00-{}-00f067aa0ba902b7-00", "01-{}-00f067aa0ba902b7-01-of-later"] {
            assert_eq!(of(&header.replace("{}", TRACE)).as_deref(), Some(TRACE), "{header}");
        }
        let small = "0".repeat(31) + "1";
        assert_eq!(of(&format!("00-{small}-00f067aa0ba902b7-01")), Some(small), "it keeps its zeros");
        for header in [
            "",
            "{}",
            "00-{}-00f067aa0ba902b7",
            "00-{}-00f067aa0ba902b7-01-more",
            "ff-{}-00f067aa0ba902b7-01",
            "0-{}-00f067aa0ba902b7-01",
            "00-{}0-00f067aa0ba902b7-01",
            "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-{}-0000000000000000-01",
            "00-{}-00f067aa0ba902b7-0x",
            "00-{}-00f067aa0ba902b\u{301}-01",
        ] {
            assert_eq!(of(&header.replace("{}", TRACE)), None, "{header}");
        }
        assert_eq!(of(&format!("01-{TRACE}-00f067aa0ba902b7-01-{}", "x".repeat(200))), None);
        let typed = |text: &str| TraceId::parse(text).map(|trace| trace.to_string());
        let loud = TRACE.to_uppercase();
        for text in [TRACE, loud.as_str()] {
            assert_eq!(typed(text).as_deref(), Some(TRACE), "{text}");
        }
        let none = "0".repeat(32);
        for text in ["", &TRACE[1..], "+bf92f3577b34da6a3ce929d0e0e4736", none.as_str()] {
            assert_eq!(typed(text), None, "{text}");
        }
    }

    #[test]
    fn a_service_account_stands_beside_its_key_and_what_keys_did_before_is_read() {
        let (key, user, service_account) = (ApiKeyId::generate(), UserId::generate(), ServiceAccountId::generate());
        let of = |account| Actor::ApiKey { key, name: "2026".to_owned(), user, account };
        let account = ActingAccount { service_account, service_account_name: "Acme 3PL".to_owned() };
        let before = json!({"kind": "api_key", "key": key, "name": "2026", "user": user});
        let mut told = before.clone();
        told["service_account"] = json!(service_account);
        told["service_account_name"] = json!("Acme 3PL");
        for (actor, told) in [(of(None), before), (of(Some(account)), told)] {
            assert_eq!(serde_json::to_value(&actor).unwrap(), told);
            assert_eq!(serde_json::from_value::<Actor>(told).unwrap(), actor);
        }
    }

    #[test]
    fn whence_something_was_asked_stands_in_the_log_and_the_actor_is_read_as_before() {
        let (user, tenant) = (UserId::generate(), TenantId::generate());
        let trace = TraceId::of_traceparent(&format!("00-{TRACE}-00f067aa0ba902b7-01"));
        let asked = Request { address: "203.0.113.7".parse().ok(), trace, ..Request::own() };
        for actor in
            [Actor::Member { user, role: Role::Owner }, Actor::Operator, Actor::staff(user, "Sue", tenant, "HELP-1", None)]
        {
            let scope = Scope { tenant, actor, request: asked };
            let told = scope.audit_actor_json();
            assert_eq!((&told["address"], &told["trace"]), (&json!("203.0.113.7"), &json!(TRACE)));
            assert_eq!(serde_json::from_value::<Actor>(told).unwrap(), scope.actor);
            let own = Scope { request: Request::own(), ..scope.clone() };
            assert_eq!(own.audit_actor_json(), scope.actor_json(), "nothing stands there where nobody sent it");
        }
    }
}
