//! A tenant's audit log as a file: JSON Lines, each line one of these. First the head, then each seal with its events behind it. Events behind
//! the last seal's own stand in no seal: nobody has sealed them, because Crossdock did not write them.

use serde::{Deserialize, Serialize};

use super::{Head, Seal};
use crate::audit::AuditEvent;

/// The longest line: a seal of all the events that one holds takes half of it.
pub const LINE_BYTES_MAX: usize = 2 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportLine {
    Head(Head),
    Seal(Box<Seal>),
    Event(AuditEvent),
}

impl ExportLine {
    /// With its end of line.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("a line is plain data");
        line.push(b'\n');
        line
    }
}
