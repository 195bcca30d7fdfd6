//! Reads what a vendor has, page by page, for whoever compares or feeds: within the vendor's limit, with the account's token, and with every
//! call told for the audit. Reading changes nothing there, so what fails in passing is asked again.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use connectors::{Connector, ListedKey, MadeKey, Position, PublishedRate, ReadRecord, Reader, RequestContext, RequestError};
use domain::call_payload::{Part, ToldCall};
use domain::delivery::Policy;
use domain::fault::{Fault, FaultClass};
use domain::governor::Told;
use domain::http::{HttpAnswer, HttpRequest, NoAnswer};
use domain::id::{ConnectionId, CredentialId};
use domain::record::RecordKind;
use domain::scope::Scope;
use infra::postgres::StoreError;
use infra::postgres::ledger::ConnectionRow;
use uuid::Uuid;

use crate::Context;
use crate::call::{buckets, exhausted, silent, told};
use crate::directory::{Access, Directory};

/// Tries of one call before the reading is given up; the next one begins anew.
const TRIES_MAX: u32 = 6;
/// How long a call waits for its turn: live work takes the slots first.
const SLOT_WAIT: Duration = Duration::from_secs(20);
/// Nothing waits longer, whatever a vendor says.
const DAY_MS: u64 = 86_400_000;
/// The longest rest between two tries.
const REST_MAX: Duration = Duration::from_secs(30);

/// Why a side could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{connection} could not be read: {} {}", .fault.reason, .fault.fix)]
    Fault { connection: String, fault: Box<Fault> },
    #[error("{connection} could not be asked: {error}")]
    Request { connection: String, error: RequestError },
    #[error("the vendor cannot be asked for one record by its id; bring a period instead")]
    Single,
    #[error("the table of rates that it feeds is not there any more; pause it, or feed another one")]
    Table,
    #[error(
        "{absent} of {known} things of the kind {kind} are not listed any more, which is more than is believed; none was marked as deleted"
    )]
    Absent { kind: RecordKind, absent: i64, known: i64 },
    #[error("the connection is not there any more, or its connector is not part of this installation")]
    Gone,
}

impl ListingError {
    /// How long the vendor, or its limit, asks us to wait.
    pub fn wait(&self) -> chrono::Duration {
        let ms = if let Self::Fault { fault, .. } = self { fault.retry_after_ms } else { None };
        ms.and_then(|ms| chrono::Duration::try_milliseconds(ms.min(DAY_MS).try_into().ok()?)).unwrap_or_default()
    }
}

/// An account that is read.
pub struct Listing<'a> {
    context: &'a Context,
    directory: &'a Directory,
    scope: &'a Scope,
    pub connection: ConnectionRow,
    pub connector: &'static Connector,
    /// Each call that was made, as the audit keeps it.
    calls: Vec<ToldCall>,
    tries_max: u32,
    /// Its calls may say new secrets, and hear them.
    is_secretive: bool,
}

impl<'a> Listing<'a> {
    /// # Errors
    /// Where the database does not answer, or the connection cannot be used.
    pub async fn open(
        context: &'a Context,
        directory: &'a Directory,
        scope: &'a Scope,
        connection: ConnectionId,
    ) -> Result<Self, ListingError> {
        let row = context.store.within(scope).connection_rows(&[connection.0]).await?.pop().ok_or(ListingError::Gone)?;
        let connector = context.catalog.get(&row.connector).ok_or(ListingError::Gone)?;
        Ok(Self {
            context,
            directory,
            scope,
            connection: row,
            connector,
            calls: Vec::new(),
            tries_max: TRIES_MAX,
            is_secretive: false,
        })
    }

    /// Gives up after the first failure: whoever lists again and again comes back by himself.
    #[must_use]
    pub fn hasty(mut self) -> Self {
        self.tries_max = 1;
        self
    }

    /// Is called with this credential instead of the one that is used.
    #[must_use]
    pub fn with(mut self, credential: CredentialId) -> Self {
        self.connection.credential = Some(credential);
        self
    }

