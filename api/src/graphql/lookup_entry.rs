//! Entries of lookup tables: by hand, and as a file.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::LookupTableId;
use domain::lookup_table::change::{ClashWith, Mode};
use domain::lookup_table::{ENTRIES_MAX, Entry, TableKind, sheet};
use domain::scope::Permission;
use infra::postgres::entity::lookup_table;
use infra::postgres::lookup_entry::{Cause, Edit, Edited};

use super::error::{UserError, UserErrorCode, within};
use super::lookup_table::{LookupTableNode, LookupTablePayload, again, find, not_found, refuse};
use super::page::AGGREGATE_COST;
use super::personal::not_hidden;

/// Entries, or values, of one change by hand.
const SET_MAX: usize = 5_000;

/// What one value becomes, and when.
#[derive(SimpleObject)]
#[graphql(name = "LookupEntry")]
pub struct LookupEntryNode {
    from: String,
    to: String,
    /// Null: since ever.
    effective_from: Option<DateTime<Utc>>,
    /// From this moment on it does not stand any more. Null: until the next entry of the same value begins.
    effective_until: Option<DateTime<Utc>>,
}

impl From<Entry> for LookupEntryNode {
    fn from(entry: Entry) -> Self {
        let Entry { from, to, effective_from, effective_until } = entry;
        Self { from, to, effective_from, effective_until }
    }
}

#[derive(InputObject)]
struct LookupEntryInput {
    /// The value at the source, at most 400 bytes. Of rates `EUR/USD`, of units `case|each` or `HAT-XL|case|each`.
    from: String,
    /// What it becomes, at most 2,000 bytes. Of rates and units a number above 0.
    to: String,
    /// Without it the entry stands since ever. Of rates the beginning of a day in UTC.
    effective_from: Option<DateTime<Utc>>,
    /// The first moment at which it does not stand any more; without it the next entry of the same value ends it.
    effective_until: Option<DateTime<Utc>>,
}

impl From<LookupEntryInput> for Entry {
    fn from(input: LookupEntryInput) -> Self {
        let LookupEntryInput { from, to, effective_from, effective_until } = input;
        Self { from, to, effective_from, effective_until }
    }
}

/// How the rows of a file come into a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
enum LookupImportMode {
    /// A row takes the place of the entry of the same value and the same beginning; all else stays.
    Merge,
    /// The table is what the file says, and nothing else.
    Replace,
}

/// A row of a file that the table cannot take.
#[derive(SimpleObject)]
struct LookupBadRow {
    /// The line that it begins on, from 1.
    line: i32,
    /// In plain words.
    what: String,
    /// The row as it stands there, at most 200 characters of it.
    row: String,
}

#[derive(SimpleObject)]
struct LookupImportPayload {
    lookup_table: Option<LookupTableNode>,
    /// False of a preview, where there are bad rows that are not to be skipped, and where nothing changes.
    written: bool,
    added: i32,
    changed: i32,
    removed: i32,
    unchanged: i32,
    bad_row_count: i32,
    /// The first 100.
    bad_rows: Vec<LookupBadRow>,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct LookupEntryMutation;

#[Object]
impl LookupEntryMutation {
    /// Adds entries and replaces those of the same value and the same beginning, at most 5,000 at once.
    async fn lookup_entries_set(&self, ctx: &Context<'_>, id: ID, entries: Vec<LookupEntryInput>) -> Result<LookupTablePayload> {
        if entries.len() > SET_MAX {
            return Ok(refuse(UserError::new("entries", UserErrorCode::TooMany, format!("at most {SET_MAX} entries at once"))));
        }
        let Some(row) = find(ctx, Permission::WorkExceptions, &id).await? else { return Ok(refuse(not_found())) };
        let kind = TableKind::parse(&row.kind).unwrap_or_default();
        let mut checked = Vec::with_capacity(entries.len());
        for (at, entry) in entries.into_iter().enumerate() {
            if let Err(error) = not_hidden(ctx, &format!("entries.{at}"), &entry.from) {
                return Ok(refuse(error));
            }
            match Entry::from(entry).checked(kind) {
                Ok(entry) => checked.push(entry),
                Err(what) => return Ok(refuse(UserError::new(&format!("entries.{at}"), UserErrorCode::Invalid, what))),
            }
        }
        // The last of two entries for one value and beginning stands.
        let mut seen = std::collections::HashSet::new();
        let mut unique: Vec<Entry> = checked.into_iter().rev().collect();
        unique.retain(|entry| seen.insert((entry.from.clone(), entry.effective_from)));
        let table = LookupTableId(row.id);
        let set = within(ctx, Permission::WorkExceptions, async |store| store.lookup_entries_set(table, &unique).await).await?;
        let Some(edited) = set else { return Ok(refuse(not_found())) };
        if let Some(clash) = edited.clashes.first() {
            let ClashWith::Time(_) = &clash.with else { return again(ctx, row.id).await };
            let what = format!("\"{}\": {}", unique[clash.at].from, clash.with.sentence(|at| at as u64 + 1));
            return Ok(refuse(UserError::new("entries", UserErrorCode::Invalid, what)));
        }
        match full(&edited) {
            Some(error) => Ok(refuse(UserError { field: vec!["entries".to_owned()], ..error })),
            None => again(ctx, row.id).await,
        }
    }

