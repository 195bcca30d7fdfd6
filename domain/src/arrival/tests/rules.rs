//! What holds of every series, whatever comes.

use chrono::{DateTime, Duration, Utc};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::shops::{Shop, ZONE, monday};
use crate::arrival::{
    Alarm, AlarmPolicy, BUCKET_S, Bucket, READY_DAYS, Sensitivity, Series, flow_silence, reminders, silence, surge, topic_silence,
};
use crate::record::RecordKind;

fn bucket(n: i64, count: u32) -> Bucket {
    let at = monday() + Duration::seconds(BUCKET_S * n);
    Bucket { at, count, last_at: at + Duration::seconds(200) }
}

fn after(n: i64) -> DateTime<Utc> {
    monday() + Duration::seconds(BUCKET_S * n)
}

/// A series of which something came in every bucket for three weeks.
fn steady() -> (Series, i64) {
    let mut series = Series::new(monday());
    let buckets: Vec<Bucket> = (0..3 * 2_016).map(|n| bucket(n, 3)).collect();
    series.advance(&buckets, after(3 * 2_016), ZONE, Sensitivity::Normal);
    (series, 3 * 2_016)
}

#[test]
fn nothing_is_raised_before_it_knows_enough() {
    let mut series = Series::new(monday());
    let few: Vec<Bucket> = (0..2_000).map(|n| bucket(n, 3)).collect();
    series.advance(&few, after(READY_DAYS * 288 - 1), ZONE, Sensitivity::High);
    assert_eq!(series.alarm, None, "a week of arrivals, and nearly one of none");
    // One thing a day for three weeks is known, and too little to judge by.
    let mut rare = Series::new(monday());
    let buckets: Vec<Bucket> = (0..14).map(|day| bucket(day * 288 + 130, 1)).collect();
    rare.advance(&buckets, after(40 * 288), ZONE, Sensitivity::High);
    assert_eq!((rare.alarm, rare.is_ready()), (None, false));
}

#[test]
fn silence_begins_and_ends_and_a_stray_arrival_is_no_end() {
    let (mut series, n) = steady();
    series.advance(&[], after(n + 3), ZONE, Sensitivity::Normal);
    assert_eq!(series.alarm, None, "a quarter of an hour is not enough");
    series.advance(&[], after(n + 8), ZONE, Sensitivity::Normal);
    assert_eq!(series.alarm, Some(Alarm::Silence));
    assert_eq!(series.last_at, Some(bucket(n - 1, 0).last_at));
    assert_eq!((series.missing() / 24.0).round(), 1.0, "{}", series.missing());
    series.advance(&[bucket(n + 20, 1)], after(n + 30), ZONE, Sensitivity::Normal);
    assert_eq!(series.alarm, Some(Alarm::Silence), "one is not three an hour in every bucket");
    let back: Vec<Bucket> = (n + 30..n + 36).map(|n| bucket(n, 3)).collect();
    series.advance(&back, after(n + 36), ZONE, Sensitivity::Normal);
    assert_eq!(series.alarm, None);
}

#[test]
fn what_was_missed_and_comes_at_once_is_no_surge_and_what_was_not_is() {
    let (mut series, n) = steady();
    let mut dammed = series.clone();
    dammed.advance(&[], after(n + 24), ZONE, Sensitivity::Normal);
    let flood: Vec<Bucket> = (n + 24..n + 36).map(|m| bucket(m, if m < n + 26 { 35 } else { 3 })).collect();
    dammed.advance(&flood, after(n + 36), ZONE, Sensitivity::Normal);
    assert_eq!(dammed.alarm, None);
    let flood: Vec<Bucket> = (n..n + 18).map(|n| bucket(n, 18)).collect();
    series.advance(&flood[..12], after(n + 12), ZONE, Sensitivity::Normal);
    assert_eq!(series.alarm, None, "an hour may be like no other");
    series.advance(&flood, after(n + 18), ZONE, Sensitivity::Normal);
    assert_eq!((series.alarm, series.seen()), (Some(Alarm::Surge), 216));
    let calm: Vec<Bucket> = (n + 18..n + 36).map(|n| bucket(n, 3)).collect();
    series.advance(&calm, after(n + 36), ZONE, Sensitivity::Normal);
    assert_eq!(series.alarm, None);
}

