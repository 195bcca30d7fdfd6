//! Walks the schema that the running API tells, so that a test asks every operation, those too that nobody thought of.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use chrono::{TimeDelta, Utc};
use domain::id::PREFIXES;
use serde_json::{Value, json};
use tests::client::Client;

const SCHEMA: &str = "{ __schema { types { name kind possibleTypes { name } enumValues { name }
    fields(includeDeprecated: true) { name args { name defaultValue type { ...t } } type { ...t } }
    inputFields { name defaultValue type { ...t } } } } }
    fragment t on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";
/// Inputs within inputs.
const DEPTH_MAX: usize = 4;
/// What an operation need not be told, and refuses to do anything without.
const WANTED: [&str; 7] = [
    "backfillPrepare.input.since",
    "connectionUpdate.input.name",
    "exceptionTag.add",
    "flowReplay.input.last",
    "hookSecretRotate.input.secret",
    "inventoryKeptSet.input.quantity",
    "reconciliationScheduleSet.schedule",
];
/// Whose ids belong to an argument or an operation that is not called by their noun.
const CALLED: [(&str, &str); 15] = [
    ("actor", "usr"),
    ("assignee", "usr"),
    ("assignto", "usr"),
    ("basedon", "flv"),
    ("challenge", "pkc"),
    ("destination", "con"),
    ("flowundo", "und"),
    ("flowundoapprove", "und"),
    ("flowundocancel", "und"),
    ("lookupentriesremove", "lut"),
    ("lookupentriesset", "lut"),
    ("receiver", "alr"),
    ("source", "con"),
    ("table", "lut"),
    ("version", "flv"),
];

/// Names that are made up, so that none is taken.
static NAMES: AtomicUsize = AtomicUsize::new(0);

/// What is answered to an operation; of a subscription what it tells first.
pub async fn answer(client: &Client, operation: &str) -> Value {
    if operation.starts_with("subscription") {
        return client.subscribe(operation).await.unwrap().next().await.unwrap().unwrap();
    }
    client.raw(operation, json!({})).await.unwrap()
}

/// An id of a kind that nobody ever made.
pub fn never_made(kind: &str) -> String {
    format!("{kind}_00000000000070008000000000000001")
}

/// What the schema says of its types, by their names, and how to ask for each of its operations.
pub struct Schema(pub HashMap<String, Value>);

/// A place among the arguments of an operation where an id can be said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `input.connectionId`
    pub path: String,
    /// The prefix of the ids that belong there; `None` where any may.
    pub kind: Option<&'static str>,
}

impl Place {
    fn new(operation: &str, path: &str) -> Self {
        let plain = |noun: &str| noun.replace(' ', "").to_lowercase();
        let last = path.rsplit('.').next().unwrap_or(path).to_lowercase();
        let stem = last.strip_suffix("ids").or_else(|| last.strip_suffix("id")).unwrap_or(&last);
        // A bare `id` is of what the operation is called by: the longest noun that its name begins with.
        let (name, is_whole) = if stem.is_empty() { (operation.to_lowercase(), false) } else { (stem.to_owned(), true) };
        let called = CALLED.iter().find(|(called, _)| *called == name).map(|(_, prefix)| *prefix);
        let fits = |noun: &str| if is_whole { plain(noun) == name } else { name.starts_with(&plain(noun)) };
        let nouns = PREFIXES.iter().filter(|(_, noun)| fits(noun));
        let noun = nouns.max_by_key(|(_, noun)| noun.len()).map(|(prefix, _)| *prefix);
        Self { path: path.to_owned(), kind: called.or(noun) }
    }

    /// Whether a user error of this field is about the id that was said here.
    pub fn is_meant(&self, field: &[&str]) -> bool {
        let path: Vec<&str> = self.path.split('.').collect();
        path.starts_with(field) || field.last() == path.last()
    }
}

/// What an operation is told where more is asked for than could be made up.
pub struct Said<'a> {
    pub password: &'a str,
    /// The id for a place; where there is none, the place is left out if it may be.
    pub id: &'a dyn Fn(&Place) -> Option<String>,
}

/// A root field.
pub struct Operation<'s> {
    schema: &'s Schema,
    kind: &'static str,
    field: &'s Value,
}

impl Schema {
    pub async fn of(client: &Client) -> Self {
        let mut schema = client.ask(SCHEMA, json!({})).await.unwrap();
        let Value::Array(types) = schema["__schema"]["types"].take() else { panic!("the schema has types") };
        Self(types.into_iter().map(|of| (of["name"].as_str().unwrap().to_owned(), of)).collect())
    }

    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        [("Query", "query"), ("Mutation", "mutation"), ("Subscription", "subscription")].into_iter().flat_map(
            move |(root, kind)| {
                self.0[root]["fields"].as_array().unwrap().iter().map(move |field| Operation { schema: self, kind, field })
            },
        )
    }

    /// The type itself, without lists and null around it.
    pub fn named(&self, mut of: &Value) -> &Value {
        while of["ofType"].is_object() {
            of = &of["ofType"];
        }
        &self.0[of["name"].as_str().unwrap()]
    }

    /// Where within an argument an id can be said.
    fn places(&self, operation: &str, path: &str, of: &Value, depth: usize) -> Vec<Place> {
        let named = self.named(of);
        if named["name"] == "ID" {
            return vec![Place::new(operation, path)];
        }
        let inputs = named["inputFields"].as_array().filter(|_| depth < DEPTH_MAX);
        let within = |input: &Value| {
            self.places(operation, &format!("{path}.{}", input["name"].as_str().unwrap()), &input["type"], depth + 1)
        };
        inputs.into_iter().flatten().flat_map(within).collect()
    }

    /// The least value that a type takes.
    pub fn least(&self, of: &Value) -> String {
        match of["kind"].as_str().unwrap() {
            "NON_NULL" => self.least(&of["ofType"]),
            "LIST" => "[]".to_owned(),
            "SCALAR" => match of["name"].as_str().unwrap() {
                "Int" | "Float" => "1".to_owned(),
                "Boolean" => "false".to_owned(),
                "DateTime" => "\"2026-01-01T00:00:00Z\"".to_owned(),
                "JSON" => "{}".to_owned(),
                _ => "\"x\"".to_owned(),
            },
            "ENUM" => self.first(of),
            _ => format!("{{{}}}", self.required(&self.named(of)["inputFields"])),
        }
    }

    fn required(&self, inputs: &Value) -> String {
        let inputs = inputs.as_array().unwrap().iter().filter(|input| is_required(input));
        inputs
            .map(|input| format!("{}: {}", input["name"].as_str().unwrap(), self.least(&input["type"])))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The first word of an enum.
    fn first(&self, of: &Value) -> String {
        self.named(of)["enumValues"][0]["name"].as_str().unwrap().to_owned()
    }
}

