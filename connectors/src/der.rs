//! DER (X.690) out of PEM (RFC 7468), as people paste it: certificates and keys. The libraries that read it call themselves for every nesting and copy what
//! lies within, so what is nested as no certificate and no key is, or is as long as none is, is refused before they see it: a stack that overflows
//! takes the whole process along.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use simple_asn1::ASN1Block;

/// A key of RSA with 16,384 bits has 9,300; a certificate of somebody with many names a little more.
const BYTES_MAX: usize = 64 * 1024;
/// A certificate has nine, with its odder extensions twelve.
const DEPTH_MAX: usize = 24;

/// One block of a PEM.
#[derive(PartialEq, Eq)]
pub(crate) struct Block {
    /// `CERTIFICATE`, `PRIVATE KEY`.
    pub label: String,
    pub der: Vec<u8>,
}

/// The blocks of a text that can be read; one of `\n` for line breaks was copied out of JSON.
pub(crate) fn blocks(text: &str) -> impl Iterator<Item = Block> {
    let text = text.replace("\\n", "\n");
    let blocks: Vec<Block> = text.split("-----BEGIN ").skip(1).filter_map(block).collect();
    blocks.into_iter()
}

fn block(text: &str) -> Option<Block> {
    let (label, rest) = text.split_once("-----")?;
    let (base64, rest) = rest.split_once("-----END ")?;
    // Blanks count too: nobody is to make us copy them.
    if base64.len() > BYTES_MAX * 2 || !rest.starts_with(label) {
        return None;
    }
    let base64: String = base64.split_whitespace().collect();
    Some(Block { label: label.to_owned(), der: STANDARD.decode(base64).ok()? })
}

impl Block {
    /// What stands in it; `None` of what is no DER, or is refused.
    pub fn read(&self) -> Option<Vec<ASN1Block>> {
        if self.is_plain() { simple_asn1::from_der(&self.der).ok() } else { None }
    }

    /// Written anew, for a library that reads PEM itself: it sees these bytes and no others. `None` of what is refused.
    pub fn to_pem(&self) -> Option<String> {
        let Self { label, der } = self;
        self.is_plain().then(|| format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der)))
    }

    /// True of what is no longer and nested no deeper than a certificate or a key.
    fn is_plain(&self) -> bool {
        self.der.len() <= BYTES_MAX && is_shallow(&self.der)
    }
}

/// Goes through all that the library would go into, without calling itself.
fn is_shallow(der: &[u8]) -> bool {
    // The ends of what is open, and where we are.
    let (mut ends, mut at) = (vec![der.len()], 0);
    while let Some(end) = ends.last().copied() {
        if at >= end {
            ends.pop();
            continue;
        }
        let Some((is_open, from, to)) = header(&der[..end], at) else {
            // The library gives this up, too; what lies around it may go on.
            at = end;
            continue;
        };
        at = if is_open { from } else { to };
        if is_open {
            ends.push(to);
        }
        if ends.len() > DEPTH_MAX {
            return false;
        }
    }
    true
}

/// Whether more lies within the value at a place, and where it begins and ends.
fn header(der: &[u8], mut at: usize) -> Option<(bool, usize, usize)> {
    let mut next = || {
        let byte = der.get(at).copied();
        at += 1;
        byte
    };
    let first = next()?;
    let number = first & 0x1f;
    if number == 0x1f {
        // A number of several bytes, the last of which has no high bit.
        while next()? & 0x80 != 0 {}
    }
    let length = match next()? {
        short @ 0..0x80 => usize::from(short),
        long => {
            let mut length: usize = 0;
            for _ in 0..long & 0x7f {
                length = length.checked_mul(256)?.checked_add(usize::from(next()?))?;
            }
            length
        }
    };
    let to = at.checked_add(length).filter(|to| *to <= der.len())?;
    // Sequences and sets, whatever their form bit says, and what is made of parts outside of the universal class. A number of several bytes may be
    // one of those, too.
    let is_universal = first >> 6 == 0;
    let is_open = if is_universal { matches!(number, 0x10 | 0x11 | 0x1f) } else { first & 0x20 != 0 };
    Some((is_open, at, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(tag: u8, times: usize) -> Vec<u8> {
        let mut der = vec![0x05, 0x00];
        for _ in 0..times {
            let length = u32::try_from(der.len()).unwrap().to_be_bytes();
            der = [&[tag, 0x84][..], &length, &der].concat();
        }
        der
    }

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
    }

    #[test]
    fn threat_der_that_is_nested_without_end_is_refused_and_not_read() {
        // A set, a sequence, and an explicit tag; the last with a number of several bytes.
        for tag in [0x30, 0x31, 0xa0, 0x10] {
            let [flat, deep] = [10, 9_000].map(|times| pem("CERTIFICATE", &nested(tag, times)));
            assert!(blocks(&flat).next().unwrap().read().is_some(), "{tag:x}");
            let deep = blocks(&deep).next().unwrap();
            assert!(deep.read().is_none() && deep.to_pem().is_none(), "{tag:x}");
        }
        let long = pem("CERTIFICATE", &nested(0x04, 1)).replace('\n', &"\n".repeat(3 * BYTES_MAX));
        assert!(blocks(&long).next().is_none());
        // What the library gives up on the way does not hide what comes after.
        let broken = [&[0xa0, 0x02, 0x30, 0x7f][..], &nested(0x30, 200)].concat();
        assert!(!is_shallow(&broken));
    }

    #[test]
    fn a_pem_is_read_as_it_was_pasted() {
        let text = include_str!("testdata/certificate.pem");
        for text in [text.to_owned(), text.replace('\n', "\\n"), format!("Bag Attributes\n{text}{text}")] {
            let block = blocks(&text).next().unwrap();
            assert!(block.label == "CERTIFICATE" && block.read().is_some());
            assert!(blocks(&block.to_pem().unwrap()).next() == Some(block));
        }
        for text in ["", "-----BEGIN X-----", "-----BEGIN X-----\nAAAA\n-----END Y-----", "-----BEGIN X-----\n!\n-----END X-----"]
        {
            assert_eq!(blocks(text).count(), 0, "{text}");
        }
    }
}
