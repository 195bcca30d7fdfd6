//! An API version's end is told before it comes: once, with the flows that it touches, to the tenant whose connection it is and to no other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use connectors::Catalog;
use domain::http::{HttpAnswer, HttpRequest};
use domain::id::{ConnectionId, TenantId};
use domain::scope::Scope;
use domain::sunset::{Sign, SunsetReason};
use infra::loopback::{Answer, Running};
use infra::postgres::Store;
use serde_json::{Value, json};
use tests::platform::{Connected, Database, SHOP_DOMAIN};
use tests::sample;
use tests::simulator::shop::Shop;
use uuid::Uuid;

use crate::{World, world};

/// An id that stands for that of the record asked for.
const OWN_ID: &str = "its own";
const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "second-client-secret";
const OTHER: &str = "other@crossdock.example";
const PASSWORD: &str = "other-person-password";

const SUNSETS: &str =
    "{ sunsets(within: 3650) { id connection { name } version servedVersion reason sentence endsAt daysLeft severity
    deprecatedAt link owner nextStep closedAt flows { name source { name } destination { name } } } }";

/// A vendor that answers every call so.
async fn vendor(headers: &[(&str, &str)], body: &Value) -> Running {
    let headers: Vec<(String, String)> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let body = body.clone();
    let handler = move |request: HttpRequest, _: usize| {
        let mut body = body.clone();
        // Each order has an id of its own: no vendor has one for all.
        if body["id"] == OWN_ID {
            body["id"] = request.url.rsplit('/').next().unwrap_or_default().into();
        }
        Answer::from(HttpAnswer { status: 200, headers: headers.clone(), body: body.to_string().into() })
    };
    infra::loopback::serve("127.0.0.1:0".parse().unwrap(), Arc::new(handler)).await.unwrap()
}

/// The open notices of a connection for a reason.
async fn notices(tenant: &Connected, connection: &str, reason: &str) -> Vec<Value> {
    let data = tenant.client.ask(SUNSETS, json!({})).await.unwrap();
    let is_it = |notice: &&Value| notice["connection"]["name"] == connection && notice["reason"] == reason;
    data["sunsets"].as_array().unwrap().iter().filter(is_it).cloned().collect()
}

