//! OAuth 2 against a real server, from consent to a refresh token that was used twice.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod judges;

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use connectors::{CallbackError, Connector, Pkce, RequestContext, TokenSet, callback_state, is_same_state};
use domain::fault::FaultClass;
use domain::http::{HttpAnswer, HttpRequest, Method};
use domain::secret::{ExposeSecret, SecretFields, SecretString};
use serde_json::{Value as Json, json};

const REDIRECT: &str = "http://127.0.0.1:9/callback";
/// The oldest that the server runs on.
const NODE_MIN: u32 = 20;
const TIMEOUT: Duration = Duration::from_secs(20);
const ID: &str = "our app: 1+1";
const SECRET: &str = "p@ss:w%20rd/ +&=~";
const SCOPES: &str = "scopes: [openid, offline_access, orders.read, orders.write]";

struct Server {
    issuer: String,
    child: Child,
    /// It ends when this is closed.
    _input: ChildStdin,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// # Errors
    /// Where there is no Node that can run it. A server that is installed and does not start is a failure.
    fn start(clients: &Json) -> Result<Self, String> {
        let version = Command::new("node").arg("--version").output().map_err(|error| format!("node: {error}"))?;
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0);
        if major < NODE_MIN {
            return Err(format!("node is {version}, and the server needs {NODE_MIN}"));
        }
        let folder = judges::cache().ok_or("there is no home folder to install into")?.join("oidc-provider-9.13.3");
        judges::once(&folder, || {
            let install =
                ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=30000"];
            std::fs::copy(judges::script("package.json"), folder.join("package.json")).map_err(|error| error.to_string())?;
            judges::run(Command::new("npm").args(install).current_dir(&folder))
        })?;
        // Node finds packages beside the script, and several tests run at once.
        static SCRIPTS: AtomicUsize = AtomicUsize::new(0);
        let number = SCRIPTS.fetch_add(1, Ordering::Relaxed);
        let script = folder.join(format!("server-{}-{number}.mjs", std::process::id()));
        std::fs::copy(judges::script("oidc_server.mjs"), &script).map_err(|error| error.to_string())?;
        let mut node = Command::new("node");
        let mut child =
            node.arg(&script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("node starts");
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "{}", json!({"clients": clients})).unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let _ = std::fs::remove_file(script);
        let mut server = Self { issuer: String::new(), child, _input: input };
        let started: Json = serde_json::from_str(&line).expect("the server starts");
        server.issuer = started["issuer"].as_str().unwrap().to_owned();
        Ok(server)
    }
}

/// One request over a plain connection, which ends with the answer.
fn send(request: &HttpRequest) -> HttpAnswer {
    let url = url::Url::parse(&request.url).unwrap();
    let mut stream = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut head = format!("{} {}{query} HTTP/1.1\r\nConnection: close\r\n", request.method.as_str(), url.path());
    head += &format!("Host: {}:{}\r\nContent-Length: {}\r\n", url.host_str().unwrap(), url.port().unwrap(), request.body.len());
    request.headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
    stream.write_all(&[head.as_bytes(), b"\r\n", &request.body].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let split = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..split].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.filter_map(|line| line.split_once(':')).map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let answer = HttpAnswer { status, headers: headers.collect(), body: answer[split + 4..].to_vec().into() };
    assert_eq!(answer.header("transfer-encoding"), None, "the server sends whole bodies");
    answer
}

/// A person's browser: it follows the server from page to page, with its cookies, until it is sent back to us.
fn browse(address: &str, issuer: &str) -> String {
    let mut cookies: HashMap<String, String> = HashMap::new();
    let mut url = address.to_owned();
    for _ in 0..10 {
        let cookie = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let headers = vec![("Cookie".to_owned(), cookie)];
        let answer =
            send(&HttpRequest { method: Method::Get, url: url.clone(), headers, body: Default::default(), identity: None });
        for (_, cookie) in answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("set-cookie")) {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        let next = answer.header("location").unwrap_or_else(|| panic!("{} of {url}: {body}", answer.status));
        if let Some((_, query)) = next.split_once('?').filter(|(place, _)| *place == REDIRECT) {
            return query.to_owned();
        }
        url = if next.starts_with('/') { format!("{issuer}{next}") } else { next.to_owned() };
    }
    panic!("the browser is sent around and around: {url}");
}

