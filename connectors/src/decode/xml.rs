//! XML as a tree: an element is a group of its attributes (`@name`) and elements, or a text where it has neither. What repeats is a list.
//! Name spaces' prefixes are left out. Document types are refused, because entities in them can grow without end.

use domain::value::{Map, Value};
use quick_xml::events::{BytesStart, Event};

use super::{DecodeError, Decoded, Extracted};
use crate::manifest::Xml;
use crate::path;

const DEPTH_MAX: usize = 64;
const NODES_MAX: usize = 1_000_000;
/// Of one element. Each is compared with all before it, so more of them would take longer than a page may.
const ATTRIBUTES_MAX: usize = 200;

fn malformed(what: impl ToString) -> DecodeError {
    DecodeError::Malformed { format: "XML", what: what.to_string() }
}

/// An element that is being read.
struct Open {
    name: String,
    children: Map,
    text: String,
}

/// The document's one outer element: its name and the tree within it.
pub(super) fn document(body: &[u8], rule: &Xml) -> Result<(String, Value), DecodeError> {
    let text =
        std::str::from_utf8(body).map_err(|error| malformed(format!("it is not UTF-8 at byte {}", error.valid_up_to())))?;
    let mut reader = quick_xml::Reader::from_str(text);
    let mut open: Vec<Open> = Vec::new();
    let mut nodes = 0;
    loop {
        let event = reader.read_event().map_err(|error| malformed(format!("{error} at byte {}", reader.error_position())))?;
        nodes += 1;
        if nodes > NODES_MAX {
            return Err(DecodeError::TooMuch { max: NODES_MAX, of: "elements" });
        }
        let closed = match event {
            Event::Start(start) => {
                if open.len() >= DEPTH_MAX {
                    return Err(malformed(format!("nested deeper than {DEPTH_MAX}")));
                }
                open.push(begin(&start)?);
                None
            }
            Event::Empty(start) => Some(begin(&start)?),
            Event::End(_) => open.pop(),
            Event::Text(part) => {
                let part = part.decode().map_err(malformed)?;
                if let Some(open) = open.last_mut() {
                    open.text.push_str(&part);
                } else if !part.trim().is_empty() {
                    return Err(malformed("there is text outside of the document"));
                }
                None
            }
            Event::CData(part) => {
                if let Some(open) = open.last_mut() {
                    open.text.push_str(&part.decode().map_err(malformed)?);
                }
                None
            }
            Event::GeneralRef(name) => {
                let resolved = match name.resolve_char_ref().map_err(malformed)? {
                    Some(char) => char,
                    None => match name.decode().map_err(malformed)?.as_ref() {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        other => return Err(malformed(format!("there is no entity \"{other}\""))),
                    },
                };
                if let Some(open) = open.last_mut() {
                    open.text.push(resolved);
                }
                None
            }
            Event::DocType(_) => return Err(malformed("a document type is not read")),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => None,
            Event::Eof => return Err(malformed("the document ends too early")),
        };
        if let Some(closed) = closed {
            let (name, value) = close(closed);
            match open.last_mut() {
                Some(parent) => add(&mut parent.children, name, value, rule),
                // The outer element has ended, and with it the document.
                None => return Ok((name, value)),
            }
        }
    }
}

fn begin(start: &BytesStart<'_>) -> Result<Open, DecodeError> {
    let local = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut children = Map::new();
    for (number, attribute) in start.attributes().enumerate() {
        if number >= ATTRIBUTES_MAX {
            return Err(DecodeError::TooMuch { max: ATTRIBUTES_MAX, of: "attributes of one element" });
        }
        let attribute = attribute.map_err(malformed)?;
        if attribute.key.as_ref() == b"xmlns" || attribute.key.as_ref().starts_with(b"xmlns:") {
            continue;
        }
        let value = attribute.unescape_value().map_err(malformed)?.into_owned();
        children.insert(format!("@{}", local(attribute.key.local_name().as_ref())), Value::Text(value));
    }
    Ok(Open { name: local(start.local_name().as_ref()), children, text: String::new() })
}

fn close(mut open: Open) -> (String, Value) {
    if open.children.is_empty() {
        return (open.name, Value::Text(open.text));
    }
    if !open.text.trim().is_empty() {
        open.children.insert("#text".into(), Value::Text(open.text.trim().to_owned()));
    }
    (open.name, Value::Map(open.children))
}

fn add(children: &mut Map, name: String, value: Value, rule: &Xml) {
    match children.get_mut(&name) {
        None if rule.lists.contains(&name) => {
            children.insert(name, Value::List(vec![value]));
        }
        None => {
            children.insert(name, value);
        }
        Some(Value::List(list)) => list.push(value),
        Some(single) => {
            let first = std::mem::replace(single, Value::Null);
            *single = Value::List(vec![first, value]);
        }
    }
}

pub(super) fn page(
    tree: &Value,
    records: Option<&str>,
    (id, updated_at): (Option<&str>, Option<&str>),
    values: &[String],
) -> Decoded {
    let at = |value: &Value, path: Option<&str>| path::first(value, path?)?.to_text().map(|text| text.into_owned());
    let mut decoded = Decoded { values: values.iter().map(|path| at(tree, Some(path))).collect(), ..Decoded::default() };
    let mut add = |value: &Value| {
        decoded.records.push(Extracted { id: at(value, id), updated_at: at(value, updated_at), bytes: value.to_json().into() });
    };
    for found in path::all(tree, records.unwrap_or_default()) {
        match found {
            Value::List(list) => list.iter().for_each(&mut add),
            // An empty element is an empty list.
            Value::Text(text) if text.trim().is_empty() => {}
            single => add(single),
        }
    }
    decoded
}
