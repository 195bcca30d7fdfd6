//! Who may come in.

use chrono::Duration;
use connectors::CallVars;
use connectors::simulator::{Fault, FaultMatcher};
use domain::fault::FaultClass;
use domain::http::HttpRequest;
use serde_json::json;

use crate::vendor::*;

#[test]
fn a_signature_is_made_again_and_a_nonce_is_used_once() {
    let mut erp = netsuite();
    let make = |erp: &mut Vendor| erp.context(keys("k"), |c, context| c.proof_request(ORDER, None, context).unwrap().unwrap());
    let good = make(&mut erp);
    assert_eq!(erp.send(good.clone()).status, 404);
    assert_eq!(erp.send(good.clone()).status, 401, "the same nonce again");
    let mut other = make(&mut erp);
    other.url = other.url.replace("eid:k", "eid:j");
    assert_eq!(erp.send(other).status, 401, "signed for another address");
    let mut twice = make(&mut erp);
    for (_, value) in twice.headers.iter_mut().filter(|(name, _)| name.eq_ignore_ascii_case("authorization")) {
        let signature = value.split(", ").find(|part| part.starts_with("oauth_token=")).unwrap().to_owned();
        value.push_str(&format!(", {signature}"));
    }
    assert_eq!(erp.send(twice).status, 401, "a parameter that is there twice");
    let old = make(&mut erp);
    erp.now += Duration::seconds(301);
    let answer = erp.send(old);
    let fault = erp.connector.classify(&http(answer));
    assert_eq!((fault.class, fault.status), (FaultClass::Authentication, Some(401)));
}

#[test]
fn keys_and_passwords_are_looked_at() {
    let orders = list("request: {method: GET, path: /orders}, records: orders");
    let with = |headers: &[(&str, &str)], query: &str| {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HttpRequest { headers, ..get(&format!("/api/orders{query}")) }
    };
    let secrets = "credential: {key: {title: k}, secret: {title: s}}";
    let cases = [
        (
            "{api_key: {header: X-Key, prefix: 'Token ', secret: key}}",
            with(&[("x-key", "Token k3y")], ""),
            with(&[("x-key", "k3y")], ""),
        ),
        ("{api_key: {query: key, secret: key}}", with(&[], "?key=k3y"), with(&[], "?key=k")),
        ("{bearer: {secret: key}}", with(&[("authorization", "Bearer k3y")], ""), with(&[], "")),
        (
            "{basic: {user: key, password: secret}}",
            with(&[("authorization", "Basic azN5Omh1c2g=")], ""),
            with(&[("authorization", "Basic azN5Og==")], ""),
        ),
    ];
    for (auth, good, bad) in cases {
        let mut vendor = Vendor::small(&format!("auth: {auth}, {secrets}, {orders}"), &[SAMPLE]);
        assert_eq!(vendor.send(good).status, 200, "{auth}");
        assert_eq!(vendor.send(bad).status, 401, "{auth}");
    }
}

#[test]
fn access_tokens_end_and_a_refresh_token_that_was_used_ends_its_grant() {
    let auth = "auth: {oauth2: {grant: refresh_token, token: {url: 'https://login.x.example/token', client_id: id, client_secret: secret, refresh_token: brought}, refresh: {rotates: true}, lifetime_s: 600}},
        credential: {id: {title: i}, secret: {title: s}, brought: {title: r}}";
    let yaml = format!("{auth}, {}", list("request: {method: GET, path: /orders}, records: orders"));
    let mut vendor = Vendor::small(&yaml, &[SAMPLE]);
    let refresh = |vendor: &mut Vendor, token: &str, secret: &str| {
        let form = format!("grant_type=refresh_token&client_id=cid&client_secret={secret}&refresh_token={token}");
        let answer = vendor.send(post("/token", "application/x-www-form-urlencoded", &form));
        (answer.status, body(&answer))
    };
    let orders = |vendor: &mut Vendor, token: &str| {
        let headers = vec![("Authorization".to_owned(), format!("Bearer {token}"))];
        vendor.send(HttpRequest { headers, ..get("/api/orders") }).status
    };
    assert_eq!(refresh(&mut vendor, "r0", "wrong").1["error"], "invalid_client");
    let (_, first) = refresh(&mut vendor, "r0", "hush");
    let (access, next) = (first["access_token"].as_str().unwrap(), first["refresh_token"].as_str().unwrap());
    assert_eq!(
        (first["expires_in"].as_i64(), orders(&mut vendor, access), orders(&mut vendor, "made-up")),
        (Some(600), 200, 401)
    );
    vendor.now += Duration::seconds(600);
    assert_eq!(orders(&mut vendor, access), 401);
    let (_, second) = refresh(&mut vendor, next, "hush");
    let access = second["access_token"].as_str().unwrap();
    vendor.simulator.fail(FaultMatcher::next("order.list"), Fault::ExpireTokens);
    assert_eq!(orders(&mut vendor, access), 401);
    assert_eq!(
        refresh(&mut vendor, next, "hush"),
        (400, json!({"error": "invalid_grant", "error_description": "The refresh token was used before; connect again."}))
    );
    assert_eq!(refresh(&mut vendor, second["refresh_token"].as_str().unwrap(), "hush").1["error"], "invalid_grant");
}

