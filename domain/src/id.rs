//! Typed, prefixed ids. `dlv_0198…` is a delivery wherever it is seen: in a URL, a log line, a GraphQL node or a support ticket.
//!
//! An id is a UUIDv7 ([RFC 9562](https://www.rfc-editor.org/rfc/rfc9562)): its first 48 bits are the milliseconds of its birth,
//! so ids sort by age and the big tables are partitioned by them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Text that is no id of the expected kind.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{text}\" is no {noun} id: expected {prefix}_ followed by 32 hexadecimal digits")]
pub struct IdError {
    pub text: String,
    pub noun: &'static str,
    pub prefix: &'static str,
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal, $noun:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
            pub struct $name(pub Uuid);

            impl $name {
                pub const PREFIX: &'static str = $prefix;
                /// A new id, born now.
                #[must_use]
                pub fn generate() -> Self { Self(Uuid::now_v7()) }
            }
            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, concat!($prefix, "_{}"), self.0.simple()) }
            }
            impl fmt::Debug for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Display::fmt(self, f) }
            }
            impl FromStr for $name {
                type Err = IdError;
                fn from_str(text: &str) -> Result<Self, IdError> {
                    text.strip_prefix(concat!($prefix, "_"))
                        .filter(|hex| hex.len() == 32)
                        .and_then(|hex| Uuid::try_parse(hex).ok())
                        .map(Self)
                        .ok_or_else(|| IdError { text: text.chars().take(60).collect(), noun: $noun, prefix: $prefix })
                }
            }
            impl From<Uuid> for $name { fn from(uuid: Uuid) -> Self { Self(uuid) } }
            impl From<$name> for Uuid { fn from(id: $name) -> Self { id.0 } }
            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.collect_str(self) }
            }
            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(d)?;
                    text.parse().map_err(serde::de::Error::custom)
                }
            }
        )*
        /// Every prefix with its noun: the table that `node(id:)` dispatches on. Append only; a prefix is never used twice.
        pub const PREFIXES: &[(&str, &str)] = &[$(($prefix, $noun)),*];
    };
}

