//! A cell of a sheet that people open in a spreadsheet: what would be taken for a formula there is written as text.

use std::borrow::Cow;

/// The text of a cell, safe in any spreadsheet. What begins as a formula does gets an apostrophe before it, which spreadsheets take for "this is
/// text"; a number stays one, with its sign.
#[must_use]
pub fn cell(text: &str) -> Cow<'_, str> {
    if begins_as_formula(text) && !is_number(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// True of what some spreadsheet begins to compute at.
pub(crate) fn begins_as_formula(text: &str) -> bool {
    // The wide forms are taken for the narrow ones by some.
    text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}

/// Digits with a sign and a point at most: nothing to compute.
fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    is_digits(whole) && is_digits(fraction)
}

/// A row of safe cells in CSV, with its end of line.
#[must_use]
pub fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    written(cells.into_iter().map(cell))
}

/// A row in CSV (RFC 4180) of cells that are safe as they are, with its end of line.
pub(crate) fn written<'a>(cells: impl IntoIterator<Item = Cow<'a, str>>) -> String {
    let quoted = |text: Cow<'a, str>| {
        let needs = text.contains(['"', ',', ';', '\t', '\r', '\n']) || text.trim() != text;
        if needs { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into_owned() }
    };
    cells.into_iter().map(quoted).collect::<Vec<_>>().join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_text_and_a_negative_number_stays_one() {
        for (text, is_guarded) in [
            ("=1+1", true),
            ("+cmd|' /C calc'!A0", true),
            ("-2+3", true),
            ("@SUM(A1)", true),
            ("\t=1", true),
            ("\r=1", true),
            ("\n=1", true),
            ("＝1+1", true),
            ("-", true),
            ("-1.", true),
            ("--1", true),
            ("-1e5", true),
            ("-12.50", false),
            ("+3", false),
            ("-0", false),
            ("plain = text", false),
            ("", false),
        ] {
            let written = cell(text);
            assert_eq!(written.starts_with('\''), is_guarded, "{text:?}");
            assert_eq!(written.strip_prefix('\'').unwrap_or(&written), text, "nothing is lost");
        }
    }

    #[test]
    fn a_row_is_one_line_of_as_many_cells() {
        let cells = ["a,b", "say \"so\"", "-5", "=x", "two\nlines", " space"];
        let text = row(cells);
        assert_eq!(text, "\"a,b\",\"say \"\"so\"\"\",-5,'=x,\"two\nlines\",\" space\"\r\n");
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let record = reader.records().next().unwrap().unwrap();
        assert_eq!(record.iter().map(|cell| cell.trim_start_matches('\'')).collect::<Vec<_>>(), cells);
    }
}
