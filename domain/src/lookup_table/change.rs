//! What a change makes of a table: which entries end, which begin, and which rows it cannot take.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Entry, shown};

/// How rows come into a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// A row takes the place of the entry of the same value and the same beginning; all else stays.
    #[default]
    Merge,
    /// The table is what the rows say, and nothing else.
    Replace,
}

/// An entry as it stands in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub id: Uuid,
    pub entry: Entry,
}

/// How many entries a change touches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub added: usize,
    pub changed: usize,
    pub removed: usize,
    pub unchanged: usize,
}

impl Counts {
    /// True where the table is after it what it was before.
    #[must_use]
    pub fn is_nothing(self) -> bool {
        self.added + self.changed + self.removed == 0
    }
}

/// A row that the table cannot take beside the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Its place among the rows.
    pub at: usize,
    pub with: ClashWith,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClashWith {
    /// An earlier row, by its place, has the same value and the same beginning.
    Row(usize),
    /// The other entry would stand at the same moments.
    Time(Entry),
}

impl ClashWith {
    /// In plain words. `line` names the row of a place.
    #[must_use]
    pub fn sentence(&self, line: impl Fn(usize) -> u64) -> String {
        match self {
            Self::Row(at) => format!("line {} has the same value and the same beginning already", line(*at)),
            Self::Time(other) => {
                let from = other.effective_from.map_or_else(|| "ever".into(), shown);
                let until = other.effective_until.map_or_else(|| "the next begins".into(), shown);
                format!("its time overlaps that of the entry of the same value from {from} until {until}")
            }
        }
    }
}

/// What is to be written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// These entries stand no more.
    pub ended: Vec<Uuid>,
    pub begun: Vec<Entry>,
    pub counts: Counts,
    /// Rows that are left out.
    pub clashes: Vec<Clash>,
}

type Beginning = Option<DateTime<Utc>>;

/// Decides a change. `standing` has all entries of the values that the rows name; of [`Mode::Replace`] all of the table.
#[must_use]
pub fn decide(standing: &[Standing], rows: &[Entry], mode: Mode) -> Change {
    let before: BTreeMap<(&str, Beginning), &Standing> =
        standing.iter().map(|one| ((one.entry.from.as_str(), one.entry.effective_from), one)).collect();
    let mut change = Change::default();
    let mut wanted: BTreeMap<(&str, Beginning), usize> = BTreeMap::new();
    for (at, row) in rows.iter().enumerate() {
        match wanted.entry((row.from.as_str(), row.effective_from)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(at);
            }
            std::collections::btree_map::Entry::Occupied(first) => {
                change.clashes.push(Clash { at, with: ClashWith::Row(*first.get()) });
            }
        }
    }
    // A row that is left out lets the entry stay whose place it would have taken, which others may overlap in turn.
    loop {
        let overlapping = overlaps(&before, &wanted, rows, mode);
        if overlapping.is_empty() {
            break;
        }
        let left_out: BTreeSet<usize> = overlapping.iter().map(|clash| clash.at).collect();
        wanted.retain(|_, at| !left_out.contains(at));
        change.clashes.extend(overlapping);
    }
    change.clashes.sort_by_key(|clash| clash.at);
    change.clashes.dedup_by_key(|clash| clash.at);
    for (key, at) in &wanted {
        match before.get(key) {
            Some(one) if one.entry == rows[*at] => change.counts.unchanged += 1,
            Some(one) => {
                change.counts.changed += 1;
                change.ended.push(one.id);
                change.begun.push(rows[*at].clone());
            }
            None => {
                change.counts.added += 1;
                change.begun.push(rows[*at].clone());
            }
        }
    }
    if mode == Mode::Replace {
        let gone = before.iter().filter(|(key, _)| !wanted.contains_key(*key)).map(|(_, one)| one.id);
        let ended = change.ended.len();
        change.ended.extend(gone);
        change.counts.removed = change.ended.len() - ended;
    }
    change
}

