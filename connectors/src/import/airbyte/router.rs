//! The partitions of a stream: the values of a list, the records of parent streams, or each of one with each of another.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};
use domain::fault::Fault;
use domain::http::{HttpAnswer, HttpRequest};
use domain::secret::SecretString;
use domain::value::{Map, Value};

use super::ImportError;
use super::dpath;
use super::jinja::Scope;
use super::literal;
use super::model;
use super::read::{Reader, Settings};
use super::request::Parts;
use super::slice::Slice;

/// Partitions that are each combined with all others.
const PRODUCT_MAX: usize = 100_000;
/// Values of a list of partitions.
const VALUES_MAX: usize = 100_000;

/// What comes next: a slice, a request whose answer is needed first, or nothing more.
pub(crate) enum Step {
    Slice(Slice),
    Ask(HttpRequest),
    Done,
}

#[derive(Debug)]
pub(crate) enum Router {
    /// The stream is one partition.
    One {
        given: bool,
    },
    List(ListRouter),
    Parents(ParentRouter),
    Product(ProductRouter),
}

#[derive(Debug)]
pub(crate) struct ListRouter {
    values: Vec<Value>,
    at: usize,
    field: String,
    option: Option<model::RequestOption>,
}

#[derive(Debug)]
pub(crate) struct ParentRouter {
    parents: Vec<Parent>,
    at: usize,
    ready: VecDeque<Slice>,
}

#[derive(Debug)]
struct Parent {
    reader: Box<Reader>,
    name: String,
    key: Vec<String>,
    field: String,
    extra: Vec<Vec<String>>,
    option: Option<model::RequestOption>,
    incremental: bool,
}

#[derive(Debug)]
pub(crate) struct ProductRouter {
    routers: Vec<Router>,
    /// All slices of each router, as far as they are known.
    slices: Vec<Vec<Slice>>,
    at: usize,
}

impl Router {
    pub(crate) fn new(routers: &[model::Router], settings: &Settings, state: &Map) -> Result<Router, ImportError> {
        match routers {
            [] => Ok(Router::One { given: false }),
            [one] => Router::of(one, settings, state),
            many => Router::product(many, settings),
        }
    }

    fn product(routers: &[model::Router], settings: &Settings) -> Result<Router, ImportError> {
        let routers = routers.iter().map(|router| Router::of(router, settings, &Map::new())).collect::<Result<Vec<_>, _>>()?;
        Ok(Router::Product(ProductRouter { slices: vec![Vec::new()], routers, at: 0 }))
    }

    fn of(router: &model::Router, settings: &Settings, state: &Map) -> Result<Router, ImportError> {
        let scope = settings.scope();
        match router {
            model::Router::ListPartitionRouter { values, cursor_field, request_option, parameters } => {
                let scope = scope.and("parameters", &parameters.0);
                let values = match &values.0 {
                    Value::Text(template) => scope.value(template)?.into_value(),
                    other => other.clone(),
                };
                let Value::List(values) = values else {
                    let why = "the values of a ListPartitionRouter are no list".to_owned();
                    return Err(ImportError::Setting { name: "values".to_owned(), why });
                };
                if values.len() > VALUES_MAX {
                    return Err(ImportError::TooMany { what: "partitions", max: VALUES_MAX });
                }
                Ok(Router::List(ListRouter {
                    values,
                    at: 0,
                    field: scope.text(&cursor_field.0)?,
                    option: request_option.clone(),
                }))
            }
            model::Router::SubstreamPartitionRouter { parent_stream_configs } => {
                let mut parents = Vec::new();
                for parent in parent_stream_configs {
                    parents.push(Parent::new(parent, settings, state)?);
                }
                Ok(Router::Parents(ParentRouter { parents, at: 0, ready: VecDeque::new() }))
            }
            model::Router::CartesianProductStreamSlicer { stream_slicers } => Router::product(stream_slicers, settings),
        }
    }

