//! Named values beside the document: `$settings`, `$record`.

use crate::value::Value;

#[derive(Debug, Clone, Default)]
pub struct Vars(Vec<(String, Value)>);

impl Vars {
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.retain(|(kept, _)| kept != name);
        self.0.push((name.to_owned(), value));
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(kept, _)| kept == name).map(|(_, value)| value)
    }
}
