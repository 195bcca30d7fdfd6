//! Drafts a `connector.yaml` from a vendor's OpenAPI document (3.0 or 3.1): addresses, authentication, lists with their pages, single
//! records, creates and updates. A description of an API says nothing of limits, proofs or what a lost answer did, so the draft names what
//! a person still has to say.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use domain::record::RecordKind;
use serde_json::Value as Json;

const DOCUMENT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// References that refer to references.
const REFERENCES_MAX: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenapiError {
    #[error("the document is longer than {DOCUMENT_BYTES_MAX} bytes")]
    TooLong,
    #[error("the document is neither JSON nor YAML: {0}")]
    Unreadable(String),
    #[error("the document is no OpenAPI 3 description: it has no `openapi: 3.x`")]
    NotOpenapi,
    #[error("\"{0}\" is no name for a connector: lower-case letters, digits and dashes")]
    Name(String),
}

/// A draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// `connector.yaml`; it lints.
    pub yaml: String,
    /// What a person must look at, in sentences.
    pub notes: Vec<String>,
}

/// # Errors
/// Where the document cannot be read.
pub fn draft(name: &str, document: &str) -> Result<Draft, OpenapiError> {
    if document.len() > DOCUMENT_BYTES_MAX {
        return Err(OpenapiError::TooLong);
    }
    if !is_name(name) {
        return Err(OpenapiError::Name(name.to_owned()));
    }
    let root: Json = serde_json::from_str(document)
        .or_else(|_| serde_saphyr::from_str(document))
        .map_err(|error| OpenapiError::Unreadable(error.to_string().lines().next().unwrap_or_default().to_owned()))?;
    if !root["openapi"].as_str().is_some_and(|version| version.starts_with("3.")) {
        return Err(OpenapiError::NotOpenapi);
    }
    let mut draft = Drafting { root: &root, notes: Vec::new() };
    let yaml = draft.yaml(name);
    Ok(Draft { yaml, notes: draft.notes })
}

/// A connector's name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    !name.is_empty() && name.len() <= 60 && name.chars().all(fits) && !name.starts_with('-') && !name.ends_with('-')
}

struct Drafting<'d> {
    root: &'d Json,
    notes: Vec<String>,
}

/// The operations of one kind that were found.
#[derive(Default)]
struct Found<'d> {
    list: Option<(&'d str, &'d Json)>,
    get: Option<(&'d str, &'d Json)>,
    create: Option<(&'d str, &'d Json)>,
    update: Option<(&'static str, &'d str, &'d Json)>,
}

impl<'d> Drafting<'d> {
    fn yaml(&mut self, name: &str) -> String {
        let title = self.root["info"]["title"].as_str().unwrap_or(name);
        let version = self.root["info"]["version"].as_str().unwrap_or("1");
        let mut out = String::new();
        let _ =
            writeln!(out, "# A draft, made from the vendor's OpenAPI document. What follows \"FILL IN\" is for a person to say.");
        let _ = writeln!(
            out,
            "format: 1\nname: {name}\ntitle: {}\ncategory: generic # FILL IN storefront, marketplace, erp, …",
            quoted(title)
        );
        let _ = writeln!(out, "versions:\n  - {{ id: {}, current: true }}", quoted(version));
        match self.root["servers"][0]["url"].as_str() {
            Some(url) if url.starts_with("http") && !url.contains('{') => {
                let _ = writeln!(out, "base_url: {}", quoted(url.trim_end_matches('/')));
            }
            other => {
                self.notes.push(format!("base_url: the document says {}; it is a setting now", other.unwrap_or("nothing")));
            }
        }
        out.push_str("\nsettings:\n  base_url:\n    title: Address\n    kind: url\n    help: Only for a proxy of your own or a simulator.\n");
        out.push_str("    pattern: \"https?://[A-Za-z0-9.:\\\\[\\\\]/_-]+\"\n\n");
        self.auth(&mut out);
        out.push_str("\nresources:\n");
        let found = self.find();
        if found.is_empty() {
            self.notes
                .push("resources: no path speaks of orders, customers, items, inventory, shipments, invoices or returns".into());
            out.truncate(out.len() - "resources:\n".len());
        }
        for (kind, found) in &found {
            self.resource(*kind, found, &mut out);
        }
        out.push_str("\nerror:\n  code: [code, error.code] # FILL IN where error bodies carry what\n  message: [message, error.message, error]\n");
        self.notes.push("errors: add the vendor's error catalog; until then an answer means what its status means".into());
        self.notes.push("limits: an OpenAPI document does not say them".into());
        self.notes
            .push("proof: say for each write how a lost answer is found out, or it can only be tried again by a person".into());
        out
    }

