//! How bad a drift is, whose it is and what to do: one table.

use super::Side;
use super::compare::{Drift, What};
use super::reach::Reading;
use crate::fault::Owner;

/// How bad it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Risk {
    /// Nobody reads it, or it changes nothing that is sent.
    Low,
    /// What is sent changes, most likely rightly.
    Medium,
    /// What is sent may be wrong, or nothing is sent.
    High,
}

impl Risk {
    pub const ALL: [Risk; 3] = [Self::Low, Self::Medium, Self::High];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|risk| risk.as_str() == text)
    }
}

struct Rule {
    what: What,
    /// Where nobody reads it, where it is carried, and where it decides.
    risks: [Risk; 3],
    owner: Owner,
    /// `{field}`, `{value}`, `{before}`, `{after}` and `{system}` are put in.
    sentence: &'static str,
    next_step: &'static str,
}

const RULES: [Rule; 7] = [
    Rule {
        what: What::NewField,
        risks: [Risk::Low, Risk::Medium, Risk::Medium],
        owner: Owner::Developer,
        sentence: "{system} has the field {field} ({after}), which was {before} until now.",
        next_step: "See whether a destination needs it; add it to the mapping, or accept the drift.",
    },
    Rule {
        what: What::Vanished,
        risks: [Risk::Low, Risk::High, Risk::High],
        owner: Owner::Developer,
        sentence: "{system} has the field {field} no more: it was {before}, and is {after}.",
        next_step: "Ask at the source why it is gone; map what took its place, or accept the drift.",
    },
    Rule {
        what: What::Retyped,
        risks: [Risk::Low, Risk::High, Risk::High],
        owner: Owner::Developer,
        sentence: "{system} has the field {field} as {after}, and had it as {before}.",
        next_step: "Try the mapping with the example; correct it where the result is wrong, then accept the drift.",
    },
    Rule {
        what: What::NewValue,
        risks: [Risk::Low, Risk::Medium, Risk::High],
        owner: Owner::Operations,
        sentence: "{system} has {after} in the field {field}, where it had {before} until now.",
        next_step: "Say in the lookup table or the mapping what it means at the destination, then accept the drift.",
    },
    Rule {
        what: What::NewTaxCode,
        risks: [Risk::Medium, Risk::High, Risk::High],
        owner: Owner::Operations,
        sentence: "{system} has the tax {after} in the field {field}, where it had {before} until now.",
        next_step: "Say in the lookup table for taxes which one it is at the destination, then accept the drift.",
    },
    Rule {
        what: What::MoreNulls,
        risks: [Risk::Low, Risk::Medium, Risk::High],
        owner: Owner::Operations,
        sentence: "{system} leaves the field {field} empty more often: it was {before}, and is {after}.",
        next_step: "Ask at the source why it is empty; give the mapping a default, or accept the drift.",
    },
    Rule {
        what: What::Longer,
        risks: [Risk::Low, Risk::Medium, Risk::Low],
        owner: Owner::Developer,
        sentence: "{system} has a text of {after} in the field {field}, where it was {before}.",
        next_step: "See whether the destination takes a text that long; shorten it in the mapping, or accept the drift.",
    },
];

/// What a person is told of a drift.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub risk: Risk,
    pub sentence: String,
    pub owner: Owner,
    pub next_step: &'static str,
}

/// Judges a drift by what it is and by who reads the field. `system` is the connection's name.
#[must_use]
pub fn judge(drift: &Drift, side: Side, reading: Reading, system: &str) -> Judgement {
    let rule =
        RULES.iter().find(|rule| rule.what == drift.what).expect("every kind of drift has a rule; a test holds them together");
    let system = match side {
        Side::Source => format!("What {system} sends"),
        Side::Destination => format!("What is sent to {system}"),
    };
    Judgement {
        risk: rule.risks[reading as usize],
        sentence: filled(rule.sentence, drift, &system),
        owner: rule.owner,
        next_step: rule.next_step,
    }
}

/// Puts the words in, each once: what a sender wrote is no place for another.
fn filled(template: &str, drift: &Drift, system: &str) -> String {
    let mut out = String::with_capacity(template.len() + 100);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        out.push_str(before);
        out.push_str(match name {
            "system" => system,
            "field" => drift.path.as_str(),
            "before" => &drift.before,
            "after" => &drift.after,
            _ => drift.value.as_deref().unwrap_or_default(),
        });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_drift_has_a_rule_that_says_what_to_do() {
        for what in What::ALL {
            let rule = RULES.iter().find(|rule| rule.what == what).unwrap();
            assert!(rule.sentence.ends_with('.') && rule.next_step.ends_with('.') && rule.next_step.contains("accept the drift"));
            assert_eq!(What::parse(what.as_str()), Some(what));
        }
        assert_eq!(RULES.len(), What::ALL.len());
    }
}
