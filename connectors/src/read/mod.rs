//! Reads a kind of record from a vendor: all of them, or those that changed since a position. It does no I/O: it says which request comes
//! next and takes the answer, so that who drives it decides about limits, time and what is kept.
//!
//! ```text
//! while let Some(request) = reader.next(&context)? {
//!     for record in reader.take(&answer_to(request), now)? { … }
//!     keep(reader.position());
//! }
//! ```

mod get;
pub(crate) mod list;
pub(crate) mod position;

use std::collections::VecDeque;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest};
use domain::mapping::Filter;
use domain::record::RecordKind;
use domain::value::{Arena, Limits, Tree, Value, ValueError, Wanted};

use crate::connector::Connector;
use crate::decode::Extracted;
use crate::manifest::{Page, Read, Resource, TimeFormat};
use crate::path;
use crate::request::{RequestContext, RequestError};
pub use get::Getter;
pub(crate) use list::link;
use list::{List, ListVars};
pub use position::Position;
use position::Tracker;

/// Of an id in a sentence.
const ID_SHOWN_CHARS: usize = 60;
/// Parents that one list may have.
const PARENTS_MAX: usize = 1_000_000;

/// One record that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    /// As the vendor sent it, where nothing had to be put into it.
    pub bytes: Bytes,
    /// As the vendor says it: it may be more than can be kept as an id.
    pub id: Option<String>,
    pub updated_at: Option<String>,
}

/// A read in progress.
#[derive(Debug)]
pub struct Reader<'c> {
    connector: &'c Connector,
    resource: &'c Resource,
    read: &'c Read,
    filter: Option<Filter>,
    tracker: Option<Tracker>,
    first: Option<String>,
    /// The list of parents, where there is one, and those whose lists are still to be read.
    parents: Option<Box<Reader<'c>>>,
    waiting: VecDeque<String>,
    list: Option<List<'c>>,
    parent_id: Option<String>,
    /// Records of a page that still lack what is kept apart.
    whole: Option<Completing<'c>>,
    ended: bool,
    /// The request that waits for its answer asks for the list from a later moment on.
    begins_anew: bool,
}

/// Records of one page whose further parts are being read.
#[derive(Debug)]
struct Completing<'c> {
    records: Vec<(Extracted, Value)>,
    /// Which record and which of its parts is next.
    at: (usize, usize),
    list: Option<List<'c>>,
    parts: Vec<Value>,
}

impl Connector {
    /// Begins to read a kind of record; `None` where the connector does not list it.
    #[must_use]
    pub fn reader(&self, kind: RecordKind, position: &Position) -> Option<Reader<'_>> {
        let resource = self.resource(kind)?;
        Some(Reader::new(self, resource, resource.read.as_ref()?, position))
    }

    /// The position of a read that begins at a moment. Where the vendor tells no times, it begins at the beginning.
    #[must_use]
    pub fn position_from(&self, kind: RecordKind, at: DateTime<Utc>) -> Position {
        let since = self.resource(kind).and_then(|resource| resource.read.as_ref()?.since.as_ref());
        let counts = since.is_none_or(|since| since.format == TimeFormat::Integer);
        Position { at: (!counts).then(|| at.timestamp_micros()), seen: Vec::new() }
    }

    /// An answer that is none: a page of a proxy, half a document, more than is read.
    pub(crate) fn unreadable_page(&self, answer: &HttpAnswer, error: &crate::decode::DecodeError) -> Fault {
        let kind = answer.header("content-type").unwrap_or("no content type");
        let kind: String = kind.chars().filter(|c| !c.is_control()).take(60).collect();
        let is_too_much = matches!(error, crate::decode::DecodeError::TooMuch { .. });
        let (class, owner, fix) = if is_too_much {
            (FaultClass::Validation, Owner::Developer, "Ask for smaller pages: lower the size in the connector.")
        } else {
            (
                FaultClass::Retry,
                Owner::Vendor,
                "Nothing to do, it is tried again. If it stays, check the connection's address and what stands between.",
            )
        };
        let reason = format!("{} answered {} ({kind}), which cannot be read: {error}", self.title(), answer.status);
        Fault::new(class, "unreadable_answer", reason, owner, fix).answered(answer.status)
    }
}

