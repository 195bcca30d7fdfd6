//! A password alone signs nobody in who has a second factor: a code is good once, guessing ends, and the day the app is lost is no disaster.

use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::platform::{EMAIL, Platform};
use totp_rs::{Builder, Secret, Totp};

use crate::{World, world};

const OPEN: &str =
    "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken } userErrors { field code message } } }";
const BEGIN: &str =
    "mutation($p: String!) { secondFactorBegin(password: $p) { setup { secret uri } userErrors { field code message } } }";
const CONFIRM: &str =
    "mutation($c: String!) { secondFactorConfirm(code: $c) { recoveryCodes userErrors { field code message } } }";
const REMOVE: &str = "mutation($p: String!, $c: String!) { secondFactorRemove(password: $p, code: $c) { done userErrors { field code message } } }";
const ACCOUNT: &str = "{ account { secondFactor { since recoveryCodesLeft } } }";

/// A person with an app and codes on paper.
pub(crate) struct Person {
    pub(crate) client: Client,
    pub(crate) app: Totp,
    paper: Vec<String>,
}

impl Person {
    /// Signed in, with the second factor set up a minute ago, so that three codes are good one after the other.
    pub(crate) async fn with_an_app(world: &World) -> Self {
        let client = world.platform.sign_in().await.unwrap();
        let (app, paper) = set_up(&client, EMAIL, &world.platform.password).await;
        let mut database = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE second_factors SET last_step = last_step - 2").execute(&mut database).await.unwrap();
        Self { client, app, paper }
    }
}

/// Sets the second factor of whoever is signed in up: their app, and their codes on paper.
pub(crate) async fn set_up(client: &Client, email: &str, password: &str) -> (Totp, Vec<String>) {
    let begun = client.ask(BEGIN, json!({"p": password})).await.unwrap();
    let setup = &begun["secondFactorBegin"]["setup"];
    let begins = format!("otpauth://totp/Crossdock:{}?", email.replace('@', "%40"));
    assert!(setup["uri"].as_str().unwrap().starts_with(&begins), "{setup}");
    let secret = Secret::try_from_base32(setup["secret"].as_str().unwrap()).unwrap();
    let app = Builder::new().with_secret(secret).build().unwrap();
    let confirmed = client.ask(CONFIRM, json!({"c": code(&app, 0)})).await.unwrap();
    let paper = serde_json::from_value(confirmed["secondFactorConfirm"]["recoveryCodes"].clone()).unwrap();
    (app, paper)
}

/// What the app shows, so many steps from now.
pub(crate) fn code(app: &Totp, steps: i64) -> String {
    let at = chrono::Utc::now().timestamp() + 30 * steps;
    app.generate(u64::try_from(at).unwrap()).to_string()
}

pub(crate) async fn open(platform: &Platform, code: Option<&str>) -> Value {
    let input = json!({"i": {"email": EMAIL, "password": platform.password, "code": code}});
    Client::new(&platform.url).raw(OPEN, input).await.unwrap()["data"]["sessionOpen"].clone()
}

