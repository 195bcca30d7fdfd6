//! The versions of a lookup table, in the store: any of them is read again at any moment, and nobody rewrites one.

use chrono::{DateTime, Utc};
use domain::id::{LookupTableId, TenantId};
use domain::lookup_table::change::{Counts, Mode};
use domain::lookup_table::{Entry, TableKind};
use domain::mapping::{LookupSet, Lookups, Rate};
use domain::scope::Scope;
use infra::lookup::{TenantLookups, load};
use infra::postgres::Store;
use infra::postgres::lookup_entry::{Cause, DayRate, Edit, EntryFilter};
use sqlx::Executor;
use tests::platform::Database;
use uuid::Uuid;

/// A store of its own, with two tenants.
async fn stores() -> (Database, Store, Scope, Scope) {
    let database = Database::create().await.unwrap();
    let mut owner = database.connect().await.unwrap();
    let (tenant, other) = (TenantId::generate(), TenantId::generate());
    let tenants = "INSERT INTO tenants (id, slug, name) VALUES ($1, 'acme', 'Acme'), ($2, 'other', 'Other')";
    sqlx::query(tenants).bind(tenant.0).bind(other.0).execute(&mut owner).await.unwrap();
    let store = Store::connect(&database.app_url, 4).await.unwrap();
    (database, store, Scope::system(tenant, "test"), Scope::system(other, "test"))
}

fn merge() -> Edit {
    Edit { mode: Mode::Merge, cause: Cause::Imported, is_preview: false, skips_clashes: false, based_on: None }
}

#[tokio::test]
async fn a_table_is_read_as_of_any_version_and_any_moment_and_its_history_cannot_be_rewritten() {
    let (database, store, acme, other) = stores().await;
    let (ours, theirs) = (store.within(&acme), store.within(&other));
    let moment = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let table = ours.lookup_table_create("SKUs", TableKind::Codes, false).await.unwrap().unwrap();
    let dated = Entry { effective_from: Some(moment("2026-12-01T00:00:00Z")), ..Entry::always("HAT", "winter") };
    ours.lookup_entries_set(table, &[Entry::always("HAT", "1"), Entry::always("CAP", "2")]).await.unwrap();
    ours.lookup_entries_set(table, std::slice::from_ref(&dated)).await.unwrap();
    ours.lookup_entries_set(table, &[Entry::always("HAT", "3")]).await.unwrap();
    assert_eq!(ours.lookup_entries_remove(table, &["CAP".to_owned(), "none".to_owned()]).await.unwrap(), Some(1));
    ours.lookup_table_rename(table, "Items").await.unwrap();

    let own = LookupSet::default();
    let at = async |version, name: &str, key: &str, at: &str| {
        let tables = load(&ours, &[(table, version)]).await.unwrap();
        TenantLookups::new(&tables, &own, moment(at)).find(name, key).map(str::to_owned)
    };
    let (november, december) = ("2026-11-30T23:59:59Z", "2026-12-01T00:00:00Z");
    assert_eq!(at(1, "SKUs", "HAT", november).await, None);
    assert_eq!(at(2, "SKUs", "HAT", december).await.as_deref(), Some("1"));
    assert_eq!(at(3, "SKUs", "HAT", december).await.as_deref(), Some("winter"));
    assert_eq!(at(3, "SKUs", "HAT", november).await.as_deref(), Some("1"));
    assert_eq!(
        (at(4, "SKUs", "HAT", november).await.as_deref(), at(4, "SKUs", "CAP", november).await.as_deref()),
        (Some("3"), Some("2"))
    );
    assert_eq!((at(5, "SKUs", "CAP", november).await, at(6, "Items", "HAT", november).await.as_deref()), (None, Some("3")));
    let both = load(&ours, &[(table, 2), (table, 6), (LookupTableId::generate(), 1)]).await.unwrap();
    assert_eq!((both.len(), both["SKUs"].len(), both["Items"].len()), (2, 2, 2));

    // Not another tenant's, by no function.
    assert!(load(&theirs, &[(table, 4)]).await.unwrap().is_empty() && theirs.lookup_entries(table).await.unwrap().is_empty());
    assert!(theirs.lookup_entries_set(table, std::slice::from_ref(&dated)).await.unwrap().is_none());
    assert!(theirs.lookup_table_rollback(table, 2).await.unwrap().is_none() && !theirs.lookup_table_delete(table).await.unwrap());
    assert!(theirs.lookup_versions(table, None).await.unwrap().is_empty());

    // A deleted table can still be read as it was.
    assert!(ours.lookup_table_delete(table).await.unwrap());
    assert_eq!(at(3, "SKUs", "HAT", december).await.as_deref(), Some("winter"));
    assert!(ours.lookup_entries_set(table, &[dated]).await.unwrap().is_none());

    let options: sqlx::postgres::PgConnectOptions = database.app_url.parse().unwrap();
    let mut app = sqlx::ConnectOptions::connect(&options).await.unwrap();
    for act in [
        "UPDATE lookup_entries SET to_value = 'x'",
        "UPDATE lookup_entries SET since_version = 1",
        "DELETE FROM lookup_entries",
        "DELETE FROM lookup_tables",
        "UPDATE lookup_versions SET added = 7",
    ] {
        assert!(app.execute(act).await.unwrap_err().to_string().contains("permission denied"), "{act}");
    }
    drop(app);
    store.close().await;
    database.drop().await.unwrap();
}

