//! A group of the tenant's directory. It may have thousands of members, so a change of one says what is added and taken away, and not all that is there.

use serde_json::{Map, Value};

use super::filter::Path;
use super::{EXTERNAL_ID_CHARS_MAX, Kind, NAME_CHARS_MAX, Operation, Refused, Verb, get, object, operations, text};
use crate::id::ScimUserId;

pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// Members that one request names.
pub const NAMED_MAX: usize = 5_000;

/// A whole group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub display_name: String,
    /// The directory's own id of it.
    pub external_id: Option<String>,
    pub members: Vec<ScimUserId>,
}

/// One step of a change, done in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    DisplayName(String),
    ExternalId(Option<String>),
    Add(Vec<ScimUserId>),
    Remove(Vec<ScimUserId>),
    /// These and no others.
    Members(Vec<ScimUserId>),
}

impl Group {
    /// # Errors
    /// Where it has no name, or a value is not of its kind.
    pub fn read(body: &Value) -> Result<Self, Refused> {
        let body = object(body)?;
        let display_name = name(get(body, "displayName"))?;
        let external_id = text("externalId", get(body, "externalId"), EXTERNAL_ID_CHARS_MAX)?;
        let members = get(body, "members").map_or(Ok(vec![]), ids)?;
        Ok(Self { display_name, external_id, members })
    }

    /// As a change of what is there.
    #[must_use]
    pub fn steps(self) -> Vec<Step> {
        vec![Step::DisplayName(self.display_name), Step::ExternalId(self.external_id), Step::Members(self.members)]
    }
}

/// The steps of a PATCH.
///
/// # Errors
/// Where an operation is none, or its path or value is not what it should be.
pub fn steps(body: &Value) -> Result<Vec<Step>, Refused> {
    let mut steps = Vec::new();
    for Operation { verb, path, value } in operations(body)? {
        match path {
            Some(path) => steps.extend(step(verb, &Path::parse(path)?, value)?),
            None => {
                for (name, value) in value.map_or(Ok(&Map::new()), object)? {
                    steps.extend(step(verb, &Path::parse(name)?, Some(value))?);
                }
            }
        }
    }
    let named = |step: &Step| match step {
        Step::Add(ids) | Step::Remove(ids) | Step::Members(ids) => ids.len(),
        Step::DisplayName(_) | Step::ExternalId(_) => 0,
    };
    if steps.iter().map(named).sum::<usize>() > NAMED_MAX {
        return Err(too_many());
    }
    Ok(steps)
}

fn step(verb: Verb, path: &Path, value: Option<&Value>) -> Result<Option<Step>, Refused> {
    let given = value.filter(|_| verb != Verb::Remove);
    Ok(match (path.name.as_str(), path.sub.as_deref()) {
        ("displayname", None) => Some(Step::DisplayName(name(given)?)),
        ("externalid", None) => Some(Step::ExternalId(text("externalId", given, EXTERNAL_ID_CHARS_MAX)?)),
        ("members", None | Some("value")) => match (verb, &path.which) {
            (Verb::Add, None) => Some(Step::Add(given.map_or(Ok(vec![]), ids)?)),
            (Verb::Replace, None) => Some(Step::Members(given.map_or(Ok(vec![]), ids)?)),
            // Some directories name those who leave as the value, others in the path.
            (Verb::Remove, None) => Some(match value {
                None | Some(Value::Null) => Step::Members(vec![]),
                Some(value) => Step::Remove(known(value)?),
            }),
            (Verb::Remove, Some(which)) => {
                let [one] = which.0.as_slice() else { return Err(unsupported()) };
                let is_id = one.path.is("value", None);
                let id = one.value.as_str().filter(|_| is_id).ok_or_else(unsupported)?;
                Some(Step::Remove(id.parse::<ScimUserId>().into_iter().collect()))
            }
            (Verb::Add | Verb::Replace, Some(_)) => return Err(unsupported()),
        },
        _ => None,
    })
}

fn unsupported() -> Refused {
    Refused::new(Kind::InvalidPath, "a member is chosen by members[value eq \"…\"], and only to be taken away")
}

fn too_many() -> Refused {
    Refused::new(Kind::InvalidValue, format!("a request names at most {NAMED_MAX} members"))
}

fn name(value: Option<&Value>) -> Result<String, Refused> {
    let name = text("displayName", value, NAME_CHARS_MAX)?;
    name.ok_or_else(|| Refused::new(Kind::InvalidValue, "a group has a displayName"))
}

