//! The audit log: what was done, by whom.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::audit::SealedDetail;
use domain::erasure::digest;
use domain::id::AuditEventId;
use domain::merkle::{hash, hex};
use domain::scope::Permission;
use domain::seal::ExportLine;
use infra::postgres::audit::{AuditFilter, AuditPolicy, PayloadPointer};
use infra::postgres::entity::audit_event;
use uuid::Uuid;

use super::error::{Code, UserError, UserErrorCode, fail, scope, state, within};
use super::page::{LARGE_COST, cost, id, page};
use super::personal::Personal;
use crate::audit::{address_of, trace_of};

#[derive(SimpleObject)]
#[graphql(name = "AuditEvent", complex)]
struct AuditEventNode {
    id: ID,
    at: DateTime<Utc>,
    /// Who did it: a member, a stage of Crossdock, a vendor or an operator; with the `address` that they sent it from and, where they named one, the `trace`
    /// of their own systems that it is of (W3C Trace Context).
    actor: Json<serde_json::Value>,
    action: String,
    subject_kind: String,
    subject_id: String,
    /// One request or task; all it caused has the same.
    request_id: String,
    #[graphql(skip)]
    detail: Option<String>,
    #[graphql(skip)]
    pointer: Option<PayloadPointer>,
    #[graphql(skip)]
    answer_pointer: Option<PayloadPointer>,
}

/// What was sent, answered or received, beside the event that tells of it.
#[derive(SimpleObject)]
struct AuditPayload {
    /// As text; at most 2 MiB of what came, a few MiB of what was sent or read back, 16 KiB of an answer. What tells of a person is hidden from who lacks
    /// READ_PERSONAL_DATA.
    text: Personal,
    /// Bytes of the whole, as it is kept.
    length: i64,
    /// SHA-256 of the whole, as it is kept.
    sha256: String,
    /// The event, which is sealed, holds this digest: nobody has changed the payload since. Of one that was erased, `text` is `{"erased":"<the digest of what was
    /// there>"}`, and that digest is compared. Null where the event holds none: messages came without one until the version that wrote it first.
    is_as_sealed: Option<bool>,
    /// What was answered, where one event tells of a whole call: of a poll, a listing, a probe, a registration of a webhook, the asking for a token. At most 16 KiB
    /// of it, without secrets and without what tells of a person; the event's detail has the length and the digest of the whole.
    answer: Option<AuditAnswer>,
}

/// What was answered to a call that is told as a whole.
#[derive(SimpleObject)]
struct AuditAnswer {
    /// As text; at most 16 KiB.
    text: Personal,
    /// Bytes of what is kept of it.
    length: i64,
    /// SHA-256 of what is kept of it.
    sha256: String,
    /// As of the payload.
    is_as_sealed: Option<bool>,
}

impl AuditPayload {
    async fn kept(ctx: &Context<'_>, pointer: &PayloadPointer) -> Result<Option<Self>> {
        let found = within(ctx, Permission::ReadAudit, async |store| store.audit_payload(pointer).await).await?;
        Ok(found.map(|bytes| Self::new(bytes, pointer)))
    }

    fn new(bytes: Vec<u8>, pointer: &PayloadPointer) -> Self {
        let sha256 = hex(&hash(&[&bytes]));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Self {
            length: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            // Of what was erased the digest stands in its place.
            is_as_sealed: pointer.sealed_sha256().map(|sealed| sealed == sha256 || digest(&text) == Some(sealed)),
            sha256,
            // What tells of a person was hidden before it was kept.
            text: if matches!(pointer, PayloadPointer::Call { .. }) { Personal::sentence(text) } else { Personal::payload(text) },
            answer: None,
        }
    }
}

#[ComplexObject]
impl AuditEventNode {
    /// JSON, at most a few hundred bytes; `{"erased":true}` where it told a record's values and was erased. What tells of a person in it is hidden from who lacks
    /// READ_PERSONAL_DATA, where the event is about a record or what is done with one; the export has it as it is sealed.
    async fn detail(&self, ctx: &Context<'_>) -> Result<Option<Personal>> {
        // Few are stored encrypted, and only these cost a look.
        let mut detail = self.detail.clone();
        if detail.as_deref().is_some_and(|detail| SealedDetail::read(detail).is_some()) {
            let vault = &state(ctx).vault;
            let opened = async |store: infra::postgres::TenantStore<'_>| store.audit_details(vault, vec![detail.clone()]).await;
            detail = within(ctx, Permission::ReadAudit, opened).await?.pop().flatten();
        }
        Ok(detail.map(|detail| Personal::detail(&self.subject_kind, detail)))
    }

