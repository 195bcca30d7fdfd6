//! Runs an expression. Total: every expression on every document ends with a value or an error, never a panic.
//! A missing field is null, and null in arithmetic is null.

use std::borrow::Cow;

use rust_decimal::{Decimal, RoundingStrategy};

use super::cost::Cost;
use super::expression::{Base, Function, Node, Operator, Path, Step};
use super::plan::Vars;
use crate::currency::round_money;
use crate::value::{Value, decimal};

/// Text that an expression may make.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Where an expression stands: the element, those around it, and the named values.
pub(super) struct Here<'a> {
    pub value: &'a Value,
    pub parent: Option<&'a Here<'a>>,
    pub root: &'a Value,
    pub index: usize,
    pub vars: &'a Vars,
    pub cost: &'a Cost,
}

/// A value under way: borrowed from the document where it can be.
#[derive(Debug, Clone)]
pub(super) enum Cell<'a> {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(Cow<'a, str>),
    List(Vec<Cell<'a>>),
    /// A value of the document, as it is.
    Node(&'a Value),
}

type Evaluated<'a> = Result<Cell<'a>, String>;

impl<'a> Cell<'a> {
    pub(super) fn from_value(value: &'a Value) -> Self {
        match value {
            Value::Null => Cell::Null,
            Value::Bool(bool) => Cell::Bool(*bool),
            Value::Text(text) => Cell::Text(Cow::Borrowed(text)),
            other => Cell::Node(other),
        }
    }

    pub(super) fn into_value(self) -> Value {
        match self {
            Cell::Null => Value::Null,
            Cell::Bool(bool) => Value::Bool(bool),
            Cell::Number(number) => Value::from(number),
            Cell::Text(text) => Value::Text(text.into_owned()),
            Cell::List(list) => Value::List(list.into_iter().map(Cell::into_value).collect()),
            Cell::Node(value) => value.clone(),
        }
    }

    pub(super) fn is_nothing(&self) -> bool {
        match self {
            Cell::Null => true,
            Cell::Text(text) => text.is_empty(),
            _ => false,
        }
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Cell::Null => false,
            Cell::Bool(bool) => *bool,
            Cell::Number(number) => !number.is_zero(),
            Cell::Text(text) => !text.is_empty(),
            Cell::List(list) => !list.is_empty(),
            Cell::Node(Value::Number(number)) => number.to_decimal().is_none_or(|n| !n.is_zero()),
            Cell::Node(Value::List(list)) => !list.is_empty(),
            Cell::Node(_) => true,
        }
    }

    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Cell::Bool(bool) => Some(Cow::Borrowed(if *bool { "true" } else { "false" })),
            Cell::Number(number) => Some(Cow::Owned(number.to_string())),
            Cell::Text(text) => Some(Cow::Borrowed(text)),
            Cell::Node(value) => value.to_text(),
            Cell::Null | Cell::List(_) => None,
        }
    }

    fn decimal(&self) -> Result<Option<Decimal>, String> {
        let not = |text: &str| format!("\"{}\" is no number of at most 28 digits", text.chars().take(60).collect::<String>());
        match self {
            Cell::Null => Ok(None),
            Cell::Number(number) => Ok(Some(*number)),
            Cell::Text(text) if text.trim().is_empty() => Ok(None),
            Cell::Text(text) => decimal(text.trim()).map(Some).ok_or_else(|| not(text)),
            Cell::Node(Value::Number(number)) => number.to_decimal().map(Some).ok_or_else(|| not(number.as_str())),
            _ => Err("a list or a group of fields is no number".into()),
        }
    }

    fn items(self, cost: &Cost) -> Result<Vec<Cell<'a>>, String> {
        Ok(match self {
            Cell::Null => vec![],
            Cell::List(list) => list,
            Cell::Node(Value::List(list)) => {
                let items = list.iter().map_while(|value| read(value, cost)).collect();
                cost.check()?;
                items
            }
            other => vec![other],
        })
    }
}

