//! The token of an account, where the vendor wants one: asked for once, by whichever worker comes first, and shared by all.
//!
//! In this process one caller at a time asks and the others wait for him; between processes the row says who asks. A token that the vendor
//! ended early is renewed once: whoever is refused with an old version takes the newer one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::Utc;
use connectors::{Connector, RequestContext, TokenSet};
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::NoAnswer;
use domain::id::CredentialId;
use domain::scope::Scope;
use domain::secret::{ExposeSecret, Redactor, SecretFields};
use infra::postgres::StoreError;
use infra::token_call::TokenCall;
use serde_json::Map;
use uuid::Uuid;

use crate::Context;
use crate::call::silent;

/// What asking may take beyond the call itself, before another worker takes it that we died.
const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// How often we look whether another process has the token by now.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a refusal is believed: a backlog must not ask once for every delivery.
const REFUSED_FOR: Duration = Duration::from_secs(20);
/// Accounts whose tokens are kept in memory; when full it starts anew, and the rows tell.
const ACCOUNTS_MAX: usize = 2_000;

/// A token in use.
pub struct Token {
    pub set: TokenSet,
    version: i32,
    /// Takes the token out of every text that is kept.
    pub redactor: Redactor,
    is_refused: AtomicBool,
}

impl Token {
    fn new(set: TokenSet, version: i32) -> Arc<Self> {
        // Only what is secret of it: a time or a scope would be taken out of ordinary texts.
        let secrets = [Some(&set.access_token), set.refresh_token.as_ref()].into_iter().flatten();
        let cookies = set.cookies.iter().map(|(_, value)| value);
        let fields: SecretFields =
            secrets.chain(cookies).enumerate().map(|(at, value)| (at.to_string(), value.expose_secret().into())).collect();
        Arc::new(Self { set, version, redactor: Redactor::new(&fields), is_refused: AtomicBool::new(false) })
    }

    /// The vendor refused it before its time: nobody here uses it again.
    pub fn refuse(&self) {
        self.is_refused.store(true, Ordering::Relaxed);
    }
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{}", .0.reason)]
    Fault(Fault),
}

#[derive(Default)]
struct Slot {
    token: Option<Arc<Token>>,
    /// What the vendor said when it gave none, and when.
    refusal: Option<(Fault, Instant)>,
}

/// Whose token it is.
pub struct Account<'a> {
    pub connector: &'static Connector,
    pub credential: CredentialId,
    pub fields: &'a SecretFields,
    pub settings: &'a serde_json::Value,
}

/// All tokens of this process.
pub struct Tokens {
    context: Arc<Context>,
    slots: Mutex<HashMap<CredentialId, Arc<tokio::sync::Mutex<Slot>>>>,
}

impl Tokens {
    pub fn new(context: Arc<Context>) -> Self {
        Self { context, slots: Mutex::default() }
    }

    fn slot(&self, credential: CredentialId) -> Arc<tokio::sync::Mutex<Slot>> {
        let mut slots = self.slots.lock().expect("no code panics while it holds the slots");
        if slots.len() >= ACCOUNTS_MAX && !slots.contains_key(&credential) {
            slots.clear();
        }
        slots.entry(credential).or_default().clone()
    }

    /// A token that is good now; asks for one where it must.
    ///
    /// # Errors
    /// Where the vendor gave none, with its reason, or the database did not answer.
    pub async fn token(&self, scope: &Scope, account: &Account<'_>) -> Result<Arc<Token>, TokenError> {
        let slot = self.slot(account.credential);
        let mut slot = slot.lock().await;
        if let Some(token) = slot.token.as_ref().filter(|token| slot.serves(account, token.version, &token.set)) {
            return Ok(token.clone());
        }
        if let Some((fault, at)) = &slot.refusal
            && at.elapsed() < REFUSED_FOR
        {
            return Err(TokenError::Fault(fault.clone()));
        }
        match self.renew(scope, account, &slot).await {
            Ok(token) => {
                *slot = Slot { token: Some(token.clone()), refusal: None };
                Ok(token)
            }
            Err(TokenError::Fault(fault)) => {
                slot.refusal = Some((fault.clone(), Instant::now()));
                Err(TokenError::Fault(fault))
            }
            Err(error) => Err(error),
        }
    }

