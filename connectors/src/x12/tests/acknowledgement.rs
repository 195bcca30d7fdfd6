use chrono::{DateTime, Duration, Utc};

use super::round_trip::SAMPLES;
use super::*;

fn answer(text: &str) -> (String, Acknowledgement) {
    let group = received(text).remove(0);
    let separators = Separators::default();
    let guide = Guide::find("997").unwrap().unwrap();
    let tree = acknowledge(&group, &separators).unwrap();
    let segments = guide.make(&tree, &separators, "004010").unwrap_or_else(|error| panic!("{error}"));
    let set = SetDraft { id: "997".into(), control_number: "0001".into(), implementation: None, segments };
    let draft = InterchangeDraft {
        header: header(),
        separators,
        groups: vec![GroupDraft { header: group_header("FA"), sets: vec![set] }],
    };
    let bytes = draft.write().unwrap();
    let read = interchanges(&bytes).remove(0).unwrap();
    let set = receive(&read).remove(0).sets.remove(0);
    let acknowledgement = Acknowledgement::read(set.tree.as_ref().unwrap_or_else(|| panic!("{:?}", set.sentences()))).unwrap();
    let body: String =
        String::from_utf8(bytes).unwrap().split("~").skip(3).filter(|s| s.starts_with("AK")).map(|s| format!("{s}~")).collect();
    (body, acknowledgement)
}

#[test]
fn a_good_group_is_acknowledged_set_by_set() {
    let (written, read) = answer(SAMPLES[2]);
    assert_eq!(written, "AK1*PO*7~AK2*850*0001~AK5*A~AK2*850*0002~AK5*A~AK9*A*2*2*2~");
    assert_eq!((read.verdict, read.sets.len(), read.control_number.get()), (Verdict::Accepted, 2, 7));
    assert_eq!(read.sentences(), ["Group 7 (PO) was accepted."]);
}

#[test]
fn what_is_wrong_is_acknowledged_with_the_code_of_the_standard_and_read_in_words() {
    let good = "BEG*00*SA*1**20261120~PO1*1*1*EA~";
    let bad = "BEG*00*SA*1**20261320~REF*DP*1~CUR*BY*USD~PO1*1*1*EA*1**VN*A>B~PO1*2*1*EA*x*P~ZZZ*1~";
    let text = envelope("PO", &[("850", "0001", good), ("850", "0002", bad), ("850", "0003", good)]);
    let text = text.replace("SE*4*0003", "SE*9*0003");
    let (written, read) = answer(&text);
    assert_eq!(
        written,
        "AK1*PO*7~AK2*850*0001~AK5*A~AK2*850*0002~AK3*BEG*2**8~AK4*5*373*8*20261320~AK3*CUR*4**7~AK3*PO1*5**8~AK4*7*234*3~\
         AK3*PO1*6**8~AK4*4*212*6~AK4*5*639*4*P~AK3*ZZZ*7**1~AK5*R*5~AK2*850*0003~AK5*R*4~AK9*P*3*3*1~"
    );
    assert_eq!(
        read.sentences(),
        [
            "Group 7 (PO) was accepted in part.",
            "Set 850 0002 was rejected: segments are wrong.",
            "In set 850 0002, segment 2 (BEG), element 5 \"20261320\": it is no date.",
            "In set 850 0002, segment 4 (CUR): the segment stands in the wrong place.",
            "In set 850 0002, segment 5 (PO1), element 7: there are too many elements.",
            "In set 850 0002, segment 6 (PO1), element 4: it has a character that it cannot have.",
            "In set 850 0002, segment 6 (PO1), element 5 \"P\": it is too short.",
            "In set 850 0002, segment 7 (ZZZ): the segment is not known there.",
            "Set 850 0003 was rejected: the number of segments is not what SE says.",
        ]
    );
    let (written, _) = answer(&text.replace("GE*3*7", "GE*4*7"));
    assert!(written.ends_with("AK9*R*4*3*0*5~"), "{written}");
    let (written, _) = answer(&envelope("PO", &[("8%", "^", good)]));
    assert!(written.contains("AK2*8??*????~AK5*R*7*1~") || written.contains("AK2*8??*????~AK5*R*7*6*1~"), "{written}");
    let noted = envelope("PO", &[("850", "0001", &format!("{good}CTT*9~"))]);
    assert_eq!(answer(&noted).0, "AK1*PO*7~AK2*850*0001~AK3*CTT*4**8~AK4*1**7*9~AK5*E*5~AK9*E*1*1*1~");
}

