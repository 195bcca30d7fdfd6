//! Tokens under many workers: each its own process as far as the database can tell, with nothing shared in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, Utc};
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
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Executor};
use tests::platform::Database;
use tests::vendor::Vendor;
use workers::token::{Account, Token, Tokens};

use crate::eventually;

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

/// An account whose rotating token ended an hour ago.
struct Stage {
    database: Database,
    root: PgConnection,
    store: Store,
    vault: Vault,
    scope: Scope,
    vendor: Vendor,
    connector: &'static Connector,
    credential: CredentialId,
    fields: SecretFields,
    first: TokenSet,
}

impl Stage {
    async fn start() -> Self {
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
            .token_keep(&vault, credential, 0, &first.to_secret_fields(), &ToldCall::bare("{}".to_owned()))
            .await
            .unwrap();
        Self { database, root, store, vault, scope, vendor, connector, credential, fields, first }
    }

    async fn workers(&self, count: usize) -> Vec<Tokens> {
        let mut workers = vec![];
        for _ in 0..count {
            workers.push(worker(&self.database.app_url, &self.vault).await);
        }
        workers
    }

    /// What each of them gets, all at once.
    async fn ask(&self, workers: &[Tokens]) -> Vec<Arc<Token>> {
        let (connector, credential) = (self.connector, self.credential);
        let account = Account { connector, credential, fields: &self.fields, settings: &self.vendor.settings };
        let asked = join_all(workers.iter().map(|worker| worker.token(&self.scope, &account))).await;
        asked.into_iter().map(Result::unwrap).collect()
    }

    /// How often the audit log says so.
    async fn told(&self, action: &str) -> i64 {
        let mut root = self.database.connect().await.unwrap();
        let told = sqlx::query_scalar("SELECT count(*) FROM audit_events WHERE action = $1").bind(action);
        told.fetch_one(&mut root).await.unwrap()
    }

    async fn stored(&self) -> String {
        let row = self.store.within(&self.scope).token_find(&self.vault, self.credential).await.unwrap();
        access(&TokenSet::from_secret_fields(&row.fields.unwrap()).unwrap())
    }

    async fn run(&mut self, sql: &'static str) {
        self.root.execute(sqlx::raw_sql(sql)).await.unwrap();
    }

    async fn end(self) {
        drop(self.root);
        self.store.close().await;
        self.database.drop().await.unwrap();
    }
}

fn access(set: &TokenSet) -> String {
    set.access_token.expose_secret().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_workers_renew_one_rotating_token_once_and_lose_none() {
    let stage = Stage::start().await;
    let workers = stage.workers(WORKERS).await;
    // It ended by its time; then the vendor ends it early, and all are refused at once. A refresh token that is used twice ends the whole grant.
    let mut last = access(&stage.first);
    for round in 1..=3 {
        let tokens = stage.ask(&workers).await;
        let now = access(&tokens[0].set);
        assert!(tokens.iter().all(|token| access(&token.set) == now), "round {round}: all have the same");
        assert_ne!(now, last, "round {round}");
        assert_eq!(stage.told("token.renewed").await, 1 + round, "once for the consent, and once for each round");
        tokens.iter().for_each(|token| token.refuse());
        last = now;
    }
    drop(workers);
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_database_does_not_take_is_kept_until_it_does_and_nobody_sends_the_old_one() {
    let mut stage = Stage::start().await;
    let workers = stage.workers(3).await;
    stage
        .run(
            "CREATE FUNCTION not_now() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
             CREATE TRIGGER not_now BEFORE UPDATE OF sealed ON tokens FOR EACH ROW EXECUTE FUNCTION not_now()",
        )
        .await;
    // Whoever asked first uses what it has in memory; asked again, it has it still.
    let asker = &workers[..1];
    let (held, again) = (stage.ask(asker).await, stage.ask(asker).await);
    let new = access(&held[0].set);
    assert_ne!(new, access(&stage.first));
    assert_eq!((&new, stage.stored().await), (&access(&again[0].set), access(&stage.first)));

    // Its lease would be over soon; as long as it has something to store, it is held.
    let until = async || {
        let mut root = stage.database.connect().await.unwrap();
        let until: DateTime<Utc> = sqlx::query_scalar("SELECT renewing_until FROM tokens").fetch_one(&mut root).await.unwrap();
        until
    };
    let before = until().await;
    eventually("the renewal is held", async || (until().await > before).then_some(())).await;

    // The others wait for it, and are given it once the database works.
    let mend = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let mut root = stage.database.connect().await.unwrap();
        root.execute("DROP TRIGGER not_now ON tokens").await.unwrap();
    };
    let (tokens, ()) = tokio::join!(stage.ask(&workers), mend);
    assert!(tokens.iter().all(|token| access(&token.set) == new));
    assert_eq!(stage.stored().await, new);
    assert_eq!((stage.told("token.renewed").await, stage.told("token.refused").await), (2, 0), "the consent, and one renewal");

    // The refresh token that came with it is good: the vendor has ended nothing.
    tokens.iter().for_each(|token| token.refuse());
    let next = access(&stage.ask(&workers).await[0].set);
    assert!(next != new && stage.stored().await == next);
    drop(workers);
    stage.end().await;
}

/// The outage is of the database only as far as tokens go: nothing of a renewal that was begun can be written.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_longer_than_the_lease_nobody_sends_the_old_token_before_who_has_the_new_one_is_heard() {
    let mut stage = Stage::start().await;
    let workers = stage.workers(2).await;
    stage
        .run(
            "CREATE FUNCTION not_now() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$;
             CREATE TRIGGER not_now BEFORE UPDATE ON tokens FOR EACH ROW WHEN (OLD.renewing_until IS NOT NULL) EXECUTE FUNCTION not_now()",
        )
        .await;
    let new = access(&stage.ask(&workers[..1]).await[0].set);
    assert_eq!(stage.stored().await, access(&stage.first), "it is in the memory of that process only");

    // It is over, and so is the lease, which could not be held. The trigger goes first: whoever stores has the table before the row.
    stage.run("DROP TRIGGER not_now ON tokens; UPDATE tokens SET renewing_until = now() - interval '1 second'").await;
    let other = access(&stage.ask(&workers[1..]).await[0].set);
    assert_eq!((&other, stage.stored().await), (&new, new.clone()));
    assert_eq!((stage.told("token.renewed").await, stage.told("token.refused").await), (2, 0), "the consent, and one renewal");
    drop(workers);
    stage.end().await;
}
