//! A passkey is a second factor like the app: what it signs is good once, for this address, for this person and within five minutes, and one that counts
//! back signs nobody in.

use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::platform::EMAIL;
use tests::simulator::authenticator::Authenticator;

use crate::second_factor::{open, set_up};
use crate::{World, world};

const BEGIN: &str =
    "mutation($p: String!, $c: String, $k: PasskeyAnswerInput) { passkeyBegin(password: $p, code: $c, passkey: $k) {
    challenge { id options } userErrors { field code message } } }";
const REGISTER: &str = "mutation($n: String!, $a: PasskeyAnswerInput!) { passkeyRegister(name: $n, answer: $a) {
    passkey { id name } recoveryCodes userErrors { field code message } } }";
const ASK: &str = "mutation($p: String!) { passkeyAsk(password: $p) { challenge { id options } userErrors { code } } }";
const REMOVE: &str = "mutation($i: ID!, $p: String!, $c: String, $k: PasskeyAnswerInput) { passkeyRemove(id: $i, password: $p, code: $c, passkey: $k) {
    userErrors { field code message } } }";
const ACCOUNT: &str = "{ account { secondFactor { since } recoveryCodesLeft passkeys { id name lastUsedAt } } }";

/// The page that keys are made for: at this machine's number, its name.
fn key(world: &World) -> Authenticator {
    Authenticator::new(&world.platform.url.replace("127.0.0.1", "localhost"), "localhost")
}

/// Registers a key; its id, and the codes on paper where it is the first.
async fn register(client: &Client, password: &str, key: &mut Authenticator, proof: Value) -> (String, Value) {
    let mut values = json!({"p": password});
    values.as_object_mut().unwrap().extend(proof.as_object().unwrap().clone());
    let begun = client.ask(BEGIN, values).await.unwrap()["passkeyBegin"]["challenge"].take();
    let answer = json!({"challengeId": begun["id"], "credential": key.create(&begun["options"])});
    let made = client.ask(REGISTER, json!({"n": " Blue key ", "a": answer})).await.unwrap()["passkeyRegister"].take();
    assert_eq!(made["passkey"]["name"], "Blue key");
    (made["passkey"]["id"].as_str().unwrap().to_owned(), made["recoveryCodes"].clone())
}

/// The web app's sign-in.
async fn sign_in(world: &World, passkey: Value) -> Value {
    let body = json!({"email": EMAIL, "password": world.platform.password, "passkey": passkey});
    let request = http().build().unwrap().post(format!("{}/session/open", world.platform.url));
    request.header("Sec-Fetch-Site", "same-origin").json(&body).send().await.unwrap().json().await.unwrap()
}

fn is_in(answer: &Value) -> bool {
    answer["session"]["accessToken"].is_string()
}

