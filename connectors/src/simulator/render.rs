//! A document as the bytes that a vendor would send: JSON, JSON lines, CSV, XML, and gzip files of them.

use std::io::Write as _;

use bytes::Bytes;
use domain::http::Delivery;
use domain::value::Value;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::SimAnswer;
use crate::manifest::{Format, Read};
use crate::path;

/// An answer to a read. `document` has the records at their path; `records` are the same ones.
pub(super) fn answer(read: &Read, document: &Value, records: &[Value]) -> SimAnswer {
    let (text, kind) = match &read.format {
        Format::Json => (document.to_json(), "application/json"),
        Format::JsonLines => (records.iter().map(|record| record.to_json() + "\n").collect(), "application/x-ndjson"),
        Format::Csv(rule) => (csv(records, rule.delimiter.unwrap_or(',')), "text/csv"),
        Format::Xml(_) => (xml(document), "application/xml"),
    };
    let (body, kind) = if read.gzip { (gzip(text.as_bytes()), "application/gzip") } else { (Bytes::from(text), kind) };
    let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
    SimAnswer { status: 200, headers, body, delay_ms: 0, delivery: Delivery::Whole, code: None }
}

/// A gzip file; without a time in it, so that the same bytes make the same file.
pub(super) fn gzip(bytes: &[u8]) -> Bytes {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).and_then(|()| out.finish()).map(Bytes::from).expect("writing to memory does not fail")
}

/// RFC 4180: the columns of all records in the order they come up; what is no plain value is written as JSON.
fn csv(records: &[Value], delimiter: char) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for map in records.iter().filter_map(Value::as_map) {
        for name in map.keys() {
            if !columns.contains(&name.as_str()) {
                columns.push(name);
            }
        }
    }
    let cell = |text: &str| {
        if text.contains([delimiter, '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
    };
    let line = |cells: Vec<String>| cells.join(&delimiter.to_string()) + "\r\n";
    let mut out = line(columns.iter().map(|name| cell(name)).collect());
    for record in records {
        let text = |name: &&str| match record.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(value) => value.to_text().map_or_else(|| value.to_json(), |text| text.into_owned()),
        };
        out.push_str(&line(columns.iter().map(|name| cell(&text(name))).collect()));
    }
    out
}

pub(super) fn xml(document: &Value) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // A document has one root element.
    match document.as_map() {
        Some(map) if map.len() == 1 && !matches!(map[0], Value::List(_)) => {
            map.iter().for_each(|(name, value)| element(&mut out, name, value));
        }
        _ => element(&mut out, "response", document),
    }
    out
}

fn element(out: &mut String, name: &str, value: &Value) {
    if let Value::List(list) = value {
        list.iter().for_each(|value| element(out, name, value));
        return;
    }
    out.push('<');
    out.push_str(name);
    let map = value.as_map();
    for (attribute, value) in map.into_iter().flatten() {
        if let Some(attribute) = attribute.strip_prefix('@') {
            out.push_str(&format!(" {attribute}=\"{}\"", escaped(&value.to_text().unwrap_or_default())));
        }
    }
    out.push('>');
    match map {
        None => out.push_str(&escaped(&value.to_text().unwrap_or_default())),
        Some(map) => {
            for (name, value) in map.iter().filter(|(name, _)| !name.starts_with('@')) {
                if name == "#text" {
                    out.push_str(&escaped(&value.to_text().unwrap_or_default()));
                } else {
                    element(out, name, value);
                }
            }
        }
    }
    out.push_str(&format!("</{name}>"));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Puts records where a path says that they are: `data.orders.edges.node` is a list of groups with one `node` each.
pub(super) fn place(document: &mut Value, at: Option<&str>, records: Vec<Value>) {
    let Some(at) = at.filter(|at| !at.is_empty()) else {
        *document = Value::List(records);
        return;
    };
    let at = super::refusal::concrete(at);
    match at.strip_suffix(".node") {
        Some(edges) => {
            let wrapped = |record| Value::Map([("node".to_owned(), record)].into_iter().collect());
            path::put(document, edges, Value::List(records.into_iter().map(wrapped).collect()));
        }
        None => path::put(document, &at, Value::List(records)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_and_elements_are_escaped() {
        let record = Value::from(&serde_json::json!({"a": "x,\"y\"\nz", "b": null, "c": 1.10}));
        assert_eq!(csv(&[record], ','), "a,b,c\r\n\"x,\"\"y\"\"\nz\",,1.1\r\n");
        let document = Value::from(&serde_json::json!({"Orders": {"@n": "2", "Order": [{"#text": "a<b"}, "c&d"]}}));
        let expected =
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Orders n=\"2\"><Order>a&lt;b</Order><Order>c&amp;d</Order></Orders>";
        assert_eq!(xml(&document), expected);
    }
}
