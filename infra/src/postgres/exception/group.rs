//! Groups of exceptions as people see them: the open exceptions of one cause, counted, with what they come to and what was decided about them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::fix::FixKind;
use domain::id::{ConnectionId, ExceptionGroupId, FlowId, UserId};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};

use crate::postgres::{StoreError, TenantStore};

/// Open exceptions of one cause.
#[derive(Debug, Clone)]
pub struct ExceptionGroup {
    pub id: ExceptionGroupId,
    pub cause_key: String,
    pub code: String,
    pub cause: String,
    pub owner: String,
    pub next_step: String,
    pub path: Option<String>,
    pub value: Option<String>,
    pub lookup_table: Option<String>,
    /// What the connector's error rule names.
    pub fix_kind: Option<FixKind>,
    /// None where messages became no record.
    pub flow: Option<FlowId>,
    /// The destination; the source, of messages that became no record.
    pub connection: ConnectionId,
    pub has_deliveries: bool,
    pub count: i64,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
    /// What they come to, by currency; those without a total are not in it.
    pub money: Vec<Money>,
    pub assignee: Option<UserId>,
    pub tags: Vec<String>,
    pub snoozed_until: Option<DateTime<Utc>>,
    pub snoozed_above: Option<i32>,
    /// Put away, and neither due nor grown past its number.
    pub is_snoozed: bool,
}

/// A sum in one currency, as decimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Money {
    pub currency: String,
    pub amount: String,
    /// Exceptions that it is the sum of.
    pub count: i64,
}

/// Which groups a page shows.
#[derive(Debug, Clone, Default)]
pub struct GroupFilter {
    pub cause_key: Option<String>,
    pub owner: Option<String>,
    /// Whose they are, as a whole or one of them.
    pub assignee: Option<UserId>,
    /// Those that nobody has.
    pub is_unassigned: bool,
    pub tag: Option<String>,
    pub connection: Option<ConnectionId>,
    pub flow: Option<FlowId>,
    pub is_snoozed: Option<bool>,
    /// Found in what happened: `HAT-XL`, `#1042`.
    pub text: Option<String>,
    /// The last group of the page before.
    pub after: Option<(i64, String)>,
}

impl TenantStore<'_> {
    /// The largest groups first, and whether there are more. Leans on exceptions_cause.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exception_groups(&self, filter: &GroupFilter, first: u64) -> Result<(Vec<ExceptionGroup>, bool), StoreError> {
        let mut tx = self.begin().await?;
        let found = groups(&mut tx, self, filter, first).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// One group; `None` where none of its exceptions is open.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exception_group(&self, cause_key: &str) -> Result<Option<ExceptionGroup>, StoreError> {
        let filter = GroupFilter { cause_key: Some(cause_key.to_owned()), ..GroupFilter::default() };
        Ok(self.exception_groups(&filter, 1).await?.0.pop())
    }
}

