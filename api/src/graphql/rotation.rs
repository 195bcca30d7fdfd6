//! The exchange of a connection's secret for a new one: how often, by whom, how far it is, and what a person has to do.

use std::collections::BTreeMap;
use std::time::Duration;

use async_graphql::{Context, Enum, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use connectors::Connector;
use connectors::manifest::{GuidedRotation, Rotation as Rule};
use domain::id::{ConnectionId, RotationId};
use domain::rotation::{EVERY_DAYS_MAX, RotationEvent, RotationState, RotationWay};
use domain::scope::Permission;
use domain::secret::{ExposeSecret, SecretFields, SecretString};
use infra::postgres::configure::NewCredential;
use infra::postgres::rotation::{Begun, Rotation, Step};
use infra::postgres::upkeep::ConnectionHealth;
use tokio::time::Instant;

use super::connection::{find, form_errors};
use super::connection_health::HealthNode;
use super::error::{UserError, UserErrorCode, scope, state, within};
use super::page::{LARGE_COST, id};

/// How long somebody waits until a new secret was tried; after that they look again.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Who makes the new secret.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "RotationWay", name = "RotationWay")]
enum WayNode {
    /// Crossdock does, by the vendor's API.
    Automatic,
    /// A person does, step by step.
    Guided,
}

/// How far an exchange is.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "RotationState", name = "RotationState")]
enum StateNode {
    /// A new secret is to be made.
    Due,
    /// The vendor is asked for one.
    Making,
    /// The new secret is tried; the old one is used.
    Checking,
    /// The new one is used, and the old one still works.
    Overlapping,
    /// The old one is to be removed at the vendor.
    Removing,
    /// The old one is removed.
    Retired,
    /// It came to nothing; the reason says why.
    Failed,
}

/// An exchange of a secret, and how far it is.
#[derive(SimpleObject)]
#[graphql(name = "Rotation")]
pub struct RotationNode {
    id: ID,
    state: StateNode,
    way: WayNode,
    /// How it stands, in plain words.
    sentence: String,
    /// What stopped it last, or what it waits for; null where nothing did.
    reason: Option<String>,
    /// operations, developer, vendor or crossdock; null where nothing stopped it.
    owner: Option<String>,
    next_step: Option<String>,
    /// Until when both secrets stand.
    overlap_until: Option<DateTime<Utc>>,
    begun_at: DateTime<Utc>,
    /// When it took its last step.
    moved_at: DateTime<Utc>,
}

impl RotationNode {
    fn new(rotation: Rotation, connection: &str, title: &str) -> Self {
        Self {
            id: id::<RotationId>(rotation.id.0),
            state: rotation.state.into(),
            way: rotation.way.into(),
            sentence: rotation.state.sentence(rotation.way, connection, title),
            reason: rotation.sentence,
            owner: rotation.owner,
            next_step: rotation.next_step,
            overlap_until: rotation.overlap_until,
            begun_at: rotation.begun_at,
            moved_at: rotation.moved_at,
        }
    }
}

/// A secret that a person enters.
#[derive(SimpleObject)]
struct RotationSecret {
    name: String,
    title: String,
    help: Option<String>,
}

/// What a person does at the vendor.
#[derive(SimpleObject)]
struct RotationGuide {
    /// Those that are new afterwards; the others stay as they are. At most 10.
    secrets: Vec<RotationSecret>,
    /// In their order, before the new secret is entered; at most 10.
    steps: Vec<String>,
    /// The vendor's page where that is done or described.
    page: String,
    /// The last step, where both stand for a while.
    remove: Option<String>,
}

impl RotationGuide {
    fn new(guided: &GuidedRotation, connector: &Connector) -> Self {
        let secret = |name: &String| {
            let field = connector.credential().get(name)?;
            Some(RotationSecret { name: name.clone(), title: field.title.clone(), help: field.help.clone() })
        };
        Self {
            secrets: guided.secrets.iter().filter_map(secret).collect(),
            steps: guided.steps.clone(),
            page: guided.page.clone(),
            remove: guided.remove.clone(),
        }
    }
}

/// How the secret of a connection is exchanged.
#[derive(SimpleObject)]
#[graphql(name = "ConnectionRotation")]
pub struct ConnectionRotationNode {
    way: WayNode,
    /// After so many days a secret should be exchanged, as its vendor or its connector advises.
    advised_days: i32,
    /// The vendor's page that says so.
    source: Option<String>,
    /// Hours that both secrets stand; null where the old one ends with the new one.
    overlap_hours: Option<i32>,
    guide: Option<RotationGuide>,
    /// After so many days it is exchanged; null where only when somebody says so.
    every_days: Option<i32>,
    /// It is exchanged as often as is advised.
    follows_advice: bool,
    /// When it is to be exchanged next.
    due_at: Option<DateTime<Utc>>,
    /// The newest one, which may be over.
    newest: Option<RotationNode>,
}

impl ConnectionRotationNode {
    /// Nothing where the connector does not say how its secrets are exchanged.
    pub fn of(health: &ConnectionHealth, connector: Option<&Connector>) -> Option<Self> {
        let connector = connector?;
        let rule = connector.rotation()?;
        let (schedule, name) = (health.schedule.as_ref(), &health.connection.name);
        Some(Self {
            way: rule.way().into(),
            advised_days: rule.every_days(),
            source: rule.source.clone(),
            overlap_hours: rule.overlap_hours().and_then(|hours| i32::try_from(hours).ok()),
            guide: rule.guided.as_ref().map(|guided| RotationGuide::new(guided, connector)),
            every_days: schedule.and_then(|schedule| schedule.every_days),
            follows_advice: schedule.is_some_and(|schedule| schedule.follows_advice),
            due_at: schedule.and_then(|schedule| schedule.due_at),
            newest: health.rotation.clone().map(|rotation| RotationNode::new(rotation, name, connector.title())),
        })
    }
}

/// Either a number of days or the advice; neither: only when somebody says so.
#[derive(InputObject)]
struct RotationScheduleInput {
    /// 1 to 730.
    every_days: Option<i32>,
    /// As often as the connector advises, now and whenever it advises otherwise.
    #[graphql(default)]
    follow_advice: bool,
}

#[derive(SimpleObject)]
struct RotationPayload {
    health: Option<HealthNode>,
    user_errors: Vec<UserError>,
}

impl RotationPayload {
    fn refused(user_errors: Vec<UserError>) -> Result<Self> {
        Ok(Self { health: None, user_errors })
    }

    fn wrong(field: &str, code: UserErrorCode, message: impl Into<String>) -> Result<Self> {
        Self::refused(vec![UserError::new(field, code, message)])
    }

    /// How the connection is kept now.
    async fn of(ctx: &Context<'_>, connection: ConnectionId, user_errors: Vec<UserError>) -> Result<Self> {
        let found = within(ctx, Permission::Configure, async |store| store.connection_health(Some(connection), None, 1).await);
        let health = found.await?.pop().map(|health| HealthNode::new(ctx, health, Utc::now()));
        Ok(Self { health, user_errors })
    }
}

/// The connection and how its secret is exchanged.
struct Found {
    id: ConnectionId,
    connector: &'static Connector,
    rule: &'static Rule,
}

async fn rule_of(ctx: &Context<'_>, connection_id: &ID) -> Result<std::result::Result<Found, UserError>> {
    let (row, connector) = match find(ctx, "connectionId", connection_id).await? {
        Ok(found) => found,
        Err(error) => return Ok(Err(error)),
    };
    Ok(match connector.rotation() {
        Some(rule) => Ok(Found { id: ConnectionId(row.id), connector, rule }),
        None => {
            let message = format!(
                "the connector of {} does not say how a new secret is made; make one there and replace the credential",
                connector.title()
            );
            Err(UserError::new("connectionId", UserErrorCode::Blocked, message))
        }
    })
}

/// Who was faster has moved it: the page shows how it stands.
fn moved() -> UserError {
    UserError::new("connectionId", UserErrorCode::Changed, "the exchange has moved on meanwhile; look at how it stands now")
}

fn no_secret() -> UserError {
    UserError::new("connectionId", UserErrorCode::Blocked, "no secret is stored that could be exchanged")
}

#[derive(Default)]
pub struct RotationMutation;

#[Object]
impl RotationMutation {
    /// Says how often the secret of a connection is exchanged for a new one.
    async fn rotation_schedule_set(
        &self,
        ctx: &Context<'_>,
        connection_id: ID,
        schedule: RotationScheduleInput,
    ) -> Result<RotationPayload> {
        let found = match rule_of(ctx, &connection_id).await? {
            Ok(found) => found,
            Err(error) => return RotationPayload::refused(vec![error]),
        };
        let every_days = match schedule {
            RotationScheduleInput { every_days: Some(_), follow_advice: true } => {
                let message = "say a number of days, or that the advice is followed, and not both";
                return RotationPayload::wrong("schedule.everyDays", UserErrorCode::Invalid, message);
            }
            RotationScheduleInput { every_days: Some(days), .. } if !(1..=EVERY_DAYS_MAX).contains(&days) => {
                let message = format!("a secret is exchanged after 1 to {EVERY_DAYS_MAX} days");
                return RotationPayload::wrong("schedule.everyDays", UserErrorCode::Invalid, message);
            }
            RotationScheduleInput { follow_advice: true, .. } => Some(found.rule.every_days()),
            RotationScheduleInput { every_days, .. } => every_days,
        };
        within(ctx, Permission::Configure, async |store| {
            store.rotation_schedule_set(found.id, every_days, schedule.follow_advice, found.rule.way()).await
        })
        .await?;
        RotationPayload::of(ctx, found.id, vec![]).await
    }

    /// Begins an exchange now, whatever the schedule says. One that is automatic goes on by itself; one that is guided waits for `rotationSecretEnter`.
    async fn rotation_begin(&self, ctx: &Context<'_>, connection_id: ID) -> Result<RotationPayload> {
        let found = match rule_of(ctx, &connection_id).await? {
            Ok(found) => found,
            Err(error) => return RotationPayload::refused(vec![error]),
        };
        let begun = within(ctx, Permission::Configure, async |store| store.rotation_begin(found.id, found.rule.way()).await);
        match begun.await? {
            Begun::Done(_) => RotationPayload::of(ctx, found.id, vec![]).await,
            Begun::UnderWay => {
                let message = "the secret is being exchanged already; that one must end first";
                RotationPayload::wrong("connectionId", UserErrorCode::Blocked, message)
            }
            Begun::NoSecret => RotationPayload::refused(vec![no_secret()]),
        }
    }

    /// Enters the new secret of a guided exchange, and begins one where none is open. It is tried before it takes the place of the old one, which waits for
    /// at most 20 seconds. What is refused is not kept, and the old one is used on. `secrets` are those that the guide names, each text of at most 16 KiB;
    /// `endsAt` is when the first of them ends, where the vendor said so.
    #[graphql(complexity = "LARGE_COST")]
    async fn rotation_secret_enter(
        &self,
        ctx: &Context<'_>,
        connection_id: ID,
        secrets: Json<BTreeMap<String, String>>,
        ends_at: Option<DateTime<Utc>>,
    ) -> Result<RotationPayload> {
        let found = match rule_of(ctx, &connection_id).await? {
            Ok(found) => found,
            Err(error) => return RotationPayload::refused(vec![error]),
        };
        let Some(guided) = &found.rule.guided else {
            let message = "this secret is exchanged by itself; begin it, and look at how it stands";
            return RotationPayload::wrong("connectionId", UserErrorCode::Blocked, message);
        };
        let given: SecretFields =
            secrets.0.into_iter().map(|(name, secret)| (name, SecretString::from(secret.trim().to_owned()))).collect();
        if let Some(other) = given.0.keys().find(|name| !guided.secrets.contains(name)) {
            let message = format!("only {} is exchanged here", guided.secrets.join(", "));
            return RotationPayload::wrong(&format!("secrets.{other}"), UserErrorCode::Invalid, message);
        }
        let open = match open_guided(ctx, &found).await? {
            Ok(open) => open,
            Err(error) => return RotationPayload::refused(vec![error]),
        };
        let vault = &state(ctx).vault;
        let old = within(ctx, Permission::Configure, async |store| store.credential_open(vault, open.old).await).await?;
        let is_same = |name: &String| {
            let pair = given.get(name).map(ExposeSecret::expose_secret).zip(old.get(name).map(ExposeSecret::expose_secret));
            pair.is_none_or(|(given, old)| given == old)
        };
        if guided.secrets.iter().all(is_same) {
            let field = format!("secrets.{}", guided.secrets.first().map_or("", String::as_str));
            return RotationPayload::wrong(
                &field,
                UserErrorCode::Invalid,
                "this is the secret that is used already; enter the new one",
            );
        }
        let mut fields = old.clone();
        fields.0.extend(given.0);
        let wrong = form_errors("secrets", found.connector.check_credential(&fields));
        if !wrong.is_empty() {
            return RotationPayload::refused(wrong);
        }
        let ends = found.connector.credential_ends(&fields, ends_at, Utc::now());
        let secret = NewCredential { fields: &fields, ends };
        let kept = within(ctx, Permission::Configure, async |store| {
            let step = Step { secret: Some((secret, None)), ..RotationEvent::SecretKept.into() };
            store.rotation_step(vault, &open, None, step).await
        });
        if kept.await?.is_none() {
            return RotationPayload::refused(vec![moved()]);
        }
        let wrong = tried(ctx, &found, &open).await?;
        RotationPayload::of(ctx, found.id, wrong.into_iter().collect()).await
    }

    /// Says that the old secret was removed at the vendor. It is not kept any longer.
    async fn rotation_removal_confirm(&self, ctx: &Context<'_>, connection_id: ID) -> Result<RotationPayload> {
        person_step(ctx, &connection_id, RotationEvent::OldRemoved, |state| {
            matches!(state, RotationState::Overlapping | RotationState::Removing)
        })
        .await
    }

    /// Takes an exchange back before the new secret is used; the old one is used on.
    async fn rotation_cancel(&self, ctx: &Context<'_>, connection_id: ID) -> Result<RotationPayload> {
        person_step(ctx, &connection_id, RotationEvent::Replaced, |state| {
            matches!(state, RotationState::Due | RotationState::Making | RotationState::Checking)
        })
        .await
    }
}

/// The guided exchange that waits for its secret; a new one where none is open.
async fn open_guided(ctx: &Context<'_>, found: &Found) -> Result<std::result::Result<Rotation, UserError>> {
    let open = within(ctx, Permission::Configure, async |store| store.rotation_open(found.id).await).await?;
    Ok(match open {
        Some(open) if open.state == RotationState::Due && open.way == RotationWay::Guided => Ok(open),
        Some(_) => Err(UserError::new(
            "connectionId",
            UserErrorCode::Blocked,
            "a new secret was entered already; the exchange must end first",
        )),
        None => {
            let begun =
                within(ctx, Permission::Configure, async |store| store.rotation_begin(found.id, RotationWay::Guided).await);
            match begun.await? {
                Begun::Done(begun) => Ok(begun),
                Begun::UnderWay => Err(moved()),
                Begun::NoSecret => Err(no_secret()),
            }
        }
    })
}

/// Waits until the new secret was tried; what is wrong with it, where something is.
async fn tried(ctx: &Context<'_>, found: &Found, of: &Rotation) -> Result<Option<UserError>> {
    let patience = Instant::now() + PATIENCE;
    loop {
        let open = within(ctx, Permission::Configure, async |store| store.rotation_open(found.id).await).await?;
        match open {
            Some(open) if open.id == of.id && open.state == RotationState::Checking && Instant::now() < patience => {}
            Some(open) if open.id == of.id && open.state == RotationState::Due => {
                let why = [open.sentence, open.next_step].into_iter().flatten().collect::<Vec<_>>().join(" ");
                return Ok(Some(UserError::new("secrets", UserErrorCode::Invalid, why)));
            }
            _ => return Ok(None),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A step that a person takes, where the exchange stands so that it may be taken.
async fn person_step(
    ctx: &Context<'_>,
    connection_id: &ID,
    event: RotationEvent,
    fits: impl Fn(RotationState) -> bool,
) -> Result<RotationPayload> {
    scope(ctx, Permission::Configure)?;
    let found = match rule_of(ctx, connection_id).await? {
        Ok(found) => found,
        Err(error) => return RotationPayload::refused(vec![error]),
    };
    let open = within(ctx, Permission::Configure, async |store| store.rotation_open(found.id).await).await?;
    let Some(open) = open.filter(|open| fits(open.state) && open.state.after(event, open.way).is_ok()) else {
        let message = "the exchange does not stand where that could be said; look at how it stands now";
        return RotationPayload::wrong("connectionId", UserErrorCode::Blocked, message);
    };
    let vault = &state(ctx).vault;
    let stepped = within(ctx, Permission::Configure, async |store| store.rotation_step(vault, &open, None, event.into()).await);
    if stepped.await?.is_none() {
        return RotationPayload::refused(vec![moved()]);
    }
    RotationPayload::of(ctx, found.id, vec![]).await
}
