//! A table as CSV: what people keep in spreadsheets, and get back.
//!
//! Values are kept to the letter, spaces too: a source may send them so. A cell that a spreadsheet would run as a formula is written with an
//! apostrophe before it, which is taken away again when it is read.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};

use crate::cell::{begins_as_formula, written};

use super::{Entry, TableKind, midnight, rate_key, shown, unit_key, unit_parts};

/// Rows of one file.
pub const ROWS_MAX: usize = 50_000;
/// Bad rows that a report shows; all are counted.
pub const BAD_ROWS_MAX: usize = 100;
/// Characters of a row that a report shows.
const ROW_CHARS_MAX: usize = 200;

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sheet {
    /// Each with the line it begins on.
    pub rows: Vec<(u64, Entry)>,
    pub bad: BadRows,
}

/// Rows that say nothing usable: the first hundred, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BadRows {
    pub rows: Vec<BadRow>,
    pub count: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRow {
    pub line: u64,
    /// In plain words.
    pub what: String,
    /// The row as it stands there, shortened.
    pub row: String,
}

impl BadRows {
    pub fn push(&mut self, line: u64, what: impl Into<String>, row: &str) {
        self.count += 1;
        if self.rows.len() < BAD_ROWS_MAX {
            self.rows.push(BadRow { line, what: what.into(), row: row.chars().take(ROW_CHARS_MAX).collect() });
        }
    }

    /// In the order of the file.
    pub fn sort(&mut self) {
        self.rows.sort_by_key(|row| row.line);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Item,
    From,
    To,
    Number,
    Date,
    EffectiveFrom,
    EffectiveUntil,
}

/// The columns of a kind in the order that a file without a header has them, and how many of them it must have.
fn columns(kind: TableKind) -> (&'static [(Column, &'static str)], usize) {
    use Column::{Date, EffectiveFrom, EffectiveUntil, From, Item, Number, To};
    match kind {
        TableKind::Codes => {
            (&[(From, "from"), (To, "to"), (EffectiveFrom, "effective_from"), (EffectiveUntil, "effective_until")], 2)
        }
        TableKind::Rates => (&[(From, "from"), (To, "to"), (Date, "date"), (Number, "rate")], 4),
        TableKind::Units => (
            &[
                (Item, "item"),
                (From, "from"),
                (To, "to"),
                (Number, "factor"),
                (EffectiveFrom, "effective_from"),
                (EffectiveUntil, "effective_until"),
            ],
            4,
        ),
    }
}

/// Reads a file: with a header or without, its cells parted by comma, semicolon or tab.
#[must_use]
pub fn read(kind: TableKind, text: &str) -> Sheet {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let delimiter = delimiter(text);
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let (known, least) = columns(kind);
    let mut order: Vec<Column> = known.iter().map(|(column, _)| *column).collect();
    let (mut sheet, mut is_first, mut least) = (Sheet::default(), true, least);
    let mut record = csv::StringRecord::new();
    // The text is UTF-8 and its rows may differ in length: then there is nothing that is no CSV.
    while reader.read_record(&mut record).unwrap_or(false) {
        let line = line_of(text, &record);
        if std::mem::take(&mut is_first)
            && let Some(header) = header(known, &record)
        {
            match header {
                Ok(header) => {
                    least = known[..least]
                        .iter()
                        .filter_map(|(column, _)| header.iter().position(|c| c == column))
                        .max()
                        .unwrap_or(0)
                        + 1;
                    order = header;
                    continue;
                }
                Err(what) => {
                    sheet.bad.push(line, what, &shown_row(&record, delimiter));
                    return sheet;
                }
            }
        }
        if sheet.rows.len() + sheet.bad.count == ROWS_MAX {
            sheet.bad.push(line, format!("a file has at most {ROWS_MAX} rows: import the rest as another file"), "");
            break;
        }
        match entry(kind, &order, least, &record) {
            Ok(entry) => sheet.rows.push((line, entry)),
            Err(what) => sheet.bad.push(line, what, &shown_row(&record, delimiter)),
        }
    }
    sheet
}

