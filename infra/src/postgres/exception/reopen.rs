//! The way back from ignoring: what was left is open again, as it was before. Nothing is sent by that; a retry goes the way of every retry.
//! Exceptions whose place something later has taken stay as they are, and are told.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Utc};
use domain::audit::Action;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::retry::{SELECTED_MAX, Selection};
use crate::postgres::receive::audit_each;
use crate::postgres::{StoreError, TenantStore, difference, inventory, three_way_match};

/// Why an ignored exception cannot be opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stays {
    /// A later version of the record took its place: what is older must not come after it.
    Overtaken,
    /// It is not at its source any more.
    Deleted,
    /// What it was made of was erased.
    Erased,
    /// What it was about does not stand as ignoring left it.
    Elsewhere,
    /// The same is open already.
    Open,
}

impl Stays {
    pub const ALL: [Stays; 5] = [Self::Overtaken, Self::Deleted, Self::Erased, Self::Elsewhere, Self::Open];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overtaken => "overtaken",
            Self::Deleted => "deleted",
            Self::Erased => "erased",
            Self::Elsewhere => "elsewhere",
            Self::Open => "open",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stays| stays.as_str() == text)
    }

    /// Why, and what to do instead.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Overtaken => {
                "A later version of the record took its place: what counts is that one. Where it stopped, work its own exception."
            }
            Self::Deleted => "It was deleted at its source. Where it is there again, the source's next word of it is delivered.",
            Self::Erased => "What it was made of was erased with the data of a person. There is nothing left to send.",
            Self::Elsewhere => {
                "What it was about went on another way since it was ignored. Look at the record's history for where it stands now."
            }
            Self::Open => "The same is open again already. Work that exception.",
        }
    }
}

/// What became of the act.
#[derive(Debug, Default)]
pub struct Reopened {
    /// Those that are open again.
    pub ids: Vec<Uuid>,
    /// How many stay ignored, by why.
    pub stays: BTreeMap<Stays, usize>,
    /// More of them can be opened again: the act is to be done again.
    pub has_more: bool,
}

/// An ignored exception, and whether it may be open again.
struct Judged {
    id: Uuid,
    delivery: Option<Uuid>,
    message: Option<Uuid>,
    /// The record that it is about, where one is known.
    record: Option<Uuid>,
    is_difference: bool,
    resolution: Option<String>,
    /// Of two that are about the same, one may be open.
    subject: String,
    stays: Option<Stays>,
}

