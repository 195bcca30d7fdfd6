//! The schema: it goes up, down and up again, and no tenant table is open.

use sqlx::{ConnectOptions, Executor, Row};
use tests::platform::Database;

#[tokio::test]
async fn the_schema_goes_up_and_down_and_up_again() {
    let database = Database::create().await.unwrap();
    migrations::down(&database.owner).await.unwrap();
    let mut connection = database.connect().await.unwrap();
    let left = "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations'";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut connection).await.unwrap(), 0);
    migrations::up(&database.owner).await.unwrap();
    assert!(sqlx::query_scalar::<_, i64>(left).fetch_one(&mut connection).await.unwrap() > 20);
    database.drop().await.unwrap();
}

#[tokio::test]
async fn a_key_gets_nothing_back_where_service_accounts_are_taken_away() {
    let database = Database::create().await.unwrap();
    let mut connection = database.connect().await.unwrap();
    connection
        .execute(
            "SET session_replication_role = replica;
             INSERT INTO tenants (id, slug, name) VALUES ('00000000-0000-7000-8000-00000000000a', 'a', 'A');
             INSERT INTO service_accounts (tenant_id, id, name, purpose, permissions, calls_per_minute, created_by, ended_at)
             SELECT t.id, a.id, a.id::text, 'x', '{read_audit}', 6, t.id, a.ended_at
             FROM tenants t, (VALUES ('00000000-0000-7000-8000-000000000001'::uuid, NULL), ('00000000-0000-7000-8000-000000000002', now())) a (id, ended_at);
             INSERT INTO api_keys (id, tenant_id, name, prefix, key_hash, permissions, calls_per_minute, created_by, expires_at, service_account_id)
             SELECT gen_random_uuid(), t.id, 'k', k.prefix, '', '{read_audit,configure}', 6, t.id, now() + interval '1 day', k.account
             FROM tenants t, (VALUES ('alone', NULL::uuid), ('ended', '00000000-0000-7000-8000-000000000002'),
                                     ('narrowed', '00000000-0000-7000-8000-000000000001')) k (prefix, account);
             RESET session_replication_role;",
        )
        .await
        .unwrap();
    migrations::MIGRATOR.undo(&mut connection, 56).await.unwrap();
    let keys =
        "SELECT prefix || ': ' || array_to_string(permissions, ' ') || CASE WHEN revoked_at IS NULL THEN '' ELSE ', revoked' END
                FROM api_keys ORDER BY prefix";
    let keys: Vec<String> = sqlx::query_scalar(keys).fetch_all(&mut connection).await.unwrap();
    assert_eq!(keys, ["alone: read_audit configure", "ended: read_audit, revoked", "narrowed: read_audit"]);
    drop(connection);
    database.drop().await.unwrap();
}

#[tokio::test]
async fn no_table_lacks_a_policy_and_the_application_owns_nothing() {
    let database = Database::create().await.unwrap();
    let mut connection = database.connect().await.unwrap();
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND c.relname <> '_sqlx_migrations'
           AND NOT (c.relrowsecurity AND c.relforcerowsecurity AND EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid))",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(open.is_empty(), "tables without forced row-level security: {open:?}");
    let role = sqlx::query(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb,
                (SELECT count(*) FROM pg_class WHERE relowner = r.oid) AS owned
         FROM pg_roles r WHERE rolname = $1",
    )
    .bind(format!("{}_app", database.name))
    .fetch_one(&mut connection)
    .await
    .unwrap();
    for power in ["rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb"] {
        assert!(!role.get::<bool, _>(power), "{power}");
    }
    assert_eq!(role.get::<i64, _>("owned"), 0);
    database.drop().await.unwrap();
}

#[tokio::test]
async fn the_applications_own_role_sees_no_row_without_a_tenant_and_cannot_rewrite_history() {
    let database = Database::create().await.unwrap();
    let mut owner = database.connect().await.unwrap();
    owner
        .execute(
            "SET session_replication_role = replica;
             INSERT INTO tenants (id, slug, name) VALUES ('00000000-0000-7000-8000-00000000000a', 'a', 'A'), ('00000000-0000-7000-8000-00000000000b', 'b', 'B');
             INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id)
             SELECT gen_random_uuid(), id, '{}', 'x', 'tenant', id, id FROM tenants;
             INSERT INTO records (id, tenant_id, kind, connection_id, source_id, revision, revision_id, content_hash)
             SELECT gen_random_uuid(), id, 'order', id, 's', 1, id, '' FROM tenants;",
        )
        .await
        .unwrap();
    let options: sqlx::postgres::PgConnectOptions = database.app_url.parse().unwrap();
    let mut app = options.connect().await.unwrap();
    let count = |table: &str| format!("SELECT count(*) FROM {table}");
    for table in ["tenants", "audit_events", "audit_events_default", "records"] {
        let seen: Result<i64, sqlx::Error> = sqlx::query_scalar(sqlx::AssertSqlSafe(count(table))).fetch_one(&mut app).await;
        match (table, seen) {
            // A partition by its own name is not even readable.
            ("audit_events_default", Err(error)) => assert!(error.to_string().contains("permission denied"), "{error}"),
            (_, seen) => assert_eq!(seen.unwrap(), 0, "{table}"),
        }
    }
    app.execute("BEGIN; SELECT set_config('crossdock.tenant_id', '00000000-0000-7000-8000-00000000000b', true)").await.unwrap();
    let seen: Vec<String> = sqlx::query_scalar("SELECT slug FROM tenants").fetch_all(&mut app).await.unwrap();
    assert_eq!(seen, ["b"]);
    let foreign = "INSERT INTO records (id, tenant_id, kind, connection_id, source_id, revision, revision_id, content_hash)
                   SELECT gen_random_uuid(), '00000000-0000-7000-8000-00000000000a', 'order', gen_random_uuid(), 's', 1, gen_random_uuid(), ''";
    assert!(app.execute(foreign).await.unwrap_err().to_string().contains("row-level security"));
    app.execute("ROLLBACK").await.unwrap();
    // The pooled connection does not keep the tenant.
    assert_eq!(sqlx::query_scalar::<_, i64>("SELECT count(*) FROM tenants").fetch_one(&mut app).await.unwrap(), 0);
    for act in [
        "UPDATE audit_events SET action = 'y'",
        "DELETE FROM audit_events",
        "TRUNCATE audit_events",
        "DELETE FROM usage_events",
        "SELECT password_hash FROM users",
    ] {
        assert!(app.execute(act).await.unwrap_err().to_string().contains("permission denied"), "{act}");
    }
    drop((app, owner));
    database.drop().await.unwrap();
}
