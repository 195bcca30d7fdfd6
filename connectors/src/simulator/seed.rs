//! Records that look like the vendor's own: made from the samples of the connector's folder, with ids of the same look and rising times.
//! The same seed makes the same bytes.

use domain::value::{Map, Value};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

/// The digits of ids that are letters and digits: Crockford's alphabet, which ULIDs use too.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// What changes in an id of letters and digits: 32^6 are a thousand million.
const LETTERS_CHANGED: usize = 6;
/// A text is followed through a record where it is the id; shorter ones are found by accident.
const FOLLOWED_CHARS_MIN: usize = 4;

/// A number out of the seed and some words: the same for the same ones.
pub(super) fn hash(seed: u64, words: &[&str]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    for word in words {
        hash.update((word.len() as u64).to_be_bytes());
        hash.update(word.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest[..8].iter().fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

/// How the ids of a kind look.
#[derive(Debug, Clone)]
pub(super) struct IdForm {
    like: Value,
    seed: u64,
}

impl IdForm {
    pub fn new(like: Option<&Value>, seed: u64) -> Self {
        let plain =
            like.filter(|value| matches!(value, Value::Text(text) if !text.is_empty()) || matches!(value, Value::Number(_)));
        Self { like: plain.cloned().unwrap_or_else(|| Value::Text("5000".into())), seed }
    }

    /// The `n`th id: a number stays a number, digits keep how many they are, what stands before them stays.
    pub fn make(&self, n: u64) -> Value {
        match &self.like {
            Value::Number(number) => {
                let digits = digits(number.as_str(), self.seed, n);
                // More digits than a decimal holds are no id.
                domain::value::decimal(&digits).map_or_else(|| Value::from(Decimal::from(n)), Value::from)
            }
            like => Value::Text(text_id(like.as_str().unwrap_or_default(), self.seed, n)),
        }
    }
}

fn text_id(like: &str, seed: u64, n: u64) -> String {
    let start =
        like.rfind(|c: char| !c.is_ascii_alphanumeric()).map_or(0, |at| at + like[at..].chars().next().map_or(1, char::len_utf8));
    let (before, last) = like.split_at(start);
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
        return format!("{before}{}", digits(last, seed, n));
    }
    let is_hex = last.len() >= 8 && last.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
    let kept = last.len().saturating_sub(LETTERS_CHANGED);
    let (kept, changed) = last.split_at(kept);
    let number = seed % 1_000 * 1_000_000 + n;
    let tail = if is_hex { format!("{:06x}", number & 0xff_ffff) } else { letters(number) };
    let tail = if changed.bytes().any(|b| b.is_ascii_lowercase()) { tail.to_lowercase() } else { tail };
    format!("{before}{kept}{tail}")
}

fn letters(mut number: u64) -> String {
    let mut out = [b'0'; LETTERS_CHANGED];
    for place in out.iter_mut().rev() {
        *place = LETTERS[usize::try_from(number % 32).unwrap_or_default()];
        number /= 32;
    }
    out.iter().map(|byte| char::from(*byte)).collect()
}

/// As many digits as there were, where there is room for another million of them; else a few more.
fn digits(like: &str, seed: u64, n: u64) -> String {
    let length = like.bytes().filter(u8::is_ascii_digit).count().clamp(1, 18);
    let least = 10_u64.pow(u32::try_from(length).unwrap_or(18) - 1);
    let room = least * 9;
    // Ids run on one by one from where the seed says; a short form has no room for a start of its own.
    let start =
        if room > 4_000_000 { least + seed % (room - 2_000_000) } else { like.parse::<u64>().unwrap_or(least).max(least) + 1 };
    format!("{:0>length$}", start + n)
}

/// A copy of the sample that has another id, wherever the sample repeats its own.
pub(super) fn with_id(sample: &Value, at: &str, id: &Value) -> Value {
    let mut record = sample.clone();
    if let (Some(old), Some(new)) = (crate::path::first(sample, at).and_then(Value::to_text), id.to_text())
        && old.chars().count() >= FOLLOWED_CHARS_MIN
    {
        follow(&mut record, &old, &new);
    }
    crate::path::put(&mut record, at, id.clone());
    record
}

fn follow(value: &mut Value, old: &str, new: &str) {
    match value {
        Value::Text(text) if text == old => *text = new.to_owned(),
        Value::Text(text) if text.ends_with(old) && !text[..text.len() - old.len()].ends_with(char::is_alphanumeric) => {
            text.truncate(text.len() - old.len());
            text.push_str(new);
        }
        Value::List(list) => list.iter_mut().for_each(|value| follow(value, old, new)),
        Value::Map(map) => map.values_mut().for_each(|value| follow(value, old, new)),
        _ => {}
    }
}

/// Takes a value out of a record: what the vendor keeps apart.
pub(super) fn take(record: &mut Value, at: &str) -> Option<Value> {
    let (parent, key) = at.rsplit_once('.').map_or((None, at), |(parent, key)| (Some(parent), key));
    let mut here = record;
    for part in parent.into_iter().flat_map(|parent| parent.split('.')) {
        let Value::Map(map) = here else { return None };
        here = map.get_mut(part)?;
    }
    if let Value::Map(map) = here { map.shift_remove(key) } else { None }
}

/// Values of one tree laid over another: groups are merged, all else is replaced.
pub(super) fn lay_over(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Map(base), Value::Map(over)) => {
            for (name, value) in over {
                lay_over(base.entry(name).or_insert(Value::Null), value);
            }
        }
        (base, over) => *base = over,
    }
}

