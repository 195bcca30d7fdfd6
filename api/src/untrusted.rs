//! What strangers send to this process, met by the code that reads it: for the fuzzer (`fuzz/`, with its feature `server`) and for a test of every build.
//! Each function takes any bytes and must come back; it is true where they were understood.

use actix_web::http::header::{ACCEPT, COOKIE, HeaderMap, HeaderValue};
use jsonwebtoken::jwk::JwkSet;

use crate::auth::Tokens;
use crate::sso::id_token::{Expected, believe};
use crate::{api_key, event_stream, graphql, second_factor, sso, web_session};

/// What is tried with any bytes.
pub type Target = fn(&[u8]) -> bool;

/// By the name of the folder of its seeds.
pub const TARGETS: [(&str, Target); 4] =
    [("access_token", access_token), ("id_token", id_token), ("graphql", graphql), ("door", door)];

const KEY: &str = "a key of the fuzzer, of 32 characters at least";
/// Between the parts of an input that has several.
const CUT: &[u8] = b"\n===\n";

/// An access token, of a session or of an impersonation.
pub fn access_token(data: &[u8]) -> bool {
    let Ok(token) = std::str::from_utf8(data) else { return false };
    let tokens = Tokens::new(&KEY.into(), None);
    let (session, impersonation) = (tokens.read(token), tokens.read_impersonation(token));
    assert!(session.is_none() || impersonation.is_none(), "a token is of one kind");
    let other = Tokens::new(&"another key, of which nobody has signed anything".into(), None);
    assert!(other.read(token).is_none() && other.read_impersonation(token).is_none(), "nobody's token is good under every key");
    session.is_some() || impersonation.is_some()
}

/// The keys of a provider, `===`, an ID token that it is said to have signed.
pub fn id_token(data: &[u8]) -> bool {
    let at = data.windows(CUT.len()).position(|window| window == CUT);
    let Some((keys, token)) = at.map(|at| (&data[..at], &data[at + CUT.len()..])) else { return false };
    let (Ok(keys), Ok(token)) = (serde_json::from_slice::<JwkSet>(keys), std::str::from_utf8(token)) else { return false };
    let expected = Expected { issuer: "https://id.example.com", client_id: "us", nonce: "n0nce", now: 1_790_000_000 };
    match believe(token, &keys.keys, &expected) {
        Ok(believed) => {
            assert!(!believed.subject.is_empty());
            assert!(believe(token, &[], &expected).is_err(), "without a key nothing is believed");
            true
        }
        Err(disbelief) => {
            assert!(!disbelief.to_string().is_empty());
            false
        }
    }
}

/// The body of a request to the GraphQL API.
pub fn graphql(data: &[u8]) -> bool {
    graphql::is_read(data)
}

/// What stands in headers, queries and arguments. The first byte chooses.
pub fn door(data: &[u8]) -> bool {
    let Some((choice, rest)) = data.split_first() else { return false };
    let Ok(text) = std::str::from_utf8(rest) else { return false };
    let headers = |name| HeaderValue::from_str(text).map(|value| HeaderMap::from_iter([(name, value)])).unwrap_or_default();
    match choice % 7 {
        0 => graphql::is_cursor(text),
        1 => sso::is_answer(text),
        2 => second_factor::step_of(&"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into(), text).is_some(),
        3 => web_session::find(&headers(COOKIE), "crossdock").is_some(),
        4 => event_stream::is_asked_for(&headers(ACCEPT)),
        5 => api_key::prefix(text).is_some_and(|prefix| {
            assert!(text.contains(prefix) && prefix.len() < text.len());
            true
        }),
        _ => domain::identity_provider::EmailDomain::of(text).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use super::*;

    /// One target takes no longer, however slow the machine is.
    const ALL_MAX: Duration = Duration::from_secs(2);
    const ONE_MAX: Duration = Duration::from_secs(5);
    const WORDS: [&str; 24] = [
        ".",
        "..",
        "=",
        "&",
        ";",
        ",",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "\"\"\"",
        "\\",
        "#",
        "\n",
        "\n===\n",
        "...f0 ",
        "fragment f0 on Viewer { ",
        "state=",
        "code=",
        "eyJhbGciOiJub25lIn0",
        "_",
        "%00",
        "é",
    ];

    fn folder(target: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
    }

    /// Numbers that are the same in every run (SplitMix64).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, end: usize) -> usize {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut n = self.0;
            n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            usize::try_from((n ^ (n >> 31)) % end as u64).unwrap()
        }
    }

    fn changed(dice: &mut Dice, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut input = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(3) {
            let at = dice.below(input.len() + 1);
            let end = (at + 1 + dice.below(16)).min(input.len());
            match dice.below(5) {
                0 if at < input.len() => input[at] ^= 1 << dice.below(8),
                1 => drop(input.drain(at..end)),
                2 => {
                    let part = input[at..end].repeat(1 + dice.below(200));
                    input.splice(at..at, part);
                }
                3 => drop(input.splice(at..end, WORDS[dice.below(WORDS.len())].bytes())),
                _ => drop(input.splice(at..at, WORDS[dice.below(WORDS.len())].bytes())),
            }
        }
        input
    }

    #[test]
    fn threat_parsers_of_what_strangers_send_come_back_from_anything() {
        for (target, body) in TARGETS {
            let mut files: Vec<PathBuf> = std::fs::read_dir(folder(target)).unwrap().map(|file| file.unwrap().path()).collect();
            files.sort();
            let mut seeds = vec![];
            for file in files {
                let seed = std::fs::read(&file).unwrap();
                let is_refused = file.file_name().unwrap().to_str().unwrap().starts_with("refused");
                assert_eq!(body(&seed), !is_refused, "{} is understood, unless its name says otherwise", file.display());
                seeds.push(seed);
            }
            let (mut dice, all) = (Dice(1), Instant::now());
            while all.elapsed() < ALL_MAX {
                let (input, one) = (changed(&mut dice, &seeds), Instant::now());
                let outcome = catch_unwind(AssertUnwindSafe(|| body(&input)));
                assert!(
                    outcome.is_ok() && one.elapsed() < ONE_MAX,
                    "{target} after {:?}: {}",
                    one.elapsed(),
                    input.escape_ascii()
                );
            }
        }
    }

    #[test]
    fn every_target_stands_in_the_fuzzers_list() {
        let list = std::fs::read_to_string(folder("").join("../Cargo.toml")).unwrap();
        for (target, _) in TARGETS {
            assert!(
                list.contains(&format!("name = \"{target}\""))
                    && folder("").join(format!("../fuzz_targets/{target}.rs")).is_file(),
                "{target}"
            );
        }
    }
}
