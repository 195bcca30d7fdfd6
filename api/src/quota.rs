//! How often somebody may ask: each API key by its own setting, all keys of a service account by its, each person in each tenant, each hook of a connection, and
//! each network address as long as nobody knows who asks. All of it is counted over all processes (`infra::limiter`), under names that begin with the tenant, so
//! that none takes another's.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use domain::id::{ConnectionId, ScimTokenId, TenantId};
use domain::merkle::hex;
use domain::quota::{Quota, Spent};
use infra::postgres::api_key::LiveKey;

use crate::AppState;
use crate::auth::{Caller, Identity, Viewer};
use crate::graphql::{Code, refused_with};

/// Tries of a minute: of one peer at one account, and of one peer at all accounts. The database's own count per account comes on top.
const TRIES_PER_ACCOUNT: u32 = 10;
const TRIES_PER_PEER: u32 = 60;
/// Steps of sign-ins by a provider: nothing can be guessed there, but each costs something. Behind a proxy that is not named a whole company comes from one
/// address.
const STEPS_PER_PEER: u32 = 600;
/// Calls of a minute of one token of a directory: some send 25 a second at their first synchronisation.
const CALLS_PER_DIRECTORY: u32 = 1_500;
/// Guesses of hooks' addresses of one peer that are looked up in a minute. A token that was good before is always looked up.
const MISSES_PER_PEER: u32 = 60;
/// Tokens that were good a while ago, so that whoever floods us from the same address shuts none of them out.
const KNOWN_MAX: usize = 20_000;
const KNOWN_FOR: Duration = Duration::from_secs(600);

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// What the operator says.
#[derive(Debug, Clone, Copy)]
pub struct Quotas {
    /// Of an address whose sender nobody knows: all of a minute's calls at once, because a company may be behind it.
    pub address: Quota,
    /// Of a person, or of support in its place, in one tenant.
    pub person: Quota,
    /// Of the deliveries to one connection's hook.
    pub hook: Quota,
}

/// Hashes of tokens that were good a moment ago.
#[derive(Default)]
pub struct KnownTokens(Mutex<HashMap<[u8; 32], Instant>>);

impl KnownTokens {
    #[must_use]
    pub fn has(&self, hash: &[u8; 32], now: Instant) -> bool {
        let known = self.0.lock().expect("no code panics while it holds the tokens");
        known.get(hash).is_some_and(|at| now.saturating_duration_since(*at) < KNOWN_FOR)
    }

    /// Remembers one that is good, or forgets one that is not any more.
    pub fn note(&self, hash: [u8; 32], is_good: bool, now: Instant) {
        let mut known = self.0.lock().expect("no code panics while it holds the tokens");
        if !is_good {
            known.remove(&hash);
            return;
        }
        if known.len() >= KNOWN_MAX {
            known.retain(|_, at| now.saturating_duration_since(*at) < KNOWN_FOR);
        }
        // Where there is no room it counts as unknown again; none that is known is pushed out.
        if known.len() < KNOWN_MAX || known.contains_key(&hash) {
            known.insert(hash, now);
        }
    }
}

/// Counts a call of an address whose sender nobody knows.
pub async fn of_address(state: &AppState, caller: &Caller) -> Spent {
    state.limiter.spend(&format!("address:{}:calls", caller.peer), state.quotas.address, 1.0).await
}

/// Counts a call of who is known, in the tenant that the request is about. One with a key of a service account counts for both, and needs room in both.
pub async fn of_viewer(state: &AppState, viewer: &Viewer) -> Spent {
    let tenant = viewer.tenant.map_or_else(|| "none".to_owned(), |tenant| tenant.to_string());
    let (who, quota) = match &viewer.identity {
        Identity::Person { user, .. } => (user.to_string(), state.quotas.person),
        Identity::ApiKey(key) => (key.id.to_string(), Quota::per_minute(key.calls_per_minute)),
        Identity::Impersonation(live) => (live.id.to_string(), state.quotas.person),
    };
    if let Identity::ApiKey(LiveKey { account: Some(account), .. }) = &viewer.identity {
        let of_all = Quota::per_minute(account.calls_per_minute);
        return state.limiter.spend_part(&format!("{tenant}:{}:calls", account.id), of_all, &who, quota).await;
    }
    state.limiter.spend(&format!("{tenant}:{who}:calls"), quota, 1.0).await
}

/// Counts a call of a tenant's directory.
pub async fn of_scim_token(state: &AppState, tenant: TenantId, token: ScimTokenId) -> Spent {
    state.limiter.spend(&format!("{tenant}:{token}:calls"), Quota::per_minute(CALLS_PER_DIRECTORY), 1.0).await
}

/// Counts a delivery to a connection's hook.
pub async fn of_hook(state: &AppState, tenant: TenantId, connection: ConnectionId) -> Spent {
    state.limiter.spend(&format!("{tenant}:{connection}:hook"), state.quotas.hook, 1.0).await
}

