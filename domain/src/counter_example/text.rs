//! Texts that people do write.

use super::draft::Draft;
use crate::canonical::shape::{Field, Is, LONG_CHARS_MAX, NAME_CHARS_MAX, TEXT_CHARS_MAX};
use crate::value::{Map, Value};

/// Every text that is there.
fn texts(draft: &mut Draft, each: &mut dyn FnMut(Is, &str) -> String) {
    draft.leaves(&mut |field: &'static Field, value: &mut Value| match (field.is, value) {
        (is @ (Is::Text | Is::Name | Is::Long), Value::Text(text)) => *text = each(is, text),
        (Is::Texts, Value::List(entries)) => {
            for entry in entries {
                if let Value::Text(text) = entry {
                    *text = each(Is::Text, text);
                }
            }
        }
        _ => {}
    });
}

fn chars_max(is: Is) -> usize {
    match is {
        Is::Name => NAME_CHARS_MAX,
        Is::Long => LONG_CHARS_MAX,
        _ => TEXT_CHARS_MAX,
    }
}

pub(super) fn emoji(draft: &mut Draft) {
    let sign = ["🎩", "👩\u{1f3fd}\u{200d}🚀", "🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}"][draft.variant % 3];
    texts(draft, &mut |_, text| format!("{text} {sign}"));
}

pub(super) fn right_to_left(draft: &mut Draft) {
    texts(draft, &mut |_, _| "\u{200f}קבוצה 7 قبعة صوف".to_owned());
}

pub(super) fn combining(draft: &mut Draft) {
    texts(draft, &mut |_, _| "Zoe\u{308} O\u{301}\u{327}\u{323}Hara".to_owned());
}

pub(super) fn four_bytes(draft: &mut Draft) {
    texts(draft, &mut |_, _| "𠮷野家 𝔘𝔫".to_owned());
}

pub(super) fn cased(draft: &mut Draft) {
    texts(draft, &mut |_, _| "Straße İzmir ﬁn".to_owned());
}

pub(super) fn markup(draft: &mut Draft) {
    texts(draft, &mut |_, _| "A \"b\" 'c' \\ <b>&amp;</b>\r\n\t{{ d }} ${e};f,g|h*i~j".to_owned());
}

pub(super) fn formula(draft: &mut Draft) {
    texts(draft, &mut |_, _| "=1+1".to_owned());
}

pub(super) fn unseen(draft: &mut Draft) {
    texts(draft, &mut |_, text| format!("\u{feff}{text}\u{200b}\u{1}\u{7f}\u{2028}"));
}

pub(super) fn outer_spaces(draft: &mut Draft) {
    texts(draft, &mut |_, text| format!(" {text}\u{a0}").chars().take(NAME_CHARS_MAX).collect());
}

pub(super) fn only_space(draft: &mut Draft) {
    texts(draft, &mut |_, _| " ".to_owned());
}

pub(super) fn empty(draft: &mut Draft) {
    draft.groups(&mut |shape, map: &mut Map| {
        for (name, value) in map {
            let is_text = |field: &&Field| !field.required && matches!(field.is, Is::Text | Is::Name | Is::Long | Is::Id);
            if shape.field(name).as_ref().is_some_and(is_text) {
                *value = "".into();
            }
        }
    });
}

pub(super) fn one_letter(draft: &mut Draft) {
    texts(draft, &mut |_, _| "a".to_owned());
}

pub(super) fn longest(draft: &mut Draft) {
    let letter = ["W", "🎩"][draft.variant % 2];
    texts(draft, &mut |is, _| letter.repeat(chars_max(is)));
}

pub(super) fn digits(draft: &mut Draft) {
    texts(draft, &mut |_, _| "00123".to_owned());
}
