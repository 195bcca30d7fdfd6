//! An exception is a delivery or a message that needs a person. It says what happened, to which thing, whose it is and what to do next;
//! exceptions of the same cause share a `cause_key` and are worked as one group.

use serde::{Deserialize, Serialize};

use crate::comparison::without_rows;
use crate::fault::{Fault, Owner};
use crate::fix::FixKind;
use crate::lookup_table::FROM_BYTES_MAX;
use crate::mapping::{Issue, IssueCode};
use crate::reconciliation::{Difference, DifferenceKind};

/// Why a person is needed, in words that a person understands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable and short: `no_entry`, `validation.INVALID_CONTENT`.
    pub code: String,
    /// One sentence: what happened, to which thing.
    pub sentence: String,
    /// The same without the thing, for the group: `The value "HAT-XL" has no entry in the table "SKUs".`
    pub cause: String,
    pub owner: Owner,
    /// What to do next.
    pub next_step: String,
    /// The field at fault, without positions in lists, so that two orders with the same fault group together.
    pub path: Option<String>,
    pub value: Option<String>,
    pub table: Option<String>,
    /// All values that had no entry, at most fifty: a person adds them at once. The first is `value`.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// The act that mends it, where the connector's error rule names one.
    #[serde(default)]
    pub fix_kind: Option<FixKind>,
}

/// A value that had no entry in a lookup table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    pub table: String,
    pub value: String,
}

impl Missing {
    /// Each once. What is too long to be an entry is left out.
    fn of(issues: &[Issue]) -> Vec<Self> {
        const MISSING_MAX: usize = 50;
        let mut missing: Vec<Self> = Vec::new();
        for issue in issues.iter().filter(|issue| issue.code == IssueCode::NoEntry) {
            let (Some(table), Some(value)) = (&issue.table, &issue.value) else { continue };
            let one = Self { table: table.clone(), value: value.clone() };
            if missing.len() < MISSING_MAX && (1..=FROM_BYTES_MAX).contains(&value.len()) && !missing.contains(&one) {
                missing.push(one);
            }
        }
        missing
    }
}

impl Reason {
    /// What two exceptions of the same cause have in common. `place` is the flow or the connection.
    #[must_use]
    pub fn cause_key(&self, place: &str) -> String {
        const CAUSE_KEY_BYTES_MAX: usize = 500;
        let mut key = [place, &self.code, self.path.as_deref().unwrap_or(""), self.value.as_deref().unwrap_or("")].join("|");
        if key.len() > CAUSE_KEY_BYTES_MAX {
            let end = (0..=CAUSE_KEY_BYTES_MAX).rev().find(|at| key.is_char_boundary(*at)).unwrap_or(0);
            key.truncate(end);
        }
        key
    }

    /// A mapping that has no answer for this record: the first issue says why, and all values that had no entry are kept beside it.
    #[must_use]
    pub fn from_issues(thing: &str, destination: &str, first: &Issue, all: &[Issue]) -> Self {
        Self { missing: Missing::of(all), ..Self::from_issue(thing, destination, first) }
    }

    /// A mapping that has no answer for this record. `thing` is "Order #1042", `destination` "NetSuite".
    #[must_use]
    pub fn from_issue(thing: &str, destination: &str, issue: &Issue) -> Self {
        let path = without_rows(&issue.to).into_owned();
        let (cause, next_step, owner) = match (issue.code, &issue.table, &issue.value) {
            (IssueCode::NoEntry, Some(table), Some(value)) => (
                format!("the value \"{value}\" has no entry in the table \"{table}\""),
                format!("Add it to the table \"{table}\", then press Retry."),
                Owner::Operations,
            ),
            (IssueCode::Required, ..) => (
                format!("the field {path} is required there and has no value"),
                "Fill it in at the source, or give the mapping a default, then press Retry.".to_owned(),
                Owner::Operations,
            ),
            (IssueCode::Unbalanced, ..) => (
                trim_sentence(&issue.sentence),
                "Compare the totals with the source; correct them there or in the mapping, then press Retry.".to_owned(),
                Owner::Operations,
            ),
            _ => (
                trim_sentence(&issue.sentence),
                then_retry(issue, "Correct the data at the source or the mapping of this field, then press Retry."),
                Owner::Developer,
            ),
        };
        Self {
            code: issue.code.as_str().to_owned(),
            sentence: format!("{thing} was not sent to {destination}: {cause}."),
            cause: capitalised(&format!("{cause}.")),
            owner,
            next_step,
            path: Some(path),
            value: issue.value.clone(),
            table: issue.table.clone(),
            missing: vec![],
            fix_kind: None,
        }
    }

