//! A counter-example is a record that a mapping has no answer for. Here awkward records are made, each allowed by the canonical model:
//! a line of quantity zero, a gift card, a currency without places, texts at their limit, five hundred lines. A mapping is run over all of
//! them, and of each cause of failure the smallest record is shown that still fails with it. Two more checks find what is wrong though
//! nothing fails: the same record written otherwise must be written alike, and two that differ in an amount must not. The same seed makes the
//! same records.

mod check;
mod compare;
mod dice;
mod draft;
mod feature;
mod identity;
mod line;
mod lookup;
mod money;
mod notation;
mod part;
mod plain;
mod presence;
mod settle;
mod shrink;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod trace;

pub use check::{Checker, Disagreement, Finding, Report};
pub use lookup::FilledTables;
pub use plain::plain;

use std::collections::HashSet;

use crate::canonical;
use crate::record::RecordKind;
use crate::value::{Limits, Value};
use dice::Dice;
use draft::Draft;
use feature::{Area, EVERY_FIELD, FEATURES};

/// Records in which several features come together: so many that most pairs of features meet.
const COMBINED: u64 = 240;

/// A record to run a mapping over.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// What is awkward about it; nothing of the plain one.
    pub features: Vec<&'static str>,
    pub document: Value,
    recipe: Recipe,
    /// Of its JSON.
    bytes: usize,
}

/// Which features a record is made of, each with the way in which it comes.
type Recipe = Vec<(usize, usize)>;

/// All features there are, in plain words.
pub fn features() -> impl Iterator<Item = &'static str> {
    FEATURES.iter().map(|feature| feature.name)
}

/// Awkward records of a kind: the plain one, each feature alone on it and on one with every field, and some features together. All of them
/// pass the canonical check.
#[must_use]
pub fn candidates(kind: RecordKind, plain: &Value, seed: u64) -> Vec<Candidate> {
    let mut maker = Maker { kind, plain, seed, seen: HashSet::new(), made: Vec::new() };
    maker.make(&[]);
    let mut of_the_kind: Vec<usize> = Vec::new();
    for (at, feature) in FEATURES.iter().enumerate() {
        let before = maker.made.len();
        (0..feature.variants).for_each(|variant| maker.make(&[(at, variant)]));
        if maker.made.len() > before {
            of_the_kind.push(at);
        }
    }
    of_the_kind.iter().for_each(|at| maker.make(&[(EVERY_FIELD, 0), (*at, 0)]));
    for number in 0..COMBINED {
        let mut dice = Dice::new(seed, number);
        let mut recipe = Recipe::new();
        for area in Area::ALL {
            let choice: Vec<usize> = of_the_kind.iter().copied().filter(|at| FEATURES[*at].area == area).collect();
            // What is not there cannot be awkward: where much is missing, little else is seen.
            let (in_of, of) = if area == Area::Presence { (1, 4) } else { (3, 4) };
            if !choice.is_empty() && dice.below(of) < in_of {
                let at = choice[dice.below(choice.len())];
                recipe.push((at, dice.below(FEATURES[at].variants)));
            }
        }
        maker.make(&recipe);
    }
    maker.made
}

struct Maker<'m> {
    kind: RecordKind,
    plain: &'m Value,
    seed: u64,
    /// The JSON of what was made.
    seen: HashSet<String>,
    made: Vec<Candidate>,
}

impl Maker<'_> {
    /// What the features did not change is the same record again, and one that no source could bring proves nothing.
    fn make(&mut self, recipe: &[(usize, usize)]) {
        let candidate = follow(self.kind, self.plain, self.seed, recipe);
        if let Some(json) = stored(self.kind, &candidate.document) {
            let bytes = json.len();
            if self.seen.insert(json) {
                self.made.push(Candidate { bytes, ..candidate });
            }
        }
    }
}

/// A feature that leaves the record as it is has no part in it.
fn follow(kind: RecordKind, plain: &Value, seed: u64, recipe: &[(usize, usize)]) -> Candidate {
    let mut draft = Draft::new(kind, plain, Dice::new(seed, 0));
    let mut followed = Recipe::new();
    for (at, variant) in recipe {
        let before = draft.map.clone();
        draft.variant = *variant;
        (FEATURES[*at].make)(&mut draft);
        if draft.map != before {
            followed.push((*at, *variant));
        }
    }
    let features = followed.iter().map(|(at, _)| FEATURES[*at].name).collect();
    Candidate { features, document: draft.finish(), recipe: followed, bytes: 0 }
}

/// The JSON of a record that the canonical check lets through and that is small enough to be read again; `None` of any other.
fn stored(kind: RecordKind, document: &Value) -> Option<String> {
    canonical::check(kind, document).ok()?;
    Some(document.to_json()).filter(|json| json.len() <= Limits::DEFAULT.bytes_max)
}
