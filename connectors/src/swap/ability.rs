//! What connectors can do, one beside the other: writing, changing, proving, and how much at once; reading and being told.

use domain::record::RecordKind;

use super::{Candidate, Gap, Severity};
use crate::check::names_of;
use crate::connector::Connector;
use crate::trial::Side;

pub(super) fn of_destination(kind: RecordKind, old: Side<'_>, candidate: &Candidate<'_>) -> Vec<Gap> {
    let (from, to) = (old.connector, candidate.side.connector);
    let writes = |connector: &Connector| connector.resource(kind).is_some_and(|resource| resource.write.is_some());
    if !writes(to) || candidate.plan.is_none() {
        let sentence = format!("{} does not write the kind {kind}.", to.title());
        return vec![Gap::new(Severity::Blocks, "write", sentence, "Choose a connection of a connector that does.")];
    }
    let mut gaps = Vec::new();
    gaps.extend(update(kind, from, to));
    gaps.extend(actions(kind, from, to));
    gaps.extend(proof(kind, from, to));
    let has_key = |connector: &Connector| {
        connector
            .resource(kind)
            .and_then(|resource| resource.write.as_ref())
            .is_some_and(|write| write.repeatable || names_of(&write.request).contains("idempotency_key"))
    };
    if has_key(from) && !has_key(to) {
        let sentence = format!(
            "{} makes a second identical write harmless, and {} does not: whether a write arrived is always asked first.",
            from.title(),
            to.title()
        );
        gaps.push(Gap::new(Severity::Differs, "idempotency", sentence, "Nothing to do where it can be asked."));
    }
    gaps.extend(size(kind, old, candidate.side));
    gaps.extend(webhooks(kind, from, to, Severity::Differs));
    gaps
}

fn update(kind: RecordKind, from: &Connector, to: &Connector) -> Option<Gap> {
    if to.changes(kind) {
        return None;
    }
    let title = to.title();
    let before = if from.changes(kind) { format!("{} changes what it has, and", from.title()) } else { "As now:".to_owned() };
    let sentence = format!(
        "{before} the connector of {title} knows no way to change a {kind}: a later revision is sent as a write again, and it is {title} that makes a change or one more of it."
    );
    let severity = if from.changes(kind) { Severity::Loses } else { Severity::Differs };
    let next = "Try it there with one record and a change of it; where it makes one more, add an update to the connector first.";
    Some(Gap::new(severity, "update", sentence, next))
}

fn actions(kind: RecordKind, from: &Connector, to: &Connector) -> Vec<Gap> {
    let (before, after) = (from.actions_after_write(kind), to.actions_after_write(kind));
    let gap = |(names, has, lacks): (&[String], &Connector, &Connector)| {
        let sentence = format!(
            "After each write {} does {}, and {} does not.",
            has.title(),
            names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "),
            lacks.title()
        );
        let next = "See whether a record that was only written counts there, or is a draft.";
        Gap::new(Severity::Differs, "action", sentence, next).about(names.join(", "))
    };
    let missing =
        |names: &[String], of: &[String]| -> Vec<String> { names.iter().filter(|name| !of.contains(name)).cloned().collect() };
    let (gone, new) = (missing(before, after), missing(after, before));
    let sides = [(gone, from, to), (new, to, from)];
    sides.iter().filter(|(names, ..)| !names.is_empty()).map(|(names, has, lacks)| gap((names, has, lacks))).collect()
}

/// Whether it can be found out what became of a write whose answer was lost.
fn proof(kind: RecordKind, from: &Connector, to: &Connector) -> Option<Gap> {
    let proves = |connector: &Connector| {
        let write = connector.resource(kind).and_then(|resource| resource.write.as_ref());
        connector.proof(kind).is_some() || write.is_some_and(|write| write.repeatable)
    };
    if !proves(to) {
        let had =
            if proves(from) { format!("{} can be asked whether a write arrived, and", from.title()) } else { "As now:".into() };
        let sentence = format!("{had} {} cannot: a write whose answer is lost waits for a person.", to.title());
        let severity = if proves(from) { Severity::Loses } else { Severity::Differs };
        return Some(Gap::new(severity, "proof", sentence, "Look there for each of them; or add a proof to the connector."));
    }
    let slower = to.proof_settle_ms(kind).saturating_add(to.lands_within_ms(kind));
    let before = from.proof_settle_ms(kind).saturating_add(from.lands_within_ms(kind));
    (slower > before.saturating_mul(2) && slower >= 10_000).then(|| {
        let sentence = format!(
            "What became of a write is known at {} after {} s, and at {} after {} s.",
            from.title(),
            before / 1_000,
            to.title(),
            slower / 1_000
        );
        Gap::new(Severity::Differs, "proof", sentence, "Nothing to do: a lost answer takes longer to settle.")
    })
}

