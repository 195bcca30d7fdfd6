//! `auth`: how a request says who sends it. Names such as `secret: access_token` are fields of `credential`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::request::{Place, Request};

/// How a request says who sends it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    #[default]
    None,
    ApiKey(ApiKey),
    Bearer {
        secret: String,
    },
    /// RFC 7617; either part may be absent.
    Basic {
        #[serde(default)]
        user: Option<String>,
        #[serde(default)]
        password: Option<String>,
    },
    Oauth1(Oauth1),
    Oauth2(Box<Oauth2>),
    /// Each request carries a token that we sign ourselves.
    Jwt(Box<Assertion>),
    Sigv4(Sigv4),
    Sign(Sign),
    Session(Box<Session>),
    MutualTls(MutualTls),
    /// A file server, whose address begins with `sftp://`.
    Sftp(Sftp),
}

/// How a file server is signed in to. `user` and `host_key` are templates, the others fields of `credential`; the key goes before the password.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sftp {
    pub user: String,
    #[serde(default)]
    pub password: Option<String>,
    #[serde(default)]
    pub key: Option<String>,
    /// Of the key, where it is encrypted.
    #[serde(default)]
    pub passphrase: Option<String>,
    /// What the server must show: `SHA256:…`, or its public key.
    pub host_key: String,
}

/// A secret in a header or a parameter of the address.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    #[serde(default)]
    pub header: Option<String>,
    #[serde(default)]
    pub query: Option<String>,
    /// What stands before it: `Token `.
    #[serde(default)]
    pub prefix: String,
    pub secret: String,
}

/// OAuth 1.0a (RFC 5849): token based authentication, or one-legged without a token.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth1 {
    /// A template. It is not signed.
    #[serde(default)]
    pub realm: Option<String>,
    pub consumer_key: String,
    pub consumer_secret: String,
    #[serde(default)]
    pub token: Option<String>,
    #[serde(default)]
    pub token_secret: Option<String>,
    #[serde(default)]
    pub method: Oauth1Method,
    #[serde(default)]
    pub place: Oauth1Place,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Oauth1Method {
    #[default]
    HmacSha256,
    HmacSha1,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Oauth1Place {
    /// `Authorization: OAuth …` (RFC 5849 section 3.5.1).
    #[default]
    Header,
    /// Parameters of the address (section 3.5.3).
    Query,
}

/// OAuth 2 (RFC 6749), with PKCE (RFC 7636) and signed assertions (RFC 7523) where the vendor has them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Oauth2 {
    pub grant: Grant,
    /// For `authorization_code`: where a person consents.
    #[serde(default)]
    pub authorize: Option<Authorize>,
    pub token: TokenEndpoint,
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What a scope lets us do, in words that people read when it was not granted: `orders.read: read orders`.
    #[serde(default)]
    pub scope_titles: IndexMap<String, String>,
    /// Scopes that come with a wider one, where the vendor names only that: `orders.write: [orders.read]`.
    #[serde(default)]
    pub scope_implies: IndexMap<String, Vec<String>>,
    #[serde(default)]
    pub refresh: Refresh,
    /// Seconds that an access token lives where the answer does not say.
    #[serde(default)]
    pub lifetime_s: Option<u32>,
    #[serde(default)]
    pub send: SendToken,
    /// The signed assertion of `jwt_bearer`, or of a client that proves itself by certificate.
    #[serde(default)]
    pub assertion: Option<Assertion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    AuthorizationCode,
    ClientCredentials,
    /// `urn:ietf:params:oauth:grant-type:jwt-bearer` (RFC 7523 section 2.1).
    JwtBearer,
    /// The tenant brings a refresh token; there is no consent of our own.
    RefreshToken,
    Password,
}

/// Where a person consents.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Authorize {
    /// A template; one that starts with `/` comes after `base_url`.
    pub url: String,
    /// Proof key for code exchange, S256.
    #[serde(default)]
    pub pkce: bool,
    /// A template of what the call back names as its `iss` (RFC 9207), where the vendor says it always does: one that names none, or another, is
    /// refused.
    #[serde(default)]
    pub issuer: Option<String>,
    /// Between scopes; a space where absent.
    #[serde(default)]
    pub scope_separator: Option<String>,
    /// Further parameters; one of the same name takes the place of ours, and an empty one takes it away.
    #[serde(default)]
    pub params: IndexMap<String, String>,
    /// Parameters of the call back that become settings: `realmId: company_id` is the parameter, then the setting.
    #[serde(default)]
    pub keep: IndexMap<String, String>,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenEndpoint {
    /// A template; one that starts with `/` comes after `base_url`.
    pub url: String,
    /// Where tokens are refreshed, if elsewhere.
    #[serde(default)]
    pub refresh_url: Option<String>,
    #[serde(default)]
    pub client: ClientAuth,
    /// Fields of `credential`.
    #[serde(default)]
    pub client_id: Option<String>,
    #[serde(default)]
    pub client_secret: Option<String>,
    /// The field of the refresh token that a tenant brings.
    #[serde(default)]
    pub refresh_token: Option<String>,
    /// For `password`: the fields of the user and of the password, sent with the grant and not with a refresh.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password: Option<String>,
    /// Further parameters; they may name `{{ credential.x }}` too. One of the same name takes the place of ours, and an empty one takes it
    /// away.
    #[serde(default)]
    pub params: IndexMap<String, String>,
    /// As `params`.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// JSON instead of a form.
    #[serde(default)]
    pub json: bool,
    /// Where the answer carries the tokens, where that differs from RFC 6749: `access_token`, `refresh_token`, `expires_in` (seconds),
    /// `expires_at` (Unix seconds or RFC 3339), `refresh_token_expires_in` (seconds), `scope`.
    #[serde(default)]
    pub paths: IndexMap<String, String>,
    /// Values of the answer that become settings: `instance_url: instance_url` is the path, then the setting.
    #[serde(default)]
    pub keep: IndexMap<String, String>,
}

