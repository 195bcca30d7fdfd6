//! `crossdock connector simulate`: a made-up account at a vendor, served until Ctrl-C.

use std::net::SocketAddr;
use std::time::Duration;

use connectors::manifest::KeyEncoding;
use connectors::simulator::{OutgoingHook, Simulator};
use connectors::{Catalog, Connector};
use domain::http::HttpRequest;
use domain::secret::SecretFields;
use infra::outbound::{AllowList, Outbound};
use infra::simulator::Served;

use crate::{Failure, say};

/// A made-up account: the settings that the form gives as examples, and a secret for each field.
pub fn account(connector: &Connector) -> (serde_json::Value, SecretFields) {
    let secret = |name: &String| (name.clone(), secret(connector, name).into());
    (connector.example_settings(), connector.credential().keys().map(secret).collect())
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
    say(&format!(
        "control     {}/_control/stats, records, fail, emit, reset, subscriptions, consent, keys, tokens/expire",
        served.url()
    ))?;
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
