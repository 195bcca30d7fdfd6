//! What an import found: which streams can be read, and what the others lack.

use std::fmt;

use serde::Serialize;

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// What the manifest calls itself, where it does.
    pub name: String,
    pub streams: Vec<StreamReport>,
    /// What is not run and belongs to no stream.
    pub missing: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    pub name: String,
    /// True where all that it needs is run.
    pub runnable: bool,
    /// `streams[2].retriever.paginator.pagination_strategy: CustomPaginationStrategy is not run`
    pub missing: Vec<String>,
}

impl ImportReport {
    #[must_use]
    pub fn runnable(&self) -> usize {
        self.streams.iter().filter(|stream| stream.runnable).count()
    }
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} of {} streams can be read.", self.name, self.runnable(), self.streams.len())?;
        for stream in &self.streams {
            writeln!(f, "  {} {}", if stream.runnable { "yes" } else { "no " }, stream.name)?;
            stream.missing.iter().try_for_each(|missing| writeln!(f, "        {missing}"))?;
        }
        self.missing.iter().try_for_each(|missing| writeln!(f, "  {missing}"))
    }
}