/// Rows whose time overlaps another's: an entry with an end of its own ends before the next of its value begins.
fn overlaps(
    before: &BTreeMap<(&str, Beginning), &Standing>,
    wanted: &BTreeMap<(&str, Beginning), usize>,
    rows: &[Entry],
    mode: Mode,
) -> Vec<Clash> {
    let stays = before.keys().filter(|key| mode == Mode::Merge && !wanted.contains_key(*key));
    let keys: BTreeSet<&(&str, Beginning)> = wanted.keys().chain(stays).collect();
    let entry = |key: &(&str, Beginning)| match wanted.get(key) {
        Some(at) => Some((Some(*at), &rows[*at])),
        None => before.get(key).map(|one| (None, &one.entry)),
    };
    let mut clashes = Vec::new();
    let mut last: Option<(Option<usize>, &Entry)> = None;
    for (at, next) in keys.into_iter().filter_map(entry) {
        if let Some((last_at, last_entry)) = last
            && last_entry.from == next.from
            && last_entry.effective_until.is_some_and(|until| next.effective_from.is_none_or(|from| from < until))
        {
            // The row is at fault and not what stood before; of two rows the later beginning.
            match (at, last_at) {
                (Some(at), _) => {
                    clashes.push(Clash { at, with: ClashWith::Time(last_entry.clone()) });
                    continue;
                }
                (None, Some(at)) => clashes.push(Clash { at, with: ClashWith::Time(next.clone()) }),
                (None, None) => {}
            }
        }
        last = Some((at, next));
    }
    clashes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(n: u32) -> DateTime<Utc> {
        format!("2026-11-{n:02}T00:00:00Z").parse().unwrap()
    }

    fn entry(from: &str, to: &str, begins: Option<u32>, ends: Option<u32>) -> Entry {
        Entry { effective_from: begins.map(day), effective_until: ends.map(day), ..Entry::always(from, to) }
    }

    fn standing(entries: &[Entry]) -> Vec<Standing> {
        entries.iter().enumerate().map(|(n, entry)| Standing { id: Uuid::from_u128(n as u128), entry: entry.clone() }).collect()
    }

    fn counts(change: &Change) -> [usize; 4] {
        let Counts { added, changed, removed, unchanged } = change.counts;
        [added, changed, removed, unchanged]
    }

    #[test]
    fn a_merge_touches_what_it_names_and_a_replace_takes_the_rest_away() {
        let before = standing(&[entry("a", "1", None, None), entry("b", "2", None, None), entry("b", "3", Some(5), None)]);
        let rows = [entry("a", "1", None, None), entry("b", "4", Some(5), None), entry("c", "5", None, None)];
        let merged = decide(&before, &rows, Mode::Merge);
        assert_eq!(counts(&merged), [1, 1, 0, 1]);
        assert_eq!((merged.ended.as_slice(), merged.begun.len()), ([Uuid::from_u128(2)].as_slice(), 2));
        let replaced = decide(&before, &rows, Mode::Replace);
        assert_eq!(counts(&replaced), [1, 1, 1, 1]);
        assert_eq!(replaced.ended, [Uuid::from_u128(2), Uuid::from_u128(1)]);
        assert!(decide(&before, &[], Mode::Merge).counts.is_nothing());
    }

    #[test]
    fn two_rows_of_one_beginning_and_two_that_overlap_are_told() {
        let rows = [
            entry("a", "1", None, None),
            entry("b", "2", None, Some(9)),
            entry("a", "1", None, None),
            entry("b", "3", Some(8), None),
        ];
        let change = decide(&[], &rows, Mode::Merge);
        let told: Vec<String> = change.clashes.iter().map(|clash| clash.with.sentence(|at| at as u64 + 2)).collect();
        assert_eq!(
            told,
            [
                "line 2 has the same value and the same beginning already",
                "its time overlaps that of the entry of the same value from ever until 2026-11-09"
            ]
        );
        assert_eq!((change.clashes[0].at, change.clashes[1].at, counts(&change)), (2, 3, [2, 0, 0, 0]));
        // What stands is not moved aside.
        let before = standing(&[entry("a", "1", Some(3), Some(9))]);
        assert_eq!(decide(&before, &[entry("a", "2", Some(5), None)], Mode::Merge).clashes.len(), 1);
        assert_eq!(decide(&before, &[entry("a", "2", Some(1), Some(5))], Mode::Merge).clashes.len(), 1);
        assert!(
            decide(&before, &[entry("a", "2", Some(1), None), entry("a", "4", Some(9), None)], Mode::Merge).clashes.is_empty()
        );
        assert!(decide(&before, &[entry("a", "2", Some(5), None)], Mode::Replace).clashes.is_empty());
    }

    fn some_entry() -> impl Strategy<Value = Entry> {
        ("[ab]", "[12]", proptest::option::of(1_u32..6), proptest::option::of(1_u32..9)).prop_filter_map(
            "ends after it begins",
            |(from, to, begins, ends)| {
                (ends.is_none() || begins.is_none_or(|b| Some(b) < ends)).then(|| entry(&from, &to, begins, ends))
            },
        )
    }

    proptest! {
        #[test]
        fn no_two_entries_of_a_value_ever_stand_for_one_moment(batches in proptest::collection::vec((proptest::collection::vec(some_entry(), 0..6), any::<bool>()), 1..5)) {
            let mut table: Vec<Standing> = Vec::new();
            let mut id = 0;
            for (rows, replaces) in batches {
                let mode = if replaces { Mode::Replace } else { Mode::Merge };
                let change = decide(&table, &rows, mode);
                prop_assert_eq!(change.counts.added + change.counts.changed + change.counts.unchanged + change.clashes.len(), rows.len());
                prop_assert_eq!(change.counts.changed + change.counts.removed, change.ended.len());
                table.retain(|one| !change.ended.contains(&one.id));
                table.extend(change.begun.iter().map(|entry| { id += 1; Standing { id: Uuid::from_u128(id), entry: entry.clone() } }));
                for one in &table {
                    for other in table.iter().filter(|other| other.id != one.id && other.entry.from == one.entry.from) {
                        let (first, second) = if one.entry.effective_from < other.entry.effective_from { (one, other) } else { (other, one) };
                        prop_assert_ne!(first.entry.effective_from, second.entry.effective_from);
                        prop_assert!(first.entry.effective_until.is_none_or(|until| Some(until) <= second.entry.effective_from));
                    }
                }
                let again: Vec<Entry> = table.iter().map(|one| one.entry.clone()).collect();
                prop_assert!(decide(&table, &again, Mode::Replace).counts.is_nothing());
            }
        }
    }
}
