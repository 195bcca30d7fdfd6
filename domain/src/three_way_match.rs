//! The three-way match of an order: what was ordered, what was shipped and what was billed must agree, within tolerances that a tenant sets.
//! [`mismatches`] decides over the documents as they are now; what disagrees becomes an exception in plain words, and what agrees again closes it.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::exception::Reason;
use crate::fault::Owner;
use crate::value::Value;

/// What a tenant lets pass, and which comparisons it wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MatchPolicy {
    /// An invoice comes after its goods: what is billed and not shipped is a mismatch.
    pub bills_after_shipping: bool,
    /// How much of a quantity may be shipped or billed beyond it, percent.
    pub quantity_percent: Decimal,
    /// How far a price or a total may be off, in the order's currency,
    pub amount: Decimal,
    /// or in percent of it; the larger of both counts.
    pub amount_percent: Decimal,
    /// What was shipped is billed within so many days; `None` where nobody waits for that.
    pub bill_within_days: Option<u32>,
}

/// The longest that somebody waits for an invoice, days.
const BILL_DAYS: std::ops::RangeInclusive<u32> = 1..=365;

impl Default for MatchPolicy {
    fn default() -> Self {
        // A cent: what rounding line by line and rounding once differ by.
        Self {
            bills_after_shipping: true,
            quantity_percent: Decimal::ZERO,
            amount: Decimal::new(1, 2),
            amount_percent: Decimal::ZERO,
            bill_within_days: None,
        }
    }
}

impl MatchPolicy {
    /// What is wrong with it, for the person who sets it: the field and a sentence.
    #[must_use]
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let hundred = Decimal::ONE_HUNDRED;
        let is_percent = |value: Decimal| (Decimal::ZERO..=hundred).contains(&value);
        if !is_percent(self.quantity_percent) {
            return Some(("quantityPercent", "a percentage is from 0 to 100"));
        }
        if !is_percent(self.amount_percent) {
            return Some(("amountPercent", "a percentage is from 0 to 100"));
        }
        if self.bill_within_days.is_some_and(|days| !BILL_DAYS.contains(&days)) {
            return Some(("billWithinDays", "an invoice is waited for from 1 to 365 days"));
        }
        (self.amount < Decimal::ZERO).then_some(("amount", "an amount that is let pass is not negative"))
    }

    fn quantity_max(&self, quantity: Decimal) -> Decimal {
        quantity + part(quantity, self.quantity_percent)
    }

    fn amount_max(&self, amount: Decimal) -> Decimal {
        self.amount.max(part(amount.abs(), self.amount_percent))
    }
}

fn part(of: Decimal, percent: Decimal) -> Decimal {
    of.checked_mul(percent).map_or(Decimal::ZERO, |product| product / Decimal::ONE_HUNDRED)
}

/// What disagrees. The words are stored, so none is ever renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MismatchKind {
    ShippedNotOrdered,
    BilledNotOrdered,
    BilledNotShipped,
    ShippedNotBilled,
    Price,
    Total,
    Currency,
}

impl MismatchKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ShippedNotOrdered => "shipped_not_ordered",
            Self::BilledNotOrdered => "billed_not_ordered",
            Self::BilledNotShipped => "billed_not_shipped",
            Self::ShippedNotBilled => "shipped_not_billed",
            Self::Price => "price",
            Self::Total => "total",
            Self::Currency => "currency",
        }
    }

    /// What it is without the order, for the group.
    fn cause(self) -> &'static str {
        match self {
            Self::ShippedNotOrdered => "More was shipped than was ordered.",
            Self::BilledNotOrdered => "More was billed than was ordered.",
            Self::BilledNotShipped => "More was billed than was shipped.",
            Self::ShippedNotBilled => "Something was shipped and not billed in time.",
            Self::Price => "A price was billed that was not the order's.",
            Self::Total => "More was billed than the order comes to.",
            Self::Currency => "An invoice is not in the order's currency.",
        }
    }

    fn next_step(self) -> &'static str {
        match self {
            Self::ShippedNotOrdered => {
                "Ask the warehouse what left it; correct the shipment or the order. It closes itself once they agree."
            }
            Self::BilledNotShipped => {
                "Ship what is missing, or correct the invoice or credit what was billed too much. It closes itself once they agree."
            }
            Self::ShippedNotBilled => "Bill it, or correct the shipment. It closes itself once they agree.",
            Self::BilledNotOrdered | Self::Price | Self::Total | Self::Currency => {
                "Correct the invoice or credit the difference, or correct the order. It closes itself once they agree."
            }
        }
    }
}

