//! Where an incremental read stands: the newest change that was seen, and what was seen around it. The next read goes back behind that
//! moment, so that what the vendor wrote late or in the same second is found, and what was seen already is left out.

use std::collections::{HashMap, HashSet, VecDeque};

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::manifest::{Since, TimeFormat};

/// Records around the position that are remembered. Beyond it the oldest are forgotten: they may come twice, which the ledger refuses, and
/// none is ever skipped.
const SEEN_MAX: usize = 20_000;
/// Clocks differ by minutes, and by hours where a zone was left out. What is later was mistyped, and is no moment to ask a vendor from.
const AHEAD_MAX_S: i64 = 86_400;
/// A vendor's clock that is behind ours by more than this is believed, up to this, s: less is the way of an answer, and more an answer that was kept.
const BEHIND_S: std::ops::RangeInclusive<i64> = 2..=3_600;

/// The position of an incremental read, as it is stored between reads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// The newest change that was seen: µs since 1970, or the number itself where the vendor counts.
    pub at: Option<i64>,
    /// What was seen at or after the moment that the next read begins at: short hashes of id, time of change and content.
    #[serde(default)]
    pub seen: Vec<u64>,
}

/// Follows one read.
#[derive(Debug)]
pub(crate) struct Tracker {
    format: TimeFormat,
    record_format: TimeFormat,
    /// How far the next read goes back, in the unit of `at`.
    back: i64,
    begin: Option<i64>,
    newest: Option<i64>,
    /// Of the last read.
    known: HashMap<u64, ()>,
    /// Of this one, with the moment of each, as the vendor says it.
    seen: VecDeque<(i64, u64)>,
    /// Where this one goes on page by page from a moment of its own: one unit of the vendor's clock.
    step: Option<i64>,
    /// The newest that came with this read, by the vendor's clock, and from when on the vendor was asked for it.
    reached: Option<i64>,
    asked_from: Option<i64>,
    /// What came since then, which may come again as it is.
    met: HashSet<u64>,
    /// The vendor's own clock when it answered last, where that is behind ours.
    clock: Option<i64>,
}

impl Tracker {
    pub fn new(since: &Since, position: &Position) -> Self {
        let unit = match &since.format {
            TimeFormat::Integer => 1,
            TimeFormat::UnixMs => 1_000,
            // A day where the pattern has no clock.
            TimeFormat::Pattern(pattern) if !["%H", "%T", "%R", "%X", "%s", "%+"].iter().any(|part| pattern.contains(part)) => {
                86_400_000_000
            }
            _ => 1_000_000,
        };
        let overlap =
            if since.format == TimeFormat::Integer { i64::from(since.overlap_s) } else { i64::from(since.overlap_s) * 1_000_000 };
        Self {
            format: since.format.clone(),
            record_format: since.record_format.clone().unwrap_or_else(|| since.format.clone()),
            // At least one unit of the vendor's clock: whether it means "after" or "at or after", nothing of that unit is skipped.
            back: overlap.max(unit),
            begin: position.at,
            newest: position.at,
            known: position.seen.iter().map(|hash| (*hash, ())).collect(),
            seen: VecDeque::new(),
            // A clock of days would bring a day's records again with each page.
            step: Some(unit).filter(|unit| since.ascending && *unit <= 1_000_000 && since.format != TimeFormat::Integer),
            reached: None,
            asked_from: position.at,
            met: HashSet::new(),
            clock: None,
        }
    }

    /// Takes note of the vendor's own clock, as an answer's `Date` tells it (RFC 9110 section 6.6.1). Of one that is behind, what changes from now on has
    /// times before ours: the position does not pass it.
    pub fn hear_clock(&mut self, date: Option<&str>, now: DateTime<Utc>) {
        let told = date.and_then(|date| DateTime::parse_from_rfc2822(date).ok()).map(|date| date.to_utc());
        let behind = told.filter(|told| BEHIND_S.contains(&(now - told).num_seconds()));
        self.clock = behind.filter(|_| self.record_format != TimeFormat::Integer).map(|told| told.timestamp_micros());
    }

