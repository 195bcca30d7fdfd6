//! Inventory: what there is of each item over all connections, what orders have reserved of it, and what each seller may offer.

use std::collections::HashSet;

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{ConnectionId, RecordId};
use domain::inventory::{self, InventoryPolicy, Position, Seller, StockSource, sku_key};
use domain::scope::Permission;
use domain::value::decimal;
use infra::postgres::inventory::{ItemState, Keep, PolicySet};
use rust_decimal::Decimal;

use super::error::{Code, UserError, UserErrorCode, fail, within};
use super::page;
use crate::auth::new_token;

/// Items whose kept quantities are set at once.
const KEPT_MAX: usize = 1_000;
/// Orders of an item that are told.
const RESERVED_BY_MAX: usize = 20;
/// A write to a seller takes seconds; a slow day takes minutes.
const GRACE_S: i32 = 120;

/// What is the stock, who sells it, and what is kept back. Quantities are decimals as text.
#[derive(SimpleObject)]
#[graphql(name = "InventoryPolicy")]
struct InventoryPolicyNode {
    stock: Vec<StockSourceNode>,
    sellers: Vec<SellerNode>,
    /// Kept back from everybody, of each item.
    safety_stock: String,
    /// How long a seller may offer too much before it is an exception, in seconds.
    grace_s: i32,
}

/// A connection whose levels say what is there.
#[derive(SimpleObject)]
#[graphql(name = "InventoryStock")]
struct StockSourceNode {
    connection_id: ID,
    /// Only these, by code or id; all where none is named.
    locations: Vec<String>,
}

/// A connection that sells from the stock.
#[derive(SimpleObject)]
#[graphql(name = "InventorySeller")]
struct SellerNode {
    connection_id: ID,
    /// Held back from it,
    buffer: String,
    /// or so many percent of what is free; the larger of both counts.
    buffer_percent: String,
    /// It sells from these only, by code or id; from all where none is named.
    locations: Vec<String>,
    /// The connection whose inventory levels say what this seller may offer: a flow from there to the seller keeps its offers right.
    through_connection_id: Option<ID>,
}

impl From<InventoryPolicy> for InventoryPolicyNode {
    fn from(policy: InventoryPolicy) -> Self {
        let id = |connection: ConnectionId| ID(connection.to_string());
        let stock = policy
            .stock
            .into_iter()
            .map(|stock| StockSourceNode { connection_id: id(stock.connection), locations: stock.locations });
        let sellers = policy.sellers.into_iter().map(|seller| SellerNode {
            connection_id: id(seller.connection),
            buffer: seller.buffer.to_string(),
            buffer_percent: seller.buffer_percent.to_string(),
            locations: seller.locations,
            through_connection_id: seller.through.map(id),
        });
        Self {
            stock: stock.collect(),
            sellers: sellers.collect(),
            safety_stock: policy.safety_stock.to_string(),
            grace_s: i32::try_from(policy.grace_s).unwrap_or(i32::MAX),
        }
    }
}

/// A connection whose levels say what is there.
#[derive(InputObject)]
struct InventoryStockInput {
    connection_id: ID,
    /// Only these, by code or id; all where none is named.
    #[graphql(default)]
    locations: Vec<String>,
}

/// A connection that sells from the stock.
#[derive(InputObject)]
struct InventorySellerInput {
    connection_id: ID,
    /// A decimal as text; nothing is held back where it is left out.
    buffer: Option<String>,
    buffer_percent: Option<String>,
    #[graphql(default)]
    locations: Vec<String>,
}

/// Quantities are decimals as text.
#[derive(InputObject)]
struct InventoryPolicyInput {
    /// At least one, at most 50.
    stock: Vec<InventoryStockInput>,
    /// At most 50. One that is new gets a connection "Stock for ..." whose inventory levels say what it may offer.
    #[graphql(default)]
    sellers: Vec<InventorySellerInput>,
    /// Kept back from everybody, of each item. Nothing where it is left out.
    safety_stock: Option<String>,
    /// From 0 to 86,400; 120 where it is left out.
    grace_s: Option<i32>,
}