/// The one of comma, semicolon and tab that the first line has most of, outside of quotes.
fn delimiter(text: &str) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut is_quoted = false;
    for byte in text.trim_start_matches(['\r', '\n']).bytes() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' | b'\r' if !is_quoted => break,
            _ if is_quoted => {}
            _ => counts.iter_mut().filter(|(delimiter, _)| *delimiter == byte).for_each(|(_, count)| *count += 1),
        }
    }
    // The first of equals: a comma.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

/// The line a record begins on, from 1. The reader names the empty lines before it, where there are any.
fn line_of(text: &str, record: &csv::StringRecord) -> u64 {
    let Some(position) = record.position() else { return 1 };
    let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let skipped = text.as_bytes().get(from..).unwrap_or_default().iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    position.line() + skipped.filter(|byte| **byte == b'\n').count() as u64
}

/// The columns that a header names; `None` where the row is none.
fn header(known: &[(Column, &str)], record: &csv::StringRecord) -> Option<Result<Vec<Column>, String>> {
    let names: Vec<String> = record.iter().map(|cell| cell.trim().to_lowercase()).collect();
    let find = |name: &String| known.iter().find(|(_, text)| text == name).map(|(column, _)| *column);
    if names.iter().filter(|name| find(name).is_some()).count() < 2 {
        return None;
    }
    let mut header = Vec::new();
    for name in names.iter().rev().skip_while(|name| name.is_empty()).collect::<Vec<_>>().into_iter().rev() {
        match find(name) {
            Some(column) if header.contains(&column) => return Some(Err(format!("the column \"{name}\" is there twice"))),
            Some(column) => header.push(column),
            None => {
                let known = known.iter().map(|(_, name)| *name).collect::<Vec<_>>().join(", ");
                return Some(Err(format!("there is no column \"{name}\"; there are {known}")));
            }
        }
    }
    let needed = [Column::From, Column::To, Column::Number, Column::Date];
    let lacks = known.iter().find(|(column, _)| needed.contains(column) && !header.contains(column));
    Some(lacks.map_or(Ok(header), |(_, name)| Err(format!("the column \"{name}\" is missing"))))
}

fn entry(kind: TableKind, order: &[Column], least: usize, record: &csv::StringRecord) -> Result<Entry, String> {
    if record.len() < least {
        return Err(format!("it has {} of at least {least} cells", record.len()));
    }
    if record.iter().skip(order.len()).any(|cell| !cell.trim().is_empty()) {
        return Err(format!("it has {} cells, and there are {} columns", record.len(), order.len()));
    }
    let cell = |column| {
        let at = order.iter().position(|known| *known == column)?;
        record.get(at).map(unguarded).filter(|cell| !cell.is_empty())
    };
    let text = |column| cell(column).unwrap_or_default();
    let (effective_from, effective_until) = (moment(cell(Column::EffectiveFrom))?, moment(cell(Column::EffectiveUntil))?);
    let entry = match kind {
        TableKind::Codes => Entry { effective_from, effective_until, ..Entry::always(text(Column::From), text(Column::To)) },
        TableKind::Rates => {
            let key = rate_key(text(Column::From).trim(), text(Column::To).trim());
            Entry { effective_from: day(cell(Column::Date))?.map(midnight), ..Entry::always(key, text(Column::Number)) }
        }
        TableKind::Units => {
            let (from, to) = (text(Column::From).trim(), text(Column::To).trim());
            if [from, to].iter().any(|unit| unit.contains('|')) {
                return Err("the name of a unit has no | in it".to_owned());
            }
            let key = unit_key(cell(Column::Item), from, to);
            Entry { effective_from, effective_until, ..Entry::always(key, text(Column::Number)) }
        }
    };
    entry.checked(kind)
}

