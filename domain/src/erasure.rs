//! The erasing of a person's data. What is erased is not there any more; in its place stands a tombstone with the digest of what was, so that whoever still has
//! that can show what it is, and a proof over the digest holds.

use crate::fault::{Fault, FaultClass, Owner};

const BEGIN: &str = r#"{"erased":""#;
const END: &str = r#""}"#;
const DIGEST_CHARS: usize = 64;

/// The digest of what a tombstone stands for, SHA-256 in lower-case hexadecimal; `None` of anything else.
#[must_use]
pub fn digest(text: &str) -> Option<&str> {
    let digest = text.strip_prefix(BEGIN)?.strip_suffix(END)?;
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (digest.len() == DIGEST_CHARS && digest.bytes().all(is_hex)).then_some(digest)
}

/// True of what stands in the place of what was erased.
#[must_use]
pub fn is_tombstone(bytes: &[u8]) -> bool {
    bytes.len() == BEGIN.len() + DIGEST_CHARS + END.len() && std::str::from_utf8(bytes).is_ok_and(|text| digest(text).is_some())
}

/// Why something that was erased is sent or read no more.
#[must_use]
pub fn fault() -> Fault {
    Fault::new(
        FaultClass::Gone,
        "personal_data_erased",
        "what it held was erased, because it told of a person, and nothing is left that could be used".to_owned(),
        Owner::Operations,
        "Dismiss it. If it is needed after all, have its source send it again: that comes as something new.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{hash, hex};

    #[test]
    fn a_tombstone_has_the_digest_of_what_was_there_and_nothing_else_is_one() {
        let sha256 = hex(&hash(&[b"{\"name\":\"Ada\"}"]));
        let tombstone = format!("{{\"erased\":\"{sha256}\"}}");
        assert_eq!(digest(&tombstone), Some(sha256.as_str()));
        assert!(is_tombstone(tombstone.as_bytes()));
        for other in ["", "{\"erased\":true}", "{\"erased\":\"ab\"}", &tombstone.to_uppercase(), &format!("{tombstone} ")] {
            assert!(digest(other).is_none() && !is_tombstone(other.as_bytes()), "{other}");
        }
        assert!(fault().reason.contains("erased") && !fault().fix.is_empty());
    }
}
