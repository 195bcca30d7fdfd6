//! An identity provider: OpenID Connect, as much of it as a sign-in by code takes. It enforces what a provider enforces (the client and its secret, the
//! redirect address to the letter, PKCE, a code that is good once) and, where a test says so, signs what it should not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use domain::http::{HttpAnswer, HttpRequest, Method};
use infra::loopback::{Running, serve};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::form_urlencoded;
use uuid::Uuid;

const RSA: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../connectors/tests/keys/rsa_private.pem"));
const RSA_PUBLIC: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../connectors/tests/keys/rsa_public.pem"));
const EC: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../connectors/tests/keys/ecdsa_private.pem"));
pub const CLIENT_ID: &str = "crossdock";
pub const CLIENT_SECRET: &str = "a-secret: of the client +";

/// Whoever is signed in there.
#[derive(Debug, Clone)]
pub struct Person {
    pub subject: String,
    pub email: String,
    pub is_verified: bool,
    pub groups: Vec<String>,
}

impl Person {
    #[must_use]
    pub fn new(email: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Self { subject: format!("sub-of-{email}"), email: email.to_owned(), is_verified: true, groups }
    }
}

/// What is wrong with what it signs, or with its answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// `alg: none`, and no signature.
    NoSignature,
    /// HS256, with the public key as the secret that is shared.
    PublicKeyAsSecret,
    Audience,
    /// For several clients, without a word for which.
    SharedAudience,
    Party,
    Issuer,
    Expired,
    Nonce,
    NoNonce,
    /// Signed by a key that it does not list.
    UnknownKey,
    /// The claims were altered after they were signed.
    Altered,
    /// The way back names another issuer.
    ReturnedIssuer,
    /// The way back names none.
    NoReturnedIssuer,
    /// Discovery answers with a redirect to this port of loopback.
    Redirect(u16),
    /// Discovery says that it is another.
    Discovered,
    /// Its user info is about somebody else.
    OtherSubject,
}

struct Issued {
    challenge: String,
    nonce: Option<String>,
    redirect_uri: String,
    person: Person,
}

struct State {
    url: String,
    redirect_uri: String,
    person: Person,
    wrong: Option<Wrong>,
    /// Signs with the newer of its two keys, and lists it.
    is_rotated: bool,
    /// Says who somebody is in its user info, and in the ID token only the subject.
    is_thin: bool,
    codes: HashMap<String, Issued>,
    tokens: HashMap<String, Person>,
    /// Paths that were asked for.
    asked: Vec<String>,
}

/// A running provider.
pub struct Issuer {
    running: Running,
    state: Arc<Mutex<State>>,
}

impl Issuer {
    /// One that knows one client, which comes back to this address.
    ///
    /// # Panics
    /// Where no port of loopback is free.
    pub async fn start(redirect_uri: &str, person: Person) -> Self {
        let state = Arc::new(Mutex::new(State {
            url: String::new(),
            redirect_uri: redirect_uri.to_owned(),
            person,
            wrong: None,
            is_rotated: false,
            is_thin: false,
            codes: HashMap::new(),
            tokens: HashMap::new(),
            asked: vec![],
        }));
        let answering = state.clone();
        let handler = move |request: HttpRequest, _: usize| locked(&answering).answer(&request).into();
        let running = serve(([127, 0, 0, 1], 0).into(), Arc::new(handler)).await.expect("a port of loopback is free");
        locked(&state).url = running.url();
        Self { running, state }
    }

    #[must_use]
    pub fn url(&self) -> String {
        self.running.url()
    }

    /// Whoever is signed in there from now on.
    pub fn knows(&self, person: Person) {
        locked(&self.state).person = person;
    }

    pub fn is_wrong(&self, wrong: Option<Wrong>) {
        locked(&self.state).wrong = wrong;
    }

    pub fn rotates(&self) {
        locked(&self.state).is_rotated = true;
    }

    pub fn is_thin(&self, is_thin: bool) {
        locked(&self.state).is_thin = is_thin;
    }

