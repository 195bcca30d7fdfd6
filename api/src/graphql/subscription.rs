//! Webhooks that the platform keeps registered at vendors, and the secrets that they are signed with.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use connectors::{Connector, SecretSource};
use domain::id::{ConnectionId, SubscriptionId};
use domain::scope::Permission;
use domain::secret::SecretString;
use domain::subscription::{OVERLAP_S, OVERLAPS_S, SubscriptionState};
use infra::postgres::entity::{connection, subscription, subscription_check};
use infra::postgres::filter::{subscription_check_of, subscriptions_of};
use uuid::Uuid;

use super::connection::{ConnectionPayload, find};
use super::error::{UserError, UserErrorCode, state, within};
use super::page::id;

/// Longer is no secret, bytes.
const SECRET_BYTES_MAX: usize = 16 * 1024;

/// Where a webhook stands at the vendor.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "SubscriptionState", name = "WebhookSubscriptionState")]
enum StateNode {
    /// A published flow reads its topic, and the vendor does not have it yet, or no more.
    Wanted,
    /// The vendor was asked to register it, and what it answered is not known: its list will say.
    Subscribing,
    /// The vendor has it.
    Active,
    /// The vendor said no. It is asked again.
    Failed,
    /// It cannot be asked for: the installation or the connection lacks something that a person must give.
    Blocked,
    /// No flow reads its topic any more, and the vendor still has it.
    Ending,
    /// The vendor has it no more.
    Ended,
}

/// A webhook that is kept registered at the vendor.
#[derive(SimpleObject)]
#[graphql(name = "WebhookSubscription")]
pub struct SubscriptionNode {
    id: ID,
    topic: String,
    state: StateNode,
    /// The vendor's own id of it.
    vendor_id: Option<String>,
    /// It is being replaced by one with another secret.
    is_rotating: bool,
    /// When it ends unless it is renewed, which is done at two thirds of its life.
    expires_at: Option<DateTime<Utc>>,
    /// When it was in the vendor's list last.
    seen_at: Option<DateTime<Utc>>,
    /// Since when it may have been missing; null where it is there.
    missing_since: Option<DateTime<Utc>>,
    /// How often the vendor had dropped it and it was made again.
    restored: i32,
    restored_at: Option<DateTime<Utc>>,
    /// Why it is failed or blocked, and what to do.
    failure: Option<String>,
}

impl From<subscription::Model> for SubscriptionNode {
    fn from(row: subscription::Model) -> Self {
        Self {
            id: id::<SubscriptionId>(row.id),
            topic: row.topic,
            // The schema allows no other word.
            state: SubscriptionState::parse(&row.state).unwrap_or(SubscriptionState::Wanted).into(),
            vendor_id: row.vendor_id,
            is_rotating: row.is_rotating,
            expires_at: row.expires_at,
            seen_at: row.seen_at,
            missing_since: row.lost_at,
            restored: row.restored,
            restored_at: row.restored_at,
            failure: row.failure,
        }
    }
}

/// The comparison of what is registered with what is wanted: every 15 minutes, and at once when flows, settings or the credential change, or a sweep
/// found what webhooks missed.
#[derive(SimpleObject)]
#[graphql(name = "WebhookSubscriptionCheck")]
pub struct SubscriptionCheckNode {
    due_at: DateTime<Utc>,
    /// The last one that came to its end.
    checked_at: Option<DateTime<Utc>>,
    /// Checks that failed since. Three in a row are an incident.
    failures: i32,
    failure: Option<String>,
}

impl From<subscription_check::Model> for SubscriptionCheckNode {
    fn from(row: subscription_check::Model) -> Self {
        Self { due_at: row.due_at, checked_at: row.checked_at, failures: row.failures, failure: row.failure }
    }
}

/// What is kept registered for a connection, newest first.
pub async fn of_connection(ctx: &Context<'_>, connection: Uuid) -> Result<Vec<SubscriptionNode>> {
    let filter = subscriptions_of(connection);
    let page = within(ctx, Permission::ReadOperations, async |store| store.page::<subscription::Entity>(filter, None, 100).await);
    Ok(page.await?.rows.into_iter().map(SubscriptionNode::from).collect())
}

/// When it is compared.
pub async fn check_of(ctx: &Context<'_>, connection: Uuid) -> Result<Option<SubscriptionCheckNode>> {
    let filter = subscription_check_of(connection);
    let page =
        within(ctx, Permission::ReadOperations, async |store| store.page::<subscription_check::Entity>(filter, None, 1).await);
    Ok(page.await?.rows.pop().map(SubscriptionCheckNode::from))
}