/// The keys of [`TokenEndpoint::paths`].
pub const TOKEN_PATHS: [&str; 6] =
    ["access_token", "refresh_token", "expires_in", "expires_at", "refresh_token_expires_in", "scope"];

/// How a client proves itself at the token endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// `client_id` and `client_secret` in the body.
    #[default]
    Body,
    /// RFC 6749 section 2.3.1.
    Basic,
    /// A signed `client_assertion` (RFC 7523 section 2.2).
    Assertion,
    None,
}

/// How long tokens live and how they are renewed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Refresh {
    /// Each refresh brings a new refresh token and ends the old one: it must be stored before the new access token is used.
    #[serde(default)]
    pub rotates: bool,
    /// Seconds before its end that a token is renewed.
    #[serde(default)]
    pub before_s: Option<u32>,
    /// Seconds that a refresh token lives, unused.
    #[serde(default)]
    pub lifetime_s: Option<u64>,
    /// The scopes are sent with a refresh too.
    #[serde(default)]
    pub scopes: bool,
}

/// Where the access token goes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendToken {
    pub header: String,
    #[serde(default)]
    pub prefix: String,
}

impl Default for SendToken {
    /// RFC 6750 section 2.1.
    fn default() -> Self {
        Self { header: "Authorization".into(), prefix: "Bearer ".into() }
    }
}

/// A JSON Web Token that we sign (RFC 7519).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Assertion {
    pub algorithm: JwtAlgorithm,
    /// The field of the private key in PEM (or of the shared secret).
    pub key: String,
    /// How a shared secret is written.
    #[serde(default)]
    pub key_encoding: KeyEncoding,
    /// A template.
    #[serde(default)]
    pub key_id: Option<String>,
    /// Templates by claim, which may name `{{ credential.x }}` and, for `auth: { jwt: … }`, what `sign` knows of the request. `iat`, `exp`
    /// and `jti` are added; a claim that is null is left out.
    #[serde(default)]
    pub claims: IndexMap<String, serde_json::Value>,
    pub lifetime_s: u32,
    /// Where it goes, for `auth: { jwt: … }`.
    #[serde(default)]
    pub send: SendToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum JwtAlgorithm {
    Hs256,
    Rs256,
    Ps256,
    Es256,
    Es384,
}

/// AWS Signature Version 4.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sigv4 {
    /// A template, as is `service`.
    pub region: String,
    pub service: String,
    /// Fields of `credential`.
    pub access_key: String,
    pub secret_key: String,
    /// Only temporary keys have one: where the field is empty, nothing is sent.
    #[serde(default)]
    pub session_token: Option<String>,
    /// As an object store wants it: the path is encoded once, and `x-amz-content-sha256` carries the hash of the body.
    #[serde(default)]
    pub object_store: bool,
}

/// A signature of the vendor's own making, as steps: what is signed, how, and where it goes. Templates know `method`, `url`, `host`, `path`,
/// `query` (as sent), `sorted_query`, `sorted_pairs` (the same, decoded, with nothing between), `body`, `body_sha256_hex`,
/// `body_md5_base64`, `timestamp` (as `timestamp_unit` says), `nonce`, `header.<name>`, `credential.<field>` and `settings.<field>`; those of
/// `headers` and `query` know `signature` too. What does not name it is placed before the text is made, and so may be signed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sign {
    /// The text that is signed; `\n` in YAML's double quotes is a new line.
    pub canonical: String,
    pub algorithm: SignAlgorithm,
    /// A template of the key; none for a plain hash.
    #[serde(default)]
    pub key: Option<String>,
    #[serde(default)]
    pub key_encoding: KeyEncoding,
    pub encoding: SignEncoding,
    #[serde(default)]
    pub timestamp_unit: TimestampUnit,
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    #[serde(default)]
    pub query: IndexMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignAlgorithm {
    HmacSha1,
    HmacSha256,
    HmacSha512,
    /// No key: a hash of the canonical text, which has the secret in it.
    Sha256,
    Md5,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyEncoding {
    #[default]
    Text,
    Base64,
    Hex,
    /// Text, normalised as Unicode's NFKD says.
    Nfkd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SignEncoding {
    Hex,
    Base64,
    /// Without padding.
    Base64url,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    #[default]
    UnixS,
    UnixMs,
    /// `2026-11-24T09:30:00Z`
    Rfc3339,
    /// `20261124T093000Z`
    Iso8601Basic,
}

/// A log-in that opens a session: its token or cookie goes with every request until it ends.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Its templates may name `{{ credential.x }}`.
    pub login: Request,
    /// Where the answer carries the token.
    #[serde(default)]
    pub token: Option<Place>,
    /// Cookies of the answer that go with every request; the first of them must be there.
    #[serde(default)]
    pub cookies: Vec<String>,
    #[serde(default)]
    pub send: SendToken,
    /// Seconds that a session lasts.
    pub lifetime_s: u32,
}

/// A client certificate (RFC 8446 section 4.4.2), alone or beside another kind.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MutualTls {
    /// Fields of the certificate chain and of the private key, both PEM.
    pub certificate: String,
    pub key: String,
    #[serde(default)]
    pub with: Option<Box<Auth>>,
}