    /// Hides in what is kept of its calls whatever is not known to be no secret: registrations of webhooks agree on one.
    #[must_use]
    pub fn secretive(mut self) -> Self {
        self.is_secretive = true;
        self
    }

    /// The calls that were made since this was last asked.
    pub fn take_calls(&mut self) -> Vec<ToldCall> {
        std::mem::take(&mut self.calls)
    }

    /// Begins to list the records of a kind that changed since a moment, or all where the vendor cannot tell; `None` where it lists none of
    /// the kind.
    #[must_use]
    pub fn pages(&self, kind: RecordKind, since: DateTime<Utc>) -> Option<Pages> {
        self.pages_at(kind, &self.connector.position_from(kind, since))
    }

    /// As [`Self::pages`], from where an earlier read ended, as [`Pages::position`] said it. What another version of the connector stored and nobody
    /// can read any more is no position: everything is listed once more.
    #[must_use]
    pub fn pages_from(&self, kind: RecordKind, stored: &serde_json::Value) -> Option<Pages> {
        self.pages_at(kind, &serde_json::from_value(stored.clone()).unwrap_or_default())
    }

    fn pages_at(&self, kind: RecordKind, position: &Position) -> Option<Pages> {
        Some(Pages { reader: self.connector.reader(kind, position)?, tries: Tries::default() })
    }

    /// The next page, with the time of change of each record where one is known; `None` at the end.
    ///
    /// # Errors
    /// Where the vendor says no, or nothing for long.
    pub async fn next(&mut self, pages: &mut Pages) -> Result<Option<Vec<ListedRecord>>, ListingError> {
        loop {
            let access = self.access(&mut pages.tries).await?;
            let nonce = Uuid::new_v4().simple().to_string();
            let request = pages.reader.next(&access.context(&self.connection.settings, &nonce));
            let Some(request) = request.map_err(|error| self.unasked(error))? else { return Ok(None) };
            let taken = match self.send(request, &access).await {
                Ok(answer) => pages.reader.take(&answer, Utc::now()).map_err(|fault| access.told(fault)),
                Err(fault) => Err(fault),
            };
            match taken {
                Ok(records) => {
                    pages.tries = Tries::default();
                    let with_time = |record| {
                        let changed_at = pages.reader.changed_at(&record);
                        (record, changed_at)
                    };
                    return Ok(Some(records.into_iter().map(with_time).collect()));
                }
                Err(fault) => self.rest(&mut pages.tries, fault).await?,
            }
        }
    }

    /// One record by its id: its bytes, or that it is not there; `None` where the vendor cannot be asked for one.
    ///
    /// # Errors
    /// As those of [`Self::next`].
    pub async fn get(&mut self, kind: RecordKind, id: &str) -> Result<Option<Option<bytes::Bytes>>, ListingError> {
        let Some(mut getter) = self.connector.getter(kind, id) else { return Ok(None) };
        let mut tries = Tries::default();
        loop {
            let access = self.access(&mut tries).await?;
            let nonce = Uuid::new_v4().simple().to_string();
            let request = getter.next(&access.context(&self.connection.settings, &nonce)).map_err(|error| self.unasked(error))?;
            let Some(request) = request else { return Ok(Some(None)) };
            let taken = match self.send(request, &access).await {
                Ok(answer) => getter.take(&answer).map_err(|fault| access.told(fault)),
                Err(fault) => Err(fault),
            };
            match taken {
                Ok(Some(record)) => return Ok(Some(Some(record))),
                Ok(None) => tries = Tries::default(),
                Err(fault) if matches!(fault.class, FaultClass::NotFound | FaultClass::Gone) => return Ok(Some(None)),
                Err(fault) => self.rest(&mut tries, fault).await?,
            }
        }
    }

