//! The life of a swap: begun, run as a shadow, cut over by percentage, and done or taken back. Each step is one transaction under the lock of
//! the flow, and is refused in a word where it is not its turn.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::flow::FlowState;
use domain::id::{ConnectionId, FlowId, SwapId};
use domain::mapping::Rules;
use domain::scope::Scope;
use domain::swap::{Parity, SwapState};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::flow::{self, FlowVersion, VERSION, insert, next_number, retire};
use super::receive::audit_each;
use super::{StoreError, TenantStore};

/// A swap, whole.
#[derive(Debug, Clone)]
pub struct Swap {
    pub id: SwapId,
    pub flow: FlowId,
    /// The candidate.
    pub connection: ConnectionId,
    /// The flow's destination when it began.
    pub before: ConnectionId,
    pub mapping: Rules,
    pub state: SwapState,
    pub percent: u8,
    pub report: Parity,
    /// The shadow has seen every delivery of the flow up to this one.
    pub cursor: Option<Uuid>,
    /// Who said how the candidate is written to, as audit events have it.
    pub mapped_by: serde_json::Value,
}

impl Swap {
    /// A version of the flow as it would write to the candidate.
    #[must_use]
    pub fn over(&self, version: &FlowVersion) -> FlowVersion {
        version.towards(self.connection, &self.mapping)
    }
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapStep {
    Done(SwapId),
    NotFound,
    /// The flow has a swap that has not ended.
    Open,
    /// The candidate is the flow's own source or destination.
    Same,
    /// It stands where this cannot follow.
    NotNow(SwapState),
    /// The shadow has not seen a delivery yet.
    NotSeen,
    /// The shadow found what the candidate refuses or loses, and nobody said why that is wanted.
    NotClean,
    /// The flow wants a second person, and this is the one who mapped it.
    Own,
    /// No version of the flow is published.
    NotPublished,
    /// The flow has a draft, which was made for the destination that would be left.
    HasDraft,
    /// Not all new records go to the candidate yet.
    NotAll,
}

impl TenantStore<'_> {
    /// A new swap of a flow; nothing runs by it yet. The candidate must be the tenant's own.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn swap_begin(&self, flow: FlowId, candidate: ConnectionId, mapping: &Rules) -> Result<SwapStep, StoreError> {
        let (id, mut tx) = (SwapId::generate(), self.begin().await?);
        let query = sqlx::query("SELECT source_connection_id, destination_connection_id FROM flows WHERE id = $1 FOR UPDATE");
        let Some(row) = query.bind(flow.0).fetch_optional(&mut *tx).await? else { return Ok(SwapStep::NotFound) };
        let (source, destination): (Uuid, Uuid) =
            (row.try_get("source_connection_id")?, row.try_get("destination_connection_id")?);
        if [source, destination].contains(&candidate.0) {
            return Ok(SwapStep::Same);
        }
        // Leans on swaps_open.
        let made = sqlx::query(
            "INSERT INTO swaps (id, tenant_id, flow_id, connection_id, before_connection_id, mapping, mapped_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (flow_id) WHERE state IN ('draft', 'shadow', 'cutting') DO NOTHING",
        )
        .bind(id.0)
        .bind(self.scope().tenant.0)
        .bind(flow.0)
        .bind(candidate.0)
        .bind(destination)
        .bind(json(mapping))
        .bind(self.scope().actor_json())
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(SwapStep::Open);
        }
        let detail = serde_json::json!({"flow": flow, "candidate": candidate});
        self.told(tx, Action::SwapBegun, id, &detail).await
    }

    /// Other rules for the candidate. A shadow begins anew, because what it found is of the rules before; where the candidate gets records
    /// already, those from now on are written by the new rules.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn swap_change(&self, id: SwapId, mapping: &Rules) -> Result<SwapStep, StoreError> {
        let mut tx = self.begin().await?;
        let Some(mut swap) = held(&mut tx, id).await? else { return Ok(SwapStep::NotFound) };
        if swap.state == SwapState::Cutting {
            let Some(published) = published(&mut tx, swap.flow).await? else { return Ok(SwapStep::NotPublished) };
            swap.mapping = mapping.clone();
            candidate(&mut tx, self.scope(), &swap, &published).await?;
        } else if !matches!(swap.state, SwapState::Draft | SwapState::Shadow) {
            return Ok(SwapStep::NotNow(swap.state));
        }
        sqlx::query(
            "UPDATE swaps SET mapping = $2, mapped_by = $3, failure = NULL,
                    report = CASE WHEN state = 'shadow' THEN '{}' ELSE report END,
                    cursor_id = CASE WHEN state = 'shadow' THEN uuid7_floor(shadow_since) ELSE cursor_id END
             WHERE id = $1",
        )
        .bind(id.0)
        .bind(json(mapping))
        .bind(self.scope().actor_json())
        .execute(&mut *tx)
        .await?;
        self.told(tx, Action::SwapChanged, id, &serde_json::json!({})).await
    }

    /// Begins the shadow run, over what is planned from `since` on.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn swap_shadow(&self, id: SwapId, since: DateTime<Utc>) -> Result<SwapStep, StoreError> {
        let mut tx = self.begin().await?;
        let Some(swap) = held(&mut tx, id).await? else { return Ok(SwapStep::NotFound) };
        if !swap.state.may_become(SwapState::Shadow) {
            return Ok(SwapStep::NotNow(swap.state));
        }
        let begun = sqlx::query(
            "UPDATE swaps SET state = 'shadow', shadow_since = $2, cursor_id = uuid7_floor($2), lease_until = now() WHERE id = $1",
        );
        begun.bind(id.0).bind(since).execute(&mut *tx).await?;
        self.told(tx, Action::SwapShadowed, id, &serde_json::json!({"since": since})).await
    }

    /// So many percent of the new records go to the candidate from now on. `why` says that what the shadow found is wanted.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn swap_cut(&self, id: SwapId, percent: u8, why: Option<&str>) -> Result<SwapStep, StoreError> {
        let mut tx = self.begin().await?;
        let Some(swap) = held(&mut tx, id).await? else { return Ok(SwapStep::NotFound) };
        if !swap.state.may_become(SwapState::Cutting) {
            return Ok(SwapStep::NotNow(swap.state));
        }
        if swap.state == SwapState::Shadow {
            if why.is_none() && swap.report.deliveries == 0 {
                return Ok(SwapStep::NotSeen);
            }
            if why.is_none() && !swap.report.is_clean() {
                return Ok(SwapStep::NotClean);
            }
        }
        if needs_approval(&mut tx, swap.flow).await? && self.scope().actor_json()["user"] == swap.mapped_by["user"] {
            return Ok(SwapStep::Own);
        }
        if swap.state == SwapState::Shadow {
            let Some(published) = published(&mut tx, swap.flow).await? else { return Ok(SwapStep::NotPublished) };
            candidate(&mut tx, self.scope(), &swap, &published).await?;
            sqlx::query("UPDATE flows SET was_swapped = true WHERE id = $1").bind(swap.flow.0).execute(&mut *tx).await?;
        }
        let cut = sqlx::query("UPDATE swaps SET state = 'cutting', percent = $2, failure = NULL WHERE id = $1");
        cut.bind(id.0).bind(i32::from(percent)).execute(&mut *tx).await?;
        let detail = serde_json::json!({"before": swap.percent, "percent": percent, "why": why});
        self.told(tx, Action::SwapCut, id, &detail).await
    }

    /// Gives the swap up: new records go to the old destination again. What the candidate has stays there, with its later revisions.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn swap_back(&self, id: SwapId, why: &str) -> Result<SwapStep, StoreError> {
        let mut tx = self.begin().await?;
        let Some(swap) = held(&mut tx, id).await? else { return Ok(SwapStep::NotFound) };
        if !swap.state.may_become(SwapState::Back) {
            return Ok(SwapStep::NotNow(swap.state));
        }
        retire(&mut tx, swap.flow, &[FlowState::Candidate]).await?;
        let back = sqlx::query("UPDATE swaps SET state = 'back', percent = 0, closed_at = now(), failure = NULL WHERE id = $1");
        back.bind(id.0).execute(&mut *tx).await?;
        self.told(tx, Action::SwapBack, id, &serde_json::json!({"before": swap.percent, "why": why})).await
    }

    /// Makes the candidate the flow's destination, with its rules as a new published version. What the old destination knows stays there with
    /// its later revisions, unless it moves.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn swap_done(&self, id: SwapId, moves_known: bool) -> Result<SwapStep, StoreError> {
        let mut tx = self.begin().await?;
        let Some(swap) = held(&mut tx, id).await? else { return Ok(SwapStep::NotFound) };
        if !swap.state.may_become(SwapState::Done) {
            return Ok(SwapStep::NotNow(swap.state));
        }
        if swap.percent < domain::swap::PERCENT_MAX {
            return Ok(SwapStep::NotAll);
        }
        let drafts =
            sqlx::query_scalar("SELECT EXISTS (SELECT FROM flow_versions WHERE flow_id = $1 AND state IN ('draft', 'review'))");
        if drafts.bind(swap.flow.0).fetch_one(&mut *tx).await? {
            return Ok(SwapStep::HasDraft);
        }
        let Some(published) = published(&mut tx, swap.flow).await? else { return Ok(SwapStep::NotPublished) };
        // Its versions until now say where they write, because the flow will say otherwise.
        sqlx::query(
            "UPDATE flow_versions SET destination_connection_id = $2 WHERE flow_id = $1 AND destination_connection_id IS NULL",
        )
        .bind(swap.flow.0)
        .bind(swap.before.0)
        .execute(&mut *tx)
        .await?;
        retire(&mut tx, swap.flow, &[FlowState::Published, FlowState::Candidate]).await?;
        sqlx::query("UPDATE flows SET destination_connection_id = $2 WHERE id = $1")
            .bind(swap.flow.0)
            .bind(swap.connection.0)
            .execute(&mut *tx)
            .await?;
        let spec = swap.over(&published).spec;
        let number = next_number(&mut tx, swap.flow).await?;
        let note = format!("Its destination was swapped ({id}).");
        insert(&mut tx, self.scope(), swap.flow, number, FlowState::Published, &spec, &note, None, None).await?;
        let done = sqlx::query("UPDATE swaps SET state = 'done', moves_known = $2, closed_at = now() WHERE id = $1");
        done.bind(id.0).bind(moves_known).execute(&mut *tx).await?;
        let detail = serde_json::json!({"version": number, "moves_known": moves_known});
        self.told(tx, Action::SwapDone, id, &detail).await
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn swap_load(&self, id: SwapId) -> Result<Option<Swap>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(LOAD).bind(id.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        row.map(|row| read(&row)).transpose()
    }

    async fn told(
        &self,
        mut tx: Transaction<'static, Postgres>,
        action: Action,
        id: SwapId,
        detail: &serde_json::Value,
    ) -> Result<SwapStep, StoreError> {
        audit_each(&mut tx, self.scope(), action, "swap", &[id.0], &[Some(&detail.to_string())]).await?;
        tx.commit().await?;
        Ok(SwapStep::Done(id))
    }
}