    /// How often a path was asked for.
    #[must_use]
    pub fn asked(&self, path: &str) -> usize {
        locked(&self.state).asked.iter().filter(|asked| *asked == path).count()
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no code panics while it holds the provider")
}

fn answer(status: u16, body: &Value) -> HttpAnswer {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    HttpAnswer { status, headers, body: Bytes::from(body.to_string()) }
}

fn redirect(to: String) -> HttpAnswer {
    HttpAnswer { status: 302, headers: vec![("Location".to_owned(), to)], body: Bytes::new() }
}

fn refuse(error: &str, description: &str) -> HttpAnswer {
    let status = if error == "invalid_client" { 401 } else { 400 };
    answer(status, &json!({"error": error, "error_description": description}))
}

fn parameters(text: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}

impl State {
    fn answer(&mut self, request: &HttpRequest) -> HttpAnswer {
        let url = url::Url::parse(&request.url).expect("the server has read it");
        self.asked.push(url.path().to_owned());
        let query = parameters(url.query().unwrap_or_default().as_bytes());
        match (request.method, url.path()) {
            (Method::Get, "/.well-known/openid-configuration") => self.discovery(),
            (Method::Get, "/keys") => answer(200, &json!({"keys": self.keys()})),
            (Method::Get, "/authorize") => self.authorize(&query),
            (Method::Post, "/token") => self.token(request),
            (Method::Get, "/userinfo") => self.user_info(request),
            _ => answer(404, &json!({})),
        }
    }

    fn discovery(&self) -> HttpAnswer {
        let url = &self.url;
        match self.wrong {
            Some(Wrong::Redirect(port)) => return redirect(format!("http://127.0.0.1:{port}/.well-known/openid-configuration")),
            Some(Wrong::Discovered) => return answer(200, &self.document("https://another.example.com")),
            _ => {}
        }
        answer(200, &self.document(url))
    }

