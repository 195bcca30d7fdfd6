//! How far a changed field reaches: through the mapping that reads the source into the record's fields, and through each flow's mapping and
//! filter into the destination's. It is read off the rules, so it needs no document.

use std::collections::{BTreeMap, BTreeSet};

use super::Side;
use super::profile::Path;
use crate::id::FlowId;
use crate::mapping::{Filter, How, Plan, is_touched};

/// Fields that are named of one flow.
const FIELDS_MAX: usize = 20;
/// How a filter is named among the fields of a destination.
const FILTER: &str = "(filter)";

/// What a flow does with a record, as far as drift needs it.
#[derive(Debug, Clone, Copy)]
pub struct Mapped<'a> {
    pub flow: FlowId,
    pub write: &'a Plan,
    pub filter: Option<&'a Filter>,
}

/// What somebody does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reading {
    /// No published flow reads it.
    Unread,
    /// It goes on to a destination.
    Carried,
    /// It is looked up in a table, or a condition reads it.
    Decides,
}

impl From<How> for Reading {
    fn from(how: How) -> Self {
        match how {
            How::Carries => Self::Carried,
            How::LooksUp | How::Decides => Self::Decides,
        }
    }
}

/// A flow that a field reaches, and what is made of it there; at most twenty fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touched {
    pub flow: FlowId,
    pub fields: Vec<String>,
}

/// How far a field reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    pub reading: Reading,
    pub flows: Vec<Touched>,
}

impl Reach {
    /// `read` is the mapping that reads the source, where the field is one of a source.
    #[must_use]
    pub fn of(path: &Path, side: Side, read: Option<&Plan>, flows: &[Mapped<'_>]) -> Self {
        let mut reach = Self { reading: Reading::Unread, flows: vec![] };
        // Fields of the record that it is read for, and the most that is done with it on the way.
        let mut canonical: BTreeMap<&str, How> = BTreeMap::new();
        for one in read.iter().flat_map(|plan| plan.uses()).filter(|one| is_touched(&one.from, path.as_str())) {
            let how = canonical.entry(&one.to).or_default();
            *how = (*how).max(one.how);
        }
        for mapped in flows {
            let mut fields: BTreeSet<&str> = BTreeSet::new();
            let mut reading = Reading::Unread;
            match side {
                Side::Destination => {
                    let written = mapped.write.writes().iter().filter(|to| is_touched(to, path.as_str()));
                    fields.extend(written.map(String::as_str));
                }
                Side::Source => {
                    for (field, how) in &canonical {
                        for one in mapped.write.uses().iter().filter(|one| is_touched(&one.from, field)) {
                            fields.insert(&one.to);
                            reading = reading.max(one.how.max(*how).into());
                        }
                        if mapped.filter.is_some_and(|filter| filter.reads().iter().any(|read| is_touched(read, field))) {
                            fields.insert(FILTER);
                            reading = Reading::Decides;
                        }
                    }
                }
            }
            if fields.is_empty() {
                continue;
            }
            reach.reading = reach.reading.max(reading.max(Reading::Carried));
            let fields = fields.into_iter().take(FIELDS_MAX).map(str::to_owned).collect();
            reach.flows.push(Touched { flow: mapped.flow, fields });
        }
        reach
    }
}
