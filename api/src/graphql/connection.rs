//! Connectors, and a tenant's connections to them.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{ComplexObject, Context, ID, InputObject, Json, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use connectors::{Catalog, CatalogErrors, Connector, FieldError, RequestContext};
use domain::connection::ConnectionState;
use domain::governor::RESERVE_PCT_MAX;
use domain::id::{ConnectionId, TenantId};
use domain::scope::Permission;
use domain::secret::{SecretFields, SecretString};
use infra::postgres::configure::{Changed, NewCredential, Replaced};
use infra::postgres::entity::connection;

use super::consent::{ConnectorConsent, ConsentNode};
use super::error::{UserError, UserErrorCode, scope, state, within};
use super::page::{cost, id, page, uuid};
use super::tenant::reads;
use crate::auth::new_token;

/// The description of one vendor's API. One whose files are broken is listed by its name, without the rest, and stops no other.
#[derive(SimpleObject)]
#[graphql(name = "Connector", complex)]
pub struct ConnectorNode {
    name: String,
    /// False where its files are broken: until that is mended its webhooks are asked to come again, and its deliveries become exceptions.
    available: bool,
    /// What is wrong with its files, one thing a line; at most 4,000 characters.
    unavailable_reason: Option<String>,
    title: String,
    category: String,
    /// The API version that is called.
    version: String,
    settings: Vec<FormField>,
    /// The secrets that a connection needs. They are never shown again.
    credential: Vec<FormField>,
    /// The connect guide, in Markdown.
    setup: String,
    /// The kinds of record that it reads.
    reads: Vec<String>,
    /// The kinds of record that it writes.
    writes: Vec<String>,
}

#[ComplexObject]
impl ConnectorNode {
    /// What a person's consent is asked with; null where its accounts are connected by the credential alone.
    async fn consent(&self, ctx: &Context<'_>) -> Option<ConnectorConsent> {
        ConnectorConsent::of(state(ctx).catalog.get(&self.name)?, &state(ctx).public_url)
    }
}

/// One field of the connect form.
#[derive(SimpleObject)]
struct FormField {
    name: String,
    title: String,
    help: Option<String>,
    example: Option<String>,
    required: bool,
}

impl From<&Connector> for ConnectorNode {
    fn from(connector: &Connector) -> Self {
        let form = |fields: &indexmap::IndexMap<String, connectors::Field>| {
            let field = |(name, field): (&String, &connectors::Field)| FormField {
                name: name.clone(),
                title: field.title.clone(),
                help: field.help.clone(),
                example: field.example.clone(),
                required: field.required,
            };
            fields.iter().map(field).collect()
        };
        Self {
            name: connector.name().to_owned(),
            available: true,
            unavailable_reason: None,
            title: connector.title().to_owned(),
            category: connector.manifest.category.as_str().to_owned(),
            version: connector.version().to_owned(),
            settings: form(connector.settings()),
            credential: form(connector.credential()),
            setup: connector.setup().to_owned(),
            reads: connector.kinds_read().map(|kind| kind.to_string()).collect(),
            writes: connector.kinds_written().map(|kind| kind.to_string()).collect(),
        }
    }
}

impl ConnectorNode {
    /// All connectors, those that are broken too.
    fn all(catalog: &Catalog) -> Vec<Self> {
        let node = |name| Some(catalog.find(name)?.map_or_else(|errors| Self::unavailable(name, errors), Self::from));
        catalog.names().filter_map(node).collect()
    }

    fn unavailable(name: &str, errors: &CatalogErrors) -> Self {
        const REASON_CHARS_MAX: usize = 4_000;
        Self {
            name: name.to_owned(),
            available: false,
            unavailable_reason: Some(errors.to_string().chars().take(REASON_CHARS_MAX).collect()),
            title: name.to_owned(),
            category: String::new(),
            version: String::new(),
            settings: vec![],
            credential: vec![],
            setup: String::new(),
            reads: vec![],
            writes: vec![],
        }
    }
}

