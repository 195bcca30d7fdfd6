//! A server that lies, loops or floods ends as a fault with a reason.

use connectors::manifest::Page;
use connectors::simulator::{Fault, FaultMatcher};

use super::{Proving, read};
use crate::Failure;

/// How many requests a list that never ends is let answer wrongly; nobody asks so often.
const FOR_EVER: u32 = 100_000;

impl Proving {
    pub(super) async fn hostile(&mut self) -> Result<(), Failure> {
        let Some(kind) = self.readable() else { return Ok(()) };
        let mut troubles: Vec<(Fault, u32)> = [
            Fault::Status(500),
            Fault::TruncateBody,
            Fault::WrongContentType,
            Fault::DropBeforeCommit,
            Fault::HugeBody,
            Fault::GzipBomb,
            Fault::DeepJson(10_000),
            Fault::InvalidUtf8,
            Fault::LyingLength,
            Fault::Redirect("http://169.254.169.254/".into()),
        ]
        .map(|trouble| (trouble, 1))
        .into();
        let read_rule = self.connector.manifest.resources.get(&kind).and_then(|resource| resource.read.as_ref());
        let page = read_rule.and_then(|rule| rule.page.as_ref());
        // Pages that are counted, or begin after the last record, name no next page.
        let names_next = match page {
            Some(Page::Cursor(page)) => page.last_record.is_none(),
            Some(Page::Link(_) | Page::NextUrl(_)) => true,
            _ => false,
        };
        troubles.extend(names_next.then_some((Fault::SelfLink, FOR_EVER)));
        for (trouble, times) in troubles {
            let stage = self.stage().await?;
            let name = format!("hostile: {trouble:?} ends as a fault with a reason");
            let vendor = stage.vendor().await?;
            let matcher = FaultMatcher { kind: Some(kind), ..FaultMatcher::default() }.times(times);
            stage.served.simulator().fail(matcher, trouble);
            let outcome = match read(&vendor, kind).await {
                Err(error) if !error.to_string().is_empty() => Ok(()),
                Err(_) => Err("it has no reason".into()),
                Ok(_) => Err("it was taken for an answer".into()),
            };
            self.check(name, outcome);
        }
        Ok(())
    }
}
