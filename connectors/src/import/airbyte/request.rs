//! Requests: what the requester says, what pages and slices add, and who asks. Two that say the same thing differently are an error, because
//! a request that is half of each is nobody's.

use bytes::Bytes;
use domain::http::{HttpRequest, Method};
use domain::value::{Map, Value};
use url::Url;

use super::ImportError;
use super::jinja::Scope;
use super::literal;
use super::model::{Body, HttpMethod, Json, Place, RequestOption, Requester};

/// What a request says beside its address.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    pub(crate) query: Map,
    pub(crate) headers: Map,
    pub(crate) form: Map,
    /// A body as it is; never beside `form`.
    pub(crate) text: Option<String>,
    pub(crate) json: Map,
}

impl Parts {
    /// Puts a value where an option says.
    pub(crate) fn inject(&mut self, option: &RequestOption, value: Value, scope: &Scope) -> Result<(), ImportError> {
        let scope = scope.and("parameters", &option.parameters.0);
        let into = match option.inject_into {
            Place::RequestParameter => &mut self.query,
            Place::Header => &mut self.headers,
            Place::BodyData => &mut self.form,
            Place::BodyJson => &mut self.json,
        };
        if let Some(path) = &option.field_path {
            let path = path.iter().map(|segment| scope.text(&segment.0)).collect::<Result<Vec<_>, _>>()?;
            return nested(into, &path, value);
        }
        let name =
            option.field_name.as_ref().ok_or_else(|| ImportError::Shape("a RequestOption has no field_name".to_owned()))?;
        into.insert(scope.text(&name.0)?, value);
        Ok(())
    }

    /// All of both.
    pub(crate) fn and(mut self, other: Parts) -> Result<Parts, ImportError> {
        merge(&mut self.query, other.query, false)?;
        merge(&mut self.headers, other.headers, false)?;
        merge(&mut self.form, other.form, false)?;
        merge(&mut self.json, other.json, true)?;
        match (&self.text, other.text) {
            (Some(_), Some(_)) => return Err(ImportError::Collision { name: "the body".to_owned() }),
            (None, text) => self.text = text,
            _ => {}
        }
        if self.text.is_some() && !self.form.is_empty() {
            return Err(ImportError::Collision { name: "the body".to_owned() });
        }
        Ok(self)
    }
}

fn nested(into: &mut Map, path: &[String], value: Value) -> Result<(), ImportError> {
    let Some((key, rest)) = path.split_first() else {
        return Err(ImportError::Shape("a RequestOption has an empty field_path".to_owned()));
    };
    if rest.is_empty() {
        into.insert(key.clone(), value);
        return Ok(());
    }
    match into.entry(key.clone()).or_insert_with(|| Value::Map(Map::new())) {
        Value::Map(map) => nested(map, rest, value),
        _ => Err(ImportError::Collision { name: key.clone() }),
    }
}

fn merge(into: &mut Map, from: Map, same_is_well: bool) -> Result<(), ImportError> {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (None, value) => {
                into.insert(key, value);
            }
            (Some(Value::Map(here)), Value::Map(there)) if same_is_well => merge(here, there, true)?,
            (Some(here), there) if same_is_well && *here == there => {}
            _ => return Err(ImportError::Collision { name: key }),
        }
    }
    Ok(())
}

fn evaluated(
    inputs: Option<&Json>,
    scope: &Scope,
    value: impl Fn(&str) -> Result<Option<Value>, ImportError>,
) -> Result<Map, ImportError> {
    match inputs.map(|inputs| &inputs.0) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Map(map)) => {
            let mut out = Map::new();
            for (key, input) in map {
                let key = scope.text_or_list(key)?.map(|key| literal::text(&key)).unwrap_or_default();
                let found = match input {
                    Value::Text(template) => value(template)?,
                    other => Some(other.clone()),
                };
                out.extend(found.filter(|value| !value.is_null()).map(|value| (key, value)));
            }
            Ok(out)
        }
        Some(Value::Text(template)) => match scope.optional(template)?.map(literal::Literal::into_value) {
            Some(Value::Map(map)) => Ok(map),
            _ => Ok(Map::new()),
        },
        Some(_) => Err(ImportError::Shape("the inputs of a request are no group and no expression".to_owned())),
    }
}

/// Every text within a body is an expression; what becomes nothing is left out.
fn body(value: &Value, scope: &Scope) -> Result<Value, ImportError> {
    Ok(match value {
        Value::Text(template) => scope.optional(template)?.map_or(Value::Null, literal::Literal::into_value),
        Value::List(list) => Value::List(list.iter().map(|item| body(item, scope)).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                let (key, value) = (scope.text(key)?, body(value, scope)?);
                if !value.is_null() {
                    out.insert(key, value);
                }
            }
            Value::Map(out)
        }
        plain => plain.clone(),
    })
}

