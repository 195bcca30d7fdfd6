//! Arrivals: how often things come from a source, by the hour of the week, and the alarms that nothing comes any more (*silence*) or far too much
//! does (*surge*). A [`Series`] is what comes of one kind of record from one connection, or by one topic of it. It learns while it counts; what
//! it has learned is some 1.6 KB, however much comes.
//!
//! An alarm that was false is not believed the next time. So silence is judged by what was never seen: the chance of such a gap by the learned
//! rates, and the longest gap that there was before, in the same measure.

mod policy;
mod series;
#[cfg(test)]
mod tests;
mod week;
mod word;

pub use policy::{AlarmPolicy, PolicyError, QuietHours, Sensitivity};
pub use series::{Alarm, Band, Bucket, READY_DAYS, Series};
pub use word::{Told, flow_silence, reminders, silence, surge, topic_silence};

/// Arrivals are counted by so many seconds.
pub const BUCKET_S: i64 = 300;
/// Buckets of an hour.
const HOUR: u8 = 12;
