//! Exchange rates: what the sample says is read, each pair with its day, and an answer that is none is a fault.

use connectors::simulator::{Fault, FaultMatcher};
use connectors::{RequestContext, RequestError};
use workers::vendor::Vendor;

use super::{Outcome, Proving, keys, must, said};
use crate::Failure;

impl Proving {
    pub(super) async fn rates(&mut self) -> Result<(), Failure> {
        if !self.connector.has_rates() {
            return Ok(());
        }
        let stage = self.stage().await?;
        let outcome = match stage.vendor().await {
            Ok(vendor) => self.rates_are_read(&vendor).await,
            Err(error) => Err(said(error)),
        };
        self.check("rates: those of the sample are read, each with its day", outcome);
        let stage = self.stage().await?;
        stage.served.simulator().fail(FaultMatcher::next("rates"), Fault::TruncateBody);
        let outcome = match stage.vendor().await {
            Ok(vendor) => match self.rates_are_read(&vendor).await {
                Err(_) => Ok(()),
                Ok(()) => Err("half an answer was taken for all the rates".to_owned()),
            },
            Err(error) => Err(said(error)),
        };
        self.check("rates: half an answer is none", outcome);
        Ok(())
    }

    async fn rates_are_read(&self, vendor: &Vendor<'_>) -> Outcome {
        let build = |context: &RequestContext<'_>| {
            self.connector.rates_request(context)?.ok_or_else(|| RequestError::Action("rates".into()))
        };
        let answer = vendor.call(keys("", 0), build).await.map_err(said)?;
        let rates = self.connector.read_rates_answer(&answer).map_err(|fault| format!("{} {}", fault.reason, fault.fix))?;
        let is_code = |code: &str| code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        let odd = rates.iter().find(|rate| !is_code(&rate.from) || !is_code(&rate.to) || rate.rate.is_empty());
        must(odd.is_none(), || odd.map_or_else(String::new, |rate| format!("{}/{} {} is no rate", rate.from, rate.to, rate.rate)))
    }
}
