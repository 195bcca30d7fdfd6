//! Rules, compiled once: every expression parsed, every path split, every read and write known. A plan cannot loop,
//! and what it may write is bounded.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};

use super::cost::Cost;
use super::evaluate::{Cell, Here, evaluate, follow};
use super::expression::{Node, Path, parse, parse_path};
use super::lookup::Lookups;
use super::rule::{Kind, OnMissing, Rule, Rules};
use crate::value::{Map, Value};

const RULES_MAX: usize = 1_000;
const NESTING_MAX: usize = 8;
/// A field path that is written: every part is a level of the document.
const TO_BYTES_MAX: usize = 200;
const TO_PARTS_MAX: usize = 16;
const ISSUES_MAX: usize = 50;

/// A rule that cannot be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {what}")]
pub struct MappingError {
    /// `rules[3].rules[0].expr`
    pub rule: String,
    pub what: String,
}

/// All of them at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct MappingErrors(pub Vec<MappingError>);

impl fmt::Display for MappingErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    }
}

/// Why a document has no answer at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// The field that could not be written: `lines[2].sku`.
    pub to: String,
    /// The field it would come from.
    pub from: Option<String>,
    pub code: IssueCode,
    pub table: Option<String>,
    pub value: Option<String>,
    pub sentence: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssueCode {
    Required,
    NoEntry,
    BadType,
    BadExpression,
    OutOfRange,
    TooMany,
    Unbalanced,
}

impl IssueCode {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::NoEntry => "no_entry",
            Self::BadType => "bad_type",
            Self::BadExpression => "bad_expression",
            Self::OutOfRange => "out_of_range",
            Self::TooMany => "too_many",
            Self::Unbalanced => "unbalanced",
        }
    }
}

/// Named values beside the document: `$settings`, `$record`.
#[derive(Debug, Clone, Default)]
pub struct Vars(Vec<(String, Value)>);

impl Vars {
    pub fn set(&mut self, name: &str, value: Value) {
        self.0.retain(|(kept, _)| kept != name);
        self.0.push((name.to_owned(), value));
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(kept, _)| kept == name).map(|(_, value)| value)
    }
}

/// A condition over a record: which of them a flow takes.
#[derive(Debug, Clone)]
pub struct Filter(Node);

impl Filter {
    /// # Errors
    /// Where the expression cannot be read.
    pub fn compile(text: &str) -> Result<Self, super::ExpressionError> {
        parse(text).map(Self)
    }

    /// # Errors
    /// Where the expression has no answer for this document, or takes too many steps.
    pub fn passes(&self, document: &Value) -> Result<bool, String> {
        let (vars, cost) = (Vars::default(), Cost::new());
        let here = Here { value: document, parent: None, root: document, index: 0, vars: &vars, cost: &cost };
        Ok(evaluate(&self.0, &here)?.is_true())
    }
}

/// Compiled rules.
#[derive(Debug, Clone)]
pub struct Plan {
    rules: Vec<Compiled>,
    reads: Vec<String>,
    writes: Vec<String>,
    tables: Vec<String>,
}

#[derive(Debug, Clone)]
struct Compiled {
    to: Vec<String>,
    to_bytes: usize,
    action: Action,
    when: Option<Node>,
}

#[derive(Debug, Clone)]
enum Action {
    Set {
        source: Source,
        kind: Option<Kind>,
        lookup: Option<String>,
        on_missing: OnMissing,
        default: Option<Value>,
        required: bool,
    },
    Each {
        list: Path,
        rules: Vec<Compiled>,
        required: bool,
    },
}

#[derive(Debug, Clone)]
enum Source {
    Path(Path, String),
    Expression(Node),
    /// Only the default.
    Nothing,
}

impl Plan {
    /// # Errors
    /// All that is wrong with the rules, each with its place.
    pub fn compile(rules: &Rules) -> Result<Plan, MappingErrors> {
        let mut compiler = Compiler::default();
        let rules = compiler.rules(&rules.0, "rules", &mut vec![String::new()], "");
        if !compiler.errors.is_empty() {
            return Err(MappingErrors(compiler.errors));
        }
        let list = |set: BTreeSet<String>| set.into_iter().collect();
        Ok(Plan { rules, reads: list(compiler.reads), writes: list(compiler.writes), tables: list(compiler.tables) })
    }