/// Exceptions that are ignored, with why they cannot be open again; NULL where they can. Leans on exceptions_ignored and the primary key for which
/// these are, on deliveries_record for what came later, on the unique key of records, messages_left and record_revisions_record for messages.
///
/// What would have ended an exception while it was open ends one that was ignored as well: a later revision that is planned, a deletion, a later
/// message of the same thing. Beside that nothing later may have had an effect at the destination, or may be about to have one: while it was
/// cancelled, the delivery stood before no other.
const JUDGED: &str = "WITH f AS MATERIALIZED (
        SELECT e.* FROM exceptions e
        WHERE e.tenant_id = current_tenant() AND e.state = 'ignored' AND (e.id = ANY($1) OR e.cause_key = $2)
          AND ($3::timestamptz IS NULL OR e.closed_at = $3)
    )
    SELECT f.id, f.delivery_id, f.message_id, coalesce(d.record_id, f.record_id, t.id) AS record_id, f.resolution, k.is_difference,
        CASE WHEN f.check_kind IS NULL THEN coalesce(f.delivery_id, f.message_id)::text
             -- Of the stock of an item one is open, which is worded anew when its numbers change.
             WHEN f.check_kind = 'inventory' THEN concat_ws('|', f.record_id, f.check_kind, f.connection_id, f.code)
             ELSE concat_ws('|', f.record_id, f.check_kind, md5(f.sentence)) END AS subject,
        CASE
            WHEN octet_length(v.document) = 77 AND is_tombstone(v.document) THEN 'erased'
            WHEN octet_length(m.body) = 77 AND is_tombstone(m.body) THEN 'erased'
            WHEN f.delivery_id IS NOT NULL AND d.id IS NULL OR f.message_id IS NOT NULL AND m.id IS NULL THEN 'elsewhere'
            -- The very act that closed the exception is what cancelled the delivery, or accepted the difference.
            WHEN k.is_difference AND NOT (d.state IN ('confirmed', 'reconciled', 'superseded', 'cancelled') AND EXISTS (
                     SELECT FROM differences x WHERE x.delivery_id = d.id AND x.state = 'accepted' AND x.closed_at = f.closed_at)) THEN 'elsewhere'
            WHEN NOT k.is_difference AND d.id IS NOT NULL AND (d.state <> 'cancelled' OR d.settled_at IS DISTINCT FROM f.closed_at) THEN 'elsewhere'
            WHEN m.state <> 'ignored' THEN 'elsewhere'
            -- A write that may have had its effect is proven whatever came after it, and what was sent wrongly is still undone.
            WHEN NOT k.is_difference AND d.undoes IS NULL AND NOT d.unproven AND d.calls_done = 0 AND r.deleted_at IS NOT NULL THEN 'deleted'
            WHEN t.deleted_at >= m.received_at THEN 'deleted'
            -- A deletion of what never became a record settles so, and no person decided about it.
            WHEN t.id IS NULL AND EXISTS (
                SELECT FROM messages x WHERE x.connection_id = m.connection_id AND x.source_id = m.source_id AND x.record_kind = m.record_kind
                  AND x.state = 'ignored' AND x.id > m.id AND NOT EXISTS (SELECT FROM exceptions o WHERE o.message_id = x.id)) THEN 'deleted'
            WHEN NOT k.is_difference AND d.undoes IS NULL AND NOT d.unproven AND d.calls_done = 0 AND r.revision > d.revision
                 -- A flow that delivers each revision keeps those before, unless it does not take the record any more.
                 AND (w.policy->>'ordering' IS DISTINCT FROM 'each' OR NOT EXISTS (
                     SELECT FROM deliveries o WHERE o.record_id = d.record_id AND o.flow_id = d.flow_id AND o.revision = r.revision)) THEN 'overtaken'
            WHEN EXISTS (
                SELECT FROM deliveries o WHERE o.record_id = d.record_id AND o.connection_id = d.connection_id
                  AND (o.revision > d.revision AND NOT (o.state IN ('exception', 'superseded', 'cancelled') AND NOT o.unproven
                                                        AND o.calls_done = 0 AND o.resends = 0 AND o.receipt_id IS NULL)
                    -- What undoes it, or undid the same later.
                    OR o.revision = d.revision AND o.flow_id = d.flow_id AND o.id > d.id AND o.state NOT IN ('superseded', 'cancelled')))
                THEN 'overtaken'
            WHEN EXISTS (SELECT FROM record_revisions x WHERE x.record_id = t.id AND x.message_id > m.id) THEN 'overtaken'
            WHEN EXISTS (SELECT FROM exceptions o WHERE o.delivery_id = f.delivery_id AND o.state = 'open') THEN 'open'
            WHEN EXISTS (SELECT FROM exceptions o WHERE o.message_id = f.message_id AND o.state = 'open') THEN 'open'
            WHEN f.check_kind IS NOT NULL AND EXISTS (
                SELECT FROM exceptions o WHERE o.record_id = f.record_id AND o.check_kind = f.check_kind AND o.state = 'open'
                  AND (o.sentence = f.sentence OR f.check_kind = 'inventory' AND o.connection_id = f.connection_id AND o.code = f.code))
                THEN 'open'
            WHEN k.is_difference AND EXISTS (
                SELECT FROM differences x JOIN differences o ON o.flow_id = x.flow_id AND o.kind = x.kind AND o.thing = x.thing AND o.state = 'open'
                WHERE x.delivery_id = d.id AND x.state = 'accepted' AND x.closed_at = f.closed_at) THEN 'open'
        END AS stays
    FROM f
    CROSS JOIN LATERAL (SELECT f.code LIKE 'difference.%' AND f.delivery_id IS NOT NULL AS is_difference) k
    LEFT JOIN deliveries d ON d.id = f.delivery_id
    LEFT JOIN messages m ON m.tenant_id = f.tenant_id AND m.id = f.message_id
    LEFT JOIN records r ON r.id = d.record_id
    LEFT JOIN record_revisions v ON v.tenant_id = d.tenant_id AND v.id = d.revision_id
    LEFT JOIN flow_versions w ON w.id = d.flow_version_id
    -- What a message that became no record is about, where others of the same thing did.
    LEFT JOIN records t ON t.connection_id = m.connection_id AND t.kind = m.record_kind AND t.source_id = m.source_id
    ORDER BY f.id";