fn invalid(field: &str, sentence: impl Into<String>) -> UserError {
    UserError::new(&format!("input.{field}"), UserErrorCode::Invalid, sentence.into())
}

fn quantity(field: &str, text: Option<&String>) -> std::result::Result<Decimal, UserError> {
    let Some(text) = text else { return Ok(Decimal::ZERO) };
    decimal(text).ok_or_else(|| invalid(field, "a quantity is written like 12 or 2.5"))
}

fn connection(field: &str, id: &ID) -> std::result::Result<ConnectionId, UserError> {
    id.parse().map_err(|_| invalid(field, format!("there is no connection \"{}\"", id.as_str())))
}

impl InventoryPolicyInput {
    fn read(&self) -> std::result::Result<InventoryPolicy, UserError> {
        let stock = self.stock.iter().map(|stock| {
            Ok(StockSource { connection: connection("stock", &stock.connection_id)?, locations: stock.locations.clone() })
        });
        let sellers = self.sellers.iter().map(|seller| {
            Ok(Seller {
                connection: connection("sellers", &seller.connection_id)?,
                buffer: quantity("sellers", seller.buffer.as_ref())?,
                buffer_percent: quantity("sellers", seller.buffer_percent.as_ref())?,
                locations: seller.locations.clone(),
                through: None,
            })
        });
        let policy = InventoryPolicy {
            stock: stock.collect::<std::result::Result<_, UserError>>()?,
            sellers: sellers.collect::<std::result::Result<_, UserError>>()?,
            safety_stock: quantity("safetyStock", self.safety_stock.as_ref())?,
            grace_s: u32::try_from(self.grace_s.unwrap_or(GRACE_S)).map_err(|_| invalid("graceS", "a grace is not negative"))?,
        };
        match policy.fault() {
            Some((field, sentence)) => Err(invalid(field, sentence)),
            None => Ok(policy),
        }
    }
}

#[derive(SimpleObject)]
struct InventoryPolicyPayload {
    inventory_policy: Option<InventoryPolicyNode>,
    user_errors: Vec<UserError>,
}

/// Kept back of one item, in place of what the policy says.
#[derive(InputObject)]
struct InventoryKeptInput {
    sku: String,
    /// Kept back from this seller as its buffer; from everybody, as safety stock, where it is left out.
    connection_id: Option<ID>,
    /// A decimal as text; where it is left out, what the policy says holds again.
    quantity: Option<String>,
}

impl InventoryKeptInput {
    fn read(&self) -> std::result::Result<Keep, UserError> {
        let sku = sku_key(&self.sku)
            .ok_or_else(|| invalid("sku", format!("\"{}\" is no SKU", self.sku.chars().take(60).collect::<String>())))?;
        let seller = self.connection_id.as_ref().map(|id| connection("connectionId", id)).transpose()?;
        let kept = self.quantity.as_ref().map(|text| quantity("quantity", Some(text))).transpose()?;
        match kept {
            Some(kept) if kept < Decimal::ZERO => Err(invalid("quantity", "what is kept back is not negative")),
            quantity => Ok(Keep { sku, seller, quantity }),
        }
    }
}

#[derive(SimpleObject)]
struct InventoryKeptPayload {
    /// Entries that were set or unset.
    count: i32,
    user_errors: Vec<UserError>,
}

/// How much of an item is at a place, as the stock says.
#[derive(SimpleObject)]
struct InventoryPlace {
    record_id: ID,
    connection_id: ID,
    /// The place's code, or its id where it has none; empty where the source does not tell places apart.
    location: String,
    on_hand: Option<String>,
    available: Option<String>,
    committed: Option<String>,
    /// Of when the numbers are.
    as_of: DateTime<Utc>,
}

