//! A vendor's account at work: signed requests through the one door, one after the other.

use connectors::{Connector, Position, ReadRecord, RequestContext, RequestError};
use domain::fault::Fault;
use domain::http::{HttpAnswer, HttpRequest, NoAnswer};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use infra::outbound::Outbound;
use uuid::Uuid;

/// Why a vendor did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("no answer")]
    NoAnswer(#[from] NoAnswer),
    #[error("{} {}", .0.reason, .0.fix)]
    Fault(Fault),
    #[error("the connector does not read the kind {0}")]
    Kind(RecordKind),
}

/// One account: a connector with a tenant's settings and credential.
pub struct Vendor<'a> {
    pub connector: &'a Connector,
    pub settings: &'a serde_json::Value,
    pub credential: &'a SecretFields,
    pub outbound: &'a Outbound,
}

/// What a read came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadEnd {
    pub pages: u64,
    pub records: u64,
    /// Where the next read begins; the old position where the vendor has none.
    pub position: Position,
}

impl Vendor<'_> {
    /// What requests say of this account now.
    pub(crate) fn context<'c>(&'c self, nonce: &'c str) -> RequestContext<'c> {
        RequestContext {
            settings: self.settings,
            credential: self.credential,
            external_key: "",
            revision: 0,
            idempotency_key: "",
            now: chrono::Utc::now(),
            nonce,
        }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, VendorError> {
        Ok(self.outbound.send(request).await?)
    }

    /// Reads a kind of record from a position to its end. `keep` is given each page's records, and the position where one may be stored: a
    /// crash between the two brings the page again and loses nothing.
    ///
    /// # Errors
    /// Where the vendor did not answer, or said no; what was kept until then stays good.
    pub async fn read(
        &self,
        kind: RecordKind,
        from: &Position,
        mut keep: impl AsyncFnMut(Vec<ReadRecord>, Option<&Position>),
    ) -> Result<ReadEnd, VendorError> {
        let mut reader = self.connector.reader(kind, from).ok_or(VendorError::Kind(kind))?;
        let mut end = ReadEnd { position: from.clone(), ..ReadEnd::default() };
        loop {
            let nonce = Uuid::new_v4().simple().to_string();
            let Some(request) = reader.next(&self.context(&nonce))? else { break };
            let answer = self.send(request).await?;
            let records = reader.take(&answer, chrono::Utc::now()).map_err(VendorError::Fault)?;
            end.pages += 1;
            end.records += records.len() as u64;
            let position = reader.position();
            keep(records, position.as_ref()).await;
            end.position = position.unwrap_or(end.position);
        }
        end.position = reader.position().unwrap_or(end.position);
        Ok(end)
    }
}
