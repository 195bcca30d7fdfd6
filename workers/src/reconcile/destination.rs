//! What was confirmed against what the destination has: listed first, then asked for one by one.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::Utc;
use connectors::flow::{external_key, thing};
use connectors::trial::Tried;
use connectors::{Inputs, ReadRecord};
use domain::exception::Reason;
use domain::id::{DeliveryId, FlowVersionId};
use domain::reconciliation::{Agreement, Difference, DifferenceKind};
use domain::value::{Limits, Value};
use infra::lookup::TenantLookups;
use infra::postgres::difference::FoundDifference;
use infra::postgres::flow::FlowVersion;
use infra::postgres::reconciliation::{Came, Confirmed, ConfirmedRevision};
use infra::trial::{Sides, TrialError};
use uuid::Uuid;

use super::{Pass, ReconcileError};
use crate::call::worth;
use crate::listing::Listing;

/// Confirmed deliveries of one reconciliation that are held in memory; a longer time is reconciled in parts.
const CONFIRMED_MAX: usize = 200_000;
const PAGE: i64 = 2_000;
/// Records that are asked for one by one, because the list did not show them.
const GETS_MAX: usize = 500;

pub(super) async fn reconcile(pass: &mut Pass<'_>, listing: &mut Listing<'_>) -> Result<(), ReconcileError> {
    let (mut expected, all) = expected(pass).await?;
    let (kind, from) = (pass.version.kind, pass.of.period.from);
    pass.report.destination_complete = all;
    if expected.is_empty() {
        return Ok(());
    }
    let pages = listing.pages(kind, from);
    let was_listed = pages.is_some();
    if let Some(mut pages) = pages {
        while let Some(records) = listing.next(&mut pages).await? {
            page(pass, &mut expected, records.into_iter().map(|(record, _)| record).collect()).await?;
            pass.go_on(listing).await?;
        }
    } else {
        pass.report.notes.push(format!(
            "{} does not list its {}: what was confirmed is asked for one by one.",
            listing.connection.name,
            super::source::plural(kind.as_str())
        ));
    }
    unseen(pass, listing, expected, was_listed).await
}

/// What was confirmed in the period, by its id there; false where that is more than is held at a time.
async fn expected(pass: &mut Pass<'_>) -> Result<(HashMap<String, Confirmed>, bool), ReconcileError> {
    let (flow, destination, period) = (pass.of.flow, pass.version.destination, pass.of.period);
    let (mut expected, mut after) = (HashMap::new(), None);
    loop {
        let page = pass.store().reconciliation_confirmed(flow, destination, period, after, PAGE).await?;
        let is_last = i64::try_from(page.len()).unwrap_or(PAGE) < PAGE;
        after = page.last().map(|last| last.delivery);
        pass.report.confirmed += page.len() as u64;
        expected.extend(page.into_iter().map(|one| (one.destination_id.clone(), one)));
        if is_last {
            return Ok((expected, true));
        }
        if expected.len() >= CONFIRMED_MAX {
            pass.report
                .notes
                .push(format!("More than {CONFIRMED_MAX} records were confirmed in this time; reconcile a shorter one."));
            return Ok((expected, false));
        }
    }
}

async fn page(
    pass: &mut Pass<'_>,
    expected: &mut HashMap<String, Confirmed>,
    records: Vec<ReadRecord>,
) -> Result<(), ReconcileError> {
    pass.report.destination_listed += records.len() as u64;
    let (mut seen, mut others) = (Vec::new(), Vec::new());
    for record in records {
        match record.id.as_deref().and_then(|id| expected.remove(id)) {
            Some(confirmed) => seen.push((confirmed, record.bytes)),
            None => others.push(record),
        }
    }
    pass.report.destination_others += others.len() as u64;
    let mut found = compared(pass, seen).await?;
    found.extend(extra(pass, others).await?);
    pass.keep(found).await
}

