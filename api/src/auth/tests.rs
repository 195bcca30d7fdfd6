use base64::Engine as _;
use jsonwebtoken::crypto;
use serde_json::{Value, json};

use super::*;

const KEY: &str = "a key of the tests, of 32 characters at least";

fn tokens() -> Tokens {
    Tokens::new(&KEY.into(), None)
}

/// A token of any header and any claims, signed by HMAC with SHA-256 and this key.
fn made(header: &Value, claims: &Value, key: &str) -> String {
    let part = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(key.as_bytes()), Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

/// What a good token says, with some of it replaced; null takes it away.
fn claims(other: Value) -> Value {
    let now = Utc::now().timestamp();
    let (user, session) = (UserId::generate(), SessionId::generate());
    let mut claims =
        json!({"iss": ISSUER, "aud": AUDIENCE, "sub": user, "sid": session, "iat": now, "nbf": now, "exp": now + 600});
    for (name, value) in other.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[test]
fn jwt_of_our_own_is_read() {
    let (user, session) = (UserId::generate(), SessionId::generate());
    let (token, expires_at) = tokens().sign(user, session).unwrap();
    assert_eq!(tokens().read(&token), Some((user, session)));
    assert!(expires_at <= Utc::now() + Duration::minutes(ACCESS_MINUTES));
    assert!(tokens().read(&made(&json!({"alg": "HS256", "typ": "JWT"}), &claims(json!({})), KEY)).is_some());
}

#[test]
fn jwt_of_the_key_before_is_read_while_it_is_replaced_and_not_one_moment_longer() {
    let (old, new): (SecretString, SecretString) = (KEY.into(), "the next key of the tests, as long as the one before".into());
    let (user, session) = (UserId::generate(), SessionId::generate());
    // First all read the new key, then all sign by it, then the old one is taken away: a process of each step beside one of the next.
    let steps = [(&old, None), (&old, Some(&new)), (&new, Some(&old)), (&new, None)].map(|(key, also)| Tokens::new(key, also));
    for pair in steps.windows(2) {
        for (from, to) in [(&pair[0], &pair[1]), (&pair[1], &pair[0])] {
            let (token, _) = from.sign(user, session).unwrap();
            assert_eq!(to.read(&token), Some((user, session)));
        }
    }
    let (token, _) = steps[0].sign(user, session).unwrap();
    assert_eq!(steps[3].read(&token), None);
    // Nobody chooses the key: a `kid` is a word like any other.
    let chosen = made(&json!({"alg": "HS256", "kid": "1"}), &claims(json!({})), "a key that nobody has configured anywhere");
    assert!(steps[1].read(&chosen).is_none() && steps[2].read(&chosen).is_none());
}

#[test]
fn jwt_of_an_impersonation_is_no_sessions_and_no_sessions_is_one() {
    let now = Utc::now();
    let live = LiveImpersonation {
        id: ImpersonationId::generate(),
        user: UserId::generate(),
        tenant: TenantId::generate(),
        tenant_slug: "acme".into(),
        tenant_name: "Acme".into(),
        staff_name: "Sue".into(),
        staff_email: "sue@crossdock.example".into(),
        reason: "why".into(),
        ticket: "HELP-1".into(),
        may_write: false,
        sees_personal: false,
        ends_at: now + Duration::minutes(60),
    };
    let session = SessionId::generate();
    let token = tokens().sign_impersonation(&live, session).unwrap();
    assert_eq!(tokens().read_impersonation(&token), Some((live.id, live.user, session)));
    assert_eq!(tokens().read(&token), None);
    let (token, _) = tokens().sign(live.user, session).unwrap();
    assert_eq!(tokens().read_impersonation(&token), None);
    for wrong in [
        json!({"aud": SUPPORT_AUDIENCE}),
        json!({"aud": SUPPORT_AUDIENCE, "imp": "imp_1"}),
        json!({"aud": AUDIENCE, "imp": live.id}),
        json!({"aud": [AUDIENCE, SUPPORT_AUDIENCE]}),
        json!({"aud": SUPPORT_AUDIENCE, "imp": live.id, "exp": now.timestamp() - 60}),
    ] {
        let token = made(&json!({"alg": "HS256", "typ": "JWT"}), &claims(wrong.clone()), KEY);
        assert_eq!((tokens().read(&token), tokens().read_impersonation(&token)), (None, None), "{wrong}");
    }
}

#[test]
fn jwt_of_another_algorithm_is_a_strangers_whatever_its_signature() {
    // HMAC under our key, and a header that says something else: none, a public key's algorithm, another hash.
    for alg in ["none", "None", "NONE", "", "RS256", "PS256", "ES256", "EdDSA", "HS384", "HS512", "hs256"] {
        let token = made(&json!({"alg": alg, "typ": "JWT"}), &claims(json!({})), KEY);
        assert_eq!(tokens().read(&token), None, "{alg}");
        let (unsigned, _) = token.rsplit_once('.').unwrap();
        assert_eq!(tokens().read(&format!("{unsigned}.")), None, "{alg} without a signature");
    }
    for algorithm in [Algorithm::HS384, Algorithm::HS512] {
        let token = jsonwebtoken::encode(&Header::new(algorithm), &claims(json!({})), &EncodingKey::from_secret(KEY.as_bytes()));
        assert_eq!(tokens().read(&token.unwrap()), None, "{algorithm:?}, truly signed");
    }
}

#[test]
fn jwt_brings_no_key_of_its_own() {
    let theirs = "a key that an attacker has chosen for themselves";
    let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(theirs)});
    for more in [
        json!({"kid": "../../dev/null"}),
        json!({"kid": "' UNION SELECT 'x"}),
        json!({"jku": "https://evil.example/keys"}),
        json!({"x5u": "https://evil.example/cert"}),
        json!({"jwk": jwk}),
    ] {
        let mut header = json!({"alg": "HS256", "typ": "JWT"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        for key in [theirs, "", "/dev/null"] {
            assert_eq!(tokens().read(&made(&header, &claims(json!({})), key)), None, "{header} {key:?}");
        }
    }
}

#[test]
fn jwt_for_somebody_else_or_another_time_is_a_strangers() {
    let now = Utc::now().timestamp();
    for wrong in [
        json!({"aud": "another-api"}),
        json!({"aud": []}),
        json!({"aud": null}),
        json!({"iss": "another"}),
        json!({"iss": null}),
        json!({"exp": now - 60}),
        json!({"exp": null}),
        json!({"exp": "tomorrow"}),
        json!({"nbf": now + 600}),
        json!({"nbf": null}),
        json!({"sub": null}),
        json!({"sub": "usr_1"}),
        json!({"sid": null}),
        json!({"sub": SessionId::generate()}),
    ] {
        let token = made(&json!({"alg": "HS256", "typ": "JWT"}), &claims(wrong.clone()), KEY);
        assert_eq!(tokens().read(&token), None, "{wrong}");
    }
}

#[test]
fn jwt_that_was_altered_cut_or_doubled_is_a_strangers() {
    let token = made(&json!({"alg": "HS256", "typ": "JWT"}), &claims(json!({})), KEY);
    let parts: Vec<&str> = token.split('.').collect();
    let [header, body, signature] = parts[..] else { panic!("three parts") };
    let other = URL_SAFE_NO_PAD.encode(claims(json!({})).to_string());
    for forged in [
        format!("{header}.{other}.{signature}"),
        format!("{header}.{body}"),
        format!("{header}.{body}.{signature}.{signature}"),
        format!("{header}.{body}.{}", &signature[..signature.len() - 1]),
        format!("{header}.{body}.{signature}="),
        format!(" {token}"),
        format!("{header}..{signature}"),
        "x".repeat(100_000),
        String::new(),
    ] {
        assert_eq!(tokens().read(&forged), None, "{forged:.80}");
    }
}