pub(crate) fn is_open(answer: &Value) -> bool {
    answer["session"]["accessToken"].is_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_and_its_code_is_good_once() {
    world(async |world| {
        let elsewhere = world.platform.sign_in().await.unwrap();
        let person = Person::with_an_app(world).await;
        assert!(
            elsewhere.raw("{ viewer { id } }", json!({})).await.unwrap()["data"]["viewer"].is_null(),
            "it was not shown there"
        );
        let account = person.client.ask(ACCOUNT, json!({})).await.unwrap();
        assert_eq!(account["account"]["secondFactor"]["recoveryCodesLeft"], 10, "{account}");

        let asked = open(&world.platform, None).await;
        assert_eq!((is_open(&asked), &asked["userErrors"][0]["code"]), (false, &json!("SECOND_FACTOR_NEEDED")), "{asked}");
        let now = code(&person.app, 0);
        assert!(is_open(&open(&world.platform, Some(&now)).await));
        let again = open(&world.platform, Some(&now)).await;
        assert_eq!((is_open(&again), &again["userErrors"][0]["code"]), (false, &json!("SIGN_IN_REFUSED")), "{again}");
        assert!(!is_open(&open(&world.platform, Some(&code(&person.app, -1))).await), "one before it is no good either");

        // A code on paper as somebody types it; once.
        let paper = person.paper[0].to_lowercase().replace('-', " ");
        assert!(is_open(&open(&world.platform, Some(&paper)).await));
        assert!(!is_open(&open(&world.platform, Some(&paper)).await));
        let account = person.client.ask(ACCOUNT, json!({})).await.unwrap();
        assert_eq!(account["account"]["secondFactor"]["recoveryCodesLeft"], 9, "{account}");

        // Somebody at an open session takes nothing away.
        let wrong = json!({"p": "not-the-password", "c": code(&person.app, 1)});
        let refused = person.client.raw(REMOVE, wrong).await.unwrap();
        assert_eq!(refused["data"]["secondFactorRemove"]["userErrors"][0]["field"], json!(["password"]), "{refused}");
        let removed = json!({"p": world.platform.password, "c": code(&person.app, 1)});
        assert_eq!(person.client.ask(REMOVE, removed).await.unwrap()["secondFactorRemove"]["done"], true);
        assert!(is_open(&open(&world.platform, None).await));

        let mut database = world.platform.database.connect().await.unwrap();
        let told: Vec<String> = sqlx::query_scalar(
            "SELECT action FROM audit_events WHERE action LIKE 'second_factor%' OR action LIKE 'recovery%' ORDER BY id",
        )
        .fetch_all(&mut database)
        .await
        .unwrap();
        assert_eq!(told, ["second_factor.set", "recovery_code.used", "second_factor.removed"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_wrong_codes_in_a_row_end_the_guessing_and_paper_still_lets_its_person_in() {
    world(async |world| {
        let person = Person::with_an_app(world).await;
        let mut database = world.platform.database.connect().await.unwrap();
        // Those at once are not more than those one after the other.
        for _ in 0..3 {
            let guess = || open(&world.platform, Some("000000"));
            let (one, two, three) = tokio::join!(guess(), guess(), guess());
            assert!(![one, two, three].iter().any(is_open));
        }
        let counted = "SELECT failures, rest_until IS NOT NULL FROM second_factors";
        assert_eq!(sqlx::query_as::<_, (i32, bool)>(counted).fetch_one(&mut database).await.unwrap(), (9, false));
        let (platform, right) = (&world.platform, code(&person.app, 0));
        assert!(is_open(&open(platform, Some(&right)).await), "one that is right begins the count anew");
        sqlx::query("UPDATE second_factors SET failures = 9").execute(&mut database).await.unwrap();
        assert!(!is_open(&open(platform, Some("000000")).await));
        assert!(!is_open(&open(platform, Some(&code(&person.app, 1))).await), "now no code of the app is looked at");
        assert!(is_open(&open(platform, Some(&person.paper[4])).await));
        sqlx::query("UPDATE second_factors SET rest_until = now()").execute(&mut database).await.unwrap();
        assert!(is_open(&open(platform, Some(&code(&person.app, 1))).await), "an hour later it is");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_app_is_told_that_a_code_is_needed() {
    world(async |world| {
        let person = Person::with_an_app(world).await;
        let post = async |code: Option<&str>| {
            let body = json!({"email": EMAIL, "password": world.platform.password, "code": code});
            let request = http().build().unwrap().post(format!("{}/session/open", world.platform.url));
            let request = request.header("Sec-Fetch-Site", "same-origin").json(&body);
            request.send().await.unwrap().json::<Value>().await.unwrap()
        };
        let asked = post(None).await;
        assert_eq!((&asked["session"], &asked["needs"]), (&Value::Null, &json!("code")), "{asked}");
        assert_eq!(post(Some("000000")).await["needs"], "code");
        assert!(post(Some(&code(&person.app, 0))).await["session"]["accessToken"].is_string());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_knows_is_sealed_and_whoever_lost_everything_is_helped_from_beside_the_database() {
    world(async |world| {
        let person = Person::with_an_app(world).await;
        let mut database = world.platform.database.connect().await.unwrap();
        let sealed: Vec<u8> = sqlx::query_scalar("SELECT sealed FROM second_factors").fetch_one(&mut database).await.unwrap();
        let secret = person.app.secret().to_base32();
        assert!(!sealed.windows(8).any(|window| secret.as_bytes().starts_with(window)));
        let hashes: Vec<Vec<u8>> = sqlx::query_scalar("SELECT hash FROM recovery_codes").fetch_all(&mut database).await.unwrap();
        assert_eq!(hashes.len(), 10);

        let remove = ["user", "second-factor-remove", "--email", EMAIL];
        let output = world.platform.run(&remove).await.unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(is_open(&open(&world.platform, None).await));
        let output = world.platform.run(&remove).await.unwrap();
        assert!(
            !output.status.success() && String::from_utf8_lossy(&output.stderr).contains("has no second factor"),
            "{output:?}"
        );
    })
    .await;
}
