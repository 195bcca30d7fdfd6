//! Single sign-on by OpenID Connect: the browser goes to the tenant's own provider and comes back with a code, which we trade for who they are. Two addresses
//! of ours, both for browsers: where it begins, and where it comes back.
//! What binds the way back to the browser that left is a cookie ([`crate::round_trip`]).

mod check;
pub(crate) mod id_token;
pub(crate) mod provider;

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{Duration, Utc};
use domain::id::TenantId;
use domain::identity_provider::{EmailDomain, Refusal};
use domain::scope::{Actor, Scope};
use infra::outbound::Outbound;
use infra::postgres::StoreError;
use infra::postgres::identity_provider::Provider;
use infra::postgres::sso::{Begun, Taken, Vouched, Vouching};
use serde_json::{Map, Value};
use tracing::{error, info, warn};
use url::Url;
use url::form_urlencoded;

use crate::auth::{self, Caller, EMAIL_BYTES_MAX, Session};
use crate::round_trip::{Returned, RoundTrip, digest, to};
use crate::{AppState, password, quota};

pub use check::{Finding, Result as CheckResult, Step, check};
use id_token::{Believed, Disbelief, Expected};
use provider::{Client, Code, Metadata, ProviderError, Providers};

/// Where both addresses are, and where the cookie goes.
const PATH: &str = "/sso";
const WAY: RoundTrip = RoundTrip { name: "sso", path: PATH };
/// From the first step to the last, with a person typing in between.
const MINUTES: i64 = 10;
const NAME_CHARS_MAX: usize = 200;
pub(crate) const GROUPS_MAX: usize = 5_000;

/// What the sign-in by providers keeps.
pub struct Sso {
    providers: Providers,
}

impl Sso {
    #[must_use]
    pub fn new(outbound: Outbound) -> Self {
        Self { providers: Providers::new(outbound) }
    }

    /// True for an address that a provider may have: https, or one that the operator has opened.
    #[must_use]
    pub fn is_fit(&self, issuer: &str) -> bool {
        self.providers.is_fit(issuer) && Url::parse(issuer).is_ok_and(|url| url.query().is_none())
    }
}

pub fn routes(config: &mut web::ServiceConfig) {
    let scope = web::scope(PATH)
        .route("/start", web::get().to(find))
        .route("/callback", web::get().to(callback))
        .route("/{tenant}/start", web::get().to(start));
    config.service(scope);
}

/// Where a provider sends people back to.
#[must_use]
pub fn redirect_uri(public_url: &str) -> String {
    format!("{public_url}{PATH}/callback")
}

/// Why somebody is not signed in, and what the tenant's audit log says beside.
#[derive(Debug)]
enum Failure {
    Refused { refusal: Refusal, why: String },
    Store(StoreError),
}

