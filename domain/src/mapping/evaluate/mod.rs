//! Runs an expression. Total: every expression on every document ends with a value or a fault, never a panic.
//! A missing field is null, and null in arithmetic is null.

mod call;
mod number;
mod text;

pub(super) use call::{no_entry, not_looked_up};
pub(super) use number::currency_places;

use bumpalo::collections::Vec as ArenaVec;
use rust_decimal::Decimal;

use super::cost::Cost;
use super::expression::{Base, Expr, Node, Operator, Path, Step};
use super::issue::Fault;
use super::lookup::Lookups;
use crate::value::{Arena, Field, PRINT_BYTES, Tree, decimal, print};

/// What a run sees, wherever in the document it stands.
pub(super) struct Inputs<'a> {
    pub root: Tree<'a>,
    pub vars: Vec<(&'a str, Tree<'a>)>,
    pub lookups: &'a dyn Lookups,
    pub cost: Cost,
    pub arena: &'a Arena,
}

/// Where an expression stands: the row, and those around it.
pub(super) struct Here<'r, 'a> {
    pub value: Tree<'a>,
    pub parent: Option<&'r Here<'r, 'a>>,
    pub index: usize,
    pub group: Option<Group<'a>>,
    pub inputs: &'r Inputs<'a>,
}

#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    pub key: Tree<'a>,
    pub rows: &'a [Tree<'a>],
}

/// A value under way: borrowed from the document, or a number that was worked out.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell<'a> {
    Decimal(Decimal),
    Tree(Tree<'a>),
}

type Evaluated<'a> = Result<Cell<'a>, Box<Fault>>;

impl<'a> Cell<'a> {
    pub const NULL: Cell<'static> = Cell::Tree(Tree::Null);

    fn text_of(text: &'a str) -> Self {
        Cell::Tree(Tree::Text(text))
    }

    fn bool(bool: bool) -> Self {
        Cell::Tree(Tree::Bool(bool))
    }

    fn number(number: Option<Decimal>) -> Self {
        number.map_or(Cell::NULL, Cell::Decimal)
    }

