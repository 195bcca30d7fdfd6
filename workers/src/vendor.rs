//! A vendor's account at work: requests through the one door, one after the other, with a token where the vendor wants one.

use bytes::Bytes;
use connectors::{
    CallbackError, Change, Connector, Found, ListedSubscription, LookUpError, Pkce, Position, ReadRecord, Reader, RequestContext,
    RequestError, TokenSet, is_same_state,
};
use domain::fault::{Fault, FaultClass};
use domain::http::{HttpAnswer, HttpRequest, Method, NoAnswer};
use domain::record::RecordKind;
use domain::secret::{ExposeSecret, SecretFields};
use domain::value::Value;
use infra::outbound::Outbound;
use tokio::sync::Mutex;
use uuid::Uuid;

/// Of a page that is taken as it comes, so much is kept at a time.
const BATCH_BYTES: usize = 1024 * 1024;

/// Why a vendor did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("{} {}", .0.reason, .0.fix)]
    Fault(Fault),
    #[error("the connector does not read the kind {0}")]
    Kind(RecordKind),
    #[error(transparent)]
    Callback(#[from] CallbackError),
    #[error("the answer has another state than was sent")]
    State,
}

impl From<Fault> for VendorError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<LookUpError> for VendorError {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Request(error) => Self::Request(error),
            LookUpError::Missing(fault) => Self::Fault(fault),
        }
    }
}

/// One account: a connector with a tenant's settings and credential.
pub struct Vendor<'a> {
    connector: &'a Connector,
    settings: &'a serde_json::Value,
    credential: &'a SecretFields,
    outbound: &'a Outbound,
    /// All requests go here instead of to the vendor's own hosts: a simulator's address.
    origin: Option<String>,
    token: Mutex<Option<TokenSet>>,
}

/// What a read came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadEnd {
    pub pages: u64,
    pub records: u64,
    /// Where the next read begins; the old position where the vendor has none.
    pub position: Position,
}

/// What a write is about.
#[derive(Debug, Clone, Copy, Default)]
pub struct WriteKeys<'k> {
    pub external_key: &'k str,
    pub revision: i64,
    pub idempotency_key: &'k str,
}

impl<'a> Vendor<'a> {
    #[must_use]
    pub fn new(
        connector: &'a Connector,
        settings: &'a serde_json::Value,
        credential: &'a SecretFields,
        outbound: &'a Outbound,
    ) -> Self {
        Self { connector, settings, credential, outbound, origin: None, token: Mutex::new(None) }
    }

    /// Sends everything to this origin (`http://127.0.0.1:8080`), whatever host a request names.
    #[must_use]
    pub fn at(mut self, origin: &str) -> Self {
        self.origin = Some(origin.trim_end_matches('/').to_owned());
        self
    }

