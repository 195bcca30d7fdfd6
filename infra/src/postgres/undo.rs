//! The life of an undo: queued by a person, prepared in the background page by page, approved, planned, and done once all of it has settled.
//! What the pages of its
//! preview read and write is in `undo_item`, what they plan in `undo_plan`.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::delivery::DeliveryState;
use domain::id::{FlowId, FlowVersionId, LookupTableId, TenantId, UndoId};
use domain::undo::{Goal, Report, UndoState, is_over};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::flow::{self, FlowVersion, VERSION};
use super::receive::audit_each;
use super::{Store, StoreError, TenantStore};

/// An undo, as its worker needs it.
#[derive(Debug, Clone)]
pub struct Undo {
    pub id: UndoId,
    pub flow: FlowId,
    /// The version that is undone.
    pub version: FlowVersionId,
    pub goal: Goal,
    /// By whose rules a record is sent that has no value of before.
    pub good: Option<FlowVersionId>,
    pub leaves_created: bool,
    pub since: Option<DateTime<Utc>>,
    pub state: UndoState,
    /// The last delivery that was looked at.
    pub cursor: Option<Uuid>,
    pub report: Report,
    /// Lookup tables that the preview was made with so far.
    pub tables: Vec<(LookupTableId, i64)>,
}

/// An undo, about to be prepared.
#[derive(Debug)]
pub struct NewUndo<'a> {
    pub version: &'a FlowVersion,
    pub goal: Goal,
    pub good: Option<FlowVersionId>,
    pub leaves_created: bool,
    pub since: Option<DateTime<Utc>>,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UndoStep {
    Done(UndoId),
    NotFound,
    /// The flow has an undo that has not ended.
    Open,
    /// A version that says the same is published: by its number.
    Published(i32),
    /// It stands where this cannot follow.
    NotNow(UndoState),
    /// The flow wants a second person, and this is the one who prepared it.
    Own,
    /// Something that the preview was made with has changed since.
    Stale(&'static str),
}

/// What an undo came to so far.
#[derive(Debug, Clone, Default)]
pub struct UndoProgress {
    /// Of the deliveries that undo, by state.
    pub deliveries: Vec<(DeliveryState, u64)>,
    /// Of the items, by kind.
    pub items: Vec<(String, u64)>,
}

impl Store {
    /// The next undos of any tenant, leased for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn undos_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, UndoId)>, StoreError> {
        self.take("SELECT tenant_id, id FROM undos_take($1, make_interval(secs => $2))", count_max, lease_s).await
    }
}

