//! Raising a notice: how far the field reaches is read off the flows that are published now.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use connectors::Catalog;
use connectors::flow::FlowPlan;
use domain::audit::Action;
use domain::drift::{Mapped, Reach, Side, judge};
use domain::flow::FlowSpec;
use domain::id::{ConnectionId, DriftId, FlowId};
use domain::mapping::{Filter, Plan, Rules};
use domain::record::RecordKind;
use domain::scope::Scope;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::{DriftPlace, Finding, Key, columns};
use crate::postgres::StoreError;
use crate::postgres::flow::spec;
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
    let readings = readings(catalog, &findings, &flows);
    let reaches: Vec<Reach> = findings.iter().map(|finding| reach(catalog, finding, &flows, &compiled, &readings)).collect();
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
    spec: FlowSpec,
}

struct Compiled {
    plan: FlowPlan,
    filter: Option<Filter>,
}

async fn flows(tx: &mut Transaction<'static, Postgres>, scope: &Scope, findings: &[Finding]) -> Result<Vec<FlowRow>, StoreError> {
    let connections: HashSet<Uuid> = findings.iter().map(|finding| finding.place.connection.0).collect();
    let rows = sqlx::query(
        "SELECT f.id, f.record_kind, f.source_connection_id, f.destination_connection_id, s.connector AS source_connector,
                d.connector AS destination_connector, v.filter, v.source_mapping, v.mapping, v.policy, v.trigger
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
        let flow = FlowId(row.try_get("id")?);
        flows.push(FlowRow {
            flow,
            kind,
            source: ConnectionId(row.try_get("source_connection_id")?),
            destination: ConnectionId(row.try_get("destination_connection_id")?),
            source_connector: row.try_get("source_connector")?,
            destination_connector: row.try_get("destination_connector")?,
            spec: spec(&row, flow)?,
        });
    }
    Ok(flows)
}

/// What cannot be compiled was said where it runs; a notice is raised all the same.
fn compile(catalog: &Catalog, flow: &FlowRow) -> Option<Compiled> {
    let plan = FlowPlan::of(&flow.spec, flow.kind, catalog.get(&flow.destination_connector)?).ok()?;
    Some(Compiled { plan, filter: flow.spec.filter.as_deref().and_then(|text| Filter::compile(text).ok()) })
}

/// How the flows that start at each place read what comes there; nothing for a place where the connector's own rules serve.
fn readings(catalog: &Catalog, findings: &[Finding], flows: &[FlowRow]) -> HashMap<DriftPlace, Plan> {
    let mut readings = HashMap::new();
    for place in findings.iter().map(|finding| finding.place).filter(|place| place.side == Side::Source) {
        let Entry::Vacant(entry) = readings.entry(place) else { continue };
        let here = || flows.iter().filter(|flow| flow.is_at(place));
        let overlays: Vec<Rules> = here().map(|flow| flow.spec.source_mapping.clone()).collect();
        let source = here().next().and_then(|flow| catalog.get(&flow.source_connector));
        let reading = source.and_then(|source| connectors::flow::reading(source, place.kind, &overlays).ok().flatten());
        if let Some(reading) = reading {
            entry.insert(reading);
        }
    }
    readings
}

impl FlowRow {
    fn is_at(&self, DriftPlace { connection, kind, side }: DriftPlace) -> bool {
        self.kind == kind && connection == if side == Side::Source { self.source } else { self.destination }
    }
}

fn reach(
    catalog: &Catalog,
    finding: &Finding,
    flows: &[FlowRow],
    compiled: &[Option<Compiled>],
    readings: &HashMap<DriftPlace, Plan>,
) -> Reach {
    let place = finding.place;
    let here: Vec<(&FlowRow, &Compiled)> = flows
        .iter()
        .zip(compiled)
        .filter(|(flow, _)| flow.is_at(place))
        .filter_map(|(flow, compiled)| Some((flow, compiled.as_ref()?)))
        .collect();
    // Of a connector that is in use, the catalog has the folder; where no flow is published, nobody reads the field.
    let source = here.first().filter(|_| place.side == Side::Source).map(|(flow, _)| &flow.source_connector);
    let read = source.and_then(|source| readings.get(&place).or_else(|| catalog.get(source)?.read_plan(place.kind)));
    let mapped: Vec<Mapped<'_>> = here
        .iter()
        .filter_map(|(flow, compiled)| {
            let write = compiled.plan.write_plan(catalog.get(&flow.destination_connector)?, place.kind)?;
            Some(Mapped { flow: flow.flow, write, filter: compiled.filter.as_ref() })
        })
        .collect();
    Reach::of(&finding.drift.path, place.side, read, &mapped)
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
