//! Flows and their versions. A draft may change; what was published never does (the schema guards it), and going back is publishing a new
//! version that says the same as an old one.

use domain::audit::Action;
use domain::flow::{FlowSpec, FlowState};
use domain::id::{ConnectionId, FlowId, FlowVersionId};
use domain::mapping::Rules;
use domain::record::RecordKind;
use domain::scope::Scope;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::{audit, audit_each};
use super::{StoreError, TenantStore, configure, swap};

/// A flow, about to be made.
#[derive(Debug)]
pub struct NewFlow<'a> {
    pub name: &'a str,
    pub kind: RecordKind,
    pub source: ConnectionId,
    pub destination: ConnectionId,
    pub needs_approval: bool,
    pub needs_replay: bool,
    pub spec: &'a FlowSpec,
    pub note: &'a str,
}

/// One version of a flow, whole.
#[derive(Debug, Clone)]
pub struct FlowVersion {
    pub id: FlowVersionId,
    pub flow: FlowId,
    pub version: i32,
    pub state: FlowState,
    pub spec: FlowSpec,
    pub kind: RecordKind,
    pub source: ConnectionId,
    pub destination: ConnectionId,
}

impl FlowVersion {
    /// As it would write to another destination by other rules.
    #[must_use]
    pub fn towards(&self, destination: ConnectionId, mapping: &Rules) -> Self {
        let spec = FlowSpec { mapping: mapping.clone(), ..self.spec.clone() };
        Self { destination, spec, ..self.clone() }
    }
}

/// A flow that runs.
#[derive(Debug, Clone)]
pub struct Published {
    pub name: String,
    pub kind: String,
    /// The connectors of its sides.
    pub source: String,
    pub destination: String,
    pub spec: FlowSpec,
}

/// What became of a step in the life of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stepped {
    Done,
    /// There is no such flow, or no version of it that this can be done to.
    NotFound,
    /// It is another version by now than the one that was meant.
    Changed,
    /// Nobody may approve their own draft.
    Own,
    NeedsApproval,
    NeedsReplay,
    /// It writes to a destination that the flow has left.
    Elsewhere,
    /// Another published flow from the same source writes this field of the record by another rule.
    Conflict {
        flow: String,
        field: String,
    },
}

pub(super) const VERSION: &str = "SELECT v.id, v.flow_id, v.version, v.state, v.filter, v.source_mapping, v.mapping, v.policy, v.trigger, v.drafted_by, v.approved_at,
            f.record_kind, f.source_connection_id, coalesce(v.destination_connection_id, f.destination_connection_id) AS destination_connection_id, f.needs_approval, f.needs_replay
     FROM flow_versions v JOIN flows f ON f.id = v.flow_id";

