//! Which values a profile may keep. It keeps a value to know it again when it comes, so only words of a list are worth it: never what says
//! who somebody is, what opens a door, or what is different in every document.

/// Characters of a value that is kept.
pub const VALUE_CHARS_MAX: usize = 64;
/// Digits in a row that make a value an id, a telephone or a card number.
const DIGITS_MAX: usize = 6;

/// Parts of a key that say that what follows is about a person, or secret. Compared with the key's letters in lower case.
const PERSONAL: &[&str] = &[
    "email",
    "phone",
    "mobile",
    "fax",
    "name",
    "address",
    "street",
    "line1",
    "line2",
    "city",
    "zip",
    "postal",
    "postcode",
    "birth",
    "gender",
    "ssn",
    "passport",
    "iban",
    "bic",
    "account",
    "card",
    "cvv",
    "ip",
    "latitude",
    "longitude",
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
    "authorization",
    "signature",
    "session",
    "cookie",
    "key",
    "note",
    "comment",
    "memo",
    "message",
    "description",
];
/// Groups that are about a person: below them only a code is kept.
const PERSONS: &[&str] = &[
    "customer",
    "billing",
    "shipping_address",
    "recipient",
    "contact",
    "buyer",
    "shopper",
    "person",
    "user",
    "addressee",
    "addresses",
    "attention",
];
/// Parts of a path below which nothing is kept, whatever it is called: a code of these opens a door or is somebody's own.
const SECRETS: &[&str] =
    &["zip", "postal", "post", "access", "auth", "security", "gift", "discount", "promo", "coupon", "pin", "otp", "verification"];
/// Ends of a key whose values are codes, wherever they stand.
const CODES: &[&str] = &["code", "status", "state", "type", "kind", "currency", "country", "locale", "method"];

/// True where the values of the field at this path may be kept.
pub fn keeps_values(path: &str) -> bool {
    let keys: Vec<Vec<String>> = path.split('.').map(|key| words(key.trim_end_matches("[]"))).collect();
    let Some((last, around)) = keys.split_last() else { return false };
    let ends_with = |ends: &[&str]| last.last().is_some_and(|word| ends.contains(&word.as_str()));
    if keys.iter().flatten().any(|word| SECRETS.contains(&word.as_str())) {
        return false;
    }
    // What a tax is called is no name of a person; and the country code of an address is a code.
    if ends_with(CODES) || (is_tax_code(path) && last.len() == 1) {
        return true;
    }
    let is_personal = |words: &[String], list: &[&str]| {
        let whole = words.join("_");
        list.iter().any(|one| words.iter().any(|word| word == one) || (one.len() > 4 && whole.contains(one)))
    };
    !is_personal(last, PERSONAL) && !around.iter().any(|words| is_personal(words, PERSONS) || is_personal(words, PERSONAL))
}

/// True where the field is about tax: a code there decides over money that is owed to somebody.
#[must_use]
pub fn is_tax(path: &str) -> bool {
    path.split('.')
        .any(|key| words(key.trim_end_matches("[]")).iter().any(|word| ["tax", "taxes", "vat", "gst"].contains(&word.as_str())))
}

/// True where the field says which tax it is, or how much.
#[must_use]
pub fn is_tax_code(path: &str) -> bool {
    const LAST: &[&str] = &["code", "id", "title", "name", "rate", "type", "kind", "jurisdiction", "class", "group", "category"];
    let last = words(path.rsplit('.').next().unwrap_or_default().trim_end_matches("[]"));
    is_tax(path) && last.last().is_some_and(|word| LAST.contains(&word.as_str()))
}

/// True for a text that may be a word of a list: short, and no address, amount, time or number of a thing or a person.
pub fn is_word(text: &str) -> bool {
    if text.contains('@') || text.contains("://") || text.chars().nth(VALUE_CHARS_MAX).is_some() {
        return false;
    }
    let bytes = text.as_bytes();
    let is_number = !bytes.is_empty() && bytes.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b',' | b'-' | b'+'));
    if is_number && bytes.iter().any(|b| !b.is_ascii_digit()) {
        return false;
    }
    let is_date = bytes.len() >= 10
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && bytes[..10].iter().enumerate().all(|(at, b)| matches!(at, 4 | 7) || b.is_ascii_digit());
    let mut row = 0;
    let is_long = bytes.iter().any(|b| {
        row = if b.is_ascii_digit() { row + 1 } else { 0 };
        row > DIGITS_MAX
    });
    !is_date && !is_long
}

/// `firstName`, `first_name` and `First-Name` are the same two words.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in key.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase() || c.is_numeric();
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_about_a_person_or_a_secret_are_never_kept_and_codes_are() {
        for (path, keeps) in [
            ("financial_status", true),
            ("line_items[].tax_lines[].title", true),
            ("line_items[].fulfillment_service", true),
            ("taxes[].name", true),
            ("shipping_lines[].code", true),
            ("billing_address.country_code", true),
            ("customer.currency", true),
            ("customer.tags", false),
            ("customer.firstName", false),
            ("customer.default_address.zip_code", false),
            ("email", false),
            ("contactEmail", false),
            ("billing_address.city", false),
            ("billing_address.latitude", false),
            ("shipping_address.company", false),
            ("browser_ip", false),
            ("api_key", false),
            ("discount_codes[].code", false),
            ("gift_cards[].code", false),
            ("access_code", false),
            ("client_token", false),
            ("note_attributes[].value", false),
            ("Password", false),
        ] {
            assert_eq!(keeps_values(path), keeps, "{path}");
        }
    }

    #[test]
    fn a_word_of_a_list_is_no_address_amount_time_or_number() {
        for (text, is) in [
            ("paid", true),
            ("State tax", true),
            ("", true),
            ("580111", true),
            ("ada@example.com", false),
            ("https://a.example", false),
            ("120.74", false),
            ("2026-11-02T09:01:11-05:00", false),
            ("+14155550100", false),
            ("gid://x/1", false),
            ("ORD-1234567", false),
        ] {
            assert_eq!(is_word(text), is, "{text}");
        }
        assert!(is_word(&"é".repeat(VALUE_CHARS_MAX)) && !is_word(&"é".repeat(VALUE_CHARS_MAX + 1)));
    }

    #[test]
    fn a_tax_code_is_known_by_its_place() {
        for (path, is) in [
            ("line_items[].tax_lines[].title", true),
            ("tax_lines[].rate", true),
            ("taxCode", true),
            ("lines[].vat.code", true),
            ("total_tax", false),
            ("taxonomy.code", false),
        ] {
            assert_eq!(is_tax_code(path), is, "{path}");
        }
    }
}
