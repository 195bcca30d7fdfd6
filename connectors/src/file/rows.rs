//! The records of a file, read while it streams: memory holds a record and not the file.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use bytes::Bytes;

use super::table::Rows;
use super::xml::Elements;
use super::{Encoding, FILE_BYTES_MAX, FileFormat, Inbox};
use crate::decode::Decoder;
use crate::manifest::{Format, Method, Read as ReadRule, Request};

/// One line, one element, or one group of rows.
pub(super) const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Records of one file.
const RECORDS_MAX: u64 = 5_000_000;
/// A file that is text has no zero byte in its first bytes.
const PROBE_BYTES: usize = 4 * 1024;

/// Why a file, or the rest of it, cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileFlaw {
    #[error("it is no {format}: {what}")]
    Malformed { format: &'static str, what: String },
    #[error("it has more than {max} {of}")]
    TooMuch { max: u64, of: &'static str },
    #[error("it could not be read from the disk: {0}")]
    Disk(String),
}

impl From<std::io::Error> for FileFlaw {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => {
                Self::Malformed { format: "gzip", what: error.to_string() }
            }
            _ => Self::Disk(error.to_string()),
        }
    }
}

/// One record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRecord {
    /// From 1.
    pub line: u64,
    /// As it stands in the file, for a person.
    pub text: Bytes,
    /// The document, and its id where the connector says where that stands; or what is wrong, in words that follow "line 7 ".
    pub document: Result<(Bytes, Option<String>), String>,
}

/// Gives the records of a file in its order; after a flaw nothing more comes.
pub struct FileRecords<R> {
    source: Source<R>,
    count: u64,
    is_over: bool,
}

enum Source<R> {
    Lines { lines: Lines<BufReader<Plain<R>>>, decoder: Box<Decoder>, encoding: Encoding },
    Table(Box<Rows<BufReader<Plain<R>>>>),
    Elements(Elements<Plain<R>>),
}

impl<R: Read + Seek> FileRecords<R> {
    /// Begins to read a file of this name. An XML document is held to its end first, because half of one is none.
    ///
    /// # Errors
    /// Where it is no such file.
    pub fn open(mut file: R, name: &str, inbox: &Inbox) -> Result<Self, FileFlaw> {
        let is_packed = name.to_ascii_lowercase().ends_with(".gz");
        file.seek(SeekFrom::Start(0))?;
        let plain = Plain::new(file, is_packed);
        let source = match &inbox.format {
            FileFormat::JsonLines => {
                let lines = Lines::new(BufReader::new(plain), "JSON Lines")?;
                Source::Lines { lines, decoder: Box::new(decoder(inbox)), encoding: inbox.encoding }
            }
            FileFormat::Csv(table) => {
                let lines = Lines::new(BufReader::new(plain), "CSV")?;
                Source::Table(Box::new(Rows::new(lines, table.clone(), inbox.encoding, inbox.id.clone())?))
            }
            FileFormat::Xml { records, lists } => {
                Source::Elements(Elements::new(plain, records, lists, inbox.encoding, inbox.id.as_deref())?)
            }
            FileFormat::X12 => {
                return Err(FileFlaw::Malformed { format: "file of records", what: "X12 is read as interchanges".into() });
            }
        };
        Ok(Self { source, count: 0, is_over: false })
    }
}

