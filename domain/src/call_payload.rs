//! What the audit log keeps of a call: a part of it, for a person to read, and the digest of the whole, which is sealed with the event.
//!
//! Of one that is told after it was made (a poll, a listing, a probe, the asking for a token) that part is without secrets and without what tells of a
//! person. What a list brought stands whole in messages, so nothing is lost by hiding it here, and nothing has to be erased here either. Of an attempt it
//! is without the credential, and is erased with the record.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::merkle::{hash, hex};
use crate::personal;

/// Bytes of a request or of an answer that are kept: as many as of an attempt's answer.
pub const KEPT_BYTES_MAX: usize = 16 * 1024;
/// A longer text is not gone through for what tells of a person; then nothing of it is kept but its digest.
const READ_BYTES_MAX: usize = 1024 * 1024;
/// What stands in the place of a secret.
const SECRET: &str = "•••";
/// What is no secret in the asking for a token, and in what is answered (RFC 6749): everything else is one, until somebody adds it here.
const PLAIN: [&str; 14] = [
    "grant_type",
    "scope",
    "token_type",
    "expires_in",
    "expires_at",
    "refresh_token_expires_in",
    "error",
    "error_description",
    "error_uri",
    "audience",
    "resource",
    "redirect_uri",
    "client_assertion_type",
    "code_challenge_method",
];
/// Words that are so long, and hold no space, may be a secret that somebody repeats.
const WORD_CHARS_MAX: usize = 20;
/// Values of a token's request or answer that are looked at.
const DEPTH_MAX: usize = 8;

/// One side of a call, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub text: String,
    /// What the whole was, where an event tells it.
    pub whole: Option<Whole>,
}

/// A body of which a part is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    pub length: usize,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Whole {
    fn of(body: &[u8]) -> Self {
        Self { length: body.len(), sha256: hex(&hash(&[body])) }
    }

    /// As it came, or was sent; where a secret stood in it, with that hidden: whoever reads the rest could try guesses of a short one against a digest
    /// that holds it.
    fn redacted(body: &[u8], text: &str, redacted: &str) -> Self {
        Self::of(if redacted == text { body } else { redacted.as_bytes() })
    }
}

impl Part {
    /// What is sent to read something. `redact` takes the credential out. The whole is told where it is not what is kept.
    pub fn of_request(body: &[u8], redact: impl Fn(&str) -> String) -> Self {
        let text = Self::kept(body, |text| personal::sentence(&redact(text)).into_owned());
        let whole = (text.as_bytes() != body).then(|| {
            let text = text_of(body);
            Whole::redacted(body, &text, &redact(&text))
        });
        Self { text, whole }
    }

    /// What is answered to a read: the names of its fields say what tells of a person.
    pub fn of_answer(body: &[u8], redact: impl Fn(&str) -> String) -> Self {
        // Redacted twice: written anew, a secret stands plain that came with escapes which no writer needs.
        Self { text: Self::kept(body, |text| redact(&personal::payload(&redact(text)))), whole: Some(Whole::of(body)) }
    }

    /// The asking for a token: secrets are found by where they stand. Of the whole no digest is told, because a password in it may be guessed.
    pub fn of_token_request(body: &[u8], redact: impl Fn(&str) -> String) -> Self {
        Self { text: Self::kept(body, |text| redact(&without_secrets(text))), whole: None }
    }

    /// What the asking for a token was answered: a new one is known to nobody yet, and is too long to be guessed.
    pub fn of_token_answer(body: &[u8], redact: impl Fn(&str) -> String) -> Self {
        Self { whole: Some(Whole::of(body)), ..Self::of_token_request(body, redact) }
    }

