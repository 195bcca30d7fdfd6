//! Alerts: who is told of which groups of exceptions, and when. Rules are data. A receiver hears of a group at once, and then no more often than it
//! wants, and only of what has grown: never once for each exception.

mod content;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Duration, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::fault::Owner;
use crate::id::{AlertReceiverId, AlertRuleId, ConnectionId, FlowId, UserId};

pub use content::{Content, Line, LineMoney};

pub const RULES_MAX: usize = 50;
pub const RECEIVERS_MAX: usize = 50;
/// Receivers of one rule.
const RULE_RECEIVERS_MAX: usize = 10;
/// More groups than these for one receiver at one look become one alert about all of them.
const APART_MAX: usize = 5;
/// Groups that one alert shows; the others are counted.
pub const SHOWN_MAX: usize = 20;
const CODE_CHARS_MAX: usize = 200;
const MINUTES_MAX: u32 = 60 * 24 * 90;

/// Which groups a rule is about: all that is said must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    pub owner: Option<Owner>,
    /// The beginning of the code: `authentication.`
    pub code_prefix: Option<String>,
    pub connection: Option<ConnectionId>,
    pub flow: Option<FlowId>,
    pub tag: Option<String>,
    pub count_min: Option<u32>,
    pub money_min: Option<MoneyMin>,
    /// Of its oldest exception.
    pub age_min_minutes: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoneyMin {
    pub currency: String,
    pub amount: Decimal,
}

/// What a rule does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Then {
    /// Whose the group becomes, where it is nobody's.
    pub assign_to: Option<UserId>,
    pub receivers: Vec<AlertReceiverId>,
    pub escalate: Option<Escalate>,
}

/// What happens to a group that stays, counted from its oldest exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Escalate {
    pub after_minutes: u32,
    /// Whose it becomes, whoever has it.
    #[serde(default)]
    pub assign_to: Option<UserId>,
    #[serde(default)]
    pub receivers: Vec<AlertReceiverId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub id: AlertRuleId,
    pub when: Match,
    pub then: Then,
}

impl Rule {
    /// # Errors
    /// What is wrong with it: the field and a sentence.
    pub fn check(when: &Match, then: &Then) -> Result<(), (&'static str, String)> {
        if when.code_prefix.as_ref().is_some_and(|code| code.is_empty() || code.chars().count() > CODE_CHARS_MAX) {
            return Err(("codePrefix", format!("the beginning of a code has 1 to {CODE_CHARS_MAX} characters")));
        }
        if when.money_min.as_ref().is_some_and(|min| crate::currency::places(&min.currency).is_none()) {
            return Err(("moneyMin", "the currency is a code of ISO 4217, such as EUR".into()));
        }
        if when.money_min.as_ref().is_some_and(|min| min.amount <= Decimal::ZERO) {
            return Err(("moneyMin", "the amount is more than nothing".into()));
        }
        let minutes = [when.age_min_minutes, then.escalate.as_ref().map(|escalate| escalate.after_minutes)];
        if minutes.into_iter().flatten().any(|minutes| !(1..=MINUTES_MAX).contains(&minutes)) {
            return Err(("ageMinMinutes", format!("an age is 1 to {MINUTES_MAX} minutes, which are 90 days")));
        }
        let escalated = then.escalate.as_ref().map(|escalate| (escalate.assign_to.is_some(), escalate.receivers.len()));
        if then.receivers.len().max(escalated.map_or(0, |(_, count)| count)) > RULE_RECEIVERS_MAX {
            return Err(("receiverIds", format!("a rule tells at most {RULE_RECEIVERS_MAX} receivers")));
        }
        if escalated == Some((false, 0)) {
            return Err(("escalate", "say to whom it is escalated: a member, or receivers".into()));
        }
        if then.assign_to.is_none() && then.receivers.is_empty() && escalated.is_none() {
            return Err(("receiverIds", "a rule does something: it assigns, alerts or escalates".into()));
        }
        Ok(())
    }

    fn fits(&self, group: &Group, now: DateTime<Utc>) -> bool {
        let when = &self.when;
        let is = |ok: Option<bool>| ok.unwrap_or(true);
        is(when.owner.map(|owner| owner.as_str() == group.owner))
            && is(when.code_prefix.as_ref().map(|prefix| group.code.starts_with(prefix.as_str())))
            && is(when.connection.map(|connection| connection == group.connection))
            && is(when.flow.map(|flow| Some(flow) == group.flow))
            && is(when.tag.as_ref().map(|tag| group.tags.contains(tag)))
            && is(when.count_min.map(|min| group.count >= i64::from(min)))
            && is(when.money_min.as_ref().map(|min| group.money.get(&min.currency).is_some_and(|sum| *sum >= min.amount)))
            && is(when.age_min_minutes.map(|minutes| group.is_older_than(minutes, now)))
    }
}

/// How alerts reach a receiver. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReceiverKind {
    Mail,
    /// Signed, as Standard Webhooks says.
    Webhook,
    /// A webhook that takes `{"text": …}`.
    Slack,
}

