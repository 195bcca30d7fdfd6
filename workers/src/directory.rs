//! What workers keep in memory between batches: opened credentials, compiled mappings and filters, lookup tables.
//! Each is kept under an id or version that changes with its content, so nothing here can be out of date.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use chrono::Utc;
use connectors::flow::FlowPlan;
use connectors::{Connector, ConnectorHash, RequestContext};
use domain::fault::{Fault, FaultClass};
use domain::id::{CredentialId, FlowVersionId, LookupTableId, RecipeId, TenantId};
use domain::mapping::{Filter, MappingErrors, Plan, Rules};
use domain::recipe::{Recipe, RecipeTable};
use domain::record::RecordKind;
use domain::scope::Scope;
use domain::secret::{Redactor, SecretFields};
use domain::value::Value;
use infra::lookup::{Entries, Tables};
use infra::postgres::StoreError;
use infra::postgres::ledger::{ConnectionRow, TableVersion};
use infra::postgres::receive::PublishedFlow;
use infra::vault::KeyHasher;
use tracing::warn;

use crate::Context;
use crate::drift::Holds;
use crate::token::{Account, Token, TokenError, Tokens};

/// Entries of each cache; when full it starts anew.
const ENTRIES_MAX: usize = 2_000;
/// Bytes of all lookup tables that are kept.
const TABLE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// An opened credential, and what takes it out of every text that is kept.
pub struct Credential {
    /// None where the connection has none.
    pub id: Option<CredentialId>,
    pub fields: SecretFields,
    redactor: Redactor,
}

impl Credential {
    fn new(id: Option<CredentialId>, fields: SecretFields) -> Arc<Self> {
        Arc::new(Self { id, redactor: Redactor::new(&fields), fields })
    }
}

/// How an account is called: its credential, and the token where the vendor wants one.
pub struct Access {
    pub credential: Arc<Credential>,
    pub token: Option<Arc<Token>>,
}

impl Access {
    /// What a request says of this account.
    pub fn context<'a>(&'a self, settings: &'a serde_json::Value, nonce: &'a str) -> RequestContext<'a> {
        RequestContext {
            token: self.token.as_ref().map(|token| &token.set),
            ..RequestContext::new(settings, &self.credential.fields, Utc::now(), nonce)
        }
    }

    /// The text without anything secret of this account.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let redacted = self.credential.redactor.redact(text);
        match &self.token {
            None => redacted,
            Some(token) => match redacted {
                Cow::Borrowed(text) => token.redactor.redact(text),
                Cow::Owned(text) => Cow::Owned(token.redactor.redact(&text).into_owned()),
            },
        }
    }

    /// A fault that an answer to this account tells of, without anything secret. Where it says that the token is over, nobody uses it again.
    pub fn told(&self, fault: Fault) -> Fault {
        let fault = fault.redacted(&self.credential.redactor);
        let Some(token) = &self.token else { return fault };
        if fault.class == FaultClass::Authentication {
            token.refuse();
        }
        fault.redacted(&token.redactor)
    }

    /// A token that the vendor ended early is renewed: the first refusal is tried again at once, a second one is a person's.
    pub fn renewable(&self, fault: Fault, failures: i32) -> Fault {
        if self.token.is_some() && failures == 0 && fault.class == FaultClass::Authentication {
            return Fault { class: FaultClass::Retry, retry_after_ms: Some(0), ..fault };
        }
        fault
    }
}

pub struct Directory {
    context: Arc<Context>,
    tokens: Tokens,
    credentials: Mutex<HashMap<CredentialId, Arc<Credential>>>,
    flows: Mutex<HashMap<FlowVersionId, Arc<FlowPlan>>>,
    filters: Mutex<HashMap<FlowVersionId, Option<Arc<Filter>>>>,
    /// How sources are read under the rules of these flow versions.
    readings: Mutex<HashMap<Vec<FlowVersionId>, Arc<Plan>>>,
    tables: Mutex<TableCache>,
    /// Recipes that are written down, and the connectors in them.
    recipes: Mutex<HashMap<(TenantId, RecipeId), ()>>,
    connectors: Mutex<HashMap<ConnectorHash, ()>>,
    hashers: Mutex<HashMap<TenantId, KeyHasher>>,
    /// The tenants whose share of the workers' time is not 1.
    weights: Mutex<HashMap<TenantId, u16>>,
    pub holds: Holds,
}

/// Tables by the version they were read at, and what they take of memory together.
#[derive(Default)]
struct TableCache {
    tables: HashMap<LookupTableId, (i64, Arc<Entries>)>,
    bytes: usize,
}