    pub(crate) fn next(&mut self) -> Result<Step, ImportError> {
        match self {
            Router::One { given } => Ok(if std::mem::replace(given, true) { Step::Done } else { Step::Slice(Slice::default()) }),
            Router::List(list) => {
                let Some(value) = list.values.get(list.at) else { return Ok(Step::Done) };
                list.at += 1;
                let partition = [(list.field.clone(), value.clone())].into_iter().collect();
                Ok(Step::Slice(Slice { partition, ..Slice::default() }))
            }
            Router::Parents(parents) => parents.next(),
            Router::Product(product) => product.next(),
        }
    }

    /// The answer to what was asked.
    pub(crate) fn take(&mut self, answer: &HttpAnswer) -> Result<(), Fault> {
        match self {
            Router::One { .. } | Router::List(_) => Ok(()),
            Router::Parents(parents) => parents.take(answer),
            Router::Product(product) => match product.routers.get_mut(product.at) {
                Some(router) => router.take(answer),
                None => Ok(()),
            },
        }
    }

    /// What a slice adds to a request.
    pub(crate) fn parts(&self, slice: &Slice, scope: &Scope) -> Result<Parts, ImportError> {
        let mut parts = Parts::default();
        let mut add = |option: Option<&model::RequestOption>, field: &str| -> Result<(), ImportError> {
            match (option, slice.get(field).filter(|value| literal::is_true(value))) {
                (Some(option), Some(value)) => parts.inject(option, value.clone(), scope),
                _ => Ok(()),
            }
        };
        match self {
            Router::One { .. } => {}
            Router::List(list) => add(list.option.as_ref(), &list.field)?,
            Router::Parents(parents) => {
                for parent in &parents.parents {
                    add(parent.option.as_ref(), &parent.field)?;
                }
            }
            Router::Product(product) => {
                for router in &product.routers {
                    // What an earlier one says stands above what a later one does.
                    let Parts { query, headers, form, json, .. } = router.parts(slice, scope)?;
                    for (into, from) in [
                        (&mut parts.query, query),
                        (&mut parts.headers, headers),
                        (&mut parts.form, form),
                        (&mut parts.json, json),
                    ] {
                        for (name, value) in from {
                            into.entry(name).or_insert(value);
                        }
                    }
                }
            }
        }
        Ok(parts)
    }

    /// The states of the parents that are read incrementally; nothing where there are no parents.
    pub(crate) fn state(&self) -> Result<Option<Value>, ImportError> {
        let Router::Parents(parents) = self else { return Ok(None) };
        let mut state = Map::new();
        for parent in parents.parents.iter().filter(|parent| parent.incremental) {
            state.insert(parent.name.clone(), Value::Map(parent.reader.position()?));
        }
        Ok(Some(Value::Map(state)))
    }

    /// Those of the parents.
    pub(crate) fn tokens(&self) -> Vec<SecretString> {
        match self {
            Router::One { .. } | Router::List(_) => Vec::new(),
            Router::Parents(parents) => parents.parents.iter().flat_map(|parent| parent.reader.tokens()).collect(),
            Router::Product(product) => product.routers.iter().flat_map(Router::tokens).collect(),
        }
    }

    pub(crate) fn set_now(&mut self, now: DateTime<Utc>) {
        match self {
            Router::One { .. } | Router::List(_) => {}
            Router::Parents(parents) => parents.parents.iter_mut().for_each(|parent| parent.reader.set_now(now)),
            Router::Product(product) => product.routers.iter_mut().for_each(|router| router.set_now(now)),
        }
    }
}

