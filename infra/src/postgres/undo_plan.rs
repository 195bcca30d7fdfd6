//! What an approved undo plans, page by page: a delivery for each item that is to be sent, unless something came for its record since the
//! preview. A page is one transaction, so that a worker that dies leaves none half planned.

use std::collections::HashMap;

use domain::audit::Action;
use domain::delivery::DeliveryState;
use domain::id::{ConnectionId, DeliveryId, UndoId};
use domain::lane::Lane;
use domain::record::RecordKind;
use domain::task::Nudge;
use domain::undo::{About, Goal, ItemKind, Later, Plan, Seen, Told, plan};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::audit_told;
use super::undo_item::{LATER, state};
use super::{StoreError, TenantStore};

/// Items of one transaction that plans.
const PLAN_PAGE: i64 = 500;
/// Deliveries of an undo that are nudged at once; the others are brought by the sweeper as these are done.
const NUDGED_MAX: i64 = 500;

/// What became of a page that plans.
#[derive(Debug)]
pub enum PlanPage {
    /// Deliveries to nudge; there may be more to plan.
    Planned(Vec<Nudge>),
    /// All are planned, or it is not approved.
    Over,
}

impl TenantStore<'_> {
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
    ) -> Result<Vec<Nudge>, StoreError> {
        let before: i64 =
            sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE undo_id = $1").bind(id.0).fetch_one(&mut **tx).await?;
        let rows = sqlx::query(
            "WITH planned AS (
                 INSERT INTO deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, origin_at,
                                         payload_edits, undoes, undo_id, due_at, sweep_at, lane)
                 SELECT n.id, d.tenant_id, d.flow_id, i.flow_version_id, d.record_id, d.revision, i.revision_id, d.connection_id, i.origin_at,
                        i.payload_edits, d.id, i.undo_id, now(),
                        now() + CASE WHEN $4 + n.at <= $5 THEN interval '10 seconds' ELSE make_interval(secs => n.at / 1000000.0) END, $6
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
        .bind(Lane::Backfill.rank())
        .fetch_all(&mut **tx)
        .await?;
        let (mut planned, mut details, mut nudges) = (Vec::new(), Vec::new(), Vec::new());
        for row in rows {
            let (delivery, undoes): (Uuid, Uuid) = (row.try_get("id")?, row.try_get("undoes")?);
            let connection = ConnectionId(row.try_get("connection_id")?);
            nudges.push(Nudge::new(self.scope().tenant, connection, Lane::Backfill, delivery));
            details
                .push(serde_json::json!({"undo": id, "undoes": DeliveryId(undoes), "version": version, "why": why}).to_string());
            planned.push(delivery);
        }
        audit_told(tx, self.scope(), Action::DeliveryUndone, "delivery", &planned, &details).await?;
        nudges.truncate(usize::try_from(NUDGED_MAX - before).unwrap_or(0));
        Ok(nudges)
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
