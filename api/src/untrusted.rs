//! What strangers send to this process, met by the code that reads it: for the fuzzer (`fuzz/`, with its feature `server`) and for a test of every build.
//! Each function takes any bytes and must come back; it is true where they were understood. Where more must hold of what was read, it is asserted.

use std::net::IpAddr;
use std::sync::LazyLock;

use actix_web::http::header::{ACCEPT, COOKIE, FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, X_FORWARDED_FOR};
use domain::identity_provider::EmailDomain;
use domain::scope::TraceId;
use domain::secret::SecretString;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::JwkSet;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

use crate::auth::Tokens;
use crate::client_address::{Forwarding, Proxies};
use crate::passkey::Passkeys;
use crate::sso::id_token::{Expected, believe};
use crate::sso::provider::{self as asked, Client, Code, Metadata, ProviderError};
use crate::{api_key, audit, event_stream, graphql, scim, second_factor, sso, web_session};

/// What is tried with any bytes.
pub type Target = fn(&[u8]) -> bool;

/// By the name of the folder of its seeds.
pub const TARGETS: [(&str, Target); 8] = [
    ("access_token", access_token),
    ("id_token", id_token),
    ("graphql", graphql),
    ("query", query),
    ("door", door),
    ("client_address", client_address),
    ("provider", provider),
    ("passkey", passkey),
];

/// What stands in headers, queries, fields and arguments, each a text. The first byte of an input is a place in this list, so that a new one stands last.
const DOORS: [fn(&str) -> bool; 15] = [
    graphql::is_cursor,
    sso::is_answer,
    code,
    cookie,
    stream,
    key,
    mail_domain,
    trace,
    own_page,
    sign_in,
    directory_query,
    registered_operation,
    sheet_query,
    mail_addresses,
    authority,
];

const KEY: &str = "a key of the fuzzer, of 32 characters at least";
const ISSUER: &str = "https://id.example.com";
/// Between the parts of an input that has several.
const CUT: &[u8] = b"\n===\n";
/// What a key is asked, and what it is not.
const CHALLENGES: [&str; 2] = ["AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
/// What a key of nobody's answered to the first of them when it was made.
const NEW_KEY: &str = r#"{"id":"BY1IPmuqK6d0PoR5aX00iU-Q6N1yk5GeZy3db1gIxuM","rawId":"BY1IPmuqK6d0PoR5aX00iU-Q6N1yk5GeZy3db1gIxuM","type":"public-key","clientExtensionResults":{},"response":{"attestationObject":"o2NmbXRkbm9uZWdhdHRTdG10oGhhdXRoRGF0YVikGCk8CpGjmrd8TU5vZzsJBz801wzVMuToUlMS9eMYA_RFAAAAAQAAAAAAAAAAAAAAAAAAAAAAIAWNSD5rqiundD6EeWl9NIlPkOjdcpORnmct3W9YCMbjpQECAyYgASFYIPfOAjLRlA7DIL9Ir7Y7NMam_VNgTeT2YsR37aMcz_dUIlggiwb--USgYoftVcbK9ba96aTVxLsOWrzuzTssnuhs2WE","clientDataJSON":"eyJ0eXBlIjoid2ViYXV0aG4uY3JlYXRlIiwiY2hhbGxlbmdlIjoiQUFFQ0F3UUZCZ2NJQ1FvTERBME9EeEFSRWhNVUZSWVhHQmthR3h3ZEhoOCIsIm9yaWdpbiI6Imh0dHBzOi8vaHViLmV4YW1wbGUuY29tIiwiY3Jvc3NPcmlnaW4iOmZhbHNlfQ","transports":["usb"]}}"#;

fn cut(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = data.windows(CUT.len()).position(|window| window == CUT)?;
    Some((&data[..at], &data[at + CUT.len()..]))
}

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
    let Some((keys, token)) = cut(data) else { return false };
    let (Ok(keys), Ok(token)) = (serde_json::from_slice::<JwkSet>(keys), std::str::from_utf8(token)) else { return false };
    let expected = Expected { issuer: ISSUER, client_id: "us", nonce: "n0nce", now: 1_790_000_000 };
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

/// The query of such a request by itself, so that chance need not hit what JSON makes of it.
pub fn query(data: &[u8]) -> bool {
    std::str::from_utf8(data).is_ok_and(|text| graphql::is_run(async_graphql::Request::new(text)))
}

/// One of [`DOORS`].
pub fn door(data: &[u8]) -> bool {
    let Some((choice, rest)) = data.split_first() else { return false };
    std::str::from_utf8(rest).is_ok_and(DOORS[usize::from(*choice) % DOORS.len()])
}

fn header(name: HeaderName, text: &str) -> HeaderMap {
    HeaderValue::from_str(text).map(|value| HeaderMap::from_iter([(name, value)])).unwrap_or_default()
}

fn code(text: &str) -> bool {
    second_factor::step_of(&"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ".into(), text).is_some()
}

fn cookie(text: &str) -> bool {
    web_session::find(&header(COOKIE, text), "crossdock").is_some_and(|value| {
        assert!(!value.is_empty() && !value.contains(';') && text.contains(&value), "a cookie is what came: {value}");
        true
    })
}

fn stream(text: &str) -> bool {
    event_stream::is_asked_for(&header(ACCEPT, text))
}

fn key(text: &str) -> bool {
    api_key::prefix(text).is_some_and(|prefix| {
        assert!(text.contains(prefix) && prefix.len() < text.len());
        true
    })
}

fn mail_domain(text: &str) -> bool {
    EmailDomain::of(text).is_some_and(|domain| {
        assert_eq!(EmailDomain::parse(domain.as_str()).as_ref(), Some(&domain), "a domain has one spelling");
        true
    })
}

fn trace(text: &str) -> bool {
    TraceId::of_traceparent(text).is_some_and(|trace| {
        assert!(text.contains(&trace.to_string()), "a trace is what came: {trace}");
        let again = TraceId::of_traceparent(&format!("00-{trace}-00f067aa0ba902b7-01"));
        assert_eq!(again, Some(trace), "what is shown is what was read");
        true
    })
}

/// The origin of a page that signs somebody in.
fn own_page(text: &str) -> bool {
    let Ok(origin) = HeaderValue::from_str(text) else { return false };
    let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("hub.example.com")), (ORIGIN, origin)]);
    let is_own = web_session::is_own(&headers, "https://hub.example.com");
    let is_ours = text.eq_ignore_ascii_case("https://hub.example.com") || text.eq_ignore_ascii_case("http://hub.example.com");
    assert!(is_ours || !is_own, "a page of another origin signs nobody in: {text}");
    is_own
}

