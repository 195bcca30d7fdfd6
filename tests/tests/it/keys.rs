//! The master key is replaced while everything runs, and nothing that it seals is lost, opened elsewhere or read with the wrong one.

use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::call_payload::ToldCall;
use domain::id::{CredentialId, TenantId, UserId};
use domain::scope::{Request, Scope};
use domain::secret::{ExposeSecret, SecretFields};
use infra::postgres::Store;
use infra::postgres::account::Purpose;
use infra::postgres::mail::{Mail, SealedMail};
use infra::postgres::session::Whence;
use infra::vault::Vault;
use sqlx::{AssertSqlSafe, Executor};
use tests::platform::{Database, binary};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

fn key(byte: u8) -> String {
    STANDARD.encode([byte; 32])
}

fn vault(byte: u8) -> Vault {
    Vault::new(&key(byte).into()).unwrap()
}

/// Tenants with a sealed token each.
struct Sealed {
    database: Database,
    store: Store,
    tenants: Vec<(Scope, CredentialId)>,
    /// Who has a second factor.
    person: UserId,
}

impl Sealed {
    async fn by(master: u8, tenants: usize) -> Self {
        let database = Database::create().await.unwrap();
        let mut root = database.connect().await.unwrap();
        let store = Store::connect(&database.app_url, 8).await.unwrap();
        let mut made = vec![];
        for _ in 0..tenants {
            let (tenant, credential) = (TenantId::generate(), CredentialId::generate());
            // Of a credential nothing is needed here but its id.
            let sql = format!(
                "SET session_replication_role = replica; INSERT INTO tenants (id, slug, name) VALUES ('{0}', '{1}', 'x');
                 INSERT INTO tokens (credential_id, tenant_id) VALUES ('{2}', '{0}'); SET session_replication_role = origin",
                tenant.0,
                tenant.0.simple(),
                credential.0
            );
            root.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
            let scope = Scope::system(tenant, "test");
            let fields: SecretFields = [("access_token".to_owned(), tenant.to_string().into())].into_iter().collect();
            store
                .within(&scope)
                .token_keep(&vault(master), credential, 0, &fields, &ToldCall::bare("{}".to_owned()))
                .await
                .unwrap()
                .unwrap();
            made.push((scope, credential));
        }
        let person = store.user_create("ann@example.com", "Ann", "-").await.unwrap().unwrap();
        assert!(store.second_factor_begin(&vault(master), person, &"GEZDGNBVGY3TQOJQ".into()).await.unwrap());
        let mail = Mail { to: "ann@example.com".into(), subject: "x".into(), text: "a link".into() };
        let until = chrono::Utc::now() + chrono::TimeDelta::days(1);
        let mail = SealedMail::new(&vault(master), &mail, until).unwrap();
        let whence = Whence { request: Request::own(), device: "test", address: "127.0.0.1" };
        assert!(store.mailed_token_make(person, Purpose::Verify, &[0; 32], until, whence, &mail).await.unwrap());
        Self { database, store, tenants: made, person }
    }

    /// How many tokens cannot be read, or say something else than they did.
    async fn unreadable(&self, vault: &Vault) -> usize {
        let mut bad = 0;
        for (scope, credential) in &self.tenants {
            let read = self.store.within(scope).token_find(vault, *credential).await;
            let is_ours = |fields: SecretFields| {
                fields.get("access_token").is_some_and(|token| token.expose_secret() == scope.tenant.to_string())
            };
            bad += usize::from(!read.is_ok_and(|row| row.fields.is_some_and(is_ours)));
        }
        bad
    }