    /// Runs the rules over a document.
    ///
    /// # Errors
    /// All that has no answer (the first fifty), so that a person mends an order once.
    pub fn apply(&self, source: &Value, lookups: &dyn Lookups, vars: &Vars) -> Result<Value, Vec<Issue>> {
        let mut run = Run { lookups, issues: vec![], stopped: false };
        let cost = Cost::new();
        let here = Here { value: source, parent: None, root: source, index: 0, vars, cost: &cost };
        let map = run.rules(&self.rules, &here, "");
        if run.issues.is_empty() { Ok(Value::Map(map)) } else { Err(run.issues) }
    }

    /// The source fields it reads, exactly: `line_items[].tax_lines[].rate`.
    #[must_use]
    pub fn reads(&self) -> &[String] {
        &self.reads
    }

    #[must_use]
    pub fn writes(&self) -> &[String] {
        &self.writes
    }

    /// The lookup tables it uses.
    #[must_use]
    pub fn tables(&self) -> &[String] {
        &self.tables
    }
}

#[derive(Default)]
struct Compiler {
    count: usize,
    errors: Vec<MappingError>,
    reads: BTreeSet<String>,
    writes: BTreeSet<String>,
    tables: BTreeSet<String>,
}

impl Compiler {
    fn rules(&mut self, rules: &[Rule], at: &str, within: &mut Vec<String>, to_within: &str) -> Vec<Compiled> {
        rules
            .iter()
            .enumerate()
            .filter_map(|(index, rule)| {
                let at = format!("{at}[{index}]");
                self.count += 1;
                if self.count == RULES_MAX + 1 {
                    self.fail(&at, format!("there are more than {RULES_MAX} rules"));
                }
                self.rule(rule, &at, within, to_within)
            })
            .collect()
    }

    fn fail(&mut self, rule: &str, what: String) {
        self.errors.push(MappingError { rule: rule.to_owned(), what });
    }

    fn rule(&mut self, rule: &Rule, at: &str, within: &mut Vec<String>, to_within: &str) -> Option<Compiled> {
        let to: Vec<String> = rule.to.split('.').map(str::to_owned).collect();
        // A rule must not write what cannot be stored (see the parser of `Value`).
        let texts = [Some(&rule.to), rule.expr.as_ref()].into_iter().flatten();
        if texts.into_iter().any(|text| text.contains('\0')) || rule.default.as_ref().is_some_and(has_nul) {
            self.fail(at, "the character U+0000 cannot be stored".into());
        }
        if to.len() > TO_PARTS_MAX || rule.to.len() > TO_BYTES_MAX {
            self.fail(&format!("{at}.to"), format!("a field path has at most {TO_PARTS_MAX} parts and {TO_BYTES_MAX} bytes"));
            return None;
        }
        if to.iter().any(String::is_empty) {
            self.fail(&format!("{at}.to"), format!("\"{}\" is no field path", rule.to));
        }
        let to_name = if to_within.is_empty() { rule.to.clone() } else { format!("{to_within}.{}", rule.to) };
        let when = rule.when.as_deref().and_then(|text| self.expression(text, &format!("{at}.when"), within));
        let action = if let Some(each) = &rule.each {
            self.each(rule, each, at, within, &to_name)?
        } else {
            if rule.rules.is_some() {
                self.fail(&format!("{at}.rules"), "rules within a rule need \"each\"".into());
            }
            let source = match (&rule.from, &rule.expr) {
                (Some(from), None) => {
                    let path = self.path(from, &format!("{at}.from"), within)?;
                    Source::Path(path, from.clone())
                }
                (None, Some(expr)) => Source::Expression(self.expression(expr, &format!("{at}.expr"), within)?),
                (None, None) if rule.default.is_some() => Source::Nothing,
                _ => {
                    self.fail(at, "exactly one of \"from\", \"expr\" and \"each\" was expected, or a \"default\" alone".into());
                    return None;
                }
            };
            let on_missing = rule.on_missing.unwrap_or_default();
            if on_missing == OnMissing::Default && rule.default.is_none() {
                self.fail(&format!("{at}.on_missing"), "\"default\" needs a default".into());
            }
            self.tables.extend(rule.lookup.clone());
            self.writes.insert(to_name);
            let default = rule.default.as_ref().map(Value::from);
            Action::Set { source, kind: rule.kind, lookup: rule.lookup.clone(), on_missing, default, required: rule.required }
        };
        Some(Compiled { to, to_bytes: rule.to.len(), action, when })
    }