#[test]
fn a_session_is_opened_by_the_right_words_only() {
    let auth = "auth: {session: {login: {method: POST, path: /login, body: {json: {user: '{{ credential.id }}', password: '{{ credential.secret }}'}}},
        cookies: [SID], lifetime_s: 60}}, credential: {id: {title: i}, secret: {title: s}}";
    let yaml = format!("{}, {}", auth, list("request: {method: GET, path: /orders}, records: orders"));
    let mut vendor = Vendor::small(&yaml, &[SAMPLE]);
    let log_in = |vendor: &mut Vendor, password: &str| {
        vendor.send(post("/api/login", "application/json", &format!(r#"{{"user": "cid", "password": "{password}"}}"#)))
    };
    assert_eq!(log_in(&mut vendor, "guess").status, 401);
    let cookie = http(log_in(&mut vendor, "hush")).header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let orders = |vendor: &mut Vendor, cookie: &str| {
        vendor.send(HttpRequest { headers: vec![("Cookie".into(), cookie.into())], ..get("/api/orders") }).status
    };
    assert_eq!((orders(&mut vendor, &cookie), orders(&mut vendor, "SID=x")), (200, 401));
    vendor.now += Duration::seconds(60);
    assert_eq!(orders(&mut vendor, &cookie), 401);
}

#[test]
fn what_a_caller_signs_itself_is_made_again_and_compared() {
    let kinds = [
        "{jwt: {algorithm: HS256, key: secret, claims: {iss: '{{ credential.id }}'}, lifetime_s: 60}}",
        "{oauth1: {consumer_key: id, consumer_secret: secret, place: query}}",
        "{sigv4: {region: eu-central-1, service: sqs, access_key: id, secret_key: secret}}",
        "{sign: {canonical: '{{ method }}{{ path }}{{ timestamp }}{{ nonce }}', algorithm: hmac_sha256, key: '{{ credential.secret }}', encoding: hex,
           headers: {X-At: '{{ timestamp }}', X-Nonce: '{{ nonce }}', X-Sign: 'v1={{ signature }}'}}}",
    ];
    for auth in kinds {
        let orders = list("request: {method: GET, path: /orders}, records: orders");
        let yaml = format!("auth: {auth}, credential: {{id: {{title: i}}, secret: {{title: s}}}}, {orders}");
        let mut vendor = Vendor::small(&yaml, &[SAMPLE]);
        let rule = &vendor.rule().read.as_ref().unwrap().request;
        assert_eq!(vendor.call(rule, &CallVars::default()).status, 200, "{auth}");
        let right = vendor.credential.clone();
        vendor.credential.0.insert("secret".into(), "wrong".to_owned().into());
        assert_eq!(vendor.call(rule, &CallVars::default()).status, 401, "another secret: {auth}");
        vendor.credential = right;
        let old = vendor.context(keys("k"), |c, context| c.call(rule, &CallVars::default(), context).unwrap());
        vendor.now += Duration::seconds(301);
        assert_eq!(vendor.send(old).status, 401, "an old one: {auth}");
    }
}
