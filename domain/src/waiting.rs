//! Why a delivery waits, in one sentence, from what the ledger knows of it. What is not known is not said.

use chrono::{DateTime, Utc};

use crate::delivery::DeliveryState;
use crate::fault::{Fault, FaultClass};
use crate::lane::Lane;

/// What a delivery waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WaitReason {
    /// A person: its destination is paused.
    Pause,
    /// An earlier delivery of the same record to the same destination.
    EarlierRevision,
    /// The end of an incident of its destination.
    Incident,
    /// Room under a limit: ours, or one that the destination has told.
    Limit,
    /// The next try, after a passing failure.
    Retry,
    /// The moment to ask the destination whether it has it.
    Proof,
    /// Its turn.
    Turn,
}

/// An earlier delivery of the same record that is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    pub revision: i32,
    pub state: DeliveryState,
    pub planned_at: DateTime<Utc>,
}

/// The incident that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incident {
    pub sentence: String,
    pub opened_at: DateTime<Utc>,
    /// When its breaker is looked at again.
    pub next_at: Option<DateTime<Utc>>,
}

/// The last call that was made for it.
#[derive(Debug, Clone, PartialEq)]
pub struct LastCall {
    pub ended_at: DateTime<Utc>,
    pub fault: Option<Fault>,
}

/// How a delivery stands, as the ledger has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    pub state: DeliveryState,
    pub due_at: DateTime<Utc>,
    pub planned_at: DateTime<Utc>,
    pub lane: Lane,
    /// Failed tries since a person last acted.
    pub failures: i32,
    /// The destination's name.
    pub destination: String,
    pub is_paused: bool,
    pub paused_at: Option<DateTime<Utc>>,
    pub earlier: Option<Earlier>,
    pub incident: Option<Incident>,
    /// When it last came to a wait without a call: calls of its connection had no room.
    pub put_off_at: Option<DateTime<Utc>>,
    pub last_call: Option<LastCall>,
}

/// Why it waits, since when, and until when where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    pub reason: WaitReason,
    pub sentence: String,
    pub since: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
}

/// Why it waits; none of what is settled, under way, or a person's.
#[must_use]
pub fn why(standing: &Standing, now: DateTime<Utc>) -> Option<Waiting> {
    use DeliveryState::{Held, Planned, Unknown, Waiting as Waits};
    if !matches!(standing.state, Planned | Waits | Held | Unknown) {
        return None;
    }
    let name = &standing.destination;
    let later = Some(standing.due_at).filter(|due_at| *due_at > now);
    let called_at = standing.last_call.as_ref().map(|call| call.ended_at);
    // Whatever else it waits for: nothing of it is begun until a person says so.
    if standing.is_paused {
        let sentence = format!("{name} is paused: nothing is sent to it until somebody resumes it.");
        return Some(Waiting {
            reason: WaitReason::Pause,
            sentence,
            since: standing.paused_at.unwrap_or(standing.planned_at),
            until: None,
        });
    }
    if let Some(earlier) = standing.earlier.as_ref().filter(|_| matches!(standing.state, Planned | Waits)) {
        let sentence = match earlier.state {
            DeliveryState::Exception => {
                format!("Revision {} of this record goes first, and it needs a person: work its exception.", earlier.revision)
            }
            state => format!("Revision {} of this record goes first, and is {} still.", earlier.revision, state.as_str()),
        };
        let since = standing.planned_at.max(earlier.planned_at);
        return Some(Waiting { reason: WaitReason::EarlierRevision, sentence, since, until: None });
    }
    Some(match standing.state {
        Held => {
            let (why, since, until) = match &standing.incident {
                Some(incident) => (incident.sentence.trim_end_matches('.'), incident.opened_at, incident.next_at),
                None => ("its destination failed", called_at.unwrap_or(standing.planned_at), None),
            };
            let sentence = format!("{}. It goes by itself once that is over.", upper(why));
            Waiting { reason: WaitReason::Incident, sentence, since, until: until.filter(|until| *until > now) }
        }
        Unknown => {
            let sentence =
                format!("It was sent, and no answer says whether {name} has it: that is asked before anything is sent again.");
            Waiting { reason: WaitReason::Proof, sentence, since: called_at.unwrap_or(standing.planned_at), until: later }
        }
        Waits => waits(standing, later),
        _ => {
            let first = match standing.lane {
                Lane::Live => "",
                Lane::Retry => " What has just happened goes first.",
                Lane::Backfill => " What has just happened, and what is tried again, go first.",
            };
            let since = called_at.unwrap_or(standing.planned_at).max(standing.planned_at);
            Waiting { reason: WaitReason::Turn, sentence: format!("Its turn comes.{first}"), since, until: later }
        }
    })
}

