//! Arrivals: what comes from each source and what usually does, and how the tenant wants its alarms of silence and surge.

use std::sync::Arc;

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Duration, Utc};
use domain::arrival::{Alarm, AlarmPolicy, PolicyError, READY_DAYS, Sensitivity};
use domain::id::{ArrivalSeriesId, ConnectionId, FlowId};
use domain::scope::Permission;
use infra::postgres::arrival::series;
use infra::postgres::entity::{arrival_series, connection, flow, incident};
use infra::postgres::filter::{alarms_of, arrivals_of};
use uuid::Uuid;

use super::connection::ConnectionNode;
use super::error::{UserError, UserErrorCode, within};
use super::flow::FlowNode;
use super::incident::IncidentNode;
use super::page::{Beside, cost, id, page, uuid};

/// A series is muted for so long at most.
const MUTED_DAYS_MAX: i64 = 365;

/// How a series stands.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum ArrivalState {
    /// It is counted, and too little is known yet to raise an alarm: two weeks are needed, and some twenty times at which something came.
    Learning,
    Steady,
    /// Nothing has come for longer than chance and all that was before explain.
    Silent,
    /// Far more comes than ever.
    Surging,
}

/// What usually comes in an hour, at this hour of the week.
#[derive(SimpleObject)]
struct ArrivalBand {
    low: f64,
    expected: f64,
    high: f64,
}

/// What comes of a kind of record from a connection, whichever way; or by one topic of its webhooks; or what is planned for one flow of it. Counted to five
/// minutes.
#[derive(SimpleObject)]
#[graphql(name = "ArrivalSeries", complex)]
pub struct ArrivalSeriesNode {
    id: ID,
    connection_id: ID,
    record_kind: String,
    /// The vendor's topic; null: all that comes of the kind, or passes the flow.
    topic: Option<String>,
    /// What is planned for this flow alone; null: all that comes.
    flow_id: Option<ID>,
    state: ArrivalState,
    /// Since when it is counted.
    begun_at: DateTime<Utc>,
    /// Until when everything is counted.
    counted_until: DateTime<Utc>,
    /// When something came last.
    last_at: Option<DateTime<Utc>>,
    /// Of a silent series when something came last.
    silent_since: Option<DateTime<Utc>>,
    /// What came in the last hour that is counted.
    seen: i64,
    /// What usually comes in an hour of now; null before this hour of the week was seen.
    band: Option<ArrivalBand>,
    /// No alarm is raised before then; null where it is not muted.
    muted_until: Option<DateTime<Utc>>,
    #[graphql(skip)]
    row: arrival_series::Model,
    #[graphql(skip)]
    around: Around,
}

/// What all series of a page are of, and their open alarms.
#[derive(Clone)]
struct Around {
    connections: Arc<Beside<connection::Entity>>,
    flows: Arc<Beside<flow::Entity>>,
    alarms: Arc<Beside<incident::Entity>>,
}

impl Around {
    fn new(rows: &[&arrival_series::Model]) -> Self {
        Self {
            connections: Beside::<connection::Entity>::new(rows.iter().map(|row| row.connection_id), |row| row.id),
            flows: Beside::<flow::Entity>::new(rows.iter().filter_map(|row| row.flow_id), |row| row.id),
            alarms: Beside::<incident::Entity>::of(
                rows.iter().map(|row| row.id),
                |alarm| alarm.series_id.unwrap_or_default(),
                |select, series| alarms_of(series)(select),
            ),
        }
    }
}

impl ArrivalSeriesNode {
    fn new(row: arrival_series::Model, policy: &AlarmPolicy, now: DateTime<Utc>) -> Self {
        let series = series(row.begun_at, row.until_at, row.last_at, row.alarm.as_deref(), &row.memory);
        let state = match series.alarm {
            Some(Alarm::Silence) => ArrivalState::Silent,
            Some(Alarm::Surge) => ArrivalState::Surging,
            None if series.is_ready() => ArrivalState::Steady,
            None => ArrivalState::Learning,
        };
        // What is not written since, because nothing came, has left the last hour.
        let is_old = now - row.until_at > Duration::hours(1);
        let band = series.band(now, policy.zone).map(|band| {
            let shown = |number: f32| (f64::from(number) * 10.0).round() / 10.0;
            ArrivalBand { low: shown(band.low), expected: shown(band.expected), high: shown(band.high) }
        });
        let around = Around::new(&[&row]);
        Self {
            id: id::<ArrivalSeriesId>(row.id),
            connection_id: id::<ConnectionId>(row.connection_id),
            record_kind: row.kind.clone(),
            topic: Some(row.topic.clone()).filter(|topic| !topic.is_empty() && row.flow_id.is_none()),
            flow_id: row.flow_id.map(id::<FlowId>),
            state,
            begun_at: row.begun_at,
            counted_until: row.until_at,
            last_at: row.last_at,
            silent_since: row.last_at.filter(|_| state == ArrivalState::Silent),
            seen: if is_old { 0 } else { i64::from(series.seen()) },
            band,
            muted_until: row.muted_until.filter(|until| *until > now),
            row,
            around,
        }
    }
}

