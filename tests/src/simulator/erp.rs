//! The ERP: NetSuite, as its connector describes it. It keeps every write, so that a test can say "exactly once".

use std::collections::BTreeMap;
use std::time::Duration;

use connectors::Catalog;
use connectors::simulator::{Fault, FaultMatcher, SimCall, SimRecord, Simulator, Weather};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use domain::value::Value;
use infra::simulator::Served;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::json;

const SEED: u64 = 1;
const CREDENTIAL: [(&str, &str); 4] = [
    ("consumer_key", "demo-consumer-key"),
    ("consumer_secret", "demo-consumer-secret"),
    ("token_id", "demo-token-id"),
    ("token_secret", "demo-token-secret"),
];

/// How the account behaves.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// Requests it serves at once; further ones get 429.
    pub concurrency: u32,
    /// How long a request takes.
    pub latency: Duration,
}

impl Default for Account {
    fn default() -> Self {
        Self { concurrency: 15, latency: Duration::from_millis(5) }
    }
}

/// A stored order and how it came to be.
#[derive(Debug, Clone)]
pub struct Order {
    /// How often an order with this key was made; more than one is a double.
    pub creates: u32,
    pub updates: u32,
    /// What the ERP computed from the lines.
    pub total: Decimal,
    /// What the sender says the total is.
    pub declared_total: Decimal,
    pub value: Value,
}

impl Order {
    fn new(record: SimRecord) -> Self {
        let amount = |name: &str| record.value.get(name).and_then(Value::to_decimal).unwrap_or_default();
        Self {
            creates: record.creates,
            updates: record.updates,
            total: amount("total"),
            declared_total: amount("custbody_crossdock_total"),
            value: record.value,
        }
    }

    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.value.to_json().contains(text)
    }
}

#[derive(Debug, Clone, Serialize)]
pub struct Stats {
    pub orders: usize,
    pub creates: u64,
    pub updates: u64,
    /// How often it was asked whether it has an order.
    pub reads: u64,
    /// By the vendor's code.
    pub refused: BTreeMap<String, u64>,
    pub in_flight_max: usize,
}

/// A running ERP without any orders. Stops when dropped.
pub struct Erp(Served);

impl Erp {
    /// Starts on a free loopback port.
    pub async fn start(account: Account) -> Self {
        let connector = Catalog::embedded().get("netsuite").expect("the connector is in the catalog");
        let credential = SecretFields(CREDENTIAL.into_iter().map(|(name, secret)| (name.to_owned(), secret.into())).collect());
        let simulator = Simulator::new(connector, SEED, settings(account.concurrency), credential);
        let simulator = simulator.expect("the connector's simulator.yaml can be used").with_records(0).with_limits(true);
        let simulator = simulator.with_latency_ms(u64::try_from(account.latency.as_millis()).unwrap_or(u64::MAX));
        Self(Served::start(simulator, ([127, 0, 0, 1], 0).into()).await.expect("a loopback port is free"))
    }

    #[must_use]
    pub fn url(&self) -> String {
        self.0.url()
    }

    /// What a connection to it says, with its own limit of calls at once.
    #[must_use]
    pub fn settings(&self, concurrency: u32) -> serde_json::Value {
        let mut settings = settings(concurrency);
        settings["base_url"] = self.url().into();
        settings
    }

    #[must_use]
    pub fn credential() -> serde_json::Value {
        CREDENTIAL.into_iter().map(|(name, secret)| (name.to_owned(), serde_json::Value::from(secret))).collect()
    }

    #[must_use]
    pub fn stats(&self) -> Stats {
        let simulator = self.0.simulator();
        let stats = simulator.stats().clone();
        Stats {
            orders: simulator.count(RecordKind::Order),
            creates: stats.creates,
            updates: stats.updates,
            reads: stats.requests.get("order.proof").copied().unwrap_or_default(),
            refused: stats.refused,
            in_flight_max: stats.in_flight_max,
        }
    }

    /// Every order, by external id; of several under one, the last with the writes of all.
    #[must_use]
    pub fn orders(&self) -> BTreeMap<String, Order> {
        let stored = self.0.simulator().stored(RecordKind::Order);
        let mut orders: BTreeMap<String, Order> = BTreeMap::new();
        for record in stored {
            let key = record.external_key.clone().unwrap_or_else(|| record.id.clone());
            let mut order = Order::new(record);
            if let Some(double) = orders.get(&key) {
                order.creates += double.creates;
                order.updates += double.updates;
            }
            orders.insert(key, order);
        }
        orders
    }

    /// From now on faults come at random.
    pub fn set_weather(&self, weather: Vec<Weather>, seed: u64) {
        self.0.simulator().set_weather(weather, seed);
    }

    /// Every request that came.
    #[must_use]
    pub fn calls(&self) -> Vec<SimCall> {
        self.0.simulator().calls().to_vec()
    }

    /// These faults meet the next writes, one each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        let mut simulator = self.0.simulator();
        for fault in faults {
            simulator.fail(FaultMatcher::next("order.write"), fault);
        }
    }
}

fn settings(concurrency: u32) -> serde_json::Value {
    json!({"account": "1234567_SB1", "subsidiary_id": "1", "customer_id": "42", "concurrency": concurrency.to_string()})
}
