//! Amounts and currencies.

use rust_decimal::Decimal;

use super::draft::Draft;
use crate::canonical::shape::Is;
use crate::value::{Map, Value};

fn currency(draft: &mut Draft, code: &str) {
    draft.leaves(&mut |field, value| {
        if matches!(field.is, Is::Currency) {
            *value = code.into();
        }
    });
    draft.set("currency", code);
}

pub(super) fn no_places(draft: &mut Draft) {
    currency(draft, ["JPY", "KRW", "ISK"][draft.variant % 3]);
    draft.amounts(&mut |amount| (amount * Decimal::ONE_HUNDRED).round_dp(0).normalize().to_string());
}

pub(super) fn three_places(draft: &mut Draft) {
    currency(draft, ["KWD", "TND"][draft.variant % 2]);
    draft.amounts(&mut |amount| if amount.is_zero() { "0.000".into() } else { (amount + Decimal::new(5, 3)).to_string() });
}

pub(super) fn four_places(draft: &mut Draft) {
    currency(draft, "CLF");
    draft.amounts(&mut |amount| if amount.is_zero() { "0".into() } else { (amount + Decimal::new(1, 4)).to_string() });
}

pub(super) fn unlisted(draft: &mut Draft) {
    currency(draft, ["XBT", "ZZZ"][draft.variant % 2]);
}

/// The buyer saw other money than the shop counts in; prices are told in all of it.
pub(super) fn several(draft: &mut Draft) {
    if let Some(prices) = draft.list("prices") {
        let own = prices.clone();
        for (code, price) in ["EUR", "JPY", "KWD"].into_iter().flat_map(|code| own.iter().map(move |price| (code, price))) {
            let mut price = price.clone();
            if let Value::Map(map) = &mut price {
                map.insert("currency".to_owned(), code.into());
                map.insert("amount".to_owned(), "1250".into());
            }
            prices.push(price);
        }
        return;
    }
    if draft.has("currency") {
        let shown: Map = [("presentment_currency", "EUR"), ("presentment_total", "54.10"), ("exchange_rate", "0.916327")]
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .into_iter()
            .collect();
        currency(draft, "JPY");
        draft.amounts(&mut |amount| amount.round_dp(0).normalize().to_string());
        draft.set("exchange_rate", "0.916327");
        draft.set("attributes", Value::Map(shown));
    }
}

pub(super) fn no_currency(draft: &mut Draft) {
    draft.groups(&mut |shape, map| {
        for field in shape.fields.iter().filter(|field| !field.required && matches!(field.is, Is::Currency)) {
            map.shift_remove(field.name);
        }
    });
}

pub(super) fn six_places(draft: &mut Draft) {
    draft.amounts(&mut |amount| (amount.trunc() + Decimal::new(333_333, 6)).to_string());
}

pub(super) fn half_cent(draft: &mut Draft) {
    draft.amounts(&mut |amount| {
        if amount.is_zero() { "0.005".into() } else { (amount.trunc_with_scale(2) + Decimal::new(5, 3)).to_string() }
    });
}

pub(super) fn cent(draft: &mut Draft) {
    draft.amounts(&mut |_| "0.01".into());
}

pub(super) fn huge(draft: &mut Draft) {
    draft.amounts(&mut |_| "9999999999.99".into());
}

pub(super) fn whole(draft: &mut Draft) {
    draft.amounts(&mut |amount| amount.trunc().to_string());
}

pub(super) fn trailing_zeros(draft: &mut Draft) {
    draft.amounts(&mut |amount| format!("{}.{:0<12}", amount.trunc(), (amount.fract() * Decimal::ONE_HUNDRED).trunc().abs()));
}

pub(super) fn nothing(draft: &mut Draft) {
    let zero = ["0", "0.00", "-0.00"][draft.variant % 3];
    draft.amounts(&mut |_| zero.into());
}

pub(super) fn negative(draft: &mut Draft) {
    draft.amounts(&mut |amount| (-amount).to_string());
}

pub(super) fn unsaid(draft: &mut Draft) {
    draft.groups(&mut |shape, map| {
        for field in shape.fields.iter().filter(|field| !field.required && matches!(field.is, Is::Amount)) {
            map.shift_remove(field.name);
        }
    });
}

pub(super) fn rates(draft: &mut Draft) {
    let rate = ["0", "1", "1.5", "-0.05", "0.000001"][draft.variant % 5];
    draft.leaves(&mut |field, value| {
        if matches!(field.is, Is::Rate) {
            *value = rate.into();
        }
    });
}

pub(super) fn totals_only(draft: &mut Draft) {
    if let Some(Value::Map(totals)) = draft.map.get_mut("totals") {
        totals.retain(|name, _| name == "grand" || name == "tax");
    }
}

pub(super) fn charges(draft: &mut Draft) {
    if let Some(Value::Map(totals)) = draft.map.get_mut("totals") {
        for (name, amount) in [("tip", "2.00"), ("duty", "3.10"), ("fee", "0.99"), ("rounding", "-0.01")] {
            totals.insert(name.to_owned(), amount.into());
        }
    }
}

pub(super) fn taxes_included(draft: &mut Draft) {
    let is_included = draft.map.get("taxes_included") == Some(&Value::Bool(true));
    draft.set("taxes_included", !is_included);
}
