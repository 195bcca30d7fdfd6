//! Files that a source leaves in a folder. Each version of each is taken once; what of it cannot be read is told with its line and stops nothing else.

use crate::exception::Reason;
use crate::fault::Owner;

/// Where a file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// It is there, and may still be growing.
    Noticed,
    /// Its records are being taken.
    Reading,
    /// All of it is here; it is still to be put away.
    Read,
    /// And it was put away, or stays as it is.
    Done,
    /// A person must look at it.
    Unreadable,
    /// It went away, or became another, while it was read.
    Lost,
}

impl FileState {
    const ALL: [Self; 6] = [Self::Noticed, Self::Reading, Self::Read, Self::Done, Self::Unreadable, Self::Lost];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Noticed => "noticed",
            Self::Reading => "reading",
            Self::Read => "read",
            Self::Done => "done",
            Self::Unreadable => "unreadable",
            Self::Lost => "lost",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl Reason {
    /// A record of a file that cannot be read; `what` follows "line 7 ".
    #[must_use]
    pub fn bad_record(file: &str, source: &str, line: u64, what: &str) -> Self {
        Self {
            code: "file.bad_record".to_owned(),
            sentence: format!("Line {line} of the file {file} from {source} became no record: it {what}."),
            // One group for each file, whatever is wrong with its lines.
            cause: format!("Lines of the file {file} from {source} cannot be read."),
            owner: Owner::Operations,
            next_step:
                "Correct the lines at the source and send them again in a new file, or dismiss them; all other lines were taken."
                    .to_owned(),
            value: Some(file.to_owned()),
            ..Self::unreadable("", source, what)
        }
    }

    /// A file of which nothing can be read, or nothing behind `taken` records.
    #[must_use]
    pub fn unreadable_file(file: &str, source: &str, why: &str, taken: i64) -> Self {
        let why = why.trim_end_matches('.');
        let until = if taken == 0 { String::new() } else { format!(" after its first {taken} records, which were taken") };
        Self {
            code: "file.unreadable".to_owned(),
            sentence: format!("The file {file} from {source} could not be read{until}: {why}."),
            cause: format!("Files from {source} could not be read: {why}."),
            owner: Owner::Operations,
            next_step: "Correct the file and put it there again, or the connection's settings if they do not fit it: then it is read by itself."
                .to_owned(),
            ..Self::unreadable("", source, why)
        }
    }

    /// A file that went away before all of it was taken.
    #[must_use]
    pub fn lost_file(file: &str, source: &str, taken: i64) -> Self {
        Self {
            code: "file.lost".to_owned(),
            sentence: format!(
                "The file {file} from {source} was taken away or changed while it was read: its first {taken} records were taken, the rest was not."
            ),
            cause: format!("Files from {source} were taken away or changed while they were read."),
            owner: Owner::Operations,
            next_step: "Put the file there again, whole; what was taken already changes nothing. If another version of it is there, that is read by itself."
                .to_owned(),
            ..Self::unreadable("", source, "")
        }
    }
}
