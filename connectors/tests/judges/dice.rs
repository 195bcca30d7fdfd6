//! Values that look like chance and are the same on every run.

/// Xorshift64* from a fixed seed.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15))
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % limit
    }

    pub fn pick<'c, T: ?Sized>(&mut self, choices: &[&'c T]) -> &'c T {
        choices[self.below(choices.len())]
    }

    /// Of characters that are encoded, escaped or mistaken somewhere.
    pub fn text(&mut self, longest: usize) -> String {
        const CHARS: [&str; 32] = [
            "a", "B", "z", "0", "9", "-", ".", "_", "~", " ", "+", "%", "&", "=", "/", "?", "#", ":", ";", ",", "@", "!", "*",
            "'", "(", "\"", "\\", "é", "ß", "漢", "😀", "%20",
        ];
        (0..=self.below(longest)).map(|_| CHARS[self.below(CHARS.len())]).collect()
    }

    /// Of what stands in ids and keys.
    pub fn word(&mut self, length: usize) -> String {
        const CHARS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        (0..length).map(|_| char::from(CHARS[self.below(CHARS.len())])).collect()
    }

    /// Repeated names, empty values and everything else that a query may hold.
    pub fn pairs(&mut self, most: usize) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for _ in 0..self.below(most + 1) {
            let name = match pairs.first() {
                Some((name, _)) if self.below(3) == 0 => name.clone(),
                _ => self.text(6),
            };
            let value = if self.below(5) == 0 { String::new() } else { self.text(12) };
            pairs.push((name, value));
        }
        pairs
    }
}
