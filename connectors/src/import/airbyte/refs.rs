//! `$ref` and `$parameters`: a manifest says a thing once and refers to it, and what a component's `$parameters` say holds for all within it.
//! A reference may lead through itself and parameters multiply, so depth and size are bounded.

use serde_json::{Map, Value};

use super::ImportError;

/// Levels of a resolved manifest.
const DEPTH_MAX: usize = 64;
/// Values of a resolved manifest: the longest that are in use have some ten thousand.
const NODES_MAX: usize = 400_000;
const REF: &str = "$ref";
pub(crate) const PARAMETERS: &str = "$parameters";

struct Budget(usize);

impl Budget {
    fn spend(&mut self, nodes: usize) -> Result<(), ImportError> {
        self.0 = self.0.checked_sub(nodes).ok_or(ImportError::TooLarge { nodes_max: NODES_MAX })?;
        Ok(())
    }
}

/// The manifest with all references replaced and all parameters where they hold.
pub(crate) fn resolve(manifest: &Value) -> Result<Value, ImportError> {
    let mut budget = Budget(NODES_MAX);
    let resolved = Resolver { manifest, open: Vec::new(), budget: &mut budget }.value(manifest, 0)?;
    let Value::Object(root) = resolved else { return Err(ImportError::NotASource) };
    Ok(Value::Object(propagate("", root, &Map::new(), &mut budget, 0)?))
}

struct Resolver<'m, 'b> {
    manifest: &'m Value,
    /// The references that lead here.
    open: Vec<String>,
    budget: &'b mut Budget,
}

impl<'m> Resolver<'m, '_> {
    fn value(&mut self, value: &'m Value, depth: usize) -> Result<Value, ImportError> {
        self.budget.spend(1)?;
        if depth > DEPTH_MAX {
            return Err(ImportError::TooDeep { depth_max: DEPTH_MAX });
        }
        match value {
            Value::Object(map) => {
                let mut own = Map::new();
                for (key, value) in map.iter().filter(|(key, _)| *key != REF) {
                    own.insert(key.clone(), self.value(value, depth + 1)?);
                }
                let Some(reference) = map.get(REF) else { return Ok(Value::Object(own)) };
                match self.value(reference, depth + 1)? {
                    // What stands beside a reference stands above what it refers to.
                    Value::Object(mut referred) => {
                        referred.extend(own);
                        Ok(Value::Object(referred))
                    }
                    plain => Ok(plain),
                }
            }
            Value::Array(list) => {
                Ok(Value::Array(list.iter().map(|item| self.value(item, depth + 1)).collect::<Result<_, _>>()?))
            }
            Value::String(text) if text.starts_with("#/") => {
                if self.open.contains(text) {
                    return Err(ImportError::Circular { reference: text.clone() });
                }
                let target = find(self.manifest, &text[2..]).ok_or_else(|| ImportError::Dangling { reference: text.clone() })?;
                self.open.push(text.clone());
                let resolved = self.value(target, depth + 1);
                self.open.pop();
                resolved
            }
            plain => Ok(plain.clone()),
        }
    }
}

/// A key may have a slash in it, so the whole rest of a path is tried as a key before its first part is.
fn find<'m>(root: &'m Value, path: &str) -> Option<&'m Value> {
    let (mut here, mut rest) = (root, path);
    while !rest.is_empty() {
        if let Some(found) = here.as_object().and_then(|map| map.get(rest)) {
            return Some(found);
        }
        let (head, tail) = rest.split_once('/').unwrap_or((rest, ""));
        here = match here {
            Value::Object(map) => map.get(head)?,
            Value::Array(list) => list.get(head.parse::<usize>().ok()?)?,
            _ => return None,
        };
        rest = tail;
    }
    Some(here)
}

/// What a component is, by the field it stands in, where it does not say.
fn default_type(field: &str) -> Option<&'static str> {
    Some(match field {
        "CompositeErrorHandler.error_handlers" | "HttpRequester.error_handler" => "DefaultErrorHandler",
        "CursorPagination.decoder" | "DefaultPaginator.decoder" | "DpathExtractor.decoder" => "JsonDecoder",
        "DatetimeBasedCursor.start_datetime" | "DatetimeBasedCursor.end_datetime" => "MinMaxDatetime",
        "DatetimeBasedCursor.start_time_option"
        | "DatetimeBasedCursor.end_time_option"
        | "DefaultPaginator.page_size_option"
        | "ListPartitionRouter.request_option"
        | "ParentStreamConfig.request_option" => "RequestOption",
        "DeclarativeSource.check" => "CheckStream",
        "DeclarativeSource.spec" => "Spec",
        "DeclarativeSource.streams" | "ParentStreamConfig.stream" => "DeclarativeStream",
        "DeclarativeSource.dynamic_streams" => "DynamicDeclarativeStream",
        "DeclarativeStream.retriever" => "SimpleRetriever",
        "DeclarativeStream.schema_loader" => "JsonFileSchemaLoader",
        "DefaultErrorHandler.response_filters" => "HttpResponseFilter",
        "DpathExtractor.record_expander" => "RecordExpander",
        "RecordSelector.extractor" => "DpathExtractor",
        "RecordSelector.record_filter" => "RecordFilter",
        "SimpleRetriever.paginator" => "NoPagination",
        "SimpleRetriever.record_selector" => "RecordSelector",
        "SimpleRetriever.requester" => "HttpRequester",
        "SubstreamPartitionRouter.parent_stream_configs" => "ParentStreamConfig",
        "AddFields.fields" => "AddedFieldDefinition",
        _ => return None,
    })
}

