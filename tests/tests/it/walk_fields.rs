//! Walks the fields of every type that a query comes to, by the schema that the running API tells: a way to the type, and what somebody is shown of each of
//! its fields there. Lists as Relay has them are taken for their nodes.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;

use serde_json::{Value, json};
use tests::client::Client;

use crate::walk::{Schema, is_required};

/// Rows of a list of which nothing else is said.
const ROWS: &str = "3";
/// A longer way is not gone: a query has a depth.
const STEPS_MAX: usize = 8;
/// Beyond a type it is gone on from so many more of the ways that lead there: where one has nothing, another may.
const MORE_WAYS_MAX: usize = 2;

/// Of each type, its way and which of the readers got there.
pub type Reached = BTreeMap<String, (Way, usize)>;

/// What the schema says of types and their fields, and what is said for arguments.
pub struct Fields {
    schema: Schema,
    said: Vec<(&'static str, String)>,
}

/// A field with its arguments; of a union, the type that it is gone on with.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step {
    field: String,
    arguments: String,
    on: Option<String>,
}

/// From the query to a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub to: String,
    steps: Vec<Step>,
}

/// What somebody was shown of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// Its value in each object that was there, as a list.
    Values(Value),
    /// The code of an error.
    Error(String),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = |step: &Step| match &step.on {
            Some(on) => format!("{} on {on}", step.field),
            None => step.field.clone(),
        };
        f.write_str(&self.steps.iter().map(step).collect::<Vec<_>>().join("."))
    }
}

impl Way {
    fn query(&self, selection: &str) -> String {
        let (mut open, mut close) = ("{ ".to_owned(), " }".to_owned());
        for step in &self.steps {
            open.push_str(&format!("{}{} {{ ", step.field, step.arguments));
            close.push_str(" }");
            if let Some(on) = &step.on {
                open.push_str(&format!("... on {on} {{ "));
                close.push_str(" }");
            }
        }
        format!("{open}__typename {selection}{close}")
    }

    /// The objects that an answer has at its end.
    fn ends<'a>(&self, data: &'a Value) -> Vec<&'a Value> {
        let mut at = vec![data];
        for step in &self.steps {
            at = at.into_iter().flat_map(|value| each(&value[step.field.as_str()])).collect();
        }
        at.retain(|value| text(&value["__typename"]) == self.to);
        at
    }

    /// The field at its end that an error is about; `None` where the way itself is refused.
    fn field_of<'a>(&self, error: &'a Value) -> Option<&'a str> {
        list(&error["path"]).iter().filter_map(Value::as_str).nth(self.steps.len())
    }

    async fn leads_somewhere(&self, client: &Client) -> bool {
        let query = self.query("");
        let answer = client.raw(&query, json!({})).await.unwrap();
        assert!(!answer.to_string().contains("\"INTERNAL\""), "{query}: {answer}");
        !self.ends(&answer["data"]).is_empty()
    }
}

