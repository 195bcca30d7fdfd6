//! Where in an answer the destination's id and version stand: in a header, in the body, or in the one of a list that is ours.

use domain::delivery::Receipt;
use domain::http::HttpAnswer;
use domain::value::Value;

use crate::manifest::ReceiptRule;
use crate::path;

/// Ids are part of index rows, which Postgres bounds, and it takes no NUL. Such a text is no id: written down it would fail, and be asked for again without
/// end.
const ID_BYTES_MAX: usize = 1_000;

fn can_be_kept(id: &str) -> bool {
    (1..=ID_BYTES_MAX).contains(&id.len()) && !id.contains('\0')
}

/// The part of an answer that is about our record: all of it, or the one of a list that has our key. Without a key it is the only one.
pub(crate) fn ours<'b>(rule: &ReceiptRule, key: &str, body: Option<&'b Value>) -> Option<&'b Value> {
    let (Some(list), Some(at)) = (&rule.among, &rule.key) else { return body };
    let all = path::listed(body?, list)?;
    match key {
        "" if all.len() == 1 => all.first().copied(),
        "" => None,
        // The newest of ours stands last: one that was cancelled before has the same key.
        key => all.into_iter().rfind(|one| path::is_text(one, at, key)),
    }
}

pub(crate) fn receipt(rule: &ReceiptRule, key: &str, answer: &HttpAnswer, body: Option<&Value>) -> Option<Receipt> {
    let body = ours(rule, key, body);
    let from_header = rule
        .header
        .as_deref()
        .and_then(|name| answer.header(name))
        .and_then(|value| value.trim_end_matches('/').rsplit('/').next());
    let at = |path: &Option<String>| path::first(body?, path.as_deref()?)?.to_text().map(|text| text.into_owned());
    let id = from_header.map(str::to_owned).or_else(|| at(&rule.path)).filter(|id| can_be_kept(id))?;
    Some(Receipt { id, version: at(&rule.version) })
}
