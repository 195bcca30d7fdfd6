use super::*;

const TIMEOUT: Duration = Duration::from_secs(2);

fn bucket(name: &str, per_s: f64, burst: f64, concurrency: f64) -> Bucket {
    Bucket { name: name.into(), allowed: Allowance { per_s, burst, concurrency, keep: 1.0 }, is_points: false }
}

fn at_once(connection: ConnectionId, concurrency: f64) -> Buckets {
    Buckets::new(connection, vec![bucket("a", 0.0, 1.0, concurrency)])
}

fn served() -> Told {
    Told { verdict: Verdict::Served, ..Told::nothing() }
}

fn now() -> Instant {
    Instant::now()
}

#[tokio::test]
async fn no_more_calls_than_the_limit_are_under_way_at_once() {
    let limiter = Limiter::in_process(TIMEOUT);
    let (a, b) = (ConnectionId::generate(), ConnectionId::generate());
    let first = limiter.take_until(&at_once(a, 2.0), now()).await.unwrap();
    let _second = limiter.take_until(&at_once(a, 2.0), now()).await.unwrap();
    assert_eq!(limiter.take_until(&at_once(a, 2.0), now()).await.unwrap_err(), UsedUp { wait: None });
    assert!(limiter.take_until(&at_once(b, 2.0), now()).await.is_ok(), "another connection is another limit");
    limiter.give(first, &served()).await;
    assert!(limiter.take_until(&at_once(a, 2.0), now()).await.is_ok());
}

#[tokio::test]
async fn a_call_takes_of_all_its_buckets_or_of_none() {
    let limiter = Limiter::in_process(TIMEOUT);
    let connection = ConnectionId::generate();
    let (wide, narrow) = (bucket("wide", 0.001, 3.0, 0.0), bucket("narrow", 0.001, 1.0, 0.0));
    let both = Buckets::new(connection, vec![wide.clone(), narrow]);
    let wide = Buckets::new(connection, vec![wide]);
    assert!(limiter.take_until(&both, now()).await.is_ok());
    for _ in 0..3 {
        let used_up = limiter.take_until(&both, now()).await.unwrap_err();
        assert!(used_up.wait > Some(Duration::from_secs(900)), "{used_up:?}");
    }
    assert!(limiter.take_until(&wide, now()).await.is_ok() && limiter.take_until(&wide, now()).await.is_ok());
    assert!(limiter.take_until(&wide, now()).await.is_err(), "those that found no room took nothing");
}

#[tokio::test]
async fn whoever_was_told_to_wait_does_not_ask_again() {
    let limiter = Limiter::in_process(TIMEOUT);
    let buckets = at_once(ConnectionId::generate(), 5.0);
    let permit = limiter.take_until(&buckets, now()).await.unwrap();
    assert_eq!(limiter.wait(&buckets), None);
    limiter.give(permit, &Told { verdict: Verdict::Refused, retry_after_ms: Some(20_000), buckets: vec![] }).await;
    assert!(limiter.wait(&buckets) > Some(Duration::from_secs(15)));
    let used_up = limiter.take_until(&buckets, now() + Duration::from_secs(2)).await.unwrap_err();
    assert!(used_up.wait > Some(Duration::from_secs(15)), "{used_up:?}");
    let view = &limiter.look(&buckets).await[0];
    assert!(view.budget.blocked_until > view.now + 15_000.0 && !view.shared && view.in_flight == 0, "{view:?}");
}

#[tokio::test]
async fn without_redis_each_process_keeps_within_half_and_still_works() {
    let limiter = Limiter::without_redis(TIMEOUT);
    let (wide, narrow) = (at_once(ConnectionId::generate(), 8.0), at_once(ConnectionId::generate(), 1.0));
    let mut permits = Vec::new();
    while let Ok(permit) = limiter.take_until(&wide, now()).await {
        permits.push(permit);
    }
    assert_eq!(permits.len(), 4);
    assert!(limiter.take_until(&narrow, now()).await.is_ok());
    let slow = Buckets::new(ConnectionId::generate(), vec![bucket("slow", 0.05, 1.0, 0.0)]);
    assert!(limiter.take_until(&slow, now()).await.is_ok());
    let used_up = limiter.take_until(&slow, now()).await.unwrap_err();
    assert!(used_up.wait > Some(Duration::from_secs(30)), "a call in forty seconds: {used_up:?}");
}

#[tokio::test]
async fn a_redis_that_is_away_leaves_the_local_limit() {
    // Nobody listens on port 1.
    let limiter = Limiter::redis("redis://127.0.0.1:1", "x.", TIMEOUT).unwrap();
    let buckets = at_once(ConnectionId::generate(), 8.0);
    let mut permits = Vec::new();
    while let Ok(permit) = limiter.take_until(&buckets, now()).await {
        permits.push(permit);
    }
    assert_eq!(permits.len(), 4);
    let view = &limiter.look(&buckets).await[0];
    assert_eq!((view.shared, view.in_flight), (false, 4));
}

