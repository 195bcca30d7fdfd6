//! Rotation: the secret of a connection is exchanged for a new one. What follows on what is decided in [`domain::rotation`]; here the vendor is asked.
//!
//! A process may die at any line. What it means to ask for is written down first, with the label that the new key gets; what the vendor made and we
//! never kept is found by that label and removed before another is asked for. The old secret is kept until it was removed at the vendor.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use connectors::manifest::Rotation as Rule;
use connectors::{Connector, ListedKey, MadeKey};
use domain::fault::Owner;
use domain::id::{ConnectionId, CredentialId, TenantId};
use domain::rotation::{RotationEvent, RotationState, RotationWay, label_prefix, rest};
use domain::scope::Scope;
use domain::secret::SecretFields;
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::configure::NewCredential;
use infra::postgres::rotation::{Rotation, Step};
use infra::postgres::upkeep::ProbeFailure;
use tokio::sync::watch;
use tracing::warn;
use uuid::Uuid;

use crate::directory::Directory;
use crate::listing::{Listing, ListingError};
use crate::upkeep::failure;
use crate::{Context, leased};

/// Rotations that one process works at a time.
const AT_ONCE: usize = 4;
/// Calls of one turn at most: those that are listed, orphans, the making, probes and their tokens.
const CALLS_MAX: u32 = 12;
/// What a turn may take beyond its calls: turns at the vendor's limit, the writing of its end.
const LEASE_MARGIN: Duration = Duration::from_secs(60);
/// Keys that broken tries have left, of one turn.
const ORPHANS_MAX: usize = 4;
/// A vendor that has just made a key may not know it everywhere yet.
const REFUSALS_MAX: i32 = 3;
/// A vendor that does not answer is asked again so often: for two days.
const TRIES_MAX: i32 = 50;
/// Where a person has to do something.
const WAIT_H: i64 = 1;

pub async fn run(context: Arc<Context>, directory: Arc<Directory>, stop: watch::Receiver<bool>) {
    if let Err(error) = follow_advice(&context).await {
        warn!(error = chain(&error), "What connectors advise of rotations could not be followed; the next start does");
    }
    let take = async |context: &Context, count_max| {
        let lease = context.outbound.timeout() * CALLS_MAX + LEASE_MARGIN;
        context.store.rotations_take(count_max, lease.as_secs_f64()).await
    };
    leased::run(context, stop, "rotations of secrets", AT_ONCE, take, move |context, tenant, (id, lease)| {
        rotate(context, directory.clone(), tenant, id, lease)
    })
    .await;
}

/// A connector may advise otherwise than when a tenant said that its advice is followed.
async fn follow_advice(context: &Context) -> Result<(), StoreError> {
    let used = context.store.rotation_connectors().await?;
    let rules = used.iter().filter_map(|name| Some((name.as_str(), context.catalog.get(name)?.rotation()?)));
    let advice: Vec<_> = rules.map(|(name, rule)| (name, rule.every_days(), rule.way())).collect();
    context.store.rotation_advice_follow(&advice).await?;
    Ok(())
}

async fn rotate(context: Arc<Context>, directory: Arc<Directory>, tenant: TenantId, id: ConnectionId, lease: Uuid) {
    let scope = Scope::system(tenant, "rotation");
    if let Err(error) = rotate_once(&context, &directory, &scope, id, lease).await {
        warn!(error = chain(&error), connection.id = %id, "A rotation of {id} broke off; it goes on where it was");
    }
}

async fn rotate_once(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    id: ConnectionId,
    lease: Uuid,
) -> Result<(), StoreError> {
    let store = context.store.within(scope);
    let Some(row) = store.connection_rows(&[id.0]).await?.pop() else { return Ok(()) };
    let connector = context.catalog.get(&row.connector);
    let rule = connector.and_then(|connector| Some((connector, connector.rotation()?)));
    let way = rule.map_or(RotationWay::Guided, |(_, rule)| rule.way());
    let Some(mut now) = store.rotation_work(id, lease, way).await? else { return Ok(()) };
    let Some((connector, rule)) = rule.filter(|_| way == now.way) else {
        // Its connector was changed meanwhile, and does not say any more how this goes on.
        let reason = ProbeFailure {
            code: "rotation.connector".into(),
            sentence: format!("The exchange of the secret of {} does not go on: its connector does not say how.", row.name),
            owner: Owner::Developer,
            next_step: "Store a new secret by hand; that ends this one.".into(),
            is_passing: false,
        };
        return store.rotation_rest(&now, lease, Utc::now() + chrono::Duration::days(1), Some(&reason), true).await;
    };
    let desk = Desk { context, directory, scope, connector, rule, lease, name: row.name };
    while let Some(next) = desk.turn(&now).await? {
        now = next;
    }
    Ok(())
}

