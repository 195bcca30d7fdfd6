//! The tamper matrix: whatever is done to an export, it is found and named. Signatures are a hash here; `infra` has real ones.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::merkle;
use crate::seal::{Entry, Statement};

const KEY: &[u8] = b"the tenant's key";
const THEIRS: &[u8] = b"another key";

fn sign(key: &[u8], bytes: &[u8]) -> String {
    STANDARD.encode(merkle::hash(&[key, bytes]))
}

fn is_signed(key: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
    merkle::hash(&[key, bytes]) == signature
}

fn id(n: u128) -> AuditEventId {
    AuditEventId(Uuid::from_u128(n))
}

fn event(n: u128) -> AuditEvent {
    AuditEvent {
        id: id(n),
        tenant: TenantId(Uuid::nil()),
        at: DateTime::UNIX_EPOCH,
        actor: json!({"kind": "member", "user": "usr_1", "role": "owner"}),
        action: "flow.published".into(),
        subject_kind: "flow".into(),
        subject_id: Uuid::from_u128(n),
        request_id: Uuid::nil(),
        detail: n.is_multiple_of(2).then(|| "{\"version\":1}".into()),
    }
}

fn seal(tip: &mut Tip, events: &[AuditEvent], key: &[u8]) -> Seal {
    let entries: Vec<Entry> = events.iter().map(|event| Entry { id: event.id, digest: event.digest() }).collect();
    let statement = Statement::next(TenantId(Uuid::nil()), tip, &entries, DateTime::UNIX_EPOCH + Duration::minutes(1));
    *tip = statement.tip();
    Seal { signature: sign(key, &statement.to_sign()), statement, entries }
}

fn head(tip: Tip, after: u64, key: &[u8]) -> Head {
    let statement = HeadStatement::new(TenantId(Uuid::nil()), tip, after, DateTime::UNIX_EPOCH);
    Head { public_key: STANDARD.encode(key), signature: sign(key, &statement.to_sign()), statement }
}

/// Seals of four events each.
fn log_by(key: &[u8], seals: u128) -> Vec<ExportLine> {
    let (mut tip, mut lines) = (Tip::start(), vec![]);
    for n in 0..seals {
        let events: Vec<AuditEvent> = (1..=4).map(|at| event(n * 10 + at)).collect();
        lines.push(ExportLine::Seal(Box::new(seal(&mut tip, &events, key))));
        lines.extend(events.into_iter().map(ExportLine::Event));
    }
    lines.insert(0, ExportLine::Head(head(tip, 0, key)));
    lines
}

fn log() -> Vec<ExportLine> {
    log_by(KEY, 3)
}

fn head_of(lines: &[ExportLine]) -> Head {
    let ExportLine::Head(head) = &lines[0] else { panic!("it begins with a head") };
    head.clone()
}

fn verify_with(lines: &[ExportLine], expected: Option<&[u8]>, held: Option<Head>) -> Result<Verified, Tampered> {
    let lines: Vec<Vec<u8>> = lines.iter().map(ExportLine::to_line).collect();
    let expected = expected.map(|key| STANDARD.encode(key));
    let mut verifier = Verifier::begin(&lines[0], expected.as_deref(), held, is_signed)?;
    for line in &lines[1..] {
        verifier.take(line)?;
    }
    verifier.finish()
}

fn verify(lines: &[ExportLine]) -> Result<Verified, Tampered> {
    verify_with(lines, Some(KEY), None)
}

/// What is found after the lines were changed: line 0 is the head, 1 the first seal, 2 to 5 its events, 6 the second seal and so on.
fn found(tamper: impl FnOnce(&mut Vec<ExportLine>)) -> Tampered {
    let mut lines = log();
    tamper(&mut lines);
    verify(&lines).expect_err("it was tampered with")
}

fn as_event(line: &mut ExportLine) -> &mut AuditEvent {
    let ExportLine::Event(event) = line else { panic!("it is an event") };
    event
}

fn as_seal(line: &mut ExportLine) -> &mut Seal {
    let ExportLine::Seal(seal) = line else { panic!("it is a seal") };
    seal
}

#[test]
fn an_untouched_log_is_good() {
    let good = verify(&log()).unwrap();
    assert_eq!((good.seals, good.events, good.head.seal, good.late), (3, 12, 3, 0));
    let empty = [ExportLine::Head(head(Tip::start(), 0, KEY))];
    assert_eq!(verify(&empty).unwrap().events, 0);
}