/// Publishes the candidate's version beside the flow's own, in the place of the one that it may have.
async fn candidate(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    swap: &Swap,
    published: &FlowVersion,
) -> Result<(), StoreError> {
    retire(tx, swap.flow, &[FlowState::Candidate]).await?;
    let spec = swap.over(published).spec;
    let number = next_number(tx, swap.flow).await?;
    let note = format!("For the candidate of a swap ({}).", swap.id);
    let state = FlowState::Candidate;
    insert(tx, scope, swap.flow, number, state, &spec, &note, None, Some(swap.connection)).await
}

/// What is published of a flow counts for the candidate that gets some of its records, too: all but the mapping.
pub(super) async fn follow(tx: &mut Transaction<'static, Postgres>, scope: &Scope, flow: FlowId) -> Result<(), StoreError> {
    let query = sqlx::query_scalar("SELECT id FROM swaps WHERE flow_id = $1 AND state = 'cutting'");
    let Some(id): Option<Uuid> = query.bind(flow.0).fetch_optional(&mut **tx).await? else { return Ok(()) };
    match (held(tx, SwapId(id)).await?, published(tx, flow).await?) {
        (Some(swap), Some(published)) => candidate(tx, scope, &swap, &published).await,
        _ => Ok(()),
    }
}

const LOAD: &str = "SELECT id, flow_id, connection_id, before_connection_id, mapping, mapped_by, state, percent, report, cursor_id FROM swaps WHERE id = $1";

