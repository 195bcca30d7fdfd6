//! A message is the bytes of one thing as they arrived, untouched, with their origin. It is committed before the sender gets its 2xx.

use serde::{Deserialize, Serialize};

/// How it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Webhook,
    Poll,
    Backfill,
    File,
    Manual,
    /// Crossdock made it itself, of what other records say: what a seller may offer.
    Derived,
}

impl Origin {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Poll => "poll",
            Self::Backfill => "backfill",
            Self::File => "file",
            Self::Manual => "manual",
            Self::Derived => "derived",
        }
    }
}

/// Where a message stands. Each message stands in exactly one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageState {
    /// Committed, not yet looked at.
    Received,
    /// Thin: the vendor told an id, and the thing itself must still be read; or that reading waits for a retry.
    Fetching,
    /// It became a revision of a record.
    Mapped,
    /// It says what we knew already.
    Unchanged,
    /// A newer revision was here before it.
    Stale,
    /// A topic that no kind of record follows from.
    Ignored,
    /// A person must look at it.
    Exception,
}

impl MessageState {
    pub const ALL: [MessageState; 7] =
        [Self::Received, Self::Fetching, Self::Mapped, Self::Unchanged, Self::Stale, Self::Ignored, Self::Exception];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Fetching => "fetching",
            Self::Mapped => "mapped",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Ignored => "ignored",
            Self::Exception => "exception",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}
