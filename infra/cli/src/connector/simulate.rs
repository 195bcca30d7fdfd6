//! A vendor's simulator on a loopback address: the connector's own file, served.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, Utc};
use connectors::manifest::KeyEncoding;
use connectors::simulator::{OutgoingHook, SimAnswer, Simulator};
use connectors::{Catalog, Connector};
use domain::http::{HttpAnswer, HttpRequest};
use domain::secret::SecretFields;
use infra::loopback::{self, Answer, Running};
use infra::outbound::{AllowList, Outbound};

use crate::{Failure, say};

/// A made-up account: the settings that the form gives as examples, and a secret for each field.
pub fn account(connector: &Connector) -> (serde_json::Value, SecretFields) {
    let mut settings = serde_json::Map::new();
    for (name, field) in connector.settings() {
        let value = field.example.as_ref().or(field.default.as_ref()).or(field.options.first());
        if let Some(value) = value.filter(|_| name != "base_url") {
            settings.insert(name.clone(), value.clone().into());
        }
    }
    let secret = |name: &String| (name.clone(), secret(connector, name).into());
    (settings.into(), connector.credential().keys().map(secret).collect())
}

/// A made-up secret, written as the vendor writes such a one.
fn secret(connector: &Connector, field: &str) -> String {
    let signature = connector.manifest.webhooks.as_ref().map(|hook| &hook.signature);
    match signature.filter(|signature| signature.secrets.iter().any(|secret| secret == field)) {
        Some(signature) => {
            let secret = match signature.secret_encoding {
                KeyEncoding::Base64 => "bWFkZS11cC1zZWNyZXQtb2YtMzItYnl0ZXMtaW4tYWxsIQ==",
                KeyEncoding::Hex => "6d6164652d75702d736563726574",
                KeyEncoding::Text | KeyEncoding::Nfkd => "made-up-secret",
            };
            format!("{}{secret}", signature.secret_prefix)
        }
        None => format!("made-up-{}", field.replace('_', "-")),
    }
}

/// A simulator's own time.
#[derive(Default)]
struct Clock {
    /// How far it is ahead of ours, ms.
    ahead_ms: AtomicI64,
    /// Where it stands still, ms since 1970; 0 where it runs.
    stopped_ms: AtomicI64,
}

impl Clock {
    fn now(&self) -> DateTime<Utc> {
        let stopped_ms = self.stopped_ms.load(Ordering::SeqCst);
        let base = DateTime::from_timestamp_millis(stopped_ms).filter(|_| stopped_ms != 0).unwrap_or_else(Utc::now);
        base + chrono::Duration::milliseconds(self.ahead_ms.load(Ordering::SeqCst))
    }
}

/// A simulator that serves.
pub struct Served {
    simulator: Arc<Mutex<Simulator<'static>>>,
    clock: Arc<Clock>,
    running: Running,
}

impl Served {
    pub async fn start(simulator: Simulator<'static>, listen: SocketAddr) -> Result<Self, Failure> {
        let simulator = Arc::new(Mutex::new(simulator));
        let clock = Arc::new(Clock::default());
        let (inner, time) = (simulator.clone(), clock.clone());
        let handler = move |request: HttpRequest, in_flight: usize| {
            answer(inner.lock().expect("the simulator does not panic").answer(&request, in_flight, time.now()))
        };
        let running = loopback::serve(listen, Arc::new(handler)).await?;
        Ok(Self { simulator, clock, running })
    }

    pub fn url(&self) -> String {
        self.running.url()
    }

    pub fn simulator(&self) -> MutexGuard<'_, Simulator<'static>> {
        self.simulator.lock().expect("the simulator does not panic")
    }

    /// Lets its time pass, so that nobody has to wait for it.
    pub fn pass(&self, time: Duration) {
        self.clock.ahead_ms.fetch_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX / 2), Ordering::SeqCst);
    }

    /// Its time stands still, and moves only by [`Self::pass`]: what is counted by the second comes out the same on a slow machine.
    pub fn stop_clock(&self) {
        self.clock.stopped_ms.store(Utc::now().timestamp_millis(), Ordering::SeqCst);
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The answer to a request that is one of so many at once.
    pub fn answer_among(&self, request: &HttpRequest, in_flight: usize) -> HttpAnswer {
        answer(self.simulator().answer(request, in_flight, self.now())).answer
    }
}

fn answer(answer: SimAnswer) -> Answer {
    Answer {
        answer: HttpAnswer { status: answer.status, headers: answer.headers, body: answer.body },
        delay: Duration::from_millis(answer.delay_ms),
        delivery: answer.delivery,
    }
}

/// Serves until Ctrl-C, and says how to connect.
pub async fn run(catalog: &'static Catalog, name: &str, listen: SocketAddr, seed: u64, limits: bool) -> Result<(), Failure> {
    let connector = super::find(catalog, name)?;
    let (mut settings, credential) = account(connector);
    if connector.settings().contains_key("base_url") {
        settings["base_url"] = format!("http://{listen}").into();
    }
    let simulator = Simulator::new(connector, seed, settings.clone(), credential)?.with_limits(limits);
    let served = Served::start(simulator, listen).await?;
    say(&format!("{} is simulated at {} (seed {seed}). Ctrl-C ends it.", connector.title(), served.url()))?;
    say(&format!("settings    {settings}"))?;
    for field in connector.credential().keys() {
        say(&format!("credential  {field}: {}", secret(connector, field)))?;
    }
    say(&format!("control     {}/_control/stats, records, fail, emit, reset, subscriptions, tokens/expire", served.url()))?;
    let hooks = Outbound::new(AllowList::parse("127.0.0.1:*, localhost:*"), Duration::from_secs(10))?;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(()),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
        let outgoing = served.simulator().take_outgoing();
        for hook in outgoing {
            let url = hook.url.clone();
            match hooks.send(request(hook)).await {
                Ok(answer) => say(&format!("webhook     {url} answered {}", answer.status))?,
                Err(error) => say(&format!("webhook     {url}: {error}"))?,
            }
        }
    }
}

fn request(hook: OutgoingHook) -> HttpRequest {
    HttpRequest { method: domain::http::Method::Post, url: hook.url, headers: hook.headers, body: hook.body, identity: None }
}
