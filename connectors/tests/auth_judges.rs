//! Every kind of `auth` against an independent implementation of the same standard, on many requests of the awkward sort.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "judges/dice.rs"]
mod dice;
mod judges;
#[path = "judges/python.rs"]
mod python;

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use connectors::{Connector, Draft, DraftBody, Pkce, RequestContext, TokenSet};
use dice::Dice;
use domain::http::{HttpRequest, Method};
use domain::secret::{ExposeSecret, SecretFields, SecretString};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use python::{ask, judge};
use serde_json::{Value as Json, json};

const CASES: usize = 300;
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn connector(auth: &str, fields: &[&str]) -> Connector {
    let fields = fields.iter().map(|field| format!("{field}: {{title: F}}")).collect::<Vec<_>>().join(", ");
    let yaml = format!(
        "{{format: 1, name: x, title: X, category: erp, base_url: 'https://x.example', credential: {{{fields}}}, auth: {auth}}}"
    );
    Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml)])).unwrap_or_else(|errors| panic!("{errors}"))
}

fn secrets(fields: &[(&str, &str)]) -> SecretFields {
    fields.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect()
}

fn context<'c>(
    credential: &'c SecretFields,
    now: DateTime<Utc>,
    nonce: &'c str,
    token: Option<&'c TokenSet>,
) -> RequestContext<'c> {
    static NOTHING: std::sync::LazyLock<Json> = std::sync::LazyLock::new(|| json!({}));
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

fn header<'r>(request: &'r HttpRequest, name: &str) -> &'r str {
    let found = request.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map_or("", |(_, value)| value.as_str())
}

fn body(request: &HttpRequest) -> &str {
    std::str::from_utf8(&request.body).unwrap()
}

/// A request to somewhere, with its query beside it and the type of its body.
struct Call {
    draft: Draft,
    query: Vec<(String, String)>,
    body: String,
    content_type: &'static str,
}

fn call(dice: &mut Dice) -> Call {
    // A step of dots only is none: whoever reads an address takes it away.
    let steps = (0..dice.below(4)).map(|_| format!("{}x", dice.text(8)));
    let path: Vec<String> = steps.map(|step| utf8_percent_encode(&step, UNRESERVED).to_string()).collect();
    let host = dice.pick(&["api.vendor.example", "API.vendor.example", "vendor.example:8443", "vendor.example:443"]);
    let query = dice.pairs(6);
    let kind = dice.below(4);
    let method = if kind < 2 {
        [Method::Get, Method::Delete][dice.below(2)]
    } else {
        [Method::Post, Method::Put, Method::Patch][dice.below(3)]
    };
    let (body, content_type) = match kind {
        0 | 1 => (String::new(), ""),
        2 => (json!({dice.text(5): dice.text(40)}).to_string(), "application/json"),
        _ => {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            (form.extend_pairs(dice.pairs(5)).finish(), "application/x-www-form-urlencoded")
        }
    };
    let headers = if content_type.is_empty() { vec![] } else { vec![("Content-Type".to_owned(), content_type.to_owned())] };
    let draft = Draft {
        method,
        url: format!("https://{host}/{}", path.join("/")),
        query: query.clone(),
        headers,
        body: DraftBody::Text(body.clone()),
    };
    Call { draft, query, body, content_type }
}

fn moment(dice: &mut Dice) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + i64::try_from(dice.below(100_000_000)).unwrap(), 0).unwrap()
}

#[test]
fn oauth1_signs_as_oauthlib_does() {
    let mut dice = Dice::new(1);
    let mut cases = Vec::new();
    for _ in 0..CASES {
        let call = call(&mut dice);
        let has_token = dice.below(4) > 0;
        let place = dice.pick(&["header", "query"]);
        let (method, method_name) = [("hmac_sha256", "HMAC-SHA256"), ("hmac_sha1", "HMAC-SHA1")][dice.below(2)];
        let realm = dice.pick(&["", "1234567_SB1", "a b&c"]);
        let token = if has_token { ", token: token, token_secret: token_secret" } else { "" };
        let connector = connector(
            &format!(
                "{{oauth1: {{realm: '{realm}', consumer_key: key, consumer_secret: secret, method: {method}, place: {place}{token}}}}}"
            ),
            &["key", "secret", "token", "token_secret"],
        );
        let values = [dice.word(20), dice.text(30), dice.word(16), dice.text(30)];
        let credential =
            secrets(&[("key", &values[0]), ("secret", &values[1]), ("token", &values[2]), ("token_secret", &values[3])]);
        let (now, nonce) = (moment(&mut dice), dice.word(32));
        let url = call.draft.url.clone();
        let method = call.draft.method.as_str();
        let sent = connector.sign(call.draft, &context(&credential, now, &nonce, None)).unwrap();
        cases.push(json!({
            "url": url, "query": call.query, "method": method, "body": call.body, "content_type": call.content_type,
            "consumer_key": values[0], "consumer_secret": values[1],
            "token": has_token.then_some(&values[2]), "token_secret": has_token.then_some(&values[3]),
            "method_name": method_name, "place": place, "realm": if place == "header" { realm } else { "" },
            "nonce": nonce, "timestamp": now.timestamp(),
            "authorization": header(&sent, "authorization"), "sent_url": sent.url,
        }));
    }
    judge("oauth1.py", &cases);
}

