use proptest::prelude::*;

use super::*;
use crate::plan::tests::plan;

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn november() -> Month {
    Month::parse("2026-11").unwrap()
}

fn on(from: &str, plan: Plan) -> Agreement {
    Agreement { from: day(from), plan }
}

fn counted(at: &str, meter: Meter, quantity: i64) -> DayUsage {
    DayUsage { day: day(at), meter, quantity }
}

/// A line as one reads it.
fn story(line: &Line) -> String {
    let charges: Vec<String> =
        line.charges.iter().map(|charge| format!("{} at {} = {}", charge.quantity, charge.price, charge.amount)).collect();
    let meter = line.meter.map_or("", Meter::as_str);
    format!(
        "{:?} {meter} {}..{}: {} used, {} included, {} beyond [{}] {}",
        line.kind,
        line.from.day(),
        line.to.day(),
        line.used,
        line.included,
        line.beyond,
        charges.join(", "),
        line.amount
    )
}

fn of(lines: &[Line], meter: Meter) -> Vec<&Line> {
    lines.iter().filter(|line| line.meter == Some(meter)).collect()
}

#[test]
fn a_month_is_one_of_utc_and_has_its_days() {
    assert_eq!(Month::of(day("2028-02-29")).days(), 29);
    assert_eq!(november().plus(2).to_string(), "2027-01");
    assert_eq!(november().ends_at().to_rfc3339(), "2026-12-01T00:00:00+00:00");
    for wrong in ["2026-13", "2026-1", "26-11", "2026-11-01", "", "-026-11", "  26-11"] {
        assert_eq!(Month::parse(wrong), None, "{wrong}");
    }
}

#[test]
fn a_whole_month_on_one_plan_is_its_fee_and_what_is_beyond() {
    let agreed = [on("2026-03-09", plan("490.00", 1_000, &[(Some(200), "0.0040"), (None, "0.0015")]))];
    let usage = [
        counted("2026-11-01", Meter::MessageAccepted, 999),
        counted("2026-11-30", Meter::MessageAccepted, 2),
        counted("2026-11-15", Meter::VendorCall, 1_501),
        counted("2026-12-01", Meter::VendorCall, 7_000), // Of the next one.
    ];
    let lines = lines(november(), &agreed, &usage);
    let told: Vec<String> = lines.iter().map(story).collect();
    assert_eq!(
        told,
        [
            "BaseFee  1..30: 0 used, 0 included, 0 beyond [] 490.00",
            "Usage message_accepted 1..30: 1001 used, 1000 included, 1 beyond [1 at 0.0040 = 0.00] 0.00",
            "Usage delivery_confirmed 1..30: 0 used, 1000 included, 0 beyond [] 0.00",
            "Usage vendor_call 1..30: 1501 used, 1000 included, 501 beyond [200 at 0.0040 = 0.80, 301 at 0.0015 = 0.45] 1.25",
        ]
    );
    assert_eq!((total(&lines).to_string().as_str(), check(&lines, "EUR")), ("491.25", Ok(())));
}

#[test]
fn a_plan_that_begins_within_a_month_is_paid_by_days_and_gives_by_days() {
    let agreed = [on("2026-11-11", plan("100.00", 100, &[(None, "1")]))];
    let usage = [counted("2026-11-10", Meter::VendorCall, 5), counted("2026-11-11", Meter::VendorCall, 70)];
    let lines = lines(november(), &agreed, &usage);
    // 20 days of 30: two thirds of the fee, and of a hundred 67.
    assert_eq!(lines[1].amount.to_string(), "66.67");
    let calls: Vec<String> = of(&lines, Meter::VendorCall).into_iter().map(story).collect();
    assert_eq!(
        calls,
        [
            "NoPlan vendor_call 1..10: 5 used, 0 included, 0 beyond [] 0",
            "Usage vendor_call 11..30: 70 used, 67 included, 3 beyond [3 at 1 = 3.00] 3.00",
        ]
    );
}

