//! A tenant of a running Crossdock, over its API: what is there, and the changes that a plan makes. Nothing else is called, and no database.

use std::io::Write;
use std::time::Duration;

use domain::flow::Gates;
use domain::http::{HttpRequest, Method};
use domain::lookup_table::TableKind;
use infra::outbound::{AllowList, Outbound};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::there::{Connection, FLOW, FlowNode, FlowThere, TableNode, TableThere};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Rows of one answer: a flow's versions may be long.
const FLOWS_PAGE: usize = 10;
const PAGE: usize = 100;
/// More is no tenant that one folder describes.
const PAGES_MAX: usize = 500;

/// Why the API did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{0} is no address of Crossdock: give --url such as https://crossdock.example.com")]
    Url(String),
    #[error("sign in first: set CROSSDOCK_TOKEN, or CROSSDOCK_EMAIL and CROSSDOCK_PASSWORD, in the environment")]
    SignIn,
    #[error("{url} gave no answer: {why}")]
    NoAnswer { url: String, why: String },
    #[error("{url} answered with the status {status}, which is none of Crossdock's API: look at --url")]
    NotOurs { url: String, status: u16 },
    #[error("{0}")]
    Refused(String),
    #[error("the answer is not as this program knows it ({0}): take the program of the same version as the server")]
    Shape(String),
    #[error("there are more than {0} of them, which is more than this program lists")]
    TooMany(usize),
    /// What a person mends; the code is that of the first.
    #[error("{sentence}")]
    Person { code: String, sentence: String },
}

impl ApiError {
    /// True where something else must come first, such as an approval.
    pub fn is_blocked(&self) -> bool {
        matches!(self, Self::Person { code, .. } if code == "BLOCKED")
    }
}

pub(super) fn read<T: DeserializeOwned>(json: Value) -> Result<T, ApiError> {
    serde_json::from_value(json).map_err(|error| ApiError::Shape(error.to_string()))
}

/// The API of one tenant, signed in.
pub struct Api {
    outbound: Outbound,
    url: String,
    tenant: String,
    token: SecretString,
    /// The session is ours, and ends with us.
    is_opened: bool,
}

