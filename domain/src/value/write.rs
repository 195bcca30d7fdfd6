//! JSON text as it leaves. Most texts have nothing to escape, so they are copied whole.

use std::fmt::Write as _;

/// Where the next byte stands that JSON has a word for: a quote, a backslash, a control character; the end where there is none.
/// Eight bytes at a time, by the subtraction that borrows from the high bit of a byte that is too small.
pub(super) fn special_from(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let zero_in = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while let Some(eight) = bytes.get(at..at + 8).and_then(|eight| <[u8; 8]>::try_from(eight).ok()) {
        let word = u64::from_le_bytes(eight);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let hit = control | zero_in(word ^ (ONES * u64::from(b'"'))) | zero_in(word ^ (ONES * u64::from(b'\\')));
        if hit != 0 {
            // Only the lowest hit is sure; those above it may be a borrow.
            return at + (hit.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        at += 1;
    }
    at
}

pub(super) fn text(text: &str, out: &mut String) {
    out.push('"');
    let mut clean = 0;
    loop {
        let at = special_from(text.as_bytes(), clean);
        out.push_str(&text[clean..at]);
        let Some(byte) = text.as_bytes().get(at) else { break };
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
        clean = at + 1;
    }
    out.push('"');
}
