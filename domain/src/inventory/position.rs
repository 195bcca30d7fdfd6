//! The sum over an item: what there is, what is reserved, what is kept back and what each seller may offer.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::{Decimal, RoundingStrategy};

use super::fold::{Hold, Level, Shipped};
use super::policy::{InventoryPolicy, Kept, Seller};
use crate::id::{ConnectionId, RecordId};

/// A level of the item, with the connection that says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub record: RecordId,
    pub connection: ConnectionId,
    pub level: Level,
    /// Of when its numbers are.
    pub as_of: DateTime<Utc>,
}

/// An order that wants the item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub record: RecordId,
    /// What people call it.
    pub number: Option<String>,
    /// Where it was placed.
    pub connection: ConnectionId,
    /// When we first heard of it.
    pub heard_at: DateTime<Utc>,
    pub holds: Vec<Hold>,
    pub shipped: Vec<Shipped>,
    /// The connections that have confirmed it, each with when.
    pub known: Vec<Known>,
}

/// A connection that knows an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    pub connection: ConnectionId,
    pub at: DateTime<Utc>,
}

/// What a seller may offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SellerPosition {
    pub connection: ConnectionId,
    /// What is there for it and not reserved; negative where more was sold than is there.
    pub free: Decimal,
    /// Held back from it, beside the safety stock.
    pub buffer: Decimal,
    /// `free` without safety stock and buffer, and never negative.
    pub may_offer: Decimal,
}

/// An item over all connections.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Position {
    /// The stock's levels, one for each place.
    pub places: Vec<Place>,
    /// What could be sold if nobody had ordered anything that the stock does not know of.
    pub there: Decimal,
    /// What open orders have reserved that the stock's own numbers do not contain.
    pub reserved: Decimal,
    /// The orders that reserve it, the largest first.
    pub reserved_by: Vec<Reserving>,
    /// Kept back from everybody.
    pub safety_stock: Decimal,
    pub sellers: Vec<SellerPosition>,
    /// Every place sells more than it has.
    pub allows_backorder: bool,
}

impl Position {
    /// Where no stock says anything of it, nobody knows what may be offered.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.places.is_empty()
    }

    /// What is there and not reserved; negative where more was sold than is there.
    #[must_use]
    pub fn free(&self) -> Decimal {
        self.there.saturating_sub(self.reserved)
    }
}

/// A place with what changed there since its last count.
struct Counted {
    place: Place,
    /// What could be sold there if no order were open that it does not know.
    there: Decimal,
    /// Its numbers contain the orders that it knows of.
    counts_orders: bool,
}

/// What left or was completed so long ago is out of every count, even where the count of its place has not changed since.
const SETTLED_AFTER: TimeDelta = TimeDelta::days(7);

/// Adds up an item as of `now`. `places` are the levels of all connections, those of sellers too: only the stock's count.
#[must_use]
pub fn position(policy: &InventoryPolicy, kept: &[Kept], places: &[Place], orders: &[Order], now: DateTime<Utc>) -> Position {
    let counted = counted(policy, places);
    let orders = Orders { orders, settled: now - SETTLED_AFTER };
    let safety_stock = kept.iter().find(|kept| kept.seller.is_none()).map_or(policy.safety_stock, |kept| kept.quantity);
    let all = |_: &Place| true;
    let reserved_by = orders.reserving(&counted, &all);
    let sellers = policy.sellers.iter().map(|seller| seller_position(seller, kept, safety_stock, &counted, &orders)).collect();
    Position {
        there: sum(counted.iter().map(|counted| counted.there)),
        reserved: sum(reserved_by.iter().map(|(.., quantity)| *quantity)),
        reserved_by,
        safety_stock,
        sellers,
        allows_backorder: !counted.is_empty() && counted.iter().all(|counted| counted.place.level.allows_backorder),
        places: counted.into_iter().map(|counted| counted.place).collect(),
    }
}

fn seller_position(
    seller: &Seller,
    kept: &[Kept],
    safety_stock: Decimal,
    counted: &[Counted],
    orders: &Orders<'_>,
) -> SellerPosition {
    let sells_from = |place: &Place| is_named(&seller.locations, &place.level.location);
    let there = sum(counted.iter().filter(|counted| sells_from(&counted.place)).map(|counted| counted.there));
    let free = there.saturating_sub(sum(orders.reserving(counted, &sells_from).iter().map(|(.., quantity)| *quantity)));
    let own = kept.iter().find(|kept| kept.seller == Some(seller.connection)).map(|kept| kept.quantity);
    let buffer = own.unwrap_or_else(|| seller.buffer.max(share(free, seller.buffer_percent)));
    let may_offer = free.saturating_sub(safety_stock).saturating_sub(buffer).max(Decimal::ZERO).normalize();
    SellerPosition { connection: seller.connection, free, buffer, may_offer }
}

