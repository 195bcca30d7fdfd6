//! The delivery protocol, explored: every interleaving of two workers with the same task, a sweeper, a person, crashes at any line and a vendor
//! that commits early, late or never and may lose each answer. The world moves by the functions that the platform moves by. Times are kept
//! relative to now and what is over is forgotten, so that the world is finite and *any* number of crashes, doubled tasks, look-ups and retries
//! is explored. Then the same with rules that are wrong, to show that it would be seen.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something it needs is not there")]

use std::collections::{HashMap, VecDeque};

use chrono::{DateTime, Duration, Utc};
use domain::delivery::{self, DeliveryState, Outcome, Policy, Receipt};
use domain::fault::{Fault, FaultClass, Owner};
use domain::proof::{Absence, Doubt};
use domain::protocol::{self, Event};

/// Seconds of the small world.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// How long the vendor takes to show what took effect, and how late it may take effect.
    settle: i8,
    lands: i8,
    /// How long a begun attempt may wait to be sent, a call may last, and an attempt may stay open.
    slot: i8,
    call: i8,
    lease: i8,
}

const SLOW_TO_SHOW: Times = Times { settle: 2, lands: 0, slot: 1, call: 1, lease: 3 };
const LANDS_LATE: Times = Times { settle: 1, lands: 2, slot: 1, call: 1, lease: 3 };

/// The decisions that are tried out; [`Rules::ours`] are those of the platform.
#[derive(Clone, Copy)]
struct Rules {
    next: fn(DeliveryState, Event) -> Option<DeliveryState>,
    absence: fn(&Doubt, DateTime<Utc>, DateTime<Utc>) -> Absence,
    /// The latest moment at which an open attempt may have been sent, from its start.
    open_until: fn(Times) -> i8,
    /// An attempt may begin by what was read before another one.
    begins_stale: bool,
}

impl Rules {
    fn ours() -> Self {
        Self {
            next: |from, event| Some(protocol::next(from, event)?.to),
            absence: |doubt, asked_at, now| doubt.after_absence(asked_at, now),
            open_until: |times| times.lease,
            begins_stale: false,
        }
    }
}

/// What a call brought back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Answer {
    Stored,
    Refused,
    Limited,
    Found,
    Absent,
    Nothing,
}

/// Where a worker stands. Each arrow between two of these is a line at which it can die.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Worker {
    Idle,
    /// It has read the row; `until` is what it knows of the writes before. `current`: no attempt was begun since.
    Loaded {
        proof: bool,
        current: bool,
        until: i8,
    },
    /// Its attempt is committed as started. `current`: no later one was.
    Begun {
        proof: bool,
        current: bool,
        send_by: i8,
        open_until: i8,
        until: i8,
    },
    /// The vendor has it; the answer is on its way.
    Called {
        proof: bool,
        current: bool,
        sent: i8,
        open_until: i8,
        until: i8,
        answer: Answer,
    },
    /// It has decided, and has not written it.
    Decided {
        current: bool,
        event: u8,
        due: i8,
        open_until: Option<i8>,
        ended: i8,
    },
}

/// The row, the workers and the vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct World {
    state: DeliveryState,
    due: i8,
    lease: i8,
    unproven: bool,
    /// The latest moment at which a write that is closed, or whose worker died, may have been sent.
    until: i8,
    workers: [Worker; 2],
    /// When the order took, or will take, effect at the vendor.
    effect: Option<i8>,
    effects: u8,
}

const LONG_AGO: i8 = -20;

impl World {
    fn new() -> Self {
        Self {
            state: DeliveryState::Planned,
            due: 0,
            lease: 0,
            unproven: false,
            until: LONG_AGO,
            workers: [Worker::Idle; 2],
            effect: None,
            effects: 0,
        }
    }

