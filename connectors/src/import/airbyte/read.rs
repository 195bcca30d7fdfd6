//! One read of one stream, as a machine that does nothing itself: [`Reader::next`] says what to ask the vendor, [`Reader::take`] reads the
//! answer. The time is told to it, and it never waits: a fault says how long to wait before `next` gives the same request again.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest};
use domain::secret::SecretString;
use domain::value::{Map, Value};

use super::auth::Auth;
use super::cursor::{Count, Cursor, Plan};
use super::error::{self, Answer};
use super::jinja::Scope;
use super::model::{Action, Incremental, RequestOption, Stream};
use super::page::{self, Last};
use super::partition::Partitions;
use super::request::{self, Parts};
use super::router::{Router, Step};
use super::slice::Slice;
use super::{ImportError, decode, select};

/// Pages of one read: a vendor whose last page never comes must not be asked for ever.
const PAGES_MAX: u32 = 100_000;
/// What marks the state of a stream that has no cursor.
const NO_CURSOR: &str = "__ab_no_cursor_state_message";

/// What all components of a read know.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    config: Arc<Value>,
    scope: Scope,
    now: DateTime<Utc>,
}

impl Settings {
    pub(crate) fn new(config: Value, now: DateTime<Utc>) -> Settings {
        let scope = Scope::new(&config, now);
        Settings { config: Arc::new(config), scope, now }
    }

    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }
}

#[derive(Debug)]
pub struct Reader {
    stream: Stream,
    settings: Settings,
    router: Router,
    position: Position,
    auth: Auth,
    page: Option<Page>,
    waiting: Waiting,
    pages_left: u32,
    done: bool,
    /// Why the read is over before its end.
    ended: Option<String>,
}

#[derive(Debug)]
enum Position {
    None,
    Times(Box<Cursor>),
    Partitions(Box<Partitions>),
    Count(Box<Count>),
}

/// The page that is asked for.
#[derive(Debug)]
struct Page {
    slice: Slice,
    token: Option<Value>,
    attempts: u32,
    /// Its token was refused and a new one asked for.
    renewed: bool,
    url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    Nothing,
    Token,
    Parent,
    Page,
}

impl Reader {
    pub(crate) fn of(stream: Stream, settings: Settings, state: Map) -> Result<Reader, ImportError> {
        let state = if state.contains_key(NO_CURSOR) { Map::new() } else { state };
        let router = Router::new(&stream.retriever.partition_router, &settings, &state)?;
        let scope = settings.scope();
        let position = match (&stream.incremental_sync, &router) {
            (None, _) => Position::None,
            (Some(Incremental::DatetimeBasedCursor(cursor)), Router::One { .. }) => {
                let plan = Plan::new(cursor, scope, settings.now)?;
                Position::Times(Box::new(Cursor::new(Arc::new(plan), &state, 0)?))
            }
            (Some(Incremental::DatetimeBasedCursor(cursor)), _) => {
                let plan = Plan::new(cursor, scope, settings.now)?;
                let one_cursor = cursor.global_substream_cursor.unwrap_or(false);
                Position::Partitions(Box::new(Partitions::new(plan, one_cursor, &state, settings.now)?))
            }
            (Some(Incremental::IncrementingCountCursor(cursor)), Router::One { .. }) => {
                Position::Count(Box::new(Count::new(cursor, scope, &state)?))
            }
            (Some(Incremental::IncrementingCountCursor(_)), _) => {
                return Err(ImportError::Shape("a stream has both an IncrementingCountCursor and partitions".to_owned()));
            }
        };
        let requester = &stream.retriever.requester;
        let base = requester.url.as_deref().or(requester.url_base.as_deref()).unwrap_or_default();
        let auth = Auth::new(requester.authenticator.as_deref(), base, &settings.config)?;
        Ok(Reader {
            router,
            position,
            auth,
            page: None,
            waiting: Waiting::Nothing,
            pages_left: PAGES_MAX,
            done: false,
            ended: None,
            stream,
            settings,
        })
    }

    /// The time now: tokens expire, and expressions read it.
    pub fn set_now(&mut self, now: DateTime<Utc>) {
        self.settings.now = now;
        self.settings.scope = std::mem::take(&mut self.settings.scope).at(now);
        self.router.set_now(now);
    }

    /// The pages asked for until now, without those of parents.
    #[must_use]
    pub fn pages(&self) -> u32 {
        PAGES_MAX - self.pages_left
    }