    /// A destination that refused.
    #[must_use]
    pub fn from_fault(thing: &str, destination: &str, fault: &Fault) -> Self {
        let cause = trim_sentence(&fault.reason);
        Self {
            code: format!("{}.{}", fault.class.as_str(), fault.code),
            sentence: format!("{thing} was not confirmed by {destination}: {cause}."),
            cause: capitalised(&format!("{cause}.")),
            owner: fault.owner,
            next_step: fault.fix.clone(),
            path: fault.path.as_deref().map(|path| without_rows(path).into_owned()),
            value: None,
            table: None,
            missing: vec![],
            fix_kind: fault.fix_kind,
        }
    }

    /// A record that was confirmed, and about which the destination says something else now.
    #[must_use]
    pub fn from_difference(thing: &str, destination: &str, difference: &Difference) -> Self {
        let id = difference.destination_id.as_deref().unwrap_or("");
        let field = difference.fields.first();
        let path = field.map(|field| without_rows(&field.path).into_owned());
        let (sentence, cause, next_step) = match (difference.kind, field) {
            (DifferenceKind::Different, Some(field)) => {
                let said =
                    |side: &Option<String>| side.as_ref().map_or_else(|| "nothing".to_owned(), |text| format!("\"{text}\""));
                let (name, there, ours) = (&field.path, said(&field.theirs), said(&field.ours));
                let others = match difference.fields.len() - 1 {
                    0 => String::new(),
                    1 => ", and one more field differs".to_owned(),
                    count => format!(", and {count} more fields differ"),
                };
                (
                    format!("{thing} is not at {destination} as it was sent: {name} is {there} there and {ours} here{others}."),
                    format!("The field {} is not at {destination} as it was sent.", without_rows(name)),
                    "Send it again to write ours over theirs, or accept what is there.",
                )
            }
            (DifferenceKind::Extra, _) => (
                format!("{thing} is at {destination} a second time, as {id}."),
                format!("{destination} has it a second time."),
                "Remove one of them there, then accept it here.",
            ),
            _ => (
                format!("{thing} is not at {destination} any more, where it was stored as {id}."),
                format!("It is not at {destination} any more."),
                "Send it again if it was removed by mistake, or accept that it is gone.",
            ),
        };
        Self {
            code: format!("difference.{}", difference.kind.as_str()),
            sentence,
            cause: capitalised(&cause),
            owner: Owner::Operations,
            next_step: next_step.to_owned(),
            path,
            value: None,
            table: None,
            missing: vec![],
            fix_kind: None,
        }
    }

    /// A message that became no record.
    #[must_use]
    pub fn unreadable(topic: &str, source: &str, cause: &str) -> Self {
        let cause = trim_sentence(cause);
        Self {
            code: "unreadable".to_owned(),
            sentence: format!("The message {topic} from {source} became no record: {cause}."),
            cause: capitalised(&format!("{cause}.")),
            owner: Owner::Developer,
            next_step: UNREADABLE_NEXT_STEP.to_owned(),
            path: None,
            value: None,
            table: None,
            missing: vec![],
            fix_kind: None,
        }
    }

    /// A thin message that could not be read back.
    #[must_use]
    pub fn from_unfetched(topic: &str, source: &str, fault: &Fault) -> Self {
        let base = Self::unreadable(topic, source, &fault.reason);
        let code = format!("unfetched.{}", fault.code);
        Self { code, owner: fault.owner, next_step: fault.fix.clone(), fix_kind: fault.fix_kind, ..base }
    }

    /// A thing that we cannot work on, whatever is done at the source or the destination.
    #[must_use]
    pub fn internal(thing: &str, cause: &str) -> Self {
        let cause: String = trim_sentence(cause).chars().filter(|c| !c.is_control()).take(500).collect();
        Self {
            code: "internal".to_owned(),
            sentence: format!("{thing} could not be worked on: {cause}."),
            cause: capitalised(&format!("{cause}.")),
            owner: Owner::Crossdock,
            next_step: "Tell Crossdock's support with the id; nothing of it is lost, and Retry works once the cause is mended."
                .to_owned(),
            path: None,
            value: None,
            table: None,
            missing: vec![],
            fix_kind: None,
        }
    }