pub(crate) async fn groups(
    tx: &mut Transaction<'static, Postgres>,
    store: &TenantStore<'_>,
    filter: &GroupFilter,
    first: u64,
) -> Result<(Vec<ExceptionGroup>, bool), StoreError> {
    let tenant = store.scope().tenant;
    let first = usize::try_from(first).unwrap_or(1);
    let like = filter.text.as_ref().map(|text| {
        let text: String = text.chars().take(200).collect();
        format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
    });
    let rows = sqlx::query(
        "WITH g AS (
             SELECT e.cause_key, min(e.code) AS code, min(e.cause) AS cause, min(e.owner) AS owner, min(e.next_step) AS next_step,
                    min(e.path) AS path, min(e.value) AS value, min(e.lookup_table) AS lookup_table, min(e.fix_kind) AS fix_kind,
                    min(e.flow_id::text)::uuid AS flow_id, min(e.connection_id::text)::uuid AS connection_id,
                    bool_or(e.delivery_id IS NOT NULL) AS has_deliveries, count(*) AS count,
                    min(e.opened_at) AS first_at, max(e.opened_at) AS last_at, bool_or(e.assignee_id = $7) AS has_assignee,
                    bool_or(e.tags @> ARRAY[$9]) AS has_tag, count(*) FILTER (WHERE e.snoozed_until > now()) AS resting
             FROM exceptions e
             WHERE e.tenant_id = $1 AND e.state = 'open' AND ($2::text IS NULL OR e.cause_key = $2) AND ($3::text IS NULL OR e.owner = $3)
               AND ($4::uuid IS NULL OR e.connection_id = $4) AND ($5::uuid IS NULL OR e.flow_id = $5)
             GROUP BY e.cause_key
             HAVING $6::text IS NULL OR bool_or(e.cause ILIKE $6 OR e.sentence ILIKE $6)
         ), told AS (
             SELECT g.*, x.assignee_id, coalesce(x.tags, '{}') AS tags, x.snoozed_until, x.snoozed_above,
                    coalesce(x.snoozed_until > now() AND (x.snoozed_above IS NULL OR g.count <= x.snoozed_above), false)
                        OR g.resting = g.count AS is_snoozed
             FROM g LEFT JOIN exception_groups x ON x.tenant_id = $1 AND x.cause_key = g.cause_key
         )
         SELECT * FROM told
         WHERE ($7::uuid IS NULL OR assignee_id = $7 OR has_assignee) AND (NOT $8 OR assignee_id IS NULL)
           AND ($9::text IS NULL OR tags @> ARRAY[$9] OR has_tag) AND ($10::boolean IS NULL OR is_snoozed = $10)
           AND ($11::bigint IS NULL OR (-count, cause_key COLLATE \"C\") > (-$11, $12 COLLATE \"C\"))
         ORDER BY count DESC, cause_key COLLATE \"C\" LIMIT $13",
    )
    .bind(tenant.0)
    .bind(&filter.cause_key)
    .bind(&filter.owner)
    .bind(filter.connection.map(|id| id.0))
    .bind(filter.flow.map(|id| id.0))
    .bind(like)
    .bind(filter.assignee.map(|id| id.0))
    .bind(filter.is_unassigned)
    .bind(&filter.tag)
    .bind(filter.is_snoozed)
    .bind(filter.after.as_ref().map(|(count, _)| *count))
    .bind(filter.after.as_ref().map(|(_, key)| key.as_str()).unwrap_or_default())
    .bind(i64::try_from(first + 1).unwrap_or(i64::MAX))
    .fetch_all(&mut **tx)
    .await?;
    let has_next = rows.len() > first;
    let mut groups =
        rows.iter().take(first).map(|row| group(store, row)).collect::<Result<Vec<ExceptionGroup>, sqlx::Error>>()?;
    let keys: Vec<&str> = groups.iter().map(|group| group.cause_key.as_str()).collect();
    let mut money = money(tx, store, &keys).await?;
    for group in &mut groups {
        group.money = money.remove(&group.cause_key).unwrap_or_default();
    }
    Ok((groups, has_next))
}

fn group(store: &TenantStore<'_>, row: &PgRow) -> Result<ExceptionGroup, sqlx::Error> {
    let cause_key: String = row.try_get("cause_key")?;
    Ok(ExceptionGroup {
        id: ExceptionGroupId::of(store.scope().tenant, &cause_key),
        cause_key,
        code: row.try_get("code")?,
        cause: row.try_get("cause")?,
        owner: row.try_get("owner")?,
        next_step: row.try_get("next_step")?,
        path: row.try_get("path")?,
        value: row.try_get("value")?,
        lookup_table: row.try_get("lookup_table")?,
        fix_kind: row.try_get::<Option<&str>, _>("fix_kind")?.and_then(FixKind::parse),
        flow: row.try_get::<Option<_>, _>("flow_id")?.map(FlowId),
        connection: ConnectionId(row.try_get("connection_id")?),
        has_deliveries: row.try_get("has_deliveries")?,
        count: row.try_get("count")?,
        first_at: row.try_get("first_at")?,
        last_at: row.try_get("last_at")?,
        money: vec![],
        assignee: row.try_get::<Option<_>, _>("assignee_id")?.map(UserId),
        tags: row.try_get("tags")?,
        snoozed_until: row.try_get("snoozed_until")?,
        snoozed_above: row.try_get("snoozed_above")?,
        is_snoozed: row.try_get("is_snoozed")?,
    })
}

/// What these groups come to.
async fn money(
    tx: &mut Transaction<'static, Postgres>,
    store: &TenantStore<'_>,
    keys: &[&str],
) -> Result<HashMap<String, Vec<Money>>, StoreError> {
    let mut sums: HashMap<String, Vec<Money>> = HashMap::new();
    if keys.is_empty() {
        return Ok(sums);
    }
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
        "SELECT cause_key, currency, trim_scale(sum(amount))::text, count(*) FROM exceptions
         WHERE tenant_id = $1 AND state = 'open' AND cause_key = ANY($2) AND currency IS NOT NULL
         GROUP BY cause_key, currency ORDER BY cause_key, count(*) DESC, currency",
    )
    .bind(store.scope().tenant.0)
    .bind(keys)
    .fetch_all(&mut **tx)
    .await?;
    for (key, currency, amount, count) in rows {
        sums.entry(key).or_default().push(Money { currency, amount, count });
    }
    Ok(sums)
}