/// The one that is raised within the test's patience.
async fn notice(tenant: &Connected, connection: &str, reason: &str) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let mut found = notices(tenant, connection, reason).await;
        assert!(found.len() <= 1, "one notice for a connection and a reason: {found:?}");
        match found.pop() {
            Some(notice) => return notice,
            None => assert!(Instant::now() < end, "no notice \"{reason}\" of {connection}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn audited(tenant: &Connected, notice: &Value) -> Vec<String> {
    let query = "query($id: ID!) { auditEvents(subjectId: $id) { nodes { action } } }";
    let data = tenant.client.ask(query, json!({"id": notice["id"]})).await.unwrap();
    let nodes = data["auditEvents"]["nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["action"].as_str().unwrap().to_owned()).collect()
}

/// A worker that knows nothing of what was noted before.
async fn restart(world: &mut World) {
    if world.platform.options.all_in_one {
        world.platform.kill_api().await.unwrap();
        world.platform.start_api().await.unwrap();
    } else {
        world.platform.kill_worker().await.unwrap();
        world.platform.start_worker().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_that_is_announced_while_delivering_is_one_notice_that_names_its_flows() {
    world(async |world| {
        let ends_at = Utc::now() + chrono::Duration::hours(20 * 24 + 1);
        let sunset = ends_at.format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let link = "<https://erp.example.com/changes>; rel=\"sunset\"";
        let system =
            vendor(&[("Deprecation", "@1793491200"), ("Sunset", &sunset), ("Link", link)], &json!({"id": OWN_ID, "revision": 1}))
                .await;
        let client = world.acme.client.clone();
        let settings = json!({"base_url": system.url()});
        let (destination, _) =
            client.connection_create("http", "Our system", settings, json!({"authorization": "Bearer x"})).await.unwrap();
        client.flow_publish("orders to our system", &world.acme.source, &destination, json!({})).await.unwrap();
        for n in 0..3 {
            world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
        }
        let raised = notice(&world.acme, "Our system", "announced_by_header").await;
        assert_eq!((&raised["daysLeft"], &raised["severity"], &raised["version"]), (&json!(20), &json!("urgent"), &json!("v1")));
        assert_eq!(
            raised["flows"],
            json!([{"name": "orders to our system", "source": {"name": "Acme shop"}, "destination": {"name": "Our system"}}])
        );
        assert_eq!(raised["deprecatedAt"], "2026-11-01T00:00:00+00:00");
        assert_eq!((&raised["link"], &raised["owner"]), (&json!("https://erp.example.com/changes"), &json!("crossdock")));
        let said = format!(
            "HTTP (your own system) announces in its answers that version v1 ends on {}, in 20 days.",
            ends_at.date_naive()
        );
        assert_eq!(raised["sentence"], said);
        assert_eq!(world.acme.rest(3, PATIENCE).await.unwrap().delivery("confirmed"), 6);

        // Another worker says it again, and it stays one.
        restart(world).await;
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(3)).await.unwrap();
        world.acme.rest(4, PATIENCE).await.unwrap();
        let again = notice(&world.acme, "Our system", "announced_by_header").await;
        assert_eq!((&again["id"], audited(&world.acme, &again).await), (&raised["id"], vec!["sunset.raised".to_owned()]));

        // It is told in time and not earlier, and to nobody else.
        let within = async |days: i32| {
            let data = client.ask("query($d: Int!) { sunsets(within: $d) { id } }", json!({"d": days})).await.unwrap();
            data["sunsets"].as_array().unwrap().iter().any(|notice| notice["id"] == raised["id"])
        };
        assert_eq!((within(19).await, within(21).await), (false, true));
        world.platform.user_create(OTHER, PASSWORD).await.unwrap();
        let other = tests::client::Client::new(&world.platform.url).sign_in(OTHER, PASSWORD).await.unwrap();
        let own = other.tenant_create("other").await.unwrap();
        let other = other.of_tenant(&own);
        assert_eq!(other.ask(SUNSETS, json!({})).await.unwrap()["sunsets"], json!([]));
        let node = "query($id: ID!) { node(id: $id) { ... on Sunset { id sentence } } }";
        let seen = async |client: &tests::client::Client| client.ask(node, json!({"id": raised["id"]})).await.unwrap();
        assert_eq!(seen(&other).await["node"], Value::Null);
        assert_eq!(seen(&client).await["node"]["sentence"], said.as_str());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_silently_serves_another_version_is_found_out() {
    world(async |world| {
        let customer = json!({"data": {"customer": {"legacyResourceId": "7", "firstName": "Ada", "lastName": "Lovelace"}}});
        let shop = vendor(&[("X-Shopify-API-Version", "2099-01")], &customer).await;
        let client = world.acme.client.clone();
        let settings = json!({"shop": SHOP_DOMAIN, "base_url": shop.url()});
        let credential = json!({"hook_secret": SECRET, "access_token": "shpat_x"});
        let (source, hook_url) = client.connection_create("shopify", "Second shop", settings, credential).await.unwrap();
        client.flow_publish("second orders", &source, &world.acme.destination, json!({})).await.unwrap();
        let current = Catalog::embedded().get("shopify").unwrap().version();
        let shop = Shop::new(SHOP_DOMAIN, SECRET, &hook_url);

        // Only an id comes; the answer to the read-back is of another version than the one in its address.
        assert_eq!(shop.send("customers/create", Uuid::new_v4(), br#"{"id": 7}"#.to_vec()).await.unwrap().status, 200);
        let fallen = notice(&world.acme, "Second shop", "echoed_other_version").await;
        assert_eq!((&fallen["version"], &fallen["servedVersion"]), (&json!(current), &json!("2099-01")));
        assert_eq!((&fallen["severity"], &fallen["daysLeft"]), (&json!("critical"), &Value::Null));
        assert_eq!(fallen["flows"][0]["name"], "second orders");
        assert_eq!(audited(&world.acme, &fallen).await, ["sunset.raised"]);

        // A webhook may be of another version too.
        let version = ("X-Shopify-API-Version".to_owned(), "2025-01".to_owned());
        let answer = shop.send_with("orders/create", Uuid::new_v4(), sample::order(1), version).await.unwrap();
        assert_eq!(answer.status, 200);
        let sent = notice(&world.acme, "Second shop", "sent_other_version").await;
        assert_eq!((&sent["servedVersion"], &sent["owner"]), (&json!("2025-01"), &json!("developer")));
        assert!(notices(&world.acme, "Acme shop", "sent_other_version").await.is_empty(), "the other shop sends what is read");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connectors_own_date_is_told_from_the_first_day_and_closed_when_the_version_moves_on() {
    world(async |world| {
        let known = Catalog::embedded().get("shopify").unwrap().sunset_by_date().unwrap();
        let first = notice(&world.acme, "Acme shop", "connectors_date").await;
        assert_eq!(
            (first["version"].as_str().unwrap(), &first["flows"][0]["name"]),
            (known.version.as_str(), &json!("orders: shopify to netsuite"))
        );
        assert_eq!(first["endsAt"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap(), known.ends_at.unwrap());
        let days = first["daysLeft"].as_i64().unwrap();
        assert!((days - known.days_left(Utc::now()).unwrap()).abs() <= 1, "{days}");

        // What the last build called: the next one closes that notice and raises its own.
        let mut connection = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE sunsets SET version = '2020-01' WHERE closed_at IS NULL").execute(&mut connection).await.unwrap();
        restart(world).await;
        let end = Instant::now() + PATIENCE;
        let next = loop {
            let next = notice(&world.acme, "Acme shop", "connectors_date").await;
            if next["id"] != first["id"] {
                break next;
            }
            assert!(Instant::now() < end, "the old notice stays: {next}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert_eq!(next["version"], first["version"]);
        assert_eq!(audited(&world.acme, &first).await, ["sunset.closed", "sunset.raised"]);
    })
    .await;
}

#[tokio::test]
async fn the_earlier_of_two_announced_days_counts_until_it_is_said_no_more() {
    let database = Database::create().await.unwrap();
    let mut owner = database.connect().await.unwrap();
    let (tenant, other, connection) = (TenantId::generate(), TenantId::generate(), ConnectionId::generate());
    let tenants = "INSERT INTO tenants (id, slug, name) VALUES ($1, 'acme', 'Acme'), ($2, 'other', 'Other')";
    sqlx::query(tenants).bind(tenant.0).bind(other.0).execute(&mut owner).await.unwrap();
    let connections = "INSERT INTO connections (id, tenant_id, connector, name, hook_token) VALUES ($1, $2, 'x', 'X', 't')";
    sqlx::query(connections).bind(connection.0).bind(tenant.0).execute(&mut owner).await.unwrap();
    let store = Store::connect(&database.app_url, 2).await.unwrap();
    let (acme, other) = (Scope::system(tenant, "sunset"), Scope::system(other, "sunset"));
    let moment = |at: &str| -> DateTime<Utc> { at.parse().unwrap() };
    let (february, march) = (moment("2099-02-01T00:00:00Z"), moment("2099-03-01T00:00:00Z"));
    let sign = |ends_at| Sign {
        reason: SunsetReason::AnnouncedByHeader,
        version: "1".into(),
        served_version: None,
        ends_at: Some(ends_at),
        deprecated_at: None,
        link: None,
    };
    let note = async |ends_at| store.within(&acme).sunsets_note(&[(connection, &sign(ends_at))]).await.unwrap();
    let rows = async |scope| store.within(scope).sunsets(moment("2100-01-01T00:00:00Z")).await.unwrap();
    let ends_at = async || rows(&acme).await.first().and_then(|notice| notice.row.ends_at);
    let mut set = async |what: &str| {
        let update = sqlx::AssertSqlSafe(format!("UPDATE sunsets SET {what}"));
        sqlx::query(update).execute(&mut owner).await.unwrap();
    };

    assert_eq!((note(march).await, ends_at().await), (1, Some(march)));
    assert_eq!((note(february).await, ends_at().await), (0, Some(february)));
    assert_eq!((note(march).await, ends_at().await), (0, Some(february)), "resources of one version may end on different days");
    set("dated_at = now() - interval '25 hours'").await;
    assert_eq!((note(march).await, ends_at().await), (0, Some(march)), "the vendor put it off");
    let both = [(connection, &sign(march)), (connection, &sign(february))];
    assert_eq!((store.within(&acme).sunsets_note(&both).await.unwrap(), ends_at().await), (0, Some(february)));

    // When it was last seen moves on once an hour.
    for (minutes, moves) in [(59, false), (61, true)] {
        set(&format!("last_seen_at = now() - interval '{minutes} minutes'")).await;
        let before = rows(&acme).await[0].row.last_seen_at;
        note(february).await;
        assert_eq!(rows(&acme).await[0].row.last_seen_at > before, moves, "{minutes}");
    }

    // Another tenant neither sees it nor raises one for a connection that is not its own.
    assert_eq!(store.within(&other).sunsets_note(&[(connection, &sign(february))]).await.unwrap(), 0);
    let id = rows(&acme).await[0].row.id;
    assert!(rows(&other).await.is_empty() && store.within(&other).sunset(id).await.unwrap().is_none());
    store.within(&other).sunsets_close(&[id]).await.unwrap();
    assert_eq!(rows(&acme).await.len(), 1);

    store.within(&acme).sunsets_close(&[id]).await.unwrap();
    assert!(rows(&acme).await.is_empty());
    assert_eq!((note(march).await, rows(&acme).await.len()), (1, 1), "what comes again is a notice of its own");
    store.close().await;
    drop(owner);
    database.drop().await.unwrap();
}
