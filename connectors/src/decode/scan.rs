//! One strict pass over JSON bytes that builds nothing: it checks the grammar ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), bounds
//! the depth, and remembers where the wanted values begin and end. A record leaves as the bytes that came, so nothing of it can change.

use std::ops::Range;

use crate::path::Step;

/// As deep as a document may be that is parsed later ([`domain::value::Limits`]).
pub(crate) const DEPTH_MAX: u32 = 64;

/// What is wrong, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScanError {
    pub what: &'static str,
    pub at: usize,
}

/// What is wanted, as a tree of steps.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    keys: Vec<(Box<str>, Wanted)>,
    indexes: Vec<(usize, Wanted)>,
    any: Option<Box<Wanted>>,
    /// The value is kept under this number.
    slot: Option<usize>,
    /// The value is a list of records (or one), and this is wanted of each.
    records: Option<Box<Wanted>>,
}

impl Wanted {
    pub fn add(&mut self, steps: &[Step], slot: usize) {
        self.at(steps).slot = Some(slot);
    }

    pub fn add_records(&mut self, steps: &[Step], record: Wanted) {
        self.at(steps).records = Some(Box::new(record));
    }

    fn at(&mut self, steps: &[Step]) -> &mut Wanted {
        let Some((step, rest)) = steps.split_first() else { return self };
        let next = match step {
            Step::Key(key) => {
                let known = self.keys.iter().position(|(name, _)| **name == **key);
                let index = known.unwrap_or_else(|| {
                    self.keys.push((key.as_str().into(), Wanted::default()));
                    self.keys.len() - 1
                });
                &mut self.keys[index].1
            }
            Step::Index(wanted) => {
                let known = self.indexes.iter().position(|(index, _)| index == wanted);
                let index = known.unwrap_or_else(|| {
                    self.indexes.push((*wanted, Wanted::default()));
                    self.indexes.len() - 1
                });
                &mut self.indexes[index].1
            }
            Step::Any => self.any.get_or_insert_default(),
        };
        next.at(rest)
    }

    fn leads_to_records(&self) -> bool {
        let deeper =
            self.keys.iter().map(|(_, next)| next).chain(self.indexes.iter().map(|(_, next)| next)).chain(self.any.as_deref());
        self.records.is_some() || deeper.into_iter().any(Wanted::leads_to_records)
    }

    fn goes_deeper(&self) -> bool {
        !self.keys.is_empty() || !self.indexes.is_empty() || self.any.is_some()
    }
}

/// Where the wanted values are: ranges of the scanned bytes.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub slots: Vec<(usize, Range<usize>)>,
    pub records: Vec<FoundRecord>,
    /// The place of the records is there, be it empty. An answer without it is none to our question.
    pub has_place: bool,
}

#[derive(Debug)]
pub(crate) struct FoundRecord {
    pub range: Range<usize>,
    pub slots: Vec<(usize, Range<usize>)>,
}

/// Scans a whole document. `text` is UTF-8, which the caller has made sure of.
pub(crate) fn scan(text: &str, wanted: &Wanted) -> Result<Found, ScanError> {
    let mut scanner = Scanner { bytes: text.as_bytes(), at: 0, found: Found::default(), in_record: None };
    scanner.space();
    scanner.walk(wanted, 0)?;
    scanner.space();
    if scanner.at < scanner.bytes.len() {
        return Err(scanner.fail("something follows the document"));
    }
    Ok(scanner.found)
}

struct Scanner<'b> {
    bytes: &'b [u8],
    at: usize,
    found: Found,
    /// What was found of the record that is being scanned.
    in_record: Option<Vec<(usize, Range<usize>)>>,
}

