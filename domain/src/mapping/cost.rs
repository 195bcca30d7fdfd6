//! What one run of a mapping or a filter may cost. Rules are short, but a rule that reads all lines for each line is not cheap:
//! every step taken, every value copied and every byte of text written is counted, and a run that has no more left ends.

use std::cell::Cell as Counter;

use super::evaluate::Cell;
use super::issue::{Fault, IssueCode};
use crate::value::Tree;

const STEPS_MAX: usize = 2_000_000;
const NODES_MAX: usize = 200_000;
const TEXT_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Reading a long text costs as much as many short ones.
const BYTES_PER_STEP: usize = 64;
const TOO_MANY_STEPS: &str =
    "the mapping takes more than 2,000,000 steps for this document; let it read a long list once, not for each line";

/// What is left of a run. Counters in cells, because a run shares it with every value it looks at.
#[derive(Debug)]
pub(super) struct Cost {
    steps_left: Counter<usize>,
    nodes_left: Counter<usize>,
    bytes_left: Counter<usize>,
    spent: Counter<Option<&'static str>>,
}

impl Cost {
    pub(super) fn new() -> Self {
        Self {
            steps_left: Counter::new(STEPS_MAX),
            nodes_left: Counter::new(NODES_MAX),
            bytes_left: Counter::new(TEXT_BYTES_MAX),
            spent: Counter::new(None),
        }
    }

    /// The sentence that says what there is no more of.
    pub(super) fn spent(&self) -> Option<&'static str> {
        self.spent.get()
    }

    pub(super) fn check(&self) -> Result<(), Box<Fault>> {
        match self.spent() {
            None => Ok(()),
            Some(why) => Err(Box::new(Fault { code: IssueCode::TooMany, what: why.to_owned(), ..Fault::default() })),
        }
    }

    /// False where there are no more steps.
    #[inline]
    pub(super) fn step(&self, count: usize) -> bool {
        self.take(&self.steps_left, count, TOO_MANY_STEPS)
    }

    pub(super) fn read(&self, text: &str) -> bool {
        self.step(1 + text.len() / BYTES_PER_STEP)
    }

    /// Asked before anything is written, so that what is too much is never made.
    pub(super) fn write(&self, nodes: usize, bytes: usize) -> bool {
        self.take(&self.nodes_left, nodes, "the mapping writes more than 200,000 values")
            && self.take(&self.bytes_left, bytes, "the mapping writes more than 32 MiB of text")
    }

    pub(super) fn copy(&self, cell: &Cell<'_>) -> bool {
        match cell {
            Cell::Decimal(_) => self.write(1, 0),
            Cell::Tree(tree) => self.copy_tree(tree),
        }
    }

    pub(super) fn copy_tree(&self, tree: &Tree<'_>) -> bool {
        match tree {
            Tree::Null | Tree::Bool(_) => self.write(1, 0),
            Tree::Number(text) | Tree::Text(text) => self.write(1, text.len()),
            Tree::List(list) => self.write(1, 0) && list.iter().all(|tree| self.copy_tree(tree)),
            Tree::Map(fields) => {
                self.write(1, 0) && fields.iter().all(|field| self.write(0, field.key.len()) && self.copy_tree(&field.value))
            }
        }
    }

    #[inline]
    fn take(&self, left: &Counter<usize>, count: usize, why: &'static str) -> bool {
        match left.get().checked_sub(count) {
            Some(rest) => {
                left.set(rest);
                true
            }
            None => {
                self.end(why);
                false
            }
        }
    }

    /// Takes all that is left, so that nothing goes on after the first refusal.
    #[cold]
    fn end(&self, why: &'static str) {
        [&self.steps_left, &self.nodes_left, &self.bytes_left].into_iter().for_each(|left| left.set(0));
        self.spent.set(self.spent.get().or(Some(why)));
    }
}
