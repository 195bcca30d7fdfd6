//! Rounding that adds up. Whoever rounds each row loses or makes a cent; here the rows add up to the sum that was rounded once, and the cents
//! left over go to the rows that lost most, the earlier ones first.

use rust_decimal::{Decimal, RoundingStrategy};

use super::rule::RoundMode;

pub(super) fn strategy(mode: RoundMode) -> RoundingStrategy {
    match mode {
        RoundMode::HalfEven => RoundingStrategy::MidpointNearestEven,
        RoundMode::HalfUp => RoundingStrategy::MidpointAwayFromZero,
        RoundMode::Down => RoundingStrategy::ToZero,
        RoundMode::Up => RoundingStrategy::AwayFromZero,
    }
}

/// Rounded, and written with all places: `5.00`.
pub(super) fn rounded(amount: Decimal, places: u32, mode: RoundMode) -> Decimal {
    let mut amount = amount.round_dp_with_strategy(places, strategy(mode));
    if amount.scale() < places {
        amount.rescale(places);
    }
    amount
}

const TOO_MANY_DIGITS: &str = "the amounts of the rows have more digits than can be added up exactly";

/// The rows rounded so that they add up to their rounded sum. A row without a value keeps none.
pub(super) fn rows(values: &[Option<Decimal>], places: u32, mode: RoundMode) -> Result<Vec<Option<Decimal>>, String> {
    let units = |amount: Decimal| in_units(amount, places);
    let add =
        |sum: Decimal, value: &Decimal| sum.checked_add(*value).filter(|next| next.scale() >= value.scale().max(sum.scale()));
    let sum = values.iter().flatten().try_fold(Decimal::ZERO, add).ok_or(TOO_MANY_DIGITS)?;
    let total = units(rounded(sum, places, mode)).ok_or(TOO_MANY_DIGITS)?;
    let mut shares = Vec::with_capacity(values.len());
    for value in values {
        shares.push(match value {
            None => None,
            Some(value) => {
                let floor = value.round_dp_with_strategy(places, RoundingStrategy::ToNegativeInfinity);
                Some((units(floor).ok_or(TOO_MANY_DIGITS)?, *value - floor))
            }
        });
    }
    hand_out(total, shares, places).ok_or_else(|| TOO_MANY_DIGITS.into())
}

/// The amount divided over the rows by their weights. Where no row weighs anything, all get the same.
pub(super) fn allocate(
    amount: Decimal,
    weights: &[Option<Decimal>],
    places: u32,
    mode: RoundMode,
) -> Result<Vec<Option<Decimal>>, String> {
    let total = in_units(rounded(amount, places, mode), places).ok_or(TOO_MANY_DIGITS)?;
    if let Some(negative) = weights.iter().flatten().find(|weight| weight.is_sign_negative() && !weight.is_zero()) {
        return Err(format!("an amount cannot be divided by weights below 0, such as {negative}"));
    }
    let scale = weights.iter().flatten().map(Decimal::scale).max().unwrap_or_default();
    let whole = |weight: &Decimal| 10_i128.checked_pow(scale - weight.scale())?.checked_mul(weight.mantissa());
    let mut parts = Vec::with_capacity(weights.len());
    for weight in weights {
        parts.push(weight.as_ref().map(|weight| whole(weight).ok_or(TOO_MANY_DIGITS)).transpose()?);
    }
    let mut sum = parts.iter().flatten().try_fold(0_i128, |sum, part| sum.checked_add(*part)).ok_or(TOO_MANY_DIGITS)?;
    if sum == 0 {
        parts.iter_mut().flatten().for_each(|part| *part = 1);
        sum = parts.iter().flatten().sum();
    }
    if sum == 0 {
        let nothing = total == 0;
        return if nothing {
            Ok(vec![None; weights.len()])
        } else {
            Err(format!("there is no row that {amount} could be given to"))
        };
    }
    let mut shares = Vec::with_capacity(parts.len());
    for part in parts {
        shares.push(match part {
            None => None,
            Some(part) => {
                let product = total.checked_mul(part).ok_or(TOO_MANY_DIGITS)?;
                Some((product.div_euclid(sum), product.rem_euclid(sum)))
            }
        });
    }
    hand_out(total, shares, places).ok_or_else(|| TOO_MANY_DIGITS.into())
}

/// So many of the smallest units: 12.30 are 1230.
fn in_units(amount: Decimal, places: u32) -> Option<i128> {
    10_i128.checked_pow(places.checked_sub(amount.scale())?)?.checked_mul(amount.mantissa())
}

