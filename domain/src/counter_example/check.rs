//! Runs a mapping over awkward records. Failures of the same cause, which is the same rule with the same code, are one finding with one
//! record: the smallest that still fails with it.

use std::collections::HashMap;

use super::compare::{Difference, differences};
use super::notation::{NOTATIONS, Notation};
use super::shrink::shrink;
use super::trace::{TRACES, Trace, is_written};
use super::{Candidate, candidates, follow, stored};
use crate::comparison::without_rows;
use crate::mapping::{Filter, Issue, IssueCode, Lookups, Plan, Vars};
use crate::record::RecordKind;
use crate::value::Value;

/// Findings that are told; a mapping with more is mended one after the other.
const FINDINGS_MAX: usize = 100;

/// Longer ones are not written otherwise.
const REWRITTEN_BYTES_MAX: usize = 20_000;
/// Fields that are told of.
const DISAGREEMENTS_MAX: usize = 50;

/// A mapping, and what it is run with.
pub struct Checker<'c> {
    pub kind: RecordKind,
    pub plan: &'c Plan,
    /// Which records the flow takes; absent: all.
    pub filter: Option<&'c Filter>,
    pub lookups: &'c dyn Lookups,
    pub vars: &'c Vars,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub documents: usize,
    /// How many features those documents have between them.
    pub features: usize,
    /// Documents that the mapping has no answer for.
    pub failed: usize,
    /// What is only required and not there comes last; of the others the commonest first.
    pub findings: Vec<Finding>,
    /// True where there are more findings than are told.
    pub has_more: bool,
    /// Where the same record, written otherwise, is not written alike.
    pub disagreements: Vec<Disagreement>,
    /// What a record says and what is written says nothing of: an order that has it comes out as one that has not.
    pub untraced: Vec<&'static str>,
}

/// The same record, written otherwise, gives another value at one field of the destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement {
    /// What is otherwise: times with an offset.
    pub notation: &'static str,
    /// The field of the destination.
    pub to: String,
    /// What is written there of the document, and of the document written otherwise.
    pub one: Value,
    pub other: Value,
    /// The smallest document that shows it.
    pub document: Value,
}

/// A cause of failure.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// What the mapping says against the smallest document.
    pub issue: Issue,
    /// The features each of which is enough for it, or those that are together. Empty where a plain document fails.
    pub features: Vec<&'static str>,
    /// How many documents fail with it.
    pub failed: usize,
    /// The smallest document that fails with it.
    pub document: Value,
}

/// What the candidates were made from.
struct Made<'m> {
    plain: &'m Value,
    seed: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Cause {
    rule: String,
    code: IssueCode,
    table: Option<String>,
}

impl Cause {
    fn of(issue: &Issue) -> Self {
        Self { rule: issue.rule.clone(), code: issue.code, table: issue.table.clone() }
    }
}

