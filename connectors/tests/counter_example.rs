//! Every mapping of the catalog that writes, run over awkward records: what has no answer is refused for a reason that is right, the same
//! record is written alike however it is written down, and what is not written at all is known.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use connectors::{Catalog, Connector};
use domain::comparison::without_rows;
use domain::counter_example::{Checker, FilledTables, Report, plain};
use domain::mapping::{IssueCode, LookupSet, Vars};
use domain::record::RecordKind;
use domain::value::{Limits, Value};

/// Refusals that are right: a vendor that counts whole pieces, and words that are in no list.
const RIGHT: [&str; 6] = [
    "is no whole number",
    "is no currency code",
    "a currency code such as USD",
    "is no country code",
    "in the table \"Currencies\"",
    "in the table \"units_x12\"",
];

/// A list where attributes should be a group has no field of the name.
const PLAIN_EXPECTED: &str = "a plain value was expected, not a list or a group of fields";

/// Texts for people that show a number as it was written.
const SHOWN_AS_WRITTEN: [&str; 2] = ["sqs order body", "stripe invoice lines[].description"];

/// What a destination works out itself, or has no place for.
const NOT_WRITTEN: [&str; 59] = [
    // Medusa computes taxes, and an order has no place for the rest; its total is written beside it, to compare.
    "medusa order: a charge of the whole",
    "medusa order: a discount of the whole",
    "medusa order: the duty",
    "medusa order: the fee",
    "medusa order: the tax of a line",
    "medusa order: the tip",
    "medusa order: what rounding added",
    // NetSuite makes an invoice of its order.
    "netsuite invoice: a charge of the whole",
    "netsuite invoice: a discount of the whole",
    "netsuite invoice: the currency",
    "netsuite invoice: the discount of a line",
    "netsuite invoice: the discount of shipping",
    "netsuite invoice: the duty",
    "netsuite invoice: the fee",
    "netsuite invoice: the price of a line",
    "netsuite invoice: the price of shipping",
    "netsuite invoice: the tax of a line",
    "netsuite invoice: the tip",
    "netsuite invoice: what rounding added",
    // They compute taxes.
    "odoo order: the tax of a line",
    // It knows one currency.
    "shipstation order: the currency",
    // A shipment without the lines of a request fulfils all of it.
    "shopify shipment: the quantity of a line",
    "woocommerce order: the tax of a line",
    // An 810 carries its total beside its lines, charges and shipping; sums that stand in the totals alone are not mapped yet.
    "x12-customer invoice: the duty",
    "x12-customer invoice: the fee",
    "x12-customer invoice: the tip",
    "x12-customer invoice: what rounding added",
    // An 850 and an 855 are about lines and their prices; what they come to is invoiced.
    "x12-customer order: a charge of the whole",
    "x12-customer order: a discount of the whole",
    "x12-customer order: the discount of a line",
    "x12-customer order: the discount of shipping",
    "x12-customer order: the duty",
    "x12-customer order: the fee",
    "x12-customer order: the price of shipping",
    "x12-customer order: the tax of a line",
    "x12-customer order: the tip",
    "x12-customer order: what rounding added",
    "x12-supplier order: a charge of the whole",
    "x12-supplier order: a discount of the whole",
    "x12-supplier order: the discount of a line",
    "x12-supplier order: the discount of shipping",
    "x12-supplier order: the duty",
    "x12-supplier order: the fee",
    "x12-supplier order: the price of shipping",
    "x12-supplier order: the tax of a line",
    "x12-supplier order: the tip",
    "x12-supplier order: what rounding added",
    // A 940 is about what is to be sent, and knows no money.
    "x12-warehouse order: a charge of the whole",
    "x12-warehouse order: a discount of the whole",
    "x12-warehouse order: the currency",
    "x12-warehouse order: the discount of a line",
    "x12-warehouse order: the discount of shipping",
    "x12-warehouse order: the duty",
    "x12-warehouse order: the fee",
    "x12-warehouse order: the price of a line",
    "x12-warehouse order: the price of shipping",
    "x12-warehouse order: the tax of a line",
    "x12-warehouse order: the tip",
    "x12-warehouse order: what rounding added",
];

fn run(connector: &Connector, kind: RecordKind) -> Option<Report> {
    let (plan, rules) = (connector.write_plan(kind)?, connector.write_rules(kind)?);
    let text = connector.write_sample(kind).unwrap_or_else(|| plain(kind));
    let record = Value::parse(text.as_bytes(), &Limits::DEFAULT).expect("a sample is JSON");
    let none = LookupSet::default();
    let lookups = FilledTables::new(&none, connector.tables(), rules);
    let mut vars = Vars::default();
    vars.set("settings", Value::from(&connector.example_settings()));
    let about = serde_json::json!({"revision": 1, "external_key": "0192f0c1-2d3e-7abc-8def-0123456789ab", "kind": kind.as_str()});
    vars.set("record", Value::from(&about));
    vars.set("source", Value::from(&serde_json::json!({"connection": "A shop"})));
    Some(Checker { kind, plan, filter: None, lookups: &lookups, vars: &vars }.run(&record, 1))
}

#[test]
fn mappings_of_the_catalog_answer_awkward_records_or_refuse_them_for_a_right_reason() {
    let catalog = Catalog::embedded();
    let work: Vec<(&Connector, RecordKind)> =
        catalog.iter().flat_map(|connector| RecordKind::ALL.map(|kind| (connector, kind))).collect();
    let (next, wrong, not_written) = (AtomicUsize::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let checked = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some((connector, kind)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let Some(report) = run(connector, *kind) else { continue };
                    let name = format!("{} {kind}", connector.name());
                    checked.fetch_add(1, Ordering::Relaxed);
                    for finding in &report.findings {
                        let sentence = &finding.issue.sentence;
                        let is_right = finding.issue.code == IssueCode::Required
                            || RIGHT.iter().any(|right| sentence.contains(right))
                            || sentence == PLAIN_EXPECTED;
                        if !is_right || finding.features.is_empty() {
                            wrong.lock().unwrap().push(format!("{name} {}: {}", finding.issue, finding.document.to_json()));
                        }
                    }
                    for one in &report.disagreements {
                        let field = format!("{name} {}", without_rows(&one.to));
                        if !SHOWN_AS_WRITTEN.contains(&field.as_str()) {
                            let (here, there) = (one.one.to_json(), one.other.to_json());
                            wrong.lock().unwrap().push(format!("{field}, {}: {here} and {there}", one.notation));
                        }
                    }
                    not_written.lock().unwrap().extend(report.untraced.iter().map(|what| format!("{name}: {what}")));
                }
            });
        }
    });
    assert!(checked.into_inner() >= 40);
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort_unstable();
    assert_eq!(wrong, [""; 0]);
    let mut not_written = not_written.into_inner().unwrap();
    not_written.sort_unstable();
    assert_eq!(not_written, NOT_WRITTEN);
}
