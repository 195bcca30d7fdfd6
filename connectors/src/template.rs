//! `{{ settings.account | host }}`: names and six filters, nothing else. What a name puts into an address is percent-encoded.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// RFC 3986 unreserved characters stay.
pub(crate) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("\"{{{{\" has no \"}}}}\" in \"{0}\"")]
    Open(String),
    #[error("there is no \"{name}\" to put into \"{template}\"")]
    Unknown { name: String, template: String },
    #[error("there is no filter \"{0}\"; there are lower, upper, host, backslash, double and number")]
    Filter(String),
}

/// Fills a template. `find` knows the names; `encode` says whether values go into an address.
pub(crate) fn fill<'v>(
    template: &str,
    encode: bool,
    find: impl Fn(&str) -> Option<Cow<'v, str>>,
) -> Result<String, TemplateError> {
    let mut out = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let (inner, after) = after.split_once("}}").ok_or_else(|| TemplateError::Open(template.to_owned()))?;
        let mut parts = inner.split('|').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let value = find(name).ok_or_else(|| TemplateError::Unknown { name: name.to_owned(), template: template.to_owned() })?;
        let mut value = value.into_owned();
        for filter in parts {
            value = match filter {
                "lower" => value.to_lowercase(),
                "upper" => value.to_uppercase(),
                // An account as it stands in a host name.
                "host" => value.to_lowercase().replace('_', "-"),
                // Inside quotes of a query language: QuickBooks and SOQL want \', OData and SQL want ''.
                "backslash" => value.replace('\\', "\\\\").replace('\'', "\\'"),
                "double" => value.replace('\'', "''"),
                // Within a text, digits are digits.
                "number" => value,
                other => return Err(TemplateError::Filter(other.to_owned())),
            };
        }
        if encode {
            out.extend(utf8_percent_encode(&value, ENCODED));
        } else {
            out.push_str(&value);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// The names that a template uses, for the check at load time.
pub(crate) fn names(template: &str) -> impl Iterator<Item = &str> {
    template
        .split("{{")
        .skip(1)
        .filter_map(|part| part.split("}}").next())
        .filter_map(|inner| inner.split('|').next())
        .map(str::trim)
}

/// The name of a template that is one placeholder and nothing else.
pub(crate) fn placeholder(template: &str) -> Option<&str> {
    let inner = template.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    (!inner.contains(['{', '}', '|'])).then_some(inner)
}

/// The name of a template that is one placeholder with the filter `number`: in a tree it becomes a number where it is one.
pub(crate) fn number_placeholder(template: &str) -> Option<&str> {
    let (name, filter) = template.trim().strip_prefix("{{")?.strip_suffix("}}")?.split_once('|')?;
    (filter.trim() == "number").then_some(name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_break_out_of_their_place_in_an_address() {
        let find = |name: &str| (name == "id").then_some(Cow::Borrowed("../a b?c"));
        assert_eq!(fill("/orders/{{ id }}", true, find).unwrap(), "/orders/..%2Fa%20b%3Fc");
        assert_eq!(fill("{{ id | upper }}", false, find).unwrap(), "../A B?C");
        assert!(fill("{{ nope }}", false, find).is_err());
        assert_eq!(names("a {{ b.c }} {{d|host}}").collect::<Vec<_>>(), ["b.c", "d"]);
    }
}
