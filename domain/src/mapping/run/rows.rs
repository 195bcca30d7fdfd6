//! The rows that a list's rules run for, and what the rows settle together.

use std::collections::HashMap;

use bumpalo::collections::Vec as ArenaVec;

use super::{Place, Row, Run, Shares, places, source};
use crate::mapping::evaluate::{Group, Here, Inputs, evaluate, follow};
use crate::mapping::expression::Expr;
use crate::mapping::issue::Fault;
use crate::mapping::plan::{Compiled, Each, Set};
use crate::mapping::round;
use crate::value::Tree;

/// A row of a list, with the row around it where it was flattened out of one.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    value: Tree<'a>,
    outer: Option<(Tree<'a>, usize)>,
    group: Option<Group<'a>>,
}

impl<'a> Element<'a> {
    pub fn within<R>(&self, index: usize, here: &Here<'_, 'a>, act: impl FnOnce(&Here<'_, 'a>) -> R) -> R {
        let (value, group, inputs) = (self.value, self.group, here.inputs);
        let Some((outer, outer_index)) = self.outer else {
            return act(&Here { value, parent: Some(here), index, group, inputs });
        };
        let outer = Here { value: outer, parent: Some(here), index: outer_index, group: None, inputs };
        act(&Here { value, parent: Some(&outer), index, group, inputs })
    }
}

impl Run {
    /// The rows that the rules run for: of the list, of the lists within it, those that pass, one for each group.
    pub(super) fn elements<'a>(&mut self, each: &'a Each, here: &Here<'_, 'a>, place: Place<'_>) -> Option<Vec<Element<'a>>> {
        let inputs = here.inputs;
        let list = rows_of(follow(&each.list, here), inputs)?;
        inputs.cost.step(list.len());
        if self.stops(place, inputs) {
            return None;
        }
        // Not of the arena: a list within a list would leave one there for each row around it.
        let mut elements = Vec::with_capacity(list.len());
        for (index, value) in list.iter().enumerate() {
            let element = Element { value: *value, outer: None, group: None };
            let Some(flatten) = &each.flatten else {
                elements.push(element);
                continue;
            };
            let inner = rows_of(element.within(index, here, |here| follow(flatten, here)), inputs).unwrap_or_default();
            if !inputs.cost.step(inner.len()) {
                break;
            }
            let outer = Some((*value, index));
            elements.extend(inner.iter().map(|value| Element { value: *value, outer, group: None }));
        }
        if let Some(filter) = &each.filter {
            let mut index = 0;
            elements.retain(|element| {
                if self.stopped {
                    return false;
                }
                let passes = element.within(index, here, |here| evaluate(filter, here)).map(|cell| cell.is_true());
                let row = Row { list: place, index };
                index += 1;
                passes.unwrap_or_else(|fault| {
                    self.row_fault(&row, *fault, inputs);
                    false
                })
            });
        }
        let elements = match &each.group_by {
            Some(group_by) => self.groups(group_by, &elements, here, place),
            None => elements,
        };
        if self.stops(place, inputs) || self.stopped { None } else { Some(elements) }
    }

    /// One element for each key, in the order in which keys first come; rows without a value are a group too.
    fn groups<'a>(
        &mut self,
        group_by: &'a Expr,
        elements: &[Element<'a>],
        here: &Here<'_, 'a>,
        place: Place<'_>,
    ) -> Vec<Element<'a>> {
        let inputs = here.inputs;
        let mut at: HashMap<Option<&'a str>, usize> = HashMap::new();
        let mut groups: Vec<(Element<'a>, Tree<'a>, ArenaVec<'a, Tree<'a>>)> = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            if self.stopped {
                break;
            }
            let row = Row { list: place, index };
            let key = match element.within(index, here, |here| evaluate(group_by, here)) {
                Ok(key) => key,
                Err(fault) => {
                    self.row_fault(&row, *fault, inputs);
                    continue;
                }
            };
            let text = key.text(inputs.arena);
            if text.is_none() && !key.is_null() {
                let what = "rows cannot be grouped by a list or a group of fields";
                self.row_fault(&row, *Fault::kind(what, None, "Group by one field of it."), inputs);
                continue;
            }
            let group = *at.entry(text).or_insert_with(|| {
                groups.push((*element, key.into_tree(inputs.arena), ArenaVec::new_in(inputs.arena)));
                groups.len() - 1
            });
            groups[group].2.push(element.value);
        }
        let with_rows = |(first, key, rows): (Element<'a>, Tree<'a>, ArenaVec<'a, Tree<'a>>)| Element {
            group: Some(Group { key, rows: rows.into_bump_slice() }),
            ..first
        };
        groups.into_iter().map(with_rows).collect()
    }

    /// What each row gets of an amount that they settle together. Without an answer no row gets any.
    pub(super) fn settle<'a>(
        &mut self,
        set: &'a Set,
        rule: &Compiled,
        elements: &[Element<'a>],
        here: &Here<'_, 'a>,
        place: Place<'_>,
    ) -> Shares {
        let inputs = here.inputs;
        let mut amounts = Vec::with_capacity(elements.len());
        let mut settled = None;
        for (index, element) in elements.iter().enumerate() {
            let amount = element.within(index, here, |here| {
                if let (None, Some(rounding)) = (settled, &set.round) {
                    settled = Some(places(rounding, here)?);
                }
                let takes_part = set.when.as_ref().map_or(Ok(true), |when| evaluate(when, here).map(|cell| cell.is_true()))?;
                if takes_part { source(set, here)?.decimal() } else { Ok(None) }
            });
            match amount {
                Ok(amount) => amounts.push(amount),
                Err(fault) => {
                    let row = Row { list: place, index };
                    self.fault(Place { row: Some(&row), rule }, None, *fault, inputs);
                    return vec![];
                }
            }
        }
        let Some(rounding) = &set.round else { return vec![] };
        // Without a row nobody was asked for the places, and an amount that nobody gets is not lost in silence.
        let places = settled.unwrap_or_default();
        let shares = match &set.allocate {
            None => round::rows(&amounts, places, rounding.mode),
            Some(amount) => match evaluate(amount, here).and_then(|cell| cell.decimal()) {
                Ok(Some(amount)) => round::allocate(amount, &amounts, places, rounding.mode),
                Ok(None) => return vec![],
                Err(fault) => {
                    self.fault(place, None, *fault, inputs);
                    return vec![];
                }
            },
        };
        shares.unwrap_or_else(|why| {
            let row = Row { list: place, index: 0 };
            self.fault(Place { row: Some(&row), rule }, None, *Fault::expression(why), inputs);
            vec![]
        })
    }
}

/// A list's rows; a group of fields where a list was expected is a list of one.
fn rows_of<'a>(found: Tree<'a>, inputs: &Inputs<'a>) -> Option<&'a [Tree<'a>]> {
    match found {
        Tree::List(list) => Some(list),
        one @ Tree::Map(_) => Some(std::slice::from_ref(inputs.arena.alloc(one))),
        _ => None,
    }
}
