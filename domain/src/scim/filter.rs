//! Filters and paths (RFC 7644, 3.4.2.2 and 3.5.2), as far as directories send them: `attribute eq value`, joined by `and`, and `emails[type eq "work"].value`.
//! Everything else of the grammar is refused in words. There is no nesting beyond one pair of brackets, so nothing a stranger writes costs more than its length.

use serde_json::Value;

use super::{Kind, Refused};

pub const BYTES_MAX: usize = 2_000;
/// Conditions that are joined.
const CONDITIONS_MAX: usize = 4;
const CORE: [&str; 2] = ["urn:ietf:params:scim:schemas:core:2.0:user:", "urn:ietf:params:scim:schemas:core:2.0:group:"];

/// Where something of a resource is. All names are in lower case, those of the core schemas without their URN.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    pub name: String,
    /// Which of several values.
    pub which: Option<Filter>,
    pub sub: Option<String>,
}

/// `path eq value`: a text, a number, true, false or null.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub path: Path,
    pub value: Value,
}

/// Conditions that all hold; one at least.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(pub Vec<Condition>);

impl Path {
    /// # Errors
    /// Where it is none, or one that is not supported.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let mut cursor = Cursor::over(text, Kind::InvalidPath)?;
        cursor.blanks();
        let path = cursor.path(true)?;
        cursor.blanks();
        if cursor.rest.is_empty() { Ok(path) } else { Err(cursor.wrong()) }
    }

    /// True where it is this attribute and this part of it.
    #[must_use]
    pub fn is(&self, name: &str, sub: Option<&str>) -> bool {
        self.name == name && self.sub.as_deref() == sub
    }
}

impl Filter {
    /// # Errors
    /// Where it is none, or one that is not supported.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        let mut cursor = Cursor::over(text, Kind::InvalidFilter)?;
        let filter = cursor.filter(true)?;
        if cursor.rest.is_empty() { Ok(filter) } else { Err(cursor.wrong()) }
    }
}

struct Cursor<'t> {
    rest: &'t str,
    kind: Kind,
}

impl<'t> Cursor<'t> {
    fn over(text: &'t str, kind: Kind) -> Result<Self, Refused> {
        if text.len() > BYTES_MAX {
            return Err(Refused::new(kind, format!("this is longer than {BYTES_MAX} bytes")));
        }
        Ok(Self { rest: text, kind })
    }

    fn wrong(&self) -> Refused {
        let detail = match self.kind {
            Kind::InvalidPath => {
                "this is no path that is supported: an attribute, name.givenName, emails[type eq \"work\"].value, members[value eq \"…\"]"
            }
            _ => "this is no filter that is supported: attribute eq \"value\", several of them joined by and",
        };
        Refused::new(self.kind, detail)
    }

    fn blanks(&mut self) -> bool {
        let trimmed = self.rest.trim_start_matches([' ', '\t']);
        let any = trimmed.len() < self.rest.len();
        self.rest = trimmed;
        any
    }