impl Failure {
    fn of(refusal: Refusal) -> Self {
        Self::Refused { refusal, why: String::new() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        Self::Refused { refusal: error.refusal(), why: error.to_string() }
    }
}

impl From<Disbelief> for Failure {
    fn from(error: Disbelief) -> Self {
        Self::Refused { refusal: Refusal::NotBelieved, why: error.to_string() }
    }
}

/// Finds whose provider somebody means who gave a tenant's name or their own address, and sends them there.
async fn find(state: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    let caller = Caller::of(&state, &request);
    let who = form_urlencoded::parse(request.query_string().as_bytes()).find(|(name, _)| name == "who");
    let who = who.map(|(_, who)| who.trim().to_lowercase()).unwrap_or_default();
    let found = async {
        if !quota::of_step(&state, &caller).await.is_granted {
            return Err(Failure::of(Refusal::TooMany));
        }
        let domain = EmailDomain::of(&who);
        let slug = (domain.is_none() && is_name(&who)).then_some(who.as_str());
        let found = state.store.sso_tenant(slug, domain.as_ref()).await?;
        found.ok_or_else(|| Failure::of(Refusal::Unknown))
    };
    match found.await {
        Ok((_, slug)) => to(&format!("{}{PATH}/{slug}/start", state.public_url), &[]),
        Err(failure) => refused(&state, &caller, None, failure).await,
    }
}

/// As the schema has slugs.
fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

async fn start(state: web::Data<AppState>, request: HttpRequest, slug: web::Path<String>) -> HttpResponse {
    let caller = Caller::of(&state, &request);
    if is_sent_from_elsewhere(&request) && is_name(&slug) {
        return to(&format!("{}/company?who={slug}", state.public_url), &[]);
    }
    let mut tenant = None;
    match begin(&state, &caller, &slug, &mut tenant).await {
        Ok((address, browser)) => {
            info!(request.id = %caller.request, "A sign-in by SSO was begun");
            to(&address, &[WAY.kept(state.cookie, "", &browser, MINUTES * 60)])
        }
        Err(failure) => refused(&state, &caller, tenant, failure).await,
    }
}

/// True where another site's page sent the browser here. Whoever made that page would choose whose provider signs its visitor in, perhaps as themselves; so
/// the visitor has to say that they want it.
fn is_sent_from_elsewhere(request: &HttpRequest) -> bool {
    let site = request.headers().get("Sec-Fetch-Site").and_then(|value| value.to_str().ok());
    site.is_some_and(|site| !matches!(site, "same-origin" | "none"))
}

/// Where the browser goes, and what it keeps.
async fn begin(state: &AppState, caller: &Caller, slug: &str, of: &mut Option<TenantId>) -> Result<(String, String), Failure> {
    if !quota::of_step(state, caller).await.is_granted {
        return Err(Failure::of(Refusal::TooMany));
    }
    let found = if is_name(slug) { state.store.sso_tenant(Some(slug), None).await? } else { None };
    let (tenant, _) = found.ok_or_else(|| Failure::of(Refusal::Unknown))?;
    let scope = scope(tenant, caller);
    let provider = state.store.within(&scope).identity_provider().await?.ok_or_else(|| Failure::of(Refusal::Unknown))?;
    *of = Some(tenant);
    let metadata = state.sso.providers.metadata(&provider.issuer).await?;
    let ((state_text, state_hash), (browser, browser_hash)) = (auth::new_token(), auth::new_token());
    let begun = Begun {
        tenant,
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        state_hash: &state_hash,
        browser_hash: &browser_hash,
        expires_at: Utc::now() + Duration::minutes(MINUTES),
    };
    state.store.sso_begin(&begun).await?;
    let mut address = Url::parse(&metadata.authorization_endpoint).map_err(|_| Failure::of(Refusal::ProviderAway))?;
    address
        .query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.client_id)
        .append_pair("redirect_uri", &redirect_uri(&state.public_url))
        .append_pair("scope", &[&["openid".to_owned()], provider.scopes.as_slice()].concat().join(" "))
        .append_pair("state", &state_text)
        .append_pair("nonce", &WAY.derived(&browser, "nonce"))
        .append_pair("code_challenge", &digest(&WAY.derived(&browser, "verifier")))
        .append_pair("code_challenge_method", "S256");
    Ok((address.into(), browser))
}

/// Who acts until somebody is known.
fn scope(tenant: TenantId, caller: &Caller) -> Scope {
    Scope { tenant, actor: Actor::system("sso"), request: caller.request }
}

/// True of what a browser comes back with from a provider.
pub(crate) fn is_answer(query: &str) -> bool {
    Returned::read(query).is_some()
}

async fn callback(state: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    let caller = Caller::of(&state, &request);
    let mut tenant = None;
    match end(&state, &caller, &request, &mut tenant).await {
        Ok(session) => {
            let cookies = [WAY.kept(state.cookie, "", "", 0), state.cookie.of_session(&session), state.cookie.just_opened()];
            to(&format!("{}/sign-in?sso=done", state.public_url), &cookies)
        }
        Err(failure) => refused(&state, &caller, tenant, failure).await,
    }
}

async fn end(state: &AppState, caller: &Caller, request: &HttpRequest, of: &mut Option<TenantId>) -> Result<Session, Failure> {
    if !quota::of_step(state, caller).await.is_granted {
        return Err(Failure::of(Refusal::TooMany));
    }
    let elsewhere = || Failure::of(Refusal::NotBegunHere);
    let returned = Returned::read(request.query_string()).ok_or_else(elsewhere)?;
    let browser = WAY.find(request.headers(), state.cookie, "").ok_or_else(elsewhere)?;
    let taken = state.store.sso_take(&auth::hashed(&returned.state), &auth::hashed(&browser)).await?.ok_or_else(elsewhere)?;
    *of = Some(taken.tenant);
    if let Some(error) = &returned.error {
        let refusal = if error == "access_denied" { Refusal::Denied } else { Refusal::ProviderFailed };
        return Err(Failure::Refused { refusal, why: format!("the provider said {}", provider::cut(error)) });
    }
    let code = returned.code.as_deref().ok_or_else(|| Failure::of(Refusal::ProviderFailed))?;
    let (believed, provider) = vouched(state, caller, &taken, (&returned, code), &browser).await?;
    admit(state, caller, taken.tenant, &provider, &believed).await
}