#[test]
fn a_refusal_is_for_the_bucket_that_is_empty_else_for_the_narrowest() {
    let part = |name: &str| Part {
        key: name.into(),
        bucket: name.into(),
        allowed: bucket(name, 1.0, 1.0, 0.0).allowed,
        tokens: 1.0,
        in_flight: 1.0,
    };
    let permit = Permit { lease: String::new(), shared: false, sent_at: 0.0, parts: vec![part("account"), part("search")] };
    let told = |buckets| Told { verdict: Verdict::Refused, retry_after_ms: None, buckets };
    let verdicts = |told: &Told| heard(&permit, told).into_iter().map(|heard| heard.verdict).collect::<Vec<_>>();
    assert_eq!(verdicts(&told(vec![])), [Verdict::Silent, Verdict::Refused]);
    let empty = |name: &str| domain::governor::ToldBucket { name: name.into(), spent: None, left: Some(0.0), scale: None };
    assert_eq!(verdicts(&told(vec![empty("account")])), [Verdict::Refused, Verdict::Silent]);
}

/// A Redis of the tests, where there is one.
fn redis_url() -> Option<String> {
    std::env::var("REDIS_URL").ok().filter(|url| !url.is_empty())
}

/// The numbers of a seeded sequence, the same for ever.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn share(&mut self) -> f64 {
        self.below(1_000_000) as f64 / 1_000_000.0
    }
}