/// A tenant's own account at a connector.
#[derive(SimpleObject)]
#[graphql(name = "Connection", complex)]
pub struct ConnectionNode {
    id: ID,
    name: String,
    /// active or paused.
    state: String,
    /// The connector's name.
    connector: String,
    settings: Json<serde_json::Value>,
    /// Percent of its limits that are kept for other applications of the same account; null where the connector says how many.
    reserve_pct: Option<i32>,
    created_at: DateTime<Utc>,
    #[graphql(skip)]
    row: ConnectionId,
    #[graphql(skip)]
    hook_token: String,
}

impl From<connection::Model> for ConnectionNode {
    fn from(row: connection::Model) -> Self {
        Self {
            id: id::<ConnectionId>(row.id),
            name: row.name,
            state: row.state,
            connector: row.connector,
            settings: Json(row.settings),
            reserve_pct: row.reserve_pct,
            created_at: row.created_at,
            row: ConnectionId(row.id),
            hook_token: row.hook_token,
        }
    }
}

#[ComplexObject]
impl ConnectionNode {
    /// Where the vendor sends its hooks; null for a connector that has none. It is no secret: what comes there is taken only with the proof that its connector
    /// demands, which is made by a secret of the connection, and is refused without.
    async fn hook_url(&self, ctx: &Context<'_>) -> Option<String> {
        let state = state(ctx);
        state.catalog.get(&self.connector)?.manifest.webhooks.as_ref()?;
        Some(format!("{}/hooks/{}", state.public_url, self.hook_token))
    }

    /// Whether deliveries to it get through and things come from it: healthy; refused, where its credential must be replaced; failing, where an
    /// operation fails and what belongs to it is held, or it does not answer when it is asked; silent, where nothing comes that usually does; or expiring,
    /// where what it needs ends within 30 days.
    #[graphql(complexity = "20")]
    async fn health(&self, ctx: &Context<'_>) -> Result<&'static str> {
        let incidents = super::incident::open_of(ctx, self.row.0).await?;
        let is = |of: fn(&super::incident::IncidentNode) -> bool| incidents.iter().any(of);
        if is(super::incident::IncidentNode::is_credential) {
            return Ok("refused");
        }
        if is(super::incident::IncidentNode::is_outage) || is(super::incident::IncidentNode::is_probe) {
            return Ok("failing");
        }
        if is(super::incident::IncidentNode::is_silence) {
            return Ok("silent");
        }
        Ok(if is(super::incident::IncidentNode::is_expiry) { "expiring" } else { "healthy" })
    }

    /// What keeps deliveries to it from getting through now, and its alarms; newest first, at most 100.
    #[graphql(complexity = "cost(Some(10), child_complexity)")]
    async fn incidents(&self, ctx: &Context<'_>) -> Result<Vec<super::incident::IncidentNode>> {
        super::incident::open_of(ctx, self.row.0).await
    }

    /// How many calls it may make, bucket by bucket of the vendor, and how that stands now: why something waits.
    #[graphql(complexity = "20 + 2 * child_complexity")]
    async fn budget(&self, ctx: &Context<'_>) -> Result<Vec<super::budget::BudgetNode>> {
        reads(ctx)?;
        let Some(connector) = state(ctx).catalog.get(&self.connector) else { return Ok(vec![]) };
        let reserve_pct = self.reserve_pct.and_then(|percent| percent.try_into().ok());
        Ok(super::budget::of(&state(ctx).limiter, self.row, connector, &self.settings.0, reserve_pct).await)
    }

    /// The webhooks that are kept registered at the vendor, by what published flows read; at most 100. None where a person registers them.
    #[graphql(complexity = "cost(Some(10), child_complexity)")]
    async fn subscriptions(&self, ctx: &Context<'_>) -> Result<Vec<super::subscription::SubscriptionNode>> {
        super::subscription::of_connection(ctx, self.row.0).await
    }

    /// When what is registered is compared with what is wanted; null where no published flow reads the connection.
    #[graphql(complexity = "10")]
    async fn subscription_check(&self, ctx: &Context<'_>) -> Result<Option<super::subscription::SubscriptionCheckNode>> {
        super::subscription::check_of(ctx, self.row.0).await
    }

    /// How the consent of a person at the vendor stands; null where the connector asks for none.
    #[graphql(complexity = "10 + child_complexity")]
    async fn consent(&self, ctx: &Context<'_>) -> Result<Option<ConsentNode>> {
        ConsentNode::of(ctx, self.row, &self.connector).await
    }

    /// The last characters of the credential: all that is ever shown of it.
    async fn credential_hint(&self, ctx: &Context<'_>) -> Result<Option<String>> {
        within(ctx, Permission::ReadOperations, async |store| store.credential_hint(self.row).await).await
    }
}

#[derive(InputObject)]
struct ConnectionCreateInput {
    /// The connector's name: `connectors` lists them.
    connector: String,
    /// At most 200 characters, unique in the tenant.
    name: String,
    /// The fields that the connector's `settings` declare, all of them text.
    settings: Json<serde_json::Value>,
    /// The secrets that the connector's `credential` declares, all of them text. Write only.
    credential: Json<std::collections::BTreeMap<String, String>>,
    /// When the first of the secrets ends, where the vendor said so: it is told of from 30 days before. A certificate tells itself.
    credential_ends_at: Option<DateTime<Utc>>,
}

#[derive(SimpleObject)]
struct ConnectionCreatePayload {
    connection: Option<ConnectionNode>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject)]