    /// What a request for the next page says as `since`, where that is later than what was asked before. One unit back, because there may be
    /// more of that moment.
    pub fn go_on(&mut self) -> Option<String> {
        let (from, text) = self.asked(self.reached?.saturating_sub(self.step?));
        if self.asked_from.is_some_and(|asked| from <= asked) {
            return None;
        }
        self.asked_from = Some(from);
        self.met = self.seen.iter().filter(|(at, _)| *at >= from).map(|(_, hash)| *hash).collect();
        Some(text)
    }

    /// What the vendor is asked for who is asked from a moment on, and how that is written: a time in whole seconds begins with its second.
    fn asked(&self, at: i64) -> (i64, String) {
        let text = write(at, &self.format);
        (read(&text, &self.format).unwrap_or(at), text)
    }

    /// True where a record is older than what was asked for: the vendor does not know the parameter, and pages are counted from then on.
    pub fn is_before(&self, updated_at: Option<&str>) -> bool {
        let at = updated_at.and_then(|text| read(text, &self.record_format));
        at.zip(self.asked_from.zip(self.step)).is_some_and(|(at, (from, step))| at < from.saturating_sub(step))
    }

    /// Pages are counted from now on.
    pub fn count_pages(&mut self) {
        self.step = None;
        self.met.clear();
    }

    /// What a request says as `since`, written as the vendor wants it.
    pub fn since(&self) -> Option<String> {
        Some(self.asked(self.begin?.saturating_sub(self.back)).1)
    }

    /// Takes note of a record. False where the last read, or a page of this one, brought the same already, byte for byte: what changed again
    /// within one unit of the vendor's clock differs in nothing else. An answer that is never the same twice comes again, and the ledger
    /// compares it.
    pub fn is_new(&mut self, id: Option<&str>, updated_at: Option<&str>, bytes: &[u8], now: DateTime<Utc>) -> bool {
        let Some(at) = updated_at.and_then(|text| read(text, &self.record_format)) else { return true };
        let mut hash = Sha256::new();
        hash.update(id.unwrap_or_default().as_bytes());
        hash.update([0]);
        hash.update(updated_at.unwrap_or_default().as_bytes());
        hash.update([0]);
        hash.update(bytes);
        let digest = hash.finalize();
        let short = digest.iter().take(8).fold(0_u64, |short, byte| short << 8 | u64::from(*byte));
        let now = now.timestamp_micros();
        // A clock that runs ahead, or a date that somebody mistyped, must not carry the position past what is still to come.
        let is_time = self.record_format != TimeFormat::Integer;
        self.newest = self.newest.max(Some(if is_time { at.min(now) } else { at }));
        // Pages go on by the vendor's own clock: by ours, one that is ahead would be asked for the same page with every tick.
        if at <= now.saturating_add(AHEAD_MAX_S * 1_000_000) {
            self.reached = self.reached.max(Some(at));
        }
        if self.step.is_some() && !self.met.insert(short) {
            return false;
        }
        self.seen.push_back((at, short));
        if self.seen.len() > SEEN_MAX * 2 {
            self.forget();
        }
        !self.known.contains_key(&short)
    }

    /// Forgets what the next read cannot meet again.
    fn forget(&mut self) {
        let from = self.newest.map_or(i64::MIN, |newest| self.asked(newest.saturating_sub(self.back)).0);
        self.seen.retain(|(at, _)| *at >= from);
        while self.seen.len() > SEEN_MAX {
            self.seen.pop_front();
        }
    }

    /// The position after what was seen until now. `is_at_end`: the read came to its end.
    pub fn position(&mut self, is_at_end: bool) -> Position {
        self.newest = self.newest.map(|newest| self.clock.map_or(newest, |clock| newest.min(clock)));
        self.forget();
        let mut seen: Vec<u64> = self.seen.iter().map(|(_, hash)| *hash).collect();
        // Where nothing newer came, what was known at the old position is still what the next read will meet. A read that came to its end has met it
        // again: what it has not met is not there any more, or says something else, which each read would add to.
        if !is_at_end && self.newest <= self.begin {
            seen.extend(self.known.keys());
        }
        seen.sort_unstable();
        seen.dedup();
        seen.truncate(SEEN_MAX);
        Position { at: self.newest, seen }
    }
}

