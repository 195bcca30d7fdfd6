//! What the source has against what came from it. What never came, or is newer there, arrives now as if the source had sent it.

use chrono::{DateTime, Utc};
use domain::canonical;
use domain::comparison::compare;
use domain::delivery::DeliveryState;
use domain::erasure;
use domain::id::MessageId;
use domain::lane::Lane;
use domain::merkle::hash;
use domain::message::Origin;
use domain::reconciliation::{Difference, DifferenceKind, agrees};
use domain::task::{Nudge, Stage};
use domain::value::{Limits, Value};
use infra::lookup::TenantLookups;
use infra::postgres::difference::FoundDifference;
use infra::postgres::intake::{Arrival, Committed};
use infra::postgres::reconciliation::Came;
use uuid::Uuid;

use super::{Pass, ReconcileError};
use crate::listing::{ListedRecord, Listing};

pub(super) async fn reconcile(pass: &mut Pass<'_>, listing: &mut Listing<'_>) -> Result<(), ReconcileError> {
    let (kind, from) = (pass.version.kind, pass.of.period.from);
    let Some(mut pages) = listing.pages(kind, from) else {
        pass.report.notes.push(format!(
            "{} does not list its {}: what never came from there cannot be seen.",
            listing.connection.name,
            plural(kind.as_str())
        ));
        return Ok(());
    };
    while let Some(records) = listing.next(&mut pages).await? {
        page(pass, records).await?;
        pass.go_on(listing).await?;
    }
    pass.report.source_complete = true;
    Ok(())
}

/// A record that the source listed.
struct Listed {
    id: String,
    bytes: bytes::Bytes,
    document: Value,
    /// The flow's filter takes it.
    is_taken: bool,
}

async fn page(pass: &mut Pass<'_>, records: Vec<ListedRecord>) -> Result<(), ReconcileError> {
    let listed = read(pass, records);
    if listed.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = listed.iter().map(|one| one.id.as_str()).collect();
    let (source, kind) = (pass.version.source, pass.version.kind);
    let came = pass.store().reconciliation_came(source, kind, pass.of.flow, &ids, pass.of.period.from).await?;
    let (mut found, mut bring, mut plan) = (Vec::new(), Vec::new(), Vec::new());
    for (one, came) in listed.iter().zip(came) {
        let mut differs = |kind, record, delivery| {
            let difference = Difference { kind, source_id: Some(one.id.clone()), destination_id: None, fields: vec![] };
            found.push(FoundDifference { difference, record, delivery, reason: None, worth: None });
        };
        match came {
            None => {
                differs(DifferenceKind::NeverCame, None, None);
                bring.push(one);
            }
            Some(Came::UnderWay) => pass.report.under_way += 1,
            Some(Came::Stopped) => pass.report.exceptions += 1,
            Some(Came::Record { record, document, revised_at, delivery }) => {
                if erasure::is_tombstone(document.as_bytes()) {
                    // That it is still there does not bring back what was erased here.
                    pass.report.left += 1;
                } else if is_outdated(&document, &one.document) {
                    differs(DifferenceKind::Outdated, Some(record), None);
                    bring.push(one);
                } else if !one.is_taken {
                    pass.report.left += 1;
                } else {
                    match delivery {
                        Some((_, DeliveryState::Superseded | DeliveryState::Cancelled)) => pass.report.settled_otherwise += 1,
                        Some(_) => {}
                        // It came while another version ran, or none did.
                        None if pass.of.published_at.is_none_or(|published| revised_at < published) => {
                            pass.report.settled_otherwise += 1;
                        }
                        None => {
                            differs(DifferenceKind::NotPlanned, Some(record), None);
                            plan.push(record.0);
                        }
                    }
                }
            }
        }
    }
    // Brought before it is told, so that nothing is called mended that is not.
    let found = arrive(pass, &bring, found).await?;
    let planned = pass.store().reconciliation_plan(&pass.version, &plan).await?;
    let (tenant, destination) = (pass.scope.tenant, pass.version.destination);
    let nudge = |id| Nudge::new(tenant, destination, Lane::Retry, id);
    pass.context.broker.nudge(Stage::Deliver, planned.into_iter().map(nudge)).await;
    pass.keep(found).await
}

