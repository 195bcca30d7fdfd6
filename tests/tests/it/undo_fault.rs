//! An undo under faults: what comes meanwhile, what is refused, lost answers and dead workers lose and double nothing, and nothing newer is
//! written over.

use std::time::Duration;

use domain::fault::FaultClass;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tests::sample;
use tests::simulator::Fault;

use crate::flow::publish;
use crate::undo::{PATIENCE, approve, bad_publish, counts, items, of_state, order, prepared, send, try_prepare, when};
use crate::{World, eventually, world};

/// Leases run out at once: what a dead worker had is another's.
async fn leases_run_out(world: &World) {
    let mut connection = world.platform.database.connect().await.unwrap();
    sqlx::query("UPDATE undos SET lease_until = now() WHERE lease_until > now()").execute(&mut connection).await.unwrap();
}

async fn kill_and_start(world: &mut World) {
    if world.platform.options.all_in_one {
        world.platform.kill_api().await.unwrap();
        leases_run_out(world).await;
        world.platform.start_api().await.unwrap();
    } else {
        world.platform.kill_worker().await.unwrap();
        leases_run_out(world).await;
        world.platform.start_worker().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_revision_is_never_written_over() {
    world(async |world| {
        let accepted = bad_publish(world, 2).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        let (id, _) = prepared(client, flow, json!({})).await;
        // One comes between preview and approval.
        send(world, sample::revised(0, 2)).await;
        world.acme.rest(accepted + 1, PATIENCE).await.unwrap();
        // The other comes while what undoes the delivery before it waits for the destination: for long enough to be seen.
        // One more in a row would open a breaker.
        world.erp.fail(std::iter::repeat_n(Fault::Status(503), 4));
        approve(client, &id).await.unwrap();
        eventually("what undoes it waits", async || {
            let ledger = client.ledger().await.ok()?;
            (ledger.delivery("waiting") + ledger.delivery("unknown") == 1).then_some(())
        })
        .await;
        send(world, sample::revised(1, 2)).await;
        let ended = when(client, &id, &["done"]).await;
        world.acme.rest(accepted + 2, PATIENCE).await.unwrap();
        for n in 0..2 {
            let order = order(world, n);
            assert!(order.says("revision 2") && order.declared_total < Decimal::from(10_000), "{n}: {order:?} {ended}");
        }
        let left = &items(client, &id).await;
        let first = left.iter().find(|item| item["number"] == "#L0").unwrap();
        assert_eq!(
            (&first["kind"], &first["code"], &first["undoingId"]),
            (&json!("left"), &json!("later"), &Value::Null),
            "{first}"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_to_what_undoes_is_not_taken_for_done() {
    world(async |world| {
        bad_publish(world, 1).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        let (id, _) = prepared(client, flow, json!({})).await;
        // The revision is there already: to find it says nothing.
        world.erp.fail([Fault::DropBeforeCommit]);
        approve(client, &id).await.unwrap();
        when(client, &id, &["done"]).await;
        let order = order(world, 0);
        assert!(order.says("revision 0") && order.declared_total < Decimal::from(10_000), "{order:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_destination_refuses_waits_for_a_person_and_is_restored_by_its_own_version_when_tried_again() {
    world(async |world| {
        let accepted = bad_publish(world, 1).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        publish(client, flow, json!({"mapping": [{"to": "memo", "default": "of now"}]})).await;
        let (id, _) = prepared(client, flow, json!({})).await;
        world.erp.fail([Fault::Class(FaultClass::Validation)]);
        approve(client, &id).await.unwrap();
        // It is told: a person has the exception.
        let ended = when(client, &id, &["done"]).await;
        assert_eq!(of_state(&ended, "exception"), 1, "{ended}");
        let groups = client.exception_groups().await.unwrap();
        assert_eq!(client.exception_retry(groups[0]["causeKey"].as_str().unwrap()).await.unwrap(), 1);
        world.acme.rest(accepted, PATIENCE).await.unwrap();
        let order = order(world, 0);
        assert!(order.says("revision 0") && order.declared_total < Decimal::from(10_000), "{order:?}");
        assert_eq!(of_state(&when(client, &id, &["done"]).await, "confirmed"), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_in_the_middle_loses_and_doubles_nothing() {
    const ORDERS: u64 = 40;
    world(async |world| {
        bad_publish(world, ORDERS).await;
        let client = world.acme.client.clone();
        let id = try_prepare(&client, &world.acme.flow, json!({})).await.unwrap();
        kill_and_start(world).await;
        let undo = when(&client, &id, &["prepared"]).await;
        assert_eq!(counts(&undo, ["deliveries", "restore"]), [ORDERS, ORDERS], "{undo}");
        approve(&client, &id).await.unwrap();
        for pause in [100, 700] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            kill_and_start(world).await;
        }
        let ended = when(&client, &id, &["done"]).await;
        assert_eq!(of_state(&ended, "confirmed"), i64::try_from(ORDERS).unwrap(), "{ended}");
        let mut connection = world.platform.database.connect().await.unwrap();
        let planned: (i64, i64) =
            sqlx::query_as("SELECT count(*), count(DISTINCT undoes) FROM deliveries WHERE undoes IS NOT NULL")
                .fetch_one(&mut connection)
                .await
                .unwrap();
        let orders = i64::try_from(ORDERS).unwrap();
        assert_eq!(planned, (orders, orders));
        for n in 0..ORDERS {
            let order = order(world, n);
            assert!(order.creates == 1 && order.says("revision 0") && order.declared_total < Decimal::from(10_000), "{order:?}");
        }
    })
    .await;
}
