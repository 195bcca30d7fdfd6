//! The same job with orders that real software makes: a Medusa shop from npm sells, its signed events arrive as webhooks, the orders are
//! read back through its Admin API, and each of them must stand at the ERP as the shop says: total, tax, lines and customer, to the cent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use domain::value::Value as Exact;
use indicatif::{ProgressBar, ProgressStyle};
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::json;
use tests::medusa::{self, Medusa};
use tests::platform::{Connected, Platform, Source};
use tests::simulator::erp::{self, Erp};
use uuid::Uuid;

use crate::{Failure, Outcome, doors, mend, say, until_stopped};

const ORDERS: u32 = 40;
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(300);

/// The item id that stands for a SKU which the table lacked at first.
const MENDED_ITEM: &str = "1999";

pub async fn run(platform: &Platform, erp: &Erp, exit: bool) -> Result<bool, Failure> {
    say("Medusa from npm (the first time takes about a minute)");
    let folder = timed("installed", medusa::install()).await?;
    let mut shop = timed("a new shop: schema, goods, keys", Medusa::prepare(folder, &platform.logs)).await?;
    let outcome = until_stopped(show(platform, erp, &mut shop), exit).await;
    shop.stop().await?;
    outcome
}

async fn timed<T, E>(what: &str, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let started = Instant::now();
    let outcome = work.await;
    if outcome.is_ok() {
        say(&format!("  {what} ({:.1} s)", started.elapsed().as_secs_f64()));
    }
    outcome
}

async fn show(platform: &Platform, erp: &Erp, shop: &mut Medusa) -> Result<bool, Failure> {
    let hook_secret = Uuid::new_v4().simple().to_string();
    let source = Source {
        connector: "medusa",
        settings: json!({"base_url": shop.url}),
        credential: json!({"secret_key": shop.secret_key(), "hook_secret": hook_secret}),
        skus: shop.skus(),
    };
    let tenant = platform.connect("acme", source, erp, 15).await?;
    timed("the shop serves", shop.open(&tenant.hook_url, &hook_secret)).await?;
    let since = chrono::Utc::now();
    say(&format!(
        "{ORDERS} customers fill carts and pay; then the staff changes, cancels, captures, refunds and ships some orders"
    ));
    sell(shop).await?;
    let first = settled(&tenant, shop, erp, since, &BTreeSet::new()).await?;
    first.outcome.print();
    let unknown: Vec<String> = shop.unknown_skus().into_iter().map(str::to_owned).collect();
    say(&format!("\nThe lookup table \"SKUs\" gets the missing codes ({}); the group is retried", unknown.join(", ")));
    let mut retried = 0;
    for sku in &unknown {
        retried += mend(&tenant, sku).await?;
    }
    let second = settled(&tenant, shop, erp, since, &unknown.iter().cloned().collect()).await?;
    second.outcome.print();
    second.print();
    let adds_up = check(&first, &second, retried, erp);
    say(&doors(platform, erp, &tenant.hook_url));
    say(&format!("Medusa                {} (key {})", shop.url, shop.secret_key()));
    Ok(adds_up)
}

async fn sell(shop: &Medusa) -> Result<(), Failure> {
    let bar = ProgressBar::new(u64::from(ORDERS));
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
    let mut acts: BTreeMap<String, u32> = BTreeMap::new();
    shop.sell(ORDERS, |line| match line["act"].as_str() {
        Some(act) => *acts.entry(act.to_owned()).or_default() += 1,
        None => {
            bar.set_message(format!("order #{}", line["display_id"]));
            bar.inc(1);
        }
    })
    .await?;
    bar.finish_and_clear();
    let acts: Vec<String> = acts.into_iter().map(|(act, count)| format!("{act} {count}")).collect();
    say(&format!("  {ORDERS} orders; afterwards: {}", acts.join(", ")));
    Ok(())
}

/// The shop beside the ERP.
struct Comparison {
    outcome: Outcome,
    orders: usize,
    /// By currency.
    sums: BTreeMap<String, Sums>,
    /// Orders that the ERP cannot take yet: an item without SKU, or with one that the table lacks.
    not_taken: BTreeSet<String>,
    differences: Vec<String>,
}

#[derive(Default)]
struct Sums {
    orders: usize,
    lines: usize,
    shop: [Decimal; 2],
    erp: [Decimal; 2],
}

