//! Text as Python reads and writes a plain value. A low-code manifest's expression is first text; where that text is a Python literal
//! (`True`, `12`, `['a', 'b']`), its value is meant, and else the text.

use domain::value::{Limits, Map, Value};

/// Brackets within brackets.
const DEPTH_MAX: usize = 32;
/// Longer texts are texts.
const BYTES_MAX: usize = 1024 * 1024;

/// What a rendered text means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    Value(Value),
    /// `1, 2`: a list everywhere but where a request wants a text or a list.
    Tuple(Vec<Value>),
}

impl Literal {
    pub(crate) fn read(text: &str) -> Literal {
        let plain = || Literal::Value(Value::Text(text.to_owned()));
        if text.len() > BYTES_MAX {
            return plain();
        }
        // Python drops blanks and tabs before a literal, but a line break there is an indentation error.
        let mut parser = Parser { text: text.trim_start_matches([' ', '\t']), at: 0 };
        match parser.whole() {
            Some(literal) => literal,
            None => plain(),
        }
    }

    pub(crate) fn into_value(self) -> Value {
        match self {
            Literal::Value(value) => value,
            Literal::Tuple(list) => Value::List(list),
        }
    }

    /// Python's `str()`.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Literal::Value(value) => text(value),
            Literal::Tuple(list) => {
                let items: Vec<String> = list.iter().map(repr).collect();
                format!("({}{})", items.join(", "), if list.len() == 1 { "," } else { "" })
            }
        }
    }
}

/// Python's `str()` of a value.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        other => repr(other),
    }
}

/// Python's `repr()` of a value.
pub(crate) fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => {
            let digits = number.as_str();
            if digits.contains(['.', 'e', 'E']) {
                digits.parse().map_or_else(|_| digits.to_owned(), float)
            } else {
                digits.to_owned()
            }
        }
        Value::Text(text) => quoted(text),
        Value::List(list) => format!("[{}]", list.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Map(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{}: {}", quoted(key), repr(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

pub(crate) fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for char in text.chars() {
        match char {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            char if char == quote => {
                out.push('\\');
                out.push(char);
            }
            char if u32::from(char) < 0x20 || u32::from(char) == 0x7f => out.push_str(&format!("\\x{:02x}", u32::from(char))),
            char => out.push(char),
        }
    }
    out.push(quote);
    out
}

/// Python's `repr()` of a float: `1.0`, `0.0001`, `1e+16`.
pub(crate) fn float(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan".to_owned()
        } else if value > 0.0 {
            "inf".to_owned()
        } else {
            "-inf".to_owned()
        };
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{value:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = value.to_string();
    if text.contains('.') { text } else { text + ".0" }
}

/// Python's truth: nothing, zero and what is empty are false.
pub(crate) fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(bool) => *bool,
        Value::Number(number) => number.as_str().trim_start_matches('-').bytes().any(|byte| (b'1'..=b'9').contains(&byte)),
        Value::Text(text) => !text.is_empty(),
        Value::List(list) => !list.is_empty(),
        Value::Map(map) => !map.is_empty(),
    }
}

/// A JSON number of exactly these digits.
pub(crate) fn number(digits: &str) -> Option<Value> {
    Value::parse(digits.as_bytes(), &Limits::DEFAULT).ok().filter(|value| matches!(value, Value::Number(_)))
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
}

