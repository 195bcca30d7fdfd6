//! Lookup tables and their versions. A deleted one keeps its history, for what was sent by it.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::LookupTableId;
use domain::lookup_table::change::Counts;
use domain::lookup_table::{Entry, TableKind};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::configure::{Changed, is_taken};
use super::lookup_entry::entry;
use super::receive::audit_each;
use super::{StoreError, TenantStore};

/// Tables of one tenant.
pub const TABLES_MAX: i64 = 500;

/// A table as of a version.
#[derive(Debug, Clone)]
pub struct LookupTableRow {
    pub id: LookupTableId,
    pub version: i64,
    /// What mappings called it then.
    pub name: String,
    pub kind: TableKind,
    pub inverts: bool,
    pub entries: Vec<Entry>,
}

/// One version of a table, and what made it.
#[derive(Debug, Clone)]
pub struct LookupVersion {
    pub version: i64,
    pub name: String,
    /// created, kept, set, removed, imported, rolled_back, resolved, fed, renamed or deleted.
    pub cause: String,
    pub added: i32,
    pub changed: i32,
    pub removed: i32,
    pub made_at: DateTime<Utc>,
}

impl TenantStore<'_> {
    /// A new, empty lookup table; `None` where the name is taken or the tenant has as many tables as it may. Only a table of rates inverts.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_table_create(
        &self,
        name: &str,
        kind: TableKind,
        inverts: bool,
    ) -> Result<Option<LookupTableId>, StoreError> {
        let id = LookupTableId::generate();
        let mut tx = self.begin().await?;
        let made = sqlx::query(
            "INSERT INTO lookup_tables (id, tenant_id, name, kind, inverts)
             SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM lookup_tables WHERE tenant_id = $2 AND deleted_at IS NULL) < $6
             ON CONFLICT (tenant_id, name) WHERE deleted_at IS NULL DO NOTHING",
        )
        .bind(id.0)
        .bind(self.scope().tenant.0)
        .bind(name)
        .bind(kind.as_str())
        .bind(inverts && kind == TableKind::Rates)
        .bind(TABLES_MAX)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(None);
        }
        self.version_note(&mut tx, id, 1, "created", Counts::default(), Action::LookupTableCreated).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// Gives it another name, as a version of its own: what was sent before was mapped by the old one. Ask first whether a published flow
    /// reads it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_table_rename(&self, table: LookupTableId, name: &str) -> Result<Changed, StoreError> {
        let mut tx = self.begin().await?;
        let rename = sqlx::query_scalar(
            "UPDATE lookup_tables SET name = $2, version = version + 1 WHERE id = $1 AND deleted_at IS NULL RETURNING version",
        );
        let version: Option<i64> = match rename.bind(table.0).bind(name).fetch_optional(&mut *tx).await {
            Err(error) if is_taken(&error) => return Ok(Changed::Taken),
            version => version?,
        };
        let Some(version) = version else { return Ok(Changed::NotFound) };
        self.version_note(&mut tx, table, version, "renamed", Counts::default(), Action::LookupTableRenamed).await?;
        tx.commit().await?;
        Ok(Changed::Done)
    }

    /// Takes a table away: its name is free again, and its history stays for what was sent by it. False where there is none. Ask first
    /// whether a published flow reads it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_table_delete(&self, table: LookupTableId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let delete = sqlx::query_scalar(
            "UPDATE lookup_tables SET deleted_at = now(), version = version + 1 WHERE id = $1 AND deleted_at IS NULL RETURNING version",
        );
        let version: Option<i64> = delete.bind(table.0).fetch_optional(&mut *tx).await?;
        let Some(version) = version else { return Ok(false) };
        self.version_note(&mut tx, table, version, "deleted", Counts::default(), Action::LookupTableDeleted).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Tables as of the versions, each with all its entries, by one statement. One that is not there is left out.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_tables_at(&self, tables: &[(LookupTableId, i64)]) -> Result<Vec<LookupTableRow>, StoreError> {
        let (ids, versions): (Vec<Uuid>, Vec<i64>) = tables.iter().map(|(id, version)| (id.0, *version)).unzip();
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT t.id, i.version, coalesce(v.name, t.name) AS name, t.kind, t.inverts
             FROM unnest($1::uuid[], $2::bigint[]) AS i (id, version)
             JOIN lookup_tables t ON t.id = i.id LEFT JOIN lookup_versions v ON v.table_id = i.id AND v.version = i.version",
        );
        let mut found = Vec::with_capacity(tables.len());
        for row in rows.bind(&ids).bind(&versions).fetch_all(&mut *tx).await? {
            let (id, kind) = (LookupTableId(row.try_get("id")?), row.try_get::<&str, _>("kind")?);
            let unknown = || StoreError::Corrupt { what: "the kind", id: id.to_string(), why: "unknown word".to_owned() };
            found.push(LookupTableRow {
                id,
                version: row.try_get("version")?,
                name: row.try_get("name")?,
                kind: TableKind::parse(kind).ok_or_else(unknown)?,
                inverts: row.try_get("inverts")?,
                entries: vec![],
            });
        }
        let rows = sqlx::query(
            "SELECT e.table_id, i.version, e.from_value, e.to_value, e.effective_from, e.effective_until
             FROM unnest($1::uuid[], $2::bigint[]) AS i (id, version)
             JOIN lookup_entries e ON e.table_id = i.id AND e.since_version <= i.version
                  AND (e.until_version IS NULL OR e.until_version > i.version)",
        );
        for row in rows.bind(&ids).bind(&versions).fetch_all(&mut *tx).await? {
            let (id, version): (Uuid, i64) = (row.try_get("table_id")?, row.try_get("version")?);
            if let Some(table) = found.iter_mut().find(|table| (table.id.0, table.version) == (id, version)) {
                table.entries.push(entry(&row)?);
            }
        }
        tx.commit().await?;
        Ok(found)
    }

    /// The versions of a table before that one, newest first, at most a hundred.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_versions(&self, table: LookupTableId, before: Option<i64>) -> Result<Vec<LookupVersion>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT version, name, cause, added, changed, removed, made_at FROM lookup_versions
             WHERE table_id = $1 AND version < $2 ORDER BY version DESC LIMIT 100",
        );
        let rows = rows.bind(table.0).bind(before.unwrap_or(i64::MAX)).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let version = |row: PgRow| -> Result<LookupVersion, StoreError> {
            Ok(LookupVersion {
                version: row.try_get("version")?,
                name: row.try_get("name")?,
                cause: row.try_get("cause")?,
                added: row.try_get("added")?,
                changed: row.try_get("changed")?,
                removed: row.try_get("removed")?,
                made_at: row.try_get("made_at")?,
            })
        };
        rows.into_iter().map(version).collect()
    }

    pub(super) async fn version_note(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        table: LookupTableId,
        version: i64,
        cause: &str,
        counts: Counts,
        action: Action,
    ) -> Result<(), StoreError> {
        let count = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let Counts { added, changed, removed, .. } = counts;
        sqlx::query(
            "INSERT INTO lookup_versions (tenant_id, table_id, version, name, cause, added, changed, removed)
             SELECT $1, $2, $3, name, $4, $5, $6, $7 FROM lookup_tables WHERE id = $2",
        )
        .bind(self.scope().tenant.0)
        .bind(table.0)
        .bind(version)
        .bind(cause)
        .bind(count(added))
        .bind(count(changed))
        .bind(count(removed))
        .execute(&mut **tx)
        .await?;
        let detail = serde_json::json!({"version": version, "added": added, "changed": changed, "removed": removed}).to_string();
        audit_each(tx, self.scope(), action, "lookup_table", &[table.0], &[Some(&detail)]).await
    }
}
