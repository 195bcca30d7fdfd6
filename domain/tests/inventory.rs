//! What there is of an item, what is reserved of it and what each seller may offer: nothing is counted twice, nothing that is not there is offered.
#![expect(clippy::unwrap_used, reason = "a test ends where a made-up number is none")]

use chrono::{DateTime, TimeDelta, Utc};
use domain::id::{ConnectionId, RecordId};
use domain::inventory::{
    Fact, Hold, InventoryPolicy, Kept, Known, Level, Offer, Order, Place, Seller, Shipped, StockSource, facts, position, risks,
};
use domain::record::RecordKind;
use domain::value::{Limits, Value};
use proptest::prelude::*;
use rust_decimal::Decimal;
use uuid::Uuid;

fn connection(n: u128) -> ConnectionId {
    ConnectionId(Uuid::from_u128(n))
}

const WAREHOUSE: u128 = 1;
const SHOP: u128 = 2;
const MARKET: u128 = 3;

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).unwrap() + TimeDelta::minutes(minute)
}

fn n(number: i64) -> Decimal {
    Decimal::from(number)
}

fn seller(id: u128) -> Seller {
    Seller { connection: connection(id), buffer: n(0), buffer_percent: n(0), locations: vec![], through: None }
}

fn policy() -> InventoryPolicy {
    InventoryPolicy {
        stock: vec![StockSource { connection: connection(WAREHOUSE), locations: vec![] }],
        sellers: vec![seller(SHOP), seller(MARKET)],
        safety_stock: n(0),
        grace_s: 120,
    }
}

fn place(id: u128, location: &str, as_of: i64, level: Level) -> Place {
    let level = Level { location: location.into(), ..level };
    Place { record: RecordId(Uuid::from_u128(id * 1_000)), connection: connection(id), level, as_of: at(as_of) }
}

fn on_hand(quantity: i64) -> Level {
    Level { on_hand: Some(n(quantity)), ..Level::default() }
}

fn available(quantity: i64) -> Level {
    Level { available: Some(n(quantity)), ..Level::default() }
}

fn order(number: u128, quantity: i64) -> Order {
    Order {
        record: RecordId(Uuid::from_u128(number)),
        number: Some(format!("#{number}")),
        connection: connection(SHOP),
        heard_at: at(0),
        holds: vec![Hold { location: String::new(), quantity: n(quantity), placed_at: Some(at(0)), ended_at: None }],
        shipped: vec![],
        known: vec![],
    }
}

fn may_offer(policy: &InventoryPolicy, kept: &[Kept], places: &[Place], orders: &[Order]) -> Vec<i64> {
    let position = position(policy, kept, places, orders, at(60));
    position.sellers.iter().map(|seller| i64::try_from(seller.may_offer).unwrap()).collect()
}

#[test]
fn what_is_there_less_orders_safety_stock_and_buffers_may_be_offered() {
    let mut policy = policy();
    policy.safety_stock = n(2);
    policy.sellers[1].buffer = n(1);
    policy.sellers[1].buffer_percent = n(25);
    let places = [place(WAREHOUSE, "east", 10, on_hand(10)), place(WAREHOUSE, "west", 10, on_hand(5))];
    // 15 there, 4 reserved, 2 kept from all; of the 11 that are free the market's buffer is a quarter, rounded up.
    assert_eq!(may_offer(&policy, &[], &places, &[order(1, 4)]), [9, 6]);
    // What is kept of this item takes the place of what is kept of any.
    let kept = [Kept { seller: None, quantity: n(5) }, Kept { seller: Some(connection(MARKET)), quantity: n(0) }];
    assert_eq!(may_offer(&policy, &kept, &places, &[order(1, 4)]), [6, 6]);
    // A seller that sells from one place has what is there, whatever other places have.
    policy.sellers[0].locations = vec!["WEST".into()];
    assert_eq!(may_offer(&policy, &[], &places, &[]), [3, 9]);
}

