//! Times and days that clocks and calendars have their trouble with.

use super::draft::Draft;
use crate::canonical::shape::Is;

/// Every time and every day that is there, one of these after the other.
fn times(draft: &mut Draft, times: &[&str]) {
    let mut at = draft.variant;
    draft.leaves(&mut |field, value| {
        let time = times[at % times.len()];
        match field.is {
            Is::Time => *value = time.into(),
            Is::Date => *value = time[..10].into(),
            _ => return,
        }
        at += 1;
    });
}

/// 01:30 in New York and 02:30 in Berlin, both times that they come.
pub(super) fn repeated_hour(draft: &mut Draft) {
    times(
        draft,
        &["2026-11-01T05:30:00.000Z", "2026-11-01T06:30:00.000Z", "2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z"],
    );
}

/// Just before and after the hour that New York and Berlin leap over.
pub(super) fn skipped_hour(draft: &mut Draft) {
    times(
        draft,
        &["2026-03-08T06:59:59.999Z", "2026-03-08T07:00:00.000Z", "2026-03-29T00:59:59.999Z", "2026-03-29T01:00:00.000Z"],
    );
}

pub(super) fn leap_day(draft: &mut Draft) {
    times(draft, &["2028-02-29T23:59:59.999Z"]);
}

pub(super) fn leap_second(draft: &mut Draft) {
    times(draft, &["2016-12-31T23:59:60.000Z"]);
}

/// It is next year already in Tokyo, and still last year in Los Angeles.
pub(super) fn year_end(draft: &mut Draft) {
    times(draft, &["2026-12-31T23:30:00.000Z", "2027-01-01T00:30:00.000Z"]);
}

pub(super) fn offset(draft: &mut Draft) {
    times(draft, &["2027-01-01T08:30:00+09:00", "2026-12-31T16:30:00.5-08:00", "2026-11-27T15:45:00+05:45"]);
}

pub(super) fn places(draft: &mut Draft) {
    times(draft, &["2026-11-27T10:00:00Z", "2026-11-27T10:00:00.123456789Z", "2026-11-27T10:00:00.1Z"]);
}

pub(super) fn far(draft: &mut Draft) {
    times(
        draft,
        &["0001-01-01T00:00:00.000Z", "1899-12-31T23:59:59.000Z", "2106-02-07T06:28:16.000Z", "9999-12-31T23:59:59.999Z"],
    );
}

pub(super) fn before_epoch(draft: &mut Draft) {
    times(draft, &["1969-12-31T23:59:59.999Z", "2038-01-19T03:14:08.000Z"]);
}
