//! The expression cell: a small, total, decimal-native language. No loops, no recursion; its cost is counted and bounded.
//!
//! ```text
//! expression = ternary
//! ternary    = or [ "?" ternary ":" ternary ]
//! or         = and { "||" and }              the first that is true, not null and not empty
//! and        = compare { "&&" compare }
//! compare    = sum [ ("==" | "!=" | "<" | "<=" | ">" | ">=") sum ]
//! sum        = product { ("+" | "-") product }
//! product    = unary { ("*" | "/") unary }
//! unary      = [ "!" | "-" ] primary
//! primary    = number | "text" | 'text' | true | false | null | function "(" [ ternary { "," ternary } ] ")" | path | "(" ternary ")"
//! path       = ( name | "$root" | "$parent" | "$index" | "$" name ) { "." name | "[" digits "]" }
//! ```

use rust_decimal::Decimal;

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

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Decimal),
    Text(String),
    Path(Path),
    Index,
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    If(Box<Node>, Box<Node>, Box<Node>),
    Call(Function, Vec<Node>),
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
    Multiply,
    Divide,
}

/// Where a path starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Base {
    /// The element that the rules run for.
    Here,
    Parent,
    Root,
    /// `$settings`, `$record`, …
    Var(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    At(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub base: Base,
    pub steps: Vec<Step>,
}

macro_rules! functions {
    ($($name:ident = $text:literal, $least:literal ..= $most:literal;)*) => {
        /// The closed list of functions.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Function { $($name),* }
        impl Function {
            fn parse(text: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
                match text { $($text => Some((Self::$name, $least..=$most)),)* _ => None }
            }
            pub(super) fn name(self) -> &'static str { match self { $(Self::$name => $text),* } }
            const NAMES: &'static [&'static str] = &[$($text),*];
        }
    };
}

functions! {
    Concat = "concat", 1..=20;
    Coalesce = "coalesce", 1..=20;
    Sum = "sum", 1..=1;
    Count = "count", 1..=1;
    First = "first", 1..=1;
    Join = "join", 2..=2;
    Round = "round", 2..=3;
    RoundMoney = "round_money", 2..=2;
    Abs = "abs", 1..=1;
    Min = "min", 1..=10;
    Max = "max", 1..=10;
    Number = "number", 1..=1;
    Text = "text", 1..=1;
    Lower = "lower", 1..=1;
    Upper = "upper", 1..=1;
    Trim = "trim", 1..=1;
    Replace = "replace", 3..=3;
    Substring = "substring", 2..=3;
    Contains = "contains", 2..=2;
    StartsWith = "starts_with", 2..=2;
    SplitPart = "split_part", 3..=3;
    AfterLast = "after_last", 2..=2;
    IsEmpty = "is_empty", 1..=1;
    Date = "date", 1..=1;
}

