//! Tokens under many workers: each its own process as far as the database can tell, with nothing shared in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use connectors::{Catalog, Connector, RequestContext, TokenSet};
use domain::call_payload::ToldCall;
use domain::http::{HttpRequest, Method};
use domain::id::{CredentialId, TenantId};
use domain::scope::Scope;
use domain::secret::{ExposeSecret, SecretFields};
use futures::future::join_all;
use infra::broker::Broker;
use infra::drift::{DriftSettings, Drifts};
use infra::limiter::Limiter;
use infra::outbound::{AllowList, Outbound};
use infra::postgres::Store;
use infra::sunset::Sunsets;
use infra::vault::Vault;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor};
use tests::platform::Database;
use tests::vendor::Vendor;
use workers::token::{Account, Tokens};

const TIMEOUT: Duration = Duration::from_secs(5);
const WORKERS: usize = 20;

fn outbound() -> Outbound {
    Outbound::new(AllowList::parse("127.0.0.1:*"), TIMEOUT).unwrap()
}

async fn worker(url: &str, vault: &Vault) -> Tokens {
    Tokens::new(Arc::new(workers::Context {
        store: Store::connect(url, 2).await.unwrap(),
        broker: Broker::in_process(),
        limiter: Limiter::in_process(TIMEOUT),
        outbound: outbound(),
        vault: vault.clone(),
        mailer: None,
        catalog: Catalog::embedded(),
        sunsets: Sunsets::default(),
        drifts: Drifts::new(DriftSettings::default()),
        settings: workers::Settings::default(),
    }))
}

/// What a person's consent brings, as if it had ended an hour ago.
async fn consented(connector: &Connector, settings: &Value, fields: &SecretFields) -> TokenSet {
    let context = RequestContext::new(settings, fields, Utc::now(), "nonce");
    let redirect_uri = "https://crossdock.example/callback";
    let url = connector.authorize_url("state", "", redirect_uri, &context).unwrap();
    let sent = HttpRequest { method: Method::Get, url, headers: vec![], body: Bytes::new(), identity: None };
    let back = outbound().send(sent).await.unwrap();
    let (_, back) = back.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location")).unwrap();
    let callback = connector.read_callback(back.split_once('?').unwrap().1).unwrap();
    let request = connector.code_request(&callback.code, &"".into(), redirect_uri, &context).unwrap();
    let answer = outbound().send(request).await.unwrap();
    let set = connector.read_token_answer(&answer, None, Utc::now()).unwrap();
    TokenSet { expires_at: Some(Utc::now() - chrono::Duration::hours(1)), ..set }
}

/// QuickBooks, whose tokens come from the simulator as all else does: the connector names a host of their own for them.
fn quickbooks() -> &'static Connector {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../connectors/catalog/quickbooks-online");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).filter(|path| path.is_file());
    let file = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text
            .replace("url: https://oauth.platform.intuit.com/", "url: /")
            .replace("url: https://appcenter.intuit.com/", "url: /");
        (path.file_name().unwrap().to_str().unwrap().to_owned(), text)
    };
    Box::leak(Box::new(Connector::from_files("quickbooks-online", files.map(file).collect()).unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_workers_renew_one_rotating_token_once_and_lose_none() {
    let database = Database::create().await.unwrap();
    let connector = quickbooks();
    let vendor = Vendor::of_connector(connector, &["client_id", "client_secret"]).await;
    let secrets = vendor.credential.as_object().unwrap().iter();
    let fields: SecretFields = secrets.map(|(name, secret)| (name.clone(), secret.as_str().unwrap().into())).collect();
    let vault = Vault::new(&"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=".into()).unwrap();
    let (tenant, credential) = (TenantId::generate(), CredentialId::generate());
    let mut root = database.connect().await.unwrap();
    let sql = format!(
        "SET session_replication_role = replica; INSERT INTO tenants (id, slug, name) VALUES ('{0}', 'acme', 'x');
         INSERT INTO tokens (credential_id, tenant_id) VALUES ('{1}', '{0}')",
        tenant.0, credential.0
    );
    root.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    let scope = Scope::system(tenant, "test");
    let store = Store::connect(&database.app_url, 2).await.unwrap();
    let first = consented(connector, &vendor.settings, &fields).await;
    store
        .within(&scope)
        .token_keep(&vault, credential, 0, &first.to_secret_fields(), |_| ToldCall::bare("{}".to_owned()))
        .await
        .unwrap();

    let mut workers = vec![];
    for _ in 0..WORKERS {
        workers.push(worker(&database.app_url, &vault).await);
    }
    let account = Account { connector, credential, fields: &fields, settings: &vendor.settings };
    let ask = async || join_all(workers.iter().map(|worker| worker.token(&scope, &account))).await;
    let access = |set: &TokenSet| set.access_token.expose_secret().to_owned();

    // It ended by its time; then the vendor ends it early, and all are refused at once. A refresh token that is used twice ends the whole grant.
    let mut last = access(&first);
    for round in 1..=3 {
        let tokens: Vec<_> = ask().await.into_iter().map(Result::unwrap).collect();
        let now = access(&tokens[0].set);
        assert!(tokens.iter().all(|token| access(&token.set) == now), "round {round}: all have the same");
        assert_ne!(now, last, "round {round}");
        let renewed = "SELECT count(*) FROM audit_events WHERE action = 'token.renewed'";
        let renewed: i64 = sqlx::query_scalar(renewed).fetch_one(&mut root).await.unwrap();
        assert_eq!(renewed, 1 + round, "once for the consent, and once for each round");
        tokens.iter().for_each(|token| token.refuse());
        last = now;
    }
    drop((workers, root));
    store.close().await;
    database.drop().await.unwrap();
}