/// µs since 1970, or the number.
pub(crate) fn read(text: &str, format: &TimeFormat) -> Option<i64> {
    let text = text.trim();
    match format {
        TimeFormat::Integer => text.parse().ok(),
        TimeFormat::UnixS => {
            let seconds = domain::value::decimal(text)?;
            i64::try_from(seconds.checked_mul(1_000_000.into())?.trunc()).ok()
        }
        TimeFormat::UnixMs => text.parse::<i64>().ok()?.checked_mul(1_000),
        TimeFormat::Rfc2822 => DateTime::parse_from_rfc2822(text).ok().map(|time| time.timestamp_micros()),
        TimeFormat::Rfc3339 => {
            let zoned = DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f%z"));
            // Without a zone it is UTC: that is what vendors mean who leave it out.
            let naive = || text.parse::<NaiveDateTime>().map(|time| time.and_utc().timestamp_micros());
            zoned.map(|time| time.timestamp_micros()).or_else(|_| naive()).ok()
        }
        TimeFormat::Pattern(pattern) => {
            let zoned = DateTime::parse_from_str(text, pattern).map(|time| time.timestamp_micros());
            let naive = || NaiveDateTime::parse_from_str(text, pattern).map(|time| time.and_utc().timestamp_micros());
            let day = || {
                let day = NaiveDate::parse_from_str(text, pattern)?;
                Ok::<_, chrono::ParseError>(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())
            };
            zoned.or_else(|_| naive()).or_else(|_| day()).ok()
        }
    }
}