impl Fields {
    /// `said` is what is said for arguments, as it stands in a query: `record.id` of that field alone, `recordId` wherever an argument of this name must be said.
    /// Of several values for the same one each is a way of its own.
    pub async fn of(client: &Client, said: Vec<(&'static str, String)>) -> Self {
        Self { schema: Schema::of(client).await, said }
    }

    /// The names of a type's fields.
    pub fn names(&self, of: &str) -> BTreeSet<&str> {
        list(&self.schema.0[of]["fields"]).iter().map(|field| text(&field["name"])).collect()
    }

    /// A way to each type that there is a row of, by the first of the readers who gets there; and the types that none of them comes to.
    pub async fn reach(&self, readers: &[&Client]) -> (Reached, BTreeSet<String>) {
        let (mut reached, mut known, mut gone_on) = (Reached::new(), BTreeSet::new(), HashMap::<String, usize>::new());
        let mut ways: VecDeque<Way> = self.onward("Query", &[]).into();
        while let Some(way) = ways.pop_front() {
            known.insert(way.to.clone());
            if way.steps.len() > STEPS_MAX {
                continue;
            }
            if reached.contains_key(&way.to) {
                let times = gone_on.entry(way.to.clone()).or_default();
                if *times < MORE_WAYS_MAX {
                    *times += 1;
                    ways.extend(self.onward(&way.to, &way.steps));
                }
                continue;
            }
            for (reader, client) in readers.iter().enumerate() {
                if way.leads_somewhere(client).await {
                    ways.extend(self.onward(&way.to, &way.steps));
                    reached.insert(way.to.clone(), (way, reader));
                    break;
                }
            }
        }
        known.retain(|name| !reached.contains_key(name));
        (reached, known)
    }

    /// Types that no query comes to at all; those of what a mutation answers are not named.
    pub fn by_no_query(&self) -> BTreeSet<&str> {
        let (mut reachable, mut open) = (BTreeSet::from(["Query", "Mutation", "Subscription"]), vec!["Query"]);
        while let Some(name) = open.pop() {
            for field in list(&self.schema.0[name]["fields"]) {
                let of = self.schema.named(&field["type"]);
                for one in std::iter::once(of).chain(list(&of["possibleTypes"])) {
                    let name = text(&one["name"]);
                    if reachable.insert(name) {
                        open.push(name);
                    }
                }
            }
        }
        let is_one = |name: &&str| {
            let is_object = self.schema.0[*name]["kind"] == "OBJECT";
            is_object && !name.starts_with("__") && !name.ends_with("Payload") && !reachable.contains(name)
        };
        self.schema.0.keys().map(String::as_str).filter(is_one).collect()
    }

    /// What somebody is shown of each field. What cannot be asked for together is asked for in parts, and what is refused does not hide the rest.
    pub async fn ask(&self, client: &Client, way: &Way) -> BTreeMap<String, Seen> {
        let mut seen = BTreeMap::new();
        let mut parts: Vec<Vec<&Value>> = vec![list(&self.schema.0[&way.to]["fields"]).iter().collect()];
        while let Some(mut fields) = parts.pop() {
            if fields.is_empty() {
                continue;
            }
            let selection: Vec<String> = fields.iter().map(|field| self.selection(field)).collect();
            let query = way.query(&selection.join(" "));
            let answer = client.raw(&query, json!({})).await.unwrap();
            let errors = list(&answer["errors"]);
            if errors.is_empty() {
                let ends = way.ends(&answer["data"]);
                for name in fields.iter().map(|field| text(&field["name"])) {
                    let values = ends.iter().map(|end| end[name].clone()).collect();
                    seen.insert(name.to_owned(), Seen::Values(Value::Array(values)));
                }
                continue;
            }
            if fields.len() > 1 && errors.iter().any(|error| text(&error["message"]).contains("too complex")) {
                let rest = fields.split_off(fields.len() / 2);
                parts.extend([fields, rest]);
                continue;
            }
            for error in errors {
                let code = match error["extensions"]["code"].as_str() {
                    None | Some("INTERNAL") => panic!("{query}: {answer}"),
                    Some(code) => Seen::Error(code.to_owned()),
                };
                let about = way.field_of(error).filter(|about| fields.iter().any(|field| field["name"] == *about));
                let is_about = |field: &&Value| about.is_none_or(|about| field["name"] == about);
                seen.extend(fields.iter().copied().filter(is_about).map(|field| (text(&field["name"]).to_owned(), code.clone())));
                fields.retain(|field| !is_about(field));
            }
            parts.push(fields);
        }
        seen
    }

    /// The nodes of a list as Relay has it.
    fn nodes<'s>(&self, of: &'s Value) -> Option<&'s Value> {
        let fields = list(&of["fields"]);
        let is_one = fields.len() == 3 && ["edges", "nodes", "pageInfo"].iter().all(|name| field(fields, name).is_some());
        field(fields, "nodes").filter(|_| is_one)
    }

    /// What lies one step beyond a type; what may be one of several types comes last.
    fn onward(&self, from: &str, steps: &[Step]) -> Vec<Way> {
        let mut fields: Vec<&Value> = list(&self.schema.0[from]["fields"]).iter().collect();
        fields.sort_by_key(|field| (self.schema.named(&field["type"])["kind"] != "OBJECT", text(&field["name"])));
        let mut ways = vec![];
        for field in fields {
            for variant in 0..self.variants(field) {
                self.step(field, variant, steps, &mut ways);
            }
        }
        ways
    }

    fn step(&self, field: &Value, variant: usize, steps: &[Step], ways: &mut Vec<Way>) {
        let of = self.schema.named(&field["type"]);
        let with = |on: Option<&str>| {
            let step = Step {
                field: text(&field["name"]).to_owned(),
                arguments: self.arguments(field, variant),
                on: on.map(str::to_owned),
            };
            [steps, &[step]].concat()
        };
        if let Some(nodes) = self.nodes(of) {
            return self.step(nodes, 0, &with(None), ways);
        }
        if of["kind"] == "OBJECT" {
            ways.push(Way { to: text(&of["name"]).to_owned(), steps: with(None) });
        }
        let possible: BTreeSet<&str> = list(&of["possibleTypes"]).iter().map(|one| text(&one["name"])).collect();
        ways.extend(possible.into_iter().map(|one| Way { to: one.to_owned(), steps: with(Some(one)) }));
    }

    fn selection(&self, field: &Value) -> String {
        let of = self.schema.named(&field["type"]);
        let within = match of["kind"].as_str() {
            Some("SCALAR" | "ENUM") => "",
            _ if self.nodes(of).is_some() => " { nodes { __typename } }",
            _ => " { __typename }",
        };
        format!("{}{}{within}", text(&field["name"]), self.arguments(field, 0))
    }

    /// What is to be said for an argument; of several values that of this variant, or the last.
    fn said(&self, name: &str, variant: usize) -> Option<&str> {
        let all: Vec<&str> = self.said.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.as_str()).collect();
        all.get(variant).or(all.last()).copied()
    }

    fn variants(&self, field: &Value) -> usize {
        let own = |argument: &Value| format!("{}.{}", text(&field["name"]), text(&argument["name"]));
        let said = |name: String| self.said.iter().filter(|(known, _)| *known == name).count();
        list(&field["args"]).iter().map(|argument| said(own(argument))).max().unwrap_or(0).max(1)
    }

    fn arguments(&self, field: &Value, variant: usize) -> String {
        let value = |argument: &Value| {
            let name = text(&argument["name"]);
            if let Some(own) = self.said(&format!("{}.{name}", text(&field["name"])), variant) {
                return Some(own.to_owned());
            }
            if name == "first" {
                return Some(ROWS.to_owned());
            }
            is_required(argument).then(|| self.said(name, 0).map_or_else(|| self.schema.least(&argument["type"]), str::to_owned))
        };
        let said: Vec<String> = list(&field["args"])
            .iter()
            .filter_map(|argument| Some(format!("{}: {}", text(&argument["name"]), value(argument)?)))
            .collect();
        if said.is_empty() { String::new() } else { format!("({})", said.join(", ")) }
    }
}

fn field<'a>(fields: &'a [Value], name: &str) -> Option<&'a Value> {
    fields.iter().find(|field| field["name"] == name)
}

/// The objects of a list, of lists within it too, or the one that is none.
fn each(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => vec![],
        Value::Array(all) => all.iter().flat_map(each).collect(),
        one => vec![one],
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
