//! Edit and retry: a person corrects a field of the record, which becomes a revision of its own, or a field of what is sent, for one delivery.

use async_graphql::{Context, ID, InputObject, Object, Result};
use chrono::Utc;
use connectors::Inputs;
use connectors::trial::Tried;
use domain::canonical;
use domain::comparison::compare;
use domain::edit::Edits;
use domain::erasure;
use domain::id::{DeliveryId, ExceptionId};
use domain::mapping::Filter;
use domain::scope::Permission;
use domain::search_key;
use domain::task::Stage;
use domain::value::{Limits, Value};
use infra::lookup::TenantLookups;
use infra::postgres::entity::exception;
use infra::postgres::exception::edit::Edited;
use infra::postgres::exception::retry::{Selection, Versions};
use infra::postgres::exception::suppose::Stopped;
use infra::postgres::receive::{PublishedFlow, Reading, Revised};
use uuid::Uuid;

use super::act::{ExceptionPayload, ExceptionRetryVersions, nudge};
use super::what_if::{Way, Which};
use crate::graphql::error::{UserError, UserErrorCode, internal, scope, state, within};
use crate::graphql::page::{LARGE_COST, uuid};
use crate::graphql::personal::not_hidden;

/// Changes that the audit log keeps of one edit, and how much of each.
const TOLD_MAX: usize = 50;
const TOLD_CHARS_MAX: usize = 200;

/// One field, and what it becomes.
#[derive(InputObject)]
struct FieldEditInput {
    /// With its rows: `lines[2].sku`.
    path: String,
    /// JSON, so that a number keeps its digits: `"HAT-XL"` with its quotes, `10.50`, `null` to take the field away.
    value: String,
}

#[derive(Default)]
pub struct ExceptionEditMutation;

#[Object]
impl ExceptionEditMutation {
    /// Corrects fields of the record that an exception is about, at most 50: it is checked against the canonical model, becomes a revision by you
    /// beside those of the source, and is delivered by the flows that take it. The exception closes. When the source changes the record again,
    /// what it says then counts.
    #[graphql(complexity = "LARGE_COST * 4 + child_complexity")]
    async fn exception_edit_record(&self, ctx: &Context<'_>, id: ID, edits: Vec<FieldEditInput>) -> Result<ExceptionPayload> {
        let edits = match read(ctx, &edits) {
            Ok(edits) => edits,
            Err(error) => return Ok(ExceptionPayload::refused(error)),
        };
        let row = match uuid::<ExceptionId>(&id) {
            Some(id) => within(ctx, Permission::WorkExceptions, async |store| store.find::<exception::Entity>(id).await).await?,
            None => None,
        };
        let about = row.filter(|row| row.state == "open").and_then(|row| row.record_id.zip(row.delivery_id));
        let Some((record, delivery)) = about else { return Ok(ExceptionPayload::refused(not_open())) };
        edit_record(ctx, record, DeliveryId(delivery), &edits).await
    }

    /// Corrects fields of what is sent for one exception, at most 50, and tries it again. Only this delivery is changed: the record stays, and its
    /// next revision is sent as the mapping makes it. The fields are those that the destination is written, by its own names. These edits take
    /// the place of an earlier edit of the same delivery; none takes it back.
    #[graphql(complexity = "LARGE_COST * 4 + child_complexity")]
    async fn exception_edit_payload(
        &self,
        ctx: &Context<'_>,
        id: ID,
        edits: Vec<FieldEditInput>,
        versions: Option<ExceptionRetryVersions>,
    ) -> Result<ExceptionPayload> {
        let edits = match if edits.is_empty() { Ok(Edits::default()) } else { read(ctx, &edits) } {
            Ok(edits) => edits,
            Err(error) => return Ok(ExceptionPayload::refused(error)),
        };
        let Some(id) = uuid::<ExceptionId>(&id) else { return Ok(ExceptionPayload::refused(not_open())) };
        edit_payload(ctx, id, edits, versions.unwrap_or_default().into()).await
    }
}

