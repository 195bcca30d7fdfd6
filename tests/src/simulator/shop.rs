//! Shopify as a sender of webhooks: it signs the raw body, sends the delivery headers, gives up after five seconds and comes again.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

/// Shopify waits one second for the connection and five for the answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(5);
/// Eight retries over four hours; scaled down for tests.
pub const RETRIES: u32 = 8;

/// A shop that sends to one hook.
#[derive(Clone)]
pub struct Shop {
    pub domain: String,
    pub secret: String,
    pub hook_url: String,
    pub client: reqwest::Client,
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
        let client = crate::client::http().connect_timeout(CONNECT_TIMEOUT).timeout(TIMEOUT).pool_max_idle_per_host(512);
        let client = client.build().expect("a client without special wishes can be made");
        Self { domain: domain.into(), secret: secret.into(), hook_url: hook_url.into(), client }
    }

    #[must_use]
    pub fn sign(&self, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("HMAC takes a key of any length");
        mac.update(body);
        STANDARD.encode(mac.finalize().into_bytes())
    }

    /// One delivery, once.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn send(&self, topic: &str, webhook_id: Uuid, body: Vec<u8>) -> Result<Answer, reqwest::Error> {
        let signature = self.sign(&body);
        self.send_signed(topic, webhook_id, body, &signature).await
    }

    /// One delivery with a signature of the caller's choice.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn send_signed(
        &self,
        topic: &str,
        webhook_id: Uuid,
        body: Vec<u8>,
        signature: &str,
    ) -> Result<Answer, reqwest::Error> {
        let request = self
            .client
            .post(&self.hook_url)
            .header("Content-Type", "application/json")
            .header("X-Shopify-Topic", topic)
            .header("X-Shopify-Hmac-Sha256", signature)
            .header("X-Shopify-Shop-Domain", &self.domain)
            .header("X-Shopify-API-Version", "2026-10")
            .header("X-Shopify-Webhook-Id", webhook_id.to_string())
            .header("X-Shopify-Event-Id", webhook_id.to_string())
            .header("X-Shopify-Triggered-At", chrono::Utc::now().to_rfc3339())
            .body(body);
        let answer = request.send().await?;
        Ok(Answer { status: answer.status().as_u16(), body: answer.text().await? })
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
}
