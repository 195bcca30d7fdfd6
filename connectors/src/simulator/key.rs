//! The keys of an account: what it may be called with. There is one at the start; a vendor that makes keys makes more, up to as many as it holds, and what
//! was removed is refused from then on.

use domain::fault::FaultClass;
use domain::secret::{ExposeSecret, SecretFields, SecretString};
use domain::value::{Map, Value};

use super::pattern::Found;
use super::refusal::{Refusal, concrete};
use super::seed::{empty, hash};
use super::write::Served;
use super::{SimAnswer, Simulator};
use crate::manifest::AutomaticRotation;
use crate::path;

/// Of a secret, as many characters are shown.
const END_CHARS: usize = 4;

/// One key of the account.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub id: String,
    pub label: String,
    pub credential: SecretFields,
}

/// Those that there are, in the order in which they were made.
#[derive(Debug)]
pub(super) struct Keys {
    pub rows: Vec<Key>,
    made: u64,
}

impl Keys {
    pub fn new(credential: &SecretFields) -> Self {
        // A person made it, and called it as people do.
        let first = Key { id: "key-1".into(), label: "made by hand".into(), credential: credential.clone() };
        Self { rows: vec![first], made: 1 }
    }
}

impl<'c> Simulator<'c> {
    fn automatic(&self) -> Result<&'c AutomaticRotation, Refusal> {
        let rotation = self.connector.manifest.rotation.as_ref();
        rotation
            .and_then(|rotation| rotation.automatic.as_deref())
            .ok_or_else(|| Refusal::new(FaultClass::NotFound, "There is nothing at this address."))
    }
}

impl Simulator<'_> {
    /// What the vendor calls its keys, in the order in which they were made.
    #[must_use]
    pub fn key_labels(&self) -> Vec<String> {
        self.keys.rows.iter().map(|key| key.label.clone()).collect()
    }

    /// From now on it may be called with this, too: a person has made it.
    pub fn key_add(&mut self, label: &str, credential: SecretFields) {
        self.keys.made += 1;
        self.keys.rows.push(Key { id: format!("key-{}", self.keys.made), label: label.to_owned(), credential });
    }

    /// Removes the keys that are called so; how many those were.
    pub fn key_remove(&mut self, label: &str) -> usize {
        let before = self.keys.rows.len();
        self.keys.rows.retain(|key| key.label != label);
        before - self.keys.rows.len()
    }

    pub(super) fn make_key(&mut self, found: &Found) -> Served {
        let automatic = self.automatic()?;
        if let Some(most) =
            automatic.held_at_most.filter(|most| self.keys.rows.len() >= usize::try_from(*most).unwrap_or(usize::MAX))
        {
            let message = format!("An account has {most} keys at most.");
            return Err(Refusal::new(FaultClass::Conflict, &message));
        }
        self.keys.made += 1;
        let (id, number) = (format!("key-{}", self.keys.made), self.keys.made.to_string());
        let mut credential = self.credential.clone();
        let mut body = empty();
        path::put(&mut body, &concrete(&automatic.create.id), id.clone().into());
        for (field, at) in &automatic.create.keep {
            let half = |n: &str| hash(self.seed, &["key", field.as_str(), number.as_str(), n]);
            let secret = format!("sim-key-{:016x}{:016x}", half("a"), half("b"));
            path::put(&mut body, &concrete(at), secret.clone().into());
            credential.0.insert(field.clone(), SecretString::from(secret));
        }
        self.keys.rows.push(Key { id, label: found.get("key_label").unwrap_or_default().to_owned(), credential });
        Ok(SimAnswer::json(201, &body))
    }

    pub(super) fn list_keys(&self) -> Served {
        let automatic = self.automatic()?;
        let list = &automatic.list;
        let shown = |key: &Key| {
            let mut value = Value::Map(Map::new());
            path::put(&mut value, &list.id, key.id.clone().into());
            path::put(&mut value, &list.label, key.label.clone().into());
            let secret =
                automatic.create.keep.keys().find_map(|field| key.credential.get(field)).map(ExposeSecret::expose_secret);
            if let (Some(at), Some(secret)) = (&list.ends_with, secret) {
                let from = secret.char_indices().rev().nth(END_CHARS - 1).map_or(0, |(at, _)| at);
                path::put(&mut value, at, format!("...{}", &secret[from..]).into());
            }
            value
        };
        let mut body = empty();
        path::put(&mut body, &list.keys, Value::List(self.keys.rows.iter().map(shown).collect()));
        Ok(SimAnswer::json(200, &body))
    }

    pub(super) fn retire_key(&mut self, found: &Found) -> Served {
        let id = found.get("key_id").unwrap_or_default();
        let before = self.keys.rows.len();
        self.keys.rows.retain(|key| key.id != id);
        if self.keys.rows.len() == before {
            return Err(Refusal { status: Some(404), ..Refusal::new(FaultClass::NotFound, "There is no such key.") });
        }
        Ok(SimAnswer::empty(204))
    }
}