impl<R: Read + Seek> Iterator for FileRecords<R> {
    type Item = Result<FileRecord, FileFlaw>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = match &mut self.source {
            Source::Lines { lines, decoder, encoding } => json_line(lines, decoder, *encoding),
            Source::Table(rows) => rows.next(),
            Source::Elements(elements) => elements.next(),
        };
        self.count += 1;
        let next = match next {
            Ok(Some(_)) if self.count > RECORDS_MAX => Err(FileFlaw::TooMuch { max: RECORDS_MAX, of: "records" }),
            next => next,
        };
        self.is_over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// All of a file's bytes, unpacked where its name says that it is packed, for what is not read record by record.
///
/// # Errors
/// Where it has more than `max` bytes, or cannot be read.
pub fn whole<R: Read + Seek>(mut file: R, name: &str, max: usize) -> Result<Vec<u8>, FileFlaw> {
    file.seek(SeekFrom::Start(0))?;
    let (mut bytes, bound) = (Vec::new(), max as u64);
    Plain::new(file, name.to_ascii_lowercase().ends_with(".gz")).take(bound + 1).read_to_end(&mut bytes)?;
    if bytes.len() > max { Err(FileFlaw::TooMuch { max: bound, of: "bytes" }) } else { Ok(bytes) }
}

fn decoder(inbox: &Inbox) -> Decoder {
    let request =
        Request { method: Method::Get, path: String::new(), query: Default::default(), headers: Default::default(), body: None };
    let rule = ReadRule {
        request,
        records: None,
        absent_is_empty: true,
        format: Format::JsonLines,
        gzip: false,
        page: None,
        since: None,
        filter: None,
        parent: None,
        include: vec![],
    };
    Decoder::new(&rule, (inbox.id.as_deref(), None), &[], &[])
}

fn json_line<R: BufRead>(lines: &mut Lines<R>, decoder: &Decoder, encoding: Encoding) -> Result<Option<FileRecord>, FileFlaw> {
    while let Some(line) = lines.next()? {
        let number = lines.number();
        let text = Bytes::from(line.bytes);
        if line.is_too_long {
            return Ok(Some(FileRecord { line: number, text, document: Err(too_long()) }));
        }
        // Its own count begins anew with each line, and is ours to say.
        let plain = match decoded(&text, encoding) {
            Ok(plain) => Bytes::from(plain.into_owned()),
            Err(what) => return Ok(Some(FileRecord { line: number, text, document: Err(what) })),
        };
        let document = match decoder.decode(&plain) {
            Ok(page) => match page.records.into_iter().next() {
                Some(record) if record.bytes.starts_with(b"{") => Ok((record.bytes, record.id)),
                Some(_) => Err("is no JSON object".to_owned()),
                None => continue,
            },
            Err(error) => Err(error.to_string().replacen("it is", "is", 1).replace(" at line 1,", " at")),
        };
        return Ok(Some(FileRecord { line: number, text, document }));
    }
    Ok(None)
}

pub(super) fn too_long() -> String {
    format!("is longer than {RECORD_BYTES_MAX} bytes")
}

/// A line without its end.
pub(super) struct Line {
    pub bytes: Vec<u8>,
    /// The rest of it was passed over.
    pub is_too_long: bool,
}

/// Lines of text, counted from 1. The mark at the file's beginning is taken away.
pub(super) struct Lines<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub fn new(mut reader: R, format: &'static str) -> Result<Self, FileFlaw> {
        let malformed = |what: &str| FileFlaw::Malformed { format, what: what.to_owned() };
        let start = reader.fill_buf()?;
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            return Err(malformed("it is UTF-16; ask for it in UTF-8"));
        }
        if start.iter().take(PROBE_BYTES).any(|byte| *byte == 0) {
            return Err(malformed("it is no text"));
        }
        if start.starts_with(b"\xef\xbb\xbf") {
            reader.consume(3);
        }
        Ok(Self { reader, number: 0 })
    }

    /// Of the line that was given last.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The next line with its end; `None` where there is no more.
    pub fn next(&mut self) -> Result<Option<Line>, FileFlaw> {
        let mut line = Line { bytes: Vec::new(), is_too_long: false };
        let limit = RECORD_BYTES_MAX as u64 + 1;
        if (&mut self.reader).take(limit).read_until(b'\n', &mut line.bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        if line.bytes.len() > RECORD_BYTES_MAX {
            line.is_too_long = true;
            while line.bytes.last() != Some(&b'\n') {
                line.bytes.clear();
                if (&mut self.reader).take(limit).read_until(b'\n', &mut line.bytes)? == 0 {
                    break;
                }
            }
            line.bytes = b"(too long to be kept)".to_vec();
        }
        Ok(Some(line))
    }
}

/// A file's bytes, unpacked where it is packed, and never more than a file may have.
pub(super) enum Plain<R> {
    As(std::io::Take<R>),
    Packed(Box<std::io::Take<flate2::read::MultiGzDecoder<R>>>),
}

impl<R: Read> Plain<R> {
    pub fn new(file: R, is_packed: bool) -> Self {
        if is_packed {
            Self::Packed(Box::new(flate2::read::MultiGzDecoder::new(file).take(FILE_BYTES_MAX + 1)))
        } else {
            Self::As(file.take(FILE_BYTES_MAX + 1))
        }
    }
}

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let (read, rest) = match self {
            Self::As(file) => (file.read(buffer)?, file.limit()),
            Self::Packed(file) => (file.read(buffer)?, file.limit()),
        };
        if rest == 0 && read > 0 {
            return Err(std::io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
        }
        Ok(read)
    }
}

impl<R: Read + Seek> Plain<R> {
    /// Back to the beginning.
    pub fn again(self) -> Result<Self, FileFlaw> {
        match self {
            Self::As(file) => {
                let mut file = file.into_inner();
                file.seek(SeekFrom::Start(0))?;
                Ok(Self::new(file, false))
            }
            Self::Packed(file) => {
                let mut file = file.into_inner().into_inner();
                file.seek(SeekFrom::Start(0))?;
                Ok(Self::new(file, true))
            }
        }
    }
}

/// Text of this encoding as UTF-8; the error is what follows "line 7 ".
pub(super) fn decoded(bytes: &[u8], encoding: Encoding) -> Result<std::borrow::Cow<'_, str>, String> {
    match encoding {
        Encoding::Utf8 => std::str::from_utf8(bytes).map(Into::into).map_err(|error| {
            format!(
                "is not UTF-8 at byte {} of it; ask for the file in UTF-8, or set its encoding to windows-1252",
                error.valid_up_to() + 1
            )
        }),
        Encoding::Windows1252 => Ok(bytes.iter().map(|byte| windows_1252(*byte)).collect::<String>().into()),
    }
}

/// The 27 places in which it differs from the first 256 characters; the five that have none stay control characters.
fn windows_1252(byte: u8) -> char {
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’', '“',
        '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    HIGH.get(usize::from(byte).wrapping_sub(0x80)).copied().unwrap_or(char::from(byte))
}
