//! One's own account: its password and its address, and the way back in by mail.

use async_graphql::{Context, Object, Result, SimpleObject};
use chrono::{DateTime, Duration, Utc};
use domain::id::UserId;
use domain::secret::SecretString;
use infra::postgres::StoreError;
use infra::postgres::account::Purpose;
use tracing::warn;

use super::error::{Code, UserError, UserErrorCode, fail, internal, state, viewer};
use super::passkey::PasskeyNode;
use super::second_factor::SecondFactor;
use super::session::{SIGN_IN_COST, caller, sign_in_refused};
use crate::AppState;
use crate::auth::{self, Caller};
use crate::password::{self, PasswordError};

const RESET_MINUTES: i64 = 60;
const VERIFY_HOURS: i64 = 24;
const NO_MAIL: &str = "this installation sends no mail; whoever runs it can set a password with `crossdock user password`";
const OVER: &str = "the link was used, has expired or was never made; ask for another one";

/// Your own account.
#[derive(SimpleObject)]
struct Account {
    email: String,
    /// Since when it is known that mails to this address reach you; null where it is not.
    email_verified_at: Option<DateTime<Utc>>,
    /// The app that is asked for beside your password; null where none is.
    second_factor: Option<SecondFactor>,
    /// Your passkeys and security keys, the oldest first: one of them, or a code of your app, is asked for. At most 20.
    passkeys: Vec<PasskeyNode>,
    /// Recovery codes that were not used yet, whatever they stand in for.
    recovery_codes_left: i64,
}

#[derive(SimpleObject)]
struct AccountPayload {
    done: bool,
    user_errors: Vec<UserError>,
}

fn done() -> AccountPayload {
    AccountPayload { done: true, user_errors: vec![] }
}

fn refuse(field: &str, code: UserErrorCode, message: &str) -> AccountPayload {
    AccountPayload { done: false, user_errors: vec![UserError::new(field, code, message)] }
}

#[derive(Default)]
pub struct AccountQuery;

#[Object]
impl AccountQuery {
    /// Your own account.
    async fn account(&self, ctx: &Context<'_>) -> Result<Option<Account>> {
        let (user, _) = viewer(ctx)?.person()?;
        let account = state(ctx).store.account(user).await.map_err(|error| internal(ctx, &error))?;
        let factor = state(ctx).store.second_factor(user).await.map_err(|error| internal(ctx, &error))?;
        let keys = state(ctx).store.passkeys(user).await.map_err(|error| internal(ctx, &error))?;
        let left = state(ctx).store.recovery_codes_left(user).await.map_err(|error| internal(ctx, &error))?;
        Ok(account.map(|account| Account {
            email: account.email,
            email_verified_at: account.email_verified_at,
            second_factor: factor.map(SecondFactor::new),
            passkeys: keys.into_iter().map(Into::into).collect(),
            recovery_codes_left: left,
        }))
    }
}

#[derive(Default)]
pub struct AccountMutation;

