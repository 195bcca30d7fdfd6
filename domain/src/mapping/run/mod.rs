//! One run of a plan over one document. What has no answer becomes an issue with its place, and the run goes on: a person mends an order once.

mod draft;
mod rows;

use bumpalo::collections::Vec as ArenaVec;
use rust_decimal::Decimal;

use self::draft::Draft;
use super::convert::convert;
use super::evaluate::{Cell, Here, Inputs, currency_places, evaluate, follow, no_entry, not_looked_up};
use super::issue::{Fault, Issue, IssueCode};
use super::plan::{Action, Compiled, Each, Places, Rounding, Set, Source};
use super::round;
use super::rule::{Kind, OnMissing};
use crate::value::Tree;

const ISSUES_MAX: usize = 50;
const VALUE_CHARS_MAX: usize = 200;
/// A value without an entry is kept as far as a table could have it, so that the entry can be added.
const KEY_CHARS_MAX: usize = crate::lookup_table::FROM_BYTES_MAX + 1;

pub(super) fn document<'a>(rules: &'a [Compiled], inputs: &Inputs<'a>) -> Result<Tree<'a>, Vec<Issue>> {
    let mut run = Run { issues: vec![], stopped: false };
    let here = Here { value: inputs.root, parent: None, index: 0, group: None, inputs };
    let document = run.rules(rules, &here, None, &[]);
    if run.issues.is_empty() { Ok(document) } else { Err(run.issues) }
}

struct Run {
    issues: Vec<Issue>,
    /// The run has cost what it may, which is said once, or has as many issues as are said.
    stopped: bool,
}

/// Where a rule writes, named only if somebody asks.
#[derive(Clone, Copy)]
struct Place<'p> {
    row: Option<&'p Row<'p>>,
    rule: &'p Compiled,
}

struct Row<'p> {
    list: Place<'p>,
    index: usize,
}

impl Place<'_> {
    /// `lines[2].sku`
    fn name(&self) -> String {
        let to = self.rule.to.join(".");
        match self.row {
            Some(row) => format!("{}[{}].{to}", row.list.name(), row.index),
            None => to,
        }
    }
}

type Shares = Vec<Option<Decimal>>;

impl Run {
    fn rules<'a>(
        &mut self,
        rules: &'a [Compiled],
        here: &Here<'_, 'a>,
        row: Option<&Row<'_>>,
        shares: &[(&'a Set, Shares)],
    ) -> Tree<'a> {
        let inputs = here.inputs;
        let mut out = Draft::new(rules.len(), inputs.arena);
        for rule in rules {
            let place = Place { row, rule };
            if let Some(when) = &rule.when {
                match evaluate(when, here) {
                    Ok(cell) if cell.is_true() => {}
                    Ok(_) => continue,
                    Err(fault) => {
                        self.fault(place, None, *fault, inputs);
                        if self.stopped { break } else { continue }
                    }
                }
            }
            let value = match &rule.action {
                Action::Set(set) => self.set(set, here, place),
                Action::Share(at) => self.share(&shares[*at], here, place),
                Action::Each(each) => self.each(each, here, place),
            };
            // What the value itself costs is counted before it is made; this is its key and the groups on the way to it.
            if self.stopped || (value.is_some() && !inputs.cost.write(rule.to.len(), rule.to_bytes) && self.stops(place, inputs))
            {
                break;
            }
            let copied = match value {
                Some(Tree::List(rows)) if rule.adds => out.add(rule, rows),
                Some(value) => {
                    out.write(rule, value);
                    0
                }
                None => 0,
            };
            // Rules that add one row each to a long list are not cheap.
            if copied > 0 && !inputs.cost.step(copied) && self.stops(place, inputs) {
                break;
            }
        }
        out.finish()
    }

