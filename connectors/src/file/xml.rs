//! The elements of an XML document that are records, each read by itself. The document is held to its end first: half of one is none.

use std::io::{BufRead, BufReader, Read, Seek};

use domain::value::Value;
use quick_xml::events::Event;

use super::Encoding;
use super::rows::{FileFlaw, FileRecord, Plain, RECORD_BYTES_MAX, decoded, too_long};
use crate::decode::xml_tree;
use crate::manifest::Xml;
use crate::path;

const DEPTH_MAX: usize = 64;
/// Each takes sixteen bytes until it is read.
const ELEMENTS_MAX: usize = 1_000_000;
/// One tag, or the text between two. A record that is longer is passed over; a part that is longer would have to be held to be passed over.
const PART_BYTES_MAX: usize = 2 * RECORD_BYTES_MAX;

pub(super) struct Elements<R> {
    reader: BufReader<R>,
    /// Where they begin and end, backwards.
    places: Vec<(u64, u64)>,
    at: u64,
    line: u64,
    rule: Xml,
    encoding: Encoding,
    id: Option<String>,
}

fn malformed(what: impl ToString) -> FileFlaw {
    FileFlaw::Malformed { format: "XML", what: what.to_string() }
}

impl<F: Read + Seek> Elements<Plain<F>> {
    pub fn new(file: Plain<F>, records: &str, lists: &[String], encoding: Encoding, id: Option<&str>) -> Result<Self, FileFlaw> {
        let steps: Vec<&str> = records.split('.').filter(|step| !step.is_empty()).collect();
        let mut reader = Bounded { inner: BufReader::new(file), left: PART_BYTES_MAX };
        let mut places = scan(&mut reader, &steps)?;
        places.reverse();
        Ok(Self {
            reader: BufReader::new(reader.inner.into_inner().again()?),
            places,
            at: 0,
            line: 1,
            rule: Xml { lists: lists.to_vec() },
            encoding,
            id: id.map(str::to_owned),
        })
    }

    pub fn next(&mut self) -> Result<Option<FileRecord>, FileFlaw> {
        let Some((begin, end)) = self.places.pop() else { return Ok(None) };
        self.skip(begin)?;
        let line = self.line;
        if end - begin > RECORD_BYTES_MAX as u64 {
            self.skip(end)?;
            return Ok(Some(FileRecord { line, text: "(too long to be kept)".into(), document: Err(too_long()) }));
        }
        let mut bytes = Vec::new();
        (&mut self.reader).take(end - begin).read_to_end(&mut bytes)?;
        self.at = end;
        self.line += count(&bytes);
        let document = decoded(&bytes, self.encoding).and_then(|text| {
            let tree = xml_tree(text.as_bytes(), &self.rule).map_err(|error| error.to_string().replacen("it is", "is", 1))?;
            let id = self.id.as_deref().and_then(|at| path::first(&tree, at)).and_then(Value::to_text).map(|id| id.into_owned());
            Ok((tree.to_json().into(), id.filter(|id| !id.is_empty())))
        });
        Ok(Some(FileRecord { line, text: bytes.into(), document }))
    }

    fn skip(&mut self, to: u64) -> Result<(), FileFlaw> {
        while self.at < to {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Err(malformed("it ends too early"));
            }
            let part = buffer.len().min(usize::try_from(to - self.at).unwrap_or(usize::MAX));
            self.line += count(&buffer[..part]);
            self.at += part as u64;
            self.reader.consume(part);
        }
        Ok(())
    }
}

fn count(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A reader that gives so many bytes and then fails: the library reads on for the end of a part, however far that is, and keeps all of it.
struct Bounded<R> {
    inner: R,
    left: usize,
}

impl<R: BufRead> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.fill_buf()?.read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        let bytes = self.inner.fill_buf()?;
        if self.left == 0 && !bytes.is_empty() {
            return Err(std::io::Error::other(format!("a tag, or a text, has more than {PART_BYTES_MAX} bytes")));
        }
        Ok(&bytes[..bytes.len().min(self.left)])
    }

    fn consume(&mut self, amount: usize) {
        self.left = self.left.saturating_sub(amount);
        self.inner.consume(amount);
    }
}

/// Where the elements at this path begin and end, once the whole document was seen to be one.
fn scan<R: BufRead>(reader: &mut Bounded<R>, steps: &[&str]) -> Result<Vec<(u64, u64)>, FileFlaw> {
    let start = reader.fill_buf()?;
    if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        return Err(malformed("it is UTF-16; ask for it in UTF-8"));
    }
    let mut xml = quick_xml::Reader::from_reader(reader);
    let (mut places, mut buffer) = (Vec::new(), Vec::new());
    // How many elements are open, how many of them lead to the records, and where the record that is open begins.
    let (mut depth, mut led, mut open, mut is_over) = (0_usize, 0_usize, None, false);
    loop {
        let before = xml.buffer_position();
        buffer.clear();
        xml.get_mut().left = PART_BYTES_MAX;
        let event =
            xml.read_event_into(&mut buffer).map_err(|error| malformed(format!("{error}, at byte {}", xml.error_position())))?;
        let after = xml.buffer_position();
        let is_record = |depth: usize, led: usize| depth == steps.len() + 1 && led == steps.len();
        match event {
            Event::Start(start) => {
                if is_over {
                    return Err(malformed("there is more than one outer element"));
                }
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(malformed(format!("it is nested deeper than {DEPTH_MAX}")));
                }
                if depth >= 2
                    && led == depth - 2
                    && steps.get(depth - 2).is_some_and(|step| step.as_bytes() == start.local_name().as_ref())
                {
                    led = depth - 1;
                }
                if open.is_none() && is_record(depth, led) {
                    open = Some(before);
                }
            }
            Event::Empty(empty) => {
                if is_over {
                    return Err(malformed("there is more than one outer element"));
                }
                let fits = depth == steps.len()
                    && led + 1 == steps.len()
                    && steps.last().is_some_and(|step| step.as_bytes() == empty.local_name().as_ref());
                if open.is_none() && (fits || (depth == 0 && steps.is_empty())) {
                    places.push((before, after));
                }
                is_over = depth == 0;
            }
            Event::End(_) => {
                if let Some(begin) = open.filter(|_| is_record(depth, led)) {
                    places.push((begin, after));
                    open = None;
                }
                if led + 1 == depth && led > 0 {
                    led -= 1;
                }
                depth = depth.saturating_sub(1);
                is_over = depth == 0;
            }
            Event::Text(text)
                if depth == 0 && !text.iter().all(u8::is_ascii_whitespace) && !text.starts_with(b"\xef\xbb\xbf") =>
            {
                return Err(malformed("there is text outside of the document"));
            }
            Event::DocType(_) => return Err(malformed("a document type is not read")),
            Event::Eof if depth > 0 || !is_over => return Err(malformed("the document ends too early")),
            Event::Eof => return Ok(places),
            _ => {}
        }
        if places.len() > ELEMENTS_MAX {
            return Err(FileFlaw::TooMuch { max: ELEMENTS_MAX as u64, of: "records" });
        }
    }
}
