//! How large a query is, looked at before anything walks it. The library reads brackets by recursion, and it walks fragments where they are spread, each time
//! anew, before it comes to any limit of its own: some lines of fragments that spread each other ten times each would keep a processor for years, and
//! some hundred thousand brackets would end the process. Here brackets are counted one by one, and each fragment once.

use std::collections::HashMap;

use async_graphql::Name;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};

use super::{COMPLEXITY_MAX, RECURSION_MAX};

/// Brackets of all kinds within each other. A query nests `RECURSION_MAX` deep at most, and values that are written into it seldom a tenth of that.
const BRACKETS_MAX: usize = 64;
/// Words of a document: names, numbers, texts and brackets, counted before the library reads any of them, because reading is what so many cost. A field
/// that may be asked for is given three, and what is written into a query is in variables where there is much of it.
const WORDS_MAX: usize = 3 * COMPLEXITY_MAX;
/// Bytes of a document, which the library looks at several times while it keeps a thread for itself: a text of a megabyte held up everybody else on that
/// thread. What is in variables may be longer.
const TEXT_BYTES_MAX: usize = 128 * 1024;
/// Operations and fragments of a document; the largest of the web app has five.
const DEFINITIONS_MAX: usize = 100;
/// Selections with each fragment where it is spread. Each field costs one of the complexity at least, so no more than that could be asked for anyway.
const SELECTIONS_MAX: usize = 2 * COMPLEXITY_MAX;

/// Why a query is not looked at any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    #[error("the query has more than {BRACKETS_MAX} brackets within each other")]
    Brackets,
    #[error("the query has more than {WORDS_MAX} words; give what is long in variables, or ask for less at once")]
    Words,
    #[error("the query's text has more than {TEXT_BYTES_MAX} bytes; give what is long in variables")]
    Text,
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
    glance(&request.query)?;
    if request.query.len() > TEXT_BYTES_MAX {
        return Err(TooLarge::Text);
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

/// Counts words, and brackets within each other, without those in texts and comments, which the grammar reads as here: a block text without an end is an
/// empty text and what follows.
fn glance(query: &str) -> Result<(), TooLarge> {
    let bytes = query.as_bytes();
    let (mut open, mut words, mut at, mut endless) = (0_usize, 0_usize, 0, Endless::default());
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'[' | b'{' | b'(' => open += 1,
            b']' | b'}' | b')' => open = open.saturating_sub(1),
            b'#' => {
                at += bytes[at..].iter().take_while(|byte| !matches!(byte, b'\n' | b'\r')).count();
                continue;
            }
            b'"' => at = text_end(bytes, at, &mut endless),
            byte if is_of_word(*byte) => at += bytes[at..].iter().take_while(|byte| is_of_word(**byte)).count(),
            _ => continue,
        }
        words += 1;
        if open > BRACKETS_MAX {
            return Err(TooLarge::Brackets);
        }
        if words > WORDS_MAX {
            return Err(TooLarge::Words);
        }
    }
    Ok(())
}

/// Of a name or a number; the dots before a spread are taken for its name.
const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'+')
}

/// Texts whose end was looked for in vain. It is not looked for again: a line of quotes that are all escaped, or lines of such block texts, would be read
/// to their end once for each of them.
#[derive(Default)]
struct Endless {
    /// No block text ends behind where one was looked for.
    block: bool,
    /// No other text ends before this place.
    until: usize,
}

/// Where a text ends that began just before. One that has no end on its line is none: what follows is read as it is.
fn text_end(bytes: &[u8], begun: usize, endless: &mut Endless) -> usize {
    if bytes[begun..].starts_with(b"\"\"") {
        let mut at = if endless.block { bytes.len() } else { begun + 2 };
        while at < bytes.len() {
            match &bytes[at..] {
                [b'\\', b'"', b'"', b'"', ..] => at += 4,
                [b'"', b'"', b'"', ..] => return at + 3,
                _ => at += 1,
            }
        }
        endless.block = true;
        return begun + 1;
    }
    if begun < endless.until {
        return begun;
    }
    let mut at = begun;
    loop {
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            None | Some(b'\n' | b'\r') => {
                endless.until = at;
                return begun;
            }
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
    fn threat_query_of_words_without_end_is_refused_before_anybody_reads_them() {
        let within = |part: &str, words: usize| format!("{{ {} }}", part.repeat((WORDS_MAX - 2) / words));
        // A text, a comment and a number are as long as they are.
        for (part, words) in
            [("id ", 1), ("a{id}", 4), ("...f ", 1), ("a(b:-1.5e+3)", 5), ("a(b:\"c d e\")#f g\n", 5), ("a @b ", 2)]
        {
            let (most, more) = (within(part, words), format!("{} {}", within(part, words), part.repeat(3)));
            assert_eq!((glance(&most), glance(&more)), (Ok(()), Err(TooLarge::Words)), "{part}");
        }
        assert_eq!(checked(&"query a { id } ".repeat(10_000)), Err(TooLarge::Words));
        let text = |bytes: usize| format!("{{ node(id: \"{}\") {{ id }} }}", "x".repeat(bytes));
        assert_eq!((checked(&text(130_000)), checked(&text(132_000))), (Ok(()), Err(TooLarge::Text)));
    }

    #[test]
    fn threat_query_of_texts_that_never_end_is_read_once_and_not_for_each_of_them() {
        let began = Instant::now();
        for (begin, part, words) in [("\"", "\\\"", 1), ("\"\"\"", "\n\\\"\"\"", 2), ("\"\\\n", "\\\"", 1)] {
            let query = format!("{begin}{}{}", part.repeat((WORDS_MAX - 100) / words), " ".repeat(1_000_000));
            assert_eq!(glance(&query), Ok(()), "{query:.60}");
            // A text on a line behind them is one still, and what is none is counted.
            let brackets = "[".repeat(1_000);
            let (text, none) = (format!("{query}\n a(b: \"{brackets}\")"), format!("{query}\n a(b: {brackets}"));
            assert_eq!((glance(&text), glance(&none)), (Ok(()), Err(TooLarge::Brackets)), "{query:.60}");
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
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
            format!("{{ node(id: \"{}\") {{ id }} }}", "[".repeat(100_000)),
            format!("{{ node(id: \"\"\"{}\"\"\") {{ id }} }}", "{\n".repeat(50_000)),
            format!("{{ id }} # {}", "(".repeat(100_000)),
            format!("{{ {} }}", "a(b: [{c: 1}]) ".repeat(500)),
            "{ node(id: \"\\\\\") { id } }".to_owned(),
        ] {
            assert_eq!(checked(&query), Ok(()), "{query:.60}");
        }
    }
}
