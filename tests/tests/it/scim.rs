//! A tenant's directory (SCIM 2.0) brings its people, gives them the roles of their groups and takes them away: of its own domains only, of this tenant only,
//! nothing twice, and never the last owner.

use reqwest::Method;
use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::platform::EMAIL;

use crate::{World, world};

const PASSWORD: &str = "a-password-of-a-person";
const ANN: &str = "ann@acme.example";
const SET: &str = "mutation($i: IdentityProviderSetInput!) { identityProviderSet(input: $i) { userErrors { code message } } }";
const TOKEN: &str =
    "mutation($h: Int!) { scimTokenCreate(overlapHours: $h) { scimToken { id prefix } token url userErrors { code message } } }";
const FLOWS: &str = "{ flows(first: 1) { nodes { id } } }";
/// An id of each kind that was never made.
const NO_USER: &str = "scu_00000000000070008000000000000001";
const NO_GROUP: &str = "scg_00000000000070008000000000000001";

/// A directory with its token.
pub(crate) struct Directory {
    pub(crate) url: String,
    pub(crate) token: String,
}

impl Directory {
    /// Of a tenant whose provider has this table, and whose domain `acme.example` is proven.
    pub(crate) async fn of(world: &World, tenant: &Client, roles: &[(&str, &str)]) -> Self {
        provider(tenant, roles).await;
        prove(world, tenant, "acme.example").await;
        let made = tenant.ask(TOKEN, json!({"h": 24})).await.unwrap()["scimTokenCreate"].take();
        assert_eq!(made["url"], format!("{}/scim/v2", world.platform.url));
        let token = made["token"].as_str().unwrap().to_owned();
        assert!(token.starts_with(&format!("cds_{}_", made["scimToken"]["prefix"].as_str().unwrap())));
        Self { url: made["url"].as_str().unwrap().to_owned(), token }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut request = http().build().unwrap().request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("Content-Type", "application/scim+json").body(body.to_string());
        }
        let answer = request.send().await.unwrap();
        let (status, kind) = (answer.status().as_u16(), answer.headers().get("content-type").cloned());
        let text = answer.text().await.unwrap();
        if text.is_empty() {
            return (status, Value::Null);
        }
        assert_eq!(kind.unwrap(), "application/scim+json", "{text}");
        let value: Value = serde_json::from_str(&text).unwrap();
        if status >= 400 {
            assert_eq!(value["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]), "{value}");
            assert_eq!(
                (value["status"].as_str(), value["detail"].is_string()),
                (Some(status.to_string().as_str()), true),
                "{value}"
            );
        }
        (status, value)
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask(Method::GET, path, None).await
    }

    /// Makes it, and gives its id.
    pub(crate) async fn make(&self, path: &str, body: Value) -> String {
        let (status, made) = self.ask(Method::POST, path, Some(body)).await;
        assert_eq!(status, 201, "{made}");
        assert_eq!(made["meta"]["location"], format!("{}{path}/{}", self.url, made["id"].as_str().unwrap()));
        made["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn patch(&self, path: &str, operations: Value) -> (u16, Value) {
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        self.ask(Method::PATCH, path, Some(body)).await
    }
}

async fn provider(tenant: &Client, roles: &[(&str, &str)]) {
    let roles: Vec<Value> = roles.iter().map(|(group, role)| json!({"group": group, "role": role})).collect();
    let input = json!({"issuer": "https://id.example.com", "clientId": "us", "clientSecret": "s", "roles": roles});
    tenant.ask(SET, json!({"i": input})).await.unwrap();
}

/// As if the code that was mailed had been typed in.
async fn prove(world: &World, tenant: &Client, domain: &str) {
    let add = "mutation($d: String!) { emailDomainAdd(domain: $d) { userErrors { code } } }";
    tenant.ask(add, json!({"d": domain})).await.unwrap();
    let mut database = world.platform.database.connect().await.unwrap();
    let set = "UPDATE email_domains SET proven_at = now() WHERE domain = $1";
    sqlx::query(set).bind(domain).execute(&mut database).await.unwrap();
}

pub(crate) fn person(user_name: &str) -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": user_name, "externalId": format!("ext-{user_name}"), "active": true,
        "name": {"givenName": "Ann", "familyName": "Lee"}, "emails": [{"value": user_name, "type": "work", "primary": true}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"department": "IT"},
    })
}

