//! Where the audit log is sent as it grows: to a syslog server, or as signed batches over HTTP.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::audit_stream::{STREAMS_MAX, StreamKind, SyslogAddress};
use domain::id::AuditStreamId;
use domain::scope::Permission;
use domain::secret::{SecretFields, SecretString};
use infra::outbound::check_ca;
use infra::postgres::alert::Set;
use infra::postgres::audit_stream::{AuditStream, NewAuditStream};
use infra::webhook;

use super::error::{UserError, UserErrorCode, state, within};
use super::page::{cost, uuid};

const NAME_CHARS_MAX: usize = 200;
const ADDRESS_BYTES_MAX: usize = 2_000;
const CA_BYTES_MAX: usize = 64 * 1024;

/// How a stream reaches its server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "StreamKind")]
enum AuditStreamKind {
    /// RFC 5424 over TCP or TLS, each message after its length (RFC 6587): `tls://logs.example.com:6514`, `tcp://…`.
    Syslog,
    /// Batches of JSON, signed as Standard Webhooks says: `https://…`.
    Http,
}

/// Where the audit log is sent as it grows. What is sent is what is sealed, a minute after it was done; each event at least once.
#[derive(SimpleObject)]
#[graphql(name = "AuditStream")]
struct AuditStreamNode {
    id: ID,
    name: String,
    kind: AuditStreamKind,
    address: String,
    is_paused: bool,
    /// The last seal that arrived whole; 0 before the first.
    seal: i64,
    /// Seals that are made and have not arrived.
    behind: i64,
    /// When the oldest of them was made. After 15 minutes in which none arrives the receivers of alerts are told.
    behind_since: Option<DateTime<Utc>>,
    sent_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    /// Why the last try failed; null where it did not.
    failure: Option<String>,
}

impl From<AuditStream> for AuditStreamNode {
    fn from(stream: AuditStream) -> Self {
        Self {
            id: ID(stream.id.to_string()),
            name: stream.name,
            kind: stream.kind.into(),
            address: stream.address,
            is_paused: stream.is_paused,
            seal: stream.seal,
            behind: stream.behind,
            behind_since: stream.behind_since,
            sent_at: stream.sent_at,
            failed_at: stream.failed_at,
            failure: stream.failure,
        }
    }
}

#[derive(InputObject)]
struct AuditStreamCreateInput {
    /// 1 to 200 characters.
    name: String,
    kind: AuditStreamKind,
    /// `tls://host:6514`, `tcp://host:514` or `https://…`; at most 2,000 bytes.
    address: String,
    /// What batches over HTTP are signed with: `whsec_` and 24 to 64 bytes in base64. It is never shown.
    secret: Option<String>,
    /// Certificates in PEM of who vouches for a syslog server, where no public authority does; at most 64 KiB.
    ca_pem: Option<String>,
    /// All that the log holds, and not only what comes from now on.
    #[graphql(default)]
    from_start: bool,
}

#[derive(SimpleObject)]
struct AuditStreamPayload {
    audit_stream: Option<AuditStreamNode>,
    user_errors: Vec<UserError>,
}

impl AuditStreamPayload {
    fn refused(error: UserError) -> Self {
        Self { audit_stream: None, user_errors: vec![error] }
    }

    fn refuse(field: &str, code: UserErrorCode, message: impl Into<String>) -> Self {
        Self::refused(UserError::new(field, code, message))
    }
}

#[derive(SimpleObject)]
struct AuditStreamRemovePayload {
    done: bool,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct AuditStreamQuery;

#[Object]
impl AuditStreamQuery {
    /// Where the audit log is sent as it grows, by name; at most 5.
    #[graphql(complexity = "cost(Some(10), child_complexity)")]
    async fn audit_streams(&self, ctx: &Context<'_>) -> Result<Vec<AuditStreamNode>> {
        let streams = within(ctx, Permission::ReadAudit, async |store| store.audit_streams().await).await?;
        Ok(streams.into_iter().map(Into::into).collect())
    }
}

#[derive(Default)]
pub struct AuditStreamMutation;

#[Object]
impl AuditStreamMutation {
    /// Sends the audit log somewhere from now on, or from its start; at most 5 places.
    async fn audit_stream_create(&self, ctx: &Context<'_>, input: AuditStreamCreateInput) -> Result<AuditStreamPayload> {
        let kind = StreamKind::from(input.kind);
        if let Some(error) = wrong(kind, &input) {
            return Ok(AuditStreamPayload::refused(error));
        }
        let secret =
            input.secret.map(|secret| [("secret".to_owned(), SecretString::from(secret))].into_iter().collect::<SecretFields>());
        let new = NewAuditStream {
            name: input.name.trim(),
            kind,
            address: input.address.trim(),
            ca_pem: input.ca_pem.as_deref(),
            secret: secret.as_ref(),
            is_from_start: input.from_start,
        };
        let vault = &state(ctx).vault;
        let made = within(ctx, Permission::ManageMembers, async |store| store.audit_stream_create(vault, &new).await).await?;
        match made {
            Set::Done(id) => shown(ctx, id).await,
            Set::Taken => Ok(AuditStreamPayload::refuse("input.name", UserErrorCode::Taken, "another stream has this name")),
            Set::TooMany | Set::NotFound => {
                let message = format!("there are {STREAMS_MAX} streams already; remove one first");
                Ok(AuditStreamPayload::refuse("input.name", UserErrorCode::TooMany, message))
            }
        }
    }

