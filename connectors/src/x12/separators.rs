//! The characters that an interchange is cut at. Its ISA segment says which ones they are, by where they stand in it.

/// The characters that part segments, elements and components, each one ASCII byte, no letter, no digit and no space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Separators {
    pub element: u8,
    pub component: u8,
    /// From version 00402 of the envelope on.
    pub repetition: Option<u8>,
    pub segment: u8,
    /// What follows each segment for the eyes of people: nothing, `\n` or `\r\n`.
    pub line_break: &'static str,
}

impl Default for Separators {
    /// The ones that most partners use.
    fn default() -> Self {
        Self { element: b'*', component: b'>', repetition: None, segment: b'~', line_break: "" }
    }
}

impl Separators {
    /// What a character would be taken for, where it stood in a value.
    #[must_use]
    pub fn role(&self, character: char) -> Option<&'static str> {
        let is = |byte: u8| char::from(byte) == character;
        match () {
            () if is(self.element) => Some("element separator"),
            () if is(self.component) => Some("component separator"),
            () if self.repetition.is_some_and(is) => Some("repetition separator"),
            () if is(self.segment) => Some("segment terminator"),
            () => None,
        }
    }

    /// Why these cannot part anything; `None` where they can.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let all = [
            ("element separator", Some(self.element)),
            ("component separator", Some(self.component)),
            ("repetition separator", self.repetition),
            ("segment terminator", Some(self.segment)),
        ];
        let mut seen: Vec<(&str, u8)> = Vec::new();
        for (name, byte) in all {
            let Some(byte) = byte else { continue };
            let is_line_break = matches!(byte, b'\r' | b'\n') && name == "segment terminator";
            // Some senders part with a control character such as 0x1C to 0x1F; a line break parts segments only.
            let is_odd = byte.is_ascii_alphanumeric() || !byte.is_ascii() || byte == b' ' || byte == 0;
            if is_odd || (matches!(byte, b'\r' | b'\n') && !is_line_break) {
                return Some(format!("the {name} is {}, which values need", show(byte)));
            }
            if let Some((other, _)) = seen.iter().find(|(_, known)| *known == byte) {
                return Some(format!("{} is both the {other} and the {name}", show(byte)));
            }
            seen.push((name, byte));
        }
        None
    }
}

pub(crate) fn show(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("\"{}\"", char::from(byte)) } else { format!("the byte 0x{byte:02X}") }
}
