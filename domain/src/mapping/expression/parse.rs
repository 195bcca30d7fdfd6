//! Reads an expression. Bounded in bytes, parts and depth before anything runs; every error has its column.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Base, Expr, Function, Node, Operator, Path, Step};
use crate::mapping::nearest::nearest;
use crate::value::decimal;

const EXPRESSION_BYTES_MAX: usize = 2_000;
const DEPTH_MAX: usize = 32;
const NODES_MAX: usize = 500;

/// Where an expression cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at column {column}")]
pub struct ExpressionError {
    pub what: String,
    /// From 1.
    pub column: usize,
}

/// The words of a mapping, each kept once: two that are the same have one address.
#[derive(Debug, Default)]
pub(in crate::mapping) struct Words(HashSet<Arc<str>>);

impl Words {
    pub fn of(&mut self, word: &str) -> Arc<str> {
        if let Some(kept) = self.0.get(word) {
            return kept.clone();
        }
        let kept: Arc<str> = word.into();
        self.0.insert(kept.clone());
        kept
    }
}

pub(in crate::mapping) fn parse(text: &str, words: &mut Words) -> Result<Expr, ExpressionError> {
    let mut parser = Parser { text, at: 0, nodes: 0, words };
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(parser.error(format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes")));
    }
    let node = parser.ternary(0)?;
    parser.space();
    if parser.at < text.len() { Err(parser.error("something follows the end of the expression".into())) } else { Ok(node) }
}

/// A plain field path, as `from` and `each` take it.
pub(in crate::mapping) fn parse_path(text: &str, words: &mut Words) -> Result<Path, ExpressionError> {
    let mut parser = Parser { text, at: 0, nodes: 0, words };
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(parser.error(format!("the path is longer than {EXPRESSION_BYTES_MAX} bytes")));
    }
    match parser.primary(0)?.node {
        Node::Path(path) if parser.at == text.len() => Ok(path),
        _ => Err(ExpressionError { what: "a field path such as customer.name was expected".into(), column: 1 }),
    }
}

struct Parser<'a> {
    text: &'a str,
    words: &'a mut Words,
    at: usize,
    nodes: usize,
}

