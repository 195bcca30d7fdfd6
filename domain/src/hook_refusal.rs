//! Hooks that were refused, as the tenant that they were sent to is told of them in its audit log: why, how many since it was told last, and what to do next.
//! Whoever knows a hook's address may send to it as often as they like, so refusals are counted and never told one by one.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;

use crate::id::ConnectionId;
use crate::scope::Request;

/// Characters of what the first one was refused for.
const WHY_CHARS_MAX: usize = 200;

/// Why a hook is refused. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    NoHooks,
    MissingHeader,
    DoubledHeader,
    MalformedHeader,
    BadSignature,
    Stale,
    OtherAccount,
    NoSecret,
    BadSecret,
    Unreadable,
    TooLarge,
    Compressed,
    Unfinished,
    Unstorable,
    /// More hooks, or for more causes, than are told one by one.
    Others,
}

impl Cause {
    pub const ALL: [Self; 15] = [
        Self::NoHooks,
        Self::MissingHeader,
        Self::DoubledHeader,
        Self::MalformedHeader,
        Self::BadSignature,
        Self::Stale,
        Self::OtherAccount,
        Self::NoSecret,
        Self::BadSecret,
        Self::Unreadable,
        Self::TooLarge,
        Self::Compressed,
        Self::Unfinished,
        Self::Unstorable,
        Self::Others,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoHooks => "no_hooks",
            Self::MissingHeader => "missing_header",
            Self::DoubledHeader => "doubled_header",
            Self::MalformedHeader => "malformed_header",
            Self::BadSignature => "bad_signature",
            Self::Stale => "stale",
            Self::OtherAccount => "other_account",
            Self::NoSecret => "no_secret",
            Self::BadSecret => "bad_secret",
            Self::Unreadable => "unreadable",
            Self::TooLarge => "too_large",
            Self::Compressed => "compressed",
            Self::Unfinished => "unfinished",
            Self::Unstorable => "unstorable",
            Self::Others => "others",
        }
    }

    /// What happened, in one sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::NoHooks => "A webhook came for a connection whose connector takes none.",
            Self::MissingHeader => "A webhook came without a header that its vendor always sends.",
            Self::DoubledHeader => "A webhook came with a header twice that may be there once.",
            Self::MalformedHeader => "A webhook came with a signature that is not written as its vendor writes it.",
            Self::BadSignature => "A webhook came that was not signed with this connection's secret, or was changed on its way.",
            Self::Stale => "A webhook came that was signed too long ago, or ahead of our time.",
            Self::OtherAccount => "A webhook came that is of another account than the connection's.",
            Self::NoSecret => "A webhook came, and the connection has no secret to verify it with.",
            Self::BadSecret => "A webhook came, and the connection's secret is not written as this vendor writes secrets.",
            Self::Unreadable => "A webhook came that is not what the connector reads.",
            Self::TooLarge => "A webhook came that is larger than what is taken.",
            Self::Compressed => "A webhook came compressed, so that it cannot be verified.",
            Self::Unfinished => "A webhook came that broke off, or took too long.",
            Self::Unstorable => "A webhook came that holds something which cannot be stored, such as a NUL character.",
            Self::Others => "Webhooks came that were refused, to more connections or for more causes than are told one by one.",
        }
    }

    /// What to do next.
    #[must_use]
    pub fn next_step(self) -> &'static str {
        match self {
            Self::NoHooks => "Take the webhook away at the vendor: what it tells is read by polls.",
            Self::MissingHeader | Self::MalformedHeader => {
                "If it is the vendor's, look whether a proxy between takes headers away or writes them anew, and whether the webhook is of the kind that the \
                 connector describes. If nobody of yours sent it, there is nothing to do: nothing of it was let in."
            }
            Self::DoubledHeader => "Look what adds the header a second time, most often a proxy between, and take that away.",
            Self::BadSignature => {
                "If it is the vendor's, its secret is another than here: store the one that stands there in the connection's credential, or rotate the secret \
                 of the webhook. If nobody of yours sent it, there is nothing to do: nothing of it was let in."
            }
            Self::Stale => {
                "Set the clock of the sender right. If it is right, somebody has sent an old one again, and there is nothing to do: nothing of it was let in."
            }
            Self::OtherAccount => {
                "Let each account of the vendor send to the address of its own connection, or correct the account in the connection's settings."
            }
            Self::NoSecret => "Store the secret that the vendor signs with in the connection's credential.",
            Self::BadSecret => {
                "Copy the secret from the vendor's page once more, whole, and store it in the connection's credential."
            }
            Self::Unreadable => {
                "Look at the vendor whether the webhook sends JSON in the version that the connector is made for. What it told is brought by the next poll, where \
                 there is one."
            }
            Self::TooLarge => {
                "Let the vendor send less, or the id alone, where it can be asked to. What it told is brought by the next poll, where there is one."
            }
            Self::Compressed => "Switch compression off where the webhook is sent, or in the proxy between.",
            Self::Unfinished => "Look at the network and the proxies between. A vendor sends it again by itself.",
            Self::Unstorable => "Correct the thing at its source, and save it there once more.",
            Self::Others => "Look at the events of the same minutes: they name the first connections.",
        }
    }
}

