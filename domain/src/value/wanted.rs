//! Which fields of a document somebody reads. What nobody reads is checked when it is parsed, and not kept.

use std::sync::Arc;

/// A tree of keys; lists are stepped through. A key that is kept is kept as *this* text, so that whoever made the tree of the same
/// texts finds a field by its address.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    whole: bool,
    keys: Vec<(Arc<str>, Wanted)>,
}

impl Wanted {
    /// Adds a path of keys. `whole`: with all that is below it; otherwise only that it is there, and how many there are of it.
    pub fn add(&mut self, path: &[Arc<str>], whole: bool) {
        let Some((key, rest)) = path.split_first() else {
            self.whole |= whole;
            return;
        };
        let at = self.keys.iter().position(|(kept, _)| kept == key).unwrap_or_else(|| {
            self.keys.push((key.clone(), Wanted::default()));
            self.keys.len() - 1
        });
        self.keys[at].1.add(rest, whole);
    }
}

/// What is kept at one place of a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep<'a> {
    wanted: Option<&'a Wanted>,
    whole: bool,
}

impl<'a> Keep<'a> {
    /// Everything, where nobody says what is wanted.
    pub fn of(wanted: Option<&'a Wanted>) -> Self {
        Self { wanted, whole: wanted.is_none_or(|wanted| wanted.whole) }
    }

    /// The text that a field is kept under and what is kept of it; `None` where nobody reads it.
    pub fn field(self, key: &'a str) -> Option<(&'a str, Self)> {
        let found = self.wanted.and_then(|wanted| wanted.keys.iter().find(|(kept, _)| **kept == *key));
        match found {
            Some((kept, wanted)) => Some((&**kept, Self { wanted: Some(wanted), whole: self.whole || wanted.whole })),
            None if self.whole => Some((key, Self { wanted: None, whole: true })),
            None => None,
        }
    }
}
