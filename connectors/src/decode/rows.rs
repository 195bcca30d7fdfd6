//! CSV ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)): the first row names the columns, and each further row is a record whose values
//! are all text: nobody can say whether 007 is a number.

use bytes::Bytes;
use domain::value::{Map, Value};

use super::{DecodeError, Decoded, Extracted};
use crate::manifest::Csv;

const COLUMNS_MAX: usize = 2_000;

pub(super) fn records(body: &Bytes, dialect: &Csv, id: Option<&str>, updated_at: Option<&str>) -> Result<Decoded, DecodeError> {
    let malformed = |what: String| DecodeError::Malformed { format: "CSV", what };
    let delimiter =
        u8::try_from(dialect.delimiter.unwrap_or(',')).map_err(|_| malformed("its delimiter is no plain character".into()))?;
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(body);
    let mut columns: Vec<String> = Vec::new();
    let mut decoded = Decoded::default();
    for row in reader.records() {
        let row = row.map_err(|error| malformed(error.to_string()))?;
        if columns.is_empty() {
            columns = row.iter().map(|name| name.trim().to_owned()).collect();
            if columns.len() > COLUMNS_MAX {
                return Err(DecodeError::TooMuch { max: COLUMNS_MAX, of: "columns" });
            }
            continue;
        }
        if row.len() != columns.len() {
            let line = row.position().map_or(0, csv::Position::line);
            return Err(malformed(format!("line {line} has {} values, but the first row names {}", row.len(), columns.len())));
        }
        let map: Map = columns.iter().cloned().zip(row.iter().map(|cell| Value::Text(cell.to_owned()))).collect();
        let of = |column: Option<&str>| map.get(column?).and_then(Value::as_str).map(str::to_owned);
        let (id, updated_at) = (of(id), of(updated_at));
        decoded.records.push(Extracted { bytes: Value::Map(map).to_json().into(), id, updated_at });
    }
    Ok(decoded)
}