impl ReceiverKind {
    pub const ALL: [Self; 3] = [Self::Mail, Self::Webhook, Self::Slack];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
            Self::Slack => "slack",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A group as it stands.
#[derive(Debug, Clone)]
pub struct Group {
    pub cause_key: String,
    pub owner: String,
    pub code: String,
    pub connection: ConnectionId,
    pub flow: Option<FlowId>,
    pub tags: Vec<String>,
    pub count: i64,
    pub money: BTreeMap<String, Decimal>,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    pub assignee: Option<UserId>,
    pub is_snoozed: bool,
}

impl Group {
    fn is_older_than(&self, minutes: u32, now: DateTime<Utc>) -> bool {
        now - self.first_at >= Duration::minutes(i64::from(minutes))
    }
}

/// What a receiver was told last of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub at: DateTime<Utc>,
    pub count: i64,
    /// The youngest exception of then.
    pub last_at: DateTime<Utc>,
}

/// What is known of what was done before.
#[derive(Debug, Default)]
pub struct Before {
    pub marks: HashMap<(AlertReceiverId, String), Mark>,
    pub escalated: HashMap<(AlertRuleId, String), DateTime<Utc>>,
}

/// What is to be done now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    /// Groups by their place in what was decided over, and whose they become.
    pub assigned: Vec<(usize, UserId)>,
    pub escalated: Vec<(AlertRuleId, usize)>,
    pub alerts: Vec<Alert>,
}

/// One alert to one receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub receiver: AlertReceiverId,
    /// By their places, the largest first.
    pub groups: Vec<usize>,
    /// At least one of them has stayed too long.
    pub is_escalated: bool,
}

/// Decides over the groups of a tenant, the largest first. `every` is how often each receiver wants to hear of the same group; one that is not
/// in it hears nothing.
#[must_use]
pub fn decide(
    rules: &[Rule],
    every: &HashMap<AlertReceiverId, Duration>,
    groups: &[Group],
    before: &Before,
    now: DateTime<Utc>,
) -> Deeds {
    let mut deeds = Deeds::default();
    // In the order of the rules, so that the same is decided alike each time.
    let mut told: Vec<(AlertReceiverId, Vec<(usize, bool)>)> = Vec::new();
    for (place, group) in groups.iter().enumerate().filter(|(_, group)| !group.is_snoozed) {
        let mut assignee = group.assignee;
        let mut tell = |receiver: AlertReceiverId, is_escalated: bool| {
            let Some(every) = every.get(&receiver) else { return };
            let mark = before.marks.get(&(receiver, group.cause_key.clone()));
            let is_due = mark.is_none_or(|mark| {
                let has_grown = group.count > mark.count || group.last_at > mark.last_at;
                has_grown && now - mark.at >= *every
            });
            if !is_due && !is_escalated {
                return;
            }
            let at = told.iter().position(|(to, _)| *to == receiver).unwrap_or_else(|| {
                told.push((receiver, vec![]));
                told.len() - 1
            });
            match told[at].1.iter_mut().find(|(told, _)| *told == place) {
                Some((_, escalated)) => *escalated |= is_escalated,
                None => told[at].1.push((place, is_escalated)),
            }
        };
        for rule in rules.iter().filter(|rule| rule.fits(group, now)) {
            if let (None, Some(to)) = (assignee, rule.then.assign_to) {
                assignee = Some(to);
            }
            rule.then.receivers.iter().for_each(|receiver| tell(*receiver, false));
            let Some(escalate) = &rule.then.escalate else { continue };
            // Once for as long as the group stays; one that was emptied and came back is a new one.
            let was = before.escalated.get(&(rule.id, group.cause_key.clone()));
            if !group.is_older_than(escalate.after_minutes, now) || was.is_some_and(|at| *at >= group.first_at) {
                continue;
            }
            deeds.escalated.push((rule.id, place));
            assignee = escalate.assign_to.or(assignee);
            escalate.receivers.iter().for_each(|receiver| tell(*receiver, true));
        }
        if let Some(to) = assignee.filter(|to| group.assignee != Some(*to)) {
            deeds.assigned.push((place, to));
        }
    }
    for (receiver, groups) in told {
        let alert = |groups: &[(usize, bool)]| Alert {
            receiver,
            groups: groups.iter().map(|(place, _)| *place).collect(),
            is_escalated: groups.iter().any(|(_, is_escalated)| *is_escalated),
        };
        if groups.len() > APART_MAX {
            deeds.alerts.push(alert(&groups));
        } else {
            deeds.alerts.extend(groups.chunks(1).map(alert));
        }
    }
    deeds
}

/// When an alert that did not arrive is tried again; `None` where it was tried often enough. `tries` counts those that were made.
#[must_use]
pub fn try_again(tries: i32, now: DateTime<Utc>, jitter: f64) -> Option<DateTime<Utc>> {
    const TRIES_MAX: i32 = 12;
    const FIRST_S: f64 = 15.0;
    const LONGEST_S: f64 = 60.0 * 60.0;
    if tries >= TRIES_MAX {
        return None;
    }
    let ceiling = (FIRST_S * 2f64.powi(tries.clamp(1, 20) - 1)).min(LONGEST_S);
    // Not all at the same moment, and none at once.
    let wait_s = ceiling * (0.5 + jitter.clamp(0.0, 1.0).max(0.0) / 2.0);
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds of an hour fit")]
    Some(now + Duration::milliseconds((wait_s * 1_000.0) as i64))
}
