//! Every field of every type that a query comes to, asked by a stranger, by each role, by an API key, by support and by staff, against a table that is
//! committed: who is shown what. A role that is let into a list is not shown all that stands in it, and here it is seen when that changes.
//! `UPDATE_PERMISSION_MATRIX=1` writes the table anew, for a person to read. Of each field it says, caller by caller:
//! `owner` is shown its value, `owner:null` that there is none; `-` is refused; `auditor:hidden` is shown what is left when what tells of a person is taken out
//! of it, `auditor:personal` is shown that all the same; `admin:other` is shown something else than who the way is gone by, as their own address;
//! `staff:nothing` is let in and has no such thing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use connectors::Catalog;
use domain::permission::{Permission, Role};
use domain::personal::HIDDEN;
use domain::record::RecordKind;
use futures::future::join_all;
use serde_json::{Value, json};
use tests::client::Client;
use tests::platform::Options;
use tests::sample;
use tests::simulator::erp::Erp;
use tests::simulator::own::OwnSystem;
use uuid::Uuid;

use crate::flow::{draft, publish};
use crate::walk_fields::{Fields, Seen, Way};
use crate::{World, eventually, impersonation, permission_matrix, world_with};

const PATIENCE: Duration = Duration::from_secs(60);
const TABLE: &str = include_str!("permission_fields.txt");
const UPDATE: &str = "if this is meant, run this test with UPDATE_PERMISSION_MATRIX=1 and read what changed";
/// Types that the story below has no row of: they stand at the end of the table. It is to become fewer.
const UNREACHED_MAX: usize = 2;
/// Where the first reader is shown one thing before the others are asked and another one after, all are asked anew, so often. What is different each time is not
/// compared.
const ROUNDS_MAX: usize = 3;
const REFUSED: [&str; 3] = ["UNAUTHENTICATED", "FORBIDDEN", "NO_TENANT"];
/// What the orders, and what people wrote, say of their buyer.
const PERSONAL: [&str; 4] = ["Byron", "ada@example.com", "12 Analytical Way", "4155550100"];