    /// Forgets what makes no difference any more, and which worker is which.
    fn normal(mut self, times: Times) -> Self {
        let over = -(times.lands + times.settle + 1);
        let old = |at: i8| if at < over { LONG_AGO } else { at };
        self.due = self.due.max(0);
        self.lease = if self.state == DeliveryState::Sending { self.lease.max(0) } else { 0 };
        self.until = old(self.until);
        self.effect = self.effect.map(|at| at.max(-times.settle));
        for worker in &mut self.workers {
            match worker {
                Worker::Idle => {}
                Worker::Loaded { until, .. } => *until = old(*until),
                Worker::Begun { send_by, open_until, until, .. } => {
                    (*send_by, *open_until, *until) = ((*send_by).max(-1), old(*open_until), old(*until));
                }
                Worker::Called { open_until, until, .. } => (*open_until, *until) = (old(*open_until), old(*until)),
                Worker::Decided { due, open_until, ended, .. } => {
                    (*due, *open_until, *ended) = ((*due).max(0), open_until.map(old), old(*ended));
                }
            }
        }
        self.workers.sort_unstable();
        self
    }

    /// What the ledger knows of when a write may have left us last.
    fn known_until(&self) -> i8 {
        let open = self.workers.iter().filter_map(|worker| match worker {
            Worker::Begun { proof: false, open_until, .. } | Worker::Called { proof: false, open_until, .. } => Some(*open_until),
            Worker::Decided { open_until, .. } => *open_until,
            _ => None,
        });
        open.fold(self.until, i8::max)
    }

    fn may_load(&self) -> Option<bool> {
        match self.state {
            _ if self.due > 0 => None,
            DeliveryState::Planned => Some(false),
            DeliveryState::Unknown => Some(true),
            _ => None,
        }
    }

    fn go(&mut self, rules: Rules, event: Event) -> bool {
        let Some(to) = (rules.next)(self.state, event) else { return false };
        self.state = to;
        self.unproven = protocol::is_unproven_after(event, self.unproven);
        true
    }
}

fn at(second: i8) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + Duration::seconds(i64::from(second) + 100)
}

fn seconds(at: DateTime<Utc>) -> i8 {
    i8::try_from((at - DateTime::UNIX_EPOCH).num_seconds() - 100).unwrap()
}

fn index(event: Event) -> u8 {
    u8::try_from(Event::ALL.iter().position(|one| *one == event).unwrap()).unwrap()
}

/// What the platform's own functions make of an answer: the event, and when it is due then.
fn decide(rules: Rules, times: Times, proof: bool, answer: Answer, asked: i8, until: i8) -> Vec<(Event, i8)> {
    let settle = Duration::seconds(i64::from(times.settle));
    if proof {
        return match answer {
            Answer::Found => vec![(Event::Found, 0)],
            Answer::Absent => {
                let lands_within = Duration::seconds(i64::from(times.lands));
                let doubt = Doubt { sent_until: at(until), lands_within, settle };
                match (rules.absence)(&doubt, at(asked), at(0)) {
                    Absence::ForGood => vec![(Event::Absent, 0)],
                    Absence::Early(next) => vec![(Event::AbsentEarly, seconds(next))],
                }
            }
            _ => vec![(Event::Silent, 1), (Event::GivenUp, 0)],
        };
    }
    let fault = |class| Outcome::Failed(Fault::new(class, "x", String::new(), Owner::Vendor, ""));
    let outcome = match answer {
        Answer::Stored => Outcome::Stored(Receipt { id: "1".into(), version: None }),
        Answer::Refused => fault(FaultClass::Validation),
        Answer::Limited => fault(FaultClass::Limit),
        _ => fault(FaultClass::Unknown),
    };
    let policy = Policy { backoff_ms: 1_000, backoff_max_ms: 1_000, ..Policy::default() };
    let next = delivery::after(outcome, 1, &policy, settle, Duration::zero(), at(0), 1.0);
    let due = match &next {
        delivery::Next::Wait { until, .. } => seconds(*until),
        delivery::Next::Prove { at, .. } => seconds(*at),
        _ => 0,
    };
    vec![(next.event(), due)]
}