#[test]
fn an_order_is_reserved_until_the_stock_itself_counts_it() {
    let policy = policy();
    let known = |minute| Order { known: vec![Known { connection: connection(WAREHOUSE), at: at(minute) }], ..order(1, 4) };
    // The warehouse says what may be sold, and had the order when it said so.
    assert_eq!(may_offer(&policy, &[], &[place(WAREHOUSE, "", 10, available(6))], &[known(9)]), [6, 6]);
    // It got the order after it had said so.
    assert_eq!(may_offer(&policy, &[], &[place(WAREHOUSE, "", 10, available(10))], &[known(11)]), [6, 6]);
    // It says only what is on hand: what it knows of orders is not in that.
    assert_eq!(may_offer(&policy, &[], &[place(WAREHOUSE, "", 10, on_hand(10))], &[known(9)]), [6, 6]);
    // A shop that is the stock itself has its own orders in its numbers.
    let own = InventoryPolicy { stock: vec![StockSource { connection: connection(SHOP), locations: vec![] }], ..policy };
    assert_eq!(may_offer(&own, &[], &[place(SHOP, "", 10, available(6))], &[order(1, 4)]), [6, 6]);
}

#[test]
fn goods_that_left_after_the_last_count_are_not_free() {
    let policy = policy();
    let shipped = |minute| Order { shipped: vec![Shipped { quantity: n(3), at: Some(at(minute)) }], ..order(1, 4) };
    // Counted before they left: they are in the 10 and will be missing.
    assert_eq!(may_offer(&policy, &[], &[place(WAREHOUSE, "", 10, on_hand(10))], &[shipped(11)]), [6, 6]);
    // Counted afterwards: 7 are left, and one more is to go.
    assert_eq!(may_offer(&policy, &[], &[place(WAREHOUSE, "", 12, on_hand(7))], &[shipped(11)]), [6, 6]);
    // The same of an order that says itself that it is completed.
    let mut completed = order(1, 4);
    completed.holds[0].ended_at = Some(at(11));
    assert_eq!(may_offer(&policy, &[], &[place(WAREHOUSE, "", 10, on_hand(10))], std::slice::from_ref(&completed)), [6, 6]);
    assert_eq!(may_offer(&policy, &[], &[place(WAREHOUSE, "", 12, on_hand(6))], &[completed]), [6, 6]);
}

#[test]
fn the_later_count_holds_and_changes_since_then_are_added_once() {
    let policy = policy();
    let delta = |id: u128, minute, quantity| {
        place(WAREHOUSE, "", minute, Level { is_delta: true, on_hand: Some(n(quantity)), ..Level::default() }).record_as(id)
    };
    let places = [place(WAREHOUSE, "", 10, on_hand(10)), delta(7, 9, -4), delta(8, 11, -2), delta(9, 12, 5)];
    assert_eq!(may_offer(&policy, &[], &places, &[]), [13, 13]);
    // Whatever comes first, the count of the later moment holds.
    let (older, newer) = (place(WAREHOUSE, "", 10, on_hand(10)), place(WAREHOUSE, "", 11, on_hand(3)).record_as(5));
    assert_eq!(may_offer(&policy, &[], &[newer.clone(), older.clone()], &[]), [3, 3]);
    assert_eq!(may_offer(&policy, &[], &[older, newer], &[]), [3, 3]);
}

trait RecordAs {
    fn record_as(self, id: u128) -> Self;
}

impl RecordAs for Place {
    fn record_as(mut self, id: u128) -> Self {
        self.record = RecordId(Uuid::from_u128(id));
        self
    }
}

#[test]
fn a_seller_that_offers_what_is_not_there_is_told_with_numbers() {
    let policy = policy();
    let offer = |quantity| Offer { connection: connection(SHOP), name: "Blue Hats".into(), quantity: n(quantity), at: at(20) };
    let told = |places: &[Place], orders: &[Order], quantity| -> Vec<String> {
        let position = position(&policy, &[], places, orders, at(60));
        risks("HAT-1", &position, &[offer(quantity)]).into_iter().map(|risk| risk.sentence).collect()
    };
    let places = [place(WAREHOUSE, "", 10, on_hand(10))];
    assert!(told(&places, &[order(1, 4)], 6).is_empty());
    assert_eq!(
        told(&places, &[order(1, 4)], 8),
        ["Blue Hats offers 8 of HAT-1, but only 6 are free: 4 are reserved by open orders."]
    );
    let sold: Vec<Order> = (1..=5).map(|number| order(number, 3)).collect();
    assert_eq!(
        told(&places, &sold, 2),
        [
            "Orders #1, #2, #3 and 2 others want 15 of HAT-1, but only 10 are there.",
            "Blue Hats offers 2 of HAT-1, but none is free: 15 are reserved by open orders."
        ]
    );
    assert_eq!(
        told(&[place(WAREHOUSE, "", 10, on_hand(0))], &[order(1, 1)], 0),
        ["Order #1 wants 1 of HAT-1, but none is there."]
    );
    // Who sells what is to come does so on purpose; where nobody knows the stock, nobody can say.
    let backorder = Level { allows_backorder: true, ..on_hand(0) };
    assert!(told(&[place(WAREHOUSE, "", 10, backorder)], &sold, 2).is_empty());
    assert!(told(&[], &sold, 2).is_empty());
}