impl Scanner<'_> {
    fn fail(&self, what: &'static str) -> ScanError {
        ScanError { what, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), ScanError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.fail(what))
        }
    }

    /// Scans the value here, and of it what is wanted. Depth is that of paths, which a connector's author wrote, plus lists that are flattened.
    fn walk(&mut self, wanted: &Wanted, depth: u32) -> Result<(), ScanError> {
        if depth > DEPTH_MAX {
            return Err(self.fail("nested deeper than 64"));
        }
        let begin = self.at;
        self.found.has_place |= wanted.records.is_some() && self.peek() != Some(b'n');
        match (self.peek(), &wanted.records) {
            (Some(b'['), Some(record)) => self.list(|scanner, _| scanner.record(record, depth + 1))?,
            (Some(b'n'), Some(_)) => self.skip(depth)?,
            (_, Some(record)) => self.record(record, depth)?,
            (Some(b'{'), None) if wanted.goes_deeper() => self.group(wanted, depth)?,
            (Some(b'['), None) if wanted.goes_deeper() => {
                // An empty list on the way to the records has none.
                self.found.has_place |= self.in_record.is_none() && wanted.leads_to_records();
                self.list(|scanner, index| {
                    let next = wanted.indexes.iter().find(|(wanted, _)| *wanted == index).map(|(_, next)| next);
                    match next.or(wanted.any.as_deref()) {
                        Some(next) => scanner.walk(next, depth + 1),
                        // A step into a list goes into each of its values.
                        None if !wanted.keys.is_empty() && scanner.peek() == Some(b'{') => scanner.group(wanted, depth + 1),
                        None => scanner.skip(depth + 1),
                    }
                })?;
            }
            _ => self.skip(depth)?,
        }
        if let Some(slot) = wanted.slot {
            let found = self.in_record.as_mut().unwrap_or(&mut self.found.slots);
            found.push((slot, begin..self.at));
        }
        Ok(())
    }

    fn record(&mut self, wanted: &Wanted, depth: u32) -> Result<(), ScanError> {
        let (begin, outer) = (self.at, self.in_record.replace(Vec::new()));
        self.walk(wanted, depth)?;
        let slots = std::mem::replace(&mut self.in_record, outer).unwrap_or_default();
        self.found.records.push(FoundRecord { range: begin..self.at, slots });
        Ok(())
    }

    fn group(&mut self, wanted: &Wanted, depth: u32) -> Result<(), ScanError> {
        if depth > DEPTH_MAX {
            return Err(self.fail("nested deeper than 64"));
        }
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let name = self.text()?;
            self.space();
            self.expect(b':', "a colon was expected")?;
            self.space();
            let name = &self.bytes[name];
            let known = wanted.keys.iter().find(|(key, _)| is_same(name, key)).map(|(_, next)| next);
            match known.or(wanted.any.as_deref()) {
                Some(next) => self.walk(next, depth + 1)?,
                None => self.skip(depth + 1)?,
            }
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.fail("a comma or } was expected")),
            }
        }
    }

    fn list(&mut self, mut each: impl FnMut(&mut Self, usize) -> Result<(), ScanError>) -> Result<(), ScanError> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for index in 0.. {
            each(self, index)?;
            self.space();
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.space();
                }
                Some(b']') => {
                    self.at += 1;
                    break;
                }
                _ => return Err(self.fail("a comma or ] was expected")),
            }
        }
        Ok(())
    }

    /// Over one value, without recursion: one bit for each open bracket says which kind it is.
    fn skip(&mut self, outer: u32) -> Result<(), ScanError> {
        let (mut groups, mut depth) = (0_u64, 0_u32);
        loop {
            // A value begins here.
            match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if outer + depth >= DEPTH_MAX {
                        return Err(self.fail("nested deeper than 64"));
                    }
                    self.at += 1;
                    self.space();
                    let is_group = open == b'{';
                    let close = if is_group { b'}' } else { b']' };
                    if self.peek() == Some(close) {
                        self.at += 1;
                    } else {
                        groups = groups << 1 | u64::from(is_group);
                        depth += 1;
                        if is_group {
                            self.name()?;
                        }
                        continue;
                    }
                }
                Some(b'"') => {
                    self.text()?;
                }
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.word(b"true")?,
                Some(b'f') => self.word(b"false")?,
                Some(b'n') => self.word(b"null")?,
                Some(_) => return Err(self.fail("a value was expected")),
                None => return Err(self.fail("the document ends too early")),
            }
            // A value ended here: close what it was the last of.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                self.space();
                let is_group = groups & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if is_group {
                            self.name()?;
                        }
                        break;
                    }
                    Some(b'}') if is_group => self.at += 1,
                    Some(b']') if !is_group => self.at += 1,
                    Some(_) => return Err(self.fail("a comma or a closing bracket was expected")),
                    None => return Err(self.fail("the document ends too early")),
                }
                groups >>= 1;
                depth -= 1;
            }
        }
    }

    /// A member's name and its colon.
    fn name(&mut self) -> Result<(), ScanError> {
        self.text()?;
        self.space();
        self.expect(b':', "a colon was expected")?;
        self.space();
        Ok(())
    }

    /// Over a text; the range is without its quotes.
    fn text(&mut self) -> Result<Range<usize>, ScanError> {
        self.expect(b'"', "a text was expected")?;
        let begin = self.at;
        loop {
            let rest = &self.bytes[self.at..];
            let Some(length) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) else {
                self.at = self.bytes.len();
                return Err(self.fail("a text does not end"));
            };
            self.at += length + 1;
            match rest[length] {
                b'"' => return Ok(begin..self.at - 1),
                b'\\' => match self.peek() {
                    Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
                    Some(b'u')
                        if self.bytes.get(self.at + 1..self.at + 5).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)) =>
                    {
                        self.at += 5;
                    }
                    _ => return Err(self.fail("a text has an escape that JSON does not know")),
                },
                _ => return Err(self.fail("a text has a control character")),
            }
        }
    }

    fn digits(&mut self) -> Result<(), ScanError> {
        let begin = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == begin { Err(self.fail("a digit was expected")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), ScanError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), ScanError> {
        if self.bytes[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.fail("a value was expected"))
        }
    }
}

