//! Compiled rules. A plan cannot loop, what it may cost and write is bounded, and it says which fields it reads, writes and looks up.

use std::sync::Arc;

use chrono_tz::Tz;

use super::compile::{Compiler, MappingErrors};
use super::cost::Cost;
use super::evaluate::{Here, Inputs, evaluate};
use super::expression::{Expr, ExpressionError, Path, Words};
use super::issue::Issue;
use super::lookup::{LookupSet, Lookups};
use super::rule::{Kind, OnMissing, RoundMode, Rules};
use super::run;
use super::uses::Use;
use super::vars::Vars;
use crate::value::{Arena, Limits, Tree, Value, ValueError, Wanted};

#[derive(Debug, Clone)]
pub struct Plan {
    pub(super) rules: Vec<Compiled>,
    pub(super) wanted: Wanted,
    /// What is read of each named value.
    pub(super) vars: Vec<(Arc<str>, Wanted)>,
    pub(super) reads: Vec<String>,
    pub(super) writes: Vec<String>,
    pub(super) tables: Vec<String>,
    pub(super) uses: Vec<Use>,
    pub(super) wholes: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Compiled {
    /// `rules[3].rules[0]`
    pub rule: String,
    pub to: Vec<Arc<str>>,
    pub to_bytes: usize,
    /// No earlier rule writes the field, so that nothing need be looked for.
    pub is_alone: bool,
    /// Its rows follow those that an earlier rule of the field wrote.
    pub adds: bool,
    pub action: Action,
    pub when: Option<Expr>,
}

#[derive(Debug, Clone)]
pub(super) enum Action {
    Set(Box<Set>),
    /// What all rows of the list around it settle together; its place among them.
    Share(usize),
    Each(Box<Each>),
}

#[derive(Debug, Clone)]
pub(super) struct Set {
    pub source: Source,
    pub kind: Option<Kind>,
    pub zone: Option<Tz>,
    pub round: Option<Rounding>,
    pub lookup: Option<String>,
    pub on_missing: OnMissing,
    pub default: Option<Value>,
    pub required: bool,
    /// Of a share: the amount that is divided.
    pub allocate: Option<Expr>,
    /// Of a share: which rows have a part in it.
    pub when: Option<Expr>,
}

#[derive(Debug, Clone)]
pub(super) struct Each {
    pub list: Path,
    pub flatten: Option<Path>,
    pub filter: Option<Expr>,
    pub group_by: Option<Expr>,
    pub rules: Vec<Compiled>,
    pub shares: Vec<Set>,
    pub required: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Source {
    Path(Path, String),
    Expression(Expr),
    /// Only the default.
    Nothing,
}

#[derive(Debug, Clone)]
pub(super) struct Rounding {
    pub mode: RoundMode,
    pub places: Places,
}

#[derive(Debug, Clone)]
pub(super) enum Places {
    Fixed(u32),
    /// Those of the currency that the expression gives.
    Of(Expr),
}

/// Why bytes did not become other bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untranslated {
    Unreadable(ValueError),
    /// All that has no answer (the first fifty).
    Unmapped(Vec<Issue>),
}

impl Plan {
    /// # Errors
    /// All that is wrong with the rules, each with its place.
    pub fn compile(rules: &Rules) -> Result<Plan, MappingErrors> {
        Compiler::default().plan(rules)
    }

    /// Runs the rules over a document.
    ///
    /// # Errors
    /// All that has no answer (the first fifty), so that a person mends an order once.
    pub fn apply(&self, source: &Value, lookups: &dyn Lookups, vars: &Vars) -> Result<Value, Vec<Issue>> {
        let arena = Arena::new();
        Ok(self.run(Tree::of(source, Some(&self.wanted), &arena), lookups, vars, &arena)?.to_value())
    }

    /// Reads JSON, keeps what the rules want of it, and runs them.
    ///
    /// # Errors
    /// Where the bytes are no JSON within the limits, or the rules have no answer.
    pub fn read(&self, json: &[u8], limits: &Limits, lookups: &dyn Lookups, vars: &Vars) -> Result<Value, Untranslated> {
        let arena = Arena::new();
        Ok(self.parse_and_run(json, limits, lookups, vars, &arena)?.to_value())
    }