impl Api {
    /// Signs in by what the environment holds: a token, or an address and a password.
    ///
    /// # Errors
    /// Where that is missing or refused.
    pub async fn sign_in(url: &str, tenant: &str) -> Result<Self, ApiError> {
        let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty()).map(SecretString::from);
        let mut api = Self::new(url, tenant)?;
        if let Some(token) = environment("CROSSDOCK_TOKEN") {
            api.token = token;
            return Ok(api);
        }
        let (Some(email), Some(password)) = (environment("CROSSDOCK_EMAIL"), environment("CROSSDOCK_PASSWORD")) else {
            return Err(ApiError::SignIn);
        };
        let query =
            "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken } userErrors { code message } } }";
        let input = json!({"email": email.expose_secret(), "password": password.expose_secret()});
        let mut opened = api.change(query, json!({"i": input})).await?;
        api.token = read::<String>(opened["session"]["accessToken"].take())?.into();
        api.is_opened = true;
        Ok(api)
    }

    fn new(url: &str, tenant: &str) -> Result<Self, ApiError> {
        let wrong = || ApiError::Url(url.to_owned());
        let parsed = url::Url::parse(url).map_err(|_| wrong())?;
        let is_plain = matches!(parsed.scheme(), "http" | "https") && parsed.username().is_empty() && parsed.password().is_none();
        let host = parsed.host_str().filter(|_| is_plain && parsed.query().is_none()).ok_or_else(wrong)?;
        // The person named this one address themselves, so it may lie within their own walls.
        let allow = AllowList::parse(&format!("{host}:{}", parsed.port_or_known_default().ok_or_else(wrong)?));
        let outbound = Outbound::new(allow, CALL_TIMEOUT).map_err(|error| ApiError::Refused(infra::chain(&error)))?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { outbound, url, tenant: tenant.to_owned(), token: SecretString::default(), is_opened: false })
    }

    /// Ends the session where it is ours. One that stays open ends by itself.
    pub async fn sign_out(self) {
        if self.is_opened {
            let _ = self.ask("mutation { sessionClose { closed } }", json!({})).await;
        }
    }

    /// How far the audit log is sealed, as one signed line.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn audit_head(&self) -> Result<String, ApiError> {
        read(self.ask("{ auditHead { document } }", json!({})).await?["auditHead"]["document"].take())
    }

    /// Writes the audit log from behind a seal on, as it comes.
    ///
    /// # Errors
    /// Where the API refuses, the answer breaks off, or it cannot be written.
    pub async fn audit_export(&self, after: u64, out: &mut impl Write) -> Result<(), ApiError> {
        let url = format!("{}/audit/export?after={after}", self.url);
        let request = HttpRequest { method: Method::Get, url, headers: self.headers(), body: Default::default(), identity: None };
        let no_answer = |error: domain::http::NoAnswer| ApiError::NoAnswer { url: self.url.clone(), why: error.to_string() };
        let mut answer = self.outbound.open(request).await.map_err(no_answer)?;
        if answer.head.status != 200 {
            let answer = answer.whole().await.map_err(no_answer)?;
            let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let not_ours = || ApiError::NotOurs { url: self.url.clone(), status: answer.status };
            let message = json["errors"][0]["message"].as_str();
            return Err(message.map_or_else(not_ours, |message| ApiError::Refused(message.to_owned())));
        }
        let unwritable = |error: std::io::Error| ApiError::Refused(format!("the export cannot be written: {error}"));
        while let Some(chunk) = answer.chunk().await.map_err(no_answer)? {
            out.write_all(&chunk).map_err(unwritable)?;
        }
        out.flush().map_err(unwritable)
    }

    /// Every flow, by what it says now.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn flows(&self) -> Result<Vec<FlowThere>, ApiError> {
        let nodes: Vec<FlowNode> = self.all("flows", FLOWS_PAGE, "...f", FLOW).await?;
        nodes.into_iter().map(FlowThere::try_from).collect()
    }

    /// # Errors
    /// As [`Self::ask`].
    pub async fn connections(&self) -> Result<Vec<Connection>, ApiError> {
        self.all("connections", PAGE, "id name connector", "").await
    }

    /// # Errors
    /// As [`Self::ask`].
    pub async fn tables(&self) -> Result<Vec<TableThere>, ApiError> {
        let nodes: Vec<TableNode> = self.all("lookupTables", PAGE, "id name kind inverts version", "").await?;
        nodes.into_iter().map(TableThere::try_from).collect()
    }

    /// A table's entries as of the version that was listed, as CSV.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn table_csv(&self, table: &TableThere) -> Result<String, ApiError> {
        let query = "query($id: ID!, $v: Int) { lookupTable(id: $id) { csv(version: $v) } }";
        let mut data = self.ask(query, json!({"id": table.id, "v": table.version})).await?;
        read(data["lookupTable"]["csv"].take())
    }

    /// What stands against a flow that is not made yet: sentences, and the lookup tables that are not there.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn flow_check(&self, input: &Value) -> Result<(Vec<String>, Vec<String>), ApiError> {
        #[derive(Deserialize)]
        struct Need {
            name: String,
            exists: bool,
        }
        let query = "query($i: FlowCreateInput!) { flowCheck(input: $i) { lookupTables { name exists } userErrors { field code message } } }";
        let mut data = self.ask(query, json!({"i": input})).await?;
        let check = &mut data["flowCheck"];
        let errors: Vec<UserError> = read(check["userErrors"].take())?;
        let needs: Vec<Need> = read(check["lookupTables"].take())?;
        let missing = needs.into_iter().filter(|need| !need.exists).map(|need| need.name).collect();
        Ok((errors.iter().map(UserError::sentence).collect(), missing))
    }

    /// # Errors
    /// As [`Self::change`].
    pub async fn flow_create(&self, input: &Value) -> Result<FlowThere, ApiError> {
        let query = format!("mutation($i: FlowCreateInput!) {{ flowCreate(input: $i) {{ flow {{ ...f }} {ERRORS} }} }} {FLOW}");
        self.flow(&query, json!({"i": input})).await
    }

    /// A draft in the place of the version that was seen.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn flow_draft(&self, flow: &str, seen: &str, input: &Value) -> Result<FlowThere, ApiError> {
        let query = format!(
            "mutation($id: ID!, $v: ID, $i: FlowDraftInput!) {{ flowDraft(id: $id, basedOnId: $v, input: $i) {{ flow {{ ...f }} {ERRORS} }} }} {FLOW}"
        );
        self.flow(&query, json!({"id": flow, "v": seen, "i": input})).await
    }

    /// # Errors
    /// As [`Self::change`].
    pub async fn flow_gates_set(&self, flow: &str, gates: Gates) -> Result<FlowThere, ApiError> {
        let query = format!(
            "mutation($id: ID!, $a: Boolean, $r: Boolean) {{ flowGatesSet(id: $id, needsApproval: $a, needsReplay: $r) {{ flow {{ ...f }} {ERRORS} }} }} {FLOW}"
        );
        self.flow(&query, json!({"id": flow, "a": gates.needs_approval, "r": gates.needs_replay})).await
    }

    /// Publishes the draft that was seen, and no other.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn flow_publish(&self, flow: &str, seen: &str) -> Result<FlowThere, ApiError> {
        let query =
            format!("mutation($id: ID!, $v: ID) {{ flowPublish(id: $id, versionId: $v) {{ flow {{ ...f }} {ERRORS} }} }} {FLOW}");
        self.flow(&query, json!({"id": flow, "v": seen})).await
    }

    /// # Errors
    /// As [`Self::change`].
    pub async fn flow_retire(&self, flow: &str, seen: &str) -> Result<FlowThere, ApiError> {
        let query =
            format!("mutation($id: ID!, $v: ID) {{ flowRetire(id: $id, versionId: $v) {{ flow {{ ...f }} {ERRORS} }} }} {FLOW}");
        self.flow(&query, json!({"id": flow, "v": seen})).await
    }

    /// An empty table.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn table_create(&self, name: &str, kind: TableKind, inverts: bool) -> Result<TableThere, ApiError> {
        let query = format!(
            "mutation($n: String!, $k: LookupTableKind!, $i: Boolean!) {{ lookupTableCreate(name: $n, kind: $k, inverts: $i) {{ lookupTable {{ id version }} {ERRORS} }} }}"
        );
        let variables = json!({"n": name, "k": kind.as_str().to_uppercase(), "i": inverts});
        let mut made = self.change(&query, variables).await?;
        let (id, version) = (read(made["lookupTable"]["id"].take())?, read(made["lookupTable"]["version"].take())?);
        Ok(TableThere { id, name: name.to_owned(), kind, inverts, version })
    }

    /// The table becomes what the file says, where it is still the version that was seen.
    ///
    /// # Errors
    /// As [`Self::change`].
    pub async fn table_replace(&self, table: &TableThere, csv: &str) -> Result<(), ApiError> {
        let query = format!(
            "mutation($id: ID!, $c: String!, $v: Int) {{ lookupTableImport(id: $id, csv: $c, mode: REPLACE, basedOn: $v) {{ written {ERRORS} }} }}"
        );
        self.change(&query, json!({"id": table.id, "c": csv, "v": table.version})).await.map(|_| ())
    }

    async fn flow(&self, query: &str, variables: Value) -> Result<FlowThere, ApiError> {
        let mut changed = self.change(query, variables).await?;
        read::<FlowNode>(changed["flow"].take())?.try_into()
    }

    /// Every row of a list.
    async fn all<T: DeserializeOwned>(
        &self,
        list: &str,
        first: usize,
        fields: &str,
        fragments: &str,
    ) -> Result<Vec<T>, ApiError> {
        let query = format!(
            "query($a: String) {{ list: {list}(first: {first}, after: $a) {{ nodes {{ {fields} }} pageInfo {{ hasNextPage endCursor }} }} }} {fragments}"
        );
        let (mut rows, mut after) = (Vec::new(), Value::Null);
        for _ in 0..PAGES_MAX {
            let mut data = self.ask(&query, json!({"a": after})).await?;
            let page = &mut data["list"];
            rows.extend(read::<Vec<T>>(page["nodes"].take())?);
            if page["pageInfo"]["hasNextPage"] != true {
                return Ok(rows);
            }
            after = page["pageInfo"]["endCursor"].take();
        }
        Err(ApiError::TooMany(PAGES_MAX * first))
    }

    /// The payload of one mutation without userErrors.
    ///
    /// # Errors
    /// As [`Self::ask`], and [`ApiError::Person`] for what a person mends.
    async fn change(&self, query: &str, variables: Value) -> Result<Value, ApiError> {
        let mut data = self.ask(query, variables).await?;
        let payload = data.as_object_mut().and_then(|fields| fields.values_mut().next());
        let mut payload = payload.ok_or_else(|| ApiError::Shape("an empty answer".to_owned()))?.take();
        let errors: Vec<UserError> = read(payload["userErrors"].take())?;
        match errors.first() {
            None => Ok(payload),
            Some(first) => {
                let sentences: Vec<String> = errors.iter().map(UserError::sentence).collect();
                Err(ApiError::Person { code: first.code.clone(), sentence: sentences.join("; ") })
            }
        }
    }

    fn headers(&self) -> Vec<(String, String)> {
        let mut headers = vec![("x-crossdock-tenant".to_owned(), self.tenant.clone())];
        let token = self.token.expose_secret();
        if !token.is_empty() {
            headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        headers
    }

    /// The data of one request.
    ///
    /// # Errors
    /// Where no answer came, or the API refused.
    async fn ask(&self, query: &str, variables: Value) -> Result<Value, ApiError> {
        let mut headers = self.headers();
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
        let body = json!({"query": query, "variables": variables}).to_string();
        let url = format!("{}/graphql", self.url);
        let request = HttpRequest { method: Method::Post, url, headers, body: body.into(), identity: None };
        let no_answer = |error: domain::http::NoAnswer| ApiError::NoAnswer { url: self.url.clone(), why: error.to_string() };
        let answer = self.outbound.send(request).await.map_err(no_answer)?;
        let not_ours = || ApiError::NotOurs { url: self.url.clone(), status: answer.status };
        let mut json: Value = serde_json::from_slice(&answer.body).map_err(|_| not_ours())?;
        if let Some(error) = json["errors"].get(0) {
            return Err(ApiError::Refused(error["message"].as_str().unwrap_or("it did not say why").to_owned()));
        }
        if json["data"].is_object() { Ok(json["data"].take()) } else { Err(not_ours()) }
    }
}

const ERRORS: &str = "userErrors { field code message }";

#[derive(Deserialize)]
struct UserError {
    #[serde(default)]
    field: Vec<String>,
    code: String,
    message: String,
}

impl UserError {
    fn sentence(&self) -> String {
        match self.field.join(".").as_str() {
            "" | "id" | "input" => self.message.clone(),
            field => format!("{field}: {}", self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_addresses_are_called() {
        for url in
            ["file:///etc/passwd", "crossdock", "https://user:pass@example.com", "https://example.com/?token=x", "ftp://a.b"]
        {
            assert!(matches!(Api::new(url, "acme"), Err(ApiError::Url(_))), "{url}");
        }
        for url in ["https://crossdock.example.com/", "http://127.0.0.1:8080", "http://[::1]:8080"] {
            assert!(Api::new(url, "acme").is_ok(), "{url}");
        }
    }
}
