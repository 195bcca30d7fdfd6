//! The parser: strict ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), bounded, and it says where it stopped.
//! What is kept goes into the arena when its list or group ends, so that each is one slice.

use std::collections::HashSet;

use super::wanted::Keep;
use super::write::special_from;
use super::{Arena, Field, Tree};

/// What a document may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub bytes_max: usize,
    pub depth_max: usize,
    pub nodes_max: usize,
}

impl Limits {
    pub const DEFAULT: Limits = Limits { bytes_max: 2 * 1024 * 1024, depth_max: 64, nodes_max: 200_000 };
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at line {line}, column {column}")]
pub struct ValueError {
    pub what: String,
    pub line: usize,
    pub column: usize,
}

pub(super) fn document<'a>(json: &'a [u8], limits: &Limits, keep: Keep<'a>, arena: &'a Arena) -> Result<Tree<'a>, ValueError> {
    let fail = |what: String, at: usize| {
        let before = &json[..at.min(json.len())];
        let line = 1 + before.iter().filter(|b| **b == b'\n').count();
        let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
        ValueError { what, line, column }
    };
    if json.len() > limits.bytes_max {
        return Err(fail(format!("{} bytes are more than the {} allowed,", json.len(), limits.bytes_max), 0));
    }
    let text = std::str::from_utf8(json).map_err(|error| fail("the text is not UTF-8".into(), error.valid_up_to()))?;
    let mut parser = Parser {
        text,
        bytes: json,
        at: 0,
        nodes_left: limits.nodes_max,
        depth_max: limits.depth_max,
        arena,
        items: Vec::new(),
        fields: Vec::new(),
        decoded: String::new(),
    };
    parser.document(keep).map_err(|what| fail(what, parser.at))
}

/// Beyond so many keys of one group a set finds doubles faster than a look at each.
const KEYS_BY_SIGHT: usize = 32;

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    nodes_left: usize,
    depth_max: usize,
    arena: &'a Arena,
    /// What is kept of the lists and groups that are open.
    items: Vec<Tree<'a>>,
    fields: Vec<Field<'a>>,
    /// A text with escapes, while it is read.
    decoded: String,
}

type Parsed<T> = Result<T, String>;

