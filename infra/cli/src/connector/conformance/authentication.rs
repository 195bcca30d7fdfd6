//! Who is let in: the right credential, no other, and with a new token where the old one ended early.

use connectors::RequestError;
use connectors::manifest::Auth;
use connectors::simulator::{Fault, FaultMatcher};
use domain::fault::FaultClass;
use domain::secret::SecretFields;
use workers::vendor::VendorError;

use super::{Proving, must, read, said};
use crate::Failure;

impl Proving {
    pub(super) async fn authentication(&mut self) -> Result<(), Failure> {
        let Some(kind) = self.readable().filter(|_| !matches!(self.connector.manifest.auth, Auth::None)) else { return Ok(()) };
        let stage = self.stage().await?;
        let right = match stage.vendor().await {
            Ok(vendor) => read(&vendor, kind).await,
            Err(error) => Err(error),
        };
        self.check("authentication: the right credential is let in", right.map(|_| ()).map_err(said));
        let wrong: SecretFields =
            self.connector.credential().keys().map(|name| (name.clone(), "wrong".to_owned().into())).collect();
        let refused = match read(&stage.vendor_with(&wrong), kind).await {
            // Without a person's consent there is no call at all.
            Err(VendorError::Request(RequestError::Consent(_))) => Ok(()),
            Err(VendorError::Fault(fault)) if fault.class == FaultClass::Authentication => Ok(()),
            Err(error) => Err(format!("it ended otherwise: {error}")),
            Ok(_) => Err("it was let in".into()),
        };
        self.check("authentication: a wrong credential is refused, and understood", refused);
        if self.connector.needs_token(None, chrono::Utc::now()) {
            let vendor = stage.vendor().await?;
            let first = read(&vendor, kind).await.map_err(said);
            stage.served.simulator().fail(FaultMatcher::default(), Fault::ExpireTokens);
            let second = read(&vendor, kind).await.map_err(said);
            let outcome = first.and_then(|first| {
                let second = second?;
                must(first.len() == second.len(), || format!("{} records, then {}", first.len(), second.len()))
            });
            self.check("authentication: a token that ended early is replaced, and the call made again", outcome);
        }
        Ok(())
    }
}
