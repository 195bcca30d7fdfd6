//! Who is served next: in virtual time, so that what the scheduler promises is seen over hours in a moment.
#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::HashMap;
use std::time::Duration;

use domain::id::TenantId;
use domain::lane::Lane;
use domain::schedule::Schedule;
use proptest::prelude::*;

const MS: Duration = Duration::from_millis(1);

fn fill(schedule: &mut Schedule<u64>, lane: Lane, tenant: TenantId, count: u64, now: Duration) {
    for item in 0..count {
        schedule.push(lane, tenant, 1, item, now).unwrap();
    }
}

#[test]
fn what_has_just_happened_goes_before_what_comes_again_and_that_before_a_backfill() {
    let mut schedule = Schedule::new(1_000);
    let acme = TenantId::generate();
    for lane in [Lane::Backfill, Lane::Retry, Lane::Live] {
        fill(&mut schedule, lane, acme, 5, Duration::ZERO);
    }
    let lanes: Vec<Lane> = std::iter::from_fn(|| schedule.next(10, MS)).map(|turn| turn.lane).collect();
    assert_eq!(lanes, [Lane::Live, Lane::Retry, Lane::Backfill]);
}

#[test]
fn a_backfill_ends_though_live_work_never_does() {
    let mut schedule = Schedule::new(100_000);
    let (acme, other) = (TenantId::generate(), TenantId::generate());
    fill(&mut schedule, Lane::Backfill, acme, 1_000, Duration::ZERO);
    let (mut now, mut live, mut filled) = (Duration::ZERO, 0, 0);
    while filled < 1_000 {
        fill(&mut schedule, Lane::Live, other, 10, now);
        let turn = schedule.next(10, now).unwrap();
        now += MS * u32::try_from(turn.items.len()).unwrap();
        schedule.charge(turn.bill(), MS * u32::try_from(turn.items.len()).unwrap());
        match turn.lane {
            Lane::Backfill => filled += turn.items.len(),
            _ => live += turn.items.len(),
        }
        assert!(live < 100_000, "{filled} of the backfill came through beside {live} live ones");
    }
    assert!(live >= 60_000, "nothing of it went before it had waited a minute: {live}");
    assert!(live <= 60_000 + 1_000 * 25, "from then on it has its share of a twentieth: {live}");
}

#[test]
fn one_order_does_not_wait_behind_another_tenants_hundred_thousand() {
    let mut schedule = Schedule::new(100_000);
    let (acme, other) = (TenantId::generate(), TenantId::generate());
    fill(&mut schedule, Lane::Live, acme, 100_000, Duration::ZERO);
    let mut now = Duration::ZERO;
    let mut serve = |schedule: &mut Schedule<u64>| {
        let turn = schedule.next(100, now).unwrap();
        let took = MS * u32::try_from(turn.items.len()).unwrap() / 2;
        now += took;
        schedule.charge(turn.bill(), took);
        turn.tenant
    };
    for _ in 0..20 {
        serve(&mut schedule);
    }
    schedule.push(Lane::Live, other, 1, 0, Duration::from_secs(1)).unwrap();
    let turns = (1..).find(|_| serve(&mut schedule) == other).unwrap();
    assert!(turns <= 2, "it waited for {turns} turns");
}

#[test]
fn tenants_share_the_workers_time_by_weight_and_not_by_count() {
    let mut schedule = Schedule::new(100_000);
    let tenants: Vec<TenantId> = (0..3).map(|_| TenantId::generate()).collect();
    // The second has work that takes ten times as long, the third has three times the weight.
    let (cost, weight) = ([1, 10, 1], [1, 1, 3]);
    let mut spent: HashMap<TenantId, u32> = HashMap::new();
    for _ in 0..10_000 {
        for (index, tenant) in tenants.iter().enumerate() {
            while schedule.push(Lane::Live, *tenant, weight[index], 0, Duration::ZERO).is_ok() && schedule.len() % 64 != 0 {}
        }
        let turn = schedule.next(20, Duration::ZERO).unwrap();
        let index = tenants.iter().position(|tenant| *tenant == turn.tenant).unwrap();
        let took = u32::try_from(turn.items.len()).unwrap() * cost[index];
        schedule.charge(turn.bill(), MS * took);
        *spent.entry(turn.tenant).or_default() += took;
    }
    let of = |index: usize| f64::from(spent[&tenants[index]]);
    assert!((of(1) / of(0) - 1.0).abs() < 0.05, "{} and {} ms", of(0), of(1));
    assert!((of(2) / of(0) - 3.0).abs() < 0.15, "{} and {} ms", of(0), of(2));
}

#[test]
fn what_finds_no_room_is_given_back() {
    let mut schedule = Schedule::new(2);
    let (acme, other) = (TenantId::generate(), TenantId::generate());
    fill(&mut schedule, Lane::Live, acme, 2, Duration::ZERO);
    assert_eq!(schedule.push(Lane::Live, acme, 1, 7, Duration::ZERO), Err(7));
    assert_eq!(schedule.push(Lane::Retry, acme, 1, 7, Duration::ZERO), Ok(()), "each lane has room of its own");
    assert_eq!(schedule.push(Lane::Live, other, 1, 7, Duration::ZERO), Ok(()), "and each tenant");
}

proptest! {
    #[test]
    fn everything_comes_out_once_and_in_order_whoever_comes_when(
        steps in proptest::collection::vec((0..3_usize, 0..4_usize, 1..8_usize, 0..200_u64, 0..30_000_u64), 1..300),
    ) {
        let tenants: Vec<TenantId> = (0..4).map(|_| TenantId::generate()).collect();
        let mut schedule = Schedule::new(usize::MAX);
        let mut pushed: HashMap<(Lane, TenantId), Vec<u64>> = HashMap::new();
        let mut served: HashMap<(Lane, TenantId), Vec<u64>> = HashMap::new();
        let (mut now, mut item) = (Duration::ZERO, 0);
        let mut serve = |schedule: &mut Schedule<u64>, max, now, took| {
            let Some(turn) = schedule.next(max, now) else { return false };
            assert!(!turn.items.is_empty() && turn.items.len() <= max);
            schedule.charge(turn.bill(), Duration::from_micros(took));
            served.entry((turn.lane, turn.tenant)).or_default().extend(turn.items);
            true
        };
        for (lane, tenant, count, wait, took) in steps {
            let (lane, tenant) = (Lane::ALL[lane], tenants[tenant]);
            for _ in 0..count {
                item += 1;
                schedule.push(lane, tenant, 1, item, now).unwrap();
                pushed.entry((lane, tenant)).or_default().push(item);
            }
            now += Duration::from_secs(wait);
            serve(&mut schedule, count, now, took);
        }
        while serve(&mut schedule, 5, now, 100) {}
        prop_assert!(schedule.is_empty());
        prop_assert_eq!(pushed, served);
    }
}