/// Counts a step of a sign-in by a provider, and what is like it.
pub async fn of_step(state: &AppState, caller: &Caller) -> Spent {
    state.limiter.spend(&format!("address:{}:steps", caller.peer), Quota::at_once(STEPS_PER_PEER), 1.0).await
}

/// Counts a try of a password: at all accounts, and at this one, whose hash `account` is; or with what was mailed to one, by the token's hash.
pub async fn of_try(state: &AppState, caller: &Caller, account: &[u8; 32]) -> Spent {
    let all = state.limiter.spend(&format!("address:{}:tries", caller.peer), Quota::at_once(TRIES_PER_PEER), 1.0).await;
    if !all.is_granted {
        return all;
    }
    state.limiter.spend(&at_account(caller.peer, account), Quota::at_once(TRIES_PER_ACCOUNT), 1.0).await
}

/// A try that was right is none at this account.
pub async fn try_was_right(state: &AppState, caller: &Caller, account: &[u8; 32]) {
    state.limiter.spend(&at_account(caller.peer, account), Quota::at_once(TRIES_PER_ACCOUNT), -1.0).await;
}

fn at_account(peer: IpAddr, account: &[u8; 32]) -> String {
    format!("address:{peer}:account:{}", &hex(account)[..32])
}

/// Guesses of hooks' addresses: `calls` is 0 for a look whether another one is let through.
pub async fn of_miss(state: &AppState, peer: IpAddr, calls: f64) -> Spent {
    state.limiter.spend(&format!("address:{peer}:misses"), Quota::at_once(MISSES_PER_PEER), calls).await
}

/// Says in the answer how the quota stands.
pub fn tell(headers: &mut HeaderMap, spent: &Spent) {
    let number = |number: u64| HeaderValue::from(number);
    headers.insert(LIMIT, number(spent.quota.burst.into()));
    headers.insert(REMAINING, number(spent.left.into()));
    headers.insert(RESET, number(seconds(spent.full_ms)));
    let policy = format!("{};w=60;burst={}", spent.quota.per_minute, spent.quota.burst);
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(POLICY, policy);
    }
    if !spent.is_granted {
        headers.insert(RETRY_AFTER, number(seconds(spent.wait_ms).max(1)));
    }
}

/// Whole seconds, rounded up: who comes back then is let in.
fn seconds(ms: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some seconds")]
    let seconds = (ms / 1000.0).ceil().max(0.0) as u64;
    seconds
}

/// How long to wait, for a body.
pub fn retry_after_ms(spent: &Spent) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some milliseconds")]
    let wait = spent.wait_ms.ceil().max(1.0) as u64;
    wait
}

/// 429, with the time to come back in, in headers and in the body that clients of GraphQL read.
pub fn too_many(spent: &Spent, reason: &str) -> HttpResponse {
    let extensions = serde_json::json!({"code": Code::RateLimited.as_str(), "retryAfterMs": retry_after_ms(spent)});
    let mut answer = refused_with(StatusCode::TOO_MANY_REQUESTS, reason, &extensions);
    tell(answer.headers_mut(), spent);
    answer
}

/// What somebody is told who asks too often.
#[must_use]
pub fn reason(viewer: Option<&Viewer>) -> &'static str {
    match viewer.map(|viewer| &viewer.identity) {
        Some(Identity::ApiKey(LiveKey { account: Some(_), .. })) => {
            "this API key, or all keys of its service account together, ask more often than their callsPerMinute; wait, or have the account changed or a key made with more"
        }
        Some(Identity::ApiKey(_)) => "this API key asks more often than its callsPerMinute; wait, or have it made with more",
        Some(_) => "you ask more often than a person may in this tenant; wait, or let a program ask with an API key",
        None => "too many requests from this network address; wait, and sign in before you ask",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_how_the_quota_stands_and_when_to_come_back() {
        let quota = Quota::per_minute(6);
        let (kept, granted) = quota.spend(0.0, 1.0, 0.0);
        let (_, refused) = quota.spend(kept, 1.0, 2_500.0);
        let told = |spent: &Spent| {
            let mut headers = HeaderMap::new();
            tell(&mut headers, spent);
            [LIMIT, REMAINING, RESET, POLICY, RETRY_AFTER]
                .map(|name| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default())
        };
        assert_eq!(told(&granted), ["1", "0", "10", "6;w=60;burst=1", ""]);
        assert_eq!(told(&refused), ["1", "0", "8", "6;w=60;burst=1", "8"]);
        let answer = too_many(&refused, "why");
        assert_eq!((answer.status().as_u16(), answer.headers().get(RETRY_AFTER).unwrap().to_str().unwrap()), (429, "8"));
    }

    #[test]
    fn a_token_is_known_for_ten_minutes_or_until_it_is_no_good() {
        let (known, now) = (KnownTokens::default(), Instant::now());
        known.note([1; 32], true, now);
        assert!(known.has(&[1; 32], now) && !known.has(&[2; 32], now));
        assert!(!known.has(&[1; 32], now + KNOWN_FOR));
        known.note([1; 32], false, now);
        assert!(!known.has(&[1; 32], now));
    }
}
