//! Which field is read for which, and how: what a changed field means for those that are made of it.

use super::expression::Reading;
use super::reads::row;

/// What a mapping does with a field that it reads, from the least to the most that a new value of it can change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// It goes on, as it is or calculated with.
    #[default]
    Carries,
    /// It is the key of a lookup table.
    LooksUp,
    /// A condition reads it: it decides what is written.
    Decides,
}

/// A field that is read for another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use {
    /// The field that is read, with all that is below it: `line_items[].sku`. Of `line_items[]` it is only how many there are.
    pub from: String,
    /// The field that is written: `lines[].sku`.
    pub to: String,
    pub how: How,
}

impl Use {
    /// `None` for what is no field of the document: `$settings.x`.
    pub(super) fn of(name: &str, reading: Reading, to: &str, how: How) -> Option<Self> {
        let whole = name.trim_end_matches("[]");
        if whole.is_empty() || whole.starts_with('$') {
            return None;
        }
        let from = if reading == Reading::Count { row(name) } else { whole.to_owned() };
        Some(Self { from, to: to.to_owned(), how })
    }
}

/// True where a change of the field at `path` is one of what a mapping names: they are the same, or one lies within the other. A list that is
/// only counted, or written row by row (`lines[]`), is not changed by what lies in its rows.
/// An expression steps through a list without saying so: `lines.price` is that of every row, `lines[].price`.
#[must_use]
pub fn is_touched(named: &str, path: &str) -> bool {
    let keys = |text| str::split(text, '.').map(|key| key.trim_end_matches("[]")).filter(|key| !key.is_empty());
    let (mut named_keys, mut path_keys) = (keys(named), keys(path));
    loop {
        match (named_keys.next(), path_keys.next()) {
            (Some(one), Some(other)) if one == other => {}
            (Some(_), Some(_)) => return false,
            (None, Some(_)) => return !named.ends_with("[]"),
            (_, None) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::{Plan, Rules};

    #[test]
    fn a_plan_says_what_each_field_is_made_of_and_how() {
        let rules: Rules = serde_json::from_str(
            r#"[{"to": "status", "expr": "!is_empty(cancelled_at) ? 'cancelled' : state"},
                {"to": "tax", "from": "tax.code", "lookup": "Taxes", "when": "$settings.tax == 'on' && total > 0"},
                {"to": "lines", "each": "items", "where": "kind == 'item'", "rules": [
                    {"to": "id", "expr": "lookup('SKUs', sku)"}, {"to": "amount", "expr": "price * quantity"}]}]"#,
        )
        .unwrap();
        let plan = Plan::compile(&rules).unwrap();
        let uses: Vec<(&str, &str, How)> = plan.uses().iter().map(|u| (u.from.as_str(), u.to.as_str(), u.how)).collect();
        assert_eq!(
            uses,
            [
                ("cancelled_at", "status", How::Decides),
                ("items[]", "lines", How::Carries),
                ("items[].kind", "lines", How::Decides),
                ("items[].price", "lines[].amount", How::Carries),
                ("items[].quantity", "lines[].amount", How::Carries),
                ("items[].sku", "lines[].id", How::LooksUp),
                ("state", "status", How::Carries),
                ("tax.code", "tax", How::LooksUp),
                ("total", "tax", How::Decides),
            ]
        );
    }

    #[test]
    fn a_field_is_touched_by_what_lies_within_it_and_around_it() {
        for (named, path, touched) in [
            ("a.b", "a.b", true),
            ("a", "a.b", true),
            ("a.b", "a", true),
            ("a[].b", "a", true),
            ("a[].b", "a[]", true),
            ("a[]", "a", true),
            ("a[]", "a[]", true),
            ("a[]", "a[].b", false),
            ("a.b", "a[].b", true),
            ("a.b.c", "a[].b[]", true),
            ("ab", "a", false),
            ("a.b", "a.c", false),
        ] {
            assert_eq!(is_touched(named, path), touched, "{named} {path}");
        }
    }
}
