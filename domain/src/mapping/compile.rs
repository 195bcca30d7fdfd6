//! Rules become a plan: every expression parsed, every path split, every read, write and table known. All that is wrong with them is said at
//! once, each with its place; what does not compile cannot be published.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use super::expression::{Base, Expr, Function, Node, Operator, Path, Reading, Words, parse, parse_path};
use super::plan::{Action, Compiled, Each, Places, Plan, Rounding, Set, Source};
use super::reads::{Reads, Within, row};
use super::rule::{Kind, OnMissing, Round, RoundScope, Rule, Rules};
use super::time;
use super::uses::{How, Use};
use crate::value::Value;

const RULES_MAX: usize = 1_000;
const NESTING_MAX: usize = 8;
/// A field path that is written: every part is a level of the document.
const TO_BYTES_MAX: usize = 200;
const TO_PARTS_MAX: usize = 16;
const DIGITS_MAX: u32 = 12;
const ERRORS_MAX: usize = 100;

/// A rule that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}")]
pub struct MappingError {
    /// `rules[3].rules[0].expr`
    pub rule: String,
    pub what: String,
}

/// All of them at once, at most a hundred.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct MappingErrors(pub Vec<MappingError>);

impl fmt::Display for MappingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }
}

#[derive(Default)]
pub(super) struct Compiler {
    count: usize,
    errors: Vec<MappingError>,
    words: Words,
    reads: Reads,
    writes: BTreeSet<String>,
    tables: BTreeSet<String>,
    wholes: BTreeSet<String>,
    uses: Vec<Use>,
    /// What the rule at hand writes.
    to: String,
    /// How what is read next decides over that.
    how: How,
}

/// Where a rule stands.
struct At<'a> {
    /// `rules[3].rules[0]`
    rule: &'a str,
    /// The list that it writes a field of: `lines[]`.
    to_within: &'a str,
}

impl Compiler {
    pub fn plan(mut self, rules: &Rules) -> Result<Plan, MappingErrors> {
        let mut within = Within::document();
        let rules = self.rules(&rules.0, "rules", &mut within, "", &mut vec![]);
        if !self.errors.is_empty() {
            return Err(MappingErrors(self.errors));
        }
        self.uses.sort_unstable();
        self.uses.dedup();
        let (wanted, vars) = self.reads.wanted(&mut self.words);
        let list = |set: BTreeSet<String>| set.into_iter().collect();
        Ok(Plan {
            rules,
            wanted,
            vars,
            reads: self.reads.document(),
            writes: list(self.writes),
            tables: list(self.tables),
            uses: self.uses,
            wholes: list(self.wholes),
        })
    }

    /// A condition alone, and what it reads.
    pub fn condition(mut self, text: &str) -> Result<(Expr, Reads, Words), super::ExpressionError> {
        let expr = parse(text, &mut self.words)?;
        if let Err((column, what)) = self.read(&expr, &Within::document()) {
            return Err(super::ExpressionError { what: what.to_owned(), column });
        }
        Ok((expr, self.reads, self.words))
    }

    fn rules(&mut self, rules: &[Rule], at: &str, within: &mut Within, to_within: &str, shares: &mut Vec<Set>) -> Vec<Compiled> {
        let mut written = HashSet::new();
        let mut compiled = Vec::with_capacity(rules.len().min(RULES_MAX));
        for (index, rule) in rules.iter().enumerate() {
            let at = format!("{at}[{index}]");
            self.count += 1;
            if self.count > RULES_MAX {
                if self.count == RULES_MAX + 1 {
                    self.fail(&at, format!("there are more than {RULES_MAX} rules"));
                }
                break;
            }
            let at = At { rule: &at, to_within };
            if let Some(mut rule) = self.rule(rule, &at, within, shares) {
                rule.is_alone = written.insert(rule.to[0].clone()) && rule.to.len() == 1;
                compiled.push(rule);
            }
        }
        compiled
    }

