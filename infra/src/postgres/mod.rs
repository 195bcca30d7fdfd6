//! Postgres is the ledger. [`Store::within`] opens a transaction that has set the tenant: the only way to a tenant's rows,
//! and a second wall behind it, because row-level security shows that transaction no other tenant's rows.
//!
//! Queries live in the noun's file beside this one and nowhere else.

use std::time::Duration;

use domain::scope::Scope;
use domain::secret::SecretFields;
use sea_orm::{DatabaseConnection, DatabaseTransaction, TransactionTrait};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor, Postgres, Row, Transaction};

use self::pool::Pool;
use crate::vault::{Sealed, Vault};

pub mod account;
pub mod alert;
pub mod api_key;
pub mod arrival;
pub mod audit;
pub mod audit_detail;
pub mod audit_stream;
pub mod backfill;
pub mod breaker;
mod call_payload;
pub mod catch_up;
mod certificate;
pub mod configure;
pub mod consent;
pub mod data_key;
pub mod deleted;
pub mod difference;
pub mod drift;
pub mod email_domain;
pub mod entity;
pub mod exception;
pub mod external_id;
pub mod fetch;
pub mod file;
pub mod filter;
pub mod flow;
mod hook_refusal;
pub mod hook_secret;
pub mod identity_provider;
pub mod impersonation;
pub mod intake;
pub mod interchange;
pub mod inventory;
pub mod invitation;
pub mod invoice;
pub mod ledger;
pub mod lookup_entry;
pub mod lookup_inbox;
pub mod lookup_table;
pub mod mail;
pub mod member;
mod nodelay;
pub mod page;
pub mod passkey;
pub mod people;
pub mod persisted_operation;
pub mod personal_data;
pub mod poll;
mod pool;
pub mod receive;
pub mod recipe;
pub mod reconciliation;
pub mod related;
pub mod revision;
pub mod rotation;
pub mod run;
pub mod scim_group;
pub mod scim_token;
pub mod scim_user;
pub mod seal;
pub mod search;
pub mod second_factor;
pub mod sent_group;
pub mod service_account;
pub mod session;
pub mod sign_in_policy;
pub mod split;
pub mod sso;
mod stray;
pub mod subscription;
pub mod subscription_made;
pub mod sunset;
pub mod support;
pub mod swap;
pub mod swap_shadow;
pub mod sweep;
pub mod tenant_deletion;
pub mod three_way_match;
pub mod throughput;
pub mod timeline;
pub mod token;
pub mod undo;
pub mod undo_item;
pub mod undo_plan;
pub mod upkeep;
pub mod waiting;
pub mod work;

/// What went wrong at the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database refused or did not answer")]
    Sql(#[from] sqlx::Error),
    #[error("the database refused or did not answer")]
    Orm(#[from] sea_orm::DbErr),
    /// Whoever owns the tables or bypasses row-level security would see every tenant's rows.
    #[error(
        "DATABASE_URL signs in as a role that row-level security does not bind; use the one that `crossdock migrate --app-role` makes"
    )]
    Role,
    /// A stored value that this version cannot read.
    #[error("{what} of {id} cannot be read: {why}")]
    Corrupt { what: &'static str, id: String, why: String },
    #[error(transparent)]
    Vault(#[from] crate::vault::VaultError),
    /// Of an export: what is read on is no use to somebody who takes nothing of it.
    #[error("whoever reads has taken nothing for {} s", .0.as_secs())]
    Unread(Duration),
    /// Of an act that does not wait for as long as a connection takes to break.
    #[error("the database has not answered within {} s", .0.as_secs())]
    Silent(Duration),
}

impl StoreError {
    /// True where the same call may work a moment later: the server restarts, a connection broke, two transactions collided.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Sql(error) => is_passing(error),
            Self::Orm(_) | Self::Silent(_) => true,
            Self::Role | Self::Corrupt { .. } | Self::Vault(_) | Self::Unread(_) => false,
        }
    }

    /// True where so many rows, left as they are, may be worked on a moment later: as [`Self::is_passing`], and a single one that is locked. Of a batch the
    /// others are not locked, and should not wait for it.
    #[must_use]
    pub fn is_passing_for(&self, rows: usize) -> bool {
        self.is_passing() || (rows == 1 && self.is_locked())
    }

    /// True where somebody else held a row for longer than is waited for: a process that was cut off in a transaction, until the server ends it.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        // lock_not_available
        matches!(self, Self::Sql(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03"))
    }
}

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        // 08 connection, 40 rollback (serialisation, deadlock), 53 resources, 57 operator (restart), 58 system.
        sqlx::Error::Database(error) => {
            error.code().is_some_and(|code| ["08", "40", "53", "57", "58"].iter().any(|class| code.starts_with(class)))
        }
        _ => false,
    }
}

/// What a row has sealed, with the data key that stands beside it: `sealed`, `data_key_version`, `master_key_id`, `wrapped`.
fn opened(
    row: &sqlx::postgres::PgRow,
    vault: &Vault,
    tenant: domain::id::TenantId,
    what: Sealed,
) -> Result<SecretFields, StoreError> {
    let (version, master): (i32, String) = (row.try_get("data_key_version")?, row.try_get("master_key_id")?);
    let data_key = vault.unwrap(tenant, version, &master, row.try_get("wrapped")?)?;
    Ok(data_key.open(tenant, what, row.try_get("sealed")?)?)
}

