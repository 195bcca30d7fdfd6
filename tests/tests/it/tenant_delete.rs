//! A tenant can be deleted: by an owner, after a week, whole. What is not its own is not touched, and a worker that dies in the middle leaves nothing behind.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::seal::Statement;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tests::client::{Client, http};
use tests::platform::{Connected, Database, Tenant};
use tests::sample;
use uuid::Uuid;

use crate::threat_tenancy::{marked, publish};
use crate::{World, eventually, impersonation, world, world_with_mail};

const PATIENCE: Duration = Duration::from_secs(30);
const DELETE: &str =
    "mutation($s: String!, $w: String!) { tenantDelete(slug: $s, why: $w) { deletesAt userErrors { field code message } } }";
const CANCEL: &str = "mutation { tenantDeleteCancel { done userErrors { code } } }";
const DELETION: &str = "{ tenant { slug deletion { deletesAt askedAt askedBy why } } }";
const HOLD: &str = "mutation($h: String) { auditPolicySet(legalHold: $h) { userErrors { code } } }";
const KEY: &str = "mutation { apiKeyCreate(input: {name: \"all\", permissions: [READ_OPERATIONS, READ_AUDIT, CONFIGURE]}) { key userErrors { code } } }";

/// What workers move by the clock, whatever happens: these rows are not compared.
const CLOCKS: [&str; 11] = [
    "alert_watches",
    "arrival_series",
    "arrival_watches",
    "audit_policies",
    "audit_streams",
    "audit_unsealed",
    "connection_probes",
    "drift_profiles",
    "drift_volumes",
    "polls",
    "subscription_checks",
];
/// What stays of a tenant that is gone.
const KEPT: [&str; 2] = ["audit_seals", "invoices"];

fn uuid_of(id: &str) -> Uuid {
    Uuid::parse_str(id.split('_').nth(1).unwrap()).unwrap()
}

/// Asks for the deletion of a tenant.
async fn ask(client: &Client, slug: &str) {
    client.ask(DELETE, json!({"s": slug, "w": "the contract ended"})).await.unwrap();
}

/// Its week is over.
async fn due(database: &mut PgConnection, tenant: Uuid) {
    let due = "UPDATE tenant_deletions SET deletes_at = now(), due_at = now() WHERE tenant_id = $1";
    assert_eq!(sqlx::query(due).bind(tenant).execute(database).await.unwrap().rows_affected(), 1);
}

/// Until all tables were gone through once.
async fn gone(database: &mut PgConnection, tenant: Uuid) {
    let over = "SELECT EXISTS (SELECT FROM deleted_tenants d WHERE d.id = $1 AND d.place IS NULL) AND NOT EXISTS (SELECT FROM tenants t WHERE t.id = $1)";
    eventually("the tenant is purged", async || {
        sqlx::query_scalar::<_, bool>(over).bind(tenant).fetch_one(&mut *database).await.unwrap().then_some(())
    })
    .await;
}

/// Tables, and whether they have a tenant's rows.
async fn tables(database: &mut PgConnection) -> Vec<(String, bool)> {
    let tables = "SELECT c.relname::text, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
                  FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1";
    sqlx::query_as(tables).fetch_all(database).await.unwrap()
}

/// The rows of a tenant, table by table; bytes are read as text, too.
async fn rows_of(database: &mut PgConnection, tenant: Uuid) -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    database.execute("SET bytea_output = 'escape'").await.unwrap();
    for (table, has_tenant) in tables(database).await {
        if has_tenant {
            let rows = format!("SELECT t::text FROM \"{table}\" t WHERE t.tenant_id = $1");
            let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).bind(tenant).fetch_all(&mut *database).await.unwrap();
            all.insert(table, rows.into_iter().collect());
        }
    }
    all
}

/// Tables with a row that has this text in it.
async fn tables_with(database: &mut PgConnection, text: &str) -> Vec<String> {
    let mut found = vec![];
    database.execute("SET bytea_output = 'escape'").await.unwrap();
    for (table, _) in tables(database).await {
        let has = format!("SELECT EXISTS (SELECT FROM \"{table}\" t WHERE position($1 IN t::text) > 0)");
        if sqlx::query_scalar(AssertSqlSafe(has)).bind(text).fetch_one(&mut *database).await.unwrap() {
            found.push(table);
        }
    }
    found
}

