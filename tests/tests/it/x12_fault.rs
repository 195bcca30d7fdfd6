//! A process that takes or writes X12 dies at each step of it: nothing is lost, nothing comes twice, and no control number is used for two things.

use serde_json::json;

use crate::file::{Drop, PATIENCE, count, names};
use crate::file_fault::{Step, die_at, exchange, stop_at, wait_at};
use crate::x12::{answers, interchange, interchanges, order, partner, sent};
use crate::{eventually, world_with};

const STEPS: [Step; 7] = [
    Step { name: "the interchange is known", on: "INSERT ON interchanges", when: "true" },
    Step { name: "its documents are taken", on: "UPDATE ON interchanges", when: "NEW.position > OLD.position" },
    Step { name: "its end and its answer are planned", on: "INSERT ON sent_groups", when: "true" },
    Step { name: "all of the file is here", on: "UPDATE ON files", when: "NEW.state = 'read' AND OLD.state = 'reading'" },
    Step { name: "the file is put away", on: "UPDATE ON files", when: "NEW.state = 'done'" },
    Step { name: "the 997 is written without its name", on: "UPDATE ON sent_groups", when: "NEW.state = 'placed'" },
    // It has its name already, and the partner fetches it.
    Step { name: "the 997 has its name", on: "UPDATE ON sent_groups", when: "NEW.state = 'sent' AND NEW.answers IS NOT NULL" },
];

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_at_any_step_of_an_interchange_the_next_one_goes_on_there() {
    let folder = Drop::new();
    world_with(folder.opened(), async |world| {
        let inbox = partner(world, &folder, "customer", "order").await;
        let mut database = world.platform.database.connect().await.unwrap();
        for (n, step) in STEPS.iter().enumerate() {
            let number = u32::try_from(n).unwrap() + 1;
            let sets: Vec<(&str, String)> = (0..3).map(|set| ("850", order(&format!("HS-{n}-{set}")))).collect();
            inbox.put(&format!("{number}.edi"), &interchange(number, "PO", &sets));
            die_at(world, &mut database, step, &inbox).await;
            let accepted = 3 * i64::from(number);
            let ledger = world.acme.rest(accepted, PATIENCE).await.unwrap();
            eventually("the 997 is written", async || {
                let done = sent(world).await.iter().filter(|one| one["state"] == "sent").count();
                (done == n + 1).then_some(())
            })
            .await;
            assert_eq!((ledger.accepted(), ledger.message("mapped")), (accepted, accepted), "{}: {ledger:?}", step.name);
            let known = interchanges(world).await;
            assert!(
                known.iter().all(|one| one["state"] == "taken" && one["repeats"] == 0 && one["taken"] == 3),
                "{}: {known:?}",
                step.name
            );
            let out = folder.path("out");
            assert_eq!((answers(&out), names(&out).len()), ((1..=number).collect::<Vec<_>>(), n + 1), "{}", step.name);
            eventually("the file is put away", async || names(&folder.path("in")).is_empty().then_some(())).await;
        }
        assert_eq!(count(world, "SELECT count(*) FROM records WHERE source_id LIKE 'HS-%'").await, 21);
        assert_eq!(count(world, "SELECT count(*) FROM exceptions").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_dies_anywhere_is_one_interchange_under_one_number() {
    let folder = Drop::new();
    world_with(folder.opened(), async |world| {
        let inbox = partner(world, &folder, "warehouse", "shipment").await;
        let policy = json!({"attempts_max": 8, "backoff_ms": 200, "backoff_max_ms": 2_000});
        let client = world.acme.client.clone();
        client.flow_publish("orders to the warehouse", &world.acme.source, &inbox.connection, policy).await.unwrap();
        let mut database = world.platform.database.connect().await.unwrap();
        let to_x12 = "EXISTS (SELECT FROM sent_groups g WHERE g.delivery_id = NEW.delivery_id)";
        let ends = |kind: &str| -> &'static str {
            format!("NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL AND NEW.kind = '{kind}' AND {to_x12}").leak()
        };
        let steps = [
            Step { name: "it has its number", on: "INSERT ON sent_groups", when: "true" },
            Step { name: "it is written, and nobody knows", on: "UPDATE ON attempts", when: ends("write") },
            Step { name: "it has its name, and nobody knows", on: "UPDATE ON attempts", when: ends("action") },
        ];
        for (n, step) in steps.iter().enumerate() {
            stop_at(&mut database, step).await;
            let order = tests::sample::order(u64::try_from(n).unwrap() + 1);
            world.acme.shop.send("orders/create", uuid::Uuid::new_v4(), order).await.unwrap();
            wait_at(world, step).await;
            exchange(world, &mut database, step).await;
            eventually(step.name, async || {
                let known = sent(world).await;
                (known.len() == n + 1 && known.iter().all(|one| one["state"] == "sent")).then_some(())
            })
            .await;
            let written = names(&folder.path("out"));
            let named: Vec<&String> = written.iter().filter(|name| !name.starts_with('.')).collect();
            assert_eq!(named.len(), n + 1, "{}: {written:?}", step.name);
            assert!(named.iter().any(|name| name.ends_with(&format!("-{:09}.edi", n + 1))), "{}: {written:?}", step.name);
        }
        let numbers: Vec<i64> = sent(world).await.iter().map(|one| one["controlNumber"].as_i64().unwrap()).collect();
        assert_eq!(numbers, [3, 2, 1], "none is used twice, none is left out");
    })
    .await;
}
