//! Members of a tenant: their roles count at once, and an owner always stays.

use domain::permission::{Permission, Role};
use serde_json::{Value, json};
use tests::client::Client;

use crate::{World, world};

const PASSWORD: &str = "a-password-of-a-member";
const ROLE: &str =
    "mutation($u: ID!, $r: MemberRole!) { memberRoleSet(userId: $u, role: $r) { member { role } userErrors { code } } }";
const REMOVE: &str = "mutation($u: ID!) { memberRemove(userId: $u) { member { role } userErrors { code } } }";

const INVITE: &str =
    "mutation($e: String!, $r: MemberRole!) { invitationCreate(email: $e, role: $r) { link userErrors { code } } }";
const ACCEPT: &str =
    "mutation($i: InvitationAcceptInput!) { invitationAccept(input: $i) { accepted userErrors { field code } } }";

/// A person with this role in acme, signed in, and their id.
async fn member(world: &World, email: &str, role: &str) -> (Client, String) {
    let client = world.member(email, PASSWORD, role).await;
    let id = client.ask("{ viewer { id } }", json!({})).await.unwrap()["viewer"]["id"].as_str().unwrap().to_owned();
    (client, id)
}

/// The code of what was refused: of the whole or of a field.
fn refusal(answer: &Value, field: &str) -> Value {
    let top = &answer["errors"][0]["extensions"]["code"];
    if top.is_null() { answer["data"][field]["userErrors"][0]["code"].clone() } else { top.clone() }
}

