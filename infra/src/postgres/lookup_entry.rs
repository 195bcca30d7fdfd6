//! Entries of lookup tables. Every change is decided as a whole, and is one transaction and one version; an entry of an earlier version is ended
//! and never changed, so that the table as of any version can be read again.

use chrono::{DateTime, NaiveDate, Utc};
use domain::audit::Action;
use domain::id::LookupTableId;
use domain::lookup_table::change::{Change, Clash, Counts, Mode, Standing, decide};
use domain::lookup_table::{ENTRIES_MAX, Entry, TEXT_BYTES_MAX, TableKind};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::{StoreError, TenantStore};

/// What made a version. The words are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Set,
    Removed,
    Imported,
    RolledBack,
    /// A value that deliveries waited for was added.
    Resolved,
    /// A source of rates said so.
    Fed,
}

impl Cause {
    fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Removed => "removed",
            Self::Imported => "imported",
            Self::RolledBack => "rolled_back",
            Self::Resolved => "resolved",
            Self::Fed => "fed",
        }
    }

    fn action(self) -> Action {
        match self {
            Self::Set | Self::Resolved => Action::LookupEntriesSet,
            Self::Removed => Action::LookupEntriesRemoved,
            Self::Imported => Action::LookupTableImported,
            Self::RolledBack => Action::LookupTableRolledBack,
            Self::Fed => Action::LookupRatesFed,
        }
    }
}

/// How a change is made.
#[derive(Debug, Clone, Copy)]
pub struct Edit {
    pub mode: Mode,
    pub cause: Cause,
    /// Says what it would do, and writes nothing.
    pub is_preview: bool,
    /// Rows that clash with others are left out; otherwise nothing is written where there are any.
    pub skips_clashes: bool,
    /// The version that whoever changes it saw: where it is another by now, nothing is written.
    pub based_on: Option<i64>,
}

/// What became of a change of entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The table's version after it; the same as before where nothing was written.
    pub version: i64,
    pub counts: Counts,
    /// Rows that the table cannot take, by their places.
    pub clashes: Vec<Clash>,
    /// The table would hold more than it may, so nothing was written.
    pub is_full: bool,
    /// Somebody else has changed it since the version that it was based on, so nothing was written.
    pub is_changed: bool,
    pub is_written: bool,
}

/// A rate that a source gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayRate {
    pub from: String,
    pub to: String,
    pub day: NaiveDate,
    /// Decimal digits, as they came.
    pub rate: String,
}

/// Which entries of a table a page shows.
#[derive(Debug, Clone, Default)]
pub struct EntryFilter {
    /// Of an earlier version; of the present one where it is none.
    pub version: Option<i64>,
    /// Both values are searched.
    pub search: Option<String>,
    /// The last entry of the page before.
    pub after: Option<(String, Option<DateTime<Utc>>)>,
}

