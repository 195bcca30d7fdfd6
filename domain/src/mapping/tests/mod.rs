//! What a mapping promises, told by examples and by properties.

mod errors;
mod hostile;
mod language;
mod property;
mod rules;

use super::*;
use crate::value::{Limits, Value};

fn value(json: &str) -> Value {
    Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
}

fn plan(rules: &str) -> Plan {
    Plan::compile(&serde_json::from_str(rules).unwrap()).unwrap()
}

fn eval(expr: &str, json: &str) -> String {
    let rules = format!(r#"[{{"to":"x","expr":{}}}]"#, serde_json::to_string(expr).unwrap());
    match plan(&rules).apply(&value(json), &LookupSet::default(), &Vars::default()) {
        Ok(out) => out.get("x").map(Value::to_json).unwrap_or_default(),
        Err(issues) => issues[0].sentence.clone(),
    }
}

fn apply(rules: &str, json: &str, tables: &LookupSet) -> Result<String, Vec<Issue>> {
    plan(rules).apply(&value(json), tables, &Vars::default()).map(|out| out.to_json())
}

fn tables(tables: &[(&str, &[(&str, &str)])]) -> LookupSet {
    let entries =
        |entries: &[(&str, &str)]| entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    tables.iter().map(|(name, list)| ((*name).to_owned(), entries(list))).collect()
}

fn compile_error(rules: &str) -> String {
    Plan::compile(&serde_json::from_str(rules).unwrap()).unwrap_err().to_string()
}
