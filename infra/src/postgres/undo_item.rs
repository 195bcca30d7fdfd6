//! The pages of an undo: deliveries of the version that is undone with what stood there before, the items that a preview makes of them, and
//! the deliveries that are planned once it is approved. Each page is one transaction, so that a worker that dies leaves none half done.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::delivery::DeliveryState;
use domain::id::{ConnectionId, DeliveryId, FlowVersionId, LookupTableId, UndoId, UndoItemId};
use domain::record::RecordKind;
use domain::task::Place;
use domain::undo::{About, Change, Goal, ItemKind, Later, Plan, Report, Seen, Told, plan};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::audit_each;
use super::revision::RevisionRow;
use super::undo::Undo;
use super::{StoreError, TenantStore};

/// Items of one transaction that plans.
const PLAN_PAGE: i64 = 500;
/// Deliveries of an undo that are nudged at once; the others are brought by the sweeper, [`PACE_PER_S`] of them a second, so that an order that
/// arrives meanwhile finds the way to its destination free.
const NUDGED_MAX: i64 = 500;
const PACE_PER_S: f64 = 100.0;

/// What was sent: the payload, and what was known of the destination.
#[derive(Debug, Clone)]
pub struct SentPayload {
    pub request: Vec<u8>,
    pub inputs: Option<String>,
    pub at: DateTime<Utc>,
}

/// What stood at the destination before.
#[derive(Debug, Clone)]
pub struct PreviousDelivery {
    pub id: DeliveryId,
    pub version: FlowVersionId,
    pub revision_id: Uuid,
    pub edits: Option<String>,
    pub revision: RevisionRow,
    pub sent: Option<SentPayload>,
}

/// A delivery of the version that is undone, with all that its item is made of.
#[derive(Debug, Clone)]
pub struct Undoable {
    pub id: DeliveryId,
    pub state: DeliveryState,
    pub revision_id: Uuid,
    pub edits: Option<String>,
    pub revision: RevisionRow,
    pub sent: Option<SentPayload>,
    pub later: Option<Later>,
    pub is_different: bool,
    pub has_id: bool,
    pub previous: Option<PreviousDelivery>,
}

/// What an item will send.
#[derive(Debug, Clone)]
pub struct Sends {
    pub version: FlowVersionId,
    pub revision_id: Uuid,
    pub origin_at: DateTime<Utc>,
    pub edits: Option<String>,
}

/// One item of a preview.
#[derive(Debug, Clone)]
pub struct NewItem {
    pub delivery: DeliveryId,
    pub record: Uuid,
    pub told: Told,
    pub previous: Option<DeliveryId>,
    pub is_exact: Option<bool>,
    pub is_behind: bool,
    pub changes: Vec<Change>,
    pub changes_untold: usize,
    /// None where nothing is sent.
    pub sends: Option<Sends>,
}

/// What became of a page that plans.
#[derive(Debug)]
pub enum PlanPage {
    /// Deliveries to nudge; there may be more to plan.
    Planned(Vec<(Place, Uuid)>),
    /// All are planned, or it is not approved.
    Over,
}

/// An item, as people read it.
#[derive(Debug, Clone)]
pub struct UndoItem {
    pub id: UndoItemId,
    pub delivery: Uuid,
    pub record: Uuid,
    pub number: Option<String>,
    pub revision: i32,
    pub kind: String,
    pub code: String,
    pub sentence: String,
    pub owner: String,
    pub next_step: Option<String>,
    pub previous: Option<Uuid>,
    pub previous_revision: Option<i32>,
    pub is_exact: Option<bool>,
    pub is_behind: bool,
    pub changes: Vec<Change>,
    pub changes_untold: i32,
    pub undoing: Option<Uuid>,
    pub undoing_state: Option<String>,
}

/// What came later to the same destination: what has settled before what is under way.
const LATER: &str = "LEFT JOIN LATERAL (
         SELECT e.state FROM deliveries e
         WHERE e.record_id = p.record_id AND e.connection_id = p.connection_id AND e.state NOT IN ('superseded', 'cancelled')
           AND (e.revision > p.revision OR (e.revision = p.revision AND e.flow_id = p.flow_id AND e.id > p.id))
         ORDER BY e.state IN ('confirmed', 'reconciled') DESC, e.revision DESC LIMIT 1) l ON true";

