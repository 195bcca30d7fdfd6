//! Where the revisions of a batch go, where a flow is or was swapped: decided for each record once, by its first delivery.

use std::collections::HashMap;
use std::sync::Arc;

use domain::id::{ConnectionId, FlowId, FlowVersionId, RecordId};
use domain::swap::{Goes, Split};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::StoreError;
use super::receive::PublishedFlow;

/// A connection, and the version of a flow that writes there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Way {
    pub connection: ConnectionId,
    pub version: FlowVersionId,
}

/// How a flow's deliveries are split, with the candidate's version.
#[derive(Debug, Clone, Default)]
pub struct Ways {
    split: Split,
    candidate: Option<Way>,
}

impl Ways {
    /// `None` where the flow was never swapped. Reads `was_swapped`, `candidate_id`, `candidate_version_id`, `percent` and `moved`.
    pub(super) fn read(row: &PgRow) -> Result<Option<Arc<Self>>, sqlx::Error> {
        if !row.try_get::<bool, _>("was_swapped")? {
            return Ok(None);
        }
        let connection: Option<Uuid> = row.try_get("candidate_id")?;
        let version: Option<Uuid> = row.try_get("candidate_version_id")?;
        let way = |(connection, version)| Way { connection: ConnectionId(connection), version: FlowVersionId(version) };
        let candidate = connection.zip(version).map(way);
        let percent = u8::try_from(row.try_get::<Option<i32>, _>("percent")?.unwrap_or_default()).unwrap_or_default();
        let moved: Option<Vec<Uuid>> = row.try_get("moved")?;
        let split = Split {
            candidate: candidate.map(|way| (way.connection, percent)),
            moved: moved.into_iter().flatten().map(ConnectionId).collect(),
        };
        Ok(Some(Arc::new(Self { split, candidate })))
    }
}

/// The way of each record and flow, in their order. Records that are new have no home; of the others it is asked for at once.
pub(super) async fn ways(
    tx: &mut Transaction<'static, Postgres>,
    duties: &[(RecordId, i32, &PublishedFlow)],
) -> Result<Vec<Way>, StoreError> {
    let known = duties.iter().filter(|(_, revision, flow)| flow.ways.is_some() && *revision > 1);
    let known: Vec<(Uuid, Uuid)> = known.map(|(record, _, flow)| (record.0, flow.flow.0)).collect();
    let homes = if known.is_empty() { HashMap::new() } else { homes(tx, &known).await? };
    let way = |(record, _, flow): &(RecordId, i32, &PublishedFlow)| {
        let own = Way { connection: flow.destination, version: flow.version };
        let Some(ways) = &flow.ways else { return own };
        let home = homes.get(&(*record, flow.flow)).copied();
        match ways.split.goes(*record, home.map(|home| home.connection), flow.destination) {
            Goes::Destination => own,
            Goes::Candidate => ways.candidate.unwrap_or(own),
            Goes::Home => home.unwrap_or(own),
        }
    };
    Ok(duties.iter().map(way).collect())
}

/// Where the last delivery of each record went, and the last version that wrote there. Leans on deliveries_record.
async fn homes(
    tx: &mut Transaction<'static, Postgres>,
    known: &[(Uuid, Uuid)],
) -> Result<HashMap<(RecordId, FlowId), Way>, StoreError> {
    let rows = sqlx::query(
        "SELECT i.record_id, i.flow_id, d.connection_id, coalesce(v.id, d.flow_version_id) AS version_id
         FROM unnest($1::uuid[], $2::uuid[]) AS i (record_id, flow_id)
         CROSS JOIN LATERAL (
             SELECT d.connection_id, d.flow_version_id FROM deliveries d
             WHERE d.flow_id = i.flow_id AND d.record_id = i.record_id ORDER BY d.revision DESC, d.id DESC LIMIT 1) d
         LEFT JOIN LATERAL (
             SELECT v.id FROM flow_versions v
             WHERE v.flow_id = i.flow_id AND v.destination_connection_id = d.connection_id AND v.state IN ('candidate', 'retired')
             ORDER BY v.version DESC LIMIT 1) v ON true",
    )
    .bind(known.iter().map(|(record, _)| *record).collect::<Vec<_>>())
    .bind(known.iter().map(|(_, flow)| *flow).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    let mut homes = HashMap::with_capacity(rows.len());
    for row in rows {
        let way =
            Way { connection: ConnectionId(row.try_get("connection_id")?), version: FlowVersionId(row.try_get("version_id")?) };
        homes.insert((RecordId(row.try_get("record_id")?), FlowId(row.try_get("flow_id")?)), way);
    }
    Ok(homes)
}
