//! Signing in: equal answers for strangers, short tokens, refresh tokens that are used once, a cookie for the web app, and sessions that their person
//! sees and ends.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::client::Client;
use tests::platform::EMAIL;

use crate::{eventually, world};

const OPEN: &str = "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken refreshToken } userErrors { code message } } }";
const REFRESH: &str =
    "mutation($t: String!) { sessionRefresh(refreshToken: $t) { session { accessToken refreshToken } userErrors { code } } }";

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_a_wrong_password_and_a_resting_account_get_the_same_answer() {
    world(async |world| {
        let client = Client::new(&world.platform.url);
        // Whoever was here before does not wait for others' tries; here nobody was.
        let mut connection = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE sessions SET address = '203.0.113.9'").execute(&mut connection).await.unwrap();
        let open = async |email: &str, password: &str| {
            client.raw(OPEN, json!({"i": {"email": email, "password": password}})).await.unwrap()
        };
        let unknown = open("nobody@crossdock.example", "wrong-password").await;
        let wrong = open(EMAIL, "wrong-password").await;
        assert_eq!(unknown, wrong);
        for _ in 0..5 {
            open(EMAIL, "wrong-password").await;
        }
        // They are counted beside their answers, so that the time tells nobody whether the address is known. The first rest is short:
        // here it lasts, so that a slow machine does not sleep through it, before this is seen or after.
        eventually("the account rests", async || {
            let rest =
                "UPDATE users SET locked_until = locked_until + interval '1 hour' WHERE email = $1 AND locked_until IS NOT NULL";
            let rests = sqlx::query(rest).bind(EMAIL).execute(&mut connection).await.unwrap();
            (rests.rows_affected() == 1).then_some(())
        })
        .await;
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

        // Whoever has traded the next one has it, so that the first one comes from somebody else, however soon.
        let next = client.raw(REFRESH, json!({"t": session["refreshToken"]})).await.unwrap();
        assert!(next["data"]["sessionRefresh"]["session"].is_object(), "{next}");
        let stolen = client.raw(REFRESH, json!({"t": first})).await.unwrap();
        assert!(stolen["data"]["sessionRefresh"]["session"].is_null());
        assert!(viewer(access).await["data"]["viewer"].is_null(), "both holders are signed out at once");
        let last = client.raw(REFRESH, json!({"t": next["data"]["sessionRefresh"]["session"]["refreshToken"]})).await.unwrap();
        assert!(last["data"]["sessionRefresh"]["session"].is_null());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_on_its_way_signs_nobody_out_and_who_has_it_instead_is_noticed() {
    world(async |world| {
        let client = Client::new(&world.platform.url);
        let trade = async |token: &str| {
            let traded = client.raw(REFRESH, json!({"t": token})).await.unwrap();
            traded["data"]["sessionRefresh"]["session"]["refreshToken"].as_str().map(str::to_owned)
        };
        let open = async || {
            let opened = client.raw(OPEN, json!({"i": {"email": EMAIL, "password": world.platform.password}})).await.unwrap();
            opened["data"]["sessionOpen"]["session"]["refreshToken"].as_str().unwrap().to_owned()
        };
        let mut database = world.platform.database.connect().await.unwrap();
        let mut pass = async || {
            let later = "UPDATE refresh_tokens SET used_at = used_at - interval '10 seconds' WHERE used_at IS NOT NULL";
            sqlx::query(later).execute(&mut database).await.unwrap();
        };
        // Whichever of them arrived last is the one that the person has, the first one or another.
        for kept in 0..3 {
            let first = open().await;
            let pairs = [trade(&first).await.unwrap(), trade(&first).await.unwrap(), trade(&first).await.unwrap()];
            pass().await;
            let next = trade(&pairs[kept]).await.unwrap();
            assert_eq!(pairs.iter().chain([&first, &next]).collect::<BTreeSet<_>>().len(), 5);
            pass().await;
            let last = trade(&next).await.unwrap();
            assert_eq!(trade(&pairs[(kept + 1) % 3]).await, None, "it comes from somebody who listened");
            assert_eq!(trade(&last).await, None, "and then nobody has the session");
        }

        // After ten seconds nobody waits for an answer any more.
        let first = open().await;
        let kept = trade(&first).await.unwrap();
        pass().await;
        assert_eq!(trade(&first).await, None);
        assert_eq!(trade(&kept).await, None);
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

/// A browser at the web app's sign-in: it says where its page is from, and keeps the cookie.
struct Browser<'w> {
    url: &'w str,
    origin: &'w str,
    kind: &'w str,
    cookie: Option<String>,
}

impl Browser<'_> {
    /// Status and answer; the cookie that came replaces the one that was kept.
    async fn post(&mut self, act: &str, body: Value) -> (u16, Value) {
        let request = tests::client::http().build().unwrap().post(format!("{}/session/{act}", self.url));
        let mut request =
            request.header("Origin", self.origin).header("Content-Type", self.kind).header("User-Agent", "Browser of the test");
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        let answer = request.body(body.to_string()).send().await.unwrap();
        if let Some(set) = answer.headers().get("set-cookie").map(|value| value.to_str().unwrap().to_owned()) {
            assert!(set.ends_with("; HttpOnly; SameSite=Strict") && set.contains("; Path=/session;"), "{set}");
            self.cookie = set.split(';').next().map(str::to_owned).filter(|pair| !pair.ends_with('='));
        }
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_web_app_signs_in_by_a_cookie_that_only_its_own_pages_can_use() {
    world(async |world| {
        let (url, right) = (world.platform.url.clone(), json!({"email": EMAIL, "password": world.platform.password}));
        let browser = |origin, kind, cookie| Browser { url: &url, origin, kind, cookie };
        let mut own = browser(&url, "application/json", None);
        let (status, wrong) = own.post("open", json!({"email": EMAIL, "password": "wrong-password"})).await;
        assert_eq!((status, &wrong["session"], &own.cookie), (200, &Value::Null, &None));
        let (_, opened) = own.post("open", right.clone()).await;
        let first = own.cookie.clone().unwrap();
        assert!(!opened.to_string().contains(first.split('=').nth(1).unwrap()), "no script sees the refresh token: {opened}");
        let viewer = async |answer: &Value| {
            let token = answer["session"]["accessToken"].as_str().unwrap_or("none");
            let client = Client::new(&url).with_token(token);
            client.raw("{ viewer { id } }", json!({})).await.unwrap()["data"]["viewer"]["id"].is_string()
        };
        assert!(viewer(&opened).await);

        // A form of another page sends the cookie, too (were it not SameSite), but neither JSON nor this origin.
        for (origin, kind, expected) in [
            ("https://evil.example", "application/json", 403),
            ("null", "application/json", 403),
            (url.as_str(), "text/plain", 415),
            (url.as_str(), "application/jsonp", 415),
        ] {
            for (act, body) in [("open", right.clone()), ("refresh", json!({})), ("close", json!({}))] {
                assert_eq!(browser(origin, kind, Some(first.clone())).post(act, body).await.0, expected, "{act} {origin} {kind}");
            }
        }
        assert!(viewer(&opened).await, "nobody else's page signed out");

        let (_, refreshed) = own.post("refresh", json!({})).await;
        assert!(viewer(&refreshed).await && own.cookie.as_ref() != Some(&first));
        let (_, refreshed) = own.post("refresh", json!({})).await;
        let (_, stolen) = browser(&url, "application/json", Some(first)).post("refresh", json!({})).await;
        assert!(stolen["session"].is_null() && !viewer(&refreshed).await, "a token that came twice ends the session");

        let (_, again) = own.post("open", right).await;
        let last = own.cookie.clone();
        own.post("close", json!({})).await;
        assert!(own.cookie.is_none() && !viewer(&again).await);
        let (_, late) = browser(&url, "application/json", last).post("refresh", json!({})).await;
        assert!(late["session"].is_null());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_their_sessions_and_ends_them_at_once_and_nobody_elses() {
    world(async |world| {
        let url = world.platform.url.clone();
        let here = world.acme.client.clone();
        let count = async |client: &Client| {
            client.raw("{ sessions { id } }", json!({})).await.unwrap()["data"]["sessions"].as_array().map(Vec::len)
        };
        let before = count(&here).await.unwrap();
        let phone = world.platform.sign_in().await.unwrap();
        let laptop = world.platform.sign_in().await.unwrap();
        world.platform.user_create("other@crossdock.example", "other-person-password").await.unwrap();
        let other = Client::new(&url).sign_in("other@crossdock.example", "other-person-password").await.unwrap();

        let data = phone.ask("{ sessions { id isCurrent address device openedAt lastUsedAt } }", json!({})).await.unwrap();
        let sessions = data["sessions"].as_array().unwrap();
        let current: Vec<&Value> = sessions.iter().filter(|session| session["isCurrent"] == true).collect();
        assert_eq!((sessions.len(), current.len()), (before + 2, 1), "{data}");
        assert_eq!(current[0]["address"], "127.0.0.1");
        let id = current[0]["id"].clone();
        let revoke = "mutation($id: ID!) { sessionRevoke(id: $id) { count userErrors { code } } }";
        let foreign = other.raw(revoke, json!({"id": id})).await.unwrap();
        assert_eq!(foreign["data"]["sessionRevoke"], json!({"count": 0, "userErrors": [{"code": "NOT_FOUND"}]}));
        assert_eq!(laptop.ask(revoke, json!({"id": id})).await.unwrap()["sessionRevoke"]["count"], 1);
        assert_eq!(count(&phone).await, None, "its access token is worth nothing any more");

        let others = laptop.ask("mutation { sessionRevokeOthers { count } }", json!({})).await.unwrap();
        assert_eq!(others["sessionRevokeOthers"]["count"], before);
        assert_eq!((count(&here).await, count(&laptop).await, count(&other).await), (None, Some(1), Some(1)));
        let laptop = laptop.of_tenant("acme");
        let audit = laptop
            .ask("query($id: ID!) { auditEvents(subjectId: $id) { nodes { action detail } } }", json!({"id": id}))
            .await
            .unwrap();
        let told: Vec<&str> =
            audit["auditEvents"]["nodes"].as_array().unwrap().iter().filter_map(|event| event["action"].as_str()).collect();
        assert_eq!(told, ["session.closed", "session.opened"], "{audit}");
    })
    .await;
}
