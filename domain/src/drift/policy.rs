//! What a tenant wants done about the drift of a field.

use super::compare::{Drift, What};
use super::profile::{PATH_BYTES_MAX, Path};
use crate::exception::Reason;
use crate::fault::Owner;

/// What is done about a field's drift. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// A notice is raised, and records go on.
    #[default]
    Warn,
    /// A notice is raised, and a record with a new field, type or word waits for a person.
    Hold,
    /// Nothing is said.
    Pass,
}

impl Policy {
    pub const ALL: [Policy; 3] = [Self::Warn, Self::Hold, Self::Pass];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Hold => "hold",
            Self::Pass => "pass",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == text)
    }
}

/// The policies of one connection and kind of record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policies(Vec<(String, Policy)>);

impl Policies {
    /// Each pattern is a field, with all that lies in it, or `*` for every field.
    #[must_use]
    pub fn new(patterns: impl IntoIterator<Item = (String, Policy)>) -> Self {
        let mut patterns: Vec<(String, Policy)> = patterns.into_iter().collect();
        // The nearest says what is done: of two that hold a field, the longer one.
        patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(if pattern == "*" { 0 } else { pattern.len() }));
        Self(patterns)
    }

    /// What is done about this drift.
    #[must_use]
    pub fn of(&self, drift: &Drift) -> Policy {
        let policy = self.of_path(&drift.path);
        // A group that comes as a whole may bring a field that is held.
        let brings = || self.held().any(|pattern| drift.news.get(&pattern.into()).is_some());
        if policy != Policy::Hold && drift.what == What::NewField && brings() { Policy::Hold } else { policy }
    }

    pub(super) fn of_path(&self, path: &Path) -> Policy {
        let found = self.0.iter().find(|(pattern, _)| pattern == "*" || path.is_within(pattern));
        found.map_or_else(Policy::default, |(_, policy)| *policy)
    }

    /// What is done about a field that no nearer policy is about.
    pub(super) fn of_document(&self) -> Policy {
        self.0.iter().find(|(pattern, _)| pattern == "*").map_or_else(Policy::default, |(_, policy)| *policy)
    }

    /// True where a field that lies in this one is held.
    pub(super) fn holds_within(&self, path: &Path) -> bool {
        self.held().any(|pattern| Path::from(pattern).is_within(path.as_str()))
    }

    fn held(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, policy)| *policy == Policy::Hold).map(|(pattern, _)| pattern.as_str())
    }

    #[must_use]
    pub fn holds_any(&self) -> bool {
        self.0.iter().any(|(_, policy)| *policy == Policy::Hold)
    }
}

/// True for what a policy may be set for: a field as profiles write it, or `*`.
#[must_use]
pub fn is_pattern(text: &str) -> bool {
    let is_part = |part: &str| {
        let key = part.trim_end_matches("[]");
        (!key.is_empty() || part.starts_with("[]")) && !key.contains(['[', ']', '*', '\0'])
    };
    text == "*" || (text.len() <= PATH_BYTES_MAX && !text.is_empty() && text.split('.').all(is_part))
}

impl Reason {
    /// A message whose record waits because of a drift.
    #[must_use]
    pub fn drifted(topic: &str, source: &str, drift: &Drift) -> Self {
        let (path, value) = (&drift.path, drift.value.as_deref().unwrap_or_default());
        let cause = match drift.what {
            What::Retyped => format!("the field {path} is of the type {value}, and was always {}", drift.before),
            What::NewValue if drift.value.is_none() => format!("the field {path} has a text that is none of its words"),
            What::NewValue => format!("the field {path} has the value \"{value}\", which it never had before"),
            What::NewTaxCode => format!("the tax in {path} is \"{value}\", which never came before"),
            _ => format!("the field {path} was never there before"),
        };
        let base = Self::unreadable(topic, source, &cause);
        Self {
            code: format!("drift.{}", drift.what.as_str()),
            sentence: format!("The message {topic} from {source} was held: {cause}."),
            owner: Owner::Operations,
            next_step: "Look at what the mapping makes of it; correct the mapping or accept the drift, then press Retry."
                .to_owned(),
            path: Some(path.to_string()),
            value: drift.value.clone(),
            ..base
        }
    }
}