/// One thing that disagrees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    pub kind: MismatchKind,
    /// The SKU, where it is about one.
    pub sku: Option<String>,
    /// What disagrees, with which documents and numbers.
    pub sentence: String,
}

impl Mismatch {
    /// As an exception tells it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        Reason {
            code: format!("match.{}", self.kind.as_str()),
            sentence: self.sentence.clone(),
            cause: self.kind.cause().to_owned(),
            owner: Owner::Operations,
            next_step: self.kind.next_step().to_owned(),
            path: None,
            value: self.sku.clone(),
            table: None,
            missing: vec![],
            fix_kind: None,
        }
    }
}

/// Mismatches of one order that are told; a document that fits nothing needs no longer list.
pub const MISMATCHES_MAX: usize = 50;

/// Statuses of shipments whose goods have left.
const LEFT: &[&str] = &["shipped", "in_transit", "out_for_delivery", "delivered", "exception", "returned_to_sender"];
/// Statuses of invoices that ask for no money.
const NOT_BILLED: &[&str] = &["draft", "void"];

#[derive(Default)]
struct Item {
    shown: String,
    ordered: Decimal,
    /// Of lines that nobody ships, such as services.
    unshipped: Decimal,
    /// Lowest and highest, where one SKU is ordered at several.
    prices: Option<(Decimal, Decimal)>,
    shipped: Decimal,
    billed: Decimal,
    /// What left when, where that is known.
    left: Vec<(DateTime<Utc>, Decimal)>,
    /// Who ships and who bills it.
    shipments: Vec<String>,
    invoices: Vec<String>,
}

/// What a comparison came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    pub mismatches: Vec<Mismatch>,
    /// What is right today is not any more from then on, where nothing changes: goods that left must be billed by then.
    pub again_at: Option<DateTime<Utc>>,
}

/// Compares an order or a purchase order with its shipments and invoices, as of `now`. Lines belong together by their SKU; where a line has none,
/// by the order's line that it names. A line that names neither is not compared.
#[must_use]
pub fn compare(order: &Value, shipments: &[Value], invoices: &[Value], policy: &MatchPolicy, now: DateTime<Utc>) -> Compared {
    let mut comparing = Comparing { policy, order, items: BTreeMap::new(), found: vec![], now, again_at: None };
    comparing.read_order();
    for shipment in shipments.iter().filter(|shipment| has_left(shipment)) {
        comparing.read_shipment(shipment);
    }
    let billed: Vec<(&Value, Decimal)> = invoices.iter().filter_map(|invoice| Some((invoice, sign(invoice)?))).collect();
    for (invoice, sign) in &billed {
        comparing.read_invoice(invoice, *sign);
    }
    comparing.compare_quantities();
    comparing.compare_totals(&billed);
    comparing.found.truncate(MISMATCHES_MAX);
    Compared { mismatches: comparing.found, again_at: comparing.again_at }
}

fn has_left(shipment: &Value) -> bool {
    let outbound = text(shipment, "direction").is_none_or(|direction| direction == "outbound");
    outbound && text(shipment, "status").is_some_and(|status| LEFT.contains(&status))
}

/// 1 where a document bills, -1 where it gives back, none where it does neither.
fn sign(invoice: &Value) -> Option<Decimal> {
    if text(invoice, "status").is_some_and(|status| NOT_BILLED.contains(&status)) {
        return None;
    }
    match text(invoice, "kind")? {
        "invoice" | "debit_note" => Some(Decimal::ONE),
        "credit_note" => Some(Decimal::NEGATIVE_ONE),
        _ => None,
    }
}

/// When its goods left.
fn left_at(shipment: &Value) -> Option<DateTime<Utc>> {
    let at = ["shipped_at", "delivered_at", "updated_at"].into_iter().find_map(|field| text(shipment, field))?;
    DateTime::parse_from_rfc3339(at).ok().map(|at| at.to_utc())
}

/// Since when something that left is not billed: what left first is billed first.
fn unbilled_since(item: &Item) -> Option<DateTime<Utc>> {
    let mut left = item.left.clone();
    left.sort_unstable();
    let mut billed = item.billed;
    left.into_iter()
        .find(|(_, quantity)| {
            billed -= quantity;
            billed < Decimal::ZERO
        })
        .map(|(at, _)| at)
}

struct Comparing<'a> {
    policy: &'a MatchPolicy,
    order: &'a Value,
    /// By SKU in small letters, or by `#` and the id of the order's line.
    items: BTreeMap<String, Item>,
    found: Vec<Mismatch>,
    now: DateTime<Utc>,
    again_at: Option<DateTime<Utc>>,
}

