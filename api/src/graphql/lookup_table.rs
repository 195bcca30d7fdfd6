//! Lookup tables: a tenant's code translations, rates and units, with their versions and as CSV.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::id::LookupTableId;
use domain::lookup_table::change::{ClashWith, Mode};
use domain::lookup_table::{ENTRIES_MAX, Entry, TableKind, sheet};
use domain::mapping::{Plan, Rules};
use domain::record::RecordKind;
use domain::scope::Permission;
use infra::postgres::configure::Changed;
use infra::postgres::entity::lookup_table;
use infra::postgres::filter;
use infra::postgres::lookup_table::{Cause, Edit, Edited, EntryFilter, LookupVersion, TABLES_MAX};
use infra::postgres::page::PAGE_MAX;
use uuid::Uuid;

use super::error::{Code, UserError, UserErrorCode, fail, scope, state, within};
use super::page::{AGGREGATE_COST, cost, id, page, uuid};

/// Entries, or values, of one change by hand.
const SET_MAX: usize = 5_000;
/// A whole table is the largest answer there is: two of them fit into one request.
const CSV_COST: usize = 2_000;

/// What a lookup table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(name = "LookupTableKind")]
pub enum TableKindName {
    /// Any value becomes another: SKU, tax, location, shipping method.
    Codes,
    /// `EUR/USD` becomes a rate of exchange, in force from a day until the next. `fx` reads it.
    Rates,
    /// `case|each`, or `HAT-XL|case|each` for one item alone, becomes how many of the second unit one of the first is. `convert_unit` reads it.
    Units,
}

impl From<TableKindName> for TableKind {
    fn from(name: TableKindName) -> Self {
        match name {
            TableKindName::Codes => Self::Codes,
            TableKindName::Rates => Self::Rates,
            TableKindName::Units => Self::Units,
        }
    }
}

impl From<TableKind> for TableKindName {
    fn from(kind: TableKind) -> Self {
        match kind {
            TableKind::Codes => Self::Codes,
            TableKind::Rates => Self::Rates,
            TableKind::Units => Self::Units,
        }
    }
}

#[derive(SimpleObject)]
#[graphql(name = "LookupTable", complex)]
pub struct LookupTableNode {
    id: ID,
    /// The name that mappings call it by.
    name: String,
    kind: TableKindName,
    /// Of rates: true where EUR/USD also says USD/EUR, by division.
    inverts: bool,
    /// Grows with every change of its entries or its name.
    version: i64,
    created_at: DateTime<Utc>,
    #[graphql(skip)]
    row: LookupTableId,
}

impl From<lookup_table::Model> for LookupTableNode {
    fn from(row: lookup_table::Model) -> Self {
        Self {
            id: id::<LookupTableId>(row.id),
            name: row.name,
            // The database takes no other word.
            kind: TableKind::parse(&row.kind).unwrap_or_default().into(),
            inverts: row.inverts,
            version: row.version,
            created_at: row.created_at,
            row: LookupTableId(row.id),
        }
    }
}

/// What one value becomes, and when.
#[derive(SimpleObject)]
#[graphql(name = "LookupEntry")]
struct LookupEntryNode {
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

/// A version of a table, and what made it. Who did is in the audit log.
#[derive(SimpleObject)]
#[graphql(name = "LookupVersion")]
struct LookupVersionNode {
    version: i64,
    /// What mappings called the table then.
    name: String,
    /// created, kept (what stood before versions were kept), set, removed, imported, rolled_back, resolved, fed, renamed or deleted.
    cause: String,
    added: i32,
    changed: i32,
    removed: i32,
    made_at: DateTime<Utc>,
}

impl From<LookupVersion> for LookupVersionNode {
    fn from(row: LookupVersion) -> Self {
        let LookupVersion { version, name, cause, added, changed, removed, made_at } = row;
        Self { version, name, cause, added, changed, removed, made_at }
    }
}

#[ComplexObject]
impl LookupTableNode {
    /// How many entries stand now, at most 200,000.
    #[graphql(complexity = "AGGREGATE_COST")]
    async fn entry_count(&self, ctx: &Context<'_>) -> Result<i64> {
        within(ctx, Permission::ReadOperations, async |store| store.lookup_entries_count(self.row).await).await
    }