    /// A message whose fields the mapping could not read: the first issue says why, and all values that had no entry are kept beside it.
    #[must_use]
    pub fn unmapped(topic: &str, source: &str, issue: &Issue, all: &[Issue]) -> Self {
        let path = without_rows(&issue.to).into_owned();
        Self {
            missing: Missing::of(all),
            code: format!("unmapped.{}", issue.code.as_str()),
            path: Some(path),
            value: issue.value.clone(),
            table: issue.table.clone(),
            next_step: then_retry(issue, UNREADABLE_NEXT_STEP),
            ..Self::unreadable(topic, source, &issue.sentence)
        }
    }
}

const UNREADABLE_NEXT_STEP: &str =
    "Compare the message with the connector's mapping; correct the mapping or the source, then press Retry.";

/// What the mapping suggests, or else the general advice.
fn then_retry(issue: &Issue, general: &str) -> String {
    issue.suggestion.as_ref().map_or_else(|| general.to_owned(), |suggestion| format!("{suggestion} Then press Retry."))
}

/// Sentences from elsewhere are put into ours, so they lose their full stop.
fn trim_sentence(text: &str) -> String {
    text.trim().trim_end_matches('.').to_owned()
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconciliation::FieldDifference;

    #[test]
    fn an_unmapped_sku_reads_as_a_sentence_and_groups_over_lines() {
        let issue = |to: &str| Issue {
            to: to.into(),
            code: IssueCode::NoEntry,
            table: Some("SKUs".into()),
            value: Some("HAT-XL".into()),
            sentence: "no entry".into(),
            ..Issue::default()
        };
        let reason = Reason::from_issue("Order #1042", "NetSuite", &issue("item.items[2].item.id"));
        assert_eq!(
            reason.sentence,
            "Order #1042 was not sent to NetSuite: the value \"HAT-XL\" has no entry in the table \"SKUs\"."
        );
        assert_eq!(reason.next_step, "Add it to the table \"SKUs\", then press Retry.");
        let other = Reason::from_issue("Order #7", "NetSuite", &issue("item.items[0].item.id"));
        assert_eq!(reason.cause_key("flw_1"), other.cause_key("flw_1"));
    }

    #[test]
    fn a_difference_says_what_is_where_and_groups_by_the_field() {
        let reason = |kind, fields: &[&str]| {
            let field = |path: &&str| FieldDifference { path: (*path).into(), ours: Some("2".into()), theirs: None };
            let fields = fields.iter().map(field).collect();
            let difference = Difference { kind, source_id: Some("1042".into()), destination_id: Some("889".into()), fields };
            Reason::from_difference("Order #1042", "NetSuite", &difference)
        };
        let one = reason(DifferenceKind::Different, &["lines[1].quantity", "total"]);
        assert_eq!(
            one.sentence,
            "Order #1042 is not at NetSuite as it was sent: lines[1].quantity is nothing there and \"2\" here, and one more field differs."
        );
        assert_eq!(one.cause, "The field lines[].quantity is not at NetSuite as it was sent.");
        assert_eq!(one.cause_key("f"), reason(DifferenceKind::Different, &["lines[7].quantity"]).cause_key("f"));
        let gone = reason(DifferenceKind::Gone, &[]);
        assert_eq!(gone.sentence, "Order #1042 is not at NetSuite any more, where it was stored as 889.");
        assert_eq!(gone.code, "difference.gone");
        assert_eq!(reason(DifferenceKind::Extra, &[]).sentence, "Order #1042 is at NetSuite a second time, as 889.");
    }

    #[test]
    fn all_values_without_an_entry_are_kept_each_once_and_none_that_cannot_be_added() {
        let issue = |table: &str, value: &str, code| Issue {
            to: "x".into(),
            code,
            table: Some(table.into()),
            value: Some(value.into()),
            ..Issue::default()
        };
        let mut issues = vec![
            issue("SKUs", "HAT", IssueCode::NoEntry),
            issue("SKUs", "1", IssueCode::BadType),
            issue("Tax", "S", IssueCode::NoEntry),
            issue("SKUs", "HAT", IssueCode::NoEntry),
            issue("SKUs", &"x".repeat(FROM_BYTES_MAX + 1), IssueCode::NoEntry),
        ];
        let missing = |issues: &[Issue]| Reason::from_issues("Order #1", "the ERP", &issues[0], issues).missing;
        let say =
            |missing: Vec<Missing>| missing.into_iter().map(|one| format!("{} {}", one.table, one.value)).collect::<Vec<_>>();
        assert_eq!(say(missing(&issues)), ["SKUs HAT", "Tax S"]);
        issues.extend((0..100).map(|n| issue("SKUs", &n.to_string(), IssueCode::NoEntry)));
        assert_eq!(missing(&issues).len(), 50);
    }
}
