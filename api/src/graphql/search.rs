//! Search by any id: one box for whatever a person has in hand.

use async_graphql::{Context, Enum, Object, Result, SimpleObject};
use domain::scope::Permission;
use domain::search_key::{Asked, KeyKind};
use infra::postgres::search::{Hit, Matched};

use super::error::{Code, fail, state, within};
use super::page::cost;
use super::personal::Personal;
use super::record::RecordNode;

/// By which id a record was found.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum SearchMatch {
    /// What people call it: #1042.
    Number,
    /// The buyer's number of it.
    PoNumber,
    TrackingNumber,
    /// The address of its customer.
    Email,
    Sku,
    /// A code of an item beside its SKU: GTIN, UPC, ASIN, …
    ItemCode,
    /// The number of the order that it belongs to.
    OrderNumber,
    /// The id of that order where the record comes from.
    OrderId,
    /// What the bank or the gateway calls a payment.
    Transaction,
    /// The id that a connected system has of it.
    ExternalId,
    /// An id of ours: its own, or that of a message, delivery, attempt, exception or revision of it.
    OwnId,
}

impl From<Matched> for SearchMatch {
    fn from(matched: Matched) -> Self {
        match matched {
            Matched::ExternalId => Self::ExternalId,
            Matched::OwnId => Self::OwnId,
            Matched::Key(KeyKind::Number) => Self::Number,
            Matched::Key(KeyKind::PoNumber) => Self::PoNumber,
            Matched::Key(KeyKind::TrackingNumber) => Self::TrackingNumber,
            Matched::Key(KeyKind::Email) => Self::Email,
            Matched::Key(KeyKind::Sku) => Self::Sku,
            Matched::Key(KeyKind::ItemCode) => Self::ItemCode,
            Matched::Key(KeyKind::OrderNumber) => Self::OrderNumber,
            Matched::Key(KeyKind::OrderId) => Self::OrderId,
            Matched::Key(KeyKind::Transaction) => Self::Transaction,
        }
    }
}

#[derive(SimpleObject)]
struct SearchHit {
    matched: SearchMatch,
    /// What was matched: in small letters and without `#`; at most 128 bytes.
    value: Personal,
    /// False where it only begins with what was asked.
    is_exact: bool,
    record: RecordNode,
}

impl From<Hit> for SearchHit {
    fn from(hit: Hit) -> Self {
        Self {
            matched: hit.matched.into(),
            value: Personal::sentence(hit.value),
            is_exact: hit.is_exact,
            record: hit.record.into(),
        }
    }
}

#[derive(Default)]
pub struct SearchQuery;

#[Object]
impl SearchQuery {
    /// The records that are known by this id, whatever id it is: a number with or without `#`, a purchase order's number, an SKU, a tracking
    /// number, the whole address of a customer, the id at any connection, an id of ours. Numbers are found by their beginning, too. The best
    /// matches first, of those alike the newest; at most 50.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn search(&self, ctx: &Context<'_>, text: String, first: Option<i32>) -> Result<Vec<SearchHit>> {
        let first = first.unwrap_or(20);
        if !(1..=50).contains(&first) {
            return Err(fail(Code::BadRequest, "`first` is how many records you want, from 1 to 50"));
        }
        let vault = &state(ctx).vault;
        let hits = within(ctx, Permission::ReadOperations, async |store| match Asked::read(&text) {
            Some(asked) => store.search(vault, &asked, first.into()).await,
            None => Ok(vec![]),
        })
        .await?;
        Ok(hits.into_iter().map(SearchHit::from).collect())
    }
}