    /// Takes all entries of these values away, at most 5,000 values at once.
    async fn lookup_entries_remove(&self, ctx: &Context<'_>, id: ID, from: Vec<String>) -> Result<LookupTablePayload> {
        if from.len() > SET_MAX {
            return Ok(refuse(UserError::new("from", UserErrorCode::TooMany, format!("at most {SET_MAX} values at once"))));
        }
        let Some(row) = find(ctx, Permission::WorkExceptions, &id).await? else { return Ok(refuse(not_found())) };
        let table = LookupTableId(row.id);
        within(ctx, Permission::WorkExceptions, async |store| store.lookup_entries_remove(table, &from).await).await?;
        again(ctx, row.id).await
    }

    /// Reads a file into a table, all in one version. Of codes the columns are `from,to[,effective_from,effective_until]`, of rates
    /// `from,to,date,rate`, of units `item,from,to,factor[,effective_from,effective_until]`; a header is optional, and cells are parted by
    /// comma, semicolon or tab. At most 50,000 rows, and as much as fits into a request of 1 MiB: a larger table comes in parts, the first by
    /// REPLACE and the others by MERGE. With `preview` it says what it would do and writes nothing. Where there are bad rows nothing is
    /// written, unless `skipBadRows` leaves them out. `basedOn` is the table's version that you saw: where it is another by now, nothing is
    /// written.
    #[expect(clippy::too_many_arguments, reason = "the arguments of one mutation")]
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn lookup_table_import(
        &self,
        ctx: &Context<'_>,
        id: ID,
        csv: String,
        mode: LookupImportMode,
        #[graphql(default)] preview: bool,
        #[graphql(default)] skip_bad_rows: bool,
        based_on: Option<i64>,
    ) -> Result<LookupImportPayload> {
        let Some(row) = find(ctx, Permission::WorkExceptions, &id).await? else { return Ok(unread(not_found())) };
        let sheet::Sheet { rows, mut bad } = sheet::read(TableKind::parse(&row.kind).unwrap_or_default(), &csv);
        let shown = |entry: &Entry| format!("{},{}", entry.from, entry.to);
        let (mut lines, mut entries) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for (line, entry) in rows {
            if let Err(error) = not_hidden(ctx, "csv", &entry.from) {
                bad.push(line, error.message, &shown(&entry));
                continue;
            }
            lines.push(line);
            entries.push(entry);
        }
        let mode = if mode == LookupImportMode::Merge { Mode::Merge } else { Mode::Replace };
        // Bad rows that are not to be skipped make of it a preview: the counts say what the good ones would do.
        let is_preview = preview || (bad.count > 0 && !skip_bad_rows);
        let edit = Edit { mode, cause: Cause::Imported, is_preview, skips_clashes: preview || skip_bad_rows, based_on };
        let table = LookupTableId(row.id);
        let edited =
            within(ctx, Permission::WorkExceptions, async |store| store.lookup_entries_edit(table, &entries, edit).await);
        let Some(edited) = edited.await? else { return Ok(unread(not_found())) };
        for clash in &edited.clashes {
            bad.push(lines[clash.at], clash.with.sentence(|at| lines[at]), &shown(&entries[clash.at]));
        }
        bad.sort();
        let mut user_errors: Vec<UserError> = full(&edited).into_iter().collect();
        if bad.count > 0 && !preview && !skip_bad_rows {
            let what =
                format!("{} rows are bad, so nothing was written: correct them, or leave them out with skipBadRows", bad.count);
            user_errors.push(UserError::new("csv", UserErrorCode::Invalid, what));
        }
        if edited.is_changed {
            let what = "somebody else has changed the table meanwhile; look at what it says now, then try again";
            user_errors.push(UserError::new("basedOn", UserErrorCode::Changed, what));
        }
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let row = within(ctx, Permission::WorkExceptions, async |store| store.find::<lookup_table::Entity>(row.id).await).await?;
        Ok(LookupImportPayload {
            lookup_table: row.map(LookupTableNode::from),
            written: edited.is_written,
            added: count(edited.counts.added),
            changed: count(edited.counts.changed),
            removed: count(edited.counts.removed),
            unchanged: count(edited.counts.unchanged),
            bad_row_count: count(bad.count),
            bad_rows: bad
                .rows
                .into_iter()
                .map(|bad| LookupBadRow { line: i32::try_from(bad.line).unwrap_or(i32::MAX), what: bad.what, row: bad.row })
                .collect(),
            user_errors,
        })
    }
}

pub(super) fn full(edited: &Edited) -> Option<UserError> {
    let what = || format!("a table holds at most {ENTRIES_MAX} entries and 16 MiB of text: divide it into several");
    edited.is_full.then(|| UserError::new("csv", UserErrorCode::TooMany, what()))
}

fn unread(error: UserError) -> LookupImportPayload {
    LookupImportPayload {
        lookup_table: None,
        written: false,
        added: 0,
        changed: 0,
        removed: 0,
        unchanged: 0,
        bad_row_count: 0,
        bad_rows: vec![],
        user_errors: vec![error],
    }
}
