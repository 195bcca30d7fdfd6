//! Accounts: how people come in, and back in, by mail; and what wrong tries do.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Client;
use tests::mail::MailServer;
use tests::platform::EMAIL;

use crate::{eventually, world, world_with_mail};

const OPEN: &str = "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken } userErrors { code } } }";
const ACCEPT: &str =
    "mutation($i: InvitationAcceptInput!) { invitationAccept(input: $i) { accepted userErrors { field code } } }";
const INVITE: &str = "mutation($e: String!, $r: MemberRole!) { invitationCreate(email: $e, role: $r) { invitation { id role } link userErrors { code } } }";
const ASK: &str = "mutation($e: String!) { passwordResetAsk(email: $e) { done userErrors { code } } }";
const RESET: &str =
    "mutation($t: String!, $p: String!) { passwordReset(token: $t, password: $p) { done userErrors { field code } } }";
const FIRST: &str = "a password of the new person";
const SECOND: &str = "another password of theirs";

async fn signs_in(client: &Client, email: &str, password: &str) -> bool {
    let answer = client.raw(OPEN, json!({"i": {"email": email, "password": password}})).await.unwrap();
    answer["data"]["sessionOpen"]["session"].is_object()
}

/// What stands behind # in the links of a page that were mailed to an address, once there are so many.
async fn tokens(server: &MailServer, to: &str, page: &str, count: usize) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let mails = server.mails();
        let texts = mails.iter().filter(|mail| mail["to"] == json!([to])).filter_map(|mail| mail["text"].as_str());
        let found: Vec<String> = texts
            .filter_map(|text| text.split_once(&format!("/{page}#"))?.1.split_whitespace().next().map(str::to_owned))
            .collect();
        if found.len() >= count {
            return found;
        }
        assert!(Instant::now() < end, "{count} mails for {page} never came to {to}: {mails:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_in_and_back_in_by_mailed_links_that_work_once() {
    world_with_mail(async |world, server| {
        let (owner, stranger) = (&world.acme.client, Client::new(&world.platform.url));
        let code = |answer: &Value, field: &str| answer["data"][field]["userErrors"][0]["code"].as_str().map(str::to_owned);
        let made = owner.ask(INVITE, json!({"e": "new@example.com", "r": "OPERATOR"})).await.unwrap();
        assert!(made["invitationCreate"]["link"].is_null(), "it is mailed, and shown to nobody");
        for (email, expected) in [
            ("NEW@example.com", "TAKEN"),
            (EMAIL, "TAKEN"),
            ("a@example.com, b@example.com", "INVALID"),
            ("a@b.c\r\nBcc: x@y.z", "INVALID"),
        ] {
            let refused = owner.raw(INVITE, json!({"e": email, "r": "ADMIN"})).await.unwrap();
            assert_eq!(code(&refused, "invitationCreate").as_deref(), Some(expected), "{email}");
        }
        let token = tokens(server, "new@example.com", "invitation", 1).await.remove(0);
        let offer = stranger
            .ask("query($t: String!) { invitation(token: $t) { email role hasAccount tenantName } }", json!({"t": token}))
            .await
            .unwrap();
        assert_eq!(
            offer["invitation"],
            json!({"email": "new@example.com", "role": "OPERATOR", "hasAccount": false, "tenantName": "acme"})
        );
        let accept = async |token: &str, password: &str| {
            let answer = stranger.raw(ACCEPT, json!({"i": {"token": token, "name": "Nia", "password": password}})).await.unwrap();
            code(&answer, "invitationAccept")
        };
        assert_eq!(accept(&token, "too short").await.as_deref(), Some("INVALID"));
        assert_eq!(accept(&token, FIRST).await, None);
        assert_eq!(accept(&token, FIRST).await.as_deref(), Some("NOT_FOUND"), "it works once");
        let person = Client::new(&world.platform.url).sign_in("new@example.com", FIRST).await.unwrap();
        let me = person.ask("{ viewer { memberships { role } } account { email emailVerifiedAt } }", json!({})).await.unwrap();
        assert_eq!(me["viewer"]["memberships"], json!([{"role": "operator"}]));
        assert!(me["account"]["emailVerifiedAt"].is_string(), "the mail proved the address");

        // Whoever has an account joins with its own password, and keeps it.
        let other = owner.tenant_create("other").await.unwrap();
        owner.clone().of_tenant(&other).ask(INVITE, json!({"e": "new@example.com", "r": "AUDITOR"})).await.unwrap();
        let token = tokens(server, "new@example.com", "invitation", 2).await.remove(1);
        assert_eq!(accept(&token, SECOND).await.as_deref(), Some("SIGN_IN_REFUSED"));
        assert_eq!(accept(&token, FIRST).await, None);
        let withdrawn = owner.ask(INVITE, json!({"e": "late@example.com", "r": "BILLING"})).await.unwrap();
        let late = tokens(server, "late@example.com", "invitation", 1).await.remove(0);
        let withdraw = "mutation($id: ID!) { invitationWithdraw(id: $id) { userErrors { code } } }";
        owner.ask(withdraw, json!({"id": withdrawn["invitationCreate"]["invitation"]["id"]})).await.unwrap();
        assert_eq!(accept(&late, FIRST).await.as_deref(), Some("NOT_FOUND"));

        // A forgotten password: the same answer for everybody, and no more than three mails an hour.
        for _ in 0..4 {
            let known = stranger.raw(ASK, json!({"e": "new@example.com"})).await.unwrap();
            assert_eq!(known, stranger.raw(ASK, json!({"e": "nobody@example.com"})).await.unwrap());
        }
        let mailed = tokens(server, "new@example.com", "password", 3).await;
        let reset = async |token: &str, password: &str| {
            code(&stranger.raw(RESET, json!({"t": token, "p": password})).await.unwrap(), "passwordReset")
        };
        assert_eq!(reset(&mailed[0], "too short").await.as_deref(), Some("INVALID"), "and is not used up by it");
        assert_eq!(reset(&mailed[0], SECOND).await, None);
        assert_eq!(reset(&mailed[0], SECOND).await.as_deref(), Some("NOT_FOUND"), "it works once");
        assert!(person.raw("{ account { email } }", json!({})).await.unwrap()["errors"].is_array(), "all sessions ended");
        assert!(!signs_in(&stranger, "new@example.com", FIRST).await && signs_in(&stranger, "new@example.com", SECOND).await);
        let mut connection = world.platform.database.connect().await.unwrap();
        let kept: String = sqlx::query_scalar(
            "SELECT (SELECT string_agg(m::text, '') FROM mailed_tokens m) || (SELECT string_agg(i::text, '') FROM invitations i)",
        )
        .fetch_one(&mut connection)
        .await
        .unwrap();
        assert!(!kept.contains(&mailed[1]) && !kept.contains(&late), "what is kept of a token opens nothing");
        assert_eq!(tokens(server, "new@example.com", "password", 3).await.len(), 3);
        assert_eq!(server.mails().iter().filter(|mail| mail["to"] == json!(["nobody@example.com"])).count(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mailed_link_sets_one_password_or_stays_and_ends_with_the_password_it_was_to_replace() {
    world_with_mail(async |world, server| {
        let (stranger, mut database) = (Client::new(&world.platform.url), world.platform.database.connect().await.unwrap());
        let reset = async |token: &str| stranger.raw(RESET, json!({"t": token, "p": SECOND})).await.unwrap();
        let code = |answer: &Value| answer["data"]["passwordReset"]["userErrors"][0]["code"].as_str().map(str::to_owned);
        for _ in 0..2 {
            stranger.ask(ASK, json!({"e": EMAIL})).await.unwrap();
        }
        let first = tokens(server, EMAIL, "password", 2).await;

        // What fails in between costs no link.
        let fails = "CREATE FUNCTION away() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'away'; END $$;
            CREATE TRIGGER away BEFORE UPDATE OF password_hash ON users FOR EACH ROW EXECUTE FUNCTION away()";
        sqlx::raw_sql(fails).execute(&mut database).await.unwrap();
        assert!(reset(&first[0]).await["errors"].is_array());
        sqlx::raw_sql("DROP FUNCTION away() CASCADE").execute(&mut database).await.unwrap();
        assert_eq!(code(&reset(&first[0]).await), None, "it is as good as before");
        assert_eq!(code(&reset(&first[1]).await).as_deref(), Some("NOT_FOUND"), "the other one went with the password");

        // And so it does where the person changes the password themselves.
        stranger.ask(ASK, json!({"e": EMAIL})).await.unwrap();
        let all = tokens(server, EMAIL, "password", 3).await;
        let left = all.iter().find(|token| !first.contains(token)).unwrap();
        let person = Client::new(&world.platform.url).sign_in(EMAIL, SECOND).await.unwrap();
        let change =
            "mutation($c: String!, $p: String!) { passwordChange(current: $c, password: $p) { done userErrors { code } } }";
        person.ask(change, json!({"c": SECOND, "p": FIRST})).await.unwrap();
        assert_eq!(code(&reset(left).await).as_deref(), Some("NOT_FOUND"));
        assert!(signs_in(&stranger, EMAIL, FIRST).await && !signs_in(&stranger, EMAIL, SECOND).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_link_has_nothing_hashed_and_every_try_counts() {
    world(async |world| {
        let stranger = Client::new(&world.platform.url);
        // No password is looked at before the link: else it would be told that this one is too short.
        for (query, variables, field) in [
            (RESET, json!({"t": "a link of nobody", "p": "short"}), "passwordReset"),
            (ACCEPT, json!({"i": {"token": "an invitation of nobody", "name": "", "password": "short"}}), "invitationAccept"),
        ] {
            let first = stranger.raw(query, variables.clone()).await.unwrap();
            assert_eq!(first["data"][field]["userErrors"][0]["code"], "NOT_FOUND", "{first}");
            let mut refused = Value::Null;
            for _ in 0..20 {
                let answer = stranger.raw(query, variables.clone()).await.unwrap();
                if answer["errors"].is_array() {
                    refused = answer["errors"][0]["extensions"].clone();
                }
            }
            assert!(refused["code"] == "RATE_LIMITED" && refused["retryAfterMs"].as_u64().unwrap() >= 1, "{field}: {refused}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tries_are_told_to_the_tenant_and_keep_nobody_out_of_where_they_were_before() {
    world(async |world| {
        let (client, mut connection) = (Client::new(&world.platform.url), world.platform.database.connect().await.unwrap());
        let refused = "{ auditEvents(action: \"session.refused\", first: 100) { nodes { detail } } }";
        let told = async |count: usize| {
            eventually("each wrong try is told", async || {
                let audit = world.acme.client.ask(refused, json!({})).await.unwrap();
                audit["auditEvents"]["nodes"].as_array().filter(|told| told.len() >= count).cloned()
            })
            .await
        };
        for _ in 0..5 {
            assert!(!signs_in(&client, EMAIL, "wrong-password").await);
        }
        assert!(signs_in(&client, EMAIL, &world.platform.password).await, "the person was here before");
        // They are counted beside the answers. After twenty the account rests for a minute, and not for five seconds.
        told(5).await;
        let away = "WITH s AS (UPDATE sessions SET address = '203.0.113.9') UPDATE users SET failures = 20";
        sqlx::query(away).execute(&mut connection).await.unwrap();
        assert!(!signs_in(&client, EMAIL, "wrong-password").await);
        let is_resting = "SELECT locked_until > now() FROM users WHERE email = $1";
        eventually("the account rests", async || {
            let resting: Option<bool> = sqlx::query_scalar(is_resting).bind(EMAIL).fetch_one(&mut connection).await.unwrap();
            resting.filter(|resting| *resting)
        })
        .await;
        assert!(
            !signs_in(&client, EMAIL, &world.platform.password).await,
            "from a strange address even the right password has to wait"
        );
        let told = told(6).await;
        assert!(told.len() == 6 && told[0]["detail"].as_str().unwrap().contains("127.0.0.1"), "{told:?}");
    })
    .await;
}