    fn document(&self, issuer: &str) -> Value {
        let url = &self.url;
        json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "userinfo_endpoint": format!("{url}/userinfo"),
            "jwks_uri": format!("{url}/keys"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "claims_supported": ["sub", "email", "email_verified", "groups"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    fn keys(&self) -> Vec<Value> {
        let listed = |pem: EncodingKey, algorithm, id: &str| {
            let mut key = Jwk::from_encoding_key(&pem, algorithm).expect("a key of the tests");
            key.common.key_id = Some(id.to_owned());
            serde_json::to_value(key).expect("a key is plain data")
        };
        let mut keys = vec![
            // Of a kind that nobody here knows, as real lists have them.
            json!({"kty": "AKP", "alg": "ML-DSA-44", "kid": "future", "pub": "AA"}),
            listed(rsa(), Algorithm::RS256, "first"),
        ];
        if self.is_rotated {
            keys.push(listed(ec(), Algorithm::ES256, "second"));
        }
        keys
    }

    /// Whoever is signed in says yes.
    fn authorize(&mut self, query: &HashMap<String, String>) -> HttpAnswer {
        let said = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
        // Nobody is sent to an address that was not registered.
        if said("client_id") != CLIENT_ID || said("redirect_uri") != self.redirect_uri {
            return refuse("invalid_request", "no such client, or not its redirect address");
        }
        let is_pkce = said("code_challenge_method") == "S256" && said("code_challenge").len() == 43;
        let is_openid = said("scope").split(' ').any(|scope| scope == "openid");
        if said("response_type") != "code" || !is_pkce || !is_openid || said("state").is_empty() {
            return refuse("invalid_request", "code, PKCE with S256, the scope openid and a state are asked for");
        }
        let code = Uuid::new_v4().simple().to_string();
        let issued = Issued {
            challenge: said("code_challenge").to_owned(),
            nonce: query.get("nonce").cloned(),
            redirect_uri: said("redirect_uri").to_owned(),
            person: self.person.clone(),
        };
        self.codes.insert(code.clone(), issued);
        let mut back = url::Url::parse(&self.redirect_uri).expect("the client's own address");
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", said("state"));
        let issuer = if self.wrong == Some(Wrong::ReturnedIssuer) { "https://another.example.com" } else { self.url.as_str() };
        if self.wrong != Some(Wrong::NoReturnedIssuer) {
            back.query_pairs_mut().append_pair("iss", issuer);
        }
        redirect(back.into())
    }

    fn token(&mut self, request: &HttpRequest) -> HttpAnswer {
        let form = parameters(&request.body);
        let said = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let expected = format!("Basic {}", STANDARD.encode(format!("{}:{}", encoded(CLIENT_ID), encoded(CLIENT_SECRET))));
        let shown = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization")).map(|(_, value)| value);
        if shown != Some(&expected) {
            return refuse("invalid_client", "the secret is another");
        }
        // A code is good once, whatever it is shown with.
        let Some(issued) = self.codes.remove(said("code")) else { return refuse("invalid_grant", "no such code") };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(said("code_verifier").as_bytes()));
        let fits = said("grant_type") == "authorization_code" && said("redirect_uri") == issued.redirect_uri;
        if !fits || challenge != issued.challenge {
            return refuse("invalid_grant", "not the redirect address, or not the verifier, of this code");
        }
        let access = Uuid::new_v4().simple().to_string();
        self.tokens.insert(access.clone(), issued.person.clone());
        let id_token = self.signed(&issued);
        answer(200, &json!({"access_token": access, "token_type": "Bearer", "expires_in": 300, "id_token": id_token}))
    }

    fn user_info(&self, request: &HttpRequest) -> HttpAnswer {
        let shown = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        let person = shown.and_then(|(_, value)| self.tokens.get(value.strip_prefix("Bearer ")?));
        let Some(person) = person else { return answer(401, &json!({})) };
        let mut claims = who(person);
        claims["sub"] = json!(if self.wrong == Some(Wrong::OtherSubject) { "somebody-else" } else { person.subject.as_str() });
        answer(200, &claims)
    }

    fn signed(&self, issued: &Issued) -> String {
        let now = jsonwebtoken::get_current_timestamp();
        let mut claims = if self.is_thin { json!({}) } else { who(&issued.person) };
        claims["sub"] = json!(issued.person.subject);
        claims["iss"] = json!(self.url);
        claims["aud"] = json!(CLIENT_ID);
        claims["iat"] = json!(now);
        claims["exp"] = json!(now + 300);
        claims["nonce"] = json!(issued.nonce);
        match self.wrong {
            Some(Wrong::Audience) => claims["aud"] = json!("another-client"),
            Some(Wrong::SharedAudience) => claims["aud"] = json!([CLIENT_ID, "another-client"]),
            Some(Wrong::Party) => claims["azp"] = json!("another-client"),
            Some(Wrong::Issuer) => claims["iss"] = json!("https://another.example.com"),
            Some(Wrong::Expired) => claims["exp"] = json!(now - 60),
            Some(Wrong::Nonce) => claims["nonce"] = json!("of-another-sign-in"),
            Some(Wrong::NoNonce) => claims["nonce"] = Value::Null,
            _ => {}
        }
        let (algorithm, mut id, key) =
            if self.is_rotated { (Algorithm::ES256, "second", ec()) } else { (Algorithm::RS256, "first", rsa()) };
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        match self.wrong {
            Some(Wrong::NoSignature) => return format!("{}.{}.", encoded(&json!({"alg": "none", "kid": id})), encoded(&claims)),
            Some(Wrong::PublicKeyAsSecret) => {
                let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::HS256) };
                return encode(&header, &claims, &EncodingKey::from_secret(RSA_PUBLIC.as_bytes()));
            }
            Some(Wrong::UnknownKey) => id = "unknown",
            _ => {}
        }
        let token = encode(&Header { kid: Some(id.to_owned()), ..Header::new(algorithm) }, &claims, &key);
        if self.wrong != Some(Wrong::Altered) {
            return token;
        }
        claims["sub"] = json!("somebody-else");
        let parts: Vec<&str> = token.split('.').collect();
        format!("{}.{}.{}", parts[0], encoded(&claims), parts[2])
    }
}

fn who(person: &Person) -> Value {
    json!({"email": person.email, "email_verified": person.is_verified, "groups": person.groups, "name": "Ann of the provider"})
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(RSA.as_bytes()).expect("a key of the tests")
}

fn ec() -> EncodingKey {
    EncodingKey::from_ec_pem(EC.as_bytes()).expect("a key of the tests")
}

fn encode(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).expect("it can be signed")
}