impl TenantStore<'_> {
    /// A new flow with its first draft; `None` where the name is taken. The connections must be the tenant's own.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_create(&self, flow: &NewFlow<'_>) -> Result<Option<FlowId>, StoreError> {
        let (scope, id) = (self.scope(), FlowId::generate());
        let mut tx = self.begin().await?;
        let made = sqlx::query(
            "INSERT INTO flows (id, tenant_id, name, record_kind, source_connection_id, destination_connection_id, needs_approval, needs_replay)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (tenant_id, name) DO NOTHING",
        )
        .bind(id.0)
        .bind(scope.tenant.0)
        .bind(flow.name)
        .bind(flow.kind.as_str())
        .bind(flow.source.0)
        .bind(flow.destination.0)
        .bind(flow.needs_approval)
        .bind(flow.needs_replay)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(None);
        }
        insert(&mut tx, scope, id, 1, FlowState::Draft, flow.spec, flow.note, None, None).await?;
        audit(&mut tx, scope, Action::FlowCreated, "flow", &[id.0]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// What a draft must pass before it is published.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_gates(
        &self,
        flow: FlowId,
        needs_approval: Option<bool>,
        needs_replay: Option<bool>,
    ) -> Result<Stepped, StoreError> {
        let mut tx = self.begin().await?;
        let changed = sqlx::query(
            "UPDATE flows SET needs_approval = coalesce($2, needs_approval), needs_replay = coalesce($3, needs_replay) WHERE id = $1",
        );
        let changed = changed.bind(flow.0).bind(needs_approval).bind(needs_replay).execute(&mut *tx).await?;
        if changed.rows_affected() == 0 {
            return Ok(Stepped::NotFound);
        }
        let detail = serde_json::json!({"needs_approval": needs_approval, "needs_replay": needs_replay}).to_string();
        audit_each(&mut tx, self.scope(), Action::FlowChanged, "flow", &[flow.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Stepped::Done)
    }

    /// The newest version of a flow that writes where the flow does, whatever its state.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_newest(&self, flow: FlowId) -> Result<Option<FlowVersion>, StoreError> {
        self.version("WHERE v.flow_id = $1 AND v.destination_connection_id IS NULL ORDER BY v.version DESC LIMIT 1", flow.0, None)
            .await
    }

    /// A version of a flow by its number.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_version(&self, flow: FlowId, version: i32) -> Result<Option<FlowVersion>, StoreError> {
        self.version("WHERE v.flow_id = $1 AND v.version = $2", flow.0, Some(version)).await
    }

    /// The version that runs.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_published(&self, flow: FlowId) -> Result<Option<FlowVersion>, StoreError> {
        self.version("WHERE v.flow_id = $1 AND v.state = 'published'", flow.0, None).await
    }

    /// The version that runs, or else the newest.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_current(&self, flow: FlowId) -> Result<Option<FlowVersion>, StoreError> {
        match self.flow_published(flow).await? {
            Some(published) => Ok(Some(published)),
            None => self.flow_newest(flow).await,
        }
    }

    /// A version by its id.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_version_by_id(&self, version: FlowVersionId) -> Result<Option<FlowVersion>, StoreError> {
        self.version("WHERE v.id = $1", version.0, None).await
    }

    /// The rules by which other flows that run read the same records as this one, with the flows' names.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn rules_beside(&self, version: &FlowVersion) -> Result<Vec<(String, Rules)>, StoreError> {
        let mut tx = self.begin().await?;
        let rules = beside(&mut tx, version).await?;
        tx.commit().await?;
        Ok(rules)
    }

    /// Every flow that runs, with the connectors of its sides.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flows_published(&self) -> Result<Vec<Published>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT f.id, f.name, f.record_kind, s.connector AS source, d.connector AS destination, v.filter, v.source_mapping, v.mapping, v.policy,
                    v.trigger
             FROM flow_versions v JOIN flows f ON f.id = v.flow_id
             JOIN connections s ON s.id = f.source_connection_id JOIN connections d ON d.id = f.destination_connection_id
             WHERE v.tenant_id = $1 AND v.state = 'published' ORDER BY f.name",
        );
        let rows = rows.bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let published = |row: PgRow| -> Result<Published, StoreError> {
            Ok(Published {
                name: row.try_get("name")?,
                kind: row.try_get("record_kind")?,
                source: row.try_get("source")?,
                destination: row.try_get("destination")?,
                spec: spec(&row, FlowId(row.try_get("id")?))?,
            })
        };
        rows.into_iter().map(published).collect()
    }

    async fn version(&self, which: &str, id: Uuid, number: Option<i32>) -> Result<Option<FlowVersion>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!("{VERSION} {which}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id);
        if let Some(number) = number {
            query = query.bind(number);
        }
        let row = query.fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        row.map(|row| read(&row)).transpose()
    }

    /// A new draft of a flow, in the place of the draft it may have, whose approval is over. `based_on` is the version that it was made
    /// from: where another is the newest by now, somebody else has drafted meanwhile, and nothing of theirs is lost.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_draft(
        &self,
        flow: FlowId,
        based_on: FlowVersionId,
        spec: &FlowSpec,
        note: &str,
    ) -> Result<Stepped, StoreError> {
        let mut tx = self.begin().await?;
        if !lock(&mut tx, flow).await? {
            return Ok(Stepped::NotFound);
        }
        let newest = sqlx::query(
            "SELECT id, version, state FROM flow_versions WHERE flow_id = $1 AND destination_connection_id IS NULL ORDER BY version DESC LIMIT 1 FOR UPDATE",
        );
        let newest = newest.bind(flow.0).fetch_one(&mut *tx).await?;
        let (id, mut version): (Uuid, i32) = (newest.try_get("id")?, newest.try_get("version")?);
        if id != based_on.0 {
            return Ok(Stepped::Changed);
        }
        if matches!(FlowState::parse(newest.try_get("state")?), Some(FlowState::Draft | FlowState::Review)) {
            sqlx::query("DELETE FROM flow_versions WHERE id = $1").bind(id).execute(&mut *tx).await?;
        } else {
            version = next_number(&mut tx, flow).await?;
        }
        insert(&mut tx, self.scope(), flow, version, FlowState::Draft, spec, note, None, None).await?;
        audit(&mut tx, self.scope(), Action::FlowDrafted, "flow", &[flow.0]).await?;
        tx.commit().await?;
        Ok(Stepped::Done)
    }

    /// Hands the draft over to be looked at, or takes it back.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_review(&self, flow: FlowId, submit: bool) -> Result<Stepped, StoreError> {
        let (from, to, action) = if submit {
            (FlowState::Draft, FlowState::Review, Action::FlowSubmitted)
        } else {
            (FlowState::Review, FlowState::Draft, Action::FlowWithdrawn)
        };
        let mut tx = self.begin().await?;
        let moved = sqlx::query(
            "UPDATE flow_versions SET state = $3, submitted_at = CASE WHEN $3 = 'review' THEN now() END, approved_by = NULL, approved_at = NULL
             WHERE flow_id = $1 AND state = $2",
        );
        if moved.bind(flow.0).bind(from.as_str()).bind(to.as_str()).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(Stepped::NotFound);
        }
        audit(&mut tx, self.scope(), action, "flow", &[flow.0]).await?;
        tx.commit().await?;
        Ok(Stepped::Done)
    }

    /// Approves what is in review. Whoever drafted it cannot.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_approve(&self, flow: FlowId) -> Result<Stepped, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query(
            "SELECT id, drafted_by->>'user' AS author FROM flow_versions WHERE flow_id = $1 AND state = 'review' FOR UPDATE",
        );
        let Some(row) = query.bind(flow.0).fetch_optional(&mut *tx).await? else { return Ok(Stepped::NotFound) };
        let actor = self.scope().actor_json();
        if row.try_get::<Option<String>, _>("author")?.as_deref() == actor["user"].as_str() {
            return Ok(Stepped::Own);
        }
        sqlx::query("UPDATE flow_versions SET approved_by = $2, approved_at = now() WHERE id = $1")
            .bind(row.try_get::<Uuid, _>("id")?)
            .bind(actor)
            .execute(&mut *tx)
            .await?;
        audit(&mut tx, self.scope(), Action::FlowApproved, "flow", &[flow.0]).await?;
        tx.commit().await?;
        Ok(Stepped::Done)
    }

    /// Publishes this draft and retires what was published before. Work under way finishes on the version it began with. `note` takes the place of the
    /// draft's own.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_publish(&self, draft: &FlowVersion, note: Option<&str>) -> Result<Stepped, StoreError> {
        let (mut tx, flow) = (self.begin().await?, draft.flow);
        if !lock(&mut tx, flow).await? {
            return Ok(Stepped::NotFound);
        }
        let sql = format!("{VERSION} WHERE v.flow_id = $1 AND v.state IN ('draft', 'review') FOR UPDATE OF v");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(flow.0).fetch_optional(&mut *tx).await?;
        let Some(row) = row else { return Ok(Stepped::NotFound) };
        if row.try_get::<Uuid, _>("id")? != draft.id.0 {
            return Ok(Stepped::Changed);
        }
        if row.try_get("needs_approval")? && row.try_get::<Option<chrono::DateTime<chrono::Utc>>, _>("approved_at")?.is_none() {
            return Ok(Stepped::NeedsApproval);
        }
        if row.try_get("needs_replay")? && !passed_replay(&mut tx, draft.id).await? {
            return Ok(Stepped::NeedsReplay);
        }
        if let Some((flow, field)) = conflict(&mut tx, draft).await? {
            return Ok(Stepped::Conflict { flow, field });
        }
        retire(&mut tx, flow, &[FlowState::Published]).await?;
        sqlx::query(
            "UPDATE flow_versions SET state = 'published', published_at = now(), note = coalesce($2, note) WHERE id = $1",
        )
        .bind(draft.id.0)
        .bind(note)
        .execute(&mut *tx)
        .await?;
        swap::follow(&mut tx, self.scope(), flow).await?;
        let detail = serde_json::json!({"version": draft.version}).to_string();
        audit_each(&mut tx, self.scope(), Action::FlowPublished, "flow", &[flow.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Stepped::Done)
    }

    /// Publishes a new version that says the same as an old one. The draft that the flow may have stays, and comes after it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_roll_back(&self, to: &FlowVersion) -> Result<Stepped, StoreError> {
        let (mut tx, flow) = (self.begin().await?, to.flow);
        if !lock(&mut tx, flow).await? {
            return Ok(Stepped::NotFound);
        }
        if let Some((flow, field)) = conflict(&mut tx, to).await? {
            return Ok(Stepped::Conflict { flow, field });
        }
        let left = sqlx::query_scalar("SELECT destination_connection_id IS NOT NULL FROM flow_versions WHERE id = $1");
        if left.bind(to.id.0).fetch_one(&mut *tx).await? {
            return Ok(Stepped::Elsewhere);
        }
        let number = next_number(&mut tx, flow).await?;
        retire(&mut tx, flow, &[FlowState::Published]).await?;
        let note = format!("As version {}.", to.version);
        insert(&mut tx, self.scope(), flow, number, FlowState::Published, &to.spec, &note, Some(to.version), None).await?;
        swap::follow(&mut tx, self.scope(), flow).await?;
        let detail = serde_json::json!({"version": number, "as_version": to.version}).to_string();
        audit_each(&mut tx, self.scope(), Action::FlowRolledBack, "flow", &[flow.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Stepped::Done)
    }

    /// Retires the published version: nothing new is planned, what is planned is still delivered. `seen` is the one that is meant: where
    /// another is published by now, nothing is retired.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_retire(&self, flow: FlowId, seen: Option<FlowVersionId>) -> Result<Stepped, StoreError> {
        let mut tx = self.begin().await?;
        if !lock(&mut tx, flow).await? {
            return Ok(Stepped::NotFound);
        }
        let published: Option<Uuid> =
            sqlx::query_scalar("SELECT id FROM flow_versions WHERE flow_id = $1 AND state = 'published'")
                .bind(flow.0)
                .fetch_optional(&mut *tx)
                .await?;
        if seen.is_some_and(|seen| published.is_some_and(|published| published != seen.0)) {
            return Ok(Stepped::Changed);
        }
        if !retire(&mut tx, flow, &[FlowState::Published]).await? {
            return Ok(Stepped::NotFound);
        }
        audit(&mut tx, self.scope(), Action::FlowRetired, "flow", &[flow.0]).await?;
        tx.commit().await?;
        Ok(Stepped::Done)
    }
}