    /// The tokens that its requests carry at the moment, beside the secrets of the settings: what is shown of answers must not show them.
    #[must_use]
    pub fn tokens(&self) -> Vec<SecretString> {
        let mut tokens = self.router.tokens();
        tokens.extend(self.auth.token().map(SecretString::from));
        tokens
    }

    /// What to ask the vendor next; nothing at the end. Without a [`Self::take`] between, it is the same request again.
    ///
    /// # Errors
    /// Where the manifest or the settings make no request, or the read ended with a fault.
    #[expect(clippy::should_implement_trait, reason = "a request may fail to be made, and an iterator has no end by error")]
    pub fn next(&mut self) -> Result<Option<HttpRequest>, ImportError> {
        if let Some(why) = &self.ended {
            return Err(ImportError::Ended { why: why.clone() });
        }
        if self.page.is_none() {
            match self.next_slice()? {
                Step::Slice(slice) => {
                    let token = page::first(self.stream.retriever.paginator.as_ref());
                    self.page = Some(Page::new(slice, token));
                }
                Step::Ask(request) => {
                    self.waiting = Waiting::Parent;
                    return Ok(Some(request));
                }
                Step::Done => {
                    if !std::mem::replace(&mut self.done, true)
                        && let Position::Partitions(partitions) = &mut self.position
                    {
                        partitions.finish(self.router.state()?, self.settings.now);
                    }
                    self.waiting = Waiting::Nothing;
                    return Ok(None);
                }
            }
        }
        if let Some(request) = self.auth.request(&self.settings.scope, self.settings.now)? {
            self.waiting = Waiting::Token;
            return Ok(Some(request));
        }
        self.request().map(Some)
    }

    fn next_slice(&mut self) -> Result<Step, ImportError> {
        loop {
            let stretch = match &mut self.position {
                Position::None => return self.router.next(),
                Position::Times(cursor) => cursor.next_slice()?,
                Position::Count(count) => count.next_slice(),
                Position::Partitions(partitions) => {
                    if let Some(slice) = partitions.next_slice()? {
                        return Ok(Step::Slice(slice));
                    }
                    match self.router.next()? {
                        Step::Slice(partition) => partitions.open(partition)?,
                        other => return Ok(other),
                    }
                    continue;
                }
            };
            return Ok(stretch.map_or(Step::Done, |cursor| Step::Slice(Slice { cursor, ..Slice::default() })));
        }
    }

    fn request(&mut self) -> Result<HttpRequest, ImportError> {
        let retriever = &self.stream.retriever;
        let page = self.page.as_mut().ok_or(ImportError::Ended { why: "no page is open".to_owned() })?;
        let (paginator, token) = (retriever.paginator.as_ref(), page.token.as_ref());
        let scope = page.slice.scope(&self.settings.scope, token);
        let mut extra = page::parts(paginator, token, &scope)?;
        if token.is_none() || !retriever.pages_without_slice.unwrap_or(false) {
            let slice = self.router.parts(&page.slice, &scope)?.and(self.position.parts(&self.stream, &page.slice, &scope)?)?;
            extra = extra.and(slice)?;
        }
        let auth = self.auth.parts(&self.settings.scope)?;
        let request = request::build(&retriever.requester, &scope, page::path(paginator, token).as_deref(), auth, extra)?;
        if page.attempts == 0 && self.waiting != Waiting::Page {
            self.pages_left =
                self.pages_left.checked_sub(1).ok_or(ImportError::TooMany { what: "pages", max: PAGES_MAX as usize })?;
        }
        page.url.clone_from(&request.url);
        self.auth.used();
        self.waiting = Waiting::Page;
        Ok(request)
    }

    /// The records of the answer, as JSON.
    ///
    /// # Errors
    /// Where the answer is none. A passing fault leaves the read where it is: [`Self::next`] asks again; any other ends it.
    pub fn take(&mut self, answer: &HttpAnswer) -> Result<Vec<Bytes>, Fault> {
        Ok(self.take_records(answer)?.into_iter().map(|(record, _)| Bytes::from(record.to_json())).collect())
    }

    pub(crate) fn take_records(&mut self, answer: &HttpAnswer) -> Result<Vec<(Value, Slice)>, Fault> {
        let taken = match std::mem::replace(&mut self.waiting, Waiting::Nothing) {
            Waiting::Nothing => Ok(Vec::new()),
            Waiting::Token => self.take_token(answer),
            Waiting::Parent => self.router.take(answer).map(|()| Vec::new()),
            Waiting::Page => match self.take_page(answer) {
                Ok(taken) => taken,
                Err(error) => Err(Fault { status: Some(answer.status), ..manifest_fault(&error) }),
            },
        };
        if let Err(fault) = &taken
            && !fault.class.is_passing()
        {
            self.ended = Some(fault.reason.clone());
        }
        taken
    }

