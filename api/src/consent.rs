//! Connecting an account by a person's consent (OAuth 2, authorization code with PKCE): the person is sent to the vendor and comes back with a code, which
//! we trade for tokens, once. Nothing that the vendor gives is ever shown.
//!
//! The way back is good once, for ten minutes, in the browser that left ([`crate::round_trip`]), while the session that asked is open and its person may
//! still connect accounts. Each connector has an address of its own to come back to, so that no vendor's answer is taken for another's.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::{Duration, Utc};
use connectors::{CallbackError, Connector, RequestContext, TokenSet};
use domain::consent::{CONSENT_MINUTES, ConsentEnd, said};
use domain::fault::Fault;
use domain::id::{ConnectionId, SessionId, UserId};
use domain::merkle::{Hash, hex};
use domain::permission::Permission;
use domain::scope::{Actor, Scope};
use domain::secret::{Redactor, SecretFields, SecretString};
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::consent::{Begin, Begun, Brought, Taken};
use infra::postgres::ledger::ConnectionRow;
use infra::postgres::people::Membership;
use infra::token_call::TokenCall;
use serde_json::{Map, Value};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::auth::{self, Caller};
use crate::round_trip::{Returned, RoundTrip, digest, to};
use crate::{AppState, quota};

const WAY: RoundTrip = RoundTrip { name: "oauth", path: "/oauth" };
const VERIFIER: &str = "verifier";

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(web::scope(WAY.path).route("/callback/{connector}", web::get().to(callback)));
}

/// Where a vendor sends people back to: what is registered there, to the letter.
#[must_use]
pub fn redirect_uri(public_url: &str, connector: &str) -> String {
    format!("{public_url}{}/callback/{connector}", WAY.path)
}

/// Where the person goes, and what their browser keeps meanwhile.
pub struct Departure {
    pub authorize_url: String,
    pub cookie: String,
}

