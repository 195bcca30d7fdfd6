//! A version of a flow, run and not sent: what a message becomes, whether the flow takes it, and the exact request that would go out.
//! Dry runs, replays, shadow runs and the time machine are this one function over different records, connectors and tables.

use chrono::{DateTime, Utc};
use domain::canonical;
use domain::canonical::shape::Is;
use domain::exception::Reason;
use domain::flow::FlowSpec;
use domain::id::{ConnectionId, DeliveryId};
use domain::mapping::{Filter, How, Issue, Lookups, MappingErrors, Plan, Rules, Untranslated, Use};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use domain::value::{Limits, Value};

use crate::Inputs;
use crate::connector::Connector;
use crate::flow::{Carried, Document, FlowError, FlowPlan, Origin, developer_fault, external_key, read, reading, thing, unread};
use crate::look_up::LookUpError;
use crate::request::{Draft, DraftBody, RequestContext, RequestError};

/// What to do where an edit of a payload fits it no more.
pub const EDIT_FIX: &str = "Edit the payload again: what you say then takes the place of this edit.";

/// One side of a flow: a connection, and the connector that it is of.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    pub connection: ConnectionId,
    pub name: &'a str,
    pub settings: &'a serde_json::Value,
    pub connector: &'a Connector,
}

/// A flow version between its sides.
#[derive(Debug)]
pub struct Trial<'a> {
    kind: RecordKind,
    source: Side<'a>,
    destination: Side<'a>,
    read: Option<Plan>,
    filter: Option<Filter>,
    plan: FlowPlan,
}

/// What a trial is about: one revision of a record.
#[derive(Debug, Clone, Copy)]
pub struct Revision<'a> {
    pub source_id: &'a str,
    pub number: Option<&'a str>,
    pub revision: i32,
    /// The canonical document.
    pub document: &'a [u8],
    pub unbalanced: Option<&'a str>,
    /// The delivery whose request it is, for the keys that are made of it.
    pub delivery: DeliveryId,
}

/// A message, read.
#[derive(Debug)]
pub struct ReadDocument {
    pub document: Value,
    pub number: Option<String>,
    pub source_id: Option<String>,
    pub unbalanced: Option<String>,
}

/// What became of it.
#[derive(Debug)]
pub enum Tried {
    /// The filter leaves it out.
    Left,
    Refused(Box<Reason>),
    Made(Box<Made>),
}

#[derive(Debug)]
pub struct Made {
    pub payload: Value,
    /// Without anything that says who we are.
    pub request: Draft,
    /// Reads that would come before it and were not made: what they find is not in the request.
    pub not_looked_up: bool,
}

impl<'a> Trial<'a> {
    /// `beside` are the rules by which other flows read the same records: a record is read once for all of them.
    ///
    /// # Errors
    /// All that is wrong with the version between these sides.
    pub fn new(
        spec: &FlowSpec,
        beside: &[Rules],
        kind: RecordKind,
        source: Side<'a>,
        destination: Side<'a>,
    ) -> Result<Self, Vec<FlowError>> {
        let overlays: Vec<Rules> = beside.iter().chain([&spec.source_mapping]).cloned().collect();
        let fail = |field, what: String| vec![FlowError { field, what }];
        let mapping = |field| {
            move |errors: MappingErrors| {
                errors.0.into_iter().map(|error| FlowError { field, what: error.to_string() }).collect::<Vec<_>>()
            }
        };
        Ok(Self {
            kind,
            source,
            destination,
            read: reading(source.connector, kind, &overlays).map_err(mapping("source_mapping"))?,
            filter: spec.filter.as_deref().map(Filter::compile).transpose().map_err(|error| fail("filter", error.to_string()))?,
            plan: FlowPlan::of(spec, kind, destination.connector).map_err(mapping("mapping"))?,
        })
    }

    #[must_use]
    pub fn kind(&self) -> RecordKind {
        self.kind
    }