    fn each(&mut self, rule: &Rule, each: &str, at: &str, within: &mut Vec<String>, to_name: &str) -> Option<Action> {
        if rule.from.is_some() || rule.expr.is_some() || rule.kind.is_some() || rule.lookup.is_some() || rule.default.is_some() {
            self.fail(at, "\"each\" goes with \"rules\", \"when\" and \"required\" only".into());
        }
        if within.len() > NESTING_MAX {
            self.fail(at, format!("lists are nested deeper than {NESTING_MAX}"));
            return None;
        }
        let list = self.path(each, &format!("{at}.each"), within)?;
        let element = format!("{}[]", list.source_name(within).unwrap_or_default());
        within.push(element);
        let rules =
            self.rules(rule.rules.as_deref().unwrap_or_default(), &format!("{at}.rules"), within, &format!("{to_name}[]"));
        within.pop();
        Some(Action::Each { list, rules, required: rule.required })
    }

    fn path(&mut self, text: &str, at: &str, within: &[String]) -> Option<Path> {
        match parse_path(text) {
            Ok(path) => {
                self.reads.extend(path.source_name(within));
                Some(path)
            }
            Err(error) => {
                self.fail(at, error.to_string());
                None
            }
        }
    }

    fn expression(&mut self, text: &str, at: &str, within: &[String]) -> Option<Node> {
        match parse(text) {
            Ok(node) => {
                self.read(&node, within);
                Some(node)
            }
            Err(error) => {
                self.fail(at, error.to_string());
                None
            }
        }
    }

    fn read(&mut self, node: &Node, within: &[String]) {
        match node {
            Node::Path(path) => self.reads.extend(path.source_name(within)),
            Node::Not(inner) | Node::Negate(inner) => self.read(inner, within),
            Node::Binary(_, left, right) => {
                self.read(left, within);
                self.read(right, within);
            }
            Node::If(a, b, c) => [a, b, c].into_iter().for_each(|node| self.read(node, within)),
            Node::Call(_, nodes) => nodes.iter().for_each(|node| self.read(node, within)),
            Node::Null | Node::Bool(_) | Node::Number(_) | Node::Text(_) | Node::Index => {}
        }
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

struct Run<'l> {
    lookups: &'l dyn Lookups,
    issues: Vec<Issue>,
    /// The run has cost what it may; said once.
    stopped: bool,
}

impl Run<'_> {
    fn rules(&mut self, rules: &[Compiled], here: &Here<'_>, prefix: &str) -> Map {
        let mut out = Map::with_capacity(rules.len());
        for rule in rules {
            let place = || Place { prefix, to: &rule.to };
            if let Some(when) = &rule.when {
                match evaluate(when, here) {
                    Ok(cell) if cell.is_true() => {}
                    Ok(_) => continue,
                    Err(_) if self.stops(here, place()) => return out,
                    Err(why) => {
                        self.issue(place(), IssueCode::BadExpression, None, None, None, why);
                        continue;
                    }
                }
            }
            let value = match &rule.action {
                Action::Set { source, kind, lookup, on_missing, default, required } => {
                    match self.value(source, *kind, lookup.as_deref(), *on_missing, default.as_ref(), here, place()) {
                        Ok(Some(value)) => value,
                        Ok(None) if *required => {
                            let from = if let Source::Path(_, name) = source { Some(name.as_str()) } else { None };
                            let sentence = format!("the field {} is required and has no value", place().name());
                            self.issue(place(), IssueCode::Required, from, None, None, sentence);
                            continue;
                        }
                        Ok(None) => continue,
                        Err(()) if self.stopped => return out,
                        Err(()) => continue,
                    }
                }
                Action::Each { list, rules, required } => match self.each(list, rules, here, place()) {
                    Some(list) => list,
                    None if self.stopped => return out,
                    None if *required => {
                        let sentence = format!("the list {} is required and is not there", place().name());
                        self.issue(place(), IssueCode::Required, None, None, None, sentence);
                        continue;
                    }
                    None => continue,
                },
            };
            // What the value itself costs is counted before it is made; this is its key and the groups on the way to it.
            if !here.cost.write(rule.to.len(), rule.to_bytes) && self.stops(here, place()) {
                return out;
            }
            write(&mut out, &rule.to, value);
        }
        out
    }