#[test]
fn a_plan_begins_when_it_is_valid_and_within_a_year() {
    let (plan, today) = (plan("1", 0, &[(None, "1")]), day("2026-11-29"));
    let told = |from: &str| check_day(&plan, day(from), today).err().unwrap_or_default();
    assert_eq!(told("2026-11-01"), "");
    assert!(told("2025-12-31").contains("is valid from 2026-01-01 on"));
    assert!(told("2027-11-30").contains("between 2025-11-29 and 2027-11-29"));
}

#[test]
fn what_was_on_no_plan_all_month_costs_nothing() {
    let lines =
        lines(november(), &[on("2026-12-01", plan("9", 0, &[(None, "1")]))], &[counted("2026-11-02", Meter::VendorCall, 5)]);
    assert_eq!((lines.len(), lines[0].kind, total(&lines)), (1, LineKind::NoPlan, Decimal::ZERO));
}

#[test]
fn what_is_counted_late_is_billed_once_and_at_the_price_it_would_have_had() {
    let agreed = [on("2026-01-01", plan("0", 100, &[(Some(10), "1"), (None, "0.5")]))];
    let usage = |quantity| vec![counted("2026-11-30", Meter::VendorCall, quantity)];
    let mut billed = lines(november(), &agreed, &usage(95));
    let mut told = vec![];
    for now in [95, 105, 105, 130] {
        let more = late(november(), &agreed, &usage(now), &billed);
        assert_eq!(check(&more, "EUR"), Ok(()));
        told.push(more.iter().map(story).collect::<Vec<_>>().join("; "));
        billed.extend(more);
    }
    assert_eq!(
        told,
        [
            "",
            "LateUsage vendor_call 1..30: 10 used, 5 included, 5 beyond [5 at 1 = 5.00] 5.00",
            "",
            "LateUsage vendor_call 1..30: 25 used, 0 included, 25 beyond [5 at 1 = 5.00, 20 at 0.5 = 10.00] 15.00",
        ]
    );
    assert_eq!(total(&billed), total(&lines(november(), &agreed, &usage(130))));
}

#[test]
fn a_running_month_goes_on_as_it_did_so_far() {
    let agreed = [on("2026-01-01", plan("30.00", 100, &[(None, "1")]))];
    let usage = [counted("2026-11-03", Meter::VendorCall, 50)];
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    assert_eq!(estimate(november(), &agreed, &usage, at("2026-11-01T23:59:59Z")), None, "too little has passed");
    // Ten of thirty days: three times as much.
    let lines = estimate(november(), &agreed, &usage, at("2026-11-11T00:00:00Z")).unwrap();
    assert_eq!((of(&lines, Meter::VendorCall)[0].used, total(&lines).to_string().as_str()), (150, "80.00"));
    let over = estimate(november(), &agreed, &usage, at("2026-12-01T00:00:00Z")).unwrap();
    assert_eq!(of(&over, Meter::VendorCall)[0].used, 50);
}

#[test]
fn a_line_that_says_something_else_than_its_numbers_is_found() {
    let agreed = [on("2026-11-05", plan("100.00", 10, &[(Some(5), "0.10"), (None, "0.05")]))];
    let good = lines(november(), &agreed, &[counted("2026-11-09", Meter::VendorCall, 40)]);
    assert_eq!(check(&good, "EUR"), Ok(()));
    let changes: [fn(&mut Line); 6] = [
        |line| line.amount += Decimal::new(1, 2),
        |line| line.used += 1,
        |line| line.included -= 1,
        |line| line.beyond += 1,
        |line| line.charges[0].price += Decimal::ONE,
        |line| line.charges[1].quantity -= 1,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut wrong = good.clone();
        change(wrong.last_mut().unwrap());
        assert!(check(&wrong, "EUR").is_err(), "change {index}");
    }
    let mut wrong = good;
    wrong[0].amount += Decimal::ONE;
    assert_eq!(check(&wrong, "EUR").unwrap_err().line, 1, "the fee, too");
}