/// Values of one tree where another has none: groups are merged, lists value by value.
pub(super) fn lay_under(top: &mut Value, under: Value) {
    match (top, under) {
        (Value::Map(top), Value::Map(under)) => {
            for (name, value) in under {
                lay_under(top.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::List(top), Value::List(under)) => top.iter_mut().zip(under).for_each(|(top, under)| lay_under(top, under)),
        (top @ Value::Null, under) => *top = under,
        _ => {}
    }
}

pub(super) fn empty() -> Value {
    Value::Map(Map::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_keeps_the_look_of_the_samples() {
        let cases = [
            ("5001", 4, ""),
            ("820982911946154508", 18, ""),
            ("gid://shopify/Order/5001", 24, "gid://shopify/Order/"),
            ("order_01KYDDGQ2DFYEPPBBZ2XA09F7C", 32, "order_01KYDDGQ2DFYEPPBBZ2X"),
            ("b3b2f8a0-7c1e-4d51-9a0f-0123456789ab", 36, "b3b2f8a0-7c1e-4d51-9a0f-012345"),
            ("ch_3MmlLrLkdIwHu7ix0snN0B15", 27, "ch_3MmlLrLkdIwHu7ix0s"),
            ("902-3159896-1390916", 19, "902-3159896-"),
        ];
        for (like, length, prefix) in cases {
            let form = IdForm::new(Some(&like.into()), 7);
            let ids: std::collections::BTreeSet<String> = (0..500).map(|n| form.make(n).as_str().unwrap().to_owned()).collect();
            assert_eq!(ids.len(), 500, "{like}");
            let odd = ids.iter().find(|id| id.len() != length || !id.starts_with(prefix));
            assert_eq!(odd, None, "{like}");
        }
        let number = Value::parse(b"450789469", &domain::value::Limits::DEFAULT).unwrap();
        assert!(matches!(IdForm::new(Some(&number), 7).make(3), Value::Number(number) if number.as_str().len() == 9));
    }

    #[test]
    fn what_lies_under_shows_only_where_nothing_is() {
        let value = |json: serde_json::Value| Value::from(&json);
        let mut top = value(serde_json::json!({"a": 1, "b": null, "lines": [{"x": 1}, {"x": null}, {"y": 2}]}));
        lay_under(&mut top, value(serde_json::json!({"a": 9, "b": 2, "c": {"d": 3}, "lines": [{"x": 8}, {"x": 7}]})));
        assert_eq!(top.to_json(), r#"{"a":1,"b":2,"lines":[{"x":1},{"x":7},{"y":2}],"c":{"d":3}}"#);
    }

    #[test]
    fn what_repeats_the_id_follows_it() {
        let sample = Value::from(&serde_json::json!({"id": 50010, "gid": "gid://x/Order/50010", "n": 50010, "other": "x50010"}));
        let record = with_id(&sample, "id", &Value::from(70_000_i64));
        assert_eq!(record.to_json(), r#"{"id":70000,"gid":"gid://x/Order/70000","n":50010,"other":"x50010"}"#);
    }
}
