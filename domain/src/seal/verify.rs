//! Reads an export line by line and says what does not fit first: what was altered, is missing, was added or moved, which seal was forged.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Duration, Utc};

use super::{ExportLine, FORMAT, Head, HeadStatement, NOTHING, Seal, Tip, base64, root};
use crate::audit::AuditEvent;
use crate::id::{AuditEventId, TenantId};

/// An event that says it was done so long before it was sealed is counted: the sealer stood, or somebody wrote it with a time of their choice.
const LATE: Duration = Duration::hours(1);

/// Why an export proves nothing: what is wrong first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Tampered {
    #[error("line {line} cannot be read: {why}")]
    Unreadable { line: u64, why: String },
    #[error("it does not begin with a head")]
    NoHead,
    #[error("it is of format {0}, and this version reads format {FORMAT}")]
    Format(u32),
    #[error("line {line} is of another tenant, {tenant}")]
    Tenant { line: u64, tenant: TenantId },
    #[error("the signature of {0} is not that of the key: it was altered, or another key signed it")]
    Signature(Place),
    #[error("the key is not the expected one: it was signed by {0}")]
    OtherKey(String),
    #[error("seal {0} is missing")]
    SealMissing(u64),
    #[error("seal {found} stands where seal {expected} belongs")]
    SealMoved { expected: u64, found: u64 },
    #[error("seal {0} was added: its head ends before it")]
    SealAdded(u64),
    #[error("seal {0} does not continue the one before it")]
    Chain(u64),
    #[error("the events that seal {0} lists are not those that were signed")]
    List(u64),
    #[error("event {id} of seal {seal} was altered")]
    EventAltered { id: AuditEventId, seal: u64 },
    #[error("event {id} of seal {seal} is missing")]
    EventMissing { id: AuditEventId, seal: u64 },
    #[error("event {id} was added to those of seal {seal}")]
    EventAdded { id: AuditEventId, seal: u64 },
    #[error("event {id} was added: it stands in no seal")]
    EventUnsealed { id: AuditEventId },
    #[error("event {id} of seal {seal} is not in its place")]
    EventMoved { id: AuditEventId, seal: u64 },
    #[error("its end is cut off: it ends with seal {found}, and its head says {head}")]
    Truncated { found: u64, head: u64 },
    #[error("its head does not belong to its last seal")]
    Head,
    #[error(
        "the head that you hold is of seal {held}, and this log ends with seal {found}: its end was cut off after that head was made"
    )]
    BehindHeld { held: u64, found: u64 },
    #[error("seal {0} is not the one of the head that you hold: the log was written anew after that head was made")]
    NotHeld(u64),
    #[error("it begins after seal {after}, and the head that you hold is of seal {held}: export it from there")]
    BeyondHeld { held: u64, after: u64 },
}

/// What was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Head,
    HeldHead,
    Seal(u64),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Head => f.write_str("its head"),
            Self::HeldHead => f.write_str("the head that you hold"),
            Self::Seal(number) => write!(f, "seal {number}"),
        }
    }
}

/// What a good export proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub head: HeadStatement,
    pub public_key: String,
    pub seals: u64,
    pub events: u64,
    /// Of seals whose events were taken away by the tenant's rule of how long they are kept.
    pub removed: u64,
    pub sealed_until: Option<DateTime<Utc>>,
    /// Events that were sealed more than an hour after the time that they tell, and the first of them.
    pub late: u64,
    pub first_late: Option<AuditEventId>,
}

/// A seal whose events are being read.
struct Batch {
    seal: Seal,
    events: Vec<AuditEvent>,
}

/// Reads an export; holds one seal and its events at a time. `is_signed` says whether these bytes have this signature of this key.
pub struct Verifier<F> {
    is_signed: F,
    held: Option<HeadStatement>,
    tip: Tip,
    batch: Option<Batch>,
    line: u64,
    verified: Verified,
    key: Vec<u8>,
}

