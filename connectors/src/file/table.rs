//! CSV (RFC 4180), row by row: a row that cannot be read stands for itself and stops no other. Where rows belong together, one bad row makes all of
//! them bad: an order without one of its lines would look like a whole one.

use std::io::BufRead;

use bytes::Bytes;
use domain::value::{Map, Value};
use indexmap::IndexMap;

use super::rows::{FileFlaw, FileRecord, Lines, RECORD_BYTES_MAX, decoded};
use super::{Encoding, Table};
use crate::decode::Ends;
use crate::path;

const COLUMNS_MAX: usize = 2_000;
/// Rows of one record.
const GROUP_ROWS_MAX: usize = 10_000;
/// Of a column's name that is a path. A document that is nested deeper could not be read again, and one without end takes the process along.
const STEPS_MAX: usize = 16;

pub(super) struct Rows<R> {
    lines: Lines<R>,
    ends: Ends,
    table: Table,
    encoding: Encoding,
    id: Option<String>,
    columns: Vec<String>,
    /// The place of the column that groups.
    group: Option<usize>,
    /// The first row of the next group.
    ahead: Option<Row>,
}

struct Row {
    line: u64,
    text: Vec<u8>,
    /// What stands in the column that groups, as far as that can be read.
    key: Option<String>,
    cells: Result<Vec<String>, String>,
}

fn malformed(what: String) -> FileFlaw {
    FileFlaw::Malformed { format: "CSV", what }
}

impl<R: BufRead> Rows<R> {
    pub fn new(lines: Lines<R>, table: Table, encoding: Encoding, id: Option<String>) -> Result<Self, FileFlaw> {
        let ends = Ends::unmarked(table.delimiter);
        let columns = table.columns.clone();
        let mut rows = Self { lines, ends, table, encoding, id, columns, group: None, ahead: None };
        if rows.columns.is_empty() {
            // An empty file has no rows, and that is no flaw.
            let Some(head) = rows.row()? else { return Ok(rows) };
            let names = head.cells.map_err(|what| malformed(format!("line {} {what}", head.line)))?;
            rows.columns = names.into_iter().map(|name| name.trim().to_owned()).collect();
        }
        let columns = &rows.columns;
        if columns.len() > COLUMNS_MAX {
            return Err(FileFlaw::TooMuch { max: COLUMNS_MAX as u64, of: "columns" });
        }
        let mut seen = std::collections::HashSet::new();
        if let Some(twice) = columns.iter().find(|name| !name.is_empty() && !seen.insert(name.as_str())) {
            return Err(malformed(format!("two of its columns are named \"{twice}\"")));
        }
        if rows.table.has_paths {
            if let Some(deep) = columns.iter().find(|name| path::steps(name).len() > STEPS_MAX) {
                let shown: String = deep.chars().take(60).collect();
                return Err(malformed(format!("its column \"{shown}\" is a path of more than {STEPS_MAX} steps")));
            }
            if let Some(clash) = clash(columns) {
                return Err(malformed(clash));
            }
        }
        if let Some(group) = &rows.table.group {
            let at = columns.iter().position(|name| name == group);
            let no_column =
                || malformed(format!("its first row names no column \"{group}\", by which its rows are to be grouped"));
            rows.group = Some(at.ok_or_else(no_column)?);
        }
        Ok(rows)
    }

    pub fn next(&mut self) -> Result<Option<FileRecord>, FileFlaw> {
        let first = match self.ahead.take() {
            Some(row) => Some(row),
            None => self.row()?,
        };
        let Some(first) = first else { return Ok(None) };
        if self.group.is_none() {
            return Ok(Some(self.record(vec![first])));
        }
        let key = first.key.clone();
        let mut bytes = first.text.len();
        let mut rows = vec![first];
        while let Some(row) = self.row()? {
            // A row that does not say whose it is, is taken for one of the group that it stands in.
            if row.key.is_some() && row.key != key {
                self.ahead = Some(row);
                break;
            }
            bytes += row.text.len();
            if rows.len() >= GROUP_ROWS_MAX || bytes > RECORD_BYTES_MAX {
                let key = key.unwrap_or_default();
                return Err(malformed(format!(
                    "more than {GROUP_ROWS_MAX} rows, or {RECORD_BYTES_MAX} bytes, have the same \"{key}\""
                )));
            }
            rows.push(row);
        }
        Ok(Some(self.record(rows)))
    }

    /// The next row that says something.
    fn row(&mut self) -> Result<Option<Row>, FileFlaw> {
        loop {
            let Some(row) = self.raw()? else { return Ok(None) };
            let is_blank = row.text.iter().all(u8::is_ascii_whitespace);
            if !is_blank {
                return Ok(Some(row));
            }
        }
    }

