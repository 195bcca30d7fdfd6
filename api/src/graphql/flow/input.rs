//! What a person says of a flow, as a [`FlowSpec`]: parsed here once, and checked together with the two connectors.

use async_graphql::{Context, ID, InputObject, Json, MaybeUndefined, Result};
use connectors::Connector;
use connectors::flow::{FlowError, check, tables};
use domain::flow::FlowSpec;
use domain::id::ConnectionId;
use domain::record::RecordKind;
use domain::scope::Permission;
use infra::postgres::entity::connection;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::graphql::error::{UserError, UserErrorCode, state, within};
use crate::graphql::page::uuid;

const NOTE_CHARS_MAX: usize = 2_000;
const NAME_CHARS_MAX: usize = 200;

#[derive(InputObject)]
pub(super) struct FlowCreateInput {
    /// At most 200 characters, unique in the tenant.
    pub name: String,
    /// order, customer, item, inventory_level, shipment, invoice, return, payment, refund or purchase_order.
    pub record_kind: String,
    pub source_id: ID,
    pub destination_id: ID,
    /// A second person approves a draft before it is published; no by default.
    pub needs_approval: Option<bool>,
    /// A draft is published once its replay changed nothing, or a person accepted what it changes; no by default.
    pub needs_replay: Option<bool>,
    #[graphql(flatten)]
    pub draft: FlowDraftInput,
}

#[derive(InputObject, Default)]
pub(super) struct FlowDraftInput {
    /// An expression over the record; only those it is true for are delivered. At most 2,000 bytes. Without it the filter stays as in the
    /// newest version; null takes it away.
    pub filter: MaybeUndefined<String>,
    /// Rules that lie over those by which the source's connector reads; at most 1,000 together with them. Without it they stay as in the
    /// newest version.
    pub source_mapping: Option<Json<serde_json::Value>>,
    /// Rules that lie over those by which the destination's connector writes; at most 1,000 together with them. Without it they stay as in
    /// the newest version.
    pub mapping: Option<Json<serde_json::Value>>,
    /// `attempts_max` 1 to 50, `backoff_ms` 100 to 3,600,000, `backoff_max_ms` from `backoff_ms` to 86,400,000; `missing` exception or keep;
    /// `balance` refuse or pass; `ordering` latest or each. Without it the policy stays as in the newest version.
    pub policy: Option<Json<serde_json::Value>>,
    /// `"live"`, or `{"schedule": {"every_minutes": 15}}`, or `{"schedule": {"at": ["02:00"], "zone": "Europe/Berlin", "days": ["Mon"]}}`.
    /// Without it the trigger stays as in the newest version.
    pub trigger: Option<Json<serde_json::Value>>,
    /// What it is for, at most 2,000 characters.
    pub note: Option<String>,
}

impl FlowDraftInput {
    /// The version that it makes of another.
    pub fn over(&self, mut spec: FlowSpec) -> Result<FlowSpec, Vec<UserError>> {
        let mut errors = Vec::new();
        if !self.filter.is_undefined() {
            spec.filter = self.filter.value().cloned();
        }
        put(&mut spec.source_mapping, "sourceMapping", self.source_mapping.as_ref(), &mut errors);
        put(&mut spec.mapping, "mapping", self.mapping.as_ref(), &mut errors);
        put(&mut spec.policy, "policy", self.policy.as_ref(), &mut errors);
        put(&mut spec.trigger, "trigger", self.trigger.as_ref(), &mut errors);
        errors.extend(note_error(self.note.as_deref()));
        if errors.is_empty() { Ok(spec) } else { Err(errors) }
    }
}

/// What is wrong with a version's note.
pub(super) fn note_error(note: Option<&str>) -> Option<UserError> {
    let is_long = note.is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX);
    is_long.then(|| UserError::new("note", UserErrorCode::Invalid, format!("a note has at most {NOTE_CHARS_MAX} characters")))
}

fn put<T: DeserializeOwned>(into: &mut T, field: &str, json: Option<&Json<serde_json::Value>>, errors: &mut Vec<UserError>) {
    match json.map(|Json(json)| serde_json::from_value(json.clone())) {
        None => {}
        Some(Ok(read)) => *into = read,
        Some(Err(error)) => errors.push(UserError::new(field, UserErrorCode::Invalid, error.to_string())),
    }
}

/// A flow's sides and kind, with the connectors behind them.
pub(super) struct Sides {
    pub kind: RecordKind,
    pub source: Uuid,
    pub destination: Uuid,
    source_connector: &'static Connector,
    destination_connector: &'static Connector,
}

impl Sides {
    pub async fn of(ctx: &Context<'_>, input: &FlowCreateInput) -> Result<Result<Self, Vec<UserError>>> {
        let mut errors = Vec::new();
        if !(1..=NAME_CHARS_MAX).contains(&input.name.chars().count()) {
            errors.push(UserError::new("name", UserErrorCode::Invalid, format!("a name has 1 to {NAME_CHARS_MAX} characters")));
        }
        let kind = RecordKind::parse(&input.record_kind);
        if kind.is_none() {
            let kinds = RecordKind::ALL.map(RecordKind::as_str).join(", ");
            let message = format!("\"{}\" is none of {kinds}", input.record_kind);
            errors.push(UserError::new("recordKind", UserErrorCode::Invalid, message));
        }
        let sides = (uuid::<ConnectionId>(&input.source_id), uuid::<ConnectionId>(&input.destination_id));
        let source = side(ctx, "sourceId", sides.0).await?.map_err(|error| errors.push(error)).ok();
        let destination = side(ctx, "destinationId", sides.1).await?.map_err(|error| errors.push(error)).ok();
        Ok(match (kind, source, destination) {
            (Some(kind), Some((source, source_connector)), Some((destination, destination_connector))) if errors.is_empty() => {
                Ok(Self { kind, source, destination, source_connector, destination_connector })
            }
            _ => Err(errors),
        })
    }

