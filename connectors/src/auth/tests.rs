//! Known answers of the standards, so that every kind is tested where no judge can be installed.

use std::collections::HashMap;

use chrono::DateTime;
use domain::http::Method;
use domain::secret::SecretFields;
use serde_json::json;

use super::*;
use crate::connector::Connector;
use crate::hex::hex;
use crate::request::{Draft, DraftBody};

mod token;

const IN_2026: i64 = 1_790_000_000;

pub(super) fn connector(auth: &str) -> Connector {
    let fields = ["id", "secret", "token", "token_secret"].map(|field| format!("{field}: {{title: F}}")).join(", ");
    let yaml = format!(
        "{{format: 1, name: x, title: Acme, category: erp, base_url: 'https://x.example', settings: {{company: {{title: C}}}},
          credential: {{{fields}}}, auth: {auth}}}"
    );
    Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml)])).unwrap_or_else(|errors| panic!("{errors}"))
}

pub(super) fn secrets(fields: &[(&str, &str)]) -> SecretFields {
    fields.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
}

pub(super) fn context<'c>(
    credential: &'c SecretFields,
    now: i64,
    nonce: &'c str,
    token: Option<&'c TokenSet>,
) -> RequestContext<'c> {
    static NOTHING: std::sync::LazyLock<serde_json::Value> = std::sync::LazyLock::new(|| json!({}));
    let now = DateTime::from_timestamp(now, 0).unwrap();
    RequestContext {
        settings: &NOTHING,
        credential,
        external_key: "",
        revision: 0,
        idempotency_key: "",
        now,
        nonce,
        token,
        group: None,
    }
}

fn draft(method: Method, url: &str, content_type: Option<&str>, body: &str) -> Draft {
    let headers = content_type.map(|kind| ("Content-Type".to_owned(), kind.to_owned())).into_iter().collect();
    Draft { method, url: url.to_owned(), query: vec![], headers, body: DraftBody::Text(body.to_owned()) }
}

fn get(auth: &str, credential: &SecretFields, url: &str) -> Result<HttpRequest, RequestError> {
    connector(auth).sign(draft(Method::Get, url, None, ""), &context(credential, IN_2026, "n0nce", None))
}

pub(super) fn header<'r>(request: &'r HttpRequest, name: &str) -> &'r str {
    let mut found = request.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
    let value = found.next().map_or("", |(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} comes twice");
    value
}