    fn each(&mut self, list: &Path, rules: &[Compiled], here: &Here<'_>, place: Place<'_>) -> Option<Value> {
        let found = follow(list, here);
        if self.stops(here, place) {
            return None;
        }
        let elements: Vec<&Value> = match found {
            Cell::Node(Value::List(list)) => list.iter().collect(),
            Cell::List(cells) => {
                cells.into_iter().filter_map(|cell| if let Cell::Node(value) = cell { Some(value) } else { None }).collect()
            }
            Cell::Node(one @ Value::Map(_)) => vec![one],
            _ => return None,
        };
        let name = place.name();
        let mut out = Vec::with_capacity(elements.len());
        for (index, element) in elements.into_iter().enumerate() {
            if !here.cost.write(1, 0) || !here.cost.read(&name) {
                self.stops(here, place);
                return None;
            }
            let inner = Here { value: element, parent: Some(here), index, ..*here };
            out.push(Value::Map(self.rules(rules, &inner, &format!("{name}[{index}]"))));
            if self.stopped {
                return None;
            }
        }
        Some(Value::List(out))
    }

    #[expect(clippy::too_many_arguments, reason = "one rule, taken apart once")]
    fn value(
        &mut self,
        source: &Source,
        kind: Option<Kind>,
        lookup: Option<&str>,
        on_missing: OnMissing,
        default: Option<&Value>,
        here: &Here<'_>,
        place: Place<'_>,
    ) -> Result<Option<Value>, ()> {
        let from = if let Source::Path(_, name) = source { Some(name.as_str()) } else { None };
        let cell = match source {
            Source::Path(path, _) => follow(path, here),
            Source::Expression(node) => match evaluate(node, here) {
                Ok(cell) => cell,
                Err(_) if self.stops(here, place) => return Err(()),
                Err(why) => {
                    return {
                        self.issue(place, IssueCode::BadExpression, None, None, None, why);
                        Err(())
                    };
                }
            },
            Source::Nothing => Cell::Null,
        };
        if self.stops(here, place) {
            return Err(());
        }
        if matches!(cell, Cell::Null)
            || (cell.is_nothing()
                && (default.is_some() || lookup.is_some() || !matches!(kind, None | Some(Kind::Text | Kind::Json))))
        {
            return self.default(default, here, place);
        }
        let translated;
        let cell = if let Some(table) = lookup {
            let Some(key) = cell.text() else {
                return {
                    self.issue(
                        place,
                        IssueCode::BadType,
                        from,
                        Some(table),
                        None,
                        "a list or a group of fields cannot be looked up".into(),
                    );
                    Err(())
                };
            };
            match (self.lookups.find(table, &key), on_missing) {
                (Some(found), _) => {
                    translated = found.to_owned();
                    Cell::Text(translated.as_str().into())
                }
                (None, OnMissing::Keep) => cell,
                (None, OnMissing::Default) => return self.default(default, here, place),
                (None, OnMissing::Exception) => {
                    let sentence = if self.lookups.has_table(table) {
                        format!("the value \"{key}\" has no entry in the table \"{table}\"")
                    } else {
                        format!("there is no table \"{table}\" to look up \"{key}\" in")
                    };
                    let key = key.into_owned();
                    return {
                        self.issue(place, IssueCode::NoEntry, from, Some(table), Some(key), sentence);
                        Err(())
                    };
                }
            }
        } else {
            cell
        };
        if !here.cost.copy(&cell) {
            self.stops(here, place);
            return Err(());
        }
        match convert(cell, kind) {
            Ok(value) => Ok(Some(value)),
            Err((why, value)) => {
                self.issue(place, IssueCode::BadType, from, None, value, why);
                Err(())
            }
        }
    }