    /// The same from bytes to bytes, which are appended. The arena is emptied first: one that is used again allocates nothing.
    ///
    /// # Errors
    /// As [`Plan::read`].
    pub fn translate(
        &self,
        json: &[u8],
        limits: &Limits,
        lookups: &dyn Lookups,
        vars: &Vars,
        arena: &mut Arena,
        out: &mut String,
    ) -> Result<(), Untranslated> {
        arena.reset();
        self.parse_and_run(json, limits, lookups, vars, arena)?.write_json(out);
        Ok(())
    }

    fn parse_and_run<'a>(
        &'a self,
        json: &'a [u8],
        limits: &Limits,
        lookups: &'a dyn Lookups,
        vars: &'a Vars,
        arena: &'a Arena,
    ) -> Result<Tree<'a>, Untranslated> {
        let source = Tree::parse(json, limits, Some(&self.wanted), arena).map_err(Untranslated::Unreadable)?;
        self.run(source, lookups, vars, arena).map_err(Untranslated::Unmapped)
    }

    /// `source` keeps the plan's own words as keys: see [`Wanted`].
    fn run<'a>(
        &'a self,
        source: Tree<'a>,
        lookups: &'a dyn Lookups,
        vars: &'a Vars,
        arena: &'a Arena,
    ) -> Result<Tree<'a>, Vec<Issue>> {
        let inputs = Inputs { root: source, vars: named(&self.vars, vars, arena), lookups, cost: Cost::new(), arena };
        run::document(&self.rules, &inputs)
    }

    /// The source fields it reads, exactly: `line_items[].tax_lines[].rate`, each with all that is below it. Of `line_items[]` it reads only
    /// how many there are.
    #[must_use]
    pub fn reads(&self) -> &[String] {
        &self.reads
    }

    /// The fields it may write: `lines[].sku`; `lines[]` is a list, which may come out empty.
    #[must_use]
    pub fn writes(&self) -> &[String] {
        &self.writes
    }

    /// The fields it writes as whole numbers: an amount among them counts minor units.
    #[must_use]
    pub fn wholes(&self) -> &[String] {
        &self.wholes
    }

    /// The lookup tables it uses.
    #[must_use]
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// Which field is read for which, and how: what a change of the one means for the other.
    #[must_use]
    pub fn uses(&self) -> &[Use] {
        &self.uses
    }
}

fn named<'a>(wanted: &'a [(Arc<str>, Wanted)], vars: &'a Vars, arena: &'a Arena) -> Vec<(&'a str, Tree<'a>)> {
    let found = wanted.iter().filter_map(|(name, wanted)| Some((&**name, Tree::of(vars.get(name)?, Some(wanted), arena))));
    found.collect()
}

/// A condition over a record: which of them a flow takes.
#[derive(Debug, Clone)]
pub struct Filter {
    condition: Expr,
    wanted: Wanted,
    reads: Vec<String>,
}

impl Filter {
    /// # Errors
    /// Where the expression cannot be read.
    pub fn compile(text: &str) -> Result<Self, ExpressionError> {
        let (condition, reads, mut words): (Expr, _, Words) = Compiler::default().condition(text)?;
        Ok(Self { condition, wanted: reads.wanted(&mut words).0, reads: reads.document() })
    }

    /// The fields of the record it reads.
    #[must_use]
    pub fn reads(&self) -> &[String] {
        &self.reads
    }

    /// # Errors
    /// Where the expression has no answer for this document, or takes too many steps.
    pub fn passes(&self, document: &Value) -> Result<bool, String> {
        let arena = Arena::new();
        self.holds(Tree::of(document, Some(&self.wanted), &arena), &arena)
    }

    /// The same of bytes, of which only what it reads is built.
    ///
    /// # Errors
    /// As [`Filter::passes`], and where they are no JSON within the limits.
    pub fn passes_json(&self, json: &[u8], limits: &Limits) -> Result<bool, String> {
        let arena = Arena::new();
        let root = Tree::parse(json, limits, Some(&self.wanted), &arena).map_err(|error| error.to_string())?;
        self.holds(root, &arena)
    }

    fn holds<'a>(&'a self, root: Tree<'a>, arena: &'a Arena) -> Result<bool, String> {
        let tables = LookupSet::default();
        let inputs = Inputs { root, vars: vec![], lookups: &tables, cost: Cost::new(), arena };
        let here = Here { value: root, parent: None, index: 0, group: None, inputs: &inputs };
        evaluate(&self.condition, &here).map(|cell| cell.is_true()).map_err(|fault| fault.sentence())
    }
}