impl Checker<'_> {
    /// Runs the mapping over the plain document, and over all that is made of it.
    #[must_use]
    pub fn run(&self, plain: &Value, seed: u64) -> Report {
        let mut candidates = candidates(self.kind, plain, seed);
        candidates.retain(|candidate| self.takes(&candidate.document));
        let mut order: Vec<Cause> = Vec::new();
        let mut failing: HashMap<Cause, Vec<&Candidate>> = HashMap::new();
        let mut failed = 0;
        for candidate in &candidates {
            let issues = self.issues(&candidate.document);
            failed += usize::from(!issues.is_empty());
            let mut told: Vec<Cause> = Vec::new();
            for cause in issues.iter().map(Cause::of) {
                if told.contains(&cause) {
                    continue;
                }
                let of_cause = failing.entry(cause.clone()).or_default();
                if of_cause.is_empty() {
                    order.push(cause.clone());
                }
                of_cause.push(candidate);
                told.push(cause);
            }
        }
        let made = Made { plain, seed };
        let has_more = order.len() > FINDINGS_MAX;
        let causes = order.iter().take(FINDINGS_MAX);
        let mut findings: Vec<Finding> = causes.filter_map(|cause| self.finding(cause, &failing[cause], &made)).collect();
        // What a vendor needs and a record lacks may be right; anything else is for whoever wrote the mapping.
        let is_lack = |finding: &Finding| finding.issue.code == IssueCode::Required;
        findings.sort_by_key(|finding| (is_lack(finding), std::cmp::Reverse(finding.failed)));
        let mut features: Vec<&str> = candidates.iter().flat_map(|candidate| candidate.features.iter().copied()).collect();
        features.sort_unstable();
        features.dedup();
        Report {
            documents: candidates.len(),
            features: features.len(),
            failed,
            findings,
            has_more,
            disagreements: self.disagreements(&candidates),
            untraced: self.untraced(plain),
        }
    }

    fn disagreements(&self, candidates: &[Candidate]) -> Vec<Disagreement> {
        // One feature at a time shows as much as several, and long ones only cost.
        let is_short = |candidate: &&Candidate| candidate.features.len() < 2 && candidate.bytes < REWRITTEN_BYTES_MAX;
        let documents: Vec<&Value> = candidates.iter().filter(is_short).map(|candidate| &candidate.document).collect();
        let mut found: Vec<Disagreement> = Vec::new();
        for document in documents {
            let Ok(payload) = self.payload(document) else { continue };
            for notation in NOTATIONS {
                for Difference { to, .. } in self.differences(notation, document, &payload) {
                    let field = without_rows(&to);
                    let is_told = |known: &Disagreement| known.notation == notation.name && without_rows(&known.to) == field;
                    if found.len() < DISAGREEMENTS_MAX && !found.iter().any(is_told) {
                        found.extend(self.disagreement(notation, document, &field));
                    }
                }
            }
        }
        found
    }

    fn disagreement(&self, notation: &Notation, document: &Value, field: &str) -> Option<Disagreement> {
        let at_field = |document: &Value| {
            let payload = self.payload(document).ok()?;
            let mut differences = self.differences(notation, document, &payload).into_iter();
            differences.find(|difference| without_rows(&difference.to) == field)
        };
        let document = shrink(self.kind, document, &|document| at_field(document).is_some());
        let Difference { to, one, other } = at_field(&document)?;
        Some(Disagreement { notation: notation.name, to, one, other, document })
    }

    /// Between what is written of a document and of the same in another notation. One that fails is a finding.
    fn differences(&self, notation: &Notation, document: &Value, payload: &Value) -> Vec<Difference> {
        let otherwise = notation.of(self.kind, document);
        if otherwise == *document || !self.takes(document) || !self.takes(&otherwise) {
            return vec![];
        }
        match self.payload(&otherwise) {
            Ok(other) if *payload != other && stored(self.kind, &otherwise).is_some() => {
                // What is handed on as it stands in the record is as right as the record.
                let is_copied = |difference: &Difference| {
                    otherwise.at(&difference.to).unwrap_or(&Value::Null) == &difference.other
                        && document.at(&difference.to).unwrap_or(&Value::Null) == &difference.one
                };
                let mut found = differences(payload, &other);
                found.retain(|difference| !is_copied(difference));
                found
            }
            _ => vec![],
        }
    }

    fn untraced(&self, plain: &Value) -> Vec<&'static str> {
        let is_lost = |trace: &&Trace| {
            let Some((one, other)) = trace.pair(self.kind, plain) else { return false };
            if stored(self.kind, &one).is_none() || stored(self.kind, &other).is_none() {
                return false;
            }
            match (self.payload(&one), self.payload(&other)) {
                (Ok(here), Ok(there)) => !is_written((&one, &other), (&here, &there)),
                _ => false,
            }
        };
        TRACES.iter().filter(is_lost).map(|trace| trace.name).collect()
    }

    fn payload(&self, document: &Value) -> Result<Value, Vec<Issue>> {
        self.plan.apply(document, self.lookups, self.vars)
    }

    /// As it is when records are planned: one that the filter has no answer for is taken.
    fn takes(&self, document: &Value) -> bool {
        self.filter.is_none_or(|filter| filter.passes(document).unwrap_or(true))
    }

    fn issues(&self, document: &Value) -> Vec<Issue> {
        if !self.takes(document) {
            return vec![];
        }
        self.payload(document).err().unwrap_or_default()
    }

    fn issue(&self, document: &Value, cause: &Cause) -> Option<Issue> {
        self.issues(document).into_iter().find(|issue| Cause::of(issue) == *cause)
    }

    fn finding(&self, cause: &Cause, failing: &[&Candidate], made: &Made<'_>) -> Option<Finding> {
        let first = failing.iter().min_by_key(|candidate| candidate.bytes)?;
        let document = shrink(self.kind, &first.document, &|document| self.issue(document, cause).is_some());
        let issue = self.issue(&document, cause)?;
        Some(Finding { issue, features: self.features(cause, failing, made), failed: failing.len(), document })
    }

    /// Those that are enough alone; where none is, the fewest that are enough together.
    fn features(&self, cause: &Cause, failing: &[&Candidate], made: &Made<'_>) -> Vec<&'static str> {
        let Some(fewest) = failing.iter().min_by_key(|candidate| candidate.features.len()) else { return vec![] };
        let mut alone: Vec<&'static str> = Vec::new();
        for candidate in failing.iter().filter(|candidate| candidate.features.len() == 1) {
            if !alone.contains(&candidate.features[0]) {
                alone.push(candidate.features[0]);
            }
        }
        if fewest.features.is_empty() || !alone.is_empty() {
            return if fewest.features.is_empty() { vec![] } else { alone };
        }
        let mut together = (*fewest).clone();
        let mut at = 0;
        while at < together.recipe.len() {
            let mut recipe = together.recipe.clone();
            recipe.remove(at);
            let fewer = follow(self.kind, made.plain, made.seed, &recipe);
            if stored(self.kind, &fewer.document).is_some() && self.issue(&fewer.document, cause).is_some() {
                together = fewer;
            } else {
                at += 1;
            }
        }
        together.features
    }
}
