//! Raising a notice: how far the field reaches is read off the flows that are published now.

use std::collections::{HashMap, HashSet};

use connectors::Catalog;
use domain::audit::Action;
use domain::drift::{Mapped, Reach, Side, judge};
use domain::id::{ConnectionId, DriftId, FlowId};
use domain::mapping::{Filter, Plan, Rules};
use domain::record::RecordKind;
use domain::scope::Scope;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::{DriftPlace, Finding, Key, columns};
use crate::postgres::StoreError;
use crate::postgres::receive::audit;

/// Flows that a notice is compared with; a tenant with more of them still sees the first.
const FLOWS_MAX: i64 = 500;

/// Raises what is not open yet; returns the new notices.
pub(super) async fn raise(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    catalog: &Catalog,
    findings: Vec<Finding>,
) -> Result<Vec<Uuid>, StoreError> {
    let mut findings = findings;
    let mut unique = HashSet::new();
    findings.retain(|finding| unique.insert(Key::of(finding.place, &finding.drift)));
    // In one order, so that no two who raise the same wait for each other.
    findings.sort_by(|a, b| {
        (a.place, &a.drift.path, a.drift.what, &a.drift.value).cmp(&(b.place, &b.drift.path, b.drift.what, &b.drift.value))
    });
    if findings.is_empty() {
        return Ok(vec![]);
    }
    findings.retain({
        let open = already_open(tx, &findings).await?;
        move |finding| !open.contains(&Key::of(finding.place, &finding.drift))
    });
    if findings.is_empty() {
        return Ok(vec![]);
    }
    let flows = flows(tx, scope, &findings).await?;
    let compiled: Vec<Option<Compiled>> = flows.iter().map(|flow| compile(catalog, flow)).collect();
    let reaches: Vec<Reach> = findings.iter().map(|finding| reach(catalog, finding, &flows, &compiled)).collect();
    let (connections, kinds, sides) = columns(findings.iter().map(|finding| &finding.place));
    let judged = findings.iter().zip(&reaches);
    let risks = judged.map(|(finding, reach)| judge(&finding.drift, finding.place.side, reach.reading, "").risk.as_str());
    let touched = reaches.iter().map(|reach| {
        let flows = reach.flows.iter().map(|touched| serde_json::json!({"flow": touched.flow, "fields": touched.fields}));
        serde_json::Value::Array(flows.collect())
    });
    // The index drifts_open is what makes it one notice, whoever raises it.
    let raised: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO drifts (id, tenant_id, connection_id, record_kind, side, path, what, value, has_value, before, after, news, risk, flows,
                             example_id)
         SELECT i.id, $1, c.id, i.record_kind, i.side, i.path, i.what, coalesce(i.value, ''), i.value IS NOT NULL, i.before, i.after, i.news,
                i.risk, i.flows, i.example_id
         FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::jsonb[],
                     $12::text[], $13::jsonb[], $14::uuid[])
              AS i (id, connection_id, record_kind, side, path, what, value, before, after, news, risk, flows, example_id)
         JOIN connections c ON c.id = i.connection_id
         ON CONFLICT (connection_id, record_kind, side, path, what, value) WHERE state = 'open' DO NOTHING
         RETURNING id",
    )
    .bind(scope.tenant.0)
    .bind(findings.iter().map(|_| DriftId::generate().0).collect::<Vec<_>>())
    .bind(connections)
    .bind(kinds)
    .bind(sides)
    .bind(findings.iter().map(|finding| finding.drift.path.as_str()).collect::<Vec<_>>())
    .bind(findings.iter().map(|finding| finding.drift.what.as_str()).collect::<Vec<_>>())
    .bind(findings.iter().map(|finding| finding.drift.value.as_deref()).collect::<Vec<_>>())
    .bind(findings.iter().map(|finding| finding.drift.before.as_str()).collect::<Vec<_>>())
    .bind(findings.iter().map(|finding| finding.drift.after.as_str()).collect::<Vec<_>>())
    .bind(findings.iter().map(|finding| serde_json::to_value(&finding.drift.news).expect("a profile is plain data")).collect::<Vec<_>>())
    .bind(risks.collect::<Vec<_>>())
    .bind(touched.collect::<Vec<_>>())
    .bind(findings.iter().map(|finding| finding.example).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    audit(tx, scope, Action::DriftRaised, "drift", &raised).await?;
    Ok(raised)
}

