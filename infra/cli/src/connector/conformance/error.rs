//! What the vendor says when it says no: every class of the error catalog, and errors inside a success.

use connectors::simulator::Simulator;
use domain::fault::FaultClass;
use domain::http::HttpAnswer;

use super::{Proving, must};
use crate::Failure;
use crate::connector::simulate::account;

impl Proving {
    pub(super) fn errors(&mut self) -> Result<(), Failure> {
        let (settings, credential) = account(self.connector);
        let simulator = Simulator::new(self.connector, self.seed, settings, credential)?;
        for class in FaultClass::ALL {
            if !self.connector.manifest.errors.iter().any(|rule| rule.class == class) {
                continue;
            }
            let said = simulator.error_answer(class, None, chrono::Utc::now());
            let fault = self.connector.classify(&HttpAnswer { status: said.status, headers: said.headers, body: said.body });
            let outcome = must(fault.class == class, || format!("it was taken for {}", fault.class.as_str())).and_then(|()| {
                let is_filled = !fault.reason.contains("{{") && !fault.fix.contains("{{");
                must(is_filled, || format!("a placeholder is left in \"{}\"", fault.reason))
            });
            self.check(format!("errors: {} is understood, with a reason and a fix", class.as_str()), outcome);
        }
        for at in &self.connector.manifest.error.inside {
            let said = simulator.error_inside(at);
            let answer = HttpAnswer { status: said.status, headers: said.headers, body: said.body };
            let outcome = match self.connector.read_action_answer(&answer) {
                Ok(()) => Err("it was taken for a success".to_owned()),
                Err(fault) => must(!fault.reason.is_empty() && !fault.class.is_passing(), || {
                    format!("it was taken for {}, which passes by itself: {}", fault.class.as_str(), fault.reason)
                }),
            };
            self.check(format!("errors: a success with an error inside, at {at}, is a failure"), outcome);
        }
        Ok(())
    }
}