#[ComplexObject]
impl ArrivalSeriesNode {
    async fn connection(&self, ctx: &Context<'_>) -> Result<Option<ConnectionNode>> {
        let row = self.around.connections.find(ctx, Permission::ReadOperations, self.row.connection_id).await?;
        Ok(row.map(ConnectionNode::from))
    }

    async fn flow(&self, ctx: &Context<'_>) -> Result<Option<FlowNode>> {
        let Some(flow) = self.row.flow_id else { return Ok(None) };
        Ok(self.around.flows.find(ctx, Permission::ReadOperations, flow).await?.map(FlowNode::from))
    }

    /// When it may raise alarms, where enough comes until then.
    async fn ready_at(&self) -> DateTime<Utc> {
        self.row.begun_at + Duration::days(READY_DAYS)
    }

    /// The alarm that is open.
    async fn incident(&self, ctx: &Context<'_>) -> Result<Option<IncidentNode>> {
        let row = self.around.alarms.find(ctx, Permission::ReadOperations, self.row.id).await?;
        Ok(row.map(IncidentNode::from))
    }
}

#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "Sensitivity")]
enum AlarmSensitivity {
    /// Later, and hardly ever false.
    Low,
    Normal,
    /// Sooner, and now and then false.
    High,
}

/// A time of day in which nobody is told of an alarm; what is still so at its end is told then.
#[derive(SimpleObject)]
struct AlarmQuietHours {
    /// 22:00
    from: String,
    /// 07:00; where it is not after `from`, it is of the next day.
    until: String,
    /// Mon to Sun, on which it begins; none: every day.
    days: Vec<String>,
}

/// How a tenant wants its alarms.
#[derive(SimpleObject)]
#[graphql(name = "AlarmPolicy")]
struct AlarmPolicyNode {
    /// The IANA name of the clock that the hours of the week and quiet hours are read on: Europe/Berlin.
    zone: String,
    sensitivity: AlarmSensitivity,
    quiet_hours: Vec<AlarmQuietHours>,
}

impl From<AlarmPolicy> for AlarmPolicyNode {
    fn from(policy: AlarmPolicy) -> Self {
        Self {
            zone: policy.zone.name().to_owned(),
            sensitivity: policy.sensitivity.into(),
            quiet_hours: policy
                .quiet
                .into_iter()
                .map(|quiet| AlarmQuietHours {
                    from: quiet.from.format("%H:%M").to_string(),
                    until: quiet.until.format("%H:%M").to_string(),
                    days: quiet.days.iter().map(ToString::to_string).collect(),
                })
                .collect(),
        }
    }
}

#[derive(InputObject)]
struct AlarmQuietHoursInput {
    /// 22:00
    from: String,
    /// 07:00; where it is not after `from`, it is of the next day.
    until: String,
    /// Mon to Sun, on which it begins; none: every day.
    #[graphql(default)]
    days: Vec<String>,
}

/// What is not said stays as it is.
#[derive(InputObject)]
struct AlarmPolicySetInput {
    /// The IANA name of a clock: Europe/Berlin. What was learned is turned to it.
    zone: Option<String>,
    sensitivity: Option<AlarmSensitivity>,
    /// At most 14; an empty list: nobody is ever left alone.
    quiet_hours: Option<Vec<AlarmQuietHoursInput>>,
}

impl AlarmPolicySetInput {
    /// # Errors
    /// Where a text is no zone, no time or no day: the field and why.
    fn change(&self, policy: &mut AlarmPolicy) -> std::result::Result<(), (&'static str, PolicyError)> {
        if let Some(zone) = &self.zone {
            policy.zone = AlarmPolicy::zone_of(zone).map_err(|error| ("zone", error))?;
        }
        policy.sensitivity = self.sensitivity.map_or(policy.sensitivity, Into::into);
        if let Some(quiet) = &self.quiet_hours {
            if quiet.len() > AlarmPolicy::QUIET_MAX {
                return Err(("quietHours", PolicyError::TooMany));
            }
            let quiet = quiet.iter().map(|quiet| AlarmPolicy::quiet_of(&quiet.from, &quiet.until, &quiet.days));
            policy.quiet = quiet.collect::<std::result::Result<_, _>>().map_err(|error| ("quietHours", error))?;
        }
        Ok(())
    }
}

