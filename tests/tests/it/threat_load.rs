//! What costs its sender little must not cost us much: queries that grow when they are read, heads and bodies that never end, and many that sign in at
//! once. Meanwhile others are served.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::platform::Platform;
use tests::sample;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::{World, world};

/// What a neighbour may wait for an answer while somebody else does their worst: far more than it takes on an idle machine, because the tests' own
/// machine is none, and far less than anything that was worth it. Where the machine is so busy that one of a process beside waits as long, it may be
/// [`BESIDE_MAX`] times as much.
const NEIGHBOUR_MAX: Duration = Duration::from_secs(5);
const BESIDE_MAX: u32 = 3;
/// One bomb: it is refused by looking at it, so it takes about what reading it takes. The tests' build is not optimised.
const BOMB_MAX: Duration = Duration::from_secs(10);
/// A connection whose body was refused is cut after a second, on a machine that is not busy.
const CUT_MAX: Duration = Duration::from_secs(10);
const GROWTH_MAX: u64 = 150 * 1024 * 1024;

/// Resident memory of the API's process (`VmRSS`, proc(5)), bytes.
fn memory(platform: &Platform) -> u64 {
    let process = platform.api.as_ref().and_then(tokio::process::Child::id).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1_024
}

/// Asks again and again for what the tenant has, once at least, until it is told to stop; how long each answer took.
fn neighbour(client: &Client) -> (Arc<AtomicBool>, tokio::task::JoinHandle<Vec<Duration>>) {
    let (client, stop) = (client.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    let asking = tokio::spawn(async move {
        let mut took = vec![];
        while took.is_empty() || !stopped.load(Ordering::SeqCst) {
            let begun = Instant::now();
            let seen = client.ask("{ connections { nodes { id name } } ledger { duplicates } }", json!({})).await.unwrap();
            assert!(seen["connections"]["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2), "{seen}");
            took.push(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        took.sort();
        took
    });
    (stop, asking)
}

/// The slowest but one of a hundred.
fn p99(took: &[Duration]) -> Duration {
    took[(took.len() * 99 / 100).min(took.len() - 1)]
}

fn repeated(count: usize, part: impl Fn(usize) -> String) -> String {
    (0..count).map(part).collect()
}

/// Each of them is small to say.
fn bombs() -> Vec<(&'static str, String)> {
    let query = |query: String| json!({"query": query}).to_string();
    let deep =
        |open: &str, close: &str, count: usize, within: &str| format!("{}{within}{}", open.repeat(count), close.repeat(count));
    let spreading = |count: usize, times: usize| {
        let fragments =
            repeated(count, |n| format!("fragment f{n} on Viewer {{ {} }} ", format!("...f{} ", n + 1).repeat(times)));
        format!("{{ viewer {{ ...f0 }} }} {fragments} fragment f{count} on Viewer {{ id }}")
    };
    vec![
        (
            "nested a hundred deep",
            query(format!("{{ records {{ nodes {{ {} }} }} }}", deep("deliveries { nodes { record { ", "} } }", 34, "id "))),
        ),
        (
            "lists within lists",
            query(format!(
                "{{ records(first: 100) {{ nodes {{ {} }} }} }}",
                deep("deliveries(first: 100) { nodes { record { ", "} } }", 2, "id ")
            )),
        ),
        (
            "a thousand aliases",
            query(format!("{{ {} }}", repeated(1_000, |n| format!("a{n}: connections {{ nodes {{ id }} }} ")))),
        ),
        ("a field ten thousand times", query(format!("{{ connections {{ nodes {{ {} }} }} }}", "id ".repeat(10_000)))),
        (
            "a list field ten thousand times",
            query(format!("{{ connections {{ nodes {{ {} }} }} }}", "incidents { id } ".repeat(10_000))),
        ),
        ("ten thousand directives", query(format!("{{ viewer {{ id {} }} }}", "@include(if: true) ".repeat(10_000)))),
        ("directives on each of many", query(format!("{{ viewer {{ {} }} }}", "id @skip(if: false) ".repeat(10_000)))),
        (
            "fragments in a circle",
            query("{ viewer { ...a } } fragment a on Viewer { ...b } fragment b on Viewer { ...a }".into()),
        ),
        ("fragments that double", query(spreading(22, 2))),
        ("fragments that spread a hundredfold", query(spreading(20, 100))),
        ("fragments that double without end", query(spreading(2_000, 2))),
        (
            "many that spread one",
            query(format!("{{ viewer {{ {} }} }} fragment f on Viewer {{ {} }}", "...f ".repeat(20_000), "id ".repeat(20_000))),
        ),
        ("fields that must be merged", query(format!("{{ {} }}", "viewer { memberships { role } } ".repeat(8_000)))),
        ("a list within a list within", query(format!("{{ node(id: {}) {{ id }} }}", deep("[", "]", 200_000, "")))),
        ("an object within an object within", query(format!("{{ node(id: {}) {{ id }} }}", deep("{a:", "}", 100_000, "1")))),
        ("types within types", query(format!("query($a: {}) {{ viewer {{ id }} }}", deep("[", "]", 200_000, "ID")))),
        ("braces without end", query("{".repeat(500_000))),
        ("a number without end", query(format!("{{ connections(first: 1e{}) {{ nodes {{ id }} }} }}", "9".repeat(100_000)))),
        ("a text without end", query(format!("{{ node(id: \"{}\") {{ id }} }}", "x".repeat(900_000)))),
        (
            "variables a hundred thousand deep",
            format!("{{\"query\": \"{{ viewer {{ id }} }}\", \"variables\": {}}}", deep("{\"a\":", "}", 100_000, "1")),
        ),
        ("a thousand in a batch", format!("[{}1]", "{\"query\": \"{ viewer { id } }\"},".repeat(1_000))),
        ("five megabytes", query(format!("{{ viewer {{ id }} }} # {}", "x".repeat(5 * 1024 * 1024)))),
        (
            "the schema within the schema",
            query(format!("{{ __schema {{ types {{ {} }} }} }}", deep("fields { type { ", "} }", 30, "name "))),
        ),
        ("ten thousand operations", query(repeated(10_000, |n| format!("query q{n} {{ viewer {{ id }} }} ")))),
        (
            "ten thousand variables",
            query(format!("query({}) {{ viewer {{ id }} }}", repeated(10_000, |n| format!("$v{n}: ID ")))),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_query_bombs_are_refused_at_a_glance_while_a_neighbour_is_served() {
    world(async |world| {
        let other = world.platform.sign_in().await.unwrap();
        let attacker = other.tenant_create("attacker").await.unwrap();
        let attacker = other.of_tenant(&attacker);
        // Another process of the same database, which is sent no bomb: it waits for the machine only.
        let apart = Client::new(&world.platform.start_api_beside().await.unwrap());
        let apart = apart.with_token(world.acme.client.token().unwrap()).of_tenant(&world.acme.id);

        let before = memory(&world.platform);
        let client = http().timeout(Duration::from_secs(60)).build().unwrap();
        for (what, body) in bombs() {
            let [beside, apart] = [&world.acme.client, &apart].map(neighbour);
            for signed_in in [true, true, false] {
                let mut request = client
                    .post(format!("{}/graphql", world.platform.url))
                    .header("Content-Type", "application/json")
                    .body(body.clone());
                if signed_in {
                    request = request.bearer_auth(attacker.token().unwrap()).header("X-Crossdock-Tenant", "attacker");
                }
                let begun = Instant::now();
                let answer = request.send().await.unwrap_or_else(|error| panic!("{what}: the process is gone: {error:?}"));
                let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
                let took = begun.elapsed();
                let is_refused = (400..500).contains(&status)
                    || serde_json::from_str::<Value>(&text).is_ok_and(|answer| answer["errors"].is_array());
                // What is answered may only be what is cheap.
                assert!(is_refused || text.len() < 200_000, "{what}: {status} {text:.300}");
                assert!(took < BOMB_MAX, "{what} took {took:?}: {status} {text:.300}");
                assert!(text.len() < 300_000, "{what}: an answer of {} bytes", text.len());
            }
            let mut waited = [Duration::ZERO; 2];
            for (waited, (stop, asking)) in waited.iter_mut().zip([beside, apart]) {
                stop.store(true, Ordering::SeqCst);
                *waited = p99(&asking.await.unwrap());
            }
            let [beside, apart] = waited;
            assert!(
                beside < NEIGHBOUR_MAX.max(apart * BESIDE_MAX),
                "beside {what} a neighbour waited {beside:?}, one of another process {apart:?}"
            );
        }
        let growth = memory(&world.platform).saturating_sub(before);
        assert!(growth < GROWTH_MAX, "the bombs have left {growth} bytes");
    })
    .await;
}

/// Connections that begin a request and never finish it: each sends this, and then nothing.
async fn slow(world: &World, count: usize, begin: &str) -> Vec<TcpStream> {
    let address = world.platform.url.trim_start_matches("http://").to_owned();
    let mut all = vec![];
    for _ in 0..count {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(begin.as_bytes()).await.unwrap();
        all.push(stream);
    }
    all
}

/// True once the other side has ended the connection, with or without an answer.
async fn ended(stream: &mut TcpStream) -> bool {
    let mut rest = vec![];
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_slow_heads_and_bodies_end_in_time_and_hold_up_nobody() {
    world(async |world| {
        let before = memory(&world.platform);
        let heads = slow(world, 500, "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nX-A: ").await;
        let body =
            "POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{\"query\": \"";
        let bodies = slow(world, 200, body).await;
        let (stop, asking) = neighbour(&world.acme.client);
        for n in 0..20 {
            let begun = Instant::now();
            assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap().status, 200);
            assert!(begun.elapsed() < NEIGHBOUR_MAX * 2, "a hook waited {:?}", begun.elapsed());
        }
        let growth = memory(&world.platform).saturating_sub(before);
        let mut all: Vec<TcpStream> = heads.into_iter().chain(bodies).collect();
        for (at, stream) in all.iter_mut().enumerate() {
            assert!(ended(stream).await, "connection {at} of {} is still open", 700);
        }
        stop.store(true, Ordering::SeqCst);
        let took = p99(&asking.await.unwrap());
        assert!(took < NEIGHBOUR_MAX, "a neighbour waited {took:?}");
        assert!(growth < GROWTH_MAX, "{growth} bytes for 700 of them");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_bodies_without_end_or_packed_are_refused_and_leave_no_memory_behind() {
    world(async |world| {
        let (address, before) = (world.platform.url.trim_start_matches("http://").to_owned(), memory(&world.platform));
        let hook = world.acme.hook_url.trim_start_matches(&world.platform.url).to_owned();
        for path in ["/graphql", hook.as_str()] {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            let (mut read, mut write) = stream.into_split();
            let sending = tokio::spawn(async move {
                let chunk = [b"10000\r\n".as_slice(), &[b' '; 65_536], b"\r\n"].concat();
                while write.write_all(&chunk).await.is_ok() {}
            });
            let mut answer = [0; 64];
            let count = read.read(&mut answer).await.unwrap();
            assert!(
                String::from_utf8_lossy(&answer[..count]).starts_with("HTTP/1.1 413"),
                "{path}: {}",
                String::from_utf8_lossy(&answer[..count])
            );
            // What is sent after the refusal is thrown away for a moment, and then the connection is cut, however long the sender would go on.
            tokio::time::timeout(CUT_MAX, sending).await.expect("the connection is cut").unwrap();
            drop(read);

            // So is that of a sender who stalls once he is refused, wherever he knocked.
            for path in [path, "/nowhere"] {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                let head = format!(
                    "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                let mut answer = vec![];
                let ended = tokio::time::timeout(CUT_MAX, stream.read_to_end(&mut answer)).await;
                assert!(ended.is_ok() && answer.starts_with(b"HTTP/1.1 4"), "{path}: {}", String::from_utf8_lossy(&answer));
            }

            // A bomb by its encoding is not unpacked, and by its own promise not waited for.
            let client = http().build().unwrap();
            let packed = client.post(format!("{}{path}", world.platform.url)).header("Content-Type", "application/json");
            let packed = packed.header("Content-Encoding", "gzip").body(vec![0x1f, 0x8b, 8, 0]).send().await.unwrap();
            assert_eq!(packed.status().as_u16(), 415, "{path}");
        }
        let growth = memory(&world.platform).saturating_sub(before);
        assert!(growth < GROWTH_MAX, "{growth} bytes stayed");
        assert_eq!(world.acme.client.ledger().await.unwrap().accepted(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_sign_ins_by_the_dozen_slow_no_neighbour() {
    world(async |world| {
        let (stop, asking) = neighbour(&world.acme.client);
        let stranger = Client::new(&world.platform.url);
        let open = "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken } userErrors { code } } }";
        let tries = (0..50).map(|n| {
            stranger.raw(open, json!({"i": {"email": format!("nobody{n}@example.com"), "password": "a wrong password"}}))
        });
        for answer in futures::future::join_all(tries).await {
            assert!(answer.unwrap()["data"]["sessionOpen"]["session"].is_null());
        }
        stop.store(true, Ordering::SeqCst);
        let took = asking.await.unwrap();
        // However few a busy machine had time for: each was given soon.
        assert!(p99(&took) < NEIGHBOUR_MAX, "{} answers, the slowest after {:?}", took.len(), took.last());
    })
    .await;
}
