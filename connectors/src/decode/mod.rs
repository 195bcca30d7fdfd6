//! An answer's bytes become records: JSON, JSON Lines, CSV or XML, perhaps a gzip file. A JSON record leaves as the bytes that came; of the
//! other formats every value is text. Everything is bounded: bytes, decompressed bytes, depth, count.

mod lines;
mod rows;
mod scan;
mod xml;

use std::io::Read as _;
use std::ops::Range;

use bytes::Bytes;
use domain::value::Value;

use crate::manifest::{Format, Read};
use crate::path::steps;
pub(crate) use lines::Lines;
pub(crate) use rows::Ends;
use scan::{Wanted, plain, says_something, scan};

/// One page, decompressed.
const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Records of one page.
const PAGE_RECORDS_MAX: usize = 1_000_000;

/// Why an answer cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("it is not {format}: {what}")]
    Malformed { format: &'static str, what: String },
    #[error("it has more than {max} {of}")]
    TooMuch { max: usize, of: &'static str },
    #[error("nothing stands at \"{0}\", where the records should be")]
    NoRecords(String),
}

/// One record of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extracted {
    /// JSON.
    pub bytes: Bytes,
    pub id: Option<String>,
    /// When it last changed, as the vendor writes it.
    pub updated_at: Option<String>,
}

/// A page: its records, and what else was asked of the answer.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    pub records: Vec<Extracted>,
    /// Of each wanted path, the first plain value.
    pub values: Vec<Option<String>>,
    /// One of the paths where a success carries an error is filled.
    pub has_error_inside: bool,
}

/// A whole XML document as a tree, its outer element included.
///
/// # Errors
/// Where the bytes are no XML, or too many.
pub(crate) fn xml_document(body: &[u8]) -> Result<Value, DecodeError> {
    xml::document(body, &crate::manifest::Xml::default()).map(|(root, tree)| rooted(root, tree))
}

/// The tree within an XML document's outer element.
///
/// # Errors
/// As [`xml_document`].
pub(crate) fn xml_tree(body: &[u8], rule: &crate::manifest::Xml) -> Result<Value, DecodeError> {
    xml::document(body, rule).map(|(_, tree)| tree)
}

fn rooted(root: String, tree: Value) -> Value {
    Value::Map(std::iter::once((root, tree)).collect())
}

/// What is wanted of a page, prepared once for all pages of a read.
#[derive(Debug)]
pub struct Decoder {
    format: Format,
    errors_inside: Vec<String>,
    gzip: bool,
    records: Option<String>,
    absent_is_empty: bool,
    id: Option<String>,
    updated_at: Option<String>,
    values: Vec<String>,
    wanted: Wanted,
    wanted_of_record: Wanted,
}

const ID: usize = 0;
const UPDATED_AT: usize = 1;

impl Decoder {
    /// For the answers of one read: where a record carries its id and the time of its last change, which further values are wanted of a
    /// page, and where a success carries an error.
    #[must_use]
    pub fn new(read: &Read, (id, updated_at): (Option<&str>, Option<&str>), values: &[String], errors_inside: &[String]) -> Self {
        let records = read.records.as_deref();
        let of_record = || {
            let mut record = Wanted::default();
            for (path, slot) in [(id, ID), (updated_at, UPDATED_AT)] {
                if let Some(path) = path {
                    record.add(&steps(path), slot);
                }
            }
            record
        };
        let mut wanted = Wanted::default();
        for (slot, path) in values.iter().chain(errors_inside).enumerate() {
            wanted.add(&steps(path), slot);
        }
        wanted.add_records(&steps(records.unwrap_or_default()), of_record());
        Self {
            format: read.format.clone(),
            errors_inside: errors_inside.to_vec(),
            gzip: read.gzip,
            absent_is_empty: read.absent_is_empty,
            records: records.map(str::to_owned),
            id: id.map(str::to_owned),
            updated_at: updated_at.map(str::to_owned),
            values: values.to_vec(),
            wanted,
            wanted_of_record: of_record(),
        }
    }

