//! What workers keep in memory between batches: opened credentials, compiled mappings and filters, lookup tables.
//! Each is kept under an id or version that changes with its content, so nothing here can be out of date.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use connectors::Connector;
use domain::id::{ConnectionId, CredentialId, FlowVersionId, LookupTableId};
use domain::mapping::{Filter, LookupSet, Lookups, Plan, Rules};
use domain::record::RecordKind;
use domain::scope::Scope;
use domain::secret::{Redactor, SecretFields};
use domain::value::Value;
use infra::postgres::StoreError;
use infra::postgres::ledger::{ConnectionRow, Load};
use infra::postgres::receive::PublishedFlow;
use tracing::warn;

use crate::Context;

/// Entries of each cache; when full it starts anew.
const ENTRIES_MAX: usize = 2_000;

/// An opened credential, and what takes it out of every text that is kept.
pub struct Credential {
    pub fields: SecretFields,
    pub redactor: Redactor,
}

impl From<SecretFields> for Credential {
    fn from(fields: SecretFields) -> Self {
        Self { redactor: Redactor::new(&fields), fields }
    }
}

/// A flow version, ready to run.
pub struct CompiledFlow {
    pub policy: domain::delivery::Policy,
    /// The tenant's own rules laid over the connector's; `None` where the tenant has none.
    pub overlay: Option<Plan>,
}

/// A lookup table's entries.
pub type Entries = HashMap<String, String>;

pub struct Directory {
    context: Arc<Context>,
    credentials: Mutex<HashMap<CredentialId, Arc<Credential>>>,
    flows: Mutex<HashMap<FlowVersionId, Arc<CompiledFlow>>>,
    filters: Mutex<HashMap<FlowVersionId, Option<Arc<Filter>>>>,
    tables: Mutex<HashMap<LookupTableId, (i64, Arc<Entries>)>>,
}

/// The tenant's lookup tables before the connector's own.
pub struct TenantLookups<'a> {
    tables: &'a HashMap<String, Arc<Entries>>,
    connector: &'a LookupSet,
}

impl<'a> TenantLookups<'a> {
    pub fn new(tables: &'a HashMap<String, Arc<Entries>>, connector: &'a LookupSet) -> Self {
        Self { tables, connector }
    }
}

impl Lookups for TenantLookups<'_> {
    fn find(&self, table: &str, key: &str) -> Option<&str> {
        match self.tables.get(table) {
            Some(entries) => entries.get(key).map(String::as_str),
            None => self.connector.find(table, key),
        }
    }

    fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table) || self.connector.has_table(table)
    }
}

impl Directory {
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            credentials: Mutex::default(),
            flows: Mutex::default(),
            filters: Mutex::default(),
            tables: Mutex::default(),
        }
    }

    /// The active credential of a connection; empty where it has none.
    pub async fn credential(&self, scope: &Scope, connection: ConnectionId) -> Result<Arc<Credential>, StoreError> {
        let rows = self.context.store.within(scope).connection_rows(&[connection.0]).await?;
        match rows.first() {
            Some(row) => self.credential_of(scope, row).await,
            None => Ok(Arc::new(SecretFields::default().into())),
        }
    }

    pub async fn credential_of(&self, scope: &Scope, connection: &ConnectionRow) -> Result<Arc<Credential>, StoreError> {
        let Some(id) = connection.credential else { return Ok(Arc::new(SecretFields::default().into())) };
        if let Some(fields) = lock(&self.credentials).get(&id) {
            return Ok(fields.clone());
        }
        let fields = self.context.store.within(scope).credential_open(&self.context.vault, id).await?;
        let credential = Arc::new(Credential::from(fields));
        keep(&self.credentials, id, credential.clone());
        Ok(credential)
    }

    /// The flow versions of a batch, compiled.
    pub async fn flows(
        &self,
        scope: &Scope,
        needed: &HashMap<FlowVersionId, (RecordKind, &Connector)>,
    ) -> Result<HashMap<FlowVersionId, Arc<CompiledFlow>>, StoreError> {
        let mut flows: HashMap<FlowVersionId, Arc<CompiledFlow>> = HashMap::with_capacity(needed.len());
        {
            let kept = lock(&self.flows);
            flows.extend(needed.keys().filter_map(|id| Some((*id, kept.get(id)?.clone()))));
        }
        let missing: Vec<uuid::Uuid> = needed.keys().filter(|id| !flows.contains_key(id)).map(|id| id.0).collect();
        if missing.is_empty() {
            return Ok(flows);
        }
        for row in self.context.store.within(scope).flow_version_rows(&missing).await? {
            let corrupt = |what: &'static str, why: String| StoreError::Corrupt { what, id: row.id.to_string(), why };
            let policy = serde_json::from_value(row.policy).map_err(|error| corrupt("the policy", error.to_string()))?;
            let rules: Rules = serde_json::from_value(row.mapping).map_err(|error| corrupt("the mapping", error.to_string()))?;
            let overlay = match needed.get(&row.id) {
                Some((kind, connector)) if !rules.is_empty() => {
                    let base = connector.write_rules(*kind).cloned().unwrap_or_default();
                    Some(Plan::compile(&base.overlaid(rules)).map_err(|errors| corrupt("the mapping", errors.to_string()))?)
                }
                _ => None,
            };
            let flow = Arc::new(CompiledFlow { policy, overlay });
            keep(&self.flows, row.id, flow.clone());
            flows.insert(row.id, flow);
        }
        Ok(flows)
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

    /// The tenant's lookup tables by name, as they were when the batch was loaded.
    pub async fn tables(&self, scope: &Scope, load: &Load) -> Result<HashMap<String, Arc<Entries>>, StoreError> {
        let mut tables = HashMap::with_capacity(load.tables.len());
        for (id, name, version) in &load.tables {
            let kept = lock(&self.tables).get(id).filter(|(kept, _)| kept == version).map(|(_, entries)| entries.clone());
            let entries = match kept {
                Some(entries) => entries,
                None => {
                    let entries: Entries = self.context.store.within(scope).lookup_entries(*id).await?.into_iter().collect();
                    let entries = Arc::new(entries);
                    keep(&self.tables, *id, (*version, entries.clone()));
                    entries
                }
            };
            tables.insert(name.clone(), entries);
        }
        Ok(tables)
    }
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