/// An order that has reserved some of an item.
#[derive(SimpleObject)]
struct InventoryReserved {
    record_id: ID,
    number: Option<String>,
    quantity: String,
}

/// What a seller may offer of an item, and what it offers.
#[derive(SimpleObject)]
struct InventoryAtSeller {
    connection_id: ID,
    /// There for it and not reserved; negative where more was sold than is there.
    free: String,
    /// Held back from it, beside the safety stock.
    buffer: String,
    may_offer: String,
    /// What it was last told that it may offer.
    told: Option<String>,
    told_at: Option<DateTime<Utc>>,
    /// What it offers, as far as is known: what it says itself, or what it has confirmed since.
    offers: Option<String>,
    offers_at: Option<DateTime<Utc>>,
}

/// An item over all connections. Items are one by their SKU, whatever its case. Quantities are decimals as text.
#[derive(SimpleObject)]
struct InventoryItem {
    sku: String,
    /// The stock's levels; empty where no stock says anything of the item.
    places: Vec<InventoryPlace>,
    /// What could be sold if nobody had ordered anything that the stock does not know of.
    there: String,
    /// What open orders have reserved that the stock's own numbers do not contain.
    reserved: String,
    /// The orders that reserve it, the largest first, at most 20.
    reserved_by: Vec<InventoryReserved>,
    safety_stock: String,
    /// There and not reserved; negative where more was sold than is there.
    free: String,
    sellers: Vec<InventoryAtSeller>,
    /// Since when a seller offers too much of it, or too much was sold.
    risk_since: Option<DateTime<Utc>>,
}

impl From<ItemState> for InventoryItem {
    fn from(item: ItemState) -> Self {
        let shown = |number: Decimal| number.normalize().to_string();
        let Position { places, there, reserved, reserved_by, safety_stock, sellers, .. } = item.position;
        let at_seller = |seller: inventory::SellerPosition| {
            let told = item.told.iter().find(|told| told.connection == seller.connection);
            let offers = item.offers.iter().find(|offer| offer.connection == seller.connection);
            InventoryAtSeller {
                connection_id: ID(seller.connection.to_string()),
                free: shown(seller.free),
                buffer: shown(seller.buffer),
                may_offer: shown(seller.may_offer),
                told: told.map(|told| shown(told.quantity)),
                told_at: told.map(|told| told.at),
                offers: offers.map(|offer| shown(offer.quantity)),
                offers_at: offers.map(|offer| offer.at),
            }
        };
        let place = |place: inventory::Place| InventoryPlace {
            record_id: ID(place.record.to_string()),
            connection_id: ID(place.connection.to_string()),
            location: place.level.location,
            on_hand: place.level.on_hand.map(shown),
            available: place.level.available.map(shown),
            committed: place.level.committed.map(shown),
            as_of: place.as_of,
        };
        let reserving = |(record, number, quantity): (RecordId, Option<String>, Decimal)| InventoryReserved {
            record_id: ID(record.to_string()),
            number,
            quantity: shown(quantity),
        };
        Self {
            sku: item.shown,
            places: places.into_iter().map(place).collect(),
            there: shown(there),
            reserved: shown(reserved),
            reserved_by: reserved_by.into_iter().take(RESERVED_BY_MAX).map(reserving).collect(),
            safety_stock: shown(safety_stock),
            free: shown(there.saturating_sub(reserved)),
            sellers: sellers.into_iter().map(at_seller).collect(),
            risk_since: item.risk_since,
        }
    }
}

#[derive(Default)]
pub struct InventoryQuery;

#[Object]
impl InventoryQuery {
    /// What is the stock and who sells it; null where nothing is added up.
    async fn inventory_policy(&self, ctx: &Context<'_>) -> Result<Option<InventoryPolicyNode>> {
        let policy = within(ctx, Permission::ReadOperations, async |store| store.inventory_policy().await).await?;
        Ok(policy.map(InventoryPolicyNode::from))
    }

