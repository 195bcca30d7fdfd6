//! How large a query is, looked at before anything walks it. The library reads brackets by recursion, and it walks fragments where they are spread, each time
//! anew, before it comes to any limit of its own: some lines of fragments that spread each other ten times each would keep a processor for years, and
//! some hundred thousand brackets would end the process. Here brackets are counted one by one, and each fragment once.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

use super::{COMPLEXITY_MAX, RECURSION_MAX};

/// Brackets of all kinds within each other. A query nests `RECURSION_MAX` deep at most, and values that are written into it seldom a tenth of that.
const BRACKETS_MAX: usize = 64;
/// Operations and fragments of a document; the largest of the web app has five.
const DEFINITIONS_MAX: usize = 100;
/// Selections with each fragment where it is spread. Each field costs one of the complexity at least, so no more than that could be asked for anyway.
const SELECTIONS_MAX: usize = 2 * COMPLEXITY_MAX;

/// Why a query is not looked at any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    #[error("the query has more than {BRACKETS_MAX} brackets within each other")]
    Brackets,
    #[error("the query has more than {DEFINITIONS_MAX} operations and fragments")]
    Definitions,
    #[error("the query is nested deeper than {RECURSION_MAX}, or a fragment spreads itself")]
    Depth,
    #[error("the query asks for more than {SELECTIONS_MAX} fields, with its fragments where they are spread")]
    Selections,
}

/// Looks at a request before it is run. What is no query is left to whoever runs it, who says what is wrong with it.
///
/// # Errors
/// Where it is too large.
pub fn check(request: &mut async_graphql::Request) -> Result<(), TooLarge> {
    if brackets(&request.query) > BRACKETS_MAX {
        return Err(TooLarge::Brackets);
    }
    let Ok(document) = request.parsed_query() else { return Ok(()) };
    if document.fragments.len() + document.operations.iter().count() > DEFINITIONS_MAX {
        return Err(TooLarge::Definitions);
    }
    let mut walk = Walk { document, fragments: HashMap::new() };
    let operations = document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node);
    let fragments = document.fragments.values().map(|fragment| &fragment.node.selection_set.node);
    let mut all = 0_usize;
    for set in operations.chain(fragments) {
        all = all.saturating_add(walk.size(set, 0)?.selections);
        if all > SELECTIONS_MAX {
            return Err(TooLarge::Selections);
        }
    }
    Ok(())
}

/// A set of selections with its fragments where they are spread.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    selections: usize,
    /// Levels below it.
    height: usize,
}

struct Walk<'d> {
    document: &'d ExecutableDocument,
    /// Those that were counted to their end.
    fragments: HashMap<&'d Name, Size>,
}

impl<'d> Walk<'d> {
    /// `level` is how many sets it stands within, which bounds how deep this goes: a fragment that spreads itself comes to the bound, too.
    fn size(&mut self, set: &'d SelectionSet, level: usize) -> Result<Size, TooLarge> {
        if level > RECURSION_MAX {
            return Err(TooLarge::Depth);
        }
        let mut size = Size::default();
        for selection in &set.items {
            let within = match &selection.node {
                Selection::Field(field) if field.node.selection_set.node.items.is_empty() => Size::default(),
                Selection::Field(field) => self.below(&field.node.selection_set.node, level)?,
                Selection::InlineFragment(fragment) => self.below(&fragment.node.selection_set.node, level)?,
                Selection::FragmentSpread(spread) => self.spread(&spread.node.fragment_name.node, level)?,
            };
            size.selections = size.selections.saturating_add(1).saturating_add(within.selections);
            size.height = size.height.max(within.height);
        }
        Ok(size)
    }

    fn below(&mut self, set: &'d SelectionSet, level: usize) -> Result<Size, TooLarge> {
        let size = self.size(set, level + 1)?;
        Ok(Size { height: size.height + 1, ..size })
    }

    fn spread(&mut self, name: &'d Name, level: usize) -> Result<Size, TooLarge> {
        if let Some(size) = self.fragments.get(name) {
            return if level + size.height > RECURSION_MAX { Err(TooLarge::Depth) } else { Ok(*size) };
        }
        // One that is not there is told by whoever runs it.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Size::default()) };
        let size = self.below(&fragment.node.selection_set.node, level)?;
        self.fragments.insert(name, size);
        Ok(size)
    }
}

/// The most brackets within each other, without those in texts and comments, which the grammar reads as here: a block text without an end is an empty
/// text and what follows.
fn brackets(query: &str) -> usize {
    let bytes = query.as_bytes();
    let (mut open, mut most, mut at) = (0_usize, 0, 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' | b'(' => {
                open += 1;
                most = most.max(open);
            }
            b']' | b'}' | b')' => open = open.saturating_sub(1),
            b'#' => at += bytes[at..].iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')).count(),
            b'"' => at = text_end(bytes, at),
            _ => {}
        }
    }
    most
}

