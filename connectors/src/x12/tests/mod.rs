//! Interchanges as partners write them, and as nobody should.

mod acknowledgement;
mod every_guide;
mod guide;
mod hostile;
mod round_trip;

use chrono::NaiveDate;

use super::*;

/// Around sets: each its id, its control number and what stands between ST and SE.
pub(super) fn envelope(group: &str, sets: &[(&str, &str, &str)]) -> String {
    let mut out = format!("{}GS*{group}*BUYER*SELLER*20261128*0711*7*X*004010~", isa("000000021"));
    for (id, number, body) in sets {
        let count = body.matches('~').count() + 2;
        out += &format!("ST*{id}*{number}~{body}SE*{count}*{number}~");
    }
    out + &format!("GE*{}*7~IEA*1*000000021~", sets.len())
}

pub(super) fn isa(number: &str) -> String {
    format!("ISA*00*          *00*          *ZZ*BUYER          *01*123456789      *261128*0711*U*00401*{number}*0*T*>~")
}

pub(super) fn one(text: &str) -> Result<Interchange<'_>, InterchangeError> {
    let mut all = interchanges(text.as_bytes());
    assert_eq!(all.len(), 1, "one interchange");
    all.pop().unwrap()
}

pub(super) fn received(text: &str) -> Vec<ReceivedGroup> {
    receive(&one(text).unwrap_or_else(|error| panic!("{error}")))
}

pub(super) fn only_set(text: &str) -> ReceivedSet {
    let mut groups = received(text);
    assert_eq!((groups.len(), groups[0].sets.len()), (1, 1));
    groups.remove(0).sets.remove(0)
}

pub(super) fn header() -> InterchangeHeader {
    InterchangeHeader {
        sender: PartyId { qualifier: "ZZ".into(), id: "SELLER".into() },
        receiver: PartyId { qualifier: "01".into(), id: "123456789".into() },
        at: NaiveDate::from_ymd_opt(2026, 11, 28).unwrap().and_hms_opt(7, 11, 0).unwrap(),
        version: "00401".into(),
        control_number: ControlNumber::new(21).unwrap(),
        wants_receipt: false,
        usage: Usage::Test,
    }
}

pub(super) fn group_header(functional_id: &str) -> GroupHeader {
    GroupHeader {
        functional_id: functional_id.into(),
        sender: "SELLER".into(),
        receiver: "BUYER".into(),
        date: NaiveDate::from_ymd_opt(2026, 11, 28),
        time: "0711".into(),
        control_number: ControlNumber::new(7),
        agency: "X".into(),
        version: "004010".into(),
    }
}