    #[must_use]
    pub fn source(&self) -> Side<'_> {
        self.source
    }

    #[must_use]
    pub fn destination(&self) -> Side<'_> {
        self.destination
    }

    /// True where the flow takes this record. A filter that fails on one lets it through, as it does in earnest.
    #[must_use]
    pub fn takes(&self, document: &Value) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.passes(document).unwrap_or(true))
    }

    /// How it writes.
    #[must_use]
    pub fn write_plan(&self) -> Option<&Plan> {
        self.plan.write_plan(self.destination.connector, self.kind)
    }

    /// How it reads.
    #[must_use]
    pub fn read_plan(&self) -> Option<&Plan> {
        self.read.as_ref().or_else(|| self.source.connector.read_plan(self.kind))
    }

    /// True for a field of a request that is an amount in the record's currency, by its name without rows: it is made of one. What counts minor
    /// units is none, because cents and euros make no sum. A request may carry the payload somewhere within.
    #[must_use]
    pub fn is_money(&self, field: &str) -> bool {
        let is = |to: &str| field.strip_suffix(to).is_some_and(|before| before.is_empty() || before.ends_with('.'));
        let shape = canonical::shape(self.kind);
        let is_amount = |made_of: &&Use| {
            made_of.how == How::Carries && matches!(shape.at(&made_of.from).map(|field| field.is), Some(Is::Amount))
        };
        self.write_plan().is_some_and(|plan| {
            plan.uses().iter().filter(is_amount).any(|made_of| is(&made_of.to) && !plan.wholes().contains(&made_of.to))
        })
    }

    /// A message of the source as a canonical document.
    ///
    /// # Errors
    /// Why it becomes none.
    pub fn read(&self, body: &[u8], lookups: &dyn Lookups) -> Result<ReadDocument, Reason> {
        let origin = Origin { topic: self.kind.as_str(), source: self.source.name };
        let plan = self.read_plan().ok_or_else(|| unread(self.kind, self.source.connector, origin))?;
        let (document, summary) = read(self.kind, plan, origin, body, self.source.settings, lookups)?;
        Ok(ReadDocument {
            source_id: canonical::source_id(&document),
            number: summary.number,
            unbalanced: summary.unbalanced.map(|issue| issue.sentence),
            document,
        })
    }

    /// What a revision becomes at the destination, with what was known of that (`inputs`).
    #[must_use]
    pub fn run(&self, revision: &Revision<'_>, inputs: &Inputs, lookups: &dyn Lookups, now: DateTime<Utc>) -> Tried {
        let thing = thing(self.kind, revision.number.unwrap_or(revision.source_id));
        let destination = self.destination;
        let fault = |code, what, fix| {
            let fault = developer_fault(code, what, fix);
            Tried::Refused(Box::new(Reason::from_fault(&thing, destination.connector.title(), &fault)))
        };
        if let Some(filter) = &self.filter {
            let document = match Value::parse(revision.document, &Limits::DEFAULT) {
                Ok(document) => document,
                Err(error) => return fault("document", error.to_string(), "Tell Crossdock: a stored record cannot be read."),
            };
            // One that fails on a record lets it through, as it does in earnest.
            if !filter.passes(&document).unwrap_or(true) {
                return Tried::Left;
            }
        }
        let external_key = external_key(self.source.connector.name(), self.source.connection, revision.source_id);
        let carried = self.carried(revision, &external_key);
        let document = Document { thing: &thing, json: revision.document, unbalanced: revision.unbalanced };
        let mut payload = match self.plan.payload(destination.connector, &carried, &document, lookups) {
            Ok(payload) => payload,
            Err(reason) => return Tried::Refused(Box::new(reason)),
        };
        if let Err(error) = inputs.edits.apply(&mut payload) {
            return fault("edit", error.to_string(), EDIT_FIX);
        }
        let (key, credential) = (revision.delivery.to_string(), SecretFields::default());
        let context = RequestContext {
            external_key: &external_key,
            revision: i64::from(revision.revision),
            idempotency_key: &key,
            group: inputs.group,
            ..RequestContext::new(destination.settings, &credential, now, "")
        };
        match self.request(&payload, inputs, &context) {
            Ok((request, not_looked_up)) => Tried::Made(Box::new(Made { payload, request, not_looked_up })),
            Err(LookUpError::Request(error)) => fault("request", error.to_string(), "Complete the connection, then press Retry."),
            Err(LookUpError::Missing(missing)) => {
                Tried::Refused(Box::new(Reason::from_fault(&thing, destination.connector.title(), &missing)))
            }
        }
    }

    /// All that stands against a revision at once, so that a person mends it once; empty where the rules have an answer.
    #[must_use]
    pub fn issues(&self, revision: &Revision<'_>, lookups: &dyn Lookups) -> Vec<Issue> {
        let external_key = external_key(self.source.connector.name(), self.source.connection, revision.source_id);
        let Some(plan) = self.write_plan() else { return vec![] };
        let carried = self.carried(revision, &external_key);
        match plan.read(revision.document, &Limits::DEFAULT, lookups, &carried.vars()) {
            Err(Untranslated::Unmapped(issues)) => issues,
            Ok(_) | Err(Untranslated::Unreadable(_)) => vec![],
        }
    }

    fn carried<'c>(&'c self, revision: &Revision<'_>, external_key: &'c str) -> Carried<'c> {
        Carried {
            kind: self.kind,
            revision: revision.revision,
            external_key,
            settings: self.destination.settings,
            source: self.source.name,
        }
    }

    /// The request, or the first read that comes before it where that was not made.
    fn request(&self, payload: &Value, inputs: &Inputs, context: &RequestContext<'_>) -> Result<(Draft, bool), LookUpError> {
        let (connector, change) = (self.destination.connector, inputs.change());
        if inputs.batch.is_some() && connector.batch_items_max(self.kind).is_some() {
            return Ok((connector.batch_item_draft(self.kind, payload, context)?, false));
        }
        match connector.change_draft(self.kind, change, Some(payload), &inputs.found, context) {
            Ok(request) => Ok((request, false)),
            Err(RequestError::LookUp(_)) => {
                let mut found = inputs.found.clone();
                let read = connector.before_draft(self.kind, change, Some(payload), &mut found, context)?;
                match read {
                    Some(read) => Ok((read, true)),
                    None => Ok((connector.change_draft(self.kind, change, Some(payload), &found, context)?, false)),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}

impl Made {
    /// The body as a document: what two requests are compared by. A form is its names with their values.
    #[must_use]
    pub fn body(&self) -> Value {
        match &self.request.body {
            DraftBody::Json(tree) | DraftBody::Form(tree) => tree.clone(),
            DraftBody::Text(text) => Value::Text(text.clone()),
            DraftBody::None => Value::Null,
        }
    }
}

/// What was sent, as a document of the same form as [`Made::body`].
#[must_use]
pub fn sent(request: &[u8], like: &DraftBody) -> Value {
    match like {
        DraftBody::Form(_) => unform(request),
        DraftBody::None if request.is_empty() => Value::Null,
        _ => {
            Value::parse(request, &Limits::DEFAULT).unwrap_or_else(|_| Value::Text(String::from_utf8_lossy(request).into_owned()))
        }
    }
}

/// `a[b][0]=1` as `{"a": {"b": ["1"]}}`: the way back from a form.
fn unform(request: &[u8]) -> Value {
    let mut tree = Value::Map(domain::value::Map::new());
    for (name, value) in url::form_urlencoded::parse(request) {
        let parts: Vec<&str> = name.split(['[', ']']).filter(|part| !part.is_empty()).collect();
        put(&mut tree, &parts, Value::Text(value.into_owned()));
    }
    tree
}

fn put(tree: &mut Value, parts: &[&str], value: Value) {
    let Some((first, rest)) = parts.split_first() else {
        *tree = value;
        return;
    };
    if let Ok(row) = first.parse::<usize>() {
        if !matches!(tree, Value::List(_)) {
            *tree = Value::List(vec![]);
        }
        if let Value::List(list) = tree
            && row <= list.len()
        {
            if row == list.len() {
                list.push(Value::Null);
            }
            put(&mut list[row], rest, value);
        }
        return;
    }
    if !matches!(tree, Value::Map(_)) {
        *tree = Value::Map(domain::value::Map::new());
    }
    if let Value::Map(map) = tree {
        put(map.entry((*first).to_owned()).or_insert(Value::Null), rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;
    use domain::mapping::LookupSet;
    use serde_json::json;

    fn side<'a>(name: &'a str, connector: &str, settings: &'a serde_json::Value) -> Side<'a> {
        Side { connection: ConnectionId::generate(), name, settings, connector: Catalog::embedded().get(connector).unwrap() }
    }

    #[test]
    fn a_message_is_tried_from_its_bytes_to_the_exact_request() {
        let (shop, erp) = (
            json!({"shop": "acme.myshopify.com"}),
            json!({"account": "TD100", "customer_id": "42", "subsidiary_id": "1", "base_url": "https://erp.example"}),
        );
        let spec: FlowSpec =
            serde_json::from_value(json!({"filter": "totals.grand > 0", "mapping": [{"to": "memo", "default": "tried"}]}))
                .unwrap();
        let (source, destination) = (side("shop", "shopify", &shop), side("erp", "netsuite", &erp));
        let trial = Trial::new(&spec, &[], RecordKind::Order, source, destination).unwrap();
        let lookups = AnyEntry(destination.connector.tables());
        let (_, sample) = source.connector.samples(RecordKind::Order).next().unwrap();
        let read = trial.read(sample.as_bytes(), source.connector.tables()).unwrap();
        let document = read.document.to_json();
        let revision = Revision {
            source_id: read.source_id.as_deref().unwrap(),
            number: read.number.as_deref(),
            revision: 1,
            document: document.as_bytes(),
            unbalanced: None,
            delivery: DeliveryId::generate(),
        };
        let tried = trial.run(&revision, &Inputs::default(), &lookups, Utc::now());
        let Tried::Made(made) = tried else { panic!("{tried:?}") };
        assert_eq!(made.payload.at("memo").and_then(Value::as_str), Some("tried"));
        for (field, is_money) in
            [("item.items[].rate", true), ("order.shippingCost", true), ("item.items[].quantity", false), ("memo", false)]
        {
            assert_eq!(trial.is_money(field), is_money, "{field}");
        }
        let request = made.request.clone().unsigned();
        assert!(request.url.starts_with("https://erp.example/"), "{}", request.url);
        assert!(request.headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("authorization")));
        assert_eq!(sent(&request.body, &made.request.body), made.body());
        let left = serde_json::from_value(json!({"filter": "totals.grand < 0"})).unwrap();
        let left = Trial::new(&left, &[], RecordKind::Order, source, destination).unwrap();
        assert!(matches!(left.run(&revision, &Inputs::default(), &lookups, Utc::now()), Tried::Left));
    }

    /// Finds an entry for everything.
    struct AnyEntry<'a>(&'a LookupSet);

    impl Lookups for AnyEntry<'_> {
        fn find(&self, table: &str, key: &str) -> Option<&str> {
            self.0.find(table, key).or(Some("1"))
        }

        fn has_table(&self, _: &str) -> bool {
            true
        }
    }

    #[test]
    fn a_form_comes_back_as_the_document_it_was_made_of() {
        let form = b"customer=c1&items[0][amount]=10&items[0][tags][0]=a&items[1][amount]=20";
        let tree = sent(form, &DraftBody::Form(Value::Null));
        assert_eq!(tree.to_json(), r#"{"customer":"c1","items":[{"amount":"10","tags":["a"]},{"amount":"20"}]}"#);
    }
}
