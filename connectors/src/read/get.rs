//! One record by its id, with the parts that the vendor keeps apart: as whole as one that a list brings.

use bytes::Bytes;
use domain::fault::Fault;
use domain::http::{HttpAnswer, HttpRequest};
use domain::record::RecordKind;
use domain::value::Value;

use super::list::{List, ListVars};
use super::{parse, parse_turned};
use crate::connector::Connector;
use crate::decode::Extracted;
use crate::manifest::Get;
use crate::path;
use crate::request::{CallVars, RequestContext, RequestError};

/// A record that is being read. It does no I/O: it says which request comes next and takes the answer.
#[derive(Debug)]
pub struct Getter<'c> {
    connector: &'c Connector,
    get: &'c Get,
    id: String,
    /// Absent until the answer to the first request came.
    record: Option<Value>,
    /// The part that is being read.
    at: usize,
    list: Option<List<'c>>,
    parts: Vec<Value>,
    ended: bool,
}

impl Connector {
    /// Begins to read one record by its id; `None` where the connector cannot.
    #[must_use]
    pub fn getter(&self, kind: RecordKind, source_id: &str) -> Option<Getter<'_>> {
        Some(Getter::new(self, self.resource(kind)?.get.as_ref()?, source_id))
    }

    /// Begins to read the thing itself, where a topic brings an id only.
    #[must_use]
    pub fn fetcher(&self, topic: &str, source_id: &str) -> Option<Getter<'_>> {
        Some(Getter::new(self, self.fetch(topic)?, source_id))
    }
}

impl<'c> Getter<'c> {
    fn new(connector: &'c Connector, get: &'c Get, id: &str) -> Self {
        Self { connector, get, id: id.to_owned(), record: None, at: 0, list: None, parts: Vec::new(), ended: false }
    }

    /// The next request; `None` where the record is whole.
    ///
    /// # Errors
    /// Where the connection lacks something that a request needs.
    pub fn next(&mut self, context: &RequestContext<'_>) -> Result<Option<HttpRequest>, RequestError> {
        if self.ended {
            return Ok(None);
        }
        match &mut self.list {
            Some(list) => list.request(self.connector, context),
            None => {
                let vars = CallVars { source_id: Some(&self.id), ..CallVars::default() };
                self.connector.call(&self.get.request, &vars, context).map(Some)
            }
        }
    }

    /// Takes the answer to the last request, and gives the record's bytes once it is whole.
    ///
    /// # Errors
    /// The classified fault. After one that may pass, the read is continued with the same request; any other ends it.
    pub fn take(&mut self, answer: &HttpAnswer) -> Result<Option<Bytes>, Fault> {
        let Some(record) = &mut self.record else {
            let bytes = self.connector.read_record(self.get.record.as_deref(), answer)?;
            if self.get.include.is_empty() {
                self.ended = true;
                return Ok(Some(bytes));
            }
            let extracted = Extracted { bytes, id: None, updated_at: None };
            self.record = Some(parse(self.connector, &extracted, answer)?);
            self.begin();
            return Ok(None);
        };
        let Some(list) = &mut self.list else { return Ok(None) };
        for part in list.take(self.connector, answer)? {
            let id = Some(self.id.as_str());
            self.parts.push(parse_turned(self.connector, "a part of its record", id, &part.bytes, answer)?);
        }
        if !list.is_at_end() {
            return Ok(None);
        }
        path::put(record, &self.get.include[self.at].into, Value::List(std::mem::take(&mut self.parts)));
        self.at += 1;
        if self.at < self.get.include.len() {
            self.begin();
            return Ok(None);
        }
        self.ended = true;
        Ok(Some(record.to_json().into()))
    }

    fn begin(&mut self) {
        let vars = ListVars { source_id: Some(self.id.clone()), ..ListVars::default() };
        self.list = self.get.include.get(self.at).map(|include| List::new(self.connector, &include.read, Some("id"), None, vars));
    }
}
