//! What a value without an entry may have meant: the entries that it resembles. A person decides; nothing is applied by itself.

use std::collections::HashMap;

use super::Entry;

/// Suggestions for one value.
pub const SUGGESTIONS_MAX: usize = 3;
/// Longer texts are names of nothing, and costly to compare.
const CHARS_MAX: usize = 64;
/// Below this a likeness is chance.
const SCORE_MIN: f64 = 0.6;
/// Pairs of letters that are counted for one value, the rarest first.
const SHARED_MAX: usize = 20_000;
/// Texts that one value is compared with letter by letter.
const COMPARED_MAX: usize = 100;

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

/// The texts of a table, made ready once to be compared with many values. A table may have 200,000 entries, so a value is compared letter by letter
/// only with those that share most pairs of letters with it.
#[derive(Debug)]
pub struct Candidates<'e> {
    texts: Vec<(Key, &'e Entry, Like)>,
    /// Which texts have a pair of letters, by their places.
    by_pair: HashMap<Pair, Vec<u32>>,
}

type Pair = (char, char);

/// A text without case, spaces and punctuation.
#[derive(Debug)]
struct Key(Vec<char>);

impl Key {
    fn of(text: &str) -> Option<Self> {
        let letters: Vec<char> =
            text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(CHARS_MAX).collect();
        (!letters.is_empty()).then_some(Self(letters))
    }

    /// Each once; a space stands for its ends.
    fn pairs(&self) -> Vec<Pair> {
        let left = std::iter::once(' ').chain(self.0.iter().copied());
        let right = self.0.iter().copied().chain(std::iter::once(' '));
        let mut pairs: Vec<Pair> = left.zip(right).collect();
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    fn score(&self, other: &Self) -> Option<f64> {
        let longest = self.0.len().max(other.0.len());
        let text = |key: &Self| key.0.iter().collect::<String>();
        let score = 1.0 - strsim::osa_distance(&text(self), &text(other)) as f64 / longest as f64;
        (score >= SCORE_MIN).then_some(score)
    }
}

impl<'e> Candidates<'e> {
    #[must_use]
    pub fn new(entries: &'e [Entry]) -> Self {
        let key = |text: &str, entry: &'e Entry, like| Key::of(text).map(|key| (key, entry, like));
        let both = entries.iter().flat_map(|entry| [key(&entry.from, entry, Like::From), key(&entry.to, entry, Like::To)]);
        let texts: Vec<(Key, &'e Entry, Like)> = both.flatten().collect();
        let mut by_pair: HashMap<Pair, Vec<u32>> = HashMap::new();
        for (at, (key, ..)) in (0_u32..).zip(&texts) {
            for pair in key.pairs() {
                by_pair.entry(pair).or_default().push(at);
            }
        }
        Self { texts, by_pair }
    }

    /// The most alike first; each answer once.
    #[must_use]
    pub fn of(&self, value: &str) -> Vec<Suggestion> {
        let Some(value) = Key::of(value) else { return vec![] };
        let mut best: Vec<Suggestion> = Vec::with_capacity(SUGGESTIONS_MAX + 1);
        for at in self.near(&value) {
            let Some((key, entry, like)) = self.texts.get(at as usize) else { continue };
            let Some(score) = value.score(key) else { continue };
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

    /// The texts that share most pairs of letters with a value, for their length; in the order of the table where they share as many.
    fn near(&self, value: &Key) -> Vec<u32> {
        let mut lists: Vec<&Vec<u32>> = value.pairs().iter().filter_map(|pair| self.by_pair.get(pair)).collect();
        // A pair that few texts have says most; one that all have says nothing.
        lists.sort_unstable_by_key(|list| list.len());
        let mut shared: HashMap<u32, usize> = HashMap::new();
        let mut left = SHARED_MAX;
        for list in lists {
            for at in list.iter().take(left) {
                *shared.entry(*at).or_default() += 1;
            }
            left = left.saturating_sub(list.len());
            if left == 0 {
                break;
            }
        }
        let length = |at: u32| self.texts.get(at as usize).map_or(0, |(key, ..)| key.0.len());
        let mut near: Vec<(std::cmp::Reverse<usize>, usize, u32)> =
            shared.into_iter().map(|(at, count)| (std::cmp::Reverse(count), length(at).abs_diff(value.0.len()), at)).collect();
        if near.len() > COMPARED_MAX {
            near.select_nth_unstable(COMPARED_MAX);
            near.truncate(COMPARED_MAX);
        }
        near.sort_unstable();
        near.into_iter().map(|(.., at)| at).collect()
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
        fn one_slip_of_the_hand_is_found_among_many(n in 0_usize..500, at in 0_usize..9, letter in "[a-z]", kind in 0..4) {
            let table: Vec<Entry> = (0..500).map(|n| Entry::always(format!("AB-{n:03}-{:03}", n * 7 % 1000), format!("{n}"))).collect();
            let mut value: Vec<char> = table[n].from.chars().collect();
            match kind {
                0 => value[at] = letter.chars().next().unwrap(),
                1 => value.insert(at, letter.chars().next().unwrap()),
                2 => drop(value.remove(at)),
                _ => value.swap(at, at + 1),
            }
            let value: String = value.into_iter().collect();
            let found = Candidates::new(&table).of(&value);
            let best = found.first().map(|found| found.score).unwrap_or_default();
            let Some(key) = Key::of(&value) else { return Ok(()) };
            let exhaustive = table.iter().filter_map(|entry| key.score(&Key::of(&entry.from)?)).fold(0.0, f64::max);
            prop_assert!(best >= exhaustive, "{} is like {:?}", value, found);
        }
    }
}