#[test]
fn while_it_is_skipped_nothing_is_missed() {
    let (mut series, n) = steady();
    series.skip(after(n + 600));
    series.advance(&[], after(n + 602), ZONE, Sensitivity::Normal);
    assert_eq!((series.alarm, series.until), (None, after(n + 602)));
    series.advance(&[], after(n + 612), ZONE, Sensitivity::Normal);
    assert_eq!(series.alarm, Some(Alarm::Silence));
    series.skip(after(n + 700));
    assert_eq!(series.alarm, None);
}

#[test]
fn a_long_holiday_is_one_alarm_with_ever_rarer_reminders() {
    let (mut series, n) = steady();
    let mut raised = 0;
    for day in 1..=21 {
        let before = series.alarm;
        series.advance(&[], after(n + 288 * day), ZONE, Sensitivity::Normal);
        raised += u32::from(series.alarm.is_some() && before.is_none());
    }
    assert_eq!(raised, 1);
    let (since, day) = (after(n), Duration::days(1));
    assert_eq!(reminders(since, since), (1, since));
    assert_eq!(reminders(since, since + Duration::hours(5)), (2, since + Duration::hours(4)));
    let counts: Vec<i64> = [1, 2, 7, 14, 21, 365].map(|days| reminders(since, since + day * days).0).to_vec();
    assert_eq!(counts, [3, 4, 6, 7, 8, 57]);
}

#[test]
fn quiet_hours_are_read_on_the_tenants_clock() {
    let quiet = |days: &[&str]| AlarmPolicy {
        zone: Tz::Europe__Berlin,
        quiet: vec![
            AlarmPolicy::quiet_of("22:00", "07:00", &days.iter().map(|day| (*day).to_owned()).collect::<Vec<_>>()).unwrap(),
        ],
        ..AlarmPolicy::default()
    };
    for (days, at, is_quiet) in [
        (&[][..], "2026-11-28T20:59:00Z", false),
        (&[], "2026-11-28T21:00:00Z", true),
        (&[], "2026-11-28T05:59:00Z", true),
        (&[], "2026-11-28T06:00:00Z", false),
        // Saturday morning is of the night that began on Friday.
        (&["Fri"], "2026-11-28T05:00:00Z", true),
        (&["Sat"], "2026-11-28T05:00:00Z", false),
        (&["Sat"], "2026-11-28T22:00:00Z", true),
    ] {
        assert_eq!(quiet(days).is_quiet(at.parse().unwrap()), is_quiet, "{days:?} {at}");
    }
    let refused = AlarmPolicy::quiet_of("25:00", "07:00", &[]).unwrap_err();
    assert_eq!(refused.to_string(), "\"25:00\" is no time of day such as 22:00");
    assert!(AlarmPolicy::quiet_of("22:00", "07:00", &["Someday".into()]).is_err());
    assert!(AlarmPolicy::zone_of("Mars/Olympus").is_err());
}

