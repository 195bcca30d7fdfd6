//! How connections are kept: whether they answer to their credentials, what of them ends and when, and what was not allowed there.

use std::time::Duration;

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::ConnectionId;
use domain::permission::Permission;
use domain::upkeep::{Ends, Upkeep};
use infra::postgres::upkeep::{ConnectionHealth, Probe, ProbeOutcome};
use tokio::time::Instant;
use uuid::Uuid;

use super::connection::ConnectionNode;
use super::consent::ScopeNode;
use super::error::{Code, UserError, UserErrorCode, fail, state, within};
use super::page::{LARGE_COST, cost, rows, uuid};
use super::rotation::ConnectionRotationNode;

/// How long somebody waits for a probe; after that they look again.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How a connection answered to its credential.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum ConnectionProbeState {
    /// It was not asked yet.
    Waiting,
    Works,
    Fails,
    /// There is nothing that can be asked of the vendor without changing anything.
    Untold,
}

/// The newest probe of a connection: a cheap read, made once a day by itself.
#[derive(SimpleObject)]
#[graphql(name = "ConnectionProbe")]
struct ProbeNode {
    state: ConnectionProbeState,
    /// It is being asked now.
    is_under_way: bool,
    probed_at: Option<DateTime<Utc>>,
    /// When it is asked again by itself.
    due_at: DateTime<Utc>,
    /// What came of it, for people.
    sentence: String,
    /// operations, developer, vendor or crossdock; null where it works.
    owner: Option<String>,
    next_step: Option<String>,
    took_ms: Option<i32>,
}

impl ProbeNode {
    fn new(probe: Probe, connection: &str) -> Self {
        let state = match probe.outcome {
            None => ConnectionProbeState::Waiting,
            Some(ProbeOutcome::Works) => ConnectionProbeState::Works,
            Some(ProbeOutcome::Fails) => ConnectionProbeState::Fails,
            Some(ProbeOutcome::Untold) => ConnectionProbeState::Untold,
        };
        let sentence = probe.sentence.unwrap_or_else(|| match state {
            ConnectionProbeState::Waiting => format!("{connection} was not asked yet."),
            ConnectionProbeState::Works => format!("{connection} answers to its credential."),
            ConnectionProbeState::Untold => format!("{connection} cannot be asked without changing something there."),
            ConnectionProbeState::Fails => format!("{connection} does not answer to its credential."),
        });
        Self {
            state,
            is_under_way: probe.asked_at.is_some(),
            probed_at: probe.probed_at,
            due_at: probe.due_at,
            sentence,
            owner: probe.owner,
            next_step: probe.next_step,
            took_ms: probe.took_ms,
        }
    }
}

/// What ends one day.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Upkeep", name = "UpkeepKind")]
enum UpkeepNode {
    /// What a person allowed at the vendor.
    Consent,
    /// A secret that was typed in.
    Secret,
    /// A client certificate.
    Certificate,
    /// The connection does not answer to its credential.
    Probe,
    /// Something that the connector needs was not allowed.
    Scopes,
    /// A secret that a person is to exchange by then.
    Rotation,
    /// The exchange of a secret that does not go on without a person.
    RotationHalted,
}

/// Something of a connection that ends. An incident tells of it from 30 days before, and alerts do at 30, 14, 7 and 1 days and when it is over.
#[derive(SimpleObject)]
struct ConnectionEnd {
    what: UpkeepNode,
    at: DateTime<Utc>,
    /// Whole days; negative when it is over.
    days_left: i64,
    next_step: String,
}

impl ConnectionEnd {
    fn new(ends: Ends, title: &str, now: DateTime<Utc>) -> Self {
        Self { what: ends.what.into(), at: ends.at, days_left: ends.days_left(now), next_step: ends.what.next_step(title) }
    }
}

/// How a connection is kept.
#[derive(SimpleObject)]
#[graphql(name = "ConnectionHealth")]
pub struct HealthNode {
    connection: ConnectionNode,
    probe: Option<ProbeNode>,
    /// What ends one day, the soonest first; at most 2.
    ends: Vec<ConnectionEnd>,
    /// When the access token ends. It is renewed by itself, so that nobody needs to do anything.
    token_expires_at: Option<DateTime<Utc>>,
    /// A person must consent at the vendor before anything can be called.
    needs_consent: bool,
    /// What the connector needs now and was not granted, where the vendor says what was.
    missing_scopes: Vec<ScopeNode>,
    /// When the secret that is used was stored; null where there is none.
    secret_stored_at: Option<DateTime<Utc>>,
    /// Whole days since then.
    secret_age_days: Option<i64>,
    /// How the secret is exchanged for a new one; null where the connector does not say.
    rotation: Option<ConnectionRotationNode>,
}

