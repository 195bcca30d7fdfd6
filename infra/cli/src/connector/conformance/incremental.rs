//! Reads from a position on: what changed at its very moment, in one moment over the end of a page, late, or while the pages were read.
//! Nothing is skipped, and nothing comes twice that need not.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use connectors::manifest::{Read, TimeFormat};
use connectors::{Position, ReadRecord};
use domain::record::RecordKind;
use workers::vendor::Vendor;

use super::read::{is_dear, page_size};
use super::{Outcome, Proving, RECORDS, Stage, must, read, read_from, said};
use crate::Failure;

/// A vendor whose records change, and where our reading of them stands.
struct Scene<'s> {
    stage: &'s Stage,
    vendor: Vendor<'s>,
    kind: RecordKind,
    position: Position,
    /// Records belong to others, so that none can be made alone.
    has_parents: bool,
}

impl Scene<'_> {
    fn ids(&self) -> Vec<String> {
        self.stage.served.simulator().ids(self.kind)
    }

    fn change(&self, id: &str, at: DateTime<Utc>) {
        self.stage.served.simulator().touch(self.kind, id, at);
    }

    /// So many records that change at a moment: new ones, or else known ones, the first of which is the `from`th.
    fn touch(&self, many: usize, from: usize, at: DateTime<Utc>) -> BTreeSet<String> {
        if self.has_parents {
            let ids: BTreeSet<String> = self.ids().into_iter().skip(from).take(many).collect();
            ids.iter().for_each(|id| self.change(id, at));
            return ids;
        }
        let mut simulator = self.stage.served.simulator();
        (0..many).filter_map(|_| simulator.put_new(self.kind, at)).collect()
    }

    /// Reads on, and again: first comes what is expected and nothing else, then nothing.
    async fn brings(&mut self, expected: &BTreeSet<String>) -> Outcome {
        let came = read_from(&self.vendor, self.kind, &mut self.position).await.map_err(said)?;
        let ids: BTreeSet<String> = came.iter().filter_map(|record| record.id.clone()).collect();
        let list = |ids: Vec<&String>| ids.into_iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        must(expected.is_subset(&ids), || {
            format!(
                "{} of {} did not come: {}, …",
                expected.difference(&ids).count(),
                expected.len(),
                list(expected.difference(&ids).collect())
            )
        })?;
        must(ids.is_subset(expected), || format!("{} came, which did not change", list(ids.difference(expected).collect())))?;
        must(came.len() == ids.len(), || format!("{} records came {} times", ids.len(), came.len()))?;
        let again = read_from(&self.vendor, self.kind, &mut self.position).await.map_err(said)?;
        must(again.is_empty(), || format!("{} records came a second time", again.len()))
    }

    /// The moment of the position; later ones are told from here.
    fn at(&self) -> DateTime<Utc> {
        self.position.at.and_then(DateTime::from_timestamp_micros).unwrap_or_default()
    }
}