/// A name as it stands in the document, escapes included, is the wanted one.
fn is_same(name: &[u8], wanted: &str) -> bool {
    if name == wanted.as_bytes() {
        return true;
    }
    name.contains(&b'\\') && text(name).is_some_and(|name| name == wanted)
}

/// What stands between the quotes, unescaped.
fn text(inner: &[u8]) -> Option<String> {
    let inner = std::str::from_utf8(inner).ok()?;
    serde_json::from_str(&format!("\"{inner}\"")).ok()
}

/// The text of a plain value: a number's digits, a boolean's word; none for null, lists and groups.
pub(crate) fn plain(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => {
            let inner = &raw[1..raw.len() - 1];
            if inner.contains('\\') { text(inner.as_bytes()) } else { Some(inner.to_owned()) }
        }
        b'n' | b'[' | b'{' => None,
        _ => Some(raw.to_owned()),
    }
}

/// What stands there is neither null, false nor empty.
pub(crate) fn says_something(raw: &str) -> bool {
    match raw.as_bytes() {
        b"null" | b"false" | b"\"\"" => false,
        [open @ (b'[' | b'{'), inner @ .., _] => {
            debug_assert!(matches!(open, b'[' | b'{'));
            inner.iter().any(|byte| !byte.is_ascii_whitespace())
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use domain::value::{Limits, Value};
    use proptest::prelude::*;

    use super::*;
    use crate::path::steps;

    fn wanted() -> Wanted {
        let mut record = Wanted::default();
        record.add(&steps("id"), 0);
        record.add(&steps("meta.at"), 1);
        let mut wanted = Wanted::default();
        wanted.add_records(&steps("data.edges.node"), record);
        wanted.add(&steps("data.next"), 0);
        wanted.add(&steps("data.*.errors"), 1);
        wanted
    }

    #[test]
    fn records_and_values_are_the_bytes_that_came() {
        let text = r#"{ "data": {"edges":[{"node":{"id":9007199254740993,"meta":{"at":"2026"},"x":1.10}} , {"node":{"\u0069d":"b"}},
            {"node":null}], "next":"c\"1", "op":{"errors":[ ]}, "op2":{"errors":[{"m":1}]}, "z":[[],{},-0.5e+3,true,null]}}"#;
        let found = scan(text, &wanted()).unwrap();
        let of = |slots: &[(usize, Range<usize>)], slot| {
            slots.iter().filter(|(s, _)| *s == slot).map(|(_, range)| text[range.clone()].to_owned()).collect::<Vec<_>>()
        };
        let records: Vec<_> = found.records.iter().map(|r| (&text[r.range.clone()], of(&r.slots, 0), of(&r.slots, 1))).collect();
        assert_eq!(records[0].0, r#"{"id":9007199254740993,"meta":{"at":"2026"},"x":1.10}"#);
        assert_eq!((records[0].1[0].as_str(), records[0].2[0].as_str()), ("9007199254740993", "\"2026\""));
        assert_eq!((records[1].1[0].as_str(), records.len()), ("\"b\"", 2));
        assert_eq!(plain(&of(&found.slots, 0)[0]).unwrap(), "c\"1");
        assert_eq!(of(&found.slots, 1).iter().map(|raw| says_something(raw)).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn what_is_no_json_is_refused_where_it_goes_wrong() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let deep_path = format!("{}1{}", "{\"data\":".repeat(10_000), "}".repeat(10_000));
        for (text, what) in [
            ("", "the document ends too early"),
            ("{", "a text was expected"),
            (r#"{"a" 1}"#, "a colon was expected"),
            (r#"{"a":1 "b":2}"#, "a comma or } was expected"),
            (r#"{"a":[1 2]}"#, "a comma or a closing bracket was expected"),
            (r#"{"a":[1}"#, "a comma or a closing bracket was expected"),
            (r#"{"a":01}"#, "a comma or } was expected"),
            (r#"{"a":1.}"#, "a digit was expected"),
            (r#"{"a":"x}"#, "a text does not end"),
            ("{\"a\":\"\u{1}\"}", "a text has a control character"),
            (r#"{"a":"\x"}"#, "a text has an escape that JSON does not know"),
            (r#"{"a":nul}"#, "a value was expected"),
            ("{} {}", "something follows the document"),
            (&deep, "nested deeper than 64"),
            (&deep_path, "nested deeper than 64"),
        ] {
            assert_eq!(scan(text, &wanted()).unwrap_err().what, what, "{text:.40}");
        }
    }

    proptest! {
        #[test]
        fn it_takes_what_the_parser_takes_and_never_panics(text in "[\\[\\]{}:,\"a0\\-.eE \\\\ntrue]{0,24}") {
            let limits = Limits { depth_max: 64, ..Limits::DEFAULT };
            let parses = Value::parse(text.as_bytes(), &limits).is_ok();
            let scans = scan(&text, &wanted()).is_ok();
            // The parser also refuses what cannot be stored, such as doubled names; the scanner never refuses what it takes.
            prop_assert!(!parses || scans, "{text}");
        }
    }
}