impl HealthNode {
    pub fn new(ctx: &Context<'_>, health: ConnectionHealth, now: DateTime<Utc>) -> Self {
        let connector = state(ctx).catalog.get(&health.connection.connector);
        let title = connector.map_or("the vendor", |connector| connector.title());
        let granted = health.scope.as_deref().filter(|_| health.has_token);
        let missing = connector.zip(granted).map(|(connector, granted)| connector.missing_scopes(granted));
        let name = health.connection.name.clone();
        let rotation = ConnectionRotationNode::of(&health, connector);
        Self {
            secret_stored_at: health.stored_at,
            secret_age_days: health.stored_at.map(|at| (now - at).num_days().max(0)),
            rotation,
            probe: health.probe.map(|probe| ProbeNode::new(probe, &name)),
            ends: health.ends.into_iter().map(|ends| ConnectionEnd::new(ends, title, now)).collect(),
            token_expires_at: health.token_expires_at,
            needs_consent: connector.is_some_and(|connector| connector.needs_consent()) && !health.has_token,
            missing_scopes: missing.unwrap_or_default().into_iter().map(ScopeNode::from).collect(),
            connection: health.connection.into(),
        }
    }
}

#[derive(SimpleObject)]
struct ConnectionTestPayload {
    probe: Option<ProbeNode>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct ConnectionHealthQuery;

#[Object]
impl ConnectionHealthQuery {
    /// How connections are kept: the newest first, at most 100 a page; or one of them.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn connection_health(
        &self,
        ctx: &Context<'_>,
        connection_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, HealthNode, EmptyFields, EmptyFields>> {
        let first = rows(first)?;
        let after = after
            .map(|cursor| Uuid::try_parse(&cursor).map_err(|_| fail(Code::BadRequest, "`after` is no cursor of this list")))
            .transpose()?;
        // What is no id of a connection is no connection.
        let only = connection_id.map(|id| ConnectionId(uuid::<ConnectionId>(&id).unwrap_or_default()));
        let rows_max = i64::try_from(first).unwrap_or(i64::MAX).saturating_add(1);
        let mut found = within(ctx, Permission::ReadOperations, async |store| {
            store.connection_health(only, after.map(ConnectionId), rows_max).await
        })
        .await?;
        let has_next = found.len() > usize::try_from(first).unwrap_or(usize::MAX);
        if has_next {
            found.pop();
        }
        let now = Utc::now();
        let mut connection = Connection::new(after.is_some(), has_next);
        connection.edges.extend(found.into_iter().map(|health| {
            let cursor = health.connection.id.simple().to_string();
            Edge::new(cursor, HealthNode::new(ctx, health, now))
        }));
        Ok(connection)
    }
}

#[derive(Default)]
pub struct ConnectionHealthMutation;

#[Object]
impl ConnectionHealthMutation {
    /// Asks the vendor, by a cheap read, whether the connection answers to its credential. The answer waits for that, for at most 20 seconds.
    #[graphql(complexity = "LARGE_COST")]
    async fn connection_test(&self, ctx: &Context<'_>, id: ID) -> Result<ConnectionTestPayload> {
        let refuse = || {
            let error = UserError::new("id", UserErrorCode::NotFound, "there is no such connection");
            Ok(ConnectionTestPayload { probe: None, user_errors: vec![error] })
        };
        let connection = ConnectionId(uuid::<ConnectionId>(&id).unwrap_or_default());
        if !within(ctx, Permission::Configure, async |store| store.connection_probe_ask(connection).await).await? {
            return refuse();
        }
        let patience = Instant::now() + PATIENCE;
        loop {
            let found =
                within(ctx, Permission::Configure, async |store| store.connection_health(Some(connection), None, 1).await);
            let Some(health) = found.await?.pop() else { return refuse() };
            let Some(probe) = health.probe else { return refuse() };
            if probe.asked_at.is_none() || Instant::now() >= patience {
                let probe = Some(ProbeNode::new(probe, &health.connection.name));
                return Ok(ConnectionTestPayload { probe, user_errors: vec![] });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
