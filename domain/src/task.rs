//! A task is a nudge: what a queue carries. It holds ids only, never the only copy of anything, so a lost or doubled task changes nothing.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{ConnectionId, TenantId};
use crate::lane::Lane;

/// Ids that one task may carry. Many ids in one task is what keeps the broker off the hot path.
pub const TASK_IDS_MAX: usize = 100;

/// The stages behind the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Messages become records and planned deliveries.
    Receive,
    /// Deliveries are sent, or proven.
    Deliver,
}

impl Stage {
    pub const ALL: [Stage; 2] = [Stage::Receive, Stage::Deliver];

    /// The queue of a stage's lane, such as `receive.live`.
    #[must_use]
    pub fn queue(self, lane: Lane) -> String {
        format!("{}.{}", self.as_str(), lane.as_str())
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Deliver => "deliver",
        }
    }
}

/// Whose rows a task is about. Tasks of different places never wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    pub tenant: TenantId,
    /// The source of messages, the destination of deliveries; none where a person retried over several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionId>,
}

/// A row that can be worked on: a message (receive) or a delivery (deliver).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nudge {
    pub place: Place,
    pub lane: Lane,
    pub id: Uuid,
}

impl Nudge {
    #[must_use]
    pub fn new(tenant: TenantId, connection: ConnectionId, lane: Lane, id: Uuid) -> Self {
        Self { place: Place { tenant, connection: Some(connection) }, lane, id }
    }
}

/// What travels: a place, a lane, and the ids of messages or deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    #[serde(flatten)]
    pub place: Place,
    #[serde(default)]
    pub lane: Lane,
    pub ids: Vec<Uuid>,
}

impl Task {
    /// As few tasks as the bound on ids allows, each of one place and lane.
    #[must_use]
    pub fn batch(nudges: impl IntoIterator<Item = Nudge>) -> Vec<Task> {
        let mut groups: indexmap::IndexMap<(Place, Lane), Vec<Uuid>> = indexmap::IndexMap::new();
        for nudge in nudges {
            groups.entry((nudge.place, nudge.lane)).or_default().push(nudge.id);
        }
        let split = |((place, lane), ids): ((Place, Lane), Vec<Uuid>)| {
            let task = |ids: &[Uuid]| Task { place, lane, ids: ids.to_vec() };
            ids.chunks(TASK_IDS_MAX).map(task).collect::<Vec<_>>()
        };
        groups.into_iter().flat_map(split).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nudges_of_one_place_and_lane_travel_together_and_in_order() {
        let (acme, other) = (TenantId::generate(), TenantId::generate());
        let nudge = |tenant, lane, id| Nudge { place: Place { tenant, connection: None }, lane, id };
        let ids: Vec<Uuid> = (0..250).map(|_| Uuid::now_v7()).collect();
        let mut nudges: Vec<Nudge> = ids.iter().map(|id| nudge(acme, Lane::Live, *id)).collect();
        nudges.insert(100, nudge(other, Lane::Live, Uuid::nil()));
        nudges.insert(1, nudge(acme, Lane::Backfill, Uuid::max()));
        let tasks = Task::batch(nudges);
        assert_eq!(tasks.iter().map(|t| t.ids.len()).collect::<Vec<_>>(), [100, 100, 50, 1, 1]);
        assert_eq!(tasks[..3].iter().flat_map(|t| t.ids.clone()).collect::<Vec<_>>(), ids);
        assert_eq!((tasks[3].lane, tasks[4].place.tenant), (Lane::Backfill, other));
        let text = serde_json::to_string(&tasks[3]).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), tasks[3]);
    }
}