/// All that can happen next, each with a word for it.
fn steps(world: &World, rules: Rules, times: Times) -> Vec<(&'static str, World)> {
    let mut all = Vec::new();
    for (place, worker) in world.workers.into_iter().enumerate() {
        let mut add = |word: &'static str, to: Worker, change: &dyn Fn(&mut World)| {
            let mut next = *world;
            next.workers[place] = to;
            change(&mut next);
            all.push((word, next.normal(times)));
        };
        let same = |_: &mut World| {};
        match worker {
            Worker::Idle => {
                if let Some(proof) = world.may_load() {
                    add("a task is taken", Worker::Loaded { proof, current: true, until: world.known_until() }, &same);
                }
            }
            Worker::Loaded { proof, current, until } => {
                // The conditional UPDATE that begins an attempt.
                if world.may_load() == Some(proof) && (current || rules.begins_stale) {
                    let open_until = (rules.open_until)(times);
                    let begun = Worker::Begun { proof, current: true, send_by: times.slot, open_until, until };
                    add("an attempt is committed", begun, &|next| {
                        next.go(rules, if proof { Event::Asked } else { Event::Started });
                        next.lease = times.lease;
                        if proof {
                            next.due = times.lease;
                        }
                        match &mut next.workers[1 - place] {
                            Worker::Idle => {}
                            Worker::Loaded { current, .. }
                            | Worker::Begun { current, .. }
                            | Worker::Called { current, .. }
                            | Worker::Decided { current, .. } => *current = false,
                        }
                    });
                } else {
                    add("somebody was faster", Worker::Idle, &same);
                }
            }
            Worker::Begun { proof, current, send_by, open_until, until } => {
                let called = |answer| Worker::Called { proof, current, sent: 0, open_until, until, answer };
                if send_by >= 0 && proof {
                    let is_there = world.effect.is_some_and(|at| at <= 0);
                    let is_shown = world.effect.is_some_and(|at| at + times.settle <= 0);
                    if is_there {
                        add("the vendor has it", called(Answer::Found), &same);
                    }
                    if !is_shown {
                        add("the vendor shows nothing", called(Answer::Absent), &same);
                    }
                    add("the vendor does not say", called(Answer::Nothing), &same);
                } else if send_by >= 0 {
                    let commit = |after: i8| {
                        move |next: &mut World| {
                            next.effect = Some(next.effect.map_or(after, |at| at.min(after)));
                            next.effects += 1;
                        }
                    };
                    add("the vendor stores it and says so", called(Answer::Stored), &commit(0));
                    add("the vendor stores it and the answer is lost", called(Answer::Nothing), &commit(0));
                    for after in 1..=times.lands {
                        add("the vendor stores it later, without an answer", called(Answer::Nothing), &commit(after));
                    }
                    add("the vendor refuses it", called(Answer::Refused), &same);
                    add("the vendor is at its limit", called(Answer::Limited), &same);
                    add("the request is lost", called(Answer::Nothing), &same);
                }
                // No slot became free in time.
                let (event, due) = if proof { (Event::Silent, 1) } else { (Event::Passing, 1) };
                let open_until = (!proof).then_some(open_until);
                add("it is not sent", Worker::Decided { current, event: index(event), due, open_until, ended: 0 }, &same);
            }
            Worker::Called { proof, current, sent, open_until, until, answer } => {
                for (event, due) in decide(rules, times, proof, answer, sent, until) {
                    let open_until = (!proof).then_some(open_until);
                    add("it is decided", Worker::Decided { current, event: index(event), due, open_until, ended: 0 }, &same);
                }
            }
            Worker::Decided { current, event, due, open_until, ended } => {
                add("it is written", Worker::Idle, &|next| {
                    if open_until.is_some() {
                        next.until = next.until.max(ended);
                    }
                    // The conditional UPDATE that ends an attempt.
                    let is_open = matches!(next.state, DeliveryState::Sending | DeliveryState::Unknown);
                    if current && is_open && next.go(rules, Event::ALL[usize::from(event)]) {
                        next.due = due;
                    }
                });
            }
        }
        if worker != Worker::Idle {
            let open_until = match worker {
                Worker::Begun { proof: false, open_until, .. } | Worker::Called { proof: false, open_until, .. } => {
                    Some(open_until)
                }
                Worker::Decided { open_until, .. } => open_until,
                _ => None,
            };
            add("a worker dies", Worker::Idle, &|next| next.until = next.until.max(open_until.unwrap_or(LONG_AGO)));
        }
    }
    let mut others = |word, event: Event| {
        let mut next = *world;
        next.due = 0;
        if next.go(rules, event) {
            all.push((word, next.normal(times)));
        }
    };
    match world.state {
        DeliveryState::Sending if world.lease <= 0 => others("the sweeper finds an open attempt", Event::NeverClosed),
        DeliveryState::Waiting if world.due <= 0 => others("the sweeper ends a wait", Event::Due),
        DeliveryState::Exception => {
            others("a person retries", if world.unproven { Event::RetriedUnproven } else { Event::Retried });
            others("a person ignores it", Event::Dropped);
        }
        DeliveryState::Cancelled => others("a person reopens it", Event::Reopened),
        DeliveryState::Confirmed => others("its id is disputed", Event::Disputed),
        _ => {}
    }
    all.extend(tick(world, times).map(|next| ("a second passes", next)));
    all
}

