//! The audit log: sealed whole, and whatever is done to it as the owner of the database is found and named. On a database of its own; what writes
//! and seals is the application's own role.

use std::collections::HashSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::id::{TenantId, UserId};
use domain::scope::{Scope, TraceId};
use domain::seal::{ExportLine, Head, Tampered, Verified, Verifier};
use infra::postgres::Store;
use infra::postgres::audit::{AuditFilter, AuditPolicy};
use infra::postgres::entity::audit_event;
use infra::postgres::seal::Sealing;
use infra::vault::Vault;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tests::client::{Client, http};
use tests::platform::{Database, Options};
use tests::sample;
use uuid::Uuid;

use crate::{world_by_hand, world_with};

struct Logs {
    database: Database,
    store: Store,
    vault: Vault,
    root: PgConnection,
}

/// One tenant's log.
struct Log<'a> {
    logs: &'a mut Logs,
    scope: Scope,
}

impl Logs {
    async fn start() -> Self {
        let database = Database::create().await.unwrap();
        let root = database.connect().await.unwrap();
        let store = Store::connect(&database.app_url, 8).await.unwrap();
        let vault = Vault::new(&STANDARD.encode([7; 32]).into()).unwrap();
        Self { database, store, vault, root }
    }

    async fn tenant(&mut self) -> Log<'_> {
        let tenant = TenantId::generate();
        let slug = tenant.0.simple().to_string();
        let query = sqlx::query("INSERT INTO tenants (id, slug, name) VALUES ($1, $2, 'x')");
        query.bind(tenant.0).bind(slug).execute(&mut self.root).await.unwrap();
        Log { logs: self, scope: Scope::system(tenant, "test") }
    }

    async fn end(self) {
        self.store.close().await;
        self.root.close().await.unwrap();
        self.database.drop().await.unwrap();
    }
}

async fn app(url: &str) -> PgConnection {
    url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
}

fn insert(tenant: TenantId, ids: &[Uuid]) -> String {
    let rows: Vec<String> = ids
        .iter()
        .map(|id| {
            format!(
                "('{id}', '{}', '{{\"kind\": \"operator\"}}', 'flow.published', 'flow', '{id}', '{id}', '{{\"n\":1}}')",
                tenant.0
            )
        })
        .collect();
    format!(
        "SELECT set_config('crossdock.tenant_id', '{}', true);
         INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail) VALUES {}",
        tenant.0,
        rows.join(", ")
    )
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(|_| ())
}

