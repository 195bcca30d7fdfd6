//! CSV ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)): the first row names the columns, and each further row is a record whose values
//! are all text: nobody can say whether 007 is a number.

use std::borrow::Cow;

use domain::value::{Map, Value};

use super::{DecodeError, Extracted};
use crate::manifest::Csv;

const COLUMNS_MAX: usize = 2_000;

/// The rows of one file, which may come in several blocks of whole rows.
#[derive(Debug)]
pub(super) struct Rows {
    delimiter: u8,
    columns: Vec<String>,
    /// Lines of the blocks until now.
    lines: u64,
    is_first: bool,
}

fn malformed(what: String) -> DecodeError {
    DecodeError::Malformed { format: "CSV", what }
}

impl Rows {
    pub fn new(dialect: &Csv) -> Result<Self, DecodeError> {
        let delimiter = u8::try_from(dialect.delimiter.unwrap_or(','));
        let delimiter = delimiter.map_err(|_| malformed("its delimiter is no plain character".into()))?;
        Ok(Self { delimiter, columns: Vec::new(), lines: 0, is_first: true })
    }

    pub fn read(&mut self, block: &[u8], id: Option<&str>, updated_at: Option<&str>) -> Result<Vec<Extracted>, DecodeError> {
        // The library leaves out a mark wherever it begins to read: within the file it is a part of a value.
        let is_within = !std::mem::take(&mut self.is_first) && block.starts_with(BYTE_ORDER_MARK);
        let block = if is_within { Cow::Owned([BYTE_ORDER_MARK, block].concat()) } else { Cow::Borrowed(block) };
        let block = block.as_ref();
        let mut reader = csv::ReaderBuilder::new().delimiter(self.delimiter).has_headers(false).flexible(true).from_reader(block);
        let mut records = Vec::new();
        for row in reader.records() {
            let row = row.map_err(|error| malformed(self.place(block, &error)))?;
            if self.columns.is_empty() {
                self.columns = row.iter().map(|name| name.trim().to_owned()).collect();
                if self.columns.len() > COLUMNS_MAX {
                    return Err(DecodeError::TooMuch { max: COLUMNS_MAX, of: "columns" });
                }
                continue;
            }
            let columns = self.columns.len();
            if row.len() != columns {
                let line = self.line(block, row.position());
                return Err(malformed(format!("line {line} has {} values, but the first row names {columns}", row.len())));
            }
            let map: Map = self.columns.iter().cloned().zip(row.iter().map(|cell| Value::Text(cell.to_owned()))).collect();
            let of = |column: Option<&str>| map.get(column?).and_then(Value::as_str).map(str::to_owned);
            let (id, updated_at) = (of(id), of(updated_at));
            records.push(Extracted { bytes: Value::Map(map).to_json().into(), id, updated_at });
        }
        self.lines += ends(block);
        Ok(records)
    }

    /// What is wrong, at the file's line: the library counts from the block's beginning.
    fn place(&self, block: &[u8], error: &csv::Error) -> String {
        match error.kind() {
            csv::ErrorKind::Utf8 { pos, .. } => format!("line {} is not UTF-8", self.line(block, pos.as_ref())),
            _ => error.to_string(),
        }
    }

    /// The line, from 1, of the row that begins at this place of the block or after the empty lines that follow it.
    fn line(&self, block: &[u8], position: Option<&csv::Position>) -> u64 {
        let begin = position.and_then(|position| usize::try_from(position.byte()).ok()).unwrap_or(0).min(block.len());
        let empty = block[begin..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.lines + 1 + ends(&block[..begin + empty])
    }
}

/// Lines that end within these bytes.
fn ends(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Finds where rows end without reading them: a line's end within quotes is a part of the value. It decides as the reader of rows does.
#[derive(Debug)]
pub(crate) struct Ends {
    delimiter: u8,
    within: Within,
    /// Bytes of the mark at the file's beginning that may still come.
    mark: &'static [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// A value may begin here, with a quote or without.
    Start,
    Plain,
    Quoted,
    /// After a quote within quotes: it ends the value, or a second one follows and both stand for one.
    Quote,
}

impl Ends {
    pub(super) fn new(rows: &Rows) -> Self {
        Self { delimiter: rows.delimiter, within: Within::Start, mark: BYTE_ORDER_MARK }
    }

    /// For text whose mark was taken away.
    pub fn unmarked(delimiter: u8) -> Self {
        Self { delimiter, within: Within::Start, mark: b"" }
    }

    /// True within a value whose quote is not closed.
    pub fn is_quoted(&self) -> bool {
        self.within == Within::Quoted
    }

    /// The place after the last row that ends within these bytes.
    pub fn last(&mut self, chunk: &[u8]) -> Option<usize> {
        let mut last = None;
        for (at, byte) in chunk.iter().enumerate() {
            if let Some((next, rest)) = self.mark.split_first() {
                self.mark = if byte == next { rest } else { b"" };
                if byte == next {
                    continue;
                }
            }
            self.within = match (self.within, byte) {
                (Within::Quoted, b'"') => Within::Quote,
                (Within::Quoted, _) => Within::Quoted,
                (Within::Start, b'"') => Within::Quoted,
                (Within::Quote, b'"') => Within::Quoted,
                (_, b'\n') => {
                    last = Some(at + 1);
                    Within::Start
                }
                (_, b'\r') => Within::Start,
                (_, byte) if *byte == self.delimiter => Within::Start,
                _ => Within::Plain,
            };
        }
        last
    }
}