/// The number of the next version. A draft that the flow may have comes after it.
pub(super) async fn next_number(tx: &mut Transaction<'static, Postgres>, flow: FlowId) -> Result<i32, StoreError> {
    let query =
        sqlx::query_scalar("SELECT max(version) FROM flow_versions WHERE flow_id = $1 AND state NOT IN ('draft', 'review')");
    let last: Option<i32> = query.bind(flow.0).fetch_one(&mut **tx).await?;
    let last = last.unwrap_or_default();
    sqlx::query("UPDATE flow_versions SET version = $2 WHERE flow_id = $1 AND state IN ('draft', 'review')")
        .bind(flow.0)
        .bind(last + 2)
        .execute(&mut **tx)
        .await?;
    Ok(last + 1)
}

/// Two who change a flow at once come one after the other.
pub(super) async fn lock(tx: &mut Transaction<'static, Postgres>, flow: FlowId) -> Result<bool, StoreError> {
    Ok(sqlx::query("SELECT id FROM flows WHERE id = $1 FOR UPDATE").bind(flow.0).fetch_optional(&mut **tx).await?.is_some())
}

/// Retires the versions of a flow that stand in these states; false where none does.
pub(super) async fn retire(
    tx: &mut Transaction<'static, Postgres>,
    flow: FlowId,
    states: &[FlowState],
) -> Result<bool, StoreError> {
    let retired = sqlx::query("UPDATE flow_versions SET state = 'retired' WHERE flow_id = $1 AND state = ANY($2)");
    let states: Vec<&str> = states.iter().map(|state| state.as_str()).collect();
    Ok(retired.bind(flow.0).bind(states).execute(&mut **tx).await?.rows_affected() > 0)
}

