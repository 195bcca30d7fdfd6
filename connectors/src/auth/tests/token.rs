//! What is asked for tokens, and what the answers mean.

use domain::fault::{Fault, FaultClass, Owner};
use domain::http::HttpAnswer;

use super::*;

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> HttpAnswer {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HttpAnswer { status, headers, body: body.to_owned().into() }
}

fn token(refresh_token: Option<&str>, expires_at: Option<i64>) -> TokenSet {
    TokenSet {
        access_token: "s3cret-access".into(),
        refresh_token: refresh_token.map(SecretString::from),
        expires_at: expires_at.map(|at| DateTime::from_timestamp(at, 0).unwrap()),
        refresh_expires_at: None,
        cookies: vec![],
        scope: None,
        settings: Default::default(),
    }
}

fn now() -> chrono::DateTime<chrono::Utc> {
    DateTime::from_timestamp(IN_2026, 0).unwrap()
}

const CODE: &str = "grant: authorization_code, authorize: {url: 'https://v.example/consent?v=2', params: {access_type: offline, company: '{{ settings.company }}'}, keep: {realmId: company}, scope_separator: ','}, scopes: [a, 'b:c']";
const CLIENT: &str = "url: /token, client_id: id, client_secret: secret";

fn code(more: &str) -> Connector {
    connector(&format!("{{oauth2: {{{CODE}, token: {{{CLIENT}}}{more}}}}}"))
}

fn read(connector: &Connector, body: &str, previous: Option<&TokenSet>) -> Result<TokenSet, Fault> {
    connector.read_token_answer(&answer(200, &[], body), previous, now())
}

fn form(request: &HttpRequest) -> String {
    String::from_utf8(request.body.to_vec()).unwrap()
}

#[test]
fn a_token_is_renewed_in_time() {
    let soon = code(", refresh: {before_s: 300}");
    for (connector, ends_in, expected) in [
        (&code(""), Some(61), false),
        (&code(""), Some(60), true),
        (&code(""), Some(-1), true),
        (&code(""), None, false),
        (&soon, Some(301), false),
        (&soon, Some(300), true),
    ] {
        let token = token(None, ends_in.map(|seconds| IN_2026 + seconds));
        assert_eq!(connector.needs_token(Some(&token), now()), expected, "{ends_in:?}");
    }
    assert!(code("").needs_token(None, now()));
    let plain = super::connector("{bearer: {secret: secret}}");
    assert!(!plain.needs_token(None, now()) && !plain.needs_consent());
    assert!(plain.token_request(&context(&secrets(&[]), IN_2026, "n", None)).unwrap().is_none());
}

#[test]
fn without_a_token_nothing_is_sent_and_with_one_it_is_shown() {
    let credential = secrets(&[("id", "i"), ("secret", "s")]);
    let request = |connector: &Connector, token| {
        let draft = draft(Method::Get, "https://x.example/", None, "");
        connector.sign(draft, &context(&credential, IN_2026, "n", token))
    };
    assert_eq!(request(&code(""), None).unwrap_err(), RequestError::NoToken);
    let token = token(None, None);
    assert_eq!(header(&request(&code(""), Some(&token)).unwrap(), "authorization"), "Bearer s3cret-access");
    let own = request(&code(", send: {header: X-Access, prefix: ''}"), Some(&token)).unwrap();
    assert_eq!((header(&own, "x-access"), header(&own, "authorization")), ("s3cret-access", ""));
}

