//! One's own second factor: set up, shown, replaced on paper, taken away.

use async_graphql::{Context, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::UserId;
use domain::secret::{ExposeSecret, SecretString};

use super::account::known;
use super::error::{UserError, UserErrorCode, internal, state, viewer};
use super::passkey::PasskeyAnswerInput;
use super::session::{SIGN_IN_COST, caller};
use crate::auth::{CODE_NEEDED, CODE_REFUSED};
use crate::second_factor::{self, Proof, Shown};

const IN_USE: &str = "you have a second factor already; take it away first (secondFactorRemove)";
const NOT_IN_USE: &str = "you have no second factor; begin with secondFactorBegin";

/// A second factor that is asked for when you sign in.
#[derive(SimpleObject)]
pub struct SecondFactor {
    since: DateTime<Utc>,
    /// Recovery codes that were not used yet; make others before the last one is gone.
    recovery_codes_left: i64,
}

impl SecondFactor {
    pub fn new(found: infra::postgres::second_factor::SecondFactor) -> Self {
        Self { since: found.confirmed_at, recovery_codes_left: found.recovery_codes }
    }
}

/// What an authenticator app is told; shown this once.
#[derive(SimpleObject)]
struct SecondFactorSetup {
    /// In base32, to type in.
    secret: String,
    /// `otpauth://totp/…`, to show as a QR code.
    uri: String,
}

#[derive(SimpleObject)]
struct SecondFactorBeginPayload {
    setup: Option<SecondFactorSetup>,
    user_errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct RecoveryCodesPayload {
    /// Ten, each good once in the place of a code; shown this once. Keep them where your app is not.
    recovery_codes: Option<Vec<String>>,
    user_errors: Vec<UserError>,
}

impl RecoveryCodesPayload {
    fn refuse(error: UserError) -> Self {
        Self { recovery_codes: None, user_errors: vec![error] }
    }
}

#[derive(SimpleObject)]
struct SecondFactorRemovePayload {
    done: bool,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SecondFactorMutation;

#[Object]
impl SecondFactorMutation {
    /// Begins to set up an authenticator app as your second factor. Nothing is asked for until `secondFactorConfirm`. Who has a passkey already shows it, or a
    /// recovery code.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn second_factor_begin(
        &self,
        ctx: &Context<'_>,
        password: String,
        code: Option<String>,
        passkey: Option<PasskeyAnswerInput>,
    ) -> Result<SecondFactorBeginPayload> {
        let refuse = |error| Ok(SecondFactorBeginPayload { setup: None, user_errors: vec![error] });
        let (user, _) = viewer(ctx)?.person()?;
        let in_use = state(ctx).store.second_factor(user).await.map_err(|error| internal(ctx, &error))?;
        if in_use.is_some() {
            return refuse(UserError::new("password", UserErrorCode::Taken, IN_USE));
        }
        let email = match shown(ctx, user, password.into(), code.as_deref(), passkey).await? {
            Ok(email) => email,
            Err(error) => return refuse(error),
        };
        let Ok(setup) = second_factor::setup(&email) else {
            return refuse(UserError::new("password", UserErrorCode::Blocked, "your address cannot stand in an app's label"));
        };
        let state = state(ctx);
        let begun = state.store.second_factor_begin(&state.vault, user, &setup.secret).await;
        if !begun.map_err(|error| internal(ctx, &error))? {
            return refuse(UserError::new("password", UserErrorCode::Taken, IN_USE));
        }
        let setup = SecondFactorSetup { secret: setup.secret.expose_secret().to_owned(), uri: setup.uri };
        Ok(SecondFactorBeginPayload { setup: Some(setup), user_errors: vec![] })
    }

    /// Shows that your app has the secret: from now on each sign-in needs a code, and all of your sessions but this one end.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn second_factor_confirm(&self, ctx: &Context<'_>, code: String) -> Result<RecoveryCodesPayload> {
        let refuse = |error| Ok(RecoveryCodesPayload::refuse(error));
        let viewer = viewer(ctx)?;
        let ((user, session), state) = (viewer.person()?, state(ctx));
        let begun = state.store.second_factor_begun(&state.vault, user).await.map_err(|error| internal(ctx, &error))?;
        let Some(begun) = begun else {
            return refuse(UserError::new("code", UserErrorCode::NotFound, "nothing was begun: call secondFactorBegin first"));
        };
        let Some(step) = second_factor::step_of(&begun.secret, &code) else {
            let why = "this is not the code that your app should show now; check the clock of your device, and take the next one";
            return refuse(UserError::new("code", UserErrorCode::Invalid, why));
        };
        let (codes, hashes) = second_factor::recovery_codes();
        let confirmed = state.store.second_factor_confirm(user, &begun, step, &hashes, session, viewer.request).await;
        if !confirmed.map_err(|error| internal(ctx, &error))? {
            return refuse(UserError::new(
                "code",
                UserErrorCode::Changed,
                "it was begun anew meanwhile; use what was shown last",
            ));
        }
        Ok(RecoveryCodesPayload { recovery_codes: Some(codes), user_errors: vec![] })
    }

    /// Makes ten other recovery codes; those before are no good any more.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn recovery_codes_make(
        &self,
        ctx: &Context<'_>,
        password: String,
        code: Option<String>,
        passkey: Option<PasskeyAnswerInput>,
    ) -> Result<RecoveryCodesPayload> {
        let viewer = viewer(ctx)?;
        let (user, _) = viewer.person()?;
        if let Err(error) = shown(ctx, user, password.into(), code.as_deref(), passkey).await? {
            return Ok(RecoveryCodesPayload::refuse(error));
        }
        let (codes, hashes) = second_factor::recovery_codes();
        let set = state(ctx).store.recovery_codes_set(user, &hashes, viewer.request).await;
        if !set.map_err(|error| internal(ctx, &error))? {
            return Ok(RecoveryCodesPayload::refuse(UserError::new("code", UserErrorCode::NotFound, NOT_IN_USE)));
        }
        Ok(RecoveryCodesPayload { recovery_codes: Some(codes), user_errors: vec![] })
    }

    /// Takes the app away: without a passkey the password alone signs you in. For another app or device, take it away and set it up anew.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn second_factor_remove(
        &self,
        ctx: &Context<'_>,
        password: String,
        code: Option<String>,
        passkey: Option<PasskeyAnswerInput>,
    ) -> Result<SecondFactorRemovePayload> {
        let viewer = viewer(ctx)?;
        let (user, _) = viewer.person()?;
        if let Err(error) = shown(ctx, user, password.into(), code.as_deref(), passkey).await? {
            return Ok(SecondFactorRemovePayload { done: false, user_errors: vec![error] });
        }
        let removed = state(ctx).store.second_factor_remove(user, viewer.request).await;
        let done = removed.map_err(|error| internal(ctx, &error))?;
        let missing = || vec![UserError::new("code", UserErrorCode::NotFound, NOT_IN_USE)];
        Ok(SecondFactorRemovePayload { done, user_errors: if done { vec![] } else { missing() } })
    }
}

/// The address of whoever asks, where the password is theirs and what they have beside it was shown; else why they may not touch that.
pub(super) async fn shown(
    ctx: &Context<'_>,
    user: UserId,
    password: SecretString,
    code: Option<&str>,
    passkey: Option<PasskeyAnswerInput>,
) -> Result<std::result::Result<String, UserError>> {
    let refused = |message: &str| Ok(Err(UserError::new("code", UserErrorCode::SignInRefused, message)));
    // Before a try is counted: what is no answer of a key at all is not looked at.
    let answer = match passkey.map(PasskeyAnswerInput::read) {
        Some(None) => return refused(CODE_REFUSED),
        answer => answer.flatten(),
    };
    let email = match known(ctx, user, "password", password).await? {
        Ok(email) => email,
        Err(error) => return Ok(Err(error)),
    };
    let proof = Proof { code, passkey: answer.as_ref() };
    let shown = second_factor::show(state(ctx), caller(ctx), user, proof).await.map_err(|error| internal(ctx, &error))?;
    match shown {
        Shown::Enough => Ok(Ok(email)),
        Shown::Missing => refused(CODE_NEEDED),
        Shown::Refused => refused(CODE_REFUSED),
    }
}