/// Role by address.
async fn members(tenant: &Client) -> Value {
    let members = tenant.ask("{ members { email role } }", json!({})).await.unwrap();
    let members = members["members"].as_array().unwrap().iter();
    members
        .map(|member| (member["email"].as_str().unwrap().to_owned(), member["role"].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// What the audit log tells, oldest first: act and detail.
async fn told(world: &World, like: &str) -> Vec<(String, String)> {
    let mut database = world.platform.database.connect().await.unwrap();
    let query = "SELECT action, coalesce(detail, '') FROM audit_events WHERE actor ->> 'kind' = 'scim_token' AND action LIKE $1 ORDER BY id";
    sqlx::query_as(query).bind(like).fetch_all(&mut database).await.unwrap()
}

fn actions(events: &[(String, String)]) -> Vec<&str> {
    events.iter().map(|(action, _)| action.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn scim_brings_people_gives_them_roles_and_takes_them_away() {
    world(async |world| {
        let owner = &world.acme.client;
        let early = owner.raw(TOKEN, json!({"h": 24})).await.unwrap();
        assert_eq!(
            early["data"]["scimTokenCreate"]["userErrors"][0]["code"], "BLOCKED",
            "without a table nobody becomes anything"
        );
        let directory = Directory::of(world, owner, &[("Operators", "OPERATOR"), ("it-id", "ADMIN")]).await;
        // She has an account already, and a session.
        world.platform.user_create(ANN, PASSWORD).await.unwrap();
        let ann = Client::new(&world.platform.url).sign_in(ANN, PASSWORD).await.unwrap().of_tenant("acme");

        let id = directory.make("/Users", person(ANN)).await;
        assert_eq!(members(owner).await, json!({EMAIL: "owner"}), "in no group she is nobody yet");
        let (status, shown) = directory.get(&format!("/Users/{id}")).await;
        let (name, email) = (&shown["name"]["givenName"], &shown["emails"][0]["value"]);
        assert_eq!((status, &shown["userName"], name, email), (200, &json!(ANN), &json!("Ann"), &json!(ANN)));
        for filter in [
            format!("userName eq \"{}\"", ANN.to_uppercase()),
            format!("externalId eq \"ext-{ANN}\""),
            format!("emails[type eq \"work\"].value eq \"{ANN}\""),
        ] {
            let query: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("filter", &filter).finish();
            let (_, found) = directory.get(&format!("/Users?{query}")).await;
            assert_eq!((&found["totalResults"], &found["Resources"][0]["id"]), (&json!(1), &json!(id)), "{filter}: {found}");
        }

        // Asked for once more, nothing is there twice.
        let (status, again) = directory.ask(Method::POST, "/Users", Some(person(ANN))).await;
        assert_eq!((status, &again["scimType"]), (409, &json!("uniqueness")), "{again}");
        let renamed = json!({"userName": "lee", "emails": [{"value": ANN}]});
        assert_eq!(directory.ask(Method::POST, "/Users", Some(renamed)).await.0, 409, "one account is one person");

        // Her groups give her a place, by the name and by the directory's own id of it; the most powerful counts.
        let ops = directory.make("/Groups", json!({"displayName": "Operators", "members": [{"value": id}]})).await;
        assert_eq!(members(owner).await[ANN], "operator");
        ann.ask(FLOWS, json!({})).await.unwrap();
        assert_eq!(directory.ask(Method::POST, "/Groups", Some(json!({"displayName": "operators"}))).await.0, 409);
        let it = directory.make("/Groups", json!({"displayName": "IT", "externalId": "it-id"})).await;
        let add = json!([{"op": "Add", "path": "members", "value": [{"value": id}]}]);
        let (status, group) = directory.patch(&format!("/Groups/{it}"), add.clone()).await;
        assert_eq!((status, &group["members"][0]["value"]), (200, &json!(id)), "{group}");
        assert_eq!(members(owner).await[ANN], "admin");
        let before = told(world, "%").await.len();
        assert_eq!(directory.patch(&format!("/Groups/{it}"), add).await.0, 200);
        assert_eq!(directory.ask(Method::PUT, &format!("/Users/{id}"), Some(person(ANN))).await.0, 200);
        assert_eq!(told(world, "%").await.len(), before, "what is as it was writes nothing");
        let (status, _) = directory
            .patch(&format!("/Groups/{it}"), json!([{"op": "remove", "path": format!("members[value eq \"{id}\"]")}]))
            .await;
        assert_eq!((status, &members(owner).await[ANN]), (200, &json!("operator")));
        // Another table counts at once.
        provider(owner, &[("Operators", "AUDITOR")]).await;
        assert_eq!(members(owner).await[ANN], "auditor");

        // Gone there is gone here: in the session that is open, too.
        let off = json!([{"op": "Replace", "path": "active", "value": "False"}]);
        let (status, shown) = directory.patch(&format!("/Users/{id}"), off).await;
        assert_eq!((status, &shown["active"]), (200, &json!(false)), "{shown}");
        assert_eq!(members(owner).await, json!({EMAIL: "owner"}));
        assert!(
            ann.raw("{ viewer { id } }", json!({})).await.unwrap()["data"]["viewer"].is_null(),
            "she is a member nowhere: her session is over"
        );
        let on = json!([{"op": "replace", "value": {"active": true}}]);
        assert_eq!(directory.patch(&format!("/Users/{id}"), on).await.0, 200);
        assert_eq!(members(owner).await[ANN], "auditor");
        assert_eq!(directory.ask(Method::DELETE, &format!("/Groups/{ops}"), None).await, (204, Value::Null));
        assert_eq!(members(owner).await, json!({EMAIL: "owner"}), "what the group gave went with it");
        assert_eq!(directory.ask(Method::DELETE, &format!("/Users/{id}"), None).await, (204, Value::Null));
        assert_eq!(directory.ask(Method::DELETE, &format!("/Users/{id}"), None).await.0, 404);
        Client::new(&world.platform.url).sign_in(ANN, PASSWORD).await.unwrap();

        let members = told(world, "member.%").await;
        let expected =
            ["member.joined", "member.role_set", "member.role_set", "member.removed", "member.joined", "member.removed"];
        assert_eq!(actions(&members), expected, "and one by the owner's new table, which is the owner's act");
        assert!(members.iter().all(|(_, detail)| detail.contains("\"by\":\"scim\"")), "{members:?}");
        let users = told(world, "scim_user.%").await;
        assert_eq!(actions(&users), ["scim_user.created", "scim_user.changed", "scim_user.changed", "scim_user.removed"]);
        assert!(users[1].1.contains("\"changed\":[\"active\"]"), "{users:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scim_takes_back_what_was_offered_by_who_is_gone() {
    world(async |world| {
        let owner = &world.acme.client;
        let directory = Directory::of(world, owner, &[("Admins", "ADMIN")]).await;
        world.platform.user_create(ANN, PASSWORD).await.unwrap();
        let ann = Client::new(&world.platform.url).sign_in(ANN, PASSWORD).await.unwrap().of_tenant("acme");
        let id = directory.make("/Users", person(ANN)).await;
        directory.make("/Groups", json!({"displayName": "Admins", "members": [{"value": id}]})).await;
        let invite = "mutation { invitationCreate(email: \"ann@elsewhere.example\", role: ADMIN) { userErrors { code } } }";
        ann.ask(invite, json!({})).await.unwrap();
        let off = json!([{"op": "replace", "path": "active", "value": false}]);
        assert_eq!(directory.patch(&format!("/Users/{id}"), off).await.0, 200);
        let open = owner.ask("{ invitations { withdrawnAt } }", json!({})).await.unwrap();
        assert!(open["invitations"][0]["withdrawnAt"].is_string(), "{open}");
        assert_eq!(actions(&told(world, "invitation.%").await), ["invitation.withdrawn"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scim_says_who_somebody_is_in_proven_domains_only() {
    world(async |world| {
        let owner = &world.acme.client;
        let directory = Directory::of(world, owner, &[("Operators", "OPERATOR")]).await;
        world.platform.user_create("boss@elsewhere.example", PASSWORD).await.unwrap();
        for user in [person("boss@elsewhere.example"), person("new@elsewhere.example"), person("ann@sub.acme.example")] {
            let (status, refused) = directory.ask(Method::POST, "/Users", Some(user)).await;
            assert_eq!((status, &refused["scimType"]), (400, &json!("invalidValue")), "{refused}");
            assert!(refused["detail"].as_str().unwrap().contains("has not proven that the domain"), "{refused}");
        }
        let mut plain = person("ann");
        plain.as_object_mut().unwrap().remove("emails");
        assert_eq!(directory.ask(Method::POST, "/Users", Some(plain)).await.0, 400, "without an address nobody is anybody");
        // By the user name into a domain of one's own, and then to somebody else's address.
        let id = directory.make("/Users", person(ANN)).await;
        let moved = json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "boss@elsewhere.example"}]);
        assert_eq!(directory.patch(&format!("/Users/{id}"), moved).await.0, 400);
        directory.make("/Groups", json!({"displayName": "Operators", "members": [{"value": id}]})).await;
        assert_eq!(members(owner).await, json!({EMAIL: "owner", ANN: "operator"}));
        // The address of an account is its person's: a directory that names another one changes what it says, and no account.
        let renamed = json!([{"op": "replace", "value": {"userName": "ann.lee@acme.example", "emails": [{"value": "ann.lee@acme.example", "primary": true}]}}]);
        assert_eq!(directory.patch(&format!("/Users/{id}"), renamed).await.0, 200);
        assert_eq!(members(owner).await[ANN], "operator");
        let refused = told(world, "scim.refused").await;
        assert_eq!(refused.len(), 4, "{refused:?}");
        assert!(refused.iter().all(|(_, detail)| detail.contains("domain_not_proven")), "{refused:?}");
        let mut database = world.platform.database.connect().await.unwrap();
        let accounts: i64 = sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&mut database).await.unwrap();
        assert_eq!(accounts, 3, "the owner, the boss and Ann");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scim_takes_no_owner_whom_it_did_not_make_and_never_the_last() {
    world(async |world| {
        let owner = &world.acme.client;
        let directory = Directory::of(world, owner, &[("Operators", "OPERATOR")]).await;
        let mut database = world.platform.database.connect().await.unwrap();
        world.joins(ANN, PASSWORD, "owner").await;
        let id = directory.make("/Users", person(ANN)).await;
        let user = format!("/Users/{id}");
        let off = json!([{"op": "replace", "path": "active", "value": false}]);
        for (status, refused) in [directory.patch(&user, off.clone()).await, directory.ask(Method::DELETE, &user, None).await] {
            assert_eq!(status, 403, "{refused}");
            assert!(refused["detail"].as_str().unwrap().starts_with("this person is an owner"), "{refused}");
        }
        assert_eq!(directory.get(&user).await.1["active"], true, "what was refused was not done by half");
        directory.make("/Groups", json!({"displayName": "Operators", "members": [{"value": id}]})).await;
        assert_eq!(members(owner).await, json!({EMAIL: "owner", ANN: "owner"}), "nor does a group make less of her");

        // An owner lets the table make owners: now she is the directory's, but for the last one.
        provider(owner, &[("Operators", "OPERATOR"), ("Owners", "OWNER")]).await;
        assert_eq!(members(owner).await[ANN], "operator");
        let owners = directory.make("/Groups", json!({"displayName": "Owners", "members": [{"value": id}]})).await;
        assert_eq!(members(owner).await[ANN], "owner");
        sqlx::query("DELETE FROM members m USING users u WHERE u.id = m.user_id AND u.email = $1")
            .bind(EMAIL)
            .execute(&mut database)
            .await
            .unwrap();
        for (status, refused) in [directory.patch(&user, off).await, directory.ask(Method::DELETE, &user, None).await] {
            assert_eq!(status, 403, "{refused}");
            assert!(refused["detail"].as_str().unwrap().starts_with("this person is the last owner"), "{refused}");
        }
        assert_eq!(directory.ask(Method::DELETE, &format!("/Groups/{owners}"), None).await.0, 204);
        let left: Vec<String> =
            sqlx::query_scalar("SELECT u.email FROM members m JOIN users u ON u.id = m.user_id WHERE m.role = 'owner'")
                .fetch_all(&mut database)
                .await
                .unwrap();
        assert_eq!(left, [ANN]);
        let refused = told(world, "scim.refused").await;
        assert!(refused.iter().any(|(_, detail)| detail.contains("last_owner")), "{refused:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scim_ids_of_another_tenant_are_as_absent_as_those_that_were_never_made() {
    world(async |world| {
        let acme = Directory::of(world, &world.acme.client, &[("Operators", "OPERATOR")]).await;
        let ann = acme.make("/Users", person(ANN)).await;
        let ops = acme.make("/Groups", json!({"displayName": "Operators", "members": [{"value": ann}]})).await;
        let platform = &world.platform;
        platform.user_create("other@crossdock.example", PASSWORD).await.unwrap();
        let other = Client::new(&platform.url).sign_in("other@crossdock.example", PASSWORD).await.unwrap();
        let tenant = other.tenant_create("other").await.unwrap();
        let other = other.of_tenant(&tenant);
        let directory = Directory::of(world, &other, &[("Operators", "OPERATOR")]).await;
        let before = (acme.get(&format!("/Users/{ann}")).await, acme.get(&format!("/Groups/{ops}")).await);

        let same = |(status, answer): (u16, Value), id: &str| (status, answer.to_string().replace(id, "ID"));
        let patch = json!({"Operations": [{"op": "replace", "value": {"active": false, "displayName": "x"}}]});
        for (kind, id, never) in [("Users", &ann, NO_USER), ("Groups", &ops, NO_GROUP)] {
            for (method, body) in [
                (Method::GET, None),
                (Method::PUT, Some(json!({"userName": "x@acme.example", "displayName": "x"}))),
                (Method::PATCH, Some(patch.clone())),
                (Method::DELETE, None),
            ] {
                let foreign = same(directory.ask(method.clone(), &format!("/{kind}/{id}"), body.clone()).await, id);
                let absent = same(directory.ask(method.clone(), &format!("/{kind}/{never}"), body).await, never);
                assert_eq!(foreign, absent, "{method} {kind}");
                assert_eq!(foreign.0, 404);
            }
            let (_, found) = directory.get(&format!("/{kind}?filter=id%20eq%20%22{id}%22")).await;
            assert_eq!(found["totalResults"], 0, "{found}");
        }
        let group = directory.make("/Groups", json!({"displayName": "Operators"})).await;
        let add = |id: &str| json!([{"op": "add", "path": "members", "value": [{"value": id}]}]);
        let foreign = same(directory.patch(&format!("/Groups/{group}"), add(&ann)).await, &ann);
        assert_eq!(foreign, same(directory.patch(&format!("/Groups/{group}"), add(NO_USER)).await, NO_USER));
        assert_eq!(foreign.0, 400);
        assert_eq!(directory.get("/Users").await.1["totalResults"], 0);
        assert_eq!(
            (acme.get(&format!("/Users/{ann}")).await, acme.get(&format!("/Groups/{ops}")).await),
            before,
            "nothing of acme changed"
        );
        // The other tenant has proven the domain, too: the same account is a member of both, and each takes away its own place only.
        let twin = directory.make("/Users", person(ANN)).await;
        directory.patch(&format!("/Groups/{group}"), add(&twin)).await;
        assert_eq!(members(&other).await[ANN], "operator");
        assert_eq!(directory.ask(Method::DELETE, &format!("/Users/{twin}"), None).await.0, 204);
        assert_eq!(members(&world.acme.client).await[ANN], "operator");
        assert!(members(&other).await[ANN].is_null());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn scim_refuses_what_it_cannot_read_and_whoever_has_no_token() {
    world(async |world| {
        let owner = &world.acme.client;
        let directory = Directory::of(world, owner, &[("Operators", "OPERATOR")]).await;
        let id = directory.make("/Users", person(ANN)).await;
        let user = format!("/Users/{id}");
        let many: Vec<Value> = (0..5_001).map(|_| json!({"value": id})).collect();
        for (method, path, body, status, kind) in [
            (Method::GET, "/Users?filter=userName".to_owned(), None, 400, Some("invalidFilter")),
            (Method::GET, "/Users?filter=title%20eq%20%22x%22".to_owned(), None, 400, Some("invalidFilter")),
            (Method::GET, format!("/Users?filter=userName%20eq%20%22{}%22", "x".repeat(3_000)), None, 400, Some("invalidFilter")),
            (Method::GET, "/Users?startIndex=x".to_owned(), None, 400, Some("invalidValue")),
            (Method::POST, "/Users".to_owned(), Some(json!("x")), 400, Some("invalidSyntax")),
            (Method::POST, "/Users".to_owned(), Some(json!({"userName": "a\u{0}@acme.example"})), 400, Some("invalidValue")),
            (Method::POST, "/Groups".to_owned(), Some(json!({})), 400, Some("invalidValue")),
            (Method::POST, "/Groups".to_owned(), Some(json!({"displayName": "x", "members": many})), 400, Some("invalidValue")),
            (
                Method::PATCH,
                user.clone(),
                Some(json!({"Operations": [{"op": "replace", "path": "emails[type eq", "value": "x"}]})),
                400,
                Some("invalidPath"),
            ),
            (Method::PATCH, user.clone(), Some(json!({"Operations": []})), 400, Some("invalidSyntax")),
            (Method::PATCH, user.clone(), Some(json!({"Operations": [{"op": "remove"}]})), 400, Some("noTarget")),
            (
                Method::PATCH,
                user.clone(),
                Some(json!({"Operations": [{"op": "remove", "path": "userName"}]})),
                400,
                Some("mutability"),
            ),
            (Method::GET, "/Users/usr_00000000000070008000000000000001".to_owned(), None, 404, None),
            (Method::GET, "/Me".to_owned(), None, 404, None),
            (Method::POST, "/Users".to_owned(), Some(json!("x".repeat(1024 * 1024))), 413, None),
        ] {
            let (is, answer) = directory.ask(method, &path, body).await;
            assert_eq!((is, answer["scimType"].as_str()), (status, kind), "{path}: {answer}");
        }
        let at = "/Users?startIndex=2&count=1";
        directory.make("/Users", person("bob@acme.example")).await;
        let (_, page) = directory.get(at).await;
        let seen = (&page["totalResults"], &page["startIndex"], &page["itemsPerPage"], &page["Resources"][0]["userName"]);
        assert_eq!(seen, (&json!(2), &json!(2), &json!(1), &json!("bob@acme.example")), "{page}");
        for path in [
            "/ServiceProviderConfig",
            "/ResourceTypes",
            "/ResourceTypes/User",
            "/Schemas",
            "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group",
        ] {
            assert_eq!(directory.get(path).await.0, 200, "{path}");
        }

        // Rotated, both are good; revoked, a token is nobody's at once.
        let fresh = owner.ask(TOKEN, json!({"h": 1})).await.unwrap()["scimTokenCreate"].take();
        let next = Directory { url: directory.url.clone(), token: fresh["token"].as_str().unwrap().to_owned() };
        assert_eq!((directory.get(&user).await.0, next.get(&user).await.0), (200, 200));
        let last = owner.ask(TOKEN, json!({"h": 0})).await.unwrap()["scimTokenCreate"].take();
        assert_eq!((directory.get(&user).await.0, next.get(&user).await.0), (401, 401), "those before are over at once");
        let last_id = last["scimToken"]["id"].clone();
        let last = Directory { url: directory.url.clone(), token: last["token"].as_str().unwrap().to_owned() };
        // It is good for this and nothing else, and nothing else is good for this.
        let graph = Client::new(&world.platform.url).with_token(&last.token).raw("{ viewer { id } }", json!({})).await.unwrap();
        assert!(graph["data"]["viewer"].is_null(), "{graph}");
        let key = "mutation { apiKeyCreate(input: {name: \"k\", permissions: [READ_OPERATIONS]}) { key userErrors { code } } }";
        let key = owner.ask(key, json!({})).await.unwrap()["apiKeyCreate"]["key"].as_str().unwrap().to_owned();
        let altered = format!("{}{}", &last.token[..last.token.len() - 1], if last.token.ends_with('x') { 'y' } else { 'x' });
        for token in [String::new(), "x".to_owned(), key, altered] {
            let stranger = Directory { url: directory.url.clone(), token };
            assert_eq!(stranger.get("/Users").await.0, 401);
        }
        assert_eq!(last.get(&user).await.0, 200);
        // The provider whose table the groups need stays as long as somebody uses it.
        let remove = owner.raw("mutation { identityProviderRemove { done userErrors { code } } }", json!({})).await.unwrap();
        assert_eq!(remove["data"]["identityProviderRemove"]["userErrors"][0]["code"], "BLOCKED", "{remove}");
        let revoke = "mutation($id: ID!) { scimTokenRevoke(id: $id) { scimToken { revokedAt } userErrors { code } } }";
        owner.ask(revoke, json!({"id": last_id})).await.unwrap();
        assert_eq!(last.get(&user).await.0, 401);
        let mut database = world.platform.database.connect().await.unwrap();
        let kept: String =
            sqlx::query_scalar("SELECT string_agg(t::text, '') FROM scim_tokens t").fetch_one(&mut database).await.unwrap();
        assert!(!kept.contains(&last.token[20..]), "of a token there is a hash");
    })
    .await;
}