/// Percent of a quantity, rounded up to whole pieces where the quantity is of whole pieces.
fn share(of: Decimal, percent: Decimal) -> Decimal {
    let of = of.max(Decimal::ZERO);
    let share = of.checked_mul(percent).map_or(Decimal::ZERO, |product| product / Decimal::ONE_HUNDRED);
    if of.is_integer() { share.round_dp_with_strategy(0, RoundingStrategy::ToPositiveInfinity) } else { share }
}

fn is_named(names: &[String], location: &str) -> bool {
    names.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case(location))
}

/// The stock's last count of each place, and what changed there since.
fn counted(policy: &InventoryPolicy, places: &[Place]) -> Vec<Counted> {
    let is_stock =
        |place: &&Place| policy.stock_of(place.connection).is_some_and(|stock| is_named(&stock.locations, &place.level.location));
    let stock: Vec<&Place> = places.iter().filter(is_stock).collect();
    let mut counted: Vec<Counted> = Vec::new();
    for place in stock.iter().filter(|place| !place.level.is_delta) {
        let is_same =
            |other: &Counted| other.place.connection == place.connection && other.place.level.location == place.level.location;
        match counted.iter_mut().find(|other| is_same(other)) {
            // Two records that say the same place: the later count holds.
            Some(other) if other.place.as_of >= place.as_of => {}
            Some(other) => *other = of_place(place),
            None => counted.push(of_place(place)),
        }
    }
    for delta in stock.iter().filter(|place| place.level.is_delta) {
        let is_same = |other: &&mut Counted| {
            other.place.connection == delta.connection && other.place.level.location == delta.level.location
        };
        let changed = delta.level.available.or(delta.level.on_hand).unwrap_or_default();
        // What changed before the count is in it.
        if let Some(counted) = counted.iter_mut().find(is_same).filter(|counted| delta.as_of > counted.place.as_of) {
            counted.there = counted.there.saturating_add(changed);
        }
    }
    counted
}

fn of_place(place: &Place) -> Counted {
    let level = &place.level;
    let number = |number: Option<Decimal>| number.unwrap_or_default();
    let there = level.available.unwrap_or_else(|| {
        [level.committed, level.damaged, level.safety_stock]
            .into_iter()
            .fold(number(level.on_hand), |left, part| left.saturating_sub(number(part)))
    });
    Counted { place: place.clone(), there, counts_orders: level.available.is_some() || level.committed.is_some() }
}

/// The orders that want the item.
struct Orders<'a> {
    orders: &'a [Order],
    /// What left or was completed before is out of every count.
    settled: DateTime<Utc>,
}

/// An order with what people call it and what it reserves.
pub type Reserving = (RecordId, Option<String>, Decimal);

impl Orders<'_> {
    /// What each order reserves of these places beyond what their numbers contain already, the largest first.
    fn reserving(&self, counted: &[Counted], sells_from: &dyn Fn(&Place) -> bool) -> Vec<Reserving> {
        let places: Vec<&Counted> = counted.iter().filter(|counted| sells_from(&counted.place)).collect();
        // What left or was completed after the oldest count is still in that count.
        let Some(oldest) = places.iter().map(|counted| counted.place.as_of).min() else { return vec![] };
        let oldest = oldest.max(self.settled);
        let is_at = |places: &[&Counted], hold: &Hold| places.iter().any(|counted| counted.place.level.location == hold.location);
        let all: Vec<&Counted> = counted.iter().collect();
        let is_elsewhere = |hold: &Hold| !hold.location.is_empty() && is_at(&all, hold) && !is_at(&places, hold);
        let orders = self.orders.iter().filter(|order| !places.iter().any(|counted| contains(counted, order)));
        let mut reserving: Vec<Reserving> = orders
            .filter_map(|order| {
                let holds = order.holds.iter().filter(|hold| !is_elsewhere(hold) && hold.ended_at.is_none_or(|at| at > oldest));
                let left = order.shipped.iter().filter(|shipped| shipped.at.is_none_or(|at| at <= oldest));
                let wanted = sum(holds.map(|hold| hold.quantity)).saturating_sub(sum(left.map(|shipped| shipped.quantity)));
                (wanted > Decimal::ZERO).then(|| (order.record, order.number.clone(), wanted))
            })
            .collect();
        reserving.sort_by(|(first, _, a), (second, _, b)| b.cmp(a).then(first.cmp(second)));
        reserving
    }
}

/// True where a place's numbers contain the order: it counts orders, and had this one when it counted.
fn contains(counted: &Counted, order: &Order) -> bool {
    let place = &counted.place;
    let placed_at = order.holds.iter().filter_map(|hold| hold.placed_at).min().unwrap_or(order.heard_at);
    let is_own = order.connection == place.connection && placed_at <= place.as_of;
    counted.counts_orders
        && (is_own || order.known.iter().any(|known| known.connection == place.connection && known.at <= place.as_of))
}

fn sum(numbers: impl Iterator<Item = Decimal>) -> Decimal {
    numbers.fold(Decimal::ZERO, Decimal::saturating_add).normalize()
}
