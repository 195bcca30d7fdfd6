//! What was known of the destination when a request was made: kept with the attempt, because it is what nobody can find out again.

use chrono::{DateTime, SecondsFormat, Utc};
use domain::delivery::Receipt;
use domain::edit::Edits;
use domain::value::{Limits, Map, Value, ValueError};

use crate::change::Change;
use crate::look_up::Found;
use crate::x12::{ControlNumber, GroupNumber};

/// A change and what was looked up for it, as they are kept.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inputs {
    /// The action's name, where it was one.
    action: Option<String>,
    /// The record as the destination had it, where it did.
    on: Option<Receipt>,
    pub found: Found,
    /// What a person has changed of the payload.
    pub edits: Edits,
    /// The batch that it went in: then the attempt keeps its payload, and not the whole request.
    pub batch: Option<String>,
    /// The control number of the group of X12 that it was.
    pub group: Option<GroupNumber>,
}

impl Inputs {
    #[must_use]
    pub fn new(change: Change<'_>, found: Found) -> Self {
        let action = if let Change::Action(name, _) = change { Some(name.to_owned()) } else { None };
        Self { action, on: change.receipt().cloned(), found, ..Self::default() }
    }

    /// The same, of a payload that a person has changed.
    #[must_use]
    pub fn with_edits(self, edits: Edits) -> Self {
        Self { edits, ..self }
    }

    /// The same, of a payload that went in a batch.
    #[must_use]
    pub fn in_batch(self, batch: Option<String>) -> Self {
        Self { batch, ..self }
    }

    /// The same, under a control number.
    #[must_use]
    pub fn numbered(self, group: Option<GroupNumber>) -> Self {
        Self { group, ..self }
    }

    #[must_use]
    pub fn change(&self) -> Change<'_> {
        match (&self.action, &self.on) {
            (Some(name), Some(on)) => Change::Action(name, on),
            (None, Some(on)) => Change::Update(on),
            (_, None) => Change::Write,
        }
    }

    /// As JSON; nothing for the most common: a first write that went alone, for which nothing was looked up.
    #[must_use]
    pub fn to_json(&self) -> Option<String> {
        let text = |text: &str| Value::Text(text.to_owned());
        let mut map = Map::new();
        if let Some(action) = &self.action {
            map.insert("action".into(), text(action));
        }
        if let Some(on) = &self.on {
            let mut receipt = Map::from([("id".to_owned(), text(&on.id))]);
            receipt.extend(on.version.as_deref().map(|version| ("version".to_owned(), text(version))));
            map.insert("on".into(), Value::Map(receipt));
        }
        if !self.found.is_empty() {
            map.insert("found".into(), self.found.to_value());
        }
        if !self.edits.is_empty() {
            map.insert("edits".into(), self.edits.to_value());
        }
        map.extend(self.batch.as_deref().map(|batch| ("batch".to_owned(), text(batch))));
        if let Some(group) = &self.group {
            let made_at = group.made_at.to_rfc3339_opts(SecondsFormat::Micros, true);
            let group = [("number".to_owned(), text(&group.number.to_string())), ("made_at".to_owned(), text(&made_at))];
            map.insert("group".into(), Value::Map(Map::from(group)));
        }
        (!map.is_empty()).then(|| Value::Map(map).to_json())
    }

    /// The way back from [`Self::to_json`].
    ///
    /// # Errors
    /// Where the text is no JSON.
    pub fn parse(json: Option<&str>) -> Result<Self, ValueError> {
        let Some(json) = json else { return Ok(Self::default()) };
        let value = Value::parse(json.as_bytes(), &Limits::DEFAULT)?;
        let text = |at: &str| value.at(at).and_then(Value::as_str).map(str::to_owned);
        let made_at = text("group.made_at").and_then(|at| at.parse::<DateTime<Utc>>().ok());
        let number = text("group.number").and_then(|number| ControlNumber::read(&number));
        Ok(Self {
            action: text("action"),
            on: text("on.id").map(|id| Receipt { id, version: text("on.version") }),
            found: value.get("found").map(Found::from_value).unwrap_or_default(),
            edits: value.get("edits").map(Edits::from_value).unwrap_or_default(),
            batch: text("batch"),
            group: number.zip(made_at).map(|(number, made_at)| GroupNumber { number, made_at }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_known_comes_back_as_it_was() {
        let receipt = Receipt { id: "9007199254740993".into(), version: Some("3".into()) };
        let found = Value::parse(br#"{"customer": {"id": 12345678901234567890.10}, "absent": null}"#, &Limits::DEFAULT).unwrap();
        for change in [Change::Write, Change::Update(&receipt), Change::Action("pay", &receipt)] {
            for found in [Found::default(), Found::from_value(&found)] {
                let edits = Edits::read([("lines[0].price", "10.50")]).unwrap();
                let inputs = Inputs::new(change, found).with_edits(edits).in_batch(Some("b1".into()));
                let number = ControlNumber::new(7).unwrap();
                let made_at = DateTime::from_timestamp_micros(1_790_000_000_123_456).unwrap();
                let inputs = inputs.numbered(Some(GroupNumber { number, made_at }));
                let json = inputs.to_json();
                let read = Inputs::parse(json.as_deref()).unwrap();
                assert_eq!(read, inputs);
                assert_eq!(format!("{:?}", read.change()), format!("{change:?}"));
            }
        }
        assert_eq!(Inputs::default().to_json(), None);
    }
}