    /// What stands before the next blank, bracket, parenthesis or quote.
    fn word(&mut self) -> &'t str {
        let end = self.rest.find([' ', '\t', '[', ']', '(', ')', '"']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// `attribute`, `attribute.sub`, `attribute[filter]`, `attribute[filter].sub`.
    fn path(&mut self, may_choose: bool) -> Result<Path, Refused> {
        let word = self.word().to_ascii_lowercase();
        let core = CORE.iter().find_map(|urn| word.strip_prefix(urn));
        let (name, sub) = match core {
            // Of an extension: a name of its own, with dots and colons in it.
            None if word.starts_with("urn:") => (word.as_str(), None),
            None => word.split_once('.').map_or((word.as_str(), None), |(name, sub)| (name, Some(sub))),
            Some(word) => word.split_once('.').map_or((word, None), |(name, sub)| (name, Some(sub))),
        };
        if !(is_name(name) || name.starts_with("urn:")) || !sub.is_none_or(is_name) {
            return Err(self.wrong());
        }
        let (name, mut sub) = (name.to_owned(), sub.map(str::to_owned));
        let mut which = None;
        if let Some(rest) = self.rest.strip_prefix('[') {
            if !may_choose || sub.is_some() {
                return Err(self.wrong());
            }
            self.rest = rest;
            which = Some(self.filter(false)?);
            self.rest = self.rest.strip_prefix(']').ok_or_else(|| self.wrong())?;
            if let Some(rest) = self.rest.strip_prefix('.') {
                self.rest = rest;
                let word = self.word().to_ascii_lowercase();
                sub = Some(word).filter(|word| is_name(word));
                if sub.is_none() {
                    return Err(self.wrong());
                }
            }
        }
        Ok(Path { name, which, sub })
    }

    fn filter(&mut self, may_choose: bool) -> Result<Filter, Refused> {
        let mut conditions = Vec::new();
        loop {
            self.blanks();
            if conditions.len() == CONDITIONS_MAX {
                return Err(Refused::new(self.kind, format!("at most {CONDITIONS_MAX} conditions are joined")));
            }
            let path = self.path(may_choose)?;
            let is_eq = self.blanks() && self.word().eq_ignore_ascii_case("eq") && self.blanks();
            if !is_eq {
                return Err(self.wrong());
            }
            let value = self.value()?;
            conditions.push(Condition { path, value });
            self.blanks();
            if self.rest.is_empty() || self.rest.starts_with(']') {
                return Ok(Filter(conditions));
            }
            if !self.word().eq_ignore_ascii_case("and") {
                return Err(self.wrong());
            }
        }
    }

    /// A text in JSON's quotes, or a word.
    fn value(&mut self) -> Result<Value, Refused> {
        if !self.rest.starts_with('"') {
            let word = self.word().to_ascii_lowercase();
            let value: Option<Value> = serde_json::from_str(&word).ok();
            return value.filter(|value| !value.is_object() && !value.is_array()).ok_or_else(|| self.wrong());
        }
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let Some(Ok(text)) = values.next() else { return Err(self.wrong()) };
        let rest = self.rest.get(values.byte_offset()..).unwrap_or_default();
        self.rest = rest;
        if text.chars().any(char::is_control) {
            return Err(Refused::new(self.kind, "a text holds a control character"));
        }
        Ok(Value::String(text))
    }
}

fn is_name(text: &str) -> bool {
    let rest = text.strip_prefix('$').unwrap_or(text);
    rest.starts_with(|first: char| first.is_ascii_alphabetic())
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// Which users are asked for; all that is said must fit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserQuery {
    pub id: Option<String>,
    pub user_name: Option<String>,
    pub external_id: Option<String>,
    pub email: Option<String>,
    pub is_active: Option<bool>,
}

impl UserQuery {
    /// # Errors
    /// Where users are not looked for by that.
    pub fn of(filter: &Filter) -> Result<Self, Refused> {
        let mut query = Self::default();
        for Condition { path, value } in &filter.0 {
            let unsupported =
                || Refused::new(Kind::InvalidFilter, "users are looked for by userName, externalId, id, emails.value and active");
            let place = match (path.name.as_str(), path.sub.as_deref(), &path.which) {
                ("username", None, None) => &mut query.user_name,
                ("externalid", None, None) => &mut query.external_id,
                ("id", None, None) => &mut query.id,
                ("emails", None | Some("value"), which) if which.as_ref().is_none_or(super::user::is_our_address) => {
                    &mut query.email
                }
                ("active", None, None) => {
                    query.is_active = Some(super::truth("active", value).map_err(|_| unsupported())?);
                    continue;
                }
                _ => return Err(unsupported()),
            };
            take(place, value)?;
        }
        Ok(query)
    }
}

/// Which groups are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupQuery {
    pub id: Option<String>,
    pub display_name: Option<String>,
    pub external_id: Option<String>,
    pub member: Option<String>,
}

impl GroupQuery {
    /// # Errors
    /// Where groups are not looked for by that.
    pub fn of(filter: &Filter) -> Result<Self, Refused> {
        let mut query = Self::default();
        for Condition { path, value } in &filter.0 {
            let place = match (path.name.as_str(), path.sub.as_deref(), &path.which) {
                ("displayname", None, None) => &mut query.display_name,
                ("externalid", None, None) => &mut query.external_id,
                ("id", None, None) => &mut query.id,
                ("members", None | Some("value"), None) => &mut query.member,
                _ => {
                    return Err(Refused::new(
                        Kind::InvalidFilter,
                        "groups are looked for by displayName, externalId, id and members.value",
                    ));
                }
            };
            take(place, value)?;
        }
        Ok(query)
    }
}

