//! What a value without an entry may have meant: the entries that it resembles. A person decides; nothing is applied by itself.

use super::Entry;

/// Suggestions for one value.
pub const SUGGESTIONS_MAX: usize = 3;
/// Longer texts are names of nothing, and costly to compare.
const CHARS_MAX: usize = 64;
/// Below this a likeness is chance.
const SCORE_MIN: f64 = 0.6;

/// What an entry is found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Like {
    /// Another value at the source.
    From,
    /// A value that it could become.
    To,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    pub from: String,
    pub to: String,
    pub like: Like,
    /// From 0.6 to 1, which is the same but for case, spaces and punctuation.
    pub score: f64,
}

/// The texts of a table, made ready once to be compared with many values.
#[derive(Debug)]
pub struct Candidates<'e> {
    texts: Vec<(Key, &'e Entry, Like)>,
}

/// A text without case, spaces and punctuation.
#[derive(Debug)]
struct Key {
    text: String,
    chars: usize,
    /// Which letters it has: those that only one of two texts has bound their distance from below, at the cost of one instruction.
    letters: u64,
}

impl Key {
    fn of(text: &str) -> Option<Self> {
        let text: String = text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(CHARS_MAX).collect();
        let letters = text.chars().fold(0, |letters, c| letters | 1 << (u32::from(c) % 64));
        (!text.is_empty()).then(|| Self { chars: text.chars().count(), letters, text })
    }

    fn score(&self, other: &Self) -> Option<f64> {
        let longest = self.chars.max(other.chars);
        let distance_max = (1.0 - SCORE_MIN) * longest as f64;
        // Each edit takes one letter of the one text and gives one of the other.
        let apart = (self.letters & !other.letters).count_ones().max((other.letters & !self.letters).count_ones());
        if f64::from(apart) > distance_max || self.chars.abs_diff(other.chars) as f64 > distance_max {
            return None;
        }
        let score = 1.0 - strsim::osa_distance(&self.text, &other.text) as f64 / longest as f64;
        (score >= SCORE_MIN).then_some(score)
    }
}

impl<'e> Candidates<'e> {
    #[must_use]
    pub fn new(entries: &'e [Entry]) -> Self {
        let key = |text: &str, entry: &'e Entry, like| Key::of(text).map(|key| (key, entry, like));
        let both = entries.iter().flat_map(|entry| [key(&entry.from, entry, Like::From), key(&entry.to, entry, Like::To)]);
        Self { texts: both.flatten().collect() }
    }

    /// The most alike first; each answer once.
    #[must_use]
    pub fn of(&self, value: &str) -> Vec<Suggestion> {
        let Some(value) = Key::of(value) else { return vec![] };
        let mut best: Vec<Suggestion> = Vec::with_capacity(SUGGESTIONS_MAX + 1);
        for (key, entry, like) in &self.texts {
            let Some(score) = value.score(key) else { continue };
            if best.len() == SUGGESTIONS_MAX && best.last().is_some_and(|last| score <= last.score) {
                continue;
            }
            match best.iter().position(|known| known.to == entry.to) {
                Some(at) if best[at].score >= score => continue,
                Some(at) => {
                    best.remove(at);
                }
                None => {}
            }
            let at = best.iter().position(|known| score > known.score).unwrap_or(best.len());
            best.insert(at, Suggestion { from: entry.from.clone(), to: entry.to.clone(), like: *like, score });
            best.truncate(SUGGESTIONS_MAX);
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(list: &[(&str, &str)]) -> Vec<Entry> {
        list.iter().map(|(from, to)| Entry::always(*from, *to)).collect()
    }

    #[test]
    fn the_most_alike_comes_first_whatever_its_case_and_punctuation() {
        let table =
            entries(&[("HAT-L", "1"), ("hat xl", "2"), ("SCARF", "3"), ("CAP-XL", "4"), ("HATXXL", "5"), ("HAT/XL", "2")]);
        let found: Vec<(String, String)> =
            Candidates::new(&table).of("HAT-XL").into_iter().map(|s| (s.to, format!("{:.2}", s.score))).collect();
        let say = |list: &[(&str, &str)]| list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>();
        assert_eq!(found, say(&[("2", "1.00"), ("5", "0.83"), ("1", "0.80")]));
        assert!(Candidates::new(&table).of("--").is_empty() && Candidates::new(&table).of("WOOL SOCKS").is_empty());
        let by_answer = entries(&[("7001", "wool-socks")]);
        let found = Candidates::new(&by_answer).of("Wool Socks");
        assert_eq!((found[0].like, found[0].score), (Like::To, 1.0));
    }

    proptest! {
        #[test]
        fn nothing_that_is_alike_is_passed_over_to_save_time(a in "[a-dß ]{1,10}", b in "[a-dß ]{1,10}") {
            let (Some(left), Some(right)) = (Key::of(&a), Key::of(&b)) else { return Ok(()) };
            let score = 1.0 - strsim::osa_distance(&left.text, &right.text) as f64 / left.chars.max(right.chars) as f64;
            prop_assert_eq!(left.score(&right), (score >= SCORE_MIN).then_some(score));
        }
    }
}
