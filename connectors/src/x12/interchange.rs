//! Bytes become interchanges, groups and sets: every control number and every count is checked. What a set says is not looked at here.

use std::collections::HashSet;
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::control_number::ControlNumber;
use super::envelope::{GroupHeader, ISA_BYTES, InterchangeHeader};
use super::flaw::{GroupFlaw, InterchangeError, InterchangeFault, SetFlaw};
use super::segment::{Place, Scanner, Segment};
use super::separators::Separators;

/// One file. Catalogs of inventory are the largest that partners send.
pub const BYTES_MAX: usize = 32 * 1024 * 1024;
const SEGMENTS_MAX: usize = 999_999;
const GROUPS_MAX: usize = 1_000;
/// Of all groups of an interchange.
const SETS_MAX: usize = 20_000;
/// Interchanges of one file.
const INTERCHANGES_MAX: usize = 1_000;
/// Flaws that are kept of one group or set.
const FLAWS_MAX: usize = 20;

/// One interchange whose envelope is whole.
#[derive(Debug, Clone)]
pub struct Interchange<'b> {
    pub header: InterchangeHeader,
    pub separators: Separators,
    pub groups: Vec<Group<'b>>,
    /// Where it stands in the bytes that were given, from its ISA to the terminator of its IEA.
    pub range: Range<usize>,
    /// SHA-256 of these bytes: an interchange that comes again has the same.
    pub hash: [u8; 32],
}

#[derive(Debug, Clone)]
pub struct Group<'b> {
    pub header: GroupHeader,
    pub sets: Vec<TransactionSet<'b>>,
    /// How many sets GE01 says; what is there where it says nothing that is a number.
    pub included: usize,
    pub flaws: Vec<GroupFlaw>,
    pub place: Place,
}

#[derive(Debug, Clone)]
pub struct TransactionSet<'b> {
    /// `850`
    pub id: &'b str,
    pub control_number: &'b str,
    /// The industry's guide that it follows (ST03).
    pub implementation: Option<&'b str>,
    /// Those between ST and SE.
    pub segments: Vec<Segment<'b>>,
    pub flaws: Vec<SetFlaw>,
    pub place: Place,
}

/// Reads a file. Each interchange is read for itself: one that is broken ends where the next one begins.
#[must_use]
pub fn interchanges(bytes: &[u8]) -> Vec<Result<Interchange<'_>, InterchangeError>> {
    let error = |fault| Err(InterchangeError { fault, place: Place::default(), header: None });
    if bytes.len() > BYTES_MAX {
        return vec![error(InterchangeFault::TooMuch { max: BYTES_MAX, of: "bytes" })];
    }
    let (mut at, mut all) = (0, Vec::new());
    loop {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        if at >= bytes.len() && !all.is_empty() {
            return all;
        }
        if all.len() == INTERCHANGES_MAX {
            all.push(error(InterchangeFault::TooMuch { max: INTERCHANGES_MAX, of: "interchanges" }));
            return all;
        }
        let (read, end) = Reading::interchange(bytes, at);
        all.push(read);
        if end >= bytes.len() {
            return all;
        }
        at = end;
    }
}

/// Reads the interchange that stands at this byte or behind the spaces there, the `index`th of its file, and says where it ends; `None` where there is
/// no more. For whoever does not want to hold all interchanges of a file at once; places count from the file's beginning.
#[must_use]
pub fn interchange_at(bytes: &[u8], at: usize, index: usize) -> Option<(Result<Interchange<'_>, InterchangeError>, usize)> {
    let begin = at + bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if begin >= bytes.len() && index > 0 {
        return None;
    }
    if index >= INTERCHANGES_MAX {
        let fault = InterchangeFault::TooMuch { max: INTERCHANGES_MAX, of: "interchanges" };
        return Some((Err(InterchangeError { fault, place: Place { segment: 1, byte: begin }, header: None }), bytes.len()));
    }
    Some(Reading::interchange(bytes, begin))
}

/// An interchange that is being read.
struct Reading<'b> {
    groups: Vec<Group<'b>>,
    is_group_open: bool,
    is_set_open: bool,
    sets: usize,
    group_numbers: HashSet<(String, Option<ControlNumber>)>,
    set_numbers: HashSet<&'b str>,
}