fn take(place: &mut Option<String>, value: &Value) -> Result<(), Refused> {
    let text = value.as_str().ok_or_else(|| Refused::new(Kind::InvalidFilter, "what is looked for is a text in quotes"))?;
    if place.replace(text.to_owned()).is_some() {
        return Err(Refused::new(Kind::InvalidFilter, "an attribute is compared once"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn path(name: &str, sub: Option<&str>) -> Path {
        Path { name: name.to_owned(), which: None, sub: sub.map(str::to_owned) }
    }

    fn which(name: &str, value: Value) -> Option<Filter> {
        Some(Filter(vec![Condition { path: path(name, None), value }]))
    }

    #[test]
    fn paths_are_read_as_directories_write_them() {
        for (text, expected) in [
            ("active", path("active", None)),
            ("name.givenName", path("name", Some("givenname"))),
            ("urn:ietf:params:scim:schemas:core:2.0:User:userName", path("username", None)),
            ("urn:ietf:params:scim:schemas:core:2.0:User:name.familyName", path("name", Some("familyname"))),
            (
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department",
                path("urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:department", None),
            ),
            ("members[value eq \"scu_1\"]", Path { which: which("value", json!("scu_1")), ..path("members", None) }),
            ("emails[type eq \"work\"].value", Path { which: which("type", json!("work")), ..path("emails", Some("value")) }),
            ("emails[primary eq true].value", Path { which: which("primary", json!(true)), ..path("emails", Some("value")) }),
            ("emails[ primary EQ True ].value", Path { which: which("primary", json!(true)), ..path("emails", Some("value")) }),
        ] {
            assert_eq!(Path::parse(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            " ",
            "a b",
            "1a",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a[]",
            "a[b eq \"c\"",
            "a[b eq \"c\"]]",
            "a[b eq \"c\"].",
            "a[b[c eq \"d\"] eq \"e\"]",
            "a.b[c eq \"d\"]",
            "a[b pr]",
            "a[not (b eq \"c\")]",
            "a[b eq c]",
            "a[b eq \"c]",
            "a[b eq \"c\"]x",
            "ä",
            "a\0",
            "a[b eq \"\\u0000\"]",
            "a[b eq {}]",
            "a[b eq [1]]",
        ] {
            assert_eq!(Path::parse(text).unwrap_err().kind, Kind::InvalidPath, "{text}");
        }
        assert!(Path::parse(&"a".repeat(BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn filters_find_by_what_directories_ask_for_and_all_else_is_refused_in_words() {
        let users = |text: &str| Filter::parse(text).and_then(|filter| UserQuery::of(&filter));
        let name = |name: &str| Ok(UserQuery { user_name: Some(name.to_owned()), ..UserQuery::default() });
        assert_eq!(users("userName eq \"ann@example.com\""), name("ann@example.com"));
        assert_eq!(users("USERNAME Eq \"a \\\"b\\\" ] and\""), name("a \"b\" ] and"));
        let both = UserQuery { external_id: Some("7".into()), is_active: Some(false), ..UserQuery::default() };
        assert_eq!(users("externalId eq \"7\" and active eq False"), Ok(both));
        let email = Ok(UserQuery { email: Some("a@b.c".into()), ..UserQuery::default() });
        assert_eq!(users("emails[type eq \"work\"].value eq \"a@b.c\""), email);
        assert_eq!(users("emails.value eq \"a@b.c\""), email);
        let group =
            Filter::parse("displayName eq \"ops\" and members eq \"x\"").and_then(|filter| GroupQuery::of(&filter)).unwrap();
        assert_eq!((group.display_name.as_deref(), group.member.as_deref()), (Some("ops"), Some("x")));
        for text in [
            "userName",
            "userName eq",
            "userName eq ",
            "userName sw \"a\"",
            "userName eq \"a\" or userName eq \"b\"",
            "not (userName eq \"a\")",
            "(userName eq \"a\")",
            "userName eq \"a\" and",
            "userName eq \"a\" \"b\"",
            "userName eq \"a\" and userName eq \"b\"",
            "title eq \"x\"",
            "emails[type eq \"home\"].value eq \"a@b.c\"",
            "userName eq 7",
            "active eq \"maybe\"",
            "userName eq \"a\"]",
            "id eq \"a\" and id eq \"b\" and id eq \"c\" and id eq \"d\" and id eq \"e\"",
        ] {
            let refused = users(text).unwrap_err();
            assert_eq!(refused.kind, Kind::InvalidFilter, "{text}");
            assert!(!refused.detail.is_empty());
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_or_refused(text in "\\PC{0,80}") {
            let _ = (Filter::parse(&text), Path::parse(&text));
        }

        #[test]
        fn what_looks_like_a_filter_is_read_or_refused(text in "[a-c.$\\[\\]\"\\\\ ()eqandtrue0-9:]{0,60}") {
            if let Ok(filter) = Filter::parse(&text) {
                prop_assert!((1..=CONDITIONS_MAX).contains(&filter.0.len()));
            }
            if let Ok(path) = Path::parse(&text) {
                prop_assert!(path.name.chars().all(|char| !char.is_ascii_uppercase() && char != '['));
            }
        }

        #[test]
        fn any_text_is_found_by_its_own_quotes(name in "[a-zA-Z][a-zA-Z0-9_-]{0,20}", text in "\\PC{0,40}") {
            prop_assume!(!text.chars().any(char::is_control));
            let filter = Filter::parse(&format!("{name} eq {}", json!(text))).unwrap();
            prop_assert_eq!(&filter.0[0].value, &json!(text));
            prop_assert_eq!(&filter.0[0].path.name, &name.to_ascii_lowercase());
            let chosen = Path::parse(&format!("{name}[value eq {}]", json!(text))).unwrap();
            prop_assert_eq!(chosen.which, which("value", json!(text)));
        }
    }
}
