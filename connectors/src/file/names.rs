//! Which names of a folder are taken: patterns with `*` and `?`.

/// What a file that is still being written, or belongs to the machine, is named by.
const HIDDEN_ENDINGS: [&str; 4] = [".part", ".tmp", ".filepart", ".partial"];
/// A longer name is none that anybody gave on purpose.
const NAME_BYTES_MAX: usize = 255;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// Patterns with spaces or commas between.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self(text.split([' ', ',']).filter(|pattern| !pattern.is_empty()).map(str::to_owned).collect())
    }

    #[must_use]
    pub fn take(&self, name: &str) -> bool {
        let is_plain = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.chars().any(|c| c.is_control() || c == '/');
        let is_hidden = name.starts_with('.') || HIDDEN_ENDINGS.iter().any(|ending| name.to_ascii_lowercase().ends_with(ending));
        is_plain && !is_hidden && self.0.iter().any(|pattern| fits(pattern.as_bytes(), name.as_bytes()))
    }
}

/// In linear memory and at most so many steps as pattern times name: the last `*` takes one byte more where the rest does not fit.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while of < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, of));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[of] => (at, of) = (at + 1, of + 1),
            _ => match star {
                Some((after, taken)) => {
                    star = Some((after, taken + 1));
                    (at, of) = (after + 1, taken + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_and_what_is_half_written_is_never_taken() {
        let names = Names::read("orders-*.csv, ORD????.xml");
        for (name, taken) in [
            ("orders-1.csv", true),
            ("orders-.csv", true),
            ("orders-1.csv.bak", false),
            ("ORD2026.xml", true),
            ("ORD26.xml", false),
            (".orders-1.csv", false),
            ("x/orders-1.csv", false),
        ] {
            assert_eq!(names.take(name), taken, "{name}");
        }
        let all = Names::read("*");
        for (name, taken) in
            [("a", true), ("a.part", false), ("a.csv.TMP", false), ("a.filepart", false), (".", false), ("..", false)]
        {
            assert_eq!(all.take(name), taken, "{name}");
        }
        assert!(fits(b"*a*b*c*", b"xxaxxbxxcxx") && !fits(b"*a*b*c", b"xxaxxbxxcxx"));
    }
}
