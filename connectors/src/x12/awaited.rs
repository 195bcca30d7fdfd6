//! What was sent waits for its 997. Which groups are answered, which are late and which answers belong to nothing is decided here, of values;
//! whoever asks keeps the rows and tells people.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};

use super::acknowledgement::{Acknowledgement, Verdict};
use super::control_number::ControlNumber;

/// A group of ours that a partner is to acknowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentGroup {
    /// `IN`
    pub functional_id: String,
    pub control_number: ControlNumber,
    pub sent_at: DateTime<Utc>,
    /// Set and control number of each: `("810", "0001")`.
    pub sets: Vec<(String, String)>,
}

/// Where every sent group and every received acknowledgement stands; by index in what was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Groups of which every set was accepted, perhaps with errors noted.
    pub accepted: Vec<usize>,
    /// Groups of which something was rejected: for a person, with the sentences of the acknowledgement.
    pub rejected: Vec<(usize, Vec<String>)>,
    /// Groups without an answer whose deadline has passed.
    pub late: Vec<usize>,
    /// Groups without an answer that may still come, with when it is late.
    pub waiting: Vec<(usize, DateTime<Utc>)>,
    /// Acknowledgements of groups that were not sent, or of sets that were not in them.
    pub unmatched: Vec<usize>,
    /// Acknowledgements of groups that were answered before; the first answer stands.
    pub repeated: Vec<usize>,
}

impl Settled {
    /// What a person is told of a group that is late.
    #[must_use]
    pub fn late_sentence(group: &SentGroup, now: DateTime<Utc>) -> String {
        let minutes = (now - group.sent_at).num_minutes().max(0);
        let since = if minutes >= 120 { format!("{} hours", minutes / 60) } else { format!("{minutes} minutes") };
        format!(
            "Group {} ({}) with {} set{} was sent {since} ago and is not acknowledged. Ask the partner whether it arrived before it is sent again.",
            group.control_number,
            group.functional_id,
            group.sets.len(),
            if group.sets.len() == 1 { "" } else { "s" }
        )
    }
}

/// Holds sent groups of one partner against its acknowledgements, oldest first. `deadline`: how long after it was sent a group may be without
/// one. Control numbers come round again: only groups of the last weeks are given, and of two with one number the one sent last is meant.
#[must_use]
pub fn settle(sent: &[SentGroup], received: &[Acknowledgement], deadline: Duration, now: DateTime<Utc>) -> Settled {
    let mut settled = Settled::default();
    let mut open: HashMap<(&str, ControlNumber), usize> = HashMap::new();
    for (index, group) in sent.iter().enumerate() {
        let known = open.entry((&group.functional_id, group.control_number)).or_insert(index);
        if sent[*known].sent_at <= group.sent_at {
            *known = index;
        }
    }
    let mut answers: HashMap<usize, &Acknowledgement> = HashMap::new();
    for (index, acknowledgement) in received.iter().enumerate() {
        let group = open.get(&(acknowledgement.functional_id.as_str(), acknowledgement.control_number)).copied();
        let is_of = |group: &SentGroup| {
            let has = |set: &super::SetAcknowledgement| {
                group.sets.iter().any(|(id, number)| *id == set.set && *number == set.control_number)
            };
            acknowledgement.sets.iter().all(has)
        };
        match group.filter(|group| is_of(&sent[*group])) {
            None => settled.unmatched.push(index),
            Some(group) if answers.contains_key(&group) => settled.repeated.push(index),
            Some(group) => {
                answers.insert(group, acknowledgement);
            }
        }
    }
    for (index, group) in sent.iter().enumerate() {
        let late_at = group.sent_at.checked_add_signed(deadline).unwrap_or(DateTime::<Utc>::MAX_UTC);
        match answers.get(&index) {
            Some(answer) => {
                let is_rejected = |verdict| matches!(verdict, Verdict::Rejected | Verdict::Partly);
                if is_rejected(answer.verdict) || answer.sets.iter().any(|set| is_rejected(set.verdict)) {
                    settled.rejected.push((index, answer.sentences()));
                } else {
                    settled.accepted.push(index);
                }
            }
            None if late_at <= now => settled.late.push(index),
            None => settled.waiting.push((index, late_at)),
        }
    }
    settled
}