/// Compares what is there with what was sent; what agrees is reconciled.
async fn compared(pass: &mut Pass<'_>, seen: Vec<(Confirmed, bytes::Bytes)>) -> Result<Vec<FoundDifference>, ReconcileError> {
    if seen.is_empty() {
        return Ok(vec![]);
    }
    let ids: Vec<Uuid> = seen.iter().map(|(confirmed, _)| confirmed.delivery.0).collect();
    let revisions = pass.store().reconciliation_revisions(&ids).await?;
    let theirs: HashMap<DeliveryId, (String, bytes::Bytes)> =
        seen.into_iter().map(|(confirmed, bytes)| (confirmed.delivery, (confirmed.destination_id, bytes))).collect();
    let mut by_version: HashMap<FlowVersionId, Vec<ConfirmedRevision>> = HashMap::new();
    for revision in revisions {
        by_version.entry(revision.version).or_default().push(revision);
    }
    let (mut found, mut agreed) = (Vec::new(), Vec::new());
    for (id, revisions) in by_version {
        let made_by = version(pass, id).await?;
        let trial = made_by.1.trial(&made_by.0.spec)?;
        for one in revisions {
            let Some((destination_id, bytes)) = theirs.get(&one.delivery) else { continue };
            let destination = trial.destination();
            let lookups = TenantLookups::new(&pass.tables, destination.connector.tables(), one.revision.origin_at);
            let parsed =
                (Value::parse(one.revision.document.as_bytes(), &Limits::DEFAULT), Value::parse(bytes, &Limits::DEFAULT));
            let tried = trial.run(&one.revision.of(one.delivery), &Inputs::default(), &lookups, Utc::now());
            let ((Ok(document), Ok(there)), Tried::Made(made)) = (parsed, tried) else {
                // What it would be made of today has no answer, so there is nothing to compare with.
                pass.report.unchecked += 1;
                continue;
            };
            let is_ignored = |field: &str| pass.ignored.contains(field);
            if one.is_behind {
                // It may be there as it was restored, and is still not what its source says.
                pass.report.unchecked += 1;
                continue;
            }
            let agreement: Agreement = trial.agreement(&document, &made.payload, (&there, bytes), &lookups, &is_ignored);
            pass.report.compared(&agreement);
            if agreement.differences.is_empty() {
                pass.report.agreed += 1;
                agreed.push(one.delivery.0);
                continue;
            }
            let difference = Difference {
                kind: DifferenceKind::Different,
                source_id: Some(one.revision.source_id.clone()),
                destination_id: Some(destination_id.clone()),
                fields: agreement.differences,
            };
            let thing = thing(trial.kind(), one.revision.number.as_deref().unwrap_or(&one.revision.source_id));
            let reason = Reason::from_difference(&thing, destination.name, &difference);
            let (record, delivery) = (Some(one.revision.record), Some(one.delivery));
            let worth = worth(trial.kind(), &one.revision.document);
            found.push(FoundDifference { difference, record, delivery, reason: Some(reason), worth });
        }
    }
    pass.store().reconciliation_agreed(&agreed).await?;
    pass.store().differences_close(&agreed).await?;
    Ok(found)
}

/// The version by which deliveries were made, between its sides.
async fn version(pass: &mut Pass<'_>, id: FlowVersionId) -> Result<Arc<(FlowVersion, Sides)>, ReconcileError> {
    if let Some(known) = pass.made_by.get(&id) {
        return Ok(known.clone());
    }
    let version = pass.store().flow_version_by_id(id).await?.ok_or(ReconcileError::Trial(TrialError::Connection))?;
    let sides = Sides::load(&pass.store(), pass.context.catalog, &version).await?;
    let made_by = Arc::new((version, sides));
    pass.made_by.insert(id, made_by.clone());
    Ok(made_by)
}

