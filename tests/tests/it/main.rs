//! The promises, kept by the real platform. One binary; each test has its own database, queues, keys and processes.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test ends where something it needs is not there, and says so")]

mod account;
mod alert;
mod api_key;
mod audit;
mod audit_stream;
mod call_payload;
mod catch_up;
mod certificate;
mod change;
mod connection_health;
mod consent;
mod cross_tenant;
mod deleted;
mod drift;
mod erasure;
mod exception;
mod fault_answer;
mod fault_batch;
mod fault_breaker;
mod fault_mixed;
mod faults;
mod file;
mod file_fault;
mod flow;
mod flow_file;
mod impersonation;
mod intake;
mod inventory;
mod invoice;
mod keys;
mod lease;
mod limit;
mod lookup_table;
mod lookup_version;
mod mail;
mod member;
mod order;
mod order_to_cash;
mod passkey;
mod permission_fields;
mod permission_matrix;
mod persisted_operation;
mod personal;
mod poll;
mod poll_fault;
mod quota;
mod reconciliation;
mod replay;
mod rotation;
mod schema;
mod scim;
mod second_factor;
mod service_account;
mod sessions;
mod sign_in_policy;
mod silence;
mod sso;
mod ssrf;
mod subscription;
mod sunset;
mod swap;
mod tenancy;
mod tenant_delete;
mod threat_canary;
mod threat_load;
mod threat_metering;
mod threat_surface;
mod threat_tenancy;
mod throughput;
mod timeline;
mod token;
mod undo;
mod undo_fault;
mod vendor;
mod waiting;
mod walk;
mod walk_fields;
mod x12;
mod x12_fault;
mod x12_sets;

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tests::client::Client;
use tests::mail::MailServer;
use tests::platform::{Options, Platform, Tenant};
use tests::simulator::erp::{Account, Erp};

/// A platform with a tenant "acme", taken away again however the test ends.
struct World {
    platform: Platform,
    erp: Erp,
    acme: Tenant,
}

impl World {
    /// Makes a person, and a member of acme by this role.
    async fn joins(&self, email: &str, password: &str, role: &str) {
        self.platform.user_create(email, password).await.expect("the person is made");
        let mut database = self.platform.database.connect().await.expect("the database answers");
        let member = "INSERT INTO members (tenant_id, user_id, role) SELECT t.id, u.id, $2 FROM tenants t, users u WHERE t.slug = 'acme' AND u.email = $1";
        let made = sqlx::query(member).bind(email).bind(role).execute(&mut database).await.expect("the role is one");
        assert_eq!(made.rows_affected(), 1, "{email} is a member");
    }

    /// The same, and signed in there.
    async fn member(&self, email: &str, password: &str, role: &str) -> Client {
        self.joins(email, password, role).await;
        Client::new(&self.platform.url).sign_in(email, password).await.expect("the member signs in").of_tenant("acme")
    }
}

/// Where no call is given up because the machine is slow: it would be made again, and what is made is counted.
fn patient() -> Options {
    Options { call_timeout_s: 30, ..Options::default() }
}

async fn world(test: impl AsyncFnOnce(&mut World)) {
    world_with(Options::default(), test).await;
}

/// A world in which nothing is listened to by itself: what a source has comes by what the test does, and the calls that it sees are the test's.
async fn world_by_hand(test: impl AsyncFnOnce(&mut World)) {
    world_with(Options { environment: vec![("CROSSDOCK_LISTENING", "by_hand")], ..Options::default() }, test).await;
}

/// A world whose mails go to a real server; without one on this machine it says so, and the test proves nothing.
async fn world_with_mail(test: impl AsyncFnOnce(&mut World, &MailServer)) {
    let port = MailServer::free_port().unwrap();
    let server = match MailServer::start(port).await {
        Ok(server) => server,
        Err(why) => return println!("no mail is proven to arrive: {why}"),
    };
    let url: &'static str = format!("smtp://127.0.0.1:{port}").leak();
    let environment = vec![("CROSSDOCK_SMTP_URL", url), ("CROSSDOCK_MAIL_FROM", "Crossdock <people@crossdock.example>")];
    world_with(Options { environment, ..Options::default() }, async |world| test(world, &server).await).await;
}

async fn world_with(options: Options, test: impl AsyncFnOnce(&mut World)) {
    let erp = Erp::start(Account::default()).await;
    let platform = Platform::start(options).await.unwrap_or_else(|error| panic!("the platform did not start: {error:?}"));
    let acme = platform.tenant("acme", &erp, 15).await.expect("the tenant is made");
    let mut world = World { platform, erp, acme };
    let outcome = AssertUnwindSafe(test(&mut world)).catch_unwind().await;
    if outcome.is_err() {
        for log in ["api.log", "workers.log"] {
            let text = std::fs::read_to_string(world.platform.logs.join(log)).unwrap_or_default();
            let tail: Vec<&str> = text.lines().rev().take(25).collect();
            println!("--- {log}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
    world.platform.stop().await.expect("everything is taken away");
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Asks until the answer is there, for at most a minute.
async fn eventually<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(Duration::from_secs(60), what, ask).await
}

async fn eventually_within<T>(limit: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(Instant::now() < end, "it never came to this: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
