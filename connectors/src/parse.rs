//! Reads a connector's YAML strictly: what is wrong is said with line and column, and a misspelt name with the nearest right one.

use serde::de::DeserializeOwned;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {what}")]
pub struct ParseError {
    /// From 1; 0 where the parser cannot say.
    pub line: u64,
    pub column: u64,
    pub what: String,
}

/// Files are a few hundred lines; more than this is no connector.
pub(crate) const FILE_BYTES_MAX: usize = 1024 * 1024;

/// Reads YAML, or JSON, into what it is to be.
///
/// # Errors
/// The first thing that is wrong.
pub fn yaml<T: DeserializeOwned>(text: &str) -> Result<T, ParseError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(ParseError { line: 0, column: 0, what: format!("the file is longer than {FILE_BYTES_MAX} bytes") });
    }
    serde_saphyr::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        ParseError { line, column, what: explain(error.without_snippet()) }
    })
}

/// The parser's sentence, without the place, which we say first; of a wrong name, the nearest right one.
fn explain(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error {
        Error::SerdeUnknownField { field: wrong, expected, .. } | Error::SerdeUnknownVariant { variant: wrong, expected, .. } => {
            match nearest(wrong, expected.iter().copied()) {
                Some(right) => format!("there is no `{wrong}` here; did you mean `{right}`?"),
                None if expected.is_empty() => format!("there is no `{wrong}` here"),
                None => format!("there is no `{wrong}` here; there are {}", expected.join(", ")),
            }
        }
        error => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.split(" at line ").next().unwrap_or(line).trim_start_matches("error: ").to_owned()
        }
    }
}

/// The nearest of the known names, where one is near enough to be what was meant.
pub(crate) fn nearest<'n>(wrong: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let near = known.map(|name| (strsim::damerau_levenshtein(wrong, name), name)).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, name)| *distance <= name.len().max(wrong.len()).div_ceil(3)).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;

    fn error(yaml_text: &str) -> String {
        yaml::<Manifest>(yaml_text).unwrap_err().to_string()
    }

    #[test]
    fn a_misspelt_name_is_found_with_line_column_and_the_nearest_right_one() {
        let base = "format: 1\nname: x\ntitle: X\ncategory: erp\n";
        let cases = [
            (format!("{base}limts: []\n"), "5:1: there is no `limts` here; did you mean `limits`?"),
            (base.replace("erp", "epr"), "4:11: there is no `epr` here; did you mean `erp`?"),
            (
                format!("{base}auth:\n  api_key: {{ haeder: X, secret: s }}\n"),
                "6:14: there is no `haeder` here; did you mean `header`?",
            ),
            (
                format!(
                    "{base}resources:\n  order:\n    read:\n      request: {{ method: GET, path: / }}\n      page:\n        cursr: {{}}\n"
                ),
                "10:9: there is no `cursr` here; did you mean `cursor`?",
            ),
            (format!("{base}resources:\n  ordr: {{}}\n"), "6:3: there is no `ordr` here; did you mean `order`?"),
        ];
        for (text, expected) in cases {
            assert_eq!(error(&text), expected, "{text}");
        }
    }
}