    /// Goes the way of a person who is asked for consent, and turns the code that comes back into tokens: at a simulator, where the person decides
    /// at once.
    ///
    /// # Errors
    /// Where the vendor asks nobody, the answer sends the person nowhere or says no, or the code is not taken.
    pub async fn consent(&self, redirect_uri: &str) -> Result<(), VendorError> {
        let (nonce, random) = (Uuid::new_v4().simple().to_string(), rand::random());
        let (context, pkce) = (self.context(WriteKeys::default(), None, &nonce), Pkce::new(&random));
        let url = self.connector.authorize_url(&nonce, &pkce.challenge, redirect_uri, &context)?;
        let request = HttpRequest { method: Method::Get, url, headers: vec![], body: Bytes::new(), identity: None };
        let answer = self.send(request).await?;
        let location = answer.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("location")).map(|(_, to)| to.as_str());
        let query = location.and_then(|to| to.strip_prefix(redirect_uri)?.strip_prefix('?')).unwrap_or_default();
        self.connector.check_issuer(query, &context)?;
        let callback = self.connector.read_callback(query)?;
        if !is_same_state(&nonce, &callback.state) {
            return Err(VendorError::State);
        }
        self.connect(callback.code.expose_secret(), pkce.verifier.expose_secret(), redirect_uri).await
    }

    /// Turns the code that a person's consent brought into tokens (RFC 6749 section 4.1.3).
    ///
    /// # Errors
    /// Where the vendor takes no code, or not this one.
    pub async fn connect(&self, code: &str, code_verifier: &str, redirect_uri: &str) -> Result<(), VendorError> {
        let nonce = Uuid::new_v4().simple().to_string();
        let context = self.context(WriteKeys::default(), None, &nonce);
        let request = self.connector.code_request(&code.into(), &code_verifier.into(), redirect_uri, &context)?;
        let answer = self.send(request).await?;
        *self.token.lock().await = Some(self.connector.read_token_answer(&answer, None, chrono::Utc::now())?);
        Ok(())
    }

    /// One call: a token first where one is needed; and where the vendor ended it early, a new one and the call again, once.
    ///
    /// # Errors
    /// Where the call cannot be made, or no answer came. An answer that says no is an answer.
    pub async fn call(
        &self,
        keys: WriteKeys<'_>,
        build: impl Fn(&RequestContext<'_>) -> Result<HttpRequest, RequestError>,
    ) -> Result<HttpAnswer, VendorError> {
        let answer = self.try_call(keys, &build).await?;
        // The vendor looked at the token and at nothing else, so that even a write may be sent again.
        let is_refused = answer.status == 401 && self.connector.classify(&answer).class == FaultClass::Authentication;
        if is_refused && self.forget_token().await { self.try_call(keys, &build).await } else { Ok(answer) }
    }

    /// Looks up what belongs before a change; it only reads, and nothing where nothing belongs before it.
    ///
    /// # Errors
    /// Where the vendor did not answer or said no, or what the change cannot do without is not there.
    pub async fn look_up(
        &self,
        kind: RecordKind,
        change: Change<'_>,
        payload: Option<&Value>,
        keys: WriteKeys<'_>,
    ) -> Result<Found, VendorError> {
        let (mut found, mut is_second_try) = (Found::default(), false);
        loop {
            let token = self.token().await?;
            let nonce = Uuid::new_v4().simple().to_string();
            let context = self.context(keys, token.as_ref(), &nonce);
            let request = self.connector.before_request(kind, change, payload, &mut found, &context)?;
            let Some(request) = request else { return Ok(found) };
            let answer = self.send(request).await?;
            match self.connector.read_before_answer(kind, change, payload, &mut found, &answer, &context) {
                Ok(()) => is_second_try = false,
                // The same is looked up with a new token.
                Err(fault) if fault.class == FaultClass::Authentication && !is_second_try && self.forget_token().await => {
                    is_second_try = true;
                }
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    async fn try_call(
        &self,
        keys: WriteKeys<'_>,
        build: &impl Fn(&RequestContext<'_>) -> Result<HttpRequest, RequestError>,
    ) -> Result<HttpAnswer, VendorError> {
        self.send(self.prepare(keys, build).await?).await
    }

    /// The request of a call, signed and not sent.
    ///
    /// # Errors
    /// Where it cannot be made, or no token came.
    pub async fn prepare(
        &self,
        keys: WriteKeys<'_>,
        build: impl Fn(&RequestContext<'_>) -> Result<HttpRequest, RequestError>,
    ) -> Result<HttpRequest, VendorError> {
        let token = self.token().await?;
        let nonce = Uuid::new_v4().simple().to_string();
        Ok(build(&self.context(keys, token.as_ref(), &nonce))?)
    }

    /// Reads back what a webhook of this topic is about, with the parts that the vendor keeps apart; `None` where the topic is not read back.
    ///
    /// # Errors
    /// Where the vendor did not answer, or said no.
    pub async fn fetch(&self, topic: &str, source_id: &str) -> Result<Option<Bytes>, VendorError> {
        let Some(mut getter) = self.connector.fetcher(topic, source_id) else { return Ok(None) };
        let mut is_second_try = false;
        loop {
            let token = self.token().await?;
            let nonce = Uuid::new_v4().simple().to_string();
            let Some(request) = getter.next(&self.context(WriteKeys::default(), token.as_ref(), &nonce))? else {
                return Ok(None);
            };
            match getter.take(&self.send(request).await?) {
                Ok(Some(record)) => return Ok(Some(record)),
                Ok(None) => is_second_try = false,
                // The same is asked for with a new token.
                Err(fault) if fault.class == FaultClass::Authentication && !is_second_try && self.forget_token().await => {
                    is_second_try = true;
                }
                Err(fault) => return Err(fault.into()),
            }
        }
    }

    /// The request of a change as a worker makes it: with the last version where it must name that, and with all that is looked up before it.
    ///
    /// # Errors
    /// Where the vendor did not answer or said no, or what the change cannot do without is not there.
    pub async fn change(
        &self,
        kind: RecordKind,
        change: Change<'_>,
        payload: Option<&Value>,
        keys: WriteKeys<'_>,
    ) -> Result<HttpRequest, VendorError> {
        let current;
        let change = match change {
            Change::Update(known) | Change::Action(_, known)
                if known.version.is_none() && self.connector.needs_version(kind, change) =>
            {
                let ask = |context: &RequestContext<'_>| {
                    self.connector.current_request(kind, &known.id, context)?.ok_or(RequestError::Version)
                };
                let answer = self.call(keys, ask).await?;
                current = self.connector.read_current_answer(kind, &known.id, &answer)?;
                match change {
                    Change::Action(name, _) => Change::Action(name, &current),
                    _ => Change::Update(&current),
                }
            }
            change => change,
        };
        let found = self.look_up(kind, change, payload, keys).await?;
        self.prepare(keys, |context| self.connector.change_request(kind, change, payload, &found, context)).await
    }

    /// All webhooks of the account; `None` where the vendor has no list of them.
    ///
    /// # Errors
    /// Where the vendor did not answer, or said no.
    pub async fn subscriptions(&self) -> Result<Option<Vec<ListedSubscription>>, VendorError> {
        let Some(mut reader) = self.connector.subscription_reader() else { return Ok(None) };
        let mut is_second_try = false;
        loop {
            let token = self.token().await?;
            let nonce = Uuid::new_v4().simple().to_string();
            let request = reader.next(&self.context(WriteKeys::default(), token.as_ref(), &nonce))?;
            let Some(request) = request else { return Ok(Some(reader.into_found())) };
            let answer = self.send(request).await?;
            match reader.take(&answer) {
                // The token ended between two pages: the same page is asked for with a new one.
                Err(fault) if fault.class == FaultClass::Authentication && !is_second_try && self.forget_token().await => {
                    is_second_try = true;
                }
                taken => {
                    taken?;
                    is_second_try = false;
                }
            }
        }
    }

    fn context<'c>(&'c self, keys: WriteKeys<'c>, token: Option<&'c TokenSet>, nonce: &'c str) -> RequestContext<'c> {
        RequestContext {
            external_key: keys.external_key,
            revision: keys.revision,
            idempotency_key: keys.idempotency_key,
            token,
            ..RequestContext::new(self.settings, self.credential, chrono::Utc::now(), nonce)
        }
    }

    /// The token of this account; one at a time asks for a new one, and the others wait for it.
    async fn token(&self) -> Result<Option<TokenSet>, VendorError> {
        let mut token = self.token.lock().await;
        if self.connector.needs_token(token.as_ref(), chrono::Utc::now()) {
            let nonce = Uuid::new_v4().simple().to_string();
            let request = self.connector.token_request(&self.context(WriteKeys::default(), token.as_ref(), &nonce))?;
            if let Some(request) = request {
                let answer = self.send(request).await?;
                *token = Some(self.connector.read_token_answer(&answer, token.as_ref(), chrono::Utc::now())?);
            }
        }
        Ok(token.clone())
    }

    /// Ends our own use of an access token that the vendor refused. False where there is none.
    async fn forget_token(&self) -> bool {
        let mut token = self.token.lock().await;
        match token.as_mut() {
            Some(token) => {
                // What refreshes stays; the access token is over.
                token.expires_at = Some(chrono::DateTime::UNIX_EPOCH);
                true
            }
            None => false,
        }
    }

    /// Sends a request once.
    ///
    /// # Errors
    /// Where no answer came.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, VendorError> {
        Ok(self.outbound.send(self.placed(request)).await?)
    }

    /// At the origin that everything is sent to, where there is one.
    fn placed(&self, mut request: HttpRequest) -> HttpRequest {
        if let Some(origin) = &self.origin {
            let after_scheme = request.url.find("://").map_or(0, |at| at + 3);
            let path = request.url[after_scheme..].find(['/', '?']).map_or("", |at| &request.url[after_scheme + at..]);
            request.url = format!("{origin}{path}");
        }
        request
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
        let mut is_second_try = false;
        loop {
            let token = self.token().await?;
            let nonce = Uuid::new_v4().simple().to_string();
            let Some(request) = reader.next(&self.context(WriteKeys::default(), token.as_ref(), &nonce))? else { break };
            let taken = if reader.takes_chunks() {
                self.take_as_it_comes(&mut reader, request, &mut end.records, &mut keep).await?
            } else {
                reader.take(&self.send(request).await?, chrono::Utc::now())
            };
            let records = match taken {
                Ok(records) => records,
                // The token ended between two pages: the same page is asked for with a new one.
                Err(fault) if fault.class == FaultClass::Authentication && !is_second_try && self.forget_token().await => {
                    is_second_try = true;
                    continue;
                }
                Err(fault) => return Err(fault.into()),
            };
            is_second_try = false;
            end.pages += 1;
            end.records += records.len() as u64;
            let position = reader.position();
            keep(records, position.as_ref()).await;
            end.position = position.unwrap_or(end.position);
        }
        end.position = reader.position().unwrap_or(end.position);
        Ok(end)
    }

    /// Takes a page in chunks, however long it is: what is whole is kept at once, without a position, and the last of it is given back.
    async fn take_as_it_comes(
        &self,
        reader: &mut Reader<'_>,
        request: HttpRequest,
        count: &mut u64,
        keep: &mut impl AsyncFnMut(Vec<ReadRecord>, Option<&Position>),
    ) -> Result<Result<Vec<ReadRecord>, Fault>, VendorError> {
        let mut opened = self.outbound.open(self.placed(request)).await?;
        if !(200..300).contains(&opened.head.status) {
            return Ok(reader.take(&opened.whole().await?, chrono::Utc::now()));
        }
        // What keeps records does so by the batch, and chunks are a few kilobytes.
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while let Some(chunk) = opened.chunk().await? {
            match reader.take_chunk(&opened.head, &chunk, chrono::Utc::now()) {
                Ok(records) => batch.extend(records),
                Err(fault) => return Ok(Err(fault)),
            }
            bytes += chunk.len();
            if bytes >= BATCH_BYTES && !batch.is_empty() {
                *count += batch.len() as u64;
                keep(std::mem::take(&mut batch), None).await;
                bytes = 0;
            }
        }
        let last = reader.take_end(&opened.head, chrono::Utc::now());
        Ok(last.map(|records| {
            batch.extend(records);
            batch
        }))
    }
}
