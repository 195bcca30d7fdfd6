//! A request as data: method, path, query, headers and body, all of them templates.

use domain::http::HttpAnswer;
use domain::value::Value;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::path;

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub method: Method,
    /// After `base_url`; or a whole address where a vendor keeps something at another host.
    pub path: String,
    /// A parameter whose value names something that this call does not have (`{{ since }}` of a full read) is left out.
    #[serde(default)]
    pub query: IndexMap<String, String>,
    /// As `query`.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// Absent: the payload as JSON, where there is one.
    #[serde(default)]
    pub body: Option<Body>,
}

/// In a tree, a text that is one placeholder and nothing else takes the value as it is: `"{{ payload.lines }}"` becomes a list,
/// and `"{{ external_id | number }}"` a number.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Body {
    Json(serde_json::Value),
    /// `application/x-www-form-urlencoded`; groups and lists in brackets: `a[b][0]=1`.
    Form(serde_json::Value),
    Graphql(Graphql),
    /// As it is, of the type that `headers` says.
    Text(String),
    /// The payload as an X12 interchange with one set, as `x12` of the manifest says.
    X12,
}

/// POSTed as `{"query": …, "variables": …}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Graphql {
    pub query: String,
    /// A variable whose value names something that this call does not have is left out.
    #[serde(default)]
    pub variables: IndexMap<String, serde_json::Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// Where in a request a value goes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Slot {
    /// A parameter of the address.
    Query(String),
    Header(String),
    /// A path in the JSON or form body: `variables.after`.
    Body(String),
    /// Within a text, where the request names `{{ page }}`.
    Template,
}

/// Where in an answer, or a webhook, a value stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Any of these headers, in this order.
    #[serde(default)]
    pub header: Vec<String>,
    /// A path in the body.
    #[serde(default)]
    pub path: Option<String>,
}

impl Place {
    /// What stands there: in the first of the headers that came, or else in the body.
    #[must_use]
    pub fn find(&self, answer: &HttpAnswer, body: Option<&Value>) -> Option<String> {
        let header = self.header.iter().find_map(|name| answer.header(name)).map(str::to_owned);
        header.or_else(|| path::first(body?, self.path.as_deref()?)?.to_text().map(|text| text.into_owned()))
    }
}