/// It waits for a moment: because of the last call, or because no call could be made since.
fn waits(standing: &Standing, until: Option<DateTime<Utc>>) -> Waiting {
    let name = &standing.destination;
    let called_at = standing.last_call.as_ref().map(|call| call.ended_at);
    if let Some(since) = standing.put_off_at.filter(|put_off_at| called_at.is_none_or(|called_at| called_at <= *put_off_at)) {
        let sentence =
            format!("{name} may not be called more often at the moment: its limit, or what is tried again, takes all calls.");
        return Waiting { reason: WaitReason::Limit, sentence, since, until };
    }
    let since = called_at.unwrap_or(standing.planned_at);
    match standing.last_call.as_ref().and_then(|call| call.fault.as_ref()) {
        Some(fault) if fault.class == FaultClass::Limit => {
            let sentence = format!("{name} answered that it is called too often. It is tried again; that is no failed try.");
            Waiting { reason: WaitReason::Limit, sentence, since, until }
        }
        fault => {
            let why =
                fault.map_or_else(|| format!("{name} did not take it"), |fault| fault.reason.trim_end_matches('.').to_owned());
            let tries = match standing.failures {
                ..=1 => String::new(),
                count => format!(" {count} tries failed."),
            };
            let sentence = format!("{}.{tries} It is tried again by itself.", upper(&why));
            Waiting { reason: WaitReason::Retry, sentence, since, until }
        }
    }
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Owner;

    fn at(minute: u32) -> DateTime<Utc> {
        format!("2026-11-29T10:{minute:02}:00Z").parse().unwrap()
    }

    fn standing(state: DeliveryState) -> Standing {
        Standing {
            state,
            due_at: at(40),
            planned_at: at(1),
            lane: Lane::Live,
            failures: 0,
            destination: "Acme ERP".into(),
            is_paused: false,
            paused_at: None,
            earlier: None,
            incident: None,
            put_off_at: None,
            last_call: None,
        }
    }

    fn failed(class: FaultClass) -> Option<LastCall> {
        let fault = Fault::new(class, "http_503", "the ERP is busy.".into(), Owner::Vendor, "wait");
        Some(LastCall { ended_at: at(20), fault: Some(fault) })
    }

    fn told(standing: &Standing) -> (WaitReason, String, u32, Option<u32>) {
        use chrono::Timelike;
        let waiting = why(standing, at(30)).unwrap();
        (waiting.reason, waiting.sentence, waiting.since.minute(), waiting.until.map(|until| until.minute()))
    }

    #[test]
    fn what_is_settled_under_way_or_a_persons_waits_for_nothing() {
        for state in DeliveryState::ALL {
            let waits =
                matches!(state, DeliveryState::Planned | DeliveryState::Waiting | DeliveryState::Held | DeliveryState::Unknown);
            assert_eq!(why(&standing(state), at(30)).is_some(), waits, "{state:?}");
        }
    }

    #[test]
    fn each_reason_has_its_sentence_its_beginning_and_its_end_where_that_is_known() {
        use DeliveryState::{Exception, Held, Planned, Unknown, Waiting as Waits};
        let earlier = |state| Some(Earlier { revision: 3, state, planned_at: at(0) });
        let incident = Some(Incident { sentence: "Acme ERP does not answer.".into(), opened_at: at(12), next_at: Some(at(31)) });
        let base = standing;
        let cases = [
            (
                Standing { is_paused: true, paused_at: Some(at(9)), earlier: earlier(Planned), ..base(Waits) },
                (WaitReason::Pause, "Acme ERP is paused: nothing is sent to it until somebody resumes it.", 9, None),
            ),
            (
                Standing { earlier: earlier(Exception), ..base(Planned) },
                (
                    WaitReason::EarlierRevision,
                    "Revision 3 of this record goes first, and it needs a person: work its exception.",
                    1,
                    None,
                ),
            ),
            (
                Standing { earlier: earlier(Held), ..base(Waits) },
                (WaitReason::EarlierRevision, "Revision 3 of this record goes first, and is held still.", 1, None),
            ),
            (
                Standing { incident, earlier: earlier(Planned), ..base(Held) },
                (WaitReason::Incident, "Acme ERP does not answer. It goes by itself once that is over.", 12, Some(31)),
            ),
            (
                Standing { last_call: failed(FaultClass::Unknown), ..base(Unknown) },
                (
                    WaitReason::Proof,
                    "It was sent, and no answer says whether Acme ERP has it: that is asked before anything is sent again.",
                    20,
                    Some(40),
                ),
            ),
            (
                Standing { last_call: failed(FaultClass::Limit), ..base(Waits) },
                (
                    WaitReason::Limit,
                    "Acme ERP answered that it is called too often. It is tried again; that is no failed try.",
                    20,
                    Some(40),
                ),
            ),
            (
                Standing { last_call: failed(FaultClass::Retry), put_off_at: Some(at(25)), ..base(Waits) },
                (
                    WaitReason::Limit,
                    "Acme ERP may not be called more often at the moment: its limit, or what is tried again, takes all calls.",
                    25,
                    Some(40),
                ),
            ),
            (
                Standing { last_call: failed(FaultClass::Retry), put_off_at: Some(at(15)), failures: 3, ..base(Waits) },
                (WaitReason::Retry, "The ERP is busy. 3 tries failed. It is tried again by itself.", 20, Some(40)),
            ),
            (
                Standing { due_at: at(29), lane: Lane::Backfill, ..base(Planned) },
                (WaitReason::Turn, "Its turn comes. What has just happened, and what is tried again, go first.", 1, None),
            ),
        ];
        for (standing, (reason, sentence, since, until)) in cases {
            assert_eq!(told(&standing), (reason, sentence.to_owned(), since, until));
        }
    }
}
