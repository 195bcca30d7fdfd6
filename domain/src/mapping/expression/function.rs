//! The closed list of functions. `docs/mapping.md` describes each; a test holds the two together.

/// How an argument's field is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mapping) enum Reading {
    /// With all that is below it.
    Whole,
    /// Only how many there are.
    Count,
}

macro_rules! functions {
    ($($name:ident = $text:literal, $least:literal ..= $most:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(in crate::mapping) enum Function { $($name),* }
        impl Function {
            pub fn parse(text: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
                match text { $($text => Some((Self::$name, $least..=$most)),)* _ => None }
            }
            pub fn name(self) -> &'static str { match self { $(Self::$name => $text),* } }
            pub const NAMES: &'static [&'static str] = &[$($text),*];
        }
    };
}

functions! {
    Concat = "concat", 1..=20;
    Coalesce = "coalesce", 1..=20;
    Sum = "sum", 1..=1;
    Count = "count", 1..=1;
    First = "first", 1..=1;
    Last = "last", 1..=1;
    Distinct = "distinct", 1..=1;
    Join = "join", 2..=2;
    Round = "round", 2..=3;
    RoundMoney = "round_money", 2..=2;
    Floor = "floor", 1..=1;
    Ceil = "ceil", 1..=1;
    Abs = "abs", 1..=1;
    Min = "min", 1..=10;
    Max = "max", 1..=10;
    ToMinor = "to_minor", 2..=2;
    FromMinor = "from_minor", 2..=2;
    ConvertUnit = "convert_unit", 3..=5;
    Fx = "fx", 4..=5;
    Lookup = "lookup", 2..=3;
    Number = "number", 1..=1;
    Text = "text", 1..=1;
    Length = "length", 1..=1;
    Lower = "lower", 1..=1;
    Upper = "upper", 1..=1;
    Trim = "trim", 1..=1;
    PadLeft = "pad_left", 3..=3;
    Replace = "replace", 3..=3;
    Substring = "substring", 2..=3;
    Contains = "contains", 2..=2;
    StartsWith = "starts_with", 2..=2;
    Split = "split", 2..=2;
    SplitPart = "split_part", 3..=3;
    AfterLast = "after_last", 2..=2;
    IsEmpty = "is_empty", 1..=1;
    Date = "date", 1..=2;
    Timestamp = "timestamp", 1..=2;
    FromEpoch = "from_epoch", 1..=1;
}

impl Function {
    pub fn reading(self) -> Reading {
        if self == Function::Count { Reading::Count } else { Reading::Whole }
    }

    /// Which argument names a lookup table: it must be written out, so that a mapping says which tables it uses.
    pub fn table_argument(self) -> Option<usize> {
        match self {
            Function::Lookup => Some(0),
            Function::Fx | Function::ConvertUnit => Some(3),
            _ => None,
        }
    }
}