fn custom_type(field: &str) -> Option<&'static str> {
    Some(match field {
        "CompositeErrorHandler.backoff_strategies" | "DefaultErrorHandler.backoff_strategies" => "CustomBackoffStrategy",
        "DeclarativeStream.retriever" => "CustomRetriever",
        "DeclarativeStream.transformations" => "CustomTransformation",
        "DefaultPaginator.pagination_strategy" => "CustomPaginationStrategy",
        "HttpRequester.authenticator" => "CustomAuthenticator",
        "HttpRequester.error_handler" => "CustomErrorHandler",
        "RecordSelector.extractor" => "CustomRecordExtractor",
        "SimpleRetriever.partition_router" => "CustomPartitionRouter",
        _ => return None,
    })
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(bool) => *bool,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

fn is_component(value: &Value) -> bool {
    value.get("type").is_some_and(is_set)
}

fn propagate(
    field: &str,
    mut component: Map<String, Value>,
    outer: &Map<String, Value>,
    budget: &mut Budget,
    depth: usize,
) -> Result<Map<String, Value>, ImportError> {
    if depth > DEPTH_MAX {
        return Err(ImportError::TooDeep { depth_max: DEPTH_MAX });
    }
    if !component.contains_key("type") {
        let found = if component.contains_key("class_name") { custom_type(field) } else { default_type(field) };
        if let Some(found) = found {
            component.insert("type".to_owned(), found.into());
        }
    }
    let mut parameters = outer.clone();
    if let Some(Value::Object(own)) = component.remove(PARAMETERS) {
        parameters.extend(own);
    }
    budget.spend(1 + parameters.values().map(nodes).sum::<usize>() * 2)?;
    let kind = match component.get("type") {
        // A JSON schema, or a property that is called "type".
        Some(Value::Array(_) | Value::Object(_)) => return Ok(component),
        Some(Value::String(kind)) if kind == "object" => return Ok(component),
        Some(kind) => kind.as_str().unwrap_or_default().to_owned(),
        None => {
            for value in component.values_mut().filter(|value| is_component(value)) {
                if let Value::Object(nested) = std::mem::take(value) {
                    *value = Value::Object(propagate(field, nested, &parameters, budget, depth + 1)?);
                }
            }
            return Ok(component);
        }
    };
    for (key, value) in &parameters {
        if !component.get(key).is_some_and(is_set) {
            component.insert(key.clone(), value.clone());
        }
    }
    for (name, value) in &mut component {
        if !matches!(value, Value::Object(_) | Value::Array(_)) {
            continue;
        }
        // A parameter does not hold within the field that has its name, or it would hold within itself.
        let excluded = parameters.shift_remove(name);
        let field = format!("{kind}.{name}");
        let mut within = |value: &mut Value| -> Result<(), ImportError> {
            if let Value::Object(nested) = value {
                *value = Value::Object(propagate(&field, std::mem::take(nested), &parameters, budget, depth + 1)?);
            }
            Ok(())
        };
        match value {
            Value::Array(list) => list.iter_mut().try_for_each(&mut within)?,
            object => within(object)?,
        }
        if let Some(excluded) = excluded.filter(is_set) {
            parameters.insert(name.clone(), excluded);
        }
    }
    if !parameters.is_empty() {
        component.insert(PARAMETERS.to_owned(), Value::Object(parameters));
    }
    Ok(component)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reference_is_replaced_and_what_stands_beside_it_stands_above_it() {
        let resolved = resolve(&json!({
            "type": "DeclarativeSource",
            "definitions": {"base": {"a": 1, "b": 2}, "list": [5, {"z/a": 6}]},
            "one": {"$ref": "#/definitions/base", "b": 3},
            "two": "#/definitions/list/1/z/a",
        }))
        .unwrap();
        assert_eq!(resolved["one"], json!({"a": 1, "b": 3}));
        assert_eq!(resolved["two"], json!(6));
    }

    #[test]
    fn parameters_hold_within_and_the_inner_ones_first() {
        let resolved = resolve(&json!({
            "type": "DeclarativeSource",
            "streams": [{
                "type": "DeclarativeStream",
                "$parameters": {"name": "orders", "path": "/orders"},
                "retriever": {"requester": {"$parameters": {"path": "/inner"}}, "record_selector": {"extractor": {"field_path": []}}},
            }],
        }))
        .unwrap();
        let stream = &resolved["streams"][0];
        assert_eq!((&stream["name"], &stream["retriever"]["type"]), (&json!("orders"), &json!("SimpleRetriever")));
        assert_eq!(stream["retriever"]["requester"]["path"], json!("/inner"));
        assert_eq!(stream["retriever"]["requester"]["$parameters"], json!({"name": "orders", "path": "/inner"}));
        assert_eq!(stream["retriever"]["record_selector"]["extractor"]["type"], json!("DpathExtractor"));
    }

    #[test]
    fn a_reference_through_itself_to_nothing_or_to_too_much_is_an_error() {
        assert!(matches!(resolve(&json!({"a": {"$ref": "#/b"}, "b": {"c": "#/a"}})), Err(ImportError::Circular { .. })));
        assert!(matches!(resolve(&json!({"a": "#/nope/0"})), Err(ImportError::Dangling { .. })));
        let mut bomb = json!({"l0": ["x"]});
        for level in 1..30 {
            bomb[format!("l{level}")] = json!([format!("#/l{}", level - 1), format!("#/l{}", level - 1)]);
        }
        assert!(matches!(resolve(&bomb), Err(ImportError::TooLarge { .. })));
        assert!(matches!(resolve(&json!(["x"])), Err(ImportError::NotASource)));
    }
}