    /// Stops a stream for a while, or lets it go on from where it was. Nothing is lost meanwhile, as long as the log keeps it.
    async fn audit_stream_pause(&self, ctx: &Context<'_>, id: ID, is_paused: bool) -> Result<AuditStreamPayload> {
        let Some(id) = uuid::<AuditStreamId>(&id).map(AuditStreamId) else { return Ok(AuditStreamPayload::refused(missing())) };
        let pause = async |store: infra::postgres::TenantStore<'_>| store.audit_stream_pause(id, is_paused).await;
        if within(ctx, Permission::ManageMembers, pause).await? {
            shown(ctx, id).await
        } else {
            Ok(AuditStreamPayload::refused(missing()))
        }
    }

    /// Sends the audit log there no more.
    async fn audit_stream_remove(&self, ctx: &Context<'_>, id: ID) -> Result<AuditStreamRemovePayload> {
        let done = match uuid::<AuditStreamId>(&id).map(AuditStreamId) {
            Some(id) => within(ctx, Permission::ManageMembers, async |store| store.audit_stream_remove(id).await).await?,
            None => false,
        };
        Ok(AuditStreamRemovePayload { done, user_errors: if done { vec![] } else { vec![missing()] } })
    }
}

fn missing() -> UserError {
    UserError::new("id", UserErrorCode::NotFound, "there is no such stream; `auditStreams` lists them")
}

async fn shown(ctx: &Context<'_>, id: AuditStreamId) -> Result<AuditStreamPayload> {
    let streams = within(ctx, Permission::ManageMembers, async |store| store.audit_streams().await).await?;
    let audit_stream = streams.into_iter().find(|stream| stream.id == id).map(Into::into);
    Ok(AuditStreamPayload { audit_stream, user_errors: vec![] })
}

/// What a person has to mend before the log can be sent there.
fn wrong(kind: StreamKind, input: &AuditStreamCreateInput) -> Option<UserError> {
    let invalid = |field: &str, message: String| Some(UserError::new(&format!("input.{field}"), UserErrorCode::Invalid, message));
    if !(1..=NAME_CHARS_MAX).contains(&input.name.trim().chars().count()) {
        return invalid("name", format!("say where it is, in 1 to {NAME_CHARS_MAX} characters"));
    }
    let address = input.address.trim();
    let is_address = match kind {
        StreamKind::Syslog => SyslogAddress::parse(address).is_some(),
        StreamKind::Http => webhook::host(address).is_some(),
    };
    if !is_address || address.len() > ADDRESS_BYTES_MAX {
        return invalid(
            "address",
            "it is tls://host:port or tcp://host:port of a syslog server, or an address that begins with https://".to_owned(),
        );
    }
    match (kind, &input.secret) {
        (StreamKind::Http, Some(secret)) => {
            if let Err(what) = webhook::check_secret(&SecretString::from(secret.as_str())) {
                return invalid("secret", what);
            }
        }
        (StreamKind::Http, None) => {
            let what = "batches are signed: give a secret, such as whsec_ and 32 random bytes in base64";
            return Some(UserError::new("input.secret", UserErrorCode::Required, what));
        }
        (StreamKind::Syslog, Some(_)) => return invalid("secret", "syslog has no signature; what protects it is TLS".to_owned()),
        (StreamKind::Syslog, None) => {}
    }
    let pem = input.ca_pem.as_deref()?;
    if kind == StreamKind::Http || !address.starts_with("tls://") || pem.len() > CA_BYTES_MAX {
        return invalid("caPem", "it is for a syslog server over TLS, and at most 64 KiB".to_owned());
    }
    check_ca(pem).err().and_then(|what| invalid("caPem", what))
}