/// Nothing of the tenant is left but what stays. A worker that was at it may have written something behind the purge, which looks again.
async fn nothing_is_left(database: &mut PgConnection, tenant: Uuid) {
    let what = "nothing of it is left";
    eventually(what, async || {
        let rows = rows_of(&mut *database, tenant).await;
        let left = rows.into_iter().find(|(table, rows)| !rows.is_empty() && !KEPT.contains(&table.as_str()));
        left.is_none().then_some(())
    })
    .await;
}

/// The last look, a day after.
async fn a_day_later(database: &mut PgConnection, tenant: Uuid) {
    let day = "UPDATE deleted_tenants SET deleted_at = now() - interval '25 hours', due_at = now() WHERE id = $1";
    sqlx::query(day).bind(tenant).execute(&mut *database).await.unwrap();
    eventually("nothing is looked for any more", async || {
        let over = "SELECT purged_at IS NOT NULL FROM deleted_tenants WHERE id = $1";
        sqlx::query_scalar::<_, bool>(over).bind(tenant).fetch_one(&mut *database).await.unwrap().then_some(())
    })
    .await;
    let left =
        rows_of(database, tenant).await.into_iter().find(|(table, rows)| !rows.is_empty() && !KEPT.contains(&table.as_str()));
    assert_eq!(left, None);
}