#[derive(SimpleObject)]
struct AlarmPolicyPayload {
    alarm_policy: Option<AlarmPolicyNode>,
    user_errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct ArrivalSeriesPayload {
    arrival_series: Option<ArrivalSeriesNode>,
    user_errors: Vec<UserError>,
}

impl ArrivalSeriesPayload {
    fn refused(field: &str, code: UserErrorCode, sentence: String) -> Self {
        Self { arrival_series: None, user_errors: vec![UserError::new(field, code, sentence)] }
    }
}

#[derive(Default)]
pub struct ArrivalQuery;

#[Object]
impl ArrivalQuery {
    /// How the tenant wants its alarms of silence and surge.
    async fn alarm_policy(&self, ctx: &Context<'_>) -> Result<AlarmPolicyNode> {
        Ok(within(ctx, Permission::ReadOperations, async |store| store.alarm_policy().await).await?.into())
    }

    /// Newest first, at most 100 a page; of one connection, of one flow, or of all. What is silent or surges is an incident, too.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn arrival_series(
        &self,
        ctx: &Context<'_>,
        connection_id: Option<ID>,
        flow_id: Option<ID>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, ArrivalSeriesNode, EmptyFields, EmptyFields>> {
        // What is no id has no arrivals.
        let connection = connection_id.map(|id| uuid::<ConnectionId>(&id).unwrap_or_default());
        let filter = arrivals_of(connection, flow_id.map(|id| uuid::<FlowId>(&id).unwrap_or_default()));
        let policy = within(ctx, Permission::ReadOperations, async |store| store.alarm_policy().await).await?;
        let node = |row: arrival_series::Model| (row.id, ArrivalSeriesNode::new(row, &policy, Utc::now()));
        let mut listed = page::<arrival_series::Entity, _>(ctx, Permission::ReadOperations, first, after, filter, node).await?;
        let rows: Vec<&arrival_series::Model> = listed.edges.iter().map(|edge| &edge.node.row).collect();
        let around = Around::new(&rows);
        for edge in &mut listed.edges {
            edge.node.around = around.clone();
        }
        Ok(listed)
    }
}

#[derive(Default)]
pub struct ArrivalMutation;

#[Object]
impl ArrivalMutation {
    /// Sets on which clock the week is read, how sure alarms are, and when nobody is told of them.
    async fn alarm_policy_set(&self, ctx: &Context<'_>, input: AlarmPolicySetInput) -> Result<AlarmPolicyPayload> {
        let mut policy = within(ctx, Permission::Configure, async |store| store.alarm_policy().await).await?;
        if let Err((field, error)) = input.change(&mut policy) {
            let code = if error == PolicyError::TooMany { UserErrorCode::TooMany } else { UserErrorCode::Invalid };
            let error = UserError::new(&format!("input.{field}"), code, error.to_string());
            return Ok(AlarmPolicyPayload { alarm_policy: None, user_errors: vec![error] });
        }
        within(ctx, Permission::Configure, async |store| store.alarm_policy_set(&policy).await).await?;
        Ok(AlarmPolicyPayload { alarm_policy: Some(policy.into()), user_errors: vec![] })
    }

    /// Raises no alarm of a series until then, at most a year ahead, and closes the one that is open; without a time, raises again what is so.
    async fn arrival_series_mute(&self, ctx: &Context<'_>, id: ID, until: Option<DateTime<Utc>>) -> Result<ArrivalSeriesPayload> {
        let now = Utc::now();
        if until.is_some_and(|until| until <= now || until > now + Duration::days(MUTED_DAYS_MAX)) {
            let what = format!("a series is muted until a time in the future, {MUTED_DAYS_MAX} days ahead at most");
            return Ok(ArrivalSeriesPayload::refused("until", UserErrorCode::Invalid, what));
        }
        change(ctx, &id, async |store, id| store.arrival_mute(id, until).await).await
    }

    /// Forgets what was learned of a series that is another than it was: it closes its alarm, learns anew, and raises nothing for two weeks.
    async fn arrival_series_forget(&self, ctx: &Context<'_>, id: ID) -> Result<ArrivalSeriesPayload> {
        change(ctx, &id, async |store, id| store.arrival_forget(id).await).await
    }
}

async fn change(
    ctx: &Context<'_>,
    id: &ID,
    act: impl AsyncFnOnce(infra::postgres::TenantStore<'_>, ArrivalSeriesId) -> std::result::Result<bool, infra::postgres::StoreError>,
) -> Result<ArrivalSeriesPayload> {
    let id: Uuid = uuid::<ArrivalSeriesId>(id).unwrap_or_default();
    let found = within(ctx, Permission::WorkExceptions, async |store| {
        if !act(store, ArrivalSeriesId(id)).await? {
            return Ok(None);
        }
        let (row, policy) = (store.find::<arrival_series::Entity>(id).await?, store.alarm_policy().await?);
        Ok(row.map(|row| ArrivalSeriesNode::new(row, &policy, Utc::now())))
    })
    .await?;
    Ok(match found {
        Some(node) => ArrivalSeriesPayload { arrival_series: Some(node), user_errors: vec![] },
        None => ArrivalSeriesPayload::refused("id", UserErrorCode::NotFound, "there is no such series".into()),
    })
}