/// The swap under the lock of its flow, which everything that changes either takes first.
async fn held(tx: &mut Transaction<'static, Postgres>, id: SwapId) -> Result<Option<Swap>, StoreError> {
    let query = sqlx::query_scalar("SELECT flow_id FROM swaps WHERE id = $1");
    let Some(of): Option<Uuid> = query.bind(id.0).fetch_optional(&mut **tx).await? else { return Ok(None) };
    flow::lock(tx, FlowId(of)).await?;
    let row = sqlx::query(sqlx::AssertSqlSafe(format!("{LOAD} FOR UPDATE"))).bind(id.0).fetch_one(&mut **tx).await?;
    read(&row).map(Some)
}

async fn published(tx: &mut Transaction<'static, Postgres>, flow: FlowId) -> Result<Option<FlowVersion>, StoreError> {
    let sql = format!("{VERSION} WHERE v.flow_id = $1 AND v.state = 'published'");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(flow.0).fetch_optional(&mut **tx).await?;
    row.map(|row| flow::read(&row)).transpose()
}

async fn needs_approval(tx: &mut Transaction<'static, Postgres>, flow: FlowId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("SELECT needs_approval FROM flows WHERE id = $1").bind(flow.0).fetch_one(&mut **tx).await?)
}

fn json(mapping: &Rules) -> serde_json::Value {
    serde_json::to_value(mapping).expect("rules are plain data")
}

fn read(row: &PgRow) -> Result<Swap, StoreError> {
    let id = SwapId(row.try_get("id")?);
    let corrupt = |what: &'static str, why: String| StoreError::Corrupt { what, id: id.to_string(), why };
    let state: &str = row.try_get("state")?;
    Ok(Swap {
        id,
        flow: FlowId(row.try_get("flow_id")?),
        connection: ConnectionId(row.try_get("connection_id")?),
        before: ConnectionId(row.try_get("before_connection_id")?),
        mapping: serde_json::from_value(row.try_get("mapping")?).map_err(|error| corrupt("the mapping", error.to_string()))?,
        state: SwapState::parse(state).ok_or_else(|| corrupt("the state", state.to_owned()))?,
        percent: u8::try_from(row.try_get::<i32, _>("percent")?).map_err(|error| corrupt("the percent", error.to_string()))?,
        report: serde_json::from_value(row.try_get("report")?).map_err(|error| corrupt("the report", error.to_string()))?,
        cursor: row.try_get("cursor_id")?,
        mapped_by: row.try_get("mapped_by")?,
    })
}