/// What a segment of the envelope leads to.
enum Step<'b> {
    On,
    /// The last one.
    End(Segment<'b>),
}

impl<'b> Reading<'b> {
    /// Reads one interchange that begins here; says where it ends.
    fn interchange(bytes: &'b [u8], begin: usize) -> (Result<Interchange<'b>, InterchangeError>, usize) {
        let at_begin = Place { segment: 1, byte: begin };
        let (header, separators) = match InterchangeHeader::read(&bytes[begin..]) {
            Ok(read) => read,
            Err(fault) => return (Err(InterchangeError { fault, place: at_begin, header: None }), bytes.len()),
        };
        let fail = |fault, place| InterchangeError { fault, place, header: Some(Box::new(header.clone())) };
        let mut reading = Self {
            groups: Vec::new(),
            is_group_open: false,
            is_set_open: false,
            sets: 0,
            group_numbers: HashSet::new(),
            set_numbers: HashSet::new(),
        };
        let mut scanner = Scanner::new(bytes, begin + ISA_BYTES, 1, separators);
        // A fault of the envelope is kept and the rest looked through, so that the next interchange is found.
        let mut broken: Option<InterchangeError> = None;
        loop {
            let before = scanner.at;
            let segment = match scanner.next() {
                None => {
                    let place = Place { segment: scanner.count, byte: bytes.len() };
                    return (Err(broken.unwrap_or_else(|| fail(InterchangeFault::NoIea, place))), bytes.len());
                }
                Some(Err(place)) => {
                    return (Err(broken.unwrap_or_else(|| fail(InterchangeFault::Unterminated, place))), bytes.len());
                }
                Some(Ok(segment)) => segment,
            };
            let place = segment.place;
            if segment.id == "ISA" {
                let next = before + bytes[before..].iter().position(|byte| *byte == b'I').unwrap_or_default();
                return (Err(broken.unwrap_or_else(|| fail(InterchangeFault::NoIea, place))), next);
            }
            if broken.is_some() {
                if segment.id == "IEA" {
                    return (Err(broken.unwrap_or_else(|| fail(InterchangeFault::NoIea, place))), scanner.at);
                }
                continue;
            }
            if place.segment > SEGMENTS_MAX {
                broken = Some(fail(InterchangeFault::TooMuch { max: SEGMENTS_MAX, of: "segments" }, place));
                continue;
            }
            match reading.step(segment) {
                Ok(Step::On) => {}
                Ok(Step::End(trailer)) => {
                    let range = begin..scanner.at;
                    let read = reading.end(&header, &trailer).map_err(|fault| fail(fault, place));
                    let read = read.map(|groups| Interchange {
                        hash: Sha256::digest(&bytes[range.clone()]).into(),
                        separators,
                        groups,
                        range,
                        header: header.clone(),
                    });
                    return (read, scanner.at);
                }
                Err(fault) => broken = Some(fail(fault, place)),
            }
        }
    }

