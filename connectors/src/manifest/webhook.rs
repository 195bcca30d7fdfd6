//! `webhooks`: what the vendor sends by itself, and how it proves who it is.

use domain::record::RecordKind;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Get, KeyEncoding, Place, Read, Request};

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    pub signature: Signature,
    #[serde(default)]
    pub source: Option<SourceCheck>,
    /// Where the topic stands: a header or a path in the body.
    pub topic: Place,
    /// What is the same on every retry of one delivery; absent: the hash of topic and body.
    #[serde(default)]
    pub dedupe: Option<Place>,
    #[serde(default)]
    pub version: Option<Place>,
    pub topics: IndexMap<String, Topic>,
    /// Where the body lists several events, each read as if it had come alone; empty text where the body itself is the list.
    #[serde(default)]
    pub events: Option<String>,
    /// Absent: a person registers the webhook, as the setup guide says.
    #[serde(default)]
    pub subscriptions: Option<Subscriptions>,
}

/// How a delivery is signed. Without more words: HMAC-SHA256 over the raw body.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    #[serde(default)]
    pub algorithm: SignatureAlgorithm,
    pub header: Vec<String>,
    /// What stands before the digest in the header: `sha256=`.
    #[serde(default)]
    pub prefix: String,
    #[serde(default)]
    pub encoding: Encoding,
    /// Any of these secrets: the new one and, while it is rotated, the old one.
    pub secrets: Vec<String>,
    /// What is signed; absent: the raw body. Knows `body`, `method`, `url` (where the vendor sends to), `timestamp` and `header.<name>`.
    #[serde(default)]
    pub signed: Option<String>,
    #[serde(default)]
    pub secret_encoding: KeyEncoding,
    /// What stands before the secret and is no part of it: `whsec_`.
    #[serde(default)]
    pub secret_prefix: String,
    /// The header has several signatures: `t=1,v1=a,v1=b`, `v1,a v1,b`. Any that fits is enough.
    #[serde(default)]
    pub items: Option<SignatureItems>,
    /// When it was signed, and how old that may be.
    #[serde(default)]
    pub timestamp: Option<SignedAt>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignatureAlgorithm {
    #[default]
    HmacSha256,
    HmacSha1,
    HmacSha512,
    /// RSASSA-PKCS1-v1_5 with SHA-256; `secrets` are public keys in PEM.
    RsaSha256,
    /// ECDSA on P-256 with SHA-256, the signature in DER; `secrets` are public keys in PEM.
    EcdsaSha256,
    /// The header is the secret itself.
    Shared,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    #[default]
    Base64,
    Hex,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureItems {
    /// Between the items.
    pub separator: String,
    /// Between an item's name and its value.
    pub assign: String,
    /// The name of the items that are signatures: `v1`.
    pub name: String,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedAt {
    /// A header of its own, or absent.
    #[serde(default)]
    pub header: Option<String>,
    /// The name of an item of the signature's header: `t`.
    #[serde(default)]
    pub item: Option<String>,
    pub unit: SignedAtUnit,
    /// Seconds that it may be old, or ahead of us. Vendors sign a retry anew, or a retry would be refused.
    pub tolerance_s: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignedAtUnit {
    UnixS,
    UnixMs,
    Rfc3339,
}

/// How a webhook is registered at the vendor, found there, renewed and taken away. Requests know `{{ hook_url }}`, `{{ topic }}` and
/// `{{ subscription_id }}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscriptions {
    pub subscribe: Subscribe,
    #[serde(default)]
    pub list: Option<SubscriptionList>,
    #[serde(default)]
    pub renew: Option<Request>,
    #[serde(default)]
    pub delete: Option<Request>,
    /// Seconds that one lives unless it is renewed.
    #[serde(default)]
    pub lifetime_s: Option<u64>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscribe {
    /// May name `{{ credential.x }}`, for a vendor that is told the secret which it is to sign with.
    pub request: Request,
    /// Where the answer carries the subscription's id.
    pub id: Place,
    /// Where it carries the secret that deliveries are signed with, which some vendors say only here.
    #[serde(default)]
    pub secret: Option<Place>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionList {
    pub read: Read,
    /// Paths in a record of the list.
    pub id: String,
    pub topic: String,
    pub url: String,
    /// An expression; false where the vendor has switched the subscription off.
    #[serde(default)]
    pub active: Option<String>,
}

/// The account that a delivery says it comes from must be the connection's own.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceCheck {
    pub header: Vec<String>,
    pub equals: String,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    #[schemars(schema_with = "super::kind_schema")]
    pub kind: RecordKind,
    /// Where the body carries the id of the thing.
    pub id: String,
    /// It tells that the thing is deleted, and need not say more than its id.
    #[serde(default)]
    pub deleted: bool,
    /// The body is an id only; this reads the thing itself.
    #[serde(default)]
    pub fetch: Option<Get>,
}
