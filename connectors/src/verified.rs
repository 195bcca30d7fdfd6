//! `verified.yaml`: what was proven of a connector against software that we did not write, by which version of it, and since when.
//! `cargo xtask test --real` holds each line: it fails where one is claimed that it does not prove, or proven and not claimed.

use std::collections::HashSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::parse::{ParseError, yaml};

/// The file's name in a connector's folder.
pub const VERIFIED_FILE: &str = "verified.yaml";
/// Checks of one connector. A file with more is no list that a person wrote.
const CHECKS_MAX: usize = 500;

/// One check that held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// What holds, in the words of the test that proves it.
    pub check: String,
    /// What it was proven against: a name, a space and a version, such as `acme 2.21.2`.
    pub software: String,
    /// The day it was first proven with that version.
    pub on: NaiveDate,
}

impl Verified {
    /// Reads a file's list, strictly.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place where the parser knows it: a field too many or too few, a check without words or
    /// named twice, software without a version.
    pub fn parse(text: &str) -> Result<Vec<Self>, ParseError> {
        let list: Vec<Self> = yaml(text)?;
        let fail = |what: String| Err(ParseError { line: 0, column: 0, what });
        if list.len() > CHECKS_MAX {
            return fail(format!("it lists {} checks, more than the {CHECKS_MAX} allowed", list.len()));
        }
        let mut seen = HashSet::new();
        for one in &list {
            if one.check.trim().is_empty() {
                return fail("a check has no words: say what holds".into());
            }
            if !seen.insert(one.check.as_str()) {
                return fail(format!("the check \"{}\" stands there twice", one.check));
            }
            if !is_name_and_version(&one.software) {
                return fail(format!("\"{}\" is not a name, a space and a version, such as acme 2.21.2", one.software));
            }
        }
        Ok(list)
    }
}

/// As it stands in the file. JSON's way to quote a text is YAML's too.
impl std::fmt::Display for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let check = serde_json::Value::from(self.check.as_str());
        write!(f, "- {{ check: {check}, software: {}, on: {} }}", self.software, self.on)
    }
}

fn is_name_and_version(text: &str) -> bool {
    let is_plain = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | '+'));
    text.split_once(' ').is_some_and(|(name, version)| {
        name.starts_with(|c: char| c.is_ascii_alphabetic())
            && version.starts_with(|c: char| c.is_ascii_digit())
            && is_plain(name)
            && is_plain(version)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"- { check: "order: a \"lost\" answer is found", software: medusa 2.21.2, on: 2026-11-27 }"#;

    #[test]
    fn a_line_is_written_as_it_is_read() {
        let list = Verified::parse(LINE).unwrap();
        assert_eq!((list[0].check.as_str(), list[0].software.as_str()), (r#"order: a "lost" answer is found"#, "medusa 2.21.2"));
        assert_eq!(list[0].to_string(), LINE);
    }

    #[test]
    fn what_is_no_claim_is_refused() {
        let error = |text: &str| Verified::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("- { chekc: x, software: a 1, on: 2026-11-27 }"),
            "1:5: there is no `chekc` here; did you mean `check`?"
        );
        for (text, what) in [
            ("- an order was read", ""),
            ("- { check: x, software: a 1 }", "missing field `on`"),
            ("- { check: x, software: a 1, on: yesterday }", ""),
            ("- { check: ' ', software: a 1, on: 2026-11-27 }", "a check has no words: say what holds"),
            ("- { check: x, software: a, on: 2026-11-27 }", "\"a\" is not a name, a space and a version, such as acme 2.21.2"),
            (&format!("{LINE}\n{LINE}"), "the check \"order: a \"lost\" answer is found\" stands there twice"),
        ] {
            assert!(error(text).contains(what), "{text}: {}", error(text));
        }
    }
}
