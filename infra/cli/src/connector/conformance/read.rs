//! A full read brings every record once; an incremental one nothing again.

use std::collections::BTreeSet;

use connectors::Position;
use connectors::manifest::{Page, Read, Size};
use domain::record::RecordKind;

use super::{Proving, RECORDS, must, read_from, said};
use crate::Failure;

/// No list is made longer than this to have a second page, because each of its records may be a request of its own.
const RECORDS_MAX: usize = 1_100;

impl Proving {
    pub(super) async fn read(&mut self, kind: RecordKind) -> Result<(), Failure> {
        let stage = self.stage().await?;
        let more = self.records_of_pages(kind).saturating_sub(RECORDS);
        stage.served.simulator().seed_records(kind, more);
        let vendor = stage.vendor().await?;
        let resource = self.connector.manifest.resources.get(&kind);
        let has_ids = resource.is_some_and(|resource| resource.id.is_some());
        let stored: BTreeSet<String> = stage.served.simulator().ids(kind).into_iter().collect();
        let mut position = Position::default();
        let outcome = read_from(&vendor, kind, &mut position).await.map_err(said).and_then(|records| {
            let seen: BTreeSet<String> = records.iter().map(|record| record.id.clone().unwrap_or_default()).collect();
            // Records without an id of their own, such as stock levels, are counted.
            if !has_ids && records.len() == stored.len() {
                return Ok(());
            }
            must(records.len() == seen.len(), || format!("{} records came, {} of them different", records.len(), seen.len()))?;
            must(seen == stored, || format!("{} records came, the vendor has {}", seen.len(), stored.len()))
        });
        let is_whole = outcome.is_ok();
        self.check(format!("{kind}: a full read brings every record once, to the last page"), outcome);
        let since = resource.and_then(|resource| resource.read.as_ref()).and_then(|read| read.since.as_ref());
        if since.is_some() && is_whole {
            let outcome = read_from(&vendor, kind, &mut position).await.map_err(said).and_then(|again| {
                must(again.is_empty(), || format!("{} records came again, though nothing changed", again.len()))
            });
            self.check(format!("{kind}: an incremental read repeats nothing at its boundary"), outcome);
            self.incremental(kind).await?;
        }
        Ok(())
    }

    /// How many records make a second page.
    pub(super) fn records_of_pages(&self, kind: RecordKind) -> usize {
        let resource = self.connector.manifest.resources.get(&kind);
        let Some(read) = resource.and_then(|resource| resource.read.as_ref()) else { return RECORDS };
        if is_dear(read) { RECORDS } else { (page_size(read.page.as_ref()) + 1).clamp(RECORDS, RECORDS_MAX) }
    }
}

/// Each of its records, or every few, take a request of their own.
pub(super) fn is_dear(read: &Read) -> bool {
    !read.include.is_empty() || read.parent.is_some()
}

/// How many records a page has; 0 where nothing says it.
pub(super) fn page_size(page: Option<&Page>) -> usize {
    let size = |size: &Option<Size>| size.as_ref().map_or(0, |size| size.value as usize);
    match page {
        None => 0,
        Some(Page::Number(page)) => size(&page.size),
        Some(Page::Offset(page)) => page.size.value as usize,
        Some(Page::Cursor(page)) => size(&page.size),
        Some(Page::Link(page)) => size(&page.size),
        Some(Page::NextUrl(page)) => size(&page.size),
    }
}