    /// In the order of their values, at most 100 a page: those that stand now, or stood in an earlier version. `search` is a part of either
    /// value, at most 200 characters.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn entries(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
        search: Option<String>,
        version: Option<i64>,
    ) -> Result<Connection<String, LookupEntryNode, EmptyFields, EmptyFields>> {
        let first = rows(first)?;
        let after = after.map(|cursor| opened(&cursor)).transpose()?;
        let has_previous = after.is_some();
        let filter = EntryFilter { version, search: search.filter(|text| !text.is_empty()), after };
        let (entries, has_next) =
            within(ctx, Permission::ReadOperations, async |store| store.lookup_entries_page(self.row, &filter, first).await)
                .await?;
        let mut connection = Connection::new(has_previous, has_next);
        connection.edges.extend(entries.into_iter().map(|entry| {
            let cursor = sealed(&(&entry.from, entry.effective_from));
            Edge::new(cursor, entry.into())
        }));
        Ok(connection)
    }

    /// All entries as CSV, which `lookupTableImport` takes back: at most 200,000 rows and some 40 MB.
    #[graphql(complexity = "CSV_COST")]
    async fn csv(&self, ctx: &Context<'_>, version: Option<i64>) -> Result<String> {
        let version = version.unwrap_or(i64::MAX);
        let entries =
            within(ctx, Permission::ReadOperations, async |store| store.lookup_entries_at(self.row, version).await).await?;
        Ok(sheet::write(self.kind.into(), &entries))
    }

    /// Newest first, at most 100: those before a version, where one is said.
    #[graphql(complexity = "cost(Some(20), child_complexity)")]
    async fn versions(&self, ctx: &Context<'_>, before: Option<i64>) -> Result<Vec<LookupVersionNode>> {
        let versions =
            within(ctx, Permission::ReadOperations, async |store| store.lookup_versions(self.row, before).await).await?;
        Ok(versions.into_iter().map(LookupVersionNode::from).collect())
    }
}

/// How many rows a page has.
pub(super) fn rows(first: Option<i32>) -> Result<u64> {
    let first = u64::try_from(first.unwrap_or(20)).ok().filter(|first| (1..=PAGE_MAX).contains(first));
    first.ok_or_else(|| fail(Code::BadRequest, &format!("`first` is how many rows you want, from 1 to {PAGE_MAX}")))
}

/// A cursor of a list that is in the order of its texts.
pub(super) fn sealed(place: &impl serde::Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(place).expect("a place is plain data"))
}

pub(super) fn opened<T: serde::de::DeserializeOwned>(cursor: &str) -> Result<T> {
    let place = URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|json| serde_json::from_slice(&json).ok());
    place.ok_or_else(|| fail(Code::BadRequest, "`after` is no cursor of this list"))
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

#[derive(SimpleObject)]
struct LookupTablePayload {
    lookup_table: Option<LookupTableNode>,
    user_errors: Vec<UserError>,
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
pub struct LookupTableQuery;

#[Object]
impl LookupTableQuery {
    /// Newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn lookup_tables(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, LookupTableNode, EmptyFields, EmptyFields>> {
        let kept = filter::lookup_tables_kept;
        page::<lookup_table::Entity, _>(ctx, Permission::ReadOperations, first, after, kept, |row| (row.id, row.into())).await
    }

    async fn lookup_table(&self, ctx: &Context<'_>, id: ID) -> Result<Option<LookupTableNode>> {
        scope(ctx, Permission::ReadOperations)?;
        Ok(find(ctx, Permission::ReadOperations, &id).await?.map(LookupTableNode::from))
    }
}

/// A table that was not deleted.
pub(super) async fn find(ctx: &Context<'_>, permission: Permission, id: &ID) -> Result<Option<lookup_table::Model>> {
    let Some(table) = uuid::<LookupTableId>(id) else { return Ok(None) };
    let row = within(ctx, permission, async |store| store.find::<lookup_table::Entity>(table).await).await?;
    Ok(row.filter(|row| row.deleted_at.is_none()))
}

#[derive(Default)]
pub struct LookupTableMutation;