impl TenantStore<'_> {
    /// Opens ignored exceptions again, oldest first; with `ended_at` only those of the act that ignored them then. Their deliveries and messages wait
    /// for a person as before. What cannot be open again stays, and is counted.
    ///
    /// # Errors
    /// Where the database does not answer, or the same difference was found again in the same moment: then nothing was done.
    pub async fn exceptions_reopen(
        &self,
        selection: &Selection,
        ended_at: Option<DateTime<Utc>>,
    ) -> Result<Reopened, StoreError> {
        let mut tx = self.begin().await?;
        let mut reopened = Reopened::default();
        let found = judged(&mut tx, &selection.ids, selection.cause_key.as_deref(), ended_at).await?;
        let mut able = reopened.keep_able(found);
        let most = usize::try_from(SELECTED_MAX).unwrap_or(usize::MAX);
        reopened.has_more = able.len() > most;
        able.truncate(most);
        // Looked at again with all in hand: what came between the first look and that is seen, and what comes from then on sees these open.
        hold(&mut tx, &able).await?;
        let able_ids: Vec<Uuid> = able.iter().map(|one| one.id).collect();
        let found = judged(&mut tx, &able_ids, None, None).await?;
        let able = reopened.keep_able(found);
        let differences: Vec<Uuid> = able.iter().filter(|one| one.is_difference).map(|one| one.id).collect();
        difference::reopen(&mut tx, self.scope(), &differences).await?;
        let opened: HashSet<Uuid> = sqlx::query_scalar(
            "UPDATE exceptions SET state = 'open', resolution = NULL, closed_at = NULL
             WHERE id = ANY($1) AND tenant_id = $2 AND state = 'ignored' RETURNING id",
        )
        .bind(able.iter().map(|one| one.id).collect::<Vec<_>>())
        .bind(self.scope().tenant.0)
        .fetch_all(&mut *tx)
        .await?
        .into_iter()
        .collect();
        let able: Vec<Judged> = able.into_iter().filter(|one| opened.contains(&one.id)).collect();
        sqlx::query("UPDATE deliveries SET state = 'exception', settled_at = NULL WHERE id = ANY($1) AND tenant_id = $2 AND state = 'cancelled'")
            .bind(able.iter().filter_map(|one| one.delivery).collect::<Vec<_>>())
            .bind(self.scope().tenant.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE messages SET state = 'exception' WHERE id = ANY($1) AND tenant_id = $2 AND state = 'ignored'")
            .bind(able.iter().filter_map(|one| one.message).collect::<Vec<_>>())
            .bind(self.scope().tenant.0)
            .execute(&mut *tx)
            .await?;
        reopened.ids = able.iter().map(|one| one.id).collect();
        // What a check found is looked at again: it may not be so any more.
        three_way_match::again(&mut tx, self.scope().tenant, &reopened.ids).await?;
        inventory::again(&mut tx, self.scope().tenant, &reopened.ids).await?;
        let told: Vec<Option<String>> = able
            .iter()
            .map(|one| Some(serde_json::json!({ "ignored_because": one.resolution.as_deref()? }).to_string()))
            .collect();
        let details: Vec<Option<&str>> = told.iter().map(Option::as_deref).collect();
        audit_each(&mut tx, self.scope(), Action::ExceptionReopened, "exception", &reopened.ids, &details).await?;
        self.tell_group(&mut tx, selection, Action::ExceptionGroupReopened, reopened.ids.len(), None).await?;
        tx.commit().await?;
        Ok(reopened)
    }
}