/// Why nobody can be sent to the vendor.
#[derive(Debug, thiserror::Error)]
pub enum DepartureError {
    #[error("{0} asks nobody for consent: it is connected by its credential alone")]
    NoConsent(String),
    #[error("the connection has no credential; store the client's id and secret first")]
    NoCredential,
    #[error("there is no such connection")]
    NotFound,
    #[error("this connection was asked for too often; wait an hour")]
    TooMany,
    #[error("{0}")]
    Request(#[from] connectors::RequestError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks for the consent of a person, in their browser.
///
/// # Errors
/// Where there is nothing to ask for, or the connection lacks what that takes.
pub async fn begin(
    state: &AppState,
    scope: &Scope,
    (user, session): (UserId, SessionId),
    connection: ConnectionId,
) -> Result<Departure, DepartureError> {
    let store = state.store.within(scope);
    let row = store.connection_rows(&[connection.0]).await?.pop().ok_or(DepartureError::NotFound)?;
    let connector = state.catalog.get(&row.connector).ok_or(DepartureError::NotFound)?;
    if !connector.needs_consent() {
        return Err(DepartureError::NoConsent(connector.title().to_owned()));
    }
    let credential = row.credential.ok_or(DepartureError::NoCredential)?;
    let fields = store.credential_open(&state.vault, credential).await?;
    let ((state_text, state_hash), (browser, browser_hash)) = (auth::new_token(), auth::new_token());
    let nonce = Uuid::new_v4().simple().to_string();
    let context = RequestContext::new(&row.settings, &fields, Utc::now(), &nonce);
    let challenge = digest(&WAY.derived(&browser, VERIFIER));
    let redirect_uri = redirect_uri(&state.public_url, connector.name());
    let authorize_url = connector.authorize_url(&state_text, &challenge, &redirect_uri, &context)?;
    let begun = Begun {
        connection,
        credential,
        settings: &row.settings,
        user,
        session,
        state_hash: &state_hash,
        browser_hash: &browser_hash,
        expires_at: Utc::now() + Duration::minutes(CONSENT_MINUTES),
    };
    match store.consent_begin(&begun).await? {
        Begin::Done => {
            let cookie = WAY.kept(state.cookie, &which(&state_hash), &browser, CONSENT_MINUTES * 60);
            Ok(Departure { authorize_url, cookie })
        }
        Begin::NotFound => Err(DepartureError::NotFound),
        Begin::TooMany => Err(DepartureError::TooMany),
    }
}

/// Tells the cookies of ways that are under way at once apart; it says nothing of the state.
fn which(state_hash: &Hash) -> String {
    hex(state_hash)[..12].to_owned()
}

/// Why a consent came to nothing.
#[derive(Debug)]
struct Failure {
    end: ConsentEnd,
    /// What the vendor said, or what is known beside, without anything secret.
    said: String,
}

impl Failure {
    fn new(end: ConsentEnd, what: impl AsRef<str>) -> Self {
        Self { end, said: said(what.as_ref()) }
    }

    fn of(end: ConsentEnd) -> Self {
        Self { end, said: String::new() }
    }
}

impl From<StoreError> for Failure {
    fn from(cause: StoreError) -> Self {
        error!(error = chain(&cause), "A consent could not be ended");
        Self::of(ConsentEnd::Internal)
    }
}

impl From<CallbackError> for Failure {
    fn from(error: CallbackError) -> Self {
        match &error {
            CallbackError::Refused { code, said, .. } => {
                let end = if code == "access_denied" { ConsentEnd::Denied } else { ConsentEnd::VendorRefused };
                Self::new(end, format!("{code}{said}"))
            }
            CallbackError::OtherIssuer { .. } => Self::new(ConsentEnd::NotBelieved, error.to_string()),
            _ => Self::new(ConsentEnd::VendorRefused, error.to_string()),
        }
    }
}

/// Somebody who came back, in the browser that left.
struct Arrival {
    taken: Taken,
    /// Which cookie it was.
    which: String,
    verifier: SecretString,
}

async fn callback(state: web::Data<AppState>, request: HttpRequest, connector: web::Path<String>) -> HttpResponse {
    let caller = Caller::of(&state, &request);
    let arrival = match arrive(&state, &caller, &request).await {
        Ok(Some(arrival)) => arrival,
        // What another browser began is left alone, and so are its cookies.
        Ok(None) => return nowhere(&state, "not_begun_here", &[]),
        Err(cause) => {
            error!(request.id = %caller.request, error = chain(&cause), "A consent could not be taken");
            return nowhere(&state, ConsentEnd::Internal.as_str(), &[]);
        }
    };
    let forgotten = [WAY.kept(state.cookie, &arrival.which, "", 0)];
    let taken = &arrival.taken;
    let membership = member(&state, taken).await;
    let actor = match &membership {
        Ok(member) => Actor::Member { user: taken.user, role: member.role },
        Err(_) => Actor::system("consent"),
    };
    let scope = Scope { tenant: taken.tenant, actor, request: caller.request };
    let ended = match &membership {
        Ok(_) => end(&state, &scope, &arrival, request.query_string(), &connector).await,
        Err(failure) => Err(Failure { end: failure.end, said: failure.said.clone() }),
    };
    let how = match ended {
        Ok(end) => end,
        Err(Failure { end, said }) => {
            if let Err(cause) = state.store.within(&scope).consent_refused(taken, end, &said).await {
                warn!(request.id = %caller.request, error = chain(&cause), "A refused consent was not written down");
            }
            end
        }
    };
    info!(request.id = %caller.request, connection.id = %taken.connection, how = how.as_str(), "A consent ended");
    match membership {
        // A word only: what it means stands with the connection, so that nobody's link puts words into our pages.
        Ok(Membership { slug, .. }) => {
            let connection = taken.connection;
            to(&format!("{}/t/{slug}/connections/{connection}?consent={}", state.public_url, how.as_str()), &forgotten)
        }
        Err(_) => nowhere(&state, how.as_str(), &forgotten),
    }
}

/// To a page that is of no tenant.
fn nowhere(state: &AppState, word: &str, cookies: &[String]) -> HttpResponse {
    to(&format!("{}/consent?ended={word}", state.public_url), cookies)
}

/// Who comes back, once; `None` where it is not known here: never asked for, asked for in another browser, come back already, or too late.
async fn arrive(state: &AppState, caller: &Caller, request: &HttpRequest) -> Result<Option<Arrival>, StoreError> {
    if !quota::of_step(state, caller).await.is_granted {
        return Ok(None);
    }
    let Some(returned) = Returned::read(request.query_string()) else { return Ok(None) };
    let state_hash = auth::hashed(&returned.state);
    let which = which(&state_hash);
    let Some(browser) = WAY.find(request.headers(), state.cookie, &which) else { return Ok(None) };
    let taken = state.store.consent_take(&state_hash, &auth::hashed(&browser)).await?;
    let verifier = WAY.derived(&browser, VERIFIER).into();
    Ok(taken.map(|taken| Arrival { taken, which, verifier }))
}

/// The place of whoever asked, if their session is open and they may connect accounts still.
async fn member(state: &AppState, taken: &Taken) -> Result<Membership, Failure> {
    let memberships = state.store.memberships(taken.session, taken.user).await?.unwrap_or_default();
    let may = |member: &Membership| member.role.may(Permission::Configure) && !member.lacks_second_factor;
    let member = memberships.into_iter().find(|member| member.tenant == taken.tenant && may(member));
    member.ok_or_else(|| Failure::of(ConsentEnd::SignedOut))
}

/// The connection as it was when the person left.
struct Account {
    row: ConnectionRow,
    connector: &'static Connector,
    fields: SecretFields,
    /// Of the consent before.
    previous: Option<TokenSet>,
}

async fn account(state: &AppState, scope: &Scope, taken: &Taken) -> Result<Account, Failure> {
    let store = state.store.within(scope);
    let row = store.connection_rows(&[taken.connection.0]).await?.pop();
    let is_same = |row: &ConnectionRow| row.credential == Some(taken.credential) && row.settings == taken.settings;
    let row = row.filter(is_same).ok_or_else(|| Failure::of(ConsentEnd::Changed))?;
    let connector = state.catalog.get(&row.connector).ok_or_else(|| Failure::of(ConsentEnd::Changed))?;
    let fields = store.credential_open(&state.vault, taken.credential).await?;
    let token = store.token_find(&state.vault, taken.credential).await?;
    let previous = token.fields.as_ref().and_then(TokenSet::from_secret_fields);
    Ok(Account { row, connector, fields, previous })
}

/// Trades the code, and keeps what it brings.
async fn end(state: &AppState, scope: &Scope, arrival: &Arrival, query: &str, came_to: &str) -> Result<ConsentEnd, Failure> {
    let account = account(state, scope, &arrival.taken).await?;
    let connector = account.connector;
    if connector.name() != came_to {
        return Err(Failure::new(ConsentEnd::NotBelieved, format!("it came back to the address of {came_to}")));
    }
    let nonce = Uuid::new_v4().simple().to_string();
    let context = RequestContext::new(&account.row.settings, &account.fields, Utc::now(), &nonce);
    let callback = connector.read_callback(query)?;
    connector.check_issuer(query, &context)?;
    let settings = settings(&account, &callback.settings)?;
    let redirect_uri = redirect_uri(&state.public_url, connector.name());
    let request = connector.code_request(&callback.code, &arrival.verifier, &redirect_uri, &context);
    let request = request.map_err(|error| Failure::new(ConsentEnd::VendorRefused, error.to_string()))?;
    let mut call = TokenCall::default();
    call.ask(&request);
    let answer = state.outbound.send(request).await;
    if let Ok(answer) = &answer {
        call.answer(answer);
    }
    let shown = shown(arrival, &callback.code);
    let call = call.told(Map::new(), &[&Redactor::new(&account.fields), &Redactor::new(&shown)]);
    state.store.within(scope).consent_exchanged(arrival.taken.connection, call).await?;
    let answer = answer.map_err(|silence| Failure::new(ConsentEnd::VendorAway, silence.into_why()))?;
    let token = connector.read_token_answer(&answer, None, Utc::now()).map_err(|fault| refused(&account, &shown, fault))?;
    let mut token = token.with_settings(callback.settings);
    // One that says nothing of it has granted what was asked for (RFC 6749, 5.1).
    token.scope = token.scope.or(callback.scope);
    let is_whole = token.scope.as_ref().is_none_or(|granted| connector.missing_scopes(granted).is_empty());
    let end = if is_whole { ConsentEnd::Given } else { ConsentEnd::ScopesMissing };
    let token = token.to_secret_fields();
    let brought = Brought { credential: &account.fields, token: &token, settings: &settings, end };
    let is_kept = state.store.within(scope).consent_given(&state.vault, &arrival.taken, &brought).await?;
    if is_kept { Ok(end) } else { Err(Failure::of(ConsentEnd::Changed)) }
}

/// The connection's settings with what the vendor sent back. Which account it is never changes: the flows would write into another company's books.
fn settings(account: &Account, came: &std::collections::BTreeMap<String, String>) -> Result<Value, Failure> {
    let mut settings = account.row.settings.clone();
    for (name, value) in came {
        let own = account.row.settings.get(name).and_then(Value::as_str).filter(|own| !own.is_empty());
        let own = own.or_else(|| account.previous.as_ref()?.settings.get(name).map(String::as_str));
        if let Some(own) = own.filter(|own| own != value) {
            return Err(Failure::new(ConsentEnd::OtherAccount, format!("{value} in the place of {own}")));
        }
        if let Some(settings) = settings.as_object_mut() {
            settings.insert(name.clone(), Value::from(value.as_str()));
        }
    }
    let unfit = |errors: Vec<connectors::FieldError>| {
        let first = errors.first().map(|error| format!("{}: {}", error.field, error.message)).unwrap_or_default();
        Failure::new(ConsentEnd::Unfit, first)
    };
    account.connector.check_settings(&settings).map_err(unfit)?;
    Ok(settings)
}

/// What the vendor is shown and nobody else may see.
fn shown(arrival: &Arrival, code: &SecretString) -> SecretFields {
    [("verifier".to_owned(), arrival.verifier.clone()), ("code".to_owned(), code.clone())].into_iter().collect()
}

/// The vendor gave no tokens. Whatever it repeats of what it was shown is taken out.
fn refused(account: &Account, shown: &SecretFields, fault: Fault) -> Failure {
    let fault = fault.redacted(&Redactor::new(&account.fields)).redacted(&Redactor::new(shown));
    let end = if fault.class.is_passing() { ConsentEnd::VendorAway } else { ConsentEnd::VendorRefused };
    Failure::new(end, fault.reason)
}