    /// Items by SKU, added up as of now; at most 100. `sku` narrows them to those that begin so, `atRisk` to those of which a seller offers too much
    /// or too much was sold.
    #[graphql(complexity = "page::cost(first, child_complexity)")]
    async fn inventory_items(
        &self,
        ctx: &Context<'_>,
        sku: Option<String>,
        #[graphql(default)] at_risk: bool,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, InventoryItem, EmptyFields, EmptyFields>> {
        let first = page::rows(first)?;
        let after =
            after.map(|cursor| sku_key(&cursor).ok_or_else(|| fail(Code::BadRequest, "`after` is no cursor of this list")));
        let (after, prefix) = (after.transpose()?, sku.as_deref().and_then(sku_key));
        let has_previous = after.is_some();
        let (items, has_next) = within(ctx, Permission::ReadOperations, async |store| {
            store.inventory_items(prefix.as_deref(), at_risk, after.as_deref(), first).await
        })
        .await?;
        let mut connection = Connection::new(has_previous, has_next);
        connection.edges.extend(items.into_iter().map(|item| Edge::new(item.sku.clone(), item.into())));
        Ok(connection)
    }
}

#[derive(Default)]
pub struct InventoryMutation;

#[Object]
impl InventoryMutation {
    /// Says what is the stock and who sells it, and adds everything up anew. A seller that is new gets a connection whose inventory levels say what it
    /// may offer; nothing is written to a seller without a flow from there.
    async fn inventory_policy_set(&self, ctx: &Context<'_>, input: InventoryPolicyInput) -> Result<InventoryPolicyPayload> {
        let refuse = |error| Ok(InventoryPolicyPayload { inventory_policy: None, user_errors: vec![error] });
        let policy = match input.read() {
            Ok(policy) => policy,
            Err(error) => return refuse(error),
        };
        let set =
            within(ctx, Permission::Configure, async |store| store.inventory_policy_set(policy.clone(), || new_token().0).await);
        match set.await? {
            PolicySet::Done(policy) => Ok(InventoryPolicyPayload { inventory_policy: Some(policy.into()), user_errors: vec![] }),
            PolicySet::Unknown(connections) => {
                let field = if policy.stock_of(connections[0]).is_some() { "stock" } else { "sellers" };
                refuse(invalid(field, format!("there is no connection \"{}\" that has or sells stock", connections[0])))
            }
        }
    }

    /// Sets what is kept back of items, at most 1,000 at once: all of it or, where one entry is wrong, nothing.
    async fn inventory_kept_set(&self, ctx: &Context<'_>, input: Vec<InventoryKeptInput>) -> Result<InventoryKeptPayload> {
        let refuse = |error| Ok(InventoryKeptPayload { count: 0, user_errors: vec![error] });
        if input.len() > KEPT_MAX {
            return refuse(UserError::new(
                "input",
                UserErrorCode::Invalid,
                format!("at most {KEPT_MAX} entries are set at once"),
            ));
        }
        let mut kept = match input.iter().map(InventoryKeptInput::read).collect::<std::result::Result<Vec<_>, _>>() {
            Ok(kept) => kept,
            Err(error) => return refuse(error),
        };
        // Of two entries of the same the last one holds.
        let mut seen = HashSet::new();
        kept.reverse();
        kept.retain(|keep| seen.insert((keep.sku.clone(), keep.seller)));
        let absent = within(ctx, Permission::Configure, async |store| store.inventory_kept_set(&kept).await).await?;
        if let Some(absent) = absent {
            let what = format!("there is no connection \"{absent}\"");
            return refuse(UserError::new("input.connectionId", UserErrorCode::NotFound, what));
        }
        Ok(InventoryKeptPayload { count: i32::try_from(kept.len()).unwrap_or(i32::MAX), user_errors: vec![] })
    }
}