struct ConnectionUpdateInput {
    /// At most 200 characters, unique in the tenant; without it the name stays.
    name: Option<String>,
    /// All the fields that the connector's `settings` declare, in the place of those before; without it they stay. At most 16 KiB each.
    settings: Option<Json<serde_json::Value>>,
}

#[derive(SimpleObject)]
pub struct ConnectionPayload {
    connection: Option<ConnectionNode>,
    user_errors: Vec<UserError>,
}

impl ConnectionPayload {
    pub fn refused(user_errors: Vec<UserError>) -> Self {
        Self { connection: None, user_errors }
    }

    /// The connection as it stands after the change; an error at `field` where there is none.
    pub fn of(field: &str, row: Option<connection::Model>) -> Self {
        match row {
            Some(row) => Self { connection: Some(row.into()), user_errors: vec![] },
            None => Self::refused(vec![not_found(field)]),
        }
    }
}

fn not_found(field: &str) -> UserError {
    UserError::new(field, UserErrorCode::NotFound, "there is no such connection")
}

#[derive(Default)]
pub struct ConnectionQuery;

#[Object]
impl ConnectionQuery {
    /// All connectors of this installation, by name; those whose files are broken too, with what is wrong.
    async fn connectors(&self, ctx: &Context<'_>) -> Result<Vec<ConnectorNode>> {
        reads(ctx)?;
        Ok(ConnectorNode::all(state(ctx).catalog))
    }

    async fn connection(&self, ctx: &Context<'_>, id: ID) -> Result<Option<ConnectionNode>> {
        let Some(id) = uuid::<ConnectionId>(&id) else { return Ok(None) };
        let row = within(ctx, Permission::ReadOperations, async |store| store.find::<connection::Entity>(id).await).await?;
        Ok(row.map(ConnectionNode::from))
    }

    /// Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn connections(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, ConnectionNode, EmptyFields, EmptyFields>> {
        page::<connection::Entity, _>(ctx, Permission::ReadOperations, first, after, |s| s, |row| (row.id, row.into())).await
    }
}

#[derive(Default)]
pub struct ConnectionMutation;

