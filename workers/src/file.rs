//! Files: a folder is looked at, and each file in it that is at rest is copied here, read record by record, and put away once all of it is committed.
//! The copy is what is read, so that nobody changes a file under us; how far it was read is a row, so that whoever dies, the next one goes on there.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use connectors::Connector;
use connectors::file::{After, FILE_BYTES_MAX, FileFlaw, FileRecord, FileRecords, Inbox};
use domain::call_payload::ToldCall;
use domain::exception::Reason;
use domain::fault::{Fault, FaultClass, Owner};
use domain::file::FileState;
use domain::record::RecordKind;
use domain::scope::Scope;
use domain::task::Stage;
use infra::files::{Entry, FileFault, Session};
use infra::postgres::file::{Begun, FileMessage, Looked, Manner, OpenFile};
use infra::postgres::ledger::ConnectionRow;
use infra::postgres::poll::Poll;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::Context;
use crate::directory::Directory;
use crate::listing::ListingError;
use crate::poll::LEASE_S;

/// Records of one transaction,
pub(crate) const PAGE_RECORDS: usize = 500;
/// and their bytes.
pub(crate) const PAGE_BYTES: usize = 4 * 1024 * 1024;
/// Files that one process has a copy of at a time: each may be a quarter of a gigabyte of disk.
static COPIES: Semaphore = Semaphore::const_new(4);
/// While a file comes, the poll stays ours.
const EXTEND_EVERY: Duration = Duration::from_secs(20);
/// The whole of a file may take so long to come.
const COPY_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// What a person is shown of a file that cannot be read.
pub(crate) const START_BYTES: usize = 2_000;

/// A folder that is being read.
pub struct FileReading<'a> {
    pub context: &'a Context,
    pub directory: &'a Directory,
    pub scope: &'a Scope,
    pub poll: &'a Poll,
    pub connection: &'a ConnectionRow,
    pub connector: &'static Connector,
    pub kind: RecordKind,
}

/// What became of one file.
pub(crate) enum Taken {
    /// All of it is here, or a person knows why not.
    Whole,
    /// It changed, or went away: the next look finds what is there.
    Changed,
    /// Somebody else leads the poll, or it is to stop.
    Over,
}

