//! Lookup tables: a tenant's code translations.

use async_graphql::connection::{Connection, EmptyFields};
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::LookupTableId;
use domain::scope::Permission;
use infra::postgres::configure::ENTRIES_MAX;
use infra::postgres::entity::lookup_table;

use super::error::{UserError, UserErrorCode, within};
use super::page::{cost, id, page, uuid};

#[derive(SimpleObject)]
#[graphql(name = "LookupTable")]
pub struct LookupTableNode {
    id: ID,
    /// The name that mappings call it by.
    name: String,
    /// Grows with every change of its entries.
    version: i64,
    created_at: DateTime<Utc>,
}

impl From<lookup_table::Model> for LookupTableNode {
    fn from(row: lookup_table::Model) -> Self {
        Self { id: id::<LookupTableId>(row.id), name: row.name, version: row.version, created_at: row.created_at }
    }
}

#[derive(InputObject)]
struct LookupEntryInput {
    /// The value at the source, at most 400 bytes.
    from: String,
    /// What it becomes, at most 2,000 bytes.
    to: String,
}

#[derive(SimpleObject)]
struct LookupTablePayload {
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
        page::<lookup_table::Entity, _>(ctx, Permission::ReadOperations, first, after, |s| s, |row| (row.id, row.into())).await
    }
}

#[derive(Default)]
pub struct LookupTableMutation;

#[Object]
impl LookupTableMutation {
    /// A new, empty table. Its name is what mappings call it by, at most 100 characters.
    async fn lookup_table_create(&self, ctx: &Context<'_>, name: String) -> Result<LookupTablePayload> {
        if !(1..=100).contains(&name.chars().count()) {
            return Ok(refuse(UserError::new("name", UserErrorCode::Invalid, "a name has 1 to 100 characters")));
        }
        let made = within(ctx, Permission::Configure, async |store| match store.lookup_table_create(&name).await? {
            Some(id) => store.find::<lookup_table::Entity>(id.0).await,
            None => Ok(None),
        });
        let taken = || UserError::new("name", UserErrorCode::Taken, format!("the name \"{name}\" is taken"));
        Ok(made
            .await?
            .map_or_else(|| refuse(taken()), |row| LookupTablePayload { lookup_table: Some(row.into()), user_errors: vec![] }))
    }

    /// Adds and replaces entries, at most 5,000 at once.
    async fn lookup_entries_set(&self, ctx: &Context<'_>, id: ID, entries: Vec<LookupEntryInput>) -> Result<LookupTablePayload> {
        if entries.len() > ENTRIES_MAX {
            return Ok(refuse(UserError::new(
                "entries",
                UserErrorCode::TooMany,
                format!("at most {ENTRIES_MAX} entries at once"),
            )));
        }
        if let Some(at) = entries.iter().position(|e| {
            e.from.is_empty() || e.from.len() > 400 || e.to.len() > 2_000 || e.from.contains('\0') || e.to.contains('\0')
        }) {
            let field = format!("entries.{at}");
            return Ok(refuse(UserError::new(&field, UserErrorCode::Invalid, "`from` has 1 to 400 bytes, `to` at most 2,000")));
        }
        let not_found = || refuse(UserError::new("id", UserErrorCode::NotFound, "there is no such lookup table"));
        let Some(table) = uuid::<LookupTableId>(&id) else { return Ok(not_found()) };
        let entries: Vec<(String, String)> = entries.into_iter().map(|entry| (entry.from, entry.to)).collect();
        let set = within(ctx, Permission::WorkExceptions, async |store| {
            if store.lookup_entries_set(LookupTableId(table), &entries).await? {
                store.find::<lookup_table::Entity>(table).await
            } else {
                Ok(None)
            }
        });
        Ok(set.await?.map_or_else(not_found, |row| LookupTablePayload { lookup_table: Some(row.into()), user_errors: vec![] }))
    }
}

fn refuse(error: UserError) -> LookupTablePayload {
    LookupTablePayload { lookup_table: None, user_errors: vec![error] }
}