#[test]
fn a_997_is_not_acknowledged() {
    let group = received(SAMPLES[7]).remove(0);
    assert_eq!(acknowledge(&group, &Separators::default()), None);
    let read = Acknowledgement::read(group.sets[0].tree.as_ref().unwrap()).unwrap();
    assert_eq!(read.sentences()[2], "In set 810 0001, segment 8 (N4), element 2 \"ORE\": it is too long.");
}

fn at(minutes: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).unwrap() + Duration::minutes(minutes)
}

fn sent(number: u32, minutes: i64) -> SentGroup {
    let control_number = ControlNumber::new(number).unwrap();
    SentGroup { functional_id: "IN".into(), control_number, sent_at: at(minutes), sets: vec![("810".into(), "0001".into())] }
}

fn answered(functional_id: &str, number: u32, verdict: Verdict, sets: &[(&str, &str, Verdict)]) -> Acknowledgement {
    let set = |(set, control_number, verdict): &(&str, &str, Verdict)| SetAcknowledgement {
        set: (*set).into(),
        control_number: (*control_number).into(),
        verdict: *verdict,
        codes: vec![],
        segments: vec![],
    };
    let control_number = ControlNumber::new(number).unwrap();
    Acknowledgement {
        functional_id: functional_id.into(),
        control_number,
        verdict,
        codes: vec![],
        sets: sets.iter().map(set).collect(),
    }
}

#[test]
fn a_group_without_an_answer_is_late_at_its_deadline() {
    let sent = [sent(1, 0), sent(2, 0), sent(3, 30), sent(4, 90), sent(5, 0), sent(1, -600)];
    let received = [
        answered("IN", 2, Verdict::Accepted, &[("810", "0001", Verdict::Accepted)]),
        answered("IN", 2, Verdict::Rejected, &[]),
        answered("IN", 5, Verdict::Partly, &[("810", "0001", Verdict::Rejected)]),
        answered("SH", 4, Verdict::Accepted, &[]),
        answered("IN", 3, Verdict::Accepted, &[("810", "0777", Verdict::Accepted)]),
    ];
    let settled = settle(&sent, &received, Duration::minutes(60), at(90));
    assert_eq!(settled.accepted, [1]);
    assert_eq!(settled.rejected.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [4]);
    assert_eq!(settled.rejected[0].1, ["Group 5 (IN) was accepted in part.", "Set 810 0001 was rejected."]);
    assert_eq!(settled.late, [0, 2, 5]);
    assert_eq!(settled.waiting, [(3, at(150))]);
    assert_eq!((settled.unmatched, settled.repeated), (vec![3, 4], vec![1]));
    assert_eq!(
        Settled::late_sentence(&sent[0], at(150)),
        "Group 1 (IN) with 1 set was sent 2 hours ago and is not acknowledged. Ask the partner whether it arrived before it is sent again."
    );
}

#[test]
fn a_repeated_interchange_is_known_by_its_bytes() {
    let number = |number| ControlNumber::new(number).unwrap();
    let (one, other) = ([1; 32], [2; 32]);
    for (last, seen, received, hash, expected) in [
        (None, None, 21, one, Arrival::New { missing: 0 }),
        (Some(20), None, 21, one, Arrival::New { missing: 0 }),
        (Some(20), None, 24, one, Arrival::New { missing: 3 }),
        (Some(24), None, 22, one, Arrival::Late),
        (Some(24), Some(one), 22, one, Arrival::Repeated),
        (Some(24), Some(one), 22, other, Arrival::Conflict),
        (Some(24), Some(one), 24, one, Arrival::Repeated),
        (Some(999_999_999), None, 1, one, Arrival::New { missing: 0 }),
        (Some(999_999_998), None, 2, one, Arrival::New { missing: 2 }),
        (Some(1), None, 999_999_999, one, Arrival::Late),
    ] {
        assert_eq!(arrival(last.map(number), seen.as_ref(), number(received), &hash), expected, "{last:?} {received}");
    }
    assert_eq!(number(999_999_999).next(), ControlNumber::FIRST);
    assert_eq!(number(7).padded(), "000000007");
    for wrong in ["", "0", "000000000", "1000000000", "-1", "+1", " 1", "1.0"] {
        assert_eq!(ControlNumber::read(wrong), None, "{wrong}");
    }
    assert!(
        Arrival::Conflict.sentence(number(22)).unwrap().starts_with("Interchange 22 was taken before, but with other content.")
    );
    assert!(Arrival::New { missing: 1 }.sentence(number(24)).unwrap().contains("1 other control number did not come"));
    // A file that comes twice is one interchange by number and bytes.
    let (first, second) = (super::one(SAMPLES[0]).unwrap(), super::one(SAMPLES[0]).unwrap());
    let arrival = arrival(Some(first.header.control_number), Some(&first.hash), second.header.control_number, &second.hash);
    assert_eq!(arrival, Arrival::Repeated);
}
