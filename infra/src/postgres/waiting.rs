//! What is known of why deliveries wait: of all rows of a page in one statement. What to make of it is decided by [`domain::waiting`].

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::delivery::DeliveryState;
use domain::fault::Fault;
use domain::lane::Lane;
use domain::waiting::{self, Earlier, Incident, LastCall, Standing, Waiting};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::{StoreError, TenantStore};

/// Leans on the primary key of deliveries, deliveries_record, incidents_open, attempts_delivery and audit_events_subject. The tenant is left to row-level
/// security: named here, it would let the newest of a delivery be looked for among all that the tenant has.
const WAITING_SQL: &str = "SELECT d.id, d.state, d.due_at, d.planned_at, d.lane, d.failures, c.name AS destination, c.state = 'paused' AS is_paused,
        p.at AS paused_at, e.revision AS earlier_revision, e.state AS earlier_state, e.planned_at AS earlier_planned_at,
        i.sentence AS incident, i.opened_at AS incident_at, b.next_at AS incident_next_at, w.at AS put_off_at, a.ended_at AS called_at, a.fault
    FROM deliveries d
    JOIN connections c ON c.id = d.connection_id
    LEFT JOIN breakers b ON b.id = d.held_by AND d.state = 'held'
    LEFT JOIN incidents i ON i.breaker_id = b.id AND i.closed_at IS NULL
    -- As those who deliver it see it: what stands before it.
    LEFT JOIN LATERAL (
        SELECT o.revision, o.state, o.planned_at FROM deliveries o
        WHERE o.record_id = d.record_id AND o.connection_id = d.connection_id
          AND (o.revision < d.revision OR (o.revision = d.revision AND o.id < d.id))
          AND o.state NOT IN ('confirmed', 'reconciled', 'superseded', 'cancelled')
        ORDER BY o.revision, o.id LIMIT 1) e ON true
    LEFT JOIN LATERAL (
        SELECT t.ended_at, t.fault FROM attempts t
        WHERE t.delivery_id = d.id AND t.kind <> 'read' AND t.ended_at IS NOT NULL ORDER BY t.id DESC LIMIT 1) a ON true
    LEFT JOIN LATERAL (
        SELECT v.at FROM audit_events v
        WHERE v.subject_id = d.id AND v.action = $2 AND d.state = 'waiting' ORDER BY v.id DESC LIMIT 1) w ON true
    LEFT JOIN LATERAL (
        SELECT v.at FROM audit_events v
        WHERE v.subject_id = c.id AND v.action = $3 AND c.state = 'paused' ORDER BY v.id DESC LIMIT 1) p ON true
    WHERE d.id = ANY($1)";

impl TenantStore<'_> {
    /// Why these wait, by their ids; those that do not are not in it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn waiting(&self, deliveries: &[Uuid]) -> Result<HashMap<Uuid, Waiting>, StoreError> {
        if deliveries.is_empty() {
            return Ok(HashMap::new());
        }
        let mut tx = self.begin().await?;
        let query = sqlx::query(WAITING_SQL).bind(deliveries);
        let query = query.bind(Action::DeliveryWaits.as_str()).bind(Action::ConnectionPaused.as_str());
        let rows = query.fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let now = Utc::now();
        let mut found = HashMap::new();
        for row in rows {
            if let Some(waiting) = waiting::why(&standing(&row)?, now) {
                found.insert(row.try_get("id")?, waiting);
            }
        }
        Ok(found)
    }
}

fn standing(row: &PgRow) -> Result<Standing, StoreError> {
    let state = |column: &str| -> Result<Option<DeliveryState>, StoreError> {
        Ok(row.try_get::<Option<&str>, _>(column)?.and_then(DeliveryState::parse))
    };
    let id: Uuid = row.try_get("id")?;
    let unknown = || StoreError::Corrupt { what: "the state", id: id.to_string(), why: "unknown word".to_owned() };
    let earlier = match state("earlier_state")? {
        Some(state) => {
            Some(Earlier { revision: row.try_get("earlier_revision")?, state, planned_at: row.try_get("earlier_planned_at")? })
        }
        None => None,
    };
    let incident = match row.try_get::<Option<String>, _>("incident")? {
        Some(sentence) => {
            Some(Incident { sentence, opened_at: row.try_get("incident_at")?, next_at: row.try_get("incident_next_at")? })
        }
        None => None,
    };
    let called_at: Option<DateTime<Utc>> = row.try_get("called_at")?;
    let fault: Option<serde_json::Value> = row.try_get("fault")?;
    // A fault of an older version that cannot be read any more is one of which nothing is said.
    let fault = fault.and_then(|fault| serde_json::from_value::<Fault>(fault).ok());
    Ok(Standing {
        state: state("state")?.ok_or_else(unknown)?,
        due_at: row.try_get("due_at")?,
        planned_at: row.try_get("planned_at")?,
        lane: Lane::of_rank(row.try_get("lane")?).unwrap_or_default(),
        failures: row.try_get("failures")?,
        destination: row.try_get("destination")?,
        is_paused: row.try_get("is_paused")?,
        paused_at: row.try_get("paused_at")?,
        earlier,
        incident,
        put_off_at: row.try_get("put_off_at")?,
        last_call: called_at.map(|ended_at| LastCall { ended_at, fault }),
    })
}