ids! {
    /// A customer organisation.
    TenantId = "ten", "tenant";
    /// A person.
    UserId = "usr", "user";
    /// A tenant's account at a connector.
    ConnectionId = "con", "connection";
    /// One version of the secret of a connection.
    CredentialId = "crd", "credential";
    /// A flow.
    FlowId = "flw", "flow";
    /// One version of a flow.
    FlowVersionId = "flv", "flow version";
    /// The bytes of one thing as they arrived.
    MessageId = "msg", "message";
    /// A canonical document.
    RecordId = "rec", "record";
    /// One revision of a record.
    RevisionId = "rev", "revision";
    /// The duty to apply one revision to one destination.
    DeliveryId = "dlv", "delivery";
    /// One try of a delivery.
    AttemptId = "att", "attempt";
    /// Something that needs a person.
    ExceptionId = "exc", "exception";
    /// A tenant's code translations.
    LookupTableId = "lut", "lookup table";
    /// One thing that was done, and by whom.
    AuditEventId = "aud", "audit event";
    /// One thing that is billed.
    UsageEventId = "use", "usage event";
    /// One sign-in of a user.
    SessionId = "ses", "session";
    /// What a document or a request is made with; its id is made of its content and not of a time.
    RecipeId = "rcp", "recipe";
    /// One bounded execution of a flow.
    RunId = "run", "run";
    /// A notice of an API version's end.
    SunsetId = "sun", "sunset";
    /// A notice of a change in what is sent or taken.
    DriftId = "drf", "drift";
    /// The replacement of a flow's destination.
    SwapId = "swp", "swap";
    /// A comparison of source and destination for a period.
    ReconciliationId = "rcn", "reconciliation";
    /// One mismatch that a reconciliation found.
    DifferenceId = "dif", "difference";
    /// What people are told while a destination fails.
    IncidentId = "inc", "incident";
    /// The exceptions of one cause; its id is made of the cause and not of a time.
    ExceptionGroupId = "exg", "exception group";
    /// Who is told of which exceptions.
    AlertRuleId = "aru", "alert rule";
    /// Where alerts go.
    AlertReceiverId = "alr", "alert receiver";
    /// One alert to one receiver.
    AlertId = "alt", "alert";
    /// A kind of record of a connection that is listed again and again.
    PollId = "pol", "poll";
    FileId = "fil", "file";
    /// An interchange of X12 that came.
    InterchangeId = "ich", "interchange";
    /// A group of X12 of ours.
    SentGroupId = "sgr", "sent group";
    /// A period or some ids of a source that are brought once more.
    BackfillId = "bkf", "backfill";
    /// Taking back what a bad version of a flow did at its destination.
    UndoId = "und", "undo";
    /// What is to become of one delivery of an undo.
    UndoItemId = "uni", "undo item";
    /// A webhook registration at a vendor that is kept.
    SubscriptionId = "sub", "subscription";
    /// The comparison of a connection's subscriptions with the vendor's list.
    SubscriptionCheckId = "sbc", "subscription check";
    /// A secret that a connection's hooks are signed with.
    HookSecretId = "hks", "hook secret";
    /// What comes of a kind of record from a connection, or by one topic of it.
    ArrivalSeriesId = "ars", "arrival series";
    /// A scoped key of a partner or a service.
    ApiKeyId = "key", "api key";
    /// A program that stays who it is when its keys are exchanged.
    ServiceAccountId = "sva", "service account";
    /// A place in a tenant that waits for the person it was offered to.
    InvitationId = "inv", "invitation";
    /// Support's view of a tenant: for a reason and a while.
    ImpersonationId = "imp", "impersonation";
    /// What somebody of the staff has asked of a tenant.
    SupportRequestId = "spr", "support request";
    /// That a tenant lets support in.
    SupportConsentId = "spc", "support consent";
    /// A domain of mail addresses that a tenant says is its own.
    EmailDomainId = "edm", "email domain";
    /// A mail to a person that the mail server has not taken yet.
    MailId = "mai", "mail";
    /// Where a tenant's audit log is sent as it grows.
    AuditStreamId = "aus", "audit stream";
    /// What a tenant's directory tells us its people with.
    ScimTokenId = "sct", "SCIM token";
    /// A person, as a tenant's directory knows them.
    ScimUserId = "scu", "SCIM user";
    /// A group of a tenant's directory.
    ScimGroupId = "scg", "SCIM group";
    /// A passkey or security key of a person.
    PasskeyId = "psk", "passkey";
    /// What a passkey is asked to sign, once.
    PasskeyChallengeId = "pkc", "passkey challenge";
    /// That a person lets us act for them at a vendor.
    ConsentId = "cns", "consent";
    /// What a tenant is billed for a month, or given back of it.
    InvoiceId = "ivc", "invoice";
    /// The exchange of a connection's secret for a new one.
    RotationId = "rot", "rotation";
}

impl ExceptionGroupId {
    /// From the cause: whoever names it gives it the same id.
    #[must_use]
    pub fn of(tenant: TenantId, cause_key: &str) -> Self {
        let hash = Sha256::digest(format!("{tenant}|{cause_key}").as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_names_its_kind() {
        let id = DeliveryId::generate();
        assert_eq!(id.to_string().parse::<DeliveryId>(), Ok(id));
        let error = id.to_string().parse::<RecordId>().unwrap_err();
        assert!(error.to_string().contains("is no record id: expected rec_"), "{error}");
    }

    #[test]
    fn prefixes_are_unique() {
        let mut seen = std::collections::HashSet::new();
        assert!(PREFIXES.iter().all(|(prefix, _)| seen.insert(*prefix)));
    }
}
