//! Numbers as digits and as decimals. Most amounts are short, so those have a way of their own; the long way is `rust_decimal`'s.

use rust_decimal::Decimal;

/// The digits of a JSON number, exactly as they arrived.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(Box<str>);

impl Number {
    pub(super) fn from_digits(digits: &str) -> Self {
        Self(digits.into())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Exact, or nothing: a number of more than 28 digits is not rounded.
    #[must_use]
    pub fn to_decimal(&self) -> Option<Decimal> {
        decimal(&self.0)
    }
}

impl From<Decimal> for Number {
    fn from(decimal: Decimal) -> Self {
        Self(print(decimal, &mut [0; PRINT_BYTES]).into())
    }
}

/// Reads a decimal exactly, exponents included; `None` where it does not fit 28 digits.
#[must_use]
pub fn decimal(text: &str) -> Option<Decimal> {
    if let Some(short) = short(text.as_bytes()) {
        return Some(short);
    }
    if text.len() > 64 {
        return None;
    }
    if text.contains(['e', 'E']) {
        Decimal::from_scientific(text).ok()
    } else {
        Decimal::from_str_exact(text.strip_prefix('+').unwrap_or(text)).ok()
    }
}

/// What fits a machine word: at most 18 digits.
const SHORT_DIGITS_MAX: usize = 18;

fn short(text: &[u8]) -> Option<Decimal> {
    let (is_negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        all => (false, all),
    };
    if digits.is_empty() || digits.len() > SHORT_DIGITS_MAX + 1 {
        return None;
    }
    let (mut mantissa, mut point) = (0_u64, None);
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => mantissa = mantissa * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() && at > 0 => point = Some(at),
            _ => return None,
        }
    }
    let scale = match point {
        Some(at) if at + 1 < digits.len() => digits.len() - at - 1,
        None if digits.len() <= SHORT_DIGITS_MAX => 0,
        _ => return None,
    };
    // A negative zero keeps its sign the long way.
    if is_negative && mantissa == 0 {
        return None;
    }
    let mantissa = i64::try_from(mantissa).ok()?;
    Some(Decimal::new(if is_negative { -mantissa } else { mantissa }, u32::try_from(scale).ok()?))
}

/// True for a text that is, digit for digit, what its decimal prints as: it need not be read to be written.
pub(crate) fn is_plain(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let starts_well = match digits {
        [b'0'] | [b'0', b'.', ..] => true,
        [first, ..] => matches!(first, b'1'..=b'9'),
        [] => false,
    };
    let (mut points, mut is_zero) = (0, true);
    for byte in digits {
        match byte {
            b'.' => points += 1,
            b'0' => {}
            b'1'..=b'9' => is_zero = false,
            _ => return false,
        }
    }
    starts_well
        && points <= 1
        && digits.last() != Some(&b'.')
        && digits.len() <= SHORT_DIGITS_MAX
        && (!is_zero || digits.len() == text.len())
}

/// A sign, 29 digits, a point and the zero before it.
pub(crate) const PRINT_BYTES: usize = 32;

/// The digits of a decimal, its scale kept: `1.10`.
pub(crate) fn print(number: Decimal, buffer: &mut [u8; PRINT_BYTES]) -> &str {
    let (scale, mut written, mut at) = (number.scale() as usize, 0, PRINT_BYTES);
    let mut mantissa = number.mantissa().unsigned_abs();
    while mantissa > 0 || written <= scale {
        if written == scale && scale > 0 {
            at -= 1;
            buffer[at] = b'.';
        }
        // Division of 128 bits is slow, and a mantissa of more than 64 is rare.
        let digit = match u64::try_from(mantissa) {
            Ok(short) => {
                mantissa = u128::from(short / 10);
                short % 10
            }
            Err(_) => {
                let digit = mantissa % 10;
                mantissa /= 10;
                digit as u64
            }
        };
        at -= 1;
        buffer[at] = b'0' + digit as u8;
        written += 1;
    }
    if number.is_sign_negative() {
        at -= 1;
        buffer[at] = b'-';
    }
    std::str::from_utf8(&buffer[at..]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_text_is_plain_where_its_decimal_prints_the_same() {
        for text in ["0", "12.30", "-0.5", "123456789012345678", "1", "0.00", "10"] {
            assert!(is_plain(text), "{text}");
        }
        for text in ["", "-", ".", "01", "1.", ".5", "-0", "-0.00", "1.2.3", "+1", "1e3", " 1", "1234567890123456789", "1_0", "٣"]
        {
            assert!(!is_plain(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_short_way_reads_and_prints_what_the_long_way_does(text in "[-+]?[0-9]{0,22}(\\.[0-9]{0,12})?(e[0-9])?") {
            if let Some(number) = short(text.as_bytes()) {
                prop_assert_eq!(Some(number), Decimal::from_str_exact(&text).ok());
            }
            if let Some(number) = decimal(&text) {
                let mut buffer = [0; PRINT_BYTES];
                prop_assert_eq!(print(number, &mut buffer), number.to_string());
                if is_plain(&text) { prop_assert_eq!(number.to_string(), text); }
            } else {
                prop_assert!(!is_plain(&text));
            }
        }

        #[test]
        fn every_decimal_prints_as_rust_decimal_prints_it(lo in any::<u32>(), mid in any::<u32>(), hi in any::<u32>(), negative in any::<bool>(), scale in 0u32..=28) {
            let number = Decimal::from_parts(lo, mid, hi, negative, scale);
            let mut buffer = [0; PRINT_BYTES];
                prop_assert_eq!(print(number, &mut buffer), number.to_string());
        }
    }
}