#[Object]
impl ConnectionMutation {
    /// A new connection with its credential.
    async fn connection_create(&self, ctx: &Context<'_>, input: ConnectionCreateInput) -> Result<ConnectionCreatePayload> {
        scope(ctx, Permission::Configure)?;
        let refuse = |user_errors| Ok(ConnectionCreatePayload { connection: None, user_errors });
        let connector = match state(ctx).catalog.find(&input.connector) {
            Some(Ok(connector)) => connector,
            Some(Err(errors)) => {
                let message = format!("the connector \"{}\" cannot be used: {errors}", input.connector);
                return refuse(vec![UserError::new("connector", UserErrorCode::Invalid, message)]);
            }
            None => {
                let message = format!("there is no connector \"{}\"", input.connector);
                return refuse(vec![UserError::new("connector", UserErrorCode::NotFound, message)]);
            }
        };
        let credential: SecretFields =
            input.credential.0.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect();
        let mut user_errors = Vec::new();
        user_errors.extend(name_error(&input.name));
        user_errors.extend(form_errors("settings", connector.check_settings(&input.settings.0)));
        user_errors.extend(drop_folder_error(ctx, connector, &input.settings.0)?);
        user_errors.extend(form_errors("credential", connector.check_credential(&credential)));
        if !user_errors.is_empty() {
            return refuse(user_errors);
        }
        let (token, _) = new_token();
        let vault = &state(ctx).vault;
        let ends = connector.credential_ends(&credential, input.credential_ends_at, Utc::now());
        let credential = NewCredential { fields: &credential, ends };
        let made = within(ctx, Permission::Configure, async |store| {
            let made =
                store.connection_create(vault, connector.name(), &input.name, &input.settings.0, &credential, &token).await?;
            match made {
                Some(id) => store.find::<connection::Entity>(id.0).await,
                None => Ok(None),
            }
        });
        match made.await? {
            Some(row) => {
                // The end of the version that it calls may be known already.
                state(ctx).sunsets.note(TenantId(row.tenant_id), ConnectionId(row.id), connector.sunset_by_date());
                Ok(ConnectionCreatePayload { connection: Some(row.into()), user_errors: vec![] })
            }
            None => refuse(vec![UserError::new("name", UserErrorCode::Taken, format!("the name \"{}\" is taken", input.name))]),
        }
    }
    /// Changes the name, the settings or both. Work under way finishes with the settings it began with; hooks follow within 5 seconds.
    async fn connection_update(&self, ctx: &Context<'_>, id: ID, input: ConnectionUpdateInput) -> Result<ConnectionPayload> {
        let (row, connector) = match find(ctx, "id", &id).await? {
            Ok(found) => found,
            Err(error) => return Ok(ConnectionPayload::refused(vec![error])),
        };
        let (name, settings) = (input.name, input.settings.map(|Json(settings)| settings));
        let mut user_errors = Vec::new();
        if name.is_none() && settings.is_none() {
            user_errors.push(UserError::new("input", UserErrorCode::Required, "say what changes: the name or the settings"));
        }
        user_errors.extend(name.as_deref().and_then(name_error));
        user_errors.extend(settings.as_ref().into_iter().flat_map(|s| form_errors("settings", connector.check_settings(s))));
        if let Some(settings) = &settings {
            user_errors.extend(drop_folder_error(ctx, connector, settings)?);
        }
        if !user_errors.is_empty() {
            return Ok(ConnectionPayload::refused(user_errors));
        }
        let changed = within(ctx, Permission::Configure, async |store| {
            let changed = store.connection_update(ConnectionId(row.id), name.as_deref(), settings.as_ref()).await?;
            Ok((changed, store.find::<connection::Entity>(row.id).await?))
        });
        Ok(match changed.await? {
            (Changed::Taken, _) => {
                let message = format!("the name \"{}\" is taken", name.unwrap_or_default());
                ConnectionPayload::refused(vec![UserError::new("name", UserErrorCode::Taken, message)])
            }
            (Changed::Done | Changed::NotFound, row) => ConnectionPayload::of("id", row),
        })
    }

