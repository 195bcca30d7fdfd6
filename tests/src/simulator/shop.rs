//! The shop: Shopify as a sender of webhooks, signed as its connector says. It gives up after five seconds and comes again.

use std::time::Duration;

use chrono::Utc;
use connectors::simulator::{HookEvent, OutgoingHook};
use connectors::{Catalog, Connector, HookCall};
use domain::secret::SecretFields;
use serde_json::json;
use uuid::Uuid;

/// Shopify waits one second for the connection and five for the answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Eight retries over four hours; scaled down for tests.
const RETRIES: u32 = 8;

/// A shop that sends to one hook.
#[derive(Clone)]
pub struct Shop {
    connector: &'static Connector,
    pub domain: String,
    pub secret: String,
    pub hook_url: String,
    client: reqwest::Client,
}

/// What the receiver said.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Shop {
    #[must_use]
    pub fn new(domain: &str, secret: &str, hook_url: &str) -> Self {
        let connector = Catalog::embedded().get("shopify").expect("the connector is in the catalog");
        let client = crate::client::http().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT).pool_max_idle_per_host(512);
        let client = client.build().expect("a client without special wishes can be made");
        Self { connector, domain: domain.into(), secret: secret.into(), hook_url: hook_url.into(), client }
    }

    /// The header that signs these bytes.
    #[must_use]
    pub fn sign(&self, body: &[u8]) -> (String, String) {
        let call = HookCall { method: "POST", url: &self.hook_url, headers: &[], body, now: Utc::now() };
        let mut signed = self.connector.sign_hook(&call, &self.credential()).expect("the shop has a secret");
        signed.remove(0)
    }

    /// One delivery, once.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn send(&self, topic: &str, webhook_id: Uuid, body: Vec<u8>) -> Result<Answer, reqwest::Error> {
        self.post(self.delivery(topic, webhook_id, body)).await
    }

    /// One delivery with a header of the caller's choice: a foreign signature, another version.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn send_with(
        &self,
        topic: &str,
        webhook_id: Uuid,
        body: Vec<u8>,
        (name, value): (String, String),
    ) -> Result<Answer, reqwest::Error> {
        let mut delivery = self.delivery(topic, webhook_id, body);
        delivery.headers.retain(|(own, _)| !own.eq_ignore_ascii_case(&name));
        delivery.headers.push((name, value));
        self.post(delivery).await
    }

    /// One delivery as the vendor makes it: again and again until it is taken. True where it was.
    pub async fn deliver(&self, topic: &str, body: Vec<u8>, first_wait: Duration) -> bool {
        let webhook_id = Uuid::new_v4();
        for retry in 0..=RETRIES {
            if self.send(topic, webhook_id, body.clone()).await.is_ok_and(|answer| (200..300).contains(&answer.status)) {
                return true;
            }
            tokio::time::sleep(first_wait * 2u32.pow(retry.min(6))).await;
        }
        false
    }

    fn credential(&self) -> SecretFields {
        SecretFields([("hook_secret".to_owned(), self.secret.as_str().into())].into())
    }

    fn delivery(&self, topic: &str, webhook_id: Uuid, body: Vec<u8>) -> OutgoingHook {
        let delivery = webhook_id.to_string();
        let event = HookEvent { topic, delivery: &delivery, url: &self.hook_url, body: body.into() };
        let made = self.connector.hook_delivery(event, &json!({"shop": self.domain}), &self.credential(), Utc::now());
        made.expect("the shop has a secret")
    }

    async fn post(&self, delivery: OutgoingHook) -> Result<Answer, reqwest::Error> {
        let mut request = self.client.post(&delivery.url).body(delivery.body);
        for (name, value) in &delivery.headers {
            request = request.header(name, value);
        }
        let answer = request.send().await?;
        Ok(Answer { status: answer.status().as_u16(), body: answer.text().await? })
    }
}