#[test]
fn sigv4_signs_as_botocore_does() {
    let mut dice = Dice::new(2);
    let mut cases = Vec::new();
    for _ in 0..CASES {
        let call = call(&mut dice);
        let object_store = dice.below(3) == 0;
        let service = if object_store { "s3" } else { dice.pick(&["execute-api", "sqs", "iam"]) };
        let region = dice.pick(&["us-east-1", "eu-central-1"]);
        let has_session = dice.below(2) == 0;
        let session = if has_session { ", session_token: token" } else { "" };
        let connector = connector(
            &format!(
                "{{sigv4: {{region: {region}, service: {service}, access_key: key, secret_key: secret, object_store: {object_store}{session}}}}}"
            ),
            &["key", "secret", "token"],
        );
        let values = [dice.word(20), dice.text(40), dice.word(80)];
        let credential = secrets(&[("key", &values[0]), ("secret", &values[1]), ("token", &values[2])]);
        let now = moment(&mut dice);
        let (url, method) = (call.draft.url.clone(), call.draft.method.as_str());
        let sent = connector.sign(call.draft, &context(&credential, now, "", None)).unwrap();
        cases.push(json!({
            "url": url, "query": call.query, "method": method, "body": call.body, "content_type": call.content_type,
            "access_key": values[0], "secret_key": values[1], "session_token": has_session.then_some(&values[2]),
            "service": service, "region": region, "object_store": object_store, "timestamp": now.timestamp(),
            "authorization": header(&sent, "authorization"),
        }));
    }
    judge("sigv4.py", &cases);
}

#[test]
fn pyjwt_verifies_our_tokens_with_the_public_key() {
    let Some(keys) = ask("keys.py", &Json::Null) else { return };
    let mut dice = Dice::new(3);
    let mut cases = Vec::new();
    for number in 0..30 {
        let algorithm = ["HS256", "RS256", "PS256", "ES256", "ES384"][number % 5];
        let shared = dice.word(40);
        let (private, public) = match keys.get(algorithm) {
            Some(pair) => (pair["private"].as_str().unwrap(), pair["public"].as_str().unwrap()),
            None => (shared.as_str(), shared.as_str()),
        };
        // As it is copied out of a file, and as it is copied out of JSON.
        let pasted = if number % 2 == 0 { private.to_owned() } else { private.replace('\n', "\\n") };
        let key_id = (number % 3 > 0).then_some("k/1 ä");
        let kid = if key_id.is_some() { ", key_id: '{{ credential.kid }}'" } else { "" };
        let assertion = format!(
            "{{algorithm: {algorithm}, key: key, lifetime_s: 300{kid}, claims: {{iss: '{{{{ credential.iss }}}}', scope: [a, b], n: 7, jti: null}}}}"
        );
        let fields = ["key", "kid", "iss"];
        let iss = dice.text(20);
        let credential = secrets(&[("key", &pasted), ("kid", "k/1 ä"), ("iss", &iss)]);
        let now = moment(&mut dice);
        let context = context(&credential, now, "n", None);
        // For each request, as a client's proof, and as a grant.
        let token = match number % 3 {
            0 => {
                let connector = connector(&format!("{{jwt: {assertion}}}"), &fields);
                let draft = Draft {
                    method: Method::Get,
                    url: "https://x.example/".into(),
                    query: vec![],
                    headers: vec![],
                    body: DraftBody::None,
                };
                header(&connector.sign(draft, &context).unwrap(), "authorization").strip_prefix("Bearer ").unwrap().to_owned()
            }
            1 => {
                let auth = format!(
                    "{{oauth2: {{grant: client_credentials, token: {{url: /t, client: assertion}}, assertion: {assertion}}}}}"
                );
                form_value(&connector(&auth, &fields).token_request(&context).unwrap().unwrap(), "client_assertion")
            }
            _ => {
                let auth = format!("{{oauth2: {{grant: jwt_bearer, token: {{url: /t, client: none}}, assertion: {assertion}}}}}");
                form_value(&connector(&auth, &fields).token_request(&context).unwrap().unwrap(), "assertion")
            }
        };
        cases.push(json!({
            "algorithm": algorithm, "key": public, "token": token, "key_id": key_id,
            "claims": {"iss": iss, "scope": ["a", "b"], "n": 7, "iat": now.timestamp(), "exp": now.timestamp() + 300},
        }));
    }
    judge("jwt_verify.py", &cases);
}