    fn set<'a>(&mut self, set: &'a Set, here: &Here<'_, 'a>, place: Place<'_>) -> Option<Tree<'a>> {
        let inputs = here.inputs;
        let from = if let Source::Path(_, name) = &set.source { Some(name.as_str()) } else { None };
        let value = self.value(set, here).map_err(|fault| self.fault(place, from, *fault, inputs)).ok()?;
        // An empty text is nothing too: a destination would take it for a name or an id.
        if set.required && matches!(value, None | Some(Tree::Null | Tree::Text(""))) && !self.stops(place, inputs) {
            self.required(place, from);
        }
        value
    }

    fn required(&mut self, place: Place<'_>, from: Option<&str>) {
        let fix = match from {
            Some(from) => format!("Fill in {from} at the source, or give the rule a default."),
            None => "Fill it in at the source, or give the rule a default.".to_owned(),
        };
        let what = format!("the field {} is required and has no value", place.name());
        self.issue(place, from, Fault { code: IssueCode::Required, what, suggestion: Some(fix), ..Fault::default() });
    }

    /// What a rule writes; nothing where the source has nothing.
    fn value<'a>(&self, set: &'a Set, here: &Here<'_, 'a>) -> Result<Option<Tree<'a>>, Box<Fault>> {
        let inputs = here.inputs;
        let cell = source(set, here)?;
        let is_plain_text = matches!(set.kind, None | Some(Kind::Text | Kind::Json));
        if cell.is_null() || (cell.is_nothing() && (set.default.is_some() || set.lookup.is_some() || !is_plain_text)) {
            return default(set, inputs);
        }
        let cell = match &set.lookup {
            None => cell,
            Some(table) => {
                let key = cell.text(inputs.arena).ok_or_else(|| not_looked_up(table))?;
                match (inputs.lookups.find(table, key), set.on_missing) {
                    (Some(found), _) => Cell::Tree(Tree::Text(found)),
                    (None, OnMissing::Keep) => cell,
                    (None, OnMissing::Default) => return default(set, inputs),
                    (None, OnMissing::Exception) => return Err(no_entry(table, key, inputs)),
                }
            }
        };
        let cell = match &set.round {
            None => cell,
            Some(rounding) => match cell.decimal()? {
                Some(amount) => Cell::Decimal(round::rounded(amount, places(rounding, here)?, rounding.mode)),
                None => return default(set, inputs),
            },
        };
        if !inputs.cost.copy(&cell) {
            inputs.cost.check()?;
        }
        convert(cell, set.kind, set.zone, inputs.arena).map(Some)
    }

    fn share<'a>(&mut self, (set, shares): &(&'a Set, Shares), here: &Here<'_, 'a>, place: Place<'_>) -> Option<Tree<'a>> {
        let (set, inputs) = (*set, here.inputs);
        let value = match shares.get(here.index).copied().flatten() {
            Some(amount) if inputs.cost.write(1, 0) => convert(Cell::Decimal(amount), set.kind, None, inputs.arena).map(Some),
            Some(_) => inputs.cost.check().map(|()| None),
            None => default(set, inputs),
        };
        let value = value.map_err(|fault| self.fault(place, None, *fault, inputs)).ok()?;
        if value.is_none() && set.required && !self.stops(place, inputs) {
            self.required(place, None);
        }
        value
    }

    fn each<'a>(&mut self, each: &'a Each, here: &Here<'_, 'a>, place: Place<'_>) -> Option<Tree<'a>> {
        let inputs = here.inputs;
        let Some(elements) = self.elements(each, here, place) else {
            if each.required && !self.stops(place, inputs) {
                let what = format!("the list {} is required and is not there", place.name());
                let suggestion = Some("See whether the source still calls it by that name.".to_owned());
                self.issue(place, None, Fault { code: IssueCode::Required, what, suggestion, ..Fault::default() });
            }
            return None;
        };
        let mut shares = Vec::with_capacity(each.shares.len());
        for (at, set) in each.shares.iter().enumerate() {
            // A rule of its own, for the place that an issue names.
            let rule = each.rules.iter().find(|rule| matches!(rule.action, Action::Share(of) if of == at)).unwrap_or(place.rule);
            shares.push((set, self.settle(set, rule, &elements, here, place)));
            if self.stopped {
                return None;
            }
        }
        let mut rows = ArenaVec::with_capacity_in(elements.len(), inputs.arena);
        for (index, element) in elements.iter().enumerate() {
            if !(inputs.cost.write(1, 0) && inputs.cost.step(1)) {
                self.stops(place, inputs);
                return None;
            }
            let row = Row { list: place, index };
            rows.push(element.within(index, here, |here| self.rules(&each.rules, here, Some(&row), &shares)));
            if self.stopped {
                return None;
            }
        }
        Some(Tree::List(rows.into_bump_slice()))
    }

    fn row_fault(&mut self, row: &Row<'_>, fault: Fault, inputs: &Inputs<'_>) {
        if !self.stops(row.list, inputs) {
            let to = format!("{}[{}]", row.list.name(), row.index);
            self.issue(row.list, None, fault);
            if let Some(issue) = self.issues.last_mut() {
                issue.to = to;
            }
        }
    }

    fn fault(&mut self, place: Place<'_>, from: Option<&str>, fault: Fault, inputs: &Inputs<'_>) {
        if !self.stops(place, inputs) {
            self.issue(place, from, fault);
        }
    }

    /// True where the run has cost what it may. All that follows would be a consequence, so it is one issue, and the last.
    fn stops(&mut self, place: Place<'_>, inputs: &Inputs<'_>) -> bool {
        let Some(why) = inputs.cost.spent() else { return false };
        if !self.stopped {
            self.stopped = true;
            self.issues.truncate(ISSUES_MAX - 1);
            self.issue(place, None, Fault { code: IssueCode::TooMany, what: why.to_owned(), ..Fault::default() });
        }
        true
    }

    fn issue(&mut self, place: Place<'_>, from: Option<&str>, fault: Fault) {
        if self.issues.len() < ISSUES_MAX {
            let chars_max = if fault.code == IssueCode::NoEntry { KEY_CHARS_MAX } else { VALUE_CHARS_MAX };
            self.issues.push(Issue {
                rule: place.rule.rule.clone(),
                to: place.name(),
                from: from.map(str::to_owned),
                sentence: fault.sentence(),
                code: fault.code,
                table: fault.table,
                value: fault.value.map(|value| value.chars().take(chars_max).collect()),
                suggestion: fault.suggestion,
            });
            // Whatever else it lacks would not be said.
            self.stopped |= self.issues.len() == ISSUES_MAX;
        }
    }
}

fn source<'a>(set: &'a Set, here: &Here<'_, 'a>) -> Result<Cell<'a>, Box<Fault>> {
    match &set.source {
        Source::Path(path, _) => {
            let tree = follow(path, here);
            here.inputs.cost.check()?;
            Ok(Cell::Tree(tree))
        }
        Source::Expression(expr) => evaluate(expr, here),
        Source::Nothing => Ok(Cell::NULL),
    }
}

fn default<'a>(set: &'a Set, inputs: &Inputs<'a>) -> Result<Option<Tree<'a>>, Box<Fault>> {
    let Some(value) = &set.default else { return Ok(None) };
    let tree = Tree::of(value, None, inputs.arena);
    if !inputs.cost.copy_tree(&tree) {
        inputs.cost.check()?;
    }
    Ok(Some(tree))
}

fn places<'a>(rounding: &'a Rounding, here: &Here<'_, 'a>) -> Result<u32, Box<Fault>> {
    match &rounding.places {
        Places::Fixed(places) => Ok(*places),
        Places::Of(currency) => currency_places(evaluate(currency, here)?.text(here.inputs.arena).unwrap_or_default()),
    }
}