    /// Keeps so many percent of the connection's limits, 0 to 90, for other applications of the same account; without a number the connector says
    /// how many. Calls follow with the next batch.
    async fn connection_reserve_set(&self, ctx: &Context<'_>, id: ID, reserve_pct: Option<u32>) -> Result<ConnectionPayload> {
        scope(ctx, Permission::Configure)?;
        if reserve_pct.is_some_and(|percent| percent > RESERVE_PCT_MAX) {
            let message = format!("a reserve is 0 to {RESERVE_PCT_MAX} percent");
            return Ok(ConnectionPayload::refused(vec![UserError::new("reservePct", UserErrorCode::Invalid, message)]));
        }
        let Some(id) = uuid::<ConnectionId>(&id) else { return Ok(ConnectionPayload::of("id", None)) };
        let row = within(ctx, Permission::Configure, async |store| {
            store.connection_reserve_set(ConnectionId(id), reserve_pct).await?;
            store.find::<connection::Entity>(id).await
        });
        Ok(ConnectionPayload::of("id", row.await?))
    }

    /// Stores a new version of the credential and retires the one before, at once. All the secrets that the connector's `credential`
    /// declares are given anew, all of them text of at most 16 KiB. Hooks are verified with the new one within 5 seconds. `endsAt` is when the first of them
    /// ends, where the vendor said so: it is told of from 30 days before.
    async fn credential_replace(
        &self,
        ctx: &Context<'_>,
        connection_id: ID,
        credential: Json<std::collections::BTreeMap<String, String>>,
        ends_at: Option<DateTime<Utc>>,
    ) -> Result<ConnectionPayload> {
        let (row, connector) = match find(ctx, "connectionId", &connection_id).await? {
            Ok(found) => found,
            Err(error) => return Ok(ConnectionPayload::refused(vec![error])),
        };
        let credential: SecretFields = credential.0.into_iter().map(|(name, value)| (name, SecretString::from(value))).collect();
        let user_errors = form_errors("credential", connector.check_credential(&credential));
        if !user_errors.is_empty() {
            return Ok(ConnectionPayload::refused(user_errors));
        }
        let vault = &state(ctx).vault;
        let ends = connector.credential_ends(&credential, ends_at, Utc::now());
        let credential = NewCredential { fields: &credential, ends };
        let id = ConnectionId(row.id);
        let replaced = within(ctx, Permission::Configure, async |store| {
            // What a person consented to was given to the client, whatever its secret is.
            let before = store.connection_rows(&[id.0]).await?.pop().and_then(|row| row.credential);
            let keeps_consent = match before.filter(|_| connector.needs_consent()) {
                Some(before) => connector.keeps_consent(&store.credential_open(vault, before).await?, credential.fields),
                None => false,
            };
            let replaced = store.credential_replace(vault, id, &credential, keeps_consent).await?;
            Ok((replaced, store.find::<connection::Entity>(id.0).await?))
        });
        Ok(match replaced.await? {
            (Replaced::Busy, _) => {
                let message = "a new access token is asked for at this moment; try again in a few seconds";
                ConnectionPayload::refused(vec![UserError::new("connectionId", UserErrorCode::Changed, message)])
            }
            (Replaced::NotFound, _) => ConnectionPayload::of("connectionId", None),
            (Replaced::Done, row) => ConnectionPayload::of("connectionId", row),
        })
    }

    /// Pauses a connection: its hooks are answered 503 within 5 seconds, so that the vendor keeps them and sends them again, and nothing
    /// more is sent to it: its deliveries stay planned until it is resumed.
    async fn connection_pause(&self, ctx: &Context<'_>, id: ID) -> Result<ConnectionPayload> {
        set_state(ctx, &id, ConnectionState::Paused).await
    }

    /// Says that a connection works again, after it was mended at the vendor: what its incidents hold is tried at once instead of at the next
    /// try. A new credential and new settings do the same by themselves.
    async fn connection_reconnected(&self, ctx: &Context<'_>, id: ID) -> Result<ConnectionPayload> {
        scope(ctx, Permission::Configure)?;
        let Some(id) = uuid::<ConnectionId>(&id) else { return Ok(ConnectionPayload::of("id", None)) };
        let row = within(ctx, Permission::Configure, async |store| {
            store.connection_reconnected(ConnectionId(id)).await?;
            store.find::<connection::Entity>(id).await
        });
        Ok(ConnectionPayload::of("id", row.await?))
    }