impl TenantStore<'_> {
    /// The next deliveries of the version that is undone, in the order of their ids. Leans on deliveries_version for the page, on
    /// deliveries_record and attempts_delivery for what came before and after each.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn undo_page(&self, undo: &Undo, first: i64) -> Result<Vec<Undoable>, StoreError> {
        const SENT: &str = "SELECT a.request, a.inputs, a.started_at FROM attempts a
             WHERE a.delivery_id = ID AND a.kind IN ('write', 'update') AND a.outcome IS DISTINCT FROM 'not_sent'
             ORDER BY a.number DESC LIMIT 1";
        let sql = format!(
            "WITH page AS (
                 SELECT d.id, d.tenant_id, d.flow_id, d.record_id, d.revision, d.revision_id, d.connection_id, d.state, d.origin_at, d.payload_edits
                 FROM deliveries d
                 WHERE d.flow_version_id = $1 AND d.id > $2 AND d.state NOT IN ('superseded', 'cancelled')
                   AND ($3::timestamptz IS NULL OR d.settled_at IS NULL OR d.settled_at >= $3)
                 ORDER BY d.id LIMIT $4
             )
             SELECT p.id, p.state, p.revision_id, p.payload_edits, p.record_id, r.source_id, r.number, p.revision, v.document, v.unbalanced, p.origin_at,
                    a.request, a.inputs, a.started_at, l.state AS later,
                    EXISTS (SELECT FROM differences x WHERE x.delivery_id = p.id AND x.state = 'open') AS is_different,
                    EXISTS (SELECT FROM deliveries e WHERE e.record_id = p.record_id AND e.connection_id = p.connection_id
                              AND e.revision <= p.revision AND e.receipt_id IS NOT NULL) AS has_id,
                    w.id AS w_id, w.flow_version_id AS w_version, w.revision AS w_revision, w.revision_id AS w_revision_id, w.payload_edits AS w_edits,
                    w.origin_at AS w_origin_at, wv.document AS w_document, wv.unbalanced AS w_unbalanced,
                    wa.request AS w_request, wa.inputs AS w_inputs, wa.started_at AS w_started_at
             FROM page p
             JOIN records r ON r.id = p.record_id
             JOIN record_revisions v ON v.tenant_id = p.tenant_id AND v.id = p.revision_id
             LEFT JOIN LATERAL ({}) a ON true
             {LATER}
             LEFT JOIN LATERAL (
                 SELECT e.id, e.flow_version_id, e.revision, e.revision_id, e.payload_edits, e.origin_at FROM deliveries e
                 WHERE e.record_id = p.record_id AND e.connection_id = p.connection_id AND e.flow_id = p.flow_id AND e.flow_version_id <> $1
                   AND (e.revision < p.revision OR (e.revision = p.revision AND e.id < p.id)) AND e.state IN ('confirmed', 'reconciled')
                 ORDER BY e.revision DESC, e.id DESC LIMIT 1) w ON true
             LEFT JOIN record_revisions wv ON wv.tenant_id = p.tenant_id AND wv.id = w.revision_id
             LEFT JOIN LATERAL ({}) wa ON true
             ORDER BY p.id",
            SENT.replace("ID", "p.id"),
            SENT.replace("ID", "w.id"),
        );
        let mut tx = self.begin().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(undo.version.0)
            .bind(undo.cursor.unwrap_or_default())
            .bind(undo.since)
            .bind(first)
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        rows.iter().map(undoable).collect()
    }

    /// Keeps the items of a page, and how far the preview came; false where somebody else did, or it is not to go on.
    ///
    /// # Errors
    /// Where the transaction did not commit.
    pub async fn undo_page_keep(
        &self,
        undo: &Undo,
        items: &[NewItem],
        report: &Report,
        tables: &[(LookupTableId, i64)],
        lease_s: f64,
    ) -> Result<bool, StoreError> {
        let Some(last) = items.last() else { return Ok(true) };
        let mut tx = self.begin().await?;
        let kept = sqlx::query(
            "UPDATE undos SET cursor = $3, report = $4, tables = $5, tries = 0, lease_until = now() + make_interval(secs => $6)
             WHERE id = $1 AND state = 'preparing' AND cursor IS NOT DISTINCT FROM $2",
        )
        .bind(undo.id.0)
        .bind(undo.cursor)
        .bind(last.delivery.0)
        .bind(serde_json::to_value(report).expect("a report is plain data"))
        .bind(serde_json::to_value(tables).expect("ids and numbers are plain data"))
        .bind(lease_s)
        .execute(&mut *tx)
        .await?;
        if kept.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query(
            "INSERT INTO undo_items (id, tenant_id, undo_id, delivery_id, record_id, kind, code, sentence, owner, next_step, previous_id, is_exact,
                                     is_behind, changes, changes_untold, flow_version_id, revision_id, origin_at, payload_edits)
             SELECT id, $1, $2, delivery_id, record_id, kind, code, sentence, owner, next_step, previous_id, is_exact, is_behind, changes,
                    changes_untold, flow_version_id, revision_id, origin_at, payload_edits
             FROM unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::uuid[], $12::bool[],
                         $13::bool[], $14::jsonb[], $15::int[], $16::uuid[], $17::uuid[], $18::timestamptz[], $19::text[])
                  AS i (id, delivery_id, record_id, kind, code, sentence, owner, next_step, previous_id, is_exact, is_behind, changes, changes_untold,
                        flow_version_id, revision_id, origin_at, payload_edits)",
        )
        .bind(self.scope().tenant.0)
        .bind(undo.id.0)
        .bind(items.iter().map(|_| UndoItemId::generate().0).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.delivery.0).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.record).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.told.kind.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.told.code.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.told.sentence.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.told.owner.as_str()).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.told.next_step.as_deref()).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.previous.map(|id| id.0)).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.is_exact).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.is_behind).collect::<Vec<_>>())
        .bind(items.iter().map(|i| serde_json::to_value(&i.changes).expect("texts are plain data")).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i32::try_from(i.changes_untold).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.sends.as_ref().map(|s| s.version.0)).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.sends.as_ref().map(|s| s.revision_id)).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.sends.as_ref().map(|s| s.origin_at)).collect::<Vec<_>>())
        .bind(items.iter().map(|i| i.sends.as_ref().and_then(|s| s.edits.as_deref())).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Plans the next items of an undo that was approved. Each is looked at again under the lock of its record, which a new revision of it
    /// takes too: what something came for since the preview is left, with the reason, and is never written over.
    ///
    /// # Errors
    /// Where the transaction did not commit: then none of the page is planned.
    pub async fn undo_plan(&self, id: UndoId, lease_s: f64) -> Result<PlanPage, StoreError> {
        let mut tx = self.begin().await?;
        let undo = sqlx::query("SELECT version, why FROM undos WHERE id = $1 AND state = 'approved' FOR UPDATE");
        let Some(undo) = undo.bind(id.0).fetch_optional(&mut *tx).await? else { return Ok(PlanPage::Over) };
        let (version, why): (i32, Option<String>) = (undo.try_get("version")?, undo.try_get("why")?);
        let page: Vec<(Uuid, Uuid)> = sqlx::query_as(
            "SELECT id, record_id FROM undo_items WHERE undo_id = $1 AND kind IN ('restore', 'correct') AND undoing_id IS NULL ORDER BY id LIMIT $2",
        )
        .bind(id.0)
        .bind(PLAN_PAGE)
        .fetch_all(&mut *tx)
        .await?;
        if page.is_empty() {
            let over = sqlx::query("UPDATE undos SET state = 'delivering', tries = 0, lease_until = now() WHERE id = $1");
            over.bind(id.0).execute(&mut *tx).await?;
            tx.commit().await?;
            return Ok(PlanPage::Over);
        }
        let (items, records): (Vec<Uuid>, Vec<Uuid>) = page.into_iter().unzip();
        // In the order in which new revisions take them.
        sqlx::query("SELECT id FROM records WHERE id = ANY($1) ORDER BY connection_id, kind, source_id FOR NO KEY UPDATE")
            .bind(&records)
            .execute(&mut *tx)
            .await?;
        let mut left = leave(&mut tx, &items, version).await?;
        let going: Vec<Uuid> = items.into_iter().filter(|item| !left.contains_key(item)).collect();
        note_left(&mut tx, &mut left).await?;
        let nudges = self.undo_insert(&mut tx, id, &going, version, why.as_deref()).await?;
        sqlx::query("UPDATE undos SET tries = 0, lease_until = now() + make_interval(secs => $2) WHERE id = $1")
            .bind(id.0)
            .bind(lease_s)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(PlanPage::Planned(nudges))
    }

    async fn undo_insert(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        id: UndoId,
        items: &[Uuid],
        version: i32,
        why: Option<&str>,
    ) -> Result<Vec<(Place, Uuid)>, StoreError> {
        let before: i64 =
            sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE undo_id = $1").bind(id.0).fetch_one(&mut **tx).await?;
        let rows = sqlx::query(
            "WITH planned AS (
                 INSERT INTO deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, origin_at,
                                         payload_edits, undoes, undo_id, due_at, sweep_at)
                 SELECT n.id, d.tenant_id, d.flow_id, i.flow_version_id, d.record_id, d.revision, i.revision_id, d.connection_id, i.origin_at,
                        i.payload_edits, d.id, i.undo_id, now(),
                        now() + CASE WHEN $4 + n.at <= $5 THEN interval '10 seconds' ELSE make_interval(secs => ($4 + n.at - $5) / $6) END
                 FROM unnest($2::uuid[], $3::uuid[]) WITH ORDINALITY AS n (item_id, id, at)
                 JOIN undo_items i ON i.id = n.item_id JOIN deliveries d ON d.id = i.delivery_id
                 ON CONFLICT (undoes, undo_id) WHERE undoes IS NOT NULL DO NOTHING
                 RETURNING id, undoes, connection_id
             ), noted AS (
                 UPDATE undo_items i SET undoing_id = p.id FROM planned p WHERE i.undo_id = $1 AND i.delivery_id = p.undoes
             )
             SELECT id, undoes, connection_id FROM planned ORDER BY id",
        )
        .bind(id.0)
        .bind(items)
        .bind(items.iter().map(|_| DeliveryId::generate().0).collect::<Vec<_>>())
        .bind(before)
        .bind(NUDGED_MAX)
        .bind(PACE_PER_S)
        .fetch_all(&mut **tx)
        .await?;
        let (mut planned, mut details, mut nudges) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let (delivery, undoes): (Uuid, Uuid) = (row.try_get("id")?, row.try_get("undoes")?);
            let place = Place { tenant: self.scope().tenant, connection: Some(ConnectionId(row.try_get("connection_id")?)) };
            nudges.push((place, delivery));
            details
                .push(serde_json::json!({"undo": id, "undoes": DeliveryId(undoes), "version": version, "why": why}).to_string());
            planned.push(delivery);
        }
        let details: Vec<Option<&str>> = details.iter().map(|detail| Some(detail.as_str())).collect();
        audit_each(tx, self.scope(), Action::DeliveryUndone, "delivery", &planned, &details).await?;
        nudges.truncate(usize::try_from(NUDGED_MAX - before).unwrap_or(0));
        Ok(nudges)
    }

    /// Items of an undo in the order they were found, those of a kind or all, with what they say and how what they send stands.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn undo_items(
        &self,
        id: UndoId,
        kind: Option<&str>,
        after: Option<Uuid>,
        first: i64,
    ) -> Result<Vec<UndoItem>, StoreError> {
        let mut tx = self.begin().await?;
        // Leans on undo_items_list.
        let rows = sqlx::query(
            "SELECT i.*, r.number, d.revision, w.revision AS previous_revision, u.state AS undoing_state
             FROM (SELECT * FROM undo_items WHERE undo_id = $1 AND id > $2 AND ($3::text IS NULL OR kind = $3) ORDER BY id LIMIT $4) i
             JOIN records r ON r.id = i.record_id JOIN deliveries d ON d.id = i.delivery_id
             LEFT JOIN deliveries w ON w.id = i.previous_id LEFT JOIN deliveries u ON u.id = i.undoing_id ORDER BY i.id",
        )
        .bind(id.0)
        .bind(after.unwrap_or_default())
        .bind(kind)
        .bind(first)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        rows.iter().map(item).collect()
    }
}

