//! The tree that certificates and seals are made of: RFC 9162 section 2.1.1 over SHA-256. Whoever knows its root can be shown no other leaves.

use sha2::{Digest, Sha256};

pub type Hash = [u8; 32];

/// SHA-256 of the parts, one after the other.
#[must_use]
pub fn hash(parts: &[&[u8]]) -> Hash {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// The hash of a leaf: no inner node is ever one.
#[must_use]
pub fn leaf(parts: &[&[u8]]) -> Hash {
    let mut digest = Sha256::new_with_prefix([0]);
    for part in parts {
        digest.update(part);
    }
    digest.finalize().into()
}

/// The root over leaves that were hashed: the left half is the largest power of two that is smaller than the whole.
#[must_use]
pub fn root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => hash(&[]),
        [one] => *one,
        more => {
            let left = more.len().next_power_of_two() / 2;
            let (left, right) = more.split_at(left);
            hash(&[&[1], &root(left), &root(right)])
        }
    }
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(hash: &Hash) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Back from [`hex`]; `None` where it is anything else, upper case included: one hash has one text.
#[must_use]
pub fn from_hex(text: &str) -> Option<Hash> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs: Option<Vec<u8>> =
        text.as_bytes().chunks(2).map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect();
    pairs?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree of RFC 9162 for d0..d6, made by hand of its definition.
    #[test]
    fn the_tree_is_that_of_the_rfc() {
        let leaves: Vec<Hash> = (0..7_u8).map(|n| leaf(&[&[n]])).collect();
        let node = |left: Hash, right: Hash| hash(&[&[1], &left, &right]);
        let [g, h, i, j, k, l, m] = leaves.clone().try_into().unwrap();
        assert_eq!(root(&leaves), node(node(node(g, h), node(i, j)), node(node(k, l), m)));
        assert_eq!(root(&[]), hash(&[]));
        assert_eq!(root(&leaves[..1]), g);
    }

    #[test]
    fn a_hash_has_one_text() {
        let it = hash(&[b"x"]);
        assert_eq!(from_hex(&hex(&it)), Some(it));
        assert_eq!(from_hex(&hex(&it).to_uppercase()), None);
        assert_eq!(from_hex(&hex(&it)[..63]), None);
        assert_eq!(from_hex(""), None);
    }
}
