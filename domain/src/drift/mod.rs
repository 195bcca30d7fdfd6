//! Drift: what sources send and destinations accept changes without a word, and a mapping that fitted fits no more. [`Profile`] says what
//! documents looked like until now, [`compare`] what is different, [`Reach`] which flows and fields read it, and [`judge`] how bad that is
//! and what to do next. A tenant's [`Policies`] say whether a record with such news goes on or waits for a person.

mod baseline;
mod compare;
mod gather;
mod personal;
mod policy;
mod profile;
mod reach;
mod rule;
#[cfg(test)]
mod tests;
mod volume;
mod watch;

pub use baseline::{Baseline, Learning};
pub use compare::{Drift, What, compare};
pub use gather::Gatherer;
pub(crate) use personal::keeps_values;
pub use policy::{Policies, Policy, is_pattern};
pub use profile::{DEPTH_MAX, Field, PATH_BYTES_MAX, PATHS_MAX, Path, Profile, Type, VALUES_MAX};
pub use reach::{Mapped, Reach, Reading, Touched};
pub use rule::{Judgement, Risk, judge};
pub use volume::{Volume, Worth};
pub use watch::Watch;

/// Which documents a profile is of. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// What a connection sends, as the vendor wrote it.
    Source,
    /// What a connection took: the payloads of writes that were confirmed.
    Destination,
}

impl Side {
    pub const ALL: [Side; 2] = [Self::Source, Self::Destination];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Destination => "destination",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|side| side.as_str() == text)
    }
}

/// Where the notice of a drift stands. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DriftState {
    Open,
    /// A person has looked: from now on it is normal.
    Accepted,
    /// It went as it came: the field is back.
    Resolved,
}

impl DriftState {
    pub const ALL: [DriftState; 3] = [Self::Open, Self::Accepted, Self::Resolved];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Accepted => "accepted",
            Self::Resolved => "resolved",
        }
    }
}

/// Makes a drift part of what is known.
pub fn accept(known: &mut Profile, path: &Path, what: What, news: &Profile) {
    match what {
        What::Vanished => known.forget(path),
        What::MoreNulls => {
            // The share of now is the normal one, and not the mean of both.
            if let (Some(known), Some(now)) = (known.fields.get_mut(path), news.get(path)) {
                (known.documents, known.filled, known.types) = (now.documents, now.filled, now.types);
            }
        }
        What::NewField | What::Retyped | What::NewValue | What::NewTaxCode | What::Longer => known.merge(news),
    }
}

/// Takes out of what is known what nobody has accepted yet: the news of a drift that is open.
pub fn withhold(known: &mut Profile, path: &Path, what: What, news: &Profile) {
    match what {
        What::NewField if known.get(path).is_none_or(|field| news.get(path).is_some_and(|news| news.types == field.types)) => {
            known.forget(path);
        }
        What::NewField | What::Retyped => {
            let Some((field, news)) = known.fields.get_mut(path).zip(news.get(path)) else { return };
            for (count, new) in field.types.iter_mut().zip(news.types).skip(1) {
                if new > 0 {
                    *count = 0;
                }
            }
        }
        What::NewValue | What::NewTaxCode => {
            let Some((field, news)) = known.fields.get_mut(path).zip(news.get(path)) else { return };
            if let (Some(words), Some(new)) = (&mut field.values, &news.values) {
                words.retain(|word, _| !new.contains_key(word));
            }
        }
        What::Vanished | What::MoreNulls | What::Longer => {}
    }
}