/// Where a text ends that began just before. One that has no end on its line is none: what follows is read as it is.
fn text_end(bytes: &[u8], begun: usize) -> usize {
    if bytes[begun..].starts_with(b"\"\"") {
        let mut at = begun + 2;
        while at < bytes.len() {
            match &bytes[at..] {
                [b'\\', b'"', b'"', b'"', ..] => at += 4,
                [b'"', b'"', b'"', ..] => return at + 3,
                _ => at += 1,
            }
        }
        return begun + 1;
    }
    let mut at = begun;
    loop {
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            None | Some(b'\n' | b'\r') => return begun,
            Some(_) => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use async_graphql::Request;

    use super::*;

    fn checked(query: &str) -> Result<(), TooLarge> {
        check(&mut Request::new(query))
    }

    /// Fragments each of which spreads the next one so often.
    fn spreading(levels: usize, times: usize) -> String {
        let fragment = |n: usize| format!("fragment f{n} on Viewer {{ {} }} ", format!("...f{} ", n + 1).repeat(times));
        let fragments: String = (0..levels).map(fragment).collect();
        format!("{{ viewer {{ ...f0 }} }} {fragments} fragment f{levels} on Viewer {{ id }}")
    }

    #[test]
    fn threat_query_of_fragments_that_spread_each_other_is_refused_at_once() {
        let began = Instant::now();
        // The last of them would be walked 10^20 times.
        for (levels, times) in [(20, 10), (20, 100), (12, 1_000), (14, 2)] {
            assert_eq!(checked(&spreading(levels, times)), Err(TooLarge::Selections), "{levels} levels of {times}");
        }
        assert_eq!(checked(&spreading(30, 2)), Err(TooLarge::Depth));
        assert_eq!(checked(&spreading(2_000, 1)), Err(TooLarge::Definitions));
        assert_eq!(checked(&spreading(4, 4)), Ok(()));
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }

    #[test]
    fn threat_query_that_is_deep_wide_or_in_a_circle_is_refused() {
        let circle = "{ viewer { ...a } } fragment a on Viewer { ...b } fragment b on Viewer { ...a }";
        assert_eq!(checked(circle), Err(TooLarge::Depth));
        assert_eq!(
            checked("{ viewer { id } } fragment a on Viewer { ...a }"),
            Err(TooLarge::Depth),
            "one that nobody spreads, too"
        );
        let deep = |levels: usize| format!("{{ {} id {} }}", "viewer { ".repeat(levels), "} ".repeat(levels));
        assert_eq!((checked(&deep(24)), checked(&deep(25))), (Ok(()), Err(TooLarge::Depth)));
        assert_eq!(checked(&format!("{{ {} }}", "id ".repeat(SELECTIONS_MAX + 1))), Err(TooLarge::Selections));
        let aside = format!("{{ id }} fragment a on Query {{ {} }}", "id ".repeat(SELECTIONS_MAX));
        assert_eq!(checked(&aside), Err(TooLarge::Selections));
        // A fragment may be low where it was counted, and too deep where it is spread again.
        let low = format!(
            "{{ ...f {} ...f {} }} fragment f on Query {{ {} id {} }}",
            "a { ".repeat(20),
            "} ".repeat(20),
            "b { ".repeat(8),
            "} ".repeat(8)
        );
        assert_eq!(checked(&low), Err(TooLarge::Depth));
    }

    #[test]
    fn threat_query_of_brackets_without_end_is_refused_before_anybody_reads_them() {
        let many = 200_000;
        for query in [
            "{".repeat(many),
            format!("{{ node(id: {}) }}", "[".repeat(many)),
            format!("{{ node(id: {}1{}) }}", "{a:".repeat(many), "}".repeat(many)),
            format!("query($a: {}ID{}) {{ id }}", "[".repeat(many), "]".repeat(many)),
            // A block text that does not end is no text, and a text that ends is one.
            format!("{{ node(id: [\"\"\" \" {}", "[".repeat(many)),
            format!("{{ node(id: [\"\\\"\" {}", "[".repeat(many)),
            format!("{{ node(id: [\"\"\"a\\\"\"\"b\"\"\" {}", "[".repeat(many)),
            format!("{{ # \"\n node(id: {}", "[".repeat(many)),
            format!("{{ node(id: \"\n {}", "[".repeat(many)),
        ] {
            assert_eq!(checked(&query), Err(TooLarge::Brackets), "{query:.60}");
        }
        for query in [
            format!("{{ node(id: \"{}\") {{ id }} }}", "[".repeat(many)),
            format!("{{ node(id: \"\"\"{}\"\"\") {{ id }} }}", "{\n".repeat(many)),
            format!("{{ id }} # {}", "(".repeat(many)),
            format!("{{ {} }}", "a(b: [{c: 1}]) ".repeat(500)),
            "{ node(id: \"\\\\\") { id } }".to_owned(),
        ] {
            assert_eq!(checked(&query), Ok(()), "{query:.60}");
        }
    }
}