pub fn is_required(input: &Value) -> bool {
    input["type"]["kind"] == "NON_NULL" && input["defaultValue"].is_null()
}

impl Operation<'_> {
    pub fn name(&self) -> String {
        format!("{} {}", self.kind, self.field())
    }

    pub fn field(&self) -> &str {
        self.field["name"].as_str().unwrap()
    }

    pub fn is_mutation(&self) -> bool {
        self.kind == "mutation"
    }

    /// Every place where an id can be said.
    pub fn places(&self) -> Vec<Place> {
        let arguments = self.field["args"].as_array().unwrap().iter();
        let places =
            |argument: &Value| self.schema.places(self.field(), argument["name"].as_str().unwrap(), &argument["type"], 0);
        arguments.flat_map(places).collect()
    }

    /// Asks with no more than is required.
    pub fn least(&self) -> String {
        self.query(&self.schema.required(&self.field["args"]))
    }

    /// Asks for what somebody could mean: where it is refused, that is for the ids that are said.
    pub fn plausible(&self, said: &Said<'_>) -> String {
        self.query(&Asking { schema: self.schema, operation: self.field(), said }.arguments("", &self.field["args"]))
    }

    fn query(&self, arguments: &str) -> String {
        let arguments = if arguments.is_empty() { String::new() } else { format!("({arguments})") };
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
        format!("{} {{ {}{arguments}{selection} }}", self.kind, self.field())
    }
}

/// An operation that is asked with arguments that somebody could mean.
struct Asking<'a> {
    schema: &'a Schema,
    operation: &'a str,
    said: &'a Said<'a>,
}

impl Asking<'_> {
    fn arguments(&self, before: &str, inputs: &Value) -> String {
        let mut said = vec![];
        for input in inputs.as_array().unwrap() {
            let (name, of) = (input["name"].as_str().unwrap(), &input["type"]);
            let path = format!("{before}{name}");
            let is_wanted = WANTED.contains(&format!("{}.{path}", self.operation).as_str());
            let has_id = || self.schema.places(self.operation, &path, of, 0).iter().any(|place| (self.said.id)(place).is_some());
            if is_required(input) || is_wanted || has_id() {
                said.push(format!("{name}: {}", self.value(&path, of)));
            }
        }
        said.join(", ")
    }

    fn value(&self, path: &str, of: &Value) -> String {
        match of["kind"].as_str().unwrap() {
            "NON_NULL" => self.value(path, &of["ofType"]),
            "LIST" => format!("[{}]", self.value(path, &of["ofType"])),
            "SCALAR" => self.scalar(path, of["name"].as_str().unwrap()),
            "ENUM" => self.schema.first(of),
            _ => format!("{{{}}}", self.arguments(&format!("{path}."), &self.schema.named(of)["inputFields"])),
        }
    }

    fn scalar(&self, path: &str, scalar: &str) -> String {
        let text = |text: &str| Value::from(text).to_string();
        match (scalar, path.rsplit('.').next().unwrap_or(path)) {
            ("ID", _) => {
                let place = Place::new(self.operation, path);
                text(&(self.said.id)(&place).unwrap_or_else(|| never_made(place.kind.unwrap_or("xxx"))))
            }
            ("Boolean", _) => "false".to_owned(),
            ("Int" | "Float", "everyS") => "300".to_owned(),
            ("Int" | "Float", "everyHours") => "24".to_owned(),
            ("Int" | "Float", _) => "1".to_owned(),
            ("DateTime", _) => text(&(Utc::now() - TimeDelta::days(1)).to_rfc3339()),
            ("JSON", "credential") => "{hook_secret: \"a-secret-of-later\"}".to_owned(),
            ("JSON", "mapping") => "[]".to_owned(),
            ("JSON", _) => "{}".to_owned(),
            (_, "password") => text(self.said.password),
            (_, "name") => text(&format!("name {}", NAMES.fetch_add(1, Ordering::Relaxed))),
            (_, "recordKind" | "kind") => text("order"),
            (_, "side") => text("source"),
            (_, "policy") => text("warn"),
            (_, "field" | "path") => text("note"),
            (_, "quantity") => text("1"),
            (_, "secret") => text("a-secret-of-later"),
            (_, "csv") => text("from,to\nA,1\n"),
            // JSON, which is text within text.
            (_, "value") => text("\"x\""),
            _ => text("x"),
        }
    }
}
