//! Walks the schema that the running API tells, so that a test asks every operation, those too that nobody thought of.

use serde_json::{Value, json};
use tests::client::Client;

const SCHEMA: &str = "{ __schema {
    queryType { fields { ...f } } mutationType { fields { ...f } } subscriptionType { fields { ...f } }
    types { name kind fields { name } enumValues { name } inputFields { name defaultValue type { ...t } } } } }
    fragment f on __Field { name args { name defaultValue type { ...t } } type { ...t } }
    fragment t on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";
/// Inputs within inputs.
const DEPTH_MAX: usize = 4;

/// What is answered to an operation; of a subscription what it tells first.
pub async fn answer(client: &Client, operation: &str) -> Value {
    if operation.starts_with("subscription") {
        return client.subscribe(operation).await.unwrap().next().await.unwrap().unwrap();
    }
    client.raw(operation, json!({})).await.unwrap()
}

/// What the schema says, and how to ask for each of its operations.
pub struct Schema(Value);

/// A root field.
pub struct Operation<'s> {
    schema: &'s Schema,
    kind: &'static str,
    field: &'s Value,
}

impl Schema {
    pub async fn of(client: &Client) -> Self {
        Self(client.ask(SCHEMA, json!({})).await.unwrap()["__schema"].take())
    }

    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        [("queryType", "query"), ("mutationType", "mutation"), ("subscriptionType", "subscription")].into_iter().flat_map(
            move |(root, kind)| {
                self.0[root]["fields"].as_array().unwrap().iter().map(move |field| Operation { schema: self, kind, field })
            },
        )
    }

    /// The type itself, without lists and null around it.
    fn named<'s>(&'s self, mut of: &'s Value) -> &'s Value {
        while of["ofType"].is_object() {
            of = &of["ofType"];
        }
        self.0["types"].as_array().unwrap().iter().find(|known| known["name"] == of["name"]).unwrap()
    }

    /// An id can be said somewhere within it.
    fn takes_id(&self, of: &Value, depth: usize) -> bool {
        let named = self.named(of);
        let within =
            || named["inputFields"].as_array().is_some_and(|all| all.iter().any(|one| self.takes_id(&one["type"], depth + 1)));
        named["name"] == "ID" || (depth < DEPTH_MAX && within())
    }

    /// The least value that a type takes; with an id, that id wherever one can be said.
    fn value(&self, of: &Value, id: Option<&str>) -> String {
        match of["kind"].as_str().unwrap() {
            "NON_NULL" => self.value(&of["ofType"], id),
            "LIST" if id.is_some() && self.takes_id(of, 0) => format!("[{}]", self.value(&of["ofType"], id)),
            "LIST" => "[]".to_owned(),
            "SCALAR" => match of["name"].as_str().unwrap() {
                "Int" | "Float" => "1".to_owned(),
                "Boolean" => "false".to_owned(),
                "DateTime" => "\"2026-01-01T00:00:00Z\"".to_owned(),
                "JSON" => "{}".to_owned(),
                "ID" => format!("\"{}\"", id.unwrap_or("x")),
                _ => "\"x\"".to_owned(),
            },
            "ENUM" => self.named(of)["enumValues"][0]["name"].as_str().unwrap().to_owned(),
            _ => format!("{{{}}}", self.inputs(&self.named(of)["inputFields"], id)),
        }
    }

    fn inputs(&self, inputs: &Value, id: Option<&str>) -> String {
        let said = inputs.as_array().unwrap().iter().filter(|input| {
            let is_required = input["type"]["kind"] == "NON_NULL" && input["defaultValue"].is_null();
            is_required || (id.is_some() && self.takes_id(&input["type"], 0))
        });
        said.map(|input| format!("{}: {}", input["name"].as_str().unwrap(), self.value(&input["type"], id)))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

impl Operation<'_> {
    pub fn name(&self) -> String {
        format!("{} {}", self.kind, self.field["name"].as_str().unwrap())
    }

    pub fn takes_id(&self) -> bool {
        self.field["args"].as_array().unwrap().iter().any(|input| self.schema.takes_id(&input["type"], 0))
    }

    /// Asks with no more than is required.
    pub fn least(&self) -> String {
        self.query(None)
    }

    /// Asks with this id wherever one can be said.
    pub fn with_id(&self, id: &str) -> String {
        self.query(Some(id))
    }

    fn query(&self, id: Option<&str>) -> String {
        let arguments = Some(self.schema.inputs(&self.field["args"], id)).filter(|all| !all.is_empty());
        let arguments = arguments.map_or_else(String::new, |all| format!("({all})"));
        let of = self.schema.named(&self.field["type"]);
        let has = |name: &str| of["fields"].as_array().is_some_and(|fields| fields.iter().any(|field| field["name"] == name));
        let selection = match of["kind"].as_str().unwrap() {
            "SCALAR" | "ENUM" => String::new(),
            _ => {
                let known = [
                    ("userErrors", "userErrors { code field message }"),
                    ("nodes", "nodes { __typename }"),
                    ("count", "count"),
                    ("id", "id"),
                ];
                let known: Vec<&str> = known.into_iter().filter(|(name, _)| has(name)).map(|(_, selection)| selection).collect();
                format!(" {{ __typename {} }}", known.join(" "))
            }
        };
        format!("{} {{ {}{arguments}{selection} }}", self.kind, self.field["name"].as_str().unwrap())
    }
}