/// The members that a value names: a list, or one of them.
fn entries(value: &Value) -> Result<Vec<&str>, Refused> {
    let one = std::slice::from_ref(value);
    let all: &[Value] = match value {
        Value::Null => &[],
        Value::Array(all) => all,
        _ => one,
    };
    if all.len() > NAMED_MAX {
        return Err(too_many());
    }
    let wrong = || Refused::new(Kind::InvalidValue, "a member is an object with the id of a user as its value");
    all.iter()
        .map(|entry| {
            let entry = object(entry).map_err(|_| wrong())?;
            if get(entry, "type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("group")) {
                return Err(Refused::new(Kind::InvalidValue, "a group has users as its members, and no groups"));
            }
            get(entry, "value").and_then(Value::as_str).ok_or_else(wrong)
        })
        .collect()
}

/// What is no id of ours is nobody's.
#[must_use]
pub fn nobody(id: &str) -> Refused {
    let id: String = id.chars().filter(|char| !char.is_control()).take(60).collect();
    Refused::new(Kind::InvalidValue, format!("there is no user {id}"))
}

fn ids(value: &Value) -> Result<Vec<ScimUserId>, Refused> {
    entries(value)?.into_iter().map(|id| id.parse().map_err(|_| nobody(id))).collect()
}

/// As `ids`, without those that cannot be here: who is taken away and was never there is gone.
fn known(value: &Value) -> Result<Vec<ScimUserId>, Refused> {
    Ok(entries(value)?.into_iter().filter_map(|id| id.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_those_that_directories_send() {
        let (ann, bob) = (ScimUserId::generate(), ScimUserId::generate());
        let (one, two) = (ann.to_string(), bob.to_string());
        for (operations, expected) in [
            (
                json!([{"op": "Add", "path": "members", "value": [{"value": one}, {"value": two, "display": "Bob"}]}]),
                vec![Step::Add(vec![ann, bob])],
            ),
            (json!([{"op": "Remove", "path": "members", "value": [{"value": one}]}]), vec![Step::Remove(vec![ann])]),
            (json!([{"op": "remove", "path": format!("members[value eq \"{one}\"]")}]), vec![Step::Remove(vec![ann])]),
            (json!([{"op": "remove", "path": "members[value eq \"elsewhere\"]"}]), vec![Step::Remove(vec![])]),
            (json!([{"op": "remove", "path": "members"}]), vec![Step::Members(vec![])]),
            (
                json!([{"op": "replace", "path": "members", "value": [{"value": two, "type": "User"}]}]),
                vec![Step::Members(vec![bob])],
            ),
            (
                json!([{"op": "replace", "value": {"id": "scg_x", "displayName": "Ops"}}, {"op": "add", "path": "members", "value": {"value": one}}]),
                vec![Step::DisplayName("Ops".into()), Step::Add(vec![ann])],
            ),
            (
                json!([{"op": "replace", "path": "externalId", "value": "77"}, {"op": "add", "path": "owner", "value": "x"}]),
                vec![Step::ExternalId(Some("77".into()))],
            ),
        ] {
            assert_eq!(steps(&json!({"Operations": operations})), Ok(expected), "{operations}");
        }
        for (operations, kind) in [
            (json!([{"op": "add", "path": "members", "value": [{"value": "usr_1"}]}]), Kind::InvalidValue),
            (json!([{"op": "add", "path": "members", "value": ["x"]}]), Kind::InvalidValue),
            (json!([{"op": "add", "path": "members", "value": [{"value": one, "type": "Group"}]}]), Kind::InvalidValue),
            (json!([{"op": "replace", "path": "members[value eq \"x\"]", "value": [{"value": one}]}]), Kind::InvalidPath),
            (json!([{"op": "remove", "path": "members[display eq \"x\"]"}]), Kind::InvalidPath),
            (json!([{"op": "remove", "path": "displayName"}]), Kind::InvalidValue),
            (json!([{"op": "add", "path": "members", "value": vec![json!({"value": one}); NAMED_MAX + 1]}]), Kind::InvalidValue),
        ] {
            assert_eq!(steps(&json!({"Operations": operations})).unwrap_err().kind, kind);
        }
        let whole = Group::read(&json!({"displayName": "Ops", "members": [{"value": one}]})).unwrap();
        assert_eq!(whole.steps().last(), Some(&Step::Members(vec![ann])));
        assert!(Group::read(&json!({"members": []})).is_err());
    }
}
