//! What was counted for a month after its invoice was closed. It is nobody's loss and nobody is billed twice: the next invoice has a line for it, at the
//! price that it would have had.

use super::{Agreement, DayUsage, Line, LineKind, Month, parts};
use crate::usage::Meter;

/// So many months back are looked at. What is counted later than that stands in the usage and in no invoice.
pub const LATE_MONTHS: u32 = 3;

/// The lines for what of a closed month no invoice has yet. `usage` is all that is counted of the month by now, `billed` are lines of the invoices since.
#[must_use]
pub fn late(month: Month, agreements: &[Agreement], usage: &[DayUsage], billed: &[Line]) -> Vec<Line> {
    let mut lines = vec![];
    for part in parts(month, agreements) {
        for meter in Meter::ALL {
            let counted = usage.iter().filter(|one| one.meter == meter && (part.from..=part.to).contains(&one.day));
            let used: i64 = counted.map(|one| one.quantity).sum();
            let is_of = |line: &&Line| {
                matches!(line.kind, LineKind::Usage | LineKind::LateUsage | LineKind::NoPlan)
                    && line.meter == Some(meter)
                    && (line.from, line.to) == (part.from, part.to)
            };
            let billed: i64 = billed.iter().filter(is_of).map(|line| line.used).sum();
            if used > billed {
                lines.push(match part.plan {
                    Some(plan) => part.usage(LineKind::LateUsage, plan, meter, billed, used - billed),
                    None => part.no_plan(meter, used - billed),
                });
            }
        }
    }
    lines
}