/// A second passes, unless a call must end before.
fn tick(world: &World, times: Times) -> Option<World> {
    let mut next = *world;
    (next.due, next.lease) = (next.due - 1, next.lease - 1);
    next.until = next.until.saturating_sub(1).max(LONG_AGO);
    next.effect = next.effect.map(|at| at - 1);
    let earlier = |at: &mut i8| *at = (*at - 1).max(LONG_AGO);
    for worker in &mut next.workers {
        match worker {
            Worker::Idle => {}
            Worker::Loaded { until, .. } => earlier(until),
            Worker::Begun { send_by, open_until, until, .. } => [send_by, open_until, until].into_iter().for_each(earlier),
            Worker::Called { sent, open_until, until, .. } => {
                if *sent <= -times.call {
                    return None;
                }
                [sent, open_until, until].into_iter().for_each(earlier);
            }
            Worker::Decided { due, open_until, ended, .. } => {
                [due, ended].into_iter().chain(open_until.as_mut()).for_each(earlier);
            }
        }
    }
    Some(next.normal(times))
}

/// What may never be.
fn wrong(world: &World) -> Option<&'static str> {
    match world.state {
        _ if world.effects > 1 => Some("it was done twice"),
        DeliveryState::Confirmed if world.effects == 0 => Some("it is confirmed and was never done"),
        _ => None,
    }
}

/// From here on nothing fails: it ends confirmed and done once, or with a person; else what is wrong.
fn ends_badly(world: &World, rules: Rules, times: Times) -> Option<&'static str> {
    let mut world = *world;
    for _ in 0..200 {
        let is_over = matches!(world.state, DeliveryState::Confirmed | DeliveryState::Exception | DeliveryState::Cancelled);
        if world.workers == [Worker::Idle; 2] && is_over {
            return wrong(&world);
        }
        let good = [
            "it is written",
            "it is decided",
            "the vendor has it",
            "the vendor shows nothing",
            "the vendor stores it and says so",
            "an attempt is committed",
            "somebody was faster",
            "it is not sent",
            "the sweeper finds an open attempt",
            "the sweeper ends a wait",
            "a task is taken",
            "a second passes",
        ];
        let all = steps(&world, rules, times);
        let Some((_, next)) = good.iter().find_map(|word| all.iter().find(|(taken, _)| taken == word)) else { break };
        world = *next;
    }
    Some("it never ends")
}