fn read(ctx: &Context<'_>, edits: &[FieldEditInput]) -> Result<Edits, UserError> {
    let read = Edits::read(edits.iter().map(|edit| (edit.path.as_str(), edit.value.as_str())));
    let read = read.map_err(|error| invalid(error.to_string()))?;
    // As it would be kept: dots may come as escapes of JSON.
    not_hidden(ctx, "edits", &read.to_value().to_json())?;
    Ok(read)
}

fn invalid(what: String) -> UserError {
    UserError::new("edits", UserErrorCode::Invalid, what)
}

fn not_open() -> UserError {
    UserError::new("id", UserErrorCode::NotFound, "there is no open exception of a delivery with this id")
}

fn parsed(json: &str) -> Value {
    Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap_or(Value::Null)
}

/// What is different, as the audit log keeps it; `None` where nothing is.
fn difference(before: &Value, after: &Value) -> Option<String> {
    let changes = compare(before, after, TOLD_MAX);
    let text = |value: &Value| value.to_json().chars().take(TOLD_CHARS_MAX).collect::<String>();
    let told: Vec<serde_json::Value> = changes
        .iter()
        .map(
            |change| serde_json::json!({"path": change.path, "before": change.before.map(text), "after": change.after.map(text)}),
        )
        .collect();
    (!told.is_empty()).then(|| serde_json::json!({ "changes": told }).to_string())
}

async fn edit_record(ctx: &Context<'_>, record: Uuid, delivery: DeliveryId, edits: &Edits) -> Result<ExceptionPayload> {
    let scope = scope(ctx, Permission::WorkExceptions)?;
    let store = state(ctx).store.within(&scope);
    let refuse = |error| Ok(ExceptionPayload::refused(error));
    let said = edits.to_value().to_json().into_bytes();
    let hasher = store.key_hasher(&state(ctx).vault).await.map_err(|error| internal(ctx, &error))?;
    let editing = store.record_edit(record, said).await.map_err(|error| internal(ctx, &error))?;
    let Some(mut editing) = editing else { return refuse(not_open()) };
    if erasure::is_tombstone(editing.document.as_bytes()) {
        return refuse(UserError::new(
            "id",
            UserErrorCode::Blocked,
            format!("it cannot be corrected: {}", erasure::fault().reason),
        ));
    }
    let before = parsed(&editing.document);
    let mut document = before.clone();
    if let Err(error) = edits.apply(&mut document) {
        return refuse(invalid(error.to_string()));
    }
    let Some(detail) = difference(&before, &document) else {
        return refuse(invalid("the record says this already".to_owned()));
    };
    if canonical::source_id(&document).as_deref() != Some(editing.source_id.as_str()) {
        return refuse(invalid("source_id is what the record is known by at its source, and stays".to_owned()));
    }
    let summary = match canonical::examine(editing.kind, &document) {
        Ok(summary) => summary,
        Err(issues) => {
            let user_errors = issues.into_iter().take(10).map(|issue| invalid(issue.sentence)).collect();
            return Ok(ExceptionPayload { user_errors, ..ExceptionPayload::default() });
        }
    };
    if !editing.take_over(delivery).await.map_err(|error| internal(ctx, &error))? {
        let what = "what was sent may have arrived: press Retry first, which asks the destination before anything is sent again";
        return refuse(UserError::new("id", UserErrorCode::Blocked, what));
    }
    editing.tell(&state(ctx).vault, record, &detail).await.map_err(|error| internal(ctx, &error))?;
    let kind = editing.kind;
    let of_kind = std::mem::take(&mut editing.receiving.flows).into_iter().filter(|flow| flow.kind == kind);
    let (flows, left): (Vec<PublishedFlow>, Vec<PublishedFlow>) = of_kind.partition(|flow| takes(flow, &document));
    let search = [summary.number.as_deref(), Some(editing.source_id.as_str()), summary.customer_email.as_deref()];
    let revised = Revised {
        kind,
        search: search.into_iter().flatten().map(str::to_lowercase).collect::<Vec<_>>().join(" "),
        keys: search_key::of(kind, &document).into_iter().map(|key| hasher.store(key)).collect(),
        number: summary.number.clone(),
        content_hash: canonical::content_hash(&document),
        document: document.to_json(),
        source_id: editing.source_id,
        source_updated_at: editing.source_updated_at,
        due_by: summary.due_by,
        unbalanced: summary.unbalanced.map(|issue| issue.sentence),
        // It was made by a person.
        recipe: None,
        worth: None,
        flows,
        left: left.into_iter().map(|flow| flow.flow).collect(),
    };
    let reading = vec![(editing.message, Reading::Record(Box::new(revised)))];
    let received = editing.receiving.finish(reading).await.map_err(|error| internal(ctx, &error))?;
    state(ctx).broker.nudge(Stage::Deliver, received.planned).await;
    Ok(ExceptionPayload { count: 1, ..ExceptionPayload::default() })
}