/// The script and the model are two ways to say the same: one sequence through both, and every number of every budget is the same to the last
/// bit. Runs where `REDIS_URL` is set, as the checks do.
#[tokio::test]
async fn the_script_in_redis_does_what_the_model_does() {
    let Some(url) = redis_url() else { return };
    let prefix = format!("test-{}.", uuid::Uuid::new_v4().simple());
    let mut is_pardoned = false;
    for seed in 0..7 {
        // The last one always has more to send to a vendor that refuses a call of twelve whatever comes.
        let is_busy = seed == 6;
        let mut dice = Dice(seed);
        let mut redis = Redis::open(&url, &prefix, Duration::from_secs(86_400)).unwrap();
        let connection = ConnectionId::generate();
        let of = [
            Bucket {
                name: "rate".into(),
                allowed: Allowance { per_s: 7.3, burst: 4.0, concurrency: 5.0, keep: 0.9 },
                is_points: false,
            },
            Bucket {
                name: "points".into(),
                allowed: Allowance { per_s: 100.0, burst: 2_000.0, concurrency: 0.0, keep: 0.85 },
                is_points: true,
            },
            Bucket {
                name: "undeclared".into(),
                allowed: Allowance { per_s: 0.0, burst: 1.0, concurrency: 0.0, keep: 0.9 },
                is_points: false,
            },
            Bucket {
                name: "at once".into(),
                allowed: Allowance { per_s: 0.0, burst: 1.0, concurrency: 6.0, keep: 1.0 },
                is_points: false,
            },
        ];
        let mut model = [Budget::default(); 4];
        let mut leases: [Vec<String>; 4] = Default::default();
        let mut under_way: Vec<(usize, Permit)> = Vec::new();
        let mut clock = 1_795_512_600_000.25;
        let (mut granted, mut refused) = (0, 0);
        for step in 0..1_500 {
            clock += dice.share() * if step % 200 == 0 { 30_000.0 } else { 120.0 };
            redis.clock = clock;
            let which = if is_busy { 0 } else { usize::try_from(dice.below(4)).unwrap() };
            let buckets = Buckets::new(connection, vec![of[which].clone()]);
            if under_way.is_empty() || (!is_busy && dice.below(2) == 0) {
                let (want, lease) = (of[which].want(), format!("{seed}-{step}"));
                let asked = redis.take(&buckets, &lease).await.unwrap();
                let counts = want.allowed.concurrency > 0.0;
                #[expect(clippy::cast_precision_loss, reason = "a few")]
                let is_full = counts && leases[which].len() as f64 >= model[which].pace(&want.allowed).concurrency;
                let wait = model[which].wait_ms(&want, clock);
                assert_eq!(asked.granted, !is_full && wait.max(0.0) <= 100.0, "seed {seed}, step {step}");
                assert_eq!(
                    (asked.now, asked.buckets[0].wait_ms, asked.buckets[0].tokens),
                    (clock, wait, model[which].tokens(&want))
                );
                if asked.granted {
                    granted += 1;
                    model[which].take(&want, clock);
                    if counts {
                        leases[which].push(lease.clone());
                    }
                    under_way.push((which, permit(&buckets, &asked, true, lease, false)));
                } else if is_busy {
                    clock += wait;
                }
            } else {
                let index = usize::try_from(dice.below(under_way.len() as u64)).unwrap();
                let (which, permit) = under_way.swap_remove(index);
                let verdict = match dice.below(12) {
                    0 => Verdict::Silent,
                    1 => Verdict::Refused,
                    _ => Verdict::Served,
                };
                refused += u32::from(verdict == Verdict::Refused);
                let said = domain::governor::ToldBucket {
                    name: of[which].name.clone(),
                    spent: (which == 1 && dice.below(2) == 0).then(|| dice.share() * 300.0),
                    left: (!is_busy && dice.below(5) == 0).then(|| (dice.share() * 40.0).floor()),
                    scale: (!is_busy && dice.below(40) == 0).then(|| 0.5 + dice.share() * 2.0),
                };
                let retry_after_ms = (!is_busy && dice.below(3) == 0).then(|| dice.below(3_000));
                let told = Told { verdict, retry_after_ms, buckets: vec![said] };
                let heard = heard(&permit, &told);
                redis.give(&permit, &heard).await;
                leases[which].retain(|lease| *lease != permit.lease);
                model[which].hear(&permit.parts[0].allowed, &heard[0], clock);
            }
            let view = &redis.look(&Buckets::new(connection, vec![of[which].clone()])).await.unwrap()[0];
            assert_eq!(view.budget, model[which], "seed {seed}, step {step}, {}", of[which].name);
            is_pardoned |= view.budget.pardon > 0.0;
            assert_eq!(view.in_flight as usize, leases[which].len(), "seed {seed}, step {step}");
        }
        assert!(granted > 200 && refused > 10, "the sequence does what is to be compared: {granted} {refused}");
        let mut connection = ::redis::Client::open(url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = ::redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(&mut connection).await.unwrap();
        let _: i64 = ::redis::cmd("DEL").arg(keys).query_async(&mut connection).await.unwrap();
    }
    assert!(is_pardoned, "a sequence has refusals for nothing");
}

/// That sequence measures hardly a window. Here are three, declared and not: the first call of all is refused; one is served while somebody else fills
/// the minute; five go at once, and no more are left of it.
#[tokio::test]
async fn the_script_measures_a_window_as_the_model_does() {
    let Some(url) = redis_url() else { return };
    let prefix = format!("test-{}.", uuid::Uuid::new_v4().simple());
    let mut redis = Redis::open(&url, &prefix, Duration::from_secs(86_400)).unwrap();
    let calls: [(f64, Option<u64>); 11] = [
        (0.0, Some(30_000)),
        (30_050.0, None),
        (70_000.0, Some(20_000)),
        (90_100.0, None),
        (90_110.0, None),
        (90_120.0, None),
        (90_130.0, None),
        (90_140.0, None),
        (90_200.0, Some(60_000)),
        (150_250.0, None),
        (151_250.0, None),
    ];
    // The least that there may be, and what is left of each by a refusal that measures nothing.
    for (per_s, least, unmeasured) in [(40.0, 0.8, 38.0), (0.0, 0.1, 1.0)] {
        let mut bucket = bucket("a", per_s, 4.0, 0.0);
        bucket.allowed.keep = 0.9;
        let buckets = Buckets::new(ConnectionId::generate(), vec![bucket.clone()]);
        let (mut model, mut rates) = (Budget::default(), Vec::new());
        for (index, (at, retry_after_ms)) in calls.into_iter().enumerate() {
            let sent_at = 1_795_512_600_000.25 + at;
            redis.clock = sent_at + 5.0;
            let part = Part {
                key: buckets.name(&bucket),
                bucket: bucket.name.clone(),
                allowed: bucket.allowed,
                tokens: 1.0,
                in_flight: 1.0,
            };
            let permit = Permit { lease: index.to_string(), shared: true, sent_at, parts: vec![part] };
            let verdict = if retry_after_ms.is_some() { Verdict::Refused } else { Verdict::Served };
            let heard = heard(&permit, &Told { verdict, retry_after_ms, buckets: vec![] });
            redis.give(&permit, &heard).await;
            model.hear(&bucket.allowed, &heard[0], redis.clock);
            let view = &redis.look(&buckets).await.unwrap()[0];
            assert_eq!(view.budget, model, "{per_s} a second declared, call {index}");
            rates.push(model.rate);
        }
        assert_eq!((rates[1], rates[9]), (unmeasured, least), "{rates:?}");
    }
    let mut connection = ::redis::Client::open(url.as_str()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<String> = ::redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(&mut connection).await.unwrap();
    let _: i64 = ::redis::cmd("DEL").arg(keys).query_async(&mut connection).await.unwrap();
}