fn any_plan() -> impl Strategy<Value = Plan> {
    let price = (0i64..500_000, 0u32..6).prop_map(|(digits, places)| Decimal::new(digits, places));
    let step = prop::collection::vec((1i64..500, price), 1..4);
    (0i64..1_000_000, 0i64..3_000, step).prop_map(|(fee, included, steps)| {
        let (mut end, count) = (0, steps.len());
        let steps: Vec<(Option<i64>, String)> = steps
            .into_iter()
            .enumerate()
            .map(|(index, (more, price))| {
                end += more;
                ((index + 1 < count).then_some(end), price.to_string())
            })
            .collect();
        let steps: Vec<(Option<i64>, &str)> = steps.iter().map(|(end, price)| (*end, price.as_str())).collect();
        plan(&Decimal::new(fee, 2).to_string(), included, &steps)
    })
}

fn any_usage() -> impl Strategy<Value = Vec<DayUsage>> {
    let one = (0u64..40, 0usize..3, 1i64..2_000);
    prop::collection::vec(one, 0..60).prop_map(|all| {
        let of = |(days, meter, quantity): (u64, usize, i64)| DayUsage {
            day: day("2026-10-28") + Days::new(days),
            meter: Meter::ALL[meter],
            quantity,
        };
        all.into_iter().map(of).collect()
    })
}

proptest! {
    #[test]
    fn every_invoice_adds_up_and_no_unit_is_lost_or_billed_twice_however_the_month_is_split(
        plans in prop::collection::vec((any_plan(), 0u64..45), 0..4), usage in any_usage(),
    ) {
        let agreed: Vec<Agreement> =
            plans.into_iter().map(|(plan, days)| Agreement { from: day("2026-10-20") + Days::new(days), plan }).collect();
        let mut once = agreed.clone();
        once.sort_by_key(|agreement| agreement.from);
        once.dedup_by_key(|agreement| agreement.from);
        let lines = lines(november(), &once, &usage);
        prop_assert_eq!(check(&lines, "EUR"), Ok(()));
        for meter in Meter::ALL {
            let within = |one: &&DayUsage| one.meter == meter && Month::of(one.day) == november();
            let counted: i64 = usage.iter().filter(within).map(|one| one.quantity).sum();
            prop_assert_eq!(of(&lines, meter).iter().map(|line| line.used).sum::<i64>(), counted, "{:?}", meter);
        }
        // Each day is of one part.
        let days: u32 = lines.iter().filter(|line| line.kind == LineKind::BaseFee).map(|line| line.to.day() - line.from.day() + 1).sum();
        let first = once.iter().map(|agreement| agreement.from).min();
        let on_a_plan = first.map_or(0, |first| days_from(first.max(november().first_day()), november().last_day()).count());
        prop_assert_eq!(days as usize, on_a_plan);
    }

    #[test]
    fn usage_that_comes_late_in_any_pieces_is_billed_to_the_unit(plan in any_plan(), usage in any_usage(), pieces in 1usize..5) {
        let agreed = [Agreement { from: day("2026-11-13"), plan }];
        let mut billed = lines(november(), &agreed, &usage[..usage.len() / 2]);
        for piece in 1..=pieces {
            let known = usage.len() / 2 + (usage.len() - usage.len() / 2) * piece / pieces;
            let more = late(november(), &agreed, &usage[..known], &billed);
            prop_assert_eq!(check(&more, "EUR"), Ok(()));
            billed.extend(more);
        }
        let all = lines(november(), &agreed, &usage);
        for meter in Meter::ALL {
            let sum = |lines: &[Line], of: fn(&Line) -> i64| lines.iter().filter(|line| line.meter == Some(meter)).map(of).sum::<i64>();
            prop_assert_eq!(sum(&billed, |line| line.used), sum(&all, |line| line.used));
            prop_assert_eq!(sum(&billed, |line| line.beyond), sum(&all, |line| line.beyond));
        }
    }

    #[test]
    fn an_estimate_is_never_less_than_what_was_counted(plan in any_plan(), usage in any_usage(), hours in 24i64..720) {
        let agreed = [Agreement { from: day("2026-11-07"), plan }];
        let now = november().starts_at() + chrono::Duration::hours(hours);
        let so_far: Vec<DayUsage> = usage.into_iter().filter(|one| one.day <= now.date_naive()).collect();
        let estimated = estimate(november(), &agreed, &so_far, now).unwrap();
        prop_assert_eq!(check(&estimated, "EUR"), Ok(()));
        prop_assert!(total(&estimated) >= total(&lines(november(), &agreed, &so_far)));
    }
}
