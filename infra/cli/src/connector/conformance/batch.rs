//! Many payloads in one request: each has an end of its own.

use connectors::simulator::{Fault, FaultMatcher};
use domain::fault::FaultClass;
use domain::record::RecordKind;
use domain::value::{Limits, Value};

use super::sample::Codes;
use super::{Outcome, Proving, Stage, keys, must, said};
use crate::Failure;

/// Payloads of one request here; the one in the middle is refused.
const ITEMS: usize = 3;

impl Proving {
    pub(super) async fn batch(&mut self, kind: RecordKind) -> Result<(), Failure> {
        let stage = self.stage().await?;
        let outcome = self.one_refused(&stage, kind).await;
        self.check(format!("{kind}: one refused item of a batch is known, and the others are stored"), outcome);
        Ok(())
    }

    /// Payloads of different records, each under a key of its own.
    fn payloads(&self, kind: RecordKind, settings: &serde_json::Value) -> Result<Vec<Value>, String> {
        let sample = self.canonical(kind)?.to_json();
        let codes = Codes::new(self.connector.tables());
        let payload = |index: usize| {
            // What a record is about is its SKU, where it is about something.
            let record = Value::parse(sample.replace("HAT-XL", &format!("HAT-{index}")).as_bytes(), &Limits::DEFAULT);
            let key = format!("crossdock-batch-{index}");
            let payload = self.payload_of(kind, &record.map_err(said)?, (&key, 1), settings, &codes)?;
            payload.ok_or_else(|| "there is no write mapping".to_owned())
        };
        (0..ITEMS).map(payload).collect()
    }

    async fn one_refused(&self, stage: &Stage, kind: RecordKind) -> Outcome {
        let payloads = self.payloads(kind, &stage.settings)?;
        let vendor = stage.vendor().await.map_err(said)?;
        stage.served.simulator().fail(FaultMatcher::next(&format!("{kind}.batch")), Fault::RefuseItem(1));
        let build = |context: &connectors::RequestContext<'_>| self.connector.batch_request(kind, &payloads, context);
        let answer = vendor.call(keys("crossdock-batch", 1), build).await.map_err(said)?;
        let ends = self.connector.read_batch_answer(kind, &payloads, &answer).map_err(|fault| fault.reason)?;
        must(ends.len() == ITEMS, || format!("{} ends of {ITEMS} payloads", ends.len()))?;
        for (index, end) in ends.iter().enumerate() {
            match &end.result {
                Ok(_) if index != 1 => {}
                Err(fault) if index == 1 => must(!fault.class.is_passing() && fault.class != FaultClass::Unknown, || {
                    format!("the refused one was taken for {}: {}", fault.class.as_str(), fault.reason)
                })?,
                Ok(receipt) => return Err(format!("the refused one was taken for stored, as {}", receipt.id)),
                Err(fault) => return Err(format!("item {index} was stored, and taken for refused: {}", fault.reason)),
            }
        }
        let creates = stage.served.simulator().stats().creates;
        must(creates == ITEMS as u64 - 1, || format!("the vendor has stored {creates} of them"))
    }
}
