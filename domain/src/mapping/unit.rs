//! Units of measure: their short names, what vendors and UN/ECE Recommendation 20 call them, and exact factors.

use rust_decimal::Decimal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Mass,
    Length,
    Area,
    Volume,
    Time,
    Count,
}

#[derive(Debug)]
pub(super) struct Unit {
    pub name: &'static str,
    dimension: Dimension,
    /// So many of the dimension's smallest unit: exact, by definition (NIST SP 811, appendix B). Digits and places after the point.
    factor: (i64, u32),
    others: &'static [&'static str],
}

const fn unit(name: &'static str, dimension: Dimension, factor: (i64, u32), others: &'static [&'static str]) -> Unit {
    Unit { name, dimension, factor, others }
}

use Dimension::{Area, Count, Length, Mass, Time, Volume};

const UNITS: &[Unit] = &[
    unit("mg", Mass, (1, 0), &["mgm", "milligram", "milligrams"]),
    unit("g", Mass, (1_000, 0), &["grm", "gram", "grams", "gr"]),
    unit("kg", Mass, (1_000_000, 0), &["kgm", "kgs", "kilo", "kilogram", "kilograms"]),
    unit("t", Mass, (1_000_000_000, 0), &["tne", "tonne", "tonnes", "metric_ton"]),
    unit("oz", Mass, (28_349_523_125, 6), &["onz", "ounce", "ounces"]),
    unit("lb", Mass, (45_359_237, 2), &["lbr", "lbs", "pound", "pounds"]),
    unit("mm", Length, (1, 0), &["mmt", "millimeter", "millimeters", "millimetre"]),
    unit("cm", Length, (10, 0), &["cmt", "centimeter", "centimeters", "centimetre"]),
    unit("m", Length, (1_000, 0), &["mtr", "meter", "meters", "metre"]),
    unit("in", Length, (254, 1), &["inh", "inch", "inches"]),
    unit("ft", Length, (3_048, 1), &["fot", "foot", "feet"]),
    unit("yd", Length, (9_144, 1), &["yrd", "yard", "yards"]),
    unit("cm2", Area, (1, 0), &["cmk"]),
    unit("m2", Area, (10_000, 0), &["mtk", "sqm"]),
    unit("ft2", Area, (9_290_304, 4), &["ftk", "sqft"]),
    unit("ml", Volume, (1, 0), &["mlt", "milliliter", "milliliters", "cm3"]),
    unit("l", Volume, (1_000, 0), &["ltr", "liter", "liters", "litre"]),
    unit("m3", Volume, (1_000_000, 0), &["mtq"]),
    unit("floz", Volume, (295_735_295_625, 10), &["oza", "fl_oz"]),
    unit("gal", Volume, (3_785_411_784, 6), &["gll", "gallon", "gallons"]),
    unit("s", Time, (1, 0), &["sec", "second", "seconds"]),
    unit("min", Time, (60, 0), &["minute", "minutes"]),
    unit("h", Time, (3_600, 0), &["hur", "hour", "hours", "hr"]),
    unit("d", Time, (86_400, 0), &["day", "days"]),
    unit("each", Count, (1, 0), &["ea", "pce", "pcs", "piece", "pieces", "c62", "unit", "units"]),
    unit("pair", Count, (2, 0), &["pr", "pairs"]),
    unit("dozen", Count, (12, 0), &["dzn", "dz"]),
    unit("gross", Count, (144, 0), &["gro"]),
];

/// By any of its names, in any case.
pub(super) fn find(name: &str) -> Option<&'static Unit> {
    let name = name.trim();
    UNITS.iter().find(|unit| std::iter::once(&unit.name).chain(unit.others).any(|known| known.eq_ignore_ascii_case(name)))
}

/// The one name of a unit, whatever it is called: `pcs` is `each`. A word of a tenant's own, such as a case, is itself in lower case.
#[must_use]
pub fn known_as(name: &str) -> String {
    find(name).map_or_else(|| name.trim().to_lowercase(), |unit| unit.name.to_owned())
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    UNITS.iter().map(|unit| unit.name)
}

/// Exact where the result has an end within 28 digits; `None` where it does not fit at all.
pub(super) fn convert(amount: Decimal, from: &Unit, to: &Unit) -> Result<Option<Decimal>, String> {
    if from.dimension != to.dimension {
        return Err(format!("{} and {} measure different things", from.name, to.name));
    }
    if from == to {
        return Ok(Some(amount));
    }
    let factor = |unit: &Unit| Decimal::new(unit.factor.0, unit.factor.1);
    // Multiplied first: a pound has a short factor, a kilogram in pounds has none.
    Ok(amount.checked_mul(factor(from)).and_then(|n| n.checked_div(factor(to))).map(|n| n.normalize()))
}

impl PartialEq for Unit {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_exact_by_definition() {
        for (amount, from, to, result) in [
            ("1", "lb", "kg", "0.45359237"),
            ("16", "OUNCES", "Pounds", "1"),
            ("1", "oz", "g", "28.349523125"),
            ("2.5", "KGM", "g", "2500"),
            ("1", "ft", "in", "12"),
            ("1", "gal", "l", "3.785411784"),
            ("128", "floz", "gal", "1"),
            ("1", "ft2", "m2", "0.09290304"),
            ("3", "dozen", "each", "36"),
        ] {
            let (from, to) = (find(from).unwrap(), find(to).unwrap());
            assert_eq!(
                convert(amount.parse().unwrap(), from, to).unwrap().unwrap().to_string(),
                result,
                "{amount} {}",
                from.name
            );
        }
        assert!(convert(Decimal::ONE, find("kg").unwrap(), find("cm").unwrap()).is_err());
        assert!(find("stone").is_none());
    }

    #[test]
    fn no_name_means_two_units() {
        let names: Vec<&str> = UNITS.iter().flat_map(|unit| std::iter::once(&unit.name).chain(unit.others)).copied().collect();
        let unique: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(unique.len(), names.len());
    }
}
