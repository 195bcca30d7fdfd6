//! Where a tenant demands a second factor, a password alone reaches nothing of it: at the next sign-in and in the session that is open.

use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::platform::EMAIL;

use crate::second_factor::{code, set_up};
use crate::{World, world};

const PASSWORD: &str = "a-password-of-a-member";
const BOB: &str = "bob@crossdock.example";
const SET: &str =
    "mutation($d: Boolean!) { signInPolicySet(secondFactor: $d) { signInPolicy { secondFactorDemandedAt without { email } }
    userErrors { field code message } } }";
const POLICY: &str = "{ signInPolicy { secondFactorDemandedAt without { email } } }";
const FLOWS: &str = "{ flows(first: 1) { nodes { id } } }";
const PLACES: &str = "{ viewer { memberships { tenant { slug } needsSecondFactor } permissions } tenant { slug } }";

/// A member of acme who signs in by password.
async fn bob(world: &World) -> Client {
    world.joins(BOB, PASSWORD, "operator").await;
    Client::new(&world.platform.url).sign_in(BOB, PASSWORD).await.unwrap()
}

async fn refusal(client: &Client, query: &str) -> Value {
    client.raw(query, json!({})).await.unwrap()["errors"][0]["extensions"]["code"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_second_factor_reaches_nothing_of_a_tenant_that_demands_one_until_they_do() {
    world(async |world| {
        let (owner, client) = (&world.acme.client, bob(world).await);
        let bob = client.clone().of_tenant("acme");
        let elsewhere = client.tenant_create("elsewhere").await.unwrap();
        let elsewhere = client.clone().of_tenant(&elsewhere);
        let key = "mutation { apiKeyCreate(input: {name: \"sync\", permissions: [READ_OPERATIONS]}) { key userErrors { message } } }";
        let key = owner.ask(key, json!({})).await.unwrap()["apiKeyCreate"]["key"].as_str().unwrap().to_owned();

        // Whoever demands it would be the first to be kept out.
        let early = owner.raw(SET, json!({"d": true})).await.unwrap();
        assert_eq!(early["data"]["signInPolicySet"]["userErrors"][0]["code"], "BLOCKED", "{early}");
        assert_eq!(refusal(&bob, POLICY).await, "FORBIDDEN");
        set_up(owner, EMAIL, &world.platform.password).await;
        let demanded = owner.ask(SET, json!({"d": true})).await.unwrap();
        let policy = &demanded["signInPolicySet"]["signInPolicy"];
        assert!(policy["secondFactorDemandedAt"].is_string(), "{policy}");
        assert_eq!(policy["without"], json!([{"email": BOB}]));

        // The session that is open, from its next request on; whatever is asked.
        for query in [FLOWS, "{ members { email } }", "mutation { lookupTableCreate(name: \"t\") { userErrors { code } } }"] {
            assert_eq!(refusal(&bob, query).await, "SECOND_FACTOR_NEEDED", "{query}");
        }
        let told = bob.ask(PLACES, json!({})).await.unwrap();
        let expected = json!([{"tenant": {"slug": "acme"}, "needsSecondFactor": true}, {"tenant": {"slug": "elsewhere"}, "needsSecondFactor": false}]);
        assert_eq!((&told["viewer"]["memberships"], &told["viewer"]["permissions"], &told["tenant"]), (&expected, &json!([]), &Value::Null));
        let mut changes = bob.subscribe("subscription { changes { at } }").await.unwrap();
        let refused = changes.next().await.unwrap().unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["code"], "SECOND_FACTOR_NEEDED", "{refused}");
        // What is their own, and other tenants, stay; and programs have no factor to show.
        assert_eq!(elsewhere.ask(FLOWS, json!({})).await.unwrap(), json!({"flows": {"nodes": []}}));
        Client::new(&world.platform.url).with_token(&key).ask(FLOWS, json!({})).await.unwrap();
        owner.ask(FLOWS, json!({})).await.unwrap();

        // At the next sign-in it is the same, and with an app it is over at once, in the session that set it up.
        let late = Client::new(&world.platform.url).sign_in(BOB, PASSWORD).await.unwrap().of_tenant("acme");
        assert_eq!(refusal(&late, FLOWS).await, "SECOND_FACTOR_NEEDED");
        let (app, _) = set_up(&late, BOB, PASSWORD).await;
        late.ask(FLOWS, json!({})).await.unwrap();
        assert_eq!(refusal(&bob, FLOWS).await, "UNAUTHENTICATED", "the session that never showed it is over");
        assert_eq!(owner.ask(POLICY, json!({})).await.unwrap()["signInPolicy"]["without"], json!([]));

        // Taken away, it is missing again.
        let mut database = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE second_factors SET last_step = last_step - 2").execute(&mut database).await.unwrap();
        let remove = "mutation($p: String!, $c: String!) { secondFactorRemove(password: $p, code: $c) { done userErrors { message } } }";
        late.ask(remove, json!({"p": PASSWORD, "c": code(&app, 0)})).await.unwrap();
        assert_eq!(refusal(&late, FLOWS).await, "SECOND_FACTOR_NEEDED");

        // Demanded twice it is demanded once; let go, a password is enough again.
        owner.ask(SET, json!({"d": true})).await.unwrap();
        let released = owner.ask(SET, json!({"d": false})).await.unwrap();
        assert!(released["signInPolicySet"]["signInPolicy"]["secondFactorDemandedAt"].is_null());
        late.ask(FLOWS, json!({})).await.unwrap();
        let told: Vec<String> = sqlx::query_scalar("SELECT detail FROM audit_events WHERE action = 'sign_in_policy.set' ORDER BY id")
            .fetch_all(&mut database)
            .await
            .unwrap();
        assert_eq!(told, [r#"{"second_factor":true}"#, r#"{"second_factor":false}"#]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demand_holds_for_what_is_no_graphql_too() {
    world(async |world| {
        let owner = &world.acme.client;
        world.joins(BOB, PASSWORD, "auditor").await;
        let open = "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken } } }";
        let input = json!({"i": {"email": BOB, "password": PASSWORD}});
        let opened = Client::new(&world.platform.url).raw(open, input).await.unwrap();
        let token = opened["data"]["sessionOpen"]["session"]["accessToken"].as_str().unwrap().to_owned();
        let export = async || {
            let request = http().build().unwrap().get(format!("{}/audit/events.csv", world.platform.url));
            request.bearer_auth(&token).header("X-Crossdock-Tenant", "acme").send().await.unwrap().status().as_u16()
        };
        assert_eq!(export().await, 200);
        set_up(owner, EMAIL, &world.platform.password).await;
        owner.ask(SET, json!({"d": true})).await.unwrap();
        assert_eq!(export().await, 403);
    })
    .await;
}
