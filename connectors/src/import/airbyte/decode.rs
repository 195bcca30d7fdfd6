//! An answer's bytes as documents. Numbers keep their digits.

use domain::value::{Limits, Map, Value};

use super::model::{Csv, Decoder};

/// One answer. The door that reads it is bounded too.
const LIMITS: Limits = Limits { bytes_max: 64 * 1024 * 1024, depth_max: 64, nodes_max: 4_000_000 };
/// Rows of a CSV file, lines of a JSON-lines one.
const ROWS_MAX: usize = 1_000_000;

/// The document; a group of nothing where the body is empty.
pub(crate) fn json(body: &[u8]) -> Result<Value, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Map(Map::new()));
    }
    Value::parse(body, &LIMITS).map_err(|error| error.to_string())
}

/// What records are looked for in, one after the other: a list at the top is as many documents.
pub(crate) fn documents(decoder: Option<&Decoder>, body: &[u8]) -> Result<Vec<Value>, String> {
    match decoder {
        None | Some(Decoder::Json) => Ok(match json(body)? {
            Value::List(list) if list.is_empty() => vec![Value::Map(Map::new())],
            Value::List(list) => list,
            one => vec![one],
        }),
        Some(Decoder::Jsonl) => {
            let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
            let mut out = Vec::new();
            for line in lines {
                if out.len() >= ROWS_MAX {
                    return Err(format!("it has more than {ROWS_MAX} lines"));
                }
                out.push(Value::parse(line, &LIMITS).map_err(|error| format!("line {}: {error}", out.len() + 1))?);
            }
            Ok(out)
        }
        Some(Decoder::Csv(csv)) => rows(csv, body),
    }
}

/// What a paginator's expressions call `response`: the first document, and nothing where the answer is read as a stream.
pub(crate) fn page(decoder: Option<&Decoder>, documents: &[Value]) -> Value {
    match decoder {
        None | Some(Decoder::Json) => documents.first().cloned().unwrap_or_else(|| Value::Map(Map::new())),
        _ => Value::Map(Map::new()),
    }
}

fn rows(csv: &Csv, body: &[u8]) -> Result<Vec<Value>, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the text is not UTF-8".to_owned())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let delimiter = match csv.delimiter.as_deref() {
        None | Some("") => ',',
        Some("\\t") => '\t',
        Some(text) => text.chars().next().unwrap_or(','),
    };
    let mut lines = cells(text, delimiter).into_iter();
    let names = lines.next().unwrap_or_default();
    let none = csv.set_values_to_none.as_deref().unwrap_or_default();
    let mut out = Vec::new();
    for line in lines {
        if out.len() >= ROWS_MAX {
            return Err(format!("it has more than {ROWS_MAX} rows"));
        }
        if line.len() > names.len() {
            return Err(format!("row {} has more cells than the first", out.len() + 2));
        }
        let mut line = line.into_iter();
        let row: Map = names
            .iter()
            .map(|name| {
                let cell = line.next().filter(|cell| !none.contains(cell));
                (name.clone(), cell.map_or(Value::Null, Value::Text))
            })
            .collect();
        out.push(Value::Map(row));
    }
    Ok(out)
}

/// RFC 4180, empty lines left out.
fn cells(text: &str, delimiter: char) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut started) = (false, false);
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => (quoted, started) = (true, true),
            char if quoted => cell.push(char),
            char if char == delimiter => {
                started = true;
                row.push(std::mem::take(&mut cell));
            }
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' | '\r' => {
                if started || !cell.is_empty() {
                    row.push(std::mem::take(&mut cell));
                    rows.push(std::mem::take(&mut row));
                }
                started = false;
            }
            char => cell.push(char),
        }
    }
    if started || !cell.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_csv_file_is_read_by_its_first_row() {
        let csv = Csv { set_values_to_none: Some(vec!["NA".to_owned()]), ..Csv::default() };
        let text = "\u{feff}id,name\r\n1,\"a, \"\"b\"\"\nc\"\r\n\r\n007,NA\n3\n";
        let found: Vec<String> = rows(&csv, text.as_bytes()).unwrap().iter().map(Value::to_json).collect();
        assert_eq!(found, [r#"{"id":"1","name":"a, \"b\"\nc"}"#, r#"{"id":"007","name":null}"#, r#"{"id":"3","name":null}"#]);
        assert!(rows(&csv, b"a\n1,2").is_err());
    }

    #[test]
    fn a_list_at_the_top_is_as_many_documents() {
        let found = |body: &str| documents(None, body.as_bytes()).map(|list| list.iter().map(Value::to_json).collect::<Vec<_>>());
        assert_eq!(found("[1,2]").unwrap(), ["1", "2"]);
        assert_eq!(found("[]").unwrap(), ["{}"]);
        assert_eq!(found("").unwrap(), ["{}"]);
        assert!(found("<html>").is_err());
    }
}
