//! A 997 that a partner sent: what became of a group of ours, and why, in plain words.

use domain::value::Value;

use super::control_number::ControlNumber;

/// What a partner says of a group or a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accepted,
    Noted,
    Partly,
    Rejected,
}

impl Verdict {
    /// M, W and X reject for reasons of security.
    fn read(code: &str) -> Option<Self> {
        match code {
            "A" => Some(Self::Accepted),
            "E" => Some(Self::Noted),
            "P" => Some(Self::Partly),
            "R" | "M" | "W" | "X" => Some(Self::Rejected),
            _ => None,
        }
    }
}

/// A tree that is no 997 that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcknowledgementError {
    #[error("the 997 does not say {0}")]
    Missing(&'static str),
    #[error("the 997 says the result {0:?}, which is none")]
    Verdict(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Of the group that it answers: `IN`.
    pub functional_id: String,
    pub control_number: ControlNumber,
    pub verdict: Verdict,
    /// AK905 to AK909.
    pub codes: Vec<String>,
    /// May be empty although sets were accepted: some partners name only those that were not.
    pub sets: Vec<SetAcknowledgement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAcknowledgement {
    pub set: String,
    pub control_number: String,
    pub verdict: Verdict,
    /// AK502 to AK506.
    pub codes: Vec<String>,
    pub segments: Vec<SegmentNote>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentNote {
    pub segment: String,
    /// ST is 1.
    pub position: String,
    /// AK304.
    pub code: Option<String>,
    pub elements: Vec<ElementNote>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElementNote {
    pub number: String,
    pub component: Option<String>,
    /// AK403.
    pub code: String,
    pub copy: Option<String>,
}

impl Acknowledgement {
    /// Reads the tree that the guide of 997 made.
    ///
    /// # Errors
    /// Where it does not say what it answers or how.
    pub fn read(tree: &Value) -> Result<Self, AcknowledgementError> {
        let text = |path: &'static str| tree.at(path).and_then(Value::as_str).ok_or(AcknowledgementError::Missing(path));
        let number = ControlNumber::read(text("group.control_number")?);
        let sets = tree.get("sets").and_then(Value::as_list).unwrap_or_default();
        Ok(Self {
            functional_id: text("group.functional_id")?.to_owned(),
            control_number: number.ok_or(AcknowledgementError::Missing("a control number"))?,
            verdict: verdict(tree)?,
            codes: codes(tree),
            sets: sets.iter().map(SetAcknowledgement::read).collect::<Result<_, _>>()?,
        })
    }

    /// What a person is told: one sentence for the group and one for each thing that is wrong.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let group = format!("Group {} ({})", self.control_number, self.functional_id);
        let said = match self.verdict {
            Verdict::Accepted => "was accepted",
            Verdict::Noted => "was accepted, but errors were noted",
            Verdict::Partly => "was accepted in part",
            Verdict::Rejected => "was rejected",
        };
        let why = self.codes.iter().map(|code| group_reason(code));
        let mut all = vec![sentence(&format!("{group} {said}"), why)];
        for set in self.sets.iter().filter(|set| set.verdict != Verdict::Accepted) {
            all.extend(set.sentences());
        }
        all
    }
}

impl SetAcknowledgement {
    fn read(tree: &Value) -> Result<Self, AcknowledgementError> {
        let text = |name: &'static str| tree.get(name).and_then(Value::as_str).ok_or(AcknowledgementError::Missing(name));
        let list = |tree: &Value, name: &str| tree.get(name).and_then(Value::as_list).unwrap_or_default().to_vec();
        let plain = |tree: &Value, path: &str| tree.at(path).and_then(Value::as_str).map(str::to_owned);
        let element = |tree: &Value| ElementNote {
            number: plain(tree, "at.element").unwrap_or_default(),
            component: plain(tree, "at.component"),
            code: plain(tree, "code").unwrap_or_default(),
            copy: plain(tree, "copy"),
        };
        let segment = |tree: &Value| SegmentNote {
            segment: plain(tree, "segment").unwrap_or_default(),
            position: plain(tree, "position").unwrap_or_default(),
            code: plain(tree, "code"),
            elements: list(tree, "elements").iter().map(element).collect(),
        };
        Ok(Self {
            set: text("set")?.to_owned(),
            control_number: text("control_number")?.to_owned(),
            verdict: verdict(tree)?,
            codes: codes(tree),
            segments: list(tree, "segments").iter().map(segment).collect(),
        })
    }

    fn sentences(&self) -> Vec<String> {
        let said = if self.verdict == Verdict::Rejected { "was rejected" } else { "was accepted, but errors were noted" };
        let why = self.codes.iter().map(|code| set_reason(code));
        let mut all = vec![sentence(&format!("Set {} {said}", self.whose()), why)];
        for segment in &self.segments {
            let at = format!("In set {}, segment {} ({})", self.whose(), segment.position, segment.segment);
            if segment.elements.is_empty() {
                all.push(format!("{at}: {}.", segment_reason(segment.code.as_deref().unwrap_or_default())));
            }
            for element in &segment.elements {
                let component = element.component.as_ref().map(|component| format!("-{component}")).unwrap_or_default();
                let copy = element.copy.as_ref().map(|copy| format!(" {copy:?}")).unwrap_or_default();
                all.push(format!("{at}, element {}{component}{copy}: {}.", element.number, element_reason(&element.code)));
            }
        }
        all
    }

    fn whose(&self) -> String {
        format!("{} {}", self.set, self.control_number)
    }
}

fn verdict(tree: &Value) -> Result<Verdict, AcknowledgementError> {
    let code = tree.at("result.outcome").and_then(Value::as_str).ok_or(AcknowledgementError::Missing("a result"))?;
    Verdict::read(code).ok_or_else(|| AcknowledgementError::Verdict(code.to_owned()))
}

fn codes(tree: &Value) -> Vec<String> {
    let code = |number: usize| tree.at(&format!("result.code_{number}")).and_then(Value::as_str).map(str::to_owned);
    (1..=5).filter_map(code).collect()
}

fn sentence(begin: &str, why: impl Iterator<Item = String>) -> String {
    let why = why.collect::<Vec<_>>().join("; ");
    if why.is_empty() { format!("{begin}.") } else { format!("{begin}: {why}.") }
}

/// AK905: the codes above 6 are about security and agreements, and seldom seen.
fn group_reason(code: &str) -> String {
    let known = match code {
        "1" => "such groups are not read there",
        "2" => "this version is not read there",
        "3" => "the GE segment is missing",
        "4" => "the control numbers of GS and GE differ",
        "5" => "the number of sets is not what GE says",
        "6" => "the group's control number is wrong or was used before",
        _ => return format!("code {code}"),
    };
    known.to_owned()
}

/// AK502. 23 is of later versions.
fn set_reason(code: &str) -> String {
    let known = match code {
        "1" => "such sets are not read there",
        "2" => "the SE segment is missing",
        "3" => "the control numbers of ST and SE differ",
        "4" => "the number of segments is not what SE says",
        "5" => "segments are wrong",
        "6" => "its id is missing or wrong",
        "7" | "23" => "its control number is wrong or was used before",
        _ => return format!("code {code}"),
    };
    known.to_owned()
}

/// AK304
fn segment_reason(code: &str) -> String {
    let known = match code {
        "1" => "the segment is not known there",
        "2" => "the segment is not expected there",
        "3" => "a mandatory segment is missing",
        "4" => "the loop repeats too often",
        "5" => "the segment repeats too often",
        "6" => "the segment does not belong into this set",
        "7" => "the segment stands in the wrong place",
        "8" => "elements are wrong",
        "" => "something is wrong",
        _ => return format!("code {code}"),
    };
    known.to_owned()
}

/// AK403. 12 and 13 are of later versions.
fn element_reason(code: &str) -> String {
    let known = match code {
        "1" => "a mandatory element is missing",
        "2" => "an element is missing that others need",
        "3" => "there are too many elements",
        "4" => "it is too short",
        "5" => "it is too long",
        "6" => "it has a character that it cannot have",
        "7" => "it is none of the codes that are known there",
        "8" => "it is no date",
        "9" => "it is no time",
        "10" => "it may not stand beside another one",
        "12" => "it repeats too often",
        "13" => "it has too many components",
        _ => return format!("code {code}"),
    };
    known.to_owned()
}