impl<'a> Parser<'a> {
    fn document(&mut self, keep: Keep<'a>) -> Parsed<Tree<'a>> {
        let value = self.value(0, Some(keep))?;
        self.space();
        if self.at < self.bytes.len() { Err("there is more text after the end of the document".into()) } else { Ok(value) }
    }

    /// Without `keep` it is read only to get past it.
    fn value(&mut self, depth: usize, keep: Option<Keep<'a>>) -> Parsed<Tree<'a>> {
        if depth > self.depth_max {
            return Err(format!("the document is nested deeper than {} levels", self.depth_max));
        }
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or("the document has more values than are allowed")?;
        self.space();
        match self.bytes.get(self.at) {
            Some(b'{') => self.map(depth, keep),
            Some(b'[') => self.list(depth, keep),
            Some(b'"') => Ok(Tree::Text(self.string(keep.is_some())?)),
            Some(b't') => self.word("true", Tree::Bool(true)),
            Some(b'f') => self.word("false", Tree::Bool(false)),
            Some(b'n') => self.word("null", Tree::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err("a value was expected".into()),
            None => Err("the document ends early".into()),
        }
    }

    fn map(&mut self, depth: usize, keep: Option<Keep<'a>>) -> Parsed<Tree<'a>> {
        self.at += 1;
        let (mine, mut is_first) = (self.fields.len(), true);
        let mut many = None;
        loop {
            self.space();
            match self.bytes.get(self.at) {
                Some(b'}') if is_first => break,
                Some(b'"') => {}
                _ => return Err("a key in quotes was expected".into()),
            }
            is_first = false;
            let key = self.string(keep.is_some())?;
            self.space();
            self.expect(b':')?;
            match keep.and_then(|keep| keep.field(key)) {
                Some((key, below)) => {
                    let value = self.value(depth + 1, Some(below))?;
                    // Two values for one key: which one a signature or another reader means is anybody's guess.
                    if self.is_there(mine, key, &mut many) {
                        return Err("a key is there twice".into());
                    }
                    self.fields.push(Field { key, value });
                }
                None => {
                    self.value(depth + 1, None)?;
                }
            }
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err("\",\" or \"}\" was expected".into()),
            }
        }
        self.at += 1;
        let kept: &[Field<'a>] = self.arena.alloc_slice_copy(&self.fields[mine..]);
        self.fields.truncate(mine);
        Ok(Tree::Map(kept))
    }

    fn is_there(&self, mine: usize, key: &'a str, many: &mut Option<HashSet<&'a str>>) -> bool {
        let fields = &self.fields[mine..];
        if fields.len() < KEYS_BY_SIGHT {
            return fields.iter().any(|field| field.key == key);
        }
        !many.get_or_insert_with(|| fields.iter().map(|field| field.key).collect()).insert(key)
    }

    fn list(&mut self, depth: usize, keep: Option<Keep<'a>>) -> Parsed<Tree<'a>> {
        self.at += 1;
        let (mine, mut is_first) = (self.items.len(), true);
        loop {
            self.space();
            if is_first && self.bytes.get(self.at) == Some(&b']') {
                break;
            }
            is_first = false;
            let value = self.value(depth + 1, keep)?;
            if keep.is_some() {
                self.items.push(value);
            }
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err("\",\" or \"]\" was expected".into()),
            }
        }
        self.at += 1;
        let kept: &[Tree<'a>] = self.arena.alloc_slice_copy(&self.items[mine..]);
        self.items.truncate(mine);
        Ok(Tree::List(kept))
    }

    fn string(&mut self, is_kept: bool) -> Parsed<&'a str> {
        self.at += 1;
        let start = self.at;
        self.at = special_from(self.bytes, start);
        if self.bytes.get(self.at) == Some(&b'"') {
            self.at += 1;
            return Ok(&self.text[start..self.at - 1]);
        }
        self.decoded.clear();
        let mut clean = start;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    self.decoded.push_str(&self.text[clean..self.at]);
                    self.at += 1;
                    return Ok(if is_kept { &*self.arena.alloc_str(&self.decoded) } else { "" });
                }
                Some(b'\\') => {
                    self.decoded.push_str(&self.text[clean..self.at]);
                    self.at += 1;
                    let c = self.escape()?;
                    self.decoded.push(c);
                    clean = self.at;
                }
                Some(_) => return Err("a control character stands unescaped in a text".into()),
                None => return Err("a text has no end".into()),
            }
            self.at = special_from(self.bytes, self.at);
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let byte = *self.bytes.get(self.at).ok_or("a text has no end")?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex4()?;
                if high == 0 {
                    self.at -= r"\u0000".len();
                    // Postgres stores no text with NUL: one such message would make all that are committed with it fail.
                    return Err("a text has the character U+0000, which cannot be stored,".into());
                }
                if !(0xd800..0xe000).contains(&high) {
                    return char::from_u32(high).ok_or_else(|| "an escape is no character".into());
                }
                if !self.bytes[self.at..].starts_with(b"\\u") {
                    return Err("half of a surrogate pair stands alone".into());
                }
                self.at += 2;
                let low = self.hex4()?;
                if !(0xd800..0xdc00).contains(&high) || !(0xdc00..0xe000).contains(&low) {
                    return Err("half of a surrogate pair stands alone".into());
                }
                char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or("an escape is no character")?
            }
            _ => return Err("an unknown escape".into()),
        })
    }

    fn hex4(&mut self) -> Parsed<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or("an escape has fewer than four digits")?;
        let mut code = 0;
        for digit in digits {
            code = code * 16 + char::from(*digit).to_digit(16).ok_or("an escape has a digit that is none")?;
        }
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self) -> Parsed<Tree<'a>> {
        let start = self.at;
        self.skip(b'-');
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err("a number has no digits".into()),
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            if !self.skip(b'+') {
                self.skip(b'-');
            }
            self.digits()?;
        }
        Ok(Tree::Number(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> Parsed<()> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err("a number lacks digits".into()) } else { Ok(()) }
    }

    fn word(&mut self, word: &str, value: Tree<'a>) -> Parsed<Tree<'a>> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err("a value was expected".into())
        }
    }

    fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.skip(byte) { Ok(()) } else { Err(format!("\"{}\" was expected", char::from(byte))) }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}
