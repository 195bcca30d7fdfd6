//! What tells of a person is seen by those whose work needs it, and by nobody else, wherever it stands: in the record, in what came, in what was sent.

use std::time::Duration;

use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::sample;
use uuid::Uuid;

use crate::{impersonation, world};

const PASSWORD: &str = "a-password-of-the-buyers";
const CREATE: &str = "mutation($i: ApiKeyCreateInput!) { apiKeyCreate(input: $i) { key userErrors { field code } } }";
/// Of the sample: who bought, and where the goods go.
const PERSONAL: [&str; 4] = ["ada@example.com", "Byron", "12 Analytical Way", "+14155550100"];
const EVERYTHING: &str = "{
    records(first: 1) { nodes { number document content { ... on Order { customer { name email } shippingAddress { line1 city phone } lines { sku } } }
        revisions { document } timeline(first: 20) { nodes { sentence detail call { url } } }
        deliveries(first: 1) { nodes { id attempts { url request answer } exceptions { sentence value } } } } }
    messages(first: 1) { nodes { body } }
    search(text: \"ada@example.com\", first: 1) { value record { number } } }";

/// What somebody is shown, as text.
async fn seen(client: &Client) -> Value {
    let answer = client.raw(EVERYTHING, json!({})).await.unwrap();
    assert!(answer["errors"].is_null(), "{answer}");
    answer["data"].clone()
}

fn shows_whole(seen: &Value) {
    let text = seen.to_string();
    for personal in PERSONAL {
        assert!(text.contains(personal), "{personal} is shown: {text}");
    }
    let order = &seen["records"]["nodes"][0];
    assert!(order["content"]["customer"]["name"].as_str().unwrap().contains("Byron"), "{order}");
    assert!(!text.contains("•••"), "{text}");
}

fn hides(seen: &Value, who: &str) {
    let text = seen.to_string();
    for personal in PERSONAL {
        assert!(!text.contains(personal), "{who} does not see {personal}: {text}");
    }
    // What is no person's stays: without it nobody could work.
    let order = &seen["records"]["nodes"][0];
    assert_eq!((&order["number"], &order["content"]["customer"]["email"]), (&json!("#L1"), &json!("•••")), "{who}");
    assert!(order["content"]["lines"][0]["sku"].as_str().unwrap().len() > 3, "{who}: {order}");
    for whole in
        [&order["document"], &seen["messages"]["nodes"][0]["body"], &order["deliveries"]["nodes"][0]["attempts"][0]["request"]]
    {
        let parsed: Value = serde_json::from_str(whole.as_str().unwrap()).unwrap();
        assert!(parsed.is_object() && whole.as_str().unwrap().contains("•••"), "{who}: {whole}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_sees_what_tells_of_a_person_only_where_its_work_needs_it() {
    world(async |world| {
        let platform = &world.platform;
        assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap().status, 200);
        world.acme.rest(1, Duration::from_secs(30)).await.unwrap();
        shows_whole(&seen(&world.acme.client).await);

        let mut connection = platform.database.connect().await.unwrap();
        for (role, sees) in [("owner", true), ("admin", true), ("operator", true), ("developer", false), ("auditor", false)] {
            let email = format!("{role}@crossdock.example");
            platform.user_create(&email, PASSWORD).await.unwrap();
            let member = "INSERT INTO members (tenant_id, user_id, role) SELECT t.id, u.id, $2 FROM tenants t, users u WHERE t.slug = 'acme' AND u.email = $1";
            sqlx::query(member).bind(&email).bind(role).execute(&mut connection).await.unwrap();
            let client = Client::new(&platform.url).sign_in(&email, PASSWORD).await.unwrap().of_tenant("acme");
            let seen = seen(&client).await;
            if sees { shows_whole(&seen) } else { hides(&seen, role) }
        }
        for (permissions, sees) in [(json!(["READ_OPERATIONS"]), false), (json!(["READ_OPERATIONS", "READ_PERSONAL_DATA"]), true)] {
            let made = world.acme.client.ask(CREATE, json!({"i": {"name": "k", "permissions": permissions}})).await.unwrap();
            let key = Client::new(&platform.url).with_token(made["apiKeyCreate"]["key"].as_str().unwrap());
            let seen = seen(&key).await;
            if sees { shows_whole(&seen) } else { hides(&seen, "a key") }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn support_sees_what_tells_of_a_person_only_where_the_tenant_shows_it() {
    world(async |world| {
        assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap().status, 200);
        world.acme.rest(1, Duration::from_secs(30)).await.unwrap();
        let staff = impersonation::staff(world).await;
        impersonation::consent(world, true).await;
        let begun = impersonation::begin(world, &staff, true).await;
        hides(&seen(&begun.client).await, "support");
        let set = "mutation($y: Boolean!) { supportPersonalDataSet(isShown: $y) { isShown userErrors { code } } }";
        let refused = begun.client.raw(set, json!({"y": true})).await.unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "support shows it to nobody");
        world.acme.client.ask(set, json!({"y": true})).await.unwrap();
        assert_eq!(
            world.acme.client.ask("{ supportSeesPersonalData }", json!({})).await.unwrap()["supportSeesPersonalData"],
            true
        );
        shows_whole(&seen(&begun.client).await);
        world.acme.client.ask(set, json!({"y": false})).await.unwrap();
        hides(&seen(&begun.client).await, "support");
        let told = world
            .acme
            .client
            .ask("{ auditEvents(action: \"support.personal_data_set\") { nodes { detail } } }", json!({}))
            .await
            .unwrap();
        assert_eq!(told["auditEvents"]["nodes"].as_array().unwrap().len(), 2, "{told}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sheet_of_the_log_hides_what_an_edit_changed_from_who_may_not_see_it() {
    world(async |world| {
        let mut connection = world.platform.database.connect().await.unwrap();
        // As the edit of a record is told.
        let detail = r#"{"changes":[{"path":"customer.name","before":"Ada","after":"Augusta"}]}"#;
        let told = "INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
            SELECT $2, id, '{\"kind\":\"operator\"}', 'record.edited', 'record', id, id, $1 FROM tenants WHERE slug = 'acme'";
        let told = sqlx::query(told).bind(detail).bind(Uuid::now_v7()).execute(&mut connection).await;
        let made = world.acme.client.ask(CREATE, json!({"i": {"name": "k", "permissions": ["READ_AUDIT"]}})).await.unwrap();
        let key = made["apiKeyCreate"]["key"].as_str().unwrap().to_owned();
        told.unwrap();
        let sheet = format!("{}/audit/events.csv?action=record.edited", world.platform.url);
        let text = http().build().unwrap().get(&sheet).bearer_auth(&key).send().await.unwrap().text().await.unwrap();
        assert!(text.contains("customer.name") && !text.contains("Augusta"), "{text}");
        let of_key = Client::new(&world.platform.url).with_token(&key);
        let events = "{ auditEvents(action: \"record.edited\") { nodes { detail } } }";
        let shown = of_key.ask(events, json!({})).await.unwrap().to_string();
        assert!(shown.contains("customer.name") && !shown.contains("Augusta"), "{shown}");
        assert!(world.acme.client.ask(events, json!({})).await.unwrap().to_string().contains("Augusta"), "an owner sees it");
    })
    .await;
}