impl Parent {
    fn new(parent: &model::Parent, settings: &Settings, state: &Map) -> Result<Parent, ImportError> {
        let scope = settings.scope().and("parameters", &parent.parameters.0);
        let incremental = parent.incremental_dependency.unwrap_or(false);
        let own = state.get("parent_state").and_then(|states| states.get(&parent.stream.name)).or_else(|| state.get("state"));
        let own = own.and_then(Value::as_map).filter(|_| incremental).cloned().unwrap_or_default();
        let extra = parent.extra_fields.iter().flatten();
        let extra = extra.map(|path| path.iter().map(|segment| scope.text(&segment.0)).collect::<Result<Vec<_>, _>>());
        Ok(Parent {
            reader: Box::new(Reader::of(parent.stream.as_ref().clone(), settings.clone(), own)?),
            name: parent.stream.name.clone(),
            key: scope.text(&parent.parent_key.0)?.split('/').filter(|key| !key.is_empty()).map(str::to_owned).collect(),
            field: scope.text(&parent.partition_field.0)?,
            extra: extra.collect::<Result<Vec<_>, _>>()?,
            option: parent.request_option.clone(),
            incremental,
        })
    }

    /// The partition that a record of the parent stands for; none where the record has no key.
    fn slice(&self, record: &Value, parent: &Slice) -> Option<Slice> {
        let value = dpath::get(record, &self.key).filter(|value| !value.is_null())?;
        let partition = [(self.field.clone(), value.clone()), ("parent_slice".to_owned(), Value::Map(parent.partition.clone()))];
        let extra = self.extra.iter().map(|path| (path.join("."), dpath::get(record, path).cloned().unwrap_or(Value::Null)));
        Some(Slice { partition: partition.into_iter().collect(), cursor: Map::new(), extra: extra.collect() })
    }
}

impl ParentRouter {
    fn next(&mut self) -> Result<Step, ImportError> {
        loop {
            if let Some(slice) = self.ready.pop_front() {
                return Ok(Step::Slice(slice));
            }
            let Some(parent) = self.parents.get_mut(self.at) else { return Ok(Step::Done) };
            match parent.reader.next()? {
                Some(request) => return Ok(Step::Ask(request)),
                None => self.at += 1,
            }
        }
    }

    fn take(&mut self, answer: &HttpAnswer) -> Result<(), Fault> {
        let Some(parent) = self.parents.get_mut(self.at) else { return Ok(()) };
        for (record, slice) in parent.reader.take_records(answer)? {
            self.ready.extend(parent.slice(&record, &slice));
        }
        Ok(())
    }
}

impl ProductRouter {
    /// First all slices of all routers, then each with each: the last router's change the fastest.
    fn next(&mut self) -> Result<Step, ImportError> {
        while let Some(router) = self.routers.get_mut(self.at) {
            match router.next()? {
                Step::Ask(request) => return Ok(Step::Ask(request)),
                Step::Slice(slice) => {
                    if let Some(known) = self.slices.last_mut() {
                        known.push(slice);
                    }
                    let product = self.slices.iter().map(|slices| slices.len().max(1)).try_fold(1_usize, usize::checked_mul);
                    if product.is_none_or(|product| product > PRODUCT_MAX) {
                        return Err(ImportError::TooMany { what: "partitions", max: PRODUCT_MAX });
                    }
                }
                Step::Done => {
                    self.at += 1;
                    if self.at < self.routers.len() {
                        self.slices.push(Vec::new());
                    } else {
                        self.combine();
                    }
                }
            }
        }
        // `combine` has left one list of all, the first one last.
        Ok(self.slices.first_mut().and_then(Vec::pop).map_or(Step::Done, Step::Slice))
    }

    fn combine(&mut self) {
        let mut all = vec![Slice::default()];
        for slices in std::mem::take(&mut self.slices) {
            let with = |one: &Slice| -> Vec<Slice> {
                let both = |other: &Slice| {
                    let mut both = one.clone();
                    for (into, from) in [(&mut both.partition, &other.partition), (&mut both.extra, &other.extra)] {
                        for (name, value) in from {
                            into.entry(name.clone()).or_insert_with(|| value.clone());
                        }
                    }
                    both
                };
                slices.iter().map(both).collect()
            };
            all = all.iter().flat_map(with).collect();
        }
        all.reverse();
        self.slices = vec![all];
    }
}