#[Object]
impl LookupTableMutation {
    /// A new, empty table; a tenant has at most 500. Its name is what mappings call it by, at most 100 characters. What it is for, and whether
    /// its rates say the other way round too, stays as it is made.
    async fn lookup_table_create(
        &self,
        ctx: &Context<'_>,
        name: String,
        #[graphql(default_with = "TableKindName::Codes")] kind: TableKindName,
        #[graphql(default)] inverts: bool,
    ) -> Result<LookupTablePayload> {
        if let Err(error) = name_check(&name) {
            return Ok(refuse(error));
        }
        if inverts && kind != TableKindName::Rates {
            return Ok(refuse(UserError::new(
                "inverts",
                UserErrorCode::Invalid,
                "only a table of rates says the other way round",
            )));
        }
        let made = within(ctx, Permission::Configure, async |store| {
            match store.lookup_table_create(&name, kind.into(), inverts).await? {
                Some(id) => store.find::<lookup_table::Entity>(id.0).await,
                None => Ok(None),
            }
        });
        let what = || format!("the name \"{name}\" is taken, or there are {TABLES_MAX} tables already");
        let taken = || UserError::new("name", UserErrorCode::Taken, what());
        Ok(made.await?.map_or_else(|| refuse(taken()), done))
    }

    /// Another name, at most 100 characters. Refused while a published flow reads the table by its present one.
    async fn lookup_table_rename(&self, ctx: &Context<'_>, id: ID, name: String) -> Result<LookupTablePayload> {
        if let Err(error) = name_check(&name) {
            return Ok(refuse(error));
        }
        let Some(row) = find(ctx, Permission::Configure, &id).await? else { return Ok(refuse(not_found())) };
        if let Some(error) = readers(ctx, &row.name).await? {
            return Ok(refuse(error));
        }
        let table = LookupTableId(row.id);
        match within(ctx, Permission::Configure, async |store| store.lookup_table_rename(table, &name).await).await? {
            Changed::Done => again(ctx, row.id).await,
            Changed::NotFound => Ok(refuse(not_found())),
            Changed::Taken => Ok(refuse(UserError::new("name", UserErrorCode::Taken, format!("the name \"{name}\" is taken")))),
        }
    }

    /// Takes a table away. Refused while a published flow reads it. What was sent by it can still be looked at.
    async fn lookup_table_delete(&self, ctx: &Context<'_>, id: ID) -> Result<LookupTablePayload> {
        let Some(row) = find(ctx, Permission::Configure, &id).await? else { return Ok(refuse(not_found())) };
        if let Some(error) = readers(ctx, &row.name).await? {
            return Ok(refuse(error));
        }
        let table = LookupTableId(row.id);
        let deleted = within(ctx, Permission::Configure, async |store| store.lookup_table_delete(table).await).await?;
        Ok(if deleted { LookupTablePayload { lookup_table: None, user_errors: vec![] } } else { refuse(not_found()) })
    }

    /// A new version that says the same as an old one. Nothing of the versions between is lost.
    async fn lookup_table_rollback(&self, ctx: &Context<'_>, id: ID, version: i64) -> Result<LookupTablePayload> {
        let Some(row) = find(ctx, Permission::WorkExceptions, &id).await? else { return Ok(refuse(not_found())) };
        let table = LookupTableId(row.id);
        let rolled =
            within(ctx, Permission::WorkExceptions, async |store| store.lookup_table_rollback(table, version).await).await?;
        match rolled {
            Some(_) => again(ctx, row.id).await,
            None => {
                let what = format!("the table \"{}\" has no version {version}", row.name);
                Ok(refuse(UserError::new("version", UserErrorCode::NotFound, what)))
            }
        }
    }

