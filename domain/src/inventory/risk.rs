//! The oversell guard: where a seller offers what is not there, or more was sold than is there.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::position::{Position, Reserving};
use crate::exception::Reason;
use crate::fault::Owner;
use crate::id::ConnectionId;

/// What exceptions of this check are told apart from others by.
pub const CHECK: &str = "inventory";

/// What a seller offers now: what it says itself, or what it has confirmed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub connection: ConnectionId,
    /// The connection's name, for people.
    pub name: String,
    pub quantity: Decimal,
    pub at: DateTime<Utc>,
}

/// What is wrong. The words are stored, so none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RiskKind {
    /// A seller offers more than there is: it may sell what is not there.
    OfferedNotThere,
    /// Open orders want more than there is.
    Oversold,
}

impl RiskKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OfferedNotThere => "offered_not_there",
            Self::Oversold => "oversold",
        }
    }
}

/// One item at one seller, or over all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Risk {
    pub kind: RiskKind,
    /// The seller that offers too much; `None` of what was sold already.
    pub seller: Option<ConnectionId>,
    pub sentence: String,
}

impl Risk {
    /// As an exception tells it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let (cause, next_step) = match self.kind {
            RiskKind::OfferedNotThere => (
                "A seller offers more than there is.",
                "Look at its deliveries of stock: send them again, or lower the offer there by hand. It closes itself once the stock covers it.",
            ),
            RiskKind::Oversold => (
                "Open orders want more than there is.",
                "Count the stock, or tell these buyers. It closes itself once the stock covers the orders.",
            ),
        };
        Reason {
            code: format!("inventory.{}", self.kind.as_str()),
            sentence: self.sentence.clone(),
            cause: cause.to_owned(),
            owner: Owner::Operations,
            next_step: next_step.to_owned(),
            path: None,
            value: None,
            table: None,
            missing: vec![],
            fix_kind: None,
        }
    }
}

/// Orders that a sentence names; the others are counted.
const NAMES_MAX: usize = 3;

/// What is wrong with an item. Safety stock and buffers are cushions: to sell from them is no alarm yet.
#[must_use]
pub fn risks(sku: &str, position: &Position, offers: &[Offer]) -> Vec<Risk> {
    if !position.is_known() || position.allows_backorder {
        return vec![];
    }
    let mut risks = Vec::new();
    if position.free() < Decimal::ZERO && !position.reserved_by.is_empty() {
        let there = position.there.max(Decimal::ZERO).normalize();
        let (who, verb) = orders(position);
        let sentence = format!("{who} {verb} {} of {sku}, but {}.", position.reserved.normalize(), only(there, "there"));
        risks.push(Risk { kind: RiskKind::Oversold, seller: None, sentence });
    }
    for seller in &position.sellers {
        let Some(offer) = offers.iter().find(|offer| offer.connection == seller.connection) else { continue };
        let free = seller.free.max(Decimal::ZERO).normalize();
        if offer.quantity <= free {
            continue;
        }
        let reserved = position.reserved.normalize();
        let why = if reserved.is_zero() { String::new() } else { format!(": {reserved} are reserved by open orders") };
        let sentence = format!("{} offers {} of {sku}, but {}{why}.", offer.name, offer.quantity.normalize(), only(free, "free"));
        risks.push(Risk { kind: RiskKind::OfferedNotThere, seller: Some(seller.connection), sentence });
    }
    risks
}

/// `only 3 are there`, `none is free`.
fn only(quantity: Decimal, what: &str) -> String {
    if quantity.is_zero() {
        format!("none is {what}")
    } else if quantity == Decimal::ONE {
        format!("only 1 is {what}")
    } else {
        format!("only {quantity} are {what}")
    }
}

/// `Order #1042 wants`, `Orders #1042, #1043 and 2 others want`.
fn orders(position: &Position) -> (String, &'static str) {
    let name = |(record, number, _): &Reserving| number.clone().unwrap_or_else(|| record.to_string());
    let names: Vec<String> = position.reserved_by.iter().take(NAMES_MAX).map(name).collect();
    match position.reserved_by.len() {
        1 => (format!("Order {}", names[0]), "wants"),
        count if count <= NAMES_MAX => {
            let (last, first) = names.split_last().expect("there are at least two");
            (format!("Orders {} and {last}", first.join(", ")), "want")
        }
        count => {
            let others = count - NAMES_MAX;
            let noun = if others == 1 { "other" } else { "others" };
            (format!("Orders {} and {others} {noun}", names.join(", ")), "want")
        }
    }
}