/// What the requester itself says.
fn own(requester: &Requester, scope: &Scope) -> Result<Parts, ImportError> {
    let text_or_list = |template: &str| scope.text_or_list(template);
    let any = |template: &str| Ok(scope.optional(template)?.map(literal::Literal::into_value));
    let (data, json) = match &requester.request_body {
        Some(Body::Data(data)) => (Some(data), None),
        Some(Body::Json(json)) => (None, Some(json)),
        None => (requester.request_body_data.as_ref(), requester.request_body_json.as_ref()),
    };
    let mut parts = Parts {
        query: evaluated(requester.request_parameters.as_ref(), scope, text_or_list)?,
        headers: evaluated(requester.request_headers.as_ref(), scope, any)?,
        ..Parts::default()
    };
    match data.map(|data| &data.0) {
        Some(Value::Text(template)) => match scope.optional(template)?.map(literal::Literal::into_value) {
            Some(Value::Map(map)) => parts.form = map,
            Some(value) => parts.text = Some(literal::text(&value)),
            None => {}
        },
        _ => parts.form = evaluated(data, scope, text_or_list)?,
    }
    match json.map(|json| body(&json.0, scope)).transpose()? {
        Some(Value::Map(map)) => parts.json = map,
        None | Some(Value::Null) => {}
        Some(_) => return Err(ImportError::Shape("a JSON body is no group".to_owned())),
    }
    Ok(parts)
}

/// The request, whole. `path` stands in the place of the requester's own: the address of a next page.
pub(crate) fn build(
    requester: &Requester,
    scope: &Scope,
    path: Option<&str>,
    auth: Parts,
    extra: Parts,
) -> Result<HttpRequest, ImportError> {
    let scope = &scope.and("parameters", &requester.parameters.0);
    let parts = own(requester, scope)?.and(auth)?.and(extra)?;
    let mut url = address(requester, scope, path)?;
    let there: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    {
        let mut pairs = url.query_pairs_mut();
        for (name, value) in &parts.query {
            match value {
                Value::Map(_) => return Err(ImportError::Shape(format!("the parameter {name} of a request is a group"))),
                Value::Null => {}
                Value::List(list) => {
                    list.iter().filter(|item| !item.is_null()).for_each(|item| {
                        pairs.append_pair(name, &literal::text(item));
                    });
                }
                plain => {
                    let text = literal::text(plain);
                    // The address of a next page has its parameters already.
                    if there.iter().find(|(known, _)| known == name).is_none_or(|(_, known)| *known != text) {
                        pairs.append_pair(name, &text);
                    }
                }
            }
        }
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    let mut headers: Vec<(String, String)> =
        parts.headers.iter().map(|(name, value)| (name.clone(), literal::text(value))).collect();
    let (body, kind) = match (parts.json.is_empty(), parts.form.is_empty(), parts.text) {
        (false, true, None) => (Value::Map(parts.json).to_json(), Some("application/json")),
        (true, false, None) => (form(&parts.form), Some("application/x-www-form-urlencoded")),
        (true, true, text) => (text.unwrap_or_default(), None),
        _ => return Err(ImportError::Collision { name: "the body".to_owned() }),
    };
    if let Some(kind) = kind.filter(|_| !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))) {
        headers.push(("Content-Type".to_owned(), kind.to_owned()));
    }
    let method = match requester.http_method.unwrap_or_default() {
        HttpMethod::Get => Method::Get,
        HttpMethod::Post => Method::Post,
    };
    Ok(HttpRequest { method, url: url.into(), headers, body: Bytes::from(body), identity: None })
}

pub(crate) fn form(map: &Map) -> String {
    let mut out = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in map {
        match value {
            Value::Null => {}
            Value::List(list) => list.iter().for_each(|item| {
                out.append_pair(name, &literal::text(item));
            }),
            plain => {
                out.append_pair(name, &literal::text(plain));
            }
        }
    }
    out.finish()
}

fn address(requester: &Requester, scope: &Scope, path: Option<&str>) -> Result<Url, ImportError> {
    let text = |template: Option<&str>| template.map_or(Ok(String::new()), |template| scope.text(template));
    let base = match text(requester.url_base.as_deref())? {
        base if base.is_empty() => text(requester.url.as_deref())?,
        base => base,
    };
    let path = match path {
        Some(path) => path.to_owned(),
        None => text(requester.path.as_ref().map(|path| path.0.as_str()))?.trim_start_matches('/').to_owned(),
    };
    // Not the text itself: settings may stand in it.
    let wrong = ImportError::Address { what: "it is no http or https address" };
    let parsed = |text: &str| {
        Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).ok_or(wrong.clone())
    };
    if path.is_empty() {
        return parsed(&base);
    }
    let base = parsed(&if base.ends_with('/') { base } else { base + "/" })?;
    let url = base.join(&path).map_err(|_| ImportError::Address { what: "its path cannot be joined to its base" })?;
    if url.origin() != base.origin() {
        // What an answer says is the next page must not carry the credential to another host.
        return Err(ImportError::Address { what: "it leads to another host than the requester's base" });
    }
    parsed(url.as_str())
}