pub(super) fn parse(text: &str) -> Result<Node, ExpressionError> {
    let mut parser = Parser { text, at: 0, nodes: 0 };
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(parser.error(format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes")));
    }
    let node = parser.ternary(0)?;
    parser.space();
    if parser.at < text.len() { Err(parser.error("something follows the end of the expression".into())) } else { Ok(node) }
}

/// A plain field path, as `from` and `each` take it.
pub(super) fn parse_path(text: &str) -> Result<Path, ExpressionError> {
    let mut parser = Parser { text, at: 0, nodes: 0 };
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(parser.error(format!("the path is longer than {EXPRESSION_BYTES_MAX} bytes")));
    }
    match parser.primary(0)? {
        Node::Path(path) if parser.at == text.len() => Ok(path),
        _ => Err(ExpressionError { what: "a field path such as customer.name was expected".into(), column: 1 }),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    nodes: usize,
}

impl Parser<'_> {
    fn error(&self, what: String) -> ExpressionError {
        ExpressionError { what, column: self.text[..self.at].chars().count() + 1 }
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

    fn ternary(&mut self, depth: usize) -> Result<Node, ExpressionError> {
        self.count(depth)?;
        let condition = self.binary(0, depth)?;
        if !self.take("?") {
            return Ok(condition);
        }
        let yes = self.ternary(depth + 1)?;
        self.expect(":")?;
        let no = self.ternary(depth + 1)?;
        Ok(Node::If(Box::new(condition), Box::new(yes), Box::new(no)))
    }

    /// Precedence climbing over the table of operators, loosest first.
    fn binary(&mut self, level: usize, depth: usize) -> Result<Node, ExpressionError> {
        use Operator::*;
        const LEVELS: [&[(&str, Operator)]; 5] = [
            &[("||", Or)],
            &[("&&", And)],
            &[("==", Equal), ("!=", Unequal), ("<=", LessEqual), (">=", GreaterEqual), ("<", Less), (">", Greater)],
            &[("+", Add), ("-", Subtract)],
            &[("*", Multiply), ("/", Divide)],
        ];
        let Some(operators) = LEVELS.get(level) else { return self.unary(depth) };
        let mut left = self.binary(level + 1, depth)?;
        let mut found = 0;
        while let Some((_, operator)) = operators.iter().find(|(token, _)| self.take(token)) {
            found += 1;
            self.count(depth + found / 16)?;
            let right = self.binary(level + 1, depth)?;
            left = Node::Binary(*operator, Box::new(left), Box::new(right));
            if level == 2 {
                break; // a < b < c means nothing.
            }
        }
        Ok(left)
    }

    fn unary(&mut self, depth: usize) -> Result<Node, ExpressionError> {
        self.count(depth)?;
        self.space();
        if self.rest().starts_with('!') && !self.rest().starts_with("!=") {
            self.at += 1;
            return Ok(Node::Not(Box::new(self.unary(depth + 1)?)));
        }
        if self.take("-") {
            return Ok(Node::Negate(Box::new(self.unary(depth + 1)?)));
        }
        self.primary(depth)
    }

    fn primary(&mut self, depth: usize) -> Result<Node, ExpressionError> {
        self.space();
        match self.rest().chars().next() {
            Some('(') => {
                self.at += 1;
                let node = self.ternary(depth + 1)?;
                self.expect(")")?;
                Ok(node)
            }
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            Some('0'..='9') => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' || c == '$' => self.name(depth),
            Some(c) => Err(self.error(format!("\"{c}\" was not expected"))),
            None => Err(self.error("the expression ends early".into())),
        }
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
        let base = match (special, word.as_str()) {
            (false, _) => Base::Here,
            (true, "index") => return Ok(Node::Index),
            (true, "parent") => Base::Parent,
            (true, "root") => Base::Root,
            (true, "") => return Err(self.error("a name was expected after \"$\"".into())),
            (true, name) => Base::Var(name.to_owned()),
        };
        let mut steps = if special { vec![] } else { vec![Step::Key(word)] };
        loop {
            if self.rest().starts_with('.') {
                self.at += 1;
                let key = self.word();
                if key.is_empty() {
                    return Err(self.error("a field name was expected after \".\"".into()));
                }
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
            return Err(self.error(format!("there is no function \"{name}\"; there are {}", Function::NAMES.join(", "))));
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
        if arity.contains(&arguments.len()) {
            return Ok(Node::Call(function, arguments));
        }
        self.at = start;
        Err(self.error(format!("{name} takes {} to {} values, not {}", arity.start(), arity.end(), arguments.len())))
    }
}

impl Path {
    /// `line_items[].price`, seen from the document: `within` is the path of the element the rules run for.
    pub(super) fn source_name(&self, within: &[String]) -> Option<String> {
        let mut name = match &self.base {
            Base::Here => within.last().cloned().unwrap_or_default(),
            Base::Parent => within.len().checked_sub(2).map(|at| within[at].clone()).unwrap_or_default(),
            Base::Root => String::new(),
            Base::Var(_) => return None,
        };
        for step in &self.steps {
            match step {
                Step::Key(key) => {
                    if !name.is_empty() {
                        name.push('.');
                    }
                    name.push_str(key);
                }
                Step::At(_) => name.push_str("[]"),
            }
        }
        Some(name)
    }
}