/// Refusals of one connection's hook for one cause, since the last time that it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// None of [`Cause::Others`].
    pub connection: Option<ConnectionId>,
    pub cause: Cause,
    pub count: u64,
    /// The first of them: when it came, whence, and what exactly was wrong with it.
    pub since: DateTime<Utc>,
    pub asked: Request,
    pub why: Option<String>,
}

impl Refused {
    /// The detail of its event, as JSON. Whence the first came stands where it stands in every event: with the actor.
    #[must_use]
    pub fn detail(&self) -> String {
        let mut told = json!({
            "reason": self.cause.as_str(),
            "count": self.count,
            "since": self.since.to_rfc3339_opts(SecondsFormat::Millis, true),
            "sentence": self.cause.sentence(),
            "next_step": self.cause.next_step(),
        });
        if let Some(why) = &self.why {
            told["why"] = why.as_str().into();
        }
        told.to_string()
    }
}

/// What was wrong with one, as far as it is kept.
#[must_use]
pub fn why(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WHY_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn every_cause_has_a_word_of_its_own_a_sentence_and_a_next_step() {
        let words: HashSet<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        assert_eq!(words.len(), Cause::ALL.len());
        for cause in Cause::ALL {
            let (word, sentence, next) = (cause.as_str(), cause.sentence(), cause.next_step());
            assert!(word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{word}");
            assert!(sentence.ends_with('.') && next.ends_with('.') && !next.contains("  "), "{word}: {sentence} {next}");
        }
    }

    #[test]
    fn an_event_tells_how_many_came_since_when_and_why() {
        let mut refused = Refused {
            connection: Some(ConnectionId::generate()),
            cause: Cause::MissingHeader,
            count: 3,
            since: "2026-11-30T10:00:00.5Z".parse().unwrap(),
            asked: Request::own(),
            why: Some(why(&format!("the header X is\0 missing{}", "!".repeat(WHY_CHARS_MAX)))),
        };
        let detail: Value = serde_json::from_str(&refused.detail()).unwrap();
        assert_eq!(
            (&detail["reason"], &detail["count"], &detail["since"]),
            (&json!("missing_header"), &json!(3), &json!("2026-11-30T10:00:00.500Z"))
        );
        assert!(detail["next_step"].as_str().unwrap().contains("proxy"), "{detail}");
        let why = detail["why"].as_str().unwrap();
        assert!(why.starts_with("the header X is missing!") && why.len() == WHY_CHARS_MAX, "{why}");
        refused.why = None;
        assert!(!refused.detail().contains("\"why\""), "{}", refused.detail());
    }
}