    /// Those of a flow that is there.
    pub async fn find(
        ctx: &Context<'_>,
        kind: RecordKind,
        source: Uuid,
        destination: Uuid,
    ) -> Result<Result<Self, Vec<UserError>>> {
        let from = side(ctx, "id", Some(source)).await?;
        let to = side(ctx, "id", Some(destination)).await?;
        Ok(match (from, to) {
            (Ok((_, source_connector)), Ok((_, destination_connector))) => {
                Ok(Self { kind, source, destination, source_connector, destination_connector })
            }
            (from, to) => Err(from.err().into_iter().chain(to.err()).collect()),
        })
    }

    /// The tenant's lookup tables that a version looks into.
    pub fn tables(&self, spec: &FlowSpec) -> Vec<String> {
        tables(spec, self.kind, self.source_connector, self.destination_connector)
    }

    /// All that is wrong with a version between them.
    pub fn errors(&self, spec: &FlowSpec) -> Vec<UserError> {
        check(spec, self.kind, self.source_connector, self.destination_connector).into_iter().map(user_error).collect()
    }
}

/// A connector without the kind is told at the connection that was chosen, because that is where it is mended.
fn user_error(error: FlowError) -> UserError {
    let field = match error.field {
        "source_mapping" => "sourceMapping",
        field => field,
    };
    UserError::new(field, UserErrorCode::Invalid, error.what)
}

/// A connection, and its connector.
pub(super) async fn side(
    ctx: &Context<'_>,
    field: &str,
    connection: Option<Uuid>,
) -> Result<Result<(Uuid, &'static Connector), UserError>> {
    let refuse = |message: &str| Ok(Err(UserError::new(field, UserErrorCode::NotFound, message)));
    let Some(connection) = connection else { return refuse("there is no such connection") };
    let row = within(ctx, Permission::ReadOperations, async |store| store.find::<connection::Entity>(connection).await).await?;
    let Some(row) = row else { return refuse("there is no such connection") };
    match state(ctx).catalog.get(&row.connector) {
        Some(connector) => Ok(Ok((connection, connector))),
        None => refuse("its connector is not part of this installation"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn errors(field: &str, json: serde_json::Value) -> Vec<String> {
        let mut input = FlowDraftInput::default();
        match field {
            "policy" => input.policy = Some(Json(json)),
            "mapping" => input.mapping = Some(Json(json)),
            _ => input.trigger = Some(Json(json)),
        }
        let catalog = connectors::Catalog::embedded();
        let (shopify, netsuite) = (catalog.get("shopify").unwrap(), catalog.get("netsuite").unwrap());
        match input.over(FlowSpec::default()) {
            Err(errors) => errors.into_iter().map(|error| error.message).collect(),
            Ok(spec) => {
                let errors = check(&spec, RecordKind::Order, shopify, netsuite).into_iter().map(user_error);
                errors.map(|error| error.message).collect()
            }
        }
    }

    #[test]
    fn a_policy_is_bounded_in_plain_words() {
        assert!(errors("policy", json!({})).is_empty());
        assert!(errors("policy", json!({"attempts_max": 50, "backoff_ms": 100, "backoff_max_ms": 100})).is_empty());
        for (policy, sentence) in [
            (json!({"attempts_max": 0}), "attempts_max is 0, but it must be from 1 to 50"),
            (json!({"backoff_ms": 5_000_000}), "backoff_ms is 5000000, but it must be from 100 to 3600000 (an hour)"),
            (
                json!({"backoff_ms": 5_000, "backoff_max_ms": 90_000_000}),
                "backoff_max_ms is 90000000, but it must be from backoff_ms, which is 5000, to 86400000 (a day)",
            ),
            (json!({"missing": "default"}), "missing is exception or keep; what a default would be only a rule can say"),
        ] {
            assert_eq!(errors("policy", policy), [sentence]);
        }
        assert_eq!(errors("policy", json!({"backoff_ms": 2_000, "backoff_max_ms": 1_000})).len(), 1);
        assert_eq!(errors("policy", json!({"attempts_max": -1})).len(), 1);
        assert_eq!(errors("trigger", json!({"schedule": {"every_minutes": 0}})).len(), 1);
        assert!(errors("trigger", json!("live")).is_empty());
    }

    #[test]
    fn a_mapping_is_checked_together_with_the_connectors() {
        let netsuite = connectors::Catalog::embedded().get("netsuite").unwrap();
        let count = |mapping| errors("mapping", mapping).len();
        assert_eq!(count(json!([])), 0);
        let base = &netsuite.write_rules(RecordKind::Order).unwrap().0;
        let scalar = base.iter().find(|rule| rule.each.is_none() && !rule.to.contains('.')).unwrap();
        assert_eq!(count(json!([{"to": scalar.to, "from": "number"}])), 0, "a rule of the same field takes the other's place");
        // Alone these are sound; together with the connector's they are more than a mapping may have, and workers would stop at them.
        let many: Vec<_> = (0..990).map(|n| json!({"to": format!("custbody_{n}"), "from": "number"})).collect();
        assert!(domain::mapping::Plan::compile(&serde_json::from_value(json!(many)).unwrap()).is_ok());
        assert!(count(json!(many)) > 0);
        assert!(count(json!([{"to": "memo", "form": "number"}])) > 0, "a misspelt key is an error");
    }
}