    fn fail(&mut self, rule: &str, what: impl Into<String>) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(MappingError { rule: rule.to_owned(), what: what.into() });
        }
    }

    fn rule(&mut self, rule: &Rule, at: &At<'_>, within: &mut Within, shares: &mut Vec<Set>) -> Option<Compiled> {
        let place = at.rule;
        let to: Vec<Arc<str>> = rule.field().split('.').map(|part| self.words.of(part)).collect();
        // A rule must not write what cannot be stored (see the parser of `Value`).
        let texts = [Some(&rule.to), rule.expr.as_ref()].into_iter().flatten();
        if texts.into_iter().any(|text| text.contains('\0')) || rule.default.as_ref().is_some_and(has_nul) {
            self.fail(place, "the character U+0000 cannot be stored");
        }
        if to.len() > TO_PARTS_MAX || rule.to.len() > TO_BYTES_MAX {
            self.fail(&format!("{place}.to"), format!("a field path has at most {TO_PARTS_MAX} parts and {TO_BYTES_MAX} bytes"));
            return None;
        }
        if to.iter().any(|part| part.is_empty()) {
            self.fail(&format!("{place}.to"), format!("\"{}\" is no field path", rule.to));
        }
        if rule.adds() && rule.each.is_none() {
            self.fail(&format!("{place}.to"), "\"[]\" at the end adds the rows of a list, which needs \"each\"");
        }
        let field = rule.field();
        let to_name = if at.to_within.is_empty() { field.to_owned() } else { format!("{}.{field}", at.to_within) };
        self.to.clone_from(&to_name);
        let when = rule.when.as_deref().and_then(|text| self.condition_of(text, &format!("{place}.when"), within));
        let action = match &rule.each {
            Some(each) => Action::Each(Box::new(self.each(rule, each, place, within, &to_name)?)),
            None => self.set(rule, place, within, shares, when.as_ref())?,
        };
        if rule.kind == Some(Kind::Int) {
            self.wholes.insert(to_name.clone());
        }
        self.writes.insert(if rule.each.is_some() { row(&to_name) } else { to_name });
        Some(Compiled { rule: place.to_owned(), to_bytes: rule.to.len(), to, is_alone: false, adds: rule.adds(), action, when })
    }

    fn set(&mut self, rule: &Rule, place: &str, within: &Within, shares: &mut Vec<Set>, when: Option<&Expr>) -> Option<Action> {
        for (key, is_there) in [
            ("rules", rule.rules.is_some()),
            ("flatten", rule.flatten.is_some()),
            ("where", rule.filter.is_some()),
            ("group_by", rule.group_by.is_some()),
        ] {
            if is_there {
                self.fail(&format!("{place}.{key}"), format!("\"{key}\" within a rule needs \"each\""));
            }
        }
        self.how = if rule.lookup.is_some() { How::LooksUp } else { How::Carries };
        let source = match (&rule.from, &rule.expr) {
            (Some(from), None) => {
                Source::Path(self.path(from, &format!("{place}.from"), within, Reading::Whole)?.0, from.clone())
            }
            (None, Some(expr)) => Source::Expression(self.expression(expr, &format!("{place}.expr"), within)?),
            (None, None) if rule.default.is_some() => Source::Nothing,
            _ => {
                self.fail(place, "exactly one of \"from\", \"expr\" and \"each\" was expected, or a \"default\" alone");
                return None;
            }
        };
        self.how = How::Carries;
        let on_missing = rule.on_missing.unwrap_or_default();
        if on_missing == OnMissing::Default && rule.default.is_none() {
            self.fail(&format!("{place}.on_missing"), "\"default\" needs a default");
        }
        if rule.on_missing.is_some() && rule.lookup.is_none() {
            self.fail(&format!("{place}.on_missing"), "\"on_missing\" needs a \"lookup\"");
        }
        let zone = rule.zone.as_deref().and_then(|name| self.zone(name, rule.kind, place));
        let round = rule.round.as_ref().and_then(|round| self.round(round, rule.kind, place, within));
        if rule.round.is_some() && rule.lookup.is_some() {
            self.fail(place, "an amount is rounded or looked up, not both");
        }
        self.tables.extend(rule.lookup.clone());
        let mut set = Set {
            source,
            kind: rule.kind,
            zone,
            round,
            lookup: rule.lookup.clone(),
            on_missing,
            default: rule.default.as_ref().map(Value::from),
            required: rule.required,
            allocate: None,
            when: None,
        };
        let is_shared = rule.allocate.is_some() || rule.round.as_ref().is_some_and(|round| round.scope == RoundScope::Order);
        if !is_shared {
            return Some(Action::Set(Box::new(set)));
        }
        if within.depth() == 0 {
            let what = "an amount is allocated, or rounded with the scope order, over the rows of a list; here is no list around the rule";
            self.fail(place, what);
            return None;
        }
        if let Some(amount) = &rule.allocate {
            if rule.round.is_none() {
                self.fail(
                    &format!("{place}.allocate"),
                    "\"allocate\" needs \"round\": how an amount is divided is never left to a default",
                );
            }
            // It is one amount for all rows, so it stands around the list.
            set.allocate = Some(self.expression(amount, &format!("{place}.allocate"), &within.around())?);
        }
        set.when = when.cloned();
        shares.push(set);
        Some(Action::Share(shares.len() - 1))
    }

    fn zone(&mut self, name: &str, kind: Option<Kind>, place: &str) -> Option<chrono_tz::Tz> {
        let place = format!("{place}.zone");
        if !matches!(kind, Some(Kind::Timestamp | Kind::Date)) {
            self.fail(&place, "a zone is for a rule that writes \"as: timestamp\" or \"as: date\"");
        }
        match time::zone(name) {
            Ok(zone) => Some(zone),
            Err(fault) => {
                self.fail(
                    &place,
                    match time::zone_meant(name) {
                        Some(near) => format!("{}; did you mean {near}?", fault.what),
                        None => format!("{}; zones have names such as America/Los_Angeles (IANA)", fault.what),
                    },
                );
                None
            }
        }
    }

    fn round(&mut self, round: &Round, kind: Option<Kind>, place: &str, within: &Within) -> Option<Rounding> {
        let place = format!("{place}.round");
        if !matches!(kind, Some(Kind::Money | Kind::Decimal | Kind::Number | Kind::Int)) {
            self.fail(&place, "only a rule that writes \"as: money\", decimal, number or int is rounded");
        }
        let places = match (round.digits, &round.currency) {
            (Some(digits), None) if digits <= DIGITS_MAX => Places::Fixed(digits),
            (Some(_), None) => {
                self.fail(&format!("{place}.digits"), format!("at most {DIGITS_MAX} digits"));
                return None;
            }
            (None, Some(currency)) => Places::Of(self.expression(currency, &format!("{place}.currency"), within)?),
            _ => {
                self.fail(&place, "exactly one of \"digits\" and \"currency\" was expected");
                return None;
            }
        };
        Some(Rounding { mode: round.mode, places })
    }

    fn each(&mut self, rule: &Rule, each: &str, place: &str, within: &mut Within, to_name: &str) -> Option<Each> {
        let others =
            [rule.from.is_some(), rule.expr.is_some(), rule.kind.is_some(), rule.lookup.is_some(), rule.default.is_some()];
        let more = [rule.on_missing.is_some(), rule.zone.is_some(), rule.round.is_some(), rule.allocate.is_some()];
        if others.into_iter().chain(more).any(|is_there| is_there) {
            self.fail(
                place,
                "\"each\" goes with \"rules\", \"where\", \"flatten\", \"group_by\", \"when\" and \"required\" only",
            );
        }
        if within.depth() >= NESTING_MAX {
            self.fail(place, format!("lists are nested deeper than {NESTING_MAX}"));
            return None;
        }
        let (list, name) = self.path(each, &format!("{place}.each"), within, Reading::Count)?;
        let (mut scopes, mut name) = (0, row(&name));
        let mut flatten = None;
        if let Some(inner) = &rule.flatten {
            within.push(name, false, false);
            scopes += 1;
            let Some((path, inner)) = self.path(inner, &format!("{place}.flatten"), within, Reading::Count) else {
                within.pop(scopes);
                return None;
            };
            name = row(&inner);
            flatten = Some(path);
        }
        within.push(name, rule.group_by.is_some(), rule.flatten.is_some());
        scopes += 1;
        let filter = rule.filter.as_deref().and_then(|text| self.condition_of(text, &format!("{place}.where"), within));
        let group_by = rule.group_by.as_deref().and_then(|text| self.condition_of(text, &format!("{place}.group_by"), within));
        let mut shares = Vec::new();
        let rules = rule.rules.as_deref().unwrap_or_default();
        let rules = self.rules(rules, &format!("{place}.rules"), within, &row(to_name), &mut shares);
        within.pop(scopes);
        Some(Each { list, flatten, filter, group_by, rules, shares, required: rule.required })
    }

    /// The path and its name.
    fn path(&mut self, text: &str, at: &str, within: &Within, reading: Reading) -> Option<(Path, String)> {
        let path = match parse_path(text, &mut self.words) {
            Ok(path) => path,
            Err(error) => {
                self.fail(at, error.to_string());
                return None;
            }
        };
        match within.name(&path) {
            Ok(name) => {
                if path.base != Base::GroupKey {
                    self.note(&name, reading);
                }
                Some((path, name))
            }
            Err(what) => {
                self.fail(at, what);
                None
            }
        }
    }

    fn note(&mut self, name: &str, reading: Reading) {
        self.uses.extend(Use::of(name, reading, &self.to, self.how));
        self.reads.add(name, reading);
    }

    /// An expression that decides what is written, and is not written itself.
    fn condition_of(&mut self, text: &str, at: &str, within: &Within) -> Option<Expr> {
        let how = std::mem::replace(&mut self.how, How::Decides);
        let expr = self.expression(text, at, within);
        self.how = how;
        expr
    }

    fn expression(&mut self, text: &str, at: &str, within: &Within) -> Option<Expr> {
        match parse(text, &mut self.words) {
            Ok(expr) => match self.read(&expr, within) {
                Ok(()) => Some(expr),
                Err((column, what)) => {
                    self.fail(at, format!("{what} at column {column}"));
                    None
                }
            },
            Err(error) => {
                self.fail(at, error.to_string());
                None
            }
        }
    }

    /// Notes what an expression reads.
    fn read(&mut self, expr: &Expr, within: &Within) -> Result<(), (usize, &'static str)> {
        self.read_as(expr, within, Reading::Whole)
    }

    fn read_as(&mut self, expr: &Expr, within: &Within, reading: Reading) -> Result<(), (usize, &'static str)> {
        if let Node::Path(path) = &expr.node {
            let name = within.name(path).map_err(|what| (expr.column, what))?;
            if path.base != Base::GroupKey {
                self.note(&name, reading);
            }
        }
        let reading = match &expr.node {
            Node::Call(function, arguments) => {
                let table = function.table_argument().and_then(|at| arguments.get(at));
                if let Some(Expr { node: Node::Text(table), .. }) = table {
                    self.tables.insert(table.clone());
                }
                Function::reading(*function)
            }
            _ => Reading::Whole,
        };
        let how = self.how;
        let read = expr.children().into_iter().enumerate().try_for_each(|(at, child)| {
            self.how = how.max(below(&expr.node, at));
            self.read_as(child, within, reading)
        });
        self.how = how;
        read
    }
}

/// What a part of an expression does with its so manieth operand.
fn below(node: &Node, at: usize) -> How {
    match node {
        Node::If(..) if at == 0 => How::Decides,
        Node::Not(_) | Node::Call(Function::IsEmpty | Function::Contains | Function::StartsWith, _) => How::Decides,
        Node::Binary(
            Operator::And
            | Operator::Equal
            | Operator::Unequal
            | Operator::Less
            | Operator::LessEqual
            | Operator::Greater
            | Operator::GreaterEqual,
            ..,
        ) => How::Decides,
        Node::Call(function, _) if function.table_argument().is_some() => How::LooksUp,
        _ => How::Carries,
    }
}

fn has_nul(json: &serde_json::Value) -> bool {
    match json {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(list) => list.iter().any(has_nul),
        serde_json::Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        _ => false,
    }
}