    fn crossdock(&self, arguments: &[&str], master: u8, also: Option<u8>) -> Command {
        let mut command = Command::new(binary().unwrap());
        command.args(arguments).env("DATABASE_URL", &self.database.app_url).env("CROSSDOCK_MASTER_KEY", key(master));
        command.env("CROSSDOCK_JWT_KEY", key(0)).env("AMQP_URL", "amqp://127.0.0.1:1").env_remove("CROSSDOCK_MASTER_KEY_ALSO");
        if let Some(also) = also {
            command.env("CROSSDOCK_MASTER_KEY_ALSO", key(also));
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    async fn said(&self, arguments: &[&str], master: u8, also: Option<u8>) -> (bool, String) {
        let output = self.crossdock(arguments, master, also).output().await.unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (output.status.success(), text)
    }

    async fn end(self) {
        self.store.close().await;
        self.database.drop().await.unwrap();
    }
}

async fn killed_after_its_first_page(mut child: Child) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().contains("100 data keys"));
    child.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_is_replaced_while_all_is_read_and_a_kill_in_between_loses_nothing() {
    let sealed = Sealed::by(1, 250).await;
    let both = vault(2).also_reading(&key(1).into()).unwrap();
    assert_eq!(sealed.unreadable(&both).await, 0);
    // Its last page waits for us: it is not done before the kill, however late that comes.
    let mut holder = sealed.database.connect().await.unwrap();
    holder.execute("BEGIN").await.unwrap();
    holder.execute("SELECT FROM data_keys ORDER BY tenant_id DESC LIMIT 1 FOR UPDATE").await.unwrap();
    killed_after_its_first_page(sealed.crossdock(&["keys", "rotate"], 2, Some(1)).spawn().unwrap()).await;
    holder.execute("ROLLBACK").await.unwrap();
    // Some are wrapped by the one, some by the other: who knows both reads all, whichever of the two is its own.
    assert_eq!(sealed.unreadable(&both).await, 0);
    assert_eq!(sealed.unreadable(&vault(1).also_reading(&key(2).into()).unwrap()).await, 0);
    assert!(sealed.unreadable(&vault(1)).await >= 100);

    // Without the one before it does not start, and does not rotate: nothing is done by half unseen.
    for arguments in [["work"].as_slice(), &["serve"], &["keys", "rotate"]] {
        let (is_content, text) = sealed.said(arguments, 2, None).await;
        let id = vault(1).master_key_id().to_owned();
        assert!(!is_content && text.contains(&id) && text.contains("CROSSDOCK_MASTER_KEY_ALSO"), "{arguments:?}: {text}");
    }
    // Two at once, while all is read.
    let (reads, first, second) = tokio::join!(
        sealed.unreadable(&both),
        sealed.said(&["keys", "rotate"], 2, Some(1)),
        sealed.said(&["keys", "rotate"], 2, Some(1))
    );
    assert!(reads == 0 && first.0 && second.0, "{first:?} {second:?}");
    assert_eq!(sealed.unreadable(&vault(2)).await, 0, "the one before is needed no more");
    let (_, text) = sealed.said(&["keys", "list"], 2, None).await;
    assert!(
        text.contains("250 data keys, 1 second factors, 1 mails that wait (CROSSDOCK_MASTER_KEY)")
            && text.contains("No other master key is needed"),
        "{text}"
    );
    let begun = sealed.store.second_factor_begun(&vault(2), sealed.person).await.unwrap().unwrap();
    assert_eq!(begun.secret.expose_secret(), "GEZDGNBVGY3TQOJQ");
    let waiting = sealed.store.mails_take(10, 60.0).await.unwrap();
    assert_eq!(waiting[0].1.open(&vault(2)).unwrap().text, "a link");
    let mut root = sealed.database.connect().await.unwrap();
    let told = "SELECT count(*), count(DISTINCT tenant_id) FROM audit_events WHERE action = 'data_key.rewrapped'";
    assert_eq!(sqlx::query_as::<_, (i64, i64)>(told).fetch_one(&mut root).await.unwrap(), (250, 250), "each once");
    drop((holder, root));
    sealed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_for_a_tenant_opens_in_no_other_row() {
    let sealed = Sealed::by(1, 2).await;
    let mut root = sealed.database.connect().await.unwrap();
    let [(ours, our_credential), (theirs, their_credential)] = sealed.tenants.as_slice() else { panic!("two tenants") };
    let moved = [
        // A's token in B's row; then A's data key, too; then A's row as another credential of A.
        format!(
            "UPDATE tokens SET sealed = (SELECT sealed FROM tokens WHERE credential_id = '{}') WHERE credential_id = '{}'",
            our_credential.0, their_credential.0
        ),
        format!(
            "UPDATE data_keys SET wrapped = (SELECT wrapped FROM data_keys WHERE tenant_id = '{}') WHERE tenant_id = '{}'",
            ours.tenant.0, theirs.tenant.0
        ),
    ];
    for sql in moved {
        root.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
        let read = sealed.store.within(theirs).token_find(&vault(1), *their_credential).await;
        let why = infra::chain(&read.unwrap_err());
        assert!(why.contains("does not open: it was altered, moved from another row"), "{why}");
    }
    let other = CredentialId::generate();
    let sql = format!("UPDATE tokens SET credential_id = '{}' WHERE credential_id = '{}'", other.0, our_credential.0);
    let sql = format!("SET session_replication_role = replica; {sql}; SET session_replication_role = origin");
    root.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
    let why = infra::chain(&sealed.store.within(ours).token_find(&vault(1), other).await.unwrap_err());
    assert!(why.contains("does not open"), "{why}");
    drop(root);
    sealed.end().await;
}
