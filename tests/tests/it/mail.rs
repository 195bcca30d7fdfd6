//! Mails to people: none is lost with the process that wrote it or while the mail server is away, none is sent twice, and one that cannot be sent says so
//! where it was asked for.

use serde_json::{Value, json};
use tests::client::Client;
use tests::mail::MailServer;
use tests::platform::Options;

use crate::{World, eventually, world_with, world_with_mail};

const INVITE: &str = "mutation($e: String!) { invitationCreate(email: $e, role: OPERATOR) { invitation { id mailFailure { message } } userErrors { code } } }";
const INVITATIONS: &str = "{ invitations { id mailFailure { message againAt } } }";

async fn invite(world: &World, email: &str) -> String {
    let made = world.acme.client.ask(INVITE, json!({"e": email})).await.unwrap();
    made["invitationCreate"]["invitation"]["id"].as_str().unwrap().to_owned()
}

async fn failure(world: &World, id: &str) -> Value {
    let data = world.acme.client.ask(INVITATIONS, json!({})).await.unwrap();
    let own = data["invitations"].as_array().unwrap().iter().find(|invitation| invitation["id"] == id).unwrap();
    own["mailFailure"].clone()
}

/// Mails that are kept, as anybody reads them who has the database.
async fn kept(world: &World) -> Vec<String> {
    let mut database = world.platform.database.connect().await.unwrap();
    sqlx::query_scalar("SELECT m::text FROM mails m").fetch_all(&mut database).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_mail_server_is_away_mails_wait_sealed_and_then_each_goes_once() {
    // What it takes to have one at all is not to be waited for while the waits between the tries grow.
    if let Err(why) = MailServer::start(MailServer::free_port().unwrap()).await {
        return println!("no mail is proven to arrive: {why}");
    }
    let port = MailServer::free_port().unwrap();
    let url: &'static str = format!("smtp://127.0.0.1:{port}").leak();
    let environment = vec![("CROSSDOCK_SMTP_URL", url), ("CROSSDOCK_MAIL_FROM", "Crossdock <people@crossdock.example>")];
    world_with(Options { environment, ..Options::default() }, async |world| {
        let id = invite(world, "ann@example.com").await;
        let ask = "mutation($e: String!) { passwordResetAsk(email: $e) { done } }";
        Client::new(&world.platform.url).ask(ask, json!({"e": tests::platform::EMAIL})).await.unwrap();
        let failed = eventually("the mail server is missed", async || {
            let failed = failure(world, &id).await;
            failed["againAt"].is_string().then_some(failed)
        })
        .await;
        assert!(failed["message"].as_str().unwrap().contains("the mail server did not take it"), "{failed}");
        let waiting = eventually("both wait", async || Some(kept(world).await).filter(|mails| mails.len() == 2)).await;
        for secret in ["ann@example.com", "invitation#", "password#"] {
            assert!(!waiting.iter().any(|mail| mail.contains(secret)), "{secret} can be read: {waiting:?}");
        }
        let server = match MailServer::start(port).await {
            Ok(server) => server,
            Err(why) => return println!("no mail is proven to arrive: {why}"),
        };
        eventually("nothing waits any more", async || kept(world).await.is_empty().then_some(())).await;
        // What the server says of them comes by another way than that they are gone.
        eventually("both arrived", async || (server.mails().len() >= 2).then_some(())).await;
        let mut to: Vec<_> = server.mails().iter().map(|mail| mail["to"][0].as_str().unwrap().to_owned()).collect();
        to.sort_unstable();
        assert_eq!(to, ["ann@example.com", tests::platform::EMAIL]);
        assert_eq!(failure(world, &id).await, Value::Null);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_mail_server_refuses_for_good_is_given_up_and_told_and_nothing_of_it_is_kept() {
    world_with_mail(async |world, server| {
        let id = invite(world, "refused@example.com").await;
        let is_given_up = |failed: &Value| failed.is_object() && failed["againAt"].is_null();
        let failed = eventually("it is given up", async || Some(failure(world, &id).await).filter(is_given_up)).await;
        assert!(failed["message"].as_str().unwrap().contains("550"), "{failed}");
        let mut database = world.platform.database.connect().await.unwrap();
        let sealed: i64 =
            sqlx::query_scalar("SELECT sum(length(sealed))::bigint FROM mails").fetch_one(&mut database).await.unwrap();
        assert_eq!((sealed, server.mails().len()), (0, 0));
        let withdraw = "mutation($i: ID!) { invitationWithdraw(id: $i) { userErrors { code } } }";
        world.acme.client.ask(withdraw, json!({"i": id})).await.unwrap();
        assert_eq!(kept(world).await, [""; 0]);
    })
    .await;
}