    /// The payload that the event is about: of `attempt.started` the request, of an attempt's end its answer, of `message.received` what came, of
    /// `message.fetched` what was read back for it, of a call that is told as a whole (`poll.read`, `connection.probed`, `token.renewed` and others) what was sent,
    /// with its `answer`. Null of everything else, and where it is not kept any more.
    #[graphql(complexity = "LARGE_COST")]
    async fn payload(&self, ctx: &Context<'_>) -> Result<Option<AuditPayload>> {
        let Some(pointer) = &self.pointer else { return Ok(None) };
        let Some(mut payload) = AuditPayload::kept(ctx, pointer).await? else { return Ok(None) };
        if let Some(pointer) = &self.answer_pointer {
            let answer = AuditPayload::kept(ctx, pointer).await?;
            payload.answer = answer.map(|AuditPayload { text, length, sha256, is_as_sealed, .. }| AuditAnswer {
                text,
                length,
                sha256,
                is_as_sealed,
            });
        }
        Ok(Some(payload))
    }
}

impl From<audit_event::Model> for AuditEventNode {
    fn from(row: audit_event::Model) -> Self {
        let prefix =
            domain::id::PREFIXES.iter().find(|(_, noun)| noun.replace(' ', "_") == row.subject_kind).map(|(prefix, _)| *prefix);
        let pointer = PayloadPointer::of(row.id, &row.action, row.subject_id, row.detail.as_deref());
        let answer_pointer = pointer.as_ref().and_then(|pointer| pointer.answer(row.detail.as_deref()));
        Self {
            id: id::<AuditEventId>(row.id),
            at: row.at,
            actor: Json(row.actor),
            action: row.action,
            subject_id: prefix
                .map_or_else(|| row.subject_id.to_string(), |prefix| format!("{prefix}_{}", row.subject_id.simple())),
            subject_kind: row.subject_kind,
            request_id: row.request_id.to_string(),
            detail: row.detail,
            pointer,
            answer_pointer,
        }
    }
}

/// Narrows the list to events of which all of this is so.
#[derive(InputObject, Default)]
struct AuditEventFilterInput {
    /// What it was done to: connection, flow, delivery, credential …
    subject_kind: Option<String>,
    /// Who did it: the id of a person, of a service account or of a key.
    actor_id: Option<ID>,
    /// All that one request or task did.
    request_id: Option<ID>,
    /// Where it was asked for from: one IP address, as `actor` has it; at most 45 characters.
    address: Option<String>,
    /// The trace of the caller's own systems that it was asked for in, as `actor` has it: 32 hexadecimal digits.
    trace: Option<String>,
    from: Option<DateTime<Utc>>,
    /// Until before this moment.
    until: Option<DateTime<Utc>>,
}

/// The uuid of an id of any kind. What is no id narrows to nothing, not to everything.
fn any_uuid(id: ID) -> Uuid {
    id.rsplit('_').next().and_then(|hex| Uuid::try_parse(hex).ok()).unwrap_or_default()
}

/// How long the audit log is kept.
#[derive(SimpleObject)]
#[graphql(name = "AuditPolicy")]
struct AuditPolicyNode {
    /// Events are removed so many days after they were sealed; null: never.
    keep_days: Option<i32>,
    /// Why nothing is removed, however old: a legal hold.
    legal_hold: Option<String>,
}

impl From<AuditPolicy> for AuditPolicyNode {
    fn from(policy: AuditPolicy) -> Self {
        Self { keep_days: policy.keep_days, legal_hold: policy.hold }
    }
}

