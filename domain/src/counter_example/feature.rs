//! The features that make a record awkward: what each is called, in how many ways it comes, and what it does to a record.

use super::draft::Draft;
use super::{identity, line, money, part, presence, text, time};

pub(super) struct Feature {
    pub area: Area,
    pub name: &'static str,
    /// In how many ways it comes.
    pub variants: usize,
    pub make: fn(&mut Draft),
}

/// What a feature changes. Two of the same area undo each other more often than they meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Area {
    Presence,
    Text,
    Id,
    Time,
    Currency,
    Amount,
    Sums,
    Quantity,
    Price,
    Lines,
    Party,
    Word,
}

use Area::{Amount, Currency, Id, Lines, Party, Presence, Price, Quantity, Sums, Text, Time, Word};

impl Area {
    pub const ALL: [Self; 12] = [Presence, Text, Id, Time, Currency, Amount, Sums, Quantity, Price, Lines, Party, Word];
}

const fn feature(area: Area, name: &'static str, variants: usize, make: fn(&mut Draft)) -> Feature {
    Feature { area, name, variants, make }
}

/// Where the feature stands that fills every field.
pub(super) const EVERY_FIELD: usize = 0;

/// A feature that a kind has no field for leaves its records as they are, and no record is made of it.
pub(super) const FEATURES: &[Feature] = &[
    feature(Presence, "every field is there", 1, presence::every_field),
    feature(Presence, "no field that need not be there", 1, presence::no_optional_field),
    feature(Presence, "every field that need not be there is null", 1, presence::null),
    feature(Presence, "empty lists", 1, presence::empty_lists),
    feature(Presence, "no lists", 1, presence::no_lists),
    feature(Presence, "groups with nothing in them", 1, presence::empty_groups),
    feature(Text, "empty texts", 1, text::empty),
    feature(Text, "texts of one space", 1, text::only_space),
    feature(Text, "texts with spaces around them", 1, text::outer_spaces),
    feature(Text, "texts of one letter", 1, text::one_letter),
    feature(Text, "texts as long as may be", 2, text::longest),
    feature(Text, "texts with emoji", 3, text::emoji),
    feature(Text, "texts from right to left", 1, text::right_to_left),
    feature(Text, "texts of letters with combining marks", 1, text::combining),
    feature(Text, "texts of characters of four bytes", 1, text::four_bytes),
    feature(Text, "letters that become two in the other case", 1, text::cased),
    feature(Text, "texts with quotes, markup and line breaks", 1, text::markup),
    feature(Text, "texts that a spreadsheet would compute", 1, text::formula),
    feature(Text, "texts with characters that nobody sees", 1, text::unseen),
    feature(Text, "texts of digits with zeros before them", 1, text::digits),
    feature(Id, "ids above 2^53", 3, identity::beyond_floats),
    feature(Id, "ids of letters and digits", 1, identity::letters),
    feature(Id, "ids with slashes, spaces and signs", 1, identity::addresses),
    feature(Id, "ids as long as may be", 1, identity::longest),
    feature(Id, "ids that are not ASCII", 1, identity::not_ascii),
    feature(Id, "ids with zeros before them", 1, identity::leading_zeros),
    feature(Id, "ids with spaces around them", 1, identity::outer_spaces),
    feature(Id, "negative ids", 1, identity::negative),
    feature(Id, "all ids are the same", 1, identity::all_the_same),
    feature(Time, "times in the hour that comes twice in autumn", 4, time::repeated_hour),
    feature(Time, "times around the hour that spring leaps over", 4, time::skipped_hour),
    feature(Time, "the leap day", 1, time::leap_day),
    feature(Time, "a leap second", 1, time::leap_second),
    feature(Time, "the end of the year, which is another year elsewhere", 2, time::year_end),
    feature(Time, "times with an offset", 3, time::offset),
    feature(Time, "times with no or nine places of a second", 3, time::places),
    feature(Time, "times before 1970 and after 2038", 2, time::before_epoch),
    feature(Time, "times of the years 1 and 9999", 4, time::far),
    feature(Currency, "a currency without places", 3, money::no_places),
    feature(Currency, "a currency of three places", 2, money::three_places),
    feature(Currency, "a currency of four places", 1, money::four_places),
    feature(Currency, "a currency that ISO 4217 does not list", 2, money::unlisted),
    feature(Currency, "several currencies", 1, money::several),
    feature(Currency, "no currency where none need be", 1, money::no_currency),
    feature(Amount, "amounts of six places", 1, money::six_places),
    feature(Amount, "amounts with half a cent", 1, money::half_cent),
    feature(Amount, "amounts of one cent", 1, money::cent),
    feature(Amount, "amounts of thousands of millions", 1, money::huge),
    feature(Amount, "amounts written without places", 1, money::whole),
    feature(Amount, "amounts written with many zeros", 1, money::trailing_zeros),
    feature(Amount, "amounts of zero", 3, money::nothing),
    feature(Amount, "negative amounts", 1, money::negative),
    feature(Amount, "no amount that need not be there", 1, money::unsaid),
    feature(Sums, "rates of zero, of one and beyond", 5, money::rates),
    feature(Sums, "no sums but the total", 1, money::totals_only),
    feature(Sums, "tip, duty, fee and rounding", 1, money::charges),
    feature(Sums, "prices contain the tax, or no longer do", 1, money::taxes_included),
    feature(Quantity, "a line of quantity zero", 2, line::of_none),
    feature(Quantity, "a line of a third", 2, line::of_a_third),
    feature(Quantity, "a line of a millionth", 2, line::of_a_millionth),
    feature(Quantity, "a line of two and a half", 2, line::of_two_and_a_half),
    feature(Quantity, "quantities written with six places", 2, line::of_whole_with_places),
    feature(Quantity, "a line of three million", 2, line::of_millions),
    feature(Quantity, "a line of more than 32 bits", 2, line::of_thousands_of_millions),
    feature(Quantity, "a line that is sold by weight", 2, line::by_weight),
    feature(Price, "a line that costs nothing", 2, line::free),
    feature(Price, "a line of negative price", 2, line::negative_price),
    feature(Lines, "a gift card is sold", 2, line::gift_card),
    feature(Lines, "paid with a gift card", 1, line::paid_by_gift_card),
    feature(Price, "a negative discount of a line", 2, line::negative_discount),
    feature(Price, "a discount larger than its line", 2, line::discount_above_worth),
    feature(Lines, "discounts and charges of the whole", 4, line::adjustments),
    feature(Lines, "nothing is to be paid", 1, line::free_order),
    feature(Lines, "a line split over several places", 1, line::split),
    feature(Lines, "a line that lacks a name or an id", 12, line::without),
    feature(Lines, "the same line twice", 1, line::twice),
    feature(Lines, "500 lines", 1, line::many),
    feature(Lines, "lists of 250 entries", 1, line::many_of_everything),
    feature(Lines, "lists of one entry", 1, line::one_of_everything),
    feature(Price, "several taxes on a line", 2, line::several_taxes),
    feature(Lines, "shipping, discounted below zero, and no lines", 1, line::shipping_only),
    feature(Lines, "several ways of shipping", 1, line::several_shippings),
    feature(Lines, "nothing is to be sent", 1, line::nothing_to_send),
    feature(Party, "a guest", 1, part::guest),
    feature(Party, "a person who is known by one thing only", 7, part::known_by_one),
    feature(Party, "a name of many words, or of one", 2, part::long_name),
    feature(Party, "no address", 1, part::no_address),
    feature(Party, "an address with next to nothing in it", 5, part::bare_address),
    feature(Party, "a country that lists disagree about", 4, part::odd_country),
    feature(Word, "a unit that is seldom used", 5, part::odd_unit),
    feature(Word, "a measure without its unit, or its number", 2, part::unmeasured),
    feature(Word, "a weight of zero", 1, part::weightless),
    feature(Word, "stock below zero, or in parts", 5, part::levels),
    feature(Word, "one number of a stock level is known", 9, part::one_level),
    feature(Word, "a change of stock, and not its level", 1, part::delta),
    feature(Party, "no parcel, empty parcels, the same tracking number twice", 4, part::parcels),
    feature(Party, "no carrier, and not sent yet", 1, part::uncarried),
    feature(Word, "each word that a field may say", 13, part::words),
    feature(Word, "words that seldom come together", 8, part::mixed_words),
    feature(Word, "all flags down, all flags up", 2, part::flags),
    feature(Word, "counts of zero and as large as may be", 2, part::counts),
    feature(Word, "tags with commas, twice, empty", 1, part::tags),
    feature(Word, "attributes of any form", 4, part::attributes),
    // After those that say more: the same record is made once.
    feature(Presence, "one field is not there", 90, presence::one_missing),
];
