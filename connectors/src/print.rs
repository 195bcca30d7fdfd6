//! Writes YAML as people write it: a rule on a line where it fits, quotes only where a text would be read as something else. What it
//! writes, [`yaml`](crate::yaml) reads back the same.

use serde::Serialize;
use serde_json::{Map, Value};

/// Beyond this a rule is written over several lines.
const LINE_CHARS_MAX: usize = 130;
const STEP: usize = 2;
/// What a reader may take for something that is no text, whatever its case.
const WORDS: [&str; 14] = ["null", "true", "false", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity", "t", "f"];

/// # Panics
/// Never of plain data: what has maps with keys that are no texts cannot be written.
#[must_use]
pub fn to_yaml(value: &impl Serialize) -> String {
    let mut out = String::new();
    match serde_json::to_value(value).expect("plain data can be written") {
        Value::Object(map) if !map.is_empty() => fields(&mut out, &map, 0),
        Value::Array(list) if !list.is_empty() => rows(&mut out, &list, 0),
        other => {
            out.push_str(&inline(&other));
            out.push('\n');
        }
    }
    out
}

fn fields(out: &mut String, map: &Map<String, Value>, indent: usize) {
    for (at, (key, value)) in map.iter().enumerate() {
        // The first field of a row stands behind its dash.
        if at > 0 || out.is_empty() || out.ends_with('\n') {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(&text(key));
        out.push(':');
        match value {
            Value::Object(map) if !map.is_empty() => {
                out.push('\n');
                fields(out, map, indent + STEP);
            }
            Value::Array(list) if list.iter().any(Value::is_object) => {
                out.push('\n');
                rows(out, list, indent + STEP);
            }
            value => {
                out.push(' ');
                out.push_str(&inline(value));
                out.push('\n');
            }
        }
    }
}

fn rows(out: &mut String, list: &[Value], indent: usize) {
    for row in list {
        out.push_str(&" ".repeat(indent));
        out.push_str("- ");
        let line = inline(row);
        match row {
            Value::Object(map) if !map.is_empty() && (is_deep(map) || indent + STEP + line.chars().count() > LINE_CHARS_MAX) => {
                fields(out, map, indent + STEP);
            }
            _ => {
                out.push_str(&line);
                out.push('\n');
            }
        }
    }
}

/// Rules of rows are read below each other.
fn is_deep(map: &Map<String, Value>) -> bool {
    map.values().any(|value| matches!(value, Value::Array(list) if list.iter().any(Value::is_object)))
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(string) => text(string),
        Value::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let fields: Vec<String> = map.iter().map(|(key, value)| format!("{}: {}", text(key), inline(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// A text, in quotes unless every reader takes it for one wherever it stands.
fn text(text: &str) -> String {
    let begins = text.chars().next().is_some_and(|first| first.is_ascii_alphabetic());
    let is_plain_char = |c: char| c.is_ascii_alphanumeric() || " _./()+-!=<>&|*'$@".contains(c);
    let is_word = WORDS.iter().any(|word| text.eq_ignore_ascii_case(word));
    if begins && !is_word && !text.ends_with(' ') && text.chars().all(is_plain_char) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            // What cannot be seen, and what a reader takes for the end of a line.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}') => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::flow::FlowFile;
    use proptest::prelude::*;
    use serde_json::json;

    fn flow(json: Value) -> FlowFile {
        serde_json::from_value(json).unwrap()
    }

    const FILE: &str = r#"format: 1
name: orders to the ERP
kind: order
source: Acme shop
destination: "Büro: ERP"
gates:
  needs_approval: true
  needs_replay: false
filter: status != 'cancelled' && totals.grand > 0
mapping:
  - { to: memo, default: "0012" }
  - to: item.items
    each: lines
    rules:
      - { to: item.id, from: sku, lookup: SKUs, required: true }
      - { to: rate, expr: "quantity > 0 ? unit_price : 0", as: number }
  - { to: tags, default: [a, "yes", 7, null] }
policy:
  attempts_max: 3
  backoff_ms: 1000
  backoff_max_ms: 60000
  missing: keep
  balance: pass
  ordering: each
trigger:
  schedule:
    at: ["02:00"]
    zone: Europe/Berlin
"#;

    #[test]
    fn a_flow_is_written_as_people_write_it_and_reads_back_to_the_letter() {
        let read: FlowFile = crate::yaml(FILE).unwrap();
        assert_eq!(to_yaml(&read), FILE);
        assert_eq!(read.spec().policy.attempts_max, 3);
    }

    #[test]
    fn the_page_on_flows_as_code_shows_a_file_that_is_one() {
        let page = include_str!("../../docs/flows-as-code.md");
        let shown = page.split("```").nth(1).and_then(|block| block.strip_prefix("yaml\n")).unwrap();
        let file: FlowFile = crate::yaml(shown).unwrap();
        assert_eq!((file.check(), file.policy.attempts_max), (Ok(()), 8));
    }

    #[test]
    fn what_is_wrong_with_a_flows_file_has_its_place_and_the_nearest_right_name() {
        for (wrong, right, said) in [
            ("gates:", "gatse:", "6:1: there is no `gatse` here; did you mean `gates`?"),
            ("lookup: SKUs", "lokup: SKUs", "15:35: there is no `lokup` here; did you mean `lookup`?"),
            ("kind: order\n", "kind: odrer\n", "3:7: there is no `odrer` here; did you mean `order`?"),
            ("needs_replay", "needs_reply", "8:3: there is no `needs_reply` here; did you mean `needs_replay`?"),
            ("attempts_max", "atempts_max", "19:3: there is no `atempts_max` here; did you mean `attempts_max`?"),
        ] {
            let error = crate::yaml::<FlowFile>(&FILE.replace(wrong, right)).unwrap_err().to_string();
            assert_eq!(error, said);
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        let odd = [
            "",
            "~",
            "null",
            "Yes",
            "1e3",
            "0x1F",
            "- a",
            "a: b",
            "a #b",
            "# a",
            "'",
            "\"",
            "{a}",
            "[a]",
            "a,b",
            "&a",
            "*a",
            "!a",
            "%a",
            "@a",
            "`a",
            "|",
            ">",
            "?",
            "2026-11-24",
            "02:00",
            ".5",
            "+1",
            "1_000",
            " a",
            "a ",
            "a\nb",
            "a\tb",
            "a\r\nb",
            "\u{85}",
            "\u{feff}a",
            "\u{2028}",
            "emoji 🎩",
            "<<",
            "=",
            "--- a",
            "...",
            "${a}",
            "\\",
            "\u{1}",
            "\u{7f}",
        ];
        prop_oneof![
            proptest::sample::select(odd.to_vec()).prop_map(str::to_owned),
            proptest::collection::vec(any::<char>(), 0..12).prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect()),
            "[ -~]{0,24}",
        ]
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1_000_000_i64..1_000_000, 0_u32..6).prop_map(|(n, digits)| json!(n as f64 / 10_f64.powi(digits as i32))),
            texts().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((texts(), inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_flow_says_comes_back_from_its_file(
            name in texts(), note in texts(), filter in proptest::option::of(texts()), to in texts(), default in values(), deep in values(),
        ) {
            let file = flow(json!({
                "format": 1, "name": name, "kind": "order", "source": to, "destination": name, "note": note, "filter": filter,
                "mapping": [
                    {"to": to, "default": default},
                    {"to": name, "each": note, "rules": [{"to": to, "default": deep, "expr": note}]},
                ],
            }));
            let text = to_yaml(&file);
            let read: FlowFile = crate::yaml(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(&read, &file, "{}", text);
            prop_assert_eq!(to_yaml(&read), text);
        }
    }
}