/// A filter that fails on a record lets it through, as it does in earnest.
fn takes(flow: &PublishedFlow, document: &Value) -> bool {
    let filter = flow.filter.as_deref().and_then(|filter| Filter::compile(filter).ok());
    filter.is_none_or(|filter| filter.passes(document).unwrap_or(true))
}

async fn edit_payload(ctx: &Context<'_>, id: Uuid, edits: Edits, versions: Versions) -> Result<ExceptionPayload> {
    let scope = scope(ctx, Permission::WorkExceptions)?;
    let store = state(ctx).store.within(&scope);
    let refuse = |error| Ok(ExceptionPayload::refused(error));
    let selection = Selection { ids: vec![id], cause_key: None };
    let stopped = store.exceptions_stopped(&selection, None, 1).await.map_err(|error| internal(ctx, &error))?;
    let Some(stopped) = stopped.into_iter().next() else { return refuse(not_open()) };
    let which = if versions == Versions::Same { Which::Same } else { Which::Current };
    let way = Way::load(ctx, &store, &stopped, which).await?;
    let detail = match way.edited(&stopped, &edits) {
        Ok(detail) => detail,
        Err(what) => return refuse(invalid(what)),
    };
    let kept = (!edits.is_empty()).then(|| edits.to_value().to_json());
    let edited = store.exception_edit_payload(id, kept.as_deref(), &detail, versions, &state(ctx).vault).await;
    let edited = edited.map_err(|error| internal(ctx, &error))?;
    match edited {
        Edited::Done(ended) => {
            nudge(ctx, &ended.nudges).await;
            Ok((&ended).into())
        }
        Edited::NotFound => refuse(not_open()),
    }
}

impl Way {
    /// What the edits change of what the mapping makes, for the audit log.
    ///
    /// # Errors
    /// Why it cannot be sent so, as a sentence.
    fn edited(&self, stopped: &Stopped, edits: &Edits) -> Result<String, String> {
        let trial = self.sides.trial(&self.version.spec).map_err(|error| error.to_string())?;
        let destination = self.sides.destination();
        let title = destination.connector.title();
        let writes = trial.write_plan().map(domain::mapping::Plan::writes).unwrap_or_default();
        if let Some(unknown) = edits.fields().find(|field| !writes.iter().any(|known| known == field.as_ref())) {
            return Err(format!("{title} is written no field {unknown}; look at the request of the last try for its names"));
        }
        let lookups = TenantLookups::new(&self.tables, destination.connector.tables(), stopped.revision.origin_at);
        let revision = stopped.revision.of(stopped.delivery);
        let run = |edits: &Edits| match trial.run(&revision, &Inputs::default().with_edits(edits.clone()), &lookups, Utc::now()) {
            Tried::Made(made) => Ok(made.payload),
            Tried::Refused(reason) => Err(reason.sentence),
            Tried::Left => Err("the flow's filter leaves this record out".to_owned()),
        };
        // Where the mapping itself has no answer there is no payload to change.
        let (before, after) = (run(&Edits::default())?, run(edits)?);
        let difference = difference(&before, &after);
        match difference {
            None if edits.is_empty() => Ok(serde_json::json!({"changes": []}).to_string()),
            difference => difference.ok_or_else(|| "the mapping writes this already".to_owned()),
        }
    }
}