impl Parser<'_> {
    fn whole(&mut self) -> Option<Literal> {
        let first = self.value(0)?;
        self.space();
        if self.peek() != Some(b',') {
            return (self.at == self.text.len()).then_some(first);
        }
        let mut list = vec![first.into_value()];
        while self.skip(b',') {
            self.space();
            if self.at == self.text.len() {
                break;
            }
            list.push(self.value(0)?.into_value());
            self.space();
        }
        (self.at == self.text.len()).then_some(Literal::Tuple(list))
    }

    fn value(&mut self, depth: usize) -> Option<Literal> {
        (depth <= DEPTH_MAX).then_some(())?;
        self.space();
        Some(Literal::Value(match self.peek()? {
            b'[' => Value::List(self.list(b']', depth)?.0),
            b'(' => {
                let (mut list, comma) = self.list(b')', depth)?;
                if list.len() == 1 && !comma {
                    return Some(Literal::Value(list.remove(0)));
                }
                return Some(Literal::Tuple(list));
            }
            b'{' => Value::Map(self.map(depth)?),
            b'\'' | b'"' => Value::Text(self.strings()?),
            b'0'..=b'9' | b'.' | b'-' | b'+' => self.number()?,
            _ => self.word()?,
        }))
    }

    fn list(&mut self, end: u8, depth: usize) -> Option<(Vec<Value>, bool)> {
        self.at += 1;
        let (mut list, mut comma) = (Vec::new(), false);
        loop {
            self.space();
            if self.skip(end) {
                return Some((list, comma));
            }
            (list.is_empty() || comma).then_some(())?;
            list.push(self.value(depth + 1)?.into_value());
            self.space();
            comma = self.skip(b',');
        }
    }

    fn map(&mut self, depth: usize) -> Option<Map> {
        self.at += 1;
        let (mut map, mut comma) = (Map::new(), true);
        loop {
            self.space();
            if self.skip(b'}') {
                return Some(map);
            }
            comma.then_some(())?;
            // A set (`{1, 2}`) has no colon and is no value of JSON.
            let key = self.value(depth + 1)?;
            self.space();
            self.skip(b':').then_some(())?;
            let value = self.value(depth + 1)?.into_value();
            map.insert(key.to_text(), value);
            self.space();
            comma = self.skip(b',');
        }
    }

    /// Neighbours are one text: `'a' "b"`.
    fn strings(&mut self) -> Option<String> {
        let mut out = String::new();
        while let Some(quote @ (b'\'' | b'"')) = self.peek() {
            let triple: &str = if quote == b'"' { "\"\"\"" } else { "'''" };
            let end = if self.text[self.at..].starts_with(triple) { triple } else { &triple[..1] };
            self.at += end.len();
            loop {
                let rest = &self.text[self.at..];
                if rest.starts_with(end) {
                    self.at += end.len();
                    break;
                }
                let char = rest.chars().next()?;
                self.at += char.len_utf8();
                match char {
                    '\\' => self.escape(&mut out)?,
                    '\n' if end.len() == 1 => return None,
                    char => out.push(char),
                }
            }
            self.space();
        }
        Some(out)
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let char = self.text[self.at..].chars().next()?;
        self.at += char.len_utf8();
        let digits = match char {
            'n' => return push(out, '\n'),
            'r' => return push(out, '\r'),
            't' => return push(out, '\t'),
            '0' => return push(out, '\0'),
            '\\' | '\'' | '"' => return push(out, char),
            '\n' => return Some(()),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            other => {
                out.push('\\');
                return push(out, other);
            }
        };
        let code = u32::from_str_radix(self.text.get(self.at..self.at + digits)?, 16).ok()?;
        self.at += digits;
        push(out, char::from_u32(code)?)
    }

    fn number(&mut self) -> Option<Value> {
        let mut negative = false;
        while let Some(sign @ (b'-' | b'+')) = self.peek() {
            negative ^= sign == b'-';
            self.at += 1;
            self.space();
        }
        let rest = &self.text[self.at..];
        let mut previous = 'x';
        let end = rest
            .find(|char: char| {
                let part = char.is_ascii_alphanumeric()
                    || matches!(char, '_' | '.')
                    || (matches!(char, '+' | '-') && matches!(previous, 'e' | 'E'));
                previous = char;
                !part
            })
            .unwrap_or(rest.len());
        self.at += end;
        let token = digits(&rest[..end])?;
        let sign = if negative { "-" } else { "" };
        if let Some(radix) = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| token.starts_with(prefix)) {
            let value = i64::from_str_radix(&token[2..], radix.1).ok()?;
            return Some(Value::from(if negative { -value } else { value }));
        }
        if token.bytes().all(|byte| byte.is_ascii_digit()) {
            let value = token.trim_start_matches('0');
            // 007 is no number of Python's; 0 and 00 are.
            return match (value.is_empty(), token.starts_with('0')) {
                (true, _) => number("0"),
                (false, true) => None,
                (false, false) => number(&format!("{sign}{value}")),
            };
        }
        token.bytes().any(|byte| byte.is_ascii_digit()).then_some(())?;
        token.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-')).then_some(())?;
        let value = format!("{sign}{token}").parse::<f64>().ok()?;
        number(&float(value))
    }

    fn word(&mut self) -> Option<Value> {
        for (word, value) in [("True", Value::Bool(true)), ("False", Value::Bool(false)), ("None", Value::Null)] {
            let rest = &self.text[self.at..];
            if rest.starts_with(word) && !rest[word.len()..].starts_with(|char: char| char.is_alphanumeric() || char == '_') {
                self.at += word.len();
                return Some(value);
            }
        }
        None
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }
}