    fn take_token(&mut self, answer: &HttpAnswer) -> Result<Vec<(Value, Slice)>, Fault> {
        let taken = self.auth.take(answer, &self.settings.scope, self.settings.now);
        match (&taken, &mut self.page) {
            (Err(fault), Some(page)) => {
                page.attempts += 1;
                if page.attempts > error::RETRIES {
                    self.ended = Some(fault.reason.clone());
                }
            }
            (Ok(()), Some(page)) => page.attempts = 0,
            _ => {}
        }
        taken.map(|()| Vec::new())
    }

    fn take_page(&mut self, answer: &HttpAnswer) -> Result<Result<Vec<(Value, Slice)>, Fault>, ImportError> {
        let handler = self.stream.retriever.requester.error_handler.as_ref();
        let Some(page) = &mut self.page else { return Ok(Ok(Vec::new())) };
        let read = Answer::new(answer, &self.settings.scope, &page.url);
        let resolution = read.interpret(handler)?;
        match resolution.action {
            Action::Success | Action::Ignore => {}
            Action::Fail => return Ok(Err(read.fault(&resolution, None))),
            Action::Retry | Action::RateLimited | Action::RefreshTokenThenRetry => {
                page.attempts += 1;
                let renew = resolution.action == Action::RefreshTokenThenRetry;
                let renewed_in_vain = renew && (page.renewed || !self.auth.forget());
                page.renewed |= renew;
                #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
                let wait_s = read.backoff_s(handler, page.attempts, self.settings.now.timestamp_millis() as f64 / 1e3)?;
                let mut fault = read.fault(&resolution, wait_s);
                if renewed_in_vain {
                    fault.class = FaultClass::Authentication;
                } else if page.attempts > error::retries(handler, &self.settings.scope)? {
                    // It may pass, but not within this read: the next one begins at the state.
                    self.ended = Some(format!("it was asked {} times. {}", page.attempts, fault.reason));
                }
                return Ok(Err(fault));
            }
        }
        if answer.status >= 400 {
            // A refusal that the manifest passes over: the slice has no more.
            self.close_slice()?;
            return Ok(Ok(Vec::new()));
        }
        self.read_page(answer)
    }

    fn read_page(&mut self, answer: &HttpAnswer) -> Result<Result<Vec<(Value, Slice)>, Fault>, ImportError> {
        let retriever = &self.stream.retriever;
        let Some(page) = &mut self.page else { return Ok(Ok(Vec::new())) };
        let decoder = retriever.decoder.as_ref();
        let documents = match decode::documents(decoder, &answer.body) {
            Ok(documents) => documents,
            // A page that cannot be read is not a page without records.
            Err(why) => return Ok(Err(unreadable(&why, answer.status))),
        };
        let response = decode::page(decoder, &documents);
        let extracted = select::extract(&retriever.record_selector.extractor, documents, &self.settings.scope)?;
        let count = extracted.len();
        let scope = page.slice.scope(&self.settings.scope, None);
        let (client_side, feed) = self.stream.incremental_sync.as_ref().map_or((false, false), filters);
        let transform_first = retriever.record_selector.transform_before_filtering.unwrap_or(client_side);
        let filter = retriever.record_selector.record_filter.as_ref();
        let mut kept = Vec::new();
        for mut record in extracted {
            if !matches!(record, Value::Map(_)) {
                return Ok(Err(unreadable("a record is no group of fields", answer.status)));
            }
            if transform_first {
                select::transform(&mut record, &self.stream.transformations, &scope)?;
            }
            if (client_side && !feed && !self.position.is_due(&record)) || !select::keeps(filter, &record, &scope)? {
                continue;
            }
            if !transform_first {
                select::transform(&mut record, &self.stream.transformations, &scope)?;
            }
            kept.push(record);
        }
        let last = Last {
            answer,
            response: &response,
            extracted: count,
            kept: kept.len(),
            record: kept.last(),
            token: page.token.as_ref(),
        };
        // A feed lists the newest first: what follows a record that is known is known too.
        let past = feed && kept.last().is_some_and(|record| !self.position.is_due(record));
        let next = if past { None } else { page::next(retriever.paginator.as_ref(), &self.settings.scope, &page.slice, &last)? };
        let slice = page.slice.clone();
        if feed {
            kept.retain(|record| self.position.is_due(record));
        }
        for record in &kept {
            self.position.observe(record)?;
        }
        match next {
            Some(token) => *page = Page::new(slice.clone(), Some(token)),
            None => self.close_slice()?,
        }
        Ok(Ok(kept.into_iter().map(|record| (record, slice.clone())).collect()))
    }