/// The values of a path. Stepping into a list steps into each of its elements, and what they hold becomes one list:
/// `tax_lines.price` is the list of prices, `payments.refunds` the list of all refunds. Null where the cost is spent.
pub(super) fn follow<'a>(path: &Path, here: &Here<'a>) -> Cell<'a> {
    let start = match &path.base {
        Base::Here => Some(here.value),
        Base::Parent => here.parent.map(|parent| parent.value),
        Base::Root => Some(here.root),
        Base::Var(name) => here.vars.get(name),
    };
    start.map_or(Cell::Null, |start| walk(start, &path.steps, here.cost))
}

fn walk<'a>(value: &'a Value, steps: &[Step], cost: &Cost) -> Cell<'a> {
    let Some((step, rest)) = steps.split_first() else { return read(value, cost).unwrap_or(Cell::Null) };
    if !cost.step(1) {
        return Cell::Null;
    }
    match (step, value) {
        (Step::Key(key), Value::Map(map)) => map.get(key).map_or(Cell::Null, |next| walk(next, rest, cost)),
        (Step::Key(_), Value::List(list)) => {
            let mut found = Vec::new();
            for element in list {
                match walk(element, steps, cost) {
                    Cell::Null => {}
                    Cell::List(inner) => found.extend(inner),
                    Cell::Node(Value::List(inner)) => found.extend(inner.iter().map_while(|value| read(value, cost))),
                    one => found.push(one),
                }
                if cost.spent().is_some() {
                    break;
                }
            }
            Cell::List(found)
        }
        (Step::At(index), Value::List(list)) => list.get(*index).map_or(Cell::Null, |next| walk(next, rest, cost)),
        _ => Cell::Null,
    }
}

/// A value of the document, for what its text costs; none where the cost is spent.
fn read<'a>(value: &'a Value, cost: &Cost) -> Option<Cell<'a>> {
    let paid = match value {
        Value::Text(text) => cost.read(text),
        Value::Number(number) => cost.read(number.as_str()),
        _ => cost.step(1),
    };
    paid.then(|| Cell::from_value(value))
}

pub(super) fn evaluate<'a>(node: &'a Node, here: &Here<'a>) -> Evaluated<'a> {
    if !here.cost.step(1) {
        here.cost.check()?;
    }
    match node {
        Node::Null => Ok(Cell::Null),
        Node::Bool(bool) => Ok(Cell::Bool(*bool)),
        Node::Number(number) => Ok(Cell::Number(*number)),
        Node::Text(text) => Ok(Cell::Text(Cow::Borrowed(text))),
        Node::Index => Ok(Cell::Number(Decimal::from(here.index))),
        Node::Path(path) => {
            let cell = follow(path, here);
            here.cost.check()?;
            Ok(cell)
        }
        Node::Not(inner) => Ok(Cell::Bool(!evaluate(inner, here)?.is_true())),
        Node::Negate(inner) => Ok(evaluate(inner, here)?.decimal()?.map_or(Cell::Null, |n| Cell::Number(-n))),
        Node::If(condition, yes, no) => evaluate(if evaluate(condition, here)?.is_true() { yes } else { no }, here),
        Node::Binary(operator, left, right) => binary(*operator, left, right, here),
        Node::Call(function, arguments) => call(*function, arguments, here).map_err(|why| format!("{}: {why}", function.name())),
    }
}

fn binary<'a>(operator: Operator, left: &'a Node, right: &'a Node, here: &Here<'a>) -> Evaluated<'a> {
    let left = evaluate(left, here)?;
    match operator {
        Operator::Or => return if left.is_true() { Ok(left) } else { evaluate(right, here) },
        Operator::And => return if left.is_true() { evaluate(right, here) } else { Ok(left) },
        _ => {}
    }
    let right = evaluate(right, here)?;
    match operator {
        Operator::Equal => return Ok(Cell::Bool(equal(&left, &right))),
        Operator::Unequal => return Ok(Cell::Bool(!equal(&left, &right))),
        _ => {}
    }
    let (Some(a), Some(b)) = (left.decimal()?, right.decimal()?) else {
        // Nothing is neither less nor more than anything.
        return Ok(match operator {
            Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide => Cell::Null,
            _ => Cell::Bool(false),
        });
    };
    let number = |result: Option<Decimal>| {
        result.map(Cell::Number).ok_or_else(|| "the result has more digits than a decimal holds".to_owned())
    };
    match operator {
        Operator::Add => number(a.checked_add(b)),
        Operator::Subtract => number(a.checked_sub(b)),
        Operator::Multiply => number(a.checked_mul(b)),
        Operator::Divide if b.is_zero() => Err("division by zero".into()),
        Operator::Divide => number(a.checked_div(b)),
        Operator::Less => Ok(Cell::Bool(a < b)),
        Operator::LessEqual => Ok(Cell::Bool(a <= b)),
        Operator::Greater => Ok(Cell::Bool(a > b)),
        Operator::GreaterEqual => Ok(Cell::Bool(a >= b)),
        Operator::Or | Operator::And | Operator::Equal | Operator::Unequal => unreachable!("answered above"),
    }
}