impl Comparing<'_> {
    fn read_order(&mut self) {
        let is_cancelled = text(self.order, "status").is_some_and(|status| matches!(status, "cancelled" | "failed"));
        for line in lines(self.order) {
            let own = text(line, "source_id").map(|id| (format!("#{id}"), text(line, "title").unwrap_or(id).to_owned()));
            let Some((key, shown)) = sku(line).or(own) else { continue };
            let item = self.items.entry(key).or_default();
            item.shown = shown;
            let quantity = if is_cancelled { Decimal::ZERO } else { number(line, "quantity").unwrap_or_default() };
            item.ordered += quantity;
            if line.get("requires_shipping") == Some(&Value::Bool(false)) {
                item.unshipped += quantity;
            }
            // A purchase order's lines say what they cost.
            if let Some(price) = number(line, "unit_price").or_else(|| number(line, "unit_cost")) {
                item.prices = Some(item.prices.map_or((price, price), |(low, high)| (low.min(price), high.max(price))));
            }
        }
    }

    /// Whose line it is.
    fn key(&self, line: &Value) -> Option<(String, String)> {
        sku(line).or_else(|| {
            let key = format!("#{}", text(line, "order_line_id")?);
            let item = self.items.get(&key)?;
            Some((key, item.shown.clone()))
        })
    }

    fn read_shipment(&mut self, shipment: &Value) {
        for line in lines(shipment) {
            let (Some((key, shown)), Some(quantity)) = (self.key(line), number(line, "quantity")) else { continue };
            let item = self.items.entry(key).or_insert_with(|| Item { shown, ..Item::default() });
            item.shipped += quantity;
            item.left.extend(left_at(shipment).map(|at| (at, quantity)));
            if !quantity.is_zero() {
                add_name(&mut item.shipments, name(shipment));
            }
        }
    }

    fn read_invoice(&mut self, invoice: &Value, sign: Decimal) {
        // A debit note charges for what was billed before.
        let counts = text(invoice, "kind") != Some("debit_note");
        for line in lines(invoice) {
            let (Some((key, shown)), Some(quantity)) = (self.key(line), number(line, "quantity")) else { continue };
            let item = self.items.entry(key).or_insert_with(|| Item { shown, ..Item::default() });
            if counts {
                item.billed += quantity * sign;
                add_name(&mut item.invoices, name(invoice));
            }
            let (Some(price), Some((low, high))) = (number(line, "unit_price"), item.prices) else { continue };
            let is_same_currency = currency(invoice) == currency(self.order);
            let is_off = price > high + self.policy.amount_max(high) || price < low - self.policy.amount_max(low);
            if sign > Decimal::ZERO && counts && is_same_currency && is_off {
                let ordered = if low == high { low.to_string() } else { format!("{low} to {high}") };
                let sentence = format!(
                    "{} bills {} at {price}, and it was ordered at {ordered}.",
                    capital("invoice", &name(invoice)),
                    item.shown
                );
                let mismatch = Mismatch { kind: MismatchKind::Price, sku: Some(item.shown.clone()), sentence };
                self.found.push(mismatch);
            }
        }
    }

    fn compare_quantities(&mut self) {
        let order = name(self.order);
        let (policy, now) = (self.policy, self.now);
        let mut again_at = self.again_at;
        let mut tell = |kind, item: &Item, sentence| self.found.push(Mismatch { kind, sku: Some(item.shown.clone()), sentence });
        for item in self.items.values() {
            let (sku, ordered, shipped, billed) =
                (&item.shown, item.ordered.normalize(), item.shipped.normalize(), item.billed.normalize());
            let ordered_as = if ordered.is_zero() {
                format!("it is not in order {order}")
            } else {
                format!("only {ordered} were ordered in {order}")
            };
            if shipped > policy.quantity_max(ordered) {
                let (who, verb) =
                    (subject("shipment", &item.shipments), if item.shipments.len() == 1 { "sent" } else { "together sent" });
                tell(MismatchKind::ShippedNotOrdered, item, format!("{who} {verb} {shipped} of {sku}, but {ordered_as}."));
            }
            let (who, verb) =
                (subject("invoice", &item.invoices), if item.invoices.len() == 1 { "bills" } else { "together bill" });
            if billed > policy.quantity_max(ordered) {
                tell(MismatchKind::BilledNotOrdered, item, format!("{who} {verb} {billed} of {sku}, but {ordered_as}."));
            } else if policy.bills_after_shipping && billed > policy.quantity_max(shipped + item.unshipped) {
                let shipped =
                    if shipped.is_zero() { "none was shipped".to_owned() } else { format!("only {shipped} were shipped") };
                tell(MismatchKind::BilledNotShipped, item, format!("{who} {verb} {billed} of {sku}, but {shipped}."));
            }
            let (Some(days), Some(since)) = (policy.bill_within_days, unbilled_since(item)) else { continue };
            let by = since.checked_add_days(Days::new(days.into())).unwrap_or(DateTime::<Utc>::MAX_UTC);
            if by > now {
                again_at = Some(again_at.map_or(by, |at: DateTime<Utc>| at.min(by)));
            } else if policy.quantity_max(billed) < shipped {
                let (who, verb) =
                    (subject("shipment", &item.shipments), if item.shipments.len() == 1 { "sent" } else { "together sent" });
                let billed = if billed.is_zero() { "none was billed".to_owned() } else { format!("only {billed} were billed") };
                tell(
                    MismatchKind::ShippedNotBilled,
                    item,
                    format!("{who} {verb} {shipped} of {sku}, but {billed} within {days} days."),
                );
            }
        }
        self.again_at = again_at;
    }

    fn compare_totals(&mut self, billed: &[(&Value, Decimal)]) {
        let Some(ordered) = self.order.at("totals.grand").and_then(Value::to_decimal) else { return };
        let currency_of_order = currency(self.order).unwrap_or_default();
        let (mut total, mut names) = (Decimal::ZERO, Vec::new());
        for (invoice, sign) in billed {
            let invoiced_in = currency(invoice).unwrap_or_default();
            if invoiced_in != currency_of_order {
                let who = capital("invoice", &name(invoice));
                let order = name(self.order);
                let sentence = format!("{who} is in {invoiced_in}, and order {order} is in {currency_of_order}.");
                self.found.push(Mismatch { kind: MismatchKind::Currency, sku: None, sentence });
                return;
            }
            let Some(grand) = invoice.at("totals.grand").and_then(Value::to_decimal) else { return };
            // Some systems write what they give back as a negative total.
            total += grand.abs() * sign;
            add_name(&mut names, name(invoice));
        }
        if total > ordered + self.policy.amount_max(ordered) {
            let (who, verb) = (subject("invoice", &names), if names.len() == 1 { "bills" } else { "together bill" });
            let order = name(self.order);
            let sentence =
                format!("{who} {verb} {total} {currency_of_order}, and order {order} comes to {ordered} {currency_of_order}.");
            self.found.push(Mismatch { kind: MismatchKind::Total, sku: None, sentence });
        }
    }
}