impl Parser<'_> {
    fn error(&self, what: String) -> ExpressionError {
        ExpressionError { what, column: self.column(self.at) }
    }

    fn column(&self, at: usize) -> usize {
        self.text[..at].chars().count() + 1
    }

    fn expr(&self, at: usize, node: Node) -> Expr {
        Expr { node, column: self.column(at) }
    }

    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &str) -> Result<(), ExpressionError> {
        if self.take(token) { Ok(()) } else { Err(self.error(format!("\"{token}\" was expected"))) }
    }

    fn count(&mut self, depth: usize) -> Result<(), ExpressionError> {
        self.nodes += 1;
        if depth > DEPTH_MAX {
            return Err(self.error(format!("the expression is nested deeper than {DEPTH_MAX} levels")));
        }
        if self.nodes > NODES_MAX { Err(self.error(format!("the expression has more than {NODES_MAX} parts"))) } else { Ok(()) }
    }

    fn ternary(&mut self, depth: usize) -> Result<Expr, ExpressionError> {
        self.count(depth)?;
        self.space();
        let start = self.at;
        let condition = self.binary(0, depth)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let yes = self.ternary(depth + 1)?;
        self.expect(":")?;
        let no = self.ternary(depth + 1)?;
        Ok(self.expr(start, Node::If(Box::new(condition), Box::new(yes), Box::new(no))))
    }

    /// Precedence climbing over the table of operators, loosest first.
    fn binary(&mut self, level: usize, depth: usize) -> Result<Expr, ExpressionError> {
        use Operator::*;
        const LEVELS: [&[(&str, Operator)]; 5] = [
            &[("||", Or)],
            &[("&&", And)],
            &[("==", Equal), ("!=", Unequal), ("<=", LessEqual), (">=", GreaterEqual), ("<", Less), (">", Greater)],
            &[("+", Add), ("-", Subtract), ("&", Join)],
            &[("*", Multiply), ("/", Divide)],
        ];
        let Some(operators) = LEVELS.get(level) else { return self.unary(depth) };
        let mut left = self.binary(level + 1, depth)?;
        let mut found = 0;
        while let Some((at, operator)) = self.operator(operators) {
            found += 1;
            self.count(depth + found / 16)?;
            let right = self.binary(level + 1, depth)?;
            left = self.expr(at, Node::Binary(operator, Box::new(left), Box::new(right)));
            if level == 2 {
                break; // a < b < c means nothing.
            }
        }
        Ok(left)
    }

    fn operator(&mut self, operators: &[(&str, Operator)]) -> Option<(usize, Operator)> {
        self.space();
        let at = self.at;
        let (token, operator) = operators.iter().find(|(token, _)| self.rest().starts_with(token))?;
        // Half of "&&" joins nothing.
        if *operator == Operator::Join && self.rest().starts_with("&&") {
            return None;
        }
        self.at += token.len();
        Some((at, *operator))
    }

    fn unary(&mut self, depth: usize) -> Result<Expr, ExpressionError> {
        self.count(depth)?;
        self.space();
        let start = self.at;
        if self.rest().starts_with('!') && !self.rest().starts_with("!=") {
            self.at += 1;
            let inner = self.unary(depth + 1)?;
            return Ok(self.expr(start, Node::Not(Box::new(inner))));
        }
        if self.take("-") {
            let inner = self.unary(depth + 1)?;
            return Ok(self.expr(start, Node::Negate(Box::new(inner))));
        }
        self.primary(depth)
    }

    fn primary(&mut self, depth: usize) -> Result<Expr, ExpressionError> {
        self.space();
        let start = self.at;
        let node = match self.rest().chars().next() {
            Some('(') => {
                self.at += 1;
                let inner = self.ternary(depth + 1)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
            Some('0'..='9') => self.number()?,
            Some(c) if c.is_alphabetic() || c == '_' || c == '$' => self.name(depth)?,
            Some(c) => return Err(self.error(format!("\"{c}\" was not expected"))),
            None => return Err(self.error("the expression ends early".into())),
        };
        Ok(self.expr(start, node))
    }

    fn quoted(&mut self, quote: char) -> Result<Node, ExpressionError> {
        let mut text = String::new();
        let mut chars = self.text[self.at + 1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, c)) => text.push(c),
                    None => break,
                },
                c if c == quote => {
                    self.at += at + 2;
                    return Ok(Node::Text(text));
                }
                c => text.push(c),
            }
        }
        Err(self.error("the text has no end".into()))
    }

    fn number(&mut self) -> Result<Node, ExpressionError> {
        let length = self.rest().find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(self.rest().len());
        let number =
            decimal(&self.rest()[..length]).ok_or_else(|| self.error("this is no number of at most 28 digits".into()))?;
        self.at += length;
        Ok(Node::Number(number))
    }

    fn word(&mut self) -> String {
        let length = self.rest().find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.rest().len());
        let word = self.rest()[..length].to_owned();
        self.at += length;
        word
    }

    fn name(&mut self, depth: usize) -> Result<Node, ExpressionError> {
        let start = self.at;
        let special = self.take("$");
        let word = self.word();
        if !special {
            match word.as_str() {
                "true" => return Ok(Node::Bool(true)),
                "false" => return Ok(Node::Bool(false)),
                "null" => return Ok(Node::Null),
                _ => {}
            }
            if self.rest().starts_with('(') {
                return self.call(&word, start, depth);
            }
        }
        let mut steps = vec![];
        let base = match (special, word.as_str()) {
            (false, name) => {
                steps.push(Step::Key(self.words.of(name)));
                Base::Here
            }
            (true, "index") => return Ok(Node::Index),
            (true, "this") => Base::Here,
            (true, "root") => Base::Root,
            (true, "parent") => {
                let mut levels = 1;
                while self.rest().starts_with(".$parent") {
                    self.at += ".$parent".len();
                    levels += 1;
                }
                Base::Parent(levels)
            }
            (true, "group") => {
                if self.take(".key") {
                    Base::GroupKey
                } else if self.take(".rows") {
                    Base::GroupRows
                } else {
                    return Err(self.error("$group.key or $group.rows was expected".into()));
                }
            }
            (true, "") => return Err(self.error("a name was expected after \"$\"".into())),
            (true, name) => Base::Var(self.words.of(name)),
        };
        loop {
            if self.rest().starts_with('.') {
                self.at += 1;
                let key = self.word();
                if key.is_empty() {
                    return Err(self.error("a field name was expected after \".\"".into()));
                }
                let key = self.words.of(&key);
                steps.push(Step::Key(key));
            } else if self.rest().starts_with('[') {
                self.at += 1;
                let index = self.word().parse().map_err(|_| self.error("a position such as [0] was expected".into()))?;
                self.expect("]")?;
                steps.push(Step::At(index));
            } else {
                return Ok(Node::Path(Path { base, steps }));
            }
        }
    }

    fn call(&mut self, name: &str, start: usize, depth: usize) -> Result<Node, ExpressionError> {
        let Some((function, arity)) = Function::parse(name) else {
            self.at = start;
            return Err(self.error(match nearest(name, Function::NAMES.iter().copied()) {
                Some(near) => format!("there is no function \"{name}\"; did you mean {near}?"),
                None => format!("there is no function \"{name}\"; there are {}", Function::NAMES.join(", ")),
            }));
        };
        self.at += 1;
        let mut arguments = Vec::new();
        if !self.take(")") {
            loop {
                arguments.push(self.ternary(depth + 1)?);
                if self.take(")") {
                    break;
                }
                self.expect(",")?;
            }
        }
        if !arity.contains(&arguments.len()) {
            self.at = start;
            let takes = match (arity.start(), arity.end()) {
                (1, 1) => "one value".to_owned(),
                (least, most) if least == most => format!("{least} values"),
                (least, most) => format!("{least} to {most} values"),
            };
            return Err(self.error(format!("{name} takes {takes}, not {}", arguments.len())));
        }
        let table = function.table_argument().and_then(|at| arguments.get(at));
        if let Some(table) = table.filter(|table| !matches!(table.node, Node::Text(_))) {
            let what = format!("the table of {name} must be written out in quotes, so that a mapping says which tables it uses");
            return Err(ExpressionError { what, column: table.column });
        }
        Ok(Node::Call(function, arguments))
    }
}
