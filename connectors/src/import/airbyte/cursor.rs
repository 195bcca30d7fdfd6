//! Incremental reads: from where a stream is read, in which steps, and how far it was.
//!
//! A state says up to where all is read. Its slices are stretches from one time to another, both included; a stretch that was read whole is
//! joined to its neighbours, and the newest record of the first is the state.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::value::{Map, Value};

use super::ImportError;
use super::jinja::Scope;
use super::literal;
use super::model;
use super::moment::{self, Moment, Span};

/// What the manifest and the settings say of a cursor of times; the same for all partitions.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) field: String,
    format: String,
    formats: Vec<String>,
    start: Moment,
    end: Moment,
    step: Option<Span>,
    granularity: Option<Span>,
    lookback: Option<Span>,
    start_name: String,
    end_name: String,
    strict: bool,
}

fn span(text: &str, name: &str) -> Result<Span, ImportError> {
    let wrong = || ImportError::Setting { name: name.to_owned(), why: format!("{text} is no ISO 8601 duration") };
    Span::parse(text).filter(|span| span.is_positive()).ok_or_else(wrong)
}

fn bound(bound: &model::Bound, own_format: &str, name: &str, scope: &Scope) -> Result<Moment, ImportError> {
    let read = |text: &str, format: &str| {
        let wrong = || ImportError::Setting { name: name.to_owned(), why: format!("{text} is no time of the format {format}") };
        moment::parse(text, format).ok_or_else(wrong)
    };
    match bound {
        model::Bound::Text(text) => read(&scope.text(&text.0)?, own_format),
        model::Bound::MinMax(bound) => {
            let scope = scope.and("parameters", &bound.parameters.0);
            let format = bound.datetime_format.as_deref().filter(|format| !format.is_empty()).unwrap_or(own_format);
            let mut at = read(&scope.text(&bound.datetime.0)?, format)?;
            let limit = |limit: &Option<model::Text>| -> Result<Option<Moment>, ImportError> {
                let text = limit.as_ref().map(|limit| scope.text(&limit.0)).transpose()?.filter(|text| !text.is_empty());
                text.map(|text| read(&text, format)).transpose()
            };
            if let Some(least) = limit(&bound.min_datetime)? {
                at = at.max(least);
            }
            if let Some(most) = limit(&bound.max_datetime)? {
                at = at.min(most);
            }
            Ok(at)
        }
    }
}

impl Plan {
    pub(crate) fn new(cursor: &model::DatetimeCursor, scope: &Scope, now: DateTime<Utc>) -> Result<Plan, ImportError> {
        let scope = &scope.and("parameters", &cursor.parameters.0);
        let name =
            |name: Option<&model::Text>, default: &str| name.map_or_else(|| Ok(default.to_owned()), |name| scope.text(&name.0));
        let duration = |text: Option<&model::Text>, name: &str| -> Result<Option<Span>, ImportError> {
            let text = text.map(|text| scope.text(&text.0)).transpose()?.filter(|text| !text.is_empty() && text != "None");
            text.map(|text| span(&text, name)).transpose()
        };
        let step = duration(cursor.step.as_ref(), "step")?;
        let granularity = cursor.cursor_granularity.as_deref().map(|text| span(text, "cursor_granularity")).transpose()?;
        if cursor.step.is_some() != granularity.is_some() {
            return Err(ImportError::Shape(
                "a DatetimeBasedCursor has one of step and cursor_granularity and not the other".to_owned(),
            ));
        }
        let mut formats = cursor.cursor_datetime_formats.clone().unwrap_or_default();
        formats.push(cursor.datetime_format.clone());
        let end = match &cursor.end_datetime {
            Some(end) => bound(end, &cursor.datetime_format, "end_datetime", scope)?,
            None => now.fixed_offset(),
        };
        Ok(Plan {
            field: scope.text(&cursor.cursor_field.0)?,
            format: cursor.datetime_format.clone(),
            formats,
            start: bound(&cursor.start_datetime, &cursor.datetime_format, "start_datetime", scope)?,
            end,
            step,
            granularity,
            lookback: duration(cursor.lookback_window.as_ref(), "lookback_window")?,
            start_name: name(cursor.partition_field_start.as_ref(), "start_time")?,
            end_name: name(cursor.partition_field_end.as_ref(), "end_time")?,
            strict: cursor.is_compare_strictly.unwrap_or(false),
        })
    }