#[test]
fn a_fixed_secret_goes_where_the_manifest_says() {
    // The pair of RFC 7617 section 2.
    let credential = secrets(&[("id", "Aladdin"), ("secret", "open sesame")]);
    let url = "https://x.example/a?b=c";
    let cases = [
        ("{bearer: {secret: secret}}", "Authorization", "Bearer open sesame"),
        ("{basic: {user: id, password: secret}}", "Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("{basic: {user: id}}", "Authorization", "Basic QWxhZGRpbjo="),
        ("{api_key: {header: X-Key, secret: secret}}", "X-Key", "open sesame"),
        ("{api_key: {header: Authorization, prefix: 'Token ', secret: id}}", "Authorization", "Token Aladdin"),
    ];
    for (auth, name, value) in cases {
        let request = get(auth, &credential, url).unwrap();
        assert_eq!((header(&request, name), request.url.as_str()), (value, url), "{auth}");
    }
    let request = get("{api_key: {query: key, prefix: 'k:', secret: secret}}", &credential, url).unwrap();
    assert_eq!(request.url, "https://x.example/a?b=c&key=k%3Aopen%20sesame");
    assert!(!format!("{request:?}").contains("sesame"), "{request:?}");
}

#[test]
fn a_secret_that_is_missing_or_breaks_a_header_is_named() {
    let broken = secrets(&[("secret", "a\r\nX-Admin: yes"), ("id", "")]);
    for auth in ["{bearer: {secret: secret}}", "{api_key: {header: X-Key, secret: secret}}"] {
        assert!(matches!(get(auth, &broken, "https://x.example/"), Err(RequestError::Header(_))), "{auth}");
    }
    for field in ["id", "token"] {
        let error = get(&format!("{{bearer: {{secret: {field}}}}}"), &broken, "https://x.example/").unwrap_err();
        assert_eq!(error, RequestError::Secret(field.into()));
    }
    assert!(get("{basic: {user: id}}", &broken, "https://x.example/").is_ok(), "an empty part is sent as such");
}

#[test]
fn oauth1_signs_the_request_of_rfc_5849() {
    // The request of section 3.4.1.1; the signatures were made with oauthlib 4.0.1 (the RFC's own has no oauth_version).
    let credential = secrets(&[
        ("id", "9djdj82h48djs9d2"),
        ("secret", "j49sk3j29djd"),
        ("token", "kkk9d7dh3k39sjv7"),
        ("token_secret", "dh893hdasih9"),
    ]);
    let form = "application/x-www-form-urlencoded";
    let both = ", token: token, token_secret: token_secret";
    for (method, token, signature) in [
        ("hmac_sha256", both, "xie2kqHv7CoC3VI1g%2FIUClHXm4q%2B1H3XJZG1izUgBXs%3D"),
        ("hmac_sha256", "", "wCSSpa0QAeuG2SDsgPE5JQvJyNOSjLGua7dZcBbNUnE%3D"),
        ("hmac_sha1", both, "OB33pYjWAnf%2BxtOHN4Gmbdil168%3D"),
        ("hmac_sha1", "", "%2FoRgs7HwVC0K2Ou1j0tuVTR6bRI%3D"),
    ] {
        for place in ["header", "query"] {
            let auth = format!(
                "{{oauth1: {{realm: Example, consumer_key: id, consumer_secret: secret, method: {method}, place: {place}{token}}}}}"
            );
            let url = "http://example.com/request?b5=%3D%253D&a3=a&c%40=&a2=r%20b";
            let draft = draft(Method::Post, url, Some(form), "c2=&a3=2+q");
            let request = connector(&auth).sign(draft, &context(&credential, 137_131_201, "7d8f3e4a", None)).unwrap();
            if place == "header" {
                let value = header(&request, "authorization");
                assert!(value.starts_with("OAuth realm=\"Example\", oauth_consumer_key=\"9djdj82h48djs9d2\""), "{value}");
                assert!(value.contains(&format!("oauth_signature=\"{signature}\"")), "{method} {token}: {value}");
            } else {
                assert!(request.url.ends_with(&format!("&oauth_signature={signature}")), "{method} {token}: {}", request.url);
            }
        }
    }
}

#[test]
fn oauth1_does_not_sign_a_json_body() {
    // Made with oauthlib 4.0.1, as above, for a PUT with a JSON body.
    let credential = secrets(&[("id", "ck"), ("secret", "cs"), ("token", "tk"), ("token_secret", "ts")]);
    let auth =
        "{oauth1: {realm: 1234567_SB1, consumer_key: id, consumer_secret: secret, token: token, token_secret: token_secret}}";
    let url = "https://1234567-sb1.api.vendor.example/services/rest/record/v1/salesOrder/eid:a%20b?replace=item&x=%C3%A9";
    for body in ["", "{\"a\":1}"] {
        let draft = draft(Method::Put, url, Some("application/json"), body);
        let request = connector(auth).sign(draft, &context(&credential, IN_2026, "n0nce", None)).unwrap();
        let value = header(&request, "authorization");
        assert!(value.contains("oauth_signature=\"Ahu5CDOjNt7IryLQQ3ZrmbSTScgYSbPuvhDFeeXmeoI%3D\""), "{value}");
    }
}

#[test]
fn keys_that_last_need_no_session_token() {
    let auth = "{sigv4: {region: us-east-1, service: iam, access_key: id, secret_key: secret, session_token: token}}";
    let lasting = secrets(&[("id", "AKIDEXAMPLE"), ("secret", "s")]);
    let has_token = |credential: &SecretFields| {
        let request = get(auth, credential, "https://x.example/").unwrap();
        request.headers.iter().any(|(name, value)| name == "X-Amz-Security-Token" && value == "t")
    };
    assert!(!has_token(&lasting));
    assert!(has_token(&secrets(&[("id", "ASIAEXAMPLE"), ("secret", "s"), ("token", "t")])));
}

#[test]
fn sigv4_signs_the_documented_example_request() {
    // The example of the vendor's guide to creating a signed request: ListUsers of the identity service.
    let credential = secrets(&[("id", "AKIDEXAMPLE"), ("secret", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")]);
    let auth = "{sigv4: {region: us-east-1, service: iam, access_key: id, secret_key: secret}}";
    // In another order than it is signed in: it is sent as it is signed.
    let url = "https://iam.amazonaws.com/?Version=2010-05-08&Action=ListUsers";
    let draft = draft(Method::Get, url, Some("application/x-www-form-urlencoded; charset=utf-8"), "");
    let request = connector(auth).sign(draft, &context(&credential, 1_440_938_160, "", None)).unwrap();
    assert_eq!(request.url, "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08");
    assert_eq!(header(&request, "x-amz-date"), "20150830T123600Z");
    assert_eq!(
        header(&request, "authorization"),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date, \
         Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    );
}

#[test]
fn a_token_that_we_sign_is_the_one_that_others_make_and_verify() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
    use sha2::Digest as _;
    let rsa = include_str!("testdata/rsa.pem");
    // The key of RFC 7515 appendix A.3.
    let ec = include_str!("testdata/rfc7515_a3.pem");
    let public = include_str!("testdata/rsa_public.pem");
    let ec_public = || {
        DecodingKey::from_ec_components(
            "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
        )
    };
    let made = |algorithm: &str, key: &str, more: &str| {
        let credential = secrets(&[("id", "a:b"), ("secret", key)]);
        let auth = format!(
            "{{jwt: {{algorithm: {algorithm}, key: secret, lifetime_s: 300, claims: {{iss: '{{{{ credential.id }}}}'}}{more}}}}}"
        );
        let request = get(&auth, &credential, "https://x.example/").unwrap();
        header(&request, "authorization").strip_prefix("Bearer ").unwrap().to_owned()
    };
    // Made with PyJWT 2.15.1; of the long one, the hash.
    assert_eq!(
        made("HS256", "s3cret-of-the-two-of-us", ", key_id: k1"),
        "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.eyJpYXQiOjE3OTAwMDAwMDAsImV4cCI6MTc5MDAwMDMwMCwianRpIjoibjBuY2UiLCJpc3MiOiJhOmIifQ.o-kpVAvo2H649ktLNsmyuYENGe15N2Wqf2TeA7FSHfU"
    );
    let pasted = rsa.replace('\n', "\\n");
    for key in [rsa, &pasted] {
        assert_eq!(
            hex(&Sha256::digest(made("RS256", key, ""))),
            "d48183cc80b49152e6f339f30427c00525724a42e46b05f3c1a0cc309cebdf0a"
        );
    }
    for (algorithm, key, private) in
        [(Algorithm::PS256, DecodingKey::from_rsa_pem(public.as_bytes()), rsa), (Algorithm::ES256, ec_public(), ec)]
    {
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        let token = made(&format!("{algorithm:?}"), private, "");
        let claims = decode::<serde_json::Value>(&token, &key.unwrap(), &validation).unwrap().claims;
        assert_eq!(claims, json!({"iat": IN_2026, "exp": IN_2026 + 300, "jti": "n0nce", "iss": "a:b"}));
    }
}

#[test]
fn a_key_that_is_none_is_named_and_not_repeated() {
    let credential = secrets(&[("secret", "s3cret, but no PEM")]);
    for algorithm in ["RS256", "PS256", "ES256", "ES384"] {
        let auth = format!("{{jwt: {{algorithm: {algorithm}, key: secret, lifetime_s: 300}}}}");
        let error = get(&auth, &credential, "https://x.example/").unwrap_err();
        assert!(matches!(&error, RequestError::Key { field, .. } if field == "secret"), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

#[test]
fn declared_steps_make_the_known_signatures() {
    // RFC 2202 and RFC 4231, test case 2; RFC 1321 and FIPS 180-2, "abc".
    let credential = secrets(&[("secret", "Jefe"), ("token", "SmVmZQ=="), ("id", "4a656665")]);
    let said = "what do ya want for nothing?";
    for (algorithm, key, encoding, text, expected) in [
        ("hmac_sha1", "secret", "hex", said, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        ("hmac_sha256", "secret", "hex", said, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ("hmac_sha256", "token", "base64", said, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="),
        ("hmac_sha256", "id", "base64url", said, "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM"),
        (
            "hmac_sha512",
            "secret",
            "hex",
            said,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
        ("md5", "", "hex", "abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("sha256", "", "hex", "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ] {
        let written = match key {
            "" => String::new(),
            "token" => ", key: '{{ credential.token }}', key_encoding: base64".into(),
            "id" => ", key: '{{ credential.id }}', key_encoding: hex".into(),
            _ => ", key: '{{ credential.secret }}'".into(),
        };
        let auth = format!(
            "{{sign: {{canonical: '{{{{ body }}}}', algorithm: {algorithm}, encoding: {encoding}{written}, headers: {{S: 'v1={{{{ signature }}}}'}}}}}}"
        );
        let request = connector(&auth)
            .sign(draft(Method::Post, "https://x.example/", None, text), &context(&credential, IN_2026, "n", None))
            .unwrap();
        assert_eq!(header(&request, "S"), format!("v1={expected}"), "{algorithm} {key} {encoding}");
    }
}

#[test]
fn declared_steps_sign_what_is_sent() {
    let credential = secrets(&[("id", "me"), ("secret", "\u{fb01}n")]);
    let canonical = "{{ method }} {{ host }} {{ path }} {{ query }} | {{ sorted_query }} | {{ sorted_pairs }} | {{ header.x-date }} \
                     {{ header.none }}| {{ timestamp }} {{ nonce }} {{ body_md5_base64 }} {{ credential.id }}";
    let auth = format!(
        "{{sign: {{canonical: '{canonical}', algorithm: sha256, encoding: hex, timestamp_unit: iso8601_basic,
           query: {{t: '{{{{ timestamp }}}}', sig: '{{{{ signature | upper }}}}'}}, headers: {{X-Date: '{{{{ now }}}}'}}}}}}"
    );
    let url = "https://X.example:443/a%20b?z=1&b=%C3%A9&b=a";
    let request =
        connector(&auth).sign(draft(Method::Post, url, None, "body"), &context(&credential, IN_2026, "n0", None)).unwrap();
    let expected = "POST x.example /a%20b z=1&b=%C3%A9&b=a&t=20260921T141320Z | b=%C3%A9&b=a&t=20260921T141320Z&z=1 | babét20260921T141320Zz1 | 2026-09-21T14:13:20Z | 20260921T141320Z n0 hBotaJrYa9FhFEdFPCLG/A== me";
    let signature = {
        use sha2::Digest as _;
        hex(&Sha256::digest(expected)).to_uppercase()
    };
    assert!(request.url.ends_with(&format!("&t=20260921T141320Z&sig={signature}")), "{}", request.url);
    // A ligature in a key is two letters where the vendor normalises it.
    let nfkd = key_bytes("\u{fb01}n", KeyEncoding::Nfkd, &STANDARD);
    assert_eq!((nfkd.as_deref(), key_bytes("no hex", KeyEncoding::Hex, &STANDARD)), (Some("fin".as_bytes()), None));
}

#[test]
fn a_client_certificate_goes_beside_another_kind_and_shows_nothing() {
    let credential = secrets(&[("id", "-----BEGIN CERTIFICATE-----\\nMII"), ("token", "s3cret-key"), ("secret", "t")]);
    let auth = "{mutual_tls: {certificate: id, key: token, with: {bearer: {secret: secret}}}}";
    let request = get(auth, &credential, "https://x.example/").unwrap();
    assert_eq!(header(&request, "authorization"), "Bearer t");
    let Some(Identity::Certificate(identity)) = &request.identity else { panic!("{request:?}") };
    assert_eq!(identity.chain.expose_secret(), "-----BEGIN CERTIFICATE-----\nMII\n");
    assert!(!format!("{request:?} {identity:?}").contains("s3cret"));
    // The token endpoint is shown the same certificate (RFC 8705).
    let auth = "{mutual_tls: {certificate: id, key: token, with: {oauth2: {grant: client_credentials, token: {url: /t, client: none}}}}}";
    let request = connector(auth).token_request(&context(&credential, IN_2026, "n", None)).unwrap().unwrap();
    assert!(request.identity.is_some());
}

#[test]
fn the_proof_key_is_that_of_rfc_7636() {
    // Appendix B.
    let random = [
        116, 24, 223, 180, 151, 153, 224, 37, 79, 250, 96, 125, 216, 173, 187, 186, 22, 212, 37, 77, 105, 214, 191, 240, 91, 88,
        5, 88, 83, 132, 141, 121,
    ];
    let pkce = Pkce::new(&random);
    assert_eq!(pkce.verifier.expose_secret(), "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_eq!(pkce.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    assert!(!format!("{pkce:?}").contains("dBjft"));
}
