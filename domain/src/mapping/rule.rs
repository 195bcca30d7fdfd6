//! The vocabulary of a rule. It is closed and small; a misspelt key is an error.

use serde::{Deserialize, Serialize};

/// Ends the field of a rule that adds to a list: `allowances[]`.
const ADDS: &str = "[]";

/// Rules in the order they run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rules(pub Vec<Rule>);

impl Rules {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tenant's rules laid over these: one with the same `to` takes the other's place, the rest follow. Rules here that add to a list go
    /// where the tenant's write or add to it.
    #[must_use]
    pub fn overlaid(&self, over: Rules) -> Rules {
        let is_replaced = |base: &Rule| base.adds() && over.0.iter().any(|rule| rule.field() == base.field());
        let mut rules: Vec<Rule> = self.0.iter().filter(|base| !is_replaced(base)).cloned().collect();
        for rule in over.0 {
            match rules.iter_mut().find(|base| base.to == rule.to && !rule.adds()) {
                Some(base) => *base = rule,
                None => rules.push(rule),
            }
        }
        Rules(rules)
    }

    /// These rules, in which a look-up that does not say what happens to a value without an entry does this.
    #[must_use]
    pub fn with_missing(mut self, missing: OnMissing) -> Rules {
        fn each(rules: &mut [Rule], missing: OnMissing) {
            for rule in rules {
                if rule.lookup.is_some() && rule.on_missing.is_none() {
                    rule.on_missing = Some(missing);
                }
                each(rule.rules.as_deref_mut().unwrap_or_default(), missing);
            }
        }
        each(&mut self.0, missing);
        self
    }

    /// A field that both write, and not by the same rules in the same order: they cannot lie over the same rules.
    #[must_use]
    pub fn conflict<'r>(&'r self, other: &Rules) -> Option<&'r str> {
        fn of<'r>(rules: &'r Rules, field: &str) -> Vec<&'r Rule> {
            rules.0.iter().filter(|rule| rule.field() == field).collect()
        }
        let differs = |rule: &Rule| {
            let theirs = of(other, rule.field());
            !theirs.is_empty() && theirs != of(self, rule.field())
        };
        self.0.iter().find(|rule| differs(rule)).map(|rule| rule.to.as_str())
    }
}

/// One rule: what is written, and from what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The field that is written, dotted: `customer.name`. With `[]` at its end the rows of `each` follow those that an earlier rule of the
    /// same list wrote.
    pub to: String,
    /// The source field, dotted: `customer.default_address.city`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// An expression instead of a field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expr: Option<String>,
    /// The type it is written as; without it the source's type is kept.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Kind>,
    /// The time zone of a `timestamp` or `date` that says none, by its IANA name: `America/Los_Angeles`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// How an amount is rounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<Round>,
    /// An expression around the list: an amount that is divided over its rows, each by its own `from` or `expr`. Needs `round`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocate: Option<String>,
    /// The lookup table that translates it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lookup: Option<String>,
    /// What happens to a value that the table does not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_missing: Option<OnMissing>,
    /// Written where the source has nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// Nothing there is an issue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
    /// The rule runs only where this is true. For a rule with `each` it is asked once, around the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// A list of the source; `rules` run for each of its rows and write a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub each: Option<String>,
    /// A list within each row, whose rows take its place: one long list of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flatten: Option<String>,
    /// Only the rows for which this is true.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// `rules` run for each different value of this: `$group.key`, with the rows that have it: `$group.rows`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
}

impl Rule {
    /// The field that it writes or adds rows to.
    #[must_use]
    pub fn field(&self) -> &str {
        self.to.strip_suffix(ADDS).unwrap_or(&self.to)
    }

    /// Whether its rows follow those of an earlier rule, instead of taking their place.
    #[must_use]
    pub fn adds(&self) -> bool {
        self.to.ends_with(ADDS)
    }
}

/// How an amount is rounded: nothing of it is left to a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    pub scope: RoundScope,
    pub mode: RoundMode,
    /// Places after the point; instead of `currency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digits: Option<u32>,
    /// An expression that gives a currency, whose places are taken (ISO 4217).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundScope {
    /// Each row for itself: the rows need not add up to the rounded sum.
    Line,
    /// The rows of the list add up to its sum, rounded once; what is left over goes to those that lost most.
    Order,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundMode {
    /// 0.5 to the even neighbour.
    HalfEven,
    /// 0.5 away from zero.
    HalfUp,
    /// Towards zero.
    Down,
    /// Away from zero.
    Up,
}

/// What a value is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Text; ids are text whatever the vendor sends.
    Text,
    /// Text of an identity: trimmed, without control characters, 1 to 200 characters.
    Id,
    /// A whole JSON number.
    Int,
    /// A decimal as text: `"0.0825"`.
    Decimal,
    /// An amount as text, its digits kept: `"12.30"`.
    Money,
    /// A tax rate as a decimal from 0 to 1, as text; `8.25%` becomes `"0.0825"`.
    Tax,
    /// A JSON number, exact, for vendors that want numbers.
    Number,
    Bool,
    /// RFC 3339 in any offset, or a local time with `zone`; written in UTC with milliseconds.
    Timestamp,
    /// `YYYY-MM-DD`, of a date or a timestamp as it is written; with `zone` the date there.
    Date,
    /// ISO 3166-1 alpha-2, of a code of two or three letters.
    Country,
    /// ISO 4217 alpha-3.
    Currency,
    /// A unit of measure by its short name: `kg`, `lb`, `cm`, `each`.
    Unit,
    /// As it is, lists and maps too.
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMissing {
    /// A person adds the entry.
    #[default]
    Exception,
    /// The value goes on as it is.
    Keep,
    /// The rule's `default`.
    Default,
}
