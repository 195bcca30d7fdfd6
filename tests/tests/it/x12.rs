//! X12 with partners: what comes is taken once and answered by a 997, what goes out waits for one, and people hear of what is wrong with its place.

use std::path::Path;

use serde_json::{Value, json};
use tests::sshd::Sshd;

use crate::file::{Drop, Inbox, PATIENCE, count, exceptions, names};
use crate::{World, eventually, world, world_with};

const INTERCHANGES: &str = "{ interchanges { nodes { controlNumber state taken refused missing repeats note failure } } }";
const SENT: &str =
    "{ sentGroups { nodes { controlNumber functionalId set state deliveryId sentAt lateAt acknowledgedAt failure } } }";
const INCIDENTS: &str = "{ incidents(open: true) { nodes { kind operation code sentence owner nextStep closedAt } } }";

pub const GOOD: &str = "N1*ST*Hat Shops*92*0017~N3*88 Harbor Way~N4*Seattle*WA*98101*US~PO1*1*2*EA*10.00*PE*VN*SKU~CTT*1~";

/// What is agreed on, whatever carries the files.
pub fn agreement(more: Value) -> Value {
    let mut settings = json!({"our_qualifier": "01", "our_id": "123456789", "partner_qualifier": "ZZ", "partner_id": "HATSHOPS", "usage": "T",
                              "line_break": "lf", "folder": "in", "out": "out", "after": "archive", "archive": "done", "rest_s": "0"});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

/// A folder of this machine with a partner's connection that is polled.
pub async fn partner(world: &World, folder: &Drop, role: &str, kind: &str) -> Inbox {
    let settings = agreement(json!({"base_url": folder.url()}));
    std::fs::create_dir_all(folder.path("out")).unwrap();
    let connector = format!("x12-{role}");
    Inbox::of(&connector, kind, world, (settings, json!({})), folder.path("in")).await.begun(world).await
}

/// The 850 of an order with two hats.
pub fn order(number: &str) -> String {
    format!("BEG*00*SA*{number}**20261120~{}", GOOD.replace("SKU", &tests::sample::skus()[0].0))
}

/// An interchange of the partner's with one group; segments end with `~`.
pub fn interchange(number: u32, group: &str, sets: &[(&str, String)]) -> String {
    let mut text = format!(
        "ISA*00*          *00*          *ZZ*HATSHOPS       *01*123456789      *261128*0711*U*00401*{number:09}*0*T*>~\
         GS*{group}*HATSHOPS*123456789*20261128*0711*{number}*X*004010~"
    );
    for (index, (set, body)) in sets.iter().enumerate() {
        let (control, segments) = (format!("{:04}", index + 1), body.matches('~').count() + 2);
        text.push_str(&format!("ST*{set}*{control}~{body}SE*{segments}*{control}~"));
    }
    text.push_str(&format!("GE*{}*{number}~IEA*1*{number:09}~", sets.len()));
    text
}

fn orders(number: u32, orders: &[&str]) -> String {
    let sets: Vec<(&str, String)> = orders.iter().map(|one| ("850", order(one))).collect();
    interchange(number, "PO", &sets)
}

/// The partner's 997 for a group of ours.
pub fn answer(number: u32, (functional_id, group, set): (&str, u32, &str), verdict: &str) -> String {
    let notes = if verdict == "R" { "AK3*N4*7**8~AK4*2*156*5*ORE~" } else { "" };
    let codes = if verdict == "R" { "*5" } else { "" };
    let accepted = u8::from(verdict != "R");
    let body = format!("AK1*{functional_id}*{group}~AK2*{set}*0001~{notes}AK5*{verdict}{codes}~AK9*{verdict}*1*1*{accepted}~");
    interchange(number, "FA", &[("997", body)])
}

/// Newest first.
pub async fn interchanges(world: &World) -> Vec<Value> {
    world.acme.client.ask(INTERCHANGES, json!({})).await.unwrap()["interchanges"]["nodes"].as_array().unwrap().clone()
}

pub async fn sent(world: &World) -> Vec<Value> {
    world.acme.client.ask(SENT, json!({})).await.unwrap()["sentGroups"]["nodes"].as_array().unwrap().clone()
}

/// The control numbers of the 997s in a folder.
pub fn answers(folder: &Path) -> Vec<u32> {
    let numbers = names(folder).into_iter().filter_map(|name| name.strip_prefix("997-")?.get(..9)?.parse().ok());
    numbers.collect()
}

/// The text of the 997 of this number.
fn answered(folder: &Path, number: u32) -> String {
    let name = names(folder).into_iter().find(|name| name.starts_with(&format!("997-{number:09}-"))).unwrap();
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The text of the only file of this beginning.
pub fn written(folder: &Drop, begins: &str) -> String {
    let of = names(&folder.path("out")).into_iter().filter(|name| name.starts_with(begins)).collect::<Vec<_>>();
    assert_eq!(of.len(), 1, "{begins}: {:?}", names(&folder.path("out")));
    std::fs::read_to_string(folder.path("out").join(&of[0])).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_850_is_an_order_in_the_erp_and_is_answered_and_the_same_again_is_only_answered() {
    let sshd = Sshd::start();
    world(async |world| {
        let folder = sshd.folder("in");
        let out = sshd.folder("out");
        let settings = sshd.settings(agreement(json!({})));
        let inbox = Inbox::of("x12-customer", "order", world, (settings, sshd.credential()), folder).await.begun(world).await;
        let policy = json!({"attempts_max": 3, "backoff_ms": 200, "backoff_max_ms": 2_000});
        let (client, erp) = (&world.acme.client, &world.acme.destination);
        client.flow_publish("850s to the ERP", &inbox.connection, erp, policy).await.unwrap();
        let text = orders(21, &["HS-1", "HS-2"]);
        inbox.put("a.edi", &text);
        inbox.looked(world).await;
        let ledger = world.acme.rest(2, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.delivery("confirmed")), (2, 2), "{ledger:?} {:?}", exceptions(world).await);
        assert_eq!(world.erp.orders().len(), 2);
        assert_eq!((answers(&out), names(&out).len()), (vec![1], 1));
        let told = answered(&out, 1);
        assert!(told.contains("AK1*PO*21~") && told.contains("AK9*A*2*2*2~"), "{told}");
        assert!(told.starts_with("ISA*00*          *00*          *01*123456789      *ZZ*HATSHOPS       *"), "{told}");

        // The same bytes under another name, as a sender does that has lost our 997; and under the same name.
        for (name, repeats) in [("b.edi", 1), ("a.edi", 2)] {
            inbox.put(name, &text);
            inbox.looked(world).await;
            let known = interchanges(world).await;
            assert_eq!(
                (known.len(), &known[0]["state"], &known[0]["repeats"]),
                (1, &json!("taken"), &json!(repeats)),
                "{known:?}"
            );
        }
        assert_eq!((answers(&out), names(&out).len()), (vec![1, 2, 3], 3));
        let body = |text: String| text[text.find("AK1").unwrap()..text.find("SE*").unwrap()].to_owned();
        assert_eq!(body(answered(&out, 3)), body(told));
        assert_eq!((world.acme.rest(2, PATIENCE).await.unwrap().accepted(), world.erp.orders().len()), (2, 2));
        assert_eq!(exceptions(world).await, [Value::Null; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_told_with_its_place_and_what_is_good_beside_it_is_taken() {
    let folder = Drop::new();
    world_with(folder.opened(), async |world| {
        let inbox = partner(world, &folder, "customer", "order").await;
        // BEG is missing at its place: a segment stands before it that belongs behind.
        let bad = order("HS-3").replace("BEG*", "CUR*BY*USD~BEG*");
        let unread = ("846", "BIA*00*SI*1*20261120~".to_owned());
        let mixed = interchange(31, "PO", &[("850", order("HS-1")), ("850", bad), unread]);
        let cut = orders(32, &["HS-4"]).replace("IEA*1*", "IEA*2*");
        let foreign = orders(33, &["HS-5"]).replace("*ZZ*HATSHOPS       *01*", "*ZZ*SOMEBODY       *01*");
        let live = orders(34, &["HS-6"]).replace("*0*T*>", "*0*P*>");
        inbox.put("all.edi", &[mixed, cut, foreign, live, orders(32, &["HS-7"])].join("\n"));
        inbox.looked(world).await;
        let ledger = world.acme.rest(7, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.message("exception")), (2, 5), "{ledger:?}");
        let open = exceptions(world).await;
        let said = |code: &str| -> Vec<&str> {
            let of = open.iter().filter(|one| one["code"] == code);
            of.map(|one| one["sentence"].as_str().unwrap()).collect()
        };
        let sets = said("x12.bad_set");
        assert!(
            sets.iter().any(|one| one.starts_with("Set 850 0002 ") && one.contains("(segment ") && one.contains(", byte ")),
            "{sets:?}"
        );
        assert!(sets.iter().any(|one| one.contains("transaction sets \"846\" are not read here")), "{sets:?}");
        let whole = said("x12.bad_interchange");
        assert!(
            whole.iter().any(|one| one.contains("interchange 32 of HATSHOPS: IEA01 says \"2\" groups, but there are 1")),
            "{whole:?}"
        );
        assert!(whole.iter().any(|one| one.contains("from ZZ SOMEBODY to 01 123456789, but the connection is for")), "{whole:?}");
        assert!(whole.iter().any(|one| one.contains("says P in ISA15, but T is agreed on")), "{whole:?}");
        assert_eq!((sets.len(), whole.len()), (2, 3), "{open:?}");
        let text = written(&folder, "997-000000001");
        assert!(
            text.contains("AK2*850*0001~\nAK5*A~") && text.contains("AK2*850*0002~\n") && text.contains("AK9*P*3*3*1~"),
            "{text}"
        );
        // What was broken was not taken under its number, so that it may be sent again under it.
        let states: Vec<Value> = interchanges(world).await.iter().map(|one| one["state"].clone()).collect();
        assert_eq!(states, ["taken", "refused", "refused", "refused", "taken"]);
        assert_eq!(names(&folder.path("out")).len(), 2, "only what was taken is acknowledged");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_number_that_is_used_twice_or_left_out_is_told() {
    let folder = Drop::new();
    world_with(folder.opened(), async |world| {
        let inbox = partner(world, &folder, "customer", "order").await;
        inbox.put("a.edi", &orders(41, &["HS-1"]));
        inbox.looked(world).await;
        inbox.put("b.edi", &orders(41, &["HS-2"]));
        inbox.put("c.edi", &orders(44, &["HS-3"]));
        inbox.looked(world).await;
        // One that was left out still comes.
        inbox.put("d.edi", &orders(42, &["HS-4"]));
        inbox.looked(world).await;
        let ledger = world.acme.rest(5, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.message("exception")), (3, 2), "{ledger:?}");
        assert_eq!(count(world, "SELECT count(*) FROM records WHERE source_id = 'HS-2'").await, 0, "nothing of it is taken");
        let mut said: Vec<String> =
            exceptions(world).await.iter().map(|one| one["sentence"].as_str().unwrap().to_owned()).collect();
        said.sort();
        assert_eq!(said.len(), 2);
        assert!(said[0].starts_with("Partner: Before interchange 44, 2 other control numbers did not come."), "{said:?}");
        assert!(said[1].starts_with("Partner: Interchange 41 was taken before, but with other content."), "{said:?}");
        assert_eq!(answers(&folder.path("out")), [1, 2, 3], "the conflict is not acknowledged");
    })
    .await;
}

/// A warehouse that gets the shop's orders.
async fn warehouse(world: &World, folder: &Drop) -> Inbox {
    let inbox = partner(world, folder, "warehouse", "shipment").await;
    let policy = json!({"attempts_max": 8, "backoff_ms": 200, "backoff_max_ms": 2_000});
    let client = &world.acme.client;
    client.flow_publish("orders to the warehouse", &world.acme.source, &inbox.connection, policy).await.unwrap();
    inbox
}

async fn send(world: &World, n: u64) {
    world.acme.shop.send("orders/create", uuid::Uuid::new_v4(), tests::sample::order(n)).await.unwrap();
}

async fn is_in(world: &World, number: u32, state: &str) -> Value {
    eventually("the group is there", async || {
        sent(world).await.into_iter().find(|one| one["controlNumber"] == json!(number) && one["state"] == state)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_goes_out_as_a_940_and_its_997_closes_it_or_says_why_not() {
    let folder = Drop::new();
    world_with(folder.opened(), async |world| {
        let inbox = warehouse(world, &folder).await;
        send(world, 1).await;
        let first = is_in(world, 1, "sent").await;
        assert_eq!(
            (&first["functionalId"], &first["set"], &first["acknowledgedAt"]),
            (&json!("OW"), &json!("940"), &json!(null))
        );
        let text = written(&folder, "order-");
        assert!(
            text.contains("GS*OW*123456789*HATSHOPS*") && text.contains("*000000001*0*T*>~") && text.contains("ST*940*0001~"),
            "{text}"
        );
        send(world, 2).await;
        is_in(world, 2, "sent").await;

        inbox.put("1.edi", &answer(1, ("OW", 1, "940"), "A"));
        inbox.looked(world).await;
        assert!(is_in(world, 1, "acknowledged").await["acknowledgedAt"].is_string());
        assert_eq!(exceptions(world).await, [Value::Null; 0]);
        inbox.put("2.edi", &answer(2, ("OW", 2, "940"), "R"));
        inbox.put("3.edi", &answer(3, ("OW", 99, "940"), "A"));
        inbox.looked(world).await;
        let failure = is_in(world, 2, "rejected").await["failure"].as_str().unwrap().to_owned();
        assert!(failure.contains("In set 940 0001, segment 7 (N4), element 2 \"ORE\": it is too long."), "{failure}");
        let open = exceptions(world).await;
        let said = open[0]["sentence"].as_str().unwrap();
        assert_eq!((open.len(), &open[0]["code"]), (1, &json!("x12.rejected")), "{open:?}");
        assert!(said.starts_with("Partner rejected Order ") && said.ends_with(&failure), "{said}");
        let note = interchanges(world).await[0]["note"].clone();
        assert_eq!(note, "A 997 answers group 99 (OW), which was not sent to this partner.");
        let out = names(&folder.path("out"));
        assert!(out.len() == 2 && out.iter().all(|name| name.starts_with("order-")), "a 997 is not acknowledged: {out:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_997_that_does_not_come_in_time_is_an_incident_that_closes_when_it_does() {
    let folder = Drop::new();
    world_with(folder.opened(), async |world| {
        let inbox = warehouse(world, &folder).await;
        send(world, 1).await;
        is_in(world, 1, "sent").await;
        let open = async || world.acme.client.ask(INCIDENTS, json!({})).await.unwrap()["incidents"]["nodes"].clone();
        inbox.looked(world).await;
        assert_eq!(open().await, json!([]), "it is not late");
        let mut database = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE sent_groups SET sent_at = now() - interval '25 hours', late_at = now() - interval '1 hour'")
            .execute(&mut database)
            .await
            .unwrap();
        for _ in 0..2 {
            inbox.looked(world).await;
            let told = open().await;
            assert_eq!(told.as_array().unwrap().len(), 1, "{told}");
            let (kind, sentence) = (&told[0]["kind"], told[0]["sentence"].as_str().unwrap());
            assert_eq!((kind, &told[0]["owner"]), (&json!("ACKNOWLEDGEMENT"), &json!("operations")));
            assert!(sentence.contains("Group 1 (OW) with 1 set was sent 25 hours ago and is not acknowledged."), "{sentence}");
        }
        inbox.put("1.edi", &answer(1, ("OW", 1, "940"), "A"));
        inbox.looked(world).await;
        is_in(world, 1, "acknowledged").await;
        assert_eq!(open().await, json!([]), "it closes itself");
        let closed = "SELECT count(*) FROM incidents WHERE code = 'x12.late' AND closed_at IS NOT NULL";
        assert_eq!(count(world, closed).await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_a_partner_whose_answers_nobody_reads_is_an_incident_until_somebody_does() {
    let folder = Drop::new();
    world_with(folder.opened(), async |world| {
        let inbox = warehouse(world, &folder).await;
        let pause = "mutation($id: ID!) { pollPause(id: $id) { userErrors { message } } }";
        world.acme.client.ask(pause, json!({"id": inbox.poll})).await.unwrap();
        let open = async || world.acme.client.ask(INCIDENTS, json!({})).await.unwrap()["incidents"]["nodes"].clone();
        for number in 1..=2 {
            send(world, number.into()).await;
            is_in(world, number, "sent").await;
            let told = open().await;
            assert_eq!((told.as_array().unwrap().len(), &told[0]["code"]), (1, &json!("x12.unread")), "{told}");
            let sentence = "What is sent to Partner goes out, and nobody reads its folder: a 997 that rejects it, or does not come, is not seen.";
            assert_eq!(
                (&told[0]["sentence"], &told[0]["kind"], &told[0]["owner"]),
                (&json!(sentence), &json!("ACKNOWLEDGEMENT"), &json!("operations"))
            );
        }
        inbox.looked(world).await;
        assert_eq!(open().await, json!([]), "it closes itself");
    })
    .await;
}