fn day(cell: Option<&str>) -> Result<Option<NaiveDate>, String> {
    let Some(text) = cell.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
    day.map(Some).ok_or_else(|| format!("\"{}\" is no day such as 2026-11-24", shortened(text)))
}

fn moment(cell: Option<&str>) -> Result<Option<DateTime<Utc>>, String> {
    let Some(text) = cell.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if let Ok(day) = day(Some(text)) {
        return Ok(day.map(midnight));
    }
    let moment = DateTime::parse_from_rfc3339(text).map(|at| Some(at.with_timezone(&Utc)));
    moment.map_err(|_| {
        format!("\"{}\" is neither a day such as 2026-11-24 nor a time such as 2026-11-24T08:00:00Z", shortened(text))
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

fn shown_row(record: &csv::StringRecord, delimiter: u8) -> String {
    let mut row = String::new();
    for (at, cell) in record.iter().enumerate() {
        if at > 0 {
            row.push(char::from(delimiter));
        }
        row.push_str(cell);
        if row.len() > ROW_CHARS_MAX * 4 {
            break;
        }
    }
    row
}

/// True of what a spreadsheet takes for a formula, with any number of our apostrophes before it.
fn is_formula(cell: &str) -> bool {
    begins_as_formula(cell.trim_start_matches('\''))
}

fn guarded(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) { format!("'{cell}").into() } else { cell.into() }
}

fn unguarded(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|_| is_formula(cell)).unwrap_or(cell)
}

/// Writes a table. What [`read`] reads of it are the same entries.
#[must_use]
pub fn write<'e>(kind: TableKind, entries: impl IntoIterator<Item = &'e Entry>) -> String {
    let mut out = String::new();
    let row = |out: &mut String, cells: &[&str]| out.push_str(&written(cells.iter().map(|cell| guarded(cell))));
    row(&mut out, &columns(kind).0.iter().map(|(_, name)| *name).collect::<Vec<_>>());
    for entry in entries {
        let begins = entry.effective_from.map(shown).unwrap_or_default();
        let ends = entry.effective_until.map(shown).unwrap_or_default();
        match kind {
            TableKind::Codes => row(&mut out, &[&entry.from, &entry.to, &begins, &ends]),
            TableKind::Rates => {
                let (from, to) = entry.from.split_once('/').unwrap_or((&entry.from, ""));
                row(&mut out, &[from, to, &begins, &entry.to]);
            }
            TableKind::Units => {
                let (item, from, to) = unit_parts(&entry.from).unwrap_or((None, &entry.from, ""));
                row(&mut out, &[item.unwrap_or_default(), from, to, &entry.to, &begins, &ends]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line and what it says.
    type Lines = Vec<(u64, String)>;

    fn said(kind: TableKind, text: &str) -> (Lines, Lines) {
        let sheet = read(kind, text);
        let at = |moment: Option<DateTime<Utc>>| moment.map(shown).unwrap_or_default();
        let row =
            |entry: &Entry| format!("{}>{} {}..{}", entry.from, entry.to, at(entry.effective_from), at(entry.effective_until));
        assert_eq!(sheet.bad.count, sheet.bad.rows.len());
        (
            sheet.rows.iter().map(|(line, entry)| (*line, row(entry))).collect(),
            sheet.bad.rows.into_iter().map(|bad| (bad.line, bad.what)).collect(),
        )
    }

    fn rows(kind: TableKind, text: &str) -> Vec<String> {
        let (rows, bad) = said(kind, text);
        assert!(bad.is_empty(), "{bad:?}");
        rows.into_iter().map(|(_, row)| row).collect()
    }

    #[test]
    fn a_file_is_read_as_spreadsheets_write_it() {
        for text in [
            "from,to\nHAT,1\nCAP,\"2,5\"\n",
            "\u{feff}from;to\r\nHAT;1\r\nCAP;2,5\r\n",
            "HAT\t1\nCAP\t2,5",
            "\n\nTo,From,effective_from\n1,HAT\n\"2,5\",CAP,\n",
        ] {
            assert_eq!(rows(TableKind::Codes, text), ["HAT>1 ..", "CAP>2,5 .."], "{text}");
        }
        assert_eq!(
            rows(TableKind::Codes, "A,1,2026-01-01,2027-01-01T08:00:00+01:00\n' =x,'=1+1,,\n"),
            ["A>1 2026-01-01..2027-01-01T07:00:00Z", "' =x>=1+1 .."]
        );
        assert_eq!(
            rows(TableKind::Rates, "from,to,date,rate\neur,usd,2026-11-24,1.0842\nEUR,JPY,,160\n"),
            ["EUR/USD>1.0842 2026-11-24..", "EUR/JPY>160 .."]
        );
        assert_eq!(
            rows(TableKind::Units, "item;from;to;factor\nHAT|XL;Case;pcs;12\n;case;each;6\n"),
            ["HAT|XL|case|each>12 ..", "case|each>6 .."]
        );
    }

    #[test]
    fn a_bad_row_is_told_with_its_line_and_the_good_ones_are_kept() {
        let (good, bad) = said(
            TableKind::Codes,
            "from,to,effective_from,effective_until\n\nHAT,1\n,2\nCAP\nA,1,soon\n\"B\nB\",1,2026-01-02,2026-01-01\nC,1,,,x\nD,4\n",
        );
        assert_eq!(good, [(3, "HAT>1 ..".to_owned()), (10, "D>4 ..".to_owned())]);
        let bad: Vec<String> = bad.into_iter().map(|(line, what)| format!("{line}: {what}")).collect();
        assert_eq!(
            bad,
            [
                "4: the value that it is looked up by is empty",
                "5: it has 1 of at least 2 cells",
                "6: \"soon\" is neither a day such as 2026-11-24 nor a time such as 2026-11-24T08:00:00Z",
                "7: it ends before it begins",
                "9: it has 5 cells, and there are 4 columns",
            ]
        );
        for (kind, text, what) in [
            (
                TableKind::Codes,
                "from,to,form\n",
                "there is no column \"form\"; there are from, to, effective_from, effective_until",
            ),
            (TableKind::Codes, "from,effective_from\n", "the column \"to\" is missing"),
            (TableKind::Codes, "from,to,to\n", "the column \"to\" is there twice"),
            (TableKind::Rates, "EUR,USD,24.11.2026,1.08\n", "\"24.11.2026\" is no day such as 2026-11-24"),
            (
                TableKind::Rates,
                "EUR;USD;2026-11-24;1,08\n",
                "the rate \"1,08\" is no number: write it with a point, such as 1.0842",
            ),
            (TableKind::Units, "item,from,to,factor\nA,b|c,d,1\n", "the name of a unit has no | in it"),
        ] {
            assert_eq!(said(kind, text).1.into_iter().map(|(_, what)| what).collect::<Vec<_>>(), [what], "{text}");
        }
    }

    #[test]
    fn a_report_is_bounded_and_counts_all() {
        let sheet = read(TableKind::Codes, &"x\n".repeat(BAD_ROWS_MAX + 20));
        assert_eq!((sheet.bad.rows.len(), sheet.bad.count), (BAD_ROWS_MAX, BAD_ROWS_MAX + 20));
        let sheet = read(TableKind::Codes, &"x,1\n".repeat(ROWS_MAX + 20));
        assert_eq!((sheet.rows.len(), sheet.bad.count), (ROWS_MAX, 1));
        let sheet = read(TableKind::Codes, &format!("{},1", "x".repeat(10_000)));
        assert_eq!(sheet.bad.rows[0].row.chars().count(), ROW_CHARS_MAX);
    }

    #[test]
    fn a_formula_is_written_as_text() {
        let entries = ["=1+1", "@x", "-2", "+3", "'=1", "'", "'a"].map(|from| Entry::always(from, "x"));
        let text = write(TableKind::Codes, &entries);
        assert_eq!(
            text,
            "from,to,effective_from,effective_until\r\n'=1+1,x,,\r\n'@x,x,,\r\n'-2,x,,\r\n'+3,x,,\r\n''=1,x,,\r\n',x,,\r\n'a,x,,\r\n"
        );
        assert_eq!(read(TableKind::Codes, &text).rows.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(), entries);
    }

    #[test]
    fn threat_formula_is_text_in_a_table_as_it_is_in_the_audit_log() {
        for text in ["=1+1", "+a", "-1+2", "@x", "\t=1", "\r=1", "\n=1", "＝1", "＋1", "－1+2", "＠x"] {
            let entry = Entry::always(text, text);
            let written = write(TableKind::Codes, [&entry]);
            let mut cells = csv::ReaderBuilder::new().from_reader(written.as_bytes());
            let row = cells.records().next().unwrap().unwrap();
            for cell in [&row[0], &row[1]] {
                assert!(cell.starts_with('\'') && crate::cell::cell(text).starts_with('\''), "{text:?} is {cell:?}");
            }
            assert_eq!(read(TableKind::Codes, &written).rows[0].1, entry, "and comes back as it was");
        }
    }

    fn moments() -> impl Strategy<Value = (Option<DateTime<Utc>>, Option<DateTime<Utc>>)> {
        let at = |us: i64| DateTime::from_timestamp_micros(us);
        let second = || -2_000_000_000_i64..4_000_000_000;
        (proptest::option::of((second(), prop_oneof![Just(0), 0_i64..1_000_000])), proptest::option::of(1_i64..100_000_000))
            .prop_map(move |(from, length)| {
                let from = from.map(|(second, us)| second * 1_000_000 + us);
                (from.and_then(at), length.and_then(|length| at(from.unwrap_or_default() + length * 1_000_000)))
            })
    }

    proptest! {
        #[test]
        fn codes_come_back_to_the_letter(rows in proptest::collection::vec(("[^\0]{1,12}|[=+\\-@'\"\t\r\n,; ]{1,6}", "[^\0]{0,12}|[=+\\-@'\"\t\r\n,; ]{0,6}", moments()), 0..8)) {
            let entries: Vec<Entry> =
                rows.into_iter().map(|(from, to, (effective_from, effective_until))| Entry { from, to, effective_from, effective_until }).collect();
            let sheet = read(TableKind::Codes, &write(TableKind::Codes, &entries));
            prop_assert_eq!(sheet.bad, BadRows::default());
            prop_assert_eq!(sheet.rows.into_iter().map(|(_, entry)| entry).collect::<Vec<_>>(), entries);
        }

        #[test]
        fn rates_and_units_come_back(item in proptest::option::of("[^\0]{1,12}"), unit in "[a-z=+' ]{0,4}[a-z]", number in "[1-9][0-9]{0,8}(\\.[0-9]{1,9})?", day in 0_i32..80_000) {
            let day = NaiveDate::from_ymd_opt(1950, 1, 1).unwrap().checked_add_days(chrono::Days::new(day as u64)).unwrap();
            let rate = Entry::rate("EUR", "USD", Some(day), number.clone()).checked(TableKind::Rates).unwrap();
            let factor = Entry::always(unit_key(item.as_deref(), &format!("q{unit}"), "each"), number).checked(TableKind::Units).unwrap();
            for (kind, entry) in [(TableKind::Rates, rate), (TableKind::Units, factor)] {
                let sheet = read(kind, &write(kind, [&entry]));
                prop_assert_eq!(sheet.bad, BadRows::default());
                prop_assert_eq!(&sheet.rows[0].1, &entry);
            }
        }

        #[test]
        fn whatever_is_sent_is_read_within_its_bounds(text in "(?s).{0,400}") {
            for kind in TableKind::ALL {
                let sheet = read(kind, &text);
                prop_assert!(sheet.rows.len() + sheet.bad.count <= ROWS_MAX + 1);
                for (_, entry) in sheet.rows { prop_assert_eq!(entry.clone().checked(kind), Ok(entry)); }
            }
        }
    }
}