#[test]
fn people_are_told_what_does_not_come_and_what_to_do() {
    let (order, min) = (RecordKind::Order, Duration::minutes(40));
    let told = silence(order, "Amazon", min, 23.0, 35.2, true);
    assert_eq!(told.sentence, "No orders have arrived from Amazon for 40 minutes; at this hour about 35 arrive.");
    assert!(told.next_step.ends_with("A read of its orders was begun at once: what it finds comes by itself."), "{told:?}");
    let told = silence(RecordKind::InventoryLevel, "Stock", Duration::hours(50), 12.4, 0.2, false);
    assert_eq!(told.sentence, "No inventory levels have arrived from Stock for 2 days; in such a time about 12 usually do.");
    let told = topic_silence("orders/create", "Acme", Duration::hours(3), 9.0, false);
    assert!(told.sentence.starts_with("No webhook \"orders/create\" has arrived from Acme for 3 hours;"), "{told:?}");
    let told = flow_silence("orders to the ERP", order, "Acme", Duration::hours(3), 9.0);
    assert_eq!(
        told.sentence,
        "The flow \"orders to the ERP\" has had nothing to deliver for 3 hours; in such a time about 9 orders usually pass it, and others still arrive from Acme."
    );
    assert!(told.next_step.starts_with("Look at the flow's filter and at the exceptions of its orders."), "{told:?}");
    let told = surge(order, "Acme", 175, 35.0);
    assert_eq!(told.sentence, "175 orders have arrived from Acme in the last hour; at this hour about 35 usually do.");
}

#[test]
fn a_series_that_cannot_be_read_begins_anew() {
    let (series, _) = steady();
    let bytes = series.to_bytes();
    assert!(bytes.len() < 1_750, "{}", bytes.len());
    let mut other = Series::new(monday());
    assert!(!other.read(&bytes[1..]) && !other.read(&[]));
    assert_eq!(other, Series::new(monday()));
}

#[test]
fn a_clock_that_is_set_to_another_zone_turns_the_week() {
    let mut series = Series::new(monday());
    let buckets = Shop::Weekdays.sends(1, 3, None);
    let now = after(3 * 2_016);
    series.advance(&buckets, now, ZONE, Sensitivity::Normal);
    let before = series.band(now + Duration::hours(33), ZONE).unwrap();
    series.turn(ZONE, Tz::America__New_York);
    assert_eq!(series.band(now + Duration::hours(33), Tz::America__New_York), Some(before));
    assert!(before.expected > 0.0 && before.low < before.expected && before.high > before.expected, "{before:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// However it is cut into looks, and stored between them, the same is learned and said.
    #[test]
    fn looks_may_come_as_they_like(
        counts in proptest::collection::vec((0i64..8_064, 0u32..u32::MAX), 0..400),
        cuts in proptest::collection::vec(1i64..8_064, 0..12),
    ) {
        let counts: std::collections::BTreeMap<i64, u32> = counts.into_iter().collect();
        let buckets: Vec<Bucket> = counts.into_iter().map(|(n, count)| bucket(n, count)).collect();
        let mut whole = Series::new(monday());
        whole.advance(&buckets, after(8_064), ZONE, Sensitivity::Normal);
        let mut cut = Series::new(monday());
        let mut cuts = cuts;
        cuts.sort_unstable();
        for n in cuts.into_iter().chain([8_064]) {
            // What is before was taken in, what is later is not there yet.
            let due: Vec<Bucket> = buckets.iter().filter(|bucket| bucket.at < after(n)).copied().collect();
            cut.advance(&due, after(n), ZONE, Sensitivity::Normal);
            let mut stored = Series::new(monday());
            (stored.until, stored.last_at, stored.alarm) = (cut.until, cut.last_at, cut.alarm);
            prop_assert!(stored.read(&cut.to_bytes()));
            prop_assert_eq!(&stored, &cut);
            cut = stored;
        }
        prop_assert_eq!(&whole, &cut);
        prop_assert!(whole.missing().is_finite());
        let band = whole.band(after(8_064), ZONE).unwrap();
        prop_assert!(band.low.is_finite() && band.high.is_finite() && band.low <= band.high);
    }

    /// The longer nothing comes, the surer it is: once it is silent it stays so until something comes.
    #[test]
    fn silence_does_not_end_by_itself(empty in 12i64..600, more in 1i64..600) {
        let (mut series, n) = steady();
        series.advance(&[], after(n + empty), ZONE, Sensitivity::Low);
        prop_assert_eq!(series.alarm, Some(Alarm::Silence));
        series.advance(&[], after(n + empty + more), ZONE, Sensitivity::Low);
        prop_assert_eq!(series.alarm, Some(Alarm::Silence));
    }
}