/// What a sign-in asks of a key, and what that answers.
async fn answered(world: &World, answer: impl FnOnce(&Value) -> Value) -> Value {
    let asked = sign_in(world, Value::Null).await;
    assert_eq!((is_in(&asked), &asked["needs"]), (false, &json!("code")), "{asked}");
    json!({"challenge": asked["passkey"]["challenge"], "credential": answer(&asked["passkey"]["options"])})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_is_asked_for_and_signs_in_once_for_what_it_was_asked() {
    world(async |world| {
        let platform = &world.platform;
        let (client, elsewhere) = (platform.sign_in().await.unwrap(), platform.sign_in().await.unwrap());
        let mut key = key(world);
        let (id, codes) = register(&client, &platform.password, &mut key, json!({})).await;
        assert_eq!(codes.as_array().unwrap().len(), 10, "with the first come the codes on paper");
        assert!(elsewhere.raw("{ viewer { id } }", json!({})).await.unwrap()["data"]["viewer"].is_null(), "it was not shown there");
        let account = client.ask(ACCOUNT, json!({})).await.unwrap()["account"].take();
        let expected = json!({"secondFactor": null, "recoveryCodesLeft": 10, "passkeys": [{"id": id, "name": "Blue key", "lastUsedAt": null}]});
        assert_eq!(account, expected);

        // A program is told that something is missing; a code of an app there is not.
        let asked = open(platform, None).await;
        assert_eq!(asked["userErrors"][0]["code"], "SECOND_FACTOR_NEEDED", "{asked}");
        assert!(open(platform, Some("000000")).await["session"].is_null(), "who has no app shows no code of one");

        let answer = answered(world, |options| key.get(options)).await;
        assert!(is_in(&sign_in(world, answer.clone()).await));
        assert!(!is_in(&sign_in(world, answer).await), "what it signed is good once");
        assert!(client.ask(ACCOUNT, json!({})).await.unwrap()["account"]["passkeys"][0]["lastUsedAt"].is_string());
        // Paper in its place, once.
        let paper = codes[0].as_str().unwrap();
        assert!(open(platform, Some(paper)).await["session"]["accessToken"].is_string());
        assert!(open(platform, Some(paper)).await["session"].is_null());

        // Taken away by a session that somebody found open: not without showing it.
        let found = client.raw(REMOVE, json!({"i": id, "p": platform.password})).await.unwrap();
        assert_eq!(found["data"]["passkeyRemove"]["userErrors"][0]["field"], json!(["code"]), "{found}");
        let asked = client.ask(ASK, json!({"p": platform.password})).await.unwrap()["passkeyAsk"]["challenge"].take();
        let shown = json!({"challengeId": asked["id"], "credential": key.get(&asked["options"])});
        client.ask(REMOVE, json!({"i": id, "p": platform.password, "k": shown})).await.unwrap();
        let account = client.ask(ACCOUNT, json!({})).await.unwrap()["account"].take();
        assert_eq!(account, json!({"secondFactor": null, "recoveryCodesLeft": 0, "passkeys": []}));
        assert!(open(platform, None).await["session"]["accessToken"].is_string());

        let mut database = platform.database.connect().await.unwrap();
        let told: Vec<String> =
            sqlx::query_scalar("SELECT action FROM audit_events WHERE action LIKE 'passkey.%' ORDER BY id").fetch_all(&mut database).await.unwrap();
        assert_eq!(told, ["passkey.added", "passkey.removed"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_that_was_asked_elsewhere_by_somebody_else_or_long_ago_signs_nobody_in() {
    world(async |world| {
        let platform = &world.platform;
        let client = platform.sign_in().await.unwrap();
        let mut key = key(world);
        register(&client, &platform.password, &mut key, json!({})).await;
        let (origin, rp_id) = (key.origin.clone(), key.rp_id.clone());

        // A page that looks like ours: the browser says where it is, and the key for whom it signs.
        key.origin = "https://crossdock.evil.example".into();
        let answer = answered(world, |options| key.get(options)).await;
        assert!(!is_in(&sign_in(world, answer).await));
        (key.origin, key.rp_id) = (origin.clone(), "evil.example".into());
        let answer = answered(world, |options| key.get(options)).await;
        assert!(!is_in(&sign_in(world, answer).await));
        key.rp_id = rp_id.clone();

        // Another key, and one that is somebody else's.
        let mut strange = Authenticator::new(&origin, &rp_id);
        let answer = answered(world, |options| strange.get(options)).await;
        assert!(!is_in(&sign_in(world, answer).await));
        let eve = "eve@crossdock.example";
        platform.user_create(eve, &platform.password).await.unwrap();
        let other = Client::new(&platform.url).sign_in(eve, &platform.password).await.unwrap();
        let mut hers = Authenticator::new(&origin, &rp_id);
        register(&other, &platform.password, &mut hers, json!({})).await;
        let answer = answered(world, |options| hers.get(options)).await;
        assert!(!is_in(&sign_in(world, answer).await));
        // What she was asked, answered by his key: nor with his password.
        let asked = other.ask(ASK, json!({"p": platform.password})).await.unwrap()["passkeyAsk"]["challenge"].take();
        let mixed = json!({"challenge": asked["id"], "credential": key.get(&asked["options"])});
        assert!(!is_in(&sign_in(world, mixed).await));

        // Five minutes later.
        let answer = answered(world, |options| key.get(options)).await;
        let mut database = platform.database.connect().await.unwrap();
        sqlx::query("UPDATE passkey_challenges SET expires_at = now()").execute(&mut database).await.unwrap();
        assert!(!is_in(&sign_in(world, answer).await));

        // Something that is no answer at all.
        for nonsense in [json!({}), json!("x"), json!({"id": "x", "rawId": "x", "type": "public-key", "response": {}})] {
            let answer = answered(world, |_| nonsense).await;
            assert!(!is_in(&sign_in(world, answer).await));
        }
        let answer = answered(world, |options| key.get(options)).await;
        assert!(is_in(&sign_in(world, answer).await), "and all the while it signs its person in");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_that_counts_back_was_copied_and_is_refused_and_told() {
    world(async |world| {
        let platform = &world.platform;
        let client = platform.sign_in().await.unwrap();
        let mut key = key(world);
        register(&client, &platform.password, &mut key, json!({})).await;
        key.count = 7;
        let answer = answered(world, |options| key.get(options)).await;
        assert!(is_in(&sign_in(world, answer).await));
        for count in [8, 3] {
            key.count = count;
            let answer = answered(world, |options| key.sign(options)).await;
            assert!(!is_in(&sign_in(world, answer).await), "{count}");
        }
        // Two that were asked at the same time, and both say the same count: the second is one too many.
        key.count = 20;
        let (one, two) = (answered(world, |options| key.sign(options)).await, answered(world, |options| key.sign(options)).await);
        let (one, two) = (sign_in(world, one).await, sign_in(world, two).await);
        assert_eq!([is_in(&one), is_in(&two)], [true, false]);
        let mut database = platform.database.connect().await.unwrap();
        let told: Vec<String> =
            sqlx::query_scalar("SELECT detail FROM audit_events WHERE action = 'passkey.refused' ORDER BY id")
                .fetch_all(&mut database)
                .await
                .unwrap();
        assert!(told.len() == 3 && told.iter().all(|detail| detail.contains("it counts back")), "{told:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_counts_where_a_second_factor_is_demanded_and_beside_an_app() {
    world(async |world| {
        let platform = &world.platform;
        let owner = &world.acme.client;
        let mut key = key(world);
        let (id, _) = register(owner, &platform.password, &mut key, json!({})).await;
        let demand = "mutation { signInPolicySet(secondFactor: true) { userErrors { message } } }";
        owner.ask(demand, json!({})).await.unwrap();
        owner.ask("{ flows(first: 1) { nodes { id } } }", json!({})).await.unwrap();

        // An app beside it: whoever adds it shows the key.
        let begin = "mutation($p: String!) { secondFactorBegin(password: $p) { userErrors { code } } }";
        let refused = owner.raw(begin, json!({"p": platform.password})).await.unwrap();
        assert_eq!(refused["data"]["secondFactorBegin"]["userErrors"][0]["code"], "SIGN_IN_REFUSED", "{refused}");
        // The same key is registered once.
        let asked = owner.ask(ASK, json!({"p": platform.password})).await.unwrap()["passkeyAsk"]["challenge"].take();
        let shown = json!({"challengeId": asked["id"], "credential": key.get(&asked["options"])});
        let begun =
            owner.ask(BEGIN, json!({"p": platform.password, "k": shown})).await.unwrap()["passkeyBegin"]["challenge"].take();
        assert_eq!(begun["options"]["publicKey"]["excludeCredentials"].as_array().unwrap().len(), 1, "{begun}");
        let again = json!({"challengeId": begun["id"], "credential": key.create(&begun["options"])});
        let again = owner.raw(REGISTER, json!({"n": "again", "a": again})).await.unwrap();
        assert!(again["data"]["passkeyRegister"]["passkey"].is_null(), "{again}");

        // The operator takes all away from who has lost it, and the demand keeps them out.
        let output = platform.run(&["user", "second-factor-remove", "--email", EMAIL]).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        let kept_out = owner.raw("{ flows(first: 1) { nodes { id } } }", json!({})).await.unwrap();
        assert_eq!(kept_out["errors"][0]["extensions"]["code"], "SECOND_FACTOR_NEEDED", "{kept_out}");
        let missing = owner.raw(REMOVE, json!({"i": id, "p": platform.password})).await.unwrap();
        assert_eq!(missing["data"]["passkeyRemove"]["userErrors"][0]["code"], "NOT_FOUND", "{missing}");
        set_up(owner, EMAIL, &platform.password).await;
        owner.ask("{ flows(first: 1) { nodes { id } } }", json!({})).await.unwrap();
    })
    .await;
}