#[tokio::test]
async fn rates_are_fed_day_by_day_and_asked_for_the_day() {
    let (database, store, acme, _) = stores().await;
    let ours = store.within(&acme);
    let table = ours.lookup_table_create("fx", TableKind::Rates, true).await.unwrap().unwrap();
    let rate = |from: &str, to: &str, day: &str, rate: &str| DayRate {
        from: from.into(),
        to: to.into(),
        day: day.parse().unwrap(),
        rate: rate.into(),
    };
    let feed = async |rates: &[DayRate]| ours.lookup_rates_upsert(table, rates).await.unwrap().unwrap();
    let (edited, bad) = feed(&[
        rate("eur", "usd", "2026-11-24", "1.0842"),
        rate("EUR", "XXQ", "2026-11-24", "1"),
        rate("EUR", "JPY", "2026-11-24", "160.5"),
    ])
    .await;
    assert_eq!((edited.version, edited.counts.added, bad[0].0), (2, 2, 1));
    // A day before comes later, and a day is corrected.
    feed(&[rate("EUR", "USD", "2026-11-20", "1.05")]).await;
    let (edited, _) = feed(&[rate("EUR", "USD", "2026-11-24", "1.09")]).await;
    assert_eq!(edited.counts, Counts { changed: 1, ..Counts::default() });
    let (again, _) = feed(&[rate("EUR", "USD", "2026-11-24", "1.09")]).await;
    assert_eq!((again.version, again.is_written), (4, false), "the same rates again are no version");
    let own = LookupSet::default();
    let tables = load(&ours, &[(table, 4)]).await.unwrap();
    let lookups = TenantLookups::new(&tables, &own, Utc::now());
    let on = |from: &str, to: &str, day: &str| lookups.rate("fx", from, to, Some(day.parse().unwrap()));
    assert_eq!(on("EUR", "USD", "2026-11-19"), None);
    assert_eq!(on("EUR", "USD", "2026-11-23"), Some(Rate::Direct("1.05")));
    assert_eq!(on("EUR", "USD", "2026-12-24"), Some(Rate::Direct("1.09")));
    assert_eq!(on("JPY", "EUR", "2026-12-24"), Some(Rate::Inverse("160.5")));
    let codes = ours.lookup_table_create("codes", TableKind::Codes, false).await.unwrap().unwrap();
    assert!(ours.lookup_rates_upsert(codes, &[]).await.unwrap().is_none(), "a table of codes takes no rates");
    store.close().await;
    database.drop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_change_a_table_at_once_lose_nothing_and_a_table_is_bounded() {
    let (database, store, acme, _) = stores().await;
    let ours = store.within(&acme);
    let table = ours.lookup_table_create("SKUs", TableKind::Codes, false).await.unwrap().unwrap();
    let changes = (0..8).map(|n| async move {
        let rows: Vec<Entry> =
            (0..50).map(|row| Entry::always(format!("{n}-{row}"), "1")).chain([Entry::always("all", n.to_string())]).collect();
        ours.lookup_entries_set(table, &rows).await.unwrap().unwrap().version
    });
    let mut versions = futures::future::join_all(changes).await;
    versions.sort_unstable();
    assert_eq!(versions, (2..10).collect::<Vec<_>>());
    assert_eq!(ours.lookup_entries_count(table).await.unwrap(), 401);
    let (page, has_next) = ours.lookup_entries_page(table, &EntryFilter::default(), 100).await.unwrap();
    assert_eq!((page.len(), has_next), (100, true));

    // 16 MiB of text are full long before 200,000 entries of this size.
    let large: Vec<Entry> = (0..8_700).map(|n| Entry::always(n.to_string(), "x".repeat(2_000))).collect();
    let full = ours.lookup_entries_edit(table, &large, merge()).await.unwrap().unwrap();
    assert!(full.is_full && !full.is_written);
    assert_eq!((full.version, ours.lookup_entries_count(table).await.unwrap()), (9, 401));
    let replace = Edit { mode: Mode::Replace, ..merge() };
    let half = ours.lookup_entries_edit(table, &large[..8_000], replace).await.unwrap().unwrap();
    assert_eq!((half.is_written, half.counts.removed, ours.lookup_entries(table).await.unwrap().len()), (true, 401, 8_000));
    store.close().await;
    database.drop().await.unwrap();
}

#[tokio::test]
async fn what_was_there_before_versions_were_kept_stands_and_waits_as_before() {
    let database = Database::create().await.unwrap();
    let mut owner = database.connect().await.unwrap();
    migrations::MIGRATOR.undo(&mut owner, 3).await.unwrap();
    owner
        .execute(
            "SET session_replication_role = replica;
             INSERT INTO tenants (id, slug, name) VALUES ('00000000-0000-7000-8000-00000000000a', 'a', 'A');
             INSERT INTO lookup_tables (id, tenant_id, name, version) VALUES ('00000000-0000-7000-8000-00000000000b', '00000000-0000-7000-8000-00000000000a', 'SKUs', 7);
             INSERT INTO lookup_entries SELECT tenant_id, id, 'HAT', '1' FROM lookup_tables;
             INSERT INTO exceptions (id, tenant_id, cause_key, code, sentence, cause, owner, next_step, value, lookup_table, delivery_id, connection_id)
             SELECT gen_random_uuid(), tenant_id, 'k', 'no_entry', 's', 'c', 'operations', 'n', 'CAP', 'SKUs', gen_random_uuid(), id FROM lookup_tables;
             SET session_replication_role = origin;",
        )
        .await
        .unwrap();
    migrations::up(&database.owner).await.unwrap();
    let store = Store::connect(&database.app_url, 2).await.unwrap();
    let scope = Scope::system(TenantId(Uuid::from_u128(0x7000_8000_0000_0000_000a)), "test");
    let ours = store.within(&scope);
    let table = LookupTableId(Uuid::from_u128(0x7000_8000_0000_0000_000b));
    assert_eq!(ours.lookup_entries(table).await.unwrap(), [Entry::always("HAT", "1")]);
    assert!(ours.lookup_entries_at(table, 6).await.unwrap().is_empty(), "nobody knows what stood then");
    assert_eq!(ours.lookup_versions(table, None).await.unwrap()[0].cause, "kept");
    let (items, _) = ours.lookup_inbox(None, None, 10).await.unwrap();
    assert_eq!((items.len(), items[0].value.as_str(), items[0].deliveries), (1, "CAP", 1));
    ours.lookup_entries_set(table, &[Entry::always("HAT", "2")]).await.unwrap();
    store.close().await;
    // The way back keeps what stands.
    migrations::MIGRATOR.undo(&mut owner, 3).await.unwrap();
    let left: Vec<(String, String)> =
        sqlx::query_as("SELECT from_value, to_value FROM lookup_entries").fetch_all(&mut owner).await.unwrap();
    assert_eq!(left, [("HAT".to_owned(), "2".to_owned())]);
    drop(owner);
    database.drop().await.unwrap();
}
