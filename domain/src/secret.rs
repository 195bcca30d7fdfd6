//! Secrets that cannot be printed. `secrecy` wipes them from memory when dropped and shows `[REDACTED]` in every log.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
pub use secrecy::{ExposeSecret, SecretString};

/// The fields of a credential by name, as the connector's `credential` form declares them.
/// `Debug` shows the names only.
#[derive(Clone, Default)]
pub struct SecretFields(pub BTreeMap<String, SecretString>);

impl SecretFields {
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&SecretString> {
        self.0.get(field)
    }
}

impl std::fmt::Debug for SecretFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, SecretString)> for SecretFields {
    fn from_iter<I: IntoIterator<Item = (String, SecretString)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// What stands where a secret stood.
const REDACTED: &str = "•••";
/// A shorter value would be found in ordinary words.
const VALUE_CHARS_MIN: usize = 6;
/// What is not encoded in a URL (RFC 3986 section 2.3).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Takes a connection's secrets out of what is kept of calls: a vendor may echo in an error what we sent it.
/// It knows each value as it is, in base64, percent-encoded and JSON-escaped, and the pairs that Basic authentication (RFC 7617) makes of them.
#[derive(Clone)]
pub struct Redactor {
    /// In order of their bytes, so that those with the same start stand together.
    forms: Vec<SecretString>,
    /// A bit for each way in which a form may start: nearly every place of a text is passed with one look.
    starts: Box<[u64; 1024]>,
}

impl Redactor {
    #[must_use]
    pub fn new(secrets: &SecretFields) -> Self {
        let values: Vec<&str> = secrets.0.values().map(|value| value.expose_secret()).filter(|value| !value.is_empty()).collect();
        let mut forms = BTreeSet::new();
        for value in values.iter().filter(|value| value.chars().count() >= VALUE_CHARS_MIN) {
            forms.insert((*value).to_owned());
            forms.extend(percent_encoded(value));
            forms.extend(in_base64(value));
        }
        // Which field is the user and which the password is the connector's to know; there are few fields, so all pairs are tried.
        for (at, user) in values.iter().enumerate() {
            let others =
                values.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, password)| format!("{user}:{password}"));
            for pair in others.chain([format!("{user}:"), format!(":{user}")]) {
                forms.extend(in_base64(&pair));
            }
        }
        // Within JSON some characters are escaped, "/" by some writers.
        let escaped: Vec<String> = forms.iter().filter_map(|form| serde_json::to_string(form).ok()).collect();
        forms.extend(escaped.into_iter().map(|form| form[1..form.len() - 1].to_owned()));
        let slashed: Vec<String> = forms.iter().filter(|form| form.contains('/')).map(|form| form.replace('/', "\\/")).collect();
        forms.extend(slashed);
        forms.retain(|form| form.chars().count() >= VALUE_CHARS_MIN);
        let mut starts = Box::new([0; 1024]);
        for form in &forms {
            let start = start(form.as_bytes());
            starts[start / 64] |= 1 << (start % 64);
        }
        Self { forms: forms.into_iter().map(SecretString::from).collect(), starts }
    }

    /// The text without the secrets; borrowed where there is none in it.
    #[must_use]
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut found: Vec<(usize, usize)> = Vec::new();
        if !self.forms.is_empty() {
            for (at, window) in text.as_bytes().windows(3).enumerate() {
                let start = start(window);
                if self.starts[start / 64] & (1 << (start % 64)) == 0 {
                    continue;
                }
                let Some(end) = self.longest(&text.as_bytes()[at..]).map(|length| at + length) else { continue };
                match found.last_mut() {
                    // Two that overlap are one, so that no end of the second stays.
                    Some((_, last)) if at <= *last => *last = end.max(*last),
                    _ => found.push((at, end)),
                }
            }
        }
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut kept = 0;
        for (at, end) in found {
            out.push_str(&text[kept..at]);
            out.push_str(REDACTED);
            kept = end;
        }
        out.push_str(&text[kept..]);
        Cow::Owned(out)
    }

    /// How long the longest form is that the text starts with. A text that was cut may end within one.
    fn longest(&self, text: &[u8]) -> Option<usize> {
        let length = |form: &SecretString| {
            let form = form.expose_secret().as_bytes();
            let is_cut = text.len() >= VALUE_CHARS_MIN && form.starts_with(text);
            if text.starts_with(form) { Some(form.len()) } else { is_cut.then_some(text.len()) }
        };
        let from = self.forms.partition_point(|form| form.expose_secret().as_bytes()[..3] < text[..3]);
        let same = self.forms[from..].iter().take_while(|form| form.expose_secret().as_bytes()[..3] == text[..3]);
        same.filter_map(length).max()
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor of {} forms", self.forms.len())
    }
}