    /// Resumes a connection that was paused, within 5 seconds.
    async fn connection_resume(&self, ctx: &Context<'_>, id: ID) -> Result<ConnectionPayload> {
        set_state(ctx, &id, ConnectionState::Active).await
    }
}

/// The connection to change and its connector.
pub async fn find(ctx: &Context<'_>, field: &str, id: &ID) -> Result<Result<(connection::Model, &'static Connector), UserError>> {
    scope(ctx, Permission::Configure)?;
    let Some(id) = uuid::<ConnectionId>(id) else { return Ok(Err(not_found(field))) };
    let row = within(ctx, Permission::Configure, async |store| store.find::<connection::Entity>(id).await).await?;
    let Some(row) = row else { return Ok(Err(not_found(field))) };
    Ok(match state(ctx).catalog.get(&row.connector) {
        Some(connector) => Ok((row, connector)),
        None => Err(UserError::new(field, UserErrorCode::NotFound, "its connector is not part of this installation")),
    })
}

async fn set_state(ctx: &Context<'_>, id: &ID, state: ConnectionState) -> Result<ConnectionPayload> {
    scope(ctx, Permission::Configure)?;
    let Some(id) = uuid::<ConnectionId>(id) else { return Ok(ConnectionPayload::of("id", None)) };
    let row = within(ctx, Permission::Configure, async |store| {
        store.connection_state_set(ConnectionId(id), state).await?;
        store.find::<connection::Entity>(id).await
    });
    Ok(ConnectionPayload::of("id", row.await?))
}

fn name_error(name: &str) -> Option<UserError> {
    let fits = (1..=200).contains(&name.chars().count());
    (!fits).then(|| UserError::new("name", UserErrorCode::Invalid, "a name has 1 to 200 characters"))
}

/// A folder of this machine is somebody's: which tenant's, the operator says.
fn drop_folder_error(ctx: &Context<'_>, connector: &Connector, settings: &serde_json::Value) -> Result<Option<UserError>> {
    let tenant = scope(ctx, Permission::Configure)?.tenant;
    let credential = SecretFields::default();
    let address = connector.base_url(&RequestContext::new(settings, &credential, Utc::now(), ""));
    let refused = address.ok().and_then(|url| state(ctx).drop_folders.refuses(tenant, &url));
    Ok(refused.map(|why| UserError::new("settings.base_url", UserErrorCode::Blocked, why)))
}

pub fn form_errors(form: &str, checked: Result<(), Vec<FieldError>>) -> Vec<UserError> {
    let error = |error: FieldError| UserError::new(&format!("{form}.{}", error.field), UserErrorCode::Invalid, error.message);
    checked.err().into_iter().flatten().map(error).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_connector_is_listed_with_its_error_beside_those_that_work() {
        let folder = std::env::temp_dir().join(uuid::Uuid::new_v4().to_string());
        let good = "{format: 1, name: good, title: Good, category: erp, base_url: 'https://x.example'}";
        for (name, manifest) in [("bad", "format: 1\nname: bad\ntitel: Bad\n"), ("good", good)] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
            std::fs::write(folder.join(name).join("connector.yaml"), manifest).unwrap();
        }
        std::fs::create_dir_all(folder.join("empty")).unwrap();
        let catalog = Catalog::open(&folder).unwrap();
        let listed = ConnectorNode::all(&catalog);
        std::fs::remove_dir_all(&folder).unwrap();
        let available: Vec<(&str, bool)> = listed.iter().map(|node| (node.name.as_str(), node.available)).collect();
        assert_eq!(available, [("bad", false), ("empty", false), ("good", true)]);
        let reason = |at: usize| listed[at].unavailable_reason.as_deref().unwrap_or_default();
        assert!(reason(0).starts_with("bad/connector.yaml:3:") && reason(0).contains("title"), "{}", reason(0));
        assert_eq!((reason(1), reason(2)), ("empty/connector.yaml: the file is missing", ""));
    }
}