/// Documents that a sentence names; the others are counted.
const NAMES_MAX: usize = 3;

fn add_name(names: &mut Vec<String>, name: String) {
    if !names.contains(&name) {
        names.push(name);
    }
}

/// `Invoice INV-7`, `Invoices INV-7 and INV-8`.
fn subject(noun: &str, names: &[String]) -> String {
    match names {
        [] => capital(noun, "?"),
        [one] => capital(noun, one),
        [first, rest @ ..] if rest.len() < NAMES_MAX => {
            let (last, between) = rest.split_last().expect("there are at least two");
            let between: String = between.iter().map(|name| format!(", {name}")).collect();
            capital(&format!("{noun}s"), &format!("{first}{between} and {last}"))
        }
        many => {
            let told = many[..NAMES_MAX].join(", ");
            capital(&format!("{noun}s"), &format!("{told} and {} more", many.len() - NAMES_MAX))
        }
    }
}

fn capital(noun: &str, name: &str) -> String {
    let mut letters = noun.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter();
    format!("{} {name}", first.chain(letters).collect::<String>())
}

fn name(document: &Value) -> String {
    text(document, "number").or_else(|| text(document, "source_id")).unwrap_or("without a number").to_owned()
}

fn currency(document: &Value) -> Option<&str> {
    text(document, "currency")
}

fn text<'v>(document: &'v Value, field: &str) -> Option<&'v str> {
    document.get(field).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn number(document: &Value, field: &str) -> Option<Decimal> {
    document.get(field).and_then(Value::to_decimal)
}

fn lines(document: &Value) -> impl Iterator<Item = &Value> {
    document.get("lines").and_then(Value::as_list).into_iter().flatten()
}

/// The SKU of a line as it is compared, and as it is shown.
fn sku(line: &Value) -> Option<(String, String)> {
    let sku = text(line, "sku").or_else(|| line.get("item").and_then(|item| text(item, "sku")))?.trim();
    Some((sku.to_lowercase(), sku.to_owned()))
}

#[cfg(test)]
mod tests;
