//! Lookup tables: a tenant's code translations, rates and units, with their versions and as CSV.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{ComplexObject, Context, Enum, ID, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use connectors::flow::FlowPlan;
use domain::id::LookupTableId;
use domain::lookup_table::{TableKind, sheet};
use domain::record::RecordKind;
use domain::scope::Permission;
use infra::postgres::configure::Changed;
use infra::postgres::entity::lookup_table;
use infra::postgres::filter;
use infra::postgres::flow::Published;
use infra::postgres::lookup_entry::EntryFilter;
use infra::postgres::lookup_table::{LookupVersion, TABLES_MAX};
use uuid::Uuid;

use super::error::{UserError, UserErrorCode, scope, state, within};
use super::lookup_entry::LookupEntryNode;
use super::page::{AGGREGATE_COST, cost, id, opened, page, rows, sealed, uuid};

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
        let after = after.map(|cursor| opened(ctx, &cursor)).transpose()?;
        let has_previous = after.is_some();
        let filter = EntryFilter { version, search: search.filter(|text| !text.is_empty()), after };
        let (entries, has_next) =
            within(ctx, Permission::ReadOperations, async |store| store.lookup_entries_page(self.row, &filter, first).await)
                .await?;
        let mut connection = Connection::new(has_previous, has_next);
        for entry in entries {
            let cursor = sealed(ctx, &(&entry.from, entry.effective_from))?;
            connection.edges.push(Edge::new(cursor, entry.into()));
        }
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

#[derive(SimpleObject)]
pub struct LookupTablePayload {
    lookup_table: Option<LookupTableNode>,
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
}

/// What a published flow would lack if the table were not there by this name any more.
async fn readers(ctx: &Context<'_>, table: &str) -> Result<Option<UserError>> {
    let flows = within(ctx, Permission::Configure, async |store| store.flows_published().await).await?;
    let catalog = state(ctx).catalog;
    let reads = |flow: &Published| -> bool {
        let sides = catalog.get(&flow.source).zip(catalog.get(&flow.destination));
        let Some((kind, (source, destination))) = RecordKind::parse(&flow.kind).zip(sides) else { return false };
        let reading = connectors::flow::reading(source, kind, std::slice::from_ref(&flow.spec.source_mapping)).ok().flatten();
        let writing = FlowPlan::of(&flow.spec, kind, destination).ok();
        let writing = writing.as_ref().and_then(|plan| plan.write_plan(destination, kind));
        reading.iter().chain(writing).any(|plan| plan.tables().iter().any(|read| read == table))
    };
    const NAMES_MAX: usize = 5;
    let readers = flows.into_iter().filter(|flow| reads(flow));
    let names: Vec<String> = readers.take(NAMES_MAX).map(|flow| format!("\"{}\"", flow.name)).collect();
    let what =
        || format!("published flows read it: {}. Publish versions of them that do not, or retire them, first", names.join(", "));
    Ok((!names.is_empty()).then(|| UserError::new("id", UserErrorCode::Invalid, what())))
}

fn name_check(name: &str) -> Result<(), UserError> {
    let is_name = (1..=100).contains(&name.chars().count());
    if is_name { Ok(()) } else { Err(UserError::new("name", UserErrorCode::Invalid, "a name has 1 to 100 characters")) }
}

pub(super) fn not_found() -> UserError {
    UserError::new("id", UserErrorCode::NotFound, "there is no such lookup table")
}

/// The table as it is after a change.
pub(super) async fn again(ctx: &Context<'_>, table: Uuid) -> Result<LookupTablePayload> {
    let row = within(ctx, Permission::ReadOperations, async |store| store.find::<lookup_table::Entity>(table).await).await?;
    Ok(row.map_or_else(|| refuse(not_found()), done))
}

fn done(row: lookup_table::Model) -> LookupTablePayload {
    LookupTablePayload { lookup_table: Some(row.into()), user_errors: vec![] }
}

pub(super) fn refuse(error: UserError) -> LookupTablePayload {
    LookupTablePayload { lookup_table: None, user_errors: vec![error] }
}