    /// # Errors
    /// Where the bytes are not what they should be, or too many.
    pub fn decode(&self, body: &Bytes) -> Result<Decoded, DecodeError> {
        let body = if self.gzip { gunzip(body)? } else { body.clone() };
        if body.len() > PAGE_BYTES_MAX {
            return Err(DecodeError::TooMuch { max: PAGE_BYTES_MAX, of: "bytes" });
        }
        let decoded = match &self.format {
            Format::Json => self.json(&body),
            Format::JsonLines => self.json_lines(&body, &mut 0).map(|records| self.without_values(records)),
            Format::Csv(csv) => rows::Rows::new(csv)?
                .read(&body, self.id.as_deref(), self.updated_at.as_deref())
                .map(|records| self.without_values(records)),
            Format::Xml(xml) => {
                let (root, tree) = xml::document(&body, xml)?;
                let of_record = (self.id.as_deref(), self.updated_at.as_deref());
                let mut decoded = xml::page(&tree, self.records.as_deref(), of_record, &self.values);
                if !self.errors_inside.is_empty() {
                    let whole = rooted(root, tree);
                    let mut inside = self.errors_inside.iter().flat_map(|at| crate::path::all(&whole, at));
                    decoded.has_error_inside = inside.any(crate::response::says_something);
                }
                Ok(decoded)
            }
        }?;
        if decoded.records.len() > PAGE_RECORDS_MAX {
            return Err(DecodeError::TooMuch { max: PAGE_RECORDS_MAX, of: "records" });
        }
        Ok(decoded)
    }

    fn json(&self, body: &Bytes) -> Result<Decoded, DecodeError> {
        let text = utf8(body, "JSON")?;
        let found = scan(text, &self.wanted).map_err(|error| malformed_json(text, &error))?;
        let mut decoded = Decoded { values: vec![None; self.values.len()], ..Decoded::default() };
        for (slot, range) in &found.slots {
            let raw = &text[range.clone()];
            match decoded.values.get_mut(*slot) {
                Some(value) if value.is_none() => *value = plain(raw),
                Some(_) => {}
                None => decoded.has_error_inside |= says_something(raw),
            }
        }
        if let Some(records) =
            self.records.as_ref().filter(|_| !found.has_place && !self.absent_is_empty && !decoded.has_error_inside)
        {
            return Err(DecodeError::NoRecords(records.clone()));
        }
        decoded.records = found.records.into_iter().map(|record| extracted(body, text, record.range, &record.slots)).collect();
        Ok(decoded)
    }

    /// Lines carry records and nothing else.
    fn without_values(&self, records: Vec<Extracted>) -> Decoded {
        Decoded { records, values: vec![None; self.values.len()], has_error_inside: false }
    }

