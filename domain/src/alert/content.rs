//! What an alert says: to a person in a mail, to a chat, to a machine.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

const SUBJECT_CHARS_MAX: usize = 150;

/// Kept with the alert, so that each try says the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The tenant's slug.
    pub tenant: String,
    /// Nothing has happened: somebody tries whether alerts arrive.
    #[serde(default)]
    pub is_test: bool,
    /// At least one of them has stayed too long.
    pub is_escalated: bool,
    /// The largest first, at most twenty.
    pub groups: Vec<Line>,
    /// Groups that are not shown.
    pub more: usize,
}

/// One group of exceptions, or one incident. An alert is about either.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub id: String,
    pub cause_key: String,
    pub code: String,
    pub cause: String,
    pub owner: String,
    pub next_step: String,
    pub count: i64,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    pub money: Vec<LineMoney>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_incident: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineMoney {
    pub currency: String,
    /// Decimal digits.
    pub amount: String,
}

impl Content {
    /// One line, without line breaks whatever a vendor said.
    #[must_use]
    pub fn subject(&self) -> String {
        let what = match self.groups.as_slice() {
            _ if self.is_test => "a test alert".to_owned(),
            [one] if self.more == 0 && one.is_incident => one.cause.clone(),
            [one] if self.more == 0 => format!("{}: {}", exceptions(one.count), one.cause),
            groups if self.is_of_incidents() => format!("{} incidents", groups.len() + self.more),
            groups => {
                format!("{} of {} causes", exceptions(groups.iter().map(|group| group.count).sum()), groups.len() + self.more)
            }
        };
        let mark = if self.is_escalated { "[escalated] " } else { "" };
        let subject: String = format!("{mark}[{}] {what}", self.tenant).chars().filter(|c| !c.is_control()).collect();
        subject.chars().take(SUBJECT_CHARS_MAX).collect()
    }

    fn is_of_incidents(&self) -> bool {
        self.groups.first().is_some_and(|group| group.is_incident)
    }

    /// For a mail.
    #[must_use]
    pub fn text(&self) -> String {
        if self.is_test {
            return format!("This is a test of Crossdock for the tenant {}: alerts arrive here.\n", self.tenant);
        }
        let mut text = String::new();
        for group in &self.groups {
            let _ = writeln!(text, "{}", group.cause);
            let _ = writeln!(text, "  {}", counted(group));
            let _ = writeln!(text, "  {} · {}\n", group.owner, group.next_step);
        }
        if self.more > 0 {
            let _ = writeln!(text, "And {} more causes.\n", self.more);
        }
        let what = if self.is_of_incidents() { "incidents" } else { "exceptions" };
        let _ =
            writeln!(text, "The {what} of {} are worked in Crossdock. You get this because an alert rule says so.", self.tenant);
        text
    }

    /// For a chat that takes Slack's `{"text": …}`.
    #[must_use]
    pub fn slack(&self) -> serde_json::Value {
        // Slack reads these three as markup and links; the rest is text.
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let mut text = format!("*{}*", escape(&self.subject()));
        for group in self.groups.iter().filter(|_| !self.is_test) {
            let _ = write!(text, "\n• {} ({})\n   {}", escape(&group.cause), counted(group), escape(&group.next_step));
        }
        serde_json::json!({ "text": text })
    }

    /// For a machine: `type`, `timestamp` and `data`, as Standard Webhooks recommends.
    #[must_use]
    pub fn webhook(&self, at: DateTime<Utc>) -> serde_json::Value {
        let (lines, noun) = if self.is_of_incidents() { ("incidents", "incident") } else { ("groups", "exception_group") };
        let kind = match (self.is_test, self.is_escalated) {
            (true, _) => "alert.test".to_owned(),
            (_, true) => format!("{noun}.escalated"),
            _ => format!("{noun}.alerted"),
        };
        serde_json::json!({
            "type": kind,
            "timestamp": at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "data": {"tenant": self.tenant, lines: self.groups, "more": self.more},
        })
    }
}