impl<F: Fn(&[u8], &[u8], &[u8]) -> bool> Verifier<F> {
    /// Begins with the first line. `expected` is the key (base64) that must have signed, `held` a head that was kept elsewhere.
    ///
    /// # Errors
    /// Where the line is no head, or one that is not signed by the key, or `held` cannot be of this log.
    pub fn begin(first: &[u8], expected: Option<&str>, held: Option<Head>, is_signed: F) -> Result<Self, Tampered> {
        let ExportLine::Head(head) = parse(first, 1)? else { return Err(Tampered::NoHead) };
        if head.statement.format != FORMAT {
            return Err(Tampered::Format(head.statement.format));
        }
        if let Some(expected) = expected
            && base64(expected) != base64(&head.public_key)
        {
            return Err(Tampered::OtherKey(head.public_key));
        }
        let key = signed(&head, Place::Head, &is_signed)?;
        if let Some(held) = &held {
            if signed(held, Place::HeldHead, &is_signed)? != key {
                return Err(Tampered::OtherKey(head.public_key));
            }
            if held.statement.tenant != head.statement.tenant {
                return Err(Tampered::Tenant { line: 1, tenant: head.statement.tenant });
            }
            behind(&held.statement, &head.statement)?;
        }
        let verified = Verified {
            public_key: head.public_key,
            seals: 0,
            events: 0,
            removed: 0,
            sealed_until: None,
            late: 0,
            first_late: None,
            head: head.statement,
        };
        let held = held.map(|held| held.statement);
        // Of what comes before an export that does not begin at the beginning nothing is known but its number.
        let tip = Tip { number: verified.head.after, hash: String::new(), events: 0, removed: 0 };
        let tip = if tip.number == 0 { Tip::start() } else { tip };
        Ok(Self { is_signed, held, tip, batch: None, line: 1, verified, key })
    }

    /// # Errors
    /// What does not fit.
    pub fn take(&mut self, line: &[u8]) -> Result<(), Tampered> {
        self.line += 1;
        match parse(line, self.line)? {
            ExportLine::Head(_) => Err(Tampered::Unreadable { line: self.line, why: "a second head".to_owned() }),
            ExportLine::Seal(seal) => {
                self.close()?;
                self.begin_seal(*seal)
            }
            ExportLine::Event(event) => self.event(event),
        }
    }

    /// After the last line.
    ///
    /// # Errors
    /// What is missing at the end.
    pub fn finish(mut self) -> Result<Verified, Tampered> {
        self.close()?;
        let head = &self.verified.head;
        if self.tip.number < head.seal {
            return Err(Tampered::Truncated { found: self.tip.number, head: head.seal });
        }
        let is_known = !self.tip.hash.is_empty();
        let is_its_own = self.tip.hash == head.hash && self.tip.events == head.events && self.tip.removed == head.removed;
        if is_known && !is_its_own {
            return Err(Tampered::Head);
        }
        if let Some(held) = &self.held
            && held.seal == head.seal
            && held.hash != head.hash
        {
            return Err(Tampered::NotHeld(held.seal));
        }
        Ok(self.verified)
    }

    fn begin_seal(&mut self, seal: Seal) -> Result<(), Tampered> {
        let said = &seal.statement;
        let (number, expected) = (said.number, self.tip.number.saturating_add(1));
        if said.format != FORMAT {
            return Err(Tampered::Format(said.format));
        }
        if said.tenant != self.verified.head.tenant {
            return Err(Tampered::Tenant { line: self.line, tenant: said.tenant });
        }
        if number > expected {
            return Err(Tampered::SealMissing(expected));
        }
        if number < expected {
            return Err(Tampered::SealMoved { expected, found: number });
        }
        if number > self.verified.head.seal {
            return Err(Tampered::SealAdded(number));
        }
        let signature = base64(&seal.signature).unwrap_or_default();
        if !(self.is_signed)(&self.key, &said.to_sign(), &signature) {
            return Err(Tampered::Signature(Place::Seal(number)));
        }
        let continues = said.previous == self.tip.hash && said.events_before == self.tip.events;
        let is_first = number == 1 && said.previous == NOTHING && said.events_before == 0;
        // The first of a part: what it continues is known to whoever holds the head of the part before.
        let is_known = !self.tip.hash.is_empty();
        if (is_known && !continues) || (number == 1) != is_first {
            return Err(Tampered::Chain(number));
        }
        if seal.entries.len() as u64 != said.events || root(&seal.entries) != said.root {
            return Err(Tampered::List(number));
        }
        let tip = said.tip();
        for (held, hash) in [(number, &tip.hash), (number - 1, &said.previous)] {
            if self.held.as_ref().is_some_and(|head| head.seal > 0 && head.seal == held && head.hash != *hash) {
                return Err(Tampered::NotHeld(held));
            }
        }
        self.tip = tip;
        self.verified.sealed_until = Some(said.sealed_at);
        self.batch = Some(Batch { seal, events: vec![] });
        Ok(())
    }

