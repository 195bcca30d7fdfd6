//! Makes one plain value plainer: a text shorter, a number rounder, a time an ordinary one.

use rust_decimal::Decimal;

use super::{Shrinker, Step, at, at_mut};
use crate::canonical::shape::Is;
use crate::value::{Value, decimal};

/// A text of so many characters is looked at one by one.
const CHARS_BY_SIGHT: usize = 48;

impl Shrinker<'_> {
    pub(super) fn plain(&mut self, path: &[Step], is: Is) {
        match is {
            Is::Text | Is::Long | Is::Name => self.text(path, "a"),
            Is::Id => self.text(path, "1"),
            Is::Amount | Is::Quantity | Is::Level | Is::Rate => self.number(path),
            Is::Flag => self.first_that_fails(path, [Value::Bool(false)]),
            Is::Count => self.first_that_fails(path, [1.into(), 0.into()]),
            Is::Time => self.first_that_fails(path, ["2026-11-20T09:30:00.000Z".into(), "2026-11-20T09:30:00Z".into()]),
            Is::Date => self.first_that_fails(path, ["2026-11-20".into()]),
            Is::Country => self.first_that_fails(path, ["US".into()]),
            Is::Currency => self.first_that_fails(path, ["USD".into()]),
            Is::Unit => self.first_that_fails(path, ["EA".into()]),
            Is::Word(words) => self.first_that_fails(path, words.iter().map(|word| Value::from(*word))),
            Is::Texts | Is::Group(_) | Is::List(_) | Is::Any => {}
        }
    }

    fn put(&mut self, path: &[Step], value: Value) -> bool {
        let mut document = self.smallest.clone();
        let Some(place) = at_mut(&mut document, path) else { return false };
        *place = value;
        self.attempt(document, false)
    }

    /// The plainest values first; what is there already ends the search.
    fn first_that_fails(&mut self, path: &[Step], values: impl IntoIterator<Item = Value>) {
        for value in values {
            if at(&self.smallest, path).is_none_or(|here| *here == value) || self.put(path, value) {
                return;
            }
        }
    }

    fn chars(&self, path: &[Step]) -> Vec<char> {
        at(&self.smallest, path).and_then(Value::as_str).map(|text| text.chars().collect()).unwrap_or_default()
    }

    fn put_chars(&mut self, path: &[Step], chars: impl IntoIterator<Item = char>) -> bool {
        self.put(path, chars.into_iter().collect::<String>().into())
    }

    fn text(&mut self, path: &[Step], plain: &str) {
        let all = self.chars(path);
        if all.is_empty() || all.iter().copied().eq(plain.chars()) || self.put(path, plain.into()) {
            return;
        }
        // Most that fail for their length fail for any greater one.
        let (mut too_short, mut long) = (0, all.len());
        while long - too_short > 1 {
            let middle = too_short + (long - too_short) / 2;
            if self.put_chars(path, all[..middle].iter().copied()) {
                long = middle;
            } else {
                too_short = middle;
            }
        }
        let letter = plain.chars().next().unwrap_or('a');
        let cut = self.chars(path);
        if cut.iter().all(|c| *c == letter) || self.put_chars(path, cut.iter().map(|_| letter)) || cut.len() > CHARS_BY_SIGHT {
            return;
        }
        let mut at = 0;
        while at < self.chars(path).len() {
            let mut chars = self.chars(path);
            let removed = chars.remove(at);
            if chars.is_empty() || !self.put_chars(path, chars.iter().copied()) {
                chars.insert(at, letter);
                if removed != letter {
                    self.put_chars(path, chars);
                }
                at += 1;
            }
        }
    }

    fn number(&mut self, path: &[Step]) {
        const PLAIN: [&str; 9] = ["1", "0", "-1", "2", "10", "0.1", "0.01", "0.001", "0.000001"];
        self.first_that_fails(path, PLAIN.map(Value::from));
        let Some(text) = at(&self.smallest, path).and_then(Value::as_str).map(str::to_owned) else { return };
        let Some(number) = decimal(&text).filter(|_| !PLAIN.contains(&text.as_str())) else { return };
        let powers = (2..14).map(|power| Decimal::from(10_i64.pow(power)));
        let rounder = (0..6).map(|places| number.trunc_with_scale(places).normalize());
        let plainer = powers.flat_map(|power| [power, -power]).chain(rounder).map(|number| number.to_string());
        for plainer in plainer.filter(|plainer| plainer.len() < text.len()) {
            if self.put(path, plainer.into()) {
                return;
            }
        }
    }
}