    fn auth(&mut self, out: &mut String) {
        let schemes = self.root["components"]["securitySchemes"].as_object();
        let scheme = schemes.and_then(|schemes| schemes.values().next()).map(|scheme| self.resolve(scheme));
        if let Some(schemes) = schemes.filter(|schemes| schemes.len() > 1) {
            let names = schemes.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            self.notes.push(format!("auth: the document has {names}; the first was taken"));
        }
        let secret = |title: &str| format!("credential:\n  secret: {{ title: {title}, required: true }}\n\n");
        let kind = |scheme: &Json| {
            (scheme["type"].as_str().unwrap_or_default().to_owned(), scheme["scheme"].as_str().unwrap_or_default().to_lowercase())
        };
        match scheme.map(|scheme| (kind(scheme), scheme)) {
            Some(((kind, _), scheme)) if kind == "apiKey" => {
                let place = if scheme["in"] == "query" { "query" } else { "header" };
                let name = scheme["name"].as_str().unwrap_or("Authorization");
                let _ =
                    writeln!(out, "{}auth: {{ api_key: {{ {place}: {}, secret: secret }} }}", secret("API key"), quoted(name));
            }
            Some(((kind, scheme), _)) if kind == "http" && scheme == "basic" => {
                out.push_str(
                    "credential:\n  user: { title: User, required: true }\n  password: { title: Password, required: true }\n\n",
                );
                out.push_str("auth: { basic: { user: user, password: password } }\n");
            }
            Some(((kind, _), _)) if kind == "http" => {
                let _ = writeln!(out, "{}auth: {{ bearer: {{ secret: secret }} }}", secret("Access token"));
            }
            Some(((kind, _), scheme)) if kind == "oauth2" => self.oauth2(scheme, out),
            _ => {
                self.notes.push("auth: the document does not say how a request proves who sends it".into());
                out.push_str("auth: none # FILL IN\n");
            }
        }
    }

    fn oauth2(&mut self, scheme: &Json, out: &mut String) {
        out.push_str("credential:\n  client_id: { title: Client ID, required: true }\n  client_secret: { title: Client secret, required: true }\n\n");
        let flows = &scheme["flows"];
        let (grant, flow) = if flows["authorizationCode"].is_object() {
            ("authorization_code", &flows["authorizationCode"])
        } else {
            ("client_credentials", &flows["clientCredentials"])
        };
        let token = flow["tokenUrl"].as_str().unwrap_or("https://FILL IN.example/token");
        let _ = writeln!(out, "auth:\n  oauth2:\n    grant: {grant}");
        if let Some(authorize) = flow["authorizationUrl"].as_str() {
            let _ = writeln!(out, "    authorize: {{ url: {} }}", quoted(authorize));
        }
        let _ = writeln!(out, "    token: {{ url: {}, client_id: client_id, client_secret: client_secret }}", quoted(token));
        let scopes =
            flow["scopes"].as_object().map(|scopes| scopes.keys().map(|scope| quoted(scope)).collect::<Vec<_>>().join(", "));
        let _ = writeln!(out, "    scopes: [{}]", scopes.unwrap_or_default());
        self.notes.push("auth: check the scopes; the draft asks for all that the document lists".into());
    }