/// Records that carry our key of this source and that we were never told of: second ones of what is known by another id.
async fn extra(pass: &Pass<'_>, others: Vec<ReadRecord>) -> Result<Vec<FoundDifference>, ReconcileError> {
    let source = pass.sides.source();
    let prefix = external_key(source.connector.name(), source.connection, "");
    let mut ours: Vec<(String, String)> = Vec::new();
    for record in &others {
        let Some(id) = &record.id else { continue };
        // Most bodies do not have it anywhere, and are not parsed.
        if !contains(&record.bytes, prefix.as_bytes()) {
            continue;
        }
        let Ok(there) = Value::parse(&record.bytes, &Limits::DEFAULT) else { continue };
        if let Some(source_id) = keyed(&there, &prefix) {
            ours.push((id.clone(), source_id));
        }
    }
    if ours.is_empty() {
        return Ok(vec![]);
    }
    let (kind, destination) = (pass.version.kind, pass.version.destination);
    let ids: Vec<&str> = ours.iter().map(|(id, _)| id.as_str()).collect();
    let known = pass.store().known_ids(destination, kind, &ids).await?;
    ours.retain(|(id, _)| !known.contains(id));
    let sources: Vec<&str> = ours.iter().map(|(_, source)| source.as_str()).collect();
    let came = pass.store().reconciliation_came(pass.version.source, kind, pass.of.flow, &sources, pass.of.period.from).await?;
    let mut found = Vec::new();
    for ((id, source_id), came) in ours.iter().zip(came) {
        // One whose delivery has not ended may be this very one.
        let Some(Came::Record { record, delivery: Some((delivery, state)), document, .. }) = came else { continue };
        if !state.is_final() {
            continue;
        }
        let difference = Difference {
            kind: DifferenceKind::Extra,
            source_id: Some(source_id.clone()),
            destination_id: Some(id.clone()),
            fields: vec![],
        };
        let parsed = Value::parse(document.as_bytes(), &Limits::DEFAULT).ok();
        let number = parsed.as_ref().and_then(|document| document.get("number")?.as_str()).unwrap_or(source_id);
        let reason = Reason::from_difference(&thing(kind, number), pass.sides.destination().name, &difference);
        let worth = worth(kind, &document);
        found.push(FoundDifference { difference, record: Some(record), delivery: Some(delivery), reason: Some(reason), worth });
    }
    Ok(found)
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}

/// The id at the source in a text that is our key, anywhere in a record.
fn keyed(value: &Value, prefix: &str) -> Option<String> {
    match value {
        Value::Text(text) => text.strip_prefix(prefix).filter(|id| !id.is_empty()).map(str::to_owned),
        Value::List(rows) => rows.iter().find_map(|row| keyed(row, prefix)),
        Value::Map(map) => map.iter().find_map(|(_, value)| keyed(value, prefix)),
        _ => None,
    }
}

/// What the list did not show is asked for by its id; what is not there is gone.
async fn unseen(
    pass: &mut Pass<'_>,
    listing: &mut Listing<'_>,
    expected: HashMap<String, Confirmed>,
    was_listed: bool,
) -> Result<(), ReconcileError> {
    let kind = pass.version.kind;
    let mut left: Vec<Confirmed> = expected.into_values().collect();
    left.sort_unstable_by_key(|one| one.delivery);
    let (mut gone, mut asked) = (Vec::new(), 0);
    for one in left {
        if asked >= GETS_MAX {
            pass.report.unchecked += 1;
            continue;
        }
        match listing.get(kind, &one.destination_id).await? {
            Some(Some(bytes)) => {
                let found = compared(pass, vec![(one, bytes)]).await?;
                pass.keep(found).await?;
            }
            Some(None) => gone.push(one),
            // A list of all that changed since would have shown it.
            None if was_listed => {
                gone.push(one);
                continue;
            }
            None => {
                pass.report.unchecked += 1;
                continue;
            }
        }
        asked += 1;
        pass.go_on(listing).await?;
    }
    if asked >= GETS_MAX {
        pass.report.notes.push(format!(
            "{} were not shown by a list and are asked for {GETS_MAX} at a time; reconcile a shorter time.",
            super::source::plural(kind.as_str())
        ));
    }
    missing(pass, gone).await
}

async fn missing(pass: &mut Pass<'_>, gone: Vec<Confirmed>) -> Result<(), ReconcileError> {
    let ids: Vec<Uuid> = gone.iter().map(|one| one.delivery.0).collect();
    let revisions = pass.store().reconciliation_revisions(&ids).await?;
    let (name, kind) = (pass.sides.destination().name.to_owned(), pass.version.kind);
    let destination_ids: HashMap<DeliveryId, String> = gone.into_iter().map(|one| (one.delivery, one.destination_id)).collect();
    let found = revisions.into_iter().map(|one| {
        let difference = Difference {
            kind: DifferenceKind::Gone,
            source_id: Some(one.revision.source_id.clone()),
            destination_id: destination_ids.get(&one.delivery).cloned(),
            fields: vec![],
        };
        let thing = thing(kind, one.revision.number.as_deref().unwrap_or(&one.revision.source_id));
        let reason = Reason::from_difference(&thing, &name, &difference);
        let worth = worth(kind, &one.revision.document);
        FoundDifference {
            difference,
            record: Some(one.revision.record),
            delivery: Some(one.delivery),
            reason: Some(reason),
            worth,
        }
    });
    let found = found.collect();
    pass.keep(found).await
}
