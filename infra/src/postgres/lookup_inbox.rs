//! Values that had no entry: what the deliveries wait for that stopped because of it. An exception that is closed leaves the inbox.

use chrono::{DateTime, Utc};
use sqlx::Row;
use uuid::Uuid;

use super::{StoreError, TenantStore};

/// Exceptions that one answer tries again; what is more is told, and tried by asking again.
pub const WAITING_MAX: i64 = 20_000;
/// Numbers of records that are shown of those that wait.
const EXAMPLES_MAX: i32 = 5;

/// A value that deliveries wait for.
#[derive(Debug, Clone)]
pub struct InboxItem {
    /// The name that the mapping calls the table by.
    pub table: String,
    pub value: String,
    pub deliveries: i64,
    /// Of how many records they are.
    pub records: i64,
    pub since: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    /// The numbers of some records, or what their source calls them.
    pub examples: Vec<String>,
}

/// Where a page of the inbox goes on: the last item of the page before.
#[derive(Debug, Clone)]
pub struct InboxPlace {
    pub deliveries: i64,
    pub table: String,
    pub value: String,
}

impl TenantStore<'_> {
    /// The values that most deliveries wait for first, and whether there are more. Leans on exceptions_missing.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_inbox(
        &self,
        table: Option<&str>,
        after: Option<&InboxPlace>,
        first: u64,
    ) -> Result<(Vec<InboxItem>, bool), StoreError> {
        let first = usize::try_from(first.clamp(1, super::page::PAGE_MAX)).unwrap_or(1);
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "WITH waits AS (
                 SELECT m ->> 'table' AS name, m ->> 'value' AS value, count(*) AS deliveries, count(DISTINCT e.record_id) AS records,
                        min(e.opened_at) AS since, max(e.opened_at) AS last_at, (array_agg(DISTINCT e.record_id))[1:$6] AS examples
                 FROM exceptions e CROSS JOIN LATERAL jsonb_array_elements(e.missing) m
                 WHERE e.tenant_id = $1 AND e.state = 'open' AND e.missing IS NOT NULL AND ($2::text IS NULL OR m ->> 'table' = $2)
                 GROUP BY 1, 2
             )
             SELECT w.*, ARRAY(SELECT coalesce(r.number, r.source_id) FROM records r WHERE r.id = ANY(w.examples) ORDER BY r.id) AS numbers
             FROM (SELECT * FROM waits
                   WHERE $3::bigint IS NULL OR (-deliveries, name COLLATE \"C\", value COLLATE \"C\") > (-$3, $4 COLLATE \"C\", $5 COLLATE \"C\")
                   ORDER BY deliveries DESC, name COLLATE \"C\", value COLLATE \"C\" LIMIT $7) w
             ORDER BY w.deliveries DESC, w.name COLLATE \"C\", w.value COLLATE \"C\"",
        )
        .bind(self.scope().tenant.0)
        .bind(table)
        .bind(after.map(|place| place.deliveries))
        .bind(after.map(|place| place.table.as_str()).unwrap_or_default())
        .bind(after.map(|place| place.value.as_str()).unwrap_or_default())
        .bind(EXAMPLES_MAX)
        .bind(i64::try_from(first + 1).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let has_next = rows.len() > first;
        let item = |row: &sqlx::postgres::PgRow| -> Result<InboxItem, StoreError> {
            Ok(InboxItem {
                table: row.try_get("name")?,
                value: row.try_get("value")?,
                deliveries: row.try_get("deliveries")?,
                records: row.try_get("records")?,
                since: row.try_get("since")?,
                last_at: row.try_get("last_at")?,
                examples: row.try_get("numbers")?,
            })
        };
        Ok((rows.iter().take(first).map(item).collect::<Result<_, _>>()?, has_next))
    }

    /// The open exceptions that wait for a value, oldest first, at most [`WAITING_MAX`].
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_waiting(&self, table: &str, value: &str) -> Result<Vec<Uuid>, StoreError> {
        let mut tx = self.begin().await?;
        let ids = sqlx::query_scalar(
            "SELECT id FROM exceptions
             WHERE tenant_id = $1 AND state = 'open' AND missing IS NOT NULL AND missing @> jsonb_build_array(jsonb_build_object('table', $2::text, 'value', $3::text))
             ORDER BY id LIMIT $4",
        );
        let ids = ids.bind(self.scope().tenant.0).bind(table).bind(value).bind(WAITING_MAX).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(ids)
    }
}
