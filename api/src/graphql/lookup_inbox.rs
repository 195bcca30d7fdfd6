//! The inbox of values that had no entry: how many deliveries wait for each, and what it may have meant.

use std::collections::HashMap;

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::LookupTableId;
use domain::lookup_table::change::Mode;
use domain::lookup_table::suggest::{Candidates, Like, Suggestion};
use domain::lookup_table::{Entry, TableKind};
use domain::scope::Permission;
use infra::postgres::entity::lookup_table;
use infra::postgres::exception::retry::{SELECTED_MAX, Selection, Versions};
use infra::postgres::filter;
use infra::postgres::lookup_entry::{Cause, Edit};
use infra::postgres::lookup_inbox::{InboxItem, InboxPlace};
use infra::postgres::page::PAGE_MAX;

use super::error::{UserError, UserErrorCode, within};
use super::exception::nudge;
use super::lookup_entry::full;
use super::lookup_table::{LookupTableNode, find, not_found};
use super::page::{AGGREGATE_COST, cost, opened, rows, sealed};
use super::personal::{Personal, not_hidden};

/// What an entry was found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum LookupLikeness {
    /// The value is like another value at the source.
    From,
    /// The value is like something that it could become.
    To,
}

/// What a value may have meant. Nothing is applied by itself.
#[derive(Debug, Clone, SimpleObject)]
struct LookupSuggestion {
    /// The entry that it is like.
    from: String,
    to: String,
    likeness: LookupLikeness,
    /// From 0.6 to 1, which is the same but for case, spaces and punctuation.
    score: f64,
}

impl From<Suggestion> for LookupSuggestion {
    fn from(suggestion: Suggestion) -> Self {
        let likeness = match suggestion.like {
            Like::From => LookupLikeness::From,
            Like::To => LookupLikeness::To,
        };
        Self { from: suggestion.from, to: suggestion.to, likeness, score: suggestion.score }
    }
}

/// A value that deliveries wait for because it has no entry.
#[derive(SimpleObject)]
struct LookupInboxItem {
    /// The name that the mapping calls the table by.
    table: String,
    /// Null where there is no such table: it is to be made first.
    lookup_table: Option<LookupTableNode>,
    value: Personal,
    /// How many deliveries wait for it.
    delivery_count: i64,
    /// Of how many records they are.
    record_count: i64,
    since: DateTime<Utc>,
    last_at: DateTime<Utc>,
    /// The numbers of some records that wait, at most 5.
    records: Vec<String>,
    /// The most alike first, at most 3.
    suggestions: Vec<LookupSuggestion>,
}