    /// What an attempt keeps; `None` of what is empty. `redact` takes the credential out, and what tells of a person stays: it is erased with the
    /// record. The whole is told where it is not what is kept, so that the way of an order, whose answers are short, costs one look more and no digest.
    pub fn of_attempt(body: &[u8], redact: impl Fn(&str) -> Cow<'_, str>) -> Option<Self> {
        let text = text_of(body);
        let redacted = redact(&text);
        // Cut after it is redacted, so that no half of a secret is left at the end.
        let kept = &redacted[..redacted.floor_char_boundary(KEPT_BYTES_MAX)];
        if kept.is_empty() {
            return None;
        }
        let whole = (kept.as_bytes() != body).then(|| Whole::redacted(body, &text, &redacted));
        Some(Self { text: kept.to_owned(), whole })
    }

    fn kept(body: &[u8], shown: impl Fn(&str) -> String) -> String {
        match body.len() {
            0 => String::new(),
            1..=READ_BYTES_MAX => {
                // Cut after it is redacted, so that no half of a secret is left at the end.
                let mut text = shown(&text_of(body));
                text.truncate(text.floor_char_boundary(KEPT_BYTES_MAX));
                text
            }
            length => format!("{SECRET} ({length} bytes: too many to be kept)"),
        }
    }

    /// The digest of what is kept.
    #[must_use]
    pub fn kept_sha256(&self) -> String {
        hex(&hash(&[self.text.as_bytes()]))
    }

    /// Puts its digests into what an event tells of the call. `side` is `request` or `answer`.
    pub fn note(&self, side: &str, told: &mut Map<String, Value>) {
        told.insert(format!("{side}_sha256"), self.kept_sha256().into());
        if let Some(whole) = &self.whole {
            told.insert(format!("{side}_length"), whole.length.into());
            told.insert(format!("{side}_whole_sha256"), whole.sha256.clone().into());
        }
    }
}

/// As Postgres takes it.
fn text_of(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace('\0', "")
}

/// A call as it stands in the log, and what is kept of it beside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldCall {
    /// JSON.
    pub detail: String,
    pub request: Option<Part>,
    pub answer: Option<Part>,
}

impl ToldCall {
    /// `what` says where it went and what came, and is given the digests of both sides.
    #[must_use]
    pub fn new(mut what: Map<String, Value>, request: Option<Part>, answer: Option<Part>) -> Self {
        if let Some(part) = &request {
            part.note("request", &mut what);
        }
        if let Some(part) = &answer {
            part.note("answer", &mut what);
        }
        Self { detail: Value::Object(what).to_string(), request, answer }
    }

    /// One of which nothing is kept: what was done with a file.
    #[must_use]
    pub fn bare(detail: String) -> Self {
        Self { detail, request: None, answer: None }
    }
}

/// A text of the token server's or for it, of which only what is known to be no secret is left.
fn without_secrets(text: &str) -> String {
    if let Ok(mut value) = serde_json::from_str::<Value>(text) {
        hide(&mut value, 0);
        return value.to_string();
    }
    let is_of_form = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~*+%=&:/,".contains(&byte);
    let is_form = text.contains('=') && text.bytes().all(is_of_form);
    if !is_form {
        return format!("{SECRET} ({} bytes that are neither JSON nor a form)", text.len());
    }
    let pairs = text.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if PLAIN.contains(&name) => format!("{name}={}", short_words(value)),
        Some((name, _)) => format!("{}={SECRET}", short_words(name)),
        None => SECRET.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

fn hide(value: &mut Value, depth: usize) {
    match value {
        Value::Object(map) if depth < DEPTH_MAX => {
            for (name, value) in map {
                match value {
                    Value::Object(_) | Value::Array(_) => hide(value, depth + 1),
                    Value::String(text) if PLAIN.contains(&name.as_str()) => *text = short_words(text).into_owned(),
                    Value::Number(_) if PLAIN.contains(&name.as_str()) => {}
                    Value::Null | Value::Bool(_) => {}
                    other => *other = SECRET.into(),
                }
            }
        }
        Value::Array(list) if depth < DEPTH_MAX => list.iter_mut().for_each(|value| hide(value, depth + 1)),
        Value::Null | Value::Bool(_) => {}
        other => *other = SECRET.into(),
    }
}

/// Without words that are long enough to be a token. Vendors repeat what they were sent in what they say is wrong.
fn short_words(text: &str) -> Cow<'_, str> {
    let is_edge = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '<' | '>' | '(' | ')' | '[' | ']' | '&');
    if !text.split(is_edge).any(|word| word.chars().count() > WORD_CHARS_MAX && !is_address(word)) {
        return Cow::Borrowed(text);
    }
    let mut said = String::with_capacity(text.len());
    for piece in text.split_inclusive(is_edge) {
        let word = piece.trim_end_matches(is_edge);
        let is_long = word.chars().count() > WORD_CHARS_MAX && !is_address(word);
        said.push_str(if is_long { SECRET } else { word });
        said.push_str(&piece[word.len()..]);
    }
    Cow::Owned(said)
}

