//! The expression language, by examples.

use super::{compile_error, eval, plan, tables, value};
use crate::mapping::expression::Function;
use crate::mapping::{LookupSet, Lookups, Rate, Vars};
use crate::value::Value;

#[test]
fn arithmetic_is_decimal() {
    for (expr, result) in [
        ("0.1 + 0.2", "0.3"),
        ("id + 1", "5123456789012345679"),
        ("price * 3", "3.30"),
        ("sum(lines.amount)", "0.3"),
        ("count(lines)", "2"),
        ("round(1.005, 2, \"half_up\")", "1.01"),
        ("missing + 1", ""),
        ("1 / 0", "division by zero at column 3"),
        ("a || b || \"c\"", "\"c\""),
        ("price > 1 ? 'dear' : 'cheap'", "\"dear\""),
        ("lines[1].amount", "0.2"),
        ("concat(\"#\", id)", "\"#5123456789012345678\""),
        ("after_last(\"gid://shop/Order/12\", \"/\")", "\"12\""),
        ("79228162514264337593543950335 * 10", "the result has more digits than a decimal holds at column 31"),
        ("!(1 == 1.0) || null == missing", "true"),
    ] {
        assert_eq!(
            eval(expr, r#"{"id":5123456789012345678,"price":"1.10","lines":[{"amount":"0.1"},{"amount":0.2}],"a":"","b":null}"#),
            result,
            "{expr}"
        );
    }
}

#[test]
fn lists_within_lists_become_one_list() {
    let json = r#"{"payment_collections":[
        {"payments":[{"refunds":[{"id":1,"amount":"1.00"},{"id":2,"amount":"2.00"}]},{"refunds":[]}]},
        {"payments":[{"refunds":[{"id":3,"amount":"4.00"}]},{"captures":[]}]},{}]}"#;
    for (expr, result) in [
        ("count(payment_collections.payments.refunds)", "3"),
        ("sum(payment_collections.payments.refunds.amount)", "7.00"),
        ("join(payment_collections.payments.refunds.id, '+')", "\"1+2+3\""),
        ("count(payment_collections.payments)", "4"),
        ("is_empty(payment_collections.payments.disputes)", "true"),
    ] {
        assert_eq!(eval(expr, json), result, "{expr}");
    }
    let each = plan(
        r#"[{"to":"refunds","each":"payment_collections.payments.refunds","rules":[{"to":"id","from":"id"},{"to":"n","expr":"$index"}]}]"#,
    );
    assert_eq!(
        each.apply(&value(json), &LookupSet::default(), &Vars::default()).unwrap().to_json(),
        r#"{"refunds":[{"id":1,"n":0},{"id":2,"n":1},{"id":3,"n":2}]}"#
    );
    // A list that nothing is stepped into stays as it is.
    assert_eq!(eval("a", r#"{"a":[[1],[2]]}"#), "[[1],[2]]");
    assert_eq!(eval("a.b", r#"{"a":[[{"b":1}],[{"b":[2,3]}]]}"#), "[1,2,3]");
}

#[test]
fn money_is_rounded_to_the_places_of_its_currency() {
    for (expr, result) in [
        ("round_money(1.005, 'USD')", "1.01"),
        ("round_money(0 - 2.5, currency)", "-3"),
        ("round_money('0.0625', 'kwd')", "0.063"),
        ("round_money(missing, 'USD')", ""),
        ("round_money(1, missing)", "round_money: a currency code such as USD (ISO 4217) was expected at column 1"),
    ] {
        assert_eq!(eval(expr, r#"{"currency":"JPY"}"#), result, "{expr}");
    }
}

#[test]
fn functions_over_tables_say_which_entry_is_missing() {
    let rates =
        tables(&[("fx", &[("EUR/USD/2026-11-24", "1.0842"), ("EUR/USD", "1.1"), ("USD/JPY", "x")]), ("tax", &[("S", "8")])]);
    let run = |expr: &str| {
        let rules = format!(r#"[{{"to":"x","expr":{}}}]"#, serde_json::to_string(expr).unwrap());
        let order = value(r#"{"total":"10.00","currency":"eur","at":"2026-11-24T10:00:00Z"}"#);
        match plan(&rules).apply(&order, &rates, &Vars::default()) {
            Ok(out) => out.get("x").map(Value::to_json).unwrap_or_default(),
            Err(issues) => {
                let [code, table, value] =
                    [Some(issues[0].code.as_str()), issues[0].table.as_deref(), issues[0].value.as_deref()]
                        .map(Option::unwrap_or_default);
                format!("{code} {table} {value}: {}", issues[0].sentence)
            }
        }
    };
    for (expr, result) in [
        ("fx(total, currency, 'USD', 'fx', at)", "10.842000"),
        ("fx(total, currency, 'USD', 'fx')", "11.000"),
        ("fx(total, 'EUR', 'EUR', 'fx')", "10.00"),
        ("lookup('tax', 'S') + 1", "9"),
        ("lookup('tax', 'T', 'none')", "\"none\""),
        ("lookup('tax', missing)", ""),
        (
            "fx(total, 'USD', 'EUR', 'fx')",
            "no_entry fx USD/EUR: fx: the value \"USD/EUR\" has no entry in the table \"fx\" at column 1",
        ),
        ("1 + lookup('Tax', 'S')", "no_entry Tax S: lookup: there is no table \"Tax\" to look up \"S\" in at column 5"),
        (
            "fx(total, 'USD', 'JPY', 'fx')",
            "bad_expression  x: fx: the rate \"x\" of USD/JPY in the table \"fx\" is no number above 0 at column 1",
        ),
    ] {
        assert_eq!(run(expr), result, "{expr}");
    }
    let plan = plan(r#"[{"to":"a","expr":"fx(x, 'A', 'B', 'rates')"},{"to":"b","expr":"lookup('L', y)","lookup":"M"}]"#);
    assert_eq!(plan.tables(), ["L", "M", "rates"]);
    assert!(compile_error(r#"[{"to":"a","expr":"lookup(name, x)"}]"#).contains("must be written out in quotes"));
}

/// A table of rates, as a tenant's are: in force from a day until the next.
struct Rates(Vec<(&'static str, &'static str, &'static str)>, bool);

impl Lookups for Rates {
    fn find(&self, _: &str, _: &str) -> Option<&str> {
        None
    }

    fn has_table(&self, table: &str) -> bool {
        table == "fx"
    }

    fn has_rates(&self, table: &str) -> bool {
        table == "fx"
    }

    fn rate(&self, _: &str, from: &str, to: &str, day: Option<chrono::NaiveDate>) -> Option<Rate<'_>> {
        let day = day.map_or_else(|| "2026-11-28".to_owned(), |day| day.to_string());
        let latest = |pair: String| {
            self.0.iter().filter(|(known, from, _)| *known == pair && *from <= day.as_str()).map(|(.., rate)| *rate).next_back()
        };
        let direct = latest(format!("{from}/{to}")).map(Rate::Direct);
        direct.or_else(|| latest(format!("{to}/{from}")).filter(|_| self.1).map(Rate::Inverse))
    }
}

#[test]
fn a_rate_is_the_one_in_force_on_the_day_and_the_other_way_round_only_where_that_is_meant() {
    let list = || vec![("EUR/USD", "2026-11-24", "1.0842"), ("EUR/USD", "2026-11-26", "1.25"), ("EUR/JPY", "2026-11-26", "x")];
    let run = |expr: &str, inverts: bool| {
        let rules = format!(r#"[{{"to":"x","expr":{}}}]"#, serde_json::to_string(expr).unwrap());
        match plan(&rules).apply(&value(r#"{"total":"10.00"}"#), &Rates(list(), inverts), &Vars::default()) {
            Ok(out) => out.get("x").map(Value::to_json).unwrap_or_default(),
            Err(issues) => format!("{} {}", issues[0].value.as_deref().unwrap_or_default(), issues[0].sentence),
        }
    };
    for (expr, result) in [
        ("fx(total, 'EUR', 'USD', 'fx', '2026-11-24')", "10.842000"),
        ("fx(total, 'EUR', 'USD', 'fx', '2026-11-25T23:00:00Z')", "10.842000"),
        ("fx(total, 'EUR', 'USD', 'fx', '2026-12-31')", "12.5000"),
        ("fx(total, 'EUR', 'USD', 'fx')", "12.5000"),
        (
            "fx(total, 'EUR', 'USD', 'fx', '2026-11-23')",
            "EUR/USD fx: no rate EUR/USD is in force on 2026-11-23 in the table \"fx\" at column 1",
        ),
        (
            "fx(total, 'USD', 'EUR', 'fx')",
            "USD/EUR fx: no rate USD/EUR is in force when it was accepted in the table \"fx\" at column 1",
        ),
        ("fx(total, 'EUR', 'USD', 'fx', missing)", " fx: \"\" is no date at column 1"),
        ("fx(total, 'EUR', 'JPY', 'fx')", "x fx: the rate \"x\" of EUR/JPY in the table \"fx\" is no number above 0 at column 1"),
    ] {
        assert_eq!(run(expr, false), result, "{expr}");
    }
    assert_eq!(run("fx(total, 'USD', 'EUR', 'fx')", true), "8");
    assert_eq!(run("fx(total, 'USD', 'EUR', 'fx', '2026-11-24')", true), "9.223390518354547131525548792");
}

#[test]
fn a_tenants_units_come_before_those_by_definition_and_an_items_own_before_those_of_all() {
    let units = tables(&[(
        "units",
        &[("case|each", "12"), ("HAT|case|each", "24"), ("pallet|case", "40"), ("roll|m", "0"), ("lb|g", "500")],
    )]);
    let run = |expr: &str| {
        let rules = format!(r#"[{{"to":"x","expr":{}}}]"#, serde_json::to_string(expr).unwrap());
        match plan(&rules).apply(&value("{}"), &units, &Vars::default()) {
            Ok(out) => out.get("x").map(Value::to_json).unwrap_or_default(),
            Err(issues) => format!("{} {}", issues[0].value.as_deref().unwrap_or_default(), issues[0].sentence),
        }
    };
    for (expr, result) in [
        ("convert_unit(2, 'Case', 'pcs', 'units')", "24"),
        ("convert_unit(2, 'case', 'each', 'units', 'HAT')", "48"),
        ("convert_unit(2, 'case', 'each', 'units', 'CAP')", "24"),
        ("convert_unit(30, 'each', 'case', 'units')", "2.5"),
        ("convert_unit(1, 'pallet', 'case', 'units', missing)", "40"),
        ("convert_unit(1, 'lb', 'g', 'units')", "500"),
        ("convert_unit(1, 'kg', 'g', 'units')", "1000"),
        ("convert_unit(7, 'bag', 'Bag', 'units')", "7"),
        ("convert_unit(missing, 'case', 'each', 'units')", ""),
        (
            "convert_unit(1, 'bag', 'each', 'units', 'HAT')",
            "HAT|bag|each convert_unit: the value \"HAT|bag|each\" has no entry in the table \"units\" at column 1",
        ),
        (
            "convert_unit(1, 'kg', 'each', 'units')",
            "kg|each convert_unit: the value \"kg|each\" has no entry in the table \"units\" at column 1",
        ),
        (
            "convert_unit(1, 'roll', 'm', 'units')",
            "0 convert_unit: the factor \"0\" of roll|m in the table \"units\" is no number above 0 at column 1",
        ),
        (
            "convert_unit(1, 'case', 'each', 'none')",
            "case|each convert_unit: there is no table \"none\" to look up \"case|each\" in at column 1",
        ),
    ] {
        assert_eq!(run(expr), result, "{expr}");
    }
    assert_eq!(plan(r#"[{"to":"a","expr":"convert_unit(x, 'case', 'each', 'units')"}]"#).tables(), ["units"]);
    assert!(compile_error(r#"[{"to":"a","expr":"convert_unit(x, 'a', 'b', name)"}]"#).contains("must be written out in quotes"));
}

#[test]
fn functions_of_numbers_and_texts_do_what_the_page_says() {
    for (expr, result) in [
        ("convert_unit(12, 'oz', 'lb')", "0.75"),
        ("convert_unit('2.5', 'KGM', 'g')", "2500"),
        ("convert_unit(1, 'lb', 'cm')", "convert_unit: lb and cm measure different things at column 1"),
        ("convert_unit(1, 'kgg', 'g')", "convert_unit: there is no unit \"kgg\" at column 1"),
        ("to_minor('12.30', 'USD')", "1230"),
        ("to_minor('12.305', 'USD')", "to_minor: 12.305 is no whole number of the smallest unit of USD at column 1"),
        ("from_minor(1230, 'usd')", "12.30"),
        ("from_minor(1250, 'JPY')", "1250"),
        ("floor(-1.5)", "-2"),
        ("ceil(1.2)", "2"),
        ("last(tags)", "\"c\""),
        ("join(distinct(tags), '-')", "\"a-b-c\""),
        ("split('wool, hat,, red ', ',')", r#"["wool","hat","red"]"#),
        ("split('wool hat', '')", r#"["wool hat"]"#),
        ("is_empty(split(' , ', ','))", "true"),
        ("count(split(missing, ','))", "0"),
        ("count(tags)", "4"),
        ("'a' & 1 & missing & 'b'", "\"a1b\""),
        ("a && b & 'x'", "\"x\""),
        ("pad_left(7, 3, '0')", "\"007\""),
        ("length('größe')", "5"),
        ("substring('größe', 2, 2)", "\"öß\""),
        ("upper('größe')", "\"GRÖSSE\""),
        ("from_epoch(1764000000)", "\"2025-11-24T16:00:00.000Z\""),
        ("timestamp('2026-07-01 09:30', 'Europe/Berlin')", "\"2026-07-01T07:30:00.000Z\""),
        ("date('2026-07-01T23:30:00Z', 'Europe/Berlin')", "\"2026-07-02\""),
        ("timestamp('x', 'Europe/Berlin')", "timestamp: \"x\" is no RFC 3339 time such as 2026-11-24T00:25:18Z at column 1"),
        ("1 + 2 * (3 / (a - a))", "division by zero at column 12"),
    ] {
        assert_eq!(eval(expr, r#"{"tags":["a","b","a","c"],"a":1}"#), result, "{expr}");
    }
}

#[test]
fn the_page_describes_every_function_and_no_other() {
    let page = include_str!("../../../../docs/mapping.md");
    let rows =
        page.split("### Functions").nth(1).unwrap().split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split(" | ").next().unwrap());
    let mut described: Vec<&str> =
        cells.flat_map(|cell| cell.split('`').filter_map(|code| code.split_once('(')).map(|(name, _)| name)).collect();
    described.sort_unstable();
    described.dedup();
    let mut known = Function::NAMES.to_vec();
    known.sort_unstable();
    assert_eq!(described, known);
}
