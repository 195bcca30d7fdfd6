//! A real Medusa shop with its customers: orders, shipments, customers, items and stock, read and written; its events, signed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::path::Path;

use connectors::{Position, Proof};
use domain::fault::FaultClass;
use domain::http::NoAnswer;
use domain::mapping::LookupSet;
use domain::record::RecordKind::{Customer, InventoryLevel, Item, Order, Shipment};
use domain::value::Value;
use futures::FutureExt;
use serde_json::{Value as Json, json};
use tests::medusa::{Medusa, install};
use workers::vendor::VendorError;

use crate::account::{Account, assert_understood, authentication, fault, secrets};
use crate::hooks::{self, Hooks};
use crate::proving::{Proving, Stopped};

pub const NAME: &str = "medusa";
const HOOK_SECRET: &str = "a-long-random-text-of-the-shop";
/// The staff changes, cancels, ships and refunds some of the first nine.
const ORDERS: u32 = 13;
const PAGE: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs and runs software of others: cargo xtask test --real"]
async fn medusa() {
    println!("\n  Medusa from npm (about a minute, once)");
    let folder = install().await.unwrap();
    let package = std::fs::read(folder.join("node_modules/@medusajs/medusa/package.json")).unwrap();
    let package: Json = serde_json::from_slice(&package).unwrap();
    let mut proving = Proving::of(NAME, "medusa", package["version"].as_str().unwrap());
    let mut shop = Medusa::prepare(folder, Path::new(env!("CARGO_TARGET_TMPDIR"))).await.unwrap();
    let outcome = AssertUnwindSafe(visit(&mut proving, &mut shop)).catch_unwind().await;
    shop.stop().await.unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    proving.finish();
}

async fn visit(proving: &mut Proving, shop: &mut Medusa) {
    let hooks = Hooks::start().await;
    shop.open(&hooks.url(), HOOK_SECRET).await.unwrap();
    let mut acts = Vec::new();
    shop.sell(ORDERS, |line| acts.push(line.clone())).await.unwrap();
    let region = shop.seed["regions"].as_array().unwrap().iter().find(|region| region["currency_code"] == "usd").unwrap();
    let settings = json!({
        "region_id": region["id"],
        "sales_channel_id": shop.seed["sales_channel_id"],
        "shipping_option_id": region["shipping_options"]["standard"],
    });
    let credential = secrets(&[("secret_key", shop.secret_key()), ("hook_secret", HOOK_SECRET)]);
    let account = Account::open(NAME, &shop.url, settings, credential).await.with_pages_of(PAGE);
    let _ = prove(proving, &Visit { shop, account, hooks, acts }).await;
}

struct Visit<'s> {
    shop: &'s Medusa,
    account: Account,
    hooks: Hooks,
    /// What customers and staff did.
    acts: Vec<Json>,
}

impl Visit<'_> {
    /// The Admin API, without Crossdock.
    async fn ask(&self, path: &str) -> Json {
        let request = tests::client::http().build().unwrap().get(format!("{}{path}", self.shop.url));
        let answer = request.basic_auth(self.shop.secret_key(), Some("")).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: &Json) {
        let request = tests::client::http().build().unwrap().post(format!("{}{path}", self.shop.url)).json(body);
        request.basic_auth(self.shop.secret_key(), Some("")).send().await.unwrap().error_for_status().unwrap();
    }

    async fn ids(&self, path: &str, list: &str) -> BTreeSet<String> {
        let found = self.ask(&format!("{path}?limit=500&fields=id")).await;
        found[list].as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The order that the staff did this to, or the first that it did nothing to.
    fn order(&self, act: Option<&str>) -> String {
        let done = |id: &Json| self.acts.iter().any(|line| !line["act"].is_null() && line["id"] == *id);
        let line = self.acts.iter().find(|line| match act {
            Some(act) => line["act"] == act,
            None => line["act"].is_null() && line["takes"] == true && !done(&line["id"]),
        });
        line.expect("there is such an order")["id"].as_str().unwrap().to_owned()
    }
}