/// Numbers equal as numbers (1.0 and 1), everything else as text; nothing equals nothing only.
fn equal(left: &Cell<'_>, right: &Cell<'_>) -> bool {
    let is_number = |cell: &Cell<'_>| matches!(cell, Cell::Number(_) | Cell::Node(Value::Number(_)));
    if (is_number(left) || is_number(right))
        && let (Ok(Some(a)), Ok(Some(b))) = (left.decimal(), right.decimal())
    {
        return a == b;
    }
    match (left.text(), right.text()) {
        (Some(a), Some(b)) => a == b,
        (None, None) => matches!(left, Cell::Null) && matches!(right, Cell::Null),
        _ => false,
    }
}

fn call<'a>(function: Function, nodes: &'a [Node], here: &Here<'a>) -> Evaluated<'a> {
    if function == Function::Coalesce {
        for node in nodes {
            let cell = evaluate(node, here)?;
            if !cell.is_nothing() {
                return Ok(cell);
            }
        }
        return Ok(Cell::Null);
    }
    let mut cells = nodes.iter().map(|node| evaluate(node, here)).collect::<Result<Vec<_>, _>>()?;
    let text = |cell: &Cell<'_>| cell.text().map(Cow::into_owned).unwrap_or_default();
    let too_long = || format!("the text is longer than {TEXT_BYTES_MAX} bytes");
    let made = |text: String| {
        if text.len() > TEXT_BYTES_MAX {
            return Err(too_long());
        }
        here.cost.read(&text);
        here.cost.check()?;
        Ok(Cell::Text(Cow::Owned(text)))
    };
    // Bounded while it is made.
    let glued = |cells: Vec<Cell<'a>>, separator: &str| {
        let mut whole = String::new();
        for part in cells.iter().filter_map(Cell::text).filter(|part| !part.is_empty()) {
            if !whole.is_empty() {
                whole.push_str(separator);
            }
            if whole.len() + part.len() > TEXT_BYTES_MAX {
                return Err(too_long());
            }
            whole.push_str(&part);
        }
        made(whole)
    };
    let whole = |cell: &Cell<'_>| -> Result<usize, String> {
        use rust_decimal::prelude::ToPrimitive;
        cell.decimal()?.and_then(|n| n.to_usize()).ok_or_else(|| "a whole number of 0 or more was expected".to_owned())
    };
    match function {
        Function::Concat => glued(cells, ""),
        Function::Sum => {
            let mut total = Decimal::ZERO;
            for cell in cells.remove(0).items(here.cost)? {
                if let Some(number) = cell.decimal()? {
                    total = total.checked_add(number).ok_or("the result has more digits than a decimal holds")?;
                }
            }
            Ok(Cell::Number(total))
        }
        Function::Count => Ok(Cell::Number(Decimal::from(cells.remove(0).items(here.cost)?.len()))),
        Function::First => Ok(cells.remove(0).items(here.cost)?.into_iter().next().unwrap_or(Cell::Null)),
        Function::Join => {
            let separator = text(&cells[1]);
            glued(cells.remove(0).items(here.cost)?, &separator)
        }
        Function::Round => {
            let mode = cells.get(2).map(text).unwrap_or_else(|| "half_even".into());
            let strategy = match mode.as_str() {
                "half_even" => RoundingStrategy::MidpointNearestEven,
                "half_up" => RoundingStrategy::MidpointAwayFromZero,
                "down" => RoundingStrategy::ToZero,
                "up" => RoundingStrategy::AwayFromZero,
                other => return Err(format!("there is no rounding \"{other}\"; there are half_even, half_up, down and up")),
            };
            let places = u32::try_from(whole(&cells[1])?).ok().filter(|p| *p <= 28).ok_or("at most 28 places")?;
            Ok(cells[0].decimal()?.map_or(Cell::Null, |n| Cell::Number(n.round_dp_with_strategy(places, strategy))))
        }
        Function::RoundMoney => {
            let currency = text(&cells[1]).trim().to_ascii_uppercase();
            if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
                return Err("a currency code such as USD (ISO 4217) was expected".into());
            }
            Ok(cells[0].decimal()?.map_or(Cell::Null, |n| Cell::Number(round_money(n, &currency))))
        }
        Function::Abs => Ok(cells[0].decimal()?.map_or(Cell::Null, |n| Cell::Number(n.abs()))),
        Function::Min | Function::Max => {
            let mut best: Option<Decimal> = None;
            for cell in cells {
                for item in cell.items(here.cost)? {
                    if let Some(n) = item.decimal()? {
                        best = Some(best.map_or(n, |b| if function == Function::Min { b.min(n) } else { b.max(n) }));
                    }
                }
            }
            Ok(best.map_or(Cell::Null, Cell::Number))
        }
        Function::Number => Ok(cells[0].decimal()?.map_or(Cell::Null, Cell::Number)),
        Function::Text => Ok(cells[0].text().map_or(Cell::Null, |t| Cell::Text(Cow::Owned(t.into_owned())))),
        Function::Lower => made(text(&cells[0]).to_lowercase()),
        Function::Upper => made(text(&cells[0]).to_uppercase()),
        Function::Trim => made(text(&cells[0]).trim().to_owned()),
        Function::Replace => {
            let (subject, from, to) = (text(&cells[0]), text(&cells[1]), text(&cells[2]));
            if from.is_empty() {
                return made(subject);
            }
            // Bounded before it is made.
            let longer = subject.matches(from.as_str()).count().saturating_mul(to.len().saturating_sub(from.len()));
            if subject.len().saturating_add(longer) > TEXT_BYTES_MAX {
                return Err(too_long());
            }
            made(subject.replace(&from, &to))
        }
        Function::Substring => {
            let (start, length) = (whole(&cells[1])?, cells.get(2).map(whole).transpose()?.unwrap_or(usize::MAX));
            made(text(&cells[0]).chars().skip(start).take(length).collect())
        }
        Function::Contains => {
            let sought = text(&cells[1]);
            let found = match cells.remove(0) {
                list @ (Cell::List(_) | Cell::Node(Value::List(_))) => {
                    list.items(here.cost)?.iter().any(|item| text(item) == sought)
                }
                one => text(&one).contains(&sought),
            };
            Ok(Cell::Bool(found))
        }
        Function::StartsWith => Ok(Cell::Bool(text(&cells[0]).starts_with(&text(&cells[1])))),
        Function::SplitPart => {
            let (subject, separator, part) = (text(&cells[0]), text(&cells[1]), whole(&cells[2])?);
            let found = if separator.is_empty() { None } else { subject.split(separator.as_str()).nth(part) };
            Ok(found.map_or(Cell::Null, |t| Cell::Text(Cow::Owned(t.to_owned()))))
        }
        Function::AfterLast => {
            let (subject, separator) = (text(&cells[0]), text(&cells[1]));
            made(subject.rsplit(separator.as_str()).next().unwrap_or_default().to_owned())
        }
        Function::IsEmpty => Ok(Cell::Bool(
            cells[0].is_nothing()
                || matches!(&cells[0], Cell::Node(Value::List(l)) if l.is_empty())
                || matches!(&cells[0], Cell::List(l) if l.is_empty()),
        )),
        Function::Date => match cells[0].text() {
            Some(t) => super::plan::date(&t).map(|d| Cell::Text(Cow::Owned(d))),
            None => Ok(Cell::Null),
        },
        Function::Coalesce => unreachable!("answered above"),
    }
}
