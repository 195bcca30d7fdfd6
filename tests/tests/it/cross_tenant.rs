//! An id of another tenant is as absent as one that was never made: through every query and mutation that takes one, wherever it can be said.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Client;
use tests::sample;
use uuid::Uuid;

use crate::walk::Schema;
use crate::{impersonation, world};

const PASSWORD: &str = "a-password-of-another";
/// What is looked at to see that nothing was changed, and whose ids are tried.
const EVERYTHING: &str = "{
    connections { nodes { id name state } } flows { nodes { id name } } lookupTables { nodes { id name version } } records { nodes { id } }
    messages { nodes { id state } } deliveries { nodes { id state attempts { id } } } exceptions { nodes { id causeKey tags } }
    exceptionGroups { nodes { id count } } alertReceivers { id name } apiKeys { id state } identityProvider { issuer clientId } emailDomains { domain provenAt } scimTokens { id prefix } members { userId role } tenant { id name }
    polls { nodes { id state } } impersonations { id state } supportConsents { id state } supportRequests { id state } auditEvents(first: 100) { nodes { id subjectId } }
}";

/// One id of each kind.
fn ids(value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) => map.values().for_each(|value| ids(value, found)),
        Value::Array(list) => list.iter().for_each(|value| ids(value, found)),
        Value::String(text) => {
            if let Some((kind, hex)) = text.split_once('_')
                && kind.len() == 3
                && hex.len() == 32
            {
                found.entry(kind.to_owned()).or_insert_with(|| text.clone());
            }
        }
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_tenant_ids_are_as_absent_as_those_that_were_never_made() {
    world(async |world| {
        let acme = &world.acme;
        acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        let unmapped = sample::orders().into_iter().find(|(name, _)| name.contains("unmapped")).unwrap().1;
        acme.shop.send("orders/create", Uuid::new_v4(), unmapped).await.unwrap();
        acme.rest(2, Duration::from_secs(30)).await.unwrap();
        let setup = "mutation { r: alertReceiverCreate(input: {name: \"ops\", kind: MAIL, address: \"ops@example.com\"}) { userErrors { message } }
            k: apiKeyCreate(input: {name: \"k\", permissions: [READ_OPERATIONS]}) { userErrors { message } }
            p: identityProviderSet(input: {issuer: \"https://id.example.com\", clientId: \"us\", clientSecret: \"s\", roles: [], defaultRole: AUDITOR}) { userErrors { message } }
            d: emailDomainAdd(domain: \"example.com\") { userErrors { message } } s: scimTokenCreate { userErrors { message } } }";
        acme.client.ask(setup, json!({})).await.unwrap();
        // Support asked, was let in, and is there; and a consent stands for all of the staff.
        let staff = impersonation::staff(world).await;
        impersonation::consent(world, true).await;
        impersonation::ask(world, &staff, false).await;
        impersonation::begin(world, &staff, true).await;
        let before = acme.client.ask(EVERYTHING, json!({})).await.unwrap();
        let mut foreign = BTreeMap::new();
        ids(&before, &mut foreign);
        assert!(foreign.len() >= 18, "{foreign:?}");

        world.platform.user_create("other@crossdock.example", PASSWORD).await.unwrap();
        let other = Client::new(&world.platform.url).sign_in("other@crossdock.example", PASSWORD).await.unwrap();
        let own = other.tenant_create("other").await.unwrap();
        let other = other.of_tenant(&own);
        // What has no id to be asked by is the own one, or nothing.
        let own = other.ask("{ identityProvider { issuer } emailDomains { domain } }", json!({})).await.unwrap();
        assert_eq!(own, json!({"identityProvider": null, "emailDomains": []}));
        let schema = Schema::of(&acme.client).await;
        let mut asked = 0;
        for operation in schema.operations().filter(|operation| operation.takes_id()) {
            for (kind, id) in &foreign {
                let absent = format!("{kind}_00000000000070008000000000000001");
                let answer = async |id: &str| other.raw(&operation.with_id(id), json!({})).await.unwrap().to_string().replace(id, "ID");
                let (foreign, never_made) = (answer(id).await, answer(&absent).await);
                assert_eq!(foreign, never_made, "{}", operation.with_id(id));
                asked += 1;
            }
        }
        assert!(asked > 1_000, "{asked}");
        assert_eq!(acme.client.ask(EVERYTHING, json!({})).await.unwrap(), before, "nothing of acme changed");
    })
    .await;
}