    pub(crate) fn read(&self, value: &Value) -> Option<Moment> {
        let text = literal::text(value);
        self.formats.iter().find_map(|format| moment::parse(&text, format))
    }

    /// As a state and a request write it.
    pub(crate) fn write(&self, at: &Moment) -> Result<Value, ImportError> {
        let wrong = || ImportError::Shape(format!("the datetime_format {} is not run", self.format));
        Ok(Value::Text(moment::write(at, &self.format).ok_or_else(wrong)?))
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Stretch {
    start: Moment,
    end: Moment,
    newest: Option<Moment>,
}

/// A cursor of times, of a stream or of one of its partitions.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    plan: Arc<Plan>,
    /// From where this read begins, before the lookback.
    from: Moment,
    read: Vec<Stretch>,
    /// What else the state had.
    rest: Map,
    newest: Option<Moment>,
    /// Where the next slice begins; nothing after the last one.
    walk: Option<Moment>,
}

impl Cursor {
    pub(crate) fn new(plan: Arc<Plan>, state: &Map, earlier_s: i64) -> Result<Cursor, ImportError> {
        if state.contains_key("state_type") {
            return Err(ImportError::State {
                why: "it is of the kind date-range, which only the reference itself keeps".to_owned(),
            });
        }
        let mut rest = state.clone();
        let known = match state.get(&plan.field) {
            None | Some(Value::Null) => None,
            Some(value) => {
                let wrong = || ImportError::State { why: format!("{} is no time of the stream's formats", literal::text(value)) };
                let at = plan.read(value).ok_or_else(wrong)?;
                let at = Span { months: 0, micros: earlier_s.saturating_mul(1_000_000) }.before(&at).unwrap_or(at);
                rest.insert(plan.field.clone(), plan.write(&at)?);
                // What the format cannot say, the state does not know.
                Some(if earlier_s == 0 { at } else { plan.read(&plan.write(&at)?).unwrap_or(at) })
            }
        };
        let from = known.filter(|known| *known >= plan.start).unwrap_or(plan.start);
        let read = vec![Stretch { start: plan.start, end: from, newest: Some(from) }];
        let mut cursor = Cursor { plan, from, read, rest, newest: None, walk: None };
        cursor.walk = cursor.first();
        Ok(cursor)
    }

    fn first(&self) -> Option<Moment> {
        let (lower, upper) = (self.read.last()?.end, self.plan.end);
        let lower = self.plan.lookback.map_or(Some(lower), |span| span.before(&lower)).unwrap_or(self.plan.start);
        let nothing = |lower: &Moment| *lower > upper || (*lower == upper && self.plan.granularity.is_none());
        if nothing(&lower) || upper < self.plan.start {
            return None;
        }
        let lower = lower.max(self.plan.start);
        (!(lower > upper || (lower == upper && self.plan.strict))).then_some(lower)
    }

    pub(crate) fn next_slice(&mut self) -> Result<Option<Map>, ImportError> {
        let Some(lower) = self.walk.take() else { return Ok(None) };
        let upper = self.plan.end;
        let stepped = self.plan.step.and_then(|step| step.after(&lower)).filter(|stepped| *stepped < upper);
        let end = match stepped {
            Some(stepped) => {
                self.walk = Some(stepped).filter(|stepped| *stepped > lower && *stepped < upper);
                self.plan.granularity.and_then(|span| span.before(&stepped)).unwrap_or(stepped)
            }
            None => upper,
        };
        let pair =
            [(self.plan.start_name.clone(), self.plan.write(&lower)?), (self.plan.end_name.clone(), self.plan.write(&end)?)];
        Ok(Some(pair.into_iter().collect()))
    }

    pub(crate) fn has_next(&self) -> bool {
        self.walk.is_some()
    }

