//! A person, as the tenant's directory says.

use serde_json::{Map, Value, json};

use super::filter::{Filter, Path};
use super::{
    EXTERNAL_ID_CHARS_MAX, Kind, NAME_CHARS_MAX, Operation, Refused, USER_NAME_CHARS_MAX, Verb, get, object, operations, text,
    truth,
};

pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:User";

/// What is kept of a person. Of their mail addresses it is the one at work, or the primary one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub user_name: String,
    /// The directory's own id of them.
    pub external_id: Option<String>,
    pub display_name: Option<String>,
    pub given_name: Option<String>,
    pub family_name: Option<String>,
    pub email: Option<String>,
    pub is_active: bool,
}

/// True where a choice among addresses means the one that is kept.
pub(super) fn is_our_address(which: &Filter) -> bool {
    which.0.iter().all(|condition| match condition.path.name.as_str() {
        "type" => condition.value.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("work")),
        "primary" => truth("primary", &condition.value) == Ok(true),
        _ => false,
    })
}

impl User {
    /// Reads a whole person; `before` is the one that it replaces: whether they are active stays, where nothing is said of it.
    ///
    /// # Errors
    /// Where it has no user name, or a value is not of its kind.
    pub fn read(body: &Value, before: Option<&Self>) -> Result<Self, Refused> {
        let mut user = Self {
            user_name: String::new(),
            external_id: None,
            display_name: None,
            given_name: None,
            family_name: None,
            email: None,
            is_active: before.is_none_or(|before| before.is_active),
        };
        for (name, value) in object(body)? {
            let name = name.to_ascii_lowercase();
            // What is null or not there is not said.
            if !value.is_null() {
                user.set(&Path { name, which: None, sub: None }, Some(value))?;
            }
        }
        if user.user_name.is_empty() {
            return Err(Refused::new(Kind::InvalidValue, "a user has a userName"));
        }
        Ok(user)
    }

    /// The person after a PATCH.
    ///
    /// # Errors
    /// Where an operation is none, or its path or value is not what it should be.
    pub fn patched(&self, body: &Value) -> Result<Self, Refused> {
        let mut user = self.clone();
        for Operation { verb, path, value } in operations(body)? {
            let value = value.filter(|_| verb != Verb::Remove);
            match (path, value) {
                (Some(path), value) => user.set(&Path::parse(path)?, value)?,
                // Each name may be a path of its own: "name.givenName", "emails[type eq \"work\"].value".
                (None, Some(value)) => {
                    for (name, value) in object(value)? {
                        user.set(&Path::parse(name)?, Some(value))?;
                    }
                }
                (None, None) => {}
            }
        }
        Ok(user)
    }

    /// Sets what stands at a path, or takes it away (`None`); what is not kept is left alone.
    fn set(&mut self, path: &Path, value: Option<&Value>) -> Result<(), Refused> {
        let stays = |name: &str| Refused::new(Kind::Mutability, format!("{name} cannot be taken away"));
        match (path.name.as_str(), path.sub.as_deref()) {
            ("username", None) => {
                let name = text("userName", value, USER_NAME_CHARS_MAX)?;
                self.user_name = name.ok_or_else(|| stays("userName"))?;
            }
            ("active", None) => self.is_active = truth("active", value.ok_or_else(|| stays("active"))?)?,
            ("externalid", None) => self.external_id = text("externalId", value, EXTERNAL_ID_CHARS_MAX)?,
            ("displayname", None) => self.display_name = text("displayName", value, NAME_CHARS_MAX)?,
            ("name", Some("givenname")) => self.given_name = text("name.givenName", value, NAME_CHARS_MAX)?,
            ("name", Some("familyname")) => self.family_name = text("name.familyName", value, NAME_CHARS_MAX)?,
            ("name", None) => match value {
                None => (self.given_name, self.family_name) = (None, None),
                Some(value) => {
                    for (sub, value) in object(value)? {
                        let sub = Some(sub.to_ascii_lowercase());
                        self.set(&Path { name: "name".to_owned(), which: None, sub }, Some(value))?;
                    }
                }
            },
            ("emails", None | Some("value")) if path.which.as_ref().is_none_or(is_our_address) => {
                self.email = match value {
                    Some(value) if path.sub.is_none() => address(value)?,
                    value => text("emails.value", value, USER_NAME_CHARS_MAX)?,
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// The address that the person's account has or gets.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.email.as_deref().or(Some(self.user_name.as_str()).filter(|name| name.contains('@')))
    }

    /// What people call them; empty where the directory does not say.
    #[must_use]
    pub fn full_name(&self) -> String {
        let parts = [self.given_name.as_deref(), self.family_name.as_deref()];
        let composed = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        self.display_name.clone().unwrap_or(composed).chars().take(NAME_CHARS_MAX).collect()
    }

    /// What the directory is shown, without id and meta.
    #[must_use]
    pub fn write(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("schemas".into(), json!([SCHEMA]));
        map.insert("userName".into(), json!(self.user_name));
        map.insert("active".into(), json!(self.is_active));
        let name: Map<String, Value> = [("givenName", &self.given_name), ("familyName", &self.family_name)]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?))))
            .collect();
        let email = self.email.as_ref().map(|email| json!([{"value": email, "type": "work", "primary": true}]));
        let others = [
            ("externalId", self.external_id.as_ref().map(|id| json!(id))),
            ("displayName", self.display_name.as_ref().map(|name| json!(name))),
            ("name", (!name.is_empty()).then_some(Value::Object(name))),
            ("emails", email),
        ];
        map.extend(others.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        map
    }
}