impl<'c> Reader<'c> {
    fn new(connector: &'c Connector, resource: &'c Resource, read: &'c Read, position: &Position) -> Self {
        let filter = read.filter.as_deref().and_then(|filter| Filter::compile(filter).ok());
        let parents =
            read.parent.as_ref().map(|parent| Box::new(Reader::new(connector, resource, &parent.read, &Position::default())));
        let mut reader = Self {
            connector,
            resource,
            read,
            filter,
            tracker: read.since.as_ref().map(|since| Tracker::new(since, position)),
            first: read.since.as_ref().and_then(|since| since.first.clone()),
            parents,
            waiting: VecDeque::new(),
            list: None,
            parent_id: None,
            whole: None,
            ended: false,
            begins_anew: false,
        };
        let is_counted = matches!(read.page, Some(Page::Number(_) | Page::Offset(_))) && read.parent.is_none();
        if let Some(tracker) = reader.tracker.as_mut().filter(|_| !is_counted) {
            // Cursors do not move.
            tracker.count_pages();
        }
        if reader.parents.is_none() {
            reader.list = Some(reader.begin(None));
        }
        reader
    }

    fn begin(&self, parent_id: Option<String>) -> List<'c> {
        let since = self.tracker.as_ref().and_then(Tracker::since).or_else(|| self.first.clone());
        let vars = ListVars { since, source_id: None, parent_id };
        List::new(self.connector, self.read, self.resource.id.as_deref(), self.resource.updated_at.as_deref(), vars)
    }

    /// The next request; none where everything was read.
    ///
    /// # Errors
    /// Where the connection lacks something that a request needs.
    pub fn next(&mut self, context: &RequestContext<'_>) -> Result<Option<HttpRequest>, RequestError> {
        loop {
            if let Some(whole) = &mut self.whole
                && let Some(list) = &mut whole.list
                && let Some(request) = list.request(self.connector, context)?
            {
                return Ok(Some(request));
            }
            if let Some(list) = &mut self.list {
                self.begins_anew |= match &mut self.tracker {
                    Some(tracker) if list.is_counted() => tracker.go_on().is_some_and(|since| list.begin_anew(since)),
                    _ => false,
                };
                if let Some(request) = list.request(self.connector, context)? {
                    return Ok(Some(request));
                }
                self.list = None;
            }
            if let Some(id) = self.waiting.pop_front() {
                self.list = Some(self.begin(Some(id.clone())));
                self.parent_id = Some(id);
                continue;
            }
            match &mut self.parents {
                Some(parents) => match parents.next(context)? {
                    Some(request) => return Ok(Some(request)),
                    None => self.parents = None,
                },
                None => {
                    self.ended = true;
                    return Ok(None);
                }
            }
        }
    }

    /// Takes the answer to the last request, and gives the records that are whole by it and were not brought by the last read.
    ///
    /// # Errors
    /// The classified fault. After one that may pass, the read is continued with the same request ([`Self::next`]); any other ends it: its page may be
    /// turned already, and what stands on it would be left out. The position is what it was.
    pub fn take(&mut self, answer: &HttpAnswer, now: DateTime<Utc>) -> Result<Vec<ReadRecord>, Fault> {
        self.hear_clock(answer, now);
        if self.whole.is_some() {
            return self.take_part(answer, now);
        }
        let Some(list) = &mut self.list else {
            return self.take_parents(answer, now).map(|()| Vec::new());
        };
        let page = list.take(self.connector, answer)?;
        if std::mem::take(&mut self.begins_anew)
            && let Some(tracker) = &mut self.tracker
            && page.iter().any(|record| tracker.is_before(record.updated_at.as_deref()))
        {
            tracker.count_pages();
            list.go_back();
            return Ok(Vec::new());
        }
        let records = self.wanted(page, answer)?;
        if self.read.include.is_empty() || records.is_empty() {
            return self.give(records, answer, now);
        }
        let (mut parsed, mut refused) = (Vec::with_capacity(records.len()), Vec::new());
        for record in records {
            match readable(self.connector, &record, answer)? {
                Some(value) => parsed.push((record, value)),
                None => refused.push(record),
            }
        }
        if !parsed.is_empty() {
            self.whole = Some(Completing { records: parsed, at: (0, 0), list: None, parts: Vec::new() });
            self.begin_part();
        }
        self.give(refused, answer, now)
    }

    /// True where the answer to the last request may be taken in chunks, by [`Self::take_chunk`] and [`Self::take_end`], so that it need not
    /// fit into memory: lists of lines whose records are whole by themselves. Only a success may; any other answer is for [`Self::take`].
    #[must_use]
    pub fn takes_chunks(&self) -> bool {
        self.whole.is_none() && self.read.include.is_empty() && self.list.as_ref().is_some_and(List::reads_lines)
    }

    /// The records that are whole by this chunk of the answer's body. `head` is the answer without its body.
    ///
    /// # Errors
    /// As those of [`Self::take`]. What was given of the page until then comes again.
    pub fn take_chunk(&mut self, head: &HttpAnswer, chunk: &[u8], now: DateTime<Utc>) -> Result<Vec<ReadRecord>, Fault> {
        let Some(list) = &mut self.list else { return Ok(Vec::new()) };
        let page = list.take_chunk(self.connector, head, chunk)?;
        let records = self.wanted(page, head)?;
        self.give(records, head, now)
    }

    /// The last records of an answer whose body came in chunks.
    ///
    /// # Errors
    /// As those of [`Self::take`].
    pub fn take_end(&mut self, head: &HttpAnswer, now: DateTime<Utc>) -> Result<Vec<ReadRecord>, Fault> {
        self.hear_clock(head, now);
        let Some(list) = &mut self.list else { return Ok(Vec::new()) };
        let page = list.take_end(self.connector, head)?;
        let records = self.wanted(page, head)?;
        self.give(records, head, now)
    }

    fn hear_clock(&mut self, answer: &HttpAnswer, now: DateTime<Utc>) {
        if let Some(tracker) = &mut self.tracker {
            tracker.hear_clock(answer.header("date"), now);
        }
    }

    /// Those that the connector's filter keeps, and those that nobody can read.
    fn wanted(&self, page: Vec<Extracted>, answer: &HttpAnswer) -> Result<Vec<Extracted>, Fault> {
        let Some(filter) = &self.filter else { return Ok(page) };
        let mut kept = Vec::with_capacity(page.len());
        for record in page {
            if readable(self.connector, &record, answer)?.is_none_or(|value| filter.passes(&value).unwrap_or(false)) {
                kept.push(record);
            }
        }
        Ok(kept)
    }

    fn take_parents(&mut self, answer: &HttpAnswer, now: DateTime<Utc>) -> Result<(), Fault> {
        let (Some(parents), Some(rule)) = (&mut self.parents, &self.read.parent) else { return Ok(()) };
        for record in parents.take(answer, now)? {
            let value = parse_turned(self.connector, "its record", record.id.as_deref(), &record.bytes, answer)?;
            if let Some(id) = path::first(&value, &rule.id).and_then(Value::to_text)
                && self.waiting.len() < PARENTS_MAX
            {
                self.waiting.push_back(id.into_owned());
            }
        }
        Ok(())
    }

    /// Begins to read the next part of the page's records.
    fn begin_part(&mut self) {
        let Some(whole) = &mut self.whole else { return };
        let (record, part) = whole.at;
        let (Some((record, _)), Some(include)) = (whole.records.get(record), self.read.include.get(part)) else { return };
        let vars = ListVars { source_id: record.id.clone(), parent_id: self.parent_id.clone(), since: None };
        whole.list = Some(List::new(self.connector, &include.read, Some("id"), None, vars));
    }

    /// Takes a page of a record's part.
    fn take_part(&mut self, answer: &HttpAnswer, now: DateTime<Utc>) -> Result<Vec<ReadRecord>, Fault> {
        let (connector, read) = (self.connector, self.read);
        let Some(whole) = &mut self.whole else { return Ok(Vec::new()) };
        let Some(list) = &mut whole.list else { return Ok(Vec::new()) };
        for part in list.take(connector, answer)? {
            let id = whole.records[whole.at.0].0.id.as_deref();
            whole.parts.push(parse_turned(connector, "a part of its record", id, &part.bytes, answer)?);
        }
        if !list.is_at_end() {
            return Ok(Vec::new());
        }
        let (record, part) = whole.at;
        path::put(&mut whole.records[record].1, &read.include[part].into, Value::List(std::mem::take(&mut whole.parts)));
        whole.at = if part + 1 < read.include.len() { (record, part + 1) } else { (record + 1, 0) };
        whole.list = None;
        if whole.at.0 < whole.records.len() {
            self.begin_part();
            return Ok(Vec::new());
        }
        let Some(whole) = self.whole.take() else { return Ok(Vec::new()) };
        let records =
            whole.records.into_iter().map(|(record, value)| Extracted { bytes: value.to_json().into(), ..record }).collect();
        self.give(records, answer, now)
    }

    fn give(&mut self, records: Vec<Extracted>, answer: &HttpAnswer, now: DateTime<Utc>) -> Result<Vec<ReadRecord>, Fault> {
        let into = self.read.parent.as_ref().and_then(|parent| parent.into.as_deref()).zip(self.parent_id.clone());
        let mut given = Vec::with_capacity(records.len());
        for record in records {
            let is_new = self
                .tracker
                .as_mut()
                .is_none_or(|tracker| tracker.is_new(record.id.as_deref(), record.updated_at.as_deref(), &record.bytes, now));
            if !is_new {
                continue;
            }
            let bytes = match &into {
                None => record.bytes,
                Some((into, parent)) => match readable(self.connector, &record, answer)? {
                    Some(mut value) => {
                        path::put(&mut value, into, Value::Text(parent.clone()));
                        value.to_json().into()
                    }
                    None => record.bytes,
                },
            };
            given.push(ReadRecord { bytes, id: record.id, updated_at: record.updated_at });
        }
        Ok(given)
    }

    /// When a record last changed, where the vendor says so as a time.
    #[must_use]
    pub fn changed_at(&self, record: &ReadRecord) -> Option<DateTime<Utc>> {
        let since = self.read.since.as_ref()?;
        let format = since.record_format.as_ref().unwrap_or(&since.format);
        if *format == TimeFormat::Integer {
            return None;
        }
        DateTime::from_timestamp_micros(position::read(record.updated_at.as_deref()?, format)?)
    }

    /// The position that may be stored now: after every page where the vendor lists the oldest first, otherwise only at the end, because a
    /// read that broke off would have skipped what stood on the pages behind it.
    pub fn position(&mut self) -> Option<Position> {
        let ascending =
            self.read.since.as_ref().is_some_and(|since| since.ascending) && self.read.parent.is_none() && self.whole.is_none();
        let tracker = self.tracker.as_mut()?;
        (self.ended || ascending).then(|| tracker.position(self.ended))
    }
}