/// The way to the database.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    orm: DatabaseConnection,
}

impl Store {
    /// Connects as the application's own role. `connections_max` bounds what this process takes of the server's connections.
    ///
    /// # Errors
    /// Where the URL cannot be read or the server does not answer within 10 s.
    pub async fn connect(url: &str, connections_max: u32) -> Result<Self, StoreError> {
        const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
        let options: PgConnectOptions = url.parse()?;
        let port = options.get_port();
        let options = options.application_name("crossdock").options([
            // One order's rows must never wait for ever for another's.
            ("lock_timeout", "15s"),
            ("statement_timeout", "60s"),
            ("idle_in_transaction_session_timeout", "60s"),
            // A plan is made for each run, from the size of the tables at that moment: one that is made on the tables of a new
            // installation may read them whole for ever after. The statements of the hot paths name their rows by id and leave the
            // tenant to row-level security, so that no plan reads a tenant's backlog for a batch of it.
            ("plan_cache_mode", "force_custom_plan"),
            ("jit", "off"),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(connections_max)
            .min_connections(0)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(Duration::from_secs(120))
            .after_connect(move |_, _| {
                Box::pin(async move {
                    nodelay::set(port);
                    Ok(())
                })
            })
            .connect_with(options)
            .await?;
        let role = "SELECT rolsuper OR rolbypassrls OR EXISTS (SELECT FROM pg_class WHERE relowner = r.oid) FROM pg_roles r WHERE rolname = current_user";
        if sqlx::query_scalar(role).fetch_one(&pool).await? {
            return Err(StoreError::Role);
        }
        let orm = sea_orm::SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
        Ok(Self { pool: Pool::new(pool), orm })
    }

    /// The tenant's rows, and no other's.
    #[must_use]
    pub fn within<'a>(&'a self, scope: &'a Scope) -> TenantStore<'a> {
        TenantStore { store: self, scope }
    }

    /// A transaction without a tenant: it sees no tenant's rows and may call the named functions only.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// True where the server answers.
    pub async fn is_alive(&self) -> bool {
        tokio::time::timeout(Duration::from_secs(2), sqlx::query("SELECT 1").execute(&self.pool))
            .await
            .is_ok_and(|answer| answer.is_ok())
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Makes the partitions of the months ahead.
    pub async fn ensure_partitions(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT ensure_partitions()").execute(&self.pool).await?;
        Ok(())
    }
}

/// The store as one tenant sees it. Every query over tenant rows is a method on this.
#[derive(Clone, Copy)]
pub struct TenantStore<'a> {
    store: &'a Store,
    scope: &'a Scope,
}

impl<'a> TenantStore<'a> {
    #[must_use]
    pub fn scope(&self) -> &'a Scope {
        self.scope
    }

    /// A transaction of plain SQL that has set the tenant.
    pub(crate) async fn begin(&self) -> Result<Transaction<'static, Postgres>, StoreError> {
        let mut tx = self.store.pool.begin().await?;
        enter(&mut tx, self.scope.tenant).await?;
        Ok(tx)
    }

    /// A transaction of sea-orm's query builder that has set the tenant.
    pub(crate) async fn begin_orm(&self) -> Result<DatabaseTransaction, StoreError> {
        use sea_orm::ConnectionTrait;
        let tx = self.store.pool.at_home(self.store.orm.begin()).await?;
        tx.execute_unprepared(&enter_sql(self.scope.tenant)).await?;
        Ok(tx)
    }
}

/// Sets the tenant for the rest of this transaction only: a pooled connection never keeps it.
/// A transaction that serves a batch of several tenants enters one after the other.
pub(crate) async fn enter(tx: &mut Transaction<'static, Postgres>, tenant: domain::id::TenantId) -> Result<(), sqlx::Error> {
    // A UUID prints as hexadecimal digits and dashes only, so it is safe within the statement; the simple protocol saves a round trip.
    tx.execute(sqlx::raw_sql(AssertSqlSafe(enter_sql(tenant)))).await?;
    Ok(())
}

/// As [`enter`], for statements that only insert: whatever the tables hold, their plan is the same, so it is made once.
pub(crate) async fn enter_to_insert(
    tx: &mut Transaction<'static, Postgres>,
    tenant: domain::id::TenantId,
) -> Result<(), sqlx::Error> {
    let sql = format!("{}, set_config('plan_cache_mode', 'force_generic_plan', true)", enter_sql(tenant));
    tx.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    Ok(())
}

fn enter_sql(tenant: domain::id::TenantId) -> String {
    format!("SELECT set_config('crossdock.tenant_id', '{}', true)", tenant.0)
}

impl StoreError {
    /// True where the database looked at a value and refused it (22 data, 23 integrity, 54 more than a limit of its own, such as a key of an index): the
    /// same one is refused for ever.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let Self::Sql(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.starts_with(class)))
    }
}
