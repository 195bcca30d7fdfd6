//! The expression cell: a small, total, decimal-native language. No loops, no recursion; its cost is counted and bounded.
//!
//! ```text
//! expression = or [ "?" expression ":" expression ]
//! or         = and { "||" and }              the first that is true, not null and not empty
//! and        = compare { "&&" compare }
//! compare    = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=") sum ]
//! sum        = product { ("+" | "-" | "&") product }      "&" joins texts
//! product    = unary { ("*" | "/") unary }
//! unary      = { "!" | "-" } primary
//! primary    = number | "text" | 'text' | true | false | null | function "(" [ expression { "," expression } ] ")" | path | "(" expression ")"
//! path       = ( name | "$this" | "$root" | "$parent" { ".$parent" } | "$group.key" | "$group.rows" | "$" name ) { "." name | "[" digits "]" }
//!            | "$index"
//! ```

mod function;
mod parse;

use std::sync::Arc;

pub(super) use function::{Function, Reading};
pub use parse::ExpressionError;
pub(super) use parse::{Words, parse, parse_path};
use rust_decimal::Decimal;

/// A part of an expression, and where it starts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expr {
    pub node: Node,
    /// From 1, in characters.
    pub column: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
    Path(Path),
    Index,
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    Add,
    Subtract,
    Join,
    Multiply,
    Divide,
}

/// Where a path starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Base {
    /// The row that the rules run for.
    Here,
    /// So many levels out.
    Parent(usize),
    Root,
    /// What the rows of a group have in common.
    GroupKey,
    GroupRows,
    /// `$settings`, `$record`, …
    Var(Arc<str>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// The same text as in what the mapping wants of a document: found by address.
    Key(Arc<str>),
    At(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub base: Base,
    pub steps: Vec<Step>,
}

impl Expr {
    pub fn children(&self) -> Vec<&Expr> {
        match &self.node {
            Node::Not(inner) | Node::Negate(inner) => vec![inner],
            Node::Binary(_, left, right) => vec![left, right],
            Node::If(condition, yes, no) => vec![condition, yes, no],
            Node::Call(_, arguments) => arguments.iter().collect(),
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Path(_) | Node::Index => vec![],
        }
    }
}