    pub fn into_tree(self, arena: &'a Arena) -> Tree<'a> {
        match self {
            Cell::Decimal(number) => Tree::Number(digits(number, arena)),
            Cell::Tree(tree) => tree,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Cell::Tree(Tree::Null))
    }

    pub fn is_nothing(&self) -> bool {
        matches!(self, Cell::Tree(Tree::Null | Tree::Text("")))
    }

    pub fn is_true(&self) -> bool {
        match self {
            Cell::Decimal(number) => !number.is_zero(),
            Cell::Tree(tree) => match tree {
                Tree::Null => false,
                Tree::Bool(bool) => *bool,
                Tree::Number(digits) => decimal(digits).is_none_or(|number| !number.is_zero()),
                Tree::Text(text) => !text.is_empty(),
                Tree::List(list) => !list.is_empty(),
                Tree::Map(_) => true,
            },
        }
    }

    /// The text of a plain value.
    pub fn text(&self, arena: &'a Arena) -> Option<&'a str> {
        match self {
            Cell::Decimal(number) => Some(digits(*number, arena)),
            Cell::Tree(tree) => tree.to_text(),
        }
    }

    pub fn decimal(&self) -> Result<Option<Decimal>, Box<Fault>> {
        const FIX: &str = "Let the source send digits with a point, such as 12.30.";
        let read = |text: &str| {
            let not = || Fault::expression(format!("{} is no number of at most 28 digits", Tree::Text(text).shown()));
            decimal(text).map(Some).ok_or_else(|| not().value(text).suggest(FIX))
        };
        match self {
            Cell::Decimal(number) => Ok(Some(*number)),
            Cell::Tree(Tree::Null) => Ok(None),
            Cell::Tree(Tree::Number(digits)) => read(digits),
            Cell::Tree(Tree::Text(text)) => match text.trim() {
                "" => Ok(None),
                text => read(text),
            },
            Cell::Tree(other) => Err(Fault::expression(format!("{} is no number", other.shown())).suggest(FIX)),
        }
    }

    /// The values of a list; one value is a list of one, and nothing is an empty one.
    fn items(self, inputs: &Inputs<'a>) -> Result<Items<'a>, Box<Fault>> {
        Ok(match self {
            Cell::Tree(Tree::Null) => Items::Trees(&[]),
            Cell::Tree(Tree::List(list)) => {
                let _ = list.iter().all(|tree| pay(tree, &inputs.cost));
                inputs.cost.check()?;
                Items::Trees(list)
            }
            one => Items::One(one),
        })
    }
}

enum Items<'a> {
    One(Cell<'a>),
    Trees(&'a [Tree<'a>]),
}

impl<'a> Items<'a> {
    fn iter(&self) -> impl DoubleEndedIterator<Item = Cell<'a>> + '_ {
        let (one, trees): (Option<Cell<'a>>, &[Tree<'a>]) = match self {
            Items::One(cell) => (Some(*cell), &[]),
            Items::Trees(trees) => (None, trees),
        };
        one.into_iter().chain(trees.iter().map(|tree| Cell::Tree(*tree)))
    }
}

fn digits(number: Decimal, arena: &Arena) -> &str {
    arena.alloc_str(print(number, &mut [0; PRINT_BYTES]))
}

/// The values of a path. Stepping into a list steps into each of its rows, and what they hold becomes one list:
/// `tax_lines.price` is the list of prices, `payments.refunds` the list of all refunds. Null where the cost is spent.
pub(super) fn follow<'a>(path: &Path, here: &Here<'_, 'a>) -> Tree<'a> {
    let start = match &path.base {
        Base::Here => Some(here.value),
        Base::Root => Some(here.inputs.root),
        Base::Parent(levels) => {
            let mut outer = Some(here);
            for _ in 0..*levels {
                outer = outer.and_then(|here| here.parent);
            }
            outer.map(|here| here.value)
        }
        Base::GroupKey => group(here).map(|group| group.key),
        Base::GroupRows => group(here).map(|group| Tree::List(group.rows)),
        Base::Var(name) => here.inputs.vars.iter().find(|(kept, _)| *kept == &**name).map(|(_, value)| *value),
    };
    start.map_or(Tree::Null, |start| walk(start, &path.steps, here.inputs))
}

fn group<'a>(here: &Here<'_, 'a>) -> Option<Group<'a>> {
    let mut here = Some(here);
    while let Some(at) = here {
        if at.group.is_some() {
            return at.group;
        }
        here = at.parent;
    }
    None
}

fn walk<'a>(mut value: Tree<'a>, mut steps: &[Step], inputs: &Inputs<'a>) -> Tree<'a> {
    while let Some((step, rest)) = steps.split_first() {
        if !inputs.cost.step(1) {
            return Tree::Null;
        }
        let next = match (step, value) {
            (Step::Key(key), Tree::Map(fields)) => field(fields, key),
            (Step::Key(_), Tree::List(list)) => return gather(list, steps, inputs),
            (Step::At(index), Tree::List(list)) => list.get(*index).copied(),
            _ => None,
        };
        match next {
            Some(next) => (value, steps) = (next, rest),
            None => return Tree::Null,
        }
    }
    if pay(&value, &inputs.cost) { value } else { Tree::Null }
}

/// Documents are made with the mapping's own words as keys, so that a key is found by its address.
fn field<'a>(fields: &[Field<'a>], key: &str) -> Option<Tree<'a>> {
    fields.iter().find(|field| std::ptr::eq(field.key, key)).map(|field| field.value)
}

fn gather<'a>(list: &[Tree<'a>], steps: &[Step], inputs: &Inputs<'a>) -> Tree<'a> {
    let mut found = ArenaVec::with_capacity_in(list.len(), inputs.arena);
    for row in list {
        match walk(*row, steps, inputs) {
            Tree::Null => {}
            Tree::List(inner) => found.extend(inner.iter().copied().take_while(|tree| pay(tree, &inputs.cost))),
            one => found.push(one),
        }
        if inputs.cost.spent().is_some() {
            break;
        }
    }
    Tree::List(found.into_bump_slice())
}

/// A value of the document costs what its text does. False where the cost is spent.
fn pay(value: &Tree<'_>, cost: &Cost) -> bool {
    match value {
        Tree::Text(text) | Tree::Number(text) => cost.read(text),
        _ => cost.step(1),
    }
}

