//! The items of a page: of each delivery what was sent, what stood there before and what will be sent, or why nothing is.

use std::collections::HashMap;

use chrono::Utc;
use connectors::Inputs;
use connectors::flow::{developer_fault, thing};
use connectors::trial::{Made, Revision, Trial, Tried, sent};
use domain::comparison::compare;
use domain::delivery::DeliveryState;
use domain::edit::Edits;
use domain::exception::Reason;
use domain::flow::FlowSpec;
use domain::id::FlowVersionId;
use domain::replay::{After, Before, Of};
use domain::undo::{About, Code, ItemKind, Plan, Report, Seen, Told, changes, plan};
use domain::value::{Limits, Value};
use infra::lookup::TenantLookups;
use infra::postgres::undo::Undo;
use infra::postgres::undo_item::{NewItem, PreviousDelivery, Sends, SentPayload, Undoable};
use infra::trial::{Sides, TrialError};

use super::Pass;

/// Makes the items, and counts them.
pub(super) fn items(pass: &Pass, undo: &Undo, page: &[Undoable], report: &mut Report) -> Result<Vec<NewItem>, TrialError> {
    let sides = |id: FlowVersionId| pass.made_by.get(&id).map(|made_by| (&made_by.0.spec, &made_by.1));
    let (_, own) = sides(undo.version).ok_or(TrialError::Connection)?;
    let destination = own.destination();
    // What was sent once was taken by the filter then; what good rules leave out is left out.
    let mut trials = HashMap::new();
    for (id, made_by) in &pass.made_by {
        let unfiltered = FlowSpec { filter: None, ..made_by.0.spec.clone() };
        trials.insert(*id, made_by.1.trial(&unfiltered).map_err(|error| error.to_string()));
    }
    let good = undo.good.and_then(sides).map(|(spec, sides)| sides.trial(spec).map_err(|error| error.to_string()));
    let is_misread = undo.good.and_then(sides).is_some_and(|(spec, _)| spec.source_mapping != pass.undone.spec.source_mapping);
    let maker = Maker { pass, undo, own, trials, good };
    let mut items = Vec::with_capacity(page.len());
    for one in page {
        let name = one.revision.number.as_deref().unwrap_or(&one.revision.source_id);
        let thing = thing(pass.undone.kind, name);
        let about = About { thing: &thing, destination: destination.name, version: pass.undone.version };
        let seen = Seen {
            state: one.state,
            later: one.later,
            is_different: one.is_different,
            was_sent: one.sent.is_some() || !matches!(one.state, DeliveryState::Confirmed | DeliveryState::Reconciled),
            has_id: one.has_id,
            updates: destination.connector.changes(pass.undone.kind),
            has_previous: one.previous.is_some(),
            has_good: undo.good.is_some(),
            is_misread,
        };
        let item = match (plan(&seen, undo.goal, undo.leaves_created), &one.sent) {
            (Plan::Tell(code), _) => told(one, Told::why(code, about)),
            (plan, Some(was)) => maker.sent(one, was, plan == Plan::Previous, about, report),
            (_, None) => told(one, Told::why(Code::NothingSent, about)),
        };
        report.count(item.told.kind);
        let is_restored = item.told.kind == ItemKind::Restore;
        report.behind += u64::from(is_restored && item.is_behind);
        report.inexact += u64::from(is_restored && item.is_exact == Some(false));
        items.push(item);
    }
    Ok(items)
}

/// An item that sends nothing.
fn told(one: &Undoable, told: Told) -> NewItem {
    NewItem {
        delivery: one.id,
        record: one.revision.record.0,
        told,
        previous: one.previous.as_ref().map(|previous| previous.id),
        is_exact: None,
        is_behind: false,
        changes: vec![],
        changes_untold: 0,
        sends: None,
    }
}

struct Maker<'a> {
    pass: &'a Pass,
    undo: &'a Undo,
    own: &'a Sides,
    trials: HashMap<FlowVersionId, Result<Trial<'a>, String>>,
    /// The good version, with its filter.
    good: Option<Result<Trial<'a>, String>>,
}

impl<'a> Maker<'a> {
    /// What will be sent in the place of what was.
    fn sent(&self, one: &Undoable, was: &SentPayload, is_previous: bool, about: About<'_>, report: &mut Report) -> NewItem {
        let refused = |reason: &Reason| told(one, Told::refused(reason, about));
        let previous = one.previous.as_ref();
        let before = previous.map(|previous| self.again(one, was, previous));
        let (made, sends, is_behind) = match (is_previous, previous, before) {
            (true, Some(previous), Some(Ok(before))) => {
                // Where its rules make the same of the revision that the record has, that is what is sent: then nothing is behind.
                let now = self.previous_rules(one, was, previous);
                let is_behind = !matches!(&now, Ok(now) if now.body() == before.body());
                let revision_id = if is_behind { previous.revision_id } else { one.revision_id };
                let origin_at = previous.revision.origin_at;
                let sends = Sends { version: previous.version, revision_id, origin_at, edits: previous.edits.clone() };
                (before, sends, is_behind)
            }
            (true, _, Some(Err(reason))) => return refused(&reason),
            _ => match self.good(one, was) {
                Tried::Made(made) => {
                    let Some(version) = self.undo.good else { return told(one, Told::why(Code::Created, about)) };
                    let (revision_id, origin_at) = (one.revision_id, one.revision.origin_at);
                    (*made, Sends { version, revision_id, origin_at, edits: one.edits.clone() }, false)
                }
                Tried::Left => return told(one, Told::why(Code::NotTaken, about)),
                Tried::Refused(reason) => return refused(&reason),
            },
        };
        let is_exact = previous.filter(|_| is_previous).and_then(|previous| self.is_exact(previous));
        let stood = previous.and_then(|previous| self.again(one, was, previous).ok());
        let (old, will) = (sent(&was.request, &made.request.body), made.body());
        // Where a look-up would come first, what it finds is not known, and nothing can be compared.
        if !made.not_looked_up && compare(&old, &will, 1).is_empty() {
            return NewItem { is_exact, ..told(one, Told::why(Code::Same, about)) };
        }
        let (changes, changes_untold) = if made.not_looked_up {
            (vec![], 0)
        } else {
            let stood = stood.filter(|stood| !stood.not_looked_up).map(|stood| stood.body());
            let changes = changes(&old, stood.as_ref(), &will);
            self.count(one, Before::Sent(old), will, report);
            changes
        };
        NewItem {
            told: Told::sent(is_previous, is_behind, about),
            is_exact,
            is_behind,
            changes,
            changes_untold,
            sends: Some(sends),
            ..told(one, Told::sent(is_previous, is_behind, about))
        }
    }