    /// Adds entries and replaces those of the same value and the same beginning, at most 5,000 at once.
    async fn lookup_entries_set(&self, ctx: &Context<'_>, id: ID, entries: Vec<LookupEntryInput>) -> Result<LookupTablePayload> {
        if entries.len() > SET_MAX {
            return Ok(refuse(UserError::new("entries", UserErrorCode::TooMany, format!("at most {SET_MAX} entries at once"))));
        }
        let Some(row) = find(ctx, Permission::WorkExceptions, &id).await? else { return Ok(refuse(not_found())) };
        let kind = TableKind::parse(&row.kind).unwrap_or_default();
        let mut checked = Vec::with_capacity(entries.len());
        for (at, entry) in entries.into_iter().enumerate() {
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
    /// written, unless `skipBadRows` leaves them out.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn lookup_table_import(
        &self,
        ctx: &Context<'_>,
        id: ID,
        csv: String,
        mode: LookupImportMode,
        #[graphql(default)] preview: bool,
        #[graphql(default)] skip_bad_rows: bool,
    ) -> Result<LookupImportPayload> {
        let Some(row) = find(ctx, Permission::WorkExceptions, &id).await? else { return Ok(unread(not_found())) };
        let sheet::Sheet { rows, mut bad } = sheet::read(TableKind::parse(&row.kind).unwrap_or_default(), &csv);
        let (lines, entries): (Vec<u64>, Vec<Entry>) = rows.into_iter().unzip();
        let mode = if mode == LookupImportMode::Merge { Mode::Merge } else { Mode::Replace };
        // Bad rows that are not to be skipped make of it a preview: the counts say what the good ones would do.
        let is_preview = preview || (bad.count > 0 && !skip_bad_rows);
        let edit = Edit { mode, cause: Cause::Imported, is_preview, skips_clashes: preview || skip_bad_rows };
        let table = LookupTableId(row.id);
        let edited =
            within(ctx, Permission::WorkExceptions, async |store| store.lookup_entries_edit(table, &entries, edit).await);
        let Some(edited) = edited.await? else { return Ok(unread(not_found())) };
        for clash in &edited.clashes {
            let entry = &entries[clash.at];
            let shown = format!("{},{}", entry.from, entry.to);
            bad.push(lines[clash.at], clash.with.sentence(|at| lines[at]), &shown);
        }
        bad.sort();
        let mut user_errors: Vec<UserError> = full(&edited).into_iter().collect();
        if bad.count > 0 && !preview && !skip_bad_rows {
            let what =
                format!("{} rows are bad, so nothing was written: correct them, or leave them out with skipBadRows", bad.count);
            user_errors.push(UserError::new("csv", UserErrorCode::Invalid, what));
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

/// What a published flow would lack if the table were not there by this name any more.
async fn readers(ctx: &Context<'_>, table: &str) -> Result<Option<UserError>> {
    let flows = within(ctx, Permission::Configure, async |store| store.published_rules().await).await?;
    let catalog = state(ctx).catalog;
    let reads = |mapping: serde_json::Value, kind: &str, connector: &str| -> bool {
        let (Some(kind), Some(connector)) = (RecordKind::parse(kind), catalog.get(connector)) else { return false };
        let Ok(rules) = serde_json::from_value::<Rules>(mapping) else { return false };
        let base = connector.write_rules(kind).cloned().unwrap_or_default();
        Plan::compile(&base.overlaid(rules)).is_ok_and(|plan| plan.tables().iter().any(|read| read == table))
    };
    const NAMES_MAX: usize = 5;
    let readers = flows.into_iter().filter(|flow| reads(flow.mapping.clone(), &flow.kind, &flow.connector));
    let names: Vec<String> = readers.take(NAMES_MAX).map(|flow| format!("\"{}\"", flow.name)).collect();
    let what =
        || format!("published flows read it: {}. Publish versions of them that do not, or retire them, first", names.join(", "));
    Ok((!names.is_empty()).then(|| UserError::new("id", UserErrorCode::Invalid, what())))
}

fn name_check(name: &str) -> Result<(), UserError> {
    let is_name = (1..=100).contains(&name.chars().count());
    if is_name { Ok(()) } else { Err(UserError::new("name", UserErrorCode::Invalid, "a name has 1 to 100 characters")) }
}

pub(super) fn full(edited: &Edited) -> Option<UserError> {
    let what = || format!("a table holds at most {ENTRIES_MAX} entries and 16 MiB of text: divide it into several");
    edited.is_full.then(|| UserError::new("csv", UserErrorCode::TooMany, what()))
}

pub(super) fn not_found() -> UserError {
    UserError::new("id", UserErrorCode::NotFound, "there is no such lookup table")
}

/// The table as it is after a change.
async fn again(ctx: &Context<'_>, table: Uuid) -> Result<LookupTablePayload> {
    let row = within(ctx, Permission::ReadOperations, async |store| store.find::<lookup_table::Entity>(table).await).await?;
    Ok(row.map_or_else(|| refuse(not_found()), done))
}

fn done(row: lookup_table::Model) -> LookupTablePayload {
    LookupTablePayload { lookup_table: Some(row.into()), user_errors: vec![] }
}

fn refuse(error: UserError) -> LookupTablePayload {
    LookupTablePayload { lookup_table: None, user_errors: vec![error] }
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