#[derive(SimpleObject)]
struct AuditPolicyPayload {
    audit_policy: Option<AuditPolicyNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct AuditMutation;

#[Object]
impl AuditMutation {
    /// Says how long the audit log is kept: from 30 to 36,500 days, or for ever where `keepDays` is null. What is older goes within a day, and a seal
    /// says that it went by this rule. While `legalHold` says why (500 characters at most), nothing is removed.
    async fn audit_policy_set(
        &self,
        ctx: &Context<'_>,
        keep_days: Option<i32>,
        legal_hold: Option<String>,
    ) -> Result<AuditPolicyPayload> {
        scope(ctx, Permission::ManageMembers)?;
        let hold = legal_hold.map(|why| why.trim().to_owned());
        let refuse = |field: &str, what: &str| {
            let errors = vec![UserError::new(field, UserErrorCode::Invalid, what)];
            Ok(AuditPolicyPayload { audit_policy: None, user_errors: errors })
        };
        if keep_days.is_some_and(|days| !KEEP_DAYS.contains(&days)) {
            return refuse("keepDays", "30 to 36,500 days, or null for ever");
        }
        if hold.as_ref().is_some_and(|why| why.is_empty() || why.chars().count() > HOLD_CHARS_MAX) {
            return refuse("legalHold", "say why, in at most 500 characters; null ends it");
        }
        let policy = AuditPolicy { keep_days, hold };
        within(ctx, Permission::ManageMembers, async |store| store.audit_policy_set(&policy).await).await?;
        Ok(AuditPolicyPayload { audit_policy: Some(policy.into()), user_errors: vec![] })
    }
}

const KEEP_DAYS: std::ops::RangeInclusive<i32> = 30..=36_500;
const HOLD_CHARS_MAX: usize = 500;

/// How far the chain of a tenant's seals goes.
#[derive(SimpleObject)]
struct AuditHead {
    /// The last seal; 0 where nothing is sealed yet.
    seal: u64,
    /// Of what was signed of it: who knows the hash of a later one knows that this one did not change.
    hash: String,
    /// Events in all seals.
    events: u64,
    made_at: DateTime<Utc>,
    /// All of it, signed, as one line of JSON: keep it where nobody of Crossdock reaches it, and give it to
    /// `crossdock audit verify --head`.
    document: String,
}

#[derive(Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// How far the tenant's audit log is sealed, signed now.
    #[graphql(complexity = "LARGE_COST")]
    async fn audit_head(&self, ctx: &Context<'_>) -> Result<AuditHead> {
        let vault = &state(ctx).vault;
        let head = within(ctx, Permission::ReadAudit, async |store| store.audit_head(vault).await).await?;
        let said = &head.statement;
        let (seal, hash, events, made_at) = (said.seal, said.hash.clone(), said.events, said.made_at);
        let document = String::from_utf8_lossy(&ExportLine::Head(head).to_line()).trim_end().to_owned();
        Ok(AuditHead { seal, hash, events, made_at, document })
    }

    /// Newest first, at most 100 a page. `subjectId` takes the id of any thing.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        subject_id: Option<ID>,
        action: Option<String>,
        filter: Option<AuditEventFilterInput>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, AuditEventNode, EmptyFields, EmptyFields>> {
        let filter = filter.unwrap_or_default();
        let refused = |why: &'static str| fail(Code::BadRequest, why);
        let filter = AuditFilter {
            subject: subject_id.map(any_uuid),
            subject_kind: filter.subject_kind,
            actor: filter.actor_id.map(|id| id.0),
            action,
            request: filter.request_id.map(any_uuid),
            address: filter.address.as_deref().map(address_of).transpose().map_err(refused)?,
            trace: filter.trace.as_deref().map(trace_of).transpose().map_err(refused)?,
            from: filter.from,
            until: filter.until,
            after: after.as_deref().and_then(|cursor| Uuid::try_parse(cursor).ok()),
        };
        let filter = |select| filter.apply(select);
        page::<audit_event::Entity, _>(ctx, Permission::ReadAudit, first, after, filter, |row| (row.id, row.into())).await
    }

    /// How long the tenant keeps its audit log.
    async fn audit_policy(&self, ctx: &Context<'_>) -> Result<AuditPolicyNode> {
        Ok(within(ctx, Permission::ReadAudit, async |store| store.audit_policy().await).await?.into())
    }
}
