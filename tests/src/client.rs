//! A partner's view of the platform: GraphQL over HTTP and nothing else.

use std::time::Duration;

use serde_json::{Value, json};

/// An HTTP client of ours; all of them use the same cryptography.
pub fn http() -> reqwest::ClientBuilder {
    // Fails only where it was chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tcp_nodelay(true)
}

/// What a call may fail with.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("no answer")]
    Http(#[from] reqwest::Error),
    #[error("the API refused: {0}")]
    Graphql(String),
}

/// The answers of a subscription, one after the other.
pub struct Told {
    answer: reqwest::Response,
    text: String,
}

impl Told {
    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// Where the stream breaks off, or says what is no event.
    pub async fn next(&mut self) -> Result<Option<Value>, ClientError> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(data) = event.strip_prefix("event: next\ndata: ") {
                    return serde_json::from_str(data)
                        .map(Some)
                        .map_err(|error| ClientError::Graphql(format!("{error}: {data}")));
                }
                if event.starts_with("event: complete") {
                    return Ok(None);
                }
                continue;
            }
            match self.answer.chunk().await? {
                Some(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                None => return Err(ClientError::Graphql("the stream broke off".to_owned())),
            }
        }
    }
}

/// A GraphQL client with a session and a tenant.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: Option<String>,
    tenant: Option<String>,
}

impl Client {
    #[must_use]
    pub fn new(url: &str) -> Self {
        let http = http().timeout(Duration::from_secs(15)).build().expect("a plain client can be made");
        Self { http, url: url.to_owned(), token: None, tenant: None }
    }

    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    /// The access token of its session.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    #[must_use]
    pub fn of_tenant(mut self, tenant: &str) -> Self {
        self.tenant = Some(tenant.to_owned());
        self
    }

