//! `{{ settings.account | host }}`: names and nine filters, nothing else. What a name puts into an address is percent-encoded.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// RFC 3986 unreserved characters stay.
pub(crate) const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// As [`ENCODED`], with the slashes that divide a path.
const ENCODED_PATH: &AsciiSet = &ENCODED.remove(b'/');

const FILTERS: [&str; 9] = ["lower", "upper", "upper_snake", "host", "backslash", "double", "number", "path", "plain_query"];
/// Within a text it changes nothing; in an address it keeps the slashes.
const PATH: &str = "path";
/// What RFC 3986 section 3.4 lets a query have as it is, but for what divides its parameters. Some vendors sign an address so.
const PLAIN_IN_QUERY: &[u8] = b":/?@!$'()*,;";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    #[error("\"{{{{\" has no \"}}}}\" in \"{0}\"")]
    Open(String),
    #[error("there is no \"{name}\" to put into \"{template}\"")]
    Unknown { name: String, template: String },
    #[error("there is no filter \"{0}\"; there are {all}", all = FILTERS.join(", "))]
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
        let (mut value, mut encoded) = (value.into_owned(), ENCODED);
        for filter in parts {
            value = apply(filter, value)?;
            if filter == PATH {
                encoded = ENCODED_PATH;
            }
        }
        if encode {
            out.extend(utf8_percent_encode(&value, encoded));
        } else {
            out.push_str(&value);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

fn apply(filter: &str, value: String) -> Result<String, TemplateError> {
    Ok(match filter {
        "lower" => value.to_lowercase(),
        "upper" => value.to_uppercase(),
        // A topic as GraphQL's enumerations write it: orders/create is ORDERS_CREATE.
        "upper_snake" => value.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect::<String>().to_uppercase(),
        // An account as it stands in a host name.
        "host" => value.to_lowercase().replace('_', "-"),
        // Inside quotes of a query language: QuickBooks and SOQL want \', OData and SQL want ''.
        "backslash" => value.replace('\\', "\\\\").replace('\'', "\\'"),
        "double" => value.replace('\'', "''"),
        // Within a text, digits are digits.
        "number" | PATH => value,
        "plain_query" => plain_query(&value),
        other => return Err(TemplateError::Filter(other.to_owned())),
    })
}

/// Writes plainly what a query needs no percent-encoding for; the rest of the address stays as it is.
fn plain_query(address: &str) -> String {
    let Some((before, query)) = address.split_once('?') else { return address.to_owned() };
    let mut out = format!("{before}?");
    let mut rest = query;
    while let Some((plain, after)) = rest.split_once('%') {
        out.push_str(plain);
        let byte = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| PLAIN_IN_QUERY.contains(byte)) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &after[2..];
            }
            None => {
                out.push('%');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// What is wrong with a template whatever its names stand for, for the check at load time.
pub(crate) fn check(template: &str) -> Result<(), TemplateError> {
    fill(template, false, |_| Some("".into())).map(|_| ())
}

/// True where what a name puts into an address keeps its slashes.
pub(crate) fn keeps_slashes(filters: &[&str]) -> bool {
    filters.contains(&PATH)
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

    #[test]
    fn a_filter_writes_a_value_as_its_place_wants_it() {
        for (filter, value, written) in [
            ("upper_snake", "orders/create", "ORDERS_CREATE"),
            ("upper_snake", "product-variant.updated", "PRODUCT_VARIANT_UPDATED"),
            ("path", "in/coming/a b.json", "in/coming/a b.json"),
            (
                "plain_query",
                "https://x.example/a%3Ab?to=%2Fc%3fd%40e&f=%26%3D%2B%20",
                "https://x.example/a%3Ab?to=/c?d@e&f=%26%3D%2B%20",
            ),
            ("plain_query", "https://x.example/a%3Ab", "https://x.example/a%3Ab"),
            ("plain_query", "https://x.example/?a=%E2%82%AC%", "https://x.example/?a=%E2%82%AC%"),
            ("backslash | lower", r"O'N\", r"o\'n\\"),
        ] {
            let find = |_: &str| Some(Cow::Borrowed(value));
            assert_eq!(fill(&format!("{{{{ v | {filter} }}}}"), false, find).unwrap(), written, "{filter}");
        }
        let find = |_: &str| Some(Cow::Borrowed("in/coming/a b.json"));
        assert_eq!(fill("/{{ v | path }}", true, find).unwrap(), "/in/coming/a%20b.json");
        assert_eq!(fill("/{{ v }}", true, find).unwrap(), "/in%2Fcoming%2Fa%20b.json");
        let error = check("{{ v | uper }}").unwrap_err().to_string();
        assert!(error.starts_with("there is no filter \"uper\"; there are lower, upper, upper_snake, host"), "{error}");
    }
}
