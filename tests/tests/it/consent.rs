//! Connecting an account by a person's consent: only the browser and the session that asked end it, once, in time, and what the vendor gives is never shown.

use connectors::simulator::Consenting;
use domain::record::RecordKind;
use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::platform::{EMAIL, Options, Platform};
use tests::sample;
use tests::vendor::Vendor;
use url::Url;
use uuid::Uuid;

use crate::{World, eventually, world_with};

const BEGIN: &str = "mutation($id: ID!) { connectionConsentBegin(id: $id) { authorizeUrl userErrors { field code message } } }";
const CONSENT: &str =
    "query($id: ID!) { connection(id: $id) { settings credentialHint consent { given givenAt endsAt missingScopes { name title }
    last { end sentence nextStep endedAt } } } }";
const CREDENTIAL: &str =
    "mutation($id: ID!, $c: JSON!) { credentialReplace(connectionId: $id, credential: $c) { userErrors { message } } }";

/// A vendor that asks people, and acme's connection to it.
struct Books {
    vendor: Vendor,
    connection: String,
    redirect_uri: String,
}

async fn with_books(test: impl AsyncFnOnce(&mut World, &Books)) {
    world_with(Options { has_own_connectors: true, ..Options::default() }, async |world| {
        let vendor = Vendor::start("moor-books").await;
        let redirect_uri = format!("{}/oauth/callback/moor-books", world.platform.url);
        let books = Books {
            connection: connect(&world.acme.client, &vendor, "Books").await,
            // As it is registered there, to the letter.
            redirect_uri,
            vendor,
        };
        books.decides(Consenting::default());
        test(world, &books).await;
    })
    .await;
}

async fn connect(client: &Client, vendor: &Vendor, name: &str) -> String {
    client.connection_create("moor-books", name, vendor.settings.clone(), vendor.credential.clone()).await.unwrap().0
}

impl Books {
    /// How the person decides there from now on.
    fn decides(&self, consenting: Consenting) {
        let redirect_uris = vec![self.redirect_uri.clone()];
        self.vendor.served.simulator().set_consenting(Consenting { redirect_uris, ..consenting });
    }
}

/// A browser with somebody signed in.
#[derive(Clone)]
struct Browser {
    client: Client,
    cookies: Vec<(String, String)>,
}

impl Browser {
    fn of(client: &Client) -> Self {
        Self { client: client.clone(), cookies: vec![] }
    }