/// Trades the code, and believes what comes of it or not.
async fn vouched(
    state: &AppState,
    caller: &Caller,
    taken: &Taken,
    (returned, code): (&Returned, &str),
    browser: &str,
) -> Result<(Believed, Provider), Failure> {
    let scope = scope(taken.tenant, caller);
    let found = state.store.within(&scope).identity_provider_opened(&state.vault).await?;
    // One that was set anew meanwhile did not see this person leave.
    let (provider, secret) = found
        .filter(|(provider, _)| provider.issuer == taken.issuer && provider.client_id == taken.client_id)
        .ok_or_else(|| Failure::of(Refusal::Changed))?;
    let providers = &state.sso.providers;
    let metadata = providers.metadata(&provider.issuer).await?;
    named(returned, &metadata)?;
    let client = Client { id: &provider.client_id, secret: &secret };
    let redirect_uri = redirect_uri(&state.public_url);
    let code = Code { code, verifier: &WAY.derived(browser, "verifier"), redirect_uri: &redirect_uri };
    let tokens = providers.tokens(&metadata, &client, &code).await?;
    let expected = Expected {
        issuer: &provider.issuer,
        client_id: &provider.client_id,
        nonce: &WAY.derived(browser, "nonce"),
        now: u64::try_from(Utc::now().timestamp()).unwrap_or_default(),
    };
    let token = tokens.id_token()?;
    let mut believed = match id_token::believe(token, &providers.keys(&metadata, false).await?, &expected) {
        Err(Disbelief::UnknownKey) => id_token::believe(token, &providers.keys(&metadata, true).await?, &expected)?,
        believed => believed?,
    };
    // Many providers keep the ID token small and say the rest when they are asked.
    if ["email", "email_verified", &provider.groups_claim].iter().any(|name| claim(&believed.claims, name).is_none()) {
        let more = providers.user_info(&metadata, &tokens, &believed.subject).await?;
        complete(&mut believed.claims, more);
    }
    Ok((believed, provider))
}

/// Adds what the ID token lacks. An address and whether it is verified belong together: what is said of one says nothing of another.
fn complete(claims: &mut Map<String, Value>, more: Map<String, Value>) {
    match claims.get("email") {
        None => drop(claims.remove("email_verified")),
        Some(email) if more.get("email") != Some(email) => drop(claims.entry("email_verified").or_insert(Value::Bool(false))),
        Some(_) => {}
    }
    for (name, value) in more {
        claims.entry(name).or_insert(value);
    }
}

/// An answer that names its issuer must name ours, and a provider that always does must have (RFC 9207): else it is another's, and the code would be shown
/// to the wrong one.
fn named(returned: &Returned, metadata: &Metadata) -> Result<(), Failure> {
    let is_its = match &returned.issuer {
        Some(issuer) => *issuer == metadata.issuer,
        None => !metadata.authorization_response_iss_parameter_supported,
    };
    let why = "the answer is of another issuer".to_owned();
    if is_its { Ok(()) } else { Err(Failure::Refused { refusal: Refusal::NotBelieved, why }) }
}

/// Whom a provider vouches for by what stands in an ID token and what it says beside: the address, and the groups.
pub(crate) fn vouched_for(
    mut claims: Map<String, Value>,
    more: Map<String, Value>,
    groups_claim: &str,
) -> (Option<String>, Vec<String>) {
    complete(&mut claims, more);
    (address(&claims).map(str::to_owned), groups(&claims, groups_claim))
}

/// A claim by its name, or by a JSON pointer: `/realm_access/roles`.
fn claim<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    let Some(path) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let found = claims.get(first)?;
    rest.map_or(Some(found), |rest| found.pointer(&format!("/{rest}")))
}

/// The address that the provider vouches for. Some write the yes as a text.
fn address(claims: &Map<String, Value>) -> Option<&str> {
    let is_verified = claims.get("email_verified").is_some_and(|value| value == &Value::Bool(true) || value == "true");
    let email = claims.get("email")?.as_str()?;
    let is_one = email.len() <= EMAIL_BYTES_MAX && email.matches('@').count() == 1 && EmailDomain::of(email).is_some();
    let is_plain = !email.chars().any(|char| char.is_whitespace() || char.is_control() || matches!(char, ',' | ';' | '<' | '>'));
    (is_verified && is_one && is_plain).then_some(email)
}

fn groups(claims: &Map<String, Value>, name: &str) -> Vec<String> {
    match claim(claims, name) {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().take(GROUPS_MAX).filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => vec![],
    }
}

/// Lets them in as what their groups give.
async fn admit(
    state: &AppState,
    caller: &Caller,
    tenant: TenantId,
    provider: &Provider,
    believed: &Believed,
) -> Result<Session, Failure> {
    let email = address(&believed.claims).ok_or_else(|| Failure::Refused {
        refusal: Refusal::EmailNotVerified,
        why: format!("of the subject {}", provider::cut(&believed.subject)),
    })?;
    let name = believed.claims.get("name").and_then(Value::as_str).unwrap_or_default();
    let name: String = name.chars().filter(|char| !char.is_control()).take(NAME_CHARS_MAX).collect();
    let (token, token_hash) = auth::new_token();
    let vouched = Vouched {
        tenant,
        issuer: &provider.issuer,
        subject: &believed.subject,
        email,
        name: &name,
        role: provider.roles.role_of(&groups(&believed.claims, &provider.groups_claim)),
        password_hash: password::nobodys().await.map_err(|_| Failure::of(Refusal::TooMany))?,
        token_hash: &token_hash,
    };
    match state.store.sso_sign_in(&vouched, caller.whence()).await? {
        Vouching::Opened { user, session, ends_at } => {
            auth::opened(state, user, session, token, ends_at).ok_or_else(|| Failure::of(Refusal::Internal))
        }
        // It is in the audit log already, with what is known of the person.
        Vouching::Refused(refusal) => Err(Failure::of(refusal)),
    }
}

