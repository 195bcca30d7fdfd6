//! Sunsets: notices of an API version's end, with the flows that it touches, the days left and the next step.

use async_graphql::{ComplexObject, Context, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Duration, Utc};
use connectors::Catalog;
use domain::id::SunsetId;
use domain::scope::Permission;
use infra::postgres::entity::flow;
use infra::postgres::sunset::Notice;

use super::connection::ConnectionNode;
use super::error::{Code, fail, state, within};
use super::flow::FlowNode;
use super::page::{cost, id};

/// Days of the longest look ahead.
const WITHIN_MAX: i32 = 3_650;
/// What a list of notices costs: few connections have one.
const LIST_ROWS: i32 = 40;

/// The announced end of an API version that a connection calls.
#[derive(SimpleObject)]
#[graphql(name = "Sunset", complex)]
pub struct SunsetNode {
    id: ID,
    connection: ConnectionNode,
    /// The version that is called; empty where the connector names none.
    version: String,
    /// The one that the vendor answered with, or sent, in its place.
    served_version: Option<String>,
    /// How we know: announced_by_header, echoed_other_version (a silent fall-forward), sent_other_version (a webhook), connectors_date or
    /// deprecated.
    reason: String,
    /// What happens, in plain words.
    sentence: String,
    /// From then on the vendor may answer otherwise or not at all; null where no day is named.
    ends_at: Option<DateTime<Utc>>,
    /// Whole days until then: 0 in the last 24 hours, negative afterwards.
    days_left: Option<i64>,
    /// far (more than 180 days), notice (180 at most), warning (90), urgent (30) or critical (7, over, or fallen forward).
    severity: String,
    deprecated_at: Option<DateTime<Utc>>,
    /// Where the vendor says more; at most 500 characters.
    link: Option<String>,
    /// operations, developer, vendor or crossdock.
    owner: String,
    next_step: String,
    raised_at: DateTime<Utc>,
    /// When it was last said; moves on once an hour at most.
    last_seen_at: DateTime<Utc>,
    /// When it was over: another version is called, or no answer has said so for 30 days.
    closed_at: Option<DateTime<Utc>>,
    #[graphql(skip)]
    touched: Vec<flow::Model>,
}

#[ComplexObject]
impl SunsetNode {
    /// The published flows that it touches, by name.
    #[graphql(complexity = "cost(Some(10), child_complexity)")]
    async fn flows(&self) -> Vec<FlowNode> {
        self.touched.iter().cloned().map(FlowNode::from).collect()
    }
}

impl SunsetNode {
    pub fn new(catalog: &Catalog, notice: Notice, now: DateTime<Utc>) -> Self {
        let Notice { row, sign, connection, flows } = notice;
        let title = catalog.get(&connection.connector).map_or(connection.connector.as_str(), |connector| connector.title());
        Self {
            id: id::<SunsetId>(row.id),
            version: row.version,
            served_version: row.served_version,
            reason: row.reason,
            sentence: sign.sentence(title, now),
            ends_at: row.ends_at,
            days_left: sign.days_left(now),
            severity: sign.severity(now).as_str().to_owned(),
            deprecated_at: row.deprecated_at,
            link: row.link,
            owner: sign.owner().as_str().to_owned(),
            next_step: sign.next_step(title),
            raised_at: row.raised_at,
            last_seen_at: row.last_seen_at,
            closed_at: row.closed_at,
            connection: connection.into(),
            touched: flows,
        }
    }
}

#[derive(Default)]
pub struct SunsetQuery;

#[Object]
impl SunsetQuery {
    /// The open notices of API versions that end within so many days (0 to 3650), or have ended, and of those that name no day. What has
    /// fallen forward already comes first, then what ends soonest; at most 200.
    #[graphql(complexity = "cost(Some(LIST_ROWS), child_complexity)")]
    async fn sunsets(&self, ctx: &Context<'_>, #[graphql(default = 180)] within: i32) -> Result<Vec<SunsetNode>> {
        if !(0..=WITHIN_MAX).contains(&within) {
            return Err(fail(Code::BadRequest, &format!("`within` is a number of days from 0 to {WITHIN_MAX}")));
        }
        let now = Utc::now();
        let until = now + Duration::days(i64::from(within));
        let notices = self::within(ctx, Permission::ReadOperations, async |store| store.sunsets(until).await).await?;
        Ok(notices.into_iter().map(|notice| SunsetNode::new(state(ctx).catalog, notice, now)).collect())
    }
}