impl TenantStore<'_> {
    /// The newest version before one that was published, writes to the same destination, says something else and was not undone itself.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn undo_good(&self, version: &FlowVersion) -> Result<Option<FlowVersion>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!(
            "{VERSION} JOIN flow_versions b ON b.id = $2
             WHERE v.flow_id = $1 AND v.version < b.version AND v.state IN ('published', 'retired')
               AND CASE WHEN v.destination_connection_id IS NULL THEN f.destination_connection_id ELSE v.destination_connection_id END = $3
               AND NOT (v.filter IS NOT DISTINCT FROM b.filter AND v.source_mapping = b.source_mapping AND v.mapping = b.mapping AND v.policy = b.policy)
               AND NOT EXISTS (SELECT FROM undos u WHERE u.flow_version_id = v.id AND u.state IN ('approved', 'delivering', 'done'))
             ORDER BY v.version DESC LIMIT 1"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(version.flow.0).bind(version.id.0).bind(version.destination.0);
        let row = query.fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        row.map(|row| flow::read(&row)).transpose()
    }

    /// Queues an undo of a version. What is still published is not undone: what it sends next would be wrong again.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn undo_start(&self, new: &NewUndo<'_>) -> Result<UndoStep, StoreError> {
        let (id, mut tx) = (UndoId::generate(), self.begin().await?);
        if !flow::lock(&mut tx, new.version.flow).await? {
            return Ok(UndoStep::NotFound);
        }
        if let Some(number) = published_as(&mut tx, new.version.id.0).await? {
            return Ok(UndoStep::Published(number));
        }
        // Leans on undos_open.
        let made = sqlx::query(
            "INSERT INTO undos (id, tenant_id, flow_id, flow_version_id, goal, good_version_id, leaves_created, since, started_by, version)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (flow_id) WHERE state IN ('queued', 'preparing', 'prepared', 'approved', 'delivering') DO NOTHING",
        )
        .bind(id.0)
        .bind(self.scope().tenant.0)
        .bind(new.version.flow.0)
        .bind(new.version.id.0)
        .bind(new.goal.as_str())
        .bind(new.good.map(|good| good.0))
        .bind(new.leaves_created)
        .bind(new.since)
        .bind(self.scope().actor_json())
        .bind(new.version.version)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(UndoStep::Open);
        }
        let detail = serde_json::json!({"flow": new.version.flow, "version": new.version.version, "to": new.goal});
        self.undo_told(tx, Action::UndoStarted, id, &detail).await
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn undo_load(&self, id: UndoId) -> Result<Option<Undo>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT flow_id, flow_version_id, goal, good_version_id, leaves_created, since, state, cursor, report, tables FROM undos WHERE id = $1",
        );
        let row = row.bind(id.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = |what: &'static str, why: String| StoreError::Corrupt { what, id: id.to_string(), why };
        let json = |error: serde_json::Error| corrupt("the undo", error.to_string());
        let (goal, state): (&str, &str) = (row.try_get("goal")?, row.try_get("state")?);
        let report: serde_json::Value = row.try_get("report")?;
        let tables: Option<serde_json::Value> = row.try_get("tables")?;
        Ok(Some(Undo {
            id,
            flow: FlowId(row.try_get("flow_id")?),
            version: FlowVersionId(row.try_get("flow_version_id")?),
            goal: Goal::parse(goal).ok_or_else(|| corrupt("the goal", goal.to_owned()))?,
            good: row.try_get::<Option<Uuid>, _>("good_version_id")?.map(FlowVersionId),
            leaves_created: row.try_get("leaves_created")?,
            since: row.try_get("since")?,
            state: UndoState::parse(state).ok_or_else(|| corrupt("the state", state.to_owned()))?,
            cursor: row.try_get("cursor")?,
            report: if report.as_object().is_some_and(|report| report.is_empty()) {
                Report::default()
            } else {
                serde_json::from_value(report).map_err(json)?
            },
            tables: tables.map(serde_json::from_value).transpose().map_err(json)?.unwrap_or_default(),
        }))
    }

    /// Ends the preview, with its report or with why there is none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn undo_prepared(&self, undo: &Undo, outcome: Result<&Report, &str>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let ended = sqlx::query(
            "UPDATE undos SET state = CASE WHEN $3::text IS NULL THEN 'prepared' ELSE 'failed' END, failure = $3, tries = 0,
                    ended_at = CASE WHEN $3::text IS NULL THEN NULL ELSE now() END, report = CASE WHEN $2::jsonb IS NULL THEN report ELSE $2 END
             WHERE id = $1 AND state = 'preparing' AND cursor IS NOT DISTINCT FROM $4",
        )
        .bind(undo.id.0)
        .bind(outcome.ok().map(|report| serde_json::to_value(report).expect("a report is plain data")))
        .bind(outcome.err())
        .bind(undo.cursor)
        .execute(&mut *tx)
        .await?;
        if ended.rows_affected() == 1 {
            let detail = match outcome {
                Ok(report) => serde_json::json!({"deliveries": report.deliveries, "sends": report.sends()}),
                Err(why) => serde_json::json!({ "failure": why }),
            };
            self.undo_told(tx, Action::UndoPrepared, undo.id, &detail).await?;
        }
        Ok(())
    }

    /// Approves it: its deliveries are planned in the background. To approve it again changes nothing.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn undo_approve(&self, id: UndoId, why: &str) -> Result<UndoStep, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT u.state, u.flow_version_id, u.goal, u.good_version_id, u.tables, u.started_by->>'user' AS starter, u.report, f.needs_approval
             FROM undos u JOIN flows f ON f.id = u.flow_id WHERE u.id = $1 FOR UPDATE OF f, u",
        );
        let Some(row) = row.bind(id.0).fetch_optional(&mut *tx).await? else { return Ok(UndoStep::NotFound) };
        match UndoState::parse(row.try_get("state")?) {
            Some(state) if state.is_approved() => return Ok(UndoStep::Done(id)),
            Some(UndoState::Prepared) => {}
            state => return Ok(UndoStep::NotNow(state.unwrap_or(UndoState::Failed))),
        }
        let actor = self.scope().actor_json();
        if row.try_get("needs_approval")? && row.try_get::<Option<&str>, _>("starter")? == actor["user"].as_str() {
            return Ok(UndoStep::Own);
        }
        if let Some(number) = published_as(&mut tx, row.try_get("flow_version_id")?).await? {
            return Ok(UndoStep::Published(number));
        }
        if let Some(what) = stale(&mut tx, &row).await? {
            return Ok(UndoStep::Stale(what));
        }
        sqlx::query(
            "UPDATE undos SET state = 'approved', approved_by = $2, approved_at = now(), why = $3, tries = 0, lease_until = now() WHERE id = $1",
        )
        .bind(id.0)
        .bind(actor)
        .bind(why)
        .execute(&mut *tx)
        .await?;
        let report: serde_json::Value = row.try_get("report")?;
        let detail = serde_json::json!({"why": why, "restore": report["restore"], "correct": report["correct"]});
        self.undo_told(tx, Action::UndoApproved, id, &detail).await
    }

    /// Decides against it, before it is approved. Nothing was sent.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn undo_cancel(&self, id: UndoId) -> Result<UndoStep, StoreError> {
        let mut tx = self.begin().await?;
        let state = sqlx::query_scalar::<_, String>("SELECT state FROM undos WHERE id = $1 FOR UPDATE");
        let Some(state) = state.bind(id.0).fetch_optional(&mut *tx).await? else { return Ok(UndoStep::NotFound) };
        match UndoState::parse(&state) {
            Some(UndoState::Cancelled) => return Ok(UndoStep::Done(id)),
            Some(UndoState::Queued | UndoState::Preparing | UndoState::Prepared) => {}
            state => return Ok(UndoStep::NotNow(state.unwrap_or(UndoState::Failed))),
        }
        sqlx::query("UPDATE undos SET state = 'cancelled', ended_at = now() WHERE id = $1").bind(id.0).execute(&mut *tx).await?;
        self.undo_told(tx, Action::UndoCancelled, id, &serde_json::json!({})).await
    }

    /// Ends it where all that it planned has settled; looks again after a while where not, ever less often.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn undo_settle(&self, id: UndoId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let deliveries = by_state(&mut tx, id).await?;
        if !is_over(&deliveries) {
            let wait = sqlx::query(
                "UPDATE undos SET lease_until = now() + make_interval(secs => least(60, greatest(1, extract(epoch FROM now() - approved_at) / 30)))
                 WHERE id = $1 AND state = 'delivering'",
            );
            wait.bind(id.0).execute(&mut *tx).await?;
            tx.commit().await?;
            return Ok(false);
        }
        let ended = sqlx::query("UPDATE undos SET state = 'done', ended_at = now() WHERE id = $1 AND state = 'delivering'");
        if ended.bind(id.0).execute(&mut *tx).await?.rows_affected() == 1 {
            let counts = deliveries.iter().map(|(state, count)| (state.as_str().to_owned(), (*count).into()));
            let detail = serde_json::Value::Object(counts.collect());
            self.undo_told(tx, Action::UndoEnded, id, &detail).await?;
        }
        Ok(true)
    }

    /// What it came to so far.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn undo_progress(&self, id: UndoId) -> Result<UndoProgress, StoreError> {
        let mut tx = self.begin().await?;
        let deliveries = by_state(&mut tx, id).await?;
        let items: Vec<(String, i64)> =
            sqlx::query_as("SELECT kind, count(*) FROM undo_items WHERE undo_id = $1 GROUP BY kind ORDER BY kind")
                .bind(id.0)
                .fetch_all(&mut *tx)
                .await?;
        tx.commit().await?;
        let items = items.into_iter().map(|(kind, count)| (kind, u64::try_from(count).unwrap_or(0))).collect();
        Ok(UndoProgress { deliveries, items })
    }

    async fn undo_told(
        &self,
        mut tx: Transaction<'static, Postgres>,
        action: Action,
        id: UndoId,
        detail: &serde_json::Value,
    ) -> Result<UndoStep, StoreError> {
        audit_each(&mut tx, self.scope(), action, "undo", &[id.0], &[Some(&detail.to_string())]).await?;
        tx.commit().await?;
        Ok(UndoStep::Done(id))
    }
}