const SETUP: &str = "mutation($me: ID!, $source: ID!, $destination: ID!, $own: ID!, $cause: String!) {
    mail: alertReceiverCreate(input: {name: \"ops\", kind: MAIL, address: \"ops@example.com\"}) { userErrors { message } }
    alarmPolicySet(input: {zone: \"Europe/Berlin\", quietHours: [{from: \"22:00\", until: \"06:00\", days: [\"sat\"]}]}) { userErrors { message } }
    identityProviderSet(input: {issuer: \"https://id.example.com\", clientId: \"us\", clientSecret: \"s\", roles: [{group: \"ops\", role: OPERATOR}],
        defaultRole: AUDITOR}) { userErrors { message } }
    emailDomainAdd(domain: \"example.com\") { userErrors { message } }
    scimTokenCreate { userErrors { message } }
    serviceAccountCreate(input: {name: \"partner\", purpose: \"Reads orders\", permissions: [READ_OPERATIONS]}) { userErrors { message } }
    auditStreamCreate(input: {name: \"siem\", kind: SYSLOG, address: \"tls://logs.example.com\"}) { userErrors { message } }
    persistedOperationRegister(input: {name: \"who\", document: \"{ viewer { id } }\"}) { userErrors { message } }
    inventoryPolicySet(input: {stock: [{connectionId: $own}], sellers: [{connectionId: $source, buffer: \"1\"}]}) { userErrors { message } }
    matchPolicySet(input: {amount: \"1\"}) { userErrors { message } }
    driftPolicySet(input: {connectionId: $source, recordKind: \"order\", field: \"note\", policy: \"hold\"}) { userErrors { message } }
    rotationScheduleSet(connectionId: $destination, schedule: {everyDays: 90}) { userErrors { message } }
    exceptionComment(input: {causeKey: $cause}, text: \"Ada Byron rang\") { userErrors { message } }
    exceptionAssign(input: {causeKey: $cause}, userId: $me) { userErrors { message } }
    exceptionTag(input: {causeKey: $cause}, add: [\"vip\"]) { userErrors { message } } }";

/// A text of an answer.
fn text(of: &Value) -> String {
    of.as_str().unwrap_or_else(|| panic!("{of} is no text")).to_owned()
}

/// A text as a query has it.
fn literal(text: &str) -> String {
    json!(text).to_string()
}

async fn order(world: &World, n: u64) {
    assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap().status, 200);
}

/// A document of each kind, and of some more than the samples have in them.
fn documents() -> Vec<(RecordKind, Value)> {
    let connector = Catalog::embedded().get("http").unwrap();
    let sample = |kind: RecordKind| {
        connector
            .samples(kind)
            .map(move |(_, text)| (kind, serde_json::from_str(text).unwrap()))
            .collect::<Vec<(RecordKind, Value)>>()
    };
    let mut documents: Vec<(RecordKind, Value)> = RecordKind::ALL.into_iter().flat_map(sample).collect();
    documents.extend([
        (
            RecordKind::InventoryLevel,
            json!({"source_id": "HAT", "item": {"sku": "HAT"}, "location": {"code": "MAIN"}, "quantities": {"on_hand": "10"}, "as_of": "2026-11-27T11:00:00Z"}),
        ),
        (
            RecordKind::Order,
            json!({"source_id": "O-1", "number": "#O1", "status": "open", "currency": "USD", "taxes_included": false, "placed_at": "2026-11-27T10:00:00Z",
                "customer": {"source_id": "K-1", "name": "Ada Byron", "email": "ada@example.com", "tax_ids": [{"kind": "vat", "value": "GB123"}]},
                "lines": [{"source_id": "1", "sku": "HAT", "quantity": "3", "unit_price": "1.00"}], "totals": {"grand": "10.00"},
                "payments": [{"source_id": "P-1", "kind": "card", "amount": "10.00"}],
                "refunds": [{"source_id": "R-1", "amount": "1.00", "note": "Ada Byron rang"}]}),
        ),
        (
            RecordKind::Item,
            json!({"source_id": "I-1", "item_type": "kit", "sku": "KIT", "name": "Kit", "options": [{"name": "size", "value": "M", "position": 1}],
                "external_ids": [{"kind": "gtin", "value": "4006381333931"}], "components": [{"item": {"sku": "HAT"}, "quantity": "2"}],
                "channel_listings": [{"system": "market", "listing_id": "L-1", "status": "active"}]}),
        ),
        (
            RecordKind::Invoice,
            json!({"source_id": "V-1", "kind": "invoice", "status": "open", "number": "V-1", "currency": "USD", "issue_date": "2026-11-27", "totals": {"grand": "10.00"},
                "lines": [{"source_id": "1", "sku": "HAT", "quantity": "1", "unit_price": "10.00"}], "payments_applied": [{"source_id": "P-1", "amount": "10.00"}]}),
        ),
    ]);
    documents
}

/// A tenant in which there is something of everything: an order that was delivered, one that a person has to look at, one that waits, a replay of a draft, and
/// documents of each kind. Everything has come to rest. Returns what is to be said for arguments.
async fn story(world: &World) -> Vec<(&'static str, String)> {
    let (acme, client) = (&world.acme, &world.acme.client);
    order(world, 1).await;
    acme.rest(1, PATIENCE).await.unwrap();
    // The buyer has no entry, and what tells of it is said in many places.
    client.lookup_table_create("Buyers", &[("Ada Byrom".into(), "7".into())]).await.unwrap();
    let addressee = json!({"mapping": [{"to": "shippingAddress.addressee", "from": "customer.name", "lookup": "Buyers"}]});
    publish(client, &acme.flow, addressee).await;
    order(world, 2).await;
    acme.rest(2, PATIENCE).await.unwrap();
    let shouted = json!({"mapping": [{"to": "shippingAddress.addressee", "expr": "concat(customer.name, \"!\")"}]});
    assert_eq!(draft(client, &acme.flow, shouted).await, [] as [&str; 0]);
    let replay = "mutation($id: ID!) { flowReplay(id: $id, input: {last: 10}) { run { id } userErrors { message } } }";
    let run = text(&client.ask(replay, json!({"id": acme.flow})).await.unwrap()["flowReplay"]["run"]["id"]);
    eventually("the replay ends", async || {
        let data = client.ask("query($id: ID!) { run(id: $id) { state } }", json!({"id": run})).await.unwrap();
        (data["run"]["state"] == "done").then_some(())
    })
    .await;

    let own = OwnSystem::connect(client, "Own system").await.unwrap();
    let data = client.ask("{ viewer { id } exceptions(first: 1) { nodes { causeKey } } }", json!({})).await.unwrap();
    let (me, cause) = (text(&data["viewer"]["id"]), text(&data["exceptions"]["nodes"][0]["causeKey"]));
    let variables =
        json!({"me": me, "source": acme.source, "destination": acme.destination, "own": own.connection, "cause": cause});
    client.ask(SETUP, variables).await.unwrap();
    let receiver = text(&client.ask("{ alertReceivers { id } }", json!({})).await.unwrap()["alertReceivers"][0]["id"]);
    let rule = json!({"name": "all", "isPaused": true, "countMin": 2, "moneyMin": {"currency": "USD", "amount": "10"}, "receiverIds": [receiver], "assignToId": me,
        "escalate": {"afterMinutes": 60, "receiverIds": [receiver]}});
    let set = "mutation($i: AlertRuleInput!) { alertRuleSet(input: $i) { userErrors { message } } }";
    client.ask(set, json!({"i": rule})).await.unwrap();
    let invite = "mutation { invitationCreate(email: \"new@example.com\", role: OPERATOR) { link userErrors { message } } }";
    let link = text(&client.ask(invite, json!({})).await.unwrap()["invitationCreate"]["link"]);
    let (settings, credential) =
        (json!({"customer_id": "58", "deposit_account_id": "35"}), json!({"client_id": "a", "client_secret": "b"}));
    let (books, _) = client.connection_create("quickbooks-online", "Books", settings, credential).await.unwrap();
    let (erp, _) = client.connection_create("netsuite", "New ERP", world.erp.settings(15), Erp::credential()).await.unwrap();
    let begin = "mutation($f: ID!, $c: ID!) { swapBegin(input: {flowId: $f, connectionId: $c}) { userErrors { message } } }";
    client.ask(begin, json!({"f": acme.flow, "c": erp})).await.unwrap();

    let documents = documents();
    for (kind, document) in &documents {
        assert_eq!(own.send(kind.as_str(), document.clone()).await.unwrap(), 200, "{kind}");
    }
    acme.rest(2 + i64::try_from(documents.len()).unwrap(), PATIENCE).await.unwrap();
    let test = "mutation($id: ID!) { connectionTest(id: $id) { userErrors { message } } }";
    client.ask(test, json!({"id": acme.destination})).await.unwrap();
    eventually("stock is told, what is usual is known, and the log is sealed", async || {
        let query = "query($c: ID!) { inventoryItems { nodes { sku sellers { told } } } profile(connectionId: $c, kind: \"order\", side: \"source\") { documents }
            auditHead { seal } }";
        let data = client.ask(query, json!({"c": acme.source})).await.unwrap();
        let hat = data["inventoryItems"]["nodes"].as_array().unwrap().iter().find(|item| item["sku"] == "HAT")?;
        (hat["sellers"][0]["told"] == "6" && data["profile"].is_object() && data["auditHead"]["seal"].as_i64()? > 0).then_some(())
    })
    .await;
    let pause = "mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }";
    client.ask(pause, json!({"id": acme.destination})).await.unwrap();
    order(world, 3).await;
    eventually("the last order waits", async || (client.ledger().await.unwrap().delivery("planned") == 1).then_some(())).await;

    let query = "{ records(first: 100) { nodes { id number } } deliveries(first: 5) { nodes { state attempts { id } } } }";
    let data = client.ask(query, json!({})).await.unwrap();
    let records = data["records"]["nodes"].as_array().unwrap();
    let record = |number: &str| literal(&text(&records.iter().find(|record| record["number"] == number).unwrap()["id"]));
    let deliveries = data["deliveries"]["nodes"].as_array().unwrap();
    let confirmed = deliveries.iter().find(|delivery| delivery["state"] == "confirmed").unwrap();
    let hours_ago = |hours: i64| literal(&(Utc::now() - TimeDelta::hours(hours)).to_rfc3339());
    let token = link.split_once('#').unwrap().1;
    vec![
        ("attemptRemade.id", literal(&text(&confirmed["attempts"][0]["id"]))),
        ("attemptRemade.with", "{flowVersion: 3}".to_owned()),
        ("auditEvents.action", literal("attempt.started")),
        ("auditEvents.action", literal("connection.probed")),
        ("connection.id", literal(&acme.source)),
        ("connection.id", literal(&books)),
        ("connectionHealth.first", "10".to_owned()),
        ("connectionId", literal(&acme.source)),
        ("deliveries.first", "5".to_owned()),
        ("destinationId", literal(&acme.destination)),
        ("exceptionGroup.causeKey", literal(&cause)),
        ("exceptionWhatIf.input", format!("{{causeKey: {}}}", literal(&cause))),
        ("exceptions.first", "20".to_owned()),
        ("flow.id", literal(&acme.flow)),
        ("flowDryRun.id", literal(&acme.flow)),
        ("flowDryRun.input", format!("{{recordIds: [{}]}}", record("#L1"))),
        ("flowDryRun.input", format!("{{version: 2, recordIds: [{}]}}", record("#L1"))),
        ("flowId", literal(&acme.flow)),
        // Those that are closed, too.
        ("incidents.first", "20".to_owned()),
        ("incidents.open", "false".to_owned()),
        ("inventoryItems.first", "20".to_owned()),
        ("invitation.token", literal(token)),
        ("latency.since", hours_ago(1)),
        ("lookupTable.id", literal(&acme.table)),
        ("messages.first", "30".to_owned()),
        ("profile.kind", literal("order")),
        ("profile.side", literal("source")),
        ("record.id", record("#L1")),
        ("recordId", record("#L1")),
        ("records.first", "30".to_owned()),
        ("revision", "1".to_owned()),
        ("run.id", literal(&run)),
        ("search.text", literal("#L1")),
        ("sourceId", literal(&acme.source)),
        ("swapGaps.connectionId", literal(&acme.destination)),
        ("throughput.from", hours_ago(1)),
        ("timeline.first", "50".to_owned()),
        ("timeline.recordId", record("#L2")),
        ("timeline.recordId", record("#L1")),
        ("usage.from", hours_ago(24)),
        ("usage.to", hours_ago(-1)),
    ]
}

/// What the table says of a field and a caller.
fn cell(who: &str, seen: &Seen, before: &Seen, after: &Seen) -> String {
    let values = match seen {
        Seen::Error(code) if REFUSED.contains(&code.as_str()) => return "-".to_owned(),
        Seen::Error(code) => return format!("{who}:{code}"),
        Seen::Values(values) => values,
    };
    let hides = |seen: &Seen| matches!(seen, Seen::Values(values) if values.to_string().contains(HIDDEN));
    let may_see = Role::parse(who).is_some_and(|role| role.may(Permission::ReadPersonalData));
    let is_told = PERSONAL.iter().any(|personal| values.to_string().contains(personal));
    let all = values.as_array().map(Vec::as_slice).unwrap_or_default();
    let note = if all.is_empty() {
        ":nothing"
    } else if is_told && !may_see {
        ":personal"
    } else if hides(seen) && !hides(before) {
        ":hidden"
    } else if all.iter().all(Value::is_null) {
        ":null"
    } else if before == after && before != seen {
        ":other"
    } else {
        ""
    };
    format!("{who}{note}")
}

/// The row of each field of a type.
async fn rows(fields: &Fields, way: &Way, callers: &[(String, Client)], reader: usize) -> BTreeMap<String, String> {
    let mut round = 1;
    loop {
        let before = fields.ask(&callers[reader].1, way).await;
        let others = callers.iter().enumerate().filter(|(caller, _)| *caller != reader);
        let mut seen = join_all(others.map(|(_, (_, client))| fields.ask(client, way))).await;
        seen.insert(reader, before.clone());
        let after = fields.ask(&callers[reader].1, way).await;
        if before != after && round < ROUNDS_MAX {
            round += 1;
            continue;
        }
        let row = |field: &String| {
            let cells = callers.iter().zip(&seen).map(|((who, _), seen)| cell(who, &seen[field], &before[field], &after[field]));
            (field.clone(), cells.collect::<Vec<_>>().join(" "))
        };
        return before.keys().map(row).collect();
    }
}

/// Fields of a type as the table names them.
fn named(of: &str, fields: &[&str]) -> String {
    match fields {
        [field] => format!("{of}.{field}"),
        fields => format!("{of}.{{{}}}", fields.join(" ")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_matrix_of_fields() {
    // Nothing is polled, and what is usual is written at once.
    let environment = vec![("CROSSDOCK_LISTENING", "by_hand"), ("CROSSDOCK_DRIFT_FLUSH_MS", "100")];
    world_with(Options { environment, ..Options::default() }, async |world| {
        let said = story(world).await;
        let mut callers = permission_matrix::callers(world).await;
        let staff = impersonation::staff(world).await;
        impersonation::consent(world, false).await;
        impersonation::ask(world, &staff, false).await;
        let support = impersonation::begin(world, &staff, false).await;
        callers.extend([("support".to_owned(), support.client), ("staff".to_owned(), staff)]);
        let mut database = world.platform.database.connect().await.unwrap();
        sqlx::raw_sql(include_str!("permission_fields.sql")).execute(&mut database).await.unwrap();

        let fields = Fields::of(&world.acme.client, said).await;
        let readers = ["owner", "support", "staff"].map(|name| callers.iter().position(|(who, _)| who == name).unwrap());
        let (reached, unreached) = fields.reach(&readers.map(|reader| &callers[reader].1)).await;
        assert!(reached.len() > 150, "the schema has them: {}", reached.len());
        let mut table = String::new();
        for (name, (way, reader)) in &reached {
            writeln!(table, "{name} by {way}").unwrap();
            let rows = rows(&fields, way, &callers, readers[*reader]).await;
            let mut groups: Vec<(&str, Vec<&str>)> = vec![];
            for (field, row) in rows.iter().map(|(field, row)| (field.as_str(), row.as_str())) {
                match groups.iter_mut().find(|group| group.0 == row) {
                    Some((_, fields)) => fields.push(field),
                    None => groups.push((row, vec![field])),
                }
            }
            for (row, fields) in groups {
                writeln!(table, "{}: {row}", named(name, &fields)).unwrap();
            }
        }
        for name in &unreached {
            let fields: Vec<&str> = fields.names(name).into_iter().collect();
            writeln!(table, "{}: unreached", named(name, &fields)).unwrap();
        }
        writeln!(table, "by no query: {}", fields.by_no_query().into_iter().collect::<Vec<_>>().join(" ")).unwrap();
        if std::env::var_os("UPDATE_PERMISSION_MATRIX").is_some() {
            std::fs::write("tests/it/permission_fields.txt", &table).unwrap();
        } else {
            for (mark, these, others) in [("-", TABLE, table.as_str()), ("+", table.as_str(), TABLE)] {
                these
                    .lines()
                    .filter(|line| !others.lines().any(|other| other == *line))
                    .for_each(|line| println!("{mark} {line}"));
            }
            assert!(table == TABLE, "the lines above, - as they were and + as they are: {UPDATE}");
        }
        assert!(unreached.len() <= UNREACHED_MAX, "nothing is there of {unreached:?}: give permission_fields.sql a row of each");
    })
    .await;
}