#[test]
fn tamper_alter_is_found_in_every_field() {
    let alter: Vec<fn(&mut AuditEvent)> = vec![
        |it| it.at += Duration::microseconds(1),
        |it| it.actor["user"] = "usr_2".into(),
        |it| it.action = "flow.retired".into(),
        |it| it.subject_kind = "flo".into(),
        |it| it.subject_id = Uuid::nil(),
        |it| it.request_id = Uuid::from_u128(1),
        |it| it.detail = Some("{}".into()),
        |it| it.detail = None,
    ];
    for alter in alter {
        let expected = Tampered::EventAltered { id: id(12), seal: 2 };
        assert_eq!(found(|lines| alter(as_event(&mut lines[8]))), expected);
    }
}

#[test]
fn tamper_of_several_names_the_first() {
    let both = found(|lines| {
        as_event(&mut lines[9]).detail = Some("x".into());
        as_event(&mut lines[3]).detail = Some("x".into());
    });
    assert_eq!(both, Tampered::EventAltered { id: id(2), seal: 1 });
}

#[test]
fn tamper_delete_names_what_is_missing_wherever_it_stood() {
    for (at, n, number) in [(2, 1, 1), (4, 3, 1), (5, 4, 1), (15, 24, 3)] {
        let expected = Tampered::EventMissing { id: id(n), seal: number };
        assert_eq!(found(|lines| drop(lines.remove(at))), expected, "line {at}");
    }
    assert_eq!(found(|lines| drop(lines.drain(2..6))), Tampered::EventMissing { id: id(1), seal: 1 });
}

#[test]
fn tamper_insert_names_what_was_added_wherever_it_stands() {
    for (at, seal) in [(2, 1), (4, 1), (6, 1), (9, 2)] {
        let expected = Tampered::EventAdded { id: id(99), seal };
        assert_eq!(found(|lines| lines.insert(at, ExportLine::Event(event(99)))), expected, "line {at}");
    }
    assert_eq!(found(|lines| lines.push(ExportLine::Event(event(99)))), Tampered::EventUnsealed { id: id(99) });
    let twice = found(|lines| lines.insert(3, lines[2].clone()));
    assert_eq!(twice, Tampered::EventAdded { id: id(1), seal: 1 });
    let many = found(|lines| (90..99).for_each(|n| lines.insert(3, ExportLine::Event(event(n)))));
    assert_eq!(many, Tampered::EventAdded { id: id(98), seal: 1 });
    assert_eq!(found(|lines| lines.insert(1, ExportLine::Event(event(99)))), Tampered::EventUnsealed { id: id(99) });
}

#[test]
fn tamper_swap_is_found_within_a_seal_between_seals_and_of_seals() {
    assert_eq!(found(|lines| lines.swap(3, 4)), Tampered::EventMoved { id: id(3), seal: 1 });
    assert_eq!(found(|lines| lines.swap(3, 8)), Tampered::EventAdded { id: id(12), seal: 1 });
    assert_eq!(found(|lines| lines.swap(1, 6)), Tampered::SealMissing(1));
    // One event under the id of another.
    let renamed = found(|lines| {
        as_event(&mut lines[2]).id = id(2);
        as_event(&mut lines[3]).id = id(1);
    });
    assert_eq!(renamed, Tampered::EventMoved { id: id(2), seal: 1 });
}

#[test]
fn tamper_truncate_is_found_after_a_seal_and_within_one() {
    assert_eq!(found(|lines| lines.truncate(11)), Tampered::Truncated { found: 2, head: 3 });
    assert_eq!(found(|lines| lines.truncate(1)), Tampered::Truncated { found: 0, head: 3 });
    assert_eq!(found(|lines| lines.truncate(14)), Tampered::EventMissing { id: id(23), seal: 3 });
    assert_eq!(found(|lines| drop(lines.drain(1..6))), Tampered::SealMissing(1));
    assert_eq!(found(|lines| drop(lines.drain(6..11))), Tampered::SealMissing(2));
    assert_eq!(found(|lines| drop(lines.remove(0))), Tampered::NoHead);
    // Events without their seal are those of the seal before, which has none of them.
    assert_eq!(found(|lines| drop(lines.remove(6))), Tampered::EventAdded { id: id(11), seal: 1 });
}

#[test]
fn tamper_truncate_with_an_older_head_is_found_by_a_head_that_was_kept() {
    let (kept, cut) = (head_of(&log()), log_by(KEY, 2));
    assert!(verify(&cut).is_ok(), "the end is cut off together with what says so");
    let expected = Tampered::BehindHeld { held: 3, found: 2 };
    assert_eq!(verify_with(&cut, Some(KEY), Some(kept.clone())), Err(expected));
    assert!(verify_with(&log_by(KEY, 4), Some(KEY), Some(kept.clone())).is_ok());

    // The end is cut off and written anew, to any length.
    let mut tip = Tip::start();
    let mut lines = vec![];
    for n in 0..4 {
        let events = [event(n * 100 + 1)];
        lines.push(ExportLine::Seal(Box::new(seal(&mut tip, &events, KEY))));
        lines.extend(events.map(ExportLine::Event));
    }
    lines.insert(0, ExportLine::Head(head(tip, 0, KEY)));
    assert!(verify(&lines).is_ok(), "whoever has the key can write another log");
    assert_eq!(verify_with(&lines, Some(KEY), Some(kept)), Err(Tampered::NotHeld(3)));
}

