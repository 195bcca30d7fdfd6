//! A group is the open exceptions of one cause. What is decided about it (whose it is, its tags, its rest) holds for those that come later too.

use chrono::{DateTime, Duration, Utc};

/// Tags of one group or one exception.
pub const TAGS_MAX: usize = 20;
const TAG_CHARS_MAX: usize = 40;
pub const COMMENT_CHARS_MAX: usize = 4_000;
/// Nothing is put away for longer: by then nobody would remember why.
pub const SNOOZE_DAYS_MAX: i64 = 90;

/// A word that things are found by: lower-case, without spaces around it.
///
/// # Errors
/// Why it is none, as a sentence.
pub fn tag(text: &str) -> Result<String, String> {
    let tag = text.trim().to_lowercase();
    if tag.is_empty() || tag.chars().count() > TAG_CHARS_MAX || tag.chars().any(|c| c.is_control() || c == ',') {
        return Err(format!("\"{}\" is no tag: a tag has 1 to {TAG_CHARS_MAX} characters and no comma", shown(text)));
    }
    Ok(tag)
}

fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// Until when something may be put away.
///
/// # Errors
/// Why not, as a sentence.
pub fn snooze_end(until: DateTime<Utc>, now: DateTime<Utc>) -> Result<DateTime<Utc>, String> {
    if until <= now {
        return Err("a snooze ends in the future".to_owned());
    }
    if until > now + Duration::days(SNOOZE_DAYS_MAX) {
        return Err(format!("a snooze ends within {SNOOZE_DAYS_MAX} days"));
    }
    Ok(until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_found_however_it_was_written() {
        assert_eq!(tag("  Finance EU "), Ok("finance eu".to_owned()));
        for bad in ["", "  ", "a,b", &"x".repeat(41), "a\u{7}b"] {
            assert!(tag(bad).unwrap_err().contains("is no tag"), "{bad:?}");
        }
    }

    #[test]
    fn a_snooze_ends_and_not_too_late() {
        let now = Utc::now();
        assert!(snooze_end(now, now).is_err() && snooze_end(now + Duration::days(91), now).is_err());
        assert_eq!(snooze_end(now + Duration::hours(1), now), Ok(now + Duration::hours(1)));
    }
}
