//! Listening by itself: what published flows read is listed again and again, and where the vendor can be asked, its webhooks are registered,
//! compared with its own list, made once more where it dropped them, renewed, and taken away when nobody needs them.
//!
//! A check leads from what is wanted to what is there, whatever was there before: a process that dies at any line is followed by a check that finds
//! what it has done. What is new is registered before anything is taken away.

mod plan;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use connectors::{ListedSubscription, RequestContext, RequestError, SecretSource};
use domain::call_payload::ToldCall;
use domain::fault::{Fault, FaultClass};
use domain::http::{HttpAnswer, HttpRequest};
use domain::id::{SubscriptionCheckId, SubscriptionId, TenantId};
use domain::record::RecordKind;
use domain::scope::Scope;
use domain::secret::{ExposeSecret, SecretFields};
use domain::subscription::{OVERLAP_S, POLL_EVERY_S, SWEEP_EVERY_S, SubscriptionState, again_at, check_at, renew_at, since};
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::subscription::{OwnPoll, SubscriptionCheck, SubscriptionRow};
use infra::postgres::subscription_made::{NewRegistration, SeenRegistration};
use tokio::sync::watch;
use tracing::warn;
use uuid::Uuid;

use self::plan::{Facts, Plan, plan};
use crate::directory::{Access, Directory};
use crate::listing::{Listing, ListingError};
use crate::{Context, leased};

/// Accounts that one process compares at a time.
const AT_ONCE: usize = 16;
/// What a call and the writing of its end may take beyond the call's own time, until another worker takes the check.
const LEASE_MARGIN: Duration = Duration::from_secs(60);
/// After what passes by itself.
const AGAIN: Duration = Duration::from_secs(5);

pub async fn run(context: Arc<Context>, directory: Arc<Directory>, stop: watch::Receiver<bool>) {
    if !context.settings.listens {
        return;
    }
    let take = async |context: &Context, count_max| context.store.subscription_checks_take(count_max, lease_s(context)).await;
    leased::run(context, stop, "subscription checks", AT_ONCE, take, move |context, tenant, (id, lease)| {
        check(context, directory.clone(), tenant, id, lease)
    })
    .await;
}

/// A list may take some calls; each registration leads anew.
fn lease_s(context: &Context) -> f64 {
    (context.outbound.timeout() * 4 + LEASE_MARGIN).as_secs_f64()
}

async fn check(context: Arc<Context>, directory: Arc<Directory>, tenant: TenantId, id: SubscriptionCheckId, lease: Uuid) {
    let scope = Scope::system(tenant, "subscription");
    if let Err(error) = check_once(&context, &directory, &scope, id, lease).await {
        warn!(error = chain(&error), check.id = %id, "A check of subscriptions broke off; another one goes on");
    }
}

async fn check_once(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    id: SubscriptionCheckId,
    lease: Uuid,
) -> Result<(), StoreError> {
    let store = context.store.within(scope);
    let Some(check) = store.subscription_check_load(id, lease).await? else { return Ok(()) };
    if !check.is_connection_active {
        // What the vendor sends is answered that it is to come again; resuming checks at once.
        return store.subscription_check_give_back(&check, check_at(Utc::now(), None, rand::random())).await;
    }
    let mut calls = Vec::new();
    match listen(context, directory, scope, &check, &mut calls).await {
        Ok(renew_at) => {
            store.subscription_calls(&check, &calls).await?;
            store.subscription_check_end(&check, check_at(Utc::now(), renew_at, rand::random())).await
        }
        Err(ListingError::Store(error)) if error.is_passing() => {
            // A deadlock, say: what was done is found by the next check, which need not wait for our lease to end.
            store.subscription_check_give_back(&check, Utc::now() + AGAIN).await?;
            Err(error)
        }
        Err(error) => {
            let due_at = again_at(Utc::now(), check.failures + 1, rand::random());
            let failure = crate::poll::failure(&error, "The webhooks of ", "could not be kept registered");
            store.subscription_check_failed(&check, &failure, &calls, due_at).await
        }
    }
}