impl Reopened {
    /// Those that may be open again; the others are counted.
    fn keep_able(&mut self, found: Vec<Judged>) -> Vec<Judged> {
        let mut subjects: HashSet<String> = HashSet::with_capacity(found.len());
        let mut able = Vec::with_capacity(found.len());
        for one in found {
            let stays = one.stays.or_else(|| (!subjects.insert(one.subject.clone())).then_some(Stays::Open));
            match stays {
                Some(stays) => *self.stays.entry(stays).or_default() += 1,
                None => able.push(one),
            }
        }
        able
    }
}

async fn judged(
    tx: &mut Transaction<'static, Postgres>,
    ids: &[Uuid],
    cause_key: Option<&str>,
    ended_at: Option<DateTime<Utc>>,
) -> Result<Vec<Judged>, StoreError> {
    let rows = sqlx::query(JUDGED).bind(ids).bind(cause_key).bind(ended_at).fetch_all(&mut **tx).await?;
    let judged = |row: sqlx::postgres::PgRow| -> Result<Judged, StoreError> {
        let id: Uuid = row.try_get("id")?;
        let word: Option<&str> = row.try_get("stays")?;
        let stays = word.map(|word| {
            let why = format!("\"{word}\" is no reason to stay ignored");
            Stays::parse(word).ok_or_else(|| StoreError::Corrupt { what: "what was ignored", id: id.to_string(), why })
        });
        Ok(Judged {
            id,
            delivery: row.try_get("delivery_id")?,
            message: row.try_get("message_id")?,
            record: row.try_get("record_id")?,
            is_difference: row.try_get("is_difference")?,
            resolution: row.try_get("resolution")?,
            subject: row.try_get("subject")?,
            stays: stays.transpose()?,
        })
    };
    rows.into_iter().map(judged).collect()
}

/// Takes what these are about in hand, in the order in which whoever receives does: no revision comes to the records, and nothing moves of what
/// stopped or was ignored at the same destination.
async fn hold(tx: &mut Transaction<'static, Postgres>, able: &[Judged]) -> Result<(), StoreError> {
    let records: Vec<Uuid> = able.iter().filter_map(|one| one.record).collect();
    sqlx::query("SELECT id FROM records WHERE id = ANY($1) ORDER BY connection_id, kind, source_id FOR NO KEY UPDATE")
        .bind(&records)
        .execute(&mut **tx)
        .await?;
    let (delivered, deliveries): (Vec<Uuid>, Vec<Uuid>) = able.iter().filter_map(|one| one.record.zip(one.delivery)).unzip();
    // These, and what came later to where they go. No index has the state so: what waits for a connection would be read to its end for these.
    sqlx::query(
        "SELECT o.id FROM deliveries o WHERE o.record_id = ANY($1) AND o.state || '' IN ('exception', 'cancelled')
           AND EXISTS (SELECT FROM deliveries d WHERE d.id = ANY($2) AND d.record_id = o.record_id AND d.connection_id = o.connection_id
                         AND d.revision <= o.revision)
         ORDER BY o.id FOR UPDATE OF o",
    )
    .bind(&delivered)
    .bind(&deliveries)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_to_stay_is_asked_for_and_says_what_to_do() {
        for stays in Stays::ALL {
            assert_eq!(Stays::parse(stays.as_str()), Some(stays));
            assert!(JUDGED.contains(&format!("THEN '{}'", stays.as_str())), "{stays:?} is never found");
            assert!(stays.sentence().ends_with('.'));
        }
    }
}
