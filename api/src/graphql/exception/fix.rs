//! One-click fixes that need an answer of a person: the entry that a lookup table lacks, the id of what was done by hand.

use async_graphql::{Context, ID, InputObject, Object, Result};
use chrono::{DateTime, Utc};
use domain::canonical;
use domain::id::ExceptionId;
use domain::scope::Permission;
use domain::value::{Limits, Value};
use infra::postgres::entity::lookup_table;
use infra::postgres::exception::create_first::{FIRST_MAX, Referred};
use infra::postgres::exception::done::{DONE_MAX, Noted};
use infra::postgres::filter;

use super::act::{ExceptionPayload, ExceptionSelectionInput, nudge, select};
use super::cause_key::cause_named;
use crate::graphql::error::{UserError, UserErrorCode, within};
use crate::graphql::lookup_inbox::resolve;
use crate::graphql::page::{AGGREGATE_COST, uuid};

const ID_CHARS_MAX: usize = 200;
const NOTE_CHARS_MAX: usize = 500;

/// What was done by hand.
#[derive(InputObject)]
struct ExceptionDoneInput {
    /// The exception.
    id: ID,
    /// What the destination calls it; at most 200 characters.
    destination_id: String,
}

#[derive(Default)]
pub struct ExceptionFixMutation;

#[Object]
impl ExceptionFixMutation {
    /// Adds the entry that all of this cause lack, and tries everything again that waits for it: of 5,000 orders with one unknown SKU all go on
    /// by this one act. `to` has at most 2,000 bytes. With `effectiveFrom` the entry stands from then on only.
    #[graphql(complexity = "AGGREGATE_COST * 2 + child_complexity")]
    async fn exception_fix_lookup_value(
        &self,
        ctx: &Context<'_>,
        cause_key: String,
        to: String,
        effective_from: Option<DateTime<Utc>>,
    ) -> Result<ExceptionPayload> {
        let refuse = |error| Ok(ExceptionPayload::refused(error));
        let cause_key = cause_named(ctx, &cause_key);
        let group = within(ctx, Permission::WorkExceptions, async |store| store.exception_group(&cause_key).await).await?;
        let Some(group) = group else {
            return refuse(UserError::new("causeKey", UserErrorCode::NotFound, "no exception of this cause is open"));
        };
        let (Some(table), Some(value)) = (group.lookup_table, group.value) else {
            let what = "these exceptions lack no value of a lookup table";
            return refuse(UserError::new("causeKey", UserErrorCode::Invalid, what));
        };
        let named = filter::lookup_tables_named(vec![table.clone()]);
        let page =
            within(ctx, Permission::WorkExceptions, async |store| store.page::<lookup_table::Entity>(named, None, 1).await)
                .await?;
        let Some(row) = page.rows.into_iter().next() else {
            let what = format!("there is no lookup table \"{table}\": make it first");
            return refuse(UserError::new("causeKey", UserErrorCode::Blocked, what));
        };
        Ok(match resolve(ctx, &row, &value, to, effective_from).await? {
            Ok(retried) => ExceptionPayload { count: i32::try_from(retried).unwrap_or(i32::MAX), ..ExceptionPayload::default() },
            Err(error) => ExceptionPayload::refused(error),
        })
    }

    /// Plans the delivery of what the records of these refer to (the customer, the items of the lines), where we hold it, a published flow takes it
    /// to the same destination and it is not there yet; at most 1,000 at once. The exceptions stay open and wait; they are tried again by
    /// themselves once all of that is confirmed.
    #[graphql(complexity = "AGGREGATE_COST * 2 + child_complexity")]
    async fn exception_create_first(&self, ctx: &Context<'_>, input: ExceptionSelectionInput) -> Result<ExceptionPayload> {
        let selection = match select(ctx, &input) {
            Ok(selection) => selection,
            Err(error) => return Ok(ExceptionPayload::refused(error)),
        };
        let stopped =
            within(ctx, Permission::WorkExceptions, async |store| store.exceptions_stopped(&selection, None, FIRST_MAX).await)
                .await?;
        let mut referred: Vec<Referred> = Vec::new();
        for one in &stopped {
            let document = Value::parse(one.revision.document.as_bytes(), &Limits::DEFAULT).unwrap_or(Value::Null);
            let references = canonical::references(&document);
            referred.extend(references.into_iter().map(|(kind, source_id)| (one.exception, kind, source_id)));
        }
        let begun = within(ctx, Permission::WorkExceptions, async |store| store.exceptions_create_first(&referred).await).await?;
        nudge(ctx, &begun.nudges).await;
        if begun.waiting == 0 {
            let what = "nothing that these refer to can be delivered first: no customer or item of them is held here, no published flow takes \
                        it to this destination, or it is there already";
            return Ok(ExceptionPayload::refused(UserError::new("input", UserErrorCode::NotFound, what)));
        }
        let has_more = i64::try_from(stopped.len()).is_ok_and(|count| count >= FIRST_MAX);
        let count = i32::try_from(begun.waiting).unwrap_or(i32::MAX);
        Ok(ExceptionPayload { count, has_more, ..ExceptionPayload::default() })
    }

    /// Says that these were done by hand at the destination, at most 100 at once: nothing is sent, each delivery counts as confirmed by you, and
    /// later revisions change what has this id there.
    async fn exception_mark_done(
        &self,
        ctx: &Context<'_>,
        done: Vec<ExceptionDoneInput>,
        note: Option<String>,
    ) -> Result<ExceptionPayload> {
        let refuse = |field, code, what: String| Ok(ExceptionPayload::refused(UserError::new(field, code, what)));
        if done.is_empty() || done.len() > DONE_MAX {
            return refuse("done", UserErrorCode::TooMany, format!("say what was done, 1 to {DONE_MAX} at once"));
        }
        let is_id = |text: &str| (1..=ID_CHARS_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if done.iter().any(|one| !is_id(one.destination_id.trim())) {
            return refuse(
                "done",
                UserErrorCode::Invalid,
                format!("an id at the destination has 1 to {ID_CHARS_MAX} characters"),
            );
        }
        if note.as_ref().is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
            return refuse("note", UserErrorCode::Invalid, format!("a note has at most {NOTE_CHARS_MAX} characters"));
        }
        // An id of nothing is about nothing.
        let done: Vec<_> =
            done.iter().filter_map(|one| Some((uuid::<ExceptionId>(&one.id)?, one.destination_id.trim().to_owned()))).collect();
        let noted =
            within(ctx, Permission::WorkExceptions, async |store| store.exceptions_done(&done, note.as_deref()).await).await?;
        match noted {
            Noted::Done(ids) => {
                Ok(ExceptionPayload { count: i32::try_from(ids.len()).unwrap_or(i32::MAX), ..ExceptionPayload::default() })
            }
            Noted::Taken { id, number } => {
                let what = format!("{id} is {number} there already; look for the right id, or ignore the exception");
                refuse("done", UserErrorCode::Taken, what)
            }
        }
    }
}