    fn count(&self, one: &Undoable, before: Before, will: Value, report: &mut Report) {
        let document = Value::parse(one.revision.document.as_bytes(), &Limits::DEFAULT).ok();
        let currency = document.as_ref().and_then(|document| document.get("currency")?.as_str());
        let of = Of { record: one.revision.record, number: one.revision.number.as_deref(), currency };
        let money = self.trials.get(&self.undo.version).and_then(|trial| trial.as_ref().ok());
        report.values.add(of, &before, After::Sent(will), &|field| money.is_some_and(|trial| trial.is_money(field)));
    }

    /// What stood there before, in the form in which the bad version was sent.
    fn again(&self, one: &Undoable, was: &SentPayload, previous: &PreviousDelivery) -> Result<Made, Box<Reason>> {
        let revision = Revision { revision: one.revision.revision, ..previous.revision.of(one.id) };
        self.by_previous(was, previous, &revision)
    }

    /// The same rules over the revision that the bad version sent.
    fn previous_rules(&self, one: &Undoable, was: &SentPayload, previous: &PreviousDelivery) -> Result<Made, Box<Reason>> {
        self.by_previous(was, previous, &one.revision.of(one.id))
    }

    fn by_previous(&self, was: &SentPayload, previous: &PreviousDelivery, revision: &Revision<'_>) -> Result<Made, Box<Reason>> {
        let was_inputs = Inputs::parse(was.inputs.as_deref()).unwrap_or_default();
        let inputs = previous.sent.as_ref().and_then(|sent| sent.inputs.as_deref());
        let found = Inputs::parse(inputs).unwrap_or_default().found;
        let inputs = Inputs::new(was_inputs.change(), found).with_edits(edits(previous.edits.as_deref()));
        let trial = self.trials.get(&previous.version).ok_or_else(|| self.unfit("it is not there any more"))?;
        let trial = trial.as_ref().map_err(|why| self.unfit(why))?;
        match trial.run(revision, &inputs, &self.lookups(previous.revision.origin_at), was.at) {
            Tried::Made(made) => Ok(*made),
            Tried::Refused(reason) => Err(reason),
            Tried::Left => Err(self.unfit("its filter leaves the record out")),
        }
    }

    /// What good rules make of the revision that the bad version sent.
    fn good(&self, one: &Undoable, was: &SentPayload) -> Tried {
        let inputs = Inputs::parse(was.inputs.as_deref()).unwrap_or_default().with_edits(edits(one.edits.as_deref()));
        match &self.good {
            Some(Ok(trial)) => trial.run(&one.revision.of(one.id), &inputs, &self.lookups(one.revision.origin_at), was.at),
            Some(Err(why)) => Tried::Refused(self.unfit(why)),
            None => Tried::Refused(self.unfit("there is none")),
        }
    }

    /// Whether what is made again of the previous delivery is what was sent then; none where nothing was, or look-ups came before it.
    fn is_exact(&self, previous: &PreviousDelivery) -> Option<bool> {
        let was = previous.sent.as_ref()?;
        let trial = self.trials.get(&previous.version)?.as_ref().ok()?;
        let inputs = Inputs::parse(was.inputs.as_deref()).ok()?;
        match trial.run(&previous.revision.of(previous.id), &inputs, &self.lookups(previous.revision.origin_at), was.at) {
            Tried::Made(made) if made.not_looked_up => None,
            Tried::Made(made) => Some(compare(&sent(&was.request, &made.request.body), &made.body(), 1).is_empty()),
            Tried::Left | Tried::Refused(_) => Some(false),
        }
    }

    fn lookups(&self, at: chrono::DateTime<Utc>) -> TenantLookups<'_> {
        TenantLookups::new(&self.pass.tables, self.own.destination().connector.tables(), at)
    }

    /// The version that would make it cannot.
    fn unfit(&self, why: &str) -> Box<Reason> {
        let what = format!("the version that would make it cannot: {why}");
        let fault =
            developer_fault("version", what, "Roll back to a version that fits its connections, and undo to what it makes.");
        Box::new(Reason::from_fault("It", self.own.destination().name, &fault))
    }
}

fn edits(json: Option<&str>) -> Edits {
    json.map(Edits::from_json).unwrap_or_default()
}