#[test]
fn a_grant_is_asked_for_as_the_manifest_says() {
    let credential = secrets(&[("id", "i:1"), ("secret", "s 1"), ("token", "brought")]);
    let asked = |oauth2: &str, token: Option<&TokenSet>| {
        let connector = connector(&format!("{{oauth2: {{{oauth2}}}}}"));
        connector.token_request(&context(&credential, IN_2026, "n0", token)).unwrap().unwrap()
    };
    let known = token(Some("last"), None);
    for (oauth2, token, body) in [
        (format!("grant: client_credentials, token: {{{CLIENT}}}, scopes: [a, b]"), None, "grant_type=client_credentials&scope=a+b&client_id=i%3A1&client_secret=s+1"),
        // No person is needed, so no refresh token that may have ended is used.
        (format!("grant: client_credentials, token: {{{CLIENT}}}"), Some(&known), "grant_type=client_credentials&client_id=i%3A1&client_secret=s+1"),
        (format!("{CODE}, token: {{{CLIENT}}}"), Some(&known), "grant_type=refresh_token&refresh_token=last&client_id=i%3A1&client_secret=s+1"),
        (format!("{CODE}, token: {{{CLIENT}}}, refresh: {{scopes: true}}"), Some(&known), "grant_type=refresh_token&refresh_token=last&scope=a+b%3Ac&client_id=i%3A1&client_secret=s+1"),
        (format!("grant: refresh_token, token: {{{CLIENT}, refresh_token: token}}"), None, "grant_type=refresh_token&refresh_token=brought&client_id=i%3A1&client_secret=s+1"),
        (format!("grant: refresh_token, token: {{{CLIENT}, refresh_token: token}}"), Some(&known), "grant_type=refresh_token&refresh_token=last&client_id=i%3A1&client_secret=s+1"),
        ("grant: password, token: {url: /t, client: none, user: id, password: secret}".into(), None, "grant_type=password&username=i%3A1&password=s+1"),
        ("grant: password, token: {url: /t, client: none, user: id, password: secret}".into(), Some(&known), "grant_type=refresh_token&refresh_token=last"),
        ("grant: client_credentials, token: {url: /t, client: none, params: {grant_type: '', user: '{{ credential.id }}', company: '{{ settings.company }}'}}".into(), None, "user=i%3A1"),
        (format!("grant: client_credentials, token: {{{CLIENT}, json: true}}"), None, r#"{"grant_type":"client_credentials","client_id":"i:1","client_secret":"s 1"}"#),
    ] {
        let request = asked(&oauth2, token);
        assert_eq!((form(&request).as_str(), request.method), (body, Method::Post), "{oauth2}");
        assert!(header(&request, "content-type").contains(if body.starts_with('{') { "json" } else { "form" }));
    }
    let basic = asked(
        &format!("grant: client_credentials, token: {{{CLIENT}, client: basic, headers: {{X-Id: '{{{{ nonce }}}}'}}}}"),
        None,
    );
    assert_eq!(header(&basic, "authorization"), format!("Basic {}", STANDARD.encode("i%3A1:s%201")));
    assert_eq!((basic.url.as_str(), header(&basic, "x-id")), ("https://x.example/token", "n0"));
    let elsewhere = asked(&format!("{CODE}, token: {{{CLIENT}, refresh_url: 'https://v.example/refresh'}}"), Some(&known));
    assert_eq!(elsewhere.url, "https://v.example/refresh");
}

#[test]
fn what_needs_a_person_says_so() {
    let credential = secrets(&[("id", "i"), ("secret", "s")]);
    let mut ended = token(Some("old"), None);
    ended.refresh_expires_at = Some(now());
    for token in [None, Some(&token(None, None)), Some(&ended)] {
        let error = code("").token_request(&context(&credential, IN_2026, "n", token)).unwrap_err();
        assert_eq!(error.to_string(), "Acme has not given its consent, or it has ended; connect Acme again");
    }
    let brought = connector(&format!("{{oauth2: {{grant: refresh_token, token: {{{CLIENT}, refresh_token: token}}}}}}"));
    let error = brought.token_request(&context(&credential, IN_2026, "n", None)).unwrap_err();
    assert_eq!(error, RequestError::Secret("token".into()));
}

#[test]
fn an_answer_becomes_tokens_however_it_is_written() {
    let odd = "{oauth2: {grant: client_credentials, token: {url: /t, client: none, paths: {access_token: 'data.tokens[0].value', expires_at: data.until}, keep: {data.host: company}}}}";
    for (auth, body, seconds) in [
        (format!("{{oauth2: {{{CODE}, token: {{{CLIENT}}}}}}}"), r#"{"access_token":"t","expires_in":3600}"#, Some(3_600)),
        (format!("{{oauth2: {{{CODE}, token: {{{CLIENT}}}}}}}"), r#"{"access_token":"t","expires_in":"3599.5"}"#, Some(3_599)),
        (format!("{{oauth2: {{{CODE}, token: {{{CLIENT}}}}}}}"), r#"{"access_token":"t","expires_in":-5}"#, Some(0)),
        (format!("{{oauth2: {{{CODE}, token: {{{CLIENT}}}}}}}"), r#"{"access_token":"t","expires_in":1e30}"#, None),
        (
            format!("{{oauth2: {{{CODE}, token: {{{CLIENT}}}}}}}"),
            r#"{"access_token":"t","expires_in":99999999999}"#,
            Some(10 * 366 * 86_400),
        ),
        (format!("{{oauth2: {{{CODE}, token: {{{CLIENT}}}}}}}"), r#"{"access_token":"t"}"#, None),
        (format!("{{oauth2: {{{CODE}, token: {{{CLIENT}}}, lifetime_s: 900}}}}"), r#"{"access_token":"t"}"#, Some(900)),
        (
            odd.to_owned(),
            r#"{"data":{"tokens":[{"value":"t"}],"until":"2026-09-21T15:13:20Z","host":"eu.v.example"}}"#,
            Some(3_600),
        ),
        (odd.to_owned(), r#"{"data":{"tokens":[{"value":"t"}],"until":1790000060,"host":"eu.v.example"}}"#, Some(60)),
        // Milliseconds where seconds should be, and moments that no clock can show: the token is still one that can be kept.
        (
            odd.to_owned(),
            r#"{"data":{"tokens":[{"value":"t"}],"until":1790000060000,"host":"eu.v.example"}}"#,
            Some(10 * 366 * 86_400),
        ),
        (odd.to_owned(), r#"{"data":{"tokens":[{"value":"t"}],"until":-8334601228800,"host":"eu.v.example"}}"#, Some(-IN_2026)),
        (
            odd.to_owned(),
            r#"{"data":{"tokens":[{"value":"t"}],"until":99999999999999999999,"host":"eu.v.example"}}"#,
            Some(10 * 366 * 86_400),
        ),
    ] {
        let token = read(&connector(&auth), body, None).unwrap();
        assert_eq!(token.access_token.expose_secret(), "t");
        assert_eq!(token.expires_at.map(|end| end.timestamp() - IN_2026), seconds, "{body}");
        let again = TokenSet::from_secret_fields(&token.to_secret_fields()).unwrap();
        assert_eq!(again.expires_at, token.expires_at, "{body}");
        let _ = connector(&auth).needs_token(Some(&again), now());
        let kept = token.settings.get("company").map(String::as_str);
        assert_eq!(kept, body.contains("host").then_some("eu.v.example"));
    }
}

#[test]
fn the_last_refresh_token_that_was_given_is_kept() {
    let connector = code(", refresh: {rotates: true, lifetime_s: 8640000}");
    let mut previous = token(Some("old"), None);
    previous.settings.insert("company".into(), "42".into());
    previous.scope = Some("a".into());
    let renewed = read(&connector, r#"{"access_token":"t","refresh_token":"new"}"#, Some(&previous)).unwrap();
    let kept = read(&connector, r#"{"access_token":"t","refresh_token":null}"#, Some(&previous)).unwrap();
    let of = |token: &TokenSet| token.refresh_token.as_ref().map(|token| token.expose_secret().to_owned());
    assert_eq!((of(&renewed).as_deref(), of(&kept).as_deref()), (Some("new"), Some("old")));
    for token in [&renewed, &kept] {
        assert_eq!((token.settings["company"].as_str(), token.scope.as_deref()), ("42", Some("a")));
        assert_eq!(token.refresh_expires_at.map(|end| end.timestamp()), Some(IN_2026 + 8_640_000));
    }
    let said = read(&connector, r#"{"access_token":"t","refresh_token":"n","refresh_token_expires_in":60}"#, None).unwrap();
    assert_eq!(said.refresh_expires_at.map(|end| end.timestamp()), Some(IN_2026 + 60));
    let first = read(&connector, r#"{"access_token":"t"}"#, None).unwrap();
    assert_eq!((of(&first), first.refresh_expires_at), (None, None));
}

#[test]
fn a_refusal_says_who_must_do_what() {
    use FaultClass::{Authentication, Limit, Outage, Permission, Validation};
    let person = code("");
    let machine = connector(&format!("{{oauth2: {{grant: client_credentials, token: {{{CLIENT}}}}}}}"));
    let previous = token(Some("old"), None);
    for (connector, status, body, class, owner, said) in [
        (
            &person,
            400,
            r#"{"error":"invalid_grant","error_description":"expired"}"#,
            Authentication,
            Owner::Developer,
            "Acme no longer accepts what it was connected with: expired / Connect Acme again.",
        ),
        (
            &machine,
            400,
            r#"{"error":"invalid_grant"}"#,
            Authentication,
            Owner::Developer,
            "Acme does not accept what this connection signs in with / Store the credential again, or connect Acme again.",
        ),
        (
            &machine,
            401,
            r#"{"error":"invalid_client"}"#,
            Authentication,
            Owner::Developer,
            "Acme does not accept this client / Compare the client's id",
        ),
        (
            &machine,
            400,
            r#"{"error":"invalid_scope"}"#,
            Permission,
            Owner::Developer,
            "Acme does not grant what the connector needs",
        ),
        (&machine, 400, r#"{"error":"unsupported_grant_type"}"#, Validation, Owner::Crossdock, "Acme refuses the way"),
        (
            &machine,
            200,
            r#"{"error":"bad_verification_code"}"#,
            Authentication,
            Owner::Operations,
            "Acme gives no token: bad_verification_code / Connect Acme again.",
        ),
        (&machine, 400, r#"{"error":"temporarily_unavailable"}"#, Outage, Owner::Vendor, "Acme gives no tokens at the moment"),
        // A grant is not given up because a server was down while it spoke of it.
        (&person, 503, r#"{"error":"invalid_grant"}"#, Outage, Owner::Vendor, "Acme answered 503"),
        (&person, 429, r#"{"error":"invalid_grant"}"#, Limit, Owner::Vendor, "Acme answered 429"),
        (&person, 401, "<html>", Authentication, Owner::Developer, "Acme answered 401 / Connect Acme again."),
        (&person, 200, "<html>", Validation, Owner::Crossdock, "Acme answered 200 without a token that can be used"),
        (
            &person,
            200,
            r#"{"access_token":"a\nb"}"#,
            Validation,
            Owner::Crossdock,
            "Acme answered 200 without a token that can be used",
        ),
        (
            &person,
            200,
            r#"{"access_token":""}"#,
            Validation,
            Owner::Crossdock,
            "Acme answered 200 without a token that can be used",
        ),
    ] {
        let previous = Some(&previous).filter(|_| std::ptr::eq(connector, &person));
        let fault = connector.read_token_answer(&answer(status, &[], body), previous, now()).unwrap_err();
        let text = format!("{} / {}", fault.reason, fault.fix);
        assert!(text.starts_with(said), "{text}");
        assert_eq!((fault.class, fault.owner, fault.status), (class, owner, Some(status)), "{body}");
    }
}

#[test]
fn tokens_are_stored_whole_and_never_printed() {
    let mut all = token(Some("s3cret-refresh"), Some(IN_2026));
    all.refresh_expires_at = Some(now());
    all.cookies = vec![("ZZ".into(), "s3cret-1".into()), ("A.A".into(), "s3cret-2".into())];
    all.scope = Some("a b".into());
    all.settings.insert("company".into(), "42".into());
    let fields = all.to_secret_fields();
    assert!(!format!("{all:?} {fields:?}").contains("s3cret"), "{all:?}");
    let back = TokenSet::from_secret_fields(&fields).unwrap();
    let plain = |token: &TokenSet| {
        let fields = token.to_secret_fields();
        fields.0.iter().map(|(name, value)| format!("{name}={}", value.expose_secret())).collect::<Vec<_>>()
    };
    assert_eq!(plain(&back), plain(&all));
    assert_eq!(back.cookies[0].0, "ZZ", "cookies keep their order");
    let least = TokenSet::from_secret_fields(&token(None, None).to_secret_fields()).unwrap();
    assert!(least.refresh_token.is_none() && least.expires_at.is_none());
    let broken = secrets(&[("access_token", "a"), ("expires_at", "tomorrow")]);
    assert!(TokenSet::from_secret_fields(&broken).is_none() && TokenSet::from_secret_fields(&secrets(&[])).is_none());
}

#[test]
fn settings_that_came_with_a_token_fill_what_the_connection_does_not_say() {
    let mut token = token(None, None);
    token.settings.insert("company".into(), "from the token".into());
    let credential = secrets(&[]);
    let mut context = context(&credential, IN_2026, "n", Some(&token));
    assert_eq!(context.fill("{{ settings.company }}", false).unwrap(), "from the token");
    let own = json!({"company": "own"});
    context.settings = &own;
    assert_eq!(context.fill("{{ settings.company }}", false).unwrap(), "own");
}

#[test]
fn a_person_is_sent_to_consent_and_comes_back_with_a_code() {
    let credential = secrets(&[("id", "i&1"), ("secret", "s3cret")]);
    let context = context(&credential, IN_2026, "n", None);
    let url = code("").authorize_url("st&te", "unused", "https://c.example/cb", &context).unwrap();
    assert_eq!(
        url,
        "https://v.example/consent?v=2&response_type=code&client_id=i%261&redirect_uri=https%3A%2F%2Fc.example%2Fcb&scope=a%2Cb%3Ac&state=st%26te&access_type=offline"
    );
    let callback = code("").read_callback("code=c%2F1&state=st%26te&realmId=42&scope=a,x").unwrap();
    assert_eq!((callback.state.as_str(), callback.code.expose_secret()), ("st&te", "c/1"));
    assert_eq!((callback.settings["company"].as_str(), callback.scope.as_deref()), ("42", Some("a,x")));
    let missing = |granted: &str| code("").missing_scopes(granted).iter().map(|scope| scope.name.to_owned()).collect::<Vec<_>>();
    assert_eq!((missing("a,x"), missing("b:c a")), (vec!["b:c".to_owned()], vec![]));
    let request = code("").code_request(&callback.code, &"unused".into(), "https://c.example/cb", &context).unwrap();
    assert_eq!(
        form(&request),
        "grant_type=authorization_code&code=c%2F1&redirect_uri=https%3A%2F%2Fc.example%2Fcb&client_id=i%261&client_secret=s3cret"
    );
    for (query, said) in [
        (
            "error=access_denied&error_description=No%0Away&state=s",
            "Acme did not give its consent (access_denied): Noway; connect Acme again",
        ),
        ("code=c", "Acme sent you back without \"state\"; connect Acme again"),
        ("state=s&code=", "Acme sent you back without \"code\"; connect Acme again"),
        ("state=s&state=t&code=c", "Acme sent \"state\" more than once; connect Acme again"),
        (&format!("code={}", "x".repeat(20_000)), "what Acme sent you back with is too long; connect Acme again"),
    ] {
        let error = code("").read_callback(query).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
    assert!(is_same_state("s", "s") && !is_same_state("s", "t") && !is_same_state("", ""));
    assert_eq!(callback_state("error=x&state=a+b").as_deref(), Some("a b"));
}

#[test]
fn a_scope_that_was_not_granted_is_named_in_words_and_one_that_comes_with_a_wider_one_was_granted() {
    let connector = connector(&format!(
        "{{oauth2: {{grant: authorization_code, authorize: {{url: 'https://v.example/'}}, token: {{{CLIENT}}}, scopes: [r, w, z],
          scope_titles: {{r: read orders, w: change orders}}, scope_implies: {{w: [r]}}}}}}"
    ));
    let missing =
        |granted: &str| connector.missing_scopes(granted).iter().map(|scope| scope.title.to_owned()).collect::<Vec<_>>();
    assert_eq!(missing(""), ["read orders", "change orders", "z"]);
    assert_eq!(missing("z r"), ["change orders"]);
    assert!(missing("z,w").is_empty());
}

#[test]
fn an_answer_of_another_server_is_refused_where_the_vendor_names_itself() {
    let credential = secrets(&[("id", "i"), ("secret", "s")]);
    let context = context(&credential, IN_2026, "n", None);
    let issuer = connector(&format!(
        "{{oauth2: {{grant: authorization_code, authorize: {{url: 'https://v.example/', issuer: 'https://v.example'}}, token: {{{CLIENT}}}}}}}"
    ));
    assert!(issuer.check_issuer("code=c&iss=https%3A%2F%2Fv.example", &context).is_ok());
    for query in ["code=c", "iss=https%3A%2F%2Fevil.example", "iss=https%3A%2F%2Fv.example&iss=https%3A%2F%2Fv.example"] {
        assert!(matches!(issuer.check_issuer(query, &context), Err(CallbackError::OtherIssuer { .. })), "{query}");
    }
    assert!(code("").check_issuer("iss=https%3A%2F%2Fwhoever.example", &context).is_ok(), "nothing is known of its own name");
}

#[test]
fn a_session_is_opened_and_its_cookies_go_with_every_request() {
    let credential = secrets(&[("id", "ma\"nager"), ("secret", "s3cret")]);
    let login = "login: {method: POST, path: /Login, body: {json: {User: '{{ credential.id }}', Password: '{{ credential.secret }}', Company: '{{ settings.company }}'}}}";
    let cookies = connector(&format!("{{session: {{{login}, cookies: [SESSION, NODE], lifetime_s: 1800}}}}"));
    let context = |token| super::context(&credential, IN_2026, "n", token);
    assert!(cookies.needs_token(None, now()));
    let request = cookies.token_request(&context(None)).unwrap().unwrap();
    assert_eq!(
        (request.url.as_str(), form(&request).as_str()),
        ("https://x.example/Login", r#"{"User":"ma\"nager","Password":"s3cret"}"#)
    );
    let set = [
        ("Set-Cookie", "NODE=.n1; path=/"),
        ("set-cookie", "SESSION=old"),
        ("Set-Cookie", "SESSION=a=b; HttpOnly"),
        ("Set-Cookie", "Other=1"),
    ];
    let token = cookies.read_token_answer(&answer(200, &set, "{}"), None, now()).unwrap();
    assert_eq!(token.expires_at.map(|end| end.timestamp()), Some(IN_2026 + 1_800));
    let mut call = draft(Method::Get, "https://x.example/Orders", None, "");
    call.headers.push(("cookie".into(), "own=1".into()));
    let sent = cookies.sign(call, &context(Some(&token))).unwrap();
    assert_eq!((header(&sent, "cookie"), header(&sent, "authorization")), ("own=1; SESSION=a=b; NODE=.n1", ""));

    let without = cookies.read_token_answer(&answer(200, &set[..1], "{}"), None, now()).unwrap_err();
    assert_eq!(without.code, "no_token");
    let refused = cookies.read_token_answer(&answer(401, &set, "{}"), None, now()).unwrap_err();
    assert_eq!(refused.class, FaultClass::Authentication);

    let by_token = connector(&format!(
        "{{session: {{{login}, token: {{header: [X-Token], path: data.token}}, send: {{header: X-Session}}, lifetime_s: 60}}}}"
    ));
    for answer in [answer(200, &[("x-token", "t1")], "{}"), answer(201, &[], r#"{"data":{"token":"t1"}}"#)] {
        let token = by_token.read_token_answer(&answer, None, now()).unwrap();
        let sent = by_token
            .sign(draft(Method::Get, "https://x.example/", None, ""), &super::context(&credential, IN_2026, "n", Some(&token)))
            .unwrap();
        assert_eq!((header(&sent, "x-session"), header(&sent, "cookie")), ("t1", ""));
    }
    assert!(by_token.read_token_answer(&answer(200, &[], "{}"), None, now()).is_err());
}
