//! What is agreed on with a partner, and what follows from it: which interchanges are the partner's, and the envelopes of ours.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use domain::record::RecordKind;
use domain::value::Value;

use super::acknowledge::acknowledge;
use super::control_number::ControlNumber;
use super::envelope::{GroupHeader, InterchangeHeader, PartyId, Usage};
use super::guide::Guide;
use super::make::MakeError;
use super::receive::ReceivedGroup;
use super::separators::Separators;
use super::split::SplitError;
use super::write::{GroupDraft, InterchangeDraft, SetDraft, WriteError};
use crate::connector::Connector;
use crate::manifest::X12Party;
use crate::request::{RequestContext, RequestError};

/// Hours, where nobody says otherwise.
const ACKNOWLEDGE_WITHIN_H: i64 = 24;
const ACKNOWLEDGE_WITHIN_H_MAX: i64 = 24 * 31;
/// Of groups, where nobody says otherwise.
const RELEASE: &str = "004010";
/// Of the only set of a group.
const SET_NUMBER: &str = "0001";
/// From this version of the envelope on ISA11 has to be a repetition separator.
const REPETITION_SINCE: &str = "00402";

/// Why a payload is no interchange.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum X12Error {
    #[error("the mapping does not say which set it makes (`set`), or there is no guide for the one it says")]
    Set,
    #[error(transparent)]
    Split(#[from] SplitError),
    #[error(transparent)]
    Make(#[from] MakeError),
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// One side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub id: PartyId,
    /// GS02, GS03.
    pub group: String,
}

/// The number of an interchange of ours and of its only group, and when it was given: both stay the same however often it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupNumber {
    pub number: ControlNumber,
    pub made_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreement {
    pub us: Party,
    pub partner: Party,
    /// GS08.
    pub release: String,
    pub usage: Usage,
    /// Of what we write.
    pub separators: Separators,
    /// How long after it was sent a group may be without its 997.
    pub acknowledge_within: Duration,
    /// The folder that 997s are written to.
    pub out: String,
    /// Which sets become records of which kind.
    pub takes: BTreeMap<String, RecordKind>,
}

impl Connector {
    /// What is agreed on with the partner; `None` where the connector is about no X12.
    ///
    /// # Errors
    /// Where the settings do not say what they must; the sentence says which.
    pub fn agreement(&self, context: &RequestContext<'_>) -> Option<Result<Agreement, RequestError>> {
        let rule = self.manifest.x12.as_deref()?;
        let fill = |template: &str| context.fill_known(template).map(|text| text.trim().to_owned());
        let read = || {
            let wrong = |what: String| RequestError::Template(what);
            let party = |party: &X12Party| -> Result<Party, RequestError> {
                let (qualifier, id, group) = (fill(&party.qualifier)?, fill(&party.id)?, fill(&party.group)?);
                if qualifier.is_empty() || id.is_empty() {
                    return Err(wrong("an id of the agreement, or its qualifier, is missing".into()));
                }
                let group = if group.is_empty() { id.clone() } else { group };
                Ok(Party { id: PartyId { qualifier, id }, group })
            };
            let release = Some(fill(&rule.release)?).filter(|release| !release.is_empty()).unwrap_or_else(|| RELEASE.to_owned());
            let envelope = release.get(..5).ok_or_else(|| wrong(format!("\"{release}\" is no release such as 004010")))?;
            let usage = match fill(&rule.usage)?.as_str() {
                "P" => Usage::Production,
                "T" => Usage::Test,
                other => return Err(wrong(format!("\"{other}\" is neither P (production) nor T (test)"))),
            };
            let line_break = match fill(&rule.line_break)?.as_str() {
                "" | "none" => "",
                "lf" => "\n",
                "crlf" => "\r\n",
                other => return Err(wrong(format!("\"{other}\" is no line break: none, lf or crlf"))),
            };
            let given = fill(&rule.separators)?;
            let repetition_for = |given| if envelope >= REPETITION_SINCE { given } else { None };
            let separators = match *given.as_bytes() {
                [] => Separators { repetition: repetition_for(Some(b'^')), line_break, ..Separators::default() },
                [element, component, segment] => {
                    Separators { element, component, segment, repetition: repetition_for(Some(b'^')), line_break }
                }
                [element, component, segment, repetition] => {
                    Separators { element, component, segment, repetition: repetition_for(Some(repetition)), line_break }
                }
                _ => return Err(wrong(format!("\"{given}\" are no separators: three characters or four, such as *>~"))),
            };
            if let Some(fault) = separators.fault() {
                return Err(wrong(fault));
            }
            let hours = match fill(&rule.acknowledge_within_h)?.as_str() {
                "" => ACKNOWLEDGE_WITHIN_H,
                text => text
                    .parse()
                    .ok()
                    .filter(|hours| (1..=ACKNOWLEDGE_WITHIN_H_MAX).contains(hours))
                    .ok_or_else(|| wrong(format!("\"{text}\" is no number of hours from 1 to {ACKNOWLEDGE_WITHIN_H_MAX}")))?,
            };
            Ok(Agreement {
                us: party(&rule.us)?,
                partner: party(&rule.partner)?,
                usage,
                separators,
                acknowledge_within: Duration::hours(hours),
                out: fill(&rule.out)?,
                takes: rule.takes.clone(),
                release,
            })
        };
        Some(read())
    }

    /// True where what is written goes out as X12, under control numbers.
    #[must_use]
    pub fn writes_x12(&self) -> bool {
        self.manifest.x12.is_some()
    }
}

/// The set that a payload says it is, and the functional id of its group: `("850", "PO")`.
#[must_use]
pub fn set_of(payload: &Value) -> Option<(String, String)> {
    let set = payload.get("set").and_then(Value::as_str)?;
    let guide = Guide::find(set)?.ok()?;
    Some((set.to_owned(), guide.group.clone()))
}

impl Agreement {
    /// Why an interchange is none of the partner's to us; `None` where it is one.
    #[must_use]
    pub fn refuses(&self, header: &InterchangeHeader) -> Option<String> {
        if (&header.sender, &header.receiver) != (&self.partner.id, &self.us.id) {
            return Some(format!(
                "interchange {} is from {} to {}, but the connection is for interchanges from {} to {}",
                header.control_number, header.sender, header.receiver, self.partner.id, self.us.id
            ));
        }
        (header.usage != self.usage).then(|| {
            format!(
                "interchange {} of {} says {} in ISA15, but {} is agreed on",
                header.control_number,
                header.sender.id,
                header.usage.code(),
                self.usage.code()
            )
        })
    }

    /// A payload as an interchange with one group and one set.
    ///
    /// # Errors
    /// Where the payload is no set that its guide takes; each sentence names the field.
    pub fn write(&self, payload: &Value, number: GroupNumber) -> Result<String, X12Error> {
        let set = payload.get("set").and_then(Value::as_str).ok_or(X12Error::Set)?;
        let guide = Guide::find(set).and_then(Result::ok).ok_or(X12Error::Set)?;
        let tree = guide.join(vec![payload.clone()])?;
        self.interchange(number, vec![self.set(guide, &tree, SET_NUMBER.to_owned())?], &guide.group)
    }

    /// The 997s that answer received groups, as an interchange; `None` where there is nothing to answer.
    ///
    /// # Errors
    /// Where the ids of the agreement do not fit into an envelope.
    pub fn answer(&self, groups: &[ReceivedGroup], number: GroupNumber) -> Result<Option<String>, X12Error> {
        let guide = Guide::find("997").and_then(Result::ok).ok_or(X12Error::Set)?;
        let trees = groups.iter().filter_map(|group| acknowledge(group, &self.separators));
        let sets = trees.enumerate().map(|(index, tree)| self.set(guide, &tree, format!("{:04}", index + 1)));
        let sets = sets.collect::<Result<Vec<_>, _>>()?;
        if sets.is_empty() { Ok(None) } else { self.interchange(number, sets, &guide.group).map(Some) }
    }

    fn set(&self, guide: &Guide, tree: &Value, control_number: String) -> Result<SetDraft, X12Error> {
        let release = self.release.get(..6).unwrap_or(&self.release);
        let segments = guide.make(tree, &self.separators, release)?;
        Ok(SetDraft { id: guide.set.clone(), control_number, implementation: None, segments })
    }

    fn interchange(&self, number: GroupNumber, sets: Vec<SetDraft>, functional_id: &str) -> Result<String, X12Error> {
        let at = number.made_at.naive_utc();
        let group = GroupHeader {
            functional_id: functional_id.to_owned(),
            sender: self.us.group.clone(),
            receiver: self.partner.group.clone(),
            date: Some(at.date()),
            time: at.format("%H%M").to_string(),
            control_number: Some(number.number),
            agency: "X".into(),
            version: self.release.clone(),
        };
        let header = InterchangeHeader {
            sender: self.us.id.clone(),
            receiver: self.partner.id.clone(),
            at,
            version: self.release.get(..5).unwrap_or_default().to_owned(),
            control_number: number.number,
            wants_receipt: false,
            usage: self.usage,
        };
        let draft = InterchangeDraft { header, separators: self.separators, groups: vec![GroupDraft { header: group, sets }] };
        Ok(String::from_utf8_lossy(&draft.write()?).into_owned())
    }
}