/// Which items something came for since the preview, with what is told of each.
async fn leave(tx: &mut Transaction<'static, Postgres>, items: &[Uuid], version: i32) -> Result<HashMap<Uuid, Told>, StoreError> {
    let sql = format!(
        "SELECT i.id, p.state, l.state AS later, r.kind, r.number, r.source_id, c.name AS destination,
                EXISTS (SELECT FROM differences x WHERE x.delivery_id = p.id AND x.state = 'open') AS is_different
         FROM undo_items i JOIN deliveries p ON p.id = i.delivery_id JOIN records r ON r.id = p.record_id
         JOIN connections c ON c.id = p.connection_id {LATER}
         WHERE i.id = ANY($1)"
    );
    let mut left = HashMap::new();
    for row in sqlx::query(sqlx::AssertSqlSafe(sql)).bind(items).fetch_all(&mut **tx).await? {
        let seen = Seen {
            state: state(&row, "state")?.unwrap_or(DeliveryState::Unknown),
            later: state(&row, "later")?.map(Later::of),
            is_different: row.try_get("is_different")?,
            // The preview decided about the rest.
            was_sent: true,
            has_id: true,
            updates: true,
            has_previous: true,
            has_good: true,
            is_misread: false,
        };
        if let Plan::Tell(code) = plan(&seen, Goal::Previous, false) {
            let (number, source_id): (Option<String>, String) = (row.try_get("number")?, row.try_get("source_id")?);
            let kind = RecordKind::parse(row.try_get("kind")?).unwrap_or(RecordKind::Order);
            let thing = connectors::flow::thing(kind, number.as_deref().unwrap_or(&source_id));
            let about = About { thing: &thing, destination: row.try_get("destination")?, version };
            left.insert(row.try_get("id")?, Told { kind: ItemKind::Left, ..Told::why(code, about) });
        }
    }
    Ok(left)
}

