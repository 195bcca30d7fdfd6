//! Incidents: while a destination fails, one tells of all that waits for it.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, Enum, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, IncidentId};
use domain::scope::Permission;
use infra::postgres::breaker::{ACCOUNT, BreakerShown};
use infra::postgres::entity::{connection, incident};
use infra::postgres::filter::incidents_of;
use uuid::Uuid;

use super::connection::ConnectionNode;
use super::error::within;
use super::page::{cost, id, page, uuid};

/// What an incident is about.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum IncidentKind {
    /// One operation of the destination fails or does not answer. It is tried again by itself.
    Outage,
    /// The destination refuses the credential. It is tried again now and then, and at once when a new one is stored.
    Credential,
    /// Nothing comes from a source that usually does.
    Silence,
    /// Far more comes from a source than ever.
    Surge,
    /// A partner has not acknowledged in time what was sent to it.
    Acknowledgement,
    /// What the connection needs to be called ends soon, or is over: a consent, a secret, a certificate.
    Expiry,
    /// It does not answer to its credential, though nothing was sent to it that would have told.
    Probe,
    /// Something that its connector needs was not allowed at the vendor, or is not any more: what needs it fails.
    Scopes,
    /// Its secret is to be exchanged for a new one by a person, or an exchange does not go on without one.
    Rotation,
}

/// A destination that fails, told once: deliveries are held without an attempt, and sent by themselves once it works again. Or a source that cannot
/// be listed, or whose webhooks cannot be kept registered: what changed there comes once it can be. Or a source from which nothing comes any more, or far
/// too much does. Or a partner that has not acknowledged what was sent to it. Or something that the connection needs and that ends.
#[derive(SimpleObject)]
#[graphql(name = "Incident", complex)]
pub struct IncidentNode {
    id: ID,
    kind: IncidentKind,
    connection_id: ID,
    /// The operation that fails: order.write, order.update, order.action.confirm, order.list, webhook.subscribe; empty for all of the connection. Of an
    /// alarm what it is about: order.silence, order.surge, orders/create.silence; x12.acknowledgement; upkeep.secret, upkeep.rotation.
    operation: String,
    /// Stable and short: outage.http_503.
    code: String,
    /// What happened, in plain words; at most 1,000 characters.
    sentence: String,
    /// operations, developer, vendor or crossdock.
    owner: String,
    next_step: String,
    opened_at: DateTime<Utc>,
    /// How often it was tried since and failed.
    probes: i32,
    /// When the destination worked again, or things came as they usually do; null while it is so.
    closed_at: Option<DateTime<Utc>>,
    #[graphql(skip)]
    row: incident::Model,
}

impl From<incident::Model> for IncidentNode {
    fn from(row: incident::Model) -> Self {
        Self {
            id: id::<IncidentId>(row.id),
            kind: match (row.series_id, row.code.as_str()) {
                (Some(_), "arrival.surge") => IncidentKind::Surge,
                (Some(_), _) => IncidentKind::Silence,
                (None, _) if row.sequence_id.is_some() => IncidentKind::Acknowledgement,
                (None, _) if row.upkeep.as_deref() == Some("probe") => IncidentKind::Probe,
                (None, _) if row.upkeep.as_deref() == Some("scopes") => IncidentKind::Scopes,
                (None, _) if matches!(row.upkeep.as_deref(), Some("rotation" | "rotation_halted")) => IncidentKind::Rotation,
                (None, _) if row.upkeep.is_some() => IncidentKind::Expiry,
                (None, _) if row.operation == ACCOUNT => IncidentKind::Credential,
                (None, _) => IncidentKind::Outage,
            },
            connection_id: id::<ConnectionId>(row.connection_id),
            operation: row.operation.clone(),
            code: row.code.clone(),
            sentence: row.sentence.chars().take(1_000).collect(),
            owner: row.owner.clone(),
            next_step: row.next_step.clone(),
            opened_at: row.opened_at,
            probes: row.probes,
            closed_at: row.closed_at,
            row,
        }
    }
}

impl IncidentNode {
    pub fn is_credential(&self) -> bool {
        self.kind == IncidentKind::Credential
    }

    pub fn is_outage(&self) -> bool {
        self.kind == IncidentKind::Outage
    }

    pub fn is_expiry(&self) -> bool {
        self.kind == IncidentKind::Expiry
    }

    pub fn is_probe(&self) -> bool {
        matches!(self.kind, IncidentKind::Probe | IncidentKind::Scopes)
    }

    pub fn is_silence(&self) -> bool {
        self.kind == IncidentKind::Silence
    }

    async fn breaker(&self, ctx: &Context<'_>) -> Result<Option<BreakerShown>> {
        if self.row.closed_at.is_some() {
            return Ok(None);
        }
        let Some(breaker) = self.row.breaker_id else { return Ok(None) };
        let shown = within(ctx, Permission::ReadOperations, async |store| store.breakers_shown(&[breaker]).await).await?;
        Ok(shown.get(&breaker).cloned())
    }
}

#[ComplexObject]
impl IncidentNode {
    async fn connection(&self, ctx: &Context<'_>) -> Result<Option<ConnectionNode>> {
        let connection = self.row.connection_id;
        let row = within(ctx, Permission::ReadOperations, async |store| store.find::<connection::Entity>(connection).await);
        Ok(row.await?.map(ConnectionNode::from))
    }

    /// How many deliveries are held by it now; 100,000 at most, 0 once it is closed.
    #[graphql(complexity = "20")]
    async fn waiting(&self, ctx: &Context<'_>) -> Result<i64> {
        Ok(self.breaker(ctx).await?.map_or(0, |breaker| breaker.waits))
    }

    /// When the next delivery is tried; null once it is closed.
    #[graphql(complexity = "20")]
    async fn next_try_at(&self, ctx: &Context<'_>) -> Result<Option<DateTime<Utc>>> {
        Ok(self.breaker(ctx).await?.and_then(|breaker| breaker.next_at))
    }
}

/// The open incidents of a connection, newest first; 100 at most.
pub async fn open_of(ctx: &Context<'_>, connection: Uuid) -> Result<Vec<IncidentNode>> {
    let filter = incidents_of(Some(connection), true);
    let page = within(ctx, Permission::ReadOperations, async |store| store.page::<incident::Entity>(filter, None, 100).await);
    Ok(page.await?.rows.into_iter().map(IncidentNode::from).collect())
}

#[derive(Default)]
pub struct IncidentQuery;

#[Object]
impl IncidentQuery {
    /// Newest first, at most 100 a page; of one connection, or of all. `open`: only those that are not closed.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn incidents(
        &self,
        ctx: &Context<'_>,
        connection_id: Option<ID>,
        #[graphql(default = true)] open: bool,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, IncidentNode, EmptyFields, EmptyFields>> {
        // What is no id of a connection has no incidents.
        let connection = connection_id.map(|id| uuid::<ConnectionId>(&id).unwrap_or_default());
        let filter = incidents_of(connection, open);
        page::<incident::Entity, _>(ctx, Permission::ReadOperations, first, after, filter, |row| (row.id, row.into())).await
    }
}