#[test]
fn tamper_forge_of_a_seal_is_found_by_its_signature_its_list_and_its_chain() {
    type Forgery = fn(&mut Seal);
    let forge: Vec<(Forgery, Tampered)> = vec![
        (|it| it.statement.sealed_at += Duration::seconds(1), Tampered::Signature(Place::Seal(2))),
        (|it| it.statement.root = "00".into(), Tampered::Signature(Place::Seal(2))),
        (|it| it.statement.events_before = 0, Tampered::Signature(Place::Seal(2))),
        (|it| it.signature = STANDARD.encode([0; 32]), Tampered::Signature(Place::Seal(2))),
        (|it| it.signature = sign(THEIRS, &it.statement.to_sign()), Tampered::Signature(Place::Seal(2))),
        (|it| it.entries[0].digest = [0; 32], Tampered::List(2)),
        (|it| it.entries.swap(0, 1), Tampered::List(2)),
        (|it| it.entries.truncate(3), Tampered::List(2)),
        (|it| it.statement.number = 7, Tampered::SealMissing(2)),
        (|it| it.statement.number = 1, Tampered::SealMoved { expected: 2, found: 1 }),
    ];
    for (at, (forge, expected)) in forge.into_iter().enumerate() {
        assert_eq!(found(|lines| forge(as_seal(&mut lines[6]))), expected, "case {at}");
    }
    // An event and its seal, made to fit each other, signed with the right key but of another chain.
    let chain = found(|lines| {
        let (mut tip, altered) = (Tip { number: 1, ..Tip::start() }, event(15));
        *as_seal(&mut lines[6]) = seal(&mut tip, std::slice::from_ref(&altered), KEY);
        lines.splice(7..11, [ExportLine::Event(altered)]);
    });
    assert_eq!(chain, Tampered::Chain(2));
    // A seal beyond the head.
    let longer = found(|lines| lines.extend(log_by(KEY, 4).split_off(16)));
    assert_eq!(longer, Tampered::SealAdded(4));
}

#[test]
fn tamper_forge_of_the_whole_log_with_another_key_is_found() {
    let theirs = log_by(THEIRS, 3);
    assert_eq!(verify(&theirs), Err(Tampered::OtherKey(STANDARD.encode(THEIRS))));
    let kept = Some(head_of(&log()));
    assert!(matches!(verify_with(&theirs, None, kept), Err(Tampered::OtherKey(_))), "a head that was kept tells the key, too");
    assert_eq!(found(|lines| lines[0] = log_by(THEIRS, 3).remove(0)), Tampered::OtherKey(STANDARD.encode(THEIRS)));
    let head = |tamper: fn(&mut HeadStatement)| {
        found(|lines| {
            let mut head = head_of(lines);
            tamper(&mut head.statement);
            lines[0] = ExportLine::Head(head);
        })
    };
    assert_eq!(head(|it| it.seal = 2), Tampered::Signature(Place::Head));
    assert_eq!(head(|it| it.after = 1), Tampered::Signature(Place::Head));
    assert_eq!(found(|lines| lines[0] = log_by(KEY, 2).remove(0)), Tampered::SealAdded(3));
}

#[test]
fn a_part_continues_the_head_of_the_part_before_and_says_where_it_begins() {
    let mut lines = log();
    let (first, last) = (head_of(&log_by(KEY, 1)), head_of(&lines));
    let tip = as_seal(&mut lines[11]).statement.tip();
    lines.splice(0..6, [ExportLine::Head(head(tip, 1, KEY))]);
    let good = verify_with(&lines, Some(KEY), Some(first)).unwrap();
    assert_eq!((good.head.after, good.seals, good.events), (1, 2, 8));
    assert!(verify_with(&lines, Some(KEY), Some(last)).is_ok());
    let other = head(Tip { number: 1, ..Tip::start() }, 0, KEY);
    assert_eq!(verify_with(&lines, Some(KEY), Some(other)), Err(Tampered::NotHeld(1)));
    let alone = [ExportLine::Head(head(as_seal(&mut lines[6]).statement.tip(), 3, KEY))];
    assert!(verify(&alone).is_ok(), "a head is an export of nothing");
    let early = head_of(&log_by(KEY, 1));
    assert_eq!(verify_with(&alone, Some(KEY), Some(early)), Err(Tampered::BeyondHeld { held: 1, after: 3 }));
}