async fn note_left(tx: &mut Transaction<'static, Postgres>, left: &mut HashMap<Uuid, Told>) -> Result<(), StoreError> {
    if left.is_empty() {
        return Ok(());
    }
    let left: Vec<(Uuid, Told)> = left.drain().collect();
    sqlx::query(
        "UPDATE undo_items u SET kind = 'left', code = i.code, sentence = i.sentence, next_step = i.next_step
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS i (id, code, sentence, next_step) WHERE u.id = ANY($1) AND u.id = i.id",
    )
    .bind(left.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(left.iter().map(|(_, told)| told.code.as_str()).collect::<Vec<_>>())
    .bind(left.iter().map(|(_, told)| told.sentence.as_str()).collect::<Vec<_>>())
    .bind(left.iter().map(|(_, told)| told.next_step.as_deref()).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

fn state(row: &PgRow, column: &str) -> Result<Option<DeliveryState>, sqlx::Error> {
    Ok(row.try_get::<Option<&str>, _>(column)?.and_then(DeliveryState::parse))
}

fn undoable(row: &PgRow) -> Result<Undoable, StoreError> {
    let sent = |request: &str, inputs: &str, at: &str| -> Result<Option<SentPayload>, sqlx::Error> {
        let Some(request) = row.try_get::<Option<Vec<u8>>, _>(request)? else { return Ok(None) };
        Ok(Some(SentPayload { request, inputs: row.try_get(inputs)?, at: row.try_get(at)? }))
    };
    let revision = RevisionRow::read(row)?;
    let previous = match row.try_get::<Option<Uuid>, _>("w_id")? {
        None => None,
        Some(id) => Some(PreviousDelivery {
            id: DeliveryId(id),
            version: FlowVersionId(row.try_get("w_version")?),
            revision_id: row.try_get("w_revision_id")?,
            edits: row.try_get("w_edits")?,
            revision: RevisionRow {
                revision: row.try_get("w_revision")?,
                document: row.try_get("w_document")?,
                unbalanced: row.try_get("w_unbalanced")?,
                origin_at: row.try_get("w_origin_at")?,
                ..revision.clone()
            },
            sent: sent("w_request", "w_inputs", "w_started_at")?,
        }),
    };
    Ok(Undoable {
        id: DeliveryId(row.try_get("id")?),
        state: state(row, "state")?.unwrap_or(DeliveryState::Unknown),
        revision_id: row.try_get("revision_id")?,
        edits: row.try_get("payload_edits")?,
        revision,
        sent: sent("request", "inputs", "started_at")?,
        later: state(row, "later")?.map(Later::of),
        is_different: row.try_get("is_different")?,
        has_id: row.try_get("has_id")?,
        previous,
    })
}

fn item(row: &PgRow) -> Result<UndoItem, StoreError> {
    Ok(UndoItem {
        id: UndoItemId(row.try_get("id")?),
        delivery: row.try_get("delivery_id")?,
        record: row.try_get("record_id")?,
        number: row.try_get("number")?,
        revision: row.try_get("revision")?,
        kind: row.try_get("kind")?,
        code: row.try_get("code")?,
        sentence: row.try_get("sentence")?,
        owner: row.try_get("owner")?,
        next_step: row.try_get("next_step")?,
        previous: row.try_get("previous_id")?,
        previous_revision: row.try_get("previous_revision")?,
        is_exact: row.try_get("is_exact")?,
        is_behind: row.try_get("is_behind")?,
        changes: serde_json::from_value(row.try_get("changes")?).unwrap_or_default(),
        changes_untold: row.try_get("changes_untold")?,
        undoing: row.try_get("undoing_id")?,
        undoing_state: row.try_get("undoing_state")?,
    })
}
