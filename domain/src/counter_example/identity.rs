//! Ids that are not the small numbers they seem to be.

use super::draft::Draft;
use crate::canonical::shape::{ID_BYTES_MAX, Is};

fn ids(draft: &mut Draft, each: &mut dyn FnMut(usize) -> String) {
    let mut at = 0;
    draft.leaves(&mut |field, value| {
        if matches!(field.is, Is::Id) {
            *value = each(at).into();
            at += 1;
        }
    });
}

/// A float cannot tell them from their neighbours.
pub(super) fn beyond_floats(draft: &mut Draft) {
    let first = [9_007_199_254_740_993_u64, 9_223_372_036_854_775_808, u64::MAX - 100_000][draft.variant % 3];
    ids(draft, &mut |at| (first + at as u64).to_string());
}

pub(super) fn letters(draft: &mut Draft) {
    ids(draft, &mut |at| format!("01JDKX3V-{at:04}-b7"));
}

pub(super) fn addresses(draft: &mut Draft) {
    ids(draft, &mut |at| format!("gid://shop/Thing/{at}?a=1&b=%20 c#d"));
}

pub(super) fn longest(draft: &mut Draft) {
    ids(draft, &mut |at| format!("{at:0>width$}", width = ID_BYTES_MAX));
}

pub(super) fn not_ascii(draft: &mut Draft) {
    ids(draft, &mut |at| format!("№ {at} – ñ🎩"));
}

pub(super) fn leading_zeros(draft: &mut Draft) {
    ids(draft, &mut |at| format!("000{at}"));
}

pub(super) fn outer_spaces(draft: &mut Draft) {
    ids(draft, &mut |at| format!(" {at} "));
}

pub(super) fn negative(draft: &mut Draft) {
    ids(draft, &mut |at| format!("-{}", at + 1));
}

pub(super) fn all_the_same(draft: &mut Draft) {
    ids(draft, &mut |_| "1".to_owned());
}