    /// The latest exchange rates; `None` where the vendor publishes none.
    ///
    /// # Errors
    /// As those of [`Self::next`].
    pub async fn rates(&mut self) -> Result<Option<Vec<PublishedRate>>, ListingError> {
        let connector = self.connector;
        self.ask(|context| connector.rates_request(context), |answer, _| connector.read_rates_answer(answer)).await
    }

    /// Asks whether the account answers to its credential: by the probe that the connector declares, else by a list of what is newest; false where it
    /// has neither.
    ///
    /// # Errors
    /// As those of [`Self::next`].
    pub async fn probe(&mut self) -> Result<bool, ListingError> {
        let connector = self.connector;
        let probed = self.ask(|context| connector.probe_request(context), |answer, _| connector.read_probe_answer(answer));
        if probed.await?.is_some() {
            return Ok(true);
        }
        let pages = self.connector.probe_kind().and_then(|kind| self.pages(kind, Utc::now()));
        let Some(mut pages) = pages else { return Ok(false) };
        self.next(&mut pages).await?;
        Ok(true)
    }

    /// The keys that the account has.
    ///
    /// # Errors
    /// As those of [`Self::next`].
    pub async fn keys(&mut self) -> Result<Vec<ListedKey>, ListingError> {
        let connector = self.connector;
        self.ask_one(|context| connector.keys_request(context), |answer, _| connector.read_keys(answer)).await
    }

    /// Makes a key of this label. It is asked once: whoever gets no answer looks for the label before he asks again.
    ///
    /// # Errors
    /// As those of [`Self::next`].
    pub async fn key_create(&mut self, label: &str) -> Result<MadeKey, ListingError> {
        let (connector, tries_max) = (self.connector, std::mem::replace(&mut self.tries_max, 1));
        let made = self
            .ask_one(
                |context| connector.key_create_request(label, context),
                |answer, access| connector.read_created_key(answer, &access.credential.fields),
            )
            .await;
        self.tries_max = tries_max;
        made
    }

    /// Removes a key, or finds that it is gone.
    ///
    /// # Errors
    /// As those of [`Self::next`].
    pub async fn key_retire(&mut self, id: &str) -> Result<(), ListingError> {
        let connector = self.connector;
        self.ask_one(|context| connector.key_retire_request(id, context), |answer, _| connector.read_retired_key(answer)).await
    }