/// How much goes at once.
fn size(kind: RecordKind, old: Side<'_>, candidate: Side<'_>) -> Vec<Gap> {
    let (from, to) = (old.connector, candidate.connector);
    let mut gaps = Vec::new();
    let next = "Raise the percent in steps and watch how long deliveries wait.";
    let batch = |connector: &Connector| connector.batch_items_max(kind).unwrap_or(1);
    if batch(to) < batch(from) {
        let sentence = format!("{} takes {} in one request, and {} takes {}.", from.title(), batch(from), to.title(), batch(to));
        gaps.push(Gap::new(Severity::Differs, "batch", sentence, next));
    }
    let at_once = |side: Side<'_>| side.connector.limits(side.settings).iter().map(|limit| limit.concurrency_max).min();
    if let Some(fewer) = at_once(candidate).filter(|fewer| at_once(old).is_none_or(|more| *fewer < more)) {
        let more = at_once(old).map_or_else(|| "as many as come".to_owned(), |more| more.to_string());
        let sentence = format!("{} takes {more} calls at once, and {} takes {fewer}.", from.title(), to.title());
        gaps.push(Gap::new(Severity::Differs, "limit", sentence, next));
    }
    let a_minute = |connector: &Connector| {
        let rates = connector.manifest.limits.iter().filter_map(|limit| limit.rate.as_ref());
        rates.map(|rate| u64::from(rate.calls) * 60 / u64::from(rate.per_s.max(1))).min()
    };
    if let Some(fewer) = a_minute(to).filter(|fewer| a_minute(from).is_none_or(|more| *fewer < more)) {
        let more = a_minute(from).map_or_else(|| "as many as come".to_owned(), |more| more.to_string());
        let sentence = format!("{} takes {more} calls a minute, and {} takes {fewer}.", from.title(), to.title());
        gaps.push(Gap::new(Severity::Differs, "limit", sentence, next));
    }
    gaps
}

fn webhooks(kind: RecordKind, from: &Connector, to: &Connector, severity: Severity) -> Option<Gap> {
    let tells = |connector: &Connector| {
        connector.manifest.webhooks.as_ref().is_some_and(|hook| hook.topics.values().any(|topic| topic.kind == kind))
    };
    (tells(from) && !tells(to)).then(|| {
        let sentence = format!(
            "{} tells by itself of a {kind} that changes, and {} does not: it has to be asked.",
            from.title(),
            to.title()
        );
        Gap::new(severity, "webhook", sentence, "Expect what changes there later, by as long as a poll takes.")
    })
}

pub(super) fn of_source(kind: RecordKind, old: Side<'_>, candidate: &Candidate<'_>) -> Vec<Gap> {
    let (from, to) = (old.connector, candidate.side.connector);
    let reads = |connector: &Connector| connector.resource(kind).is_some_and(|resource| resource.read.is_some());
    let tells = |connector: &Connector| {
        connector.manifest.webhooks.as_ref().is_some_and(|hook| hook.topics.values().any(|topic| topic.kind == kind))
    };
    if candidate.plan.is_none() || !(reads(to) || tells(to)) {
        let sentence = format!("{} does not read the kind {kind}.", to.title());
        return vec![Gap::new(Severity::Blocks, "read", sentence, "Choose a connection of a connector that does.")];
    }
    let mut gaps: Vec<Gap> = webhooks(kind, from, to, Severity::Loses).into_iter().collect();
    if reads(from) && !reads(to) {
        let sentence =
            format!("{} can be listed, and {} cannot: what a missed webhook dropped is not found.", from.title(), to.title());
        gaps.push(Gap::new(Severity::Loses, "read", sentence, "Compare the two sides by hand; or add a list to the connector."));
    }
    gaps
}
