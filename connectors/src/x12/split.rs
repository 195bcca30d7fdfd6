//! Some sets speak of many things: the items of an 846, the orders of an 856. Each becomes a document with the rest of the set beside it,
//! and documents whose rest is the same become one set again.

use domain::value::{Map, Value};

use super::guide::Guide;

/// Why documents cannot stand in one set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    #[error("document {0} says something else beside its \"{1}\" than the first one")]
    Differs(usize, String),
    #[error("document {0} has no \"{1}\"")]
    Missing(usize, String),
    #[error("there are {0} documents, but a set has one")]
    TooMany(usize),
}

impl Guide {
    /// The documents of a tree, one for each entry of the list that the guide splits by; the tree itself where it splits by none or the list
    /// is empty. Each is made when it is asked for: all of them together may be much larger than the set.
    pub fn split(&self, tree: Value) -> impl Iterator<Item = Value> {
        let (mut rest, split) = (tree, self.split.clone());
        let entries = self.split.as_ref().and_then(|split| remove(&mut rest, &split.list)).unwrap_or_default();
        let alone = entries.is_empty().then(|| rest.clone());
        let document = move |entry: Value| {
            let mut document = rest.clone();
            if let (Value::Map(map), Some(split)) = (&mut document, &split) {
                let lists = split.gather.iter().map(|name| (name.clone(), Value::List(gathered(&entry, name))));
                let lists: Map = lists.collect();
                if !lists.is_empty() {
                    map.insert("computed".into(), Value::Map(lists));
                }
                map.insert(split.r#as.clone(), entry);
            }
            document
        };
        alone.into_iter().chain(entries.into_iter().map(document))
    }

    /// The tree of documents that were split, or that a mapping made one by one.
    ///
    /// # Errors
    /// Where they cannot stand in one set.
    pub fn join(&self, documents: Vec<Value>) -> Result<Value, SplitError> {
        let Some(split) = &self.split else {
            let count = documents.len();
            return documents.into_iter().next().filter(|_| count == 1).ok_or(SplitError::TooMany(count));
        };
        let (mut first, mut entries) = (None, Vec::with_capacity(documents.len()));
        for (index, mut document) in documents.into_iter().enumerate() {
            let entry = if let Value::Map(map) = &mut document {
                map.shift_remove("computed");
                map.shift_remove(&split.r#as)
            } else {
                None
            };
            entries.push(entry.ok_or_else(|| SplitError::Missing(index, split.r#as.clone()))?);
            match &first {
                None => first = Some(document),
                Some(first) if *first == document => {}
                Some(_) => return Err(SplitError::Differs(index, split.r#as.clone())),
            }
        }
        let mut tree = first.ok_or(SplitError::TooMany(0))?;
        insert(&mut tree, &split.list, Value::List(entries));
        Ok(tree)
    }
}

/// All entries of the lists of a name, wherever they stand below; trees are a few levels deep.
fn gathered(tree: &Value, name: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut open = vec![tree];
    while let Some(value) = open.pop() {
        match value {
            Value::List(list) => open.extend(list.iter().rev()),
            Value::Map(map) => {
                all.extend(map.get(name).and_then(Value::as_list).unwrap_or_default().iter().cloned());
                open.extend(map.values().rev());
            }
            _ => {}
        }
    }
    all
}

fn remove(tree: &mut Value, path: &str) -> Option<Vec<Value>> {
    let Value::Map(map) = tree else { return None };
    match path.split_once('.') {
        Some((name, rest)) => remove(map.get_mut(name)?, rest),
        None => match map.shift_remove(path)? {
            Value::List(list) => Some(list),
            _ => None,
        },
    }
}

fn insert(tree: &mut Value, path: &str, value: Value) {
    let Value::Map(map) = tree else { return };
    match path.split_once('.') {
        Some((name, rest)) => insert(map.entry(name.to_owned()).or_insert_with(|| Value::Map(Map::new())), rest, value),
        None => drop(map.insert(path.to_owned(), value)),
    }
}
