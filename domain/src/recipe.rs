//! What a document or a request is made with, beside what it is made of: the versions of connector, flows and lookup tables, and the settings.
//! It is kept with what was made, so that the same can be made again, and seen to be the same, years later.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::id::{FlowVersionId, LookupTableId, RecipeId};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// The connector whose rules they are.
    pub connector: String,
    /// SHA-256 over its files, in hexadecimal digits.
    pub connector_hash: String,
    /// The flow versions whose rules lie on top.
    pub flows: Vec<FlowVersionId>,
    /// The tenant's tables that the rules look into, by name, each with its version.
    pub tables: Vec<RecipeTable>,
    /// The connection's, which holds no secrets.
    pub settings: serde_json::Value,
    /// What the record's source was called, where the rules may say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecipeTable {
    pub name: String,
    pub id: LookupTableId,
    pub version: i64,
}

impl Recipe {
    /// From what it says: the same recipe has the same id, whoever wrote it down.
    #[must_use]
    pub fn id(&self) -> RecipeId {
        let text = serde_json::to_vec(self).expect("a recipe is plain data");
        let hash = Sha256::digest(&text);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash[..16]);
        RecipeId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

impl RecipeId {
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_known_by_what_it_says() {
        let table = |version| RecipeTable { name: "SKUs".into(), id: LookupTableId(Uuid::nil()), version };
        let recipe = |version| Recipe {
            connector: "netsuite".into(),
            connector_hash: "00".into(),
            flows: vec![],
            tables: vec![table(version)],
            settings: serde_json::json!({"account": "1"}),
            source: Some("Shop".into()),
        };
        assert_eq!(recipe(1).id(), recipe(1).id());
        assert_ne!(recipe(1).id(), recipe(2).id());
        let read: Recipe = serde_json::from_value(serde_json::to_value(recipe(3)).unwrap()).unwrap();
        assert_eq!(read.id(), recipe(3).id());
    }
}
