//! What workers keep in memory between batches: opened credentials, compiled mappings and filters, lookup tables.
//! Each is kept under an id or version that changes with its content, so nothing here can be out of date.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use chrono::Utc;
use connectors::{Connector, RequestContext};
use domain::fault::{Fault, FaultClass};
use domain::id::{CredentialId, FlowVersionId, LookupTableId};
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
use crate::drift::Holds;
use crate::token::{Account, Token, TokenError, Tokens};

/// Entries of each cache; when full it starts anew.
const ENTRIES_MAX: usize = 2_000;

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
    tokens: Tokens,
    credentials: Mutex<HashMap<CredentialId, Arc<Credential>>>,
    flows: Mutex<HashMap<FlowVersionId, Arc<CompiledFlow>>>,
    filters: Mutex<HashMap<FlowVersionId, Option<Arc<Filter>>>>,
    tables: Mutex<HashMap<LookupTableId, (i64, Arc<Entries>)>>,
    pub holds: Holds,
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
            tokens: Tokens::new(context.clone()),
            context,
            credentials: Mutex::default(),
            flows: Mutex::default(),
            filters: Mutex::default(),
            tables: Mutex::default(),
            holds: Holds::default(),
        }
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