/// The records of the period, in our words.
fn read(pass: &mut Pass<'_>, records: Vec<ListedRecord>) -> Vec<Listed> {
    let (mut listed, mut unreadable, mut count) = (Vec::with_capacity(records.len()), 0, 0);
    let lookups = TenantLookups::new(&pass.tables, pass.sides.source().connector.tables(), Utc::now());
    for (record, changed_at) in records {
        if !pass.is_of_period(changed_at) {
            continue;
        }
        count += 1;
        match pass.trial.read(&record.bytes, &lookups) {
            Ok(read) => match read.source_id.or(record.id.filter(|id| canonical::is_id(id))) {
                Some(id) => {
                    let is_taken = pass.trial.takes(&read.document);
                    listed.push(Listed { id, bytes: record.bytes, document: read.document, is_taken });
                }
                None => unreadable += 1,
            },
            // What cannot be read would become no record; where it came, its message says why.
            Err(_) => unreadable += 1,
        }
    }
    pass.report.source_listed += count;
    pass.report.unreadable += unreadable;
    listed
}

/// True where the source says something else than what came last, and not by an older state: lists lag behind at some vendors.
fn is_outdated(ours: &str, theirs: &Value) -> bool {
    let Ok(ours) = Value::parse(ours.as_bytes(), &Limits::DEFAULT) else { return false };
    let changed_at = |document: &Value| {
        let text = document.get("updated_at").and_then(Value::as_str)?;
        DateTime::parse_from_rfc3339(text).ok()
    };
    if let (Some(ours), Some(theirs)) = (changed_at(&ours), changed_at(theirs))
        && theirs < ours
    {
        return false;
    }
    let nothing = Value::Null;
    compare(&ours, theirs, 100).iter().any(|change| !agrees(change.before.unwrap_or(&nothing), change.after.unwrap_or(&nothing)))
}

/// Commits what is missing as messages, and gives back the differences of those that are new: what was brought before in the same words, and did
/// not change the record, is no difference but how the source tells it.
async fn arrive(pass: &Pass<'_>, bring: &[&Listed], found: Vec<FoundDifference>) -> Result<Vec<FoundDifference>, ReconcileError> {
    if bring.is_empty() {
        return Ok(found);
    }
    let (tenant, source, kind) = (pass.scope.tenant, pass.version.source, pass.version.kind);
    let arrival = |one: &&Listed| Arrival {
        id: MessageId::generate(),
        tenant,
        connection: source,
        origin: Origin::Poll,
        topic: format!("reconciliation/{kind}"),
        dedupe_key: dedupe_key(kind.as_str(), one),
        kind: Some(kind),
        source_id: Some(one.id.clone()),
        thin: false,
        body: one.bytes.clone(),
        body_sha256: hash(&[&one.bytes]),
        request: pass.scope.request,
    };
    let arrivals: Vec<Arrival> = bring.iter().map(arrival).collect();
    let committed = pass.context.store.commit_arrivals(&arrivals).await?;
    let mut new: Vec<Uuid> = Vec::new();
    let mut before = std::collections::HashSet::new();
    for (one, committed) in bring.iter().zip(committed) {
        match committed {
            Committed::New(id) => new.push(id.0),
            Committed::Duplicate(_) => {
                before.insert(one.id.as_str());
            }
        }
    }
    pass.context.broker.nudge(Stage::Receive, new.into_iter().map(|id| Nudge::new(tenant, source, Lane::Live, id))).await;
    let is_new = |one: &FoundDifference| {
        let is_brought = matches!(one.difference.kind, DifferenceKind::NeverCame | DifferenceKind::Outdated);
        !is_brought || !one.difference.source_id.as_deref().is_some_and(|id| before.contains(id))
    };
    Ok(found.into_iter().filter(is_new).collect())
}

fn dedupe_key(kind: &str, one: &Listed) -> String {
    let short: String = one.document.canonical_hash().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("reconciliation/{kind}/{}/{short}", one.id)
}

pub(super) fn plural(kind: &str) -> String {
    format!("{}s", kind.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_lags_behind_is_not_newer_and_how_an_amount_is_written_is_no_news() {
        let theirs = |json: &str| Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap();
        let ours = r#"{"updated_at": "2026-11-28T10:00:00Z", "total": "10.00", "note": "a"}"#;
        assert!(!is_outdated(ours, &theirs(r#"{"updated_at": "2026-11-28T10:00:00Z", "total": "10.0", "note": "a"}"#)));
        assert!(!is_outdated(ours, &theirs(r#"{"updated_at": "2026-11-28T09:59:59Z", "total": "9.00", "note": "a"}"#)));
        assert!(is_outdated(ours, &theirs(r#"{"updated_at": "2026-11-28T10:00:01Z", "total": "9.00", "note": "a"}"#)));
        assert!(is_outdated(
            ours,
            &theirs(r#"{"updated_at": "2026-11-28T10:00:00Z", "total": "10.00", "note": "a", "po_number": "7"}"#)
        ));
    }
}