/// Polls and webhooks of a connection, as its flows need them now. Says when something must be renewed.
async fn listen(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    check: &SubscriptionCheck,
    calls: &mut Vec<ToldCall>,
) -> Result<Option<DateTime<Utc>>, ListingError> {
    let mut account = Account::open(context, directory, scope, check).await?;
    let kinds: Vec<RecordKind> = check.kinds.iter().map(|(kind, _)| *kind).collect();
    let topics = match account.listing.connector.takes_subscriptions() {
        true => account.listing.connector.topics_of(&kinds),
        false => vec![],
    };
    let blocked = if topics.is_empty() { None } else { account.why_blocked(topics[0].0) };
    let store = context.store.within(scope);
    store.polls_follow(check.connection, &kinds, &account.own_polls(blocked.is_none())).await?;
    let rows = store.subscriptions_follow(check.connection, &topics, blocked.as_deref()).await?;
    if blocked.is_some() || rows.iter().all(|row| row.state == SubscriptionState::Ended) {
        return Ok(None);
    }
    let outcome = account.keep(&rows).await;
    calls.extend(account.listing.take_calls());
    outcome
}

/// The account that a check is about.
struct Account<'a> {
    context: &'a Context,
    scope: &'a Scope,
    check: &'a SubscriptionCheck,
    listing: Listing<'a>,
    access: Access,
    /// Why nothing can be asked of the account, where a person must do something first.
    lack: Option<String>,
    /// The credential, with the newest secret where the vendor is told it.
    fields: SecretFields,
    hook_url: Option<String>,
}

impl<'a> Account<'a> {
    async fn open(
        context: &'a Context,
        directory: &'a Directory,
        scope: &'a Scope,
        check: &'a SubscriptionCheck,
    ) -> Result<Self, ListingError> {
        let listing = Listing::open(context, directory, scope, check.connection).await?.hasty().secretive();
        let (access, lack) = directory.access(scope, &listing.connection, listing.connector).await?;
        let lack = match lack {
            // Nobody has connected it yet: that is no failure.
            Some(fault) if fault.code == "not_connected" => Some(format!("{}: {}", listing.connection.name, fault.reason)),
            Some(fault) => return Err(listing.failed(fault)),
            None => None,
        };
        let hook_url = context.settings.public_url.as_ref().map(|url| format!("{url}/hooks/{}", check.hook_token));
        let fields = access.credential.fields.clone();
        let mut account = Self { context, scope, check, listing, access, lack, fields, hook_url };
        if account.listing.connector.hook_secret_source() == Some(SecretSource::Told) {
            account.tell_secret().await?;
        }
        Ok(account)
    }

    /// The secret that the vendor is told: the newest one; a person's where none was made yet; and where there is none, one of ours.
    async fn tell_secret(&mut self) -> Result<(), ListingError> {
        let connector = self.listing.connector;
        let Some(field) = connector.hook_secret_field() else { return Ok(()) };
        let (store, vault) = (self.context.store.within(self.scope), &self.context.vault);
        let mut used = store.hook_secret_used(vault, self.check.connection).await?;
        let is_given = self.fields.get(field).is_some_and(|secret| !secret.expose_secret().is_empty());
        if used.is_none() && !is_given && self.hook_url.is_some() {
            let random: [u8; 32] = rand::random();
            let Some(made) = connector.new_hook_secret(&random) else { return Ok(()) };
            store.hook_secret_make(vault, self.check.connection, &made).await?;
            // Another worker may have been faster.
            used = store.hook_secret_used(vault, self.check.connection).await?;
        }
        if let Some(used) = used {
            self.fields.0.insert(field.to_owned(), used);
        }
        Ok(())
    }

    fn request<'c>(&'c self, nonce: &'c str) -> RequestContext<'c> {
        RequestContext {
            token: self.access.token.as_ref().map(|token| &token.set),
            ..RequestContext::new(&self.listing.connection.settings, &self.fields, Utc::now(), nonce)
        }
    }

    /// Why no webhook can be registered, where a person must do something first; it calls nobody.
    fn why_blocked(&self, topic: &str) -> Option<String> {
        let Some(hook_url) = &self.hook_url else {
            return Some(
                "this installation has not said how vendors reach it, so none can be told where to send; polls bring the changes \
                 meanwhile. Set CROSSDOCK_PUBLIC_URL for the API and the workers"
                    .into(),
            );
        };
        if let Some(lack) = &self.lack {
            return Some(lack.clone());
        }
        let (connector, request) = (self.listing.connector, self.request("check"));
        let listed = connector.subscription_reader().map_or(Ok(None), |mut reader| reader.next(&request));
        let asked = connector.subscribe_request(topic, hook_url, &request);
        listed.and(asked).err().map(|error| error.to_string())
    }