struct World {
    server: Server,
    credential: SecretFields,
    settings: Json,
    now: DateTime<Utc>,
}

impl World {
    fn new(clients: &Json, fields: &[(&str, &str)]) -> Option<Self> {
        match Server::start(clients) {
            Ok(server) => {
                let settings = json!({"base_url": server.issuer});
                let credential = fields.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
                Some(Self { server, credential, settings, now: Utc::now() })
            }
            Err(why) => {
                judges::skip(&why);
                None
            }
        }
    }

    fn context<'c>(&'c self, nonce: &'c str, token: Option<&'c TokenSet>) -> RequestContext<'c> {
        let (settings, credential) = (&self.settings, &self.credential);
        RequestContext {
            settings,
            credential,
            external_key: "",
            revision: 0,
            idempotency_key: "",
            now: self.now,
            nonce,
            token,
            group: None,
        }
    }

    fn token(&self, connector: &Connector, token: Option<&TokenSet>) -> Result<TokenSet, domain::fault::Fault> {
        let request = connector.token_request(&self.context("n1", token)).unwrap().unwrap();
        connector.read_token_answer(&send(&request), token, self.now)
    }
}

fn connector(oauth2: &str) -> Connector {
    let yaml = format!(
        "{{format: 1, name: x, title: Acme, category: erp, settings: {{base_url: {{title: B}}, issuer: {{title: I}}}},
          credential: {{id: {{title: I}}, secret: {{title: S}}, key: {{title: K}}}}, auth: {{oauth2: {{{oauth2}}}}}}}"
    );
    Connector::from_files("x", HashMap::from([("connector.yaml".to_owned(), yaml)])).unwrap_or_else(|errors| panic!("{errors}"))
}

fn code_connector(client: &str, more: &str) -> Connector {
    connector(&format!(
        "grant: authorization_code, authorize: {{url: /auth, pkce: true, params: {{prompt: consent{more}}}, keep: {{iss: issuer}}}},
         token: {{url: /token, client: {client}, client_id: id, client_secret: secret}}, refresh: {{rotates: true}}, {SCOPES}"
    ))
}

fn clients() -> Json {
    let code = |id: &str, method: &str| {
        json!({
            "client_id": id, "client_secret": SECRET, "token_endpoint_auth_method": method, "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token", "client_credentials"], "response_types": ["code"],
            "scope": "openid offline_access orders.read orders.write",
        })
    };
    json!([code(ID, "client_secret_basic"), code("poster", "client_secret_post")])
}

#[test]
fn a_consent_becomes_tokens_that_are_refreshed_until_one_is_used_twice() {
    let Some(world) = World::new(&clients(), &[("id", ID), ("secret", SECRET)]) else { return };
    let connector = code_connector("basic", "");
    assert!(connector.needs_consent() && connector.uses_pkce() && connector.needs_token(None, world.now));
    let pkce = Pkce::new(&[7; 32]);
    let fresh = world.context("n", None);
    let address = connector.authorize_url("st/te +1", &pkce.challenge, REDIRECT, &fresh).unwrap();
    let query = browse(&address, &world.server.issuer);
    let callback = connector.read_callback(&query).unwrap();
    assert!(is_same_state("st/te +1", &callback.state) && !is_same_state("other", &callback.state));
    assert_eq!(callback_state(&query).as_deref(), Some("st/te +1"));
    assert_eq!(callback.settings["issuer"], world.server.issuer);

    let wrong = connector.code_request(&callback.code, &Pkce::new(&[8; 32]).verifier, REDIRECT, &fresh).unwrap();
    let fault = connector.read_token_answer(&send(&wrong), None, world.now).unwrap_err();
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Authentication, "invalid_grant"));

    let callback = connector.read_callback(&browse(&address, &world.server.issuer)).unwrap();
    let request = connector.code_request(&callback.code, &pkce.verifier, REDIRECT, &fresh).unwrap();
    let first = connector.read_token_answer(&send(&request), None, world.now).unwrap().with_settings(callback.settings);
    let missing: Vec<&str> = connector.missing_scopes(first.scope.as_deref().unwrap()).iter().map(|scope| scope.name).collect();
    assert_eq!(missing, ["orders.write"]);
    assert_eq!(first.expires_at, Some(world.now + chrono::Duration::seconds(600)));
    assert!(!connector.needs_token(Some(&first), world.now));
    assert!(connector.needs_token(Some(&first), world.now + chrono::Duration::seconds(541)));

    let stored = TokenSet::from_secret_fields(&first.to_secret_fields()).unwrap();
    let second = world.token(&connector, Some(&stored)).unwrap();
    let of = |token: &TokenSet| token.refresh_token.as_ref().unwrap().expose_secret().to_owned();
    assert_ne!(of(&first), of(&second), "the server rotates");
    assert_eq!(second.settings["issuer"], world.server.issuer);
    let third = world.token(&connector, Some(&second)).unwrap();

    let reused = world.token(&connector, Some(&first)).unwrap_err();
    assert_eq!((reused.class, reused.fix.as_str()), (FaultClass::Authentication, "Connect Acme again."));
    let dead = world.token(&connector, Some(&third)).unwrap_err();
    assert_eq!(dead.class, FaultClass::Authentication, "an old refresh token that is used again ends the whole grant");
    assert!(dead.reason.starts_with("Acme no longer accepts what it was connected with"), "{}", dead.reason);
}

