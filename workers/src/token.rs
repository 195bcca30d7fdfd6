//! The token of an account, where the vendor wants one: asked for once, by whichever worker comes first, and shared by all.
//!
//! In this process one caller at a time asks and the others wait for him; between processes the row says who asks. A token that the vendor
//! ended early is renewed once: whoever is refused with an old version takes the newer one.
//!
//! Many vendors end a refresh token with its first use. So what was given for it is never let go: where the database does not take it, this process
//! keeps and uses it, and goes on trying.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::Utc;
use connectors::{Connector, RequestContext, TokenSet};
use domain::call_payload::ToldCall;
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::NoAnswer;
use domain::id::CredentialId;
use domain::scope::Scope;
use domain::secret::{ExposeSecret, Redactor, SecretFields};
use infra::chain;
use infra::postgres::StoreError;
use infra::token_call::TokenCall;
use serde_json::Map;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::Context;
use crate::call::silent;

/// What asking may take beyond the call itself, before another worker takes it that we died: a wait for a connection of the pool, and the commit.
const LEASE_MARGIN: Duration = Duration::from_secs(15);
/// How often the lease is taken anew while a token is not stored yet.
const HOLD_EVERY: Duration = Duration::from_secs(2);
/// How long whoever asked waits until their token is stored; then they use it as it is in memory.
const KEEP_PATIENCE: Duration = Duration::from_secs(5);
/// When a token that the database did not take is offered again: at first, and at last.
const KEEP_AGAIN: Duration = Duration::from_millis(200);
const KEEP_AGAIN_MAX: Duration = Duration::from_secs(5);
/// How long one try may take: on a connection that a failover has left half open it would be minutes, in which nobody hears of us.
const TRY_MAX: Duration = Duration::from_secs(5);
/// How long that goes on: longer than a failover or a restart takes.
const KEEP_FOR: Duration = Duration::from_secs(15 * 60);
/// How often we look whether another process has the token by now.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long one whose lease has run out may stay silent before another takes his place. After an outage that was longer than the lease he may have a
/// token to store still: he holds his lease or stores it within this time, once the database answers.
const SILENCE_MAX: Duration = HOLD_EVERY.saturating_add(KEEP_AGAIN_MAX).saturating_add(TRY_MAX);
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
    /// Stores `token`. As long as it is at that, nobody asks: the refresh token in the row is used up.
    keeping: Option<JoinHandle<Arc<Token>>>,
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
            // What is in use or not stored yet stays.
            slots.retain(|_, slot| slot.try_lock().map_or(true, |slot| slot.is_keeping()));
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
        slot.settle(Duration::ZERO).await;
        if let Some(token) = slot.token.as_ref().filter(|token| slot.serves(account, token.version, &token.set)) {
            return Ok(token.clone());
        }
        if slot.is_keeping() {
            return Err(TokenError::Fault(late(account)));
        }
        if let Some((fault, at)) = &slot.refusal
            && at.elapsed() < REFUSED_FOR
        {
            return Err(TokenError::Fault(fault.clone()));
        }
        match self.renew(scope, account, &mut slot).await {
            Ok(token) => {
                (slot.token, slot.refusal) = (Some(token.clone()), None);
                Ok(token)
            }
            Err(TokenError::Fault(fault)) => {
                slot.refusal = Some((fault.clone(), Instant::now()));
                Err(TokenError::Fault(fault))
            }
            Err(error) => Err(error),
        }
    }

    /// Waits until what vendors gave is stored: for a process that ends, the last chance.
    pub async fn settle(&self) {
        let slots: Vec<_> = self.slots.lock().expect("no code panics while it holds the slots").values().cloned().collect();
        for slot in slots {
            slot.lock().await.settle(KEEP_FOR).await;
        }
    }

    async fn renew(&self, scope: &Scope, account: &Account<'_>, slot: &mut Slot) -> Result<Arc<Token>, TokenError> {
        let store = self.context.store.within(scope);
        let lease = lease(&self.context);
        let give_up_at = Instant::now() + lease;
        let mut silence = Silence::default();
        loop {
            let row = store.token_find(&self.context.vault, account.credential).await?;
            let stored = row.fields.as_ref().and_then(TokenSet::from_secret_fields);
            if let Some(set) = stored.as_ref().filter(|set| slot.serves(account, row.version, set)) {
                return Ok(Token::new(set.clone(), row.version));
            }
            let takes_over = silence.is_over(row.has_run_out);
            if store.token_begin_renewal(account.credential, row.version, lease.as_secs_f64(), takes_over).await? {
                return self.ask(scope, account, row.version, stored.as_ref(), slot).await;
            }
            // A silence ends by itself.
            if !row.has_run_out && Instant::now() >= give_up_at {
                return Err(TokenError::Fault(late(account)));
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
        slot: &mut Slot,
    ) -> Result<Arc<Token>, TokenError> {
        let mut call = TokenCall::default();
        match self.exchange(account, stored, &mut call).await {
            Ok(set) => {
                // Only a crash before the commit loses what the vendor has just given: nothing is awaited until it is in the slot, and there it stays.
                let token = Token::new(set, version + 1);
                let own = Redactor::new(account.fields);
                let call = call.told(Map::from_iter([("version".into(), token.version.into())]), &[&token.redactor, &own]);
                let given =
                    Given { scope: scope.clone(), credential: account.credential, seen: version, token: token.clone(), call };
                slot.token = Some(token.clone());
                slot.keeping = Some(tokio::spawn(given.keep(self.context.clone())));
                slot.settle(KEEP_PATIENCE).await;
                Ok(slot.token.clone().unwrap_or(token))
            }
            Err(fault) => {
                let before = stored.map(|set| Token::new(set.clone(), version));
                let own = Redactor::new(account.fields);
                let redactors: Vec<&Redactor> = before.iter().map(|token| &token.redactor).chain([&own]).collect();
                let fault = redactors.iter().fold(fault, |fault, redactor| fault.redacted(redactor));
                let call = call.told(Map::from_iter([("code".into(), fault.code.as_str().into())]), &redactors);
                self.context.store.within(scope).token_renewal_failed(account.credential, version, call).await?;
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

/// How long one whose lease has run out has been silent, as one sees it who looks every `LOOK_EVERY`. Only the time between looks that the database
/// answered counts: while it is away nobody can be heard.
#[derive(Default)]
struct Silence(Duration);

impl Silence {
    /// After each look; true where he is taken to have died.
    fn is_over(&mut self, has_run_out: bool) -> bool {
        let is_over = has_run_out && self.0 >= SILENCE_MAX;
        self.0 = if has_run_out { self.0 + LOOK_EVERY } else { Duration::ZERO };
        is_over
    }
}

/// What a vendor has given, and who has it to store.
struct Given {
    scope: Scope,
    credential: CredentialId,
    /// The version whose place it takes.
    seen: i32,
    token: Arc<Token>,
    call: ToldCall,
}

impl Given {
    /// Stores it, however often that has to be tried, and holds the renewal meanwhile. Gives what is good from then on.
    async fn keep(self, context: Arc<Context>) -> Arc<Token> {
        tokio::select! {
            token = self.store(&context) => token,
            () = self.hold(&context) => unreachable!("it is held until it is stored"),
        }
    }

    async fn store(&self, context: &Context) -> Arc<Token> {
        let (credential, began, mut wait) = (self.credential, Instant::now(), KEEP_AGAIN);
        loop {
            let error = match soon(self.store_once(context)).await {
                Ok(token) => {
                    if wait > KEEP_AGAIN {
                        info!(credential.id = %credential, "The new token of {credential} is stored now");
                    }
                    return token;
                }
                Err(error) => error,
            };
            if began.elapsed() >= KEEP_FOR {
                error!(
                    credential.id = %credential,
                    error = chain(&error),
                    "The new token of {credential} was never stored: once this process ends or the token does, its account has to be connected again"
                );
                return self.token.clone();
            }
            if wait == KEEP_AGAIN {
                error!(
                    credential.id = %credential,
                    error = chain(&error),
                    "The new token of {credential} is in the memory of this process only, because the database did not take it: let the database work \
                     within {} minutes and do not end this process before, or the account has to be connected again",
                    KEEP_FOR.as_secs() / 60
                );
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(KEEP_AGAIN_MAX);
        }
    }

    async fn store_once(&self, context: &Context) -> Result<Arc<Token>, StoreError> {
        let (store, fields) = (context.store.within(&self.scope), self.token.set.to_secret_fields());
        let kept = store.token_keep(&context.vault, self.credential, self.seen, &fields, &self.call).await?;
        if kept.is_some() {
            return Ok(self.token.clone());
        }
        // It was stored by a commit of which we did not hear; or we were taken to have died, and somebody else has a newer one.
        let row = store.token_find(&context.vault, self.credential).await?;
        let stored = row.fields.as_ref().and_then(TokenSet::from_secret_fields);
        let newer = stored.filter(|set| set.access_token.expose_secret() != self.token.set.access_token.expose_secret());
        Ok(newer.map_or_else(|| self.token.clone(), |set| Token::new(set, row.version)))
    }

    /// Takes the lease anew, again and again: whoever else asked would send the refresh token that is used up, and so end the whole grant.
    async fn hold(&self, context: &Context) {
        let (store, lease_s, credential) = (context.store.within(&self.scope), lease(context).as_secs_f64(), self.credential);
        let mut is_told = false;
        loop {
            tokio::time::sleep(HOLD_EVERY).await;
            let held = soon(store.token_hold_renewal(credential, self.seen, lease_s)).await;
            if let Err(error) = held.as_ref()
                && !std::mem::replace(&mut is_told, true)
            {
                warn!(
                    credential.id = %credential,
                    error = chain(error),
                    "The renewal of the token of {credential} could not be held; it is tried again as long as the token is not stored"
                );
            }
        }
    }
}

async fn soon<T>(act: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(TRY_MAX, act).await.unwrap_or(Err(StoreError::Silent(TRY_MAX)))
}

fn lease(context: &Context) -> Duration {
    context.outbound.timeout() + LEASE_MARGIN
}

/// Somebody is at it, and it takes long.
fn late(account: &Account<'_>) -> Fault {
    let fix = "Nothing to do: it is tried again.";
    let reason = format!("{} has not given a new access token in time", account.connector.title());
    Fault::new(FaultClass::Outage, "token_late", reason, Owner::Vendor, fix)
}

impl Slot {
    fn is_keeping(&self) -> bool {
        self.keeping.as_ref().is_some_and(|keeping| !keeping.is_finished())
    }

    /// Takes what is stored by now; waits for it so long at most.
    async fn settle(&mut self, patience: Duration) {
        let Some(keeping) = &mut self.keeping else { return };
        let Ok(kept) = tokio::time::timeout(patience, keeping).await else { return };
        self.keeping = None;
        // Where that task was ended, the token in memory is as good as it was.
        if let Ok(token) = kept {
            self.token = Some(token);
        }
    }

    /// True where it does not end at once and is none that was refused, nor an older one.
    fn serves(&self, account: &Account<'_>, version: i32, set: &TokenSet) -> bool {
        let refused = self.token.as_ref().filter(|token| token.is_refused.load(Ordering::Relaxed));
        refused.is_none_or(|refused| version > refused.version) && !account.connector.needs_token(Some(set), Utc::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(silence: &mut Silence, has_run_out: bool, count: u32) -> Vec<bool> {
        (0..count).map(|_| silence.is_over(has_run_out)).collect()
    }

    #[test]
    fn one_whose_lease_ran_out_is_waited_for_a_while_and_then_no_longer() {
        let (mut silence, waited) = (Silence::default(), 120);
        assert_eq!(LOOK_EVERY * waited, SILENCE_MAX);
        assert!(!looks(&mut silence, true, waited).contains(&true));
        assert!(silence.is_over(true));
    }

    #[test]
    fn one_who_is_heard_of_again_is_waited_for_anew() {
        let mut silence = Silence::default();
        assert!(!looks(&mut silence, true, 110).contains(&true));
        assert!(!silence.is_over(false), "his lease is nobody else's, however long he was silent before");
        assert!(!looks(&mut silence, true, 120).contains(&true));
        assert!(silence.is_over(true));
    }
}