pub(super) fn evaluate<'a>(expr: &'a Expr, here: &Here<'_, 'a>) -> Evaluated<'a> {
    let inputs = here.inputs;
    if !inputs.cost.step(1) {
        inputs.cost.check()?;
    }
    let at = |fault: Box<Fault>| fault.at(expr.column);
    match &expr.node {
        Node::Null => Ok(Cell::NULL),
        Node::Bool(bool) => Ok(Cell::bool(*bool)),
        Node::Number(number) => Ok(Cell::Decimal(*number)),
        Node::Text(text) => Ok(Cell::text_of(text)),
        Node::Index => Ok(Cell::Decimal(Decimal::from(here.index))),
        Node::Path(path) => {
            let tree = follow(path, here);
            inputs.cost.check()?;
            Ok(Cell::Tree(tree))
        }
        Node::Not(inner) => Ok(Cell::bool(!evaluate(inner, here)?.is_true())),
        Node::Negate(inner) => Ok(Cell::number(evaluate(inner, here)?.decimal().map_err(at)?.map(|number| -number))),
        Node::If(condition, yes, no) => evaluate(if evaluate(condition, here)?.is_true() { yes } else { no }, here),
        Node::Binary(operator, left, right) => binary(*operator, left, right, here).map_err(at),
        Node::Call(function, arguments) => call::call(*function, arguments, here).map_err(|mut fault| {
            // A fault of an argument has its own place already.
            if fault.column == 0 {
                fault.what = format!("{}: {}", function.name(), fault.what);
            }
            fault.at(expr.column)
        }),
    }
}

fn binary<'a>(operator: Operator, left: &'a Expr, right: &'a Expr, here: &Here<'_, 'a>) -> Evaluated<'a> {
    let left = evaluate(left, here)?;
    match operator {
        Operator::Or => return if left.is_true() { Ok(left) } else { evaluate(right, here) },
        Operator::And => return if left.is_true() { evaluate(right, here) } else { Ok(left) },
        _ => {}
    }
    let right = evaluate(right, here)?;
    match operator {
        Operator::Equal => return Ok(Cell::bool(equal(&left, &right, here.inputs.arena))),
        Operator::Unequal => return Ok(Cell::bool(!equal(&left, &right, here.inputs.arena))),
        Operator::Join => return text::glue([left, right].iter().copied(), "", here.inputs),
        _ => {}
    }
    let (Some(a), Some(b)) = (left.decimal()?, right.decimal()?) else {
        // Nothing is neither less nor more than anything.
        return Ok(match operator {
            Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide => Cell::NULL,
            _ => Cell::bool(false),
        });
    };
    let result = |result: Option<Decimal>| result.map(Cell::Decimal).ok_or_else(too_many_digits);
    match operator {
        Operator::Add => result(a.checked_add(b)),
        Operator::Subtract => result(a.checked_sub(b)),
        Operator::Multiply => result(a.checked_mul(b)),
        Operator::Divide if b.is_zero() => Err(Fault::expression("division by zero")
            .suggest("Ask first whether there is anything to divide by: b != 0 ? a / b : 0.")),
        Operator::Divide => result(a.checked_div(b)),
        Operator::Less => Ok(Cell::bool(a < b)),
        Operator::LessEqual => Ok(Cell::bool(a <= b)),
        Operator::Greater => Ok(Cell::bool(a > b)),
        Operator::GreaterEqual => Ok(Cell::bool(a >= b)),
        Operator::Or | Operator::And | Operator::Equal | Operator::Unequal | Operator::Join => unreachable!("answered above"),
    }
}

fn too_many_digits() -> Box<Fault> {
    Fault::expression("the result has more digits than a decimal holds").suggest("Round the parts before they are multiplied.")
}

/// Numbers equal as numbers (1.0 and 1), everything else as text; nothing equals nothing only.
fn equal<'a>(left: &Cell<'a>, right: &Cell<'a>, arena: &'a Arena) -> bool {
    if let (Cell::Tree(Tree::Text(a)), Cell::Tree(Tree::Text(b))) = (left, right) {
        return a == b;
    }
    let is_number = |cell: &Cell<'_>| matches!(cell, Cell::Decimal(_) | Cell::Tree(Tree::Number(_)));
    if (is_number(left) || is_number(right))
        && let (Ok(Some(a)), Ok(Some(b))) = (left.decimal(), right.decimal())
    {
        return a == b;
    }
    match (left.text(arena), right.text(arena)) {
        (Some(a), Some(b)) => a == b,
        (None, None) => left.is_null() && right.is_null(),
        _ => false,
    }
}