/// Empty where there is none.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_counts_at_once_and_the_last_owner_stays() {
    world(async |world| {
        let owner = &world.acme.client;
        let (admin, admin_id) = member(world, "admin@crossdock.example", "admin").await;
        let (operator, operator_id) = member(world, "operator@crossdock.example", "operator").await;
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
        let audit = manager
            .ask("query($id: ID!) { auditEvents(subjectId: $id) { nodes { action detail } } }", json!({"id": operator_id}))
            .await
            .unwrap();
        let told: Vec<(&str, &str)> = audit["auditEvents"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| (event["action"].as_str().unwrap(), event["detail"].as_str().unwrap()))
            .collect();
        assert_eq!(
            told,
            [("member.removed", "{\"role\":\"developer\"}"), ("member.role_set", "{\"from\":\"operator\",\"to\":\"developer\"}")]
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_is_worth_no_more_than_who_invited_may_give() {
    world(async |world| {
        let (owner, stranger) = (&world.acme.client, Client::new(&world.platform.url));
        let mut database = world.platform.database.connect().await.unwrap();
        let (second, second_id) = member(world, "second@crossdock.example", "owner").await;
        let (admin, _) = member(world, "admin@crossdock.example", "admin").await;
        let invited = async |by: &Client, email: &str, role: &str| {
            let made = by.ask(INVITE, json!({"e": email, "r": role})).await.unwrap();
            made["invitationCreate"]["link"].as_str().unwrap().split_once('#').unwrap().1.to_owned()
        };
        let accept = async |token: &str| {
            let answer = stranger.raw(ACCEPT, json!({"i": {"token": token, "name": "Nia", "password": PASSWORD}})).await.unwrap();
            refusal(&answer, "invitationAccept")
        };
        let offer = async |token: &str| {
            let answer = stranger.ask("query($t: String!) { invitation(token: $t) { role } }", json!({"t": token})).await.unwrap();
            answer["invitation"]["role"].clone()
        };
        // Addresses of invitations that are taken back.
        let withdrawn = async || {
            let all = owner.ask("{ invitations { email withdrawnAt } }", json!({})).await.unwrap();
            let all = all["invitations"].as_array().unwrap().iter().rev().filter(|one| one["withdrawnAt"].is_string());
            all.map(|one| one["email"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let own = invited(&second, "second-again@crossdock.example", "OWNER").await;
        let other = invited(&second, "other@crossdock.example", "OPERATOR").await;
        let third = invited(&admin, "third@crossdock.example", "AUDITOR").await;
        let stays = invited(owner, "stays@crossdock.example", "OWNER").await;

        // As an admin they may invite, and no owner.
        owner.ask(ROLE, json!({"u": second_id, "r": "ADMIN"})).await.unwrap();
        assert_eq!(withdrawn().await, ["second-again@crossdock.example"]);
        assert_eq!((accept(&own).await, offer(&other).await), (json!("NOT_FOUND"), json!("OPERATOR")));
        owner.ask(REMOVE, json!({"u": second_id})).await.unwrap();
        assert_eq!(withdrawn().await, ["second-again@crossdock.example", "other@crossdock.example"]);
        assert_eq!(accept(&other).await, "NOT_FOUND");
        let audit = owner.ask("{ auditEvents(action: \"invitation.withdrawn\", first: 10) { nodes { detail actor } } }", json!({})).await.unwrap();
        let told = audit["auditEvents"]["nodes"].as_array().unwrap();
        assert!(told.len() == 2 && told.iter().all(|event| event["detail"].as_str().unwrap().contains("may not give this role")), "{told:?}");

        // Whatever way somebody went, it is looked at again when it is taken.
        let leave = "DELETE FROM members m USING users u WHERE u.id = m.user_id AND u.email = 'admin@crossdock.example'";
        sqlx::query(leave).execute(&mut database).await.unwrap();
        assert_eq!((offer(&third).await, accept(&third).await), (Value::Null, json!("NOT_FOUND")));
        assert_eq!(accept(&stays).await, Value::Null, "and that of who stays is good");
        let joined = "SELECT string_agg(u.email, ' ' ORDER BY u.email) FROM members m JOIN users u ON u.id = m.user_id WHERE u.email LIKE '%@crossdock.example'";
        let joined: Option<String> = sqlx::query_scalar(joined).fetch_one(&mut database).await.unwrap();
        let joined = joined.unwrap_or_default();
        assert!(joined.contains("stays@") && ["again@", "other@", "third@", "admin@"].iter().all(|gone| !joined.contains(gone)), "{joined}");

        // The database and the table of permissions say the same of who may give what.
        let (_, somebody) = member(world, "somebody@crossdock.example", "auditor").await;
        let by_id = "SELECT may_invite(m.tenant_id, m.user_id, $2) FROM members m WHERE 'usr_' || replace(m.user_id::text, '-', '') = $1";
        for role in Role::ALL {
            let set = "UPDATE members m SET role = $1 FROM users u WHERE u.id = m.user_id AND u.email = 'somebody@crossdock.example'";
            sqlx::query(set).bind(role.as_str()).execute(&mut database).await.unwrap();
            for gives in Role::ALL {
                let may: bool = sqlx::query_scalar(by_id).bind(&somebody).bind(gives.as_str()).fetch_one(&mut database).await.unwrap();
                let expected = role.may(Permission::ManageMembers) && (gives != Role::Owner || role.may(Permission::ManageOwners));
                assert_eq!(may, expected, "{role} gives {gives}");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_nobody_can_take_says_why_and_makes_room_for_another() {
    world(async |world| {
        let owner = &world.acme.client;
        let mut database = world.platform.database.connect().await.unwrap();
        let (admin, _) = member(world, "admin@crossdock.example", "admin").await;
        let invite = async |by: &Client, email: &str| by.raw(INVITE, json!({"e": email, "r": "AUDITOR"})).await.unwrap();
        let addresses = ["orphan@crossdock.example", "late@crossdock.example", "waits@crossdock.example"];
        for (by, email) in [&admin, owner, owner].into_iter().zip(addresses) {
            assert_eq!(refusal(&invite(by, email).await, "invitationCreate"), Value::Null);
        }
        // The newest first: why each is refused, and whether it was withdrawn.
        let listed = async || {
            let all = owner.ask("{ invitations { email refusal withdrawnAt } }", json!({})).await.unwrap();
            let row = |one: &Value| (text(&one["email"]), text(&one["refusal"]), one["withdrawnAt"].is_string());
            all["invitations"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
        };
        let [orphan, late, waits] = addresses.map(str::to_owned);
        let good = |email: &String| (email.clone(), String::new(), false);
        assert_eq!(listed().await, [good(&waits), good(&late), good(&orphan)]);

        // As of who was removed at the moment in which they invited, which nobody saw.
        let leave = "DELETE FROM members m USING users u WHERE u.id = m.user_id AND u.email = 'admin@crossdock.example'";
        sqlx::query(leave).execute(&mut database).await.unwrap();
        let expire = "UPDATE invitations SET expires_at = now() WHERE email = 'late@crossdock.example'";
        sqlx::query(expire).execute(&mut database).await.unwrap();
        let gone = "whoever invited has left or may not give this role any more; invite the address again";
        let expired = "it has expired; invite the address again";
        assert_eq!(
            listed().await,
            [good(&waits), (late.clone(), expired.to_owned(), false), (orphan.clone(), gone.to_owned(), false)]
        );

        assert_eq!(refusal(&invite(owner, &waits).await, "invitationCreate"), "TAKEN", "this one can be taken");
        let made = invite(owner, &orphan).await;
        assert_eq!(refusal(&invite(owner, &late).await, "invitationCreate"), Value::Null);
        let over = |email: &String| (email.clone(), String::new(), true);
        assert_eq!(listed().await, [good(&late), good(&orphan), good(&waits), over(&late), over(&orphan)]);
        let link = made["data"]["invitationCreate"]["link"].as_str().unwrap();
        let taken = json!({"i": {"token": link.split_once('#').unwrap().1, "name": "Nia", "password": PASSWORD}});
        let answer = Client::new(&world.platform.url).raw(ACCEPT, taken).await.unwrap();
        assert_eq!(answer["data"]["invitationAccept"]["accepted"], true, "{answer}");
        let audit = owner
            .ask("{ auditEvents(action: \"invitation.withdrawn\", first: 10) { nodes { detail } } }", json!({}))
            .await
            .unwrap();
        let told = audit["auditEvents"]["nodes"].as_array().unwrap();
        assert!(told.len() == 1 && text(&told[0]["detail"]).contains("may not give this role"), "{told:?}");
    })
    .await;
}
