//! What a check came to, for people and for programs.

use connectors::Connector;
use domain::comparison::without_rows;
use domain::counter_example::{Disagreement, Finding, Report};
use domain::record::RecordKind;
use domain::value::Value;
use serde_json::json;

/// Features that are named for a finding; the others are counted.
const FEATURES_NAMED: usize = 4;
/// Of a value, so much is shown on its line; the record has all of it.
const VALUE_CHARS_SHOWN: usize = 80;

/// What `--accept` calls a record that is not written alike when it is written otherwise.
const DISAGREEMENT: &str = "written_otherwise";

pub struct Checked<'c> {
    pub connector: &'c Connector,
    pub kind: RecordKind,
    pub seed: u64,
    pub seconds: f64,
    pub report: &'c Report,
    pub made_up: usize,
    pub made_up_tables: Vec<String>,
    pub accepted: &'c [String],
}

impl Checked<'_> {
    fn is_accepted(&self, finding: &Finding) -> bool {
        self.accepts(finding.issue.code.as_str(), &finding.issue.to)
    }

    fn accepts(&self, code: &str, to: &str) -> bool {
        let field = without_rows(to);
        self.accepted.iter().any(|accepted| accepted == code || *accepted == field)
    }

    /// What is wrong and nobody accepted.
    pub fn failures(&self) -> usize {
        let failing = self.report.findings.iter().filter(|finding| !self.is_accepted(finding)).count();
        failing + self.report.disagreements.iter().filter(|one| !self.accepts(DISAGREEMENT, &one.to)).count()
    }

    pub fn text(&self) -> String {
        let report = self.report;
        let kind = self.kind.as_str().replace('_', " ");
        let mut lines = vec![format!(
            "{}, {kind}: {} awkward records with {} features in {:.1} seconds (seed {}). {} failed, for {}.",
            self.connector.title(),
            report.documents,
            report.features,
            self.seconds,
            self.seed,
            report.failed,
            count(report.findings.len(), "cause"),
        )];
        if self.made_up > 0 {
            let tables = self.made_up_tables.join(", ");
            lines.push(format!("Entries that were made up: {}, of tables that --tables does not give: {tables}.", self.made_up));
        }
        for (number, finding) in report.findings.iter().enumerate() {
            lines.push(String::new());
            lines.extend(self.finding(number + 1, finding));
        }
        for (number, disagreement) in report.disagreements.iter().enumerate() {
            lines.push(String::new());
            lines.extend(self.disagreement(report.findings.len() + number + 1, disagreement));
        }
        if !report.untraced.is_empty() {
            let all = report.untraced.join(", ");
            lines.push(format!("\nNothing of this reaches the destination, but in the total: {all}."));
        }
        if report.has_more {
            lines.push("There are more causes; mend these first.".to_owned());
        }
        lines.join("\n")
    }

    fn finding(&self, number: usize, finding: &Finding) -> Vec<String> {
        let issue = &finding.issue;
        let accepted = if self.is_accepted(finding) { " (accepted)" } else { "" };
        let mut lines = vec![format!("{number}. {}{accepted}", sentence(&issue.sentence))];
        let mut say = |name: &str, what: String| lines.push(format!("   {name:<11} {what}"));
        say("writes", issue.to.clone());
        say("rule", format!("{} ({})", issue.rule, issue.code.as_str()));
        if let Some(value) = &issue.value {
            let cut = if value.chars().count() > VALUE_CHARS_SHOWN { "…" } else { "" };
            say("value", format!("{:?}{cut}", value.chars().take(VALUE_CHARS_SHOWN).collect::<String>()));
        }
        if let Some(suggestion) = &issue.suggestion {
            say("what to do", suggestion.clone());
        }
        say("fails with", features(finding));
        say("records", format!("{} of {}", finding.failed, self.report.documents));
        let pretty = serde_json::to_string_pretty(&json_of(&finding.document)).unwrap_or_else(|_| finding.document.to_json());
        say("smallest", pretty.replace('\n', "\n   "));
        lines
    }

    fn disagreement(&self, number: usize, one: &Disagreement) -> Vec<String> {
        let accepted = if self.accepts(DISAGREEMENT, &one.to) { " (accepted)" } else { "" };
        let mut lines = vec![format!("{number}. The same record, with {}, is not written alike.{accepted}", one.notation)];
        let mut say = |name: &str, what: String| lines.push(format!("   {name:<11} {what}"));
        say("writes", one.to.clone());
        say("code", DISAGREEMENT.to_owned());
        say("value", shown(&one.one));
        say("otherwise", shown(&one.other));
        say("what to do", "Let the rule say a type (as), or compute with number and timestamp and not with the text.".to_owned());
        let pretty = serde_json::to_string_pretty(&json_of(&one.document)).unwrap_or_else(|_| one.document.to_json());
        say("smallest", pretty.replace('\n', "\n   "));
        lines
    }

    pub fn json(&self) -> serde_json::Value {
        let finding = |finding: &Finding| {
            let issue = &finding.issue;
            json!({
                "code": issue.code.as_str(), "sentence": issue.sentence, "rule": issue.rule, "to": issue.to, "from": issue.from,
                "table": issue.table, "value": issue.value, "suggestion": issue.suggestion, "features": finding.features,
                "failed": finding.failed, "accepted": self.is_accepted(finding), "document": json_of(&finding.document),
            })
        };
        let disagreement = |one: &Disagreement| {
            json!({
                "code": DISAGREEMENT, "notation": one.notation, "to": one.to, "one": json_of(&one.one), "other": json_of(&one.other),
                "accepted": self.accepts(DISAGREEMENT, &one.to), "document": json_of(&one.document),
            })
        };
        json!({
            "connector": self.connector.name(), "kind": self.kind.as_str(), "seed": self.seed, "documents": self.report.documents,
            "features": self.report.features, "failed": self.report.failed, "made_up_entries": self.made_up,
            "made_up_tables": self.made_up_tables, "has_more": self.report.has_more,
            "untraced": self.report.untraced,
            "disagreements": self.report.disagreements.iter().map(disagreement).collect::<Vec<_>>(),
            "findings": self.report.findings.iter().map(finding).collect::<Vec<_>>(),
        })
    }
}

fn json_of(value: &Value) -> serde_json::Value {
    serde_json::from_str(&value.to_json()).unwrap_or_default()
}

fn shown(value: &Value) -> String {
    let json = value.to_json();
    let cut = if json.chars().count() > VALUE_CHARS_SHOWN { "…" } else { "" };
    format!("{}{cut}", json.chars().take(VALUE_CHARS_SHOWN).collect::<String>())
}

fn features(finding: &Finding) -> String {
    match finding.features.as_slice() {
        [] => "nothing awkward: a plain record fails".to_owned(),
        few if few.len() <= FEATURES_NAMED => few.join("; "),
        many => format!("{}; and {}", many[..FEATURES_NAMED].join("; "), count(many.len() - FEATURES_NAMED, "other")),
    }
}

fn count(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}