impl TenantStore<'_> {
    /// All entries that stand now.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_entries(&self, table: LookupTableId) -> Result<Vec<Entry>, StoreError> {
        self.lookup_entries_at(table, i64::MAX).await
    }

    /// All entries of a version, in the order of their values.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_entries_at(&self, table: LookupTableId, version: i64) -> Result<Vec<Entry>, StoreError> {
        let mut tx = self.begin().await?;
        let entries = entries_at(&mut tx, table, version).await?;
        tx.commit().await?;
        Ok(entries)
    }

    /// Some entries in the order of their values, and whether there are more.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_entries_page(
        &self,
        table: LookupTableId,
        filter: &EntryFilter,
        first: u64,
    ) -> Result<(Vec<Entry>, bool), StoreError> {
        let escaped = filter.search.as_ref().map(|text| {
            let text: String = text.chars().take(200).collect();
            format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
        });
        let first = usize::try_from(first.clamp(1, super::page::PAGE_MAX)).unwrap_or(1);
        let after = filter.after.as_ref();
        let mut tx = self.begin().await?;
        // What stands now comes in order from lookup_entries_stand.
        let sql = if filter.version.is_none() {
            "SELECT from_value, to_value, effective_from, effective_until FROM lookup_entries
             WHERE table_id = $1 AND until_version IS NULL AND $2::bigint IS NULL
               AND ($3::text IS NULL OR (from_value, coalesce(effective_from, '-infinity')) > ($3, coalesce($4, '-infinity'::timestamptz)))
               AND ($5::text IS NULL OR from_value ILIKE $5 OR to_value ILIKE $5)
             ORDER BY from_value, coalesce(effective_from, '-infinity') LIMIT $6"
        } else {
            "SELECT from_value, to_value, effective_from, effective_until FROM lookup_entries
             WHERE table_id = $1 AND since_version <= $2 AND (until_version IS NULL OR until_version > $2)
               AND ($3::text IS NULL OR (from_value, coalesce(effective_from, '-infinity')) > ($3, coalesce($4, '-infinity'::timestamptz)))
               AND ($5::text IS NULL OR from_value ILIKE $5 OR to_value ILIKE $5)
             ORDER BY from_value, coalesce(effective_from, '-infinity') LIMIT $6"
        };
        let rows = sqlx::query(sql)
            .bind(table.0)
            .bind(filter.version)
            .bind(after.map(|(from, _)| from))
            .bind(after.and_then(|(_, begins)| *begins))
            .bind(escaped)
            .bind(i64::try_from(first + 1).unwrap_or(i64::MAX))
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        let has_next = rows.len() > first;
        Ok((rows.iter().take(first).map(entry).collect::<Result<_, _>>()?, has_next))
    }

    /// How many entries stand now.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_entries_count(&self, table: LookupTableId) -> Result<i64, StoreError> {
        let mut tx = self.begin().await?;
        let (count, _) = size(&mut tx, table).await?;
        tx.commit().await?;
        Ok(count)
    }

    /// Changes entries, all in one transaction and one version; what changes nothing makes none. The rows are [`Entry::checked`] for the
    /// table's kind. `None` where there is no such table.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_entries_edit(
        &self,
        table: LookupTableId,
        rows: &[Entry],
        edit: Edit,
    ) -> Result<Option<Edited>, StoreError> {
        let mut tx = self.begin().await?;
        let Some(version) = lock(&mut tx, table).await? else { return Ok(None) };
        let edited = self.edit(&mut tx, table, version, rows, edit).await?;
        if edited.is_written {
            tx.commit().await?;
        }
        Ok(Some(edited))
    }

    /// Adds entries and replaces those of the same value and the same beginning. `None` where there is no such table.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_entries_set(&self, table: LookupTableId, rows: &[Entry]) -> Result<Option<Edited>, StoreError> {
        let edit = Edit { mode: Mode::Merge, cause: Cause::Set, is_preview: false, skips_clashes: false, based_on: None };
        self.lookup_entries_edit(table, rows, edit).await
    }

    /// Takes all entries of these values away; says how many. `None` where there is no such table.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_entries_remove(&self, table: LookupTableId, values: &[String]) -> Result<Option<usize>, StoreError> {
        let mut tx = self.begin().await?;
        let Some(version) = lock(&mut tx, table).await? else { return Ok(None) };
        let ended = sqlx::query(
            "UPDATE lookup_entries SET until_version = $3 WHERE table_id = $1 AND until_version IS NULL AND from_value = ANY($2)",
        );
        let ended = ended.bind(table.0).bind(values).bind(version + 1).execute(&mut *tx).await?.rows_affected();
        let removed = usize::try_from(ended).unwrap_or(usize::MAX);
        if removed > 0 {
            self.next_version(&mut tx, table, Counts { removed, ..Counts::default() }, Cause::Removed).await?;
            tx.commit().await?;
        }
        Ok(Some(removed))
    }

    /// A new version that says the same as an old one. `None` where there is no such table or no such version of it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_table_rollback(&self, table: LookupTableId, version: i64) -> Result<Option<Edited>, StoreError> {
        let mut tx = self.begin().await?;
        let Some(present) = lock(&mut tx, table).await? else { return Ok(None) };
        let is_known = sqlx::query_scalar("SELECT EXISTS (SELECT FROM lookup_versions WHERE table_id = $1 AND version = $2)");
        if !is_known.bind(table.0).bind(version).fetch_one(&mut *tx).await? {
            return Ok(None);
        }
        let rows = entries_at(&mut tx, table, version).await?;
        let edit =
            Edit { mode: Mode::Replace, cause: Cause::RolledBack, is_preview: false, skips_clashes: false, based_on: None };
        let edited = self.edit(&mut tx, table, present, &rows, edit).await?;
        if edited.is_written {
            tx.commit().await?;
        }
        Ok(Some(edited))
    }

    /// Takes in the rates that a source gives: one for a pair and a day replaces the one that was there. A rate that is none is left out and
    /// named by its place, so that one bad pair never holds the others up. `None` where there is no such table of rates.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_rates_upsert(
        &self,
        table: LookupTableId,
        rates: &[DayRate],
    ) -> Result<Option<(Edited, Vec<(usize, String)>)>, StoreError> {
        let mut tx = self.begin().await?;
        let is_rates = sqlx::query_scalar("SELECT EXISTS (SELECT FROM lookup_tables WHERE id = $1 AND kind = 'rates')");
        if !is_rates.bind(table.0).fetch_one(&mut *tx).await? {
            return Ok(None);
        }
        let Some(version) = lock(&mut tx, table).await? else { return Ok(None) };
        let (mut rows, mut bad) = (Vec::with_capacity(rates.len()), Vec::new());
        for (at, rate) in rates.iter().enumerate() {
            match Entry::rate(&rate.from, &rate.to, Some(rate.day), rate.rate.as_str()).checked(TableKind::Rates) {
                Ok(entry) => rows.push(entry),
                Err(why) => bad.push((at, why)),
            }
        }
        let edit = Edit { mode: Mode::Merge, cause: Cause::Fed, is_preview: false, skips_clashes: true, based_on: None };
        let edited = self.edit(&mut tx, table, version, &rows, edit).await?;
        if edited.is_written {
            tx.commit().await?;
        }
        Ok(Some((edited, bad)))
    }

    /// Decides and writes. Where it does not say that it has written, the transaction is to be dropped.
    async fn edit(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        table: LookupTableId,
        version: i64,
        rows: &[Entry],
        edit: Edit,
    ) -> Result<Edited, StoreError> {
        let standing = standing(tx, table, rows, edit.mode).await?;
        let Change { ended, begun, counts, clashes } = decide(&standing, rows, edit.mode);
        let mut edited = Edited { version, counts, clashes, is_full: false, is_changed: false, is_written: false };
        // Somebody gave the value another answer meanwhile, which is not to be taken away unseen.
        edited.is_changed = edit.based_on.is_some_and(|seen| seen != version);
        let is_taken = edit.cause == Cause::Resolved && counts.changed > 0;
        if edited.is_changed || counts.is_nothing() || is_taken || (!edit.skips_clashes && !edited.clashes.is_empty()) {
            return Ok(edited);
        }
        let is_ended: std::collections::HashSet<&Uuid> = ended.iter().collect();
        let gone = standing.iter().filter(|one| is_ended.contains(&one.id)).map(|one| &one.entry);
        edited.is_full = !fits(size(tx, table).await?, gone, &begun);
        if edited.is_full || edit.is_preview {
            return Ok(edited);
        }
        let next = version + 1;
        sqlx::query("UPDATE lookup_entries SET until_version = $2 WHERE id = ANY($1)")
            .bind(&ended)
            .bind(next)
            .execute(&mut **tx)
            .await?;
        sqlx::query(
            "INSERT INTO lookup_entries (id, tenant_id, table_id, since_version, from_value, to_value, effective_from, effective_until)
             SELECT id, $1, $2, $3, from_value, to_value, effective_from, effective_until
             FROM unnest($4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[])
                  AS i (id, from_value, to_value, effective_from, effective_until)",
        )
        .bind(self.scope().tenant.0)
        .bind(table.0)
        .bind(next)
        .bind(begun.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(begun.iter().map(|entry| entry.from.as_str()).collect::<Vec<_>>())
        .bind(begun.iter().map(|entry| entry.to.as_str()).collect::<Vec<_>>())
        .bind(begun.iter().map(|entry| entry.effective_from).collect::<Vec<_>>())
        .bind(begun.iter().map(|entry| entry.effective_until).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
        edited.version = self.next_version(tx, table, counts, edit.cause).await?;
        edited.is_written = true;
        Ok(edited)
    }

    /// The table's next version, so that workers read it again.
    async fn next_version(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        table: LookupTableId,
        counts: Counts,
        cause: Cause,
    ) -> Result<i64, StoreError> {
        let next = sqlx::query_scalar("UPDATE lookup_tables SET version = version + 1 WHERE id = $1 RETURNING version");
        let version: i64 = next.bind(table.0).fetch_one(&mut **tx).await?;
        self.version_note(tx, table, version, cause.as_str(), counts, cause.action()).await?;
        Ok(version)
    }
}

/// Those who change a table come one after the other. `None` where it is not there.
async fn lock(tx: &mut Transaction<'static, Postgres>, table: LookupTableId) -> Result<Option<i64>, StoreError> {
    let lock = sqlx::query_scalar("SELECT version FROM lookup_tables WHERE id = $1 AND deleted_at IS NULL FOR UPDATE");
    Ok(lock.bind(table.0).fetch_optional(&mut **tx).await?)
}

/// What stands of the values that the rows name; of a replacement, of all.
async fn standing(
    tx: &mut Transaction<'static, Postgres>,
    table: LookupTableId,
    rows: &[Entry],
    mode: Mode,
) -> Result<Vec<Standing>, StoreError> {
    let found = match mode {
        Mode::Merge => sqlx::query(
            "SELECT id, from_value, to_value, effective_from, effective_until FROM lookup_entries
             WHERE table_id = $1 AND until_version IS NULL AND from_value = ANY($2)",
        )
        .bind(table.0)
        .bind(
            rows.iter().map(|row| row.from.as_str()).collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>(),
        ),
        Mode::Replace => sqlx::query(
            "SELECT id, from_value, to_value, effective_from, effective_until FROM lookup_entries
             WHERE table_id = $1 AND until_version IS NULL",
        )
        .bind(table.0),
    };
    let found = found.fetch_all(&mut **tx).await?;
    found.iter().map(|row| Ok(Standing { id: row.try_get("id")?, entry: entry(row)? })).collect()
}

async fn entries_at(
    tx: &mut Transaction<'static, Postgres>,
    table: LookupTableId,
    version: i64,
) -> Result<Vec<Entry>, StoreError> {
    let rows = sqlx::query(
        "SELECT from_value, to_value, effective_from, effective_until FROM lookup_entries
         WHERE table_id = $1 AND since_version <= $2 AND (until_version IS NULL OR until_version > $2)
         ORDER BY from_value, effective_from NULLS FIRST",
    );
    rows.bind(table.0).bind(version).fetch_all(&mut **tx).await?.iter().map(entry).collect()
}

/// How many entries stand, and the bytes of their texts.
async fn size(tx: &mut Transaction<'static, Postgres>, table: LookupTableId) -> Result<(i64, i64), StoreError> {
    let size = sqlx::query_as(
        "SELECT count(*), coalesce(sum(octet_length(from_value) + octet_length(to_value)), 0)::bigint
         FROM lookup_entries WHERE table_id = $1 AND until_version IS NULL",
    );
    Ok(size.bind(table.0).fetch_one(&mut **tx).await?)
}

/// True where the table has room for what begins once what ends is gone.
fn fits<'e>((count, bytes): (i64, i64), ended: impl Iterator<Item = &'e Entry>, begun: &[Entry]) -> bool {
    let whole = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let text = |entry: &Entry| whole(entry.from.len() + entry.to.len());
    let (mut count, mut bytes) = (count + whole(begun.len()), bytes + begun.iter().map(text).sum::<i64>());
    for entry in ended {
        count -= 1;
        bytes -= text(entry);
    }
    count <= whole(ENTRIES_MAX) && bytes <= whole(TEXT_BYTES_MAX)
}

pub(super) fn entry(row: &PgRow) -> Result<Entry, StoreError> {
    Ok(Entry {
        from: row.try_get("from_value")?,
        to: row.try_get("to_value")?,
        effective_from: row.try_get("effective_from")?,
        effective_until: row.try_get("effective_until")?,
    })
}