/// Of several addresses the primary one, else the one at work, else the first.
fn address(value: &Value) -> Result<Option<String>, Refused> {
    let one = std::slice::from_ref(value);
    let all: &[Value] = match value {
        Value::Null => &[],
        Value::Array(all) => all,
        _ => one,
    };
    let mut best: Option<(u8, &Map<String, Value>)> = None;
    for entry in all {
        let entry = object(entry)?;
        let is_primary = get(entry, "primary").is_some_and(|is| truth("primary", is) == Ok(true));
        let is_work = get(entry, "type").and_then(Value::as_str).is_some_and(|kind| kind.eq_ignore_ascii_case("work"));
        let rank = if is_primary { 2 } else { u8::from(is_work) };
        if best.is_none_or(|(most, _)| rank > most) {
            best = Some((rank, entry));
        }
    }
    best.map_or(Ok(None), |(_, entry)| text("emails.value", get(entry, "value"), USER_NAME_CHARS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> User {
        let body = json!({
            "schemas": [SCHEMA], "userName": "ann@example.com", "externalId": "0001", "active": "True", "title": "Head",
            "name": {"givenName": "Ann", "familyName": "Lee", "formatted": "Ann Lee"},
            "emails": [{"value": "home@example.net", "type": "home"}, {"value": "ann.lee@example.com", "type": "work"}],
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "IT"},
        });
        User::read(&body, None).unwrap()
    }

    fn patch(operations: Value) -> Result<User, Refused> {
        ann().patched(&json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations}))
    }

    #[test]
    fn a_person_is_read_and_shown_again() {
        let ann = ann();
        assert_eq!((ann.address(), ann.full_name().as_str(), ann.is_active), (Some("ann.lee@example.com"), "Ann Lee", true));
        assert_eq!(User::read(&Value::Object(ann.write()), None), Ok(ann.clone()), "what is shown is what was read");
        let inactive = User { is_active: false, ..ann };
        assert!(!User::read(&json!({"userName": "ann"}), Some(&inactive)).unwrap().is_active, "not said, it stays");
        for body in [
            json!(null),
            json!([]),
            json!({}),
            json!({"userName": ""}),
            json!({"userName": 7}),
            json!({"userName": "a", "active": "maybe"}),
            json!({"userName": "a\0"}),
            json!({"userName": "x".repeat(400)}),
            json!({"userName": "a", "emails": ["a@b.c"]}),
            json!({"userName": "a", "name": "Ann"}),
        ] {
            assert!(User::read(&body, None).is_err(), "{body}");
        }
    }

    #[test]
    fn patches_are_those_that_directories_send() {
        // Of one directory, of another, and as the standard has it.
        for operations in [
            json!([{"op": "Replace", "path": "active", "value": "False"}]),
            json!([{"op": "replace", "value": {"active": false}}]),
            json!([{"op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": false}]),
        ] {
            assert_eq!(patch(operations.clone()).unwrap(), User { is_active: false, ..ann() }, "{operations}");
        }
        let moved = User { email: Some("ann@example.org".into()), ..ann() };
        for operations in [
            json!([{"op": "Replace", "path": "emails[type eq \"work\"].value", "value": "ann@example.org"}]),
            json!([{"op": "Add", "value": {"emails[type eq \"work\"].value": "ann@example.org"}}]),
            json!([{"op": "replace", "path": "emails", "value": [{"value": "ann@example.org", "primary": true}]}]),
            json!([{"op": "replace", "path": "emails[primary eq true]", "value": {"value": "ann@example.org"}}]),
        ] {
            assert_eq!(patch(operations.clone()).unwrap(), moved, "{operations}");
        }
        let named =
            patch(json!([{"op": "add", "value": {"name.givenName": "Anna", "name": {"familyName": "Li"}, "title": "x"}}]))
                .unwrap();
        assert_eq!(named.full_name(), "Anna Li");
        assert_eq!(patch(json!([{"op": "remove", "path": "name.familyName"}])).unwrap().full_name(), "Ann");
        assert_eq!(patch(json!([{"op": "Remove", "path": "emails[type eq \"work\"]"}])).unwrap().email, None);
        assert_eq!(
            patch(json!([{"op": "replace", "path": "emails[type eq \"home\"].value", "value": "x@example.net"}])),
            Ok(ann())
        );
        assert_eq!(patch(json!([{"op": "add", "path": "phoneNumbers[type eq \"work\"].value", "value": "1"}])), Ok(ann()));
    }

    #[test]
    fn patches_that_are_none_are_refused_for_what_they_are() {
        for (operations, kind) in [
            (json!([]), Kind::InvalidSyntax),
            (json!("x"), Kind::InvalidSyntax),
            (json!([{"op": "copy", "path": "active"}]), Kind::InvalidSyntax),
            (json!([{"op": "add", "path": "active"}]), Kind::InvalidSyntax),
            (json!([{"op": "add", "value": "x"}]), Kind::InvalidSyntax),
            (json!([{"op": "remove"}]), Kind::NoTarget),
            (json!([{"op": "remove", "path": "userName"}]), Kind::Mutability),
            (json!([{"op": "remove", "path": "active"}]), Kind::Mutability),
            (json!([{"op": "replace", "path": "active", "value": 1}]), Kind::InvalidValue),
            (json!([{"op": "replace", "path": "emails[type eq", "value": "x"}]), Kind::InvalidPath),
            (json!([{"op": "replace", "path": 7, "value": "x"}]), Kind::InvalidPath),
            (json!(vec![json!({"op": "replace", "path": "active", "value": true}); 101]), Kind::InvalidSyntax),
        ] {
            assert_eq!(patch(operations.clone()).unwrap_err().kind, kind, "{operations}");
        }
    }
}