/// Waits until nothing is under way and shop and ERP agree; or says where they do not.
async fn settled(
    tenant: &Connected,
    shop: &Medusa,
    erp: &Erp,
    since: chrono::DateTime<chrono::Utc>,
    mended: &BTreeSet<String>,
) -> Result<Comparison, Failure> {
    let end = Instant::now() + PATIENCE;
    loop {
        let outcome = Outcome::of(tenant, erp, since).await?;
        let is_at_rest = outcome.ledger.is_at_rest();
        let compared = compare(outcome, shop, erp, mended).await?;
        // The last event of an order may still be on its way to us.
        if (is_at_rest && compared.differences.is_empty()) || Instant::now() > end {
            return Ok(compared);
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn compare(outcome: Outcome, shop: &Medusa, erp: &Erp, mended: &BTreeSet<String>) -> Result<Comparison, Failure> {
    let known: BTreeMap<String, String> =
        shop.skus().into_iter().chain(mended.iter().map(|sku| (sku.clone(), MENDED_ITEM.into()))).collect();
    let stored = erp.orders();
    let orders = shop.orders().await?;
    let mut comparison =
        Comparison { outcome, orders: orders.len(), sums: BTreeMap::new(), not_taken: BTreeSet::new(), differences: vec![] };
    for order in &orders {
        let id = text(order, "id");
        let items = order.at("items").and_then(Exact::as_list).unwrap_or_default();
        let at_erp = stored.iter().find(|(external_id, _)| external_id.ends_with(&id)).map(|(_, order)| order);
        let takes = items.iter().all(|item| known.contains_key(&text(item, "variant_sku")));
        match (takes, at_erp) {
            (true, Some(at_erp)) => comparison.one(order, at_erp, &known),
            (true, None) => comparison.differences.push(format!("{id}: it is not at the ERP")),
            (false, None) => drop(comparison.not_taken.insert(id)),
            (false, Some(_)) => {
                comparison.differences.push(format!("{id}: it is at the ERP although one of its items has no code"))
            }
        }
    }
    for external_id in stored.keys() {
        if !orders.iter().any(|order| external_id.ends_with(&text(order, "id"))) {
            comparison.differences.push(format!("{external_id}: the shop has no such order"));
        }
    }
    Ok(comparison)
}

impl Comparison {
    fn one(&mut self, order: &Exact, at_erp: &erp::Order, known: &BTreeMap<String, String>) {
        let id = text(order, "id");
        let currency = text(order, "currency_code").to_uppercase();
        // As the shop's payment module charges it: half up, in the smallest unit of the currency.
        let round = |amount: Decimal| {
            let places = if currency == "JPY" { 0 } else { 2 };
            amount.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero)
        };
        let body = &at_erp.value;
        let shop = [round(number(order, "total") + number(order, "credit_line_total")), round(number(order, "tax_total"))];
        let stored = [round(at_erp.total), number(body, "custbody_crossdock_tax")];
        let mut differ = |what: &str, ours: &dyn std::fmt::Display, theirs: &dyn std::fmt::Display| {
            self.differences.push(format!("{id}: {what} is {theirs} at the shop and {ours} at the ERP"));
        };
        if stored[0] != shop[0] || at_erp.declared_total != shop[0] {
            differ("the total", &at_erp.total, &shop[0]);
        }
        if stored[1] != shop[1] {
            differ("the tax", &stored[1], &shop[1]);
        }
        let email = text(body, "email");
        if email != text(order, "email").to_lowercase() {
            differ("the customer", &email, &text(order, "email"));
        }
        let line = |line: &Exact, id: &str, item: String, rate: &str| {
            (text(line, id), item, number(line, "quantity").normalize(), number(line, rate).normalize())
        };
        let items = order.at("items").and_then(Exact::as_list).unwrap_or_default();
        let theirs: BTreeSet<_> = items
            .iter()
            .map(|item| line(item, "id", known.get(&text(item, "variant_sku")).cloned().unwrap_or_default(), "unit_price"))
            .collect();
        let lines = body.at("item.items").and_then(Exact::as_list).unwrap_or_default();
        let ours: BTreeSet<_> =
            lines.iter().map(|one| line(one, "custcol_crossdock_line", text(one, "item.id"), "rate")).collect();
        if ours != theirs {
            differ("the list of lines", &format!("{ours:?}"), &format!("{theirs:?}"));
        }
        let sums = self.sums.entry(currency.clone()).or_default();
        sums.orders += 1;
        sums.lines += items.len();
        for (sum, amount) in sums.shop.iter_mut().chain(&mut sums.erp).zip(shop.into_iter().chain(stored)) {
            *sum += amount;
        }
    }

    fn print(&self) {
        say("\n  currency  orders  lines     shop total      ERP total       shop tax        ERP tax");
        for (currency, sums) in &self.sums {
            let [total, tax] = sums.shop;
            let [stored_total, stored_tax] = sums.erp;
            say(&format!(
                "  {currency:<8}  {:>6}  {:>5}  {total:>13}  {stored_total:>13}  {tax:>13}  {stored_tax:>13}",
                sums.orders, sums.lines
            ));
        }
        for difference in &self.differences {
            say(&format!("  DIFFERENCE {difference}"));
        }
    }
}

fn text(value: &Exact, path: &str) -> String {
    value.at(path).and_then(Exact::to_text).map(std::borrow::Cow::into_owned).unwrap_or_default()
}

fn number(value: &Exact, path: &str) -> Decimal {
    value
        .at(path)
        .and_then(|found| if let Exact::Number(number) = found { number.to_decimal() } else { None })
        .unwrap_or_default()
}

fn check(first: &Comparison, second: &Comparison, retried: i64, erp: &Erp) -> bool {
    let (orders, ledger) = (erp.orders(), &second.outcome.ledger);
    let open = usize::try_from(ledger.delivery("exception")).unwrap_or_default();
    let checks = [
        ("the shop took all orders", second.orders == ORDERS as usize),
        (
            "every order of the shop is at the ERP or in exactly one exception",
            orders.len() + second.not_taken.len() == second.orders,
        ),
        ("every exception is about an order that cannot be taken", open == second.not_taken.len()),
        ("each was created once", orders.values().all(|order| order.creates == 1)),
        ("total, tax, lines and customer of each equal the shop's, to the cent", second.differences.is_empty()),
        ("every message has one state and none failed", ledger.message("exception") == 0),
        ("adding the code emptied its group", retried > 0 && second.not_taken.len() < first.not_taken.len()),
    ];
    say("");
    for (what, holds) in checks {
        say(&format!("  {} {what}", if holds { "ok  " } else { "FAIL" }));
    }
    checks.iter().all(|(_, holds)| *holds)
}