    async fn renew(&self, scope: &Scope, account: &Account<'_>, slot: &Slot) -> Result<Arc<Token>, TokenError> {
        let store = self.context.store.within(scope);
        let lease = self.context.outbound.timeout() + LEASE_MARGIN;
        let give_up_at = Instant::now() + lease;
        loop {
            let row = store.token_find(&self.context.vault, account.credential).await?;
            let stored = row.fields.as_ref().and_then(TokenSet::from_secret_fields);
            if let Some(set) = stored.as_ref().filter(|set| slot.serves(account, row.version, set)) {
                return Ok(Token::new(set.clone(), row.version));
            }
            if store.token_begin_renewal(account.credential, row.version, lease.as_secs_f64()).await? {
                return self.ask(scope, account, row.version, stored.as_ref()).await;
            }
            if Instant::now() >= give_up_at {
                let fix = "Nothing to do: it is tried again.";
                let reason = format!("{} has not given a new access token in time", account.connector.title());
                return Err(TokenError::Fault(Fault::new(FaultClass::Outage, "token_late", reason, Owner::Vendor, fix)));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn ask(
        &self,
        scope: &Scope,
        account: &Account<'_>,
        version: i32,
        stored: Option<&TokenSet>,
    ) -> Result<Arc<Token>, TokenError> {
        let store = self.context.store.within(scope);
        let mut call = TokenCall::default();
        match self.exchange(account, stored, &mut call).await {
            Ok(set) => {
                // A crash before this commit loses what the vendor has just given; there is no step in between that could.
                let token = Token::new(set.clone(), version);
                let own = Redactor::new(account.fields);
                let call =
                    |version: i32| call.told(Map::from_iter([("version".into(), version.into())]), &[&token.redactor, &own]);
                let fields = set.to_secret_fields();
                let kept = store.token_keep(&self.context.vault, account.credential, version, &fields, call).await?;
                match kept {
                    Some(version) => Ok(Token::new(set, version)),
                    // We were taken to have died, and somebody else has a newer one.
                    None => {
                        let row = store.token_find(&self.context.vault, account.credential).await?;
                        let newer = row.fields.as_ref().and_then(TokenSet::from_secret_fields);
                        Ok(Token::new(newer.unwrap_or(set), row.version))
                    }
                }
            }
            Err(fault) => {
                let before = stored.map(|set| Token::new(set.clone(), version));
                let own = Redactor::new(account.fields);
                let redactors: Vec<&Redactor> = before.iter().map(|token| &token.redactor).chain([&own]).collect();
                let fault = redactors.iter().fold(fault, |fault, redactor| fault.redacted(redactor));
                let call = call.told(Map::from_iter([("code".into(), fault.code.as_str().into())]), &redactors);
                store.token_renewal_failed(account.credential, version, call).await?;
                Err(TokenError::Fault(fault))
            }
        }
    }

    async fn exchange(&self, account: &Account<'_>, stored: Option<&TokenSet>, call: &mut TokenCall) -> Result<TokenSet, Fault> {
        let connector = account.connector;
        let nonce = Uuid::new_v4().simple().to_string();
        let context =
            RequestContext { token: stored, ..RequestContext::new(account.settings, account.fields, Utc::now(), &nonce) };
        let fix = "Connect the account again, then press Retry.";
        let unasked = |why: String| Fault::new(FaultClass::Authentication, "not_connected", why, Owner::Developer, fix);
        let request = connector.token_request(&context).map_err(|error| unasked(error.to_string()))?;
        let request = request.ok_or_else(|| unasked("the connector needs no token".into()))?;
        call.ask(&request);
        match self.context.outbound.send(request).await {
            Ok(answer) => {
                call.answer(&answer);
                connector.read_token_answer(&answer, stored, Utc::now())
            }
            Err(NoAnswer::Refused(why)) => Err(unasked(why)),
            Err(NoAnswer::NotSent(why) | NoAnswer::Lost(why)) => {
                Err(silent(connector, FaultClass::Outage, "token_unreachable", &why))
            }
        }
    }
}

impl Slot {
    /// True where it does not end at once and is none that was refused, nor an older one.
    fn serves(&self, account: &Account<'_>, version: i32, set: &TokenSet) -> bool {
        let refused = self.token.as_ref().filter(|token| token.is_refused.load(Ordering::Relaxed));
        refused.is_none_or(|refused| version > refused.version) && !account.connector.needs_token(Some(set), Utc::now())
    }
}