/// `urn:ietf:params:oauth:grant-type:jwt-bearer`, and addresses without a query.
fn is_address(word: &str) -> bool {
    let plain = word.replace("%3A", ":").replace("%2F", "/");
    (plain.starts_with("urn:ietf:params:oauth:") || plain.starts_with("https://")) && !plain.contains(['?', '#', '%'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_is(text: &str) -> String {
        text.to_owned()
    }

    fn whole(body: &[u8]) -> Whole {
        Whole { length: body.len(), sha256: hex(&hash(&[body])) }
    }

    #[test]
    fn threat_canary_of_a_token_is_hidden_by_where_it_stands() {
        let secret = "q7Z-a_secret.that~nobody+knows/yet==";
        for (body, kept) in [
            (
                format!("grant_type=refresh_token&refresh_token={secret}&client_secret={secret}&scope=a+b"),
                "grant_type=refresh_token&refresh_token=•••&client_secret=•••&scope=a+b",
            ),
            (
                format!("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={secret}"),
                "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=•••",
            ),
            (
                format!(
                    r#"{{"access_token":"{secret}","expires_in":3600,"token_type":"Bearer","id":{{"token":"{secret}"}},"list":["{secret}"]}}"#
                ),
                r#"{"access_token":"•••","expires_in":3600,"token_type":"Bearer","id":{"token":"•••"},"list":["•••"]}"#,
            ),
            (
                format!(r#"{{"error":"invalid_grant","error_description":"the token {secret}, sent as \"{secret}\", is over"}}"#),
                r#"{"error":"invalid_grant","error_description":"the token •••, sent as \"•••\", is over"}"#,
            ),
            (format!("\"{secret}\""), "\"•••\""),
            (format!("<Token>{secret}</Token>"), "••• (51 bytes that are neither JSON nor a form)"),
        ] {
            let (asked, part) = (Part::of_token_request(body.as_bytes(), as_is), Part::of_token_answer(body.as_bytes(), as_is));
            assert_eq!((asked.text.as_str(), part.text.as_str()), (kept, kept));
            assert!(!part.text.contains("secret.that"), "{}", part.text);
            assert_eq!((asked.whole, part.whole), (None, Some(whole(body.as_bytes()))));
        }
        // One that is short is found by its value, as everywhere.
        let part = Part::of_token_answer(br#"{"error":"not tiny99"}"#, |text| text.replace("tiny99", "•••"));
        assert_eq!(part.text, r#"{"error":"not •••"}"#);
    }

    #[test]
    fn of_a_list_what_was_bought_is_kept_and_not_by_whom() {
        let body = br#"{"orders":[{"id":1042,"email":"ada@example.com","total":"20.00","customer":{"name":"Ada"}}]}"#;
        let part = Part::of_answer(body, as_is);
        assert!(part.text.contains("1042") && part.text.contains("20.00"), "{}", part.text);
        assert!(!part.text.contains("ada@") && !part.text.contains("Ada"), "{}", part.text);
        let request = Part::of_request(b"query=orders&email=ada@example.com", as_is);
        assert!(!request.text.contains("ada@"), "{}", request.text);
        assert_eq!(Part::of_answer(b"", as_is).text, "");
        let escaped = Part::of_answer(br#"{"sent":"tiny\u00399"}"#, |text| text.replace("tiny99", "•••"));
        assert_eq!(escaped.text, r#"{"sent":"•••"}"#);
        // The digest is of the whole, and what is kept of it is bounded.
        let long = format!(r#"{{"ids":[{}1]}}"#, "1,".repeat(100_000));
        let part = Part::of_answer(long.as_bytes(), as_is);
        assert_eq!((part.text.len(), part.whole), (KEPT_BYTES_MAX, Some(whole(long.as_bytes()))));
        let longer = vec![b' '; READ_BYTES_MAX + 1];
        assert_eq!(Part::of_answer(&longer, as_is).text, "••• (1048577 bytes: too many to be kept)");
    }

    #[test]
    fn a_call_is_told_with_the_digests_of_what_is_kept_and_of_the_whole() {
        let (request, answer) = (Part::of_request(b"", as_is), Part::of_answer(br#"{"name":"Ada"}"#, as_is));
        let what = Map::from_iter([("url".to_owned(), "https://x.example/".into())]);
        let call = ToldCall::new(what, Some(request.clone()), Some(answer.clone()));
        let detail: Value = serde_json::from_str(&call.detail).unwrap();
        assert_eq!(detail["request_sha256"], hex(&hash(&[b""])));
        assert_eq!(detail["answer_sha256"], hex(&hash(&[answer.text.as_bytes()])));
        let answered = whole(br#"{"name":"Ada"}"#);
        assert_eq!((&detail["answer_length"], &detail["answer_whole_sha256"]), (&14.into(), &answered.sha256.into()));
        assert_eq!(detail["request_whole_sha256"], Value::Null, "what is kept of it is the whole");
    }

    #[test]
    fn a_request_is_told_as_a_whole_where_a_part_is_kept_and_no_digest_holds_a_secret() {
        let redact = |text: &str| text.replace("hunter2", "•••");
        assert_eq!(Part::of_request(b"page=2", redact).whole, None);
        let asked = b"email=ada@example.com";
        assert_eq!(Part::of_request(asked, redact).whole, Some(whole(asked)));
        let hidden = "email=ada@example.com&password=•••";
        let part = Part::of_request(b"email=ada@example.com&password=hunter2", redact);
        assert_eq!(part.whole, Some(whole(hidden.as_bytes())));
        let call = ToldCall::new(Map::new(), Some(part), None);
        assert!(
            call.detail.contains(r#""request_whole_sha256":""#) && call.detail.contains(r#""request_length":"#),
            "{}",
            call.detail
        );
    }

    #[test]
    fn an_attempt_tells_the_whole_of_what_was_cut_or_hidden_and_else_only_what_is_kept() {
        fn redact(text: &str) -> Cow<'_, str> {
            if text.contains("hunter2") { Cow::Owned(text.replace("hunter2", "•••")) } else { Cow::Borrowed(text) }
        }
        assert_eq!(Part::of_attempt(b"", redact), None);
        let short = Part::of_attempt(br#"{"id":1}"#, redact).unwrap();
        assert_eq!((short.text.as_str(), &short.whole), (r#"{"id":1}"#, &None));
        let long = vec![b'x'; KEPT_BYTES_MAX + 1];
        let part = Part::of_attempt(&long, redact).unwrap();
        assert_eq!((part.text.len(), part.whole), (KEPT_BYTES_MAX, Some(whole(&long))));
        // As the bytes came, also where they are no text.
        let packed = b"%PDF \xff\0";
        let part = Part::of_attempt(packed, redact).unwrap();
        assert_eq!((part.text.as_str(), part.whole), ("%PDF \u{fffd}", Some(whole(packed))));
        let part = Part::of_attempt(b"not hunter2", redact).unwrap();
        assert_eq!((part.text.as_str(), part.whole), ("not •••", Some(whole("not •••".as_bytes()))));
        let mut told = Map::new();
        short.note("answer", &mut told);
        assert_eq!(told.keys().collect::<Vec<_>>(), ["answer_sha256"]);
    }
}