/// True where the draft, as it is, was replayed and changed nothing, or a person wants what it changes.
async fn passed_replay(tx: &mut Transaction<'static, Postgres>, draft: FlowVersionId) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM runs WHERE flow_version_id = $1 AND kind = 'replay' AND state = 'done' AND (is_clean OR accepted_at IS NOT NULL))",
    );
    Ok(query.bind(draft.0).fetch_one(&mut **tx).await?)
}

/// Another published flow from the same source that writes a field of the record by another rule. A record is read once, so the two cannot
/// both be right.
async fn conflict(
    tx: &mut Transaction<'static, Postgres>,
    version: &FlowVersion,
) -> Result<Option<(String, String)>, StoreError> {
    if version.spec.source_mapping.is_empty() {
        return Ok(None);
    }
    // Two that are published at once come one after the other.
    configure::lock(tx, version.source).await?;
    let beside = beside(tx, version).await?;
    Ok(beside.into_iter().find_map(|(flow, rules)| Some((flow, version.spec.source_mapping.conflict(&rules)?.to_owned()))))
}

/// The rules by which other flows that run read the same records, with the flows' names.
async fn beside(tx: &mut Transaction<'static, Postgres>, version: &FlowVersion) -> Result<Vec<(String, Rules)>, StoreError> {
    let rows = sqlx::query(
        "SELECT f.name, v.source_mapping FROM flows f JOIN flow_versions v ON v.flow_id = f.id AND v.state = 'published'
         WHERE f.source_connection_id = $1 AND f.record_kind = $2 AND f.id <> $3 AND v.source_mapping <> '[]' ORDER BY f.id",
    )
    .bind(version.source.0)
    .bind(version.kind.as_str())
    .bind(version.flow.0)
    .fetch_all(&mut **tx)
    .await?;
    let read = |row: PgRow| -> Result<_, StoreError> {
        Ok((row.try_get("name")?, from_json(row.try_get("source_mapping")?, "the source mapping", version.flow)?))
    };
    rows.into_iter().map(read).collect()
}