#[test]
fn a_person_who_says_no_is_told_so() {
    let Some(world) = World::new(&clients(), &[("id", ID), ("secret", SECRET)]) else { return };
    let connector = code_connector("basic", ", login_hint: nobody");
    let challenge = Pkce::new(&[7; 32]).challenge;
    let address = connector.authorize_url("s", &challenge, REDIRECT, &world.context("n", None)).unwrap();
    let error = connector.read_callback(&browse(&address, &world.server.issuer)).unwrap_err();
    assert!(matches!(&error, CallbackError::Refused { code, .. } if code == "access_denied"), "{error}");
    assert_eq!(
        error.to_string(),
        "Acme did not give its consent (access_denied): Ada said no; connect Acme again and accept what is asked"
    );
}

#[test]
fn a_machine_proves_itself_in_each_way_and_a_wrong_secret_is_named() {
    let Some(mut world) = World::new(&clients(), &[("id", ID), ("secret", SECRET)]) else { return };
    let machine = |client: &str| {
        connector(&format!(
            "grant: client_credentials, token: {{url: /token, client: {client}, client_id: id, client_secret: secret}}, scopes: [orders.read]"
        ))
    };
    let token = world.token(&machine("basic"), None).unwrap();
    assert_eq!((token.scope.as_deref(), token.refresh_token.is_none()), (Some("orders.read"), true));
    assert_eq!(token.expires_at, Some(world.now + chrono::Duration::seconds(300)));
    world.credential.0.insert("id".into(), "poster".into());
    assert!(world.token(&machine("body"), None).is_ok());
    world.credential.0.insert("secret".into(), "wrong".into());
    let fault = world.token(&machine("body"), None).unwrap_err();
    assert_eq!((fault.class, fault.code.as_str()), (FaultClass::Authentication, "invalid_client"));
    assert!(fault.reason.starts_with("Acme does not accept this client"), "{}", fault.reason);
}

#[test]
fn a_client_proves_itself_by_a_signed_assertion_once() {
    // The key of RFC 7515 appendix A.3.
    let jwk = json!({
        "kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "alg": "ES256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    let clients = json!([{
        "client_id": "robot", "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_signing_alg": "ES256",
        "jwks": {"keys": [jwk]}, "redirect_uris": [], "response_types": [], "grant_types": ["client_credentials"], "scope": "orders.read",
    }]);
    let key = include_str!("../src/auth/testdata/rfc7515_a3.pem");
    let Some(world) = World::new(&clients, &[("id", "robot"), ("key", key)]) else { return };
    let connector = connector(
        "grant: client_credentials, token: {url: /token, client: assertion}, scopes: [orders.read],
         assertion: {algorithm: ES256, key: key, key_id: '1', lifetime_s: 60,
           claims: {iss: '{{ credential.id }}', sub: '{{ credential.id }}', aud: '{{ settings.base_url }}'}}",
    );
    assert!(world.token(&connector, None).is_ok());
    let fault = world.token(&connector, None).unwrap_err();
    assert_eq!(fault.class, FaultClass::Authentication, "the same jti proves nothing twice");
}