    /// Each kind's operations: the shortest path of a kind is its list, and the same with an id behind it is one record.
    fn find(&mut self) -> BTreeMap<RecordKind, Found<'d>> {
        let mut found: BTreeMap<RecordKind, Found<'d>> = BTreeMap::new();
        let Some(paths) = self.root["paths"].as_object() else { return found };
        let mut others = 0;
        for (path, operations) in paths {
            let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
            let is_one = segments.last().is_some_and(|last| last.starts_with('{'));
            let noun = if is_one { segments.iter().rev().nth(1) } else { segments.last() };
            let parameters = segments.iter().filter(|segment| segment.contains('{')).count();
            let Some(kind) = noun.and_then(|noun| kind_of(noun)).filter(|_| parameters <= usize::from(is_one)) else {
                others += 1;
                continue;
            };
            let kind = found.entry(kind).or_default();
            let operation = |method: &str| operations.get(method).filter(|operation| operation.is_object());
            if is_one {
                kind.get = kind.get.or(operation("get").map(|operation| (path.as_str(), operation)));
                let update = operation("patch").map(|o| ("PATCH", o)).or(operation("put").map(|o| ("PUT", o)));
                kind.update = kind.update.or(update.map(|(method, operation)| (method, path.as_str(), operation)));
            } else {
                kind.list = kind.list.or(operation("get").map(|operation| (path.as_str(), operation)));
                kind.create = kind.create.or(operation("post").map(|operation| (path.as_str(), operation)));
            }
        }
        if others > 0 {
            self.notes.push(format!("{others} further paths were left out"));
        }
        found
    }

    fn resource(&mut self, kind: RecordKind, found: &Found<'d>, out: &mut String) {
        let _ = writeln!(out, "  {kind}:\n    id: id # FILL IN check");
        let updated_at = self.changed_field(found);
        if let Some(field) = &updated_at {
            let _ = writeln!(out, "    updated_at: {}", quoted(field));
        }
        if let Some((path, operation)) = found.list {
            self.list(kind, path, operation, updated_at.is_some(), out);
        }
        let by_id = |path: &str, name: &str| {
            let (before, _) = path.rsplit_once('{').unwrap_or((path, ""));
            quoted(&format!("{before}{{{{ {name} }}}}"))
        };
        if let Some((path, _)) = found.get {
            let _ = writeln!(out, "    get:\n      request: {{ method: GET, path: {} }}", by_id(path, "source_id"));
        }
        if let Some((path, _)) = found.create {
            let _ = writeln!(
                out,
                "    write:\n      request: {{ method: POST, path: {} }}\n      receipt: {{ path: id }}",
                quoted(path)
            );
            self.notes.push(format!("resources.{kind}.write: say where the answer carries the id, and add a proof"));
        }
        if let Some((method, path, _)) = found.update {
            let path = by_id(path, "external_id");
            let _ =
                writeln!(out, "    update:\n      request: {{ method: {method}, path: {path} }}\n      receipt: {{ path: id }}");
        }
    }

    fn list(&mut self, kind: RecordKind, path: &str, operation: &'d Json, is_incremental: bool, out: &mut String) {
        let parameters: Vec<String> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|parameter| self.resolve(parameter))
            .filter(|parameter| parameter["in"] == "query")
            .filter_map(|parameter| parameter["name"].as_str().map(str::to_owned))
            .collect();
        let any = |names: &[&str]| parameters.iter().find(|parameter| names.contains(&normal(parameter).as_str())).cloned();
        let since = any(&[
            "updatedatmin",
            "updatedsince",
            "modifiedafter",
            "modifiedsince",
            "updatedafter",
            "since",
            "lastupdatedafter",
            "datemodifiedmin",
        ]);
        let _ = writeln!(out, "    read:");
        match since.as_ref().filter(|_| is_incremental) {
            Some(since) => {
                let _ = writeln!(
                    out,
                    "      request: {{ method: GET, path: {}, query: {{ {}: \"{{{{ since }}}}\" }} }}",
                    quoted(path),
                    quoted(since)
                );
                out.push_str("      since: { overlap_s: 60 }\n");
            }
            None => {
                let _ = writeln!(out, "      request: {{ method: GET, path: {} }}", quoted(path));
                self.notes.push(format!(
                    "resources.{kind}.read: no parameter for what changed since was found; every read is a full one"
                ));
            }
        }
        let answer = self.success(operation);
        match answer.map(|schema| self.records(schema)) {
            Some(Records::At(field)) => {
                let _ = writeln!(out, "      records: {}", quoted(&field));
            }
            Some(Records::Whole) => {}
            _ => self.notes.push(format!("resources.{kind}.read.records: say where the answer carries the list")),
        }
        let size = any(&["limit", "pagesize", "perpage", "maxresults", "first", "count"]);
        let size = size.map_or(String::new(), |size| format!(", size: {{ slot: {{ query: {} }}, value: 100 }}", quoted(&size)));
        let next = answer.and_then(|schema| self.next_field(schema));
        if let Some(cursor) =
            any(&["cursor", "after", "pagetoken", "nexttoken", "startingafter", "paginationtoken", "continuationtoken"])
        {
            let next = next.unwrap_or_else(|| {
                self.notes.push(format!("resources.{kind}.read.page: say where the answer carries the next cursor"));
                "next_cursor".into()
            });
            let _ = writeln!(
                out,
                "      page: {{ cursor: {{ slot: {{ query: {} }}, next: {{ path: {} }}{size} }} }}",
                quoted(&cursor),
                quoted(&next)
            );
        } else if let Some(offset) = any(&["offset", "skip"]) {
            let size = if size.is_empty() { ", size: { value: 100 }" } else { &size };
            let _ = writeln!(out, "      page: {{ offset: {{ slot: {{ query: {} }}{size} }} }}", quoted(&offset));
        } else if let Some(page) = any(&["page", "pagenumber"]) {
            let _ = writeln!(out, "      page: {{ number: {{ slot: {{ query: {} }}{size} }} }}", quoted(&page));
        } else {
            self.notes.push(format!(
                "resources.{kind}.read.page: no parameter for pages was found; one answer is taken for everything"
            ));
        }
    }

    /// The schema of a success.
    fn success(&self, operation: &'d Json) -> Option<&'d Json> {
        let responses = operation["responses"].as_object()?;
        let answer = responses.iter().find(|(status, _)| status.starts_with('2')).map(|(_, answer)| self.resolve(answer))?;
        let content = answer["content"].as_object()?;
        let media = content.iter().find(|(kind, _)| kind.contains("json")).map(|(_, media)| media)?;
        Some(self.resolve(&media["schema"]))
    }

    fn records(&self, schema: &'d Json) -> Records {
        if schema["type"] == "array" {
            return Records::Whole;
        }
        let field = |(name, schema): (&String, &'d Json)| (self.resolve(schema)["type"] == "array").then(|| name.clone());
        match schema["properties"].as_object().and_then(|properties| properties.iter().find_map(field)) {
            Some(field) => Records::At(field),
            None => Records::Unknown,
        }
    }

    fn next_field(&self, schema: &'d Json) -> Option<String> {
        let is_next = |name: &str| {
            ["next", "nextcursor", "nextpagetoken", "nexttoken", "endcursor", "continuationtoken"]
                .contains(&normal(name).as_str())
        };
        let properties = schema["properties"].as_object()?;
        let direct = properties.keys().find(|name| is_next(name)).cloned();
        direct.or_else(|| {
            properties.iter().find_map(|(outer, schema)| {
                let inner = self.resolve(schema)["properties"].as_object()?;
                inner.keys().find(|name| is_next(name)).map(|name| format!("{outer}.{name}"))
            })
        })
    }

    /// The field of a record that says when it last changed.
    fn changed_field(&self, found: &Found<'d>) -> Option<String> {
        let list = found.list.and_then(|(_, operation)| self.success(operation));
        let items = list.and_then(|schema| match self.records(schema) {
            Records::Whole => Some(self.resolve(&schema["items"])),
            Records::At(field) => Some(self.resolve(&self.resolve(&schema["properties"][&field])["items"])),
            Records::Unknown => None,
        });
        let one = found.get.and_then(|(_, operation)| self.success(operation));
        let names = items.or(one)?["properties"].as_object()?;
        let is_changed = |name: &str| {
            [
                "updatedat",
                "modifiedat",
                "lastmodified",
                "lastmodifiedat",
                "datemodified",
                "updateddate",
                "lastupdated",
                "lastupdatedtime",
                "modifieddate",
            ]
            .contains(&normal(name).as_str())
        };
        names.keys().find(|name| is_changed(name)).cloned()
    }

    /// Follows references within the document.
    fn resolve(&self, value: &'d Json) -> &'d Json {
        let mut here = value;
        for _ in 0..REFERENCES_MAX {
            match here["$ref"].as_str().and_then(|reference| reference.strip_prefix('#')) {
                Some(pointer) => match self.root.pointer(pointer) {
                    Some(next) => here = next,
                    None => return &Json::Null,
                },
                None => return here,
            }
        }
        &Json::Null
    }
}

enum Records {
    /// The whole answer is the list.
    Whole,
    At(String),
    Unknown,
}

/// `Updated_At` and `updated-at` are the same word.
fn normal(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

fn kind_of(noun: &str) -> Option<RecordKind> {
    match normal(noun).as_str() {
        "orders" | "order" | "salesorders" | "salesorder" => Some(RecordKind::Order),
        "customers" | "customer" | "contacts" => Some(RecordKind::Customer),
        "products" | "product" | "items" | "item" | "articles" => Some(RecordKind::Item),
        "inventory" | "inventorylevels" | "stock" | "stocklevels" | "inventorylevel" => Some(RecordKind::InventoryLevel),
        "shipments" | "shipment" | "fulfillments" | "deliveries" => Some(RecordKind::Shipment),
        "invoices" | "invoice" => Some(RecordKind::Invoice),
        "returns" | "return" | "rmas" => Some(RecordKind::Return),
        "payments" | "payment" => Some(RecordKind::Payment),
        "refunds" | "refund" => Some(RecordKind::Refund),
        "purchaseorders" | "purchaseorder" => Some(RecordKind::PurchaseOrder),
        _ => None,
    }
}

/// A YAML text that is nothing but itself.
fn quoted(text: &str) -> String {
    // YAML has no control characters, and a name that has one is better off without.
    let text: &str = &text.chars().filter(|c| !c.is_control() && !('\u{fff0}'..='\u{ffff}').contains(c)).collect::<String>();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '/' | '.');
    let is_word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let is_special = ["true", "false", "null", "yes", "no", "on", "off"].contains(&text.to_lowercase().as_str());
    if is_word && !is_special && text.chars().all(is_plain) { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Connector;

    const DOCUMENT: &str = r##"
openapi: 3.0.3
info: { title: "Acme: Commerce", version: "2026-07" }
servers: [{ url: https://api.acme.example/v2/ }]
paths:
  /orders:
    get:
      parameters:
        - { name: updated_at_min, in: query, schema: { type: string } }
        - { $ref: "#/components/parameters/limit" }
        - { name: cursor, in: query }
      responses: { "200": { content: { application/json: { schema: { $ref: "#/components/schemas/OrderList" } } } } }
    post: { responses: { "201": { description: made } } }
  /orders/{orderId}:
    get: { responses: { "200": { content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } } } } }
    patch: { responses: { "200": { description: changed } } }
  /orders/{orderId}/notes: { get: {} }
  /health: { get: {} }
components:
  parameters: { limit: { name: limit, in: query } }
  securitySchemes: { key: { type: apiKey, in: header, name: X-Acme-Key } }
  schemas:
    Order: { type: object, properties: { id: { type: integer }, updated_at: { type: string } } }
    OrderList:
      type: object
      properties:
        data: { type: array, items: { $ref: "#/components/schemas/Order" } }
        meta: { type: object, properties: { next_cursor: { type: string } } }
"##;

    #[test]
    fn a_draft_is_a_connector_that_loads_and_says_what_a_person_must_add() {
        let draft = draft("acme", DOCUMENT).unwrap();
        let connector = Connector::from_files("acme", [("connector.yaml".to_owned(), draft.yaml.clone())].into());
        let connector = connector.unwrap_or_else(|errors| panic!("{errors}\n{}", draft.yaml));
        assert_eq!((connector.title(), connector.version()), ("Acme: Commerce", "2026-07"));
        for line in [
            "base_url: \"https://api.acme.example/v2\"",
            "auth: { api_key: { header: \"X-Acme-Key\", secret: secret } }",
            "      request: { method: GET, path: /orders, query: { updated_at_min: \"{{ since }}\" } }",
            "      records: data",
            "      page: { cursor: { slot: { query: cursor }, next: { path: meta.next_cursor }, size: { slot: { query: limit }, value: 100 } } }",
            "      request: { method: PATCH, path: \"/orders/{{ external_id }}\" }",
        ] {
            assert!(draft.yaml.contains(line), "{line}\n{}", draft.yaml);
        }
        assert!(
            draft.notes.iter().any(|note| note.starts_with("proof:"))
                && draft.notes.iter().any(|note| note == "2 further paths were left out"),
            "{:?}",
            draft.notes
        );
    }

    #[test]
    fn what_is_no_openapi_is_refused() {
        assert_eq!(draft("acme", "{\"swagger\":\"2.0\"}").unwrap_err(), OpenapiError::NotOpenapi);
        assert!(matches!(draft("acme", ": : :").unwrap_err(), OpenapiError::Unreadable(_)));
        assert_eq!(draft("Ac me", DOCUMENT).unwrap_err(), OpenapiError::Name("Ac me".into()));
    }

    proptest! {
        #[test]
        fn whatever_the_titles_and_paths_are_the_draft_loads(title in ".{0,20}", path in "/[a-z{}:'\"# -]{0,12}orders", field in ".{0,8}") {
            let document = serde_json::json!({
                "openapi": "3.1.0",
                "info": {"title": title, "version": title},
                "servers": [{"url": format!("https://x.example/{field}")}],
                "paths": { path: {"get": {"parameters": [{"name": field, "in": "query"}, {"name": "cursor", "in": "query"}]}} }
            });
            let draft = draft("acme", &document.to_string()).unwrap();
            let connector = Connector::from_files("acme", [("connector.yaml".to_owned(), draft.yaml.clone())].into());
            prop_assert!(connector.is_ok(), "{}\n{}", connector.unwrap_err(), draft.yaml);
        }
    }
}
