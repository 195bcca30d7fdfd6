//! What the rules of a row have written so far.

use bumpalo::collections::Vec as ArenaVec;

use crate::mapping::evaluate::Inputs;
use crate::mapping::plan::Compiled;
use crate::value::{Field, Tree};

pub(super) struct Draft<'a>(ArenaVec<'a, (&'a str, Part<'a>)>);

enum Part<'a> {
    Whole(Tree<'a>),
    /// Made by rules such as `customer.name`, which may come one by one.
    Group(Draft<'a>),
}

impl<'a> Draft<'a> {
    pub fn new(capacity: usize, inputs: &Inputs<'a>) -> Self {
        Self(ArenaVec::with_capacity_in(capacity, inputs.arena))
    }

    pub fn write(&mut self, rule: &'a Compiled, value: Tree<'a>) {
        if rule.is_alone {
            self.0.push((&rule.to[0], Part::Whole(value)));
        } else {
            self.write_at(&rule.to, value);
        }
    }

    /// A later rule of the same field takes the earlier one's place.
    fn write_at(&mut self, to: &'a [std::sync::Arc<str>], value: Tree<'a>) {
        let [first, rest @ ..] = to else { return };
        // From the end, because rules of one group mostly follow each other.
        let at = self.0.iter().rposition(|(key, _)| std::ptr::eq(*key, &**first)).unwrap_or_else(|| {
            self.0.push((first, Part::Whole(Tree::Null)));
            self.0.len() - 1
        });
        let arena = self.0.bump();
        let part = &mut self.0[at].1;
        if rest.is_empty() {
            *part = Part::Whole(value);
            return;
        }
        if let Part::Whole(_) = part {
            *part = Part::Group(Draft(ArenaVec::with_capacity_in(8, arena)));
        }
        if let Part::Group(group) = part {
            group.write_at(rest, value);
        }
    }

    pub fn finish(self, inputs: &Inputs<'a>) -> Tree<'a> {
        let fields = self.0.into_iter().map(|(key, part)| Field {
            key,
            value: match part {
                Part::Whole(value) => value,
                Part::Group(group) => group.finish(inputs),
            },
        });
        Tree::Map(ArenaVec::from_iter_in(fields, inputs.arena).into_bump_slice())
    }
}
