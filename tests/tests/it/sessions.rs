//! Signing in: equal answers for strangers, short tokens, refresh tokens that are used once.

use serde_json::json;
use tests::client::Client;
use tests::platform::EMAIL;

use crate::world;

const OPEN: &str = "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken refreshToken } userErrors { code message } } }";
const REFRESH: &str =
    "mutation($t: String!) { sessionRefresh(refreshToken: $t) { session { accessToken refreshToken } userErrors { code } } }";

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_a_wrong_password_and_a_resting_account_get_the_same_answer() {
    world(async |world| {
        let client = Client::new(&world.platform.url);
        let open = async |email: &str, password: &str| {
            client.raw(OPEN, json!({"i": {"email": email, "password": password}})).await.unwrap()
        };
        let unknown = open("nobody@crossdock.example", "wrong-password").await;
        let wrong = open(EMAIL, "wrong-password").await;
        assert_eq!(unknown, wrong);
        for _ in 0..5 {
            open(EMAIL, "wrong-password").await;
        }
        let resting = open(EMAIL, &world.platform.password).await;
        assert_eq!(resting, wrong, "after too many tries even the right password has to wait");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_works_once_and_its_second_use_ends_the_session() {
    world(async |world| {
        let client = Client::new(&world.platform.url);
        let opened = client.raw(OPEN, json!({"i": {"email": EMAIL, "password": world.platform.password}})).await.unwrap();
        let first = opened["data"]["sessionOpen"]["session"]["refreshToken"].as_str().unwrap().to_owned();
        let refreshed = client.raw(REFRESH, json!({"t": first})).await.unwrap();
        let session = &refreshed["data"]["sessionRefresh"]["session"];
        let access = session["accessToken"].as_str().unwrap();
        let viewer = async |token: &str| {
            Client::new(&world.platform.url).with_token(token).raw("{ viewer { id } }", json!({})).await.unwrap()
        };
        assert!(viewer(access).await["data"]["viewer"]["id"].is_string());

        let stolen = client.raw(REFRESH, json!({"t": first})).await.unwrap();
        assert!(stolen["data"]["sessionRefresh"]["session"].is_null());
        assert!(viewer(access).await["data"]["viewer"].is_null(), "both holders are signed out at once");
        let next = client.raw(REFRESH, json!({"t": session["refreshToken"]})).await.unwrap();
        assert!(next["data"]["sessionRefresh"]["session"].is_null());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_another_making_are_strangers() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    world(async |world| {
        let opened = Client::new(&world.platform.url)
            .raw(OPEN, json!({"i": {"email": EMAIL, "password": world.platform.password}}))
            .await
            .unwrap();
        let token = opened["data"]["sessionOpen"]["session"]["accessToken"].as_str().unwrap().to_owned();
        let [header, claims, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let none = B64.encode(r#"{"typ":"JWT","alg":"none"}"#);
        let later = String::from_utf8(B64.decode(claims).unwrap()).unwrap().replace("crossdock-api", "another-api");
        for forged in [
            format!("{none}.{claims}."),
            format!("{none}.{claims}.{signature}"),
            format!("{header}.{}.{signature}", B64.encode(later)),
            format!("{header}.{claims}.{}", B64.encode([0u8; 32])),
            format!("{header}.{claims}"),
            "x".repeat(5_000),
        ] {
            let answer = Client::new(&world.platform.url)
                .with_token(&forged)
                .raw("{ viewer { id } connections { nodes { id } } }", json!({}))
                .await
                .unwrap();
            assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{forged:.60} {answer}");
        }
        // A GET never executes.
        let get = tests::client::http()
            .build()
            .unwrap()
            .get(format!("{}/graphql?query={{viewer{{id}}}}", world.platform.url))
            .bearer_auth(token);
        assert!(!get.send().await.unwrap().text().await.unwrap().contains("usr_"));
    })
    .await;
}
