//! X12: the bytes of an interchange become trees that mappings read, and trees become an interchange again. Guides (`connectors/x12/*.yaml`)
//! say what a transaction set may hold; this module is the small engine that reads them. It is pure: bytes, numbers and times come in as values.
//!
//! The way in: [`interchanges`] reads the envelopes, [`receive`] holds every set against its guide, [`acknowledge`] makes the 997 that answers,
//! [`arrival`] says whether the interchange was here before. The way out: [`Guide::make`] makes the segments of a set,
//! [`InterchangeDraft::write`] puts them into envelopes, [`settle`] says which groups a partner has not acknowledged in time.

mod acknowledge;
mod acknowledgement;
mod agreement;
mod awaited;
mod computed;
mod control_number;
mod dictionary;
mod element;
mod envelope;
mod fields;
mod flaw;
mod guide;
mod hierarchy;
mod interchange;
mod issue;
mod make;
mod receive;
mod segment;
mod separators;
mod split;
mod take;
#[cfg(test)]
mod tests;
mod write;

pub use acknowledge::acknowledge;
pub use acknowledgement::{Acknowledgement, AcknowledgementError, ElementNote, SegmentNote, SetAcknowledgement, Verdict};
pub use agreement::{Agreement, GroupNumber, Party, X12Error, set_of};
pub use awaited::{SentGroup, Settled, settle};
pub use control_number::{Arrival, ControlNumber, Direction, Sequence, arrival};
pub use envelope::{GroupHeader, InterchangeHeader, PartyId, Usage};
pub use flaw::{GroupFlaw, InterchangeError, InterchangeFault, SetFlaw};
pub use guide::{Guide, GuideError};
pub use interchange::{BYTES_MAX, Group, Interchange, TransactionSet, interchange_at, interchanges};
pub use issue::{Issue, IssueCode, IssueElement};
pub use make::{MadeSegment, MakeError, MakeIssue};
pub use receive::{Outcome, ReceivedGroup, ReceivedSet, receive, receive_only};
pub use segment::{Place, Segment};
pub use separators::Separators;
pub use split::SplitError;
pub use take::Taken;
pub use write::{GroupDraft, InterchangeDraft, SetDraft, WriteError};
