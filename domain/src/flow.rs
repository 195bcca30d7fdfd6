//! A flow takes one kind of record from connection A to connection B through mappings and a filter, under a policy.
//! Its versions are drafts, published or retired; a published version never changes.

use serde::{Deserialize, Serialize};

/// Where a version of a flow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    Draft,
    Published,
    Retired,
}

impl FlowState {
    pub const ALL: [FlowState; 3] = [Self::Draft, Self::Published, Self::Retired];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Retired => "retired",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}