/// The body of the web app's sign-in.
fn sign_in(text: &str) -> bool {
    web_session::parse::<web_session::Open>(text.as_bytes()).is_some_and(|open| {
        let texts = [Some(&open.email), Some(&open.password), open.code.as_ref()];
        assert!(texts.into_iter().flatten().all(|text| !text.contains('\0')), "Postgres has no NUL in a text");
        true
    })
}

fn directory_query(text: &str) -> bool {
    scim::rows(text).is_some_and(|rows| {
        assert!(rows.start >= 0 && (0..=200).contains(&(rows.end - rows.start)), "a page is bounded: {rows:?}");
        true
    })
}

/// The extension of a request that names a registered operation.
fn registered_operation(text: &str) -> bool {
    graphql::named(text).is_some_and(|hash| {
        let again = graphql::named(&format!(r#"{{"version": 1, "sha256Hash": "{hash}"}}"#));
        assert_eq!(again.as_ref(), Some(&hash), "a hash has one text");
        true
    })
}

/// The query of a sheet of the audit log.
fn sheet_query(text: &str) -> bool {
    audit::narrowed(text).is_some_and(|filter| {
        let says = |wanted: &str| form_urlencoded::parse(text.as_bytes()).any(|(name, _)| name == wanted);
        assert_eq!(filter.subject.is_some(), says("subjectId"), "what is no id narrows to nothing, and not to everything");
        assert_eq!(filter.request.is_some(), says("requestId"), "what is no id narrows to nothing, and not to everything");
        assert_eq!(filter.address.is_some(), says("address"), "what is no address is refused, and narrows not to everything");
        assert_eq!(filter.trace.is_some(), says("trace"), "what is no trace is refused, and narrows not to everything");
        true
    })
}

fn mail_addresses(text: &str) -> bool {
    let is_good = infra::mail::check_addresses(text).is_ok();
    let is_line = |address: &str| !address.trim().contains(['\r', '\n']);
    assert!(!is_good || text.split(',').all(is_line), "an address brings no header of its own: {text:?}");
    is_good
}

/// The certificate of who vouches for a tenant's server.
fn authority(text: &str) -> bool {
    infra::outbound::check_ca(text).is_ok()
}

/// The header of proxies, a line each, as a client and they have written it. The first byte chooses which header it is.
pub fn client_address(data: &[u8]) -> bool {
    let Some((choice, rest)) = data.split_first() else { return false };
    let (forwarding, name, seen) = match choice % 2 {
        0 => (Forwarding::XForwardedFor, X_FORWARDED_FOR, "203.0.113.7"),
        _ => (Forwarding::Forwarded, FORWARDED, "for=203.0.113.7"),
    };
    let Ok(proxies) = Proxies::parse("10.0.0.0/8, 2001:db8:1::/48", forwarding) else { return false };
    let read = |from: [u8; 4], lines: &[&[u8]]| {
        let values = lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok());
        let headers: HeaderMap = values.map(|value| (name.clone(), value)).collect();
        proxies.behind(IpAddr::from(from), &headers)
    };
    let (proxy, stranger, client) = ([10, 1, 2, 3], [198, 51, 100, 1], IpAddr::from([203, 0, 113, 7]));
    let lines: Vec<&[u8]> = rest.split(|byte| *byte == b'\n').filter(|line| HeaderValue::from_bytes(line).is_ok()).collect();
    assert_eq!(read(stranger, &lines), IpAddr::from(stranger), "who is no proxy of ours is believed nothing");
    // What a proxy of ours wrote is believed whatever came before it, in its own line or in the last one.
    let (before, last) = lines.split_last().map_or((&lines[..], &b""[..]), |(last, before)| (before, *last));
    let longer = [last, &b", "[..], seen.as_bytes()].concat();
    assert_eq!(read(proxy, &[before, &[longer.as_slice()]].concat()), client, "a proxy wrote it behind the last line");
    assert_eq!(read(proxy, &[lines.as_slice(), &[seen.as_bytes()]].concat()), client, "a proxy wrote it in a line of its own");
    let found = read(proxy, &lines);
    let told = if forwarding == Forwarding::Forwarded { format!("for=\"[{found}]\"") } else { found.to_string() };
    assert_eq!(read(proxy, &[told.as_bytes()]), found, "an address is read as it is written");
    let is_proxy = proxies.behind(found, &HeaderMap::from_iter([(name.clone(), HeaderValue::from_static(seen))])) != found;
    if !is_proxy {
        let forged: &[&[u8]] = &[b"9.9.9.9, for=9.9.9.9"];
        assert_eq!(read(proxy, &[forged, lines.as_slice()].concat()), found, "what a client writes before it changes nothing");
    }
    found != IpAddr::from(proxy)
}

/// What was answered; where it is refused, it is so in a sentence of one line.
fn answered<T>(read: Result<T, ProviderError>) -> Option<T> {
    let refused = |error: ProviderError| {
        let said = error.to_string();
        assert!(!said.is_empty() && !said.contains(char::is_control), "a refusal is a line that people read: {said:?}");
    };
    read.map_err(refused).ok()
}

/// What an identity provider answers. The first byte chooses to what: discovery, its keys, a code (with the status in a line before it), the person, and what
/// is made of an ID token and of that (two documents, `===` between).
pub fn provider(data: &[u8]) -> bool {
    let Some((choice, body)) = data.split_first() else { return false };
    match choice % 5 {
        0 => answered(Metadata::read(ISSUER, body, |address| asked::is_fit(address, |_| false))).is_some_and(|metadata| {
            assert_eq!(metadata.issuer, ISSUER);
            let secret = SecretString::from("s3cret");
            let client = Client { id: "us", secret: &secret };
            let code = Code { code: "c", verifier: "v", redirect_uri: "https://hub.example.com/sso/callback" };
            if let Some(request) = answered(asked::token_request(&metadata, &client, &code)) {
                let is_safe = Url::parse(&request.url).is_ok_and(|url| url.scheme() == "https");
                assert!(is_safe, "our secret goes over https: {}", request.url);
            }
            true
        }),
        1 => answered(asked::read_keys(body)).is_some_and(|keys| {
            for key in &keys {
                let _ = DecodingKey::from_jwk(key);
            }
            !keys.is_empty()
        }),
        2 => {
            let at = body.iter().position(|byte| *byte == b'\n');
            let (status, body) = at.map_or((&b""[..], body), |at| (&body[..at], &body[at + 1..]));
            let status = std::str::from_utf8(status).ok().and_then(|text| text.parse().ok()).unwrap_or(200);
            answered(asked::Tokens::read(status, body)).is_some_and(|tokens| answered(tokens.id_token()).is_some())
        }
        3 => answered(asked::read_user_info(body, "ann")).is_some_and(|claims| {
            assert_eq!(claims.get("sub").and_then(Value::as_str), Some("ann"), "what is said is said of her");
            true
        }),
        _ => claims(body),
    }
}

fn claims(data: &[u8]) -> bool {
    let Some((token, more)) = cut(data) else { return false };
    let read = |json: &[u8]| serde_json::from_slice::<Map<String, Value>>(json);
    let (Ok(token), Ok(more)) = (read(token), read(more)) else { return false };
    let (address, groups) = sso::vouched_for(token.clone(), more.clone(), "groups");
    assert!(groups.len() <= sso::GROUPS_MAX);
    let vouches = |said: &Map<String, Value>, address: &str| {
        let is_verified = said.get("email_verified").is_some_and(|value| value == &Value::Bool(true) || value == "true");
        is_verified && said.get("email").and_then(Value::as_str) == Some(address)
    };
    address.is_some_and(|address| {
        let is_one = vouches(&token, &address) || vouches(&more, &address);
        assert!(is_one, "what is verified of one address says nothing of another: {address}");
        true
    })
}

/// An address of ours, what a new key is asked there, and what one that is known is: each by both of [`CHALLENGES`].
struct Room {
    passkeys: Passkeys,
    new: [String; 2],
    known: [String; 2],
}

impl Room {
    fn open() -> Option<Self> {
        let passkeys = Passkeys::new("https://hub.example.com");
        let [one, other] = CHALLENGES;
        let new = [passkeys.asks_new(one)?, passkeys.asks_new(other)?];
        let answer: Value = serde_json::from_str(NEW_KEY).ok()?;
        let key = passkeys.registered(&new[0], &answer)?;
        let known = [passkeys.asks_known(&key, one)?, passkeys.asks_known(&key, other)?];
        Some(Self { passkeys, new, known })
    }
}

/// What a browser sends of a key, JSON. The first byte chooses whether it is a new one or one that is known.
pub fn passkey(data: &[u8]) -> bool {
    static ROOM: LazyLock<Option<Room>> = LazyLock::new(Room::open);
    let Some((choice, credential)) = data.split_first() else { return false };
    let (Some(room), Ok(credential)) = (ROOM.as_ref(), serde_json::from_slice::<Value>(credential)) else { return false };
    let passkeys = &room.passkeys;
    if choice % 2 == 0 {
        let Some(key) = passkeys.registered(&room.new[0], &credential) else { return false };
        assert!(passkeys.asks_known(&key, CHALLENGES[0]).is_some(), "a key that is kept can be asked");
        assert!(passkeys.registered(&room.new[1], &credential).is_none(), "what answers one question answers no other");
        return true;
    }
    let is_right = |asked: &str| passkeys.shown(asked, &credential).is_some_and(|(_, shown)| shown.is_ok());
    assert!(!is_right(&room.known[1]), "what answers one question answers no other");
    is_right(&room.known[0])
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};

    use super::*;

    /// All targets together take no longer, however slow the machine is.
    const ALL_MAX: Duration = Duration::from_secs(6);
    /// One input takes milliseconds; one that takes this long has found a loop.
    const ONE_MAX: Duration = Duration::from_secs(5);
    const WORDS: [&str; 40] = [
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
        ":",
        "null",
        "true",
        "\\u0000",
        "\\\"",
        "10.0.0.1",
        "203.0.113.7, ",
        "[2001:db8:1::1]:80",
        "for=",
        "unknown",
        "https://",
        "@",
        "00-",
        "startIndex=-1&",
        "200\n",
        "oWNmbXRkbm9uZQ",
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
            while all.elapsed() < ALL_MAX / u32::try_from(TARGETS.len()).unwrap() {
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
    fn every_door_has_a_seed() {
        let files = std::fs::read_dir(folder("door")).unwrap().map(|file| std::fs::read(file.unwrap().path()).unwrap());
        let tried: Vec<usize> = files.filter_map(|seed| seed.first().map(|choice| usize::from(*choice))).collect();
        for door in 0..DOORS.len() {
            assert!(tried.contains(&door), "the door at {door}");
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