pub(crate) fn write(at: i64, format: &TimeFormat) -> String {
    let time = || DateTime::from_timestamp_micros(at).unwrap_or_default();
    match format {
        TimeFormat::Integer => at.to_string(),
        TimeFormat::UnixS => at.div_euclid(1_000_000).to_string(),
        TimeFormat::UnixMs => at.div_euclid(1_000).to_string(),
        TimeFormat::Rfc2822 => time().format("%a, %d %b %Y %H:%M:%S %z").to_string(),
        // Whole seconds: rounded down, which asks for a little more and never for less.
        TimeFormat::Rfc3339 => time().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        TimeFormat::Pattern(pattern) => time().format(pattern).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_format_reads_what_it_writes() {
        let at = 1_795_512_600_000_000; // 2026-11-24T09:30:00Z
        for (format, text) in [
            (TimeFormat::Rfc3339, "2026-11-24T09:30:00Z"),
            (TimeFormat::UnixS, "1795512600"),
            (TimeFormat::UnixMs, "1795512600000"),
            (TimeFormat::Rfc2822, "Tue, 24 Nov 2026 09:30:00 +0000"),
            (TimeFormat::Pattern("%Y-%m-%d %H:%M:%S".into()), "2026-11-24 09:30:00"),
            (TimeFormat::Integer, "1795512600000000"),
        ] {
            assert_eq!((write(at, &format).as_str(), read(text, &format)), (text, Some(at)), "{format:?}");
        }
        let others = [("2026-11-24T10:30:00+01:00", at), ("2026-11-24T09:30:00.25Z", at + 250_000), ("2026-11-24T09:30:00", at)];
        for (text, expected) in others {
            assert_eq!(read(text, &TimeFormat::Rfc3339), Some(expected), "{text}");
        }
        assert_eq!(read("2026-11-24", &TimeFormat::Pattern("%Y-%m-%d".into())), Some(at - 34_200_000_000));
        assert_eq!(read("soon", &TimeFormat::Rfc3339), None);
    }

    #[test]
    fn a_date_in_the_future_does_not_carry_the_position_past_what_is_to_come() {
        let since: Since = serde_saphyr::from_str("{field: at}").unwrap();
        let now = DateTime::parse_from_rfc3339("2026-11-24T09:30:00Z").unwrap().to_utc();
        let mut tracker = Tracker::new(&since, &Position::default());
        assert!(tracker.is_new(Some("1"), Some("2099-01-01T00:00:00Z"), b"", now));
        assert_eq!(tracker.position(true).at, Some(now.timestamp_micros()));
    }

    #[test]
    fn pages_go_on_by_the_vendors_clock_and_never_from_a_date_that_was_mistyped() {
        let since: Since = serde_saphyr::from_str("{field: at, ascending: true}").unwrap();
        let now = DateTime::parse_from_rfc3339("2026-11-24T09:30:00Z").unwrap().to_utc();
        let mut tracker = Tracker::new(&since, &Position::default());
        assert!(tracker.is_new(Some("1"), Some("2026-11-24T09:35:00Z"), b"", now));
        assert_eq!(tracker.go_on().as_deref(), Some("2026-11-24T09:34:59Z"), "five minutes ahead");
        // Our clock goes on, the vendor's list does not: the page after this one is counted.
        assert!(!tracker.is_new(Some("1"), Some("2026-11-24T09:35:00Z"), b"", now + chrono::TimeDelta::seconds(2)));
        assert_eq!(tracker.go_on(), None);
        assert!(tracker.is_new(Some("2"), Some("2099-01-01T00:00:00Z"), b"", now));
        assert_eq!(tracker.go_on(), None);
        assert_eq!(tracker.position(true).at, Some(now.timestamp_micros() + 2_000_000));

        // As far from now as the format can say.
        let since: Since = serde_saphyr::from_str("{field: at, format: unix_ms, ascending: true}").unwrap();
        for at in [i64::MAX / 1_000, i64::MIN / 1_000] {
            let mut tracker = Tracker::new(&since, &Position::default());
            assert!(tracker.is_new(Some("1"), Some(&at.to_string()), b"", now));
            tracker.go_on();
            assert_eq!(tracker.go_on(), None, "{at}");
        }
    }

    #[test]
    fn of_a_vendor_whose_clock_is_behind_nothing_is_skipped_that_changes_from_now_on() {
        let since: Since = serde_saphyr::from_str("{field: at}").unwrap();
        let now = DateTime::parse_from_rfc3339("2026-11-24T09:30:00Z").unwrap().to_utc();
        let begun = Position { at: Some(now.timestamp_micros()), seen: vec![] };
        let next = |date: &str| {
            let mut tracker = Tracker::new(&since, &begun);
            tracker.hear_clock(Some(date), now);
            Tracker::new(&since, &tracker.position(true)).since().unwrap()
        };
        assert_eq!(next("Tue, 24 Nov 2026 09:25:00 GMT"), "2026-11-24T09:24:59Z", "five minutes behind");
        // The same, ahead, an answer that was kept for a day, and no date.
        for date in ["Tue, 24 Nov 2026 09:29:59 GMT", "Tue, 24 Nov 2026 09:35:00 GMT", "Mon, 23 Nov 2026 09:25:00 GMT", "soon"] {
            assert_eq!(next(date), "2026-11-24T09:29:59Z", "{date}");
        }
        // What was seen at the old position is still known.
        let mut tracker = Tracker::new(&since, &Position::default());
        assert!(tracker.is_new(Some("1"), Some("2026-11-24T09:24:00Z"), b"", now));
        let mut again = Tracker::new(&since, &tracker.position(true));
        again.hear_clock(Some("Tue, 24 Nov 2026 09:23:30 GMT"), now);
        assert!(!Tracker::new(&since, &again.position(false)).is_new(Some("1"), Some("2026-11-24T09:24:00Z"), b"", now));
    }

    #[test]
    fn what_changes_again_within_the_second_that_it_was_read_in_comes_once_more() {
        let since: Since = serde_saphyr::from_str("{field: at, ascending: true}").unwrap();
        let now = DateTime::parse_from_rfc3339("2026-11-24T10:00:00Z").unwrap().to_utc();
        let at = Some("2026-11-24T09:30:00Z");
        let mut tracker = Tracker::new(&since, &Position::default());
        assert!(tracker.is_new(Some("1"), at, b"draft", now));
        assert!(tracker.go_on().is_some());
        assert!(!tracker.is_new(Some("1"), at, b"draft", now));
        assert!(tracker.is_new(Some("1"), at, b"paid", now), "between two pages");
        let mut next = Tracker::new(&since, &tracker.position(true));
        assert!(!next.is_new(Some("1"), at, b"paid", now));
        assert!(next.is_new(Some("1"), at, b"sent", now), "between two reads");
        assert!(next.is_new(Some("2"), at, b"sent", now), "another that says the same");
    }

    #[test]
    fn an_answer_that_is_never_the_same_twice_does_not_fill_the_position() {
        let since: Since = serde_saphyr::from_str("{field: at}").unwrap();
        let now = DateTime::parse_from_rfc3339("2026-11-24T10:00:00Z").unwrap().to_utc();
        let at = Some("2026-11-24T09:30:00Z");
        let mut position = Position::default();
        for answer in ["a", "b", "c"] {
            let mut tracker = Tracker::new(&since, &position);
            assert!(tracker.is_new(Some("1"), at, answer.as_bytes(), now), "{answer}");
            position = tracker.position(true);
            assert_eq!(position.seen.len(), 1, "{answer}");
        }
        // One that broke off has not met what the next one will.
        let position = Tracker::new(&since, &position).position(false);
        assert!(!Tracker::new(&since, &position).is_new(Some("1"), at, b"c", now));
    }

    #[test]
    fn what_comes_again_because_a_time_is_written_in_whole_seconds_is_known() {
        let since: Since = serde_saphyr::from_str("{field: at, ascending: true}").unwrap();
        let now = DateTime::parse_from_rfc3339("2026-11-24T10:00:00Z").unwrap().to_utc();
        let records = [
            ("1", "2026-11-24T09:30:00.100Z"),
            ("2", "2026-11-24T09:30:01.200Z"),
            ("3", "2026-11-24T09:30:01.900Z"),
            ("4", "2026-11-24T09:30:02.300Z"),
        ];
        let mut tracker = Tracker::new(&since, &Position::default());
        assert!(records.iter().all(|(id, at)| tracker.is_new(Some(id), Some(at), b"", now)));
        // From 09:30:01.300 on, which is asked as 09:30:01: the second and the third come again.
        assert_eq!(tracker.go_on().as_deref(), Some("2026-11-24T09:30:01Z"));
        assert!(!records[1..].iter().any(|(id, at)| tracker.is_new(Some(id), Some(at), b"", now)));
        let mut next = Tracker::new(&since, &tracker.position(true));
        assert_eq!(next.since().as_deref(), Some("2026-11-24T09:30:01Z"));
        assert!(!records[1..].iter().any(|(id, at)| next.is_new(Some(id), Some(at), b"", now)));
    }

    proptest! {
        /// Whatever changes between two reads, however many share a second, and though some change again within the second that they were
        /// read in, the second read brings each change once.
        #[test]
        fn nothing_is_skipped_and_nothing_repeated_at_the_boundary(
            first in proptest::collection::vec((0_u8..20, 0_i64..6, 0_u8..3), 1..30),
            second in proptest::collection::vec((0_u8..20, 0_i64..6, 0_u8..3), 0..30),
            inclusive: bool,
        ) {
            let since: Since = serde_saphyr::from_str("{field: at}").unwrap();
            let base = 1_795_512_600_i64;
            let now = DateTime::from_timestamp(base + 100, 0).unwrap();
            let text = |second: i64| write((base + second) * 1_000_000, &TimeFormat::Rfc3339);
            // The last change of each record wins, as at a vendor.
            let mut store = std::collections::BTreeMap::new();
            for (id, at, content) in &first {
                let last: &mut (i64, u8) = store.entry(*id).or_insert((*at, *content));
                *last = (*last).max((*at, *content));
            }
            let mut tracker = Tracker::new(&since, &Position::default());
            for (id, (at, content)) in &store {
                prop_assert!(tracker.is_new(Some(&id.to_string()), Some(&text(*at)), &[*content], now));
            }
            let position = tracker.position(true);
            let newest = store.values().map(|(at, _)| *at).max().unwrap_or_default();
            // What changes later is as late as the newest, or later: many in the same second, some of them there already with other content.
            let mut changed = std::collections::BTreeMap::new();
            for (id, later, content) in &second {
                let version = (newest + later, *content);
                if store.get(id) != Some(&version) {
                    changed.insert(*id, version);
                }
            }
            store.extend(changed.clone());
            let mut tracker = Tracker::new(&since, &position);
            let from = read(&tracker.since().unwrap(), &TimeFormat::Rfc3339).unwrap() / 1_000_000 - base;
            let mut brought = std::collections::BTreeMap::new();
            for (id, (at, content)) in store.iter().filter(|(_, (at, _))| if inclusive { *at >= from } else { *at > from }) {
                if tracker.is_new(Some(&id.to_string()), Some(&text(*at)), &[*content], now) {
                    brought.insert(*id, (*at, *content));
                }
            }
            prop_assert_eq!(brought, changed);
        }
    }
}
