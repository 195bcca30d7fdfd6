//! Members of a tenant: their roles count at once, and an owner always stays.

use serde_json::{Value, json};
use tests::client::Client;

use crate::world;

const PASSWORD: &str = "a-password-of-a-member";
const ROLE: &str =
    "mutation($u: ID!, $r: MemberRole!) { memberRoleSet(userId: $u, role: $r) { member { role } userErrors { code } } }";
const REMOVE: &str = "mutation($u: ID!) { memberRemove(userId: $u) { member { role } userErrors { code } } }";

/// The code of what was refused: of the whole or of a field.
fn refusal(answer: &Value, field: &str) -> Value {
    let top = &answer["errors"][0]["extensions"]["code"];
    if top.is_null() { answer["data"][field]["userErrors"][0]["code"].clone() } else { top.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_counts_at_once_and_the_last_owner_stays() {
    world(async |world| {
        let owner = &world.acme.client;
        let mut connection = world.platform.database.connect().await.unwrap();
        let mut people = Vec::new();
        for role in ["admin", "operator"] {
            let email = format!("{role}@crossdock.example");
            world.platform.user_create(&email, PASSWORD).await.unwrap();
            let member = "INSERT INTO members (tenant_id, user_id, role) SELECT t.id, u.id, $2 FROM tenants t, users u WHERE t.slug = 'acme' AND u.email = $1";
            sqlx::query(member).bind(&email).bind(role).execute(&mut connection).await.unwrap();
            let client = Client::new(&world.platform.url).sign_in(&email, PASSWORD).await.unwrap().of_tenant("acme");
            let id = client.ask("{ viewer { id } }", json!({})).await.unwrap()["viewer"]["id"].as_str().unwrap().to_owned();
            people.push((client, id));
        }
        let [(admin, admin_id), (operator, operator_id)] = <[_; 2]>::try_from(people).ok().unwrap();
        let owner_id = owner.ask("{ viewer { id } }", json!({})).await.unwrap()["viewer"]["id"].as_str().unwrap().to_owned();
        let may = async |client: &Client, query: &str| client.raw(query, json!({})).await.unwrap()["errors"].is_null();
        let table = "mutation { lookupTableCreate(name: \"t\") { userErrors { code } } }";

        assert!(!may(&operator, table).await);
        let set = admin.raw(ROLE, json!({"u": operator_id, "r": "DEVELOPER"})).await.unwrap();
        assert_eq!(set["data"]["memberRoleSet"], json!({"member": {"role": "developer"}, "userErrors": []}));
        assert!(may(&operator, table).await, "with the token that they had before");

        // An admin is no way to an owner.
        for (user, role) in [(&admin_id, "OWNER"), (&operator_id, "OWNER"), (&owner_id, "ADMIN")] {
            assert_eq!(refusal(&admin.raw(ROLE, json!({"u": user, "r": role})).await.unwrap(), "memberRoleSet"), "FORBIDDEN");
        }
        assert_eq!(refusal(&admin.raw(REMOVE, json!({"u": owner_id})).await.unwrap(), "memberRemove"), "FORBIDDEN");
        assert_eq!(refusal(&operator.raw(REMOVE, json!({"u": admin_id})).await.unwrap(), "memberRemove"), "FORBIDDEN");
        for (query, field) in [(ROLE, "memberRoleSet"), (REMOVE, "memberRemove")] {
            let last = owner.raw(query, json!({"u": owner_id, "r": "ADMIN"})).await.unwrap();
            assert_eq!(refusal(&last, field), "BLOCKED", "{last}");
            let nobody = owner.raw(query, json!({"u": "usr_00000000000070008000000000000001", "r": "ADMIN"})).await.unwrap();
            assert_eq!(refusal(&nobody, field), "NOT_FOUND");
        }
        // Two owners who step back at once: one stays.
        owner.ask(ROLE, json!({"u": admin_id, "r": "OWNER"})).await.unwrap();
        let (one, two) = tokio::join!(
            owner.raw(ROLE, json!({"u": owner_id, "r": "ADMIN"})),
            admin.raw(ROLE, json!({"u": admin_id, "r": "ADMIN"}))
        );
        let mut refused = [refusal(&one.unwrap(), "memberRoleSet"), refusal(&two.unwrap(), "memberRoleSet")];
        refused.sort_by_key(Value::is_null);
        assert_eq!(refused, [json!("BLOCKED"), Value::Null]);

        let manager = if may(owner, "{ apiKeys { id } }").await { owner } else { &admin };
        manager.ask(REMOVE, json!({"u": operator_id})).await.unwrap();
        assert!(!may(&operator, "{ connections { nodes { id } } }").await, "with the token that they had before");
        let audit = manager.ask("query($id: ID!) { auditEvents(subjectId: $id) { nodes { action detail } } }", json!({"id": operator_id})).await.unwrap();
        let told: Vec<(&str, &str)> = audit["auditEvents"]["nodes"].as_array().unwrap().iter().map(|event| (event["action"].as_str().unwrap(), event["detail"].as_str().unwrap())).collect();
        assert_eq!(told, [("member.removed", "{\"role\":\"developer\"}"), ("member.role_set", "{\"from\":\"operator\",\"to\":\"developer\"}")]);
    })
    .await;
}
