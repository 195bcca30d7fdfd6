//! How often somebody may ask: over all processes together, each by itself, with Redis and without.

use std::time::{Duration, Instant};

use reqwest::Response;
use serde_json::{Value, json};
use tests::client::http;
use tests::platform::Options;
use tests::proxy::Proxy;
use tests::sample;
use uuid::Uuid;

use crate::{World, eventually, world_with};

const CREATE: &str = "mutation($i: ApiKeyCreateInput!) { apiKeyCreate(input: $i) { key userErrors { field code } } }";

/// Where processes share what they count: with Redis only.
fn shared() -> Option<Options> {
    let options = Options::default();
    let has_redis = options.redis_url.is_some() && !options.all_in_one;
    if !has_redis {
        println!("nothing is proven of processes that share: there is no Redis, or all is in one");
    }
    has_redis.then_some(options)
}

async fn key(world: &World, calls_per_minute: u32) -> String {
    let input = json!({"name": "k", "permissions": ["READ_OPERATIONS"], "callsPerMinute": calls_per_minute});
    let made = world.acme.client.ask(CREATE, json!({"i": input})).await.unwrap();
    made["apiKeyCreate"]["key"].as_str().unwrap().to_owned()
}

/// One small question, by this token or none, that a proxy passes on from `client`.
async fn ask(url: &str, token: Option<&str>, client: &str) -> Response {
    let request = http().build().unwrap().post(format!("{url}/graphql")).json(&json!({"query": "{ viewer { id } }"}));
    let request = request.header("X-Forwarded-For", client);
    let request = if let Some(token) = token { request.bearer_auth(token) } else { request };
    request.send().await.unwrap()
}