/// A record of an answer that is asked for once more as it was: perhaps it did not come whole.
pub(crate) fn parse(connector: &Connector, record: &Extracted, answer: &HttpAnswer) -> Result<Value, Fault> {
    Value::parse(&record.bytes, &Limits::DEFAULT).map_err(|error| {
        let error = crate::decode::DecodeError::Malformed { format: "a record", what: error.to_string() };
        connector.unreadable_page(answer, &error)
    })
}

/// A record that something is to be put into, or that a filter is asked of. `None` where no mapping can read it either: it is given as it came, so that
/// its message says to a person why it becomes no record, and the others of its page come.
///
/// # Errors
/// Where only a key is there twice: a mapping that does not look there would take the record without its parts, or though the filter leaves it out.
fn readable(connector: &Connector, record: &Extracted, answer: &HttpAnswer) -> Result<Option<Value>, Fault> {
    let error = match Value::parse(&record.bytes, &Limits::DEFAULT) {
        Ok(value) => return Ok(Some(value)),
        Err(error) => error,
    };
    let (arena, nothing) = (Arena::new(), Wanted::default());
    match Tree::parse(&record.bytes, &Limits::DEFAULT, Some(&nothing), &arena) {
        Ok(_) => Err(unreadable(connector, "its record", record.id.as_deref(), answer, &error)),
        Err(_) => Ok(None),
    }
}

/// What stands on a page that is turned already.
fn parse_turned(connector: &Connector, what: &str, id: Option<&str>, bytes: &[u8], answer: &HttpAnswer) -> Result<Value, Fault> {
    Value::parse(bytes, &Limits::DEFAULT).map_err(|error| unreadable(connector, what, id, answer, &error))
}

/// What stands on a page that came whole and cannot be read. It does not pass: the page is turned, so that another try would go on behind it, and
/// nobody would miss what stands there.
fn unreadable(connector: &Connector, what: &str, id: Option<&str>, answer: &HttpAnswer, error: &ValueError) -> Fault {
    let id: String = id.unwrap_or("without an id").chars().filter(|c| !c.is_control()).take(ID_SHOWN_CHARS).collect();
    let reason = format!("{} answered {}, and {what} {id} cannot be read: {error}", connector.title(), answer.status);
    let fix = format!("Correct it at {}, or change the connector so that it is not asked for.", connector.title());
    Fault::new(FaultClass::Validation, "unreadable_record", reason, Owner::Developer, &fix).answered(answer.status)
}

#[cfg(test)]
mod tests;
