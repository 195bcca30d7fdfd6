//! Whoever looks at a tenant is told when something in it changes, and whoever may not look is told nothing.

use serde_json::json;
use tests::client::{Client, Told};

use crate::world;

const CHANGES: &str = "subscription { changes { at } }";

async fn subscribed(client: &Client) -> Told {
    let mut told = client.subscribe(CHANGES).await.unwrap();
    let first = told.next().await.unwrap().unwrap();
    assert!(first["data"]["changes"]["at"].is_string(), "it begins by telling once: {first}");
    told
}

/// The next change, or nothing for that long.
async fn told(told: &mut Told, seconds: u64) -> bool {
    tokio::time::timeout(std::time::Duration::from_secs(seconds), told.next()).await.is_ok_and(|next| next.unwrap().is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_told_to_those_who_look_at_its_tenant_and_to_nobody_else() {
    world(async |world| {
        let other = world.platform.sign_in().await.unwrap();
        other.tenant_create("other").await.unwrap();
        let other = other.of_tenant("other");
        let (mut ours, mut theirs) = (subscribed(&world.acme.client).await, subscribed(&other).await);
        // What was done before is told once, and then there is rest.
        while told(&mut ours, 3).await {}
        while told(&mut theirs, 3).await {}
        world.acme.client.lookup_table_create("Colours", &[]).await.unwrap();
        assert!(told(&mut ours, 60).await, "a lookup table was made");
        assert!(!told(&mut theirs, 3).await, "and not with them");

        let refused = async |client: &Client| {
            let mut told = client.subscribe(CHANGES).await.unwrap();
            let answer = told.next().await.unwrap().unwrap();
            assert_eq!(told.next().await.unwrap(), None, "the stream ends with its refusal");
            answer["errors"][0]["extensions"]["code"].as_str().unwrap().to_owned()
        };
        assert_eq!(refused(&Client::new(&world.platform.url)).await, "UNAUTHENTICATED");
        let unasked = world.acme.client.raw(CHANGES, json!({})).await.unwrap();
        assert!(unasked["errors"].is_array(), "it is told on a stream only: {unasked}");
    })
    .await;
}
