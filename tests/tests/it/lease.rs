//! Work that is leased in Postgres: who looks for it, and how many, is nobody's concern but the database's.

use futures::future::join_all;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Executor, PgConnection};
use tests::platform::Database;
use uuid::Uuid;

/// Processes that look at the same moment.
const LOOKING: usize = 6;
const ROUNDS: usize = 150;

/// Lets them all look, and whoever took something end it at once, so that it is not due any more and nobody's.
async fn taken(looking: &mut [PgConnection], end: &'static str) -> usize {
    let looks = looking.iter_mut().map(async |connection| {
        let taken: Vec<(Uuid, Uuid)> = sqlx::query_as("SELECT id, lease_id FROM polls_take(8, interval '1 minute')")
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        for (id, lease) in &taken {
            let mut tx = sqlx::Connection::begin(&mut *connection).await.unwrap();
            tx.execute("SELECT set_config('crossdock.tenant_id', '00000000-0000-7000-8000-00000000000a', true)").await.unwrap();
            sqlx::query(end).bind(id).bind(lease).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        }
        taken.len()
    });
    join_all(looks).await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_is_taken_once_however_many_look_and_however_soon_it_ends() {
    let database = Database::create().await.unwrap();
    let mut owner = database.connect().await.unwrap();
    owner
        .execute(
            "SET session_replication_role = replica;
             INSERT INTO tenants (id, slug, name) VALUES ('00000000-0000-7000-8000-00000000000a', 'a', 'A');
             INSERT INTO polls (id, tenant_id, connection_id, kind, every_s)
             SELECT gen_random_uuid(), '00000000-0000-7000-8000-00000000000a', gen_random_uuid(), 'order', 60 FROM generate_series(1, 8)",
        )
        .await
        .unwrap();
    let options: PgConnectOptions = database.app_url.parse().unwrap();
    let mut looking = Vec::new();
    for _ in 0..LOOKING {
        looking.push(options.connect().await.unwrap());
    }
    for round in 0..ROUNDS {
        owner.execute("UPDATE polls SET due_at = now()").await.unwrap();
        let end = "UPDATE polls SET due_at = now() + interval '1 hour', lease_id = NULL, lease_until = NULL WHERE id = $1 AND lease_id = $2";
        assert_eq!(taken(&mut looking, end).await, 8, "round {round}");
    }
    drop((owner, looking));
    database.drop().await.unwrap();
}