#[derive(InputObject)]
struct HookSecretRotateInput {
    connection_id: ID,
    /// The new secret, as it was made at the vendor. Write only. Left out where the vendor makes one itself, or is told one of ours: then its webhooks
    /// are registered anew with it.
    secret: Option<String>,
    /// How long what the old secret signed is still believed: from 0 to 604,800 seconds, three days where it is left out.
    overlap_s: Option<i32>,
}

#[derive(Default)]
pub struct SubscriptionMutation;

#[Object]
impl SubscriptionMutation {
    /// Compares what is registered at the vendor with what is wanted, now: what is missing is registered, what is of no use is taken away.
    async fn subscription_check(&self, ctx: &Context<'_>, connection_id: ID) -> Result<ConnectionPayload> {
        let row = match find(ctx, "connectionId", &connection_id).await? {
            Ok((row, _)) => row,
            Err(error) => return Ok(ConnectionPayload::refused(vec![error])),
        };
        let asked = within(ctx, Permission::Configure, async |store| {
            store.subscription_check_ask(ConnectionId(row.id)).await?;
            store.find::<connection::Entity>(row.id).await
        });
        Ok(ConnectionPayload::of("connectionId", asked.await?))
    }

    /// Replaces the secret that a connection's hooks are signed with. What the old one signed is believed for the overlap, so that nothing that is under
    /// way is refused. The secret is never shown.
    async fn hook_secret_rotate(&self, ctx: &Context<'_>, input: HookSecretRotateInput) -> Result<ConnectionPayload> {
        let refuse = |field: &str, code, sentence: String| {
            Ok(ConnectionPayload::refused(vec![UserError::new(&format!("input.{field}"), code, sentence)]))
        };
        let (row, connector) = match find(ctx, "input.connectionId", &input.connection_id).await? {
            Ok(found) => found,
            Err(error) => return Ok(ConnectionPayload::refused(vec![error])),
        };
        let overlap_s = input.overlap_s.unwrap_or(OVERLAP_S);
        if !OVERLAPS_S.contains(&overlap_s) {
            let sentence = format!("an overlap has {} to {} seconds", OVERLAPS_S.start(), OVERLAPS_S.end());
            return refuse("overlapS", UserErrorCode::Invalid, sentence);
        }
        let secret = match new_secret(connector, input.secret) {
            Ok(secret) => secret,
            Err((field, code, sentence)) => return refuse(field, code, sentence),
        };
        // A vendor that was given a secret by a person has it already.
        let source = connector.hook_secret_source();
        let is_registered_anew = source == Some(SecretSource::Told) || source == Some(SecretSource::Vendor) && secret.is_none();
        let vault = &state(ctx).vault;
        let rotated = within(ctx, Permission::Configure, async |store| {
            let connection = ConnectionId(row.id);
            if !store.hook_secret_rotate(vault, connection, secret.as_ref(), is_registered_anew, overlap_s).await? {
                return Ok(None);
            }
            store.find::<connection::Entity>(row.id).await
        });
        match rotated.await? {
            Some(row) => Ok(ConnectionPayload::of("input.connectionId", Some(row))),
            None => {
                let sentence = format!(
                    "{} makes the secret when its webhooks are registered, and none is yet: publish a flow that reads it",
                    row.name
                );
                refuse("connectionId", UserErrorCode::Blocked, sentence)
            }
        }
    }
}

type Refused = (&'static str, UserErrorCode, String);

/// The secret that a person gives, or one of ours; `None` where the vendor makes it.
fn new_secret(connector: &Connector, given: Option<String>) -> std::result::Result<Option<SecretString>, Refused> {
    let title = connector.title();
    let Some(source) = connector.hook_secret_source() else {
        return Err(("connectionId", UserErrorCode::Invalid, format!("{title} sends no hooks")));
    };
    if let Some(given) = given {
        if given.len() > SECRET_BYTES_MAX || !connector.takes_hook_secret(&given) {
            return Err((
                "secret",
                UserErrorCode::Invalid,
                format!("this is not written as {title} writes secrets; copy it once more"),
            ));
        }
        return Ok(Some(given.into()));
    }
    match source {
        SecretSource::Vendor => Ok(None),
        SecretSource::Told => {
            let random: [u8; 32] = rand::random();
            Ok(connector.new_hook_secret(&random))
        }
        SecretSource::Person => {
            let sentence = format!("{title} cannot be told a secret: make a new one there, and give it here");
            Err(("secret", UserErrorCode::Required, sentence))
        }
    }
}