impl FileReading<'_> {
    /// Looks at the folder and takes what is at rest. Returns in how many seconds some more may be; `None` where somebody else leads now, or it is
    /// to stop.
    ///
    /// # Errors
    /// Where the folder cannot be read, or a file in it.
    pub async fn read(
        &self,
        stop: &watch::Receiver<bool>,
        calls: &mut Vec<ToldCall>,
    ) -> Result<Option<Option<u32>>, ListingError> {
        let (access, lack) = self.directory.access(self.scope, self.connection, self.connector).await?;
        if let Some(fault) = lack {
            return Err(self.fault(fault));
        }
        let nonce = Uuid::new_v4().simple().to_string();
        let inbox =
            self.connector.inbox(self.kind, &access.context(&self.connection.settings, &nonce)).ok_or(ListingError::Gone)?;
        let inbox = inbox.map_err(|error| ListingError::Request { connection: self.connection.name.clone(), error })?;
        let files = self.context.outbound.files();
        if let Some(why) = files.refuses(self.scope.tenant, &inbox.site.url) {
            return Err(self.file_fault(FileFault::Refused(why)));
        }
        let mut session = files.open(&inbox.site).await.map_err(|fault| self.file_fault(fault))?;
        let listed = session.list(&inbox.folder).await;
        self.told("LIST", &inbox, "", listed.is_ok(), calls);
        let looked = looked(&inbox, listed.map_err(|fault| self.file_fault(fault))?);
        let manner = manner(self.connector, self.kind, &inbox);
        let store = self.context.store.within(self.scope);
        let Some(look) = store.files_look(self.poll, &self.connection.name, &looked, manner, LEASE_S).await? else {
            return Ok(None);
        };
        let mut failed = None;
        for file in look.ready {
            self.flush(calls).await?;
            if *stop.borrow() {
                return Ok(None);
            }
            match self.take(&mut session, &inbox, &file, manner, stop, calls).await {
                Ok(Taken::Whole | Taken::Changed) => {}
                Ok(Taken::Over) => return Ok(None),
                // One that nobody may read stops no other, but the folder is not read to its end.
                Err(FileError::Fault(fault @ (FileFault::Denied(_) | FileFault::Exists(_)))) => failed = failed.or(Some(fault)),
                Err(FileError::Fault(fault)) => return Err(self.file_fault(fault)),
                Err(FileError::Listing(error)) => return Err(error),
            }
        }
        if let Some(agreement) = &inbox.agreement {
            match self.write_answers(&mut session, agreement, &inbox, calls).await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(FileError::Fault(fault)) => return Err(self.file_fault(fault)),
                Err(FileError::Listing(error)) => return Err(error),
            }
            if failed.is_none() && look.waiting == 0 {
                let (us, partner) = (agreement.us.id.to_string(), agreement.partner.id.to_string());
                store.sent_groups_late(self.poll, &self.connection.name, (us.as_str(), partner.as_str())).await?;
            }
        }
        session.give_back();
        self.flush(calls).await?;
        match failed {
            Some(fault) => Err(self.file_fault(fault)),
            None => Ok(Some((look.waiting > 0).then_some(inbox.rest_s))),
        }
    }

    async fn take(
        &self,
        session: &mut Session<'_>,
        inbox: &Inbox,
        file: &OpenFile,
        manner: Manner,
        stop: &watch::Receiver<bool>,
        calls: &mut Vec<ToldCall>,
    ) -> Result<Taken, FileError> {
        let store = self.context.store.within(self.scope);
        if file.state != FileState::Read {
            let taken = self.read_file(session, inbox, file, manner, stop, calls).await?;
            if !matches!(taken, Some(Taken::Whole)) {
                return Ok(taken.unwrap_or(Taken::Whole));
            }
        }
        let how = self.put_away(session, inbox, file).await?;
        self.told("PUT AWAY", inbox, &file.name, true, calls);
        Ok(if store.file_done(self.poll, file, &how, LEASE_S).await? { Taken::Whole } else { Taken::Over })
    }

    /// Brings the records of a file; `None` where it stays where it is, and a person knows.
    async fn read_file(
        &self,
        session: &mut Session<'_>,
        inbox: &Inbox,
        file: &OpenFile,
        manner: Manner,
        stop: &watch::Receiver<bool>,
        calls: &mut Vec<ToldCall>,
    ) -> Result<Option<Taken>, FileError> {
        let store = self.context.store.within(self.scope);
        if file.size > FILE_BYTES_MAX {
            let why = format!("it has {} bytes, and no more than {FILE_BYTES_MAX} are read", file.size);
            return self.unreadable(file, manner, &why, b"").await;
        }
        let _room = COPIES.acquire().await.expect("nobody closes it");
        let copied = self.copy(session, inbox, file).await;
        self.told("GET", inbox, &file.name, copied.is_ok(), calls);
        let Some((copy, hash)) = (match copied {
            Err(FileError::Fault(FileFault::NotFound(_))) => return Ok(Some(Taken::Changed)),
            copied => copied?,
        }) else {
            return Ok(Some(Taken::Over));
        };
        let path = path(&inbox.folder, &file.name);
        let still = session.stat(&path).await?;
        if still.is_none_or(|now| (now.size, now.modified_at) != (file.size, file.modified_at)) {
            return Ok(Some(Taken::Changed));
        }
        let behind = match store.file_begin(self.poll, file, &hash, manner, LEASE_S).await? {
            None => return Ok(Some(Taken::Over)),
            Some(Begun::Repeated) => return Ok(Some(Taken::Whole)),
            Some(Begun::Behind(behind)) => behind,
        };
        if let Some(agreement) = &inbox.agreement {
            return self.read_interchanges(agreement, copy, (file, manner), behind, stop).await;
        }
        let start = start_of(&copy);
        let (inbox, name) = (inbox.clone(), file.name.clone());
        let opened = blocking(move || {
            let mut records = FileRecords::open(copy, &name, &inbox)?;
            for _ in 0..behind {
                records.next().transpose()?;
            }
            Ok(records)
        });
        let mut records = match opened.await {
            Ok(records) => records,
            Err(flaw) => return self.unreadable(file, manner, &flaw.to_string(), &start).await,
        };
        let mut behind = behind;
        loop {
            let (rest, page, flaw) =
                blocking(move || Ok(page(records))).await.map_err(|flaw| FileFault::NotSent(flaw.to_string()))?;
            records = rest;
            let count = i64::try_from(page.len()).unwrap_or(i64::MAX);
            if count > 0 {
                let messages = page.into_iter().map(|record| self.message(file, record)).collect();
                let Some(brought) = store.file_page(self.poll, file, behind, messages, LEASE_S).await? else {
                    return Ok(Some(Taken::Over));
                };
                self.context.broker.nudge(Stage::Receive, brought).await;
                behind += count;
            }
            match flaw {
                Some(flaw) => return self.unreadable(file, manner, &flaw.to_string(), &start).await,
                None if count == 0 => break,
                None if *stop.borrow() => return Ok(Some(Taken::Over)),
                None => {}
            }
        }
        Ok(Some(if store.file_read(self.poll, file, LEASE_S).await? { Taken::Whole } else { Taken::Over }))
    }

    pub(crate) async fn unreadable(
        &self,
        file: &OpenFile,
        manner: Manner,
        why: &str,
        start: &[u8],
    ) -> Result<Option<Taken>, FileError> {
        let (name, source, why) = (file.name.clone(), self.connection.name.clone(), why.to_owned());
        let reason = move |taken| Reason::unreadable_file(&name, &source, &why, taken);
        let store = self.context.store.within(self.scope);
        let led = store.file_unreadable(self.poll, file, reason, start, manner, LEASE_S).await?;
        Ok(if led { None } else { Some(Taken::Over) })
    }

    fn message(&self, file: &OpenFile, record: FileRecord) -> FileMessage {
        let bad = |what: &String| Reason::bad_record(&file.name, &self.connection.name, record.line, what);
        let bad = record.document.as_ref().err().map(bad);
        let (body, source_id) = record.document.unwrap_or((record.text, None));
        let (kind, topic) = (Some(self.kind), format!("file/{}", self.kind));
        FileMessage { line: record.line, kind, topic, body: body.to_vec(), source_id, bad }
    }

    /// The file's bytes here, and their hash. The copy has no name: it goes with whoever holds it. `None` where somebody else leads the poll.
    async fn copy(
        &self,
        session: &mut Session<'_>,
        inbox: &Inbox,
        file: &OpenFile,
    ) -> Result<Option<(File, [u8; 32])>, FileError> {
        let disk = |error: std::io::Error| FileFault::NotSent(format!("no copy could be made here: {error}"));
        let mut copy = tokio::fs::File::from_std(nameless().map_err(disk)?);
        let path = path(&inbox.folder, &file.name);
        {
            let mut coming = std::pin::pin!(tokio::time::timeout(COPY_TIMEOUT, session.read(&path, &mut copy, FILE_BYTES_MAX)));
            let mut extend = tokio::time::interval(EXTEND_EVERY);
            extend.tick().await;
            loop {
                tokio::select! {
                    came = &mut coming => {
                        came.unwrap_or_else(|_| Err(FileFault::NotSent(format!("{} took too long to come", file.name))))?;
                        break;
                    }
                    _ = extend.tick() => {
                        if !self.context.store.within(self.scope).poll_extend(self.poll, LEASE_S).await? {
                            return Ok(None);
                        }
                    }
                }
            }
        }
        tokio::io::AsyncWriteExt::flush(&mut copy).await.map_err(disk)?;
        let copy = copy.into_std().await;
        let hashed = blocking(move || {
            let (mut copy, mut hash, mut buffer) = (copy, Sha256::new(), vec![0; 64 * 1024]);
            copy.seek(SeekFrom::Start(0))?;
            loop {
                match copy.read(&mut buffer)? {
                    0 => return Ok((copy, <[u8; 32]>::from(hash.finalize()))),
                    read => hash.update(&buffer[..read]),
                }
            }
        });
        Ok(Some(hashed.await.map_err(|flaw| FileFault::NotSent(flaw.to_string()))?))
    }

    /// Moves a file away, or takes it away; done again, it changes nothing. What is there now and is another version stays, and says so.
    async fn put_away(&self, session: &mut Session<'_>, inbox: &Inbox, file: &OpenFile) -> Result<String, FileFault> {
        let from = path(&inbox.folder, &file.name);
        let is_it = |entry: &Entry| (entry.size, entry.modified_at) == (file.size, file.modified_at);
        let there = session.stat(&from).await?;
        let (to, how) = match &inbox.after {
            After::Keep => return Ok("it stays where it is".to_owned()),
            After::Archive(archive) => (path(archive, &file.name), format!("it was moved to {archive}")),
            After::Delete => (path(&inbox.folder, &format!(".{}.taken", file.id)), "it was taken away".to_owned()),
        };
        match &there {
            Some(entry) if is_it(entry) => {
                let to = move_to(session, &from, &to, file).await?;
                // Somebody may have written another version of it between our look and our hand.
                let moved = session.stat(&to).await?;
                if moved.as_ref().is_some_and(|entry| !is_it(entry)) {
                    session.rename(&to, &from).await?;
                    return Ok("another version of it is there, which is read by itself".to_owned());
                }
                if inbox.after == After::Delete {
                    session.remove(&to).await?;
                }
            }
            Some(_) => return Ok("another version of it is there, which is read by itself".to_owned()),
            None if inbox.after == After::Delete => gone(session.remove(&to).await)?,
            None => {}
        }
        if let Some(ready) = &inbox.ready {
            gone(session.remove(&format!("{from}{ready}")).await)?;
        }
        Ok(if there.is_some() { how } else { "it is not there any more".to_owned() })
    }

    /// Calls are in the audit before the next ones are made.
    async fn flush(&self, calls: &mut Vec<ToldCall>) -> Result<(), ListingError> {
        if !calls.is_empty() {
            self.context.store.within(self.scope).poll_calls(self.poll, calls).await?;
            calls.clear();
        }
        Ok(())
    }

    /// The audit's row of a call.
    fn told(&self, method: &str, inbox: &Inbox, name: &str, is_done: bool, calls: &mut Vec<ToldCall>) {
        self.told_at(method, inbox, &path(&inbox.folder, name), is_done, calls);
    }

    pub(crate) fn told_at(&self, method: &str, inbox: &Inbox, path: &str, is_done: bool, calls: &mut Vec<ToldCall>) {
        let url = format!("{}{path}", inbox.site.url);
        let call = serde_json::json!({"connection": self.connection.id, "method": method, "url": url, "done": is_done});
        calls.push(ToldCall::bare(call.to_string()));
    }

    /// The agreement says what no envelope can hold.
    pub(crate) fn unwritable(&self, why: &str) -> FileError {
        let reason = format!("a 997 cannot be written: {why}");
        let fix = "Correct the ids, the release and the separators in the connection's settings.";
        FileError::Listing(self.fault(Fault::new(FaultClass::Validation, "x12", reason, Owner::Developer, fix)))
    }

    fn fault(&self, fault: Fault) -> ListingError {
        ListingError::Fault { connection: self.connection.name.clone(), fault: Box::new(fault) }
    }

    fn file_fault(&self, fault: FileFault) -> ListingError {
        let (class, code, owner, fix) = match &fault {
            FileFault::Refused(_) => (
                FaultClass::Permission,
                "refused",
                Owner::Developer,
                "Do what the reason says; then it is tried again by itself.",
            ),
            FileFault::Login { .. } => (
                FaultClass::Authentication,
                "login",
                Owner::Developer,
                "Correct the user in the connection's settings, or store its password or private key anew.",
            ),
            FileFault::NotFound(_) => (
                FaultClass::NotFound,
                "no_folder",
                Owner::Operations,
                "Make the folder at the server, or correct it in the connection's settings.",
            ),
            FileFault::Denied(_) => (
                FaultClass::Permission,
                "denied",
                Owner::Operations,
                "Give the connection's user leave at the server to read there, and to move and remove what it has read.",
            ),
            FileFault::Exists(_) => (
                FaultClass::Conflict,
                "exists",
                Owner::Operations,
                "Look what stands in the way at the server, and move it away.",
            ),
            FileFault::TooLong { .. } => (FaultClass::Validation, "too_long", Owner::Operations, "Ask for smaller files."),
            FileFault::NotSent(_) | FileFault::Lost(_) => (
                FaultClass::Outage,
                "no_answer",
                Owner::Vendor,
                "Nothing to do, it is tried again. If it stays, ask whoever runs the server.",
            ),
        };
        self.fault(Fault::new(class, code, fault.to_string(), owner, fix))
    }
}