#[Object]
impl AccountMutation {
    /// Sets another password, and ends all of your sessions but this one.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn password_change(&self, ctx: &Context<'_>, current: String, password: String) -> Result<AccountPayload> {
        let viewer = viewer(ctx)?;
        let (user, session) = viewer.person()?;
        let state = state(ctx);
        if let Err(error) = known(ctx, user, "current", current.into()).await? {
            return Ok(AccountPayload { done: false, user_errors: vec![error] });
        }
        let hash = match hash(password.into()).await? {
            Ok(hash) => hash,
            Err(refusal) => return Ok(refusal),
        };
        let set = state.store.password_set(user, &hash, Some(session), viewer.request).await;
        set.map_err(|error| internal(ctx, &error))?;
        Ok(done())
    }

    /// Mails a link to set a new password to this address, if it has an account; the answer is the same where it has none. It works once, within an hour;
    /// three are sent within an hour.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn password_reset_ask(&self, ctx: &Context<'_>, email: String) -> Result<AccountPayload> {
        let (state, caller) = (state(ctx), caller(ctx));
        if !state.mailing.is_set_up() {
            return Ok(refuse("email", UserErrorCode::Blocked, NO_MAIL));
        }
        let found = auth::find(state, caller, &email).await.map_err(|error| sign_in_refused(ctx, error))?;
        if let Some(user) = found {
            // Beside the answer, so that its time tells nothing.
            let (state, caller) = (state.clone(), caller.clone());
            tokio::spawn(async move { send(&state, &caller, user, Purpose::Reset).await });
        }
        Ok(done())
    }

    /// Sets a password by what was mailed, and ends all sessions of the person. It signs nobody in.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn password_reset(&self, ctx: &Context<'_>, token: String, password: String) -> Result<AccountPayload> {
        let (state, caller, token_hash) = (state(ctx), caller(ctx), auth::hashed(&token));
        auth::try_of(state, caller, &token_hash).await.map_err(|error| sign_in_refused(ctx, error))?;
        // Looked at before anything is hashed, because all who sign in wait for the same few turns; and not used up yet, for a password that is too short.
        let is_good = state.store.mailed_token_is_good(Purpose::Reset, &token_hash).await;
        if !is_good.map_err(|error| internal(ctx, &error))? {
            return Ok(refuse("token", UserErrorCode::NotFound, OVER));
        }
        let hash = match hash(password.into()).await? {
            Ok(hash) => hash,
            Err(refusal) => return Ok(refusal),
        };
        let set = state.store.password_reset(&token_hash, &hash, caller.request).await;
        let user = set.map_err(|error| internal(ctx, &error))?;
        Ok(user.map_or_else(|| refuse("token", UserErrorCode::NotFound, OVER), |_| done()))
    }

    /// Mails you a link that proves your address. It works once, within a day; three are sent within an hour.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn email_verification_ask(&self, ctx: &Context<'_>) -> Result<AccountPayload> {
        let (user, _) = viewer(ctx)?.person()?;
        let state = state(ctx);
        if !state.mailing.is_set_up() {
            return Ok(refuse("email", UserErrorCode::Blocked, NO_MAIL));
        }
        let (state, caller) = (state.clone(), caller(ctx).clone());
        tokio::spawn(async move { send(&state, &caller, user, Purpose::Verify).await });
        Ok(done())
    }

    /// Proves an address by what was mailed to it.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn email_verify(&self, ctx: &Context<'_>, token: String) -> Result<AccountPayload> {
        let user = state(ctx).store.email_verify(&auth::hashed(&token)).await.map_err(|error| internal(ctx, &error))?;
        Ok(user.map_or_else(|| refuse("token", UserErrorCode::NotFound, OVER), |_| done()))
    }
}

/// The address of whoever asks, where what this field says is their password: a session that somebody found open is not enough.
pub(super) async fn known(
    ctx: &Context<'_>,
    user: UserId,
    field: &str,
    password: SecretString,
) -> Result<std::result::Result<String, UserError>> {
    let (state, caller) = (state(ctx), caller(ctx));
    let account = state.store.account(user).await.map_err(|error| internal(ctx, &error))?;
    let email = account.map(|account| account.email).unwrap_or_default();
    match auth::check(state, caller, &email, password).await {
        Ok(Some(_)) => Ok(Ok(email)),
        Ok(None) => Ok(Err(UserError::new(field, UserErrorCode::SignInRefused, "this is not your password"))),
        Err(error) => Err(sign_in_refused(ctx, error)),
    }
}

/// A new password's hash, or what is wrong with it.
async fn hash(password: SecretString) -> Result<Result<String, AccountPayload>> {
    match password::hash(password).await {
        Ok(hash) => Ok(Ok(hash)),
        Err(error @ PasswordError::Length) => Ok(Err(refuse("password", UserErrorCode::Invalid, &error.to_string()))),
        Err(error) => Err(fail(Code::RateLimited, &error.to_string())),
    }
}

/// Makes a token, and the mail that carries it. Nobody waits for it: what goes wrong is in the log.
async fn send(state: &AppState, caller: &Caller, user: UserId, purpose: Purpose) {
    let (token, token_hash) = auth::new_token();
    let token = SecretString::from(token);
    let expires_at =
        Utc::now() + if purpose == Purpose::Reset { Duration::minutes(RESET_MINUTES) } else { Duration::hours(VERIFY_HOURS) };
    let kept = async {
        let Some(account) = state.store.account(user).await? else { return Ok(()) };
        let mail = match purpose {
            Purpose::Reset => state.mailing.reset(&account.email, &token, expires_at)?,
            Purpose::Verify => state.mailing.verification(&account.email, &token, expires_at)?,
        };
        state.store.mailed_token_make(user, purpose, &token_hash, expires_at, caller.whence(), &mail).await?;
        Ok(())
    };
    let kept: std::result::Result<(), StoreError> = kept.await;
    if let Err(error) = kept {
        warn!(request.id = %caller.request, user.id = %user, error = infra::chain(&error), "{user} is not mailed what they asked for");
    }
}