    fn default(&mut self, default: Option<&Value>, here: &Here<'_>, place: Place<'_>) -> Result<Option<Value>, ()> {
        match default {
            Some(value) if !here.cost.copy_value(value) => {
                self.stops(here, place);
                Err(())
            }
            other => Ok(other.cloned()),
        }
    }

    /// True where the run has cost what it may. All that follows would be a consequence, so it is one issue, and the last.
    fn stops(&mut self, here: &Here<'_>, place: Place<'_>) -> bool {
        let Some(why) = here.cost.spent() else { return false };
        if !self.stopped {
            self.stopped = true;
            self.issue(place, IssueCode::TooMany, None, None, None, why.to_owned());
        }
        true
    }

    fn issue(
        &mut self,
        place: Place<'_>,
        code: IssueCode,
        from: Option<&str>,
        table: Option<&str>,
        value: Option<String>,
        sentence: String,
    ) {
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(Issue {
                to: place.name(),
                from: from.map(str::to_owned),
                code,
                table: table.map(str::to_owned),
                value: value.map(|v| v.chars().take(200).collect()),
                sentence,
            });
        }
    }
}

/// Where a rule writes, named only if somebody asks.
#[derive(Clone, Copy)]
struct Place<'a> {
    prefix: &'a str,
    to: &'a [String],
}

impl Place<'_> {
    fn name(&self) -> String {
        let to = self.to.join(".");
        if self.prefix.is_empty() { to } else { format!("{}.{to}", self.prefix) }
    }
}

fn write(out: &mut Map, to: &[String], value: Value) {
    match to {
        [] => {}
        [last] => {
            out.insert(last.clone(), value);
        }
        [first, rest @ ..] => {
            let inner = out.entry(first.clone()).or_insert_with(|| Value::Map(Map::new()));
            if !matches!(inner, Value::Map(_)) {
                *inner = Value::Map(Map::new());
            }
            if let Value::Map(map) = inner {
                write(map, rest, value);
            }
        }
    }
}

type Converted = Result<Value, (String, Option<String>)>;

fn convert(cell: Cell<'_>, kind: Option<Kind>) -> Converted {
    let Some(kind) = kind else { return Ok(cell.into_value()) };
    if kind == Kind::Json {
        return Ok(cell.into_value());
    }
    let Some(text) = cell.text() else {
        return Err(("a plain value was expected, not a list or a group of fields".into(), None));
    };
    let text = text.into_owned();
    let not = |what: &str| (format!("\"{}\" is no {what}", text.chars().take(60).collect::<String>()), Some(text.clone()));
    let number = |what: &str| crate::value::decimal(text.trim()).ok_or_else(|| not(what));
    match kind {
        Kind::Text => Ok(Value::Text(text)),
        Kind::Bool => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "1" => Ok(Value::Bool(true)),
            "false" | "f" | "no" | "0" => Ok(Value::Bool(false)),
            _ => Err(not("yes or no")),
        },
        Kind::Int => {
            let n = number("whole number")?;
            if n.fract().is_zero() { Ok(Value::from(n.trunc())) } else { Err(not("whole number")) }
        }
        Kind::Number => Ok(Value::from(number("number of at most 28 digits")?)),
        Kind::Decimal | Kind::Money => Ok(Value::Text(number("number of at most 28 digits")?.to_string())),
        Kind::Timestamp => match DateTime::parse_from_rfc3339(text.trim()) {
            Ok(at) => Ok(Value::Text(at.with_timezone(&Utc).to_rfc3339_opts(SecondsFormat::Millis, true))),
            Err(_) => Err(not("RFC 3339 time such as 2026-11-24T00:25:18Z")),
        },
        Kind::Date => date(&text).map(Value::Text).map_err(|_| not("date such as 2026-11-24")),
        Kind::Country => two_letters(&text, 2).ok_or_else(|| not("country code such as US (ISO 3166-1 alpha-2)")),
        Kind::Currency => two_letters(&text, 3).ok_or_else(|| not("currency code such as USD (ISO 4217)")),
        Kind::Json => unreachable!("answered above"),
    }
}

fn two_letters(text: &str, length: usize) -> Option<Value> {
    let code = text.trim().to_ascii_uppercase();
    (code.len() == length && code.bytes().all(|b| b.is_ascii_uppercase())).then_some(Value::Text(code))
}

