//! Texts that may tell of a person. What a resolver returns as one of these is shown as it is to who may see that (`READ_PERSONAL_DATA`), and hidden from
//! everybody else where it is written into the answer: so whoever makes such a text cannot forget to ask.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{Context, ContextSelectionSet, OutputType, Positioned, ServerResult, Value};
use domain::permission::Permission;
use domain::personal;
use domain::record::RecordKind;

use super::error::{UserError, UserErrorCode};
use crate::auth::Viewer;

/// A text, and how what tells of a person is found in it.
#[derive(Debug, Clone)]
pub struct Personal {
    text: String,
    found: Found,
}

#[derive(Debug, Clone)]
enum Found {
    /// A canonical document.
    Record(Option<RecordKind>),
    /// What came from a vendor or goes to one.
    Payload,
    /// The value of the field at this path.
    At(String),
    /// Words for people.
    Sentence,
    /// The detail of an audit event about a thing of this kind.
    Detail(String),
    /// Words for people that repeat this value, which tells of a person.
    Word(String),
}

impl Personal {
    pub fn record(kind: &str, document: String) -> Self {
        Self { text: document, found: Found::Record(RecordKind::parse(kind)) }
    }

    pub fn payload(text: String) -> Self {
        Self { text, found: Found::Payload }
    }

    /// `None` of a path is that nobody knows which field it is of.
    pub fn at(path: Option<&str>, value: String) -> Self {
        Self { text: value, found: path.map_or(Found::Sentence, |path| Found::At(path.to_owned())) }
    }

    /// The detail of an audit event.
    pub fn detail(subject_kind: &str, detail: String) -> Self {
        Self { text: detail, found: Found::Detail(subject_kind.to_owned()) }
    }

    pub fn sentence(text: String) -> Self {
        Self { text, found: Found::Sentence }
    }

    /// A sentence that repeats the value of the field at this path.
    pub fn sentence_about(text: String, path: Option<&str>, value: Option<&str>) -> Self {
        let is_told = |value: &&str| !value.is_empty() && path.is_some_and(personal::is_personal) && text.contains(value);
        let found = value.filter(is_told).map_or(Found::Sentence, |value| Found::Word(value.to_owned()));
        Self { text, found }
    }

    pub(super) fn hidden(&self) -> Cow<'_, str> {
        match &self.found {
            Found::Record(Some(kind)) => personal::record(*kind, &self.text).into(),
            Found::Record(None) | Found::Payload => personal::payload(&self.text).into(),
            Found::At(path) => personal::value(path, &self.text),
            Found::Sentence => personal::sentence(&self.text),
            Found::Detail(subject_kind) => personal::detail(subject_kind, &self.text),
            Found::Word(word) => personal::sentence_about(&self.text, word).into(),
        }
    }
}

/// True where whoever asks may see what tells of a person.
pub fn sees(ctx: &Context<'_>) -> bool {
    may(ctx.data_opt::<Arc<Viewer>>())
}

pub fn may(viewer: Option<&Arc<Viewer>>) -> bool {
    viewer.is_some_and(|viewer| viewer.may(Permission::ReadPersonalData))
}

/// Refuses what whoever asks was shown in the place of something else: it would be kept, or looked for, as if it were that.
///
/// # Errors
/// Where there are dots in it, and they are not shown what the dots stand for.
pub fn not_hidden(ctx: &Context<'_>, field: &str, text: &str) -> Result<(), UserError> {
    const SENT_BACK: &str = "••• stands for what is hidden from you, and is not the value itself: an owner, an admin or an operator of the \
                             tenant sees it and can do this, and so can a key with READ_PERSONAL_DATA";
    if sees(ctx) || !text.contains(personal::HIDDEN) {
        return Ok(());
    }
    Err(UserError::new(field, UserErrorCode::Invalid, SENT_BACK))
}

/// What a canonical document says to whoever asks.
pub fn seen_record(ctx: &Context<'_>, kind: RecordKind, document: String) -> String {
    if sees(ctx) { document } else { personal::record(kind, &document) }
}

/// A report of what differs, for whoever asks.
pub fn seen_report(ctx: &Context<'_>, mut report: serde_json::Value) -> serde_json::Value {
    if !sees(ctx) {
        personal::report(&mut report);
    }
    report
}

/// What is told of an act, for whoever asks: what a person changed or typed there may tell of another person.
pub fn seen_detail(ctx: &Context<'_>, detail: serde_json::Value) -> serde_json::Value {
    if sees(ctx) {
        return detail;
    }
    serde_json::from_str(&personal::payload(&detail.to_string())).unwrap_or_default()
}

impl OutputType for Personal {
    fn type_name() -> Cow<'static, str> {
        <String as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <String as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _field: &Positioned<Field>) -> ServerResult<Value> {
        let text = if may(ctx.data_opt::<Arc<Viewer>>()) { Cow::Borrowed(self.text.as_str()) } else { self.hidden() };
        Ok(Value::String(text.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_hides_what_its_kind_says() {
        let hidden = |personal: Personal| personal.hidden().into_owned();
        assert_eq!(hidden(Personal::record("customer", r#"{"email":"ada@example.com"}"#.into())), r#"{"email":"•••"}"#);
        assert_eq!(hidden(Personal::record("of another version", r#"{"email":"a"}"#.into())), r#"{"email":"•••"}"#);
        assert_eq!(hidden(Personal::at(Some("customer.name"), "Ada".into())), "•••");
        assert_eq!(hidden(Personal::at(Some("lines[0].sku"), "HAT".into())), "HAT");
        assert_eq!(hidden(Personal::at(None, "ada@example.com".into())), "•••");
        let about =
            |path, value| hidden(Personal::sentence_about("The name \"Ada\" is too long.".into(), Some(path), Some(value)));
        assert_eq!(about("customer.name", "Ada"), "The name \"•••\" is too long.");
        assert_eq!(about("lines[0].sku", "Ada"), "The name \"Ada\" is too long.");
        assert_eq!(hidden(Personal::detail("member", r#"{"email":"ada@example.com"}"#.into())), r#"{"email":"ada@example.com"}"#);
        let edited = r#"{"changes":[{"path":"customer.name","before":"Ada","after":"Eve"},{"path":"lines[0].sku","before":"A","after":"B"}]}"#;
        let seen = hidden(Personal::detail("record", edited.into()));
        assert!(!seen.contains("Ada") && !seen.contains("Eve") && seen.contains(r#""before":"A","after":"B""#), "{seen}");
    }
}
