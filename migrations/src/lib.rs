//! The schema, as plain SQL files under `sql/`, and the role an installation signs in with.
//! Migrations expand first and contract in a later release, so that old code runs against the new schema.

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

/// Every migration, oldest first, embedded in the binary.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("./sql");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error("the database does not answer: check DATABASE_URL and that the server is up")]
    Connect(#[source] sqlx::Error),
    #[error("a migration failed; nothing of it was kept")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("the log-in role {role} could not be made: the migrating role needs CREATEROLE")]
    Role { role: String, source: sqlx::Error },
    #[error("{0:?} is no name for a log-in role: use lower-case letters, digits and underscores, 63 at most")]
    RoleName(String),
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, MigrateError> {
    options.connect().await.map_err(MigrateError::Connect)
}

/// Brings the schema up to date. `options` signs in as the role that owns the schema; it needs CREATEROLE once.
///
/// # Errors
/// Where the server does not answer or a migration fails; migrations are transactional.
pub async fn up(options: &PgConnectOptions) -> Result<(), MigrateError> {
    let mut connection = connect(options).await?;
    MIGRATOR.run(&mut connection).await?;
    connection.execute("SELECT ensure_partitions()").await.map_err(MigrateError::Connect)?;
    Ok(())
}

/// Takes the whole schema away again. For tests and for development only: the data is gone.
///
/// # Errors
/// As [`up`].
pub async fn down(options: &PgConnectOptions) -> Result<(), MigrateError> {
    let mut connection = connect(options).await?;
    MIGRATOR.undo(&mut connection, 0).await?;
    Ok(())
}

/// Makes the role that api and workers sign in with, a member of `crossdock_app` and of nothing else, and sets its password.
/// Roles belong to the whole server, so each database has its own.
///
/// # Errors
/// Where the migrating role may not create roles.
pub async fn app_login(options: &PgConnectOptions, role: &str, password: &str) -> Result<(), MigrateError> {
    if role.is_empty() || role.len() > 63 || !role.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_') {
        return Err(MigrateError::RoleName(role.to_owned()));
    }
    let quoted = password.replace('\'', "''");
    let sql = format!(
        "DO $do$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN CREATE ROLE {role} LOGIN; END IF;
        END $do$;
        ALTER ROLE {role} LOGIN NOSUPERUSER NOBYPASSRLS NOREPLICATION NOCREATEDB NOCREATEROLE PASSWORD '{quoted}';
        GRANT crossdock_app TO {role};"
    );
    let mut connection = connect(options).await?;
    // The standard-conforming setting makes '' the only escape within the password.
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(format!("SET standard_conforming_strings = on; {sql}"))))
        .await
        .map_err(|source| MigrateError::Role { role: role.to_owned(), source })?;
    connection.close().await.map_err(MigrateError::Connect)
}

/// Reads a database's address.
///
/// # Errors
/// Where it is none.
pub fn options(url: &str) -> Result<PgConnectOptions, MigrateError> {
    url.parse().map_err(MigrateError::Connect)
}
