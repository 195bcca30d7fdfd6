//! Relay connections over keyset pages.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Context, ID, OutputType, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::scope::Permission;
use infra::postgres::StoreError;
use infra::postgres::filter::of_ids;
use infra::postgres::page::{Listed, PAGE_MAX, Page};
use infra::vault::HandedOut;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::error::{Code, fail, internal, scope, state, within};

/// Rows of a page that does not say how many.
const FIRST: i32 = 20;
/// What a sum over all rows of a tenant costs of a request's complexity, however few fields it shows.
pub const AGGREGATE_COST: usize = 200;
/// What a body, a request or a document costs: each is loaded by itself, and fewer than a hundred fit into one request.
pub const LARGE_COST: usize = 50;
/// No field costs more: far beyond what a request may, and far below where the sum over a request's fields would wrap.
const COST_MAX: usize = 1_000_000;

/// What a list costs of a request's complexity: its rows times what each costs. A `first` that will be refused is no credit.
pub fn cost(first: Option<i32>, child: usize) -> usize {
    let rows = usize::try_from(first.unwrap_or(FIRST)).unwrap_or(0).min(PAGE_MAX as usize);
    rows.saturating_mul(child).saturating_add(1).min(COST_MAX)
}

/// An id as the API shows it, from a row's uuid.
pub fn id<T: From<Uuid> + std::fmt::Display>(uuid: Uuid) -> ID {
    ID(T::from(uuid).to_string())
}

/// The uuid of an id argument; what is no id of this kind is simply not found.
pub fn uuid<T: std::str::FromStr>(id: &ID) -> Option<Uuid>
where
    Uuid: From<T>,
{
    id.parse::<T>().ok().map(Uuid::from)
}

/// A word that a list is narrowed to must be one of its own: a misspelt one would find nothing, and nobody would know why.
pub fn one_of(argument: &str, word: Option<&str>, words: &[&str]) -> Result<()> {
    match word.filter(|word| !words.contains(word)) {
        Some(word) => Err(fail(Code::BadRequest, &format!("`{argument}` is one of {}, not \"{word}\"", words.join(", ")))),
        None => Ok(()),
    }
}

/// How many rows of a page, and after which.
pub fn start(first: Option<i32>, after: Option<String>) -> Result<(u64, Option<Uuid>)> {
    let after = after
        .map(|cursor| Uuid::try_parse(&cursor).map_err(|_| fail(Code::BadRequest, "`after` is no cursor of this list")))
        .transpose()?;
    Ok((rows(first)?, after))
}

/// A page of a list as a Relay connection. Cursors are opaque to callers.
pub async fn page<E, N>(
    ctx: &Context<'_>,
    permission: Permission,
    first: Option<i32>,
    after: Option<String>,
    filter: impl FnOnce(sea_select::Select<E>) -> sea_select::Select<E>,
    node: impl Fn(E::Model) -> (Uuid, N),
) -> Result<Connection<String, N, EmptyFields, EmptyFields>>
where
    E: Listed,
    E::Model: Send + Sync,
    N: OutputType,
{
    let (first, after) = start(first, after)?;
    let has_previous = after.is_some();
    let page: Page<E::Model> =
        within(ctx, permission, async |store| -> Result<_, StoreError> { store.page::<E>(filter, after, first).await }).await?;
    let mut connection = Connection::new(has_previous, page.has_next);
    connection.edges.extend(page.rows.into_iter().map(|row| {
        let (cursor, node) = node(row);
        Edge::new(cursor.simple().to_string(), node)
    }));
    Ok(connection)
}

/// Rows that go with those of a list, one with each id at most: read when the first of them is asked for, by one query for each hundred ids.
pub struct Beside<E: Listed> {
    ids: Vec<Uuid>,
    id: fn(&E::Model) -> Uuid,
    of: fn(sea_select::Select<E>, Vec<Uuid>) -> sea_select::Select<E>,
    rows: OnceCell<HashMap<Uuid, E::Model>>,
}

impl<E> Beside<E>
where
    E: Listed,
    E::Model: Send + Sync,
{
    /// Rows that those of a list point at by their ids.
    pub fn new(ids: impl IntoIterator<Item = Uuid>, id: fn(&E::Model) -> Uuid) -> Arc<Self> {
        Self::of(ids, id, |select, ids| of_ids::<E>(ids)(select))
    }

    /// Rows that point at those of a list: `of` narrows to them, `id` tells which one a row points at. No two point at the same.
    pub fn of(
        ids: impl IntoIterator<Item = Uuid>,
        id: fn(&E::Model) -> Uuid,
        of: fn(sea_select::Select<E>, Vec<Uuid>) -> sea_select::Select<E>,
    ) -> Arc<Self> {
        let ids: BTreeSet<Uuid> = ids.into_iter().collect();
        Arc::new(Self { ids: ids.into_iter().collect(), id, of, rows: OnceCell::new() })
    }

    /// The one of this id; another tenant's is not found.
    pub async fn find(&self, ctx: &Context<'_>, permission: Permission, id: Uuid) -> Result<Option<E::Model>> {
        let read = || async {
            let mut rows = HashMap::with_capacity(self.ids.len());
            for ids in self.ids.chunks(PAGE_MAX as usize) {
                let (of, ids) = (self.of, ids.to_vec());
                let filter = move |select: sea_select::Select<E>| of(select, ids);
                let page: Page<E::Model> = within(ctx, permission, async |store| -> Result<_, StoreError> {
                    store.page::<E>(filter, None, PAGE_MAX).await
                })
                .await?;
                rows.extend(page.rows.into_iter().map(|row| ((self.id)(&row), row)));
            }
            Ok::<_, async_graphql::Error>(rows)
        };
        Ok(self.rows.get_or_try_init(read).await?.get(&id).cloned())
    }
}

/// How many rows a page has.
pub fn rows(first: Option<i32>) -> Result<u64> {
    let first = u64::try_from(first.unwrap_or(FIRST)).ok().filter(|first| (1..=PAGE_MAX).contains(first));
    first.ok_or_else(|| fail(Code::BadRequest, &format!("`first` is how many rows you want, from 1 to {PAGE_MAX}")))
}

/// A cursor of a list that is in the order of its texts. These may tell of a person, so whoever is given it cannot read it.
pub fn sealed(ctx: &Context<'_>, place: &impl serde::Serialize) -> Result<String> {
    let json = serde_json::to_vec(place).expect("a place is plain data");
    let tenant = scope(ctx, Permission::ReadOperations)?.tenant;
    let sealed = state(ctx).vault.hand_out(tenant, HandedOut::Cursor, &json);
    sealed.map(|sealed| URL_SAFE_NO_PAD.encode(sealed)).map_err(|error| internal(ctx, &error.into()))
}

pub fn opened<T: serde::de::DeserializeOwned>(ctx: &Context<'_>, cursor: &str) -> Result<T> {
    let tenant = scope(ctx, Permission::ReadOperations)?.tenant;
    let json = bytes(cursor).and_then(|sealed| state(ctx).vault.take_back(tenant, HandedOut::Cursor, &sealed));
    json.and_then(|json| place(&json)).ok_or_else(|| fail(Code::BadRequest, "`after` is no cursor of this list"))
}

/// What stands in a cursor, sealed.
pub fn bytes(cursor: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(cursor).ok()
}

/// The place that was sealed.
pub fn place<T: serde::de::DeserializeOwned>(json: &[u8]) -> Option<T> {
    serde_json::from_slice(json).ok()
}

/// The name of the query type, so that this crate need not name the library behind it.
mod sea_select {
    pub use infra::postgres::page::Select;
}