impl TableCache {
    fn keep(&mut self, id: LookupTableId, version: i64, entries: Arc<Entries>) {
        if self.tables.len() >= ENTRIES_MAX || self.bytes + entries.bytes() > TABLE_BYTES_MAX {
            *self = Self::default();
        }
        self.bytes += entries.bytes();
        if let Some((_, old)) = self.tables.insert(id, (version, entries)) {
            self.bytes -= old.bytes();
        }
    }
}

impl Directory {
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            tokens: Tokens::new(context.clone()),
            context,
            credentials: Mutex::default(),
            flows: Mutex::default(),
            filters: Mutex::default(),
            readings: Mutex::default(),
            tables: Mutex::default(),
            recipes: Mutex::default(),
            connectors: Mutex::default(),
            hashers: Mutex::default(),
            weights: Mutex::default(),
            holds: Holds::default(),
        }
    }

    /// Waits until tokens that vendors gave are stored.
    pub async fn settle(&self) {
        self.tokens.settle().await;
    }

    /// A tenant's share of the workers' time beside a tenant of weight 1.
    pub fn weight(&self, tenant: TenantId) -> u16 {
        self.weights.lock().expect("no code panics while it holds the weights").get(&tenant).copied().unwrap_or(1)
    }

    pub fn set_weights(&self, weights: HashMap<TenantId, u16>) {
        *self.weights.lock().expect("no code panics while it holds the weights") = weights;
    }

    /// How an account is called; and why it cannot be, where the vendor gives no token.
    ///
    /// # Errors
    /// Where the database does not answer, or the credential does not open.
    pub async fn access(
        &self,
        scope: &Scope,
        connection: &ConnectionRow,
        connector: &'static Connector,
    ) -> Result<(Access, Option<Fault>), StoreError> {
        let credential = self.credential(scope, connection).await?;
        let bare = |credential| Access { credential, token: None };
        let Some(id) = credential.id.filter(|_| connector.needs_token(None, Utc::now())) else {
            return Ok((bare(credential), None));
        };
        let account = Account { connector, credential: id, fields: &credential.fields, settings: &connection.settings };
        match self.tokens.token(scope, &account).await {
            Ok(token) => Ok((Access { token: Some(token), credential }, None)),
            Err(TokenError::Fault(fault)) => Ok((bare(credential), Some(fault))),
            Err(TokenError::Store(error)) => Err(error),
        }
    }

    async fn credential(&self, scope: &Scope, connection: &ConnectionRow) -> Result<Arc<Credential>, StoreError> {
        let Some(id) = connection.credential else { return Ok(Credential::new(None, SecretFields::default())) };
        if let Some(credential) = lock(&self.credentials).get(&id) {
            return Ok(credential.clone());
        }
        let fields = self.context.store.within(scope).credential_open(&self.context.vault, id).await?;
        let credential = Credential::new(Some(id), fields);
        keep(&self.credentials, id, credential.clone());
        Ok(credential)
    }

    /// The flow versions of a batch, compiled.
    pub async fn flows(
        &self,
        scope: &Scope,
        needed: &HashMap<FlowVersionId, (RecordKind, &Connector)>,
    ) -> Result<HashMap<FlowVersionId, Arc<FlowPlan>>, StoreError> {
        let mut flows: HashMap<FlowVersionId, Arc<FlowPlan>> = HashMap::with_capacity(needed.len());
        {
            let kept = lock(&self.flows);
            flows.extend(needed.keys().filter_map(|id| Some((*id, kept.get(id)?.clone()))));
        }
        let missing: Vec<uuid::Uuid> = needed.keys().filter(|id| !flows.contains_key(id)).map(|id| id.0).collect();
        if missing.is_empty() {
            return Ok(flows);
        }
        for row in self.context.store.within(scope).flow_version_rows(&missing).await? {
            let Some((kind, connector)) = needed.get(&row.id) else { continue };
            let corrupt = |errors: MappingErrors| StoreError::Corrupt {
                what: "the mapping",
                id: row.id.to_string(),
                why: errors.to_string(),
            };
            let flow = Arc::new(FlowPlan::of(&row.spec, *kind, connector).map_err(corrupt)?);
            keep(&self.flows, row.id, flow.clone());
            flows.insert(row.id, flow);
        }
        Ok(flows)
    }

    /// How a source is read under the rules of the flows that start there; `None` where none of them has any.
    ///
    /// # Errors
    /// All that is wrong with the rules together.
    pub fn reading(
        &self,
        connector: &Connector,
        kind: RecordKind,
        flows: &[&PublishedFlow],
    ) -> Result<Option<Arc<Plan>>, MappingErrors> {
        if flows.is_empty() {
            return Ok(None);
        }
        let mut versions: Vec<FlowVersionId> = flows.iter().map(|flow| flow.version).collect();
        versions.sort_unstable();
        if let Some(plan) = lock(&self.readings).get(&versions) {
            return Ok(Some(plan.clone()));
        }
        let overlays: Vec<Rules> = flows.iter().map(|flow| flow.source_mapping.clone()).collect();
        let Some(plan) = connectors::flow::reading(connector, kind, &overlays)?.map(Arc::new) else { return Ok(None) };
        keep(&self.readings, versions, plan.clone());
        Ok(Some(plan))
    }

    /// Writes a recipe down before anything is made with it, once.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn recipe(&self, scope: &Scope, connector: &Connector, recipe: &Recipe) -> Result<RecipeId, StoreError> {
        if !lock(&self.connectors).contains_key(&connector.hash()) {
            self.context.store.connector_keep(connector).await?;
            keep(&self.connectors, connector.hash(), ());
        }
        let id = recipe.id();
        if !lock(&self.recipes).contains_key(&(scope.tenant, id)) {
            self.context.store.within(scope).recipe_keep(recipe).await?;
            keep(&self.recipes, (scope.tenant, id), ());
        }
        Ok(id)
    }

    /// What hashes the addresses that a tenant's records are found by.
    pub async fn key_hasher(&self, scope: &Scope) -> Result<KeyHasher, StoreError> {
        if let Some(hasher) = lock(&self.hashers).get(&scope.tenant) {
            return Ok(hasher.clone());
        }
        let hasher = self.context.store.within(scope).key_hasher(&self.context.vault).await?;
        keep(&self.hashers, scope.tenant, hasher.clone());
        Ok(hasher)
    }

    /// True where the flow takes this record. A filter was checked when the flow was saved; one that fails on a record lets it through,
    /// because a delivery too many is seen and one too few is not.
    pub fn filter_passes(&self, flow: &PublishedFlow, document: &Value) -> bool {
        let Some(text) = &flow.filter else { return true };
        let kept = lock(&self.filters).get(&flow.version).cloned();
        let filter = kept.unwrap_or_else(|| {
            let filter = Filter::compile(text)
                .inspect_err(|error| warn!(flow.id = %flow.flow, %error, "A filter cannot be read"))
                .ok()
                .map(Arc::new);
            keep(&self.filters, flow.version, filter.clone());
            filter
        });
        filter.is_none_or(|filter| filter.passes(document).unwrap_or(true))
    }

    /// The tenant's lookup tables that the plans of a batch read, as they were when it was loaded.
    pub async fn tables(&self, scope: &Scope, versions: &[TableVersion], read: &HashSet<&str>) -> Result<Tables, StoreError> {
        let needed = || versions.iter().filter(|(_, name, _)| read.contains(name.as_str()));
        let mut tables = Tables::new();
        let mut missing = Vec::new();
        {
            let kept = self.tables.lock().expect("no code panics while it holds a cache");
            for (id, name, version) in needed() {
                match kept.tables.get(id).filter(|(kept, _)| kept == version) {
                    Some((_, entries)) => {
                        tables.insert(name.clone(), entries.clone());
                    }
                    None => missing.push((*id, *version)),
                }
            }
        }
        if missing.is_empty() {
            return Ok(tables);
        }
        for row in self.context.store.within(scope).lookup_tables_at(&missing).await? {
            let (id, version, name) = (row.id, row.version, row.name.clone());
            let entries = Arc::new(Entries::from(row));
            self.tables.lock().expect("no code panics while it holds a cache").keep(id, version, entries.clone());
            tables.insert(name, entries);
        }
        Ok(tables)
    }
}

/// The tables that a plan looks into, as they are now.
pub fn looked_into(plan: &Plan, versions: &[TableVersion]) -> Vec<RecipeTable> {
    let used = versions.iter().filter(|(_, name, _)| plan.tables().contains(name));
    let mut tables: Vec<RecipeTable> =
        used.map(|(id, name, version)| RecipeTable { name: name.clone(), id: *id, version: *version }).collect();
    tables.sort_unstable();
    tables
}

fn lock<K, V>(cache: &Mutex<HashMap<K, V>>) -> std::sync::MutexGuard<'_, HashMap<K, V>> {
    cache.lock().expect("no code panics while it holds a cache")
}

fn keep<K: std::hash::Hash + Eq, V>(cache: &Mutex<HashMap<K, V>>, key: K, value: V) {
    let mut cache = lock(cache);
    if cache.len() >= ENTRIES_MAX {
        cache.clear();
    }
    cache.insert(key, value);
}