/// The number of the version that runs and says the same as this one, or is this one.
async fn published_as(tx: &mut Transaction<'static, Postgres>, version: Uuid) -> Result<Option<i32>, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT p.version FROM flow_versions b JOIN flow_versions p ON p.flow_id = b.flow_id AND p.state IN ('published', 'candidate')
         WHERE b.id = $1 AND (p.id = b.id OR p.filter IS NOT DISTINCT FROM b.filter AND p.source_mapping = b.source_mapping
                              AND p.mapping = b.mapping AND p.policy = b.policy) LIMIT 1",
    );
    Ok(query.bind(version).fetch_optional(&mut **tx).await?)
}

/// What the preview was made with and is not as it was.
async fn stale(tx: &mut Transaction<'static, Postgres>, row: &sqlx::postgres::PgRow) -> Result<Option<&'static str>, StoreError> {
    if Goal::parse(row.try_get("goal")?) == Some(Goal::Published) {
        let query = sqlx::query_scalar("SELECT EXISTS (SELECT FROM flow_versions WHERE id = $1 AND state = 'published')");
        if !query.bind(row.try_get::<Option<Uuid>, _>("good_version_id")?).fetch_one(&mut **tx).await? {
            return Ok(Some("the version that was published is not any more"));
        }
    }
    // Pairs of table and version, as the worker wrote them.
    let tables: Vec<(LookupTableId, i64)> = row
        .try_get::<Option<serde_json::Value>, _>("tables")?
        .and_then(|tables| serde_json::from_value(tables).ok())
        .unwrap_or_default();
    let (ids, versions): (Vec<Uuid>, Vec<i64>) = tables.into_iter().map(|(id, version)| (id.0, version)).unzip();
    let changed = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM unnest($1::uuid[], $2::bigint[]) AS i (id, version) LEFT JOIN lookup_tables t ON t.id = i.id
                        WHERE t.version IS DISTINCT FROM i.version OR t.deleted_at IS NOT NULL)",
    );
    let changed: bool = changed.bind(&ids).bind(&versions).fetch_one(&mut **tx).await?;
    Ok(changed.then_some("a lookup table that its rules look into was changed"))
}

/// The deliveries of an undo by state. Leans on deliveries_undo.
async fn by_state(tx: &mut Transaction<'static, Postgres>, id: UndoId) -> Result<Vec<(DeliveryState, u64)>, StoreError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT state, count(*) FROM deliveries WHERE undo_id = $1 GROUP BY state ORDER BY state")
            .bind(id.0)
            .fetch_all(&mut **tx)
            .await?;
    let read = |(state, count): (String, i64)| Some((DeliveryState::parse(&state)?, u64::try_from(count).unwrap_or(0)));
    Ok(rows.into_iter().filter_map(read).collect())
}