    /// One call that every connector of the kind has.
    async fn ask_one<T>(
        &mut self,
        build: impl Fn(&RequestContext<'_>) -> Result<HttpRequest, RequestError>,
        read: impl Fn(&HttpAnswer, &Access) -> Result<T, Fault>,
    ) -> Result<T, ListingError> {
        let asked = self.ask(|context| build(context).map(Some), read).await?;
        Ok(asked.expect("a request is always built here"))
    }

    /// One call, as often as it takes; `None` where the connector has none for it.
    async fn ask<T>(
        &mut self,
        build: impl Fn(&RequestContext<'_>) -> Result<Option<HttpRequest>, RequestError>,
        read: impl Fn(&HttpAnswer, &Access) -> Result<T, Fault>,
    ) -> Result<Option<T>, ListingError> {
        let mut tries = Tries::default();
        loop {
            let access = self.access(&mut tries).await?;
            let nonce = Uuid::new_v4().simple().to_string();
            let request = build(&access.context(&self.connection.settings, &nonce));
            let Some(request) = request.map_err(|error| self.unasked(error))? else { return Ok(None) };
            let taken = match self.send(request, &access).await {
                Ok(answer) => read(&answer, &access).map_err(|fault| access.told(fault)),
                Err(fault) => Err(fault),
            };
            match taken {
                Ok(taken) => return Ok(Some(taken)),
                Err(fault) => self.rest(&mut tries, fault).await?,
            }
        }
    }

    async fn access(&mut self, tries: &mut Tries) -> Result<Access, ListingError> {
        loop {
            match self.directory.access(self.scope, &self.connection, self.connector).await? {
                (access, None) => return Ok(access),
                (_, Some(lack)) => self.rest(tries, lack).await?,
            }
        }
    }

    /// Waits for a permit and calls once.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn send(&mut self, request: HttpRequest, access: &Access) -> Result<HttpAnswer, Fault> {
        let silent = |class, code: &str, why: &str| silent(self.connector, class, code, why);
        let buckets = buckets(&self.connection, self.connector, &request);
        let permit = self.context.limiter.take_until(&buckets, Instant::now() + SLOT_WAIT).await;
        let permit = permit.map_err(|used_up| exhausted(self.connector, "limit", used_up))?;
        let (method, url) = (request.method.as_str(), access.redact(&request.url).into_owned());
        let asked = request.body.clone();
        let answer = tokio::time::timeout(self.context.outbound.timeout(), self.context.outbound.send(request)).await;
        let said = answer.as_ref().map_or_else(|_| Told::nothing(), |answer| told(self.connector, answer));
        self.context.limiter.give(permit, &said).await;
        let status = answer.as_ref().ok().and_then(|answer| answer.as_ref().ok()).map(|answer| answer.status);
        let said = answer.as_ref().ok().and_then(|answer| answer.as_ref().ok()).map(|answer| &answer.body[..]);
        let redact = |text: &str| access.redact(text).into_owned();
        let (asked, said) = match self.is_secretive {
            true => (Part::of_token_request(&asked, redact), said.map(|body| Part::of_token_answer(body, redact))),
            false => (Part::of_request(&asked, redact), said.map(|body| Part::of_answer(body, redact))),
        };
        let connection = self.connection.id.to_string();
        let what = [("connection", connection.into()), ("method", method.into()), ("url", url.into()), ("status", status.into())];
        let what = what.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.calls.push(ToldCall::new(what, Some(asked), said));
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(NoAnswer::Refused(why))) => {
                return Err(silent(FaultClass::Permission, "refused", &why));
            }
            Ok(Err(NoAnswer::NotSent(why) | NoAnswer::Lost(why))) => return Err(silent(FaultClass::Outage, "no_answer", &why)),
            Err(_) => return Err(silent(FaultClass::Outage, "no_answer", "it took too long")),
        };
        self.context.sunsets.note(self.scope.tenant, self.connection.id, self.connector.sunset_signs(&answer));
        Ok(answer)
    }

    /// Rests after what may pass; gives up after what does not, or has not for long.
    async fn rest(&self, tries: &mut Tries, fault: Fault) -> Result<(), ListingError> {
        let is_first_refusal = fault.class == FaultClass::Authentication && !std::mem::replace(&mut tries.was_refused, true);
        tries.failures += 1;
        let may_pass = fault.class.is_passing() || fault.class == FaultClass::Unknown || is_first_refusal;
        if !may_pass || tries.failures >= self.tries_max.max(u32::from(is_first_refusal) * 2) {
            return Err(self.failed(fault));
        }
        if !is_first_refusal {
            let wait = Policy::default().wait(&fault, tries.failures, rand::random()).to_std().unwrap_or_default();
            tokio::time::sleep(wait.min(REST_MAX)).await;
        }
        Ok(())
    }

    pub fn failed(&self, fault: Fault) -> ListingError {
        ListingError::Fault { connection: self.connection.name.clone(), fault: Box::new(fault) }
    }

    pub fn unasked(&self, error: RequestError) -> ListingError {
        ListingError::Request { connection: self.connection.name.clone(), error }
    }
}

/// A record, and when it last changed.
pub type ListedRecord = (ReadRecord, Option<DateTime<Utc>>);

/// A list that is being read.
pub struct Pages {
    reader: Reader<'static>,
    tries: Tries,
}

impl Pages {
    /// Where the next read begins, as it is stored, where that may be said already: after each page of a list whose oldest come first, else at the
    /// end.
    pub fn position(&mut self) -> Option<serde_json::Value> {
        let position = self.reader.position()?;
        Some(serde_json::to_value(position).expect("a position is plain data"))
    }
}

#[derive(Default)]
struct Tries {
    failures: u32,
    was_refused: bool,
}