impl Log<'_> {
    /// Writes so many events as the application does, and returns their ids.
    async fn write(&self, count: usize) -> Vec<Uuid> {
        let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
        let mut app = app(&self.logs.database.app_url).await;
        run(&mut app, format!("BEGIN; {}; COMMIT", insert(self.scope.tenant, &ids))).await.unwrap();
        ids
    }

    async fn seal(&self) -> Sealing {
        self.logs.store.within(&self.scope).audit_seal(&self.logs.vault).await.unwrap()
    }

    /// Three seals of four events.
    async fn sealed(&self) -> Vec<Uuid> {
        let mut ids = vec![];
        for _ in 0..3 {
            ids.extend(self.write(4).await);
            assert_eq!(self.seal().await, Sealing::Done(4));
        }
        ids
    }

    async fn head(&self) -> Head {
        self.logs.store.within(&self.scope).audit_head(&self.logs.vault).await.unwrap()
    }

    async fn export(&self) -> Vec<Vec<u8>> {
        let store = self.logs.store.within(&self.scope);
        let head = store.audit_export_begin(&self.logs.vault, 0).await.unwrap();
        let (pieces, mut taken) = tokio::sync::mpsc::channel(1);
        let (written, text) = tokio::join!(async move { store.audit_export(head, &pieces).await }, async {
            let mut text = Vec::new();
            while let Some(piece) = taken.recv().await {
                text.extend_from_slice(&piece.unwrap());
            }
            text
        });
        written.unwrap();
        text.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    async fn verify(&self, held: Option<Head>) -> Result<Verified, Tampered> {
        let lines = self.export().await;
        let mut verifier = Verifier::begin(&lines[0], None, held, infra::certificate::is_signed)?;
        for line in &lines[1..] {
            verifier.take(line)?;
        }
        verifier.finish()
    }

    /// As the owner of the database, whom nothing holds back: no policy, no trigger.
    async fn as_root(&mut self, sql: String) {
        let sql = format!("SET session_replication_role = replica; {sql}; SET session_replication_role = origin");
        run(&mut self.logs.root, sql).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_is_in_one_seal_however_late_it_commits_and_whoever_dies() {
    let mut logs = Logs::start().await;
    let log = logs.tenant().await;
    let (url, tenant) = (log.logs.database.app_url.clone(), log.scope.tenant);
    // One that began first commits last, and one never does.
    let mut late = app(&url).await;
    let first = Uuid::now_v7();
    run(&mut late, format!("BEGIN; {}", insert(tenant, &[first]))).await.unwrap();
    let mut never = app(&url).await;
    run(&mut never, format!("BEGIN; {}", insert(tenant, &[Uuid::now_v7()]))).await.unwrap();

    let writer = async |at: u64| {
        let mut written = vec![];
        let mut app = app(&url).await;
        for n in 0..30 {
            let ids: Vec<Uuid> = (0..=(n + at) % 3).map(|_| Uuid::now_v7()).collect();
            let end = if (n + at).is_multiple_of(5) { "ROLLBACK" } else { "COMMIT" };
            run(&mut app, format!("BEGIN; {}", insert(tenant, &ids))).await.unwrap();
            tokio::task::yield_now().await;
            run(&mut app, end.to_owned()).await.unwrap();
            if end == "COMMIT" {
                written.extend(ids);
            }
        }
        written
    };
    // Several seal at once, and their connections are cut again and again, wherever they are.
    let sealer = async || {
        for _ in 0..25 {
            let _ = log.logs.store.within(&log.scope).audit_seal(&log.logs.vault).await;
        }
    };
    let killer = async || {
        let mut root = log.logs.database.connect().await.unwrap();
        for _ in 0..25 {
            let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                        WHERE datname = current_database() AND application_name = 'crossdock' AND state <> 'idle'";
            run(&mut root, kill.to_owned()).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (a, b, (), (), ()) = tokio::join!(writer(0), writer(1), sealer(), sealer(), killer());
    run(&mut late, "COMMIT".to_owned()).await.unwrap();
    drop(never);
    let written: HashSet<Uuid> = a.into_iter().chain(b).chain([first]).collect();

    let good = loop {
        // A connection of the pool that was cut is found out by its first use.
        if let Ok(Sealing::Done(0)) = log.logs.store.within(&log.scope).audit_seal(&log.logs.vault).await {
            break log.verify(None).await.unwrap();
        }
    };
    let mut root = log.logs.database.connect().await.unwrap();
    let sealed: Vec<Uuid> = sqlx::query_scalar("SELECT unnest(event_ids) FROM audit_seals").fetch_all(&mut root).await.unwrap();
    assert_eq!(sealed.len(), written.len(), "none twice");
    assert_eq!(sealed.into_iter().collect::<HashSet<_>>(), written, "none left out, and none that was taken back");
    assert_eq!(good.events, written.len() as u64);
    assert!(good.seals > 1);
    drop((late, root));
    logs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tamper_by_the_owner_of_the_database_is_found_and_named() {
    let mut logs = Logs::start().await;
    let aud = |id: Uuid| domain::id::AuditEventId(id);

    let mut log = logs.tenant().await;
    let ids = log.sealed().await;
    assert_eq!(log.verify(None).await.unwrap().events, 12);
    log.as_root(format!("UPDATE audit_events SET detail = '{{\"n\":2}}' WHERE id = '{}'", ids[5])).await;
    assert_eq!(log.verify(None).await, Err(Tampered::EventAltered { id: aud(ids[5]), seal: 2 }));
    // The altered event with a list of digests that fits it.
    let digest = {
        let lines = log.export().await;
        let altered = lines.iter().find_map(|line| match serde_json::from_slice(line).unwrap() {
            ExportLine::Event(event) if event.id.0 == ids[5] => Some(event.digest()),
            _ => None,
        });
        domain::merkle::hex(&altered.unwrap())
    };
    log.as_root(format!(
        "UPDATE audit_seals SET digests = overlay(digests PLACING '\\x{digest}' FROM 33) WHERE number = 2 AND tenant_id = '{}'",
        log.scope.tenant.0
    ))
    .await;
    assert_eq!(log.verify(None).await, Err(Tampered::List(2)));

    let mut log = logs.tenant().await;
    let ids = log.sealed().await;
    log.as_root(format!("DELETE FROM audit_events WHERE id = '{}'", ids[7])).await;
    assert_eq!(log.verify(None).await, Err(Tampered::EventMissing { id: aud(ids[7]), seal: 2 }));

    let mut log = logs.tenant().await;
    log.sealed().await;
    let added = Uuid::now_v7();
    let tenant = log.scope.tenant;
    log.as_root(insert(tenant, &[added])).await;
    assert_eq!(log.verify(None).await, Err(Tampered::EventUnsealed { id: aud(added) }));

    let mut log = logs.tenant().await;
    let ids = log.sealed().await;
    log.as_root(format!(
        "UPDATE audit_events a SET subject_id = b.subject_id FROM audit_events b WHERE a.id IN ('{0}', '{1}') AND b.id IN ('{0}', '{1}') AND a.id <> b.id",
        ids[1], ids[9]
    ))
    .await;
    assert_eq!(log.verify(None).await, Err(Tampered::EventAltered { id: aud(ids[1]), seal: 1 }));

    let mut log = logs.tenant().await;
    log.sealed().await;
    let tenant = log.scope.tenant.0;
    log.as_root(format!("DELETE FROM audit_seals WHERE number = 2 AND tenant_id = '{tenant}'")).await;
    assert_eq!(log.verify(None).await, Err(Tampered::SealMissing(2)));

    // One that is gone before it was sealed is told all the same.
    let mut log = logs.tenant().await;
    log.sealed().await;
    let id = log.write(1).await[0];
    log.as_root(format!("DELETE FROM audit_events WHERE id = '{id}'")).await;
    assert_eq!(log.verify(None).await, Err(Tampered::EventMissing { id: aud(id), seal: 4 }));
    logs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tamper_truncate_by_the_owner_is_found_by_a_head_that_was_kept_even_after_the_log_went_on() {
    let mut logs = Logs::start().await;
    let mut log = logs.tenant().await;
    log.sealed().await;
    let kept = log.head().await;
    assert_eq!(kept.statement.seal, 3);
    assert!(log.verify(Some(kept.clone())).await.is_ok());
    let tenant = log.scope.tenant.0;
    log.as_root(format!(
        "DELETE FROM audit_events WHERE tenant_id = '{tenant}' AND NOT id = ANY(SELECT unnest(event_ids) FROM audit_seals WHERE tenant_id = '{tenant}' AND number < 3);
         DELETE FROM audit_unsealed WHERE tenant_id = '{tenant}';
         DELETE FROM audit_seals WHERE tenant_id = '{tenant}' AND number >= 3"
    ))
    .await;
    assert!(log.verify(None).await.is_ok(), "nothing within the log tells");
    let found = log.verify(Some(kept.clone())).await;
    assert_eq!(found, Err(Tampered::NotHeld(3)), "the export itself was seal 3 anew");
    log.write(1).await;
    log.seal().await;
    assert_eq!(log.verify(Some(kept)).await, Err(Tampered::NotHeld(3)));
    logs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tamper_by_the_applications_own_role_is_refused() {
    let mut logs = Logs::start().await;
    let log = logs.tenant().await;
    let ids = log.sealed().await;
    let mut app = app(&log.logs.database.app_url).await;
    let tenant = log.scope.tenant.0;
    let within = |act: &str| format!("BEGIN; SELECT set_config('crossdock.tenant_id', '{tenant}', true); {act}");
    let acts = [
        "UPDATE audit_events SET action = 'y'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "UPDATE audit_seals SET statement = ''",
        "DELETE FROM audit_seals",
        "TRUNCATE audit_seals",
        "INSERT INTO audit_seals SELECT * FROM audit_seals",
        "INSERT INTO audit_unsealed VALUES (gen_random_uuid(), gen_random_uuid())",
        "DELETE FROM audit_unsealed",
        "ALTER TABLE audit_events DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
    ];
    for act in acts {
        let error = run(&mut app, within(act)).await.unwrap_err().to_string();
        assert!(error.contains("permission denied") || error.contains("must be owner"), "{act}: {error}");
        run(&mut app, "ROLLBACK".to_owned()).await.unwrap();
    }
    let put = |number: u8, id: Uuid| {
        within(&format!(
            "SELECT audit_seal_put({number}, ARRAY['{id}']::uuid[], decode(repeat('00', 32), 'hex'), '', decode(repeat('00', 64), 'hex'))"
        ))
    };
    let fresh = log.write(1).await[0];
    for (sql, why) in
        [(put(4, ids[0]), "sealed already"), (put(3, fresh), "not the next one"), (put(5, fresh), "not the next one")]
    {
        let error = run(&mut app, sql).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        run(&mut app, "ROLLBACK".to_owned()).await.unwrap();
    }
    drop(app);
    assert!(log.verify(None).await.is_ok());
    logs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_goes_by_the_tenants_rule_only_and_the_chain_says_so() {
    let mut logs = Logs::start().await;
    let mut log = logs.tenant().await;
    let ids = log.sealed().await;
    let kept = log.head().await;
    let retain = async |log: &Log<'_>| log.logs.store.within(&log.scope).audit_retain(&log.logs.vault).await;
    let set = async |log: &Log<'_>, keep_days, hold: Option<&str>| {
        let policy = AuditPolicy { keep_days, hold: hold.map(str::to_owned) };
        log.logs.store.within(&log.scope).audit_policy_set(&policy).await.unwrap();
    };
    let tenant = log.scope.tenant.0;
    let age = "UPDATE audit_seals SET sealed_at = now() - make_interval(days => 41 - 2 * number::integer)";
    log.as_root(format!("{age} WHERE tenant_id = '{tenant}' AND number <= 2")).await;
    assert_eq!(retain(&log).await.unwrap(), 0, "without a rule all is kept");
    set(&log, Some(38), Some("case 12")).await;
    assert_eq!(retain(&log).await.unwrap(), 0, "a legal hold keeps all");
    set(&log, Some(50), None).await;
    assert_eq!(retain(&log).await.unwrap(), 0, "nothing is so old");
    set(&log, Some(38), None).await;
    log.as_root(format!(
        "INSERT INTO call_payloads (event_id, tenant_id, answer) VALUES ('{}', '{tenant}', 'goes'), ('{}', '{tenant}', 'stays')",
        ids[0], ids[5]
    ))
    .await;
    let take = log.logs.store.audit_policies_take(10).await.unwrap();
    assert_eq!(take, [log.scope.tenant], "it is looked at once a day");
    assert!(log.logs.store.audit_policies_take(10).await.unwrap().is_empty());
    assert_eq!(retain(&log).await.unwrap(), 4, "those of the first seal");
    assert_eq!(retain(&log).await.unwrap(), 0);
    let mut database = log.logs.database.connect().await.unwrap();
    let payloads: Vec<String> = sqlx::query_scalar("SELECT answer FROM call_payloads").fetch_all(&mut database).await.unwrap();
    assert_eq!(payloads, ["stays"], "what is kept beside an event goes with it");
    let good = log.verify(Some(kept)).await.unwrap();
    assert_eq!((good.removed, good.head.removed), (4, 1));

    // By no other way: not by the application, nor by the owner without the key.
    let mut app = app(&log.logs.database.app_url).await;
    for (sql, why) in [("SELECT audit_remove(1, 3)", "are to be kept"), ("SELECT audit_remove(0, 1)", "no seal says")] {
        if sql.contains("(0, 1)") {
            // A later seal that says nothing of a removal.
            log.as_root(format!("UPDATE audit_seals SET statement = '{{}}' WHERE tenant_id = '{tenant}' AND number >= 4")).await;
        }
        let sql = format!("BEGIN; SELECT set_config('crossdock.tenant_id', '{tenant}', true); {sql}");
        let error = run(&mut app, sql).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        run(&mut app, "ROLLBACK".to_owned()).await.unwrap();
    }
    drop(app);
    let mut log = logs.tenant().await;
    let more = log.sealed().await;
    log.as_root(format!(
        "DELETE FROM audit_events WHERE id = ANY(ARRAY['{}']::uuid[])",
        more[..4].iter().map(Uuid::to_string).collect::<Vec<_>>().join("','")
    ))
    .await;
    let found = log.verify(None).await;
    assert_eq!(found, Err(Tampered::EventMissing { id: domain::id::AuditEventId(more[0]), seal: 1 }));
    assert_ne!(ids[0], more[0]);
    logs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_searched_by_who_what_when_and_which_request_and_a_sheet_has_no_formula() {
    let mut logs = Logs::start().await;
    let log = logs.tenant().await;
    let tenant = log.scope.tenant.0;
    let (ann, bob) = (UserId::generate(), UserId::generate());
    let (traced, trace) = ("4bf92f3577b34da6a3ce929d0e0e4736", TraceId::parse("4bf92f3577b34da6a3ce929d0e0e4736"));
    let address = |text: &str| AuditFilter { address: text.parse().ok(), ..AuditFilter::default() };
    let mut app = app(&log.logs.database.app_url).await;
    // Actor, action, subject kind, days ago, detail; each is its own subject and request.
    let events = [
        (json!({"kind": "member", "user": ann, "role": "owner"}), "flow.published", "flow", 0, "=HYPERLINK(1)"),
        (
            json!({"kind": "member", "user": bob, "role": "owner", "address": "203.0.113.7", "trace": traced}),
            "flow.published",
            "flow",
            3,
            "-12.50",
        ),
        (json!({"kind": "member", "user": ann, "role": "owner"}), "credential.stored", "credential", 3, "-1+2"),
        (json!({"kind": "vendor", "connection": "con_1", "address": "203.0.113.7"}), "delivery.planned", "delivery", 0, "{}"),
    ];
    let mut ids = vec![];
    for (actor, action, kind, days, detail) in &events {
        let at = chrono::Utc::now() - chrono::Duration::days(*days);
        let id = Uuid::from_u128((u128::from(at.timestamp_millis().unsigned_abs()) << 80) | u128::from(rand::random::<u64>()));
        let sql = format!(
            "BEGIN; SELECT set_config('crossdock.tenant_id', '{tenant}', true);
             INSERT INTO audit_events (id, tenant_id, at, actor, action, subject_kind, subject_id, request_id, detail)
             VALUES ('{id}', '{tenant}', '{}', '{actor}', '{action}', '{kind}', '{id}', '{id}', '{detail}'); COMMIT",
            at.to_rfc3339()
        );
        run(&mut app, sql).await.unwrap();
        ids.push(id);
    }
    let yesterday = chrono::Utc::now() - chrono::Duration::days(1);
    let action = |action: &str| AuditFilter { action: Some(action.into()), ..AuditFilter::default() };
    let cases = [
        (AuditFilter::default(), vec![0, 1, 2, 3]),
        (AuditFilter { actor: Some(ann.to_string()), ..AuditFilter::default() }, vec![0, 2]),
        (AuditFilter { actor: Some(UserId::generate().to_string()), ..AuditFilter::default() }, vec![]),
        (action("flow.published"), vec![0, 1]),
        (action("delivery.planned"), vec![3]),
        (AuditFilter { subject_kind: Some("credential".into()), ..AuditFilter::default() }, vec![2]),
        (AuditFilter { subject: Some(ids[1]), ..AuditFilter::default() }, vec![1]),
        (AuditFilter { request: Some(ids[3]), ..AuditFilter::default() }, vec![3]),
        (AuditFilter { from: Some(yesterday), ..AuditFilter::default() }, vec![0, 3]),
        (AuditFilter { until: Some(yesterday), ..AuditFilter::default() }, vec![1, 2]),
        (AuditFilter { actor: Some(ann.to_string()), until: Some(yesterday), ..action("credential.stored") }, vec![2]),
        (AuditFilter { actor: Some(bob.to_string()), from: Some(yesterday), ..AuditFilter::default() }, vec![]),
        (address("203.0.113.7"), vec![1, 3]),
        (address("203.0.113.70"), vec![]),
        (AuditFilter { from: Some(yesterday), ..address("203.0.113.7") }, vec![3]),
        (AuditFilter { until: Some(yesterday), trace, ..address("203.0.113.7") }, vec![1]),
        (AuditFilter { trace, ..AuditFilter::default() }, vec![1]),
        (AuditFilter { actor: Some(ann.to_string()), trace, ..AuditFilter::default() }, vec![]),
    ];
    for (filter, expected) in cases {
        let store = log.logs.store.within(&log.scope);
        let said = format!("{filter:?}");
        let page = store.page::<audit_event::Entity>(|select| filter.apply(select), None, 100).await.unwrap();
        let found: HashSet<Uuid> = page.rows.iter().map(|row| row.id).collect();
        assert_eq!(found, expected.into_iter().map(|at| ids[at]).collect(), "{said}");
        assert!(page.rows.is_sorted_by(|a, b| a.id > b.id), "newest first");
    }
    let (pieces, mut taken) = tokio::sync::mpsc::channel(8);
    log.logs.store.within(&log.scope).audit_sheet(AuditFilter::default(), true, &log.logs.vault, &pieces).await.unwrap();
    drop(pieces);
    let mut sheet = vec![];
    while let Some(piece) = taken.recv().await {
        sheet.extend_from_slice(&piece.unwrap());
    }
    let sheet = String::from_utf8(sheet).unwrap();
    assert!(sheet.starts_with("id,at,actor,") && sheet.lines().count() == 6, "{sheet}");
    for cell in [",'=HYPERLINK(1)\r\n", ",-12.50\r\n", ",'-1+2\r\n"] {
        assert!(sheet.contains(cell), "{cell}: {sheet}");
    }
    drop(app);
    logs.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_the_running_platform_is_checked_offline_and_tampering_is_named() {
    world_by_hand(async |world| {
        let dir = world.platform.logs.clone();
        let crossdock = |arguments: &[&str]| {
            std::process::Command::new(tests::platform::binary().unwrap())
                .args(arguments)
                .env("CROSSDOCK_URL", &world.platform.url)
                .env("CROSSDOCK_TENANT", "acme")
                .env("CROSSDOCK_EMAIL", tests::platform::EMAIL)
                .env("CROSSDOCK_PASSWORD", &world.platform.password)
                .output()
                .unwrap()
        };
        let export = |name: &str| {
            let exported = crossdock(&["audit", "export"]);
            assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
            let path = dir.join(name).to_str().unwrap().to_owned();
            std::fs::write(&path, exported.stdout).unwrap();
            path
        };
        let key = world.acme.client.ask("{ certificateKey }", json!({})).await.unwrap()["certificateKey"].clone();
        let key = key.as_str().unwrap();
        let file = export("first.jsonl");
        let head = dir.join("head").to_str().unwrap().to_owned();
        std::fs::write(&head, crossdock(&["audit", "head"]).stdout).unwrap();
        let file_2 = export("second.jsonl");
        for (file, head) in [(&file, None), (&file_2, Some(&head))] {
            let mut arguments = vec!["audit", "verify", file, "--key", key];
            arguments.extend(head.iter().flat_map(|head| ["--head", head.as_str()]));
            let good = crossdock(&arguments);
            let said = String::from_utf8_lossy(&good.stdout).into_owned() + &String::from_utf8_lossy(&good.stderr);
            assert!(good.status.success() && said.contains("from its beginning"), "{said}");
        }
        let other = crossdock(&["audit", "verify", &file, "--key", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="]);
        assert!(!other.status.success() && String::from_utf8_lossy(&other.stderr).contains("not the expected one"));

        let mut root = world.platform.database.connect().await.unwrap();
        let altered: Uuid = sqlx::query_scalar(
            "UPDATE audit_events SET actor = '{\"kind\": \"operator\"}' WHERE action = 'flow.published' RETURNING id",
        )
        .fetch_one(&mut root)
        .await
        .unwrap();
        let bad = crossdock(&["audit", "verify", &export("third.jsonl"), "--key", key]);
        let why = String::from_utf8_lossy(&bad.stderr).into_owned();
        assert!(
            !bad.status.success()
                && why.contains(&format!("event aud_{} of seal", altered.simple()))
                && why.contains("was altered"),
            "{why}"
        );

        let plain = tests::client::http().build().unwrap();
        let stranger = plain.get(format!("{}/audit/export", world.platform.url)).send().await.unwrap();
        assert_eq!(stranger.status(), 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_tells_whence_it_was_asked_for_and_of_which_trace() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    world_by_hand(async |world| {
        let client = &world.acme.client;
        let ask = async |days: i32, trace: &str| {
            let query = format!("mutation {{ auditPolicySet(keepDays: {days}) {{ userErrors {{ code }} }} }}");
            let request = tests::client::http().build().unwrap().post(format!("{}/graphql", world.platform.url));
            let request = request.bearer_auth(client.token().unwrap()).header("X-Crossdock-Tenant", "acme");
            // The operator has named no proxy, so what a client writes of its own address is not believed.
            let request = request.header("X-Forwarded-For", "203.0.113.7").header("traceparent", trace);
            let answer: Value = request.json(&json!({"query": query})).send().await.unwrap().json().await.unwrap();
            assert_eq!(answer["data"]["auditPolicySet"]["userErrors"], json!([]), "{answer}");
        };
        ask(400, PARENT).await;
        for malformed in ["4bf92f3577b34da6a3ce929d0e0e4736", "00-usr_2f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"] {
            ask(401, malformed).await;
        }
        let hooked = ("traceparent".to_owned(), PARENT.to_owned());
        world.acme.shop.send_with("orders/create", Uuid::new_v4(), sample::order(1), hooked).await.unwrap();
        world.acme.rest(1, std::time::Duration::from_secs(60)).await.unwrap();

        let mut root = world.platform.database.connect().await.unwrap();
        let mut actors = async |action: &str| -> Vec<Value> {
            let query = sqlx::query_scalar("SELECT actor FROM audit_events WHERE action = $1 ORDER BY id").bind(action);
            query.fetch_all(&mut root).await.unwrap()
        };
        let set = actors("audit_policy.set").await;
        assert_eq!(
            (&set[0]["kind"], &set[0]["address"], &set[0]["trace"]),
            (&json!("member"), &json!("127.0.0.1"), &json!(TRACE))
        );
        assert_eq!(set.len(), 3);
        for of_none in &set[1..] {
            assert_eq!((&of_none["address"], &of_none["trace"]), (&json!("127.0.0.1"), &Value::Null), "{of_none}");
        }
        let came = actors("message.received").await;
        assert_eq!(
            (&came[0]["kind"], &came[0]["address"], &came[0]["trace"]),
            (&json!("vendor"), &json!("127.0.0.1"), &json!(TRACE))
        );
        let own = actors("message.mapped").await;
        assert_eq!((&own[0]["kind"], &own[0]["address"]), (&json!("system"), &Value::Null), "nobody sent what Crossdock does");

        // Who did it is found and read as before; and whoever may read the record and not the log is not told whence.
        let by = "query($a: ID) { auditEvents(action: \"audit_policy.set\", filter: {actorId: $a}) { nodes { actor } } }";
        let found = client.ask(by, json!({"a": set[0]["user"]})).await.unwrap();
        assert_eq!(found["auditEvents"]["nodes"].as_array().unwrap().len(), 3);
        let query = "query($t: String!) { search(text: $t, first: 1) { record { timeline { nodes { what actor } } } } }";
        let told = client.ask(query, json!({"t": "#L1"})).await.unwrap();
        let timeline = told["search"][0]["record"]["timeline"]["nodes"].as_array().unwrap();
        assert!(timeline.iter().any(|entry| entry["actor"]["kind"] == "vendor"), "{told}");
        assert!(!told.to_string().contains("127.0.0.1") && !told.to_string().contains(TRACE), "{told}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_found_by_its_address_and_its_trace_and_another_tenants_is_not() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const FIND: &str = "query($f: AuditEventFilterInput, $first: Int, $a: String) {
        auditEvents(action: \"audit_policy.set\", filter: $f, first: $first, after: $a) { nodes { detail } pageInfo { hasNextPage endCursor } } }";
    // The addresses are what a proxy on this machine says.
    let environment = vec![("CROSSDOCK_LISTENING", "by_hand"), ("CROSSDOCK_TRUSTED_PROXIES", "127.0.0.1")];
    world_with(Options { environment, ..Options::default() }, async |world| {
        let acme = &world.acme.client;
        let other = world.platform.sign_in().await.unwrap();
        let id = other.tenant_create("other").await.unwrap();
        let other = &other.of_tenant(&id);
        let ask = |request: reqwest::RequestBuilder, tenant: &str| {
            request.bearer_auth(acme.token().unwrap()).header("X-Crossdock-Tenant", tenant)
        };
        for (tenant, days, from) in [
            ("acme", 400, "2001:db8::7"),
            ("acme", 401, "2001:db8::7"),
            ("acme", 402, "203.0.113.7"),
            ("other", 500, "2001:db8::7"),
        ] {
            let query = format!("mutation {{ auditPolicySet(keepDays: {days}) {{ userErrors {{ code }} }} }}");
            let request = ask(http().build().unwrap().post(format!("{}/graphql", world.platform.url)), tenant);
            let request =
                request.header("X-Forwarded-For", from).header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
            let answer: Value = request.json(&json!({"query": query})).send().await.unwrap().json().await.unwrap();
            assert_eq!(answer["data"]["auditPolicySet"]["userErrors"], json!([]), "{answer}");
        }
        // The days that were set, the newest first.
        let told = |page: &Value| -> Vec<i64> {
            let details = page["nodes"].as_array().unwrap().iter().map(|event| event["detail"].as_str().unwrap().to_owned());
            details.map(|detail| serde_json::from_str::<Value>(&detail).unwrap()["keep_days"].as_i64().unwrap()).collect()
        };
        let page = async |client: &Client, filter: &Value, first: i32, after: &Value| -> Value {
            let asked = json!({"f": filter, "first": first, "a": after});
            client.ask(FIND, asked).await.unwrap()["auditEvents"].clone()
        };
        for (client, filter, days) in [
            (acme, json!({"trace": TRACE}), vec![402, 401, 400]),
            (acme, json!({"trace": TRACE.to_uppercase()}), vec![402, 401, 400]),
            (acme, json!({"trace": TRACE.replace('4', "5")}), vec![]),
            (acme, json!({"address": "2001:DB8:0::7"}), vec![401, 400]),
            (acme, json!({"address": "::ffff:203.0.113.7"}), vec![402]),
            (acme, json!({"address": "203.0.113.7", "trace": TRACE}), vec![402]),
            (acme, json!({"address": "203.0.113.70"}), vec![]),
            (other, json!({"trace": TRACE}), vec![500]),
            (other, json!({"address": "2001:db8::7"}), vec![500]),
            (other, json!({"address": "203.0.113.7"}), vec![]),
        ] {
            assert_eq!(told(&page(client, &filter, 10, &Value::Null).await), days, "{filter}");
        }
        let from_there = json!({"address": "2001:db8::7"});
        let first = page(acme, &from_there, 1, &Value::Null).await;
        assert_eq!((told(&first), &first["pageInfo"]["hasNextPage"]), (vec![401], &json!(true)));
        let second = page(acme, &from_there, 1, &first["pageInfo"]["endCursor"]).await;
        assert_eq!((told(&second), &second["pageInfo"]["hasNextPage"]), (vec![400], &json!(false)));

        let sheet = async |query: &str| {
            let request = http().build().unwrap().get(format!("{}/audit/events.csv?{query}", world.platform.url));
            let answer = ask(request, "acme").send().await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        let (status, text) = sheet("action=audit_policy.set&address=2001:db8::7").await;
        assert_eq!((status, text.matches("audit_policy.set").count()), (200, 2), "{text}");
        let long = "2".repeat(10_000);
        for (name, wrong) in [
            ("address", ""),
            ("address", "203.0.113.0/24"),
            ("address", "203.0.113.7:443"),
            ("address", "shop.example.com"),
            ("address", long.as_str()),
            ("trace", &TRACE[1..]),
            ("trace", "00000000000000000000000000000000"),
            ("trace", long.as_str()),
        ] {
            let answer = acme.raw(FIND, json!({"f": {name: wrong}})).await.unwrap();
            let (error, says) = (&answer["errors"][0], format!("`{name}` is "));
            assert_eq!(error["extensions"]["code"], "BAD_REQUEST", "{wrong}: {answer}");
            assert!(error["message"].as_str().unwrap().starts_with(&says), "{wrong}: {answer}");
        }
        let (status, text) = sheet("trace=4bf92f35").await;
        assert!(status == 400 && text.contains("32 hexadecimal digits"), "{status}: {text}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tamper_with_what_came_is_told_by_its_event() {
    const CAME: &str = "{ auditEvents(action: \"message.received\", first: 5) { nodes { id subjectId detail payload { text sha256 isAsSealed } } } }";
    world_by_hand(async |world| {
        let client = &world.acme.client;
        let came = async || client.ask(CAME, json!({})).await.unwrap()["auditEvents"]["nodes"].as_array().unwrap().clone();
        let webhook = Uuid::new_v4();
        for _ in 0..2 {
            world.acme.shop.send("orders/create", webhook, sample::order(1)).await.unwrap();
        }
        world.acme.rest(1, std::time::Duration::from_secs(60)).await.unwrap();
        let events = came().await;
        let [event] = events.as_slice() else { panic!("one came, and once more: {events:?}") };
        let (sha256, payload) = (domain::merkle::hex(&domain::merkle::hash(&[&sample::order(1)])), &event["payload"]);
        assert_eq!((&payload["isAsSealed"], &payload["sha256"]), (&json!(true), &json!(sha256)), "{event}");
        let detail = format!(r#"{{"body_sha256":"{sha256}"}}"#);
        assert_eq!(event["detail"], detail, "{event}");
        let mut root = world.platform.database.connect().await.unwrap();
        let duplicate = "SELECT detail FROM audit_events WHERE action = 'message.duplicate'";
        assert_eq!(sqlx::query_scalar::<_, String>(duplicate).fetch_one(&mut root).await.unwrap(), detail);

        // As the owner of the database, who may do anything but sign.
        let alter = "UPDATE messages SET body = body || ' '::bytea";
        assert_eq!(sqlx::query(alter).execute(&mut root).await.unwrap().rows_affected(), 1);
        let altered = &came().await[0];
        assert_eq!((&altered["payload"]["isAsSealed"], &altered["detail"]), (&json!(false), &json!(detail)), "{altered}");
        // Nor does it pass for one that was erased, but under its own digest.
        for (of, passes) in [("00".repeat(32), false), (sha256.clone(), true)] {
            let erase = sqlx::query("UPDATE messages SET body = convert_to($1, 'UTF8')").bind(format!(r#"{{"erased":"{of}"}}"#));
            erase.execute(&mut root).await.unwrap();
            let erased = &came().await[0];
            assert_eq!(erased["payload"]["isAsSealed"], passes, "{erased}");
        }
    })
    .await;
}