fn table(name: &str, entries: &[(&str, &str)]) -> LookupSet {
    let entries: HashMap<String, String> = entries.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    [(name.to_owned(), entries)].into_iter().collect()
}

async fn prove(proving: &mut Proving, visit: &Visit<'_>) -> Result<(), Stopped> {
    authentication(proving, &visit.account, Order, &visit.account.wrong_credential()).await?;
    orders(proving, visit).await?;
    shipments(proving, visit).await?;
    customers(proving, visit).await?;
    items(proving, visit).await?;
    stock(proving, visit).await?;
    written_orders(proving, visit).await?;
    errors(proving, visit).await?;
    webhooks(proving, visit).await
}

async fn orders(proving: &mut Proving, visit: &Visit<'_>) -> Result<(), Stopped> {
    let account = &visit.account;
    let mut position = Position::default();
    proving
        .check("order: a full read brings every record once, to the last page", async {
            let brought = account.read(Order, &mut position).await.unwrap();
            // Each page begins at the last one's moment, so that how many there are depends on how close together the orders were placed.
            assert!(brought.pages > 2, "{} pages", brought.pages);
            assert_eq!(brought.records.len(), ORDERS as usize);
            assert_eq!(brought.ids(), visit.ids("/admin/orders", "orders").await);
        })
        .await?;
    proving
        .check("order: what is read is a canonical record, its total and tax to the cent", async {
            let brought = account.read_all(Order).await.unwrap();
            let read: BTreeMap<_, _> =
                brought.records.iter().map(|record| (record.id.clone().unwrap(), account.record(Order, &record.bytes))).collect();
            for theirs in visit.shop.orders().await.unwrap() {
                let number = |path: &str| match theirs.at(path) {
                    Some(Value::Number(number)) => number.to_decimal().unwrap(),
                    _ => rust_decimal::Decimal::ZERO,
                };
                let ours = &read[theirs.at("id").and_then(Value::to_text).unwrap().as_ref()];
                let places = if ours["currency"] == "JPY" { 0 } else { 2 };
                let half_up = rust_decimal::RoundingStrategy::MidpointAwayFromZero;
                let round = |amount: rust_decimal::Decimal| amount.round_dp_with_strategy(places, half_up);
                let money = |path: &str| ours["totals"][path].as_str().unwrap().parse::<rust_decimal::Decimal>().unwrap();
                assert_eq!(money("grand"), round(number("total") + number("credit_line_total")), "{ours}");
                assert_eq!(money("tax"), round(number("tax_total")), "{ours}");
                assert_eq!(ours["lines"].as_array().unwrap().len(), theirs.at("items").and_then(Value::as_list).unwrap().len());
            }
        })
        .await?;
    proving
        .check("order: an incremental read repeats nothing at its boundary", async {
            assert_eq!(account.read(Order, &mut position).await.unwrap().ids(), BTreeSet::new());
        })
        .await?;
    let id = visit.order(None);
    proving
        .check("order: an update is stored, and an incremental read brings it and nothing else", async {
            let payload = Value::from(&json!({"email": "corrected@krueger.example", "metadata": {"crossdock_total": "1.00"}}));
            let receipt = account.update(Order, &id, "k", 2, &payload).await.unwrap();
            assert_eq!(receipt.id, id);
            let brought = account.read(Order, &mut position).await.unwrap();
            assert_eq!(brought.ids(), BTreeSet::from([id.clone()]));
            assert_eq!(account.record(Order, &brought.records[0].bytes)["customer"]["email"], "corrected@krueger.example");
        })
        .await?;
    proving
        .check("order: one record is read by its id", async {
            let order = account.get(Order, &id).await.unwrap();
            assert_eq!(account.record(Order, order.to_json().as_bytes())["source_id"], id);
        })
        .await
}