/// The date of a date or a timestamp, as it is written there: no shift into another zone.
pub(super) fn date(text: &str) -> Result<String, String> {
    let text = text.trim();
    let error = || format!("\"{}\" is no date", text.chars().take(60).collect::<String>());
    let date = text.get(..10).ok_or_else(error)?;
    NaiveDate::parse_from_str(date, "%Y-%m-%d").map(|d| d.to_string()).map_err(|_| error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::LookupSet;
    use crate::value::Limits;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    fn value(json: &str) -> Value {
        Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
    }

    fn plan(rules: &str) -> Plan {
        Plan::compile(&serde_json::from_str(rules).unwrap()).unwrap()
    }

    fn eval(expr: &str, json: &str) -> String {
        let rules = format!(r#"[{{"to":"x","expr":{}}}]"#, serde_json::to_string(expr).unwrap());
        match plan(&rules).apply(&value(json), &LookupSet::default(), &Vars::default()) {
            Ok(out) => out.get("x").map(Value::to_json).unwrap_or_default(),
            Err(issues) => issues[0].sentence.clone(),
        }
    }

    #[test]
    fn arithmetic_is_decimal() {
        for (expr, result) in [
            ("0.1 + 0.2", "0.3"),
            ("id + 1", "5123456789012345679"),
            ("price * 3", "3.30"),
            ("sum(lines.amount)", "0.3"),
            ("count(lines)", "2"),
            ("round(1.005, 2, \"half_up\")", "1.01"),
            ("missing + 1", ""),
            ("1 / 0", "division by zero"),
            ("a || b || \"c\"", "\"c\""),
            ("price > 1 ? 'dear' : 'cheap'", "\"dear\""),
            ("lines[1].amount", "0.2"),
            ("concat(\"#\", id)", "\"#5123456789012345678\""),
            ("after_last(\"gid://shop/Order/12\", \"/\")", "\"12\""),
            ("79228162514264337593543950335 * 10", "the result has more digits than a decimal holds"),
            ("!(1 == 1.0) || null == missing", "true"),
        ] {
            assert_eq!(
                eval(
                    expr,
                    r#"{"id":5123456789012345678,"price":"1.10","lines":[{"amount":"0.1"},{"amount":0.2}],"a":"","b":null}"#
                ),
                result,
                "{expr}"
            );
        }
    }

    #[test]
    fn errors_name_the_rule_and_the_column() {
        let rules = r#"[{"to":"a","expr":"1 +"},{"to":"l","each":"x","rules":[{"to":"b","expr":"summ(y)"}]},{"to":"c"}]"#;
        let errors = Plan::compile(&serde_json::from_str(rules).unwrap()).unwrap_err().to_string();
        assert!(errors.contains("rules[0].expr: the expression ends early at column 4"), "{errors}");
        assert!(errors.contains("rules[1].rules[0].expr: there is no function \"summ\""), "{errors}");
        assert!(errors.contains("rules[2]: exactly one of"), "{errors}");
    }

    #[test]
    fn no_rule_writes_what_cannot_be_stored() {
        for rule in [r#"{"to":"a","expr":"'\u0000'"}"#, r#"{"to":"a","default":["\u0000"]}"#, r#"{"to":"\u0000","from":"a"}"#] {
            let errors = Plan::compile(&serde_json::from_str(&format!("[{rule}]")).unwrap()).unwrap_err();
            assert!(errors.to_string().contains("U+0000"), "{errors}");
        }
    }

    #[test]
    fn all_issues_come_at_once_with_their_place() {
        let plan = plan(
            r#"[{"to":"n","from":"n","required":true},{"to":"lines","each":"l","rules":[{"to":"sku","from":"s","lookup":"SKUs"},{"to":"q","from":"q","as":"int"}]}]"#,
        );
        let tables: LookupSet = [("SKUs".to_owned(), [("a".to_owned(), "1".to_owned())].into())].into_iter().collect();
        let issues = plan.apply(&value(r#"{"l":[{"s":"a","q":1},{"s":"b","q":1.5}]}"#), &tables, &Vars::default()).unwrap_err();
        let places: Vec<(&str, IssueCode)> = issues.iter().map(|i| (i.to.as_str(), i.code)).collect();
        assert_eq!(
            places,
            [("n", IssueCode::Required), ("lines[1].sku", IssueCode::NoEntry), ("lines[1].q", IssueCode::BadType)]
        );
    }

    #[test]
    fn hostile_expressions_are_refused_and_never_panic() {
        for text in [
            "(".repeat(1_500),
            "!".repeat(1_500),
            "-".repeat(1_999),
            "a.".repeat(900),
            "1+".repeat(999) + "1",
            "x?".repeat(500),
            "\"".into(),
        ] {
            assert!(Filter::compile(&text).is_err(), "{text:.20}");
        }
    }

    fn lines(count: usize, line: &str) -> Value {
        value(&format!(r#"{{"lines":[{}]}}"#, vec![line; count].join(",")))
    }

    fn costs(rules: &str, document: &Value) -> String {
        let issues = plan(rules).apply(document, &LookupSet::default(), &Vars::default()).unwrap_err();
        let last = issues.last().unwrap();
        assert_eq!(last.code, IssueCode::TooMany);
        assert_eq!(issues.iter().filter(|issue| issue.code == IssueCode::TooMany).count(), 1);
        last.sentence.clone()
    }

    #[test]
    fn a_rule_that_copies_all_lines_for_each_line_ends_early() {
        let document = lines(5_000, r#"{"a":"x"}"#);
        for copy in [r#""expr":"$root.lines""#, r#""from":"$root.lines""#, r#""from":"$parent.lines","as":"json""#] {
            let rules = format!(r#"[{{"to":"l","each":"lines","rules":[{{"to":"a",{copy}}}]}}]"#);
            assert_eq!(costs(&rules, &document), "the mapping writes more than 200,000 values");
        }
        let nested = r#"[{"to":"l","each":"lines","rules":[{"to":"m","each":"$root.lines","rules":[{"to":"n","default":1}]}]}]"#;
        assert_eq!(costs(nested, &document), "the mapping writes more than 200,000 values");
    }

    #[test]
    fn text_and_defaults_count_as_well() {
        let mut document = lines(100, "1");
        if let Value::Map(map) = &mut document {
            map.insert("note".into(), Value::Text("x".repeat(1_000_000)));
        }
        let copied = r#"[{"to":"l","each":"lines","rules":[{"to":"a","from":"$root.note"}]}]"#;
        assert_eq!(costs(copied, &document), "the mapping writes more than 32 MiB of text");
        let default = format!(
            r#"[{{"to":"l","each":"lines","rules":[{{"to":"a","from":"none","default":"{}"}}]}}]"#,
            "x".repeat(1_000_000)
        );
        assert_eq!(costs(&default, &document), "the mapping writes more than 32 MiB of text");
        let read =
            r#"[{"to":"l","each":"lines","rules":[{"to":"a","expr":"contains($root.note, 'y') || contains($root.note, 'z')"}]}]"#;
        assert!(costs(read, &document).starts_with("the mapping takes more than 2,000,000 steps"), "{read}");
    }

    #[test]
    fn an_expression_that_reads_everything_for_each_line_ends_early() {
        let document = lines(5_000, r#"{"a":1,"b":[{"c":1},{"c":2}]}"#);
        for expr in ["sum($root.lines.b.c)", "max($root.lines.a, 1)", "$root.lines.b.c[0]"] {
            let rules = format!(r#"[{{"to":"l","each":"lines","rules":[{{"to":"a","expr":"{expr}"}}]}}]"#);
            assert!(costs(&rules, &document).starts_with("the mapping takes more than 2,000,000 steps"), "{expr}");
        }
        let when = r#"[{"to":"l","each":"lines","rules":[{"to":"a","default":1,"when":"count($root.lines.a) > 0"}]}]"#;
        assert!(costs(when, &document).starts_with("the mapping takes more than 2,000,000 steps"));
        let sums = vec!["sum(lines.b.c)"; 90].join("+");
        assert!(Filter::compile(&sums).unwrap().passes(&document).unwrap_err().contains("more than 2,000,000 steps"));
        assert!(Filter::compile("sum(lines.b.c) == 15000").unwrap().passes(&document).unwrap());
    }

    #[test]
    fn an_ordinary_order_of_five_thousand_lines_is_cheap_enough() {
        let document = lines(
            5_000,
            r#"{"sku":"HAT","qty":2,"price":"1.10","taxes":[{"rate":0.1,"amount":"0.22"}],"off":[{"amount":"0.10"}]}"#,
        );
        let rule = |to: &str, expr: &str| format!(r#"{{"to":"{to}","expr":"{expr}"}}"#);
        let rules: Vec<String> =
            (0..14).map(|n| rule(&format!("f{n}"), "qty * price - sum(off.amount) + sum(taxes.amount)")).collect();
        let rules = format!(
            r#"[{{"to":"l","each":"lines","rules":[{},{{"to":"t","each":"taxes","rules":[{{"to":"r","from":"rate"}}]}}]}}]"#,
            rules.join(",")
        );
        assert!(plan(&rules).apply(&document, &LookupSet::default(), &Vars::default()).is_ok());
    }

    #[test]
    fn a_path_that_would_nest_without_end_is_refused() {
        for rule in [
            format!(r#"{{"to":"{}a","default":1}}"#, "a.".repeat(100_000)),
            format!(r#"{{"to":"a","from":"{}a"}}"#, "a.".repeat(100_000)),
        ] {
            assert!(Plan::compile(&serde_json::from_str(&format!("[{rule}]")).unwrap()).is_err());
        }
    }

    #[test]
    fn lists_within_lists_become_one_list() {
        let json = r#"{"payment_collections":[
            {"payments":[{"refunds":[{"id":1,"amount":"1.00"},{"id":2,"amount":"2.00"}]},{"refunds":[]}]},
            {"payments":[{"refunds":[{"id":3,"amount":"4.00"}]},{"captures":[]}]},{}]}"#;
        for (expr, result) in [
            ("count(payment_collections.payments.refunds)", "3"),
            ("sum(payment_collections.payments.refunds.amount)", "7.00"),
            ("join(payment_collections.payments.refunds.id, '+')", "\"1+2+3\""),
            ("count(payment_collections.payments)", "4"),
            ("is_empty(payment_collections.payments.disputes)", "true"),
        ] {
            assert_eq!(eval(expr, json), result, "{expr}");
        }
        let each = plan(
            r#"[{"to":"refunds","each":"payment_collections.payments.refunds","rules":[{"to":"id","from":"id"},{"to":"n","expr":"$index"}]}]"#,
        );
        assert_eq!(
            each.apply(&value(json), &LookupSet::default(), &Vars::default()).unwrap().to_json(),
            r#"{"refunds":[{"id":1,"n":0},{"id":2,"n":1},{"id":3,"n":2}]}"#
        );
        // A list that nothing is stepped into stays as it is.
        assert_eq!(eval("a", r#"{"a":[[1],[2]]}"#), "[[1],[2]]");
        assert_eq!(eval("a.b", r#"{"a":[[{"b":1}],[{"b":[2,3]}]]}"#), "[1,2,3]");
    }

    #[test]
    fn money_is_rounded_to_the_places_of_its_currency() {
        for (expr, result) in [
            ("round_money(1.005, 'USD')", "1.01"),
            ("round_money(0 - 2.5, currency)", "-3"),
            ("round_money('0.0625', 'kwd')", "0.063"),
            ("round_money(missing, 'USD')", ""),
            ("round_money(1, missing)", "round_money: a currency code such as USD (ISO 4217) was expected"),
        ] {
            assert_eq!(eval(expr, r#"{"currency":"JPY"}"#), result, "{expr}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,80}") {
            if let Ok(filter) = Filter::compile(&text) { let _ = filter.passes(&value("{}")); }
        }

        #[test]
        fn sums_and_products_agree_with_the_oracle(a in -1_000_000_000i64..1_000_000_000, b in -1_000_000i64..1_000_000, s in 0u32..6, t in 0u32..6) {
            let (x, y) = (Decimal::new(a, s), Decimal::new(b, t));
            prop_assert_eq!(eval("x + y * x - y", &format!(r#"{{"x":"{x}","y":"{y}"}}"#)), (x + y * x - y).to_string());
        }
    }
}