    /// The whole answer, errors included.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn raw(&self, query: &str, variables: Value) -> Result<Value, ClientError> {
        Ok(self.post(query, variables).send().await?.json().await?)
    }

    /// As [`Self::raw`], with the cookies that the answer gives a browser.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn raw_with_cookies(&self, query: &str, variables: Value) -> Result<(Value, Vec<String>), ClientError> {
        let answer = self.post(query, variables).send().await?;
        let cookies = answer.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok().map(str::to_owned));
        let cookies = cookies.collect();
        Ok((answer.json().await?, cookies))
    }

    /// What a subscription tells from now on.
    ///
    /// # Errors
    /// Where no answer came, or none that is a stream.
    pub async fn subscribe(&self, query: &str) -> Result<Told, ClientError> {
        // A stream may be silent for longer than an answer.
        let request = self.post(query, json!({})).header("Accept", "text/event-stream").timeout(Duration::from_secs(120));
        let answer = request.send().await?.error_for_status()?;
        Ok(Told { answer, text: String::new() })
    }

    fn post(&self, query: &str, variables: Value) -> reqwest::RequestBuilder {
        let mut request = self.http.post(format!("{}/graphql", self.url)).json(&json!({"query": query, "variables": variables}));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(tenant) = &self.tenant {
            request = request.header("X-Crossdock-Tenant", tenant);
        }
        request
    }

    /// The data of an answer without errors, userErrors included in what counts as one.
    ///
    /// # Errors
    /// Where the API refused.
    pub async fn ask(&self, query: &str, variables: Value) -> Result<Value, ClientError> {
        let mut answer = self.raw(query, variables).await?;
        if let Some(errors) = answer.get("errors") {
            return Err(ClientError::Graphql(errors.to_string()));
        }
        let data = answer["data"].take();
        let refusals =
            data.as_object().into_iter().flat_map(|fields| fields.values()).filter_map(|payload| payload.get("userErrors"));
        if let Some(refusal) = refusals.into_iter().find(|errors| errors.as_array().is_some_and(|errors| !errors.is_empty())) {
            return Err(ClientError::Graphql(refusal.to_string()));
        }
        Ok(data)
    }

    /// Signs in and keeps the session.
    ///
    /// # Errors
    /// Where the API refused.
    pub async fn sign_in(self, email: &str, password: &str) -> Result<Self, ClientError> {
        let query = "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken refreshToken } userErrors { message } } }";
        let data = self.ask(query, json!({"i": {"email": email, "password": password}})).await?;
        let token = text(&data, "/sessionOpen/session/accessToken");
        Ok(self.with_token(&token))
    }

    /// # Errors
    /// Where the API refused.
    pub async fn tenant_create(&self, slug: &str) -> Result<String, ClientError> {
        let query = "mutation($i: TenantCreateInput!) { tenantCreate(input: $i) { tenant { id } userErrors { message } } }";
        let data = self.ask(query, json!({"i": {"slug": slug, "name": slug}})).await?;
        Ok(text(&data, "/tenantCreate/tenant/id"))
    }

    /// The connection's id and hook URL.
    ///
    /// # Errors
    /// Where the API refused.
    pub async fn connection_create(
        &self,
        connector: &str,
        name: &str,
        settings: Value,
        credential: Value,
    ) -> Result<(String, String), ClientError> {
        let query = "mutation($i: ConnectionCreateInput!) { connectionCreate(input: $i) { connection { id hookUrl } userErrors { field message } } }";
        let input = json!({"connector": connector, "name": name, "settings": settings, "credential": credential});
        let data = self.ask(query, json!({"i": input})).await?;
        Ok((text(&data, "/connectionCreate/connection/id"), text(&data, "/connectionCreate/connection/hookUrl")))
    }

    /// # Errors
    /// Where the API refused.
    pub async fn lookup_table_create(&self, name: &str, entries: &[(String, String)]) -> Result<String, ClientError> {
        let query = "mutation($n: String!) { lookupTableCreate(name: $n) { lookupTable { id } userErrors { message } } }";
        let data = self.ask(query, json!({"n": name})).await?;
        let id = text(&data, "/lookupTableCreate/lookupTable/id");
        self.lookup_entries_set(&id, entries).await?;
        Ok(id)
    }

    /// # Errors
    /// Where the API refused.
    pub async fn lookup_entries_set(&self, id: &str, entries: &[(String, String)]) -> Result<(), ClientError> {
        let query =
            "mutation($id: ID!, $e: [LookupEntryInput!]!) { lookupEntriesSet(id: $id, entries: $e) { userErrors { message } } }";
        let entries: Vec<Value> = entries.iter().map(|(from, to)| json!({"from": from, "to": to})).collect();
        self.ask(query, json!({"id": id, "e": entries})).await.map(|_| ())
    }

    /// A published flow.
    ///
    /// # Errors
    /// Where the API refused.
    pub async fn flow_publish(&self, name: &str, source: &str, destination: &str, policy: Value) -> Result<String, ClientError> {
        let query = "mutation($i: FlowCreateInput!) { flowCreate(input: $i) { flow { id } userErrors { field message } } }";
        let input =
            json!({"name": name, "recordKind": "order", "sourceId": source, "destinationId": destination, "policy": policy});
        let data = self.ask(query, json!({"i": input})).await?;
        let id = text(&data, "/flowCreate/flow/id");
        self.ask("mutation($id: ID!) { flowPublish(id: $id) { userErrors { message } } }", json!({"id": id})).await?;
        Ok(id)
    }

    /// How the ledger stands: counts of messages and deliveries by state, and duplicates.
    ///
    /// # Errors
    /// Where the API refused.
    pub async fn ledger(&self) -> Result<Ledger, ClientError> {
        let data = self.ask("{ ledger { messages { state count } deliveries { state count } duplicates } }", json!({})).await?;
        let counts = |field: &str| {
            let rows = data["ledger"][field].as_array().cloned().unwrap_or_default();
            rows.into_iter()
                .map(|row| (row["state"].as_str().unwrap_or_default().to_owned(), row["count"].as_i64().unwrap_or_default()))
                .collect()
        };
        Ok(Ledger {
            messages: counts("messages"),
            deliveries: counts("deliveries"),
            duplicates: data["ledger"]["duplicates"].as_i64().unwrap_or_default(),
        })
    }

    /// Open exceptions by cause.
    ///
    /// # Errors
    /// Where the API refused.
    pub async fn exception_groups(&self) -> Result<Vec<Value>, ClientError> {
        let query = "{ exceptionGroups { nodes { causeKey code cause owner nextStep value lookupTable count } } }";
        let data = self.ask(query, json!({})).await?;
        Ok(data["exceptionGroups"]["nodes"].as_array().cloned().unwrap_or_default())
    }

    /// Tries a whole group again; says how many.
    ///
    /// # Errors
    /// Where the API refused.
    pub async fn exception_retry(&self, cause_key: &str) -> Result<i64, ClientError> {
        let query = "mutation($i: ExceptionSelectionInput!) { exceptionRetry(input: $i) { count userErrors { message } } }";
        let data = self.ask(query, json!({"i": {"causeKey": cause_key}})).await?;
        Ok(data["exceptionRetry"]["count"].as_i64().unwrap_or_default())
    }

    /// Milliseconds from acceptance to confirmation: p50, p95, p99.
    ///
    /// # Errors
    /// Where the API refused.
    pub async fn latency(&self, since: chrono::DateTime<chrono::Utc>) -> Result<[f64; 3], ClientError> {
        let data = self.ask("query($s: DateTime!) { latency(since: $s) { p50Ms p95Ms p99Ms } }", json!({"s": since})).await?;
        Ok(["p50Ms", "p95Ms", "p99Ms"].map(|key| data["latency"][key].as_f64().unwrap_or_default()))
    }
}

/// Sums of the ledger by state.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub messages: std::collections::BTreeMap<String, i64>,
    pub deliveries: std::collections::BTreeMap<String, i64>,
    pub duplicates: i64,
}

impl Ledger {
    #[must_use]
    pub fn message(&self, state: &str) -> i64 {
        self.messages.get(state).copied().unwrap_or_default()
    }

    #[must_use]
    pub fn delivery(&self, state: &str) -> i64 {
        self.deliveries.get(state).copied().unwrap_or_default()
    }

    /// Everything that was accepted.
    #[must_use]
    pub fn accepted(&self) -> i64 {
        self.messages.values().sum()
    }

    /// True where nothing waits for a machine any more: all is settled, or waits for a person.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        ["received", "fetching"].iter().all(|state| self.message(state) == 0)
            && ["planned", "sending", "waiting", "unknown", "held"].iter().all(|state| self.delivery(state) == 0)
    }
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
