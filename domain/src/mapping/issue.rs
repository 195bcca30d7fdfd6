//! Why a document has no answer at one place, in words that an operations person can act on.

use std::fmt;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Issue {
    /// The rule that found it: `rules[3].rules[0]`. Empty where no rule did.
    pub rule: String,
    /// The field that could not be written, with its row: `lines[2].sku`.
    pub to: String,
    /// The field it would come from.
    pub from: Option<String>,
    pub code: IssueCode,
    pub table: Option<String>,
    /// The value at fault, at most 200 characters of it.
    pub value: Option<String>,
    pub sentence: String,
    /// What would mend it, as a sentence.
    pub suggestion: Option<String>,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.to, self.sentence)?;
        if !self.rule.is_empty() {
            write!(f, " ({})", self.rule)?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, ". {suggestion}")?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum IssueCode {
    Required,
    NoEntry,
    #[default]
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

/// What an expression or a type has to say against a value, before the place is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fault {
    pub code: IssueCode,
    pub what: String,
    /// In the expression, from 1; 0 where it is no expression's.
    pub column: usize,
    pub table: Option<String>,
    pub value: Option<String>,
    pub suggestion: Option<String>,
}

impl Fault {
    pub fn expression(what: impl Into<String>) -> Box<Self> {
        Box::new(Self { code: IssueCode::BadExpression, what: what.into(), ..Self::default() })
    }

    pub fn kind(what: impl Into<String>, value: Option<&str>, suggestion: &str) -> Box<Self> {
        Box::new(Self {
            code: IssueCode::BadType,
            what: what.into(),
            value: value.map(str::to_owned),
            suggestion: Some(suggestion.to_owned()),
            ..Self::default()
        })
    }

    pub fn no_entry(what: String, table: &str, key: &str, suggestion: String) -> Box<Self> {
        Box::new(Self {
            code: IssueCode::NoEntry,
            what,
            table: Some(table.to_owned()),
            value: Some(key.to_owned()),
            suggestion: Some(suggestion),
            ..Self::default()
        })
    }

    #[must_use]
    pub fn value(mut self: Box<Self>, value: &str) -> Box<Self> {
        self.value = Some(value.to_owned());
        self
    }

    #[must_use]
    pub fn suggest(mut self: Box<Self>, suggestion: &str) -> Box<Self> {
        self.suggestion = Some(suggestion.to_owned());
        self
    }

    /// The innermost part of an expression that it is about stays.
    #[must_use]
    pub fn at(mut self: Box<Self>, column: usize) -> Box<Self> {
        if self.column == 0 {
            self.column = column;
        }
        self
    }

    pub fn sentence(&self) -> String {
        if self.column == 0 { self.what.clone() } else { format!("{} at column {}", self.what, self.column) }
    }
}