    fn raw(&mut self) -> Result<Option<Row>, FileFlaw> {
        let mut text: Vec<u8> = Vec::new();
        let mut begin = 0;
        loop {
            let Some(line) = self.lines.next()? else {
                if begin == 0 {
                    return Ok(None);
                }
                // A quote that nobody closed may have swallowed all rows behind it.
                let open = self.ends.is_quoted();
                return if open { Err(malformed(unclosed(begin))) } else { Ok(Some(self.read(begin, text))) };
            };
            if begin == 0 {
                begin = self.lines.number();
            }
            if line.is_too_long || text.len() + line.bytes.len() > RECORD_BYTES_MAX {
                return Err(malformed(unclosed(begin)));
            }
            let is_end = self.ends.last(&line.bytes) == Some(line.bytes.len());
            text.extend_from_slice(&line.bytes);
            if is_end {
                return Ok(Some(self.read(begin, text)));
            }
        }
    }

    fn read(&self, line: u64, text: Vec<u8>) -> Row {
        let cells = decoded(&text, self.encoding).and_then(|plain| {
            let mut reader = csv::ReaderBuilder::new();
            let mut reader =
                reader.delimiter(self.table.delimiter).has_headers(false).flexible(true).from_reader(plain.as_bytes());
            match reader.records().next() {
                Some(Ok(row)) => Ok(row.iter().map(str::to_owned).collect::<Vec<_>>()),
                Some(Err(error)) => Err(format!("cannot be read: {error}")),
                None => Ok(vec![]),
            }
        });
        let key = self.group.and_then(|group| cells.as_ref().ok()?.get(group).cloned());
        let (columns, count) = (self.columns.len(), cells.as_ref().map_or(0, Vec::len));
        let cells = cells.and_then(|cells| {
            if columns > 0 && count != columns {
                let values = if count == 1 { "value" } else { "values" };
                return Err(format!("has {count} {values}, but there are {columns} columns"));
            }
            Ok(cells)
        });
        Row { line, text, key, cells }
    }

    fn record(&self, rows: Vec<Row>) -> FileRecord {
        let line = rows.first().map_or(0, |row| row.line);
        let text: Bytes = rows.iter().flat_map(|row| row.text.iter().copied()).collect();
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            match row.cells {
                Ok(cells) => read.push(cells),
                Err(what) if row.line == line => return FileRecord { line, text, document: Err(what) },
                Err(what) => {
                    let document = Err(format!("begins a record whose line {} {what}", row.line));
                    return FileRecord { line, text, document };
                }
            }
        }
        let tree = self.tree(&read);
        let id = self.id.as_deref().and_then(|at| path::first(&tree, at)).and_then(Value::to_text).map(|text| text.into_owned());
        FileRecord { line, text, document: Ok((tree.to_json().into(), id.filter(|id| !id.is_empty()))) }
    }

    fn tree(&self, rows: &[Vec<String>]) -> Value {
        if self.table.has_paths {
            return self.of_paths(rows);
        }
        let of = |cells: &[String]| -> Map {
            self.columns.iter().cloned().zip(cells.iter().map(|cell| Value::Text(cell.clone()))).collect()
        };
        let mut map = rows.first().map(|cells| of(cells)).unwrap_or_default();
        if self.group.is_some() {
            map.insert("rows".into(), Value::List(rows.iter().map(|cells| Value::Map(of(cells))).collect()));
        }
        Value::Map(map)
    }

    /// What the first row says at each path; of a path through `name[]`, one more of that list for each row that says something of it.
    fn of_paths(&self, rows: &[Vec<String>]) -> Value {
        let mut tree = Value::Map(Map::new());
        let mut lists: IndexMap<&str, Vec<Value>> = IndexMap::new();
        for (number, cells) in rows.iter().enumerate() {
            let mut items: IndexMap<&str, Value> = IndexMap::new();
            for (column, cell) in self.columns.iter().zip(cells).filter(|(column, cell)| !column.is_empty() && !cell.is_empty()) {
                let cell = Value::Text(cell.clone());
                match column.split_once(ITEM) {
                    Some((list, rest)) => path::put(items.entry(list).or_insert(Value::Null), rest, cell),
                    None if number == 0 => path::put(&mut tree, column, cell),
                    None => {}
                }
            }
            for (list, item) in items {
                lists.entry(list).or_default().push(item);
            }
        }
        for (list, items) in lists {
            path::put(&mut tree, list, Value::List(items));
        }
        tree
    }
}

/// Between the path of a list and the path within each of it.
const ITEM: &str = "[]";

/// Why the names of columns are no paths that can stand beside each other.
fn clash(columns: &[String]) -> Option<String> {
    if let Some(twice) = columns.iter().find(|column| column.matches(ITEM).count() > 1) {
        return Some(format!("its column \"{twice}\" names a list within a list, which a row has no place for"));
    }
    let is_within = |column: &str, other: &str| {
        column.strip_prefix(other).is_some_and(|rest| rest.starts_with('.') || rest.starts_with(ITEM))
    };
    let two = columns
        .iter()
        .find_map(|column| Some((column, columns.iter().find(|other| !other.is_empty() && is_within(column, other))?)));
    two.map(|(column, other)| format!("its column \"{column}\" stands within its column \"{other}\", which is a value"))
}

fn unclosed(line: u64) -> String {
    format!("the row that begins in line {line} is longer than {RECORD_BYTES_MAX} bytes, or has a quote that is never closed")
}