    fn close_slice(&mut self) -> Result<(), ImportError> {
        let Some(page) = self.page.take() else { return Ok(()) };
        match &mut self.position {
            Position::None | Position::Count(_) => {}
            Position::Times(cursor) => cursor.close(&page.slice.cursor),
            Position::Partitions(partitions) => partitions.close(&page.slice)?,
        }
        Ok(())
    }

    pub(crate) fn position(&self) -> Result<Map, ImportError> {
        Ok(match &self.position {
            Position::None => [(NO_CURSOR.to_owned(), Value::Bool(true))].into_iter().collect(),
            Position::Times(cursor) => cursor.state()?,
            Position::Partitions(partitions) => partitions.state()?,
            Position::Count(count) => count.state(self.page.is_none() && count_is_read(&self.position, self.done)),
        })
    }

    /// How far the stream is read, in Airbyte's own shape: what the next read begins with. It only ever covers slices that are read whole.
    #[must_use]
    pub fn state(&self) -> serde_json::Value {
        let state = self.position().map(|state| Value::Map(state).to_json()).unwrap_or_default();
        serde_json::from_str(&state).unwrap_or(serde_json::Value::Null)
    }
}

/// The number that a count has come to holds once its one slice is read.
fn count_is_read(position: &Position, done: bool) -> bool {
    done || matches!(position, Position::Count(_))
}

/// Whether the reader itself leaves out what is too old, and whether it may stop at the first such record.
fn filters(incremental: &Incremental) -> (bool, bool) {
    match incremental {
        Incremental::DatetimeBasedCursor(cursor) => {
            (cursor.is_client_side_incremental.unwrap_or(false), cursor.is_data_feed.unwrap_or(false))
        }
        Incremental::IncrementingCountCursor(_) => (false, false),
    }
}

impl Position {
    fn parts(&self, stream: &Stream, slice: &Slice, scope: &Scope) -> Result<Parts, ImportError> {
        let mut parts = Parts::default();
        let mut add = |option: Option<&RequestOption>, name: &str| -> Result<(), ImportError> {
            match (option, slice.get(name)) {
                (Some(option), value) => parts.inject(option, value.cloned().unwrap_or(Value::Null), scope),
                _ => Ok(()),
            }
        };
        match &stream.incremental_sync {
            None => {}
            Some(Incremental::DatetimeBasedCursor(cursor)) => {
                let evaluated = |name: &Option<super::model::Text>, default: &str| {
                    let scope = scope.and("parameters", &cursor.parameters.0);
                    name.as_ref().map_or_else(|| Ok(default.to_owned()), |name| scope.text(&name.0))
                };
                add(cursor.start_time_option.as_ref(), &evaluated(&cursor.partition_field_start, "start_time")?)?;
                add(cursor.end_time_option.as_ref(), &evaluated(&cursor.partition_field_end, "end_time")?)?;
            }
            Some(Incremental::IncrementingCountCursor(cursor)) => add(cursor.start_value_option.as_ref(), "start")?,
        }
        Ok(parts)
    }

    fn is_due(&self, record: &Value) -> bool {
        match self {
            Position::None | Position::Count(_) => true,
            Position::Times(cursor) => cursor.is_due(record),
            Position::Partitions(partitions) => partitions.is_due(record),
        }
    }

    fn observe(&mut self, record: &Value) -> Result<(), ImportError> {
        match self {
            Position::None => {}
            Position::Times(cursor) => cursor.observe(record),
            Position::Partitions(partitions) => partitions.observe(record)?,
            Position::Count(count) => count.observe(record),
        }
        Ok(())
    }
}

impl Page {
    fn new(slice: Slice, token: Option<Value>) -> Page {
        Page { slice, token, attempts: 0, renewed: false, url: String::new() }
    }
}

fn unreadable(why: &str, status: u16) -> Fault {
    let reason = format!("The vendor's answer could not be read: {why}.");
    let fix = "Compare the stream's decoder and extractor with the vendor's documentation.";
    Fault { status: Some(status), ..Fault::new(FaultClass::Validation, "answer_unreadable", reason, Owner::Developer, fix) }
}

fn manifest_fault(error: &ImportError) -> Fault {
    let reason = format!("The manifest could not be run: {error}.");
    Fault::new(FaultClass::Validation, "manifest", reason, Owner::Developer, "Correct the manifest and import it again.")
}