/// Two tenants with the same orders, exceptions and what people wrote beside them, each in its own words.
async fn filled(world: &World) -> Tenant {
    let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
    let both: [(&Connected, &str); 2] = [(&world.acme, "canary-of-acme"), (&other, "canary-of-other")];
    for (tenant, mark) in both {
        marked(world, tenant, &tenant.hook_url, mark).await;
        let mut shop = world.acme.shop.clone();
        shop.hook_url = tenant.hook_url.clone();
        let unmapped = String::from_utf8(sample::order(90)).unwrap().replace("\"TEE-M\"", "\"HAT-XL\"");
        assert_eq!(shop.send("orders/create", Uuid::from_u128(90), unmapped.into_bytes()).await.unwrap().status, 200);
        tenant.rest(6, PATIENCE).await.unwrap();
        let open = tenant.client.ask("{ exceptions(state: \"open\") { nodes { id } } }", json!({})).await.unwrap();
        let comment =
            "mutation($id: ID!, $t: String!) { exceptionComment(input: {ids: [$id]}, text: $t) { count userErrors { code } } }";
        let comment = tenant.client.ask(comment, json!({"id": open["exceptions"]["nodes"][0]["id"], "t": mark})).await.unwrap();
        assert_eq!(comment["exceptionComment"]["count"], 1, "{comment}");
    }
    other
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_deleted_with_every_row_and_its_neighbour_keeps_each_of_theirs() {
    world(async |world| {
        let other = filled(world).await;
        let (tenant, acme) = (uuid_of(&other.id), uuid_of(&world.acme.id));
        let key = other.client.ask(KEY, json!({})).await.unwrap()["apiKeyCreate"]["key"].as_str().unwrap().to_owned();
        let by_key = Client::new(&world.platform.url).with_token(&key);
        assert!(by_key.ask("{ flows { nodes { id } } }", json!({})).await.is_ok());
        let mut database = world.platform.database.connect().await.unwrap();
        // A table that nobody thought of, made as tables are made.
        database
            .execute(
                "CREATE TABLE tomorrows (tenant_id uuid NOT NULL, word text NOT NULL);
                 ALTER TABLE tomorrows ENABLE ROW LEVEL SECURITY;
                 ALTER TABLE tomorrows FORCE ROW LEVEL SECURITY;
                 CREATE POLICY tenant ON tomorrows USING (tenant_id IS NOT DISTINCT FROM current_tenant()) WITH CHECK (tenant_id IS NOT DISTINCT FROM current_tenant());
                 GRANT SELECT, DELETE ON tomorrows TO crossdock_system;
                 INSERT INTO tomorrows SELECT id, 'canary-of-' || slug FROM tenants;",
            )
            .await
            .unwrap();
        ask(&other.client, "other").await;
        let export = http().build().unwrap().get(format!("{}/audit/export", world.platform.url)).bearer_auth(&key);
        let export = export.send().await.unwrap().text().await.unwrap();
        assert!(export.contains("tenant.deletion_asked"));
        let before = rows_of(&mut database, acme).await;
        let full = rows_of(&mut database, tenant).await.values().filter(|rows| !rows.is_empty()).count();
        assert!(full > 30, "{full} tables have something of it");
        assert!(tables_with(&mut database, "canary-of-other").await.len() > 5);

        due(&mut database, tenant).await;
        gone(&mut database, tenant).await;
        nothing_is_left(&mut database, tenant).await;
        assert_eq!(tables_with(&mut database, "canary-of-other").await, [""; 0], "not a word of it is left in any table");
        let named = tables_with(&mut database, &tenant.to_string()).await;
        assert_eq!(named, ["audit_seals", "deleted_tenants"], "and who it was stands where it says so only");

        // Of the neighbour, every row that stood stands to the byte, and its orders go on.
        let after = rows_of(&mut database, acme).await;
        for (table, rows) in before.iter().filter(|(table, _)| !CLOCKS.contains(&table.as_str())) {
            let lost: Vec<&String> = rows.difference(&after[table]).collect();
            assert!(lost.is_empty(), "{table}: {lost:?}");
        }
        assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(7)).await.unwrap().status, 200);
        let ledger = world.acme.rest(7, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("confirmed"), 6, "{ledger:?}");

        // Its doors: a key, a person's session, a hook.
        let refused = by_key.raw("{ flows { nodes { id } } }", json!({})).await.unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{refused}");
        let refused = other.client.raw("{ flows { nodes { id } } }", json!({})).await.unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["code"], "NO_TENANT", "{refused}");
        let mut shop = world.acme.shop.clone();
        let (place, _) = other.hook_url.rsplit_once('/').unwrap();
        shop.hook_url = format!("{place}/a-hook-that-never-was");
        let unknown = shop.send("orders/create", Uuid::new_v4(), sample::order(8)).await.unwrap();
        shop.hook_url = other.hook_url.clone();
        eventually("its hook is one that never was", async || {
            let answer = shop.send("orders/create", Uuid::new_v4(), sample::order(8)).await.unwrap();
            (answer.status == unknown.status && answer.body == unknown.body).then_some(())
        })
        .await;

        // What stays: that it was, and the seals to which an export from before leads.
        let kept = "SELECT slug, why, purged_at IS NULL, seal_number, seal_hash FROM deleted_tenants WHERE id = $1";
        let (slug, why, is_looked_for, number, hash): (String, String, bool, i64, String) =
            sqlx::query_as(kept).bind(tenant).fetch_one(&mut database).await.unwrap();
        assert_eq!((slug.as_str(), why.as_str(), is_looked_for), ("other", "the contract ended", true));
        let last = "SELECT number, statement FROM audit_seals WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1";
        let (last, statement): (i64, String) = sqlx::query_as(last).bind(tenant).fetch_one(&mut database).await.unwrap();
        let tip = serde_json::from_str::<Statement>(&statement).unwrap().tip();
        assert_eq!((number, &hash), (last, &tip.hash));
        let path = world.platform.logs.join("export.jsonl");
        std::fs::write(&path, &export).unwrap();
        let verified = world.platform.run(&["audit", "verify", path.to_str().unwrap()]).await.unwrap();
        assert!(verified.status.success(), "{verified:?}");

        // A task that is under way for it ends quietly: nobody is there who could be told. One that names a tenant that stands is told to that one, after it.
        if !world.platform.options.all_in_one {
            let refused = async |whose: &Connected, log: &str| {
                publish(world, "receive.live", &json!({"tenant": whose.id, "connection": whose.source, "ids": [Uuid::now_v7()]})).await;
                eventually(log, async || {
                    let text = std::fs::read_to_string(world.platform.logs.join("workers.log")).unwrap();
                    text.lines().any(|line| line.contains("Refused a task") && line.contains(&whose.id)).then_some(())
                })
                .await;
            };
            refused(&other, "the task of nobody is refused").await;
            refused(&world.acme, "and the one after it").await;
            let told = "{ auditEvents(action: \"task.refused\") { nodes { id } } }";
            eventually("acme is told", async || {
                let told = world.acme.client.ask(told, json!({})).await.unwrap();
                (!told["auditEvents"]["nodes"].as_array().unwrap().is_empty()).then_some(())
            })
            .await;
            let told = "SELECT count(*) FROM audit_events WHERE tenant_id = $1 AND action = 'task.refused'";
            assert_eq!(sqlx::query_scalar::<_, i64>(told).bind(tenant).fetch_one(&mut database).await.unwrap(), 0);
        }

        // Its slug is free, and whoever has it next has nothing of it.
        let again = world.platform.sign_in().await.unwrap();
        let id = again.tenant_create("other").await.unwrap();
        assert_ne!(uuid_of(&id), tenant);
        let own = again.of_tenant(&id).ask("{ connections { nodes { id } } records { nodes { id } } }", json!({})).await.unwrap();
        assert_eq!((&own["connections"]["nodes"], &own["records"]["nodes"]), (&json!([]), &json!([])));

        // What was under way then and is written now goes, too; after a day nothing is looked for any more.
        let late = "INSERT INTO record_revisions (id, tenant_id, record_id, revision, message_id, document) VALUES (gen_random_uuid(), $1, gen_random_uuid(), 1, gen_random_uuid(), 'canary-of-other')";
        sqlx::query(late).bind(tenant).execute(&mut database).await.unwrap();
        let late = "INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id) VALUES (gen_random_uuid(), $1, '{\"kind\": \"system\"}', 'attempt.ended', 'attempt', $1, $1)";
        sqlx::query(late).bind(tenant).execute(&mut database).await.unwrap();
        a_day_later(&mut database, tenant).await;
        assert_eq!(tables_with(&mut database, "canary-of-other").await, [""; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_in_the_middle_of_a_deletion_leaves_it_to_the_next() {
    world(async |world| {
        if world.platform.options.all_in_one {
            return println!("the one process cannot be killed alone");
        }
        let other = filled(world).await;
        let tenant = uuid_of(&other.id);
        let mut database = world.platform.database.connect().await.unwrap();
        // More than a batch of a table that is found by its tenant, and of one that is read block by block.
        for more in [
            "INSERT INTO usage_events (id, tenant_id, meter, quantity) SELECT gen_random_uuid(), $1, 'vendor_call', 1 FROM generate_series(1, 12000)",
            "INSERT INTO record_revisions (id, tenant_id, record_id, revision, message_id, document)
             SELECT gen_random_uuid(), $1, gen_random_uuid(), 1, gen_random_uuid(), repeat('canary-of-other ', 100) FROM generate_series(1, 12000)",
        ] {
            sqlx::query(more).bind(tenant).execute(&mut database).await.unwrap();
        }
        ask(&other.client, "other").await;
        // Somebody's transaction stands in the way, so that the middle is where it is.
        let mut way = world.platform.database.connect().await.unwrap();
        let mut way = way.begin().await.unwrap();
        let lock = "SELECT FROM usage_events WHERE tenant_id = $1 FOR UPDATE";
        sqlx::query(lock).bind(tenant).execute(&mut *way).await.unwrap();
        due(&mut database, tenant).await;
        eventually("it stands before what is locked", async || {
            let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%tenant_purge%')";
            sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut database).await.unwrap().then_some(())
        })
        .await;
        let keys = "SELECT (SELECT count(*) FROM data_keys WHERE tenant_id = $1), (SELECT count(*) FROM credentials WHERE tenant_id = $1), (SELECT count(*) FROM members WHERE tenant_id = $1)";
        let keys: (i64, i64, i64) = sqlx::query_as(keys).bind(tenant).fetch_one(&mut database).await.unwrap();
        assert_eq!(keys, (0, 0, 0), "its keys were first");
        let refused = other.client.raw("{ flows { nodes { id } } }", json!({})).await.unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["code"], "NO_TENANT", "and its people");

        world.platform.kill_worker().await.unwrap();
        way.rollback().await.unwrap();
        world.platform.start_worker().await.unwrap();
        // Its lease would be over in a minute and a half.
        sqlx::query("UPDATE deleted_tenants SET due_at = now() WHERE id = $1").bind(tenant).execute(&mut database).await.unwrap();
        gone(&mut database, tenant).await;
        nothing_is_left(&mut database, tenant).await;
        assert_eq!(tables_with(&mut database, "canary-of-other").await, [""; 0]);
        a_day_later(&mut database, tenant).await;
        assert_eq!(world.acme.rest(6, PATIENCE).await.unwrap().delivery("confirmed"), 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_alone_deletes_a_tenant_by_its_slug_and_takes_it_back_within_a_week() {
    world(async |world| {
        let owner = &world.acme.client;
        let delete = async |client: &Client, slug: &str, why: &str| client.raw(DELETE, json!({"s": slug, "w": why})).await.unwrap();
        let code = |answer: &Value| answer["data"]["tenantDelete"]["userErrors"][0]["code"].as_str().unwrap_or_default().to_owned();
        let refused = |answer: &Value| answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default().to_owned();

        // An admin, a key with all that a key may have, and support that may write, are none.
        let mut database = world.platform.database.connect().await.unwrap();
        let admin = world.member("admin@acme.example", "a-password-of-acme", "admin").await;
        let key = owner.ask(KEY, json!({})).await.unwrap()["apiKeyCreate"]["key"].as_str().unwrap().to_owned();
        let staff = impersonation::staff(world).await;
        impersonation::consent(world, true).await;
        let support = impersonation::begin(world, &staff, true).await.client;
        for client in [&admin, &Client::new(&world.platform.url).with_token(&key), &support, &staff.of_tenant("acme")] {
            for answer in [delete(client, "acme", "why").await, client.raw(CANCEL, json!({})).await.unwrap()] {
                assert!(["FORBIDDEN", "NO_TENANT"].contains(&refused(&answer).as_str()), "{answer}");
            }
        }

        for (slug, why, is) in [("acme", " ", "REQUIRED"), ("Acme", "why", "INVALID"), ("", "why", "INVALID"), ("acme", &"x".repeat(501), "INVALID")] {
            assert_eq!(code(&delete(owner, slug, why).await), is, "{slug} {why}");
        }
        owner.ask(HOLD, json!({"h": "case 4711"})).await.unwrap();
        let held = delete(owner, "acme", "why").await;
        assert_eq!(code(&held), "BLOCKED", "{held}");
        assert!(held.to_string().contains("case 4711"), "{held}");
        owner.ask(HOLD, json!({"h": null})).await.unwrap();
        let cancelled = owner.raw(CANCEL, json!({})).await.unwrap();
        assert_eq!(cancelled["data"]["tenantDeleteCancel"]["userErrors"][0]["code"], "NOT_FOUND", "{cancelled}");

        // It stands, everybody of the tenant sees it, and everything goes on.
        ask(owner, "acme").await;
        assert_eq!(code(&delete(owner, "acme", "again").await), "TAKEN");
        let seen = admin.ask(DELETION, json!({})).await.unwrap()["tenant"].take();
        assert_eq!((&seen["slug"], &seen["deletion"]["why"]), (&json!("acme"), &json!("the contract ended")), "{seen}");
        let at = |field: &str| seen["deletion"][field].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().unwrap();
        assert_eq!(at("deletesAt") - at("askedAt"), chrono::TimeDelta::days(7), "{seen}");
        assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap().status, 200);
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("confirmed"), 1);

        // Taken back, nothing comes of it.
        assert_eq!(owner.ask(CANCEL, json!({})).await.unwrap()["tenantDeleteCancel"]["done"], true);
        assert!(owner.ask(DELETION, json!({})).await.unwrap()["tenant"]["deletion"].is_null());
        let acts = "{ asked: auditEvents(action: \"tenant.deletion_asked\") { nodes { detail } } back: auditEvents(action: \"tenant.deletion_cancelled\") { nodes { id } } }";
        let acts = owner.ask(acts, json!({})).await.unwrap();
        assert!(acts["asked"]["nodes"][0]["detail"].as_str().unwrap().contains("the contract ended"), "{acts}");
        assert_eq!(acts["back"]["nodes"].as_array().unwrap().len(), 1, "{acts}");

        // A hold that comes later keeps it, however long its week is over.
        let tenant = uuid_of(&world.acme.id);
        let destroyed = async |database: &mut PgConnection| {
            sqlx::query_scalar::<_, bool>("SELECT tenant_destroy($1)").bind(tenant).fetch_one(database).await.unwrap()
        };
        ask(owner, "acme").await;
        assert!(!destroyed(&mut database).await, "not before its time");
        owner.ask(HOLD, json!({"h": "case 4712"})).await.unwrap();
        due(&mut database, tenant).await;
        assert!(!destroyed(&mut database).await, "not while it is held");
        let taken = "SELECT count(*) FROM tenant_deletions_take(10, interval '1 minute')";
        assert_eq!(sqlx::query_scalar::<_, i64>(taken).fetch_one(&mut database).await.unwrap(), 0);
        owner.ask(HOLD, json!({"h": null})).await.unwrap();
        gone(&mut database, tenant).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owners_of_a_tenant_are_told_by_mail_that_it_is_to_be_deleted_and_that_it_is_kept() {
    world_with_mail(async |world, server| {
        for (email, role) in [("second@acme.example", "owner"), ("admin@acme.example", "admin")] {
            world.joins(email, "a-password-of-acme", role).await;
        }
        ask(&world.acme.client, "acme").await;
        world.acme.client.ask(CANCEL, json!({})).await.unwrap();
        let mails = eventually("both owners have both", async || Some(server.mails()).filter(|mails| mails.len() == 4)).await;
        let to = |words: &str| -> BTreeSet<String> {
            let mails = mails.iter().filter(|mail| mail.to_string().contains(words));
            mails.map(|mail| mail["to"][0].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!((to("is to be deleted").len(), to("is kept").len()), (2, 2), "{mails:?}");
        assert!(to("is to be deleted").contains("second@acme.example") && !to("").contains("admin@acme.example"), "{mails:?}");
    })
    .await;
}

#[tokio::test]
async fn every_table_with_a_tenants_rows_can_be_purged() {
    let database = Database::create().await.unwrap();
    let mut connection = database.connect().await.unwrap();
    // What is missing is said table by table: in the migration that makes a table, grant SELECT and DELETE on it to crossdock_system, and let its policies show them.
    let closed: Vec<(String, bool, bool)> = sqlx::query_as(
        "SELECT c.relname::text, has_table_privilege('crossdock_system', c.oid, 'SELECT') AND has_table_privilege('crossdock_system', c.oid, 'DELETE'),
                bool_and(EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polcmd IN ('*', act)
                                 AND p.polroles && ARRAY[0::oid, 'crossdock_system'::regrole::oid]))
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped,
              unnest(ARRAY['r', 'd']::\"char\"[]) AS act
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> ALL ($1)
         GROUP BY c.oid, c.relname ORDER BY 1",
    )
    .bind(KEPT.as_slice())
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(closed.len() > 100, "{}", closed.len());
    let closed: Vec<_> = closed.into_iter().filter(|(_, is_granted, is_shown)| !is_granted || !is_shown).collect();
    assert!(closed.is_empty(), "(table, granted, shown by a policy): {closed:?}");

    // Each is gone through, those that refer before those that are referred to.
    let listed: Vec<(i64, String)> =
        sqlx::query_as("SELECT nr, place FROM tenant_tables()").fetch_all(&mut connection).await.unwrap();
    let nr: BTreeMap<String, i64> = listed.into_iter().map(|(nr, place)| (place, nr)).collect();
    let leaves = "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
                  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname <> ALL ($1)";
    let leaves: Vec<String> = sqlx::query_scalar(leaves).bind(KEPT.as_slice()).fetch_all(&mut connection).await.unwrap();
    assert_eq!(leaves.iter().collect::<BTreeSet<_>>(), nr.keys().collect::<BTreeSet<_>>());
    let refers = "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid";
    for (child, parent) in sqlx::query_as::<_, (String, String)>(refers).fetch_all(&mut connection).await.unwrap() {
        if let (Some(child_nr), Some(parent_nr)) = (nr.get(&child), nr.get(&parent)) {
            assert!(child_nr < parent_nr, "{child} refers to {parent}");
        }
    }
    drop(connection);
    database.drop().await.unwrap();
}