    /// The kinds that can be listed by the time of their change, and how often. Where the vendor tells no times, everything there is would come: that
    /// is for a person to ask for.
    fn own_polls(&self, has_webhooks: bool) -> Vec<OwnPoll> {
        if self.lack.is_some() {
            return vec![];
        }
        let (connector, request) = (self.listing.connector, self.request("check"));
        let own = |(kind, published_at): &(RecordKind, DateTime<Utc>)| {
            let position = connector.position_from(*kind, since(*published_at, self.check.created_at));
            let mut reader = connector.reader(*kind, &position).filter(|_| position.at.is_some())?;
            // What the connection lacks is said where it is used; nobody is called to hear it.
            reader.next(&request).ok()??;
            let every_s = if has_webhooks && connector.has_topic(*kind) { SWEEP_EVERY_S } else { POLL_EVERY_S };
            Some(OwnPoll { kind: *kind, every_s, position: serde_json::to_value(position).expect("a position is plain data") })
        };
        self.check.kinds.iter().filter_map(own).collect()
    }

    /// Compares and does what is to be done; says when something must be renewed.
    async fn keep(&mut self, rows: &[SubscriptionRow]) -> Result<Option<DateTime<Utc>>, ListingError> {
        let Some(hook_url) = self.hook_url.clone() else { return Ok(None) };
        let connector = self.listing.connector;
        let has_secret = connector.hook_secret_fields().iter().any(|field| self.fields.get(field).is_some());
        let facts = Facts {
            hook_url: &hook_url,
            gives_secret: connector.hook_secret_source() == Some(SecretSource::Vendor),
            has_secret,
            is_for_all: connector.subscribes_at_once(),
            ends: connector.subscription_lifetime().is_some(),
            renews: connector.renews_subscriptions(),
            now: Utc::now(),
        };
        let listed = self.list().await?;
        let plan = plan(rows, listed.as_deref(), &facts);
        let seen: Vec<SeenRegistration<'_>> =
            plan.seen.iter().map(|(id, one)| SeenRegistration { subscription: *id, vendor_id: &one.id }).collect();
        let calls = self.listing.take_calls();
        let store = self.context.store.within(self.scope);
        store.subscriptions_seen(self.check, &seen, &hook_url, &plan.lost, &calls).await?;
        if !plan.never.is_empty() {
            let sentence = format!("{} registers no webhook for this topic; polls bring its changes", connector.title());
            store.subscriptions_failed(self.check, &plan.never, &sentence, false, &[]).await?;
        }
        let renewed = self.renew(&plan).await?;
        let subscribed = self.subscribe(&plan, rows, &hook_url).await?;
        // Everything that is new is there by now.
        self.delete(&plan).await?;
        let kept = rows.iter().filter(|row| plan.seen.iter().any(|(id, _)| *id == row.id) && renewed.is_none());
        Ok(kept.filter_map(|row| row.renew_at).chain(renewed).chain(subscribed).min())
    }

    /// The vendor's whole list; `None` where it has none.
    async fn list(&mut self) -> Result<Option<Vec<ListedSubscription>>, ListingError> {
        let Some(mut reader) = self.listing.connector.subscription_reader() else { return Ok(None) };
        loop {
            let nonce = Uuid::new_v4().simple().to_string();
            let Some(request) = reader.next(&self.request(&nonce)).map_err(|error| self.listing.unasked(error))? else {
                return Ok(Some(reader.into_found()));
            };
            let answer = self.listing.send(request, &self.access).await.map_err(|fault| self.listing.failed(fault))?;
            reader.take(&answer).map_err(|fault| self.listing.failed(self.access.told(fault)))?;
        }
    }

    async fn renew(&mut self, plan: &Plan<'_>) -> Result<Option<DateTime<Utc>>, ListingError> {
        let mut next = None;
        for (ids, one) in &plan.renew {
            let (connector, now) = (self.listing.connector, Utc::now());
            let answer = self.call(|request| connector.renew_request(one, request)).await?;
            let Some(answer) = answer else { continue };
            connector.read_action_answer(&answer).map_err(|fault| self.listing.failed(self.access.told(fault)))?;
            let expires = connector.subscription_lifetime().map(|lifetime| now + lifetime);
            let again = expires.map(|expires| renew_at(now, expires));
            let calls = self.listing.take_calls();
            self.context.store.within(self.scope).subscriptions_renewed(self.check, ids, expires, again, &calls).await?;
            next = again;
        }
        Ok(next)
    }