    fn keep(&mut self, set: &str) {
        assert!(set.contains("; Path=/oauth; ") && set.contains("; HttpOnly; SameSite=Lax"), "{set}");
        let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
        self.cookies.retain(|(known, _)| known != name);
        if !value.is_empty() {
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
    }

    /// Where it is sent to.
    async fn begins(&mut self, connection: &str) -> String {
        let (answer, cookies) = self.client.raw_with_cookies(BEGIN, json!({"id": connection})).await.unwrap();
        cookies.iter().for_each(|set| self.keep(set));
        answer["data"]["connectionConsentBegin"]["authorizeUrl"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Status and where to go from there.
    async fn get(&mut self, address: &str) -> (u16, String) {
        let client = http().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let sent: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let answer = client.get(address).header("Cookie", sent.join("; ")).send().await.unwrap();
        for set in answer.headers().get_all("set-cookie") {
            self.keep(set.to_str().unwrap());
        }
        let to = answer.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
        (answer.status().as_u16(), to.unwrap_or_default())
    }

    /// To the vendor, where the person decides: the address of the way back, which nobody has gone yet.
    async fn leaves(&mut self, connection: &str) -> String {
        let there = self.begins(connection).await;
        let (status, back) = self.get(&there).await;
        assert_eq!(status, 302, "{there}: {back}");
        back
    }

    /// The word that the way back ends with.
    async fn comes_back(&mut self, platform: &Platform, back: &str) -> String {
        let (status, to) = self.get(back).await;
        assert_eq!(status, 303, "{back}: {to}");
        let to = Url::parse(&to).unwrap();
        let base = Url::parse(&platform.url).unwrap();
        assert_eq!(to.origin(), base.origin(), "nobody is sent elsewhere: {to}");
        let word = to.query_pairs().find(|(name, _)| name == "consent" || name == "ended").unwrap().1.into_owned();
        assert_eq!(to.path() == "/consent", word == "not_begun_here" || word == "signed_out", "{to}");
        word
    }

    async fn consents(&mut self, platform: &Platform, connection: &str) -> String {
        let back = self.leaves(connection).await;
        self.comes_back(platform, &back).await
    }
}

async fn consent(client: &Client, connection: &str) -> Value {
    client.ask(CONSENT, json!({"id": connection})).await.unwrap()["connection"].clone()
}

async fn told(world: &World) -> Vec<(String, String)> {
    let mut database = world.platform.database.connect().await.unwrap();
    let query = "SELECT action, coalesce(detail, '') FROM audit_events WHERE action LIKE 'consent.%' ORDER BY id";
    sqlx::query_as(query).fetch_all(&mut database).await.unwrap()
}

/// Its parameter of this name said otherwise, or not at all.
fn said(address: &str, name: &str, value: Option<&str>) -> String {
    let mut url = Url::parse(address).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
    url.query_pairs_mut().clear().extend_pairs(pairs).extend_pairs(value.map(|value| (name, value)));
    url.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_connects_an_account_and_orders_go_there_and_nothing_that_was_given_is_shown() {
    with_books(async |world, books| {
        let client = &world.acme.client;
        let before = consent(client, &books.connection).await;
        assert_eq!((&before["consent"]["given"], &before["consent"]["last"]), (&json!(false), &Value::Null));
        let connectors =
            client.ask("{ connectors { name writes consent { redirectUri scopes { title } } } }", json!({})).await.unwrap();
        let own = connectors["connectors"].as_array().unwrap().iter().find(|one| one["name"] == "moor-books").unwrap();
        assert_eq!((&own["consent"]["redirectUri"], &own["writes"]), (&json!(books.redirect_uri), &json!(["order"])));
        assert_eq!(own["consent"]["scopes"][1]["title"], "book and change orders");

        let mut browser = Browser::of(client);
        let there = Url::parse(&browser.begins(&books.connection).await).unwrap();
        let asked: std::collections::HashMap<_, _> = there.query_pairs().into_owned().collect();
        assert_eq!((asked["code_challenge_method"].as_str(), asked["code_challenge"].len()), ("S256", 43));
        assert_eq!((&asked["redirect_uri"], asked["state"].len()), (&books.redirect_uri, 43));
        let (_, back) = browser.get(there.as_str()).await;
        assert_eq!(browser.comes_back(&world.platform, &back).await, "given");
        assert!(browser.cookies.is_empty(), "what bound the way back is forgotten");

        let now = consent(client, &books.connection).await;
        assert_eq!(now["consent"]["given"], true);
        assert_eq!(now["consent"]["missingScopes"], json!([]));
        assert_eq!(now["consent"]["last"]["sentence"], "Moor Books is connected, with everything that is needed.");
        assert!(now["consent"]["endsAt"].is_string() && now["consent"]["givenAt"].is_string(), "{now}");
        assert_eq!(now["settings"]["company"], "1000001", "which company it is stands with the connection");

        // What was given works: an order is booked there.
        let policy = json!({"attempts_max": 8, "backoff_ms": 100, "backoff_max_ms": 1_000});
        client.flow_publish("orders to the books", &world.acme.source, &books.connection, policy).await.unwrap();
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        let ledger = world.acme.rest(1, std::time::Duration::from_secs(60)).await.unwrap();
        assert_eq!(ledger.delivery("exception"), 0, "{ledger:?}");
        assert_eq!(books.vendor.served.simulator().stored(RecordKind::Order).len(), 1);

        // The code, the state and the tokens are nowhere: not in the database, not in the logs.
        let mut database = world.platform.database.connect().await.unwrap();
        let kept: String = sqlx::query_scalar(
            "SELECT (SELECT string_agg(c::text, '') FROM connection_consents c) || (SELECT string_agg(t::text, '') FROM tokens t)
                 || (SELECT string_agg(coalesce(a.detail, ''), '') FROM audit_events a)
                 || (SELECT string_agg(concat(p.request, p.answer), '') FROM call_payloads p)",
        )
        .fetch_one(&mut database)
        .await
        .unwrap();
        let logs =
            ["api.log", "workers.log"].map(|log| std::fs::read_to_string(world.platform.logs.join(log)).unwrap_or_default());
        for secret in ["sim-access", "sim-refresh", "sim-code", asked["state"].as_str(), "made-up-client_secret"] {
            assert!(!kept.contains(secret) && !logs.iter().any(|log| log.contains(secret)), "{secret} is shown");
        }
        let actions: Vec<String> = told(world).await.into_iter().map(|(action, _)| action).collect();
        assert_eq!(actions, ["consent.begun", "consent.exchanged", "consent.given"]);
        let told = "{ auditEvents(action: \"consent.exchanged\", first: 1) { nodes { payload { text isAsSealed answer { text isAsSealed } } } } }";
        let payload = client.ask(told, json!({})).await.unwrap()["auditEvents"]["nodes"][0]["payload"].clone();
        assert_eq!((&payload["isAsSealed"], &payload["answer"]["isAsSealed"]), (&json!(true), &json!(true)), "{payload}");
        assert!(payload["text"].as_str().unwrap().contains("authorization_code"), "{payload}");
        assert!(payload["answer"]["text"].as_str().unwrap().contains("\"access_token\":\"•••\""), "{payload}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_is_good_once_in_the_browser_that_left_in_time() {
    with_books(async |world, books| {
        let platform = &world.platform;
        let mut browser = Browser::of(&world.acme.client);
        let back = browser.leaves(&books.connection).await;
        let left = browser.clone();

        // Another browser, without a state, with one that nobody has, with two: none of it is a way back, and the real one stays good.
        let mut other = Browser::of(&world.acme.client);
        other.leaves(&books.connection).await;
        assert_eq!(other.comes_back(platform, &back).await, "not_begun_here");
        assert_eq!(Browser::of(&world.acme.client).comes_back(platform, &back).await, "not_begun_here");
        for wrong in [said(&back, "state", None), said(&back, "state", Some("guess")), format!("{back}&state=again")] {
            assert_eq!(browser.comes_back(platform, &wrong).await, "not_begun_here", "{wrong}");
        }
        // Two ways of one browser do not disturb each other.
        let second = browser.leaves(&books.connection).await;
        assert_eq!(browser.comes_back(platform, &back).await, "given");
        assert_eq!(browser.comes_back(platform, &second).await, "changed", "the credential is a newer one by now");

        // Played again, by the browser that left, with all that it had then.
        assert_eq!(left.clone().comes_back(platform, &back).await, "not_begun_here");

        // Ten minutes are over.
        let late = browser.leaves(&books.connection).await;
        let mut database = platform.database.connect().await.unwrap();
        let minutes: i64 = sqlx::query_scalar(
            "SELECT extract(epoch FROM expires_at - begun_at)::bigint FROM connection_consents ORDER BY begun_at DESC LIMIT 1",
        )
        .fetch_one(&mut database)
        .await
        .unwrap();
        assert!((595..=600).contains(&minutes), "{minutes}");
        sqlx::query("UPDATE connection_consents SET expires_at = now() WHERE taken_at IS NULL")
            .execute(&mut database)
            .await
            .unwrap();
        assert_eq!(browser.comes_back(platform, &late).await, "not_begun_here");
        assert_eq!(consent(&world.acme.client, &books.connection).await["consent"]["given"], true, "the grant of before stays");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_back_that_is_gone_twice_at_once_connects_once_and_a_code_that_was_used_is_refused() {
    with_books(async |world, books| {
        let (platform, client) = (&world.platform, &world.acme.client);
        let mut browser = Browser::of(client);
        let back = browser.leaves(&books.connection).await;
        let (mut one, mut two) = (browser.clone(), browser.clone());
        let (first, second) = tokio::join!(one.comes_back(platform, &back), two.comes_back(platform, &back));
        let mut words = [first, second];
        words.sort();
        assert_eq!(words, ["given", "not_begun_here"]);
        let given = told(world).await.into_iter().filter(|(action, _)| action == "consent.given").count();
        let mut database = platform.database.connect().await.unwrap();
        let grants: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM tokens t JOIN credentials c ON c.id = t.credential_id WHERE c.state = 'active'",
        )
        .fetch_one(&mut database)
        .await
        .unwrap();
        assert_eq!((given, grants), (1, 1));
        assert_eq!(books.vendor.served.simulator().stats().refused.get("invalid_grant"), None, "the code was shown once");

        // Its code under a state of our own: the vendor knows it as used.
        let code = Url::parse(&back).unwrap().query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        let again = browser.leaves(&books.connection).await;
        assert_eq!(browser.comes_back(platform, &said(&again, "code", Some(&code))).await, "vendor_refused");
        let last = consent(client, &books.connection).await["consent"]["last"].clone();
        assert_eq!(last["end"], "VENDOR_REFUSED");
        assert!(last["sentence"].as_str().unwrap().len() > 20 && last["nextStep"].as_str().unwrap().len() > 10, "{last}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_of_the_session_the_tenant_and_the_vendor_that_it_was_asked_for() {
    with_books(async |world, books| {
        let (platform, client) = (&world.platform, &world.acme.client);
        // A tenant of the same person, with the same app at the same vendor: its state does not connect acme's account, nor acme's its.
        let globex = client.tenant_create("globex").await.unwrap();
        let globex = client.clone().of_tenant(&globex);
        let theirs = connect(&globex, &books.vendor, "Books").await;
        let (mut ours, mut their) = (Browser::of(client), Browser::of(&globex));
        let (back, their_back) = (ours.leaves(&books.connection).await, their.leaves(&theirs).await);
        assert_eq!(ours.comes_back(platform, &their_back).await, "not_begun_here");
        // Their code under our state: the proof key is another's.
        let code = Url::parse(&their_back).unwrap().query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
        assert_eq!(ours.comes_back(platform, &said(&back, "code", Some(&code))).await, "vendor_refused");
        assert_eq!(consent(client, &books.connection).await["consent"]["given"], false);
        assert_eq!(their.comes_back(platform, &their_back).await, "given", "a code that somebody else tried is good for its own");
        assert_eq!(consent(client, &books.connection).await["consent"]["given"], false);
        let foreign = globex.raw(BEGIN, json!({"id": books.connection})).await.unwrap();
        assert_eq!(foreign["data"]["connectionConsentBegin"]["userErrors"][0]["code"], "NOT_FOUND", "{foreign}");

        // Another server's answer, one that names no server, and one that comes to another connector's address.
        for wrong in [
            Box::new(|back: &str| said(back, "iss", Some("https://evil.example"))) as Box<dyn Fn(&str) -> String>,
            Box::new(|back: &str| said(back, "iss", None)),
            Box::new(|back: &str| back.replace("/callback/moor-books", "/callback/quickbooks-online")),
        ] {
            let back = wrong(&ours.leaves(&books.connection).await);
            assert_eq!(ours.comes_back(platform, &back).await, "not_believed", "{back}");
        }
        assert_eq!(
            books.vendor.served.simulator().stats().refused.get("invalid_grant"),
            Some(&1),
            "no code of these was shown to anybody"
        );

        // Who is signed out meanwhile connects nothing.
        let mut database = platform.database.connect().await.unwrap();
        let mut of_ann = Browser::of(&world.member("ann@acme.example", "a password of some length", "developer").await);
        let back = of_ann.leaves(&books.connection).await;
        sqlx::query("UPDATE members SET role = 'auditor' WHERE role = 'developer'").execute(&mut database).await.unwrap();
        assert_eq!(of_ann.comes_back(platform, &back).await, "signed_out");
        let refused = of_ann.client.raw(BEGIN, json!({"id": books.connection})).await.unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");
        sqlx::query("UPDATE members SET role = 'developer' WHERE role = 'auditor'").execute(&mut database).await.unwrap();
        let back = of_ann.leaves(&books.connection).await;
        sqlx::query("UPDATE sessions SET revoked_at = now() WHERE user_id = (SELECT id FROM users WHERE email <> $1)")
            .bind(EMAIL)
            .execute(&mut database)
            .await
            .unwrap();
        assert_eq!(of_ann.comes_back(platform, &back).await, "signed_out");
        assert_eq!(consent(client, &books.connection).await["consent"]["given"], false);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_person_or_the_vendor_does_otherwise_is_told_in_words_and_changes_nothing_that_worked() {
    with_books(async |world, books| {
        let (platform, client) = (&world.platform, &world.acme.client);
        let mut browser = Browser::of(client);
        let last = async || consent(client, &books.connection).await["consent"].clone();

        books.decides(Consenting { denies: true, ..Consenting::default() });
        assert_eq!(browser.consents(platform, &books.connection).await, "denied");
        let denied = last().await;
        assert_eq!((&denied["given"], &denied["last"]["end"]), (&json!(false), &json!("DENIED")));
        assert_eq!(denied["last"]["sentence"], "Nothing was connected: the consent was refused at Moor Books (access_denied).");

        // Less than what is needed is connected, and what is missing is named; what comes with a wider scope is not missing.
        books.decides(Consenting { scopes: Some(vec!["orders.write".into()]), ..Consenting::default() });
        assert_eq!(browser.consents(platform, &books.connection).await, "scopes_missing");
        let less = last().await;
        let missing = json!([{"name": "offline", "title": "stay connected while nobody is signed in"}]);
        assert_eq!((&less["given"], &less["missingScopes"]), (&json!(true), &missing));

        let incidents = async || {
            let asked = "query($id: ID!) { connection(id: $id) { health incidents { kind code sentence nextStep owner } } }";
            client.ask(asked, json!({"id": books.connection})).await.unwrap()["connection"].clone()
        };
        let missing = eventually("what is missing is an incident", async || {
            Some(incidents().await).filter(|of| of["incidents"] != json!([]) && of["health"] != "healthy")
        })
        .await;
        let incident = &missing["incidents"][0];
        assert_eq!(
            (&incident["kind"], &incident["code"], &incident["owner"]),
            (&json!("SCOPES"), &json!("upkeep.scopes"), &json!("developer"))
        );
        let sentence = "Books may do less than it needs. Not allowed at Moor Books: stay connected while nobody is signed in.";
        assert_eq!((&incident["sentence"], &missing["health"]), (&json!(sentence), &json!("failing")));

        // Connecting again mends it.
        books.decides(Consenting::default());
        assert_eq!(browser.consents(platform, &books.connection).await, "given");
        assert_eq!(last().await["missingScopes"], json!([]));
        eventually("and is none any more", async || (incidents().await["incidents"] == json!([])).then_some(())).await;

        // Another company of theirs is no mending: the orders would go into other books.
        books.decides(Consenting { account: Some("77".into()), ..Consenting::default() });
        assert_eq!(browser.consents(platform, &books.connection).await, "other_account");
        let other = last().await;
        assert!(other["last"]["sentence"].as_str().unwrap().contains("(77 in the place of 1000001)"), "{other}");
        assert_eq!(other["given"], true, "what was connected stays connected");
        books.decides(Consenting { account: Some("no company".into()), ..Consenting::default() });
        let fresh = connect(client, &books.vendor, "Books 2").await;
        assert_eq!(browser.consents(platform, &fresh).await, "unfit");
        books.decides(Consenting::default());

        // The client's secret is replaced while the person is away; then it is a wrong one.
        let back = browser.leaves(&books.connection).await;
        let wrong = json!({"client_id": "made-up-client_id", "client_secret": "not-the-secret"});
        client.ask(CREDENTIAL, json!({"id": books.connection, "c": wrong})).await.unwrap();
        assert_eq!(browser.comes_back(platform, &back).await, "changed");
        assert_eq!(last().await["given"], true, "the client is the same, so what was given to it stays");
        assert_eq!(browser.consents(platform, &books.connection).await, "vendor_refused");
        let refused = last().await;
        let sentence = refused["last"]["sentence"].as_str().unwrap();
        assert!(sentence.contains("does not accept this client") && !sentence.contains("not-the-secret"), "{sentence}");

        // A redirect address that is not registered there sends nobody anywhere.
        books
            .vendor
            .served
            .simulator()
            .set_consenting(Consenting { redirect_uris: vec!["https://other.example/".into()], ..Consenting::default() });
        let there = browser.begins(&books.connection).await;
        assert_eq!(browser.get(&there).await, (400, String::new()));

        let another = json!({"client_id": "another-client", "client_secret": "made-up-client_secret"});
        client.ask(CREDENTIAL, json!({"id": books.connection, "c": another})).await.unwrap();
        assert_eq!(last().await["given"], false, "another client has nobody's consent");

        let reasons: Vec<String> =
            told(world).await.into_iter().filter(|(action, _)| action == "consent.refused").map(|(_, detail)| detail).collect();
        assert_eq!(reasons.len(), 5, "{reasons:?}");
        // A connector that asks nobody says so.
        let none = client.raw(BEGIN, json!({"id": world.acme.source})).await.unwrap();
        assert_eq!(none["data"]["connectionConsentBegin"]["userErrors"][0]["code"], "INVALID", "{none}");
    })
    .await;
}