/// Each row has its whole units and what it lost; what is missing of the total goes to those that lost most.
fn hand_out<L: Ord + Copy>(total: i128, shares: Vec<Option<(i128, L)>>, places: u32) -> Option<Vec<Option<Decimal>>> {
    let given = shares.iter().flatten().try_fold(0_i128, |sum, (units, _)| sum.checked_add(*units))?;
    let left = usize::try_from(total.checked_sub(given)?).ok()?;
    let mut by_loss: Vec<usize> = (0..shares.len()).filter(|at| shares[*at].is_some()).collect();
    by_loss.sort_by_key(|at| std::cmp::Reverse(shares[*at].map(|(_, lost)| lost)));
    let mut units: Vec<Option<i128>> = shares.into_iter().map(|share| share.map(|(units, _)| units)).collect();
    for at in by_loss.into_iter().take(left) {
        units[at] = units[at].map(|units| units + 1);
    }
    let amount = |units| Decimal::try_from_i128_with_scale(units, places).ok();
    units.into_iter().map(|units| units.map_or(Some(None), |units| amount(units).map(Some))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimals(texts: &[&str]) -> Vec<Option<Decimal>> {
        texts.iter().map(|text| text.parse().ok()).collect()
    }

    fn shown(result: Result<Vec<Option<Decimal>>, String>) -> String {
        result.map_or_else(
            |why| why,
            |rows| rows.iter().map(|row| row.map_or("-".into(), |n| n.to_string())).collect::<Vec<_>>().join(" "),
        )
    }

    #[test]
    fn the_cent_that_is_left_over_goes_to_the_row_that_lost_most() {
        let thirds = decimals(&["3.333", "3.333", "3.334"]);
        assert_eq!(shown(rows(&thirds, 2, RoundMode::HalfUp)), "3.33 3.33 3.34");
        assert_eq!(shown(rows(&decimals(&["0.005", "0.005", ""]), 2, RoundMode::HalfUp)), "0.01 0.00 -");
        assert_eq!(shown(rows(&decimals(&["-0.005", "-0.005"]), 2, RoundMode::HalfUp)), "0.00 -0.01");
        assert_eq!(shown(rows(&decimals(&["100.5", "100.5"]), 0, RoundMode::HalfEven)), "101 100");
    }

    #[test]
    fn an_amount_is_divided_to_the_last_cent() {
        for (amount, weights, places, shares) in [
            ("10.00", &["1", "1", "1"][..], 2, "3.34 3.33 3.33"),
            ("-10.00", &["1", "1", "1"], 2, "-3.33 -3.33 -3.34"),
            ("5.99", &["19.99", "5.01", "0"], 2, "4.79 1.20 0.00"),
            ("1000", &["2", "1"], 0, "667 333"),
            ("7", &["0", "", "0"], 2, "3.50 - 3.50"),
            ("0", &[], 2, ""),
            ("7", &[], 2, "there is no row that 7 could be given to"),
            ("7", &["1", "-1"], 2, "an amount cannot be divided by weights below 0, such as -1"),
        ] {
            let divided = allocate(amount.parse().unwrap(), &decimals(weights), places, RoundMode::HalfUp);
            assert_eq!(shown(divided), shares, "{amount} by {weights:?}");
        }
    }

    proptest! {
        #[test]
        fn rows_always_add_up_and_none_is_off_by_more_than_a_unit(
            values in prop::collection::vec(prop::option::of((-1_000_000i64..1_000_000, 0u32..8)), 0..30),
            places in 0u32..4,
            mode in prop::sample::select(vec![RoundMode::HalfEven, RoundMode::HalfUp, RoundMode::Down, RoundMode::Up]),
        ) {
            let values: Vec<Option<Decimal>> = values.into_iter().map(|value| value.map(|(n, scale)| Decimal::new(n, scale))).collect();
            let shares = rows(&values, places, mode).unwrap();
            let sum = |list: &[Option<Decimal>]| list.iter().flatten().sum::<Decimal>();
            prop_assert_eq!(sum(&shares), rounded(sum(&values), places, mode));
            for (value, share) in values.iter().zip(&shares) {
                prop_assert_eq!(value.is_some(), share.is_some());
                if let (Some(value), Some(share)) = (value, share) { prop_assert!((value - share).abs() < Decimal::new(1, places)); }
            }
        }

        #[test]
        fn what_is_divided_is_given_away_whole(
            cents in -10_000_000i64..10_000_000,
            weights in prop::collection::vec((0i64..1_000_000, 0u32..6), 1..30),
        ) {
            let weights: Vec<Option<Decimal>> = weights.into_iter().map(|(n, scale)| Some(Decimal::new(n, scale))).collect();
            let amount = Decimal::new(cents, 2);
            let shares = allocate(amount, &weights, 2, RoundMode::HalfUp).unwrap();
            prop_assert_eq!(shares.iter().flatten().sum::<Decimal>(), amount);
            let weight: Decimal = weights.iter().flatten().sum();
            for (share, part) in shares.iter().flatten().zip(weights.iter().flatten()) {
                if !weight.is_zero() { prop_assert!((share * weight - amount * part).abs() <= weight * Decimal::new(1, 2)); }
            }
        }
    }
}