    /// Whole lines; `lines` counts those before them, and then these too.
    fn json_lines(&self, body: &Bytes, lines: &mut usize) -> Result<Vec<Extracted>, DecodeError> {
        let malformed = |what: String| DecodeError::Malformed { format: "JSON Lines", what };
        let text = std::str::from_utf8(body).map_err(|error| {
            let before = body[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
            malformed(format!("line {} is not UTF-8", *lines + before + 1))
        })?;
        let mut records = Vec::new();
        let mut begin = 0;
        for line in text.split_inclusive('\n') {
            let start = begin;
            begin += line.len();
            *lines += 1;
            let line = line.strip_suffix('\n').unwrap_or(line);
            let range = start..start + line.len();
            if line.trim().is_empty() {
                continue;
            }
            let found = scan(line, &self.wanted_of_record)
                .map_err(|error| malformed(format!("{} at line {lines}, column {}", error.what, error.at + 1)))?;
            let trimmed = range.start + (line.len() - line.trim_start().len());
            let slots = found
                .slots
                .into_iter()
                .map(|(slot, at)| (slot, at.start + range.start..at.end + range.start))
                .collect::<Vec<_>>();
            records.push(extracted(body, text, trimmed..range.start + line.trim_end().len(), &slots));
        }
        Ok(records)
    }
}

fn extracted(body: &Bytes, text: &str, range: Range<usize>, slots: &[(usize, Range<usize>)]) -> Extracted {
    let of = |wanted| slots.iter().find(|(slot, _)| *slot == wanted).and_then(|(_, range)| plain(&text[range.clone()]));
    Extracted { id: of(ID), updated_at: of(UPDATED_AT), bytes: body.slice(range) }
}

fn utf8<'b>(body: &'b Bytes, format: &'static str) -> Result<&'b str, DecodeError> {
    std::str::from_utf8(body)
        .map_err(|error| DecodeError::Malformed { format, what: format!("it is not UTF-8 at byte {}", error.valid_up_to()) })
}

fn malformed_json(text: &str, error: &scan::ScanError) -> DecodeError {
    let before = &text.as_bytes()[..error.at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    DecodeError::Malformed { format: "JSON", what: format!("{} at line {line}, column {column}", error.what) }
}

/// A small file may be a large one: what it grows to is bounded.
fn gunzip(body: &Bytes) -> Result<Bytes, DecodeError> {
    let mut out = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(body.as_ref()).take(PAGE_BYTES_MAX as u64 + 1);
    reader.read_to_end(&mut out).map_err(|error| DecodeError::Malformed { format: "gzip", what: error.to_string() })?;
    if out.len() > PAGE_BYTES_MAX {
        Err(DecodeError::TooMuch { max: PAGE_BYTES_MAX, of: "bytes, decompressed" })
    } else {
        Ok(out.into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::manifest::{Csv, Xml};

    fn decoder(format: Format, gzip: bool, records: &str) -> Decoder {
        let read = "request: {method: GET, path: /x}";
        let mut read: Read = serde_saphyr::from_str(read).unwrap();
        (read.format, read.gzip, read.records) = (format, gzip, Some(records.to_owned()));
        Decoder::new(&read, (Some("id"), Some("at")), &["next".to_owned()], &["errors".to_owned()])
    }

    fn seen(decoded: &Decoded) -> Vec<(String, Option<&str>, Option<&str>)> {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        decoded.records.iter().map(|r| (text(&r.bytes), r.id.as_deref(), r.updated_at.as_deref())).collect()
    }

    #[test]
    fn values_keep_their_types_and_absent_differs_from_null_and_empty() {
        let page = Bytes::from_static(
            br#"{"items":[{"id":9007199254740993,"a":1.10,"b":null,"c":""},{"id":"007","at":5}],"next":null}"#,
        );
        let decoded = decoder(Format::Json, false, "items").decode(&page).unwrap();
        assert_eq!(
            seen(&decoded),
            [
                (r#"{"id":9007199254740993,"a":1.10,"b":null,"c":""}"#.to_owned(), Some("9007199254740993"), None),
                (r#"{"id":"007","at":5}"#.to_owned(), Some("007"), Some("5")),
            ]
        );
        assert_eq!((decoded.values[0].as_deref(), decoded.has_error_inside), (None, false));
        let inside = Bytes::from_static(br#"{"items":[],"errors":[{"m":"no"}]}"#);
        assert!(decoder(Format::Json, false, "items").decode(&inside).unwrap().has_error_inside);
    }

    #[test]
    fn an_answer_without_a_place_for_records_is_not_an_empty_page() {
        let decode = |records: &str, body: &'static str| {
            decoder(Format::Json, false, records).decode(&Bytes::from_static(body.as_bytes()))
        };
        for (records, body) in [("items", "{\"items\":[]}"), ("a.edges.node", "{\"a\":{\"edges\":[]}}"), ("", "[]")] {
            assert_eq!(decode(records, body).unwrap().records.len(), 0, "{body}");
        }
        for (records, body) in
            [("items", "{\"message\":\"hello\"}"), ("a.edges.node", "{\"a\":{}}"), ("items", "{\"items\":null}")]
        {
            assert_eq!(decode(records, body).unwrap_err(), DecodeError::NoRecords(records.into()), "{body}");
        }
    }

    #[test]
    fn lines_rows_and_elements_are_records_too() {
        let lines = Bytes::from_static(b"{\"id\":1,\"at\":\"x\"}\r\n\n {\"id\":2} \n");
        let decoded = decoder(Format::JsonLines, false, "").decode(&lines).unwrap();
        assert_eq!(
            seen(&decoded),
            [("{\"id\":1,\"at\":\"x\"}".into(), Some("1"), Some("x")), ("{\"id\":2}".into(), Some("2"), None)]
        );

        let rows = Bytes::from("\u{feff}id;at;note\r\n007;x;\"a;\"\"b\"\"\nc\"\r\n8;;\r\n");
        let decoded = decoder(Format::Csv(Csv { delimiter: Some(';') }), false, "").decode(&rows).unwrap();
        let first = "{\"id\":\"007\",\"at\":\"x\",\"note\":\"a;\\\"b\\\"\\nc\"}".to_owned();
        assert_eq!(
            seen(&decoded),
            [(first, Some("007"), Some("x")), ("{\"id\":\"8\",\"at\":\"\",\"note\":\"\"}".into(), Some("8"), Some(""))]
        );

        let xml = Bytes::from_static(
            b"<?xml version=\"1.0\"?><r xmlns=\"urn:x\"><next>n</next><items><item k=\"1&amp;2\"><id>007</id><t>a</t><t>b</t></item></items></r>",
        );
        let decoded = decoder(Format::Xml(Xml { lists: vec!["item".into()] }), false, "items.item").decode(&xml).unwrap();
        let item = "{\"@k\":\"1&2\",\"id\":\"007\",\"t\":[\"a\",\"b\"]}".to_owned();
        assert_eq!((seen(&decoded), decoded.values[0].as_deref()), (vec![(item, Some("007"), None)], Some("n")));
    }

    #[test]
    fn a_bomb_is_refused_and_not_unpacked() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for _ in 0..(PAGE_BYTES_MAX / 65_536 + 2) {
            packed.write_all(&[b' '; 65_536]).unwrap();
        }
        let bomb = Bytes::from(packed.finish().unwrap());
        let error = decoder(Format::Json, true, "items").decode(&bomb).unwrap_err();
        assert_eq!(error.to_string(), "it has more than 67108864 bytes, decompressed");
        let error = decoder(Format::Json, true, "items").decode(&Bytes::from_static(b"no gzip")).unwrap_err();
        assert!(error.to_string().starts_with("it is not gzip"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        for (format, body, what) in [
            (Format::Json, &b"{\"items\":[\n{\"id\":}]}"[..], "it is not JSON: a value was expected at line 2, column 7"),
            (Format::Json, b"{\"items\":\"\xff\"}", "it is not JSON: it is not UTF-8 at byte 10"),
            (Format::Json, b"<html>", "it is not JSON: a value was expected at line 1, column 1"),
            (Format::JsonLines, b"{}\n{\"a\"}", "it is not JSON Lines: a colon was expected at line 2, column 5"),
            (Format::Csv(Csv::default()), b"a,b\n1,2,3\n", "it is not CSV: line 2 has 3 values, but the first row names 2"),
            (Format::Xml(Xml::default()), b"<a><b></a>", "it is not XML: "),
            (
                Format::Xml(Xml::default()),
                b"<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>",
                "it is not XML: a document type is not read",
            ),
        ] {
            let error = decoder(format, false, "items").decode(&Bytes::copy_from_slice(body)).unwrap_err().to_string();
            assert!(error.starts_with(what), "{error}");
        }
    }
}
