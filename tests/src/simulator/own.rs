//! A system of the tenant's own that posts canonical documents, signed as Standard Webhooks are: a warehouse, a bookkeeping.

use chrono::Utc;
use connectors::Catalog;
use connectors::simulator::HookEvent;
use domain::secret::SecretFields;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Client, ClientError};

const HOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct OwnSystem {
    /// The connection's id.
    pub connection: String,
    hook_url: String,
    http: reqwest::Client,
}

impl OwnSystem {
    /// A connection that only sends.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn connect(client: &Client, name: &str) -> Result<Self, ClientError> {
        let settings = json!({"base_url": "http://127.0.0.1:9"});
        let credential = json!({"authorization": "Bearer made-up", "hook_secret": HOOK_SECRET});
        let (connection, hook_url) = client.connection_create("http", name, settings, credential).await?;
        Ok(Self { connection, hook_url, http: crate::client::http().build()? })
    }

    /// Posts a document, and says the status that it was answered with.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn send(&self, kind: &str, mut document: Value) -> Result<u16, reqwest::Error> {
        document["record_kind"] = kind.into();
        let connector = Catalog::embedded().get("http").expect("the connector is in the catalog");
        let delivery = format!("msg_{}", Uuid::new_v4().simple());
        let body = document.to_string().into_bytes();
        let event = HookEvent { topic: kind, delivery: &delivery, url: &self.hook_url, body: body.into() };
        let credential = SecretFields([("hook_secret".to_owned(), HOOK_SECRET.into())].into());
        let made = connector.hook_delivery(event, &json!({}), &credential, Utc::now()).expect("the system has a secret");
        let mut request = self.http.post(&made.url).body(made.body);
        for (name, value) in &made.headers {
            request = request.header(name, value);
        }
        Ok(request.send().await?.status().as_u16())
    }
}
