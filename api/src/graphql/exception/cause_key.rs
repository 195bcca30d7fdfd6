//! The key of a cause as it is shown. It repeats the value that is at fault, so who may not see that is given the key sealed: it names the same cause to
//! everybody in the tenant, and is taken wherever a key is.

use std::borrow::Cow;
use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{Context, ContextSelectionSet, OutputType, Positioned, ServerResult, Value};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::personal::HIDDEN;
use infra::vault::HandedOut;

use crate::AppState;
use crate::auth::Viewer;
use crate::graphql::personal::{Personal, may};

/// What a sealed key begins with, and no other.
const SEALED: &str = "hidden_";

pub struct CauseKey {
    key: String,
    /// It repeats what tells of a person.
    is_told: bool,
}

impl CauseKey {
    /// The key of a cause that is about the value of the field at this path.
    pub fn new(key: String, path: Option<&str>, value: Option<&str>) -> Self {
        // As the value itself is hidden.
        let is_told = value.is_some_and(|value| !value.is_empty() && Personal::at(path, value.to_owned()).hidden() != value);
        Self { key, is_told }
    }

    pub fn as_str(&self) -> &str {
        &self.key
    }

    fn sealed(&self, state: &AppState, viewer: &Viewer) -> Option<String> {
        let sealed = state.vault.hand_out(viewer.tenant?, HandedOut::CauseKey, self.key.as_bytes()).ok()?;
        Some(format!("{SEALED}{}", URL_SAFE_NO_PAD.encode(sealed)))
    }
}

/// The key that a caller names, whether they were given it sealed or not.
pub fn cause_named(ctx: &Context<'_>, given: &str) -> String {
    let opened = || {
        let sealed = URL_SAFE_NO_PAD.decode(given.strip_prefix(SEALED)?).ok()?;
        let tenant = ctx.data_opt::<Arc<Viewer>>()?.tenant?;
        let key = ctx.data_opt::<AppState>()?.vault.take_back(tenant, HandedOut::CauseKey, &sealed)?;
        String::from_utf8(key).ok()
    };
    opened().unwrap_or_else(|| given.to_owned())
}

impl OutputType for CauseKey {
    fn type_name() -> Cow<'static, str> {
        <String as OutputType>::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <String as OutputType>::create_type_info(registry)
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _field: &Positioned<Field>) -> ServerResult<Value> {
        let viewer = ctx.data_opt::<Arc<Viewer>>();
        if !self.is_told || may(viewer) {
            return Ok(Value::String(self.key.clone()));
        }
        let sealed = ctx.data_opt::<AppState>().zip(viewer).and_then(|(state, viewer)| self.sealed(state, viewer));
        // Who is shown a cause is in its tenant, so it is never without a seal.
        Ok(Value::String(sealed.unwrap_or_else(|| HIDDEN.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sealed_where_its_value_would_be_hidden() {
        let is_told = |path, value| CauseKey::new("flw_1|no_entry|…".into(), path, value).is_told;
        for (path, value, expected) in [
            (Some("customer.name"), Some("Ada Byron"), true),
            (Some("lines[].sku"), Some("HAT"), false),
            (Some("lines[].sku"), Some("for ada@example.com"), true),
            (None, Some("ada@example.com"), true),
            (None, Some("HAT"), false),
            (Some("customer.name"), None, false),
            (Some("customer.name"), Some(""), false),
        ] {
            assert_eq!(is_told(path, value), expected, "{path:?} {value:?}");
        }
    }
}
