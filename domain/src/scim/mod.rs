//! SCIM 2.0 ([RFC 7643](https://www.rfc-editor.org/rfc/rfc7643), [RFC 7644](https://www.rfc-editor.org/rfc/rfc7644)): what a tenant's directory says of its
//! people and their groups, read within bounds. Only what Crossdock keeps is read; what else a directory sends is left alone, as the standard allows.

pub mod filter;
pub mod group;
pub mod user;

use serde_json::{Map, Value};

pub use filter::{Filter, GroupQuery, Path, UserQuery};
pub use group::{Group, Step};
pub use user::User;

/// Operations of one PATCH.
pub const OPERATIONS_MAX: usize = 100;
/// As long as a mail address may be.
pub const USER_NAME_CHARS_MAX: usize = 320;
pub const NAME_CHARS_MAX: usize = 200;
pub const EXTERNAL_ID_CHARS_MAX: usize = 500;

/// Why a request is not done, in the words of RFC 7644, 3.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    InvalidFilter,
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    Mutability,
    NoTarget,
    Uniqueness,
}

impl Kind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidFilter => "invalidFilter",
            Self::InvalidPath => "invalidPath",
            Self::InvalidSyntax => "invalidSyntax",
            Self::InvalidValue => "invalidValue",
            Self::Mutability => "mutability",
            Self::NoTarget => "noTarget",
            Self::Uniqueness => "uniqueness",
        }
    }
}

/// What is wrong with a request, for the person who looks after the directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    pub kind: Kind,
    pub detail: String,
}

impl Refused {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// What is added, replaced or taken away, and where.
#[derive(Debug, Clone, Copy)]
struct Operation<'v> {
    verb: Verb,
    path: Option<&'v str>,
    value: Option<&'v Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Add,
    Replace,
    Remove,
}

/// The operations of a PATCH (RFC 7644, 3.5.2). Directories write the verbs in any case.
fn operations(body: &Value) -> Result<Vec<Operation<'_>>, Refused> {
    let wrong = |detail: &str| Refused::new(Kind::InvalidSyntax, detail);
    let list = object(body)?;
    let list = get(list, "operations").and_then(Value::as_array).ok_or_else(|| wrong("a PATCH has a list of Operations"))?;
    if list.is_empty() || list.len() > OPERATIONS_MAX {
        return Err(wrong("a PATCH has 1 to 100 Operations"));
    }
    list.iter()
        .map(|one| {
            let one = object(one)?;
            let verb = get(one, "op").and_then(Value::as_str).unwrap_or_default();
            let verb = match verb.to_ascii_lowercase().as_str() {
                "add" => Verb::Add,
                "replace" => Verb::Replace,
                "remove" => Verb::Remove,
                _ => return Err(wrong("the op of an operation is add, replace or remove")),
            };
            let path = match get(one, "path") {
                None | Some(Value::Null) => None,
                Some(Value::String(path)) => Some(path.as_str()),
                Some(_) => return Err(Refused::new(Kind::InvalidPath, "a path is a text")),
            };
            let value = get(one, "value");
            match (verb, path) {
                (Verb::Remove, None) => Err(Refused::new(Kind::NoTarget, "a remove says by its path what is taken away")),
                (Verb::Add | Verb::Replace, _) if value.is_none() => Err(wrong("an add or replace has a value")),
                _ => Ok(Operation { verb, path, value }),
            }
        })
        .collect()
}

fn object(value: &Value) -> Result<&Map<String, Value>, Refused> {
    value.as_object().ok_or_else(|| Refused::new(Kind::InvalidSyntax, "an object is expected here"))
}

/// A member by its name, whose case does not count (RFC 7643, 2.1).
fn get<'m>(map: &'m Map<String, Value>, name: &str) -> Option<&'m Value> {
    map.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A text of so many characters at most; none where it is null, empty or not there.
fn text(name: &str, value: Option<&Value>, chars_max: usize) -> Result<Option<String>, Refused> {
    let wrong = || {
        Refused::new(
            Kind::InvalidValue,
            format!("{name} is a text of at most {chars_max} characters, without control characters"),
        )
    };
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            let text = text.trim();
            let fits = text.len() <= 4 * chars_max && text.chars().count() <= chars_max && !text.chars().any(char::is_control);
            if fits { Ok((!text.is_empty()).then(|| text.to_owned())) } else { Err(wrong()) }
        }
        Some(_) => Err(wrong()),
    }
}

/// Some directories write yes and no as texts.
fn truth(name: &str, value: &Value) -> Result<bool, Refused> {
    match value {
        Value::Bool(is) => Ok(*is),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(Refused::new(Kind::InvalidValue, format!("{name} is true or false"))),
    }
}