impl Proving {
    pub(super) async fn incremental(&mut self, kind: RecordKind) -> Result<(), Failure> {
        let resource = self.connector.manifest.resources.get(&kind).filter(|resource| resource.id.is_some());
        let Some(rule) = resource.and_then(|resource| resource.read.as_ref()) else { return Ok(()) };
        let Some(since) = rule.since.as_ref().filter(|since| since.format != TimeFormat::Integer) else { return Ok(()) };
        let stage = self.stage().await?;
        let vendor = stage.vendor().await?;
        let mut scene = Scene { stage: &stage, vendor, kind, position: Position::default(), has_parents: rule.parent.is_some() };
        read_from(&scene.vendor, kind, &mut scene.position).await?;

        let mut expected = scene.touch(1, 0, scene.at());
        let known = scene.ids().into_iter().nth(1).unwrap_or_default();
        scene.change(&known, scene.at());
        expected.insert(known);
        let outcome = scene.brings(&expected).await;
        self.check(format!("{kind}: a change at the very moment of the position comes, once"), outcome);

        let page = page_size(rule.page.as_ref()).clamp(1, RECORDS * 5);
        // Where each record is a request of its own, long pages are another kind's to show.
        let is_dear = is_dear(rule) && page >= RECORDS;
        if !is_dear {
            let expected = scene.touch(page + 1, 2, scene.at() + TimeDelta::minutes(1));
            let outcome = scene.brings(&expected).await;
            self.check(format!("{kind}: changes of one moment come all, over the end of a page"), outcome);
        }

        let later = scene.ids().into_iter().next().unwrap_or_default();
        scene.change(&later, scene.at() + TimeDelta::minutes(1));
        let outcome = scene.brings(&[later].into()).await;
        self.check(format!("{kind}: a change after the last read comes, once"), outcome);

        if since.overlap_s > 1 {
            // At a moment of its own, which nothing else changed at.
            let late = scene.at() - TimeDelta::seconds(i64::from(since.overlap_s / 2 + 1));
            let expected = scene.touch(1, 3, late);
            let outcome = scene.brings(&expected).await;
            self.check(format!("{kind}: what the vendor writes late, within the overlap, comes, once"), outcome);
        }
        if is_dear { Ok(()) } else { self.while_paging(kind, rule).await }
    }

    /// Records move to the end of the list while its pages are read, or the read breaks off in the middle.
    async fn while_paging(&mut self, kind: RecordKind, rule: &Read) -> Result<(), Failure> {
        let stage = self.stage().await?;
        let size = page_size(rule.page.as_ref());
        // Some pages, where that is not too much.
        let most = if is_dear(rule) { RECORDS } else { RECORDS * 5 };
        stage.served.simulator().seed_records(kind, (size * 2 + size / 4).clamp(RECORDS, most) - RECORDS);
        let vendor = stage.vendor().await?;
        let scene = Scene { stage: &stage, vendor, kind, position: Position::default(), has_parents: false };
        let (mut pages, mut seen, mut kept) = (0, Vec::new(), None);
        let end = scene
            .vendor
            .read(kind, &Position::default(), async |records, position| {
                pages += 1;
                if kept.is_none() {
                    kept = position.map(|position| (seen.len() + records.len(), position.clone()));
                }
                if pages == 1 {
                    // The first two of this page go to the end; all behind them move up. One has the newest moment that there was.
                    let at = scene.stage.served.simulator().newest(kind).unwrap_or_default();
                    let moved: Vec<&String> = records.iter().filter_map(|record| record.id.as_ref()).take(2).collect();
                    moved.iter().zip([0, 60]).for_each(|(id, s)| scene.change(id, at + TimeDelta::seconds(s)));
                }
                seen.extend(records);
            })
            .await;
        let all = read(&scene.vendor, kind).await?;
        let outcome = match end {
            Err(error) => Err(said(error)),
            Ok(end) => lacks_nothing(&scene, &all, &seen, end.position).await,
        };
        self.check(
            format!("{kind}: records that change while pages are read are not skipped, nor are those behind them"),
            outcome,
        );
        if let Some((until, position)) = kept {
            seen.truncate(until);
            let outcome = lacks_nothing(&scene, &all, &seen, position).await;
            self.check(format!("{kind}: a read that broke off goes on where it was, and skips nothing"), outcome);
        }
        Ok(())
    }
}

/// What was seen and what the next read brings are all that the vendor has, as it is now.
async fn lacks_nothing(scene: &Scene<'_>, all: &[ReadRecord], seen: &[ReadRecord], mut position: Position) -> Outcome {
    let next = read_from(&scene.vendor, scene.kind, &mut position).await.map_err(said)?;
    let version = |record: &ReadRecord| (record.id.clone(), record.updated_at.clone());
    let known: BTreeSet<_> = seen.iter().chain(&next).map(version).collect();
    let missing: Vec<_> = all.iter().map(version).filter(|version| !known.contains(version)).collect();
    must(missing.is_empty(), || {
        format!("{} of {} were never seen as they are, such as {:?}", missing.len(), all.len(), missing[0])
    })
}
