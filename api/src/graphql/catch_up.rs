//! Catching up: what flows have still to deliver after an outage or a pause, how long that takes, and in which order it goes.

use std::sync::Arc;

use async_graphql::{ComplexObject, Context, Enum, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::catch_up::{Basis, Finish, Rank};
use domain::id::{ConnectionId, FlowId};
use domain::scope::Permission;
use infra::postgres::catch_up::{BACKLOG_MAX, Backlog};
use infra::postgres::entity::{connection, flow};

use super::connection::ConnectionNode;
use super::error::{UserError, UserErrorCode, within};
use super::flow::FlowNode;
use super::page::{Beside, id, uuid};

/// What a prediction rests on.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum CatchUpBasis {
    /// How fast it drains now.
    Measured,
    /// The best minute of the last day, as if it began now, because nothing drains at the moment: the latest.
    Past,
}

/// The place of a flow in the backlog of its destination.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
enum CatchUpRank {
    First,
    /// By lane, then by business deadline, then by age.
    Normal,
    Last,
}

/// What one flow has still to deliver to one destination. An update that a later one has taken the place of is not in it: it is not sent.
#[derive(SimpleObject)]
#[graphql(complex)]
struct CatchUp {
    flow_id: ID,
    connection_id: ID,
    /// Deliveries that wait or are under way.
    deliveries: i64,
    /// Of them those that are held while the destination fails.
    held: i64,
    /// The destination is paused: nothing is sent until it is resumed.
    is_paused: bool,
    /// More wait than are counted: the first 100,000 of a destination are.
    is_cut: bool,
    /// When the message of the oldest arrived.
    oldest_at: DateTime<Utc>,
    /// The soonest business deadline (`ship_by` or `deliver_by` of the record, else the flow's cut-off).
    due_by: Option<DateTime<Utc>>,
    /// Those whose deadline is over,
    overdue: i64,
    /// and those whose deadline will be over before they are delivered, the former included.
    will_be_late: i64,
    /// What the destination confirmed of late, of all flows, a minute; 0 where nothing drains.
    confirms_per_minute: f64,
    /// What was planned for it of late, of all flows, a minute. That goes before a backlog.
    arrives_per_minute: f64,
    /// When the last of them is delivered; null where that cannot be said, or is more than 30 days away.
    finish_at: Option<DateTime<Utc>>,
    basis: Option<CatchUpBasis>,
    /// What a person decided; null where that differs between them.
    rank: Option<CatchUpRank>,
    /// All of it in words.
    sentence: String,
    #[graphql(skip)]
    flow: FlowId,
    #[graphql(skip)]
    destination: ConnectionId,
    #[graphql(skip)]
    around: Around,
}

/// The flows and the destinations of all backlogs of a list.
#[derive(Clone)]
struct Around {
    flows: Arc<Beside<flow::Entity>>,
    destinations: Arc<Beside<connection::Entity>>,
}

impl Around {
    fn new(backlogs: &[Backlog]) -> Self {
        Self {
            flows: Beside::<flow::Entity>::new(backlogs.iter().map(|backlog| backlog.flow.0), |row| row.id),
            destinations: Beside::<connection::Entity>::new(backlogs.iter().map(|backlog| backlog.destination.0), |row| row.id),
        }
    }
}

impl CatchUp {
    fn new(backlog: Backlog, around: Around, now: DateTime<Utc>) -> Self {
        let finish = backlog.rates.finish(backlog.last_at, now);
        let basis = |basis| match basis {
            Basis::Measured => CatchUpBasis::Measured,
            Basis::Past => CatchUpBasis::Past,
        };
        Self {
            flow_id: id::<FlowId>(backlog.flow.0),
            connection_id: id::<ConnectionId>(backlog.destination.0),
            deliveries: backlog.deliveries,
            held: backlog.held,
            is_paused: backlog.is_paused,
            is_cut: backlog.is_cut,
            oldest_at: backlog.oldest_at,
            due_by: backlog.due_by,
            overdue: backlog.overdue,
            will_be_late: backlog.will_be_late,
            confirms_per_minute: round(backlog.rates.confirms),
            arrives_per_minute: round(backlog.rates.arrives),
            finish_at: if let Finish::At(at, _) = finish { Some(at) } else { None },
            basis: match finish {
                Finish::At(_, on) => Some(basis(on)),
                Finish::Never => Some(CatchUpBasis::Measured),
                Finish::Unknown => None,
            },
            rank: backlog.rank.map(|rank| match rank {
                ..0 => CatchUpRank::First,
                0 => CatchUpRank::Normal,
                1.. => CatchUpRank::Last,
            }),
            sentence: sentence(&backlog, finish),
            flow: backlog.flow,
            destination: backlog.destination,
            around,
        }
    }
}