fn push(out: &mut String, char: char) -> Option<()> {
    out.push(char);
    Some(())
}

/// `1_000` is a thousand; `_1`, `1_` and `1__0` are none.
fn digits(token: &str) -> Option<String> {
    let odd = token.starts_with('_') || token.ends_with('_') || token.contains("__");
    (!odd && !token.is_empty()).then(|| token.replace('_', ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_that_is_a_literal_means_its_value() {
        for (text, json) in [
            ("12", "12"),
            ("-5", "-5"),
            ("1_000", "1000"),
            ("0x1f", "31"),
            ("1e5", "100000.0"),
            ("1.10", "1.1"),
            ("123456789012345678901234567890", "123456789012345678901234567890"),
            ("True", "true"),
            ("None", "null"),
            (" 7", "7"),
            ("'a' \"b\"", "\"ab\""),
            ("\"\"\"{\"a\": 1}\"\"\"", "\"{\\\"a\\\": 1}\""),
            ("['a', 1, (2,)]", "[\"a\",1,[2]]"),
            ("{'a': {'b': []}, 3: None}", "{\"a\":{\"b\":[]},\"3\":null}"),
            ("007", "\"007\""),
            ("2024-10", "\"2024-10\""),
            ("2024-01-01", "\"2024-01-01\""),
            ("orders", "\"orders\""),
            ("{1, 2}", "\"{1, 2}\""),
            ("[1", "\"[1\""),
            ("1_", "\"1_\""),
            ("true", "\"true\""),
            ("Trueish", "\"Trueish\""),
            ("", "\"\""),
        ] {
            assert_eq!(Literal::read(text).into_value().to_json(), json, "{text}");
        }
        assert_eq!(Literal::read("1, 'x'").to_text(), "(1, 'x')");
    }

    #[test]
    fn values_are_written_as_python_writes_them() {
        let value = Value::parse(br#"{"a":[true,null,1.50,1e20,"it's","\""]}"#, &Limits::DEFAULT).unwrap();
        assert_eq!(repr(&value), r#"{'a': [True, None, 1.5, 1e+20, "it's", '"']}"#);
        assert_eq!([0.1, 1.0, 1e16, 1e-5].map(float), ["0.1", "1.0", "1e+16", "1e-05"]);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in ".{0,60}") {
            Literal::read(&text);
        }

        #[test]
        fn what_is_written_is_read_back(text in "[ -~äöü\n\t]{0,20}", number in any::<i64>()) {
            let value = Value::List(vec![Value::Text(text), Value::from(number), Value::Null]);
            prop_assert_eq!(Literal::read(&repr(&value)).into_value(), value);
        }
    }
}