/// What stops a file.
pub(crate) enum FileError {
    Fault(FileFault),
    Listing(ListingError),
}

impl From<FileFault> for FileError {
    fn from(fault: FileFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<infra::postgres::StoreError> for FileError {
    fn from(error: infra::postgres::StoreError) -> Self {
        Self::Listing(error.into())
    }
}

/// The files that the connection takes, each with how long it must have been as it is.
fn looked(inbox: &Inbox, there: Vec<Entry>) -> Vec<Looked> {
    let ready = inbox.ready.as_deref();
    let marked = |ready: &str| there.iter().filter_map(|entry| entry.name.strip_suffix(ready).map(str::to_owned)).collect();
    let marks: std::collections::HashSet<String> = ready.map(marked).unwrap_or_default();
    let is_mark = |name: &str| ready.is_some_and(|ready| name.ends_with(ready));
    let takes = |entry: &Entry| {
        inbox.names.take(&entry.name) && !is_mark(&entry.name) && (ready.is_none() || marks.contains(&entry.name))
    };
    let rest_s = if ready.is_some() { 0 } else { inbox.rest_s };
    let of = |entry: Entry| Looked { name: entry.name, size: entry.size, modified_at: entry.modified_at, rest_s };
    there.into_iter().filter(takes).map(of).collect()
}

fn manner(connector: &Connector, kind: RecordKind, inbox: &Inbox) -> Manner {
    let said = format!("{} {kind} {:?} {:?}", connector.hash(), inbox.format, inbox.encoding);
    Manner { hash: Sha256::digest(said).into(), puts_away: inbox.after != After::Keep, takes_again: inbox.agreement.is_some() }
}

pub(crate) fn path(folder: &str, name: &str) -> String {
    let folder = folder.trim_matches('/');
    if folder.is_empty() { format!("/{name}") } else { format!("/{folder}/{name}") }
}

/// To a path of its own where that one is taken; into a folder that is made where it is not there. Returns where it is.
async fn move_to(session: &mut Session<'_>, from: &str, to: &str, file: &OpenFile) -> Result<String, FileFault> {
    let other = format!("{to}.{}", file.id);
    let folder = to.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut moved = session.rename(from, to).await.map(|()| to);
    if matches!(moved, Err(FileFault::NotFound(_))) {
        session.make_folder(folder).await?;
        moved = session.rename(from, to).await.map(|()| to);
    }
    if matches!(moved, Err(FileFault::Exists(_))) {
        moved = session.rename(from, &other).await.map(|()| other.as_str());
    }
    moved.map(str::to_owned)
}

fn gone(removed: Result<(), FileFault>) -> Result<(), FileFault> {
    if matches!(removed, Err(FileFault::NotFound(_))) { Ok(()) } else { removed }
}

/// A file of our own without a name.
fn nameless() -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("crossdock-{}", Uuid::new_v4().simple()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// How a file begins.
fn start_of(mut copy: &File) -> Vec<u8> {
    let mut start = Vec::new();
    let read = copy.seek(SeekFrom::Start(0)).and_then(|_| copy.take(START_BYTES as u64).read_to_end(&mut start));
    if read.is_err() { Vec::new() } else { start }
}

/// The next records, and what ends them where that is a flaw.
fn page(mut records: FileRecords<File>) -> (FileRecords<File>, Vec<FileRecord>, Option<FileFlaw>) {
    let (mut page, mut bytes) = (Vec::new(), 0);
    while page.len() < PAGE_RECORDS && bytes < PAGE_BYTES {
        match records.next() {
            None => break,
            Some(Err(flaw)) => return (records, page, Some(flaw)),
            Some(Ok(record)) => {
                bytes += record.text.len();
                page.push(record);
            }
        }
    }
    (records, page, None)
}

pub(crate) async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, FileFlaw> + Send + 'static,
) -> Result<T, FileFlaw> {
    tokio::task::spawn_blocking(act).await.unwrap_or_else(|error| Err(FileFlaw::Disk(error.to_string())))
}