#[test]
fn what_is_no_line_of_an_export_or_of_another_tenant_is_named_by_its_line() {
    let mut verifier = Verifier::begin(&log()[0].to_line(), None, None, is_signed).unwrap();
    assert!(matches!(verifier.take(b"{}\n"), Err(Tampered::Unreadable { line: 2, .. })));
    let mut with_more = serde_json::to_value(&log()[2]).unwrap();
    with_more["event"]["note"] = "x".into();
    let mut verifier = Verifier::begin(&log()[0].to_line(), None, None, is_signed).unwrap();
    verifier.take(&log()[1].to_line()).unwrap();
    assert!(matches!(verifier.take(with_more.to_string().as_bytes()), Err(Tampered::Unreadable { line: 3, .. })));
    let other = TenantId(Uuid::from_u128(7));
    assert_eq!(found(|lines| as_event(&mut lines[2]).tenant = other), Tampered::Tenant { line: 3, tenant: other });
}

#[test]
fn what_the_rule_took_away_is_no_tampering_and_what_else_is_gone_is() {
    let mut lines = log();
    let mut tip = as_seal(&mut lines[11]).statement.tip();
    tip.removed = 2;
    let events = [event(31)];
    lines.push(ExportLine::Seal(Box::new(seal(&mut tip, &events, KEY))));
    lines.extend(events.map(ExportLine::Event));
    lines[0] = ExportLine::Head(head(tip, 0, KEY));
    assert_eq!(verify(&lines).unwrap().events, 13, "what is still there is looked at");
    let mut kept = lines.clone();
    kept.drain(7..11);
    kept.drain(2..6);
    let good = verify(&kept).unwrap();
    assert_eq!((good.seals, good.events, good.removed), (4, 5, 8));
    // A seal loses all of its events by the rule, or none.
    let mut part = lines.clone();
    part.remove(3);
    assert_eq!(verify(&part), Err(Tampered::EventMissing { id: id(2), seal: 1 }));
    let mut more = lines.clone();
    more.drain(12..16);
    assert_eq!(verify(&more), Err(Tampered::EventMissing { id: id(21), seal: 3 }));
    // A head that says more was removed than the last seal does is signed by nobody of ours; with the key it does not fit the seal.
    let mut tip = as_seal(&mut lines[16]).statement.tip();
    tip.removed = 3;
    lines[0] = ExportLine::Head(head(tip, 0, KEY));
    assert_eq!(verify(&lines), Err(Tampered::Head));
}

#[test]
fn an_event_that_says_it_was_done_long_before_it_was_sealed_is_counted() {
    let (mut tip, mut back_dated) = (Tip::start(), event(1));
    back_dated.at -= Duration::days(1);
    let events = [event(2), back_dated];
    let mut lines = vec![ExportLine::Seal(Box::new(seal(&mut tip, &events, KEY)))];
    lines.extend(events.map(ExportLine::Event));
    lines.insert(0, ExportLine::Head(head(tip, 0, KEY)));
    let good = verify(&lines).unwrap();
    assert_eq!((good.late, good.first_late), (1, Some(id(1))));
}

#[test]
fn a_digest_does_not_hang_on_the_order_of_the_actors_keys() {
    let mut other = event(1);
    other.actor = json!({"role": "owner", "user": "usr_1", "kind": "member"});
    assert_eq!(event(1).digest(), other.digest());
}

#[test]
fn tamper_numbers_that_no_log_has_are_named_and_not_counted_on() {
    let beyond = |seal: u64, after: u64| HeadStatement { after, seal, ..head_of(&log()).statement };
    let signed = |statement: HeadStatement| {
        ExportLine::Head(Head { public_key: STANDARD.encode(KEY), signature: sign(KEY, &statement.to_sign()), statement })
    };
    let last = Tip { number: u64::MAX - 1, hash: "00".into(), events: u64::MAX, removed: 0 };
    let (mut tip, events) = (last, [event(1)]);
    let seals = [seal(&mut tip, &events, KEY), seal(&mut Tip { number: u64::MAX - 1, ..tip.clone() }, &events, KEY)];
    assert_eq!(tip.events, u64::MAX);
    let [first, again] = seals.map(|seal| ExportLine::Seal(Box::new(seal)));
    let lines = [signed(beyond(u64::MAX, u64::MAX - 1)), first, ExportLine::Event(event(1)), again];
    assert_eq!(verify(&lines).unwrap_err(), Tampered::EventMissing { id: id(1), seal: u64::MAX });
}
