//! A task is a nudge: what a queue carries. It holds ids only, never the only copy of anything, so a lost or doubled task changes nothing.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::{ConnectionId, TenantId};

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

    #[must_use]
    pub fn queue(self) -> &'static str {
        match self {
            Self::Receive => "receive.live",
            Self::Deliver => "deliver.live",
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

/// What travels: a place and the ids of its messages (receive) or deliveries (deliver).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    #[serde(flatten)]
    pub place: Place,
    pub ids: Vec<Uuid>,
}

impl Task {
    /// As few tasks as the bound on ids allows, each of one place.
    #[must_use]
    pub fn batch(nudges: impl IntoIterator<Item = (Place, Uuid)>) -> Vec<Task> {
        let mut places: indexmap::IndexMap<Place, Vec<Uuid>> = indexmap::IndexMap::new();
        for (place, id) in nudges {
            places.entry(place).or_default().push(id);
        }
        places
            .into_iter()
            .flat_map(|(place, ids)| ids.chunks(TASK_IDS_MAX).map(|ids| Task { place, ids: ids.to_vec() }).collect::<Vec<_>>())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nudges_of_one_place_travel_together_and_in_order() {
        let (acme, other) = (TenantId::generate(), TenantId::generate());
        let place = |tenant| Place { tenant, connection: None };
        let ids: Vec<Uuid> = (0..250).map(|_| Uuid::now_v7()).collect();
        let mut nudges: Vec<(Place, Uuid)> = ids.iter().map(|id| (place(acme), *id)).collect();
        nudges.insert(100, (place(other), Uuid::nil()));
        let tasks = Task::batch(nudges);
        assert_eq!(tasks.iter().map(|t| t.ids.len()).collect::<Vec<_>>(), [100, 100, 50, 1]);
        assert_eq!(tasks[..3].iter().flat_map(|t| t.ids.clone()).collect::<Vec<_>>(), ids);
        let text = serde_json::to_string(&tasks[3]).unwrap();
        assert_eq!(serde_json::from_str::<Task>(&text).unwrap(), tasks[3]);
    }
}