fn form_value(request: &HttpRequest, name: &str) -> String {
    let mut pairs = url::form_urlencoded::parse(&request.body);
    pairs.find(|(known, _)| known == name).unwrap_or_else(|| panic!("no {name} in {}", body(request))).1.into_owned()
}

#[test]
fn oauth2_asks_as_oauthlib_and_authlib_do() {
    const FIELDS: [&str; 4] = ["id", "secret", "user", "password"];
    let client = "url: 'https://x.example/token', client_id: id, client_secret: secret";
    let authorize = "authorize: {url: 'https://x.example/authorize', pkce: true, params: {prompt: consent}}";
    let scopes = "scopes: [orders.read, 'https://x.example/auth/items', offline]";
    let code =
        connector(&format!("{{oauth2: {{grant: authorization_code, {authorize}, token: {{{client}}}, {scopes}}}}}"), &FIELDS);
    let basic =
        connector(&format!("{{oauth2: {{grant: client_credentials, token: {{{client}, client: basic}}, {scopes}}}}}"), &FIELDS);
    let machine = connector(&format!("{{oauth2: {{grant: client_credentials, token: {{{client}}}, {scopes}}}}}"), &FIELDS);
    let person = connector(
        &format!("{{oauth2: {{grant: password, token: {{{client}, user: user, password: password}}, {scopes}}}}}"),
        &FIELDS,
    );
    let mut dice = Dice::new(4);
    let mut cases = Vec::new();
    for _ in 0..CASES {
        let values = [dice.text(20), dice.text(30), dice.text(20), dice.text(20)];
        let credential = secrets(&[("id", &values[0]), ("secret", &values[1]), ("user", &values[2]), ("password", &values[3])]);
        let now = moment(&mut dice);
        let mut random = [0; 32];
        random.fill_with(|| u8::try_from(dice.below(256)).unwrap());
        let pkce = Pkce::new(&random);
        let (state, code_value, refresh) = (dice.word(32), dice.text(40), dice.text(40));
        let redirect = format!("https://crossdock.example/oauth/{}?a=b", dice.word(4));
        let token = TokenSet {
            access_token: "a".into(),
            refresh_token: Some(refresh.as_str().into()),
            expires_at: Some(now),
            refresh_expires_at: None,
            cookies: vec![],
            scope: None,
            settings: Default::default(),
        };
        let fresh = context(&credential, now, "n", None);
        let asked =
            |connector: &Connector, token| connector.token_request(&context(&credential, now, "n", token)).unwrap().unwrap();
        let code_request = code.code_request(&code_value.as_str().into(), &pkce.verifier, &redirect, &fresh).unwrap();
        cases.push(json!({
            "verifier": pkce.verifier.expose_secret(), "challenge": pkce.challenge,
            "client_id": values[0], "client_secret": values[1], "user": values[2], "password": values[3],
            "state": state, "code": code_value, "refresh_token": refresh, "redirect_uri": redirect,
            "authorize_url": "https://x.example/authorize",
            "scopes": ["orders.read", "https://x.example/auth/items", "offline"],
            "ours": {
                "basic": header(&asked(&basic, None), "authorization"),
                "authorize": code.authorize_url(&state, &pkce.challenge, &redirect, &fresh).unwrap(),
                "code": body(&code_request),
                "refresh": body(&asked(&code, Some(&token))),
                "client_credentials": body(&asked(&machine, None)),
                "password": body(&asked(&person, None)),
            },
        }));
    }
    judge("oauth2.py", &cases);
}
