//! What would be given up where a flow's connection is replaced by another: read off the two connectors and the two mappings, so that it is
//! known before anything runs. Each gap says how bad it is, what it means and what to do about it.

mod ability;
mod fields;

pub use fields::{lost, lost_by_source};

use domain::mapping::{LookupSet, Lookups, Plan};
use domain::record::RecordKind;

use crate::trial::Side;

/// Gaps that are told.
pub const GAPS_MAX: usize = 200;
/// Fields of one list that are told; what is beyond is one gap more.
const FIELDS_MAX: usize = 100;

/// How bad a gap is. The worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing would be delivered, or what is delivered would be done twice.
    Blocks,
    /// Data or a safety is lost.
    Loses,
    /// It is otherwise; somebody should know.
    Differs,
}

impl Severity {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blocks => "blocks",
            Self::Loses => "loses",
            Self::Differs => "differs",
        }
    }
}

/// One thing that the old connection does and the candidate does not, or not so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub severity: Severity,
    /// write, update, action, proof, idempotency, batch, limit, webhook, read, field, table, setting, credential, connection or mapping.
    pub topic: &'static str,
    /// The field, table, setting or action, where it is about one.
    pub subject: Option<String>,
    pub sentence: String,
    pub next_step: String,
}

impl Gap {
    fn new(severity: Severity, topic: &'static str, sentence: String, next_step: impl Into<String>) -> Self {
        Self { severity, topic, subject: None, sentence, next_step: next_step.into() }
    }

    fn about(self, subject: impl Into<String>) -> Self {
        Self { subject: Some(subject.into()), ..self }
    }
}

/// The connection that would take the other's place.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub side: Side<'a>,
    /// How it writes or reads; `None` where it has no rules for the kind.
    pub plan: Option<&'a Plan>,
    pub has_credential: bool,
    /// False where it is paused.
    pub is_active: bool,
}

/// All that is lost where the destination of a flow is replaced. `tables` are the tenant's lookup tables by name. The worst comes first.
#[must_use]
pub fn gaps(kind: RecordKind, old: Side<'_>, old_plan: Option<&Plan>, candidate: &Candidate<'_>, tables: &[String]) -> Vec<Gap> {
    let mut gaps = connection(candidate);
    gaps.extend(ability::of_destination(kind, old, candidate));
    if let (Some(old_plan), Some(plan)) = (old_plan, candidate.plan) {
        let (from, to) = (old.connector.title(), candidate.side.connector.title());
        gaps.extend(fields::gaps(kind, old_plan, plan, (from, to)));
        gaps.extend(lookup_tables(old_plan, plan, candidate, tables));
    }
    sorted(gaps)
}

/// The same where it is the source that is replaced. `needed` are the fields of the record that the flow's filter and its write mapping read.
#[must_use]
pub fn source_gaps(
    kind: RecordKind,
    old: Side<'_>,
    old_plan: Option<&Plan>,
    candidate: &Candidate<'_>,
    needed: &[String],
    tables: &[String],
) -> Vec<Gap> {
    let mut gaps = connection(candidate);
    gaps.extend(ability::of_source(kind, old, candidate));
    if let (Some(old_plan), Some(plan)) = (old_plan, candidate.plan) {
        let (from, to) = (old.connector.title(), candidate.side.connector.title());
        gaps.extend(fields::source_gaps(kind, old_plan, plan, needed, (from, to)));
        gaps.extend(lookup_tables(old_plan, plan, candidate, tables));
    }
    sorted(gaps)
}

fn sorted(mut gaps: Vec<Gap>) -> Vec<Gap> {
    gaps.sort_by(|a, b| (a.severity, a.topic, &a.subject).cmp(&(b.severity, b.topic, &b.subject)));
    gaps.truncate(GAPS_MAX);
    gaps
}

/// What the connection itself lacks.
fn connection(candidate: &Candidate<'_>) -> Vec<Gap> {
    let (name, connector) = (candidate.side.name, candidate.side.connector);
    let mut gaps = Vec::new();
    if !candidate.is_active {
        let sentence = format!("The connection \"{name}\" is paused: what went there would wait.");
        gaps.push(Gap::new(Severity::Blocks, "connection", sentence, "Resume the connection."));
    }
    for error in connector.check_settings(candidate.side.settings).err().into_iter().flatten() {
        let sentence = format!("The connection \"{name}\" lacks a setting: {error}.");
        gaps.push(Gap::new(Severity::Blocks, "setting", sentence, "Complete the connection's settings.").about(error.field));
    }
    if !candidate.has_credential && connector.credential().values().any(|field| field.required) {
        let sentence = format!("The connection \"{name}\" has no credential: {} would refuse every call.", connector.title());
        gaps.push(Gap::new(Severity::Blocks, "credential", sentence, "Store the credential of the connection."));
    }
    gaps
}

/// Tables that the candidate's rules look into.
fn lookup_tables(old_plan: &Plan, plan: &Plan, candidate: &Candidate<'_>, tables: &[String]) -> Vec<Gap> {
    let (own, title): (&LookupSet, &str) = (candidate.side.connector.tables(), candidate.side.connector.title());
    let asked = plan.tables().iter().filter(|table| !own.has_table(table));
    let gap = |table: &String| {
        if !tables.contains(table) {
            let sentence = format!("{title} needs the table \"{table}\", which is not there.");
            let next = format!("Make the table \"{table}\" with the codes of {title}.");
            return Some(Gap::new(Severity::Blocks, "table", sentence, next).about(table));
        }
        let is_shared = old_plan.tables().contains(table);
        let sentence = if is_shared {
            format!("Both sides look into the table \"{table}\", and its codes are those of the old one.")
        } else {
            format!("{title} looks into the table \"{table}\", which the old one does not.")
        };
        let next = format!(
            "Make sure that \"{table}\" has the codes of {title}; where they differ, name a table of its own in the candidate's mapping."
        );
        let severity = if is_shared { Severity::Loses } else { Severity::Differs };
        Some(Gap::new(severity, "table", sentence, next).about(table))
    };
    asked.filter_map(gap).collect()
}

#[cfg(test)]
mod tests;