/// The first three bytes, folded into 16 bits.
fn start(bytes: &[u8]) -> usize {
    ((usize::from(bytes[0]) << 8) | usize::from(bytes[1])) ^ (usize::from(bytes[2]).wrapping_mul(0x9e5) & 0xffff)
}

fn in_base64(value: &str) -> [String; 4] {
    [STANDARD.encode(value), STANDARD_NO_PAD.encode(value), URL_SAFE.encode(value), URL_SAFE_NO_PAD.encode(value)]
}

/// Both cases of the hex digits, and the form's "+" for a space.
fn percent_encoded(value: &str) -> [String; 4] {
    let mut lower = String::new();
    for part in utf8_percent_encode(value, ENCODED) {
        if part.starts_with('%') { lower.push_str(&part.to_ascii_lowercase()) } else { lower.push_str(part) }
    }
    let upper = utf8_percent_encode(value, ENCODED).to_string();
    [upper.replace("%20", "+"), lower.replace("%20", "+"), upper, lower]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redactor(fields: &[(&str, &str)]) -> Redactor {
        Redactor::new(&fields.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect())
    }

    #[test]
    fn an_echoed_authorization_header_loses_its_secret() {
        let redactor = redactor(&[("user", "ada"), ("password", "p/w+1 2~")]);
        for echoed in [
            format!("Basic {}", STANDARD.encode("ada:p/w+1 2~")),
            format!("Basic {}", STANDARD.encode("p/w+1 2~:")),
            format!("Basic {}", URL_SAFE_NO_PAD.encode(":p/w+1 2~")),
            "Bearer p/w+1 2~".to_owned(),
        ] {
            let body = format!(r#"{{"error":"bad header","authorization":"{echoed}"}}"#);
            let kind = echoed.split(' ').next().unwrap();
            assert_eq!(redactor.redact(&body), format!(r#"{{"error":"bad header","authorization":"{kind} •••"}}"#), "{echoed}");
        }
    }

    #[test]
    fn a_secret_is_found_in_every_form_it_travels_in() {
        let secret = "k\"ey/ä\n-1";
        let redactor = redactor(&[("key", secret)]);
        let json = serde_json::to_string(secret).unwrap();
        for form in [
            secret,
            "k%22ey%2F%C3%A4%0A-1",
            "k%22ey%2f%c3%a4%0a-1",
            &STANDARD.encode(secret),
            &URL_SAFE_NO_PAD.encode(secret),
            &json[1..json.len() - 1],
            &json[1..json.len() - 1].replace('/', "\\/"),
        ] {
            assert_eq!(redactor.redact(&format!("a={form}&b=ä {form}")), "a=•••&b=ä •••", "{form}");
        }
    }

    #[test]
    fn overlapping_secrets_leave_nothing_of_either() {
        let redactor = redactor(&[("a", "abcdef"), ("b", "defghi"), ("c", "abcdefgh-1")]);
        assert_eq!(redactor.redact("<abcdefghi>"), "<•••>");
        assert_eq!(redactor.redact("<abcdefgh-1>"), "<•••>");
        assert_eq!(redactor.redact("abcdefabcdef"), "•••");
    }

    #[test]
    fn what_a_cut_has_left_of_a_secret_is_found_too() {
        let redactor = redactor(&[("key", "s3cret-välue")]);
        let text = "the key is s3cret-välue";
        for end in text.char_indices().map(|(at, _)| at).skip("the key is s3cret".chars().count()) {
            assert_eq!(redactor.redact(&text[..end]), "the key is •••", "cut at {end}");
        }
    }

    #[test]
    fn ordinary_text_is_borrowed_and_short_values_are_no_secrets() {
        let redactor = redactor(&[("short", "order"), ("empty", ""), ("long", "s3cret-value")]);
        for text in ["", "or", "the order of s3cret hats", "äöü s3cret-valu is not it", "s3cre"] {
            assert!(matches!(redactor.redact(text), Cow::Borrowed(same) if same == text), "{text}");
        }
        assert_eq!(format!("{redactor:?}").find("s3cret"), None);
        assert!(matches!(Redactor::new(&SecretFields::default()).redact("anything"), Cow::Borrowed("anything")));
    }

    proptest! {
        #[test]
        fn no_secret_survives(before in ".{0,30}", secret in "[a-zA-Z0-9%/+=: ]{6,20}", after in ".{0,30}") {
            let redactor = redactor(&[("a", &secret), ("b", "other-secret")]);
            for form in [secret.clone(), STANDARD.encode(&secret), STANDARD.encode(format!("{secret}:other-secret"))] {
                let text = format!("{before}{form}{after}");
                let redacted = redactor.redact(&text);
                prop_assert!(!redacted.contains(&form) && redacted.contains(REDACTED), "{redacted}");
            }
        }
    }
}