    fn step(&mut self, segment: Segment<'b>) -> Result<Step<'b>, InterchangeFault> {
        match segment.id {
            "GS" => {
                self.close_group(GroupFlaw::NoTrailer);
                if self.groups.len() == GROUPS_MAX {
                    return Err(InterchangeFault::TooMuch { max: GROUPS_MAX, of: "groups" });
                }
                self.open_group(&segment);
            }
            "GE" if self.is_group_open => self.end_group(&segment),
            "ST" if self.is_group_open => {
                self.close_set(SetFlaw::NoTrailer);
                if self.sets == SETS_MAX {
                    return Err(InterchangeFault::TooMuch { max: SETS_MAX, of: "transaction sets" });
                }
                self.open_set(&segment);
            }
            "SE" if self.is_set_open => self.end_set(&segment),
            "IEA" => {
                self.close_group(GroupFlaw::NoTrailer);
                return Ok(Step::End(segment));
            }
            // Between ISA and the first group: the receipt of an interchange, which answers one of ours and holds no group.
            "TA1" if !self.is_group_open => {}
            id => {
                let id = if id.is_empty() { "?" } else { id }.to_owned();
                let Some(group) = self.groups.last_mut().filter(|_| self.is_group_open) else {
                    return Err(InterchangeFault::Stray(id));
                };
                match group.sets.last_mut().filter(|_| self.is_set_open) {
                    Some(set) => set.segments.push(segment),
                    None if group.flaws.len() < FLAWS_MAX => group.flaws.push(GroupFlaw::Stray { id, place: segment.place }),
                    None => {}
                }
            }
        }
        Ok(Step::On)
    }

    fn open_group(&mut self, segment: &Segment<'b>) {
        let (header, mut flaws) = GroupHeader::read(segment);
        if !self.group_numbers.insert((header.functional_id.clone(), header.control_number)) {
            flaws.push(GroupFlaw::Repeated(segment.element(6).to_owned()));
        }
        self.groups.push(Group { header, sets: Vec::new(), included: 0, flaws, place: segment.place });
        self.is_group_open = true;
        self.set_numbers.clear();
    }

    fn end_group(&mut self, trailer: &Segment<'b>) {
        self.close_set(SetFlaw::NoTrailer);
        self.is_group_open = false;
        let Some(group) = self.groups.last_mut() else { return };
        let (said, found) = (trailer.element(1), group.sets.len());
        let count = said.parse().ok();
        group.included = count.unwrap_or(found);
        if count != Some(found) {
            group.flaws.push(GroupFlaw::SetCount { said: said.to_owned(), found });
        }
        let number = ControlNumber::read(trailer.element(2));
        if number.is_none() || number != group.header.control_number {
            let expected = group.header.control_number.map(|number| number.to_string()).unwrap_or_default();
            group.flaws.push(GroupFlaw::TrailerControlNumber { expected, found: trailer.element(2).to_owned() });
        }
    }

    /// Something else begins where the group should have ended.
    fn close_group(&mut self, flaw: GroupFlaw) {
        self.close_set(SetFlaw::NoTrailer);
        if let Some(group) = self.groups.last_mut().filter(|_| self.is_group_open) {
            group.included = group.sets.len();
            group.flaws.push(flaw);
        }
        self.is_group_open = false;
    }

    fn open_set(&mut self, segment: &Segment<'b>) {
        let (id, control_number) = (segment.element(1), segment.element(2));
        let mut flaws = Vec::new();
        let is_number = (4..=9).contains(&control_number.len()) && control_number.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_number {
            flaws.push(SetFlaw::ControlNumber(control_number.to_owned()));
        }
        if !self.set_numbers.insert(control_number) {
            flaws.push(SetFlaw::Repeated(control_number.to_owned()));
        }
        let implementation = Some(segment.element(3)).filter(|text| !text.is_empty());
        let set = TransactionSet { id, control_number, implementation, segments: Vec::new(), flaws, place: segment.place };
        if let Some(group) = self.groups.last_mut() {
            group.sets.push(set);
        }
        (self.is_set_open, self.sets) = (true, self.sets + 1);
    }

    fn set(&mut self) -> Option<&mut TransactionSet<'b>> {
        self.groups.last_mut()?.sets.last_mut().filter(|_| self.is_set_open)
    }

    fn end_set(&mut self, trailer: &Segment<'b>) {
        if let Some(set) = self.set() {
            let (said, found) = (trailer.element(1), set.segments.len() + 2);
            if said.parse().ok() != Some(found) {
                set.flaws.push(SetFlaw::SegmentCount { said: said.to_owned(), found });
            }
            if trailer.element(2) != set.control_number {
                let (expected, found) = (set.control_number.to_owned(), trailer.element(2).to_owned());
                set.flaws.push(SetFlaw::TrailerControlNumber { expected, found });
            }
        }
        self.is_set_open = false;
    }

    fn close_set(&mut self, flaw: SetFlaw) {
        if let Some(set) = self.set() {
            set.flaws.push(flaw);
        }
        self.is_set_open = false;
    }

    fn end(self, header: &InterchangeHeader, trailer: &Segment<'b>) -> Result<Vec<Group<'b>>, InterchangeFault> {
        let (said, number) = (trailer.element(1), trailer.element(2));
        if ControlNumber::read(number) != Some(header.control_number) {
            let expected = header.control_number.padded();
            return Err(InterchangeFault::ControlNumber { expected, found: number.to_owned() });
        }
        if said.parse().ok() != Some(self.groups.len()) {
            return Err(InterchangeFault::GroupCount { said: said.to_owned(), found: self.groups.len() });
        }
        Ok(self.groups)
    }
}