async fn shipments(proving: &mut Proving, visit: &Visit<'_>) -> Result<(), Stopped> {
    let (account, id) = (&visit.account, visit.order(None));
    let location = visit.shop.seed["location_id"].as_str().unwrap();
    proving
        .check("shipment: a full read brings what the shop's staff shipped, with its tracking number", async {
            let shipped = visit.order(Some("ship"));
            let brought = account.read_all(Shipment).await.unwrap();
            let records: Vec<Json> = brought.records.iter().map(|record| account.record(Shipment, &record.bytes)).collect();
            let ours: Vec<&Json> = records.iter().filter(|record| record["order"]["source_id"] == shipped).collect();
            assert_eq!(ours.len(), 1, "{records:?}");
            assert_eq!(
                (&ours[0]["status"], &ours[0]["packages"][0]["tracking_number"]),
                (&json!("shipped"), &json!("1Z999AA10123456784"))
            );
        })
        .await?;
    let order = visit.ask(&format!("/admin/orders/{id}?fields=id,*items")).await;
    let lines: Vec<Json> = order["order"]["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| json!({"order_line_id": item["id"], "quantity": item["quantity"].to_string()}))
        .collect();
    let shipment = json!({
        "order": {"source_id": id},
        "ship_from": {"code": "MAIN"},
        "lines": lines,
        "packages": [{"tracking_number": "00340434161094042557", "tracking_url": "https://carrier.example/00340434161094042557"}],
    });
    let payload = account.payload(Shipment, &shipment, ("s-1", 1), &table("Medusa locations", &[("MAIN", location)]));
    let fulfillment = proving
        .check("shipment: a write is stored, and its receipt understood", async {
            let receipt = account.write(Shipment, "s-1", 1, &payload).await.unwrap();
            let stored = visit
                .ask(&format!("/admin/orders/{id}?fields=id,fulfillments.id,fulfillments.location_id,fulfillment_status"))
                .await;
            assert_eq!(
                (&stored["order"]["fulfillments"][0]["id"], &stored["order"]["fulfillments"][0]["location_id"]),
                (&json!(receipt.id), &json!(location))
            );
            receipt.id
        })
        .await?;
    proving
        .check("shipment: ship is done, and its proof says so although its answer was lost", async {
            assert!(!account.is_done(Shipment, "ship", &fulfillment, Some(&payload)).await.unwrap());
            account.proxy.lose_next_answer();
            let outcome = account.act(Shipment, "ship", &fulfillment, Some(&payload)).await;
            assert!(matches!(outcome, Err(VendorError::NoAnswer(NoAnswer::Lost(_)))), "{outcome:?}");
            assert!(account.is_done(Shipment, "ship", &fulfillment, Some(&payload)).await.unwrap());
            let fault = fault(account.act(Shipment, "ship", &fulfillment, Some(&payload)).await);
            assert_eq!(fault.class, FaultClass::Conflict, "a second one is refused: {fault:?}");
        })
        .await?;
    proving
        .check("shipment: what was written is read, shipped and with its tracking number", async {
            let brought = account.read_all(Shipment).await.unwrap();
            let ours = brought.records.iter().find(|record| record.id.as_deref() == Some(&fulfillment)).unwrap();
            let record = account.record(Shipment, &ours.bytes);
            assert_eq!((&record["status"], &record["order"]["source_id"]), (&json!("shipped"), &json!(id)));
            assert_eq!(record["packages"][0]["tracking_number"], "00340434161094042557");
            assert_eq!(record["lines"].as_array().unwrap().len(), lines.len());
        })
        .await
}

async fn customers(proving: &mut Proving, visit: &Visit<'_>) -> Result<(), Stopped> {
    let (account, none) = (&visit.account, LookupSet::default());
    let payload = |n: u32, revision: i64, company: &str| {
        let record = json!({"name": "Zoë Ångström", "email": format!("buyer+{n}@krueger.example"), "company_name": company, "phone": "+49 30 5550142"});
        account.payload(Customer, &record, (&format!("c-{n}"), revision), &none)
    };
    let mut position = Position::default();
    proving
        .check("customer: a full read brings every record once, to the last page", async {
            for n in 0..PAGE {
                account.write(Customer, &format!("c-{n}"), 1, &payload(n, 1, "Krüger & Söhne")).await.unwrap();
            }
            let brought = account.read(Customer, &mut position).await.unwrap();
            assert!(brought.pages > 2, "{} pages", brought.pages);
            assert_eq!(brought.records.len(), brought.ids().len());
            assert_eq!(brought.ids(), visit.ids("/admin/customers", "customers").await);
        })
        .await?;
    let id = proving
        .check("customer: a write is stored, and an incremental read brings it and nothing else", async {
            assert_eq!(account.read(Customer, &mut position).await.unwrap().ids(), BTreeSet::new());
            let receipt = account.write(Customer, "c-100", 1, &payload(100, 1, "Krüger & Söhne")).await.unwrap();
            assert!(receipt.version.is_some(), "{receipt:?}");
            let brought = account.read(Customer, &mut position).await.unwrap();
            assert_eq!(brought.ids(), BTreeSet::from([receipt.id.clone()]));
            let record = account.record(Customer, &brought.records[0].bytes);
            assert_eq!((&record["name"], &record["company_name"]), (&json!("Zoë Ångström"), &json!("Krüger & Söhne")));
            assert_eq!(record["attributes"]["metadata"]["crossdock_key"], "c-100");
            receipt.id
        })
        .await?;
    proving
        .check("customer: an update changes what is there, and makes nothing new", async {
            let before = visit.ids("/admin/customers", "customers").await;
            account.update(Customer, &id, "c-100", 2, &payload(100, 2, "Krüger AG")).await.unwrap();
            let stored = account.get(Customer, &id).await.unwrap();
            assert_eq!(account.record(Customer, stored.to_json().as_bytes())["company_name"], "Krüger AG");
            assert_eq!(visit.ids("/admin/customers", "customers").await, before);
        })
        .await?;
    proving
        .check("customer: one that is sent again is refused as a conflict, and stays one", async {
            account.write_and_lose(Customer, "c-101", 1, &payload(101, 1, "Krüger")).await;
            let before = visit.ids("/admin/customers", "customers").await;
            let fault = fault(account.write(Customer, "c-101", 1, &payload(101, 1, "Krüger")).await);
            assert_understood(&fault, FaultClass::Conflict);
            assert_eq!(visit.ids("/admin/customers", "customers").await, before);
        })
        .await
}

async fn items(proving: &mut Proving, visit: &Visit<'_>) -> Result<(), Stopped> {
    let (account, none) = (&visit.account, LookupSet::default());
    let item = |sku: &str, name: &str| {
        json!({
            "sku": sku,
            "name": name,
            "status": "active",
            "description": "M8×40, zinc – “ünïcödé”",
            "prices": [{"kind": "list", "amount": "0.0425", "currency": "EUR"}, {"kind": "list", "amount": "5", "currency": "JPY"}],
        })
    };
    let mut position = Position::default();
    proving
        .check("item: a full read brings every record once, to the last page", async {
            let brought = account.read(Item, &mut position).await.unwrap();
            assert!(brought.pages > 2, "{} pages", brought.pages);
            assert_eq!(brought.records.len(), brought.ids().len());
            assert_eq!(brought.ids(), visit.ids("/admin/product-variants", "variants").await);
            for record in &brought.records {
                account.record(Item, &record.bytes);
            }
        })
        .await?;
    let id = proving
        .check("item: a write is stored, and an incremental read brings it and nothing else", async {
            let payload = account.payload(Item, &item("BOLT_M8.40", "Bolt M8×40"), ("i-1", 1), &none);
            let receipt = account.write(Item, "i-1", 1, &payload).await.unwrap();
            let brought = account.read(Item, &mut position).await.unwrap();
            assert_eq!(brought.records.len(), 1);
            let record = account.record(Item, &brought.records[0].bytes);
            assert_eq!((&record["sku"], &record["parent"]["source_id"]), (&json!("BOLT_M8.40"), &json!(receipt.id)));
            let mut prices: Vec<String> = record["prices"]
                .as_array()
                .unwrap()
                .iter()
                .map(|price| format!("{} {}", price["amount"], price["currency"]))
                .collect();
            prices.sort();
            assert_eq!(prices, [r#""0.0425" "EUR""#, r#""5" "JPY""#], "{record}");
            receipt.id
        })
        .await?;
    proving
        .check("item: an update changes what is there, and makes nothing new", async {
            let before = visit.ids("/admin/product-variants", "variants").await;
            let payload = account.payload(Item, &item("BOLT_M8.40", "Bolt M8×40, box"), ("i-1", 2), &none);
            account.update(Item, &id, "i-1", 2, &payload).await.unwrap();
            let stored = visit.ask(&format!("/admin/products/{id}?fields=title,metadata")).await;
            assert_eq!(
                (&stored["product"]["title"], &stored["product"]["metadata"]["crossdock_revision"]),
                (&json!("Bolt M8×40, box"), &json!(2))
            );
            assert_eq!(visit.ids("/admin/product-variants", "variants").await, before);
            assert!(matches!(account.prove(Item, "i-1", 2, &payload).await, Proof::Found { current: true, .. }));
        })
        .await?;
    proving
        .check("item: a lost answer is found out, and nothing is done twice", async {
            let payload = account.payload(Item, &item("NUT_M8", "Nut"), ("i-2", 1), &none);
            assert_eq!(account.prove(Item, "i-2", 1, &payload).await, Proof::Absent);
            account.write_into_nothing(Item, "i-2", 1, &payload).await;
            assert_eq!(account.prove(Item, "i-2", 1, &payload).await, Proof::Absent);
            account.write_and_lose(Item, "i-2", 1, &payload).await;
            let Proof::Found { receipt, current: true } = account.prove(Item, "i-2", 1, &payload).await else {
                panic!("it is there")
            };
            let found = visit.ask("/admin/products?external_id=i-2&fields=id").await;
            assert_eq!((&found["count"], &found["products"][0]["id"]), (&json!(1), &json!(receipt.id)));
            let fault = fault(account.write(Item, "i-2", 1, &payload).await);
            assert_understood(&fault, FaultClass::Conflict);
        })
        .await
}

async fn stock(proving: &mut Proving, visit: &Visit<'_>) -> Result<(), Stopped> {
    let account = &visit.account;
    let location = visit.shop.seed["location_id"].as_str().unwrap();
    let read = async || -> Vec<Json> {
        let brought = account.read_all(InventoryLevel).await.unwrap();
        brought.records.iter().map(|record| account.record(InventoryLevel, &record.bytes)).collect()
    };
    let level = proving
        .check("inventory_level: a full read brings every level once, of every item", async {
            // The goods of this shop are sold without counting them.
            for n in 0..=PAGE * 2 {
                let levels = json!([{"location_id": location, "stocked_quantity": n}]);
                visit
                    .post(
                        "/admin/inventory-items",
                        &json!({"sku": format!("NAIL-{n}"), "title": "Nail", "location_levels": levels}),
                    )
                    .await;
            }
            let levels = read().await;
            let on_hand = |level: &Json| (level["item"]["sku"].to_string(), level["quantities"]["on_hand"].to_string());
            let ours: BTreeSet<_> = levels.iter().map(on_hand).collect();
            let expected = (0..=PAGE * 2).map(|n| (format!("\"NAIL-{n}\""), format!("\"{n}\""))).collect();
            assert_eq!((ours, levels.len()), (expected, PAGE as usize * 2 + 1));
            levels.into_iter().next().unwrap()
        })
        .await?;
    proving
        .check("inventory_level: a write sets the level, and sent again sets the same", async {
            let (sku, item) = (level["item"]["sku"].as_str().unwrap(), level["item"]["source_id"].as_str().unwrap());
            let tables: LookupSet = [("Medusa inventory items", sku, item), ("Medusa locations", "MAIN", location)]
                .map(|(table, from, to)| (table.to_owned(), HashMap::from([(from.to_owned(), to.to_owned())])))
                .into_iter()
                .collect();
            let record = json!({"item": {"sku": sku}, "location": {"code": "MAIN"}, "quantities": {"on_hand": "4711"}});
            let payload = account.payload(InventoryLevel, &record, ("l-1", 1), &tables);
            account.write_and_lose(InventoryLevel, "l-1", 1, &payload).await;
            let receipt = account.write(InventoryLevel, "l-1", 1, &payload).await.unwrap();
            assert_eq!(receipt.id, item);
            let stored = read().await.into_iter().find(|one| one["source_id"] == level["source_id"]).unwrap();
            assert_eq!(stored["quantities"]["on_hand"], "4711");
        })
        .await
}

async fn written_orders(proving: &mut Proving, visit: &Visit<'_>) -> Result<(), Stopped> {
    let account = &visit.account;
    let variant = visit.shop.seed["variants"].as_array().unwrap().iter().find(|variant| variant["sku"] == "DESK-160").unwrap();
    let tables = table("Medusa variants", &[("DESK-160", variant["id"].as_str().unwrap())]);
    let order = json!({
        "source_id": "90017",
        "number": "SO-90017",
        "status": "open",
        "currency": "USD",
        "customer": {"name": "Zoë Ångström", "email": "zoe@krueger.example"},
        "shipping_address": {"name": "Zoë Ångström", "line1": "1 SW Columbia St", "city": "Portland", "region_code": "OR", "postal_code": "97258", "country": "US"},
        "lines": [
            {"source_id": "10", "sku": "DESK-160", "title": "Standing desk", "quantity": "2", "unit_price": "1333.33", "discount_total": "66.66"},
            {"source_id": "20", "title": "Assembly", "quantity": "1", "unit_price": "0.333"},
        ],
        "shipping_lines": [{"title": "Standard", "amount": "9.95"}],
        "taxes_included": false,
        "totals": {"grand": "2610.28"},
    });
    let payload = account.payload(Order, &order, ("o-1", 1), &tables);
    let id = proving
        .check("order: a write is stored as a draft, and its receipt understood", async {
            let receipt = account.write(Order, "o-1", 1, &payload).await.unwrap();
            let stored = visit.ask(&format!("/admin/draft-orders/{}?fields=id,status,email,metadata", receipt.id)).await;
            assert_eq!(
                (&stored["draft_order"]["status"], &stored["draft_order"]["email"]),
                (&json!("draft"), &json!("zoe@krueger.example"))
            );
            assert_eq!(stored["draft_order"]["metadata"]["crossdock_key"], "o-1");
            receipt.id
        })
        .await?;
    proving
        .check("order: convert is done, and its proof says so although its answer was lost", async {
            assert!(!account.is_done(Order, "convert", &id, None).await.unwrap());
            account.proxy.lose_next_answer();
            let outcome = account.act(Order, "convert", &id, Some(&payload)).await;
            assert!(matches!(outcome, Err(VendorError::NoAnswer(NoAnswer::Lost(_)))), "{outcome:?}");
            assert!(account.is_done(Order, "convert", &id, None).await.unwrap());
            let orders = visit.ids("/admin/orders", "orders").await;
            assert_eq!((orders.len(), orders.contains(&id)), (ORDERS as usize + 1, true));
        })
        .await?;
    proving
        .check("order: what was written is read again with its lines, shipping and total", async {
            let stored = account.get(Order, &id).await.unwrap();
            let record = account.record(Order, stored.to_json().as_bytes());
            assert_eq!((&record["currency"], &record["shipping_address"]["region_code"]), (&json!("USD"), &json!("OR")));
            let lines: BTreeSet<String> = record["lines"]
                .as_array()
                .unwrap()
                .iter()
                .map(|line| format!("{} {} × {}", line["sku"], line["quantity"], line["unit_price"]))
                .collect();
            assert_eq!(lines, [r#""DESK-160" "2" × "1300""#, r#"null "1" × "0.333""#].map(str::to_owned).into(), "{record}");
            assert_eq!(record["shipping_lines"][0]["amount"], "9.95");
            // The shop's own taxes: Oregon has none, and neither has this address by its rules.
            assert_eq!(record["totals"]["grand"], "2610.28", "{record}");
        })
        .await?;
    proving
        .check("order: cancel is done, and its proof says so", async {
            assert!(!account.is_done(Order, "cancel", &id, None).await.unwrap());
            account.act(Order, "cancel", &id, None).await.unwrap();
            assert!(account.is_done(Order, "cancel", &id, None).await.unwrap());
        })
        .await?;
    proving
        .check("order: complete is done, and its proof says so", async {
            let id = visit.order(Some("refund"));
            assert!(!account.is_done(Order, "complete", &id, None).await.unwrap());
            account.act(Order, "complete", &id, None).await.unwrap();
            assert!(account.is_done(Order, "complete", &id, None).await.unwrap());
        })
        .await
}

async fn errors(proving: &mut Proving, visit: &Visit<'_>) -> Result<(), Stopped> {
    let account = &visit.account;
    proving
        .check("errors: a field that Medusa does not take is validation, in its words", async {
            let fault = fault(account.write(Customer, "c-9", 1, &Value::from(&json!({"shoe_size": 46}))).await);
            assert_understood(&fault, FaultClass::Validation);
            assert!(fault.reason.contains("shoe_size"), "{fault:?}");
        })
        .await?;
    proving
        .check("errors: what is not there is not found, in Medusa's words", async {
            let fault = fault(account.get(Order, "order_01J8ZK3M5Q7R9T1V3X5Z7B9D1F").await);
            assert_understood(&fault, FaultClass::NotFound);
            assert!(fault.reason.contains("order_01J8ZK3M5Q7R9T1V3X5Z7B9D1F"), "{fault:?}");
        })
        .await?;
    proving
        .check("errors: what an order does not allow now is a conflict", async {
            let fault = fault(account.act(Order, "cancel", &visit.order(Some("ship")), None).await);
            assert_understood(&fault, FaultClass::Conflict);
        })
        .await
}

async fn webhooks(proving: &mut Proving, visit: &Visit<'_>) -> Result<(), Stopped> {
    let (account, hooks) = (&visit.account, &visit.hooks);
    for (topic, act) in [
        ("order.placed", None),
        ("order.updated", Some("email")),
        ("order.canceled", Some("cancel")),
        ("payment.captured", Some("capture")),
        ("payment.refunded", Some("refund")),
        ("order.fulfillment_created", Some("fulfil")),
        ("shipment.created", Some("ship")),
        ("order-edit.confirmed", Some("edit")),
        ("order.completed", Some("refund")),
    ] {
        proving
            .check(format!("webhooks: {topic} is signed, believed, and says what it is about"), async {
                let id = visit.order(act);
                let (_, info) = hooks.wait_for(account, topic, &id).await;
                assert_eq!((info.kind, info.fetch), (Some(Order), true));
            })
            .await?;
    }
    proving
        .check("webhooks: what order.placed is about is read back", async {
            let id = visit.order(None);
            let bytes = account.fetch("order.placed", &id).await.unwrap();
            assert_eq!(account.record(Order, &bytes)["source_id"], id);
        })
        .await?;
    let (hook, _) = hooks.wait_for(account, "order.placed", &visit.order(None)).await;
    hooks::forgeries(proving, account, &hook).await
}