#[expect(clippy::too_many_arguments, reason = "the columns of one row")]
pub(super) async fn insert(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    flow: FlowId,
    version: i32,
    state: FlowState,
    spec: &FlowSpec,
    note: &str,
    as_version: Option<i32>,
    destination: Option<ConnectionId>,
) -> Result<(), StoreError> {
    let json = |value: Result<serde_json::Value, serde_json::Error>| value.expect("a flow is plain data");
    sqlx::query(
        "INSERT INTO flow_versions (id, tenant_id, flow_id, version, state, filter, source_mapping, mapping, policy, trigger, note, drafted_by, as_version,
                                    destination_connection_id, published_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, CASE WHEN $5 IN ('published', 'candidate') THEN now() END)",
    )
    .bind(FlowVersionId::generate().0)
    .bind(scope.tenant.0)
    .bind(flow.0)
    .bind(version)
    .bind(state.as_str())
    .bind(&spec.filter)
    .bind(json(serde_json::to_value(&spec.source_mapping)))
    .bind(json(serde_json::to_value(&spec.mapping)))
    .bind(json(serde_json::to_value(&spec.policy)))
    .bind(json(serde_json::to_value(&spec.trigger)))
    .bind(note)
    .bind(json(serde_json::to_value(&scope.actor)))
    .bind(as_version)
    .bind(destination.map(|connection| connection.0))
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) fn read(row: &PgRow) -> Result<FlowVersion, StoreError> {
    let flow = FlowId(row.try_get("flow_id")?);
    let corrupt = |what, why: &str| StoreError::Corrupt { what, id: flow.to_string(), why: why.to_owned() };
    let (state, kind): (&str, &str) = (row.try_get("state")?, row.try_get("record_kind")?);
    Ok(FlowVersion {
        id: FlowVersionId(row.try_get("id")?),
        flow,
        version: row.try_get("version")?,
        state: FlowState::parse(state).ok_or_else(|| corrupt("the state", state))?,
        spec: spec(row, flow)?,
        kind: RecordKind::parse(kind).ok_or_else(|| corrupt("the kind", kind))?,
        source: ConnectionId(row.try_get("source_connection_id")?),
        destination: ConnectionId(row.try_get("destination_connection_id")?),
    })
}

/// What a row of `flow_versions` says: `filter`, `source_mapping`, `mapping`, `policy`, `trigger`.
pub(super) fn spec(row: &PgRow, flow: FlowId) -> Result<FlowSpec, StoreError> {
    Ok(FlowSpec {
        filter: row.try_get("filter")?,
        source_mapping: from_json(row.try_get("source_mapping")?, "the source mapping", flow)?,
        mapping: from_json(row.try_get("mapping")?, "the mapping", flow)?,
        policy: from_json(row.try_get("policy")?, "the policy", flow)?,
        trigger: from_json(row.try_get("trigger")?, "the trigger", flow)?,
    })
}

fn from_json<T: serde::de::DeserializeOwned>(json: serde_json::Value, what: &'static str, flow: FlowId) -> Result<T, StoreError> {
    serde_json::from_value(json).map_err(|error| StoreError::Corrupt { what, id: flow.to_string(), why: error.to_string() })
}