/// What the turns of one rotation need.
struct Desk<'a> {
    context: &'a Context,
    directory: &'a Directory,
    scope: &'a Scope,
    connector: &'static Connector,
    rule: &'static Rule,
    lease: Uuid,
    /// Of the connection.
    name: String,
}

impl Desk<'_> {
    /// One turn; the rotation as it stands then, where there is more to do at once.
    async fn turn(&self, now: &Rotation) -> Result<Option<Rotation>, StoreError> {
        match now.state {
            RotationState::Due if now.way == RotationWay::Automatic => self.step(now, RotationEvent::Begun.into()).await,
            RotationState::Making => self.make(now).await,
            RotationState::Checking => self.check(now).await,
            RotationState::Overlapping if now.overlap_until.is_none_or(|until| until <= Utc::now()) => {
                self.overlap_over(now).await
            }
            RotationState::Removing if now.way == RotationWay::Automatic => self.remove(now).await,
            RotationState::Overlapping | RotationState::Removing => self.watch(now).await,
            RotationState::Due | RotationState::Retired | RotationState::Failed => {
                self.pause(now, chrono::Duration::days(1), None, false).await
            }
        }
    }

    async fn step(&self, now: &Rotation, step: Step<'_>) -> Result<Option<Rotation>, StoreError> {
        let next = self.context.store.within(self.scope).rotation_step(&self.context.vault, now, Some(self.lease), step).await?;
        // What waits for a time or a person has given its lease back.
        let goes_on = |next: &Rotation| match next.state {
            RotationState::Making | RotationState::Checking => true,
            RotationState::Removing => next.way == RotationWay::Automatic,
            _ => false,
        };
        Ok(next.filter(goes_on))
    }

    async fn pause(
        &self,
        now: &Rotation,
        wait: chrono::Duration,
        reason: Option<&ProbeFailure>,
        is_told: bool,
    ) -> Result<Option<Rotation>, StoreError> {
        self.context.store.within(self.scope).rotation_rest(now, self.lease, Utc::now() + wait, reason, is_told).await?;
        Ok(None)
    }

    /// An account, called with one of the two secrets.
    async fn account(&self, now: &Rotation, credential: CredentialId) -> Result<Listing<'_>, ListingError> {
        let opened = Listing::open(self.context, self.directory, self.scope, now.connection).await?;
        // A new key stands in an answer that nobody has read yet.
        Ok(opened.hasty().secretive().with(credential))
    }

    /// Writes down what was called. What was asked is not lost with the lines about it: a key may have been made.
    async fn written(&self, now: &Rotation, listing: &mut Listing<'_>) {
        let written = self.context.store.within(self.scope).rotation_called(now, &listing.take_calls()).await;
        if let Err(error) = written {
            warn!(error = chain(&error), connection.id = %now.connection, "Calls of a rotation of {} could not be written down", now.connection);
        }
    }

    /// Whether the account answers to this one of the two.
    async fn probe(&self, now: &Rotation, credential: CredentialId) -> Asked<bool> {
        let asked = async {
            let mut listing = self.account(now, credential).await?;
            let answered = listing.probe().await;
            self.written(now, &mut listing).await;
            answered
        };
        settled(asked.await)
    }

    /// A new key is made, after what an earlier try has left there was removed.
    async fn make(&self, now: &Rotation) -> Result<Option<Rotation>, StoreError> {
        let store = self.context.store.within(self.scope);
        let known = store.key_ids(&[now.old]).await?.remove(&now.old);
        let old = store.credential_open(&self.context.vault, now.old).await?;
        let made = async {
            let mut listing = self.account(now, now.old).await?;
            let made = self.make_key(now, &mut listing, known, &old).await;
            self.written(now, &mut listing).await;
            made
        };
        match settled(made.await)? {
            // A crash before this commit leaves a key that nobody knows; the next try finds it by its label.
            Ok(made) => {
                let ends = self.connector.credential_ends(&made.fields, None, Utc::now());
                let secret = NewCredential { fields: &made.fields, ends };
                self.step(now, Step { secret: Some((secret, Some(made.id.as_str()))), ..RotationEvent::SecretKept.into() }).await
            }
            Err(why) if why.is_passing && now.tries < TRIES_MAX => self.pause(now, rest(now.tries), Some(&why), false).await,
            Err(why) => {
                let title = self.connector.title();
                let why = self.told(why, &format!("{title} made no new secret, and the old one is used on"));
                self.step(now, Step { reason: Some(&why), ..RotationEvent::GivenUp.into() }).await
            }
        }
    }

    async fn make_key(
        &self,
        now: &Rotation,
        listing: &mut Listing<'_>,
        known: Option<String>,
        old: &SecretFields,
    ) -> Result<MadeKey, ListingError> {
        let keys = listing.keys().await?;
        let own = known.or_else(|| self.connector.key_of(&keys, old).map(|key| key.id.clone()));
        for orphan in orphans(now.connection, &keys, own.as_deref()) {
            listing.key_retire(&orphan.id).await?;
        }
        listing.key_create(&now.label).await
    }

    /// The new one is tried before it is used.
    async fn check(&self, now: &Rotation) -> Result<Option<Rotation>, StoreError> {
        let Some(new) = now.new else { return Ok(None) };
        let why = match self.probe(now, new).await? {
            Ok(_) => {
                let overlap = self.rule.overlap_hours().map(|hours| chrono::Duration::hours(i64::from(hours)));
                let accepted = RotationEvent::Accepted { stand_both: overlap.is_some() };
                return self.step(now, Step { overlap, ..accepted.into() }).await;
            }
            Err(why) => why,
        };
        let may_pass = why.is_passing || (now.way == RotationWay::Automatic && now.tries < REFUSALS_MAX);
        if may_pass && now.tries < TRIES_MAX {
            return self.pause(now, rest(now.tries), Some(&why), false).await;
        }
        let event = if why.is_passing { RotationEvent::GivenUp } else { RotationEvent::SecretRefused };
        if now.way == RotationWay::Automatic {
            self.discard(now, new).await?;
        }
        let why = self.told(why, &format!("The new secret of {} was not taken, and the old one is used on", self.name));
        self.step(now, Step { reason: Some(&why), ..event.into() }).await
    }

    /// Removes a new key at the vendor that is not used. Where that does not succeed, the next rotation finds it by its label.
    async fn discard(&self, now: &Rotation, new: CredentialId) -> Result<(), StoreError> {
        let Some(key) = self.context.store.within(self.scope).key_ids(&[new]).await?.remove(&new) else { return Ok(()) };
        let removed = async {
            let mut listing = self.account(now, now.old).await?;
            let removed = listing.key_retire(&key).await;
            self.written(now, &mut listing).await;
            removed
        };
        if let Err(why) = settled(removed.await)? {
            warn!(connection.id = %now.connection, code = why.code, "A new key of {} that was refused could not be removed yet", now.connection);
        }
        Ok(())
    }

    async fn overlap_over(&self, now: &Rotation) -> Result<Option<Rotation>, StoreError> {
        let remove = self.rule.guided.as_ref().map(|guided| ProbeFailure {
            code: "rotation.old_secret".into(),
            sentence: format!(
                "The new secret of {} is used, and the old one is still there at {}.",
                self.name,
                self.connector.title()
            ),
            owner: Owner::Developer,
            next_step: format!(
                "{} Then open the connection and say that it is removed.",
                guided.remove.as_deref().unwrap_or_default()
            ),
            is_passing: false,
        });
        self.step(now, Step { reason: remove.as_ref(), ..RotationEvent::OverlapOver.into() }).await
    }

    /// While both stand: where the connection does not work any more, it is asked whether that is the new secret's fault.
    async fn watch(&self, now: &Rotation) -> Result<Option<Rotation>, StoreError> {
        let store = self.context.store.within(self.scope);
        if store.connection_is_in_trouble(now.connection).await?
            && let Some(why) = self.new_is_refused(now).await?
        {
            return self.fall_back(now, why).await;
        }
        let next = Utc::now() + chrono::Duration::seconds(30);
        let next = now.overlap_until.filter(|until| *until > Utc::now()).map_or(next, |until: DateTime<Utc>| until.min(next));
        self.pause(now, next - Utc::now(), None, false).await
    }

    /// Why the new one is refused, where the old one is not: else something else is wrong, and the old one would not help.
    async fn new_is_refused(&self, now: &Rotation) -> Result<Option<ProbeFailure>, StoreError> {
        let Some(new) = now.new else { return Ok(None) };
        let Err(why) = self.probe(now, new).await? else { return Ok(None) };
        if why.is_passing {
            return Ok(None);
        }
        let old_works = self.probe(now, now.old).await?.is_ok();
        Ok(Some(why).filter(|_| old_works))
    }

    async fn fall_back(&self, now: &Rotation, why: ProbeFailure) -> Result<Option<Rotation>, StoreError> {
        let why = self.told(why, &format!("The new secret of {} is refused, and the old one is used again", self.name));
        self.step(now, Step { reason: Some(&why), ..RotationEvent::FellBack.into() }).await
    }

    /// The old key is removed at the vendor, and whatever else broken tries have left; the new one must work for that.
    async fn remove(&self, now: &Rotation) -> Result<Option<Rotation>, StoreError> {
        let Some(new) = now.new else { return Ok(None) };
        if let Some(why) = self.new_is_refused(now).await? {
            return self.fall_back(now, why).await;
        }
        let store = self.context.store.within(self.scope);
        let mut ids = store.key_ids(&[now.old, new]).await?;
        let (known, own) = (ids.remove(&now.old), ids.remove(&new));
        let old = store.credential_open(&self.context.vault, now.old).await?;
        let removed = async {
            let mut listing = self.account(now, new).await?;
            let removed = self.remove_key(now, &mut listing, (known, own), &old).await;
            self.written(now, &mut listing).await;
            removed
        };
        match settled(removed.await)? {
            Ok(true) => self.step(now, RotationEvent::OldRemoved.into()).await,
            Ok(false) => {
                let title = self.connector.title();
                let why = ProbeFailure {
                    code: "rotation.old_secret".into(),
                    sentence: format!(
                        "The new secret of {} is used. Which key at {title} is the old one cannot be told from here.",
                        self.name
                    ),
                    owner: Owner::Developer,
                    next_step: format!("Remove the old key at {title}, then open the connection and say that it is removed."),
                    is_passing: false,
                };
                self.pause(now, chrono::Duration::hours(WAIT_H), Some(&why), true).await
            }
            Err(why) => {
                let is_told = !why.is_passing || now.tries >= TRIES_MAX;
                let why =
                    self.told(why, &format!("The new secret of {} is used, but the old one could not be removed", self.name));
                let wait = if is_told { chrono::Duration::hours(WAIT_H) } else { rest(now.tries) };
                self.pause(now, wait, Some(&why), is_told).await
            }
        }
    }

    /// False where nobody can tell which key the old one is. `known` and `own` are the ids of the old and of the new one.
    async fn remove_key(
        &self,
        now: &Rotation,
        listing: &mut Listing<'_>,
        (known, own): (Option<String>, Option<String>),
        old: &SecretFields,
    ) -> Result<bool, ListingError> {
        // The new one works: else nothing is taken away.
        listing.probe().await?;
        let keys = listing.keys().await?;
        let mut others: Vec<&ListedKey> = keys.iter().filter(|key| Some(&key.id) != own.as_ref()).collect();
        let listed = || self.connector.key_of(&keys, old).map(|key| key.id.clone());
        let old_id = known.or_else(listed).filter(|id| Some(id) != own.as_ref());
        for orphan in orphans(now.connection, &keys, own.as_deref()) {
            listing.key_retire(&orphan.id).await?;
            others.retain(|key| key.id != orphan.id);
        }
        // One that is not listed any more was removed already.
        if let Some(id) = old_id.as_ref().filter(|id| keys.iter().any(|key| key.id == **id)) {
            listing.key_retire(id).await?;
        }
        Ok(old_id.is_some() || others.is_empty())
    }

    /// The reason, with what it means for the exchange.
    fn told(&self, why: ProbeFailure, what: &str) -> ProbeFailure {
        ProbeFailure { code: format!("rotation.{}", why.code), sentence: format!("{what}: {}", why.sentence), ..why }
    }
}

/// What the vendor answered, or why not; and what the database did not.
type Asked<T> = Result<Result<T, ProbeFailure>, StoreError>;

fn settled<T>(asked: Result<T, ListingError>) -> Asked<T> {
    match asked {
        Ok(answer) => Ok(Ok(answer)),
        Err(ListingError::Store(error)) if error.is_passing() => Err(error),
        Err(error) => Ok(Err(failure(&error))),
    }
}

/// Keys that rotations of this connection have made and that are not the one that it uses.
fn orphans<'k>(connection: ConnectionId, keys: &'k [ListedKey], own: Option<&str>) -> impl Iterator<Item = &'k ListedKey> {
    let (prefix, own) = (label_prefix(connection), own.map(str::to_owned));
    keys.iter().filter(move |key| key.label.starts_with(&prefix) && Some(&key.id) != own.as_ref()).take(ORPHANS_MAX)
}