async fn already_open(tx: &mut Transaction<'static, Postgres>, findings: &[Finding]) -> Result<HashSet<Key>, StoreError> {
    let rows = sqlx::query(
        "SELECT connection_id, record_kind, side, path, what, value, has_value FROM drifts
         WHERE connection_id = ANY($1) AND path = ANY($2) AND state = 'open'",
    )
    .bind(findings.iter().map(|finding| finding.place.connection.0).collect::<Vec<_>>())
    .bind(findings.iter().map(|finding| finding.drift.path.as_str()).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    let mut open = HashSet::with_capacity(rows.len());
    for row in &rows {
        open.extend(Key::read(row)?);
    }
    Ok(open)
}

/// A published flow, and the connectors at its ends.
struct FlowRow {
    flow: FlowId,
    kind: RecordKind,
    source: ConnectionId,
    destination: ConnectionId,
    source_connector: String,
    destination_connector: String,
    filter: Option<String>,
    mapping: serde_json::Value,
}

struct Compiled {
    /// The tenant's rules over the connector's; `None` where it has none of its own.
    overlay: Option<Plan>,
    filter: Option<Filter>,
}

async fn flows(tx: &mut Transaction<'static, Postgres>, scope: &Scope, findings: &[Finding]) -> Result<Vec<FlowRow>, StoreError> {
    let connections: HashSet<Uuid> = findings.iter().map(|finding| finding.place.connection.0).collect();
    let rows = sqlx::query(
        "SELECT f.id, f.record_kind, f.source_connection_id, f.destination_connection_id, s.connector AS source_connector,
                d.connector AS destination_connector, v.filter, v.mapping
         FROM flows f JOIN flow_versions v ON v.flow_id = f.id AND v.state = 'published'
         JOIN connections s ON s.id = f.source_connection_id JOIN connections d ON d.id = f.destination_connection_id
         WHERE f.tenant_id = $1 AND (f.source_connection_id = ANY($2) OR f.destination_connection_id = ANY($2))
         ORDER BY f.id LIMIT $3",
    )
    .bind(scope.tenant.0)
    .bind(connections.into_iter().collect::<Vec<_>>())
    .bind(FLOWS_MAX)
    .fetch_all(&mut **tx)
    .await?;
    let mut flows = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(kind) = RecordKind::parse(row.try_get("record_kind")?) else { continue };
        flows.push(FlowRow {
            flow: FlowId(row.try_get("id")?),
            kind,
            source: ConnectionId(row.try_get("source_connection_id")?),
            destination: ConnectionId(row.try_get("destination_connection_id")?),
            source_connector: row.try_get("source_connector")?,
            destination_connector: row.try_get("destination_connector")?,
            filter: row.try_get("filter")?,
            mapping: row.try_get("mapping")?,
        });
    }
    Ok(flows)
}

/// What cannot be compiled was said where it runs; a notice is raised all the same.
fn compile(catalog: &Catalog, flow: &FlowRow) -> Option<Compiled> {
    let rules: Rules = serde_json::from_value(flow.mapping.clone()).ok()?;
    let overlay = if rules.is_empty() {
        None
    } else {
        let base = catalog.get(&flow.destination_connector)?.write_rules(flow.kind).cloned().unwrap_or_default();
        Some(Plan::compile(&base.overlaid(rules)).ok()?)
    };
    Some(Compiled { overlay, filter: flow.filter.as_deref().and_then(|text| Filter::compile(text).ok()) })
}

fn reach(catalog: &Catalog, finding: &Finding, flows: &[FlowRow], compiled: &[Option<Compiled>]) -> Reach {
    let DriftPlace { connection, kind, side } = finding.place;
    let is_at =
        |flow: &FlowRow| flow.kind == kind && connection == if side == Side::Source { flow.source } else { flow.destination };
    let here: Vec<(&FlowRow, &Compiled)> = flows
        .iter()
        .zip(compiled)
        .filter(|(flow, _)| is_at(flow))
        .filter_map(|(flow, compiled)| Some((flow, compiled.as_ref()?)))
        .collect();
    // Of a connector that is in use, the catalog has the folder; where no flow is published, nobody reads the field.
    let read =
        here.first().filter(|_| side == Side::Source).and_then(|(flow, _)| catalog.get(&flow.source_connector)?.read_plan(kind));
    let mapped: Vec<Mapped<'_>> = here
        .iter()
        .filter_map(|(flow, compiled)| {
            let write = compiled.overlay.as_ref().or_else(|| catalog.get(&flow.destination_connector)?.write_plan(kind))?;
            Some(Mapped { flow: flow.flow, write, filter: compiled.filter.as_ref() })
        })
        .collect();
    Reach::of(&finding.drift.path, side, read, &mapped)
}

/// Where a notice's flows are kept, as a list reads them.
pub(super) fn touched(flows: &serde_json::Value) -> HashMap<Uuid, Vec<String>> {
    let one = |flow: &serde_json::Value| {
        let id: FlowId = flow["flow"].as_str()?.parse().ok()?;
        let fields = flow["fields"].as_array()?.iter().filter_map(|field| Some(field.as_str()?.to_owned()));
        Some((id.0, fields.collect()))
    };
    flows.as_array().into_iter().flatten().filter_map(one).collect()
}