    fn event(&mut self, event: AuditEvent) -> Result<(), Tampered> {
        if event.tenant != self.verified.head.tenant {
            return Err(Tampered::Tenant { line: self.line, tenant: event.tenant });
        }
        let Some(batch) = &mut self.batch else { return Err(Tampered::EventUnsealed { id: event.id }) };
        batch.events.push(event);
        // One too many: what is wrong is among these, however many come after.
        if batch.events.len() > batch.seal.entries.len() { self.close() } else { Ok(()) }
    }

    /// Compares the events of a seal with its list.
    fn close(&mut self) -> Result<(), Tampered> {
        let Some(Batch { seal, events }) = self.batch.take() else { return Ok(()) };
        let number = seal.statement.number;
        let is_last = number == self.verified.head.seal;
        if events.is_empty() && number <= self.verified.head.removed {
            self.verified.seals += 1;
            self.verified.removed += seal.statement.events;
            return Ok(());
        }
        let place: HashMap<AuditEventId, usize> = seal.entries.iter().enumerate().map(|(at, entry)| (entry.id, at)).collect();
        let there: HashSet<AuditEventId> = events.iter().map(|event| event.id).collect();
        let mut entries = seal.entries.iter();
        for (at, event) in events.iter().enumerate() {
            let Some(entry) = entries.next() else {
                // Behind the last seal stands what no seal holds.
                let is_of_none = is_last && !place.contains_key(&event.id);
                let added = Tampered::EventAdded { id: event.id, seal: number };
                return Err(if is_of_none { Tampered::EventUnsealed { id: event.id } } else { added });
            };
            if entry.id == event.id {
                if entry.digest != event.digest() {
                    return Err(Tampered::EventAltered { id: event.id, seal: number });
                }
                continue;
            }
            return Err(match place.get(&event.id) {
                Some(belongs) if *belongs > at && there.contains(&entry.id) => {
                    Tampered::EventMoved { id: event.id, seal: number }
                }
                Some(belongs) if *belongs > at => Tampered::EventMissing { id: entry.id, seal: number },
                // Of no place in this seal, or of one that is taken already.
                _ => Tampered::EventAdded { id: event.id, seal: number },
            });
        }
        if let Some(entry) = entries.next() {
            return Err(Tampered::EventMissing { id: entry.id, seal: number });
        }
        let late = |event: &&AuditEvent| seal.statement.sealed_at - event.at > LATE;
        self.verified.late += events.iter().filter(late).count() as u64;
        self.verified.first_late = self.verified.first_late.or_else(|| events.iter().find(late).map(|event| event.id));
        self.verified.seals += 1;
        self.verified.events += events.len() as u64;
        Ok(())
    }
}

/// The key that signed a head.
fn signed(head: &Head, place: Place, is_signed: &impl Fn(&[u8], &[u8], &[u8]) -> bool) -> Result<Vec<u8>, Tampered> {
    let key = base64(&head.public_key).unwrap_or_default();
    let signature = base64(&head.signature).unwrap_or_default();
    if is_signed(&key, &head.statement.to_sign(), &signature) { Ok(key) } else { Err(Tampered::Signature(place)) }
}

/// That a log which goes so far can be held against a head that somebody kept.
fn behind(held: &HeadStatement, head: &HeadStatement) -> Result<(), Tampered> {
    if held.seal > head.seal {
        return Err(Tampered::BehindHeld { held: held.seal, found: head.seal });
    }
    if held.seal > 0 && held.seal < head.after {
        return Err(Tampered::BeyondHeld { held: held.seal, after: head.after });
    }
    Ok(())
}

fn parse(line: &[u8], number: u64) -> Result<ExportLine, Tampered> {
    serde_json::from_slice(line).map_err(|error| Tampered::Unreadable { line: number, why: error.to_string() })
}

#[cfg(test)]
mod tests;