fn number(answer: &Response, header: &str) -> u64 {
    let value = answer.headers().get(header).unwrap_or_else(|| panic!("{header} is told: {:?}", answer.headers()));
    value.to_str().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_what_a_key_may_and_tell_how_it_stands() {
    let Some(options) = shared() else { return };
    world_with(options, async |world| {
        let urls = [world.platform.url.clone(), world.platform.start_api_beside().await.unwrap()];
        // Two at once, and one in five seconds.
        let (slow, other) = (key(world, 12).await, key(world, 600).await);
        let first = ask(&urls[0], Some(&slow), "-").await;
        assert_eq!(first.status(), 200);
        assert_eq!((number(&first, "RateLimit-Limit"), number(&first, "RateLimit-Remaining")), (2, 1));
        assert_eq!(first.headers()["RateLimit-Policy"], "12;w=60;burst=2");
        let second = ask(&urls[1], Some(&slow), "-").await;
        assert_eq!((second.status().as_u16(), number(&second, "RateLimit-Remaining")), (200, 0), "what one took the other lacks");
        // One is given back in five seconds, perhaps at this moment: then the next try has none.
        let refused = async |url: &str| {
            for _ in 0..3 {
                let answer = ask(url, Some(&slow), "-").await;
                if answer.status() == 429 {
                    return answer;
                }
            }
            panic!("a key that has used up all is let in");
        };
        for url in &urls {
            let refused = refused(url).await;
            let wait = number(&refused, "Retry-After");
            assert!((1..=5).contains(&wait) && number(&refused, "RateLimit-Reset") >= wait, "{wait}");
            let answer: Value = refused.json().await.unwrap();
            assert_eq!(answer["errors"][0]["extensions"]["code"], "RATE_LIMITED");
            assert_eq!(ask(url, Some(&other), "-").await.status(), 200, "another key has its own");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_counted_in_each_tenant_by_itself() {
    // A hundred at once: the world is made by the same person.
    let environment = vec![("CROSSDOCK_LIMIT_PERSON", "600")];
    world_with(Options { environment, ..Options::default() }, async |world| {
        let here = &world.acme.client;
        let there = world.platform.sign_in().await.unwrap();
        let other = there.tenant_create("other").await.unwrap();
        let there = there.of_tenant(&other);
        let refused = eventually("they ask too often", async || {
            let answer = here.raw("{ viewer { id } }", json!({})).await.unwrap();
            (answer["errors"][0]["extensions"]["code"] == "RATE_LIMITED").then_some(answer)
        });
        let burst = async {
            for _ in 0..300 {
                here.raw("{ viewer { id } }", json!({})).await.unwrap();
            }
        };
        let (refused, ()) = tokio::join!(refused, burst);
        assert!(refused["errors"][0]["extensions"]["retryAfterMs"].as_u64().unwrap() >= 1, "{refused}");
        assert!(
            there.raw("{ viewer { id } }", json!({})).await.unwrap()["errors"].is_null(),
            "the other tenant has lost nothing"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_counted_by_their_address_as_far_as_a_named_proxy_tells_it() {
    let environment = vec![("CROSSDOCK_TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8"), ("CROSSDOCK_LIMIT_ADDRESS", "20")];
    world_with(Options { environment, ..Options::default() }, async |world| {
        let url = world.platform.url.clone();
        let key = key(world, 60_000).await;
        assert_eq!(ask(&url, Some(&key), "203.0.113.7").await.status(), 200);
        // What stands before the address that the proxy wrote is the client's own invention.
        let flood = async |count: u32| {
            let mut refused = 0;
            for n in 0..count {
                refused += u32::from(ask(&url, None, &format!("198.51.100.{n}, 203.0.113.7, 10.1.2.3")).await.status() == 429);
            }
            refused
        };
        assert!(flood(40).await >= 10, "one address is one, whatever it writes");
        assert_eq!(ask(&url, None, "203.0.113.8").await.status(), 200, "another address has its own");
        assert_eq!(ask(&url, Some(&key), "203.0.113.7").await.status(), 200, "who is known is not shut out by a neighbour");
        // One is given back in three seconds, perhaps at this moment: then the next try has none.
        let refused = async |request: &dyn Fn() -> reqwest::RequestBuilder| {
            for _ in 0..3 {
                flood(2).await;
                let answer = request().send().await.unwrap();
                if answer.status() == 429 {
                    return answer;
                }
            }
            panic!("a stranger whose address has used up all is let in");
        };
        let from_there = |path: &str, body: Value| {
            let request = http().build().unwrap().post(format!("{url}{path}")).header("Sec-Fetch-Site", "same-origin");
            request.header("X-Forwarded-For", "203.0.113.7").json(&body)
        };
        // Who guesses, and who signs in.
        refused(&|| from_there("/graphql", json!({"query": "{ viewer { id } }"})).bearer_auth("cdk_0123456789ab_guess")).await;
        let sign_in = refused(&|| from_there("/session/open", json!({"email": "a@example.com", "password": "x"}))).await;
        assert!(number(&sign_in, "Retry-After") >= 1);
        for client in ["2001:db8:1:2::", "2001:db8:1:2:ffff::"] {
            assert!(ask(&url, None, client).await.status() == 200);
        }
        let mut refused = 0;
        for n in 0..30 {
            refused += u32::from(ask(&url, None, &format!("2001:db8:1:2::{n:x}")).await.status() == 429);
        }
        assert!(refused >= 5, "one network of IPv6 is one: {refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobodys_word_is_taken_for_an_address_where_no_proxy_is_named() {
    let environment = vec![("CROSSDOCK_LIMIT_ADDRESS", "30")];
    world_with(Options { environment, ..Options::default() }, async |world| {
        let mut refused = 0;
        for n in 0..60 {
            refused += u32::from(ask(&world.platform.url, None, &format!("203.0.113.{n}")).await.status() == 429);
        }
        assert!(refused >= 20, "all of them come from one: {refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_each_process_gives_half_and_answers() {
    let Some(options) = shared() else { return };
    let url = options.redis_url.clone().unwrap();
    let proxy = Proxy::start(Proxy::target(&url, 6379)).await.unwrap();
    let options = Options { redis_url: Some(proxy.through(&url)), ..options };
    world_with(options, async |world| {
        // Ten at once with Redis, five without; one in a second.
        let token = key(world, 60).await;
        let url = world.platform.url.clone();
        // How many are let in, and how many of them may have been given back meanwhile.
        let granted = async || {
            let (began, mut granted) = (Instant::now(), 0);
            while ask(&url, Some(&token), "-").await.status() == 200 {
                granted += 1;
            }
            (granted, began.elapsed().as_secs() + 1)
        };
        let (with, back) = granted().await;
        assert!((10..=10 + back).contains(&with), "{with} with Redis, {back} of them given back");
        proxy.cut();
        let (without, back) = granted().await;
        assert!((5..=5 + back).contains(&without), "{without} without Redis, {back} of them given back");
        proxy.restore();
        eventually("Redis counts again", async || {
            let answer = ask(&url, Some(&token), "-").await;
            (number(&answer, "RateLimit-Limit") == 10).then_some(())
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_is_flooded_is_told_to_wait_and_takes_nobody_elses() {
    let environment = vec![("CROSSDOCK_LIMIT_HOOK", "60")];
    world_with(Options { environment, ..Options::default() }, async |world| {
        let shop = &world.acme.shop;
        // Ten at once, and one in a second: on a slow machine it takes some more to flood it.
        let mut statuses = vec![];
        while statuses.len() < 100 && statuses.last() != Some(&429) {
            let order = sample::order(u64::try_from(statuses.len()).unwrap());
            statuses.push(shop.send("orders/create", Uuid::new_v4(), order).await.unwrap().status);
        }
        let (last, taken) = statuses.split_last().unwrap();
        assert!(*last == 429 && taken.len() >= 10 && taken.iter().all(|status| *status == 200), "{statuses:?}");
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        assert_eq!(other.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap().status, 200);
        // A vendor comes again, and nothing is lost.
        let last = sample::order(99);
        assert!(shop.deliver("orders/create", last, Duration::from_millis(300)).await);
    })
    .await;
}
