//! Where webhooks arrive, and what they must be: believed as they came, and refused when a byte or the secret is another.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use connectors::{HookCall, HookInfo, HookRefusal};
use domain::http::{HttpAnswer, HttpRequest};
use domain::secret::SecretFields;
use infra::loopback::{Running, serve};

use crate::account::Account;
use crate::proving::{Proving, Stopped};

const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);

pub struct Hooks {
    running: Running,
    received: Arc<Mutex<Vec<HttpRequest>>>,
}

impl Hooks {
    pub async fn start() -> Self {
        let received: Arc<Mutex<Vec<HttpRequest>>> = Arc::default();
        let keep = received.clone();
        let handler = move |request: HttpRequest, _: usize| {
            keep.lock().unwrap().push(request);
            HttpAnswer { status: 204, headers: vec![], body: Bytes::new() }.into()
        };
        Self { running: serve(([127, 0, 0, 1], 0).into(), Arc::new(handler)).await.unwrap(), received }
    }

    pub fn url(&self) -> String {
        format!("{}/hooks/1", self.running.url())
    }

    pub fn all(&self) -> Vec<HttpRequest> {
        self.received.lock().unwrap().clone()
    }

    /// The first that is believed and about this.
    pub async fn wait_for(&self, account: &Account, topic: &str, source_id: &str) -> (HttpRequest, HookInfo) {
        let end = Instant::now() + PATIENCE;
        loop {
            for hook in self.all() {
                let infos = verify(account, &hook, &hook.body, &account.credential).expect("what the software sends is believed");
                let is_it = |info: &HookInfo| info.topic == topic && info.source_id.as_deref() == Some(source_id);
                if let Some(info) = infos.into_iter().find(is_it) {
                    return (hook, info);
                }
            }
            assert!(Instant::now() < end, "no {topic} of {source_id} came within {} s", PATIENCE.as_secs());
            tokio::time::sleep(POLL).await;
        }
    }
}

fn verify(account: &Account, hook: &HttpRequest, body: &[u8], credential: &SecretFields) -> Result<Vec<HookInfo>, HookRefusal> {
    let call = HookCall { method: hook.method.as_str(), url: &hook.url, headers: &hook.headers, body, now: chrono::Utc::now() };
    account.connector.verify_hook(&call, credential, &account.settings)
}

/// A hook that came is refused where a byte of it, or the secret, is another.
pub async fn forgeries(proving: &mut Proving, account: &Account, hook: &HttpRequest) -> Result<(), Stopped> {
    proving
        .check("webhooks: a changed body is refused", async {
            let mut changed = hook.body.to_vec();
            let last = changed.iter_mut().rev().find(|byte| byte.is_ascii_alphanumeric()).unwrap();
            *last ^= 1;
            let refusal = verify(account, hook, &changed, &account.credential).expect_err("it was believed");
            assert!(refusal.is_forged(), "{refusal}");
        })
        .await?;
    proving
        .check("webhooks: another secret's signature is refused", async {
            let wrong = account.wrong_credential();
            assert_eq!(verify(account, hook, &hook.body, &wrong).unwrap_err(), HookRefusal::BadSignature);
        })
        .await
}
