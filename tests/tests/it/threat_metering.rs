//! What is billed is what was done: a call that the destination saw is counted once, whatever went wrong on its way and however often it was asked for.

use std::time::Duration;

use connectors::simulator::Fault;
use serde_json::json;
use tests::sample;
use uuid::Uuid;

use crate::{eventually, world_by_hand};

#[tokio::test(flavor = "multi_thread")]
async fn threat_metering_counts_each_call_once_over_duplicates_retries_and_lost_answers() {
    world_by_hand(async |world| {
        const ORDERS: u64 = 12;
        // What is refused for a while, what is done and never answered, and what is answered that there are too many.
        world.erp.fail([
            Fault::Status(503),
            Fault::HangAfterCommit,
            Fault::Status(429),
            Fault::DropAfterCommit,
            Fault::Status(503),
        ]);
        for n in 0..ORDERS {
            let id = Uuid::new_v4();
            for _ in 0..3 {
                // The same delivery again, as vendors send it; and once more under another id, which says nothing new.
                assert_eq!(world.acme.shop.send("orders/create", id, sample::order(n)).await.unwrap().status, 200);
            }
            assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap().status, 200);
        }
        let accepted = i64::try_from(2 * ORDERS).unwrap();
        let ledger = world.acme.rest(accepted, Duration::from_secs(60)).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.duplicates), (accepted / 2, accepted), "{ledger:?}");
        let now = chrono::Utc::now();
        let range = json!({"f": now - chrono::Duration::hours(1), "t": now + chrono::Duration::hours(1)});
        let usage = "query($f: DateTime!, $t: DateTime!) { usage(from: $f, to: $t) { meter quantity } }";
        let metered = eventually("every end is counted", async || {
            let usage = world.acme.client.ask(usage, range.clone()).await.unwrap();
            let of = |meter: &str| {
                let line = usage["usage"].as_array().unwrap().iter().find(|line| line["meter"] == meter);
                line.and_then(|line| line["quantity"].as_u64()).unwrap_or_default()
            };
            let metered = ["VENDOR_CALL", "DELIVERY_CONFIRMED", "MESSAGE_ACCEPTED"].map(of);
            (metered[1] == ORDERS).then_some(metered)
        })
        .await;
        let seen = world.erp.calls().len() as u64;
        assert!(seen > ORDERS, "some went wrong and were asked about: {seen}");
        assert_eq!(metered, [seen, ORDERS, 2 * ORDERS], "calls, orders, messages");
    })
    .await;
}