    pub(crate) fn observe(&mut self, record: &Value) {
        let at = record.get(&self.plan.field).filter(|value| !value.is_null()).and_then(|value| self.plan.read(value));
        self.newest = self.newest.max(at);
    }

    /// A slice is read whole.
    pub(crate) fn close(&mut self, slice: &Map) {
        let at = |name: &str| slice.get(name).and_then(|value| self.plan.read(value));
        let newest = self.newest.take();
        if let (Some(start), Some(end)) = (at(&self.plan.start_name), at(&self.plan.end_name)) {
            self.read.push(Stretch { start, end, newest });
            self.join();
        }
    }

    fn join(&mut self) {
        self.read.sort_by_key(|stretch| (stretch.start, stretch.end));
        let gap = self.plan.granularity.unwrap_or(Span::MILLISECOND);
        let mut joined: Vec<Stretch> = Vec::with_capacity(self.read.len());
        for next in self.read.drain(..) {
            match joined.last_mut() {
                Some(last) if gap.after(&last.end).is_some_and(|end| end >= next.start) => {
                    last.end = last.end.max(next.end);
                    last.newest = last.newest.max(next.newest);
                }
                _ => joined.push(next),
            }
        }
        self.read = joined;
    }

    pub(crate) fn position(&self) -> Result<Value, ImportError> {
        let first = self.read.first().map(|stretch| stretch.newest.unwrap_or(stretch.start));
        self.plan.write(&first.unwrap_or(self.plan.start))
    }

    pub(crate) fn state(&self) -> Result<Map, ImportError> {
        let mut state = self.rest.clone();
        state.insert(self.plan.field.clone(), self.position()?);
        Ok(state)
    }

    /// Whether a record is new enough to be of this read.
    pub(crate) fn is_due(&self, record: &Value) -> bool {
        let Some(at) = record.get(&self.plan.field).filter(|value| !value.is_null()).and_then(|value| self.plan.read(value))
        else {
            return true;
        };
        let lower = match self.plan.lookback.and_then(|span| span.before(&self.from)) {
            Some(lower) => lower.max(self.from.min(self.plan.start)),
            None => self.from,
        };
        lower <= at && at <= self.plan.end
    }
}

/// A cursor that counts: one slice, from the last number on.
#[derive(Debug, Clone)]
pub(crate) struct Count {
    field: String,
    start: i64,
    newest: Option<i64>,
    rest: Map,
    begun: bool,
    pub(crate) at: i64,
}

impl Count {
    pub(crate) fn new(cursor: &model::CountCursor, scope: &Scope, state: &Map) -> Result<Count, ImportError> {
        let scope = scope.and("parameters", &cursor.parameters.0);
        let start = match &cursor.start_value {
            None => 0,
            Some(start) => {
                let text = scope.text(&start.0)?;
                let wrong =
                    |_| ImportError::Setting { name: "start_value".to_owned(), why: format!("{text} is no whole number") };
                text.trim().parse().map_err(wrong)?
            }
        };
        let field = scope.text(&cursor.cursor_field.0)?;
        let known = state.get(&field).and_then(|value| literal::text(value).parse::<i64>().ok());
        let at = known.filter(|known| *known >= start).unwrap_or(start);
        Ok(Count { field, start, newest: None, rest: state.clone(), begun: false, at })
    }

    pub(crate) fn next_slice(&mut self) -> Option<Map> {
        let first = !std::mem::replace(&mut self.begun, true);
        first.then(|| [("start".to_owned(), Value::from(self.at))].into_iter().collect())
    }

    pub(crate) fn observe(&mut self, record: &Value) {
        let at = record.get(&self.field).and_then(|value| literal::text(value).parse::<i64>().ok());
        self.newest = self.newest.max(at);
    }

    pub(crate) fn state(&self, done: bool) -> Map {
        let newest = self.newest.filter(|_| done).unwrap_or(self.at).max(self.at);
        let mut state = self.rest.clone();
        state.insert(self.field.clone(), Value::from(if newest == 0 { self.start } else { newest }));
        state
    }
}
