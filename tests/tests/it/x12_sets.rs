//! Every transaction set, both ways, through the platform: what a partner's file becomes, and what a record becomes for a partner.

use serde_json::{Value, json};
use tests::simulator::own::OwnSystem;

use crate::file::{Drop, Inbox, PATIENCE, count, exceptions, names};
use crate::x12::{agreement, interchanges, sent};
use crate::{World, eventually, world_with};

fn sample(set: &str) -> String {
    std::fs::read_to_string(format!("{}/../connectors/x12/samples/{set}.edi", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn record(kind: &str) -> Value {
    let path = format!("{}/../connectors/x12/mappings/records/{kind}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A partner with these ids, whose folder is polled.
async fn partner(world: &World, folder: &Drop, connector: &str, ids: [&str; 2], kind: &str) -> Inbox {
    let mut settings = agreement(json!({"base_url": folder.url(), "partner_qualifier": ids[0], "partner_id": ids[1]}));
    settings["release"] = "004010".into();
    std::fs::create_dir_all(folder.path("out")).unwrap();
    Inbox::named(ids[1], (connector, kind), world, (settings, json!({})), folder.path("in")).await.begun(world).await
}

/// How many records there are of a kind.
async fn records(world: &World) -> Vec<(String, i64)> {
    let mut database = world.platform.database.connect().await.unwrap();
    sqlx::query_as("SELECT kind, count(*) FROM records GROUP BY 1 ORDER BY 1").fetch_all(&mut database).await.unwrap()
}

async fn flow(world: &World, kind: &str, source: &str, destination: &str) {
    let create = "mutation($i: FlowCreateInput!) { flowCreate(input: $i) { flow { id } userErrors { message } } }";
    let input = json!({"name": format!("{kind} out"), "recordKind": kind, "sourceId": source, "destinationId": destination});
    let made = world.acme.client.ask(create, json!({"i": input})).await.unwrap();
    let publish = "mutation($id: ID!) { flowPublish(id: $id) { userErrors { message } } }";
    world.acme.client.ask(publish, json!({"id": made["flowCreate"]["flow"]["id"]})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suppliers_855_856_810_and_846_and_a_warehouses_945_become_records_and_each_is_acknowledged() {
    let (supplier, warehouse) = (Drop::new(), Drop::new());
    let opened = supplier.opened_beside(&warehouse);
    world_with(opened, async |world| {
        let bolts = partner(world, &supplier, "x12-supplier", ["12", "8005550199"], "shipment").await;
        for set in ["855_answer", "856_shipment", "810_invoice"] {
            bolts.put(&format!("{set}.edi"), &sample(set));
        }
        // The advice of the samples is another partner's: the supplier sends the same.
        let advice = sample("846_inventory")
            .replace("*08*9251230000     *", "*12*8005550199     *")
            .replace("*9251230000*", "*8005550199*");
        bolts.put("846.edi", &advice.replace("000000041", "000000308"));
        bolts.looked(world).await;
        let east = partner(world, &warehouse, "x12-warehouse", ["08", "9251230000"], "shipment").await;
        east.put("945.edi", &sample("945_advice"));
        east.looked(world).await;
        // The 856 is of two orders, the 846 of two items.
        let ledger = world.acme.rest(7, PATIENCE).await.unwrap();
        assert_eq!(ledger.message("mapped"), 7, "{ledger:?} {:?}", exceptions(world).await);
        let made = [("inventory_level", 2), ("invoice", 1), ("purchase_order", 1), ("shipment", 3)];
        assert_eq!(records(world).await, made.map(|(kind, count)| (kind.to_owned(), count)));
        assert!(interchanges(world).await.iter().all(|one| one["state"] == "taken"));
        assert_eq!((names(&supplier.path("out")).len(), names(&warehouse.path("out")).len()), (4, 1), "each has its 997");
        assert_eq!(exceptions(world).await, [Value::Null; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_go_to_a_customer_as_855_856_810_and_846_and_an_order_to_a_supplier_as_an_850() {
    let (customer, supplier) = (Drop::new(), Drop::new());
    let opened = customer.opened_beside(&supplier);
    world_with(opened, async |world| {
        let hats = partner(world, &customer, "x12-customer", ["ZZ", "HATSHOPS"], "order").await;
        let bolts = partner(world, &supplier, "x12-supplier", ["12", "8005550199"], "shipment").await;
        let own = OwnSystem::connect(&world.acme.client, "Books").await.unwrap();
        let kinds = ["order", "shipment", "invoice", "inventory_level"];
        for kind in kinds {
            flow(world, kind, &own.connection, &hats.connection).await;
        }
        flow(world, "purchase_order", &own.connection, &bolts.connection).await;
        for kind in kinds.into_iter().chain(["purchase_order"]) {
            assert_eq!(own.send(kind, record(kind)).await.unwrap(), 200, "{kind}");
        }
        let groups = eventually("all is sent", async || {
            let groups = sent(world).await;
            let are_sent = groups.len() == 5 && groups.iter().all(|group| group["state"] == "sent");
            assert_eq!(exceptions(world).await, [Value::Null; 0]);
            are_sent.then_some(groups)
        })
        .await;
        let mut sets: Vec<_> =
            groups.iter().map(|one| [&one["functionalId"], &one["set"]].map(|text| text.as_str().unwrap())).collect();
        sets.sort_unstable();
        assert_eq!(sets, [["IB", "846"], ["IN", "810"], ["PO", "850"], ["PR", "855"], ["SH", "856"]]);
        let file = |folder: &Drop, begins: &str| {
            let names = names(&folder.path("out")).into_iter().filter(|name| name.starts_with(begins)).collect::<Vec<_>>();
            assert_eq!(names.len(), 1, "{begins}");
            std::fs::read_to_string(folder.path("out").join(&names[0])).unwrap()
        };
        for (begins, set, says) in [
            ("order-", "ST*855*0001~", "HS-4711"),
            ("shipment-", "ST*856*0001~", "MAN*GM*00012345678900000032~"),
            ("invoice-", "ST*810*0001~", "INV-3001"),
            ("inventory_level-", "ST*846*0001~", "QTY*33*140*EA~"),
        ] {
            let text = file(&customer, begins);
            assert!(text.contains(set) && text.contains(says), "{text}");
        }
        let text = file(&supplier, "purchase_order-");
        assert!(text.contains("ST*850*0001~") && text.contains("*8005550199*"), "{text}");
        assert_eq!(count(world, "SELECT count(*) FROM deliveries WHERE state = 'confirmed'").await, 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_depositors_940_is_an_order_and_hears_of_it_by_945_and_846() {
    let folder = Drop::new();
    world_with(folder.opened(), async |world| {
        let owner = partner(world, &folder, "x12-depositor", ["01", "123456780"], "order").await;
        let own = OwnSystem::connect(&world.acme.client, "Warehouse").await.unwrap();
        let request =
            sample("940_request").replace("|01|123456789      |08|9251230000     |", "|01|123456780      |01|123456789      |");
        let request = request.replace("GS|OW|123456789|9251230000|", "GS|OW|123456780|123456789|");
        owner.put("940.edi", &request);
        owner.looked(world).await;
        let ledger = world.acme.rest(1, PATIENCE).await.unwrap();
        assert_eq!(ledger.message("mapped"), 1, "{ledger:?} {:?}", exceptions(world).await);
        for kind in ["shipment", "inventory_level"] {
            flow(world, kind, &own.connection, &owner.connection).await;
            assert_eq!(own.send(kind, record(kind)).await.unwrap(), 200, "{kind}");
        }
        eventually("all is sent", async || {
            let groups = sent(world).await;
            assert_eq!(exceptions(world).await, [Value::Null; 0]);
            // The acknowledgement of the 940 is the third.
            (groups.len() == 3 && groups.iter().all(|group| group["state"] == "sent")).then_some(())
        })
        .await;
        let out = folder.path("out");
        let texts: Vec<_> = names(&out).iter().map(|name| std::fs::read_to_string(out.join(name)).unwrap()).collect();
        for says in ["AK1*OW*13", "ST*945*0001~", "W12*CP*36*30*6*EA**SK*PIN-STEEL~", "ST*846*0001~"] {
            assert_eq!(texts.iter().filter(|text| text.contains(says)).count(), 1, "{says}: {texts:?}");
        }
    })
    .await;
}