fn of(kind: RecordKind, json: serde_json::Value) -> Vec<(String, Fact)> {
    facts(kind, &Value::parse(json.to_string().as_bytes(), &Limits::DEFAULT).unwrap())
}

#[test]
fn orders_reserve_their_lines_by_sku_until_they_end() {
    let order = |status: &str, fulfillment: &str| {
        serde_json::json!({"source_id": "1", "status": status, "fulfillment_status": fulfillment, "updated_at": "2026-11-27T10:00:00Z",
            "lines": [{"sku": "Hat", "quantity": "2"}, {"sku": "HAT", "quantity": "1.5"}, {"sku": "CARD", "quantity": "1", "requires_shipping": false},
                      {"title": "no SKU", "quantity": "9"}, {"sku": "CAP", "quantity": "-1"}]})
    };
    let held = |status, fulfillment| -> Vec<(String, String, bool)> {
        let facts = of(RecordKind::Order, order(status, fulfillment));
        let hold = |(sku, fact)| match fact {
            Fact::Hold(Hold { quantity, ended_at, .. }) => (sku, quantity.to_string(), ended_at.is_some()),
            other => panic!("{other:?}"),
        };
        facts.into_iter().map(hold).collect()
    };
    assert_eq!(held("open", "unfulfilled"), [("Hat".into(), "3.5".into(), false)]);
    // What a source has no word for reserves: to offer too little is better than what is not there.
    assert_eq!(held("unknown", "unknown").len(), 1);
    assert_eq!(held("completed", "unknown"), [("Hat".into(), "3.5".into(), true)]);
    assert_eq!(held("open", "fulfilled"), [("Hat".into(), "3.5".into(), true)]);
    for status in ["draft", "cancelled", "failed"] {
        assert!(held(status, "unfulfilled").is_empty(), "{status}");
    }
}

proptest! {
    /// Whatever orders and counts there are, and in which order they are looked at: no seller may offer more than is there and free, and the
    /// sum over the orders that reserve is what is reserved.
    #[test]
    fn nobody_may_offer_more_than_is_free(
        counts in prop::collection::vec((0i64..50, 0i64..30, any::<bool>()), 1..4),
        orders in prop::collection::vec((0i64..20, prop::option::of(0i64..40), prop::option::of(0i64..40)), 0..12),
        safety in 0i64..5,
        seed in any::<u64>(),
    ) {
        let mut policy = policy();
        policy.safety_stock = n(safety);
        policy.sellers[1].buffer_percent = n(10);
        let mut places: Vec<Place> = counts
            .iter()
            .enumerate()
            .map(|(index, (quantity, minute, knows))| {
                let level = if *knows { available(*quantity) } else { on_hand(*quantity) };
                place(WAREHOUSE, &format!("place {index}"), *minute, level)
            })
            .collect();
        let mut wanting: Vec<Order> = orders
            .iter()
            .enumerate()
            .map(|(index, (quantity, known, left))| Order {
                known: known.iter().map(|minute| Known { connection: connection(WAREHOUSE), at: at(*minute) }).collect(),
                shipped: left.iter().map(|minute| Shipped { quantity: n(*quantity), at: Some(at(*minute)) }).collect(),
                ..order(index as u128 + 1, *quantity)
            })
            .collect();
        let sum = position(&policy, &[], &places, &wanting, at(60));
        let there: i64 = counts.iter().map(|(quantity, ..)| quantity).sum();
        prop_assert_eq!(sum.there, n(there));
        prop_assert_eq!(sum.reserved, sum.reserved_by.iter().map(|(.., quantity)| quantity).sum::<Decimal>());
        for seller in &sum.sellers {
            prop_assert!(seller.may_offer <= seller.free.max(n(0)));
            prop_assert!(seller.may_offer >= n(0));
            prop_assert!(seller.free >= n(there) - orders.iter().map(|(quantity, ..)| n(*quantity)).sum::<Decimal>());
        }
        places.rotate_left(usize::try_from(seed % 7).unwrap() % counts.len());
        wanting.reverse();
        let again = position(&policy, &[], &places, &wanting, at(60));
        prop_assert_eq!((again.sellers, again.reserved_by), (sum.sellers, sum.reserved_by));
    }
}