fn round(per_minute: f64) -> f64 {
    (per_minute * 10.0).round() / 10.0
}

fn sentence(backlog: &Backlog, finish: Finish) -> String {
    let count = if backlog.is_cut { format!("More than {BACKLOG_MAX}") } else { backlog.deliveries.to_string() };
    let why = match (backlog.is_paused, backlog.held > 0) {
        (true, _) => " The destination is paused: press Resume.",
        (false, true) => " The destination fails or recovers; they go by themselves.",
        (false, false) => "",
    };
    let when = match finish {
        Finish::At(at, Basis::Measured) => format!("The last is delivered at about {} UTC.", at.format("%H:%M on %-d %B")),
        Finish::At(at, Basis::Past) => {
            let at = at.format("%H:%M on %-d %B");
            format!("If it went on now, as fast as in the best minute of the last day, the last would be delivered by {at} UTC.")
        }
        Finish::Never => "More arrives than the destination takes: it does not catch up.".to_owned(),
        Finish::Unknown => "How long that takes is told once it drains.".to_owned(),
    };
    let late = match backlog.will_be_late {
        0 => String::new(),
        1 => " One misses its deadline.".to_owned(),
        late => format!(" {late} miss their deadline."),
    };
    format!("{count} to be delivered.{why} {when}{late}")
}

#[ComplexObject]
impl CatchUp {
    async fn flow(&self, ctx: &Context<'_>) -> Result<Option<FlowNode>> {
        let row = self.around.flows.find(ctx, Permission::ReadOperations, self.flow.0).await?;
        Ok(row.map(FlowNode::from))
    }

    /// The destination.
    async fn connection(&self, ctx: &Context<'_>) -> Result<Option<ConnectionNode>> {
        let row = self.around.destinations.find(ctx, Permission::ReadOperations, self.destination.0).await?;
        Ok(row.map(ConnectionNode::from))
    }
}

#[derive(SimpleObject)]
struct CatchUpPayload {
    /// Deliveries that have another place now.
    count: i64,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct CatchUpQuery;

#[Object]
impl CatchUpQuery {
    /// What flows have still to deliver, to all destinations or to one, the longest first.
    #[graphql(complexity = "20 * child_complexity")]
    async fn catch_ups(&self, ctx: &Context<'_>, connection_id: Option<ID>) -> Result<Vec<CatchUp>> {
        let connection = connection_id.map(|id| ConnectionId(uuid::<ConnectionId>(&id).unwrap_or_default()));
        let backlogs = within(ctx, Permission::ReadOperations, async |store| store.backlogs(connection).await).await?;
        let (around, now) = (Around::new(&backlogs), Utc::now());
        Ok(backlogs.into_iter().map(|backlog| CatchUp::new(backlog, around.clone(), now)).collect())
    }
}

#[derive(Default)]
pub struct CatchUpMutation;

#[Object]
impl CatchUpMutation {
    /// Puts what a flow has still to deliver before or behind everything else of its destinations, or where it came from. What arrives later is
    /// not touched. At most 100,000 deliveries of a destination.
    async fn catch_up_rank(&self, ctx: &Context<'_>, flow_id: ID, rank: CatchUpRank) -> Result<CatchUpPayload> {
        let flow_id = FlowId(uuid::<FlowId>(&flow_id).unwrap_or_default());
        let rank = match rank {
            CatchUpRank::First => Rank::First,
            CatchUpRank::Normal => Rank::Normal,
            CatchUpRank::Last => Rank::Last,
        };
        let ranked = within(ctx, Permission::WorkExceptions, async |store| {
            if store.find::<flow::Entity>(flow_id.0).await?.is_none() {
                return Ok(None);
            }
            store.backlog_rank(flow_id, rank).await.map(Some)
        });
        Ok(match ranked.await? {
            Some(count) => CatchUpPayload { count: i64::try_from(count).unwrap_or(i64::MAX), user_errors: vec![] },
            None => {
                let error = UserError::new("flowId", UserErrorCode::NotFound, "there is no such flow");
                CatchUpPayload { count: 0, user_errors: vec![error] }
            }
        })
    }
}
