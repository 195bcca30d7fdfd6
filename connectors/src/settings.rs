//! The connect form: what a tenant says of its account, checked field by field.

use domain::secret::{ExposeSecret, SecretFields};
use indexmap::IndexMap;
use regex::Regex;

use crate::connector::Connector;
use crate::manifest::Field;

const VALUE_BYTES_MAX: usize = 16 * 1024;

/// One field that is not right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

impl Connector {
    /// The connect form filled in with its own examples, but for the address: what a check without an account runs with.
    #[must_use]
    pub fn example_settings(&self) -> serde_json::Value {
        let example = |field: &Field| field.example.clone().or(field.default.clone()).or(field.options.first().cloned());
        let filled = self.manifest.settings.iter().filter(|(name, _)| *name != "base_url");
        filled.filter_map(|(name, field)| Some((name.clone(), example(field)?.into()))).collect::<serde_json::Map<_, _>>().into()
    }

    /// # Errors
    /// Every field that is unknown, missing or of the wrong shape.
    pub fn check_settings(&self, settings: &serde_json::Value) -> Result<(), Vec<FieldError>> {
        let Some(given) = settings.as_object() else {
            return Err(vec![FieldError { field: "settings".into(), message: "a group of fields was expected".into() }]);
        };
        let values = given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        check(&self.manifest.settings, values)
    }

    /// # Errors
    /// As [`Self::check_settings`]; a message never repeats a secret.
    pub fn check_credential(&self, fields: &SecretFields) -> Result<(), Vec<FieldError>> {
        check(&self.manifest.credential, fields.0.iter().map(|(name, value)| (name.as_str(), Some(value.expose_secret()))))
    }
}

fn check<'v>(
    declared: &IndexMap<String, Field>,
    given: impl Iterator<Item = (&'v str, Option<&'v str>)>,
) -> Result<(), Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut seen = Vec::new();
    for (name, value) in given {
        let mut fail = |message: String| errors.push(FieldError { field: name.to_owned(), message });
        let Some(field) = declared.get(name) else {
            let known = declared.keys().cloned().collect::<Vec<_>>().join(", ");
            fail(format!("there is no such field; there are {known}"));
            continue;
        };
        match value {
            None => fail("a text was expected".into()),
            Some(text) if text.len() > VALUE_BYTES_MAX => fail(format!("longer than {VALUE_BYTES_MAX} bytes")),
            Some("") => {}
            Some(text) => {
                seen.push(name);
                // Patterns are checked when the catalog is loaded.
                let fits = field
                    .pattern
                    .as_deref()
                    .is_none_or(|pattern| Regex::new(&format!("^(?:{pattern})$")).is_ok_and(|regex| regex.is_match(text)));
                if !fits {
                    let example = field.example.as_deref().map(|example| format!(", such as {example}")).unwrap_or_default();
                    fail(format!("not of the expected form{example}"));
                }
            }
        }
    }
    for (name, field) in declared.iter().filter(|(name, field)| field.required && !seen.contains(&name.as_str())) {
        errors.push(FieldError { field: name.clone(), message: format!("{} is required", field.title) });
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
