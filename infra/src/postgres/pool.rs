//! sqlx's pool, whose connections live where the store was made: [`crate::home`] says why. What ends a transaction that was dropped runs where it was dropped.

use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt};
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Error, Execute, Executor, PgPool, Postgres, SqlStr, Transaction};

use crate::home::Home;

const CLOSE_MAX: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub(crate) struct Pool {
    pool: PgPool,
    home: Home,
}

impl Pool {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, home: Home::here() }
    }

    pub async fn begin(&self) -> Result<Transaction<'static, Postgres>, Error> {
        self.at_home(self.pool.begin()).await
    }

    /// Closes what is open; what does not end within a moment ends with the process.
    pub async fn close(&self) {
        let _ = tokio::time::timeout(CLOSE_MAX, self.pool.close()).await;
    }

    /// For what takes a connection of this pool by another way than its own.
    pub fn at_home<'f, F: Future + 'f>(&'f self, work: F) -> impl Future<Output = F::Output> + use<'f, F> {
        self.home.run(work)
    }
}

impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let mut rows = self.pool.fetch_many(query);
        stream::poll_fn(move |context| {
            let _entered = self.home.enter();
            rows.poll_next_unpin(context)
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(self.at_home(self.pool.fetch_optional(query)))
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'p: 'e,
    {
        Box::pin(self.at_home(self.pool.prepare_with(sql, parameters)))
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'p: 'e,
    {
        Box::pin(self.at_home(self.pool.describe(sql)))
    }
}