    async fn subscribe(
        &mut self,
        plan: &Plan<'_>,
        rows: &[SubscriptionRow],
        hook_url: &str,
    ) -> Result<Option<DateTime<Utc>>, ListingError> {
        let (mut next, mut failed) = (None, None);
        for ids in &plan.subscribe {
            let Some(row) = rows.iter().find(|row| ids.contains(&row.id)) else { continue };
            match self.subscribe_one(ids, row, hook_url).await? {
                Ok(again) => next = again,
                // What is wrong with one topic holds no other up; what is wrong with the account does.
                Err(fault) if matches!(fault.class, FaultClass::Validation | FaultClass::NotFound | FaultClass::Conflict) => {
                    failed = Some(fault);
                }
                Err(fault) => return Err(self.listing.failed(fault)),
            }
        }
        match failed {
            Some(fault) => Err(self.listing.failed(fault)),
            None => Ok(next),
        }
    }

    /// Registers one webhook: written down as begun, then called, then written down as made with the secret that came.
    async fn subscribe_one(
        &mut self,
        ids: &[SubscriptionId],
        row: &SubscriptionRow,
        hook_url: &str,
    ) -> Result<Result<Option<DateTime<Utc>>, Fault>, ListingError> {
        let (connector, now) = (self.listing.connector, Utc::now());
        let store = self.context.store.within(self.scope);
        if !store.subscriptions_begin(self.check, ids, lease_s(self.context)).await? {
            return Err(ListingError::Gone);
        }
        let nonce = Uuid::new_v4().simple().to_string();
        let request = connector.subscribe_request(&row.topic, hook_url, &self.request(&nonce));
        let Some(request) = request.map_err(|error| self.listing.unasked(error))? else { return Ok(Ok(None)) };
        let made = match self.listing.send(request, &self.access).await {
            Ok(answer) => connector.read_subscribe_answer(&answer, now).map_err(|fault| self.access.told(fault)),
            Err(fault) => Err(fault),
        };
        let calls = self.listing.take_calls();
        match made {
            Ok(made) => {
                let again = made.expires.map(|expires| renew_at(now, expires));
                let made = NewRegistration {
                    vendor_id: &made.id,
                    hook_url,
                    expires_at: made.expires,
                    renew_at: again,
                    secret: made.secret.as_ref(),
                    topic: (!connector.subscribes_at_once()).then_some(row.topic.as_str()),
                    overlap_s: OVERLAP_S,
                };
                store.subscriptions_made(&self.context.vault, self.check, ids, &made, &calls).await?;
                Ok(Ok(again))
            }
            Err(fault) => {
                // An answer that never came, or says nothing: it may be registered.
                let is_unknown = matches!(fault.class, FaultClass::Outage | FaultClass::Unknown | FaultClass::Retry);
                let sentence = format!("{}. {}", fault.reason.trim_end_matches('.'), fault.fix);
                store.subscriptions_failed(self.check, ids, &sentence, is_unknown, &calls).await?;
                Ok(Err(fault))
            }
        }
    }

    /// Takes away what is ours and of no use. What is not there any more is taken away already.
    async fn delete(&mut self, plan: &Plan<'_>) -> Result<(), ListingError> {
        let connector = self.listing.connector;
        let mut note = None;
        for one in &plan.delete {
            match self.call(|request| connector.delete_request(one, request)).await? {
                None => note = Some(format!("{} takes no webhook away by itself: take it away there", connector.title())),
                Some(answer) => match connector.read_action_answer(&answer) {
                    Ok(()) => {}
                    Err(fault) if matches!(fault.class, FaultClass::NotFound | FaultClass::Gone) => {}
                    Err(fault) => return Err(self.listing.failed(self.access.told(fault))),
                },
            }
        }
        let calls = self.listing.take_calls();
        let store = self.context.store.within(self.scope);
        store.subscription_calls(self.check, &calls).await?;
        store.subscriptions_ended(self.check, note.as_deref(), OVERLAP_S).await?;
        Ok(())
    }

    /// One call; `None` where the connector has none for this.
    async fn call(
        &mut self,
        build: impl Fn(&RequestContext<'_>) -> Result<Option<HttpRequest>, RequestError>,
    ) -> Result<Option<HttpAnswer>, ListingError> {
        let nonce = Uuid::new_v4().simple().to_string();
        let Some(request) = build(&self.request(&nonce)).map_err(|error| self.listing.unasked(error))? else { return Ok(None) };
        let answer = self.listing.send(request, &self.access).await.map_err(|fault| self.listing.failed(fault))?;
        Ok(Some(answer))
    }
}