/// Explores all of it; the shortest story that ends wrong, where there is one.
fn explore(rules: Rules, times: Times) -> Result<usize, String> {
    let first = World::new().normal(times);
    let mut seen: HashMap<World, Option<(World, &'static str)>> = HashMap::from([(first, None)]);
    let mut queue = VecDeque::from([first]);
    let story = |seen: &HashMap<World, Option<(World, &'static str)>>, mut world: World, end: &str| {
        let mut words = vec![end];
        while let Some(Some((before, word))) = seen.get(&world) {
            words.push(word);
            world = *before;
        }
        words.reverse();
        words.join(", ")
    };
    while let Some(world) = queue.pop_front() {
        if let Some(what) = wrong(&world) {
            return Err(story(&seen, world, what));
        }
        if let Some(what) = ends_badly(&world, rules, times) {
            return Err(story(&seen, world, what));
        }
        for (word, next) in steps(&world, rules, times) {
            seen.entry(next).or_insert_with(|| {
                queue.push_back(next);
                Some((world, word))
            });
        }
    }
    Ok(seen.len())
}

#[test]
fn however_workers_answers_and_people_interleave_an_order_is_done_once_and_never_lost() {
    for times in [SLOW_TO_SHOW, LANDS_LATE] {
        let worlds = explore(Rules::ours(), times).unwrap_or_else(|story| panic!("{times:?}: {story}"));
        assert!(worlds > 5_000, "only {worlds} worlds were explored");
    }
}

/// A wrong rule is found by the model, in one of its worlds.
fn is_found(rules: Rules, expected: &str) {
    let stories: Vec<String> = [SLOW_TO_SHOW, LANDS_LATE].into_iter().filter_map(|times| explore(rules, times).err()).collect();
    assert!(stories.iter().any(|story| story.ends_with(expected)), "it was not found: {stories:?}");
}

#[test]
fn sending_again_without_a_proof_would_be_found() {
    is_found(
        Rules {
            next: |from, event| match (from, event) {
                (DeliveryState::Sending, Event::Lost) => Some(DeliveryState::Planned),
                _ => Some(protocol::next(from, event)?.to),
            },
            ..Rules::ours()
        },
        "it was done twice",
    );
}

#[test]
fn sending_again_what_a_dead_worker_left_would_be_found() {
    is_found(
        Rules {
            next: |from, event| match (from, event) {
                (DeliveryState::Sending, Event::NeverClosed) => Some(DeliveryState::Planned),
                _ => Some(protocol::next(from, event)?.to),
            },
            ..Rules::ours()
        },
        "it was done twice",
    );
}

#[test]
fn a_retry_that_does_not_ask_first_would_be_found() {
    is_found(
        Rules {
            next: |from, event| match (from, event) {
                (DeliveryState::Exception, Event::RetriedUnproven) => Some(DeliveryState::Planned),
                _ => Some(protocol::next(from, event)?.to),
            },
            ..Rules::ours()
        },
        "it was done twice",
    );
}

#[test]
fn reopening_what_was_ignored_straight_into_its_way_would_be_found() {
    is_found(
        Rules {
            next: |from, event| match (from, event) {
                (DeliveryState::Cancelled, Event::Reopened) => Some(DeliveryState::Planned),
                _ => Some(protocol::next(from, event)?.to),
            },
            ..Rules::ours()
        },
        "it was done twice",
    );
}

#[test]
fn believing_the_first_empty_look_up_would_be_found() {
    is_found(Rules { absence: |_, _, _| Absence::ForGood, ..Rules::ours() }, "it was done twice");
}

#[test]
fn judging_a_look_up_by_when_its_answer_came_would_be_found() {
    is_found(Rules { absence: |doubt, _, now| doubt.after_absence(now, now), ..Rules::ours() }, "it was done twice");
}

#[test]
fn taking_the_longer_of_landing_and_showing_instead_of_both_would_be_found() {
    let longer = |doubt: &Doubt, asked_at: DateTime<Utc>, now: DateTime<Utc>| {
        let lands_within = (doubt.lands_within - doubt.settle).max(Duration::zero());
        Doubt { lands_within, ..*doubt }.after_absence(asked_at, now)
    };
    is_found(Rules { absence: longer, ..Rules::ours() }, "it was done twice");
}

#[test]
fn counting_from_when_an_attempt_that_never_closed_was_started_would_be_found() {
    is_found(Rules { open_until: |_| 0, ..Rules::ours() }, "it was done twice");
}

#[test]
fn beginning_an_attempt_by_what_was_read_before_another_would_be_found() {
    is_found(Rules { begins_stale: true, ..Rules::ours() }, "it was done twice");
}

#[test]
fn sending_again_what_another_record_disputes_would_be_found() {
    is_found(
        Rules {
            next: |from, event| match (from, event) {
                (DeliveryState::Confirmed, Event::Disputed) => Some(DeliveryState::Planned),
                _ => Some(protocol::next(from, event)?.to),
            },
            ..Rules::ours()
        },
        "it was done twice",
    );
}

#[test]
fn an_unknown_write_that_nobody_asks_about_would_be_found() {
    is_found(
        Rules {
            next: |from, event| match (from, event) {
                (DeliveryState::Unknown, Event::Absent) => Some(DeliveryState::Unknown),
                _ => Some(protocol::next(from, event)?.to),
            },
            ..Rules::ours()
        },
        "it never ends",
    );
}