/// Back to the page where people sign in, with a word that says why; what it means stands there, so that nobody's link puts words into our pages.
async fn refused(state: &AppState, caller: &Caller, tenant: Option<TenantId>, failure: Failure) -> HttpResponse {
    let (refusal, why) = match failure {
        Failure::Refused { refusal, why } => (refusal, why),
        Failure::Store(cause) => {
            error!(request.id = %caller.request, error = infra::chain(&cause), "A sign-in by SSO failed");
            (Refusal::Internal, String::new())
        }
    };
    info!(request.id = %caller.request, refusal = refusal.as_str(), why, "A sign-in by SSO was refused");
    let is_told = matches!(
        refusal,
        Refusal::NoRole
            | Refusal::DomainNotProven
            | Refusal::Owner
            | Refusal::LastOwner
            | Refusal::Inactive
            | Refusal::Internal
            | Refusal::TooMany
    );
    if let Some(tenant) = tenant.filter(|_| !is_told)
        && let Err(cause) = state.store.sso_refused(tenant, refusal, &why, caller.whence()).await
    {
        warn!(request.id = %caller.request, error = infra::chain(&cause), "A refused sign-in by SSO is not in the audit log");
    }
    // A way back that this browser did not begin leaves what it did begin alone.
    let cookies = if refusal == Refusal::NotBegunHere { vec![] } else { vec![WAY.kept(state.cookie, "", "", 0)] };
    to(&format!("{}/sign-in?sso={}", state.public_url, refusal.as_str()), &cookies)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn only_an_address_that_is_vouched_for_counts() {
        for (claims, expected) in [
            (json!({"email": "ann@example.com", "email_verified": true}), Some("ann@example.com")),
            (json!({"email": "ann@example.com", "email_verified": "true"}), Some("ann@example.com")),
            (json!({"email": "ann@example.com", "email_verified": false}), None),
            (json!({"email": "ann@example.com", "email_verified": 1}), None),
            (json!({"email": "ann@example.com"}), None),
            (json!({"email": "ann@evil.example@example.com", "email_verified": true}), None),
            (json!({"email": "ann@example.com, bob@example.com", "email_verified": true}), None),
            (json!({"email": ["ann@example.com"], "email_verified": true}), None),
            (json!({"email_verified": true}), None),
        ] {
            assert_eq!(address(&map(claims.clone())), expected, "{claims}");
        }
    }

    #[test]
    fn what_is_verified_of_one_address_says_nothing_of_another() {
        let ann = |email: &str| json!({"email": email, "email_verified": true, "groups": ["ops"]});
        for (token, more, expected) in [
            (json!({}), ann("ann@example.com"), Some("ann@example.com")),
            (json!({"email": "ann@example.com"}), ann("ann@example.com"), Some("ann@example.com")),
            (json!({"email": "bob@example.com"}), ann("ann@example.com"), None),
            (json!({"email_verified": true}), json!({"email": "bob@example.com", "email_verified": false}), None),
            (json!({"email_verified": true}), json!({"email": "bob@example.com"}), None),
            (json!({"email": "ann@example.com", "email_verified": false}), ann("ann@example.com"), None),
            (json!({"email": "ann@example.com", "email_verified": true}), json!({}), Some("ann@example.com")),
        ] {
            let mut claims = map(token.clone());
            complete(&mut claims, map(more.clone()));
            assert_eq!(address(&claims), expected, "{token} {more}");
        }
    }

    #[test]
    fn groups_are_read_where_the_tenant_says() {
        let claims = map(json!({
            "groups": ["ops", 7, "it"], "role": "one", "https://example.com/groups": ["by name"], "realm_access": {"roles": ["deep"]},
        }));
        for (name, expected) in [
            ("groups", &["ops", "it"][..]),
            ("role", &["one"]),
            ("https://example.com/groups", &["by name"]),
            ("/realm_access/roles", &["deep"]),
            ("/groups", &["ops", "it"]),
            ("missing", &[]),
            ("/realm_access/missing", &[]),
        ] {
            assert_eq!(groups(&claims, name), expected, "{name}");
        }
    }
}