#[derive(SimpleObject)]
struct LookupInboxPayload {
    lookup_table: Option<LookupTableNode>,
    /// How many exceptions were open for it and are tried again, at most 20,000; what is more is tried by asking again.
    retried: i32,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct LookupInboxQuery;

#[Object]
impl LookupInboxQuery {
    /// The values that most deliveries wait for first, at most 100 a page. All values that a delivery lacks are counted, the first fifty of it.
    /// What a mapping lets through without an entry (`on_missing`) waits for nothing and is not here.
    #[graphql(complexity = "AGGREGATE_COST + cost(first, child_complexity)")]
    async fn lookup_inbox(
        &self,
        ctx: &Context<'_>,
        table: Option<String>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, LookupInboxItem, EmptyFields, EmptyFields>> {
        let first = rows(first)?;
        let place = after.map(|cursor| opened::<(i64, String, String)>(ctx, &cursor)).transpose()?;
        let place = place.map(|(deliveries, table, value)| InboxPlace { deliveries, table, value });
        let (items, has_next) = within(ctx, Permission::ReadOperations, async |store| {
            store.lookup_inbox(table.as_deref(), place.as_ref(), first).await
        })
        .await?;
        let names: Vec<String> =
            items.iter().map(|item| item.table.clone()).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
        let named = filter::lookup_tables_named(names);
        let tables = within(ctx, Permission::ReadOperations, async |store| {
            store.page::<lookup_table::Entity>(named, None, PAGE_MAX).await
        })
        .await?;
        let tables: HashMap<String, lookup_table::Model> = tables.rows.into_iter().map(|row| (row.name.clone(), row)).collect();
        let wants = |path: &[&str]| path.iter().fold(ctx.look_ahead(), |ahead, field| ahead.field(field)).exists();
        let mut suggested = if wants(&["nodes", "suggestions"]) || wants(&["edges", "node", "suggestions"]) {
            suggest(ctx, &items, &tables).await?
        } else {
            HashMap::new()
        };
        let mut connection = Connection::new(place.is_some(), has_next);
        for item in items {
            let cursor = sealed(ctx, &(item.deliveries, &item.table, &item.value))?;
            let key = (item.table, item.value);
            let suggestions = suggested.remove(&key).unwrap_or_default();
            let node = LookupInboxItem {
                lookup_table: tables.get(&key.0).cloned().map(LookupTableNode::from),
                table: key.0,
                value: Personal::sentence(key.1),
                delivery_count: item.deliveries,
                record_count: item.records,
                since: item.since,
                last_at: item.last_at,
                records: item.examples,
                suggestions: suggestions.into_iter().map(Into::into).collect(),
            };
            connection.edges.push(Edge::new(cursor, node));
        }
        Ok(connection)
    }
}

type Suggested = HashMap<(String, String), Vec<Suggestion>>;

/// Each table is read once for a page. Comparing with a large one takes a moment, which is not an event loop's to spend.
async fn suggest(ctx: &Context<'_>, items: &[InboxItem], tables: &HashMap<String, lookup_table::Model>) -> Result<Suggested> {
    let mut suggested = Suggested::new();
    for (name, row) in tables.iter().filter(|(_, row)| TableKind::parse(&row.kind) == Some(TableKind::Codes)) {
        let table = LookupTableId(row.id);
        let entries = within(ctx, Permission::ReadOperations, async |store| store.lookup_entries(table).await).await?;
        let values: Vec<String> = items.iter().filter(|item| item.table == *name).map(|item| item.value.clone()).collect();
        let name = name.clone();
        let compared = tokio::task::spawn_blocking(move || {
            let candidates = Candidates::new(&entries);
            values
                .into_iter()
                .map(|value| (candidates.of(&value), value))
                .map(|(found, value)| ((name.clone(), value), found))
                .collect::<Vec<_>>()
        });
        // Suggestions help; a list without them does too.
        suggested.extend(compared.await.unwrap_or_default());
    }
    Ok(suggested)
}

#[derive(Default)]
pub struct LookupInboxMutation;

#[Object]
impl LookupInboxMutation {
    /// Adds the entry for a value, and tries all deliveries again that wait for it. `to` has at most 2,000 bytes. With `effectiveFrom` the
    /// entry stands from then on only, so that a message that was accepted earlier still waits.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn lookup_inbox_resolve(
        &self,
        ctx: &Context<'_>,
        table_id: ID,
        value: String,
        to: String,
        effective_from: Option<DateTime<Utc>>,
    ) -> Result<LookupInboxPayload> {
        let refuse = |error| Ok(LookupInboxPayload { lookup_table: None, retried: 0, user_errors: vec![error] });
        if let Err(error) = not_hidden(ctx, "value", &value) {
            return refuse(error);
        }
        let missing = || UserError { field: vec!["tableId".to_owned()], ..not_found() };
        let Some(row) = find(ctx, Permission::WorkExceptions, &table_id).await? else { return refuse(missing()) };
        let retried = match resolve(ctx, &row, &value, to, effective_from).await? {
            Ok(retried) => retried,
            Err(error) => return refuse(error),
        };
        let row = within(ctx, Permission::WorkExceptions, async |store| store.find::<lookup_table::Entity>(row.id).await).await?;
        Ok(LookupInboxPayload {
            lookup_table: row.map(LookupTableNode::from),
            retried: i32::try_from(retried).unwrap_or(i32::MAX),
            user_errors: vec![],
        })
    }
}

/// Adds the entry for a value, and tries all again that waits for it; says how many.
pub async fn resolve(
    ctx: &Context<'_>,
    row: &lookup_table::Model,
    value: &str,
    to: String,
    effective_from: Option<DateTime<Utc>>,
) -> Result<Result<usize, UserError>> {
    let kind = TableKind::parse(&row.kind).unwrap_or_default();
    let entry = Entry { effective_from, ..Entry::always(value, to) };
    let entry = match entry.checked(kind) {
        Ok(entry) => entry,
        Err(what) => return Ok(Err(UserError::new("to", UserErrorCode::Invalid, what))),
    };
    let edit = Edit { mode: Mode::Merge, cause: Cause::Resolved, is_preview: false, skips_clashes: false, based_on: None };
    let table = LookupTableId(row.id);
    let asked = within(ctx, Permission::WorkExceptions, async |store| {
        store.lookup_entries_edit(table, std::slice::from_ref(&entry), edit).await
    })
    .await?;
    let at_table = |error: UserError| UserError { field: vec!["tableId".to_owned()], ..error };
    let Some(edited) = asked else { return Ok(Err(at_table(not_found()))) };
    if !edited.is_written && edited.counts.changed > 0 {
        // The value may be one that whoever asks is not shown: they named its cause.
        let what = format!("it has another entry by now: look at it in the table \"{}\"", row.name);
        return Ok(Err(UserError::new("value", UserErrorCode::Taken, what)));
    }
    if let Some(clash) = edited.clashes.first() {
        return Ok(Err(UserError::new("effectiveFrom", UserErrorCode::Invalid, clash.with.sentence(|_| 1))));
    }
    if let Some(error) = full(&edited) {
        return Ok(Err(at_table(error)));
    }
    retry(ctx, &row.name, value).await.map(Ok)
}

/// Tries all exceptions again that wait for a value: found once, so that one that lacks another value too does not come round again.
async fn retry(ctx: &Context<'_>, table: &str, value: &str) -> Result<usize> {
    let waiting = within(ctx, Permission::WorkExceptions, async |store| store.lookup_waiting(table, value).await).await?;
    let mut retried = 0;
    for ids in waiting.chunks(usize::try_from(SELECTED_MAX).unwrap_or(1)) {
        let selection = Selection { ids: ids.to_vec(), cause_key: None };
        let ended =
            within(ctx, Permission::WorkExceptions, async |store| store.exceptions_retry(&selection, Versions::Current).await)
                .await?;
        retried += ended.ids.len();
        nudge(ctx, &ended.nudges).await;
    }
    Ok(retried)
}
