//! What was written to a destination against what the destination says it has. A field that the answer names as the payload does is compared
//! there; one that it names otherwise is compared in the canonical words, where the destination's own mapping reads it back.

use domain::mapping::{How, Lookups};
use domain::reconciliation::{Agreement, compare};
use domain::value::Value;

use crate::flow::{Origin, read};
use crate::trial::Trial;

impl Trial<'_> {
    /// Compares a delivered document, and the payload that it became, with the destination's own record as its list gives it. Fields for which
    /// `is_ignored` is true, by their names in the payload, are left out.
    #[must_use]
    pub fn agreement(
        &self,
        document: &Value,
        payload: &Value,
        theirs: (&Value, &[u8]),
        lookups: &dyn Lookups,
        is_ignored: &dyn Fn(&str) -> bool,
    ) -> Agreement {
        // Its id, its version and when it changed are the destination's own to say.
        let resource = self.destination().connector.resource(self.kind());
        let own = resource.map(|resource| [resource.id.as_deref(), resource.updated_at.as_deref(), resource.version.as_deref()]);
        let own: Vec<&str> = own.into_iter().flatten().flatten().collect();
        let mut agreement = compare(payload, theirs.0, &|field| own.contains(&field) || is_ignored(field));
        if agreement.uncompared.is_empty() {
            return agreement;
        }
        let destination = self.destination();
        let (Some(write), Some(plan)) = (self.write_plan(), destination.connector.read_plan(self.kind())) else {
            return agreement;
        };
        let origin = Origin { topic: self.kind().as_str(), source: destination.name };
        // One that is no record in our words is compared as far as its own words go.
        let Ok((canonical, _)) = read(self.kind(), plan, origin, theirs.1, destination.settings, lookups) else {
            return agreement;
        };
        for field in agreement.uncompared.clone() {
            let Some(from) = only_source(write, &field) else { continue };
            // Compared alone, so that nothing is said of fields that the payload does not have.
            let (ours, theirs) = (alone(document, &from), alone(&canonical, &from));
            if is_said(&theirs) {
                agreement.add(&field, compare(&ours, &theirs, &|_| false));
            }
        }
        agreement
    }
}

/// The one canonical field that a payload's field carries on; `None` where it is made of several, looked up or decided upon.
fn only_source(write: &domain::mapping::Plan, field: &str) -> Option<String> {
    let mut uses = write.uses().iter().filter(|one| one.to == field);
    let one = uses.next().filter(|one| one.how == How::Carries)?;
    uses.all(|other| other == one).then(|| one.from.clone())
}

/// The document with nothing but this field, `lines[].sku`, in the places where it has it.
fn alone(document: &Value, field: &str) -> Value {
    let (key, rest) = field.split_once('.').map_or((field, None), |(key, rest)| (key, Some(rest)));
    let name = key.trim_end_matches("[]");
    let inner = |value: &Value| rest.map_or_else(|| value.clone(), |rest| alone(value, rest));
    let value = match document.get(name) {
        None => return Value::Map(domain::value::Map::default()),
        Some(Value::List(rows)) => Value::List(rows.iter().map(inner).collect()),
        Some(value) => inner(value),
    };
    Value::Map([(name.to_owned(), value)].into_iter().collect())
}

/// True where there is any leaf that says something.
fn is_said(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Map(map) => map.iter().any(|(_, value)| is_said(value)),
        Value::List(rows) => rows.iter().any(is_said),
        _ => true,
    }
}
