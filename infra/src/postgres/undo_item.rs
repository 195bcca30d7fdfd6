//! The pages of a preview: deliveries of the version that is undone with what stood there before, and the items that are made of them. Each page
//! is one transaction, so that a worker that dies leaves none half done.

use chrono::{DateTime, Utc};
use domain::delivery::DeliveryState;
use domain::id::{DeliveryId, FlowVersionId, LookupTableId, UndoId, UndoItemId};
use domain::undo::{Change, Later, Report, Told};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::revision::RevisionRow;
use super::undo::Undo;
use super::{StoreError, TenantStore};

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
pub(super) const LATER: &str = "LEFT JOIN LATERAL (
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

pub(super) fn state(row: &PgRow, column: &str) -> Result<Option<DeliveryState>, sqlx::Error> {
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
