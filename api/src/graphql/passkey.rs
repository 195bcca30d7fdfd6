//! One's own passkeys and security keys: registered, named, shown, taken away.

use async_graphql::{Context, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{PasskeyChallengeId, PasskeyId};
use domain::secret::SecretString;
use infra::postgres::passkey::{Added, NewPasskey, PASSKEYS_MAX};

use super::account::known;
use super::error::{UserError, UserErrorCode, internal, state, viewer};
use super::page::uuid;
use super::second_factor::shown;
use super::session::SIGN_IN_COST;
use crate::passkey::{self, Challenge, PasskeyError};
use crate::second_factor;

const NAME_CHARS_MAX: usize = 100;

/// A passkey or security key of yours, which is asked for beside your password.
#[derive(SimpleObject)]
#[graphql(name = "Passkey")]
pub struct PasskeyNode {
    id: ID,
    /// What you call it; at most 100 characters.
    name: String,
    created_at: DateTime<Utc>,
    /// When it last signed you in, or was shown; null where it never was.
    last_used_at: Option<DateTime<Utc>>,
}

impl From<infra::postgres::passkey::Passkey> for PasskeyNode {
    fn from(key: infra::postgres::passkey::Passkey) -> Self {
        Self { id: ID(key.id.to_string()), name: key.name, created_at: key.created_at, last_used_at: key.last_used_at }
    }
}

/// What a browser hands to a key. Good once, for five minutes.
#[derive(SimpleObject)]
struct PasskeyChallenge {
    id: ID,
    /// As `navigator.credentials.create` or `.get` takes it, its bytes as base64url.
    options: Json<serde_json::Value>,
}

impl From<Challenge> for PasskeyChallenge {
    fn from(challenge: Challenge) -> Self {
        Self { id: ID(challenge.id.to_string()), options: Json(challenge.options) }
    }
}

/// What a key answered.
#[derive(InputObject)]
pub struct PasskeyAnswerInput {
    challenge_id: ID,
    /// The `PublicKeyCredential`, as its `toJSON` writes it; at most 64 KiB.
    credential: Json<serde_json::Value>,
}

impl PasskeyAnswerInput {
    pub fn read(self) -> Option<passkey::Answer> {
        let challenge = uuid::<PasskeyChallengeId>(&self.challenge_id).map(PasskeyChallengeId)?;
        Some(passkey::Answer { challenge, credential: self.credential.0 })
    }
}

#[derive(SimpleObject)]
struct PasskeyChallengePayload {
    challenge: Option<PasskeyChallenge>,
    user_errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct PasskeyPayload {
    passkey: Option<PasskeyNode>,
    /// With the first thing that is asked for beside your password: ten codes, each good once in its place; shown this once.
    recovery_codes: Option<Vec<String>>,
    user_errors: Vec<UserError>,
}

fn refuse(field: &str, code: UserErrorCode, message: impl Into<String>) -> PasskeyPayload {
    PasskeyPayload { passkey: None, recovery_codes: None, user_errors: vec![UserError::new(field, code, message)] }
}

fn not_asked(ctx: &Context<'_>, error: PasskeyError) -> Result<PasskeyChallengePayload> {
    let code = match error {
        PasskeyError::Store(error) => return Err(internal(ctx, &error)),
        PasskeyError::TooMany => UserErrorCode::TooMany,
        PasskeyError::NoName | PasskeyError::Refused => UserErrorCode::Blocked,
    };
    Ok(PasskeyChallengePayload { challenge: None, user_errors: vec![UserError::new("password", code, error.to_string())] })
}

fn missing() -> PasskeyPayload {
    refuse("id", UserErrorCode::NotFound, "you have no such key; `account { passkeys { id } }` lists yours")
}

/// What a person calls a key; `None` where that is no name.
fn named(name: &str) -> Option<&str> {
    let name = name.trim();
    ((1..=NAME_CHARS_MAX).contains(&name.chars().count()) && !name.chars().any(char::is_control)).then_some(name)
}

fn no_name() -> PasskeyPayload {
    refuse("name", UserErrorCode::Invalid, "a key has a name of 1 to 100 characters")
}

#[derive(Default)]
pub struct PasskeyMutation;

#[Object]
impl PasskeyMutation {
    /// Begins to register a passkey or a security key. Who has a second factor already shows it, too: a code or one of their keys.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn passkey_begin(
        &self,
        ctx: &Context<'_>,
        password: String,
        code: Option<String>,
        passkey: Option<PasskeyAnswerInput>,
    ) -> Result<PasskeyChallengePayload> {
        let (user, _) = viewer(ctx)?.person()?;
        let email = match shown(ctx, user, password.into(), code.as_deref(), passkey).await? {
            Ok(email) => email,
            Err(error) => return Ok(PasskeyChallengePayload { challenge: None, user_errors: vec![error] }),
        };
        match passkey::register_begin(state(ctx), user, &email).await {
            Ok(challenge) => Ok(PasskeyChallengePayload { challenge: Some(challenge.into()), user_errors: vec![] }),
            Err(error) => not_asked(ctx, error),
        }
    }

    /// Registers the key that answered: from now on each sign-in asks for one of your keys or a code of your app. With the first of them all of your sessions
    /// but this one end. At most 20.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn passkey_register(&self, ctx: &Context<'_>, name: String, answer: PasskeyAnswerInput) -> Result<PasskeyPayload> {
        let viewer = viewer(ctx)?;
        let ((user, session), state) = (viewer.person()?, state(ctx));
        let Some(name) = named(&name) else { return Ok(no_name()) };
        let not_it = || {
            refuse(
                "answer",
                UserErrorCode::Invalid,
                "this is not what the key was asked, or it was asked more than five minutes ago; begin anew",
            )
        };
        let Some(answer) = answer.read() else { return Ok(not_it()) };
        let shown = passkey::register_end(state, user, answer.challenge, &answer.credential).await;
        let Some(shown) = shown.map_err(|error| internal(ctx, &error))? else { return Ok(not_it()) };
        let (codes, code_hashes) = second_factor::recovery_codes();
        let new = NewPasskey {
            name,
            credential_id: &shown.id,
            credential: &shown.credential,
            sign_count: shown.sign_count,
            code_hashes: &code_hashes,
        };
        let added = state.store.passkey_add(user, &new, session, viewer.request).await.map_err(|error| internal(ctx, &error))?;
        let (id, recovery_codes) = match added {
            Added::First(id) => (id, Some(codes)),
            Added::Another(id) => (id, None),
            Added::Taken => return Ok(refuse("answer", UserErrorCode::Taken, "this key is registered already")),
            Added::TooMany => {
                return Ok(refuse(
                    "answer",
                    UserErrorCode::TooMany,
                    format!("you have {PASSKEYS_MAX} keys; take one away first"),
                ));
            }
        };
        Ok(PasskeyPayload { passkey: own(ctx, id).await?, recovery_codes, user_errors: vec![] })
    }

    /// Asks for one of your keys, to show it where you change what is asked for beside your password.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn passkey_ask(&self, ctx: &Context<'_>, password: String) -> Result<PasskeyChallengePayload> {
        let (user, _) = viewer(ctx)?.person()?;
        if let Err(error) = known(ctx, user, "password", SecretString::from(password)).await? {
            return Ok(PasskeyChallengePayload { challenge: None, user_errors: vec![error] });
        }
        match passkey::show_begin(state(ctx), user).await {
            Ok(challenge) => Ok(PasskeyChallengePayload { challenge: challenge.map(Into::into), user_errors: vec![] }),
            Err(error) => not_asked(ctx, error),
        }
    }

    /// Gives a key of yours another name; 1 to 100 characters.
    async fn passkey_rename(&self, ctx: &Context<'_>, id: ID, name: String) -> Result<PasskeyPayload> {
        let (user, _) = viewer(ctx)?.person()?;
        let Some(id) = uuid::<PasskeyId>(&id).map(PasskeyId) else { return Ok(missing()) };
        let Some(name) = named(&name) else { return Ok(no_name()) };
        let renamed = state(ctx).store.passkey_rename(user, id, name).await;
        if !renamed.map_err(|error| internal(ctx, &error))? {
            return Ok(missing());
        }
        Ok(PasskeyPayload { passkey: own(ctx, id).await?, recovery_codes: None, user_errors: vec![] })
    }

    /// Takes a key away. It, another one, or a code is shown. With the last thing that is asked for the recovery codes go, too.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn passkey_remove(
        &self,
        ctx: &Context<'_>,
        id: ID,
        password: String,
        code: Option<String>,
        passkey: Option<PasskeyAnswerInput>,
    ) -> Result<PasskeyPayload> {
        let viewer = viewer(ctx)?;
        let (user, _) = viewer.person()?;
        let Some(id) = uuid::<PasskeyId>(&id).map(PasskeyId) else { return Ok(missing()) };
        if let Err(error) = shown(ctx, user, password.into(), code.as_deref(), passkey).await? {
            return Ok(PasskeyPayload { passkey: None, recovery_codes: None, user_errors: vec![error] });
        }
        let removed = state(ctx).store.passkey_remove(user, id, viewer.request).await;
        if !removed.map_err(|error| internal(ctx, &error))? {
            return Ok(missing());
        }
        Ok(PasskeyPayload { passkey: None, recovery_codes: None, user_errors: vec![] })
    }
}

/// One of the keys of whoever asks.
async fn own(ctx: &Context<'_>, id: PasskeyId) -> Result<Option<PasskeyNode>> {
    let (user, _) = viewer(ctx)?.person()?;
    let keys = state(ctx).store.passkeys(user).await.map_err(|error| internal(ctx, &error))?;
    Ok(keys.into_iter().find(|key| key.id == id).map(Into::into))
}