fn exceptions(count: i64) -> String {
    if count == 1 { "1 exception".to_owned() } else { format!("{count} exceptions") }
}

fn counted(group: &Line) -> String {
    match group.is_incident {
        true => format!("since {}", shown(group.first_at)),
        false => format!("{}{}, since {}", exceptions(group.count), worth(group), shown(group.first_at)),
    }
}

fn worth(group: &Line) -> String {
    let sums: Vec<String> = group.money.iter().map(|money| format!("{} {}", money.amount, money.currency)).collect();
    if sums.is_empty() { String::new() } else { format!(", {}", sums.join(" + ")) }
}

fn shown(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        let line = Line {
            id: "exg_1".into(),
            cause_key: "flw_1|no_entry||HAT-XL".into(),
            code: "no_entry".into(),
            cause: "The value \"HAT-XL\" has no entry in the table <SKUs>.".into(),
            owner: "operations".into(),
            next_step: "Add it, then press Retry.".into(),
            count: 12,
            first_at: "2026-11-28T09:30:00Z".parse().unwrap(),
            last_at: "2026-11-28T09:31:00Z".parse().unwrap(),
            money: vec![LineMoney { currency: "EUR".into(), amount: "1200.50".into() }],
            is_incident: false,
        };
        Content { tenant: "acme".into(), is_test: false, is_escalated: false, groups: vec![line], more: 0 }
    }

    #[test]
    fn an_alert_says_what_happened_how_much_and_what_to_do() {
        let mut one = content();
        assert_eq!(one.subject(), "[acme] 12 exceptions: The value \"HAT-XL\" has no entry in the table <SKUs>.");
        assert!(one.text().contains("12 exceptions, 1200.50 EUR, since 2026-11-28 09:30 UTC"), "{}", one.text());
        assert!(one.text().contains("operations · Add it, then press Retry."));
        assert!(one.slack()["text"].as_str().unwrap().contains("table &lt;SKUs&gt;."), "{}", one.slack());
        let webhook = one.webhook("2026-11-28T10:00:00Z".parse().unwrap());
        assert_eq!(
            (&webhook["type"], &webhook["data"]["groups"][0]["causeKey"]),
            (&"exception_group.alerted".into(), &"flw_1|no_entry||HAT-XL".into())
        );
        (one.more, one.is_escalated) = (3, true);
        assert_eq!(one.subject(), "[escalated] [acme] 12 exceptions of 4 causes");
    }

    #[test]
    fn an_incident_is_told_by_its_own_sentence() {
        let mut one = content();
        let sentence = "No orders have arrived from Amazon for 40 minutes; at this hour about 35 arrive.";
        (one.groups[0].cause, one.groups[0].is_incident, one.groups[0].money) = (sentence.into(), true, vec![]);
        assert_eq!(one.subject(), format!("[acme] {sentence}"));
        assert!(
            one.text().contains("  since 2026-11-28 09:30 UTC\n") && one.text().contains("The incidents of acme"),
            "{}",
            one.text()
        );
        let webhook = one.webhook("2026-11-28T10:00:00Z".parse().unwrap());
        assert_eq!((&webhook["type"], &webhook["data"]["incidents"][0]["cause"]), (&"incident.alerted".into(), &sentence.into()));
        one.groups = vec![one.groups[0].clone(), one.groups[0].clone()];
        assert_eq!(one.subject(), "[acme] 2 incidents");
    }

    #[test]
    fn what_a_vendor_said_makes_no_second_header() {
        let mut one = content();
        one.groups[0].cause = "Bad\r\nBcc: x@example.com".into();
        assert!(!one.subject().contains(['\r', '\n']));
        one.groups[0].cause = "x".repeat(1_000);
        assert_eq!(one.subject().chars().count(), SUBJECT_CHARS_MAX);
    }
}
