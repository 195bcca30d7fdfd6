//! What is promised of alarms: none that is false, in four weeks of many shops; and what is dead is found in a time that is said.

use chrono::{DateTime, Duration, Utc};

use super::shops::{SHOPS, Shop, ZONE, is_sale_day, monday};
use crate::arrival::{Alarm, BUCKET_S, Sensitivity, Series};

/// Of each shop.
const SEEDS: u64 = 200;
/// Two weeks to learn, and four after that.
const WEEKS: i64 = 6;

/// Each change of the alarm: when, and to what.
fn changes(
    shop: Shop,
    seed: u64,
    weeks: i64,
    dead: Option<(DateTime<Utc>, DateTime<Utc>)>,
) -> Vec<(DateTime<Utc>, Option<Alarm>)> {
    let (mut series, mut changes) = (Series::new(monday()), Vec::new());
    let buckets = shop.sends(seed, weeks, dead);
    let mut rest = buckets.as_slice();
    for n in 1..=weeks * 2_016 {
        let until = monday() + Duration::seconds(BUCKET_S * n);
        let count = rest.iter().take_while(|bucket| bucket.at < until).count();
        let (due, later) = rest.split_at(count);
        rest = later;
        let before = series.alarm;
        series.advance(due, until, ZONE, Sensitivity::Normal);
        if series.alarm != before {
            changes.push((until, series.alarm));
        }
    }
    changes
}

/// Runs all seeds of a shop, on two threads.
fn each_seed<T: Send>(seeds: u64, run: impl Fn(u64) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let run = &run;
        let halves: Vec<_> =
            (0..2).map(|half| scope.spawn(move || (half..seeds).step_by(2).map(run).collect::<Vec<_>>())).collect();
        halves.into_iter().flat_map(|half| half.join().unwrap()).collect()
    })
}

/// Of more shops it is measured and nothing is asserted.
fn seeds() -> u64 {
    std::env::var("ARRIVAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS)
}

#[test]
fn no_alarm_is_false_in_four_weeks_of_shops_of_every_shape() {
    for shop in SHOPS {
        let runs = each_seed(seeds(), |seed| (seed, changes(shop, seed, WEEKS, None)));
        let alarms: Vec<_> = runs.iter().flat_map(|(seed, changes)| changes.iter().map(move |change| (seed, change))).collect();
        let raised = |alarm| alarms.iter().filter(|(_, (_, to))| *to == Some(alarm)).count();
        println!("{shop:?}: {} silences, {} surges in {} shops", raised(Alarm::Silence), raised(Alarm::Surge), runs.len());
        if std::env::var("ARRIVAL_SEEDS").is_ok() {
            alarms.iter().for_each(|(seed, (at, to))| println!("  {seed} {} {to:?}", at.with_timezone(&ZONE)));
            continue;
        }
        let false_ones: Vec<_> = alarms
            .iter()
            .filter(|(_, (at, to))| match to {
                Some(Alarm::Silence) => true,
                Some(Alarm::Surge) => shop != Shop::Sale || !is_sale_day(*at),
                None => false,
            })
            .collect();
        assert!(false_ones.is_empty(), "{shop:?}: {false_ones:?}");
        if shop == Shop::Sale {
            let found = runs.iter().filter(|(_, changes)| changes.iter().any(|(_, to)| *to == Some(Alarm::Surge))).count();
            println!("{found} sales were seen");
            // What is told is certain; some sales look like a good day at this size.
            assert!(found * 100 >= runs.len() * 85, "{found} of {}", runs.len());
        }
    }
}

struct Dead {
    what: &'static str,
    shop: Shop,
    /// Of the week after the fourth: day, hour, minute.
    from: (i64, i64, i64),
    hours: i64,
    /// In which it is found, of every seed.
    within_minutes: i64,
}

#[test]
fn what_is_dead_is_found_in_time_and_closes_when_it_is_back() {
    let cases = [
        Dead { what: "a busy shop at eleven on a Tuesday", shop: Shop::Busy, from: (1, 11, 0), hours: 3, within_minutes: 50 },
        Dead { what: "a busy shop at three in the night", shop: Shop::Busy, from: (2, 3, 0), hours: 8, within_minutes: 420 },
        Dead { what: "50 orders a day, at eleven", shop: Shop::Middling, from: (1, 11, 0), hours: 24, within_minutes: 840 },
        Dead {
            what: "three orders a day, from Friday evening",
            shop: Shop::Tiny,
            from: (4, 18, 0),
            hours: 24 * 12,
            within_minutes: 60 * 24 * 11,
        },
        Dead { what: "weekdays only, from Monday ten", shop: Shop::Weekdays, from: (0, 10, 0), hours: 48, within_minutes: 600 },
        Dead {
            what: "weekdays only, over the weekend",
            shop: Shop::Weekdays,
            from: (4, 18, 0),
            hours: 96,
            within_minutes: 60 * 72,
        },
        Dead { what: "the nightly import", shop: Shop::Nightly, from: (1, 0, 0), hours: 48, within_minutes: 60 * 8 },
        Dead { what: "200 a day and growing, at eleven", shop: Shop::Growing, from: (1, 11, 0), hours: 12, within_minutes: 150 },
        Dead { what: "a chatty marketplace, at eleven", shop: Shop::Chatty, from: (1, 11, 0), hours: 24, within_minutes: 1_080 },
    ];
    for case in cases {
        let from =
            monday() + Duration::days(28 + case.from.0) + Duration::hours(case.from.1 + 1) + Duration::minutes(case.from.2);
        let until = from + Duration::hours(case.hours);
        let mut found: Vec<i64> = each_seed(seeds() / 4, |seed| {
            let changes = changes(case.shop, seed, 8, Some((from, until)));
            assert!(changes.last().is_none_or(|(_, to)| to.is_none()), "it closes when things come again: {changes:?}");
            let raised = changes.iter().find(|(at, to)| *at > from && *to == Some(Alarm::Silence));
            raised.map_or(i64::MAX, |(at, _)| (*at - from).num_minutes())
        });
        found.sort_unstable();
        println!("{}: half within {} minutes, all within {}", case.what, found[found.len() / 2], found[found.len() - 1]);
        if std::env::var("ARRIVAL_SEEDS").is_err() {
            assert!(found[found.len() - 1] <= case.within_minutes, "{}: {:?}", case.what, found.last());
        }
    }
}
